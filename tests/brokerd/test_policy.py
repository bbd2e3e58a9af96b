from __future__ import annotations

import pytest

from brokerd.policy import Approval, Asker, Grant, Policy, Trust
from brokershim.errors import ApprovalRequired, NotGranted

_HERE = Asker(folder="/home/me/app", project="/home/me/app")


def _limit(grant: Grant, asker: Asker = _HERE, *, approved: bool = False) -> float | None:
    return Policy((grant,)).max_ttl(asker, "openai/dev", approved)


def test_deny_is_the_default() -> None:
    with pytest.raises(NotGranted, match="openai/dev"):
        Policy().max_ttl(_HERE, "openai/dev", approved=False)


def test_a_grant_that_is_for_nobody_grants_nothing() -> None:
    with pytest.raises(NotGranted):
        _limit(Grant(("*",)))


@pytest.mark.parametrize("secrets", [(), ("",), ("openai",), ("OPENAI/DEV",), ("openai/dev ",)])
def test_a_grant_of_other_secrets_grants_nothing(secrets: tuple[str, ...]) -> None:
    with pytest.raises(NotGranted):
        _limit(Grant(secrets, unsafe_any_session=True))


@pytest.mark.parametrize("folder", ["/home/me/ap", "/home/me/app/src", "/home/me/app2", "/srv"])
def test_a_folder_with_a_like_name_is_another_folder(folder: str) -> None:
    with pytest.raises(NotGranted):
        _limit(Grant(("*",), folder=folder))


@pytest.mark.parametrize("folder", ["/home/me/app", "/home/me", "/"])
def test_a_folder_grants_itself_and_what_is_below(folder: str) -> None:
    assert _limit(Grant(("*",), folder=folder, max_ttl=60.0)) == 60.0


def test_a_project_is_that_folder_and_not_what_is_below() -> None:
    grant = Grant(("*",), project="/home/me/app", sha256="00")
    assert _limit(grant) is None
    for project in (None, "/home/me/app/src", "/home/me"):
        with pytest.raises(NotGranted):
            _limit(grant, Asker("/home/me/app", project))


def test_a_rule_that_asks_says_so_until_a_person_said_yes() -> None:
    grant = Grant(("openai/*",), folder="/", approval=Approval.SESSION, max_ttl=60.0)
    with pytest.raises(ApprovalRequired, match="openai/dev"):
        _limit(grant)
    assert _limit(grant, approved=True) == 60.0


def test_a_yes_without_any_rule_is_the_rule() -> None:
    assert Policy().max_ttl(_HERE, "openai/dev", approved=True) is None


def test_a_rule_that_was_written_bounds_a_yes() -> None:
    assert _limit(Grant(("*",), folder="/", max_ttl=60.0), approved=True) == 60.0


def test_the_longest_of_several_rules_counts_and_no_limit_is_the_longest() -> None:
    rules = tuple(Grant(("*",), folder="/", max_ttl=each) for each in (60.0, 900.0, 1.0))
    assert Policy(rules).max_ttl(_HERE, "a", approved=False) == 900.0
    assert Policy((*rules, Grant(("a",), folder="/"))).max_ttl(_HERE, "a", approved=False) is None


def test_a_changed_project_is_told_from_a_new_one() -> None:
    policy = Policy((Grant(("a",), project="/app", sha256="00"),))
    assert policy.trust("/app", "00") is Trust.ALLOWED
    assert policy.trust("/app", "11") is Trust.CHANGED
    assert policy.trust("/other", "00") is Trust.NEW


def test_a_grant_without_a_project_makes_no_project_trusted() -> None:
    assert Policy((Grant(("*",), unsafe_any_session=True),)).trust("/app", "00") is Trust.NEW
