"""Reading a workspace: on one's own and beside a worker, with asyncio and without."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from twilio.rest import Client

from server_stub import StubServer
from server_stub.faults import FaultyRequest, RequestFault
from taskrouter_worker import (
    AuthenticationError,
    InvalidTokenError,
    NotConnectedError,
    NotFoundError,
    SyncWorker,
    SyncWorkspace,
    TaskQueue,
    TaskRouterError,
    TokenProviderError,
    WorkerInfo,
    Workspace,
)
from tests.sdk.office import Office, RestOffice
from tests.sdk.test_sync import process_until
from tests.support import access_token

PATIENCE = 30.0
NOBODY = "WK" + "0" * 32


@pytest.fixture
def desk(threaded_server: StubServer, twilio_client: Client) -> RestOffice:
    return RestOffice(threaded_server, twilio_client)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """No thread outlives a workspace or a worker."""
    before = set(threading.enumerate())
    yield
    assert [t for t in threading.enumerate() if t not in before and "taskrouter" in t.name] == []


def workspace_of(desk: RestOffice, **options: Any) -> SyncWorkspace:
    """The default workspace, seen with a supervisor's token unless a provider makes one."""
    if "token_provider" not in options:
        options["token"] = desk.token(desk.hire("boss"), role="supervisor")
    return SyncWorkspace(eb_server=desk.server.eb_server, **options)


def hold(desk: RestOffice) -> threading.Event:
    """Requests to the event bridge are kept waiting from now on; set when the first has come."""
    came = threading.Event()

    def fault(request: FaultyRequest) -> RequestFault | None:
        if request.door != "bridge":
            return None
        came.set()
        return RequestFault(delay=60)

    desk.server.faults.request = fault
    return came


# On one's own, without asyncio


def test_a_script_reads_workers_queues_and_tasks(desk: RestOffice) -> None:
    nina = desk.hire("nina")
    task = desk.task(topic="cards")
    with workspace_of(desk) as workspace:
        assert workspace.workspace_sid == desk.server.workspace_sid
        assert {worker.name for worker in workspace.fetch_workers_info().values()} == {"nina", "boss"}
        assert [worker.sid for worker in workspace.fetch_workers(friendly_name="nina").values()] == [nina]
        assert workspace.fetch_worker_info(nina).name == workspace.fetch_worker(nina).name == "nina"
        [queue] = workspace.fetch_task_queues(limit=1).values()
        assert isinstance(queue, TaskQueue)
        assert workspace.fetch_task_queue(queue.sid).name == queue.name
        assert workspace.fetch_task(task).attributes == {"topic": "cards"}
        assert repr(workspace) == f"<SyncWorkspace {desk.server.workspace_sid}>"


def test_errors_of_a_workspace_keep_their_types(desk: RestOffice) -> None:
    with workspace_of(desk) as workspace:
        with pytest.raises(ValueError, match="worker_sid"):
            workspace.fetch_worker_info("WQ1")
        with pytest.raises(ValueError, match="limit"):
            workspace.fetch_workers_info(limit=0)
        with pytest.raises(NotFoundError):
            workspace.fetch_worker_info(NOBODY)


def test_a_workspace_has_no_thread_before_the_first_call_and_none_after_its_end(desk: RestOffice) -> None:
    def own() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "taskrouter workspace"]

    with closing(workspace_of(desk)) as workspace:
        assert own() == []
        workspace.fetch_task_queues()
        assert own() == ["taskrouter workspace"]
        assert workspace.close() is True
        assert own() == []
        with pytest.raises(NotConnectedError, match="the workspace was closed"):
            workspace.fetch_task_queues()


def test_a_workspace_that_was_never_used_is_closed_for_good(desk: RestOffice) -> None:
    with workspace_of(desk) as workspace:
        assert workspace.close() is True
        with pytest.raises(NotConnectedError, match="the workspace was closed"):
            workspace.fetch_task_queues()


def test_the_first_calls_of_several_threads_share_one_thread(desk: RestOffice) -> None:
    begin = threading.Barrier(4)

    def fetch() -> int:
        begin.wait(PATIENCE)
        return len(workspace.fetch_task_queues())

    with workspace_of(desk) as workspace, ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(fetch) for _ in range(4)]
        assert [call.result(PATIENCE) for call in calls] == [1] * 4


