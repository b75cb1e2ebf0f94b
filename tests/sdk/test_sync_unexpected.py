"""Workers without asyncio and what comes at the wrong moment: nested, interrupted, before there is a loop."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast, overload

import pytest

from taskrouter_worker import (
    Disconnect,
    NetworkError,
    NotConnectedError,
    NotFoundError,
    SessionState,
    SyncWorker,
    SyncWorkspace,
)
from taskrouter_worker._facade import Facade, Facades
from taskrouter_worker._loop_thread import LoopThread
from taskrouter_worker._signaling import Connection
from taskrouter_worker._token import Token
from taskrouter_worker.sync import SyncReservation
from taskrouter_worker.telemetry import Telemetry
from tests.sdk.peer import Peer, virtual_worker
from tests.sdk.world import sid

PATIENCE = 30.0


def worker_of(peer: Peer, **options: Any) -> SyncWorker:
    """A worker whose two seams lead to `peer`, which lives in the worker's thread."""
    worker = SyncWorker("token", reconnect_backoff=lambda _: 0.1, **options)
    other = virtual_worker(peer)
    worker._live._transport = worker._live._commands._transport = other._transport
    worker._live._session._signaling = peer
    return worker


def result_of(call: Callable[[], object]) -> object:
    """The result of a call that may hang, or what it raised; fails if it hangs."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - it is looked at in the test's own thread
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"
    return results[0]


# process_events


def test_a_handler_may_process_events_itself_and_their_order_stays() -> None:
    worker = SyncWorker("token")
    told: list[str] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: told.append(name)

    @worker.once("tokenUpdated")
    def dialog() -> None:
        worker.once("tokenUpdated", note("third"))
        worker.update_token("third")
        end = time.monotonic() + PATIENCE
        while "third" not in told and time.monotonic() < end:
            worker.process_events(timeout=0.1)

    worker.update_token("first")
    worker.once("tokenUpdated", note("second"))
    worker.update_token("second")
    assert worker.process_events() == 1
    assert told == ["second", "third"]
    worker.disconnect()


def test_an_interrupted_handler_takes_no_other_event_along() -> None:
    worker = SyncWorker("token")
    told: list[int] = []

    @worker.on("tokenUpdated")
    def interrupted() -> None:
        told.append(len(told))
        if len(told) == 1:
            raise KeyboardInterrupt

    for number in range(3):
        worker.update_token(f"token-{number}")
    with pytest.raises(KeyboardInterrupt):
        worker.process_events()
    assert worker.process_events() == 2
    assert told == [0, 1, 2]
    worker.disconnect()


def test_nobody_waits_for_events_of_a_worker_that_will_never_start(tmp_path: Path) -> None:
    worker = SyncWorker("token", record=tmp_path / "session.jsonl")
    assert worker.disconnect()
    assert result_of(lambda: worker.process_events(timeout=None)) == 0
    assert worker.state is SessionState.CLOSED
    assert '"type": "end"' in (tmp_path / "session.jsonl").read_text()


@pytest.mark.parametrize("step", range(1, 12))
def test_a_signals_handler_may_disconnect_at_any_step_of_processing_events(step: int) -> None:
    worker = worker_of(Peer())
    left: list[bool] = []
    steps = itertools.count(1)

    def come_in(frame: FrameType, event: str, _: object) -> Any:  # Any: as tracing functions are typed
        if not frame.f_code.co_qualname.startswith("Inbox."):
            return None
        if event == "line" and next(steps) == step:
            sys.settrace(None)
            left.append(worker.disconnect(timeout=PATIENCE))
        return come_in

    with worker:
        worker.update_token("another")
        before = sys.gettrace()
        sys.settrace(come_in)
        try:
            worker.process_events()
            worker.process_events(timeout=0.01)
        finally:
            sys.settrace(before)
    assert left == [True]


# The end, at any moment


def interrupted(use: Callable[[], object], step: int, come_in: Callable[[], object]) -> int:
    """Make calls of the blocking classes, and have a signal's handler come in before their `step`th line.

    Returns:
        How many lines there were.
    """
    lines = 0
    parts = ("_facade.py", "_loop_thread.py", "threading.py", "concurrent/futures/_base.py")

    def look(frame: FrameType, event: str, _: object) -> Any:  # Any: as tracing functions are typed
        nonlocal lines
        if not frame.f_code.co_filename.endswith(parts):
            return None
        if event == "line":
            lines += 1
            if lines == step:
                sys.settrace(None)
                come_in()
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        with contextlib.suppress(NotConnectedError, NetworkError):
            use()
    finally:
        sys.settrace(before)
    return lines


def at_each_line(one: Callable[[int], int]) -> None:
    """Call `one` for each line that it counts: 100 at least, or what was to be looked at is not there."""
    step, lines = 1, one(0)
    assert lines >= 100
    while step <= lines:
        one(step)
        step += 1


def test_a_signals_handler_may_disconnect_at_any_line_of_a_call() -> None:
    def one(step: int) -> int:
        worker = worker_of(Peer())
        left: list[bool] = []

        def use() -> None:
            worker.update_token("another")
            worker.on("tokenUpdated", print)
            assert worker.activity is not None
            worker.submit(worker.fetch_latest_version)
            worker.fetch_latest_version()

        with worker:
            lines = interrupted(use, step, lambda: left.append(worker.disconnect(timeout=PATIENCE)))
        assert left == [True] * min(step, 1), step
        return lines

    at_each_line(one)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system makes processes in other ways")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_is_told_that_it_has_no_worker_and_leaves_the_parents_alone() -> None:
    worker = worker_of(Peer())
    workspace = SyncWorkspace("token", sid("WS", 1))
    reading, writing = os.pipe()

    def told(use: Callable[[], object]) -> str:
        try:
            return repr(use())
        except NotConnectedError as error:
            return str(error)

    with worker, workspace:
        worker.on("tokenUpdated", lambda: None)
        worker.update_token("another")  # its handler waits for process_events: the parent's alone
        workspace._own_thread.begin(workspace._own_thread._body)
        child = os.fork()
        if child == 0:
            signal.alarm(int(PATIENCE))  # ends it if it hangs
            answers = [
                told(worker.fetch_latest_version),
                told(lambda: worker.submit(worker.fetch_latest_version)),
                told(lambda: worker.update_token("another")),
                told(lambda: worker.on("ready", print)),
                told(lambda: workspace.fetch_task(sid("WT", 1))),
                told(lambda: worker.process_events(timeout=None)),
                told(worker.disconnect),
                told(workspace.close),
            ]
            os.write(writing, "\n".join(answers).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answered:
            answers = answered.read().splitlines()
        assert os.waitpid(child, 0)[1] == 0
        assert worker.fetch_latest_version() is worker
        assert worker.process_events() == 1
    why = "its thread runs in the process that this one was forked from: make a new object here"
    assert answers == [*[why] * 5, "0", "True", "True"]


def test_a_loop_that_breaks_was_started_although_somebody_asks_at_that_moment_whether_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []

    def tell(it: threading.ExceptHookArgs) -> None:
        told.append(it.exc_type)

    monkeypatch.setattr(threading, "excepthook", tell)
    thread, go_on = LoopThread(name="loop", show=lambda it: it, command_timeout=None), threading.Event()

    async def body() -> None:
        go_on.wait(PATIENCE)
        thread._beginnings[None].outcome.get()  # who asks puts it back
        raise LookupError

    thread.start(body)
    go_on.set()
    assert thread.join(PATIENCE)
    assert thread.was_started
    assert told == [LookupError]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system makes processes in other ways")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_while_the_thread_began_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace = SyncWorkspace("token", sid("WS", 1))
    thread, began, go_on = workspace._own_thread, threading.Event(), threading.Event()
    main = thread._main

    def held(body: Any) -> None:
        began.set()
        go_on.wait(PATIENCE)
        main(body)

    monkeypatch.setattr(thread, "_main", held)
    starting = threading.Thread(target=thread.begin, args=(thread._body,))
    with workspace:
        starting.start()
        assert began.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            signal.alarm(int(PATIENCE))  # ends it if it hangs
            try:
                workspace.fetch_task(sid("WT", 1))
            except NotConnectedError:
                os._exit(0)
            os._exit(1)
        go_on.set()
        assert os.waitpid(child, 0)[1] == 0
        starting.join(PATIENCE)


def test_a_signals_handler_may_close_a_workspace_at_any_line_of_a_call() -> None:
    def one(step: int) -> int:
        workspace = SyncWorkspace("token", sid("WS", 1))
        left: list[bool] = []

        def use() -> None:
            with pytest.raises(NotFoundError):
                workspace.fetch_task(sid("WT", 1))
            workspace.update_token("another")
            workspace.submit(workspace.fetch_task, sid("WT", 1))

        def come_in() -> None:
            about_to_start = not workspace._own_thread.is_alive  # then it ends as soon as it has
            left.append(workspace.close(timeout=PATIENCE) or about_to_start)

        peer = Peer()
        peer.fail("Tasks", *[NotFoundError("none", method="GET", path="Tasks", status=404) for _ in range(2)])
        with workspace:
            workspace._workspace._commands._transport = virtual_worker(peer)._transport
            lines = interrupted(use, step, come_in)
        assert left == [True] * min(step, 1), step
        assert not workspace._own_thread.is_alive
        return lines

    at_each_line(one)


# The start


# asyncio leaves the loop half made, which then complains about itself.
@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*BaseEventLoop:pytest.PytestUnraisableExceptionWarning"
)
def test_a_start_without_an_event_loop_is_an_error_and_hangs_nobody() -> None:
    worker = SyncWorker("token")
    resource = pytest.importorskip("resource", reason="Windows has no limit of open files to reach")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        outcome = result_of(worker.start)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(outcome, OSError)
    del outcome
    gc.collect()
    with pytest.raises(NotConnectedError, match="not started"):
        worker.fetch_latest_version()
    assert result_of(worker.disconnect) is True
    assert result_of(lambda: worker.process_events(timeout=None)) == 0


def test_an_end_that_is_asked_for_before_there_is_a_loop_is_not_forgotten() -> None:
    worker = worker_of(Peer())
    go, held, free = threading.Event(), threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        """Hold the worker's thread up at its first step."""
        sys.setprofile(None)
        held.set()
        free.wait(PATIENCE)

    def start() -> None:
        go.wait(PATIENCE)
        worker.start()

    starting = threading.Thread(target=start)
    starting.start()
    threading.setprofile(hold)
    try:
        go.set()
        assert held.wait(PATIENCE)
    finally:
        threading.setprofile(None)
    ending = threading.Thread(target=worker.disconnect, daemon=True)
    ending.start()
    while not worker._leaving:
        time.sleep(0.001)
    free.set()
    ending.join(PATIENCE)
    assert not ending.is_alive(), "it hangs"
    starting.join(PATIENCE)
    assert worker.state is SessionState.CLOSED


