"""The example of a bot that follows rules: what the rules say, and what the program does."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from examples.rules_bot.bot import Bot
from examples.rules_bot.rules import Rule, Rulebook, RulesError, read_rules
from server_stub import Settings, StubServer
from taskrouter_worker import Reservation, Worker
from tests.running_examples import PATIENCE, ROOT, Example, running
from tests.sdk.office import Office
from tests.support import access_token

SEED = ROOT / "examples" / "seeds" / "bot_desk.yaml"
ROBO = "WK00000000000000000000000000000b07"
RULES = ROOT / "examples" / "rules_bot" / "rules.yaml"
QUESTION = {"topic": "opening hours", "language": "en"}


# --- Rules --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed() -> Rulebook:
    """The rules as they are printed."""
    return read_rules(RULES)


@pytest.mark.parametrize(
    ("attributes", "does", "why"),
    [
        ({"topic": "holidays", "language": "en"}, "accept", "opening hours"),
        ({"topic": "holidays", "language": "pt"}, "reject", "no rule fits"),
        ({"topic": "order status", "order": {"shipped": True}}, "accept", "order status"),
        ({"topic": "order status", "order": {"shipped": 1}}, "reject", "no rule fits"),
        ({"topic": "order status", "order": "shipped"}, "reject", "no rule fits"),
        ({"vip": True, **QUESTION}, "reject", "important customers talk to people"),
        ({}, "reject", "no rule fits"),
    ],
)
def test_first_rule_that_fits_counts(
    attributes: dict[str, Any], does: str, why: str, printed: Rulebook
) -> None:
    rule = printed.rule_for(attributes)
    assert (rule.do, rule.name) == (does, why)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{name: a, do: shrug}]", r"Invalid enum value 'shrug' - at `\$\.rules\[0\]\.do`"),
        ("rules: [{name: a, do: accept, secs: 2}]", r"unknown field `secs` - at `\$\.rules\[0\]`"),
        ("rules: []\nparallel: 0", r"`int` >= 1 - at `\$\.parallel`"),
        ("rules: []\nparallel: many", r"Expected `int`, got `str` - at `\$\.parallel`"),
        ("[]", "Expected `object`, got `array`"),
        ("rules: [", "is neither YAML nor JSON"),
    ],
)
def test_wrong_rules_are_refused_with_the_place(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(RulesError, match=said):
        read_rules(file)


def test_rules_may_be_json_and_a_missing_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    with pytest.raises(RulesError, match=r"rules\.json cannot be read: No such file"):
        read_rules(file)
    file.write_text(json.dumps({"rules": [{"name": "all", "do": "accept"}], "parallel": 3}))
    assert read_rules(file).rule_for({}).name == "all"


# --- The program --------------------------------------------------------------------------------


async def until(bot: Example, pattern: str) -> str:
    """The next line that matches."""
    while True:
        if re.search(pattern, line := await bot.line()):
            return line


@pytest.fixture
async def desk() -> AsyncIterator[Office]:
    """The bot's own desk: three tasks wait there, of which the bot takes two."""
    async with StubServer(Settings(port=0, settle_ms=1, seed_document=SEED)) as server:
        yield Office(server)


def tasks_of(desk: Office) -> list[Any]:
    workspace = desk.server.account.workspaces[desk.server.workspace_sid]
    return [workspace.task(sid) for sid in workspace.tasks]


