"""What `serve` does to its process: when garbage is collected, and how many files may be open.

Only the command `serve` does this, because the process is its own. `StubServer` in a test, or in anybody
else's program, leaves the process alone.

**Garbage.** CPython frees nearly everything as soon as nobody refers to it; the collector is for cycles
only. Left to itself it now and then looks at every object there is: with 15,000 workers connected that
stops the server for about a second. Here it looks often at what is new and seldom at everything:

* Young objects are collected as ever, only in larger lots.
* Once a second what survived since is collected once more, and what is left is *frozen*: it is taken
  to be there for long, and no later collection looks at it. That pause is as long as a second's worth
  of new objects asks for, some milliseconds.
* Cycles among frozen objects wait for a complete collection. It comes when the process holds twice as
  much as after the last one, whatever it has to do. If the last one found something, it comes earlier:
  at a quarter more, once the server has little to do. If not, what is new is most likely in use, as
  thousands of workers are who have just connected; to look through all of it would stop the server
  for nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from types import TracebackType
from typing import Final, Self

__all__ = ["FILES_BESIDE", "GarbageKeeper", "allow_files"]

YOUNG: Final = 10_000
"""New objects that survived so far, before the youngest are collected."""

MIDDLE: Final = 10
"""Collections of the youngest before the next older ones are collected with them."""

NEVER: Final = 1_000_000_000
"""Collections of the middle ones before the interpreter would collect everything by itself."""

LOOK_SECONDS: Final = 1.0
"""Between two looks."""

IDLE_SHARE: Final = 0.2
"""Of a core: whoever used less since the last look has time for a complete collection."""

WORTH_IT: Final = 1.25
MUST: Final = 2.0
"""How much more memory blocks than after the last complete collection make one pay when idle, or at all.

Idle or not, the second number counts as long as the last one found next to nothing."""

FRUITFUL: Final = 0.05
"""Of the memory blocks that came since the one before: a collection that freed more found something."""

LEAST_BLOCKS: Final = 1_000_000
"""Fewer new blocks than this are no reason for a complete collection: about 80 MB."""

FILES_BESIDE: Final = 256
"""Files that the process needs beside its connections."""

log = logging.getLogger(__name__)


class GarbageKeeper:
    """Decides when garbage is collected, while it is entered. For a process of one's own.

    Attributes:
        complete: how many complete collections there were.
    """

    def __init__(self) -> None:
        self.complete = 0
        self._blocks = 0  # memory blocks after the last complete collection
        self._when_idle = MUST  # or WORTH_IT, if that one found something
        self._cpu = 0.0  # seconds that the process had used at the last look
        self._at = 0.0  # loop time of that
        self._timer: asyncio.TimerHandle | None = None
        self._thresholds = gc.get_threshold()

    def __enter__(self) -> Self:
        """Freeze what has been made so far, and look from now on. Needs a running event loop."""
        self._thresholds = gc.get_threshold()
        gc.set_threshold(YOUNG, MIDDLE, NEVER)
        self._collect_everything()
        self._noted(asyncio.get_running_loop())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the collector as it was found."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def look(self, *, busy: float) -> None:
        """Collect what is new, or everything if that is due.

        Args:
            busy: the share of a core that was used since the last look.
        """
        blocks = sys.getallocatedblocks()
        grown = blocks - self._blocks
        much = self._when_idle if busy < IDLE_SHARE else MUST
        if blocks > self._blocks * much and grown > LEAST_BLOCKS:
            self._collect_everything()
        else:
            gc.collect()  # what is frozen stays out of it
            gc.freeze()

    def _collect_everything(self) -> None:
        began, before = time.perf_counter(), sys.getallocatedblocks()
        gc.unfreeze()
        found = gc.collect()
        gc.freeze()
        after = sys.getallocatedblocks()
        fruitful = before - after > (before - self._blocks) * FRUITFUL
        self._when_idle = WORTH_IT if fruitful else MUST
        self._blocks = after
        self.complete += 1
        log.debug("a complete collection: %d objects in %.3f s", found, time.perf_counter() - began)

    def _noted(self, loop: asyncio.AbstractEventLoop) -> None:
        self._cpu, self._at = time.process_time(), loop.time()
        self._timer = loop.call_later(LOOK_SECONDS, self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        passed = max(loop.time() - self._at, LOOK_SECONDS)
        self.look(busy=(time.process_time() - self._cpu) / passed)
        self._noted(loop)


def allow_files(wanted: int) -> int:
    """Raise the number of files that this process may open to `wanted`, or as near as the system lets it.

    Returns what it is then; 0 where the system has no such limit (Windows).
    """
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    goal = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if goal > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
        except (ValueError, OSError) as error:  # macOS has a lower limit that it does not tell
            log.info("the number of open files stays at %d: %s", soft, error)
            return soft
        return goal
    return soft
