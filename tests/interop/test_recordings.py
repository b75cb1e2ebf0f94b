"""A recorded session, replayed, makes a client emit the same events in the same order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from server_stub import Settings, StubServer
from server_stub.domain.workspace import Workspace
from server_stub.proxy import TcpProxy
from server_stub.replay import ReplayServer
from taskrouter_worker import Disconnect, Reservation, TaskRouterError, Worker
from taskrouter_worker.recording import Closed, Recording, Refused, read_recording
from tests.interop.conftest import Desk
from tests.interop.official_sdk import JsEvent, JsWorker, OfficialSdk
from tests.scenarios.journal import EMISSIONS, until

PATIENCE = 20.0


class Application:
    """Works as the attributes of its tasks say, and writes down what it was told."""

    def __init__(self, worker: Worker, next_token: Callable[[], str]) -> None:
        self.worker = worker
        self.next_token = next_token
        self.told: list[str] = []
        self.rejected: set[str] = set()
        self.left = asyncio.Event()
        worker.on("ready", lambda _: self.told.append("ready"))
        worker.on("reservationCreated", self.created)
        worker.on("reservationMissed", lambda r: self.told.append(f"missed {r.sid} as {r.status}"))
        worker.on("disconnected", self.disconnected)
        worker.on("tokenUpdated", lambda: self.told.append("tokenUpdated"))
        worker.on("error", self.failed)
        worker.on("activityUpdated", lambda w: self.told.append(f"activity {w.activity_name}"))

    def failed(self, error: TaskRouterError) -> None:
        self.told.append(f"error {type(error).__name__}")

    def disconnected(self, end: Disconnect) -> None:
        self.told.append(f"disconnected {end.cause} {end.code} {end.will_reconnect}")

    async def created(self, reservation: Reservation) -> None:
        self.told.append(f"created {reservation.sid} {reservation.origin} {reservation.task.attributes}")
        for step in EMISSIONS:
            reservation.on(step, self.writer(step))
        match cast("Any", reservation.task.attributes)["do"]:
            case "reject" if reservation.task.sid not in self.rejected:  # once: it is offered again
                self.rejected.add(reservation.task.sid)
                await reservation.reject()
            case "work":
                await reservation.accept()
                await reservation.complete()
            case "refresh":
                self.worker.update_token(self.next_token())
            case "leave":
                self.left.set()
            case _:
                pass

    def writer(self, step: str) -> Callable[[Reservation], None]:
        return lambda reservation: self.told.append(f"{step} {reservation.sid}")


def task(server: StubServer, do: str) -> str:
    def create(workspace: Workspace) -> str:
        workflow = next(iter(workspace.workflows))
        return workspace.create_task(attributes=f'{{"do": "{do}"}}', workflow_sid=workflow).sid

    return server.run(server.workspace_sid, create)


def cancel(server: StubServer, sid: str) -> None:
    server.run(
        server.workspace_sid, lambda ws: ws.update_task(sid, assignment_status="canceled", reason="test")
    )


async def eventful_session(path: Path, *, where: Literal["client", "server"]) -> list[str]:
    """A session with work, a rejection, a gap in which things happened, and a refreshed token."""
    async with StubServer(Settings(port=0)) as server, TcpProxy(server.port) as proxy:
        if where == "server":
            server.record(path)
        worker_sid, token = server.hire("Ann")
        worker = Worker(
            token,
            eb_server=proxy.url("http", "/v1/wschannels"),
            ws_server=proxy.url("ws", "/v1/wschannels"),
            set_worker_offline_if_disconnected=False,
            reconnect_backoff=lambda _: 0.2,
            record=path if where == "client" else None,
        )
        app = Application(worker, lambda: server.worker_token(worker_sid, lifetime=1800))

        async def told(what: str, count: int = 1) -> None:
            await until(lambda: sum(what in line for line in app.told) >= count, lambda: app.told, PATIENCE)

        async with worker:
            task(server, "work")
            await told("completed")
            rejected = task(server, "reject")
            await told("'do': 'reject'", 2)
            cancel(server, rejected)
            await told("canceled")

            waiting = task(server, "wait")
            await told("'do': 'wait'")
            await proxy.refuse()
            proxy.reset()
            await told("disconnected")
            cancel(server, waiting)
            cancel(server, task(server, "come and go"))
            if where == "client":
                await told("error")  # it tried, and nobody listened
            await proxy.accept()
            await told("missed")

            refreshing = task(server, "refresh")
            await told("tokenUpdated")
            cancel(server, refreshing)
            await told("canceled", 4)  # with the one that was missed
            await until(lambda: len(proxy.open) >= 1 and len(server_sessions(server)) == 1, lambda: app.told)
            task(server, "work")
            await told("completed", 2)
            task(server, "leave")
            await asyncio.wait_for(app.left.wait(), PATIENCE)
        return app.told


def server_sessions(server: StubServer) -> list[object]:
    return [s for box in server._sessions._outboxes.values() for s in box.sessions.values()]


async def replayed(recording: Recording, *, pace: Literal["fast", "recorded"] = "fast") -> list[str]:
    """What the same application is told by the recording."""
    async with ReplayServer(recording, pace=pace) as server:
        worker = Worker(
            server.token(),
            eb_server=server.eb_server,
            ws_server=server.ws_server,
            set_worker_offline_if_disconnected=False,
            reconnect_backoff=lambda _: 0.05,
        )
        app = Application(worker, server.token)
        async with asyncio.timeout(PATIENCE):
            async with worker:
                await app.left.wait()
            await server.finished()
        return app.told


@pytest.mark.parametrize("where", ["client", "server"])
async def test_our_sdk_is_told_the_same_by_its_recorded_session(
    tmp_path: Path, where: Literal["client", "server"]
) -> None:
    path = tmp_path / "session.jsonl"
    told = await eventful_session(path, where=where)
    recording = read_recording(path.read_bytes())
    lines = [line for _, line in recording.lines]

    assert await replayed(recording) == [line for line in told if where == "client" or "error" not in line]
    assert {"ready", "tokenUpdated"} <= set(told)
    assert any("missed" in line for line in told)
    assert any(isinstance(line, Closed) and line.by is None for line in lines), "the gap"
    assert where == "server" or any(isinstance(line, Refused) for line in lines)


async def official_work(worker: JsWorker, *, feed: Callable[[str], Awaitable[None]], token: str) -> list[str]:
    """What the official SDK is told; `feed` is what the world does meanwhile."""
    await feed("first task")
    created = (await worker.event("reservationCreated")).data["sid"]
    await worker.call("accept", on=("reservation", created))
    await worker.event("accepted", kind="reservation", sid=created)
    await worker.call("complete", on=("reservation", created))
    await worker.event("completed", kind="reservation", sid=created)

    await feed("second task")
    rejected = (await worker.event("reservationCreated")).data["sid"]
    await worker.call("reject", on=("reservation", rejected))
    await worker.event("rejected", kind="reservation", sid=rejected)
    again = (await worker.event("reservationCreated")).data["sid"]
    await feed("second task is canceled")
    await worker.event("canceled", kind="reservation", sid=again)

    await feed("connection is lost")
    await worker.event("disconnected")
    await worker.event("ready")
    await worker.call("updateToken", token)
    await worker.event("tokenUpdated")

    await feed("third task")
    last = (await worker.event("reservationCreated")).data["sid"]
    await worker.call("accept", on=("reservation", last))
    await worker.event("accepted", kind="reservation", sid=last)
    return [shown(event) for event in worker.log]


def shown(event: JsEvent) -> str:
    data = event.data if event.kind != "worker" or event.event == "disconnected" else None
    return f"{event.kind} {event.event} {event.sid} {json.dumps(data, sort_keys=True)}"


async def test_the_official_sdk_is_told_the_same_by_its_recorded_session(desk: Desk, tmp_path: Path) -> None:
    server = desk.server
    tasks: list[str] = []
    path = tmp_path / "session.jsonl"
    async with TcpProxy(server.port) as proxy:

        async def feed(what: str) -> None:
            match what:
                case "connection is lost":
                    for connection in proxy.open:
                        connection.close()
                case "second task is canceled":
                    cancel(server, tasks[-1])
                case _:
                    tasks.append(await desk.task(do=what))

        with server.record(path):
            sid = await desk.hire("Ann")
            worker = await desk.sdk.worker(
                desk.token(sid),
                {
                    "ebServer": proxy.url("http", "/v1/wschannels"),
                    "wsServer": proxy.url("ws", "/v1/wschannels"),
                    "setWorkerOfflineIfDisconnected": False,
                },
            )
            told = await official_work(worker, feed=feed, token=desk.token(sid, ttl=1800))
            await worker.call("disconnect")
            await until(lambda: not server_sessions(server), lambda: "it stays connected", PATIENCE)

    async def nothing(_: str) -> None:
        """The recording brings it."""

    async with (
        ReplayServer(read_recording(path.read_bytes()), settle=0.05) as replay,
        OfficialSdk(cast("StubServer", replay)) as sdk,
    ):
        (token,) = replay.tokens(sid)  # a new one opens no new websocket in this SDK
        again = await sdk.worker(token, {"setWorkerOfflineIfDisconnected": False})
        assert await official_work(again, feed=nothing, token=token) == told
        await again.call("disconnect")
        await asyncio.wait_for(replay.finished(), PATIENCE)
