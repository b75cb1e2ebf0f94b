"""An event loop whose clock runs fast while nothing happens, for tests of long silences on real sockets."""

from __future__ import annotations

import asyncio
import selectors
import time

__all__ = ["FastLoop", "LoopClock"]


class FastLoop(asyncio.SelectorEventLoop):
    """An ordinary loop, but waiting counts several times.

    Work counts once: on a busy machine the time-outs of what is tested do not come early.

    Args:
        speed: seconds of its time in one second of waiting.
    """

    def __init__(self, speed: float = 10.0) -> None:
        self._speed = speed
        self._ahead = 0.0
        super().__init__(_FastSelector(self))

    def time(self) -> float:
        """Seconds by the fast clock."""
        return time.monotonic() + self._ahead

    def real(self, timeout: float) -> float:
        """How long a wait of `timeout` seconds by the fast clock is."""
        return timeout / self._speed

    def waited(self, seconds: float) -> None:
        """So many real seconds were spent waiting. Only the selector calls this."""
        self._ahead += seconds * (self._speed - 1)


class _FastSelector(selectors.DefaultSelector):
    def __init__(self, loop: FastLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        wanted, start = self._loop.real(timeout), time.monotonic()
        ready = super().select(wanted)
        # No more than was asked for: the rest is the machine's delay in waking this process up.
        self._loop.waited(min(time.monotonic() - start, wanted))
        return ready


class LoopClock:
    """The clock on the wall, as the running loop's time makes it run."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def now(self) -> float:
        """Epoch seconds."""
        passed = asyncio.get_running_loop().time()
        if self._offset is None:
            self._offset = time.time() - passed
        return self._offset + passed
