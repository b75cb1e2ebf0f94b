"""A workspace tells an application what happens in it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server_stub import Settings, StubServer
from server_stub import callbacks as callbacks_module
from server_stub.deliveries import DeliveryKind
from server_stub.domain.workspace import Workspace
from server_stub.event_data import camel_case
from taskrouter_worker.clock import ManualClock
from taskrouter_worker.terms import EventType
from tests.receiver import Received, Receiver, never

START = 1_760_000_000.5


class Desk:
    """A server whose default workspace tells a receiver of its events."""

    def __init__(self, server: StubServer, receiver: Receiver, clock: ManualClock) -> None:
        self.server = server
        self.receiver = receiver
        self.clock = clock
        self.ws: Workspace = server.account.workspaces[server.workspace_sid]

    def run(self, command: Any) -> Any:
        return self.server.run(self.ws.sid, command)

    def subscribe(self, *types: str, path: str = "/events") -> None:
        self.run(
            lambda ws: ws.update(
                event_callback_url=self.receiver.url(path), events_filter=",".join(types) or None
            )
        )

    def worker(self, name: str) -> Any:
        [available] = [a for a in self.ws.activities.values() if a.friendly_name == "Available"]
        return self.run(lambda ws: ws.create_worker(friendly_name=name, activity_sid=available.sid))

    async def told(self) -> list[Received]:
        """Everything that was told, once nothing is left to tell."""
        async with asyncio.timeout(20):
            await self.server.deliveries.settled()
        return self.receiver.received

    async def told_of(self, event: str) -> dict[str, str]:
        """The parameters of the one event of that type."""
        [parameters] = [r.parameters for r in await self.told() if r.parameters["EventType"] == event]
        return parameters


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = ManualClock(START)
    async with (
        StubServer(Settings(port=0), clock=clock) as server,
        Receiver(server) as receiver,
    ):
        yield Desk(server, receiver, clock)


async def test_events_come_one_by_one_in_the_order_in_which_they_happened(desk: Desk) -> None:
    desk.subscribe()
    happened: list[str] = []
    desk.server.observe(lambda _, events: happened.extend(e.type for e in events if e.logged))
    nina = desk.worker("nina")
    for channel in nina.channels.values():
        desk.run(lambda ws, sid=channel.sid: ws.update_worker_channel(nina.sid, sid, capacity=20))
    for _ in range(10):
        task = desk.run(lambda ws: ws.create_task())
        [reservation] = task.reservations.values()
        desk.run(lambda ws, sid=reservation.sid: ws.update_reservation(sid, status="accepted"))
        desk.run(lambda ws, sid=task.sid: ws.update_task(sid, assignment_status="completed", reason="done"))
    told = [received.parameters["EventType"] for received in await desk.told()]
    assert told[0] == "workspace.updated"  # the subscription itself
    assert told[1:] == happened


async def test_each_event_is_signed_and_told_once_with_a_sid_of_its_own(desk: Desk) -> None:
    desk.subscribe(path="/events?room=a%20b&port")
    desk.worker("nina")
    desk.run(lambda ws: ws.create_task(attributes='{"name": "Zoë & 100 %\\n"}'))
    told = await desk.told()
    assert len(told) >= 7
    assert all(received.is_signed for received in told)
    sids = [received.parameters["Sid"] for received in told]
    assert len(set(sids)) == len(sids)
    assert all(sid.startswith("EV") and len(sid) == 34 for sid in sids)


async def test_reservation_event_tells_reservation_task_queue_workflow_and_worker(desk: Desk) -> None:
    desk.subscribe("reservation.accepted")
    nina = desk.worker("nina")
    task = desk.run(lambda ws: ws.create_task(attributes='{"topic": "cards"}', priority=10))
    [reservation] = task.reservations.values()
    desk.clock.advance(25)
    desk.run(lambda ws: ws.update_reservation(reservation.sid, status="accepted"))
    at = START + 25
    [queue], [workflow] = desk.ws.task_queues.values(), desk.ws.workflows.values()
    told = await desk.told_of("reservation.accepted")
    assert (
        told.items()
        >= {
            "EventDescription": f"Reservation {reservation.sid} accepted",
            "Timestamp": str(int(at)),
            "TimestampMs": str(int(at * 1000)),
            "AccountSid": desk.server.account_sid,
            "WorkspaceSid": desk.ws.sid,
            "WorkspaceName": "Default Workspace",
            "ResourceType": "reservation",
            "ResourceSid": reservation.sid,
            "ReservationSid": reservation.sid,
            "ReservationVersion": "1",
            "TaskSid": task.sid,
            "TaskAttributes": '{"topic": "cards"}',
            "TaskAge": "25",
            "TaskPriority": "10",
            "TaskAssignmentStatus": "assigned",
            "TaskVersion": "2",
            "TaskChannelUniqueName": "default",
            "TaskQueueSid": queue.sid,
            "TaskQueueName": queue.friendly_name,
            "WorkflowSid": workflow.sid,
            "WorkflowName": workflow.friendly_name,
            "WorkerSid": nina.sid,
            "WorkerName": "nina",
            "WorkerAttributes": "{}",
            "WorkerActivityName": "Available",
        }.items()
    )


async def test_event_shows_the_moment_at_which_it_happened(desk: Desk) -> None:
    desk.subscribe("task.created", "task.completed")
    desk.worker("nina")
    task = desk.run(lambda ws: ws.create_task())
    [reservation] = task.reservations.values()
    desk.run(lambda ws: ws.update_reservation(reservation.sid, status="accepted"))
    desk.run(lambda ws: ws.update_task(task.sid, assignment_status="completed", reason="solved"))
    # All of it has happened before the first request is sent.
    assert (await desk.told_of("task.created"))["TaskAssignmentStatus"] == "pending"
    completed = await desk.told_of("task.completed")
    assert completed["TaskAssignmentStatus"] == "completed"
    assert completed["TaskCompletedReason"] == completed["Reason"] == "solved"


@pytest.mark.parametrize("later", [0.0, 0.0006, 0.123, 0.4996])
async def test_event_has_one_time_wherever_it_is_told(desk: Desk, later: float) -> None:
    desk.subscribe("task.created")
    desk.clock.advance(later)
    desk.run(lambda ws: ws.create_task())
    told = await desk.told_of("task.created")
    path = f"{desk.server.rest_url}/v1/Workspaces/{desk.ws.sid}/Events/{told['Sid']}"
    key = aiohttp.encode_basic_auth(desk.server.account_sid, desk.server.auth_token)
    async with aiohttp.ClientSession(headers={"Authorization": key}) as http, http.get(path) as answer:
        shown = await answer.json()
    assert told["TimestampMs"] == str(shown["event_date_ms"])
    assert told["Timestamp"] == str(shown["event_date_ms"] // 1000)
    seconds = dt.datetime.fromisoformat(shown["event_date"]).timestamp()
    assert seconds == shown["event_date_ms"] // 1000


async def test_activity_event_tells_how_long_the_worker_was_where(desk: Desk) -> None:
    desk.subscribe("worker.activity.update")
    nina = desk.worker("nina")
    [lunch] = [a for a in desk.ws.activities.values() if a.friendly_name == "Unavailable"]
    desk.clock.advance(90.123)
    desk.run(lambda ws: ws.update_worker(nina.sid, activity_sid=lunch.sid))
    told = await desk.told_of("worker.activity.update")
    assert told["EventDescription"] == "Worker nina updated to Unavailable Activity"
    assert (told["WorkerTimeInPreviousActivity"], told["WorkerTimeInPreviousActivityMs"]) == ("90", "90123")
    assert told["WorkerPreviousActivityName"] == "Available"


async def test_filter_lets_only_the_listed_types_through(desk: Desk) -> None:
    desk.subscribe("task.created", "reservation.created")
    desk.worker("nina")
    desk.run(lambda ws: ws.create_task())
    assert [r.parameters["EventType"] for r in await desk.told()] == ["task.created", "reservation.created"]


async def test_filter_that_is_cleared_lets_everything_through(desk: Desk) -> None:
    desk.subscribe("task.created")
    desk.run(lambda ws: ws.update(events_filter=""))
    desk.worker("nina")
    assert [r.parameters["EventType"] for r in await desk.told()] == ["workspace.updated", "worker.created"]


async def test_pushes_that_are_no_facts_are_not_told(desk: Desk) -> None:
    desk.subscribe("task.updated")
    pushed: list[EventType] = []
    desk.server.observe(lambda _, events: pushed.extend(e.type for e in events if not e.logged))
    [queue], [workflow] = desk.ws.task_queues.values(), desk.ws.workflows.values()
    desk.run(lambda ws: ws.update_task_queue(queue.sid, max_reserved_workers=2))
    desk.worker("nina"), desk.worker("omar")
    task = desk.run(lambda ws: ws.create_task())
    first, _ = task.reservations.values()
    desk.run(lambda ws: ws.update_reservation(first.sid, status="accepted"))
    assert workflow.sid
    assert await desk.told() == []


async def test_failing_receiver_misses_what_it_was_told_and_hears_the_next(desk: Desk) -> None:
    answers = iter([500, 302, 204])
    desk.receiver.answer = lambda _: web.Response(status=next(answers), headers={"Location": "/there"})
    desk.subscribe("worker.created")
    for name in ("nina", "omar", "zoe"):
        desk.worker(name)
    told = await desk.told()
    assert [received.parameters["WorkerName"] for received in told] == ["nina", "omar", "zoe"]
    assert [(d.outcome, d.status, d.event_type) for d in desk.server.deliveries] == [
        ("failed", 500, "worker.created"),
        ("failed", 302, "worker.created"),
        ("delivered", 204, "worker.created"),
    ]


async def test_silent_receiver_is_left_after_its_time_and_delays_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks_module, "EVENT_SECONDS", 0.05)
    desk.receiver.answer = never
    desk.subscribe("worker.created", "reservation.created")
    desk.worker("nina")
    task = desk.run(lambda ws: ws.create_task())
    assert task.status == "reserved"
    await desk.told()
    reason = "no complete answer within 0.05 seconds"
    assert [(d.event_type, d.reason) for d in desk.server.deliveries] == [
        ("worker.created", reason),
        ("reservation.created", reason),
    ]


async def test_silent_receiver_holds_no_more_than_its_share_of_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks_module, "WAITING", 3)
    desk.receiver.answer = never
    desk.subscribe("worker.created")
    for number in range(10):
        desk.worker(f"w{number}")
        await desk.receiver.wait_for(1)
    # One is under way, three wait.
    assert desk.server.deliveries.dropped(desk.ws.sid)[DeliveryKind.EVENT] == 6
    await desk.server.stop()
    assert desk.server.deliveries.dropped(desk.ws.sid)[DeliveryKind.EVENT] == 9


async def test_event_and_assignment_callback_of_a_reservation_do_not_wait_for_each_other(desk: Desk) -> None:
    async def answer(received: Received) -> web.StreamResponse:
        if "EventType" in received.parameters:
            return await never(received)
        return web.json_response({"instruction": "accept"})

    desk.receiver.answer = answer
    desk.subscribe()
    [workflow] = desk.ws.workflows.values()
    desk.run(
        lambda ws: ws.update_workflow(workflow.sid, assignment_callback_url=desk.receiver.url("/assign"))
    )
    accepted = asyncio.Event()
    desk.server.observe(
        lambda _, events: accepted.set() if any(e.type == "reservation.accepted" for e in events) else None
    )
    desk.worker("nina")
    task = desk.run(lambda ws: ws.create_task())
    async with asyncio.timeout(10):
        await accepted.wait()
    assert task.status == "assigned"


async def test_workspaces_do_not_wait_for_each_other(desk: Desk) -> None:
    async def answer(received: Received) -> web.StreamResponse:
        if received.parameters["WorkspaceName"] == "night":
            return web.Response(status=204)
        return await never(received)

    desk.receiver.answer = answer
    desk.subscribe("worker.created")
    night = desk.server.account.create_workspace(
        friendly_name="night", event_callback_url=desk.receiver.url(), events_filter="worker.created"
    )
    desk.worker("nina")
    await desk.receiver.wait_for(1)
    desk.server.run(night.sid, lambda ws: ws.create_worker(friendly_name="omar"))
    [_, second] = await desk.receiver.wait_for(2)
    assert second.parameters["WorkerName"] == "omar"


async def test_deleted_workspace_tells_so_and_is_forgotten(desk: Desk) -> None:
    desk.subscribe("workspace.deleted")
    desk.server._runtime.delete_workspace(desk.ws)
    told = await desk.told_of("workspace.deleted")
    assert (told["ResourceType"], told["ResourceSid"]) == ("workspace", desk.ws.sid)


def test_keys_become_parameter_names_as_the_webhook_spells_them() -> None:
    assert [camel_case(key) for key in ("task_sid", "worker_time_in_previous_activity_ms")] == [
        "TaskSid",
        "WorkerTimeInPreviousActivityMs",
    ]
