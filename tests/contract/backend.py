"""What every backend has to do: subclass `BackendContract`, and give it a backend to try.

class TestMine(BackendContract):
    @pytest.fixture
    def given(self) -> Given: ...
"""

from __future__ import annotations

import pickle
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from brokerd.backends.base import Backend, is_watched, mints
from brokerd.model import BoundedBy, Credential, Secret
from brokershim.errors import BrokerError, SecretNotFound
from tests.support.backends import WHOM

UNKNOWN = "nobody/knows-this"
_THREADS = 8


@dataclass(frozen=True)
class Given:
    """A backend to try, and what it holds.

    Attributes:
        backend: Ready to use.
        name: A secret that it has.
        value: Its key; where each call of `key` brings a new one, None.
        rotate: Gives the secret a new key; None where each call of `key` does.
        break_it: Makes the backend unable to answer, or refuse; from then on every call fails.
        knows: Whether it describes its secrets all the same, since it asks nobody for that.
    """

    backend: Backend
    name: str
    value: bytes | None
    rotate: Callable[[bytes], object] | None
    break_it: Callable[[], object]
    knows: bool = False

    def key(self, name: str = "") -> Credential:
        """Return a secret's key as the daemon has it: fetched, or made for one lease."""
        name, backend = name or self.name, self.backend
        if mints(backend) and backend.makes(name):
            return backend.make(name, backend.prepare(name), WHOM)
        return backend.fetch(name)


class BackendContract(ABC):
    """The tests. Their names say what a backend promises."""

    @pytest.fixture
    @abstractmethod
    def given(self) -> Any:
        """Return what to try, as a `Given`."""

    def test_it_describes_what_it_has(self, given: Given) -> None:
        secret = given.backend.describe(given.name)
        assert secret.name == given.name
        assert secret.hosts
        assert all(host == host.lower() for host in secret.hosts)
        assert secret.max_ttl > 0
        assert isinstance(secret.bounded_by, BoundedBy)

    def test_it_gives_the_key(self, given: Given) -> None:
        found = given.key()
        assert isinstance(found.value, bytes)
        assert found.value
        if given.value is not None:
            assert found.value == given.value

    def test_the_description_and_the_key_agree(self, given: Given) -> None:
        secret, found = given.backend.describe(given.name), given.key()
        assert secret.bounded_by == found.bounded_by
        assert secret.version in {"", found.version}

    def test_what_nothing_else_ends_names_nothing_to_end(self, given: Given) -> None:
        found = given.key()
        if found.bounded_by is BoundedBy.BROKER:
            assert (found.expires_at, found.upstream) == (None, None)
        else:
            assert found.expires_at is not None or found.upstream is not None

    def test_a_name_that_it_does_not_have_is_not_found(self, given: Given) -> None:
        for look in (given.backend.describe, given.key):
            with pytest.raises(SecretNotFound) as caught:
                look(UNKNOWN)
            assert UNKNOWN in caught.value.message

    def test_ending_what_it_never_gave_is_harmless(self, given: Given) -> None:
        given.backend.revoke("never/given")
        given.backend.revoke("never/given")
        assert given.key().value

    def test_a_new_key_is_a_new_version(self, given: Given) -> None:
        if given.rotate is None:
            assert given.key().value != given.key().value
            return
        before, revision = given.key(), given.backend.revision()
        given.rotate(b"sk-rotated")
        after = given.key()
        assert after.value == b"sk-rotated"
        assert after.version != before.version
        if is_watched(given.backend):  # somebody else rotates it there, and it has to be asked
            assert given.backend.newest(given.name) == after.version
        else:
            assert given.backend.describe(given.name).version == after.version
            assert given.backend.revision() != revision

    def test_its_revision_stays_while_nothing_changes(self, given: Given) -> None:
        revision = given.backend.revision()
        given.key()
        given.backend.describe(given.name)
        assert given.backend.revision() == revision
        assert hash(given.backend.revision()) == hash(revision)

    def test_a_secret_has_one_key_whatever_happens(self, given: Given) -> None:
        key = given.backend.key_of(given.name)
        given.key()
        assert hash(given.backend.key_of(given.name)) == hash(key)
        assert given.backend.key_of(UNKNOWN) != key
        given.break_it()
        assert given.backend.key_of(given.name) == key

    def test_nothing_but_the_value_shows_the_key(self, given: Given) -> None:
        found = given.key()
        secret = given.backend.describe(given.name)
        for shown in (found, secret, given.backend, vars(given.backend)):
            for text in (repr(shown), str(shown)):
                assert found.value.decode() not in text
        assert found.value not in pickle.dumps(secret)

    def test_no_error_shows_the_key(self, given: Given) -> None:
        key = given.key().value
        given.break_it()
        calls: list[Callable[[str], Secret | Credential]] = [given.key]
        if given.knows:
            assert given.backend.describe(given.name).name == given.name
        else:
            calls.append(given.backend.describe)
        for call in calls:
            with pytest.raises(BrokerError) as caught:
                call(given.name)
            for error in _chain(caught.value):
                assert key.decode() not in repr(error) + str(error) + repr(vars(error))
                assert key not in pickle.dumps(error)
            assert caught.value.hint
            assert key.decode() not in str(caught.value.to_wire())

    def test_its_revision_never_raises(self, given: Given) -> None:
        given.break_it()
        assert given.backend.revision() == given.backend.revision()

    def test_threads_all_get_the_key(self, given: Given) -> None:
        found: list[Credential] = []
        start = threading.Barrier(_THREADS)

        def work() -> None:
            start.wait()
            given.backend.describe(given.name)
            found.append(given.key())

        threads = [threading.Thread(target=work) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == _THREADS
        if given.value is not None:
            assert {each.value for each in found} == {given.value}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
