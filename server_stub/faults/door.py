"""Faults over HTTP: rules, actions and the log, for tests in any language and for the console.

Below ``/stub/workspaces/{WS}/faults`` for one workspace and ``/stub/faults`` for the whole server, with
the REST API's credentials. Nothing like it exists in TaskRouter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, cast

from aiohttp import web

from server_stub.domain.errors import NotFound
from server_stub.replies import ApiError, method_not_allowed, read_body
from server_stub.runtime import Runtime

from .active import FaultHandle, Faults
from .rules import FaultAction, FaultRecord, FaultRule

__all__ = ["FaultDoor"]

MAX_BODY: Final = 8 * 1024 * 1024
"""Longest body in bytes: a log of 10,000 records is about half of it."""


class FaultDoor:
    """Shows and sets faults.

    Args:
        runtime: the workspaces.
        faults: the server's.
        guard: refuses, with an ApiError, who may not ask.
    """

    def __init__(self, runtime: Runtime, faults: Faults, *, guard: Callable[[web.Request], None]) -> None:
        self._runtime = runtime
        self._faults = faults
        self._guard = guard

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the addresses."""
        for base in ("/stub/faults", "/stub/workspaces/{workspace}/faults"):
            router.add_route("*", base, self.faults)
            router.add_route("*", f"{base}/log", self.log)
            router.add_route("*", f"{base}/replay", self.replay)
            router.add_route("*", base + r"/{number:\d{1,12}}", self.fault)

    async def faults(self, request: web.Request) -> web.StreamResponse:
        """GET lists the rules, POST adds one or does something at once, DELETE removes them."""
        workspace_sid = self._admit(request)
        match request.method:
            case "GET" | "HEAD":
                return _json({"rules": [h.as_dict() for h in self._faults.handles(workspace_sid)]})
            case "POST":
                return self._set(await _body(request), workspace_sid)
            case "DELETE":
                self._faults.clear(workspace_sid)
                return web.Response(status=204)
            case _:
                raise method_not_allowed(request.method, "GET", "POST", "DELETE")

    def _set(self, body: dict[str, Any], workspace_sid: str | None) -> web.Response:
        if ("fault" in body) == ("action" in body):
            raise ApiError(
                400, "Expected either fault, for a standing rule, or action, for something done at once"
            )
        try:
            if "action" in body:
                action = FaultAction.from_dict(body)
                if workspace_sid is not None:
                    action = action.within(workspace_sid)
                return _json({"action": action.as_dict(), "sessions": self._faults.do(action)})
            rule = FaultRule.from_dict(body)
            if workspace_sid is not None:
                rule = rule.within(workspace_sid)
        except ValueError as error:
            raise ApiError(400, str(error)) from None
        return _json(self._faults.add(rule).as_dict(), status=201)

    async def fault(self, request: web.Request) -> web.StreamResponse:
        """GET shows one rule, DELETE removes it."""
        workspace_sid = self._admit(request)
        number = request.match_info["number"]
        handle: FaultHandle | None = self._faults.handle(int(number))
        if handle is None or workspace_sid not in (None, handle.rule.workspace_sid):
            raise ApiError(404, f"There is no rule {number} here")
        match request.method:
            case "GET" | "HEAD":
                return _json(handle.as_dict())
            case "DELETE":
                handle.remove()
                return web.Response(status=204)
            case _:
                raise method_not_allowed(request.method, "GET", "DELETE")

    async def log(self, request: web.Request) -> web.StreamResponse:
        """What was injected, oldest first."""
        workspace_sid = self._admit(request)
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed(request.method, "GET")
        return _json({"log": [record.as_dict() for record in self._faults.log_of(workspace_sid)]})

    async def replay(self, request: web.Request) -> web.StreamResponse:
        """POST ``{"log": [...]}`` as it was shown: the same hits again, counted from now on."""
        workspace_sid = self._admit(request)
        if request.method != "POST":
            raise method_not_allowed(request.method, "POST")
        log = (await _body(request)).get("log")
        if not isinstance(log, list):
            raise ApiError(400, "log must be a list of records, as GET log shows them")
        try:
            records = [FaultRecord.from_dict(record) for record in cast("list[object]", log)]
            handles = self._faults.replay(records, workspace_sid=workspace_sid)
        except ValueError as error:
            raise ApiError(400, str(error)) from None
        return _json({"rules": [handle.as_dict() for handle in handles]}, status=201)

    def _admit(self, request: web.Request) -> str | None:
        """The workspace that the address names, if it names one."""
        self._guard(request)
        workspace_sid = request.match_info.get("workspace")
        if workspace_sid is not None:
            try:
                self._runtime.workspace(workspace_sid)
            except NotFound as error:
                raise ApiError(404, str(error)) from None
        return workspace_sid


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body: object = json.loads(await read_body(request, MAX_BODY))
    except (ValueError, RecursionError):
        raise ApiError(400, "The body must be a JSON object") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object")
    return cast("dict[str, Any]", body)  # JSON: the rules check what is in it


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")
