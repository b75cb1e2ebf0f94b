"""Exceptions and calls from where nobody expects them: they end nothing and are told."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from taskrouter_worker import (
    AuthenticationError,
    ConnectionFailedError,
    HandlerError,
    NotConnectedError,
    Reservation,
    SessionState,
    TaskRouterError,
    TokenProviderError,
    Worker,
    WorkerPool,
)
from taskrouter_worker.telemetry import Telemetry
from tests.sdk.peer import LoopClock, Peer, heard, token, virtual_worker
from tests.sdk.test_emitter import Tower
from tests.sdk.test_tokens_in_force import WORKER_READ, Provider, now, with_provider
from tests.sdk.virtual import passes, settle, virtual_time
from tests.sdk.world import sid

ONE = sid("WR", 1)
PATIENCE = 30.0


def ends(call: Callable[[], object]) -> None:
    """Make a call that may hang, in a thread, and fail if it does."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"


# Handlers


@virtual_time
async def test_a_plain_handler_that_meets_a_canceled_future_costs_no_event() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    canceled = asyncio.get_running_loop().create_future()
    canceled.cancel()
    errors: list[TaskRouterError] = []
    told: list[str] = []

    @worker.on("reservationCreated")
    def listen(reservation: Reservation) -> None:
        reservation.on("rejected", lambda _: canceled.result())
        reservation.on("ended", lambda _: told.append("ended"))

    worker.on("error", errors.append)
    worker.on("disconnected", lambda _: told.append("disconnected"))
    async with worker:
        peer.push(peer.world.create_reservation())
        peer.push(peer.world.end(ONE, "rejected"))
        await passes(5)
        assert told == ["ended"]
        assert len(peer.openings) == 1
    (error,) = errors
    assert isinstance(error, HandlerError)
    assert isinstance(error.__cause__, asyncio.CancelledError)


@virtual_time
async def test_a_coroutine_handler_that_waits_for_something_canceled_is_told() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    errors: list[TaskRouterError] = []
    worker.on("error", errors.append)

    @worker.on("reservationCreated")
    async def wait(_: Reservation) -> None:
        shared = asyncio.ensure_future(asyncio.sleep(60))
        shared.cancel()
        await shared

    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
    (error,) = errors
    assert isinstance(error.__cause__, asyncio.CancelledError)


@virtual_time
async def test_a_handler_that_is_canceled_at_the_end_is_no_failure() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    errors: list[TaskRouterError] = []
    worker.on("error", errors.append)

    @worker.on("reservationCreated")
    async def wait(_: Reservation) -> None:
        await asyncio.sleep(3600)

    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
    assert errors == []


class _Unusual(BaseException):
    """As those that test tools raise: no `Exception`."""


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@virtual_time
async def test_whatever_a_handler_raises_harms_no_other(kind: str) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    errors: list[TaskRouterError] = []
    ended: list[str] = []
    worker.on("error", errors.append)

    def fail(_: Reservation) -> None:
        raise _Unusual

    async def fail_later(_: Reservation) -> None:
        raise _Unusual

    @worker.on("reservationCreated")
    def listen(reservation: Reservation) -> None:
        reservation.on("rejected", fail if kind == "plain" else fail_later)
        reservation.on("ended", lambda r: ended.append(r.sid))

    async with worker:
        peer.push(peer.world.create_reservation())
        peer.push(peer.world.end(ONE, "rejected"))
        await settle()
        assert worker.state is SessionState.READY
    assert ended == [ONE]
    assert [type(error.__cause__) for error in errors] == [_Unusual]


# Streams


@virtual_time
async def test_a_stream_that_is_made_after_the_end_is_over() -> None:
    worker = virtual_worker(Peer())
    async with worker:
        pass
    async with asyncio.timeout(5):
        assert [reservation async for reservation in worker.stream("reservationCreated")] == []


def test_a_stream_may_be_collected_in_the_middle_of_an_emission() -> None:
    bell: Any = Tower().bell

    class Collecting(str):
        """An event name that makes the collector run while listeners are looked up."""

        __slots__ = ()
        armed = False

        def __hash__(self) -> int:
            if Collecting.armed:
                gc.collect()
            return str.__hash__(self)

    def emit() -> None:
        name = Collecting("ring")
        cycle: list[object] = [bell.stream("ring")]
        cycle.append(cycle)
        del cycle
        Collecting.armed = True
        bell._emit(name, 1)
        Collecting.armed = False

    ends(emit)
    assert not bell._has_listeners("ring")


# Token providers


@virtual_time
async def test_a_provider_may_be_out_of_order_for_days() -> None:
    peer, provider = Peer(), Provider()
    async with with_provider(peer, provider) as worker:
        provider.failures = [ConnectionError("no route")] * 1_100
        await passes(36_000)
        assert provider.failures == []
        assert worker.state is SessionState.READY


