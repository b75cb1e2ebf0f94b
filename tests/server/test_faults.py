"""The switches that tests use, and what a slow reader of an answer may delay."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from server_stub.faults import FaultyFrame, FrameFault, RequestFault
from server_stub.views import HEARTBEAT
from tests.server.conftest import Open
from tests.server.raw import PATIENCE, Desk


async def test_frame_is_dropped_replaced_or_followed_by_a_cut(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    faults = iter([FrameFault("drop"), FrameFault(replace=b"garbage"), FrameFault("cut_after")])
    seen: list[FaultyFrame] = []

    def hook(frame: FaultyFrame) -> FrameFault:
        seen.append(frame)
        return next(faults)

    desk.server.faults.frame = hook
    for n in range(3):
        text = f'{{"n": {n}}}'
        desk.run(lambda ws, text=text: ws.update_worker(nina.worker_sid, attributes=text))
    assert (await socket.ws.receive(timeout=5)).data == "garbage"
    assert (await socket.event("worker.attributes.update"))["attributes"] == '{"n": 2}'
    assert await socket.closed() == 1006
    assert [(f.worker_sid, f.event_type) for f in seen] == [(nina.worker_sid, "worker.attributes.update")] * 3


async def test_heartbeats_can_be_muted(open_desk: Open) -> None:
    desk: Desk = await open_desk(heartbeat_seconds=0.1)
    nina = desk.client("nina")
    muted = desk.server.faults.mute_heartbeats(worker_sid=nina.worker_sid)
    socket = await nina.ready()
    await muted.wait_for_hits(3, timeout=PATIENCE)
    assert socket.heartbeats == 0
    muted.remove()
    raw = await socket.ws.receive(timeout=5)
    assert raw.data.encode() == HEARTBEAT.data


@pytest.mark.parametrize(("cut", "attributes"), [("before", "{}"), ("after", '{"n":1}')])
async def test_request_is_cut_before_or_after_it_was_carried_out(
    desk: Desk, cut: Any, attributes: str
) -> None:
    nina = desk.client("nina")
    desk.server.faults.request = lambda _: RequestFault(cut=cut)
    with pytest.raises(aiohttp.ClientError):
        await nina.send(nina.me, "POST", {"Attributes": {"n": 1}})
    desk.server.faults.request = None
    assert (await nina.send(nina.me)).payload["attributes"] == attributes


async def test_slow_reader_of_an_answer_delays_the_frames_by_the_settle_time_at_most(open_desk: Open) -> None:
    desk: Desk = await open_desk(settle_ms=50)
    released = asyncio.Event()

    class Frames:
        holds_something = True

        def release(self) -> None:
            released.set()

    class NeverRead:
        async def prepare(self, _: object) -> None: ...

        async def write_eof(self) -> None:
            await asyncio.Event().wait()

    answering = asyncio.create_task(
        desk.server._bridge._written(
            cast("web.Request", None), cast("web.Response", NeverRead()), Frames(), []
        )
    )
    async with asyncio.timeout(2):
        await released.wait()
    assert not answering.done()
    answering.cancel()
    await asyncio.wait({answering})
