"""A TCP proxy for what a web framework cannot fake: half-open connections, resets, cuts within a frame.

It passes bytes between a client and a server on this machine and knows nothing of what they mean::

    async with TcpProxy(server.port) as proxy:
        worker = Worker(token, eb_server=proxy.url("http", "/v1/wschannels"), ws_server=...)
        proxy.plan = lambda number: Conduct(cut=Cut("down", 120)) if number == 2 else None

What goes wrong is said beforehand, by a `Conduct` for each connection, or done to connections that
are there: `reset`, `half_open`, `pause`, `resume`. Up is from the client to the server, down is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

__all__ = ["Conduct", "Cut", "Direction", "ProxiedConnection", "TcpProxy"]

Direction = Literal["up", "down"]

BUFFER: Final = 65_536
"""Bytes that are read at once. At most three times as many wait in the proxy, in each direction."""

CONNECT_SECONDS: Final = 10.0

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing the socket sends RST and forgets what was not sent."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a connection ends.

    Attributes:
        direction: whose bytes are counted.
        after: so many of them are passed on; what follows is lost.
        how: ``reset`` sends RST to both sides, ``close`` ends both as if all had been sent.
    """

    direction: Direction
    after: int
    how: Literal["reset", "close"] = "reset"

    def __post_init__(self) -> None:
        if self.after < 0:
            raise ValueError(f"after must be 0 bytes or more, got {self.after}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How one connection is treated.

    Attributes:
        refuse: reset it at once; the server does not hear of it.
        delay: seconds that each piece is late, in both directions.
        bytes_per_second: at most so many, each way; None for no limit.
        piece: bytes written at a time, each piece a write of its own; None passes on what came.
        cut: where it ends.
        half_open_after: from then on bytes are swallowed both ways and both sockets stay open.

    Raises:
        ValueError: a figure is out of its range.
    """

    refuse: bool = False
    delay: float = 0.0
    bytes_per_second: float | None = None
    piece: int | None = None
    cut: Cut | None = None
    half_open_after: Cut | None = None

    def __post_init__(self) -> None:
        if self.delay < 0:
            raise ValueError(f"delay must be 0 seconds or more, got {self.delay}")
        if self.bytes_per_second is not None and self.bytes_per_second <= 0:
            raise ValueError(f"bytes_per_second must be more than 0, got {self.bytes_per_second}")
        if self.piece is not None and self.piece < 1:
            raise ValueError(f"piece must be 1 byte or more, got {self.piece}")


_PLAIN: Final = Conduct()


class ProxiedConnection:
    """One connection through the proxy.

    Attributes:
        number: counts the proxy's connections from 1.
        conduct: how it is treated; may be replaced while it goes on.
        passed: bytes that were written on, by direction.
        swallowed: bytes that were read and thrown away.
        ended: set once both sides are closed.
    """

    def __init__(self, number: int, conduct: Conduct, client: asyncio.StreamWriter) -> None:
        self.number = number
        self.conduct = conduct
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}
        self.swallowed = 0
        self.ended = asyncio.Event()
        self.is_half_open = False
        self._writers = [client]
        self._flows = asyncio.Event()
        self._flows.set()

    def reset(self) -> None:
        """End both sides with RST; what was not sent is lost."""
        self._end(reset=True)

    def close(self) -> None:
        """End both sides in order: what was passed on arrives."""
        self._end(reset=False)

    def half_open(self) -> None:
        """From now on swallow what either side sends and keep both sockets open."""
        self.is_half_open = True
        self._flows.set()

    def pause(self) -> None:
        """Read nothing more for now: both sides are slowed down by TCP itself. Nothing is lost."""
        self._flows.clear()

    def resume(self) -> None:
        """Go on after `pause`, or after `half_open`; what was swallowed stays lost."""
        self.is_half_open = False
        self._flows.set()

    def _end(self, *, reset: bool) -> None:
        self._flows.set()
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            if reset and connection is not None and connection.fileno() != -1:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
            else:
                writer.close()

    async def run(self, reader: asyncio.StreamReader, host: str, port: int) -> None:
        """Pass on what comes until both sides are closed."""
        try:
            if self.conduct.refuse:
                self.reset()
            else:
                await self._run(reader, host, port)
        finally:
            self.close()
            for writer in self._writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            self.ended.set()

    async def _run(self, reader: asyncio.StreamReader, host: str, port: int) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                server_reader, server = await asyncio.open_connection(host, port, limit=BUFFER)
        except OSError:  # TimeoutError is one: the server is not there, and so is nobody for the client
            self.reset()
            return
        self._writers.append(server)
        client = self._writers[0]
        try:
            _write_through(client)
            _write_through(server)
        except OSError:  # it was reset while the server was being reached
            self.reset()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on("up", reader, server))
            group.create_task(self._pass_on("down", server_reader, client))

    async def _pass_on(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while True:
                await self._flows.wait()
                data = await reader.read(self.conduct.piece or BUFFER)
                await self._flows.wait()  # it may have been paused while it waited for bytes
                if not data:
                    break
                if not await self._deliver(direction, data, writer):
                    return
            if not self.is_half_open and writer.can_write_eof():
                writer.write_eof()
        except OSError:  # ConnectionError, or ENOTCONN where one side is gone already
            # Reset by one side: so is the other. A half-open connection shows nothing of it.
            if not self.is_half_open:
                self.reset()

    async def _deliver(self, direction: Direction, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Pass a piece on, as the conduct has it; False if the connection ends with it."""
        conduct = self.conduct
        if conduct.delay:
            await asyncio.sleep(conduct.delay)
        cut, silence = conduct.cut, conduct.half_open_after
        if self.is_half_open:
            self.swallowed += len(data)
            return True
        end = min(
            (
                max(0, point.after - self.passed[direction])
                for point in (cut, silence)
                if point is not None and point.direction == direction
            ),
            default=len(data) + 1,
        )
        now, rest = data[:end], data[end:]
        if now:
            writer.write(now)
            self.passed[direction] += len(now)
            await writer.drain()
            if conduct.bytes_per_second is not None:
                await asyncio.sleep(len(now) / conduct.bytes_per_second)
        if end > len(data):
            return True
        if cut is not None and cut.direction == direction and self.passed[direction] >= cut.after:
            self._end(reset=cut.how == "reset")
            return False
        self.swallowed += len(rest)
        self.half_open()
        return True


class TcpProxy:
    """Listens on loopback and passes connections on to a port of this machine. An async context manager.

    Args:
        port: the server's.
        host: the server's.
        plan: the conduct of each connection by its number, from 1; None lets it pass.

    Attributes:
        plan: may be replaced; it counts for connections that come later.
        connections: all that there were, in order.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        plan: Callable[[int], Conduct | None] | None = None,
    ) -> None:
        self.plan = plan
        self.connections: list[ProxiedConnection] = []
        self.port = 0
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._came = asyncio.Event()
        self._blockers: list[socket.socket] = []

    def url(self, scheme: str, path: str = "") -> str:
        """The proxy's address with that scheme and path."""
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    @property
    def open(self) -> list[ProxiedConnection]:
        """The connections that have not ended."""
        return [connection for connection in self.connections if not connection.ended.is_set()]

    async def connection(self, number: int) -> ProxiedConnection:
        """The connection of that number; waits until it has come."""
        while len(self.connections) < number:
            self._came.clear()
            await self._came.wait()
        return self.connections[number - 1]

    # --- All at once --------------------------------------------------------------------------

    def reset(self) -> None:
        """Reset every open connection."""
        for connection in self.open:
            connection.reset()

    def half_open(self) -> None:
        """Make every open connection half-open."""
        for connection in self.open:
            connection.half_open()

    def pause(self) -> None:
        """Hold back what every open connection sends."""
        for connection in self.open:
            connection.pause()

    def resume(self) -> None:
        """Let every open connection go on."""
        for connection in self.open:
            connection.resume()

    async def refuse(self) -> None:
        """Listen no more: connecting fails at once. Open connections go on."""
        server, self._server = self._server, None
        for blocker in self._blockers:
            blocker.close()
        self._blockers.clear()
        if server is not None:
            server.close()

    async def accept(self) -> None:
        """Listen again, on the same port, after `refuse` or `stop_accepting`.

        Raises:
            OSError: somebody else has taken the port.
        """
        await self.refuse()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = listener.getsockname()[1]
        # limit: how much a stream buffers before it stops reading.
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=BUFFER)

    async def stop_accepting(self) -> None:
        """Listen and accept nobody, with the backlog full: connecting neither succeeds nor fails.

        Open connections go on. (Linux drops connection requests beyond the backlog; the client's kernel
        repeats them after a second, then after two, and so on.)
        """
        await self.refuse()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=0)
        self._blockers.append(listener)
        for _ in range(2):  # a backlog of 0 holds one; a second one makes sure
            blocker = socket.socket()
            blocker.setblocking(False)
            blocker.connect_ex(("127.0.0.1", self.port))
            self._blockers.append(blocker)

    # --- Life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Close everything."""
        await self.refuse()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.connections) + 1
        try:
            conduct = (self.plan(number) if self.plan is not None else None) or _PLAIN
        except BaseException:
            writer.transport.abort()  # or the client would wait for ever
            raise
        connection = ProxiedConnection(number, conduct, writer)
        self.connections.append(connection)
        self._came.set()
        task = asyncio.create_task(connection.run(reader, *self._target), name=f"proxied connection {number}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _write_through(writer: asyncio.StreamWriter) -> None:
    """Keep nothing back: `drain` returns once the kernel has it all, and pieces leave one by one."""
    writer.transport.set_write_buffer_limits(high=0)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
