"""Every row of the state machines of tasks, reservations and workers, with its events in order."""

from __future__ import annotations

import json

import pytest

from server_stub.domain.errors import IllegalTransition, InvalidArgument, NotFound, Rescinded
from server_stub.domain.lifecycle import RESERVATION_MOVES, TASK_MOVES, TRANSFER_MOVES
from server_stub.domain.model import Limits, Transfer
from taskrouter_worker.terms import (
    RESERVATION_ENDED,
    TASK_ENDED,
    EventType,
    ReservationStatus,
    TaskStatus,
    TransferStatus,
    WorkspaceTemplate,
)
from tests.domain.desk import ACCOUNT, WORKSPACE, Desk, pending, rule, snapshot, target

E = EventType


def on_task(task: str) -> str:
    return f"task {task} in workspace {WORKSPACE} for account {ACCOUNT}"


def test_the_worked_trace_of_one_chat() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    desk.heard()

    task = desk.task(channel="chat")
    first = pending(task)
    assert desk.heard() == [
        E.TASK_CREATED,
        E.WORKFLOW_ENTERED,
        E.WORKFLOW_TARGET_MATCHED,
        E.TASK_QUEUE_ENTERED,
        E.RESERVATION_CREATED,
    ]
    chat = first.worker_channel
    assert (task.status, first.status, chat.available_capacity_percentage) == ("reserved", "pending", 0)

    desk.wait(120)
    assert desk.heard() == [E.RESERVATION_TIMEOUT, E.WORKER_ACTIVITY_UPDATE]
    assert (task.status, first.status, nina.activity) == ("pending", "timeout", desk.offline)

    desk.wait(30)
    desk.move(nina, desk.available)
    assert desk.heard() == [E.WORKER_ACTIVITY_UPDATE, E.RESERVATION_CREATED]
    second = pending(task)

    desk.wait(5)
    desk.answer(second, "accepted")
    assert desk.heard() == [E.RESERVATION_ACCEPTED]
    assert (task.status, chat.assigned_tasks) == ("assigned", 1)

    desk.wait(145)
    desk.set_status(task, "wrapping")
    assert desk.heard() == [E.TASK_WRAPUP, E.RESERVATION_WRAPUP]
    assert (task.status, second.status) == ("wrapping", "wrapping")
    assert (chat.assigned_tasks, chat.available_capacity_percentage) == (0, 0)

    desk.wait(20)
    desk.set_status(task, "completed", "solved")
    assert desk.heard() == [E.TASK_COMPLETED, E.RESERVATION_COMPLETED]
    assert (task.status, second.status, task.reason) == ("completed", "completed", "solved")
    assert chat.available_capacity_percentage == 100

    desk.wait(299)
    assert desk.ws.task(task.sid) is task
    desk.wait(1)
    assert desk.heard() == []
    for find in (desk.ws.task, desk.ws.reservation):
        with pytest.raises(NotFound):
            find(task.sid if find == desk.ws.task else second.sid)
    assert nina.reservations == {}


# ---------------------------------------------------------------- tasks


def test_a_created_task_shows_its_queue_but_not_when_it_entered_it() -> None:
    desk = Desk()
    task = desk.ws.create_task()
    assert task.queue is not None
    assert (task.status, task.queue_entered_at, task.version) == ("pending", None, 0)
    desk.settle()
    assert task.queue_entered_at == desk.time
    assert task.version == 0


def test_reserving_sends_no_task_event_and_raises_the_versions() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    desk.heard()
    task = desk.task()
    assert desk.heard()[4:] == [E.RESERVATION_CREATED]
    assert (task.version, nina.version, pending(task).version, task.counter) == (1, 1, 0, 1)


