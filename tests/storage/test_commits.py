"""Nothing leaves before it is stored, and what cannot be stored is never told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from server_stub import Settings, StubServer
from server_stub.commits import CommitFailed
from server_stub.storage import Batch, Contents, Data, StorageError
from server_stub.storage.committer import Committer
from tests.server.raw import Desk, until


class SlowStore:
    """One that writes when it is told to. It holds nothing."""

    name = "a slow store"

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.error: StorageError | None = None

    async def open(self) -> Contents:
        return Contents(settings={}, workspaces=())

    async def write(self, batch: Batch) -> None:
        self.batches.append(batch)
        await self.may_write.wait()
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        pass


@pytest.fixture
async def store() -> SlowStore:
    return SlowStore()


@asynccontextmanager
async def served(store: SlowStore) -> AsyncIterator[Desk]:
    async with (
        Data(store) as data,
        StubServer(Settings(port=0, settle_ms=0), data=data) as server,
        aiohttp.ClientSession() as http,
    ):
        yield Desk(server, http)


async def test_answers_and_frames_wait_until_they_are_stored(store: SlowStore) -> None:
    async with served(store) as desk:
        client = desk.client("ann")
        socket = await client.ready()
        written = len(store.batches)
        store.may_write.clear()
        post = asyncio.create_task(desk.rest("POST", f"{desk.path}/Tasks", data={"Attributes": "{}"}))
        await until(lambda: len(store.batches) > written)
        read = asyncio.create_task(desk.rest("GET", f"{desk.path}/Tasks"))
        assert await socket.quiet(0.1)
        assert not post.done()
        assert not read.done()  # it would show a task that is not stored
        store.may_write.set()
        assert (await post).status == 201
        assert len((await read).body["tasks"]) == 1
        event = await socket.event("reservation.created")
        # The bridge's answers wait as well, and its frames come after them.
        store.may_write.clear()
        accept = asyncio.create_task(client.answer_reservation(event["sid"], "accepted"))
        assert await socket.quiet(0.1)
        assert not accept.done()
        store.may_write.set()
        assert (await accept).status == 200
        await socket.event("reservation.accepted")


async def test_a_deleted_workers_session_ends_when_that_is_stored(store: SlowStore) -> None:
    async with served(store) as desk:
        client = desk.client("ann", "Offline")
        socket = await client.ready()
        store.may_write.clear()
        delete = asyncio.create_task(desk.rest("DELETE", f"{desk.path}/Workers/{client.worker_sid}"))
        assert await socket.quiet(0.1)
        store.may_write.set()
        assert (await delete).status == 204
        assert await socket.closed() == 4403


async def test_what_comes_during_a_commit_shares_the_next_one(store: SlowStore) -> None:
    async with served(store) as desk:
        written = len(store.batches)
        store.may_write.clear()

        def create() -> asyncio.Task[object]:
            return asyncio.create_task(desk.rest("POST", f"{desk.path}/Tasks", data={"Attributes": "{}"}))

        first = create()
        await until(lambda: len(store.batches) == written + 1)
        others = [create() for _ in range(5)]
        await until(lambda: len(desk.workspace.tasks) == 6)
        store.may_write.set()
        await asyncio.gather(first, *others)
        assert len(store.batches) == written + 2


async def test_a_failed_commit_answers_503_to_all_and_nobody_hears_of_it(store: SlowStore) -> None:
    async with served(store) as desk:
        client = desk.client("ann")
        socket = await client.ready()
        other = [desk.client(name) for name in ("ben", "cyd", "dee", "eve")][-1]
        others = await other.ready()
        written = len(store.batches)
        store.may_write.clear()
        requests = [desk.rest("POST", f"{desk.path}/Tasks", data={"Attributes": "{}"}) for _ in range(3)]
        waiting = [asyncio.create_task(request) for request in requests]
        await until(lambda: len(desk.workspace.tasks) == 3 and len(store.batches) > written)
        bridge = asyncio.create_task(client.send(client.me, "POST", {"Attributes": {"a": 1}}))
        await until(lambda: desk.workspace.workers[client.worker_sid].parsed_attributes == {"a": 1})
        store.error = StorageError("the disk is full")
        store.may_write.set()
        answers = [*await asyncio.gather(*waiting), await bridge]
        assert [answer.status for answer in answers] == [503] * 4
        assert str(await desk.server.failed()) == "the disk is full"
        assert (await desk.rest("GET", f"{desk.path}/Tasks")).status == 503  # it would show them
        assert len(store.batches) == written + 1  # nothing is written after that
        desk.server.run(  # as a deadline may
            desk.workspace.sid, lambda ws: ws.update_worker(other.worker_sid, attributes='{"a": 2}')
        )
        assert await socket.quiet(0.1)
        assert await others.quiet(0.1)


async def test_callbacks_wait_until_they_are_stored(store: SlowStore) -> None:
    called = asyncio.Event()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        called.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    application = await asyncio.start_server(receive, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{application.sockets[0].getsockname()[1]}/"
    async with application, served(store) as desk:
        workflow_sid = next(iter(desk.workspace.workflows))
        desk.run(lambda ws: ws.update_workflow(workflow_sid, assignment_callback_url=url))
        desk.hire("ann")
        await desk.rest("GET", desk.path)
        store.may_write.clear()
        create = asyncio.create_task(
            desk.rest("POST", f"{desk.path}/Tasks", data={"Attributes": json.dumps({"a": 1})})
        )
        await until(lambda: len(desk.workspace.reservations) == 1)
        await asyncio.sleep(0.1)
        assert not called.is_set()
        store.may_write.set()
        await create
        async with asyncio.timeout(5):
            await called.wait()


async def test_callbacks_that_waited_for_their_commit_are_not_sent_after_a_reset(store: SlowStore) -> None:
    heard: list[str] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        heard.append((await reader.readexactly(length)).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    application = await asyncio.start_server(receive, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{application.sockets[0].getsockname()[1]}/"
    async with application, served(store) as desk:
        desk.run(lambda ws: ws.update(event_callback_url=url))
        await desk.rest("GET", desk.path)
        written = len(store.batches)
        store.may_write.clear()
        desk.hire("ann")  # of a state that is about to be gone
        await until(lambda: len(store.batches) > written)
        desk.server.reset()
        desk.run(lambda ws: ws.update(event_callback_url=url))
        store.may_write.set()
        desk.hire("bob")
        await until(lambda: any("bob" in text for text in heard))
        assert not any("ann" in text for text in heard)


async def test_a_server_that_could_not_store_something_is_not_started_again(store: SlowStore) -> None:
    async with Data(store) as data:
        server = StubServer(Settings(port=0), data=data)
        await server.start()
        store.error = StorageError("a slow store could not be written: the disk is full")
        server.hire("ann")
        await server.failed()
        await server.stop()
        store.error = None
        written = len(store.batches)
        with pytest.raises(StorageError, match="disk is full"):
            await server.start()
        assert len(store.batches) == written  # else what comes later would be stored without her


async def test_a_defect_in_what_is_collected_ends_the_writing_too(store: SlowStore) -> None:
    failures: list[StorageError] = []

    def collect() -> Batch:
        raise ZeroDivisionError("secret")

    committer = Committer(store, collect, failed=failures.append)
    committer.open()
    committer.note()
    with pytest.raises(CommitFailed, match="ZeroDivisionError"):
        await committer.committed()
    assert "secret" not in str(failures)
    await committer.close()


async def test_a_store_that_never_answers_does_not_keep_the_server_from_stopping(
    store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server_stub.storage.committer.CLOSE_SECONDS", 0.05)
    async with served(store) as desk:
        store.may_write.clear()
        desk.hire("ann")
        await until(lambda: len(store.batches) > 1)
    assert desk.server.failure is None  # it was told to stop: nobody waits for anything any more


async def test_memory_is_the_default_and_nobody_waits(server: StubServer, tmp_path: Path) -> None:
    assert server._runtime.commits is None
    assert not list(tmp_path.iterdir())
    assert len(list(server._app().middlewares)) == 1  # none that waits for a store
