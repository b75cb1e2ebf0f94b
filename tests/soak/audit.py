"""The auditor: whether the server's log, its REST API and every worker's journal tell the same story.

It is pure: evidence in, problems out. What it infers is little, and each of these is counted apart:

* a command that a worker was about to send when its process was killed, or of which the SDK says that it
  does not know (`carried_out` is None), may have been carried out or not;
* a creation that was cut off may have made a task or not;
* an end that was purged (`retention`) before the worker could ask for it may be told as ``unknown``, and a
  reservation that began, ended and was purged while the SDK heard nothing need not be told;
* a reservation that began and ended inside one gap, which the SDK knew of, is looked for as best it can.

Everything else has to agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.soak.evidence import Evidence, Line, LoggedEvent
from tests.soak.timeline import Span, Timeline

__all__ = ["Audit", "audit"]

MARGIN: Final = 2.0
"""Seconds by which two moments have to differ before one counts as earlier: the machine may be busy."""

MOVES: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"created"}),
    "created": frozenset({"accepted", "rejected", "timeout", "canceled", "rescinded"}),
    "accepted": frozenset({"wrapup", "completed"}),
    "wrapup": frozenset({"completed"}),
}
"""What may follow what in the log of a reservation. Written here anew: the server's own table is audited."""

ENDS: Final = frozenset({"rejected", "timeout", "canceled", "rescinded", "completed"})
TASK_ENDS: Final = frozenset({"task.completed", "task.canceled", "task.deleted", "task.system-deleted"})
STATUS: Final = {"created": "pending", "wrapup": "wrapping"}
STEP_OF_COMMAND: Final = {
    "accept": "accepted",
    "reject": "rejected",
    "wrap": "wrapup",
    "complete": "completed",
}
VERSIONS: Final = (
    ("reservation_sid", "reservation_version"),
    ("task_sid", "task_version"),
    ("worker_sid", "worker_version"),
)


@dataclass(slots=True)
class Audit:
    """What was found.

    Attributes:
        problems: each begins with its kind: lost, doubled, made up, changed, went back, told, unproved.
        figures: what was compared, and how often something was inferred.
    """

    problems: list[str] = field(default_factory=list[str])
    figures: Counter[str] = field(default_factory=Counter[str])

    def count(self, *kinds: str) -> int:
        """How many problems are of these kinds."""
        return sum(problem.partition(":")[0] in kinds for problem in self.problems)


@dataclass(slots=True)
class Reservation:
    """A reservation in the server's log."""

    sid: str
    task: str
    worker: str
    steps: list[str]
    created: Span
    ended: Span | None = None
    version: int = 0


@dataclass(slots=True)
class Commands:
    """What workers' journals say of one command on one reservation."""

    about: int = 0
    confirmed: int = 0
    refused: int = 0

    @property
    def open(self) -> int:
        """Those that may have been carried out, as far as anybody can tell."""
        return self.about - self.confirmed - self.refused


def audit(evidence: Evidence) -> Audit:
    """Compare everything with everything."""
    found = Audit()
    auditor = _Auditor(evidence, found)
    found.problems += auditor.problems()
    return found


