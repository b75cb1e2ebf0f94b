"""A workspace as plain records, and back: the restored one behaves as the first would have.

`dump` may be called between any two commands. What can be derived is not in the records: who waits,
who is free, which deadlines are set and what load a worker has follow from the entities.

An entity that was deleted may still be named by others: an ended task names its queue, a reservation
its worker. Such entities are kept as *gone* for as long as something names them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import msgspec

from . import arguments
from .consistency import contradictions
from .entities import Entity
from .errors import InvalidArgument
from .instruction_options import Callback
from .model import (
    Activity,
    Limits,
    Reservation,
    Task,
    TaskChannel,
    TaskQueue,
    Transfer,
    Worker,
    WorkerChannel,
    Workflow,
)
from .recording import DEFAULT_FILTER, log_records, named_by, record_of, workspace_record
from .records import (
    FORMAT,
    ActivityRecord,
    CallbackRecord,
    CallRecord,
    ConferenceRecord,
    DamagedDocument,
    EntityRecord,
    LogRecord,
    Record,
    RedirectRecord,
    ReservationRecord,
    StatusCallbackRecord,
    TaskChannelRecord,
    TaskQueueRecord,
    TaskRecord,
    TransferRecord,
    WorkerChannelRecord,
    WorkerRecord,
    WorkflowRecord,
    WorkspaceDocument,
)
from .telephony import Call, Conference, Participant, Redirect, StatusCallback
from .workflow import Step, parse_configuration
from .workspace import Workspace

__all__ = ["dump", "restore"]

E = TypeVar("E", bound=Entity)


def dump(workspace: Workspace) -> WorkspaceDocument:
    """Everything about a workspace that will matter later.

    Raises:
        RuntimeError: a command is under way: its events have not been taken yet.
    """
    if not workspace.is_settled:
        raise RuntimeError("a command is under way: take its events first")
    present: dict[Entity, None] = {}
    for registry in workspace.registries:
        present.update(dict.fromkeys(registry.values()))
    found, left = dict(present), list(present)
    while left:
        for entity in named_by(left.pop()):
            if entity not in found:
                found[entity] = None
                left.append(entity)
    records: list[Record] = [record_of(entity, gone=entity not in present) for entity in found]
    return WorkspaceDocument(
        workspace=workspace_record(workspace), records=(*records, *log_records(workspace.telephony))
    )


def restore(
    document: WorkspaceDocument,
    *,
    now: Callable[[], float],
    sids: Callable[[str], str],
    limits: Limits,
) -> Workspace:
    """The workspace that was dumped. Deadlines that have passed meanwhile are due.

    Args:
        document: what `dump` returned.
        now: tells the time in epoch seconds.
        sids: makes a new SID that begins with the given two letters; never one that the document has.
        limits: TaskRouter's numbers; they may differ from those at the time of the dump.

    Raises:
        DamagedDocument: the records contradict each other or hold what cannot be.
    """
    if document.format != FORMAT:
        raise DamagedDocument(f"format {document.format} was found, expected {FORMAT}")
    head = document.workspace
    workspace = Workspace.bare(
        sid=head.sid,
        account_sid=head.account_sid,
        friendly_name=head.friendly_name,
        now=now,
        sids=sids,
        limits=limits,
        multi_task_enabled=head.multi_task_enabled,
        event_callback_url=head.event_callback_url,
        events_filter=head.events_filter,
        prioritize_queue_order=head.prioritize_queue_order,
    )
    workspace.date_created, workspace.date_updated = head.date_created, head.date_updated
    filling = _Filling(workspace)
    for kind in _ORDER:
        for record in document.records:
            if isinstance(record, kind):
                filling.add(record)
    filling.link()
    workspace.default_activity = filling.entity(Activity, head.default_activity_sid)
    workspace.timeout_activity = filling.entity(Activity, head.timeout_activity_sid)
    unknown = {*head.asking, *head.unrouted} - workspace.tasks.keys()
    if unknown:
        raise DamagedDocument(f"task {min(unknown)} is to be routed, but it is not there")
    for contradiction in contradictions(workspace, numbers=head.numbers):
        raise DamagedDocument(contradiction)
    filling.count()
    workspace.resume(seq=head.seq, numbers=head.numbers, asking=head.asking, unrouted=head.unrouted)
    return workspace


_ORDER: Final = (
    ActivityRecord,
    TaskChannelRecord,
    TaskQueueRecord,
    WorkflowRecord,
    WorkerRecord,
    WorkerChannelRecord,
    TaskRecord,
    ReservationRecord,
    TransferRecord,
    CallRecord,
    ConferenceRecord,
    RedirectRecord,
    StatusCallbackRecord,
)
"""Who is named comes before who names it; but for transfers, which are linked at the end."""


class _Filling:
    """A workspace that is being filled from records."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, Entity] = {}
        self._made_by: list[tuple[Reservation, str]] = []  # reservations and the transfers that made them

    def entity(self, kind: type[E], sid: str) -> E:
        """The entity of that kind that a record names."""
        found = self._known.get(sid)
        if not isinstance(found, kind):
            raise DamagedDocument(f"{kind.__name__} {sid} is named by another record, but it is not there")
        return found

    def _optional(self, kind: type[E], sid: str | None) -> E | None:
        return None if sid is None else self.entity(kind, sid)

    def add(self, record: Record) -> None:
        """Make the entity of a record."""
        try:
            match record:
                case RedirectRecord() | StatusCallbackRecord():
                    self._add_line(record)
                case ActivityRecord() | TaskChannelRecord() | TaskQueueRecord() | WorkflowRecord():
                    self._keep(record, self._configured(record))
                case WorkerRecord():
                    self._keep(record, self._worker(record))
                case WorkerChannelRecord():
                    self._keep(record, self._worker_channel(record))
                case TaskRecord():
                    self._keep(record, self._task(record))
                case ReservationRecord():
                    self._keep(record, self._reservation(record))
                case TransferRecord():
                    self._keep(record, self._transfer(record))
                case CallRecord():
                    self._keep(record, self._call(record))
                case ConferenceRecord():
                    self._keep(record, self._conference(record))
        except InvalidArgument:
            # Not its text: it quotes the value.
            sid = "" if isinstance(record, RedirectRecord | StatusCallbackRecord) else record.sid
            raise DamagedDocument(f"a value of {sid} is not valid") from None

    def link(self) -> None:
        """Connect what names each other."""
        for reservation, transfer_sid in self._made_by:
            reservation.transfer = self.entity(Transfer, transfer_sid)
        for transfer in self._workspace.transfers.values():
            transfer.task.transfers[transfer.sid] = transfer
            if transfer.is_under_way:
                transfer.task.transfer = transfer.initiating_reservation.outgoing_transfer = transfer
        for reservation in self._workspace.reservations.values():
            reservation.task.reservations[reservation.sid] = reservation
            reservation.worker.reservations[reservation.sid] = reservation

    def count(self) -> None:
        """Give each worker channel its load. Nothing may contradict anything by now."""
        for reservation in self._workspace.reservations.values():
            if reservation.is_live:
                reservation.worker_channel.count(reservation.status)

    def _keep(self, record: EntityRecord, entity: Entity) -> None:
        if record.sid in self._known:
            raise DamagedDocument(f"{record.sid} is there twice")
        self._known[record.sid] = entity
        if not record.gone:
            cast("dict[str, Entity]", self._registry(entity))[record.sid] = entity

    def _registry(self, entity: Entity) -> object:
        workspace = self._workspace
        match entity:
            case Activity():
                return workspace.activities
            case TaskChannel():
                return workspace.task_channels
            case TaskQueue():
                return workspace.task_queues
            case Workflow():
                return workspace.workflows
            case Worker():
                return workspace.workers
            case WorkerChannel():
                return workspace.worker_channels
            case Task():
                return workspace.tasks
            case Reservation():
                return workspace.reservations
            case Transfer():
                return workspace.transfers
            case Call():
                return workspace.telephony.calls
            case Conference():
                return workspace.telephony.conferences
            case _:
                raise AssertionError(f"{type(entity).__name__} is in no registry")

    def _configured(
        self, record: ActivityRecord | TaskChannelRecord | TaskQueueRecord | WorkflowRecord
    ) -> Entity:
        match record:
            case ActivityRecord():
                return Activity(**_fields(record))
            case TaskChannelRecord():
                return TaskChannel(**_fields(record))
            case TaskQueueRecord():
                return TaskQueue(
                    expression=arguments.expression("TargetWorkers", record.target_workers),
                    reservation_activity=self._optional(Activity, record.reservation_activity_sid),
                    assignment_activity=self._optional(Activity, record.assignment_activity_sid),
                    **_fields(record, "reservation_activity_sid", "assignment_activity_sid"),
                )
            case WorkflowRecord():
                parsed = parse_configuration(record.configuration)
                missing = (
                    [] if record.gone else sorted(parsed.queue_sids - self._workspace.task_queues.keys())
                )
                if missing:
                    raise DamagedDocument(
                        f"workflow {record.sid} names task queue {missing[0]}, which is not there"
                    )
                return Workflow(parsed_configuration=parsed, **_fields(record))

    def _worker(self, record: WorkerRecord) -> Worker:
        return Worker(
            parsed_attributes=arguments.attributes(record.attributes, at_most=len(record.attributes)),
            activity=self.entity(Activity, record.activity_sid),
            **_fields(record, "activity_sid"),
        )

    def _worker_channel(self, record: WorkerChannelRecord) -> WorkerChannel:
        worker = self.entity(Worker, record.worker_sid)
        channel = WorkerChannel(
            worker=worker,
            task_channel=self.entity(TaskChannel, record.task_channel_sid),
            **_fields(record, "worker_sid", "task_channel_sid"),
        )
        worker.channels[record.task_channel_sid] = channel
        return channel

    def _task(self, record: TaskRecord) -> Task:
        workflow = self._optional(Workflow, record.workflow_sid)
        return Task(
            parsed_attributes=arguments.attributes(record.attributes, at_most=len(record.attributes)),
            task_channel=self.entity(TaskChannel, record.task_channel_sid),
            workflow=workflow,
            queue=self._optional(TaskQueue, record.queue_sid),
            step=_step(record, workflow),
            **_fields(record, "task_channel_sid", "workflow_sid", "queue_sid", "step"),
        )

    def _reservation(self, record: ReservationRecord) -> Reservation:
        reservation = Reservation(
            task=self.entity(Task, record.task_sid),
            worker=self.entity(Worker, record.worker_sid),
            queue=self._optional(TaskQueue, record.queue_sid),
            worker_previous_activity=self.entity(Activity, record.previous_activity_sid),
            given_activity=self._optional(Activity, record.given_activity_sid),
            held_channel=self._optional(WorkerChannel, record.held_channel_sid),
            **_fields(
                record,
                "task_sid",
                "worker_sid",
                "queue_sid",
                "previous_activity_sid",
                "given_activity_sid",
                "held_channel_sid",
                "transfer_sid",
            ),
        )
        if record.transfer_sid is not None:
            self._made_by.append((reservation, record.transfer_sid))
        return reservation

    def _transfer(self, record: TransferRecord) -> Transfer:
        return Transfer(
            task=self.entity(Task, record.task_sid),
            initiating_reservation=self.entity(Reservation, record.initiating_reservation_sid),
            initiating_queue=self._optional(TaskQueue, record.initiating_queue_sid),
            **_fields(record, "task_sid", "initiating_reservation_sid", "initiating_queue_sid"),
        )

    def _call(self, record: CallRecord) -> Call:
        return Call(
            task=self.entity(Task, record.task_sid),
            reservation=self.entity(Reservation, record.reservation_sid),
            status_callback=_callback(record.status_callback),
            recording_status_callback=_callback(record.recording_status_callback),
            **_fields(record, "task_sid", "reservation_sid", "status_callback", "recording_status_callback"),
        )

    def _conference(self, record: ConferenceRecord) -> Conference:
        participants = tuple(
            Participant(
                call=self.entity(Call, participant.call_sid),
                **{
                    name: value
                    for name, value in msgspec.structs.asdict(participant).items()
                    if name != "call_sid"
                },
            )
            for participant in record.participants
        )
        conference = Conference(
            task=self.entity(Task, record.task_sid),
            status_callback=_callback(record.status_callback),
            recording_status_callback=_callback(record.recording_status_callback),
            participants=participants,
            **_fields(record, "task_sid", "status_callback", "recording_status_callback", "participants"),
        )
        for participant in participants:
            participant.call.conference = conference
        return conference

    def _add_line(self, record: LogRecord) -> None:
        telephony = self._workspace.telephony
        match record:
            case RedirectRecord():
                telephony.redirects.take_up(Redirect(**_fields(record, "number")), record.number)
            case StatusCallbackRecord():
                told = StatusCallback(kind=record.callback_kind, **_fields(record, "number", "callback_kind"))
                telephony.status_callbacks.take_up(told, record.number)


_LARGEST: Final = 253_402_300_799
"""The last second of the year 9999 as epoch seconds: no date is later, no count that high."""


def _fields(record: Record, *but: str) -> dict[str, Any]:
    """What an entity has in common with its record; refuses numbers that it never has."""
    found = msgspec.structs.asdict(record)
    if any(isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST for value in found.values()):
        raise InvalidArgument("a number is out of range")
    for name in ("gone", *but):
        found.pop(name, None)
    return found


def _callback(record: CallbackRecord | None) -> Callback | None:
    return None if record is None else Callback(url=record.url, method=record.method, events=record.events)


def _step(record: TaskRecord, workflow: Workflow | None) -> Step | None:
    if record.step is None or record.gone:
        return None
    place, index = record.step
    configuration = workflow.parsed_configuration if workflow else None
    step: Step | None = None
    if configuration is not None and place == DEFAULT_FILTER:
        step = configuration.default
    elif configuration is not None and 0 <= place < len(configuration.filters):
        steps = configuration.filters[place].steps
        step = steps[index] if 0 <= index < len(steps) else None
    if step is None:
        raise DamagedDocument(f"the step of task {record.sid} is not in its workflow")
    return step
