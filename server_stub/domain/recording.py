"""What is kept of each entity: its record, and the other entities that the record names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .entities import Entity
from .instruction_options import Callback
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
from .records import (
    ActivityRecord,
    CallbackRecord,
    CallRecord,
    ConferenceRecord,
    EntityRecord,
    LogRecord,
    ParticipantRecord,
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
    WorkspaceRecord,
)
from .telephony import Call, Conference, Telephony
from .workspace import Workspace

__all__ = ["DEFAULT_FILTER", "log_records", "named_by", "record_of", "workspace_record"]

DEFAULT_FILTER: Final = -1
"""The place of a workflow's default filter, as a task's step names it."""


def workspace_record(workspace: Workspace) -> WorkspaceRecord:
    """The record of the workspace itself."""
    return WorkspaceRecord(
        sid=workspace.sid,
        account_sid=workspace.account_sid,
        friendly_name=workspace.friendly_name,
        multi_task_enabled=workspace.multi_task_enabled,
        event_callback_url=workspace.event_callback_url,
        events_filter=workspace.events_filter,
        prioritize_queue_order=workspace.prioritize_queue_order,
        default_activity_sid=workspace.default_activity.sid,
        timeout_activity_sid=workspace.timeout_activity.sid,
        date_created=workspace.date_created,
        date_updated=workspace.date_updated,
        seq=workspace.seq,
        numbers=workspace.numbers,
        asking=workspace.asking,
        unrouted=workspace.unrouted,
    )


def log_records(telephony: Telephony, *, redirects: int = 0, status_callbacks: int = 0) -> list[LogRecord]:
    """What the logs hold beyond these totals."""
    return [
        *(
            RedirectRecord(
                number=number,
                call_sid=line.call_sid,
                url=line.url,
                accept=line.accept,
                task_sid=line.task_sid,
                reservation_sid=line.reservation_sid,
                at=line.at,
            )
            for number, line in telephony.redirects.since(redirects)
        ),
        *(
            StatusCallbackRecord(
                number=number,
                at=told.at,
                callback_kind=told.kind,
                event=told.event,
                sid=told.sid,
                task_sid=told.task_sid,
                url=told.url,
                method=told.method,
                parameters=dict(told.parameters),
            )
            for number, told in telephony.status_callbacks.since(status_callbacks)
        ),
    ]


def named_by(entity: Entity) -> Iterator[Entity]:
    """The entities that an entity's record names. They never name each other in a circle."""
    found: tuple[Entity | None, ...]
    match entity:
        case TaskQueue():
            found = (entity.reservation_activity, entity.assignment_activity)
        case Worker():
            found = (entity.activity,)
        case WorkerChannel():
            found = (entity.worker, entity.task_channel)
        case Task():
            found = (entity.task_channel, entity.workflow, entity.queue)
        case Reservation():
            found = (
                entity.task,
                entity.worker,
                entity.queue,
                entity.worker_previous_activity,
                entity.given_activity,
                _held_channel(entity),
                entity.transfer,
            )
        case Transfer():
            found = (entity.task, entity.initiating_reservation, entity.initiating_queue)
        case Call():
            found = (entity.task, entity.reservation)
        case Conference():
            found = (entity.task, *(participant.call for participant in entity.participants))
        case _:
            found = ()
    return (named for named in found if named is not None)


