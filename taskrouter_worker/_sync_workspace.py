"""Reading a workspace without asyncio: `Workspace` and `Worker.workspace` with calls that block."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from ._endpoints import check_seconds
from ._facade import Command, Facade, command_of, submit
from ._loop_thread import LoopThread
from ._token_keeper import TokenProvider
from .workspace import MAX_PAGE_SIZE, TaskInfo, TaskQueue, WorkerInfo, Workspace, WorkspaceReader

__all__ = ["SyncWorkspace", "SyncWorkspaceReader"]

P = ParamSpec("P")
T = TypeVar("T")


class SyncWorkspaceReader(Facade[WorkspaceReader]):
    """A `WorkspaceReader` whose calls block. `SyncWorker.workspace` is one.

    The calls have the names and arguments of `Workspace.fetch_workers_info`, `Workspace.fetch_worker_info`,
    `Workspace.fetch_task_queues`, `Workspace.fetch_task_queue` and `Workspace.fetch_task`.

    Where nothing may block, hand them to `SyncWorker.submit`::

        finding = worker.submit(worker.workspace.fetch_workers_info, limit=100)
        worker.when_done(finding, show_colleagues)
    """

    __slots__ = ()

    @property
    def workspace_sid(self) -> str:
        """The workspace, ``WS...``; empty before the worker's first session or the first token."""
        return self._live.workspace_sid

    fetch_worker_info = command_of(WorkerInfo, WorkspaceReader.fetch_worker_info)
    fetch_workers_info = command_of(dict[str, WorkerInfo], WorkspaceReader.fetch_workers_info)
    fetch_worker = command_of(WorkerInfo, WorkspaceReader.fetch_worker)
    fetch_workers = command_of(dict[str, WorkerInfo], WorkspaceReader.fetch_workers)
    fetch_task_queue = command_of(TaskQueue, WorkspaceReader.fetch_task_queue)
    fetch_task_queues = command_of(dict[str, TaskQueue], WorkspaceReader.fetch_task_queues)
    fetch_task = command_of(TaskInfo, WorkspaceReader.fetch_task)


class SyncWorkspace(SyncWorkspaceReader):
    """A `Workspace` for programs without asyncio, with a thread and connections of its own.

    Its calls are those of `Workspace`, and block: ``workspace.fetch_workers_info(limit=10)``.
    Use it as ``with SyncWorkspace(token) as workspace``, or close it. Its thread starts with the first call.
    Beside a `SyncWorker`, `SyncWorker.workspace` needs neither a second thread nor a second token.

    Args:
        token: see `Workspace`, as for all but the last.
        workspace_sid: the workspace; read from the token unless given.
        token_provider: a function, plain or async, that returns a token. It runs in the workspace's thread.
        region: Twilio region.
        edge: without effect.
        eb_server: HTTP URL of the event bridge instead of Twilio's.
        page_size: items per request of a list, 1 to 1000.
        request_timeout: seconds for a whole HTTP exchange.
        ssl_context: for https.
        proxy: True for the environment's proxies, None for none, or a URL.
        command_timeout: seconds that a call may take, None for ever.

    Raises:
        TypeError, ValueError, InvalidTokenError: see `Workspace`.
    """

    __slots__ = ("_own_thread", "_workspace")

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
        command_timeout: float | None = 60.0,
    ) -> None:
        if command_timeout is not None:
            check_seconds("command_timeout", command_timeout)
        self._workspace = Workspace(
            token,
            workspace_sid,
            token_provider=token_provider,
            region=region,
            edge=edge,
            eb_server=eb_server,
            page_size=page_size,
            request_timeout=request_timeout,
            ssl_context=ssl_context,
            proxy=proxy,
        )
        self._own_thread = _OwnThread(self._workspace, command_timeout)
        super().__init__(self._own_thread, self._workspace)

    def __enter__(self) -> Self:
        """Nothing is started until something is fetched."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections, and leave no thread behind."""
        self.close()

    def close(self, timeout: float | None = None) -> bool:
        """Close the connections, and wait for the thread's end. What was fetched stays readable.

        Calls that are under way end with `NetworkError` or `NotConnectedError`. From any thread; in the
        workspace's own, where a future's callback may have led, it only begins the end.

        Args:
            timeout: seconds to wait.

        Returns:
            Whether the thread has ended.
        """
        return self._own_thread.close(timeout)

    def submit(self, command: Command[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a call of this workspace, and return at once. The future's callbacks run in its thread.

        Args:
            command: such as ``workspace.fetch_task``, without the parentheses.
            *args: its arguments.
            **kwargs: its options.

        Raises:
            TypeError: it is no command of these classes.
            NotConnectedError: the workspace was closed.
        """
        return submit(command, *args, **kwargs)

    def update_token(self, token: str) -> None:
        """Use another token from now on, as `Workspace.update_token`."""
        self._thread.do(lambda: self._workspace.update_token(token))


class _OwnThread(LoopThread):
    """A loop for one workspace, from the first call to `close`."""

    def __init__(self, workspace: Workspace, command_timeout: float | None) -> None:
        super().__init__(
            name="taskrouter workspace",
            show=_unchanged,
            command_timeout=command_timeout,
            over="the workspace was closed",
        )
        self._workspace = workspace
        self._closing = asyncio.Event()
        self._closed = False

    def submit(self, begin: Callable[[], Coroutine[Any, Any, object]]) -> Future[Any]:
        """As `LoopThread.submit`; the first one starts the thread."""
        self._see_to_the_loop()
        return super().submit(begin)

    def call(self, begin: Callable[[], Coroutine[Any, Any, object]], *, bounded: bool = True) -> Any:
        """As `LoopThread.call`; the first one starts the thread."""
        self._see_to_the_loop()
        return super().call(begin, bounded=bounded)

    def _see_to_the_loop(self) -> None:
        if not self._closed and not self.begin(self._body):
            self.wait_begun()

    def close(self, timeout: float | None) -> bool:
        """End it, if it was started, and wait."""
        self._closed = True
        self.refuse_start()
        self.post(self._closing.set)
        return self.join(timeout)

    async def _body(self) -> None:
        try:
            if not self._closed:  # as by a signal's handler, before there was a loop to tell
                await self._closing.wait()
        finally:
            await self._workspace.close()


def _unchanged(value: object) -> object:
    return value
