"""``taskrouter-stub explain`` as a process, and the address that it asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.conftest import Open
from tests.server.raw import Desk
from tests.server.test_command_line import finished


def credentials(desk: Desk) -> dict[str, str]:
    return {
        "TASKROUTER_STUB_ACCOUNT_SID": desk.server.account_sid,
        "TASKROUTER_STUB_AUTH_TOKEN": desk.server.auth_token,
        "TASKROUTER_STUB_URL": desk.server.rest_url,
    }


@pytest.fixture
async def waiting(desk: Desk) -> tuple[Desk, Any, Any]:
    """A desk where a task waits, because its only worker has gone to lunch."""
    ws = desk.workspace
    [lunch] = [a for a in ws.activities.values() if a.friendly_name == "Unavailable"]
    nina = desk.server.run(ws.sid, lambda w: w.create_worker(friendly_name="nina", activity_sid=lunch.sid))
    task = desk.server.run(ws.sid, lambda w: w.create_task(attributes='{"topic": "cards"}'))
    return desk, nina, task


async def test_task_that_waits_is_explained_to_people(waiting: tuple[Desk, Any, Any]) -> None:
    desk, nina, task = waiting
    status, out, err = await finished("explain", task.sid, COLUMNS="40", **credentials(desk))
    assert (status, err) == (1, "")
    assert f"{task.sid}  pending" in out
    assert "The task waits in Sample Queue: nobody can be reserved for it now." in out
    assert "default filter takes the task" in out
    assert "1 worker matches 1==1 (1 Unavailable); 0 tasks are served before it" in out
    assert nina.friendly_name in out
    assert "the worker's activity is not available (Unavailable)" in out
    assert "the task's time to live ends" in out


async def test_json_is_the_servers_answer(waiting: tuple[Desk, Any, Any]) -> None:
    desk, nina, task = waiting
    status, out, err = await finished(
        "explain",
        task.sid,
        "--worker",
        nina.sid,
        "--json",
        "--workspace",
        desk.workspace.sid,
        **credentials(desk),
    )
    assert (status, err) == (1, "")
    answer = json.loads(out)
    assert (answer["task_sid"], answer["status"], answer["held_back"]) == (
        task.sid,
        "pending",
        {"activity": 1},
    )
    [worker] = answer["workers"]
    assert (worker["sid"], worker["would_be_reserved"], worker["place"]) == (nina.sid, False, None)
    assert worker["hindrances"][0]["kind"] == "activity"
    assert answer["deadlines"][0]["kind"] == "time_to_live"


async def test_worker_that_has_the_task_is_success(waiting: tuple[Desk, Any, Any]) -> None:
    desk, nina, task = waiting
    [available] = [a for a in desk.workspace.activities.values() if a.friendly_name == "Available"]
    desk.server.run(desk.workspace.sid, lambda w: w.update_worker(nina.sid, activity_sid=available.sid))
    omar = desk.server.run(desk.workspace.sid, lambda w: w.create_worker(friendly_name="omar"))
    assert (await finished("explain", task.sid, "--worker", nina.sid, **credentials(desk)))[0] == 0
    assert (await finished("explain", task.sid, **credentials(desk)))[0] == 0
    assert (await finished("explain", task.sid, "--worker", omar.sid, **credentials(desk)))[0] == 1


@pytest.mark.parametrize(
    ("changes", "status", "hint"),
    [
        ({"TASKROUTER_STUB_AUTH_TOKEN": ""}, 2, "TASKROUTER_STUB_AUTH_TOKEN"),
        ({"TASKROUTER_STUB_URL": "nonsense"}, 2, "--url"),
        ({"TASKROUTER_STUB_URL": "http://127.0.0.1:1"}, 3, "no server answers"),
        ({"TASKROUTER_STUB_WORKSPACE_SID": "WS" + "0" * 32}, 4, "no workspace of the server has task"),
        ({"TASKROUTER_STUB_AUTH_TOKEN": "guess"}, 5, "refused the credentials"),
    ],
)
async def test_what_went_wrong_is_one_line_and_a_status(
    waiting: tuple[Desk, Any, Any], changes: dict[str, str], status: int, hint: str
) -> None:
    desk, _, task = waiting
    found, out, err = await finished("explain", task.sid, **{**credentials(desk), **changes})
    assert (found, out) == (status, "")
    assert hint in err
    assert len(err.splitlines()) == 1


async def test_names_do_nothing_to_the_terminal(waiting: tuple[Desk, Any, Any]) -> None:
    desk, nina, task = waiting
    desk.server.run(desk.workspace.sid, lambda w: w.update_worker(nina.sid, friendly_name="\x1b[2Jnina"))
    _, out, _ = await finished("explain", task.sid, COLUMNS="160", **credentials(desk))
    assert "\x1b" not in out
    assert "\\x1b[2Jnina" in out


# --- Its address, and the deliveries' -----------------------------------------------------------


def explain_url(desk: Desk, task: Any) -> str:
    return f"{desk.server.rest_url}/stub/workspaces/{desk.workspace.sid}/tasks/{task.sid}/explain"


async def test_attributes_of_any_kind_are_shown(desk: Desk) -> None:
    ws = desk.workspace
    queue = next(iter(ws.task_queues.values()))
    desk.server.run(ws.sid, lambda w: w.update_task_queue(queue.sid, target_workers="n == 1 AND s == 'x'"))
    odd = '{"n": 123456789012345678901234567890, "s": "\\ud800"}'
    desk.server.run(ws.sid, lambda w: w.create_worker(friendly_name="odd", attributes=odd))
    task = desk.server.run(ws.sid, lambda w: w.create_task())
    answer = await desk.rest("GET", explain_url(desk, task))
    failed = answer.body["workers"][0]["hindrances"][0]["failed"]
    assert [part["values"] for part in failed] == [{"n": 123456789012345678901234567890}, {"s": "\ud800"}]


async def test_only_those_who_may_use_the_rest_api_are_answered(waiting: tuple[Desk, Any, Any]) -> None:
    desk, _, task = waiting
    for url in (
        explain_url(desk, task),
        f"{desk.server.rest_url}/stub/workspaces/{desk.workspace.sid}/deliveries",
    ):
        async with desk.http.get(url) as response:
            assert response.status == 401
        assert (await desk.rest("GET", url, auth=(desk.server.account_sid, "guess"))).status == 401
        assert (await desk.rest("POST", url)).status == 405
        assert (await desk.rest("GET", url)).status == 200
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert (await desk.rest("GET", url, headers=headers)).status == 403


@pytest.mark.parametrize("path", ["/tasks/WT{0}/explain", "/tasks/{1}/explain?WorkerSid=WK{0}"])
async def test_what_does_not_exist_is_not_found(waiting: tuple[Desk, Any, Any], path: str) -> None:
    desk, _, task = waiting
    url = f"{desk.server.rest_url}/stub/workspaces/{desk.workspace.sid}"
    answer = await desk.rest("GET", url + path.format("0" * 32, task.sid))
    assert (answer.status, answer.body["code"]) == (404, 20404)
    assert (await desk.rest("GET", f"{desk.server.rest_url}/stub/workspaces/WS0/deliveries")).status == 404


async def test_deliveries_are_read_from_a_number_on(open_desk: Open) -> None:
    desk = await open_desk()
    ws = desk.workspace
    desk.server.run(ws.sid, lambda w: w.update(event_callback_url="http://example.com/?key=s3cret"))
    for name in ("nina", "omar", "zoe"):
        desk.server.run(ws.sid, lambda w, name=name: w.create_worker(friendly_name=name))
    await desk.server.deliveries.settled()
    url = f"{desk.server.rest_url}/stub/workspaces/{ws.sid}/deliveries"
    everything = (await desk.rest("GET", url)).body
    assert everything["dropped"] == {"assignment": 0, "event": 0, "status": 0}
    told = everything["deliveries"]
    assert [delivery["parameters"].get("WorkerName") for delivery in told] == [None, "nina", "omar", "zoe"]
    assert {delivery["outcome"] for delivery in told} == {"refused"}
    assert told[0]["url"] == "http://example.com/?key=***"
    numbers = [delivery["number"] for delivery in told]
    later = (await desk.rest("GET", f"{url}?After={numbers[0]}&Limit=2")).body["deliveries"]
    assert [delivery["number"] for delivery in later] == numbers[1:3]
    last = (await desk.rest("GET", f"{url}?Limit=1")).body["deliveries"]
    assert [delivery["number"] for delivery in last] == numbers[3:]
    assert (await desk.rest("GET", f"{url}?Kind=assignment")).body["deliveries"] == []
    assert (await desk.rest("GET", f"{url}?Kind=letters")).status == 400
