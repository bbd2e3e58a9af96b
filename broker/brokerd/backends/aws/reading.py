"""How is Secrets Manager asked for a secret, as a session that may ask for nothing else?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, cast

from brokerd.backends.aws.answers import KeysOver, refusal
from brokerd.backends.aws.batch import Answers, Batches
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.terms import CURRENT, StaticTerms
from brokerd.backends.reply import part, text
from brokershim.errors import BackendRefused, ConfigError, NotFound, SecretNotFound

_SERVICE = "secretsmanager"
_SERVER_FAULT = 500
_CLIENT_FAULT = 400


class Reading:
    """Reads secrets, and what is known of them.

    Args:
        roles: Asks AWS.
        policies: Narrows its sessions.
    """

    def __init__(self, roles: Roles, policies: Policies) -> None:
        self._roles, self._policies = roles, policies
        self._batches = Batches(self._several, policies.fit)
        self._without_batches: set[Hashable] = set()

    def revision(self) -> Hashable:
        """Return what changes with who is logged in."""
        return self._roles.revision()

    def value(self, terms: StaticTerms, version: str | None = None) -> Mapping[str, Any]:
        """Return what GetSecretValue answers.

        Several that are wanted at once come with one request, where this login may ask so.

        Args:
            terms: The secret.
            version: Its version; None for the one that is pinned, or has the label.

        Raises:
            SecretNotFound: There is none, or no such version of it.
            BrokerError: As `Roles.call`.
        """
        version = version or terms.version_id
        if version is None and terms.stage == CURRENT:  # a batch has no word for any other
            found = self._in_a_batch(terms)
            if found is not None:
                return found
        wanted = {"SecretId": terms.secret_id, "VersionId": version, "VersionStage": terms.stage}
        given = {name: each for name, each in wanted.items() if each is not None}
        answer: object = self._roles.call(
            _SERVICE,
            lambda client: client.get_secret_value(**given),
            _reading(terms),
            scope=self._policies.reading([terms.secret_id]),
        )
        return part(answer)

    def description(self, terms: StaticTerms) -> Mapping[str, Any]:
        """Return what DescribeSecret answers; raises as `value`."""
        answer: object = self._roles.call(
            _SERVICE,
            lambda client: client.describe_secret(SecretId=terms.secret_id),
            f"looking at the versions of {terms.secret.name} ({terms.secret_id})",
            scope=self._policies.reading([terms.secret_id]),
        )
        return part(answer)

    def _in_a_batch(self, terms: StaticTerms) -> Mapping[str, Any] | None:
        """Return what a batch tells of a secret; None where it is to be read by itself."""
        if self.revision() in self._without_batches:
            return None
        told = self._batches.get(terms.secret_id)
        code = text(told, "ErrorCode")
        if not code:
            return told
        status = _SERVER_FAULT if code.startswith("Internal") else _CLIENT_FAULT
        said = {"Code": code, "Message": text(told, "Message")}
        answer = {"Error": said, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise refusal(_reading(terms), answer, SecretNotFound)

    def _several(self, ids: Sequence[str]) -> Answers:
        revision = self.revision()
        try:
            answer: object = self._roles.call(
                _SERVICE,
                lambda client: client.batch_get_secret_value(SecretIdList=list(ids)),
                f"reading {len(ids)} secrets",
                scope=self._policies.reading(ids),
            )
        except KeysOver:
            raise
        except (BackendRefused, ConfigError, NotFound):
            # Each may be read by itself all the same: what one is at fault for is not the others'.
            # Not again, as long as it is this login.
            self._without_batches.add(revision)
            return {}
        return _by_id(ids, part(answer))


def _reading(terms: StaticTerms) -> str:
    return f"reading {terms.secret.name} ({terms.secret_id})"


def _by_id(ids: Sequence[str], answer: Mapping[str, Any]) -> Answers:
    """Return what is told of each secret, a value or an error, by what it was asked by.

    Nothing of one that several entries are about: it is read by itself.
    """
    entries = [*_entries(answer, "SecretValues"), *_entries(answer, "Errors")]
    told = {each: [entry for entry in entries if _is_about(entry, each, ids)] for each in ids}
    return {each: found[0] for each, found in told.items() if len(found) == 1}


def _is_about(entry: Mapping[str, Any], secret_id: str, ids: Sequence[str]) -> bool:
    arn = text(entry, "ARN")
    if secret_id in (arn, text(entry, "SecretId")):
        return True
    # What another account calls so, and was asked for by its ARN, is not ours of that name.
    return secret_id == text(entry, "Name") and arn not in ids


def _entries(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found: object = answer.get(key)
    return [part(each) for each in cast("list[object]", found)] if isinstance(found, list) else []
