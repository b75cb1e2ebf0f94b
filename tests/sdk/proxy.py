"""A forward proxy on loopback: CONNECT for tunnels, absolute addresses for plain requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["Proxy", "proxy_server"]


@dataclass
class Proxy:
    """What it was asked for.

    Attributes:
        address: host:port.
        tunnels: targets of CONNECT.
        forwarded: targets of requests with an absolute address.
        authorizations: the credentials that came along, as they were sent.
        refuse: the status it refuses everything with, None to serve.
    """

    address: str = ""
    tunnels: list[str] = field(default_factory=list)
    forwarded: list[str] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    refuse: int | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, rest = head.split(" ", 2)
            for line in rest.split("\r\n"):
                name, _, value = line.partition(":")
                if name.lower() == "proxy-authorization":
                    self.authorizations.add(value.strip())
            (self.tunnels if method == "CONNECT" else self.forwarded).append(target)
            if self.refuse is not None:
                writer.write(f"HTTP/1.1 {self.refuse} No\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            if method == "CONNECT":
                host, port = target.split(":")
                first = b""
            else:
                parts = urlsplit(target)
                host, port = parts.hostname or "", str(parts.port)
                # The next request of this connection goes to the same server: what follows is passed on as it
                # is, and servers take absolute addresses too.
                first = f"{method} {parts.path} {rest}".encode("latin-1")
            upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            upstream_writer.write(first)
            await asyncio.gather(
                _copy(reader, upstream_writer), _copy(upstream_reader, writer), return_exceptions=True
            )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def proxy_server() -> AsyncIterator[Proxy]:
    """A running proxy."""
    proxy = Proxy()
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await proxy.serve(reader, writer)
        finally:
            connections.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    proxy.address = f"{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await server.wait_closed()
