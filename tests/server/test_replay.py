"""A client that only reads its frames knows what a fresh snapshot would show.

Random commands run in the domain. Each worker has a client: the SDK's own model, fed with its first
snapshot and from then on with nothing but the frames that the server would push to it.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant

from server_stub import views
from server_stub.domain.events import Event
from server_stub.domain.model import Reservation, Worker
from taskrouter_worker._commands import Commands as SdkCommands
from taskrouter_worker._commands import Sender
from taskrouter_worker._context import Context
from taskrouter_worker._emitter import Dispatcher
from taskrouter_worker._state import Model, Snapshot
from taskrouter_worker._token_keeper import TokenKeeper
from taskrouter_worker.clock import ManualClock
from taskrouter_worker.events import decode
from taskrouter_worker.resources import ReservationFields, TaskFields, WorkerFields
from tests.budget import examples, steps
from tests.domain.test_invariants import Commands, NaiveDesk

T = TypeVar("T")


class FollowedDesk(NaiveDesk):
    """A desk at which a client of each worker listens."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.clients: dict[str, Model] = {}

    def take(self, events: list[Event]) -> None:
        super().take(events)
        for event in events:
            if not event.type.is_pushed:
                continue
            frame = views.event_frame(self.ws, event, self.time)
            decoded = decode(frame.data)
            assert decoded is not None
            if isinstance(event.resource, Reservation):  # its state at that moment, not that of a later one
                assert isinstance(decoded.payload, ReservationFields)
                assert decoded.payload.reservation_status == event.resource.status
                assert decoded.payload.version == event.resource.version
            for worker_sid in event.worker_sids:
                client = self.clients.get(worker_sid)
                if client is not None:
                    client.apply(decoded)
        for worker in self.ws.workers.values():
            if worker.sid not in self.clients:
                self.clients[worker.sid] = self._log_in(worker)

    def _log_in(self, worker: Worker) -> Model:
        tokens = TokenKeeper(None, None, ManualClock())
        commands = SdkCommands(cast("Sender", None), tokens)  # it only listens
        context = Context(commands=commands, dispatcher=Dispatcher(lambda _: None))
        context.identify(self.ws.sid, worker.sid)
        model = Model(context, lambda: 0.0)
        now = self.time
        model.reconcile(
            Snapshot(
                worker=_as_sent(views.worker_fields(self.ws, worker), WorkerFields),
                activities=[views.activity_fields(self.ws, a) for a in self.ws.activities.values()],
                channels=[views.channel_fields(self.ws, c) for c in worker.channels.values()],
                reservations=[
                    _as_sent(views.reservation_fields(self.ws, r, now), ReservationFields)
                    for r in worker.live_reservations
                ],
            ),
            first=True,
        )
        return model


def _as_sent(fields: msgspec.Struct, kind: type[T]) -> T:
    return msgspec.json.decode(msgspec.json.encode(fields), type=kind)


def _shown(task: TaskFields) -> TaskFields:
    """Without what passes by itself, and without what only nested or only single tasks show."""
    return msgspec.structs.replace(
        task, age=0, counter=msgspec.UNSET, account_sid=msgspec.UNSET, workspace_sid=msgspec.UNSET
    )


class Clients(Commands):
    desk_class = FollowedDesk

    @invariant()
    def every_client_knows_what_a_fresh_snapshot_would_show(self) -> None:
        desk = cast("FollowedDesk", self.desk)
        ws, now = desk.ws, desk.time
        for worker in ws.workers.values():
            client = desk.clients[worker.sid]
            assert client.worker is not None
            fresh = _as_sent(views.worker_fields(ws, worker), WorkerFields)
            # The version alone may be ahead of the last event: the client counts what the events do not tell.
            assert msgspec.structs.replace(
                client.worker, version=0, date_updated=0
            ) == msgspec.structs.replace(fresh, version=0, date_updated=0)
            assert client.version == fresh.version
            held = {sid: r._fields for sid, r in client.reservations.items()}
            shown = {
                r.sid: _as_sent(views.reservation_fields(ws, r, now), ReservationFields)
                for r in worker.live_reservations
            }
            assert held.keys() == shown.keys()
            for sid, reservation in shown.items():
                mine = held[sid]
                assert (mine.reservation_status, mine.version, mine.reservation_timeout) == (
                    reservation.reservation_status,
                    reservation.version,
                    reservation.reservation_timeout,
                )
                assert _shown(client.reservations[sid].task._fields) == _shown(reservation.task)


Clients.TestCase.settings = settings(
    max_examples=examples(30),
    stateful_step_count=steps(30),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestClients = Clients.TestCase
