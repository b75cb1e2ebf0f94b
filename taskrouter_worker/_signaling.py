"""The websocket: opens one, hands out its frames, notices its death. Only this module imports websockets.

What a connection's end means is decided here, once, from close code or exception; what to do about
it is decided in `_session`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from urllib.parse import urlencode, urlsplit

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.protocol import State

from . import _tls
from ._disconnect import DisconnectCause
from ._endpoints import shown_url
from ._proxies import Proxies
from ._token import Token
from ._version import __version__
from .errors import ConnectionFailedError

if TYPE_CHECKING:
    from .recording import Recorder

__all__ = ["Connection", "Signaling"]

OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 30.0
"""The service sends a frame at least every 15 s; 30 s without one is its own measure of a dead link."""

MAX_FRAME: Final = 4 * 1024 * 1024

logger = logging.getLogger(__name__)

# The library prints the request line, which holds the token, and whole frames, which hold customers'
# attributes, at DEBUG. Neither belongs in a log, so it gets a logger that has no DEBUG.
_quiet = logging.getLogger(f"{__name__}.websocket")
_quiet.addFilter(lambda record: record.levelno > logging.DEBUG)


_CAUSES: Final = {
    1001: DisconnectCause.SHUTDOWN,
    1012: DisconnectCause.RESYNCHRONISE,
    4401: DisconnectCause.INVALID_TOKEN,
    4403: DisconnectCause.FORBIDDEN,
    4408: DisconnectCause.TOKEN_EXPIRED,
    4409: DisconnectCause.DISPLACED,
    4413: DisconnectCause.TOO_SLOW,
    4429: DisconnectCause.TOO_MANY_SESSIONS,
}


class Signaling:
    """Opens websockets to one URL.

    Args:
        url: the websocket URL; a query it has is kept.
        offline_if_disconnected: `setWorkerOfflineIfDisconnected`, None to leave it to the service.
        ssl_context: for wss; None for the platform's default.
        proxy: True for the environment's proxies, None for none, or a URL.
        recorder: writes down what happens.
        proxies: the environment's.
    """

    def __init__(
        self,
        url: str,
        *,
        offline_if_disconnected: bool | None,
        ssl_context: ssl.SSLContext | None,
        proxy: str | Literal[True] | None,
        recorder: Recorder | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._url = url
        self._proxies = proxies or Proxies()
        self._recorder = recorder
        self._offline_if_disconnected = offline_if_disconnected
        self._secure = urlsplit(url).scheme == "wss"
        self._ssl = ssl_context
        self._proxy: str | Literal[True] | None = proxy

    async def open(self, token: Token, *, close_existing_sessions: bool) -> Connection:
        """Open a websocket.

        Raises:
            ConnectionFailedError: it could not be opened. Nothing of the URL's query is in its text.
        """
        uri = self._uri(token, close_existing_sessions)
        # Any: what websockets passes on to asyncio; any `ssl` would be refused for ws.
        options: dict[str, Any] = {"ssl": self._ssl or _tls.platform_context()} if self._secure else {}
        try:
            connection = await self._open(uri, options)
        # ImportError and ValueError: a proxy that the environment names and the library cannot use.
        except (OSError, EOFError, ImportError, ValueError, WebSocketException) as error:
            failure = self._failure(error)
        else:
            if self._recorder is not None:
                connection.record(self._recorder, token, urlsplit(uri).query)
            return connection
        if self._recorder is not None:
            self._recorder.refused(token.reveal(), status=failure.status)
        # Not raised inside `except`: it would keep the other as its context, and the library's errors
        # hold the URL, and with it the token.
        raise failure

    async def _open(self, uri: str, options: dict[str, Any]) -> Connection:
        # The library asks the environment for each connection, which takes as long as all the rest of it.
        proxy = None if self._proxy is True and not self._proxies.all() else self._proxy
        return Connection(
            await _Connect(
                uri,
                compression=None,  # on a LAN or loopback it costs twice the time and several times the memory
                open_timeout=OPEN_SECONDS,
                close_timeout=CLOSE_SECONDS,
                ping_interval=None,  # the service's own heartbeat tells a dead link
                max_size=MAX_FRAME,
                user_agent_header=f"taskrouter-worker/{__version__}",
                proxy=proxy,
                logger=_quiet,
                **options,
            )
        )

    def _failure(self, error: Exception) -> ConnectionFailedError:
        where = f"{shown_url(self._url)}{self._detour()}"
        match error:
            case InvalidStatus():
                status = error.response.status_code
                return ConnectionFailedError(
                    f"{where} refused the websocket with status {status}", status=status
                )
            case InvalidURI():
                return ConnectionFailedError(f"{where} is not a websocket URL")
            case TimeoutError():
                return ConnectionFailedError(f"{where} did not open the websocket within {OPEN_SECONDS:g} s")
            case InvalidMessage(__cause__=EOFError()):
                hint = "a client certificate, in ssl_context" if self._secure else "TLS: wss://"
                return ConnectionFailedError(
                    f"{where} closed the connection without an answer; perhaps it wants {hint}"
                )
            case InvalidMessage():
                return ConnectionFailedError(f"{where} answered with something that is not HTTP")
            case OSError() | ImportError():
                trouble = _tls.trouble(error) or str(error)
                return ConnectionFailedError(f"cannot connect to {where}: {trouble}")
            case _:  # its text may hold the URL, or the proxy's password
                return ConnectionFailedError(f"cannot connect to {where}: {type(error).__name__}")

    def _detour(self) -> str:
        """The proxy on the way, which may be what does not answer; empty if there is none."""
        proxy = self._proxy
        if proxy is True:
            proxy = self._proxies.for_websocket(self._url)
        return "" if proxy is None else f" through the proxy {shown_url(proxy)}"

    def _uri(self, token: Token, close_existing_sessions: bool) -> str:
        query = {
            "token": token.reveal(),
            "closeExistingSessions": _text(close_existing_sessions),
            "clientVersion": __version__,
        }
        if self._offline_if_disconnected is not None:
            query["setWorkerOfflineIfDisconnected"] = _text(self._offline_if_disconnected)
        return f"{self._url}{'&' if '?' in self._url else '?'}{urlencode(query)}"


class _Connect(connect):
    """`websockets.connect` that follows no redirect: the URL's query holds the token."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Never."""
        return exc


