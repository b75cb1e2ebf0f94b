"""Commands and deadlines, without any client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from server_stub.account import Account
from server_stub.domain.errors import InvalidArgument
from server_stub.domain.events import Event
from server_stub.domain.model import Limits
from server_stub.domain.workspace import Workspace
from server_stub.ids import SeededSids
from server_stub.runtime import InternalError, Runtime
from taskrouter_worker.clock import Clock, ManualClock, SystemClock
from taskrouter_worker.terms import EventType, WorkspaceTemplate


class House:
    """A runtime with one workspace, one available worker, and a record of what was published."""

    def __init__(self, clock: Clock) -> None:
        self.published: list[list[EventType]] = []
        self.account = Account(sid="AC" + "0" * 32, now=clock.now, sids=SeededSids(7), limits=Limits())
        self.runtime = Runtime(self.account, publish=self._publish, deleted=lambda _: None)
        self.workspace = self.account.create_workspace(friendly_name="desk", template=WorkspaceTemplate.FIFO)
        self.runtime.adopt(self.workspace)
        available = next(a for a in self.workspace.activities.values() if a.available)
        self.worker = self.run(lambda ws: ws.create_worker(friendly_name="nina", activity_sid=available.sid))
        self.published.clear()

    def _publish(self, _: Workspace, events: Sequence[Event]) -> None:
        self.published.append([event.type for event in events])

    def run(self, command: Any) -> Any:
        return self.runtime.run(self.workspace, command)


async def test_answer_shows_the_state_before_routing_and_each_round_is_published_by_itself() -> None:
    house = House(ManualClock())
    status = house.run(lambda ws: str(ws.create_task().status))
    assert status == "pending"
    assert [EventType.RESERVATION_CREATED in events for events in house.published] == [False, True]
    house.runtime.close()


async def test_refused_command_publishes_nothing() -> None:
    house = House(ManualClock())
    with pytest.raises(InvalidArgument):
        house.run(lambda ws: ws.create_worker(friendly_name="NINA"))
    assert house.published == []
    house.runtime.close()


async def test_defect_is_logged_without_its_text_and_the_next_command_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House(ManualClock())

    attributes = "what a customer wrote"

    def broken(_: Workspace) -> None:
        raise KeyError(attributes)

    with pytest.raises(InternalError):
        house.run(broken)
    assert "KeyError" in caplog.text
    assert "customer" not in caplog.text
    assert house.run(lambda ws: ws.create_task().sid).startswith("WT")
    house.runtime.close()


async def test_what_is_due_is_carried_out_before_the_next_command() -> None:
    clock = ManualClock()
    house = House(clock)
    task = house.run(lambda ws: ws.create_task())
    [reservation] = task.reservations.values()
    clock.advance(121)
    house.run(lambda ws: ws.update_task(task.sid, priority=3))
    assert str(reservation.status) == "timeout"
    house.runtime.close()


async def test_deadline_fires_by_itself() -> None:
    house = House(SystemClock())
    workflow = next(iter(house.workspace.workflows))
    house.run(lambda ws: ws.update_workflow(workflow, task_reservation_timeout=1))
    task = house.run(lambda ws: ws.create_task())
    [reservation] = task.reservations.values()
    async with asyncio.timeout(3):
        while str(reservation.status) == "pending":
            await asyncio.sleep(0.02)
    assert str(reservation.status) == "timeout"
    house.runtime.close()


async def test_broken_deadline_does_not_spin(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    house = House(SystemClock())
    calls = 0

    def broken(_: Workspace) -> bool:
        nonlocal calls
        calls += 1
        raise RuntimeError

    monkeypatch.setattr(Workspace, "advance", broken)
    monkeypatch.setattr(Workspace, "next_deadline", lambda _: 1.0)
    house.run(lambda ws: ws.update(friendly_name="x"))
    await asyncio.sleep(0.2)
    assert 1 <= calls <= 4
    house.runtime.close()


async def test_deleted_workspace_leaves_no_timer() -> None:
    house = House(ManualClock())
    house.run(lambda ws: ws.create_task())
    assert house.runtime._timers
    house.runtime.delete_workspace(house.workspace)
    assert not house.runtime._timers
    assert house.account.workspaces == {}


def test_seeded_sids_repeat() -> None:
    one, two, other = SeededSids(1), SeededSids(1), SeededSids(2)
    assert [one("WK"), one("WT")] == [two("WK"), two("WT")]
    assert one("WK") != other("WK")
