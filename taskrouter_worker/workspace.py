"""Reading a workspace: its workers, task queues and tasks. That needs no websocket."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self, TypeVar

import msgspec

from ._commands import Commands
from ._context import moment
from ._endpoints import (
    check_connection_options,
    check_int,
    check_seconds,
    event_bridge_urls,
    warn_retired_edge,
)
from ._requests import Request, WorkspaceRoutes, check_sid, present
from ._token import Token
from ._token_keeper import TokenKeeper, TokenProvider
from ._transport import Transport
from ._views import OfWorkspace, TaskView, WorkerView
from .clock import SystemClock
from .errors import InvalidTokenError, NotConnectedError
from .resources import Page, TaskFields, TaskQueueFields, WorkerFields
from .terms import SidPrefix

if TYPE_CHECKING:
    import aiohttp

__all__ = ["TaskInfo", "TaskQueue", "WorkerInfo", "Workspace", "WorkspaceReader"]

MAX_PAGE_SIZE: Final = 1000

_WORKER: Final = msgspec.json.Decoder(WorkerFields)
_WORKERS: Final = msgspec.json.Decoder(Page[WorkerFields])
_TASK_QUEUE: Final = msgspec.json.Decoder(TaskQueueFields)
_TASK_QUEUES: Final = msgspec.json.Decoder(Page[TaskQueueFields])
_TASK: Final = msgspec.json.Decoder(TaskFields)

WorkerOrdering = Literal["DateStatusChanged:asc", "DateStatusChanged:desc"]
TaskQueueOrdering = Literal["DateUpdated:asc", "DateUpdated:desc"]

F = TypeVar("F", WorkerFields, TaskQueueFields)


class WorkerInfo(WorkerView):
    """A worker as the workspace shows it: a picture of one moment, it does not change."""

    __slots__ = ("_shown",)

    def __init__(self, fields: WorkerFields) -> None:
        self._shown = fields

    @property
    def _fields(self) -> WorkerFields:
        return self._shown

    @property
    def sid(self) -> str:
        """The worker's SID, ``WK...``."""
        return self._shown.sid

    @property
    def worker_sid(self) -> str:
        """The same as `sid`, as in Worker.js."""
        return self._shown.sid

    @property
    def account_sid(self) -> str:
        """The account, ``AC...``."""
        return self._shown.account_sid

    @property
    def workspace_sid(self) -> str:
        """The workspace, ``WS...``."""
        return self._shown.workspace_sid

    @property
    def version(self) -> str:
        """The version at that moment."""
        return str(self._shown.version)

    def __repr__(self) -> str:
        return f"<WorkerInfo {self.name!r} {self.sid} {self.activity_name}>"


class TaskQueue(OfWorkspace):
    """A task queue: a picture of one moment."""

    __slots__ = ("_shown",)

    def __init__(self, fields: TaskQueueFields) -> None:
        self._shown = fields

    @property
    def _fields(self) -> TaskQueueFields:
        return self._shown

    @property
    def sid(self) -> str:
        """The queue's SID, ``WQ...``."""
        return self._fields.sid

    @property
    def queue_sid(self) -> str:
        """The same as `sid`, as in Worker.js."""
        return self._fields.sid

    @property
    def name(self) -> str:
        """The friendly name."""
        return self._fields.friendly_name

    @property
    def queue_name(self) -> str:
        """The same as `name`, as in Worker.js."""
        return self._fields.friendly_name

    @property
    def assignment_activity_name(self) -> str | None:
        """Where a worker goes on acceptance, in single-tasking workspaces."""
        return self._fields.assignment_activity_name

    @property
    def assignment_activity_sid(self) -> str | None:
        """The same by SID, ``WA...``."""
        return self._fields.assignment_activity_sid

    @property
    def reservation_activity_name(self) -> str | None:
        """Where a worker goes on reservation, in single-tasking workspaces."""
        return self._fields.reservation_activity_name

    @property
    def reservation_activity_sid(self) -> str | None:
        """The same by SID, ``WA...``."""
        return self._fields.reservation_activity_sid

    @property
    def target_workers(self) -> str | None:
        """The expression that a worker must match."""
        return self._fields.target_workers

    @property
    def max_reserved_workers(self) -> int:
        """How many workers are offered one task at once."""
        return self._fields.max_reserved_workers

    @property
    def task_order(self) -> str:
        """``FIFO`` or ``LIFO``."""
        return self._fields.task_order

    @property
    def date_created(self) -> datetime | None:
        """When it was made."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed."""
        return moment(self._fields.date_updated)

    def __repr__(self) -> str:
        return f"<TaskQueue {self.name!r} {self.sid}>"


class TaskInfo(TaskView):
    """A task as the workspace shows it: a picture of one moment, without a reservation to act on."""

    __slots__ = ("_held",)

    def __init__(self, fields: TaskFields) -> None:
        self._held = fields

    @property
    def _fields(self) -> TaskFields:
        return self._held

    def __repr__(self) -> str:
        return f"<TaskInfo {self.sid} {self.status}>"


