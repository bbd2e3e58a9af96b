"""Claim 26: someone asks for the key by every other method there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from brokershim.errors import BrokerError
from demo.forms import Needles
from tests.security.scene import KEY, SECRET, Scene, label
from tests.support.puppet import Puppet

_PROTOCOL_MD = Path(__file__).parents[2] / "docs" / "protocol.md"
_OLD = KEY[::-1]


def _documented() -> set[str]:
    methods = _PROTOCOL_MD.read_text().partition("\n## Notifications\n")[0]
    return set(re.findall(r"\*\*`([a-z]+\.[a-z]+)`\*\*", methods))


def _calls(root: Puppet, held: str, project: str) -> dict[str, list[dict[str, Any]]]:
    """Return for each method what a curious client would try; the last ones end things."""
    return {
        "lease.acquire": [{"secret": "openai/none"}, {"secret": KEY}],
        "lease.list": [{}],
        "lease.renew": [{"lease": held}],
        "session.open": [{"program": "/bin/true", "env": {"KEY": SECRET}, "project": project}],
        "session.approve": [{"session": label(root), "secrets": [SECRET]}],
        "session.list": [{}],
        "project.show": [{"path": project}],
        "project.allow": [{"path": project, "sha256": "0" * 64}],
        "secret.list": [{}, {"partial": True}],
        "secret.show": [{"name": SECRET}],
        "secret.set": [
            {"name": SECRET, "max_ttl": 60.0},
            {"name": SECRET, "value": KEY, "hosts": [KEY]},
            {"name": SECRET, "value": KEY, "provider": KEY},
            {"name": KEY, "value": KEY},
            {"name": SECRET, "value": KEY + "\n"},
            {"name": SECRET, "value": KEY + "é"},
        ],
        "secret.rollback": [{"name": SECRET, "version": "1"}, {"name": SECRET}],
        "secret.rotate": [{"name": SECRET}, {"name": KEY}],
        "secret.rotation": [{"name": SECRET, "version": KEY}],
        "store.unlock": [{"passphrase": KEY}, {"create": True}],
        "daemon.status": [{}],
        "audit.head": [{}],
        "backend.list": [{}],
        "backend.check": [{"backend": "embedded"}, {"backend": KEY}],
        "backend.enrol": [{"backend": "embedded", "value": KEY}, {"backend": KEY, "value": KEY}],
        "identity.list": [{}],
        "identity.logout": [{"identity": KEY}],
        "login.begin": [{"identity": KEY, "mode": "browser"}],
        "login.wait": [{"login": "x", "seconds": 0}],
        "login.answer": [{"login": "x", "value": KEY}],
        "login.cancel": [{"login": "x"}],
        "lease.report": [{"lease": held, "status": 401}],
        "lease.release": [{"lease": held}],
        "lease.revoke": [{"all": True}],
        "secret.remove": [{"name": SECRET}],
        "store.lock": [{}],
        "daemon.stop": [{}],
    }


def test_claim_26_no_other_method_returns_a_key(own_scene: Scene) -> None:
    own_scene.owner.call("secret.set", name=SECRET, value=_OLD)
    own_scene.owner.call("secret.set", name=SECRET, value=KEY)
    own_scene.world.grant(SECRET)
    project = str(own_scene.world.project("app", OPENAI_API_KEY=SECRET))
    root, outsider = own_scene.session(), own_scene.enter()
    got = root.call("lease.acquire", secret=SECRET)
    assert got.pop("value") == KEY  # the one that does
    calls = _calls(root, got["lease"], project)
    assert set(calls) == _documented()
    said = [json.dumps(got)]
    for method, tries in calls.items():
        if method == "daemon.stop":  # the last: after it, nobody may be there to tell anything
            said += [json.dumps(root.told())]
        for params in tries:
            said += [_answer(each, method, params) for each in (outsider, root)]
    assert len(said) > 50
    assert sum("error" not in each for each in said) > 15
    needles = Needles([KEY, _OLD])
    assert [each for each in said if needles.find(each.encode())] == []
    assert needles.find(own_scene.daemon.log.encode()) is None
    own_scene.daemon.process.wait(10)


def _answer(puppet: Puppet, method: str, params: dict[str, Any]) -> str:
    """Return all that a client is told, result or error."""
    try:
        return json.dumps({method: puppet.call(method, **params)})
    except BrokerError as error:
        return json.dumps({method: {"error": error.to_wire()}})


def test_claim_26_a_process_in_no_session_gets_it_by_no_method_at_all(scene: Scene) -> None:
    scene.world.grant(SECRET)
    outsider = scene.enter()
    held = scene.session().call("lease.acquire", secret=SECRET)["lease"]
    for method in ("lease.renew", "lease.report", "lease.release"):
        params = {"lease": held, **({"status": 401} if method == "lease.report" else {})}
        assert "not_found.lease" in _answer(outsider, method, params)
    assert "denied.no_session" in _answer(outsider, "lease.acquire", {"secret": SECRET})