class Connection:
    """One open websocket. Iterate it for its frames; afterwards `end` tells why it ended."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._watchdog: asyncio.TimerHandle | None = None
        self._cause: tuple[DisconnectCause, str] | None = None
        self._recorder: Recorder | None = None
        self._recorded_as = 0
        self._received = 0

    async def __aenter__(self) -> Self:
        self._watchdog = self._loop.call_later(SILENCE_SECONDS, self._watch)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._record_end()
        # Cancellation must not leave the socket open; close() is bounded by CLOSE_SECONDS itself.
        with anyio.CancelScope(shield=True):
            await self._websocket.close()

    async def receive(self) -> bytes | None:
        """The next frame; None when the connection has ended."""
        try:
            frame = await self._websocket.recv(decode=False)
        except ConnectionClosed:
            self._record_end()
            return None
        if self._recorder is not None:
            self._recorder.frame(self._recorded_as, frame)
        self._heard = self._loop.time()
        self._received += 1
        return frame

    async def round_trip(self) -> bool:
        """Wait until `receive` has returned all that the peer sent before it answers a ping of now.

        Somebody else must be receiving meanwhile, and do nothing between two frames but handle them.

        Returns:
            False if the connection ended first.
        """
        try:
            await (await self._websocket.ping())
        except ConnectionClosed:
            return False
        # The library queues frames before the pong for the reader, and wakes it first. So one pass of the
        # loop without a frame tells that nothing is queued any more.
        received = -1
        while received != self._received:
            received = self._received
            await asyncio.sleep(0)
        return True

    def record(self, recorder: Recorder, token: Token, query: str) -> None:
        """Write down what happens from now on."""
        self._recorder = recorder
        self._recorded_as = recorder.opened(token.reveal(), query)

    def _record_end(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        cause, reason, code = self.end()
        lost = cause is DisconnectCause.SILENCE or (code == 1006 and self._cause is None)
        ours = self._cause is not None or self._websocket.state is State.OPEN
        recorder.closed_connection(
            self._recorded_as,
            by=None if lost else "client" if ours else "server",
            code=None if lost or ours else code,
            reason="" if ours else reason,
        )

    def silent_for(self) -> float:
        """Seconds since the latest frame, or since the opening."""
        return self._loop.time() - self._heard

    def abandon(self, cause: DisconnectCause, message: str) -> None:
        """Cut the connection now, for a reason of our own; `receive` returns None."""
        if self._cause is None:
            self._cause = (cause, message)
        self._websocket.transport.abort()

    def end(self) -> tuple[DisconnectCause, str, int | None]:
        """Cause, text and close code of an ended connection."""
        if self._cause is not None:
            return (*self._cause, None)
        code, reason = self._websocket.close_code, self._websocket.close_reason
        cause = _CAUSES.get(code or 0, DisconnectCause.CONNECTION_LOST)
        return cause, reason or f"Websocket closed with errorCode={code or 1006}", code

    def _watch(self) -> None:
        # The deadline moves with each frame; the timer looks only when the oldest one is due.
        due = self._heard + SILENCE_SECONDS
        if self._loop.time() < due:
            self._watchdog = self._loop.call_at(due, self._watch)
        else:
            self.abandon(DisconnectCause.SILENCE, "Connection lost")


def _text(flag: bool) -> str:
    return "true" if flag else "false"
