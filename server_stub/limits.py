"""What this server bears: sizes, numbers and times, and what enforces them where no door does.

TaskRouter's own limits are the domain's (`Limits`). These protect the process: our choice, all of them.
`docs/security.md` lists both, with what happens at each.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final, Protocol

from .replies import ApiError

__all__ = [
    "Connection",
    "ConnectionWatch",
    "Doorkeeper",
    "RateLimit",
    "ServerLimits",
    "add_limit_options",
    "limits_from",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """How much of what. Sizes are in bytes, times in seconds.

    Attributes:
        max_body: of a form of the REST API. A workflow configuration of 1,038,576 bytes, each of them
            percent-encoded, still fits.
        max_envelope: of a request of the event bridge.
        max_message: of a message that a client sends on its websocket; none has a meaning.
        max_connections: TCP connections at a time; further ones are closed at once.
        max_sessions: websockets of the account at a time.
        max_sessions_per_worker: websockets of one worker at a time.
        max_waiting_frames: that may wait for a slow websocket before it is closed.
        max_waiting_bytes: the same by their size.
        max_requests_per_second: of one account or token; 0 for as many as there are.
        idle_timeout: how long a connection may be without a complete request line and headers.
        request_timeout: how long a request's body may take.
        stall_timeout: how long a client may leave unread what was sent to it.

    Raises:
        ValueError: a value is out of its range.
    """

    max_body: int = 4 * 1024 * 1024
    max_envelope: int = 262_144
    max_message: int = 16_384
    max_connections: int = 20_000
    max_sessions: int = 20_000
    max_sessions_per_worker: int = 64
    max_waiting_frames: int = 1_000
    max_waiting_bytes: int = 4 * 1024 * 1024
    max_requests_per_second: float = 0.0
    idle_timeout: float = 75.0
    request_timeout: float = 30.0
    stall_timeout: float = 60.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            least = 0 if item.name == "max_requests_per_second" else 1
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{item.name} must be a number, got {value!r}")
            if item.type == "int" and not isinstance(value, int):
                raise ValueError(f"{item.name} must be a whole number, got {value!r}")
            # A time may be any fraction of a second, as tests want it.
            if value < least and not (item.name.endswith("_timeout") and value > 0):
                wanted = "more than 0" if item.name.endswith("_timeout") else f"{least} or more"
                raise ValueError(f"{item.name} must be {wanted}, got {value!r}")


_HELP: Final[Mapping[str, str]] = {
    "max_body": "longest form of the REST API",
    "max_envelope": "longest request of the event bridge",
    "max_message": "longest message from a client on its websocket",
    "max_connections": "TCP connections at a time",
    "max_sessions": "websockets of the account at a time",
    "max_sessions_per_worker": "websockets of one worker at a time",
    "max_waiting_frames": "frames that may wait for a slow websocket before it is closed",
    "max_waiting_bytes": "the same by their size",
    "max_requests_per_second": "requests of one account or token, 0 for no limit",
    "idle_timeout": "how long a connection may be without a complete request line and headers",
    "request_timeout": "how long the body of a request may take",
    "stall_timeout": "how long a client may leave unread what was sent to it",
}


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """One option for each limit of this server."""
    group = parser.add_argument_group("limits", "Sizes are in bytes, times in seconds. See docs/security.md.")
    for item in fields(ServerLimits):
        metavar = "SECONDS" if item.name.endswith("_timeout") else "NUMBER"
        group.add_argument(
            f"--{item.name.replace('_', '-')}",
            type=_whole if item.type == "int" else _number,
            default=item.default,
            metavar=metavar,
            help=f"{_HELP[item.name]} (default %(default)s)",
        )


def limits_from(options: argparse.Namespace) -> ServerLimits:
    """The limits that the command line names.

    Raises:
        ValueError: one is out of its range.
    """
    return ServerLimits(**{item.name: getattr(options, item.name) for item in fields(ServerLimits)})


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


# --- Requests per second ------------------------------------------------------------------------

MAX_KEYS: Final = 10_000
"""Callers whose budget is remembered. The one that was silent longest is forgotten first."""


class RateLimit:
    """So many requests per second of each caller: a budget that refills as time goes by.

    A second's worth may come at once. The headers are TaskRouter's (X-Rate-Limit-Limit and -Remaining);
    Retry-After and X-Rate-Limit-Reset say in whole seconds when there is room again, our choice.

    Args:
        per_second: the budget; 0 refuses nobody.
        now: a clock in seconds that never goes back.
    """

    def __init__(self, per_second: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._size = max(1.0, per_second)
        self._now = now
        self._callers: OrderedDict[str | bytes, tuple[float, float]] = OrderedDict()  # left, and when

    def __len__(self) -> int:
        return len(self._callers)

    @property
    def is_on(self) -> bool:
        """Whether anybody is ever refused."""
        return self._per_second > 0

    def take(self, caller: str | bytes) -> Mapping[str, str]:
        """Count one request; the headers of its answer.

        Raises:
            ApiError: 429, the budget is spent.
        """
        if not self.is_on:
            return {}
        now = self._now()
        left, since = self._callers.pop(caller, (self._size, now))
        left = min(self._size, left + (now - since) * self._per_second)
        allowed = left >= 1
        left -= allowed
        self._callers[caller] = left, now
        self._forget(now)
        until_next = 0 if left >= 1 else math.ceil((1 - left) / self._per_second)
        headers = {
            "X-Rate-Limit-Limit": f"{self._size:g}",
            "X-Rate-Limit-Remaining": str(int(left)),
            "X-Rate-Limit-Reset": str(until_next),
        }
        if allowed:
            return headers
        raise ApiError(
            429,
            f"Too many requests: {self._per_second:g} per second are accepted, try again in {until_next} s",
            headers={**headers, "Retry-After": str(until_next)},
        )

    def _forget(self, now: float) -> None:
        """Let go of those that asked longest ago: who has a full budget again is like one who never asked."""
        while self._callers:
            left, since = next(iter(self._callers.values()))
            if left + (now - since) * self._per_second < self._size and len(self._callers) <= MAX_KEYS:
                break
            self._callers.popitem(last=False)


# --- Connections --------------------------------------------------------------------------------


class Connection(Protocol):
    """What is asked of a connection of aiohttp's server."""

    @property
    def writing_paused(self) -> bool:
        """Whether more waits to be sent than its buffer should hold."""
        ...

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once it has ended."""
        ...


class ConnectionWatch:
    """Cuts connections that only cost: of clients that never finish a request, or never read.

    aiohttp ends a connection that is idle after an answer, but before version 3.14.4 none that has not
    made its first request. It stops writing at 64 kB, so a client that does not read costs little
    memory, but it would do so for good: it may acknowledge every probe and yet never read. At each look
    a connection must have caught up at some time since it fell behind `stalled` seconds ago.

    Args:
        connections: those that are open.
        silent: how many seconds the first request may take to come.
        stalled: how many seconds one may be behind with reading.
    """

    def __init__(
        self, connections: Callable[[], Iterable[Connection]], *, silent: float, stalled: float
    ) -> None:
        self._connections = connections
        self._silent_seconds = silent
        self._stalled_seconds = stalled
        self._heard: set[object] = set()  # connections that made a request
        self._silent: dict[Connection, float] = {}
        self._behind: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def heard(self, connection: object) -> None:
        """It has made a request."""
        self._heard.add(connection)

    def start(self) -> None:
        """Look four times within the shorter time limit, until `stop`."""
        loop = asyncio.get_running_loop()
        self.look(loop.time())
        self._timer = loop.call_later(min(self._silent_seconds, self._stalled_seconds) / 4, self.start)

    def stop(self) -> None:
        """Look no more. Further calls do nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heard.clear()
        self._silent.clear()
        self._behind.clear()

    def look(self, now: float) -> None:
        """Cut what has been so for too long at `now`, in seconds of any clock that goes on."""
        there = [c for c in self._connections() if c.transport is not None]
        self._heard.intersection_update(there)
        silent = [c for c in there if c not in self._heard]
        behind = [c for c in there if c.writing_paused]
        self._silent = _still(silent, self._silent, now, self._silent_seconds, "sent no request")
        self._behind = _still(behind, self._behind, now, self._stalled_seconds, "read nothing")


