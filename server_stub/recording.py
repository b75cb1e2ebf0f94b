"""Recording in the local server: what goes over its event bridge, as `taskrouter_worker.recording` has it.

A recording begins with each worker's next websocket: what a worker did on an earlier one cannot be replayed
without its beginning, so it is left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aiohttp import WSMsgType, web

from taskrouter_worker.recording import MAX_LINES, Recorder, bearer_of

from .domain.errors import NotFound
from .parameters import Param, flag, read_params
from .replies import CORS, ApiError, error_response, method_not_allowed, read_body
from .rest.door import read_form
from .runtime import Runtime

__all__ = ["RecordedWebSocket", "RecordingRoutes", "Recordings"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_LINES_KEPT: Final = 50_000
"""Lines of a recording that is kept in memory."""

MAX_FORM: Final = 65_536
"""Longest form that starts a recording, in bytes."""

_START: Final = (Param("RedactAttributes", flag),)


@dataclass(eq=False)
class _Running:
    """A recording that goes on."""

    recorder: Recorder
    workspace_sid: str | None  # None: every workspace
    workers: set[str] = field(default_factory=set[str])  # those with a websocket in it


class Recordings:
    """All recordings of one server.

    Args:
        secrets: what must not appear in any of them.
        max_body: longest body of a request, in bytes.
    """

    def __init__(self, secrets: Sequence[str], *, max_body: int) -> None:
        self._secrets = secrets
        self._max_body = max_body
        self._all: list[_Running] = []

    def start(
        self,
        sink: str | os.PathLike[str] | Callable[[str], object],
        *,
        workspace_sid: str | None,
        redact_attributes: bool,
        max_lines: int = MAX_LINES,
    ) -> Recorder:
        """Begin one; closing the recorder ends it.

        Raises:
            OSError: the file cannot be written.
        """
        recorder = Recorder(
            sink,
            redact_attributes=redact_attributes,
            side="server",
            recorder="taskrouter-stub",
            known=self._secrets,
            max_lines=max_lines,
        )
        self._all.append(_Running(recorder, workspace_sid))
        return recorder

    def close(self) -> None:
        """End all of them."""
        for running in self._all:
            running.recorder.close()
        self._all.clear()

    def websocket(self, request: web.Request, **options: Any) -> web.WebSocketResponse:
        """The websocket that answers this request; `options` are aiohttp's, whatever it takes."""
        if not self._all:
            return web.WebSocketResponse(**options)
        token = request.query.get("token", "")
        bearer = bearer_of(token)
        watched: list[tuple[Recorder, int]] = []
        for running in self._running(bearer.workspace_sid):
            if bearer.worker_sid is not None:
                running.workers.add(bearer.worker_sid)
                number = running.recorder.opened(token, request.query_string, worker=bearer.worker_sid)
                watched.append((running.recorder, number))
        if not watched:
            return web.WebSocketResponse(**options)
        return RecordedWebSocket(watched, bearer.worker_sid, **options)

    async def exchange(self, request: web.Request, handle: Handler) -> web.StreamResponse:
        """Answer a request to the event bridge by `handle`, and record both."""
        if not self._all or request.method != "POST":
            return await handle(request)
        try:
            # As the event bridge reads it, whatever its type says.
            envelope: object = json.loads(await read_body(request, self._max_body))
        except ApiError as error:
            return error_response(error, headers=CORS)  # as the event bridge refuses it
        except (ValueError, RecursionError):
            return await handle(request)
        if not isinstance(envelope, dict):
            return await handle(request)
        given = cast("dict[str, object]", envelope)
        token, params = given.get("token"), given.get("params")
        bearer = bearer_of(token if isinstance(token, str) else "")
        with ExitStack() as stack:
            exchanges = [
                stack.enter_context(
                    running.recorder.request(
                        str(given.get("method")),
                        str(given.get("url")),
                        cast("dict[str, object]", params) if isinstance(params, dict) else {},
                        token=str(token),
                        api_version=request.headers.get("apiVersion", "v1"),
                        if_match=request.headers.get("If-Match"),
                        worker=bearer.worker_sid,
                    )
                )
                for running in self._running(bearer.workspace_sid)
                if bearer.worker_sid in running.workers
            ]
            response = await handle(request)
            connected = request.transport is not None and not request.transport.is_closing()
            if connected and isinstance(response, web.Response):
                body = response.body if isinstance(response.body, bytes | bytearray) else b""
                for exchange in exchanges:
                    exchange.answered(response.status, bytes(body), response.headers.get("Retry-After"))
        return response

    def _running(self, workspace_sid: str | None) -> list[_Running]:
        self._all = [running for running in self._all if not running.recorder.closed]
        return [running for running in self._all if running.workspace_sid in (None, workspace_sid)]


