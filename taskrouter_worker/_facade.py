"""What the synchronous classes are made of: objects that stand for live ones.

A live object belongs to its event loop. Reading it from another thread is safe, since what it shows is
replaced as a whole; everything else is carried over to the loop by `LoopThread`.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from ._emitter import Dispatcher, Handler, Listenable, Origin, is_coroutine_function
from ._loop_thread import Call, LoopThread
from ._streams import EventStream, Overflow
from .errors import HandlerError, NotConnectedError

__all__ = [
    "BlockingStream",
    "Command",
    "Facade",
    "Facades",
    "ListenableFacade",
    "WorkerThread",
    "command",
    "command_of",
    "drive",
    "submit",
]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
H = TypeVar("H", bound=Handler)
Live = TypeVar("Live")
Detail = TypeVar("Detail")  # what the signatures of `_sync_signatures.pyi` want to know
AnyFacade = TypeVar("AnyFacade", bound="Facade[Any]")


class WorkerThread(LoopThread):
    """The thread of a worker, from which handlers are called.

    Args:
        deliver: makes the application's handlers run where they belong.
        show, command_timeout: as in `LoopThread`.
        report: takes the error of a handler that raised, in the loop.
        dispatcher: the worker's.
    """

    def __init__(
        self,
        *,
        deliver: Callable[[Call], object],
        show: Callable[[Any], Any],
        report: Callable[[HandlerError], None],
        dispatcher: Dispatcher,
        command_timeout: float | None,
    ) -> None:
        super().__init__(name="taskrouter worker", show=show, command_timeout=command_timeout)
        self._deliver = deliver
        self._report = report
        self._dispatcher = dispatcher

    def deliver(self, source: object, event: str, handler: Handler, args: tuple[object, ...]) -> None:
        """Have a handler called where the application wants it, in the context of its event."""
        shown = tuple(self.show(arg) for arg in args)
        context = contextvars.copy_context()
        try:
            self._deliver(lambda: context.run(self._handle, source, event, handler, shown))
        except Exception:
            # A window that is gone, as a rule. No `error` event: it would take the same way, for ever.
            logger.exception("deliver raised: a handler of %r is not called", event)

    def _handle(self, source: object, event: str, handler: Handler, args: tuple[object, ...]) -> None:
        began = time.perf_counter()
        failed = True
        try:
            handler(*args)
            failed = False
        except Exception as error:
            name = getattr(handler, "__qualname__", type(handler).__name__)
            failure = HandlerError(
                f"the handler {name} of {event!r} raised {type(error).__name__}",
                event=event,
                handler=handler,
                source=source,
            )
            failure.__cause__ = error
            if not self.post(functools.partial(self._report, failure)):
                logger.exception("%s", failure)
        finally:
            self._dispatcher._observe(event, handler, began, failed=failed)


class Facade(Generic[Live]):
    """Stands for a live object in the application's threads. There is one for each live object."""

    __slots__ = ("__weakref__", "_live", "_thread")

    def __init__(self, thread: LoopThread, live: Live) -> None:
        self._thread = thread
        self._live = live

    def __repr__(self) -> str:
        return repr(self._live).replace("<", "<Sync", 1)


class Facades:
    """The facades of one worker. They live as long as the application holds them, or listens to them.

    It has no lock: see `_loop_thread`.
    """

    def __init__(self, kinds: dict[type[Any], type[Facade[Any]]]) -> None:
        self._kinds = kinds
        # By identity: a facade keeps its live object, so that the number stays its own. Its entry goes in the
        # same step as the facade itself, since dict.pop is no Python code: none is of another object.
        self._known: dict[int, weakref.ref[Facade[Any]]] = {}

    def add(self, facade: Facade[Any]) -> None:
        """This one stands for its live object."""
        self._known[id(facade._live)] = self._reference(facade)

    def show(
        self, thread: LoopThread, value: Any
    ) -> Any:  # Any: whatever a command returns or an event brings
        """The facade of a live object, a list of facades, or the value itself."""
        if isinstance(value, list):
            return [self.show(thread, item) for item in cast("list[object]", value)]
        live: object = value
        while True:
            reference = self._known.get(id(live))
            facade = None if reference is None else reference()
            if facade is not None:
                return facade
            kind = self._kinds.get(type(live))
            if kind is None:
                return live
            facade = kind(thread, live)
            reference = self._reference(facade)
            if self._known.setdefault(id(live), reference) is reference:
                return facade
            # Another thread was quicker. What goes first must be the reference, which would take that entry.
            del reference

    def _reference(self, facade: Facade[Any]) -> weakref.ref[Facade[Any]]:
        return weakref.ref(facade, functools.partial(self._known.pop, id(facade._live)))


