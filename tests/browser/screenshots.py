"""Take the pictures of the documentation: ``python -m tests.browser.screenshots``.

They go to ``docs/images``; another directory may be named. They show an invented contact centre at one
invented moment, so that they change only when the console does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

from taskrouter_worker import Worker
from tests.browser.conftest import chromium
from tests.browser.scene import Scene
from tests.browser.visitor import Visitor

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
LARGE, SMALL = (1280, 800), (390, 844)


async def take(directory: Path) -> None:
    """Take all of them."""
    path = chromium()
    if path is None:
        raise SystemExit("chromium is not installed: apt-get install chromium")
    scene = Scene()
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with scene.server as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=options)
        scene.play()
        workspace = scene.workspace
        waiting = next(
            t.sid for t in workspace.tasks.values() if t.status == "pending" and t.queue is not None
        )
        busy = max(workspace.workers.values(), key=lambda w: len(w.live_reservations))
        pictures = (
            ("console-board-light", "board", None, LARGE, "light"),
            ("console-board-dark", "board", None, LARGE, "dark"),
            ("console-explain", "tasks", waiting, LARGE, "light"),
            ("console-worker-dark", "workers", busy.sid, LARGE, "dark"),
            ("console-small-board", "board", None, SMALL, "light"),
            ("console-small-reservations-dark", "reservations", None, SMALL, "dark"),
        )
        for name, view, sid, size, scheme in pictures:
            visitor = await Visitor.arrive(browser, server.console_url, size=size, scheme=scheme)
            await visitor.go(view, sid)
            if sid:
                await visitor.until("() => document.querySelectorAll('.details .later li').length > 2")
            await visitor.value("() => document.activeElement.blur()")
            await visitor.page.wait_for_timeout(400)
            await visitor.page.screenshot(path=directory / f"{name}.png")
            await visitor.leave()
        await picture_of_frames(scene, browser, directory)
        await browser.close()


async def picture_of_frames(scene: Scene, browser: Browser, directory: Path) -> None:
    """The timeline, while a worker connects and answers."""
    server = scene.server
    visitor = await Visitor.arrive(browser, server.console_url, size=LARGE, scheme="light")
    busy = max(scene.workspace.workers.values(), key=lambda w: len(w.live_reservations))
    token = server.worker_token(busy.sid)
    async with Worker(token, eb_server=server.eb_server, ws_server=server.ws_server):
        for number in range(4):
            scene.offer(number)
            scene.wait(1)
            scene.answer()
        for reservation in busy.live_reservations:
            scene.finish(reservation)
            scene.wait(1)
        await visitor.go("timeline")
        await visitor.until("() => document.querySelectorAll('.c-way.sent').length > 0")
        await visitor.value("() => document.activeElement.blur()")
        await visitor.page.screenshot(path=directory / "console-timeline.png")
    await visitor.leave()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(target))
    print(
        "\n".join(f"{file} {file.stat().st_size // 1024} kB" for file in sorted(target.glob("console-*.png")))
    )
