"""What can go wrong, as one tree that the daemon, the shim and the command line share.

    BrokerError                  exit 1
    ├── UsageError               exit 2   the command line was not understood
    │   └── ConfigError                   a configuration file says something we do not accept
    ├── Denied                   exit 3   understood, and refused
    │   ├── ForeignUser                   the caller runs as another user
    │   ├── PeerGone                      the caller ended, or is not who it was
    │   ├── NoSession                     the caller is in no session
    │   ├── Orphan                        its ancestry no longer reaches the session's root
    │   ├── NotGranted                    no rule of the policy allows it
    │   ├── ApprovalRequired              a rule allows it once a person says yes
    │   ├── ProjectNotAllowed             this broker.toml was never trusted, or has changed since
    │   ├── HostNotAllowed                the secret may not go to that host
    │   ├── InsecurePath                  a file or folder that others could change or read
    │   ├── LoginRequired                 a person has to log in first
    │   ├── LoginUnderWay                 somebody is logging in to that identity already
    │   ├── LoginRefused                  a login ended without one, or its answer proves nothing
    │   ├── IdentityExpired               the identity's token is over, and no newer one is there
    │   ├── WrapOpened                    somebody has opened what was wrapped for us alone
    │   └── BackendRefused                a backend answers, and gives no key
    │       └── ExchangeRefused           the provider gives no key for this identity
    ├── NotFound                 exit 4
    │   ├── SecretNotFound
    │   │   ├── SecretDeleted             this version is deleted, and can be brought back
    │   │   └── SecretDestroyed           this version is gone for good
    │   ├── LeaseNotFound
    │   ├── IdentityNotFound
    │   ├── BackendNotFound
    │   ├── NamespaceNotFound             the server has no such namespace
    │   └── ProjectFileNotFound
    ├── DaemonUnreachable        exit 5   nothing listens, or it stopped answering
    │   └── AlreadyRunning                    a second daemon found the first
    ├── BackendUnavailable       exit 6   the place where keys come from cannot give one now
    │   ├── BackendTimeout
    │   ├── KeyringUnavailable
    │   ├── StoreCorrupted
    │   ├── IdentityUnavailable           this machine has no such identity now
    │   ├── ClockSkew                     this machine's clock is off, so nothing can be trusted
    │   └── ServerDown                    a server cannot be reached, or answers nonsense
    │       ├── RateLimited               it asks for a pause
    │       ├── ServerSealed              it runs, and its operators have to unseal it
    │       ├── ServerStandby             it runs, and another one of its cluster serves
    │       ├── ServerUnproven            it cannot prove who it is (TLS)
    │       └── ServerUnresolved          its name leads to no address (DNS)
    ├── AuditUnavailable         exit 6   the audit log cannot be written, so no key is given
    ├── BadRequest               exit 7   a request that breaks the wire's rules
    │   ├── MalformedRequest
    │   ├── UnknownMethod
    │   ├── InvalidParams
    │   ├── WrongProtocol
    │   └── LimitExceeded
    └── Locked                   exit 8   the embedded store is locked
        └── WrongPassphrase

Every class has a ``kind`` (stable text, what programs match on), a JSON-RPC ``code``, the
``exit_status`` of a command that ends with it, and a ``hint`` that says what to do next.
No error ever carries a key: messages are built from names, paths and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class BrokerError(Exception):
    """The root of the tree; on its own, something that should not have happened.

    Args:
        message: One sentence without a full stop, and never a key.
        hint: What to do next; the class's own hint where none is given.
        details: JSON-able facts for programs, sent along on the wire.
    """

    kind = "internal"
    code = -32603
    exit_status = 1
    hint = "see `brokerctl daemon logs`"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        self.details: dict[str, Any] = details or {}

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON-RPC 2.0 error object (section 5.1 of the specification)."""
        data = {**self.details, "kind": self.kind, "hint": self.hint}
        return {"code": self.code, "message": self.message, "data": data}


class UsageError(BrokerError):
    """The command line was not understood."""

    kind, code, exit_status = "usage", -32010, 2
    hint = "see `brokerctl --help`"


class ConfigError(UsageError):
    """A configuration file holds something that is not accepted."""

    kind, code = "usage.config", -32011
    hint = "correct the file named above"


class Denied(BrokerError):
    """The request was understood, and refused."""

    kind, code, exit_status = "denied", -32020, 3
    hint = "see `brokerctl audit`"


class ForeignUser(Denied):
    """The caller runs as another user than the daemon."""

    kind, code = "denied.foreign_user", -32021
    hint = "each user runs a daemon of their own; switch to the daemon's user"


class PeerGone(Denied):
    """The calling process ended, or another process writes in its name."""

    kind, code = "denied.peer_gone", -32022
    hint = "each process opens a connection of its own; do not pass the socket on"


class NoSession(Denied):
    """The calling process belongs to no session."""

    kind, code = "denied.no_session", -32023
    hint = "start the program with `brokerctl run`"


