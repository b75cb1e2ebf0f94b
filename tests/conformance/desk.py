"""A workspace to try things in, whoever runs it: a real account or the local server."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds in which a fact has to become visible: a real account takes its time."""


class Refuted(Exception):
    """The service does not do what the scenario says."""


class Desk:
    """One workspace, seen with the `twilio` library.

    Attributes:
        ws: the library's context of the workspace.
        notes: what was seen and is published nowhere, by its name: for comparing two runs.
    """

    def __init__(self, client: Client, workspace_sid: str) -> None:
        self.client = client
        self.ws: Any = client.taskrouter.v1.workspaces(workspace_sid)
        self.notes: dict[str, str] = {}
        self._teams = 0
        names = {activity.friendly_name: activity.sid for activity in self.ws.activities.list()}
        self.offline, self.available, self.unavailable = (
            str(names[name]) for name in ("Offline", "Available", "Unavailable")
        )

    def note(self, name: str, value: object) -> None:
        """Keep something that nobody has published. SIDs are cut: they differ in every run."""
        self.notes[name] = re.sub(r"\b([A-Z]{2})[0-9a-f]{32}\b", r"\1...", str(value))

    def team(self, **queue: Any) -> Team:
        """Workers, a queue and a workflow that no other scenario has to do with."""
        self._teams += 1
        return Team(self, f"t{self._teams}", queue)

    def eventually(self, look: Callable[[], T], holds: Callable[[T], bool], what: str) -> T:
        """What `look` returns, as soon as that holds. No answer announces what the engine does later."""
        until = time.monotonic() + PATIENCE
        while True:
            found = look()
            if holds(found):
                return found
            if time.monotonic() > until:
                raise Refuted(f"not within {PATIENCE:g} seconds: {what}")
            time.sleep(0.05)


class Team:
    """A queue for the workers of one scenario, and a workflow that leads to it."""

    def __init__(self, desk: Desk, name: str, queue: dict[str, Any]) -> None:
        self.desk = desk
        self.name = name
        self.queue = desk.ws.task_queues.create(
            friendly_name=name, target_workers=f'team == "{name}"', **queue
        )
        self.workflow = self.add_workflow({"task_routing": {"default_filter": {"queue": self.queue.sid}}})

    def add_workflow(self, configuration: dict[str, Any], **more: Any) -> Any:
        """Another workflow; tasks go to the latest one."""
        self.workflow = self.desk.ws.workflows.create(
            friendly_name=f"{self.name} {secrets.token_hex(3)}",
            configuration=json.dumps(configuration),
            **more,
        )
        return self.workflow

    def hire(self, name: str, *, activity: str | None = None, **attributes: Any) -> str:
        """A new worker, available unless said otherwise; its SID."""
        worker = self.desk.ws.workers.create(
            friendly_name=f"{name} of {self.name}",
            activity_sid=activity or self.desk.available,
            attributes=json.dumps({"team": self.name, **attributes}),
        )
        return str(worker.sid)

    def task(self, *, priority: int | None = None, **attributes: Any) -> str:
        """A new task; its SID."""
        more = {} if priority is None else {"priority": priority}
        task = self.desk.ws.tasks.create(
            workflow_sid=self.workflow.sid, attributes=json.dumps(attributes), **more
        )
        return str(task.sid)

    def reservations(self, task_sid: str, number: int = 1, *, status: str = "pending") -> list[Any]:
        """The task's reservations of that status, once there are so many."""
        found: list[Any] = self.desk.eventually(
            lambda: self.desk.ws.tasks(task_sid).reservations.list(reservation_status=status),
            lambda listed: len(listed) >= number,
            f"{number} reservations of the task are {status}",
        )
        return found

    def answer(self, reservation: Any, status: str, **more: Any) -> Any:
        """Update a reservation below its task."""
        return (
            self.desk.ws.tasks(reservation.task_sid)
            .reservations(reservation.sid)
            .update(reservation_status=status, **more)
        )

    def status(self, task_sid: str, wanted: str) -> Any:
        """The task, once it has that status."""
        return self.desk.eventually(
            self.desk.ws.tasks(task_sid).fetch,
            lambda task: bool(task.assignment_status == wanted),
            f"the task is {wanted}",
        )


def expect(actual: object, expected: object, what: str) -> None:
    """Both are the same, or the scenario is refuted."""
    if actual != expected:
        raise Refuted(f"{what}: expected {expected!r}, got {actual!r}")


def refusal(call: Callable[[], object], what: str) -> TwilioRestException:
    """The error of a call that has to be refused."""
    try:
        call()
    except TwilioRestException as error:
        return error
    raise Refuted(f"not refused: {what}")


@contextmanager
def desk_of(client: Client) -> Iterator[Desk]:
    """A workspace that lives as long as the block, under a name that nobody else has."""
    name = f"conformance {secrets.token_hex(6)}"
    workspace = client.taskrouter.v1.workspaces.create(friendly_name=name, template="FIFO")
    try:
        yield Desk(client, workspace.sid)
    finally:
        client.taskrouter.v1.workspaces(workspace.sid).delete()
