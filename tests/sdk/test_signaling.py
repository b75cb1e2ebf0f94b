"""The websocket against real servers on loopback: the query, refusals, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve

from taskrouter_worker import ConnectionFailedError, __version__, _signaling
from taskrouter_worker._signaling import Signaling
from taskrouter_worker._token import Token
from tests.sdk.loopback import closed_port, raw_server
from tests.sdk.peer import token

TOKEN = Token.parse(token())


def signaling(url: str, *, offline: bool | None = None, proxy: Any = None) -> Signaling:
    return Signaling(url, offline_if_disconnected=offline, ssl_context=None, proxy=proxy)


async def received(
    behave: Callable[[ServerConnection], Awaitable[None]], path: str = "/v1/wschannels", **options: Any
) -> tuple[list[bytes], tuple[str, str, int | None]]:
    """What a client hears from a server that behaves so, and how it ends."""
    async with serve(behave, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        opener = signaling(f"ws://127.0.0.1:{port}{path}", **options)
        frames: list[bytes] = []
        async with await opener.open(TOKEN, close_existing_sessions=False) as connection:
            while (frame := await connection.receive()) is not None:
                frames.append(frame)
        cause, message, code = connection.end()
        return frames, (cause.value, message, code)


@pytest.mark.parametrize(
    ("path", "offline", "more"),
    [
        ("/v1/wschannels", None, []),
        ("/v1/wschannels", True, [("setWorkerOfflineIfDisconnected", "true")]),
        ("/v1/wschannels", False, [("setWorkerOfflineIfDisconnected", "false")]),
        ("/v1?mine=1", None, []),
    ],
)
async def test_the_query_is_the_protocols_in_its_order(
    path: str, offline: bool | None, more: list[tuple[str, str]]
) -> None:
    seen: list[Any] = []

    async def behave(websocket: ServerConnection) -> None:
        seen.append(websocket.request)

    await received(behave, path, offline=offline)
    split = urlsplit(seen[0].path)
    kept = [("mine", "1")] if "mine" in path else []
    assert parse_qsl(split.query) == [
        *kept,
        ("token", token()),
        ("closeExistingSessions", "false"),
        ("clientVersion", __version__),
        *more,
    ]
    headers = {name.lower() for name in seen[0].headers}
    assert headers.isdisjoint({"authorization", "cookie", "sec-websocket-protocol", "origin"})


async def test_text_and_binary_frames_arrive_in_order_as_bytes() -> None:
    async def behave(websocket: ServerConnection) -> None:
        for frame in ("one", b"two", "", "dr\u00e4i"):
            await websocket.send(frame)

    frames, _ = await received(behave)
    assert frames == [b"one", b"two", b"", "dr\u00e4i".encode()]


async def test_a_large_frame_arrives() -> None:
    async def behave(websocket: ServerConnection) -> None:
        await websocket.send("x" * 2_000_000)

    frames, _ = await received(behave)
    assert [len(frame) for frame in frames] == [2_000_000]


@pytest.mark.parametrize(
    ("code", "reason", "end"),
    [
        (1000, "", ("connection_lost", "Websocket closed with errorCode=1000", 1000)),
        (1001, "bye", ("shutdown", "bye", 1001)),
        (1012, "again", ("resynchronise", "again", 1012)),
        (4401, "who", ("invalid_token", "who", 4401)),
        (4403, "no", ("forbidden", "no", 4403)),
        (4408, "old", ("token_expired", "old", 4408)),
        (4409, "mine", ("displaced", "mine", 4409)),
        (4413, "slow", ("too_slow", "slow", 4413)),
        (4429, "many", ("too_many_sessions", "many", 4429)),
        (4000, "own", ("connection_lost", "own", 4000)),
    ],
)
async def test_close_codes_become_causes(code: int, reason: str, end: tuple[str, str, int]) -> None:
    async def behave(websocket: ServerConnection) -> None:
        await websocket.close(code, reason)

    _, how = await received(behave)
    assert how == end


async def test_a_cut_connection_is_a_loss() -> None:
    async def behave(websocket: ServerConnection) -> None:
        websocket.transport.abort()

    _, (cause, message, _code) = await received(behave)
    assert (cause, message) == ("connection_lost", "Websocket closed with errorCode=1006")


async def test_leaving_closes_the_websocket_with_a_handshake() -> None:
    codes: list[int | None] = []

    async def behave(websocket: ServerConnection) -> None:
        await websocket.wait_closed()
        codes.append(websocket.close_code)

    async with serve(behave, "127.0.0.1", 0) as server:
        opener = signaling(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        async with await opener.open(TOKEN, close_existing_sessions=True):
            pass
    assert codes == [1000]


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, True), (401, False), (403, False), (404, True), (429, True), (500, True), (200, True)],
)
async def test_a_refused_handshake_keeps_its_status(status: int, retryable: bool) -> None:
    async with raw_server(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()) as (address, _):
        with pytest.raises(ConnectionFailedError) as caught:
            await signaling(f"ws://{address}/v1").open(TOKEN, close_existing_sessions=False)
    assert (caught.value.status, caught.value.retryable) == (status, retryable)
    assert f"ws://{address}/v1" in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with raw_server(b"") as (elsewhere, visits):
        redirect = f"HTTP/1.1 {status} Moved\r\nLocation: ws://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        async with raw_server(redirect.encode()) as (address, _):
            with pytest.raises(ConnectionFailedError) as caught:
                await signaling(f"ws://{address}/").open(TOKEN, close_existing_sessions=False)
        assert caught.value.status == status
        assert visits == []


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n"])
async def test_a_server_that_speaks_something_else_is_a_failed_connection(answer: bytes) -> None:
    async with raw_server(answer) as (address, _):
        with pytest.raises(ConnectionFailedError) as caught:
            await signaling(f"ws://{address}/").open(TOKEN, close_existing_sessions=False)
    assert caught.value.status is None
    assert caught.value.retryable


async def test_nobody_there_is_a_failed_connection() -> None:
    with pytest.raises(ConnectionFailedError):
        await signaling(f"ws://{await closed_port()}/").open(TOKEN, close_existing_sessions=False)


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_signaling, "OPEN_SECONDS", 0.05)  # ten seconds of real time would be too long
    async with raw_server(None, keep_open=True) as (address, _):
        with pytest.raises(ConnectionFailedError, match=r"within 0\.05 s"):
            await signaling(f"ws://{address}/").open(TOKEN, close_existing_sessions=False)


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:99999/",
        "ws://127.0.0.1/#part",
        "ws://user@127.0.0.1/",
        "http://127.0.0.1/",
        "ws:///path",
    ],
)
async def test_a_url_that_cannot_be_used_is_a_failed_connection(url: str) -> None:
    with pytest.raises(ConnectionFailedError):
        await signaling(url).open(TOKEN, close_existing_sessions=False)


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "garbage", "ftp://127.0.0.1", "http://127.0.0.1:99999"]
)
async def test_a_proxy_that_cannot_be_used_is_a_failed_connection(proxy: str) -> None:
    with pytest.raises(ConnectionFailedError):
        await signaling("ws://127.0.0.1:1/", proxy=proxy).open(TOKEN, close_existing_sessions=False)


async def test_a_proxy_is_asked_to_connect() -> None:
    async with raw_server(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n") as (address, heads):
        with pytest.raises(ConnectionFailedError):
            await signaling("wss://taskrouter.invalid/", proxy=f"http://{address}").open(
                TOKEN, close_existing_sessions=False
            )
    assert heads[0].startswith(b"CONNECT taskrouter.invalid:443 ")
    assert token().encode() not in heads[0]


async def test_canceling_while_opening_closes_the_socket() -> None:
    async with raw_server(None, keep_open=True) as (address, heads):
        opening = asyncio.create_task(
            signaling(f"ws://{address}/").open(TOKEN, close_existing_sessions=False)
        )
        while not heads:
            await asyncio.sleep(0.001)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
