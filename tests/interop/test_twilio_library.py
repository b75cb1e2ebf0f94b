"""The `twilio` library runs a contact centre over REST, its base URL changed and nothing else."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.rest import Client

from server_stub import StubServer
from tests.support import close_client, rest_client

UTC = dt.UTC
LONG_AGO = dt.datetime(2025, 3, 1, 9, 15, 30, tzinfo=UTC)


@pytest.fixture
def workspace(twilio_client: Client) -> Any:
    """The library's context of a workspace made from the FIFO template."""
    created = twilio_client.taskrouter.v1.workspaces.create(friendly_name="desk", template="FIFO")
    return twilio_client.taskrouter.v1.workspaces(created.sid)


@pytest.fixture
def available(workspace: Any) -> str:
    return str(workspace.activities.list(friendly_name="Available")[0].sid)


def fields(instance: Any) -> dict[str, Any]:
    """Everything the server said about an object, as the library holds it."""
    return {name: value for name, value in vars(instance).items() if not name.startswith("_")}


def assert_same(first: Any, second: Any) -> None:
    """Both show the same object in the same state; a task's age may go on."""
    ours, theirs = fields(first), fields(second)
    ours.pop("age", None), theirs.pop("age", None)
    assert ours == theirs


def refusal(call: Callable[[], object]) -> TwilioRestException:
    with pytest.raises(TwilioRestException) as caught:
        call()
    return caught.value


def page_refusal(fetch: Callable[[], object]) -> tuple[int, int]:
    """Status and code of a list that failed: there the library hands out the bare response."""
    with pytest.raises(TwilioException) as caught:
        fetch()
    _, response = caught.value.args
    return response.status_code, json.loads(response.text)["code"]


def assert_gone(fetch: Callable[[], object], path: str) -> None:
    error = refusal(fetch)
    assert (error.status, error.code) == (404, 20404)
    assert error.msg == f"Unable to fetch record: The requested resource {path} was not found"


def hire(workspace: Any, name: str, activity_sid: str, **attributes: object) -> Any:
    return workspace.workers.create(
        friendly_name=name, activity_sid=activity_sid, attributes=json.dumps(attributes)
    )


# --- Workspaces ---------------------------------------------------------------------------------


def test_workspace_lives_its_whole_life(twilio_client: Client) -> None:
    workspaces = twilio_client.taskrouter.v1.workspaces
    created = workspaces.create(
        friendly_name="night desk",
        event_callback_url="http://127.0.0.1:9/events",
        prioritize_queue_order="LIFO",
    )
    assert (created.friendly_name, created.prioritize_queue_order) == ("night desk", "LIFO")
    assert created.event_callback_url == "http://127.0.0.1:9/events"
    assert (created.default_activity_name, created.timeout_activity_name) == ("Offline", "Offline")
    assert created.multi_task_enabled is True
    assert created.account_sid == twilio_client.username
    assert isinstance(created.date_created, dt.datetime)
    assert_same(workspaces(created.sid).fetch(), created)
    [available] = workspaces(created.sid).activities.list(available="true")
    updated = workspaces(created.sid).update(
        friendly_name="day desk", default_activity_sid=available.sid, event_callback_url=""
    )
    assert (updated.friendly_name, updated.default_activity_name) == ("day desk", "Available")
    assert updated.event_callback_url == ""
    assert_same(workspaces(created.sid).fetch(), updated)
    assert [w.sid for w in workspaces.list(friendly_name="day desk")] == [created.sid]
    assert workspaces.list(friendly_name="night desk") == []
    assert workspaces(created.sid).delete()
    assert_gone(workspaces(created.sid).fetch, f"/Workspaces/{created.sid}")


def test_fifo_template_brings_queue_and_workflow(workspace: Any) -> None:
    [queue] = workspace.task_queues.list()
    [workflow] = workspace.workflows.list()
    assert (queue.friendly_name, queue.target_workers, queue.max_reserved_workers) == (
        "Sample Queue",
        "1==1",
        1,
    )
    assert (workflow.friendly_name, workflow.task_reservation_timeout) == ("Default Fifo Workflow", 120)
    assert json.loads(workflow.configuration)["task_routing"]["default_filter"] == {"queue": queue.sid}
    assert [a.friendly_name for a in workspace.activities.list()] == ["Offline", "Available", "Unavailable"]
    assert [c.unique_name for c in workspace.task_channels.list()] == [
        "default",
        "voice",
        "sms",
        "chat",
        "video",
    ]


