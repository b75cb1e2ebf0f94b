"""Versions across a change of state: they never go back, whatever the state does."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from server_stub.domain.memento import dump
from server_stub.domain.model import Reservation, Task, TaskQueue, Worker, WorkerChannel
from server_stub.domain.records import EntityRecord
from server_stub.domain.workspace import Workspace

__all__ = ["raise_versions"]

_Versioned: TypeAlias = Reservation | Task | TaskQueue | Worker | WorkerChannel

_IGNORED: Final = frozenset(
    {"date_created", "date_updated", "date_status_changed", "virtual_start_time", "deadline", "number"}
    | {"queue_entered_at", "assigned_at", "ended_at", "filter_entered_at", "step_deadline", "created_seq"}
    | {"last_reserved_at", "last_reserved_number", "version"}
)
"""What may differ in two states that clients need not tell apart."""


def raise_versions(workspace: Workspace, former: Workspace) -> None:
    """Give all that differs from the former state of a workspace a version above the former one.

    Clients take a lower version for a late answer and keep what they have, and an `If-Match` from before
    must not fit what is there now (our choice: TaskRouter's states never go back).
    """
    before, after = _versioned(former), _versioned(workspace)
    shared = before.keys() & after.keys()
    if not shared:
        return
    old, new = _contents(former, shared), _contents(workspace, shared)
    for sid in shared:
        was, entity = before[sid], after[sid]
        if was.version > entity.version or (was.version == entity.version and old[sid] != new[sid]):
            entity.version = was.version + 1


def _versioned(workspace: Workspace) -> dict[str, _Versioned]:
    return {
        **workspace.workers,
        **workspace.worker_channels,
        **workspace.task_queues,
        **workspace.tasks,
        **workspace.reservations,
    }


def _contents(workspace: Workspace, sids: set[str]) -> dict[str, dict[str, object]]:
    return {
        record.sid: {
            key: value for key, value in msgspec.structs.asdict(record).items() if key not in _IGNORED
        }
        for record in dump(workspace).records
        if isinstance(record, EntityRecord) and record.sid in sids
    }