@virtual_time
async def test_a_provider_that_returns_the_same_token_for_ever_is_not_asked_ever_faster() -> None:
    peer = Peer()
    same = token(3, expires_in=60)
    asked: list[float] = []
    answers: list[str] = []

    def provide() -> str:
        asked.append(now())
        assert len(asked) < 200, "it is asked without an end"
        return answers[0] if answers else same

    worker = with_provider(peer, provide)
    errors: list[TaskRouterError] = []
    worker.on("error", errors.append)
    async with worker:
        await passes(120)
        assert len(asked) < 40
        assert {type(error) for error in errors} == {TokenProviderError}
        peer.close(4408, "expired")
        answers.append(token(4, expires_in=3600, now=now()))
        await passes(31)
        assert worker.state is SessionState.READY
        assert len(peer.live) == 1


@virtual_time
async def test_a_provider_that_waits_for_something_canceled_is_a_failing_one() -> None:
    peer, provider = Peer(), Provider()
    asked: list[float] = []

    async def provide() -> str:
        asked.append(now())
        if len(asked) == 2:
            shared = asyncio.ensure_future(asyncio.sleep(60))
            shared.cancel()
            await shared
        return provider()

    worker = with_provider(peer, provide)
    log = heard(worker)
    async with worker:
        await passes(120)
        assert worker.state is SessionState.READY
    assert log.count("error TokenProviderError") == 1
    assert log.count("ready") == 1


@virtual_time
async def test_a_provider_that_answers_after_the_end_changes_nothing() -> None:
    peer, provider = Peer(), Provider()
    answer = asyncio.Event()
    asked: list[float] = []

    async def provide() -> str:
        asked.append(now())
        if len(asked) > 1:
            await answer.wait()
        return provider()

    worker = with_provider(peer, provide)
    log = heard(worker)
    async with worker:
        peer.fail(WORKER_READ, AuthenticationError("expired", method="GET", path="x", status=401))
        fetching = asyncio.create_task(worker.fetch_latest_version())
        await passes(1)
    before = list(log)
    answer.set()
    with pytest.raises(NotConnectedError):
        await fetching
    assert log == before  # and no timer is left, which every test here looks at


@virtual_time
async def test_a_token_revoked_under_a_session_is_a_gap_like_any_other() -> None:
    peer, provider = Peer(), Provider(3600)
    worker = with_provider(peer, provider)
    log = heard(worker)
    async with worker:
        await passes(300)
        peer.close(4401, "revoked")
        peer.world.now += 300
        peer.world.create_reservation()
        peer.world.end(ONE, "timeout")
        await passes(5)
        assert log[1:] == [
            "ready",
            "disconnected invalid_token",
            "tokenUpdated",
            "ready",
            "missed 1 timeout",
        ]


@virtual_time
async def test_a_provider_that_fails_when_a_token_is_refused_is_asked_again() -> None:
    peer, provider = Peer(), Provider(3600)
    worker = with_provider(peer, provider)
    log = heard(worker)
    async with worker:
        provider.failures = [ConnectionError("no route")] * 3
        peer.refuse(*[ConnectionFailedError("refused", status=401)])
        peer.close(1006)
        await passes(20)
        assert worker.state is SessionState.READY
    assert log.count("error TokenProviderError") == 3
    assert "error InvalidTokenError" not in log


@pytest.mark.parametrize("how", ["handshake", "close code"])
@virtual_time
async def test_a_token_that_is_refused_because_it_expired_meanwhile_may_be_replaced(how: str) -> None:
    peer = Peer()
    worker = virtual_worker(peer, token(1, expires_in=60))
    log = heard(worker)
    async with worker:
        await passes(50)
        peer.door = asyncio.Event()
        peer.close(1006)
        await passes(12)
        assert log[-1] == "tokenExpired"
        if how == "handshake":
            peer.refuse(ConnectionFailedError("refused", status=401))
        else:
            peer.greeting = None
        peer.door.set()
        await settle()
        peer.close(4401, "not valid")
        await settle()
        peer.greeting = "init"
        worker.update_token(token(2, expires_in=600, now=now()))
        await passes(5)
        assert worker.state is SessionState.READY


# The pool


@virtual_time
async def test_a_pool_that_is_canceled_while_it_is_entered_leaves_nothing() -> None:
    pool = WorkerPool()
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with pool:
            raise AssertionError("it was canceled before")
    with pytest.raises(NotConnectedError):
        pool.add("token")


class _Stopped:
    """A clock out of order."""

    def now(self) -> float:
        raise OSError("no clock")


@virtual_time
async def test_a_worker_of_a_pool_that_breaks_takes_no_other_along() -> None:
    pool = WorkerPool(start_jitter=0)
    peers = [Peer(), Peer()]
    good, bad = (pool.add("token", clock=clock) for clock in (LoopClock(), _Stopped()))
    for worker, peer in zip((good, bad), peers, strict=True):
        other = virtual_worker(peer)
        worker._transport = worker._commands._transport = other._transport
        worker._session._signaling = peer
    ended: list[tuple[Worker, TaskRouterError | None]] = []
    pool.on("workerEnded", lambda worker, error: ended.append((worker, error)))
    async with pool:
        await pool.wait_ready()
        await passes(10)
        assert good.state is SessionState.READY
        assert pool.workers == [good]
    ((worker, error),) = ended
    assert worker is bad
    assert error is not None
    assert "defect" in str(error)


