# Which event hands its handlers what. Read by type checkers only, so that a wrong event name or a handler
# that takes something else is an error in the editor. The implementation is `_emitter.Listenable`.

from collections.abc import Callable
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, overload

from ._disconnect import Disconnect
from ._emitter import Emitter, EventName
from ._streams import EventStream, Overflow
from .errors import TaskRouterError
from .task import TaskEvent
from .worker import WorkerEvent

__all__ = [
    "OwnEmitter",
    "OwnListeners",
    "TaskEmitter",
    "TaskListeners",
    "TaskOwnEvent",
    "WorkerEmitter",
    "WorkerListeners",
    "WorkerOwnEvent",
]

_T = TypeVar("_T")  # what the handler returns: nothing, a coroutine, anything
_R = TypeVar("_R")  # the reservation's class
_O = TypeVar("_O")  # the outgoing transfer's class

WorkerOwnEvent: TypeAlias = Literal["ready", "activityUpdated", "attributesUpdated"]
_ReservationEvent: TypeAlias = Literal["reservationCreated", "reservationMissed"]
_BareEvent: TypeAlias = Literal["tokenExpired", "tokenUpdated"]
TaskOwnEvent: TypeAlias = Literal["updated", "wrapup", "completed", "canceled"]

class OwnListeners(Generic[EventName]):
    # Every event hands over the object that emits it.
    @overload
    def on(self, event: EventName) -> Callable[[Callable[[Self], _T]], Callable[[Self], _T]]: ...
    @overload
    def on(self, event: EventName, handler: Callable[[Self], _T]) -> Callable[[Self], _T]: ...
    @overload
    def once(self, event: EventName) -> Callable[[Callable[[Self], _T]], Callable[[Self], _T]]: ...
    @overload
    def once(self, event: EventName, handler: Callable[[Self], _T]) -> Callable[[Self], _T]: ...

class TaskListeners(Generic[_O]):
    @overload
    def on(self, event: TaskOwnEvent) -> Callable[[Callable[[Self], _T]], Callable[[Self], _T]]: ...
    @overload
    def on(self, event: TaskOwnEvent, handler: Callable[[Self], _T]) -> Callable[[Self], _T]: ...
    @overload
    def on(
        self, event: Literal["transferInitiated"]
    ) -> Callable[[Callable[[_O], _T]], Callable[[_O], _T]]: ...
    @overload
    def on(self, event: Literal["transferInitiated"], handler: Callable[[_O], _T]) -> Callable[[_O], _T]: ...
    @overload
    def once(self, event: TaskOwnEvent) -> Callable[[Callable[[Self], _T]], Callable[[Self], _T]]: ...
    @overload
    def once(self, event: TaskOwnEvent, handler: Callable[[Self], _T]) -> Callable[[Self], _T]: ...
    @overload
    def once(
        self, event: Literal["transferInitiated"]
    ) -> Callable[[Callable[[_O], _T]], Callable[[_O], _T]]: ...
    @overload
    def once(
        self, event: Literal["transferInitiated"], handler: Callable[[_O], _T]
    ) -> Callable[[_O], _T]: ...

