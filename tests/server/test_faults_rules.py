"""Rules, actions and their log: whom they hit and when, in Python and over REST, and a replay of them."""

from __future__ import annotations

import asyncio
import errno
import json
from typing import Any

import aiohttp
import pytest

from server_stub.faults import (
    ActionKind,
    FaultAction,
    FaultKind,
    FaultPlan,
    FaultRecord,
    FaultRule,
    Faults,
    FaultyFrame,
)
from tests.server.raw import PATIENCE, Answer, Client, Desk

WS, OTHER_WS = "WS" + "1" * 32, "WS" + "2" * 32
WK = "WK" + "1" * 32


def frame(event_type: str = "reservation.created", *, worker: str = WK, workspace: str = WS) -> FaultyFrame:
    return FaultyFrame(worker, 1, event_type, b"{}", workspace)


def hits(faults: Faults, frames: int) -> list[int]:
    """Which of so many frames in a row are hit, counted from 1."""
    return [n for n in range(1, frames + 1) if faults.on_frame(frame()) is not None]


def watched(faults: Faults) -> tuple[bool, bool, bool]:
    return faults.watches_frames, faults.watches_requests, faults.watches_websockets


# --- When and whom ------------------------------------------------------------------------------


def test_rule_hits_the_next_ones_after_those_that_pass_first() -> None:
    faults = Faults()
    handle = faults.drop_frames(times=2, after=3)
    assert hits(faults, 9) == [4, 5]
    assert (handle.matched, handle.hits, handle.finished) == (5, 2, True)
    assert not faults.watches_frames  # it costs nothing any more


def test_share_is_drawn_from_the_rules_own_seed() -> None:
    def drawn(seed: int | None) -> list[int]:
        faults = Faults()
        faults.drop_frames(share=0.3, seed=seed)
        return hits(faults, 200)

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert 30 <= len(drawn(7)) <= 90


def test_share_without_a_seed_gets_one_that_is_shown() -> None:
    first = Faults().drop_frames(share=0.5).rule
    assert isinstance(first.seed, int)
    assert first.as_dict()["seed"] == first.seed


async def test_rule_ends_after_its_time() -> None:
    faults = Faults()
    handle = faults.drop_frames(for_seconds=0.05)
    assert hits(faults, 1) == [1]
    await asyncio.sleep(0.06)
    assert hits(faults, 1) == []
    assert handle.as_dict()["finished"] is True
    assert not faults.watches_frames


def test_rule_of_one_workspace_worker_or_session_leaves_the_others_alone() -> None:
    faults = Faults()
    faults.drop_frames(workspace_sid=WS, worker_sid=WK, session=1)
    assert faults.on_frame(frame()) is not None
    assert faults.on_frame(frame(workspace=OTHER_WS)) is None
    assert faults.on_frame(frame(worker="WK" + "2" * 32)) is None
    assert faults.on_frame(FaultyFrame(WK, 2, "init", b"", WS)) is None


def test_event_type_may_be_a_pattern_and_heartbeats_are_no_events() -> None:
    faults = Faults()
    faults.drop_frames(event_type="reservation.*")
    assert faults.on_frame(frame("reservation.canceled")) is not None
    assert faults.on_frame(frame("task.updated")) is None
    assert faults.on_frame(frame("")) is None
    faults.mute_heartbeats()
    assert faults.on_frame(frame("")) is not None


async def test_request_rules_know_door_method_path_and_whose_request_it_is() -> None:
    faults = Faults()
    path = f"Workspaces/{WS}/Workers/{WK}/Reservations/WR1"
    faults.refuse_requests(503, door="rest", method="POST", path="*/Reservations/*", worker_sid=WK)
    assert await faults.on_request("rest", "POST", path) is not None
    assert await faults.on_request("rest", "GET", path) is None
    assert await faults.on_request("bridge", "POST", path, workspace_sid=WS, worker_sid=WK) is None
    assert await faults.on_request("rest", "POST", f"Workspaces/{WS}/Workers/{WK}") is None


def test_first_rule_that_hits_decides() -> None:
    faults = Faults()
    first = faults.drop_frames(times=1)
    second = faults.duplicate_frames()
    found = [fault.action for fault in (faults.on_frame(frame()), faults.on_frame(frame())) if fault]
    assert found == ["drop", "duplicate"]
    assert (first.matched, second.matched) == (1, 1)


