"""A workspace under a clock that stands still, with short ways to do and to see things."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping

from server_stub.domain.events import Event
from server_stub.domain.expression import Expression
from server_stub.domain.model import (
    Activity,
    Limits,
    Reservation,
    Task,
    TaskQueue,
    Transfer,
    Worker,
    Workflow,
)
from server_stub.domain.workflow import Step, WorkflowConfiguration
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import EventType, QueueOrder, WorkspaceTemplate

WORKSPACE = "WS" + "0" * 31 + "1"
ACCOUNT = "AC" + "0" * 31 + "a"


class Desk:
    """A workspace with the three usual activities, driven as a server's runtime drives it."""

    def __init__(
        self,
        *,
        template: WorkspaceTemplate = WorkspaceTemplate.FIFO,
        limits: Limits | None = None,
        multi_task_enabled: bool = True,
        prioritize_queue_order: QueueOrder = QueueOrder.FIFO,
        sid: str = WORKSPACE,
    ) -> None:
        self.time = 1_000_000.0
        numbers = itertools.count(1)
        self.ws = Workspace(
            sid=sid,
            account_sid=ACCOUNT,
            friendly_name="desk",
            now=lambda: self.time,
            sids=lambda prefix: f"{prefix}{next(numbers):032x}",
            limits=limits or Limits(),
            template=template,
            multi_task_enabled=multi_task_enabled,
            prioritize_queue_order=prioritize_queue_order,
        )
        self.created = self.ws.take_events()
        self.offline, self.available, self.unavailable = list(self.ws.activities.values())[:3]
        self.commands: list[list[Event]] = []  # the events of each command since the last `heard`

    # -- doing

    def settle(self) -> None:
        """End the command under way, then let the engine make all the rounds it can."""
        self.commands.append(self.ws.take_events())
        rounds = 0
        while self.ws.route():
            rounds += 1
            assert rounds < 5_000, "the engine goes round in circles"
            self.commands.append(self.ws.take_events())

    def wait(self, seconds: float) -> None:
        """Turn the clock to each deadline in between, and carry it out when it is due."""
        until = self.time + seconds
        while (at := self.ws.next_deadline()) is not None and at <= until:
            self.time = max(self.time, at)
            assert self.ws.advance(), "a deadline is due, yet there is nothing to carry out"
            self.settle()
        self.time = until

    def jump(self, seconds: float) -> None:
        """Turn the clock in one go, then carry out everything that has become due."""
        self.time += seconds
        while self.ws.advance():
            self.settle()

    def queue(
        self,
        name: str = "Cards",
        target_workers: str = "1==1",
        *,
        max_reserved_workers: int = 1,
        task_order: QueueOrder = QueueOrder.FIFO,
        reservation_activity: Activity | None = None,
        assignment_activity: Activity | None = None,
    ) -> TaskQueue:
        queue = self.ws.create_task_queue(
            friendly_name=name,
            target_workers=target_workers,
            max_reserved_workers=max_reserved_workers,
            task_order=task_order,
            reservation_activity_sid=reservation_activity.sid if reservation_activity else None,
            assignment_activity_sid=assignment_activity.sid if assignment_activity else None,
        )
        self.settle()
        return queue

    def workflow(
        self,
        *filters: Mapping[str, object],
        default: TaskQueue | None = None,
        name: str = "Front desk",
        reservation_timeout: int = 120,
    ) -> Workflow:
        workflow = self.ws.create_workflow(
            friendly_name=name,
            configuration=configuration(*filters, default=default),
            task_reservation_timeout=reservation_timeout,
        )
        self.settle()
        return workflow

    def worker(
        self,
        name: str,
        *,
        activity: Activity | None = None,
        capacity: int | None = None,
        **attributes: object,
    ) -> Worker:
        """An available worker, with the same capacity on all channels if one is given."""
        worker = self.ws.create_worker(
            friendly_name=name,
            activity_sid=(activity or self.available).sid,
            attributes=json.dumps(attributes),
        )
        if capacity is not None:
            for channel in worker.channels.values():
                channel.configured_capacity = capacity
        self.settle()
        return worker

    def task(
        self,
        workflow: Workflow | None = None,
        *,
        priority: int = 0,
        timeout: int = 86_400,
        channel: str | None = None,
        routing_target: str | None = None,
        ignore_capacity: bool | None = None,
        virtual_start_time: float | None = None,
        task_queue: TaskQueue | None = None,
        **attributes: object,
    ) -> Task:
        task = self.ws.create_task(
            workflow_sid=workflow.sid if workflow else None,
            attributes=json.dumps(attributes),
            priority=priority,
            timeout=timeout,
            task_channel=channel,
            routing_target=routing_target,
            ignore_capacity=ignore_capacity,
            virtual_start_time=virtual_start_time,
            task_queue_sid=task_queue.sid if task_queue else None,
        )
        self.settle()
        return task

    def move(self, worker: Worker, activity: Activity) -> None:
        self.ws.update_worker(worker.sid, activity_sid=activity.sid)
        self.settle()

    def answer(self, reservation: Reservation, status: str, *, activity: Activity | None = None) -> None:
        self.ws.update_reservation(
            reservation.sid, status=status, worker_activity_sid=activity.sid if activity else None
        )
        self.settle()

    def set_status(self, task: Task, status: str, reason: str | None = None) -> None:
        self.ws.update_task(task.sid, assignment_status=status, reason=reason)
        self.settle()

    def transfer(
        self,
        reservation: Reservation,
        to: Worker | TaskQueue,
        mode: str | None = None,
        *,
        priority: int | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Transfer:
        transfer = self.ws.create_transfer(
            reservation.worker.sid,
            reservation_sid=reservation.sid,
            task_sid=reservation.task.sid,
            to=to.sid,
            mode=mode,
            priority=priority,
            attributes=None if attributes is None else json.dumps(attributes),
        )
        self.settle()
        return transfer

    def take_back(self, transfer: Transfer) -> None:
        worker = transfer.initiating_reservation.worker
        self.ws.cancel_transfer(worker.sid, transfer.sid, task_sid=transfer.task.sid, status="canceled")
        self.settle()

    # -- seeing

    def heard(self) -> list[EventType]:
        """The types of all events since the last call, pushes outside the history left out."""
        return [event.type for event in self.events()]

    def events(self) -> list[Event]:
        """All logged events since the last call."""
        found = [event for command in self.commands for event in command if event.logged]
        self.commands.clear()
        return found


def configuration(*filters: Mapping[str, object], default: TaskQueue | None = None) -> str:
    routing: dict[str, object] = {"filters": list(filters)}
    if default is not None:
        routing["default_filter"] = {"queue": default.sid}
    return json.dumps({"task_routing": routing})


def target(queue: TaskQueue | None = None, **keys: object) -> dict[str, object]:
    return keys if queue is None else {"queue": queue.sid, **keys}


def rule(*targets: Mapping[str, object], expression: str = "", name: str = "a filter") -> dict[str, object]:
    return {"filter_friendly_name": name, "expression": expression, "targets": list(targets)}


def pending(holder: Task | Worker) -> Reservation:
    """The one live reservation of a task or worker."""
    (reservation,) = holder.live_reservations
    return reservation


def reserved_names(task: Task) -> list[str]:
    """The workers that hold a live reservation of the task, in the order in which they were chosen."""
    return [reservation.worker.friendly_name for reservation in task.live_reservations]


def snapshot(ws: Workspace) -> object:
    """Everything that the workspace holds, as plain values that compare."""
    maps = ("activities", "task_channels", "task_queues", "workflows", "workers", "worker_channels")
    more = ("tasks", "reservations", "transfers")
    settings = ("friendly_name", "multi_task_enabled", "event_callback_url", "events_filter", "date_updated")
    return (
        [getattr(ws, name) for name in settings],
        [ws.prioritize_queue_order, ws.default_activity.sid, ws.timeout_activity.sid, ws.seq],
        ws.next_deadline(),
        {name: {sid: _plain(entity) for sid, entity in getattr(ws, name).items()} for name in maps + more},
    )


def _plain(entity: object) -> dict[str, object]:
    assert dataclasses.is_dataclass(entity)
    return {field.name: _value(getattr(entity, field.name)) for field in dataclasses.fields(entity)}


def _value(value: object) -> object:
    match value:
        case Expression() | Step() | WorkflowConfiguration():
            return id(value)
        case dict():
            return {key: _value(item) for key, item in value.items()}
        case list():
            return [_value(item) for item in value]
        case _:
            return getattr(value, "sid", value)
