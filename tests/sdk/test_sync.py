"""Workers without asyncio: scripts that block, windows that may not, and nothing left behind."""

from __future__ import annotations

import asyncio
import inspect
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from twilio.rest import Client

from server_stub import StubServer
from server_stub.faults import FaultyRequest, RequestFault
from taskrouter_worker import (
    EndedOtherwiseError,
    HandlerError,
    InvalidTokenError,
    NotConnectedError,
    NotFoundError,
    RequestInvalidError,
    SessionDisplacedError,
    SessionState,
    StreamOverflowError,
    SyncSupervisor,
    SyncWorker,
    TaskRouterError,
    WorkerInfo,
)
from taskrouter_worker.activity import Activity
from taskrouter_worker.channel import Channel
from taskrouter_worker.reservation import Reservation
from taskrouter_worker.supervisor import Supervisor
from taskrouter_worker.sync import (
    SyncActivity,
    SyncChannel,
    SyncOutgoingTransfer,
    SyncReservation,
    SyncTask,
    SyncTransfers,
    SyncWorkspace,
    SyncWorkspaceReader,
)
from taskrouter_worker.task import Task
from taskrouter_worker.transfer import OutgoingTransfer, Transfers
from taskrouter_worker.worker import Worker
from taskrouter_worker.workspace import Workspace, WorkspaceReader
from tests.sdk.office import RestOffice

PATIENCE = 30.0


@pytest.fixture
def office(threaded_server: StubServer, twilio_client: Client) -> RestOffice:
    return RestOffice(threaded_server, twilio_client)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No thread and no event loop outlives a worker."""
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and "taskrouter" in t.name]
    assert left == []


def worker_of(office: RestOffice, **options: Any) -> SyncWorker:
    """A worker that is not connected yet."""
    return SyncWorker(office.token(office.hire()), **office.options(**options))


def process_until(worker: SyncWorker, done: Callable[[], object]) -> None:
    """Process events until something is true."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "it never happened"
        worker.process_events(timeout=0.1)


# Commands and what is shown


def test_a_script_accepts_and_completes(office: RestOffice) -> None:
    worker = worker_of(office)
    told: list[str] = []

    @worker.on("reservationCreated")
    def handle(reservation: SyncReservation) -> None:
        told.append(f"created {reservation.status} {reservation.origin}")
        reservation.on("completed", lambda r: told.append(f"completed {r.status}"))
        assert reservation.accept() is reservation
        assert reservation.status == "accepted"
        assert reservation.task.attributes == {"topic": "cards"}
        assert reservation.task.complete("done") is reservation.task

    with worker:
        task_sid = office.task(topic="cards")
        process_until(worker, lambda: len(told) == 2)
        assert worker.reservations == {}
    assert told == ["created pending event", "completed completed"]
    assert office.status(task_sid) == "completed"
    assert worker.state is SessionState.CLOSED


def test_it_shows_what_the_asynchronous_worker_shows(office: RestOffice) -> None:
    with worker_of(office) as worker:
        live = worker._live
        for name in (
            "sid",
            "worker_sid",
            "workspace_sid",
            "account_sid",
            "name",
            "version",
            "attributes",
            "state",
        ):
            assert getattr(worker, name) == getattr(live, name)
        assert worker.connect_activity_sid is None
        assert worker.activity is worker.activities[worker.activity_sid]
        assert isinstance(worker.activity, SyncActivity)
        assert worker.activity.is_current
        assert worker.activity.name == "Available"
        [channel] = [c for c in worker.channels.values() if c.task_channel_unique_name == "default"]
        assert isinstance(channel, SyncChannel)
        assert channel.capacity >= 1
        resting = next(a for a in worker.activities.values() if not a.available)
        assert resting.set_as_current() is resting
        assert worker.activity is resting
        assert worker.set_attributes({"level": 3}) is worker
        assert worker.fetch_latest_version().attributes == {"level": 3}


