"""The TCP proxy, on real sockets: what it does to bytes, and that the SDK loses nothing through it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import pytest

from server_stub import Settings, StubServer
from server_stub.domain.workspace import Workspace
from server_stub.proxy import Conduct, Cut, TcpProxy
from taskrouter_worker import NetworkError, Reservation, Worker
from tests.scenarios.journal import History, Journal, differences, stale, until

PATIENCE = 20.0


@asynccontextmanager
async def echo() -> AsyncGenerator[int]:
    """A server that sends back what it gets; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def client(proxy: TcpProxy) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def soon(reading: Coroutine[object, object, bytes]) -> bytes:
    return await asyncio.wait_for(reading, PATIENCE)


async def test_bytes_pass_in_both_directions_and_are_counted() -> None:
    async with echo() as port, TcpProxy(port) as proxy, client(proxy) as (reader, writer):
        writer.write(b"x" * 300_000)
        writer.write_eof()
        assert len(await soon(reader.read(-1))) == 300_000  # the half-close passed too
        connection = await proxy.connection(1)
        assert connection.passed == {"up": 300_000, "down": 300_000}
        await asyncio.wait_for(connection.ended.wait(), PATIENCE)
        assert proxy.open == []


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_cut_lets_exactly_so_many_bytes_through(how: str) -> None:
    cut = Cut("down", 7, "reset" if how == "reset" else "close")
    async with (
        echo() as port,
        TcpProxy(port, plan=lambda _: Conduct(cut=cut, piece=1)) as proxy,
        client(proxy) as (reader, writer),
    ):
        writer.write(b"0123456789")
        assert await soon(reader.readexactly(7)) == b"0123456"
        if how == "reset":
            with pytest.raises(ConnectionResetError):
                await soon(reader.read())
        else:
            assert await soon(reader.read()) == b""
        assert proxy.connections[0].passed["down"] == 7


async def test_a_reset_reaches_both_sides_as_a_reset() -> None:
    async with echo() as port, TcpProxy(port) as proxy, client(proxy) as (reader, writer):
        writer.write(b"hello")
        assert await soon(reader.readexactly(5)) == b"hello"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await soon(reader.read())


async def test_half_open_swallows_and_keeps_both_sockets() -> None:
    async with echo() as port, TcpProxy(port) as proxy, client(proxy) as (reader, writer):
        writer.write(b"before")
        assert await soon(reader.readexactly(6)) == b"before"
        connection = proxy.connections[0]
        proxy.half_open()
        writer.write(b"lost")
        await until(lambda: connection.swallowed == 4, lambda: connection.swallowed, PATIENCE)
        assert not connection.ended.is_set()
        proxy.resume()
        writer.write(b"after")
        assert await soon(reader.readexactly(5)) == b"after"


async def test_a_connection_goes_half_open_after_so_many_bytes() -> None:
    plan = Conduct(half_open_after=Cut("up", 3))
    async with echo() as port, TcpProxy(port, plan=lambda _: plan) as proxy, client(proxy) as (_, writer):
        writer.write(b"012345")
        connection = await proxy.connection(1)
        await until(lambda: connection.swallowed >= 3, lambda: connection.swallowed, PATIENCE)
        assert connection.passed["up"] == 3
        assert connection.is_half_open


async def test_paused_bytes_arrive_after_resuming() -> None:
    async with echo() as port, TcpProxy(port) as proxy, client(proxy) as (reader, writer):
        writer.write(b"a")
        assert await soon(reader.readexactly(1)) == b"a"
        proxy.pause()
        connection = proxy.connections[0]
        writer.write(b"b" * 2_000_000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        assert connection.passed == {"up": 1, "down": 1}
        proxy.resume()
        assert await soon(reader.readexactly(2_000_000)) == b"b" * 2_000_000


async def test_pieces_and_delay_and_throttling_slow_bytes_down_and_lose_none() -> None:
    loop = asyncio.get_running_loop()
    conduct = Conduct(piece=10, bytes_per_second=1_000, delay=0.001)
    async with echo() as port, TcpProxy(port, plan=lambda _: conduct) as proxy, client(proxy) as (r, w):
        began = loop.time()
        w.write(b"z" * 200)
        assert await soon(r.readexactly(200)) == b"z" * 200
        assert loop.time() - began >= 0.2


async def test_each_connection_is_treated_by_its_number() -> None:
    async with (
        echo() as port,
        TcpProxy(port, plan=lambda n: Conduct(refuse=True) if n == 2 else None) as proxy,
        client(proxy) as (first, to_first),
        client(proxy) as (second, _),
    ):
        with pytest.raises(ConnectionResetError):
            await soon(second.read())
        to_first.write(b"1")
        assert await soon(first.readexactly(1)) == b"1"


async def test_refusing_and_accepting_again_keeps_the_port_and_the_open_connections() -> None:
    async with echo() as port, TcpProxy(port) as proxy, client(proxy) as (reader, writer):
        await proxy.connection(1)
        before = proxy.port
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", before)
        writer.write(b"still here")
        assert await soon(reader.readexactly(10)) == b"still here"
        await proxy.accept()
        assert proxy.port == before
        async with client(proxy) as (other, to_other):
            to_other.write(b"new")
            assert await soon(other.readexactly(3)) == b"new"


async def test_with_a_full_backlog_connecting_neither_succeeds_nor_fails() -> None:
    async with echo() as port, TcpProxy(port) as proxy:
        await proxy.stop_accepting()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection("127.0.0.1", proxy.port), 0.3)
        await proxy.accept()
        async with client(proxy) as (reader, writer):
            writer.write(b"x")
            assert await soon(reader.readexactly(1)) == b"x"


