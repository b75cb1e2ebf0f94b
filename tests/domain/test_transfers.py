"""Every row of the life of a transfer, with its events in order."""

from __future__ import annotations

import json

import pytest

from server_stub.domain.errors import DomainError, IllegalTransition, InvalidArgument, NotFound
from server_stub.domain.events import Event
from server_stub.domain.model import Limits, Reservation, Task, TaskQueue, Transfer, Worker
from taskrouter_worker.terms import EventType, WorkspaceTemplate
from tests.domain.desk import Desk, pending, rule, snapshot, target

E = EventType


def accepted_by(desk: Desk, name: str, **task: int | str) -> Reservation:
    """The accepted reservation of a new worker for a new task; nobody else was there."""
    desk.worker(name)
    held = pending(desk.task(None, **task))  # type: ignore[arg-type] # names and types are Desk.task's
    desk.answer(held, "accepted")
    desk.commands.clear()
    return held


def offer(transfer: Transfer) -> Reservation:
    """The one pending reservation that the transfer has made."""
    (reservation,) = transfer.task.pending_reservations
    return reservation


def two_queues(desk: Desk, *, reserved: int = 1) -> tuple[TaskQueue, TaskQueue]:
    """A queue for the first line, with a workflow that leads there, and one for the second."""
    first = desk.queue("First line", "line == 1")
    second = desk.queue("Second line", "line == 2", max_reserved_workers=reserved)
    desk.workflow(default=first)
    return first, second


def to_second_line(
    *names: str, reserved: int = 1, limits: Limits | None = None
) -> tuple[Desk, Reservation, TaskQueue]:
    """Nina has accepted a task of the first line; the named workers make up the second."""
    desk = Desk(template=WorkspaceTemplate.NONE, limits=limits)
    _, second = two_queues(desk, reserved=reserved)
    desk.worker("nina", line=1)
    held = pending(desk.task())
    desk.answer(held, "accepted")
    for name in names:
        desk.worker(name, line=2)
    desk.commands.clear()
    return desk, held, second


def told(events: list[Event], worker: Worker) -> list[EventType]:
    return [event.type for event in events if worker.sid in event.worker_sids]


# ---------------------------------------------------------------- start


@pytest.mark.parametrize("mode", [None, "WARM", "COLD"])
def test_a_transfer_to_a_worker_reserves_that_worker_for_the_same_task(mode: str | None) -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    otto = desk.worker("otto")
    desk.commands.clear()
    version = held.task.version

    transfer = desk.transfer(held, otto, mode)

    start, reserve = desk.commands
    assert [e.type for e in start if e.logged] == [E.TASK_TRANSFER_INITIATED]
    assert [e.type for e in reserve if e.logged] == [E.RESERVATION_CREATED]
    assert told(start, held.worker) == [E.TASK_TRANSFER_INITIATED, E.TASK_UPDATED]
    assert told(reserve, held.worker) == [E.TASK_UPDATED]
    assert told(reserve, otto) == [E.RESERVATION_CREATED]
    assert (transfer.status, transfer.type, transfer.mode) == ("initiated", "WORKER", mode or "WARM")
    assert (transfer.to, transfer.initiating_reservation) == (otto.sid, held)
    task = held.task
    assert (task.status, task.transfer, task.version) == ("reserved", transfer, version + 2)
    assert (held.status, held.outgoing_transfer, held.transfer) == ("accepted", transfer, None)
    assert (offer(transfer).transfer, offer(transfer).outgoing_transfer) == (transfer, None)
    assert (offer(transfer).worker, offer(transfer).task) == (otto, task)
    assert desk.ws.transfer(transfer.sid) is transfer


def test_the_answer_to_a_start_shows_no_reservation_yet() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    otto = desk.worker("otto")
    transfer = desk.ws.create_transfer(
        held.worker.sid, reservation_sid=held.sid, task_sid=held.task.sid, to=otto.sid
    )
    assert (held.task.status, held.task.pending_reservations) == ("pending", [])
    desk.settle()
    assert offer(transfer).worker is otto


