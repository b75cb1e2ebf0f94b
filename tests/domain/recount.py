"""Statistics counted the slow way: from the whole event history, and from every task and worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from server_stub.domain.history import PastEvent, Window
from server_stub.domain.statistics import Durations, OpenTasks, Split, Totals, milliseconds
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import TASK_ENDED, EventType, TaskStatus

COUNTED = frozenset(
    {
        "task.created",
        "task.completed",
        "task.canceled",
        "task.deleted",
        "task.system-deleted",
        "task-queue.entered",
        "task-queue.moved",
        "workflow.entered",
        "workflow.timeout",
        "reservation.created",
        "reservation.accepted",
        "reservation.rejected",
        "reservation.timeout",
        "reservation.canceled",
        "reservation.rescinded",
    }
)

Pick = Callable[[PastEvent], bool]


def of_queue(sid: str) -> Pick:
    """Events that count for a queue: a task that moves counts for the queue it leaves."""

    def pick(event: PastEvent) -> bool:
        moved = event.type is EventType.TASK_QUEUE_MOVED
        return event.data.get("previous_task_queue_sid" if moved else "task_queue_sid") == sid

    return pick


def of_workflow(sid: str) -> Pick:
    return lambda event: event.data.get("workflow_sid") == sid


def of_worker(sid: str) -> Pick:
    return lambda event: event.resource_type == "reservation" and event.data["worker_sid"] == sid


def of_channel(sid: str) -> Pick:
    return lambda event: event.data.get("task_channel_sid") == sid


def totals(history: Sequence[PastEvent], window: Window, *picks: Pick, thresholds: Sequence[int]) -> Totals:
    """What happened in the window, from all events there ever were, oldest first."""
    counted = Totals(splits={threshold: Split() for threshold in thresholds})
    created: dict[str, int] = {}
    entered: dict[str, int] = {}
    for event in history:
        task_sid = event.data.get("task_sid", "")
        at = milliseconds(event.at)
        if event.type is EventType.TASK_CREATED:
            created[task_sid] = at
        if event.type is EventType.TASK_QUEUE_ENTERED:
            entered[task_sid] = at
        if event.type not in COUNTED or not window.start <= event.at <= window.end:
            continue
        if not all(pick(event) for pick in picks):
            continue
        counted.events[event.type] += 1
        if event.type is EventType.RESERVATION_ACCEPTED:
            waited = at - created[task_sid]
            counted.until_accepted.add(waited)
            counted.in_queue_until_accepted.add(at - entered[task_sid] if task_sid in entered else 0)
            for threshold, split in counted.splits.items():
                if waited > threshold:
                    split.accepted_above += 1
                else:
                    split.accepted_below += 1
        if event.type is EventType.TASK_CANCELED:
            waited = at - created[task_sid]
            counted.until_canceled.add(waited)
            for threshold, split in counted.splits.items():
                if waited > threshold:
                    split.canceled_above += 1
                else:
                    split.canceled_below += 1
    return counted


def stays(
    history: Sequence[PastEvent], window: Window, now: float, worker_sid: str | None = None
) -> dict[str, Durations]:
    """How long workers were in each activity, from the events that moved them."""
    found: dict[str, Durations] = {}
    places: dict[str, tuple[str, float]] = {}

    def leave(sid: str, until: float) -> None:
        activity_sid, since = places.pop(sid)
        first, last = max(since, window.start), min(until, window.end)
        spent = milliseconds(last) - milliseconds(first)
        if spent > 0 and worker_sid in (None, sid):
            found.setdefault(activity_sid, Durations()).add(spent)

    for event in history:
        if event.resource_type != "worker":
            continue
        sid = event.resource_sid
        if event.type in (EventType.WORKER_ACTIVITY_UPDATE, EventType.WORKER_DELETED):
            leave(sid, event.at)
        if event.type in (EventType.WORKER_CREATED, EventType.WORKER_ACTIVITY_UPDATE):
            places[sid] = (event.data["worker_activity_sid"], event.at)
    for sid in list(places):
        leave(sid, now)
    return found


def open_tasks(
    workspace: Workspace,
    *,
    queue_sid: str | None = None,
    workflow_sid: str | None = None,
    channel_sid: str | None = None,
) -> tuple[Counter[TaskStatus], Counter[int], str | None, str | None]:
    """Open tasks by status and priority, who has waited longest, and who longest in its queue."""
    found = [
        task
        for task in workspace.tasks.values()
        if task.status not in TASK_ENDED
        and (queue_sid is None or (task.queue is not None and task.queue.sid == queue_sid))
        and (workflow_sid is None or (task.workflow is not None and task.workflow.sid == workflow_sid))
        and channel_sid in (None, task.task_channel.sid)
    ]
    waiting = [task for task in found if task.status in (TaskStatus.PENDING, TaskStatus.RESERVED)]
    oldest = min(waiting, key=lambda task: (task.date_created, task.number), default=None)
    queued = [(task.queue_entered_at, task.number, task.sid) for task in waiting if task.queue_entered_at]
    return (
        Counter(task.status for task in found),
        Counter(task.priority for task in found),
        oldest.sid if oldest else None,
        min(queued)[2] if queued else None,
    )


def shown(tasks: OpenTasks) -> tuple[Counter[TaskStatus], Counter[int], str | None, str | None]:
    """The same of what is kept."""
    longest, in_queue = tasks.longest_waiting, tasks.longest_in_queue
    return (
        Counter(tasks.by_status),
        Counter(tasks.by_priority),
        longest.sid if longest else None,
        in_queue.sid if in_queue else None,
    )
