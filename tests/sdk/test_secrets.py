"""No token, whatever happens: not in a log record, not in an error's text or chain, not in a repr."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from taskrouter_worker import ConnectionFailedError, NetworkError, RequestError, TaskRouterError, Worker
from taskrouter_worker._requests import Request
from taskrouter_worker._signaling import Signaling
from taskrouter_worker._token import Token
from taskrouter_worker._transport import Transport
from tests.sdk.loopback import closed_port, http_server, raw_server
from tests.sdk.peer import Peer, token, virtual_worker
from tests.sdk.virtual import passes, virtual_time

SECRET = token(42, expires_in=3600)
TOKEN = Token.parse(SECRET)
SIGNATURE = SECRET.rpartition(".")[2]
PASSWORD = "hunter2-password"
READ = Request(method="GET", path="Workspaces/WS1")


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs at DEBUG, searched at the end of each test."""
    # Each library's own logger as well: a level set there would hide its records from the root.
    for name in ("", "taskrouter_worker", "websockets", "websockets.client", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name or None)
    yield caplog
    for record in caplog.get_records("call"):
        if not record.name.startswith(("websockets.server", "aiohttp.access")):  # the test's own servers
            assert_clean(record.getMessage(), f"log record of {record.name}")
            assert_clean(str(record.args), f"arguments of a log record of {record.name}")
            if record.exc_info and record.exc_info[1]:
                assert_error_clean(record.exc_info[1])


def assert_clean(text: str, where: str) -> None:
    assert SECRET not in text, where
    assert SIGNATURE not in text, where
    assert PASSWORD not in text, where


def assert_error_clean(error: BaseException) -> None:
    """Neither the error nor anything that a crash reporter would walk to from it shows the token."""
    assert_clean("".join(traceback.format_exception(error)), "traceback")
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        one = queue.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        assert_clean(str(one), f"text of {type(one).__name__}")
        assert_clean(repr(one), f"repr of {type(one).__name__}")
        assert_clean(str(vars(one)), f"attributes of {type(one).__name__}")
        queue += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            queue += one.exceptions


def opener(url: str, proxy: Any = None) -> Signaling:
    return Signaling(url, offline_if_disconnected=None, ssl_context=None, proxy=proxy)


async def fails_to_open(url: str, proxy: Any = None) -> ConnectionFailedError:
    with pytest.raises(ConnectionFailedError) as caught:
        await opener(url, proxy).open(TOKEN, close_existing_sessions=False)
    assert_error_clean(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Moved\r\nLocation: ws://127.0.0.1:1/?token="
        + SECRET.encode()
        + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 Moved\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
async def test_failed_handshakes(answer: bytes) -> None:
    async with raw_server(answer) as (address, _):
        await fails_to_open(f"ws://{address}/v1")


async def test_nobody_there() -> None:
    await fails_to_open(f"ws://{await closed_port()}/")


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:99999/",
        "ws://127.0.0.1/#part",
        "ftp://127.0.0.1/",
        "ws://user@127.0.0.1/",
        f"ws://user:{PASSWORD}@127.0.0.1:1/",
        f"ws://127.0.0.1:1/?key={PASSWORD}",
    ],
)
async def test_bad_urls_and_urls_with_credentials(url: str) -> None:
    await fails_to_open(url)


@pytest.mark.parametrize("proxy", [f"http://user:{PASSWORD}@127.0.0.1:1", f"ftp://user:{PASSWORD}@127.0.0.1"])
async def test_proxies_with_credentials(proxy: str) -> None:
    await fails_to_open("ws://127.0.0.1:1/", proxy)