def test_live_objects_have_one_facade_each(office: RestOffice) -> None:
    with worker_of(office) as worker:
        stream = worker.stream("reservationCreated")
        office.task()
        reservation = next(stream)
        assert worker.reservations[reservation.sid] is reservation
        assert reservation.task is worker.reservations[reservation.sid].task
        assert reservation.task.reservation_sid == reservation.sid
        assert reservation.task.transfers.outgoing is None
        assert reservation.task.transfers.incoming is None
        assert reservation.transfer is None
        assert reservation.outcome is None
        assert repr(reservation).startswith("<SyncReservation WR")


def test_errors_keep_their_types(office: RestOffice) -> None:
    with worker_of(office) as worker:
        stream = worker.stream("reservationCreated")
        office.task()
        reservation = next(stream)
        with pytest.raises(ValueError, match="activity_sid"):
            reservation.reject(activity_sid="WA1")
        with pytest.raises(RequestInvalidError) as caught:
            reservation.complete()
        assert caught.value.status == 400
        with pytest.raises(TypeError, match="attributes"):
            worker.set_attributes(["no dict"])  # type: ignore[arg-type]
        with pytest.raises(RequestInvalidError):
            worker.create_task("a", "b", "WW" + "0" * 32, "WQ" + "0" * 32)


def test_a_lost_answer_is_looked_after_as_in_the_asynchronous_worker(office: RestOffice) -> None:
    with worker_of(office) as worker:
        stream = worker.stream("reservationCreated")
        task_sid = office.task()
        reservation = next(stream)

        def fault(request: FaultyRequest) -> RequestFault | None:
            return (
                RequestFault(cut="before") if request.door == "bridge" and request.method == "POST" else None
            )

        office.server.faults.request = fault
        office.workspace.tasks(task_sid).update(assignment_status="canceled")
        with pytest.raises((EndedOtherwiseError, NotFoundError)):
            reservation.accept()
        office.server.faults.request = None


def test_a_supervisor_changes_others(office: RestOffice) -> None:
    other = office.hire("otto")
    boss = SyncSupervisor(
        office.token(office.hire("boss"), role="supervisor"), **office.options(deliver=None)
    )
    with boss:
        changed = boss.set_worker_attributes(other, {"level": 2})
        assert isinstance(changed, WorkerInfo)
        assert changed.attributes == {"level": 2}
        offline = next(a for a in boss.activities.values() if a.name == "Offline")
        assert boss.set_worker_activity(other, offline.sid).activity_name == "Offline"


# Blocking, waiting, and not blocking


def test_submit_returns_at_once(office: RestOffice) -> None:
    with worker_of(office) as worker:
        stream = worker.stream("reservationCreated")
        office.task()
        reservation = next(stream)
        future = worker.submit(reservation.accept)
        assert isinstance(future, Future)
        assert future.result(PATIENCE) is reservation
        refused = worker.submit(reservation.reject, activity_sid="WA1")
        assert isinstance(refused.exception(PATIENCE), ValueError)
        with pytest.raises(TypeError, match="takes a command"):
            worker.submit(print)  # type: ignore[arg-type]


def test_a_command_that_takes_too_long_is_given_up(office: RestOffice) -> None:
    with worker_of(office, command_timeout=0.2) as worker:
        office.server.faults.request = lambda _: RequestFault(delay=5)
        with pytest.raises(TimeoutError, match=r"0\.2 s"):
            worker.set_attributes({})
        office.server.faults.request = None


def test_waits_have_limits_of_their_own(office: RestOffice) -> None:
    with worker_of(office, command_timeout=0.01) as worker:
        with pytest.raises(TimeoutError):
            worker.wait_for("reservationCreated", timeout=0.1)
        with pytest.raises(TimeoutError):
            worker.wait_for_state("closed", timeout=0.1)
        with pytest.raises(TimeoutError):
            worker.wait_closed(timeout=0.1)
        assert worker.wait_for_state("ready", timeout=PATIENCE) == "ready"
        with pytest.raises(ValueError, match="at least one"):
            worker.wait_for()


