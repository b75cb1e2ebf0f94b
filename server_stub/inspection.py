"""What only this local server tells, over HTTP: why a task is where it is, and which callbacks were sent.

Below ``/stub/workspaces/{WS}``, with the REST API's credentials. Nothing here changes anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from taskrouter_worker.terms import SidPrefix

from .deliveries import Deliveries, DeliveryKind
from .domain.errors import DomainError, NotFound
from .parameters import Param, enum, integer, read_params, sid
from .replies import ApiError, method_not_allowed
from .runtime import Runtime

__all__ = ["Inspection"]

LIMIT: Final = 100
"""Deliveries in an answer, unless asked otherwise."""

WORKERS: Final = 200
"""Workers in an explanation, unless asked otherwise: a workspace may have 15,000."""

_EXPLAIN: Final = (
    Param("WorkerSid", sid(SidPrefix.WORKER)),
    Param("Limit", integer(low=1, high=15_000)),
)
_DELIVERIES: Final = (
    Param("After", integer()),
    Param("Kind", enum(DeliveryKind)),
    Param("Limit", integer(low=1, high=1_000)),
)


class Inspection:
    """Answers questions about workspaces.

    Args:
        runtime: the workspaces.
        deliveries: the record of callbacks.
        guard: refuses, with an ApiError, who may not ask.
    """

    def __init__(
        self, runtime: Runtime, deliveries: Deliveries, *, guard: Callable[[web.Request], None]
    ) -> None:
        self._runtime = runtime
        self._deliveries = deliveries
        self._guard = guard

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the addresses."""
        router.add_route("*", "/stub/workspaces/{workspace}/deliveries", self.deliveries)
        router.add_route("*", "/stub/workspaces/{workspace}/tasks/{task}/explain", self.explain)

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """Why the task is where it is, and why it did not reach the worker, or any.

        ``?WorkerSid=`` names the one, ``?Limit=`` says how many of all.
        """
        self._admit(request)
        args = read_params(_EXPLAIN, list(request.query.items()))
        workspace_sid, task_sid = request.match_info["workspace"], request.match_info["task"]
        try:
            workspace = self._runtime.workspace(workspace_sid)
            explanation = workspace.explain(
                task_sid, args.get("worker_sid"), limit=args.get("limit", WORKERS)
            )
        except NotFound as error:
            raise ApiError(404, f"The requested resource /{error.kind}/{error.sid} was not found") from None
        except DomainError as error:
            raise ApiError.of(error) from None
        return _json(msgspec.to_builtins(explanation))

    async def deliveries(self, request: web.Request) -> web.StreamResponse:
        """The last callbacks, oldest first: ``?Kind=``, ``?Limit=``, and ``?After=`` the number of one."""
        self._admit(request)
        args = read_params(_DELIVERIES, list(request.query.items()))
        workspace_sid = request.match_info["workspace"]
        try:
            self._runtime.workspace(workspace_sid)
        except NotFound as error:
            raise ApiError(404, f"The requested resource /{error.kind}/{error.sid} was not found") from None
        found = [
            delivery
            for delivery in self._deliveries.of(workspace_sid, kind=args.get("kind"))
            if delivery.number > args.get("after", 0)
        ]
        limit = args.get("limit", LIMIT)
        # From a number on these are the next ones; otherwise the last ones.
        shown = found[:limit] if "after" in args else found[-limit:]
        return _json(
            {
                "deliveries": [msgspec.to_builtins(delivery) for delivery in shown],
                "dropped": self._deliveries.dropped(workspace_sid),
            }
        )

    def _admit(self, request: web.Request) -> None:
        self._guard(request)
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed(request.method, "GET")


def _json(body: object) -> web.Response:
    # Not msgspec: customers' attributes may hold numbers and characters that it refuses to write.
    return web.Response(text=json.dumps(body), content_type="application/json")
