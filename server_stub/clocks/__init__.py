"""The clocks that a server can run on, besides the machine's."""

from .hand import HandClock
from .offset import OffsetClock
from .standing import HeldClock, StandingClock

__all__ = ["HandClock", "HeldClock", "OffsetClock", "StandingClock"]
