"""What the console is told: short records, lists instead of objects, as there may be ten thousand of them.

The order of their fields is known to ``web/store.js`` as well. Dates are epoch seconds.
"""

from __future__ import annotations

import json
from typing import Final, cast

from server_stub.domain.history import PastEvent
from server_stub.domain.model import Reservation, Task, Worker
from server_stub.domain.workspace import Workspace

__all__ = ["PREVIEW", "config", "event_record", "reservation_record", "task_record", "worker_record"]

PREVIEW: Final = 120
"""Characters of attributes in a record; a detail panel asks for the rest."""


def task_record(task: Task) -> list[object]:
    """A task in a list."""
    return [
        task.sid,
        task.number,
        task.status,
        task.priority,
        task.task_channel.sid,
        None if task.queue is None else task.queue.sid,
        None if task.workflow is None else task.workflow.sid,
        round(task.date_created, 3),
        None if task.queue_entered_at is None else round(task.queue_entered_at, 3),
        _cut(task.attributes),
        task.reason,
        round(task.date_updated, 3),
    ]


def worker_record(worker: Worker, sessions: int) -> list[object]:
    """A worker in a list; `sessions` are its websockets."""
    return [
        worker.sid,
        worker.number,
        worker.friendly_name,
        worker.activity.sid,
        round(worker.date_status_changed, 3),
        sessions,
        _cut(worker.attributes),
        [
            [channel.task_channel.sid, channel.active, channel.configured_capacity, channel.available]
            for channel in worker.channels.values()
            if channel.configured_capacity > 0 or channel.active
        ],
    ]


def reservation_record(reservation: Reservation) -> list[object]:
    """A reservation in a list."""
    return [
        reservation.sid,
        reservation.number,
        reservation.status,
        reservation.task.sid,
        reservation.worker.sid,
        reservation.worker.friendly_name,
        None if reservation.queue is None else reservation.queue.sid,
        round(reservation.date_created, 3),
        round(reservation.date_updated, 3),
        round(reservation.deadline, 3),
        reservation.timeout,
    ]


def event_record(event: PastEvent) -> list[object]:
    """An event in the timeline."""
    data = event.data
    return [
        event.seq,
        event.sid,
        event.type,
        round(event.at, 3),
        event.description,
        event.resource_type,
        event.resource_sid,
        data.get("task_sid"),
        data.get("worker_sid"),
        data.get("worker_name"),
        event.actor_type,
    ]


def config(workspace: Workspace) -> dict[str, object]:
    """What seldom changes: activities, channels, workflows, and the queues with their workers."""
    return {
        "sid": workspace.sid,
        "name": workspace.friendly_name,
        "multi_task": workspace.multi_task_enabled,
        "activities": [[a.sid, a.friendly_name, a.available] for a in workspace.activities.values()],
        "channels": [[c.sid, c.unique_name, c.friendly_name] for c in workspace.task_channels.values()],
        "workflows": [
            [w.sid, w.friendly_name, w.task_reservation_timeout] for w in workspace.workflows.values()
        ],
        "queues": [
            [queue.sid, queue.friendly_name, queue.target_workers, queue.task_order, eligible, available]
            for queue in workspace.task_queues.values()
            for eligible, available in (_staff(workspace, queue.sid),)
        ],
    }


def _staff(workspace: Workspace, queue_sid: str) -> tuple[int, int]:
    """How many workers match a queue, and how many of them are available."""
    counts = workspace.activity_counts(queue_sid)
    return sum(counts.values()), sum(n for activity, n in counts.items() if activity.available)


def _cut(attributes: str) -> str:
    """The first of the attributes, as JSON: half of the text is none, and its escapes cannot be read."""
    if len(attributes) <= PREVIEW:
        return attributes
    try:
        values: object = json.loads(attributes)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return attributes[: PREVIEW - 1] + "…"
    shown: dict[str, object] = {}
    room = PREVIEW
    for name, value in cast("dict[str, object]", values).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(name) + len(text) > room:
            cut = name if len(name) <= room else f"{name[:room]}…"
            shown[cut] = text[: max(0, room - len(name))] + "…"
            break
        shown[name] = value
        room -= len(name) + len(text)
    return json.dumps(shown)
