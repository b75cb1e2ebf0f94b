"""Keys of a terminal, one by one, and the terminal as it was before, whatever happens."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import termios
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

__all__ = ["Keyboard"]

_KEYS: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\r": "enter",
    b"\n": "enter",
}

_KEY: Final = re.compile(rb"\x1b[\[O][0-9;?]*[@-~]|.", re.DOTALL)
"""A sequence that a special key sends, or one byte."""


class Keyboard:
    """Reads keys while it is entered. Signals such as Ctrl-C stay signals.

    Args:
        pressed: is called with ``up``, ``down``, ``enter``, ``escape`` or a character, in the loop.
        hung_up: is called once when the terminal is gone.
    """

    def __init__(self, pressed: Callable[[str], None], hung_up: Callable[[], None]) -> None:
        self._pressed = pressed
        self._hung_up = hung_up
        self._file = sys.stdin.fileno()
        self._before: list[object] | None = None

    def __enter__(self) -> Self:
        self.grab()
        asyncio.get_running_loop().add_reader(self._file, self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        self.give_back()

    def grab(self) -> None:
        """Have keys come at once, and unseen."""
        self._before = list(termios.tcgetattr(self._file))
        tty.setcbreak(self._file, termios.TCSADRAIN)

    def give_back(self) -> None:
        """The terminal as it was. Safe to call twice, and when the terminal is gone."""
        before, self._before = self._before, None
        if before is not None:
            try:
                termios.tcsetattr(self._file, termios.TCSADRAIN, before)  # type: ignore[arg-type]
            except termios.error:
                return

    def _read(self) -> None:
        try:
            data = os.read(self._file, 1024)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._file)
            self._hung_up()
            return
        for found in _KEY.findall(data):
            self._pressed(_name(found))


def _name(key: bytes) -> str:
    if key in _KEYS:
        return _KEYS[key]
    if key == b"\x1b":
        return "escape"
    return key.decode("ascii", "replace") if len(key) == 1 else "other"
