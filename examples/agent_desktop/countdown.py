"""How long an offer still waits, on this machine's monotonic clock."""

from __future__ import annotations

__all__ = ["Countdown"]


class Countdown:
    """Turns the service's dates into deadlines here, whatever the clock on this wall shows.

    An offer that has just come has all its time. Its date then tells how far the service's clock is from
    ours, which is what the deadline of an offer found later (after a reconnect, say) needs.
    """

    def __init__(self) -> None:
        self._offset = 0.0  # the service's clock minus ours on the wall
        self._deadlines: dict[str, float | None] = {}

    def begin(
        self,
        sid: str,
        *,
        just_made: bool,
        made_at: float | None,
        seconds: float | None,
        wall: float,
        now: float,
    ) -> None:
        """An offer was told of.

        Args:
            sid: the reservation's.
            just_made: whether it was pushed at once, and not found in a snapshot.
            made_at: its date, epoch seconds by the service's clock.
            seconds: how long it waits from then, None for ever.
            wall: epoch seconds by our clock.
            now: the monotonic clock.
        """
        if just_made and made_at is not None:
            self._offset = made_at - wall
        if sid in self._deadlines:
            return
        if seconds is None:
            self._deadlines[sid] = None
            return
        gone = 0.0 if just_made or made_at is None else wall + self._offset - made_at
        self._deadlines[sid] = now + min(max(seconds - gone, 0.0), seconds)

    def deadline(self, sid: str) -> float | None:
        """When it ends, on the monotonic clock; None if it does not, or is not known."""
        return self._deadlines.get(sid)

    def forget(self, sid: str) -> None:
        """It was answered, or has ended."""
        self._deadlines.pop(sid, None)
