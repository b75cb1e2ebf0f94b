"""Makes a seed of a document, and notes everything in it that does not fit the definition.

What does not fit is left out, so that the rest can be checked further: an item of a list becomes None, any
other field takes its default. `msgspec` itself would stop at the first problem.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from msgspec import inspect

from .document import Seed
from .problems import Place, closest, shown
from .source import Source

__all__ = ["check"]

_CREDENTIALS: Final = frozenset(
    {"account_sid", "auth_token", "signing_key_sid", "signing_key_secret", "api_key", "secret", "token"}
)

_ROOT: Final = inspect.type_info(Seed)


@dataclass(frozen=True)
class _Nothing:
    """What stands for a value that does not fit."""


_NOTHING: Final = _Nothing()


def check(source: Source) -> Seed | None:
    """The seed in a document as far as it fits; its problems are noted in `source`."""
    seed = _Checker(source).read(_ROOT, source.document, ())
    return seed if isinstance(seed, Seed) else None


class _Checker:
    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, kind: inspect.Type, value: object, place: Place) -> Any:  # Any: whatever the type says
        match kind:
            case inspect.Metadata():
                return self.read(kind.type, value, place)
            case inspect.UnionType():
                chosen = next((member for member in kind.types if _takes(member, value)), None)
                if chosen is None:
                    return self._wrong(kind, value, place)
                return self.read(chosen, value, place)
            case _ if not _takes(kind, value):
                return self._wrong(kind, value, place)
            case inspect.StructType():
                return self._struct(kind, cast("dict[str, object]", value), place)
            case inspect.ListType():
                return self._list(kind, cast("list[object]", value), place)
            case inspect.DictType():
                return self._dict(kind, cast("dict[str, object]", value), place)
            case inspect.AnyType():
                return self._json(value, place)
            case inspect.StrType():
                return self._text(kind, str(value), place)
            case inspect.IntType():
                return self._integer(kind, cast("int", value), place)
            case inspect.EnumType():
                return self._choice(kind, value, place)
            case _:
                return value

    def _wrong(self, kind: inspect.Type, value: object, place: Place) -> _Nothing:
        self._source.report(place, f"{shown(value)} is not valid here", f"expected {_described(kind)}")
        return _NOTHING

    def _struct(self, kind: inspect.StructType, value: dict[str, object], place: Place) -> Any:
        fields = {field.encode_name: field for field in kind.fields}
        for name in value:
            if name not in fields:
                if name.lower() in _CREDENTIALS:
                    hint = "credentials come from the command line or the environment, never from a seed"
                else:
                    hint = closest(name, fields, what="fields here")
                self._source.report((*place, name), f"there is no field {name!r}", hint, key=True)
        read: dict[str, Any] = {}
        complete = True
        for name, field in fields.items():
            if name in value:
                found = self.read(field.type, value[name], (*place, name))
                if not isinstance(found, _Nothing):
                    read[field.name] = found
                    continue
            elif field.required:
                self._source.report(
                    place, f"the field {name!r} is missing", f"expected {_described(field.type)}"
                )
            complete = complete and not field.required
        return kind.cls(**read) if complete else _NOTHING

    def _list(self, kind: inspect.ListType, value: list[object], place: Place) -> list[Any] | _Nothing:
        self._within(kind, value, place, "items")
        items = [self.read(kind.item_type, item, (*place, index)) for index, item in enumerate(value)]
        return [None if isinstance(item, _Nothing) else item for item in items]

    def _dict(self, kind: inspect.DictType, value: dict[str, object], place: Place) -> dict[str, Any]:
        items = {key: self.read(kind.value_type, item, (*place, key)) for key, item in value.items()}
        return {key: item for key, item in items.items() if not isinstance(item, _Nothing)}

    def _text(self, kind: inspect.StrType, value: str, place: Place) -> str | _Nothing:
        if kind.pattern is not None and re.search(kind.pattern, value) is None:
            self._source.report(place, f"{shown(value)} is not valid here", f"expected {_described(kind)}")
            return _NOTHING
        if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
            self._source.report(place, f"{shown(value)} holds half a surrogate pair", "expected Unicode text")
            return _NOTHING
        return value if self._within(kind, value, place, "characters") else _NOTHING

    def _within(
        self,
        kind: inspect.StrType | inspect.ListType,
        value: Sequence[object],
        place: Place,
        unit: str,
    ) -> bool:
        least, most = kind.min_length or 0, kind.max_length
        if least <= len(value) and (most is None or len(value) <= most):
            return True
        bounds = f"at least {least}" if len(value) < least else f"at most {most}"
        self._source.report(place, f"{shown(value)} has {len(value)} {unit}", f"expected {bounds} {unit}")
        return False

    def _integer(self, kind: inspect.IntType, value: int, place: Place) -> int | _Nothing:
        if (kind.ge is not None and value < kind.ge) or (kind.le is not None and value > kind.le):
            self._source.report(place, f"{shown(value)} is out of range", f"expected {_described(kind)}")
            return _NOTHING
        return value

    def _choice(self, kind: inspect.EnumType, value: object, place: Place) -> Any:
        words = [str(member.value) for member in kind.cls]
        if value not in words:
            self._source.report(place, f"{shown(value)} is not valid here", closest(str(value), words))
            return _NOTHING
        return kind.cls(value)

    def _json(self, value: object, place: Place) -> object:
        """Any JSON value: what a program or YAML may hold beyond it is refused."""
        match value:
            case None | bool() | int() | str():
                return value
            case float() if math.isfinite(value):
                return value
            case list():
                items = [
                    self._json(item, (*place, index))
                    for index, item in enumerate(cast("list[object]", value))
                ]
                return _NOTHING if any(item is _NOTHING for item in items) else items
            case dict():
                known = cast("dict[object, object]", value)
                found = {str(key): self._json(item, (*place, str(key))) for key, item in known.items()}
                return _NOTHING if any(item is _NOTHING for item in found.values()) else found
            case _:
                self._source.report(place, f"{shown(value)} is no JSON value", "expected one")
                return _NOTHING


def _takes(kind: inspect.Type, value: object) -> bool:
    """Whether the value is of the kind, whatever its content."""
    match kind:
        case inspect.Metadata():
            return _takes(kind.type, value)
        case inspect.UnionType():
            return any(_takes(member, value) for member in kind.types)
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, dict) and all(
                isinstance(key, str) for key in cast("dict[object, object]", value)
            )
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.StrType() | inspect.EnumType():
            return isinstance(value, str)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.NoneType():
            return value is None
        case inspect.AnyType():
            return True
        case _:
            raise TypeError(f"a seed has no {type(kind).__name__}")  # the definition has outgrown this module


def _described(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _described(kind.type)
        case inspect.UnionType():
            return " or ".join(_described(member) for member in kind.types)
        case inspect.StructType():
            needed = ", ".join(field.encode_name for field in kind.fields if field.required)
            return f"an object with {needed}" if needed else "an object"
        case inspect.DictType():
            return "an object"
        case inspect.ListType():
            return "a list"
        case inspect.StrType(pattern=str()):
            return f"a SID: {kind.pattern[1:3]} and 32 hexadecimal digits" if kind.pattern else "text"
        case inspect.StrType():
            return "text"
        case inspect.IntType():
            low = "" if kind.ge is None else f" from {kind.ge}"
            return f"a whole number{low}" + ("" if kind.le is None else f" to {kind.le}")
        case inspect.EnumType():
            return " or ".join(str(member.value) for member in kind.cls)
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "nothing"
        case _:
            return "any JSON value"
