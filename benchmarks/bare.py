"""A client that does as little as can be done, so that the load is the server's: raw bytes on asyncio.

HTTP/1.1 with kept connections, websockets that only read text frames. For trusted peers only.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

__all__ = ["Http", "WebSocket", "basic"]

_KEY: Final = base64.b64encode(b"benchmark-client").decode()


def basic(user: str, password: str) -> str:
    """The header's value."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class _HttpConnection(asyncio.Protocol):
    """One request at a time."""

    transport: asyncio.Transport

    def __init__(self, lost: Callable[[Exception | None], None]) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._lost = lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))
        self._lost(exc)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + size:
            return
        body, self._buffer = self._buffer[end + 4 : end + 4 + size], b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((int(head[9:12]), body))

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


class Http:
    """Some connections to one server, shared by whoever has a request.

    Args:
        url: any URL of the server; only host and port count.
        connections: how many.
    """

    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._idle: deque[_HttpConnection] = deque()
        self._gate = asyncio.Semaphore(connections)
        self._all: list[_HttpConnection] = []

    async def send(self, path: str, body: bytes, *, kind: str, authorization: str = "") -> Any:
        """POST, and the answer's JSON. Raises RuntimeError for a refusal."""
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        if authorization:
            head += f"Authorization: {authorization}\r\n"
        async with self._gate:
            connection = self._idle.pop() if self._idle else await self._open()
            try:
                status, answer = await connection.exchange(head.encode() + b"\r\n" + body)
            finally:
                self._idle.append(connection)
        if status >= 300:
            raise RuntimeError(f"{path}: status {status}: {answer[:200]!r}")
        return json.loads(answer)

    async def post_form(self, path: str, authorization: str, **fields: str) -> Any:
        """A request of the REST API."""
        body = urlencode(fields).encode()
        kind = "application/x-www-form-urlencoded"
        return await self.send(path, body, kind=kind, authorization=authorization)

    async def bridge(self, path: str, method: str, params: dict[str, object], token: str) -> Any:
        """A request of the event bridge; the answer's payload."""
        body = json.dumps({"url": path, "method": method, "params": params, "token": token}).encode()
        return (await self.send("/v1/wschannels", body, kind="text/plain"))["payload"]

    async def _open(self) -> _HttpConnection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _HttpConnection(lambda _: None), *self._address)
        self._all.append(connection)
        return connection

    def close(self) -> None:
        """Close the connections."""
        for connection in self._all:
            connection.transport.close()


class WebSocket(asyncio.Protocol):
    """A websocket that hands out its text frames.

    Args:
        request: the target of the handshake.
        on_text: called with each text frame.
    """

    transport: asyncio.Transport

    def __init__(self, request: str, on_text: Callable[[bytes], None]) -> None:
        self._request = request
        self._on_text = on_text
        self._buffer = bytearray()
        self._open = False
        self.greeted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self.transport = transport
        transport.write(
            f"GET {self._request} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Too early is an error."""
        if not self.greeted.done():
            self.greeted.set_exception(exc or ConnectionError("the server closed the websocket"))

    def data_received(self, data: bytes) -> None:
        """Cut frames out of the bytes."""
        buffer = self._buffer
        buffer += data
        if not self._open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                self.greeted.set_exception(ConnectionError(bytes(buffer[:60]).decode("latin-1")))
                self.transport.close()
                return
            del buffer[: end + 4]
            self._open = True
        while len(buffer) >= 2:
            size, start = buffer[1], 2
            if size == 126:
                size, start = int.from_bytes(buffer[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + size:
                return
            opcode, body = buffer[0] & 0x0F, bytes(buffer[start : start + size])
            del buffer[: start + size]
            if opcode != 1:
                continue
            if not self.greeted.done():
                self.greeted.set_result(body)
            else:
                self._on_text(body)
