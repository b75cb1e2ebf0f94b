"""What an agent works with: the card of an offer, and the card of a task."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from .theme import Theme
from .view import Offer, Work
from .widgets import Attributes, Ring, breakable, button, label, restyle

__all__ = ["Actions", "OfferCard", "WorkCard"]


class Actions(Protocol):
    """What the buttons do; a `Desk` has all but `hand_over`, which asks the agent first."""

    def accept(self, sid: str) -> None:
        """Take the offer."""

    def reject(self, sid: str) -> None:
        """Leave it to others."""

    def wrap_up(self, sid: str) -> None:
        """Go over to after-work."""

    def complete(self, sid: str) -> None:
        """Finish it."""

    def hand_over(self, sid: str) -> None:
        """Ask whom the task shall go to."""

    def cancel_transfer(self, sid: str) -> None:
        """Take it back."""


class _Card(QFrame):
    """A frame that keyboard users reach with Tab."""

    def __init__(self, sid: str, kind: str) -> None:
        super().__init__()
        self.sid = sid
        self.setObjectName("card")
        self.setProperty("kind", kind)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(16, 14, 16, 14)
        self.rows.setSpacing(10)
        self.title = label(name="title")
        self.under = label(name="muted")
        self.chips = [label(name="chip", wraps=False) for _ in range(3)]
        self.attributes = Attributes()

    def chip_row(self) -> QHBoxLayout:
        """The chips, side by side."""
        row = QHBoxLayout()
        row.setSpacing(6)
        for chip in self.chips:
            row.addWidget(chip)
        row.addStretch(1)
        return row

    def show_head(self, it: Offer | Work, first: str, tone: str) -> None:
        """What both kinds of card have at their top."""
        self.title.setText(breakable(it.title))
        where = " · ".join(part for part in (it.customer, it.queue) if part and part != it.title)
        self.under.setText(breakable(where))
        self.under.setVisible(bool(where))
        texts = (first, it.channel, f"Priority {it.priority}" if it.priority else "")
        for chip, text in zip(self.chips, texts, strict=True):
            chip.setText(text)
            chip.setVisible(bool(text))
        restyle(self.chips[0], "tone", tone)
        self.attributes.show_them(it.attributes)


class OfferCard(_Card):
    """An incoming reservation, with its countdown."""

    def __init__(self, sid: str, actions: Actions, theme: Theme) -> None:
        super().__init__(sid, "offer")
        self.ring = Ring(theme)
        head = QHBoxLayout()
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        words.addWidget(self.under)
        words.addStretch(1)
        head.addLayout(words, 1)
        head.addWidget(self.ring, 0, Qt.AlignmentFlag.AlignTop)
        self.rows.addLayout(head)
        self.rows.addLayout(self.chip_row())
        self.rows.addWidget(self.attributes)
        self.accept_button = button(
            "Accept", lambda: actions.accept(sid), "primary", hint="Accept (Ctrl+Enter)"
        )
        self.reject_button = button("Reject", lambda: actions.reject(sid), hint="Reject (Ctrl+Backspace)")
        buttons = QHBoxLayout()
        buttons.addWidget(self.accept_button, 2)
        buttons.addWidget(self.reject_button, 1)
        self.rows.addLayout(buttons)

    def show_it(self, offer: Offer) -> None:
        """Show the offer as it is now."""
        self.show_head(offer, f"From {offer.sender}" if offer.sender else "New", "accent")
        self.setAccessibleName(f"Offer: {offer.title}")
        self.ring.count_to(offer.deadline, offer.seconds)
        rejecting = offer.busy == "Rejecting"
        self.accept_button.setText(f"{offer.busy} …" if offer.busy and not rejecting else "Accept")
        self.reject_button.setText(f"{offer.busy} …" if rejecting else "Reject")
        for it in (self.accept_button, self.reject_button):
            it.setEnabled(not offer.busy)

    def tick(self) -> None:
        """Time has passed."""
        self.ring.tick()


class WorkCard(_Card):
    """A task that the agent has accepted."""

    def __init__(self, sid: str, actions: Actions, _: Theme) -> None:
        super().__init__(sid, "work")
        self._since = 0.0
        self._wrapping = False
        self.rows.addWidget(self.title)
        self.rows.addWidget(self.under)
        self.rows.addLayout(self.chip_row())
        self.rows.addWidget(self.attributes)
        self.handover, self._handover_text, self.back_button = _handover(lambda: actions.cancel_transfer(sid))
        self.rows.addWidget(self.handover)
        self.transfer_button = button("Transfer", lambda: actions.hand_over(sid), hint="Transfer (Ctrl+T)")
        self.wrap_button = button("Wrap up", lambda: actions.wrap_up(sid), hint="Wrap up (Ctrl+U)")
        self.complete_button = button(
            "Complete", lambda: actions.complete(sid), "primary", hint="Complete (Ctrl+D)"
        )
        buttons = QHBoxLayout()
        for it in (self.transfer_button, self.wrap_button, self.complete_button):
            buttons.addWidget(it, 1)
        self.rows.addLayout(buttons)

    def show_it(self, work: Work) -> None:
        """Show the task as it is now."""
        self._since, self._wrapping = work.since, work.wrapping
        self.show_head(work, self._state(), "warn" if work.wrapping else "accent")
        self.setAccessibleName(f"Task: {work.title}")
        handover = work.handover
        self.handover.setVisible(handover is not None)
        if handover is not None:
            self._handover_text.setText(breakable(handover.sentence))
            self.back_button.setVisible(handover.is_open)
            self.back_button.setEnabled(not work.busy)
        is_open = handover is not None and handover.is_open
        for it, text, busy, usable in (
            (self.transfer_button, "Transfer", "Handing over", not work.wrapping and not is_open),
            (self.wrap_button, "Wrap up", "Wrapping up", not work.wrapping),
            (self.complete_button, "Complete", "Completing", True),
        ):
            it.setText(f"{busy} …" if work.busy == busy else text)
            it.setEnabled(usable and not work.busy)
        self.wrap_button.setVisible(not work.wrapping)
        self.transfer_button.setVisible(not work.wrapping)

    def tick(self) -> None:
        """Time has passed."""
        self.chips[0].setText(self._state())

    def _state(self) -> str:
        minutes, seconds = divmod(int(max(0.0, time.monotonic() - self._since)), 60)
        hours, minutes = divmod(minutes, 60)
        spent = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"{'Wrapping up' if self._wrapping else 'Working'} · {spent}"


def _handover(taken_back: Callable[[], object]) -> tuple[QFrame, QLabel, QPushButton]:
    frame = QFrame()
    frame.setObjectName("handover")
    row = QVBoxLayout(frame)
    row.setContentsMargins(12, 8, 12, 8)
    row.setSpacing(2)
    text = label()
    back = button("Take it back", taken_back, "quiet")
    row.addWidget(text)
    row.addWidget(back, alignment=Qt.AlignmentFlag.AlignLeft)
    return frame, text, back
