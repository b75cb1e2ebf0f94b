"""The envelope, the routes, and who may use them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twilio.jwt.taskrouter.capabilities import WorkerCapabilityToken

from server_stub.faults import RequestFault
from tests.server.raw import Client, Desk
from tests.support import access_token

ANY_ORIGIN = "Access-Control-Allow-Origin"


# --- The envelope -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "7",
        "{",
        '{"url": "x"}',
        '{"url": 1, "method": "GET", "token": "x"}',
        "\xff",
        "[" * 9_000,
    ],
)
async def test_malformed_envelope_is_refused_as_json(desk: Desk, body: str) -> None:
    nina = desk.client("nina")
    answer = await nina.raw(body.encode("latin-1"))
    assert (answer.status, answer.body["status"], answer.body["code"]) == (400, 400, 20001)
    assert isinstance(answer.body["message"], str)
    assert answer.headers[ANY_ORIGIN] == "*"


@pytest.mark.parametrize(
    "content_type", ["text/plain;charset=UTF-8", "application/json", "application/x-www-form-urlencoded"]
)
async def test_body_is_json_whatever_its_content_type_says(desk: Desk, content_type: str) -> None:
    nina = desk.client("nina")
    answer = await nina.send(nina.me, headers={"Content-Type": content_type})
    assert answer.payload["sid"] == nina.worker_sid


async def test_oversized_envelope_is_refused_as_json(desk: Desk) -> None:
    nina = desk.client("nina")
    answer = await nina.raw("x" * 300_000)
    assert (answer.status, answer.body["status"]) == (413, 413)
    assert answer.headers[ANY_ORIGIN] == "*"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(desk: Desk, method: str) -> None:
    answer = await desk.client("nina").raw("", method=method)
    assert (answer.status, answer.body["code"]) == (405, 20004)
    assert "POST" in answer.headers["Allow"]
    assert answer.headers[ANY_ORIGIN] == "*"


async def test_preflight_allows_the_sdks_headers_from_any_origin(desk: Desk) -> None:
    answer = await desk.client("nina").raw("", method="OPTIONS", headers={"Origin": "https://desk.example"})
    assert answer.status == 204
    assert answer.headers[ANY_ORIGIN] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"apiversion", "clientversion", "if-match", "content-type"} <= allowed


async def test_unknown_api_version_and_inner_method_are_refused(desk: Desk) -> None:
    nina = desk.client("nina")
    assert (await nina.send(nina.me, api="v9")).status == 400
    assert (await nina.send(nina.me, "DELETE")).status == 405
    assert (await nina.send(f"{nina.base}/Activities", "POST")).status == 405


async def test_backslashes_of_windows_are_read_as_slashes(desk: Desk) -> None:
    nina = desk.client("nina")
    assert (await nina.send(nina.me.replace("/", "\\"))).payload["sid"] == nina.worker_sid


@pytest.mark.parametrize("url", ["", "Nowhere", "Workspaces//Workers", "../../etc", "Workspaces/{ws}/Nope"])
async def test_unknown_route_is_not_found(desk: Desk, url: str) -> None:
    nina = desk.client("nina")
    answer = await nina.send(url.replace("{ws}", desk.server.workspace_sid))
    assert (answer.status, answer.body["code"]) == (404, 20404)


async def test_expired_token_is_unauthorized(desk: Desk) -> None:
    nina = desk.let_in(desk.hire("nina"), ttl=-60)
    answer = await nina.send(nina.me)
    assert (answer.status, answer.body["code"], answer.body["message"]) == (401, 20003, "Token expired")
    assert answer.headers[ANY_ORIGIN] == "*"


async def test_token_of_another_workspace_opens_nothing_here(desk: Desk) -> None:
    other = await desk.rest("POST", "/Workspaces", data={"FriendlyName": "other"})
    nina = desk.client("nina")
    foreign = access_token(desk.server, "", workspace_sid=other.body["sid"], role="admin")
    assert (await nina.send(nina.me, token=foreign)).status == 403


# --- Parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"Attributes": '{"n": 1}'},
        {"Attributes": [1]},
        {"ActivitySid": 7},
        {"RejectPendingReservations": "true"},
    ],
)
async def test_parameter_of_the_wrong_json_type_is_named(desk: Desk, params: dict[str, Any]) -> None:
    nina = desk.client("nina")
    answer = await nina.send(nina.me, "POST", params)
    assert answer.status == 400
    assert next(iter(params)) in answer.body["message"]


async def test_worker_update_returns_the_worker(desk: Desk) -> None:
    nina = desk.client("nina")
    away = desk.activity("Unavailable")
    answer = await nina.send(
        nina.me, "POST", {"ActivitySid": away, "Attributes": {"a": [1, None], "b": "\u00e9"}}
    )
    assert answer.payload["activity_sid"] == away
    assert json.loads(answer.payload["attributes"]) == {"a": [1, None], "b": "\u00e9"}
    assert answer.payload["version"] == 1


async def test_stale_version_is_refused_before_anything_else(desk: Desk) -> None:
    nina = desk.client("nina")
    task = desk.task()
    [reservation] = task.reservations.values()
    url = f"{nina.me}/Reservations/{reservation.sid}"
    stale = await nina.send(url, "POST", {"ReservationStatus": "accepted"}, headers={"If-Match": "7"})
    assert (stale.status, stale.body["code"]) == (412, 20412)
    fresh = await nina.send(url, "POST", {"ReservationStatus": "accepted"}, headers={"If-Match": "0"})
    assert fresh.status == 200


async def test_reservation_update_is_short_and_fetch_is_complete(desk: Desk) -> None:
    nina = desk.client("nina")
    [reservation] = desk.task(topic="cards").reservations.values()
    short = (await nina.answer_reservation(reservation.sid, "accepted")).payload
    assert short["reservation_status"] == "accepted"
    assert short["reservation_timeout"] == 120
    assert not {"task", "task_transfer", "active_outgoing_task_transfer"} & short.keys()
    complete = (await nina.send(f"{nina.me}/Reservations/{reservation.sid}")).payload
    assert complete["task"]["assignment_status"] == "assigned"
    assert {"account_sid", "workspace_sid", "counter"} <= complete["task"].keys()


async def test_rejection_may_move_the_worker(desk: Desk) -> None:
    nina = desk.client("nina")
    [reservation] = desk.task().reservations.values()
    away = desk.activity("Unavailable")
    answer = await nina.answer_reservation(reservation.sid, "rejected", WorkerActivitySid=away)
    assert answer.payload["reservation_status"] == "rejected"
    assert desk.activity_of(nina.worker_sid) == "Unavailable"


async def test_outbound_task_is_created_for_the_worker_itself(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    params = {
        "WorkflowSid": next(iter(desk.workspace.workflows)),
        "TaskQueueSid": next(iter(desk.workspace.task_queues)),
        "RoutingTarget": nina.worker_sid,
        "Attributes": {"outbound_to": "+15005550006", "from": "+15005550009"},
        "VirtualStartTime": "2025-03-01T09:15:30Z",
        "TaskChannelUniqueName": "voice",
    }
    task = (await nina.send(f"{nina.base}/Tasks", "POST", params)).payload
    assert task["sid"].startswith("WT")
    assert task["virtual_start_time"] == 1740820530
    reservation = await socket.event("reservation.created")
    assert reservation["task"]["sid"] == task["sid"]
    assert reservation["task"]["task_channel_unique_name"] == "voice"


async def test_task_is_completed_with_its_reason(desk: Desk) -> None:
    nina = desk.client("nina")
    task = desk.task()
    [reservation] = task.reservations.values()
    await nina.answer_reservation(reservation.sid, "accepted")
    url = f"{nina.base}/Tasks/{task.sid}"
    assert (await nina.send(url, "POST", {"Attributes": {"done": 1}})).payload["attributes"] == '{"done":1}'
    answer = await nina.send(url, "POST", {"AssignmentStatus": "completed", "Reason": "solved"})
    assert (answer.payload["assignment_status"], answer.payload["reason"]) == ("completed", "solved")


# --- Lists --------------------------------------------------------------------------------------


async def test_lists_go_on_after_the_last_sid(desk: Desk) -> None:
    nina = desk.client("nina", role="admin")
    for name in "abcd":
        desk.hire(name)
    seen, after = [], None
    for _ in range(3):
        params = {"PageSize": 2, **({"AfterSid": after} if after else {})}
        page = (await nina.send(f"{nina.base}/Workers", params=params)).payload
        seen += [worker["friendly_name"] for worker in page["contents"]]
        after = page["after_sid"]
    assert (seen, after) == (["nina", "a", "b", "c", "d"], None)


async def test_lists_go_on_after_an_item_that_no_longer_matches(desk: Desk) -> None:
    nina = desk.client("nina", "Offline")
    a, b, c = (desk.hire(name) for name in "abc")
    url, params = f"{nina.base}/Workers", {"PageSize": 2, "ActivityName": "Available"}
    page = (await nina.send(url, params=params)).payload
    assert ([worker["sid"] for worker in page["contents"]], page["total"]) == ([a, b], 3)
    desk.run(lambda ws: ws.update_worker(b, activity_sid=desk.activity("Offline")))
    page = (await nina.send(url, params={**params, "AfterSid": page["after_sid"]})).payload
    assert [worker["sid"] for worker in page["contents"]] == [c]
    assert (page["after_sid"], page["start"], page["end"], page["total"]) == (None, 1, 2, 2)


async def test_open_reservations_go_on_after_one_that_has_ended(desk: Desk) -> None:
    nina = desk.client("nina")
    desk.run(lambda ws: ws.update_worker_channel(nina.worker_sid, "default", capacity=2))
    first, second = (next(iter(desk.task().reservations)) for _ in range(2))
    params = {"Active": "true", "PageSize": 1}
    page = (await nina.send(f"{nina.me}/Reservations", params=params)).payload
    assert page["after_sid"] == first
    await nina.answer_reservation(first, "rejected", WorkerActivitySid=desk.activity("Offline"))
    answer = await nina.send(f"{nina.me}/Reservations", params={**params, "AfterSid": first})
    assert [reservation["sid"] for reservation in answer.payload["contents"]] == [second]


async def test_ordered_lists_go_on_with_their_token(desk: Desk) -> None:
    nina = desk.client("nina")
    workers = {"nina": nina.worker_sid, **{name: desk.hire(name, "Offline") for name in "abc"}}
    for name in ("b", "nina", "a"):
        desk.run(lambda ws, s=workers[name]: ws.update_worker(s, activity_sid=desk.activity("Unavailable")))
    seen, token = [], None
    for _ in range(4):
        params = {
            "PageSize": 1,
            "Ordering": "DateStatusChanged:desc",
            **({"NextToken": token} if token else {}),
        }
        page = (await nina.send(f"{nina.base}/Workers", params=params)).payload
        seen += [worker["friendly_name"] for worker in page["contents"]]
        token = page["meta"]["next_token"]
    assert (seen, token) == (["a", "nina", "b", "c"], None)


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"FriendlyName": "omar"}, ["omar"]),
        ({"ActivityName": "Offline"}, ["omar"]),
        ({"TargetWorkersExpression": 'lang == "pt"'}, ["nina"]),
        ({"TargetWorkersExpression": "lang == null"}, []),
    ],
)
async def test_workers_are_filtered(desk: Desk, params: dict[str, Any], names: list[str]) -> None:
    nina = desk.let_in(desk.hire("nina", lang="pt"))
    desk.hire("omar", "Offline", lang="de")
    page = (await nina.send(f"{nina.base}/Workers", params=params)).payload
    assert [worker["friendly_name"] for worker in page["contents"]] == names


async def test_bad_expression_ordering_and_token_are_refused(desk: Desk) -> None:
    nina = desk.client("nina")
    for params in (
        {"TargetWorkersExpression": "n =="},
        {"Ordering": "Age:asc"},
        {"Ordering": "DateStatusChanged:asc", "NextToken": "x"},
        {"AfterSid": "WK" + "0" * 32},
        {"PageSize": 0},
    ):
        assert (await nina.send(f"{nina.base}/Workers", params=params)).status == 400, params


async def test_queues_are_filtered_by_the_worker_they_accept(desk: Desk) -> None:
    nina = desk.let_in(desk.hire("nina", lang="pt"))
    for lang in ("pt", "de"):
        desk.run(
            lambda ws, lang=lang: ws.create_task_queue(friendly_name=lang, target_workers=f'lang == "{lang}"')
        )
    page = (await nina.send(f"{nina.base}/TaskQueues", params={"WorkerSid": nina.worker_sid})).payload
    assert [queue["friendly_name"] for queue in page["contents"]] == ["Sample Queue", "pt"]
    queue = (await nina.send(f"{nina.base}/TaskQueues/{page['contents'][1]['sid']}")).payload
    assert (queue["target_workers"], queue["lifo_queue"]) == ('lang == "pt"', False)


async def test_ended_reservations_are_listed_unless_only_active_ones_are_asked_for(desk: Desk) -> None:
    nina = desk.client("nina")
    [reservation] = desk.task().reservations.values()
    await nina.answer_reservation(reservation.sid, "rejected", WorkerActivitySid=desk.activity("Offline"))
    assert (await nina.reservations()).payload["contents"] == []
    [listed] = (await nina.send(f"{nina.me}/Reservations", api="v2")).payload["contents"]
    assert listed["reservation_status"] == "rejected"


# --- Who may do what ----------------------------------------------------------------------------

MATRIX = {
    "read another worker": (200, 200, 200),
    "read a task": (200, 200, 200),
    "list queues": (200, 200, 200),
    "change itself": (200, 200, 200),
    "change another worker": (403, 200, 200),
    "answer its reservation": (200, 200, 200),
    "answer another's reservation": (403, 403, 200),
    "change its task": (200, 200, 200),
    "change another's task": (403, 403, 200),
    "create for itself": (200, 200, 200),
    "create for another": (403, 403, 200),
    "create for nobody": (403, 403, 200),
}


def request_for(case: str, desk: Desk, me: Client, other: str) -> tuple[str, str, dict[str, Any]]:
    """The inner request of a row of the matrix."""
    mine = next(iter(desk.workspace.workers[me.worker_sid].reservations.values()))
    theirs = next(iter(desk.workspace.workers[other].reservations.values()))
    workflow = next(iter(desk.workspace.workflows))
    tasks, attributes = f"{me.base}/Tasks", {"Attributes": {"n": 1}}
    requests: dict[str, tuple[str, str, dict[str, Any]]] = {
        "read another worker": (f"{me.base}/Workers/{other}", "GET", {}),
        "read a task": (f"{tasks}/{theirs.task.sid}", "GET", {}),
        "list queues": (f"{me.base}/TaskQueues", "GET", {}),
        "change itself": (me.me, "POST", attributes),
        "change another worker": (f"{me.base}/Workers/{other}", "POST", attributes),
        "answer its reservation": (
            f"{me.me}/Reservations/{mine.sid}", "POST", {"ReservationStatus": "accepted"},
        ),
        "answer another's reservation": (
            f"{me.base}/Workers/{other}/Reservations/{theirs.sid}", "POST", {"ReservationStatus": "accepted"},
        ),
        "change its task": (f"{tasks}/{mine.task.sid}", "POST", attributes),
        "change another's task": (f"{tasks}/{theirs.task.sid}", "POST", attributes),
        "create for itself": (tasks, "POST", {"WorkflowSid": workflow, "RoutingTarget": me.worker_sid}),
        "create for another": (tasks, "POST", {"WorkflowSid": workflow, "RoutingTarget": other}),
        "create for nobody": (tasks, "POST", {"WorkflowSid": workflow}),
    }  # fmt: skip
    return requests[case]


@pytest.mark.parametrize("case", MATRIX)
@pytest.mark.parametrize("role", ["worker", "supervisor", "admin"])
async def test_permission_matrix(desk: Desk, case: str, role: str) -> None:
    me = desk.client("nina", role=role)
    other = desk.hire("omar")
    desk.task(n=1)
    desk.task(n=2)
    url, method, params = request_for(case, desk, me, other)
    answer = await me.send(url, method, params)
    assert answer.status == MATRIX[case][["worker", "supervisor", "admin"].index(role)], answer.body
    if answer.status == 403:
        assert answer.body["code"] == 20006


async def test_reservation_of_another_worker_is_not_found_below_oneself(desk: Desk) -> None:
    nina = desk.client("nina", "Offline")
    desk.hire("omar")
    [reservation] = desk.task().reservations.values()
    assert (await nina.answer_reservation(reservation.sid, "accepted")).status == 404


async def test_task_may_not_be_changed_once_its_reservation_has_ended(desk: Desk) -> None:
    nina = desk.client("nina")
    task = desk.task()
    [reservation] = task.reservations.values()
    await nina.answer_reservation(reservation.sid, "rejected", WorkerActivitySid=desk.activity("Offline"))
    answer = await nina.send(f"{nina.base}/Tasks/{task.sid}", "POST", {"Attributes": {"n": 1}})
    assert answer.status == 403


async def test_admin_without_a_worker_reads_the_workspace(desk: Desk) -> None:
    nina = desk.client("nina")
    token = access_token(desk.server, "", role="admin")
    assert (await nina.send(f"{nina.base}/Workers", token=token)).status == 200


def capability_token(desk: Desk, worker_sid: str, **allowed: bool) -> str:
    made = WorkerCapabilityToken(
        desk.server.account_sid, desk.server.auth_token, desk.server.workspace_sid, worker_sid, **allowed
    )
    return str(made.to_jwt())


async def test_capability_token_allows_what_its_policies_say(desk: Desk) -> None:
    nina = desk.client("nina")
    [reservation] = desk.task().reservations.values()
    own = f"{nina.me}/Reservations/{reservation.sid}"
    accept = {"ReservationStatus": "accepted"}
    default = capability_token(desk, nina.worker_sid)
    assert (await nina.send(nina.me, token=default)).status == 200
    assert (await nina.send(f"{nina.me}/Reservations", token=default)).status == 200
    assert (await nina.send(f"{nina.me}/WorkerChannels", token=default)).status == 403
    assert (await nina.send(own, "POST", accept, token=default)).status == 403
    more = capability_token(
        desk, nina.worker_sid, allow_update_reservations=True, allow_fetch_subresources=True
    )
    assert (await nina.send(f"{nina.me}/WorkerChannels", token=more)).status == 200
    assert (await nina.send(own, "POST", accept, token=more)).status == 200


async def test_capability_tokens_filter_asks_for_its_parameter(desk: Desk) -> None:
    nina = desk.client("nina")
    token = capability_token(desk, nina.worker_sid, allow_update_activities=True)
    away = {"ActivitySid": desk.activity("Unavailable")}
    assert (await nina.send(nina.me, "POST", {"Attributes": {}}, token=token)).status == 403
    assert (await nina.send(nina.me, "POST", away, token=token)).status == 200


async def test_capability_token_opens_a_websocket_only_if_it_may(desk: Desk) -> None:
    nina = desk.client("nina")
    await (await nina.connect(token=capability_token(desk, nina.worker_sid))).event("init")
    deaf = capability_token(desk, nina.worker_sid, allow_web_sockets=False)
    assert await (await nina.connect(token=deaf)).closed() == 4403


# --- When things go wrong -----------------------------------------------------------------------


async def test_defect_in_one_command_is_answered_and_does_not_stop_the_server(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    nina = desk.client("nina")
    with monkeypatch.context() as patch:
        patch.setattr(type(desk.workspace), "update_worker", lambda *_a, **_k: 1 / 0)
        answer = await nina.send(nina.me, "POST", {"Attributes": {}})
    assert (answer.status, answer.body["code"]) == (500, 20500)
    assert answer.headers[ANY_ORIGIN] == "*"
    assert (await nina.send(nina.me, "POST", {"Attributes": {}})).status == 200


async def test_fault_refuses_a_request_before_it_is_carried_out(desk: Desk) -> None:
    nina = desk.client("nina")
    desk.server.faults.request = lambda r: RequestFault(status=503) if r.method == "POST" else None
    assert (await nina.send(nina.me, "POST", {"Attributes": {"n": 1}})).status == 503
    assert (await nina.send(nina.me)).payload["attributes"] == "{}"
