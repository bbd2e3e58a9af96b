"""What is read from the answers of IAM Identity Center, where they are none of its own?"""

from __future__ import annotations

import time
from typing import Any

import pytest

from brokerd.backends.aws.login.granted import keys_of, registered, tokens
from brokerd.identities.oidc.clocks import Clocks
from brokershim.errors import ServerDown

_ODD = ["", "the-token\r\nX-Other: 1", "the-token\ud800", "the-token \u0410", None, 7]
_KEYS = {"accessKeyId": "A", "secretAccessKey": "s", "sessionToken": "t"}


def _keys(**changed: Any) -> dict[str, Any]:
    return {"roleCredentials": {**_KEYS, "expiration": (time.time() + 60) * 1000, **changed}}


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize("name", _KEYS)
def test_credentials_that_cannot_be_sent_are_none(name: str, odd: object) -> None:
    with pytest.raises(ServerDown, match=f"the answer has no {name}") as caught:
        keys_of("asking", _keys(**{name: odd}), Clocks())
    assert "the-token" not in repr(vars(caught.value))


@pytest.mark.parametrize("odd", _ODD)
def test_tokens_that_cannot_be_sent_are_none(odd: object) -> None:
    with pytest.raises(ServerDown, match="the answer has no accessToken"):
        tokens("asking", {"accessToken": odd, "expiresIn": 60})
    with pytest.raises(ServerDown, match="the answer has no clientSecret"):
        registered("asking", {"clientId": "c", "clientSecret": odd})
