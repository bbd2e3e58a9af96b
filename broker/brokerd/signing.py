"""In which variables does a secret stand that signs requests to AWS? (Pure.)"""

from __future__ import annotations

from collections.abc import Container, Mapping

from brokershim.errors import UsageError

ACCESS_KEY = "AWS_ACCESS_KEY_ID"
_TOGETHER = (ACCESS_KEY, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""The SDKs of AWS want the first two of one another, and take the third if it is there."""


def completed(env: Mapping[str, str], signing: Container[str]) -> dict[str, str]:
    """Return a session's variables, with all that SDKs of AWS want where one of them is named.

    Args:
        env: Variable -> name of the secret that it refers to.
        signing: Those of the secrets that sign.

    Raises:
        UsageError: A secret that signs stands elsewhere, something else stands there, or two do.
    """
    for variable, secret in env.items():
        _check(variable, secret, signs=secret in signing)
    named = {env[each] for each in _TOGETHER if each in env}
    if len(named) > 1:
        raise UsageError(
            f"{' and '.join(sorted(named))} cannot sign together",
            hint=f"name one of them in {ACCESS_KEY}, and in no other variable",
        )
    return {**env, **{each: secret for secret in named for each in _TOGETHER}}


def _check(variable: str, secret: str, *, signs: bool) -> None:
    if signs and variable not in _TOGETHER:
        raise UsageError(
            f"{secret} signs requests to AWS, which nobody does with what is in {variable}",
            hint=f"name it in {ACCESS_KEY}",
        )
    if variable in _TOGETHER and not signs:
        raise UsageError(
            f"{secret} is no credentials of AWS, and {variable} is for those",
            hint='name a secret with `engine = "sts"`; '
            "an API key of Bedrock belongs in AWS_BEARER_TOKEN_BEDROCK",
        )
