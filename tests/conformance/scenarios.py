"""What TaskRouter does, as stories: the same for a real account and for the local server.

Each story stands alone, with workers and a queue of its own. Its first line is its title.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from twilio.base.exceptions import TwilioException

from tests.conformance.desk import Desk, Refuted, expect, refusal

__all__ = ["SCENARIOS"]


def moved(desk: Desk, worker_sid: str, activity_sid: str) -> None:
    desk.eventually(
        desk.ws.workers(worker_sid).fetch,
        lambda worker: bool(worker.activity_sid == activity_sid),
        "the worker has moved to that activity",
    )


def template(desk: Desk) -> None:
    """The FIFO template brings three activities, a queue, a workflow and its task channels."""
    queues, workflows = desk.ws.task_queues.list(), desk.ws.workflows.list()
    expect(len(queues) >= 1, True, "there is a queue")
    expect(queues[0].target_workers, "1==1", "its expression")
    expect(workflows[0].task_reservation_timeout, 120, "the workflow's reservation timeout")
    channels = [channel.unique_name for channel in desk.ws.task_channels.list()]
    for name in ("default", "voice", "sms", "chat", "video"):
        expect(name in channels, True, f"the task channel {name} is there")
    desk.note("names of the template", f"{queues[0].friendly_name} / {workflows[0].friendly_name}")


def whole_life(desk: Desk) -> None:
    """A task waits for its worker, is reserved, accepted, wrapped up and completed."""
    team = desk.team()
    nina = team.hire("nina", activity=desk.offline)
    task = team.task(topic="cards")
    created = desk.ws.tasks(task).fetch()
    expect(created.assignment_status, "pending", "the status of a task for which nobody is free")
    expect(created.task_queue_sid, team.queue.sid, "its queue")
    desk.ws.workers(nina).update(activity_sid=desk.available)
    [offer] = team.reservations(task)
    expect(offer.worker_sid, nina, "the worker of its reservation")
    expect(team.answer(offer, "accepted").reservation_status, "accepted", "the answer to an acceptance")
    team.status(task, "assigned")
    expect(desk.ws.tasks(task).update(assignment_status="wrapping").assignment_status, "wrapping", "the task")
    team.reservations(task, status="wrapping")
    done = desk.ws.tasks(task).update(assignment_status="completed", reason="solved")
    expect((done.assignment_status, done.reason), ("completed", "solved"), "the completed task")
    team.reservations(task, status="completed")


def rejection(desk: Desk) -> None:
    """A rejected reservation moves its worker where it says, and its task to the next worker."""
    team = desk.team()
    nina = team.hire("nina")
    task = team.task()
    [offer] = team.reservations(task)
    team.answer(offer, "rejected", worker_activity_sid=desk.unavailable)
    moved(desk, nina, desk.unavailable)
    team.status(task, "pending")
    omar = team.hire("omar")
    expect([r.worker_sid for r in team.reservations(task)], [omar], "the worker of the next reservation")


def timeout(desk: Desk) -> None:
    """A reservation that nobody answers times out, and its worker goes to the timeout activity."""
    team = desk.team()
    team.add_workflow(
        {"task_routing": {"default_filter": {"queue": team.queue.sid}}}, task_reservation_timeout=1
    )
    nina = team.hire("nina")
    task = team.task()
    team.reservations(task, status="timeout")
    moved(desk, nina, desk.ws.fetch().timeout_activity_sid)
    team.status(task, "pending")


def several(desk: Desk) -> None:
    """Of several reservations the first acceptance wins; the others are rescinded and answer 410."""
    team = desk.team(max_reserved_workers=2)
    team.hire("nina"), team.hire("omar")
    task = team.task()
    first, second = team.reservations(task, 2)
    team.answer(first, "accepted")
    team.reservations(task, status="rescinded")
    error = refusal(lambda: team.answer(second, "accepted"), "to accept a rescinded reservation")
    expect(error.status, 410, "the status of that refusal")
    desk.note("code of an accepted rescinded reservation", error.code)


def capacity(desk: Desk) -> None:
    """A worker gets one task of a channel at a time, and the next when the first is done."""
    team = desk.team()
    nina = team.hire("nina")
    [channel] = [
        c for c in desk.ws.workers(nina).worker_channels.list() if c.task_channel_unique_name == "default"
    ]
    desk.note("capacity of a new worker channel", channel.configured_capacity)
    desk.ws.workers(nina).worker_channels(channel.sid).update(capacity=1)
    first = team.task()
    [offer] = team.reservations(first)
    second = team.task()
    team.answer(offer, "accepted")
    expect(desk.ws.tasks(second).reservations.list(), [], "the reservations of the second task")
    held = desk.ws.workers(nina).worker_channels(channel.sid).fetch()
    expect((held.assigned_tasks, held.available_capacity_percentage), (1, 0), "the channel's load")
    desk.ws.tasks(first).update(assignment_status="completed", reason="done")
    team.reservations(second)


def priority(desk: Desk) -> None:
    """Of two waiting tasks the one with the higher priority is served first."""
    team = desk.team()
    ordinary = team.task()
    urgent = team.task(priority=10)
    team.hire("nina")
    team.reservations(urgent)
    expect(desk.ws.tasks(ordinary).reservations.list(), [], "the reservations of the other task")


def filters(desk: Desk) -> None:
    """The first filter that matches takes a task; its target sets queue and priority."""
    team = desk.team()
    other = desk.ws.task_queues.create(friendly_name=f"{team.name} other", target_workers="1==2")
    team.add_workflow(
        {
            "task_routing": {
                "filters": [
                    {"expression": 'topic == "cards" AND vip == true', "targets": [{"queue": other.sid}]},
                    {
                        "expression": 'topic IN ["cards"]',
                        "targets": [{"queue": team.queue.sid, "priority": 7}],
                    },
                ],
                "default_filter": {"queue": other.sid},
            }
        }
    )
    cards = desk.ws.tasks(team.task(topic="cards")).fetch()
    expect((cards.task_queue_sid, cards.priority), (team.queue.sid, 7), "queue and priority")
    rest = desk.ws.tasks(team.task(topic="loans")).fetch()
    expect((rest.task_queue_sid, rest.priority), (other.sid, 0), "queue and priority by default")


def skills(desk: Desk) -> None:
    """A target's expression matches task and worker; order_by says who comes first."""
    team = desk.team()
    team.add_workflow(
        {
            "task_routing": {
                "filters": [
                    {
                        "expression": "1==1",
                        "targets": [
                            {
                                "queue": team.queue.sid,
                                "expression": "task.lang IN worker.langs",
                                "order_by": "worker.level DESC",
                            }
                        ],
                    }
                ]
            }
        }
    )
    team.hire("best", langs=["es"], level=9)
    team.hire("junior", langs=["pt"], level=1)
    senior = team.hire("senior", langs=["pt", "es"], level=5)
    [offer] = team.reservations(team.task(lang="pt"))
    expect(offer.worker_sid, senior, "the worker who was chosen")