async def test_bot_follows_its_rules_and_leaves_at_sigterm(desk: Office, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(re.sub(r"seconds: \d", "seconds: 0.2", RULES.read_text()))
    arguments = (str(rules), "--health-seconds", "0.1")
    hours, order, vip = tasks_of(desk)
    async with running(desk.server, "rules_bot.bot", ROBO, *arguments) as bot:
        assert await bot.line() == "robo is ready, with 3 rules"
        more = [desk.task(**QUESTION) for _ in range(4)]
        most = 0
        while " 6 done" not in (line := await until(bot, "^health")):
            most = max(most, int(re.findall(r"(\d+) of 2 tasks", line)[0]))
        assert most == 2
        assert [task.status for task in (hours, order)] == ["completed"] * 2
        assert [desk.status(task) for task in more] == ["completed"] * 4
        assert json.loads(hours.attributes)["answer"] == "We are open from 9 to 17."
        assert json.loads(vip.attributes)["refused"] == "important customers talk to people"
        assert vip.status == "pending"

        await until(bot, "^health: ready, Available, 0 of 2 tasks")
        last = desk.task(**QUESTION)
        await until(bot, f"working on {last}")
        printed = await bot.end(signal.SIGTERM)
    assert re.fullmatch(r"left: closed, \w+, 0 of 2 tasks, 7 done, 1 rejected, 0 failed", printed[-1])
    assert desk.status(last) == "completed"
    assert desk.activity_of(ROBO) == "Offline"


def move(desk: Office, activity: str) -> None:
    workspace = desk.server.account.workspaces[desk.server.workspace_sid]
    [found] = [a for a in workspace.activities.values() if a.friendly_name == activity]
    desk.server.run(workspace.sid, lambda ws: ws.update_worker(ROBO, activity_sid=found.sid))


async def reach(bot: Bot, activity: str) -> None:
    """Wait until the bot knows that it is there."""
    async with asyncio.timeout(PATIENCE):
        while bot.activity_name != activity:
            await bot.wait_for("activityUpdated")


def bot_of(desk: Office, rulebook: Rulebook) -> Bot:
    return Bot(rulebook, access_token(desk.server, ROBO), **desk.options())


async def test_bot_that_comes_back_finishes_what_it_had_accepted(desk: Office) -> None:
    [first, *_] = tasks_of(desk)
    before = desk.worker(ROBO)
    accepted = asyncio.Event()

    @before.on("reservationCreated")
    async def accept(reservation: Reservation) -> None:
        if reservation.task.sid == first.sid:
            await reservation.accept()
            accepted.set()

    async with before, asyncio.timeout(PATIENCE):
        move(desk, "Available")
        await accepted.wait()
    async with bot_of(desk, Rulebook([Rule("all", "accept")])):
        await desk.until(first.sid, "completed")


async def test_bot_whose_activity_is_not_there_says_so(
    desk: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = bot_of(desk, Rulebook([], ready="At work"))
    async with asyncio.timeout(PATIENCE):
        await bot.run()
    assert (
        "the workspace has no activity 'At work'; it has ['Available', 'Offline', 'Unavailable']"
        in capsys.readouterr().err
    )
    assert not bot.leaving


async def test_bot_stays_where_a_supervisor_has_sent_it(desk: Office) -> None:
    async with bot_of(desk, Rulebook([], full="Unavailable")) as bot:
        for sent_to, expected in {"Offline": "Offline", "Unavailable": "Available"}.items():
            await reach(bot, "Available")
            move(desk, sent_to)
            await reach(bot, sent_to)
            await bot._open_or_close()
            assert desk.activity_of(ROBO) == expected
            move(desk, "Available")


class Noting(Bot):
    """A bot that notes what it would work on, and when it has begun."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        self.works: asyncio.Queue[str] = asyncio.Queue()
        super().__init__(*args, **options)

    async def _begin(self, worker: Worker) -> None:
        await super()._begin(worker)
        await self.begun.put(None)

    async def _work(self, reservation: Reservation, _: Rule) -> None:
        await self.works.put(reservation.task.sid)


async def test_bot_goes_on_after_a_gap_as_if_there_had_been_none(desk: Office) -> None:
    rulebook = Rulebook([Rule("all", "accept")], full="Unavailable")
    bot = Noting(rulebook, access_token(desk.server, ROBO), **desk.options())
    async with bot, asyncio.timeout(PATIENCE):
        await bot.begun.get()
        task = await bot.works.get()
        for activity in ("Unavailable", "Offline"):  # full, and sent away by a supervisor
            await reach(bot, activity)
            desk.server.faults.cut(worker_sid=ROBO)
            await bot.begun.get()
            assert desk.activity_of(ROBO) == activity
            if activity == "Unavailable":
                move(desk, "Offline")
        assert bot.works.empty(), f"{task} is worked on already"
