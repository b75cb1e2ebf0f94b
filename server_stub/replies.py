"""JSON answers and refusals over HTTP, and what every door says the same way.

The body of an error is TaskRouter's (REST API, errors): `code`, `message`, `more_info`, `status`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from .domain.errors import DomainError

__all__ = [
    "CORS",
    "REQUEST_TIMEOUT",
    "ApiError",
    "commit_failed",
    "cut",
    "error_response",
    "in_time",
    "json_response",
    "method_not_allowed",
    "read_body",
    "version_of",
]

CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Allow-Headers": "apiVersion, clientVersion, If-Match, Content-Type",
    "Access-Control-Max-Age": "86400",
}
"""The event bridge is called from pages of any origin. It knows no cookies: the token is in the body."""

_CODES: Final = {
    HTTPStatus.BAD_REQUEST: 20001,
    HTTPStatus.UNAUTHORIZED: 20003,
    HTTPStatus.FORBIDDEN: 20006,
    HTTPStatus.NOT_FOUND: 20404,
    HTTPStatus.METHOD_NOT_ALLOWED: 20004,
    HTTPStatus.REQUEST_TIMEOUT: 20408,
    HTTPStatus.CONFLICT: 20409,
    HTTPStatus.PRECONDITION_FAILED: 20412,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 20413,
    HTTPStatus.TOO_MANY_REQUESTS: 20429,
}
"""TaskRouter's code where the status alone decides it; everything else is 20500."""

REQUEST_TIMEOUT: Final = web.AppKey("REQUEST_TIMEOUT", float)
"""Under this key an application keeps how long the body of a request may take, in seconds."""

_encode = msgspec.json.Encoder().encode

log = logging.getLogger(__name__)


class ApiError(Exception):
    """A refusal that comes from a door and not from the rules of the domain."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.details = details
        self.code = _CODES.get(HTTPStatus(status), 20500) if code is None else code
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: DomainError) -> ApiError:
        """The same refusal, as the domain gave it."""
        details = None if error.log_code is None else {"log_code": error.log_code}
        return cls(error.status, str(error), code=error.code, details=details)


def json_response(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`body`, encoded."""
    return web.Response(
        body=_encode(body), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def error_response(error: ApiError, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """The refusal as the clients of the API expect it."""
    return json_response(
        {
            "code": error.code,
            "message": str(error),
            "more_info": f"https://www.twilio.com/docs/errors/{error.code}",
            "status": error.status,
            **({} if error.details is None else {"details": error.details}),
        },
        status=error.status,
        headers={**(headers or {}), **error.headers},
    )


def commit_failed() -> ApiError:
    """The refusal of a request whose effect is not known to be stored."""
    return ApiError(
        503, "The server could not store what was changed, and is stopping", headers={"Retry-After": "5"}
    )


def method_not_allowed(method: str, *allowed: str) -> ApiError:
    """405, naming what would be allowed."""
    wanted = ", ".join(sorted(allowed))
    return ApiError(
        405, f"The method {method} is not allowed here, expected {wanted}", headers={"Allow": wanted}
    )


@asynccontextmanager
async def in_time(request: web.Request) -> AsyncGenerator[None]:
    """Whatever reads the body of a request inside of this has the request's time for it.

    Raises:
        ApiError: 408, it did not come in time.
    """
    seconds = request.app.get(REQUEST_TIMEOUT)
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ApiError(408, f"The request body did not arrive within {seconds:g} seconds") from None


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        ApiError: 413, it is longer than `limit` bytes; 408, it did not come in time. The rest is not read.
    """
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    try:
        if request.content.is_eof():  # it came with its headers: nothing to wait for
            body = await request.read()
        else:
            async with in_time(request):
                body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit) from None
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The request body is too large: at most {limit} bytes are accepted")


def version_of(if_match: str | None) -> int | None:
    """The version that If-Match asks for: ``3``, ``"3"`` or ``W/"3"``. None asks for nothing, as does ``*``.

    Raises:
        ApiError: 412, the header names something that no version can be.
    """
    bare = (if_match or "").strip().removeprefix("W/").strip('"')
    if not bare or bare == "*":
        return None
    if not (bare.isascii() and bare.isdigit() and len(bare) < 20):
        raise ApiError(412, "The version supplied in If-Match is not the current one: expected a number")
    return int(bare)


def cut(request: web.Request) -> web.Response:
    """End the TCP connection without an answer (a fault that a test asked for)."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)  # reaches nobody: the connection is gone
