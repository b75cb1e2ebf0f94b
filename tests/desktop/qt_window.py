"""The agent's window in Qt. A module of its own: importing it needs PySide6 and the libraries of Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget

from tests.desktop.window import BUTTONS, LABELS, PATIENCE, TICK_MS, Window

__all__ = ["Calls", "QtWindow"]


class Calls(QObject):
    """The way into the window's thread, as the docstring of `SyncWorker` has it."""

    arrived = Signal(object)


class _Frame(QWidget):
    """The window itself."""

    def __init__(self, closed: Callable[[], None]) -> None:
        super().__init__()
        self._closed = closed

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        self._closed()
        event.accept()


class QtWindow(Window):
    """See `Window`. `deliver` is for the worker that will be embedded."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = Calls()
        self._calls.arrived.connect(lambda call: call(), Qt.ConnectionType.QueuedConnection)
        self.deliver = self._calls.arrived.emit
        self._frame = _Frame(self.closed)
        rows = QVBoxLayout(self._frame)
        self._labels = {name: QLabel() for name in LABELS}
        self._buttons = {name: QPushButton(name) for name in BUTTONS}
        for widget in (*self._labels.values(), *self._buttons.values()):
            rows.addWidget(widget)
        for name, button in self._buttons.items():
            button.pressed.connect(partial(self.pressed, name))
        self._timer = QTimer(self._frame)
        self._timer.timeout.connect(self.tick)
        self._timer.start(TICK_MS)
        self._frame.show()

    def text(self, label: str) -> str:
        return str(self._labels[label].text())

    def show(self, label: str, text: str) -> None:
        self._labels[label].setText(text)

    def press(self, button: str) -> None:
        self._buttons[button].click()

    def run_until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        check = QTimer()
        check.timeout.connect(lambda: QApplication.exit() if done() or time.monotonic() > end else None)
        check.start(1)
        QApplication.exec()
        check.stop()
        assert done(), "it never happened"

    def close(self) -> None:
        self._frame.close()
        self._timer.stop()
