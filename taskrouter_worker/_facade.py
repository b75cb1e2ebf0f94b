"""What the synchronous classes are made of: a loop in its own thread, objects that stand for live ones.

A live object belongs to its event loop. Reading it from another thread is safe, since what it shows is
replaced as a whole; everything else is carried over to the loop by `LoopThread`.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from ._emitter import Dispatcher, Handler, Listenable, Origin, is_coroutine_function
from ._streams import EventStream, Overflow
from .errors import HandlerError, NotConnectedError

__all__ = [
    "BlockingStream",
    "Call",
    "Command",
    "Facade",
    "Facades",
    "Inbox",
    "ListenableFacade",
    "LoopThread",
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

Call = Callable[[], object]


class Inbox:
    """Calls that wait for the thread that shall make them.

    It has no lock: a signal's handler may come in at any moment, and wait for the thread that puts to end.
    """

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()  # rings for each call, and at the end
        self._closed = False

    def put(self, call: Call) -> None:
        """Add one; calls are made in this order."""
        self._calls.append(call)
        self._bell.put(None)

    def close(self) -> None:
        """Nobody waits any longer; what is there can still be taken."""
        self._closed = True
        self._bell.put(None)

    def wait(self, timeout: float | None) -> int:
        """How many there are now; waits for the first one, up to `timeout` seconds, unless closed."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._calls and not self._closed:
            try:
                self._bell.get(timeout=None if end is None else max(0.0, end - time.monotonic()))
            except Empty:
                break
            if self._closed:
                self._bell.put(None)  # for others who wait
        return len(self._calls)

    def take(self) -> Call | None:
        """The one that waited longest, None if there is none.

        One at a time: those that are not taken yet keep their place when a call raises `KeyboardInterrupt`,
        and when it takes others itself, as a dialog with a loop of its own does.
        """
        try:
            return self._calls.popleft()
        except IndexError:
            return None


