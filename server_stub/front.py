"""What every HTTP request meets before its handler: names and origins, errors as JSON, nothing unstored.

aiohttp's own habits that would tell or keep too much are curbed here as well.
"""

from __future__ import annotations

import base64
import logging
import ssl
import traceback
from asyncio import BaseProtocol
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web, web_app
from aiohttp.typedefs import Middleware

from .commits import CommitFailed
from .replies import CORS, ApiError, commit_failed, error_response
from .settings import BRIDGE_PATH

__all__ = [
    "OriginGuard",
    "as_json",
    "check_handshake",
    "forget_handlers",
    "once_stored",
    "quiet_logger",
    "refuse_compressed",
    "tls_context",
]

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OriginGuard:
    """Pages of other sites must not reach `/stub` and the console, nor other names for them.

    Browsers keep credentials, and a name that somebody else owns may lead here (DNS rebinding).

    Args:
        hosts: names under which the server may be reached beside this machine's own.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._allowed = {"localhost", "127.0.0.1", "::1", *(host.lower() for host in hosts)}

    def __call__(self, request: web.Request) -> None:
        """Refuse with 403 what came by another name or from another site's page.

        Raises:
            ApiError: it did.
        """
        origin = request.headers.get("Origin")
        if _hostname(f"//{request.host}") not in self._allowed:
            raise ApiError(
                403, "This host name is not allowed: start the server with --allowed-host to add it"
            )
        if origin is not None and _hostname(origin) not in self._allowed:
            raise ApiError(403, "Pages of this origin are not allowed here")


def once_stored(committed: Callable[[], Awaitable[None]]) -> Middleware:
    """No answer, refusals included, shows anything that the end of this process could take back."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not response.prepared:
            try:
                await committed()
            except CommitFailed:
                return error_response(commit_failed(), headers=_headers(request))
        return response

    return middleware


def as_json(heard: Callable[[BaseProtocol], None]) -> Middleware:
    """Every refusal is a JSON object, also those that aiohttp makes and those that are our defects.

    Args:
        heard: is told of the connection of each request. Not a middleware of its own: each websocket
            would keep it alive.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        heard(request.protocol)
        try:
            refuse_compressed(request)
            return await handler(request)
        except ApiError as error:
            return error_response(error, headers=_headers(request))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            message = (
                f"The requested resource {request.path.removeprefix('/v1')} was not found"
                if error.status == 404
                else error.reason
            )
            return error_response(ApiError(error.status, message), headers=_headers(request))
        except ConnectionError:
            raise  # the client is gone: aiohttp knows what to do
        except Exception as error:  # noqa: BLE001 - a defect in one request must not look like a broken connection
            where = "".join(traceback.format_tb(error.__traceback__))
            # Not its text: it may quote a token.
            log.error("a request broke: %s\n%s", type(error).__name__, where)  # noqa: TRY400
            failed = ApiError(500, "The server failed to carry out the request")
            return error_response(failed, headers=_headers(request))

    return middleware


def refuse_compressed(request: web.Request) -> None:
    """No client sends such bodies, and some kilobytes of them would be gigabytes: they are never unpacked.

    Raises:
        ApiError: 415.
    """
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() not in ("", "identity"):
        raise ApiError(415, "Content-Encoding is not accepted here: send the body as it is", code=20001)


def check_handshake(request: web.Request) -> None:
    """Refuse what aiohttp cannot take for a websocket's handshake (RFC 6455, 4.2.1), saying why.

    A subprotocol is refused as well: none is spoken here, aiohttp would log it, and some put a token there.

    Raises:
        ApiError: 400.
    """
    headers = request.headers
    try:
        key = base64.b64decode(headers.get("Sec-WebSocket-Key", ""), validate=True)
    except ValueError:
        key = b""
    problem, connection = "", ",".join(headers.getall("Connection", []))
    if "upgrade" not in [word.strip().lower() for word in connection.split(",")]:
        problem = "Connection must be Upgrade"
    elif headers.get("Sec-WebSocket-Version") != "13":
        problem = "Sec-WebSocket-Version must be 13"
    elif len(key) != 16:
        problem = "Sec-WebSocket-Key must be 16 bytes in base64"
    elif "Sec-WebSocket-Protocol" in headers:
        problem = "Sec-WebSocket-Protocol must be left out: the token goes into the address, as ?token=..."
    if problem:
        text = f"This is no websocket handshake: {problem}"
        raise ApiError(400, text, headers={"Sec-WebSocket-Version": "13"})


def _headers(request: web.Request) -> dict[str, str] | None:
    return CORS if request.path == BRIDGE_PATH else None


def tls_context(certificate: str | Path, key: str | Path) -> ssl.SSLContext:
    """For https and wss.

    Raises:
        OSError: a file cannot be read (ssl.SSLError: what is in it).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # the JavaScript SDK 2.x speaks nothing newer
    for file in (certificate, key):
        Path(file).read_bytes()  # unlike load_cert_chain's, this error names the file
    context.load_cert_chain(certificate, key)
    return context


def forget_handlers() -> None:
    """Let stopped servers go.

    aiohttp remembers the handlers of the last thousand addresses, and with them everything that such a
    server holds. Where it stops doing so there is nothing to clear.
    """
    remembered = getattr(web_app, "_cached_build_middleware", None)
    if remembered is not None:
        remembered.cache_clear()


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


class _WithoutDetails(logging.Filter):
    """aiohttp logs exceptions whose text quotes what it could not read, tokens included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            kind = record.exc_info[0]
            record.msg, record.args = f"{record.getMessage()}: {kind.__name__ if kind else 'unknown'}", None
            record.exc_info = None
            record.exc_text = None
        return True


def quiet_logger() -> logging.Logger:
    """For aiohttp: what broke, not what it read."""
    logger = logging.getLogger("server_stub.http")
    if not any(isinstance(f, _WithoutDetails) for f in logger.filters):
        logger.addFilter(_WithoutDetails())
    return logger
