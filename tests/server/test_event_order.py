"""Answers first, then the frames they caused; nobody else waits."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from server_stub.faults import RequestFault
from tests.server.conftest import Open
from tests.server.raw import Client, Desk, Socket

SETTLE_MS = 150
SETTLE = SETTLE_MS / 1000


@pytest.fixture
async def slow_desk(open_desk: Open) -> Desk:
    """A server whose settle time is long enough to be seen."""
    desk: Desk = await open_desk(settle_ms=SETTLE_MS)
    return desk


async def ready(client: Client) -> Socket:
    """A session whose snapshot has settled too."""
    socket = await client.ready()
    await asyncio.sleep(SETTLE * 1.2)  # the settle time is real time: it is what is tested here
    return socket


class Log:
    """The order in which things arrive at clients, and when."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.times: dict[str, float] = {}

    def note(self, what: str) -> None:
        self.entries.append(what)
        self.times[what] = time.monotonic()

    async def answer(self, name: str, sent: Any) -> None:
        answer = await sent
        assert answer.status in (200, 201), answer.body
        self.note(name)

    async def frames(self, socket: Socket, *names: str) -> None:
        for name in names:
            await socket.event(name.rpartition(" ")[2])
            self.note(name)


async def test_frames_follow_the_answer_after_the_settle_time(slow_desk: Desk) -> None:
    nina = slow_desk.client("nina")
    socket = await ready(nina)
    slow_desk.task()
    reservation = await socket.event("reservation.created")
    log = Log()
    await asyncio.gather(
        log.frames(socket, "reservation.accepted"),
        log.answer("answer", nina.answer_reservation(reservation["sid"], "accepted")),
    )
    assert log.entries == ["answer", "reservation.accepted"]
    assert log.times["reservation.accepted"] - log.times["answer"] >= SETTLE * 0.9


async def test_every_session_of_the_worker_waits_for_its_answer(slow_desk: Desk) -> None:
    nina = slow_desk.client("nina")
    one, two = await ready(nina), await ready(nina)
    unavailable = slow_desk.activity("Unavailable")
    log = Log()
    await asyncio.gather(
        log.frames(one, "one worker.activity.update"),
        log.frames(two, "two worker.activity.update"),
        log.answer("answer", nina.send(nina.me, "POST", {"ActivitySid": unavailable})),
    )
    assert log.entries[0] == "answer"


async def test_later_events_of_the_worker_queue_behind_a_held_one(slow_desk: Desk) -> None:
    nina = slow_desk.client("nina")
    socket = await ready(nina)
    answer = await nina.send(nina.me, "POST", {"ActivitySid": slow_desk.activity("Unavailable")})
    assert answer.status == 200
    # Caused by nobody's request, but later than what is held.
    slow_desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"n": 1}'))
    log = Log()
    await log.frames(socket, "worker.activity.update", "worker.attributes.update")
    assert log.entries == ["worker.activity.update", "worker.attributes.update"]


async def test_other_workers_sessions_do_not_wait(slow_desk: Desk) -> None:
    queue_sid = next(iter(slow_desk.workspace.task_queues))
    slow_desk.run(lambda ws: ws.update_task_queue(queue_sid, max_reserved_workers=2))
    nina, omar = slow_desk.client("nina"), slow_desk.client("omar")
    hers, his = await ready(nina), await ready(omar)
    slow_desk.task()
    reservation = await hers.event("reservation.created")
    await his.event("reservation.created")
    log = Log()
    await asyncio.gather(
        log.frames(hers, "reservation.accepted"),
        log.frames(his, "reservation.rescinded"),
        log.answer("answer", nina.answer_reservation(reservation["sid"], "accepted")),
    )
    assert log.entries[-1] == "reservation.accepted"
    assert log.times["reservation.accepted"] - log.times["reservation.rescinded"] >= SETTLE * 0.8


async def test_events_caused_by_rest_do_not_wait(slow_desk: Desk) -> None:
    nina = slow_desk.client("nina")
    socket = await ready(nina)
    began = time.monotonic()
    answer = await slow_desk.rest(
        "POST", f"{slow_desk.path}/Workers/{nina.worker_sid}", data={"Attributes": '{"n": 1}'}
    )
    assert answer.status == 200
    await socket.event("worker.attributes.update")
    assert time.monotonic() - began < SETTLE


async def test_refused_command_holds_nothing_back(slow_desk: Desk) -> None:
    nina = slow_desk.client("nina")
    socket = await ready(nina)
    answer = await nina.send(nina.me, "POST", {"ActivitySid": "WA" + "0" * 32})
    assert answer.status == 400
    began = time.monotonic()
    slow_desk.task()
    await socket.event("reservation.created")
    assert time.monotonic() - began < SETTLE


async def test_frames_of_several_commands_keep_the_commands_order(slow_desk: Desk) -> None:
    nina = slow_desk.client("nina")
    socket = await ready(nina)
    slow_desk.task()
    sid = (await socket.event("reservation.created"))["sid"]
    for status in ("accepted", "wrapping", "completed"):
        assert (await nina.answer_reservation(sid, status)).status == 200
    seen = [await socket.event() for _ in range(5)]
    versions = [event["version"] for event in seen if event["event_type"].startswith("reservation.")]
    kinds = [event["event_type"] for event in seen if event["event_type"].startswith("reservation.")]
    assert kinds == ["reservation.accepted", "reservation.wrapup", "reservation.completed"]
    assert versions == sorted(versions)


async def test_frames_go_out_at_once_if_the_answer_cannot_be_written(open_desk: Open) -> None:
    desk = await open_desk(settle_ms=60_000)  # nobody waits for it
    nina = desk.client("nina")
    socket = await nina.connect()
    await socket.event("init")
    await asyncio.sleep(2.1)  # the snapshot's own limit
    # The client hangs up while its request waits, so that the answer meets a closed connection.
    desk.server.faults.request = lambda _: RequestFault(delay=0.2)
    _, writer = await asyncio.open_connection("127.0.0.1", desk.server.port)
    envelope = {
        "url": nina.me,
        "method": "POST",
        "params": {"ActivitySid": desk.activity("Unavailable")},
        "token": nina.token,
    }
    body = json.dumps(envelope).encode()
    writer.write(b"POST /v1/wschannels HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await socket.event("worker.activity.update")


async def test_connection_cut_after_the_command_loses_no_frame(open_desk: Open) -> None:
    desk = await open_desk()
    nina = desk.client("nina")
    socket = await nina.ready()
    desk.server.faults.request = lambda _: RequestFault(cut="after")
    with pytest.raises(aiohttp.ClientError):
        await nina.send(nina.me, "POST", {"ActivitySid": desk.activity("Unavailable")})
    await socket.event("worker.activity.update")
