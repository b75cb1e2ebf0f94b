"""The public REST API as it is on the wire."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from taskrouter_worker.clock import ManualClock
from tests.server.conftest import Open
from tests.server.raw import Desk

# --- Credentials, paths, methods ----------------------------------------------------------------


async def test_signing_key_is_as_good_as_the_auth_token(desk: Desk) -> None:
    server = desk.server
    answer = await desk.rest("GET", desk.path, auth=(server.signing_key_sid, server.signing_key_secret))
    assert answer.status == 200


@pytest.mark.parametrize("header", [None, "Basic", "Basic !!!", "Bearer x", "Basic QUM6eA=="])
async def test_bad_credentials_are_refused(desk: Desk, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    async with desk.http.get(f"{desk.server.rest_url}/v1{desk.path}", headers=headers) as response:
        body = await response.json()
    assert response.status == 401
    assert body == {
        "code": 20003,
        "message": "Authenticate",
        "more_info": "https://www.twilio.com/docs/errors/20003",
        "status": 401,
    }


async def test_credentials_of_one_kind_do_not_mix_with_the_other(desk: Desk) -> None:
    server = desk.server
    mixed = (server.account_sid, server.signing_key_secret)
    assert (await desk.rest("GET", desk.path, auth=mixed)).status == 401


async def test_unknown_sid_is_named_with_its_whole_path(desk: Desk) -> None:
    path = f"{desk.path}/Workers/WK{'7' * 32}"
    answer = await desk.rest("GET", path)
    assert answer.status == 404
    assert answer.body == {
        "code": 20404,
        "message": f"The requested resource {path} was not found",
        "more_info": "https://www.twilio.com/docs/errors/20404",
        "status": 404,
    }


@pytest.mark.parametrize(
    "path", ["/Nowhere", "/Workspaces/", "/WorkspacesX", "/Workspaces/{ws}/Workers/", "/x/y"]
)
async def test_unknown_path_is_not_found_as_json(desk: Desk, path: str) -> None:
    answer = await desk.rest("GET", path.replace("{ws}", desk.server.workspace_sid))
    assert (answer.status, answer.body["code"]) == (404, 20404)


async def test_method_that_a_path_lacks_is_not_allowed(desk: Desk) -> None:
    for method, path, allowed in (
        ("PUT", desk.path, {"GET", "POST", "DELETE"}),
        ("DELETE", f"{desk.path}/Workers", {"GET", "POST"}),
    ):
        answer = await desk.rest(method, path)
        assert (answer.status, answer.body["code"]) == (405, 20004)
        assert set(answer.headers["Allow"].split(", ")) == allowed


def form(**fields: str) -> dict[str, Any]:
    """A large form, as aiohttp's client likes it."""
    return {
        "data": io.BytesIO(urlencode(fields).encode()),
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
    }


async def test_oversized_form_is_refused_as_json(desk: Desk) -> None:
    answer = await desk.rest("POST", f"{desk.path}/Workers", **form(FriendlyName="x" * 5_000_000))
    assert (answer.status, answer.body["status"]) == (413, 413)


