"""Run a part of the tests with the lowest versions that are allowed, and with the newest there are.

``python -m tests.supply_chain.bounds [lowest] [newest]``. `make check` runs it. The tests' own tools stay
at their pinned versions: what is tried are the requirements of those who use the package.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[2]
EXTRAS: Final = ("server",)
TOOLS: Final = ("pytest", "pytest-asyncio", "hypothesis", "twilio")
TESTS: Final = (
    *(f"tests/sdk/test_{name}.py" for name in ("emitter", "lifecycle", "requests", "session", "signaling")),
    *(f"tests/sdk/test_{name}.py" for name in ("state", "tokens", "tokens_in_force", "transport")),
    *(f"tests/server/test_{name}.py" for name in ("event_bridge", "limits", "rest", "session_start")),
)


def requirements() -> list[Requirement]:
    """What the package and its extras for users require."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"]]
    for extra in EXTRAS:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def lowest(requirement: Requirement) -> str:
    """The requirement with exactly the version that it allows at least.

    Raises:
        ValueError: it has no lower bound.
    """
    bounds = [spec.version for spec in requirement.specifier if spec.operator == ">="]
    if len(bounds) != 1:
        raise ValueError(f"{requirement} needs one lower bound")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras}=={bounds[0]}{marker}"


def pinned_tools() -> list[str]:
    """The tests' tools as `constraints.txt` has them."""
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if re.match(r"[\w.-]+==", line)
    )
    return [f"{name}=={pins[name]}" for name in TOOLS]


def run(which: str, where: Path) -> None:
    """Make an environment and run the tests in it.

    Raises:
        CalledProcessError: something failed; it has said what.
    """
    began = time.monotonic()
    python = str(where / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    subprocess.run([sys.executable, "-m", "venv", where], check=True)
    wanted = requirements()
    exact = [lowest(r) if which == "lowest" else str(r) for r in wanted]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--upgrade", *exact, *pinned_tools()], check=True)
    frozen = [python, "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check"]
    listed = subprocess.run(frozen, check=True, capture_output=True, text=True)
    names = {requirement.name.lower() for requirement in wanted}
    shown = [line for line in listed.stdout.splitlines() if line.partition("==")[0].lower() in names]
    print(f"{which}: {', '.join(shown)}", flush=True)
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([python, "-m", "pytest", *options, *TESTS], check=True, cwd=ROOT, env=environment)
    print(f"{which}: {time.monotonic() - began:.0f} s", flush=True)


def main(which: list[str]) -> int:
    """Run those that are named, or both."""
    for name in which or ["lowest", "newest"]:
        with tempfile.TemporaryDirectory() as where:
            try:
                run(name, Path(where))
            except subprocess.CalledProcessError as error:
                print(f"with the {name} versions: exit status {error.returncode}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
