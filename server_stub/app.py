"""The whole server: the only place that builds clock, SIDs, account, runtime and adapters."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from taskrouter_worker.clock import Clock, SystemClock
from taskrouter_worker.terms import Role, SidPrefix, WorkspaceTemplate, is_sid
from taskrouter_worker.tokens import worker_token

from .callbacks import Callbacks, is_loopback
from .chronicle import Chronicle
from .deliveries import Deliveries
from .domain.events import Event
from .domain.model import Limits
from .domain.telephony import StatusCallback
from .domain.workspace import Workspace
from .event_bridge import EventBridge
from .faults import Faults
from .ids import RandomSids, SeededSids
from .inspection import Inspection
from .replies import CORS, ApiError, error_response, json_response, method_not_allowed
from .rest import MAX_BODY, Rest
from .runtime import Publish, PublishCallbacks, Runtime
from .sessions import Sessions
from .store import Account
from .switchboard import Switchboard
from .tokens import MAX_TOKEN, Credentials, Tokens

__all__ = ["Settings", "StubServer"]

T = TypeVar("T")

BRIDGE_PATH: Final = "/v1/wschannels"

MAX_HEADER: Final = MAX_TOKEN + 1_024
"""Longest request line or header in bytes: the websocket's address holds a whole token."""

SHUTDOWN_SECONDS: Final = 0.5
"""How long requests in flight may take once the server stops."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the server is set up. Every default suits a test; credentials are made where None.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        account_sid, auth_token: the account; the token signs capability tokens too.
        signing_key_sid, signing_key_secret: the API key, which signs access tokens.
        settle_ms: milliseconds between an answer and the events that its command caused.
        heartbeat_seconds: each websocket gets a text frame at least this often.
        offline_grace_ms: milliseconds before a worker without a session goes offline.
        allowed_hosts: further host names under which `/stub` may be reached.
        callback_hosts: hosts beside this machine that callbacks may be sent to.
        tls_cert, tls_key: PEM files; both or neither.
        limits: TaskRouter's limits and timers.
        seed: makes SIDs repeatable.
        max_sessions_per_worker: websockets of one worker at a time.
        max_waiting_frames: frames that may wait for a slow websocket before it is closed.

    Raises:
        ValueError: a value is out of its range, or would expose the server with generated credentials.
    """

    host: str = "127.0.0.1"
    port: int = 8300
    account_sid: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    signing_key_sid: str | None = None
    signing_key_secret: str | None = field(default=None, repr=False)
    settle_ms: float = 20
    heartbeat_seconds: float = 15
    offline_grace_ms: float = 0
    allowed_hosts: Sequence[str] = ()
    callback_hosts: Sequence[str] = ()
    tls_cert: str | Path | None = None
    tls_key: str | Path | None = None
    limits: Limits = field(default_factory=Limits)
    seed: int | None = None
    max_sessions_per_worker: int = 64
    max_waiting_frames: int = 1_000

    def __post_init__(self) -> None:
        for name, value, prefix in (
            ("account_sid", self.account_sid, SidPrefix.ACCOUNT),
            ("signing_key_sid", self.signing_key_sid, SidPrefix.API_KEY),
        ):
            if value is not None and not is_sid(value, prefix):
                raise ValueError(f"{name} must be {prefix} and 32 hexadecimal digits, got {value!r}")
        for name, secret in (
            ("auth_token", self.auth_token),
            ("signing_key_secret", self.signing_key_secret),
        ):
            if secret is not None and not secret:
                raise ValueError(f"{name} must not be empty")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must be 0 to 65535, got {self.port}")
        if self.settle_ms < 0 or self.offline_grace_ms < 0:
            raise ValueError("settle_ms and offline_grace_ms must be 0 or more")
        if self.heartbeat_seconds <= 0:
            raise ValueError(f"heartbeat_seconds must be more than 0, got {self.heartbeat_seconds}")
        if self.max_sessions_per_worker < 1 or self.max_waiting_frames < 1:
            raise ValueError("max_sessions_per_worker and max_waiting_frames must be 1 or more")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both or neither")
        if not is_loopback(self.host) and (self.auth_token is None or self.signing_key_secret is None):
            raise ValueError(
                f"host {self.host!r} is reachable from other machines: give auth_token and "
                "signing_key_secret explicitly, or listen on 127.0.0.1"
            )


