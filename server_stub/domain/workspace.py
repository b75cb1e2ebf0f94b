"""The aggregate: commands in, events out, next deadline.

Each command returns the entity it made or changed, or raises a `DomainError` and has changed nothing.
`take_events` ends a command. Commands only lead tasks to their queues; `route` then reserves, one
task per call, and `advance` carries out one deadline per call, each of them a command of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from taskrouter_worker.terms import (
    TASK_ENDED,
    EventType,
    ReservationStatus,
    SidPrefix,
    TaskStatus,
    is_sid,
)

from . import arguments
from .dispatch import Fact
from .engine import is_direct
from .errors import IllegalTransition, InvalidArgument
from .lifecycle import check_reservation, check_task
from .model import Activity, Reservation, Task, TaskChannel, TaskQueue, Worker, WorkerChannel, Workflow
from .resources import ConfiguredWorkspace
from .routing import Obstacle

__all__ = ["Workspace"]

_MAX_PRIORITY = 2_147_483_647
_MAX_TASK_TIMEOUT = 1_209_600  # seconds: two weeks

_ASKED_FOR = (
    ReservationStatus.ACCEPTED,
    ReservationStatus.REJECTED,
    ReservationStatus.WRAPPING,
    ReservationStatus.COMPLETED,
)
"""What a client may ask a reservation to become; the others are the engine's."""


