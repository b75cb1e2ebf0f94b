"""What happened, as facts. The workspace records them; adapters turn them into frames and webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from taskrouter_worker.terms import EventType

from .model import (
    Activity,
    Reservation,
    Task,
    TaskChannel,
    TaskQueue,
    Transfer,
    Worker,
    WorkerChannel,
    Workflow,
)

__all__ = ["Event", "Resource"]

Resource = (
    Activity
    | Reservation
    | Task
    | TaskChannel
    | TaskQueue
    | Transfer
    | Worker
    | WorkerChannel
    | Workflow
    | None
)
"""The object an event is about; None stands for the workspace itself."""


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Event(NamedTuple):
    """One fact. Its resource shows the state at the end of the command that caused it.

    Read it before the next command: the resource is the live entity, not a copy.
    """

    seq: int  # rises by one with every event of the workspace
    type: EventType
    at: float  # epoch seconds
    resource: Resource
    worker_sids: tuple[str, ...] = ()  # whose websockets get it, if it is pushed at all
    logged: bool = True  # False: only a push that keeps clients in step, not a fact of the history
    data: Mapping[str, str] = _NOTHING  # further facts, by their event_data key
