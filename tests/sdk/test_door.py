"""The short way to the event bridge: what it shares with aiohttp's own way, and what happens without it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import Callable, Generator
from typing import Any
from unittest import mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_proto import ResponseHandler

from taskrouter_worker import NetworkError, RequestInvalidError, RequestTimeoutError
from taskrouter_worker._door import Door, UnfitError
from taskrouter_worker._requests import Request
from taskrouter_worker._token import Token
from taskrouter_worker._transport import SharedSession, Transport
from tests.sdk.loopback import http_server, raw_server
from tests.sdk.peer import token

READ = Request(method="GET", path="Workspaces/WS1")
TOKEN = Token.parse(token())
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"payload":1}'


async def asked(answer: bytes, *, keep_open: bool = False, timeout: float = 30.0) -> bytes:
    """What a request gives that a server answers with these bytes."""
    async with raw_server(answer, keep_open=keep_open) as (address, _):
        transport = Transport(f"http://{address}/v1", timeout=timeout)
        try:
            return await transport.send(READ, TOKEN)
        finally:
            await transport.close()


async def test_requests_use_one_connection_one_after_the_other() -> None:
    connections: set[object] = set()

    async def answer(request: web.Request) -> web.Response:
        connections.add(request.transport)
        return web.json_response({"payload": len(await request.read())})

    async with http_server(answer) as url:
        transport = Transport(url)
        for _ in range(50):
            await transport.send(READ, TOKEN)
        await transport.close()
    assert len(connections) == 1


async def test_a_pool_of_connections_is_never_exceeded() -> None:
    connections: set[object] = set()
    at_once = 0
    most = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal at_once, most
        connections.add(request.transport)
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return web.json_response({"payload": 1})

    async with http_server(answer) as url:
        shared = SharedSession(max_connections=3)
        transports = [Transport(url, session=shared) for _ in range(10)]
        await asyncio.gather(*(transport.send(READ, TOKEN) for transport in transports for _ in range(5)))
        await shared.close()
    assert len(connections) <= 3
    assert most <= 3


@pytest.mark.parametrize("by_session", [False, True], ids=["short way", "aiohttp's own"])
async def test_both_ways_send_the_same_headers(by_session: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(request.headers)
        assert await request.read()
        return web.json_response({"payload": 1})

    if by_session:
        monkeypatch.setattr(aiohttp, "ClientRequest", None)  # as if a later aiohttp had none
    async with http_server(answer) as url:
        transport = Transport(url)
        request = Request(method="POST", path="Workspaces/WS1", version="7", api_version="v2")
        assert await transport.send(request, TOKEN) == b"1"
        await transport.close()
    length, host, agent = (seen.pop(name) for name in ("Content-Length", "Host", "User-Agent"))
    assert int(length) > 0
    assert host == url.split("/")[2]
    assert agent
    assert {name: seen[name] for name in ("apiVersion", "If-Match", "Content-Type", "Accept-Encoding")} == {
        "apiVersion": "v2",
        "If-Match": "7",
        "Content-Type": "text/plain;charset=UTF-8",
        "Accept-Encoding": "gzip, deflate",
    }


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"paylo\r\n6\r\nad":1}\r\n0\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"payload":1}',
        b'HTTP/1.0 200 OK\r\n\r\n{"payload":1}',
    ],
    ids=["after preliminary answers", "in chunks", "until the end", "HTTP/1.0"],
)
async def test_an_answer_may_come_in_any_form_that_http_knows(answer: bytes) -> None:
    assert await asked(answer) == b"1"


async def test_a_compressed_answer_is_unpacked() -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        response = web.json_response({"payload": "x" * 5_000})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with http_server(answer) as url:
        transport = Transport(url)
        assert await transport.send(READ, TOKEN) == b'"%b"' % (b"x" * 5_000)
        await transport.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Length: 14\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"payload":1}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "half a head", "no HTTP", "two lengths", "too short", "no chunk", "too long a head"],
)
async def test_what_is_no_answer_is_a_network_error_and_its_connection_is_not_used_again(
    answer: bytes,
) -> None:
    with pytest.raises(NetworkError) as caught:
        await asked(answer)
    assert TOKEN.reveal() not in repr(caught.value.__cause__)


async def test_an_answer_that_stops_is_given_up_in_time() -> None:
    with pytest.raises(RequestTimeoutError):
        await asked(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", keep_open=True, timeout=0.05)


async def test_an_answer_before_the_end_of_the_request_ends_the_connection() -> None:
    refusal = b'HTTP/1.1 413 Too Large\r\nContent-Length: 17\r\n\r\n{"message":"big"}'
    request = Request(method="POST", path="Workspaces/WS1", params={"A": "x" * 20_000_000})
    async with raw_server(refusal, keep_open=True) as (address, heads):
        transport = Transport(f"http://{address}/v1")
        with pytest.raises(RequestInvalidError, match="big"):
            await transport.send(request, TOKEN)
        with pytest.raises(RequestInvalidError, match="big"):
            await transport.send(READ, TOKEN)
        await transport.close()
    assert len(heads) == 2  # the second one came over a connection of its own


async def test_the_answer_to_a_cancelled_request_reaches_no_other_one() -> None:
    """Two requests over one connection at most: the first is cancelled before its answer comes."""
    came, go_on = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked = await request.json()
        if asked["params"] == {"n": 1}:
            came.set()
            await go_on.wait()
        return web.json_response({"payload": asked["params"]["n"]})

    async with http_server(answer) as url:
        shared = SharedSession(max_connections=1)
        transport = Transport(url, session=shared)
        numbered = [Request(method="GET", path="x", params={"n": n}) for n in (1, 2)]
        first = asyncio.create_task(transport.send(numbered[0], TOKEN))
        await came.wait()
        first.cancel()
        go_on.set()
        assert await transport.send(numbered[1], TOKEN) == b"2"
        with pytest.raises(asyncio.CancelledError):
            await first
        await shared.close()


async def test_what_comes_unasked_over_an_idle_connection_is_never_the_answer_to_a_later_request() -> None:
    """Servers and balancers say 408 to silent connections: the next request must not get that."""
    unasked = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"payload":2}'
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))
                writer.write(OK)

    shared = SharedSession()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        transport = Transport(f"http://{host}:{port}/v1", session=shared)
        assert await transport.send(READ, TOKEN) == b"1"
        connector = shared.get().connector
        assert connector is not None
        [[(idle, _)]] = connector._conns.values()
        writers[0].write(unasked)
        async with asyncio.timeout(30):
            while not idle.should_close:
                await asyncio.sleep(0.001)
        assert await transport.send(READ, TOKEN) == b"1"
        assert len(writers) == 2  # over a new connection
        await shared.close()
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("by_session", [False, True], ids=["short way", "aiohttp's own"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
async def test_an_answer_beyond_all_measure_is_not_held_in_memory(
    by_session: bool, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskrouter_worker._door.MAX_ANSWER", 1_000_000)
    if by_session:
        monkeypatch.setattr(aiohttp, "ClientRequest", None)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        if not packed:
            return web.Response(body=b" " * 5_000_000)
        body = gzip.compress(b" " * 5_000_000)  # a thousandth of it
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    async with http_server(answer) as url:
        transport = Transport(url)
        with pytest.raises(NetworkError, match="longer than 1000000 bytes"):
            await transport.send(READ, TOKEN)
        await transport.close()


async def test_preliminary_answers_without_end_are_given_up_in_time() -> None:
    flood = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1_000
    with pytest.raises(RequestTimeoutError):
        await asked(flood, keep_open=True, timeout=0.5)


@pytest.mark.parametrize("version", ["1\r\nX-Mine: 1", "1\n", "\0"])
async def test_a_version_cannot_add_a_header(version: str) -> None:
    async with raw_server(OK) as (address, heads):
        transport = Transport(f"http://{address}/v1")
        with pytest.raises(ValueError, match="printable"):
            await transport.send(Request(method="GET", path="x", version=version), TOKEN)
        await transport.close()
    assert heads == []


async def test_an_address_with_a_password_sends_it_as_aiohttp_does() -> None:
    async with raw_server(OK) as (address, heads):
        transport = Transport(f"http://ann:secret@{address}/v1?a=1")
        await transport.send(READ, TOKEN)
        await transport.close()
    head = heads[0].decode()
    assert head.startswith("POST /v1?a=1 HTTP/1.1\r\n")
    assert "Authorization: Basic YW5uOnNlY3JldA==" in head
    assert f"Host: {address}\r\n" in head


async def _without_connect(*_: object) -> Any:
    raise TypeError("connect() takes other arguments now")


def _without_params(*_: object, **__: object) -> Any:
    raise AttributeError("set_response_params")


@pytest.mark.parametrize(
    ("owner", "name", "other"),
    [
        (aiohttp, "ClientRequest", None),
        (aiohttp.TCPConnector, "connect", _without_connect),
        (ResponseHandler, "set_response_params", _without_params),
        (ResponseHandler, "should_close", property(_without_params)),
    ],
    ids=["request", "connector", "protocol", "protocol's state"],
)
async def test_an_aiohttp_with_another_inside_is_used_the_long_way(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, other: Callable[..., Any] | None
) -> None:
    post = Door.post
    tries = 0

    async def counted(self: Door, body: bytes, headers: bytes, seconds: float) -> Any:
        nonlocal tries
        tries += 1
        with changed(owner, name, other):
            return await post(self, body, headers, seconds)

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"payload": len(await request.read())})

    monkeypatch.setattr(Door, "post", counted)
    async with http_server(answer) as url:
        transport = Transport(url)
        with changed(owner, name, other) if owner is aiohttp else contextlib.nullcontext():
            first = await transport.send(READ, TOKEN)
        assert await transport.send(READ, TOKEN) == first
        await transport.close()
    assert tries == (0 if owner is aiohttp else 1)  # and never again


@contextlib.contextmanager
def changed(owner: Any, name: str, other: object) -> Generator[None]:
    """As in an aiohttp to come."""
    with mock.patch.object(owner, name, other):
        yield


async def test_a_closed_session_has_no_door() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises(RuntimeError, match="closed"):
        Door(session, "http://127.0.0.1:1/", ssl=True, headers={})
    assert issubclass(UnfitError, Exception)
