"""The `twilio` library against the server, with nothing but its base URL changed."""

from __future__ import annotations

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client


def test_task_goes_from_its_creation_to_its_completion(twilio_client: Client) -> None:
    workspace = twilio_client.taskrouter.v1.workspaces.create(friendly_name="desk", template="FIFO")
    desk = twilio_client.taskrouter.v1.workspaces(workspace.sid)
    [available] = desk.activities.list(available="true")
    desk.workers.create(friendly_name="nina", activity_sid=available.sid, attributes='{"lang":"pt"}')
    task = desk.tasks.create(attributes='{"topic":"cards"}')
    [reservation] = desk.tasks(task.sid).reservations.list()
    desk.tasks(task.sid).reservations(reservation.sid).update(reservation_status="accepted")
    assert desk.tasks(task.sid).fetch().assignment_status == "assigned"
    done = desk.tasks(task.sid).update(assignment_status="completed", reason="done")
    assert (done.assignment_status, done.reason) == ("completed", "done")
    assert done.date_created.tzinfo is not None


def test_library_pages_through_everything_and_back(twilio_client: Client) -> None:
    workspace = twilio_client.taskrouter.v1.workspaces.create(friendly_name="desk")
    desk = twilio_client.taskrouter.v1.workspaces(workspace.sid)
    for n in range(5):
        desk.workers.create(friendly_name=f"worker {n}")
    assert [w.friendly_name for w in desk.workers.list(page_size=2)] == [f"worker {n}" for n in range(5)]
    page = desk.workers.page(page_size=2).next_page().next_page()
    assert [w.friendly_name for w in page] == ["worker 4"]
    assert [w.friendly_name for w in page.previous_page()] == ["worker 2", "worker 3"]


def test_library_reads_codes_and_messages_of_errors(twilio_client: Client) -> None:
    desk = twilio_client.taskrouter.v1.workspaces("WS" + "0" * 32)
    with pytest.raises(TwilioRestException) as caught:
        desk.fetch()
    assert (caught.value.status, caught.value.code) == (404, 20404)
    assert f"The requested resource /Workspaces/WS{'0' * 32} was not found" in caught.value.msg
