"""What a new session gets of the events around its snapshot: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from taskrouter_worker.clock import ManualClock
from tests.server.conftest import Open
from tests.server.raw import Client, Desk


async def test_event_during_the_snapshot_comes_after_it(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.connect()
    await socket.event("init")
    await nina.send(nina.me)
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"late": true}'))
    assert await socket.quiet()
    await nina.reservations()
    assert (await socket.event("worker.attributes.update"))["attributes"] == '{"late": true}'


async def test_event_that_the_snapshot_shows_is_dropped(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.connect()
    await socket.event("init")
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"early": true}'))
    shown = desk.task(n=1)
    answers = await nina.snapshot()
    assert answers["worker"]["attributes"] == '{"early": true}'
    assert [r["task"]["sid"] for r in answers["reservations"]["contents"]] == [shown.sid]
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"after": true}'))
    assert (await socket.event())["attributes"] == '{"after": true}'


async def test_each_kind_is_compared_with_its_own_answer(desk: Desk) -> None:
    """A worker event between the worker's answer and the reservations' is news; a reservation's is not."""
    nina = desk.client("nina")
    channel = next(iter(desk.workspace.workers[nina.worker_sid].channels.values()))
    socket = await nina.connect()
    await socket.event("init")
    await nina.send(f"{nina.me}/WorkerChannels")
    await nina.send(nina.me)
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"n": 1}'))
    desk.run(lambda ws: ws.update_worker_channel(nina.worker_sid, channel.sid, capacity=3))
    desk.task()
    page = (await nina.reservations()).payload
    assert len(page["contents"]) == 1
    assert (await socket.event("worker.attributes.update"))["attributes"] == '{"n": 1}'
    assert (await socket.event("worker.capacity.update"))["configured_capacity"] == 3
    assert await socket.quiet()


async def test_events_wait_two_seconds_for_a_client_that_never_asks(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.connect()
    await socket.event("init")
    began = time.monotonic()
    desk.task()
    await socket.event("reservation.created")
    assert 1.5 < time.monotonic() - began < 2.5  # two seconds, and a busy machine


async def test_snapshot_settles_before_its_events_are_released(open_desk: Open) -> None:
    desk = await open_desk(settle_ms=200)
    nina = desk.client("nina")
    socket = await nina.connect()
    await socket.event("init")
    await nina.reservations()
    answered = time.monotonic()
    desk.task()
    await socket.event("reservation.created")
    assert time.monotonic() - answered >= 0.18


async def test_only_the_last_page_of_reservations_completes_the_snapshot(desk: Desk) -> None:
    nina = desk.client("nina")
    desk.run(lambda ws: ws.update_worker_channel(nina.worker_sid, "default", capacity=3))
    desk.task(n=1)
    desk.task(n=2)
    socket = await nina.connect()
    await socket.event("init")
    params = {"Active": "true", "PageSize": 1}
    first = (await nina.send(f"{nina.me}/Reservations", params=params)).payload
    desk.task(n=3)
    assert first["after_sid"]
    assert await socket.quiet()
    second = await nina.send(f"{nina.me}/Reservations", params={**params, "AfterSid": first["after_sid"]})
    # The third task is on a page that was not fetched yet, or comes as an event; here it is an event.
    third = await nina.send(
        f"{nina.me}/Reservations", params={**params, "AfterSid": second.payload["after_sid"]}
    )
    assert third.payload["after_sid"] is None
    assert json.loads((await socket.event("reservation.created"))["task"]["attributes"]) == {"n": 3}


def known(answers: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, str]:
    """The reservations a client knows after its snapshot and these events; what it must never see fails."""
    reservations = {r["sid"]: r["reservation_status"] for r in answers["reservations"]["contents"]}
    for event in events:
        if event["event_type"] == "reservation.created":
            assert event["sid"] not in reservations, "announced twice"
        elif event["event_type"].startswith("reservation."):
            assert event["sid"] in reservations, f"{event['event_type']} of an unknown reservation"
        else:
            continue
        reservations[event["sid"]] = event["reservation_status"]
        if event["reservation_status"] in ("rejected", "completed", "canceled"):
            del reservations[event["sid"]]
    return reservations


async def test_two_sessions_of_one_worker_start_at_once_and_both_know_everything(desk: Desk) -> None:
    nina = desk.client("nina")
    desk.run(lambda ws: ws.update_worker_channel(nina.worker_sid, "default", capacity=50))

    async def start(client: Client) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        socket = await client.connect()
        await socket.event("init")
        answers = await client.snapshot()
        events: list[dict[str, Any]] = []
        while not events or json.loads(events[-1].get("attributes", "{}")).get("last") is None:
            events.append(await socket.event())
        return answers, events

    async def stir() -> None:
        for n in range(20):
            task = desk.task(n=n)
            reservation = next(iter(task.reservations.values()))
            await asyncio.sleep(0)
            desk.run(lambda ws, r=reservation: ws.update_reservation(r.sid, status="accepted"))
            await asyncio.sleep(0.002)
            if n % 2:
                desk.run(lambda ws, r=reservation: ws.update_reservation(r.sid, status="completed"))
        await asyncio.sleep(0.7)  # both snapshots are complete by then
        desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"last": true}'))

    first, second, _ = await asyncio.gather(start(nina), start(nina), stir())
    expected = {r.sid: str(r.status) for r in desk.workspace.workers[nina.worker_sid].live_reservations}
    assert known(*first) == expected
    assert known(*second) == expected


