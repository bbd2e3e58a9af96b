"""How is what was wrapped for us alone opened, and was anybody here before? (Response wrapping.)

A wrapping token opens once. So whoever opens it first is noticed by the second (Vault, "Response
wrapping", "Response wrapping token validation").
"""

from __future__ import annotations

from typing import Any

from brokerd.backends.reply import part, text
from brokerd.backends.vault.client import Vault, hvac
from brokerd.backends.vault.faults import translated
from brokerd.washing import washed
from brokershim.errors import BackendUnavailable, WrapOpened

_LONGEST = 256


class Wrapping:
    """Opens what is made at one path, and nothing else.

    Args:
        what: What is wrapped, for messages, such as ``the secret id of corp``.
        path: Where the server makes it.
    """

    def __init__(self, what: str, path: str) -> None:
        self._what, self._path = what, path
        self._unheard: str | None = None

    def open(self, vault: Vault, token: str) -> dict[str, Any]:
        """Return what a wrapping token holds, which is spent by that.

        Args:
            vault: Where it was made.
            token: The wrapping token.

        Raises:
            WrapOpened: It was opened before; or it is of another path, and was not opened.
            BrokerError: As `faults.translated`.
        """
        self._check(vault, token)
        answer: object = None
        try:
            with translated(f"unwrapping {self._what}"):
                try:
                    answer = vault.client(token).sys.unwrap()
                except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden):
                    answer = None
        except BackendUnavailable as error:
            if error.details.get("sent", True):
                self._unheard = token  # it may be spent by now, and then by nobody else
            raise
        if answer is None:
            raise self._opened(token)
        return part(answer, "data")

    def _check(self, vault: Vault, token: str) -> None:
        """Look whether a token is good and of the right path, without opening it."""
        answer: object = None
        with translated(f"looking up the wrapping token of {self._what}"):
            try:
                # In the body, and with no token of ours: so it needs no policy.
                answer = vault.client().write_data("sys/wrapping/lookup", data={"token": token})
            except hvac.exceptions.InvalidRequest:
                answer = None
        if answer is None:
            raise self._opened(token)
        # Whoever opened the true one can wrap anything anew, but not at this path.
        found = text(part(answer, "data"), "creation_path")
        if found != self._path:
            # Part by part: the whole of a path looks like a token itself.
            shown = "/".join(washed(each, token) for each in found[:_LONGEST].split("/"))
            raise WrapOpened(
                f"the wrapping token of {self._what} was made at {shown or 'no path'}, and not at "
                f"{self._path}: it was left unopened, and may have been put in another's place"
            )

    def _opened(self, token: str) -> WrapOpened:
        if token == self._unheard:
            return WrapOpened(
                f"{self._what} is lost: the server's answer to its unwrapping never came",
                hint="destroy that secret id at the server, and have another one wrapped",
            )
        return WrapOpened(
            f"the wrapping token of {self._what} is not good: it was opened by somebody else, its "
            "time was over before it got here, or it never was one"
        )
