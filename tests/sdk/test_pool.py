"""Many workers in one process."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from server_stub import StubServer
from taskrouter_worker import (
    HandlerError,
    InvalidTokenError,
    NotConnectedError,
    Reservation,
    SessionDisplacedError,
    SessionState,
    TaskRouterError,
    Worker,
    WorkerPool,
)
from tests.sdk.loopback import closed_port
from tests.sdk.office import Office
from tests.support import access_token

PATIENCE = 60


def pool_of(office: Office, count: int, **options: Any) -> WorkerPool:
    """A pool with so many workers that has not started yet."""
    pool = WorkerPool(start_jitter=0.01, **office.options(**options))
    for number in range(count):
        pool.add(access_token(office.server, office.hire(f"bot {number}")))
    return pool


async def within_patience(awaitable: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await awaitable


@pytest.fixture(autouse=True)
async def nothing_left() -> Any:
    """No task outlives a pool."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    left = [
        t.get_name()
        for t in asyncio.all_tasks() - before
        if "pool" in t.get_name() or "worker" in t.get_name()
    ]
    assert left == []


async def test_a_pool_may_be_filled_before_there_is_an_event_loop(server: StubServer) -> None:
    office = Office(server)
    tokens = [access_token(server, office.hire(f"bot {number}")) for number in range(2)]

    def program() -> int:
        pool = WorkerPool(start_jitter=0, **office.options())
        for token in tokens:
            pool.add(token)
        ready: list[Worker] = []

        @pool.on("ready")
        async def leave(worker: Worker) -> None:
            ready.append(worker)
            if len(ready) == len(tokens):
                await pool.disconnect()

        asyncio.run(pool.run(signals=()))
        return len(ready)

    assert await within_patience(asyncio.to_thread(program)) == 2


async def test_workers_share_connections_and_handlers(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 20, max_connections=3, starts_at_once=4)
    done: list[str] = []
    all_done = asyncio.Event()

    @pool.on("reservationCreated")
    async def work(worker: Worker, reservation: Reservation) -> None:
        assert reservation.worker_sid == worker.sid
        await reservation.accept()
        await reservation.task.complete("done")
        done.append(reservation.task.sid)
        if len(done) == 40:
            all_done.set()

    async with pool:
        await within_patience(pool.wait_ready())
        assert [worker.state for worker in pool.workers] == [SessionState.READY] * 20
        tasks = [office.task() for _ in range(40)]
        await within_patience(all_done.wait())
        shared = pool._shared
        assert shared is not None
        session = shared.get()
        assert session.connector is not None
        assert session.connector.limit == 3
        workers = pool.workers
    assert sorted(done) == sorted(tasks)
    assert session.closed
    assert pool.workers == []
    assert all(worker.state is SessionState.CLOSED for worker in workers)


async def test_no_more_workers_connect_at_once_than_said(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 12, starts_at_once=3)
    connecting: set[int] = set()
    most = 0

    def begin(worker: Worker) -> None:
        connecting.discard(id(worker))

    pool.on("ready", begin)
    async with pool:
        while any(worker.state is not SessionState.READY for worker in pool.workers):
            busy = [
                worker
                for worker in pool.workers
                if worker.state in (SessionState.CONNECTING, SessionState.INITIALIZING)
            ]
            most = max(most, len(busy))
            await asyncio.sleep(0)
    assert 1 <= most <= 3


async def test_a_worker_that_cannot_get_ready_does_not_keep_others_from_starting(server: StubServer) -> None:
    office = Office(server)
    place = await closed_port()
    pool = WorkerPool(start_jitter=0, starts_at_once=1, **office.options())
    stuck = pool.add(access_token(server, office.hire("stuck")), ws_server=f"ws://{place}")
    fine = pool.add(access_token(server, office.hire("fine")))
    async with pool:
        await within_patience(fine.wait_for_state("ready"))
        assert stuck.state is not SessionState.READY


async def test_a_worker_that_ends_for_good_is_reported_and_the_others_go_on(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 2)
    wrong = pool.add(access_token(server, office.hire("x"), secret="another-secret-of-32-bytes-or-more"))
    told: list[tuple[Worker, TaskRouterError | None]] = []
    both = asyncio.Event()

    @pool.on("workerEnded")
    async def ended(worker: Worker, error: TaskRouterError | None) -> None:
        told.append((worker, error))
        if len(told) == 2:
            both.set()

    async with pool:
        await within_patience(pool.wait_ready())
        first, second = pool.workers
        async with office.worker(first.sid, close_existing_sessions=True):
            await within_patience(both.wait())
            assert pool.workers == [second]
            assert second.state is SessionState.READY
    assert told[0][0] is wrong
    assert isinstance(told[0][1], InvalidTokenError)
    assert told[1][0] is first
    assert isinstance(told[1][1], SessionDisplacedError)