def versions(desk: Desk) -> None:
    """A change that names a version which is not the present one is refused with 412."""
    team = desk.team()
    task = team.task()
    desk.ws.tasks(task).update(attributes='{"changed": 1}')
    error = refusal(
        lambda: desk.ws.tasks(task).update(attributes='{"changed": 2}', if_match="999"), "a stale update"
    )
    expect(error.status, 412, "the status of that refusal")
    desk.note("code of a stale version", error.code)
    headers = desk.ws.tasks(task).fetch_with_http_info().headers
    etag = next((value for name, value in headers.items() if name.lower() == "etag"), None)
    desk.note("form of an ETag", json.dumps(etag))


def refusals(desk: Desk) -> None:
    """What cannot be is refused with 400 and code 20001."""
    team = desk.team()
    task = team.task()
    team.hire("nina", activity=desk.offline)
    cases: dict[str, Callable[[], object]] = {
        "to complete a pending task": lambda: desk.ws.tasks(task).update(assignment_status="completed"),
        "a broken expression": lambda: desk.ws.task_queues.create(
            friendly_name=f"{team.name} broken", target_workers="lang =="
        ),
        "a name that is taken": lambda: team.hire("NINA", activity=desk.offline),
        "to delete the default activity": lambda: desk.ws.activities(
            desk.ws.fetch().default_activity_sid
        ).delete(),
    }
    for what, call in cases.items():
        error = refusal(call, what)
        expect(error.status, 400, f"the status for {what}")
        desk.note(f"refusal of {what}", f"{error.code} {error.msg}")