class ListenableFacade(Facade[Live], Generic[Live, Detail]):
    """What the application calls to listen: see `_sync_signatures.pyi` for each event's handlers."""

    __slots__ = ("_relays",)

    def __init__(self, thread: LoopThread, live: Live) -> None:
        super().__init__(thread, live)
        self._relays: dict[tuple[str, Handler], list[Handler]] = {}

    @property
    def _worker_thread(self) -> WorkerThread:
        return cast("WorkerThread", self._thread)  # each facade of this class belongs to a worker

    @property
    def _emitter(self) -> Listenable[Any]:
        return cast("Listenable[Any]", self._live)  # each facade of this class stands for an emitter

    @property
    def origin(self) -> Origin:
        """Where the emission came from that a handler was called for, as `Worker.origin`."""
        return self._emitter.origin

    @overload
    def on(self, event: str) -> Callable[[H], H]: ...
    @overload
    def on(self, event: str, handler: H) -> H: ...
    def on(self, event: str, handler: H | None = None) -> H | Callable[[H], H]:
        """Have `handler` called at each `event`; as a decorator when `handler` is left out.

        It is called in `process_events`, or where `deliver` puts it, never in the loop's thread. What it
        raises becomes an `error` event of the worker.

        Raises:
            ValueError: there is no such event.
            TypeError: the handler cannot be called, or is a coroutine function.
        """
        return self._register(event, handler, once=False)

    @overload
    def once(self, event: str) -> Callable[[H], H]: ...
    @overload
    def once(self, event: str, handler: H) -> H: ...
    def once(self, event: str, handler: H | None = None) -> H | Callable[[H], H]:
        """Like `on`, for the next `event` only."""
        return self._register(event, handler, once=True)

    def remove_listener(self, event: str, handler: Handler) -> None:
        """Take back one registration of `handler`; one that is not there is left alone."""

        def remove() -> None:
            relays = self._relays.get((event, handler))
            if relays:
                relay = relays[-1]
                self._forget(event, handler, relay)
                self._emitter.remove_listener(event, relay)

        self._thread.do(remove)

    def wait_for(self, *events: str, timeout: float | None = None) -> Any:  # Any: the event's argument
        """Block until the next of `events` and return its first argument.

        Handlers that wait in `process_events` do not run meanwhile. To miss nothing between two waits,
        use `stream`.

        Raises:
            TimeoutError: none came within `timeout` seconds.
            NotConnectedError: the worker was closed, so that none can come.
            ValueError: there is no such event, or none was given.
        """
        return self._thread.call(lambda: self._emitter.wait_for(*events, timeout=timeout), bounded=False)

    def stream(
        self, event: str, *, max_buffer: int = 1_000, overflow: Overflow = "raise"
    ) -> BlockingStream[Any]:  # Any: the event's argument
        """The event's first arguments as a blocking iterator, from now on; see `EventStream`.

        Raises:
            TypeError, ValueError: there is no such event or rule, or no such buffer.
        """
        stream = self._thread.do(
            lambda: self._emitter.stream(event, max_buffer=max_buffer, overflow=overflow)
        )
        return BlockingStream(self._thread, stream)

    def _register(self, event: str, handler: H | None, *, once: bool) -> H | Callable[[H], H]:
        self._emitter._check_event(event)
        if handler is None:
            return functools.partial(self._add, event, once=once)
        return self._add(event, handler, once=once)

    def _add(self, event: str, handler: H, *, once: bool) -> H:
        if not callable(handler):
            raise TypeError(f"the handler of {event!r} must be callable, got {type(handler).__name__}")
        if is_coroutine_function(handler):
            raise TypeError(
                f"the handler of {event!r} must be a plain function: it runs outside of the event loop"
            )

        def relay(*args: object) -> None:
            if once:
                self._forget(event, handler, relay)
            self._worker_thread.deliver(self, event, handler, args)

        def add() -> None:
            self._relays.setdefault((event, handler), []).append(relay)
            (self._emitter.once if once else self._emitter.on)(event, relay)

        self._thread.do(add)
        return handler

    def _forget(self, event: str, handler: Handler, relay: Handler) -> None:
        relays = self._relays.get((event, handler), [])
        if relay in relays:
            relays.remove(relay)
            if not relays:
                del self._relays[event, handler]  # and with it what the handler holds