class _Auditor:
    def __init__(self, evidence: Evidence, found: Audit) -> None:
        self.evidence = evidence
        self.figures = found.figures
        self.timeline = Timeline(evidence.runs)
        self.spans = self.timeline.spans([event.at for event in evidence.events])
        self.made: dict[str, LoggedEvent] = {}
        self.task_ends: dict[str, list[str]] = defaultdict(list)
        self.reservations: dict[str, Reservation] = {}
        self.commands: dict[tuple[str, str], Commands] = defaultdict(Commands)
        for lines in evidence.journals.values():
            for line in lines:
                self._note(line)

    def _note(self, line: Line) -> None:
        if line.what == "about":
            self.commands[line.reservation, line.command].about += 1
        elif line.what == "did":
            known = self.commands[line.reservation, line.command]
            if line.ok:
                known.confirmed += 1
            elif line.carried_out is False:
                known.refused += 1

    def problems(self) -> Iterator[str]:
        if self.evidence.unread:
            yield f"unproved: {self.evidence.unread} times events may have been purged before they were read"
        for sid in self.evidence.rewritten:
            yield f"changed: event {sid} is another than it was"
        if self.evidence.unread:
            return  # against half a log everything looks lost
        yield from self._read_log()
        yield from self._tasks()
        yield from self._shown()
        yield from self._acceptances()
        yield from self._commands()
        for worker, lines in self.evidence.journals.items():
            yield from _Reader(self, worker, lines).problems()

    # --- The log by itself --------------------------------------------------------------------

    def _read_log(self) -> Iterator[str]:
        versions: dict[str, int] = {}
        seen: set[str] = set()
        for event, span in zip(self.evidence.events, self.spans, strict=True):
            self.figures["events"] += 1
            if event.sid in seen:
                yield f"doubled: event {event.sid} ({event.type}) is in the log twice"
            seen.add(event.sid)
            yield from self._versions(event, versions)
            kind, _, step = event.type.partition(".")
            if kind == "reservation" and step != "failed":
                yield from self._step(event, step, span)
            elif event.type == "task.created":
                if event.resource_sid in self.made:
                    yield f"doubled: task {event.resource_sid} was created twice"
                self.made[event.resource_sid] = event
            elif event.type in TASK_ENDS:
                self.task_ends[event.resource_sid].append(step)

    def _versions(self, event: LoggedEvent, versions: dict[str, int]) -> Iterator[str]:
        for name, key in VERSIONS:
            sid, text = event.data.get(name), event.data.get(key)
            if sid and text:
                version = int(text)
                before = versions.get(sid, -1)
                if version < before:
                    yield f"went back: {sid} from version {before} to {version} with {event.type}"
                versions[sid] = version
                known = self.reservations.get(sid)
                if known is not None:
                    known.version = version

    def _step(self, event: LoggedEvent, step: str, span: Span) -> Iterator[str]:
        sid = event.resource_sid
        known = self.reservations.get(sid)
        if known is None:
            self.figures["reservations"] += 1
            known = self.reservations[sid] = Reservation(
                sid, event.data.get("task_sid", ""), event.data.get("worker_sid", ""), [], span
            )
            known.version = int(event.data.get("reservation_version") or 0)
        last = known.steps[-1] if known.steps else ""
        if step not in MOVES.get(last, ()):
            kind = "doubled" if step in known.steps else "changed"
            yield f"{kind}: reservation {sid} was {', '.join(known.steps) or 'not there'}, then {step}"
        known.steps.append(step)
        if step in ENDS and known.ended is None:
            known.ended = span

    # --- The log and the feed -----------------------------------------------------------------

    def _tasks(self) -> Iterator[str]:
        acknowledged = {task.sid: task for task in self.evidence.fed.values() if task.sid is not None}
        numbers: Counter[str] = Counter()
        for sid, event in self.made.items():
            self.figures["tasks"] += 1
            number = _number(event)
            numbers[number] += 1
            fed = self.evidence.fed.get(int(number)) if number else None
            if fed is None:
                yield f"made up: task {sid}, nobody asked for it"
            elif fed.sid not in (None, sid):
                yield f"doubled: task number {number} is {fed.sid} and {sid}"
            elif fed.sid is None:
                self.figures["creations cut off, carried out"] += 1
            ends = self.task_ends.get(sid, [])
            if len(ends) != 1:
                how = f"ended {len(ends)} times: {', '.join(ends)}" if ends else "never ended"
                yield f"{'doubled' if ends else 'lost'}: task {sid} {how}"
            elif sid in acknowledged and acknowledged[sid].cancel_acknowledged and ends != ["canceled"]:
                yield f"lost: the cancellation of task {sid} was acknowledged, it is {ends[0]}"
            for end in ends[:1]:
                self.figures[f"tasks {end}"] += 1
        for sid in acknowledged:
            if sid not in self.made:
                yield f"lost: task {sid} was acknowledged and is not in the log"
        for number, times in numbers.items():
            if times > 1:
                yield f"doubled: task number {number} was made {times} times"
        for sid in self.task_ends:
            if sid not in self.made:
                yield f"made up: task {sid} ended and was never created"

    def _shown(self) -> Iterator[str]:
        for sid, status in self.evidence.tasks.items():
            self.figures["tasks compared with REST"] += 1
            ends = self.task_ends.get(sid, ["nothing"])
            if status != ends[-1]:
                yield f"changed: task {sid} is {status} by REST, {ends[-1]} by the log"
        for sid, status in self.evidence.reservations.items():
            self.figures["reservations compared with REST"] += 1
            known = self.reservations.get(sid)
            last = known.steps[-1] if known else "unknown"
            if status != STATUS.get(last, last):
                yield f"changed: reservation {sid} is {status} by REST, {last} by the log"
        for sid in self.evidence.resurrected:
            yield f"went back: task {sid} had ended by REST and was alive later"
        for worker, load in self.evidence.busy.items():
            yield f"lost: {load} tasks load worker {worker} at the end, and none is alive"

    def _acceptances(self) -> Iterator[str]:
        """A task is worked on by exactly one acceptance, which completes it."""
        accepted: dict[str, list[str]] = defaultdict(list)
        for known in self.reservations.values():
            if "accepted" in known.steps:
                self.figures["acceptances"] += 1
                accepted[known.task].append(known.sid)
            if known.steps[-1] not in ENDS:
                yield f"lost: reservation {known.sid} never ended, it is {known.steps[-1]}"
        for task, ends in self.task_ends.items():
            sids = accepted.pop(task, [])
            if len(sids) > 1:
                yield f"doubled: task {task} was accepted {len(sids)} times: {', '.join(sids)}"
            elif ends[0] == "completed" and not sids:
                yield f"made up: task {task} was completed and nobody accepted it"
            elif ends[0] == "canceled" and sids:
                yield f"lost: task {task} was accepted ({sids[0]}) and canceled"
        for task, sids in accepted.items():
            yield f"lost: task {task} was accepted ({', '.join(sids)}) and never ended"

    # --- The log and what was answered to workers ---------------------------------------------

    def _commands(self) -> Iterator[str]:
        for (sid, command), known in self.commands.items():
            step = STEP_OF_COMMAND[command]
            logged = self.reservations[sid].steps.count(step) if sid in self.reservations else 0
            self.figures[f"{step} acknowledged"] += known.confirmed
            if known.confirmed and not logged:
                yield f"lost: reservation {sid} was acknowledged as {step}, the log does not have it"
            elif known.confirmed > 1:
                yield f"doubled: reservation {sid} was acknowledged as {step} {known.confirmed} times"
            elif logged and not known.confirmed and not known.open:
                yield f"made up: reservation {sid} is {step}, the worker was told that it was not carried out"
            elif not known.confirmed and known.open:
                self.figures["commands cut off, carried out" if logged else "commands cut off, not done"] += 1
        for known_reservation in self.reservations.values():
            for command, step in STEP_OF_COMMAND.items():
                sid = known_reservation.sid
                if step in known_reservation.steps and (sid, command) not in self.commands:
                    yield f"made up: reservation {sid} is {step}, and its worker never asked for it"


