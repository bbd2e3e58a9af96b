"""A home with a broker whose backend makes credentials at a `Cloud`, and a project that signs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from demo.provider import Provider as Models
from tests.e2e.session import Session
from tests.support import tokens
from tests.support.bedrock import MODEL, NAME, REGION, Cloud

_CONFIG = """
[store]
master_key = "passphrase"

[identity.work]
kind = "file"
path = "{token}"

[backend.cloud]
kind = "aws"
region = "{region}"
login = "web-identity"
identity = "work"
role_arn = "arn:aws:iam::123456789012:role/dev"
endpoints = {{sts = "{url}"}}

[secret."{name}"]
backend = "cloud"
engine = "sts"
role_arn = "arn:aws:iam::123456789012:role/bedrock"
duration = "1h"
hosts = ["127.0.0.1"]

[secret."openai/dev"]
backend = "cloud"
secret_id = "prod/openai"
"""
_ASKING = """
import os, boto3

def ask(url=os.environ["BEDROCK_URL"], **how):
    client = boto3.Session(**how).client("bedrock-runtime", "{region}", endpoint_url=url)
    message = {{"role": "user", "content": [{{"text": "hello"}}]}}
    answer = client.converse(modelId="{model}", messages=[message])
    return answer["output"]["message"]["content"][0]["text"]
"""


class Clouded(Session):
    """A home whose apps ask a Bedrock, by ``ask`` of ``asking``.

    Args:
        root: An empty folder.
        models: As `Session` wants it.
        server: Where credentials are made, and good.
        url: Its address.
    """

    def __init__(self, root: Path, models: Models, server: Cloud, url: str) -> None:
        super().__init__(root, models)
        self.server = server
        token = Path(self.write("token", tokens.token("sts.amazonaws.com")))
        token.chmod(0o600)
        text = _CONFIG.format(token=token, region=REGION, url=url, name=NAME)
        self.write(".config/brokerctl/config.toml", text)
        self.script("asking.py", _ASKING.format(region=REGION, model=MODEL))
        self.environment["BEDROCK_URL"] = url

    def leaks(self) -> list[str]:
        """Return every place where anything can be found that STS made."""
        made = [part for triple in self.server.made for part in triple]
        self.keys = made or ["nothing was made yet"]
        return super().leaks()


@contextmanager
def clouded(root: Path) -> Generator[Clouded]:
    """Make one; its keys are searched for at the end."""
    server, models = Cloud(), Models({"openai": "none yet", "anthropic": "none yet"})
    with server.provider() as served, models:
        made = Clouded(root, models, server, served.url)
        try:
            yield made
        finally:
            made.close()
