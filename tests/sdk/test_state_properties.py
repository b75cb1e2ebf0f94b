"""True histories of a worker, delivered badly: whatever the network does, the application hears the truth.

Hypothesis makes a list of numbers. They are read as a history (what happens to the worker, in a little
TaskRouter that keeps the service's rules) and as a delivery of it: frames doubled, answers before or
after their frames or much later, connections cut, frames held while the parts of a snapshot are taken
at different moments, ended reservations purged before anybody asked.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from taskrouter_worker._state import TRANSFER_ENDS, Snapshot
from taskrouter_worker.resources import ReservationFields, TransferFields, WorkerFields
from tests.sdk.bench import Bench, fields, number
from tests.sdk.world import AVAILABLE, BREAK, CHANNEL, LIVE, OFFLINE, Frame, event

ENDS = ("rejected", "timeout", "canceled", "rescinded")
TRANSFER_ENDINGS = ("completed", "failed", "canceled")
OUTCOMES = {*ENDS, "completed"}

Numbers = list[tuple[int, int]]
numbers = st.lists(st.tuples(st.integers(0, 18), st.integers(0, 31)), min_size=30, max_size=90)


class Delivery:
    """A history and the way it reaches the model.

    Attributes:
        first_list: what the first snapshot listed, by SID: the status. These are simply there.
        seen_live: reservations whose `created` frame came while everything was delivered.
        pushed_in_vain: reservations of which a frame came before a snapshot that was never taken.
    """

    def __init__(self, *, gaps: bool) -> None:
        self.bench = Bench()
        self.world = self.bench.world
        self.gaps = gaps
        self.phase = "down"  # down, opened, worker, listed, live
        self.first = True
        self.held: list[Frame] = []
        self.snapshot: Snapshot | None = None
        self.gap_began = 0
        self.late: list[Callable[[], object]] = []
        self.first_list: dict[str, str] = {}
        self.seen_live: set[str] = set()
        self.pushed_in_vain: set[str] = set()

    def run(self, numbers: Numbers) -> None:
        for what, how in numbers:
            self.world.now += 1
            self.bench.now += 1.0
            self._step(what, how)
        for answer in self.late:
            answer()
        while self.phase != "live":
            self._advance()

    def _step(self, what: int, how: int) -> None:
        world = self.world
        live = [r for r in world.reservations.values() if r["reservation_status"] in LIVE]
        chosen: dict[str, Any] | None = live[how % len(live)] if live else None
        status = chosen["reservation_status"] if chosen else ""
        sid = chosen["sid"] if chosen else ""
        match what:
            case 0 | 1 | 2:
                frames = world.create_reservation()
                if self.phase == "live":
                    self.seen_live.add(frames[0][1]["sid"])
                self._deliver(frames, how)
            case 3 | 4 if status == "pending":
                self._deliver(world.accept(sid), how, answer=sid)
            case 5 if status == "accepted":
                self._deliver(world.wrap(sid), how, answer=sid)
            case 6 if status in ("accepted", "wrapping"):
                if chosen and "active_outgoing_task_transfer" in chosen:
                    self._deliver(world.end_transfer(sid, TRANSFER_ENDINGS[how % 3]), 0)
                self._deliver(world.complete(sid), how, answer=sid)
            case 16 if chosen and status == "accepted" and "active_outgoing_task_transfer" not in chosen:
                self._deliver(world.start_transfer(sid), how, transfer=sid)
            case 17 if chosen and "active_outgoing_task_transfer" in chosen:
                self._deliver(world.fail_attempt(sid), how)
            case 18 if chosen and "active_outgoing_task_transfer" in chosen:
                ending = TRANSFER_ENDINGS[how % 3]
                canceled = sid if ending == "canceled" else ""
                self._deliver(world.end_transfer(sid, ending), how, transfer=canceled)
            case 7 if status == "pending":
                self._deliver(world.end(sid, ENDS[how % 4]), how, answer=sid)
            case 8 | 9 if chosen:
                self._deliver(
                    world.update_task(sid, priority=how, attributes=json.dumps({"n": how})), how, task=sid
                )
            case 10:
                self._deliver(world.set_activity((AVAILABLE, BREAK, OFFLINE)[how % 3]), how, worker=True)
            case 11:
                self._deliver(world.set_attributes({"n": how}), how, worker=True)
            case 12:
                self._deliver(world.set_channel(capacity=10 + how), how)
            case 13 if self.late:
                self.late.pop(how % len(self.late))()
            case 14 if self.gaps and self.phase != "down":
                self._cut()
            case 15 if how % 4 == 0 and self.gaps:
                for gone in [r for r, f in world.reservations.items() if f["reservation_status"] not in LIVE]:
                    world.purge(gone)
            case _:
                self._advance()

    def _deliver(
        self,
        frames: list[Frame],
        how: int,
        *,
        answer: str = "",
        task: str = "",
        transfer: str = "",
        worker: bool = False,
    ) -> None:
        answered = self._answer(answer, task, worker=worker)
        if transfer in self.bench.model.reservations:
            shown, by = frames[0][1], self.bench.model.reservations[transfer].task
            answered = functools.partial(by._outgoing, fields(TransferFields, shown))
            how &= ~1  # never late: an application that waits for its answer longer than a gap is no case
        if answered is not None and how & 3 == 1:
            answered()
        if how & 4:
            frames = [frame for frame in frames for _ in range(2)]
        if self.phase == "live":
            self.bench.apply(frames)
        elif self.phase != "down":
            self.held += frames
        if answered is not None and how & 3 == 2:
            answered()
        elif answered is not None and how & 3 == 3:
            self.late.append(answered)

    def _answer(self, reservation: str, task: str, *, worker: bool) -> Callable[[], object] | None:
        model = self.bench.model
        if reservation and reservation in model.reservations:
            known, short = model.reservations[reservation], self.bench.answer(reservation)
            return lambda: known._merge_short(short)
        if task and task in model.reservations:
            of, shown = model.reservations[task].task, self.bench.task_answer(task)
            return lambda: of._merge(shown)
        if worker and not self.first:
            shown_worker = fields(WorkerFields, self.world.worker)
            return lambda: model.worker_answered(shown_worker)
        return None

    def _cut(self) -> None:
        if self.phase == "live":
            self.gap_began = self.world.now
        if not self.first:
            self.bench.model.learn(event(frame) for frame in self.held)
            self.pushed_in_vain |= {
                shown["sid"] for kind, shown in self.held if kind.startswith("reservation.")
            }
        self.phase, self.held, self.snapshot = "down", [], None

    def _advance(self) -> None:
        """One step from being down to being live; a snapshot's parts are of different moments."""
        match self.phase:
            case "down":
                self.phase = "opened"
            case "opened":
                self.snapshot = Snapshot(worker=fields(WorkerFields, self.world.worker))
                self.phase = "worker"
            case "worker":
                assert self.snapshot is not None
                shown = self.bench.snapshot()
                self.snapshot.activities, self.snapshot.channels = shown.activities, shown.channels
                self.snapshot.reservations = shown.reservations
                self.snapshot.transfers_before = self.bench.model.open_transfers()
                self.phase = "listed"
            case "listed":
                self._go_live()
            case _:
                pass

    def _go_live(self) -> None:
        assert self.snapshot is not None
        if self.first:
            self.first_list = {r.sid: r.reservation_status for r in self.snapshot.reservations}
        else:
            self.bench.find_ends(self.snapshot)
            pushed = {frame[1]["sid"] for frame in self.held}
            self.snapshot.pushed = frozenset(pushed)
            self.snapshot.missed = [
                fields(ReservationFields, r)
                for sid, r in self.world.reservations.items()
                if r["reservation_status"] not in LIVE
                and r["date_created"] >= self.gap_began
                and not self.bench.model.knows(sid)
                and sid not in pushed
            ]
        self.snapshot.pushed_ends = {
            shown["sid"]: fields(TransferFields, shown) for kind, shown in self.held if kind in TRANSFER_ENDS
        }
        self.bench.synchronise(self.snapshot, first=self.first)
        held, self.held = self.held, []
        self.bench.apply(held)
        self.phase, self.first = "live", False

    # What is true of every delivery

    def told(self, sid: str) -> list[str]:
        """What was told of one reservation and its task, origins left out."""
        mine = f" {number(sid)}"
        plain = [entry.removesuffix(" (resync)").removesuffix(" (snapshot)") for entry in self.bench.log]
        return [entry.removesuffix(mine) for entry in plain if entry.endswith(mine)]

    def check_model_equals_fresh_snapshot(self) -> None:
        model, world = self.bench.model, self.world
        shown = {sid: r for sid, r in world.reservations.items() if r["reservation_status"] in LIVE}
        assert sorted(model.reservations) == sorted(shown)
        for sid, reservation in model.reservations.items():
            fresh = fields(ReservationFields, shown[sid])
            held = reservation._fields
            assert (held.reservation_status, held.version, held.reservation_timeout) == (
                fresh.reservation_status,
                fresh.version,
                fresh.reservation_timeout,
            )
            assert reservation.task._fields == fresh.task
        assert model.worker is not None
        for name in ("activity_sid", "activity_name", "available", "attributes", "friendly_name"):
            assert getattr(model.worker, name) == world.worker[name], name
        assert model.channels[CHANNEL].capacity == world.channels[CHANNEL]["configured_capacity"]

    def check_reservation(self, sid: str) -> None:
        told, truth = self.told(sid), self.world.truth[sid]
        life = [entry for entry in told if not entry.startswith("task ")]
        assert max(Counter(life).values(), default=0) <= 1, f"told twice: {told}"
        if "missed" in life:
            assert told == ["missed"]
            assert "ended" in truth
            return
        unknown = "ended" in life and not OUTCOMES & set(life)
        assert is_subsequence(life, [entry for entry in truth if not entry.startswith("task ")]), (
            told,
            truth,
        )
        for entry, count in Counter(told).items():
            assert count <= truth.count(entry), f"told too often: {told}"
        if "created" not in life:
            # It was simply there at the start, or nobody could know of it any more.
            assert sid in self.first_list or "ended" in truth, (told, truth)
        elif life[0] != "created":
            raise AssertionError(f"created is not the first: {told}")
        if "created" in life or sid in self.first_list:
            assert ("ended" in life) == ("ended" in truth), (told, truth)
            if unknown:
                assert sid not in self.world.reservations, f"unknown, but the service knows: {told}"
            elif sid not in self.first_list and "accepted" in truth:
                assert "accepted" in life, (told, truth)

    def check_nothing_was_pushed_in_vain(self) -> None:
        for sid in self.pushed_in_vain - set(self.first_list):
            assert {"created", "missed"} & set(self.told(sid)), f"{sid} was pushed, and never told"

    def check_transfers(self) -> None:
        for sid, truth in self.world.transfers.items():
            told = [entry.removeprefix("transfer ") for entry in self.told(sid)]
            for entry, count in Counter(told).items():
                assert count <= truth.count(entry), f"told {told}, happened {truth}"
            assert is_subsequence(told, truth), (told, truth)
            if told:
                assert ("ended" in told) == ("ended" in truth), (told, truth)
            held = [
                r.task.transfers._started[sid]
                for r in self.bench.model.reservations.values()
                if sid in r.task.transfers._started
            ]
            for transfer in held:
                assert (transfer.outcome is None) == ("ended" not in truth), (transfer, truth)
                assert (transfer.status == "initiated") == ("ended" not in truth), (transfer, truth)


