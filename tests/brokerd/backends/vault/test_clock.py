"""A clock that is set anew, as by a time server or by hand: it moves the end of nothing."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from unittest import mock

import pytest

from brokershim import clock
from tests.support import vault_made
from tests.support.vault import Server
from tests.support.vault_session import LoggedIn

_DAY = 86_400.0


@pytest.mark.parametrize("jump", [_DAY, -_DAY])
def test_a_key_ends_when_its_server_says(vault_server: Server, jump: float) -> None:
    parts = vault_made.made(vault_server, vault_server.pki())
    before = vault_made.key(parts.backend)
    with _set_by(jump):
        after = vault_made.key(parts.backend)
        for each in (before, after):
            assert each.expires_at is not None
            assert 50 < each.expires_at - clock.now() <= 60
            parts.backend.revoke(each.upstream)
    assert len(parts.method.made) == 1


@pytest.mark.parametrize("jump", [_DAY, -_DAY])
def test_a_login_goes_on(vault_server: Server, jump: float) -> None:
    login = LoggedIn(vault_server)
    used, due_at = login.use(), login.session.due_at()
    with _set_by(jump):
        assert login.use() == used
        assert login.session.due_at() == due_at
        login.session.tend()
    assert len(login.logins.made) == 1


@contextmanager
def _set_by(seconds: float) -> Generator[None]:
    """Set this machine's clock, which is not the one that counts on while it sleeps."""
    now = time.time
    with mock.patch("time.time", side_effect=lambda: now() + seconds):
        yield
