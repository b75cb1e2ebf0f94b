"""What the bot takes, refuses, survives and leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.contact_center_app.routing import BOT_SECONDS, why_not
from examples.contact_center_app.tests.desk import PASSWORD, Desk, Service
from server_stub.testing import TaskRouter


@pytest.mark.parametrize(
    ("attributes", "takes_it"),
    [
        ({"topic": "opening hours"}, True),
        ({"topic": "opening hours", "vip": True}, False),
        ({"topic": "poetry"}, False),
        ({}, False),
    ],
)
def test_the_bot_takes_only_what_it_can_answer(attributes: dict[str, Any], *, takes_it: bool) -> None:
    assert (why_not(attributes) is None) is takes_it


@pytest.mark.usefixtures("robo")
async def test_the_bot_answers_and_completes(taskrouter: TaskRouter, desk: Desk) -> None:
    task = taskrouter.task({"topic": "order status"}, workflow=desk.workflow)
    await taskrouter.wait_until_completed(task, reason="answered")
    taskrouter.assert_accepted(task, desk.robo)
    assert task.attributes["answer"] == "Your order is on its way."


@pytest.mark.usefixtures("robo")
async def test_what_the_bot_refuses_goes_to_people(taskrouter: TaskRouter, desk: Desk) -> None:
    task = taskrouter.task({"topic": "order status", "vip": True}, workflow=desk.workflow)
    await taskrouter.wait_until_reserved(task, desk.nina)
    taskrouter.assert_rejected(task, desk.robo)
    assert task.attributes["refused"] == "important customers talk to people"


async def test_people_get_what_no_bot_takes_in_time(taskrouter: TaskRouter, desk: Desk) -> None:
    """Half a minute passes in milliseconds, and ends exactly where it should."""
    task = taskrouter.task({"topic": "opening hours"}, workflow=desk.workflow)
    await taskrouter.clock.advance(BOT_SECONDS - 0.001)
    taskrouter.assert_queued(task)
    await taskrouter.clock.advance(0.001)
    taskrouter.assert_reserved(task, desk.nina)


async def test_an_offer_that_nina_leaves_unanswered_times_out(taskrouter: TaskRouter, desk: Desk) -> None:
    task = taskrouter.task({"topic": "opening hours"}, workflow=desk.workflow)
    await taskrouter.clock.advance(BOT_SECONDS + 120)
    taskrouter.assert_timed_out(task, desk.nina)
    taskrouter.assert_activity(desk.nina, "Offline")
    taskrouter.assert_queued(task)


@pytest.mark.usefixtures("robo")
async def test_a_lost_answer_costs_the_customer_nothing(taskrouter: TaskRouter, desk: Desk) -> None:
    """The connection breaks between the command and its answer; the SDK finds out that it was carried out."""
    fault = taskrouter.faults.cut_requests("after", method="POST", path="*/Reservations/*", times=1)
    task = taskrouter.task({"topic": "order status"}, workflow=desk.workflow)
    await taskrouter.wait_until_completed(task, reason="answered")
    assert fault.hits == 1
    assert len(task.reservations) == 1


@pytest.mark.usefixtures("robo")
async def test_an_offer_that_the_bot_cannot_accept_finds_somebody_else(
    taskrouter: TaskRouter, desk: Desk
) -> None:
    fault = taskrouter.faults.refuse_requests(503, method="POST", path="*/Reservations/*")
    task = taskrouter.task({"topic": "order status"}, workflow=desk.workflow)
    await fault.wait_for_hits(1)
    await taskrouter.clock.advance(120)
    taskrouter.assert_timed_out(task, desk.robo)
    taskrouter.assert_reserved(task, desk.nina)


async def test_a_wrong_expectation_explains_itself(taskrouter: TaskRouter, desk: Desk) -> None:
    """Why is it not Nina's? The failure quotes the router's own reasons."""
    task = taskrouter.task({"topic": "opening hours"}, workflow=desk.workflow)
    with pytest.raises(AssertionError, match=r"Nina: .*expression"):
        taskrouter.assert_reserved(task, desk.nina)


async def test_at_sigterm_the_bot_finishes_and_leaves(
    taskrouter: TaskRouter, desk: Desk, service: Service
) -> None:
    """The whole program: it logs in at the service, works, and is stopped as a container is."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.contact_center_app.bot"),
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "BOT_SERVICE": service.url,
            "BOT_NAME": "robo",
            "BOT_PASSWORD": PASSWORD,
            "BOT_SECONDS_PER_ANSWER": "0.5",
            "TASKROUTER_EB_SERVER": taskrouter.eb_server,
            "TASKROUTER_WS_SERVER": taskrouter.ws_server,
        },
    )
    try:
        assert program.stdout is not None
        assert await program.stdout.readline() == b"robo is ready\n"
        desk.robo.set_activity("Available")
        task = taskrouter.task({"topic": "order status"}, workflow=desk.workflow)
        await taskrouter.wait_until_accepted(task, desk.robo, timeout=30)
        program.send_signal(signal.SIGTERM)
        await taskrouter.wait_until_activity(desk.robo, "Offline", timeout=30)
        late = taskrouter.task({"topic": "order status"}, workflow=desk.workflow)
        await taskrouter.wait_until_completed(task, reason="answered", timeout=30)
        assert (await program.communicate())[0] == b"left\n"
        assert program.returncode == 0
        taskrouter.assert_queued(late)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
