"""Workers whose last connection ended."""

from __future__ import annotations

import asyncio

from tests.server.conftest import Open
from tests.server.raw import Desk, until


async def test_worker_goes_offline_with_its_last_connection(desk: Desk) -> None:
    nina = desk.client("nina")
    first, second = await nina.ready(), await nina.ready()
    await first.ws.close()
    await until(lambda: len(desk.server._sessions) == 1)
    assert desk.activity_of(nina.worker_sid) == "Available"
    await second.ws.close()
    await until(lambda: desk.activity_of(nina.worker_sid) == "Offline")


async def test_worker_that_asked_to_stay_is_left_alone(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready(setWorkerOfflineIfDisconnected="false")
    await socket.ws.close()
    await until(lambda: len(desk.server._sessions) == 0)
    await asyncio.sleep(0.02)  # nothing is scheduled, and nothing else would tell
    assert desk.activity_of(nina.worker_sid) == "Available"


async def test_flag_of_the_last_connection_to_end_decides(desk: Desk) -> None:
    nina = desk.client("nina")
    stays = await nina.ready(setWorkerOfflineIfDisconnected="false")
    leaves = await nina.ready(setWorkerOfflineIfDisconnected="true")
    await stays.ws.close()
    await until(lambda: len(desk.server._sessions) == 1)
    await leaves.ws.close()
    await until(lambda: desk.activity_of(nina.worker_sid) == "Offline")


async def test_worker_that_returns_within_the_grace_stays(open_desk: Open) -> None:
    desk = await open_desk(offline_grace_ms=300)
    nina = desk.client("nina")
    await (await nina.ready()).ws.close()
    await until(lambda: len(desk.server._sessions) == 0)
    socket = await nina.ready()
    await asyncio.sleep(0.4)
    assert desk.activity_of(nina.worker_sid) == "Available"
    await socket.ws.close()
    await until(lambda: desk.activity_of(nina.worker_sid) == "Offline")


async def test_cut_connection_counts_like_a_closed_one(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    transport = socket.ws._response.connection.transport  # type: ignore[union-attr]  # the test's own socket
    assert transport is not None
    transport.abort()
    await until(lambda: desk.activity_of(nina.worker_sid) == "Offline")


async def test_without_an_offline_activity_the_unavailable_default_serves(desk: Desk) -> None:
    nina = desk.client("nina")
    offline = desk.activity("Offline")
    desk.run(lambda ws: ws.update_activity(offline, friendly_name="Gone home"))
    await (await nina.ready()).ws.close()
    await until(lambda: desk.activity_of(nina.worker_sid) == "Gone home")


async def test_expired_session_takes_its_worker_offline(desk: Desk) -> None:
    nina = desk.let_in(desk.hire("nina"), ttl=1)
    await nina.ready()
    await until(lambda: desk.activity_of(nina.worker_sid) == "Offline")
