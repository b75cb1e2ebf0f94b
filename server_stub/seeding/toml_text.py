"""Reads TOML with the positions of its values.

The values are `tomllib`'s. It tells no positions, so the text is walked once more for them; by then it is
known to be TOML, so the walk needs to recognise only where things begin and end.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime, time
from typing import Final, cast

from .positions import Positions, Unreadable
from .problems import Place

__all__ = ["read_toml"]

_BLANK: Final = re.compile(r"(?:[ \t\n\r]|#[^\n]*)*")
_GAP: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_OTHER: Final = re.compile(r"[^,\]}#\n]+")
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_toml(text: str, positions: Positions) -> object:
    """The table in a TOML document; dates in it become ISO 8601 texts.

    Raises:
        Unreadable: it is none, or has a key twice.
        TooLarge: it holds too much, or nests too deeply.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        where = _WHERE.search(message)
        offset = len(text)
        if where is not None and where[1] is not None:
            lines = text.split("\n")[: int(where[1]) - 1]
            offset = sum(len(line) + 1 for line in lines) + int(where[2]) - 1
        raise Unreadable(_WHERE.sub("", message), offset) from None
    except RecursionError:
        raise Unreadable("the document nests too deeply", 0) from None
    _Finder(text, positions).run()
    return _plain(document)


def _plain(value: object) -> object:
    match value:
        case dict():
            return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
        case list():
            return [_plain(item) for item in cast("list[object]", value)]
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return value


class _Finder:
    """Walks a valid document and marks what it meets."""

    def __init__(self, text: str, positions: Positions) -> None:
        self._text = text
        self._positions = positions
        self._at = 0
        self._last: dict[Place, int] = {}  # of each array of tables, the index of its last table

    def run(self) -> None:
        table: Place = ()
        self._positions.mark((), 0)
        while True:
            self._skip(_BLANK)
            start = self._at
            if start >= len(self._text):
                return
            if self._takes("[["):
                path = self._keys(())
                self._takes("]]")
                number = self._last[path] = self._last.get(path, -1) + 1
                table = (*path, number)
                self._positions.mark(path, start)
                self._positions.mark(table, start)
            elif self._takes("["):
                table = self._keys(())
                self._takes("]")
                self._positions.mark(table, start)
            else:
                self._pair(table)

    def _pair(self, table: Place) -> None:
        path = self._keys(table)
        self._skip(_GAP)
        self._takes("=")
        self._skip(_GAP)
        self._value(path)

    def _keys(self, place: Place) -> Place:
        """A dotted key, below `place`; within an array of tables its last one is meant."""
        while True:
            self._skip(_GAP)
            start = self._at
            place = (*place, self._key())
            self._positions.mark_key(place, start)
            self._skip(_GAP)
            if not self._takes("."):
                return place
            self._positions.mark(place, start)
            if place in self._last:
                place = (*place, self._last[place])

    def _key(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
            return str(tomllib.loads(f"key = {found[0]}")["key"])
        found = _BARE.match(self._text, self._at)
        if found is None:
            raise Unreadable("expected a key", self._at)
        self._at = found.end()
        return found[0]

    def _value(self, place: Place) -> None:
        self._positions.mark(place, self._at)
        if self._takes("["):
            index = 0
            self._skip(_BLANK)
            while not self._takes("]"):
                self._value((*place, index))
                index += 1
                self._separator()
        elif self._takes("{"):
            self._skip(_BLANK)
            while not self._takes("}"):
                self._pair(place)
                self._separator()
        else:
            found = _STRING.match(self._text, self._at) or _OTHER.match(self._text, self._at)
            if found is None:
                raise Unreadable("expected a value", self._at)
            self._at = found.end()

    def _separator(self) -> None:
        self._skip(_BLANK)
        self._takes(",")
        self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _takes(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True
