"""How long to wait before the next attempt."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable

__all__ = ["Backoff", "bounded", "full_jitter"]

logger = logging.getLogger(__name__)

Backoff = Callable[[int], float]
"""From the number of attempts since the last stable session, 0 for the first, to seconds to wait."""


def full_jitter(attempt: int) -> float:
    """A random delay below a bound that doubles with each attempt: 1 s at first, 30 s at most."""
    return random.uniform(0, min(30.0, 2.0 ** min(attempt, 5)))  # noqa: S311 - spreads load, guards nothing


def bounded(backoff: Backoff) -> Backoff:
    """The application's `backoff`, with the usual delay where it fails, as powers do after long outages."""

    def delay(attempt: int) -> float:
        try:
            seconds = float(backoff(attempt))
        except Exception:
            logger.exception("reconnect_backoff failed at attempt %d: waiting the usual time", attempt)
            return full_jitter(attempt)
        return full_jitter(attempt) if math.isnan(seconds) else max(0.0, seconds)

    return delay
