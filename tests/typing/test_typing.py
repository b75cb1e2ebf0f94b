"""Both type checkers refuse exactly the lines that are marked as refused.

Linting already fails for a mark that a checker finds unneeded. Here the marks are taken away, so that no
mark can hide an error of another kind, and each checker is asked by itself.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYRIGHT = ROOT / "tests" / "interop" / "node_modules" / ".bin" / "pyright"
MARK = re.compile(r"  # type: ignore\[[^\]]*\]")

FILES = ["api.py", "events.py"]


def without_marks(name: str, place: Path) -> tuple[Path, set[int]]:
    """A copy without its marks, and the lines that had one."""
    lines = (Path(__file__).parent / name).read_text().splitlines()
    copy = place / f"unmarked_{name}"
    copy.write_text("\n".join(MARK.sub("", line) for line in lines) + "\n")
    return copy, {number for number, line in enumerate(lines, 1) if MARK.search(line)}


@pytest.mark.parametrize("name", FILES)
def test_mypy_refuses_the_marked_lines_and_no_other(name: str, tmp_path: Path) -> None:
    copy, marked = without_marks(name, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--no-error-summary", str(copy)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    refused = {int(number) for number in re.findall(rf"{copy.name}:(\d+): error", ran.stdout)}
    assert refused == marked, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", FILES)
def test_pyright_refuses_the_marked_lines_and_no_other(name: str, tmp_path: Path) -> None:
    pyright = shutil.which(PYRIGHT) or shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not installed: `make setup` does")
    copy, marked = without_marks(name, tmp_path)
    settings = {
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "extraPaths": [str(ROOT)],
        "include": [str(copy)],
        "reportUnusedCoroutine": "none",
        "reportUnusedFunction": "none",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    ran = subprocess.run(
        [pyright, "--outputjson", "--project", str(tmp_path), "--pythonpath", sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    refused = {
        found["range"]["start"]["line"] + 1
        for found in json.loads(ran.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    }
    assert refused == marked, ran.stdout
