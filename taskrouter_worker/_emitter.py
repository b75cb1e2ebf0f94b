"""Handlers: registered on live objects, guarded, started in event order.

Each live object is an `Emitter`; a pyee emitter behind it is made with the first handler, so that
an object nobody listens to costs nothing. All emitters of one worker share one `Dispatcher`, which

* makes the emissions in the order of the events, each after the handlers of the one before have begun;
* calls plain functions within the emission, and times them;
* starts coroutines as tasks of the worker's task group;
* keeps the application's exceptions away from the reader and from the other handlers.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, cast, overload

from pyee.base import EventEmitter

from ._endpoints import check_int
from ._flags import asked_to_end
from ._handler_tasks import HandlerTasks
from ._streams import OVERFLOWS, EventStream, Overflow
from .errors import EventImpossibleError, HandlerError, NotConnectedError

__all__ = ["Dispatcher", "Emitter", "Handler", "Listenable", "Origin", "is_coroutine_function", "pushed"]

logger = logging.getLogger(__name__)

Handler = Callable[..., object]
"""A plain function or a coroutine function; Worker.js's arguments."""

Origin = Literal["event", "snapshot", "resync"]
"""Where an emission comes from: a pushed event, the first snapshot, or the difference found after a gap."""

SLOW_HANDLER_SECONDS = 0.1