def record_of(entity: Entity, *, gone: bool) -> EntityRecord:
    """The record of an entity."""
    match entity:
        case Activity():
            return ActivityRecord(
                gone=gone,
                sid=entity.sid,
                friendly_name=entity.friendly_name,
                available=entity.available,
                date_created=entity.date_created,
                date_updated=entity.date_updated,
                created_seq=entity.created_seq,
            )
        case TaskChannel():
            return TaskChannelRecord(
                gone=gone,
                sid=entity.sid,
                unique_name=entity.unique_name,
                friendly_name=entity.friendly_name,
                channel_optimized_routing=entity.channel_optimized_routing,
                date_created=entity.date_created,
                date_updated=entity.date_updated,
            )
        case TaskQueue():
            return TaskQueueRecord(
                gone=gone,
                sid=entity.sid,
                friendly_name=entity.friendly_name,
                target_workers=entity.target_workers,
                max_reserved_workers=entity.max_reserved_workers,
                task_order=entity.task_order,
                reservation_activity_sid=_sid(entity.reservation_activity),
                assignment_activity_sid=_sid(entity.assignment_activity),
                date_created=entity.date_created,
                date_updated=entity.date_updated,
                version=entity.version,
            )
        case Workflow():
            return WorkflowRecord(
                gone=gone,
                sid=entity.sid,
                friendly_name=entity.friendly_name,
                configuration=entity.configuration,
                task_reservation_timeout=entity.task_reservation_timeout,
                assignment_callback_url=entity.assignment_callback_url,
                fallback_assignment_callback_url=entity.fallback_assignment_callback_url,
                date_created=entity.date_created,
                date_updated=entity.date_updated,
            )
        case Worker():
            return WorkerRecord(
                gone=gone,
                sid=entity.sid,
                friendly_name=entity.friendly_name,
                attributes=entity.attributes,
                activity_sid=entity.activity.sid,
                date_created=entity.date_created,
                date_updated=entity.date_updated,
                date_status_changed=entity.date_status_changed,
                number=entity.number,
                version=entity.version,
                last_reserved_at=entity.last_reserved_at,
                last_reserved_number=entity.last_reserved_number,
            )
        case WorkerChannel():
            return WorkerChannelRecord(
                gone=gone,
                sid=entity.sid,
                worker_sid=entity.worker.sid,
                task_channel_sid=entity.task_channel.sid,
                configured_capacity=entity.configured_capacity,
                available=entity.available,
                date_created=entity.date_created,
                date_updated=entity.date_updated,
                created_seq=entity.created_seq,
                version=entity.version,
                last_reserved_at=entity.last_reserved_at,
                last_reserved_number=entity.last_reserved_number,
            )
        case Task():
            return _task_record(entity, gone=gone)
        case Reservation():
            return _reservation_record(entity, gone=gone)
        case Transfer():
            return TransferRecord(
                gone=gone,
                sid=entity.sid,
                task_sid=entity.task.sid,
                initiating_reservation_sid=entity.initiating_reservation.sid,
                initiating_queue_sid=_sid(entity.initiating_queue),
                mode=entity.mode,
                type=entity.type,
                to=entity.to,
                deadline=entity.deadline,
                date_created=entity.date_created,
                date_updated=entity.date_updated,
                status=entity.status,
                failed_reason=entity.failed_reason,
                rejections=entity.rejections,
            )
        case Call():
            return _call_record(entity, gone=gone)
        case Conference():
            return _conference_record(entity, gone=gone)
        case _:
            raise AssertionError(f"{type(entity).__name__} has no record")


def _task_record(task: Task, *, gone: bool) -> TaskRecord:
    return TaskRecord(
        gone=gone,
        sid=task.sid,
        attributes=task.attributes,
        task_channel_sid=task.task_channel.sid,
        workflow_sid=_sid(task.workflow),
        queue_sid=_sid(task.queue),
        priority=task.priority,
        timeout=task.timeout,
        routing_target=task.routing_target,
        ignore_capacity=task.ignore_capacity,
        virtual_start_time=task.virtual_start_time,
        date_created=task.date_created,
        date_updated=task.date_updated,
        number=task.number,
        status=task.status,
        reason=task.reason,
        version=task.version,
        queue_entered_at=task.queue_entered_at,
        assigned_at=task.assigned_at,
        ended_at=task.ended_at,
        counter=task.counter,
        rejections=task.rejections,
        step=None if gone else _place(task),  # its workflow may have become another one since it went
        filter_entered_at=task.filter_entered_at,
        step_deadline=task.step_deadline,
        filter_timed_out=task.filter_timed_out,
        is_unrouted=task.is_unrouted,
    )


