"""What a server acknowledged, and whether it still knows it after it was killed.

Every answer and every frame is a promise. The ledger also notes what was asked for without an answer:
that may have happened or not, but nothing else may have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["RANK", "Ledger", "Reservation", "Shown", "task_of"]

RANK = {"pending": 0, "accepted": 1, "completed": 2}
"""How far a reservation of this test is; nobody rejects, and nothing times out."""

Json = dict[str, Any]


def task_of(reservation: Json) -> str:
    """The task's SID: answers to updates show it alone, everything else shows the whole task."""
    sid = reservation.get("task_sid") or reservation["task"]["sid"]
    return str(sid)


@dataclass
class Reservation:
    """What clients know of one."""

    task_sid: str
    worker_sid: str
    status: str = "pending"  # the furthest that was acknowledged
    asked: str = "pending"  # the furthest that was asked for
    version: int = 0
    ended: float | None = None  # when its end was asked for last, by the monotonic clock


@dataclass
class Worker:
    """What clients know of one."""

    mood: int = 0  # an attribute that only rises: the last one acknowledged
    asked: int = 0  # and asked for
    version: int = 0


@dataclass
class Shown:
    """What a server that was started again shows.

    Attributes:
        tasks: by SID, as REST shows them.
        reservations: every one that is kept, as the event bridge shows them.
        workers: by SID, as the event bridge shows them.
        events: the newest of the history, by SID.
        oldest_event: the sequence in milliseconds from which on `events` is complete.
    """

    tasks: dict[str, Json]
    reservations: list[Json]
    workers: dict[str, Json]
    events: dict[str, Json]
    oldest_event: int


