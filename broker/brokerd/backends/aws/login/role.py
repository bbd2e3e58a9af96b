"""Which role does a person have in which account, and as whom does AWS know them there?"""

from __future__ import annotations

from dataclasses import dataclass

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.faults import translated
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.portal import Portal
from brokerd.backends.reply import text


@dataclass(frozen=True)
class AccountRole:
    """A role of IAM Identity Center: a permission set in an account.

    Attributes:
        account_id: Of twelve digits.
        name: The permission set's.
        clients: Asks STS who somebody is.
    """

    account_id: str
    name: str
    clients: Clients

    def keys(self, portal: Portal, access_token: str) -> Keys | None:
        """Return its credentials; None where the token is over. Raises as `Portal.keys`."""
        return portal.keys(access_token, self.account_id, self.name)

    def who(self, keys: Keys) -> str:
        """Return who has it, as the end of their ARN says (STS, GetCallerIdentity).

        Raises:
            BrokerError: As `faults.translated`.
        """
        with translated("asking who has logged in"):
            answer: object = self.clients.client("sts", keys).get_caller_identity()
        return text(answer, "Arn").rpartition("/")[2]

    def described(self, who: str) -> str:
        """Return somebody with the role, in words."""
        return ", ".join(filter(None, [who, f"{self.name} in {self.account_id}"]))
