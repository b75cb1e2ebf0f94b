"""Replaying: a peer that plays the server's side of a recording to any client."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

import jwt
from aiohttp import WSMsgType, web

from server_stub.front import check_handshake, quiet_logger, refuse_compressed
from server_stub.replies import CORS, ApiError, error_response, read_body
from server_stub.settings import BRIDGE_PATH
from taskrouter_worker.recording import (
    Answer,
    Closed,
    Frame,
    Line,
    Opened,
    Recording,
    Refused,
    Request,
    bearer_of,
)

from .script import Act, ReplayMismatchError, Script, scripts_of

__all__ = ["Pace", "ReplayMismatchError", "ReplayServer"]

MAX_HEADER: Final = 17_408
"""Longest request line in bytes: the websocket's address holds a whole token."""

MAX_BODY: Final = 262_144
HEARTBEAT_SECONDS: Final = 15.0
CLOSE_SECONDS: Final = 1.0

PATIENCE_SECONDS: Final = 1.0
"""After this long without the act that is next, reads that wait behind it are answered anyway: other
clients ask one after the other what the recorded one asked at once."""

BURST_SECONDS: Final = 0.001
"""Frames less than this apart belong together: they are written without a pause."""

NO_CODE: Final = 1005
"""What clients call the code of a close frame that has none (RFC 6455); it must not be sent."""

CODES: Final = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))
"""Codes that a close frame may have (RFC 6455). A websocket that ended with any other one was cut."""

Pace = Literal["recorded", "fast"]

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Pending:
    """A request that waits for its place."""

    answer: asyncio.Future[Answer]
    written: asyncio.Event


