"""Who gets a token, and which callbacks are believed."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest

from examples.contact_center_app.bot import token_from_service
from examples.contact_center_app.tests.desk import PASSWORD, Desk, Service
from server_stub.testing import TaskRouter
from taskrouter_worker import Worker


async def test_a_token_from_the_service_lets_the_bot_in(
    taskrouter: TaskRouter, desk: Desk, service: Service
) -> None:
    token = await token_from_service(service.url, "robo", PASSWORD)
    async with Worker(token, eb_server=taskrouter.eb_server, ws_server=taskrouter.ws_server) as worker:
        assert worker.sid == desk.robo.sid


@pytest.mark.parametrize("name", ["robo", "somebody else"])
async def test_nobody_else_gets_a_token(service: Service, name: str) -> None:
    with pytest.raises(aiohttp.ClientResponseError, match="401"):
        await token_from_service(service.url, name, "guessed")


async def test_neither_token_nor_password_is_logged(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        token = await token_from_service(service.url, "robo", PASSWORD)
    assert "POST /token" in caplog.text  # the access log is on
    assert token not in caplog.text
    assert PASSWORD not in caplog.text


async def test_a_call_rings_at_ninas_phone(taskrouter: TaskRouter, desk: Desk, service: Service) -> None:
    """TaskRouter asks, the service believes its signature and answers, and TaskRouter does as it is told."""
    calls = taskrouter.workflow(
        "Calls", queue="Everybody", assignment_callback_url=f"{service.url}/callbacks/assignment"
    )
    task = taskrouter.task({"call_sid": f"CA{'1' * 32}"}, workflow=calls)
    await taskrouter.wait_until_accepted(task, desk.nina)
    [call] = taskrouter.run(lambda workspace: [call.to for call in workspace.telephony.calls.values()])
    assert call == "client:nina"


@pytest.mark.parametrize("signature", [{}, {"X-Twilio-Signature": "AAAA"}])
async def test_callbacks_that_twilio_did_not_sign_are_refused(
    service: Service, signature: dict[str, str]
) -> None:
    forged = {"Sid": "EV1", "EventType": "task.created", "TaskSid": "WT1", "TimestampMs": "0"}
    async with aiohttp.ClientSession() as http:
        for path in ("assignment", "events"):
            url = f"{service.url}/callbacks/{path}"
            async with http.post(url, data=forged, headers=signature) as response:
                assert response.status == 403
    assert service.events.of_task("WT1") == []


@pytest.mark.usefixtures("robo")
async def test_a_tasks_story_is_kept(taskrouter: TaskRouter, desk: Desk, service: Service) -> None:
    task = taskrouter.task({"topic": "order status"}, workflow=desk.workflow)
    await taskrouter.wait_until_completed(task)
    async with asyncio.timeout(5):
        while "reservation.completed" not in service.events.of_task(task.sid):
            await asyncio.sleep(0.01)
    story = [kind for kind in service.events.of_task(task.sid) if kind.startswith("reservation.")]
    assert story == [
        "reservation.created",
        "reservation.accepted",
        "reservation.wrapup",
        "reservation.completed",
    ]
