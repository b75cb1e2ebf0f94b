"""What the server spends, counted instead of timed: encodings, writes, tasks, timers, memory, collections."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import aiohttp
import pytest

from server_stub import Settings, StubServer, event_data, replies, sessions
from server_stub.clocks import StandingClock
from server_stub.domain.changes import RowKey, Tracker, key_of
from server_stub.domain.events import Event
from server_stub.domain.model import Limits, Reservation, Task
from server_stub.domain.records import Record
from server_stub.domain.workspace import Workspace
from server_stub.limits import Doorkeeper, ServerLimits
from server_stub.outbox import Hold, Session
from server_stub.process import FILES_BESIDE, GarbageKeeper
from server_stub.storage import Data, sql
from server_stub.storage.sqlite import SqliteStore
from server_stub.views import Frame, event_frame
from tests.server.conftest import Open
from tests.server.raw import Client, Desk, until

RESERVATIONS = 10_000
MOST_RECORDS = 500  # events, and what statistics count
KEPT_SECONDS = 100  # a reservation a second: so many finished tasks are there at a time


def sessions_of(desk: Desk) -> list[Session]:
    """The server's end of every websocket."""
    boxes = desk.server._sessions._outboxes.values()
    return [session for box in boxes for session in box.sessions.values()]


class Wire:
    """Stands before a transport and counts what is written."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """Every event's frame that is made while the test runs."""
    made: list[Frame] = []

    def counted(workspace: Workspace, event: Event, now: float) -> Frame:
        frame = event_frame(workspace, event, now)
        made.append(frame)
        return frame

    monkeypatch.setattr(sessions, "event_frame", counted)
    return made


async def crowd(desk: Desk, number: int, name: str = "nina") -> list[Client]:
    """So many sessions of one worker, all of them ready; no heartbeat comes between."""
    worker_sid = desk.hire(name)
    clients = [desk.let_in(worker_sid) for _ in range(number)]
    for client in clients:
        await client.ready()
    desk.server._sessions._wheel.stop()
    return clients


async def test_an_event_is_encoded_once_for_all_sessions_that_get_it(
    desk: Desk, encoded: list[Frame]
) -> None:
    clients = await crowd(desk, 5)
    wires = [Wire(session.transport) for session in sessions_of(desk)]
    for session, wire in zip(sessions_of(desk), wires, strict=True):
        session.transport = wire  # type: ignore[assignment]
    desk.run(lambda ws: ws.update_worker(clients[0].worker_sid, attributes='{"level":2}'))
    for client in clients:
        await client.sockets[0].event("worker.attributes.update")
    assert len(encoded) == 1
    # Not even copied: the same piece of bytes goes to each of them.
    assert [id(data) for wire in wires for data in wire.writes] == [id(encoded[0].wire)] * 5


async def test_an_event_that_nobody_is_connected_for_is_not_encoded(desk: Desk, encoded: list[Frame]) -> None:
    away = desk.hire("otto")
    desk.run(lambda ws: ws.update_worker(away, attributes='{"level":2}'))
    assert encoded == []


async def test_what_a_session_gets_in_one_turn_is_written_with_one_call(desk: Desk) -> None:
    [client] = await crowd(desk, 1)
    [session] = sessions_of(desk)
    session.transport = wire = Wire(session.transport)  # type: ignore[assignment]
    for level in range(3):
        desk.run(lambda ws, n=level: ws.update_worker(client.worker_sid, attributes=json.dumps({"level": n})))
    levels = [json.loads((await client.sockets[0].event())["attributes"])["level"] for _ in range(3)]
    assert levels == [0, 1, 2]
    assert len(wire.writes) == 1