async def test_a_whole_websocket_session() -> None:
    async def behave(websocket: ServerConnection) -> None:
        await websocket.send("hello")
        await websocket.close(4401, "bad token")

    async with serve(behave, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with await opener(url).open(TOKEN, close_existing_sessions=False) as connection:
            while await connection.receive() is not None:
                assert_clean(repr(connection), "repr of a connection")


async def fails_to_send(url: str, **options: Any) -> RequestError:
    transport = Transport(url, timeout=0.2, **options)
    with pytest.raises(RequestError) as caught:
        await transport.send(READ, TOKEN)
    assert_clean(repr(transport), "repr of a transport")
    await transport.close()
    assert_error_clean(caught.value)
    return caught.value


@pytest.mark.parametrize("status", [200, 302, 401, 403, 429, 500])
async def test_refused_requests(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>", status=status, headers={"Location": "http://127.0.0.1:1/"})

    async with http_server(answer) as url:
        await fails_to_send(url)


@asynccontextmanager
async def a_broken_server() -> AsyncIterator[str]:
    async with raw_server(b"nonsense\r\n\r\n") as (address, _):
        yield f"http://{address}/"


@asynccontextmanager
async def a_silent_server() -> AsyncIterator[str]:
    async with raw_server(None, keep_open=True) as (address, _):
        yield f"http://{address}/"


@asynccontextmanager
async def nobody() -> AsyncIterator[str]:
    yield f"http://user:{PASSWORD}@{await closed_port()}/"


@pytest.mark.parametrize("server", [a_broken_server, a_silent_server, nobody])
async def test_broken_exchanges(server: Callable[[], Any]) -> None:
    async with server() as url:
        await fails_to_send(url)


async def test_a_proxy_that_refuses() -> None:
    async with raw_server(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n") as (address, _):
        error = await fails_to_send("https://taskrouter.invalid/", proxy=f"http://user:{PASSWORD}@{address}")
    assert isinstance(error, NetworkError)


@pytest.mark.parametrize("text", [SECRET, TOKEN.reveal()])
def test_a_token_shows_nothing_of_itself(text: str) -> None:
    shown = Token.parse(text)
    for view in (repr(shown), str(shown), f"{shown}", f"{shown!r:>50}", str([shown])):
        assert_clean(view, "a view of a token")


@pytest.mark.parametrize(
    "wrong", [SECRET + "\n", SECRET + " ", "Bearer " + SECRET, SECRET + "é", SECRET + "&a=b"]
)
def test_a_refused_token_is_not_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        Worker(wrong)
    assert_error_clean(caught.value)
    worker = Worker(SECRET)
    with pytest.raises(ValueError, match="token") as caught:
        worker.update_token(wrong)
    assert_error_clean(caught.value)


def test_a_token_of_the_wrong_type_is_not_shown() -> None:
    for wrong in (SECRET.encode(), [SECRET]):
        with pytest.raises(TypeError, match="token must be a str") as caught:
            Worker(wrong)  # type: ignore[arg-type]
        assert_error_clean(caught.value)


@virtual_time
async def test_a_session_with_all_its_troubles() -> None:
    peer = Peer(token_lifetime=60_000)
    peer.refuse(ConnectionFailedError("nobody there"))
    worker = virtual_worker(peer, SECRET)
    errors: list[TaskRouterError] = []
    worker.on("error", errors.append)
    async with worker:
        assert_clean(repr(worker), "repr of a worker")
        peer.push(["{", '{"event_type":"task.updated"}'])
        await passes(56)
        peer.close(4408, "token expired")
        await passes(5)
        worker.update_token(token(43))
        await worker.wait_for("ready", timeout=5)
        peer.close(4401, "bad token")
        await worker.wait_for_state("closed")
    assert errors
    for error in errors:
        assert_error_clean(error)


async def test_a_crash_while_connecting_shows_no_token() -> None:
    worker = Worker(
        SECRET, ws_server=f"ws://{await closed_port()}/", eb_server="http://127.0.0.1:1/", proxy=None
    )
    errors: list[TaskRouterError] = []
    worker.on("error", errors.append)

    async def enter(awaitable: Awaitable[Any]) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await awaitable

    await enter(worker.__aenter__())
    assert errors
    for error in errors:
        assert_error_clean(error)
