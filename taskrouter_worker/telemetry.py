"""Spans and metrics for OpenTelemetry: ``pip install 'taskrouter-worker[otel]'``.

Nothing else in this package imports OpenTelemetry; a worker without a `Telemetry` pays one test for None
per command and handler.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ._disconnect import Disconnect
from ._emitter import pushed
from ._requests import Request
from ._session import SessionState
from .errors import RequestError
from .reservation import Reservation
from .terms import SidPrefix, is_sid

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ImportError as missing:  # pragma: no cover - tested in a process of its own
    raise ImportError(
        "taskrouter_worker.telemetry needs OpenTelemetry: pip install 'taskrouter-worker[otel]'"
    ) from missing

if TYPE_CHECKING:
    from .worker import Worker

__all__ = ["Telemetry"]

_PACKAGE: Final = "taskrouter_worker"

_SPOKEN: Final = ("ReservationStatus", "AssignmentStatus", "Instruction", "TransferStatus")
"""Parameters whose value is the command itself."""


class Telemetry:
    """What workers tell OpenTelemetry. One serves any number of workers: ``Worker(token, telemetry=...)``.

    Spans:

    * one for each request, such as ``POST Workers/Reservations accepted``, its repetitions included. It
      belongs to the caller's current span, or else to its reservation's;
    * ``reservation``, from the moment the application is told of it to its end, with the events
      ``accepted`` and ``wrapup`` and its outcome. A worker that closes ends those it leaves open.

    Metrics:

    * ``taskrouter.workers``: workers by session state;
    * ``taskrouter.session.disconnects`` by cause, ``taskrouter.session.reconnects``;
    * ``taskrouter.reservations`` by outcome;
    * ``taskrouter.command.duration``, ``taskrouter.handler.duration``: seconds;
    * ``taskrouter.handler.lag``: seconds from the change that an event tells of, by the date of its
      object, to the beginning of the handler. The dates are whole seconds of the service's clock: read
      it as a trend.

    Neither holds a token, an attribute of a task or worker, or a contact's address.

    Args:
        tracer_provider: makes the spans; None for the global one.
        meter_provider: makes the metrics; None for the global one.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_PACKAGE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_PACKAGE, meter_provider=meter_provider)
        self._workers: list[Worker] = []
        meter.create_observable_gauge(
            "taskrouter.workers",
            callbacks=[self._count_states],
            unit="{worker}",
            description="Workers by the state of their session",
        )
        self._disconnects = meter.create_counter(
            "taskrouter.session.disconnects", unit="{disconnect}", description="Ends of websockets by cause"
        )
        self._reconnects = meter.create_counter(
            "taskrouter.session.reconnects", unit="{session}", description="Sessions that are ready again"
        )
        self._reservations = meter.create_counter(
            "taskrouter.reservations", unit="{reservation}", description="Ended reservations by outcome"
        )
        self._commands = meter.create_histogram(
            "taskrouter.command.duration", unit="s", description="Requests, with their repetitions"
        )
        self._handlers = meter.create_histogram(
            "taskrouter.handler.duration", unit="s", description="The application's handlers"
        )
        self._lag = meter.create_histogram(
            "taskrouter.handler.lag", unit="s", description="From the change to the beginning of its handler"
        )

    def watch(self, worker: Worker) -> None:
        """Tell of this worker from now on; the option `telemetry` of `Worker` calls it."""
        self._workers = [known for known in self._workers if known.state is not SessionState.CLOSED]
        self._workers.append(worker)
        observer = _Observer(self, worker)
        worker._commands.observer = observer
        worker._dispatcher.observer = observer
        worker.on("ready", observer.ready)
        worker.on("disconnected", observer.disconnected)
        worker.on("reservationCreated", observer.created)

    def _count_states(self, _: CallbackOptions) -> Iterable[Observation]:
        states = Counter(worker.state for worker in self._workers)
        for state in SessionState:
            if state is not SessionState.CLOSED:
                yield Observation(states[state], {"taskrouter.state": state.value})