async def test_a_worker_that_disconnects_itself_is_reported_without_an_error(server: StubServer) -> None:
    pool = pool_of(Office(server), 1)
    told: asyncio.Future[TaskRouterError | None] = asyncio.get_running_loop().create_future()
    pool.on("workerEnded", lambda _, error: told.set_result(error))
    async with pool:
        await within_patience(pool.wait_ready())
        await pool.workers[0].disconnect()
        assert await within_patience(told) is None


async def test_workers_come_and_go_while_the_pool_runs(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 1)
    told: list[str] = []
    pool.on("workerEnded", lambda worker, _: told.append(worker.sid))
    pool.on("ready", lambda worker: told.append(worker.name))
    async with pool:
        await within_patience(pool.wait_ready())
        late = pool.add(access_token(server, office.hire("late")))
        await within_patience(late.wait_for_state("ready"))
        assert pool.workers[1] is late
        await pool.remove(late)
        await pool.remove(late)  # gone already: left alone
        assert late.state is SessionState.CLOSED
        assert len(pool.workers) == 1
    assert told == ["bot 0", "late"]
    with pytest.raises(NotConnectedError):
        pool.add(access_token(server, office.hire("too late")))


async def test_a_worker_removed_before_the_start_never_connects(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 2)
    gone, kept = pool.workers
    await pool.remove(gone)
    async with pool:
        await within_patience(pool.wait_ready())
        assert pool.workers == [kept]
    assert gone.state is SessionState.CLOSED
    assert gone.sid == ""


async def test_handlers_can_be_added_and_taken_back_while_it_runs(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 2)
    heard: list[str] = []

    def hear(worker: Worker) -> None:
        heard.append(worker.name)

    def hear_error(worker: Worker, error: TaskRouterError) -> None:
        heard.append(f"{worker.name} {type(error).__name__}")

    async with pool:
        await within_patience(pool.wait_ready())
        pool.on("attributesUpdated", hear)
        pool.on("error", hear_error)
        for worker in pool.workers:
            updated = asyncio.ensure_future(worker.wait_for("attributesUpdated", timeout=PATIENCE))
            await asyncio.sleep(0)
            await worker.set_attributes({"a": 1})
            await updated
        pool.remove_listener("attributesUpdated", hear)
        pool.remove_listener("attributesUpdated", hear)
        pool.remove_listener("error", hear_error)
        pool.remove_listener("workerEnded", hear_error)
        assert not any(
            w._has_listeners("attributesUpdated") or w._has_listeners("error") for w in pool.workers
        )
    assert heard == ["bot 0", "bot 1"]


async def test_one_place_for_the_errors_of_all(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 2)
    errors: list[tuple[Worker, TaskRouterError]] = []
    pool.on("ready", lambda _: 1 / 0)
    pool.on("error", lambda worker, error: errors.append((worker, error)))
    async with pool:
        await within_patience(pool.wait_ready())
        workers = pool.workers
    assert {worker.sid for worker, _ in errors} == {worker.sid for worker in workers}
    assert all(isinstance(error, HandlerError) for _, error in errors)


async def test_a_failing_handler_of_worker_ended_is_logged(
    server: StubServer, caplog: pytest.LogCaptureFixture
) -> None:
    pool = pool_of(Office(server), 1)
    told = asyncio.Event()
    pool.on("workerEnded", lambda *_: 1 / 0)
    pool.on("workerEnded", lambda *_: told.set())
    async with pool:
        await within_patience(pool.wait_ready())
        await pool.workers[0].disconnect()
        await within_patience(told.wait())
    assert "ZeroDivisionError" in caplog.text


def test_wrong_arguments_are_refused() -> None:
    for options, error in (
        ({"max_connections": 0}, ValueError),
        ({"starts_at_once": "many"}, TypeError),
        ({"start_jitter": -1}, ValueError),
        ({"start_jitter": "long"}, TypeError),
    ):
        with pytest.raises(error):
            WorkerPool(**options)
    pool: Any = WorkerPool()
    with pytest.raises(ValueError, match="reservationMade"):
        pool.on("reservationMade", print)
    with pytest.raises(TypeError, match="callable"):
        pool.on("ready", 5)
    with pytest.raises(TypeError):
        pool.add(5)
    with pytest.raises(TypeError, match="ebServer"):
        pool.add("token", ebServer="http://x")
    assert pool.workers == []


async def test_it_is_entered_once(server: StubServer) -> None:
    pool = pool_of(Office(server), 1)
    with pytest.raises(NotConnectedError):
        await pool.wait_closed()
    async with pool:
        with pytest.raises(RuntimeError, match="already started"):
            await pool.__aenter__()
    with pytest.raises(RuntimeError, match="already started"):
        await pool.__aenter__()
    await pool.wait_closed()


# The end


async def test_disconnect_from_a_handler_from_another_task_and_twice(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 3)

    @pool.on("reservationCreated")
    async def leave(_worker: Worker, _reservation: Reservation) -> None:
        await pool.disconnect()
        await pool.disconnect()

    async with pool:
        await within_patience(pool.wait_ready())
        office.task()
        await within_patience(asyncio.gather(pool.wait_closed(), pool.disconnect()))
    assert pool.workers == []


