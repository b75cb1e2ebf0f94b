"""Every figure that this project claims about speed, measured side by side.

Ours, the official SDK for JavaScript and the bare libraries take turns, each in a process of its own,
against the same peer (`benchmarks.peer`); then the local server under load. Everything is on the
loopback interface, bounded in count and time. Shown are medians with the smallest and the largest
value. What depends on the machine is the absolute figure; ratios travel better.

    python -m benchmarks.suite [--long] [--repeats N] [--only NAME ...] [--json FILE]

For the documentation's figures and chart, on a machine that has nothing else to do:

    ulimit -n 20000
    python -m benchmarks.suite --workers 15000 --json build/bench.json    # or --long: an hour
    python -m benchmarks.chart build/bench.json
    python -m benchmarks.stages_server --json build/stages.json
    python -m benchmarks.stages_server --sqlite --json build/stages-sqlite.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).parent.parent

OURS: Final = (sys.executable, "-m", "benchmarks.clients.ours")
FLOORS: Final = (sys.executable, "-m", "benchmarks.clients.floors")
OFFICIAL: Final = ("node", "--expose-gc", str(ROOT / "benchmarks" / "clients" / "official.cjs"))

CLIENTS: Final[Mapping[str, tuple[Sequence[str], str]]] = {
    "ours": (OURS, ""),
    "ours, uvloop": (OURS, "uvloop"),
    "ours, gc relaxed": (OURS, "gc"),
    "official": (OFFICIAL, ""),
    "websockets + json": (FLOORS, "json"),
    "websockets + msgspec": (FLOORS, "msgspec"),
}
"""By name: the command, and which of its variants."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a row must reach: our figure against another's, or against a number."""

    figure: str
    against: str  # a client, or "" for a number
    limit: float
    at_least: bool = False

    def met(self, ours: float, other: float) -> tuple[float, bool]:
        """The ratio (or the figure itself), and whether it is good enough."""
        value = ours / other if self.against else ours
        return value, value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        sign = "at least" if self.at_least else "at most"
        return f"{sign} {self.limit:g}" + (f" x {self.against}" if self.against else "")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of work, done by several clients in turns."""

    name: str
    title: str
    figures: Mapping[str, str]  # key in a client's answer -> unit
    task: Mapping[str, object]
    long_task: Mapping[str, object] = field(default_factory=dict[str, object])
    clients: Sequence[str] = ("ours", "official", "websockets + json")
    goals: Sequence[Goal] = ()
    once: bool = False  # whether one run is enough
    changes: Mapping[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])
    """By client: what is different in its task. The table shows it as a figure."""


CLIENT_ROWS: Final = (
    Row(
        name="events",
        title="CPU for each event, 100 workers in one process",
        figures={"cpu_us": "us", "events_per_second": "/s"},
        task={"scenario": "events", "workers": 100, "lives": 100, "warm_up": 50},
        long_task={"lives": 250},
        clients=("ours", "ours, uvloop", "official", "websockets + json", "websockets + msgspec"),
        goals=(
            Goal(figure="cpu_us", against="official", limit=0.25),
            Goal(figure="cpu_us", against="websockets + json", limit=1.6),
        ),
    ),
    Row(
        name="events-one",
        title="CPU for each event, one worker",
        figures={"cpu_us": "us", "events_per_second": "/s"},
        task={"scenario": "events", "workers": 1, "lives": 4_000, "warm_up": 1_000},
        long_task={"lives": 20_000},
        clients=("ours", "official", "websockets + json", "websockets + msgspec"),
    ),
    Row(
        name="loop",
        title="accept and complete over HTTP, 16 in flight",
        figures={"per_second": "/s", "cpu_us": "us"},
        task={"scenario": "loop", "lives": 2_000, "warm_up": 300, "in_flight": 16},
        long_task={"lives": 10_000},
        clients=("ours", "ours, uvloop", "official", "websockets + json"),
        goals=(Goal(figure="per_second", against="official", limit=4, at_least=True),),
    ),
    Row(
        name="latency",
        title="reservation.created to the answer of accept(), one at a time",
        figures={"p50_ms": "ms", "p99_ms": "ms"},
        task={"scenario": "loop", "lives": 2_000, "warm_up": 300, "in_flight": 1},
        long_task={"lives": 5_000},
        goals=(
            Goal(figure="p50_ms", against="official", limit=0.7),
            Goal(figure="p99_ms", against="official", limit=0.6),
        ),
    ),
    Row(
        name="memory",
        title="memory for each worker, 1,000 in one process",
        figures={"kib": "KiB"},
        task={"scenario": "memory", "workers": 1_000},
        goals=(Goal(figure="kib", against="official", limit=0.6),),
    ),
    Row(
        name="ready",
        title="1,000 workers from start to ready",
        figures={"seconds": "s", "cpu_seconds": "s"},
        task={"scenario": "ready", "workers": 1_000},
        clients=("ours", "ours, gc relaxed", "official", "websockets + json"),
        goals=(Goal(figure="seconds", against="official", limit=0.7),),
    ),
    Row(
        name="flat",
        title="memory that finished reservations leave behind",
        figures={"growth_kib": "KiB", "reservations": ""},
        task={"scenario": "flat", "workers": 10, "lives": 10_000, "warm_up": 3_000, "rate": 400},
        clients=("ours", "official"),
        changes={"official": {"lives": 2_000, "warm_up": 1_500, "rate": 200}},  # it keeps 5 KB of each
        goals=(Goal(figure="growth_kib", against="", limit=1_024),),
        once=True,
    ),
)

IMPORTS: Final[Mapping[str, str]] = {
    "ours": "from taskrouter_worker import Worker",
    "its network libraries": "import aiohttp, websockets.asyncio.client, msgspec, anyio, jwt, pyee",
    "aiohttp": "import aiohttp",
}

SERVER_GOALS: Final[Mapping[str, Sequence[Goal]]] = {
    "many": (
        Goal(figure="rss_mib", against="", limit=429),  # 450 MB
        Goal(figure="connect_seconds", against="", limit=45),
        Goal(figure="push_p99_ms", against="", limit=20),
        Goal(figure="idle_cpu_percent", against="", limit=4),
    ),
    "cycles": (Goal(figure="cycles_per_second", against="", limit=600, at_least=True),),
    "cycles-sqlite": (Goal(figure="cycles_per_second", against="", limit=400, at_least=True),),
}

SERVER_CYCLES: Final[Mapping[str, str]] = {
    "cycles_per_second": "/s",
    "server_cpu_ms": "ms",
    "gc_longest_ms": "ms",
    "gc_longest_cpu_ms": "ms",
}

SERVER_FIGURES: Final[Mapping[str, Mapping[str, str]]] = {
    "many": {
        "connect_seconds": "s",
        "connect_cpu_seconds": "s",
        "rss_before_mib": "MiB",
        "rss_mib": "MiB",
        "idle_cpu_percent": "%",
        "push_p50_ms": "ms",
        "push_p99_ms": "ms",
        "push_max_ms": "ms",
        "push_cpu_ms": "ms",
        "gc_connecting_longest_ms": "ms",
        "gc_resting_longest_ms": "ms",
        "gc_pushing_longest_ms": "ms",
        "gc_pushing_longest_cpu_ms": "ms",
    },
    "cycles": SERVER_CYCLES,
    "cycles-sqlite": SERVER_CYCLES,
}
"""By row: figures and their units. `gc_` are the garbage collector's pauses, in each phase of `many`."""

