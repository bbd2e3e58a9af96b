"""Which refresh token is given back to its provider, and how? (RFC 7009)

With one token a provider may end all of its grant (section 2.1), and certified ones have one grant
for each person and client. So giving back a person's older token may end their newer login: what is
left over is given back only where no login of the same person goes on.
"""

from __future__ import annotations

import logging

from brokerd import http
from brokerd.identities.oidc.keeping import Kept
from brokerd.identities.oidc.provider import Provider
from brokershim.errors import BackendUnavailable, ServerDown

_OK = 200
_log = logging.getLogger(__name__)


def give_back(provider: Provider, client_id: str, refresh_token: str) -> None:
    """Tell the provider that a refresh token is not used any more.

    Raises:
        ServerDown: It cannot be told.
        BackendUnavailable: It cannot be asked where it is told; see `Provider.metadata`.
    """
    url = provider.metadata().revocation
    if url is None:  # it cannot be told, and its token dies by itself
        return
    form = {
        "token": refresh_token,
        "token_type_hint": "refresh_token",
        "client_id": client_id,
    }
    if http.post_form(url, form).status != _OK:
        raise ServerDown(
            f"{provider.issuer} did not take the login back",
            hint="this machine has forgotten it; end it on the provider's own page",
        )


def give_back_spare(
    provider: Provider, client_id: str, spare: str, subject: str | None, stays: Kept | None
) -> None:
    """Give back what a login left over, as far as that can be done.

    Args:
        provider: Whose token it is.
        client_id: Who we are to it.
        spare: The refresh token that nobody uses.
        subject: Of whom it is; None where that is not known.
        stays: The login that goes on; None where there is none.
    """
    if stays is not None and subject in (None, stays.subject):
        return
    try:
        give_back(provider, client_id, spare)
    except BackendUnavailable as error:
        _log.warning("a login that is not used any more is not given back: %s", error.message)
