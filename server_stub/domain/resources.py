"""Commands for what a workspace is set up with: itself, activities, channels, queues, workflows.

Every command checks all of its arguments before it changes anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self

from taskrouter_worker.terms import (
    TASK_ENDED,
    EventType,
    QueueOrder,
    SidPrefix,
    TaskStatus,
    WorkspaceTemplate,
)

from . import arguments
from .dispatch import Dispatcher, Fact
from .engine import Engine, is_direct
from .errors import InvalidArgument, VersionConflict
from .instructions import Instructions
from .model import Activity, Limits, Task, TaskChannel, TaskQueue, Worker, WorkerChannel, Workflow
from .state import WorkspaceState
from .workflow import WorkflowConfiguration, parse_configuration

__all__ = ["ConfiguredWorkspace"]

_MAX_RESERVED_WORKERS = 50
_MAX_RESERVATION_TIMEOUT = 86_400  # seconds

_ACTIVITIES = (("Offline", False), ("Available", True), ("Unavailable", False))
_CHANNELS = (
    ("default", "Default"),
    ("voice", "Voice"),
    ("sms", "SMS"),
    ("chat", "Programmable Chat"),
    ("video", "Video"),
)


class ConfiguredWorkspace(WorkspaceState):
    """A workspace and the commands that set it up. `Workspace` adds those that work in it."""

    def __init__(
        self,
        *,
        sid: str,
        account_sid: str,
        friendly_name: str,
        now: Callable[[], float],
        sids: Callable[[str], str],
        limits: Limits = Limits(),  # noqa: B008 - immutable, so one for all is safe
        template: WorkspaceTemplate = WorkspaceTemplate.NONE,
        multi_task_enabled: bool = True,
        event_callback_url: str = "",
        events_filter: str | None = None,
        prioritize_queue_order: QueueOrder = QueueOrder.FIFO,
    ) -> None:
        """Make a workspace with what the template holds, and record its creation.

        Args:
            sid: its own SID.
            account_sid: the account it belongs to.
            friendly_name: required, up to 64 characters.
            now: tells the time in epoch seconds.
            sids: makes a new SID that begins with the given two letters.
            limits: TaskRouter's numbers, to be changed for tests and experiments.
            template: ``FIFO`` adds a queue and a workflow that leads every task to it.
            multi_task_enabled: False makes a legacy workspace: one reservation per worker.
            event_callback_url: where events go by webhook; empty for nowhere.
            events_filter: comma list of the event types to send there; None for all.
            prioritize_queue_order: which kind of queue serves first a worker that is in both kinds.

        Raises:
            InvalidArgument: one of them is out of its range.
        """
        super().__init__(
            sid=sid,
            account_sid=account_sid,
            friendly_name=arguments.name(
                "FriendlyName", friendly_name, at_most=limits.max_friendly_name_length
            ),
            now=now,
            sids=sids,
            limits=limits,
            multi_task_enabled=arguments.boolean("MultiTaskEnabled", multi_task_enabled),
            event_callback_url=arguments.optional_url("EventCallbackUrl", event_callback_url),
            events_filter=None if events_filter is None else arguments.event_types(events_filter),
            prioritize_queue_order=arguments.choice(
                "PrioritizeQueueOrder", prioritize_queue_order, QueueOrder
            ),
        )
        self.equip()
        template = arguments.choice("Template", template, WorkspaceTemplate)
        self.record(EventType.WORKSPACE_CREATED, None)
        for activity_name, available in _ACTIVITIES:
            self.create_activity(friendly_name=activity_name, available=available)
        self.default_activity = self.timeout_activity = next(iter(self.activities.values()))
        for unique_name, channel_name in _CHANNELS:
            self.create_task_channel(friendly_name=channel_name, unique_name=unique_name)
        if template is WorkspaceTemplate.FIFO:
            queue = self.create_task_queue(friendly_name="Sample Queue")
            routing = {"filters": list[object](), "default_filter": {"queue": queue.sid}}
            self.create_workflow(
                friendly_name="Default Fifo Workflow", configuration=json.dumps({"task_routing": routing})
            )

    def equip(self) -> None:
        """Build the machinery around the maps that hold the entities."""
        self._dispatcher = Dispatcher(
            self.workers, multi_task=self.multi_task_enabled, first=self.prioritize_queue_order
        )
        self._engine = Engine(self, self._dispatcher)
        self._instructions = Instructions(self, self._engine)

    # -------------------------------------------------------- to be stored and taken up again

    @classmethod
    def bare(
        cls,
        *,
        sid: str,
        account_sid: str,
        friendly_name: str,
        now: Callable[[], float],
        sids: Callable[[str], str],
        limits: Limits,
        multi_task_enabled: bool,
        event_callback_url: str,
        events_filter: str | None,
        prioritize_queue_order: QueueOrder,
    ) -> Self:
        """A workspace with nothing in it, for `memento` to fill: nothing is checked, nothing recorded."""
        workspace = cls.__new__(cls)
        WorkspaceState.__init__(
            workspace,
            sid=sid,
            account_sid=account_sid,
            friendly_name=friendly_name,
            now=now,
            sids=sids,
            limits=limits,
            multi_task_enabled=multi_task_enabled,
            event_callback_url=event_callback_url,
            events_filter=events_filter,
            prioritize_queue_order=prioritize_queue_order,
        )
        workspace.equip()
        return workspace

    def resume(self, *, seq: int, numbers: int, asking: Iterable[str], unrouted: Iterable[str]) -> None:
        """Take up the work on the entities that were filled in.

        Args:
            seq: the last event's sequence number.
            numbers: the last number that was given.
            asking: see `Dispatcher.asking`.
            unrouted: see `Engine.unrouted`.
        """
        self.seq, self._numbers = seq, numbers
        fresh = frozenset(asking)
        for queue in self.task_queues.values():
            self._dispatcher.set_queue(queue)
        for worker in self.workers.values():
            self._dispatcher.add_worker(worker)
        for task in self.tasks.values():
            if task.status is TaskStatus.PENDING and not task.is_unrouted:
                self._dispatcher.add_task(task, fresh=task.sid in fresh)
        self._engine.resume(unrouted)
        self.telephony.resume()

    @property
    def asking(self) -> tuple[str, ...]:
        """See `Dispatcher.asking`: between two rounds there may be some."""
        return self._dispatcher.asking

    @property
    def unrouted(self) -> tuple[str, ...]:
        """See `Engine.unrouted`: between two rounds there may be some."""
        return self._engine.unrouted

    # -------------------------------------------------------- the workspace itself

    def update(
        self,
        *,
        default_activity_sid: str | None = None,
        timeout_activity_sid: str | None = None,
        event_callback_url: str | None = None,
        events_filter: str | None = None,
        friendly_name: str | None = None,
        multi_task_enabled: bool | None = None,
        prioritize_queue_order: QueueOrder | str | None = None,
    ) -> None:
        """Change the workspace's own settings; an empty URL or filter clears it.

        Raises:
            InvalidArgument: a value is out of range, an activity is not this workspace's, or
                multitasking is to be switched off, which only `Limits.allow_single_tasking` permits.
        """
        default, timeout = self.default_activity, self.timeout_activity
        url, events = self.event_callback_url, self.events_filter
        name, multi, order = self.friendly_name, self.multi_task_enabled, self.prioritize_queue_order
        if default_activity_sid is not None:
            default = self._activity_named("DefaultActivitySid", default_activity_sid)
        if timeout_activity_sid is not None:
            timeout = self._activity_named("TimeoutActivitySid", timeout_activity_sid)
        if event_callback_url is not None:
            url = arguments.optional_url("EventCallbackUrl", event_callback_url)
        if events_filter is not None:
            events = arguments.event_types(events_filter)
        if friendly_name is not None:
            name = self._name(friendly_name)
        if multi_task_enabled is not None:
            multi = arguments.boolean("MultiTaskEnabled", multi_task_enabled)
            if not multi and self.multi_task_enabled and not self.limits.allow_single_tasking:
                raise InvalidArgument("MultiTaskEnabled cannot be set to false once it is true")
        if prioritize_queue_order is not None:
            order = arguments.choice("PrioritizeQueueOrder", prioritize_queue_order, QueueOrder)

        before = self._settings()
        self.default_activity, self.timeout_activity = default, timeout
        self.event_callback_url, self.events_filter, self.friendly_name = url, events, name
        if multi is not self.multi_task_enabled:
            self.multi_task_enabled = multi
            self._dispatcher.set_multi_task(multi)
        if order is not self.prioritize_queue_order:
            self.prioritize_queue_order = order
            self._dispatcher.set_first(order)
        if self._settings() != before:
            self.date_updated = self.moment
            self.record(EventType.WORKSPACE_UPDATED, None)

    def delete(self) -> None:
        """Record that the workspace is deleted; whoever keeps it then drops it and all it holds."""
        self.record(EventType.WORKSPACE_DELETED, None)

    def _settings(self) -> tuple[object, ...]:
        return (
            self.default_activity.sid,
            self.timeout_activity.sid,
            self.event_callback_url,
            self.events_filter,
            self.friendly_name,
            self.multi_task_enabled,
            self.prioritize_queue_order,
        )

    # -------------------------------------------------------- activities

    def create_activity(self, *, friendly_name: str, available: bool = False) -> Activity:
        """Add an activity; `available` can never change.

        Raises:
            InvalidArgument: the name is taken or not valid, or there are too many activities.
        """
        name = self._name(friendly_name)
        self._refuse_taken("Activity", name, self.activities)
        available = arguments.boolean("Available", available)
        self._refuse_full("activities", self.activities, self.limits.max_activities)
        at = self.moment
        activity = Activity(
            sid=self.new_sid(SidPrefix.ACTIVITY),
            friendly_name=name,
            available=available,
            date_created=at,
            date_updated=at,
            created_seq=self.seq + 1,
        )
        self.activities[activity.sid] = activity
        self.record(EventType.ACTIVITY_CREATED, activity)
        return activity

    def update_activity(self, sid: str, *, friendly_name: str | None = None) -> Activity:
        """Rename an activity; raises NotFound or InvalidArgument."""
        activity = self.activity(sid)
        if friendly_name is None or friendly_name == activity.friendly_name:
            return activity
        name = self._name(friendly_name)
        self._refuse_taken("Activity", name, self.activities)
        activity.friendly_name = name
        activity.date_updated = self.moment
        self.record(EventType.ACTIVITY_UPDATED, activity)
        for worker in self.workers.values():  # expressions may look at the activity's name
            if worker.activity is activity:
                self._dispatcher.worker_changed(worker, Fact.ACTIVITY)
        return activity

    def delete_activity(self, sid: str) -> None:
        """Remove an activity.

        Raises:
            NotFound: there is none.
            InvalidArgument: the workspace, a task queue or a worker uses it.
        """
        activity = self.activity(sid)
        for use in self._uses(activity):
            raise InvalidArgument(f"Activity {sid} cannot be deleted because it is {use}")
        del self.activities[sid]
        self.record(EventType.ACTIVITY_DELETED, activity)

    def _uses(self, activity: Activity) -> Iterator[str]:
        if activity is self.default_activity:
            yield "the workspace's default activity"
        if activity is self.timeout_activity:
            yield "the workspace's timeout activity"
        for queue in self.task_queues.values():
            if activity in (queue.reservation_activity, queue.assignment_activity):
                yield f"used by task queue {queue.sid}"
        for worker in self.workers.values():
            if worker.activity is activity:
                yield f"the activity of worker {worker.sid}"

    # -------------------------------------------------------- task channels

    def create_task_channel(
        self, *, friendly_name: str, unique_name: str, channel_optimized_routing: bool = False
    ) -> TaskChannel:
        """Add a task channel, and with it a channel to every worker.

        Raises:
            InvalidArgument: a name is not valid, or the unique name is taken.
        """
        name = self._name(friendly_name)
        unique = arguments.unique_name(
            "UniqueName", unique_name, at_most=self.limits.max_friendly_name_length
        )
        if any(channel.unique_name == unique for channel in self.task_channels.values()):
            raise InvalidArgument(f"UniqueName is not valid: a task channel {unique!r} exists already")
        optimized = arguments.boolean("ChannelOptimizedRouting", channel_optimized_routing)
        at = self.moment
        channel = TaskChannel(
            sid=self.new_sid(SidPrefix.TASK_CHANNEL),
            unique_name=unique,
            friendly_name=name,
            channel_optimized_routing=optimized,
            date_created=at,
            date_updated=at,
        )
        self.task_channels[channel.sid] = channel
        self.record(EventType.TASK_CHANNEL_CREATED, channel)
        for worker in self.workers.values():
            self._add_worker_channel(worker, channel)
            self._dispatcher.worker_changed(worker, Fact.LOAD)
        return channel

    def update_task_channel(
        self,
        key: str,
        *,
        friendly_name: str | None = None,
        channel_optimized_routing: bool | None = None,
    ) -> TaskChannel:
        """Change a task channel, given by SID or unique name; raises NotFound or InvalidArgument."""
        channel = self.task_channel(key)
        name, optimized = channel.friendly_name, channel.channel_optimized_routing
        if friendly_name is not None:
            name = self._name(friendly_name)
        if channel_optimized_routing is not None:
            optimized = arguments.boolean("ChannelOptimizedRouting", channel_optimized_routing)
        if (name, optimized) == (channel.friendly_name, channel.channel_optimized_routing):
            return channel
        channel.friendly_name = name
        if optimized is not channel.channel_optimized_routing:
            channel.channel_optimized_routing = optimized
            self._dispatcher.channel_changed(channel)
        channel.date_updated = self.moment
        self.record(EventType.TASK_CHANNEL_UPDATED, channel)
        return channel

    def delete_task_channel(self, key: str) -> None:
        """Remove a task channel, and its channel from every worker.

        Raises:
            NotFound: there is none.
            InvalidArgument: it is `default`, or an open task or reservation uses it.
        """
        channel = self.task_channel(key)
        if channel.unique_name == "default":
            raise InvalidArgument(
                f"TaskChannel {channel.sid} cannot be deleted because it is the default one"
            )
        for task in self._open_tasks():
            held = any(r.worker_channel.task_channel is channel for r in task.live_reservations)
            if held or task.task_channel is channel:
                raise InvalidArgument(
                    f"TaskChannel {channel.sid} cannot be deleted because task {task.sid} is open in it"
                )
        del self.task_channels[channel.sid]
        self.record(EventType.TASK_CHANNEL_DELETED, channel)
        self._dispatcher.channel_changed(channel)
        for worker in self.workers.values():
            del self.worker_channels[worker.channels.pop(channel.sid).sid]
            self._dispatcher.worker_changed(worker, Fact.LOAD)

    def _add_worker_channel(self, worker: Worker, channel: TaskChannel) -> None:
        """Give the worker a channel; the event that brings it has just been recorded."""
        at = self.moment
        held = WorkerChannel(
            sid=self.new_sid(SidPrefix.WORKER_CHANNEL),
            worker=worker,
            task_channel=channel,
            configured_capacity=self.limits.default_channel_capacity,
            available=True,
            date_created=at,
            date_updated=at,
            created_seq=self.seq,
        )
        worker.channels[channel.sid] = held
        self.worker_channels[held.sid] = held
        self.created(held)

    # -------------------------------------------------------- task queues

    def create_task_queue(
        self,
        *,
        friendly_name: str,
        target_workers: str = "1==1",
        max_reserved_workers: int = 1,
        task_order: QueueOrder | str = QueueOrder.FIFO,
        reservation_activity_sid: str | None = None,
        assignment_activity_sid: str | None = None,
    ) -> TaskQueue:
        """Add a task queue. An empty `target_workers` matches nobody.

        Raises:
            InvalidArgument: the name is taken, the expression does not parse, a number is out of
                range, an activity is not this workspace's, or there are too many queues.
        """
        name = self._name(friendly_name)
        self._refuse_taken("TaskQueue", name, self.task_queues)
        expression = arguments.expression("TargetWorkers", target_workers)
        reserved = self._max_reserved(max_reserved_workers)
        order = arguments.choice("TaskOrder", task_order, QueueOrder)
        reservation = self._optional_activity("ReservationActivitySid", reservation_activity_sid)
        assignment = self._optional_activity("AssignmentActivitySid", assignment_activity_sid)
        self._refuse_full("task queues", self.task_queues, self.limits.max_task_queues)
        at = self.moment
        queue = TaskQueue(
            sid=self.new_sid(SidPrefix.TASK_QUEUE),
            friendly_name=name,
            target_workers=target_workers,
            expression=expression,
            max_reserved_workers=reserved,
            task_order=order,
            reservation_activity=reservation,
            assignment_activity=assignment,
            date_created=at,
            date_updated=at,
        )
        self.task_queues[queue.sid] = queue
        self.created(queue)
        self.record(EventType.TASK_QUEUE_CREATED, queue)
        self._dispatcher.set_queue(queue)
        return queue

    def update_task_queue(
        self,
        sid: str,
        *,
        friendly_name: str | None = None,
        target_workers: str | None = None,
        max_reserved_workers: int | None = None,
        task_order: QueueOrder | str | None = None,
        reservation_activity_sid: str | None = None,
        assignment_activity_sid: str | None = None,
    ) -> TaskQueue:
        """Change a task queue: None leaves a value, an empty SID clears an activity.

        Only a change of the expression has an event (REST API, Events).

        Raises:
            NotFound: there is none.
            InvalidArgument: as at creation.
        """
        queue = self.task_queue(sid)
        name, text, expression = queue.friendly_name, queue.target_workers, queue.expression
        reserved, order = queue.max_reserved_workers, queue.task_order
        reservation, assignment = queue.reservation_activity, queue.assignment_activity
        if friendly_name is not None and friendly_name != name:
            name = self._name(friendly_name)
            self._refuse_taken("TaskQueue", name, self.task_queues)
        if target_workers is not None:
            text, expression = target_workers, arguments.expression("TargetWorkers", target_workers)
        if max_reserved_workers is not None:
            reserved = self._max_reserved(max_reserved_workers)
        if task_order is not None:
            order = arguments.choice("TaskOrder", task_order, QueueOrder)
        if reservation_activity_sid is not None:
            reservation = self._optional_activity("ReservationActivitySid", reservation_activity_sid)
        if assignment_activity_sid is not None:
            assignment = self._optional_activity("AssignmentActivitySid", assignment_activity_sid)

        requeue = text != queue.target_workers or order is not queue.task_order
        rest = (
            queue.friendly_name,
            queue.max_reserved_workers,
            queue.reservation_activity,
            queue.assignment_activity,
        )
        if not requeue and rest == (name, reserved, reservation, assignment):
            return queue
        if text != queue.target_workers:
            self.record(EventType.TASK_QUEUE_EXPRESSION_UPDATED, queue)
        queue.friendly_name, queue.max_reserved_workers, queue.task_order = name, reserved, order
        queue.target_workers, queue.expression = text, expression
        queue.reservation_activity, queue.assignment_activity = reservation, assignment
        self.touch(queue)
        if requeue:
            self._dispatcher.set_queue(queue)
        return queue

    def delete_task_queue(self, sid: str) -> None:
        """Remove a task queue.

        Raises:
            NotFound: there is none.
            InvalidArgument: a workflow leads to it, or an open task is in it or on its way to it.
        """
        queue = self.task_queue(sid)
        for workflow in self.workflows.values():
            if sid in workflow.parsed_configuration.queue_sids:
                raise InvalidArgument(
                    f"TaskQueue {sid} cannot be deleted because workflow {workflow.sid} uses it"
                )
        for task in self._open_tasks():
            transfer = task.transfer
            if task.queue is queue or (
                transfer is not None and (transfer.to == sid or transfer.initiating_queue is queue)
            ):
                raise InvalidArgument(f"TaskQueue {sid} cannot be deleted because task {task.sid} is in it")
        del self.task_queues[sid]
        self._dispatcher.remove_queue(queue)
        self.record(EventType.TASK_QUEUE_DELETED, queue)

    def _max_reserved(self, value: object) -> int:
        return arguments.integer("MaxReservedWorkers", value, low=1, high=_MAX_RESERVED_WORKERS)

    # -------------------------------------------------------- workflows

    def create_workflow(
        self,
        *,
        friendly_name: str,
        configuration: str,
        assignment_callback_url: str | None = None,
        fallback_assignment_callback_url: str | None = None,
        task_reservation_timeout: int = 120,
    ) -> Workflow:
        """Add a workflow. `task_reservation_timeout` is in seconds, 1 to 86,400.

        Raises:
            InvalidArgument: the configuration is not valid or names an unknown queue, or another
                value is out of range.
        """
        name = self._name(friendly_name)
        parsed = self._configuration(configuration)
        callback = self._callback("AssignmentCallbackUrl", assignment_callback_url)
        fallback = self._callback("FallbackAssignmentCallbackUrl", fallback_assignment_callback_url)
        timeout = self._reservation_timeout(task_reservation_timeout)
        at = self.moment
        workflow = Workflow(
            sid=self.new_sid(SidPrefix.WORKFLOW),
            friendly_name=name,
            configuration=configuration,
            parsed_configuration=parsed,
            task_reservation_timeout=timeout,
            assignment_callback_url=callback,
            fallback_assignment_callback_url=fallback,
            date_created=at,
            date_updated=at,
        )
        self.workflows[workflow.sid] = workflow
        self.record(EventType.WORKFLOW_CREATED, workflow)
        return workflow

    def update_workflow(
        self,
        sid: str,
        *,
        friendly_name: str | None = None,
        configuration: str | None = None,
        assignment_callback_url: str | None = None,
        fallback_assignment_callback_url: str | None = None,
        task_reservation_timeout: int | None = None,
        re_evaluate_tasks: bool = False,
    ) -> Workflow:
        """Change a workflow: None leaves a value, an empty URL clears it.

        With `re_evaluate_tasks` its pending tasks start again at the first filter. Otherwise tasks
        keep their queue and step; one whose step is gone stays in its queue until its time to live
        ends.

        Raises:
            NotFound: there is none.
            InvalidArgument: as at creation.
        """
        workflow = self.workflow(sid)
        name, text, parsed = workflow.friendly_name, workflow.configuration, workflow.parsed_configuration
        callback, fallback = workflow.assignment_callback_url, workflow.fallback_assignment_callback_url
        timeout = workflow.task_reservation_timeout
        if friendly_name is not None:
            name = self._name(friendly_name)
        if configuration is not None:
            text, parsed = configuration, self._configuration(configuration)
        if assignment_callback_url is not None:
            callback = self._callback("AssignmentCallbackUrl", assignment_callback_url)
        if fallback_assignment_callback_url is not None:
            fallback = self._callback("FallbackAssignmentCallbackUrl", fallback_assignment_callback_url)
        if task_reservation_timeout is not None:
            timeout = self._reservation_timeout(task_reservation_timeout)
        re_evaluate = arguments.boolean("ReEvaluateTasks", re_evaluate_tasks)

        values = (name, text, callback, fallback, timeout)
        changed = values != (
            workflow.friendly_name,
            workflow.configuration,
            workflow.assignment_callback_url,
            workflow.fallback_assignment_callback_url,
            workflow.task_reservation_timeout,
        )
        if changed:
            workflow.friendly_name, workflow.configuration = name, text
            workflow.assignment_callback_url, workflow.fallback_assignment_callback_url = callback, fallback
            workflow.task_reservation_timeout = timeout
            workflow.date_updated = self.moment
            self.record(EventType.WORKFLOW_UPDATED, workflow)
        replaced = parsed is not workflow.parsed_configuration
        workflow.parsed_configuration = parsed
        for task in list(self.tasks.values()) if replaced else self._open_tasks():
            if task.workflow is not workflow or is_direct(task):
                continue
            if task.status in TASK_ENDED:
                task.step = task.step and parsed.counterpart(task.step)
            elif re_evaluate and task.status is TaskStatus.PENDING and task.transfer is None:
                self._engine.reevaluate(task, reason="workflow updated")
            elif replaced and task.step is not None:
                self._engine.set_step(task, parsed.counterpart(task.step))
        return workflow

    def delete_workflow(self, sid: str) -> None:
        """Remove a workflow.

        Raises:
            NotFound: there is none.
            InvalidArgument: a task of it is open.
        """
        workflow = self.workflow(sid)
        for task in self._open_tasks():
            if task.workflow is workflow:
                raise InvalidArgument(
                    f"Workflow {sid} cannot be deleted because task {task.sid} is open in it"
                )
        del self.workflows[sid]
        self.record(EventType.WORKFLOW_DELETED, workflow)

    def _configuration(self, value: object) -> WorkflowConfiguration:
        if value is None:
            raise arguments.required("Configuration")
        parsed = parse_configuration(arguments.text("Configuration", value))
        for queue_sid in sorted(parsed.queue_sids):
            self.named("Configuration is not valid: task queue", self.task_queues, queue_sid)
        return parsed

    def _callback(self, parameter: str, value: str | None) -> str | None:
        return None if value is None else arguments.optional_url(parameter, value) or None

    def _reservation_timeout(self, value: object) -> int:
        return arguments.integer("TaskReservationTimeout", value, low=1, high=_MAX_RESERVATION_TIMEOUT)

    # -------------------------------------------------------- shared checks

    def _name(self, value: object) -> str:
        return arguments.name("FriendlyName", value, at_most=self.limits.max_friendly_name_length)

    def _activity_named(self, parameter: str, value: object) -> Activity:
        return self.named(parameter, self.activities, arguments.sid(parameter, value, SidPrefix.ACTIVITY))

    def _optional_activity(self, parameter: str, value: str | None) -> Activity | None:
        return self._activity_named(parameter, value) if value else None

    def _refuse_taken(
        self, kind: str, name: str, entities: Mapping[str, Activity] | Mapping[str, TaskQueue]
    ) -> None:
        if any(entity.friendly_name == name for entity in entities.values()):
            raise InvalidArgument(f"{kind} with the same friendly name already exists: FriendlyName {name!r}")

    def _refuse_full(self, kind: str, entities: Mapping[str, object], limit: int) -> None:
        if len(entities) >= limit:
            raise InvalidArgument(f"Workspace {self.sid} has {limit} {kind}, which is the limit")

    def _refuse_stale(self, sid: str, version: int, if_match: int | None) -> None:
        if if_match is not None and if_match != version:
            raise VersionConflict(sid, given=if_match, current=version)

    def _open_tasks(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.status not in TASK_ENDED]
