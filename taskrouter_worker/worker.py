"""The worker: what an application holds. Composition root of the SDK."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec

from . import _running
from ._backoff import Backoff, full_jitter
from ._commands import Commands, Sender
from ._context import Attributes, Context, check_attributes
from ._disconnect import Disconnect
from ._emitter import Dispatcher
from ._endpoints import (
    check_bool,
    check_connection_options,
    check_seconds,
    event_bridge_urls,
    warn_retired_edge,
)
from ._flags import Flag, first
from ._handler_tasks import ending_the_program
from ._requests import Request, check_sid
from ._session import Session, SessionState
from ._signatures import WorkerEmitter
from ._snapshot import ReconnectActivity, SnapshotTaker
from ._state import Model, Notification
from ._token import Token
from ._token_keeper import TokenKeeper, TokenProvider
from ._transport import SharedSession, Transport
from ._views import WorkerView
from .activity import Activity
from .channel import Channel
from .clock import Clock, SystemClock
from .errors import HandlerError, NotConnectedError, TaskRouterError
from .reservation import Reservation
from .resources import WorkerFields
from .task import check_moment
from .terms import SidPrefix
from .workspace import WorkspaceReader

if TYPE_CHECKING:
    import aiohttp

    from .recording import Recorder
    from .telemetry import Telemetry

__all__ = ["LogLevel", "Worker", "WorkerEvent"]

logger = logging.getLogger(__name__)

WorkerEvent = Literal[
    "ready",
    "activityUpdated",
    "attributesUpdated",
    "reservationCreated",
    "reservationFailed",
    "reservationMissed",
    "tokenExpired",
    "tokenUpdated",
    "disconnected",
    "error",
]

LogLevel = Literal["trace", "debug", "info", "warn", "error", "silent"]

_LOG_LEVELS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "silent": logging.CRITICAL + 1,
}

_WORKER: Final = msgspec.json.Decoder(WorkerFields)


class _CreatedTask(msgspec.Struct):
    sid: str


_CREATED_TASK: Final = msgspec.json.Decoder(_CreatedTask)


class Worker(WorkerView, WorkerEmitter[Reservation]):
    """A TaskRouter worker: its session, its reservations, and what it can do.

    Register handlers, then enter it; `async with` returns at the first `ready`::

        worker = Worker(token)

        @worker.on("reservationCreated")
        async def accept(reservation):
            await reservation.accept()

        async with worker:
            await worker.wait_closed()

    Events, with the handler's argument:

    * `ready` (worker): after the first and after each later synchronisation;
    * `activityUpdated`, `attributesUpdated` (worker);
    * `reservationCreated` (reservation). Pending reservations found at the start come right after
      `ready` with `origin` ``snapshot``; what happened during a gap follows with ``resync``;
    * `reservationFailed` (the raw task-like payload, a dict): a task made for this worker got no reservation;
    * `reservationMissed` (reservation): it was made and ended while there was no connection; its
      `status` says how. Worker.js has no such event;
    * `tokenExpired`, `tokenUpdated` (no argument);
    * `disconnected` (`Disconnect`);
    * `error` (`TaskRouterError`); with no handler it is logged. One with `ends_session` tells that the
      session has ended for good, and why.

    Args:
        token: a JWT with a TaskRouter grant, or a worker capability token; see `worker_token`. May be
            left out with a `token_provider`.
        token_provider: a function, plain or async, that returns a token. It is asked at the start if
            there is no token, again after 70 to 80 % of each token's life, and once when a token is
            refused; if it fails it is asked again with growing delays, and each failure is an `error`.
        connect_activity_sid: the activity to go to when first connected, before `ready`.
        close_existing_sessions: close the other sessions of this worker when first connecting.
        set_worker_offline_if_disconnected: whether the service moves the worker offline when its
            last session ends; None leaves it to the service (which does).
        region: Twilio region, such as ``ie1``; None or ``us1`` for the default.
        edge: without effect; Twilio retired edges.
        eb_server: HTTP URL of the event bridge instead of Twilio's.
        ws_server: websocket URL of the event bridge instead of Twilio's; a query it has is kept.
            If only one of the two is given, the other is derived from `region` as usual.
        enable_version_check: send the version that a command was decided on; the service refuses it
            with `VersionConflictError` if the object changed meanwhile.
        log_level: sets the level of the logger ``taskrouter_worker``; None leaves logging alone.
        reconnect_activity: what to do about the activity after a gap: ``restore`` (default) puts back
            the one the worker had if it was moved to `Offline` meanwhile, ``connect`` goes to
            `connect_activity_sid` again as Worker.js does, ``keep`` leaves it.
        emit_existing: whether reservations that are pending at the start are emitted as `reservationCreated`.
        reconnect_backoff: from the number of attempts since the last stable session to seconds to
            wait; None for a random delay below 1 s that doubles up to 30 s.
        request_timeout: seconds for a whole HTTP exchange.
        ssl_context: for https and wss; None for the platform's default.
        proxy: True for the environment's proxies, None for none, or a URL.
        http_session: an aiohttp session of yours for the requests; it is not closed.
        telemetry: spans and metrics for OpenTelemetry, see `taskrouter_worker.telemetry`.
        record: writes the session down for a bug report or for replaying, without tokens: a file's path,
            a function that gets each line, or a `taskrouter_worker.recording.Recorder` (which the
            caller closes), whose `redact_attributes` leaves out customers' data too.
        clock: wall-clock time.

    Raises:
        TypeError: an argument has the wrong type, or there is no such option.
        ValueError: an argument has a value that cannot be right.
    """

    __slots__ = (
        "_commands",
        "_context",
        "_emit_existing",
        "_model",
        "_own_recorder",
        "_owner",
        "_reader",
        "_ready",
        "_session",
        "_snapshots",
        "_tokens",
        "_transport",
    )

    EVENTS = frozenset(
        {
            "ready",
            "activityUpdated",
            "attributesUpdated",
            "reservationCreated",
            "reservationFailed",
            "reservationMissed",
            "tokenExpired",
            "tokenUpdated",
            "disconnected",
            "error",
        }
    )

    def __init__(
        self,
        token: str | None = None,
        *,
        token_provider: TokenProvider | None = None,
        connect_activity_sid: str | None = None,
        close_existing_sessions: bool = False,
        set_worker_offline_if_disconnected: bool | None = None,
        region: str | None = None,
        edge: str | None = None,
        eb_server: str | None = None,
        ws_server: str | None = None,
        enable_version_check: bool = False,
        log_level: LogLevel | None = None,
        reconnect_activity: ReconnectActivity = "restore",
        emit_existing: bool = True,
        reconnect_backoff: Backoff | None = None,
        request_timeout: float = 15.0,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = True,
        http_session: aiohttp.ClientSession | SharedSession | None = None,
        telemetry: Telemetry | None = None,
        record: str | os.PathLike[str] | Callable[[str], object] | Recorder | None = None,
        clock: Clock | None = None,
    ) -> None:
        parsed = None if token is None and token_provider is not None else Token.parse(token)
        if token_provider is not None and not callable(token_provider):
            raise TypeError(f"token_provider must be callable, got {type(token_provider).__name__}")
        if connect_activity_sid is not None:
            check_sid(connect_activity_sid, "connect_activity_sid", SidPrefix.ACTIVITY)
        check_bool("close_existing_sessions", close_existing_sessions)
        check_bool("enable_version_check", enable_version_check)
        check_bool("emit_existing", emit_existing)
        if set_worker_offline_if_disconnected is not None:
            check_bool("set_worker_offline_if_disconnected", set_worker_offline_if_disconnected)
        if reconnect_activity not in ("restore", "connect", "keep"):
            raise ValueError(
                f"reconnect_activity must be 'restore', 'connect' or 'keep', got {reconnect_activity!r}"
            )
        check_seconds("request_timeout", request_timeout)
        if reconnect_backoff is not None and not callable(reconnect_backoff):
            raise TypeError(f"reconnect_backoff must be callable, got {type(reconnect_backoff).__name__}")
        check_connection_options(ssl_context, proxy)
        warn_retired_edge(edge, stacklevel=3)
        http_url, websocket_url = event_bridge_urls(region, eb_server, ws_server)
        _set_log_level(log_level)

        # Loaded with the first worker: who only needs the name, for a type or a command line's help, does not
        # pay for it, and no event loop waits for it.
        from ._signaling import Signaling  # noqa: PLC0415

        recorder = None if record is None else _recorder(record)
        self._own_recorder = None if recorder is record else recorder
        super().__init__(Dispatcher(self._failed))
        self._transport: Sender = Transport(
            http_url,
            session=http_session,
            ssl_context=ssl_context,
            proxy=proxy,
            timeout=request_timeout,
            recorder=recorder,
        )
        clock = clock or SystemClock()
        self._tokens = TokenKeeper(parsed, token_provider, clock)
        self._commands = Commands(self._transport, self._tokens)
        self._context = Context(
            commands=self._commands,
            dispatcher=self._dispatcher,
            enable_version_check=enable_version_check,
        )
        self._reader = WorkspaceReader(self._commands, self._workspace_sid_so_far)
        self._model = Model(self._context, _loop_time)
        self._emit_existing = emit_existing
        self._snapshots = SnapshotTaker(
            context=self._context,
            model=self._model,
            commands=self._commands,
            report=self._failed,
            connect_activity_sid=connect_activity_sid,
            reconnect_activity=reconnect_activity,
        )
        self._session = Session(
            context=self._context,
            model=self._model,
            snapshots=self._snapshots,
            signaling=Signaling(
                websocket_url,
                offline_if_disconnected=set_worker_offline_if_disconnected,
                ssl_context=ssl_context,
                proxy=proxy,
                recorder=recorder,
                proxies=http_session.proxies if isinstance(http_session, SharedSession) else None,
            ),
            commands=self._commands,
            tokens=self._tokens,
            dispatcher=self._dispatcher,
            events=_Events(self),
            close_existing_sessions=close_existing_sessions,
            backoff=reconnect_backoff or full_jitter,
            clock=clock,
        )
        self._owner: asyncio.Task[None] | None = None
        self._ready = False
        if telemetry is not None:
            telemetry.watch(self)

    # Life

    async def __aenter__(self) -> Self:
        """Connect, and return at the first `ready`. Network failures are retried until then.

        Raises:
            InvalidTokenError: the token was refused, by the websocket or by a request of the snapshot;
                then that request's `AuthenticationError` is its `__cause__`.
            SessionDisplacedError: another session of this worker took its place.
            SignalingError: the service ends each connection before it says who this worker is.
            RuntimeError: this worker was entered before; make a new one.
        """
        if self._owner is not None:
            raise RuntimeError("this Worker was already started; make a new one for a new session")
        # The one task that everything of this worker runs below. It is joined in `disconnect`.
        self._owner = asyncio.create_task(self._own(), name="taskrouter worker")
        over = Flag()

        def ended(owner: asyncio.Task[None]) -> None:
            if not owner.cancelled():
                owner.exception()  # `_own` has told it; asyncio need not, should nobody ask
            over.set()

        self._owner.add_done_callback(ended)
        try:
            while not self._ready:
                self._check_alive(self._owner)
                await first(self._session.changed, over)
        except BaseException:
            await _running.leave_block(self, self._owners)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect, and leave nothing running. Who is canceled meanwhile does not wait for handlers."""
        await _running.leave_block(self, self._owners)

    def _owners(self) -> list[asyncio.Task[None]]:
        return [] if self._owner is None else [self._owner]

    async def disconnect(self) -> None:
        """End the session for good: no reconnect, no `update_token` revives it.

        Running handlers get five seconds to finish, then they are canceled. Safe to call twice,
        from any task of the loop, and from a handler: there it only begins the end.
        """
        self._session.close()
        owner = self._owner
        if owner is None:
            self._session.set_state(SessionState.CLOSED)
            self._commands.closed = True
            await self._release()
        elif owner is not asyncio.current_task() and not self._dispatcher.called_from_handler():
            await _join(owner)

    async def drain(self, *, activity_sid: str | None = None, timeout: float = 300.0) -> list[Reservation]:
        """Take no new work and wait until what was accepted is finished; return what is not.

        The worker moves to an activity that takes no work, and what it has not accepted is rejected,
        so that others get it.

        Args:
            activity_sid: where to; by default the activity `Offline`, or any that takes no work.
            timeout: seconds to wait, 0 or more.

        Raises:
            TypeError, ValueError: there is no such activity, it takes work, or a wrong `timeout`.
            RequestError: the service refused the activity, or could not be reached.
            NotConnectedError: the worker was not `ready` yet, or its session ended meanwhile.
        """
        return await _running.drain(self, activity_sid=activity_sid, timeout=timeout)

    async def run(
        self,
        *,
        drain_timeout: float = 300.0,
        drain_activity_sid: str | None = None,
        signals: Sequence[signal.Signals] = _running.DEFAULT_SIGNALS,
    ) -> None:
        """Run as a program: connect, work until a signal, drain, disconnect.

        At the first signal the worker drains; at the second it disconnects at once. Where the event
        loop has no signal handlers (Windows), Python's own are used; off the main thread pass no signals.

        Args:
            drain_timeout: seconds to finish what was accepted.
            drain_activity_sid: see `drain`.
            signals: which signals; SIGINT and SIGTERM unless given.

        Raises:
            TaskRouterError: as `async with` and `wait_closed`.
            TypeError, ValueError: `drain_timeout` is no number of seconds, 0 or more.
        """
        await _running.run(
            self, drain_timeout=drain_timeout, drain_activity_sid=drain_activity_sid, signals=signals
        )

    async def wait_closed(self) -> None:
        """Wait until the session has ended for good.

        Raises:
            TaskRouterError: it ended for another reason than `disconnect`, such as a refused token
                or a session that took this one's place.
            NotConnectedError: it was never started.
        """
        if self._owner is None:
            raise NotConnectedError("the worker was not started: enter `async with worker` first")
        await _join(self._owner)
        if not self._owner.cancelled():
            self._owner.result()
        self._raise_failure()

    async def wait_for_state(self, *states: SessionState | str) -> SessionState:
        """Wait until the session is in one of `states`, and return which.

        Raises:
            ValueError: there is no such state, or none was given.
            NotConnectedError: the session has ended, and none of `states` is its end.
        """
        wanted = {SessionState(state) for state in states}
        if not wanted:
            raise ValueError("wait_for_state needs at least one state")
        while self.state not in wanted:
            if self.state is SessionState.CLOSED:
                raise NotConnectedError("the session has ended")
            await self._session.state_change()
        return self.state

    async def caught_up(self, *, timeout: float | None = None) -> None:
        """Wait until the application was told of everything that the service has sent so far.

        For tests and tools: when it returns, each frame that the service had written to the websocket
        when it got this call's ping has been applied, and every handler for it has begun. Plain functions
        have returned; coroutines have run up to their first wait.

        It says nothing about what the service had decided and not yet written, nor about handlers that
        wait. Without a connection, or if it ends meanwhile, it waits for the next one to be ready: its
        snapshot tells what was missed.

        Args:
            timeout: seconds to wait, None for ever.

        Raises:
            TimeoutError: it took longer.
            NotConnectedError: the worker was not started, or its session has ended.
        """
        if self._owner is None:
            raise NotConnectedError("the worker was not started: enter `async with worker` first")
        async with asyncio.timeout(timeout):
            await self._session.caught_up()
            await self._dispatcher.begun()

    def update_token(self, token: str) -> None:
        """Use another token from now on, and emit `tokenUpdated`.

        Requests carry it at once. A session that is ready opens a second websocket with it, and closes
        the first one when the second is complete: nothing is missed and nothing told twice. A
        session that waits for a token (`tokenExpired`) connects at once.

        Raises:
            TypeError: not text.
            ValueError: not a token.
            NotConnectedError: the worker was disconnected.
        """
        parsed = Token.parse(token)
        if self.state is SessionState.CLOSED:
            raise NotConnectedError("the worker was disconnected: make a new one")
        self._tokens.update(parsed)
        self._emit("tokenUpdated")

    async def _own(self) -> None:
        try:
            with ending_the_program():
                await self._session.run()
        except Exception:
            logger.exception("a defect of this package ended the session of %s", self.sid or "a worker")
            raise
        finally:
            await self._release()

    async def _release(self) -> None:
        await self._transport.close()
        if self._own_recorder is not None:
            self._own_recorder.close()

    def _check_alive(self, owner: asyncio.Task[None]) -> None:
        if owner.done():
            owner.result()
            self._raise_failure()
            raise NotConnectedError("the worker was disconnected before it was ready")

    def _raise_failure(self) -> None:
        if self._session.failure is not None:
            raise self._session.failure

    # What it shows

    @property
    def state(self) -> SessionState:
        """Where the session stands: a `SessionState`, which equals its text, such as ``ready``."""
        return self._session.state

    @property
    def sid(self) -> str:
        """The worker's SID, ``WK...``; empty before the first session."""
        routes = self._context.known_routes
        return routes.worker_sid if routes else ""

    @property
    def worker_sid(self) -> str:
        """The same as `sid`, as in Worker.js."""
        return self.sid

    @property
    def workspace_sid(self) -> str:
        """The workspace, ``WS...``; empty before the first session."""
        return self._workspace_sid_so_far()

    @property
    def workspace(self) -> WorkspaceReader:
        """What this worker's token may read of its workspace: other workers, task queues, tasks.

        Requests use the token in force and the worker's connections, and end with the worker. Worker.js
        has no such property; see `Workspace` for reading without a session.
        """
        return self._reader

    def _workspace_sid_so_far(self) -> str:
        routes = self._context.known_routes
        return routes.workspace_sid if routes else ""

    @property
    def account_sid(self) -> str:
        """The account, ``AC...``; empty before the first `ready`."""
        return self._model.worker.account_sid if self._model.worker else ""

    @property
    def activity(self) -> Activity | None:
        """The current activity, None before the first `ready`."""
        return self._model.activity

    @property
    def connect_activity_sid(self) -> str | None:
        """The option it was made with."""
        return self._snapshots.connect_activity_sid

    @property
    def version(self) -> str:
        """The version that commands carry when version checks are on, empty before the first `ready`."""
        version = self._model.version
        return "" if version is None else str(version)

    @property
    def activities(self) -> dict[str, Activity]:
        """The workspace's activities by SID; a copy, empty before the first `ready`."""
        return dict(self._model.activities)

    @property
    def channels(self) -> dict[str, Channel]:
        """The worker's channels by their SID, ``WC...``; a copy, empty before the first `ready`."""
        return dict(self._model.channels)

    @property
    def reservations(self) -> dict[str, Reservation]:
        """The reservations that have not ended, by SID; a copy. They are pending, accepted or wrapping."""
        return dict(self._model.reservations)

    @property
    def _fields(self) -> WorkerFields:
        if self._model.worker is None:
            raise NotConnectedError("the worker is not known yet: wait for `ready` first")
        return self._model.worker

    # What it can do

    async def set_attributes(self, attributes: Attributes) -> Worker:
        """Replace the worker's attributes (no merge) and return the worker.

        Raises:
            TypeError, ValueError: not a dict that JSON can show.
            RequestError: the service refused, or could not be reached.
        """
        checked = check_attributes(attributes)
        version = self._context.if_match(self._model.version)
        return await self._command(self._context.routes.set_worker_attributes(checked, version))

    async def fetch_latest_version(self) -> Worker:
        """Fetch the worker and return it, brought up to date.

        Raises:
            RequestError: the service refused, or could not be reached.
        """
        return await self._command(self._context.routes.worker())

    async def create_task(
        self,
        to: str,
        from_: str,
        workflow_sid: str,
        task_queue_sid: str,
        *,
        attributes: Attributes | None = None,
        task_channel_unique_name: str | None = None,
        task_channel_sid: str | None = None,
        virtual_start_time: datetime | None = None,
    ) -> str:
        """Make a task for this worker itself and return its SID; the reservation comes as an event.

        Args:
            to: contact URI of the customer, stored in the task's attributes as ``outbound_to``.
            from_: contact URI of the worker, stored as ``from``.
            workflow_sid: the workflow it belongs to.
            task_queue_sid: the queue it is reported under.
            attributes: further attributes of the task.
            task_channel_unique_name: the channel; ``default`` if neither this nor the SID is given.
            task_channel_sid: the channel by SID.
            virtual_start_time: its place in time, whole seconds.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        for name, value in (("to", to), ("from_", from_)):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str, got {type(value).__name__}: {value!r}")
        check_sid(workflow_sid, "workflow_sid", SidPrefix.WORKFLOW)
        check_sid(task_queue_sid, "task_queue_sid", SidPrefix.TASK_QUEUE)
        checked = check_attributes(attributes if attributes is not None else {})
        if task_channel_unique_name is not None and not isinstance(task_channel_unique_name, str):
            raise TypeError(f"task_channel_unique_name must be a str, got {task_channel_unique_name!r}")
        if task_channel_sid is not None:
            check_sid(task_channel_sid, "task_channel_sid", SidPrefix.TASK_CHANNEL)
        if virtual_start_time is not None:
            check_moment(virtual_start_time, "virtual_start_time")
        request = self._context.routes.create_task(
            to=to,
            from_=from_,
            workflow_sid=workflow_sid,
            task_queue_sid=task_queue_sid,
            attributes=checked,
            task_channel_unique_name=task_channel_unique_name,
            task_channel_sid=task_channel_sid,
            virtual_start_time=virtual_start_time,
        )
        return (await self._commands.fetch(request, _CREATED_TASK)).sid

    async def _command(self, request: Request) -> Worker:
        self._model.worker_answered(await self._commands.fetch(request, _WORKER))
        return self

    # What the session tells

    def _failed(self, error: TaskRouterError) -> None:
        """Emit `error`, or log it if nobody listens, or if it comes from an `error` handler itself."""
        # Whether anybody listens is known when it is told: a handler that begins before may take itself back.
        self._dispatcher.emit(functools.partial(self._tell_failure, error))

    def _tell_failure(self, error: TaskRouterError) -> None:
        if self._has_listeners("error") and not (isinstance(error, HandlerError) and error.event == "error"):
            self._deliver("error", (error,), "event")
        else:
            logger.error("%s", error, exc_info=error.__cause__ if isinstance(error, HandlerError) else None)

    def __repr__(self) -> str:
        return f"<Worker {self.sid or '(not connected yet)'} {self.state}>"


class _Events:
    """What the session tells, as the worker's emissions."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def ready(self) -> None:
        self._worker._ready = True
        self._worker._emit("ready", self._worker)

    def notify(self, notification: Notification) -> None:
        worker = self._worker
        target, event, args, origin = (
            notification.target,
            notification.event,
            notification.args,
            notification.origin,
        )
        if target is not None:
            target._emit(event, *args, origin=origin)
            return
        if event == "reservationCreated" and origin == "snapshot" and not worker._emit_existing:
            return
        worker._emit(event, *(args or (worker,)), origin=origin)

    def disconnected(self, disconnect: Disconnect) -> None:
        self._worker._emit("disconnected", disconnect)

    def failed(self, error: TaskRouterError) -> None:
        self._worker._failed(error)

    def token_expired(self) -> None:
        self._worker._emit("tokenExpired")

    def token_updated(self) -> None:
        self._worker._emit("tokenUpdated")


async def _join(task: asyncio.Task[None]) -> None:
    # Canceling the one who waits must not cancel the session; its own failures are read elsewhere.
    await asyncio.wait({task})


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _recorder(record: str | os.PathLike[str] | Callable[[str], object] | Recorder) -> Recorder:
    from .recording import Recorder  # noqa: PLC0415 - rarely wanted, and it costs as much as all of the model

    return record if isinstance(record, Recorder) else Recorder(record)


def _set_log_level(level: object) -> None:
    if level is None:
        return
    if not isinstance(level, str):
        raise TypeError(f"log_level must be a str, got {type(level).__name__}: {level!r}")
    if level not in _LOG_LEVELS:
        raise ValueError(f"log_level must be one of {', '.join(_LOG_LEVELS)}, got {level!r}")
    logging.getLogger("taskrouter_worker").setLevel(_LOG_LEVELS[level])
