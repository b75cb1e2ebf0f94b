"""HTTP against a small real server: the envelope, and what each kind of failure becomes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from taskrouter_worker import (
    AuthenticationError,
    NetworkError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    RequestInvalidError,
    RequestTimeoutError,
    ServerError,
    VersionConflictError,
    __version__,
)
from taskrouter_worker._commands import Commands
from taskrouter_worker._requests import Request
from taskrouter_worker._token import Token
from taskrouter_worker._token_keeper import TokenKeeper
from taskrouter_worker._transport import Transport
from taskrouter_worker.clock import ManualClock
from tests.sdk.loopback import closed_port, http_server, raw_server
from tests.sdk.peer import token

READ = Request(method="GET", path="Workspaces/WS1")
COMMAND = Request(method="POST", path="Workspaces/WS1", params={"A": [1]}, version="0", api_version="v2")
TOKEN = Token.parse(token())


async def exchange(
    body: bytes | str, status: int = 200, request: Request = READ, headers: dict[str, str] | None = None
) -> bytes:
    """Send a request to a server that answers so."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, headers=headers)

    async with http_server(answer) as url:
        transport = Transport(url)
        try:
            return await transport.send(request, TOKEN)
        finally:
            await transport.close()


async def test_the_envelope_holds_request_and_token() -> None:
    seen: list[tuple[str, dict[str, str], Any]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, dict(request.headers), json.loads(await request.text())))
        return web.json_response({"payload": {"sid": "WK1"}, "more": 1})

    async with http_server(answer) as url:
        transport = Transport(url)
        assert json.loads(await transport.send(COMMAND, TOKEN)) == {"sid": "WK1"}
        await transport.send(READ, TOKEN)
        await transport.close()
    method, headers, body = seen[0]
    assert method == "POST"
    assert body == {"url": COMMAND.path, "method": "POST", "params": {"A": [1]}, "token": token()}
    assert (headers["apiVersion"], headers["clientVersion"], headers["If-Match"]) == ("v2", __version__, "0")
    assert "Authorization" not in headers
    method, headers, body = seen[1]
    assert method == "POST"
    assert (body["method"], body["params"], headers["apiVersion"]) == ("GET", {}, "v1")
    assert "If-Match" not in headers


@pytest.mark.parametrize("status", [200, 201, 299])
async def test_any_2xx_gives_the_payload(status: int) -> None:
    assert json.loads(await exchange('{"payload": {"a": [1, null]}}', status)) == {"a": [1, None]}


@pytest.mark.parametrize("body", ["{}", '{"other": 1}', '{"payload": null}', "", " \n"])
async def test_a_2xx_answer_without_payload_is_null(body: str) -> None:
    assert await exchange(body) == b"null"


async def test_204_is_null() -> None:
    assert await exchange("", 204) == b"null"


@pytest.mark.parametrize(
    "body", ["<html>", "null", "[]", "7", '{"payload": ', b"\xff\xfe", b'{"payload": ' + b"[" * 9999]
)
async def test_a_2xx_answer_that_is_not_the_protocol_is_a_server_error_with_its_status(
    body: bytes | str,
) -> None:
    with pytest.raises(ServerError) as caught:
        await exchange(body)
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, RequestInvalidError, False),
        (401, AuthenticationError, False),
        (403, AuthenticationError, False),
        (404, NotFoundError, False),
        (409, RequestInvalidError, False),
        (412, VersionConflictError, False),
        (429, RateLimitedError, True),
        (500, ServerError, True),
        (502, ServerError, True),
        (503, ServerError, True),
        (599, ServerError, True),
        (300, RequestInvalidError, False),
        (304, RequestInvalidError, False),
    ],
)
async def test_each_status_becomes_its_error(status: int, kind: type[RequestError], retryable: bool) -> None:
    with pytest.raises(RequestError) as caught:
        await exchange('{"code": 20001, "message": "the reason", "status": 1}', status, COMMAND)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.method, error.path, error.retryable) == (
        status,
        "POST",
        COMMAND.path,
        retryable,
    )
    if status != 304:  # which has no body
        assert error.code == 20001
        assert "the reason" in str(error)
    assert str(status) in str(error)


@pytest.mark.parametrize(
    "body", ["<html>Bad gateway</html>", "", "null", "[]", "{}", b"\xff", '{"message": 7}']
)
async def test_an_error_page_of_another_kind_is_judged_by_its_status(body: bytes | str) -> None:
    with pytest.raises(ServerError) as caught:
        await exchange(body, 502)
    assert (caught.value.status, caught.value.code) == (502, None)


async def test_a_code_that_is_no_number_does_not_hide_the_message() -> None:
    with pytest.raises(AuthenticationError, match="Token expired"):
        await exchange('{"code": "20104", "message": "Token expired"}', 401)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", 0.0),
        ("inf", 86_400.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", 60.0),
        ("Wed Oct 21 07:28:00 2026", 60.0),
        ("Wed, 21 Oct 2026 07:26:59 GMT", 0.0),
        ("Wed, 21 Oct 2126 07:28:00 GMT", 86_400.0),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
async def test_retry_after_is_a_number_or_a_date_by_the_answers_own_clock(
    header: str, seconds: float | None
) -> None:
    with pytest.raises(RateLimitedError) as caught:
        await exchange("{}", 429, headers={"Retry-After": header, "Date": "Wed, 21 Oct 2026 07:27:00 GMT"})
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("date", ["yesterday", ""])
async def test_a_date_to_retry_after_counts_from_now_when_the_answer_has_no_date(date: str) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)
    with pytest.raises(RateLimitedError) as caught:
        await exchange("{}", 429, headers={"Retry-After": soon, "Date": date})
    assert caught.value.retry_after == pytest.approx(300, abs=60)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    visited: list[str] = []

    async def other(request: web.Request) -> web.Response:
        visited.append(await request.text())
        return web.json_response({"payload": 1})

    async with http_server(other) as elsewhere:
        with pytest.raises(RequestInvalidError) as caught:
            await exchange("", status, headers={"Location": elsewhere})
    assert caught.value.status == status
    assert visited == []


