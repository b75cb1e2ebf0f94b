# Which event hands its handlers what, for the synchronous classes. Read by type checkers only.
# The implementation is `_facade.ListenableFacade`.

from typing import Any, Generic, Literal, Self, TypeVar, overload

from ._disconnect import Disconnect
from ._emitter import EventName, Handler, Origin
from ._facade import BlockingStream, Facade, Live, WorkerThread
from ._signatures import OwnListeners, TaskListeners, TaskOwnEvent, WorkerListeners, WorkerOwnEvent
from ._streams import Overflow
from .errors import TaskRouterError
from .task import TaskEvent
from .worker import WorkerEvent

__all__ = ["OwnFacade", "TaskFacade", "WorkerFacade"]

_R = TypeVar("_R")  # the reservation's class
_O = TypeVar("_O")  # the outgoing transfer's class

class OwnFacade(OwnListeners[EventName], Facade[Live], Generic[Live, EventName]):
    @property
    def origin(self) -> Origin: ...
    def remove_listener(self, event: EventName, handler: Handler) -> None: ...
    def wait_for(self, *events: EventName, timeout: float | None = None) -> Self: ...
    def stream(
        self, event: EventName, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> BlockingStream[Self]: ...

class TaskFacade(TaskListeners[_O], Facade[Live], Generic[Live, _O]):
    @property
    def origin(self) -> Origin: ...
    def remove_listener(self, event: TaskEvent, handler: Handler) -> None: ...
    @overload
    def wait_for(self, *events: TaskOwnEvent, timeout: float | None = None) -> Self: ...
    @overload
    def wait_for(self, *events: Literal["transferInitiated"], timeout: float | None = None) -> _O: ...
    @overload
    def wait_for(self, *events: TaskEvent, timeout: float | None = None) -> Self | _O: ...
    @overload
    def stream(
        self, event: TaskOwnEvent, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> BlockingStream[Self]: ...
    @overload
    def stream(
        self, event: Literal["transferInitiated"], *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> BlockingStream[_O]: ...

class WorkerFacade(WorkerListeners[_R], Facade[Live], Generic[Live, _R]):
    @property
    def _worker_thread(self) -> WorkerThread: ...
    @property
    def origin(self) -> Origin: ...
    def remove_listener(self, event: WorkerEvent, handler: Handler) -> None: ...
    @overload
    def wait_for(self, *events: WorkerOwnEvent, timeout: float | None = None) -> Self: ...
    @overload
    def wait_for(
        self, *events: Literal["reservationCreated", "reservationMissed"], timeout: float | None = None
    ) -> _R: ...
    @overload
    def wait_for(
        self, *events: Literal["reservationFailed"], timeout: float | None = None
    ) -> dict[str, object]: ...
    @overload
    def wait_for(
        self, *events: Literal["tokenExpired", "tokenUpdated"], timeout: float | None = None
    ) -> None: ...
    @overload
    def wait_for(self, *events: Literal["disconnected"], timeout: float | None = None) -> Disconnect: ...
    @overload
    def wait_for(self, *events: Literal["error"], timeout: float | None = None) -> TaskRouterError: ...
    @overload
    def wait_for(
        self, *events: WorkerEvent, timeout: float | None = None
    ) -> Any: ...  # Any: one of several events, of different arguments
    @overload
    def stream(
        self, event: WorkerOwnEvent, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> BlockingStream[Self]: ...
    @overload
    def stream(
        self,
        event: Literal["reservationCreated", "reservationMissed"],
        *,
        max_buffer: int = 1_000,
        overflow: Overflow = "raise",
    ) -> BlockingStream[_R]: ...
    @overload
    def stream(
        self, event: Literal["reservationFailed"], *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> BlockingStream[dict[str, object]]: ...
    @overload
    def stream(
        self,
        event: Literal["tokenExpired", "tokenUpdated"],
        *,
        max_buffer: int = 1_000,
        overflow: Overflow = "raise",
    ) -> BlockingStream[None]: ...
    @overload
    def stream(
        self, event: Literal["disconnected"], *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> BlockingStream[Disconnect]: ...
    @overload
    def stream(
        self, event: Literal["error"], *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> BlockingStream[TaskRouterError]: ...
