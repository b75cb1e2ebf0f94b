"""Lint the Dockerfile, compose.yaml and the workflows: ``python -m tests.ways_to_run.lint``, in `make check`.

The linters read the files only: nothing is built, pulled or asked.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
WORKFLOWS: Final = sorted((ROOT / "examples" / "github-actions").glob("*.yml"))


def commands() -> list[list[str | Path]]:
    """Each linter with what it is to read."""
    compose = ROOT / "compose.yaml"
    return [
        ["hadolint", ROOT / "Dockerfile"],
        ["yamllint", "--strict", "-c", HERE / "yamllint.yaml", compose, *WORKFLOWS],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", compose],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        [
            "zizmor",
            "--offline",
            "--no-progress",
            "--quiet",
            "-c",
            HERE / "zizmor.yaml",
            "--pedantic",
            *WORKFLOWS,
        ],
    ]


def main() -> int:
    """Run all of them; 1 if one found something."""
    scripts = Path(sysconfig.get_path("scripts"))
    status = 0
    for program, *arguments in commands():
        done = subprocess.run([scripts / str(program), *arguments], cwd=ROOT, check=False, timeout=120)
        print(f"{program}: {'passed' if done.returncode == 0 else f'status {done.returncode}'}", flush=True)
        status = status or int(done.returncode != 0)
    return status


if __name__ == "__main__":
    sys.exit(main())
