"""Signed tokens such as identity providers make, of any claims and any moment."""

from __future__ import annotations

import time
import uuid
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

AUDIENCE = "https://api.example.com"
_KEY = ECKey.generate_key("P-256")


def token(audience: object = AUDIENCE, **claims: Any) -> str:
    """Return a token that is good for five minutes; a claim of None is left out."""
    now = int(time.time())
    usual = {
        "iss": "https://issuer.example.com",
        "sub": "robot",
        "aud": audience,
        "iat": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),
    }
    found = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode({"alg": "ES256", "typ": "JWT"}, found, _KEY)
