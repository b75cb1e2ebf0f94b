"""The larger examples: an application with its own tests, a load swarm, a wall board."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console
from rich.text import Text

from examples.load_swarm import Audit, Figures, main, shown
from examples.wall_board import Picture, board
from server_stub import StubServer
from taskrouter_worker import WorkerInfo
from tests.running_examples import PATIENCE, ROOT, running
from tests.sdk.office import Office

APPLICATION = ROOT / "examples" / "contact_center_app"


# --- The application ----------------------------------------------------------------------------


@pytest.mark.docs  # ten seconds: a whole suite of its own
def test_application_passes_its_own_tests_with_the_installed_plugins() -> None:
    done = subprocess.run(
        # Of the plugins that are installed here only this one is no user's: it costs a second.
        [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis", "-p", "no:cacheprovider"],
        cwd=APPLICATION,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b\d\d passed", done.stdout), done.stdout


def test_application_stays_readable_in_ten_minutes() -> None:
    lines = sum(len(file.read_text().splitlines()) for file in APPLICATION.rglob("*.py"))
    assert lines < 700


# --- The swarm ----------------------------------------------------------------------------------


async def test_swarm_finds_nothing_lost_and_nothing_doubled() -> None:
    swarm = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "examples.load_swarm"),
        *("--workers", "10", "--rate", "40", "--seconds", "1"),
        cwd=ROOT,
        stdout=PIPE,
    )
    async with asyncio.timeout(PATIENCE * 2):
        out, _ = await swarm.communicate()
    printed = out.decode()
    assert swarm.returncode == 0, printed
    assert "10 bots are ready; 40 tasks a second for 1 s" in printed
    assert re.search(r"tasks 40, \d+ completed a second; event log: tasks 40, lost 0, doubled 0", printed)
    assert re.search(r"created until offered +│ +\d", printed)


async def test_swarm_that_is_stopped_says_so_and_takes_its_server_with_it() -> None:
    swarm = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "examples.load_swarm", "--workers", "2", "--seconds", "60"),
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    assert swarm.stdout is not None
    async with asyncio.timeout(PATIENCE * 2):
        await swarm.stdout.readline()
        os.killpg(swarm.pid, signal.SIGINT)  # as Ctrl-C does: its server gets it, too
        _, err = await swarm.communicate()
    assert (swarm.returncode, err.decode()) == (130, "stopped before the audit\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(swarm.pid, 0)


def good_run() -> tuple[list[tuple[str, str]], Figures]:
    """An event log of two tasks, and what the bots noted."""
    events = [
        (kind, sid)
        for task, reservation in (("WT1", "WR1"), ("WT2", "WR2"))
        for kind, sid in (
            ("task.created", task),
            ("reservation.created", reservation),
            ("reservation.accepted", task),
            ("task.completed", task),
        )
    ]
    figures = Figures(
        created={"0": 0.0, "1": 0.0}, told=Counter(["WR1", "WR2"]), finished=Counter(["WT1", "WT2"])
    )
    return events, figures


def test_audit_passes_a_good_run() -> None:
    assert Audit.of(*good_run()) == Audit(tasks=2, lost=0, doubled=0)


@pytest.mark.parametrize("kind", ["task.completed", "task.created"])
def test_audit_counts_a_task_that_the_log_does_not_have(kind: str) -> None:
    events, figures = good_run()
    events.remove((kind, "WT2"))
    assert Audit.of(events, figures).lost == 1


def test_audit_counts_what_no_bot_was_told() -> None:
    events, figures = good_run()
    del figures.told["WR2"]
    assert Audit.of(events, figures).lost == 1


def test_audit_counts_what_no_bot_finished() -> None:
    events, figures = good_run()
    del figures.finished["WT2"]
    assert Audit.of(events, figures).lost == 1


@pytest.mark.parametrize("kind", ["reservation.accepted", "task.completed"])
def test_audit_counts_what_the_log_has_twice(kind: str) -> None:
    events, figures = good_run()
    assert Audit.of([*events, (kind, "WT1")], figures).doubled == 1


def test_audit_counts_what_a_bot_was_told_twice() -> None:
    events, figures = good_run()
    figures.told["WR1"] += 1
    figures.finished["WT1"] += 1
    assert Audit.of(events, figures).doubled == 2


def test_percentiles_are_values_that_occurred() -> None:
    assert [shown([0.004, 0.001, 0.003, 0.002], percent) for percent in (50, 90, 100)] == [
        "2.0",
        "4.0",
        "4.0",
    ]
    assert shown([], 50) == "-"


@pytest.mark.parametrize(
    "arguments", [["--workers", "0"], ["--seconds", "inf"], ["--rate", "999", "--seconds", "999"]]
)
def test_swarm_refuses_what_has_no_bounds(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "must be" in capsys.readouterr().err


# --- The wall board -----------------------------------------------------------------------------


async def test_wall_board_shows_queues_and_workers_once(server: StubServer) -> None:
    office = Office(server)
    boss = office.hire("boss", activity="Offline")
    office.task_for(office.hire("nina"))
    office.task()
    async with running(server, "wall_board.py", boss, "--once", COLUMNS="100") as example:
        printed = "\n".join(await example.end(None))
    assert "boss, Offline, ready" in printed
    assert "Workers: 1 Available, 1 Offline" in printed
    assert re.search(r"Sample Queue +1 +\d+:\d\d +0 +1 of 2 ", printed)
    assert re.search(r"nina +Available +\d+:\d\d ", printed)


def printed_board(picture: Picture, *, width: int, rows: int) -> list[str]:
    console = Console(width=width, file=StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(board(picture, Text("boss"), width, rows))
    return capture.get().splitlines()


def test_wall_board_of_an_empty_workspace_says_what_to_do() -> None:
    lines = printed_board(Picture([], [], datetime.now(UTC)), width=60, rows=5)
    assert "  no queue yet: make one, or start with a seed" in lines
    assert "  no worker yet: make one, or start with a seed" in lines
    assert any("0 of 0" in line for line in lines)


def test_wall_board_leaves_out_what_has_no_room_and_says_so() -> None:
    numbers = {
        "longest_task_waiting_age": 3700,
        "tasks_by_status": {"pending": 1, "reserved": 1, "assigned": 2, "wrapping": 1},
        "total_available_workers": 0,
        "total_eligible_workers": 4,
    }
    queues = [
        (f"Queue {number} with a name that is too long for a narrow wall", numbers) for number in range(9)
    ]
    lines = printed_board(Picture(queues, [], datetime.now(UTC)), width=60, rows=3)
    assert "  and 6 more" in lines
    assert sum("1:01:40" in line for line in lines) == 1 + 3
    assert any("│ " in line and "18" in line and "27" in line for line in lines)
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("width", [30, 40, 59, 60, 119, 200])
def test_wall_board_cuts_nothing_whatever_its_width(width: int) -> None:
    numbers = {
        "longest_task_waiting_age": 36_100,
        "tasks_by_status": {"pending": 120, "reserved": 1, "assigned": 120, "wrapping": 1},
        "total_available_workers": 100,
        "total_eligible_workers": 400,
    }
    shown = {"name": "Wu-Zhang", "activity_name": "Wrap-up-after-a-call", "available": False}
    worker = cast("WorkerInfo", SimpleNamespace(**shown, date_status_changed=datetime.now(UTC)))
    picture = Picture([("Mortgages", numbers)], [worker], datetime.now(UTC))
    lines = printed_board(picture, width=width, rows=5)
    assert max(map(len, lines)) <= width
    together = re.sub(r"\W", "", "".join(lines))
    for text in ("Mortgages", "121", "100 of 400", "10:01:40", "longest", "Wu-Zhang", "call"):
        assert re.sub(r"\W", "", text) in together
    assert "…" not in "".join(lines)


async def test_wall_board_follows_what_happens_in_a_terminal(server: StubServer) -> None:
    office = Office(server)
    boss, nina = office.hire("boss", activity="Offline"), office.hire("nina", activity="Offline")
    ours, theirs = pty.openpty()
    shown = bytearray()
    changed = asyncio.Event()

    def read() -> None:
        shown.extend(os.read(ours, 65_536))
        changed.set()

    async def until(text: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while text not in shown:
                changed.clear()
                await changed.wait()

    loop = asyncio.get_running_loop()
    loop.add_reader(ours, read)
    terminal = {"TERM": "xterm", "COLUMNS": "100", "LINES": "30", "NO_COLOR": "1"}
    try:
        async with running(server, "wall_board.py", boss, stdout=theirs, **terminal) as example:
            await until(b"Workers: 2 Offline")
            available = next(
                a for a in server.account.workspaces[server.workspace_sid].activities.values() if a.available
            )
            server.run(server.workspace_sid, lambda ws: ws.update_worker(nina, activity_sid=available.sid))
            await until(b"Workers: 1 Available, 1 Offline")
            await example.end(signal.SIGINT)
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
