"""Events and statistics as the REST API shows them (TaskRouter REST API, Events and Statistics)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from server_stub.chronicle import Records
from server_stub.domain.history import PastEvent, Window
from server_stub.domain.model import Activity, TaskQueue, Worker, Workflow
from server_stub.domain.moments import whole_ms
from server_stub.domain.statistics import Durations, OpenTasks, Totals, Waiting
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import EventType, TaskStatus

__all__ = ["RecordView"]

Json = dict[str, object]

_OPEN: Final = (TaskStatus.PENDING, TaskStatus.RESERVED, TaskStatus.ASSIGNED, TaskStatus.WRAPPING)


class RecordView:
    """REST JSON of what happened, for one client.

    Args:
        base: the scheme and host that the client used, with ``/v1/Workspaces``.
        now: epoch seconds.
    """

    __slots__ = ("_base", "_now")

    def __init__(self, base: str, now: float) -> None:
        self._base = base
        self._now = now

    def _url(self, workspace: Workspace, *path: str) -> str:
        return "/".join((self._base, workspace.sid, *path))

    # -------------------------------------------------------- events

    def event(self, workspace: Workspace, event: PastEvent) -> Json:
        """An event of the history."""
        actor = (
            self._url(workspace)
            if event.actor_sid == workspace.sid
            else self._url(workspace, "Workers", event.actor_sid)
        )
        return {
            "account_sid": workspace.account_sid,
            "actor_sid": event.actor_sid,
            "actor_type": event.actor_type,
            "actor_url": actor,
            "description": event.description,
            "event_data": event.data,
            "event_date": _date(event.at),
            "event_date_ms": whole_ms(event.at),
            "event_type": event.type,
            "resource_sid": event.resource_sid,
            "resource_type": event.resource_type,
            "resource_url": self._url(workspace, *event.path),
            "sid": event.sid,
            "source": "taskrouter",
            "source_ip_address": None,
            "workspace_sid": workspace.sid,
            "url": self._url(workspace, "Events", event.sid),
        }

    # -------------------------------------------------------- real time

    def workspace_now(self, workspace: Workspace, records: Records, channel_sid: str | None) -> Json:
        """A workspace at this moment."""
        activities = Counter(worker.activity for worker in workspace.workers.values())
        return {
            **self._tasks(records.statistics.open_tasks(workspace.sid, channel_sid=channel_sid)),
            "activity_statistics": _activities(workspace, activities),
            "total_workers": len(workspace.workers),
        }

    def workflow_now(self, workflow: Workflow, records: Records, channel_sid: str | None) -> Json:
        """A workflow at this moment."""
        return self._tasks(records.statistics.open_tasks(workflow.sid, channel_sid=channel_sid))

    def queue_now(
        self, workspace: Workspace, queue: TaskQueue, records: Records, channel_sid: str | None
    ) -> Json:
        """A queue at this moment. Its workers count whatever they are at work on."""
        tasks = records.statistics.open_tasks(queue.sid, channel_sid=channel_sid)
        activities = workspace.activity_counts(queue.sid)
        longest = tasks.longest_in_queue
        return {
            **self._tasks(tasks),
            "activity_statistics": _activities(workspace, activities),
            "longest_relative_task_age_in_queue": self._age(longest),
            "longest_relative_task_sid_in_queue": None if longest is None else longest.sid,
            "total_available_workers": sum(n for activity, n in activities.items() if activity.available),
            "total_eligible_workers": sum(activities.values()),
        }

    def bulk(
        self, workspace: Workspace, queues: Sequence[TaskQueue], records: Records, url_path: Sequence[str]
    ) -> Json:
        """Several queues at this moment."""
        kept = (
            "activity_statistics",
            "longest_task_waiting_age",
            "longest_task_waiting_sid",
            "tasks_by_priority",
            "tasks_by_status",
            "total_available_workers",
            "total_eligible_workers",
            "total_tasks",
        )
        data: list[Json] = []
        for queue in queues:
            numbers = self.queue_now(workspace, queue, records, None)
            data.append({"task_queue_sid": queue.sid, **{key: numbers[key] for key in kept}})
        return {
            **self._owner(workspace, url_path),
            "task_queue_data": data,
            "task_queue_response_count": len(data),
        }

    def workers_now(self, workspace: Workspace, workers: Collection[Worker]) -> Json:
        """Some workers at this moment."""
        return {
            "activity_statistics": _activities(workspace, Counter(worker.activity for worker in workers)),
            "total_workers": len(workers),
        }

    def _tasks(self, tasks: OpenTasks) -> Json:
        longest = tasks.longest_waiting
        return {
            "longest_task_waiting_age": self._age(longest),
            "longest_task_waiting_sid": None if longest is None else longest.sid,
            "tasks_by_priority": {str(priority): n for priority, n in sorted(tasks.by_priority.items())},
            "tasks_by_status": {status: tasks.by_status.get(status, 0) for status in _OPEN},
            "total_tasks": tasks.total,
        }

    def _age(self, waiting: Waiting | None) -> int:
        return 0 if waiting is None else max(0, int(self._now - waiting.since))

    # -------------------------------------------------------- cumulative

    def workspace_totals(self, totals: Totals, window: Window, *, combined: bool) -> Json:
        """What happened in a workspace."""
        return {
            **_totals(totals, window, combined=combined),
            "tasks_created": totals.events[EventType.TASK_CREATED],
            "tasks_timed_out_in_workflow": totals.events[EventType.WORKFLOW_TIMEOUT],
        }

    def workflow_totals(self, totals: Totals, window: Window, *, combined: bool) -> Json:
        """What happened in a workflow."""
        return {
            **_totals(totals, window, combined=combined),
            "tasks_entered": totals.events[EventType.WORKFLOW_ENTERED],
            "tasks_timed_out_in_workflow": totals.events[EventType.WORKFLOW_TIMEOUT],
        }

    def queue_totals(self, totals: Totals, window: Window, *, combined: bool) -> Json:
        """What happened in a queue. Tasks that were moved are those that left it for another one."""
        return {
            **_totals(totals, window, combined=combined),
            "tasks_entered": totals.events[EventType.TASK_QUEUE_ENTERED],
            "wait_duration_in_queue_until_accepted": _durations(totals.in_queue_until_accepted),
        }

    def workers_totals(
        self, workspace: Workspace, totals: Totals, stays: Mapping[str, Durations], window: Window
    ) -> Json:
        """What some workers did."""
        return {
            **_reservations(totals, window),
            "activity_durations": [
                {
                    "sid": activity.sid,
                    "friendly_name": activity.friendly_name,
                    **_durations(stays.get(activity.sid, Durations())),
                }
                for activity in workspace.activities.values()
            ],
        }

    # -------------------------------------------------------- whole bodies

    def body(self, workspace: Workspace, url_path: Sequence[str], numbers: Json, **sids: str) -> Json:
        """A body of its own: the numbers, whose they are, and where they came from."""
        return {**self._owner(workspace, url_path), **sids, **numbers}

    def list_item(self, workspace: Workspace, queue: TaskQueue, realtime: Json, cumulative: Json) -> Json:
        """One queue in the list of all queues' statistics, which names no address."""
        return {
            "account_sid": workspace.account_sid,
            "workspace_sid": workspace.sid,
            "task_queue_sid": queue.sid,
            "realtime": realtime,
            "cumulative": cumulative,
        }

    def _owner(self, workspace: Workspace, url_path: Iterable[str]) -> Json:
        return {
            "account_sid": workspace.account_sid,
            "workspace_sid": workspace.sid,
            "url": self._url(workspace, *url_path),
        }