class ReplayServer:
    """Plays a recording. Use it as an async context manager; then connect a client to it.

    The client's requests and websockets are matched with the recorded ones, and it gets the recorded
    answers, frames and closings at their recorded places. No token is checked.

    Args:
        recording: from `read_recording`.
        host, port: where it listens; port 0 takes a free one.
        pace: ``recorded`` keeps the times between the lines, ``fast`` cuts them to `settle`.
        settle: where it is fast, the longest pause in seconds. It lets a client react to one thing before
            the next, and is the pause between an answer and a frame, which travel on different sockets.
        patience: seconds without the next thing that the client should do, after which the replay ends
            as a mismatch. Where the pace is recorded, the recorded time comes on top.

    Raises:
        ValueError: the recording holds no session.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        pace: Pace = "fast",
        settle: float = 0.02,
        patience: float = 60.0,
    ) -> None:
        self.recording = recording
        self._host = host
        self._port = port
        self.pace = pace
        self.settle = settle
        self.patience = patience
        self._scripts = scripts_of(recording)
        self._plays = {worker: _Play(self, script) for worker, script in self._scripts.items()}
        self._handed_out = dict.fromkeys(self._scripts, 0)
        self._runner: web.AppRunner | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        self._stopping = asyncio.Event()
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    @property
    def eb_server(self) -> str:
        """The event bridge's URL: `eb_server` of `Worker`, `ebServer` of the JavaScript SDK."""
        return f"http://{self._host}:{self._port}{BRIDGE_PATH}"

    @property
    def ws_server(self) -> str:
        """The websocket URL: `ws_server` of `Worker`, `wsServer` of the JavaScript SDK."""
        return f"ws://{self._host}:{self._port}{BRIDGE_PATH}"

    @property
    def workers(self) -> list[str]:
        """The SIDs of the recorded workers."""
        return [worker for worker in self._scripts if worker is not None]

    def token(self, worker_sid: str | None = None) -> str:
        """A token in the place of the worker's next recorded one, ending at the same moment.

        Each call stands for the next one; after the last it is given again. The signature is worth
        nothing: only this server takes it. Clients that read the server's time from their token
        (this SDK does) tell what is old by the recorded time.

        Args:
            worker_sid: which one; may be left out if there is only one.

        Raises:
            ValueError: there is no such worker, or it is not clear which is meant.
        """
        if worker_sid is None and len(self._scripts) == 1:
            worker_sid = next(iter(self._scripts))
        tokens = self.tokens(worker_sid)
        number = min(self._handed_out[worker_sid], len(tokens) - 1)
        self._handed_out[worker_sid] += 1
        return tokens[number]

    def tokens(self, worker_sid: str | None) -> list[str]:
        """A token for each one that the worker used in the recording, in that order.

        Raises:
            ValueError: there is no such worker.
        """
        script = self._scripts.get(worker_sid)
        if script is None:
            known = ", ".join(self.workers)
            raise ValueError(f"worker_sid must be one of the recorded workers ({known}), got {worker_sid!r}")
        return [
            _token(script, number, expires_at)
            for number, (_, expires_at) in enumerate(script.tokens() or [(None, None)], 1)
        ]

    async def finished(self) -> None:
        """Wait until everything was played and everything expected has come.

        Raises:
            ReplayMismatchError: the client did something else.
        """
        while not all(play.over for play in self._plays.values()):
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    # --- Life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family)
        self._port = listener.getsockname()[1]
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", BRIDGE_PATH, self._handle)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=quiet_logger(),
            shutdown_timeout=0.1,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            auto_decompress=False,
        )
        try:
            await runner.setup()
            await web.SockSite(runner, listener).start()
        except BaseException:
            listener.close()
            await runner.cleanup()
            raise
        self._runner = runner
        self._start(self._beat())
        for play in self._plays.values():
            self._start(self._run(play))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Close everything."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for ws in list(self._sockets):
            await ws.close(code=1001, message=b"the replay is over")
        if self._runner is not None:
            await self._runner.cleanup()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work, name="replay"))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            for ws in list(self._sockets):
                try:
                    await ws.send_str(" ")
                except ConnectionError:
                    continue  # its handler notices

    async def _run(self, play: _Play) -> None:
        try:
            await play.run()
        except Exception as error:  # noqa: BLE001 - else whoever waits for the end would wait for ever
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """The first mismatch, or whatever else went wrong, is what `finished` tells."""
        if self._failure is None:
            self._failure = error
            log.warning("%s", error)
        self.note()

    def note(self) -> None:
        """Something has come or was played."""
        self._changed.set()

    # --- Doors --------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=CORS)
        try:
            refuse_compressed(request)
            if request.headers.get("Upgrade", "").lower() == "websocket":
                check_handshake(request)
                return await self._websocket(request)
            return await self._request(request)
        except ApiError as error:
            return error_response(error, headers=CORS)

    def _play_of(self, token: str, path: str) -> _Play:
        named = bearer_of(token).worker_sid
        if named not in self._plays:
            named = next((sid for sid in self.workers if sid in path.split("/")), None)
        if named not in self._plays and len(self._plays) == 1:
            named = next(iter(self._plays))
        if named not in self._plays:
            known = ", ".join(self.workers)
            raise ApiError(403, f"The token is for none of the recorded workers: {known}")
        return self._plays[named]

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        play = self._play_of(request.query.get("token", ""), "")
        ws = web.WebSocketResponse(timeout=CLOSE_SECONDS, compress=False)
        try:
            act = play.script.opening()
        except ReplayMismatchError as error:
            self.fail(error)
            await ws.prepare(request)
            # Forbidden, as the local server says it: no client should try again and again.
            await ws.close(code=4403, message=b"the recording has no further websocket")
            return ws
        if isinstance(act.line, Refused):
            play.arrived()
            if act.line.status is None:
                return _cut(request)
            return web.Response(status=act.line.status)
        line = cast("Opened", act.line)
        await ws.prepare(request)
        self._sockets.add(ws)
        play.sockets[line.connection] = (ws, request)
        play.arrived()
        try:
            async for _ in ws:
                pass
        finally:
            self._sockets.discard(ws)
            play.script.left(line.connection)
            play.arrived()
        return ws

    async def _request(self, request: web.Request) -> web.StreamResponse:
        method, path, params, token = _envelope(await read_body(request, MAX_BODY))
        play = self._play_of(token, path)
        try:
            act = play.script.request(method, path, params)
        except ReplayMismatchError as error:
            self.fail(error)
            # No status that clients repeat a request for.
            raise ApiError(409, str(error)) from None
        pending = _Pending(asyncio.get_running_loop().create_future(), asyncio.Event())
        play.pending[cast("Request", act.line).id] = pending
        play.arrived()
        try:
            answer = await pending.answer
            if answer.failed == "network":
                return _cut(request)
            if answer.failed is not None:
                pending.written.set()
                await self._stopping.wait()  # the client gave up waiting: let it
                return _cut(request)
            response = _response(answer)
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            return _cut(request)  # gone before its answer
        finally:
            pending.written.set()
        return response


