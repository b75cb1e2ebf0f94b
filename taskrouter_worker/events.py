"""Frames of the websocket, decoded. Pure.

Only the event types in `PAYLOADS` and `init` exist for this package; whatever else arrives is
ignored, among it names that the JavaScript SDK uses for signals of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Event:
    """One decoded frame."""

    type: str
    payload: Payload


class _Frame(msgspec.Struct):
    event_type: str | None = None
    payload: msgspec.Raw = msgspec.Raw()


_decode_frame = msgspec.json.Decoder(_Frame).decode

_DECODERS: Final[dict[str, msgspec.json.Decoder[Payload]]] = {
    INIT: msgspec.json.Decoder(InitFields),
    EventType.WORKER_ACTIVITY_UPDATE: msgspec.json.Decoder(WorkerFields),
    EventType.WORKER_ATTRIBUTES_UPDATE: msgspec.json.Decoder(WorkerFields),
    EventType.WORKER_CAPACITY_UPDATE: msgspec.json.Decoder(WorkerChannelFields),
    EventType.WORKER_CHANNEL_AVAILABILITY_UPDATE: msgspec.json.Decoder(WorkerChannelFields),
    EventType.RESERVATION_FAILED: msgspec.json.Decoder(FailedReservation),
    **{
        event: msgspec.json.Decoder(ReservationFields)
        for event in EventType
        if event.startswith("reservation.") and event != EventType.RESERVATION_FAILED
    },
    **{
        event: msgspec.json.Decoder(TransferFields)
        for event in EventType
        if event.startswith("task.transfer-")
    },
    EventType.TASK_UPDATED: msgspec.json.Decoder(TaskFields),
    EventType.TASK_WRAPUP: msgspec.json.Decoder(TaskFields),
    EventType.TASK_COMPLETED: msgspec.json.Decoder(TaskFields),
    EventType.TASK_CANCELED: msgspec.json.Decoder(TaskFields),
}


def decode(frame: bytes | str) -> Event | None:
    """The event of a frame; None for a heartbeat and for what the protocol says to ignore.

    Raises:
        InvalidMessageError: it is not JSON, or a known event without its required fields. The text
            names the field and never the values.
    """
    if not frame or frame.isspace():
        return None
    try:
        envelope = _decode_frame(frame)
    except msgspec.ValidationError:
        return None  # JSON, but no event: a number, an array, another object
    except DECODE_ERRORS as error:
        raise InvalidMessageError(f"a frame is not JSON: {error}") from error
    event_type = envelope.event_type
    decoder = _DECODERS.get(event_type) if event_type is not None else None
    if event_type is None or decoder is None:
        return None
    if not bytes(envelope.payload):
        raise InvalidMessageError(f"a frame of {event_type} has no payload", event_type=event_type)
    try:
        return Event(event_type, decoder.decode(envelope.payload))
    except DECODE_ERRORS as error:
        raise InvalidMessageError(f"a frame of {event_type}: {error}", event_type=event_type) from error
