"""Checks of what a client gives. Each returns the value to use, or refuses it by name and value.

Names are the REST API's spelling of the parameter, whatever door the command came through.
"""

from __future__ import annotations

import json
import math
import re
from enum import StrEnum
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

from taskrouter_worker.terms import EventType, SidPrefix, is_sid

from .errors import InvalidArgument
from .expression import Expression, ExpressionError, parse
from .model import JsonObject

__all__ = [
    "EARLIEST",
    "attributes",
    "boolean",
    "choice",
    "event_types",
    "expression",
    "integer",
    "name",
    "optional_url",
    "refusal",
    "required",
    "sid",
    "start_time",
    "text",
    "unique_name",
]

EARLIEST: Final = -2_208_988_800.0
"""The year 1900 in epoch seconds: a task's virtual start time is not before it (REST API, Task)."""

_MAX_NESTING: Final = 100
"""Deepest accepted `Attributes`: whoever reads them by recursion is safe (our choice: undocumented)."""

E = TypeVar("E", bound=StrEnum)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"


def refusal(parameter: str, value: object, expected: str) -> InvalidArgument:
    """What is raised for a value that is not the expected one: it names the parameter and both."""
    return InvalidArgument(f"{parameter} is not valid: expected {expected}, got {_shown(value)}")


def required(parameter: str) -> InvalidArgument:
    """The refusal of a call that lacks the parameter, in TaskRouter's own words."""
    return InvalidArgument(f"{parameter} field is required")


def text(parameter: str, value: object, *, at_most: int | None = None) -> str:
    """Any text that can be sent on, up to a number of characters."""
    if not isinstance(value, str):
        raise refusal(parameter, value, "text")
    if at_most is not None and len(value) > at_most:
        raise refusal(parameter, value, f"at most {at_most} characters ({len(value)} given)")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise refusal(parameter, value, "Unicode text, not half a surrogate pair") from error
    return value


def name(parameter: str, value: object, *, at_most: int) -> str:
    """A name: text that is not blank."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise required(parameter)
    return text(parameter, value, at_most=at_most)


def unique_name(parameter: str, value: object, *, at_most: int) -> str:
    """A task channel's unique name: letters, digits, ``_`` and ``$``, no digit first (REST API)."""
    found = name(parameter, value, at_most=at_most)
    if not found.replace("$", "_").isidentifier() or not found.isascii():
        raise refusal(parameter, value, "letters, digits, '_' and '$', the first one no digit")
    return found


def boolean(parameter: str, value: object) -> bool:
    """True or false, already read from whatever the client wrote."""
    if not isinstance(value, bool):
        raise refusal(parameter, value, "true or false")
    return value


def integer(parameter: str, value: object, *, low: int, high: int) -> int:
    """A whole number in a range."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise refusal(parameter, value, f"an integer from {low} to {high}")
    return value


def choice(parameter: str, value: object, kind: type[E]) -> E:
    """One of an enumeration's values."""
    for member in kind:
        if member == value:
            return member
    raise refusal(parameter, value, f"one of {', '.join(kind)}")


def sid(parameter: str, value: object, *prefixes: SidPrefix) -> str:
    """A well-formed SID of the right kind; whether it exists is asked elsewhere."""
    if not is_sid(value, *prefixes):
        raise refusal(parameter, value, f"a SID that begins with {' or '.join(prefixes)}")
    return str(value)


def attributes(value: object, *, at_most: int) -> JsonObject:
    """The object in an `Attributes` text."""
    given = text("Attributes", value, at_most=at_most)
    if given.count("[") + given.count("{") > _MAX_NESTING and _nesting(given) > _MAX_NESTING:
        raise refusal("Attributes", value, f"at most {_MAX_NESTING} levels of nesting")
    try:
        found: object = json.loads(given, parse_constant=_no_constant)
    except ValueError as error:
        raise refusal("Attributes", value, f"a JSON object ({error})") from error
    if not isinstance(found, dict):
        raise refusal("Attributes", value, "a JSON object")
    return cast("JsonObject", found)  # JSON objects have text keys only


def _nesting(document: str) -> int:
    """How deep a JSON text nests, told without recursion."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", document)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is no JSON value")


def expression(parameter: str, value: object) -> Expression | None:
    """A worker expression; None for a blank text, which nobody matches."""
    given = text(parameter, value)
    if not given.strip():
        return None
    try:
        return parse(given)
    except ExpressionError as error:
        raise InvalidArgument(f"{parameter} is not valid: {error} in {_shown(given)}") from error


def optional_url(parameter: str, value: object) -> str:
    """An absolute http or https URL, or an empty text for none."""
    given = text(parameter, value)
    if not given:
        return ""
    try:
        parts = urlsplit(given)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise refusal(parameter, value, f"an http or https URL ({error})") from error
    if not valid:
        raise refusal(parameter, value, "an http or https URL")
    return given


def start_time(value: object, *, now: float) -> float:
    """A `VirtualStartTime` in epoch seconds: not before 1900, not in the future (REST API, Task)."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise refusal("VirtualStartTime", value, "a date")
    if not EARLIEST <= value <= now:
        raise refusal("VirtualStartTime", value, f"a date after 1900 that is not in the future ({now:.0f})")
    return float(value)


def event_types(value: object) -> str | None:
    """An `EventsFilter`: a comma list of event types; None, which lets all through, for an empty one."""
    given = text("EventsFilter", value)
    words = [word.strip() for word in given.split(",")]
    if words == [""]:
        return None
    for word in words:
        choice("EventsFilter", word, EventType)
    return ",".join(words)