def test_a_stream_blocks_and_ends_with_the_worker(office: RestOffice) -> None:
    seen: list[str] = []
    with ThreadPoolExecutor(1) as threads, worker_of(office) as worker:
        stream = worker.stream("reservationCreated")
        reading = threads.submit(lambda: seen.extend(r.task.sid for r in stream))
        expected = [office.task() for _ in range(3)]
        process_until(worker, lambda: len(worker.reservations) == 3)
        worker.disconnect()
        reading.result(PATIENCE)
    assert seen == expected


def test_what_waits_in_a_stream_is_delivered_after_the_end(office: RestOffice) -> None:
    with worker_of(office) as worker:
        whole = worker.stream("reservationCreated")
        short = worker.stream("reservationCreated", max_buffer=1)
        dropping = worker.stream("reservationCreated", max_buffer=1, overflow="drop_oldest")
        expected = [office.task() for _ in range(2)]
        process_until(worker, lambda: len(worker.reservations) == 2)
    assert [r.task.sid for r in whole] == expected
    assert next(short).task.sid == expected[0]
    with pytest.raises(StreamOverflowError):
        next(short)
    assert [r.task.sid for r in dropping] == expected[1:]
    assert dropping.dropped == 1
    assert list(whole) == []


def test_a_closed_stream_is_over(office: RestOffice) -> None:
    with worker_of(office) as worker, worker.stream("reservationCreated") as stream:
        stream.close()
        assert list(stream) == []


# Handlers


def test_handlers_run_in_the_thread_that_processes_events(office: RestOffice) -> None:
    worker = worker_of(office)
    threads: list[threading.Thread] = []
    worker.on("ready", lambda _: threads.append(threading.current_thread()))
    with worker:
        process_until(worker, lambda: threads)
    assert threads == [threading.current_thread()]


def test_handlers_run_where_deliver_puts_them(office: RestOffice) -> None:
    calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
    ran_in: list[str] = []

    def window() -> None:
        while (call := calls.get()) is not None:
            call()

    thread = threading.Thread(target=window, name="window")
    thread.start()
    worker = worker_of(office, deliver=calls.put)
    accepted = threading.Event()

    @worker.on("reservationCreated")
    def accept(reservation: SyncReservation) -> None:
        ran_in.append(threading.current_thread().name)
        worker.submit(reservation.accept).add_done_callback(lambda _: accepted.set())

    with worker:
        with pytest.raises(RuntimeError, match="deliver"):
            worker.process_events()
        office.task()
        assert accepted.wait(PATIENCE)
    calls.put(None)
    thread.join()
    assert ran_in == ["window"]


def test_a_deliver_that_raises_is_logged_and_disturbs_nothing(
    office: RestOffice, caplog: pytest.LogCaptureFixture
) -> None:
    def deliver(_: Callable[[], object]) -> None:
        raise RuntimeError("the window is gone")

    worker = worker_of(office, deliver=deliver)
    worker.on("ready", print)
    worker.on("error", print)  # another call that cannot be delivered
    with worker:
        assert worker.set_attributes({"level": 1}).attributes == {"level": 1}
    assert caplog.text.count("deliver raised") == 1
    assert "the window is gone" in caplog.text


def test_an_answer_is_handed_to_where_handlers_are_called(office: RestOffice) -> None:
    heard: list[tuple[object, threading.Thread]] = []
    errors: list[TaskRouterError] = []
    worker = worker_of(office)
    worker.on("error", errors.append)
    with worker:
        future = worker.submit(worker.set_attributes, {"level": 1})
        worker.when_done(future, lambda done: heard.append((done.result(), threading.current_thread())))
        worker.when_done(future, lambda _: 1 / 0)
        process_until(worker, lambda: heard and errors)
    assert heard == [(worker, threading.current_thread())]
    [error] = errors
    assert isinstance(error, HandlerError)
    assert (error.event, error.source) == ("submit", worker)
    worker.when_done(future, lambda _: heard.clear())  # it is done already
    assert heard
    worker.process_events()
    assert heard == []


