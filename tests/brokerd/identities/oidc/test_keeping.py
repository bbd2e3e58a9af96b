"""Where a login stands, and what a keyring may do to it."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import pytest
from keyring.errors import KeyringLocked

from brokerd.identities.oidc.identity import OidcIdentity
from brokerd.identities.oidc.keeping import Kept
from brokershim.errors import KeyringUnavailable, LoginRequired
from tests.brokerd.identities.oidc.conftest import Time, log_in, make
from tests.support.issuer import OpenIdIssuer
from tests.support.keyring_session import keyring_session
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.require import require_linux

ENTRY = ("brokerctl", "login/work")


@pytest.mark.parametrize("change", [{"client_id": "another"}, {"issuer": "https://other.example"}])
def test_a_refresh_token_goes_to_no_other_provider(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time, keyring: MemoryKeyring,
    change: dict[str, str],
) -> None:  # fmt: skip
    log_in(identity, issuer)
    entry = keyring.entries[ENTRY]
    keyring.entries[ENTRY] = json.dumps({**json.loads(entry), **change})
    asked = len(issuer.asked)
    again = make(issuer, time)
    with pytest.raises(LoginRequired):
        again.token(None)
    again.logout()
    assert keyring.entries == {}
    assert len(issuer.asked) == asked


@pytest.mark.parametrize(
    "entry",
    ["", "[]", "nonsense", "{}", "[" * 100_000,
     '{"refresh_token": 7}', '{"refresh_token": "", "subject": "a", "shown": "a"}'],
)  # fmt: skip
def test_an_entry_that_is_no_login_is_none(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring, entry: str
) -> None:
    log_in(identity, issuer)
    whole = json.loads(keyring.entries[ENTRY])
    bound = {key: whole[key] for key in ("issuer", "client_id")}
    if entry.startswith("{"):
        entry = json.dumps({**json.loads(entry), **bound})
    keyring.entries[ENTRY] = entry
    assert identity.standing().state == "login"
    with pytest.raises(LoginRequired):
        identity.token(None)


@pytest.mark.parametrize(
    "times",
    [{"until": "soon"}, {"life": True}, {"until": 7}, {"until": math.inf}, {"life": math.nan}],
)
def test_times_that_are_none_make_no_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring, times: dict[str, object]
) -> None:
    log_in(identity, issuer)
    keyring.entries[ENTRY] = json.dumps({**json.loads(keyring.entries[ENTRY]), **times})
    assert identity.standing().state == "login"


def test_a_locked_keyring_is_named(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    keyring.refuse = KeyringLocked("SECRET")
    standing = identity.standing()
    assert standing.state == "failed"
    assert "KeyringLocked" in standing.reason
    assert 'or write keep = "memory" into [identity.work]' in standing.reason
    for call in (lambda: identity.token(None), lambda: identity.login("browser"), identity.logout):
        with pytest.raises(KeyringUnavailable) as caught:
            call()
        assert 'keep = "memory"' in caught.value.hint
        assert "SECRET" not in caught.value.message
        assert caught.value.__cause__ is caught.value.__context__ is None
    keyring.refuse = None
    assert identity.standing().state == "ready"


def test_without_a_keyring_no_login_begins(
    issuer: OpenIdIssuer, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, None)
    with pytest.raises(KeyringUnavailable, match="no keyring") as caught:
        make(issuer, time).login("browser")
    assert "[identity.work]" in caught.value.hint
    assert issuer.asked == []


class _Forgetful(MemoryKeyring):
    def set_password(self, service: str, username: str, password: str) -> None:
        del service, username, password


def test_a_keyring_that_keeps_nothing_is_found_out_at_the_login(
    issuer: OpenIdIssuer, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, _Forgetful())
    with pytest.raises(KeyringUnavailable, match="did not keep"):
        log_in(make(issuer, time), issuer)


def test_two_identities_are_two_entries(
    issuer: OpenIdIssuer, time: Time, keyring: MemoryKeyring
) -> None:
    for name in ("work", "home"):
        log_in(make(issuer, time, name=name), issuer)
    assert set(keyring.entries) == {ENTRY, ("brokerctl", "login/home")}


def test_no_repr_shows_a_token() -> None:
    assert "secret" not in repr(Kept("a", "a", "secret"))


def test_a_real_keyring_keeps_a_login(
    issuer: OpenIdIssuer, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_linux()
    with tempfile.TemporaryDirectory() as folder, keyring_session(Path(folder)) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        log_in(make(issuer, time), issuer)
        again = make(issuer, time)
        assert again.token(None).subject == "user-1"
        assert again.token(None).subject == "user-1"
        again.logout()
        assert make(issuer, time).standing().state == "login"