class _Reader:
    """Reads one worker's journal against the log."""

    def __init__(self, auditor: _Auditor, worker: str, lines: Sequence[Line]) -> None:
        self.auditor = auditor
        self.figures = auditor.figures
        self.retention = auditor.evidence.retention
        self.worker = worker
        self.lives: dict[int, list[Line]] = defaultdict(list)
        self.lines = lines
        self.told: dict[str, str] = {}  # how each reservation came to the worker's ears, or why not
        for line in lines:
            self.lives[line.life].append(line)

    def problems(self) -> Iterator[str]:
        yield from self._versions()
        mine = [known for known in self.auditor.reservations.values() if known.worker == self.worker]
        for lines in self.lives.values():
            life = _Life(lines)
            yield from self._told(life)
            for known in mine:
                yield from self._compare(known, life)
            for line in lines:
                if line.what == "over":
                    yield f"lost: worker {self.worker} ended for good: {line.note}"
                self.figures["SDK sessions that became ready"] += line.what == "ready"
        for known in mine:
            why = self.told.get(known.sid, "ended while no process of its worker could hear of it")
            self.figures[f"reservations: {why}"] += 1
        last = self.lines[-1].what if self.lines else "nothing"
        if last != "bye":
            yield f"unproved: worker {self.worker} was not ended in order; its journal ends with {last!r}"

    def _purged(self, ended: Span, moment: float) -> bool:
        """Whether what ended then may not be kept any more: retention goes by the server's clock."""
        passed = moment - ended.earliest + self.auditor.timeline.jump(ended.earliest, moment)
        return passed > self.retention - MARGIN

    def _versions(self) -> Iterator[str]:
        latest: dict[str, int] = {}
        for line in self.lines:
            if line.reservation and line.version >= 0:
                before = latest.get(line.reservation, -1)
                if line.version < before:
                    yield (
                        f"went back: {self.worker} saw {line.reservation} at version {before}, "
                        f"then at {line.version}"
                    )
                latest[line.reservation] = max(before, line.version)
        for sid, version in latest.items():
            known = self.auditor.reservations.get(sid)
            if known is not None and version > known.version:
                yield f"lost: {self.worker} saw {sid} at version {version}, the log ends at {known.version}"

    def _told(self, life: _Life) -> Iterator[str]:
        """What one process was told, taken by itself and against the log."""
        for sid, steps in life.told.items():
            known = self.auditor.reservations.get(sid)
            if known is None or known.worker != self.worker:
                yield f"made up: {self.worker} was told of reservation {sid}, which is not its own"
                continue
            for step, times in Counter(steps).items():
                if times > 1:
                    yield f"doubled: {self.worker} was told {step} of {sid} {times} times"
                if step not in known.steps and step != "ended":
                    yield f"made up: {self.worker} was told that {sid} is {step}, the log says {known.steps}"
            order = [step for step in steps if step in known.steps]
            if order != [step for step in known.steps if step in order]:
                yield f"told: {self.worker} heard of {sid} in the order {order}, it was {known.steps}"
            if "ended" in steps and steps[-1] != "ended":
                yield f"told: {self.worker} was told {steps[-1]} of {sid} after its end"
        for line in life.lines:
            known = self.auditor.reservations.get(line.reservation)
            if known is None or known.ended is None or line.what != "told":
                continue
            if line.event == "created" and known.ended.latest + MARGIN < life.lines[0].at:
                yield f"told: {self.worker} was offered {known.sid}, which had ended before its process began"
            if line.event == "ended" and line.status != known.steps[-1]:
                if line.status == "unknown" and self._purged(known.ended, line.at):
                    self.figures["ends told as unknown: purged"] += 1
                else:
                    yield (
                        f"changed: {self.worker} was told that {known.sid} ended {line.status}, "
                        f"it was {known.steps[-1]}"
                    )

    def _compare(self, known: Reservation, life: _Life) -> Iterator[str]:
        """Whether a process was told of a reservation, and of its end, as far as it must have been."""
        if known.ended is None or life.first_ready is None:
            return
        steps = life.told.get(known.sid, [])
        if known.sid in life.missed:
            self.told[known.sid] = "told as missed"
        elif "created" in steps or known.sid in life.found:
            self.told[known.sid] = "told"
            if "ended" not in steps and life.synchronised_after(known.ended.latest) is not None:
                yield f"lost: {self.worker} was never told how {known.sid} ended ({known.steps[-1]})"
        elif life.first_ready + MARGIN < known.ended.earliest:
            # It was at work when, or before, the reservation was there.
            moment = life.synchronised_after(known.created.latest)
            if moment is None:
                return  # it was killed before it could have noticed
            if self._purged(known.ended, moment):
                self.told.setdefault(known.sid, "purged before they could be told")
            elif life.in_one_gap(known.created, known.ended):
                self.told.setdefault(known.sid, "began and ended in one gap, not told")
            else:
                yield (
                    f"lost: {self.worker} was never told of {known.sid}, made at {known.created}, "
                    f"ended ({known.steps[-1]}) at {known.ended}"
                )