async def test_handle_waits_for_hits_and_says_when_they_do_not_come() -> None:
    faults = Faults()
    handle = faults.drop_frames()
    waiting = asyncio.create_task(handle.wait_for_hits(2, timeout=PATIENCE))
    await asyncio.sleep(0)
    hits(faults, 2)
    await waiting
    with pytest.raises(TimeoutError, match=r"3 hits were expected within 0\.01 s"):
        await handle.wait_for_hits(3, timeout=0.01)


def test_nothing_is_asked_where_no_rule_and_no_hook_is() -> None:
    faults = Faults()
    assert watched(faults) == (False, False, False)
    faults.frame = lambda _: None
    handles = [faults.refuse_requests(500), faults.refuse_websockets()]
    assert watched(faults) == (True, True, True)
    faults.frame = None
    handles[0].remove()
    handles[0].remove()
    faults.clear()
    assert watched(faults) == (False, False, False)


def test_clearing_a_workspace_leaves_the_rules_of_others() -> None:
    faults = Faults()
    mine, others, everyones = (faults.drop_frames(workspace_sid=ws) for ws in (WS, OTHER_WS, None))
    faults.clear(WS)
    assert faults.handles() == [others, everyones]
    assert mine.finished
    faults.forget(OTHER_WS)
    assert faults.handles() == [everyones]


# --- What is wrong with a rule ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "fault is required: one of drop, duplicate"),
        ({"fault": "explode"}, "fault must be one of drop, duplicate"),
        ({"fault": "drop", "worker": WK}, "worker is not known, expected one of fault, workspace_sid"),
        ({"fault": "drop", "workspace_sid": "WS1"}, "workspace_sid must be WS and 32 hexadecimal digits"),
        ({"fault": "drop", "event_type": "reservationCreated"}, "event_type must be init or the type"),
        ({"fault": "drop", "event_type": "task-queue.created"}, "event_type must be init or the type"),
        ({"fault": "drop", "times": 0}, "times must be a whole number from 1, got 0"),
        ({"fault": "drop", "times": True}, "times must be a whole number from 1, got True"),
        ({"fault": "drop", "times": "3"}, "times must be a whole number from 1, got '3'"),
        ({"fault": "drop", "share": 1.5}, "share must be a number above 0 and up to 1, got 1.5"),
        ({"fault": "drop", "seed": 3}, "seed goes with share only"),
        ({"fault": "drop", "after": -1}, "after must be a whole number from 0, got -1"),
        ({"fault": "drop", "for_seconds": 0}, "for_seconds must be a number of seconds above 0"),
        ({"fault": "drop", "only": [0]}, "only must be a list of whole numbers from 1"),
        ({"fault": "drop", "only": [1], "times": 1}, "only does not go with times"),
        ({"fault": "drop", "path": "*"}, "path does not go with drop, which is about frames"),
        ({"fault": "drop", "delay": 1}, "delay does not go with drop, which is about frames"),
        ({"fault": "delay"}, "delay is required for delay: a number of seconds"),
        ({"fault": "delay", "delay": float("nan")}, "delay must be a number of seconds"),
        ({"fault": "slow_init", "delay": 1, "event_type": "init"}, "event_type does not go with slow_init"),
        ({"fault": "refuse_request"}, "status is required for refuse_request: an HTTP status"),
        (
            {"fault": "refuse_request", "status": 200},
            "status must be an HTTP status from 400 to 599, got 200",
        ),
        ({"fault": "refuse_request", "status": 503, "door": "back"}, "door must be bridge or rest"),
        ({"fault": "refuse_request", "status": 503, "method": "post"}, "method must be GET, POST"),
        ({"fault": "refuse_request", "status": 503, "path": "/v1/x"}, "path must be a path or a pattern"),
        ({"fault": "refuse_request", "status": 429, "retry_after": -1}, "retry_after must be a whole number"),
        (
            {"fault": "refuse_websocket", "status": 503, "session": 1},
            "session does not go with refuse_websocket",
        ),
        (["drop"], "a rule must be a JSON object"),
    ],
)
def test_wrong_rule_is_refused_naming_the_field(body: Any, text: str) -> None:
    with pytest.raises(ValueError, match="^" + text.replace("*", r"\*").replace("[", r"\[")):
        FaultRule.from_dict(body)