async def test_second_session_of_a_worker_does_not_wait_long_for_its_init(desk: Desk) -> None:
    nina = desk.client("nina")
    first, second = await nina.connect(), await nina.connect()
    await first.event("init")
    began = time.monotonic()
    await second.event("init")
    assert time.monotonic() - began < 1.5  # half a second, and a busy machine
    # Now both are fetching: the first complete answer to the worker releases both.
    desk.task()
    await nina.reservations()
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"n": 1}'))
    for socket in (first, second):
        await socket.event("worker.attributes.update")


async def test_session_is_sent_for_a_fresh_snapshot_before_it_hears_of_a_new_activity(desk: Desk) -> None:
    nina, omar = desk.client("nina"), desk.client("omar")
    socket, other = await nina.ready(), await omar.ready()
    lunch = desk.run(lambda ws: ws.create_activity(friendly_name="Lunch"))
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, activity_sid=lunch.sid))
    assert await socket.message() is None
    assert socket.ws.close_code == 1012
    assert await other.quiet()
    # It was this server that sent it away, so it is not taken for gone.
    again = await nina.connect()
    await again.event("init")
    answers = await nina.snapshot()
    assert answers["worker"]["activity_name"] == "Lunch"
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, activity_sid=desk.activity("Available")))
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, activity_sid=lunch.sid))
    assert (await again.event("worker.activity.update"))["activity_name"] == "Available"
    assert (await again.event("worker.activity.update"))["activity_name"] == "Lunch"


async def test_session_is_sent_for_a_fresh_snapshot_before_it_hears_of_a_new_channel(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    channel = desk.run(lambda ws: ws.create_task_channel(friendly_name="Fax", unique_name="fax"))
    desk.run(lambda ws: ws.update_worker_channel(nina.worker_sid, channel.sid, capacity=5))
    assert await socket.message() is None
    assert socket.ws.close_code == 1012


async def test_activity_made_while_the_snapshot_is_fetched_is_known_to_it(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.connect()
    await socket.event("init")
    await nina.send(nina.me)
    lunch = desk.run(lambda ws: ws.create_activity(friendly_name="Lunch"))
    await nina.send(f"{nina.base}/Activities")
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, activity_sid=lunch.sid))
    await nina.reservations()
    assert (await socket.event("worker.activity.update"))["activity_name"] == "Lunch"


async def test_timeouts_reach_the_session_by_the_workspaces_clock(open_desk: Open) -> None:
    clock = ManualClock()
    desk = await open_desk(clock=clock)
    nina = desk.client("nina")
    socket = await nina.ready()
    desk.task()
    await socket.event("reservation.created")
    clock.advance(120)
    desk.server.tick()
    assert (await socket.event("reservation.timeout"))["reservation_status"] == "timeout"
    assert (await socket.event("worker.activity.update"))["activity_name"] == "Offline"
