"""How routing behaves as a workspace grows: the time per routed task and per freed worker.

The domain alone, in one process and one thread per workspace: no server, no network, a seeded mix and
a clock that is turned by hand. Two moments are timed, each through to the last event:

* *task*: a task arrives that somebody free can take. It is created, led through its workflow,
  reserved, accepted and completed, and an older one is purged.
* *worker*: a busy worker completes its task while many others wait, is reserved for the next of
  them, and accepts.

The real mix has 200 skill queues and 50 workflows of 20 filters with two targets each. Of the targets
30 % have an expression over worker and task (a sixth of them on `worker.channel.*`), 10 % `order_by`,
10 % a known worker. One queue in ten is quiet: half of its workers are free (5 % of all), and those
who wait there wait for somebody who is not. In the others everybody is busy and many wait. The easy
mix has one queue for everybody (`1==1`) and one filter; there the waiting tasks are of a channel on
which everybody is busy, the arriving ones of another on which 5 % are free.

Times are CPU times, so that what else runs on the machine counts little; compare runs of one machine
only. The garbage collector is on.

    python -m benchmarks.routing [--short] [--seed N] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import multiprocessing
import platform
import random
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from server_stub.domain.model import Limits, Reservation, Task, Worker
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import ReservationStatus, TaskStatus

__all__ = ["Result", "World", "measure"]

Mix = Literal["real", "easy"]

QUEUES: Final = 200
WORKFLOWS: Final = 50
FILTERS: Final = 20  # of each workflow
QUIET: Final = 10  # one queue in so many
SKILLS: Final = 3  # of each worker
REGIONS: Final = 20
LANGUAGES: Final = 30
LEVELS: Final = 5

CONDITIONS: Final = (
    "worker.level >= task.level",
    "worker.region == task.region",
    "worker.languages HAS task.language",
    "worker.level >= task.level AND worker.region == task.region",
    "worker.languages HAS task.language AND worker.level >= task.level",
    "worker.channel.chat.assigned_tasks == 0 AND worker.level >= task.level",
)

GROWTH_GOAL: Final = 3.0  # times the time per routed task with the fewest workers
RATE_GOAL: Final = 2_000  # tasks a second with the most workers


@dataclass(frozen=True)
class Times:
    """CPU times of one kind of moment, in microseconds."""

    count: int
    mean: float
    median: float
    p99: float

    @classmethod
    def of(cls, nanoseconds: list[int]) -> Times:
        """The summary of single times."""
        found = sorted(ns / 1_000 for ns in nanoseconds)
        percentiles = statistics.quantiles(found, n=100, method="inclusive")
        return cls(
            len(found),
            round(statistics.fmean(found), 1),
            round(percentiles[49], 1),
            round(percentiles[98], 1),
        )


@dataclass(frozen=True)
class Result:
    """The figures of one workspace with so many waiting tasks."""

    mix: Mix
    workers: int
    free: int
    waiting: int
    setup_seconds: float  # CPU time to get there from the row before, or from nothing
    peak_megabytes: float  # of the process, so far
    task: Times
    worker: Times

    @property
    def tasks_per_second(self) -> float:
        """Routed tasks per second of CPU time."""
        return 1_000_000 / self.task.mean


class World:
    """A workspace at work.

    Args:
        mix: which one, see the module.
        workers: how many.
        seed: makes it the same each time.
    """

    def __init__(self, mix: Mix, workers: int, seed: int) -> None:
        self.time = 1_700_000_000.0
        self.mix = mix
        self.random = random.Random(seed)  # noqa: S311 - a mix of work guards nothing
        numbers = itertools.count(1)
        self.workspace = Workspace(
            sid=f"WS{1:032x}",
            account_sid=f"AC{1:032x}",
            friendly_name="benchmark",
            now=lambda: self.time,
            sids=lambda prefix: f"{prefix}{next(numbers):032x}",
            limits=Limits(retention_seconds=0.1),
        )
        self.workspace.take_events()
        names = {activity.friendly_name: activity.sid for activity in self.workspace.activities.values()}
        self.available, self.away = names["Available"], names["Unavailable"]
        channels = {channel.unique_name for channel in self.workspace.task_channels.values()}
        for name in {"chat", "voice"} - channels:
            self.workspace.create_task_channel(friendly_name=name, unique_name=name)
        self.queue_sids: list[str] = []
        self.workflow_sids: list[str] = []
        self.places: list[list[int]] = []  # by queue: the filters whose tasks go there
        self.free: list[Worker] = []
        self.busy: list[Reservation] = []  # accepted: one of them completes when a worker is to be freed
        self._furnish()
        self._hire(workers)

    # -- what does not change

    def _furnish(self) -> None:
        if self.mix == "easy":
            expressions, workflows = ["1==1"], 1
        else:
            expressions, workflows = [f"skills HAS 's{number}'" for number in range(QUEUES)], WORKFLOWS
        for number, expression in enumerate(expressions):
            queue = self.workspace.create_task_queue(friendly_name=f"q{number}", target_workers=expression)
            self.queue_sids.append(queue.sid)
        self.places = [[] for _ in expressions]
        filters = 1 if self.mix == "easy" else FILTERS
        for number in range(workflows):
            places = range(number * filters, (number + 1) * filters)
            routing = {"filters": [self._filter(place) for place in places]}
            workflow = self.workspace.create_workflow(
                friendly_name=f"w{number}", configuration=json.dumps({"task_routing": routing})
            )
            self.workflow_sids.append(workflow.sid)
        self._settle()

    def _filter(self, place: int) -> dict[str, object]:
        queue = place % len(self.queue_sids)
        self.places[queue].append(place)
        if self.mix == "easy":
            return {"expression": "1==1", "targets": [{"queue": self.queue_sids[queue]}]}
        topic = f"t{place % FILTERS}"
        wordings = (f"topic == '{topic}'", f"topic IN ['{topic}', 'x']", f"topic == '{topic}' AND tier >= 1")
        return {
            "filter_friendly_name": topic,
            "expression": self.random.choice(wordings),
            "targets": [{**self._target(queue), "timeout": 3_600}, self._target(queue)],
        }

    def _target(self, queue: int) -> dict[str, object]:
        extra: dict[str, object] = {}
        kind = self.random.random()
        if kind < 0.3:
            extra = {"expression": self.random.choice(CONDITIONS)}
        elif kind < 0.4:
            extra = {"order_by": "worker.level DESC"}
        elif kind < 0.5:
            extra = {"known_worker_sid": "task.agent"}
        return {"queue": self.queue_sids[queue], **extra}

    # -- workers

    def _hire(self, count: int) -> None:
        quiet = [queue for queue in range(QUEUES) if queue % QUIET == 0]
        crowded = [queue for queue in range(QUEUES) if queue % QUIET != 0]
        for number in range(count):
            is_quiet = number % QUIET == 0
            skills = self.random.sample(quiet if is_quiet else crowded, SKILLS)
            attributes = {
                "skills": [f"s{skill}" for skill in skills],
                "region": f"r{self.random.randrange(REGIONS)}",
                "languages": [f"l{n}" for n in self.random.sample(range(LANGUAGES), 2)],
                "level": self.random.randint(1, LEVELS),
            }
            is_free = number % (2 * QUIET) == 0
            is_away = self.mix == "real" and is_quiet and not is_free
            worker = self.workspace.create_worker(
                friendly_name=f"worker {number}",
                attributes=json.dumps(attributes),
                activity_sid=self.away if is_away else self.available,
            )
            self._settle()
            if is_free:
                self.free.append(worker)
            if self.mix == "easy":
                self.busy.append(self._occupy(worker, "voice"))
            if not is_free and not is_away:
                reservation = self._occupy(worker, "chat")
                if self.mix == "real":
                    self.busy.append(reservation)

    def _occupy(self, worker: Worker, channel: str) -> Reservation:
        task = self.workspace.create_task(
            workflow_sid=self.workflow_sids[0], routing_target=worker.sid, task_channel=channel
        )
        self._settle()
        return self._accept(task)

    # -- tasks

    def wait(self, count: int) -> None:
        """Let tasks arrive for which nobody is free, until so many wait."""
        present = sum(task.status is TaskStatus.PENDING for task in self.workspace.tasks.values())
        for _ in range(count - present):
            self.enqueue()

    def enqueue(self) -> None:
        """One more task for which nobody is free."""
        worker = self.random.choice(self.busy).worker
        task = self.create_for(worker, channel="voice" if self.mix == "easy" else "chat")
        self._settle()
        if task.status is not TaskStatus.PENDING:
            raise AssertionError(f"nobody was to be free for task {task.sid}, yet it is {task.status}")

    def create_for(self, worker: Worker, *, channel: str = "chat", tier: int | None = None) -> Task:
        """A task that this worker could take; others may."""
        attributes = worker.parsed_attributes
        skills, languages, level = attributes["skills"], attributes["languages"], attributes["level"]
        assert isinstance(skills, list)  # noqa: S101 - as hired
        assert isinstance(languages, list)  # noqa: S101 - as hired
        assert isinstance(level, int)  # noqa: S101 - as hired
        queue = 0 if self.mix == "easy" else int(self.random.choice(skills)[1:])
        place = self.random.choice(self.places[queue])
        return self.workspace.create_task(
            workflow_sid=self.workflow_sids[place // FILTERS],
            task_channel=channel,
            attributes=json.dumps(
                {
                    "topic": f"t{place % FILTERS}",
                    "tier": self.random.randint(1, 3) if tier is None else tier,
                    "region": attributes["region"],
                    "language": self.random.choice(languages),
                    "level": self.random.randint(1, level),
                    "agent": worker.sid,
                    "caller": "+1555" + str(self.random.randrange(10**7)),
                }
            ),
        )

    # -- what is timed

    def route_task(self) -> int:
        """A task arrives, is reserved at once, accepted, and completed: nanoseconds."""
        worker = self.random.choice(self.free)
        started = time.thread_time_ns()
        task = self.create_for(worker)
        self._settle()
        reservation = self._accept(task)
        self.workspace.update_reservation(reservation.sid, status=ReservationStatus.COMPLETED)
        self._settle()
        self.time += 0.001
        while self.workspace.advance():
            self._settle()
        return time.thread_time_ns() - started

    def free_worker(self) -> int:
        """A worker completes its task, is reserved for the next one, and accepts: nanoseconds."""
        place = self.random.randrange(len(self.busy))
        done = self.busy[place]
        started = time.thread_time_ns()
        self.workspace.update_reservation(done.sid, status=ReservationStatus.COMPLETED)
        self._settle()
        following = [r for r in done.worker.live_reservations if r.status is ReservationStatus.PENDING]
        if following:
            self.busy[place] = self._accept(following[0].task)
        spent = time.thread_time_ns() - started
        self.time += 0.001
        while self.workspace.advance():
            self._settle()
        if following:
            self.enqueue()
        else:  # nobody waited for this one, which happens where few wait
            self.busy[place] = self._occupy(done.worker, done.task.task_channel.unique_name)
        return spent

    def _accept(self, task: Task) -> Reservation:
        (reservation,) = task.live_reservations
        self.workspace.update_reservation(reservation.sid, status=ReservationStatus.ACCEPTED)
        self._settle()
        return reservation

    def _settle(self) -> None:
        self.workspace.take_events()
        while self.workspace.route():
            self.workspace.take_events()


# ---------------------------------------------------------------- running


def measure(mix: Mix, workers: int, waiting: tuple[int, ...], rounds: int, seed: int) -> list[Result]:
    """The figures of one workspace as more and more tasks wait in it."""
    started = time.thread_time()
    world = World(mix, workers, seed)
    results: list[Result] = []
    for count in waiting:
        world.wait(count)
        gc.collect()
        setup = time.thread_time() - started
        for _ in range(rounds // 10):
            world.route_task()
            world.free_worker()
        task = Times.of([world.route_task() for _ in range(rounds)])
        worker = Times.of([world.free_worker() for _ in range(rounds)])
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1024 if sys.platform == "darwin" else 1
        )
        results.append(
            Result(
                mix=mix,
                workers=workers,
                free=len(world.free),
                waiting=count,
                setup_seconds=round(setup, 2),
                peak_megabytes=round(kilobytes / 1024, 1),
                task=task,
                worker=worker,
            )
        )
        started = time.thread_time()
    return results


def run(*, short: bool, seed: int) -> list[Result]:
    """All workspaces, one after the other, each in a process of its own so that memory tells."""
    plans: list[tuple[Mix, int, tuple[int, ...], int]]
    if short:
        plans = [
            ("real", 100, (1_000, 5_000), 300),
            ("real", 1_000, (1_000, 5_000), 300),
            ("real", 15_000, (1_000, 5_000), 300),
            ("easy", 100, (1_000,), 300),
            ("easy", 2_000, (1_000,), 300),
        ]
    else:
        plans = [
            (mix, workers, (1_000, 10_000, 100_000), 2_000)
            for mix in ("real", "easy")
            for workers in (100, 1_000, 15_000)
        ]
    results: list[Result] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for mix, workers, waiting, rounds in plans:
            found = pool.submit(measure, mix, workers, waiting, rounds, seed).result()
            if not results or results[-1].mix != mix:
                show_head(mix)
            for result in found:
                show(result)
            results += found
    return results


def show_head(mix: Mix) -> None:
    """The head of a mix's table."""
    kinds = {"real": "the real mix: 200 skill queues, 50 workflows", "easy": "the easy mix: one queue, 1==1"}
    print(f"\n{kinds[mix]}")
    print(
        f"{'workers':>8} {'waiting':>8}   {'per task':>9} {'99 %':>9} {'tasks/s':>8}"
        f"   {'per freed worker':>16} {'99 %':>9}   {'peak':>7} {'set-up':>7}"
    )