def test_a_handler_of_an_answer_is_checked_at_once(office: RestOffice) -> None:
    async def coroutine(_: object) -> None: ...

    worker: Any = worker_of(office)
    for wrong, why in ((5, "callable"), (coroutine, "plain function")):
        with pytest.raises(TypeError, match=why):
            worker.when_done(Future(), wrong)


def test_once_and_remove_listener(office: RestOffice) -> None:
    worker = worker_of(office)
    heard: list[str] = []

    def every(_: SyncWorker) -> None:
        heard.append("every")

    with worker:
        worker.once("attributesUpdated", lambda _: heard.append("once"))
        worker.on("attributesUpdated", every)
        worker.on("attributesUpdated", every)
        worker.remove_listener("attributesUpdated", every)
        worker.remove_listener("ready", every)  # not there: left alone
        for level in (1, 2):
            worker.set_attributes({"level": level})
        process_until(worker, lambda: heard.count("every") == 2)
        assert heard == ["once", "every", "every"]
        worker.remove_listener("attributesUpdated", every)
        assert not worker._live._has_listeners("attributesUpdated")


def test_wrong_handlers_are_refused_at_once(office: RestOffice) -> None:
    worker: Any = worker_of(office)

    async def coroutine(_: object) -> None: ...

    with pytest.raises(ValueError, match="reservationMade"):
        worker.on("reservationMade", print)
    with pytest.raises(ValueError, match="reservationMade"):
        worker.on("reservationMade")
    with pytest.raises(TypeError, match="callable"):
        worker.on("ready", 5)
    with pytest.raises(TypeError, match="plain function"):
        worker.on("ready", coroutine)
    with pytest.raises(TypeError, match="deliver"):
        SyncWorker("token", deliver=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="command_timeout"):
        SyncWorker("token", command_timeout=0)
    with pytest.raises(TypeError, match="ebServer"):
        SyncWorker("token", ebServer="http://x")  # type: ignore[call-arg]


def test_a_failing_handler_becomes_an_error_event(office: RestOffice) -> None:
    worker = worker_of(office)
    errors: list[TaskRouterError] = []
    worker.on("ready", lambda _: 1 / 0)
    worker.on("error", errors.append)
    with worker:
        process_until(worker, lambda: errors)
    [error] = errors
    assert isinstance(error, HandlerError)
    assert (error.event, error.source) == ("ready", worker)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_a_handler_reads_the_origin_of_its_own_event(office: RestOffice) -> None:
    worker_sid = office.hire()
    office.task()
    worker = SyncWorker(office.token(worker_sid), **office.options())
    origins: list[str] = []
    worker.on("reservationCreated", lambda r: origins.append(f"created {r.origin}"))
    with worker:
        [reservation] = worker.reservations.values()
        reservation.on("accepted", lambda r: origins.append(f"accepted {r.origin}"))
        stream = reservation.stream("accepted")
        reservation.accept()
        assert next(stream).origin == "event"
        assert worker.process_events() == 2  # both happened before either is handled
    assert origins == ["created snapshot", "accepted event"]


def test_a_handler_that_fails_after_the_end_is_logged(
    office: RestOffice, caplog: pytest.LogCaptureFixture
) -> None:
    worker = worker_of(office)
    worker.on("ready", lambda _: 1 / 0)
    with worker:
        pass
    assert worker.process_events() == 1
    assert "ZeroDivisionError" in caplog.text


