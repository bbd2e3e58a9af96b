"""How a login at a real server lives, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.session import Session
from brokerd.backends.vault.tokens import Held
from brokerd.backends.vault.upkeep import Upkeep
from brokershim.errors import BackendRefused, BackendUnavailable, LoginRequired, ServerDown
from tests.support.vault import Server
from tests.support.vault_session import LoggedIn

_SECONDS = 10.0


def test_a_token_is_renewed_at_two_thirds_of_its_life(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    login.use()
    due = login.session.due_at()
    assert due is not None
    assert due - login.time() == pytest.approx(40, abs=2)
    login.time.go_on(30)
    login.session.tend()
    assert login.session.due_at() == due
    login.time.go_on(15)
    login.session.tend()
    ends = login.session.expires_at()
    assert ends is not None
    assert ends - login.time() == pytest.approx(60, abs=2)
    assert len(login.logins.made) == 1
    assert login.session.generation() == ("alice", 0)


def test_one_that_does_not_get_longer_is_had_anew_and_the_old_one_lives_on(
    vault_server: Server,
) -> None:
    login = LoggedIn(vault_server)
    before = login.use()
    login.time.go_on(45)
    login.limit("20s")
    login.session.tend()
    assert login.use() != before
    assert login.alive() == [True, True]
    assert login.session.generation() == ("alice", 0)
    old = login.session.expires_at(before)
    assert old is not None
    assert old - login.time() == pytest.approx(20, abs=2)
    login.session.close()
    assert login.alive() == [False, False]


def test_one_that_a_renewal_makes_shorter_is_known_to_be(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    before = login.use()
    login.time.go_on(41)
    login.limit("5s")
    login.session.tend()
    old = login.session.expires_at(before)
    assert old is not None
    assert old - login.time() == pytest.approx(5, abs=2)


def test_a_periodic_one_is_renewed_for_ever(vault_server: Server) -> None:
    login = LoggedIn(vault_server, token_ttl="0", token_period="60s")
    login.use()
    for _ in range(5):
        login.time.go_on(45)
        login.session.tend()
    assert len(login.logins.made) == 1


def test_a_batch_token_is_never_renewed_nor_named_nor_revoked(vault_server: Server) -> None:
    login = LoggedIn(vault_server, token_type="batch")
    login.use()
    assert login.session.risk() is None
    login.time.go_on(45)
    login.session.tend()
    assert len(login.logins.made) == 2
    login.session.close()
    assert login.alive() == [True, True]


def test_one_that_is_over_is_had_anew_when_it_is_needed(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    login.use()
    login.time.go_on(61)
    login.session.tend()
    assert len(login.logins.made) == 1
    assert login.session.due_at() is None
    login.use()
    assert len(login.logins.made) == 2
    assert login.session.generation() == ("alice", 0)


def test_nothing_is_due_before_anybody_is_logged_in(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    assert login.session.due_at() is None
    login.session.tend()
    login.session.close()
    assert login.logins.made == []


def test_a_renewal_that_fails_is_still_due(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ServerDown("it is away")

    login = LoggedIn(vault_server)
    login.use()
    login.time.go_on(45)
    monkeypatch.setattr(Upkeep, "renewed", fails)
    with pytest.raises(ServerDown):
        login.session.tend()
    due = login.session.due_at()
    assert due is not None
    assert due <= login.time()
    login.use()
    assert len(login.logins.made) == 1


def test_who_logs_out_ends_the_token_and_nothing_more_is_done_with_it(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    login.use()
    login.logins.who, login.logins.failure = "nobody", LoginRequired("nobody is logged in")
    with pytest.raises(LoginRequired):
        login.use()
    due = login.session.due_at()
    assert due is not None
    assert due <= login.time()
    login.session.tend()
    assert login.alive() == [False]
    assert login.session.due_at() is None
    assert login.session.generation() == ("nobody", 0)


def test_another_login_takes_its_place_and_the_token_before_is_revoked(
    vault_server: Server,
) -> None:
    login = LoggedIn(vault_server)
    login.use()
    login.logins.who = "bob"
    login.use()
    due = login.session.due_at()
    assert due is not None
    assert due <= login.time()
    login.session.tend()
    assert login.alive() == [False, True]


def test_the_daemons_end_revokes_what_it_holds(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    accessor = login.use()
    login.session.close()
    assert accessor not in vault_server.accessors()
    with pytest.raises(BackendUnavailable, match="stopping"):
        login.use()
    assert len(login.logins.made) == 1


def test_what_has_ended_already_is_given_back_too(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    vault_server.root.auth.token.revoke_accessor(login.use())
    login.session.close()
    assert login.session.generation() == ("alice", 0)


def test_what_may_not_be_given_back_is_said_to_be(vault_server: Server) -> None:
    policy = vault_server.policy({"auth/token/revoke-self": ["deny"]})
    login = LoggedIn(vault_server, "default", policy)
    login.use()
    with pytest.raises(BackendRefused, match="revoking the login's token"):
        login.session.close()
    assert login.alive() == [True]


def test_one_that_cannot_be_revoked_does_not_keep_another_from_being_renewed(
    vault_server: Server,
) -> None:
    policy = vault_server.policy({"auth/token/revoke-self": ["deny"]})
    login = LoggedIn(vault_server, "default", policy)
    login.use()
    login.logins.who = "bob"
    login.use()
    login.time.go_on(45)
    with pytest.raises(BackendRefused):
        login.session.tend()
    ends = login.session.expires_at()
    assert ends is not None
    assert ends - login.time() == pytest.approx(60, abs=2)
    login.time.go_on(30)  # by now the first one is over, which is as good
    login.session.tend()
    assert login.session.due_at() == pytest.approx(login.time() + 10, abs=2)


def test_who_comes_as_a_login_has_just_ended_makes_no_other(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = LoggedIn(vault_server)
    join = login.session._logging_in.join

    def late(attempt: Callable[[], Held]) -> Held:
        join(attempt)
        return join(attempt)

    monkeypatch.setattr(login.session._logging_in, "join", late)
    login.use()
    assert len(login.logins.made) == 1


def test_a_login_that_is_under_way_at_the_end_leaves_nothing_behind(vault_server: Server) -> None:
    login, begun, closed = LoggedIn(vault_server), threading.Event(), threading.Event()
    errors: list[Exception] = []

    def late() -> None:
        begun.set()
        assert closed.wait(_SECONDS)

    def use() -> None:
        try:
            login.use()
        except BackendUnavailable as error:
            errors.append(error)

    login.logins.before = late
    thread = threading.Thread(target=use)
    thread.start()
    assert begun.wait(_SECONDS)
    login.session.close()
    closed.set()
    thread.join(_SECONDS)
    assert len(errors) == 1
    assert login.alive() == [False]


def test_one_that_cannot_be_revoked_does_not_keep_the_others(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = LoggedIn(vault_server)
    login.use()
    login.logins.who = "bob"
    login.use()
    end, bob = Upkeep.end, login.logins.made[1].token

    def fails_for_bob(upkeep: Upkeep, held: Held) -> None:
        if held.auth.token == bob:
            raise ServerDown("it is away")
        end(upkeep, held)

    monkeypatch.setattr(Upkeep, "end", fails_for_bob)
    with pytest.raises(ServerDown):
        login.session.close()
    assert login.alive() == [False, True]


class Given:
    """Gives one token, again and again.

    Attributes:
        auth: What is given.
        who: What `revision` gives.
    """

    kind = "given"

    def __init__(self, auth: Auth) -> None:
        self.auth, self.who = auth, 1

    def revision(self) -> int:
        return self.who

    def login(self, vault: Vault) -> Auth:
        assert vault.name == "corp"
        return self.auth


def given(login: LoggedIn, **terms: Any) -> tuple[Given, Session]:
    login.use()
    method = Given(replace(login.logins.made[0], **terms))
    return method, Session(login.vault, method, login.time)


def test_a_token_that_is_not_ours_is_never_revoked(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    method, session = given(login, ours=False)
    session.call(lambda client: client.auth.token.lookup_self())
    assert session.risk() is None
    session.revoke_accessor(method.auth.accessor or "")
    method.who = 2
    session.tend()
    session.close()
    assert login.alive() == [True]


def test_one_that_is_given_again_and_again_is_asked_for_less_and_less_often(
    vault_server: Server,
) -> None:
    login = LoggedIn(vault_server)
    _, session = given(login, ours=False, renewable=False)
    session.call(lambda client: client.auth.token.lookup_self())
    login.time.go_on(45)
    session.tend()
    due = session.due_at()
    assert due is not None
    assert due - login.time() == pytest.approx(10, abs=2)


def test_a_login_that_is_kept_outlives_the_daemon_and_not_the_logout(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    method, session = given(login, lasting=True)
    session.call(lambda client: client.auth.token.lookup_self())
    session.close()
    assert login.alive() == [True]
    again = Session(login.vault, method, login.time)
    again.call(lambda client: client.auth.token.lookup_self())
    method.who = 2
    again.tend()
    assert login.alive() == [False]


def test_nor_the_logout_that_the_daemons_end_comes_after(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    method, session = given(login, lasting=True)
    session.call(lambda client: client.auth.token.lookup_self())
    method.who = 2
    session.close()
    assert login.alive() == [False]