def test_wrong_action_is_refused_naming_the_field() -> None:
    with pytest.raises(ValueError, match="action is required: one of cut, half_open"):
        FaultAction.from_dict({})
    with pytest.raises(ValueError, match="action must be one of cut"):
        FaultAction.from_dict({"action": "drop"})
    with pytest.raises(ValueError, match="session must be a session's number"):
        FaultAction(action=ActionKind.CUT, session=0)


@pytest.mark.parametrize("kind", FaultKind)
def test_rule_survives_its_json(kind: FaultKind) -> None:
    extra: dict[str, Any] = {"delay": 1.5} if "delay" in kind or kind is FaultKind.SLOW_INIT else {}
    extra |= {"status": 503, "retry_after": 0} if kind.startswith("refuse") else {}
    rule = FaultRule(fault=kind, workspace_sid=WS, worker_sid=WK, share=0.5, after=2, for_seconds=9, **extra)
    assert FaultRule.from_dict(json.loads(json.dumps(rule.as_dict()))) == rule


# --- The log and the replay ---------------------------------------------------------------------


def test_replay_of_a_seeded_run_injects_the_same() -> None:
    def run(faults: Faults) -> list[str | None]:
        """What happens to frames of several types, some of them to be found by one rule, some by both."""
        done: list[str | None] = []
        for n in range(300):
            fault = faults.on_frame(frame(("init", "reservation.created", "task.updated")[n % 3]))
            done.append(None if fault is None else fault.action)
        return done

    original = Faults()
    original.drop_frames(share=0.2, seed=1, event_type="reservation.*")
    original.duplicate_frames(share=0.3, seed=2, after=10, times=20)
    first = run(original)
    assert {"drop", "duplicate", None} == set(first)

    log = [FaultRecord.from_dict(json.loads(json.dumps(record.as_dict()))) for record in original.log]
    assert log == original.log
    again = Faults()
    handles = again.replay(log)
    assert run(again) == first
    assert [(r.rule_id, r.nth, r.event_type) for r in again.log] == [
        (r.rule_id, r.nth, r.event_type) for r in log
    ]
    assert all(handle.finished for handle in handles)


def test_replay_can_be_for_another_workspace_and_needs_the_whole_log() -> None:
    original = Faults()
    original.drop_frames(share=0.5, seed=3, workspace_sid=WS)
    pattern = hits(original, 50)
    again = Faults()
    again.replay(original.log, workspace_sid=OTHER_WS)
    assert [n for n in range(1, 51) if again.on_frame(frame(workspace=OTHER_WS))] == pattern
    with pytest.raises(ValueError, match="the log is incomplete: it shows hit 2 of rule 1 where hit 1"):
        FaultPlan.replaying(original.log[1:])


async def test_replay_on_a_real_run_drops_the_same_events(desk: Desk) -> None:
    async def run(name: str) -> list[str]:
        """The attributes that a worker is told while some of the events are dropped."""
        client = desk.client(name)
        socket = await client.ready()
        for n in range(20):
            desk.run(lambda ws, n=n: ws.update_worker(client.worker_sid, attributes=f'{{"n": {n}}}'))
        desk.run(lambda ws: ws.update_worker(client.worker_sid, activity_sid=desk.activity("Unavailable")))
        told = []
        while (message := await socket.event())["event_type"] == "worker.attributes.update":
            told.append(message["attributes"])
        return told

    faults = desk.server.faults
    faults.drop_frames(event_type="worker.attributes.update", share=0.4, seed=5)
    first = await run("nina")
    log = faults.log
    assert len(first) + len(log) == 20
    assert 0 < len(first) < 20
    faults.clear()
    faults.replay(log)
    assert await run("mara") == first


# --- Over REST ----------------------------------------------------------------------------------


async def rest(desk: Desk, method: str, path: str, **options: Any) -> Answer:
    return await desk.rest(method, f"{desk.server.rest_url}/stub{path}", **options)


