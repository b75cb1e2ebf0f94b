"""`taskrouter-worker` against a local server: lines for programs, answers by rule, and what goes wrong."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never, cast

import jwt
import pytest

from server_stub import StubServer
from taskrouter_worker import (
    ConnectionFailedError,
    Disconnect,
    DisconnectCause,
    NetworkError,
    TaskRouterError,
)
from taskrouter_worker._cli import listening
from taskrouter_worker._cli.feed import Lines, in_words
from taskrouter_worker._cli.leaving import MISUSED, Stop, tell
from taskrouter_worker._cli.program import main
from tests.cli.programs import PATIENCE, ROOT, environment, started
from tests.sdk.office import Office
from tests.support import access_token

pytestmark = pytest.mark.usefixtures("logger_of_the_sdk")

SECRET = "k" * 32


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TASKROUTER_"):
            monkeypatch.delenv(name)


async def next_line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        line: dict[str, Any] = json.loads(await process.stdout.readline())
    return line


async def line_about(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    while (line := await next_line(process))["event"] != event:
        pass
    return line


async def ended(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(PATIENCE):
        _, err = await process.communicate()
    return err.decode()


async def test_bot_accepts_completes_survives_a_cut_and_leaves_at_ctrl_c(
    server: StubServer, tmp_path: Path
) -> None:
    office = Office(server)
    nina = office.hire("nina", activity="Offline")
    token = tmp_path / "nina.token"
    token.write_text(access_token(server, nina) + "\n")
    arguments = ("--token-file", str(token), "--activity", "Available", "--auto", "accept")
    variables = {k: v for k, v in environment(server).items() if k.endswith("_SERVER")}
    async with started(
        "taskrouter_worker", "listen", "--json", *arguments, "--complete-after", "0.05", **variables
    ) as process:
        ready = await line_about(process, "ready")
        assert (ready["worker"]["name"], ready["reservations"]) == ("nina", [])
        assert (await line_about(process, "activityUpdated"))["worker"]["activity_name"] == "Available"
        for number in (1, 2):
            task = office.task(number=number)
            steps = [await next_line(process) for _ in range(3)]
            assert [step["event"] for step in steps] == [
                "reservationCreated", "reservationAccepted", "reservationCompleted",
            ]  # fmt: skip
            assert steps[0]["reservation"]["task"]["attributes"] == {"number": number}
            assert office.status(task) == "completed"
            if number == 1:
                server.faults.cut(worker_sid=nina)
                assert (await line_about(process, "disconnected"))["will_reconnect"] is True
                await line_about(process, "ready")
        process.send_signal(signal.SIGINT)
        assert await ended(process) == ""
        assert process.returncode == 0


async def test_command_makes_the_next_token_when_one_ends_and_a_reader_that_leaves_ends_it(
    server: StubServer, tmp_path: Path
) -> None:
    office = Office(server)
    nina = office.hire("nina")
    first, second = access_token(server, nina), access_token(server, nina, ttl=3000)
    assert first != second
    file = tmp_path / "token"
    file.write_text(first)
    program = "import pathlib, sys; print(pathlib.Path(sys.argv[1]).read_text())"
    command = shlex.join([sys.executable, "-S", "-c", program, str(file)])
    async with started(
        *("taskrouter_worker", "listen", "--json", "--auto", "reject", "--token-command", command),
        *("--eb-server", server.eb_server, "--ws-server", server.ws_server),
    ) as process:
        await line_about(process, "ready")
        file.write_text(second)
        server.faults.expire_token(worker_sid=nina)
        await line_about(process, "tokenUpdated")
        await line_about(process, "ready")
        task = office.task()
        await line_about(process, "reservationRejected")
        assert office.status(task) in ("pending", "reserved")
        process.stdout._transport.close()  # type: ignore[union-attr]
        office.task_for(nina)
        err = await ended(process)
        assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "status", "hint"),
    [
        (("--token-file", "/nowhere/token"), 2, "cannot read /nowhere/token"),
        (("--token-command", "false"), 2, "'false' ended with status 1"),
        (("--token-command", "/nowhere/program x"), 2, "'/nowhere/program' cannot be run"),
        (("--token-command", "echo not/a/token"), 2, "what the token command printed is no token"),
        (("--token-command", "'"), 2, "--token-command cannot be read"),
        (("--token-command", "echo a.b.c", "--ws-server", "x"), 2, "--ws-server must be a URL"),
        (("--token-command", "echo a.b.c", "--complete-after", "-1"), 2, "--complete-after"),
        (
            (
                *("--token-command", "echo a.b.c", "--connect-timeout", "0.1"),
                *("--eb-server", "http://127.0.0.1:1", "--ws-server", "ws://127.0.0.1:1"),
            ),
            3,
            "not connected after 0.1 s",
        ),
    ],
)
def test_what_is_wrong_at_the_start_is_one_line_and_a_status(
    arguments: tuple[str, ...], status: int, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["listen", "--plain", *arguments]) == status
    err = capsys.readouterr().err
    assert hint in err
    assert err.startswith("taskrouter-worker: ")
    assert err.count("\n") == 1


REFUSED_TEXT = "GET Workers/WK1 failed: ClientConnectorError: Cannot connect to host 127.0.0.1:1 ssl:default "


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            f"{REFUSED_TEXT}[Connect call failed ('127.0.0.1', 1)]",
            "cannot connect to 127.0.0.1:1: nothing answers there",
        ),
        (
            "cannot connect to ws://127.0.0.1:1/v1: [Errno 111] Connect call failed ('127.0.0.1', 1)",
            "cannot connect to ws://127.0.0.1:1/v1: nothing listens there",
        ),
        (
            "cannot connect to ws://x: Multiple exceptions: "
            + ", ".join(["[Errno 111] Connect call failed ('::1', 1, 0, 0)"] * 2),
            "cannot connect to ws://x: nothing listens there",
        ),
        (
            "cannot connect to ws://nowhere.invalid/v1: [Errno -2] Name or service not known",
            "cannot connect to ws://nowhere.invalid/v1: Name or service not known",
        ),
        ("GET Workers/WK1 was refused: no such worker", "GET Workers/WK1 was refused: no such worker"),
    ],
)
def test_failure_is_told_in_plain_words(message: str, told: str) -> None:
    assert in_words(message) == told


def test_failure_that_ends_the_connection_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(lambda: None)
    message = f"{REFUSED_TEXT}[Connect call failed ('127.0.0.1', 1)]"
    for _ in range(2):  # each time anew
        lines.disconnected(
            Disconnect(message=message, cause=DisconnectCause.INITIALIZATION_FAILED, will_reconnect=True)
        )
        lines.failed(NetworkError(message, method="GET", path="Workers/WK1"))
    lines.failed(NetworkError(message, method="GET", path="Workers/WK1"))  # a failure of its own
    told = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    why = "cannot connect to 127.0.0.1:1: nothing answers there"
    assert told == [f"gone       {why}; connecting again"] * 2 + [f"error      {why}"]


class Unreachable:
    """Stands for a worker that does not get a connection, and says why."""

    def __init__(self) -> None:
        self.tell: Callable[[TaskRouterError], None] = lambda _: None

    def on(self, event: str, handler: Callable[[TaskRouterError], None]) -> None:
        assert event == "error"
        self.tell = handler

    async def __aenter__(self) -> Never:
        for number in (113, 111):
            self.tell(
                ConnectionFailedError(f"cannot connect to ws://x: [Errno {number}] Connect call failed ()")
            )
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def __aexit__(self, *_: object) -> None:
        raise AssertionError


async def test_who_gives_up_connecting_names_the_last_reason() -> None:
    options = argparse.Namespace(connect_timeout=0.05, activity=None)
    with pytest.raises(Stop) as stop:
        await listening._session(cast("Any", Unreachable()), options)
    assert str(stop.value) == "not connected after 0.05 s: cannot connect to ws://x: nothing listens there"


@pytest.mark.parametrize(("made", "status"), [("refused", 5), ("no activity", 2)])
def test_service_that_refuses_is_told_apart(
    threaded_server: StubServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    made: str,
    status: int,
) -> None:
    server = threaded_server
    nina = Office(server).hire("nina")
    secret = SECRET if made == "refused" else None
    token = access_token(server, nina, secret=secret)
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TASKROUTER_TOKEN", token)
    # The options' defaults are read from the environment when the parser is made.
    assert main(["listen", "--plain", "--activity", "Lunch"]) == status
    told = "".join(capsys.readouterr())
    assert ("refused" if made == "refused" else "there are Available, Offline, Unavailable") in told
    assert token not in told


@pytest.mark.parametrize("seconds", [1, -60], ids=["while it runs", "long ago"])
def test_token_that_ends_without_a_successor_ends_the_program(
    threaded_server: StubServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seconds: int,
) -> None:
    server = threaded_server
    monkeypatch.setenv("TASKROUTER_EB_SERVER", server.eb_server)
    monkeypatch.setenv("TASKROUTER_WS_SERVER", server.ws_server)
    monkeypatch.setenv("TASKROUTER_TOKEN", access_token(server, Office(server).hire("nina"), ttl=seconds))
    assert main(["listen", "--plain"]) == 5
    assert "--token-command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "hint"),
    [("rich", 'pip install "taskrouter-worker[cli]", or use --plain'), ("termios", "POSIX terminal")],
)
def test_screen_that_cannot_be_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, missing: str, hint: str
) -> None:
    monkeypatch.setattr(listening, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(Stop) as stop:
        listening._require_screen()
    assert stop.value.status == MISUSED
    assert hint in str(stop.value)


def test_nothing_of_the_sdk_imports_its_command_line() -> None:
    modules = [path for path in (ROOT / "taskrouter_worker").glob("*.py") if path.name != "__main__.py"]
    assert modules
    assert [
        path.name for path in modules if "_cli" in path.read_text() or "argparse" in path.read_text()
    ] == []


# --- token inspect ------------------------------------------------------------------------------


def inspected(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, str, str]:
    monkeypatch.setenv("TASKROUTER_TOKEN", token)
    status = main(["token", "inspect", *more])
    told = capsys.readouterr()
    assert token.rpartition(".")[2] not in told.out + told.err
    return status, told.out, told.err


def claims(**more: Any) -> dict[str, Any]:
    grant = {"workspace_sid": "WS1", "worker_sid": "WK1", "role": "worker"}
    return {"iss": "SK1", "sub": "AC1", "exp": 4_102_444_800, "grants": {"task_router": grant}, **more}


def test_token_tells_worker_workspace_and_expiry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = jwt.encode(claims(), SECRET)
    status, out, _ = inspected(token, monkeypatch, capsys)
    assert status == 0
    told = dict(line.split(None, 1) for line in out.splitlines() if "with" not in line)
    assert (told["Worker"], told["Workspace"], told["Role"]) == ("WK1", "WS1", "worker")
    assert told["Expires"].startswith("2100-01-01 00:00:00 UTC (")
    status, out, _ = inspected(token, monkeypatch, capsys, "--json")
    assert (json.loads(out)["worker_sid"], json.loads(out)["expired"]) == ("WK1", False)


def test_capability_token_tells_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = jwt.encode({"iss": "AC1", "account_sid": "AC1", "worker_sid": "WK1", "exp": 1}, SECRET)
    status, out, _ = inspected(token, monkeypatch, capsys, "--json")
    told = json.loads(out)
    assert status == 1
    assert (told["kind"], told["worker_sid"], told["expired"]) == ("capability token", "WK1", True)


@pytest.mark.parametrize(
    "odd", [{"exp": 1e300}, {"exp": "soon"}, {"grants": 1}, {"exp": True}, {"iat": None}]
)
def test_odd_claims_break_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], odd: dict[str, Any]
) -> None:
    assert inspected(jwt.encode(claims(**odd), SECRET), monkeypatch, capsys)[0] in (0, 1)


@pytest.mark.parametrize("text", ["abc.def.secret", "not a token secret", "x" * 50_000])
def test_what_is_no_token_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setenv("TASKROUTER_TOKEN", text)
    assert main(["token", "inspect"]) == MISUSED
    err = capsys.readouterr().err
    assert "secret" not in err
    assert len(err) < 200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
async def test_bot_whose_lines_cannot_be_written_ends_and_says_so(server: StubServer) -> None:
    nina = Office(server).hire("nina")
    words = [sys.executable, "-m", "taskrouter_worker", "listen", "--json"]
    with open("/dev/full", "wb") as full:  # noqa: PTH123, ASYNC230 - a device, which answers at once
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=ROOT,
            env={**os.environ, **environment(server), "TASKROUTER_TOKEN": access_token(server, nina)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=full,
            stderr=asyncio.subprocess.PIPE,
        )
    try:
        async with asyncio.timeout(PATIENCE):
            _, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert told == b"taskrouter-worker: cannot write the output: No space left on device\n"
    assert process.returncode == 1


def test_program_without_a_standard_input_asks_for_a_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TASKROUTER_TOKEN", raising=False)
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["token", "inspect"]) == MISUSED
    assert capsys.readouterr().err.startswith("taskrouter-worker: no token: set TASKROUTER_TOKEN")


def test_names_that_the_output_cannot_hold_are_written_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.delenv("TASKROUTER_TOKEN", raising=False)
    assert main(["token", "inspect"]) == MISUSED
    tell("jörg")
    assert written.getvalue() == b"j\\xf6rg\n"
