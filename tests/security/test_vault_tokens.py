"""The tokens of a Vault: who sees them, where do they go, and what do we log in with?"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import search
from demo.forms import Needles
from tests.security.corp import KEY, MADE, STATIC, Corp, lease, new_corp, refused
from tests.support.certificate import self_signed
from tests.support.daemon import failure_to_start, started, wait_until
from tests.support.vault import Server, tls_server
from tests.support.vault_tap import answer

_TOKEN = "hvs.CAESIJabcdefghijklmnopqrst"


@pytest.fixture
def corp(vault_server: Server) -> Iterator[Corp]:
    with new_corp(vault_server) as made:
        yield made


def test_claim_36_no_token_of_a_vault_is_anywhere_but_in_the_daemon(corp: Corp) -> None:
    with started(corp.world) as daemon:
        root = corp.root()
        made = lease(root, MADE)
        replies: list[object] = [lease(root, STATIC)["version"], made["lease"]]
        replies += [daemon.call(each) for each in ("backend.list", "daemon.status", "lease.list")]
        replies.append(daemon.call("backend.check", backend="corp"))
        corp.tap.instead["/issue/app"] = answer("400 No", {"errors": [" ".join(corp.lives())]})
        replies.append(refused(root, MADE).to_wire())
        (token,) = corp.lives()
        needles = Needles([token, KEY, made["value"], corp.secret_id.read_text()])
        looked = [
            search.in_processes(needles, "environ"),
            search.in_processes(needles, "cmdline"),
            search.in_folders(needles, [str(corp.world.root)]),
            search.in_texts(needles, {"replies": json.dumps(replies)}),
        ]
    looked.append(search.in_folders(needles, [str(corp.world.root)]))
    assert all(each.places for each in looked)
    assert [place for each in looked for place in each.found] == []


@pytest.mark.slow
@pytest.mark.parametrize("evil", ["\x1b]0;owned\x07", "\u202eevil", "two\n1970-01-01 ERROR"])
def test_claim_35_what_a_vault_says_drives_neither_a_terminal_nor_the_log(
    corp: Corp, evil: str
) -> None:
    with started(corp.world) as daemon:
        root = corp.root()
        corp.tap.instead["/capabilities-self"] = answer(
            "200 OK", {"data": {path: [evil, "list"] for path in corp.rules()}}
        )
        found = daemon.call("backend.check", backend="corp")["findings"]
        assert all(each.isprintable() for row in found for each in (*row["has"], row["hint"]))
        for said in (
            answer("200 OK", {"data": {"path": f"{corp.kv}/", "type": evil}}),
            answer("403 No", {"errors": [evil]}),
            answer("500 No", {"errors": [evil]}),
        ):
            corp.tap.instead = {"/mounts/": said, "/data/": said, "/issue/": said}
            assert all(refused(root, name).message.isprintable() for name in (STATIC, MADE))
        assert all(line.isprintable() for line in daemon.log.splitlines())
        assert not any(each.startswith("1970") for each in daemon.log.splitlines())


@pytest.fixture
def thief() -> Iterator[socket.socket]:
    """Listen where nobody should ever come."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def _nobody_came(listening: socket.socket) -> bool:
    try:
        listening.accept()[0].close()
    except BlockingIOError:
        return True
    return False


def test_claim_37_neither_the_environment_nor_a_file_at_home_sends_a_token_elsewhere(
    corp: Corp, thief: socket.socket
) -> None:
    places = "VAULT_ADDR VAULT_AGENT_ADDR VAULT_PROXY_ADDR BAO_ADDR"
    proxies = "HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy VAULT_HTTP_PROXY"
    corp.world.environ |= dict.fromkeys(f"{places} {proxies}".split(), _url(thief))
    files = "VAULT_CACERT VAULT_CAPATH VAULT_CLIENT_CERT VAULT_CLIENT_KEY REQUESTS_CA_BUNDLE"
    corp.world.environ |= dict.fromkeys(files.split(), "/nowhere")
    corp.world.environ |= {"VAULT_TOKEN": _TOKEN, "VAULT_NAMESPACE": "another"}
    for name, text in (
        (".vault-token", _TOKEN),
        (".netrc", "machine 127.0.0.1 login a password b"),
    ):
        path = corp.world.home / name
        path.write_text(text)
        path.chmod(0o600)
    with started(corp.world):
        root = corp.root()
        assert lease(root, STATIC)["value"] == KEY
        lease(root, MADE)
    assert _nobody_came(thief)
    whole = b"".join(corp.tap.asked)
    assert _TOKEN.encode() not in whole
    assert b"authorization:" not in whole.lower()
    assert b"namespace" not in whole.lower()


