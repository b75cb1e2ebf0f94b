"""A loop in its own thread, for the synchronous classes: how calls get there, and how handlers get out.

Nothing in here holds a lock, but for the future that `submit` returns. A signal's handler may come in at any
step of its own thread, and wait for the loop's thread to end: that must not need what the interrupted thread
holds. What several threads do at once is decided by single steps of a dict, a deque or a `SimpleQueue`.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, NoReturn, TypeVar

from .errors import NotConnectedError

__all__ = ["Call", "Inbox", "LoopThread"]

T = TypeVar("T")

Call = Callable[[], object]


_here: weakref.WeakSet[Inbox | LoopThread] = weakref.WeakSet()
"""What a forked process has only the likeness of: there no thread runs but the one that forked."""


def _forked() -> None:
    for left_behind in list(_here):
        left_behind.forked()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forked)


class Inbox:
    """Calls that wait for the thread that shall make them."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()  # rings for each call, and at the end
        self._closed = False
        _here.add(self)

    def put(self, call: Call) -> None:
        """Add one; calls are made in this order."""
        self._calls.append(call)
        self._bell.put(None)

    def close(self) -> None:
        """Nobody waits any longer; what is there can still be taken."""
        self._closed = True
        self._bell.put(None)

    def forked(self) -> None:
        """In a forked process: what is there is the parent's to call."""
        self._calls.clear()
        self.close()

    def wait(self, timeout: float | None) -> int:
        """How many there are now; waits for the first one, up to `timeout` seconds, unless closed."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._calls and not self._closed:
            try:
                self._bell.get(timeout=None if end is None else max(0.0, end - time.monotonic()))
            except Empty:
                break
            if self._closed:
                self._bell.put(None)  # for others who wait
        return len(self._calls)

    def take(self) -> Call | None:
        """The one that waited longest, None if there is none.

        One at a time: those that are not taken yet keep their place when a call raises `KeyboardInterrupt`,
        and when it takes others itself, as a dialog with a loop of its own does.
        """
        try:
            return self._calls.popleft()
        except IndexError:
            return None


class _Beginning:
    """Somebody's attempt to start a thread, or to see to it that it never starts.

    Attributes:
        by: the number of the thread that attempts it.
        thread: what is to start, None for never.
        outcome: holds, once it runs or cannot, what went wrong or None. Who takes it puts it back.
    """

    def __init__(self, thread: threading.Thread | None) -> None:
        self.by = threading.get_ident()
        self.thread = thread
        self.outcome: SimpleQueue[BaseException | None] = SimpleQueue()


class _Handed:
    """A call that was handed over. It equals none but itself: a thread takes back its own one only."""

    __slots__ = ("call", "context")

    def __init__(self, context: contextvars.Context, call: Call) -> None:
        self.context = context
        self.call = call


class _Answer(Generic[T]):
    """What another thread's call or task returns or raises."""

    def __init__(self) -> None:
        self._answers: SimpleQueue[Callable[[], T]] = SimpleQueue()

    def make(self, call: Callable[[], T]) -> None:
        """In the other thread: make it."""
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._answers.put(functools.partial(_raise, error))
        else:
            self._answers.put(lambda: value)

    def wait(self, timeout: float | None = None) -> Callable[[], T]:
        """Wait for it. Call the result in the thread that needs it, to have it returned or raised.

        Raises:
            Empty: it took longer than `timeout` seconds.
        """
        return self._answers.get(timeout=timeout)


def _raise(error: BaseException) -> NoReturn:
    try:
        raise error
    finally:
        del error  # which holds this frame


