"""Soak with chaos, on real sockets: ``python -m tests.soak --seconds 600 --workers 200 --seed 1``.

A server that keeps its state on the disk, workers of the SDK in other processes, and a feed of tasks, while
connections are cut, processes killed, the disk filled, tokens expired and clocks set wrong. Then an auditor
compares what everybody says. See ``docs/soak.md``. The exit status is 0 if all is well, 1 if something was
lost or doubled, or the server's memory grows, 2 if the run could not prove anything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.soak.audit import Audit, audit
from tests.soak.driver import Run, Setting, play
from tests.soak.evidence import Evidence
from tests.soak.memory import Verdict, judge, series
from tests.soak.plan import EVERY, KINDS, LONG, draw_plan
from tests.storage.databases import postgresql, why_no_postgresql

MOST_PROBLEMS = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Play a run and say what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=float, default=60.0, help="how long tasks are made and things go wrong")
    add("--workers", type=int, default=40, help="workers of the SDK, four processes")
    add("--processes", type=int, default=4, help="that the workers are in")
    add("--rate", type=float, default=None, help="tasks per second (default: one for five workers)")
    add("--seed", type=int, default=1, help="of the plan and of the workers' moods")
    add("--every", type=float, default=EVERY, help="mean seconds between two acts (default %(default)s)")
    add("--event-retention", type=float, default=None, help="of events (default: the same; 60 in short runs)")
    add("--retention", type=float, default=20.0, help="seconds for which the server keeps what ended")
    add(
        "--data",
        default=None,
        metavar="PATH",
        help="SQLite file (default: a new one), postgresql://..., or postgresql: a cluster of its own",
    )
    add("--verbose", action="store_true", help="show each act")
    add("--audit", type=Path, metavar="FILE", help="audit the evidence.json of an earlier run again, no more")
    add("--plan", action="store_true", help="show the plan, and do nothing")
    for kind, meaning in KINDS.items():
        add(f"--no-{kind}", action="append_const", dest="without", const=kind, help=f"do not {meaning}")
    options = parser.parse_args(arguments)
    if options.audit is not None:
        again = audit(Evidence.load(options.audit))
        _show_audit(again)
        return int(bool(again.problems))
    if options.workers < options.processes or options.processes < 1:
        parser.error("there must be a worker for each process, and a process")
    if options.seconds <= 0 or options.every <= 0:
        parser.error("--seconds and --every must be more than 0")
    if options.data is not None and "://" not in options.data and Path(options.data).exists():
        parser.error(f"{options.data} exists: a run begins with new data")
    plan = draw_plan(
        options.seed,
        options.seconds,
        processes=options.processes,
        every=options.every,
        without=options.without or (),
    )
    event_retention = options.event_retention
    if event_retention is None:  # where memory is not judged, a busy machine gets more time to read them
        event_retention = options.retention if options.seconds >= LONG else max(60.0, options.retention)
    if options.plan:
        for act in plan:
            print(
                f"{act.at:6.1f} s  {act.kind:15} process {act.target}, {act.seconds:.1f} s, "
                f"{act.amount:+.2f} {act.choice}"
            )
        return 0
    if options.data == "postgresql" and (reason := why_no_postgresql()) is not None:
        print(f"skipped: {reason}")
        return 0
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        data = options.data or str(directory / "data.sqlite")
        if data == "postgresql":
            data = stack.enter_context(postgresql(directory))
        setting = Setting(
            seconds=options.seconds,
            workers=options.workers,
            processes=options.processes,
            rate=options.workers / 5 if options.rate is None else options.rate,
            seed=options.seed,
            retention=options.retention,
            event_retention=event_retention,
            data=data,
            directory=directory,
        )
        try:
            run = asyncio.run(play(setting, plan))
        except (KeyboardInterrupt, asyncio.CancelledError):
            print(f"stopped; journals, logs and data: {directory}")
            return 2
    found = audit(run.evidence)
    # The longest life of a server process: in long runs the last one.
    lives = [samples for samples in run.memory if samples]
    longest = max(lives, key=lambda samples: samples[-1][0] - samples[0][0], default=[])
    verdict = judge(longest, after=2 * max(setting.retention, setting.event_retention))
    if options.verbose:
        print("\n".join(sorted(run.story)))
    _show(run, found, verdict, longest, time.monotonic() - began)
    status = _status(run, found, verdict)
    if status:
        run.evidence.save(directory / "evidence.json")
        print(f"journals, logs, data and evidence.json: {directory}")
    else:
        shutil.rmtree(directory)
    return status


def _status(run: Run, found: Audit, verdict: Verdict) -> int:
    if len(found.problems) > found.count("unproved") or verdict.flat is False:
        return 1
    return 2 if run.failures or found.problems or not found.figures["acceptances"] else 0


def _show(run: Run, found: Audit, verdict: Verdict, memory: list[tuple[float, int]], seconds: float) -> None:
    setting = run.setting
    print(
        f"seed {setting.seed}: {setting.seconds:.0f} s of chaos, {setting.workers} workers in "
        f"{setting.processes} processes, {setting.rate:.0f} tasks a second, "
        f"retention {setting.retention:.0f} s, of events {setting.event_retention:.0f} s; "
        f"{seconds:.0f} s in all, drained in {run.drained:.0f} s"
    )
    print("done:")
    for kind, meaning in KINDS.items():
        skipped = f" ({run.skipped[kind]} more were not possible)" if run.skipped[kind] else ""
        print(f"  {run.done[kind]:4}  {kind:15} {meaning}{skipped}")
    print("the server and its surroundings:")
    _row(len(run.server_exits), f"processes of the server, exit statuses {sorted(set(run.server_exits))}")
    _row(run.connections, "connections through the proxy")
    _row(run.cut_off, "creations of tasks without an answer")
    _row(sum(run.refusals.values()), f"refusals by REST {dict(sorted(run.refusals.items()))}")
    print(
        f"  slowest start {run.slowest_start:.1f} s; longest without its events {run.longest_silence:.1f} s"
    )
    print(f"  memory in MiB, every 15 s of the longest life: {series(memory, every=15.0)}")
    print(f"  memory {verdict}")
    _row(run.torn_lines, "lines of journals cut short by a kill")
    for failure in run.failures:
        print(f"  the run broke: {failure}")
    _show_audit(found)


def _show_audit(found: Audit) -> None:
    print("audited:")
    for name, number in sorted(found.figures.items()):
        _row(number, name)
    print(
        f"result: {found.count('lost', 'told')} lost, {found.count('doubled')} doubled, "
        f"{found.count('made up', 'changed', 'went back')} otherwise wrong, "
        f"{found.count('unproved')} reasons to prove nothing"
    )
    for problem in found.problems[:MOST_PROBLEMS]:
        print(f"  {problem}")
    if len(found.problems) > MOST_PROBLEMS:
        print(f"  and {len(found.problems) - MOST_PROBLEMS} more")


def _row(number: int, what: str) -> None:
    print(f"  {number:7}  {what}")


if __name__ == "__main__":
    sys.exit(main())
