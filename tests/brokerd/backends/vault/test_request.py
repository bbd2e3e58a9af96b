"""Does a request go out as it should, and to nobody else?"""

from __future__ import annotations

from typing import Any

import pytest

from brokershim.errors import (
    BrokerError,
    ServerDown,
    ServerStandby,
)
from tests.support.provider import Answer, Provider
from tests.support.vault_client import (
    TOKEN,
    error_of,
    gone_address,
    read,
    vault_at,
)

pytestmark = pytest.mark.usefixtures("at_once")


def test_a_request_goes_out_as_it_should(second: Provider) -> None:
    vault_at(second.url, namespace="team-a").client(TOKEN).write_data("a/b", data={"c": "d"})
    (asked,) = second.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/v1/a/b", b'{"c": "d"}')
    assert asked.headers == {
        "host": second.url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "connection": "close",
        "content-length": "10",
        "content-type": "application/json",
        "user-agent": "brokerctl",
        "x-vault-namespace": "team-a",
        "x-vault-request": "true",
        "x-vault-token": TOKEN,
    }


def test_without_a_token_none_goes_out(second: Provider) -> None:
    vault_at(second.url).client().read("a")
    assert "x-vault-token" not in second.asked[0].headers


def test_a_gateway_may_have_a_path_of_its_own(second: Provider) -> None:
    read(second.url + "/team/vault")
    assert second.asked[0].target == "/team/vault/v1/secret/a"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(first: Provider, second: Provider, status: int) -> None:
    where = (("location", f"{second.url}/v1/secret/a"),)
    first.reply = lambda _: Answer(status, b"", where)
    error = error_of(read, first.url)
    assert isinstance(error, ServerStandby if status == 307 else ServerDown)
    assert second.asked == []


def test_no_variable_decides_where_it_goes(
    second: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / ".vault-token").write_text("a-token-of-the-environment")
    (tmp_path / ".netrc").write_text("default login me password a-token-too")
    elsewhere = gone_address()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "a-token-of-the-environment")
    for name in ("VAULT_ADDR", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, elsewhere)
    for name in ("VAULT_CACERT", "VAULT_CAPATH", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"):
        monkeypatch.setenv(name, "/no/such/file")
        monkeypatch.setattr(f"hvac.v1.{name}", "/no/such/file", raising=False)
    monkeypatch.setenv("VAULT_NAMESPACE", "elsewhere")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    vault_at(second.url).client().read("secret/a")
    headers = second.asked[0].headers
    assert not {"x-vault-token", "authorization", "x-vault-namespace"} & headers.keys()


@pytest.mark.parametrize("token", ["", "a\nb", "a b", " a", "a\r\nx: y", "t\u00e9", "a\0"])
def test_what_is_no_token_is_not_sent(second: Provider, token: str) -> None:
    with pytest.raises(BrokerError) as caught:
        vault_at(second.url).client(token)
    assert caught.value.message == "corp: what should be a token is none"
    assert "`brokerctl backend enrol corp`" in caught.value.hint
    assert second.asked == []