def own(desk: Desk) -> str:
    return f"/workspaces/{desk.server.workspace_sid}/faults"


async def test_rule_is_added_listed_and_removed_over_rest(desk: Desk) -> None:
    nina = desk.client("nina")
    body = {"fault": "refuse_request", "status": 429, "retry_after": 7, "method": "POST", "times": 1}
    added = await rest(desk, "POST", own(desk), json=body)
    assert added.status == 201
    rule = {**body, "workspace_sid": desk.server.workspace_sid}
    shown = {"id": 1, "rule": rule, "matched": 0, "hits": 0, "finished": False}
    assert added.body == shown
    refused = await nina.send(nina.me, "POST", {"Attributes": {"n": 1}})
    assert (refused.status, refused.headers["Retry-After"], refused.body["code"]) == (429, "7", 20429)
    assert (await nina.send(nina.me, "POST", {"Attributes": {"n": 1}})).status == 200
    used = {**shown, "matched": 1, "hits": 1, "finished": True}
    for path in (own(desk), "/faults"):
        assert (await rest(desk, "GET", path)).body == {"rules": [used]}
        assert (await rest(desk, "GET", f"{path}/1")).body == used
    assert (await rest(desk, "DELETE", f"{own(desk)}/1")).status == 204
    assert (await rest(desk, "GET", f"{own(desk)}/1")).status == 404
    assert (await rest(desk, "GET", own(desk))).body == {"rules": []}


async def test_action_over_rest_names_the_sessions_that_it_hit(desk: Desk) -> None:
    socket = await desk.client("nina").ready()
    done = await rest(desk, "POST", own(desk), json={"action": "restart"})
    assert done.status == 200
    assert done.body["sessions"] == [1]
    assert await socket.closed() == 1012
    assert (await rest(desk, "POST", own(desk), json={"action": "restart"})).body["sessions"] == []


async def test_log_over_rest_can_be_replayed_over_rest(desk: Desk) -> None:
    nina = desk.client("nina")
    body = {"fault": "refuse_request", "status": 503, "share": 0.5, "seed": 4}
    await rest(desk, "POST", own(desk), json=body)

    async def statuses() -> list[int]:
        return [(await nina.send(nina.me)).status for _ in range(20)]

    first = await statuses()
    assert {200, 503} == set(first)
    log = (await rest(desk, "GET", f"{own(desk)}/log")).body["log"]
    assert len(log) == first.count(503)
    assert (log[0]["door"], log[0]["path"]) == ("bridge", nina.me)
    assert (await rest(desk, "DELETE", own(desk))).status == 204
    replayed = await rest(desk, "POST", f"{own(desk)}/replay", json={"log": log})
    assert replayed.status == 201
    assert await statuses() == first


async def test_workspace_sees_only_its_own_rules_and_log(desk: Desk) -> None:
    other = desk.server.add_workspace(friendly_name="other")
    for path in (own(desk), f"/workspaces/{other}/faults", "/faults"):
        await rest(desk, "POST", path, json={"fault": "drop"})
    rules = (await rest(desk, "GET", f"/workspaces/{other}/faults")).body["rules"]
    assert [rule["id"] for rule in rules] == [2]
    assert (await rest(desk, "DELETE", f"/workspaces/{other}/faults/1")).status == 404
    await rest(desk, "DELETE", f"/workspaces/{other}/faults")
    assert [rule["id"] for rule in (await rest(desk, "GET", "/faults")).body["rules"]] == [1, 3]
    assert (await rest(desk, "GET", f"/workspaces/{other}/faults/log")).body == {"log": []}
    desk.server.delete_workspace(other)
    assert (await rest(desk, "GET", f"/workspaces/{other}/faults")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "", {"fault": "drop", "times": 0}, 400, "times must be a whole number from 1, got 0"),
        ("POST", "", {"action": "cut", "session": "1"}, 400, "session must be a session's number"),
        ("POST", "", {"fault": "drop", "workspace_sid": OTHER_WS}, 400, "workspace_sid must be WS"),
        ("POST", "", {}, 400, "Expected either fault"),
        ("POST", "", {"fault": "drop", "action": "cut"}, 400, "Expected either fault"),
        ("POST", "", [], 400, "The body must be a JSON object"),
        ("POST", "/replay", {}, 400, "log must be a list of records"),
        ("POST", "/replay", {"log": [{"number": 1}]}, 400, "at is required in a record"),
        ("PUT", "", {}, 405, "The method PUT is not allowed here, expected DELETE, GET, POST"),
        ("POST", "/log", {}, 405, "expected GET"),
        ("GET", "/replay", None, 405, "expected POST"),
        ("POST", "/1", {}, 404, "There is no rule 1 here"),
    ],
)
async def test_wrong_request_is_refused_saying_why(
    desk: Desk, method: str, path: str, body: Any, status: int, text: str
) -> None:
    answer = await rest(desk, method, own(desk) + path, json=body)
    assert answer.status == status
    assert text in answer.body["message"]