class _Early(Sequence[signal.Signals]):
    """One signal, which comes as soon as it is listened to."""

    def __iter__(self) -> Iterator[signal.Signals]:
        yield signal.SIGTERM
        signal.raise_signal(signal.SIGTERM)

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> signal.Signals: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[signal.Signals]: ...
    def __getitem__(self, index: int | slice) -> signal.Signals | Sequence[signal.Signals]:
        return [signal.SIGTERM][index]


def test_a_signal_that_comes_before_there_is_a_loop_is_not_forgotten() -> None:
    worker = worker_of(Peer())
    too_late = threading.Timer(PATIENCE, worker.disconnect)
    too_late.start()
    worker.run(signals=_Early())
    assert too_late.is_alive(), "it ran on"
    too_late.cancel()
    too_late.join()


class _Asking(Peer):
    """Asks the program to end as soon as it connects."""

    async def open(self, token: Token, *, close_existing_sessions: bool) -> Connection:
        signal.raise_signal(signal.SIGTERM)
        return await super().open(token, close_existing_sessions=close_existing_sessions)


def test_a_signal_while_it_connects_ends_a_run_without_an_error() -> None:
    worker = worker_of(_Asking(greeting=None))
    worker.run(signals=[signal.SIGTERM])
    assert worker.state is SessionState.CLOSED