def test_empty_template_brings_neither(twilio_client: Client) -> None:
    created = twilio_client.taskrouter.v1.workspaces.create(friendly_name="bare")
    bare = twilio_client.taskrouter.v1.workspaces(created.sid)
    assert (bare.task_queues.list(), bare.workflows.list()) == ([], [])
    assert len(bare.activities.list()) == 3


# --- Activities, channels, queues, workflows ----------------------------------------------------


def test_activity_lives_its_whole_life(workspace: Any) -> None:
    created = workspace.activities.create(friendly_name="Lunch", available=False)
    assert (created.friendly_name, created.available) == ("Lunch", False)
    assert_same(workspace.activities(created.sid).fetch(), created)
    renamed = workspace.activities(created.sid).update(friendly_name="Break")
    assert renamed.friendly_name == "Break"
    assert [a.friendly_name for a in workspace.activities.list(available="false")] == [
        "Offline",
        "Unavailable",
        "Break",
    ]
    assert workspace.activities(created.sid).delete()
    assert created.sid not in [a.sid for a in workspace.activities.list()]


def test_default_activity_cannot_be_deleted(workspace: Any) -> None:
    default = workspace.fetch().default_activity_sid
    error = refusal(workspace.activities(default).delete)
    assert (error.status, error.code) == (400, 20001)


def test_task_channel_lives_its_whole_life(workspace: Any, available: str) -> None:
    nina = hire(workspace, "nina", available)
    created = workspace.task_channels.create(
        friendly_name="E-mail", unique_name="email", channel_optimized_routing=True
    )
    assert (created.unique_name, created.channel_optimized_routing) == ("email", True)
    assert_same(workspace.task_channels("email").fetch(), created)
    assert_same(workspace.task_channels(created.sid).fetch(), created)
    assert workspace.workers(nina.sid).worker_channels("email").fetch().configured_capacity == 1
    updated = workspace.task_channels("email").update(
        friendly_name="Letters", channel_optimized_routing=False
    )
    assert (updated.friendly_name, updated.channel_optimized_routing) == ("Letters", False)
    assert workspace.task_channels("email").delete()
    assert "email" not in [
        c.task_channel_unique_name for c in workspace.workers(nina.sid).worker_channels.list()
    ]


def test_worker_channel_is_read_and_updated(workspace: Any, available: str) -> None:
    nina = hire(workspace, "nina", available)
    channels = workspace.workers(nina.sid).worker_channels
    assert [c.task_channel_unique_name for c in channels.list()] == [
        "default",
        "voice",
        "sms",
        "chat",
        "video",
    ]
    updated = workspace.workers(nina.sid).worker_channels("chat").update(capacity=4, available=False)
    assert (updated.configured_capacity, updated.available, updated.assigned_tasks) == (4, False, 0)
    assert (updated.available_capacity_percentage, updated.worker_sid) == (100, nina.sid)
    assert_same(workspace.workers(nina.sid).worker_channels(updated.sid).fetch(), updated)


def test_task_queue_lives_its_whole_life(workspace: Any) -> None:
    created = workspace.task_queues.create(
        friendly_name="Portuguese", target_workers='lang HAS "pt"', max_reserved_workers=3, task_order="LIFO"
    )
    assert (created.target_workers, created.max_reserved_workers, created.task_order) == (
        'lang HAS "pt"',
        3,
        "LIFO",
    )
    assert created.reservation_activity_sid is None
    assert_same(workspace.task_queues(created.sid).fetch(), created)
    updated = workspace.task_queues(created.sid).update(
        target_workers='lang HAS "es"', max_reserved_workers=1
    )
    assert (updated.target_workers, updated.max_reserved_workers, updated.task_order) == (
        'lang HAS "es"',
        1,
        "LIFO",
    )
    found = workspace.task_queues.list(evaluate_worker_attributes='{"lang": ["es"]}')
    assert [queue.friendly_name for queue in found] == ["Sample Queue", "Portuguese"]
    assert workspace.task_queues(created.sid).delete()
    assert [queue.friendly_name for queue in workspace.task_queues.list()] == ["Sample Queue"]