class Workspace(ConfiguredWorkspace):
    """Workers, tasks and reservations of one workspace, and the rules that bring them together."""

    # -------------------------------------------------------- workers

    def create_worker(
        self, *, friendly_name: str, activity_sid: str | None = None, attributes: str = "{}"
    ) -> Worker:
        """Add a worker, in the default activity if none is given, with a channel per task channel.

        Raises:
            InvalidArgument: the name is taken whatever its case, the attributes are no JSON object,
                the activity is not this workspace's, or there are too many workers.
        """
        name = self._name(friendly_name)
        self._refuse_taken_worker(name)
        activity = self.default_activity
        if activity_sid is not None:
            activity = self._activity_named("ActivitySid", activity_sid)
        parsed = arguments.attributes(attributes, at_most=self.limits.max_attributes_length)
        self._refuse_full("workers", self.workers, self.limits.max_workers)
        at = self.moment
        worker = Worker(
            sid=self.new_sid(SidPrefix.WORKER),
            friendly_name=name,
            attributes=attributes,
            parsed_attributes=parsed,
            activity=activity,
            date_created=at,
            date_updated=at,
            date_status_changed=at,
            number=self.next_number(),
        )
        self.workers[worker.sid] = worker
        self.created(worker)
        self.record(EventType.WORKER_CREATED, worker)
        for channel in self.task_channels.values():
            self._add_worker_channel(worker, channel)
        self._dispatcher.add_worker(worker)
        return worker

    def update_worker(
        self,
        sid: str,
        *,
        friendly_name: str | None = None,
        activity_sid: str | None = None,
        attributes: str | None = None,
        reject_pending_reservations: bool = False,
        if_match: int | None = None,
    ) -> Worker:
        """Rename a worker, move it to an activity, replace its attributes.

        `reject_pending_reservations` rejects what is pending when the worker becomes unavailable;
        the activity changes first, so that the same worker is not chosen again.

        Raises:
            NotFound: there is none.
            VersionConflict: `if_match` is not its version.
            InvalidArgument: as at creation, or pending reservations are to be rejected although no
                unavailable activity is given.
        """
        worker = self.worker(sid)
        self._refuse_stale(sid, worker.version, if_match)
        name, activity = worker.friendly_name, worker.activity
        text, parsed = worker.attributes, worker.parsed_attributes
        if friendly_name is not None:
            name = self._name(friendly_name)
            self._refuse_taken_worker(name, but=worker)
        if activity_sid is not None:
            activity = self._activity_named("ActivitySid", activity_sid)
        if attributes is not None:
            text = attributes
            parsed = arguments.attributes(attributes, at_most=self.limits.max_attributes_length)
        reject = arguments.boolean("RejectPendingReservations", reject_pending_reservations)
        if reject and (activity_sid is None or activity.available):
            raise InvalidArgument(
                "RejectPendingReservations is only valid with an ActivitySid whose activity is not available"
            )

        self._engine.set_activity(worker, activity)
        if (name, text) != (worker.friendly_name, worker.attributes):
            previous, worker.friendly_name = worker.friendly_name, name
            worker.attributes, worker.parsed_attributes = text, parsed
            self.touch(worker)
            self.record(EventType.WORKER_ATTRIBUTES_UPDATE, worker, to=(sid,))
            self._dispatcher.rename_worker(worker, previous)
        if reject:
            for reservation in worker.live_reservations:
                if reservation.status is ReservationStatus.PENDING:
                    self._engine.reject(reservation, activity)
        return worker

    def delete_worker(self, sid: str, *, if_match: int | None = None) -> None:
        """Remove a worker.

        Raises:
            NotFound: there is none.
            VersionConflict: `if_match` is not its version.
            InvalidArgument: it has open reservations, or a transfer is on its way to it.
        """
        worker = self.worker(sid)
        self._refuse_stale(sid, worker.version, if_match)
        for reservation in worker.live_reservations:
            raise InvalidArgument(
                f"Worker {sid} cannot be deleted because its reservation {reservation.sid} "
                f"is {reservation.status}"
            )
        self._dispatcher.remove_worker(worker)
        del self.workers[sid]
        for channel in worker.channels.values():
            del self.worker_channels[channel.sid]
        self.record(EventType.WORKER_DELETED, worker)

    def update_worker_channel(
        self, worker_sid: str, key: str, *, capacity: int | None = None, available: bool | None = None
    ) -> WorkerChannel:
        """Change how much a worker takes on one channel; a lower capacity keeps what is there.

        The worker's version rises by one per event: they do not show the worker, and the JavaScript
        SDK counts them.

        Raises:
            NotFound: no such worker or channel.
            InvalidArgument: the capacity is negative or too large.
        """
        channel = self.worker_channel(worker_sid, key)
        previous = channel.configured_capacity
        limit, switch = previous, channel.available
        if capacity is not None:
            limit = arguments.integer("Capacity", capacity, low=0, high=self.limits.max_channel_capacity)
        if available is not None:
            switch = arguments.boolean("Available", available)

        events = (limit != previous) + (switch is not channel.available)
        if not events:
            return channel
        self.touch(channel)
        self.touch_times(channel.worker, events)
        if limit != previous:
            channel.configured_capacity = limit
            self.record(
                EventType.WORKER_CAPACITY_UPDATE,
                channel,
                to=(worker_sid,),
                worker_channel_previous_capacity=previous,
            )
        if switch is not channel.available:
            channel.available = switch
            self.record(EventType.WORKER_CHANNEL_AVAILABILITY_UPDATE, channel, to=(worker_sid,))
        self._dispatcher.worker_changed(channel.worker, Fact.LOAD)
        return channel

    def workers_in(self, queue_sid: str) -> list[Worker]:
        """The workers that match a queue's expression, in any activity, oldest first; raises NotFound."""
        return self._dispatcher.members(self.task_queue(queue_sid))

    def activity_counts(self, queue_sid: str) -> Mapping[Activity, int]:
        """How many workers that match a queue's expression are in each activity; raises NotFound."""
        return self._dispatcher.activity_counts(self.task_queue(queue_sid))

    def obstacle(self, task_sid: str, worker_sid: str) -> Obstacle | None:
        """Why the worker cannot be reserved for the task where it is now: the router's own judgement.

        None means that it can; then only the order in which tasks and workers are served decides.
        Raises NotFound.
        """
        return self._dispatcher.obstacle(self.task(task_sid), self.worker(worker_sid))

    def _refuse_taken_worker(self, name: str, *, but: Worker | None = None) -> None:
        if self._dispatcher.worker_named(name) not in (None, but):
            raise InvalidArgument("Worker with the same friendly name already exists")

    # -------------------------------------------------------- tasks

    def create_task(
        self,
        *,
        workflow_sid: str | None = None,
        attributes: str = "{}",
        priority: int = 0,
        timeout: int = 86_400,
        task_channel: str | None = None,
        virtual_start_time: float | None = None,
        routing_target: str | None = None,
        ignore_capacity: bool | None = None,
        task_queue_sid: str | None = None,
    ) -> Task:
        """Add a task and lead it to its first queue. Its `queue_entered_at` is set when the command ends.

        A task that no filter takes is pending without a queue; the next round cancels it.

        Args:
            workflow_sid: may be left out with a routing target, or if there is just one workflow.
            attributes: JSON text of an object, at most 4,096 characters.
            priority: 0 to 2,147,483,647; a workflow target's own priority replaces it.
            timeout: seconds to live until it is accepted, at most two weeks.
            task_channel: SID or unique name; `default` if left out.
            virtual_start_time: epoch seconds by which it is ordered; now if left out.
            routing_target: a worker (reserve exactly that one), a task queue (wait there, past all
                filters) or a workflow.
            ignore_capacity: with a worker as routing target: disregard its capacity, channel switch
                and activity; then true by default.
            task_queue_sid: the queue that a task routed to a worker counts for.

        Raises:
            InvalidArgument: a value is not valid or names nothing in this workspace.
        """
        parsed = arguments.attributes(attributes, at_most=self.limits.max_attributes_length)
        priority = self._priority(priority)
        timeout = arguments.integer("Timeout", timeout, low=1, high=_MAX_TASK_TIMEOUT)
        channel = self._channel("default" if task_channel is None else task_channel)
        at = self.moment
        start = at if virtual_start_time is None else arguments.start_time(virtual_start_time, now=at)
        workflow, queue = self._destination(workflow_sid, routing_target, task_queue_sid)
        ignore = is_sid(routing_target, SidPrefix.WORKER)
        if ignore_capacity is not None:
            ignore = arguments.boolean("IgnoreCapacity", ignore_capacity)
        task = Task(
            sid=self.new_sid(SidPrefix.TASK),
            attributes=attributes,
            parsed_attributes=parsed,
            task_channel=channel,
            workflow=workflow,
            queue=queue,
            priority=priority,
            timeout=timeout,
            routing_target=routing_target,
            ignore_capacity=ignore,
            virtual_start_time=start,
            date_created=at,
            date_updated=at,
            number=self.next_number(),
        )
        self._engine.admit(task)
        return task

    def update_task(
        self,
        sid: str,
        *,
        attributes: str | None = None,
        assignment_status: TaskStatus | str | None = None,
        reason: str | None = None,
        priority: int | None = None,
        task_channel: str | None = None,
        virtual_start_time: float | None = None,
        if_match: int | None = None,
    ) -> Task:
        """Change a task's fields, then its status, if both are given.

        A pending task goes through its workflow from the top when its attributes, priority or channel
        change. `assignment_status` may be `canceled`, `wrapping` or `completed`; `reason` goes with it.

        Raises:
            NotFound: there is none, or no longer.
            VersionConflict: `if_match` is not its version.
            InvalidArgument: a value is not valid.
            IllegalTransition: its status forbids the change.
        """
        task = self.task(sid)
        self._refuse_stale(sid, task.version, if_match)
        text, parsed = task.attributes, task.parsed_attributes
        wanted, channel, start = task.priority, task.task_channel, task.virtual_start_time
        if attributes is not None:
            text = attributes
            parsed = arguments.attributes(attributes, at_most=self.limits.max_attributes_length)
        if priority is not None:
            wanted = self._priority(priority)
        if task_channel is not None:
            channel = self._channel(task_channel)
        if virtual_start_time is not None:
            start = arguments.start_time(virtual_start_time, now=self.moment)
        status = None if assignment_status is None else self._wanted_status(assignment_status)
        if reason is not None:
            reason = arguments.text("Reason", reason)
            if status is None:
                raise InvalidArgument("Reason is only valid together with AssignmentStatus")
        moved = channel is not task.task_channel
        if moved and task.status not in (TaskStatus.PENDING, TaskStatus.RESERVED):
            raise IllegalTransition(
                f"TaskChannel of task {sid} cannot be changed because it is {task.status}, "
                "not pending or reserved"
            )
        evaluated = (text, wanted) != (task.attributes, task.priority) or moved
        changed = evaluated or start != task.virtual_start_time
        if changed and task.status in TASK_ENDED:
            raise IllegalTransition(f"Task {sid} cannot be changed because it is {task.status}")
        if status is not None:
            check_task(task, status, workspace_sid=self.sid, account_sid=self.account_sid)

        if changed:
            previous = task.priority
            if moved:
                for reservation in task.live_reservations:
                    reservation.held_channel = reservation.worker_channel
            task.attributes, task.parsed_attributes = text, parsed
            task.priority, task.task_channel, task.virtual_start_time = wanted, channel, start
            self.touch(task)
            self.record(
                EventType.TASK_UPDATED,
                task,
                previous_task_priority=previous if previous != wanted else None,
            )
            if status is None and task.status is TaskStatus.PENDING:
                if evaluated and not is_direct(task) and task.transfer is None:
                    self._engine.reevaluate(task, reason="task updated", priority=priority)
                else:
                    self._engine.requeue(task)
        match status:
            case TaskStatus.CANCELED:
                self._engine.cancel(task, reason)
            case TaskStatus.WRAPPING:
                self._engine.wrap(task, reason)
            case TaskStatus.COMPLETED:
                self._engine.complete(task, reason)
            case _:
                pass
        return task

    def delete_task(self, sid: str, *, if_match: int | None = None) -> None:
        """Remove a task in any state: its pending reservations are canceled, the others completed.

        Raises:
            NotFound: there is none.
            VersionConflict: `if_match` is not its version.
        """
        task = self.task(sid)
        self._refuse_stale(sid, task.version, if_match)
        self._engine.delete(task, EventType.TASK_DELETED)

    def _priority(self, value: object) -> int:
        return arguments.integer("Priority", value, low=0, high=_MAX_PRIORITY)

    def _channel(self, key: object) -> TaskChannel:
        given = arguments.text("TaskChannel", key)
        by_name = {channel.unique_name: channel for channel in self.task_channels.values()}
        return self.named("TaskChannel", {**self.task_channels, **by_name}, given)

    def _wanted_status(self, value: object) -> TaskStatus:
        status = arguments.choice("AssignmentStatus", value, TaskStatus)
        if status not in (TaskStatus.CANCELED, TaskStatus.WRAPPING, TaskStatus.COMPLETED):
            raise InvalidArgument(
                f"AssignmentStatus is not valid: expected canceled, wrapping or completed, got '{status}'"
            )
        return status

    def _destination(
        self, workflow_sid: str | None, routing_target: str | None, task_queue_sid: str | None
    ) -> tuple[Workflow | None, TaskQueue | None]:
        """The workflow of a new task, and the queue of one that is routed directly."""
        workflow: Workflow | None = None
        if workflow_sid is not None:
            given = arguments.sid("WorkflowSid", workflow_sid, SidPrefix.WORKFLOW)
            workflow = self.named("WorkflowSid", self.workflows, given)
        elif len(self.workflows) == 1:
            workflow = next(iter(self.workflows.values()))
        elif routing_target is None:
            raise arguments.required("WorkflowSid")
        queue: TaskQueue | None = None
        if task_queue_sid is not None:
            given = arguments.sid("TaskQueueSid", task_queue_sid, SidPrefix.TASK_QUEUE)
            queue = self.named("TaskQueueSid", self.task_queues, given)
        if routing_target is None:
            target = ""
        elif is_sid(routing_target, SidPrefix.WORKER, SidPrefix.TASK_QUEUE, SidPrefix.WORKFLOW):
            target = routing_target
        else:
            raise InvalidArgument(
                f"RoutingTarget is not valid: expected the SID of a worker, task queue or workflow, "
                f"got {routing_target!r}"
            )
        if is_sid(target, SidPrefix.WORKER):
            self.named("RoutingTarget", self.workers, target)
            return workflow, queue
        if is_sid(target, SidPrefix.TASK_QUEUE):
            aimed = self.named("RoutingTarget", self.task_queues, target)
            if queue not in (None, aimed):
                raise InvalidArgument(f"TaskQueueSid {task_queue_sid} contradicts RoutingTarget {target}")
            return workflow, aimed
        if target:
            aimed_workflow = self.named("RoutingTarget", self.workflows, target)
            if workflow_sid not in (None, target):
                raise InvalidArgument(f"WorkflowSid {workflow_sid} contradicts RoutingTarget {target}")
            workflow = aimed_workflow
        if queue is not None:
            raise InvalidArgument("TaskQueueSid is only valid with a worker or that queue as RoutingTarget")
        return workflow, None

    # -------------------------------------------------------- reservations

    def update_reservation(
        self,
        sid: str,
        *,
        status: ReservationStatus | str,
        worker_activity_sid: str | None = None,
        if_match: int | None = None,
    ) -> Reservation:
        """Accept, reject, wrap or complete a reservation.

        `worker_activity_sid` moves the worker with a rejection, and with an acceptance in a
        single-tasking workspace.

        Raises:
            NotFound: there is none, or no longer.
            VersionConflict: `if_match` is not its version.
            InvalidArgument: the status is none of the four, or the activity is not valid here.
            Rescinded: it is to be accepted after another worker was faster.
            IllegalTransition: it has left the status from which this is possible.
        """
        reservation = self.reservation(sid)
        self._refuse_stale(sid, reservation.version, if_match)
        wanted = arguments.choice("ReservationStatus", status, ReservationStatus)
        activity = self._move_with(wanted, worker_activity_sid)
        if wanted not in _ASKED_FOR:
            raise InvalidArgument(
                f"ReservationStatus is not valid: expected one of {', '.join(_ASKED_FOR)}, got '{wanted}'"
            )
        check_reservation(reservation, wanted)
        match wanted:
            case ReservationStatus.ACCEPTED:
                self._engine.accept(reservation, activity)
            case ReservationStatus.REJECTED:
                self._engine.reject(reservation, activity)
            case ReservationStatus.WRAPPING:
                self._engine.wrap_reservation(reservation)
            case _:
                self._engine.complete_reservation(reservation)
        return reservation

    def cancel_reservation(self, sid: str, *, reason_code: int | None = None) -> Reservation:
        """Take back a pending reservation whose assignment could not be delivered.

        The task goes back to its queue. For the assignment callback; clients cannot ask for it.

        Raises:
            NotFound: there is none.
            IllegalTransition: it is not pending.
        """
        reservation = self.reservation(sid)
        check_reservation(reservation, ReservationStatus.CANCELED)
        self._engine.cancel_reservation(reservation, reason_code)
        return reservation

    def _move_with(self, status: ReservationStatus, worker_activity_sid: str | None) -> Activity | None:
        if worker_activity_sid is None:
            return None
        single = not self.multi_task_enabled
        if status is not ReservationStatus.REJECTED and not (single and status is ReservationStatus.ACCEPTED):
            raise InvalidArgument(
                f"WorkerActivitySid is only valid with ReservationStatus rejected, not with '{status}'"
            )
        return self._activity_named("WorkerActivitySid", worker_activity_sid)

    # -------------------------------------------------------- engine

    def route(self) -> bool:
        """Make the next reservation round: one task, all of its reservations.

        Returns:
            True if it reserved, moved or canceled a task, which is a command of its own; False when
            nothing can be reserved until something changes.
        """
        return self._engine.route()

    def next_deadline(self) -> float | None:
        """When something happens by the passing of time alone, in epoch seconds; None for never."""
        return self._engine.next_deadline()

    def advance(self) -> bool:
        """Carry out the earliest deadline, if it is due; False if none is.

        A timeout may be recorded late but never early; deadlines come in the order of their times.
        """
        return self._engine.advance()
