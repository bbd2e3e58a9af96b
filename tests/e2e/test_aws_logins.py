"""Logins at AWS that a person has a part in, from the terminal to the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.session import ASKING_TWICE, Session
from tests.support.aws import ADMIN, REGION, Aws, role
from tests.support.identity_center import PAGE, SECRET, START, USER_CODE, IdentityCenter

pytestmark = pytest.mark.slow
_CONFIG = """
[store]
master_key = "passphrase"

[backend.cloud]
kind = "aws"
region = "{region}"
{login}
endpoints = {{{endpoints}}}

[secret."openai/dev"]
backend = "cloud"
secret_id = "prod/openai"
hosts = ["{host}"]
"""
_SSO = f"""login = "sso"
start_url = "{START}"
sso_region = "eu-west-1"
account_id = "123456789012"
role_name = "Developer"
"""
_SERIAL = "arn:aws:iam::123456789012:mfa/ada"


def configure(keyed: Session, aws: Aws, login: str, **endpoints: str) -> None:
    """Let the app's key be in a Secrets Manager."""
    at = {**aws.endpoints, **endpoints}
    named = ", ".join(f'{service} = "{url}"' for service, url in at.items())
    values = {"region": REGION, "login": login, "host": keyed.provider.host}
    keyed.write(".config/brokerctl/config.toml", _CONFIG.format(endpoints=named, **values))
    aws.secret("prod/openai", keyed.new_key())
    keyed.trust()


def test_a_person_logs_in_by_identity_center(keyed: Session, aws: Aws) -> None:
    with IdentityCenter() as center:
        configure(keyed, aws, _SSO, **{"sso": center.url, "sso-oidc": center.url})
        # No trace of these may be anywhere, either.
        keyed.keys += ["the-access-token-3", "the-refresh-token-3", SECRET]
        assert keyed.app("ask()").status == 3
        center.fails["CreateToken"] = ["AuthorizationPendingException"]
        shell = keyed.terminal("brokerctl login --device", NO_COLOR="1")
        assert shell.end() == 0
        assert PAGE in shell.seen
        assert f"enter this code:\r\n  {USER_CODE}" in shell.seen
        who = "moto, Developer in 123456789012"
        assert f"logged in to cloud as {who} ({START})" in shell.seen
        assert who in keyed.run("brokerctl whoami cloud").stdout
        assert not Path(keyed.root, ".aws").exists()
        with keyed.starts(ASKING_TWICE) as app:
            assert app.says().endswith("is good.")
            keyed.run("brokerctl daemon stop")  # the next one goes on with it
            app.go_on()
            assert app.end() == 0, keyed.printed
        assert len(center.params("CreateToken")) == 2
        assert keyed.run("brokerctl logout cloud").status == 0
        assert center.live == set()
        assert keyed.app("ask()").status == 3


def test_a_person_types_the_code_that_a_profile_asks_for(fresh: Session, aws: Aws) -> None:
    config = f"[profile dev]\nrole_arn = {role('dev')}\nsource_profile = base\n"
    fresh.write(".aws/config", f"{config}mfa_serial = {_SERIAL}\n")
    key = f"aws_access_key_id = {ADMIN[0]}\naws_secret_access_key = {ADMIN[1]}\n"
    credentials = fresh.write(".aws/credentials", f"[base]\n{key}")
    Path(credentials).chmod(0o600)
    configure(fresh, aws, 'login = "profile"\nprofile = "dev"')
    shell = fresh.terminal("brokerctl run python -c 'print(6*7)'", NO_COLOR="1")
    shell.expect("Log in to cloud now? [Y/n] ")
    shell.type("\n")
    shell.expect(f"MFA code of {_SERIAL}: ")
    shell.type("123456\n")
    assert shell.end() == 0
    assert "42" in shell.seen
    assert "123456" not in shell.seen.replace("123456789012", "")
    assert fresh.app("ask()").status == 0
    (asked,) = aws.calls("AssumeRole")
    assert (asked["params"]["TokenCode"], asked["access_key"]) == ("123456", ADMIN[0])
    (read,) = aws.calls("GetSecretValue")
    assert read["access_key"] not in ("", ADMIN[0])
    doctor = fresh.run("brokerctl doctor").stdout
    assert "holds an access key in clear, of profile base" in doctor
    assert ADMIN[1] not in doctor
    assert fresh.run("brokerctl logout cloud").status == 0
    assert fresh.app("ask()").status == 3