def test_expression_that_does_not_parse_is_refused(workspace: Any) -> None:
    error = refusal(
        lambda: workspace.task_queues.create(friendly_name="broken", target_workers='lang HAS "pt')
    )
    assert (error.status, error.code) == (400, 20001)
    assert [queue.friendly_name for queue in workspace.task_queues.list()] == ["Sample Queue"]


def test_workflow_lives_its_whole_life(workspace: Any) -> None:
    [queue] = workspace.task_queues.list()
    configuration = json.dumps(
        {"task_routing": {"filters": [{"expression": "vip == true", "targets": [{"queue": queue.sid}]}]}},
        indent=1,
    )
    created = workspace.workflows.create(
        friendly_name="VIP", configuration=configuration, task_reservation_timeout=30
    )
    assert created.configuration == configuration  # the text, not another rendering of it
    assert (created.task_reservation_timeout, created.document_content_type) == (30, "application/json")
    assert_same(workspace.workflows(created.sid).fetch(), created)
    updated = workspace.workflows(created.sid).update(friendly_name="Very VIP", task_reservation_timeout=10)
    assert (updated.friendly_name, updated.task_reservation_timeout) == ("Very VIP", 10)
    assert updated.configuration == configuration
    assert workspace.workflows(created.sid).delete()
    assert [w.friendly_name for w in workspace.workflows.list()] == ["Default Fifo Workflow"]


# --- Workers ------------------------------------------------------------------------------------


def test_worker_lives_its_whole_life(workspace: Any, available: str) -> None:
    created = hire(workspace, "nina", available, lang="pt")
    assert (created.friendly_name, created.activity_name, created.available) == ("nina", "Available", True)
    assert json.loads(created.attributes) == {"lang": "pt"}
    assert isinstance(created.date_status_changed, dt.datetime)
    assert_same(workspace.workers(created.sid).fetch(), created)
    updated = workspace.workers(created.sid).update(friendly_name="Nina", attributes='{"lang":  "es"}')
    assert (updated.friendly_name, updated.attributes) == ("Nina", '{"lang":  "es"}')
    assert workspace.workers(created.sid).delete()
    assert_gone(
        workspace.workers(created.sid).fetch, f"/Workspaces/{created.workspace_sid}/Workers/{created.sid}"
    )


def test_worker_starts_in_the_default_activity(workspace: Any) -> None:
    created = workspace.workers.create(friendly_name="omar")
    assert (created.activity_name, created.available, created.attributes) == ("Offline", False, "{}")


def test_two_workers_cannot_share_a_name(workspace: Any, available: str) -> None:
    hire(workspace, "nina", available)
    error = refusal(lambda: hire(workspace, "NINA", available))
    assert (error.status, error.code) == (400, 20001)
    assert error.msg == "Unable to create record: Worker with the same friendly name already exists"


def test_workers_are_found_by_each_filter(workspace: Any, available: str) -> None:
    nina = hire(workspace, "nina", available, lang="pt", level=4)
    omar = hire(workspace, "omar", available, lang="es", level=1)
    rest = workspace.workers.create(friendly_name="rest", attributes='{"lang": "pt", "level": 1}')
    portuguese = workspace.task_queues.create(friendly_name="pt", target_workers='lang == "pt"')

    def found(**filters: object) -> list[str]:
        return [worker.sid for worker in workspace.workers.list(**filters)]

    assert found() == [nina.sid, omar.sid, rest.sid]
    assert found(available="true") == [nina.sid, omar.sid]
    assert found(available="false") == [rest.sid]
    assert found(activity_name="Offline") == [rest.sid]
    assert found(activity_sid=available) == [nina.sid, omar.sid]
    assert found(friendly_name="omar") == [omar.sid]
    assert found(target_workers_expression="level > 3") == [nina.sid]
    assert found(task_queue_sid=portuguese.sid) == [nina.sid, rest.sid]
    assert found(task_queue_name="pt", available="true") == [nina.sid]
    assert page_refusal(lambda: found(target_workers_expression="level >")) == (400, 20001)