def _still(
    found: Iterable[Connection], known: Mapping[Connection, float], now: float, seconds: float, what: str
) -> dict[Connection, float]:
    """Since when each connection is so. Those for which that is too long are cut."""
    since = {connection: known.get(connection, now) for connection in found}
    for connection, began in list(since.items()):
        if now - began < seconds:
            continue
        log.info("a client has %s for %g s: its connection is cut", what, now - began)
        if connection.transport is not None:
            connection.transport.abort()
        del since[connection]
    return since


class Doorkeeper:
    """Makes the protocol of each new connection, and closes the connection if there are too many.

    Args:
        make: makes the protocol that serves it.
        count: how many connections there are.
        most: how many there may be.
    """

    def __init__(
        self, make: Callable[[], asyncio.BaseProtocol], *, count: Callable[[], int], most: int
    ) -> None:
        self._make = make
        self._count = count
        self._most = most
        self._at_most = count()  # there are: all of them came in here, some may have left
        self._is_full = False

    def __call__(self) -> asyncio.BaseProtocol:
        """The protocol of one more connection."""
        self._at_most += 1
        if self._at_most > self._most:  # counting looks at every connection, so only where it may matter
            self._at_most = min(self._count() + 1, self._most + 1)
        full = self._at_most > self._most
        if full and not self._is_full:
            log.warning("there are %d connections, which is the limit: further ones are closed", self._most)
        self._is_full = full
        return _Closed() if full else self._make()


class _Closed(asyncio.Protocol):
    """A connection that ends before a byte of it was read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()