def test_a_transfer_to_a_queue_moves_the_task_there() -> None:
    desk, held, second = to_second_line("otto")
    first = held.task.queue
    desk.wait(10)
    transfer = desk.transfer(held, second)
    events = desk.events()
    assert [e.type for e in events] == [
        E.TASK_TRANSFER_INITIATED,
        E.TASK_QUEUE_MOVED,
        E.TASK_QUEUE_ENTERED,
        E.RESERVATION_CREATED,
    ]
    assert first is not None
    assert events[1].data["previous_task_queue_sid"] == first.sid
    assert (held.task.queue, held.task.queue_entered_at) == (second, desk.time)
    assert (transfer.type, transfer.initiating_queue) == ("QUEUE", first)
    assert offer(transfer).worker.friendly_name == "otto"


def test_a_queue_without_a_free_worker_keeps_the_task_pending_until_somebody_comes() -> None:
    desk, held, second = to_second_line()
    transfer = desk.transfer(held, second)
    assert (held.task.status, held.status, transfer.status) == ("pending", "accepted", "initiated")
    otto = desk.worker("otto", line=2)
    assert (held.task.status, offer(transfer).worker) == ("reserved", otto)


def test_a_transfer_within_the_queue_goes_to_somebody_else_and_moves_nothing() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina", channel="chat")
    desk.ws.update_worker_channel(held.worker.sid, "chat", capacity=5)
    assert held.task.queue is not None
    entered = held.task.queue_entered_at
    desk.wait(3)
    transfer = desk.transfer(held, held.task.queue)
    assert (held.task.status, held.task.queue_entered_at) == ("pending", entered)  # not nina again
    otto = desk.worker("otto")
    assert offer(transfer).worker is otto
    assert E.TASK_QUEUE_MOVED not in desk.heard()


def test_a_worker_that_leaves_a_task_can_be_asked_to_take_it_back_whatever_waits_before_it() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    nina, otto = desk.worker("nina", capacity=5), desk.worker("otto", capacity=5)
    ninas = desk.queue("Nina's", 'friendly_name == "nina"')
    desk.workflow(default=ninas)
    both: list[Reservation] = []
    for _ in range(2):  # both are at work on both tasks
        held = pending(desk.task())
        desk.answer(held, "accepted")
        desk.answer(offer(desk.transfer(held, otto, "WARM")), "accepted")
        both.append(held)
    for held in both:  # nina's queue has nobody for them: she holds them
        [ottos] = [r for r in held.task.live_reservations if r.worker is otto]
        desk.transfer(ottos, ninas)
        assert held.task.status == "pending"
    desk.answer(both[1], "completed")
    assert [r.worker for r in both[1].task.pending_reservations] == [nina]
    assert both[0].task.status == "pending"


def test_tasks_of_different_queues_wait_for_the_same_worker() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    nina = desk.worker("nina")
    both: list[Reservation] = []
    for queue in two_queues(desk):
        task = desk.task(None, routing_target=nina.sid, task_queue=queue)
        both.append(pending(task))
        desk.answer(both[-1], "accepted")
    otto = desk.worker("otto", capacity=0)
    transfers = [desk.transfer(held, otto) for held in both]
    for freed, transfer in enumerate(transfers, 1):
        desk.ws.update_worker_channel(otto.sid, "default", capacity=freed)
        desk.settle()
        assert offer(transfer).worker is otto


def test_new_attributes_and_priority_are_told_as_an_update() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina", priority=7)
    otto = desk.worker("otto")
    desk.commands.clear()
    desk.transfer(held, otto, priority=0, attributes={"topic": "loans"})
    events = desk.events()
    assert [e.type for e in events] == [E.TASK_TRANSFER_INITIATED, E.TASK_UPDATED, E.RESERVATION_CREATED]
    assert events[1].data["previous_task_priority"] == "7"
    assert (held.task.priority, json.loads(held.task.attributes)) == (0, {"topic": "loans"})
    assert held.task.parsed_attributes == {"topic": "loans"}


def test_a_transferred_task_is_past_its_workflow() -> None:
    """No target's expression, known worker or deadline counts, and an update leads it nowhere else."""
    desk = Desk(template=WorkspaceTemplate.NONE)
    queue, second = desk.queue("First line"), desk.queue("Second line")
    step = target(queue, expression="worker.level == 9", timeout=30)
    flow = desk.workflow(rule(step, target(queue, timeout=30)))
    desk.worker("nina", level=9)
    held = pending(desk.task(flow))
    desk.answer(held, "accepted")
    transfer = desk.transfer(held, second)
    desk.wait(100)  # both steps' deadlines are over
    assert (held.task.status, transfer.status, held.task.queue) == ("pending", "initiated", second)
    desk.ws.update_task(held.task.sid, attributes='{"a": 1}', priority=3)
    desk.settle()
    desk.ws.update_workflow(flow.sid, re_evaluate_tasks=True)
    desk.settle()
    assert (held.task.status, held.task.queue) == ("pending", second)
    desk.worker("otto", level=1)
    assert offer(transfer).worker.friendly_name == "otto"


