"""A server that keeps what it has on a disk, and is killed while we have leases there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brokershim.errors import ServerDown, ServerSealed
from tests.support.backends import WHOM
from tests.support.vault import Server, raft_server
from tests.support.vaulted import ENDING, Vaulted, vaulted

pytestmark = pytest.mark.slow

STATIC, MADE = "openai/dev", "gateway/app"


@pytest.fixture
def server() -> Iterator[Server]:
    with raft_server() as running:
        yield running


def _parts(server: Server, pki: str) -> Vaulted:
    """Build a backend with a static key, and one that an engine makes."""
    kv = server.kv()
    server.put(kv, "llm/openai", key="sk-of-the-vault")
    rules = {f"{kv}/*": ["read"], f"{pki}/issue/*": ["update"], **ENDING}
    issue = {"path": f"{pki}/issue/app", "method": "write", "field": "serial_number"}
    made = {"engine": "dynamic", "parameters": {"common_name": "app.example"}, **issue}
    static = {"mount": kv, "path": "llm/openai", "field": "key"}
    return vaulted(server, rules, {STATIC: static, MADE: made})


def test_what_was_leased_before_a_power_cut_is_ended_after_it(server: Server) -> None:
    pki = server.pki()
    parts = _parts(server, pki)
    assert parts.backend.fetch(STATIC).value == b"sk-of-the-vault"
    made, login = parts.backend.make(MADE, None, WHOM), parts.backend.generation()
    (lease,) = server.leases(f"{pki}/")
    upstream = f"lease/{lease}"
    assert made.upstream == upstream

    server.process.kill()
    with pytest.raises(ServerDown) as away:
        parts.backend.fetch(STATIC)
    assert not isinstance(away.value, ServerSealed)
    with pytest.raises(ServerDown):
        parts.backend.revoke(upstream)

    server.restart()
    for ask in (parts.backend.fetch, parts.backend.newest, parts.backend.prepare):
        with pytest.raises(ServerSealed) as sealed:
            ask(MADE if ask == parts.backend.prepare else STATIC)
        assert "unseal" in sealed.value.hint

    server.unseal()
    assert parts.backend.fetch(STATIC).value == b"sk-of-the-vault"
    parts.backend.revoke(upstream)
    assert server.leases(f"{pki}/") == []
    # Raft keeps tokens, too: nobody had to log in anew, so no lease ended for it.
    assert parts.backend.generation() == login
    assert len(parts.method.made) == 1
