"""A clock that is wrong by so many seconds."""

from __future__ import annotations

import time

__all__ = ["OffsetClock"]


class OffsetClock:
    """The machine's wall clock, fast or slow by an offset. For tests of clocks that disagree.

    Args:
        offset: seconds that it is ahead; negative: behind.

    Attributes:
        offset: may be changed; then the clock jumps, as when somebody sets it.
    """

    def __init__(self, offset: float) -> None:
        self.offset = offset

    def now(self) -> float:
        """What it shows, in epoch seconds."""
        return time.time() + self.offset