def test_an_outbound_task_can_be_transferred_although_its_routing_target_is_its_worker() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task(routing_target=nina.sid)
    desk.answer(pending(task), "accepted")
    (held,) = task.live_reservations
    otto = desk.worker("otto", activity=desk.offline)
    transfer = desk.transfer(held, otto)
    desk.wait(4)
    assert (task.status, transfer.status) == ("pending", "initiated")  # otto's activity counts
    desk.move(otto, desk.available)
    assert offer(transfer).worker is otto
    desk.answer(offer(transfer), "rejected")
    assert (task.status, transfer.status) == ("assigned", "failed")


@pytest.mark.parametrize("mode", ["WARM", "COLD"])
def test_a_worker_without_room_is_not_reserved_above_capacity(mode: str) -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    otto = desk.worker("otto")
    busy = desk.task()
    transfer = desk.transfer(held, otto, mode)
    assert held.task.status == "pending"
    desk.set_status(busy, "canceled")
    assert offer(transfer).worker is otto


# ---------------------------------------------------------------- acceptance


def test_a_warm_transfer_leaves_two_workers_on_the_task() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    otto = desk.worker("otto")
    transfer = desk.transfer(held, otto, "WARM")
    taken = offer(transfer)
    desk.commands.clear()
    desk.answer(taken, "accepted")
    (command,) = desk.commands
    assert [e.type for e in command if e.logged] == [E.RESERVATION_ACCEPTED, E.TASK_TRANSFER_COMPLETED]
    assert told(command, otto) == [E.RESERVATION_ACCEPTED]
    assert told(command, held.worker) == [E.TASK_TRANSFER_COMPLETED, E.TASK_UPDATED]
    assert (transfer.status, held.status, taken.status) == ("complete", "accepted", "accepted")
    assert (held.task.status, held.task.transfer, held.outgoing_transfer) == ("assigned", None, None)
    assert taken.transfer is transfer  # whoever was told of it with the reservation is told on


def test_a_cold_transfer_leaves_the_first_worker_to_wrap_up() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    otto = desk.worker("otto")
    transfer = desk.transfer(held, otto, "COLD")
    taken = offer(transfer)
    desk.commands.clear()
    desk.answer(taken, "accepted")
    (command,) = desk.commands
    assert [e.type for e in command] == [
        E.RESERVATION_ACCEPTED,
        E.TASK_TRANSFER_COMPLETED,
        E.RESERVATION_WRAPUP,
    ]
    assert told(command, held.worker) == [E.TASK_TRANSFER_COMPLETED, E.RESERVATION_WRAPUP]
    assert (held.status, taken.status, held.task.status) == ("wrapping", "accepted", "assigned")
    assert (held.worker_channel.active, held.worker_channel.assigned_tasks) == (1, 0)

    desk.answer(held, "completed")
    assert (held.status, taken.status, held.task.status) == ("completed", "accepted", "assigned")
    assert held.worker_channel.active == 0
    desk.commands.clear()
    desk.answer(taken, "completed")
    assert desk.heard() == [E.TASK_COMPLETED, E.RESERVATION_COMPLETED]
    assert held.task.status == "completed"


def test_after_a_warm_transfer_the_task_ends_with_the_last_of_the_two() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    taken = offer(desk.transfer(held, desk.worker("otto"), "WARM"))
    desk.answer(taken, "accepted")
    desk.answer(held, "wrapping")
    assert (held.task.status, held.status) == ("assigned", "wrapping")
    desk.answer(taken, "completed")  # nobody is at work on the task any more
    assert (held.task.status, taken.status) == ("wrapping", "completed")
    desk.answer(held, "completed")
    assert held.task.status == "completed"


def test_the_end_of_the_task_ends_the_reservations_of_both() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    taken = offer(desk.transfer(held, desk.worker("otto"), "WARM"))
    desk.answer(taken, "accepted")
    desk.commands.clear()
    desk.set_status(held.task, "completed")
    assert desk.heard() == [E.TASK_COMPLETED, E.RESERVATION_COMPLETED, E.RESERVATION_COMPLETED]
    assert [held.status, taken.status] == ["completed", "completed"]


