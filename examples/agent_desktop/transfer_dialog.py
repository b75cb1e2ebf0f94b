"""Whom shall the task go to?"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from .directory import Found, Target, matching
from .sentences import failed
from .view import Work
from .widgets import breakable, button, label

__all__ = ["TransferDialog"]


class TransferDialog(QDialog):
    """Searches in the workspace's workers and queues.

    Args:
        parent: the window.
        work: the task.
        chosen: called with the target and whether the agent stays on the task.
    """

    def __init__(self, parent: QWidget, work: Work, chosen: Callable[[Target, bool], object]) -> None:
        super().__init__(parent)
        self._chosen = chosen
        self._targets: tuple[Target, ...] = ()
        self._nothing = "Looking …"  # what to say while there is nothing to choose from
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Transfer")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(20, 20, 20, 20)
        rows.setSpacing(10)
        rows.addWidget(label(f"Transfer “{work.title}”", "title"))
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search colleagues and queues")
        self.search.setAccessibleName("Search colleagues and queues")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.search.returnPressed.connect(self._transfer)
        rows.addWidget(self.search)
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName("Colleagues and queues")
        self.list.itemActivated.connect(lambda _: self._transfer())
        self.list.currentItemChanged.connect(lambda *_: self._choose())
        rows.addWidget(self.list, 1)
        self.status = label(self._nothing, "muted")
        rows.addWidget(self.status)
        self.leave = QRadioButton("Hand over: you wrap up once it is accepted")
        self.stay = QRadioButton("Bring in: you both stay on the task")
        self.leave.setChecked(True)
        rows.addWidget(self.leave)
        rows.addWidget(self.stay)
        self.go = button("Transfer", self._transfer, "primary")
        buttons = QHBoxLayout()
        buttons.addWidget(self.go, 2)
        buttons.addWidget(button("Cancel", self.reject), 1)
        rows.addLayout(buttons)
        self.go.setEnabled(False)
        width, height = parent.width(), parent.height()
        self.resize(min(480, width - 24), min(560, height - 40))
        self.search.setFocus()

    def arrived(self, found: Found) -> None:
        """The workspace has answered."""
        self._nothing = "There is nobody else, and no queue."
        if found.error is not None:
            sentence = failed("look up colleagues and queues", found.error)
            self._nothing = f"{sentence} You can still paste a SID, WK… or WQ…"
        self._targets = found.targets
        self._filter(self.search.text())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """The arrows move through the list while one types."""
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up) and self.list.count():
            step = 1 if event.key() == Qt.Key.Key_Down else -1
            self.list.setCurrentRow(max(0, min(self.list.count() - 1, self.list.currentRow() + step)))
            return
        super().keyPressEvent(event)

    def _filter(self, words: str) -> None:
        self.list.clear()
        shown = matching(self._targets, words) or _pasted(words)
        for target in shown:
            kind = "Queue" if target.is_queue else target.note
            item = QListWidgetItem(breakable(f"{target.name}\n{kind}"))
            item.setData(Qt.ItemDataRole.UserRole, target)
            self.list.addItem(item)
        if shown:
            self.list.setCurrentRow(0)
        if shown:
            self.status.setText(f"{len(shown)} of {max(len(shown), len(self._targets))}")
        else:
            missing = "Nobody and no queue is called so." if self._targets else self._nothing
            self.status.setText(breakable(missing))
        self._choose()

    def _choose(self) -> None:
        self.go.setEnabled(self.list.currentItem() is not None)

    def _transfer(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            target: Target = item.data(Qt.ItemDataRole.UserRole)
            self._chosen(target, self.stay.isChecked())
            self.accept()


def _pasted(words: str) -> list[Target]:
    """A SID is a target too, where the token does not allow to look."""
    sid = words.strip()
    if sid[:2] in ("WK", "WQ") and len(sid) == 34 and sid[2:].isalnum():
        return [Target(sid, sid, is_queue=sid.startswith("WQ"), note="Colleague")]
    return []
