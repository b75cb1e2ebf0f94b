"""The window: it brings the desk and the pages together, and knows the keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QColor,
    QIcon,
    QKeySequence,
    QPainter,
    QPixmap,
    QShortcut,
)
from PySide6.QtWidgets import QDialog, QMenu, QMessageBox, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from taskrouter_worker.options import WorkerOptions

from .aim import Aim
from .cards import OfferCard, WorkCard
from .desk import Desk
from .desk_page import DeskPage
from .directory import Found, Target
from .login import Login, LoginError
from .login_page import LoginPage
from .notifier import Notifier, Tell
from .theme import Theme
from .transfer_dialog import TransferDialog
from .view import Link, View
from .widgets import button, label

__all__ = ["AgentWindow"]

TICK_MS = 200

KEYS = (
    ("Ctrl+Return", "Accept the offer"),
    ("Ctrl+Backspace", "Reject the offer"),
    ("Ctrl+T", "Transfer the task"),
    ("Ctrl+U", "Wrap the task up"),
    ("Ctrl+D", "Complete the task"),
    ("Ctrl+L", "Choose an activity"),
    ("Ctrl+Q", "Close the window"),
    ("F1", "Show these keys"),
)


class Calls(QObject):
    """Carries calls from the SDK's thread into the window's."""

    arrived = Signal(object)


class AgentWindow(QWidget):
    """The application's one window.

    Attributes:
        desk: what it shows.
        tell: notifies the agent, with a title and a text.

    Args:
        theme: its look.
        login: what is known of the login; if it is complete, the session begins at once.
        allowed: see `Desk`.
        **options: see `Desk`.
    """

    def __init__(
        self,
        theme: Theme,
        login: Login | None = None,
        *,
        allowed: frozenset[str] | None = None,
        **options: Unpack[WorkerOptions],
    ) -> None:
        super().__init__()
        login = login or Login()
        self.setObjectName("window")
        self.setWindowTitle("Agent desktop")
        self.setMinimumSize(360, 420)
        self.resize(420, 640)
        self._theme = theme
        self._may_close = False
        self._dialog: QDialog | None = None
        self._known_offers: set[str] = set()
        self._aim = Aim()
        self._icon = icon(theme)
        self.setWindowIcon(QIcon(self._icon))
        # Queued: the call waits for the window's own loop, whichever thread it comes from.
        self._calls = Calls()
        self._calls.arrived.connect(_call, Qt.ConnectionType.QueuedConnection)
        self.desk = Desk(self._calls.arrived.emit, self._show, allowed=allowed, **options)
        self._notifier = Notifier(self, self._icon)
        self.tell: Tell = self._notifier.tell
        self.login_page = LoginPage(login, self.desk.log_in, self.desk.log_out)
        self.menu_button = button("Menu", lambda: None)
        self.menu_button.setMenu(self._menu())
        self.desk_page = DeskPage(
            theme,
            self,
            choose=self.desk.choose_activity,
            renew=self._renew,
            dismiss=self.desk.dismiss,
            menu=self.menu_button,
        )
        self.pages = QStackedWidget()
        self.pages.addWidget(self.login_page)
        self.pages.addWidget(self.desk_page)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.pages)
        for keys, pressed in self._pressed().items():
            QShortcut(QKeySequence(keys), self, pressed).setAutoRepeat(False)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)
        self._show()
        if login.is_complete:
            try:
                self.desk.log_in(login)
            except LoginError as error:
                self.login_page.complain(str(error))

    # Actions of the cards, see `cards.Actions`

    def accept(self, sid: str) -> None:
        """Take the offer."""
        if not self._is_second_click():
            self.desk.accept(sid)

    def reject(self, sid: str) -> None:
        """Leave it to others."""
        if not self._is_second_click():
            self.desk.reject(sid)

    def wrap_up(self, sid: str) -> None:
        """Go over to after-work."""
        if not self._is_second_click():
            self.desk.wrap_up(sid)

    def complete(self, sid: str) -> None:
        """Finish it."""
        if not self._is_second_click():
            self.desk.complete(sid)

    def _is_second_click(self) -> bool:
        """Whether it belongs to the click before. By then another card or button may be in the place."""
        return self._aim.is_repeated("click")

    def cancel_transfer(self, sid: str) -> None:
        """Take it back."""
        self.desk.cancel_transfer(sid)

    def hand_over(self, sid: str) -> None:
        """Ask whom the task shall go to, and hand it over."""
        work = next((work for work in self.desk.view.works if work.sid == sid), None)
        if work is None:
            return

        def chosen(target: Target, stay: bool) -> None:
            self.desk.transfer(sid, target.sid, target.name, stay=stay)

        dialog = TransferDialog(self, work, chosen)

        def told(found: Found) -> None:
            if self._dialog is dialog:
                dialog.arrived(found)

        self._open(dialog)
        self.desk.find_targets(told)

    # What happens

    def _show(self) -> None:
        view = self.desk.view
        page = self.desk_page if view.agent else self.login_page
        if page is not self.pages.currentWidget():
            self.pages.setCurrentWidget(page)
            if page is self.desk_page:
                self.desk_page.area.setFocus()
        self.login_page.show_it(view)
        if view.agent:
            self.desk_page.show_it(view)
        elif self._dialog is not None:
            self._dialog.reject()  # the session is over
        self.setWindowTitle(_title(view))
        self._notify(view)

    def _notify(self, view: View) -> None:
        new = [offer for offer in view.offers if offer.sid not in self._known_offers]
        self._known_offers = {offer.sid for offer in view.offers}
        for offer in new:
            seconds = (
                f"{round(offer.seconds)} seconds to answer" if offer.seconds else "Waiting for your answer"
            )
            self.tell(f"New task: {offer.title}", seconds)

    def _tick(self) -> None:
        self.desk.tick()
        self.desk_page.tick()

    def _renew(self, token: str) -> None:
        try:
            self.desk.renew(token)
        except LoginError as error:
            self.desk_page.banner_text.setText(str(error))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Close; with a task in hand, ask first."""
        works = self.desk.view.works
        if works and not self._may_close:
            event.ignore()
            self._ask(
                "Leave with a task in hand?"
                if len(works) == 1
                else f"Leave with {len(works)} tasks in hand?",
                "What you accepted stays yours, and the customer waits. When you log in again it is here.",
                "Leave anyway",
                self._close_now,
            )
            return
        self._timer.stop()
        if self._dialog is not None:
            self._dialog.reject()
        self.desk.log_out()
        self._notifier.close()
        event.accept()

    def _close_now(self) -> None:
        self._may_close = True
        self.close()

    def _log_out(self) -> None:
        if self.desk.view.works:
            self._ask(
                "Log out with a task in hand?",
                "What you accepted stays yours, and the customer waits. When you log in again it is here.",
                "Log out anyway",
                self.desk.log_out,
            )
        else:
            self.desk.log_out()

    # Dialogs: all of them are opened, none is run, so that the window lives on below them

    def _ask(self, question: str, why: str, yes: str, then: Callable[[], object]) -> None:
        box = QMessageBox(self)
        box.setWindowModality(Qt.WindowModality.WindowModal)
        box.setWindowTitle("Agent desktop")
        box.setText(question)
        box.setInformativeText(why)
        go, stay = QPushButton(yes, box), QPushButton("Stay", box)  # its own, or Python lets go of them
        box.addButton(go, QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(stay, QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.setEscapeButton(stay)
        # Queued: closing the window takes the box with it, which is not done from its own signal.
        go.clicked.connect(lambda: self._calls.arrived.emit(then))
        self._open(box)

    def _show_keys(self) -> None:
        dialog = QDialog(self)
        dialog.setWindowTitle("Keys")
        rows = QVBoxLayout(dialog)
        rows.setContentsMargins(20, 20, 20, 20)
        rows.addWidget(label("Keys", "title"))
        for keys, what in KEYS:
            rows.addWidget(label(f"{keys.replace('Return', 'Enter')}  –  {what}"))  # noqa: RUF001 - a dash
        rows.addWidget(label("Keys mean the card with the focus, or else the first one.", "muted"))
        rows.addWidget(button("Close", dialog.reject))
        self._open(dialog)

    def _open(self, dialog: QDialog) -> None:
        if self._dialog is not None:
            self._dialog.reject()
        self._dialog = dialog
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.finished.connect(lambda _: self._closed(dialog))
        dialog.open()

    def _closed(self, dialog: QDialog) -> None:
        if self._dialog is dialog:
            self._dialog = None

    @property
    def dialog(self) -> QDialog | None:
        """The one that is open."""
        return self._dialog

    # Menu and keys

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        looks = QActionGroup(menu)
        for scheme, name in (
            ("system", "Look: as the system"),
            ("light", "Look: light"),
            ("dark", "Look: dark"),
        ):
            action = QAction(name, looks, checkable=True, checked=scheme == self._theme.scheme)
            action.triggered.connect(lambda _=False, it=scheme: self._theme.use(it))
            menu.addAction(action)
        menu.addSeparator()
        menu.addAction("Keys (F1)", self._show_keys)
        menu.addAction("Log out", self._log_out)
        return menu

    def _pressed(self) -> dict[str, Callable[[], object]]:
        page = self.desk_page

        def offer(name: str) -> Callable[[], object]:
            return lambda: _click(page.card_for_keys(page.offers), name)

        def work(name: str) -> Callable[[], object]:
            return lambda: _click(page.card_for_keys(page.works), name)

        return {
            "Ctrl+Return": offer("accept_button"),
            "Ctrl+Enter": offer("accept_button"),  # of the number pad
            "Ctrl+Backspace": offer("reject_button"),
            "Ctrl+T": work("transfer_button"),
            "Ctrl+U": work("wrap_button"),
            "Ctrl+D": work("complete_button"),
            "Ctrl+L": self._choose_activity,
            "Ctrl+Q": self.close,
            "F1": self._show_keys,
        }

    def _choose_activity(self) -> None:
        if self.pages.currentWidget() is self.desk_page:
            self.desk_page.activity.setFocus()
            self.desk_page.activity.showPopup()


def icon(theme: Theme) -> QPixmap:
    """The application's icon: a ring, as offers have one."""
    made = QPixmap(64, 64)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.colours.accent))
    painter.drawEllipse(4, 4, 56, 56)
    painter.setBrush(QColor(theme.colours.on_accent))
    painter.drawEllipse(20, 20, 24, 24)
    painter.end()
    return made


def _call(call: Callable[[], object]) -> None:
    call()


def _click(card: OfferCard | WorkCard | None, name: str) -> None:
    if card is not None:
        getattr(card, name).click()


def _title(view: View) -> str:
    if not view.agent:
        return "Agent desktop"
    waiting = f"({len(view.offers)}) " if view.offers else ""
    state = "" if view.connection.link is Link.CONNECTED else f" – {view.connection.headline}"  # noqa: RUF001
    return f"{waiting}{view.agent}{state} – Agent desktop"  # noqa: RUF001