def test_events_are_processed_in_order_and_counted(office: RestOffice) -> None:
    worker = worker_of(office)
    heard: list[int] = []
    worker.on("attributesUpdated", lambda _: heard.append(len(heard)))
    with worker:
        assert worker.process_events() == 0
        assert worker.process_events(timeout=0.01) == 0
        for level in range(5):
            worker.set_attributes({"level": level})
        process_until(worker, lambda: len(heard) == 5)
    assert heard == [0, 1, 2, 3, 4]
    assert worker.process_events(timeout=None) == 0  # nothing can happen any more


# The end


def test_disconnect_from_a_handler(office: RestOffice) -> None:
    worker = worker_of(office)
    worker.on("reservationCreated", lambda _: worker.disconnect())
    with worker:
        office.task()
        process_until(worker, lambda: worker.state is SessionState.CLOSED)
        worker.wait_closed(PATIENCE)


def test_disconnect_from_another_thread_and_twice(office: RestOffice) -> None:
    with ThreadPoolExecutor(2) as threads, worker_of(office) as worker:
        ends = [threads.submit(worker.disconnect) for _ in range(2)]
        assert [end.result(PATIENCE) for end in ends] == [True, True]
        assert worker.disconnect() is True


def test_disconnect_in_the_workers_own_thread_only_begins_it(office: RestOffice) -> None:
    worker = worker_of(office, deliver=lambda call: call())
    refused: list[BaseException] = []

    @worker.on("reservationCreated")
    def handle(reservation: SyncReservation) -> None:
        try:
            reservation.accept()
        except RuntimeError as error:
            refused.append(error)
        worker.disconnect()

    with worker:
        office.task()
        worker.wait_closed(PATIENCE)
    assert "block" in str(refused[0])


def test_disconnect_while_connecting(office: RestOffice) -> None:
    worker = worker_of(office)
    office.server.faults.request = lambda _: RequestFault(status=503)
    worker.start()
    worker.wait_for_state("waiting", timeout=PATIENCE)
    assert worker.disconnect() is True
    with pytest.raises(NotConnectedError):
        worker.wait_ready()


def test_disconnect_before_the_start_is_final(office: RestOffice) -> None:
    worker = worker_of(office)
    worker.disconnect()
    with pytest.raises(RuntimeError):
        worker.start()


def test_calls_that_wait_when_the_worker_ends_are_told(office: RestOffice) -> None:
    with ThreadPoolExecutor(2) as threads, worker_of(office) as worker:
        waiting = threads.submit(worker.wait_for, "reservationFailed")
        office.server.faults.request = lambda _: RequestFault(delay=60)
        command = threads.submit(worker.set_attributes, {})
        while len(worker._live._dispatcher.waiting) == 0:
            time.sleep(0.01)
        worker.disconnect()
        for call in (waiting, command):
            assert isinstance(call.exception(PATIENCE), TaskRouterError)
        office.server.faults.request = None


def test_a_future_that_never_got_its_result_says_that_the_worker_ended(office: RestOffice) -> None:
    with worker_of(office) as worker:
        future = worker._thread.submit(asyncio.Event().wait)
        canceled = worker._thread.submit(asyncio.Event().wait)
        canceled.cancel()
    assert isinstance(future.exception(PATIENCE), NotConnectedError)
    assert canceled.cancelled()


def test_after_the_end_and_before_the_start_commands_say_so(office: RestOffice) -> None:
    worker = worker_of(office)
    with pytest.raises(NotConnectedError, match="not started"):
        worker.set_attributes({})
    with pytest.raises(NotConnectedError, match="not started"):
        worker.wait_closed()
    with worker:
        pass
    with pytest.raises(NotConnectedError, match="disconnected"):
        worker.set_attributes({})
    with pytest.raises(RuntimeError, match="already started"):
        worker.start()
    worker.wait_closed()


def test_a_refused_token_is_raised_where_the_worker_is_entered(office: RestOffice) -> None:
    token = office.token(office.hire(), secret="another-secret-of-32-bytes-or-more")
    with pytest.raises(InvalidTokenError), SyncWorker(token, **office.options()):
        pass


