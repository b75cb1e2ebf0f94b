"""Where the values of a text stand in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

from .problems import Place

__all__ = ["MAX_DEPTH", "MAX_VALUES", "Positions", "TooLarge", "Unreadable"]

MAX_VALUES: Final = 1_000_000
"""More values than the largest workspace needs; a few YAML aliases could stand for billions."""

MAX_DEPTH: Final = 100
"""Deepest nesting: whoever reads the document by recursion is safe."""


class TooLarge(Exception):
    """The document holds too many values, or nests too deeply."""


class Unreadable(Exception):
    """The text is not of its format; `offset` counts characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Positions:
    """Where the values and the keys of a text are, as offsets in characters from 0.

    Attributes:
        duplicates: keys that came again: their place, and where they came again.
    """

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._values: dict[Place, int] = {}
        self._keys: dict[Place, int] = {}
        self.duplicates: list[tuple[Place, int]] = []

    def mark(self, place: Place, offset: int) -> None:
        """The value at `place` begins at `offset`. The first mark counts.

        Raises:
            TooLarge: there are too many, or it is too deep.
        """
        self._values.setdefault(place, offset)
        if len(self._values) > MAX_VALUES or len(place) > MAX_DEPTH:
            raise TooLarge

    def mark_key(self, place: Place, offset: int) -> None:
        """The key that leads to `place` begins at `offset`. The first mark counts."""
        self._keys.setdefault(place, offset)

    def offset(self, place: Place, *, key: bool = False) -> int:
        """Where the value, or its key, begins; of what the text does not hold, where its owner does."""
        if key and place in self._keys:
            return self._keys[place]
        while place and place not in self._values:
            place = place[:-1]
        return self._values.get(place, 0)

    def __contains__(self, place: Place) -> bool:
        return place in self._values

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """Both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
