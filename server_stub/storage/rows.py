"""Events and facts as the text of a row, and back."""

from __future__ import annotations

from functools import cache

import msgspec

from server_stub.domain.history import PastEvent, event_sid
from server_stub.domain.records import DamagedDocument, from_json, to_json
from server_stub.domain.statistics import Fact
from taskrouter_worker.terms import EventType

__all__ = ["event_row", "fact_row", "read_event", "read_fact"]


class _EventRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See `history.PastEvent`; its SID and number are those of the row."""

    type: EventType
    at: float
    description: str
    resource_type: str
    resource_sid: str
    path: tuple[str, ...]
    actor_type: str
    actor_sid: str
    keys: tuple[str, ...]
    values: tuple[str, ...]


@cache
def _events() -> msgspec.json.Decoder[_EventRow]:
    return msgspec.json.Decoder(_EventRow)


@cache
def _facts() -> msgspec.json.Decoder[Fact]:
    return msgspec.json.Decoder(Fact)


def event_row(event: PastEvent) -> str:
    """The text of an event."""
    return to_json(
        _EventRow(
            type=event.type,
            at=event.at,
            description=event.description,
            resource_type=event.resource_type,
            resource_sid=event.resource_sid,
            path=event.path,
            actor_type=event.actor_type,
            actor_sid=event.actor_sid,
            keys=event.keys,
            values=event.values,
        )
    ).decode()


def read_event(workspace_sid: str, seq: int, body: str) -> PastEvent:
    """The event of a row; raises DamagedDocument."""
    row = from_json(body, _events)
    if len(row.keys) != len(row.values):
        raise DamagedDocument(f"event {seq} has not as many values as keys")
    return PastEvent(
        sid=event_sid(workspace_sid, seq),
        seq=seq,
        type=row.type,
        at=row.at,
        description=row.description,
        resource_type=row.resource_type,
        resource_sid=row.resource_sid,
        path=row.path,
        actor_type=row.actor_type,
        actor_sid=row.actor_sid,
        keys=row.keys,
        values=row.values,
    )


def fact_row(fact: Fact) -> str:
    """The text of a fact."""
    return to_json(fact).decode()


def read_fact(number: int, body: str) -> Fact:
    """The fact of a row; raises DamagedDocument."""
    fact = from_json(body, _facts)
    if fact.number != number:
        raise DamagedDocument(f"fact {number} has another number")
    return fact
