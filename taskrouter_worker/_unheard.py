"""What connections pushed that ended before their snapshot: known here, and told with the next one."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from .resources import ReservationFields

__all__ = ["Unheard"]

MOST: Final = 10_000
"""Reservations and failures remembered, as many as one connection may push before its snapshot."""


class Unheard:
    """Reservations and failures that nobody was told of: their frames waited for a snapshot in vain.

    The next snapshot need not show them: a reservation may have ended meanwhile, and the service may
    have forgotten it; a `reservation.failed` is in no list at all.
    """

    def __init__(self) -> None:
        self.reservations: OrderedDict[str, ReservationFields] = OrderedDict()
        """By SID, as they were last pushed."""
        self.failures: deque[dict[str, object]] = deque(maxlen=MOST)
        """Payloads of `reservation.failed`, in order."""

    def moved(self, fields: ReservationFields) -> None:
        """A reservation that nobody was told of is as `fields` say, or newer."""
        known = self.reservations.get(fields.sid)
        if known is None or fields.version >= known.version:
            self.reservations[fields.sid] = fields
            if len(self.reservations) > MOST:
                self.reservations.popitem(last=False)

    def heard(self, sid: str) -> None:
        """The application is being told of this reservation."""
        self.reservations.pop(sid, None)
