"""A real browser on a real server: Debian's Chromium, driven by playwright, which downloads nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from server_stub import Settings, StubServer
from tests.browser.visitor import Visitor

if TYPE_CHECKING:
    from playwright.async_api import Browser

SEED = Path(__file__).parents[2] / "examples" / "seeds" / "contact_center.yaml"

LOOP = pytest.mark.asyncio(loop_scope="session")
"""One browser serves all tests: starting one takes seconds."""

Visit = Callable[..., Awaitable[Visitor]]


def chromium() -> str | None:
    """Where the browser is."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, without windows."""
    pytest.importorskip("playwright", reason="playwright is not installed: make check installs it")
    from playwright.async_api import async_playwright

    path = chromium()
    if path is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    # The sandbox needs more rights than root has in a container.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[StubServer]:
    """A contact centre with two teams. No time goes by unless a test says so: browsers may be slow."""
    from server_stub.clocks import HandClock
    from taskrouter_worker.clock import ManualClock

    clock = HandClock(ManualClock(time.time()))
    settings = Settings(port=0, settle_ms=0, seed_document=SEED)
    async with StubServer(settings, clock=clock) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, server: StubServer) -> AsyncIterator[Visit]:
    """Opens the console by its link; at the end nothing must have gone wrong in any of the pages."""
    visitors: list[Visitor] = []

    async def open_page(
        *, size: tuple[int, int] = (1280, 800), scheme: str = "light", url: str | None = None, **more: Any
    ) -> Visitor:
        visitor = await Visitor.arrive(browser, url or server.console_url, size=size, scheme=scheme, **more)
        visitors.append(visitor)
        return visitor

    yield open_page
    for visitor in visitors:
        await visitor.leave()
        assert visitor.problems == []