async def test_a_session_at_rest_has_no_task_and_no_timer_of_its_own(desk: Desk) -> None:
    def tasks() -> list[str]:
        return [name for task in asyncio.all_tasks() if "Sessions." in (name := repr(task.get_coro()))]

    def timers() -> list[Any]:
        loop: Any = asyncio.get_running_loop()
        ours = [handle for handle in loop._scheduled if not handle.cancelled()]
        return [handle for handle in ours if "server_stub" in repr(handle)]

    await crowd(desk, 12, "otto")
    await until(lambda: not tasks())
    # The workspace's deadlines have one, the watch over connections another; the wheel stands still.
    assert len(timers()) <= 2, timers()
    assert all(session.writer is None and session.closer is None for session in sessions_of(desk))
    # Nothing waits: one empty queue for all.
    await until(lambda: len({id(session.queue) for session in sessions_of(desk)}) == 1)


async def test_a_session_that_is_written_to_one_frame_at_a_time_goes_back_to_rest(desk: Desk) -> None:
    [client] = await crowd(desk, 1)
    [session] = sessions_of(desk)
    seen: list[bytes] = []
    desk.server._sessions.tap = lambda *told: seen.append(told[-1])
    desk.run(lambda ws: ws.update_worker(client.worker_sid, attributes='{"level":2}'))
    await client.sockets[0].event("worker.attributes.update")
    await until(lambda: session.writer is None)
    assert len(seen) == 1
    assert session.waiting == 0


@pytest.mark.usefixtures("no_collections")
async def test_who_has_left_is_freed_without_the_garbage_collector(desk: Desk) -> None:
    before = alive(Session)
    clients = await crowd(desk, 3)
    assert alive(Session) == before + 3
    for client in clients:
        await client.close()
    await until(lambda: len(desk.server._sessions) == 0)
    await until(lambda: alive(Session) == before)
    assert desk.server._sessions._outboxes == {}
    assert desk.server._sessions._wheel._expiries == {}


def work(server: StubServer, clock: StandingClock, number: int) -> None:
    """One reservation; one in twenty is accepted and completed, the others' tasks are canceled."""
    sid = server.workspace_sid
    task = server.run(sid, lambda ws: ws.create_task(attributes='{"language":"en"}'))
    [reservation] = task.reservations.values()
    if number % 20 == 0:
        for status in ("accepted", "completed"):
            server.run(sid, partial(Workspace.update_reservation, sid=reservation.sid, status=status))
    else:
        server.run(sid, lambda ws: ws.update_task(task.sid, assignment_status="canceled"))
    clock.move_to(clock.now() + 1)


def held_by(root: object) -> int:
    """How many entries all maps and sets hold that can be reached from here."""
    seen: set[int] = set()
    found = 0
    waiting: deque[object] = deque([root])
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType):
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | set):
            found += len(thing)
        elif isinstance(thing, list):
            # What is forgotten there is taken out in lots: at most half of it is of no use any more.
            assert len(thing) < 3 * MOST_RECORDS, type(thing)
        waiting.extend(gc.get_referents(thing))
    return found