_ENDS_ALL = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What a handler may raise to end more than itself."""

EventName = TypeVar("EventName", bound=str)
H = TypeVar("H", bound=Handler)


@dataclass(slots=True)  # not frozen: made for each emission, and that would double its cost
class _Emission:
    source: object
    args: tuple[object, ...]
    origin: Origin


# A coroutine handler begins after later events may have been emitted: what it reads must be its own
# event's. Tasks and callbacks take the context along in which they were scheduled.
_emission: contextvars.ContextVar[_Emission | None] = contextvars.ContextVar("emission", default=None)

_inside_handler: contextvars.ContextVar[object] = contextvars.ContextVar("inside_handler", default=None)


def pushed() -> object:
    """What the event is about that a handler is called for; None if it was not pushed, and elsewhere."""
    emission = _emission.get()
    return emission.args[0] if emission is not None and emission.origin == "event" and emission.args else None


class HandlerObserver(Protocol):
    """Who watches handlers; `telemetry` has the real one."""

    def handled(self, event: str, handler: object, seconds: float, *, failed: bool) -> None:
        """A handler has finished."""
        ...

    def closed(self) -> None:
        """No handler is called any more."""
        ...


class Dispatcher:
    """Runs the handlers of one worker's objects. One per worker.

    Args:
        report: takes the error of a handler that raised.
    """

    def __init__(self, report: Callable[[HandlerError], None]) -> None:
        self._report = report
        self._tasks: HandlerTasks | None = None
        self._unstarted = 0  # coroutines that were scheduled and have not begun
        self._queue: deque[tuple[contextvars.Context, Callable[[], None]]] = deque()  # emissions to be made
        self.delivering = False  # within an emission: what its handlers set off comes after it
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.streams: weakref.WeakSet[EventStream[Any]] = weakref.WeakSet()
        self.left_behind: deque[Callable[[], None]] = deque()  # takes back listeners of streams nobody holds
        self.waiting: set[asyncio.Future[object]] = set()  # those of `wait_for`
        self._closed = False
        self.observer: HandlerObserver | None = None

    def open(self, tasks: HandlerTasks) -> None:
        """Coroutine handlers run in `tasks` from now on."""
        self._tasks = tasks

    def close(self) -> None:
        """Start no coroutine handler any more, and end those who wait for an event, the streams included."""
        self._tasks = None
        self._closed = True
        for future in self.waiting:
            if not future.done():
                future.set_exception(_never())
        for stream in list(self.streams):
            stream.end()
        if self.observer is not None:
            try:
                self.observer.closed()
            except Exception:
                logger.exception("the end could not be observed")

    def expect(self) -> asyncio.Future[object]:
        """A future for an event to come; it fails when the worker closes first. Discard it from `waiting`.

        Raises:
            NotConnectedError: the worker has closed.
        """
        if self._closed:
            raise _never()
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.waiting.add(future)
        return future

    def clear_away(self) -> None:
        """Take back the listeners of streams that nobody holds any more."""
        while self.left_behind:
            self.left_behind.popleft()()

    def adopt(self, stream: EventStream[Any]) -> None:
        """End this stream with the worker; at once if that has closed."""
        if self._closed:
            stream.end()
        else:
            self.streams.add(stream)

    async def idle(self) -> None:
        """Wait until no handler runs and no emission is left to be made."""
        await self._idle.wait()

    async def begun(self) -> None:
        """Wait until every handler of the emissions so far has begun.

        Raises:
            NotConnectedError: the worker has closed, or closes first.
        """
        future = self.expect()

        def reached() -> None:
            if not future.done():
                future.set_result(None)

        try:
            self.emit(reached)
            await future
        finally:
            self.waiting.discard(future)

    def called_from_handler(self) -> bool:
        """Whether the caller is, directly or not, a coroutine handler of this dispatcher."""
        return _inside_handler.get() is self

    @property
    def must_wait(self) -> bool:
        """Whether an emission would have to wait: for a handler that has not begun, or for its turn."""
        return bool(self._unstarted or self._queue or self.delivering)

    def emit(self, deliver: Callable[[], None]) -> None:
        """Make an emission, after every handler that was scheduled before has begun.

        `deliver` looks up the listeners when it is called: the handler of an event may still be
        about to register those of the next one.
        """
        if self.must_wait:
            self._queue.append((contextvars.copy_context(), deliver))
            self._idle.clear()
        else:
            deliver()

    def catch_up(self) -> None:
        """Make the emissions that wait for nothing any more."""
        self.delivering = True
        try:
            while self._queue and not self._unstarted:
                context, deliver = self._queue.popleft()
                context.run(deliver)
        finally:
            self.delivering = False
        self._check_idle()

    def _check_idle(self) -> None:
        if not self._running and not self._queue:
            self._idle.set()

    def start(self, source: object, event: str, handler: Handler, args: tuple[object, ...]) -> None:
        """Start the coroutine function `handler` as a task."""
        # It may still return anything: then awaiting it fails, and the handler with it.
        begin = cast("Callable[[], Awaitable[object]]", functools.partial(handler, *args))
        self._spawn(source, event, handler, begin)

    def run(self, source: object, event: str, handler: Handler, args: tuple[object, ...]) -> None:
        """Call `handler` now, inside the emission."""
        began = time.perf_counter()
        try:
            result = handler(*args)
        except _ENDS_ALL:
            raise
        # A cancellation too: nobody cancels what does not wait, so it is another's, such as a future's.
        except BaseException as error:  # noqa: BLE001 - the application's code: whatever it raises stops here
            self._observe(event, handler, began, failed=True)
            self._failed(source, event, handler, error)
            return
        took = time.perf_counter() - began
        if took > SLOW_HANDLER_SECONDS:
            logger.warning(
                "the handler %s of %r blocked the event loop for %.0f ms: heartbeats and other events "
                "waited; make it a coroutine, or move the work to a thread",
                _name(handler),
                event,
                took * 1000,
            )
        if inspect.isawaitable(result):
            self._spawn(source, event, handler, lambda: result)
        else:
            self._observe(event, handler, began, failed=False)

    def _spawn(
        self, source: object, event: str, handler: Handler, begin: Callable[[], Awaitable[object]]
    ) -> None:
        if self._tasks is None:
            logger.warning(
                "the handler %s of %r was not started: the worker is closed", _name(handler), event
            )
            return
        self._unstarted += 1
        self._running += 1
        self._idle.clear()
        guarded = functools.partial(self._guard, source, event, handler, begin)
        self._tasks.start(guarded, f"{event}: {_name(handler)}")

    async def _guard(
        self, source: object, event: str, handler: Handler, begin: Callable[[], Awaitable[object]]
    ) -> None:
        self._unstarted -= 1
        if not self._unstarted:
            # The next emission comes when this handler has taken its first step.
            asyncio.get_running_loop().call_soon(self.catch_up)
        _inside_handler.set(self)
        began = time.perf_counter()
        failed = True
        try:
            await begin()
            failed = False
        except asyncio.CancelledError as error:
            if asked_to_end():
                raise
            self._failed(source, event, handler, error)  # it waited for something that was canceled
        except _ENDS_ALL:
            raise
        except BaseException as error:  # noqa: BLE001 - the application's code: whatever it raises stops here
            self._failed(source, event, handler, error)
        finally:
            self._observe(event, handler, began, failed=failed)
            self._running -= 1
            self._check_idle()

    def _observe(self, event: str, handler: Handler, began: float, *, failed: bool) -> None:
        if self.observer is None:
            return
        try:
            self.observer.handled(event, handler, time.perf_counter() - began, failed=failed)
        except Exception:
            logger.exception("%s could not be observed", _name(handler))  # no reason to end the session

    def _failed(self, source: object, event: str, handler: Handler, error: BaseException) -> None:
        failure = HandlerError(
            f"the handler {_name(handler)} of {event!r} raised {type(error).__name__}",
            event=event,
            handler=handler,
            source=source,
        )
        failure.__cause__ = error
        self._report(failure)


class _Call:
    """A registered handler. It refers to no emitter, so that one with handlers is no cycle."""

    __slots__ = ("_event", "_handler", "_once", "_run")

    def __init__(
        self,
        run: Callable[[object, str, Handler, tuple[object, ...]], None],
        event: str,
        handler: Handler,
        once: bool,
    ) -> None:
        self._run = run
        self._event = event
        self._handler = handler
        self._once = once

    def __call__(self, source: Emitter[Any], *args: object) -> None:
        """The event has come."""
        if self._once:
            source._forget(self._event, self._handler, self)
        self._run(source, self._event, self._handler, args)


class Emitter(Generic[EventName]):
    """Something that the application can listen to."""

    __slots__ = ("_dispatcher", "_emitter", "_origin", "_over", "_wrapped")

    EVENTS: ClassVar[frozenset[str]] = frozenset()
    _LAST: ClassVar[str | None] = None
    """The event that no other follows: then handlers are let go, and what they hold."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._emitter: EventEmitter | None = None
        self._wrapped: dict[tuple[str, Handler], list[Handler]] = {}
        self._origin: Origin = "event"
        self._over = False  # its last event was told

    @property
    def origin(self) -> Origin:
        """Where the emission came from that a handler was called for; elsewhere, the latest one.

        ``event``: it was pushed. ``snapshot``: it was there at the start. ``resync``: it was found
        after a gap in the connection.
        """
        emission = _emission.get()
        if emission is not None and (self is emission.source or any(self is arg for arg in emission.args)):
            return emission.origin
        return self._origin

    def remove_listener(self, event: EventName, handler: Handler) -> None:
        """Take back one registration of `handler`; one that is not there is left alone."""
        wrapped = self._wrapped.get((event, handler))
        if wrapped and self._emitter is not None:
            call = wrapped.pop()
            if not wrapped:
                del self._wrapped[event, handler]
            if call in self._emitter.listeners(event):
                self._emitter.remove_listener(event, call)

    def _check_event(self, event: str) -> None:
        if event not in self.EVENTS:
            known = ", ".join(sorted(self.EVENTS))
            raise ValueError(f"{type(self).__name__} has no event {event!r}; its events are: {known}")

    def _add(self, event: EventName, handler: H, *, once: bool) -> H:
        if not callable(handler):
            raise TypeError(f"the handler of {event!r} must be callable, got {type(handler).__name__}")
        self._dispatcher.clear_away()
        if self._emitter is None:
            self._emitter = EventEmitter()
            self._first_listener()
        run = self._dispatcher.start if is_coroutine_function(handler) else self._dispatcher.run
        call = _Call(run, event, handler, once)
        self._wrapped.setdefault((event, handler), []).append(call)
        (self._emitter.once if once else self._emitter.on)(event, call)
        return handler

    def _first_listener(self) -> None:
        """Somebody listens, who did not before."""

    def _told_end(self) -> frozenset[str]:
        """The events that told the end, once that is over; they are latched for those who come late."""
        return frozenset()

    def _forget(self, event: str, handler: Handler, call: Handler) -> None:
        wrapped = self._wrapped.get((event, handler), [])
        if call in wrapped:
            wrapped.remove(call)
            if not wrapped:
                del self._wrapped[event, handler]

    def _has_listeners(self, event: str) -> bool:
        self._dispatcher.clear_away()
        if self._emitter is None:
            return False
        listeners = cast("list[Handler]", self._emitter.listeners(event))  # pyee leaves it open
        return bool(listeners)

    def _emit(self, event: str, *args: object, origin: Origin = "event") -> None:
        dispatcher = self._dispatcher
        if dispatcher._unstarted or dispatcher._queue or dispatcher.delivering:  # `must_wait`, inline
            dispatcher.emit(functools.partial(self._deliver, event, args, origin))
        else:
            self._deliver(event, args, origin)

    def _deliver(self, event: str, args: tuple[object, ...], origin: Origin) -> None:
        self._origin = origin
        for arg in args:
            if arg is not self and isinstance(arg, Emitter):
                arg._origin = origin
        is_last = event == self._LAST
        self._over = self._over or is_last
        if self._emitter is None:
            return
        dispatcher = self._dispatcher
        outermost, dispatcher.delivering = not dispatcher.delivering, True
        token = _emission.set(_Emission(self, args, origin))
        try:
            self._emitter.emit(event, self, *args)
        finally:
            _emission.reset(token)
            if outermost:
                dispatcher.delivering = False
        if is_last:
            self._emitter = None
            self._wrapped = {}
        if outermost and dispatcher._queue:
            dispatcher.catch_up()


