"""Sending requests with the current token, and repeating the reads that failed."""

from __future__ import annotations

import logging
import random
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeVar

import anyio
import msgspec

from ._requests import Request
from ._token import Token
from ._token_keeper import TokenKeeper
from .errors import (
    AuthenticationError,
    NotConnectedError,
    RateLimitedError,
    RequestError,
    ServerError,
    TokenProviderError,
)
from .resources import DECODE_ERRORS

__all__ = ["CommandObserver", "Commands", "Sender"]

logger = logging.getLogger(__name__)

UNAUTHORIZED: Final = 401
READ_ATTEMPTS: Final = 3
READ_RETRY_SECONDS: Final = 0.2
MAX_RETRY_SECONDS: Final = 10.0

T = TypeVar("T")


class Sender(Protocol):
    """The seam to HTTP; `_transport.Transport` is the real one."""

    async def send(self, request: Request, token: Token) -> bytes:
        """Send one request and return its answer's payload as JSON."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class CommandObserver(Protocol):
    """Who watches commands; `telemetry` has the real one."""

    def command(self, request: Request) -> AbstractContextManager[None]:
        """What is entered around one command."""
        ...


class Commands:
    """The HTTP side: sends requests with the token in force, repeats reads that failed."""

    def __init__(
        self, transport: Sender, tokens: TokenKeeper, *, over: str = "the worker was disconnected"
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self._over = over  # why nothing can be sent once `closed` is set
        self.closed = False
        self.observer: CommandObserver | None = None

    async def send(self, request: Request, *, repeatable: bool = False) -> bytes:
        """Send a request. Reads are repeated a few times, commands are not: they might run twice.

        Args:
            request: what to send.
            repeatable: it is a command that may run twice, such as setting what the worker has set before.

        Raises:
            NotConnectedError: the worker is closed.
            RequestError: the last attempt's failure. A refused token (401) is replaced once, if there
                is a token provider; if that fails, its error is the `__cause__`.
        """
        if self.observer is None:
            return await self._send(request, repeatable=repeatable)
        with self.observer.command(request):
            return await self._send(request, repeatable=repeatable)

    async def _send(self, request: Request, *, repeatable: bool) -> bytes:
        replaced = False
        for attempt in range(READ_ATTEMPTS + 1):
            if self.closed:
                raise NotConnectedError(f"cannot send {request.method} {request.path}: {self._over}")
            token = self._tokens.token
            try:
                return await self._transport.send(request, token)
            except AuthenticationError as error:
                # Nothing was carried out. If another token is there, or can be had, it is tried once.
                if replaced or error.status != UNAUTHORIZED:
                    raise
                try:
                    replaced = await self._tokens.replace(token)
                except TokenProviderError as reason:
                    raise error from reason
                if not replaced:
                    raise
            except RequestError as error:
                if not (request.is_read or repeatable) or not error.retryable or attempt >= READ_ATTEMPTS - 1:
                    raise
                delay = READ_RETRY_SECONDS * 2**attempt * random.uniform(0.5, 1)  # noqa: S311 - spreads load
                if isinstance(error, RateLimitedError) and error.retry_after is not None:
                    delay = min(max(delay, error.retry_after), MAX_RETRY_SECONDS)
                logger.info("%s; next attempt in %.1f s", error, delay)
                await anyio.sleep(delay)
        raise AssertionError("unreachable")  # the loop returns or raises

    async def fetch(
        self, request: Request, decoder: msgspec.json.Decoder[T], *, repeatable: bool = False
    ) -> T:
        """Send a request, as `send` does, and decode the answer.

        Raises:
            NotConnectedError, RequestError: as `send`; `ServerError` too if the answer makes no sense.
        """
        answer = await self.send(request, repeatable=repeatable)
        try:
            return decoder.decode(answer)
        except DECODE_ERRORS as error:
            raise ServerError(
                f"the answer to {request.method} {request.path} cannot be understood: {error}",
                method=request.method,
                path=request.path,
                status=200,
            ) from error
