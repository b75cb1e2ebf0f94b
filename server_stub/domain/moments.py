"""Seconds as whole milliseconds."""

from __future__ import annotations

__all__ = ["whole_ms"]


def whole_ms(seconds: float) -> int:
    """Epoch seconds, or a duration, as whole milliseconds: whole seconds are a thousandth of them."""
    return int(round(seconds * 1000, 3))  # rounded first: 0.123 times 1000 may be a little less than 123