def _place(task: Task) -> tuple[int, int] | None:
    step, workflow = task.step, task.workflow
    if step is None or workflow is None:
        return None
    if step.filter is None:
        return DEFAULT_FILTER, 0
    filters = workflow.parsed_configuration.filters
    return next(i for i, owner in enumerate(filters) if owner is step.filter), step.index


def _held_channel(reservation: Reservation) -> WorkerChannel | None:
    """The channel that it was made on matters only while it takes capacity."""
    return reservation.held_channel if reservation.is_live else None


def _reservation_record(reservation: Reservation, *, gone: bool) -> ReservationRecord:
    return ReservationRecord(
        gone=gone,
        sid=reservation.sid,
        task_sid=reservation.task.sid,
        worker_sid=reservation.worker.sid,
        queue_sid=_sid(reservation.queue),
        timeout=reservation.timeout,
        deadline=reservation.deadline,
        previous_activity_sid=reservation.worker_previous_activity.sid,
        given_activity_sid=_sid(reservation.given_activity),
        held_channel_sid=_sid(_held_channel(reservation)),
        transfer_sid=_sid(reservation.transfer),
        date_created=reservation.date_created,
        date_updated=reservation.date_updated,
        number=reservation.number,
        status=reservation.status,
        version=reservation.version,
        canceled_reason_code=reservation.canceled_reason_code,
    )


def _call_record(call: Call, *, gone: bool) -> CallRecord:
    return CallRecord(
        gone=gone,
        sid=call.sid,
        role=call.role,
        instruction=call.instruction,
        task_sid=call.task.sid,
        reservation_sid=call.reservation.sid,
        worker_sid=call.worker_sid,
        to=call.to,
        from_=call.from_,
        url=call.url,
        timeout=call.timeout,
        record=call.record,
        post_work_activity_sid=call.post_work_activity_sid,
        status_callback=_callback_record(call.status_callback),
        recording_status_callback=_callback_record(call.recording_status_callback),
        sip_auth_username=call.sip_auth_username,
        early_media=call.early_media,
        status=call.status,
        date_created=call.date_created,
        date_ended=call.date_ended,
        ended_number=call.ended_number,
    )


def _conference_record(conference: Conference, *, gone: bool) -> ConferenceRecord:
    return ConferenceRecord(
        gone=gone,
        sid=conference.sid,
        task_sid=conference.task.sid,
        max_participants=conference.max_participants,
        record=conference.record,
        trim=conference.trim,
        recording_channels=conference.recording_channels,
        region=conference.region,
        wait_url=conference.wait_url,
        wait_method=conference.wait_method,
        transcribe=conference.transcribe,
        transcription_configuration=conference.transcription_configuration,
        status_callback=_callback_record(conference.status_callback),
        recording_status_callback=_callback_record(conference.recording_status_callback),
        status=conference.status,
        participants=tuple(
            ParticipantRecord(
                call_sid=participant.call.sid,
                muted=participant.muted,
                hold=participant.hold,
                hold_url=participant.hold_url,
                hold_method=participant.hold_method,
                end_conference_on_exit=participant.end_conference_on_exit,
                beep=participant.beep,
                beep_on_exit=participant.beep_on_exit,
                mode=participant.mode,
                jitter_buffer_size=participant.jitter_buffer_size,
                date_joined=participant.date_joined,
                date_left=participant.date_left,
            )
            for participant in conference.participants
        ),
        date_created=conference.date_created,
        date_ended=conference.date_ended,
        ended_number=conference.ended_number,
    )


def _callback_record(callback: Callback | None) -> CallbackRecord | None:
    if callback is None:
        return None
    return CallbackRecord(url=callback.url, method=callback.method, events=callback.events)


def _sid(entity: Activity | TaskQueue | Transfer | WorkerChannel | Workflow | None) -> str | None:
    return None if entity is None else entity.sid
