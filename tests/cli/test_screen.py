"""`taskrouter-worker listen` on a terminal: what it shows, what keys do, and how it leaves the terminal."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import pytest
from rich.console import Console

from server_stub import StubServer
from taskrouter_worker._cli.aim import REPEAT_SECONDS, SEEN_SECONDS, STATUSES, Aim
from taskrouter_worker._cli.picture import NOTES, Picture, Row
from tests.cli.programs import PATIENCE, ROOT, environment
from tests.sdk.office import Office
from tests.support import access_token

pytestmark = pytest.mark.usefixtures("logger_of_the_sdk")

BUSY: Final = Picture(
    name="nina",
    activity="Available",
    available=True,
    connection="connected",
    connected=True,
    rows=(
        Row("WR1", "pending", "topic=cards  " + "x" * 300, "Cards", "chat", left=94.9, whole=120),
        Row("WR2", "pending", "topic=loans", "Loans", "default", left=21, whole=120),
        Row("WR3", "accepted", "topic=mortgage", "Mortgages", "voice", since=3754),
        Row("WR4", "wrapping", "topic=cards", "Cards", "chat", since=31, busy=True),
    ),
    selected="WR2",
    notes=tuple((f"12:00:{n:02}", f"note {n} " + "y" * 300) for n in range(9)),
)
ABSENT: Final = Picture(name="", activity="", available=False, connection="connecting", connected=False)
KEYS: Final = ("a accept", "r reject", "w wrap up", "c complete", "s activity", "↑↓ select", "q quit")


def drawn(picture: Picture, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), highlight=False)
    with console.capture() as captured:
        console.print(picture, end="")
    return captured.get().replace("\u00a0", " ").splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
@pytest.mark.parametrize("picture", [BUSY, ABSENT], ids=["busy", "absent"])
def test_screen_is_filled_and_nothing_leaves_it(picture: Picture, width: int, height: int) -> None:
    lines = drawn(picture, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert all(key in lines[-1] for key in KEYS)


def test_countdown_status_and_selection_are_there() -> None:
    lines = drawn(BUSY, 80, 24)
    assert lines[0].split() == ["nina", "●", "Available", "connected"]
    first, second = (next(line for line in lines if text in line) for text in ("topic=cards  x", "loans"))
    assert first.split()[-2:] == ["████████░░", "1:34"]
    assert "…" in first  # what is too long for its column is cut there
    assert second.startswith("▶")
    assert second.split()[-2:] == ["██░░░░░░░░", "0:21"]
    assert any("accepted" in line and line.rstrip().endswith("1:02:34") for line in lines)
    assert any(line.startswith("…") and "wrapping" in line for line in lines)
    assert next(line for line in lines if " note " in line).startswith(f" 12:00:{9 - NOTES:02}")


def test_empty_screen_says_what_to_do() -> None:
    idle = Picture(name="nina", activity="Lunch", available=False, connection="connected", connected=True)
    assert any("Lunch. Press s to change that" in line for line in drawn(idle, 80, 24))
    assert any("no connection" in line for line in drawn(ABSENT, 80, 24))
    asked = Picture(
        name="nina", activity="", available=True, connection="", connected=True, choices=("Lunch", "Away")
    )
    assert drawn(asked, 80, 24)[-1].split("  ")[:3] == [" 1 Lunch", "2 Away", "esc back"]


@pytest.mark.parametrize(("width", "height"), [(20, 6), (40, 10), (10, 3)])
def test_small_window_shows_what_fits(width: int, height: int) -> None:
    lines = drawn(BUSY, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


# --- What keys are about ------------------------------------------------------------------------

OFFER, OTHER, WORK = Row("WR1", "pending", ""), Row("WR2", "pending", ""), Row("WR3", "accepted", "")


class Watch:
    """A clock for `Aim`."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_key_is_for_the_selected_row_it_fits_or_the_first_one() -> None:
    watch = Watch()
    aim = Aim(watch)
    aim.look([OFFER, OTHER, WORK], OTHER.sid)
    watch.now += SEEN_SECONDS
    assert [aim.of([OFFER, OTHER, WORK], command) for command in STATUSES] == [
        (OTHER.sid, True),
        (OTHER.sid, True),
        (WORK.sid, True),
        (WORK.sid, True),
    ]
    assert aim.of([OFFER], "complete") == (None, False)


