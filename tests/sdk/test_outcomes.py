"""Commands whose answer does not come: never sent twice, looked after, and told truly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from server_stub import StubServer
from server_stub.faults import FaultyRequest, RequestFault
from taskrouter_worker import (
    EndedOtherwiseError,
    NetworkError,
    RequestError,
    RequestInvalidError,
    RequestTimeoutError,
    Reservation,
    VersionConflictError,
    Worker,
)
from taskrouter_worker._requests import Request
from taskrouter_worker._token import Token
from tests.sdk.peer import Peer, server_error, virtual_worker
from tests.sdk.virtual import ended, settle, virtual_time
from tests.sdk.world import sid
from tests.support import access_token

ONE = sid("WR", 1)
COMMAND = "POST .*/Reservations/"
LOOK = "GET .*/Reservations/WR"

Command = Callable[[Reservation], Awaitable[object]]

COMMANDS: dict[str, Command] = {
    "accept": lambda r: r.accept(),
    "reject": lambda r: r.reject(),
    "wrap": lambda r: r.wrap(),
    "complete": lambda r: r.complete(),
    "task.wrap_up": lambda r: r.task.wrap_up(),
    "task.complete": lambda r: r.task.complete("done"),
}


def no_answer() -> RequestTimeoutError:
    return RequestTimeoutError("no answer", method="POST", path="somewhere")


def broken_off() -> NetworkError:
    return NetworkError("reset by peer", method="POST", path="somewhere")


ANSWERLESS: dict[str, Callable[[], RequestError]] = {
    "no answer": no_answer,
    "broken off": broken_off,
    "500": lambda: server_error(500),
    "502": lambda: server_error(502),
    "503": lambda: server_error(503),
    "504": lambda: server_error(504),
}


class Stalling(Peer):
    """Answers no command until `fails` is set, and then breaks off."""

    fails: asyncio.Event

    async def send(self, request: Request, token: Token) -> bytes:
        if request.method == "POST":
            self.requests.append(request)
            await self.fails.wait()
            raise broken_off()
        return await super().send(request, token)


# What the fake peer did is known exactly: the order of things


@asynccontextmanager
async def offered(peer: Peer | None = None) -> AsyncIterator[tuple[Peer, Worker, Reservation]]:
    """A worker with a pending reservation."""
    peer = peer or Peer()
    peer.world.create_reservation()
    async with virtual_worker(peer) as worker:
        await settle()
        yield peer, worker, worker.reservations[ONE]


@pytest.mark.parametrize("failure", ANSWERLESS)
@virtual_time
async def test_a_command_that_was_carried_out_succeeds_though_its_answer_is_lost(failure: str) -> None:
    async with offered() as (peer, _, reservation):
        peer.fail(COMMAND, ANSWERLESS[failure]())
        peer.world.accept(ONE)  # the service carried it out; neither its answer nor its event arrives
        assert await reservation.accept() is reservation
        assert reservation.status == "accepted"
        assert len(peer.asked(COMMAND)) == 1
        assert len(peer.asked(LOOK)) == 1


@virtual_time
async def test_an_event_that_tells_saves_the_look() -> None:
    async with offered(Stalling()) as (peer, _, reservation):
        assert isinstance(peer, Stalling)
        peer.fails = asyncio.Event()
        accepting = asyncio.create_task(reservation.accept())
        await settle()
        peer.push(peer.world.accept(ONE))
        await settle()
        peer.fails.set()
        await accepting
        assert peer.asked(LOOK) == []


@virtual_time
async def test_a_command_that_was_not_carried_out_raises_and_may_be_repeated() -> None:
    async with offered() as (peer, _, reservation):
        peer.fail(COMMAND, no_answer())
        with pytest.raises(RequestTimeoutError) as caught:
            await reservation.accept()
        assert caught.value.carried_out is False
        assert "may be repeated" in caught.value.__notes__[0]
        assert len(peer.asked(COMMAND)) == 1
        await reservation.accept()
        assert reservation.status == "accepted"


@pytest.mark.parametrize("how", ["canceled", "timeout", "rescinded"])
@virtual_time
async def test_a_reservation_that_ended_otherwise_is_told_by_type(how: str) -> None:
    async with offered() as (peer, _, reservation):
        failure = broken_off()
        peer.fail(COMMAND, failure)
        peer.world.end(ONE, how)
        with pytest.raises(EndedOtherwiseError, match=how) as caught:
            await reservation.accept()
        assert (caught.value.sid, caught.value.outcome) == (ONE, how)
        assert caught.value.__cause__ is failure


@virtual_time
async def test_a_reservation_that_the_service_forgot_is_told_as_unknown() -> None:
    async with offered() as (peer, _, reservation):
        peer.fail(COMMAND, broken_off())
        peer.world.end(ONE, "canceled")
        peer.world.purge(ONE)
        with pytest.raises(EndedOtherwiseError) as caught:
            await reservation.accept()
        assert caught.value.outcome == "unknown"


@virtual_time
async def test_a_look_that_fails_leaves_the_outcome_open_and_is_bounded() -> None:
    async with offered() as (peer, _, reservation):
        peer.fail(COMMAND, no_answer())
        peer.fail(LOOK, *(server_error(503) for _ in range(10)))
        with pytest.raises(RequestTimeoutError) as caught:
            await reservation.accept()
        assert caught.value.carried_out is None
        assert "could not be looked up" in caught.value.__notes__[0]
        assert len(peer.asked(LOOK)) == 3


@virtual_time
async def test_a_look_that_never_ends_is_given_up() -> None:
    async with offered() as (peer, _, reservation):
        peer.fail(COMMAND, NetworkError("gone", method="POST", path="somewhere"))
        peer.hold(LOOK)
        took = asyncio.create_task(ended(reservation.accept(), within=60))
        with pytest.raises(NetworkError) as caught:
            await took
        assert caught.value.carried_out is None


@virtual_time
async def test_a_look_after_the_end_of_the_worker_leaves_the_outcome_open() -> None:
    async with offered(Stalling()) as (peer, worker, reservation):
        assert isinstance(peer, Stalling)
        peer.fails = asyncio.Event()
        accepting = asyncio.create_task(reservation.accept())
        await settle()
        await worker.disconnect()
        peer.fails.set()
        with pytest.raises(NetworkError) as caught:
            await accepting
        assert caught.value.carried_out is None


@pytest.mark.parametrize("status", [400, 404, 409, 412, 429])
@virtual_time
async def test_a_refusal_is_no_reason_to_look(status: int) -> None:
    async with offered() as (peer, _, reservation):
        peer.fail(COMMAND, RequestInvalidError("refused", method="POST", path="somewhere", status=status))
        with pytest.raises(RequestInvalidError) as caught:
            await reservation.accept()
        assert caught.value.carried_out is False
        assert peer.asked(LOOK) == []


@virtual_time
async def test_the_model_tells_a_looked_up_acceptance_once() -> None:
    async with offered() as (peer, _, reservation):
        told: list[str] = []
        reservation.on("accepted", lambda r: told.append(r.sid))
        peer.fail(COMMAND, no_answer())
        frames = peer.world.accept(ONE)
        await reservation.accept()
        assert told == []
        peer.push(frames)
        peer.push(frames)
        await settle()
        assert told == [ONE]


# Against the local server, whose connections are really cut


@asynccontextmanager
async def employed(server: StubServer, *, before: str, **options: Any) -> AsyncIterator[Reservation]:
    """A worker's reservation of that status, and a server that cuts the next command's connection."""
    ws = server.workspace_sid
    available = next(a for a in server.account.workspaces[ws].activities.values() if a.available)
    nina = server.run(ws, lambda w: w.create_worker(friendly_name="nina", activity_sid=available.sid))
    worker = Worker(
        access_token(server, nina.sid), eb_server=server.eb_server, ws_server=server.ws_server, **options
    )
    async with worker:
        arrival = asyncio.ensure_future(worker.wait_for("reservationCreated", timeout=20))
        await asyncio.sleep(0)
        server.run(ws, lambda w: w.create_task())
        reservation = await arrival
        if before != "pending":
            await reservation.accept()
        yield reservation


def cut_commands(server: StubServer, when: Any, *, also: Callable[[], None] = lambda: None) -> list[str]:
    """The server cuts the connection of each command; the list holds the commands it saw."""
    seen: list[str] = []

    def fault(request: FaultyRequest) -> RequestFault | None:
        if request.method == "GET":
            return None
        seen.append(request.path)
        also()
        return RequestFault(cut=when)

    server.faults.request = fault
    return seen


@pytest.mark.parametrize("name", COMMANDS)
async def test_commands_cut_after_they_were_carried_out_succeed(server: StubServer, name: str) -> None:
    before = "pending" if name in ("accept", "reject") else "accepted"
    async with employed(server, before=before) as reservation:
        seen = cut_commands(server, "after")
        await COMMANDS[name](reservation)
        assert len(seen) == 1
        status = reservation.task.status if "." in name else reservation.status
        expected = {"accept": "accepted", "reject": "rejected"}
        assert status == expected.get(name, "wrapping" if "wrap" in name else "completed")


@pytest.mark.parametrize("name", COMMANDS)
async def test_commands_cut_before_they_were_carried_out_raise_and_may_be_repeated(
    server: StubServer, name: str
) -> None:
    before = "pending" if name in ("accept", "reject") else "accepted"
    async with employed(server, before=before) as reservation:
        seen = cut_commands(server, "before")
        with pytest.raises(NetworkError) as caught:
            await COMMANDS[name](reservation)
        assert caught.value.carried_out is False
        assert len(seen) == 1
        server.faults.request = None
        await COMMANDS[name](reservation)


@pytest.mark.parametrize("name", ["accept", "reject"])
async def test_commands_that_come_too_late_say_how_it_ended(server: StubServer, name: str) -> None:
    async with employed(server, before="pending") as reservation:
        ws = server.workspace_sid
        task_sid = reservation.task.sid

        def cancel() -> None:
            server.run(ws, lambda w: w.update_task(task_sid, assignment_status="canceled"))

        cut_commands(server, "before", also=cancel)
        with pytest.raises(EndedOtherwiseError) as caught:
            await COMMANDS[name](reservation)
        assert (caught.value.sid, caught.value.outcome) == (reservation.sid, "canceled")


async def test_a_version_conflict_says_what_to_do(server: StubServer) -> None:
    async with employed(server, before="accepted", enable_version_check=True) as reservation:
        task = reservation.task
        await task.fetch_latest_version()  # the answer to accept() does not show the task
        stale = task._fields
        await task.set_attributes({"a": 1})
        task._held = stale
        with pytest.raises(VersionConflictError, match="fetch_latest_version") as caught:
            await task.set_attributes({"a": 2})
        assert caught.value.carried_out is False
        await task.fetch_latest_version()
        assert (await task.set_attributes({"a": 2})).attributes == {"a": 2}


async def test_a_command_right_after_accept_meets_no_version_conflict(server: StubServer) -> None:
    async with employed(server, before="pending", enable_version_check=True) as reservation:
        await reservation.accept()
        task = await reservation.task.set_attributes({"a": 1})
        assert task.attributes == {"a": 1}