class Listenable(Emitter[EventName]):
    """What the application calls to listen."""

    # The live objects name a class of `_signatures` as their base, which is this one at run time and tells
    # type checkers what each event's handlers take.

    __slots__ = ()

    @overload
    def on(self, event: EventName) -> Callable[[H], H]: ...
    @overload
    def on(self, event: EventName, handler: H) -> H: ...
    def on(self, event: EventName, handler: H | None = None) -> H | Callable[[H], H]:
        """Call `handler` at each `event`; as a decorator when `handler` is left out.

        Plain functions run at once and should be short; coroutine functions run as tasks that start
        in the order of the events. What a handler raises becomes an `error` event of the worker.

        Raises:
            ValueError: there is no such event.
            TypeError: the handler cannot be called.
        """
        return self._register(event, handler, once=False)

    @overload
    def once(self, event: EventName) -> Callable[[H], H]: ...
    @overload
    def once(self, event: EventName, handler: H) -> H: ...
    def once(self, event: EventName, handler: H | None = None) -> H | Callable[[H], H]:
        """Like `on`, for the next `event` only."""
        return self._register(event, handler, once=True)

    async def wait_for(
        self, *events: EventName, timeout: float | None = None
    ) -> Any:  # Any: the event's argument
        """Wait for the next of `events` and return its first argument.

        A reservation's or transfer's end counts when it was told before, too: nothing comes after it.

        Args:
            events: one or more event names.
            timeout: seconds to wait, None for ever.

        Raises:
            TimeoutError: none came in time.
            EventImpossibleError: it has ended, or ends meanwhile, so that none can come.
            NotConnectedError: the worker was closed, so that none can come.
            ValueError: there is no such event, or none was given.
        """
        if not events:
            raise ValueError("wait_for needs at least one event name")
        for event in events:
            self._check_event(event)
        if self._over:
            if self._told_end().isdisjoint(events):
                raise self._impossible(events)
            return self
        future = self._dispatcher.expect()
        last = cast("EventName | None", self._LAST)

        def arrived(*args: object) -> None:
            if not future.done():
                future.set_result(args[0] if args else None)

        def over(*_: object) -> None:
            if not future.done():
                future.set_exception(self._impossible(events))

        try:
            for event in events:
                self.on(event, arrived)
            if last is not None:
                self.on(last, over)
            async with asyncio.timeout(timeout):
                return await future
        finally:
            self._dispatcher.waiting.discard(future)
            for event in events:
                self.remove_listener(event, arrived)
            if last is not None:
                self.remove_listener(last, over)

    def _impossible(self, events: Collection[str]) -> EventImpossibleError:
        told = " and ".join(sorted(self._told_end()))
        return EventImpossibleError(
            f"{' or '.join(repr(event) for event in events)} can never come: {self!r} has ended, with {told}"
        )

    # Any: the argument depends on the event.
    def stream(
        self, event: EventName, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> EventStream[Any]:
        """The event's first arguments as an asynchronous iterator, from now on until no more can come::

            async with worker.stream("reservationCreated") as reservations:
                async for reservation in reservations:
                    ...

        Args:
            event: an event name.
            max_buffer: how many may wait to be read.
            overflow: what happens when one more comes, see `EventStream`.

        Raises:
            TypeError, ValueError: there is no such event or rule, or no such buffer.
        """
        if overflow not in OVERFLOWS:
            raise ValueError(f"overflow must be one of {', '.join(OVERFLOWS)}, got {overflow!r}")
        check_int("max_buffer", max_buffer, 1)
        self._check_event(event)
        stream: EventStream[Any] = EventStream(event=event, max_buffer=max_buffer, overflow=overflow)

        last = cast("EventName | None", self._LAST)
        watched = weakref.ref(stream)  # a stream that nobody holds goes

        def over(*_: object) -> None:
            found = watched()
            if found is not None:
                found.end()

        def register(listener: Callable[[Any], None]) -> Callable[[], None]:
            def arrived(*args: object) -> None:
                listener(args[0] if args else None)

            def take_back() -> None:
                self.remove_listener(event, arrived)
                if last is not None:
                    self.remove_listener(last, over)

            self.on(event, arrived)
            if last is not None:
                self.on(last, over)
            return take_back

        stream.attach(register, self._dispatcher.left_behind.append)
        if self._over:
            stream.end()
        else:
            self._dispatcher.adopt(stream)
        return stream

    def _register(self, event: EventName, handler: H | None, *, once: bool) -> H | Callable[[H], H]:
        self._check_event(event)
        if handler is None:
            return functools.partial(self._add, event, once=once)
        return self._add(event, handler, once=once)


def _never() -> NotConnectedError:
    return NotConnectedError("the event can never come: the worker was disconnected")


def is_coroutine_function(handler: Handler) -> bool:
    """Whether calling it makes a coroutine: a function, a partial one, an object with such a `__call__`."""
    inner: object = handler
    while isinstance(inner, functools.partial):
        inner = inner.func
    # A callable object may have an async __call__.
    call = getattr(type(inner), "__call__", None)  # noqa: B004 - not a test for callability
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(call)


def _name(handler: object) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    name = getattr(handler, "__qualname__", None)
    return name if isinstance(name, str) else type(handler).__name__
