"""Fixtures for tests that talk to the server over raw sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from server_stub import Settings, StubServer
from tests.server.raw import Desk

Open = Callable[..., Any]


@pytest.fixture
async def open_desk() -> AsyncIterator[Open]:
    """Starts servers with the settings that a test wants, until the test ends."""
    async with AsyncExitStack() as stack:

        async def open_it(*, clock: Any = None, token_clock: Any = None, **settings: Any) -> Desk:
            server = StubServer(
                Settings(**{"port": 0, "settle_ms": 0, **settings}), clock=clock, token_clock=token_clock
            )
            await stack.enter_async_context(server)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            desk = Desk(server, http)

            async def close_clients() -> None:
                for client in desk.clients:
                    await client.close()

            stack.push_async_callback(close_clients)
            return desk

        yield open_it


@pytest.fixture
async def desk(open_desk: Open) -> Desk:
    """A server without settle time, so that tests do not wait."""
    desk: Desk = await open_desk()
    return desk
