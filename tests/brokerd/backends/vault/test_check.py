"""What does a check say of tokens that may too little, enough, or too much?"""

from __future__ import annotations

from typing import Any

import pytest

from brokerd.backends.people import Finding
from brokershim.errors import BackendRefused
from tests.support.vault import Server
from tests.support.vaulted import ENDING, vaulted

STATIC, MADE = "openai/dev", "gateway/app"
RENEWING = {"sys/leases/renew": ["update"]}


def _kv(mount: str) -> dict[str, Any]:
    return {"mount": mount, "path": "llm/openai", "field": "key"}


def _dynamic(mount: str) -> dict[str, Any]:
    return {"engine": "dynamic", "path": f"{mount}/issue/app", "method": "write", "field": "x"}


def _found(
    server: Server, rules: dict[str, list[str]], secrets: dict[str, dict[str, Any]], **token: Any
) -> dict[str, Finding]:
    findings = vaulted(server, rules, secrets, **token).backend.check()
    assert len({each.path for each in findings}) == len(findings)
    return {each.path: each for each in findings}


def test_least_privilege_is_fine(vault_server: Server) -> None:
    two, one, pki = vault_server.kv(), vault_server.kv(1), vault_server.pki()
    paths = [f"{two}/data/llm/openai", f"{two}/metadata/llm/openai", f"{one}/llm/openai"]
    rules = {path: ["read"] for path in paths} | {f"{pki}/issue/app": ["update"]}
    secrets = {STATIC: _kv(two), "openai/old": _kv(one), MADE: _dynamic(pki)}
    found = _found(vault_server, {**rules, **ENDING, **RENEWING}, secrets)
    assert {each.verdict for each in found.values()} == {"ok"}
    assert {path: (each.subject, each.has) for path, each in found.items()} == {
        paths[0]: (STATIC, ("read",)),
        paths[1]: (STATIC, ("read",)),
        paths[2]: ("openai/old", ("read",)),
        f"{pki}/issue/app": (MADE, ("update",)),
        "auth/token/renew-self": ("", ("update",)),
        "auth/token/revoke-self": ("", ("update",)),
        "auth/token/revoke-accessor": ("", ("update",)),
        "sys/leases/revoke": ("", ("update",)),
        "sys/leases/renew": ("", ("update",)),
        "sys/leases/lookup": ("", ("update",)),
    }
    assert not any(each.hint for each in found.values())


def test_static_keys_need_nothing_that_ends_leases(vault_server: Server) -> None:
    mount = vault_server.kv()
    found = _found(vault_server, {f"{mount}/*": ["read"]}, {STATIC: _kv(mount)})
    assert {path for path in found if not path.startswith(mount)} == {
        "auth/token/renew-self",
        "auth/token/revoke-self",
    }


def test_what_is_missing_comes_with_its_rule(vault_server: Server) -> None:
    mount, pki = vault_server.kv(), vault_server.pki()
    rules = {f"{mount}/data/*": ["read"], "sys/leases/renew": ["deny"]}
    found = _found(vault_server, rules, {STATIC: _kv(mount), MADE: _dynamic(pki)})
    for path, lacks in {
        f"{mount}/metadata/llm/openai": "read",
        f"{pki}/issue/app": "update",
        "sys/leases/revoke": "update",
        "sys/leases/renew": "update",
        "auth/token/revoke-accessor": "update",
    }.items():
        assert (found[path].verdict, found[path].has, found[path].lacks) == ("lacks", (), (lacks,))
        assert f'path "{path}" {{ capabilities = ["{lacks}"] }}' in found[path].hint


@pytest.mark.parametrize("slip", ["data/", "{mount}/"])
def test_a_path_that_is_written_as_elsewhere_needs_no_policy(
    vault_server: Server, slip: str
) -> None:
    mount = vault_server.kv()
    start = slip.format(mount=mount)
    secrets = {STATIC: {**_kv(mount), "path": f"{start}llm/openai"}}
    found = _found(vault_server, {f"{mount}/data/llm/*": ["read"]}, secrets)
    lacking = found[f"{mount}/data/{start}llm/openai"]
    assert lacking.lacks == ("read",)
    assert lacking.hint.startswith(f'leave out the "{start}" of path')


def test_a_mount_where_it_may_do_nothing_is_named(vault_server: Server) -> None:
    mount = vault_server.kv()
    found = _found(vault_server, {"elsewhere": ["read"]}, {STATIC: _kv(mount)})
    nowhere = found[f"{mount}/llm/openai"]
    assert (nowhere.subject, nowhere.lacks) == (STATIC, ("read",))
    assert f'path "{mount}/data/llm/openai"' in nowhere.hint
    assert nowhere.hint.startswith(f"if {mount} is its mount, ")  # as for one that is none