@dataclass
class Ledger:
    """Everything that was acknowledged.

    Args:
        kept: seconds for which ended tasks can be relied on to be there.
    """

    kept: float
    tasks: dict[str, str] = field(default_factory=dict[str, str])  # attributes, by SID
    asked_tasks: set[str] = field(default_factory=set[str])  # attributes of all that were asked for
    reservations: dict[str, Reservation] = field(default_factory=dict[str, Reservation])
    workers: dict[str, Worker] = field(default_factory=dict[str, Worker])
    events: dict[str, Json] = field(default_factory=dict[str, Json])
    facts: int = 0  # how many acknowledgements there were

    # -- noting

    def reservation(self, seen: Json) -> Reservation:
        """A reservation in an answer or a frame."""
        self.facts += 1
        sid = seen["sid"]
        known = self.reservations.get(sid)
        if known is None:
            known = self.reservations[sid] = Reservation(task_of(seen), seen["worker_sid"])
        known.version = max(known.version, seen["version"])
        status = seen["reservation_status"]
        if RANK[status] > RANK[known.status]:
            known.status = status
        return known

    def worker(self, seen: Json, mood: int) -> None:
        """A worker in an answer or a frame."""
        self.facts += 1
        known = self.workers[seen["sid"]]
        known.version = max(known.version, seen.get("version", 0))
        known.mood = max(known.mood, mood)

    # -- judging

    def audit(self, shown: Shown, now: float) -> list[str]:
        """What was lost, doubled or made up; and from now on only what is shown counts."""
        problems = [
            *self._lost_reservations(shown, now),
            *self._lost_tasks(shown, now),
            *self._doubled(shown),
            *self._lost_workers(shown),
            *self._lost_events(shown),
        ]
        self._forget(shown)
        return problems

    def _is_old(self, ended: float | None, now: float) -> bool:
        return ended is not None and now - ended > self.kept

    def _lost_reservations(self, shown: Shown, now: float) -> list[str]:
        problems: list[str] = []
        there = {seen["sid"]: seen for seen in shown.reservations}
        for sid, known in self.reservations.items():
            seen = there.get(sid)
            if seen is None:
                if not self._is_old(known.ended, now):
                    problems.append(f"lost: reservation {sid}, acknowledged as {known.status}")
                continue
            rank = RANK.get(seen["reservation_status"], -1)
            if rank < RANK[known.status]:
                problems.append(f"lost: {sid} was {known.status}, is {seen['reservation_status']}")
            if rank > max(RANK[known.asked], RANK[known.status]):
                problems.append(f"made up: {sid} is {seen['reservation_status']}, nobody asked for that")
            if seen["version"] < known.version:
                problems.append(f"went back: {sid} from version {known.version} to {seen['version']}")
            if seen["worker_sid"] != known.worker_sid or task_of(seen) != known.task_sid:
                problems.append(f"changed: {sid} is another's")
        return problems

    def _lost_tasks(self, shown: Shown, now: float) -> list[str]:
        problems: list[str] = []
        ended = {known.task_sid: known.ended for known in self.reservations.values() if known.ended}
        done = {known.task_sid for known in self.reservations.values() if known.status == "completed"}
        for sid, attributes in self.tasks.items():
            seen = shown.tasks.get(sid)
            if seen is None:
                if not self._is_old(ended.get(sid), now):
                    problems.append(f"lost: task {sid}")
            elif seen["attributes"] != attributes:
                problems.append(f"changed: attributes of task {sid}")
            elif sid in done and seen["assignment_status"] != "completed":
                problems.append(f"lost: task {sid} was completed, is {seen['assignment_status']}")
        made_up = [sid for sid, seen in shown.tasks.items() if seen["attributes"] not in self.asked_tasks]
        return problems + [f"made up: task {sid}" for sid in made_up]

    def _doubled(self, shown: Shown) -> list[str]:
        problems: list[str] = []
        sids = [seen["sid"] for seen in shown.reservations]
        if len(sids) != len(set(sids)):
            problems.append("doubled: a reservation is listed twice")
        of: dict[str, list[str]] = {}
        for seen in shown.reservations:
            of.setdefault(task_of(seen), []).append(seen["reservation_status"])
        problems += [
            f"doubled: task {sid} has reservations {found}" for sid, found in of.items() if len(found) > 1
        ]
        by_attributes: dict[str, int] = {}
        for seen in shown.tasks.values():
            by_attributes[seen["attributes"]] = by_attributes.get(seen["attributes"], 0) + 1
        return problems + [f"doubled: {text}" for text, count in by_attributes.items() if count > 1]

    def _lost_workers(self, shown: Shown) -> list[str]:
        problems: list[str] = []
        for sid, known in self.workers.items():
            seen = shown.workers.get(sid)
            if seen is None:
                problems.append(f"lost: worker {sid}")
                continue
            if not known.mood <= seen["mood"] <= known.asked:
                problems.append(f"lost: {sid} has mood {seen['mood']}, acknowledged was {known.mood}")
            if seen["version"] < known.version:
                problems.append(f"went back: {sid} from version {known.version} to {seen['version']}")
        return problems

    def _lost_events(self, shown: Shown) -> list[str]:
        problems: list[str] = []
        for sid, known in self.events.items():
            seen = shown.events.get(sid)
            if seen is None:
                if known["event_date_ms"] > shown.oldest_event:
                    problems.append(f"lost: event {sid} ({known['event_type']})")
            elif seen != known:
                problems.append(f"repeated: event {sid} was {known['event_type']}, is {seen['event_type']}")
        return problems

    def _forget(self, shown: Shown) -> None:
        there = {seen["sid"] for seen in shown.reservations}
        # A task may have been purged between the reading of the tasks and that of the reservations.
        self.reservations = {
            sid: known
            for sid, known in self.reservations.items()
            if sid in there or known.task_sid in shown.tasks
        }
        self.tasks = {sid: text for sid, text in self.tasks.items() if sid in shown.tasks}
        self.events = dict(shown.events)
        for seen in shown.reservations:
            known = self.reservation(seen)
            known.asked = max(known.asked, known.status, key=RANK.__getitem__)
        for sid, worker in self.workers.items():
            if sid in shown.workers:
                self.worker(shown.workers[sid], shown.workers[sid]["mood"])
                worker.asked = max(worker.asked, worker.mood)
