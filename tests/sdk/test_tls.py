"""Over TLS: certificates of a private CA, certificates of clients, and what is said when one is no good."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server_stub import Settings, StubServer
from taskrouter_worker import (
    ConnectionFailedError,
    NetworkError,
    Supervisor,
    SyncSupervisor,
    SyncWorker,
    SyncWorkspace,
    TaskRouterError,
    Worker,
    WorkerPool,
    Workspace,
    _tls,
)
from taskrouter_worker._signaling import Signaling
from taskrouter_worker._token import Token
from tests.sdk.certificates import HOST, Authority, tls_door
from tests.sdk.office import Office
from tests.sdk.proxy import proxy_server
from tests.sdk.test_sync import process_until
from tests.support import ServerInThread, access_token

PATIENCE = 30.0


def at_once(_attempt: int) -> float:
    """The next attempt needs no wait."""
    return 0.0


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def office(authority: Authority, tmp_path: Path) -> AsyncIterator[Office]:
    """A server that speaks nothing but TLS."""
    async with StubServer(Settings(port=0, **authority.settings(tmp_path))) as server:
        assert server.eb_server.startswith("https://")
        assert server.ws_server.startswith("wss://")
        yield Office(server)


@pytest.fixture
def no_token_is_told(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Tokens put into the list are in no log record of this test."""
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []
    yield tokens
    assert tokens
    for record in caplog.get_records("call"):
        shown = record.getMessage() + str(record.args) + str(record.exc_text)
        assert not any(token in shown for token in tokens), record.name


async def handles_a_task(office: Office, worker: Worker) -> None:
    """It is told of a task, accepts it, and completes it."""
    async with worker.stream("reservationCreated") as offers, asyncio.timeout(PATIENCE):
        task = office.task()
        reservation = await anext(offers)
        await reservation.accept()
        await reservation.complete()
        assert office.status(task) == "completed"


def described(error: BaseException, token: str) -> str:
    """The error's text; neither it nor what is behind it shows the token."""
    assert token not in "".join(traceback.format_exception(error))
    return str(error)


async def attempts(worker: Worker, count: int) -> list[TaskRouterError]:
    """What its first attempts to connect fail with."""
    async with worker.stream("error") as errors, asyncio.timeout(PATIENCE):
        entering = asyncio.ensure_future(worker.__aenter__())
        try:
            return [await anext(errors) for _ in range(count)]
        finally:
            assert not entering.done()
            await worker.disconnect()
            await asyncio.wait({entering})
            entering.exception()


# It works


@pytest.mark.parametrize("kind", [Worker, Supervisor])
async def test_a_worker_works_over_tls_and_survives_new_tokens_and_cut_connections(
    office: Office, authority: Authority, kind: type[Worker]
) -> None:
    sid = office.hire()
    options = office.options(ssl_context=authority.trusted(), reconnect_backoff=at_once)
    async with kind(access_token(office.server, sid), **options) as worker, asyncio.timeout(PATIENCE):
        await handles_a_task(office, worker)
        async with worker.stream("ready") as readies:
            worker.update_token(access_token(office.server, sid, ttl=1800))  # make before break
            await worker.caught_up()
            await handles_a_task(office, worker)
            office.server.faults.cut(worker_sid=sid)
            await anext(readies)
        await handles_a_task(office, worker)


async def test_a_session_of_the_applications_own_takes_the_context_too(
    office: Office, authority: Authority
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        office.worker(office.hire(), ssl_context=authority.trusted(), http_session=http) as worker,
    ):
        await handles_a_task(office, worker)


async def test_a_pool_and_a_workspace_work_over_tls(office: Office, authority: Authority) -> None:
    options = office.options(ssl_context=authority.trusted())
    sid = office.hire()
    pool = WorkerPool(**options)
    worker = pool.add(access_token(office.server, sid))
    async with pool:
        await pool.wait_ready()
        await handles_a_task(office, worker)
    del options["ws_server"]
    async with Workspace(access_token(office.server, sid, role="supervisor"), **options) as workspace:
        assert (await workspace.fetch_worker(sid)).name == "nina"


async def test_a_proxy_learns_where_to_and_nothing_else(office: Office, authority: Authority) -> None:
    async with proxy_server() as proxy:
        worker = office.worker(
            office.hire(), ssl_context=authority.trusted(), proxy=f"http://{proxy.address}"
        )
        async with worker:
            await handles_a_task(office, worker)
        assert set(proxy.tunnels) == {f"{HOST}:{office.server.port}"}
        assert proxy.forwarded == []


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not made for Windows")
def test_it_works_on_uvloop_as_well(authority: Authority, tmp_path: Path) -> None:
    import uvloop  # noqa: PLC0415 - where it exists

    async def work() -> None:
        async with StubServer(Settings(port=0, **authority.settings(tmp_path))) as server:
            office = Office(server)
            async with office.worker(office.hire(), ssl_context=authority.trusted()) as worker:
                await handles_a_task(office, worker)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


@pytest.mark.parametrize("kind", [SyncWorker, SyncSupervisor])
def test_the_blocking_classes_work_over_tls(
    authority: Authority, tmp_path: Path, kind: type[SyncWorker]
) -> None:
    context = authority.trusted()
    with ServerInThread(Settings(port=0, **authority.settings(tmp_path))) as server:
        sid, _ = server.hire("Nina")
        token = access_token(server, sid, role="supervisor")
        worker = kind(token, eb_server=server.eb_server, ws_server=server.ws_server, ssl_context=context)
        with worker:
            assert worker.name == "Nina"
            task = worker.create_task("client:a", "client:b", *_route(server))
            process_until(worker, lambda: worker.reservations)
            [offer] = worker.reservations.values()
            assert offer.accept().task.sid == task
            assert worker.workspace.fetch_worker(sid).name == "Nina"
        with SyncWorkspace(token, eb_server=server.eb_server, ssl_context=context) as workspace:
            assert workspace.fetch_worker(sid).name == "Nina"


