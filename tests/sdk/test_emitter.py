"""Handlers: order, isolation, registration. And event streams."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from taskrouter_worker import HandlerError, Reservation, Worker
from taskrouter_worker._emitter import Dispatcher, Listenable
from taskrouter_worker._handler_tasks import HandlerTasks
from taskrouter_worker.errors import EventImpossibleError, StreamOverflowError
from tests.sdk.peer import Peer, virtual_worker
from tests.sdk.virtual import passes, settle, virtual_time
from tests.sdk.world import BREAK, sid

ONE = sid("WR", 1)


class Bell(Listenable[Literal["ring", "fall"]]):
    """Something to listen to."""

    EVENTS = frozenset({"ring", "fall"})


class Tower:
    """Bells of one dispatcher, and the errors of their handlers."""

    def __init__(self) -> None:
        self.errors: list[HandlerError] = []
        self.dispatcher = Dispatcher(self.errors.append)
        self.bell = Bell(self.dispatcher)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Bell]:
        """Coroutine handlers can run inside."""
        async with HandlerTasks() as handlers:
            self.dispatcher.open(handlers)
            yield self.bell
            await self.dispatcher.idle()
        self.dispatcher.close()


# Order


@virtual_time
async def test_plain_handlers_run_at_once_in_the_order_of_registration() -> None:
    async with Tower().open() as bell:
        heard: list[object] = []
        bell.on("ring", lambda n: heard.append(("first", n)))
        bell.on("ring", lambda n: heard.append(("second", n)))
        bell._emit("ring", 1)
        assert heard == [("first", 1), ("second", 1)]


@virtual_time
async def test_plain_and_coroutine_handlers_start_in_the_order_of_the_events() -> None:
    async with Tower().open() as bell:
        heard: list[str] = []

        async def coroutine(event: str) -> None:
            heard.append(f"coroutine {event}")
            await asyncio.sleep(1)

        bell.on("ring", lambda event: heard.append(f"plain {event}"))
        bell.on("ring", coroutine)
        bell.on("fall", lambda event: heard.append(f"plain {event}"))
        for number in range(3):
            bell._emit("ring", f"ring {number}")
            bell._emit("fall", f"fall {number}")
        await settle()
        expected = [
            f"{kind} {number}"
            for number in range(3)
            for kind in ("plain ring", "coroutine ring", "plain fall")
        ]
        assert heard == expected


@virtual_time
async def test_the_handler_of_an_event_may_register_those_of_the_next_one() -> None:
    tower = Tower()
    child = Bell(tower.dispatcher)
    async with tower.open() as bell:
        heard: list[str] = []

        async def first(_: int) -> None:
            child.on("ring", heard.append)
            child.on("fall", heard.append)

        bell.on("ring", first)
        bell._emit("ring", 1)
        child._emit("ring", "ring")
        child._emit("fall", "fall")
        assert heard == []
        await settle()
        assert heard == ["ring", "fall"]


@virtual_time
async def test_what_a_plain_handler_sets_off_comes_after_the_event_that_it_handles() -> None:
    tower = Tower()
    child = Bell(tower.dispatcher)
    async with tower.open() as bell:
        heard: list[str] = []

        def first(event: str) -> None:
            heard.append(f"first {event}")
            if event == "ring":
                child._emit("ring", "child")
                bell._emit("fall", "fall")
                assert heard == ["first ring"]

        bell.on("ring", first)
        bell.on("ring", lambda event: heard.append(f"second {event}"))
        bell.on("fall", heard.append)
        child.on("ring", heard.append)
        bell._emit("ring", "ring")
        assert heard == ["first ring", "second ring", "child", "fall"]
        bell._emit("ring", "again")
        assert heard[4:] == ["first again", "second again"]


@virtual_time
async def test_emissions_wait_for_the_coroutines_of_each_one_before_them() -> None:
    async with Tower().open() as bell:
        heard: list[str] = []

        async def coroutine(event: str) -> None:
            heard.append(f"coroutine {event}")

        bell.on("ring", coroutine)
        bell.on("fall", lambda event: heard.append(f"plain {event}"))
        for event in ("one", "two", "three"):
            bell._emit("ring", event)
        bell._emit("fall", "four")
        await settle()
        assert heard == ["coroutine one", "coroutine two", "coroutine three", "plain four"]


@virtual_time
async def test_order_holds_across_the_objects_of_one_worker() -> None:
    tower = Tower()
    other = Bell(tower.dispatcher)
    async with tower.open() as bell:
        heard: list[str] = []

        async def slow(event: str) -> None:
            heard.append(event)

        bell.on("ring", slow)
        other.on("ring", heard.append)
        bell._emit("ring", "first")
        other._emit("ring", "second")
        await settle()
        other._emit("ring", "third")
        assert heard == ["first", "second", "third"]


@virtual_time
async def test_a_coroutine_handler_may_wait_for_a_later_event() -> None:
    async with Tower().open() as bell:
        heard: list[object] = []

        async def waits(_: int) -> None:
            heard.append(await bell.wait_for("fall"))

        bell.on("ring", waits)
        bell._emit("ring", 1)
        await settle()
        bell._emit("fall", "it fell")
        await settle()
        assert heard == ["it fell"]


@virtual_time
async def test_a_handler_that_emits_hears_its_own_event_last() -> None:
    async with Tower().open() as bell:
        heard: list[str] = []

        async def again(event: str) -> None:
            heard.append(event)
            if event == "one":
                bell._emit("ring", "two")
                heard.append("emitted")

        bell.on("ring", again)
        bell._emit("ring", "one")
        await settle()
        assert heard == ["one", "emitted", "two"]


# Failures


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@virtual_time
async def test_a_failing_handler_becomes_an_error_with_its_context_and_harms_no_other(kind: str) -> None:
    tower = Tower()
    async with tower.open() as bell:
        heard: list[int] = []
        boom = ZeroDivisionError("boom")

        def plain(_: int) -> None:
            raise boom

        async def coroutine(_: int) -> None:
            raise boom

        handler: Any = plain if kind == "plain" else coroutine
        bell.on("ring", handler)
        bell.on("ring", heard.append)
        bell._emit("ring", 7)
        await settle()
        bell._emit("ring", 8)
        await settle()
        assert heard == [7, 8]
        error = tower.errors[0]
        assert (error.event, error.handler, error.source, error.__cause__) == ("ring", handler, bell, boom)
        assert kind in str(error)
        assert len(tower.errors) == 2


@virtual_time
async def test_an_error_handler_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    worker = virtual_worker(peer)

    @worker.on("error")
    async def fails(_: Exception) -> None:
        raise ZeroDivisionError("in the error handler")

    @worker.on("reservationCreated")
    def fails_too(_: Reservation) -> None:
        raise KeyError("in the handler")

    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
        assert list(worker.reservations) == [ONE]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "'error'" in record.getMessage()
    assert "in the error handler" in caplog.text  # its traceback


@virtual_time
async def test_an_error_that_nobody_listens_to_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    worker.on("reservationCreated", lambda _: 1 / 0)
    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
    assert "'reservationCreated'" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@virtual_time
async def test_failing_handlers_of_a_worker_are_told_as_error_and_the_session_goes_on() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    errors: list[Any] = []
    worker.on("error", errors.append)
    worker.on("ready", lambda _: 1 / 0)
    worker.on("reservationCreated", lambda _: 1 / 0)
    async with worker:
        peer.push(peer.world.create_reservation())
        await settle()
        assert [(error.event, error.source) for error in errors] == [
            ("ready", worker),
            ("reservationCreated", worker),
        ]
        await worker.reservations[ONE].accept()


@virtual_time
async def test_a_slow_plain_handler_is_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with Tower().open() as bell:

        def sluggish(_: int) -> None:
            time.sleep(0.12)

        bell.on("ring", sluggish)
        bell.on("fall", lambda _: None)
        bell._emit("ring", 1)
        bell._emit("fall", 1)
        [record] = caplog.records
        assert record.levelno == logging.WARNING
        assert "sluggish" in record.getMessage()


@virtual_time
async def test_a_coroutine_handler_after_the_end_is_not_started_and_said_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bell = Tower().bell
    started: list[int] = []

    async def handler(n: int) -> None:
        started.append(n)

    bell.on("ring", handler)
    bell._emit("ring", 1)
    await settle()
    assert started == []
    assert "not started" in caplog.text


# Registration


@virtual_time
async def test_the_forms_of_registration() -> None:
    async with Tower().open() as bell:
        heard: list[str] = []

        def plain(_: int) -> None:
            heard.append("plain")

        @bell.on("ring")
        def decorated(_: int) -> None:
            heard.append("decorated")

        @bell.once("ring")
        async def decorated_once(_: int) -> None:
            heard.append("once")

        class Method:
            async def __call__(self, _: int) -> None:
                heard.append("callable object")

            def method(self, _: int) -> None:
                heard.append("method")

        async def partly(what: str, _: int) -> None:
            heard.append(what)

        assert bell.on("ring", plain) is plain
        decorated(0)  # it is still the function
        heard.clear()
        bell.on("ring", Method())
        bell.on("ring", Method().method)
        bell.on("ring", functools.partial(partly, "partial"))
        bell._emit("ring", 1)
        await settle()
        assert heard == ["decorated", "plain", "method", "once", "callable object", "partial"]


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@virtual_time
async def test_once_is_once_even_when_the_event_comes_again_at_once(kind: str) -> None:
    async with Tower().open() as bell:
        heard: list[int] = []

        async def coroutine(n: int) -> None:
            heard.append(n)

        bell.once("ring", heard.append if kind == "plain" else coroutine)
        bell._emit("ring", 1)
        bell._emit("ring", 2)
        await settle()
        assert heard == [1]
        assert bell._wrapped == {}


@virtual_time
async def test_a_handler_registered_twice_runs_twice_and_is_removed_one_by_one() -> None:
    async with Tower().open() as bell:
        heard: list[int] = []
        bell.on("ring", heard.append)
        bell.on("ring", heard.append)
        bell._emit("ring", 1)
        assert heard == [1, 1]
        bell.remove_listener("ring", heard.append)
        bell._emit("ring", 2)
        assert heard == [1, 1, 2]
        bell.remove_listener("ring", heard.append)
        bell.remove_listener("ring", heard.append)
        bell._emit("ring", 3)
        assert heard == [1, 1, 2]
        assert bell._wrapped == {}


@virtual_time
async def test_a_once_handler_can_be_removed_before_its_event() -> None:
    async with Tower().open() as bell:
        heard: list[int] = []
        bell.once("ring", heard.append)
        bell.remove_listener("ring", heard.append)
        bell._emit("ring", 1)
        assert heard == []


@virtual_time
async def test_bound_methods_are_recognised_when_they_are_removed() -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard = 0

        def hear(self, _: int) -> None:
            self.heard += 1

    listener = Listener()
    bell = Tower().bell
    bell.on("ring", listener.hear)
    bell.remove_listener("ring", listener.hear)
    bell._emit("ring", 1)
    assert listener.heard == 0


def test_wrong_registrations_are_refused_at_once() -> None:
    bell: Any = Tower().bell
    for register in (bell.on, bell.once):
        with pytest.raises(ValueError, match=r"Bell has no event 'rings'; its events are: fall, ring"):
            register("rings", print)
        with pytest.raises(ValueError, match="rings"):
            register("rings")
        with pytest.raises(TypeError, match="'ring' must be callable, got int"):
            register("ring", 5)
        with pytest.raises(TypeError, match="callable"):
            register("ring")(5)


def test_events_of_an_object_are_those_it_documents() -> None:
    for emitter in (Worker, Reservation):
        for event in emitter.EVENTS:
            assert f"`{event}`" in (emitter.__doc__ or ""), f"{emitter.__name__} does not document {event}"


def test_an_object_without_listeners_costs_no_emitter() -> None:
    bell = Tower().bell
    bell._emit("ring", 1)
    assert bell._emitter is None


# Waiting


@virtual_time
async def test_wait_for_returns_the_argument_of_the_first_of_several_events() -> None:
    async with Tower().open() as bell:
        waiting = asyncio.create_task(bell.wait_for("fall", "ring"))
        await settle()
        bell._emit("ring", "it rang")
        bell._emit("fall", "too late")
        assert await waiting == "it rang"
        assert bell._wrapped == {}


@virtual_time
async def test_wait_for_times_out_and_leaves_no_listener() -> None:
    bell = Tower().bell
    with pytest.raises(TimeoutError):
        await bell.wait_for("ring", timeout=3)
    assert bell._wrapped == {}


@virtual_time
async def test_wait_for_refuses_unknown_events_and_leaves_no_listener() -> None:
    bell: Any = Tower().bell
    with pytest.raises(ValueError, match="rings"):
        await bell.wait_for("ring", "rings")
    with pytest.raises(ValueError, match="at least one"):
        await bell.wait_for()
    assert bell._wrapped == {}


# Origins


@virtual_time
async def test_a_coroutine_handler_reads_the_origin_of_its_own_event() -> None:
    peer = Peer()
    peer.world.create_reservation()
    release = peer.hold("GET .*/Reservations$")
    worker = virtual_worker(peer)
    origins: list[str] = []

    @worker.on("reservationCreated")
    async def created(reservation: Reservation) -> None:
        origins.append(f"created {reservation.origin} {worker.origin}")

        @reservation.on("accepted")
        async def accepted(same: Reservation) -> None:
            origins.append(f"accepted {same.origin}")

    entering = asyncio.create_task(worker.__aenter__())
    await settle()
    peer.push(peer.world.set_attributes({"later": True}))
    release.set()
    await entering
    await settle()
    assert origins == ["created snapshot snapshot"]
    peer.push(peer.world.accept(ONE))
    await settle()
    assert origins[1:] == ["accepted event"]
    assert worker.reservations[ONE].origin == "event"
    await worker.disconnect()


@virtual_time
async def test_the_origin_stays_the_handlers_own_while_later_events_come() -> None:
    async with Tower().open() as bell:
        origins: list[str] = []

        async def coroutine(_: int) -> None:
            await asyncio.sleep(1)
            origins.append(bell.origin)

        bell.on("ring", coroutine)
        bell._emit("ring", 1, origin="snapshot")
        bell._emit("ring", 2, origin="resync")
        bell._emit("fall", 3)
        await passes(2)
        assert origins == ["snapshot", "resync"]
        assert bell.origin == "event"


@virtual_time
async def test_plain_handlers_read_the_origin_of_their_own_event_even_when_they_had_to_queue() -> None:
    async with Tower().open() as bell:
        origins: list[str] = []

        async def coroutine(_: int) -> None:
            origins.append(f"coroutine {bell.origin}")

        bell.on("ring", coroutine)
        bell.on("ring", lambda _: origins.append(f"plain {bell.origin}"))
        bell._emit("ring", 1, origin="snapshot")
        bell._emit("ring", 2)
        await settle()
        assert origins == ["plain snapshot", "coroutine snapshot", "plain event", "coroutine event"]


# Streams


@virtual_time
async def test_a_stream_gives_the_events_in_order_and_ends_with_the_worker() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    seen: list[str] = []

    async def read() -> None:
        async with worker.stream("reservationCreated") as reservations:
            async for reservation in reservations:
                seen.append(reservation.sid)
                await asyncio.sleep(1)

    reading = asyncio.create_task(read())
    async with worker:
        for _ in range(3):
            peer.push(peer.world.create_reservation())
        await settle()
    await reading
    assert seen == [sid("WR", number) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [("raise", [1, 2], 1), ("drop_oldest", [2, 3], 1), ("drop_newest", [1, 2], 1)],
)
@virtual_time
async def test_what_a_full_stream_does_is_its_rule(rule: str, kept: list[int], dropped: int) -> None:
    tower = Tower()
    bell: Any = tower.bell
    stream = bell.stream("ring", max_buffer=2, overflow=rule)
    for number in (1, 2, 3):
        bell._emit("ring", number)
    tower.dispatcher.close()
    assert [await anext(stream), await anext(stream)] == kept
    with pytest.raises(StreamOverflowError if rule == "raise" else StopAsyncIteration):
        await anext(stream)
    assert stream.dropped == dropped


@virtual_time
async def test_who_waits_for_an_end_that_was_told_has_it_at_once() -> None:
    peer = Peer()
    async with virtual_worker(peer) as worker:
        peer.push(peer.world.create_reservation())
        reservation = await worker.wait_for("reservationCreated")
        peer.push(peer.world.end(ONE, "timeout"))
        await settle()
        assert await reservation.wait_for("ended") is reservation
        assert await reservation.wait_for("accepted", "timeout") is reservation
        with pytest.raises(EventImpossibleError, match=r"'accepted' or 'wrapup' can never come: .* timeout"):
            await reservation.wait_for("accepted", "wrapup")
        async with asyncio.timeout(1), reservation.stream("ended") as stream:
            assert [found async for found in stream] == []


@virtual_time
async def test_who_waits_for_what_an_end_makes_impossible_is_told_with_the_end() -> None:
    peer = Peer()
    async with virtual_worker(peer) as worker:
        peer.push(peer.world.create_reservation())
        reservation = await worker.wait_for("reservationCreated")
        waiting = asyncio.create_task(reservation.wait_for("accepted"))
        ended = asyncio.create_task(reservation.wait_for("accepted", "ended"))
        stream, ends = reservation.stream("accepted"), reservation.stream("ended")
        await settle()
        peer.push(peer.world.end(ONE, "timeout"))
        assert await ended is reservation
        with pytest.raises(EventImpossibleError, match="'accepted' can never come"):
            await waiting
        async with asyncio.timeout(1):
            assert [found async for found in stream] == []
            assert [found async for found in ends] == [reservation]


@virtual_time
async def test_one_that_is_told_as_missed_has_ended() -> None:
    peer = Peer()
    async with virtual_worker(peer) as worker:
        peer.world.create_reservation()
        peer.push(peer.world.end(ONE, "timeout"))
        reservation = await worker.wait_for("reservationMissed")
        assert await reservation.wait_for("ended") is reservation


@virtual_time
async def test_a_transfer_that_has_ended_keeps_nobody_waiting() -> None:
    peer = Peer()
    async with virtual_worker(peer) as worker:
        peer.push(peer.world.create_reservation())
        reservation = await worker.wait_for("reservationCreated")
        peer.push(peer.world.accept(ONE))
        peer.push(peer.world.start_transfer(ONE))
        transfer = await reservation.task.wait_for("transferInitiated")
        peer.push(peer.world.end_transfer(ONE, "failed"))
        await settle()
        assert await transfer.wait_for("failed") is transfer
        with pytest.raises(EventImpossibleError, match="'completed' can never come"):
            await transfer.wait_for("completed")


@virtual_time
async def test_a_stream_that_nobody_holds_stops_listening() -> None:
    bell = Tower().bell
    stream = bell.stream("ring")
    assert bell._has_listeners("ring")
    del stream
    gc.collect()
    assert not bell._has_listeners("ring")


@virtual_time
async def test_two_tasks_cannot_iterate_over_one_stream() -> None:
    bell = Tower().bell
    stream = bell.stream("ring")
    first = asyncio.create_task(anext(stream))
    await settle()
    with pytest.raises(RuntimeError, match="two tasks"):
        await anext(stream)
    bell._emit("ring", 1)
    assert await first == 1
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_wrong_streams_are_refused_at_once() -> None:
    bell: Any = Tower().bell
    with pytest.raises(ValueError, match="rings"):
        bell.stream("rings")
    with pytest.raises(ValueError, match="drop_all"):
        bell.stream("ring", overflow="drop_all")
    with pytest.raises(ValueError, match="max_buffer"):
        bell.stream("ring", max_buffer=0)
    with pytest.raises(TypeError, match="max_buffer"):
        bell.stream("ring", max_buffer="many")
    assert not bell._has_listeners("ring")


@virtual_time
async def test_time_in_these_tests_is_virtual() -> None:
    began = time.monotonic()
    await passes(10_000)
    assert time.monotonic() - began < 5


@virtual_time
async def test_an_error_whose_handler_was_taken_back_before_its_turn_is_logged_and_holds_nothing_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    heard: list[str] = []

    def told(_: object) -> None:
        raise AssertionError("it was taken back")

    async def first(_: Reservation) -> None:
        worker.remove_listener("error", told)

    def second(_: Reservation) -> None:
        raise ValueError("broken")

    worker.on("error", told)
    worker.on("reservationCreated", first)
    worker.on("reservationCreated", second)
    worker.on("activityUpdated", lambda _: heard.append("activityUpdated"))
    async with worker:
        with caplog.at_level(logging.ERROR, "taskrouter_worker"):
            peer.push(peer.world.create_reservation())
            peer.push(peer.world.set_activity(BREAK))
            await settle()
    assert heard == ["activityUpdated"]
    assert "raised ValueError" in caplog.text
