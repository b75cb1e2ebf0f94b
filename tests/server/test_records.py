"""Events and statistics over REST: their bodies, their filters, and what they refuse."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from server_stub.domain.history import Window
from server_stub.domain.statistics import Durations, Totals
from server_stub.rest.record_views import RecordView
from taskrouter_worker.clock import ManualClock
from taskrouter_worker.terms import EventType
from tests.server.conftest import Open
from tests.server.raw import Answer, Desk

RESERVATIONS = {
    "reservations_created",
    "reservations_accepted",
    "reservations_rejected",
    "reservations_timed_out",
    "reservations_canceled",
    "reservations_rescinded",
    "start_time",
    "end_time",
}
CUMULATIVE = RESERVATIONS | {
    "avg_task_acceptance_time",
    "split_by_wait_time",
    "wait_duration_until_accepted",
    "wait_duration_until_canceled",
    "tasks_canceled",
    "tasks_completed",
    "tasks_deleted",
    "tasks_moved",
}
OF_WORKSPACE = CUMULATIVE | {"tasks_created", "tasks_timed_out_in_workflow"}
OF_WORKFLOW = CUMULATIVE | {"tasks_entered", "tasks_timed_out_in_workflow"}
OF_QUEUE = CUMULATIVE | {"tasks_entered", "wait_duration_in_queue_until_accepted"}
OF_WORKERS = RESERVATIONS | {"activity_durations"}
TASKS = {
    "longest_task_waiting_age",
    "longest_task_waiting_sid",
    "tasks_by_priority",
    "tasks_by_status",
    "total_tasks",
}
WORKSPACE_NOW = TASKS | {"activity_statistics", "total_workers"}
QUEUE_NOW = TASKS | {
    "activity_statistics",
    "longest_relative_task_age_in_queue",
    "longest_relative_task_sid_in_queue",
    "total_available_workers",
    "total_eligible_workers",
}
WORKERS_NOW = {"activity_statistics", "total_workers"}
OWNER = {"account_sid", "workspace_sid", "url"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_760_000_000.0)


@pytest.fixture
async def timed(open_desk: Open, clock: ManualClock) -> Desk:
    """A desk whose clock is turned by hand."""
    desk: Desk = await open_desk(clock=clock)
    return desk


def queue_sid(desk: Desk) -> str:
    return str(next(iter(desk.workspace.task_queues)))


def workflow_sid(desk: Desk) -> str:
    return str(next(iter(desk.workspace.workflows)))


async def get(desk: Desk, path: str, **query: object) -> Any:
    answer = await desk.rest("GET", f"{desk.path}/{path}", params={k: str(v) for k, v in query.items()})
    assert answer.status == 200, answer.body
    return answer.body


async def refused(desk: Desk, path: str, **query: object) -> str:
    answer = await desk.rest("GET", f"{desk.path}/{path}", params={k: str(v) for k, v in query.items()})
    assert (answer.status, answer.body["code"]) == (400, 20001), answer.body
    return str(answer.body["message"])


# --- Statistics ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "realtime", "cumulative"),
    [
        ("", WORKSPACE_NOW, OF_WORKSPACE),
        ("Workflows/{WW}/", TASKS, OF_WORKFLOW),
        ("TaskQueues/{WQ}/", QUEUE_NOW, OF_QUEUE),
        ("Workers/", WORKERS_NOW, OF_WORKERS),
    ],
)
async def test_three_forms_of_statistics_have_the_same_numbers(
    desk: Desk, place: str, realtime: set[str], cumulative: set[str]
) -> None:
    own = {"{WW}": {"workflow_sid"}, "{WQ}": {"task_queue_sid"}}
    sids = next((own[name] for name in own if name in place), set())
    place = place.replace("{WW}", workflow_sid(desk)).replace("{WQ}", queue_sid(desk))
    separate_now = await get(desk, f"{place}RealTimeStatistics")
    separate = await get(desk, f"{place}CumulativeStatistics")
    both = await get(desk, f"{place}Statistics")
    assert separate_now.keys() == realtime | OWNER | sids
    assert separate.keys() == cumulative | OWNER | sids
    assert both.keys() == {"realtime", "cumulative"} | OWNER | sids
    assert both["realtime"].keys() == realtime
    assert both["cumulative"].keys() == cumulative
    assert both["realtime"] == {key: separate_now[key] for key in realtime}
    for body, name in (
        (separate_now, "RealTimeStatistics"),
        (separate, "CumulativeStatistics"),
        (both, "Statistics"),
    ):
        assert body["url"] == f"{desk.server.rest_url}/v1{desk.path}/{place}{name}"


async def test_acceptance_time_is_whole_in_one_form_and_a_decimal_in_the_other(
    timed: Desk, clock: ManualClock
) -> None:
    for wait in (1, 2):
        task = timed.task()
        clock.advance(wait)
        worker = timed.hire(f"worker {wait}")
        [reservation] = timed.workspace.workers[worker].live_reservations
        timed.run(lambda ws, sid=reservation.sid: ws.update_reservation(sid, status="accepted"))
        assert task.status == "assigned"
    separate = await get(timed, "CumulativeStatistics")
    assert repr(separate["avg_task_acceptance_time"]) == "1"
    assert separate["wait_duration_until_accepted"] == {"avg": 1, "min": 1, "max": 2, "total": 3}
    both = await get(timed, "Statistics")
    assert repr(both["cumulative"]["avg_task_acceptance_time"]) == "1.5"


async def test_window_is_given_by_dates_or_minutes(timed: Desk, clock: ManualClock) -> None:
    """The clock starts at 2025-10-09T08:53:20Z."""
    timed.task()
    clock.advance(600)
    timed.task()

    async def created(**query: object) -> tuple[str, str, int]:
        body = await get(timed, "CumulativeStatistics", **query)
        return body["start_time"], body["end_time"], body["tasks_created"]

    now = "2025-10-09T09:03:20Z"
    assert await created() == ("2025-10-09T08:48:20Z", now, 2)
    assert await created(Minutes=5) == ("2025-10-09T08:58:20Z", now, 1)
    assert await created(StartDate="2025-10-09T08:53:20Z") == ("2025-10-09T08:53:20Z", now, 2)
    first = "2025-10-09T08:53:20Z"
    assert await created(EndDate=first) == ("2025-10-09T08:38:20Z", first, 1)
    assert await created(StartDate=first, EndDate=first, Minutes=3) == (first, first, 1)
    assert await created(Minutes=2_147_483_647) == ("1970-01-01T00:00:00Z", now, 2)


async def test_waits_are_split_by_each_threshold(timed: Desk, clock: ManualClock) -> None:
    for wait in (5, 6):
        task = timed.task()
        clock.advance(wait)
        timed.run(lambda ws, sid=task.sid: ws.update_task(sid, assignment_status="canceled"))
    body = await get(timed, "CumulativeStatistics", SplitByWaitTime="5,30")
    assert body["split_by_wait_time"] == {
        "5": {
            "above": {"tasks_canceled": 1, "reservations_accepted": 0},
            "below": {"tasks_canceled": 1, "reservations_accepted": 0},
        },
        "30": {
            "above": {"tasks_canceled": 0, "reservations_accepted": 0},
            "below": {"tasks_canceled": 2, "reservations_accepted": 0},
        },
    }
    assert (await get(timed, "CumulativeStatistics"))["split_by_wait_time"] is None


async def test_waiting_task_ages(timed: Desk, clock: ManualClock) -> None:
    task = timed.task()
    clock.advance(42.9)
    body = await get(timed, f"TaskQueues/{queue_sid(timed)}/RealTimeStatistics")
    assert (body["longest_task_waiting_age"], body["longest_task_waiting_sid"]) == (42, task.sid)
    assert (body["longest_relative_task_age_in_queue"], body["longest_relative_task_sid_in_queue"]) == (
        42,
        task.sid,
    )
    assert body["tasks_by_status"] == {"pending": 1, "reserved": 0, "assigned": 0, "wrapping": 0}
    assert body["tasks_by_priority"] == {"0": 1}


async def test_eligible_workers_count_in_any_activity_and_available_ones_though_busy(desk: Desk) -> None:
    desk.hire("nina")
    desk.hire("omar", "Offline")
    desk.task()  # nina's
    body = await get(desk, f"TaskQueues/{queue_sid(desk)}/RealTimeStatistics")
    assert (body["total_eligible_workers"], body["total_available_workers"]) == (2, 1)
    assert [(a["friendly_name"], a["workers"]) for a in body["activity_statistics"]] == [
        ("Offline", 1),
        ("Available", 1),
        ("Unavailable", 0),
    ]


async def test_task_channel_restricts_the_numbers(desk: Desk) -> None:
    desk.run(lambda ws: ws.create_task(task_channel="chat"))
    chat = desk.workspace.task_channel("chat").sid
    for name in ("chat", chat):
        body = await get(desk, "Statistics", TaskChannel=name)
        assert (body["realtime"]["total_tasks"], body["cumulative"]["tasks_created"]) == (1, 1)
    body = await get(desk, "Statistics", TaskChannel="voice")
    assert (body["realtime"]["total_tasks"], body["cumulative"]["tasks_created"]) == (0, 0)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"TaskChannel": "pigeon"}, "TaskChannel"),
        ({"Minutes": 0}, "Minutes"),
        ({"SplitByWaitTime": "5,soon"}, "SplitByWaitTime"),
        ({"SplitByWaitTime": ",".join(map(str, range(101)))}, "SplitByWaitTime"),
        ({"StartDate": "yesterday"}, "StartDate"),
        ({"StartDate": "2025-01-02T00:00:00Z", "EndDate": "2025-01-01T00:00:00Z"}, "StartDate"),
        ({"EndDate": "9999-12-31T23:59:59-01:00"}, "EndDate"),  # in UTC a year that no date can show
    ],
)
@pytest.mark.parametrize("path", ["Statistics", "TaskQueues/Statistics"])
async def test_bad_parameter_is_named(desk: Desk, path: str, query: dict[str, object], named: str) -> None:
    assert named in await refused(desk, path, **query)


async def test_every_worker_has_every_channel_so_that_only_a_wrong_one_matters_to_them(desk: Desk) -> None:
    desk.hire("nina")
    assert (await get(desk, "Workers/RealTimeStatistics", TaskChannel="chat"))["total_workers"] == 1
    assert "TaskChannel" in await refused(desk, "Workers/RealTimeStatistics", TaskChannel="pigeon")


async def test_list_of_queues_statistics_is_paged_and_filtered(desk: Desk) -> None:
    for name in ("Cards", "Loans"):
        desk.run(lambda ws, name=name: ws.create_task_queue(friendly_name=name))
    first = await get(desk, "TaskQueues/Statistics", PageSize=2)
    assert first["meta"]["key"] == "task_queues_statistics"
    second = (await desk.rest("GET", first["meta"]["next_page_url"])).body
    items = first["task_queues_statistics"] + second["task_queues_statistics"]
    assert [item["task_queue_sid"] for item in items] == list(desk.workspace.task_queues)
    for item in items:
        assert item.keys() == {
            "account_sid",
            "workspace_sid",
            "task_queue_sid",
            "realtime",
            "cumulative",
        }
        assert (item["realtime"].keys(), item["cumulative"].keys()) == (QUEUE_NOW, OF_QUEUE)
    [loans] = (await get(desk, "TaskQueues/Statistics", FriendlyName="Loans"))["task_queues_statistics"]
    assert loans["task_queue_sid"] == items[2]["task_queue_sid"]


async def test_bulk_statistics_leave_out_queues_that_do_not_exist(desk: Desk) -> None:
    desk.task()
    answer = await bulk(desk, {"QueueSids": ["WQ" + "0" * 32, queue_sid(desk)]})
    assert answer.status == 200
    assert answer.body.keys() == OWNER | {"task_queue_data", "task_queue_response_count"}
    [entry] = answer.body["task_queue_data"]
    assert answer.body["task_queue_response_count"] == 1
    assert entry.keys() == QUEUE_NOW - {
        "longest_relative_task_age_in_queue",
        "longest_relative_task_sid_in_queue",
    } | {"task_queue_sid"}
    assert (entry["task_queue_sid"], entry["total_tasks"]) == (queue_sid(desk), 1)


@pytest.mark.parametrize(
    "body",
    [{}, [], {"QueueSids": "WQ1"}, {"QueueSids": ["WK" + "0" * 32]}, {"QueueSids": ["WQ" + "0" * 32] * 51}],
)
async def test_bulk_statistics_need_a_list_of_at_most_50_queues(desk: Desk, body: object) -> None:
    answer = await bulk(desk, body)
    assert (answer.status, answer.body["code"]) == (400, 20001)
    assert "QueueSids" in answer.body["message"]


async def test_bulk_statistics_take_json_only(desk: Desk) -> None:
    path = f"{desk.path}/TaskQueues/RealTimeStatistics"
    answer = await desk.rest("POST", path, data={"QueueSids": queue_sid(desk)})
    assert answer.status == 400
    assert "application/json" in answer.body["message"]
    answer = await desk.rest("POST", path, data=b"{", headers={"Content-Type": "application/json"})
    assert answer.status == 400


async def bulk(desk: Desk, body: object) -> Answer:
    return await desk.rest("POST", f"{desk.path}/TaskQueues/RealTimeStatistics", json=body)


async def test_workers_statistics_follow_their_filters(desk: Desk) -> None:
    nina, _ = desk.hire("nina", team=1), desk.hire("omar", team=2)
    queue = desk.run(lambda ws: ws.create_task_queue(friendly_name="Team", target_workers="team == 1"))
    desk.run(lambda ws: ws.create_task(routing_target=nina))

    async def numbers(**query: object) -> tuple[int, int]:
        body = await get(desk, "Workers/Statistics", **query)
        return body["realtime"]["total_workers"], body["cumulative"]["reservations_created"]

    assert await numbers() == (2, 1)
    assert await numbers(FriendlyName="nina") == (1, 1)
    assert await numbers(FriendlyName="omar") == (1, 0)
    assert await numbers(TaskQueueSid=queue.sid) == (1, 1)
    assert await numbers(TaskQueueName="Team", FriendlyName="omar") == (0, 0)
    assert await numbers(TaskQueueSid="WQ" + "0" * 32) == (0, 0)


async def test_filtered_workers_statistics_count_a_hundred_workers_at_most(desk: Desk) -> None:
    for number in range(101):
        desk.hire(f"worker {number}")
    body = await get(desk, "Workers/Statistics", TaskQueueSid=queue_sid(desk))
    assert body["realtime"]["total_workers"] == 100
    assert (await get(desk, "Workers/Statistics"))["realtime"]["total_workers"] == 101


async def test_worker_has_cumulative_statistics_alone(timed: Desk, clock: ManualClock) -> None:
    nina = timed.hire("nina")
    clock.advance(90)
    body = await get(timed, f"Workers/{nina}/Statistics", Minutes=1)
    assert body.keys() == OWNER | {"worker_sid", "cumulative"}
    assert body["cumulative"].keys() == OF_WORKERS
    durations = {entry.pop("friendly_name"): entry for entry in body["cumulative"]["activity_durations"]}
    available = timed.activity("Available")
    assert durations["Available"] == {"sid": available, "avg": 60, "min": 60, "max": 60, "total": 60}
    assert durations["Offline"]["total"] == 0


@pytest.mark.parametrize("name", ["Workflows/WW{}/Statistics", "TaskQueues/WQ{}/CumulativeStatistics"])
async def test_statistics_of_what_does_not_exist_are_not_found(desk: Desk, name: str) -> None:
    answer = await desk.rest("GET", f"{desk.path}/{name.format('0' * 32)}")
    assert (answer.status, answer.body["code"]) == (404, 20404)


def test_each_number_is_the_count_of_its_own_events() -> None:
    """Every type of event has a count of its own, so that none can stand in for another."""
    totals = Totals(
        events=Counter(
            {
                EventType.TASK_CREATED: 1,
                EventType.TASK_COMPLETED: 2,
                EventType.TASK_CANCELED: 3,
                EventType.TASK_DELETED: 4,
                EventType.TASK_SYSTEM_DELETED: 100,
                EventType.TASK_QUEUE_ENTERED: 5,
                EventType.TASK_QUEUE_MOVED: 6,
                EventType.WORKFLOW_ENTERED: 7,
                EventType.WORKFLOW_TIMEOUT: 8,
                EventType.RESERVATION_CREATED: 9,
                EventType.RESERVATION_ACCEPTED: 10,
                EventType.RESERVATION_REJECTED: 11,
                EventType.RESERVATION_TIMEOUT: 12,
                EventType.RESERVATION_CANCELED: 13,
                EventType.RESERVATION_RESCINDED: 14,
            }
        ),
        until_accepted=Durations(count=2, total=3_999, min=999, max=3_000),
        until_canceled=Durations(count=1, total=5_000, min=5_000, max=5_000),
        in_queue_until_accepted=Durations(count=1, total=7_000, min=7_000, max=7_000),
    )
    common = {
        "start_time": "1970-01-01T00:00:00Z",
        "end_time": "1970-01-01T00:01:00Z",
        "avg_task_acceptance_time": 1,
        "reservations_created": 9,
        "reservations_accepted": 10,
        "reservations_rejected": 11,
        "reservations_timed_out": 12,
        "reservations_canceled": 13,
        "reservations_rescinded": 14,
        "split_by_wait_time": None,
        "tasks_canceled": 3,
        "tasks_completed": 2,
        "tasks_deleted": 104,
        "tasks_moved": 6,
        "wait_duration_until_accepted": {"avg": 1, "min": 0, "max": 3, "total": 3},
        "wait_duration_until_canceled": {"avg": 5, "min": 5, "max": 5, "total": 5},
    }
    view, window = RecordView("http://127.0.0.1/v1/Workspaces", 60), Window(0, 60)
    assert view.workspace_totals(totals, window, combined=False) == {
        **common,
        "tasks_created": 1,
        "tasks_timed_out_in_workflow": 8,
    }
    assert view.workflow_totals(totals, window, combined=False) == {
        **common,
        "tasks_entered": 7,
        "tasks_timed_out_in_workflow": 8,
    }
    assert view.queue_totals(totals, window, combined=True) == {
        **common,
        "avg_task_acceptance_time": 1.9995,
        "tasks_entered": 5,
        "wait_duration_in_queue_until_accepted": {"avg": 7, "min": 7, "max": 7, "total": 7},
    }


# --- Events -------------------------------------------------------------------------------------


async def test_event_is_shown_with_all_its_fields(timed: Desk, clock: ManualClock) -> None:
    clock.advance(0.25)
    task = timed.task(topic="cards")
    [created] = (await get(timed, "Events", EventType="task.created"))["events"]
    base = f"{timed.server.rest_url}/v1{timed.path}"
    data = created.pop("event_data")
    sid = created["sid"]
    assert created == {
        "account_sid": timed.server.account_sid,
        "actor_sid": timed.server.workspace_sid,
        "actor_type": "workspace",
        "actor_url": base,
        "description": f"Task {task.sid} created",
        "event_date": "2025-10-09T08:53:20Z",
        "event_date_ms": 1_760_000_000_250,
        "event_type": "task.created",
        "resource_sid": task.sid,
        "resource_type": "task",
        "resource_url": f"{base}/Tasks/{task.sid}",
        "sid": sid,
        "source": "taskrouter",
        "source_ip_address": None,
        "workspace_sid": timed.server.workspace_sid,
        "url": f"{base}/Events/{sid}",
    }
    assert data["task_attributes"] == '{"topic": "cards"}'
    assert all(isinstance(value, str) for value in data.values())
    fetched = await get(timed, f"Events/{sid}")
    assert fetched == {**created, "event_data": data}


async def test_events_are_found_by_each_filter(desk: Desk) -> None:
    nina = desk.hire("nina")
    task = desk.run(lambda ws: ws.create_task(task_channel="chat"))
    [reservation] = task.reservations
    chat = desk.workspace.task_channel("chat").sid

    async def found(**query: object) -> list[str]:
        events = (await get(desk, "Events", **query))["events"]
        return [event["event_type"] for event in events]

    born = ["task-queue.entered", "workflow.target-matched", "workflow.entered", "task.created"]
    assert (await found())[:5] == ["reservation.created", *born]
    assert await found(TaskSid=task.sid) == ["reservation.created", *born]
    assert await found(ReservationSid=reservation) == ["reservation.created"]
    assert await found(WorkerSid=nina) == ["reservation.created", "worker.created"]
    assert await found(EventType="workflow.entered") == ["workflow.entered"]
    assert await found(EventType="nothing.such") == []
    of_queue = await found(TaskQueueSid=queue_sid(desk))
    assert of_queue == ["reservation.created", *born, "task-queue.created"]
    assert await found(WorkflowSid=workflow_sid(desk)) == ["reservation.created", *born, "workflow.created"]
    for channel in ("chat", chat):
        assert await found(TaskChannel=channel) == ["reservation.created", *born, "task-channel.created"]
    [event] = (await get(desk, "Events", EventType="worker.created"))["events"]
    assert await found(Sid=event["sid"]) == ["worker.created"]
    assert await found(Sid=event["sid"], TaskSid=task.sid) == []
    assert "WorkerSid" in await refused(desk, "Events", WorkerSid="nina")


async def test_events_are_paged_while_new_ones_come_and_time_goes_on(timed: Desk, clock: ManualClock) -> None:
    for _ in range(3):
        timed.task()
    everything = [event["sid"] for event in (await get(timed, "Events"))["events"]]
    page = await get(timed, "Events", PageSize=5)
    seen: list[str] = []
    while True:
        seen += [event["sid"] for event in page["events"]]
        timed.task()
        clock.advance(60)
        if page["meta"]["next_page_url"] is None:
            break
        page = (await timed.rest("GET", page["meta"]["next_page_url"])).body
    assert seen == everything
    clock.advance(3600)  # now the page's last event is out of the window, and still where the page ended
    previous = (await timed.rest("GET", page["meta"]["previous_page_url"])).body
    assert previous["events"] == []


async def test_events_keep_to_their_window(timed: Desk, clock: ManualClock) -> None:
    clock.advance(1)
    old = timed.task()
    clock.advance(16 * 60)
    new = timed.task()

    async def tasks(**query: object) -> list[str]:
        events = (await get(timed, "Events", EventType="task.created", **query))["events"]
        return [event["resource_sid"] for event in events]

    assert await tasks() == [new.sid]
    assert await tasks(Minutes=16) == [new.sid, old.sid]
    assert await tasks(StartDate="2025-10-09T08:53:21Z", EndDate="2025-10-09T08:53:21Z") == [old.sid]


async def test_workers_own_command_names_the_worker_as_actor(desk: Desk) -> None:
    nina = desk.client("nina")
    desk.task()
    [reservation] = desk.workspace.workers[nina.worker_sid].live_reservations
    assert (await nina.answer_reservation(reservation.sid, "rejected")).status == 200
    events = (await get(desk, "Events"))["events"]
    rejected = next(event for event in events if event["event_type"] == "reservation.rejected")
    assert (rejected["actor_type"], rejected["actor_sid"]) == ("worker", nina.worker_sid)
    assert rejected["actor_url"].endswith(f"/Workers/{nina.worker_sid}")
    again = events[0]
    assert (again["event_type"], again["actor_type"]) == ("reservation.created", "workspace")


class TickingClock(ManualClock):
    """A clock that moves on a little whenever somebody looks at it, as a real one does."""

    tick = 0.0

    def now(self) -> float:
        self.advance(self.tick)
        return super().now()


@pytest.mark.parametrize("looks", range(1, 6))
async def test_deadline_that_falls_into_a_workers_request_is_not_called_the_workers(
    open_desk: Open, looks: int
) -> None:
    clock = TickingClock(1_760_000_000.0)
    desk = await open_desk(clock=clock)
    nina = desk.client("nina")
    desk.task()
    [reservation] = desk.workspace.workers[nina.worker_sid].live_reservations
    clock.set(reservation.deadline - 0.001 * (looks - 0.5))
    clock.tick = 0.001
    answer = await nina.send(nina.me, "POST", {"Attributes": {"level": 2}})
    clock.tick = 0.0
    assert answer.status == 200, answer.body
    actors = {e["event_type"]: e["actor_type"] for e in (await get(desk, "Events"))["events"]}
    assert actors["worker.attributes.update"] == "worker"
    clock.advance(1)
    actors = {e["event_type"]: e["actor_type"] for e in (await get(desk, "Events"))["events"]}
    assert actors["reservation.timeout"] == "workspace"


async def test_event_history_goes_with_its_workspace(desk: Desk) -> None:
    other = (await desk.rest("POST", "/Workspaces", data={"FriendlyName": "other"})).body["sid"]
    [event] = (await desk.rest("GET", f"/Workspaces/{other}/Events?EventType=workspace.created")).body[
        "events"
    ]
    assert (await desk.rest("DELETE", f"/Workspaces/{other}")).status == 204
    assert (await desk.rest("GET", f"/Workspaces/{other}/Events/{event['sid']}")).status == 404
    assert (await desk.rest("GET", f"{desk.path}/Events/{event['sid']}")).status == 404