def cancellation(desk: Desk) -> None:
    """A waiting task can be canceled; one that is assigned cannot."""
    team = desk.team()
    waiting = team.task()
    canceled = desk.ws.tasks(waiting).update(assignment_status="canceled", reason="no need")
    expect((canceled.assignment_status, canceled.reason), ("canceled", "no need"), "the canceled task")
    team.hire("nina")
    assigned = team.task()
    [offer] = team.reservations(assigned)
    team.answer(offer, "accepted")
    error = refusal(
        lambda: desk.ws.tasks(assigned).update(assignment_status="canceled"), "to cancel an assigned task"
    )
    expect(error.status, 400, "the status of that refusal")


def unknown(desk: Desk) -> None:
    """What does not exist answers 404 with code 20404."""
    error = refusal(lambda: desk.ws.tasks("WT" + "0" * 32).fetch(), "to fetch a task that never was")
    expect((error.status, error.code), (404, 20404), "status and code")


def paging(desk: Desk) -> None:
    """Lists come in pages; the page number alone leads nowhere."""
    team = desk.team()
    names = [team.hire(name, activity=desk.offline) for name in ("a", "b", "c")]
    expression = f'team == "{team.name}"'
    listed = desk.ws.workers.list(target_workers_expression=expression, page_size=2)
    expect(sorted(worker.sid for worker in listed), sorted(names), "the workers of all pages")
    desk.note("order of a list of workers", [names.index(worker.sid) for worker in listed])
    try:
        desk.ws.workers.page(page_size=2, page_number=1)
    except TwilioException as error:
        _, response = error.args
        expect(response.status_code, 400, "the status for an absolute page")
        desk.note("code of an absolute page", json.loads(response.text)["code"])
    else:
        raise Refuted("an absolute page was answered")


def events(desk: Desk) -> None:
    """The life of a task can be read as events."""
    team = desk.team()
    team.hire("nina")
    task = team.task()
    [offer] = team.reservations(task)
    team.answer(offer, "accepted")
    desk.ws.tasks(task).update(assignment_status="completed", reason="done")
    wanted = {
        "task.created",
        "workflow.entered",
        "workflow.target-matched",
        "task-queue.entered",
        "reservation.created",
        "reservation.accepted",
        "reservation.completed",
        "task.completed",
    }
    found = desk.eventually(
        lambda: desk.ws.events.list(task_sid=task),
        lambda told: wanted <= {event.event_type for event in told},
        f"the events {', '.join(sorted(wanted))}",
    )
    desk.note("events of a task's life, newest first", ", ".join(event.event_type for event in found))


def statistics(desk: Desk) -> None:
    """Statistics count what waits and who is free."""
    team = desk.team()
    team.hire("nina", activity=desk.offline)
    team.task()
    found = desk.eventually(
        lambda: desk.ws.task_queues(team.queue.sid).real_time_statistics().fetch(),
        lambda stats: bool(stats.total_tasks),
        "the queue's statistics count its task",
    )
    expect(found.tasks_by_status["pending"], 1, "the pending tasks")
    expect(found.total_eligible_workers, 1, "the queue's workers")
    expect(found.total_available_workers, 0, "those of them who are available")


SCENARIOS: Final[tuple[Callable[[Desk], None], ...]] = (
    template,
    whole_life,
    rejection,
    timeout,
    several,
    capacity,
    priority,
    filters,
    skills,
    versions,
    refusals,
    cancellation,
    unknown,
    paging,
    events,
    statistics,
)
