"""What is wrong with a seed: where, what, and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

__all__ = ["Place", "Problem", "SeedError", "closest", "shown", "written"]

Place: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the root of the document."""

_NAMES_SHOWN: Final = 8
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    Attributes:
        file: the file's name; "seed" for a document that came from no file.
        line, column: from 1, both in characters; None where the document has no text.
        path: the value's place, such as ``workspaces[0].queues[2].target_workers``.
        message: what is wrong, with the value.
        hint: what would be right; empty where the message says it.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        path = f" {self.path}:" if self.path else ""
        return f"{place}:{path} {self.message}" + (f" ({self.hint})" if self.hint else "")


class SeedError(ValueError):
    """The seed cannot be loaded; nothing was changed. `problems` holds every reason, in their order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def written(place: Place) -> str:
    """The place as people write it."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _WORD.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """A value for a message: not too long, and without line breaks."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def closest(word: str, known: Iterable[str], *, what: str = "known") -> str:
    """A hint: the known word that was probably meant, or which ones there are."""
    names = list(known)
    folded = {name.casefold(): name for name in reversed(names)}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if found:
        return f"did you mean {shown(folded[found[0]])}?"
    if not names:
        return f"{what}: none"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{what}: {', '.join(map(shown, names[:_NAMES_SHOWN]))}{more}"
