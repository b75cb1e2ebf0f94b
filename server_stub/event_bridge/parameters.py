"""Parameters of the inner requests: native JSON types, checked by type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from server_stub.domain.instruction_options import PARAMETERS, SUPERVISE_PARAMETERS

__all__ = [
    "HOLD",
    "INSTRUCTION",
    "PAGING",
    "SUPERVISE",
    "TARGET_WORKER_SID",
    "TASK_SID",
    "WORKER_PARTICIPANT",
    "Param",
    "anything",
    "flag",
    "integer",
    "json_text",
    "moment",
    "page_size",
    "text",
    "text_flag",
]

MAX_PAGE_SIZE: Final = 1000


def text(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise TypeError("a string")
    return value


def flag(value: object) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def integer(value: object) -> int:
    """An integer, which a boolean is not."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("an integer")
    return value


def anything(value: object) -> object:
    """Whatever came: somebody else reads it."""
    return value


def text_flag(value: object) -> bool:
    """A boolean, which may travel as text."""
    # `Active` travels as the text "true".
    if value in ("true", "false"):
        return value == "true"
    return flag(value)


def page_size(value: object) -> int:
    """How many items of a list, at most 1,000."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError("an integer from 1")
    return min(value, MAX_PAGE_SIZE)


def json_text(value: object) -> str:
    """An object, as JSON text."""
    if not isinstance(value, dict):
        raise TypeError("an object")
    return msgspec.json.encode(value).decode()


def moment(value: object) -> float:
    """A date, in epoch seconds; one without a time zone is UTC."""
    try:
        moment = datetime.fromisoformat(text(value))
    except ValueError:
        raise TypeError("a date such as 2025-03-01T09:15:30Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: its name on the wire, how it is read, and as which argument it is handed on."""

    name: str
    read: Callable[[object], object]
    key: str
    required: bool = False


INSTRUCTION: Final = tuple(Param(name, anything, name) for name in PARAMETERS)
"""Parameters of instructions: the domain reads them, in whichever spelling they come."""

SUPERVISE: Final = tuple(Param(name, anything, name) for name in SUPERVISE_PARAMETERS)
WORKER_PARTICIPANT: Final = tuple(
    Param(name, anything, name) for name in ("EndConferenceOnExit", "Mute", "BeepOnExit")
)
TASK_SID: Final = Param("TaskSid", text, "task_sid", required=True)
TARGET_WORKER_SID: Final = Param("TargetWorkerSid", text, "target_worker_sid", required=True)
HOLD: Final = tuple(Param(name, anything, name) for name in ("Hold", "HoldUrl", "HoldMethod"))

PAGING: Final = (Param("PageSize", page_size, "page_size"), Param("AfterSid", text, "after_sid"))
