"""Workers for programs without asyncio: scripts that block, and desktop toolkits with a loop of their own.

The names are those of the asynchronous classes. The worker itself runs in a thread of its own;

* commands block until they are done: ``reservation.accept()``. Where nothing may block, such as in a
  window's thread, `SyncWorker.submit` starts them and returns a `concurrent.futures.Future`;
* handlers are called where the application wants them: in `SyncWorker.process_events`, or wherever the
  function given as `deliver` puts them.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType, NoneType, TracebackType
from typing import Any, ClassVar, Final, ParamSpec, Self, TypeVar, Unpack, cast

from . import _running
from ._emitter import is_coroutine_function
from ._endpoints import check_seconds, check_wait
from ._facade import (
    BlockingStream,
    Command,
    Facade,
    Facades,
    WorkerThread,
    command,
    command_of,
    drive,
    submit,
)
from ._loop_thread import Call, Inbox
from ._session import SessionState
from ._sync_signatures import OwnFacade, TaskFacade, WorkerFacade
from ._sync_workspace import SyncWorkspace, SyncWorkspaceReader
from ._views import ActivityView, ChannelView, ReservationView, TaskView, TransferView, WorkerView
from .activity import Activity
from .channel import Channel, ChannelEvent
from .errors import NotConnectedError
from .options import WorkerOptions
from .reservation import Reservation, ReservationEvent
from .resources import (
    ActivityFields,
    ReservationFields,
    TaskFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)
from .supervisor import Supervisor
from .task import Task
from .transfer import IncomingTransfer, OutgoingTransfer, OutgoingTransferEvent
from .worker import Worker
from .workspace import WorkerInfo, WorkspaceReader

__all__ = [
    "BlockingStream",
    "SyncActivity",
    "SyncChannel",
    "SyncOutgoingTransfer",
    "SyncReservation",
    "SyncSupervisor",
    "SyncTask",
    "SyncTransfers",
    "SyncWorker",
    "SyncWorkspace",
    "SyncWorkspaceReader",
]

P = ParamSpec("P")
T = TypeVar("T")

SIGNAL_SECONDS: Final = 0.5
"""How long `run` waits at a stretch: on Windows a signal is noticed only in between."""


class SyncActivity(ActivityView, Facade[Activity]):
    """An `Activity` whose commands block."""

    __slots__ = ()

    @property
    def _fields(self) -> ActivityFields:
        return self._live._fields

    @property
    def is_current(self) -> bool:
        """Whether the worker is in it."""
        return self._live.is_current

    set_as_current = command(Activity.set_as_current)


class SyncChannel(ChannelView, OwnFacade[Channel, ChannelEvent]):
    """A `Channel`, with its events."""

    __slots__ = ()

    @property
    def _fields(self) -> WorkerChannelFields:
        return self._live._fields


class SyncOutgoingTransfer(TransferView, OwnFacade[OutgoingTransfer, OutgoingTransferEvent]):
    """An `OutgoingTransfer` whose commands block."""

    __slots__ = ()

    @property
    def _fields(self) -> TransferFields:
        return self._live._fields

    @property
    def task_sid(self) -> str:
        """The task."""
        return self._live.task_sid

    @property
    def outcome(self) -> str | None:
        """How it ended, None while it is open: ``complete``, ``failed``, ``canceled`` or ``unknown``."""
        return self._live.outcome

    cancel = command(OutgoingTransfer.cancel)


class SyncTransfers:
    """The `Transfers` of a task."""

    __slots__ = ("_task",)

    def __init__(self, task: SyncTask) -> None:
        self._task = task

    @property
    def incoming(self) -> IncomingTransfer | None:
        """The transfer that made the reservation, None if there was none."""
        return self._task._live.transfers.incoming

    @property
    def outgoing(self) -> SyncOutgoingTransfer | None:
        """The latest transfer started from the reservation, None if there was none."""
        return cast(
            "SyncOutgoingTransfer | None", self._task._thread.show(self._task._live.transfers.outgoing)
        )


class SyncTask(TaskView, TaskFacade[Task, SyncOutgoingTransfer]):
    """A `Task` whose commands block."""

    __slots__ = ()

    @property
    def _fields(self) -> TaskFields:
        return self._live._fields

    @property
    def reservation_sid(self) -> str:
        """The reservation that shows it, ``WR...``."""
        return self._live.reservation_sid

    @property
    def transfers(self) -> SyncTransfers:
        """The transfers of the task, as this reservation sees them."""
        return SyncTransfers(self)

    complete = command(Task.complete)
    wrap_up = command(Task.wrap_up)
    set_attributes = command(Task.set_attributes)
    set_virtual_start_time = command(Task.set_virtual_start_time)
    update_participant = command(Task.update_participant)
    hold = command(Task.hold)
    kick = command(Task.kick)
    transfer = command_of(SyncOutgoingTransfer, Task.transfer)
    fetch_latest_version = command(Task.fetch_latest_version)


class SyncReservation(ReservationView, OwnFacade[Reservation, ReservationEvent]):
    """A `Reservation` whose commands block."""

    __slots__ = ()

    @property
    def _fields(self) -> ReservationFields:
        return self._live._fields

    @property
    def outcome(self) -> str | None:
        """How it ended, None while it is live; ``unknown`` if the service no longer knows."""
        return self._live.outcome

    @property
    def task(self) -> SyncTask:
        """The task that is offered."""
        return cast("SyncTask", self._thread.show(self._live.task))

    @property
    def transfer(self) -> IncomingTransfer | None:
        """The transfer that made the reservation, None if it came from a queue."""
        return self._live.transfer

    accept = command(Reservation.accept)
    reject = command(Reservation.reject)
    wrap = command(Reservation.wrap)
    complete = command(Reservation.complete)
    call = command(Reservation.call)
    dequeue = command(Reservation.dequeue)
    redirect = command(Reservation.redirect)
    conference = command(Reservation.conference)
    update_participant = command(Reservation.update_participant)
    fetch_latest_version = command(Reservation.fetch_latest_version)


_KINDS: Final[dict[type[Any], type[Facade[Any]]]] = {
    Activity: SyncActivity,
    Channel: SyncChannel,
    OutgoingTransfer: SyncOutgoingTransfer,
    Reservation: SyncReservation,
    Task: SyncTask,
    WorkspaceReader: SyncWorkspaceReader,
}


class SyncWorker(WorkerView, WorkerFacade[Worker, SyncReservation]):
    """A `Worker` for programs without asyncio. Events, arguments and options are those of `Worker`.

    A script::

        worker = SyncWorker(token)

        @worker.on("reservationCreated")
        def handle(reservation):
            reservation.accept()

        worker.run()  # until Ctrl-C

    In Tk, whose loop asks now and then (``root.after`` may not be called from other threads)::

        def poll():
            worker.process_events()
            root.after(50, poll)

    In Qt, a signal carries the calls into the window's thread::

        class Calls(QObject):
            arrived = Signal(object)

        calls = Calls()
        calls.arrived.connect(lambda call: call(), Qt.ConnectionType.QueuedConnection)
        worker = SyncWorker(token, deliver=calls.arrived.emit)
        worker.start()                                 # returns at once
        accepting = worker.submit(reservation.accept)  # so does this
        worker.when_done(accepting, show_answer)       # in the window's thread

    When the window closes, call `disconnect`: it waits for the thread's end, a few milliseconds as a rule.

    Args:
        token: see `Worker`.
        deliver: takes a function without arguments and has it called in the thread where handlers
            belong. It is called in the worker's thread and must not block. None: `process_events` calls
            them.
        command_timeout: seconds that a blocking command may take, None for ever; then it raises
            `TimeoutError`, and may have been carried out. `wait_for`, `drain` and streams have limits of
            their own.
        **options: see `Worker`.

    Raises:
        TypeError, ValueError: see `Worker`.
    """

    __slots__ = ("_body_failure", "_inbox", "_leaving", "_own_inbox")

    _kind: ClassVar[type[Worker]] = Worker

    def __init__(
        self,
        token: str | None = None,
        *,
        deliver: Callable[[Call], object] | None = None,
        command_timeout: float | None = 60.0,
        **options: Unpack[WorkerOptions],
    ) -> None:
        if deliver is not None and not callable(deliver):
            raise TypeError(f"deliver must be callable, got {type(deliver).__name__}")
        if command_timeout is not None:
            check_seconds("command_timeout", command_timeout)
        live = self._kind(token, **options)
        facades = Facades(_KINDS)
        self._inbox = Inbox()
        self._own_inbox = deliver is None

        def show(value: Any) -> Any:  # Any: whatever a command returns or an event brings
            return facades.show(thread, value)

        thread = WorkerThread(
            deliver=deliver or self._inbox.put,
            show=show,
            report=live._failed,
            dispatcher=live._dispatcher,
            command_timeout=command_timeout,
        )
        super().__init__(thread, live)
        facades.add(self)
        self._body_failure: BaseException | None = None
        self._leaving = False  # asked to end, perhaps before there was a loop to tell

    # Life

    def start(self) -> None:
        """Connect, without waiting for it: `ready` tells when it is done, `error` and `wait_closed` why not.

        Raises:
            RuntimeError: this worker was started before; make a new one.
        """
        self._thread.start(self._body)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Block until the first `ready`. Network failures are retried until then.

        Raises:
            TimeoutError: it took longer; the attempt goes on.
            TaskRouterError: the session ended for good.
        """
        try:
            self.wait_for_state(SessionState.READY, timeout=timeout)
        except NotConnectedError:
            if self._thread.was_started:
                self.wait_closed()  # raises why
            raise

    def __enter__(self) -> Self:
        """Connect, and return at the first `ready`.

        Raises:
            TaskRouterError: as `Worker`.
            RuntimeError: this worker was started before; make a new one.
        """
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.disconnect()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect, and leave no thread behind."""
        self.disconnect()

    def disconnect(self, timeout: float | None = None) -> bool:
        """End the session for good, and wait for the thread's end. From any thread, also from a handler.

        What waits for `process_events` still can be processed. In the worker's own thread, where
        `deliver` may have led, it only begins the end.

        A signal's handler may call it at any moment. Give it a `timeout` there: what the signal interrupted
        may hold a lock that is none of this package's, such as a logging handler's, and the worker's thread
        may need that for its end.

        Args:
            timeout: seconds to wait.

        Returns:
            Whether the thread has ended.
        """
        self._leaving = True
        if self._thread.refuse_start():
            drive(self._live.disconnect())  # which has nothing to wait for
            self._inbox.close()
        self._thread.post(self._begin_end)
        return self._thread.join(timeout)

    def wait_closed(self, timeout: float | None = None) -> None:
        """Block until the session has ended for good. Handlers that wait for `process_events` do not run.

        Raises:
            TimeoutError: it did not within `timeout` seconds.
            TaskRouterError: it ended for another reason than `disconnect`.
            NotConnectedError: it was never started.
        """
        if not self._thread.was_started:
            raise NotConnectedError("the worker was not started: enter `with worker` first")
        if not self._thread.join(timeout):
            raise TimeoutError(f"the session did not end within {timeout:g} s")
        if self._body_failure is not None:
            raise self._body_failure

    def run(
        self,
        *,
        drain_timeout: float = 300.0,
        drain_activity_sid: str | None = None,
        signals: Sequence[signal.Signals] = _running.DEFAULT_SIGNALS,
    ) -> None:
        """Run as a program: connect, process events until a signal, drain, disconnect.

        At the first signal the worker drains, and handlers go on being called; at the second it
        disconnects at once. Off the main thread pass no signals: then `disconnect` is what ends it.

        Args:
            drain_timeout: seconds to finish what was accepted.
            drain_activity_sid: see `Worker.drain`.
            signals: which signals; SIGINT and SIGTERM unless given.

        Raises:
            TaskRouterError: the session ended for another reason.
            TypeError, ValueError: `drain_timeout` is no number of seconds, 0 or more.
            RuntimeError: handlers are not called here but by `deliver`; or it was started before.
        """
        self._check_own_inbox()
        check_wait("drain_timeout", drain_timeout)
        asked = False

        def stop() -> None:
            nonlocal asked
            if asked or not self._live._ready:  # before that nothing was accepted, but it may be in a gap
                self._leaving = True
                self._thread.post(self._begin_end)
            else:
                self._thread.post(lambda: self._begin_to_leave(drain_timeout, drain_activity_sid))
            asked = True

        with _calling(stop, signals):
            self.start()
            try:
                while self._thread.is_alive:
                    self.process_events(SIGNAL_SECONDS)
                self.process_events()
            finally:
                self.disconnect()
        try:
            self.wait_closed()
        except NotConnectedError:
            if not asked:  # else it was asked before it was ready
                raise

    def process_events(self, timeout: float | None = 0.0) -> int:
        """Call the handlers of what has happened, in order, and return how many.

        What a handler raises becomes an `error` event of the worker; it is not raised here.

        Args:
            timeout: seconds to wait for something to happen; 0 does not wait, None waits until something
                happens or the worker has ended.

        Raises:
            RuntimeError: handlers are not called here but by `deliver`.
        """
        self._check_own_inbox()
        made, waiting = 0, self._inbox.wait(timeout)
        while made < waiting and (call := self._inbox.take()) is not None:
            made += 1
            call()
        return made

    def submit(self, command: Command[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a command of this worker or one of its objects, and return at once.

        The future's own callbacks run in the worker's thread; see `when_done` for one where handlers run.

        Args:
            command: such as ``reservation.accept``, without the parentheses.
            *args: its arguments.
            **kwargs: its options.

        Raises:
            TypeError: it is no command of these classes.
            NotConnectedError: the worker was not started, or was disconnected.
        """
        return submit(command, *args, **kwargs)

    def when_done(self, future: Future[T], handler: Callable[[Future[T]], object], /) -> None:
        """Have ``handler(future)`` called where handlers are, once the future of `submit` has its result.

        In `process_events`, or where `deliver` puts it. What it raises becomes an `error` event of the
        worker. When the worker ends first, the future has an error: `NetworkError` or `NotConnectedError`.

        Args:
            future: the one that `submit` returned.
            handler: a plain function; ``future.result()`` in it does not wait.

        Raises:
            TypeError: the handler cannot be called, or is a coroutine function.
        """
        if not callable(handler):
            raise TypeError(f"the handler of a future must be callable, got {type(handler).__name__}")
        if is_coroutine_function(handler):
            raise TypeError(
                "the handler of a future must be a plain function: it runs outside of the event loop"
            )
        thread = self._worker_thread
        future.add_done_callback(lambda done: thread.deliver(self, "submit", handler, (done,)))

    def wait_for_state(self, *states: SessionState | str, timeout: float | None = None) -> SessionState:
        """Block until the session is in one of `states`, and return which.

        Raises:
            TimeoutError: it was not within `timeout` seconds.
            ValueError: there is no such state, or none was given.
            NotConnectedError: the session has ended, and none of `states` is its end.
        """
        reached = self._thread.call(
            lambda: asyncio.wait_for(self._live.wait_for_state(*states), timeout), bounded=False
        )
        return SessionState(reached)

    def caught_up(self, *, timeout: float | None = None) -> None:
        """Block until the handlers of everything that the service has sent so far were handed over.

        As `Worker.caught_up`, with one difference: what waits for `process_events` has not begun, the next
        call of it does that. With `deliver`, it was handed to that function.

        Raises:
            TimeoutError: it took longer than `timeout` seconds.
            NotConnectedError: the worker was not started, or its session has ended.
        """
        self._thread.call(lambda: self._live.caught_up(timeout=timeout), bounded=False)

    def update_token(self, token: str) -> None:
        """Use another token from now on, as `Worker.update_token`."""
        self._thread.do(lambda: self._live.update_token(token))

    set_attributes = command(Worker.set_attributes)
    fetch_latest_version = command(Worker.fetch_latest_version)
    create_task = command_of(str, Worker.create_task)
    drain = command_of(list[SyncReservation], Worker.drain, bounded=False)

    # What it shows

    @property
    def _fields(self) -> WorkerFields:
        return self._live._fields

    @property
    def state(self) -> SessionState:
        """Where the session stands."""
        return self._live.state

    @property
    def sid(self) -> str:
        """``WK...``, empty before the first session."""
        return self._live.sid

    @property
    def worker_sid(self) -> str:
        """The same as `sid`, as in Worker.js."""
        return self._live.sid

    @property
    def workspace_sid(self) -> str:
        """``WS...``, empty before the first session."""
        return self._live.workspace_sid

    @property
    def workspace(self) -> SyncWorkspaceReader:
        """What this worker's token may read of its workspace, as `Worker.workspace`."""
        return cast("SyncWorkspaceReader", self._thread.show(self._live.workspace))

    @property
    def account_sid(self) -> str:
        """``AC...``, empty before the first `ready`."""
        return self._live.account_sid

    @property
    def activity(self) -> SyncActivity | None:
        """The current activity, None before the first `ready`."""
        return cast("SyncActivity | None", self._thread.show(self._live.activity))

    @property
    def connect_activity_sid(self) -> str | None:
        """The option it was made with."""
        return self._live.connect_activity_sid

    @property
    def version(self) -> str:
        """The version that commands carry when version checks are on, empty before the first `ready`."""
        return self._live.version

    @property
    def activities(self) -> dict[str, SyncActivity]:
        """The workspace's activities by SID, a copy."""
        return self._shown(self._live.activities, SyncActivity)

    @property
    def channels(self) -> dict[str, SyncChannel]:
        """The worker's channels by SID, a copy."""
        return self._shown(self._live.channels, SyncChannel)

    @property
    def reservations(self) -> dict[str, SyncReservation]:
        """The reservations that have not ended, by SID, a copy."""
        return self._shown(self._live.reservations, SyncReservation)

    def _shown(self, live: dict[str, Any], _kind: type[T]) -> dict[str, T]:
        return {sid: self._thread.show(value) for sid, value in live.items()}

    # In the loop's thread

    async def _body(self) -> None:
        try:
            if self._leaving:
                await self._live.disconnect()
            async with self._live:
                await self._live.wait_closed()
        except BaseException as error:  # noqa: BLE001 - raised by wait_closed(), in the application's thread
            self._body_failure = error
        finally:
            self._inbox.close()

    def _begin_end(self) -> None:
        self._thread.spawn(self._live.disconnect())

    def _begin_to_leave(self, drain_timeout: float, drain_activity_sid: str | None) -> None:
        async def leave() -> None:
            await _running.leave(self._live, activity_sid=drain_activity_sid, timeout=drain_timeout)
            await self._live.disconnect()

        self._thread.spawn(leave())

    def _check_own_inbox(self) -> None:
        if not self._own_inbox:
            raise RuntimeError("handlers are called by `deliver`: there is nothing to process here")


class SyncSupervisor(SyncWorker):
    """A `Supervisor` for programs without asyncio: everything of `SyncWorker`, and three calls more."""

    __slots__ = ()

    _kind = Supervisor

    monitor = command_of(NoneType, Supervisor.monitor)
    set_worker_attributes = command_of(WorkerInfo, Supervisor.set_worker_attributes)
    set_worker_activity = command_of(WorkerInfo, Supervisor.set_worker_activity)


@contextmanager
def _calling(stop: Callable[[], None], signals: Sequence[signal.Signals]) -> Generator[None]:
    """Call `stop` at each of the signals; handlers are put back afterwards."""
    before: dict[signal.Signals, object] = {}

    def relay(_number: int, _frame: FrameType | None) -> None:
        stop()

    try:
        for number in signals:
            before[number] = signal.signal(number, relay)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as signal() itself returned it
