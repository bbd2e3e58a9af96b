"""What every identity has to do: subclass `IdentityContract`, and give it an identity to try.

class TestMine(IdentityContract):
    @pytest.fixture
    def given(self) -> Given: ...
"""

from __future__ import annotations

import base64
import json
import pickle
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from brokerd.identities.base import Identity, Standing, Token
from brokershim import clock
from brokershim.errors import BrokerError, IdentityUnavailable

_THREADS = 8
_YEAR = 365 * 24 * 3600.0
_STATES = {"ready", "due", "login", "absent", "failed"}
_SHORTEST_PART = 12


@dataclass(frozen=True)
class Given:
    """An identity to try.

    Attributes:
        identity: Ready to use.
        audience: One that it can give a token for.
        other: Another one, for which there is a token too; None where its token is for one only.
        break_it: Makes it unable to give a token; from then on every call for one fails.
    """

    identity: Identity
    audience: str
    other: str | None
    break_it: Callable[[], object]


class IdentityContract(ABC):
    """The tests. Their names say what an identity promises."""

    @pytest.fixture
    @abstractmethod
    def given(self) -> Any:
        """Return what to try, as a `Given`."""

    def test_it_knows_its_name_and_its_kind(self, given: Given) -> None:
        assert given.identity.name
        assert given.identity.kind

    def test_it_gives_a_signed_token_for_the_audience(self, given: Given) -> None:
        found = given.identity.token(given.audience)
        assert given.audience in _audiences(found)
        assert all(found.value.split("."))

    def test_the_token_says_of_whom_it_is(self, given: Given) -> None:
        found = given.identity.token(given.audience)
        claims = _claims(found)
        assert (found.issuer, found.subject) == (claims.get("iss", ""), claims["sub"])
        assert found.id == claims.get("jti")

    def test_the_token_ends_when_it_says(self, given: Given) -> None:
        found = given.identity.token(given.audience)
        left = found.expires_at - clock.now()
        assert 0 < left < _YEAR

    def test_another_audience_is_another_token_or_none(self, given: Given) -> None:
        if given.other is None:
            with pytest.raises(IdentityUnavailable, match=r"https://nobody\.example\.com"):
                given.identity.token("https://nobody.example.com")
            return
        found, other = given.identity.token(given.audience), given.identity.token(given.other)
        assert found.value != other.value
        assert given.audience not in _audiences(other)
        assert given.other not in _audiences(found)

    def test_without_an_audience_it_gives_its_own_or_says_so(self, given: Given) -> None:
        try:
            found = given.identity.token(None)
        except IdentityUnavailable as error:
            assert "audience" in error.message  # noqa: PT017  either is right
        else:
            assert _audiences(found)

    def test_it_stands_ready_without_showing_a_token(self, given: Given) -> None:
        found = given.identity.token(given.audience)
        standing = given.identity.standing()
        assert isinstance(standing, Standing)
        assert standing.state == "ready"
        assert not standing.reason
        assert not _shows(repr(standing), found)

    def test_what_is_broken_says_how_it_stands(self, given: Given) -> None:
        found = given.identity.token(given.audience)
        given.break_it()
        standing = given.identity.standing()
        assert standing.state in _STATES
        assert bool(standing.reason) == (standing.state not in {"ready", "due"})
        assert not _shows(repr(standing), found)

    def test_nothing_but_the_value_shows_the_token(self, given: Given) -> None:
        found = given.identity.token(given.audience)
        shown = [found, given.identity, vars(given.identity), *vars(given.identity).values()]
        for each in shown:
            assert not _shows(repr(each), found)
            assert not _shows(str(each), found)

    def test_no_error_shows_the_token(self, given: Given) -> None:
        found = given.identity.token(given.audience)
        given.break_it()
        with pytest.raises(BrokerError) as caught:
            given.identity.token(given.audience)
        assert caught.value.hint
        written = "".join(traceback.format_exception(caught.value))
        assert not _shows(written, found)
        for error in _chain(caught.value):
            assert not _shows(repr(error) + str(error) + repr(vars(error)), found)
            assert not _shows(pickle.dumps(error).decode("latin-1"), found)
        assert not _shows(str(caught.value.to_wire()), found)

    def test_its_revision_stays_while_nobody_else_comes(self, given: Given) -> None:
        revision = given.identity.revision()
        given.identity.token(given.audience)
        given.identity.standing()
        assert given.identity.revision() == revision
        assert hash(given.identity.revision()) == hash(revision)

    def test_its_revision_neither_blocks_nor_raises(self, given: Given) -> None:
        given.break_it()
        assert given.identity.revision() == given.identity.revision()

    def test_threads_all_get_a_token_of_their_own_audience(self, given: Given) -> None:
        wanted = [given.audience, given.other or given.audience] * (_THREADS // 2)
        found: list[tuple[str, Token]] = []
        start = threading.Barrier(_THREADS)

        def work(audience: str) -> None:
            start.wait()
            given.identity.standing()
            found.append((audience, given.identity.token(audience)))

        threads = [threading.Thread(target=work, args=(each,)) for each in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == _THREADS
        assert all(audience in _audiences(each) for audience, each in found)


def _claims(token: Token) -> dict[str, Any]:
    part = token.value.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def _audiences(token: Token) -> list[str]:
    found = _claims(token).get("aud", [])
    return [found] if isinstance(found, str) else found


def _shows(text: str, token: Token) -> bool:
    """Return whether a text holds a token, or what nobody could know without it."""
    parts = [each for each in token.value.split(".")[1:] if len(each) >= _SHORTEST_PART]
    return any(part in text for part in parts)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
