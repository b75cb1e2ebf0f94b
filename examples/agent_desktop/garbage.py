"""Python's garbage collector, in Qt's thread and in no other: there it could meet widgets in work."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

__all__ = ["GarbageTimer"]

EVERY_MS = 1_000
COMPLETE_EVERY = 30
"""Of so many collections one looks at everything; the others look at what is new."""


class GarbageTimer(QObject):
    """Switches the collector off, which any thread would run, and collects by a timer. For the whole program.

    Args:
        parent: it ends with it.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._number = 0
        gc.disable()
        timer = QTimer(self)
        timer.timeout.connect(self._collect)
        timer.start(EVERY_MS)

    def _collect(self) -> None:
        self._number += 1
        gc.collect(2 if self._number % COMPLETE_EVERY == 0 else 1)