async def test_largest_workflow_configuration_is_taken(desk: Desk) -> None:
    queue = next(iter(desk.workspace.task_queues))
    configuration = {"task_routing": {"default_filter": {"queue": queue}}, "note": ""}
    configuration["note"] = '"' * ((1_038_576 - len(json.dumps(configuration))) // 2)
    answer = await desk.rest(
        "POST",
        f"{desk.path}/Workflows",
        **form(FriendlyName="big", Configuration=json.dumps(configuration)),
    )
    assert answer.status == 201, answer.body


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
async def test_bodies_that_are_no_forms_are_refused(desk: Desk, content_type: str) -> None:
    answer = await desk.rest(
        "POST", f"{desk.path}/Workers", data=b'{"x": 1}', headers={"Content-Type": content_type}
    )
    assert answer.status == 400
    assert "Content-Type" in answer.body["message"]


# --- Resources ----------------------------------------------------------------------------------


async def test_new_workspace_from_the_fifo_template_has_its_parts(desk: Desk) -> None:
    made = await desk.rest("POST", "/Workspaces", data={"FriendlyName": "desk", "Template": "FIFO"})
    assert made.status == 201
    workspace = made.body
    assert workspace["default_activity_name"] == "Offline"
    assert (workspace["event_callback_url"], workspace["events_filter"]) == ("", None)
    assert (workspace["multi_task_enabled"], workspace["prioritize_queue_order"]) == (True, "FIFO")
    for key, names in {
        "activities": ["Offline", "Available", "Unavailable"],
        "task_queues": ["Sample Queue"],
        "workflows": ["Default Fifo Workflow"],
        "workers": [],
    }.items():
        page = (await desk.rest("GET", workspace["links"][key])).body
        assert page["meta"]["key"] == key
        assert [item["friendly_name"] for item in page[key]] == names
    assert (await desk.rest("DELETE", workspace["url"])).status == 204
    assert (await desk.rest("GET", workspace["url"])).status == 404


async def test_worker_has_dates_links_and_the_clients_own_host(desk: Desk) -> None:
    made = await desk.rest(
        "POST",
        f"{desk.path}/Workers",
        data={"FriendlyName": "nina", "Attributes": '{ "lang" : "pt" }'},
        headers={"Host": "taskrouter.example:8000"},
    )
    assert made.status == 201
    worker = made.body
    base = f"http://taskrouter.example:8000/v1{desk.path}"
    assert worker["url"] == f"{base}/Workers/{worker['sid']}"
    assert worker["attributes"] == '{ "lang" : "pt" }'
    assert worker["links"]["statistics"] == f"{base}/Workers/Statistics"
    assert worker["links"]["worker_statistics"] == f"{worker['url']}/Statistics"
    assert all(link.startswith(base) for link in worker["links"].values())
    for key in ("date_created", "date_updated", "date_status_changed"):
        assert len(worker[key]) == len("2025-03-01T09:15:30Z")
        assert worker[key].endswith("Z")
    assert "version" not in worker


async def test_create_answer_shows_the_task_before_it_is_routed(desk: Desk) -> None:
    desk.hire("nina")
    made = (await desk.rest("POST", f"{desk.path}/Tasks", data={"Attributes": "{}"})).body
    assert (made["assignment_status"], made["task_queue_entered_date"]) == ("pending", None)
    assert made["task_queue_friendly_name"] == "Sample Queue"
    task = (await desk.rest("GET", made["url"])).body
    assert task["assignment_status"] == "reserved"
    assert task["task_queue_entered_date"] is not None


async def test_both_views_of_a_reservation_differ_by_their_url_only(desk: Desk) -> None:
    nina = desk.hire("nina")
    task = desk.task()
    [below_task] = (await desk.rest("GET", f"{desk.path}/Tasks/{task.sid}/Reservations")).body["reservations"]
    [below_worker] = (await desk.rest("GET", f"{desk.path}/Workers/{nina}/Reservations")).body["reservations"]
    assert below_task.pop("url").endswith(f"/Tasks/{task.sid}/Reservations/{below_task['sid']}")
    assert below_worker.pop("url").endswith(f"/Workers/{nina}/Reservations/{below_task['sid']}")
    assert below_task == below_worker


async def test_reservation_is_not_found_below_another_parent(desk: Desk) -> None:
    desk.hire("nina")
    omar = desk.hire("omar", "Offline")
    [reservation] = desk.task().reservations.values()
    assert (
        await desk.rest("GET", f"{desk.path}/Workers/{omar}/Reservations/{reservation.sid}")
    ).status == 404


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"ReservationStatus": "accepted"}, "accepted"),
        ({"Instruction": "Accept"}, "accepted"),
        ({"Instruction": "accept", "ReservationStatus": "rejected"}, "accepted"),
        ({}, "pending"),
    ],
)
async def test_reservation_is_updated_by_status_or_instruction(
    desk: Desk, data: dict[str, str], status: str
) -> None:
    desk.hire("nina")
    task = desk.task()
    [reservation] = task.reservations.values()
    answer = await desk.rest(
        "POST", f"{desk.path}/Tasks/{task.sid}/Reservations/{reservation.sid}", data=data
    )
    assert (answer.status, answer.body["reservation_status"]) == (200, status)


async def test_unknown_instruction_is_refused_by_its_name(desk: Desk) -> None:
    desk.hire("nina")
    task = desk.task()
    [reservation] = task.reservations.values()
    answer = await desk.rest(
        "POST",
        f"{desk.path}/Tasks/{task.sid}/Reservations/{reservation.sid}",
        data={"Instruction": "dance", "ReservationStatus": "accepted"},
    )
    assert (answer.status, answer.body["code"], answer.body["details"]) == (400, 20001, {"log_code": 55555})
    assert "'dance'" in answer.body["message"]
    assert reservation.status == "pending"


