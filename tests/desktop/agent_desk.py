"""An open window of the agent desktop, and ways to use it as a person does. Importing it needs Qt."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit, QPushButton, QRadioButton, QWidget

from examples.agent_desktop.aim import Aim
from examples.agent_desktop.cards import OfferCard, WorkCard
from examples.agent_desktop.login import Login
from examples.agent_desktop.theme import Theme
from examples.agent_desktop.view import View
from examples.agent_desktop.window import AgentWindow
from tests.desktop.centre import PATIENCE

__all__ = ["AgentDesk"]


class AgentDesk:
    """A window in front of a person.

    Attributes:
        told: the notifications.
    """

    def __init__(self, application: QApplication, login: Login | None = None, **options: Any) -> None:
        options.setdefault("reconnect_backoff", lambda _: 0.05)
        self._application = application
        self.theme = Theme(application, "light")
        self.window = AgentWindow(self.theme, login, **options)
        self.told: list[str] = []
        self.window._aim = Aim(partial(next, itertools.count(0, 60)))  # whoever clicks, takes a minute
        self.window.tell = lambda title, _: self.told.append(title)
        self.window.show()
        self.window.activateWindow()

    @property
    def view(self) -> View:
        return self.window.desk.view

    @property
    def offers(self) -> list[OfferCard]:
        return list(self.window.desk_page.offers.values())

    @property
    def works(self) -> list[WorkCard]:
        return list(self.window.desk_page.works.values())

    @property
    def texts(self) -> str:
        """Everything that can be read now."""
        shown: list[str] = [self.window.windowTitle()]
        for kind in (QLabel, QPushButton, QLineEdit, QComboBox):
            for widget in self.visible(kind):
                is_choice = isinstance(widget, QComboBox)
                shown.append(widget.currentText() if is_choice else widget.text())
        return "\n".join(shown).replace("\u200b", "")

    def until(self, done: Callable[[], object]) -> None:
        """Let the window live until something is true."""
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, f"it never happened; the window shows:\n{self.texts}"
            self.turn()
            time.sleep(0.002)

    def until_read(self, text: str) -> None:
        """Until a text can be read."""
        self.until(lambda: text in self.texts)

    def turn(self) -> None:
        """A few turns of Qt's loop, in which layouts settle."""
        for _ in range(3):
            self._application.processEvents()

    def press(self, widget: QWidget) -> None:
        """Click on it."""
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)

    def press_text(self, text: str) -> None:
        """Click on the visible button of this text, dialogs included."""
        [found] = [it for it in self.visible(QPushButton) if it.text() == text]
        self.press(found)

    def key(self, key: Qt.Key, *, ctrl: bool = False) -> None:
        """Press a key where the focus is."""
        where = self._application.focusWidget() or self.window
        modifier = Qt.KeyboardModifier.ControlModifier if ctrl else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(where, key, modifier)

    def write(self, field: QLineEdit, text: str) -> None:
        """Type into a field."""
        field.setFocus()
        QTest.keyClicks(field, text)

    def visible(self, kind: type[Any]) -> Iterator[Any]:  # Any: of that kind
        """The widgets of a kind that are shown, in the window and its dialogs."""
        yield from (it for it in self.window.findChildren(kind) if it.isVisible())

    def close(self) -> None:
        """Close it without being asked, and let go of its widgets in this thread."""
        self.window._may_close = True
        self.window.close()
        self.window.deleteLater()
        self.theme.deleteLater()
        del self.window, self.theme
        self._application.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()

    # What cannot be seen in full

    def cut(self) -> list[str]:
        """The texts that do not fit into their widgets, and the widgets that stick out of the window."""
        self.turn()
        found: list[str] = []
        for kind in (QLabel, QPushButton, QRadioButton, QComboBox, QLineEdit):
            for widget in self.visible(kind):
                if isinstance(widget, QLabel) and not widget.text():
                    continue
                if why := _cut(widget):
                    found.append(f"{type(widget).__name__} {_text(widget)!r}: {why}")
        return found


def _text(widget: QWidget) -> str:
    if isinstance(widget, QComboBox):
        return str(widget.currentText())
    if isinstance(widget, QLineEdit) and not widget.text():
        return str(widget.placeholderText())
    return str(widget.text()) if hasattr(widget, "text") else ""


def _cut(widget: QWidget) -> str:
    width, height = widget.width(), widget.height()
    if isinstance(widget, QLabel) and widget.wordWrap():
        needed = widget.heightForWidth(width)
        if needed > height:
            return f"{height} of {needed} pixels high"
        metrics = widget.fontMetrics()
        pieces = widget.text().replace("\u200b", " ").split()
        widest = max((metrics.horizontalAdvance(piece) for piece in pieces), default=0)
        if widest > width:
            return f"a word is {widest} pixels wide, there are {width}"
    elif isinstance(widget, QLineEdit):
        needed = widget.fontMetrics().horizontalAdvance(_text(widget)) + 24
        if needed > width:
            return f"{width} of {needed} pixels wide"
    elif widget.sizeHint().width() > width or widget.sizeHint().height() > height:
        return f"{width}x{height}, wants {widget.sizeHint().width()}x{widget.sizeHint().height()}"
    top = widget.window()
    left = widget.mapTo(top, widget.rect().topLeft()).x()
    if left < 0 or left + width > top.width():
        return f"from {left} to {left + width} of {top.width()} pixels"
    return ""
