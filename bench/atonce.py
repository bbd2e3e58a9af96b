"""What do many processes do that want a key at once? (A program that other parts start.)

    python -m bench.atonce lease SOCKET SECRET COUNT    each leases it from the broker
    python -m bench.atonce proxy SOCKET PATH COUNT      each reads it through Vault's own proxy
    python -m bench.atonce sdk URL TOKENS COUNT         each exchanges a token of its own for one,
                                                        with the vendor's SDK
    python -m bench.atonce boto3 URL SECRET COUNT       each reads it from Secrets Manager

They are forked once all is imported, and set off together. Prints the seconds until the last one
has its key.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.federated import SETTINGS

_CHUNK = 65536


def main() -> None:
    """Do what the arguments say."""
    kind, where, what, count = sys.argv[1:]
    kinds = {"lease": _lease, "proxy": _proxy, "sdk": _sdk, "boto3": _boto3}
    print(_at_once(kinds[kind](where, what), int(count)))


def at_once(kind: str, where: str, what: str, count: int) -> float:
    """Start the program, and return the seconds that it prints."""
    command = [sys.executable, "-m", "bench.atonce", kind, where, what, str(count)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _lease(path: str, secret: str) -> Callable[[int], object]:
    from brokershim.client import Client

    root = Client(path)
    root.call("session.open", program=sys.executable, env={"ANTHROPIC_API_KEY": secret})

    def work(number: int) -> object:
        del number
        return root, Client(path).call("lease.acquire", secret=secret)

    return work


def _proxy(path: str, target: str) -> Callable[[int], object]:
    def work(number: int) -> object:
        del number
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(f"GET {target} HTTP/1.1\r\nhost: vault\r\n\r\n".encode())
            answer = connection.recv(_CHUNK)
        if b" 200 " not in answer[:20]:
            raise RuntimeError(answer[:80].decode())
        return answer

    return work


def _sdk(base: str, tokens: str) -> Callable[[int], object]:
    from anthropic.lib.credentials import WorkloadIdentityCredentials

    values: list[str] = json.loads(Path(tokens).read_text())

    def work(number: int) -> object:
        credentials = WorkloadIdentityCredentials(
            identity_token_provider=lambda: values[number],
            federation_rule_id=SETTINGS["anthropic"]["federation_rule_id"],
            organization_id=SETTINGS["anthropic"]["organization_id"],
        )
        credentials.bind_base_url(base)
        return credentials()

    return work


def _boto3(url: str, secret: str) -> Callable[[int], object]:
    from tests.support.aws import Aws

    client = Aws(url).client("secretsmanager")  # made once, before the start

    def work(number: int) -> object:
        del number
        return client.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")

    return work


def _at_once(work: Callable[[int], object], count: int) -> float:
    """Return the seconds from the start of all until the last is done."""
    wait, go = os.pipe()
    children = [_child(work, number, wait, go) for number in range(count)]
    os.close(wait)
    begun = time.perf_counter()
    os.close(go)
    failed = [os.waitpid(child, 0)[1] for child in children]
    if any(failed):
        raise RuntimeError(f"{len([each for each in failed if each])} got no key")
    return time.perf_counter() - begun


def _child(work: Callable[[int], object], number: int, wait: int, go: int) -> int:
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(wait, 1)  # the end of the pipe: everybody's start
        work(number)
        os._exit(0)
    return child


if __name__ == "__main__":
    main()
