"""Is what no Vault says told apart from what one does?"""

from __future__ import annotations

import json

import pytest

from brokershim.errors import (
    ServerDown,
    ServerSealed,
    ServerStandby,
)
from tests.support.provider import Answer, Asked, Provider
from tests.support.vault_client import (
    JWT,
    error_of,
    read,
    vault_at,
    write,
)

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.mark.parametrize(
    "said",
    [
        Answer(200, b"<html>log in</html>"),
        Answer(200, b"[1]"),
        Answer(200, b'"a"'),
        Answer(200, b""),
        Answer(200, b"[" * 100_000),
        Answer(201, b"{}"),
        Answer(403, b"<html>forbidden</html>"),
        Answer(404, b"not found"),
        Answer(404, b"{}"),
        Answer(400, b'{"errors": "no list"}'),
        Answer(400, b'{"errors": [7]}'),
        Answer(404, b'{"errors": {"a": 1}, "data": {}}'),
        Answer(404, b'[{"errors": []}]'),
    ],
    ids=lambda said: f"{said.status}-{said.body[:12]!r}",
)
def test_what_no_vault_says_is_the_servers_fault(second: Provider, said: Answer) -> None:
    """A proxy's 404 must not look like a secret that is gone, nor its page like one."""
    second.reply = lambda _: said
    error = error_of(read, second.url)
    assert type(error) is ServerDown
    assert "answers what no Vault does" in error.message
    assert "https" in error.hint  # such as a TLS server's 400 to plain http
    assert "address" in error.hint


def test_a_failure_is_told_in_the_servers_words_without_what_it_was_sent(second: Provider) -> None:
    def echo(asked: Asked) -> Answer:
        said = f"cannot connect; I had {asked.headers['x-vault-token']} and {asked.body!r}"
        return Answer(500, json.dumps({"errors": [said]}).encode())

    second.reply = echo
    error = error_of(write, second.url)
    assert "fails with status 500: cannot connect; I had […]" in error.message
    assert JWT not in error.message


def test_health_is_told_by_its_status(second: Provider) -> None:
    kinds = {429: ServerStandby, 472: ServerStandby, 473: ServerStandby, 501: ServerSealed}
    for status, kind in {**kinds, 503: ServerSealed, 530: ServerDown}.items():
        second.reply = lambda _, status=status: Answer(status, b"")  # type: ignore[misc]
        with pytest.raises(kind):
            vault_at(second.url).client().sys.read_health_status()
    second.reply = lambda _: Answer(200, b"")
    vault_at(second.url).client().sys.read_health_status()
