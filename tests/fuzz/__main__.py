"""Long fuzz runs, guided by coverage.

    python -m tests.fuzz all --runs 500000
    python -m tests.fuzz frames expressions --runs 50000 --seconds 60
    python -m tests.fuzz --list

Needs the extra `fuzz` (atheris). For each target it prints how many executions there were, how coverage
grew, at which execution it grew for the last time, and what was found; each finding is kept as a file. Ends
with status 1 if there was one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .corpus import CORPUS, is_small_text, kept
from .guided import KIND, words_file
from .target import Target, judge
from .targets import TARGETS

_LINE: Final = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+)")
_DONE: Final = re.compile(r"^Done (\d+) runs")
_GRACE: Final = 60  # seconds that a process may need beyond its time
_DAY: Final = 86_400


@dataclass
class Run:
    """What one run of a target showed.

    Attributes:
        executions: how many inputs were tried.
        seconds: how long it took.
        branches, kinds, features: coverage at its end: branches of Python code, kinds of outcomes, and how
            often each of them was taken, in powers of two.
        last_branch, last_kind, last_feature: the execution at which each of them grew for the last time.
        growth: branches, by execution.
        findings: inputs that broke something, and how.
        status: of libFuzzer's process.
    """

    executions: int = 0
    seconds: float = 0.0
    branches: int = 0
    kinds: int = 0
    features: int = 0
    last_branch: int = 0
    last_kind: int = 0
    last_feature: int = 0
    growth: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    findings: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])
    status: int = 0

    def read(self, lines: Iterable[str]) -> None:
        """Take the figures from the lines of the run's process."""
        told = 0
        for line in lines:
            told += line == KIND
            if done := _DONE.match(line):
                self.executions = int(done[1])
            found = _LINE.match(line)
            if found is None:
                continue
            number, features = int(found[1]), int(found[4])
            branches = int(found[3]) - told  # libFuzzer counts both
            self.executions = max(self.executions, number)
            if told > self.kinds:
                self.kinds, self.last_kind = told, number
            if branches > self.branches:
                self.branches, self.last_branch = branches, number
                self.growth.append((number, branches))
            if features > self.features:
                self.features, self.last_feature = features, number

    def row(self, name: str) -> str:
        """A line of the table."""
        return (
            f"{name:<17}{self.executions:>10,}{self.seconds:>7.0f} s"
            f"{self.branches:>9,}{self.last_branch:>11,}{self.kinds:>7,}{self.last_kind:>11,}"
            f"{self.features:>9,}{self.last_feature:>11,}{len(self.findings):>9}"
        )


HEAD: Final = (
    f"{'target':<17}{'executions':>10}{'time':>9}{'branches':>9}{'last new':>11}"
    f"{'kinds':>7}{'last new':>11}{'features':>9}{'last new':>11}{'findings':>9}"
)


def main() -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Fuzz the parsers, guided by coverage."
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="targets, or all")
    parser.add_argument("--runs", type=int, default=500_000, help="executions of each (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=0, help="at most so long for each (default: no limit)")
    parser.add_argument("--seed", type=int, default=0, help="of the dice (default: drawn)")
    parser.add_argument("--directory", type=Path, help="keeps inputs and findings (default: a temporary one)")
    parser.add_argument(
        "--keep", action="store_true", help="add small inputs of new kinds to tests/fuzz/corpus"
    )
    parser.add_argument("--list", action="store_true", help="name the targets")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(TARGETS))
        return 0
    names = list(TARGETS) if "all" in arguments.targets else arguments.targets
    unknown = [name for name in names if name not in TARGETS]
    if unknown or not names:
        parser.error(
            f"unknown: {', '.join(unknown) or 'nothing'}; expected all, or some of {', '.join(TARGETS)}"
        )
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: python -m pip install -c constraints.txt -e '.[fuzz]'")
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="fuzz-"))
    runs = {name: _run(TARGETS[name], directory, arguments) for name in names}
    print("\n" + "\n".join([HEAD, *(run.row(name) for name, run in runs.items())]))
    return int(any(run.findings or run.status for run in runs.values()))


def _run(target: Target, directory: Path, arguments: argparse.Namespace) -> Run:
    corpus, findings = directory / target.name / "corpus", directory / target.name / "findings"
    for place in (corpus, findings):
        place.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*target.seeds(), *kept(target.name)]):
        (corpus / f"seed-{number:04}").write_bytes(data)
    words = directory / target.name / "words"
    words.write_text(words_file(target.words), encoding="ascii")
    print(f"==> {target.name}: {arguments.runs:,} executions", flush=True)
    started, run = time.monotonic(), Run()
    options = {
        "runs": arguments.runs,
        "max_total_time": arguments.seconds,
        "seed": arguments.seed,
        "max_len": target.max_length,
        "len_control": 0,
        "dict": words,
        "artifact_prefix": f"{findings}/",
        # By the clock on the wall, which goes on while a run is stopped; `judge` measures CPU.
        "report_slow_units": _DAY,
        "timeout": _DAY,
    }
    packages = ",".join([*target.packages, "tests"])
    command = [sys.executable, "-m", "tests.fuzz.guided", target.name, str(findings), packages]
    command += [f"-{name}={value}" for name, value in options.items()]
    log = directory / target.name / "log"
    with log.open("w", encoding="utf-8") as output:
        limit = arguments.seconds + _GRACE if arguments.seconds else None
        run.status = subprocess.run(
            [*command, str(corpus)], stdout=output, stderr=output, timeout=limit, check=False
        ).returncode
    run.seconds = time.monotonic() - started
    run.read(log.read_text(encoding="utf-8", errors="replace").splitlines())
    for number, branches in run.growth[:: max(1, len(run.growth) // 8)]:
        print(f"    {number:>9,}: {branches:,} branches")
    for path in sorted(findings.iterdir()):
        if broken := _broken(target, path.read_bytes()):
            run.findings.append((path, broken))
            print(f"    FOUND {path}: {broken}")
    if run.status:
        print(f"    the run ended with status {run.status}: see {log}")
    print(f"{HEAD}\n{run.row(target.name)}", flush=True)
    if arguments.keep:
        _keep(target, corpus)
    return run


def _broken(target: Target, data: bytes) -> str | None:
    """How an input breaks the target, judged without the cost of counting branches; None if it does not."""
    try:
        judge(target, data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
    return None


def _keep(target: Target, corpus: Path) -> None:
    """Add the shortest small text of each kind of outcome that the corpus of the tests does not have."""
    known = kept(target.name)
    kinds = {judge(target, data) for data in [*target.seeds(), *known]}
    texts: list[str] = [data.decode() for data in known]
    for path in sorted(corpus.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        data = path.read_bytes()
        if not is_small_text(data) or _broken(target, data):
            continue
        if (kind := judge(target, data)) not in kinds and len(texts) < CORPUS:
            kinds.add(kind)
            texts.append(data.decode())
    path = Path(__file__).parent / "corpus" / f"{target.name}.json"
    if not texts:
        return
    path.write_text(json.dumps(texts, indent=1) + "\n", encoding="ascii")
    print(f"    {len(texts)} inputs in {path.name}")


if __name__ == "__main__":
    sys.exit(main())
