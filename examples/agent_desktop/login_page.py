"""The page where an agent logs in."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QScrollArea, QTabBar, QVBoxLayout, QWidget

from .login import Login, LoginError
from .view import Link, View
from .widgets import breakable, button, label

__all__ = ["LoginPage"]

WIDTH = 440


class LoginPage(QScrollArea):
    """Asks for a token or a sign-in service, and shows why that did not work.

    Args:
        login: what is known already, from the environment or the command line.
        submit: begins a session; raises `LoginError`.
        cancel: gives up one that does not get through.
    """

    def __init__(
        self,
        login: Login,
        submit: Callable[[Login], object],
        cancel: Callable[[], object],
    ) -> None:
        super().__init__()
        self._known = login
        self._submit = submit
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        ground = QWidget()
        ground.setObjectName("ground")
        self.setWidget(ground)
        middle = QHBoxLayout(ground)
        middle.setContentsMargins(16, 24, 16, 24)
        card = QFrame()
        card.setObjectName("card")
        card.setMaximumWidth(WIDTH)
        middle.addStretch(1)
        middle.addWidget(card, 100, Qt.AlignmentFlag.AlignVCenter)
        middle.addStretch(1)
        rows = QVBoxLayout(card)
        rows.setContentsMargins(24, 24, 24, 24)
        rows.setSpacing(8)
        rows.addWidget(label("Agent desktop", "huge"))
        self._lead = label("", "muted")
        rows.addWidget(self._lead)
        self.tabs = QTabBar()
        self.tabs.addTab("With a token")
        self.tabs.addTab("With a sign-in service")
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideNone)
        rows.addWidget(self.tabs)
        self.token = _field(rows, "Token", "Paste it here; it is not shown", secret=True)
        self.service = _field(rows, "Address of the service", "https://desk.example.com/token")
        self.user = _field(rows, "Name", "")
        self.password = _field(rows, "Password", "", secret=True)
        self.server = _field(rows, "TaskRouter", "Empty for Twilio")
        self._status = label()
        self._status.setObjectName("bad")
        rows.addWidget(self._status)
        self.enter = button("Log in", self.try_it, "primary")
        self.enter.setDefault(True)
        self._cancel = button("Cancel", cancel)
        buttons = QHBoxLayout()
        buttons.addWidget(self.enter, 2)
        buttons.addWidget(self._cancel, 1)
        rows.addLayout(buttons)
        self.service.setText(login.service)
        self.user.setText(login.user)
        self.server.setText(login.server)
        self.tabs.currentChanged.connect(self._tab_changed)
        self.tabs.setCurrentIndex(1 if login.service else 0)
        self._tab_changed(self.tabs.currentIndex())
        for entry in self._fields:
            entry.returnPressed.connect(self.try_it)

    @property
    def _fields(self) -> tuple[QLineEdit, ...]:
        return (self.token, self.service, self.user, self.password, self.server)

    def try_it(self) -> None:
        """Log in with what the fields hold. Secrets are taken out of them at once."""
        with_service = self.tabs.currentIndex() == 1
        login = Login(
            token="" if with_service else self.token.text(),
            service=self.service.text() if with_service else "",
            user=self.user.text() if with_service else "",
            password=self.password.text() if with_service else "",
            server=self.server.text(),
            region=self._known.region,
        )
        try:
            self._submit(login)
        except LoginError as error:
            self.complain(str(error))
            return
        self.token.clear()
        self.password.clear()

    def complain(self, sentence: str) -> None:
        """Say what is wrong; empty if nothing is."""
        self._status.setText(breakable(sentence))
        self._status.setVisible(bool(sentence))

    @property
    def complaint(self) -> str:
        """What is said to be wrong."""
        return str(self._status.text())

    def show_it(self, view: View) -> None:
        """Show how far the attempt is, or why the last session ended."""
        waiting = view.connection.link is not Link.OUT
        inputs: tuple[QWidget, ...] = (*self._fields, self.tabs)
        for it in inputs:
            it.setEnabled(not waiting)
        self.enter.setEnabled(not waiting)
        self.enter.setText("Connecting …" if waiting else "Log in")
        self._cancel.setVisible(waiting)
        if waiting:
            self.complain("" if view.connection.detail == "Logging in …" else view.connection.detail)
        else:
            self.complain(" ".join(notice.text for notice in view.notices))

    def _tab_changed(self, index: int) -> None:
        for entry, there in (
            (self.token, index == 0),
            (self.service, index == 1),
            (self.user, index == 1),
            (self.password, index == 1),
        ):
            entry.parentWidget().setVisible(there)
        self._lead.setText(
            "Your supervisor or your company's own pages give you one. It is kept in memory only."
            if index == 0
            else "Your company's service gives the tokens, and the next one in time."
        )
        self.complain("")
        (self.service if index else self.token).setFocus()


def _field(rows: QVBoxLayout, name: str, hint: str, *, secret: bool = False) -> QLineEdit:
    """A labelled line. Its parent is there to hide both."""
    box = QWidget()
    inner = QVBoxLayout(box)
    inner.setContentsMargins(0, 0, 0, 0)
    inner.setSpacing(3)
    caption = label(name, "key")
    entry = QLineEdit()
    entry.setPlaceholderText(hint)
    entry.setAccessibleName(name)
    caption.setBuddy(entry)
    if secret:
        entry.setEchoMode(QLineEdit.EchoMode.Password)
    inner.addWidget(caption)
    inner.addWidget(entry)
    rows.addWidget(box)
    return entry