def test_what_is_submitted_to_a_workspace_returns_at_once(desk: RestOffice) -> None:
    with workspace_of(desk) as workspace:
        assert len(workspace.submit(workspace.fetch_task_queues, limit=5).result(PATIENCE)) == 1
        refused = workspace.submit(workspace.fetch_worker_info, NOBODY)
        assert isinstance(refused.exception(PATIENCE), NotFoundError)
        with pytest.raises(TypeError, match="takes a command"):
            workspace.submit(print)  # type: ignore[arg-type]


def test_calls_that_wait_when_a_workspace_is_closed_are_told(desk: RestOffice) -> None:
    with workspace_of(desk) as workspace:
        came = hold(desk)
        waiting = workspace.submit(workspace.fetch_task_queues)
        assert came.wait(PATIENCE)
        assert workspace.close(PATIENCE) is True
        assert isinstance(waiting.exception(PATIENCE), TaskRouterError)


def test_a_workspace_may_be_closed_in_its_own_thread(desk: RestOffice) -> None:
    with workspace_of(desk) as workspace:
        closed = threading.Event()

        def close(_: object) -> None:
            workspace.close()
            closed.set()

        workspace.submit(workspace.fetch_task_queues).add_done_callback(close)
        assert closed.wait(PATIENCE)
        assert workspace.close(PATIENCE) is True


def test_a_call_that_takes_too_long_is_given_up(desk: RestOffice) -> None:
    with workspace_of(desk, command_timeout=0.2) as workspace:
        hold(desk)
        with pytest.raises(TimeoutError, match=r"0\.2 s"):
            workspace.fetch_task_queues()


def test_a_workspace_without_a_token_asks_its_provider_once(desk: RestOffice) -> None:
    made: list[str] = []

    def provide() -> str:
        made.append(desk.token(desk.hire(f"boss {len(made)}"), role="supervisor"))
        return made[-1]

    with workspace_of(desk, token_provider=provide) as workspace:
        assert workspace.workspace_sid == ""
        workspace.fetch_task_queues()
        assert len(workspace.fetch_workers_info()) == 1
        assert workspace.workspace_sid == desk.server.workspace_sid
    assert len(made) == 1


def test_a_token_that_has_run_out_is_replaced_by_the_provider(desk: RestOffice) -> None:
    boss = desk.hire("boss")
    over = desk.token(boss, role="supervisor", ttl=-60)
    options: dict[str, Any] = {"eb_server": desk.server.eb_server}
    with SyncWorkspace(over, **options) as workspace, pytest.raises(AuthenticationError):
        workspace.fetch_task_queues()

    async def provide() -> str:
        return desk.token(boss, role="supervisor")

    with SyncWorkspace(over, token_provider=provide, **options) as workspace:
        assert len(workspace.fetch_task_queues()) == 1


