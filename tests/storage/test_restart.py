"""A server that is started again on its data goes on where it was."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from server_stub.domain.memento import dump
from server_stub.storage import StorageError
from tests.server.raw import Client
from tests.storage.conftest import Serve
from tests.support import access_token


async def test_everything_is_there_after_a_restart(serve: Serve, address: str) -> None:
    async with serve(address) as desk:
        worker_sid = desk.hire("ann", lang="pt")
        task = desk.task(topic="cards")
        answer = await desk.rest("POST", f"{desk.path}/Workers/{worker_sid}", data={"FriendlyName": "anna"})
        assert answer.status == 200
        before = dump(desk.workspace)
        events = await desk.rest("GET", f"{desk.path}/Events", params={"PageSize": 100})
        statistics = await desk.rest("GET", f"{desk.path}/Workers/{worker_sid}/Statistics")
        token = access_token(desk.server, worker_sid)
    async with serve(address) as desk:
        assert dump(desk.workspace) == before
        again = await desk.rest("GET", f"{desk.path}/Events", params={"PageSize": 100})
        assert [e["sid"] for e in again.body["events"]] == [e["sid"] for e in events.body["events"]]
        assert [e["event_data"] for e in again.body["events"]] == [
            e["event_data"] for e in events.body["events"]
        ]
        repeated = await desk.rest("GET", f"{desk.path}/Workers/{worker_sid}/Statistics")
        counted = [found.body["cumulative"]["reservations_created"] for found in (statistics, repeated)]
        assert counted == [1, 1]
        client = Client(desk.server, desk.http, worker_sid, token)  # a token from before
        [reservation] = (await client.reservations()).payload["contents"]
        assert reservation["task"]["sid"] == task.sid
        accepted = await client.answer_reservation(reservation["sid"], "accepted")
        assert accepted.payload["version"] == reservation["version"] + 1
        workspace_sid = desk.server.workspace_sid
        await desk.rest("DELETE", f"/Workspaces/{workspace_sid}")
        made = await desk.rest("POST", "/Workspaces", data={"FriendlyName": "another"})
    async with serve(address) as desk:
        assert list(desk.server.account.workspaces) == [made.body["sid"]]
        assert desk.server.workspace_sid == made.body["sid"]
        await desk.rest("DELETE", f"/Workspaces/{made.body['sid']}")
    async with serve(address) as desk:  # it is not set up anew
        assert (desk.server.account.workspaces, desk.server.workspace_sid) == ({}, "")
        [sid] = desk.server.reset()
    async with serve(address) as desk:
        assert (list(desk.server.account.workspaces), desk.server.workspace_sid) == ([sid], sid)


async def test_deadlines_that_passed_meanwhile_are_due_at_once(serve: Serve, path: Path) -> None:
    async with serve(path) as desk:
        desk.hire("ann")
        workflow_sid = next(iter(desk.workspace.workflows))
        desk.run(lambda ws: ws.update_workflow(workflow_sid, task_reservation_timeout=1))
        task = desk.task()
        [reservation] = task.live_reservations
    await asyncio.sleep(max(0.0, reservation.deadline - desk.server.account.now()))
    async with serve(path) as desk:
        answer = await desk.rest("GET", f"{desk.path}/Tasks/{task.sid}/Reservations/{reservation.sid}")
        assert answer.body["reservation_status"] == "timeout"


async def test_the_generated_credentials_stay_and_given_ones_win(serve: Serve, path: Path) -> None:
    async with serve(path) as desk:
        first = (desk.server.account_sid, desk.server.auth_token, desk.server.signing_key_secret)
    async with serve(path, auth_token="another") as desk:
        assert desk.server.auth_token == "another"
        assert (desk.server.account_sid, desk.server.signing_key_secret) == (first[0], first[2])
    async with serve(path) as desk:
        assert (desk.server.account_sid, desk.server.auth_token, desk.server.signing_key_secret) == first
    with pytest.raises(StorageError, match=f"is of account {first[0]}"):
        async with serve(path, account_sid="AC" + "0" * 32):
            pass


async def test_nobody_else_may_read_the_file(serve: Serve, path: Path) -> None:
    async with serve(path):
        files = list(path.parent.glob(f"{path.name}*"))
        assert files
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


async def test_a_reset_is_kept_as_well(serve: Serve, path: Path) -> None:
    async with serve(path) as desk:
        desk.hire("ann")
        desk.server.reset()
        desk.hire("bob")
        after = dump(desk.workspace)
    async with serve(path) as desk:
        assert dump(desk.workspace) == after
        assert [worker.friendly_name for worker in desk.workspace.workers.values()] == ["bob"]


async def test_a_repeatable_seed_of_sids_is_refused(serve: Serve, path: Path) -> None:
    with pytest.raises(ValueError, match="seed repeats SIDs"):
        async with serve(path, seed=1):
            pass


async def test_attributes_with_half_a_surrogate_pair_are_kept(serve: Serve, path: Path) -> None:
    async with serve(path) as desk:
        desk.hire("ann", contact_uri="client:a")
        desk.run(lambda ws: ws.create_task(attributes='{"call_sid": "\\ud800"}'))
        [reservation] = list(desk.workspace.reservations.values())
        desk.run(
            lambda ws: ws.change_reservation(
                reservation.sid,
                instruction="dequeue",
                parameters={
                    "DequeueStatusCallbackUrl": "http://a.example/",
                    "DequeueStatusCallbackEvent": ["answered"],
                },
            )
        )
        before = dump(desk.workspace)
        assert (await desk.rest("GET", desk.path)).status == 200
    async with serve(path) as desk:
        assert dump(desk.workspace) == before
        [told] = desk.workspace.telephony.status_callbacks
        assert told.parameters["taskCallSid"] == json.loads('"\\ud800"')


async def test_what_hinders_a_task_is_explained_on_data_too(serve: Serve, path: Path) -> None:
    async with serve(path) as desk:
        worker_sid = desk.hire("ann")
        activity = next(a.sid for a in desk.workspace.activities.values() if not a.available)
        desk.run(lambda ws: ws.update_worker(worker_sid, activity_sid=activity))
        task = desk.task()
        await desk.rest("GET", f"{desk.path}/Tasks")  # it is stored, and noted whatever changes
        before = dump(desk.workspace)
        [one] = desk.workspace.explain(task.sid).workers
        assert one.sid == worker_sid
        assert one.hindrances
        assert dump(desk.workspace) == before
