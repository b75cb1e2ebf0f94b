"""What a test sets its workspace up with: workers, tasks, queues, workflows, activities."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, TypeVar

from server_stub.domain.arguments import integer
from server_stub.domain.model import TaskChannel, Worker
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import QueueOrder

from .desk import Desk, as_json, find
from .handles import ActivityHandle, QueueHandle, TaskHandle, WorkerHandle, WorkflowHandle

__all__ = ["Factories"]

__tracebackhide__ = True  # pytest shows the test's line instead

Json = Mapping[str, Any]  # Any: attributes and configurations are the application's JSON

T = TypeVar("T")


class Factories:
    """The factories of `TaskRouter`.

    Each acts at once, as the REST API does, and returns a handle. What is named can be given by its
    handle, its SID or its name.

    All of them raise `DomainError` with TaskRouter's message for what TaskRouter refuses, `LookupError`
    for a name that nothing has, and `TypeError` for attributes that are no dict or that JSON cannot show.
    """

    _desk: Desk

    def __init__(self) -> None:
        self._names = count(1)

    def worker(
        self,
        name: str | None = None,
        *,
        attributes: Json | None = None,
        activity: str | ActivityHandle = "Available",
        capacities: Mapping[str, int] | None = None,
    ) -> WorkerHandle:
        """A new worker.

        Args:
            name: its friendly name, unlike all others'; one is made up unless given.
            attributes: what queues and workflows look at.
            activity: where it is at first; ready for work unless given.
            capacities: how much it takes at once, by a channel's unique name; 1 elsewhere.
        """
        shown = name if name is not None else f"Worker {next(self._names)}"
        text = as_json(attributes)

        def create(ws: Workspace) -> str:
            place = find(ws.activities, activity, "activity", lambda one: one.friendly_name)
            for channel, capacity in (capacities or {}).items():
                find(ws.task_channels, channel, "task channel", _unique_name)
                integer("Capacity", capacity, low=0, high=ws.limits.max_channel_capacity)
            made: Worker = ws.create_worker(friendly_name=shown, attributes=text, activity_sid=place.sid)
            for channel, capacity in (capacities or {}).items():
                ws.update_worker_channel(made.sid, channel, capacity=capacity)
            return made.sid

        return WorkerHandle(self._desk, self._desk.do(create))

    def task(
        self,
        attributes: Json | None = None,
        *,
        workflow: WorkflowHandle | str | None = None,
        queue: QueueHandle | str | None = None,
        worker: WorkerHandle | str | None = None,
        channel: str | None = None,
        priority: int = 0,
        timeout: int = 86_400,
    ) -> TaskHandle:
        """A new task.

        Args:
            attributes: what workflows look at.
            workflow: which one leads it; may be left out if there is just one.
            queue: put it there, past all workflows.
            worker: offer it to this worker alone, whatever its activity and capacity.
            channel: a task channel's unique name, such as ``chat``; ``default`` unless given.
            priority: higher ones are served first.
            timeout: seconds to live until it is accepted.

        Raises:
            TypeError: more than one of workflow, queue and worker is given, or none where there is not just
                one workflow.
        """
        text = as_json(attributes)
        if sum(one is not None for one in (workflow, queue, worker)) > 1:
            raise TypeError("give a task one of workflow, queue and worker, not several")

        def create(ws: Workspace) -> str:
            leader = _sid(ws.workflows, workflow, "workflow", lambda one: one.friendly_name)
            target = _sid(ws.task_queues, queue, "task queue", lambda one: one.friendly_name)
            target = target or _sid(ws.workers, worker, "worker", lambda one: one.friendly_name)
            if leader is target is None and len(ws.workflows) != 1:
                names = ", ".join(repr(one.friendly_name) for one in ws.workflows.values()) or "none"
                raise TypeError(f"give the task a workflow, queue or worker; there are the workflows {names}")
            return ws.create_task(
                workflow_sid=leader,
                attributes=text,
                priority=priority,
                timeout=timeout,
                task_channel=channel,
                routing_target=target,
            ).sid

        return TaskHandle(self._desk, self._desk.do(create))

    def queue(
        self,
        name: str,
        *,
        workers: str = "1==1",
        max_reserved_workers: int = 1,
        order: QueueOrder | str = QueueOrder.FIFO,
    ) -> QueueHandle:
        """A new task queue.

        Args:
            name: its friendly name.
            workers: the expression that its workers match, such as ``skills HAS 'cards'``; all unless given.
            max_reserved_workers: to how many workers a task is offered at once.
            order: ``FIFO`` or ``LIFO``.

        Raises:
            ValueError: there is no such order.
        """
        chosen = QueueOrder(order)
        return QueueHandle(
            self._desk,
            self._desk.do(
                lambda ws: (
                    ws.create_task_queue(
                        friendly_name=name,
                        target_workers=workers,
                        max_reserved_workers=max_reserved_workers,
                        task_order=chosen,
                    ).sid
                )
            ),
        )

    def workflow(
        self,
        name: str,
        configuration: Json | None = None,
        *,
        queue: QueueHandle | str | None = None,
        reservation_timeout: int = 120,
        assignment_callback_url: str | None = None,
    ) -> WorkflowHandle:
        """A new workflow.

        Args:
            name: its friendly name.
            configuration: its rules, as in the REST API: ``{"task_routing": {"filters": [...]}}``.
            queue: instead of rules: it leads every task there.
            reservation_timeout: seconds that a reservation waits for an answer.
            assignment_callback_url: who is asked what becomes of a reservation.

        Raises:
            TypeError: neither or both of `configuration` and `queue` are given.
        """
        if (configuration is None) == (queue is None):
            raise TypeError("give a workflow either its configuration or a queue")

        def create(ws: Workspace) -> str:
            rules: Json
            if configuration is None:
                sid = _sid(ws.task_queues, queue, "task queue", lambda one: one.friendly_name)
                rules = {"task_routing": {"filters": list[object](), "default_filter": {"queue": sid}}}
            else:
                rules = configuration
            return ws.create_workflow(
                friendly_name=name,
                configuration=json.dumps(dict(rules)),
                task_reservation_timeout=reservation_timeout,
                assignment_callback_url=assignment_callback_url,
            ).sid

        return WorkflowHandle(self._desk, self._desk.do(create))

    def activity(self, name: str, *, available: bool = False) -> ActivityHandle:
        """A new activity; `available` tells whether workers in it get work."""
        return ActivityHandle(
            self._desk,
            self._desk.do(lambda ws: ws.create_activity(friendly_name=name, available=available).sid),
        )

    def channel(self, unique_name: str, *, name: str | None = None) -> str:
        """A new task channel; returns its SID. Workers get a capacity of 1 on it."""
        return self._desk.do(
            lambda ws: ws.create_task_channel(friendly_name=name or unique_name, unique_name=unique_name).sid
        )


def _unique_name(channel: TaskChannel) -> str:
    return channel.unique_name


def _sid(things: Mapping[str, T], wanted: Any, kind: str, name: Callable[[T], str]) -> str | None:
    """The SID of what is meant; None if nothing is."""
    if wanted is None:
        return None
    found: Any = find(things, wanted, kind, name)
    return str(found.sid)
