"""What a key on the screen of `listen` is about: what its worker saw, not what came up a moment ago.

Offers come and go by themselves. Who presses a key twice, holds it, or presses it as an offer runs out, must
not answer the offer that takes the place (our choice). Knows no terminal and no worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from .picture import Row

__all__ = ["REPEAT_SECONDS", "SEEN_SECONDS", "STATUSES", "Aim", "Command"]

Command = Literal["accept", "reject", "wrap", "complete"]

STATUSES: Final[dict[Command, tuple[str, ...]]] = {
    "accept": ("pending",),
    "reject": ("pending",),
    "wrap": ("accepted",),
    "complete": ("accepted", "wrapping"),
}
"""Which rows a command fits, by their status."""

SEEN_SECONDS: Final = 0.5
"""How long a row has to be what a key is about before the key is meant for it: people are not faster."""

REPEAT_SECONDS: Final = 0.75
"""A key within so long after itself is the same press. Keyboards repeat a held key after up to 0.66 s."""


class Aim:
    """Which row each command is for.

    The selected row, if the command fits it; else the first one that it fits. None while a command for the
    selected row is under way.

    Args:
        now: the time in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._shown: dict[str, float] = {}  # by SID, since when
        self._selected: str | None = None
        self._since = 0.0  # of what is selected
        self._aims: dict[Command, tuple[str, float]] = {}  # what each was for last, and since when
        self._last: tuple[str, float] = ("", 0.0)  # the key before

    def look(self, rows: Sequence[Row], selected: str | None, *, by_hand: bool = False) -> None:
        """This is on the screen now. `by_hand` says that the worker chose what is selected."""
        now = self._now()
        self._shown = {row.sid: self._shown.get(row.sid, now) for row in rows}
        if selected != self._selected:
            self._selected = selected
            self._since = self._shown.get(selected or "", now) if by_hand else now
        for command in STATUSES:
            sid = self._target(rows, command)
            if sid is not None and sid != self._aims.get(command, ("", 0.0))[0]:
                self._aims[command] = sid, now

    def of(self, rows: Sequence[Row], command: Command) -> tuple[str | None, bool]:
        """The SID of the row that a command is for, and whether it has been that for long enough."""
        sid = self._target(rows, command)
        if sid is None:
            return None, False
        if sid == self._selected:
            return sid, self.is_settled(sid)
        known, since = self._aims.get(command, ("", 0.0))
        return sid, known == sid and self._now() - since >= SEEN_SECONDS

    def is_settled(self, selected: str | None) -> bool:
        """Whether this has been selected on the screen for long enough."""
        return selected == self._selected and self._now() - self._since >= SEEN_SECONDS

    def is_repeated(self, key: str) -> bool:
        """Whether a key that comes now belongs to the press before. To be asked once for each."""
        (before, at), now = self._last, self._now()
        self._last = key, now
        return key == before and now - at < REPEAT_SECONDS

    def _target(self, rows: Sequence[Row], command: Command) -> str | None:
        if any(row.busy for row in rows if row.sid == self._selected):
            return None
        ordered = sorted(rows, key=lambda row: row.sid != self._selected)
        return next((row.sid for row in ordered if row.status in STATUSES[command] and not row.busy), None)
