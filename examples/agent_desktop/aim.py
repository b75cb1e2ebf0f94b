"""What a key is meant for: what the agent saw, not what came up a moment ago. Knows no toolkit."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["REPEAT_SECONDS", "SEEN_SECONDS", "Aim"]

SEEN_SECONDS = 0.5
"""How long an offer or task has to be what keys reach before they are meant for it: people are not faster."""

REPEAT_SECONDS = 0.75
"""A key within so long after itself is the same press. Keyboards repeat a held key after up to 0.66 s."""


class Aim:
    """Offers come and go by themselves: a second press must not reach the one that takes the place.

    Args:
        now: the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._reached: dict[str, tuple[str, float]] = {}  # what keys of each kind reach, and since when
        self._last = ("", 0.0)  # the key before

    def look(self, kind: str, sid: str, *, by_hand: bool = False) -> None:
        """Keys of this kind reach this one now, "" for none. `by_hand` says that the agent chose it."""
        if by_hand:
            self._reached[kind] = sid, self._now() - SEEN_SECONDS
        elif sid and sid != self._reached.get(kind, ("", 0.0))[0]:
            before = [since for known, since in self._reached.values() if known == sid]  # as an offer, say
            self._reached[kind] = sid, min(before, default=self._now())

    def is_meant(self, key: str, kind: str, sid: str) -> bool:
        """Whether this key, pressed now, is meant for this one. To be asked once for each press."""
        reached, since = self._reached.get(kind, ("", 0.0))
        return not self.is_repeated(key) and reached == sid and self._now() - since >= SEEN_SECONDS

    def is_repeated(self, key: str) -> bool:
        """Whether this key, pressed now, belongs to the press before. To be asked once for each press."""
        (before, at), now = self._last, self._now()
        self._last = key, now
        return key == before and now - at < REPEAT_SECONDS