def test_a_mount_that_is_no_kv_engine_is_named(vault_server: Server) -> None:
    mount = vault_server.pki()
    found = _found(vault_server, {f"{mount}/*": ["read"]}, {STATIC: _kv(mount)})
    assert found[f"{mount}/llm/openai"].lacks == ("read",)
    assert 'engine = "dynamic"' in found[f"{mount}/llm/openai"].hint


@pytest.mark.parametrize(
    "more", [["create"], ["update"], ["patch"], ["delete"], ["list"], ["sudo"], ["list", "update"]]
)
def test_what_is_too_much_is_named(vault_server: Server, more: list[str]) -> None:
    mount = vault_server.kv()
    rules = {f"{mount}/data/*": ["read", *more], f"{mount}/metadata/*": ["read"]}
    found = _found(vault_server, rules, {STATIC: _kv(mount)})[f"{mount}/data/llm/openai"]
    assert (found.verdict, found.beyond, found.lacks) == ("beyond", tuple(sorted(more)), ())
    assert found.hint == f'enough is: path "{found.path}" {{ capabilities = ["read"] }}'


@pytest.mark.parametrize(("version", "part"), [(1, ""), (2, "metadata/")])
def test_who_may_list_what_is_beside_a_secret_may_too_much(
    vault_server: Server, version: int, part: str
) -> None:
    mount = vault_server.kv(version)
    folder = f"{mount}/{part}llm/"
    rules = {f"{mount}/*": ["read"], folder: ["list"]}
    found = _found(vault_server, rules, {STATIC: _kv(mount)})
    assert (found[folder].subject, found[folder].beyond) == (STATIC, ("list",))
    assert {each.verdict for path, each in found.items() if path != folder} == {"ok"}
    top = {STATIC: {**_kv(mount), "path": "openai"}}
    assert f"{mount}/{part}" in _found(vault_server, {f"{mount}/*": ["read", "list"]}, top)


@pytest.mark.parametrize(
    ("method", "allowed", "hint"),
    [
        ("read", "update", 'set `method = "write"`'),
        ("write", "read", 'take `method = "write"` out'),
    ],
)
def test_who_may_make_a_key_in_the_other_way_alone_has_the_wrong_method(
    vault_server: Server, method: str, allowed: str, hint: str
) -> None:
    pki = vault_server.pki()
    made, path = {**_dynamic(pki), "method": method}, f"{pki}/issue/app"
    for capability, said in ((allowed, hint), ("delete", "add to the policy")):
        assert said in _found(vault_server, {path: [capability]}, {MADE: made})[path].hint


def test_create_is_not_more_than_update(vault_server: Server) -> None:
    pki = vault_server.pki()
    rules = {f"{pki}/issue/app": ["create", "update"], **ENDING, **RENEWING}
    assert _found(vault_server, rules, {MADE: _dynamic(pki)})[f"{pki}/issue/app"].verdict == "ok"


def test_a_batch_token_needs_no_leave_to_end_itself(vault_server: Server) -> None:
    pki = vault_server.pki()
    rules = {f"{pki}/issue/app": ["update"], "sys/leases/revoke": ["update"], **RENEWING}
    found = _found(vault_server, rules, {MADE: _dynamic(pki)}, type="batch")
    assert set(found) == {
        f"{pki}/issue/app",
        *(f"sys/leases/{each}" for each in ("revoke", "renew", "lookup")),
        "auth/token/revoke-accessor",
    }
    assert {each.verdict for each in found.values()} == {"ok"}
    hints = {path: each.hint for path, each in found.items() if each.hint}
    assert list(hints) == ["auth/token/revoke-accessor"]
    assert "a key whose answer is lost" in hints["auth/token/revoke-accessor"]


def test_root_is_beyond_everything(vault_server: Server) -> None:
    mount = vault_server.kv()
    parts = vaulted(vault_server, {"x": ["read"]}, {STATIC: _kv(mount)})
    parts.method.policies = ["root"]
    parts.method.terms = {"ttl": "60s"}
    found = parts.backend.check()
    assert {(each.has, each.lacks, each.beyond) for each in found} == {(("root",), (), ("root",))}
    assert all("it may do everything there is" in each.hint for each in found)


def test_who_may_not_ask_cannot_be_told(vault_server: Server) -> None:
    mount = vault_server.kv()
    rules = {f"{mount}/*": ["read"], "auth/token/lookup-self": ["read"]}
    parts = vaulted(vault_server, rules, {STATIC: _kv(mount)}, no_default_policy=True)
    with pytest.raises(BackendRefused, match="asking what the token may do"):
        parts.backend.check()


def test_no_secret_is_read_for_it(vault_server: Server) -> None:
    pki = vault_server.pki()
    rules = {f"{pki}/issue/app": ["update"], **ENDING, **RENEWING}
    _found(vault_server, rules, {MADE: _dynamic(pki)})
    assert not vault_server.leases(f"{pki}/issue/app/")
