"""The agent's window in Tk. A module of its own: importing it needs a Python with tkinter."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.desktop.window import BUTTONS, LABELS, PATIENCE, TICK_MS, Window

__all__ = ["TkWindow", "holding"]

POLL_MS = 50
"""As in the docstring of `SyncWorker`."""


@contextmanager
def holding(display: str | None) -> Iterator[None]:
    """Keep Tk's connection to the display, which outlives the windows that use it, in one place."""
    root = tk.Tk(screenName=display)
    root.withdraw()
    yield
    root.destroy()


class TkWindow(Window):
    """See `Window`.

    Args:
        display: where it opens, such as ``:99``; None for the one of the person who runs the tests.
    """

    deliver = None  # the window asks, see `_poll`

    def __init__(self, display: str | None) -> None:
        super().__init__()
        self._root = tk.Tk(screenName=display)
        self._root.report_callback_exception = self._failed
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        self._open = True
        self._failure: BaseException | None = None
        self._labels = {name: tk.Label(self._root) for name in LABELS}
        self._buttons = {
            name: tk.Button(self._root, text=name, command=partial(self.pressed, name)) for name in BUTTONS
        }
        for widget in (*self._labels.values(), *self._buttons.values()):
            widget.pack()
        self._tick()
        self._poll()

    def _poll(self) -> None:
        if self._worker is not None:
            self._worker.process_events()
        if self._open:
            self._root.after(POLL_MS, self._poll)

    def _tick(self) -> None:
        self.tick()
        self._root.after(TICK_MS, self._tick)

    def _failed(self, _kind: object, error: BaseException, _traceback: object) -> None:
        self._failure = error
        self._root.quit()

    def text(self, label: str) -> str:
        return str(self._labels[label]["text"])

    def show(self, label: str, text: str) -> None:
        self._labels[label]["text"] = text

    def press(self, button: str) -> None:
        self._buttons[button].invoke()

    def run_until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE

        def check() -> None:
            if done() or time.monotonic() > end:
                self._root.quit()
            else:
                self._root.after(1, check)

        check()
        if not done():
            self._root.mainloop()
        if self._failure is not None:
            raise self._failure
        assert done(), "it never happened"

    def close(self) -> None:
        if self._open:
            self._open = False
            self.closed()
            self._root.quit()  # the main loop goes on for `holding` else
            self._root.destroy()

    def forget(self) -> None:
        if self._open:
            self._open = False
            self._root.destroy()  # with the calls that `after` was asked for
        super().forget()
