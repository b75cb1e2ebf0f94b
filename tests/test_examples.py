"""What the documentation shows is run as it is printed."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from twilio.rest import Client

from server_stub import StubServer
from tests.support import close_client, rest_client

ROOT = Path(__file__).parent.parent
PATIENCE = 30.0


async def hire_and_ask(server: StubServer, client: Client) -> tuple[str, str]:
    """A worker that is available, and a task for it; the SIDs."""

    def over_rest() -> tuple[str, str]:
        workspace = client.taskrouter.v1.workspaces(server.workspace_sid)
        [available] = workspace.activities.list(available="true")
        worker = workspace.workers.create(friendly_name="nina", activity_sid=available.sid)
        task = workspace.tasks.create(attributes='{"topic": "cards"}')
        return worker.sid, task.sid

    return await asyncio.to_thread(over_rest)


async def test_accept_reservations_completes_a_task(server: StubServer) -> None:
    client = rest_client(server)
    worker_sid, task_sid = await hire_and_ask(server, client)
    example = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "examples/accept_reservations.py"),
        cwd=ROOT,
        stdout=PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TWILIO_ACCOUNT_SID": server.account_sid,
            "TWILIO_API_KEY": server.signing_key_sid,
            "TWILIO_API_SECRET": server.signing_key_secret,
            "TASKROUTER_WORKSPACE_SID": server.workspace_sid,
            "TASKROUTER_WORKER_SID": worker_sid,
            "TASKROUTER_EB_SERVER": server.eb_server,
            "TASKROUTER_WS_SERVER": server.ws_server,
        },
    )
    try:
        assert example.stdout is not None
        async with asyncio.timeout(PATIENCE):
            lines = [(await example.stdout.readline()).decode() for _ in range(2)]

            def status() -> Any:
                workspace = client.taskrouter.v1.workspaces(server.workspace_sid)
                return workspace.tasks(task_sid).fetch().assignment_status

            while await asyncio.to_thread(status) != "completed":
                await asyncio.sleep(0.02)  # the example says nothing more once it has completed the task
    finally:
        example.terminate()
        await example.communicate()
        await asyncio.to_thread(close_client, client)
    assert sorted(lines) == [
        "nina is Available; press Ctrl-C to stop\n",
        "nina works on {'topic': 'cards'}\n",
    ]


def test_accept_reservations_stays_short() -> None:
    assert len((ROOT / "examples" / "accept_reservations.py").read_text().splitlines()) < 40


async def test_readme_example_works_as_printed(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    [example, *_] = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    [printed] = re.findall(r"```text\n(.*?)```", readme, flags=re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(script)),
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.decode() == printed


@pytest.mark.parametrize("tasks", [6])
async def test_demo_loses_nothing_and_says_so(tmp_path: Path, tasks: int) -> None:
    picture = tmp_path / "demo.svg"
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "examples.demo", "--tasks", str(tasks), "--svg", str(picture)),
        cwd=ROOT,
        stdout=PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await demo.communicate()
    assert demo.returncode == 0
    lines = out.decode().splitlines()
    for step in ("created:", "reserved for", "accepted by", "completed by"):
        assert sum(step in line for line in lines) == tasks
    assert f"tasks created {tasks}, reservations accepted {tasks}, completed {tasks}, lost: 0" in lines
    assert picture.read_text().startswith("<svg")
    assert "http" not in picture.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "").replace(
        "Generated with Rich https://www.textualize.io", ""
    )
