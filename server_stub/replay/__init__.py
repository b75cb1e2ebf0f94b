"""Recorded sessions, played back: the server's side, to any client."""

from __future__ import annotations

from .server import Pace, ReplayMismatchError, ReplayServer

__all__ = ["Pace", "ReplayMismatchError", "ReplayServer"]
