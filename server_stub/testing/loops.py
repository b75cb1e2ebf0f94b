"""Whether what blocks here would block an event loop."""

from __future__ import annotations

import asyncio
import inspect

__all__ = ["is_awaited_by_a_loop"]


def is_awaited_by_a_loop() -> bool:
    """Whether an event loop goes on only when the code that runs here returns.

    A loop that counts as running need not wait: Playwright's plain API keeps one in another greenlet, whose
    frames are not below ours.
    """
    try:
        if asyncio.current_task() is not None:
            return True
    except RuntimeError:
        return False  # no loop runs
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "run_forever":
            return True  # a callback of it
        frame = frame.f_back
    return False
