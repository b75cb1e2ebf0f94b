"""``taskrouter-stub serve`` as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from taskrouter_worker.tokens import worker_token

ROOT = Path(__file__).parent.parent.parent
PROGRAM = (sys.executable, "-m", "server_stub")


def environment(**extra: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TASKROUTER_STUB_")}
    return {**kept, **extra}


async def finished(*arguments: str, **extra: str) -> tuple[int | None, str, str]:
    """Exit status, output and errors of a command that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        cwd=ROOT,
        env=environment(**extra),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def serving(
    *arguments: str, **extra: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """A server process and what it printed about itself."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "serve",
        "--port",
        "0",
        "--json",
        *arguments,
        cwd=ROOT,
        env=environment(**extra),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        assert line, (await process.communicate())[1].decode()
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_json_line_tells_everything_a_client_needs() -> None:
    async with serving() as (_, reach):
        assert list(reach) == [
            "rest_url",
            "eb_server",
            "ws_server",
            "account_sid",
            "auth_token",
            "signing_key_sid",
            "signing_key_secret",
            "workspace_sid",
            "console_url",
        ]
        assert len(reach["auth_token"]) == len(reach["signing_key_secret"]) == 64
        auth = aiohttp.encode_basic_auth(reach["account_sid"], reach["auth_token"])
        url = f"{reach['rest_url']}/v1/Workspaces/{reach['workspace_sid']}/Workflows"
        async with (
            aiohttp.ClientSession() as http,
            http.get(url, headers={"Authorization": auth}) as response,
        ):
            body = await response.json()
        assert [workflow["friendly_name"] for workflow in body["workflows"]] == ["Default Fifo Workflow"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_sessions_with_a_reason_and_the_process_in_time(number: signal.Signals) -> None:
    async with serving() as (process, reach), aiohttp.ClientSession() as http:
        auth = aiohttp.encode_basic_auth(reach["account_sid"], reach["auth_token"])
        workspace = f"{reach['rest_url']}/v1/Workspaces/{reach['workspace_sid']}"
        async with http.post(
            f"{workspace}/Workers", data={"FriendlyName": "nina"}, headers={"Authorization": auth}
        ) as made:
            worker_sid = (await made.json())["sid"]
        keys = ("account_sid", "signing_key_sid", "signing_key_secret", "workspace_sid")
        token = worker_token(**{key: reach[key] for key in keys}, worker_sid=worker_sid)
        ws = await http.ws_connect(f"{reach['ws_server']}?token={token}")
        await ws.receive(timeout=5)
        began = time.monotonic()
        process.send_signal(number)
        message = await ws.receive(timeout=5)
        assert (message.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 1001)
        assert "shut" in str(message.extra)
        async with asyncio.timeout(5):
            assert await process.wait() == 0
        assert time.monotonic() - began < 2


async def test_option_says_how_many_events_are_kept() -> None:
    async with serving("--max-events", "3") as (_, reach), aiohttp.ClientSession() as http:
        auth = aiohttp.encode_basic_auth(reach["account_sid"], reach["auth_token"])
        url = f"{reach['rest_url']}/v1/Workspaces/{reach['workspace_sid']}/Events"
        async with http.get(url, headers={"Authorization": auth}) as response:
            assert len((await response.json())["events"]) == 3


@pytest.mark.parametrize("offset", [7200, -7200])
async def test_clock_can_be_set_wrong_for_dates_and_tokens(offset: int) -> None:
    async with (
        serving("--clock-offset", str(offset)) as (_, reach),
        aiohttp.ClientSession() as http,
    ):
        auth = aiohttp.encode_basic_auth(reach["account_sid"], reach["auth_token"])
        workspace = f"{reach['rest_url']}/v1/Workspaces/{reach['workspace_sid']}"
        async with http.post(
            f"{workspace}/Workers", data={"FriendlyName": "nina"}, headers={"Authorization": auth}
        ) as made:
            worker_sid = (await made.json())["sid"]
        async with http.get(f"{workspace}/Events", headers={"Authorization": auth}) as response:
            latest = (await response.json())["events"][0]
        assert abs(latest["event_date_ms"] / 1000 - time.time() - offset) < 60
        keys = ("account_sid", "signing_key_sid", "signing_key_secret", "workspace_sid")
        token = worker_token(**{key: reach[key] for key in keys}, worker_sid=worker_sid, lifetime=3600)
        ws = await http.ws_connect(f"{reach['ws_server']}?token={token}")
        first = await ws.receive(timeout=20)
        is_let_in = first.type is aiohttp.WSMsgType.TEXT
        assert (is_let_in, ws.close_code) == ((False, 4408) if offset > 0 else (True, None))
        await ws.close()


async def test_credentials_come_from_options_and_environment() -> None:
    async with serving(
        "--account-sid",
        "AC" + "1" * 32,
        "--auth-token",
        "from-option",
        TASKROUTER_STUB_SIGNING_KEY_SECRET="from-env",
    ) as (_, reach):
        assert reach["account_sid"] == "AC" + "1" * 32
        assert reach["auth_token"] == "from-option"
        assert reach["signing_key_secret"] == "from-env"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("serve", "--port", "x"), "port"),
        (("serve", "--port", "70000"), "port"),
        (("serve", "--settle-ms", "-1"), "--settle-ms"),
        (("serve", "--event-retention", "-1"), "--event-retention"),
        (("serve", "--max-events", "1.5"), "--max-events"),
        (("serve", "--clock-offset", "nan"), "--clock-offset"),
        (("serve", "--account-sid", "AC1"), "--account-sid"),
        (("serve", "--host", "desk.example"), "--auth-token"),
        (("serve", "--tls-cert", "x.pem"), "--tls-key"),
        (("serve", "--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.pem"), "nowhere.pem"),
        (("serve", "--nonsense"), "--nonsense"),
        (("dance",), "dance"),
        ((), "COMMAND"),
    ],
)
async def test_bad_arguments_are_explained(arguments: tuple[str, ...], hint: str) -> None:
    status, out, err = await finished(*arguments)
    assert (status, out) == (2, "")
    assert hint in err
    assert "Traceback" not in err


async def test_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = await finished("serve", "--port", str(port))
    assert (status, out) == (1, "")
    assert str(port) in err
    assert len(err.splitlines()) == 1


async def test_banner_shows_people_how_to_reach_it() -> None:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "serve",
        "--port",
        "0",
        cwd=ROOT,
        env=environment(COLUMNS="200"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    banner = ""
    async with asyncio.timeout(20):
        while "Ctrl-C" not in banner or "Workspace SID" not in banner:
            banner += (await process.stdout.readline()).decode()
    process.terminate()
    async with asyncio.timeout(5):
        assert (await process.communicate(), process.returncode)[1] == 0
    assert "/v1/wschannels" in banner
