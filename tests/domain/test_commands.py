"""Commands on resources: defaults, events, limits; refusals name the parameter and change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from server_stub.domain.errors import DomainError, InvalidArgument, NotFound, VersionConflict
from server_stub.domain.model import Limits
from taskrouter_worker.terms import EventType, QueueOrder, WorkspaceTemplate
from tests.domain.desk import Desk, configuration, pending, rule, snapshot, target

E = EventType
NONE = WorkspaceTemplate.NONE

# ---------------------------------------------------------------- new workspaces


def test_a_new_workspace_holds_what_taskrouter_puts_there() -> None:
    desk = Desk(template=NONE)
    ws = desk.ws
    assert [(a.friendly_name, a.available) for a in ws.activities.values()] == [
        ("Offline", False),
        ("Available", True),
        ("Unavailable", False),
    ]
    assert [(c.unique_name, c.friendly_name) for c in ws.task_channels.values()] == [
        ("default", "Default"),
        ("voice", "Voice"),
        ("sms", "SMS"),
        ("chat", "Programmable Chat"),
        ("video", "Video"),
    ]
    assert (ws.default_activity, ws.timeout_activity) == (desk.offline, desk.offline)
    assert (ws.task_queues, ws.workflows, ws.workers) == ({}, {}, {})
    assert (ws.multi_task_enabled, ws.prioritize_queue_order) == (True, QueueOrder.FIFO)
    assert (ws.event_callback_url, ws.events_filter) == ("", None)


def test_the_fifo_template_adds_a_queue_and_a_workflow_and_all_creations_are_recorded() -> None:
    desk = Desk()
    (queue,), (flow,) = desk.ws.task_queues.values(), desk.ws.workflows.values()
    assert (queue.friendly_name, queue.target_workers, queue.max_reserved_workers) == (
        "Sample Queue",
        "1==1",
        1,
    )
    assert (flow.friendly_name, flow.task_reservation_timeout) == ("Default Fifo Workflow", 120)
    assert json.loads(flow.configuration) == {
        "task_routing": {"filters": [], "default_filter": {"queue": queue.sid}}
    }
    assert [event.type for event in desk.created] == [
        E.WORKSPACE_CREATED,
        *[E.ACTIVITY_CREATED] * 3,
        *[E.TASK_CHANNEL_CREATED] * 5,
        E.TASK_QUEUE_CREATED,
        E.WORKFLOW_CREATED,
    ]
    assert [event.seq for event in desk.created] == list(range(1, 12))
    for activity, event in zip(desk.ws.activities.values(), desk.created[1:4], strict=True):
        assert activity.created_seq == event.seq


def test_a_new_worker_has_a_channel_per_task_channel() -> None:
    desk = Desk(limits=Limits(default_channel_capacity=3))
    worker = desk.ws.create_worker(friendly_name="nina")
    assert (worker.activity, worker.attributes, worker.version) == (desk.offline, "{}", 0)
    assert [c.task_channel.unique_name for c in worker.channels.values()] == [
        "default",
        "voice",
        "sms",
        "chat",
        "video",
    ]
    assert {(c.configured_capacity, c.available, c.active) for c in worker.channels.values()} == {
        (3, True, 0)
    }
    (event,) = desk.ws.take_events()
    assert (event.type, event.worker_sids) == (E.WORKER_CREATED, ())
    assert {c.created_seq for c in worker.channels.values()} == {event.seq}


def test_a_task_channel_appears_on_all_workers_and_vanishes_with_its_deletion() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    channel = desk.ws.create_task_channel(friendly_name="Mail", unique_name="mail_$1")
    desk.settle()
    held = desk.ws.worker_channel(nina.sid, "mail_$1")
    assert desk.ws.worker_channel(nina.sid, channel.sid) is desk.ws.worker_channel(nina.sid, held.sid) is held
    assert desk.task(channel="mail_$1").status == "reserved"
    other = desk.ws.create_task_channel(friendly_name="Fax", unique_name="fax")
    desk.task(channel="sms")
    desk.ws.delete_task_channel("fax")
    desk.settle()
    assert desk.heard()[-1] is E.TASK_CHANNEL_DELETED
    assert other.sid not in nina.channels
    with pytest.raises(NotFound):
        desk.ws.worker_channel(nina.sid, "fax")
    with pytest.raises(InvalidArgument, match="is open in it"):
        desk.ws.delete_task_channel(channel.sid)


def test_settings_of_the_workspace_change_with_one_event() -> None:
    desk = Desk()
    desk.wait(10)
    desk.ws.update(
        friendly_name="new",
        default_activity_sid=desk.available.sid,
        timeout_activity_sid=desk.unavailable.sid,
        event_callback_url="http://127.0.0.1:9000/events?x=1",
        events_filter="task.created , reservation.created",
        prioritize_queue_order="LIFO",
    )
    desk.settle()
    assert desk.heard() == [E.WORKSPACE_UPDATED]
    ws = desk.ws
    assert (ws.friendly_name, ws.default_activity, ws.timeout_activity) == (
        "new",
        desk.available,
        desk.unavailable,
    )
    assert (ws.events_filter, ws.date_updated) == ("task.created,reservation.created", desk.time)
    ws.update(event_callback_url="", events_filter="")
    assert (ws.event_callback_url, ws.events_filter) == ("", None)
    desk.settle()
    desk.heard()
    ws.update(friendly_name="new")
    desk.settle()
    assert desk.heard() == []
    ws.delete()
    desk.settle()
    assert desk.heard() == [E.WORKSPACE_DELETED]


def test_updates_and_deletions_have_their_events() -> None:
    desk = Desk(template=NONE)
    ws = desk.ws
    activity = ws.create_activity(friendly_name="Lunch")
    ws.update_activity(activity.sid, friendly_name="Supper")
    ws.update_task_channel("chat", friendly_name="Chat")
    queue = ws.create_task_queue(friendly_name="Cards")
    ws.update_task_queue(queue.sid, friendly_name="Loans")  # a rename has no event
    ws.update_task_queue(queue.sid, target_workers="level > 1")
    flow = ws.create_workflow(friendly_name="Desk", configuration=configuration())
    ws.update_workflow(flow.sid, friendly_name="Front")
    ws.delete_workflow(flow.sid)
    ws.delete_task_queue(queue.sid)
    ws.delete_activity(activity.sid)
    worker = ws.create_worker(friendly_name="nina")
    ws.delete_worker(worker.sid)
    desk.settle()
    assert desk.heard() == [
        E.ACTIVITY_CREATED,
        E.ACTIVITY_UPDATED,
        E.TASK_CHANNEL_UPDATED,
        E.TASK_QUEUE_CREATED,
        E.TASK_QUEUE_EXPRESSION_UPDATED,
        E.WORKFLOW_CREATED,
        E.WORKFLOW_UPDATED,
        E.WORKFLOW_DELETED,
        E.TASK_QUEUE_DELETED,
        E.ACTIVITY_DELETED,
        E.WORKER_CREATED,
        E.WORKER_DELETED,
    ]
    assert (ws.workers, ws.worker_channels, ws.task_queues, ws.workflows) == ({}, {}, {}, {})


def test_queue_and_workflow_values_can_be_cleared() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue(reservation_activity=desk.unavailable)
    desk.ws.update_task_queue(queue.sid, max_reserved_workers=50)
    assert (queue.reservation_activity, queue.max_reserved_workers) == (desk.unavailable, 50)
    desk.ws.update_task_queue(queue.sid, reservation_activity_sid="")
    assert queue.reservation_activity is None
    flow = desk.ws.create_workflow(
        friendly_name="x", configuration=configuration(), assignment_callback_url="https://example.com/a"
    )
    assert flow.assignment_callback_url == "https://example.com/a"
    desk.ws.update_workflow(flow.sid, assignment_callback_url="")
    assert flow.assignment_callback_url is None


def test_a_queue_version_rises_once_per_command() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue()
    assert queue.version == 0
    desk.wait(5)
    desk.ws.update_task_queue(queue.sid, friendly_name="x", target_workers="1==2", max_reserved_workers=2)
    assert (queue.version, queue.date_updated) == (1, desk.time)


# ---------------------------------------------------------------- lookups


def test_lookups_refuse_what_is_unknown_or_of_another_parent() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task()
    held = pending(task)
    assert desk.ws.reservation(held.sid, worker_sid=nina.sid, task_sid=task.sid) is held
    for lookup in (
        lambda: desk.ws.reservation(held.sid, worker_sid="WK" + "f" * 32),
        lambda: desk.ws.reservation(held.sid, task_sid="WT" + "f" * 32),
        lambda: desk.ws.activity("WA" + "f" * 32),
        lambda: desk.ws.worker("WK" + "f" * 32),
        lambda: desk.ws.task("WT" + "f" * 32),
        lambda: desk.ws.task_channel("fax"),
        lambda: desk.ws.task_queue("WQ" + "f" * 32),
        lambda: desk.ws.workflow("WW" + "f" * 32),
        lambda: desk.ws.transfer("TT" + "f" * 32),
        lambda: desk.ws.worker_channel(nina.sid, "fax"),
        lambda: desk.ws.worker_channel("WK" + "f" * 32, "chat"),
    ):
        with pytest.raises(NotFound) as caught:
            lookup()
        assert (caught.value.status, caught.value.code) == (404, 20404)
    assert desk.ws.task_channel("chat") is desk.ws.task_channel(desk.ws.task_channel("chat").sid)


# ---------------------------------------------------------------- refusals


class Scene:
    """A desk in full swing, on which every refusal below is tried."""

    def __init__(self) -> None:
        self.desk = Desk(
            template=NONE,
            limits=Limits(max_activities=4, max_task_queues=2, max_workers=3, max_attributes_length=50),
        )
        desk = self.desk
        self.ws: Any = desk.ws  # commands get values that their signatures forbid
        self.used = desk.queue("Used")
        self.free = desk.queue("Free", reservation_activity=desk.unavailable)
        self.flow = desk.workflow(rule(target(self.used, timeout=9)), default=self.used)
        self.second = desk.workflow(name="second")
        self.lunch = desk.ws.create_activity(friendly_name="Lunch", available=True)
        self.nina = desk.worker("nina")
        self.idle = desk.worker("idle", activity=desk.offline)
        desk.worker("lunching", activity=self.lunch)
        self.task = desk.task(self.flow, channel="chat")
        self.held = pending(self.task)
        self.waiting = desk.task(self.flow, channel="video", priority=3)
        desk.heard()


FAR = 4_000_000_000.0
OTHER = {prefix: prefix + "f" * 32 for prefix in ("WA", "WK", "WQ", "WW", "WT")}
LEADS_NOWHERE = json.dumps({"task_routing": {"default_filter": {"queue": OTHER["WQ"]}}})

REFUSALS: dict[str, tuple[str, Callable[[Scene], object]]] = {
    # what is missing or too long
    "activity name missing": (
        "FriendlyName field is required",
        lambda s: s.ws.create_activity(friendly_name=None),
    ),
    "activity name blank": (
        "FriendlyName field is required",
        lambda s: s.ws.create_activity(friendly_name=" "),
    ),
    "activity name too long": (
        "FriendlyName",
        lambda s: s.ws.update_activity(s.lunch.sid, friendly_name="x" * 65),
    ),
    "activity name no text": ("FriendlyName", lambda s: s.ws.create_activity(friendly_name=5)),
    "activity name half a surrogate": (
        "FriendlyName",
        lambda s: s.ws.create_activity(friendly_name="\ud800"),
    ),
    "activity name taken": (
        "Activity with the same friendly name",
        lambda s: s.ws.create_activity(friendly_name="Offline"),
    ),
    "activity available no boolean": (
        "Available",
        lambda s: s.ws.create_activity(friendly_name="x", available="yes"),
    ),
    "too many activities": ("4 activities", lambda s: s.ws.create_activity(friendly_name="fifth")),
    "default activity deleted": ("default activity", lambda s: s.ws.delete_activity(s.desk.offline.sid)),
    "activity of a worker deleted": ("activity of worker", lambda s: s.ws.delete_activity(s.lunch.sid)),
    "activity of a queue deleted": (
        "used by task queue",
        lambda s: s.ws.delete_activity(s.desk.unavailable.sid),
    ),
    # workspace
    "workspace name": ("FriendlyName", lambda s: s.ws.update(friendly_name="")),
    "workspace default activity": (
        "DefaultActivitySid",
        lambda s: s.ws.update(default_activity_sid=OTHER["WA"]),
    ),
    "workspace timeout activity": ("TimeoutActivitySid", lambda s: s.ws.update(timeout_activity_sid="WK1")),
    "workspace url": ("EventCallbackUrl", lambda s: s.ws.update(event_callback_url="ftp://x/")),
    "workspace url without host": ("EventCallbackUrl", lambda s: s.ws.update(event_callback_url="http:///x")),
    "workspace url malformed": ("EventCallbackUrl", lambda s: s.ws.update(event_callback_url="http://[::1")),
    "workspace filter": ("EventsFilter", lambda s: s.ws.update(events_filter="task.created,task.born")),
    "workspace single-tasking": ("MultiTaskEnabled", lambda s: s.ws.update(multi_task_enabled=False)),
    "workspace order": ("PrioritizeQueueOrder", lambda s: s.ws.update(prioritize_queue_order="RANDOM")),
    "workspace second value wrong": (
        "EventCallbackUrl",
        lambda s: s.ws.update(friendly_name="ok", event_callback_url="x"),
    ),
    # task channels
    "channel unique name taken": (
        "UniqueName",
        lambda s: s.ws.create_task_channel(friendly_name="x", unique_name="chat"),
    ),
    "channel unique name with hyphen": (
        "UniqueName",
        lambda s: s.ws.create_task_channel(friendly_name="x", unique_name="a-b"),
    ),
    "channel unique name with digit first": (
        "UniqueName",
        lambda s: s.ws.create_task_channel(friendly_name="x", unique_name="1a"),
    ),
    "channel unique name not ASCII": (
        "UniqueName",
        lambda s: s.ws.create_task_channel(friendly_name="x", unique_name="é"),
    ),
    "channel routing no boolean": (
        "ChannelOptimizedRouting",
        lambda s: s.ws.update_task_channel("chat", channel_optimized_routing=1),
    ),
    "default channel deleted": ("default", lambda s: s.ws.delete_task_channel("default")),
    "channel in use deleted": ("is open in it", lambda s: s.ws.delete_task_channel("chat")),
    # queues
    "queue name taken": (
        "TaskQueue with the same friendly name",
        lambda s: s.ws.update_task_queue(s.free.sid, friendly_name="Used"),
    ),
    "queue expression": (
        "TargetWorkers is not valid: extraneous input '-'",
        lambda s: s.ws.update_task_queue(s.free.sid, friendly_name="x", target_workers="no-pe == 1"),
    ),
    "queue max reserved": (
        "MaxReservedWorkers",
        lambda s: s.ws.update_task_queue(s.free.sid, max_reserved_workers=51),
    ),
    "queue max reserved zero": (
        "MaxReservedWorkers",
        lambda s: s.ws.create_task_queue(friendly_name="x", max_reserved_workers=0),
    ),
    "queue order": ("TaskOrder", lambda s: s.ws.update_task_queue(s.free.sid, task_order="fifo")),
    "queue reservation activity": (
        "ReservationActivitySid",
        lambda s: s.ws.update_task_queue(s.free.sid, reservation_activity_sid=OTHER["WA"]),
    ),
    "queue assignment activity": (
        "AssignmentActivitySid",
        lambda s: s.ws.create_task_queue(friendly_name="x", assignment_activity_sid=OTHER["WK"]),
    ),
    "too many queues": ("2 task queues", lambda s: s.ws.create_task_queue(friendly_name="third")),
    "queue of a workflow deleted": ("uses it", lambda s: s.ws.delete_task_queue(s.used.sid)),
    # workflows
    "workflow configuration missing": (
        "Configuration field is required",
        lambda s: s.ws.create_workflow(friendly_name="x", configuration=None),
    ),
    "workflow configuration malformed": (
        "Configuration",
        lambda s: s.ws.update_workflow(s.flow.sid, friendly_name="x", configuration="{}"),
    ),
    "workflow names an unknown queue": (
        OTHER["WQ"],
        lambda s: s.ws.create_workflow(friendly_name="x", configuration=LEADS_NOWHERE),
    ),
    "workflow timeout": (
        "TaskReservationTimeout",
        lambda s: s.ws.update_workflow(s.flow.sid, task_reservation_timeout=86_401),
    ),
    "workflow timeout zero": (
        "TaskReservationTimeout",
        lambda s: s.ws.create_workflow(
            friendly_name="x", configuration=configuration(), task_reservation_timeout=0
        ),
    ),
    "workflow url": (
        "AssignmentCallbackUrl",
        lambda s: s.ws.update_workflow(s.flow.sid, assignment_callback_url="desk"),
    ),
    "workflow fallback url": (
        "FallbackAssignmentCallbackUrl",
        lambda s: s.ws.update_workflow(s.flow.sid, fallback_assignment_callback_url="/x"),
    ),
    "workflow re-evaluation": (
        "ReEvaluateTasks",
        lambda s: s.ws.update_workflow(s.flow.sid, re_evaluate_tasks="no"),
    ),
    "workflow in use deleted": ("is open in it", lambda s: s.ws.delete_workflow(s.flow.sid)),
    # workers
    "worker name taken": (
        "Worker with the same friendly name already exists",
        lambda s: s.ws.update_worker(s.idle.sid, friendly_name="NINA"),
    ),
    "worker name missing": ("FriendlyName field is required", lambda s: s.ws.create_worker(friendly_name="")),
    "worker attributes no object": ("Attributes", lambda s: s.ws.update_worker(s.nina.sid, attributes="[1]")),
    "worker attributes no JSON": (
        "Attributes",
        lambda s: s.ws.create_worker(friendly_name="x", attributes="{"),
    ),
    "worker attributes NaN": (
        "Attributes",
        lambda s: s.ws.update_worker(s.nina.sid, attributes='{"a": NaN}'),
    ),
    "worker attributes too long": (
        "at most 50 characters",
        lambda s: s.ws.update_worker(s.nina.sid, attributes=json.dumps({"a": "x" * 50})),
    ),
    "worker activity unknown": (
        "ActivitySid",
        lambda s: s.ws.update_worker(s.nina.sid, activity_sid=OTHER["WA"]),
    ),
    "worker activity of another kind": (
        "ActivitySid",
        lambda s: s.ws.update_worker(s.nina.sid, friendly_name="ok", activity_sid=OTHER["WK"]),
    ),
    "worker rejects without leaving": (
        "RejectPendingReservations",
        lambda s: s.ws.update_worker(
            s.nina.sid, activity_sid=s.lunch.sid, reject_pending_reservations=True, attributes="{}"
        ),
    ),
    "too many workers": ("3 workers", lambda s: s.ws.create_worker(friendly_name="fourth")),
    "worker with open reservation deleted": ("is pending", lambda s: s.ws.delete_worker(s.nina.sid)),
    "worker capacity negative": (
        "Capacity",
        lambda s: s.ws.update_worker_channel(s.nina.sid, "chat", capacity=-1),
    ),
    "worker capacity too large": (
        "Capacity",
        lambda s: s.ws.update_worker_channel(s.nina.sid, "chat", capacity=51),
    ),
    "worker capacity boolean": (
        "Capacity",
        lambda s: s.ws.update_worker_channel(s.nina.sid, "chat", capacity=True),
    ),
    "worker channel switch": (
        "Available",
        lambda s: s.ws.update_worker_channel(s.nina.sid, "chat", capacity=3, available="true"),
    ),
    # tasks
    "task without workflow": ("WorkflowSid field is required", lambda s: s.ws.create_task()),
    "task workflow unknown": ("WorkflowSid", lambda s: s.ws.create_task(workflow_sid=OTHER["WW"])),
    "task workflow of another kind": ("WorkflowSid", lambda s: s.ws.create_task(workflow_sid=s.used.sid)),
    "task attributes": ("Attributes", lambda s: s.ws.create_task(workflow_sid=s.flow.sid, attributes="")),
    "task priority": ("Priority", lambda s: s.ws.create_task(workflow_sid=s.flow.sid, priority=2**31)),
    "task priority negative": ("Priority", lambda s: s.ws.update_task(s.waiting.sid, priority=-1)),
    "task timeout": ("Timeout", lambda s: s.ws.create_task(workflow_sid=s.flow.sid, timeout=1_209_601)),
    "task timeout zero": ("Timeout", lambda s: s.ws.create_task(workflow_sid=s.flow.sid, timeout=0)),
    "task channel": (
        "TaskChannel 'fax'",
        lambda s: s.ws.create_task(workflow_sid=s.flow.sid, task_channel="fax"),
    ),
    "task start in the future": (
        "VirtualStartTime",
        lambda s: s.ws.create_task(workflow_sid=s.flow.sid, virtual_start_time=FAR),
    ),
    "task start before 1900": (
        "VirtualStartTime",
        lambda s: s.ws.update_task(s.waiting.sid, virtual_start_time=-FAR),
    ),
    "task start no number": (
        "VirtualStartTime",
        lambda s: s.ws.update_task(s.waiting.sid, virtual_start_time=float("nan")),
    ),
    "task target malformed": ("RoutingTarget", lambda s: s.ws.create_task(routing_target="nina")),
    "task target of another kind": ("RoutingTarget", lambda s: s.ws.create_task(routing_target=OTHER["WT"])),
    "task target unknown worker": ("RoutingTarget", lambda s: s.ws.create_task(routing_target=OTHER["WK"])),
    "task target unknown queue": ("RoutingTarget", lambda s: s.ws.create_task(routing_target=OTHER["WQ"])),
    "task target unknown workflow": ("RoutingTarget", lambda s: s.ws.create_task(routing_target=OTHER["WW"])),
    "task target contradicts workflow": (
        "contradicts",
        lambda s: s.ws.create_task(workflow_sid=s.flow.sid, routing_target=s.second.sid),
    ),
    "task target contradicts queue": (
        "contradicts",
        lambda s: s.ws.create_task(routing_target=s.used.sid, task_queue_sid=s.free.sid),
    ),
    "task queue without target": (
        "TaskQueueSid",
        lambda s: s.ws.create_task(workflow_sid=s.flow.sid, task_queue_sid=s.used.sid),
    ),
    "task queue unknown": (
        "TaskQueueSid",
        lambda s: s.ws.create_task(routing_target=s.nina.sid, task_queue_sid=OTHER["WQ"]),
    ),
    "task ignore capacity": (
        "IgnoreCapacity",
        lambda s: s.ws.create_task(routing_target=s.nina.sid, ignore_capacity="True"),
    ),
    "task status": ("AssignmentStatus", lambda s: s.ws.update_task(s.task.sid, assignment_status="pending")),
    "task status unknown": (
        "AssignmentStatus",
        lambda s: s.ws.update_task(s.task.sid, assignment_status="done"),
    ),
    "task reason alone": ("Reason", lambda s: s.ws.update_task(s.task.sid, reason="x")),
    "task illegal status with attributes": (
        "Cannot complete",
        lambda s: s.ws.update_task(s.waiting.sid, attributes='{"a": 1}', assignment_status="completed"),
    ),
    # reservations
    "reservation status": (
        "ReservationStatus",
        lambda s: s.ws.update_reservation(s.held.sid, status="ended"),
    ),
    "reservation activity with acceptance": (
        "WorkerActivitySid",
        lambda s: s.ws.update_reservation(s.held.sid, status="accepted", worker_activity_sid=s.lunch.sid),
    ),
    "reservation activity unknown": (
        "WorkerActivitySid",
        lambda s: s.ws.update_reservation(s.held.sid, status="rejected", worker_activity_sid=OTHER["WA"]),
    ),
    "reservation completed while pending": (
        "already in state [pending] and cannot be updated to [completed]",
        lambda s: s.ws.update_reservation(s.held.sid, status="completed"),
    ),
    # nothing there
    "unknown activity": ("not found", lambda s: s.ws.update_activity(OTHER["WA"], friendly_name="x")),
    "unknown worker": ("not found", lambda s: s.ws.delete_worker(OTHER["WK"])),
    "unknown task": ("not found", lambda s: s.ws.delete_task(OTHER["WT"])),
    "unknown queue": ("not found", lambda s: s.ws.delete_task_queue(OTHER["WQ"])),
    "unknown workflow": ("not found", lambda s: s.ws.update_workflow(OTHER["WW"])),
    "unknown channel": ("not found", lambda s: s.ws.update_task_channel("fax")),
    "unknown reservation": ("not found", lambda s: s.ws.update_reservation("WR1", status="accepted")),
    # versions
    "stale worker": ("version 7", lambda s: s.ws.update_worker(s.nina.sid, attributes="{}", if_match=7)),
    "stale worker deleted": ("version 7", lambda s: s.ws.delete_worker(s.idle.sid, if_match=7)),
    "stale task": ("version 7", lambda s: s.ws.update_task(s.task.sid, priority=1, if_match=7)),
    "stale task deleted": ("version 7", lambda s: s.ws.delete_task(s.task.sid, if_match=7)),
    "stale reservation": (
        "version 7",  # and not "already in state": the version is checked first
        lambda s: s.ws.update_reservation(s.held.sid, status="completed", if_match=7),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_command_names_its_parameter_and_changes_nothing(case: str) -> None:
    message, command = REFUSALS[case]
    scene = Scene()
    before = snapshot(scene.desk.ws)
    with pytest.raises(DomainError) as caught:
        command(scene)
    assert message in str(caught.value)
    assert snapshot(scene.desk.ws) == before
    assert scene.desk.ws.take_events() == []
    assert not scene.desk.ws.route()


def test_the_present_version_is_accepted() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task()
    held = pending(task)
    desk.ws.update_reservation(held.sid, status="accepted", if_match=0)
    desk.ws.take_events()
    desk.ws.update_task(task.sid, attributes='{"a": 1}', if_match=2)
    desk.ws.update_worker(nina.sid, attributes='{"a": 1}', if_match=1)
    assert (held.version, task.version, nina.version) == (1, 3, 2)
    with pytest.raises(VersionConflict) as caught:
        desk.ws.update_worker(nina.sid, attributes="{}", if_match=1)
    assert (caught.value.status, caught.value.code) == (412, 20412)


def test_a_name_is_free_again_after_renaming_and_deletion() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    desk.ws.update_worker(nina.sid, friendly_name="Nina")  # the same name in another case is its own
    desk.ws.update_worker(nina.sid, friendly_name="maria")
    second = desk.worker("NINA")
    desk.ws.delete_worker(second.sid)
    assert desk.worker("nina").friendly_name == "nina"


def test_deeply_nested_attributes_are_refused_without_overflow() -> None:
    desk = Desk()
    text = '{"a":' + "[" * 2_040 + "]" * 2_040 + "}"
    with pytest.raises(InvalidArgument, match="Attributes is not valid: expected at most 100 levels"):
        desk.ws.create_worker(friendly_name="nina", attributes=text)
    brackets_in_text_do_not_count = json.dumps({"a": "[{" * 500, "b": [[]] * 200})
    desk.ws.create_worker(friendly_name="nina", attributes=brackets_in_text_do_not_count)


def test_text_is_kept_as_it_was_given() -> None:
    desk = Desk()
    text = '{ "b" : 1,  "a":"é" }'
    worker = desk.ws.create_worker(friendly_name="nina", attributes=text)
    task = desk.ws.create_task(attributes=text)
    assert (worker.attributes, task.attributes) == (text, text)
