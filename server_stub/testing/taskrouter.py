"""What the fixture `taskrouter` is: a workspace of one test, and all that one does with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypedDict, TypeVar, Unpack

from server_stub.app import StubServer
from server_stub.clocks import StandingClock
from server_stub.domain.errors import NotFound
from server_stub.domain.workspace import Workspace
from server_stub.ids import RandomSids, SeededSids
from taskrouter_worker.terms import Role, WorkspaceTemplate
from taskrouter_worker.tokens import worker_token

from .background import BackgroundServer
from .clock import WorkspaceClock
from .connections import Connections, make, make_sync
from .desk import Desk, find
from .expectations import Expectations
from .factories import Factories
from .faults import WorkspaceFaults
from .handles import WorkerHandle
from .options import WorkspaceOptions
from .reporting import callback_lines, event_lines

if TYPE_CHECKING:
    from twilio.rest import Client  # pyright: ignore[reportMissingTypeStubs]

    from server_stub.seeding import SeedDocument
    from taskrouter_worker import SyncWorker, TaskRouterError, Worker
    from taskrouter_worker.options import WorkerOptions

__all__ = ["Access", "Snapshot", "TaskRouter"]

__tracebackhide__ = True  # pytest shows the test's line instead

T = TypeVar("T")


class Access(TypedDict):
    """What an SDK's worker needs to connect: ``Worker(**taskrouter.access(alice))``."""

    token: str
    eb_server: str
    ws_server: str


@dataclass(frozen=True)
class Snapshot:
    """The state of a workspace at one moment.

    Attributes:
        document: the state, as JSON objects; see `StubServer.export_state`.
        moment: what its virtual clock showed, in epoch seconds; None for a real one.
        workspace_sid: whose it is.
    """

    document: Mapping[str, object]
    moment: float | None
    workspace_sid: str


