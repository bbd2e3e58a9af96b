"""Whatever comes together, nothing of a session is left at the server once it is closed."""

from __future__ import annotations

import contextlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from brokerd.backends.vault.client import hvac
from brokershim.errors import BackendRefused, BackendUnavailable
from tests.support.vault import Server
from tests.support.vault_session import LoggedIn

_SECONDS = 60.0
_THREADS = 6


@pytest.mark.parametrize("times", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_nothing_is_left_whoever_did_what_at_the_same_time(
    vault_server: Server, times: int
) -> None:
    login, together = LoggedIn(vault_server), threading.Barrier(_THREADS + 2)

    def use(seed: int) -> None:
        draw = random.Random(seed)
        together.wait(_SECONDS)
        for _ in range(times):
            with contextlib.suppress(BackendRefused):  # the next one is revoked, too
                login.use()
                if draw.random() < 0.2:
                    login.session.revoke_accessor(login.session.risk() or "")

    def tend() -> None:
        together.wait(_SECONDS)
        for _ in range(times):
            with contextlib.suppress(BackendRefused):
                login.session.tend()

    def disturb() -> None:
        together.wait(_SECONDS)
        for number in range(times):
            with contextlib.suppress(hvac.exceptions.InvalidRequest):  # it is over already
                vault_server.root.auth.token.revoke(login.logins.made[-1].token)
            if number % 4 == 0:
                login.logins.who = f"user-{number}"

    login.use()
    login.time.go_on(45)  # to renew is due, and no token is over until the end
    with ThreadPoolExecutor(_THREADS + 2) as threads:
        others = [threads.submit(each) for each in (tend, disturb)]
        for each in [*[threads.submit(use, seed) for seed in range(_THREADS)], *others]:
            each.result(_SECONDS)
    login.session.close()
    with pytest.raises(BackendUnavailable, match="stopping"):
        login.use()
    assert not any(login.alive())
    assert len(login.logins.made) > times / 2
