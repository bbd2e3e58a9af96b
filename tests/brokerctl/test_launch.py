"""The child's environment: references in, keys and foreign code out."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokerctl.keys import is_real_key
from brokerctl.launch import Session, child_environment
from brokerd.foreign import loads_foreign_code

BOOT = "/usr/lib/brokershim/boot"
SESSION = Session("s1", "/run/broker.sock", BOOT)
KEY = "sk-proj-" + "A1b2C3d4" * 4
REFERENCES = {"OPENAI_API_KEY": "openai/dev"}


def child(environ: dict[str, str], *keep: str, **references: str) -> dict[str, str]:
    return child_environment(environ, references or REFERENCES, keep, SESSION)[0]


def notices(environ: dict[str, str], *keep: str) -> list[str]:
    return child_environment(environ, REFERENCES, keep, SESSION)[1]


def test_every_variable_becomes_a_reference() -> None:
    env = child({}, OPENAI_API_KEY="openai/dev", OTHER="a/b")
    assert env["OPENAI_API_KEY"] == "brokerref:openai/dev"
    assert env["OTHER"] == "brokerref:a/b"


def test_the_child_is_told_its_session_and_its_shim() -> None:
    assert child({"HOME": "/home/u"}) == {
        "HOME": "/home/u",
        "OPENAI_API_KEY": "brokerref:openai/dev",
        "BROKER_SESSION": "s1",
        "BROKER_SOCKET": "/run/broker.sock",
        "PYTHONPATH": BOOT,
        "LITELLM_RUST": "0",
    }


def test_a_reference_takes_the_place_of_a_real_key() -> None:
    assert child({"OPENAI_API_KEY": KEY})["OPENAI_API_KEY"] == "brokerref:openai/dev"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GROQ_API_KEY", "anything at all"),
        ("MISTRAL_API_KEY", "x"),
        ("MY_OWN_NAME", KEY),
        ("DATABASE_URL", f"https://user:{KEY}@host/"),
        ("HF_TOKEN", "hf_" + "a" * 34),
    ],
)
def test_a_real_key_is_taken_out(name: str, value: str) -> None:
    assert name not in child({name: value})
    assert notices({name: value}) == [
        f"taken out of the environment: {name} (real key); `--keep NAME` keeps one"
    ]


@pytest.mark.parametrize(
    "value", ["/home/u/task-management-service-in-production", "disk-" + "a" * 30, "risk-aware"]
)
def test_a_word_that_only_ends_like_a_key_stays(value: str) -> None:
    assert child({"PWD": value})["PWD"] == value


def test_an_empty_key_that_shadows_nothing_stays() -> None:
    assert child({"GROQ_API_KEY": ""})["GROQ_API_KEY"] == ""


def test_an_alias_that_would_be_read_first_is_taken_out() -> None:
    env = child({"ANTHROPIC_AUTH_TOKEN": ""}, ANTHROPIC_API_KEY="anthropic/dev")
    assert "ANTHROPIC_AUTH_TOKEN" not in env


def test_an_alias_that_is_a_granted_reference_stays() -> None:
    environ = {"OPENAI_KEY": "brokerref:openai/dev"}
    assert child(environ)["OPENAI_KEY"] == "brokerref:openai/dev"


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GCONV_PATH", "DYLD_INSERT_LIBRARIES",
        "PYTHONSTARTUP", "PYTHONHOME", "PYTHONINSPECT", "PYTHONBREAKPOINT", "PYTHONUSERBASE",
        "PYTHONPYCACHEPREFIX", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "NODE_OPTIONS", "BASH_ENV",
        "ENV", "PERL5OPT", "PERL5LIB", "PERL5DB", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "OPENSSL_CONF", "OPENSSL_MODULES",
        "OPENSSL_ENGINES", "SSLKEYLOGFILE", "BASH_FUNC_ls%%",
    ],
)  # fmt: skip
def test_what_loads_foreign_code_is_taken_out_unless_kept(name: str) -> None:
    assert name not in child({name: "x"})
    assert child({name: "x"}, name)[name] == "x"


@pytest.mark.parametrize("name", ["LD_SDK_KEY", "PYTHONUNBUFFERED", "PATH", "SSL_CERT_FILE"])
def test_what_only_looks_like_it_stays(name: str) -> None:
    assert child({name: "x"})[name] == "x"


@pytest.mark.parametrize(
    ("marker", "name"),
    [
        ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL"),
        ("GITLAB_CI", "HTTPS___API_EXAMPLE_COM_ID_TOKEN"),
        ("BUILDKITE", "BUILDKITE_AGENT_ACCESS_TOKEN"),
        ("CIRCLECI", "CIRCLE_OIDC_TOKEN"),
        ("CIRCLECI", "CIRCLE_OIDC_TOKEN_V2"),
    ],
)
def test_what_proves_a_jobs_identity_is_taken_out_unless_kept(marker: str, name: str) -> None:
    environ = {marker: "true", name: "hidden"}
    assert name not in child(environ)
    assert name not in child(environ, marker)
    assert child(environ, name)[name] == "hidden"
    assert child(environ)[marker] == "true"
    assert notices(environ) == [
        f"taken out of the environment: {name} (proves the job's identity); `--keep NAME` keeps one"
    ]


def test_outside_a_job_no_variable_proves_one() -> None:
    assert child({"MY_ID_TOKEN": "x"})["MY_ID_TOKEN"] == "x"


def test_keep_passes_on_a_real_key_by_name_only() -> None:
    env = child({"GROQ_API_KEY": "a", "XAI_API_KEY": "b"}, "GROQ_API_KEY")
    assert env["GROQ_API_KEY"] == "a"
    assert "XAI_API_KEY" not in env


def test_keep_never_keeps_a_variable_over_a_reference() -> None:
    env, said = child_environment({"OPENAI_API_KEY": KEY}, REFERENCES, ["OPENAI_API_KEY"], SESSION)
    assert env["OPENAI_API_KEY"] == "brokerref:openai/dev"
    assert said == ["--keep OPENAI_API_KEY is of no effect: it refers to openai/dev"]


def test_one_line_names_everything_that_was_taken_out_and_no_value() -> None:
    said = notices({"LD_PRELOAD": "/tmp/evil.so", "GROQ_API_KEY": "gsk_hidden", "X": KEY})
    assert len(said) == 1
    assert "GROQ_API_KEY (real key), LD_PRELOAD (loads foreign code), X (real key)" in said[0]
    assert not any(value in said[0] for value in ("evil", "hidden", KEY))


def test_what_an_outer_run_left_is_replaced_or_taken_out() -> None:
    outer = {
        "BROKER_SESSION": "outer",
        "BROKER_SOCKET": "/elsewhere",
        "PYTHONPATH": f"{BOOT}{os.pathsep}/mine",
        "OPENAI_API_KEY": "brokerref:openai/old",
        "ANTHROPIC_API_KEY": "brokerref:anthropic/dev",
        "SAME": "brokerref:openai/dev",
    }
    env = child(outer)
    assert env["BROKER_SESSION"] == "s1"
    assert env["BROKER_SOCKET"] == "/run/broker.sock"
    assert env["PYTHONPATH"] == f"{BOOT}{os.pathsep}/mine"
    assert env["OPENAI_API_KEY"] == "brokerref:openai/dev"
    assert "ANTHROPIC_API_KEY" not in env
    assert env["SAME"] == "brokerref:openai/dev"


def test_the_shim_comes_before_the_projects_own_path() -> None:
    assert child({"PYTHONPATH": "/a:/b"})["PYTHONPATH"] == f"{BOOT}:/a:/b"
    assert child({"PYTHONPATH": ""})["PYTHONPATH"] == BOOT


def test_without_the_shim_the_path_is_left_alone() -> None:
    without = SESSION._replace(boot=None)
    env, _ = child_environment({"PYTHONPATH": f"{BOOT}:/a"}, REFERENCES, (), without)
    assert env["PYTHONPATH"] == f"{BOOT}:/a"
    assert "PYTHONPATH" not in child_environment({}, REFERENCES, (), without)[0]


def test_litellms_native_code_is_switched_off_and_that_is_said() -> None:
    env, said = child_environment({"LITELLM_RUST": "1"}, REFERENCES, ["LITELLM_RUST"], SESSION)
    assert env["LITELLM_RUST"] == "0"
    assert said == ["LITELLM_RUST is set to 0: native code would bypass the shim"]
    assert notices({"LITELLM_RUST": "0"}) == []


def test_our_own_environment_is_not_changed() -> None:
    environ = {"OPENAI_API_KEY": KEY, "LD_PRELOAD": "x"}
    child(environ)
    assert environ == {"OPENAI_API_KEY": KEY, "LD_PRELOAD": "x"}


_NAMES = st.sampled_from(
    ["OPENAI_API_KEY", "OPENAI_KEY", "GROQ_API_KEY", "LD_PRELOAD", "HOME", "X", "BROKER_SESSION"]
)
_VALUES = st.sampled_from(["", "v", KEY, f"a {KEY} b", "brokerref:openai/dev", "brokerref:x/y"])


@settings(max_examples=200)
@given(st.dictionaries(_NAMES, _VALUES))
def test_nothing_that_is_passed_on_holds_a_key_or_a_stale_reference(
    environ: dict[str, str],
) -> None:
    for name, value in child(environ).items():
        assert not is_real_key(name, value)
        assert not loads_foreign_code(name)
        assert "brokerref:x/y" not in value
