"""The page where an agent works: offers and tasks, side by side or below each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from .cards import Actions, OfferCard, WorkCard
from .theme import Theme
from .view import ActivityChoice, Link, Notice, Offer, Severity, View, Work
from .widgets import Choice, Columns, breakable, button, cleared, empty_state, label, restyle

__all__ = ["DeskPage"]

WIDE = 860
"""From this width on, offers and tasks stand side by side."""

OFFERS_WIDTH = 380

C = TypeVar("C", OfferCard, WorkCard)
T = TypeVar("T", Offer, Work)


class DeskPage(QWidget):
    """Shows a `View`; what the agent does goes to the functions given.

    Args:
        theme: the colours.
        actions: what the buttons of cards do.
        choose: takes the SID of an activity.
        renew: takes a new token.
        dismiss: takes the number of a notice that was read.
        menu: the button of the application's menu.
    """

    def __init__(
        self,
        theme: Theme,
        actions: Actions,
        *,
        choose: Callable[[str], object],
        renew: Callable[[str], object],
        dismiss: Callable[[int], object],
        menu: QPushButton,
    ) -> None:
        super().__init__()
        self._theme = theme
        self._actions = actions
        self._choose = choose
        self._renew = renew
        self._dismiss = dismiss
        self._view: View | None = None
        self.offers: dict[str, OfferCard] = {}
        self.works: dict[str, WorkCard] = {}
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(0)
        rows.addWidget(self._header(menu))
        rows.addWidget(self._body(), 1)
        # Below: what comes and goes must not move what one is about to click.
        self._notices = QVBoxLayout()
        self._notices.setContentsMargins(16, 0, 16, 0)
        self._notices.setSpacing(6)
        rows.addLayout(self._notices)
        rows.addWidget(self._banner())

    # What it is made of

    def _header(self, menu: QPushButton) -> QWidget:
        frame = QFrame()
        frame.setObjectName("header")
        rows = QBoxLayout(QBoxLayout.Direction.TopToBottom, frame)
        rows.setContentsMargins(16, 10, 16, 10)
        rows.setSpacing(8)
        self._agent = label(name="name")
        self.link = label(name="link", wraps=False)
        who = QHBoxLayout()
        who.addWidget(self._agent, 1)
        who.addWidget(self.link)
        self.activity = Choice(self._theme)
        self.activity.setAccessibleName("Activity")
        self.activity.setToolTip("Activity (Ctrl+L)")
        self.activity.activated.connect(self._picked)
        what = QHBoxLayout()
        what.addWidget(self.activity, 1)
        what.addWidget(menu)
        rows.addLayout(who, 1)
        rows.addLayout(what)
        self._header_rows = rows
        return frame

    def _banner(self) -> QWidget:
        """What is wrong with the connection, and the field for a new token."""
        self.banner = QFrame()
        self.banner.setObjectName("banner")
        rows = QVBoxLayout(self.banner)
        rows.setContentsMargins(16, 10, 16, 10)
        self.banner_text = label()
        rows.addWidget(self.banner_text)
        self._renewal = QWidget()
        row = QHBoxLayout(self._renewal)
        row.setContentsMargins(0, 0, 0, 0)
        self.new_token = QLineEdit()
        self.new_token.setEchoMode(QLineEdit.EchoMode.Password)
        self.new_token.setPlaceholderText("New token")
        self.new_token.setAccessibleName("New token")
        self.new_token.returnPressed.connect(self._renewed)
        row.addWidget(self.new_token, 1)
        row.addWidget(button("Go on", self._renewed, "primary"))
        rows.addWidget(self._renewal)
        return self.banner

    def _body(self) -> QWidget:
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        ground = QWidget()
        ground.setObjectName("ground")
        self.area.setWidget(ground)
        self._sides = QBoxLayout(QBoxLayout.Direction.TopToBottom, ground)
        self._sides.setContentsMargins(16, 14, 16, 16)
        self._sides.setSpacing(18)
        self._offers_side = QWidget()
        left = QVBoxLayout(self._offers_side)
        left.setContentsMargins(0, 0, 0, 0)
        left.setSpacing(10)
        self._offers_title = label("INCOMING", "section")
        left.addWidget(self._offers_title)
        self._no_offers, self._no_offers_title, self._no_offers_text = empty_state("", "")
        left.addWidget(self._no_offers)
        self._offer_cards = Columns(narrowest=320)
        left.addWidget(self._offer_cards)
        left.addStretch(1)
        self._works_side = QWidget()
        right = QVBoxLayout(self._works_side)
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(10)
        self._works_title = label("YOUR TASKS", "section")
        right.addWidget(self._works_title)
        self._no_works, _, _ = empty_state(
            "No task in hand", "Tasks that you accept stand here until you complete them."
        )
        right.addWidget(self._no_works)
        self._work_cards = Columns()
        right.addWidget(self._work_cards)
        right.addStretch(1)
        self._sides.addWidget(self._offers_side)
        self._sides.addWidget(self._works_side, 1)
        return self.area

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Side by side, or below each other."""
        super().resizeEvent(event)
        wide = event.size().width() >= WIDE
        along = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        self._sides.setDirection(along)
        self._header_rows.setDirection(along)
        if wide:
            self._offers_side.setFixedWidth(OFFERS_WIDTH)
        else:
            self._offers_side.setMinimumWidth(0)
            self._offers_side.setMaximumWidth(16_777_215)  # Qt's QWIDGETSIZE_MAX, which has no Python name

    # What it shows

    def show_it(self, view: View) -> None:
        """Show a view. Cards that were there stay the same, with the focus in them."""
        before, self._view = self._view, view
        if before is None or before.agent != view.agent:
            self._agent.setText(breakable(view.agent))
        self._show_link(view)
        self._show_activity(view, before)
        if before is None or before.notices != view.notices:
            self._show_notices(view.notices)
        self._show_offers(view)
        self._show_works(view)
        self.tick()

    def tick(self) -> None:
        """Time has passed."""
        for card in (*self.offers.values(), *self.works.values()):
            card.tick()
        if self._view is not None and self._view.connection.link is Link.LOST:
            connection = self._view.connection
            self.link.setText(f"{connection.headline} · {int(time.monotonic() - connection.since)} s")

    def card_for_keys(self, cards: dict[str, C]) -> C | None:
        """The card that a shortcut means: the one with the focus, else the first."""
        for card in cards.values():
            if card.hasFocus() or any(child.hasFocus() for child in card.findChildren(QWidget)):
                return card
        return next(iter(cards.values()), None)

    def _show_link(self, view: View) -> None:
        connection = view.connection
        self.link.setText(
            f"● {connection.headline}" if connection.link is Link.CONNECTED else connection.headline
        )
        restyle(self.link, "link", connection.link.value)
        self.banner.setVisible(bool(connection.detail))
        self.banner_text.setText(breakable(connection.detail))
        restyle(self.banner, "severity", "error" if connection.link is Link.NEEDS_TOKEN else "warning")
        needs = connection.link is Link.NEEDS_TOKEN
        if needs and not self._renewal.isVisibleTo(self.banner):
            self.new_token.setFocus()
        self._renewal.setVisible(needs)

    def _show_activity(self, view: View, before: View | None) -> None:
        if before is not None and (before.activities, before.activity, before.changing_activity) == (
            view.activities,
            view.activity,
            view.changing_activity,
        ):
            return
        shown = list(view.activities)
        if view.activity is not None and view.activity not in shown:
            shown.insert(0, view.activity)  # where the agent is, though it may not be chosen
        with QSignalBlocker(self.activity):
            self.activity.clear()
            for choice in shown:
                self.activity.addItem(_activity_text(choice, view), choice.sid)
            self.activity.setCurrentIndex(shown.index(view.activity) if view.activity is not None else -1)

    def _show_notices(self, notices: tuple[Notice, ...]) -> None:
        cleared(self._notices)
        margin = 10 if notices else 0
        self._notices.setContentsMargins(16, margin, 16, margin)
        for notice in notices:
            frame = QFrame()
            frame.setObjectName("notice")
            frame.setProperty("severity", notice.severity.value)
            row = QHBoxLayout(frame)
            row.setContentsMargins(12, 6, 6, 6)
            text = label(notice.text, "bad" if notice.severity is Severity.ERROR else "")
            row.addWidget(text, 1)
            row.addWidget(button("Dismiss", partial(self._dismiss, notice.number), "quiet"))
            self._notices.addWidget(frame)

    def _show_offers(self, view: View) -> None:
        _update(
            self.offers,
            view.offers,
            lambda sid: OfferCard(sid, self._actions, self._theme),
            OfferCard.show_it,
        )
        self._offer_cards.arrange(list(self.offers.values()))
        self._offer_cards.setVisible(bool(self.offers))
        self._no_offers.setVisible(not self.offers)
        self._offers_title.setText(f"INCOMING · {len(self.offers)}" if self.offers else "INCOMING")
        takes_work = view.activity is None or view.activity.takes_work
        name = view.activity.name if view.activity is not None else ""
        self._no_offers_title.setText("Waiting for tasks" if takes_work else breakable(f"You are {name}"))
        self._no_offers_text.setText(
            "The next task that is routed to you appears here, with the time you have to answer."
            if takes_work
            else "You get no tasks in this activity. Choose another one above when you are ready."
        )

    def _show_works(self, view: View) -> None:
        _update(
            self.works, view.works, lambda sid: WorkCard(sid, self._actions, self._theme), WorkCard.show_it
        )
        self._work_cards.arrange(list(self.works.values()))
        self._work_cards.setVisible(bool(self.works))
        self._no_works.setVisible(not self.works)
        self._works_title.setText(f"YOUR TASKS · {len(self.works)}" if self.works else "YOUR TASKS")

    def _picked(self, index: int) -> None:
        self._choose(self.activity.itemData(index))

    def _renewed(self) -> None:
        token = self.new_token.text()
        self.new_token.clear()
        self._renew(token)


def _activity_text(choice: ActivityChoice, view: View) -> str:
    if view.changing_activity and choice == view.activity:
        return f"{choice.name} …"
    return choice.name


def _update(
    cards: dict[str, C], shown: Iterable[T], make: Callable[[str], C], show: Callable[[C, T], object]
) -> None:
    """Bring the cards in line with what there is, in its order."""
    there = {it.sid: it for it in shown}
    for sid in cards.keys() - there.keys():
        gone = cards.pop(sid)
        gone.hide()
        gone.deleteLater()
    for sid, it in there.items():
        card = cards.pop(sid, None) or make(sid)
        cards[sid] = card  # in order
        show(card, it)