def test_the_first_of_several_in_a_queue_to_accept_ends_the_transfer() -> None:
    desk, held, second = to_second_line("otto", "paul", reserved=2)
    transfer = desk.transfer(held, second, "COLD")
    otto, paul = held.task.pending_reservations
    desk.commands.clear()
    desk.answer(paul, "accepted")
    assert desk.heard() == [
        E.RESERVATION_ACCEPTED,
        E.RESERVATION_RESCINDED,
        E.TASK_TRANSFER_COMPLETED,
        E.RESERVATION_WRAPUP,
    ]
    assert (transfer.status, otto.status, held.status) == ("complete", "rescinded", "wrapping")
    assert held.task.queue is second


def test_a_transferred_task_can_be_transferred_on_and_back() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    first = desk.transfer(held, desk.worker("otto"), "COLD")
    taken = offer(first)
    desk.answer(taken, "accepted")
    with pytest.raises(InvalidArgument, match="holds a reservation"):
        desk.transfer(taken, held.worker)  # nina still wraps up
    desk.answer(held, "completed")
    back = desk.transfer(taken, held.worker, "COLD")
    again = offer(back)
    assert (again.worker, again.transfer, taken.outgoing_transfer) == (held.worker, back, back)
    desk.answer(again, "accepted")
    assert [first.status, back.status, taken.status] == ["complete", "complete", "wrapping"]
    assert list(held.task.transfers.values()) == [first, back]


def test_the_day_of_an_assigned_task_counts_anew_after_a_transfer() -> None:
    desk = Desk(limits=Limits(max_assigned_seconds=1_000))
    held = accepted_by(desk, "nina")
    otto = desk.worker("otto")
    desk.wait(990)
    transfer = desk.transfer(held, otto)
    desk.wait(50)  # nobody deletes it while it is on its way
    desk.answer(offer(transfer), "rejected")
    desk.wait(999)
    assert held.task.status == "assigned"
    desk.commands.clear()
    desk.wait(1)
    assert E.TASK_SYSTEM_DELETED in desk.heard()


# ---------------------------------------------------------------- failure


@pytest.mark.parametrize(
    ("how", "expected", "reason"),
    [
        ("rejected", [E.RESERVATION_REJECTED], "Transfer failed because the reservation was rejected"),
        (
            "timeout",
            [E.RESERVATION_TIMEOUT, E.WORKER_ACTIVITY_UPDATE],
            "Transfer failed because the reservation timed out",
        ),
        ("canceled", [E.RESERVATION_CANCELED], "Transfer failed because the reservation was canceled"),
    ],
)
def test_a_worker_that_does_not_take_the_task_fails_the_transfer(
    how: str, expected: list[EventType], reason: str
) -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    transfer = desk.transfer(held, desk.worker("otto"))
    declined = offer(transfer)
    desk.commands.clear()
    match how:
        case "rejected":
            desk.answer(declined, "rejected")
        case "timeout":
            desk.wait(120)
        case _:
            desk.ws.cancel_reservation(declined.sid)
            desk.settle()
    (command,) = desk.commands
    assert [e.type for e in command if e.logged] == [*expected, E.TASK_TRANSFER_FAILED]
    assert told(command, held.worker) == [E.TASK_TRANSFER_FAILED, E.TASK_UPDATED]
    assert (declined.status, transfer.status, transfer.failed_reason) == (how, "failed", reason)
    assert (held.task.status, held.status, held.outgoing_transfer) == ("assigned", "accepted", None)
    assert held.task.rejections == 0  # the limit for tasks in queues is not for transfers


def test_a_worker_that_cannot_be_reserved_in_time_fails_the_transfer() -> None:
    desk = Desk(limits=Limits(routing_target_seconds=5))
    held = accepted_by(desk, "nina")
    otto = desk.worker("otto", activity=desk.offline)
    transfer = desk.transfer(held, otto)
    desk.wait(4.9)
    assert transfer.status == "initiated"
    desk.commands.clear()
    desk.wait(0.1)
    assert desk.heard() == [E.TASK_TRANSFER_FAILED]
    assert transfer.failed_reason == "Transfer failed because the worker could not be reserved in time"
    assert held.task.status == "assigned"
    desk.move(otto, desk.available)
    assert otto.live_reservations == []


