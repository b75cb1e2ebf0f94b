"""What the official SDK does under each fault is what docs/faults.md says, on real sockets."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from server_stub import Settings, StubServer
from taskrouter_worker import worker_token
from tests.interop.official_sdk import JsEvent, JsWorker, OfficialSdk, OfficialSdkError
from tests.server.fast_loop import FastLoop, LoopClock
from tests.server.fault_table import ROWS, Played, Row, Seat, play

TOLD = {"accepted", "canceled", "completed", "rescinded", "timeout", "rejected", "wrapup"}

NODE_SPEED = 10.0
"""The official SDK hears of a dead link after 30 to 60 seconds."""

LOOP_SPEED = 3.0
"""Slower: here is nothing to wait for that long, and idle connections must not be closed meanwhile."""

LIFE = {"ready", "disconnected", "error", "tokenExpired"}


def _shown(event: JsEvent) -> str:
    return (
        f"{event.event}: {event.data['message']}" if event.event in ("disconnected", "error") else event.event
    )


class TheirSeat(Seat):
    """A worker in the official SDK."""

    def __init__(self, server: StubServer, row: Row, sdk: OfficialSdk) -> None:
        super().__init__(server, row)
        self._sdk = sdk
        self._worker: JsWorker | None = None
        self._lifetimes = itertools.count(3_600)  # tokens of one second would be the same otherwise

    def _token(self) -> str:
        server = self.server
        return worker_token(
            account_sid=server.account_sid,
            signing_key_sid=server.signing_key_sid,
            signing_key_secret=server.signing_key_secret,
            workspace_sid=self.workspace_sid,
            worker_sid=self.worker_sid,
            lifetime=next(self._lifetimes),
        )

    async def connect(self) -> None:
        self._worker = await self._sdk.worker(
            self._token(), {"setWorkerOfflineIfDisconnected": False}, ready=False
        )
        await self.wait(lambda: "ready" in self.life, "not ready")

    @property
    def life(self) -> list[str]:
        events = () if self._worker is None else self._worker.log
        return [_shown(event) for event in events if event.kind == "worker" and event.event in LIFE]

    def told(self) -> dict[str, list[str]]:
        told: dict[str, list[str]] = {}
        for event in () if self._worker is None else self._worker.log:
            if event.event == "reservationCreated":
                told.setdefault(event.data["sid"], []).append("created")
            elif event.kind == "reservation" and event.event in TOLD:
                told.setdefault(event.sid, []).append(event.event)
        return told

    async def accept(self, reservation_sid: str) -> str:
        assert self._worker is not None
        try:
            await self._worker.call("accept", on=("reservation", reservation_sid))
        except OfficialSdkError as error:
            return f"{error.name}: {error.message.partition('. ')[0]}"
        return "returned"

    async def new_token(self) -> None:
        assert self._worker is not None
        await self._worker.call("updateToken", self._token())


@pytest.fixture(scope="module")
def played() -> dict[str, Played | BaseException]:
    """Every row, all at once in one Node process against one server, whose clocks run fast."""

    async def all_of_them() -> dict[str, Played | BaseException]:
        # A heartbeat each third of a second is one each three seconds by the clock of the other process.
        server = StubServer(Settings(port=0, heartbeat_seconds=1), token_clock=LoopClock())
        async with server, OfficialSdk(server, clock_speed=NODE_SPEED) as sdk:
            seats = [TheirSeat(server, row, sdk) for row in ROWS]
            results = await asyncio.gather(*(play(seat) for seat in seats), return_exceptions=True)
        return dict(zip((row.name for row in ROWS), results, strict=True))

    with asyncio.Runner(loop_factory=lambda: FastLoop(LOOP_SPEED)) as runner:
        return runner.run(all_of_them())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_official_sdk_under_each_fault(row: Row, played: dict[str, Played | BaseException]) -> None:
    result = played[row.name]
    if isinstance(result, BaseException):
        raise result
    if row.theirs.twice is None:
        result = replace(result, twice=None)
    assert result == row.theirs
