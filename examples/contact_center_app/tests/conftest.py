"""The application on a TaskRouter of each test's own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn

from examples.contact_center_app.bot import give_rules
from examples.contact_center_app.routing import workflow_configuration
from examples.contact_center_app.service import Login, from_environment
from examples.contact_center_app.tests.desk import PASSWORD, Desk, Service
from server_stub.testing import TaskRouter
from taskrouter_worker import Worker


@pytest.fixture
def desk(taskrouter: TaskRouter) -> Desk:
    everybody = taskrouter.queue("Everybody")
    return Desk(
        robo=taskrouter.worker("Robo", attributes={"bot": True}, activity="Offline"),
        nina=taskrouter.worker("Nina", attributes={"bot": False, "contact_uri": "client:nina"}),
        workflow=taskrouter.workflow("Bots first", workflow_configuration(everybody.sid)),
    )


@pytest.fixture
async def robo(taskrouter: TaskRouter, desk: Desk) -> AsyncIterator[Worker]:
    """The bot, at work."""
    worker = taskrouter.sdk_worker(desk.robo)
    give_rules(worker)
    async with worker:
        desk.robo.set_activity("Available")
        await taskrouter.clock.advance(0)  # until it knows
        yield worker


@pytest.fixture
async def service(
    taskrouter: TaskRouter, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Service]:
    """The service on a port of its own, started as in production. TaskRouter tells it of events."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    robo = Login.of(desk.robo.sid, PASSWORD)
    for name, value in {
        "TWILIO_ACCOUNT_SID": taskrouter.account_sid,
        "TWILIO_AUTH_TOKEN": taskrouter.auth_token,
        "TWILIO_API_KEY": taskrouter.signing_key_sid,
        "TWILIO_API_SECRET": taskrouter.signing_key_secret,
        "TASKROUTER_WORKSPACE_SID": taskrouter.workspace_sid,
        "PUBLIC_URL": url,
        "CALLER_ID": "+15005550006",
        "LOGINS": json.dumps({"robo": [robo.worker_sid, robo.salt.hex(), robo.key.hex()]}),
        "DATABASE": str(tmp_path / "events.db"),
    }.items():
        monkeypatch.setenv(name, value)
    app = from_environment()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    running = asyncio.create_task(server.serve([listener]))
    taskrouter.run(lambda workspace: workspace.update(event_callback_url=f"{url}/callbacks/events"))
    yield Service(url, app.state.events)
    taskrouter.run(lambda workspace: workspace.update(event_callback_url=""))
    server.should_exit = True
    await running
    app.state.events.close()