Figures = dict[str, list[float]]
"""By figure: what each repeat measured."""


@dataclass
class Result:
    """One row's figures by client."""

    name: str
    title: str
    units: dict[str, str]
    figures: dict[str, Figures]
    goals: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def judge(self, goals: Sequence[Goal]) -> None:
        """Note which goals are met."""
        for goal in goals:
            if "ours" not in self.figures or (goal.against and goal.against not in self.figures):
                continue
            ours = statistics.median(self.figures["ours"][goal.figure])
            other = statistics.median(self.figures[goal.against][goal.figure]) if goal.against else 1.0
            value, met = goal.met(ours, other)
            self.goals.append({"figure": goal.figure, "goal": str(goal), "value": value, "met": met})


def machine() -> dict[str, str]:
    """What it was measured on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    libraries = ("aiohttp", "websockets", "msgspec", "anyio", "pyee")
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "node": node.stdout.strip(),
        "libraries": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries),
    }


def one_run(client: str, task: Mapping[str, object]) -> dict[str, float]:
    """One client's turn, with a peer of its own."""
    command, variant = CLIENTS[client]
    peer = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peer"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with peer:
        assert peer.stdin is not None  # noqa: S101 - asked for above
        assert peer.stdout is not None  # noqa: S101 - the same
        try:
            argument = json.dumps({"port": int(peer.stdout.readline()), "variant": variant, **task})
            done = subprocess.run(
                [*command, argument], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=400, check=True
            )
        finally:
            peer.stdin.close()
    found: dict[str, float] = json.loads(done.stdout)
    return found


def client_row(row: Row, *, long: bool, repeats: int, console: Console) -> Result:
    """All clients in turns."""
    task = {**row.task, **(row.long_task if long else {})}
    figures: dict[str, Figures] = {client: {name: [] for name in row.figures} for client in row.clients}
    for repeat in range(1 if row.once else repeats):
        for client in row.clients:
            console.print(f"[dim]{row.name}: {client}, {repeat + 1}[/dim]")
            found = one_run(client, {**task, **row.changes.get(client, {})})
            for name, values in figures[client].items():
                values.append(found[name])
    result = Result(row.name, f"{row.title} (settle_ms 0)", dict(row.figures), figures)
    result.judge(row.goals)
    return result


