"""HTTP: wraps a request into the event bridge's envelope, posts it, maps failures to errors.

Only this module and `_door` use aiohttp, which is loaded with the first transport.
"""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from ._endpoints import shown_url
from ._proxies import Proxies
from ._requests import Request
from ._tls import trouble
from ._token import Token
from ._version import __version__
from .errors import (
    AuthenticationError,
    NetworkError,
    NotFoundError,
    RateLimitedError,
    RequestInvalidError,
    RequestTimeoutError,
    ServerError,
    VersionConflictError,
)
from .resources import DECODE_ERRORS

if TYPE_CHECKING:
    import aiohttp

    from ._door import Answer, Door
    from .recording import Exchange, Recorder

__all__ = ["REQUEST_SECONDS", "SharedSession", "Transport"]

logger = logging.getLogger(__name__)

MAX_RETRY_AFTER = 86_400.0
"""Seconds: what is said to take longer than a day is a mistake of somebody's."""

REQUEST_SECONDS = 15.0
"""For the whole exchange, body included; the JavaScript SDK's figure."""


class _Failure(msgspec.Struct):
    # object: a code of another kind must not hide the message.
    message: object = None
    code: object = None


class _Envelope(msgspec.Struct):
    payload: msgspec.Raw = msgspec.Raw()


_encode = msgspec.json.Encoder().encode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_failure = msgspec.json.Decoder(_Failure).decode


_HEADERS: Final = {
    "clientVersion": __version__,
    # What the JavaScript SDK 3.x sends. It keeps the request simple for proxies and CORS.
    "Content-Type": "text/plain;charset=UTF-8",
}


