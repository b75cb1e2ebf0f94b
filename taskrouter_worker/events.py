"""Frames of the websocket, decoded. Pure.

Only the event types in `_PAYLOADS`, `init` among them, exist for this package; whatever else arrives is
ignored, among it names that the JavaScript SDK uses for signals of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from .errors import InvalidMessageError
from .resources import (
    DECODE_ERRORS,
    InitFields,
    ReservationFields,
    TaskFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)
from .terms import EventType

__all__ = ["INIT", "Event", "FailedReservation", "Payload", "decode"]

FailedReservation = dict[str, object]
"""`reservation.failed` carries a task-like object that nobody validates: it is passed on as it is."""

Payload = (
    InitFields
    | WorkerFields
    | WorkerChannelFields
    | ReservationFields
    | TaskFields
    | TransferFields
    | FailedReservation
)

INIT: Final = "init"


@dataclass(slots=True)  # not frozen: made for each frame, and that would triple its cost
class Event:
    """One decoded frame."""

    type: str
    payload: Payload


class _Frame(msgspec.Struct):
    event_type: str | None = None
    payload: msgspec.Raw = msgspec.Raw()


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_anything = msgspec.json.Decoder().decode

_PAYLOADS: Final[dict[str, Any]] = {  # Any: InitFields and the like, or a type expression
    INIT: InitFields,
    EventType.WORKER_ACTIVITY_UPDATE: WorkerFields,
    EventType.WORKER_ATTRIBUTES_UPDATE: WorkerFields,
    EventType.WORKER_CAPACITY_UPDATE: WorkerChannelFields,
    EventType.WORKER_CHANNEL_AVAILABILITY_UPDATE: WorkerChannelFields,
    EventType.RESERVATION_FAILED: FailedReservation,
    **{
        event: ReservationFields
        for event in EventType
        if event.startswith("reservation.") and event != EventType.RESERVATION_FAILED
    },
    **{event: TransferFields for event in EventType if event.startswith("task.transfer-")},
    EventType.TASK_UPDATED: TaskFields,
    EventType.TASK_WRAPUP: TaskFields,
    EventType.TASK_COMPLETED: TaskFields,
    EventType.TASK_CANCELED: TaskFields,
}

_DECODERS: Final[dict[str, msgspec.json.Decoder[Payload]]] = {
    event: msgspec.json.Decoder(payload) for event, payload in _PAYLOADS.items()
}


class _KnownFrame(Protocol):
    payload: Payload


def _either(one: Any, other: Any) -> Any:  # Any: types are made up here as the table has them
    return one | other


# One kind of frame for each event, told apart by its type: the whole frame is decoded in one pass, which
# takes half the time of finding out the type first.
_KINDS: Final[dict[type[Any], str]] = {
    msgspec.defstruct("KnownFrame", [("payload", payload)], tag_field="event_type", tag=str(event)): event
    for event, payload in _PAYLOADS.items()
}
_decode_known: Final[Callable[[bytes | str], _KnownFrame]] = msgspec.json.Decoder(
    functools.reduce(_either, _KINDS)
).decode


def decode(frame: bytes | str) -> Event | None:
    """The event of a frame; None for a heartbeat and for what the protocol says to ignore.

    Raises:
        InvalidMessageError: it is not JSON, or a known event without its required fields. The text
            names the field and never the values.
    """
    try:
        known = _decode_known(frame)
    except DECODE_ERRORS:
        return _decode_other(frame)
    return Event(_KINDS[type(known)], known.payload)


def _decode_other(frame: bytes | str) -> Event | None:
    """A frame that is no good event: a heartbeat, something to be ignored, or an error to be told."""
    if not frame or frame.isspace():
        return None
    try:
        envelope = _decode_frame(frame)
    except msgspec.ValidationError:
        # No event: a number, an array, another object. But what follows may still be no JSON.
        _check_json(frame)
        return None
    except DECODE_ERRORS as error:
        raise InvalidMessageError(f"a frame is not JSON: {error}") from error
    event_type = envelope.event_type
    decoder = _DECODERS.get(event_type) if event_type is not None else None
    if event_type is None or decoder is None:
        return None
    if not memoryview(envelope.payload).nbytes:
        raise InvalidMessageError(f"a frame of {event_type} has no payload", event_type=event_type)
    try:
        return Event(event_type, decoder.decode(envelope.payload))
    except DECODE_ERRORS as error:
        raise InvalidMessageError(f"a frame of {event_type}: {error}", event_type=event_type) from error


def _check_json(frame: bytes | str) -> None:
    try:
        _decode_anything(frame)
    except DECODE_ERRORS as error:
        raise InvalidMessageError(f"a frame is not JSON: {error}") from error