class RecordedWebSocket(web.WebSocketResponse):
    """A websocket that writes down what it sends and how it ends.

    Args:
        watched: recorders, each with its number of this connection.
        worker: whose it is.
        options: aiohttp's.
    """

    def __init__(self, watched: list[tuple[Recorder, int]], worker: str | None, **options: Any) -> None:
        super().__init__(**options)
        self._watched = watched
        self._worker_sid = worker

    async def send_frame(self, message: bytes, opcode: WSMsgType, compress: int | None = None) -> None:
        """Send a frame."""
        if opcode is WSMsgType.TEXT:
            for recorder, number in self._watched:
                recorder.frame(number, message, worker=self._worker_sid)
        await super().send_frame(message, opcode, compress)

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Close it. aiohttp calls this too, to answer the client's closing; then a code is known."""
        if self.close_code is None:
            self._ended("server", code, message.decode(errors="replace"))
        return await super().close(code=code, message=message, drain=drain)

    def left(self) -> None:
        """Its handler is done: if nobody closed it, it was lost."""
        code = self.close_code
        if code is None or code == 1006:
            self._ended(None, None, "")
        else:
            self._ended("client", code, "")

    def _ended(self, by: Any, code: int | None, reason: str) -> None:
        watched, self._watched = self._watched, []
        for recorder, number in watched:
            recorder.closed_connection(number, by=by, code=code, reason=reason, worker=self._worker_sid)


class RecordingRoutes:
    """``/stub/workspaces/{WS}/recording``: POST starts one, GET fetches it, DELETE stops it.

    Args:
        runtime: the workspaces.
        recordings: where it is made.
        guard: refuses, with an ApiError, who may not ask.
    """

    def __init__(
        self, runtime: Runtime, recordings: Recordings, *, guard: Callable[[web.Request], None]
    ) -> None:
        self._runtime = runtime
        self._recordings = recordings
        self._guard = guard
        self._kept: dict[str, tuple[Recorder, list[str]]] = {}  # the last one of each workspace

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the address."""
        router.add_route("*", "/stub/workspaces/{workspace}/recording", self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Start, fetch, or stop. A recording that was stopped is kept until the next one starts."""
        self._guard(request)
        try:
            workspace_sid = self._runtime.workspace(request.match_info["workspace"]).sid
        except NotFound as error:
            raise ApiError(404, str(error)) from None
        self._forget_deleted()
        kept = self._kept.get(workspace_sid)
        match request.method:
            case "POST":
                args = read_params(_START, await read_form(request, MAX_FORM))
                kept = self._kept.get(workspace_sid)  # somebody else may have started one meanwhile
                if kept is not None and not kept[0].closed:
                    raise ApiError(409, "A recording is running: DELETE stops it")
                if workspace_sid not in self._runtime.account.workspaces:
                    raise ApiError(404, f"The workspace {workspace_sid} was deleted meanwhile")
                lines: list[str] = []
                recorder = self._recordings.start(
                    lines.append,
                    workspace_sid=workspace_sid,
                    redact_attributes=bool(args.get("redact_attributes", False)),
                    max_lines=MAX_LINES_KEPT,
                )
                kept = self._kept[workspace_sid] = (recorder, lines)
                return _status(kept, 201)
            case "GET" | "HEAD" | "DELETE":
                if kept is None:
                    raise ApiError(404, "There is no recording: POST starts one")
                if request.method == "DELETE":
                    kept[0].close()
                    return _status(kept, 200)
                text = "".join(f"{line}\n" for line in kept[1])
                return web.Response(text=text, content_type="application/x-ndjson")
            case _:
                raise method_not_allowed(request.method, "GET", "POST", "DELETE")

    def _forget_deleted(self) -> None:
        for sid in self._kept.keys() - self._runtime.account.workspaces.keys():
            self._kept.pop(sid)[0].close()


def _status(kept: tuple[Recorder, list[str]], status: int) -> web.Response:
    recorder, lines = kept
    return web.json_response(
        {"status": "stopped" if recorder.closed else "running", "lines": len(lines)}, status=status
    )
