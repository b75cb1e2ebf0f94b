"""What OpenTelemetry is told, and that nothing of it is loaded or paid for without it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from server_stub import StubServer
from taskrouter_worker import NetworkError, NotFoundError, Reservation, Worker, WorkerPool
from taskrouter_worker.telemetry import Telemetry
from tests.sdk.office import Office
from tests.sdk.peer import Peer, virtual_worker
from tests.sdk.virtual import passes, settle, virtual_time
from tests.sdk.world import sid
from tests.support import access_token

ONE = sid("WR", 1)


class Lab:
    """In-memory exporters, and the telemetry that fills them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._tracers = TracerProvider()
        self._tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader])
        self.tracer = self._tracers.get_tracer("tests")
        self.telemetry = Telemetry(tracer_provider=self._tracers, meter_provider=self._meters)

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """The finished spans of that name, or all."""
        return [span for span in self._exporter.get_finished_spans() if name is None or span.name == name]

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def counts(self, name: str, label: str) -> dict[str, Any]:
        """A counter or gauge by one attribute, zeros left out."""
        return {point.attributes[label]: point.value for point in self.points(name) if point.value}

    def shut_down(self) -> None:
        self._tracers.shutdown()
        self._meters.shutdown()


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.shut_down()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_reservations_span_lasts_from_its_creation_to_its_end(lab: Lab) -> None:
    @virtual_time
    async def scene() -> None:
        peer = Peer()
        peer.world.create_reservation()
        async with virtual_worker(peer, telemetry=lab.telemetry) as worker:
            await settle()
            reservation = worker.reservations[ONE]
            await reservation.accept()
            await settle()
            assert lab.spans("reservation") == []
            await reservation.wrap()
            await reservation.complete()
            await settle()

    scene()
    [span] = lab.spans("reservation")
    assert [event.name for event in span.events] == ["accepted", "wrapup"]
    shown = attributes(span)
    assert shown["taskrouter.reservation.sid"] == ONE
    assert shown["taskrouter.task.sid"] == sid("WT", 1)
    assert shown["taskrouter.outcome"] == "completed"
    assert shown["taskrouter.origin"] == "snapshot"
    assert shown["taskrouter.task_queue"] == "English"
    assert lab.counts("taskrouter.reservations", "taskrouter.outcome") == {"completed": 1}


def test_an_end_that_nobody_knows_is_an_error_of_the_span(lab: Lab) -> None:
    @virtual_time
    async def scene() -> None:
        peer = Peer()
        peer.world.create_reservation()
        async with virtual_worker(peer, telemetry=lab.telemetry) as worker:
            await settle()
            peer.world.end(ONE, "canceled")
            peer.world.purge(ONE)
            peer.close()
            await worker.wait_for("ready", timeout=60)
            await settle()

    scene()
    [span] = lab.spans("reservation")
    assert attributes(span)["taskrouter.outcome"] == "unknown"
    assert span.status.status_code is StatusCode.ERROR
    [reconnects] = lab.points("taskrouter.session.reconnects")
    assert reconnects.value == 1
    assert lab.counts("taskrouter.session.disconnects", "taskrouter.cause") == {
        "connection_lost": 1,
        "client": 1,
    }


def test_a_worker_that_closes_ends_the_spans_it_leaves_open(lab: Lab) -> None:
    @virtual_time
    async def scene() -> None:
        peer = Peer()
        peer.world.create_reservation()
        async with virtual_worker(peer, telemetry=lab.telemetry):
            await settle()

    scene()
    [span] = lab.spans("reservation")
    assert attributes(span)["taskrouter.outcome"] == "left"


def test_commands_belong_to_their_reservation_or_to_the_callers_span(lab: Lab) -> None:
    @virtual_time
    async def scene() -> None:
        peer = Peer()
        peer.world.create_reservation()
        async with virtual_worker(peer, telemetry=lab.telemetry) as worker:
            await settle()
            reservation = worker.reservations[ONE]
            await reservation.accept()
            with lab.tracer.start_as_current_span("mine"):
                await reservation.complete()
            await settle()

    scene()
    [accept] = lab.spans("POST Workers/Reservations accepted")
    [complete] = lab.spans("POST Workers/Reservations completed")
    [reservation] = lab.spans("reservation")
    [mine] = lab.spans("mine")
    assert [accept.parent, complete.parent] == [reservation.get_span_context(), mine.get_span_context()]
    assert attributes(accept)["taskrouter.reservation.sid"] == ONE
    assert attributes(accept)["taskrouter.command"] == "accepted"
    names = {span.name for span in lab.spans()}
    assert {
        "GET Workers",
        "GET Activities",
        "GET Workers/Reservations",
        "GET Workers/WorkerChannels",
    } <= names