def test_accepting_assigns_the_task_and_rescinds_the_other_reservations() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    queue = desk.queue(max_reserved_workers=3)
    flow = desk.workflow(default=queue)
    for name in ("ann", "bob", "cem"):
        desk.worker(name)
    task = desk.task(flow)
    ann, bob, cem = task.live_reservations
    desk.heard()
    desk.answer(bob, "accepted")
    events = desk.events()
    assert [(event.type, event.resource) for event in events] == [
        (E.RESERVATION_ACCEPTED, bob),
        (E.RESERVATION_RESCINDED, ann),
        (E.RESERVATION_RESCINDED, cem),
    ]
    assert [event.worker_sids for event in events] == [(r.worker.sid,) for r in (bob, ann, cem)]
    assert (task.status, task.version, ann.version) == ("assigned", 2, 1)
    with pytest.raises(Rescinded) as caught:
        desk.ws.update_reservation(ann.sid, status="accepted")
    assert (caught.value.status, caught.value.code) == (410, 20001)


def test_one_of_several_declining_leaves_the_task_and_its_version_alone() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    flow = desk.workflow(default=desk.queue(max_reserved_workers=2))
    desk.worker("ann")
    desk.worker("bob")
    task = desk.task(flow)
    version = task.version
    desk.heard()
    desk.answer(task.live_reservations[0], "rejected")
    assert desk.heard() == [E.RESERVATION_REJECTED]
    assert (task.status, task.version) == ("reserved", version)
    assert len(task.live_reservations) == 1  # nobody takes the place of the one who declined


def test_the_last_rejection_returns_the_task_to_its_queue() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task()
    desk.move(nina, desk.offline)
    desk.heard()
    desk.answer(pending(task), "rejected")
    assert desk.heard() == [E.RESERVATION_REJECTED]
    assert (task.status, task.rejections) == ("pending", 1)


def test_a_rejecting_worker_who_stays_available_gets_the_task_again_last() -> None:
    desk = Desk()
    desk.worker("nina")
    task = desk.task()
    first = pending(task)
    desk.answer(first, "rejected")
    assert pending(task) is not first
    desk.worker("otto")
    desk.answer(pending(task), "rejected")
    assert pending(task).worker.friendly_name == "otto"


def test_canceling_a_pending_task() -> None:
    desk = Desk()
    task = desk.task()
    desk.heard()
    desk.set_status(task, "canceled", "gone")
    assert desk.heard() == [E.TASK_CANCELED]
    assert (task.status, task.reason) == ("canceled", "gone")


def test_canceling_a_reserved_task_cancels_its_reservations_first_and_tells_their_workers() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task(channel="chat")
    held = pending(task)
    desk.heard()
    desk.set_status(task, "canceled")
    events = desk.events()
    assert [event.type for event in events] == [E.RESERVATION_CANCELED, E.TASK_CANCELED]
    assert [event.worker_sids for event in events] == [(nina.sid,)] * 2
    assert (held.status, held.worker_channel.active) == ("canceled", 0)


@pytest.mark.parametrize("reserved", [False, True])
def test_a_task_that_outlives_its_timeout_is_canceled(reserved: bool) -> None:
    desk = Desk()
    if reserved:
        desk.worker("nina")
    task = desk.task(timeout=60, virtual_start_time=desk.time - 1_000)
    desk.heard()
    desk.wait(59)
    assert desk.heard() == []
    desk.wait(1)
    assert desk.heard() == [E.RESERVATION_CANCELED, E.TASK_CANCELED][not reserved :]
    assert (task.status, task.reason) == ("canceled", "Task TTL Exceeded")


def test_the_time_to_live_stops_for_good_at_acceptance() -> None:
    desk = Desk()
    desk.worker("nina")
    task = desk.task(timeout=60)
    desk.answer(pending(task), "accepted")
    desk.wait(1_000)
    assert task.status == "assigned"


