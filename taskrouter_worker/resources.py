"""The event bridge's resources: each field list once, with its JSON codec.

The SDK decodes frames and answers into these structures, the local server builds the same
structures and encodes them. Names, types and units are the wire's (event bridge, as the
JavaScript SDK reads it):

* dates are epoch **seconds**, except `last_reserved_time`, which is epoch **milliseconds**;
* `attributes` and `addons` are JSON **text**;
* a key that is absent on the wire is `UNSET` here, which is not the same as null.

Unknown keys are ignored; a missing or mistyped one raises `msgspec.ValidationError`, which names
the key by its path.
"""

from __future__ import annotations

from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

__all__ = [
    "DECODE_ERRORS",
    "UNSET",
    "ActivityFields",
    "AnyReservationFields",
    "InitFields",
    "Page",
    "PageMeta",
    "ReservationFields",
    "ShortReservationFields",
    "TaskFields",
    "TaskQueueFields",
    "TransferFields",
    "UnsetType",
    "WorkerChannelFields",
    "WorkerFields",
]

DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding text of a stranger can raise: not JSON or of another shape, not UTF-8, nested too deep."""

Epoch = float | int | None
"""Epoch seconds (or milliseconds where said). Null happens and means "never"."""

Sid = Annotated[str, msgspec.Meta(min_length=1)]
"""Of what the application is told of: it is part of the path that a command goes to."""

T = TypeVar("T")


class InitFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The payload of `init`, the first frame of each session."""

    channel_id: str  # the worker's SID
    account_sid: str
    workspace_sid: str
    token_lifetime: float | int | None = None  # milliseconds from this frame


class WorkerFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A worker."""

    sid: str
    account_sid: str
    workspace_sid: str
    friendly_name: str
    attributes: str | None
    available: bool
    activity_sid: str
    activity_name: str
    date_created: Epoch
    date_updated: Epoch
    date_status_changed: Epoch
    version: int


class ActivityFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """An activity of the workspace. It carries no version."""

    sid: str
    account_sid: str
    workspace_sid: str
    friendly_name: str
    available: bool
    date_created: Epoch
    date_updated: Epoch


class WorkerChannelFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A worker's capacity on one task channel."""

    sid: str
    account_sid: str
    workspace_sid: str
    worker_sid: str
    task_channel_sid: str
    task_channel_unique_name: str
    configured_capacity: int
    assigned_tasks: int
    available: bool | int  # 0 or 1 on the wire
    available_capacity_percentage: int | float
    date_created: Epoch
    date_updated: Epoch
    last_reserved_time: Epoch  # epoch milliseconds
    version: int | UnsetType = UNSET  # in events only


class TransferFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A transfer of a task from one worker to another worker or to a queue."""

    sid: Sid
    transfer_type: str  # WORKER, QUEUE
    transfer_mode: str  # WARM, COLD
    transfer_to: str
    transfer_status: str  # initiated, failed, complete, canceled
    initiating_reservation_sid: str
    initiating_worker_sid: str
    initiating_queue_sid: str | None
    initiating_workflow_sid: str | None
    date_created: Epoch
    date_updated: Epoch
    transfer_failed_reason: str | None | UnsetType = UNSET
    account_sid: str | None | UnsetType = UNSET
    workspace_sid: str | None | UnsetType = UNSET
    task_sid: str | None | UnsetType = UNSET  # absent where it is nested in a reservation's task_transfer


class TaskFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A task, alone or nested in a reservation."""

    sid: Sid
    workflow_sid: str | None
    workflow_name: str | None
    queue_sid: str | None
    queue_name: str | None
    task_channel_sid: str | None
    task_channel_unique_name: str | None
    attributes: str | None
    addons: str | None
    assignment_status: str
    priority: int
    age: int | float  # seconds
    timeout: int | float  # seconds
    reason: str | None
    routing_target: str | None
    date_created: Epoch
    date_updated: Epoch
    virtual_start_time: Epoch
    version: int
    account_sid: str | None | UnsetType = UNSET
    workspace_sid: str | None | UnsetType = UNSET
    counter: int | None | UnsetType = UNSET  # how often the task was reserved


class ShortReservationFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A reservation as the answers to its updates show it: without the nested task.

    The JavaScript SDK refuses such an answer when it holds transfer keys, even null ones, so they
    are not even fields here.
    """

    sid: Sid
    account_sid: str
    workspace_sid: str
    worker_sid: str
    reservation_status: str
    date_created: Epoch
    date_updated: Epoch
    version: int
    reservation_timeout: int | float | UnsetType = UNSET  # seconds
    task_sid: str | UnsetType = UNSET
    worker_name: str | None | UnsetType = UNSET
    worker_previous_activity_sid: str | None | UnsetType = UNSET
    task_channel_sid: str | None | UnsetType = UNSET


class ReservationFields(ShortReservationFields, kw_only=True, frozen=True, gc=False):
    """A complete reservation: in lists, in events, and in the answer to a single fetch."""

    task: TaskFields
    canceled_reason_code: int | None | UnsetType = UNSET
    task_transfer: TransferFields | None | UnsetType = UNSET  # this reservation came from it
    active_outgoing_task_transfer: TransferFields | None | UnsetType = UNSET  # started from it


class AnyReservationFields(ShortReservationFields, kw_only=True, frozen=True, gc=False):
    """A reservation as a single fetch shows it, which may be complete or short."""

    task: TaskFields | UnsetType = UNSET
    canceled_reason_code: int | None | UnsetType = UNSET


class TaskQueueFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A task queue."""

    sid: str
    account_sid: str
    workspace_sid: str
    friendly_name: str
    assignment_activity_name: str | None
    reservation_activity_name: str | None
    assignment_activity_sid: str | None
    reservation_activity_sid: str | None
    target_workers: str | None
    max_reserved_workers: int
    task_order: str
    lifo_queue: bool
    date_created: Epoch
    date_updated: Epoch
    version: int | UnsetType = UNSET


class PageMeta(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Only ordered lists page by `next_token`."""

    list_key: str = "contents"
    next_token: str | None = None


class Page(msgspec.Struct, Generic[T], kw_only=True, frozen=True, gc=False):
    """One page of a list. A non-empty `after_sid` means that another page follows."""

    contents: list[T]
    after_sid: str | None = None
    before_sid: str | None = None
    total: int | None = 0
    page: int | None = 0
    start: int | None = 0
    end: int | None = 0
    nextPage: int | None = 0  # noqa: N815 - the wire's own spelling
    lastPage: int | None = 0  # noqa: N815
    meta: PageMeta | None = None