def test_a_failed_command_says_how(lab: Lab) -> None:
    @virtual_time
    async def scene() -> None:
        peer = Peer()
        peer.world.create_reservation()
        async with virtual_worker(peer, telemetry=lab.telemetry) as worker:
            await settle()
            peer.fail("POST", NotFoundError("gone", method="POST", path="somewhere", status=404))
            with pytest.raises(NotFoundError):
                await worker.reservations[ONE].accept()
            peer.fail("POST", NetworkError("broke", method="POST", path="somewhere"))
            with pytest.raises(NetworkError):
                await worker.reservations[ONE].accept()

    scene()
    refused, broken = lab.spans("POST Workers/Reservations accepted")
    assert refused.status.status_code is StatusCode.ERROR
    assert attributes(refused)["error.type"] == "NotFoundError"
    assert attributes(refused)["http.response.status_code"] == 404
    assert "http.response.status_code" not in attributes(broken)
    failed = [p for p in lab.points("taskrouter.command.duration") if "error.type" in p.attributes]
    assert {p.attributes["error.type"] for p in failed} == {"NotFoundError", "NetworkError"}
    assert all("taskrouter.reservation.sid" not in p.attributes for p in failed)


def test_handlers_are_timed_and_the_packages_own_are_not(lab: Lab) -> None:
    @virtual_time
    async def scene() -> None:
        peer = Peer()
        worker = virtual_worker(peer, telemetry=lab.telemetry)

        @worker.on("reservationCreated")
        async def slow(reservation: Reservation) -> None:
            reservation.on("ended", plain)
            await reservation.accept()

        def plain(_: Reservation) -> None:
            raise ZeroDivisionError

        async with worker:
            waiting = asyncio.create_task(worker.wait_for("reservationCreated"))
            stream = worker.stream("reservationCreated")
            await settle()
            peer.push(peer.world.create_reservation())
            await passes(1)
            peer.push(peer.world.complete(ONE))
            await settle()
            await waiting
            await stream.aclose()

    scene()
    points = {p.attributes["taskrouter.event"]: p for p in lab.points("taskrouter.handler.duration")}
    assert set(points) == {"reservationCreated", "ended"}
    assert points["reservationCreated"].count == 1
    assert points["reservationCreated"].attributes["code.function.name"].endswith("slow")
    assert not points["reservationCreated"].attributes["taskrouter.failed"]
    assert points["ended"].attributes["taskrouter.failed"]
    lags = {p.attributes["taskrouter.event"]: p for p in lab.points("taskrouter.handler.lag")}
    assert lags["ended"].min >= 0


async def test_workers_are_counted_by_state(lab: Lab, server: StubServer) -> None:
    office = Office(server)
    states = "taskrouter.workers", "taskrouter.state"
    pool = WorkerPool(start_jitter=0, **office.options(telemetry=lab.telemetry))
    for number in range(3):
        pool.add(access_token(server, office.hire(f"bot {number}")))
    assert lab.counts(*states) == {"new": 3}
    async with pool:
        await pool.wait_ready()
        assert lab.counts(*states) == {"ready": 3}
    assert lab.counts(*states) == {}
    Worker("token", telemetry=lab.telemetry)
    assert len(lab.telemetry._workers) == 1


async def test_nothing_secret_and_nothing_of_customers_is_told(lab: Lab, server: StubServer) -> None:
    office = Office(server)
    worker = office.worker(office.hire(contact_uri="client:nina-secret"), telemetry=lab.telemetry)
    token = worker._tokens.token.reveal()
    done = asyncio.Event()

    @worker.on("reservationCreated")
    async def work(reservation: Reservation) -> None:
        await reservation.accept()
        await reservation.task.set_attributes({"card": "4111-secret"})
        await reservation.task.complete("customer-secret")
        done.set()

    async with worker:
        office.task(card="4111-secret")
        async with asyncio.timeout(30):
            await done.wait()
    told = "".join(span.to_json() for span in lab.spans())
    assert "reservation" in told
    for secret in ("4111-secret", "client:nina-secret", "customer-secret", token, token.split(".")[1]):
        assert secret not in told


def test_nothing_of_opentelemetry_is_loaded_by_the_package() -> None:
    program = (
        "import sys; from taskrouter_worker import *; import taskrouter_worker.sync, taskrouter_worker.pool;"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_without_the_extra_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "try: import taskrouter_worker.telemetry\n"
        "except ImportError as error: assert 'taskrouter-worker[otel]' in str(error), error\n"
        "else: raise SystemExit('it was imported')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
