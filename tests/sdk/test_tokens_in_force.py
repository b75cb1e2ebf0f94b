"""Tokens that come and go under a running session: make before break, and the provider that makes them."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from taskrouter_worker import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidTokenError,
    SessionDisplacedError,
    SessionState,
    TaskRouterError,
    TokenProviderError,
    Worker,
)
from tests.sdk.peer import LoopClock, Peer, heard, token, virtual_worker
from tests.sdk.virtual import passes, settle, virtual_time
from tests.sdk.world import sid

ONE = sid("WR", 1)
WORKER_READ = "GET .*/Workers/WK[0-9a-f]*$"
LIST = "GET .*/Reservations$"


def now() -> float:
    return asyncio.get_running_loop().time()


class Provider:
    """Makes tokens that live for a minute; notes when it was asked."""

    def __init__(self, lifetime: float = 60.0) -> None:
        self.lifetime = lifetime
        self.asked: list[float] = []
        self.failures: list[Exception] = []
        self._numbers = itertools.count(10)

    def __call__(self) -> str:
        self.asked.append(now())
        if self.failures:
            raise self.failures.pop(0)
        return token(next(self._numbers), expires_in=self.lifetime, now=now())


def with_provider(peer: Peer, provider: object) -> Worker:
    worker = virtual_worker(peer, token_provider=provider)
    worker._tokens._token = None  # virtual_worker gives one; here the provider makes the first as well
    return worker


# Make before break


@virtual_time
async def test_events_pushed_on_both_websockets_are_told_once() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        held = peer.hold(LIST)
        worker.update_token(token(2))
        await settle()
        assert len(peer.live) == 2
        peer.push(peer.world.create_reservation())
        await settle()
        held.set()
        await passes(1)
        assert len(peer.live) == 1
        peer.push(peer.world.accept(ONE))
        await settle()
        assert log == ["ready", "tokenUpdated", "created 1", "accepted 1"]


@virtual_time
async def test_a_reservation_that_the_old_websocket_tells_of_meanwhile_is_not_taken_for_ended() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        held = peer.hold(LIST, late=True)  # answered before the reservation exists, delivered after
        worker.update_token(token(2))
        await settle()
        peer.push(peer.world.create_reservation())
        await settle()
        held.set()
        await passes(1)
        assert list(worker.reservations) == [ONE]
        assert log == ["ready", "tokenUpdated", "created 1"]


@virtual_time
async def test_a_successor_that_fails_is_tried_again_while_the_old_websocket_works_on() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.refuse(ConnectionFailedError("busy"), ConnectionFailedError("busy"))
        worker.update_token(token(2))
        await passes(0.5)
        assert worker.state is SessionState.READY
        peer.push(peer.world.create_reservation())
        await passes(5)
        assert [opening.token for opening in peer.openings] == [token(1), *[token(2)] * 3]
        assert len(peer.live) == 1
        assert "disconnected" not in " ".join(log)
        assert log.count("created 1") == 1


@virtual_time
async def test_an_old_websocket_that_dies_before_its_successor_is_ready_is_an_ordinary_gap() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        held = peer.hold(LIST)
        worker.update_token(token(2))
        await settle()
        peer.websockets[0].finish(1006)
        await settle()
        assert worker.state is SessionState.INITIALIZING
        held.set()
        await worker.wait_for_state(SessionState.READY)
        await passes(1)
        assert log == ["ready", "tokenUpdated", "disconnected connection_lost", "ready"]
        assert len(peer.openings) == 2


@virtual_time
async def test_a_new_token_that_is_refused_ends_the_session() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        peer.refuse(ConnectionFailedError("refused", status=401))
        worker.update_token(token(2))
        with pytest.raises(InvalidTokenError):
            await worker.wait_closed()
    assert peer.live == []


@virtual_time
async def test_tokens_in_quick_succession_leave_one_websocket_with_the_last_one() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        for number in range(2, 7):
            worker.update_token(token(number))
            await settle()
        await passes(5)
        assert len(peer.live) == 1
        assert peer.openings[-1].token == token(6)
        assert "disconnected" not in " ".join(log)


@virtual_time
async def test_a_displaced_session_stays_displaced_while_a_new_token_takes_over() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    async with worker:
        peer.hold(LIST)
        worker.update_token(token(2))
        await settle()
        peer.websockets[0].finish(4409, "displaced")
        with pytest.raises(SessionDisplacedError):
            await worker.wait_closed()
    assert peer.live == []
    assert len(peer.openings) == 2


# A machine that slept


@virtual_time
async def test_a_jump_of_the_clock_makes_the_connection_anew_at_once() -> None:
    peer, clock = Peer(), LoopClock()
    worker = virtual_worker(peer, clock=clock)
    log = heard(worker)
    async with worker:
        await passes(60)
        assert len(peer.openings) == 1
        clock._ahead += 3600
        began = now()
        while len(peer.openings) == 1:
            await passes(1)
        assert now() - began <= 6
        await passes(60)
        assert len(peer.openings) == 2
        assert len(peer.live) == 1
        assert log == ["ready"]


@virtual_time
async def test_a_clock_that_drifts_a_little_is_left_alone() -> None:
    peer, clock = Peer(), LoopClock()
    async with virtual_worker(peer, clock=clock):
        for _ in range(20):
            clock._ahead += 5
            await passes(5)
        assert len(peer.openings) == 1


# The provider


@virtual_time
async def test_the_provider_makes_the_first_token_and_each_next_one_before_the_last_ends() -> None:
    peer, provider = Peer(), Provider()
    worker = with_provider(peer, provider)
    log = heard(worker)
    async with worker:
        await passes(300)
    assert len(provider.asked) > 5
    gaps = [later - earlier for earlier, later in itertools.pairwise(provider.asked)]
    # `exp` has whole seconds, so a token may live a second less.
    assert all(0.7 * 54 <= gap <= 0.8 * 55 + 1 for gap in gaps)
    assert "tokenExpired" not in log
    assert "disconnected client and stays away" in log
    assert len([line for line in log if line.startswith("disconnected")]) == 1
    assert log.count("ready") == 1


@virtual_time
async def test_a_coroutine_function_is_a_provider_too() -> None:
    peer, provider = Peer(), Provider()

    async def provide() -> str:
        await asyncio.sleep(0.1)
        return provider()

    async with with_provider(peer, provide) as worker:
        await passes(60)
        assert worker.state is SessionState.READY
    assert len(provider.asked) == 2


@virtual_time
async def test_a_failing_provider_is_reported_and_asked_again_with_growing_delays() -> None:
    peer, provider = Peer(), Provider()
    worker = with_provider(peer, provider)
    errors: list[TaskRouterError] = []
    worker.on("error", errors.append)
    async with worker:
        provider.failures = [ConnectionError("no route")] * 3
        await passes(55)
        assert worker.state is SessionState.READY
    assert [type(error) for error in errors] == [TokenProviderError] * 3
    assert all(isinstance(error.__cause__, ConnectionError) for error in errors)
    tries = provider.asked[1:5]
    delays = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert 0.5 <= delays[0] <= 1.0
    assert 1.0 <= delays[1] <= 2.0
    assert 2.0 <= delays[2] <= 4.0


@virtual_time
async def test_a_provider_that_returns_no_token_is_a_failing_one_and_shows_nothing_of_it() -> None:
    peer = Peer()
    answers: list[object] = [None, "not a token: secret value", token(2, expires_in=60)]
    worker = with_provider(peer, lambda: answers.pop(0))
    errors: list[TaskRouterError] = []
    worker.on("error", errors.append)
    async with worker:
        pass
    assert [type(error) for error in errors] == [TokenProviderError] * 2
    assert "secret" not in "".join(f"{error} {error.__cause__}" for error in errors)


@virtual_time
async def test_a_request_refused_with_401_gets_one_new_token_and_is_sent_again() -> None:
    peer, provider = Peer(), Provider()
    async with with_provider(peer, provider) as worker:
        refusal = AuthenticationError("expired", method="GET", path="x", status=401)
        peer.fail(WORKER_READ, refusal)
        await worker.fetch_latest_version()
        assert len(provider.asked) == 2
        assert peer.tokens_of_requests[-1] != peer.tokens_of_requests[0]
        await passes(1)


@virtual_time
async def test_requests_refused_together_ask_the_provider_once() -> None:
    peer, provider = Peer(), Provider()
    async with with_provider(peer, provider) as worker:
        refusal = AuthenticationError("expired", method="GET", path="x", status=401)
        peer.fail(WORKER_READ, *[refusal] * 5)
        async with asyncio.TaskGroup() as together:
            for _ in range(5):
                together.create_task(worker.fetch_latest_version())
        assert len(provider.asked) == 2
        await passes(1)


@virtual_time
async def test_a_second_refusal_is_believed() -> None:
    peer, provider = Peer(), Provider()
    async with with_provider(peer, provider) as worker:
        refusal = AuthenticationError("no", method="GET", path="x", status=401)
        peer.fail(WORKER_READ, *[refusal] * 2)
        with pytest.raises(AuthenticationError):
            await worker.fetch_latest_version()
        assert len(provider.asked) == 2
        await passes(1)


@virtual_time
async def test_a_refusal_stays_a_request_error_when_no_other_token_can_be_had() -> None:
    peer, provider = Peer(), Provider()
    async with with_provider(peer, provider) as worker:
        peer.fail(WORKER_READ, AuthenticationError("expired", method="GET", path="x", status=401))
        provider.failures = [ConnectionError("no route")]
        with pytest.raises(AuthenticationError, match="expired") as caught:
            await worker.fetch_latest_version()
        assert isinstance(caught.value.__cause__, TokenProviderError)
        await passes(1)


@virtual_time
async def test_a_handshake_refused_with_401_gets_one_new_token() -> None:
    peer, provider = Peer(), Provider()
    peer.refuse(ConnectionFailedError("refused", status=401))
    async with with_provider(peer, provider) as worker:
        assert worker.state is SessionState.READY
    assert len(provider.asked) == 2


@virtual_time
async def test_two_refused_handshakes_end_the_session() -> None:
    peer, provider = Peer(), Provider()
    peer.refuse(*[ConnectionFailedError("refused", status=401)] * 2)
    with pytest.raises(InvalidTokenError):
        async with with_provider(peer, provider):
            pass
    assert len(provider.asked) == 2


def test_a_worker_needs_a_token_or_a_provider() -> None:
    with pytest.raises(TypeError, match="token must be a str, got NoneType"):
        Worker()
    with pytest.raises(TypeError, match="token_provider must be callable, got str"):
        Worker(token_provider="token")  # type: ignore[arg-type]