class _Play:
    """One worker's script, being played."""

    def __init__(self, server: ReplayServer, script: Script) -> None:
        self.script = script
        self.sockets: dict[int, tuple[web.WebSocketResponse, web.Request]] = {}
        self.pending: dict[int, _Pending] = {}
        self.over = False
        self._server = server
        self._arrival = asyncio.Event()

    def arrived(self) -> None:
        """The client did something."""
        self._arrival.set()
        self._server.note()

    async def run(self) -> None:
        """Play it to its end."""
        before: Line | None = None
        last: Line | None = None  # that the server played
        for act in self.script.acts:
            if act.is_the_clients:
                if not await self._await(act, act.line.t - (before.t if before else 0.0)):
                    return
            elif not act.done and _is_played(act.line):
                await self._pause(act.line, before, last)
                await self._play(act)
                last = act.line
            before = act.line
        self.over = True
        self._server.note()

    async def _await(self, act: Act, recorded: float) -> bool:
        loop = asyncio.get_running_loop()
        limit = self._server.patience + (recorded if self._server.pace == "recorded" else 0.0)
        deadline = loop.time() + limit
        while not act.done:
            self._arrival.clear()
            try:
                async with asyncio.timeout(min(PATIENCE_SECONDS, max(0.0, deadline - loop.time()))):
                    await self._arrival.wait()
                continue
            except TimeoutError:
                pass
            waiting = self.script.readable(act)
            if waiting is not None:
                await self._play(waiting)
            elif isinstance(act.line, Closed):
                return True  # a client may keep what the recorded one closed
            elif loop.time() >= deadline:
                self._server.fail(self.script.mismatch(""))
                return False
        return True

    async def _pause(self, line: Line, before: Line | None, last: Line | None) -> None:
        recorded = line.t - (before.t if before else 0.0)
        if self._server.pace == "recorded":
            await asyncio.sleep(recorded)
        elif last is not None and isinstance(line, Answer) != isinstance(last, Answer):
            await asyncio.sleep(self._server.settle)  # they travel on different sockets
        elif recorded >= BURST_SECONDS:
            await asyncio.sleep(min(recorded, self._server.settle))

    async def _play(self, act: Act) -> None:
        act.done = True
        line = act.line
        try:
            match line:
                case Answer():
                    pending = self.pending.pop(line.id, None)
                    if pending is not None and not pending.answer.done():
                        pending.answer.set_result(line)
                        await pending.written.wait()
                case Frame() if line.connection in self.sockets:
                    await self.sockets[line.connection][0].send_str(_frame_text(line))
                case Closed() if line.connection in self.sockets:
                    ws, request = self.sockets[line.connection]
                    if line.by == "server" and line.code == NO_CODE:
                        await ws.send_frame(b"", WSMsgType.CLOSE)
                    elif line.by == "server" and (line.code is None or line.code in CODES):
                        await ws.close(code=line.code or 1000, message=_reason(line))
                    elif request.transport is not None:
                        request.transport.close()  # what was written before still goes out
                case _:
                    pass
        except ConnectionError:
            log.info("line %d was for a client that had gone", act.number)


def _token(script: Script, number: int, expires_at: float | None) -> str:
    grant = {"workspace_sid": script.workspace_sid, "worker_sid": script.worker_sid, "role": "worker"}
    claims: dict[str, object] = {"jti": f"replay-{number}", "grants": {"task_router": grant}}
    if expires_at is not None:
        claims["exp"] = int(expires_at)
    return jwt.encode(claims, secrets.token_hex(32), algorithm="HS256")


def _is_played(line: Line) -> bool:
    return (
        isinstance(line, Answer)
        or (isinstance(line, Frame) and not line.heartbeat and line.direction == "to client")
        or (isinstance(line, Closed) and line.by != "client")
    )


def _frame_text(line: Frame) -> str:
    if line.not_json is not None:
        return "this frame was not JSON"
    frame: dict[str, object] = {} if line.event_type is None else {"event_type": line.event_type}
    return json.dumps({**frame, "payload": line.payload})


def _reason(line: Closed) -> bytes:
    """As much of the reason as a close frame takes, in whole characters."""
    return line.reason.encode(errors="replace")[:123].decode(errors="ignore").encode()


def _response(answer: Answer) -> web.Response:
    headers = dict(CORS)
    if answer.retry_after is not None:
        headers["Retry-After"] = f"{answer.retry_after:g}"
    if answer.not_json is not None:
        return web.Response(status=answer.status or 200, text="this answer was not JSON", headers=headers)
    text = "" if answer.body is None else json.dumps(answer.body)
    return web.Response(
        status=answer.status or 200, text=text, content_type="application/json", headers=headers
    )


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)  # reaches nobody: the connection is gone


def _envelope(body: bytes) -> tuple[str, str, dict[str, object], str]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    match value:
        case {"url": str(url), "method": str(method), "token": str(token), **rest}:
            params = rest.get("params")
            return method, url, cast("dict[str, object]", params) if isinstance(params, dict) else {}, token
        case _:
            raise ApiError(400, "The body must be a JSON object with the strings url, method and token")