def test_leaving_the_last_target_by_timeout_cancels_the_task() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    queue = desk.queue()
    task = desk.task(desk.workflow(rule(target(queue, timeout=10)), default=queue))
    desk.heard()
    desk.wait(10)
    assert desk.heard() == [E.TASK_QUEUE_TIMEOUT, E.WORKFLOW_TIMEOUT, E.TASK_CANCELED]
    assert task.reason == "Task canceled on Workflow timeout"


def test_a_task_that_no_filter_takes_is_pending_in_the_answer_and_then_canceled() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    flow = desk.workflow(rule(target(desk.queue()), expression="topic == 'cards'"))
    desk.heard()
    task = desk.ws.create_task(workflow_sid=flow.sid)
    assert (task.status, task.queue) == ("pending", None)
    desk.settle()
    assert desk.heard() == [E.TASK_CREATED, E.WORKFLOW_ENTERED, E.WORKFLOW_SKIPPED, E.TASK_CANCELED]
    assert task.reason == "Task canceled on Workflow skipped"


def test_the_tenth_rejection_cancels_the_task() -> None:
    desk = Desk()
    desk.worker("nina")
    task = desk.task()
    for _ in range(9):
        desk.answer(pending(task), "rejected")
    assert task.status == "reserved"
    desk.heard()
    desk.answer(pending(task), "rejected")
    assert desk.heard() == [E.RESERVATION_REJECTED, E.TASK_CANCELED]
    assert (task.status, task.reason, task.rejections) == ("canceled", "Max rejection count exceeded", 10)


def test_the_limit_of_rejections_cancels_what_else_is_pending() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE, limits=Limits(max_rejections=1))
    flow = desk.workflow(default=desk.queue(max_reserved_workers=2))
    desk.worker("ann")
    desk.worker("bob")
    task = desk.task(flow)
    desk.heard()
    desk.answer(task.live_reservations[0], "rejected")
    assert desk.heard() == [E.RESERVATION_REJECTED, E.RESERVATION_CANCELED, E.TASK_CANCELED]


def test_the_limit_of_assignments_cancels_the_task_when_the_last_one_ends() -> None:
    desk = Desk(limits=Limits(max_assignments=2))
    nina = desk.worker("nina")
    task = desk.task()
    desk.wait(120)
    desk.move(nina, desk.available)
    assert task.counter == 2
    desk.heard()
    desk.wait(120)
    assert desk.heard() == [E.RESERVATION_TIMEOUT, E.WORKER_ACTIVITY_UPDATE, E.TASK_CANCELED]
    assert task.reason == "Max assignment count exceeded"


def test_a_task_assigned_for_a_day_is_deleted_by_the_system() -> None:
    desk = Desk()
    desk.worker("nina")
    task = desk.task()
    held = pending(task)
    desk.answer(held, "accepted")
    desk.heard()
    desk.wait(86_399)
    assert desk.heard() == []
    desk.wait(1)
    assert desk.heard() == [E.RESERVATION_COMPLETED, E.TASK_SYSTEM_DELETED]
    assert task.sid not in desk.ws.tasks
    assert held.worker_channel.active == 0


def test_a_task_that_wraps_up_is_not_deleted_by_the_system() -> None:
    desk = Desk()
    desk.worker("nina")
    task = desk.task()
    desk.answer(pending(task), "accepted")
    desk.set_status(task, "wrapping")
    desk.wait(100_000)
    assert task.status == "wrapping"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], [E.RESERVATION_CANCELED, E.TASK_DELETED]),
        (["accepted"], [E.RESERVATION_COMPLETED, E.TASK_DELETED]),
        (["accepted", "wrapping"], [E.RESERVATION_COMPLETED, E.TASK_DELETED]),
        (["accepted", "completed"], [E.TASK_DELETED]),
    ],
)
def test_a_task_may_be_deleted_in_any_state(answers: list[str], expected: list[EventType]) -> None:
    desk = Desk()
    desk.worker("nina")
    task = desk.task()
    held = pending(task)
    for status in answers:
        desk.answer(held, status)
    desk.heard()
    desk.ws.delete_task(task.sid)
    desk.settle()
    assert desk.heard() == expected
    assert held.worker_channel.active == held.worker_channel.assigned_tasks == 0
    assert task.status in TASK_ENDED
    for find, sid in ((desk.ws.task, task.sid), (desk.ws.reservation, held.sid)):
        with pytest.raises(NotFound):
            find(sid)
    desk.wait(1_000)  # the purge of a task that is gone already is void
    assert desk.heard() == []


