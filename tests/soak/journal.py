"""What a worker's application wrote down: one line of JSON each, written as it happens.

A line leaves the process before the next thing is done, so the end of the process loses at most a line
that was being written. What is about to be done is written before it is done, and what was answered
after it: only a command without its second line may or may not have happened.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TextIO

from tests.soak.evidence import Line

__all__ = ["Journal", "read_journal"]


class Journal:
    """The journal of one worker in one process. It goes on in the file of the process before.

    Args:
        path: the worker's file.
        life: which process of this worker it is, from 1.
    """

    def __init__(self, path: Path, life: int) -> None:
        self._life = life
        self._file: TextIO = path.open("a", encoding="utf-8", buffering=1)
        self._file.write("\n")  # the process before may have been killed within a line

    def write(self, what: str, **facts: Any) -> None:
        """Add a line. It has left the process when this returns."""
        line = {"at": time.time(), "life": self._life, "what": what, **facts}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the file; what comes later is not written."""
        self._file.close()


def read_journal(path: Path) -> tuple[list[Line], int]:
    """The lines of a worker, and how many there were that a kill had cut short."""
    lines: list[Line] = []
    torn = 0
    for text in path.read_text(encoding="utf-8").splitlines():
        if not text:
            continue
        try:
            lines.append(Line(**json.loads(text)))
        except ValueError:
            torn += 1
    return lines, torn