@pytest.mark.slow
@pytest.mark.parametrize("status", ["301 There", "302 There", "307 There", "308 There"])
def test_claim_37_no_redirect_does(corp: Corp, thief: socket.socket, status: str) -> None:
    with started(corp.world):
        root = corp.root()
        lease(root, MADE)  # logged in: from now on each request has the token
        for where in ("/data/", "/issue/", "/mounts/"):
            corp.tap.instead[where] = answer(status, {}, location=f"{_url(thief)}/v1/x")
        for name in (STATIC, MADE):
            assert "redirects" in refused(root, name).message
    assert _nobody_came(thief)


def test_claim_37_authorities_that_another_user_could_change_prove_nothing(
    corp: Corp, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    authority = self_signed(tmp_path / "shared", "vault.internal")[1]
    authority.parent.chmod(0o777)
    corp.configure(f'ca_file = "{authority}"\n{corp.approle()}', "https://127.0.0.1:1")
    error = failure_to_start(corp.world)
    assert f"can be written by others, who can change {authority.parent}" in error.message


@pytest.mark.slow
@pytest.mark.parametrize("trusted", ["", "the wrong one", "another name"])
def test_claim_37_nor_does_a_server_that_cannot_prove_its_name(trusted: str) -> None:
    with tls_server() as server, new_corp(server) as corp:
        login, asked = corp.approle(), len(corp.tap.asked)
        with tls_server() as other:
            authority = other.ca_file if trusted == "the wrong one" else server.ca_file
            login = f'ca_file = "{authority}"\n{login}' if trusted else login
            name = 'tls_server_name = "vault.example.com"\n' if trusted == "another name" else ""
            corp.configure(name + login, server.url)
            with started(corp.world):
                assert refused(corp.root(), STATIC).kind == "backend.down.tls"
        corp.configure(f'ca_file = "{server.ca_file}"\n{corp.approle()}', server.url)
        with started(corp.world):
            assert lease(corp.root(), STATIC)["value"] == KEY
        assert len(corp.tap.asked) == asked


@pytest.mark.parametrize(
    "trick", ["opened", pytest.param("made elsewhere", marks=pytest.mark.slow)]
)
def test_claim_41_a_secret_id_that_may_be_a_thiefs_is_not_used(corp: Corp, trick: str) -> None:
    server = corp.server
    corp.configure(corp.approle(wrapped=True))
    token = server.wrapped_secret_id(corp.role)
    if trick == "opened":
        stolen = server.client(token).sys.unwrap()["data"]
        assert "secret_id" in stolen
    else:
        wrapped = server.root.write_data(
            "sys/wrapping/wrap", data={"secret_id": "x"}, wrap_ttl="60s"
        )
        token = wrapped["wrap_info"]["token"]
    corp.deliver(token)
    with started(corp.world):
        error = refused(corp.root(), STATIC)
        assert error.kind == "denied.wrap_opened"
        (event,) = corp.world.events("key.failed")
        assert event["kind"] == "denied.wrap_opened"
    assert not any(b"/login" in each for each in corp.tap.asked)
    if trick != "opened":  # it was left unopened
        assert server.client(None).write_data("sys/wrapping/lookup", data={"token": token})


_HELPER = "#!/bin/sh\nenv > {ran}\nprintf %s {token}\n"


@pytest.mark.parametrize(
    "loose", ["bin", *(pytest.param(each, marks=pytest.mark.slow) for each in ("", "bin/helper"))]
)
def test_claim_42_a_token_helper_that_others_could_change_is_not_run(
    corp: Corp, tmp_path: Path, loose: str
) -> None:
    token = corp.server.token("default", corp.policy)["client_token"]
    folder, ran = tmp_path / "bin", tmp_path / "ran"
    folder.mkdir()
    helper = folder / "helper"
    helper.write_text(_HELPER.format(ran=ran, token=token))
    helper.chmod(0o700)
    if loose:
        (tmp_path / loose).chmod(0o777)
    corp.configure(f'login = "token"\ntoken_helper = "{helper}"')
    corp.world.environ["OF_A_SHELL"] = "evil"
    with started(corp.world) as daemon:
        root = corp.root()
        if loose:
            assert refused(root, STATIC).kind == "denied.insecure_path"
        else:
            assert lease(root, STATIC)["value"] == KEY
        assert ran.exists() is not bool(loose)
        assert loose or "OF_A_SHELL" not in ran.read_text()
        assert token not in daemon.log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("does", "kind"), [("yes", "backend.identity"), ("sleep 60", "backend.timeout")]
)
def test_claim_42_nor_may_one_take_time_or_memory_without_end(
    corp: Corp, tmp_path: Path, does: str, kind: str
) -> None:
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\n{does}\n")
    helper.chmod(0o700)
    corp.configure(f'login = "token"\ntoken_helper = "{helper}"')
    with started(corp.world) as daemon:
        corp.root().begin(f"call('lease.acquire', {{'secret': {STATIC!r}}})")
        wait_until(lambda: bool(corp.world.events("key.failed")), 30)
        assert corp.world.events("key.failed")[0]["kind"] == kind
        assert daemon.memory() < 200 * 1024 * 1024