@pytest.mark.parametrize("state", ["pending", "reserved", "completed", "canceled"])
def test_a_task_that_is_not_assigned_cannot_be_completed_or_wrapped(state: str) -> None:
    desk = Desk()
    if state in ("reserved", "completed"):
        desk.worker("nina")
    task = desk.task()
    if state == "completed":
        desk.answer(pending(task), "accepted")
    if state in ("completed", "canceled"):
        desk.set_status(task, state)
    before = snapshot(desk.ws)
    with pytest.raises(IllegalTransition) as complete:
        desk.ws.update_task(task.sid, assignment_status="completed")
    with pytest.raises(IllegalTransition) as wrap:
        desk.ws.update_task(task.sid, assignment_status="wrapping")
    where = on_task(task.sid)
    assert str(complete.value) == f"Cannot complete {where} because it is not currently assigned."
    assert str(wrap.value) == f"Cannot wrap up a {where} because it's not currently assigned"
    assert snapshot(desk.ws) == before


@pytest.mark.parametrize("state", ["assigned", "wrapping", "completed", "canceled"])
def test_a_task_that_is_not_waiting_cannot_be_canceled(state: str) -> None:
    desk = Desk()
    if state != "canceled":
        desk.worker("nina")
    task = desk.task()
    if state != "canceled":
        desk.answer(pending(task), "accepted")
    if state != "assigned":
        desk.set_status(task, state)
    with pytest.raises(IllegalTransition) as caught:
        desk.ws.update_task(task.sid, assignment_status="canceled", reason="x")
    assert str(caught.value) == f"Cannot cancel {on_task(task.sid)} because it is not pending or reserved."
    assert task.reason is None


def test_attributes_given_with_a_status_are_applied_first_and_events_show_the_end() -> None:
    desk = Desk()
    desk.worker("nina")
    task = desk.task()
    desk.answer(pending(task), "accepted")
    desk.heard()
    version = task.version
    desk.ws.update_task(task.sid, attributes='{"a": 1}', assignment_status="completed", reason="done")
    desk.settle()
    assert desk.heard() == [E.TASK_UPDATED, E.TASK_COMPLETED, E.RESERVATION_COMPLETED]
    assert (task.attributes, task.status, task.version) == ('{"a": 1}', "completed", version + 1)


def test_an_ended_task_does_not_change() -> None:
    desk = Desk()
    task = desk.task()
    desk.set_status(task, "canceled")
    with pytest.raises(IllegalTransition, match="because it is canceled"):
        desk.ws.update_task(task.sid, attributes='{"a": 1}')


def test_an_update_that_changes_nothing_has_no_event_and_no_version() -> None:
    desk = Desk()
    nina = desk.worker("nina", level=1)
    task = desk.task()
    versions = (task.version, nina.version)
    desk.heard()
    desk.ws.update_task(task.sid, attributes=task.attributes, priority=0)
    desk.ws.update_worker(
        nina.sid, activity_sid=desk.available.sid, attributes=nina.attributes, friendly_name="nina"
    )
    desk.settle()
    assert desk.heard() == []
    assert (task.version, nina.version) == versions