@pytest.fixture
def no_collections() -> Iterator[None]:
    """The garbage collector sleeps."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive(kind: type) -> int:
    """How many objects of that type there are in the process."""
    return sum(type(thing) is kind for thing in gc.get_objects())


@pytest.mark.usefixtures("no_collections")
async def test_after_ten_thousand_reservations_nothing_has_grown_and_there_is_no_garbage() -> None:
    clock = StandingClock(1_800_000_000.0)
    limits = Limits(retention_seconds=KEPT_SECONDS, max_events=MOST_RECORDS, max_counted_events=MOST_RECORDS)
    server = StubServer(Settings(limits=limits), clock=clock)
    server._runtime.close()  # no timer: what is due is carried out with the next command
    sid = server.workspace_sid
    available = next(a.sid for a in server.account.workspaces[sid].activities.values() if a.available)
    server.run(sid, lambda ws: ws.create_worker(friendly_name="nina", activity_sid=available))
    for number in range(RESERVATIONS // 5):
        work(server, clock, number)
    before, tasks, reservations = held_by(server), alive(Task), alive(Reservation)
    for number in range(RESERVATIONS // 5, RESERVATIONS):
        work(server, clock, number)
    # Counters by the hour or so are allowed; one entry for each reservation, or for a few, would show.
    assert held_by(server) - before < RESERVATIONS // 10
    # They refer to each other, and yet are freed when they are forgotten.
    assert alive(Task) - tasks < RESERVATIONS // 10
    assert alive(Reservation) - reservations < RESERVATIONS // 10


async def test_a_token_is_remembered_for_its_life_and_no_longer(open_desk: Open) -> None:
    clock = StandingClock(time.time())
    desk = await open_desk(token_clock=clock)
    worker_sid = desk.hire("nina")

    async def used(lifetime: int) -> int:
        client = desk.let_in(worker_sid, ttl=lifetime)
        assert (await client.send(client.me, "GET")).status == 200
        return len(desk.server._bridge._tokens._known)

    assert [await used(60), await used(3600), await used(61)] == [1, 2, 3]
    clock.move_to(clock.now() + 600)
    assert await used(10_000) == 3  # the first is gone; the third waits for the second, and no longer
    clock.move_to(clock.now() + 3600)
    assert await used(20_000) == 2


@pytest.mark.usefixtures("no_collections")
async def test_a_command_whose_frames_followed_its_answer_is_freed_without_the_garbage_collector(
    open_desk: Open,
) -> None:
    desk = await open_desk(settle_ms=1)
    nina = desk.client("nina")
    socket = await nina.ready()
    for _ in range(3):
        [reservation] = desk.task().reservations.values()
        await socket.event("reservation.created")
        await nina.answer_reservation(reservation.sid, "accepted")
        await socket.event("reservation.accepted")
        await nina.answer_reservation(reservation.sid, "completed")
        await socket.event("task.completed")
        await socket.event("reservation.completed")
    await until(lambda: not alive(Hold))


async def test_what_is_forgotten_is_deleted_with_statements_that_were_put_together_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_anew(table: Any) -> Any:
        raise AssertionError(f"a statement for {table} is put together anew")

    clock = StandingClock(1_800_000_000.0)
    limits = Limits(retention_seconds=1, max_events=1, max_counted_events=1)
    store = SqliteStore(tmp_path / "data.sqlite")
    settings = Settings(port=0, limits=limits)
    async with Data(store) as data, StubServer(settings, clock=clock, data=data) as server:
        assert server._durability is not None
        monkeypatch.setattr(sql, "delete", made_anew)
        for _ in range(2 * MOST_RECORDS):  # what is too much is taken out in lots
            server.run(server.workspace_sid, lambda ws: ws.create_task(attributes="{}"))
        await server._durability.committed()
    with contextlib.closing(sqlite3.connect(tmp_path / "data.sqlite")) as stored:
        [(events,), (facts,)] = stored.execute(
            "SELECT count(*) FROM event UNION ALL SELECT count(*) FROM fact"
        )
    assert max(events, facts) < MOST_RECORDS  # so some were


# --- A command ----------------------------------------------------------------------------------


def life_of_a_task(desk: Desk) -> Iterator[str]:
    """Created, accepted and completed; yields after each command what it was."""
    desk.hire("nina")
    task = desk.task()
    yield "created"
    [reservation] = task.reservations.values()
    for status in ("accepted", "completed"):
        desk.run(partial(Workspace.update_reservation, sid=reservation.sid, status=status))
        yield status


async def test_what_the_events_of_a_command_say_of_a_task_is_put_together_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Task] = []
    monkeypatch.setattr(event_data, "_task", partial(_noted, made, event_data._task))
    counts = {step: len(made) for step in life_of_a_task(desk)}
    # To create is two commands: the task comes, and a worker is reserved for it.
    assert counts == {"created": 2, "accepted": 3, "completed": 4}
    assert len(desk.server.history(desk.server.workspace_sid)) > 8


def _noted(made: list[Task], function: Callable[..., Any], task: Task, at: float) -> Any:
    made.append(task)
    return function(task, at)


async def test_only_rows_that_differ_from_what_is_stored_are_written(desk: Desk) -> None:
    tracker = Tracker(desk.workspace, is_stored=False)
    stored: dict[RowKey, Record] = {}
    for step in life_of_a_task(desk):
        written = {key_of(record): record for record in tracker.take().written}
        same = [key for key, record in written.items() if stored.get(key) == record]
        assert same == [], step
        stored.update(written)
        if step != "created":
            assert sorted(kind for kind, _ in written) == ["reservation", "task"]


async def test_a_statement_is_put_together_once_for_all_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    insert: Any = SqliteStore._upsert

    def counted(table: Any) -> Any:
        made.append(table.name)
        return insert(table)

    monkeypatch.setattr(SqliteStore, "_upsert", staticmethod(counted))
    store = SqliteStore(tmp_path / "data.sqlite")
    async with Data(store) as data, StubServer(Settings(port=0), data=data) as server:
        for _ in range(3):
            server.run(server.workspace_sid, lambda ws: ws.create_task(attributes="{}"))
            assert server._durability is not None
            await server._durability.committed()
    assert sorted(made) == ["entity", "event", "fact", "setting", "workspace"]


async def test_a_body_that_came_with_its_headers_is_not_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waited(_: object) -> Any:
        raise AssertionError("a timer was set for it")

    monkeypatch.setattr(replies, "in_time", waited)
    key = aiohttp.encode_basic_auth(desk.server.account_sid, desk.server.auth_token)
    lines = (
        f"POST /v1{desk.path}/Tasks HTTP/1.1",
        "Host: localhost",
        f"Authorization: {key}",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: 13",
        "Connection: close",
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.server.port)
    writer.write("\r\n".join((*lines, "", "Attributes={}")).encode())  # with one call: it comes in one piece
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 201 "), answer


# --- The process --------------------------------------------------------------------------------


async def test_a_server_in_somebody_elses_process_leaves_the_garbage_collector_alone(open_desk: Open) -> None:
    before = gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()
    await open_desk()
    assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == before


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the keeper asks of the collector, which does nothing of it."""
    asked: list[str] = []
    for name in ("collect", "freeze", "unfreeze"):
        monkeypatch.setattr(gc, name, lambda *_, name=name: asked.append(name))
    return asked


