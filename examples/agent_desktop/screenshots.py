"""Pictures of the window for the documentation: ``python -m examples.agent_desktop.screenshots DIRECTORY``.

Everything in them is real: a session with the demonstration's server. No screen is needed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .demo import Demo
from .view import View

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

SMALL, LARGE = (420, 640), (1600, 1000)
PATIENCE = 30.0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="agent_desktop.screenshots", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path("docs/images"))
    parser.add_argument("--all", action="store_true", help="more of them than the documentation shows")
    parser.add_argument("--terminal", action="store_true", help="the one of the desk in a terminal instead")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    options.directory.mkdir(parents=True, exist_ok=True)
    with Demo(feed=False) as demo:
        if options.terminal:
            print(asyncio.run(take_terminal(demo, options.directory)))
            return 0
        for name in Pictures(demo, options.directory).take(everything=options.all):
            print(name)
    return 0


class Pictures:
    """Plays a few minutes of work, and takes pictures on the way.

    Args:
        demo: the server to work with.
        directory: where the pictures go.
    """

    def __init__(self, demo: Demo, directory: Path) -> None:
        from PySide6.QtWidgets import QApplication  # noqa: PLC0415 - after the platform was chosen

        from .garbage import GarbageTimer  # noqa: PLC0415 - the same
        from .theme import Theme  # noqa: PLC0415 - the same
        from .window import AgentWindow  # noqa: PLC0415 - the same

        self._demo = demo
        self._directory = directory
        self._application = QApplication.instance() or QApplication([])
        GarbageTimer(self._application)
        self._theme = Theme(self._application, "light")
        self._window = AgentWindow(self._theme)
        self._taken: list[str] = []

    def take(self, *, everything: bool) -> list[str]:
        """Take them all; their names."""
        window, desk = self._window, self._window.desk
        window.show()
        if everything:
            self._each("login")
        else:
            self._one("login-dark", SMALL, "dark")
        desk.log_in(self._demo.login)
        self._until(lambda view: view.agent)
        if everything:
            self._each("empty")
        self._demo.call()
        self._until(lambda view: view.offers)
        if everything:
            self._each("offer")
        else:
            self._one("offer-light", SMALL, "light")
        desk.accept(desk.view.offers[0].sid)
        self._until(lambda view: view.works and not view.works[0].busy)
        self._demo.call()
        self._until(lambda view: view.offers)
        desk.accept(desk.view.offers[0].sid)
        self._until(lambda view: len(view.works) == 2 and not view.works[1].busy)
        desk.wrap_up(desk.view.works[1].sid)
        self._until(lambda view: view.works[1].wrapping and not view.works[1].busy)
        self._demo.call()
        self._until(lambda view: view.offers)
        if everything:
            self._each("busy")
        else:
            self._one("busy-light", LARGE, "light")
            self._one("busy-dark", LARGE, "dark")
        window.hand_over(desk.view.works[0].sid)
        self._transfer(window.dialog, everything=everything)
        window.desk_page.activity.setFocus()
        window._may_close = True  # noqa: SLF001 - nobody is here to be asked
        window.close()
        return self._taken

    def _transfer(self, dialog: object, *, everything: bool) -> None:
        from .transfer_dialog import TransferDialog  # noqa: PLC0415 - see above

        if not isinstance(dialog, TransferDialog):
            raise TypeError(f"expected the dialog of transfers, got {type(dialog).__name__}")
        self._until(lambda _: dialog.list.count())
        for scheme in ("light", "dark") if everything else ("light",):
            self._theme.use(scheme)
            self._save(f"transfer-{scheme}", dialog)
        dialog.reject()

    def _each(self, name: str) -> None:
        for size in (SMALL, LARGE):
            for scheme in ("light", "dark"):
                self._one(f"{name}-{'small' if size is SMALL else 'large'}-{scheme}", size, scheme)

    def _one(self, name: str, size: tuple[int, int], scheme: str) -> None:
        self._theme.use(scheme)
        self._window.resize(*size)
        self._save(name, self._window)

    def _save(self, name: str, widget: QWidget) -> None:
        for _ in range(5):  # layouts settle in a few turns
            self._application.processEvents()
        path = self._directory / f"agent-desktop-{name}.png"
        widget.grab().save(str(path))
        self._taken.append(str(path))

    def _until(self, done: Callable[[View], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not done(self._window.desk.view):
            if time.monotonic() > end:
                raise TimeoutError("it never happened")
            self._application.processEvents()
            time.sleep(0.005)


async def take_terminal(demo: Demo, directory: Path) -> str:
    """A picture of the desk in a terminal, and its name."""
    from .terminal import TerminalDesk  # noqa: PLC0415 - needs Textual

    application = TerminalDesk(demo.login)
    desk = application.desk

    async def until(done: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not done():  # noqa: ASYNC110 - the picture shows what is polled for
                await asyncio.sleep(0.01)

    async with application.run_test(size=(96, 24)) as pilot:
        await until(lambda: desk.view.agent)
        demo.call()
        await until(lambda: desk.view.offers)
        desk.accept(desk.view.offers[0].sid)
        await until(lambda: desk.view.works and not desk.view.works[0].busy)
        demo.call()
        await until(lambda: desk.view.offers)
        await pilot.press("up")
        await pilot.pause()
        drawn = application.export_screenshot(title="Agent desktop")
    # Textual names a font on the internet: documentation fetches nothing.
    drawn = re.sub(r"@font-face {.*?}", "", drawn, flags=re.DOTALL)
    path = directory / "agent-desktop-terminal.svg"
    path.write_text(drawn, encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