class TaskRouter(Factories, Expectations):
    """A workspace of its own on a local TaskRouter, for one test.

    Factories make workers, tasks, queues and so on; ``assert_...`` and ``wait_until_...`` say what is
    expected of them; `connect` and `connect_sync` log a worker in with the SDK; `clock` is the workspace's
    time, which stands still until it is moved. Everything else reaches it as it would reach Twilio: by
    `rest_url`, `eb_server`, `ws_server` and the credentials.

    Args:
        server: where the workspace is.
        options: how it is set up.

    Attributes:
        clock: its time.
        faults: what goes wrong in it.
        random_seed: its SIDs follow from it; None for other ones each time.
        workspace_sid: its SID.
    """

    def __init__(self, server: BackgroundServer, options: WorkspaceOptions) -> None:
        super().__init__()
        self._server = server
        self._options = options
        self._connections = Connections()
        self._at_end: list[Callable[[], object]] = []
        self._last_report = ""
        start = options.starts_at
        clock = StandingClock(start) if options.clock == "virtual" else None
        sids = RandomSids() if options.seed is None else SeededSids(options.seed)
        self.random_seed = options.seed
        self.workspace_sid = server.call(
            lambda it: it.add_workspace(
                friendly_name="Test",
                template=WorkspaceTemplate(options.template),
                multi_task_enabled=options.multi_task_enabled,
                clock=clock,
                sids=sids,
            )
        )
        self._desk = Desk(server, self.workspace_sid, start)
        self._standing = clock
        self.clock = WorkspaceClock(self._desk, clock, self._connections)
        self.faults = WorkspaceFaults(server, self.workspace_sid)
        self._desk.set_up = self._last_event()  # what came until then belongs to its making

    # --- Addresses and credentials ------------------------------------------------------------

    @property
    def rest_url(self) -> str:
        """The base URL of the REST API, without a path."""
        return self._server.call(lambda server: server.rest_url)

    @property
    def eb_server(self) -> str:
        """The event bridge's URL: `eb_server` of `Worker`, `ebServer` of the JavaScript SDK."""
        return self._server.call(lambda server: server.eb_server)

    @property
    def ws_server(self) -> str:
        """The websocket URL: `ws_server` of `Worker`, `wsServer` of the JavaScript SDK."""
        return self._server.call(lambda server: server.ws_server)

    @property
    def account_sid(self) -> str:
        """The account, user name of the REST API."""
        return self._server.call(lambda server: server.account_sid)

    @property
    def auth_token(self) -> str:
        """The account's secret, password of the REST API. It lives as long as the test run."""
        return self._server.call(lambda server: server.auth_token)

    @property
    def signing_key_sid(self) -> str:
        """The API key, issuer of access tokens."""
        return self._server.call(lambda server: server.signing_key_sid)

    @property
    def signing_key_secret(self) -> str:
        """The API key's secret, which signs access tokens."""
        return self._server.call(lambda server: server.signing_key_secret)

    @cached_property
    def client(self) -> Client:
        """The `twilio` library's client, pointed here: ``client.taskrouter.v1.workspaces(workspace_sid)``.

        It blocks, and so does everything of it. It is closed at the end of the test.

        Raises:
            ImportError: the library is not installed.
        """
        try:
            client = import_module("twilio.rest").Client  # no dependency, and slow
            http = import_module("twilio.http.http_client").TwilioHttpClient(timeout=10)
        except ImportError:
            raise ImportError(
                "taskrouter.client needs the twilio library: pip install 'taskrouter-worker[twilio]'"
            ) from None
        http.session.trust_env = False  # no proxy leads to this machine
        made: Client = client(self.account_sid, self.auth_token, http_client=http)
        made.taskrouter.base_url = self.rest_url
        self._at_end.append(http.session.close)
        return made

    # --- Workers with an SDK ------------------------------------------------------------------

    def token(
        self, worker: WorkerHandle | str, *, role: Role | str = Role.WORKER, lifetime: int = 3600
    ) -> str:
        """A token for a worker, as a token endpoint signs it.

        Args:
            worker: the worker that it acts as: handle, SID or name.
            role: worker, supervisor or admin.
            lifetime: seconds from now, by the clock on the wall.

        Raises:
            ValueError: an argument is out of its range.
            LookupError: there is no such worker.
        """
        sid = self._desk.ask(lambda ws: _worker_sid(ws, worker))
        return worker_token(
            account_sid=self.account_sid,
            signing_key_sid=self.signing_key_sid,
            signing_key_secret=self.signing_key_secret,
            workspace_sid=self.workspace_sid,
            worker_sid=sid,
            role=role,
            lifetime=lifetime,
        )

    def access(
        self, worker: WorkerHandle | str, *, role: Role | str = Role.WORKER, lifetime: int = 3600
    ) -> Access:
        """What `Worker`, `SyncWorker` or `Supervisor` need to connect as this worker; as for `token`."""
        return Access(
            token=self.token(worker, role=role, lifetime=lifetime),
            eb_server=self.eb_server,
            ws_server=self.ws_server,
        )

    def sdk_worker(self, worker: WorkerHandle | str, **options: Unpack[WorkerOptions]) -> Worker:
        """The SDK's `Worker`, not yet connected, so that handlers can be registered; see `connect`."""
        made = make(*self._arguments(worker, options))
        self._connections.add(made)
        return made

    def connect(
        self, worker: WorkerHandle | str, **options: Unpack[WorkerOptions]
    ) -> AbstractAsyncContextManager[Worker]:
        """Log a worker in with the SDK: ``async with taskrouter.connect(alice) as worker:``.

        `clock` waits for what it is told, its `error` events fail the test (see `take_errors`), and it is
        disconnected when the test ends, if not before.

        Args:
            worker: handle, SID or name.
            **options: those of `Worker`.

        Raises:
            LookupError: there is no such worker.
            TypeError, ValueError: an option is not right.
        """
        return self._connections.entered(self.sdk_worker(worker, **options))

    def sync_worker(self, worker: WorkerHandle | str, **options: Unpack[WorkerOptions]) -> SyncWorker:
        """The SDK's `SyncWorker`, not yet connected, so that handlers can be registered."""
        made = make_sync(*self._arguments(worker, options))
        self._connections.add(made)
        return made

    def connect_sync(
        self, worker: WorkerHandle | str, **options: Unpack[WorkerOptions]
    ) -> AbstractContextManager[SyncWorker]:
        """As `connect`, for plain tests: ``with taskrouter.connect_sync(alice) as worker:``."""
        return self._connections.entered_sync(self.sync_worker(worker, **options))

    def watch(self, worker: Worker | SyncWorker, *, processes_events: bool = True) -> None:
        """Look after a worker that the application under test made, as after those of `connect`.

        Args:
            worker: the SDK's, made with `access`.
            processes_events: for a `SyncWorker`: whether `clock` calls its handlers by `process_events`.
                False where the application does that, or gave it a function `deliver`.
        """
        self._connections.add(worker, processes_events=processes_events)

    def take_errors(self) -> list[TaskRouterError]:
        """The `error` events of the SDK's workers until now. Those that are not taken fail the test."""
        return self._connections.take_errors()

    def _arguments(
        self, worker: WorkerHandle | str, options: WorkerOptions
    ) -> tuple[str | None, WorkerOptions]:
        """The token, unless a provider is among the options, and all options."""
        here: WorkerOptions = {"eb_server": self.eb_server, "ws_server": self.ws_server, "proxy": None}
        return None if "token_provider" in options else self.token(worker), {**here, **options}

    def expire_token(self, worker: WorkerHandle | str) -> None:
        """The tokens with which a worker is connected count as expired from now on.

        Its sessions are closed with 4408, whatever the clocks show.

        Raises:
            LookupError: there is no such worker.
        """
        self.faults.expire_token(worker_sid=self._desk.ask(lambda ws: _worker_sid(ws, worker)))

    # --- State --------------------------------------------------------------------------------

    def seed(self, document: SeedDocument | str) -> None:
        """Set the workspace up by a seed: a file (YAML, TOML or JSON), or the same as a dict.

        It replaces what is there. Handles by name then: ``taskrouter.assert_activity("Alice", "Available")``.

        Args:
            document: a file's path, or what would be in it, describing one workspace. See docs/state.md.

        Raises:
            SeedError: something is wrong with it; every problem is told, nothing was changed.
            DomainError: it describes several workspaces, or none.
            OSError: the file cannot be read.
        """
        given: SeedDocument = Path(document) if isinstance(document, str) else document
        self._desk.reach(lambda server: server.seed_workspace(self.workspace_sid, given))
        self._desk.set_up = self._last_event()

    def snapshot(self) -> Snapshot:
        """The state of the workspace and of its clock as they are now, for `restore`."""
        document = self._server.call(lambda server: server.export_state(self.workspace_sid))
        moment = None if self._standing is None else self._standing.now()
        return Snapshot(document, moment, self.workspace_sid)

    def restore(self, snapshot: Snapshot) -> None:
        """Set the workspace back to a snapshot of it; a virtual clock shows the time of then.

        Sessions are closed with 1012 and come back by themselves; but a client that has seen later versions
        may not believe the earlier ones, so connect it anew. The event history begins anew as well.

        Raises:
            ValueError: the snapshot is not of this workspace.
        """

        def put_back(server: StubServer) -> None:
            if self._standing is not None and snapshot.moment is not None:
                self._standing.turn_back(snapshot.moment)
            server.import_state(snapshot.document)

        if snapshot.workspace_sid != self.workspace_sid:
            raise ValueError(f"the snapshot is of {snapshot.workspace_sid}, not of {self.workspace_sid}")
        self._server.call(put_back)
        self._desk.set_up = 0

    # --- Anything else ------------------------------------------------------------------------

    def run(self, command: Callable[[Workspace], T]) -> T:
        """Carry out a command of the domain in the server's thread, with all that follows from it.

        For what the factories do not offer. Return plain values: entities belong to that thread.

        Raises:
            DomainError: it was refused.
        """
        return self._desk.do(command)

    def events(self) -> list[str]:
        """What happened in the workspace since it was set up, a line each, without tokens and attributes."""
        history = self._desk.since_set_up()
        return event_lines(history, self._desk.start, limit=len(history))

    def report(self) -> str:
        """The seed, the clock and the last events: what the report of a failed test shows."""
        if not self._desk.is_open:
            return self._last_report
        number = self.random_seed
        seed = "" if number is None else f", seed {number} (again with --taskrouter-seed={number})"
        try:
            clock = f"clock {self._options.clock}, {self.clock.elapsed:.3f} s after its start"
        except NotFound:
            clock = "it was deleted"  # over REST, or with everything else by a reset of the server
        lines = [f"workspace {self.workspace_sid}{seed}; {clock}"]
        lines += event_lines(self._desk.since_set_up(), self._desk.start)
        if failed := callback_lines(self._desk):
            lines += ["", "callbacks that failed:", *failed]
        if errors := self._connections.describe_errors():
            lines += ["", "errors of the SDK's workers:", errors]
        return "\n".join(lines)

    def _last_event(self) -> int:
        """The number of the last event, 0 for none."""
        history = self._desk.history()
        return history[-1].seq if history else 0

    def error_report(self) -> str:
        """The `error` events that fail the test, as text; empty if there are none."""
        return "" if self._options.allow_errors else self._connections.describe_errors()

    # --- Life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Disconnect who is still connected, close all sessions, and forget the workspace. Idempotent."""
        if not self._desk.is_open:
            return
        try:
            self._connections.close()
        finally:
            for end in self._at_end:
                end()
            self._last_report = self.report()
            self._desk.is_open = False
            with suppress(NotFound):  # somebody deleted it
                self._server.call(lambda server: server.delete_workspace(self.workspace_sid))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TaskRouter {self.workspace_sid}>"


def _worker_sid(workspace: Workspace, worker: WorkerHandle | str) -> str:
    return find(workspace.workers, worker, "worker", lambda one: one.friendly_name).sid
