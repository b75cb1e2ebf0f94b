"""The whole server: the only place that builds clock, SIDs, account, runtime and adapters."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import socket
import weakref
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec
from aiohttp import web

from taskrouter_worker.clock import Clock, SystemClock
from taskrouter_worker.recording import Recorder
from taskrouter_worker.terms import Role, SidPrefix, WorkspaceTemplate
from taskrouter_worker.tokens import worker_token

from .account import Account
from .callbacks import Callbacks
from .chronicle import Chronicle
from .clocks import HandClock, StandingClock
from .commits import CommitFailed
from .console.routes import API as CONSOLE_API
from .console.routes import Console
from .deliveries import Deliveries
from .domain.events import Event
from .domain.history import PastEvent, Window
from .domain.telephony import StatusCallback
from .domain.workspace import Workspace
from .event_bridge.door import EventBridge
from .faults import Faults
from .faults.door import FaultDoor
from .front import OriginGuard, as_json, forget_handlers, once_stored, quiet_logger, tls_context
from .ids import RandomSids, SeededSids
from .inspection import Inspection
from .limits import ConnectionWatch, Doorkeeper, RateLimit
from .recording import RecordedWebSocket, RecordingRoutes, Recordings
from .replies import (
    REQUEST_TIMEOUT,
    json_response,
    method_not_allowed,
)
from .rest.door import Rest
from .runtime import Publish, PublishCallbacks, Runtime
from .seeding import SeedDocument, source_for
from .sessions import Sessions
from .settings import BRIDGE_PATH, Settings
from .state.documents import StateInput
from .state.keeper import StateKeeper
from .state.routes import StateRoutes
from .storage import Data, Durability, StorageError
from .switchboard import Switchboard
from .tokens import MAX_TOKEN, Credentials, Tokens

__all__ = ["Settings", "StubServer"]

T = TypeVar("T")

MAX_HEADER: Final = MAX_TOKEN + 1_024
"""Longest request line or header in bytes: the websocket's address holds a whole token."""

LONGEST_STUB_BODY: Final = 8 * 1024 * 1024
"""What `/stub` takes at most, in bytes."""

SHUTDOWN_SECONDS: Final = 0.5
"""How long requests in flight may take once the server stops."""

log = logging.getLogger(__name__)


