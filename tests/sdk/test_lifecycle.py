"""Entering, leaving, and what is left behind: nothing. `virtual_time` looks for tasks and timers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from taskrouter_worker import (
    Disconnect,
    NotConnectedError,
    RateLimitedError,
    RequestInvalidError,
    Reservation,
    SessionState,
    Worker,
    WorkerPool,
)
from tests.sdk.peer import Peer, heard, server_error, token, virtual_worker
from tests.sdk.virtual import VirtualTimeLoop, ended, passes, settle, virtual_time
from tests.sdk.world import AVAILABLE, BREAK, OFFLINE, sid

ONE = sid("WR", 1)
ACTIVITY_CHANGE = "POST .*/Workers/WK[0-9a-f]*$"
LEFT = "disconnected client and stays away"


@asynccontextmanager
async def running(peer: Peer, worker: Worker) -> AsyncIterator[list[str]]:
    """A worker that is ready, and what it tells from then on."""
    async with worker:
        await settle()
        yield heard(worker)
    assert peer.live == []
    assert peer.closed


# disconnect


@virtual_time
async def test_disconnect_before_the_start_is_final() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    await worker.disconnect()
    assert worker.state is SessionState.CLOSED
    with pytest.raises(NotConnectedError):
        await worker.__aenter__()
    with pytest.raises(NotConnectedError):
        worker.update_token(token(2))
    assert peer.openings == []
    assert peer.closed


@virtual_time
async def test_disconnect_while_the_websocket_is_being_opened() -> None:
    peer = Peer()
    peer.door = asyncio.Event()
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(1)
    assert worker.state is SessionState.CONNECTING
    assert await ended(worker.disconnect(), within=1) == 0
    with pytest.raises(NotConnectedError):
        await entering
    assert log == []


@virtual_time
async def test_disconnect_while_waiting_for_init() -> None:
    peer = Peer(greeting=None)
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(1)
    await ended(worker.disconnect(), within=1)
    with pytest.raises(NotConnectedError):
        await entering
    assert log == [LEFT]
    assert peer.live == []


@virtual_time
async def test_disconnect_while_the_snapshot_is_taken() -> None:
    peer = Peer()
    peer.hold("Activities")
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(1)
    assert worker.state is SessionState.INITIALIZING
    await ended(worker.disconnect(), within=1)
    with pytest.raises(NotConnectedError):
        await entering
    assert log == [LEFT]
    assert peer.live == []


@virtual_time
async def test_disconnect_between_two_connections() -> None:
    peer = Peer()
    worker = virtual_worker(peer, reconnect_backoff=lambda _: 1000.0)
    async with running(peer, worker) as log:
        peer.close()
        await passes(1)
        assert worker.state is SessionState.WAITING
        assert await ended(worker.disconnect(), within=1) == 0
        await passes(2000)
        assert log == ["disconnected connection_lost"]
        assert len(peer.openings) == 1


@virtual_time
async def test_disconnect_while_waiting_for_a_token() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with running(peer, worker):
        peer.close(4408)
        await passes(1)
        assert await ended(worker.disconnect(), within=1) == 0


@virtual_time
async def test_disconnect_twice_and_from_another_task_ends_once() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with running(peer, worker) as log:
        await asyncio.gather(worker.disconnect(), asyncio.create_task(worker.disconnect()))
        await worker.disconnect()
        assert log == [LEFT]
        assert worker.state is SessionState.CLOSED
        assert peer.websockets[0].closed_by_client


@virtual_time
async def test_disconnect_while_the_peer_closes_promises_no_reconnect() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with running(peer, worker) as log:
        peer.close(1012)
        await asyncio.sleep(0)
        await worker.disconnect()
        assert len(log) == 1
        assert log[0].endswith("and stays away")


@virtual_time
async def test_disconnect_from_a_coroutine_handler_does_not_wait_for_itself() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    went_on: list[bool] = []

    @worker.on("reservationCreated")
    async def leave(_: Reservation) -> None:
        await worker.disconnect()
        went_on.append(True)

    async with running(peer, worker):
        peer.push(peer.world.create_reservation())
        assert await ended(worker.wait_closed(), within=1) == 0
        assert went_on == [True]


@virtual_time
async def test_disconnect_from_a_plain_handler_by_way_of_a_task() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    tasks: list[asyncio.Task[None]] = []
    worker.on("reservationCreated", lambda _: tasks.append(asyncio.create_task(worker.disconnect())))
    async with running(peer, worker):
        peer.push(peer.world.create_reservation())
        assert await ended(worker.wait_closed(), within=1) == 0
        await tasks[0]


@virtual_time
async def test_disconnect_from_a_plain_handler_that_returns_it() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    worker.on("reservationCreated", lambda _: worker.disconnect())
    async with running(peer, worker):
        peer.push(peer.world.create_reservation())
        assert await ended(worker.wait_closed(), within=1) == 0


@virtual_time
async def test_disconnect_from_a_task_that_a_handler_started() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    tasks: list[asyncio.Task[None]] = []

    @worker.on("reservationCreated")
    async def leave(_: Reservation) -> None:
        tasks.append(asyncio.create_task(worker.disconnect()))
        await tasks[0]

    async with running(peer, worker):
        peer.push(peer.world.create_reservation())
        assert await ended(worker.wait_closed(), within=1) == 0


@virtual_time
async def test_disconnected_tells_its_reason() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    told: list[Disconnect] = []
    worker.on("disconnected", told.append)
    async with worker:
        pass
    assert [(d.message, d.cause, d.code, d.will_reconnect) for d in told] == [
        ("SDK Disconnect", "client", None, False)
    ]


# Handlers at the end


@virtual_time
async def test_running_handlers_get_time_to_finish_and_may_still_send_commands() -> None:
    peer = Peer()
    worker = virtual_worker(peer)

    @worker.on("reservationCreated")
    async def slow(reservation: Reservation) -> None:
        await asyncio.sleep(3)
        await reservation.accept()

    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
        assert await ended(worker.disconnect(), within=10) == 3.0
    assert peer.world.reservations[ONE]["reservation_status"] == "accepted"


@virtual_time
async def test_handlers_that_do_not_finish_are_canceled_after_their_grace_time() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    canceled: list[float] = []

    @worker.on("reservationCreated")
    async def endless(_: Reservation) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            canceled.append(asyncio.get_running_loop().time())
            raise

    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
        began = asyncio.get_running_loop().time()
        assert await ended(worker.disconnect(), within=10) == 5.0
        assert canceled == [began + 5.0]


@virtual_time
async def test_disconnected_handlers_run_before_the_worker_is_closed() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    states: list[str] = []

    @worker.on("disconnected")
    async def say(_: Disconnect) -> None:
        await asyncio.sleep(1)
        states.append(worker.state)

    async with worker:
        pass
    assert states == ["ready"]


@virtual_time
async def test_after_the_end_commands_say_that_the_worker_is_gone() -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer)
    async with worker:
        reservation = worker.reservations[ONE]
    with pytest.raises(NotConnectedError):
        await reservation.accept()
    with pytest.raises(NotConnectedError):
        await worker.set_attributes({})
    assert peer.asked("POST") == []


@virtual_time
async def test_a_read_that_waits_to_be_repeated_ends_with_the_worker() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        limited = RateLimitedError("slow down", method="GET", path="x", status=429, retry_after=8)
        peer.fail("GET", limited)
        reading = asyncio.create_task(worker.fetch_latest_version())
        await passes(1)
    with pytest.raises(NotConnectedError):
        await reading


@virtual_time
async def test_retry_after_is_honoured_up_to_a_limit() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        for asked, expected in ((4.0, 4.0), (1000.0, 10.0)):
            peer.fail("GET", RateLimitedError("x", method="GET", path="x", status=429, retry_after=asked))
            assert await ended(worker.fetch_latest_version(), within=60) == expected


@virtual_time
async def test_commands_are_never_repeated() -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer)
    async with worker:
        peer.fail("POST", server_error())
        with pytest.raises(Exception, match="out of order"):
            await worker.reservations[ONE].accept()
        assert len(peer.asked("POST")) == 1


# async with


@virtual_time
async def test_a_worker_is_entered_once() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        with pytest.raises(RuntimeError, match="already started"):
            await worker.__aenter__()
    with pytest.raises(RuntimeError, match="already started"):
        await worker.__aenter__()


@virtual_time
async def test_an_error_in_the_block_is_raised_and_leaves_nothing() -> None:
    peer = Peer()
    with pytest.raises(ZeroDivisionError):
        async with virtual_worker(peer):
            raise ZeroDivisionError
    assert peer.live == []


@virtual_time
async def test_canceling_while_entering_leaves_nothing() -> None:
    peer = Peer(greeting=None)
    worker = virtual_worker(peer)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(1)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert worker.state is SessionState.CLOSED
    assert peer.live == []


@pytest.mark.parametrize("greeting", [None, "init"])
@virtual_time
async def test_a_timeout_of_asyncio_around_the_block_leaves_nothing(greeting: str | None) -> None:
    peer = Peer(greeting=greeting)
    worker = virtual_worker(peer)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2), worker:
            await asyncio.sleep(1000)
    assert worker.state is SessionState.CLOSED
    assert peer.live == []


@pytest.mark.parametrize("greeting", [None, "init"])
@virtual_time
async def test_a_timeout_of_anyio_around_the_block_leaves_nothing(greeting: str | None) -> None:
    # anyio cancels each await until its scope is left, the one that joins the worker too.
    peer = Peer(greeting=greeting)
    worker = virtual_worker(peer)

    @worker.on("ready")
    async def busy(_: Worker) -> None:
        await asyncio.sleep(3)

    with anyio.move_on_after(2) as scope:
        async with worker:
            await anyio.sleep(1000)
    assert scope.cancelled_caught
    assert worker.state is SessionState.CLOSED
    assert peer.live == []


@pytest.mark.parametrize("pooled", [False, True])
@virtual_time
async def test_a_block_that_is_canceled_twice_leaves_nothing_and_waits_for_no_handler(pooled: bool) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    block: Worker | WorkerPool = worker
    if pooled:
        block = WorkerPool(start_jitter=0.0)
        seams = worker._transport
        worker = block.add(token())
        worker._transport = worker._commands._transport = seams
        worker._session._signaling = peer
    canceled: list[float] = []

    @worker.on("ready")
    async def busy(_: Worker) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            canceled.append(asyncio.get_running_loop().time())

    async def work() -> None:
        async with block:
            await asyncio.sleep(1000)

    working = asyncio.create_task(work())
    await passes(2)
    working.cancel()
    await passes(1)
    assert not working.done()  # the handler has five seconds
    working.cancel()
    assert await ended(asyncio.wait({working}), within=1) == 0
    assert working.cancelled()
    assert canceled == [asyncio.get_running_loop().time()]
    assert worker.state is SessionState.CLOSED
    assert peer.live == []


@pytest.mark.parametrize("ending", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "interrupt"])
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "coroutine"])
def test_a_handler_that_ends_the_program_ends_it(ending: BaseException, plain: bool) -> None:
    peer = Peer()
    worker = virtual_worker(peer)

    def leave(_: Reservation) -> None:
        raise ending

    async def leave_later(reservation: Reservation) -> None:
        await asyncio.sleep(0)
        leave(reservation)

    worker.on("reservationCreated", leave if plain else leave_later)

    async def main() -> None:
        async with worker:
            peer.push(peer.world.create_reservation())
            await asyncio.sleep(1000)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        with pytest.raises(type(ending)) as caught:
            runner.run(main())
        assert caught.value is ending
        assert loop.time() < 1000
    assert worker.state is SessionState.CLOSED
    assert peer.live == []
    assert peer.closed
    assert loop.problems() == []


@virtual_time
async def test_canceling_the_owner_itself_leaves_nothing() -> None:
    # So does the end of `asyncio.run`.
    peer = Peer()
    worker = virtual_worker(peer)
    await worker.__aenter__()
    [owner] = [task for task in asyncio.all_tasks() if task.get_name() == "taskrouter worker"]
    owner.cancel()
    await ended(worker.wait_closed(), within=1)
    assert worker.state is SessionState.CLOSED
    assert peer.live == []


# Waiting


@virtual_time
async def test_wait_closed_needs_a_start() -> None:
    worker = virtual_worker(Peer())
    with pytest.raises(NotConnectedError):
        await worker.wait_closed()


@virtual_time
async def test_canceling_wait_closed_leaves_the_session_alone() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with running(peer, worker) as log:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(worker.wait_closed(), 5)
        assert worker.state is SessionState.READY
        assert log == []


@virtual_time
async def test_wait_for_state_follows_the_session() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    seen = asyncio.create_task(worker.wait_for_state("waiting"))
    async with worker:
        assert await worker.wait_for_state("ready", "closed") is SessionState.READY
        peer.close()
        assert await seen is SessionState.WAITING
        waits = asyncio.create_task(worker.wait_for_state(SessionState.TOKEN_EXPIRED))
        await passes(5)
    with pytest.raises(NotConnectedError):
        await waits
    assert await worker.wait_for_state("closed") is SessionState.CLOSED


@virtual_time
async def test_wait_for_state_refuses_what_is_no_state() -> None:
    worker = virtual_worker(Peer())
    with pytest.raises(ValueError, match="happy"):
        await worker.wait_for_state("happy")
    with pytest.raises(ValueError, match="at least one"):
        await worker.wait_for_state()


# Activities


@virtual_time
async def test_the_connect_activity_is_set_before_ready() -> None:
    peer = Peer()
    worker = virtual_worker(peer, connect_activity_sid=BREAK)
    log = heard(worker)
    async with worker:
        assert worker.activity is worker.activities[BREAK]
        assert [request.params for request in peer.asked(ACTIVITY_CHANGE)] == [{"ActivitySid": BREAK}]
        await passes(1)
        assert log == ["ready"]


@virtual_time
async def test_a_connect_activity_that_the_worker_is_in_is_not_set_again() -> None:
    peer = Peer()
    async with virtual_worker(peer, connect_activity_sid=AVAILABLE):
        assert peer.asked("POST") == []


@virtual_time
async def test_a_connect_activity_that_is_refused_is_told_and_the_session_goes_on() -> None:
    peer = Peer()
    peer.fail("POST", RequestInvalidError("no such activity", method="POST", path="x", status=400))
    worker = virtual_worker(peer, connect_activity_sid=BREAK)
    log = heard(worker)
    async with worker:
        assert log == ["error RequestInvalidError", "ready"]
        assert len(peer.openings) == 1


@virtual_time
async def test_a_connect_activity_is_tried_again_when_the_service_is_in_trouble() -> None:
    peer = Peer()
    peer.fail("POST", server_error(503), server_error(500))
    worker = virtual_worker(peer, connect_activity_sid=BREAK)
    log = heard(worker)
    async with worker:
        assert log == ["ready"]
        assert worker.activity is worker.activities[BREAK]


@pytest.mark.parametrize(
    ("choice", "before", "found", "after"),
    [
        ("restore", BREAK, OFFLINE, BREAK),
        ("restore", AVAILABLE, BREAK, BREAK),  # somebody else's decision
        ("restore", OFFLINE, OFFLINE, OFFLINE),
        ("keep", BREAK, OFFLINE, OFFLINE),
        ("connect", BREAK, OFFLINE, AVAILABLE),
        ("connect", BREAK, BREAK, AVAILABLE),
    ],
)
@virtual_time
async def test_the_activity_after_a_gap(choice: str, before: str, found: str, after: str) -> None:
    peer = Peer()
    worker = virtual_worker(peer, connect_activity_sid=AVAILABLE, reconnect_activity=choice)
    async with worker:
        await worker.activities[before].set_as_current()
        await settle()
        peer.close()
        peer.world.set_activity(found)
        log = heard(worker)
        await worker.wait_for("ready", timeout=5)
        assert worker.activity_sid == after
        await passes(1)
        changed = [entry for entry in log if entry.startswith("activity")]
        assert len(changed) == (before != after)


@virtual_time
async def test_a_resynchronisation_on_the_same_connection_leaves_the_activity_alone() -> None:
    peer = Peer()
    worker = virtual_worker(peer, connect_activity_sid=AVAILABLE, reconnect_activity="connect")
    async with worker:
        peer.push(peer.world.set_activity(BREAK))
        peer.push(['{"event_type":"task.updated","payload":{}}'])
        await passes(5)
        assert worker.activity_sid == BREAK


# Answers and frames, either order


@pytest.mark.parametrize("echo", ["before", "after"])
@virtual_time
async def test_a_whole_cycle_is_told_once_whatever_comes_first(echo: str) -> None:
    peer = Peer(echo=echo)  # type: ignore[arg-type]
    peer.world.create_reservation()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        reservation = worker.reservations[ONE]
        assert await reservation.accept() is reservation
        await reservation.task.set_attributes({"a": 1})
        await reservation.wrap()
        await reservation.complete()
        await settle()
        assert log == [
            "ready",
            "created 1 (snapshot)",
            "accepted 1",
            "task updated 1",
            "wrapup 1",
            "task wrapup 1",
            "task completed 1",
            "completed 1",
            "ended 1",
        ]
        assert reservation.task.attributes == {"a": 1}


@virtual_time
async def test_a_command_whose_frames_were_lost_with_the_connection_is_told_after_the_gap() -> None:
    peer = Peer(echo="never")
    peer.world.create_reservation()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        await settle()
        await worker.reservations[ONE].accept()
        peer.close()
        await worker.wait_for("ready", timeout=5)
        await settle()
        assert log[-1] == "accepted 1 (resync)"


@virtual_time
async def test_if_match_travels_only_when_asked_for() -> None:
    for check, expected in ((False, None), (True, "0")):
        peer = Peer()
        peer.world.create_reservation()
        async with virtual_worker(peer, enable_version_check=check) as worker:
            await worker.reservations[ONE].accept()
            assert peer.requests[-1].version == expected
            await worker.set_attributes({})
            assert peer.requests[-1].version == ("1" if check else None)


TASK_UPDATE = "POST .*/Tasks/WT"


@virtual_time
async def test_a_checked_command_waits_for_the_event_that_tells_the_tasks_version() -> None:
    peer = Peer(echo="never")
    peer.world.create_reservation()
    async with virtual_worker(peer, enable_version_check=True) as worker:
        reservation = worker.reservations[ONE]
        await reservation.accept()
        update = asyncio.create_task(reservation.task.set_attributes({"a": 1}))
        await passes(1)
        assert peer.asked(TASK_UPDATE) == []
        peer.push([("reservation.accepted", peer.world.reservations[ONE])])
        await update
        assert [request.version for request in peer.asked(TASK_UPDATE)] == ["2"]
        await reservation.task.set_attributes({"a": 2})  # whose version the answer before showed
        assert [request.version for request in peer.asked(TASK_UPDATE)] == ["2", "3"]


@virtual_time
async def test_a_checked_command_waits_for_five_seconds_and_then_lets_the_service_decide() -> None:
    peer = Peer(echo="never")
    peer.world.create_reservation()
    async with virtual_worker(peer, enable_version_check=True) as worker:
        reservation = worker.reservations[ONE]
        await reservation.accept()
        assert await ended(reservation.task.set_attributes({"a": 1}), within=60) == pytest.approx(5.0)
        assert [request.version for request in peer.asked(TASK_UPDATE)] == ["1"]


@pytest.mark.parametrize("fetched", ["the task", "the reservation", "a snapshot"])
@virtual_time
async def test_a_checked_command_does_not_wait_for_what_was_fetched(fetched: str) -> None:
    peer = Peer(echo="never")
    peer.world.create_reservation()
    async with virtual_worker(peer, enable_version_check=True) as worker:
        reservation = worker.reservations[ONE]
        await reservation.accept()
        match fetched:
            case "the task":
                answer = peer._answer
                peer._answer = lambda request: (  # type: ignore[method-assign]
                    (peer.world.reservations[ONE]["task"], [])
                    if request.path.endswith(reservation.task.sid) and request.method == "GET"
                    else answer(request)
                )
                await reservation.task.fetch_latest_version()
            case "the reservation":
                await reservation.fetch_latest_version()
            case _:
                peer.close()
                await worker.caught_up()
        assert await ended(reservation.task.set_attributes({"a": 1}), within=60) < 0.1
        assert [request.version for request in peer.asked(TASK_UPDATE)] == ["2"]


@virtual_time
async def test_without_version_checks_nothing_waits() -> None:
    peer = Peer(echo="never")
    peer.world.create_reservation()
    async with virtual_worker(peer) as worker:
        reservation = worker.reservations[ONE]
        await reservation.accept()
        assert await ended(reservation.task.set_attributes({"a": 1}), within=60) < 0.1