async def test_a_handler_may_remove_its_own_worker(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 2)
    removed = asyncio.Event()

    @pool.on("reservationCreated")
    async def leave(worker: Worker, _: Reservation) -> None:
        await pool.remove(worker)
        removed.set()

    async with pool:
        await within_patience(pool.wait_ready())
        office.task()
        await within_patience(removed.wait())
        while len(pool.workers) == 2:
            await asyncio.sleep(0.01)


async def test_closing_while_workers_connect_leaves_nothing(server: StubServer) -> None:
    office = Office(server)
    place = await closed_port()
    pool = WorkerPool(starts_at_once=2, **office.options(ws_server=f"ws://{place}"))
    for number in range(10):
        pool.add(access_token(server, office.hire(f"bot {number}")))
    async with pool:
        await within_patience(pool.workers[0].wait_for_state("connecting", "waiting"))
    assert pool.workers == []


async def test_disconnect_before_the_start_is_final(server: StubServer) -> None:
    pool = pool_of(Office(server), 1)
    [worker] = pool.workers
    await pool.disconnect()
    assert worker.state is SessionState.CLOSED
    with pytest.raises(RuntimeError):
        await pool.__aenter__()


async def test_an_error_in_the_block_is_raised_and_leaves_nothing(server: StubServer) -> None:
    pool = pool_of(Office(server), 2)
    with pytest.raises(ZeroDivisionError):
        async with pool:
            raise ZeroDivisionError
    assert pool.workers == []


# Programs


async def test_a_signal_drains_all_of_them(server: StubServer) -> None:
    office = Office(server)
    pool = pool_of(office, 4)
    accepted: list[Reservation] = []
    busy = asyncio.Event()

    @pool.on("reservationCreated")
    async def work(worker: Worker, reservation: Reservation) -> None:
        await reservation.accept()
        accepted.append(reservation)
        if len(accepted) == 2:
            busy.set()
        await worker.wait_for("activityUpdated")  # the drain
        await reservation.task.complete("done")

    running = asyncio.create_task(pool.run())
    while len(pool.workers) < 4 or not pool._opened.is_set():
        await asyncio.sleep(0)
    await within_patience(pool.wait_ready())
    sids = [worker.sid for worker in pool.workers]
    tasks = [office.task_for(sid) for sid in sids[:2]]
    await within_patience(busy.wait())
    os.kill(os.getpid(), signal.SIGTERM)
    await within_patience(running)
    assert [office.status(task) for task in tasks] == ["completed", "completed"]
    assert {office.activity_of(sid) for sid in sids} == {"Offline"}


async def test_drain_leaves_out_who_never_started_and_returns_what_is_left(
    server: StubServer, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office(server)
    place = await closed_port()
    pool = pool_of(office, 2)
    pool.add(access_token(server, office.hire("stuck")), ws_server=f"ws://{place}")

    @pool.on("reservationCreated")
    async def accept(_: Worker, reservation: Reservation) -> None:
        await reservation.accept()

    async with pool:
        first, second, stuck = pool.workers
        await within_patience(first.wait_for_state("ready"))
        await within_patience(second.wait_for_state("ready"))
        office.task_for(first.sid)
        reservation = await first.wait_for("reservationCreated", timeout=PATIENCE)
        await reservation.wait_for("accepted", timeout=PATIENCE)
        assert await within_patience(pool.drain(timeout=0.1)) == [reservation]
        wrong = await within_patience(pool.drain(activity_sid="WA" + "0" * 32, timeout=0.1))
        assert wrong == [reservation]
        while stuck in pool.workers:
            await asyncio.sleep(0.01)
    assert caplog.text.count("could not drain") == 2


async def test_run_ends_with_the_last_worker_and_raises_why(server: StubServer) -> None:
    office = Office(server)
    pool = WorkerPool(start_jitter=0, **office.options())
    for number in range(2):
        wrong = access_token(server, office.hire(f"x {number}"), secret="another-secret-of-32-bytes-or-more")
        pool.add(wrong)
    with pytest.raises(InvalidTokenError):
        await within_patience(pool.run(signals=()))


async def test_run_returns_when_the_pool_is_disconnected(server: StubServer) -> None:
    pool = pool_of(Office(server), 2)
    pool.on("ready", lambda _: pool.disconnect())
    await within_patience(pool.run(signals=()))


async def test_a_given_http_session_is_used_and_not_closed(server: StubServer) -> None:
    import aiohttp  # noqa: PLC0415 - only here

    office = Office(server)
    async with aiohttp.ClientSession() as session:
        pool = pool_of(office, 2, http_session=session)
        async with pool:
            await within_patience(pool.wait_ready())
            assert pool._shared is None
        assert not session.closed
