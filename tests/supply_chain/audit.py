"""Ask the advisory service about every pinned version, and fail unless it knew each of them.

``python -m tests.supply_chain.audit``, or `make audit`. Not part of `make check`: the service answers
differently from day to day, and not from everywhere. pip-audit alone would not do: what it cannot look up
it leaves out, and then reports that nothing is wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

PINNED: Final = Path(__file__).parents[2] / "constraints.txt"
SECONDS: Final = 300


def verdict(report: Any) -> tuple[int, list[str]]:  # Any: pip-audit's JSON
    """How many versions were audited, and what is wrong, a line each."""
    problems: list[str] = []
    audited = 0
    for item in report.get("dependencies", []):
        name = item["name"]
        if "skip_reason" in item:
            problems.append(f"{name} was not audited: {item['skip_reason']}")
            continue
        audited += 1
        for weakness in item["vulns"]:
            fixed = ", ".join(weakness["fix_versions"]) or "no version"
            problems.append(f"{name} {item['version']}: {weakness['id']}, fixed in {fixed}")
    if not audited:  # then one line says it for all of them
        problems = ["nothing was audited: the advisory service was not reached, or knew none of the versions"]
    return audited, problems


def main() -> int:
    """Audit, and say what came of it."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(PINNED), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        print(f"nothing was audited: no answer within {SECONDS} seconds", file=sys.stderr)
        return 1
    try:
        audited, problems = verdict(json.loads(done.stdout))
    except (ValueError, KeyError, AttributeError):
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        audited, problems = 0, [f"nothing was audited: pip-audit failed: {last[0]}"]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{audited} versions audited, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
