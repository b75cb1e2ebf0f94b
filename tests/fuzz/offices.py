"""Workspaces in which there is something of everything, for what is stored and for whole requests.

Each is the same each time, down to its SIDs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from server_stub.domain.model import Reservation
from taskrouter_worker.terms import QueueOrder, ReservationStatus, TaskStatus
from tests.domain.desk import WORKSPACE, Desk, pending, rule, target

from .rules import VALUES

__all__ = ["COUNTER", "EXCHANGE", "OFFICES", "archive", "counter", "exchange", "office", "small"]

_URL: Final = "http://a.example/"


def office(sid: str = WORKSPACE) -> Desk:
    """Two queues and a workflow, a task that was accepted and is being transferred, one that is offered."""
    desk = Desk(sid=sid)
    cards, loans = desk.queue("Cards"), desk.queue("Loans", "worker.team == 'loans'")
    flow = desk.workflow(
        rule(target(cards, expression="worker.team == task.topic", timeout=60), target(loans)),
        default=loans,
    )
    nina, omar = desk.worker("nina", team="cards"), desk.worker("omar", team="loans")
    first, second = desk.task(flow, topic="cards"), desk.task(flow, topic="loans")
    desk.answer(pending(first), ReservationStatus.ACCEPTED)
    desk.transfer(pending(first), omar, "COLD")
    del nina, second
    return desk


def small(desk: Desk) -> Desk:
    """With two task channels: each worker has a record for each of them."""
    for name in ("sms", "chat", "video"):
        desk.ws.delete_task_channel(name)
        desk.settle()
    return desk


def exchange(sid: str = WORKSPACE) -> Desk:
    """Calls: a conference with its supervisor, a dequeue, a call, a redirect, and an offer."""
    desk = small(Desk(sid=sid))
    for name in ("ann", "bob"):
        desk.worker(name, capacity=2, contact_uri=f"client:{name}")
    held = [pending(desk.task(**{"from": "+15005550006"})) for _ in range(4)]  # type: ignore[arg-type]
    told = {"StatusCallback": _URL, "StatusCallbackEvent": "answered"}
    _instruct(
        desk,
        held[0],
        "conference",
        **told,
        ConferenceStatusCallback=_URL,
        ConferenceStatusCallbackEvent="leave,end",
        RecordingStatusCallback=_URL,
        Record="true",
    )
    _instruct(desk, held[0], "supervise", Supervisor="client:eve", SupervisorMode="whisper")
    _instruct(desk, held[1], "dequeue", DequeueStatusCallbackUrl=_URL, DequeueStatusCallbackEvent="answered")
    _instruct(desk, held[2], "call", CallFrom="+15005550006", CallUrl=_URL, CallAccept="true")
    _instruct(desk, held[3], "redirect", RedirectCallSid="CA" + "0" * 32, RedirectUrl=_URL)
    desk.ws.update_customer_participant(held[0].task.sid, parameters={"Hold": "true"})
    desk.settle()
    desk.ws.end_call(next(iter(desk.ws.telephony.calls)))
    desk.settle()
    return desk


def _instruct(desk: Desk, reservation: Reservation, word: str, **parameters: str) -> None:
    desk.ws.change_reservation(reservation.sid, instruction=word, parameters=parameters)
    desk.settle()


def counter(sid: str = WORKSPACE) -> Desk:
    """Workers who take one task at a time; queues and targets with every option, tasks that wait."""
    desk = small(Desk(sid=sid, multi_task_enabled=False, prioritize_queue_order=QueueOrder.LIFO))
    cards = desk.queue(
        "Cards",
        "worker.n > 1",
        max_reserved_workers=2,
        task_order=QueueOrder.LIFO,
        reservation_activity=desk.unavailable,
        assignment_activity=desk.unavailable,
    )
    loans = desk.queue("Loans", "'loans' IN worker.teams AND worker.activity_name != 'Offline'")
    flow = desk.workflow(
        rule(
            target(cards, known_worker_sid="task.last", timeout=30),
            target(cards, known_worker_friendly_name="task.wants", priority=3, timeout=30),
            target(cards, expression="worker.n == task.n", skip_if="workers.available == 0"),
            target(
                loans, order_by="worker.n DESC, worker.channel.voice.assigned_tasks", priority=5, timeout=9
            ),
            expression="n > 0 OR last HAS 'W'",
            name="numbers",
        ),
        rule(target(loans, expression="worker.teams HAS task.topic"), expression="topic CONTAINS 'l'"),
        default=cards,
        reservation_timeout=30,
    )
    spare = desk.queue("Spare", "worker.channel.voice.assigned_tasks == 0 AND worker.activity_sid != 'x'")
    desk.queue("Unused", "worker.channel.chat.x == 1 OR worker.channel.sms.available == 1")
    ann = desk.worker("Ann", n=5, teams=["loans", "x"], capacity=2)
    desk.worker("vera", activity=desk.offline, **VALUES)
    desk.worker("bob", n=2, teams=["loans"])
    first = desk.task(flow, n=5, last=ann.sid)
    desk.answer(next(iter(first.live_reservations)), ReservationStatus.ACCEPTED)
    for attributes in ({"n": 2}, {"n": 1, "wants": "ANN"}, {"topic": "loans"}):
        desk.task(flow, **attributes)
    desk.task(routing_target=spare.sid)
    desk.task(flow, priority=9, channel="voice", timeout=60, virtual_start_time=900_000.0)
    desk.wait(31)
    return desk


def archive(sid: str = WORKSPACE) -> Desk:
    """Work that has ended, wraps up, was declined or transferred, or is for one worker, queue or workflow."""
    desk = small(Desk(sid=sid))
    first = desk.queue("First", max_reserved_workers=2)
    second = desk.queue("Second", "worker.friendly_name == 'bob'")
    flow = desk.workflow(rule(target(first, timeout=40), target(second)), default=second)
    ann, bob = desk.worker("ann", capacity=9), desk.worker("bob", capacity=9)
    done = desk.task(flow)
    desk.answer(next(iter(done.live_reservations)), ReservationStatus.ACCEPTED)
    desk.set_status(done, TaskStatus.COMPLETED, "sold")
    for answer in (ReservationStatus.REJECTED, ReservationStatus.WRAPPING):
        held = next(iter(desk.task(flow).live_reservations))
        if answer is not ReservationStatus.REJECTED:
            desk.answer(held, ReservationStatus.ACCEPTED)
        desk.answer(held, answer)
    for routing in (ann.sid, first.sid, flow.sid):
        desk.task(routing_target=routing, task_queue=first if routing == ann.sid else None)
    desk.task(routing_target=bob.sid, ignore_capacity=True, channel="voice")
    for to, mode, is_accepted in ((bob, "WARM", True), (second, "COLD", False)):
        held = next(iter(desk.task(flow, n=1).live_reservations))
        desk.answer(held, ReservationStatus.ACCEPTED)
        if held.worker is to:
            continue
        transfer = desk.transfer(held, to, mode, priority=7, attributes={"n": 2})
        offers = [one for one in held.task.live_reservations if one.transfer is transfer]
        for offer in offers:
            desk.answer(offer, ReservationStatus.ACCEPTED if is_accepted else ReservationStatus.REJECTED)
    desk.wait(45)
    return desk


OFFICES: Final[Mapping[str, Callable[[str], Desk]]] = MappingProxyType(
    {
        WORKSPACE[:-1] + str(number): made
        for number, made in enumerate((office, exchange, counter, archive), start=1)
    }
)
"""By the SID of the workspace."""

COUNTER: Final = next(sid for sid, made in OFFICES.items() if made is counter)
EXCHANGE: Final = next(sid for sid, made in OFFICES.items() if made is exchange)
