"""Whatever the grants are: nothing is given that none of them covers."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from brokerd.policy import Approval, Asker, Grant, Policy
from brokershim.errors import ApprovalRequired, NotGranted

_FOLDERS = ["/", "/home/me", "/home/me/app", "/home/me/app/src", "/home/me/app2", "/srv"]
_NAMES = ["openai", "openai/dev", "openai/prod", "openai/dev/a", "anthropic/dev", "open"]
_PATTERNS = [*_NAMES, "openai/*", "*", "*/dev", "open?i/dev", "[oa]*/prod", ""]

_ttls = st.none() | st.sampled_from([1.0, 60.0, 900.0])
_rest = {
    "secrets": st.lists(st.sampled_from(_PATTERNS), max_size=3).map(tuple),
    "max_ttl": _ttls,
    "approval": st.sampled_from(Approval),
}
_grants = st.one_of(
    st.builds(Grant, project=st.sampled_from(_FOLDERS), sha256=st.just("00"), **_rest),
    st.builds(Grant, folder=st.sampled_from(_FOLDERS), **_rest),
    st.builds(Grant, unsafe_any_session=st.just(True), **_rest),
)
_policies = st.lists(_grants, max_size=5).map(lambda grants: Policy(tuple(grants)))
_askers = st.builds(
    Asker,
    folder=st.sampled_from([*_FOLDERS, "?"]),
    project=st.none() | st.sampled_from(_FOLDERS),
)
_names = st.sampled_from(_NAMES)

_NOTHING = "nothing"
_ASK = "ask"


def _answer(policy: Policy, asker: Asker, secret: str, approved: bool) -> float | str:
    """Return the longest lease in seconds, an hour standing in for the secret's own limit."""
    try:
        limit = policy.max_ttl(asker, secret, approved)
    except ApprovalRequired:
        return _ASK
    except NotGranted:
        return _NOTHING
    return 3600.0 if limit is None else limit


def _rank(answer: float | str) -> float:
    if isinstance(answer, str):
        return {_NOTHING: -2.0, _ASK: -1.0}[answer]
    return answer


def _speaks_of(grant: Grant, asker: Asker, secret: str) -> bool:
    """Say in the plainest way whether a grant is about that session and that secret."""
    inside = asker.folder == grant.folder or (
        grant.folder is not None
        and asker.folder.startswith("/")
        and asker.folder.startswith(grant.folder.rstrip("/") + "/")
    )
    for_it = (
        grant.unsafe_any_session
        or (grant.project is not None and grant.project == asker.project)
        or inside
    )
    return for_it and any(fnmatchcase(secret, pattern) for pattern in grant.secrets)


@given(_askers, _names)
def test_without_grants_nothing_is_given(asker: Asker, secret: str) -> None:
    assert _answer(Policy(), asker, secret, approved=False) == _NOTHING


@given(_policies, _askers, _names)
def test_the_answer_is_that_of_the_grants_that_speak_of_it(
    policy: Policy, asker: Asker, secret: str
) -> None:
    speaking = [each for each in policy.grants if _speaks_of(each, asker, secret)]
    free = [each.max_ttl or 3600.0 for each in speaking if each.approval is Approval.NONE]
    expected = max(free) if free else _ASK if speaking else _NOTHING
    assert _answer(policy, asker, secret, approved=False) == expected


@given(_policies, _grants, _askers, _names)
def test_one_more_grant_never_takes_away(
    policy: Policy, more: Grant, asker: Asker, secret: str
) -> None:
    wider = Policy((*policy.grants, more))
    before = _answer(policy, asker, secret, approved=False)
    assert _rank(_answer(wider, asker, secret, approved=False)) >= _rank(before)


@given(_policies, _askers, _names, st.randoms(use_true_random=False))
def test_the_order_of_grants_means_nothing(
    policy: Policy, asker: Asker, secret: str, random: Random
) -> None:
    shuffled = list(policy.grants)
    random.shuffle(shuffled)
    for approved in (False, True):
        first = _answer(policy, asker, secret, approved)
        assert _answer(Policy(tuple(shuffled)), asker, secret, approved) == first


@given(_policies, _askers, _names)
def test_a_yes_never_gives_less(policy: Policy, asker: Asker, secret: str) -> None:
    without = _answer(policy, asker, secret, approved=False)
    given_yes = _answer(policy, asker, secret, approved=True)
    assert not isinstance(given_yes, str)
    assert given_yes >= _rank(without)


@given(_policies, _askers, _names)
def test_a_yes_gives_no_more_time_than_the_rules_that_speak_of_it(
    policy: Policy, asker: Asker, secret: str
) -> None:
    speaking = [each for each in policy.grants if _speaks_of(each, asker, secret)]
    expected = max((each.max_ttl or 3600.0 for each in speaking), default=3600.0)
    assert _answer(policy, asker, secret, approved=True) == expected


@given(_policies, _askers, _names, st.sampled_from(_PATTERNS))
@example(Policy(), Asker("?", None), "openai/dev", "*")
def test_a_folder_that_the_kernel_could_not_name_is_in_no_folder(
    policy: Policy, asker: Asker, secret: str, pattern: str
) -> None:
    everywhere = Policy((*policy.grants, Grant((pattern,), folder="/")))
    unknown = replace(asker, folder="?")
    assert _answer(everywhere, unknown, secret, approved=False) == _answer(
        policy, unknown, secret, approved=False
    )


@given(_policies, st.sampled_from(_FOLDERS), st.sampled_from(["00", "11", ""]))
def test_only_a_hash_that_a_grant_names_for_that_project_is_trusted(
    policy: Policy, folder: str, sha256: str
) -> None:
    trusted = {each.sha256 for each in policy.grants if each.project == folder}
    found = policy.trust(folder, sha256)
    assert (found == "allowed") == (sha256 in trusted)
    assert (found == "new") == (not trusted)
