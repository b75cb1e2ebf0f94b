"""How the text of a form or a query becomes values: the types of REST parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from taskrouter_worker.terms import is_sid

from .replies import ApiError

__all__ = ["Param", "csv", "date", "enum", "flag", "integer", "read_params", "sid", "text", "url"]

Read = Callable[[str], object]
"""Makes a value of a text, or raises ValueError saying what was expected."""

_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an operation.

    Attributes:
        name: as on the wire, case-sensitive.
        read: its type.
        required: whether its absence, or its being empty, is an error.
        repeated: whether all of its values count; otherwise the last one wins.
        key: the argument that it becomes; made from the name unless given (FriendlyName: friendly_name).
    """

    name: str
    read: Read
    required: bool = False
    repeated: bool = False
    key: str = field(default="")

    @property
    def argument(self) -> str:
        """The name of the argument that it becomes."""
        return self.key or _WORD.sub("_", self.name).lower()


def read_params(params: Sequence[Param], given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The values of what was given, by argument name. Unknown names are ignored.

    Raises:
        ApiError: 400, naming the parameter and what was expected.
    """
    values: dict[str, list[str]] = {}
    for name, value in given:
        values.setdefault(name, []).append(value)
    args: dict[str, Any] = {}
    for param in params:
        texts = values.get(param.name)
        if texts is None or (param.required and not texts[-1]):
            if param.required:
                raise ApiError(400, f"{param.name} field is required")
            continue
        args[param.argument] = _read(param, ",".join(texts) if param.repeated else texts[-1])
    return args


def _read(param: Param, value: str) -> object:
    try:
        return param.read(value)
    except ValueError as expected:
        shown = value if len(value) <= 100 else f"{value[:100]}..."
        raise ApiError(400, f"{param.name} '{shown}' is not valid, expected {expected}") from None


def text(value: str) -> str:
    """Any text."""
    return value


def flag(value: str) -> bool:
    """`true`, `1` and `yes` in any case are true, everything else is false: clients send many spellings."""
    return value.strip().lower() in ("true", "1", "yes")


def csv(value: str) -> frozenset[str]:
    """Words between commas; repeated parameters are joined the same way."""
    return frozenset(word.strip() for word in value.split(",") if word.strip())


def date(value: str) -> float:
    """An ISO 8601 date, in epoch seconds. Without a time zone it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
        # In UTC, as it is shown: there it may lie before or after all years that have a date.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("a date such as 2025-03-01T09:15:30Z") from None


def url(value: str) -> str:
    """An http or https address, or nothing, which clears it."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if value and not good:
        raise ValueError("an http or https URL")
    return value


def integer(*, low: int = 0, high: int = 2_147_483_647) -> Read:
    """A decimal integer of that range."""

    def read(value: str) -> int:
        stripped = value.strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", stripped) or not low <= int(stripped) <= high:
            raise ValueError(f"an integer from {low} to {high}")
        return int(stripped)

    return read


def enum(kind: type[StrEnum]) -> Read:
    """One of an enumeration's words."""

    def read(value: str) -> StrEnum:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"one of {', '.join(kind)}") from None

    return read


def sid(prefix: str, *, may_be_empty: bool = False) -> Read:
    """A SID of one kind. Where it may be empty, that clears the reference."""

    def read(value: str) -> str:
        if not is_sid(value, prefix) and (value or not may_be_empty):
            raise ValueError(f"{prefix} and 32 hexadecimal digits")
        return value

    return read