async def test_the_keeper_freezes_what_is_there_and_puts_everything_back(collections: list[str]) -> None:
    before = gc.get_threshold()
    with GarbageKeeper():
        assert collections == ["unfreeze", "collect", "freeze"]
        assert gc.get_threshold()[2] > 1_000_000  # never a complete collection in the middle of a request
        collections.clear()
    assert collections == ["unfreeze"]
    assert gc.get_threshold() == before


class Heap:
    """Memory blocks as the keeper sees them; a complete collection frees those that are garbage."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, used: int) -> None:
        self.used = used
        self.garbage = 0
        self.asked: list[str] = []
        for name in ("collect", "freeze", "unfreeze"):
            monkeypatch.setattr(gc, name, partial(self._asked, name))
        monkeypatch.setattr(sys, "getallocatedblocks", lambda: self.used + self.garbage)

    def _asked(self, name: str) -> int:
        self.asked.append(name)
        if self.asked[-2:] == ["unfreeze", "collect"]:
            self.garbage = 0
        return 0


@pytest.mark.parametrize(
    ("grown", "busy", "after_garbage", "complete"),
    [
        (1.0, 0.0, True, False),
        (1.2, 0.0, True, False),
        (1.3, 0.0, True, True),
        (1.3, 0.0, False, False),  # nothing was found the last time: what is new is in use
        (1.9, 0.0, False, False),
        (1.3, 0.9, True, False),  # later, when there is less to do
        (2.1, 0.9, True, True),  # now, whatever there is to do
        (2.1, 0.9, False, True),  # and whatever was found: memory doubles once, not for ever
    ],
)
async def test_the_keeper_looks_at_everything_only_if_there_is_much_new_and_time_for_it(
    monkeypatch: pytest.MonkeyPatch, grown: float, busy: float, *, after_garbage: bool, complete: bool
) -> None:
    heap = Heap(monkeypatch, used=50_000_000)
    with GarbageKeeper() as keeper:
        if after_garbage:
            heap.garbage = 60_000_000
        else:
            heap.used = 110_000_000
        keeper.look(busy=0.9)
        assert keeper.complete == 2  # that much was new
        heap.asked.clear()
        heap.used = int(heap.used * grown)
        keeper.look(busy=busy)
        assert heap.asked == (["unfreeze", "collect", "freeze"] if complete else ["collect", "freeze"])
        assert keeper.complete == 2 + complete


async def test_workers_who_connect_and_then_rest_are_not_looked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heap = Heap(monkeypatch, used=1_500_000)
    with GarbageKeeper() as keeper:
        for _ in range(16):  # seconds: they connect
            heap.used += 200_000
            keeper.look(busy=0.9)
        while_connecting = keeper.complete
        for _ in range(1_000):  # they rest
            keeper.look(busy=0.02)
        assert keeper.complete == while_connecting


async def test_garbage_that_only_a_complete_collection_finds_doubles_the_memory_once_and_never_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heap = Heap(monkeypatch, used=5_000_000)
    with GarbageKeeper() as keeper:

        def most_garbage(complete: int) -> int:
            most = 0
            for _ in range(1_000):
                heap.garbage += 100_000
                most = max(most, heap.garbage)
                keeper.look(busy=0.02)
                if keeper.complete == complete:
                    return most
            raise AssertionError("it was never looked for")

        assert most_garbage(2) == 5_100_000
        # By then it is known that there is some to be found.
        assert most_garbage(12) == 1_300_000


async def test_of_little_new_a_small_server_makes_nothing(
    collections: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = 100_000
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: blocks)
    with GarbageKeeper() as keeper:
        collections.clear()
        blocks *= 5  # tens of megabytes: not worth a look at everything
        keeper.look(busy=0)
        assert keeper.complete == 1


@pytest.mark.skipif(sys.platform != "linux", reason="resource.prlimit is Linux's")
async def test_serve_allows_itself_the_files_that_its_connections_need() -> None:
    import resource  # noqa: PLC0415 - there is none on Windows

    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        'ulimit -Sn 200; exec "$0" -m server_stub serve --port 0 --json --max-connections 400',
        sys.executable,
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readline(), 30)
        soft, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert soft == 400 + FILES_BESIDE
    finally:
        process.terminate()
        await process.wait()


def test_all_workers_that_a_workspace_may_have_can_be_connected() -> None:
    limits = ServerLimits()
    assert limits.max_sessions >= Limits().max_workers
    # One connection each, and room for the requests that they make.
    assert limits.max_connections >= Limits().max_workers * 1.3


async def test_connections_are_counted_only_when_there_may_be_too_many() -> None:
    open_ones: list[asyncio.BaseProtocol] = []
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return len(open_ones)

    def make() -> asyncio.BaseProtocol:
        open_ones.append(asyncio.Protocol())
        return open_ones[-1]

    door = Doorkeeper(make, count=count, most=1_000)
    for _ in range(1_000):
        door()
    assert counted == 1  # when the door was made
    assert len(open_ones) == 1_000
    assert door() not in open_ones
    del open_ones[:100]  # they leave
    for _ in range(100):
        assert door() is open_ones[-1]
    assert door() not in open_ones
    assert len(open_ones) == 1_000
