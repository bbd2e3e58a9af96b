"""What is a static key in Secrets Manager now, and is it still the one that is in use?

A key is read with the label that its version must have. Whether it is the newest is asked of what
is known of the versions, so that no key travels for that; but for a key that may not be read any
more, it is read now and then all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any, cast

from brokerd.backends.aws.answers import PROXY_HINT, KeysOver
from brokerd.backends.aws.reading import Reading
from brokerd.backends.aws.stages import Stages, labels_of
from brokerd.backends.aws.terms import StaticTerms
from brokerd.backends.reply import text
from brokerd.model import BoundedBy, Credential
from brokershim import clock
from brokershim.errors import BackendRefused, SecretNotFound, ServerDown

_FIELD_HINT = "correct `field` in its table in config.toml"


class StaticSecrets:
    """Static keys. For use by any number of threads.

    Args:
        reading: Asks Secrets Manager.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(self, reading: Reading, now: Callable[[], float] = clock.now) -> None:
        self._reading, self._now = reading, now
        self._without_stages: set[Hashable] = set()
        self._given: dict[Hashable, str] = {}
        self._read_at: dict[Hashable, float] = {}

    def fetch(self, terms: StaticTerms) -> Credential:
        """Return a key.

        Where it is the one that was given before, nobody would ask for it again without a reason,
        such as that it is dead: then the labels say whether another has taken its place.

        Raises:
            SecretDeleted: It is marked for deletion.
            SecretNotFound: There is none, no such version of it, or no such field.
            BackendRefused: It may not be read, or not be decrypted.
            BrokerError: As `Reading.value`.
        """
        answer = self._read(terms)
        if self._given.get(terms.key) == answer["VersionId"]:
            stages = self._stages(terms)
            successor = stages and stages.successor(answer["VersionId"])
            answer = self._read(terms, successor) if successor else answer
        self._given[terms.key] = version = answer["VersionId"]
        return Credential(
            _value(terms, answer), version, BoundedBy.BROKER, max_staleness=terms.max_staleness
        )

    def newest(self, terms: StaticTerms) -> str:
        """Return the version that `fetch` would bring now; raises as that does.

        Where the labels may not be looked at, or were all that was looked at for as long as a key
        may be stale, the key itself is read.
        """
        read_at = self._read_at.get(terms.key)
        if read_at is not None and self._now() - read_at < terms.max_staleness:
            stages = self._stages(terms)
            if stages is not None:
                return stages.wanted()
        return str(self._read(terms)["VersionId"])

    def _stages(self, terms: StaticTerms) -> Stages | None:
        """Return the labels; None where this login may not look at them."""
        asked = terms.secret_id, self._reading.revision()
        if asked in self._without_stages:
            return None
        try:
            return Stages(terms, self._reading.description(terms))
        except KeysOver:
            raise
        except BackendRefused:
            self._read(terms)  # refused, too, where it is the role that is
            # Not again, as long as it is this login: each refusal is an alarm in CloudTrail.
            self._without_stages.add(asked)
            return None

    def _read(self, terms: StaticTerms, version: str | None = None) -> Mapping[str, Any]:
        """Return a version that has the label that it must have."""
        answer = self._reading.value(terms, version)
        # Whatever stands before AWS may know a secret that was made anew by its name alone.
        said = {text(answer, "ARN"), text(answer, "Name")} - {""}
        if said and terms.secret_id not in said:
            raise ServerDown(f"the answer for {terms.secret.name} is about another secret")
        if not text(answer, "VersionId"):
            raise ServerDown(f"the answer for {terms.secret.name} has no version", hint=PROXY_HINT)
        if terms.stage is not None and terms.stage not in labels_of(answer.get("VersionStages")):
            raise ServerDown(
                f"the version of {terms.secret.name} that came is not labelled {terms.stage}",
                hint="a rotation may be under way: try again in a moment",
            )
        self._read_at[terms.key] = self._now()
        return answer


def _value(terms: StaticTerms, answer: Mapping[str, Any]) -> bytes:
    whole: object = answer.get("SecretString", answer.get("SecretBinary"))
    if not isinstance(whole, str | bytes) or not whole:
        raise SecretNotFound(
            f"{terms.secret.name} ({terms.secret_id}) is empty", hint="write a version that is not"
        )
    found = _whole(terms, whole) if terms.field is None else _member(terms, terms.field, whole)
    # JSON may hold half a character; a key it is not, and the error must not carry it.
    return found.encode("utf-8", "surrogatepass") if isinstance(found, str) else found


def _whole(terms: StaticTerms, whole: str | bytes) -> str | bytes:
    # AWS's console makes an object of every key: as a key, its provider would only refuse it.
    if _members(whole) is None:
        return whole
    raise SecretNotFound(
        f"{terms.secret.name} ({terms.secret_id}) is a JSON object, and no key",
        hint="name one of its fields as `field` in its table in config.toml",
    )


def _members(whole: str | bytes) -> dict[str, object] | None:
    """Return what a JSON object holds; None where it is none."""
    try:
        read: object = json.loads(whole)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", read) if isinstance(read, dict) else None


def _member(terms: StaticTerms, field: str, whole: str | bytes) -> str:
    members = _members(whole)
    if members is None:
        raise SecretNotFound(
            f"{terms.secret.name} ({terms.secret_id}) is no JSON object, and so has no fields",
            hint="take `field` out of its table in config.toml: all of it is the key then",
        )
    value = members.get(field)
    if isinstance(value, str) and value:
        return value
    # How many there are, and not which: a name may tell more than it should.
    fault = "is no text" if field in members else f"is not among the {len(members)}"
    raise SecretNotFound(
        f"the field {field} of {terms.secret.name} ({terms.secret_id}) {fault} there",
        hint=_FIELD_HINT,
    )
