"""`brokerctl init` and `brokerctl allow`: the project file's life."""

from __future__ import annotations

import stat
import tomllib

import pytest

from brokershim.errors import ConfigError, Locked
from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.test_secret import ROW

KEY = "sk-ant-" + "A1b2C3d4" * 4


def secrets(*names: str) -> dict[str, object]:
    rows = [{**ROW, "name": name, "provider": name.split("/", maxsplit=1)[0]} for name in names]
    return {"secrets": rows, "next": None}


def test_init_writes_what_it_is_told(cli: CommandLine) -> None:
    done = cli.run("init", "OPENAI_API_KEY=openai/dev", "OTHER=a/b")
    assert done.returncode == 0
    written = cli.folder / "broker.toml"
    assert tomllib.loads(written.read_text()) == {"OPENAI_API_KEY": "openai/dev", "OTHER": "a/b"}
    assert written.read_text().startswith("#")
    assert "safe to commit" in written.read_text()
    assert "brokerctl allow" in done.stderr


@pytest.mark.parametrize("mask", ["0002", "0077"])
def test_init_writes_mode_0644_whatever_the_umask(cli: CommandLine, mask: str) -> None:
    import subprocess

    words = ["sh", "-c", f'umask {mask}; exec "$@"', "sh", *cli.command, "init", "A=b"]
    subprocess.run(words, env=cli.env, cwd=cli.folder, check=True, capture_output=True)
    assert stat.S_IMODE((cli.folder / "broker.toml").stat().st_mode) == 0o644
    assert [each.name for each in cli.folder.iterdir()] == ["broker.toml"]


def test_init_never_writes_over_a_file(cli: CommandLine) -> None:
    written = cli.folder / "broker.toml"
    written.write_text("mine")
    done = cli.run("init", "A=b")
    assert done.returncode == 2
    assert "edit it, or remove it" in done.stderr
    assert written.read_text() == "mine"
    written.unlink()
    written.symlink_to("elsewhere")
    assert cli.run("init", "A=b").returncode == 2
    assert not (cli.folder / "elsewhere").exists()


@pytest.mark.parametrize("pair", ["A", "=a", "1A=b", "A-B=c", "A=", "A=UPPER", "A=b=c"])
def test_init_refuses_what_is_no_pair(cli: CommandLine, pair: str) -> None:
    assert cli.run("init", pair).returncode == 2
    assert not (cli.folder / "broker.toml").exists()


def test_init_refuses_a_variable_twice(cli: CommandLine) -> None:
    assert "named twice" in cli.run("init", "A=b", "A=c").stderr


def test_init_takes_the_stored_secrets_and_says_what_it_left_out(cli: CommandLine) -> None:
    cli.daemon({"secret.list": secrets("openai/a", "openai/dev", "groq/b", "groq/a", "mine/x")})
    done = cli.run("init")
    assert tomllib.loads((cli.folder / "broker.toml").read_text()) == {
        "OPENAI_API_KEY": "openai/dev",
        "GROQ_API_KEY": "groq/a",
    }
    assert "OPENAI_API_KEY: took openai/dev, left out openai/a" in done.stderr
    assert "GROQ_API_KEY: took groq/a, left out groq/b" in done.stderr


def test_init_with_nothing_stored_says_what_to_do(cli: CommandLine) -> None:
    fake = cli.daemon({"secret.list": secrets()})
    done = cli.run("init")
    assert done.returncode == 4
    assert "brokerctl: hint: store one with `brokerctl secret set openai/dev`" in done.stderr
    fake.answers["secret.list"] = secrets("mine/x")
    assert "`brokerctl init VARIABLE=SECRET`" in cli.run("init").stderr
    assert not (cli.folder / "broker.toml").exists()


def test_init_names_the_keys_of_a_dotenv_and_not_their_values(cli: CommandLine) -> None:
    (cli.folder / ".env").write_text(f"ANTHROPIC_API_KEY={KEY}\nOPENAI_API_KEY=sk-{'a' * 40}\n")
    cli.daemon({"secret.list": secrets("openai/dev")})
    done = cli.run("init")
    assert ".env holds a key in ANTHROPIC_API_KEY" in done.stderr
    assert "`brokerctl secret set anthropic/dev`" in done.stderr
    assert "OPENAI" not in done.stderr
    assert KEY not in done.stderr


def shown(cli: CommandLine, state: str = "new") -> dict[str, object]:
    return {
        "path": str(cli.folder / "broker.toml"),
        "sha256": "ab" * 32,
        "env": {"OPENAI_API_KEY": "openai/dev", "B": "b/c"},
        "state": state,
    }


def test_allow_shows_what_it_trusts(cli: CommandLine) -> None:
    (cli.folder / "broker.toml").touch()
    (cli.folder / "deep").mkdir()
    fake = cli.daemon(
        {
            "project.show": shown(cli),
            "project.allow": {"path": "x"},
            "secret.list": secrets("openai/dev"),
        }
    )
    done = cli.run("allow", "deep")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{cli.folder}/broker.toml was never trusted. It asks for:",
        "  B               b/c",
        "  OPENAI_API_KEY  openai/dev",
        "allowed, until it changes",
    ]
    assert "b/c is not stored yet" in done.stderr
    assert "openai/dev" not in done.stderr
    path = str(cli.folder / "broker.toml")
    assert fake.params("project.show") == [{"path": path}]
    assert fake.params("project.allow") == [{"path": path, "sha256": "ab" * 32}]


def test_allow_of_what_is_allowed_changes_nothing(cli: CommandLine) -> None:
    (cli.folder / "broker.toml").touch()
    fake = cli.daemon({"project.show": shown(cli, "allowed"), "secret.list": Locked("locked")})
    done = cli.run("allow")
    assert done.returncode == 0
    assert "is trusted" in done.stdout
    assert "was not checked" in done.stderr
    assert fake.params("project.allow") == []


@pytest.mark.parametrize("configured", [True, False])
def test_allow_knows_what_is_configured_though_the_store_is_locked(
    cli: CommandLine, configured: bool
) -> None:
    (cli.folder / "broker.toml").touch()
    listed = secrets("b/c", *(["openai/dev"] if configured else []))
    answer = {**listed, "unlisted": "the store is locked"}
    cli.daemon({"project.show": shown(cli, "allowed"), "secret.list": answer})
    done = cli.run("allow")
    assert done.returncode == 0
    assert ("was not checked" in done.stderr) != configured
    assert "not stored yet" not in done.stderr


def test_allow_passes_on_what_is_wrong_with_the_file(cli: CommandLine) -> None:
    (cli.folder / "broker.toml").touch()
    cli.daemon({"project.show": ConfigError("broker.toml is not TOML (at line 1, column 2)")})
    assert cli.run("allow").returncode == 2


def test_allow_without_a_file_ends_with_4(cli: CommandLine) -> None:
    cli.daemon()
    assert cli.run("allow").returncode == 4
    assert cli.run("allow", "no-such-folder").returncode == 2
