"""Reads JSON with the positions of its values."""

from __future__ import annotations

import json
import re
from typing import Final

from .positions import Positions, Unreadable
from .problems import Place

__all__ = ["read_json"]

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_WORDS: Final = {"true": True, "false": False, "null": None}
_DIGITS: Final = 400  # longest number: conversions stay cheap


def read_json(text: str, positions: Positions) -> object:
    """The value in a JSON text.

    Raises:
        Unreadable: it is none.
        TooLarge: it holds too much, or nests too deeply.
    """
    reader = _Reader(text, positions)
    value, end = reader.value(reader.skip(0), ())
    end = reader.skip(end)
    if end < len(text):
        raise Unreadable("expected the end of the document", end)
    return value


class _Reader:
    def __init__(self, text: str, positions: Positions) -> None:
        self._text = text
        self._positions = positions

    def skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return at if found is None else found.end()

    def value(self, at: int, place: Place) -> tuple[object, int]:
        """The value that begins at `at`, and where it ends."""
        self._positions.mark(place, at)
        match self._text[at : at + 1]:
            case "{":
                return self._object(at, place)
            case "[":
                return self._array(at, place)
            case '"':
                return self._string(at)
            case _:
                return self._scalar(at)

    def _scalar(self, at: int) -> tuple[object, int]:
        for word, value in _WORDS.items():
            if self._text.startswith(word, at):
                return value, at + len(word)
        found = _NUMBER.match(self._text, at)
        if found is None:
            got = self._text[at : at + 1]
            raise Unreadable(f"expected a JSON value, got {got!r}" if got else "the document ends early", at)
        if len(found[0]) > _DIGITS:
            raise Unreadable("the number is too long", at)
        is_whole = found[1] is None and found[2] is None
        return int(found[0]) if is_whole else float(found[0]), found.end()

    def _string(self, at: int) -> tuple[str, int]:
        found = _STRING.match(self._text, at)
        if found is None:
            raise Unreadable("the text has no end, or holds a control character", at)
        try:
            return str(json.loads(found[0])), found.end()
        except json.JSONDecodeError as error:
            raise Unreadable(error.msg, at + error.pos) from None

    def _array(self, at: int, place: Place) -> tuple[list[object], int]:
        items: list[object] = []
        at = self.skip(at + 1)
        if self._text.startswith("]", at):
            return items, at + 1
        while True:
            item, at = self.value(self.skip(at), (*place, len(items)))
            items.append(item)
            at = self.skip(at)
            if self._text.startswith("]", at):
                return items, at + 1
            at = self._expect(",", "',' or ']'", at)

    def _object(self, at: int, place: Place) -> tuple[dict[str, object], int]:
        found: dict[str, object] = {}
        at = self.skip(at + 1)
        if self._text.startswith("}", at):
            return found, at + 1
        while True:
            at = self.skip(at)
            if not self._text.startswith('"', at):
                raise Unreadable("expected a key in double quotes", at)
            start = at
            key, at = self._string(at)
            below = (*place, key)
            if key in found:
                self._positions.duplicates.append((below, start))
            self._positions.mark_key(below, start)
            at = self._expect(":", "':'", self.skip(at))
            found[key], at = self.value(self.skip(at), below)
            at = self.skip(at)
            if self._text.startswith("}", at):
                return found, at + 1
            at = self._expect(",", "',' or '}'", at)

    def _expect(self, mark: str, described: str, at: int) -> int:
        if not self._text.startswith(mark, at):
            raise Unreadable(f"expected {described}", at)
        return at + len(mark)
