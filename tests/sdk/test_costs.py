"""What an event, a command and a worker cost, counted: nothing here looks at a clock."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from taskrouter_worker import Reservation
from taskrouter_worker._signaling import Signaling
from taskrouter_worker._state import REMEMBERED_ENDS
from taskrouter_worker._token import Token
from taskrouter_worker.events import Event, decode
from tests.sdk.bench import Bench
from tests.sdk.peer import Peer, token, virtual_worker
from tests.sdk.virtual import VirtualTimeLoop, settle, virtual_time
from tests.sdk.world import World, sid, text

BLOCKS_OF_AN_OPEN_RESERVATION: Final = 50
"""Blocks of memory; measured: 32."""

CALLS_OF_AN_EVENT: Final = 40
"""Calls of Python functions from a decoded event to its notifications; measured: at most 23."""


MAPS: Final = (
    "reservations",
    "activities",
    "channels",
    "_ended",
    "_doubted",
    "_told_at",
    "_unfinished",
)


def life(number: int, *, steps: int = 3) -> Iterator[bytes]:
    """The frames of a reservation that is accepted and completed, as they come from the wire."""
    own = f"{number:032x}"
    for frame in TEMPLATES[:steps]:
        yield frame.replace(ONE, own.encode())


def _templates() -> list[bytes]:
    world = World()
    reservation = sid("WR", 1)
    frames = [*world.create_reservation(), *world.accept(reservation), *world.complete(reservation)]
    kept = [frame for frame in frames if '"reservation.' in text(frame)]
    return [text(frame).encode() for frame in kept]


ONE: Final = sid("WR", 1)[2:].encode()
TEMPLATES: Final = _templates()


def known(frame: bytes) -> Event:
    """A frame, decoded."""
    event = decode(frame)
    assert event is not None
    return event


def started() -> Bench:
    """A model with its first snapshot."""
    bench = Bench()
    bench.start()
    return bench


def opened(count: int) -> Bench:
    """A model with so many open reservations."""
    bench = started()
    for number in range(1, count + 1):
        for frame in life(number, steps=1):
            bench.model.apply(known(frame))
    assert len(bench.model.reservations) == count
    return bench


def calls_of(action: Callable[[], object]) -> int:
    """The Python functions that `action` calls."""
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return calls


def blocks() -> int:
    """Blocks of memory in use."""
    gc.collect()
    return sys.getallocatedblocks()


# --- An event -----------------------------------------------------------------------------------


def test_an_open_reservation_takes_a_bounded_number_of_blocks_of_memory() -> None:
    bench = opened(100)
    before = blocks()
    for number in range(101, 1_101):
        for frame in life(number, steps=1):
            bench.model.apply(known(frame))
    assert (blocks() - before) / 1_000 <= BLOCKS_OF_AN_OPEN_RESERVATION


def test_an_event_costs_the_same_however_many_reservations_are_open() -> None:
    costs: list[list[int]] = []
    for open_ones in (5, 2_000):
        bench = opened(open_ones)
        events = [known(frame) for frame in life(open_ones + 1)]
        costs.append([calls_of(functools.partial(bench.model.apply, event)) for event in events])
    assert costs[0] == costs[1]
    assert max(costs[0]) <= CALLS_OF_AN_EVENT


class Counted(dict[Any, Any]):
    """A dictionary that nobody may walk through."""

    walks = 0

    def __iter__(self) -> Iterator[Any]:
        self.walks += 1
        return super().__iter__()

    def keys(self) -> Any:
        """One walk."""
        self.walks += 1
        return super().keys()

    def values(self) -> Any:
        """One walk."""
        self.walks += 1
        return super().values()

    def items(self) -> Any:
        """One walk."""
        self.walks += 1
        return super().items()


def test_no_event_walks_through_the_reservations_activities_or_channels() -> None:
    bench = opened(10)
    model = bench.model
    model.reservations = reservations = Counted(model.reservations)
    model.activities = activities = Counted(model.activities)
    model.channels = channels = Counted(model.channels)
    world = World()
    world.create_reservation()
    others = [
        *world.update_task(sid("WR", 1), priority=3),
        *world.set_attributes({"a": 1}),
        *world.set_channel(capacity=3),
    ]
    for frame in life(11):
        bench.model.apply(known(frame))
    for other in others:
        bench.model.apply(known(text(other).encode()))
    list(reservations)  # the count works
    assert (reservations.walks, activities.walks, channels.walks) == (1, 0, 0)


def test_an_event_is_decoded_in_one_pass() -> None:
    """The function that finds out what else a frame may be is for frames that are no good event."""
    for frame in life(1):
        assert calls_of(functools.partial(decode, frame)) <= 3


# --- Many events --------------------------------------------------------------------------------


def test_the_list_of_maps_is_complete() -> None:
    bench = opened(1)
    found = {name for name, value in vars(bench.model).items() if isinstance(value, dict | set | list)}
    assert found == set(MAPS)


def test_maps_do_not_grow_over_ten_thousand_reservations() -> None:
    bench = started()
    sizes: list[dict[str, int]] = []
    held: list[int] = []
    number = 0
    for total in (5_000, 10_000):
        while number < total:
            number += 1
            bench.now += 0.1
            for frame in life(number):
                bench.model.apply(known(frame))
        held.append(blocks())
        sizes.append({name: len(getattr(bench.model, name)) for name in (*MAPS, "_tasks")})
    assert sizes[0] == sizes[1]
    assert max(sizes[1].values()) <= REMEMBERED_ENDS
    assert bench.model.reservations == {}
    assert abs(held[1] - held[0]) < 1_000  # 5,000 reservations, not one block for each of five


def test_a_finished_reservation_with_handlers_needs_no_garbage_collector() -> None:
    bench = started()
    created, *rest = (known(frame) for frame in life(1))
    (note,) = bench.model.apply(created)
    reservation = note.args[0]
    assert isinstance(reservation, Reservation)
    heard: list[str] = []
    for name in ("accepted", "completed", "ended"):
        reservation.on(name, lambda reservation: heard.append(reservation.status))
    task = weakref.ref(reservation.task)
    gc.disable()
    try:
        for event in rest:
            for note in bench.model.apply(event):
                assert note.target is not None
                note.target._emit(note.event, *note.args)
        del note, reservation
        assert heard == ["accepted", "completed", "completed"]
        assert task() is None
    finally:
        gc.enable()


@virtual_time
async def test_a_worker_with_handlers_keeps_nothing_of_a_finished_reservation() -> None:
    peer = Peer(beats=False)
    worker = virtual_worker(peer)
    done = 0

    @worker.on("reservationCreated")
    async def work(reservation: Reservation) -> None:
        nonlocal done
        reservation.on("completed", lambda _: None)
        await reservation.accept()
        await reservation.complete()
        done += 1

    async def lives(count: int) -> int:
        for _ in range(count):
            frames = peer.world.create_reservation()
            peer.push(frames)
            await settle()
        peer.world.reservations.clear()
        peer.world.truth.clear()
        peer.requests.clear()
        peer.tokens_of_requests.clear()
        await asyncio.sleep(10)  # their afterlife is over
        peer.push(peer.world.create_reservation())
        await settle()
        gc.collect()
        return sum(isinstance(thing, Reservation) for thing in gc.get_objects())

    async with worker:
        first = await lives(10)
        assert await lives(60) == first
        assert done == 72
        assert len(asyncio.all_tasks()) <= 4


# --- A worker -----------------------------------------------------------------------------------


@virtual_time
async def test_a_worker_gets_ready_with_four_requests_and_idles_with_two_tasks_and_few_timers() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    tasks, timers = len(asyncio.all_tasks()), len(loop.timers())
    peer = Peer(beats=False)
    async with virtual_worker(peer):
        assert len(peer.requests) == 4
        assert len(peer.openings) == 1
        await asyncio.sleep(20)
        assert len(peer.requests) == 4
        assert len(asyncio.all_tasks()) - tasks <= 2  # the owner and the connection
        assert len(loop.timers()) - timers <= 3  # the clock, the silence, the token's end


@virtual_time
async def test_a_plain_handler_takes_no_task() -> None:
    loop = asyncio.get_running_loop()
    made = 0

    def counted(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        nonlocal made
        made += 1
        return asyncio.Task(coroutine, loop=loop, **options)

    peer = Peer(beats=False)
    worker = virtual_worker(peer)
    seen: list[Reservation] = []
    worker.on("reservationCreated", seen.append)
    async with worker:
        loop.set_task_factory(counted)
        for _ in range(20):
            peer.push(peer.world.create_reservation())
        await settle()
        loop.set_task_factory(None)
    assert len(seen) == 20
    assert made == 0


def test_objects_that_nobody_listens_to_own_no_emitter() -> None:
    bench = opened(1)
    (reservation,) = bench.model.reservations.values()
    things: list[Any] = [reservation, reservation.task, *bench.model.activities.values()]
    assert [thing._emitter for thing in things if hasattr(thing, "_emitter")] != []
    assert {thing._emitter for thing in things if hasattr(thing, "_emitter")} == {None}


def test_a_token_is_read_without_a_call_for_each_of_its_characters() -> None:
    made = token(expires_in=60)
    assert len(made) > 100
    assert calls_of(lambda: Token.parse(made)) < 30


# --- Queues -------------------------------------------------------------------------------------


async def test_a_connection_whose_frames_nobody_takes_stops_reading_its_socket() -> None:
    async def flood(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(2_000):  # 100 MB
                await connection.send("x" * 50_000)

    async with serve(flood, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        signaling = Signaling(
            f"ws://127.0.0.1:{port}/", offline_if_disconnected=None, ssl_context=None, proxy=None
        )
        connection = await signaling.open(Token.parse(token()), close_existing_sessions=False)
        transport = connection._websocket.transport
        assert isinstance(transport, asyncio.Transport)
        async with asyncio.timeout(60):
            while transport.is_reading():
                await asyncio.sleep(0.01)  # it is the other side that goes on
        transport.abort()
