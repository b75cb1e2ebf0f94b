"""The aggregate: commands in, events out, next deadline.

Each command returns the entity it made or changed, or raises a `DomainError` and has changed nothing.
`take_events` ends a command. Commands only lead tasks to their queues; `route` then reserves, one
task per call, and `advance` carries out one deadline per call, each of them a command of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from taskrouter_worker.terms import (
    TASK_ENDED,
    EventType,
    Instruction,
    ReservationStatus,
    SidPrefix,
    TaskStatus,
    TransferMode,
    TransferStatus,
    is_sid,
)

from . import arguments
from .dispatch import Fact
from .engine import is_direct
from .errors import IllegalTransition, InvalidArgument, NotFound
from .explain import Explanation, explain
from .instruction_options import Given, InstructionOptions
from .instructions import instruction_named
from .lifecycle import check_reservation, check_task, check_transfer, check_transfer_end
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
from .resources import ConfiguredWorkspace
from .routing import Obstacle
from .telephony import Call

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


_NOTHING: Mapping[str, object] = MappingProxyType({})


def _hold(given: Given) -> tuple[bool | None, str | None, str | None]:
    """`Hold`, `HoldUrl` and `HoldMethod` of a participant."""
    method = given.word("HoldMethod", ("GET", "POST"), "POST") if given.text("HoldMethod") else None
    return given.optional_flag("Hold"), given.url("HoldUrl"), method


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
        for transfer in self.transfers.values():
            if transfer.to == sid and transfer.status is TransferStatus.INITIATED:
                raise InvalidArgument(
                    f"Worker {sid} cannot be deleted because transfer {transfer.sid} is on its way to it"
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

    def explain(
        self, task_sid: str, worker_sid: str | None = None, *, limit: int | None = None
    ) -> Explanation:
        """Why a task is where it is, and why it did not reach a worker: the router's own judgement.

        Args:
            task_sid: the task.
            worker_sid: the worker that is asked about; every worker unless given.
            limit: how many workers are reported at most; None for all of them.

        Raises:
            NotFound: there is no such task, or no such worker.
        """
        worker = None if worker_sid is None else self.worker(worker_sid)
        task = self.task(task_sid)
        return explain(self, self._dispatcher, self._engine, task, worker, limit=limit)

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

    def change_reservation(
        self,
        sid: str,
        *,
        status: ReservationStatus | str | None = None,
        instruction: str | None = None,
        worker_activity_sid: str | None = None,
        parameters: Mapping[str, object] = _NOTHING,
        on_task: bool = True,
        if_match: int | None = None,
    ) -> Reservation:
        """What a reservation update asks for: an instruction, else a status, else nothing.

        Args:
            sid: the reservation.
            status: as in `update_reservation`; an instruction wins over it.
            instruction: `accept`, `reject`, or one that makes calls, in any case of its letters.
            worker_activity_sid: as in `update_reservation`.
            parameters: the instruction's parameters by their names in the REST API. All of them are
                checked, also where nothing needs them.
            on_task: whether the reservation is addressed through its task: only there it can be
                supervised (REST API, Reservation).
            if_match: the version that is asked for.

        Raises:
            NotFound, VersionConflict, Rescinded, IllegalTransition: as `update_reservation`.
            InvalidArgument: a value is not valid, or one that the instruction needs is missing.
        """
        reservation = self.reservation(sid)
        self._refuse_stale(sid, reservation.version, if_match)
        options = InstructionOptions.read(parameters)
        if instruction is None or instruction == "":
            if status is None:
                return reservation
            return self.update_reservation(sid, status=status, worker_activity_sid=worker_activity_sid)
        wanted = instruction_named(instruction)
        if wanted is Instruction.SUPERVISE and not on_task:
            raise InvalidArgument("Instruction supervise is only valid below the task of a reservation")
        self._instructions.check(reservation, wanted)
        if wanted in (Instruction.ACCEPT, Instruction.REJECT):
            accepts = wanted is Instruction.ACCEPT
            return self.update_reservation(
                sid,
                status=ReservationStatus.ACCEPTED if accepts else ReservationStatus.REJECTED,
                worker_activity_sid=worker_activity_sid,
            )
        if worker_activity_sid is not None:
            raise InvalidArgument(
                f"WorkerActivitySid is only valid with Instruction reject, not with '{wanted}'"
            )
        self._instructions.carry_out(reservation, wanted, options)
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

    # -------------------------------------------------------- transfers

    def create_transfer(
        self,
        worker_sid: str,
        *,
        reservation_sid: str,
        task_sid: str,
        to: str,
        attributes: str | None = None,
        mode: TransferMode | str | None = None,
        priority: int | None = None,
    ) -> Transfer:
        """Offer the task of a worker's accepted reservation to another worker, or to a queue.

        The task is pending again, and reserved in the next rounds; the reservation stays accepted.

        Args:
            worker_sid: who transfers it.
            reservation_sid: its accepted reservation of the task.
            task_sid: the task.
            to: a worker or task queue.
            attributes: the task's new attributes; None leaves them.
            mode: WARM (the default, as in the JavaScript SDK): the worker stays on the task when
                someone has accepted it; COLD: it wraps up.
            priority: the task's new priority; None leaves it.

        Raises:
            NotFound: there is no such worker.
            InvalidArgument: a value is not valid, names nothing here, or the target has the task already.
            IllegalTransition: the reservation is not accepted, or another transfer is under way.
        """
        reservation = self._own_reservation(worker_sid, reservation_sid)
        task = reservation.task
        if arguments.text("TaskSid", task_sid) != task.sid:
            raise InvalidArgument(f"TaskSid {task_sid!r} is not the task of reservation {reservation_sid}")
        target: Worker | TaskQueue
        if is_sid(to, SidPrefix.WORKER):
            target = self.named("To", self.workers, to)
            if any(r.worker is target for r in task.live_reservations):
                raise InvalidArgument(f"To {to} is not valid: it holds a reservation of task {task.sid}")
        else:
            target = self.named(
                "To", self.task_queues, arguments.sid("To", to, SidPrefix.WORKER, SidPrefix.TASK_QUEUE)
            )
        wanted = TransferMode.WARM if mode is None else arguments.choice("Mode", mode, TransferMode)
        text, parsed = task.attributes, task.parsed_attributes
        if attributes is not None:
            text = attributes
            parsed = arguments.attributes(attributes, at_most=self.limits.max_attributes_length)
        order = task.priority if priority is None else self._priority(priority)
        check_transfer(reservation)
        return self._engine.transfer(
            reservation, to=target, mode=wanted, attributes=(text, parsed), priority=order
        )

    def cancel_transfer(self, worker_sid: str, sid: str, *, task_sid: str, status: str) -> Transfer:
        """Take a transfer back: the task is its first worker's again.

        Args:
            worker_sid: who started it.
            sid: the transfer.
            task_sid: its task.
            status: `canceled`, the only one that can be asked for.

        Raises:
            NotFound: the worker started no such transfer.
            InvalidArgument: the task is another one, or the status is.
            IllegalTransition: it has ended.
        """
        transfer = self.transfer(sid)
        if transfer.initiating_reservation.worker is not self.worker(worker_sid):
            raise NotFound("Transfers", sid)
        if arguments.text("TaskSid", task_sid) != transfer.task.sid:
            raise InvalidArgument(f"TaskSid {task_sid!r} is not the task of transfer {sid}")
        wanted = arguments.choice("TransferStatus", status, TransferStatus)
        if wanted is not TransferStatus.CANCELED:
            raise InvalidArgument(f"TransferStatus is not valid: expected canceled, got '{wanted}'")
        check_transfer_end(transfer, wanted)
        self._engine.cancel_transfer(transfer.task)
        return transfer

    def _named_task(self, sid: str) -> Task:
        """The task that the parameter `TaskSid` names."""
        return self.named("TaskSid", self.tasks, arguments.text("TaskSid", sid))

    def _own_reservation(self, worker_sid: str, sid: str) -> Reservation:
        """The worker's reservation that the parameter `ReservationSid` names."""
        found = self.worker(worker_sid).reservations.get(arguments.text("ReservationSid", sid))
        if found is None:
            raise InvalidArgument(f"ReservationSid {sid!r} is no reservation of worker {worker_sid}")
        return found

    # -------------------------------------------------------- calls and conferences

    def end_call(self, sid: str) -> Call:
        """End a call that an instruction made up, as if somebody hung up.

        Its worker wraps up, or, in a single-tasking workspace, completes the reservation and moves to
        the post-work activity. A conference ends with whoever was to end it by leaving.

        Raises:
            NotFound: there is no such call.
            IllegalTransition: it has ended before.
        """
        call = self.telephony.call(sid)
        self._instructions.end(call)
        return call

    def update_customer_participant(
        self, task_sid: str, *, parameters: Mapping[str, object] = _NOTHING
    ) -> Task:
        """Put the customer on hold, or take the customer off it: `Hold`, `HoldUrl`, `HoldMethod`.

        Raises:
            InvalidArgument: a value is not valid, or there is no such task.
            IllegalTransition: the task has no running conference, or the customer has left it.
        """
        task, given = self._named_task(task_sid), Given(parameters)
        on_hold, url, method = _hold(given)
        conference = self._instructions.conference_of(task)
        if conference.customer is None:
            raise IllegalTransition(f"The customer has left conference {conference.sid}")
        self.telephony.hold(conference.customer, on_hold, url, method)
        return task

    def update_worker_participant(
        self, worker_sid: str, *, reservation_sid: str, parameters: Mapping[str, object] = _NOTHING
    ) -> Reservation:
        """Change a worker's own leg of a conference: `EndConferenceOnExit`, `Mute`, `BeepOnExit`.

        Raises:
            NotFound: there is no such worker.
            InvalidArgument: a value is not valid, the reservation is not the worker's, or the worker
                takes no part.
            IllegalTransition: the task has no running conference.
        """
        reservation = self._own_reservation(worker_sid, reservation_sid)
        given = Given(parameters)
        exits, mute, beep = (
            given.optional_flag(name) for name in ("EndConferenceOnExit", "Mute", "BeepOnExit")
        )
        conference = self._instructions.conference_of(reservation.task)
        participant = self._instructions.worker_in(conference, worker_sid, "Worker")
        self.telephony.update_worker(participant, end_conference_on_exit=exits, mute=mute, beep_on_exit=beep)
        return reservation

    def hold_worker_participant(
        self, task_sid: str, *, target_worker_sid: str, parameters: Mapping[str, object] = _NOTHING
    ) -> Task:
        """Put a worker of the conference on hold, or take it off: `Hold`, `HoldUrl`, `HoldMethod`.

        Raises:
            InvalidArgument: a value is not valid, `Hold` is missing, there is no such task, or the
                worker takes no part.
            IllegalTransition: the task has no running conference.
        """
        task, given = self._named_task(task_sid), Given(parameters)
        on_hold, url, method = _hold(given)
        if on_hold is None:
            raise arguments.required("Hold")
        conference = self._instructions.conference_of(task)
        participant = self._instructions.worker_in(conference, target_worker_sid, "TargetWorkerSid")
        self.telephony.hold(participant, on_hold, url, method)
        return task

    def kick_worker_participant(self, task_sid: str, *, target_worker_sid: str) -> Task:
        """Remove a worker from the conference. Its reservation stays what it is.

        Raises:
            InvalidArgument: there is no such task, or the worker takes no part.
            IllegalTransition: the task has no running conference.
        """
        task = self._named_task(task_sid)
        conference = self._instructions.conference_of(task)
        participant = self._instructions.worker_in(conference, target_worker_sid, "TargetWorkerSid")
        self.telephony.end(participant.call)
        return task

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