class LoopThread:
    """An event loop in a thread of its own, and the way into it.

    Args:
        name: the thread's.
        show: from what the loop knows to what the application sees.
        command_timeout: seconds that a blocking command may take, None for ever.
        over: why nothing can be done in it any more, once it has ended.
    """

    def __init__(
        self,
        *,
        name: str,
        show: Callable[[Any], Any],
        command_timeout: float | None,
        over: str = "the worker was disconnected",
    ) -> None:
        self._name = name
        self.show = show
        self._command_timeout = command_timeout
        self._why_over = over
        self._lock = threading.RLock()  # a signal's handler may come in while its own thread holds it
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # set while calls are taken
        self._over = False
        self._spawned: set[asyncio.Task[None]] = set()

    def start(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `body` in the thread; the thread ends with it.

        Raises:
            RuntimeError: it was started before, or there can be no more threads.
            OSError: there can be no more event loops, such as for want of files.
        """
        with self._lock:
            if self._thread is not None or self._over:
                raise RuntimeError("this worker was already started; make a new one for a new session")
            ready: Future[None] = Future()
            # A daemon: a window that is closed without disconnect() must not keep the process alive.
            thread = self._thread = threading.Thread(
                target=self._main, args=(body, ready), name=self._name, daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the system has no more
                self._thread = None
                raise
        error = ready.exception()
        if error is not None:
            thread.join()
            raise error

    def refuse_start(self) -> bool:
        """If it was not started yet, it never will be; whether that is so."""
        with self._lock:
            if self._thread is None:
                self._over = True
            return self._thread is None

    def _main(self, body: Callable[[], Coroutine[Any, Any, None]], ready: Future[None]) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.get_loop()  # before there is a coroutine that nobody would await
                runner.run(self._take_calls(body, ready))
        except BaseException as error:
            if ready.done():
                raise
            with self._lock:
                self._thread = None
            ready.set_exception(error)

    async def _take_calls(self, body: Callable[[], Coroutine[Any, Any, None]], ready: Future[None]) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
        ready.set_result(None)
        try:
            await body()
        finally:
            with self._lock:
                self._loop = None
                self._over = True
            # What was handed over before begins now; the end of the loop then cancels it, see `_guarded`.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    @property
    def is_current(self) -> bool:
        """Whether the caller is in the thread."""
        return threading.current_thread() is self._thread

    @property
    def is_alive(self) -> bool:
        """Whether the thread was started and has not ended."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def was_started(self) -> bool:
        """Whether it ever ran."""
        return self._thread is not None

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine of the worker's own end; in the loop's thread only."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._spawned.add(task)  # the loop itself does not hold its tasks
        task.add_done_callback(self._spawned.discard)

    def join(self, timeout: float | None) -> bool:
        """Wait for the thread's end; False if it did not come in time. In the thread itself, do not wait."""
        if self._thread is None or self.is_current:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def post(self, call: Call) -> bool:
        """Make a call in the loop, soon; False if there is no loop."""
        with self._lock:
            if self._loop is None:
                return False
            self._loop.call_soon_threadsafe(call)
            return True

    def do(self, call: Callable[[], T]) -> T:
        """Make a short call in the loop and return its result. Without a loop, make it here."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where `do` was called
                done.set_exception(error)

        if self.is_current or not self.post(run):
            return call()
        return done.result()

    def submit(self, begin: Callable[[], Coroutine[Any, Any, object]]) -> Future[Any]:
        """Run a coroutine in the loop; the future shows its result as the application sees it.

        Raises:
            NotConnectedError: there is no loop yet, or not any more.
        """
        with self._lock:
            if self._loop is None:
                raise NotConnectedError(
                    self._why_over if self._over else "the worker was not started: enter `with worker` first"
                )
            return asyncio.run_coroutine_threadsafe(self._guarded(begin), self._loop)

    async def _guarded(self, begin: Callable[[], Coroutine[Any, Any, object]]) -> object:
        try:
            return self.show(await begin())
        except asyncio.CancelledError:
            if self._over:  # not canceled by the caller: the loop ends
                raise NotConnectedError(f"{self._why_over} meanwhile") from None
            raise

    def call(self, begin: Callable[[], Coroutine[Any, Any, object]], *, bounded: bool = True) -> Any:
        """Run a coroutine in the loop and wait for it.

        Raises:
            TimeoutError: it took longer than a command may take; it was canceled.
            RuntimeError: called in the loop's own thread, where waiting would never end.
            NotConnectedError: as `submit`.
        """
        if self.is_current:
            raise RuntimeError(
                "this call would block the thread that must carry it out: call it from another thread, "
                "or use submit()"
            )
        future = self.submit(begin)
        try:
            return future.result(self._command_timeout if bounded else None)
        except CancelledError:
            raise NotConnectedError("the call was canceled") from None
        except TimeoutError:
            if future.done():  # the coroutine's own
                raise
            raise TimeoutError(
                f"no result within {self._command_timeout:g} s; a command may have been carried out"
            ) from None
        finally:
            future.cancel()  # when the wait was given up, also by Ctrl-C


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
    """The facades of one worker. They live as long as the application holds them, or listens to them."""

    def __init__(self, kinds: dict[type[Any], type[Facade[Any]]]) -> None:
        self._kinds = kinds
        self._lock = threading.RLock()  # a signal's handler may come in while its own thread holds it
        # By identity: a facade keeps its live object, so that the number stays its own.
        self._known: weakref.WeakValueDictionary[int, Facade[Any]] = weakref.WeakValueDictionary()

    def add(self, facade: Facade[Any]) -> None:
        """This one stands for its live object."""
        with self._lock:
            self._known[id(facade._live)] = facade

    def show(
        self, thread: LoopThread, value: Any
    ) -> Any:  # Any: whatever a command returns or an event brings
        """The facade of a live object, a list of facades, or the value itself."""
        if isinstance(value, list):
            return [self.show(thread, item) for item in cast("list[object]", value)]
        with self._lock:
            facade = self._known.get(id(value))
            if facade is not None:
                return facade
            live: object = value
            kind = self._kinds.get(type(live))
            if kind is None:
                return value
            return self._known.setdefault(id(value), kind(thread, value))


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
