"""The auditor finds what is planted, and nothing where nothing is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.audit import Audit, audit
from tests.soak.evidence import Evidence, FedTask, Line, LoggedEvent, ServerRun
from tests.soak.journal import Journal, read_journal

START = 1_000.0
RETENTION = 20.0


class Story:
    """A run of one worker, told to the log and to the journal as a sound server and SDK would."""

    def __init__(self) -> None:
        self.evidence = Evidence(
            retention=RETENTION,
            event_retention=RETENTION,
            runs=[ServerRun(began=START, ended=START + 1_000, offset=0.0)],
        )
        self.lines = self.evidence.journals["WK1"] = []
        self.at = START + 10
        self.life = 0
        self._versions: dict[str, int] = {}
        self._serial = 0

    def later(self, seconds: float = 0.1) -> None:
        self.at += seconds

    def log(self, type_: str, sid: str, **data: str) -> None:
        self.later()
        self._serial += 1
        kind = type_.partition(".")[0]
        if type_ != "task.created":
            self._versions[sid] = self._versions.get(sid, 0) + 1
        data |= {f"{kind}_sid": sid, f"{kind}_version": str(self._versions.get(sid, 0))}
        self.evidence.events.append(
            LoggedEvent(sid=f"EV{self._serial}", type=type_, at=self.at, resource_sid=sid, data=data)
        )

    def note(self, what: str, reservation: str = "", **facts: object) -> None:
        self.later()
        version = self._versions.get(reservation, -1)
        line = Line(at=self.at, life=self.life, what=what, reservation=reservation, version=version)
        self.lines.append(dataclasses.replace(line, **facts))  # type: ignore[arg-type] # names and types are Line's

    def open(self) -> None:
        self.life += 1
        self.note("start")
        self.note("ready")

    def close(self) -> None:
        self.later(5)
        self.note("ready")  # everybody connects anew at the end
        self.later(5)
        self.note("bye")

    def task(self, number: int) -> str:
        sid = f"WT{number}"
        self.evidence.fed[number] = FedTask(number=number, sid=sid)
        self.log("task.created", sid, task_attributes=f'{{"n": {number}}}')
        return sid

    def step(self, step: str, reservation: str, task: str) -> None:
        self.log(f"reservation.{step}", reservation, task_sid=task, worker_sid="WK1")
        if step == "completed":
            self.log("task.completed", task)

    def told(self, step: str, reservation: str) -> None:
        self.note("told", reservation, event=step)
        if step in ("completed", "rejected", "timeout", "canceled", "rescinded"):
            self.note("told", reservation, event="ended", status=step)

    def does(self, command: str, step: str, reservation: str, task: str) -> None:
        self.note("about", reservation, command=command)
        self.step(step, reservation, task)
        self.note("did", reservation, command=command, ok=True)
        self.told(step, reservation)

    def offer(self, reservation: str, task: str) -> None:
        self.step("created", reservation, task)
        self.told("created", reservation)

    def works(self, number: int) -> None:
        """A task from its creation to its end."""
        reservation, task = f"WR{number}", self.task(number)
        self.offer(reservation, task)
        self.does("accept", "accepted", reservation, task)
        self.does("complete", "completed", reservation, task)
        self.evidence.tasks[task] = self.evidence.reservations[reservation] = "completed"

    # -- planting

    def drop_event(self, type_: str, sid: str) -> None:
        self.evidence.events = [
            event for event in self.evidence.events if (event.type, event.resource_sid) != (type_, sid)
        ]

    def drop_lines(self, wrong: Callable[[Line], bool]) -> None:
        self.lines[:] = [line for line in self.lines if not wrong(line)]

    def audited(self) -> Audit:
        return audit(self.evidence)


@pytest.fixture
def story() -> Story:
    """Three tasks, each worked on once."""
    told = Story()
    told.open()
    for number in range(3):
        told.works(number)
    told.close()
    return told


def one(problems: list[str], *words: str) -> None:
    assert any(all(word in problem for word in words) for problem in problems), problems


def test_a_sound_run_has_no_problem_and_everything_was_compared(story: Story) -> None:
    found = story.audited()
    assert found.problems == []
    assert found.figures["acceptances"] == found.figures["accepted acknowledged"] == 3
    assert found.figures["tasks compared with REST"] == found.figures["reservations: told"] == 3


def test_an_acknowledged_acceptance_that_the_log_does_not_have_is_lost(story: Story) -> None:
    story.drop_event("reservation.accepted", "WR1")
    one(story.audited().problems, "lost:", "WR1", "acknowledged as accepted")


def test_an_acceptance_that_goes_back_to_pending_is_found(story: Story) -> None:
    story.step("timeout", "WR1", "WT1")
    one(story.audited().problems, "changed:", "WR1", "then timeout")


def test_an_acceptance_that_is_logged_twice_is_doubled(story: Story) -> None:
    story.step("accepted", "WR1", "WT1")
    one(story.audited().problems, "doubled:", "WR1", "then accepted")


def test_a_task_that_two_reservations_accepted_is_doubled(story: Story) -> None:
    story.step("created", "WR9", "WT1")
    story.step("accepted", "WR9", "WT1")
    one(story.audited().problems, "doubled: task WT1 was accepted 2 times")


def test_an_acceptance_that_is_acknowledged_twice_is_doubled(story: Story) -> None:
    did = next(line for line in story.lines if line.what == "did" and line.command == "accept")
    story.lines[-1:-1] = [dataclasses.replace(did, what="about", version=-1)]
    story.lines[-1:-1] = [dataclasses.replace(did, version=-1)]
    one(story.audited().problems, "doubled:", did.reservation, "acknowledged as accepted 2 times")


def test_a_task_that_ends_in_two_ways_is_found(story: Story) -> None:
    story.log("task.canceled", "WT1")
    one(story.audited().problems, "doubled: task WT1 ended 2 times: completed, canceled")


def test_a_task_that_never_ends_is_lost(story: Story) -> None:
    story.drop_event("task.completed", "WT1")
    problems = story.audited().problems
    one(problems, "lost: task WT1 never ended")
    one(problems, "changed: task WT1 is completed by REST")


def test_an_accepted_task_that_is_canceled_is_lost(story: Story) -> None:
    story.drop_event("task.completed", "WT1")
    story.log("task.canceled", "WT1")
    one(story.audited().problems, "lost: task WT1 was accepted")


def test_a_version_that_goes_back_is_found_in_the_log(story: Story) -> None:
    place = next(n for n, event in enumerate(story.evidence.events) if event.type == "task.created")
    event = story.evidence.events[place]
    data = {**event.data, "task_version": "5"}
    story.evidence.events[place] = dataclasses.replace(event, data=data)
    one(story.audited().problems, "went back: WT0 from version 5 to 1")


def test_a_version_that_goes_back_is_found_in_a_journal(story: Story) -> None:
    last = max(n for n, line in enumerate(story.lines) if line.reservation == "WR1")
    story.lines[last] = dataclasses.replace(story.lines[last], version=1)
    one(story.audited().problems, "went back:", "WR1", "at version 3, then at 1")


def test_a_version_that_a_worker_saw_and_the_log_never_reached_is_lost(story: Story) -> None:
    story.lines[-1:-1] = [
        dataclasses.replace(story.lines[-1], what="note", reservation="WR1", version=9),
    ]
    one(story.audited().problems, "lost:", "WR1 at version 9, the log ends at 3")


def test_a_reservation_that_is_told_twice_is_doubled(story: Story) -> None:
    told = next(n for n, line in enumerate(story.lines) if line.event == "created")
    story.lines.insert(told, story.lines[told])
    one(story.audited().problems, "doubled:", "told created of WR0 2 times")


def test_a_reservation_that_was_never_told_is_lost(story: Story) -> None:
    story.drop_lines(lambda line: line.reservation == "WR1" and line.what == "told")
    one(story.audited().problems, "lost:", "never told of WR1")


def test_an_end_that_was_never_told_is_lost(story: Story) -> None:
    story.drop_lines(lambda line: line.reservation == "WR1" and line.event in ("completed", "ended"))
    one(story.audited().problems, "lost:", "never told how WR1 ended")


def test_an_end_that_the_journal_has_otherwise_is_found(story: Story) -> None:
    ended = next(n for n, line in enumerate(story.lines) if line.event == "ended")
    story.lines[ended] = dataclasses.replace(story.lines[ended], status="rescinded")
    one(story.audited().problems, "changed:", "WR0 ended rescinded, it was completed")


def test_an_end_is_unknown_only_after_it_may_have_been_purged(story: Story) -> None:
    ended = next(n for n, line in enumerate(story.lines) if line.event == "ended")
    story.lines[ended] = dataclasses.replace(story.lines[ended], status="unknown")
    one(story.audited().problems, "changed:", "WR0 ended unknown")
    story.lines[ended] = dataclasses.replace(story.lines[ended], at=START + 500)
    found = story.audited()
    assert found.problems == []
    assert found.figures["ends told as unknown: purged"] == 1


def test_a_task_that_was_acknowledged_and_is_not_there_is_lost(story: Story) -> None:
    story.evidence.fed[7] = FedTask(number=7, sid="WT7")
    one(story.audited().problems, "lost: task WT7 was acknowledged")


def test_a_creation_that_was_cut_off_may_have_happened_once_but_not_twice(story: Story) -> None:
    story.evidence.fed[1].sid = None
    found = story.audited()
    assert found.problems == []
    assert found.figures["creations cut off, carried out"] == 1
    story.log("task.created", "WT8", task_attributes='{"n": 1}')
    one(story.audited().problems, "doubled: task number 1 was made 2 times")


def test_a_task_that_nobody_asked_for_is_made_up(story: Story) -> None:
    del story.evidence.fed[1]
    one(story.audited().problems, "made up: task WT1")


def test_a_cancellation_that_was_acknowledged_holds(story: Story) -> None:
    story.evidence.fed[1].cancel_acknowledged = True
    one(story.audited().problems, "lost: the cancellation of task WT1")


def test_a_command_that_the_sdk_calls_not_carried_out_must_not_be_in_the_log(story: Story) -> None:
    did = next(n for n, line in enumerate(story.lines) if line.what == "did" and line.command == "accept")
    story.lines[did] = dataclasses.replace(story.lines[did], ok=False, carried_out=False)
    one(story.audited().problems, "made up: reservation WR0 is accepted")
    story.lines[did] = dataclasses.replace(story.lines[did], carried_out=None)
    found = story.audited()
    assert found.problems == []
    assert found.figures["commands cut off, carried out"] == 1


def test_what_no_worker_asked_for_is_made_up(story: Story) -> None:
    story.drop_lines(lambda line: line.reservation == "WR1" and line.command == "accept")
    one(story.audited().problems, "made up: reservation WR1 is accepted, and its worker never asked")


def test_rest_and_the_log_must_agree(story: Story) -> None:
    story.evidence.reservations["WR1"] = "accepted"
    story.evidence.resurrected.append("WT2")
    story.evidence.busy["WK1"] = 1
    problems = story.audited().problems
    one(problems, "changed: reservation WR1 is accepted by REST, completed by the log")
    one(problems, "went back: task WT2")
    one(problems, "lost: 1 tasks load worker WK1")


def test_events_that_change_or_come_twice_are_told(story: Story) -> None:
    story.evidence.rewritten.append("EV3")
    story.evidence.events.append(story.evidence.events[0])
    problems = story.audited().problems
    one(problems, "changed: event EV3")
    one(problems, "doubled: event EV1")
    one(problems, "doubled: task WT0 was created twice")


def test_half_a_log_proves_nothing_and_nothing_is_called_lost_for_it(story: Story) -> None:
    story.evidence.unread = 2
    story.drop_event("reservation.accepted", "WR1")
    [problem] = story.audited().problems
    assert problem.startswith("unproved: 2 times")


def test_a_worker_whose_session_ends_for_good_is_lost(story: Story) -> None:
    story.lines[-1:-1] = [dataclasses.replace(story.lines[-1], what="over", note="InvalidTokenError")]
    one(story.audited().problems, "lost: worker WK1 ended for good: InvalidTokenError")


def test_a_journal_without_an_orderly_end_proves_nothing(story: Story) -> None:
    del story.lines[-1]
    one(story.audited().problems, "unproved:", "WK1")


# --- What may be inferred


def killed_between_command_and_answer(*, carried_out: bool) -> Story:
    story = Story()
    story.open()
    task = story.task(0)
    story.offer("WR0", task)
    story.note("about", "WR0", command="accept")
    if carried_out:
        story.step("accepted", "WR0", task)
    story.open()  # the next process
    if carried_out:
        story.note("found", "WR0")
    else:
        story.told("created", "WR0")
        story.does("accept", "accepted", "WR0", task)
    story.does("complete", "completed", "WR0", task)
    story.close()
    return story


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_command_without_an_answer_may_have_been_carried_out_or_not(carried_out: bool) -> None:
    assert killed_between_command_and_answer(carried_out=carried_out).audited().problems == []


def test_a_process_is_not_offered_what_ended_before_it_began() -> None:
    story = Story()
    story.open()
    story.works(0)
    story.later(10)
    story.open()
    story.note("told", "WR0", event="created", status="pending")
    story.close()
    one(story.audited().problems, "told:", "WR0, which had ended before its process began")


def in_a_gap(*, knew: bool, purged: bool) -> Story:
    """A reservation that began and ended while the worker had no connection."""
    story = Story()
    story.open()
    story.later(10)
    if knew:
        story.note("gone")
    task = story.task(0)
    story.step("created", "WR0", task)
    story.later(5)
    story.step("canceled", "WR0", task)
    story.log("task.canceled", task)
    story.later(RETENTION + 5 if purged else 5)
    story.close()
    return story


def test_what_hides_in_a_gap_that_the_sdk_knew_of_is_counted_and_no_loss() -> None:
    found = in_a_gap(knew=True, purged=False).audited()
    assert found.problems == []
    assert found.figures["reservations: began and ended in one gap, not told"] == 1


def test_what_was_purged_before_the_sdk_noticed_anything_is_counted_and_no_loss() -> None:
    found = in_a_gap(knew=False, purged=True).audited()
    assert found.problems == []
    assert found.figures["reservations: purged before they could be told"] == 1


def test_what_ended_unheard_while_the_sdk_was_ready_is_lost() -> None:
    one(in_a_gap(knew=False, purged=False).audited().problems, "lost:", "never told of WR0")


def test_the_servers_clock_is_taken_off_its_dates() -> None:
    story = in_a_gap(knew=True, purged=False)
    middle = START + 500
    story.evidence.runs = [
        ServerRun(began=START, ended=middle, offset=30.0),
        ServerRun(began=middle, ended=START + 1_000, offset=-30.0),
    ]
    story.evidence.events = [dataclasses.replace(event, at=event.at + 30) for event in story.evidence.events]
    found = story.audited()
    assert found.problems == []
    assert found.figures["reservations: began and ended in one gap, not told"] == 1


def test_a_clock_that_is_set_ahead_purges_earlier() -> None:
    story = in_a_gap(knew=False, purged=False)
    created = next(event.at for event in story.evidence.events if event.type == "reservation.created")
    story.evidence.runs = [
        ServerRun(began=START, ended=created + 6, offset=0.0),
        ServerRun(began=created + 6, ended=START + 1_000, offset=8.0),
    ]
    found = story.audited()
    assert found.problems == []
    assert found.figures["reservations: purged before they could be told"] == 1


def test_evidence_can_be_audited_again(story: Story, tmp_path: Path) -> None:
    story.drop_event("reservation.accepted", "WR1")
    story.evidence.save(tmp_path / "evidence.json")
    assert audit(Evidence.load(tmp_path / "evidence.json")).problems == story.audited().problems != []


def test_a_journal_survives_a_kill_within_a_line(tmp_path: Path) -> None:
    path = tmp_path / "worker.jsonl"
    first = Journal(path, 1)
    first.write("start")
    first.close()
    with path.open("a") as file:
        file.write('{"at": 1.0, "li')
    second = Journal(path, 2)
    second.write("told", reservation="WR1", event="created", version=0)
    second.close()
    lines, torn = read_journal(path)
    assert [(line.life, line.what) for line in lines] == [(1, "start"), (2, "told")]
    assert torn == 1
