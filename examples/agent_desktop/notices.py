"""Messages to the agent, each shown once and for long enough to be read."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

from .view import Notice, Severity

__all__ = ["Notices"]

MAX_SHOWN = 3
SECONDS = {Severity.INFO: 6.0, Severity.WARNING: 15.0}
"""How long each stays; errors stay until they are dismissed."""


class Notices:
    """The messages that are shown, oldest first."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.shown: tuple[Notice, ...] = ()

    def add(self, severity: Severity, text: str) -> None:
        """Show one. A text that is shown already only stays longer."""
        seconds = SECONDS.get(severity)
        until = None if seconds is None else time.monotonic() + seconds
        if any(notice.text == text for notice in self.shown):
            self.shown = tuple(replace(n, until=until) if n.text == text else n for n in self.shown)
            return
        notice = Notice(next(self._numbers), severity, text, until)
        self.shown = (*self.shown, notice)[-MAX_SHOWN:]

    def dismiss(self, number: int) -> None:
        """It was read."""
        self.shown = tuple(notice for notice in self.shown if notice.number != number)

    def expire(self, now: float) -> None:
        """Take away those whose time is over."""
        self.shown = tuple(notice for notice in self.shown if notice.until is None or notice.until > now)

    def clear(self) -> None:
        """Take away all."""
        self.shown = ()