def import_row(repeats: int) -> Result:
    """Seconds that an import takes in a fresh process, beyond starting Python."""
    figures: dict[str, Figures] = {name: {"ms": []} for name in IMPORTS}
    program = "import time; t = time.perf_counter(); {}; print((time.perf_counter() - t) * 1000)"
    for _ in range(2 * repeats):
        for name, statement in IMPORTS.items():
            done = subprocess.run(
                [sys.executable, "-c", program.format(statement)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            figures[name]["ms"].append(float(done.stdout))
    result = Result("import", "from taskrouter_worker import Worker", {"ms": "ms"}, figures)
    result.judge((Goal(figure="ms", against="its network libraries", limit=1.15),))
    return result


def server_rows(*, workers: int, long: bool, repeats: int, console: Console) -> list[Result]:
    """The local server."""
    seconds = "30" if long else "10"
    loads: tuple[tuple[str, str, int, Sequence[str]], ...] = (
        (
            "many",
            f"server: {workers:,} workers connected, 200 tasks/s (settle_ms 0)",
            1,
            ["many", "--workers", str(workers), "--idle", seconds, "--tasks", "4000" if long else "1000"],
        ),
        ("cycles", "server: whole cycles, state in memory (settle_ms 0)", repeats, ["cycles"]),
        (
            "cycles-sqlite",
            "server: whole cycles, state in SQLite (settle_ms 0)",
            repeats,
            ["cycles", "--sqlite"],
        ),
    )
    results: list[Result] = []
    for name, title, times, arguments in loads:
        figures: Figures = {}
        for repeat in range(times):
            console.print(f"[dim]{name}: {repeat + 1}[/dim]")
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.server_load", *arguments],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
                timeout=500,
                check=True,
            )
            found = json.loads(done.stdout)
            for key in [key for key in found if key.startswith("gc")]:  # the garbage collector's pauses
                found.update({f"{key}_{what}": value for what, value in found.pop(key).items()})
            for key in SERVER_FIGURES[name]:
                figures.setdefault(key, []).append(found[key])
        result = Result(name, title, dict(SERVER_FIGURES[name]), {"ours": figures})
        result.judge(SERVER_GOALS[name])
        results.append(result)
    return results


def shown(value: float) -> str:
    """With three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(results: Sequence[Result], console: Console) -> None:
    """The table."""
    table = Table(title="Medians (smallest to largest)", title_justify="left")
    for heading in ("work", "figure"):
        table.add_column(heading, overflow="fold")
    table.add_column("who")
    for heading in ("median", "range"):
        table.add_column(heading, justify="right")
    table.add_column("ours / its")
    for result in results:
        first = True
        for figure, unit in result.units.items():
            ours = statistics.median(result.figures["ours"][figure])
            for client, figures in result.figures.items():
                values = figures[figure]
                median = statistics.median(values)
                ratio = "" if client == "ours" or not median else f"{ours / median:.2f}"
                spread = f"{shown(min(values))} to {shown(max(values))}" if len(values) > 1 else ""
                label = f"{figure} ({unit})" if unit and not figure.endswith(unit) else figure
                table.add_row(result.title if first else "", label, client, shown(median), spread, ratio)
                first = False
        table.add_section()
    console.print(table)
    for result in results:
        for goal in result.goals:
            mark = "[green]met[/green]" if goal["met"] else "[red]missed[/red]"
            console.print(
                f"{mark}  {result.name}: {goal['figure']} {shown(goal['value'])}, goal {goal['goal']}"
            )


def main() -> int:
    """The command line."""
    names = [row.name for row in CLIENT_ROWS] + ["import", "server"]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--long", action="store_true", help="more of everything: an hour instead of minutes")
    add("--repeats", type=int, metavar="N", help="turns of each client (default 5)")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="that the server holds (default 3000; 15000 in the long form)",
    )
    add("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    add("--json", type=Path, metavar="FILE", help="write everything there")
    options = parser.parse_args()
    if shutil.which("node") is None:
        parser.error("the official SDK needs Node 18 or newer")
    repeats = options.repeats or 5
    console = Console(width=130 if not sys.stdout.isatty() else None)
    facts = machine()
    for name, fact in facts.items():
        console.print(f"{name:>10}  {fact}")
    results: list[Result] = []
    try:
        results.extend(
            client_row(row, long=options.long, repeats=repeats, console=console)
            for row in CLIENT_ROWS
            if row.name in options.only
        )
        if "import" in options.only:
            results.append(import_row(repeats))
        if "server" in options.only:
            results += server_rows(
                workers=options.workers or (15_000 if options.long else 3_000),
                long=options.long,
                repeats=repeats,
                console=console,
            )
    finally:
        show(results, console)  # what was measured until then, if something fails
    if options.json is not None:
        command = " ".join(["python -m benchmarks.suite", *sys.argv[1:]])
        report = {"machine": facts, "command": command, "results": [asdict(result) for result in results]}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
