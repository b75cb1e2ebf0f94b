"""The stored form of a workspace: one record per entity, and one for the workspace itself.

Records hold what cannot be derived. Entities are named by their SIDs, dates are epoch seconds,
durations are seconds. `memento` makes them and makes a workspace of them again.

`FORMAT` is the version of all of them: raise it with each change of a field, and say in
`server_stub.storage.migrations` how older ones become new ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias, TypeVar

import msgspec

from taskrouter_worker.terms import (
    Instruction,
    QueueOrder,
    ReservationStatus,
    SupervisorMode,
    TaskStatus,
    TransferMode,
    TransferStatus,
    TransferType,
)

from .telephony import CallRole, CallStatus, ConferenceStatus, StatusCallbackKind

__all__ = [
    "FORMAT",
    "ActivityRecord",
    "CallRecord",
    "CallbackRecord",
    "ConferenceRecord",
    "DamagedDocument",
    "EntityRecord",
    "LogRecord",
    "ParticipantRecord",
    "Record",
    "RedirectRecord",
    "ReservationRecord",
    "StatusCallbackRecord",
    "TaskChannelRecord",
    "TaskQueueRecord",
    "TaskRecord",
    "TransferRecord",
    "WorkerChannelRecord",
    "WorkerRecord",
    "WorkflowRecord",
    "WorkspaceDocument",
    "WorkspaceRecord",
    "decode",
    "decode_record",
    "decode_workspace",
    "encode",
    "from_json",
    "to_json",
]

FORMAT: Final = 1
"""The version of the records in this module."""


class DamagedDocument(ValueError):
    """A stored workspace that cannot be read, or that contradicts itself. Its text quotes no values."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is stored. A field that nobody knows means damage, or a newer version."""


class _Entity(_Part, frozen=True, kw_only=True, tag_field="kind"):
    """Base of the records that have a SID.

    Attributes:
        gone: the entity was deleted, but another one still names it.
    """

    sid: str
    gone: bool = False


class WorkspaceRecord(_Part, frozen=True, kw_only=True):
    """The workspace itself.

    Attributes:
        seq: the sequence number of its last event.
        numbers: the last number given to a worker, task or reservation.
        asking: tasks whose present step is still to be asked whether it skips.
        unrouted: tasks that no filter took, in the order in which the next rounds cancel them.
    """

    sid: str
    account_sid: str
    friendly_name: str
    multi_task_enabled: bool
    event_callback_url: str
    events_filter: str | None
    prioritize_queue_order: QueueOrder
    default_activity_sid: str
    timeout_activity_sid: str
    date_created: float
    date_updated: float
    seq: int
    numbers: int
    asking: tuple[str, ...] = ()
    unrouted: tuple[str, ...] = ()


class ActivityRecord(_Entity, frozen=True, kw_only=True, tag="activity"):
    """See `model.Activity`."""

    friendly_name: str
    available: bool
    date_created: float
    date_updated: float
    created_seq: int


class TaskChannelRecord(_Entity, frozen=True, kw_only=True, tag="task_channel"):
    """See `model.TaskChannel`."""

    unique_name: str
    friendly_name: str
    channel_optimized_routing: bool
    date_created: float
    date_updated: float


class TaskQueueRecord(_Entity, frozen=True, kw_only=True, tag="task_queue"):
    """See `model.TaskQueue`; the expression is read from `target_workers`."""

    friendly_name: str
    target_workers: str
    max_reserved_workers: int
    task_order: QueueOrder
    reservation_activity_sid: str | None
    assignment_activity_sid: str | None
    date_created: float
    date_updated: float
    version: int


class WorkflowRecord(_Entity, frozen=True, kw_only=True, tag="workflow"):
    """See `model.Workflow`."""

    friendly_name: str
    configuration: str
    task_reservation_timeout: int
    assignment_callback_url: str | None
    fallback_assignment_callback_url: str | None
    date_created: float
    date_updated: float


