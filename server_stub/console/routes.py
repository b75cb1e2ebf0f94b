"""The console: a page that shows what goes on in this server, and lets people take part.

Below ``/console``: the page and its files, which hold nothing of anybody; ``/console/session``, see
`access`; ``/console/live``, what happens, as server-sent events; ``/console/clock``; and below
``/console/api`` the REST API and parts of ``/stub`` once more, for a session instead of a password, and
without the faults and the rate limit that are meant for clients. Our choice: TaskRouter has its own page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any, Final, cast

from aiohttp import web

from server_stub.chronicle import Chronicle
from server_stub.clocks import HandClock, StandingClock
from server_stub.domain.errors import NotFound
from server_stub.domain.events import Event
from server_stub.domain.workspace import Workspace
from server_stub.faults import Faults
from server_stub.limits import RateLimit
from server_stub.parameters import Param, flag, read_params, text
from server_stub.replies import REQUEST_TIMEOUT, ApiError, json_response, method_not_allowed, read_body
from server_stub.rest.door import Rest
from server_stub.runtime import InternalError, Runtime
from server_stub.sessions import Sessions
from server_stub.tokens import Credentials

from .access import PRIVATE, Access
from .feed import MAX_FEEDS, Direction, Feeds

__all__ = ["API", "Console"]

API: Final = "/console/api"

MAX_BODY: Final = 4_096
"""Longest body of a request to the clock, in bytes."""

LONGEST_STEP: Final = 7 * 86_400.0
"""How far time is moved on at once, in seconds: each deadline on the way is carried out before the answer."""

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
"""With Trusted Types and no policy, a browser refuses to make elements of text altogether."""

_LIVE: Final = (Param("Workspace", text), Param("Once", flag))
_CLOCK: Final = (Param("Workspace", text),)

Routes = Callable[[web.UrlDispatcher, Callable[[web.Request], None]], None]
"""Registers the addresses of further doors, with the guard that they are to ask."""


class Console:
    """Serves the page, and what it asks for.

    Args:
        runtime: the workspaces.
        credentials: the account's and the API key's.
        chronicle: what happened: events and statistics.
        sessions: who is connected.
        check_origin: refuses other host names and pages of other sites.
        authenticate: refuses a header `Authorization` without the server's credentials.
        clock: the workspaces' time, where it can be stopped; None where it cannot.
        routes: registers the parts of ``/stub`` that the page uses.
        observe: called with a function that wants to be told of events, and whether it still does.
        default_workspace: the SID of the workspace that is shown first.
        port: where the server listens.
        secure: whether it speaks TLS.
        max_body: longest form of the REST API, in bytes.
        version: of this program.
    """

    def __init__(
        self,
        runtime: Runtime,
        credentials: Credentials,
        chronicle: Chronicle,
        sessions: Sessions,
        *,
        check_origin: Callable[[web.Request], None],
        authenticate: Callable[[str], None],
        clock: HandClock | None,
        routes: Routes,
        observe: Callable[[Callable[[Workspace, Sequence[Event]], None], bool], None],
        default_workspace: Callable[[], str],
        port: Callable[[], int],
        secure: bool,
        max_body: int,
        version: str,
    ) -> None:
        self.access = Access(
            credentials, check_origin=check_origin, authenticate=authenticate, port=port, secure=secure
        )
        self._runtime = runtime
        self._sessions = sessions
        self._clock = clock
        self._standing: dict[str, StandingClock] = {}
        self._routes = routes
        self._observe = observe
        self._default_workspace = default_workspace
        self._version = version
        pair = f"{credentials.account_sid}:{credentials.auth_token}".encode()
        self._basic = f"Basic {base64.b64encode(pair).decode()}"
        # A door of its own: what tests do to clients, faults and limits, is not meant for this page.
        self._rest = Rest(
            runtime, credentials, faults=Faults(), chronicle=chronicle, rate=RateLimit(0), max_body=max_body
        )
        self.feeds = Feeds(
            runtime, chronicle, sessions=sessions.count_of, about=self._about, watch=self._watch
        )
        self._files: dict[str, tuple[bytes, str, str]] = {}

    @property
    def is_watched(self) -> bool:
        """Whether a page is open."""
        return len(self.feeds) > 0

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the addresses."""
        router.add_route("*", "/console", self.page)
        router.add_route("*", "/console/session", self.access.session)
        router.add_route("*", "/console/live", self.live)
        router.add_route("*", "/console/clock", self.clock)
        router.add_route("*", "/console/{file:[a-z_]+\\.[a-z]+}", self.file)

    def api(self, request_timeout: float) -> web.Application:
        """The doors of the page, to be added below `API`."""
        app = web.Application()
        app[REQUEST_TIMEOUT] = request_timeout
        app.on_response_prepare.append(_keep_private)
        app.router.add_route("*", "/v1/Workspaces", self._handle_rest)
        app.router.add_route("*", "/v1/Workspaces/{path:.*}", self._handle_rest)
        self._routes(app.router, self.access.admit)
        return app

    def stands(self, workspace_sid: str, clock: StandingClock) -> None:
        """A workspace has a time of its own, which is moved by hand."""
        self._standing[workspace_sid] = clock

    def forget(self, workspace_sid: str) -> None:
        """A workspace was deleted."""
        self._standing.pop(workspace_sid, None)
        self.feeds.replaced(workspace_sid)

    # --- The page -----------------------------------------------------------------------------

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page itself, for everybody: it holds nothing, and asks who is there."""
        return self._file(request, "index.html")

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file of the page."""
        return self._file(request, request.match_info["file"])

    def _file(self, request: web.Request, name: str) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed(request.method, "GET")
        if name == "index.html":
            self._check_visit(request)
        else:
            self.access.check_page(request)
        if name not in self._files:
            kind = _TYPES.get(PurePosixPath(name).suffix)
            file = files("server_stub.console").joinpath("web", name)
            if kind is None or not file.is_file():
                raise ApiError(404, f"The requested resource /console/{name} was not found")
            content = file.read_bytes()
            self._files[name] = content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        content, kind, tag = self._files[name]
        headers = {**_HEADERS, "ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)

    def _check_visit(self, request: web.Request) -> None:
        """Links on other sites may lead here: what is shown then cannot be read or framed by them."""
        if request.headers.get("Sec-Fetch-Mode") == "navigate" and "Origin" not in request.headers:
            self.access.check_host(request)
        else:
            self.access.check_page(request)

    # --- What happens -------------------------------------------------------------------------

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Everything that ``?Workspace=`` holds, then what changes, as server-sent events.

        ``?Once=true`` ends after everything was told.
        """
        self.access.admit(request)
        if request.method != "GET":
            raise method_not_allowed(request.method, "GET")
        args = read_params(_LIVE, list(request.query.items()))
        workspace = self._workspace(args.get("workspace") or self._default_workspace())
        if len(self.feeds) >= MAX_FEEDS:
            raise ApiError(429, f"{MAX_FEEDS} pages look at this server, which is the limit: close one")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **PRIVATE})
        await response.prepare(request)
        try:
            await self.feeds.serve(workspace.sid, response.write, once=bool(args.get("once")))
            await response.write_eof()
        except ConnectionError:
            pass  # the page is gone
        return response

    def publish(self, workspace: Workspace, events: Sequence[Event]) -> None:
        """Note the events of one command. Not called while no page is open."""
        self.feeds.publish(workspace, events)

    def exchanged(self, request: bytes, status: int, answer: bytes) -> None:
        """Show a request of the event bridge, without its token, and its answer."""
        try:
            envelope: object = json.loads(request)
        except (ValueError, RecursionError):
            return
        if not isinstance(envelope, dict):
            return
        given = cast("dict[str, object]", envelope)
        given.pop("token", None)
        path = str(given.get("url", "")).split("/")
        workspace_sid = next((part for part in path if part in self._runtime.account.workspaces), None)
        if workspace_sid is None:
            return
        workers = self._runtime.account.workspaces[workspace_sid].workers
        worker_sid = next((part for part in path if part in workers), None)
        title = f"{given.get('method')} {'/'.join(path[2:])}"
        self.feeds.add("request", workspace_sid, worker_sid, None, title, json.dumps(given.get("params")))
        shown = answer.decode(errors="replace")
        self.feeds.add("answer", workspace_sid, worker_sid, None, f"{status} {title}", shown)

    def _watch(self, on: bool) -> None:
        self._observe(self.publish, on)
        self._sessions.tap = self._tapped if on else None

    def _tapped(
        self, direction: Direction, workspace_sid: str, worker_sid: str, session: int, data: bytes
    ) -> None:
        self.feeds.frame(direction, workspace_sid, worker_sid, session, data)

    def _about(self, workspace_sid: str) -> dict[str, object]:
        workspaces = self._runtime.account.workspaces.values()
        return {
            "version": self._version,
            "account": self._runtime.account.sid,
            "workspaces": [[ws.sid, ws.friendly_name] for ws in workspaces],
            "clock": self._clock_state(workspace_sid),
            "sessions": len(self._sessions),
        }

    # --- Time ---------------------------------------------------------------------------------

    def _clock_state(self, workspace_sid: str) -> dict[str, object]:
        if workspace_sid in self._standing:
            return {"kind": "standing", "stopped": True}
        if self._clock is not None:
            return {"kind": "hand", "stopped": self._clock.is_stopped}
        return {"kind": "machine", "stopped": False}

    async def clock(self, request: web.Request) -> web.StreamResponse:
        """GET tells the time of ``?Workspace=``; POST stops it, starts it, or moves it on.

        The body is ``{"action": "stop"}``, ``{"action": "start"}``, or
        ``{"action": "advance", "seconds": 30}``, with seconds of the workspace's time.
        """
        self.access.admit(request)
        args = read_params(_CLOCK, list(request.query.items()))
        workspace = self._workspace(args.get("workspace") or self._default_workspace())
        if request.method == "POST":
            try:
                self._turn(workspace, await _object(request))
            except InternalError as error:
                raise ApiError(500, str(error)) from None
            self.feeds.time_moved()
        elif request.method not in ("GET", "HEAD"):
            raise method_not_allowed(request.method, "GET", "POST")
        now = self._workspace(workspace.sid).now()
        response = json_response({"now": now, **self._clock_state(workspace.sid)})
        response.headers.update(PRIVATE)
        return response

    def _turn(self, workspace: Workspace, body: dict[str, Any]) -> None:
        action = body.get("action")
        if action not in ("stop", "start", "advance"):
            raise ApiError(400, "action must be stop, start or advance")
        standing, clock = self._standing.get(workspace.sid), self._clock
        if standing is not None:
            if action != "advance":
                raise ApiError(409, "The time of this workspace stands still: only advance moves it")
            self._runtime.advance([workspace], standing, standing.now() + _seconds(body.get("seconds")))
            return
        if clock is None:
            raise ApiError(
                409,
                "This server keeps the machine's time. Start it with `taskrouter-stub serve`, whose clock "
                "can be stopped, or give the workspace a StandingClock",
            )
        others = [ws for ws in self._runtime.account.workspaces.values() if ws.sid not in self._standing]
        if action == "advance":
            seconds = _seconds(body.get("seconds"))
            with clock.held():  # so that each deadline on the way comes at exactly its own moment
                self._runtime.advance(others, clock, clock.now() + seconds)
        elif action == "stop":
            clock.stop()
            for each in others:
                self._runtime.stand_still(each)
        else:
            clock.go_on()
            for each in others:
                self._runtime.go_on(each)

    # --- The REST API, for a session ----------------------------------------------------------

    async def _handle_rest(self, request: web.Request) -> web.StreamResponse:
        self.access.admit(request)
        headers = {**request.headers, "Authorization": self._basic}
        inner = request.clone(rel_url=str(request.rel_url).removeprefix(API), headers=headers)
        return await self._rest.handle(inner)

    def _workspace(self, sid: str) -> Workspace:
        try:
            return self._runtime.workspace(sid)
        except NotFound as error:
            raise ApiError(404, str(error)) from None


async def _keep_private(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(PRIVATE)


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body: object = json.loads(await read_body(request, MAX_BODY))
    except (ValueError, RecursionError):
        raise ApiError(400, "The body must be a JSON object") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object")
    return cast("dict[str, Any]", body)


def _seconds(value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 < value <= LONGEST_STEP
    ):
        raise ApiError(
            400, f"seconds must be a number above 0 and up to {LONGEST_STEP:g}, got {str(value)[:40]!r}"
        )
    return float(value)