def test_lists_are_paged(workspace: Any) -> None:
    sids = [workspace.workers.create(friendly_name=f"worker {n}").sid for n in range(7)]
    assert [w.sid for w in workspace.workers.list(page_size=3)] == sids
    assert [w.sid for w in workspace.workers.list(page_size=3, limit=5)] == sids[:5]
    assert [w.sid for w in workspace.workers.list(limit=2)] == sids[:2]
    assert [w.sid for w in workspace.workers.list(limit=5_000)] == sids
    assert [w.sid for w in workspace.workers.stream(page_size=2)] == sids
    first = workspace.workers.page(page_size=3)
    second = first.next_page()
    third = second.next_page()
    assert [[w.sid for w in page] for page in (first, second, third)] == [sids[:3], sids[3:6], sids[6:]]
    assert third.next_page() is None
    assert [w.sid for w in third.previous_page()] == sids[3:6]
    assert first.previous_page() is None


def test_what_is_listed_may_be_deleted_meanwhile(workspace: Any) -> None:
    made = [workspace.tasks.create(attributes=json.dumps({"n": n})).sid for n in range(5)]
    seen = []
    for task in workspace.tasks.stream(page_size=2):
        seen.append(task.sid)
        assert workspace.tasks(task.sid).delete()
    assert (seen, workspace.tasks.list()) == (made, [])


def test_pages_lead_back_though_the_first_item_is_gone(workspace: Any) -> None:
    made = [workspace.tasks.create().sid for _ in range(5)]
    page = workspace.tasks.page(page_size=2).next_page()
    assert [task.sid for task in page] == made[2:4]
    for sid in (made[2], made[0]):
        assert workspace.tasks(sid).delete()
    assert [task.sid for task in page.previous_page()] == [made[1]]
    assert workspace.tasks(made[1]).delete()
    with pytest.raises(TwilioException, match="21481"):  # neither end of the page is there any more
        page.previous_page()


def test_last_full_page_has_no_next_page(workspace: Any) -> None:
    for n in range(4):
        workspace.workers.create(friendly_name=f"worker {n}")
    assert workspace.workers.page(page_size=2).next_page().next_page() is None


def test_paging_by_bare_number_is_refused(workspace: Any) -> None:
    assert page_refusal(lambda: workspace.workers.page(page_number=2, page_size=2)) == (400, 40153)


# --- Tasks --------------------------------------------------------------------------------------


def test_task_keeps_everything_it_was_given(workspace: Any) -> None:
    [workflow], [queue] = workspace.workflows.list(), workspace.task_queues.list()
    created = workspace.tasks.create(
        attributes='{"topic":  "cards"}',
        priority=7,
        timeout=600,
        task_channel="chat",
        virtual_start_time=LONG_AGO,
        workflow_sid=workflow.sid,
    )
    assert (created.assignment_status, created.attributes) == ("pending", '{"topic":  "cards"}')
    assert (created.priority, created.timeout, created.reason) == (7, 600, None)
    assert created.task_channel_unique_name == "chat"
    assert created.virtual_start_time == LONG_AGO
    assert (created.workflow_sid, created.workflow_friendly_name) == (workflow.sid, "Default Fifo Workflow")
    assert (created.task_queue_sid, created.task_queue_friendly_name) == (queue.sid, "Sample Queue")
    assert created.task_queue_entered_date is None  # not yet; the next fetch shows it
    assert (created.addons, created.routing_target, created.ignore_capacity) == ("{}", None, False)
    fetched = workspace.tasks(created.sid).fetch()
    assert isinstance(fetched.task_queue_entered_date, dt.datetime)
    created.task_queue_entered_date = fetched.task_queue_entered_date
    assert_same(fetched, created)


