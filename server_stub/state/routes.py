"""The server's state over HTTP: seed, reset, snapshots, export and import.

Below ``/stub``, with the REST API's credentials. A command line and a console are built on it, and whoever
tests in another language than Python.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from server_stub.domain.errors import DomainError, NotFound
from server_stub.parameters import Param, flag, read_params, text
from server_stub.replies import ApiError, in_time, method_not_allowed
from server_stub.runtime import InternalError
from server_stub.seeding import SeedError, read_source
from server_stub.seeding.source import MAX_BYTES

from .documents import encode_state
from .keeper import StateKeeper

__all__ = ["MAX_STATE", "StateRoutes"]

MAX_STATE: Final = 256 * 1024 * 1024
"""Longest state document that is taken, in bytes: about a hundred thousand workers."""

_SEED: Final = (Param("Name", text, required=True), Param("Check", flag))
_RESET: Final = (Param("Snapshot", text),)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StateRoutes:
    """Sets and tells the state.

    Args:
        keeper: carries it out.
        guard: refuses, with an ApiError, who may not ask.
    """

    def __init__(self, keeper: StateKeeper, *, guard: Callable[[web.Request], None]) -> None:
        self._keeper = keeper
        self._guard = guard

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the addresses."""
        router.add_route("*", "/stub/seed", self._guarded(self.seed))
        for prefix in ("/stub", "/stub/workspaces/{workspace}"):
            router.add_route("*", f"{prefix}/state", self._guarded(self.state))
            router.add_route("*", f"{prefix}/reset", self._guarded(self.reset))
            router.add_route("*", f"{prefix}/snapshots", self._guarded(self.snapshots))
            router.add_route("*", f"{prefix}/snapshots/{{name}}", self._guarded(self.snapshot))

    async def seed(self, request: web.Request) -> web.StreamResponse:
        """Set everything to the seed in the body. ``?Name=`` is its file's name, ``?Check=true`` only tries.

        A seed with something wrong in it is answered with 400 and all ``problems``.
        """
        _allow(request, "POST")
        args = read_params(_SEED, list(request.query.items()))
        body = await _read(request, MAX_BYTES)
        try:
            source = read_source(body, name=args["name"])
            if args.get("check"):
                self._keeper.check(source)
                return _json({"workspaces": []})
            return _json({"workspaces": self._keeper.seed(source)})
        except SeedError as error:
            problems = [msgspec.to_builtins(problem) for problem in error.problems]
            message = f"The seed has {len(problems)} problems; nothing was changed. {error.problems[0]}"
            raise ApiError(400, message, details={"problems": problems}) from None

    async def state(self, request: web.Request) -> web.StreamResponse:
        """GET exports, POST imports: one workspace, or everything."""
        _allow(request, "GET", "POST")
        sid = request.match_info.get("workspace")
        if request.method != "POST":
            document = encode_state(self._keeper.export(sid))
            return web.Response(body=document, content_type="application/json")
        body = await _read(request, MAX_STATE)
        return _json({"workspaces": self._keeper.put_back(body, sid)})

    async def reset(self, request: web.Request) -> web.StreamResponse:
        """Back to the seed, or with ``?Snapshot=`` to a snapshot: one workspace, or everything."""
        _allow(request, "POST")
        args = read_params(_RESET, list(request.query.items()))
        sid, name = request.match_info.get("workspace"), args.get("snapshot")
        if name is None:
            return _json({"workspaces": self._keeper.reset(sid)})
        return _json({"workspaces": self._keeper.put_back(self._keeper.snapshot(name, sid), sid)})

    async def snapshots(self, request: web.Request) -> web.StreamResponse:
        """The names of the snapshots of a workspace, or of everything."""
        _allow(request, "GET")
        return _json({"snapshots": self._keeper.snapshots(request.match_info.get("workspace"))})

    async def snapshot(self, request: web.Request) -> web.StreamResponse:
        """POST keeps the present state under the name, GET shows what was kept, DELETE drops it."""
        _allow(request, "GET", "POST", "DELETE")
        sid, name = request.match_info.get("workspace"), request.match_info["name"]
        match request.method:
            case "POST":
                self._keeper.save(name, sid)
            case "DELETE":
                self._keeper.forget(name, sid)
            case _:
                return web.Response(body=self._keeper.snapshot(name, sid), content_type="application/json")
        return _json({"snapshots": self._keeper.snapshots(sid)})

    def _guarded(self, handler: _Handler) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._guard(request)
            try:
                return await handler(request)
            except NotFound as error:
                raise ApiError(404, str(error)) from None
            except DomainError as error:
                raise ApiError.of(error) from None
            except SeedError as error:  # of a reset: the limits or the time may have changed
                raise ApiError(400, f"The seed cannot be loaded any more. {error.problems[0]}") from None
            except InternalError as error:
                raise ApiError(500, str(error)) from None

        return handle


def _allow(request: web.Request, *methods: str) -> None:
    if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
        raise method_not_allowed(request.method, *methods)


async def _read(request: web.Request, limit: int) -> bytes:
    """The body, longer than other requests' may be.

    Raises:
        ApiError: 413, it is longer than `limit` bytes. The rest is not read.
    """
    too_large = ApiError(413, f"The request body is too large: at most {limit} bytes are accepted")
    if (request.content_length or 0) > limit:
        raise too_large
    body = bytearray()
    async with in_time(request):
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise too_large
    return bytes(body)


def _json(body: object) -> web.Response:
    return web.Response(text=json.dumps(body), content_type="application/json")