class Orphan(Denied):
    """The caller claims a session, but its ancestry does not reach that session's root."""

    kind, code = "denied.orphan", -32024
    hint = "keep the parent process alive, or start the program with its own `brokerctl run`"


class NotGranted(Denied):
    """No rule of the policy allows it."""

    kind, code = "denied.not_granted", -32025
    hint = "name the secret in broker.toml and run `brokerctl allow`"


class ApprovalRequired(Denied):
    """A person has to say yes first."""

    kind, code = "denied.approval_required", -32026
    hint = "run the command in a terminal, or write a grant into policy.toml"


class ProjectNotAllowed(Denied):
    """This broker.toml was never trusted, or has changed since it was."""

    kind, code = "denied.project_not_allowed", -32027
    hint = "read the file, then run `brokerctl allow`"


class HostNotAllowed(Denied):
    """The secret may not be sent to that host."""

    kind, code = "denied.host", -32028
    hint = (
        "name all its hosts: in its table in config.toml, if it has one, or by `brokerctl secret "
        "set NAME --keep-value --host HOST …`"
    )


class InsecurePath(Denied):
    """A file or folder has a foreign owner, loose permissions, or is a symbolic link."""

    kind, code = "denied.insecure_path", -32029
    hint = "make it yours and private: chown it, chmod 0700 a folder or 0600 a file"


class LoginRequired(Denied):
    """A person has to log in to an identity first."""

    kind, code = "denied.login_required", -32030
    hint = "run `brokerctl login` in a terminal"


class LoginUnderWay(Denied):
    """A login to that identity is under way already."""

    kind, code = "denied.login_under_way", -32031
    hint = "finish that one, or press Ctrl-C where it waits"


class LoginRefused(Denied):
    """A login ended without one: refused, given up, or its answer proves nothing."""

    kind, code = "denied.login_refused", -32032
    hint = "try again with `brokerctl login`"


class IdentityExpired(Denied):
    """The token of an identity is over, and nothing has put a newer one in its place."""

    kind, code = "denied.identity_expired", -32033
    hint = "see `brokerctl whoami`"


class WrapOpened(Denied):
    """What was wrapped for us alone was opened before: by somebody else, perhaps a thief."""

    kind, code = "denied.wrap_opened", -32035
    hint = "end what it held at the server, find out who opened it, and have another one made"


class BackendRefused(Denied):
    """A backend answers, and gives no key: its own rules do not allow it."""

    kind, code = "denied.backend", -32036
    hint = "`brokerctl backend check NAME` shows what it allows"


class ExchangeRefused(BackendRefused):
    """The provider knows the identity's token, and gives no key for it."""

    kind, code = "denied.exchange_refused", -32034
    hint = "see what the provider's rule for this identity asks for"


class NotFound(BrokerError):
    """The named thing does not exist."""

    kind, code, exit_status = "not_found", -32040, 4
    hint = "see `brokerctl status`"


class SecretNotFound(NotFound):
    """No secret, or no such version of it, goes by that name."""

    kind, code = "not_found.secret", -32041
    hint = "see `brokerctl secret list`, or store it with `brokerctl secret set NAME`"


class SecretDeleted(SecretNotFound):
    """That version of it is deleted, and can still be brought back."""

    kind, code = "not_found.secret.deleted", -32045
    hint = "undelete it at its backend, or write a new version there"


class SecretDestroyed(SecretNotFound):
    """That version of it is destroyed: nobody can bring it back."""

    kind, code = "not_found.secret.destroyed", -32046
    hint = "write a new version at its backend, and take a pinned version out of config.toml"


class LeaseNotFound(NotFound):
    """No live lease has that id."""

    kind, code = "not_found.lease", -32042
    hint = "see `brokerctl leases`"


class ProjectFileNotFound(NotFound):
    """There is no broker.toml here or in a folder above."""

    kind, code = "not_found.project_file", -32043
    hint = "write one with `brokerctl init`, or name secrets with `--env NAME=SECRET`"


class IdentityNotFound(NotFound):
    """No identity of that name is configured."""

    kind, code = "not_found.identity", -32044
    hint = "write it into config.toml, then `brokerctl daemon stop`; it starts again by itself"


class BackendNotFound(NotFound):
    """No backend of that name is configured."""

    kind, code = "not_found.backend", -32047
    hint = "`brokerctl backend list` shows them"


class NamespaceNotFound(NotFound):
    """The server has no such namespace, or does not know of namespaces."""

    kind, code = "not_found.namespace", -32048
    hint = "correct `namespace` of the backend in config.toml"


class DaemonUnreachable(BrokerError):
    """Nothing listens on the socket, or it stopped answering."""

    kind, code, exit_status = "unreachable", -32050, 5
    hint = "start it with `brokerctl daemon start`, then see `brokerctl daemon logs`"


class AlreadyRunning(DaemonUnreachable):
    """Another daemon of this user runs, so this one does not start."""

    kind, code = "unreachable.already_running", -32051
    hint = "use the one that runs, or stop it with `brokerctl daemon stop`"