def test_key_is_not_for_what_came_in_a_moment_ago() -> None:
    watch = Watch()
    aim = Aim(watch)
    assert aim.of([OFFER], "accept") == (OFFER.sid, False)  # not drawn yet
    aim.look([OFFER], OFFER.sid)
    watch.now += SEEN_SECONDS - 0.01
    assert aim.of([OFFER], "accept") == (OFFER.sid, False)
    watch.now += 0.01
    assert aim.of([OFFER], "accept") == (OFFER.sid, True)
    assert aim.of([OTHER], "accept") == (OTHER.sid, False)  # the other one is gone already


def test_key_is_not_for_what_takes_the_place_of_the_selected_offer() -> None:
    watch = Watch()
    aim = Aim(watch)
    aim.look([OFFER, OTHER], OFFER.sid)
    watch.now += 60
    aim.look([OTHER], OTHER.sid)  # the first one ran out, and the next one is selected by that
    assert aim.of([OTHER], "accept") == (OTHER.sid, False)
    watch.now += SEEN_SECONDS
    assert aim.of([OTHER], "accept") == (OTHER.sid, True)


def test_key_after_a_selection_by_hand_counts_at_once() -> None:
    watch = Watch()
    aim = Aim(watch)
    aim.look([OFFER, OTHER], OFFER.sid)
    watch.now += SEEN_SECONDS
    aim.look([OFFER, OTHER], OTHER.sid, by_hand=True)
    assert aim.of([OFFER, OTHER], "accept") == (OTHER.sid, True)


def test_key_is_for_nothing_while_the_selected_row_is_busy_and_then_for_no_other_at_once() -> None:
    watch = Watch()
    aim = Aim(watch)
    aim.look([OFFER, OTHER], OFFER.sid)
    watch.now += 60
    busy = [replace(OFFER, busy=True), OTHER]
    aim.look(busy, OFFER.sid)
    assert aim.of(busy, "accept") == (None, False)
    watch.now += 60
    taken = [OTHER, replace(OFFER, status="accepted")]
    aim.look(taken, OFFER.sid)
    assert aim.of(taken, "accept") == (OTHER.sid, False)
    assert aim.of(taken, "complete") == (OFFER.sid, True)


def test_key_that_is_held_or_pressed_twice_is_one_press() -> None:
    watch = Watch()
    aim = Aim(watch)
    assert not aim.is_repeated("a")
    for _ in range(9):
        watch.now += REPEAT_SECONDS - 0.01
        assert aim.is_repeated("a")
    assert not aim.is_repeated("down")
    assert not aim.is_repeated("a")
    watch.now += REPEAT_SECONDS
    assert not aim.is_repeated("a")


# --- The real thing -----------------------------------------------------------------------------


