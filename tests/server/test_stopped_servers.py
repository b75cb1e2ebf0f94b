"""What a server leaves behind when it stops: nothing."""

from __future__ import annotations

import gc
import weakref

import aiohttp

from server_stub import Settings, StubServer


async def test_a_stopped_server_is_forgotten() -> None:
    async def used() -> weakref.ref[StubServer]:
        async with StubServer(Settings(port=0)) as server, aiohttp.ClientSession() as client:
            for path in ("/stub/health", "/v1/Workspaces", "/elsewhere"):
                async with client.get(server.rest_url + path) as answer:
                    await answer.read()
            return weakref.ref(server)

    server = await used()
    gc.collect()
    assert server() is None