def test_the_time_to_reserve_a_worker_is_no_limit_for_its_answer() -> None:
    desk = Desk(limits=Limits(routing_target_seconds=5))
    held = accepted_by(desk, "nina")
    transfer = desk.transfer(held, desk.worker("otto"))
    desk.wait(119)
    assert (transfer.status, offer(transfer).status) == ("initiated", "pending")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("rejected", [E.RESERVATION_REJECTED]),
        ("timeout", [E.RESERVATION_TIMEOUT, E.WORKER_ACTIVITY_UPDATE]),
        ("canceled", [E.RESERVATION_CANCELED]),
    ],
)
def test_one_of_a_queue_that_declines_fails_an_attempt_and_the_next_is_tried(
    how: str, expected: list[EventType]
) -> None:
    desk, held, second = to_second_line("otto", "paul")
    transfer = desk.transfer(held, second)
    declined = offer(transfer)
    desk.commands.clear()
    match how:
        case "rejected":
            desk.answer(declined, "rejected", activity=desk.offline)
            expected = [*expected, E.WORKER_ACTIVITY_UPDATE]
        case "timeout":
            desk.wait(120)
        case _:
            desk.ws.cancel_reservation(declined.sid)
            desk.settle()
    attempt, following = desk.commands
    assert [e.type for e in attempt if e.logged] == [*expected, E.TASK_TRANSFER_ATTEMPT_FAILED]
    assert told(attempt, held.worker)[0] is E.TASK_TRANSFER_ATTEMPT_FAILED
    assert [e.type for e in following if e.logged] == [E.RESERVATION_CREATED]
    assert (transfer.status, transfer.failed_reason is None) == ("initiated", False)
    assert offer(transfer).worker.friendly_name == "paul"
    desk.answer(offer(transfer), "accepted")
    assert (transfer.status, transfer.failed_reason) == ("complete", None)


def test_the_reasons_of_failed_attempts_are_taskrouters() -> None:
    desk, held, second = to_second_line("otto", "paul")
    transfer = desk.transfer(held, second)
    desk.answer(offer(transfer), "rejected", activity=desk.offline)
    assert transfer.failed_reason == (
        "Transfer attempt failed on reservation reject because there are no more pending reservations"
    )


def test_an_attempt_fails_with_the_last_of_its_reservations() -> None:
    desk, held, second = to_second_line("otto", "paul", reserved=2)
    transfer = desk.transfer(held, second)
    version = held.task.version
    otto, paul = held.task.pending_reservations
    desk.commands.clear()
    desk.answer(otto, "rejected", activity=desk.offline)
    assert E.TASK_TRANSFER_ATTEMPT_FAILED not in desk.heard()
    assert (held.task.status, held.task.version) == ("reserved", version)
    desk.answer(paul, "rejected", activity=desk.offline)
    assert E.TASK_TRANSFER_ATTEMPT_FAILED in desk.heard()
    assert (held.task.status, transfer.status) == ("pending", "initiated")


def test_ten_rejections_fail_a_transfer_to_a_queue() -> None:
    desk, held, second = to_second_line("otto")
    first = held.task.queue
    transfer = desk.transfer(held, second)
    for _ in range(9):
        desk.answer(offer(transfer), "rejected")
        assert transfer.status == "initiated"
    desk.commands.clear()
    desk.answer(offer(transfer), "rejected")
    assert desk.heard() == [
        E.RESERVATION_REJECTED,
        E.TASK_TRANSFER_FAILED,
        E.TASK_QUEUE_MOVED,
        E.TASK_QUEUE_ENTERED,
    ]
    assert (transfer.status, held.task.status, held.task.queue) == ("failed", "assigned", first)


def test_the_limit_of_assignments_fails_a_transfer_to_a_queue() -> None:
    desk, held, second = to_second_line("otto", limits=Limits(max_assignments=3))
    transfer = desk.transfer(held, second)
    desk.answer(offer(transfer), "rejected")
    desk.answer(offer(transfer), "rejected")
    assert (transfer.status, held.task.status, held.task.counter) == ("failed", "assigned", 3)