class _Observer:
    """What one worker's machinery tells."""

    def __init__(self, telemetry: Telemetry, worker: Worker) -> None:
        self._telemetry = telemetry
        self._worker = worker
        self._was_ready = False
        self._spans: dict[str, Span] = {}  # of live reservations, by SID

    # From the commands

    @contextmanager
    def command(self, request: Request) -> Generator[None]:
        """Around one request."""
        name, attributes, reservation_sid = _described(request)
        context = None
        parent = self._spans.get(reservation_sid or "")
        if parent is not None and not trace.get_current_span().get_span_context().is_valid:
            context = trace.set_span_in_context(parent)
        labels = dict(attributes)
        began = time.perf_counter()
        if reservation_sid is not None:
            attributes["taskrouter.reservation.sid"] = reservation_sid
        attributes["taskrouter.worker.sid"] = self._worker.sid
        with self._telemetry._tracer.start_as_current_span(
            name, context=context, kind=SpanKind.CLIENT, attributes=attributes
        ) as span:
            try:
                yield
            except BaseException as error:
                labels["error.type"] = type(error).__name__
                span.set_attribute("error.type", labels["error.type"])
                if isinstance(error, RequestError) and error.status is not None:
                    span.set_attribute("http.response.status_code", error.status)
                raise
            finally:
                self._telemetry._commands.record(time.perf_counter() - began, labels)

    # From the dispatcher

    def handled(self, event: str, handler: object, seconds: float, *, failed: bool) -> None:
        """A handler has finished."""
        while isinstance(handler, functools.partial):
            handler = handler.func
        # None for those of C, such as `errors.append`.
        if (getattr(handler, "__module__", None) or "").startswith(f"{_PACKAGE}."):
            return  # the package's own: waits, streams, and this class
        labels = {
            "taskrouter.event": event,
            "code.function.name": getattr(handler, "__qualname__", type(handler).__name__),
        }
        changed = _changed(event)
        if changed is not None:
            lag = max(0.0, time.time() - seconds - changed.timestamp())
            self._telemetry._lag.record(lag, labels)
        self._telemetry._handlers.record(seconds, {**labels, "taskrouter.failed": failed})

    def closed(self) -> None:
        """The worker has ended for good."""
        for span in self._spans.values():
            span.set_attribute("taskrouter.outcome", "left")
            span.end()
        self._spans.clear()

    # From the worker

    def ready(self, _: Worker) -> None:
        """Handler."""
        if self._was_ready:
            self._telemetry._reconnects.add(1)
        self._was_ready = True

    def disconnected(self, disconnect: Disconnect) -> None:
        """Handler."""
        self._telemetry._disconnects.add(1, {"taskrouter.cause": disconnect.cause.value})

    def created(self, reservation: Reservation) -> None:
        """Handler."""
        task = reservation.task
        span = self._telemetry._tracer.start_span(
            "reservation",
            kind=SpanKind.CONSUMER,
            attributes={
                "taskrouter.reservation.sid": reservation.sid,
                "taskrouter.task.sid": task.sid,
                "taskrouter.worker.sid": self._worker.sid,
                "taskrouter.task_channel": task.task_channel_unique_name or "",
                "taskrouter.task_queue": task.queue_name or "",
                "taskrouter.origin": reservation.origin,
            },
        )
        self._spans[reservation.sid] = span

        def ended(ended: Reservation) -> None:
            outcome = ended.outcome or "unknown"
            span.set_attribute("taskrouter.outcome", outcome)
            if outcome == "unknown":
                span.set_status(Status(StatusCode.ERROR, "the service no longer knows how it ended"))
            span.end()
            self._spans.pop(ended.sid, None)
            self._telemetry._reservations.add(1, {"taskrouter.outcome": outcome})

        reservation.once("accepted", lambda _: span.add_event("accepted"))
        reservation.once("wrapup", lambda _: span.add_event("wrapup"))
        reservation.once("ended", ended)


def _described(request: Request) -> tuple[str, dict[str, str], str | None]:
    """A request's name and attributes, of which there are few, and the reservation it is about."""
    parts = request.path.split("/")
    kinds = [part for part in parts if not is_sid(part)]
    name = f"{request.method} {'/'.join(kinds[1:] or kinds)}"
    attributes: dict[str, str] = {"http.request.method": request.method}
    said = next((str(request.params[key]) for key in _SPOKEN if key in request.params), None)
    if said is not None:
        name += f" {said}"
        attributes["taskrouter.command"] = said
    attributes["taskrouter.request"] = name
    sid = request.params.get("ReservationSid")
    about = next((part for part in parts if is_sid(part, SidPrefix.RESERVATION)), None)
    return name, attributes, about or (sid if isinstance(sid, str) else None)


def _changed(event: str) -> datetime | None:
    """When what an event is about last changed, by its own account, if the event was pushed."""
    if event in ("ready", "submit"):
        return None
    moment = getattr(pushed(), "date_updated", None)
    return moment if isinstance(moment, datetime) else None