async def test_no_answer_in_time_is_a_timeout() -> None:
    async with raw_server(None, keep_open=True) as (address, _):
        transport = Transport(f"http://{address}/", timeout=0.05)
        with pytest.raises(RequestTimeoutError) as caught:
            await transport.send(READ, TOKEN)
        await transport.close()
    assert caught.value.retryable
    assert "0.05 s" in str(caught.value)


async def test_the_timeout_covers_the_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    async with raw_server(head, keep_open=True) as (address, _):
        transport = Transport(f"http://{address}/", timeout=0.05)
        with pytest.raises(RequestTimeoutError):
            await transport.send(READ, TOKEN)
        await transport.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 999999 x\r\n\r\n",
    ],
)
async def test_a_broken_exchange_is_a_network_error(answer: bytes) -> None:
    async with raw_server(answer) as (address, _):
        transport = Transport(f"http://{address}/")
        with pytest.raises(NetworkError) as caught:
            await transport.send(READ, TOKEN)
        await transport.close()
    assert caught.value.retryable
    assert caught.value.status is None


async def test_nobody_there_is_a_network_error() -> None:
    transport = Transport(f"http://{await closed_port()}/")
    with pytest.raises(NetworkError):
        await transport.send(READ, TOKEN)
    await transport.close()


async def test_canceling_a_request_cancels_it() -> None:
    async with raw_server(None, keep_open=True) as (address, heads):
        transport = Transport(f"http://{address}/")
        sending = asyncio.create_task(transport.send(READ, TOKEN))
        while not heads:
            await asyncio.sleep(0.001)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await transport.close()


async def test_a_session_of_the_callers_is_used_and_not_closed() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"payload": request.headers.get("X-Mine")})

    async with http_server(answer) as url, aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
        transport = Transport(url, session=session)
        assert json.loads(await transport.send(READ, TOKEN)) == "yes"
        await transport.close()
        assert not session.closed


async def test_a_closed_session_of_the_callers_is_a_network_error() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    transport = Transport("http://127.0.0.1:1/", session=session)
    with pytest.raises(NetworkError, match="closed"):
        await transport.send(READ, TOKEN)


async def test_close_ends_connections_and_may_be_called_twice() -> None:
    transport = Transport(f"http://{await closed_port()}/")
    with pytest.raises(NetworkError):
        await transport.send(READ, TOKEN)
    await transport.close()
    await transport.close()
    assert transport._owned is None


async def test_cookies_are_not_kept() -> None:
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        response = web.json_response({"payload": 1})
        response.set_cookie("a", "b")
        return response

    async with http_server(answer) as url:
        # By name: jars keep no cookies of bare addresses anyway.
        transport = Transport(url.replace("127.0.0.1", "localhost"))
        await transport.send(READ, TOKEN)
        await transport.send(READ, TOKEN)
        await transport.close()
    assert seen == [None, None]


async def test_a_given_proxy_is_asked() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"payload":1}'
    async with raw_server(answer) as (address, heads):
        transport = Transport("http://taskrouter.invalid/v1", proxy=f"http://{address}")
        assert await transport.send(READ, TOKEN) == b"1"
        await transport.close()
    assert heads[0].startswith(b"POST http://taskrouter.invalid/v1 ")


@pytest.mark.parametrize(("proxy", "asked"), [(True, True), (None, False)])
async def test_the_environments_proxies_are_asked_unless_refused(
    monkeypatch: pytest.MonkeyPatch, proxy: Any, asked: bool
) -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"payload":1}'
    async with raw_server(answer) as (address, heads):
        monkeypatch.setenv("http_proxy", f"http://{address}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        transport = Transport("http://taskrouter.invalid/v1", proxy=proxy)
        if asked:
            await transport.send(READ, TOKEN)
        else:
            with pytest.raises(NetworkError):
                await transport.send(READ, TOKEN)
        await transport.close()
        assert bool(heads) is asked


async def test_an_answer_of_the_wrong_shape_is_a_server_error() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"payload": {"sid": 7}})

    async with http_server(answer) as url:
        transport = Transport(url)
        commands = Commands(transport, TokenKeeper(TOKEN, None, ManualClock()))
        with pytest.raises(ServerError, match="cannot be understood"):
            await commands.fetch(COMMAND, msgspec.json.Decoder(list[int]))
        await transport.close()


@pytest.mark.parametrize("steps", range(1, 12))
async def test_closing_at_any_step_of_a_request_is_a_network_error(steps: int) -> None:
    never = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await never.wait()
        return web.json_response({"payload": {}})

    async with http_server(answer) as url:
        transport = Transport(url)
        sending = asyncio.create_task(transport.send(READ, TOKEN))
        for _ in range(steps):
            await asyncio.sleep(0)
        await transport.close()
        with pytest.raises(NetworkError):
            await sending
        never.set()