class WorkspaceReader:
    """What can be read of a workspace: its workers, task queues and tasks.

    `Worker.workspace` is one, with the worker's token and connections; `Workspace` is one with its own.

    Every fetch raises `NotConnectedError` as well, before a worker's first session and after the end, and
    `TokenProviderError` where the provider failed.
    """

    __slots__ = ("_commands", "_known_sid", "_page_size")

    def __init__(
        self, commands: Commands, known_sid: Callable[[], str], *, page_size: int = MAX_PAGE_SIZE
    ) -> None:
        self._commands = commands
        self._known_sid = known_sid
        self._page_size = page_size

    @property
    def workspace_sid(self) -> str:
        """The workspace, ``WS...``; empty before the worker's first session or the first token."""
        return self._known_sid()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.workspace_sid or '(not known yet)'}>"

    async def _routes(self) -> WorkspaceRoutes:
        sid = self.workspace_sid
        if not sid:
            raise NotConnectedError(
                "the workspace is not known yet: enter `async with worker` and wait for `ready` first"
            )
        return WorkspaceRoutes(sid)

    async def fetch_worker_info(self, worker_sid: str) -> WorkerInfo:
        """One worker.

        Raises:
            TypeError, ValueError: a wrong SID.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(worker_sid, "worker_sid", SidPrefix.WORKER)
        return WorkerInfo(await self._commands.fetch((await self._routes()).worker(worker_sid), _WORKER))

    async def fetch_workers_info(
        self,
        *,
        friendly_name: str | None = None,
        activity_sid: str | None = None,
        activity_name: str | None = None,
        target_workers_expression: str | None = None,
        ordering: WorkerOrdering | None = None,
        after_sid: str | None = None,
        limit: int | None = None,
    ) -> dict[str, WorkerInfo]:
        """The workers that match every filter, by SID, in the service's order; all pages.

        Args:
            friendly_name: exactly this name.
            activity_sid: in this activity.
            activity_name: in the activity of this name.
            target_workers_expression: matching this expression, such as ``skills HAS "billing"``.
            ordering: by the last change of activity.
            after_sid: begin after this worker.
            limit: at most so many; None for all.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        filters = {
            "FriendlyName": _text("friendly_name", friendly_name),
            "ActivitySid": _sid("activity_sid", activity_sid, SidPrefix.ACTIVITY),
            "ActivityName": _text("activity_name", activity_name),
            "TargetWorkersExpression": _text("target_workers_expression", target_workers_expression),
            "Ordering": _ordering(ordering, "DateStatusChanged"),
            "AfterSid": _sid("after_sid", after_sid, SidPrefix.WORKER),
        }
        found = await self._all(WorkspaceRoutes.workers, _WORKERS, filters, limit)
        return {fields.sid: WorkerInfo(fields) for fields in found}

    async def fetch_worker(self, worker_sid: str) -> WorkerInfo:
        """The same as `fetch_worker_info`, as in Worker.js."""
        return await self.fetch_worker_info(worker_sid)

    fetch_workers = fetch_workers_info

    async def fetch_task_queue(self, task_queue_sid: str) -> TaskQueue:
        """One task queue.

        Raises:
            TypeError, ValueError: a wrong SID.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(task_queue_sid, "task_queue_sid", SidPrefix.TASK_QUEUE)
        request = (await self._routes()).task_queue(task_queue_sid)
        return TaskQueue(await self._commands.fetch(request, _TASK_QUEUE))

    async def fetch_task_queues(
        self,
        *,
        friendly_name: str | None = None,
        worker_sid: str | None = None,
        ordering: TaskQueueOrdering | None = None,
        after_sid: str | None = None,
        limit: int | None = None,
    ) -> dict[str, TaskQueue]:
        """The task queues that match every filter, by SID, in the service's order; all pages.

        Args:
            friendly_name: exactly this name.
            worker_sid: whose expression this worker matches.
            ordering: by the last change.
            after_sid: begin after this queue.
            limit: at most so many; None for all.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        filters = {
            "FriendlyName": _text("friendly_name", friendly_name),
            "WorkerSid": _sid("worker_sid", worker_sid, SidPrefix.WORKER),
            "Ordering": _ordering(ordering, "DateUpdated"),
            "AfterSid": _sid("after_sid", after_sid, SidPrefix.TASK_QUEUE),
        }
        found = await self._all(WorkspaceRoutes.task_queues, _TASK_QUEUES, filters, limit)
        return {fields.sid: TaskQueue(fields) for fields in found}

    async def fetch_task(self, task_sid: str) -> TaskInfo:
        """One task.

        Raises:
            TypeError, ValueError: a wrong SID.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(task_sid, "task_sid", SidPrefix.TASK)
        return TaskInfo(await self._commands.fetch((await self._routes()).task(task_sid), _TASK))

    async def _all(
        self,
        request: Callable[[WorkspaceRoutes, Mapping[str, object]], Request],
        decoder: msgspec.json.Decoder[Page[F]],
        filters: Mapping[str, object],
        limit: int | None,
    ) -> list[F]:
        """All pages, up to `limit` items. The page's own token leads on, in ordered lists another one."""
        if limit is not None:
            check_int("limit", limit, 1)
        routes = await self._routes()
        items: list[F] = []
        params = present({**filters, "PageSize": min(self._page_size, limit or self._page_size)})
        while True:
            page = await self._commands.fetch(request(routes, params), decoder)
            items += page.contents
            if limit is not None and len(items) >= limit:
                return items[:limit]
            if "Ordering" in params:
                key, token = "NextToken", page.meta.next_token if page.meta else None
            else:
                key, token = "AfterSid", page.after_sid
            if not token or params.get(key) == token:
                return items
            params = {**params, key: token}


