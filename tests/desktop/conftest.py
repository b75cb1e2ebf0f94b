"""What windows need: Qt without a screen, and a display of their own for Tk. What is missing is named."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from tests.desktop.qt_window import QtWindow
    from tests.desktop.tk_window import TkWindow

INSTALL = "`pip install 'taskrouter-worker[desktop-tests]'`; its libraries: see .ci/run"


Open = Callable[[], "QtWindow | TkWindow"]


@pytest.fixture(scope="session", params=["qt", "tk"])
def open_window(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens windows of either toolkit, for the whole run: neither toolkit can be taken down and up again."""
    if request.param == "qt":
        request.getfixturevalue("qt_application")
        from tests.desktop.qt_window import QtWindow

        yield QtWindow
        return
    with _tk() as open_it:
        yield open_it


@pytest.fixture(scope="session")
def qt_application() -> Iterator[QApplication]:
    """Qt, without a screen. There can be only one in a process."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        pytest.skip(f"Qt is not to be had ({error}): {INSTALL}")
    application = QApplication([])
    application.setQuitOnLastWindowClosed(False)  # the tests say when its loop ends
    gc.disable()  # any thread would run it, and meet widgets there; who closes a window collects
    yield application
    application.shutdown()
    gc.enable()


@contextmanager
def _tk() -> Iterator[Open]:
    try:
        from tests.desktop.tk_window import TkWindow, holding
    except ImportError as error:
        pytest.skip(f"this Python has no Tk ({error}): on Debian install python3-tk")
    with _display() as display, holding(display):
        yield lambda: TkWindow(display)


@contextmanager
def _display() -> Iterator[str | None]:
    """A display in memory, where Tk needs one: nobody's screen is used."""
    if sys.platform != "linux":
        yield None
        return
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("Tk needs a display: on Debian install xvfb")
    reader, writer = os.pipe()
    with open(reader) as told:  # noqa: PTH123 - a pipe has no path
        command = [server, "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
        process = subprocess.Popen(command, pass_fds=(writer,), stderr=subprocess.DEVNULL)
        os.close(writer)
        try:
            number = told.readline().strip()  # a free one; nothing if it failed
            if not number:
                pytest.fail("Xvfb did not start; try it by hand to see why")
            yield f":{number}"
        finally:
            process.terminate()
            process.wait(timeout=30)
