"""Is a canned answer one that AWS could give? botocore says so, by its models of the services.

moto has no Identity Center, and nothing that answers as ECS and EKS do inside a container. Whoever
answers in their place gives each body to `reply`, `failure` or `container`, which fail the test
over a field that is made up, missing or of another type; and each request to `asked`.

    body = reply("sso-oidc", "CreateToken", {"accessToken": …, …}, without=("refreshToken",))
    status, headers, body = failure("sso-oidc", "CreateToken", "AuthorizationPendingException")
"""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

# What they give besides, of which botocore makes nothing (Amazon ECS, "Task IAM role").
_UNREAD = {"RoleArn"}


class Failure(NamedTuple):
    """An error, as it stands in an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def reply(
    service: str, operation: str, body: Mapping[str, Any], without: Collection[str] = ()
) -> bytes:
    """Return an answer of a JSON service, looked at.

    Args:
        service: As botocore has it, such as ``sso-oidc``.
        operation: Such as ``CreateToken``.
        body: With every field that there is.
        without: Those that are left out, knowingly.
    """
    shape = _operation(service, operation).output_shape
    _look(shape, body)
    missing = {*_members(shape)} - {*body} - {*without}
    assert not missing, f"{operation} answers {sorted(missing)} as well"
    _look_inside(shape, body)
    return json.dumps(body).encode()


def failure(service: str, operation: str, name: str, **fields: str) -> Failure:
    """Return an error of a JSON service, by the name of its shape, looked at."""
    errors = {each.name: each for each in _operation(service, operation).error_shapes}
    assert name in errors, f"{operation} fails with {sorted(errors)}"
    _look(errors[name], fields)
    status = errors[name].metadata["error"]["httpStatusCode"]
    return Failure(status, {"x-amzn-ErrorType": name}, json.dumps(fields).encode())


def asked(service: str, operation: str, params: Mapping[str, Any]) -> None:
    """Look at the parameters of a request that did not go through botocore."""
    _look(_operation(service, operation).input_shape, params)


def container(body: Mapping[str, str]) -> bytes:
    """Return an answer of the credentials endpoint of ECS or EKS, looked at.

    It is no service with a model: what botocore's own provider reads there is what there is.
    """
    read = _Read(body)

    class _Fetcher:
        def retrieve_full_uri(self, *_: object, **__: object) -> _Read:
            return read

    credentials: Any = importlib.import_module("botocore.credentials")
    where = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/"}
    credentials.ContainerProvider(where, _Fetcher()).load()
    made_up = {*body} - read.fields - _UNREAD
    assert not made_up, f"nothing reads {sorted(made_up)}"
    return json.dumps(body).encode()


class _Read(dict[str, str]):
    """A body that knows which of its fields were asked for."""

    def __init__(self, body: Mapping[str, str]) -> None:
        super().__init__(body)
        self.fields: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.fields.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.fields.add(key)
        return super().get(key, default)


@functools.cache
def _operation(service: str, operation: str) -> Any:
    session: Any = importlib.import_module("botocore.session")
    return session.Session().get_service_model(service).operation_model(operation)


def _members(shape: Any) -> dict[str, Any]:
    return {} if shape is None else dict(shape.members)


def _look(shape: Any, body: Mapping[str, Any]) -> None:
    unknown = {*body} - {*_members(shape)}
    assert not unknown, f"{shape.name if shape else 'nothing'} has no {sorted(unknown)}"
    if shape is not None:
        validate: Any = importlib.import_module("botocore.validate")
        report = validate.ParamValidator().validate(dict(body), shape)
        assert not report.has_errors(), report.generate_report()


def _look_inside(shape: Any, body: Mapping[str, Any]) -> None:
    """Look for fields that are made up or missing, however deep: a model has few required ones."""
    for name, member in _members(shape).items():
        values = body.get(name)
        inner = member.member if member.type_name == "list" else member
        if values is None or inner.type_name != "structure":
            continue
        for each in values if member.type_name == "list" else [values]:
            assert {*each} == {*inner.members}, f"{name} has {sorted(inner.members)}"
            _look_inside(inner, each)