def test_a_change_of_channel_while_reserved_keeps_the_load_where_it_was_taken() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task(channel="chat")
    held = pending(task)
    desk.ws.update_task(task.sid, task_channel="sms")
    desk.settle()
    load = {channel.task_channel.unique_name: channel.active for channel in nina.channels.values()}
    assert (task.task_channel.unique_name, load["chat"], load["sms"]) == ("sms", 1, 0)
    desk.answer(held, "accepted")
    assert held.worker_channel.assigned_tasks == 1
    with pytest.raises(IllegalTransition, match="TaskChannel"):
        desk.ws.update_task(task.sid, task_channel="chat")
    desk.answer(held, "completed")
    assert all(channel.active == channel.assigned_tasks == 0 for channel in nina.channels.values())


# ---------------------------------------------------------------- reservations


def test_a_reservation_remembers_the_activity_and_the_timeout_of_its_workflow() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    flow = desk.workflow(default=desk.queue(), reservation_timeout=45)
    desk.worker("nina")
    held = pending(desk.task(flow))
    assert held.worker_previous_activity is desk.available
    assert (held.timeout, held.deadline) == (45, desk.time + 45)
    desk.ws.update_workflow(flow.sid, task_reservation_timeout=10)
    assert held.timeout == 45


def test_wrapping_a_reservation_wraps_its_task() -> None:
    desk = Desk()
    desk.worker("nina")
    task = desk.task()
    held = pending(task)
    desk.answer(held, "accepted")
    desk.heard()
    desk.answer(held, "wrapping")
    assert desk.heard() == [E.TASK_WRAPUP, E.RESERVATION_WRAPUP]
    assert task.status == "wrapping"
    desk.answer(held, "completed")
    assert desk.heard() == [E.TASK_COMPLETED, E.RESERVATION_COMPLETED]
    assert task.status == "completed"


def test_completion_frees_capacity_for_the_next_task() -> None:
    desk = Desk()
    desk.worker("nina")
    first = desk.task()
    second = desk.task()
    held = pending(first)
    desk.answer(held, "accepted")
    assert second.status == "pending"
    desk.answer(held, "wrapping")
    assert second.status == "pending"  # wrapping up still takes capacity
    desk.answer(held, "completed")
    assert second.status == "reserved"


@pytest.mark.parametrize("status", sorted(RESERVATION_ENDED | {ReservationStatus.WRAPPING}))
def test_every_change_that_the_table_lacks_is_refused(status: ReservationStatus) -> None:
    desk = Desk()
    desk.worker("nina")
    held = pending(desk.task())
    held.status = status
    for wanted in ("accepted", "rejected", "wrapping", "completed"):
        allowed = wanted in RESERVATION_MOVES[status]
        if allowed or (status == "rescinded" and wanted == "accepted"):
            continue
        before = snapshot(desk.ws)
        with pytest.raises(IllegalTransition) as caught:
            desk.ws.update_reservation(held.sid, status=wanted)
        assert str(caught.value) == (
            f"Reservation {held.sid} is already in state [{status}] and cannot be updated to [{wanted}]"
        )
        assert snapshot(desk.ws) == before


@pytest.mark.parametrize("wanted", ["pending", "timeout", "canceled", "rescinded", "ACCEPTED", ""])
def test_clients_cannot_ask_for_what_only_the_engine_does(wanted: str) -> None:
    desk = Desk()
    desk.worker("nina")
    held = pending(desk.task())
    before = snapshot(desk.ws)
    with pytest.raises(InvalidArgument, match="ReservationStatus"):
        desk.ws.update_reservation(held.sid, status=wanted)
    assert snapshot(desk.ws) == before


def test_accepting_while_unavailable_is_allowed() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task()
    desk.move(nina, desk.offline)
    desk.answer(pending(task), "accepted")
    assert task.status == "assigned"


def test_a_reservation_whose_callback_failed_goes_back_to_the_queue() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task()
    desk.move(nina, desk.offline)
    held = pending(task)
    desk.heard()
    desk.ws.cancel_reservation(held.sid, reason_code=7)
    desk.settle()
    (event,) = desk.events()
    assert (event.type, event.data) == (E.RESERVATION_CANCELED, {"reservation_reason_code": "7"})
    assert (held.status, held.canceled_reason_code, task.status) == ("canceled", 7, "pending")


