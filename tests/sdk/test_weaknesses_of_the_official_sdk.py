"""What the official SDK gets wrong and no other test here looks at: see `docs/better-than-worker-js.md`."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from taskrouter_worker import (
    NotConnectedError,
    Reservation,
    SessionState,
    Supervisor,
    Task,
    WorkerInfo,
    Workspace,
)
from taskrouter_worker._requests import Request
from taskrouter_worker._token import Token
from tests.sdk.peer import Peer, heard, token, virtual_worker
from tests.sdk.virtual import VirtualTimeLoop, passes, settle, virtual_time
from tests.sdk.world import AVAILABLE, BREAK, CHANNEL, EPOCH, WORKSPACE, Fields, Frame, sid, text

ONE, TWO = sid("WR", 1), sid("WR", 2)
OTHER = sid("WK", 2)
LIST = "GET .*/Reservations$"


def without(frame: Frame, key: str) -> str:
    """A frame that lacks one field of its payload."""
    event_type, payload = frame
    return text((event_type, {name: value for name, value in payload.items() if name != key}))


# The session


@virtual_time
async def test_a_new_token_does_not_revive_a_worker_that_disconnected() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        await worker.disconnect()
        with pytest.raises(NotConnectedError, match="make a new one"):
            worker.update_token(token(2))
        await passes(100)
    assert len(peer.openings) == 1
    assert log == ["ready", "disconnected client and stays away"]
    assert worker.state is SessionState.CLOSED


@virtual_time
async def test_no_timer_outlives_disconnect_and_token_expired_is_not_told_late() -> None:
    peer = Peer(token_lifetime=60_000, beats=False)
    worker = virtual_worker(peer)
    log = heard(worker)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with worker:
        assert loop.timers() != []
        await worker.disconnect()
        assert loop.timers() == []
        await passes(100)
    assert "tokenExpired" not in log


@virtual_time
async def test_a_reservation_that_came_and_went_in_the_second_of_the_first_snapshot_is_told_as_missed() -> (
    None
):
    peer = Peer()
    release = peer.hold(LIST)
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(0.4)
    release.set()
    await entering
    peer.close()
    assert peer.world.now == EPOCH  # whole seconds on the wire: it reads as older than the snapshot
    peer.world.create_reservation()
    peer.world.end(ONE, "canceled")
    await passes(3)
    assert log[-1] == "missed 1 canceled"
    await worker.disconnect()


# Damaged events


@pytest.mark.parametrize("end", ["rejected", "timeout", "canceled", "rescinded", "completed"])
@virtual_time
async def test_a_damaged_end_removes_nothing_until_it_is_known_and_then_it_is_told_once(end: str) -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        reservation = worker.reservations[ONE]
        if end == "completed":
            peer.push(peer.world.accept(ONE))
            await settle()
        release = peer.hold(LIST, late=False)
        frames = peer.world.complete(ONE) if end == "completed" else peer.world.end(ONE, end)
        peer.push([without(frames[-1], "reservation_status")])
        await passes(2)
        assert worker.reservations == {ONE: reservation}
        assert reservation.outcome is None
        release.set()
        await passes(2)
        assert worker.reservations == {}
        assert reservation.outcome == end
        assert log.count(f"{end} 1 (resync)") == log.count("ended 1 (resync)") == 1


@virtual_time
async def test_an_end_that_did_not_happen_removes_nothing_later_either() -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer)
    async with worker:
        reservation = worker.reservations[ONE]
        [frame] = peer.world.accept(ONE)
        peer.push([without(("reservation.completed", frame[1]), "task")])
        await passes(60)
        assert worker.reservations == {ONE: reservation}
        peer.push(peer.world.wrap(ONE))
        await settle()
        assert reservation.status == "wrapping"


@pytest.mark.parametrize("key", ["activity_sid", "attributes", "version"])
@virtual_time
async def test_a_damaged_worker_event_is_not_told_with_old_data(key: str) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        seen: list[object] = []
        worker.on("activityUpdated", lambda w: seen.append(w.activity_sid))
        [frame] = peer.world.set_activity(BREAK)
        peer.push([without(frame, key)])
        await settle()
        assert seen == []
        assert worker.activity_sid == AVAILABLE
        await passes(5)
        assert seen == [BREAK]
        assert log == ["ready", "error InvalidMessageError", "activity Break (resync)"]


@virtual_time
async def test_a_damaged_channel_event_is_not_told_with_old_data() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        channel = worker.channels[CHANNEL]
        capacities: list[int] = []
        channel.on("capacityUpdated", lambda c: capacities.append(c.capacity))
        [frame] = peer.world.set_channel(capacity=7)
        peer.push([without(frame, "configured_capacity")])
        await settle()
        assert (capacities, channel.capacity) == ([], 50)
        await passes(5)
        assert capacities == [7]


# Live objects


@virtual_time
async def test_an_answer_that_names_an_unknown_activity_leaves_the_worker_whole() -> None:
    peer = Peer(echo="never")
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        training = sid("WA", 9)
        peer.world.activities[training] = {
            **peer.world.activities[BREAK],
            "sid": training,
            "friendly_name": "Training",
        }
        peer.world.set_activity(training)
        await worker.fetch_latest_version()
        assert training in worker.activities
        assert worker.activity is worker.activities[training]
        assert worker.activity_name == worker.activity.name == "Training"
        peer.push(peer.world.set_activity(BREAK))
        await settle()
        assert log == ["ready", "activity Break"]
        assert worker.activity is worker.activities[BREAK]


@virtual_time
async def test_fetching_a_reservation_takes_what_a_short_answer_has_and_keeps_the_rest() -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer)
    async with worker:
        reservation = worker.reservations[ONE]
        peer.world.accept(ONE)
        short = peer.world.short(ONE)
        del short["reservation_timeout"]
        peer.world.reservations[ONE] = short
        assert await reservation.fetch_latest_version() is reservation
        assert (reservation.status, reservation.timeout) == ("accepted", 120)
        assert reservation.task.sid == sid("WT", 1)


@virtual_time
async def test_a_bound_method_that_handles_events_keeps_its_own_object() -> None:
    class Application:
        def __init__(self) -> None:
            self.offers: list[str] = []

        def offered(self, reservation: Reservation) -> None:
            self.offers.append(reservation.sid)

        async def ready(self, _: object) -> None:
            self.offers.append("ready")

    peer = Peer()
    worker = virtual_worker(peer)
    application = Application()
    worker.on("reservationCreated", application.offered)
    worker.on("ready", application.ready)
    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
        assert application.offers == ["ready", ONE]


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (Task, "transferAttemptFailed"),
        (Task, "transferCompleted"),
        (Task, "transferFailed"),
        (Task, "transferCanceled"),
        (Supervisor, "monitor"),
    ],
)
@virtual_time
async def test_events_that_are_documented_for_worker_js_and_never_come_cannot_be_listened_to(
    kind: type[Task | Supervisor], event: str
) -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer, kind=Supervisor)
    async with worker:
        emitter: Any = worker if kind is Supervisor else worker.reservations[ONE].task
        with pytest.raises(ValueError, match=f"{kind.__name__} has no event '{event}'"):
            emitter.on(event, print)


# Requests


@virtual_time
async def test_a_supervisor_sends_the_other_workers_version_and_gets_an_object() -> None:
    peer = Peer(echo="never")
    worker = virtual_worker(peer, kind=Supervisor, enable_version_check=True)
    async with worker:
        assert isinstance(worker, Supervisor)
        assert worker.version == "0"
        changed = await worker.set_worker_activity(OTHER, BREAK, version="41")
        assert isinstance(changed, WorkerInfo)
        assert changed.activity_name == "Break"
        await worker.set_worker_attributes(OTHER, {"a": 1})
        # Its own version, 0, says nothing about the other worker.
        assert [request.version for request in peer.asked(f"POST .*/{OTHER}")] == ["41", None]


@virtual_time
async def test_every_path_is_made_of_plain_words_and_sids() -> None:
    peer = Peer()
    peer.world.create_reservation()
    peer.world.create_reservation()
    async with virtual_worker(peer) as worker:
        await worker.activities[BREAK].set_as_current()
        await worker.reservations[ONE].accept()
        await worker.reservations[ONE].task.set_attributes({})
        await worker.reservations[TWO].fetch_latest_version()
        peer.close()
        await worker.wait_for("ready", timeout=10)
    assert len(peer.requests) > 10
    word = r"([A-Z][A-Za-z]+|[A-Z]{2}[0-9a-f]{32})"
    assert all(re.fullmatch(f"{word}(/{word})*", request.path) for request in peer.requests)


# Lists of a workspace


@dataclass
class Pages:
    """A workspace of many workers, in pages."""

    workers: int
    requests: list[Request] = field(default_factory=list)

    async def send(self, request: Request, _: Token) -> bytes:
        self.requests.append(request)
        params = cast("dict[str, Any]", request.params)
        after = params.get("AfterSid", OTHER)
        # Lists that are fetched at the same time take turns, page by page.
        await asyncio.sleep(0.01)
        begin = int(after[2:], 16) - 1 if "AfterSid" in params else 0
        end = min(begin + params["PageSize"], self.workers)
        shown = [_worker(number) for number in range(begin, end)]
        if name := params.get("FriendlyName"):
            shown = [worker for worker in shown if worker["friendly_name"] == name]
        after_sid = _worker(end - 1)["sid"] if end < self.workers else None
        return json.dumps({"contents": shown, "after_sid": after_sid}).encode()

    async def close(self) -> None:
        """Nothing is open."""


def _worker(number: int) -> Fields:
    return {**Peer().world.worker, "sid": sid("WK", number + 2), "friendly_name": f"worker {number % 2}"}


def _workspace(pages: Pages, **options: Any) -> Workspace:
    workspace = Workspace(token(), WORKSPACE, eb_server="http://127.0.0.1:1/", proxy=None, **options)
    workspace._commands._transport = pages
    return workspace


@virtual_time
async def test_a_list_holds_more_workers_than_one_page_and_ends_where_it_is_told_to() -> None:
    pages = Pages(2_345)
    async with _workspace(pages) as workspace:
        everybody = await workspace.fetch_workers()
        assert list(everybody) == [sid("WK", number + 2) for number in range(2_345)]
        assert len(pages.requests) == 3
        assert list(await workspace.fetch_workers(limit=1_001)) == list(everybody)[:1_001]
        assert len(await workspace.fetch_workers(limit=5)) == 5
        assert cast("dict[str, Any]", pages.requests[-1].params)["PageSize"] == 5


@virtual_time
async def test_lists_that_are_fetched_at_the_same_time_do_not_mix() -> None:
    async with _workspace(Pages(40), page_size=10) as workspace:
        even, odd, all_of_them = await asyncio.gather(
            workspace.fetch_workers(friendly_name="worker 0"),
            workspace.fetch_workers(friendly_name="worker 1"),
            workspace.fetch_workers(),
        )
        assert {worker.name for worker in even.values()} == {"worker 0"}
        assert {worker.name for worker in odd.values()} == {"worker 1"}
        assert (len(even), len(odd)) == (20, 20)
        assert {*even, *odd} == set(all_of_them)
