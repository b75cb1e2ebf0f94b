"""The public REST API, version 1: what goes around each operation.

Credentials, paths, limits, ETag and error bodies are the TaskRouter REST API's. The operations are
in `operations.py`; `server_stub/parameters.py` knows how form text becomes values.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from server_stub.chronicle import Chronicle
from server_stub.domain.errors import DomainError, NotFound
from server_stub.faults import Faults
from server_stub.limits import RateLimit
from server_stub.parameters import read_params
from server_stub.replies import (
    ApiError,
    cut,
    error_response,
    json_response,
    method_not_allowed,
    read_body,
    version_of,
)
from server_stub.runtime import InternalError, Runtime
from server_stub.tokens import Credentials
from server_stub.views import RestView

from .operation import Call, Operation
from .operations import OPERATIONS

__all__ = ["Rest", "read_form"]

MAX_FIELDS: Final = 1_000


# --- Finding the operation ----------------------------------------------------------------------


class _Node:
    """One segment of the paths. Fixed words take precedence over variables."""

    __slots__ = ("operations", "variable", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.operations: dict[str, Operation] = {}


def _tree(operations: Sequence[Operation]) -> _Node:
    root = _Node()
    for operation in operations:
        node = root
        for segment in filter(None, operation.path.strip("/").split("/")):
            if segment.startswith("{"):
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.words.setdefault(segment, _Node())
        node.operations[operation.method] = operation
    return root


_ROOT: Final = _tree(OPERATIONS)


def _find(method: str, path: str) -> tuple[Operation, tuple[str, ...]]:
    """The operation on `path` (below /v1) and the path's variables."""
    node = _ROOT
    variables: list[str] = []
    for segment in path.removeprefix("/Workspaces").split("/")[1:]:
        fixed = node.words.get(segment)
        if fixed is None and node.variable is not None and segment:
            variables.append(segment)
        step = fixed or (node.variable if segment else None)
        if step is None:
            raise _not_found(path)
        node = step
    if not node.operations:
        raise _not_found(path)
    operation = node.operations.get(method)
    if operation is None:
        raise method_not_allowed(method, *node.operations)
    return operation, tuple(variables)


def _not_found(path: str) -> ApiError:
    return ApiError(404, f"The requested resource {path} was not found")


# --- The door -----------------------------------------------------------------------------------


class Rest:
    """Answers everything below ``/v1/Workspaces``.

    Args:
        runtime: carries out the commands.
        credentials: HTTP Basic: account and auth token, or signing key and its secret.
        faults: a test's switches.
        chronicle: what happened: events and statistics.
        rate: how many requests the account may make.
        max_body: longest form, in bytes.
    """

    def __init__(
        self,
        runtime: Runtime,
        credentials: Credentials,
        *,
        faults: Faults,
        chronicle: Chronicle,
        rate: RateLimit,
        max_body: int,
    ) -> None:
        self._runtime = runtime
        self._accepted = (
            (credentials.account_sid.encode(), credentials.auth_token.encode()),
            (credentials.signing_key_sid.encode(), credentials.signing_key_secret.encode()),
        )
        self._faults = faults
        self._chronicle = chronicle
        self._rate = rate
        self._max_body = max_body

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        headers = {"Twilio-Request-Id": f"RQ{secrets.token_hex(16)}"}
        try:
            return await self._handle(request, headers)
        except ApiError as error:
            return error_response(error, headers=headers)

    async def _handle(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        self.authenticate(request.headers.get("Authorization", ""))
        headers.update(self._rate.take(self._runtime.account.sid))  # its keys are the account, too
        path = request.path.removeprefix("/v1")
        fault = None
        if self._faults.watches_requests:
            fault = await self._faults.on_request("rest", request.method, path.removeprefix("/"))
        if fault is not None and fault.status is not None:
            raise ApiError(fault.status, "refused by a fault that a test asked for", headers=fault.headers)
        if fault is not None and fault.cut == "before":
            return cut(request)

        operation, sids = _find(request.method, path)
        pairs, args = await _arguments(request, operation, self._max_body)
        base = f"{request.scheme}://{request.host}/v1/Workspaces"
        now = self._runtime.now(sids[0] if sids else None)
        try:
            call = Call(
                runtime=self._runtime,
                chronicle=self._chronicle,
                view=RestView(base, now),
                now=now,
                base=base,
                path=path,
                sids=sids,
                query=pairs,
                args=args,
                if_match=version_of(request.headers.get("If-Match")) if operation.versioned else None,
            )
            reply = operation.handle(call)
        except NotFound:
            raise _not_found(path) from None
        except DomainError as error:
            raise ApiError.of(error) from None
        except InternalError as error:
            raise ApiError(500, str(error)) from None
        if fault is not None and fault.cut == "after":
            return cut(request)
        if operation.status == 204:
            return web.Response(status=204, headers=headers)
        if reply.version is not None:
            headers["ETag"] = f'"{reply.version}"'
        return json_response(reply.body, status=operation.status, headers=headers)

    def authenticate(self, header: str) -> None:
        """Let in whoever sends the account's or the API key's credentials, as HTTP Basic.

        Compares in constant time, and both pairs always: the time tells nothing about either.

        Raises:
            ApiError: 401, the header `Authorization` holds neither.
        """
        kind, _, encoded = header.partition(" ")
        user, password = b"", b""
        if kind.lower() == "basic":
            with contextlib.suppress(binascii.Error, ValueError):
                user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        matches = [
            hmac.compare_digest(user, known_user) & hmac.compare_digest(password, known_password)
            for known_user, known_password in self._accepted
        ]
        if not any(matches):
            raise ApiError(
                401, "Authenticate", headers={"WWW-Authenticate": 'Basic realm="TaskRouter", charset="UTF-8"'}
            )


async def _arguments(
    request: web.Request, operation: Operation, max_body: int
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """What the client sent as names and values, and the operation's arguments made of it."""
    if operation.read_body is not None:
        body = await read_body(request, max_body)
        if request.content_type != "application/json":
            raise ApiError(400, "Content-Type must be application/json")
        return [], operation.read_body(body)
    pairs = await read_form(request, max_body) if request.method == "POST" else _query(request)
    return pairs, read_params(operation.params, pairs)


async def read_form(request: web.Request, max_body: int) -> list[tuple[str, str]]:
    """The names and values of the form in a request's body; none without a body.

    Raises:
        ApiError: 400, it is none; 413, it is longer than `max_body` bytes; 408, it did not come in time.
    """
    body = await read_body(request, max_body)
    if body and request.content_type not in ("application/x-www-form-urlencoded", "application/octet-stream"):
        # aiohttp says octet-stream where the client said nothing.
        raise ApiError(400, "Content-Type must be application/x-www-form-urlencoded")
    return _pairs(body)


def _pairs(body: bytes) -> list[tuple[str, str]]:
    """The names and values of a form."""
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise ApiError(400, "The form could not be read: expected URL-encoded UTF-8") from None


def _query(request: web.Request) -> list[tuple[str, str]]:
    return [
        (name, value) for name, value in request.query.items() if value
    ]  # an empty filter filters nothing
