"""Time that a test moves: deadlines come at exactly their moment, and all was delivered when it returns."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import aiohttp
import pytest

from server_stub.testing import TaskRouter
from taskrouter_worker import Reservation, SyncWorker, Worker
from taskrouter_worker.sync import SyncReservation


def test_time_stands_still_until_it_is_moved(taskrouter: TaskRouter) -> None:
    before = taskrouter.clock.now()
    taskrouter.task()
    assert taskrouter.clock.now() == before
    taskrouter.clock.advance_sync(timedelta(minutes=1))
    assert taskrouter.clock.now() == before + timedelta(minutes=1)
    assert taskrouter.clock.elapsed == 60


def test_reservation_times_out_at_its_very_moment_and_not_before(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    reservation = taskrouter.assert_reserved(taskrouter.task(), alice)
    taskrouter.clock.advance_sync(119.999)
    assert reservation.status == "pending"
    taskrouter.clock.advance_sync(500)
    assert reservation.status == "timeout"
    assert reservation.updated_at - reservation.created_at == timedelta(seconds=120)


def test_parts_of_a_second_add_up(taskrouter: TaskRouter) -> None:
    reservation = taskrouter.assert_reserved(taskrouter.task(), taskrouter.worker("Alice"))
    for seconds in (0.1, timedelta(seconds=0.1), 0.1, 119.69):
        taskrouter.clock.advance_sync(seconds)
    assert reservation.status == "pending"
    taskrouter.clock.advance_sync(0.01)
    assert reservation.status == "timeout"
    assert taskrouter.clock.elapsed == 120


async def test_time_goes_on_from_where_it_was_set(taskrouter: TaskRouter) -> None:
    await taskrouter.clock.advance(0.1)
    await taskrouter.clock.set(taskrouter.clock.now() + timedelta(seconds=3))
    before = taskrouter.clock.now()
    await taskrouter.clock.advance(0.25)
    assert taskrouter.clock.now() - before == timedelta(seconds=0.25)


def test_deadlines_on_the_way_come_in_order_each_at_its_own_moment(taskrouter: TaskRouter) -> None:
    workflow = taskrouter.workflow("Quick", queue="Sample Queue", reservation_timeout=10)
    for name in ("Alice", "Bob", "Carol"):
        taskrouter.worker(name)
    task = taskrouter.task(workflow=workflow, timeout=25)
    taskrouter.clock.advance_sync(1_000)
    taskrouter.assert_canceled(task)  # and deleted since
    told = [line.split() for line in taskrouter.events()]
    assert [(line[0], line[2]) for line in told if line[2] in ("reservation.timeout", "task.canceled")] == [
        ("+10.000", "reservation.timeout"),
        ("+20.000", "reservation.timeout"),
        ("+25.000", "task.canceled"),
    ]


def test_next_deadline_is_told(taskrouter: TaskRouter) -> None:
    assert taskrouter.clock.next_deadline() is None
    taskrouter.task(timeout=7)
    assert taskrouter.clock.next_deadline() == taskrouter.clock.now() + timedelta(seconds=7)


async def test_advance_returns_when_handlers_have_begun(taskrouter: TaskRouter) -> None:
    heard: list[str] = []
    async with taskrouter.connect(taskrouter.worker("Alice")) as worker:

        @worker.on("reservationCreated")
        async def offered(reservation: Reservation) -> None:
            heard.append("offered")
            reservation.on("timeout", lambda _: heard.append("timeout"))

        worker.on("activityUpdated", lambda it: heard.append(it.activity.name if it.activity else ""))
        taskrouter.task()
        await taskrouter.clock.advance(120)
        assert heard == ["offered", "timeout", "Offline"]


def test_advance_sync_calls_the_handlers_that_wait_for_process_events(taskrouter: TaskRouter) -> None:
    heard: list[str] = []
    with taskrouter.connect_sync(taskrouter.worker("Alice")) as worker:

        @worker.on("reservationCreated")
        def offered(reservation: SyncReservation) -> None:
            heard.append("offered")
            reservation.on("timeout", lambda _: heard.append("timeout"))

        taskrouter.task()
        taskrouter.clock.advance_sync(0)
        assert heard == ["offered"]
        taskrouter.clock.advance_sync(120)
        assert heard == ["offered", "timeout"]


async def test_advance_waits_for_a_client_of_another_kind(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    address = f"{taskrouter.ws_server}?token={taskrouter.token(alice)}"
    async with aiohttp.ClientSession() as http, http.ws_connect(address) as socket:
        assert "init" in await socket.receive_str()
        # Never fetched its snapshot: its frames are held for two seconds, and waited for.
        taskrouter.task()
        read: list[str] = []

        async def listen() -> None:
            async for message in socket:
                read.append(message.data)  # noqa: PERF401 - one by one, as they come

        listener = asyncio.create_task(listen())
        await taskrouter.clock.advance(120)
        told = "".join(read)
        assert told.index("reservation.created") < told.index("reservation.timeout")
        await socket.close()
        await listener


async def test_advance_waits_for_a_worker_that_the_application_made(taskrouter: TaskRouter) -> None:
    heard: list[str] = []
    worker = Worker(**taskrouter.access(taskrouter.worker("Alice")), proxy=None)
    worker.on("reservationCreated", lambda reservation: heard.append(reservation.status))
    taskrouter.watch(worker)
    async with worker:
        taskrouter.task()
        await taskrouter.clock.advance(0)
        assert heard == ["pending"]


def test_plain_test_may_block_where_a_loop_runs_in_another_greenlet(taskrouter: TaskRouter) -> None:
    greenlet: Any = import_module("greenlet")  # it has no types
    test, loop = greenlet.getcurrent(), asyncio.new_event_loop()

    def run() -> None:
        loop.call_soon(test.switch)
        loop.run_forever()

    playwright = greenlet.greenlet(run)  # as its plain API does it
    playwright.switch()
    try:
        assert asyncio.get_running_loop() is loop
        task = taskrouter.task(worker=taskrouter.worker("Alice"))
        taskrouter.assert_reserved(task, within=30)
        taskrouter.clock.advance_sync(120)
        taskrouter.assert_timed_out(task)
    finally:
        loop.stop()
        playwright.switch()
        loop.close()


async def test_callback_of_a_loop_is_told_as_well(taskrouter: TaskRouter) -> None:
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def block() -> None:
        try:
            taskrouter.clock.advance_sync(1)
        except RuntimeError as error:
            refused.set_result(str(error))

    asyncio.get_running_loop().call_soon(block)
    assert "await clock.advance" in await refused


async def test_sync_twin_in_an_async_test_says_what_to_call(taskrouter: TaskRouter) -> None:
    with pytest.raises(RuntimeError, match=r"await clock\.advance"):
        taskrouter.clock.advance_sync(1)
    with pytest.raises(RuntimeError, match=r"await wait_until"):
        taskrouter.assert_reserved(taskrouter.task(), within=1)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_time_passes_forwards_only(taskrouter: TaskRouter, seconds: float) -> None:
    with pytest.raises(ValueError, match="forwards"):
        taskrouter.clock.advance_sync(seconds)


@pytest.mark.parametrize("seconds", [1e11, 1e308, timedelta.max])
def test_time_does_not_pass_beyond_what_a_date_can_show(
    taskrouter: TaskRouter, seconds: float | timedelta
) -> None:
    with pytest.raises(ValueError, match="year 5138"):
        taskrouter.clock.advance_sync(seconds)
    assert taskrouter.clock.elapsed == 0


@pytest.mark.taskrouter(start=datetime(2030, 2, 1, tzinfo=UTC))
def test_clock_starts_and_is_set_where_the_test_says(taskrouter: TaskRouter) -> None:
    assert taskrouter.clock.now() == datetime(2030, 2, 1, tzinfo=UTC)
    taskrouter.clock.set_sync(datetime(2030, 2, 2, tzinfo=UTC))
    assert taskrouter.clock.elapsed == 86_400
    with pytest.raises(ValueError, match="forwards"):
        taskrouter.clock.set_sync(datetime(2030, 2, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="time zone"):
        taskrouter.clock.set_sync(datetime(2030, 3, 1))  # noqa: DTZ001 - that is the mistake


@pytest.mark.taskrouter(clock="real")
async def test_real_clock_moves_by_itself_alone(taskrouter: TaskRouter) -> None:
    with pytest.raises(RuntimeError, match="real clock"):
        await taskrouter.clock.advance(1)
    task = taskrouter.task(timeout=1)
    await taskrouter.wait_until_canceled(task, timeout=30)
    assert taskrouter.clock.elapsed >= 1


async def test_token_expires_when_it_is_asked_to(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    async with taskrouter.connect(alice) as worker:
        await taskrouter.clock.advance(86_400)  # tokens do not care
        assert worker.state == "ready"
        taskrouter.expire_token(alice)
        await worker.wait_for_state("token_expired")
        worker.update_token(taskrouter.token(alice, lifetime=1_800))
        await worker.wait_for_state("ready")


def test_worker_that_delivers_elsewhere_is_waited_for(taskrouter: TaskRouter) -> None:
    access = taskrouter.access(taskrouter.worker("Alice"))
    worker = SyncWorker(**access, deliver=lambda call: call(), proxy=None)
    heard: list[str] = []
    worker.on("reservationCreated", lambda reservation: heard.append(reservation.status))
    taskrouter.watch(worker, processes_events=False)
    with worker:
        taskrouter.task()
        taskrouter.clock.advance_sync(0)
        assert heard == ["pending"]