class BlockingStream(Generic[T]):
    """A stream of events for other threads: `next` blocks until one comes, and ends when the worker does."""

    def __init__(self, thread: LoopThread, stream: EventStream[Any]) -> None:
        self._thread = thread
        self._stream = stream

    @property
    def dropped(self) -> int:
        """Events dropped so far."""
        return self._stream.dropped

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        """The next event.

        Raises:
            StreamOverflowError: the buffer was full, and the rule is ``raise``.
            RuntimeError: somebody else waits for the same stream.
        """
        try:
            found = self._thread.call(self._next, bounded=False)
        except NotConnectedError:
            if not self._stream.ended:
                raise  # the worker was not started
            found = drive(self._next())  # what waits is still delivered; nothing in it awaits any more
        if not found:
            raise StopIteration
        return cast("T", found[0])

    def close(self) -> None:
        """Stop listening and forget what waits."""
        self._thread.do(self._stream.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _next(self) -> tuple[Any, ...]:
        try:
            return (self._thread.show(await anext(self._stream)),)
        except StopAsyncIteration:
            return ()


class Command(Generic[P, T]):
    """A command of one object: call it to wait for its result, or hand it to `SyncWorker.submit`."""

    def __init__(
        self, facade: Facade[Any], method: Callable[..., Coroutine[Any, Any, Any]], *, bounded: bool
    ) -> None:
        self._facade = facade
        self._method = method
        self._bounded = bounded
        self.__doc__ = method.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Carry it out and wait for its result."""
        begin = functools.partial(self._method, self._facade._live, *args, **kwargs)
        return cast("T", self._facade._thread.call(begin, bounded=self._bounded))

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Carry it out and return at once."""
        begin = functools.partial(self._method, self._facade._live, *args, **kwargs)
        return self._facade._thread.submit(begin)

    def __repr__(self) -> str:
        return f"<command {self._method.__qualname__} of {self._facade!r}>"


def submit(command: Command[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Start a command and return at once.

    Raises:
        TypeError: it is no command.
        NotConnectedError: its thread takes no calls.
    """
    if not isinstance(command, Command):
        raise TypeError(f"submit takes a command such as reservation.accept, got {command!r}")
    return command.submit(*args, **kwargs)


class _CommandOf(Generic[P, T]):
    """Makes `Command`s of one coroutine function whose result has a type of its own."""

    def __init__(self, method: Callable[..., Coroutine[Any, Any, Any]], *, bounded: bool) -> None:
        self._method = method
        self._bounded = bounded
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, facade: None, owner: type[object]) -> Self: ...
    @overload
    def __get__(self, facade: Facade[Any], owner: type[object]) -> Command[P, T]: ...
    def __get__(self, facade: Facade[Any] | None, owner: type[object]) -> Self | Command[P, T]:
        return self if facade is None else Command(facade, self._method, bounded=self._bounded)


class _OwnCommand(Generic[P]):
    """Makes `Command`s of one coroutine function that returns the object it was called on."""

    def __init__(self, method: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, facade: None, owner: type[object]) -> Self: ...
    @overload
    def __get__(self, facade: AnyFacade, owner: type[object]) -> Command[P, AnyFacade]: ...
    def __get__(self, facade: AnyFacade | None, owner: type[object]) -> Self | Command[P, AnyFacade]:
        return self if facade is None else Command(facade, self._method, bounded=True)


def command(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, object]]) -> _OwnCommand[P]:
    """The blocking form of a method that returns its own object."""
    return _OwnCommand(method)


def command_of(
    kind: type[T],  # noqa: ARG001 - for type checkers
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, object]],
    *,
    bounded: bool = True,
) -> _CommandOf[P, T]:
    """The blocking form of a method whose result is shown as `kind`."""
    return _CommandOf(method, bounded=bounded)


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing.

    Raises:
        NotConnectedError: it does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    coroutine.close()
    raise NotConnectedError("the worker was disconnected")