class WorkerRecord(_Entity, frozen=True, kw_only=True, tag="worker"):
    """See `model.Worker`; its channels and reservations name it."""

    friendly_name: str
    attributes: str
    activity_sid: str
    date_created: float
    date_updated: float
    date_status_changed: float
    number: int
    version: int
    last_reserved_at: float | None
    last_reserved_number: int


class WorkerChannelRecord(_Entity, frozen=True, kw_only=True, tag="worker_channel"):
    """See `model.WorkerChannel`; its load is counted from the reservations."""

    worker_sid: str
    task_channel_sid: str
    configured_capacity: int
    available: bool
    date_created: float
    date_updated: float
    created_seq: int
    version: int
    last_reserved_at: float | None
    last_reserved_number: int


class TaskRecord(_Entity, frozen=True, kw_only=True, tag="task"):
    """See `model.Task`; its reservations and transfers name it.

    Attributes:
        step: where it stands in its workflow: the filter's place and the target's place within it, or
            -1 and 0 for the default filter.
    """

    attributes: str
    task_channel_sid: str
    workflow_sid: str | None
    queue_sid: str | None
    priority: int
    timeout: int
    routing_target: str | None
    ignore_capacity: bool
    virtual_start_time: float
    date_created: float
    date_updated: float
    number: int
    status: TaskStatus
    reason: str | None
    version: int
    queue_entered_at: float | None
    assigned_at: float | None
    ended_at: float | None
    counter: int
    rejections: int
    step: tuple[int, int] | None
    filter_entered_at: float | None
    step_deadline: float | None
    filter_timed_out: bool
    is_unrouted: bool


class ReservationRecord(_Entity, frozen=True, kw_only=True, tag="reservation"):
    """See `model.Reservation`; the transfer started from it names it."""

    task_sid: str
    worker_sid: str
    queue_sid: str | None
    timeout: int
    deadline: float
    previous_activity_sid: str
    given_activity_sid: str | None
    held_channel_sid: str | None
    transfer_sid: str | None
    date_created: float
    date_updated: float
    number: int
    status: ReservationStatus
    version: int
    canceled_reason_code: int | None


class TransferRecord(_Entity, frozen=True, kw_only=True, tag="transfer"):
    """See `model.Transfer`."""

    task_sid: str
    initiating_reservation_sid: str
    initiating_queue_sid: str | None
    mode: TransferMode
    type: TransferType
    to: str
    deadline: float
    date_created: float
    date_updated: float
    status: TransferStatus
    failed_reason: str | None
    rejections: int


class CallbackRecord(_Part, frozen=True, kw_only=True):
    """See `instruction_options.Callback`."""

    url: str
    method: str
    events: tuple[str, ...]


class CallRecord(_Entity, frozen=True, kw_only=True, tag="call"):
    """See `telephony.Call`; the conference in which it takes part names it."""

    role: CallRole
    instruction: Instruction
    task_sid: str
    reservation_sid: str
    worker_sid: str | None
    to: str
    from_: str | None
    url: str | None
    timeout: int | None
    record: str
    post_work_activity_sid: str | None
    status_callback: CallbackRecord | None
    recording_status_callback: CallbackRecord | None
    sip_auth_username: str | None
    early_media: bool | None
    status: CallStatus
    date_created: float
    date_ended: float | None
    ended_number: int


class ParticipantRecord(_Part, frozen=True, kw_only=True):
    """See `telephony.Participant`."""

    call_sid: str
    muted: bool
    hold: bool
    hold_url: str | None
    hold_method: str | None
    end_conference_on_exit: bool
    beep: str | None
    beep_on_exit: bool
    mode: SupervisorMode | None
    jitter_buffer_size: str | None
    date_joined: float
    date_left: float | None


class ConferenceRecord(_Entity, frozen=True, kw_only=True, tag="conference"):
    """See `telephony.Conference`."""

    task_sid: str
    max_participants: int
    record: str
    trim: str
    recording_channels: str
    region: str | None
    wait_url: str | None
    wait_method: str
    transcribe: bool
    transcription_configuration: str | None
    status_callback: CallbackRecord | None
    recording_status_callback: CallbackRecord | None
    status: ConferenceStatus
    participants: tuple[ParticipantRecord, ...]
    date_created: float
    date_ended: float | None
    ended_number: int