def show(result: Result) -> None:
    """One row."""
    task, worker = result.task, result.worker
    print(
        f"{result.workers:>8,} {result.waiting:>8,}   {task.median:>6.0f} us {task.p99:>6.0f} us "
        f"{result.tasks_per_second:>8,.0f}   {worker.median:>13.0f} us {worker.p99:>6.0f} us   "
        f"{result.peak_megabytes:>4.0f} MB {result.setup_seconds:>5.1f} s",
        flush=True,
    )


def verdicts(results: list[Result]) -> dict[str, float]:
    """Of the real mix: how the time per task grows with the workers, and the lowest rate with the most."""
    real = [result for result in results if result.mix == "real"]
    fewest, most = min(r.workers for r in real), max(r.workers for r in real)
    small = {r.waiting: r.task.median for r in real if r.workers == fewest}
    large = {r.waiting: r.task.median for r in real if r.workers == most}
    return {
        "growth": round(max(large[waiting] / small[waiting] for waiting in large), 2),
        "tasks_per_second": round(min(r.tasks_per_second for r in real if r.workers == most)),
    }


def main() -> int:
    """The command line; the exit status is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--short", action="store_true", help="fewer tasks and rounds: half a minute")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the mix, default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    results = run(short=arguments.short, seed=arguments.seed)
    found = verdicts(results)
    print("\nreal mix, with the most workers:")
    print(
        f"  a task takes {found['growth']:.2f} times the time of the fewest (goal: at most {GROWTH_GOAL:g})"
    )
    print(f"  {found['tasks_per_second']:,} tasks/s (goal: at least {RATE_GOAL:,})")
    if arguments.json:
        report = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "seed": arguments.seed,
            **found,
            "results": [asdict(result) for result in results],
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return int(found["growth"] > GROWTH_GOAL or found["tasks_per_second"] < RATE_GOAL)


if __name__ == "__main__":
    sys.exit(main())