class LoopThread:
    """An event loop in a thread of its own, and the way into it.

    Args:
        name: the thread's.
        show: from what the loop knows to what the application sees.
        command_timeout: seconds that a blocking command may take, None for ever.
        over: why nothing can be done in it any more, once it has ended.
    """

    def __init__(
        self,
        *,
        name: str,
        show: Callable[[Any], Any],
        command_timeout: float | None,
        over: str = "the worker was disconnected",
    ) -> None:
        self._name = name
        self.show = show
        self._command_timeout = command_timeout
        self._why_over = over
        self._beginnings: dict[None, _Beginning] = {}  # at most one: whoever is there first
        self._calls: deque[_Handed] = deque()  # those that the loop shall make
        self._loop: asyncio.AbstractEventLoop | None = None  # set while calls are taken
        self._over = False
        self._is_elsewhere = False  # in another process
        self._spawned: set[asyncio.Task[Any]] = set()
        _here.add(self)

    def forked(self) -> None:
        """In a forked process: calls would wait for ever, and so would who waits for its begin."""
        beginning = self._beginnings.get(None)
        if beginning is not None and not self._over:
            beginning.outcome.put(None)
            self._loop = None
            self._over = self._is_elsewhere = True
            self._why_over = (
                "its thread runs in the process that this one was forked from: make a new object here"
            )

    def start(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `body` in the thread; the thread ends with it.

        Raises:
            RuntimeError: it was started before, or there can be no more threads.
            OSError: there can be no more event loops, such as for want of files.
        """
        if not self.begin(body):
            raise RuntimeError("this worker was already started; make a new one for a new session")

    def begin(self, body: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """As `start`; False if somebody else has started it, or it never will be."""
        if self._beginnings:
            return False  # without a thread that would never be started
        # A daemon: a window that is closed without disconnect() must not keep the process alive.
        thread = threading.Thread(target=self._main, args=(body,), name=self._name, daemon=True)
        beginning = _Beginning(thread)
        if self._beginnings.setdefault(None, beginning) is not beginning:
            return False
        try:
            thread.start()
        except RuntimeError:  # the system has no more
            self._failed_to_begin(beginning, None)
            raise
        error = self._wait_for(beginning)
        if error is not None:
            thread.join()
            raise error
        return True

    def wait_begun(self) -> None:
        """Wait until the loop is there, or never will be, if another thread starts it at the moment."""
        beginning = self._beginnings.get(None)
        if beginning is not None and beginning.by != threading.get_ident():
            self._wait_for(beginning)

    def refuse_start(self) -> bool:
        """If it was not started yet, it never will be; whether that is so."""
        refusal = _Beginning(None)
        refusal.outcome.put(None)
        beginning = self._beginnings.setdefault(None, refusal)
        if beginning.thread is None:
            self._over = True
        return beginning.thread is None

    @staticmethod
    def _wait_for(beginning: _Beginning) -> BaseException | None:
        error = beginning.outcome.get()
        beginning.outcome.put(error)  # for others who wait
        return error

    def _failed_to_begin(self, beginning: _Beginning, error: BaseException | None) -> None:
        self._beginnings.clear()
        beginning.outcome.put(error)

    def _main(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        beginning = self._beginnings[None]
        try:
            with asyncio.Runner() as runner:
                runner.get_loop()  # before there is a coroutine that nobody would await
                runner.run(self._take_calls(body, beginning))
        except BaseException as error:
            if self._over:  # it ran
                raise
            self._failed_to_begin(beginning, error)

    async def _take_calls(self, body: Callable[[], Coroutine[Any, Any, None]], beginning: _Beginning) -> None:
        loop = self._loop = asyncio.get_running_loop()
        beginning.outcome.put(None)
        try:
            await body()
        finally:
            self._loop = None
            self._over = True
            # What was handed over before begins now; the end of the loop then cancels it, see `_guarded`.
            for _ in range(len(self._calls)):
                loop.call_soon(self._make_next_call)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    @property
    def _thread(self) -> threading.Thread | None:
        beginning = self._beginnings.get(None)
        return None if beginning is None else beginning.thread

    @property
    def is_current(self) -> bool:
        """Whether the caller is in the thread."""
        return threading.current_thread() is self._thread

    @property
    def is_alive(self) -> bool:
        """Whether the thread was started and has not ended."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def was_started(self) -> bool:
        """Whether it ever ran, or is about to."""
        return self._thread is not None

    def spawn(
        self, coroutine: Coroutine[Any, Any, T], ended: Callable[[asyncio.Task[T]], object] | None = None
    ) -> Callable[[], object]:
        """Run a coroutine; in the loop's thread only.

        Args:
            coroutine: to be run.
            ended: called with its task at its end.

        Returns:
            What cancels it.
        """
        task = asyncio.get_running_loop().create_task(coroutine)
        self._spawned.add(task)  # the loop itself does not hold its tasks
        task.add_done_callback(self._spawned.discard)
        if ended is not None:
            task.add_done_callback(ended)
        return task.cancel

    def join(self, timeout: float | None) -> bool:
        """Wait for the thread's end; False if it did not come in time. In the thread itself, do not wait."""
        thread = self._thread
        if thread is None or self.is_current:
            return True
        try:
            thread.join(timeout)
        except RuntimeError:  # it is about to start, perhaps in this thread, below a signal's handler
            return False
        return not thread.is_alive()

    def post(self, call: Call) -> bool:
        """Make a call in the loop, soon; False if there is no loop."""
        handed = _Handed(contextvars.copy_context(), call)
        self._calls.append(handed)
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._make_next_call)
            except RuntimeError:  # it was closed meanwhile
                loop = None
        if loop is not None and self._loop is loop:
            return True  # at its end the loop makes all calls that are there
        # Perhaps it ended without this one. Either this thread takes it back, or the loop's has it.
        try:
            self._calls.remove(handed)
        except ValueError:
            return True
        return False

    def _make_next_call(self) -> None:
        try:
            handed = self._calls.popleft()
        except IndexError:  # it was taken back, or made already
            return
        if self._calls:  # one of a time without a loop may be there beside those that the loop was told of
            asyncio.get_running_loop().call_soon(self._make_next_call)
        handed.context.run(handed.call)

    def do(self, call: Callable[[], T]) -> T:
        """Make a short call in the loop and return its result. Without a loop, make it here."""
        answer: _Answer[T] = _Answer()
        if self.is_current or not self.post(lambda: answer.make(call)):
            if self._is_elsewhere:
                raise self._no_loop()
            return call()
        return answer.wait()()

    def submit(self, begin: Callable[[], Coroutine[Any, Any, object]]) -> Future[Any]:
        """Run a coroutine in the loop; the future shows its result as the application sees it.

        Raises:
            NotConnectedError: there is no loop yet, or not any more.
        """
        future: Future[Any] = Future()

        def run() -> None:
            cancel = self.spawn(self._guarded(begin), functools.partial(_show_result, future))
            future.add_done_callback(lambda done: done.cancelled() and self.post(cancel))

        self._post_or_raise(run)
        return future

    def _post_or_raise(self, call: Call) -> None:
        if not self.post(call):
            raise self._no_loop()

    def _no_loop(self) -> NotConnectedError:
        return NotConnectedError(
            self._why_over if self._over else "the worker was not started: enter `with worker` first"
        )

    async def _guarded(self, begin: Callable[[], Coroutine[Any, Any, object]]) -> object:
        try:
            return self.show(await begin())
        except asyncio.CancelledError:
            if self._over:  # not canceled by the caller: the loop ends
                raise NotConnectedError(f"{self._why_over} meanwhile") from None
            raise

    def call(self, begin: Callable[[], Coroutine[Any, Any, object]], *, bounded: bool = True) -> Any:
        """Run a coroutine in the loop and wait for it.

        Raises:
            TimeoutError: it took longer than a command may take; it was canceled.
            RuntimeError: called in the loop's own thread, where waiting would never end.
            NotConnectedError: as `submit`.
        """
        if self.is_current:
            raise RuntimeError(
                "this call would block the thread that must carry it out: call it from another thread, "
                "or use submit()"
            )
        cancels: list[Callable[[], object]] = []
        answer: _Answer[object] = _Answer()

        def run() -> None:
            cancels.append(self.spawn(self._guarded(begin), lambda task: answer.make(task.result)))

        def cancel() -> None:
            cancels.pop()()

        self._post_or_raise(run)
        try:
            outcome = answer.wait(self._command_timeout if bounded else None)
        except BaseException as error:
            self.post(cancel)  # the wait was given up, also by Ctrl-C
            if not isinstance(error, Empty):
                raise
            raise TimeoutError(
                f"no result within {self._command_timeout:g} s; a command may have been carried out"
            ) from None
        try:
            return outcome()
        except asyncio.CancelledError:
            raise NotConnectedError("the call was canceled") from None
        finally:
            del outcome  # which may hold an error, and that this frame


def _show_result(future: Future[Any], task: asyncio.Task[Any]) -> None:
    """A task has ended: so does its future."""
    if task.cancelled():
        future.cancel()
    if not future.set_running_or_notify_cancel():
        return
    error = task.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(task.result())