def _activities(workspace: Workspace, counts: Mapping[Activity, int]) -> list[Json]:
    """Every activity of the workspace, also those that nobody is in."""
    return [
        {"sid": activity.sid, "friendly_name": activity.friendly_name, "workers": counts.get(activity, 0)}
        for activity in workspace.activities.values()
    ]


def _reservations(totals: Totals, window: Window) -> Json:
    events = totals.events
    return {
        "start_time": _date(window.start),
        "end_time": _date(window.end),
        "reservations_created": events[EventType.RESERVATION_CREATED],
        "reservations_accepted": events[EventType.RESERVATION_ACCEPTED],
        "reservations_rejected": events[EventType.RESERVATION_REJECTED],
        "reservations_timed_out": events[EventType.RESERVATION_TIMEOUT],
        "reservations_canceled": events[EventType.RESERVATION_CANCELED],
        "reservations_rescinded": events[EventType.RESERVATION_RESCINDED],
    }


def _totals(totals: Totals, window: Window, *, combined: bool) -> Json:
    """What workspace, workflow and queue have in common.

    The mean time until acceptance is a decimal number where real-time and cumulative statistics come
    together, and whole seconds where they come apart, as TaskRouter's are.
    """
    events = totals.events
    mean = totals.until_accepted.avg / 1000
    return {
        **_reservations(totals, window),
        "avg_task_acceptance_time": mean if combined else int(mean),
        "split_by_wait_time": _splits(totals),
        "tasks_canceled": events[EventType.TASK_CANCELED],
        "tasks_completed": events[EventType.TASK_COMPLETED],
        "tasks_deleted": events[EventType.TASK_DELETED] + events[EventType.TASK_SYSTEM_DELETED],
        "tasks_moved": events[EventType.TASK_QUEUE_MOVED],
        "wait_duration_until_accepted": _durations(totals.until_accepted),
        "wait_duration_until_canceled": _durations(totals.until_canceled),
    }


def _splits(totals: Totals) -> Json | None:
    if not totals.splits:
        return None
    return {
        str(threshold // 1000): {
            "above": {"tasks_canceled": split.canceled_above, "reservations_accepted": split.accepted_above},
            "below": {"tasks_canceled": split.canceled_below, "reservations_accepted": split.accepted_below},
        }
        for threshold, split in totals.splits.items()
    }


def _durations(durations: Durations) -> Json:
    """In whole seconds."""
    return {
        "avg": int(durations.avg / 1000),
        "min": durations.min // 1000,
        "max": durations.max // 1000,
        "total": durations.total // 1000,
    }


def _date(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