def test_the_tables_know_every_status_and_leave_ended_ones_alone() -> None:
    assert set(RESERVATION_MOVES) == set(ReservationStatus)
    assert set(TASK_MOVES) == set(TaskStatus)
    assert set(TRANSFER_MOVES) == set(TransferStatus)
    assert all(not RESERVATION_MOVES[status] for status in RESERVATION_ENDED)
    assert all(not TASK_MOVES[status] for status in TASK_ENDED)


# ---------------------------------------------------------------- workers


def test_becoming_available_gets_a_waiting_task_at_once() -> None:
    desk = Desk()
    nina = desk.worker("nina", activity=desk.offline)
    task = desk.task()
    desk.wait(7.5)
    desk.heard()
    desk.move(nina, desk.available)
    events = desk.events()
    assert [event.type for event in events] == [E.WORKER_ACTIVITY_UPDATE, E.RESERVATION_CREATED]
    assert events[0].data == {
        "worker_time_in_previous_activity": "7",
        "worker_time_in_previous_activity_ms": "7500",
        "worker_previous_activity_sid": desk.offline.sid,
        "worker_previous_activity_name": "Offline",
    }
    assert nina.date_status_changed == desk.time
    assert task.status == "reserved"


def test_pending_reservations_stay_when_the_worker_leaves() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task()
    desk.move(nina, desk.unavailable)
    assert pending(task).status == "pending"


def test_rejecting_pending_reservations_moves_the_worker_first() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    tasks = [desk.task(channel="chat"), desk.task(channel="sms")]
    desk.heard()
    desk.ws.update_worker(nina.sid, activity_sid=desk.offline.sid, reject_pending_reservations=True)
    desk.settle()
    assert desk.heard() == [E.WORKER_ACTIVITY_UPDATE, E.RESERVATION_REJECTED, E.RESERVATION_REJECTED]
    assert [task.status for task in tasks] == ["pending", "pending"]


def test_rejecting_pending_reservations_needs_an_unavailable_activity() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    for sid in (None, desk.available.sid):
        with pytest.raises(InvalidArgument, match="RejectPendingReservations"):
            desk.ws.update_worker(nina.sid, activity_sid=sid, reject_pending_reservations=True)


def test_a_rejection_may_move_the_worker() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task()
    desk.heard()
    desk.answer(pending(task), "rejected", activity=desk.unavailable)
    assert desk.heard() == [E.RESERVATION_REJECTED, E.WORKER_ACTIVITY_UPDATE]
    assert (nina.activity, task.status) == (desk.unavailable, "pending")


def test_a_timeout_leaves_other_pending_reservations_of_the_worker() -> None:
    desk = Desk()
    desk.worker("nina")
    first = desk.task(channel="chat")
    desk.wait(60)
    second = desk.task(channel="sms")
    desk.wait(60)
    assert (first.status, second.status) == ("pending", "reserved")


def test_a_timeout_in_the_timeout_activity_has_no_activity_event() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    desk.task()
    desk.move(nina, desk.offline)
    desk.heard()
    desk.wait(120)
    assert desk.heard() == [E.RESERVATION_TIMEOUT]


def test_one_update_of_name_activity_and_attributes_has_two_events_and_one_version() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    desk.heard()
    desk.ws.update_worker(
        nina.sid, friendly_name="Nina", activity_sid=desk.offline.sid, attributes='{"level": 3}'
    )
    desk.settle()
    assert desk.heard() == [E.WORKER_ACTIVITY_UPDATE, E.WORKER_ATTRIBUTES_UPDATE]
    assert nina.version == 1