def test_another_token_is_used_from_then_on(desk: RestOffice) -> None:
    boss = desk.hire("boss")
    with SyncWorkspace(desk.token(boss, ttl=-60), eb_server=desk.server.eb_server) as workspace:
        workspace.update_token(desk.token(boss))
        assert len(workspace.fetch_task_queues()) == 1
        with pytest.raises(TypeError):
            workspace.update_token(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({}, TypeError, "token must be"),
        ({"token": "a.b.c"}, InvalidTokenError, "names no workspace"),
        ({"token_provider": "a.b.c"}, TypeError, "token_provider must be callable"),
        ({"token_provider": str, "workspace_sid": "WK1"}, ValueError, "workspace_sid"),
        ({"token_provider": str, "command_timeout": 0}, ValueError, "command_timeout"),
        ({"token_provider": str, "page_size": 0}, ValueError, "page_size"),
        ({"token_provider": str, "http_session": None}, TypeError, "http_session"),
    ],
)
def test_wrong_arguments_of_a_workspace_are_refused_at_once(
    options: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        SyncWorkspace(**options)


# Beside a worker, without asyncio


def test_a_worker_reads_its_workspace_in_its_own_thread(desk: RestOffice) -> None:
    nina, omar = desk.hire("nina"), desk.hire("omar")
    with SyncWorker(desk.token(nina), **desk.options()) as worker:
        before = threading.active_count()
        reading = worker.workspace
        assert reading is worker.workspace
        assert reading.workspace_sid == worker.workspace_sid
        assert set(reading.fetch_workers_info()) == {nina, omar}
        assert isinstance(reading.fetch_worker_info(omar), WorkerInfo)
        assert len(reading.fetch_task_queues(worker_sid=nina)) == 1
        assert threading.active_count() == before
    with pytest.raises(NotConnectedError, match="the worker was disconnected"):
        reading.fetch_task_queues()


def test_what_a_worker_finds_is_handed_to_where_handlers_are_called(desk: RestOffice) -> None:
    found: list[tuple[int, threading.Thread]] = []
    with SyncWorker(desk.token(desk.hire()), **desk.options()) as worker:
        finding = worker.submit(worker.workspace.fetch_workers_info, limit=100)
        worker.when_done(finding, lambda it: found.append((len(it.result()), threading.current_thread())))
        process_until(worker, lambda: found)
    assert found == [(1, threading.current_thread())]


def test_a_search_that_is_under_way_ends_with_the_worker(desk: RestOffice) -> None:
    with SyncWorker(desk.token(desk.hire()), **desk.options()) as worker:
        came = hold(desk)
        finding = worker.submit(worker.workspace.fetch_workers_info)
        assert came.wait(PATIENCE)
        worker.disconnect()
        assert isinstance(finding.exception(PATIENCE), TaskRouterError)


def test_a_worker_that_was_not_started_knows_no_workspace(desk: RestOffice) -> None:
    worker = SyncWorker(desk.token(desk.hire()), **desk.options())
    assert worker.workspace.workspace_sid == ""
    with pytest.raises(NotConnectedError, match="not started"):
        worker.workspace.fetch_task_queues()


# With asyncio


async def test_a_workers_workspace_uses_its_token_and_its_connections(server: StubServer) -> None:
    office = Office(server)
    nina = office.hire("nina")
    worker = office.worker(nina)
    with pytest.raises(NotConnectedError, match="not known yet"):
        await worker.workspace.fetch_task_queues()
    async with worker:
        worker.update_token(access_token(server, nina, role="supervisor"))
        assert set(await worker.workspace.fetch_workers_info()) == {nina}
        assert repr(worker.workspace) == f"<WorkspaceReader {server.workspace_sid}>"
    with pytest.raises(NotConnectedError, match="the worker was disconnected"):
        await worker.workspace.fetch_task_queues()


async def test_a_closed_workspace_says_so(server: StubServer) -> None:
    token = access_token(server, Office(server).hire())
    async with Workspace(token, eb_server=server.eb_server) as workspace:
        assert len(await workspace.fetch_task_queues()) == 1
    with pytest.raises(NotConnectedError, match="the workspace was closed"):
        await workspace.fetch_task_queues()


async def test_a_workspace_that_was_closed_before_its_first_fetch_asks_no_provider(
    server: StubServer,
) -> None:
    workspace = Workspace(token_provider=failing, eb_server=server.eb_server)
    await workspace.close()
    with pytest.raises(NotConnectedError, match="the workspace was closed"):
        await workspace.fetch_task_queues()


def nothing() -> None:
    """A provider that returns no token."""


def failing() -> str:
    raise OSError("the service is down")


@pytest.mark.parametrize("provide", [nothing, failing])
async def test_a_provider_that_fails_is_told_where_something_is_fetched(
    server: StubServer, provide: Callable[[], Any]
) -> None:
    async with Workspace(token_provider=provide, eb_server=server.eb_server) as workspace:
        with pytest.raises(TokenProviderError):
            await workspace.fetch_task_queues()


async def test_the_workspace_of_a_providers_token_is_read_at_the_first_fetch(server: StubServer) -> None:
    token = access_token(server, Office(server).hire())
    async with Workspace(token_provider=lambda: token, eb_server=server.eb_server) as workspace:
        assert len(await workspace.fetch_task_queues()) == 1
    async with Workspace(token_provider=lambda: "a.b.c", eb_server=server.eb_server) as workspace:
        with pytest.raises(InvalidTokenError, match="names no workspace"):
            await workspace.fetch_task_queues()
