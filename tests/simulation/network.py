"""A network in memory, on virtual time: real protocols over pipes that can be delayed, muted and cut.

`websockets`, aiohttp's client and aiohttp's server run unchanged. They ask their event loop for
connections; this loop makes a pair of transports instead of a socket.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, cast

from tests.sdk.virtual import VirtualTimeLoop

__all__ = ["Link", "Network", "SimulatedLoop"]

HIGH_WATER = 64 * 1024


class Network:
    """Who listens, and what the wires do. One place on the network: the server's.

    Attributes:
        latency: seconds that a piece of data travels at least and at most.
        refusing: whether connections are refused.
        stalled: whether connections hang: neither refused nor made.
        links: the open connections.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.latency = (0.0005, 0.003)
        self.refusing = False
        self.stalled: asyncio.Event | None = None
        self.links: list[Link] = []
        self.listener: Callable[[], asyncio.BaseProtocol] | None = None

    def delay(self) -> float:
        """How long the next piece of data travels."""
        return self.rng.uniform(*self.latency)

    def cut_all(self) -> None:
        """Every connection breaks."""
        for link in list(self.links):
            link.cut()

    def mute_all(self) -> None:
        """Every connection stays open, and nothing gets through any more: a half-open line."""
        for link in self.links:
            link.muted = True


class Link:
    """One connection."""

    def __init__(self, network: Network, loop: asyncio.AbstractEventLoop) -> None:
        self.network = network
        self.muted = False
        self.client = _End(self, loop)
        self.server = _End(self, loop)
        self.client.peer, self.server.peer = self.server, self.client
        network.links.append(self)

    def cut(self) -> None:
        """Both sides lose it; what is under way is gone."""
        for end in (self.client, self.server):
            end.lost(ConnectionResetError("the line was cut"))

    def forget(self) -> None:
        """Both sides have ended."""
        if self.client.over and self.server.over and self in self.network.links:
            self.network.links.remove(self)


class _End(asyncio.Transport):
    """One side of a connection."""

    peer: _End

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._link = link
        self._loop = loop
        self._protocol: asyncio.Protocol | None = None
        self._arrives_at = 0.0  # nothing overtakes
        self._reading = True
        self._waiting: list[bytes] = []
        self._closing = False
        self._eof = False
        self.over = False

    def attach(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)

    # What protocols do with it

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing and not self.over:
            self._travel(self.peer.receive, bytes(data))

    def close(self) -> None:
        if not self._closing and not self.over:
            self._closing = True
            self._travel(self.peer.receive_end)
            self._loop.call_soon(self.lost, None)

    def abort(self) -> None:
        if not self.over:
            self._closing = True
            self._travel(self.peer.lost, ConnectionResetError("the other side gave up"))
            self._loop.call_soon(self.lost, None)

    def is_closing(self) -> bool:
        return self._closing or self.over

    def write_eof(self) -> None:
        self._travel(self.peer.receive_end)

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.receive(data)

    def is_reading(self) -> bool:
        return self._reading

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.attach(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 80)}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return (0, HIGH_WATER)

    # What the wire does

    def _travel(self, arrive: Callable[..., None], *args: object) -> None:
        if self._link.muted:
            return
        # Timers of the same moment fire in any order, so no two arrivals share one.
        self._arrives_at = max(self._arrives_at + 1e-6, self._loop.time() + self._link.network.delay())
        self._loop.call_at(self._arrives_at, self._arrive, arrive, args)

    def _arrive(self, arrive: Callable[..., None], args: tuple[object, ...]) -> None:
        if not self._link.muted:
            arrive(*args)

    def receive(self, data: bytes) -> None:
        if self.over or self._protocol is None:
            return
        if not self._reading:
            self._waiting.append(data)
        else:
            self._protocol.data_received(data)

    def receive_end(self) -> None:
        if self.over or self._eof or self._protocol is None:
            return
        self._eof = True
        if not self._protocol.eof_received():
            self.close()

    def lost(self, error: Exception | None) -> None:
        if not self.over:
            self.over = True
            if self._protocol is not None:
                self._protocol.connection_lost(error)
            self._link.forget()


class SimulatedLoop(VirtualTimeLoop):
    """Virtual time, and every connection leads to `network`'s listener."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    async def create_connection(  # type: ignore[override]  # what the libraries below use of it
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], *_: object, **__: object
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect to the only place there is."""
        network = self.network
        await asyncio.sleep(network.delay())
        if network.stalled is not None:
            await network.stalled.wait()
        if network.refusing or network.listener is None:
            raise ConnectionRefusedError("nobody listens")
        link = Link(network, self)
        server, client = network.listener(), protocol_factory()
        link.server.attach(server)
        link.client.attach(client)
        server.connection_made(link.server)
        client.connection_made(link.client)
        return link.client, client

    async def create_unix_connection(  # type: ignore[override]  # the same; aiohttp's UnixConnector asks for it
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], *_: object, **__: object
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """The same place: no address is looked up and no socket is made on the way here."""
        return await self.create_connection(protocol_factory)