def test_waiting_task_is_updated_canceled_and_deleted(workspace: Any) -> None:
    task = workspace.tasks.create(attributes='{"topic": "cards"}')
    updated = workspace.tasks(task.sid).update(
        attributes='{"topic": "loans"}', priority=3, virtual_start_time=LONG_AGO
    )
    assert (updated.attributes, updated.priority) == ('{"topic": "loans"}', 3)
    assert updated.virtual_start_time == LONG_AGO
    canceled = workspace.tasks(task.sid).update(assignment_status="canceled", reason="hung up")
    assert (canceled.assignment_status, canceled.reason) == ("canceled", "hung up")
    assert_same(workspace.tasks(task.sid).fetch(), canceled)
    assert workspace.tasks(task.sid).delete()
    assert_gone(workspace.tasks(task.sid).fetch, f"/Workspaces/{task.workspace_sid}/Tasks/{task.sid}")


def test_tasks_are_found_by_each_filter(workspace: Any, available: str) -> None:
    [workflow], [queue] = workspace.workflows.list(), workspace.task_queues.list()
    first = workspace.tasks.create(attributes='{"lang": "pt"}', priority=1)
    second = workspace.tasks.create(attributes='{"lang": "es"}', priority=9)
    hire(workspace, "nina", available)  # takes the one with the higher priority

    def found(**filters: object) -> list[str]:
        return [task.sid for task in workspace.tasks.list(**filters)]

    assert found() == [first.sid, second.sid]
    assert found(assignment_status="pending") == [first.sid]
    assert found(assignment_status="reserved") == [second.sid]
    assert found(assignment_status=["pending", "reserved"]) == [first.sid, second.sid]
    assert found(assignment_status="pending,reserved") == [first.sid, second.sid]
    assert found(priority=9) == [second.sid]
    assert found(workflow_sid=workflow.sid) == [first.sid, second.sid]
    assert found(workflow_name="no such") == []
    assert found(task_queue_sid=queue.sid) == [first.sid, second.sid]
    assert found(task_queue_name="Sample Queue", priority=1) == [first.sid]
    assert found(evaluate_task_attributes='lang == "es"') == [second.sid]
    assert found(ordering="Priority:desc") == [second.sid, first.sid]
    assert found(ordering="DateCreated:desc") == [second.sid, first.sid]
    assert found(ordering="Priority:desc", page_size=1) == [second.sid, first.sid]


def test_task_for_one_worker_names_its_routing_target(workspace: Any, available: str) -> None:
    nina, omar = hire(workspace, "nina", available), hire(workspace, "omar", available)
    task = workspace.tasks.create(routing_target=omar.sid)
    assert (task.routing_target, task.ignore_capacity) == (omar.sid, True)
    [reservation] = workspace.tasks(task.sid).reservations.list()
    assert reservation.worker_sid == omar.sid
    assert workspace.workers(nina.sid).reservations.list() == []


def test_attributes_must_be_a_json_object(workspace: Any) -> None:
    error = refusal(lambda: workspace.tasks.create(attributes="[1]"))
    assert (error.status, error.code) == (400, 20001)
    assert "Attributes" in error.msg
    assert workspace.tasks.list() == []


def test_task_that_waits_cannot_be_completed(workspace: Any) -> None:
    task = workspace.tasks.create()
    error = refusal(lambda: workspace.tasks(task.sid).update(assignment_status="completed", reason="done"))
    assert (error.status, error.code) == (400, 20001)
    assert error.uri == f"/Workspaces/{task.workspace_sid}/Tasks/{task.sid}"
    assert error.msg == (
        f"Unable to update record: Cannot complete task {task.sid} in workspace {task.workspace_sid} "
        f"for account {task.account_sid} because it is not currently assigned."
    )


