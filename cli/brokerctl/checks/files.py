"""Are our folders private, our files readable, and the audit log whole? Needs no daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator

from brokerctl import output
from brokerctl.auditing import daemons_head, describe
from brokerctl.checks.check import Check
from brokerd import config, kinds
from brokerd.audit.verify import verify
from brokerd.policyfile import PolicyFile
from brokershim.client import Client
from brokershim.ownership import check_private_dir
from brokershim.paths import config_dir, runtime_dir, state_dir


def folders() -> Iterator[Check]:
    """Look at the folders that have to be ours alone."""
    for path in (config_dir(), state_dir(), runtime_dir()):
        if not os.path.lexists(path):
            yield Check("folder", "ok", f"{path} is not made yet")
            continue
        check_private_dir(path)
        yield Check("folder", "ok", f"{path} is private")


def settings() -> Iterator[Check]:
    """Look at config.toml and policy.toml as the daemon would read them."""
    path = os.path.join(config_dir(), "config.toml")
    found = config.load(path)
    identities = kinds.build_identities(found)
    kinds.accounts(identities, kinds.build_backends(found, identities))
    yield Check("config", "ok", path if os.path.exists(path) else "no config.toml: all defaults")
    path = os.path.join(config_dir(), "policy.toml")
    grants = len(PolicyFile(path).current().grants)
    yield Check("policy", "ok", output.count(grants, "grant") if grants else "no grants: no access")


def audit(client: Client | None) -> Iterator[Check]:
    """Look at every line of the audit log."""
    folder = os.path.join(state_dir(), "audit")
    if not os.path.isdir(folder):
        yield Check("audit", "ok", "nothing is written yet")
        return
    report = verify(folder, daemons_head(client))
    if report.problems:
        yield Check("audit", "fail", describe(report.problems[0]), "see `brokerctl audit verify`")
    else:
        yield Check(
            "audit", "ok", f"{output.count(report.events, 'event')}, none changed or missing"
        )
