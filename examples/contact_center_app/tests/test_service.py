"""Who gets a token, and which callbacks are believed."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest
from twilio.request_validator import RequestValidator

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


EVENT = {"Sid": "EV1", "EventType": "task.created", "TaskSid": "WT1", "TimestampMs": "0"}


async def sent(url: str, form: dict[str, str], signature: str | None) -> int:
    headers = {} if signature is None else {"X-Twilio-Signature": signature}
    async with aiohttp.ClientSession() as http, http.post(url, data=form, headers=headers) as response:
        return response.status


@pytest.mark.parametrize("query", ["", "?source=taskrouter&again=1"])
async def test_what_twilio_has_signed_is_believed(
    taskrouter: TaskRouter, service: Service, query: str
) -> None:
    url = f"{service.url}/callbacks/events{query}"
    signature = RequestValidator(taskrouter.auth_token).compute_signature(url, EVENT)
    assert await sent(url, EVENT, signature) == 204
    assert service.events.of_task("WT1") == ["task.created"]


@pytest.mark.parametrize("path", ["assignment", "events"])
async def test_everything_else_is_refused(taskrouter: TaskRouter, service: Service, path: str) -> None:
    url = f"{service.url}/callbacks/{path}"
    good = RequestValidator(taskrouter.auth_token).compute_signature(url, EVENT)
    forged = RequestValidator("another token").compute_signature(url, EVENT)
    assert await sent(url, EVENT, None) == 403
    assert await sent(url, EVENT, "AAAA") == 403
    assert await sent(url, EVENT, forged) == 403
    assert await sent(url, {**EVENT, "TaskSid": "WT2"}, good) == 403  # changed on its way
    assert await sent(url, {**EVENT, "More": ""}, good) == 403
    assert await sent(f"{url}?more=1", EVENT, good) == 403
    assert service.events.of_task("WT1") == []
    assert service.events.of_task("WT2") == []


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
