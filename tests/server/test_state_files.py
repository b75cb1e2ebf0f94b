"""Seed, reset, snapshots, export and import of a server that runs: Python, HTTP, command line, sessions."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server_stub import Settings, StubServer
from server_stub.__main__ import main
from server_stub.clocks import StandingClock
from server_stub.domain.errors import InvalidArgument, NotFound
from server_stub.seeding import SeedError
from server_stub.state.keeper import MAX_SNAPSHOTS
from taskrouter_worker import Worker
from taskrouter_worker.clock import ManualClock
from tests.server.conftest import Open
from tests.server.raw import Desk
from tests.server.test_command_line import finished, serving
from tests.server.test_seed import EXAMPLE, YAML

PATIENCE = 10.0


def seed(*workers: str, name: str = "Desk", tasks: int = 0) -> dict[str, Any]:
    return {
        "workspaces": [
            {
                "friendly_name": name,
                "template": "FIFO",
                "workers": [{"friendly_name": worker, "activity": "Available"} for worker in workers],
                "tasks": [{"attributes": {"number": number}} for number in range(tasks)],
            }
        ]
    }


def sid_of(server: StubServer, worker: str) -> str:
    workers = server.account.workspaces[server.workspace_sid].workers.values()
    return next(found.sid for found in workers if found.friendly_name == worker)


def everything(server: StubServer) -> Any:
    return server.export_state()["workspaces"]


# --- Python -------------------------------------------------------------------------------------


async def test_reset_goes_back_to_the_seed_with_its_sids(open_desk: Open) -> None:
    desk: Desk = await open_desk(seed_document=seed("nina", tasks=1), seed=7)
    server = desk.server
    before = everything(server)
    [reservation] = desk.workspace.reservations
    server.run(server.workspace_sid, lambda ws: ws.update_reservation(reservation, status="accepted"))
    other = server.account.create_workspace(friendly_name="Other").sid
    server.reset()
    assert list(server.account.workspaces) == [server.workspace_sid]
    assert other not in server.account.workspaces
    after = everything(server)

    def without_times(document: Any) -> Any:
        volatile = r'"(date_\w+|\w+_at|deadline|virtual_start_time|version|seq)": [0-9.e]+'
        return re.sub(volatile, "", json.dumps(document))

    assert without_times(after) == without_times(before)  # also the reservation, which was made later


async def test_seed_stays_as_it_was_given_and_so_does_what_was_given(open_desk: Open) -> None:
    given = seed("nina")
    server = (await open_desk(seed_document=given)).server
    given["workspaces"][0]["workers"].append({"friendly_name": "omar"})
    server.reset()
    workers = server.account.workspaces[server.workspace_sid].workers.values()
    assert [worker.friendly_name for worker in workers] == ["nina"]
    given = seed("paul")
    server.seed_workspace(server.workspace_sid, given)
    assert given == seed("paul")


async def test_random_sids_stay_over_a_reset_and_later_ones_are_new(open_desk: Open) -> None:
    desk: Desk = await open_desk(seed_document=seed("nina", tasks=1))
    server = desk.server
    workspace = server.account.workspaces[server.workspace_sid]
    server.reset()
    present = server.account.workspaces[server.workspace_sid]
    assert present is not workspace
    assert list(present.workers) == list(workspace.workers)
    assert list(present.tasks) == list(workspace.tasks)
    assert present.reservations.keys().isdisjoint(workspace.reservations)


async def test_no_event_comes_twice_under_one_sid_whatever_is_put_back(open_desk: Open) -> None:
    desk: Desk = await open_desk(seed_document=seed("nina", tasks=1))
    server, sid = desk.server, desk.server.workspace_sid
    seen = {event.sid for event in server.history(sid)}
    start = server.export_state()
    server.save_snapshot("start")
    ways: list[Any] = [
        server.reset,
        lambda: server.import_state(start),
        lambda: server.restore_snapshot("start"),
    ]
    for put_back in ways:
        put_back()
        desk.task()
        came = [event.sid for event in server.history(sid)]
        assert came
        assert seen.isdisjoint(came)
        seen.update(came)


async def test_server_without_a_seed_resets_to_its_empty_workspace(desk: Desk) -> None:
    server, sid = desk.server, desk.server.workspace_sid
    server.hire("nina")
    assert server.reset() == [sid]
    workspace = server.account.workspaces[sid]
    assert not workspace.workers
    assert [queue.friendly_name for queue in workspace.task_queues.values()] == ["Sample Queue"]
    server.hire("nina")  # and it goes on


async def test_one_workspace_is_reset_by_itself(open_desk: Open) -> None:
    document = {"workspaces": [*seed("nina")["workspaces"], *seed("omar", name="Other")["workspaces"]]}
    server = (await open_desk(seed_document=document)).server
    first, second = server.account.workspaces
    for sid in (first, second):
        server.run(sid, lambda ws: ws.create_worker(friendly_name="zoe"))
    assert server.reset(second) == [second]
    assert [len(workspace.workers) for workspace in server.account.workspaces.values()] == [2, 1]
    added = server.account.create_workspace(friendly_name="Added").sid
    with pytest.raises(InvalidArgument, match="the seed does not describe it"):
        server.reset(added)
    with pytest.raises(NotFound):
        server.reset("WS" + "0" * 32)


async def test_seed_with_a_problem_changes_nothing(open_desk: Open) -> None:
    server = (await open_desk(seed_document=seed("nina"))).server
    before = everything(server)
    with pytest.raises(SeedError, match="there is no activity"):
        server.seed({"workspaces": [{"friendly_name": "X", "default_activity": "Nap"}]})
    assert everything(server) == before
    server.reset()
    assert sid_of(server, "nina")
    with pytest.raises(SeedError):
        StubServer(Settings(seed_document={"workspaces": []}))


async def test_seed_replaces_the_one_before_and_keeps_the_sids_of_names(open_desk: Open) -> None:
    server = (await open_desk(seed_document=seed("nina"))).server
    nina, sid = sid_of(server, "nina"), server.workspace_sid
    assert server.seed(seed("omar", "nina")) == [sid]
    assert sid_of(server, "nina") == nina
    assert server.seed(seed("nina", name="Elsewhere")) != [sid]
    assert sid not in server.account.workspaces
    server.reset()
    assert [found.friendly_name for found in server.account.workspaces.values()] == ["Elsewhere"]


async def test_what_belonged_to_the_former_state_is_gone(open_desk: Open) -> None:
    desk: Desk = await open_desk(seed_document=seed("nina", tasks=1))
    server, sid = desk.server, desk.server.workspace_sid
    server.run(sid, lambda ws: ws.update(event_callback_url="http://example.com/"))
    server.run(sid, lambda ws: ws.create_worker(friendly_name="omar"))
    await server.deliveries.settled()
    assert len(server.deliveries)
    server.faults.refuse_requests(503, workspace_sid=sid)
    server.faults.refuse_requests(503)
    server.reset(sid)
    assert [handle.rule.workspace_sid for handle in server.faults.handles()] == [None]
    server.reset()
    assert server.faults.handles() == []
    assert len(server.deliveries) == 0
    names = [str(event.type) for event in server.history(sid)]
    assert names[0] == "workspace.created"
    assert names.count("worker.created") == 1
    assert names[-1] == "reservation.created"


async def test_deadline_of_a_former_state_does_not_end_what_is_there_now(open_desk: Open) -> None:
    clock = StandingClock(time.time())
    server = (await open_desk(seed_document=seed("nina", tasks=1), clock=clock)).server
    clock.move_to(clock.now() + 100)
    server.reset()
    clock.move_to(clock.now() + 100)  # 200 s after the first reservation, 100 s after the second one
    server.tick()
    workspace = server.account.workspaces[server.workspace_sid]
    assert [str(r.status) for r in workspace.reservations.values()] == ["pending"]
    clock.move_to(clock.now() + 25)
    server.tick()
    assert "timeout" in [str(r.status) for r in workspace.reservations.values()]


async def test_answer_to_a_callback_of_the_former_state_is_discarded(open_desk: Open) -> None:
    document = seed("nina")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        asked.set()
        await go_on.wait()
        return web.json_response({"instruction": "accept"})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        flow = {
            "friendly_name": "F",
            "assignment_callback_url": url,
            "configuration": {"task_routing": {"default_filter": {"queue": "Sample Queue"}}},
        }
        document["workspaces"][0] |= {"workflows": [flow], "tasks": [{"workflow": "F"}]}
        server = (await open_desk(seed_document=document, seed=3)).server
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
            first = list(server.account.workspaces[server.workspace_sid].reservations)
            server.run(server.workspace_sid, lambda ws: ws.update_workflow(
                next(w.sid for w in ws.workflows.values() if w.friendly_name == "F"),
                assignment_callback_url="",
            ))  # fmt: skip
            server.reset()
            workspace = server.account.workspaces[server.workspace_sid]
            assert list(workspace.reservations) == first  # the same SID, yet another reservation
            go_on.set()
            await server.deliveries.settled()
        [reservation] = workspace.reservations.values()
        assert len(server.deliveries) == 1  # the new one's
        assert str(reservation.status) == "accepted"
    finally:
        go_on.set()
        await runner.cleanup()


def unnumbered(state: Any) -> list[Any]:
    """The workspaces of a document; how many events there were goes on counting."""
    return [
        {**each, "workspace": {**each["workspace"], "seq": 0}}
        for each in json.loads(json.dumps(state))["workspaces"]
    ]


async def test_export_and_import_are_each_others_inverse(open_desk: Open) -> None:
    server = (await open_desk(seed_document=EXAMPLE)).server
    sid = server.workspace_sid
    for reservation in list(server.account.workspaces[sid].reservations):
        server.run(sid, lambda ws, it=reservation: ws.update_reservation(it, status="accepted"))
    first = server.export_state()
    server.run(sid, lambda ws: ws.create_worker(friendly_name="later"))
    assert server.import_state(first) == [sid]
    assert unnumbered(server.export_state()) == unnumbered(first)
    other = (await open_desk()).server
    assert other.import_state(json.dumps(first)) == [sid]
    moved = json.loads(json.dumps(other.export_state()).replace(other.account_sid, server.account_sid))
    assert moved["workspaces"] == json.loads(json.dumps(first["workspaces"]))
    assert other.workspace_sid == sid
    other.run(sid, lambda ws: ws.create_worker(friendly_name="later"))  # and it goes on


async def test_statistics_count_the_tasks_and_stays_that_were_put_back(open_desk: Open) -> None:
    clock = ManualClock()
    desk: Desk = await open_desk(seed_document=seed("nina", tasks=3), clock=clock)
    clock.advance(60)
    [queue] = desk.workspace.task_queues
    places = ("RealTimeStatistics", f"TaskQueues/{queue}/RealTimeStatistics")

    async def numbers() -> Any:
        open_tasks = [(await desk.rest("GET", f"{desk.path}/{place}")).body for place in places]
        stays = (await desk.rest("GET", f"{desk.path}/Workers/CumulativeStatistics")).body
        return [{**body, "url": ""} for body in open_tasks], stays["activity_durations"]

    before = await numbers()
    desk.server.import_state(desk.server.export_state())
    assert await numbers() == before
    assert [body["total_tasks"] for body in before[0]] == [3, 3]


async def test_document_of_one_workspace_replaces_only_that_one(open_desk: Open) -> None:
    document = {"workspaces": [*seed("nina")["workspaces"], *seed("omar", name="Other")["workspaces"]]}
    server = (await open_desk(seed_document=document)).server
    first, second = server.account.workspaces
    kept = server.export_state(second)
    for sid in (first, second):
        server.run(sid, lambda ws: ws.create_worker(friendly_name="zoe"))
    assert server.import_state(kept) == [second]
    assert [len(workspace.workers) for workspace in server.account.workspaces.values()] == [2, 1]


async def test_repeatable_sids_after_an_import_are_none_of_the_document(open_desk: Open) -> None:
    first = (await open_desk(seed_document=seed("nina"), seed=5)).server
    made = [first.run(first.workspace_sid, lambda ws: ws.create_task()).sid for _ in range(3)]
    second = (await open_desk(seed_document=seed("nina"), seed=5)).server
    second.import_state(first.export_state())
    fresh = second.run(second.workspace_sid, lambda ws: ws.create_task()).sid
    assert fresh not in made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"version": 2}, "version 2, expected 1"),
        (lambda d: d | {"kind": "letter"}, "at \\$.kind"),
        (lambda d: d | {"workspaces": []}, "holds 0 workspaces"),
        (lambda d: d | {"workspaces": d["workspaces"] * 2}, "a SID twice"),
        (lambda d: d | {"secret": "s3cret"}, "cannot be read"),
        (lambda _: "{", "no JSON"),
        (lambda _: "[]", "it is none"),
        (lambda _: b"\xff", "no JSON"),
    ],
)
async def test_document_that_cannot_be_used_changes_nothing(desk: Desk, change: Any, message: str) -> None:
    desk.server.hire("nina")
    before = everything(desk.server)
    with pytest.raises(InvalidArgument, match=message) as caught:
        desk.server.import_state(change(desk.server.export_state()))
    assert "s3cret" not in str(caught.value)
    assert everything(desk.server) == before


async def test_snapshots_are_kept_by_name_and_workspace(desk: Desk) -> None:
    server, sid = desk.server, desk.server.workspace_sid
    server.save_snapshot("empty")
    server.save_snapshot("empty", sid)
    server.hire("nina")
    server.save_snapshot("one", sid)
    assert server.restore_snapshot("empty", sid) == [sid]
    assert not server.account.workspaces[sid].workers
    server.restore_snapshot("one", sid)
    assert len(server.account.workspaces[sid].workers) == 1
    server.restore_snapshot("empty")
    assert not server.account.workspaces[sid].workers
    for name, error in (("none", NotFound), ("one", NotFound)):
        with pytest.raises(error):
            server.restore_snapshot(name)
    for name in ("", "../x", ".", "..", "a" * 65):
        with pytest.raises(InvalidArgument):
            server.save_snapshot(name)


async def test_snapshots_of_a_deleted_workspace_bring_it_back_until_others_need_their_places(
    desk: Desk,
) -> None:
    server, sid = desk.server, desk.server.workspace_sid
    for number in range(MAX_SNAPSHOTS):
        server.save_snapshot(f"kept-{number}", sid)
    with pytest.raises(InvalidArgument, match="which is the limit"):
        server.save_snapshot("one-more")
    await desk.rest("DELETE", f"/Workspaces/{sid}")
    with pytest.raises(InvalidArgument, match="There is no workspace"):
        server.save_snapshot("one-more")
    other = (await desk.rest("POST", "/Workspaces", data={"FriendlyName": "another"})).body["sid"]
    assert server.workspace_sid == other
    server.save_snapshot("one-more", other)
    with pytest.raises(NotFound):
        server.restore_snapshot("kept-0", sid)
    assert server.restore_snapshot("kept-1", sid) == [sid]


# --- Sessions -----------------------------------------------------------------------------------


async def test_sessions_are_sent_away_for_what_became_of_their_worker(open_desk: Open) -> None:
    desk: Desk = await open_desk(seed_document=seed("nina", "omar"))
    nina = await desk.let_in(sid_of(desk.server, "nina")).connect()
    omar = await desk.let_in(sid_of(desk.server, "omar")).connect()
    await nina.event("init")
    await omar.event("init")
    desk.server.seed(seed("nina"))
    assert await nina.closed() == 1012
    assert await omar.closed() == 4403
    assert len(desk.server._sessions) == 0


async def test_nobody_goes_offline_for_having_left_the_former_state(open_desk: Open) -> None:
    desk: Desk = await open_desk(seed_document=seed("nina"), offline_grace_ms=50)
    nina = desk.let_in(sid_of(desk.server, "nina"))
    socket = await nina.connect()
    await socket.event("init")
    await socket.ws.close()
    desk.server.reset()
    await asyncio.sleep(0.2)  # nothing announces what does not happen
    worker = desk.server.account.workspaces[desk.server.workspace_sid].workers[nina.worker_sid]
    assert worker.activity.friendly_name == "Available"


def fresh_view(server: StubServer, worker_sid: str) -> Any:
    worker = server.account.workspaces[server.workspace_sid].workers[worker_sid]
    return {
        "name": worker.friendly_name,
        "activity": worker.activity.friendly_name,
        "attributes": worker.parsed_attributes,
        "version": worker.version,
        "reservations": {r.sid: (str(r.status), r.task.sid, r.version) for r in worker.live_reservations},
    }


def seen_by(worker: Worker) -> Any:
    return {
        "name": worker.name,
        "activity": worker.activity and worker.activity.name,
        "attributes": dict(worker.attributes),
        "version": int(worker.version),
        "reservations": {
            sid: (str(r.status), r.task.sid, int(r.version)) for sid, r in worker.reservations.items()
        },
    }


@pytest.mark.parametrize("sids", [None, 11])
async def test_worker_of_the_sdk_ends_with_what_a_fresh_snapshot_shows(
    open_desk: Open, sids: int | None
) -> None:
    server = (await open_desk(seed_document=seed("nina", tasks=2), seed=sids)).server
    nina, ws = sid_of(server, "nina"), server.workspace_sid
    worker = Worker(server.worker_token(nina), eb_server=server.eb_server, ws_server=server.ws_server)
    back = asyncio.Event()
    worker.on("ready", lambda *_: back.set())

    async def agrees() -> None:
        async with asyncio.timeout(PATIENCE):
            while seen_by(worker) != fresh_view(server, nina):
                await asyncio.sleep(0.01)

    async def again(change: Any) -> None:
        back.clear()
        change()
        async with asyncio.timeout(PATIENCE):
            await back.wait()
        await agrees()

    async with worker:
        await agrees()
        start = server.export_state()
        [first] = worker.reservations.values()
        await first.accept()
        server.run(ws, lambda w: w.update_worker(nina, attributes='{"level": 5}'))
        await agrees()
        later = server.export_state()
        await again(server.reset)
        assert dict(worker.attributes) == {}
        await again(lambda: server.import_state(later))
        assert dict(worker.attributes) == {"level": 5}
        await again(lambda: server.import_state(start))
        assert [str(r.status) for r in worker.reservations.values()] == ["pending"]
        server.run(ws, lambda w: w.update_worker(nina, attributes='{"level": 6}'))  # and events come again
        await agrees()


# --- HTTP ---------------------------------------------------------------------------------------


async def test_state_over_http(open_desk: Open) -> None:
    desk: Desk = await open_desk(seed_document=seed("nina"))
    server = desk.server
    base, sid = f"{server.rest_url}/stub", server.workspace_sid
    document = (await desk.rest("GET", f"{base}/state")).body
    assert document["scope"] == "server"
    assert (await desk.rest("POST", f"{base}/workspaces/{sid}/snapshots/calm")).body == {
        "snapshots": ["calm"]
    }
    server.hire("omar")
    answer = await desk.rest("POST", f"{base}/workspaces/{sid}/reset?Snapshot=calm")
    assert answer.body == {"workspaces": [sid]}
    assert len(server.account.workspaces[sid].workers) == 1
    kept = (await desk.rest("GET", f"{base}/workspaces/{sid}/snapshots/calm")).body
    assert kept["scope"] == "workspace"
    assert (await desk.rest("DELETE", f"{base}/workspaces/{sid}/snapshots/calm")).body == {"snapshots": []}
    assert (await desk.rest("GET", f"{base}/workspaces/{sid}/snapshots")).body == {"snapshots": []}
    server.hire("omar")
    answer = await desk.rest("POST", f"{base}/state", json=document)
    assert (answer.status, answer.body) == (200, {"workspaces": [sid]})
    assert len(server.account.workspaces[sid].workers) == 1
    server.hire("omar")
    assert (await desk.rest("POST", f"{base}/reset")).body == {"workspaces": [sid]}
    assert len(server.account.workspaces[sid].workers) == 1
    missing = await desk.rest("POST", f"{base}/reset?Snapshot=none")
    assert (missing.status, missing.body["code"]) == (404, 20404)
    unknown = f"{base}/workspaces/WS{'0' * 32}"
    for method, path in (("POST", "reset"), ("GET", "state"), ("POST", "snapshots/x")):
        assert (await desk.rest(method, f"{unknown}/{path}")).status == 404


async def test_seed_over_http_tells_all_its_problems(open_desk: Open) -> None:
    desk: Desk = await open_desk()
    url = f"{desk.server.rest_url}/stub/seed"
    bad = YAML.replace("{queue: Cards}", "{queue: Crads}").replace("voice: 2", "voice: -2")
    answer = await desk.rest("POST", f"{url}?Name=desk.yaml", data=bad.encode())
    assert answer.status == 400
    assert [problem["line"] for problem in answer.body["details"]["problems"]] == [12, 17]
    sid = desk.server.workspace_sid
    answer = await desk.rest("POST", f"{url}?Name=desk.yaml&Check=true", data=YAML.encode())
    assert (answer.status, desk.server.workspace_sid) == (200, sid)
    answer = await desk.rest("POST", f"{url}?Name=desk.yaml", data=YAML.encode())
    assert answer.body["workspaces"] == [desk.server.workspace_sid]
    assert desk.server.workspace_sid != sid


async def test_only_those_who_may_use_the_rest_api_set_the_state(desk: Desk) -> None:
    base = f"{desk.server.rest_url}/stub"
    sid = desk.server.workspace_sid
    for method, path in (
        ("POST", "seed?Name=x.yaml"),
        ("GET", "state"),
        ("POST", "reset"),
        ("GET", "snapshots"),
        ("POST", "snapshots/x"),
        ("POST", f"workspaces/{sid}/reset"),
        ("GET", f"workspaces/{sid}/state"),
    ):
        url = f"{base}/{path}"
        async with desk.http.request(method, url) as response:
            assert response.status == 401
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert (await desk.rest(method, url, headers=headers)).status == 403
        assert (await desk.rest("PATCH", url)).status == 405


async def test_too_large_a_body_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_stub.state.routes.MAX_BYTES", 100)
    monkeypatch.setattr("server_stub.state.routes.MAX_STATE", 100)

    async def in_parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 50

    for path in ("seed?Name=x.yaml", "state"):
        url = f"{desk.server.rest_url}/stub/{path}"
        for body in (b" " * 101, in_parts()):
            assert (await desk.rest("POST", url, data=body)).status == 413
        assert (await desk.rest("POST", url, data=b" " * 100)).status == 400


# --- Command line -------------------------------------------------------------------------------


async def typed(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command line, without a process of its own: it is quicker."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TASKROUTER_STUB_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        status = await asyncio.to_thread(main, arguments)
    return status, out.getvalue(), err.getvalue()


def reach(server: StubServer) -> dict[str, str]:
    return {
        "TASKROUTER_STUB_ACCOUNT_SID": server.account_sid,
        "TASKROUTER_STUB_AUTH_TOKEN": server.auth_token,
        "TASKROUTER_STUB_URL": server.rest_url,
    }


async def test_command_line_drives_a_running_server(open_desk: Open, tmp_path: Path) -> None:
    server = (await open_desk()).server
    env = reach(server)
    file = tmp_path / "desk.yaml"
    file.write_text(YAML)
    status, out, err = await typed("seed", str(file), "--json", **env)
    assert (status, err) == (0, "")
    assert json.loads(out) == {"workspaces": [server.workspace_sid]}
    sid = server.workspace_sid
    assert (await typed("snapshot", "save", "calm", **env))[0] == 0
    server.hire("omar")
    exported = tmp_path / "state.json"
    assert (await typed("export", str(exported), "--workspace", sid, **env))[0] == 0
    status, out, _ = await typed("snapshot", "restore", "calm", **env)
    assert (status, sid in out) == (0, True)
    assert len(server.account.workspaces[sid].workers) == 1
    assert (await typed("import", str(exported), **env))[0] == 0
    assert len(server.account.workspaces[sid].workers) == 2
    status, out, _ = await typed("snapshot", "list", "--json", **env)
    assert (status, json.loads(out)) == (0, {"snapshots": ["calm"]})
    status, out, _ = await typed("reset", "--workspace", sid, **env)
    assert (status, "1 workspace reset" in out) == (0, True)
    assert len(server.account.workspaces[sid].workers) == 1


@pytest.mark.parametrize(
    ("arguments", "changes", "status", "hint"),
    [
        (("snapshot", "save"), {}, 2, "takes a NAME"),
        (("seed", "nowhere.yaml"), {}, 2, "cannot read nowhere.yaml"),
        (("import", "nowhere.json"), {}, 2, "cannot read nowhere.json"),
        (("reset",), {"TASKROUTER_STUB_AUTH_TOKEN": ""}, 2, "TASKROUTER_STUB_AUTH_TOKEN"),
        (("reset",), {"TASKROUTER_STUB_URL": "http://127.0.0.1:1"}, 3, "no server answers"),
        (("snapshot", "save", ".."), {}, 2, "The name of a snapshot is up to 64 letters"),
        (("reset", "--workspace", "WS" + "0" * 32), {}, 4, "knows no"),
        (("reset", "--workspace", ".."), {}, 4, "no workspace has the SID '..'"),
        (("reset", "--workspace", ""), {}, 2, "the SID of the workspace is empty"),
        (("snapshot", "restore", "none"), {}, 4, "knows no snapshot none"),
        (("snapshot", "restore", ""), {}, 2, "The name of a snapshot is up to 64 letters"),
        (("reset",), {"TASKROUTER_STUB_AUTH_TOKEN": "guess"}, 5, "refused the credentials"),
    ],
)
async def test_what_went_wrong_is_one_line_and_a_status(
    desk: Desk, arguments: tuple[str, ...], changes: dict[str, str], status: int, hint: str
) -> None:
    found, out, err = await typed(*arguments, **{**reach(desk.server), **changes})
    assert (found, out) == (status, "")
    assert hint in err
    assert len(err.splitlines()) == 1


async def test_problems_of_a_seed_are_printed_one_a_line(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(YAML.replace("{queue: Cards}", "{queue: Crads}").replace("voice: 2", "voice: -2"))
    for arguments in (("seed", str(file)), ("seed", str(file), "--check")):
        status, out, err = await typed(*arguments, **reach(desk.server))
        assert (status, out) == (1, "")
        first, second = err.splitlines()
        assert first.startswith(f"{file}:12:37: workspaces[0].workflows[0].configuration.")
        assert first.endswith("there is no queue 'Crads' (did you mean 'Cards'?)")
        assert second.startswith(f"{file}:17:27: workspaces[0].workers[0].channels.voice: -2 is out of range")
    status, out, _ = await typed("seed", str(file), "--check", "--json")
    assert (status, len(json.loads(out)["problems"])) == (1, 2)


async def test_serve_begins_with_its_seed_or_not_at_all(tmp_path: Path) -> None:
    async with serving("--seed", str(EXAMPLE)) as (_, told):
        auth = {"Authorization": aiohttp.encode_basic_auth(told["account_sid"], told["auth_token"])}
        url = f"{told['rest_url']}/v1/Workspaces/{told['workspace_sid']}"
        async with aiohttp.ClientSession(headers=auth) as http, http.get(url) as response:
            assert (await response.json())["friendly_name"] == "Contact Center"
    file = tmp_path / "desk.toml"
    file.write_text("[[workspaces]]\nname = 'Desk'\n")
    status, _, err = await finished("serve", "--seed", str(file))
    assert status == 2
    assert "desk.toml:2:1: workspaces[0].name: there is no field 'name'" in err
    status, _, err = await finished("serve", "--seed", str(tmp_path / "none.yaml"))
    assert (status, "none.yaml" in err) == (2, True)