async def test_worker_channel_is_found_by_each_of_its_names(desk: Desk) -> None:
    nina = desk.hire("nina")
    channel = (await desk.rest("GET", f"{desk.path}/Workers/{nina}/Channels/chat")).body
    assert channel["available"] is True
    assert "links" not in channel
    for name in (channel["sid"], channel["task_channel_sid"]):
        again = await desk.rest(
            "POST",
            f"{desk.path}/Workers/{nina}/Channels/{name}",
            data={"Capacity": "4", "Available": "False"},
        )
        assert (again.body["configured_capacity"], again.body["available"]) == (4, False)


async def test_queue_without_activities_has_null_links(desk: Desk) -> None:
    [queue] = (await desk.rest("GET", f"{desk.path}/TaskQueues")).body["task_queues"]
    assert queue["links"]["assignment_activity"] is None
    assert queue["target_workers"] == "1==1"
    away = desk.activity("Unavailable")
    queue = (await desk.rest("POST", queue["url"], data={"AssignmentActivitySid": away})).body
    assert queue["assignment_activity_name"] == "Unavailable"
    queue = (await desk.rest("POST", queue["url"], data={"AssignmentActivitySid": ""})).body
    assert queue["assignment_activity_sid"] is None


async def test_purged_task_is_not_found(open_desk: Open) -> None:
    clock = ManualClock()
    desk = await open_desk(clock=clock)
    task = desk.task()
    url = f"{desk.path}/Tasks/{task.sid}"
    assert (await desk.rest("POST", url, data={"AssignmentStatus": "canceled"})).status == 200
    clock.advance(299)
    assert (await desk.rest("GET", url)).status == 200
    clock.advance(2)
    assert (await desk.rest("GET", url)).status == 404


# --- Parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "data", "named"),
    [
        ("Workers", {}, "FriendlyName"),
        ("Workers", {"FriendlyName": ""}, "FriendlyName"),
        ("Workers", {"FriendlyName": "x", "ActivitySid": "WK" + "0" * 32}, "ActivitySid"),
        ("TaskChannels", {"FriendlyName": "x"}, "UniqueName"),
        ("TaskQueues", {"FriendlyName": "x", "TaskOrder": "fifo"}, "TaskOrder"),
        ("TaskQueues", {"FriendlyName": "x", "MaxReservedWorkers": "two"}, "MaxReservedWorkers"),
        (
            "Workflows",
            {"FriendlyName": "x", "Configuration": "{}", "AssignmentCallbackUrl": "x"},
            "AssignmentCallbackUrl",
        ),
        ("Tasks", {"Priority": "-1"}, "Priority"),
        ("Tasks", {"VirtualStartTime": "yesterday"}, "VirtualStartTime"),
    ],
)  # fmt: skip
async def test_bad_parameter_is_named(desk: Desk, path: str, data: dict[str, str], named: str) -> None:
    answer = await desk.rest("POST", f"{desk.path}/{path}", data=data)
    assert (answer.status, answer.body["code"]) == (400, 20001)
    assert named in answer.body["message"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("1", True), ("YES", True), ("false", False), ("", False)],
)
async def test_booleans_are_read_in_many_spellings(desk: Desk, text: str, value: bool) -> None:
    answer = await desk.rest("POST", f"{desk.path}/Activities", data={"FriendlyName": "x", "Available": text})
    assert answer.body["available"] is value


async def test_available_of_an_activity_is_fixed_and_unknown_parameters_are_ignored(desk: Desk) -> None:
    made = (
        await desk.rest("POST", f"{desk.path}/Activities", data={"FriendlyName": "x", "Nonsense": "1"})
    ).body
    answer = await desk.rest("POST", made["url"], data={"Available": "true"})
    assert (answer.status, answer.body["available"]) == (200, False)


async def test_statuses_are_filtered_by_repeated_and_by_comma_parameters(desk: Desk) -> None:
    desk.hire("nina")
    tasks = [desk.task(n=n) for n in range(3)]
    desk.run(lambda ws: ws.update_task(tasks[2].sid, assignment_status="canceled"))
    for query, numbers in (
        ("AssignmentStatus=reserved&AssignmentStatus=canceled", [0, 2]),
        ("AssignmentStatus=reserved,canceled", [0, 2]),
        ("AssignmentStatus=pending", [1]),
        ("AssignmentStatus=", [0, 1, 2]),
    ):
        page = (await desk.rest("GET", f"{desk.path}/Tasks?{query}")).body
        assert [json.loads(task["attributes"])["n"] for task in page["tasks"]] == numbers, query


