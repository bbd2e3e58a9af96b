"""A SPIFFE Workload API on a Unix socket, which answers as an agent does, or misbehaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from spiffe._proto import workload_pb2, workload_pb2_grpc

from tests.support.tokens import token

SUBJECT = "spiffe://example.org/app"
_HEADER = ("workload.spiffe.io", "true")
_METHOD = "FetchJWTSVID"


class WorkloadApi:
    """The server; a context manager.

    Attributes:
        path: Its socket.
        subjects: Who the caller is; nobody where it is empty.
        claims: What a token says besides, or otherwise.
        answer: Makes the answer; replace it to have it misbehave.
    """

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "agent.sock")
        self.subjects = [SUBJECT]
        self.claims: dict[str, Any] = {}
        self.answer: Callable[[Any, grpc.ServicerContext], Any] = self.svids
        self._released = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(8))

    def __enter__(self) -> WorkloadApi:
        api = self

        class Servicer(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
            def FetchJWTSVID(self, request: Any, context: Any) -> Any:  # noqa: N802
                return api.answer(request, context)

        workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(Servicer(), self._server)  # type: ignore[no-untyped-call]
        self._server.add_insecure_port(f"unix://{self.path}")
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and whatever hangs in it."""
        self._released.set()
        self._server.stop(None).wait()

    def svids(self, request: Any, context: Any) -> Any:
        """Answer as an agent does: the header is required, and so is an identity."""
        if _HEADER not in [(each.key, each.value) for each in context.invocation_metadata()]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing")
        mine = [each for each in self.subjects if request.spiffe_id in {"", each}]
        if not mine:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")
        return _response(
            (each, token(list(request.audience), sub=each, iss=None, **self.claims))
            for each in mine
        )

    def text(self, text: str) -> None:
        """Answer with a text in the place of a token."""
        self.answer = lambda *_: _response([(SUBJECT, text)])

    def nothing(self) -> None:
        """Answer with no token at all."""
        self.answer = lambda *_: _response([])

    def fail(self, code: grpc.StatusCode, words: str) -> None:
        """Answer with an error."""
        self.answer = lambda _, context: context.abort(code, words)

    def hang(self) -> None:
        """Answer nothing until stopped."""
        self.answer = lambda *_: self._released.wait()


def _response(svids: Iterable[tuple[str, str]]) -> Any:
    made = [workload_pb2.JWTSVID(spiffe_id=who, svid=text) for who, text in svids]
    return workload_pb2.JWTSVIDResponse(svids=made)