def test_a_signal_in_a_gap_drains_as_at_any_other_time() -> None:
    peer = Peer()
    worker = worker_of(peer)
    told: list[str] = []

    @worker.on("reservationCreated")
    def accept(reservation: SyncReservation) -> None:
        reservation.accept()
        worker._thread.do(peer.close)

    @worker.on("disconnected")
    def gap(disconnect: Disconnect) -> None:
        if disconnect.will_reconnect:
            told.append("asked to stop")
            signal.raise_signal(signal.SIGTERM)

    @worker.on("activityUpdated")
    def resting(changed: SyncWorker) -> None:
        for reservation in changed.reservations.values():
            told.append("completed")
            reservation.complete()

    worker.once("ready", lambda _: worker._thread.do(lambda: peer.push(peer.world.create_reservation())))
    worker.run(signals=[signal.SIGTERM])
    assert told == ["asked to stop", "completed"]


# Handlers


def test_what_a_handler_holds_goes_with_it() -> None:
    worker = SyncWorker("token")

    class Held:
        def told(self) -> None:
            pass

    once, taken_back = Held(), Held()
    gone = [weakref.ref(once), weakref.ref(taken_back)]
    worker.once("tokenUpdated", once.told)
    worker.update_token("another")
    worker.process_events()
    handler = worker.on("tokenUpdated", taken_back.told)
    worker.remove_listener("tokenUpdated", handler)
    del once, taken_back, handler
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    worker.disconnect()


def test_an_object_with_a_coroutine_for_a_call_is_no_handler_here() -> None:
    class Handler:
        async def __call__(self, *_: object) -> None:
            """Never called."""

    worker = SyncWorker("token")
    handler = cast("Any", Handler())
    with pytest.raises(TypeError, match="plain function"):
        worker.on("tokenUpdated", handler)
    with pytest.raises(TypeError, match="plain function"):
        worker.when_done(cast("Any", None), handler)
    worker.disconnect()


def test_telemetry_of_an_event_before_the_first_ready_harms_no_handler() -> None:
    worker = SyncWorker("token", telemetry=Telemetry())
    told: list[str] = []

    @worker.on("tokenUpdated")
    def updated() -> None:
        told.append("updated")

    worker.update_token("another")
    assert worker.process_events() == 1
    assert told == ["updated"]
    worker.disconnect()


def test_a_signals_handler_may_look_at_objects_while_one_is_about_to_be_shown() -> None:
    class Live:
        pass

    class Shown(Facade[Live]):
        def __init__(self, thread: LoopThread, live: Live) -> None:
            super().__init__(thread, live)
            seen.append(self)
            if len(seen) == 1:  # as a signal's handler, which comes at any moment
                seen.append(facades.show(thread, live))

    seen: list[Shown] = []
    facades = Facades({Live: Shown})
    live = Live()
    thread = LoopThread(name="none", show=lambda value: value, command_timeout=None)
    assert result_of(lambda: facades.show(thread, live)) is seen[-1]
    assert facades.show(thread, live) is seen[-1]
