"""What a session does where the server has ended its login, or does not let it do something."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from brokerd.backends.vault.client import hvac
from brokerd.backends.vault.session import Session
from brokerd.backends.vault.upkeep import end_others
from brokershim.errors import BackendRefused, BackendUnavailable, BrokerError, ServerDown
from tests.support.daemon import wait_until
from tests.support.vault import Server
from tests.support.vault_session import LoggedIn

_SECONDS = 10.0
_MANY = 16


def read(login: LoggedIn, path: str, under: str | None = None) -> object:
    return login.session.call(lambda client: client.read(path), under=under)


def test_a_token_that_was_revoked_is_lost_and_there_is_one_login_more(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    before = login.use()
    vault_server.root.auth.token.revoke_accessor(before)
    assert login.use() != before
    assert len(login.logins.made) == 2
    assert login.session.generation() == ("alice", 1)
    login.use()
    assert len(login.logins.made) == 2


def test_however_many_find_it_dead_there_is_one_login_more(
    vault_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    login, together = LoggedIn(vault_server), threading.Barrier(_MANY)
    login.use()
    vault_server.root.auth.token.revoke(login.logins.made[0].token)

    def use() -> str:
        together.wait(_SECONDS)
        return login.use()

    with ThreadPoolExecutor(_MANY) as threads:
        used = [each.result(_SECONDS) for each in [threads.submit(use) for _ in range(_MANY)]]
    assert set(used) == {login.logins.made[1].accessor}
    assert len(login.logins.made) == 2
    assert login.session.generation() == ("alice", 1)
    assert caplog.messages == ["the server ended the login of corp before its time"]


def test_what_only_is_not_allowed_ends_no_login(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    login.use()
    with pytest.raises(BackendRefused, match=r"asking corp: .*permission denied"):
        read(login, "sys/policies/acl/root")
    assert len(login.logins.made) == 1
    assert login.session.generation() == ("alice", 0)


@pytest.fixture
def blind(vault_server: Server) -> LoggedIn:
    """Log in with tokens that may not even look themselves up."""
    policy = vault_server.policy({"sys/mounts": ["read"]})
    return LoggedIn(vault_server, policy, token_no_default_policy=True)


def test_nor_where_the_token_may_not_even_look_itself_up(blind: LoggedIn) -> None:
    for _ in range(2):
        with pytest.raises(BackendRefused):
            read(blind, "sys/policies/acl/root")
    assert len(blind.logins.made) == 1
    assert blind.session.generation() == ("alice", 0)


def test_and_such_a_one_is_known_to_be_dead_where_it_is(
    vault_server: Server, blind: LoggedIn
) -> None:
    for _ in range(2):
        blind.session.call(lambda client: client.read("sys/mounts"))
        vault_server.root.auth.token.revoke(blind.logins.made[-1].token)
    assert len(blind.logins.made) == 2
    assert blind.session.generation() == ("alice", 1)


def test_a_dead_token_that_is_found_as_it_is_renewed_is_lost_too(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    before = login.use()
    vault_server.root.auth.token.revoke_accessor(before)
    login.time.go_on(45)
    login.session.tend()
    assert login.session.generation() == ("alice", 1)
    assert login.use() != before
    assert len(login.logins.made) == 2


def test_one_that_dies_at_its_end_while_it_is_used_is_not_lost(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    before = login.use()

    def work(client: Any) -> object:
        if len(login.logins.made) == 1:
            vault_server.root.auth.token.revoke_accessor(before)
            login.time.go_on(60)
        return client.auth.token.lookup_self()

    login.session.call(work)
    assert len(login.logins.made) == 2
    assert login.session.generation() == ("alice", 0)


def test_where_the_role_is_gone_the_login_is_refused_until_it_is_back(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    login.use()
    login.logins.failure = BackendRefused("there is no such role")
    vault_server.root.auth.token.revoke(login.logins.made[0].token)
    for _ in range(2):
        with pytest.raises(BackendRefused, match="no such role"):
            login.use()
    assert login.session.generation() == ("alice", 1)
    login.logins.failure = None
    login.use()
    assert login.session.generation() == ("alice", 1)


def test_those_who_wait_for_one_login_hear_together_that_it_fails(vault_server: Server) -> None:
    login, begun, go_on = LoggedIn(vault_server), threading.Event(), threading.Event()
    times: list[int] = []

    def before() -> None:
        times.append(1)
        begun.set()
        assert go_on.wait(_SECONDS)

    login.logins.before, login.logins.failure = before, ServerDown("it is away")
    with ThreadPoolExecutor(_MANY) as threads:
        first = threads.submit(login.use)
        assert begun.wait(_SECONDS)
        others = [threads.submit(login.use) for _ in range(_MANY - 1)]
        _until_all_wait(login.session, _MANY - 1)
        go_on.set()
        errors = [each.exception(_SECONDS) for each in [first, *others]]
    assert {type(each) for each in errors} == {ServerDown}
    assert times == [1]


def test_what_is_made_under_a_token_is_made_under_that_or_not_at_all(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    accessor = login.session.risk()
    assert accessor == login.logins.made[0].accessor
    vault_server.root.auth.token.revoke_accessor(accessor)
    with pytest.raises(BackendUnavailable, match="has just ended") as ended:
        read(login, "auth/token/lookup-self", under=accessor)
    assert ended.value.details == {"sent": False}
    assert len(login.logins.made) == 1
    assert login.session.generation() == ("alice", 1)
    with pytest.raises(BackendUnavailable, match="has just ended"):
        read(login, "auth/token/lookup-self", under=accessor)


def test_nothing_is_made_under_who_has_logged_out(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    accessor = login.session.risk()
    login.logins.who = "bob"
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="has just ended"):
            read(login, "auth/token/lookup-self", under=accessor)
        login.use()


def test_nothing_is_made_under_one_that_is_being_revoked(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ServerDown("it is away")

    login = LoggedIn(vault_server)
    accessor = login.session.risk()
    assert accessor is not None
    monkeypatch.setattr("brokerd.backends.vault.upkeep.Upkeep.end", fails)
    with pytest.raises(ServerDown):
        login.session.revoke_accessor(accessor)
    with pytest.raises(BackendUnavailable, match="has just ended"):
        read(login, "auth/token/lookup-self", under=accessor)


def test_the_token_before_goes_on_to_do_what_was_begun_under_it(vault_server: Server) -> None:
    login = LoggedIn(vault_server, token_type="service", token_max_ttl="60s")
    accessor = login.session.risk()
    login.time.go_on(45)
    login.limit("20s")
    login.session.tend()
    assert len(login.logins.made) == 2
    found = read(login, "auth/token/lookup-self", under=accessor)
    assert isinstance(found, dict)
    assert found["data"]["accessor"] == accessor


def test_a_risk_is_of_a_token_that_lives(vault_server: Server) -> None:
    login = LoggedIn(vault_server)
    before = login.session.risk()
    vault_server.root.auth.token.revoke_accessor(before)
    assert login.session.risk() == login.logins.made[1].accessor != before


def test_an_accessor_ends_its_token_with_all_that_was_made_under_it(vault_server: Server) -> None:
    engine = vault_server.pki()
    policy = vault_server.policy({f"{engine}/issue/app": ["update"]})
    login = LoggedIn(vault_server, "default", policy)
    accessor = login.session.risk()
    assert accessor is not None
    login.session.call(
        lambda client: client.write(f"{engine}/issue/app", common_name="a"), under=accessor
    )
    assert len(vault_server.leases(f"{engine}/")) == 1
    login.session.revoke_accessor(accessor)
    assert vault_server.leases(f"{engine}/") == []
    assert login.session.generation() == ("alice", 1)
    login.session.revoke_accessor(accessor)


@pytest.fixture
def left(vault_server: Server) -> str:
    """Leave a login behind, as a daemon that was killed."""
    accessor = LoggedIn(vault_server).session.risk()
    assert accessor is not None
    return accessor


def test_one_of_a_daemon_that_was_killed_is_ended_too(vault_server: Server, left: str) -> None:
    policy = vault_server.policy({"auth/token/revoke-accessor": ["update"]})
    login = LoggedIn(vault_server, "default", policy)
    login.session.revoke_accessor(left)
    assert left not in vault_server.accessors()
    login.session.revoke_accessor(left)
    assert login.session.generation() == ("alice", 0)


def test_it_is_not_taken_for_ended_where_our_own_was_refused(
    vault_server: Server, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = vault_server.policy({"auth/token/revoke-accessor": ["update"]})
    token = vault_server.token("default", policy)["client_token"]
    client = LoggedIn(vault_server).vault.client(token)
    allowed = client.sys.get_capabilities

    def and_dies(paths: list[str]) -> object:
        found: object = allowed(paths)
        vault_server.root.auth.token.revoke(token)
        return found

    monkeypatch.setattr(client.sys, "get_capabilities", and_dies)
    with pytest.raises(hvac.exceptions.Forbidden):
        end_others(client, left)
    assert left in vault_server.accessors()


@pytest.mark.parametrize("asked", ["tend", "close", "revoke", "log in"])
def test_one_that_the_server_gave_more_time_is_ended_too(vault_server: Server, asked: str) -> None:
    """As where the answer to a renewal was lost: by our clock it is over."""
    login = LoggedIn(vault_server)
    accessor = login.use()
    login.time.go_on(61)
    if asked == "log in":
        login.use()
        login.time.go_on(41)
    if asked in ("tend", "log in"):
        login.session.tend()
    if asked == "close":
        login.session.close()
    else:
        login.session.revoke_accessor(accessor)
    assert accessor not in vault_server.accessors()


def test_one_that_may_not_be_ended_keeps_no_other_from_its_end(vault_server: Server) -> None:
    policy = vault_server.policy({"auth/token/revoke-self": ["deny"]})
    login = LoggedIn(vault_server, "default", policy)
    login.use()
    role = f"auth/{login.at.mount}/role/{login.at.role}"
    vault_server.write(role, token_policies=["default"])
    for login.logins.who in ("bob", "carol"):
        login.use()
    with pytest.raises(BackendRefused):
        login.session.tend()
    assert login.alive() == [True, False, True]


def test_where_that_is_not_allowed_the_rule_is_named(vault_server: Server, left: str) -> None:
    login = LoggedIn(vault_server)
    with pytest.raises(BackendRefused, match="a daemon that was killed") as refused:
        login.session.revoke_accessor(left)
    assert 'path "auth/token/revoke-accessor"' in refused.value.hint
    assert left in vault_server.accessors()


def test_one_that_could_not_be_ended_is_tried_again(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ServerDown("it is away")

    login = LoggedIn(vault_server)
    accessor = login.session.risk()
    assert accessor is not None
    with monkeypatch.context() as patch:
        patch.setattr("brokerd.backends.vault.upkeep.Upkeep.end", fails)
        with pytest.raises(ServerDown):
            login.session.revoke_accessor(accessor)
    assert login.session.generation() == ("alice", 0)
    assert accessor in vault_server.accessors()
    login.session.revoke_accessor(accessor)
    assert accessor not in vault_server.accessors()
    assert login.session.generation() == ("alice", 1)


def test_no_token_is_shown_by_anything(
    vault_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    login = LoggedIn(vault_server)
    login.use()
    first = login.logins.made[0]
    shown = [repr(first), repr(login.session._tokens.current)]
    shown += _told(lambda: read(login, "sys/policies/acl/root"))
    vault_server.root.auth.token.revoke(first.token)
    accessor = first.accessor
    shown += _told(lambda: read(login, "sys/policies/acl/root", under=accessor))
    shown += _told(lambda: login.session.revoke_accessor("of-somebody-else"))
    assert len(shown) == 5
    whole = "\n".join([*shown, caplog.text])
    for each in login.logins.made:
        assert each.token not in whole
    assert hvac.__name__ + ".exceptions" not in whole


def _told(act: Callable[[], object]) -> list[str]:
    """Return all that an error says, with all that is chained to it."""
    try:
        act()
    except BrokerError as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=False).format()
        return ["".join(lines) + repr(error.to_wire())]
    return []


def _until_all_wait(session: Session, number: int) -> None:
    """Wait until so many threads wait for the login that is under way."""
    flight = session._logging_in._under_way
    assert flight is not None
    condition: Any = flight._condition  # nothing else tells who waits
    wait_until(lambda: len(condition._waiters) >= number)
