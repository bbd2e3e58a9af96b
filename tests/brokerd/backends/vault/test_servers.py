"""Is what a backend's table says of its servers read as it is meant, and is the rest refused?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.vault.servers import servers
from brokershim.errors import ConfigError
from tests.support.certificate import self_signed
from tests.support.vault_client import table_of

ONE = "https://vault.example.com:8200"


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return self_signed(tmp_path, "vault.internal")[1]


def test_one_address() -> None:
    found = servers(table_of(address=ONE + "/"))
    assert found.addresses == (ONE,)
    assert found.namespace is None
    assert found.trust.ca_file is None
    assert found.trust.server_name is None


def test_several_keep_their_order() -> None:
    several = [ONE, "https://a.example", "http://127.0.0.1:8200", "https://gateway.example/vault"]
    assert servers(table_of(addresses=several)).addresses == tuple(several)


def test_all_of_it(authority: Path) -> None:
    table = table_of(
        address=ONE,
        namespace="/team-a/llm_1/",
        ca_file=str(authority),
        tls_server_name="v.internal",
    )
    found = servers(table)
    table.finish()
    assert found.namespace == "team-a/llm_1"
    assert found.trust.ca_file == str(authority)
    assert found.trust.server_name == "v.internal"


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, "one of address and addresses"),
        ({"address": ONE, "addresses": [ONE]}, "one of address and addresses"),
        ({"addresses": []}, "one of address and addresses"),
        ({"addresses": [ONE, ONE + "/"]}, "twice"),
        ({"addresses": [ONE, 7]}, "not a list of texts"),
        ({"address": "http://vault.example.com"}, "is not https"),
        ({"address": "http://127.0.0.1.example.com"}, "is not https"),
        ({"address": "ftp://127.0.0.1"}, "is not https"),
        ({"address": "vault.example.com:8200"}, "not a URL"),
        ({"address": "https://token@vault.example.com"}, "not a URL"),
        ({"address": ONE + "/v1/secret"}, "more than a server's URL"),
        ({"address": ONE + "/?a=b"}, "more than a server's URL"),
        ({"address": ONE + "/a b"}, "not a URL"),
        ({"address": ONE, "namespace": "a\r\nx-vault-token: b"}, "not a text"),
        ({"address": ONE, "namespace": "a: b"}, "namespace is no path"),
        ({"address": ONE, "namespace": "a/../b"}, "namespace is no path"),
        ({"address": ONE, "namespace": "a//b"}, "namespace is no path"),
        ({"address": ONE, "namespace": "t\u00e9am"}, "namespace is no path"),
        ({"address": ONE, "namespace": "/"}, "namespace is no path"),
        ({"address": ONE, "tls_server_name": "a..b"}, "tls_server_name"),
        ({"address": ONE, "tls_server_name": "https://a"}, "tls_server_name"),
        ({"address": ONE, "ca_file": "ca.pem"}, "ca_file is not an absolute path"),
        ({"address": ONE, "ca_file": "/no/such/ca.pem"}, "No such file"),
    ],
)
def test_what_is_refused(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        servers(table_of(**values))
    assert "config.toml: backend.corp" in caught.value.message


def test_a_file_with_no_authority_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN NOTHING-----")
    with pytest.raises(ConfigError, match="holds no certificate"):
        servers(table_of(address=ONE, ca_file=str(tmp_path / "ca.pem")))