@virtual_time
async def test_a_pool_lets_go_of_handlers_that_were_removed() -> None:
    pool = WorkerPool()
    worker = pool.add("token")

    class Held:
        def told(self, _: Worker) -> None:
            pass

    held = Held()
    gone = weakref.ref(held)
    handler = pool.on("tokenUpdated", held.told)
    pool.remove_listener("tokenUpdated", handler)
    del held, handler
    gc.collect()
    assert gone() is None
    assert pool.workers == [worker]
    await pool.disconnect()


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@virtual_time
async def test_the_applications_own_signal_handlers_are_put_back_after_a_run(number: signal.Signals) -> None:
    def mine(*_: object) -> None:
        """The application's."""

    before = signal.signal(number, mine)
    try:
        worker = virtual_worker(Peer())
        running = asyncio.create_task(worker.run(signals=[number]))
        await settle()
        assert worker.state is SessionState.READY
        assert signal.getsignal(number) is not mine
        await worker.disconnect()
        await running
        assert signal.getsignal(number) is mine
    finally:
        signal.signal(number, before)


# Other functions of the application


@pytest.mark.parametrize("wrong", [OverflowError("too large"), "soon", float("nan"), -5.0])
@virtual_time
async def test_a_backoff_that_fails_ends_no_session(wrong: Any) -> None:
    peer = Peer()

    def backoff(_: int) -> Any:  # Any: what it should not return
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    async with virtual_worker(peer, reconnect_backoff=backoff) as worker:
        peer.close(1006)
        await passes(5)
        assert worker.state is SessionState.READY
        assert len(peer.openings) == 2


# What the service says


@pytest.mark.parametrize("lifetime", [10**400, -(10**400)])
@virtual_time
async def test_a_lifetime_that_no_float_can_show_ends_no_session(lifetime: int) -> None:
    async with virtual_worker(Peer(token_lifetime=lifetime)) as worker:
        assert worker.state is SessionState.READY


# Telemetry


@virtual_time
async def test_telemetry_of_an_event_before_the_first_ready_harms_nothing() -> None:
    worker = with_provider(Peer(), Provider())
    Telemetry().watch(worker)
    log = heard(worker)
    async with worker:
        assert worker.state is SessionState.READY
    assert log[:2] == ["tokenUpdated", "ready"]


@virtual_time
async def test_a_handler_without_a_module_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    worker = virtual_worker(peer, telemetry=Telemetry())
    seen: list[Worker] = []
    worker.on("ready", seen.append)
    with caplog.at_level(logging.ERROR):
        async with worker:
            await settle()
    assert seen == [worker]
    assert caplog.text == ""


class _Broken:
    """An observer in trouble."""

    def handled(self, *_: object, **__: object) -> None:
        raise OSError("no exporter")

    def closed(self) -> None:
        raise OSError("no exporter")


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@virtual_time
async def test_an_observer_that_fails_is_logged_and_stops_nothing(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    worker._dispatcher.observer = _Broken()
    created: list[str] = []

    async def slow(reservation: Reservation) -> None:
        created.append(reservation.sid)

    def quick(reservation: Reservation) -> None:
        created.append(reservation.sid)

    worker.on("reservationCreated", quick if kind == "plain" else slow)
    waiting = worker.stream("reservationFailed")
    with caplog.at_level(logging.ERROR, "taskrouter_worker"):
        async with worker:
            for _ in range(2):
                peer.push(peer.world.create_reservation())
            await settle()
        assert [item async for item in waiting] == []
    assert len(created) == 2
    assert worker.state is SessionState.CLOSED
    assert "no exporter" in caplog.text


@virtual_time
async def test_the_lag_of_a_reservations_handler_counts_from_the_reservation() -> None:
    reader = InMemoryMetricReader()
    peer = Peer()
    worker = virtual_worker(peer, telemetry=Telemetry(meter_provider=MeterProvider(metric_readers=[reader])))

    @worker.on("reservationCreated")
    def created(_: Reservation) -> None:
        pass

    @worker.on("tokenUpdated")
    def updated() -> None:
        pass

    async with worker:
        peer.world.now = int(time.time())  # the worker itself last changed at the beginning of its world
        peer.push(peer.world.create_reservation())
        worker.update_token(token(2))
        await settle()
    data: Any = reader.get_metrics_data()
    metrics = [
        metric for of in data.resource_metrics for scope in of.scope_metrics for metric in scope.metrics
    ]
    (lag,) = [metric for metric in metrics if metric.name == "taskrouter.handler.lag"]
    points = {point.attributes["taskrouter.event"]: point.max for point in lag.data.data_points}
    assert set(points) == {"reservationCreated"}
    assert points["reservationCreated"] < 3600