@pytest.mark.parametrize("reserved", [False, True])
def test_the_time_to_live_counts_anew_and_its_end_fails_the_transfer(reserved: bool) -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    _, second = two_queues(desk)
    desk.worker("nina", line=1)
    task = desk.task(timeout=100)
    held = pending(task)
    desk.answer(held, "accepted")
    desk.wait(500)
    if reserved:
        desk.worker("otto", line=2)
    transfer = desk.transfer(held, second)
    desk.wait(99)
    assert transfer.status == "initiated"
    desk.commands.clear()
    desk.wait(1)
    expected = [E.TASK_TRANSFER_FAILED, E.TASK_QUEUE_MOVED, E.TASK_QUEUE_ENTERED]
    assert desk.heard() == ([E.RESERVATION_CANCELED, *expected] if reserved else expected)
    assert (transfer.status, task.status, held.status) == ("failed", "assigned", "accepted")


def test_a_failed_transfer_can_be_followed_by_another() -> None:
    desk, held, second = to_second_line("otto")
    otto = next(w for w in desk.ws.workers.values() if w.friendly_name == "otto")
    desk.answer(offer(desk.transfer(held, otto)), "rejected")
    transfer = desk.transfer(held, second)
    desk.answer(offer(transfer), "accepted")
    assert transfer.status == "complete"


def test_rejecting_what_is_pending_on_a_break_fails_the_transfer() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    otto = desk.worker("otto")
    transfer = desk.transfer(held, otto)
    desk.commands.clear()
    desk.ws.update_worker(otto.sid, activity_sid=desk.offline.sid, reject_pending_reservations=True)
    desk.settle()
    assert desk.heard() == [E.WORKER_ACTIVITY_UPDATE, E.RESERVATION_REJECTED, E.TASK_TRANSFER_FAILED]
    assert (transfer.status, held.task.status) == ("failed", "assigned")


# ---------------------------------------------------------------- cancellation


@pytest.mark.parametrize("reserved", [False, True])
def test_the_initiator_takes_a_transfer_to_a_queue_back(reserved: bool) -> None:
    desk, held, second = to_second_line(*["otto"] * reserved)
    first = held.task.queue
    transfer = desk.transfer(held, second)
    pending_ = held.task.pending_reservations
    desk.commands.clear()
    desk.take_back(transfer)
    (command,) = desk.commands
    expected = [E.TASK_TRANSFER_CANCELED, E.TASK_QUEUE_MOVED, E.TASK_QUEUE_ENTERED]
    assert [e.type for e in command if e.logged] == ([E.RESERVATION_CANCELED] * reserved + expected)
    assert told(command, held.worker)[0] is E.TASK_TRANSFER_CANCELED
    assert [r.status for r in pending_] == ["canceled"] * reserved
    assert (transfer.status, held.task.status, held.task.queue) == ("canceled", "assigned", first)
    assert (held.status, held.outgoing_transfer, transfer.failed_reason) == ("accepted", None, None)
    desk.worker("paul", line=2)
    assert held.task.pending_reservations == []


def test_single_tasking_returns_the_target_whose_offer_is_taken_back() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE, multi_task_enabled=False)
    queue = desk.queue(reservation_activity=desk.unavailable)
    desk.workflow(default=queue)
    desk.worker("nina")
    held = pending(desk.task())
    desk.answer(held, "accepted")
    otto = desk.worker("otto")
    transfer = desk.transfer(held, otto)
    assert otto.activity is desk.unavailable
    desk.take_back(transfer)
    assert otto.activity is desk.available


def test_deleting_a_task_cancels_its_transfer_first() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    transfer = desk.transfer(held, desk.worker("otto"))
    desk.commands.clear()
    desk.ws.delete_task(held.task.sid)
    desk.settle()
    assert desk.heard() == [
        E.RESERVATION_CANCELED,
        E.TASK_TRANSFER_CANCELED,
        E.RESERVATION_COMPLETED,
        E.TASK_DELETED,
    ]
    with pytest.raises(NotFound):
        desk.ws.transfer(transfer.sid)


def test_transfers_are_forgotten_with_their_task() -> None:
    desk = Desk()
    held = accepted_by(desk, "nina")
    transfer = desk.transfer(held, desk.worker("otto"))
    desk.answer(offer(transfer), "accepted")
    desk.set_status(held.task, "completed")
    desk.wait(300)
    assert desk.ws.transfers == {}


# ---------------------------------------------------------------- refusals


def _started(desk: Desk) -> tuple[Reservation, Task, Worker]:
    held = accepted_by(desk, "nina")
    return held, held.task, desk.worker("otto")