async def test_without_a_server_behind_it_a_client_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with TcpProxy(port) as proxy, client(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await soon(reader.read())


async def test_leaving_it_closes_everything() -> None:
    async with echo() as port:
        async with TcpProxy(port) as proxy, client(proxy) as (_, writer):
            writer.write(b"x")
            await proxy.connection(1)
            proxy.pause()
            connections = proxy.connections
        assert all(connection.ended.is_set() for connection in connections)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conduct(delay=-1.0), "delay must be 0 seconds or more, got -1.0"),
        (lambda: Conduct(bytes_per_second=0.0), "bytes_per_second must be more than 0, got 0.0"),
        (lambda: Conduct(piece=0), "piece must be 1 byte or more, got 0"),
    ],
)
def test_figures_out_of_range_are_refused(make: Callable[[], Conduct], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


async def test_a_plan_that_breaks_ends_the_connection() -> None:
    def plan(number: int) -> Conduct | None:
        raise ZeroDivisionError(number)

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with echo() as port, TcpProxy(port, plan=plan) as proxy, client(proxy) as (reader, _):
        with suppress(ConnectionError):
            assert await soon(reader.read()) == b""
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_a_cut_needs_a_number_of_bytes() -> None:
    with pytest.raises(ValueError, match="after must be 0 bytes or more, got -1"):
        Cut("up", -1)


# --- The SDK through it ---------------------------------------------------------------------------


def task(server: StubServer) -> str:
    def create(workspace: Workspace) -> str:
        return workspace.create_task(attributes="{}", workflow_sid=next(iter(workspace.workflows))).sid

    return server.run(server.workspace_sid, create)


WEBSOCKET_INIT = 330
"""Bytes of the server's handshake and a part of `init`: the cut is in the middle of a frame."""

FAULTS = {
    "reset in the handshake's answer": Conduct(cut=Cut("down", 40)),
    "reset within the first frame": Conduct(cut=Cut("down", WEBSOCKET_INIT)),
    "closed within the first frame": Conduct(cut=Cut("down", WEBSOCKET_INIT, "close")),
    "reset within a later frame": Conduct(cut=Cut("down", 2_500)),
    "reset within the request": Conduct(cut=Cut("up", 100)),
    "tiny pieces": Conduct(piece=64),
    "slow": Conduct(bytes_per_second=200_000, delay=0.002),
    "refused": Conduct(refuse=True),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_our_sdk_loses_nothing_through_a_bad_line_that_heals(fault: Conduct) -> None:
    """The first three connections are bad, websockets and requests alike; then all is well."""
    async with (
        StubServer(Settings(port=0, settle_ms=0)) as server,
        TcpProxy(server.port, plan=lambda number: fault if number <= 3 else None) as proxy,
    ):
        sid, token = server.hire("Ann")
        history = History(sid)
        server.observe(history.record)
        worker = Worker(
            token,
            eb_server=proxy.url("http", "/v1/wschannels"),
            ws_server=proxy.url("ws", "/v1/wschannels"),
            set_worker_offline_if_disconnected=False,
            reconnect_backoff=lambda _: 0.01,
        )
        journal = Journal(worker)

        async def work(reservation: Reservation) -> None:
            for action in (reservation.accept, reservation.complete):
                while True:
                    try:
                        await action()
                    except NetworkError:  # it was not carried out
                        await asyncio.sleep(0.01)
                    else:
                        break

        worker.on("reservationCreated", work)
        async with asyncio.timeout(PATIENCE), worker:
            for _ in range(3):
                task(server)
            await until(lambda: len(history.steps) == 3, lambda: history.steps, PATIENCE)
            await until(
                lambda: not stale(worker, server, server.workspace_sid) and not differences(journal, history),
                lambda: differences(journal, history),
                PATIENCE,
            )
            proxy.reset()  # once more, while it is idle
            task(server)
            await until(
                lambda: len(history.steps) == 4 and not differences(journal, history),
                lambda: differences(journal, history),
                PATIENCE,
            )
        assert len(proxy.connections) >= 3


async def test_our_sdk_recovers_from_a_half_open_connection_when_it_is_reset_at_last() -> None:
    async with StubServer(Settings(port=0, settle_ms=0)) as server, TcpProxy(server.port) as proxy:
        sid, token = server.hire("Ann")
        history = History(sid)
        server.observe(history.record)
        worker = Worker(
            token,
            eb_server=proxy.url("http", "/v1/wschannels"),
            ws_server=proxy.url("ws", "/v1/wschannels"),
            reconnect_backoff=lambda _: 0.01,
        )
        journal = Journal(worker)
        async with asyncio.timeout(PATIENCE), worker:
            proxy.half_open()
            task(server)
            websocket = proxy.connections[0]
            await until(lambda: websocket.swallowed > 0, lambda: websocket.swallowed, PATIENCE)
            assert journal.told == {}
            proxy.reset()
            await until(lambda: len(journal.told) == 1, lambda: journal.told, PATIENCE)
            assert differences(journal, history) == []


async def test_reset_while_the_server_is_being_reached_ends_the_connection_quietly() -> None:
    async with echo() as port, TcpProxy(port) as proxy, client(proxy) as (reader, _):
        connection = await proxy.connection(1)
        [task] = proxy._tasks
        connection.reset()
        with suppress(ConnectionError):
            assert await soon(reader.read(1)) == b""
        await asyncio.wait_for(task, PATIENCE)
        assert proxy.open == []
