"""Python worker SDK for Twilio TaskRouter.

Names load when they are first used, so that importing a pure module of this package, as the local
server does, pulls in no network library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._disconnect import Disconnect, DisconnectCause
    from ._session import SessionState
    from ._streams import EventStream
    from .activity import Activity
    from .channel import Channel
    from .errors import (
        AuthenticationError,
        ConnectionFailedError,
        EndedOtherwiseError,
        EventImpossibleError,
        HandlerError,
        InvalidMessageError,
        InvalidTokenError,
        NetworkError,
        NotConnectedError,
        NotFoundError,
        RateLimitedError,
        RequestError,
        RequestInvalidError,
        RequestTimeoutError,
        ServerError,
        SessionDisplacedError,
        SignalingError,
        StreamOverflowError,
        TaskRouterError,
        TokenError,
        TokenProviderError,
        VersionConflictError,
    )
    from .pool import WorkerPool
    from .reservation import Reservation
    from .supervisor import Supervisor
    from .sync import SyncSupervisor, SyncWorker, SyncWorkspace, SyncWorkspaceReader
    from .task import Task
    from .terms import (
        ReservationStatus,
        Role,
        SupervisorMode,
        TaskStatus,
        TransferMode,
        TransferStatus,
        TransferType,
    )
    from .tokens import worker_token
    from .transfer import IncomingTransfer, OutgoingTransfer, Transfers
    from .worker import Worker
    from .workspace import TaskInfo, TaskQueue, WorkerInfo, Workspace, WorkspaceReader

__all__ = [
    "Activity",
    "AuthenticationError",
    "Channel",
    "ConnectionFailedError",
    "Disconnect",
    "DisconnectCause",
    "EndedOtherwiseError",
    "EventImpossibleError",
    "EventStream",
    "HandlerError",
    "IncomingTransfer",
    "InvalidMessageError",
    "InvalidTokenError",
    "NetworkError",
    "NotConnectedError",
    "NotFoundError",
    "OutgoingTransfer",
    "RateLimitedError",
    "RequestError",
    "RequestInvalidError",
    "RequestTimeoutError",
    "Reservation",
    "ReservationStatus",
    "Role",
    "ServerError",
    "SessionDisplacedError",
    "SessionState",
    "SignalingError",
    "StreamOverflowError",
    "Supervisor",
    "SupervisorMode",
    "SyncSupervisor",
    "SyncWorker",
    "SyncWorkspace",
    "SyncWorkspaceReader",
    "Task",
    "TaskInfo",
    "TaskQueue",
    "TaskRouterError",
    "TaskStatus",
    "TokenError",
    "TokenProviderError",
    "TransferMode",
    "TransferStatus",
    "TransferType",
    "Transfers",
    "VersionConflictError",
    "Worker",
    "WorkerInfo",
    "WorkerPool",
    "Workspace",
    "WorkspaceReader",
    "__version__",
    "worker_token",
]

_MODULES = {
    "_session": ("SessionState",),
    "_disconnect": ("Disconnect", "DisconnectCause"),
    "_streams": ("EventStream",),
    "activity": ("Activity",),
    "channel": ("Channel",),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "pool": ("WorkerPool",),
    "reservation": ("Reservation",),
    "task": ("Task",),
    "supervisor": ("Supervisor",),
    "sync": ("SyncSupervisor", "SyncWorker", "SyncWorkspace", "SyncWorkspaceReader"),
    "terms": (
        "ReservationStatus",
        "Role",
        "SupervisorMode",
        "TaskStatus",
        "TransferMode",
        "TransferStatus",
        "TransferType",
    ),
    "tokens": ("worker_token",),
    "transfer": ("IncomingTransfer", "OutgoingTransfer", "Transfers"),
    "worker": ("Worker",),
    "workspace": ("TaskInfo", "TaskQueue", "WorkerInfo", "Workspace", "WorkspaceReader"),
}

_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
