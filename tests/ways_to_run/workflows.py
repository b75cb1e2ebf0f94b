"""Run the steps of the GitHub workflows: ``python -m tests.ways_to_run.workflows``, in `make check`.

Each `run:` is given to bash as GitHub's runners do, in a small application's directory and a fresh
environment, where pip finds this tree's wheel. Steps that use an action are not run: they check out code and
set up Python.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from tests.ways_to_run.lint import ROOT, WORKFLOWS

APPLICATIONS: Final = {
    "with-a-server": """
import os

from twilio.rest import Client


def test_application_finds_its_workers():
    client = Client(os.environ["TASKROUTER_STUB_ACCOUNT_SID"], os.environ["TASKROUTER_STUB_AUTH_TOKEN"])
    client.taskrouter.base_url = os.environ["TASKROUTER_STUB_URL"]
    [workspace] = client.taskrouter.v1.workspaces.list()
    assert [worker.friendly_name for worker in workspace.workers.list()] == ["nina", "omar", "zoe"]
""",
    "with-the-plugin": """
def test_unanswered_offer_times_out(taskrouter):
    task, alice = taskrouter.task(), taskrouter.worker("Alice")
    taskrouter.clock.advance_sync(120)
    taskrouter.assert_timed_out(task, alice)
""",
}
"""The tests of the application, for each workflow."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def run(workflow: dict[str, Any], cwd: Path, environment: dict[str, str]) -> None:
    """The steps of the only job, in order; those that are always run, also after one that failed."""
    [job] = workflow["jobs"].values()
    environment = {**environment, **workflow.get("env", {})}
    failed: subprocess.CalledProcessError | None = None
    for step in job["steps"]:
        if "run" not in step or (failed and step.get("if") != "always()"):
            continue
        try:
            subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=cwd,
                env=environment,
                check=True,
                timeout=300,
            )
        except subprocess.CalledProcessError as error:
            failed = failed or error
    if failed:
        raise failed


def main() -> None:
    """Run every workflow on an application of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", here, ROOT], cwd=here, check=True
        )
        subprocess.run([sys.executable, "-m", "venv", here / "venv"], check=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "PATH": f"{here / 'venv' / 'bin'}:{os.environ['PATH']}",
            "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
            "PIP_FIND_LINKS": str(here),
            "PIP_QUIET": "1",
        }
        for file in WORKFLOWS:
            application = here / file.stem
            (application / "tests").mkdir(parents=True)
            (application / "tests" / "test_application.py").write_text(APPLICATIONS[file.stem])
            (application / "requirements.txt").write_text("twilio\n")
            shutil.copy(ROOT / "examples" / "seeds" / "contact_center.yaml", application / "taskrouter.yaml")
            run(yaml.safe_load(file.read_text().replace("8300", str(free_port()))), application, environment)
            print(f"{file.name}: its steps passed", flush=True)


if __name__ == "__main__":
    main()
