"""The session against a peer in memory, on virtual time: connecting, synchronising, what comes after."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrouter_worker import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidTokenError,
    NotConnectedError,
    SessionDisplacedError,
    SessionState,
    SignalingError,
    TaskRouterError,
)
from taskrouter_worker._backoff import full_jitter
from taskrouter_worker._reading import MAX_HELD
from taskrouter_worker._requests import Request
from taskrouter_worker._token import Token
from tests.sdk.peer import LoopClock, Peer, heard, server_error, token, virtual_worker
from tests.sdk.virtual import passes, settle, virtual_time
from tests.sdk.world import BREAK, Frame, sid, text

ONE, TWO, THREE = sid("WR", 1), sid("WR", 2), sid("WR", 3)
WORKER_READ = "GET .*/Workers/WK[0-9a-f]*$"
LIST = "GET .*/Reservations$"


def now() -> float:
    return asyncio.get_running_loop().time()


# Signs of life


@virtual_time
async def test_thirty_seconds_of_silence_are_noticed_at_thirty_seconds() -> None:
    peer = Peer(beats=False)
    worker = virtual_worker(peer)
    async with worker:
        began = now()
        disconnect = await worker.wait_for("disconnected")
        assert now() - began == 30.0
        assert (disconnect.cause, disconnect.message) == ("silence", "Connection lost")
        assert disconnect.will_reconnect
        assert peer.websockets[0].aborted
        await worker.wait_for("ready", timeout=5)


@virtual_time
async def test_heartbeats_keep_a_session_alive() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        await passes(1800)
        assert log == ["ready"]


@virtual_time
async def test_any_frame_is_a_sign_of_life() -> None:
    peer = Peer(beats=False)
    worker = virtual_worker(peer)
    async with worker:
        await passes(29.9)
        peer.push(peer.world.set_activity(BREAK))
        began = now()
        await worker.wait_for("disconnected")
        assert now() - began == pytest.approx(30.0)


# Until ready


@virtual_time
async def test_a_websocket_without_init_is_given_up_after_ten_seconds() -> None:
    peer = Peer(greeting=None)
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(10.5)
    assert log == ["disconnected initialization_failed"]
    peer.greeting = "init"
    await entering
    assert log[-1] == "ready"
    await worker.disconnect()


@virtual_time
async def test_heartbeats_do_not_replace_init() -> None:
    peer = Peer(greeting=" ")
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    for _ in range(11):
        peer.push([" "])
        await passes(1.0)
    assert log == ["disconnected initialization_failed"]
    peer.greeting = "init"
    await entering
    await worker.disconnect()


@virtual_time
async def test_reads_of_the_snapshot_are_repeated_before_anybody_hears_of_it() -> None:
    peer = Peer()
    peer.fail("Activities", server_error(), server_error(500))
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        assert log == ["ready"]
        assert len(peer.asked("Activities")) == 3
        assert len(peer.openings) == 1


@pytest.mark.parametrize("part", [WORKER_READ, "Activities", "WorkerChannels", LIST])
@virtual_time
async def test_a_part_of_the_snapshot_that_keeps_failing_leads_to_a_new_connection(part: str) -> None:
    peer = Peer()
    peer.fail(part, *(server_error() for _ in range(3)))
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        assert log == ["disconnected initialization_failed", "error ServerError", "ready"]
        assert len(peer.openings) == 2
        assert len(peer.live) == 1


@virtual_time
async def test_a_snapshot_that_is_never_answered_is_given_up_after_a_minute() -> None:
    peer = Peer()
    release = peer.hold("Activities")
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(59.9)
    assert log == []
    await passes(0.2)
    assert log == ["disconnected initialization_failed", "error ServerError"]
    release.set()
    await entering
    await worker.disconnect()


@virtual_time
async def test_pages_are_all_fetched_before_ready() -> None:
    peer = Peer()
    for _ in range(3):
        peer.world.create_reservation()
    pages = iter([[ONE], [TWO], [sid("WR", 3)]])
    answer = peer._answer

    def paged(request: Request) -> tuple[object, list[Frame]]:
        if not request.path.endswith("/Reservations"):
            return answer(request)
        listed = next(pages)
        more = None if listed == [sid("WR", 3)] else listed[-1]
        return {"contents": [peer.world.reservations[r] for r in listed], "after_sid": more}, []

    peer._answer = paged  # type: ignore[method-assign]
    worker = virtual_worker(peer)
    async with worker:
        assert sorted(worker.reservations) == [ONE, TWO, sid("WR", 3)]
        assert [r.params.get("AfterSid") for r in peer.asked(LIST)] == [None, ONE, TWO]


@virtual_time
async def test_events_before_init_are_left_to_the_snapshot() -> None:
    peer = Peer()
    peer.greeting = text(peer.world.create_reservation()[0])
    peer.after_init = [peer.init(), peer.init()]
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        await settle()
        assert log == ["ready", "created 1 (snapshot)"]


@virtual_time
async def test_init_without_a_worker_is_refused() -> None:
    peer = Peer()
    peer.greeting = peer.init(channel_id="")
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(0.5)
    assert log == ["disconnected initialization_failed", "error InvalidMessageError"]
    peer.greeting = "init"
    await entering
    await worker.disconnect()


@virtual_time
async def test_a_second_init_changes_nothing() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        asked = len(peer.requests)
        peer.push([peer.init(), *peer.world.create_reservation()])
        await settle()
        assert log == ["ready", "created 1"]
        assert len(peer.requests) == asked


@virtual_time
async def test_frames_that_arrive_while_the_snapshot_is_taken_are_told_after_ready() -> None:
    peer = Peer()
    release = peer.hold(LIST)
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await settle()
    peer.push(peer.world.create_reservation())
    peer.push(peer.world.accept(ONE))
    await settle()
    assert log == []
    release.set()
    await entering
    assert log == ["ready", "created 1", "accepted 1"]
    await worker.disconnect()


@virtual_time
async def test_a_flood_of_frames_before_the_snapshot_ends_the_connection() -> None:
    peer = Peer()
    release = peer.hold(LIST)
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await settle()
    frame = text(peer.world.set_activity(BREAK)[0])
    peer.push(itertools.repeat(frame, MAX_HELD + 5))
    await passes(0.5)
    assert log == ["disconnected initialization_failed"]
    release.set()
    await entering
    await worker.disconnect()


@virtual_time
async def test_emit_existing_false_leaves_pending_reservations_untold_for_good() -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer, emit_existing=False)
    log = heard(worker)
    async with worker:
        peer.close()
        await passes(3)
        assert list(worker.reservations) == [ONE]
        assert log == ["ready", "disconnected connection_lost", "ready"]


# What broke


BROKEN = '{"event_type":"reservation.created","payload":{"sid":"WR1"}}'


@virtual_time
async def test_a_broken_known_event_leads_to_one_fresh_snapshot_on_the_same_connection() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.world.create_reservation()
        peer.push([BROKEN])
        await passes(5)
        assert log == ["ready", "error InvalidMessageError", "created 1 (resync)"]
        assert len(peer.asked(WORKER_READ)) == 2
        assert len(peer.openings) == 1
        assert worker.state is SessionState.READY


@virtual_time
async def test_broken_events_during_a_resynchronisation_are_made_up_for_as_well() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        release = peer.hold(LIST)
        peer.push([BROKEN])
        await passes(2)
        peer.world.create_reservation()  # after the list was answered
        peer.push([BROKEN])
        release.set()
        await passes(5)
        assert log == [
            "ready",
            "error InvalidMessageError",
            "error InvalidMessageError",
            "created 1 (resync)",
        ]


@virtual_time
async def test_a_broken_event_while_the_first_snapshot_is_taken_delays_ready_and_does_not_prevent_it() -> (
    None
):
    peer = Peer()
    release = peer.hold(LIST)
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await settle()
    peer.push([BROKEN])
    release.set()
    await passes(5)
    assert log == ["error InvalidMessageError", "ready"]
    await entering
    assert len(peer.openings) == 1
    await worker.disconnect()


@pytest.mark.parametrize("frame", ["{", "7", "null", '{"event_type":"disconnected","payload":{}}', b"\xff"])
@virtual_time
async def test_frames_that_name_no_known_event_lead_to_no_snapshot(frame: str | bytes) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        asked = len(peer.requests)
        for websocket in peer.websockets:
            websocket.put(frame)
        await passes(5)
        assert len(peer.requests) == asked
        assert worker.state is SessionState.READY
        peer.push(peer.world.create_reservation())
        await settle()
        assert list(worker.reservations) == [ONE]


@virtual_time
async def test_a_flood_of_broken_events_does_not_become_a_flood_of_snapshots() -> None:
    peer = Peer()
    waits: list[int] = []

    def backoff(attempt: int) -> float:
        waits.append(attempt)
        return 2.0**attempt

    worker = virtual_worker(peer, reconnect_backoff=backoff)
    async with worker:
        for _ in range(200):
            peer.push([BROKEN])
            await passes(1)
        assert len(peer.asked(WORKER_READ)) < 12
        assert waits == sorted(waits)


# What comes after an end


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1001, "shutdown"),
        (1012, "resynchronise"),
        (1006, "connection_lost"),
        (1011, "connection_lost"),
        (4413, "too_slow"),
        (4429, "too_many_sessions"),
        (4999, "connection_lost"),
    ],
)
@virtual_time
async def test_these_ends_lead_to_a_new_connection(code: int, cause: str) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    disconnects: list[object] = []
    worker.on("disconnected", lambda d: disconnects.append((d.code, d.message)))
    async with worker:
        peer.close(code, "for a reason")
        await passes(2)
        assert log == ["ready", f"disconnected {cause}", "ready"]
        assert disconnects == [(code, "for a reason")]


@virtual_time
async def test_an_end_without_a_reason_is_named_as_the_javascript_sdk_names_it() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        asyncio.get_running_loop().call_soon(peer.close, 1011)
        disconnect = await worker.wait_for("disconnected")
        assert disconnect.message == "Websocket closed with errorCode=1011"


@pytest.mark.parametrize("status", [401, 403])
@virtual_time
async def test_a_refused_handshake_is_final(status: int) -> None:
    peer = Peer()
    peer.refuse(ConnectionFailedError("refused", status=status))
    worker = virtual_worker(peer)
    log = heard(worker)
    with pytest.raises(InvalidTokenError):
        await worker.__aenter__()
    await passes(100)
    assert log == ["error InvalidTokenError"]
    assert len(peer.openings) == 1
    assert worker.state is SessionState.CLOSED


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("code", "error"),
    [(4401, InvalidTokenError), (4403, InvalidTokenError), (4409, SessionDisplacedError)],
)
@virtual_time
async def test_these_close_codes_are_final(code: int, error: type[Exception], at_once: bool) -> None:
    peer = Peer(greeting=None if at_once else "init")
    worker = virtual_worker(peer)
    log = heard(worker)
    entering = asyncio.create_task(worker.__aenter__())
    await settle()
    peer.close(code, "the reason")
    if at_once:
        with pytest.raises(error, match="the reason"):
            await entering
    else:
        await entering
    with pytest.raises(error, match="the reason"):
        await worker.wait_closed()
    await passes(100)
    assert len(peer.openings) == 1
    assert log[-2].endswith(" and stays away")
    assert log[-1] == f"error {error.__name__}"
    with pytest.raises(NotConnectedError):
        worker.update_token(token(2))


@pytest.mark.parametrize("status", [401, 403])
@virtual_time
async def test_requests_refused_for_the_token_are_final(status: int) -> None:
    peer = Peer()
    refusal = AuthenticationError("no", method="GET", path="x", status=status)
    peer.fail("Activities", refusal)
    worker = virtual_worker(peer)
    log = heard(worker)
    with pytest.raises(InvalidTokenError, match="the token was refused: no") as caught:
        await worker.__aenter__()
    assert caught.value.__cause__ is refusal
    assert len(peer.openings) == 1
    assert log[-1] == "error InvalidTokenError"


@virtual_time
async def test_five_connections_in_a_row_without_init_are_final() -> None:
    peer = Peer(greeting=None)
    worker = virtual_worker(peer)
    entering = asyncio.create_task(worker.__aenter__())
    for _ in range(5):
        await passes(1.1)
        peer.close(1011, "go away")
    with pytest.raises(SignalingError, match=r"5 connections .*go away"):
        await entering
    assert len(peer.openings) == 5


@virtual_time
async def test_a_worker_that_was_ready_survives_any_number_of_connections_without_init() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        greeting, peer.greeting = peer.greeting, None
        peer.close(1006, "")
        for _ in range(20):
            await passes(1.1)
            peer.close(1006, "")
        peer.greeting = greeting
        await worker.wait_for_state("ready")
        peer.push(peer.world.create_reservation())
        assert (await worker.wait_for("reservationCreated")).sid == ONE
    assert len(peer.openings) == 22


@pytest.mark.parametrize("code", [4401, 4403, 4409])
@virtual_time
async def test_the_error_after_a_final_close_code_ends_the_session(code: int) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    errors: list[TaskRouterError] = []
    worker.on("error", errors.append)
    async with worker:
        peer.close(code, "the reason")
        with pytest.raises(TaskRouterError) as caught:
            await worker.wait_closed()
    assert errors == [caught.value]
    assert caught.value.ends_session


@virtual_time
async def test_only_the_error_that_ends_a_session_says_so_also_where_no_websocket_was_open() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    told: list[object] = []
    worker.on("disconnected", lambda d: told.append(d.will_reconnect))
    worker.on("error", lambda e: told.append((type(e), e.ends_session)))
    async with worker:
        peer.refuse(ConnectionFailedError("nobody there"), ConnectionFailedError("refused", status=401))
        peer.close(1011, "a deploy")
        with pytest.raises(InvalidTokenError):
            await worker.wait_closed()
    assert told == [True, (ConnectionFailedError, False), (InvalidTokenError, True)]


@virtual_time
async def test_an_end_that_was_asked_for_is_no_error() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        pass
    assert log == ["ready", "disconnected client and stays away"]


@virtual_time
async def test_connections_that_could_not_be_opened_are_retried_for_ever() -> None:
    peer = Peer()
    peer.refuse(*(ConnectionFailedError("nobody there") for _ in range(50)))
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        assert log == [*["error ConnectionFailedError"] * 50, "ready"]


@virtual_time
async def test_the_backoff_is_told_the_attempts_since_the_last_stable_session() -> None:
    peer = Peer()
    attempts: list[int] = []

    def backoff(attempt: int) -> float:
        attempts.append(attempt)
        return 1.0

    peer.refuse(*(ConnectionFailedError("nobody there") for _ in range(3)))
    worker = virtual_worker(peer, reconnect_backoff=backoff)
    async with worker:
        assert attempts == [0, 1, 2]
        for lasts in (9.9, 9.9, 10.1, 1.0):
            await passes(lasts)
            peer.close()
            await worker.wait_for("ready", timeout=5)
        assert attempts == [0, 1, 2, 3, 4, 0, 1]


@given(st.integers(0, 60), st.integers())
def test_the_default_backoff_is_jittered_below_a_growing_bound(attempt: int, seed: int) -> None:
    random.seed(seed)
    waits = [full_jitter(attempt) for _ in range(200)]
    bound = min(30.0, 2.0**attempt)
    assert all(0 <= wait <= bound for wait in waits)
    assert min(waits) < bound / 3
    assert max(waits) > bound / 2


@virtual_time
async def test_close_existing_sessions_is_asked_for_once() -> None:
    peer = Peer()
    peer.refuse(ConnectionFailedError("nobody there"))
    worker = virtual_worker(peer, close_existing_sessions=True)
    async with worker:
        peer.close(1012)
        await passes(2)
        assert [opening.close_existing_sessions for opening in peer.openings] == [True, True, False]


@virtual_time
async def test_a_gap_is_made_up_for() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
        peer.close()
        await settle()
        peer.world.end(ONE, "timeout")
        peer.world.now += 1
        peer.world.create_reservation()
        peer.world.create_reservation()
        peer.world.end(TWO, "rescinded")
        await passes(3)
        assert log[3:] == [
            "ready",
            "timeout 1 (resync)",
            "ended 1 (resync)",
            "missed 2 rescinded",
            "created 3 (resync)",
        ]


@virtual_time
async def test_what_is_pushed_while_a_gap_is_searched_is_told_as_it_came_and_not_as_missed() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        release = peer.hold(LIST)
        peer.close()
        await passes(2)
        peer.push(peer.world.create_reservation())
        peer.push(peer.world.end(ONE, "timeout"))
        release.set()
        await passes(2)
        assert log[2:] == ["ready", "created 1", "timeout 1", "ended 1"]


@virtual_time
async def test_an_end_that_the_service_forgot_is_told_as_unknown() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
        reservation = worker.reservations[ONE]
        peer.close()
        peer.world.end(ONE, "timeout")
        peer.world.purge(ONE)
        await passes(3)
        assert log[-1] == "ended 1 (resync)"
        assert reservation.outcome == "unknown"


@virtual_time
async def test_what_a_connection_pushed_is_not_forgotten_if_it_ends_before_its_snapshot() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
        known = worker.reservations[ONE]
        peer.close()
        release = peer.hold(LIST)
        await passes(2)
        assert len(peer.live) == 1  # and it waits for its snapshot
        peer.push(peer.world.end(ONE, "timeout"))
        peer.push(peer.world.create_reservation())
        peer.push(peer.world.end(TWO, "rescinded"))
        peer.push(peer.world.create_reservation())
        peer.push([peer.world.failed()])
        peer.close()
        for number in (ONE, TWO, THREE):
            peer.world.purge(number)  # the service knows of none of them any more
        release.set()
        await passes(3)
        assert log[4:] == [
            "ready",
            "timeout 1 (resync)",
            "ended 1 (resync)",
            "missed 2 rescinded",
            "missed 3 pending",
            "failed (resync)",
        ]
        assert known.outcome == "timeout"
        peer.close()
        await passes(3)
        assert log[-1] == "ready"  # and nothing is told twice


@virtual_time
async def test_what_a_connection_without_a_snapshot_pushed_is_told_as_the_next_one_shows_it() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.close()
        release = peer.hold(LIST)
        await passes(2)
        peer.push(peer.world.create_reservation())
        peer.push(peer.world.create_reservation())
        peer.push(peer.world.create_reservation())
        peer.close()
        peer.world.accept(ONE)
        peer.world.end(TWO, "timeout")
        release.set()
        await passes(3)
        assert log[3:] == [
            "ready",
            "missed 2 timeout",
            "created 1 (resync)",
            "accepted 1 (resync)",
            "created 3 (resync)",
        ]


@virtual_time
async def test_a_gap_that_cannot_be_searched_for_missed_reservations_is_no_obstacle() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        peer.close()
        answer = peer.send

        async def send(request: Request, token: Token) -> bytes:
            if request.path.endswith("/Reservations") and "Active" not in request.params:
                raise server_error(400)
            return await answer(request, token)

        peer.send = send  # type: ignore[method-assign]
        await worker.wait_for("ready", timeout=10)


# Tokens


@virtual_time
async def test_token_expired_comes_five_seconds_before_the_end_once() -> None:
    peer = Peer(token_lifetime=60_000)
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        began = now()
        await worker.wait_for("tokenExpired")
        assert now() - began == pytest.approx(55.0)
        await passes(100)
        assert log == ["ready", "tokenExpired"]
        assert len(peer.live) == 1


@pytest.mark.parametrize("lifetime", ["missing", None, 1e15, 2**53])
@virtual_time
async def test_a_lifetime_that_is_unknown_or_huge_expires_nothing(lifetime: object) -> None:
    peer = Peer(token_lifetime=lifetime)
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        await passes(100_000)
        assert log == ["ready"]


@pytest.mark.parametrize("lifetime", [5000, 1, 0, -100])
@virtual_time
async def test_a_tiny_lifetime_expires_at_once_and_the_session_still_begins(lifetime: int) -> None:
    peer = Peer(token_lifetime=lifetime)
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        await settle()
        assert sorted(log) == ["ready", "tokenExpired"]


@virtual_time
async def test_an_expired_token_is_not_used_for_another_connection() -> None:
    peer = Peer(token_lifetime=60_000)
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        await passes(56)
        peer.close()
        await passes(1000)
        assert log == ["ready", "tokenExpired", "disconnected connection_lost and stays away"]
        assert worker.state is SessionState.TOKEN_EXPIRED
        assert len(peer.openings) == 1


@virtual_time
async def test_4408_means_token_expired_and_waits_for_the_next_token() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.close(4408, "token expired")
        await passes(1000)
        assert log == ["ready", "disconnected token_expired and stays away", "tokenExpired"]
        assert worker.state is SessionState.TOKEN_EXPIRED
        began = now()
        worker.update_token(token(2))
        await worker.wait_for("ready", timeout=5)
        assert now() - began < 0.1
        assert [opening.token for opening in peer.openings] == [token(1), token(2)]


@virtual_time
async def test_a_handler_of_token_expired_may_give_the_next_token_at_once() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    worker.on("tokenExpired", lambda: worker.update_token(token(2)))
    async with worker:
        peer.close(4408, "token expired")
        began = now()
        await worker.wait_for("ready", timeout=5)
        assert now() - began < 0.1


@virtual_time
async def test_a_service_that_finds_each_new_token_expired_is_not_hammered() -> None:
    peer = Peer()
    tokens = itertools.count(2)
    worker = virtual_worker(peer)
    worker.on("tokenExpired", lambda: worker.update_token(token(next(tokens))))
    worker.on("ready", lambda _: peer.close(4408))
    async with worker:
        await passes(60)
        assert 5 < len(peer.openings) < 100


@virtual_time
async def test_a_new_token_while_connected_gets_a_websocket_of_its_own_and_nobody_notices() -> None:
    peer = Peer(token_lifetime=60_000)
    worker = virtual_worker(peer, token(1, expires_in=60))
    log = heard(worker)
    async with worker:
        await passes(30)
        second = token(2, expires_in=100, now=now())
        worker.update_token(second)
        began = now()
        await worker.fetch_latest_version()
        assert peer.tokens_of_requests[-1] == second
        await worker.wait_for("tokenExpired")
        assert now() - began == pytest.approx(95.0, abs=1.1)  # `exp` has whole seconds
        assert log == ["ready", "tokenUpdated", "tokenExpired"]
        assert [opening.token for opening in peer.openings] == [token(1, expires_in=60), second]
        assert len(peer.live) == 1


@virtual_time
async def test_a_wrong_wall_clock_does_not_change_when_a_new_token_expires() -> None:
    peer = Peer(token_lifetime=60_000)
    worker = virtual_worker(peer, token(1, expires_in=60), clock=LoopClock(ahead=5000.0))
    async with worker:
        worker.update_token(token(2, expires_in=200, now=now()))
        began = now()
        await worker.wait_for("tokenExpired")
        assert now() - began == pytest.approx(195.0, abs=1.1)


@virtual_time
async def test_a_new_token_that_cannot_be_decoded_lives_as_long_as_the_last_one() -> None:
    peer = Peer(token_lifetime=60_000)
    worker = virtual_worker(peer)
    async with worker:
        await passes(50)
        worker.update_token(token(2))
        began = now()
        await worker.wait_for("tokenExpired")
        assert now() - began == pytest.approx(55.0)


@virtual_time
async def test_a_new_token_after_token_expired_takes_over_before_the_service_closes() -> None:
    peer = Peer(token_lifetime=60_000)
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        await passes(57)
        worker.update_token(token(2))
        await passes(1)
        assert peer.openings[-1].token == token(2)
        assert len(peer.live) == 1
        assert log == ["ready", "tokenExpired", "tokenUpdated"]


@virtual_time
async def test_a_new_token_during_the_reconnect_delay_opens_one_websocket_at_once() -> None:
    peer = Peer()
    worker = virtual_worker(peer, reconnect_backoff=lambda _: 20.0)
    async with worker:
        peer.close()
        await passes(1)
        assert worker.state is SessionState.WAITING
        began = now()
        worker.update_token(token(2))
        await worker.wait_for("ready", timeout=5)
        assert now() - began < 0.1
        await passes(100)
        assert len(peer.openings) == 2
        assert len(peer.live) == 1
    assert peer.live == []


@virtual_time
async def test_the_old_tokens_end_does_not_expire_a_new_one_given_during_an_outage() -> None:
    peer = Peer(token_lifetime=60_000)
    worker = virtual_worker(peer, token(1, expires_in=60))
    log = heard(worker)
    async with worker:
        peer.refuse(*(ConnectionFailedError("nobody there") for _ in range(300)))
        peer.close()
        await passes(30)
        worker.update_token(token(2, expires_in=3600, now=now()))
        await passes(200)
        assert "tokenExpired" not in log
        assert worker.state is SessionState.WAITING


@virtual_time
async def test_a_new_token_before_the_first_init_sets_no_clock() -> None:
    peer = Peer(greeting=None)
    worker = virtual_worker(peer)
    log = heard(worker)
    worker.update_token(token(2))
    entering = asyncio.create_task(worker.__aenter__())
    await passes(1)
    worker.update_token(token(3, expires_in=2))
    await passes(5)
    assert log == ["tokenUpdated", "tokenUpdated"]
    assert [opening.token for opening in peer.openings] == [token(2)]
    peer.push([peer.init()])
    await entering
    await worker.disconnect()


@virtual_time
async def test_a_token_given_while_connecting_counts_from_init_on() -> None:
    peer = Peer(token_lifetime=60_000)
    peer.door = asyncio.Event()
    worker = virtual_worker(peer, token(1, expires_in=60))
    entering = asyncio.create_task(worker.__aenter__())
    await passes(1)
    worker.update_token(token(2, expires_in=600, now=now()))
    peer.door.set()
    await entering
    began = now()
    await worker.wait_for("tokenExpired")
    assert now() - began == pytest.approx(595.0, abs=2.1)
    await worker.disconnect()


@virtual_time
async def test_a_token_of_another_worker_ends_the_session() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        peer.greeting = peer.init(channel_id=sid("WK", 2))
        worker.update_token(token(2))
        peer.close()
        with pytest.raises(InvalidTokenError, match="make a new Worker"):
            await worker.wait_closed()


@virtual_time
async def test_an_old_token_that_is_refused_while_a_new_one_was_given_is_no_failure() -> None:
    peer = Peer()
    peer.door = asyncio.Event()
    peer.refuse(ConnectionFailedError("refused", status=401))
    worker = virtual_worker(peer)
    entering = asyncio.create_task(worker.__aenter__())
    await passes(1)
    worker.update_token(token(2))
    peer.door.set()
    await entering
    assert [opening.token for opening in peer.openings] == [token(1), token(2)]
    await worker.disconnect()


@virtual_time
async def test_no_websocket_is_opened_before_a_token_known_to_be_expired_is_replaced() -> None:
    peer = Peer(token_lifetime=60_000)
    worker = virtual_worker(peer, token(1, expires_in=60))
    async with worker:
        peer.refuse(*(ConnectionFailedError("nobody there") for _ in range(300)))
        await passes(50)
        peer.close()
        await passes(100)
        assert worker.state is SessionState.TOKEN_EXPIRED
        tried = len(peer.openings)
        await passes(100)
        assert len(peer.openings) == tried
