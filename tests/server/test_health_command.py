"""``taskrouter-stub health``: what a container's health check is told."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest

from server_stub import Settings, StubServer
from server_stub.__main__ import main
from tests.server.raw import Desk


@pytest.fixture
def nobody() -> Iterator[socket.socket]:
    """An address that refuses connections until it listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


def address(held: socket.socket) -> str:
    return f"http://127.0.0.1:{held.getsockname()[1]}"


async def health(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["health", *arguments])


async def test_server_that_is_well_is_status_0_without_credentials(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKROUTER_STUB_URL", "http://127.0.0.1:9")
    assert await health("--url", desk.server.rest_url) == 0
    out, err = capsys.readouterr()
    assert out.startswith("ok: version ")
    assert out.endswith("1 workspaces, 0 sessions\n")
    assert err == ""
    assert await health("--url", desk.server.rest_url + "/", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "ok"


async def test_nothing_there_is_status_1(nobody: socket.socket, capsys: pytest.CaptureFixture[str]) -> None:
    url = address(nobody)
    assert await health("--url", url, "--wait", "0.3") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"taskrouter-stub: no server answers at {url}: ")


async def test_waiting_ends_when_the_server_is_there(nobody: socket.socket) -> None:
    url, port = address(nobody), nobody.getsockname()[1]
    asked = asyncio.create_task(health("--url", url, "--wait", "60"))
    await asyncio.sleep(0.3)  # any time: it makes no difference to what is asserted
    nobody.close()
    async with StubServer(Settings(port=port)):
        assert await asked == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"200 OK\r\nContent-Length: 5\r\n\r\nhello", "is not well: it is no local TaskRouter"),
        (b"200 OK\r\nContent-Length: 2\r\n\r\n[]", "is not well: it is no local TaskRouter"),
        (
            b'403 Forbidden\r\nContent-Length: 29\r\n\r\n{"message": "not\\u001b this"}',
            "is not well: not\\x1b this",
        ),
    ],
)
async def test_other_answers_are_told_and_status_1(
    answer: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await health("--url", f"http://127.0.0.1:{port}") == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "no address"], "'no address' is not an address such as http://127.0.0.1:8300"),
        (["--url", "file:///etc/hosts"], "is not an address such as"),
        (["--wait", "soon"], "'soon' is not a number of seconds from 0"),
        (["--timeout", "0"], "0 seconds are too few"),
        (["--wait", "inf"], "'inf' is not a number of seconds from 0"),
    ],
)
def test_wrong_use_is_status_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main(["health", *arguments])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert said in capsys.readouterr().err
