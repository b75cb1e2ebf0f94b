"""The local server in a thread of its own, for tests of any kind, and the way into that thread."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from server_stub.app import Settings, StubServer
from server_stub.domain.events import Event
from server_stub.domain.workspace import Workspace

if TYPE_CHECKING:
    from .options import WorkspaceOptions
    from .taskrouter import TaskRouter

__all__ = ["BackgroundServer", "outcome"]

__tracebackhide__ = True  # pytest shows the test's line instead

T = TypeVar("T")

SECONDS: Final = 30.0
"""How long its start, its end, or a call into it may take on a busy machine. Each takes milliseconds."""


def outcome(future: Future[T], timeout: float | None = None) -> T:
    """What a future has or raises, within `timeout` seconds; unlike `result` it adds no frames of its own."""
    error = future.exception(timeout)
    if error is not None:
        try:
            raise error
        finally:
            del error  # it holds this frame, which holds it
    return future.result()


class BackgroundServer:
    """A local TaskRouter with an event loop and a thread of its own. Use it as a context manager.

    Args:
        settings: how the server is set up; a free port and no settle time unless given.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings(port=0, settle_ms=0)
        self._thread: threading.Thread | None = None
        self._server: StubServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._watchers: defaultdict[str, list[Callable[[Workspace], None]]] = defaultdict(list)

    # --- Life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen. Returns once connections are accepted.

        Raises:
            RuntimeError: it runs already.
            OSError: the port is taken, or the seed's file cannot be read.
            SeedError: something is wrong with the seed.
        """
        if self._thread is not None:
            raise RuntimeError("the server runs already")
        started: Future[None] = Future()
        # A daemon: a test run that is killed by an internal error must not hang on it.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="taskrouter server", daemon=True
        )
        self._thread.start()
        try:
            started.result(SECONDS)
        except BaseException:
            self._thread = None
            raise

    def stop(self) -> None:
        """Close every session and end the thread. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(SECONDS)
        if thread.is_alive():
            raise RuntimeError(f"the server did not stop within {SECONDS:g} s")
        self._server = self._loop = self._stop = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, started: Future[None]) -> None:
        stop = asyncio.Event()
        try:
            server = StubServer(self._settings)
            server.observe(self._published)
            await server.start()
        except BaseException as error:  # noqa: BLE001 - it is raised where `start` was called
            started.set_exception(error)
            return
        self._server, self._loop, self._stop = server, asyncio.get_running_loop(), stop
        started.set_result(None)
        try:
            await stop.wait()
        finally:
            await server.stop()

    # --- The way in ---------------------------------------------------------------------------

    def call(self, function: Callable[[StubServer], T]) -> T:
        """What `function` returns or raises; it runs in the server's thread, between two of its steps.

        From any thread. It blocks for as long as that takes, a fraction of a millisecond.

        Raises:
            RuntimeError: the server does not run.
        """
        server, loop = self._running()
        if threading.current_thread() is self._thread:
            return function(server)
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(function(server))
            except BaseException as error:  # noqa: BLE001 - it is raised where `call` was called
                answer.set_exception(error)

        loop.call_soon_threadsafe(run)
        return outcome(answer, SECONDS)

    def submit(self, function: Callable[[StubServer], Coroutine[Any, Any, T]]) -> Future[T]:
        """Begin a coroutine in the server's thread; the future has its result.

        Raises:
            RuntimeError: the server does not run.
        """
        server, loop = self._running()
        return asyncio.run_coroutine_threadsafe(function(server), loop)

    def _running(self) -> tuple[StubServer, asyncio.AbstractEventLoop]:
        if self._thread is None or self._server is None or self._loop is None:
            raise RuntimeError("the server does not run: start it, or enter it with `with`")
        return self._server, self._loop

    # --- Workspaces ---------------------------------------------------------------------------

    def workspace(self, options: WorkspaceOptions | None = None) -> TaskRouter:
        """A new workspace with all that tests need. Close it, or use it as a context manager.

        Raises:
            ValueError: a workspace with this seed is open on this server.
        """
        from .options import WorkspaceOptions  # noqa: PLC0415 - that module needs this one
        from .taskrouter import TaskRouter  # noqa: PLC0415

        return TaskRouter(self, options or WorkspaceOptions())

    def watch(self, workspace_sid: str, watcher: Callable[[Workspace], None]) -> None:
        """Call `watcher` in the server's thread after each command of a workspace, before the next one."""
        self.call(lambda _: self._watchers[workspace_sid].append(watcher))

    def unwatch(self, workspace_sid: str, watcher: Callable[[Workspace], None]) -> None:
        """Do not call it any more."""

        def remove(_: StubServer) -> None:
            watchers = self._watchers.get(workspace_sid, [])
            if watcher in watchers:
                watchers.remove(watcher)
            if not watchers:
                self._watchers.pop(workspace_sid, None)

        self.call(remove)

    def _published(self, workspace: Workspace, events: Sequence[Event]) -> None:  # noqa: ARG002 - an observer's
        for watcher in list(self._watchers.get(workspace.sid, ())):
            watcher(workspace)