def test_channel_updates_raise_the_worker_version_once_per_event() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    desk.heard()
    channel = desk.ws.update_worker_channel(nina.sid, "chat", capacity=4, available=False)
    desk.settle()
    events = desk.events()
    assert [event.type for event in events] == [
        E.WORKER_CAPACITY_UPDATE,
        E.WORKER_CHANNEL_AVAILABILITY_UPDATE,
    ]
    assert events[0].data == {"worker_channel_previous_capacity": "1"}
    assert all(event.worker_sids == (nina.sid,) and event.resource is channel for event in events)
    assert (nina.version, channel.version) == (2, 1)
    desk.ws.update_worker_channel(nina.sid, channel.sid, capacity=4)
    desk.settle()
    assert desk.heard() == []


def test_capacity_below_the_load_keeps_what_is_there_and_takes_nothing_new() -> None:
    desk = Desk()
    nina = desk.worker("nina", capacity=2)
    first = desk.task(channel="chat")
    second = desk.task(channel="chat")
    desk.ws.update_worker_channel(nina.sid, "chat", capacity=1)
    desk.settle()
    assert (first.status, second.status) == ("reserved", "reserved")
    assert first.live_reservations[0].worker_channel.available_capacity_percentage == 0
    third = desk.task(channel="chat")
    desk.answer(pending(first), "accepted")
    desk.answer(pending(first), "completed")
    assert third.status == "pending"
    desk.answer(pending(second), "accepted")
    desk.answer(pending(second), "completed")
    assert third.status == "reserved"


# ---------------------------------------------------------------- single-tasking


def single() -> Desk:
    return Desk(template=WorkspaceTemplate.NONE, multi_task_enabled=False)


def test_single_tasking_moves_the_worker_through_the_queue_activities() -> None:
    desk = single()
    busy = desk.ws.create_activity(friendly_name="Busy")
    talking = desk.ws.create_activity(friendly_name="Talking")
    queue = desk.queue(reservation_activity=busy, assignment_activity=talking)
    flow = desk.workflow(default=queue)
    nina = desk.worker("nina")
    desk.heard()
    task = desk.task(flow)
    assert desk.heard()[4:] == [E.RESERVATION_CREATED, E.WORKER_ACTIVITY_UPDATE]
    assert nina.activity is busy
    assert pending(task).worker_previous_activity is desk.available
    held = pending(task)
    desk.answer(held, "accepted")
    assert desk.heard() == [E.RESERVATION_ACCEPTED, E.WORKER_ACTIVITY_UPDATE]
    assert nina.activity is talking
    desk.answer(held, "completed")
    assert nina.activity is talking


def test_single_tasking_takes_one_reservation_at_a_time_on_all_channels() -> None:
    desk = single()
    flow = desk.workflow(default=desk.queue())
    desk.worker("nina", capacity=5)
    first, second = desk.task(flow, channel="chat"), desk.task(flow, channel="sms")
    assert (first.status, second.status) == ("reserved", "pending")


@pytest.mark.parametrize("how", ["rejected", "canceled", "rescinded"])
def test_single_tasking_returns_the_worker_that_does_not_get_the_task(how: str) -> None:
    desk = single()
    busy = desk.ws.create_activity(friendly_name="Busy")
    queue = desk.queue(reservation_activity=busy, max_reserved_workers=2)
    flow = desk.workflow(default=queue)
    nina, otto = desk.worker("nina"), desk.worker("otto")
    task = desk.task(flow)
    first, second = task.live_reservations
    assert (nina.activity, otto.activity) == (busy, busy)
    if how == "rejected":
        desk.answer(first, "rejected")
    elif how == "canceled":
        desk.set_status(task, "canceled")
    else:
        desk.answer(second, "accepted")
    assert nina.activity is desk.available


def test_single_tasking_leaves_a_worker_alone_that_has_moved_itself() -> None:
    desk = single()
    busy = desk.ws.create_activity(friendly_name="Busy")
    flow = desk.workflow(default=desk.queue(reservation_activity=busy))
    nina = desk.worker("nina")
    task = desk.task(flow)
    desk.move(nina, desk.offline)
    desk.answer(pending(task), "rejected")
    assert nina.activity is desk.offline


