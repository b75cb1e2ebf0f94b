"""Somebody who calls the console's doors, as a browser does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from server_stub import StubServer
from server_stub.console.access import HEADER


class Caller:
    """A browser's part: it keeps cookies and a session's other half, and says where its page is from."""

    def __init__(self, server: StubServer, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http
        self.half = "none"

    @property
    def key(self) -> str:
        return self.server.console_url.partition("#key=")[2]

    async def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, str]:
        url = self.server.rest_url + path
        sent = {HEADER: self.half, **(headers or {})}
        async with self.http.request(method, url, headers=sent, **more) as response:
            text = await response.text()
        if response.status == 201 and path == "/console/session":
            self.half = json.loads(text)["page"]
        return response.status, text

    async def enter(self) -> None:
        status, _ = await self.ask("POST", "/console/session", json={"key": self.key})
        assert status == 201

    async def told(self, workspace_sid: str = "") -> list[dict[str, Any]]:
        """Everything, once."""
        status, text = await self.ask("GET", f"/console/live?Once=true&Workspace={workspace_sid}")
        assert status == 200, text
        return messages(text)


def messages(text: str) -> list[dict[str, Any]]:
    return [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part]


@asynccontextmanager
async def calling(server: StubServer) -> AsyncIterator[Caller]:
    jar = aiohttp.CookieJar(unsafe=True)  # of addresses without names
    async with server, aiohttp.ClientSession(cookie_jar=jar) as http:
        yield Caller(server, http)


async def until(done: Callable[[], bool]) -> None:
    """Wait for something that no event announces."""
    async with asyncio.timeout(30):
        while not done():
            await asyncio.sleep(0.01)
