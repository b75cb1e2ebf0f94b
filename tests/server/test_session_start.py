"""From the upgrade to the first frames, and who is not let in."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import jwt
import pytest
import websockets

from server_stub.limits import ServerLimits
from taskrouter_worker.clock import ManualClock
from tests.server.conftest import Open
from tests.server.raw import Desk, until
from tests.support import access_token


async def test_shortest_transcript_leads_to_ready(desk: Desk) -> None:
    nina = desk.client("nina")
    task = desk.task(topic="cards")
    socket = await nina.connect()
    init = await socket.event("init")
    assert init["channel_id"] == nina.worker_sid
    assert init["account_sid"] == desk.server.account_sid
    assert init["workspace_sid"] == desk.server.workspace_sid
    assert 3_590_000 < init["token_lifetime"] <= 3_600_000

    answers = await nina.snapshot()
    worker = answers["worker"]
    assert worker["friendly_name"] == "nina"
    assert worker["activity_sid"] in [a["sid"] for a in answers["activities"]["contents"]]
    assert {c["task_channel_unique_name"] for c in answers["channels"]["contents"]} == {
        "default", "voice", "sms", "chat", "video",
    }  # fmt: skip
    [reservation] = answers["reservations"]["contents"]
    assert reservation["task"]["sid"] == task.sid
    assert reservation["reservation_status"] == "pending"
    assert "task_transfer" not in reservation
    assert "active_outgoing_task_transfer" not in reservation
    assert all(page["after_sid"] is None for page in answers.values() if "contents" in page)


async def test_frames_are_text_and_uncompressed_though_the_client_offers_deflate(desk: Desk) -> None:
    nina = desk.client("nina")
    async with websockets.connect(f"{desk.server.ws_server}?token={nina.token}") as ws:
        frame = await ws.recv()
        assert isinstance(frame, str)
        assert json.loads(frame)["event_type"] == "init"
        assert ws.response is not None
        assert "Sec-WebSocket-Extensions" not in ws.response.headers


async def test_heartbeats_are_single_spaces_and_come_in_every_period(open_desk: Open) -> None:
    desk = await open_desk(heartbeat_seconds=0.2)
    nina = desk.client("nina")
    async with websockets.connect(f"{desk.server.ws_server}?token={nina.token}") as ws:
        await ws.recv()
        began = time.monotonic()
        async with asyncio.timeout(5):
            beats = [await ws.recv() for _ in range(4)]
        assert beats == [" "] * 4
        assert time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": -60}, 4408),
        ({"nbf": 600}, 4401),
        ({"sub": "AC" + "f" * 32}, 4403),
        ({"iss": "SK" + "f" * 32}, 4401),
        ({"grants": {}}, 4401),
        ({"grants": {"task_router": {"role": "boss"}}}, 4401),
    ],
    ids=["expired", "not yet", "other account", "other key", "no grant", "no such role"],
)
async def test_unusable_token_is_let_in_and_closed_with_its_code(
    desk: Desk, claims: dict[str, Any], code: int
) -> None:
    nina = desk.client("nina")
    sound = jwt.decode(nina.token, options={"verify_signature": False})
    relative = {k: int(time.time()) + v if isinstance(v, int) else v for k, v in claims.items()}
    token = jwt.encode({**sound, **relative}, desk.server.signing_key_secret, algorithm="HS256")
    socket = await nina.connect(token=token)
    assert await socket.closed() == code


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\u00e9.\u00e9.\u00e9", "x" * 17_000])
async def test_garbage_for_a_token_is_closed_as_a_bad_token(desk: Desk, token: str) -> None:
    nina = desk.client("nina")
    ws = await desk.http.ws_connect(desk.server.ws_server, params={"token": token})
    message = await ws.receive(timeout=5)
    assert (message.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 4401)
    assert nina.sockets == []


async def test_unsigned_and_wrongly_signed_tokens_are_refused(desk: Desk) -> None:
    nina = desk.client("nina")
    claims = jwt.decode(nina.token, options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", algorithm="none")
    forged = jwt.encode(claims, "not the secret, but long enough for it", algorithm="HS256")
    for token in (unsigned, forged):
        assert await (await nina.connect(token=token)).closed() == 4401
        assert (await nina.send(nina.me, token=token)).status == 401


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_every_hmac_of_the_helper_libraries_is_accepted(desk: Desk, algorithm: str) -> None:
    nina = desk.client("nina")
    claims = jwt.decode(nina.token, options={"verify_signature": False})
    token = jwt.encode(claims, desk.server.signing_key_secret, algorithm=algorithm)
    await (await nina.connect(token=token)).event("init")


async def test_token_for_nobody_or_for_an_unknown_worker_opens_no_websocket(desk: Desk) -> None:
    nina = desk.client("nina")
    admin = access_token(desk.server, "", role="admin")
    stranger = access_token(desk.server, "WK" + "0" * 32)
    assert await (await nina.connect(token=admin)).closed() == 4403
    assert await (await nina.connect(token=stranger)).closed() == 4403


async def test_token_of_a_few_seconds_still_gets_a_lifetime_that_clients_can_use(desk: Desk) -> None:
    nina = desk.let_in(desk.hire("nina"), ttl=2)
    init = await (await nina.connect()).event("init")
    assert init["token_lifetime"] == 5_001


async def test_token_of_a_month_gets_a_lifetime_that_timers_can_hold(desk: Desk) -> None:
    nina = desk.let_in(desk.hire("nina"), ttl=60 * 86_400)
    init = await (await nina.connect()).event("init")
    assert init["token_lifetime"] == 2_147_488_647


async def test_session_ends_with_its_token(desk: Desk) -> None:
    nina = desk.let_in(desk.hire("nina"), ttl=1)
    socket = await nina.connect()
    await socket.event("init")
    assert await socket.closed() == 4408


async def test_clocks_may_differ_by_a_few_seconds(open_desk: Open) -> None:
    clock = ManualClock(time.time())
    desk = await open_desk(token_clock=clock)
    nina = desk.let_in(desk.hire("nina"), ttl=10)
    clock.advance(12)
    assert (await nina.send(nina.me)).status == 200
    clock.advance(2)
    assert (await nina.send(nina.me)).status == 401


async def test_new_session_displaces_the_others_if_it_asks_to(desk: Desk) -> None:
    nina, omar = desk.client("nina"), desk.client("omar")
    old, other = await nina.ready(), await omar.ready()
    new = await nina.connect(closeExistingSessions="true")
    await new.event("init")
    assert await old.closed() == 4409
    assert await other.quiet()
    assert desk.activity_of(nina.worker_sid) == "Available"


async def test_sessions_of_one_worker_are_limited(open_desk: Open) -> None:
    desk = await open_desk(server_limits=ServerLimits(max_sessions_per_worker=1))
    nina, omar = desk.client("nina"), desk.client("omar")
    first = await nina.ready()
    assert await (await nina.connect()).closed() == 4429
    await (await omar.connect()).event("init")
    assert await first.quiet()


async def test_what_a_client_sends_is_ignored_but_not_without_bounds(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    await socket.ws.send_str("hello")
    await socket.ws.send_bytes(b"\x00\xff")
    desk.task()
    await socket.event("reservation.created")
    await socket.ws.send_str("x" * 100_000)
    assert await socket.closed() == 1009


async def test_deleted_worker_and_deleted_workspace_end_their_sessions(desk: Desk) -> None:
    nina, omar = desk.client("nina"), desk.client("omar")
    first, second = await nina.ready(), await omar.ready()
    desk.run(lambda ws: ws.delete_worker(nina.worker_sid))
    assert await first.closed() == 4403
    assert (await nina.send(nina.base + "/Activities")).status == 403
    assert (await desk.rest("DELETE", desk.path)).status == 204
    assert await second.closed() == 4403


async def test_slow_reader_is_closed_and_nobody_else_waits(open_desk: Open) -> None:
    desk = await open_desk(server_limits=ServerLimits(max_waiting_frames=20))
    nina, omar = desk.client("nina"), desk.client("omar")
    slow, quick = await nina.ready(), await omar.ready()
    # Nothing yields to the event loop here, so nothing is written meanwhile.
    for i in range(25):
        desk.run(lambda ws, i=i: ws.update_worker(nina.worker_sid, attributes=json.dumps({"i": i})))
    desk.run(lambda ws: ws.update_worker(omar.worker_sid, attributes='{"i": 0}'))
    await quick.event("worker.attributes.update")
    assert await slow.closed() == 4413


async def test_shutdown_closes_sessions_with_1001_and_moves_nobody(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    closing = asyncio.create_task(socket.closed())
    async with asyncio.timeout(2):
        await desk.server.stop()
    assert await closing == 1001
    assert desk.activity_of(nina.worker_sid) == "Available"


async def test_shutdown_does_not_wait_for_clients_that_are_gone(desk: Desk) -> None:
    nina = desk.client("nina")
    await nina.ready()  # it never answers the closing handshake: nobody reads
    async with asyncio.timeout(2):
        await desk.server.stop()


async def test_health_counts_sessions(desk: Desk) -> None:
    nina = desk.client("nina")
    await nina.ready()
    health = await desk.rest("GET", f"{desk.server.rest_url}/stub/health")
    assert health.status == 200
    assert (health.body["status"], health.body["sessions"]) == ("ok", 1)
    await nina.close()
    await until(lambda: len(desk.server._sessions) == 0)


@pytest.mark.parametrize(
    ("header", "value", "message"),
    [
        ("Sec-WebSocket-Key", "", "Sec-WebSocket-Key must be 16 bytes in base64"),
        ("Sec-WebSocket-Key", "short", "Sec-WebSocket-Key must be 16 bytes in base64"),
        ("Sec-WebSocket-Key", "\u00e9", "Sec-WebSocket-Key must be 16 bytes in base64"),
        ("Sec-WebSocket-Version", "12", "Sec-WebSocket-Version must be 13"),
        ("Connection", "keep-alive", "Connection must be Upgrade"),
        ("Sec-WebSocket-Protocol", "TOKEN", "Sec-WebSocket-Protocol must be left out: the token goes into"),
    ],
)
async def test_handshake_that_is_none_is_told_what_is_wrong(
    desk: Desk, caplog: pytest.LogCaptureFixture, header: str, value: str, message: str
) -> None:
    nina = desk.client("nina")
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        header: value.replace("TOKEN", nina.token),
    }
    async with desk.http.get(f"{desk.server.eb_server}?token={nina.token}", headers=headers) as response:
        body = await response.json()
    assert (response.status, body["code"]) == (400, 20001)
    assert body["message"].startswith(f"This is no websocket handshake: {message}")
    assert not caplog.records


# --- Several sessions of one worker at once -----------------------------------------------------


async def test_sessions_that_wait_for_their_turn_count_as_sessions_of_their_worker(
    open_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server_stub.sessions.TURN_SECONDS", 600)
    desk = await open_desk(server_limits=ServerLimits(max_sessions_per_worker=2))
    nina = desk.client("nina")
    first = await nina.connect()
    await first.event("init")
    second = await nina.connect()  # waits until the first one has its snapshot
    await until(lambda: desk.server._sessions._turns.waiting(nina.worker_sid))
    assert await (await nina.connect()).closed() == 4429
    await nina.snapshot()
    await second.event("init")


async def test_end_of_a_start_wakes_the_one_that_waits_longest_and_no_other(
    open_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server_stub.sessions.TURN_SECONDS", 600)
    desk = await open_desk()
    nina = desk.client("nina")
    first = await nina.connect()
    await first.event("init")
    turns = desk.server._sessions._turns
    waiting = []
    for number in range(1, 31):
        waiting.append(await nina.connect())
        await until(lambda number=number: len(turns.waiting(nina.worker_sid)) == number)
    last = waiting.pop()
    there = turns.waiting(nina.worker_sid)
    await nina.reservations()
    await waiting[0].event("init")
    assert [turn.came.is_set() for turn in there] == [True] + [False] * 29
    await nina.reservations()
    await waiting[1].event("init")
    desk.run(lambda ws: ws.delete_worker(nina.worker_sid))  # each one that is refused lets the next one try
    assert await last.closed() == 4403
    assert not turns.waiting(nina.worker_sid)


async def test_session_that_waits_for_its_turn_is_displaced_like_any_other(
    open_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server_stub.sessions.TURN_SECONDS", 600)
    desk = await open_desk()
    nina = desk.client("nina")
    first = await nina.connect()
    await first.event("init")
    second = await nina.connect()
    await until(lambda: desk.server._sessions._turns.waiting(nina.worker_sid))
    only = await nina.connect(closeExistingSessions="true")
    await only.event("init")
    assert (await first.closed(), await second.closed()) == (4409, 4409)
    assert len(desk.server._sessions) == 1
