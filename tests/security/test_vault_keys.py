"""Keys of a Vault: what is left there, whose is ended, and until when is one served?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.corp import KEY, MADE, PATH, STATIC, Corp, ended, lease, new_corp, refused
from tests.support.daemon import started, wait_until
from tests.support.vault import Server, dev_server
from tests.support.vault_tap import answer

_WATCH, _STALE, _SLACK = 1, 3, 3  # in seconds: a tick of the daemon, two requests, a busy machine


@pytest.fixture
def corp(vault_server: Server) -> Iterator[Corp]:
    with new_corp(vault_server) as made:
        yield made


@pytest.fixture
def own_corp() -> Iterator[Corp]:
    """One whose server may be sealed, or made to hang."""
    with dev_server() as server, new_corp(server) as made:
        yield made


@pytest.mark.slow
def test_claim_38_what_was_made_ends_though_its_answer_is_lost(corp: Corp) -> None:
    with corp.killed():
        root = corp.root()
        lease(root, STATIC)
        corp.tap.instead["/issue/app"] = None
        corp.tap.instead["/revoke"] = answer("500 Not now", {"errors": ["not now"]})
        assert refused(root, MADE).kind == "backend.down"
        assert len(corp.leases()) == 1  # nobody was told of it
    corp.tap.instead.clear()
    with started(corp.world):
        wait_until(lambda: corp.leases() == [], 10)
    assert corp.lives() == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sealed", "hanging"])
def test_claim_38_and_though_its_server_is_away_as_the_daemon_stops(
    own_corp: Corp, how: str
) -> None:
    corp = own_corp
    with started(corp.world) as daemon:
        lease(corp.root(), MADE)
        if how == "sealed":
            corp.server.seal()
            daemon.process.terminate()
            daemon.process.wait(30)
            corp.server.unseal()
        else:
            with corp.server.process.paused():
                daemon.process.terminate()
                daemon.process.wait(30)
    with started(corp.world):
        wait_until(lambda: corp.leases() == [], 10)


@pytest.mark.slow
def test_claim_38_and_though_its_login_was_ended_by_somebody_else(corp: Corp) -> None:
    with started(corp.world):
        root = corp.root()
        lease(root, MADE)
        lease(root, STATIC)
        (token,) = corp.lives()
        corp.server.root.auth.token.revoke(token)
        ended(corp, "a newer key takes its place")
        lease(root, MADE)
        wait_until(lambda: len(corp.leases()) == 1)
        assert lease(root, STATIC)["value"] == KEY
    assert (corp.leases(), corp.lives()) == ([], [])


@pytest.mark.slow
def test_claim_38_a_daemon_that_stops_gives_its_login_back(corp: Corp) -> None:
    with started(corp.world):
        root = corp.root()
        for name in (STATIC, MADE, MADE):
            lease(root, name)
        assert (len(corp.leases()), len(corp.lives())) == (2, 1)
    assert (corp.leases(), corp.lives()) == ([], [])


def test_claim_39_no_lease_of_somebody_else_is_ended_or_shared(corp: Corp) -> None:
    """The server lies about what it made, or something before it repeats what it said."""
    with started(corp.world):
        victim, root = corp.root(), corp.root()
        lease(victim, MADE)
        (theirs,) = corp.leases()
        said = {"lease_duration": 60, "data": {"serial_number": "7d:1f:0c:52:a9:b8:4e:63"}}
        corp.tap.instead["/issue/app"] = answer("200 OK", {**said, "lease_id": theirs})
        assert refused(root, MADE).kind == "denied.backend"
        assert corp.leases() == [theirs]
        elsewhere = corp.server.write(f"{corp.server.pki()}/issue/app", common_name="a.example")
        lie = {**said, "lease_id": elsewhere["lease_id"]}
        corp.tap.instead["/issue/app"] = answer("200 OK", lie)
        assert refused(root, MADE).kind == "backend.down"
        mount = elsewhere["lease_id"].partition("/")[0]
        assert corp.server.leases(f"{mount}/") == [elsewhere["lease_id"]]


def _ends_in_time(corp: Corp, change: str) -> None:
    """Change something at the server, and see that the lease of the key that was ends."""
    begun = time.monotonic()
    if change == "written anew":
        corp.server.delete(f"{corp.kv}/metadata/{PATH}")
        corp.server.put(corp.kv, PATH, key="sk-proj-another-one")
    elif change == "forbidden":
        rule = f'path "{corp.kv}/metadata/{PATH}" {{ capabilities = ["read"] }}'
        corp.server.write(f"sys/policies/acl/{corp.policy}", policy=rule)
    else:
        corp.server.delete(f"{corp.kv}/data/{PATH}")
    wait_until(lambda: bool(corp.world.events("lease.ended")), _WATCH + _SLACK)
    assert time.monotonic() - begun < _WATCH + _SLACK


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("written anew", ""),
        ("deleted", "not_found.secret.deleted"),
        ("forbidden", "denied.backend"),
    ],
)
def test_claim_40_a_key_that_its_vault_gives_no_more_ends_in_time(
    corp: Corp, change: str, kind: str
) -> None:
    with started(corp.world):
        root = corp.root()
        assert lease(root, STATIC)["value"] == KEY
        _ends_in_time(corp, change)
        if kind:
            assert refused(root, STATIC).kind == kind
        else:
            assert lease(root, STATIC)["value"] == "sk-proj-another-one"


@pytest.mark.slow
def test_claim_40_so_does_one_whose_login_is_over(corp: Corp, tmp_path: Path) -> None:
    token, file = corp.server.token("default", corp.policy)["client_token"], tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(token)
    corp.configure(f'login = "token"\ntoken_file = "{file}"')
    with started(corp.world):
        root = corp.root()
        assert lease(root, STATIC)["value"] == KEY
        corp.server.root.auth.token.revoke(token)
        ended(corp, "no longer given by its backend")
        assert refused(root, STATIC).kind == "denied.identity_expired"


@pytest.mark.slow
def test_claim_40_nor_is_one_served_for_long_of_which_nothing_is_heard(own_corp: Corp) -> None:
    corp = own_corp
    with started(corp.world):
        root = corp.root()
        assert lease(root, STATIC)["expires_in"] <= _STALE
        with corp.server.process.paused():
            begun = time.monotonic()
            wait_until(lambda: bool(corp.world.events("lease.ended")), _STALE + _SLACK)
            assert time.monotonic() - begun < _STALE + _SLACK
            assert refused(root, STATIC).kind in ("backend.down", "backend.timeout")


_ASKING = """
try:
    call(given["method"], given["params"])
except Exception:
    pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "params"),
    [("lease.acquire", {"secret": MADE}), ("backend.check", {"backend": "corp"})],
)
def test_claim_19_many_who_ask_a_vault_that_hangs_hold_up_no_other_secret(
    own_corp: Corp, method: str, params: dict[str, str]
) -> None:
    corp = own_corp
    with started(corp.world) as daemon:
        daemon.set_secret("openai/store", KEY)
        lease(corp.root(), MADE)
        many, other = [corp.root() for _ in range(50)], corp.stage.enter()
        with corp.server.process.paused():
            for each in many:
                each.begin(f"given = {{'method': {method!r}, 'params': {params!r}}}{_ASKING}")
            wait_until(lambda: len(corp.tap.asked) > 10, 10)
            begun = time.monotonic()
            other.call("session.open", program="/bin/true", env={"A": "openai/store"})
            assert lease(other, "openai/store")["value"] == KEY
            assert time.monotonic() - begun < 3
