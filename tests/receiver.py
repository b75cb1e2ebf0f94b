"""An application's own server on loopback: it takes callbacks, checks their signatures, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from server_stub import StubServer


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    url: str  # as a web framework shows it
    parameters: dict[str, str]
    is_signed: bool  # by the judgement of the `twilio` library
    headers: dict[str, str]


Answer = Callable[[Received], Awaitable[web.StreamResponse] | web.StreamResponse]


def json_answer(body: Any, *, status: int = 200) -> Answer:
    return lambda _: web.json_response(body, status=status)


async def never(_: Received) -> web.StreamResponse:
    """No answer, until the caller gives up."""
    await asyncio.Event().wait()
    raise AssertionError


class Receiver:
    """Use it as an async context manager; `answer` may be changed at any time.

    Args:
        server: whose auth token signs what comes.
        answer: what it says to each request; nothing, with status 204, unless given.
    """

    def __init__(self, server: StubServer, answer: Answer | None = None) -> None:
        self.answer: Answer = answer or (lambda _: web.Response(status=204))
        self.received: list[Received] = []
        self._validator = RequestValidator(server.auth_token)
        self._changed = asyncio.Condition()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        self.port = 0

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        form: MultiDict[Any] = MultiDict(await request.post())
        url = f"{request.scheme}://{request.host}{request.raw_path}"
        signature = request.headers.get("X-Twilio-Signature", "")
        received = Received(
            method=request.method,
            url=url,
            parameters={name: str(value) for name, value in form.items()},
            is_signed=self._validator.validate(url, form, signature),
            headers=dict(request.headers),
        )
        async with self._changed:
            self.received.append(received)
            self._changed.notify_all()
        answer = self.answer(received)
        return answer if isinstance(answer, web.StreamResponse) else await answer

    async def wait_for(self, number: int) -> list[Received]:
        """The first `number` requests, once they have come."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= number)
        return self.received[:number]