# --- Reservations -------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["task", "worker"])
def test_reservation_is_worked_through_both_views(workspace: Any, available: str, view: str) -> None:
    nina = hire(workspace, "nina", available)
    task = workspace.tasks.create(attributes='{"topic": "cards"}')
    parent = workspace.tasks(task.sid) if view == "task" else workspace.workers(nina.sid)
    [listed] = parent.reservations.list()
    assert (listed.reservation_status, listed.worker_name) == ("pending", "nina")
    assert (listed.task_sid, listed.worker_sid) == (task.sid, nina.sid)
    assert_same(parent.reservations(listed.sid).fetch(), listed)
    for status, task_status in [
        ("accepted", "assigned"),
        ("wrapping", "wrapping"),
        ("completed", "completed"),
    ]:
        updated = parent.reservations(listed.sid).update(reservation_status=status)
        assert updated.reservation_status == status
        assert workspace.tasks(task.sid).fetch().assignment_status == task_status
        assert_same(parent.reservations(listed.sid).fetch(), updated)


def test_both_views_show_one_reservation(workspace: Any, available: str) -> None:
    nina = hire(workspace, "nina", available)
    task = workspace.tasks.create()
    [by_task] = workspace.tasks(task.sid).reservations.list()
    [by_worker] = workspace.workers(nina.sid).reservations.list()
    ours, theirs = fields(by_task), fields(by_worker)
    assert ours.pop("url").endswith(f"/Tasks/{task.sid}/Reservations/{by_task.sid}")
    assert theirs.pop("url").endswith(f"/Workers/{nina.sid}/Reservations/{by_task.sid}")
    assert ours == theirs


def test_rejecting_can_change_the_activity(workspace: Any, available: str) -> None:
    nina = hire(workspace, "nina", available)
    task = workspace.tasks.create()
    [unavailable] = workspace.activities.list(friendly_name="Unavailable")
    [reservation] = workspace.tasks(task.sid).reservations.list()
    workspace.tasks(task.sid).reservations(reservation.sid).update(
        reservation_status="rejected", worker_activity_sid=unavailable.sid
    )
    assert workspace.workers(nina.sid).fetch().activity_name == "Unavailable"
    assert workspace.tasks(task.sid).fetch().assignment_status == "pending"


def test_reservations_are_found_by_each_filter(workspace: Any, available: str) -> None:
    nina, omar = hire(workspace, "nina", available), hire(workspace, "omar", available)
    [queue] = workspace.task_queues.list()
    workspace.task_queues(queue.sid).update(max_reserved_workers=2)
    task = workspace.tasks.create()
    [of_nina] = workspace.tasks(task.sid).reservations.list(worker_sid=nina.sid)
    [of_omar] = workspace.tasks(task.sid).reservations.list(worker_sid=omar.sid)
    workspace.workers(nina.sid).reservations(of_nina.sid).update(reservation_status="accepted")

    def found(**filters: object) -> list[str]:
        return [reservation.sid for reservation in workspace.tasks(task.sid).reservations.list(**filters)]

    assert set(found()) == {of_nina.sid, of_omar.sid}
    assert found(reservation_status="accepted") == [of_nina.sid]
    assert found(reservation_status="rescinded") == [of_omar.sid]
    [rescinded] = workspace.workers(omar.sid).reservations.list(reservation_status="rescinded")
    assert rescinded.sid == of_omar.sid
    assert workspace.workers(omar.sid).reservations.list(reservation_status="pending") == []


def test_rescinded_reservation_cannot_be_accepted(workspace: Any, available: str) -> None:
    hire(workspace, "nina", available), hire(workspace, "omar", available)
    [queue] = workspace.task_queues.list()
    workspace.task_queues(queue.sid).update(max_reserved_workers=2)
    task = workspace.tasks.create()
    winner, loser = workspace.tasks(task.sid).reservations.list()
    workspace.tasks(task.sid).reservations(winner.sid).update(reservation_status="accepted")
    late = workspace.tasks(task.sid).reservations(loser.sid)
    error = refusal(lambda: late.update(reservation_status="accepted"))
    assert (error.status, error.code) == (410, 20001)


def test_reservation_belongs_to_its_parents_only(workspace: Any, available: str) -> None:
    hire(workspace, "nina", available)
    omar = workspace.workers.create(friendly_name="omar")
    task = workspace.tasks.create()
    [reservation] = workspace.tasks(task.sid).reservations.list()
    assert refusal(workspace.workers(omar.sid).reservations(reservation.sid).fetch).status == 404


# --- Versions -----------------------------------------------------------------------------------


