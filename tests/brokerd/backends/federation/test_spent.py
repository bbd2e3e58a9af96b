"""Which tokens have been sent, and for how long is that remembered?"""

from __future__ import annotations

from brokerd.backends.federation import spent
from brokerd.backends.federation.spent import Spent
from brokerd.identities.base import Token

A, B = "https://a.example/token", "https://b.example/token"


def _token(value: str = "one", ends: float = 100.0) -> Token:
    return Token(value, "issuer", "subject", ends)


def test_each_is_claimed_once_for_each_endpoint() -> None:
    memory = Spent()
    assert memory.claim(A, _token(), 0.0)
    assert not memory.claim(A, _token(), 0.0)
    assert memory.claim(B, _token(), 0.0)
    assert memory.claim(A, _token("two"), 0.0)


def test_one_that_was_not_sent_is_given_back() -> None:
    memory = Spent()
    assert memory.claim(A, _token(), 0.0)
    memory.give_back(B, _token())
    assert not memory.claim(A, _token(), 0.0)
    memory.give_back(A, _token())
    assert memory.claim(A, _token(), 0.0)


def test_it_is_remembered_until_it_is_over() -> None:
    memory = Spent()
    memory.claim(A, _token(), 0.0)
    assert not memory.claim(A, _token(), 99.9)
    assert memory.claim(A, _token("two"), 100.0)
    assert len(memory._until) == 1


def test_the_memory_does_not_grow_for_ever() -> None:
    memory = Spent()
    for number in range(spent._MOST + 10):
        assert memory.claim(A, _token(str(number)), 0.0)
    assert len(memory._until) == spent._MOST
    assert not memory.claim(A, _token(str(spent._MOST + 9)), 0.0)


def test_no_token_is_kept() -> None:
    memory = Spent()
    memory.claim(A, _token("a-token-that-nobody-may-see"), 0.0)
    assert b"a-token-that" not in repr(memory._until).encode()
