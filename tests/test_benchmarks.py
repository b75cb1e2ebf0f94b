"""The benchmarks still fit what they measure. What they find is for people to read."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent

COMMANDS: Final = (
    "accept_loop",
    "chart",
    "peer",
    "routing",
    "server_load",
    "server_process",
    "stages_client",
    "stages_server",
    "suite",
    "what_gets_lost",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_tells_its_usage(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    assert ended.value.code == 0
    assert f"python -m benchmarks.{name}" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "option"), [("stages_client", "--lives"), ("stages_server", "--cycles")])
def test_every_stage_is_reached(name: str, option: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", option, "100"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