class _Line(_Part, frozen=True, kw_only=True, tag_field="kind"):
    """Base of the records of a log, which never change. The last ones are kept."""

    number: int


class RedirectRecord(_Line, frozen=True, kw_only=True, tag="redirect"):
    """See `telephony.Redirect`."""

    call_sid: str
    url: str
    accept: bool
    task_sid: str
    reservation_sid: str
    at: float


class StatusCallbackRecord(_Line, frozen=True, kw_only=True, tag="status_callback"):
    """See `telephony.StatusCallback`."""

    at: float
    callback_kind: StatusCallbackKind
    event: str
    sid: str
    task_sid: str
    url: str
    method: str
    parameters: dict[str, str]


EntityRecord: TypeAlias = (
    ActivityRecord
    | TaskChannelRecord
    | TaskQueueRecord
    | WorkflowRecord
    | WorkerRecord
    | WorkerChannelRecord
    | TaskRecord
    | ReservationRecord
    | TransferRecord
    | CallRecord
    | ConferenceRecord
)
"""What describes one entity."""

LogRecord: TypeAlias = RedirectRecord | StatusCallbackRecord

Record: TypeAlias = EntityRecord | LogRecord


class WorkspaceDocument(_Part, frozen=True, kw_only=True):
    """A whole workspace.

    Attributes:
        format: the version of its records.
        records: those of one kind in the order in which they came; kinds in any order.
    """

    format: int = FORMAT
    workspace: WorkspaceRecord
    records: tuple[Record, ...]


_encoder = msgspec.json.Encoder()

T = TypeVar("T")


def to_json(value: object) -> bytes:
    """A record, or what is made of records, as JSON in UTF-8."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        # Half a surrogate pair, which the JSON of customers' attributes may hold, travels escaped only.
        return json.dumps(msgspec.to_builtins(value)).encode()


def from_json(text: bytes | str, kind: Callable[[], msgspec.json.Decoder[T]]) -> T:
    """What `to_json` wrote.

    Raises:
        DamagedDocument: it is something else.
    """
    decoder = kind()
    try:
        try:
            return decoder.decode(text)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            return msgspec.convert(json.loads(text), decoder.type)
    except (ValueError, RecursionError) as error:  # all of msgspec's and json's own
        raise DamagedDocument(_where(error)) from None


@cache
def _documents() -> msgspec.json.Decoder[WorkspaceDocument]:
    return msgspec.json.Decoder(WorkspaceDocument)


@cache
def _records() -> msgspec.json.Decoder[Record]:
    return msgspec.json.Decoder(Record)


@cache
def _workspaces() -> msgspec.json.Decoder[WorkspaceRecord]:
    return msgspec.json.Decoder(WorkspaceRecord)


def encode(document: WorkspaceDocument) -> bytes:
    """A document as JSON in UTF-8."""
    return to_json(document)


def decode(text: bytes | str) -> WorkspaceDocument:
    """The document in a JSON text.

    Raises:
        DamagedDocument: it is none of this version.
    """
    document = from_json(text, _documents)
    if document.format != FORMAT:
        raise DamagedDocument(f"format {document.format} was found, expected {FORMAT}")
    return document


def decode_record(text: bytes | str) -> Record:
    """The record in a JSON text; raises DamagedDocument."""
    return from_json(text, _records)


def decode_workspace(text: bytes | str) -> WorkspaceRecord:
    """The record of a workspace itself in a JSON text; raises DamagedDocument."""
    return from_json(text, _workspaces)


def _where(error: Exception) -> str:
    """What is wrong and where, without the values: they may be customers' data."""
    if isinstance(error, msgspec.ValidationError):
        _, found, path = str(error).rpartition(" - at `")
        return f"a value is not what it must be, at {path.rstrip('`')}" if found else "a value is not valid"
    return "it is not JSON"
