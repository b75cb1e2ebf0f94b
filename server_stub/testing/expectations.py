"""What a test expects of tasks and workers: asked now, or waited for. A failure says why it is otherwise."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from server_stub.domain.model import Reservation
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import RESERVATION_LIVE, ReservationStatus, TaskStatus

from .background import outcome
from .desk import Desk, find
from .handles import ActivityHandle, QueueHandle, ReservationHandle, TaskHandle, WorkerHandle
from .loops import is_awaited_by_a_loop
from .reporting import callback_lines, event_lines, explanation, task_history

__all__ = ["Expectations"]

__tracebackhide__ = True  # pytest shows the test's line instead

T = TypeVar("T")

WAIT_SECONDS: Final = 5.0
"""Seconds by the clock on the wall that something may take, unless asked otherwise."""

POLL_SECONDS: Final = 0.02
"""How often a condition is looked at that no command of the workspace need make true."""

_ACCEPTED: Final = (ReservationStatus.ACCEPTED, ReservationStatus.WRAPPING, ReservationStatus.COMPLETED)
_REJECTED: Final = (ReservationStatus.REJECTED,)
_TIMED_OUT: Final = (ReservationStatus.TIMEOUT,)


@dataclass(frozen=True)
class _Expectation(Generic[T]):
    """Something that is so, or not.

    Attributes:
        claim: it, as a sentence.
        look: what is found in the workspace; None where it is not so.
        task: the SID of the task it is about.
        worker: the SID of the worker it is about.
        is_anything: whether it may become so without a command of the workspace.
    """

    claim: str
    look: Callable[[Workspace], T | None]
    task: str | None = None
    worker: str | None = None
    is_anything: bool = False


class Expectations:
    """The assertions of `TaskRouter`.

    ``assert_...`` looks at once, or up to `within` seconds, blocking. ``await wait_until_...`` waits, in
    async tests, for `timeout` seconds, five unless given; it looks after each command of the server, so that
    nothing is too short to be seen. Seconds are those of the clock on the wall. Tasks and workers are given
    by handle or SID, workers and queues by name as well.

    All of them raise `AssertionError` where it is not so, or not in time, and `LookupError` for a name that
    nothing has, a task that never was, or one of another workspace.
    """

    _desk: Desk

    # --- Reservations -------------------------------------------------------------------------

    def assert_reserved(
        self, task: TaskHandle | str, worker: WorkerHandle | str | None = None, *, within: float = 0.0
    ) -> ReservationHandle:
        """The task has a live reservation: it was offered, and neither refused nor finished.

        Args:
            task: the task.
            worker: for this worker; for any unless given.
            within: seconds that it may take.

        Returns:
            The latest such reservation.

        Raises:
            AssertionError: it has none; the text holds the router's explanation and the task's history.
        """
        return self._reservation(self._check(self._reserved(task, worker), within))

    async def wait_until_reserved(
        self,
        task: TaskHandle | str,
        worker: WorkerHandle | str | None = None,
        *,
        timeout: float = WAIT_SECONDS,
    ) -> ReservationHandle:
        """Wait until `assert_reserved` holds."""
        return self._reservation(await self._wait(self._reserved(task, worker), timeout))

    def assert_not_reserved(
        self, task: TaskHandle | str, worker: WorkerHandle | str | None = None, *, within: float = 0.0
    ) -> None:
        """The task has no live reservation, or none for this worker."""
        self._check(self._not_reserved(task, worker), within)

    async def wait_until_not_reserved(
        self,
        task: TaskHandle | str,
        worker: WorkerHandle | str | None = None,
        *,
        timeout: float = WAIT_SECONDS,
    ) -> None:
        """Wait until `assert_not_reserved` holds."""
        await self._wait(self._not_reserved(task, worker), timeout)

    def assert_accepted(
        self, task: TaskHandle | str, worker: WorkerHandle | str | None = None, *, within: float = 0.0
    ) -> ReservationHandle:
        """The task was accepted, by this worker if one is given; it may be wrapping or completed since."""
        return self._reservation(self._check(self._became(task, worker, _ACCEPTED, "was accepted"), within))

    async def wait_until_accepted(
        self,
        task: TaskHandle | str,
        worker: WorkerHandle | str | None = None,
        *,
        timeout: float = WAIT_SECONDS,
    ) -> ReservationHandle:
        """Wait until `assert_accepted` holds."""
        return self._reservation(
            await self._wait(self._became(task, worker, _ACCEPTED, "was accepted"), timeout)
        )

    def assert_rejected(
        self, task: TaskHandle | str, worker: WorkerHandle | str | None = None, *, within: float = 0.0
    ) -> ReservationHandle:
        """A reservation of the task was rejected, by this worker if one is given."""
        return self._reservation(self._check(self._became(task, worker, _REJECTED, "was rejected"), within))

    async def wait_until_rejected(
        self,
        task: TaskHandle | str,
        worker: WorkerHandle | str | None = None,
        *,
        timeout: float = WAIT_SECONDS,
    ) -> ReservationHandle:
        """Wait until `assert_rejected` holds."""
        return self._reservation(
            await self._wait(self._became(task, worker, _REJECTED, "was rejected"), timeout)
        )

    def assert_timed_out(
        self, task: TaskHandle | str, worker: WorkerHandle | str | None = None, *, within: float = 0.0
    ) -> ReservationHandle:
        """A reservation of the task timed out, of this worker if one is given."""
        return self._reservation(self._check(self._became(task, worker, _TIMED_OUT, "timed out"), within))

    async def wait_until_timed_out(
        self,
        task: TaskHandle | str,
        worker: WorkerHandle | str | None = None,
        *,
        timeout: float = WAIT_SECONDS,
    ) -> ReservationHandle:
        """Wait until `assert_timed_out` holds."""
        return self._reservation(
            await self._wait(self._became(task, worker, _TIMED_OUT, "timed out"), timeout)
        )

    # --- Tasks --------------------------------------------------------------------------------

    def assert_queued(
        self, task: TaskHandle | str, queue: QueueHandle | str | None = None, *, within: float = 0.0
    ) -> None:
        """The task waits in a queue, in this one if it is given, and is not reserved."""
        self._check(self._queued(task, queue), within)

    async def wait_until_queued(
        self,
        task: TaskHandle | str,
        queue: QueueHandle | str | None = None,
        *,
        timeout: float = WAIT_SECONDS,
    ) -> None:
        """Wait until `assert_queued` holds."""
        await self._wait(self._queued(task, queue), timeout)

    def assert_completed(
        self, task: TaskHandle | str, *, reason: str | None = None, within: float = 0.0
    ) -> None:
        """The task is completed, for this reason if one is given."""
        self._check(self._ended(task, TaskStatus.COMPLETED, reason), within)

    async def wait_until_completed(
        self, task: TaskHandle | str, *, reason: str | None = None, timeout: float = WAIT_SECONDS
    ) -> None:
        """Wait until `assert_completed` holds."""
        await self._wait(self._ended(task, TaskStatus.COMPLETED, reason), timeout)

    def assert_canceled(
        self, task: TaskHandle | str, *, reason: str | None = None, within: float = 0.0
    ) -> None:
        """The task is canceled, for this reason if one is given."""
        self._check(self._ended(task, TaskStatus.CANCELED, reason), within)

    async def wait_until_canceled(
        self, task: TaskHandle | str, *, reason: str | None = None, timeout: float = WAIT_SECONDS
    ) -> None:
        """Wait until `assert_canceled` holds."""
        await self._wait(self._ended(task, TaskStatus.CANCELED, reason), timeout)

    # --- Workers, and anything ----------------------------------------------------------------

    def assert_activity(
        self, worker: WorkerHandle | str, activity: ActivityHandle | str, *, within: float = 0.0
    ) -> None:
        """The worker is in that activity, given by handle, SID or name."""
        self._check(self._in_activity(worker, activity), within)

    async def wait_until_activity(
        self, worker: WorkerHandle | str, activity: ActivityHandle | str, *, timeout: float = WAIT_SECONDS
    ) -> None:
        """Wait until `assert_activity` holds."""
        await self._wait(self._in_activity(worker, activity), timeout)

    async def wait_until(self, condition: Callable[[], object], *, timeout: float = WAIT_SECONDS) -> None:
        """Wait until `condition` holds: ``await taskrouter.wait_until(lambda: len(queue.tasks) == 3)``.

        It is called in the server's thread, after each command of the workspace and every few
        milliseconds: let it only look.

        Raises:
            AssertionError: it did not hold within `timeout` seconds; the text holds the last events.
            TypeError: it is a coroutine function.
        """
        await self._wait(self._holds(condition), timeout)

    def assert_that(self, condition: Callable[[], object], *, within: float = 0.0) -> None:
        """`condition` holds: ``taskrouter.assert_that(lambda: calls, within=5)``; see `wait_until`."""
        self._check(self._holds(condition), within)

    # --- What each one means ------------------------------------------------------------------

    @staticmethod
    def _holds(condition: Callable[[], object]) -> _Expectation[object]:
        def look(_: Workspace) -> object | None:
            found = condition()
            if inspect.iscoroutine(found):
                found.close()
                raise TypeError("the condition must not be a coroutine function: it is called, not awaited")
            return found or None

        return _Expectation("the condition holds", look, is_anything=True)

    def _reserved(self, task: TaskHandle | str, worker: WorkerHandle | str | None) -> _Expectation[str]:
        return self._became(task, worker, RESERVATION_LIVE, "is reserved")

    def _not_reserved(self, task: TaskHandle | str, worker: WorkerHandle | str | None) -> _Expectation[bool]:
        reserved = self._reserved(task, worker)
        return _Expectation(
            reserved.claim.replace(" is reserved", " is not reserved"),
            lambda ws: None if reserved.look(ws) else True,
            reserved.task,
            reserved.worker,
        )

    def _became(
        self,
        task: TaskHandle | str,
        worker: WorkerHandle | str | None,
        statuses: Collection[ReservationStatus],
        verb: str,
    ) -> _Expectation[str]:
        task_sid, claim, worker_sid = self._task_sid(task), "", None
        if worker is not None:
            worker_sid, name = self._desk.ask(lambda ws: _worker(ws, worker))
            claim = f" {'for' if 'reserved' in verb else 'by'} {name} ({worker_sid})"

        def is_it(reservation: Reservation) -> bool:
            return reservation.status in statuses and worker_sid in (None, reservation.worker.sid)

        def look(ws: Workspace) -> str | None:
            found = ws.tasks.get(task_sid)
            made = [] if found is None else [*found.reservations.values()]
            return next((r.sid for r in reversed(made) if is_it(r)), None)

        return _Expectation(f"task {task_sid} {verb}{claim}", look, task_sid, worker_sid)

    def _queued(self, task: TaskHandle | str, queue: QueueHandle | str | None) -> _Expectation[bool]:
        task_sid, claim, queue_sid = self._task_sid(task), "waits in a queue", None
        if queue is not None:
            found = self._desk.ask(
                lambda ws: find(ws.task_queues, queue, "task queue", lambda one: one.friendly_name)
            )
            queue_sid, claim = found.sid, f"waits in queue {found.friendly_name} ({found.sid})"

        def look(ws: Workspace) -> bool | None:
            task = ws.tasks.get(task_sid)
            if task is None or task.queue is None or task.status is not TaskStatus.PENDING:
                return None
            return queue_sid in (None, task.queue.sid) or None

        return _Expectation(f"task {task_sid} {claim}", look, task_sid)

    def _ended(self, task: TaskHandle | str, status: TaskStatus, reason: str | None) -> _Expectation[bool]:
        task_sid = self._task_sid(task)
        handle = TaskHandle(self._desk, task_sid)
        why = "" if reason is None else f" for the reason {reason!r}"

        def look(ws: Workspace) -> bool | None:
            found = ws.tasks.get(task_sid)
            if found is not None:
                return (found.status is status and reason in (None, found.reason)) or None
            try:  # it was deleted since; its end is remembered
                return (handle.status == status and reason in (None, handle.reason)) or None
            except LookupError:
                return None

        return _Expectation(f"task {task_sid} is {status}{why}", look, task_sid)

    def _in_activity(self, worker: WorkerHandle | str, activity: ActivityHandle | str) -> _Expectation[bool]:
        worker_sid, name = self._desk.ask(lambda ws: _worker(ws, worker))
        wanted = self._desk.ask(
            lambda ws: find(ws.activities, activity, "activity", lambda one: one.friendly_name)
        )
        return _Expectation(
            f"worker {name} ({worker_sid}) is in activity {wanted.friendly_name}",
            lambda ws: ws.worker(worker_sid).activity.sid == wanted.sid or None,
            worker=worker_sid,
        )

    def _task_sid(self, task: TaskHandle | str) -> str:
        if isinstance(task, TaskHandle):
            if task.workspace_sid != self._desk.sid:
                raise LookupError(
                    f"task {task.sid} is of workspace {task.workspace_sid}, not of {self._desk.sid}"
                )
            return task.sid
        if self._desk.ask(lambda ws: task in ws.tasks):
            return task
        if any(event.resource_sid == task for event in self._desk.history()):
            return task  # it was there
        raise LookupError(f"there is no task {task!r} in this workspace")

    def _reservation(self, sid: str) -> ReservationHandle:
        return ReservationHandle(self._desk, sid)

    # --- Looking and waiting ------------------------------------------------------------------

    def _check(self, expectation: _Expectation[T], within: float) -> T:
        if within <= 0:
            found = self._desk.ask(expectation.look)
        else:
            _refuse_loop()
            until = time.monotonic() + within
            watcher, future = self._watch(expectation)
            try:
                while not future.done() and (left := until - time.monotonic()) > 0:
                    wait([future], min(left, POLL_SECONDS) if expectation.is_anything else left)
                    if expectation.is_anything:
                        self._desk.ask(watcher)
                found = outcome(future) if future.done() else None
            finally:
                self._desk.server.unwatch(self._desk.sid, watcher)
        if found is None:
            raise AssertionError(self._failure(expectation, within))
        return found

    async def _wait(self, expectation: _Expectation[T], timeout: float) -> T:
        watcher, future = self._watch(expectation)
        coming = asyncio.wrap_future(future)
        try:
            async with asyncio.timeout(timeout):
                while expectation.is_anything and not coming.done():
                    await asyncio.wait([coming], timeout=POLL_SECONDS)
                    self._desk.ask(watcher)
                return await coming
        except TimeoutError:
            if coming.done() and not coming.cancelled():
                raise  # the condition's own
            raise AssertionError(self._failure(expectation, timeout)) from None
        finally:
            coming.cancel()
            self._desk.server.unwatch(self._desk.sid, watcher)

    def _watch(self, expectation: _Expectation[T]) -> tuple[Callable[[Workspace], None], Future[T]]:
        """Look now and after each command; the future has what is found first."""
        future: Future[T] = Future()

        def look(workspace: Workspace) -> None:
            if future.done():
                return
            try:
                found = expectation.look(workspace)
            except BaseException as error:  # noqa: BLE001 - it is raised in the test, as `pytest.fail` would be
                if isinstance(error, StopIteration):
                    error = RuntimeError("the condition raised StopIteration")  # no coroutine can raise it
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)
                return
            if found is not None and future.set_running_or_notify_cancel():
                future.set_result(found)

        self._desk.server.watch(self._desk.sid, look)
        self._desk.ask(look)
        return look, future

    def _failure(self, expectation: _Expectation[T], waited: float) -> str:
        when = f" within {waited:g} s" if waited > 0 else ""
        lines = [f"expected that {expectation.claim}{when}: it is not so"]
        if expectation.task is not None:
            lines += ["", "The router says:"]
            lines += [f"  {line}" for line in explanation(self._desk, expectation.task, expectation.worker)]
            lines += ["", "What happened to the task:"]
            lines += [f"  {line}" for line in task_history(self._desk, expectation.task)]
        else:
            about = expectation.worker
            events = [e for e in self._desk.since_set_up() if about is None or e.names(about, "worker_sid")]
            lines += ["", "What happened:"]
            lines += [f"  {line}" for line in event_lines(events, self._desk.start)]
        if failed := callback_lines(self._desk):
            lines += ["", "Callbacks that failed:"]
            lines += [f"  {line}" for line in failed]
        return "\n".join(lines)


def _worker(workspace: Workspace, wanted: WorkerHandle | str) -> tuple[str, str]:
    found = find(workspace.workers, wanted, "worker", lambda one: one.friendly_name)
    return found.sid, found.friendly_name


def _refuse_loop() -> None:
    if is_awaited_by_a_loop():
        raise RuntimeError("`within` would block the event loop that runs here: use `await wait_until_...`")
