"""Small widgets that the pages are made of."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from .theme import Theme
from .view import Attribute

__all__ = [
    "Attributes",
    "Choice",
    "Columns",
    "Ring",
    "breakable",
    "button",
    "cleared",
    "empty_state",
    "label",
    "restyle",
]

BREAK = "\u200b"
"""A zero-width space: where a long word may be broken."""

LONGEST_WORD = 24
LONGEST_NAME = 14
FIRST_ATTRIBUTES = 5
HURRY = 0.25
"""The share of an offer's time from which its ring shows hurry."""


def breakable(text: str, *, at: int = LONGEST_WORD) -> str:
    """The text with places to break in its long words: nothing is cut at the window's edge."""
    words = []
    for word in text.split(" "):
        pieces = [word[start : start + at] for start in range(0, len(word), at)]
        words.append(BREAK.join(pieces))
    return " ".join(words)


def label(text: str = "", name: str = "", *, wraps: bool = True) -> QLabel:
    """A label of plain text: what customers write is never taken for HTML."""
    made = QLabel(breakable(text) if wraps else text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setObjectName(name)
    made.setWordWrap(wraps)
    if not wraps:
        made.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
    return made


def button(text: str, pressed: Callable[[], object], name: str = "", *, hint: str = "") -> QPushButton:
    """A button. The hint, its shortcut for example, becomes its tool tip and description."""
    made = QPushButton(text)
    made.setObjectName(name)
    made.setToolTip(hint)
    made.setAccessibleDescription(hint)
    made.clicked.connect(lambda _checked: pressed())
    made.setAutoDefault(False)
    return made


def restyle(widget: QWidget, name: str, value: str) -> None:
    """Give a property that the style sheet looks at; only a change costs something."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def emptied(layout: QLayout) -> list[QWidget]:
    """Take all widgets out of a layout; they are returned.

    Not with `takeAt`: in Python its items live on, and a widget has one item only that keeps its size up to
    date. Text would be cut the next time it grows.
    """
    widgets: list[QWidget] = []
    while layout.count():
        item = layout.itemAt(0)
        widget = item.widget() if item is not None else None
        if widget is None:
            break
        layout.removeWidget(widget)
        widgets.append(widget)
    return widgets


def cleared(layout: QLayout) -> None:
    """Take all widgets out of a layout, and let them go."""
    for widget in emptied(layout):
        widget.hide()
        widget.deleteLater()


def empty_state(title: str, text: str) -> tuple[QFrame, QLabel, QLabel]:
    """What stands where nothing is yet: it says why, and what to do."""
    frame = QFrame()
    frame.setObjectName("empty")
    rows = QVBoxLayout(frame)
    rows.setContentsMargins(20, 24, 20, 24)
    rows.setSpacing(6)
    first, second = label(title, "title"), label(text, "muted")
    for it in (first, second):
        it.setAlignment(Qt.AlignmentFlag.AlignCenter)
        rows.addWidget(it)
    return frame, first, second


class Ring(QWidget):
    """A ring that empties while an offer waits, with the seconds in it."""

    SIDE = 60

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._deadline: float | None = None
        self._seconds = 0.0
        self._shown: tuple[str, int] = ("", 0)
        self.setFixedSize(QSize(self.SIDE, self.SIDE))

    @property
    def text(self) -> str:
        """What stands in it."""
        return self._shown[0]

    def count_to(self, deadline: float | None, seconds: float) -> None:
        """Count down to that moment on the monotonic clock, of so many seconds in all."""
        self._deadline, self._seconds = deadline, seconds
        self.setVisible(deadline is not None)
        self.tick()

    def tick(self) -> None:
        """Show the present moment; paints only when there is something else to see."""
        if self._deadline is None:
            return
        left = max(0.0, self._deadline - time.monotonic())
        share = left / self._seconds if self._seconds else 0.0
        minutes, seconds = divmod(math.ceil(left), 60)
        text = f"{minutes}:{seconds:02}" if minutes else str(seconds)
        shown = (text, round(share * 360))
        if shown != self._shown:
            self._shown = shown
            self.setAccessibleName(f"{math.ceil(left)} seconds left")
            self.update()

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw it."""
        colours = self._theme.colours
        text, degrees = self._shown
        colour = QColor(colours.bad if degrees < 360 * HURRY else colours.accent)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        edge = QRectF(4, 4, self.width() - 8, self.height() - 8)
        painter.setPen(QPen(QColor(colours.line), 5))
        painter.drawEllipse(edge)
        painter.setPen(QPen(colour, 5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawArc(edge, 90 * 16, degrees * 16)
        font = QFont(self.font())
        font.setPixelSize(15)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(colour if degrees < 360 * HURRY else QColor(colours.text))
        painter.drawText(edge, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()


class Choice(QComboBox):
    """A list to choose from, with an arrow of its own: a style sheet takes Qt's away."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw it, and the arrow on it."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(self._theme.colours.muted), 2))
        x, y = self.width() - 18.0, self.height() / 2.0
        painter.drawPolyline([QPointF(x - 4, y - 2), QPointF(x, y + 2), QPointF(x + 4, y - 2)])
        painter.end()


class Attributes(QWidget):
    """A task's attributes: the first few, and all of them when asked."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Attribute, ...] = ()
        self._all = False
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        rows.addLayout(self._grid)
        self.more = button("", self._toggle, "quiet")
        rows.addWidget(self.more, alignment=Qt.AlignmentFlag.AlignLeft)

    def show_them(self, attributes: tuple[Attribute, ...]) -> None:
        """Show these."""
        if attributes != self._shown:
            self._shown = attributes
            self._fill()
        self.more.setVisible(len(self._shown) > FIRST_ATTRIBUTES + 1)  # for one, its own line is as short

    def _toggle(self) -> None:
        self._all = not self._all
        self._fill()

    def _fill(self) -> None:
        cleared(self._grid)
        few = len(self._shown) <= FIRST_ATTRIBUTES + 1
        shown = self._shown if self._all or few else self._shown[:FIRST_ATTRIBUTES]
        for row, attribute in enumerate(shown):
            key = label(name="key")
            key.setText(breakable(attribute.name, at=LONGEST_NAME))
            value = label(attribute.value, "value")
            for it in (key, value):  # an order's number wants to be copied
                it.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            key.setMinimumWidth(70)
            key.setMaximumWidth(150)
            self._grid.addWidget(key, row, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(value, row, 1, Qt.AlignmentFlag.AlignTop)
        rest = len(self._shown) - FIRST_ATTRIBUTES
        self.more.setText("Show fewer" if self._all else f"Show {rest} more")


class Columns(QWidget):
    """Cards in as many columns as fit."""

    def __init__(self, narrowest: int = 360) -> None:
        super().__init__()
        self._narrowest = narrowest
        self._columns = 1
        self._cards: list[QWidget] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(12)

    def arrange(self, cards: list[QWidget]) -> None:
        """Show these, in this order. Those that are gone are not deleted here."""
        if cards != self._cards:
            self._cards = cards
            self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """As many columns as fit now."""
        super().resizeEvent(event)
        columns = max(1, event.size().width() // self._narrowest)
        if columns != self._columns:
            self._columns = columns
            self._place()

    def _place(self) -> None:
        emptied(self._grid)
        for number, card in enumerate(self._cards):
            self._grid.addWidget(
                card, number // self._columns, number % self._columns, Qt.AlignmentFlag.AlignTop
            )
        for column in range(self._grid.columnCount()):
            self._grid.setColumnStretch(column, 1 if column < self._columns else 0)