@pytest.mark.parametrize(
    ("wrong", "error", "named"),
    [
        ({"reservation_sid": "WR" + "0" * 32}, InvalidArgument, "ReservationSid"),
        ({"task_sid": "WT" + "0" * 32}, InvalidArgument, "TaskSid"),
        ({"to": "WK" + "f" * 32}, InvalidArgument, "To"),
        ({"to": "WQ" + "f" * 32}, InvalidArgument, "To"),
        ({"to": "WW" + "f" * 32}, InvalidArgument, "To"),
        ({"to": ""}, InvalidArgument, "To"),
        ({"to": "nina"}, InvalidArgument, "To"),
        ({"mode": "HOT"}, InvalidArgument, "Mode"),
        ({"priority": -1}, InvalidArgument, "Priority"),
        ({"attributes": "[]"}, InvalidArgument, "Attributes"),
    ],
)
def test_a_transfer_with_a_wrong_value_is_refused_by_its_name(
    wrong: dict[str, object], error: type[DomainError], named: str
) -> None:
    desk = Desk()
    held, task, otto = _started(desk)
    arguments: dict[str, object] = {
        "reservation_sid": held.sid,
        "task_sid": task.sid,
        "to": otto.sid,
        **{key: held.worker.sid if value == "nina" else value for key, value in wrong.items()},
    }
    before = snapshot(desk.ws)
    with pytest.raises(error, match=rf"^{named}\b"):
        desk.ws.create_transfer(held.worker.sid, **arguments)  # type: ignore[arg-type] # wrong on purpose
    assert snapshot(desk.ws) == before


@pytest.mark.parametrize("state", ["pending", "wrapping", "on transfer"])
def test_only_an_accepted_reservation_without_a_transfer_can_be_transferred(state: str) -> None:
    desk = Desk()
    desk.worker("nina")
    held = pending(desk.task())
    otto = desk.worker("otto")
    if state != "pending":
        desk.answer(held, "accepted")
    if state == "wrapping":
        desk.answer(held, "wrapping")
    if state == "on transfer":
        desk.transfer(held, otto)
    paul = desk.worker("paul")
    before = snapshot(desk.ws)
    with pytest.raises(IllegalTransition, match="Cannot transfer task"):
        desk.transfer(held, paul)
    assert snapshot(desk.ws) == before


def test_somebody_elses_reservation_cannot_be_transferred() -> None:
    desk = Desk()
    held, task, otto = _started(desk)
    with pytest.raises(InvalidArgument, match="ReservationSid"):
        desk.ws.create_transfer(otto.sid, reservation_sid=held.sid, task_sid=task.sid, to=otto.sid)


def test_only_an_initiated_transfer_of_ones_own_can_be_canceled() -> None:
    desk = Desk()
    held, task, otto = _started(desk)
    transfer = desk.transfer(held, otto)
    nina = held.worker
    for worker, sid, task_sid, status, error in [
        (otto, transfer.sid, task.sid, "canceled", NotFound),
        (nina, "TT" + "0" * 32, task.sid, "canceled", NotFound),
        (nina, transfer.sid, "WT" + "0" * 32, "canceled", InvalidArgument),
        (nina, transfer.sid, task.sid, "complete", InvalidArgument),
        (nina, transfer.sid, task.sid, "lost", InvalidArgument),
    ]:
        before = snapshot(desk.ws)
        with pytest.raises(error):
            desk.ws.cancel_transfer(worker.sid, sid, task_sid=task_sid, status=status)
        assert snapshot(desk.ws) == before
    desk.answer(offer(transfer), "accepted")
    with pytest.raises(IllegalTransition, match=r"already in state \[complete\]"):
        desk.take_back(transfer)


def test_neither_target_nor_first_queue_of_a_transfer_can_be_deleted() -> None:
    desk, held, second = to_second_line()
    first = held.task.queue
    assert first is not None
    paul = desk.worker("paul", activity=desk.offline, line=3)
    transfer = desk.transfer(held, paul)
    with pytest.raises(InvalidArgument, match="on its way to it"):
        desk.ws.delete_worker(paul.sid)
    desk.take_back(transfer)
    desk.ws.delete_worker(paul.sid)
    desk.transfer(held, second)
    for workflow in list(desk.ws.workflows.values()):
        desk.ws.update_workflow(workflow.sid, configuration='{"task_routing": {"filters": []}}')
    for queue in (first, second):
        with pytest.raises(InvalidArgument, match="is in it"):
            desk.ws.delete_task_queue(queue.sid)