class StubServer:
    """A local TaskRouter. Use it as an async context manager, or call `start` and `stop`.

    Args:
        settings: how it is set up.
        clock: the time of the workspaces: timeouts, dates, retention. Where it is turned by hand,
            `tick` carries out what became due.
        token_clock: the time by which tokens expire; the system's unless given.
        data: where the state is kept, see `docs/storage.md`; in memory unless given. It is open, and stays
            so until the server has stopped.

    Raises:
        StorageError: the data are damaged, or another account's.
        ValueError: `settings.seed` goes with `data`: it would repeat SIDs after a restart.

    Attributes:
        faults: switches for tests.
        account: the workspaces by SID, in `account.workspaces`.
        failure: why nothing can be stored any more; None while all is well. The server answers 503 then,
            and has to be stopped: see `failed`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        token_clock: Clock | None = None,
        data: Data | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        if data is not None and settings.seed is not None:
            raise ValueError("seed repeats SIDs: it cannot be given where the state outlives the process")
        stored = {} if data is None else dict(data.contents.settings)
        clock = clock or SystemClock()
        token_clock = token_clock or SystemClock()
        sids = RandomSids() if settings.seed is None else SeededSids(settings.seed)
        self._credentials = Credentials(
            account_sid=settings.account_sid or stored.get("account_sid") or sids(SidPrefix.ACCOUNT),
            auth_token=settings.auth_token or stored.get("auth_token") or secrets.token_hex(32),
            signing_key_sid=settings.signing_key_sid
            or stored.get("signing_key_sid")
            or sids(SidPrefix.API_KEY),
            signing_key_secret=settings.signing_key_secret
            or stored.get("signing_key_secret")
            or secrets.token_hex(32),
        )
        base = stored.get("seed_base") or secrets.token_hex(16)
        self._origin_guard = OriginGuard([settings.host, *settings.allowed_hosts])
        self.faults = Faults()
        self._recordings = Recordings(
            (self.auth_token, self.signing_key_secret), max_body=settings.server_limits.max_envelope
        )
        self._observers: list[Publish] = []
        self._callback_observers: list[PublishCallbacks] = []
        self.account = Account(
            sid=self._credentials.account_sid, now=clock.now, sids=sids, limits=settings.limits
        )
        self._chronicle = Chronicle(settings.limits)
        self._runtime = Runtime(
            self.account,
            publish=self._publish,
            deleted=self._forget,
            publish_callbacks=self._publish_callbacks,
        )
        bears = settings.server_limits
        rate = RateLimit(bears.max_requests_per_second)
        tokens = Tokens(self._credentials, token_clock)
        self._sessions = Sessions(
            self._runtime,
            tokens,
            clock=token_clock,
            faults=self.faults,
            heartbeat_seconds=settings.heartbeat_seconds,
            offline_grace=settings.offline_grace_ms / 1000,
            limits=settings.server_limits,
            websocket=self._recordings.websocket,
        )
        self.faults.attach(self._sessions)
        self._bridge = EventBridge(
            self._runtime,
            tokens,
            self._sessions,
            faults=self.faults,
            settle=settings.settle_ms / 1000,
            acting=self._chronicle.acting,
            rate=rate,
            max_body=bears.max_envelope,
        )
        self._rest = Rest(
            self._runtime,
            self._credentials,
            faults=self.faults,
            chronicle=self._chronicle,
            rate=rate,
            max_body=bears.max_body,
        )
        self._callbacks = Callbacks(
            self._runtime, auth_token=self._credentials.auth_token, hosts=settings.callback_hosts
        )
        self._inspection = Inspection(self._runtime, self._callbacks.deliveries, guard=self._check_caller)
        self._recording_routes = RecordingRoutes(self._runtime, self._recordings, guard=self._check_caller)
        self._switchboard = Switchboard(self._runtime, guard=self._check_caller)
        self._fault_door = FaultDoor(self._runtime, self.faults, guard=self._check_caller)
        self._state = StateKeeper(
            self._runtime,
            limits=settings.limits,
            base=base if settings.seed is None else str(settings.seed),
            repeatable=settings.seed is not None,
            leave=self._leave,
            take_up=lambda workspace: self._chronicle.resume(workspace, (), ()),
            begin_anew=self.faults.clear,
        )
        self.failure: StorageError | None = None
        self._failed = asyncio.Event()
        self._durability: Durability | None = None
        if data is not None:
            kept = {**self._kept_credentials(), "seed_base": base}
            self._durability = self._runtime.commits = Durability(
                data,
                self.account,
                self._chronicle,
                settings=lambda: {**kept, "default_workspace_sid": self.workspace_sid},
                failed=self._storage_failed,
            )
        if (default_sid := stored.get("default_workspace_sid")) is not None:  # also if all were deleted
            self._state.resume(settings.seed_document, default_sid=default_sid)
        else:
            self._state.begin(settings.seed_document)
        self._state_routes = StateRoutes(self._state, guard=self._check_caller)
        self._console = Console(
            self._runtime,
            self._credentials,
            self._chronicle,
            self._sessions,
            check_origin=self._origin_guard,
            authenticate=self._rest.authenticate,
            clock=clock if isinstance(clock, HandClock) else None,
            routes=self._add_console_routes,
            observe=self._observe_for_console,
            default_workspace=lambda: self.workspace_sid,
            port=lambda: self._port,
            secure=settings.tls_cert is not None,
            max_body=bears.max_body,
            version=_version(),
        )
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._watch = ConnectionWatch(
            self._open_connections, silent=bears.idle_timeout, stalled=bears.stall_timeout
        )
        self._connections: weakref.WeakSet[asyncio.Task[None]] = weakref.WeakSet()
        self._port = settings.port

    # --- Addresses and credentials ------------------------------------------------------------

    @property
    def rest_url(self) -> str:
        """The base URL of the REST API, without a path."""
        return self._url("http")

    @property
    def eb_server(self) -> str:
        """The event bridge's URL: `ebServer` of the JavaScript SDK."""
        return self._url("http") + BRIDGE_PATH

    @property
    def ws_server(self) -> str:
        """The websocket URL: `wsServer` of the JavaScript SDK."""
        return self._url("ws") + BRIDGE_PATH

    @property
    def console_url(self) -> str:
        """The console's page, with the key that lets one in: whoever has this address may do everything."""
        return f"{self._url('http')}/console#key={self._console.access.key}"

    @property
    def port(self) -> int:
        """The port it listens on; as in the settings before the start."""
        return self._port

    @property
    def account_sid(self) -> str:
        """The account, user name of the REST API."""
        return self._credentials.account_sid

    @property
    def auth_token(self) -> str:
        """The account's secret, password of the REST API."""
        return self._credentials.auth_token

    @property
    def signing_key_sid(self) -> str:
        """The API key, issuer of access tokens."""
        return self._credentials.signing_key_sid

    @property
    def signing_key_secret(self) -> str:
        """The API key's secret, which signs access tokens."""
        return self._credentials.signing_key_secret

    @property
    def workspace_sid(self) -> str:
        """The default workspace: the seed's first one, or one made from the FIFO template.

        If it was deleted, the oldest one that is there; "" if there is none.
        """
        return self._state.default_sid

    @property
    def deliveries(self) -> Deliveries:
        """The record of callbacks: what was sent to applications, and what they answered."""
        return self._callbacks.deliveries

    def _url(self, scheme: str) -> str:
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
        host = everywhere.get(self.settings.host, self.settings.host)
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}{'s' if self.settings.tls_cert else ''}://{shown}:{self._port}"

    # --- Life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Returns once connections are accepted.

        Raises:
            OSError: the port is taken, or a TLS file cannot be read (ssl.SSLError for its content).
            StorageError: something could not be stored before: what is in memory is not on the disk.
        """
        if self._runner is not None:
            raise RuntimeError("the server runs already")
        self._refuse_after_failure()
        settings = self.settings
        tls = None
        if settings.tls_cert is not None and settings.tls_key is not None:
            tls = tls_context(settings.tls_cert, settings.tls_key)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=4_096)
        try:
            self._port = listener.getsockname()[1]
            await self._begin()
            # Not aiohttp's SockSite: it would let in any number of connections.
            self._listening = await asyncio.get_running_loop().create_server(
                self._doorkeeper(), sock=listener, ssl=tls, backlog=4_096
            )
        except BaseException:
            listener.close()
            await self.stop()
            raise
        log.info("listening on port %d", self._port)

    async def start_without_listening(self) -> Callable[[], asyncio.BaseProtocol]:
        """Serve whatever connection is handed to the returned protocol factory, instead of a port's.

        For tests that bring a network of their own. It ends with `stop` as well, and either way of
        starting may follow: sessions are gone then, everything else is still there.
        """
        if self._runner is not None:
            raise RuntimeError("the server runs already")
        self._refuse_after_failure()
        await self._begin()
        return self._doorkeeper()

    def _refuse_after_failure(self) -> None:
        if self.failure is not None:
            raise StorageError(
                f"{self.failure}. What came since is lost: open the data anew, for a new server"
            )

    def _doorkeeper(self) -> Doorkeeper:
        server = None if self._runner is None else self._runner.server
        if server is None:  # set up a moment ago
            raise RuntimeError("aiohttp made no server")
        limit = self.settings.server_limits.max_connections
        return Doorkeeper(server, count=lambda: len(server.connections), most=limit)

    def _open_connections(self) -> Sequence[web.RequestHandler]:
        server = None if self._runner is None else self._runner.server
        return [] if server is None else server.connections

    async def _begin(self) -> None:
        runner = web.AppRunner(
            self._app(),
            access_log=None,  # it would show tokens: they are in the websocket's address
            logger=quiet_logger(),
            shutdown_timeout=SHUTDOWN_SECONDS,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            auto_decompress=False,  # what is compressed is refused: it may unpack to gigabytes
            # For aiohttp this is also how long each further request's headers may take.
            keepalive_timeout=self.settings.server_limits.idle_timeout,
        )
        await runner.setup()
        self._runner = runner
        self._watch.start()
        await self._callbacks.open()
        self._sessions.open()
        self._console.feeds.open()
        self._runtime.open()
        if self._durability is not None:
            self._durability.open()
        for workspace in list(self.account.workspaces.values()):
            self._runtime.adopt(workspace)
        if self._durability is not None:
            try:
                await self._durability.committed()  # nobody is told credentials that are not stored
            except CommitFailed as error:
                raise StorageError(str(error)) from None

    async def stop(self) -> None:
        """Close every session with 1001, then everything else. Takes two seconds at most; idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        self._watch.stop()
        self._console.feeds.close()
        await self._sessions.close()
        await runner.cleanup()
        await self._end_connections()
        self._bridge.close()
        self._runtime.close()
        await self._callbacks.close()
        if self._durability is not None:
            await self._durability.close()
        self._recordings.close()
        forget_handlers()
        log.info("stopped")

    async def _end_connections(self) -> None:
        # aiohttp waits ten seconds for the rest of a body that nobody read, such as one too large, and
        # forgets that it does once the client is gone.
        left = [task for task in self._connections if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def failed(self) -> StorageError:
        """Wait until nothing can be stored any more, and say why."""
        while self.failure is None:
            self._failed.clear()
            await self._failed.wait()
        return self.failure

    def _storage_failed(self, error: StorageError) -> None:
        log.critical("%s: answering 503 from now on", error)
        self.failure = error
        self._failed.set()

    def _kept_credentials(self) -> dict[str, str]:
        """What has to be the same after a restart: what was not given explicitly, and whose data they are."""
        given, known = self.settings, self._credentials
        kept = {"account_sid": known.account_sid}
        if given.auth_token is None:
            kept["auth_token"] = known.auth_token
        if given.signing_key_sid is None:
            kept["signing_key_sid"] = known.signing_key_sid
        if given.signing_key_secret is None:
            kept["signing_key_secret"] = known.signing_key_secret
        return kept

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()

    # --- In-process use -----------------------------------------------------------------------

    def run(self, workspace_sid: str, command: Callable[[Workspace], T]) -> T:
        """Carry out a command as if it had come over REST, and return what it returns.

        Call it in the server's event loop.

        Raises:
            DomainError: the command was refused, or there is no such workspace.
        """
        return self._runtime.run(self._runtime.workspace(workspace_sid), command)

    def worker_token(self, worker_sid: str, *, role: Role | str = Role.WORKER, lifetime: int = 3600) -> str:
        """A token for a worker of the default workspace, signed with this server's key.

        Args:
            worker_sid: the worker that it acts as.
            role: worker, supervisor or admin.
            lifetime: seconds from now, by the clock on the wall.

        Raises:
            ValueError: an argument is out of its range.
        """
        return worker_token(
            account_sid=self.account_sid,
            signing_key_sid=self.signing_key_sid,
            signing_key_secret=self.signing_key_secret,
            workspace_sid=self.workspace_sid,
            worker_sid=worker_sid,
            role=role,
            lifetime=lifetime,
        )

    def hire(self, friendly_name: str, *, attributes: str = "{}") -> tuple[str, str]:
        """A new worker in the default workspace, ready for work: its SID and a token for it.

        Raises:
            DomainError: the name is taken, or an argument is out of its range.
        """

        def create(workspace: Workspace) -> str:
            available = next(a.sid for a in workspace.activities.values() if a.available)
            return workspace.create_worker(
                friendly_name=friendly_name, attributes=attributes, activity_sid=available
            ).sid

        worker_sid = self.run(self.workspace_sid, create)
        return worker_sid, self.worker_token(worker_sid)

    def add_workspace(
        self,
        *,
        friendly_name: str,
        template: WorkspaceTemplate = WorkspaceTemplate.FIFO,
        multi_task_enabled: bool = True,
        clock: StandingClock | None = None,
        sids: Callable[[str], str] | None = None,
    ) -> str:
        """A further workspace; its SID.

        Args:
            friendly_name: up to 64 characters.
            template: ``FIFO`` adds a queue and a workflow that leads every task to it.
            multi_task_enabled: False makes a legacy workspace: one reservation per worker.
            clock: a time of its own, which only `advance` moves; the server's unless given.
            sids: makes its SIDs; the server's source unless given.

        Raises:
            DomainError: a value is out of its range.
            ValueError: `sids` gave the SID of a workspace that is there already.
        """
        workspace = self.account.create_workspace(
            friendly_name=friendly_name,
            template=template,
            multi_task_enabled=multi_task_enabled,
            now=None if clock is None else clock.now,
            sids=sids,
        )
        if clock is not None:
            self._runtime.stand_still(workspace)
            self._console.stands(workspace.sid, clock)
        self._runtime.adopt(workspace)
        return workspace.sid

    def delete_workspace(self, workspace_sid: str) -> None:
        """Forget a workspace and all it holds, and close its sessions.

        Raises:
            NotFound: there is none.
        """
        self._runtime.delete_workspace(self.account.workspace(workspace_sid))

    def advance(self, workspace_sid: str, clock: StandingClock, until: float) -> None:
        """Move the clock of a workspace on; each deadline on the way comes at exactly its own moment.

        Args:
            workspace_sid: whose time it is.
            clock: the one given to `add_workspace`.
            until: epoch seconds.

        Raises:
            ValueError: `until` lies in the past of the clock.
            NotFound: there is no such workspace.
        """
        self._runtime.advance([self.account.workspace(workspace_sid)], clock, until)

    async def delivered(self, workspace_sid: str, *, timeout: float) -> None:
        """Wait until every client of a workspace has read all that was pushed to it until now.

        Args:
            workspace_sid: which one.
            timeout: seconds, by the clock on the wall.

        Raises:
            TimeoutError: a client did not answer in time; the text names its worker.
            NotFound: there is no such workspace.
        """
        await self._sessions.delivered(self.account.workspace(workspace_sid), timeout=timeout)

    def history(self, workspace_sid: str) -> Sequence[PastEvent]:
        """What happened in a workspace, as far as it is kept, oldest first."""
        return self._chronicle.of(workspace_sid).history.newest_first(Window(0.0, math.inf))[::-1]

    def tick(self) -> None:
        """Carry out every deadline that is due by the clock, for tests that turn it by hand."""
        self._runtime.tick()

    # --- State: see docs/state.md -------------------------------------------------------------

    def seed(self, document: SeedDocument) -> list[str]:
        """Set everything to a seed, to which `reset` goes back from now on; the SIDs of its workspaces.

        Call this, and the other methods about state, in the server's event loop.

        Raises:
            SeedError: something is wrong with the document. Every problem is told, nothing was changed.
            OSError: its file cannot be read.
        """
        return self._state.seed(source_for(document))

    def reset(self, workspace_sid: str | None = None) -> list[str]:
        """Go back to the seed: one workspace, or everything; the SIDs of what was set back.

        Sessions of workers that are still there are closed with 1012 and come back, others with 4403.

        Raises:
            NotFound: there is no such workspace.
            InvalidArgument: the seed does not describe it.
        """
        return self._state.reset(workspace_sid)

    def seed_workspace(self, workspace_sid: str, document: SeedDocument) -> None:
        """Set one workspace to the only one of a seed; it keeps its SID and its clock.

        Raises:
            NotFound: there is no such workspace.
            SeedError: something is wrong with the document; nothing was changed.
            InvalidArgument: the seed describes several workspaces, or none.
            OSError: its file cannot be read.
        """
        self._state.seed_workspace(workspace_sid, source_for(document))

    def export_state(self, workspace_sid: str | None = None) -> dict[str, object]:
        """The state of a workspace, or of all of them, as a JSON document.

        Raises:
            NotFound: there is no such workspace.
        """
        document: dict[str, object] = msgspec.to_builtins(self._state.export(workspace_sid))
        return document

    def import_state(self, document: StateInput) -> list[str]:
        """Put back what `export_state` wrote, here or in another process; the SIDs of the workspaces.

        A document of all workspaces replaces all of them, one of a single workspace only that one.
        Sessions end as at a reset.

        Raises:
            InvalidArgument: the document cannot be used; nothing was changed.
        """
        return self._state.put_back(document)

    def save_snapshot(self, name: str, workspace_sid: str | None = None) -> None:
        """Keep the present state of a workspace, or of all, in memory under a name.

        Raises:
            NotFound: there is no such workspace.
            InvalidArgument: the name is not valid, or there are too many snapshots.
        """
        self._state.save(name, workspace_sid)

    def restore_snapshot(self, name: str, workspace_sid: str | None = None) -> list[str]:
        """Go back to a snapshot; the SIDs of the workspaces that were put back.

        Raises:
            NotFound: there is no such snapshot of the workspace, or of all.
        """
        return self._state.put_back(self._state.snapshot(name, workspace_sid), workspace_sid)

    def record(
        self,
        sink: str | os.PathLike[str] | Callable[[str], object],
        *,
        workspace_sid: str | None = None,
        redact_attributes: bool = False,
    ) -> Recorder:
        """Record the sessions of workers that connect from now on, see `taskrouter_worker.recording`.

        Closing what it returns ends the recording, as does the server's stop.

        Args:
            sink: a file's path, or a function that gets each line.
            workspace_sid: whose sessions; every workspace's unless given.
            redact_attributes: replace customers' attributes and all names by placeholders.

        Raises:
            OSError: the file cannot be written.
        """
        return self._recordings.start(sink, workspace_sid=workspace_sid, redact_attributes=redact_attributes)

    def observe(self, observer: Publish) -> None:
        """Call `observer` with the events of each command from now on, before the next command runs."""
        self._observers.append(observer)

    def observe_status_callbacks(self, observer: PublishCallbacks) -> None:
        """Call `observer` with the status callbacks that instructions asked for, after their events."""
        self._callback_observers.append(observer)

    # --- The application ----------------------------------------------------------------------

    def _publish(self, workspace: Workspace, events: Sequence[Event]) -> None:
        self._chronicle.publish(workspace, events)
        self._sessions.publish(workspace, events)
        self._callbacks.publish(workspace, events)
        for observer in self._observers:
            observer(workspace, events)

    def _publish_callbacks(self, workspace: Workspace, callbacks: Sequence[StatusCallback]) -> None:
        self._callbacks.publish_steps(workspace, callbacks)
        for observer in self._callback_observers:
            observer(workspace, callbacks)

    def _observe_for_console(self, observer: Publish, on: bool) -> None:
        if on:
            self._observers.append(observer)
        else:
            self._observers.remove(observer)

    def _leave(self, workspace: Workspace, staying: Collection[str]) -> None:
        """The workspace is about to be replaced by another state of it, with these workers."""
        self._console.feeds.replaced(workspace.sid)
        self._sessions.send_away(workspace, staying)
        self._chronicle.forget(workspace)
        self._callbacks.abandon(workspace)
        self.faults.clear(workspace.sid)

    def _forget(self, workspace: Workspace) -> None:
        self._console.forget(workspace.sid)
        self._chronicle.forget(workspace)
        if self._durability is None:
            self._sessions.close_workspace(workspace)
        else:
            self._durability.when_committed(lambda: self._sessions.close_workspace(workspace))
        self.faults.forget(workspace.sid)
        self._callbacks.forget(workspace)

    def _app(self) -> web.Application:
        bears = self.settings.server_limits
        # Each door has a limit of its own; aiohttp's is for all of them.
        most = max(bears.max_body, bears.max_envelope, LONGEST_STUB_BODY)
        stored = [] if self._durability is None else [once_stored(self._durability.committed)]
        app = web.Application(middlewares=[*stored, as_json(self._watch.heard)], client_max_size=most)
        app[REQUEST_TIMEOUT] = bears.request_timeout
        app.on_response_prepare.append(self._note_connection)
        app.router.add_route("*", BRIDGE_PATH, self._handle_bridge)
        app.router.add_route("*", "/v1/Workspaces", self._rest.handle)
        app.router.add_route("*", "/v1/Workspaces/{path:.*}", self._rest.handle)
        app.router.add_route("*", "/stub/health", self._handle_health)
        self._inspection.add_to(app.router)
        self._switchboard.add_to(app.router)
        self._state_routes.add_to(app.router)
        self._recording_routes.add_to(app.router)
        self._fault_door.add_to(app.router)
        self._console.add_to(app.router)
        app.add_subapp(CONSOLE_API, self._console.api(bears.request_timeout))
        return app

    def _add_console_routes(self, router: web.UrlDispatcher, guard: Callable[[web.Request], None]) -> None:
        """What of `/stub` the console uses, once more for those whom `guard` lets in."""
        Inspection(self._runtime, self._callbacks.deliveries, guard=guard).add_to(router)
        FaultDoor(self._runtime, self.faults, guard=guard).add_to(router)
        StateRoutes(self._state, guard=guard).add_to(router)

    async def _note_connection(self, request: web.Request, _: web.StreamResponse) -> None:
        self._connections.add(request.task)

    async def _handle_bridge(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket":
            ws = await self._sessions.handle(request)
            if isinstance(ws, RecordedWebSocket):
                ws.left()
            return ws
        response = await self._recordings.exchange(request, self._bridge.handle)
        if self._console.is_watched and request.content.is_eof() and isinstance(response, web.Response):
            answer = response.body if isinstance(response.body, bytes | bytearray) else b""
            self._console.exchanged(await request.read(), response.status, bytes(answer))
        return response

    async def _handle_health(self, request: web.Request) -> web.StreamResponse:
        self._origin_guard(request)
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed(request.method, "GET")
        return json_response(
            {
                "status": "ok",
                "version": _version(),
                "sessions": len(self._sessions),
                "workspaces": len(self.account.workspaces),
            }
        )

    def _check_caller(self, request: web.Request) -> None:
        """What shows customers' data asks for the REST API's credentials as well."""
        self._origin_guard(request)
        self._rest.authenticate(request.headers.get("Authorization", ""))


def _version() -> str:
    try:
        return version("taskrouter-worker")
    except PackageNotFoundError:
        return "unknown"  # run from a source tree that was never installed