@pytest.mark.parametrize("path", ["/faults", "/faults/log", "/faults/replay", "/faults/1"])
async def test_faults_need_credentials_and_no_foreign_page(desk: Desk, path: str) -> None:
    assert (await rest(desk, "GET", path, auth=("AC" + "0" * 32, "wrong"))).status == 401
    assert (await rest(desk, "GET", path, headers={"Origin": "https://example.com"})).status == 403
    assert (await rest(desk, "GET", path, headers={"Host": "example.com"})).status == 403


# --- On the wire --------------------------------------------------------------------------------


async def updates(desk: Desk, client: Client, *numbers: int) -> None:
    for n in numbers:
        desk.run(lambda ws, n=n: ws.update_worker(client.worker_sid, attributes=f'{{"n": {n}}}'))


async def test_overtaken_frame_follows_the_next_one_or_comes_alone_after_its_delay(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    handle = desk.server.faults.reorder_frames(times=1)
    await updates(desk, nina, 1, 2, 3)
    assert [(await socket.event())["attributes"] for _ in range(3)] == ['{"n": 2}', '{"n": 1}', '{"n": 3}']
    desk.server.faults.reorder_frames(delay=0.05)  # every one of them, which must not hold it for ever
    await updates(desk, nina, 4)
    assert (await socket.event())["attributes"] == '{"n": 4}'
    assert handle.finished


async def test_half_open_session_hears_nothing_until_it_is_cut(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    assert desk.server.faults.half_open(worker_sid=nina.worker_sid) == [1]
    await updates(desk, nina, 1)
    await socket.ws.ping()
    desk.server.faults.restart()  # its close frame does not get through either
    assert await socket.quiet(0.1)
    assert not socket.ws.closed
    assert desk.server.faults.cut() == [1]
    assert await socket.closed() == 1006


async def test_expired_token_is_refused_everywhere_and_another_one_is_not(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    desk.server.faults.expire_token(worker_sid=nina.worker_sid)
    assert await socket.closed() == 4408
    assert await (await nina.connect()).closed() == 4408
    refused = await nina.send(nina.me)
    assert (refused.status, refused.body["message"]) == (401, "Token expired")
    again = desk.let_in(nina.worker_sid, ttl=3_000)
    await again.ready()


async def test_refused_websocket_has_the_status_and_a_reset_one_has_none(desk: Desk) -> None:
    nina = desk.client("nina")
    desk.server.faults.refuse_websockets(429, retry_after=3, worker_sid=nina.worker_sid, times=1)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await nina.connect()
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "3"
    # More than once: the client repeats a GET by itself where it had used the connection before.
    resetting = desk.server.faults.reset_websockets(workspace_sid=desk.server.workspace_sid)
    with pytest.raises(aiohttp.ClientOSError) as reset:
        await nina.connect()
    assert reset.value.errno == errno.ECONNRESET
    resetting.remove()
    await nina.ready()


async def test_server_with_half_open_sessions_and_waiting_frames_stops_in_time(desk: Desk) -> None:
    nina, mara = desk.client("nina"), desk.client("mara")
    await nina.ready()
    await mara.ready()
    desk.server.faults.half_open(worker_sid=nina.worker_sid)
    desk.server.faults.reorder_frames(delay=60)
    await updates(desk, mara, 1)
    async with asyncio.timeout(PATIENCE):
        await desk.server.stop()