async def test_tasks_are_filtered_and_ordered(desk: Desk) -> None:
    for n, (priority, lang) in enumerate([(1, "pt"), (5, "de"), (1, "pt")]):
        text = json.dumps({"n": n, "lang": lang})
        desk.run(lambda ws, p=priority, t=text: ws.create_task(priority=p, attributes=t))
    for query, numbers in (
        ("Ordering=Priority:desc,DateCreated:desc", [1, 2, 0]),
        ("Priority=1", [0, 2]),
        ("EvaluateTaskAttributes=lang%3D%3D%22pt%22", [0, 2]),
        ("WorkflowName=Default%20Fifo%20Workflow&TaskQueueName=Sample%20Queue", [0, 1, 2]),
        ("TaskQueueName=Nope", []),
        ("HasAddons=true", []),
        ("HasAddons=false&Ordering=Priority:asc", [0, 2, 1]),
    ):
        page = (await desk.rest("GET", f"{desk.path}/Tasks?{query}")).body
        assert [json.loads(task["attributes"])["n"] for task in page["tasks"]] == numbers, query
    for query in (
        "Ordering=Age:asc",
        "Ordering=DateCreated:asc,VirtualStartTime:asc",
        "EvaluateTaskAttributes=a%20b",
    ):
        assert (await desk.rest("GET", f"{desk.path}/Tasks?{query}")).status == 400, query


async def test_tasks_of_one_moment_are_ordered_by_their_creation_in_either_direction(open_desk: Open) -> None:
    desk = await open_desk(clock=ManualClock(1_760_000_000.0))
    made = [desk.run(lambda ws: ws.create_task()).sid for _ in range(3)]
    for ordering, expected in (
        ("DateCreated:asc", made),
        ("DateCreated:desc", made[::-1]),
        ("VirtualStartTime:desc", made[::-1]),
        ("Priority:desc,DateCreated:desc", made[::-1]),
        ("Priority:desc", made),
    ):
        page = await desk.rest("GET", f"{desk.path}/Tasks", params={"Ordering": ordering})
        assert [task["sid"] for task in page.body["tasks"]] == expected, ordering


async def test_attributes_of_a_worker_find_the_queues_that_such_a_worker_is_in(desk: Desk) -> None:
    desk.run(lambda ws: ws.create_task_queue(friendly_name="prefixed", target_workers="worker.level == 3"))
    path = f"{desk.path}/TaskQueues"
    given: list[dict[str, Any]] = [
        {"level": 3},
        {"worker": {"level": 3}},
        {"level": 3, "worker": {"level": 4}},
    ]
    for number, attributes in enumerate(given):
        sid = desk.hire(f"worker {number}", **attributes)
        by_worker = await desk.rest("GET", path, params={"WorkerSid": sid})
        by_attributes = await desk.rest(
            "GET", path, params={"EvaluateWorkerAttributes": json.dumps(attributes)}
        )
        assert by_attributes.body["task_queues"] == by_worker.body["task_queues"], attributes


async def test_queues_are_filtered_by_worker_attributes(desk: Desk) -> None:
    for lang in ("pt", "de"):
        desk.run(
            lambda ws, lang=lang: ws.create_task_queue(friendly_name=lang, target_workers=f'lang == "{lang}"')
        )
    path = f"{desk.path}/TaskQueues"
    page = (await desk.rest("GET", path, params={"EvaluateWorkerAttributes": '{"lang": "de"}'})).body
    assert [queue["friendly_name"] for queue in page["task_queues"]] == ["Sample Queue", "de"]
    assert (await desk.rest("GET", path, params={"EvaluateWorkerAttributes": "[]"})).status == 400


# --- Versions -----------------------------------------------------------------------------------


async def test_versions_travel_as_etags(desk: Desk) -> None:
    made = await desk.rest("POST", f"{desk.path}/Workers", data={"FriendlyName": "nina"})
    assert made.headers["ETag"] == '"0"'
    changed = await desk.rest("POST", made.body["url"], data={"Attributes": '{"n": 1}'})
    assert changed.headers["ETag"] == '"1"'
    assert (await desk.rest("GET", made.body["url"])).headers["ETag"] == '"1"'


@pytest.mark.parametrize("match", ["0", '"0"', 'W/"0"', "*", ""])
async def test_matching_version_is_read_in_every_spelling(desk: Desk, match: str) -> None:
    url = f"{desk.path}/Workers/{desk.hire('nina')}"
    answer = await desk.rest("POST", url, data={"Attributes": "{}"}, headers={"If-Match": match})
    assert answer.status == 200