def is_subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(entry in rest for entry in part)


@given(numbers)
@example([(15, 1)] * 4 + [(0, 0), (3, 0), (8, 3), (6, 4), (13, 0)])
def test_without_a_gap_the_application_hears_exactly_what_happened(history: Numbers) -> None:
    delivery = Delivery(gaps=False)
    delivery.run(history)
    delivery.check_model_equals_fresh_snapshot()
    delivery.check_transfers()
    for sid, truth in delivery.world.truth.items():
        delivery.check_reservation(sid)
        if sid in delivery.seen_live:
            assert delivery.told(sid) == truth


@given(numbers)
@example([(15, 1)] * 4 + [(0, 0), (14, 0), (7, 1), (15, 1), (15, 1), (15, 1), (15, 1)])
@example([(15, 1)] * 4 + [(14, 0), (15, 1), (0, 0), (14, 0), (7, 1), (15, 0), (15, 1), (15, 1), (15, 1)])
def test_through_gaps_every_reservation_is_told_truly_once_and_to_its_end(history: Numbers) -> None:
    delivery = Delivery(gaps=True)
    delivery.run(history)
    delivery.check_model_equals_fresh_snapshot()
    delivery.check_transfers()
    delivery.check_nothing_was_pushed_in_vain()
    for sid in delivery.world.truth:
        delivery.check_reservation(sid)


@given(numbers)
def test_a_snapshot_at_the_end_of_any_history_has_nothing_left_to_tell(history: Numbers) -> None:
    delivery = Delivery(gaps=True)
    delivery.run(history)
    assert delivery.bench.synchronise() == []
    delivery.check_model_equals_fresh_snapshot()
