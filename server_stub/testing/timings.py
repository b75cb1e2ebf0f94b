"""How long the plugin's parts take: ``python -m server_stub.testing.timings``. Needs pytest.

Each line is the median of several runs in milliseconds, with the limit that it should stay below.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from .background import BackgroundServer
from .options import WorkspaceOptions

__all__ = ["main", "measure"]

LIMITS: Final = {
    "load the plugin": 10.0,
    "start the server": 100.0,
    "open a workspace": 5.0,
    "close a workspace": 5.0,
    "time out a reservation": 20.0,
    "stop the server": 20.0,
}
"""Milliseconds that each part may take on an ordinary machine."""

_LOAD: Final = """
import time
import pytest
began = time.perf_counter()
import server_stub.testing.plugin
print((time.perf_counter() - began) * 1000)
"""


def measure(runs: int = 9) -> dict[str, list[float]]:
    """Milliseconds of each part, one for each run."""
    found: dict[str, list[float]] = {name: [] for name in LIMITS}

    def timed(name: str, action: Callable[[], object]) -> None:
        began = time.perf_counter()
        action()
        found[name].append((time.perf_counter() - began) * 1000)

    for number in range(runs):
        loaded = subprocess.run(
            [sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True, timeout=60
        )
        found["load the plugin"].append(float(loaded.stdout))
        server = BackgroundServer()
        timed("start the server", server.start)
        server.workspace(WorkspaceOptions(seed=number)).close()  # its imports are not meant
        began = time.perf_counter()
        taskrouter = server.workspace(WorkspaceOptions(seed=number))
        found["open a workspace"].append((time.perf_counter() - began) * 1000)
        task, nina = taskrouter.task(), taskrouter.worker("Nina")
        timed("time out a reservation", partial(taskrouter.clock.advance_sync, 120))
        taskrouter.assert_timed_out(task, nina)
        timed("close a workspace", taskrouter.close)
        timed("stop the server", server.stop)
    return found


def main() -> int:
    """Print the figures; 1 if one is above its limit."""
    status = 0
    for name, figures in measure().items():
        median = statistics.median(figures)
        above = median > LIMITS[name]
        status |= above
        print(
            f"{name:<24} {median:8.2f} ms  (limit {LIMITS[name]:g}, "
            f"fastest {min(figures):.2f}, slowest {max(figures):.2f}){'  TOO SLOW' if above else ''}"
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