class _Life:
    """One process of a worker."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.told: dict[str, list[str]] = defaultdict(list)
        self.found = {line.reservation for line in lines if line.what == "found"}
        self.missed = {line.reservation for line in lines if line.what == "missed"}
        self.readies = [line.at for line in lines if line.what == "ready"]
        self.first_ready = self.readies[0] if self.readies else None
        self.in_order = lines[-1].what == "bye"
        for line in lines:
            if line.what == "told":
                self.told[line.reservation].append(line.event)

    def synchronised_after(self, moment: float) -> float | None:
        """When it had a fresh snapshot that is younger than `moment` and told what was in it.

        None if it was killed before that can be said.
        """
        for ready in self.readies:
            if ready > moment + MARGIN and (self.in_order or self.lines[-1].at > ready + MARGIN):
                return ready
        return None

    def in_one_gap(self, created: Span, ended: Span) -> bool:
        """Whether it knew of having no connection from before `created` until after `ended`."""
        gone: float | None = None
        for line in self.lines:
            if line.what == "gone":
                gone = line.at if gone is None else gone
            elif line.what == "ready":
                if gone is not None and gone <= created.latest and ended.earliest <= line.at:
                    return True
                gone = None
        return False


def _number(event: LoggedEvent) -> str:
    """The feed's number of a task, from the attributes that it was made with."""
    text = event.data.get("task_attributes", "")
    return "".join(letter for letter in text.partition('"n":')[2] if letter.isdigit())