def test_task_update_is_guarded_by_its_version(workspace: Any) -> None:
    created = workspace.tasks.create_with_http_info(attributes="{}")
    assert created.status_code == 201
    assert created.headers["ETag"] == '"0"'
    task = workspace.tasks(created.data.sid)
    answer = task.update_with_http_info(if_match='"0"', attributes='{"n": 1}')
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')
    error = refusal(lambda: task.update(if_match='"0"', attributes='{"n": 2}'))
    assert (error.status, error.code) == (412, 20412)
    unchanged = task.fetch_with_http_info()
    assert (unchanged.headers["ETag"], unchanged.data.attributes) == ('"1"', '{"n": 1}')
    for spelling in ("1", "*", 'W/"2"'):
        task.update(if_match=spelling, attributes='{"n": 3}')


def test_worker_update_is_guarded_by_its_version(workspace: Any, available: str) -> None:
    worker = workspace.workers(hire(workspace, "nina", available).sid)
    assert worker.fetch_with_http_info().headers["ETag"] == '"0"'
    worker.update(if_match="0", attributes='{"n": 1}')
    error = refusal(lambda: worker.update(if_match="0", attributes='{"n": 2}'))
    assert (error.status, error.code) == (412, 20412)
    assert worker.fetch().attributes == '{"n": 1}'


@pytest.mark.parametrize("view", ["task", "worker"])
def test_reservation_update_is_guarded_by_its_version(workspace: Any, available: str, view: str) -> None:
    nina = hire(workspace, "nina", available)
    task = workspace.tasks.create()
    parent = workspace.tasks(task.sid) if view == "task" else workspace.workers(nina.sid)
    reservation = parent.reservations(parent.reservations.list()[0].sid)
    assert reservation.fetch_with_http_info().headers["ETag"] == '"0"'
    error = refusal(lambda: reservation.update(if_match="7", reservation_status="accepted"))
    assert (error.status, error.code) == (412, 20412)
    assert reservation.update(if_match="0", reservation_status="accepted").reservation_status == "accepted"
    error = refusal(lambda: reservation.update(if_match="0", reservation_status="completed"))
    assert error.status == 412


# --- Authority ----------------------------------------------------------------------------------


def test_wrong_password_is_refused(threaded_server: StubServer) -> None:
    client = rest_client(threaded_server)
    client.auth = (threaded_server.account_sid, "wrong")
    assert page_refusal(client.taskrouter.v1.workspaces.list) == (401, 20003)
    error = refusal(client.taskrouter.v1.workspaces(threaded_server.workspace_sid).fetch)
    assert (error.status, error.code) == (401, 20003)
    close_client(client)


def test_api_key_opens_the_same_account(threaded_server: StubServer) -> None:
    client = rest_client(threaded_server)
    client.auth = (threaded_server.signing_key_sid, threaded_server.signing_key_secret)
    assert threaded_server.workspace_sid in [w.sid for w in client.taskrouter.v1.workspaces.list()]
    close_client(client)


def test_unknown_workspace_is_not_found(twilio_client: Client) -> None:
    nowhere = twilio_client.taskrouter.v1.workspaces("WS" + "0" * 32)
    assert_gone(nowhere.fetch, "/Workspaces/WS" + "0" * 32)
    assert refusal(nowhere.tasks.create).status == 404


def test_smoke_test_of_the_documentation_passes(twilio_client: Client) -> None:
    workspaces = twilio_client.taskrouter.v1.workspaces
    desk = workspaces(workspaces.create(friendly_name="desk", template="FIFO").sid)
    on = desk.activities.list(available="true")[0]
    desk.workers.create(friendly_name="nina", activity_sid=on.sid, attributes='{"lang":"pt"}')
    task = desk.tasks.create(attributes='{"topic":"cards"}')
    reservation = desk.tasks(task.sid).reservations.list()[0]
    desk.tasks(task.sid).reservations(reservation.sid).update(reservation_status="accepted")
    assert desk.tasks(task.sid).fetch().assignment_status == "assigned"
    desk.tasks(task.sid).update(assignment_status="completed", reason="done")