@pytest.mark.parametrize("match", ["1", '"7"', "x", "9" * 5_000])
async def test_other_version_fails_and_changes_nothing(desk: Desk, match: str) -> None:
    url = f"{desk.path}/Workers/{desk.hire('nina')}"
    answer = await desk.rest("POST", url, data={"Attributes": '{"n": 1}'}, headers={"If-Match": match})
    assert (answer.status, answer.body["code"]) == (412, 20412)
    assert (await desk.rest("GET", url)).body["attributes"] == "{}"
    assert (await desk.rest("DELETE", url, headers={"If-Match": match})).status == 412


# --- Paging -------------------------------------------------------------------------------------


def names(page: Any) -> list[str]:
    return [worker["friendly_name"] for worker in page["workers"]]


async def test_pages_lead_forward_and_back(desk: Desk) -> None:
    for name in "abcde":
        desk.hire(name)
    first = (await desk.rest("GET", f"{desk.path}/Workers?PageSize=2&Available=true")).body
    assert (names(first), first["meta"]["previous_page_url"]) == (["a", "b"], None)
    second = (await desk.rest("GET", first["meta"]["next_page_url"])).body
    third = (await desk.rest("GET", second["meta"]["next_page_url"])).body
    assert (names(second), names(third)) == (["c", "d"], ["e"])
    assert third["meta"]["next_page_url"] is None
    back = (await desk.rest("GET", third["meta"]["previous_page_url"])).body
    start = (await desk.rest("GET", back["meta"]["previous_page_url"])).body
    assert (names(back), names(start)) == (["c", "d"], ["a", "b"])
    assert start["meta"]["previous_page_url"] is None
    assert names((await desk.rest("GET", back["meta"]["next_page_url"])).body) == ["e"]
    query = parse_qs(urlsplit(second["meta"]["next_page_url"]).query)
    assert (query["Available"], query["PageSize"], query["Page"]) == (["true"], ["2"], ["2"])
    assert first["meta"]["first_page_url"].endswith("?Available=true&PageSize=2&Page=0")


async def test_last_full_page_has_no_next_link(desk: Desk) -> None:
    for name in "ab":
        desk.hire(name)
    page = (await desk.rest("GET", f"{desk.path}/Workers?PageSize=2")).body
    assert page["meta"]["next_page_url"] is None


async def test_page_goes_on_behind_an_item_that_no_longer_matches(desk: Desk) -> None:
    sids = [desk.hire(name) for name in "abcd"]
    first = (await desk.rest("GET", f"{desk.path}/Workers?PageSize=2&Available=true")).body
    for sid in sids[:2]:
        desk.run(lambda ws, s=sid: ws.update_worker(s, activity_sid=desk.activity("Offline")))
    assert names((await desk.rest("GET", first["meta"]["next_page_url"])).body) == ["c", "d"]


async def test_reservations_are_listed_newest_first(desk: Desk) -> None:
    nina = desk.hire("nina")
    desk.run(lambda ws: ws.update_worker_channel(nina, "default", capacity=3))
    tasks = [desk.task(n=n).sid for n in range(3)]
    path = f"{desk.path}/Workers/{nina}/Reservations"
    first = (await desk.rest("GET", f"{path}?PageSize=2&ReservationStatus=pending")).body
    rest = (await desk.rest("GET", first["meta"]["next_page_url"])).body
    assert [r["task_sid"] for r in first["reservations"] + rest["reservations"]] == tasks[::-1]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("Page=1", 40153),
        ("PageToken=PAWK" + "0" * 32, 21481),
        ("PageToken=x", 21481),
        ("PageSize=0", 20001),
        ("PageSize=-1", 20001),
        ("PageSize=x", 20001),
        ("Page=-1", 20001),
    ],
)
async def test_impossible_page_is_refused(desk: Desk, query: str, code: int) -> None:
    answer = await desk.rest("GET", f"{desk.path}/Workers?{query}")
    assert (answer.status, answer.body["code"]) == (400, code)


async def test_page_size_is_clamped(desk: Desk) -> None:
    page = (await desk.rest("GET", f"{desk.path}/Workers?PageSize=5000")).body
    assert page["meta"]["page_size"] == 1000
    assert (await desk.rest("GET", f"{desk.path}/Workers")).body["meta"]["page_size"] == 50


# --- /stub --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "desk.example"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "null"}, 403),
    ],
)
async def test_stub_answers_its_own_names_and_pages_only(
    open_desk: Open, headers: dict[str, str], status: int
) -> None:
    desk = await open_desk(allowed_hosts=("desk.example",))
    async with desk.http.get(f"{desk.server.rest_url}/stub/health", headers=headers) as response:
        assert response.status == status
        assert "application/json" in response.headers["Content-Type"]
