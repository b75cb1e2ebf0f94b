"""How the program ends, and how it says why."""

from __future__ import annotations

import io
import os
import sys
from typing import Final

__all__ = [
    "EXPIRED",
    "FAILED",
    "LEFT",
    "MISUSED",
    "REFUSED",
    "UNREACHABLE",
    "Stop",
    "complain",
    "plain",
    "tell",
    "tell_anything",
]

LEFT, FAILED, MISUSED, UNREACHABLE = range(4)
REFUSED: Final = 5
"""Exit statuses, as the help explains them; 4 is `taskrouter-stub`'s for things that do not exist."""

EXPIRED: Final = FAILED
"""Exit status of `token inspect` for a token whose time is over."""


class Stop(Exception):
    """The program ends with `status`; a text says why. It never holds a token."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


def plain(text: str) -> str:
    """Text that does nothing to a terminal: names and attributes are other people's."""
    # Joiners (U+200C, U+200D) do nothing either, and names in Persian or emoji are not themselves without.
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else f"\\x{ord(c):02x}" for c in text)


def tell(line: str) -> None:
    """One line on the standard output, at once.

    Raises:
        Stop: nobody reads it any more, as after `| head`, which is no error; or it cannot be written.
    """
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError as error:
        # What is still buffered must not fail again when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise Stop(LEFT) from None
        raise Stop(FAILED, f"cannot write the output: {error.strerror}") from None


def tell_anything() -> None:
    """Have characters that the output's encoding lacks written as escapes: names are other people's."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def complain(text: str) -> None:
    """One line on the standard error, under the program's name."""
    sys.stderr.write(f"taskrouter-worker: {plain(text)}\n")
    sys.stderr.flush()