def test_an_error_in_the_block_is_raised_and_leaves_nothing(office: RestOffice) -> None:
    with pytest.raises(ZeroDivisionError), worker_of(office):
        raise ZeroDivisionError


def test_a_displaced_session_tells_why_it_ended(office: RestOffice) -> None:
    token = office.token(office.hire())
    with (
        SyncWorker(token, **office.options()) as first,
        SyncWorker(token, close_existing_sessions=True, **office.options()),
        pytest.raises(SessionDisplacedError),
    ):
        first.wait_closed(PATIENCE)


def test_an_error_event_tells_that_the_session_has_ended_for_good(office: RestOffice) -> None:
    token = office.token(office.hire())
    worker = SyncWorker(token, **office.options())
    ends: list[TaskRouterError] = []
    worker.on("error", lambda error: ends.append(error) if error.ends_session else None)
    with worker, SyncWorker(token, close_existing_sessions=True, **office.options()):
        process_until(worker, lambda: ends)
        with pytest.raises(SessionDisplacedError) as caught:
            worker.wait_closed(PATIENCE)
    assert ends == [caught.value]


def test_a_new_token_is_announced(office: RestOffice) -> None:
    with worker_of(office) as worker:
        told: list[str] = []
        worker.on("tokenUpdated", lambda: told.append("tokenUpdated"))
        worker.update_token(office.token(worker.sid))
        process_until(worker, lambda: told)
        with pytest.raises(TypeError):
            worker.update_token(5)  # type: ignore[arg-type]


# run


def test_run_drains_at_a_signal(office: RestOffice) -> None:
    worker = worker_of(office)
    told: list[str] = []

    @worker.on("reservationCreated")
    def accept(reservation: SyncReservation) -> None:
        reservation.accept()
        os.kill(os.getpid(), signal.SIGTERM)

    @worker.on("activityUpdated")
    def resting(changed: SyncWorker) -> None:
        told.append(changed.activity_name)
        for reservation in changed.reservations.values():
            reservation.task.complete("done")

    before = signal.getsignal(signal.SIGTERM)
    tasks: list[str] = []
    worker.once("ready", lambda _: tasks.append(office.task()))
    worker.run()
    assert told == ["Offline"]
    assert office.status(tasks[0]) == "completed"
    assert signal.getsignal(signal.SIGTERM) == before


def test_run_leaves_at_once_at_a_second_signal(office: RestOffice) -> None:
    worker = worker_of(office)

    @worker.on("reservationCreated")
    def accept(reservation: SyncReservation) -> None:
        reservation.accept()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    worker.once("ready", lambda _: office.task())
    worker.run()
    assert len(worker.reservations) == 1


def test_run_raises_why_the_session_ended(office: RestOffice) -> None:
    token = office.token(office.hire(), secret="another-secret-of-32-bytes-or-more")
    with pytest.raises(InvalidTokenError):
        SyncWorker(token, **office.options()).run()


# The same names


PAIRS = [
    (Worker, SyncWorker),
    (Supervisor, SyncSupervisor),
    (Reservation, SyncReservation),
    (Task, SyncTask),
    (Activity, SyncActivity),
    (Channel, SyncChannel),
    (OutgoingTransfer, SyncOutgoingTransfer),
    (Transfers, SyncTransfers),
    (WorkspaceReader, SyncWorkspaceReader),
    (Workspace, SyncWorkspace),
]


@pytest.mark.parametrize(("live", "facade"), PAIRS, ids=lambda kind: kind.__name__)
def test_the_synchronous_classes_have_every_name_of_the_asynchronous_ones(
    live: type[object], facade: type[object]
) -> None:
    public = {name for name, _ in inspect.getmembers(live) if not name.startswith("_")}
    if live is Transfers:
        public |= {"incoming", "outgoing"}
    assert public - {name for name, _ in inspect.getmembers(facade)} - {"EVENTS"} == set()