class SharedSession:
    """One HTTP session of many workers, made when the first request needs it. Its owner closes it.

    Args:
        max_connections: connections at a time; requests beyond wait for one.

    Attributes:
        proxies: the environment's, for all of them.
    """

    def __init__(self, *, max_connections: int = 100) -> None:
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None
        self._doors: dict[tuple[str, ssl.SSLContext | Literal[True]], Door] = {}
        self._fit = True  # whether aiohttp has what doors need
        self.proxies = Proxies()
        self.closed = False

    def get(self) -> aiohttp.ClientSession:
        """The session."""
        if self._session is None:
            import aiohttp  # noqa: PLC0415 - see the top of this module

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def door(self, url: str, ssl: ssl.SSLContext | Literal[True]) -> Door | None:
        """The short way to `url`, None if there is none with this aiohttp."""
        door = self._doors.get((url, ssl))
        if door is None and self._fit:
            from ._door import Door, UnfitError  # noqa: PLC0415 - see the top of this module

            try:
                door = self._doors[url, ssl] = Door(self.get(), url, ssl=ssl, headers=_HEADERS)
            except UnfitError:
                self.unfit()
        return door

    def unfit(self) -> None:
        """Use doors no more."""
        logger.debug("this version of aiohttp has no short way to its connections")
        self._fit = False
        self._doors.clear()

    async def close(self) -> None:
        """Close the connections, for good."""
        self.closed = True
        self._doors.clear()
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class Transport:
    """Posts requests to one URL. Use it from one event loop; close it when done.

    Args:
        url: the event bridge's HTTP URL.
        session: an HTTP session of the caller's; it is used and not closed.
        ssl_context: for https; None for the platform's default.
        proxy: True for the environment's proxies, None for none, or a URL.
        timeout: seconds for a whole exchange.
        recorder: writes down what happens.
    """

    def __init__(
        self,
        url: str,
        *,
        session: aiohttp.ClientSession | SharedSession | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = True,
        timeout: float = REQUEST_SECONDS,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._url = url
        # Loaded now rather than at the first request, where it would hold up the event loop.
        import aiohttp  # noqa: PLC0415 - see the top of this module

        self._session = session
        self._owned: SharedSession | None = None
        self._ssl: ssl.SSLContext | Literal[True] = ssl_context or True
        # A session of the caller's decides about the environment itself.
        self._ask_environment = proxy is True and not isinstance(session, aiohttp.ClientSession)
        self._proxy = proxy if isinstance(proxy, str) else None
        self._seconds = timeout

    async def close(self) -> None:
        """Close the connections, unless they belong to the caller's session."""
        owned, self._owned = self._owned, None
        if owned is not None:
            await owned.close()

    async def send(self, request: Request, token: Token) -> bytes:
        """Post `request` and return the JSON text of its `payload`, ``null`` if it has none.

        Raises:
            RequestError: by status, see `taskrouter_worker.errors`.
        """
        if self._recorder is None:
            return await self._send(request, token, None)
        with self._recorder.request(
            request.method,
            request.path,
            request.params,
            token=token.reveal(),
            api_version=request.api_version,
            if_match=request.version,
        ) as exchange:
            return await self._send(request, token, exchange)

    async def _send(self, request: Request, token: Token, exchange: Exchange | None) -> bytes:
        body = _encode(
            {
                "url": request.path,
                "method": request.method,
                "params": request.params,
                "token": token.reveal(),
            }
        )
        if self._session is not None and self._session.closed:
            raise NetworkError(
                f"{request.method} {request.path} cannot be sent: the http_session is closed",
                method=request.method,
                path=request.path,
            )
        import aiohttp  # noqa: PLC0415 - see the top of this module

        http = self._http()
        try:
            answer = await self._post(http, body, request)
            retry_after = answer.headers.get("Retry-After")
            if exchange is not None:
                exchange.answered(answer.status, answer.text, retry_after)
        except TimeoutError as error:
            raise RequestTimeoutError(
                f"no answer to {request.method} {request.path} within {self._seconds:g} s",
                method=request.method,
                path=request.path,
            ) from error
        except (AssertionError, RuntimeError) as error:
            if not http.closed:
                raise
            # aiohttp's own complaint when its session is closed under a request.
            raise NetworkError(
                f"{request.method} {request.path} was cut off: the connections were closed meanwhile",
                method=request.method,
                path=request.path,
            ) from error
        except aiohttp.ClientHttpProxyError as error:
            reason = f"the proxy answered with status {error.status}"
        except aiohttp.InvalidURL:  # the service's own was looked at before
            reason = "the proxy that the environment names is not a URL"
        # UnicodeError: of a host that cannot be looked up. aiohttp lets it through.
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            why = trouble(error)
            why = f"{type(error).__name__}: {error}" if why is None else f"{shown_url(self._url)}: {why}"
            raise NetworkError(
                f"{request.method} {request.path} failed: {why}",
                method=request.method,
                path=request.path,
            ) from error
        else:
            status = answer.status
            logger.debug("%s %s: %s", request.method, request.path, status)
            if 200 <= status < 300:
                return self._payload(answer.text, request, status)
            wait = _retry_after(retry_after, answer.headers.get("Date"))
            raise self._refusal(answer.text, request, status, wait)
        # Not raised inside `except`: the proxy error's own text shows the proxy's password.
        raise NetworkError(
            f"{request.method} {request.path} failed: {reason}",
            method=request.method,
            path=request.path,
        )

    def _payload(self, text: bytes, request: Request, status: int) -> bytes:
        if not text.strip():
            return b"null"  # 204, or what some proxy left: the status says that it was done
        try:
            payload = bytes(_decode_envelope(text).payload)
        except DECODE_ERRORS as error:
            raise ServerError(
                f"the answer to {request.method} {request.path} is not the event bridge's JSON: {error}",
                method=request.method,
                path=request.path,
                status=status,
            ) from error
        return payload or b"null"

    def _refusal(
        self, text: bytes, request: Request, status: int, retry_after: float | None
    ) -> RequestInvalidError | ServerError:
        try:
            failure = _decode_failure(text)
        except DECODE_ERRORS:
            failure = _Failure()  # an error page of some proxy: the status tells enough
        reason = failure.message if isinstance(failure.message, str) else ""
        code = failure.code if isinstance(failure.code, int) else None
        message = f"{request.method} {request.path}: status {status}" + (f": {reason}" if reason else "")
        method, path = request.method, request.path
        if status == 412:
            message += "; it changed meanwhile: fetch_latest_version(), then decide again"
        if status == 429:
            when = "wait a little" if retry_after is None else f"wait {retry_after:g} s"
            return RateLimitedError(
                f"{message}; {when} before the next request",
                method=method,
                path=path,
                status=status,
                code=code,
                retry_after=retry_after,
            )
        kinds = {
            401: AuthenticationError,
            403: AuthenticationError,
            404: NotFoundError,
            412: VersionConflictError,
        }
        # 3xx counts as 4xx, as in the JavaScript SDK: a redirect that is not followed helps nobody.
        kind = kinds.get(status, ServerError if status >= 500 else RequestInvalidError)
        return kind(message, method=method, path=path, status=status, code=code)

    def _http(self) -> aiohttp.ClientSession | SharedSession:
        if self._session is not None:
            return self._session
        if self._owned is None:
            self._owned = SharedSession()
        return self._owned

    async def _post(
        self, http: aiohttp.ClientSession | SharedSession, body: bytes, request: Request
    ) -> Answer:
        if isinstance(http, SharedSession):
            if self._ask_environment:
                self._ask_environment = False
                self._proxy = http.proxies.for_url(self._url)
            door = http.door(self._url, self._ssl) if self._proxy is None else None
            if door is not None:
                from ._door import UnfitError  # noqa: PLC0415 - it is loaded

                try:
                    return await door.post(body, _lines(request), self._seconds)
                except UnfitError:
                    http.unfit()
            http = http.get()
        return await self._post_by_session(http, body, request)

    async def _post_by_session(self, http: aiohttp.ClientSession, body: bytes, request: Request) -> Answer:
        """The long way: through a proxy, or with a session of the caller's and all that it adds."""
        import aiohttp  # noqa: PLC0415 - see the top of this module

        from ._door import Answer, whole  # noqa: PLC0415 - the same

        headers = {**_HEADERS, "apiVersion": request.api_version}
        if request.version is not None:
            headers["If-Match"] = request.version
        async with http.post(
            self._url,
            data=body,
            headers=headers,
            ssl=self._ssl,
            proxy=self._proxy,
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            allow_redirects=False,  # the body holds the token: it goes nowhere else
        ) as response:
            return Answer(response.status, await whole(response.content), response.headers)


_API_VERSIONS: Final = {"v1": b"apiVersion: v1\r\n", "v2": b"apiVersion: v2\r\n"}


def _lines(request: Request) -> bytes:
    """The headers that belong to this request alone."""
    lines = _API_VERSIONS[request.api_version]
    if request.version is None:
        return lines
    if not request.version.isprintable():
        raise ValueError(f"a version must be printable, got {request.version!r}")
    return b"%bIf-Match: %b\r\n" % (lines, request.version.encode())


def _retry_after(text: str | None, date: str | None) -> float | None:
    """Seconds of a `Retry-After`, a number or an HTTP date, between 0 and `MAX_RETRY_AFTER`.

    Args:
        text: the header, None if there was none.
        date: the answer's own `Date`: the moment to count a date from, whatever the clock here says.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        moment = _http_date(text)
        if moment is None:
            return None
        now = (_http_date(date) if date is not None else None) or datetime.now(UTC)
        seconds = (moment - now).total_seconds()
    return min(max(0.0, seconds), MAX_RETRY_AFTER)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # of numbers that no date has
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