class Terminal:
    """A pseudo-terminal with the program in it."""

    def __init__(self, ours: int, process: asyncio.subprocess.Process) -> None:
        self.ours = ours
        self.process = process
        self.raw = ""
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(ours, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.ours, 65_536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.ours)
        self.raw += data.decode(errors="replace")
        self._more.set()

    @property
    def screen(self) -> str:
        """What it shows, without styles: everything since it was last drawn from the top."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw.rpartition("\x1b[H")[2]).replace("\u00a0", " ")

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    async def until(self, shown: Callable[[str], object]) -> str:
        async with asyncio.timeout(PATIENCE):
            while not shown(self.screen):
                self._more.clear()
                await self._more.wait()
        return self.screen

    async def shows(self, *texts: str) -> str:
        return await self.until(lambda screen: all(text in screen for text in texts))

    async def end(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def terminal(server: StubServer, worker_sid: str) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
    kept |= environment(server)
    token = access_token(server, worker_sid)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "taskrouter_worker", "listen"),
        cwd=ROOT,
        env={**kept, "TERM": "xterm-256color", "TASKROUTER_TOKEN": token},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    seen = Terminal(ours, process)
    before = termios.tcgetattr(theirs)
    try:
        yield seen
        # However it ended: the terminal is as it was, and so is the screen; the cursor is back.
        assert termios.tcgetattr(theirs) == before
        await seen.until(lambda _: "\x1b[?1049l" in seen.raw)
        assert seen.raw.rindex("\x1b[?1049l") > seen.raw.rindex("\x1b[?1049h")
        assert seen.raw.rindex("\x1b[?25h") > seen.raw.rindex("\x1b[?25l")
        assert token not in seen.raw
        assert "Traceback" not in seen.raw
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(theirs)
        os.close(ours)


async def test_keys_answer_offers_end_work_and_leave_the_terminal_as_it_was(server: StubServer) -> None:
    office = Office(server)
    nina = office.hire("nina", activity="Offline")
    async with terminal(server, nina) as seen:
        await seen.shows("nina  ○ Offline", "connected", "Press s to change that")
        seen.press("s")
        await seen.shows("1 Offline  2 Available")
        seen.press("2")
        await seen.shows("● Available")
        task = office.task(topic="cards", n="ë\x1b[2J")
        await seen.shows("▶ topic=cards  n=ë\\x1b[2J", "Sample Qu", "█ 1:5")
        seen.press("a")
        await seen.shows("accepted  ", "accepted: topic=cards")
        assert office.status(task) == "assigned"
        seen.press("w")
        await seen.shows("wrapping  ")
        seen.press("c")
        await seen.shows("completed: topic=cards", "Nothing. What you accept")
        assert office.status(task) == "completed"
        second = office.task(topic="loans")
        await seen.shows("▶ topic=loans")
        seen.press("w")
        await seen.shows("nothing to wrap")
        seen.press("r")
        await seen.shows("rejected: topic=loans")
        assert office.status(second) in ("pending", "reserved")
        fcntl.ioctl(seen.ours, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        await seen.until(lambda screen: "─" * 120 in screen)
        server.faults.cut(worker_sid=nina)
        await seen.until(
            lambda screen: screen.rfind("connected as nina") > screen.find("connection lost") > 0
        )
        seen.process.send_signal(signal.SIGTSTP)  # as Ctrl-Z does
        await asyncio.to_thread(os.waitid, os.P_PID, seen.process.pid, os.WSTOPPED)
        await seen.until(lambda _: "\x1b[?1049l" in seen.raw)
        seen.process.send_signal(signal.SIGCONT)
        await seen.until(lambda _: seen.raw.count("\x1b[?1049h") == 2)
        await seen.shows("rejected: topic=loans")
        seen.press("q")
        assert await seen.end() == 0


async def test_terminal_is_given_back_before_it_is_said_why_the_service_ended_it(server: StubServer) -> None:
    nina = Office(server).hire("nina")
    async with terminal(server, nina) as seen:
        await seen.shows("connected as nina")
        server.faults.displace(worker_sid=nina)
        assert await seen.end() == 1
        await seen.until(lambda _: "taskrouter-worker: " in seen.raw.rpartition("\x1b[?1049l")[2])


async def test_second_press_accepts_no_offer_that_nobody_meant(server: StubServer) -> None:
    office = Office(server)
    nina = office.hire("nina", activity="Offline")
    workspace = server.account.workspaces[server.workspace_sid]
    server.run(workspace.sid, lambda ws: ws.update_worker_channel(nina, "default", capacity=2))
    [available] = [a for a in workspace.activities.values() if a.friendly_name == "Available"]
    async with terminal(server, nina) as seen:
        await seen.shows("nina  ○ Offline")
        server.run(workspace.sid, lambda ws: ws.update_worker(nina, activity_sid=available.sid))
        first = office.task(topic="first")
        second = office.task_for(nina)
        await seen.until(lambda screen: screen.count("█ 1:5") == 2 and "▶ topic=first" in screen)
        seen.press("aa")
        await seen.shows("accepted: topic=first")
        seen.press("q")
        assert await seen.end() == 0
    assert (office.status(first), office.status(second)) == ("assigned", "reserved")