def _route(server: StubServer) -> tuple[str, str]:
    """The default workspace's workflow and queue."""
    workspace = server.account.workspaces[server.workspace_sid]
    return next(iter(workspace.workflows)), next(iter(workspace.task_queues))


# Certificates of clients


async def test_a_client_certificate_opens_a_door_that_asks_for_one(
    server: StubServer, authority: Authority
) -> None:
    office = Office(server)
    async with tls_door(authority.server_side(asks_for_certificates=True), server.port) as address:
        options: dict[str, Any] = {
            "reconnect_backoff": at_once,
            "eb_server": f"https://{address}/v1/wschannels",
            "ws_server": f"wss://{address}/v1/wschannels",
        }
        token = access_token(server, office.hire())
        async with Worker(token, ssl_context=authority.trusted_with_certificate(), **options) as worker:
            await handles_a_task(office, worker)

        first, second = await attempts(Worker(token, ssl_context=authority.trusted(), **options), 2)
        assert "client certificate" in described(first, token)
        assert type(first) is type(second) is ConnectionFailedError


# What is said


@pytest.mark.parametrize(
    ("flaw", "said"),
    [
        ("unknown", "not trusted (unable to get local issuer certificate): give an ssl_context that trusts"),
        ("name", "for another address (IP address mismatch, certificate is not valid for '127.0.0.1')"),
        ("expired", "has expired: it must be renewed there, if the clock here is right"),
    ],
)
async def test_a_bad_certificate_is_named_and_tried_again(
    authority: Authority, tmp_path: Path, no_token_is_told: list[str], flaw: str, said: str
) -> None:
    names = ("elsewhere.example",) if flaw == "name" else ()
    settings = authority.settings(tmp_path, *names, expired=flaw == "expired")
    context = (Authority() if flaw == "unknown" else authority).trusted()
    async with StubServer(Settings(port=0, **settings)) as server:
        token = access_token(server, Office(server).hire(), role="supervisor")
        no_token_is_told.append(token)
        options = Office(server).options(ssl_context=context)
        for error in await attempts(Worker(token, reconnect_backoff=at_once, **options), 2):
            assert isinstance(error, ConnectionFailedError)
            assert error.retryable
            assert not error.ends_session
            shown = described(error, token)
            assert shown.startswith(f"cannot connect to {server.ws_server}: its TLS certificate ")
            assert said in shown

        del options["ws_server"]
        async with Workspace(token, **options) as workspace:
            with pytest.raises(NetworkError) as caught:
                await workspace.fetch_task_queues()
        shown = described(caught.value, token)
        assert f"failed: {server.eb_server}: its TLS certificate " in shown
        assert said in shown


async def test_a_worker_waits_for_a_certificate_to_be_renewed(
    server: StubServer, authority: Authority
) -> None:
    office = Office(server)
    certified = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.certify(certified, expired=True)
    async with tls_door(certified, server.port) as address:
        worker = Worker(
            access_token(server, office.hire()),
            eb_server=f"https://{address}/v1/wschannels",
            ws_server=f"wss://{address}/v1/wschannels",
            ssl_context=authority.trusted(),
            reconnect_backoff=at_once,
        )

        @worker.once("error")
        def renew(error: TaskRouterError) -> None:
            assert "has expired" in str(error)
            authority.certify(certified)

        async with asyncio.timeout(PATIENCE), worker:
            await handles_a_task(office, worker)


async def test_who_speaks_tls_to_a_server_without_and_the_other_way_round_is_told(
    server: StubServer, office: Office, authority: Authority
) -> None:
    token = access_token(office.server, office.hire())
    options: dict[str, Any] = {"reconnect_backoff": at_once}
    [plain] = await attempts(
        Worker(token, ws_server=office.server.ws_server.replace("wss:", "ws:"), **options), 1
    )
    assert described(plain, token).endswith(
        "closed the connection without an answer; perhaps it wants TLS: wss://"
    )
    secure = server.ws_server.replace("ws:", "wss:")
    [encrypted] = await attempts(
        Worker(token, ws_server=secure, ssl_context=authority.trusted(), **options), 1
    )
    assert described(encrypted, token).startswith(f"cannot connect to {secure}: it does not speak TLS")


# The platform's CAs


async def test_the_platforms_cas_are_read_once(
    office: Office, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = authority.trusted()
    read: list[ssl.SSLContext] = []

    def read_them() -> ssl.SSLContext:
        read.append(context)
        return context

    token = Token.parse(access_token(office.server, office.hire()))
    _tls.platform_context.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(ssl, "create_default_context", read_them)
        for _ in range(2):
            signaling = Signaling(
                office.server.ws_server, offline_if_disconnected=None, ssl_context=None, proxy=None
            )
            async with await signaling.open(token, close_existing_sessions=False):
                pass
    _tls.platform_context.cache_clear()
    assert len(read) == 1


async def test_a_cas_file_in_the_environment_is_enough_for_the_command_line(
    office: Office, authority: Authority, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(authority.write(tmp_path)),
        "TASKROUTER_TOKEN": access_token(office.server, office.hire()),
        "TASKROUTER_EB_SERVER": office.server.eb_server,
        "TASKROUTER_WS_SERVER": office.server.ws_server,
    }
    listening = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskrouter_worker", "listen", "--json", "--auto", "accept"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert listening.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            task = office.task()
            await office.until(task, "assigned")
            assert json.loads(await listening.stdout.readline())
    finally:
        listening.terminate()
        await listening.communicate()
