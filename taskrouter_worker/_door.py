"""One URL's door: posts over aiohttp's connections, without what its session does for each request.

aiohttp opens, pools and times out the connections and parses the answers, as it does for its own session.
Left out are the request and the response object, which know cookies, redirects, forms and uploads that
the event bridge does not have; making them takes more than half of a request's time.

It uses public names of aiohttp that are not part of its documented interface. A version without them is
met with `UnfitError`, before anything was sent: then requests go through the session.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from ._version import __version__

__all__ = ["Answer", "Door", "UnfitError", "whole"]

_NO_LIMITS: Final = aiohttp.ClientTimeout()
"""For opening a connection: the limit of the whole exchange counts."""

MAX_ANSWER: Final = 64 * 1024 * 1024
"""Longest answer that is read, unpacked, in bytes: our choice, far beyond the largest page of a list."""

MAX_STALE: Final = 100
"""Connections that are given up for one request, as many as a pool holds: new ones may be as bad."""


async def whole(content: aiohttp.StreamReader) -> bytes:
    """Read an answer to its end.

    Raises:
        aiohttp.ClientPayloadError: it is longer than `MAX_ANSWER`.
    """
    blocks: list[bytes] = []
    size = 0
    while block := await content.readany():
        blocks.append(block)
        size += len(block)
        if size > MAX_ANSWER:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {MAX_ANSWER} bytes")
    return b"".join(blocks)


class UnfitError(Exception):
    """This aiohttp has another inside; nothing was sent."""


@dataclass(slots=True)
class Answer:
    """What the event bridge answered."""

    status: int
    text: bytes
    headers: Mapping[str, str]


class Door:
    """Posts to one URL.

    Args:
        session: whose connections are used.
        url: where to.
        ssl: a context, or True for the platform's default.
        headers: sent with each request.

    Raises:
        UnfitError: see above.
    """

    __slots__ = ("_connector", "_head", "_target")

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        ssl: ssl_module.SSLContext | Literal[True],
        headers: Mapping[str, str],
    ) -> None:
        if session.connector is None:
            raise RuntimeError("the session is closed")
        self._connector = session.connector
        try:
            # It tells the connector where to, and knows the headers that every request has; it is not sent.
            self._target = aiohttp.ClientRequest(
                "POST",
                URL(url),
                headers={"User-Agent": f"taskrouter-worker/{__version__}", **headers},
                loop=asyncio.get_running_loop(),
                session=session,
                ssl=ssl,
            )
            lines = [
                f"{name}: {value}\r\n"
                for name, value in self._target.headers.items()
                if name.lower() not in ("content-length", "transfer-encoding")
            ]
            self._head = f"POST {self._target.url.raw_path_qs} HTTP/1.1\r\n{''.join(lines)}".encode()
        except (AttributeError, TypeError) as error:
            raise UnfitError from error

    async def post(self, body: bytes, headers: bytes, seconds: float) -> Answer:
        """Post and read the whole answer.

        Args:
            body: what to send.
            headers: further ones, as they travel, each with its end of line.
            seconds: for the whole exchange.

        Raises:
            TimeoutError: it took longer.
            aiohttp.ClientError: no answer came.
            UnfitError: see above.
        """
        async with asyncio.timeout(seconds):
            try:
                connection = await self._fresh()
            except (AttributeError, TypeError) as error:
                raise UnfitError from error
            try:
                try:
                    protocol, transport = connection.protocol, connection.transport
                    if protocol is None or transport is None:
                        raise aiohttp.ServerDisconnectedError
                    protocol.set_response_params(read_until_eof=True)
                except (AttributeError, TypeError) as error:
                    raise UnfitError from error
                transport.write(b"%b%bContent-Length: %d\r\n\r\n%b" % (self._head, headers, len(body), body))
                message, payload = await protocol.read()
                while message.code < 200 and message.code != 101:  # 101 changes what follows: nothing of ours
                    message, payload = await protocol.read()
                text = await whole(payload)
            except HttpProcessingError as error:
                connection.close()
                raise aiohttp.ClientPayloadError(f"not HTTP: {error.message}") from error
            except BaseException:
                connection.close()
                raise
            if transport.get_write_buffer_size():
                connection.close()  # answered before all was sent: the rest would follow
            else:
                connection.release()
            return Answer(message.code, text, message.headers)

    async def _fresh(self) -> aiohttp.connector.Connection:
        """A connection over which nothing came unasked, as a balancer's 408: the next to ask would get it."""
        for _ in range(MAX_STALE + 1):
            connection = await self._connector.connect(self._target, [], _NO_LIMITS)
            try:
                if connection.protocol is None or not connection.protocol.should_close:
                    return connection
            except AttributeError:
                connection.close()  # another aiohttp
                raise
            connection.close()
        raise aiohttp.ServerDisconnectedError
