"""Which kinds there are, what each refuses, and that nothing is loaded that is not configured."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from brokerd import config, kinds
from brokershim.errors import ConfigError

IDENTITY = '[identity.robot]\nkind = "file"\npath = "/run/token"\n'
FEDERATION = '[backend.llm]\nkind = "federation"\n'


def load(folder: Path, text: str) -> config.Config:
    path = folder / "config.toml"
    path.touch(0o600)
    path.write_text(text)
    return config.load(str(path))


def build(folder: Path, text: str) -> None:
    settings = load(folder, text)
    kinds.build_backends(settings, kinds.build_identities(settings))


@pytest.mark.parametrize("module", [*kinds.IDENTITIES.values(), *kinds.BACKENDS.values()])
def test_every_kind_of_the_table_can_be_built(module: str) -> None:
    assert callable(importlib.import_module(module).build)


def test_identities_are_built_by_name(tmp_path: Path) -> None:
    text = IDENTITY + '[identity.job]\nkind = "ci"\n[identity.pod]\nkind = "kubernetes"\n'
    built = kinds.build_identities(load(tmp_path, text))
    assert {name: (each.name, each.kind) for name, each in built.items()} == {
        "robot": ("robot", "file"),
        "job": ("job", "ci"),
        "pod": ("pod", "kubernetes"),
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[identity.robot]\nkind = "plugin"\n', "identity.robot: kind is none of oidc, ci"),
        ('[identity.robot]\npath = "/run/token"\n', "identity.robot: kind is missing"),
        ("[identity.robot]\nkind = 5\n", "identity.robot: kind is not a text"),
        (IDENTITY + 'pth = "/x"\n', r"unknown key identity\.robot\.pth"),
        ('[identity.job]\nkind = "ci"\naudience = "a"\n', r"unknown key identity\.job\.audience"),
        ('[identity.robot]\nkind = "file"\n', "identity.robot: path is missing"),
        ('[identity.robot]\nkind = "file"\npath = "token"\n', "path is not an absolute path"),
        ('[identity.robot]\nkind = "file"\npath = ["/run"]\n', "path is not a text"),
        ('[identity.pod]\nkind = "kubernetes"\npath = "token"\n', "path is not an absolute path"),
        ('[identity.app]\nkind = "spiffe"\n', "identity.app: socket is missing"),
        ('[identity.app]\nkind = "spiffe"\nsocket = "/run/a"\n', "socket is not like unix:"),
        ('[identity.app]\nkind = "spiffe"\nsocket = "tcp://127.0.0.1:1"\n', "socket is not like"),
        ('[identity.app]\nkind = "spiffe"\nsocket = "unix://host/a"\n', "socket is not like"),
        ('[identity.app]\nkind = "spiffe"\nsocket = "unix:///a?b"\n', "socket is not like"),
        (
            '[identity.app]\nkind = "spiffe"\nsocket = "unix:///a"\nspiffe_id = "app"\n',
            "spiffe_id is not like spiffe:",
        ),
        ('[identity.Robot]\nkind = "file"\n', "a name under identity"),
        ('[identity.embedded]\nkind = "file"\n', "a name under identity"),
        ("identity = 5\n", "identity is not a table"),
        ("[identity]\nrobot = 5\n", "identity.robot is not a table"),
        ('[backend.llm]\nkind = "vault9"\n', "backend.llm: kind is none of federation"),
        ('[backend.embedded]\nkind = "federation"\n', "a name under backend"),
        ('[secret."openai/dev"]\nbackend = "llm"\n', "no backend llm"),
        ('[secret."openai/dev"]\nprovider = "openai"\n', "backend is missing"),
        ('[secret."No Name"]\nbackend = "llm"\n', "a name under secret"),
    ],
)
def test_what_means_nothing_names_the_file_and_the_key(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        build(tmp_path, text)
    assert str(tmp_path / "config.toml") in refused.value.message
    assert refused.value.hint


def test_an_identity_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = load(tmp_path, FEDERATION + 'identity = "work"\n')
    with pytest.raises(ConfigError, match=r"backend\.llm: no identity work") as refused:
        kinds.identity_of(settings.backends["llm"], {})
    assert "[identity.work]" in refused.value.hint


def test_without_the_spiffe_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="the SPIFFE library is missing") as refused:
        build(tmp_path, '[identity.app]\nkind = "spiffe"\nsocket = "unix:///a"\n')
    assert "brokerctl[spiffe]" in refused.value.hint


def test_the_secrets_of_a_backend_are_its_own(tmp_path: Path) -> None:
    text = (
        '[backend.a]\nkind = "federation"\n[backend.b]\nkind = "federation"\n'
        '[secret."openai/dev"]\nbackend = "a"\n[secret."groq/dev"]\nbackend = "b"\n'
    )
    settings = load(tmp_path, text)
    assert list(settings.secrets_of("a")) == ["openai/dev"]
    assert settings.backend_of("groq/dev") == "b"
    assert settings.backend_of("somebody/else") == config.EMBEDDED


_LOADED = """
import sys
import textwrap
from brokerd import config, kinds
settings = config.load(sys.argv[1])
kinds.build_backends(settings, kinds.build_identities(settings))
heavy = {"grpc", "spiffe", "id", "authlib", "joserfc", "keyring", "hvac", "requests", "boto3",
         "botocore"}
ours = {n for n in sys.modules if n.startswith(("brokerd.identities.", "brokerd.backends."))}
print(*sorted((heavy & set(sys.modules)) | ours - {"brokerd.identities.base",
                                                   "brokerd.identities.reasons",
                                                   "brokerd.backends.base",
                                                   "brokerd.backends.people"}))
"""


@pytest.mark.parametrize(
    ("text", "loaded"),
    [
        ("", ""),
        (IDENTITY, "brokerd.identities.file brokerd.identities.jwt brokerd.identities.tokenfile"),
        (
            '[identity.app]\nkind = "spiffe"\nsocket = "unix:///a"\n',
            "brokerd.identities.apart brokerd.identities.jwt brokerd.identities.spiffe",
        ),
    ],
)
def test_nothing_is_loaded_that_is_not_configured(tmp_path: Path, text: str, loaded: str) -> None:
    load(tmp_path, text)
    path = str(tmp_path / "config.toml")
    done = subprocess.run(
        [sys.executable, "-I", "-c", _LOADED, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == loaded.split()


_MANUAL = Path(__file__).parents[2] / "docs" / "identities.md"
_EXAMPLES = re.findall(r"(?m)^    \[identity\.\w+\]\n(?:    .+\n)+", _MANUAL.read_text())


def test_the_manual_has_an_example_of_every_kind() -> None:
    kinds_shown = [re.findall(r'kind = "(\w+)"', each)[0] for each in _EXAMPLES]
    assert sorted(kinds_shown) == sorted(kinds.IDENTITIES)


@pytest.mark.parametrize("example", _EXAMPLES)
def test_an_example_of_the_manual_is_accepted(tmp_path: Path, example: str) -> None:
    assert len(kinds.build_identities(load(tmp_path, textwrap.dedent(example)))) == 1