def test_multitasking_ignores_the_queue_activities() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    queue = desk.queue(reservation_activity=desk.unavailable, assignment_activity=desk.unavailable)
    flow = desk.workflow(default=queue)
    nina = desk.worker("nina")
    desk.answer(pending(desk.task(flow)), "accepted")
    assert nina.activity is desk.available


# ---------------------------------------------------------------- pushes and transfers


def test_workers_that_no_other_event_tells_are_pushed_the_changed_task() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    flow = desk.workflow(default=desk.queue(max_reserved_workers=2))
    desk.worker("ann")
    bob = desk.worker("bob")
    task = desk.task(flow)
    ann_held, bob_held = task.live_reservations
    desk.answer(ann_held, "accepted")
    # Two workers at work on one task, as after a warm transfer.
    bob_held.status = ReservationStatus.ACCEPTED
    bob_held.worker_channel.active += 1
    bob_held.worker_channel.assigned_tasks += 1
    desk.commands.clear()
    desk.answer(ann_held, "completed")
    (events, *_) = desk.commands
    assert [(event.type, event.worker_sids, event.logged) for event in events] == [
        (E.RESERVATION_COMPLETED, (ann_held.worker.sid,), True),
        (E.TASK_UPDATED, (bob.sid,), False),
    ]
    assert (task.status, ann_held.status) == ("assigned", "completed")
    desk.answer(bob_held, "wrapping")
    assert task.status == "wrapping"
    desk.answer(bob_held, "completed")
    assert task.status == "completed"


def test_a_worker_whose_reservation_ended_earlier_hears_no_more_of_the_task() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    flow = desk.workflow(default=desk.queue(max_reserved_workers=2))
    desk.worker("ann")
    bob = desk.worker("bob")
    task = desk.task(flow)
    desk.answer(task.live_reservations[0], "rejected")
    desk.events()
    desk.set_status(task, "canceled")
    assert [event.worker_sids for event in desk.events()] == [(bob.sid,), (bob.sid,)]


def in_transfer(desk: Desk) -> Transfer:
    """A task on its way from nina to otto."""
    desk.worker("nina")
    held = pending(desk.task())
    desk.answer(held, "accepted")
    transfer = desk.transfer(held, desk.worker("otto"))
    desk.commands.clear()
    return transfer


def test_a_task_on_transfer_cannot_be_canceled() -> None:
    desk = Desk()
    task = in_transfer(desk).task
    before = snapshot(desk.ws)
    with pytest.raises(IllegalTransition, match="because it is not pending or reserved"):
        desk.ws.update_task(task.sid, assignment_status="canceled")
    assert snapshot(desk.ws) == before


@pytest.mark.parametrize(
    ("status", "by_task"),
    [("completed", True), ("completed", False), ("wrapping", True), ("wrapping", False)],
)
def test_an_initiator_that_finishes_takes_its_transfer_back_first(
    status: str,
    by_task: bool,
) -> None:
    desk = Desk()
    transfer = in_transfer(desk)
    task, held = transfer.task, transfer.initiating_reservation
    offer = task.live_reservations[1]
    if by_task:
        desk.set_status(task, status)
    else:
        desk.answer(held, status)
    types = desk.heard()
    assert types[:2] == [E.RESERVATION_CANCELED, E.TASK_TRANSFER_CANCELED]
    ending = [E.TASK_COMPLETED, E.RESERVATION_COMPLETED]
    assert types[2:] == (ending if status == "completed" else [E.TASK_WRAPUP, E.RESERVATION_WRAPUP])
    assert (transfer.status, task.transfer, offer.status) == ("canceled", None, "canceled")
    assert (task.status, held.status) == (status, status)
    assert held.outgoing_transfer is None
    assert json.loads(task.attributes) == {}