class StubServer:
    """A local TaskRouter. Use it as an async context manager, or call `start` and `stop`.

    Args:
        settings: how it is set up.
        clock: the time of the workspaces: timeouts, dates, retention. Where it is turned by hand,
            `tick` carries out what became due.
        token_clock: the time by which tokens expire; the system's unless given.

    Attributes:
        faults: switches for tests.
        account: the workspaces by SID, in `account.workspaces`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        token_clock: Clock | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        clock = clock or SystemClock()
        token_clock = token_clock or SystemClock()
        sids = RandomSids() if settings.seed is None else SeededSids(settings.seed)
        self._credentials = Credentials(
            account_sid=settings.account_sid or sids(SidPrefix.ACCOUNT),
            auth_token=settings.auth_token or secrets.token_hex(32),
            signing_key_sid=settings.signing_key_sid or sids(SidPrefix.API_KEY),
            signing_key_secret=settings.signing_key_secret or secrets.token_hex(32),
        )
        self.faults = Faults()
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
        tokens = Tokens(self._credentials, token_clock)
        self._sessions = Sessions(
            self._runtime,
            tokens,
            clock=token_clock,
            faults=self.faults,
            heartbeat_seconds=settings.heartbeat_seconds,
            offline_grace=settings.offline_grace_ms / 1000,
            max_frames=settings.max_waiting_frames,
            max_per_worker=settings.max_sessions_per_worker,
        )
        self._bridge = EventBridge(
            self._runtime,
            tokens,
            self._sessions,
            faults=self.faults,
            settle=settings.settle_ms / 1000,
            acting=self._chronicle.acting,
        )
        self._rest = Rest(self._runtime, self._credentials, faults=self.faults, chronicle=self._chronicle)
        self._callbacks = Callbacks(
            self._runtime, auth_token=self._credentials.auth_token, hosts=settings.callback_hosts
        )
        self._inspection = Inspection(self._runtime, self._callbacks.deliveries, guard=self._check_caller)
        self._switchboard = Switchboard(self._runtime, guard=self._check_caller)
        self._default = self.account.create_workspace(
            friendly_name="Default Workspace", template=WorkspaceTemplate.FIFO
        )
        self._runner: web.AppRunner | None = None
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
        """The default workspace, made from the FIFO template."""
        return self._default.sid

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
        """
        if self._runner is not None:
            raise RuntimeError("the server runs already")
        settings = self.settings
        tls = None
        if settings.tls_cert is not None and settings.tls_key is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.minimum_version = ssl.TLSVersion.TLSv1_2  # the JavaScript SDK 2.x speaks nothing newer
            _load(tls, settings.tls_cert, settings.tls_key)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=4_096)
        try:
            self._port = listener.getsockname()[1]
            runner = await self._begin()
            await web.SockSite(runner, listener, ssl_context=tls, backlog=4_096).start()
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
        runner = await self._begin()
        server = runner.server
        if server is None:  # set up a moment ago
            raise RuntimeError("aiohttp made no server")
        return server

    async def _begin(self) -> web.AppRunner:
        runner = web.AppRunner(
            self._app(),
            access_log=None,  # it would show tokens: they are in the websocket's address
            logger=_quiet_logger(),
            shutdown_timeout=SHUTDOWN_SECONDS,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
        )
        await runner.setup()
        self._runner = runner
        await self._callbacks.open()
        self._sessions.open()
        self._runtime.open()
        self._runtime.adopt(self._default)
        return runner

    async def stop(self) -> None:
        """Close every session with 1001, then everything else. Takes two seconds at most; idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        await self._sessions.close()
        await runner.cleanup()
        self._runtime.close()
        await self._callbacks.close()
        log.info("stopped")

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

    def tick(self) -> None:
        """Carry out every deadline that is due by the clock, for tests that turn it by hand."""
        self._runtime.tick()

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

    def _forget(self, workspace: Workspace) -> None:
        self._chronicle.forget(workspace)
        self._sessions.close_workspace(workspace)
        self._callbacks.forget(workspace)

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[_as_json], client_max_size=MAX_BODY)
        app.router.add_route("*", BRIDGE_PATH, self._handle_bridge)
        app.router.add_route("*", "/v1/Workspaces", self._rest.handle)
        app.router.add_route("*", "/v1/Workspaces/{path:.*}", self._rest.handle)
        app.router.add_route("*", "/stub/health", self._handle_health)
        self._inspection.add_to(app.router)
        self._switchboard.add_to(app.router)
        return app

    async def _handle_bridge(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._sessions.handle(request)
        return await self._bridge.handle(request)

    async def _handle_health(self, request: web.Request) -> web.StreamResponse:
        self._check_origin(request)
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
        self._check_origin(request)
        self._rest.authenticate(request.headers.get("Authorization", ""))

    def _check_origin(self, request: web.Request) -> None:
        """Pages of other sites must not reach `/stub`, nor other names for it: browsers keep credentials."""
        allowed = {"localhost", "127.0.0.1", "::1", self.settings.host.lower()}
        allowed.update(host.lower() for host in self.settings.allowed_hosts)
        origin = request.headers.get("Origin")
        if _hostname(f"//{request.host}") not in allowed:
            raise ApiError(
                403, "This host name is not allowed: start the server with --allowed-host to add it"
            )
        if origin is not None and _hostname(origin) not in allowed:
            raise ApiError(403, "Pages of this origin are not allowed here")


@web.middleware
async def _as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every refusal is a JSON object, also those that aiohttp makes and those that are our defects."""
    headers = CORS if request.path == BRIDGE_PATH else None
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error, headers=headers)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        message = (
            f"The requested resource {request.path.removeprefix('/v1')} was not found"
            if error.status == 404
            else error.reason
        )
        return error_response(ApiError(error.status, message), headers=headers)
    except ConnectionError:
        raise  # the client is gone: aiohttp knows what to do
    except Exception as error:  # noqa: BLE001 - a defect in one request must not look like a broken connection
        where = "".join(traceback.format_tb(error.__traceback__))
        # Not its text: it may quote a token.
        log.error("a request broke: %s\n%s", type(error).__name__, where)  # noqa: TRY400
        return error_response(ApiError(500, "The server failed to carry out the request"), headers=headers)


def _version() -> str:
    try:
        return version("taskrouter-worker")
    except PackageNotFoundError:
        return "unknown"  # run from a source tree that was never installed


def _load(context: ssl.SSLContext, certificate: str | Path, key: str | Path) -> None:
    for file in (certificate, key):
        Path(file).read_bytes()  # unlike load_cert_chain's, this error names the file
    context.load_cert_chain(certificate, key)


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


class _WithoutDetails(logging.Filter):
    """aiohttp logs exceptions whose text quotes what it could not read, tokens included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            kind = record.exc_info[0]
            record.msg, record.args = f"{record.getMessage()}: {kind.__name__ if kind else 'unknown'}", None
            record.exc_info = None
            record.exc_text = None
        return True


def _quiet_logger() -> logging.Logger:
    logger = logging.getLogger("server_stub.http")
    if not any(isinstance(f, _WithoutDetails) for f in logger.filters):
        logger.addFilter(_WithoutDetails())
    return logger