class Workspace(WorkspaceReader):
    """Read access to a workspace. Use it as ``async with Workspace(token) as workspace``, or close it.

    Args:
        token: a JWT with a TaskRouter grant; a worker SID in it is not needed. May be left out with a
            `token_provider`.
        workspace_sid: the workspace; read from the token unless given. Needed with encrypted tokens.
        token_provider: a function, plain or async, that returns a token. It is asked at the first fetch
            if there is no token, and once when a token is refused, such as one that has run out.
        region: Twilio region, such as ``ie1``; None or ``us1`` for the default.
        edge: without effect; Twilio retired edges.
        eb_server: HTTP URL of the event bridge instead of Twilio's.
        ssl_context: for https; None for the platform's default.
        proxy: True for the environment's proxies, None for none, or a URL.
        http_session: an aiohttp session of yours; it is not closed.
        request_timeout: seconds for a whole HTTP exchange.
        page_size: items per request of a list, 1 to 1000.

    Raises:
        TypeError, ValueError: a wrong argument.
        InvalidTokenError: the token cannot be read, or names no workspace, and none was given.
    """

    def __init__(
        self,
        token: str | None = None,
        workspace_sid: str | None = None,
        *,
        token_provider: TokenProvider | None = None,
        region: str | None = None,
        edge: str | None = None,
        eb_server: str | None = None,
        page_size: int = MAX_PAGE_SIZE,
        request_timeout: float = 15.0,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = True,
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        parsed = None if token is None and token_provider is not None else Token.parse(token)
        if token_provider is not None and not callable(token_provider):
            raise TypeError(f"token_provider must be callable, got {type(token_provider).__name__}")
        check_int("page_size", page_size, 1, MAX_PAGE_SIZE)
        check_seconds("request_timeout", request_timeout)
        check_connection_options(ssl_context, proxy)
        warn_retired_edge(edge)
        url, _ = event_bridge_urls(region, eb_server, None)
        self._given_sid = _sid("workspace_sid", workspace_sid, SidPrefix.WORKSPACE)
        if parsed is not None:
            _workspace_of(parsed, workspace_sid)
        self._transport = Transport(
            url, session=http_session, ssl_context=ssl_context, proxy=proxy, timeout=request_timeout
        )
        self._tokens = TokenKeeper(parsed, token_provider, SystemClock())
        super().__init__(
            Commands(self._transport, self._tokens, over="the workspace was closed"),
            self._sid_so_far,
            page_size=page_size,
        )

    async def __aenter__(self) -> Self:
        """Nothing is connected until something is fetched."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections. What was fetched stays readable."""
        self._commands.closed = True
        await self._transport.close()

    def update_token(self, token: str) -> None:
        """Use another token from now on.

        Raises:
            TypeError, ValueError: not a token.
            InvalidTokenError: it names no workspace, and none was given at the start.
        """
        parsed = Token.parse(token)
        _workspace_of(parsed, self._given_sid)
        self._tokens.update(parsed)

    def _sid_so_far(self) -> str:
        if self._given_sid is not None:
            return self._given_sid
        return (self._tokens.token.workspace_sid or "") if self._tokens.has_one else ""

    async def _routes(self) -> WorkspaceRoutes:
        if self._commands.closed:  # the provider is asked no more
            raise NotConnectedError("the workspace was closed")
        return WorkspaceRoutes(_workspace_of(await self._tokens.first(), self._given_sid))


def _workspace_of(token: Token, given: str | None) -> str:
    if given is not None:
        return given
    if token.workspace_sid is None:
        raise InvalidTokenError("the token cannot be read or names no workspace: give workspace_sid as well")
    return token.workspace_sid


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {type(value).__name__}: {value!r}")
    return value


def _sid(name: str, value: object, prefix: SidPrefix) -> str | None:
    return None if value is None else check_sid(value, name, prefix)


def _ordering(value: object, key: str) -> str | None:
    text = _text("ordering", value)
    if text is not None and text not in (f"{key}:asc", f"{key}:desc"):
        raise ValueError(f"ordering must be '{key}:asc' or '{key}:desc', got {text!r}")
    return text
