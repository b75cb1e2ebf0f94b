"""A seed's text: read by its format, with the place of every value.

Lines and columns count from 1, in characters. They are exact for JSON and TOML, which are walked here,
and for YAML, where they are the parser's own marks; what a YAML alias repeats stands where its anchor does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final, cast

from .json_text import read_json
from .positions import MAX_DEPTH, MAX_VALUES, Positions, TooLarge, Unreadable
from .problems import Place, Problem, SeedError, written
from .toml_text import read_toml

__all__ = ["MAX_BYTES", "Source", "copied", "read_source", "source_of"]

MAX_BYTES: Final = 32 * 1024 * 1024
"""Longest file."""

_FORMATS: Final = {".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


@dataclass
class Source:
    """A document, where it comes from, and what is wrong with it.

    Attributes:
        name: the file's; "seed" for a document that a program made, which has paths but no lines.
        document: what was read.
        text: as it was read, lines ended by a line feed.
        positions: None without a text.
        problems: what was found so far.
    """

    name: str
    document: object
    text: str = ""
    positions: Positions | None = None
    problems: list[Problem] = field(default_factory=list[Problem])

    def report(
        self, place: Place, message: str, hint: str = "", *, key: bool = False, within: int | None = None
    ) -> None:
        """Note a problem of the value at `place`, or of its key, or `within` characters into its text."""
        offset = None
        if self.positions is not None:
            offset = self.positions.offset(place, key=key)
            if within is not None:
                offset = self._inside(place, offset, within)
        self._note(offset, message, place, hint)

    def value_at(self, place: Place) -> object:
        """What the document holds there; None where it holds nothing."""
        value: object = self.document
        for part in place:
            match value, part:
                case dict(), str():
                    value = cast("dict[str, object]", value).get(part)
                case list(), int():
                    items = cast("list[object]", value)
                    value = items[part] if part < len(items) else None
                case _:
                    return None
        return value

    def refuse(self) -> None:
        """Raise SeedError, with every problem in the order of the text, if there is one."""
        if self.problems:
            ordered = sorted(self.problems, key=lambda found: (found.line or 0, found.column or 0))
            raise SeedError(list(dict.fromkeys(ordered)))

    def _inside(self, place: Place, offset: int, within: int) -> int:
        """Where that character is, if the value stands in the file as it reads; else where it begins."""
        value = self.value_at(place)
        if isinstance(value, str):
            for quotes in (0, 1, 3):
                if self.text.startswith(value, offset + quotes):
                    return offset + quotes + within
        return offset

    def _note(self, offset: int | None, message: str, place: Place = (), hint: str = "") -> None:
        line = column = None
        if offset is not None and self.positions is not None:
            line, column = self.positions.line_and_column(offset)
        self.problems.append(
            Problem(file=self.name, line=line, column=column, path=written(place), message=message, hint=hint)
        )

    def read(self, kind: str) -> None:
        """Make the document from the text."""
        self.positions = positions = Positions(self.text)
        try:
            self.document = _read(kind, self.text, positions)
        except TooLarge:
            self._note(
                0,
                "the document is too large",
                hint=f"at most {MAX_VALUES:,} values, nested at most {MAX_DEPTH} deep",
            )
        except Unreadable as error:
            self._note(error.offset, f"no {kind.upper()}: {error}")
        for place, offset in positions.duplicates:
            self._note(offset, f"the key {place[-1]!r} was there before", place, "keep one of them")


def read_source(data: bytes, *, name: str) -> Source:
    """Read a file's content; its name tells the format.

    Raises:
        SeedError: it is too large, or no text of its format, or it has a key twice.
    """
    source = Source(name, None)
    kind = _FORMATS.get(PurePath(name).suffix.lower())
    if kind is None:
        source.report((), "the file's name tells no format", "expected .yaml, .yml, .toml or .json")
    elif len(data) > MAX_BYTES:
        source.report((), f"the file has {len(data):,} bytes", f"expected at most {MAX_BYTES:,}")
    else:
        try:
            source.text = data.decode("utf-8-sig").replace("\r\n", "\n")
            source.read(kind)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            source.report((), f"line {line} is no UTF-8 text: {error.reason}")
    source.refuse()
    return source


def source_of(document: Mapping[str, object]) -> Source:
    """A document that a program made, as it is now: what the program does to it later changes nothing."""
    return Source("seed", copied(document))


def copied(value: object) -> object:
    """The same lists and objects anew, with the same values in them."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in cast("dict[object, object]", value).items()}
    if isinstance(value, list):
        return [copied(item) for item in cast("list[object]", value)]
    return value


def _read(kind: str, text: str, positions: Positions) -> object:
    match kind:
        case "json":
            return read_json(text, positions)
        case "toml":
            return read_toml(text, positions)
        case _:
            try:
                from .yaml_text import read_yaml  # noqa: PLC0415 - PyYAML is part of the extra "server"
            except ImportError:
                raise Unreadable("to read it, install taskrouter-worker[server]", 0) from None
            return read_yaml(text, positions)
