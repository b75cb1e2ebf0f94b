"""What happened in a workspace and why, as text for people who read a failed test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from server_stub.commands.explain import explanation_lines
from server_stub.deliveries import DeliveryOutcome
from server_stub.domain.errors import NotFound
from server_stub.domain.history import PastEvent

from .desk import Desk
from .handles import TaskHandle

__all__ = ["LAST_EVENTS", "callback_lines", "event_lines", "explanation", "task_history"]

LAST_EVENTS: Final = 40
"""How many events a report shows."""

WORKERS: Final = 12
"""How many workers an explanation shows."""

CALLBACKS: Final = 5
"""How many kinds of failed callbacks a report shows."""

_FACTS: Final = (
    ("worker_name", ""),
    ("task_queue_name", "queue "),
    ("worker_activity_name", "activity "),
    ("task_assignment_status", "task "),
    ("reservation_timeout", "timeout "),
)
"""What is told of an event beside its description: names, never attributes, which may hold anything."""


def event_lines(events: Sequence[PastEvent], start: float, *, limit: int = LAST_EVENTS) -> list[str]:
    """The last events, a line each, with the seconds since `start`."""
    left_out = max(0, len(events) - limit)
    lines = [f"({left_out} earlier events)"] if left_out else []
    for event in events[left_out:]:
        data = event.data
        facts = [f"{label}{data[key]}" for key, label in _FACTS if data.get(key)]
        told = f"{event.at - start:+10.3f} s  {event.type:<28} {event.description}"
        lines.append(f"{told}  ({', '.join(facts)})" if facts else told)
    return [_plain(line) for line in lines]


def task_history(desk: Desk, task_sid: str) -> list[str]:
    """What happened to a task, a line each."""
    events = [event for event in desk.history() if event.names(task_sid, "task_sid")]
    return event_lines(events, desk.start) or ["(nothing is recorded)"]


def explanation(desk: Desk, task_sid: str, worker_sid: str | None) -> list[str]:
    """Why a task is where it is, and why it did not reach the worker, or any, by the router's judgement."""
    try:
        found = desk.ask(lambda ws: ws.explain(task_sid, worker_sid, limit=WORKERS))
    except NotFound:
        known = TaskHandle(desk, task_sid)
        try:
            how = f"it was {known.status}, for the reason {known.reason!r}"
        except LookupError:
            how = "it was deleted before its end"
        return [f"The task is not there any more, five minutes after its end: {how}."]
    return explanation_lines(msgspec.to_builtins(found))


def callback_lines(desk: Desk) -> list[str]:
    """Callbacks of a workspace that failed and why, alike ones in one line; no answers and parameters."""
    sent = desk.reach(lambda server: server.deliveries.of(desk.sid))
    told = Counter(
        (
            f"{one.kind} callback to {one.url}: "
            + (one.reason if one.outcome is not DeliveryOutcome.DELIVERED else "its answer was refused")
            + (f" [{one.code}]" if one.code is not None else "")
        )
        for one in sent
        if one.outcome is not DeliveryOutcome.DELIVERED or one.code is not None
    )
    lines = [f"{line} ({number} times)" if number > 1 else line for line, number in told.items()]
    return [_plain(line) for line in lines[-CALLBACKS:]]


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