class WorkerListeners(Generic[_R]):
    @overload
    def on(self, event: WorkerOwnEvent) -> Callable[[Callable[[Self], _T]], Callable[[Self], _T]]: ...
    @overload
    def on(self, event: WorkerOwnEvent, handler: Callable[[Self], _T]) -> Callable[[Self], _T]: ...
    @overload
    def on(self, event: _ReservationEvent) -> Callable[[Callable[[_R], _T]], Callable[[_R], _T]]: ...
    @overload
    def on(self, event: _ReservationEvent, handler: Callable[[_R], _T]) -> Callable[[_R], _T]: ...
    @overload
    def on(
        self, event: Literal["reservationFailed"]
    ) -> Callable[[Callable[[dict[str, object]], _T]], Callable[[dict[str, object]], _T]]: ...
    @overload
    def on(
        self, event: Literal["reservationFailed"], handler: Callable[[dict[str, object]], _T]
    ) -> Callable[[dict[str, object]], _T]: ...
    @overload
    def on(self, event: _BareEvent) -> Callable[[Callable[[], _T]], Callable[[], _T]]: ...
    @overload
    def on(self, event: _BareEvent, handler: Callable[[], _T]) -> Callable[[], _T]: ...
    @overload
    def on(
        self, event: Literal["disconnected"]
    ) -> Callable[[Callable[[Disconnect], _T]], Callable[[Disconnect], _T]]: ...
    @overload
    def on(
        self, event: Literal["disconnected"], handler: Callable[[Disconnect], _T]
    ) -> Callable[[Disconnect], _T]: ...
    @overload
    def on(
        self, event: Literal["error"]
    ) -> Callable[[Callable[[TaskRouterError], _T]], Callable[[TaskRouterError], _T]]: ...
    @overload
    def on(
        self, event: Literal["error"], handler: Callable[[TaskRouterError], _T]
    ) -> Callable[[TaskRouterError], _T]: ...
    @overload
    def once(self, event: WorkerOwnEvent) -> Callable[[Callable[[Self], _T]], Callable[[Self], _T]]: ...
    @overload
    def once(self, event: WorkerOwnEvent, handler: Callable[[Self], _T]) -> Callable[[Self], _T]: ...
    @overload
    def once(self, event: _ReservationEvent) -> Callable[[Callable[[_R], _T]], Callable[[_R], _T]]: ...
    @overload
    def once(self, event: _ReservationEvent, handler: Callable[[_R], _T]) -> Callable[[_R], _T]: ...
    @overload
    def once(
        self, event: Literal["reservationFailed"]
    ) -> Callable[[Callable[[dict[str, object]], _T]], Callable[[dict[str, object]], _T]]: ...
    @overload
    def once(
        self, event: Literal["reservationFailed"], handler: Callable[[dict[str, object]], _T]
    ) -> Callable[[dict[str, object]], _T]: ...
    @overload
    def once(self, event: _BareEvent) -> Callable[[Callable[[], _T]], Callable[[], _T]]: ...
    @overload
    def once(self, event: _BareEvent, handler: Callable[[], _T]) -> Callable[[], _T]: ...
    @overload
    def once(
        self, event: Literal["disconnected"]
    ) -> Callable[[Callable[[Disconnect], _T]], Callable[[Disconnect], _T]]: ...
    @overload
    def once(
        self, event: Literal["disconnected"], handler: Callable[[Disconnect], _T]
    ) -> Callable[[Disconnect], _T]: ...
    @overload
    def once(
        self, event: Literal["error"]
    ) -> Callable[[Callable[[TaskRouterError], _T]], Callable[[TaskRouterError], _T]]: ...
    @overload
    def once(
        self, event: Literal["error"], handler: Callable[[TaskRouterError], _T]
    ) -> Callable[[TaskRouterError], _T]: ...

class OwnEmitter(OwnListeners[EventName], Emitter[EventName]):
    async def wait_for(self, *events: EventName, timeout: float | None = None) -> Self: ...
    def stream(
        self, event: EventName, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[Self]: ...

class TaskEmitter(TaskListeners[_O], Emitter[TaskEvent]):
    @overload
    async def wait_for(self, *events: TaskOwnEvent, timeout: float | None = None) -> Self: ...
    @overload
    async def wait_for(self, *events: Literal["transferInitiated"], timeout: float | None = None) -> _O: ...
    @overload
    async def wait_for(self, *events: TaskEvent, timeout: float | None = None) -> Self | _O: ...
    @overload
    def stream(
        self, event: TaskOwnEvent, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[Self]: ...
    @overload
    def stream(
        self, event: Literal["transferInitiated"], *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[_O]: ...

class WorkerEmitter(WorkerListeners[_R], Emitter[WorkerEvent]):
    @overload
    async def wait_for(self, *events: WorkerOwnEvent, timeout: float | None = None) -> Self: ...
    @overload
    async def wait_for(self, *events: _ReservationEvent, timeout: float | None = None) -> _R: ...
    @overload
    async def wait_for(
        self, *events: Literal["reservationFailed"], timeout: float | None = None
    ) -> dict[str, object]: ...
    @overload
    async def wait_for(self, *events: _BareEvent, timeout: float | None = None) -> None: ...
    @overload
    async def wait_for(
        self, *events: Literal["disconnected"], timeout: float | None = None
    ) -> Disconnect: ...
    @overload
    async def wait_for(self, *events: Literal["error"], timeout: float | None = None) -> TaskRouterError: ...
    @overload
    async def wait_for(
        self, *events: WorkerEvent, timeout: float | None = None
    ) -> Any: ...  # Any: one of several events, of different arguments
    @overload
    def stream(
        self, event: WorkerOwnEvent, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[Self]: ...
    @overload
    def stream(
        self, event: _ReservationEvent, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[_R]: ...
    @overload
    def stream(
        self, event: Literal["reservationFailed"], *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[dict[str, object]]: ...
    @overload
    def stream(
        self, event: _BareEvent, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[None]: ...
    @overload
    def stream(
        self, event: Literal["disconnected"], *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[Disconnect]: ...
    @overload
    def stream(
        self, event: Literal["error"], *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[TaskRouterError]: ...
