"""What the documentation shows is run as it is printed."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from pathlib import Path

import pytest

from server_stub import StubServer
from server_stub.faults import FrameFault
from taskrouter_worker import Reservation
from tests.running_examples import PATIENCE, ROOT, running
from tests.sdk.office import Office


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_stay_short(example: Path) -> None:
    limit = {"load_swarm.py": 310, "wall_board.py": 300}.get(example.name, 60)  # these are programs
    assert len(example.read_text().splitlines()) < limit


async def test_accept_reservations_completes_a_task(server: StubServer) -> None:
    office = Office(server)
    async with running(server, "accept_reservations.py", office.hire()) as example:
        assert await example.line() == "nina is Available; press Ctrl-C to stop"
        task_sid = office.task(topic="cards")
        assert await example.line() == "nina works on {'topic': 'cards'}"
        await office.until(task_sid, "completed")
        assert await example.end(signal.SIGINT) == []


async def test_wrap_up_and_transfer_hands_the_task_over(server: StubServer) -> None:
    office = Office(server)
    nina, otto = office.hire("nina"), office.hire("otto")
    colleague = office.worker(otto)

    @colleague.on("reservationCreated")
    async def take_over(reservation: Reservation) -> None:
        await reservation.accept()

    async with (
        colleague,
        running(server, "wrap_up_and_transfer.py", nina, TASKROUTER_TRANSFER_TO=otto) as example,
    ):
        assert await example.line() == "nina is ready; press Ctrl-C to stop"
        task_sid = office.task_for(nina)
        assert await example.lines(4) == [
            "accepted {}",
            "the transfer is complete",
            "wrapping up: it still takes capacity",
            "completed this worker's part",
        ]
        assert [r.task.sid for r in colleague.reservations.values()] == [task_sid]


async def test_refresh_token_outlives_its_tokens(server: StubServer) -> None:
    office = Office(server)
    async with running(server, "refresh_token.py", office.hire(), TOKEN_SECONDS="8") as example:
        # In which order, a machine decides that may take seconds to start it.
        wanted = ["asked for token 1", "token in force", "nina is ready; press Ctrl-C to stop"]
        wanted += ["asked for token 2", "token in force"]
        told: list[str] = []
        while Counter(wanted) - Counter(told):
            told.append(await example.line())
            assert re.fullmatch(r"asked for token \d|token in force|nina is ready; .*", told[-1])
        assert told[0] == wanted[0]


async def test_survive_reconnect_tells_what_happened_meanwhile(server: StubServer) -> None:
    office = Office(server)
    worker_sid = office.hire()
    async with running(server, "survive_reconnect.py", worker_sid) as example:
        assert await example.line() == "ready, with 0 reservations"
        first = office.task(number=1)
        assert await example.line() == "offered (event): {'number': 1}"
        await office.until(first, "assigned")
        # The next frame ends the connection, and what happens until the next session is a gap.
        server.faults.frame = lambda _: FrameFault("cut_before")
        office.complete(first)
        assert await example.line() == "disconnected: connection_lost; comes back by itself: True"
        server.faults.frame = None
        office.task(number=2)
        told = await example.lines(3)
        assert re.fullmatch("ready, with [01] reservations", told[0])
        assert told[1] == "ended (resync): completed"
        assert re.fullmatch(r"offered \((resync|event)\): {'number': 2}", told[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_drain_a_bot_finishes_what_it_accepted(server: StubServer, number: signal.Signals) -> None:
    office = Office(server)
    worker_sid = office.hire()
    async with running(server, "drain_a_bot.py", worker_sid, WORK_SECONDS="0.5") as example:
        assert await example.line() == "nina is ready; press Ctrl-C to stop, twice to stop at once"
        task_sid = office.task()
        assert await example.line() == "working"
        assert await example.end(number) == ["now Offline", "done", "left"]
    assert office.status(task_sid) == "completed"


async def test_pool_of_bots_runs_a_hundred(server: StubServer) -> None:
    office = Office(server)
    bots = [office.hire(f"bot {number}", bot=True) for number in range(100)]
    office.hire("a person", bot=False)
    async with running(server, "pool_of_bots.py", "") as example:
        assert await example.line() == "starting 100 bots; press Ctrl-C to stop"
        tasks = [office.task_for(bot) for bot in bots]
        lines = await example.lines(100)
        assert sorted(lines) == sorted(f"bot {number} works on {{}}" for number in range(100))
        for task in tasks:
            await office.until(task, "completed")
        assert await example.end() == ["all left"]


async def test_supervisor_sends_one_home_and_listens_to_another(server: StubServer) -> None:
    office = Office(server)
    boss, nina, otto = (
        office.hire("boss", contact_uri="client:boss"),
        office.hire("nina"),
        office.hire("otto"),
    )
    agent = office.worker(otto)
    async with agent:
        offered = asyncio.ensure_future(agent.wait_for("reservationCreated", timeout=PATIENCE))
        await asyncio.sleep(0)
        task_sid = office.task_for(otto)
        reservation = await offered
        await reservation.conference(to="client:otto", from_="+15005550006")
        listen_to = f"{task_sid},{reservation.sid}"
        async with running(server, "supervisor.py", boss, SEND_HOME=nina, LISTEN_TO=listen_to) as example:
            assert await example.end(None) == [
                "boss is Available",
                "nina is Available",
                "otto is Available",
                "nina is now Offline",
                "whispering to the worker",
            ]
    workspace = server.account.workspaces[server.workspace_sid]
    [conference] = workspace.telephony.conferences.values()
    listening = conference.supervisor(boss)
    assert listening is not None
    assert listening.mode == "whisper"


async def test_plain_script_needs_no_asyncio(server: StubServer) -> None:
    assert "async" not in (ROOT / "examples" / "plain_script.py").read_text().replace("without asyncio", "")
    office = Office(server)
    async with running(server, "plain_script.py", office.hire()) as example:
        assert await example.line() == "nina is Available; press Ctrl-C to stop"
        office.task(topic="cards")
        assert await example.lines(2) == ["working on {'topic': 'cards'}", "the task is completed"]
        assert await example.end() == ["left"]


@pytest.mark.parametrize("tasks", [6])
async def test_demo_loses_nothing_and_says_so(tmp_path: Path, tasks: int) -> None:
    picture = tmp_path / "demo.svg"
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "examples.demo", "--tasks", str(tasks), "--svg", str(picture)),
        cwd=ROOT,
        stdout=PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await demo.communicate()
    assert demo.returncode == 0
    lines = out.decode().splitlines()
    for step in ("created:", "reserved for", "accepted by", "completed by"):
        assert sum(step in line for line in lines) == tasks
    assert f"tasks created {tasks}, reservations accepted {tasks}, completed {tasks}, lost: 0" in lines
    assert picture.read_text().startswith("<svg")
    assert "http" not in picture.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "").replace(
        "Generated with Rich https://www.textualize.io", ""
    )


def test_every_example_is_in_the_index() -> None:
    index = (ROOT / "examples" / "README.md").read_text()
    there = {path.name for path in (ROOT / "examples").iterdir()} - {"README.md", "__pycache__"}
    named = {link.partition("/")[0] for link in re.findall(r"\]\(([^).]\S*?)\)", index)}
    assert named == there