class BackendUnavailable(BrokerError):
    """The place where keys come from cannot give one now."""

    kind, code, exit_status = "backend", -32060, 6
    hint = "see `brokerctl doctor`"


class BackendTimeout(BackendUnavailable):
    """The backend did not answer before the deadline."""

    kind, code = "backend.timeout", -32061
    hint = "try again; `brokerctl daemon logs` may say more"


class KeyringUnavailable(BackendUnavailable):
    """There is no keyring of the operating system, or it refuses."""

    kind, code = "backend.keyring", -32062
    hint = "unlock the keyring, or use a passphrase instead: `brokerctl unlock`"


class StoreCorrupted(BackendUnavailable):
    """The embedded store is torn, truncated, swapped or tampered with; it is left untouched."""

    kind, code = "backend.store_corrupted", -32063
    hint = "put back a good copy of the file; it was not overwritten"


class IdentityUnavailable(BackendUnavailable):
    """This machine, or this process, does not have that identity now."""

    kind, code = "backend.identity", -32064
    hint = "see `brokerctl whoami`"


class ClockSkew(BackendUnavailable):
    """This machine's clock is off, so that no token's times can be checked."""

    kind, code = "backend.clock_skew", -32065
    hint = "set the clock, as with `timedatectl set-ntp true`"


class ServerDown(BackendUnavailable):
    """A server cannot be reached, fails, or answers what it must not."""

    kind, code = "backend.down", -32066
    hint = "try again later; `brokerctl status` shows how the backends fare"


class RateLimited(ServerDown):
    """A server asks for a pause; ``retry_after`` in the details says how many seconds."""

    kind, code = "backend.down.rate_limited", -32067


class ServerSealed(ServerDown):
    """A server runs, and is sealed or not initialised: it can read nothing it holds."""

    kind, code = "backend.down.sealed", -32068
    hint = "its operators have to unseal it; keys that are leased already go on for a while"


class ServerStandby(ServerDown):
    """A server runs, and leaves serving to another one of its cluster."""

    kind, code = "backend.down.standby", -32069
    hint = "name the cluster's own address, or all its servers, in config.toml"


class ServerUnproven(ServerDown):
    """A server cannot prove that it is who it should be (TLS)."""

    kind, code = "backend.down.tls", -32071
    hint = "see its certificate; for an authority of your own, say so in config.toml"


class ServerUnresolved(ServerDown):
    """The name of a server leads to no address (DNS)."""

    kind, code = "backend.down.dns", -32072
    hint = "correct the name in config.toml, or see why this machine cannot look it up"


class AuditUnavailable(BrokerError):
    """The audit log cannot be written, so nothing is given out."""

    kind, code, exit_status = "audit", -32070, 6
    hint = "free disk space or mend the folder's permissions, then try again"


class BadRequest(BrokerError):
    """A request that breaks the rules of the wire."""

    kind, code, exit_status = "bad_request", -32600, 7
    hint = "see docs/protocol.md; client and daemon may be of different versions"


class MalformedRequest(BadRequest):
    """Not one JSON object a line, in UTF-8, with each key once."""

    kind, code = "bad_request.malformed", -32700


class UnknownMethod(BadRequest):
    """The daemon has no such method."""

    kind, code = "bad_request.unknown_method", -32601


class InvalidParams(BadRequest):
    """A parameter is missing, unknown, or of the wrong type."""

    kind, code = "bad_request.invalid_params", -32602


class WrongProtocol(BadRequest):
    """The client speaks another version, or did not say which."""

    kind, code = "bad_request.protocol", -32001
    hint = "restart the daemon after an upgrade: `brokerctl daemon stop`"


class LimitExceeded(BadRequest):
    """A line too long, too many requests in flight, or too many connections."""

    kind, code = "bad_request.limit", -32002
    hint = "close what is not needed, and wait for replies before sending more"


class Locked(BrokerError):
    """The embedded store is locked."""

    kind, code, exit_status = "locked", -32080, 8
    hint = "run `brokerctl unlock`"


class WrongPassphrase(Locked):
    """The passphrase does not open the store."""

    kind, code = "locked.wrong_passphrase", -32081
    hint = "try again with `brokerctl unlock`"


def _tree(root: type[BrokerError]) -> Iterator[type[BrokerError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


BY_KIND: dict[str, type[BrokerError]] = {cls.kind: cls for cls in _tree(BrokerError)}


def from_wire(error: dict[str, Any]) -> BrokerError:
    """Rebuild the error that a JSON-RPC error object describes.

    A kind that this version does not know becomes a plain `BrokerError`, so that an older
    client still fails with the newer daemon's words.
    """
    data = dict(error.get("data") or {})
    cls = BY_KIND.get(str(data.pop("kind", "")), BrokerError)
    hint = data.pop("hint", None)
    return cls(str(error.get("message", "unknown error")), hint=hint, details=data)
