"""The `twilio` library drives every operation that it offers for TaskRouter.

What it offers is read from its own classes, what the operations are called from the OpenAPI document;
`DRIVES` says how each is driven, and what the library then sends and gets is recorded beneath it.
"""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import twilio.rest.taskrouter.v1 as library
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from server_stub import Settings, StubServer
from tests.interop import openapi
from tests.support import ServerInThread, close_client, rest_client

VERBS = {"create": "POST", "fetch": "GET", "list": "GET", "update": "POST", "delete": "DELETE"}
LONG_AGO = dt.datetime(2025, 3, 1, 9, 15, 30, tzinfo=dt.UTC)
HOOK = "http://127.0.0.1:9/hook"


class Recorder(TwilioHttpClient):  # type: ignore[misc] # the library is untyped
    """The library's own HTTP client, which notes each request and the status that it got."""

    def __init__(self) -> None:
        super().__init__(timeout=10)
        self.seen: list[tuple[str, str, int]] = []

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Response:
        response = super().request(method, url, *args, **options)
        self.seen.append((method, urlsplit(url).path, response.status_code))
        return response


def offered() -> dict[str, str]:
    """What the library offers: by operation id, the class and method that carry it out."""
    ids = {(operation.method, operation.shape): operation.id for operation in openapi.operations().values()}
    found: dict[str, str] = {}
    for module in pkgutil.walk_packages(library.__path__, library.__name__ + "."):
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            uri = re.search(r'self\._uri = \(?\s*"([^"]+)"', inspect.getsource(kind))
            if kind.__module__ != module.name or uri is None:
                continue
            for method, verb in VERBS.items():
                if method in vars(kind):
                    path = "/v1" + openapi.shape_of(uri[1])
                    place = module.name.removeprefix(library.__name__ + ".")
                    found[ids[verb, path]] = f"{place}.{name}.{method}"
    return found


class Bulk:
    """What the library wants for its one JSON body: something with `to_dict`."""

    def __init__(self, *sids: str) -> None:
        self._sids = sids

    def to_dict(self) -> dict[str, object]:
        return {"QueueSids": list(self._sids)}


class Desk:
    """A workspace that the drives build up, one after the other."""

    def __init__(self, client: Client, server: StubServer) -> None:
        self.workspaces = client.taskrouter.v1.workspaces
        self.server = server
        self.sids: dict[str, str] = {}

    @property
    def ws(self) -> Any:
        return self.workspaces(self.sids["workspace"])

    @property
    def stored(self) -> Any:
        """The domain's workspace."""
        return self.server.account.workspaces[self.sids["workspace"]]

    def __getattr__(self, name: str) -> str:
        """The SID of what was created under that name."""
        try:
            return self.sids[name]
        except KeyError:
            raise AttributeError(name) from None


def fields(instance: Any) -> dict[str, Any]:
    """Everything the server said about an object, as the library holds it."""
    shown = {name: value for name, value in vars(instance).items() if not name.startswith("_")}
    shown.pop("age", None)  # it goes on
    return shown


def made(create: Callable[..., Any], *, unseen: tuple[str, ...] = (), **given: Any) -> Any:
    """What `create` or `update` returns when it is given this; it must come back as it was given."""
    instance = create(**given)
    for name, value in given.items():
        if name not in unseen:
            assert getattr(instance, name) == value, name
    return instance


def same(context: Any, instance: Any, *, later: tuple[str, ...] = ()) -> None:
    """A fetch shows what creating or updating it showed, but for what only comes `later`."""
    ours, theirs = fields(context.fetch()), fields(instance)
    for name in later:
        del ours[name], theirs[name]
    assert ours == theirs


# --- The table ----------------------------------------------------------------------------------


def create_workspace(desk: Desk) -> None:
    created = made(
        desk.workspaces.create,
        friendly_name="desk",
        event_callback_url=HOOK,
        events_filter="task.created,reservation.created",
        multi_task_enabled=True,
        prioritize_queue_order="LIFO",
        template="FIFO",
        unseen=("template",),
    )
    desk.sids["workspace"] = created.sid
    same(desk.ws, created)


def update_workspace(desk: Desk) -> None:
    available = desk.ws.activities.list(available="true")[0].sid
    updated = made(
        desk.ws.update,
        friendly_name="front desk",
        default_activity_sid=available,
        timeout_activity_sid=available,
        events_filter="task.created",
        event_callback_url="",
        prioritize_queue_order="FIFO",
        multi_task_enabled=True,
    )
    assert desk.stored.friendly_name == "front desk"
    same(desk.ws, updated)


def create_activity(desk: Desk) -> None:
    created = made(desk.ws.activities.create, friendly_name="Lunch", available=False)
    desk.sids["activity"] = created.sid
    same(desk.ws.activities(created.sid), created)


def update_activity(desk: Desk) -> None:
    updated = made(desk.ws.activities(desk.activity).update, friendly_name="Break")
    same(desk.ws.activities(desk.activity), updated)


def create_task_channel(desk: Desk) -> None:
    created = made(
        desk.ws.task_channels.create,
        friendly_name="Fax",
        unique_name="fax",
        channel_optimized_routing=True,
    )
    desk.sids["task_channel"] = created.sid
    same(desk.ws.task_channels("fax"), created)


def update_task_channel(desk: Desk) -> None:
    updated = made(
        desk.ws.task_channels(desk.task_channel).update,
        friendly_name="Telefax",
        channel_optimized_routing=False,
    )
    same(desk.ws.task_channels(desk.task_channel), updated)


def create_task_queue(desk: Desk) -> None:
    created = made(
        desk.ws.task_queues.create,
        friendly_name="Cards",
        target_workers='skills HAS "cards"',
        max_reserved_workers=2,
        task_order="LIFO",
        reservation_activity_sid=desk.activity,
        assignment_activity_sid=desk.activity,
    )
    desk.sids["task_queue"] = created.sid
    same(desk.ws.task_queues(created.sid), created)


def update_task_queue(desk: Desk) -> None:
    updated = made(
        desk.ws.task_queues(desk.task_queue).update,
        friendly_name="Card questions",
        target_workers="1==1",
        max_reserved_workers=1,
        task_order="FIFO",
    )
    same(desk.ws.task_queues(desk.task_queue), updated)


def create_workflow(desk: Desk) -> None:
    routing = {"task_routing": {"filters": [], "default_filter": {"queue": desk.task_queue}}}
    created = made(
        desk.ws.workflows.create,
        friendly_name="Front desk",
        configuration=json.dumps(routing, indent=2),
        task_reservation_timeout=60,
        assignment_callback_url=HOOK,
        fallback_assignment_callback_url=HOOK,
    )
    desk.sids["workflow"] = created.sid
    same(desk.ws.workflows(created.sid), created)


def update_workflow(desk: Desk) -> None:
    workflow = desk.ws.workflows(desk.workflow)
    updated = made(
        workflow.update,
        friendly_name="Reception",
        task_reservation_timeout=90,
        assignment_callback_url="",
        fallback_assignment_callback_url="",
        re_evaluate_tasks="true",
        unseen=("re_evaluate_tasks", "assignment_callback_url", "fallback_assignment_callback_url"),
    )
    assert (updated.assignment_callback_url, updated.fallback_assignment_callback_url) == (None, None)
    same(workflow, updated)


def create_task(desk: Desk) -> None:
    created = made(
        desk.ws.tasks.create,
        attributes='{"topic":  "cards"}',
        priority=7,
        timeout=600,
        task_channel=desk.task_channel,
        virtual_start_time=LONG_AGO,
        workflow_sid=desk.workflow,
        unseen=("task_channel",),
    )
    desk.sids["task"] = created.sid
    assert created.task_channel_unique_name == "fax"
    assert desk.stored.tasks[created.sid].attributes == '{"topic":  "cards"}'
    same(desk.ws.tasks(created.sid), created, later=("task_queue_entered_date",))


def update_task(desk: Desk) -> None:
    updated = made(
        desk.ws.tasks(desk.task).update,
        attributes='{"topic": "loans"}',
        priority=3,
        task_channel="chat",
        virtual_start_time=LONG_AGO + dt.timedelta(hours=1),
        unseen=("task_channel",),
    )
    assert updated.task_channel_unique_name == "chat"
    same(desk.ws.tasks(desk.task), updated)


def create_worker(desk: Desk) -> None:
    created = made(
        desk.ws.workers.create,
        friendly_name="nina",
        activity_sid=desk.activity,
        attributes='{"skills": ["cards"]}',
    )
    desk.sids["worker"] = created.sid
    same(desk.ws.workers(created.sid), created)


def update_worker_channel(desk: Desk) -> None:
    channel = desk.ws.workers(desk.worker).worker_channels("chat")
    updated = made(channel.update, capacity=3, available=True, unseen=("capacity",))
    assert updated.configured_capacity == 3
    same(channel, updated)


def update_worker(desk: Desk) -> None:
    """It makes her available: the waiting task is reserved for her."""
    updated = made(
        desk.ws.workers(desk.worker).update,
        friendly_name="Nina",
        attributes='{"skills": []}',
        activity_sid=desk.ws.activities.list(friendly_name="Available")[0].sid,
    )
    same(desk.ws.workers(desk.worker), updated)


def update_task_reservation(desk: Desk) -> None:
    [reservation] = desk.ws.tasks(desk.task).reservations.list(worker_sid=desk.worker)
    desk.sids["reservation"] = reservation.sid
    view = desk.ws.tasks(desk.task).reservations(reservation.sid)
    same(view, made(view.update, reservation_status="accepted"))
    assert desk.stored.reservations[reservation.sid].status == "accepted"


def update_worker_reservation(desk: Desk) -> None:
    view = desk.ws.workers(desk.worker).reservations(desk.reservation)
    same(view, made(view.update, reservation_status="wrapping"))


def fetch(collection: str, name: str) -> Callable[[Desk], None]:
    """Fetch what has that name, which shows the list's item."""

    def drive(desk: Desk) -> None:
        sid = desk.sids[name]
        [listed] = [item for item in getattr(desk.ws, collection).list() if item.sid == sid]
        same(getattr(desk.ws, collection)(sid), listed)

    return drive


def listing(collection: str, name: str, **filters: Any) -> Callable[[Desk], None]:
    """List what has that name by these filters, `{name}` in them stands for its SID."""

    def drive(desk: Desk) -> None:
        given = {
            key: value.format(**desk.sids) if isinstance(value, str) else value
            for key, value in filters.items()
        }
        assert desk.sids[name] in [item.sid for item in getattr(desk.ws, collection).list(**given)]

    return drive


def delete(collection: str, name: str) -> Callable[[Desk], None]:
    """Delete what has that name."""

    def drive(desk: Desk) -> None:
        context = getattr(desk.ws, collection)(desk.sids[name])
        assert context.delete()
        assert desk.sids[name] not in [item.sid for item in getattr(desk.ws, collection).list()]

    return drive


def list_workspace(desk: Desk) -> None:
    [found] = desk.workspaces.list(friendly_name="front desk")
    same(desk.ws, found)


def fetch_workspace(desk: Desk) -> None:
    assert desk.ws.fetch().sid == desk.workspace


def list_worker_channel(desk: Desk) -> None:
    channels = desk.ws.workers(desk.worker).worker_channels.list()
    assert {channel.task_channel_unique_name for channel in channels} > {"default", "voice", "chat", "fax"}


def fetch_worker_channel(desk: Desk) -> None:
    channels = desk.ws.workers(desk.worker).worker_channels
    for channel in channels.list():
        same(channels(channel.sid), channel)


def list_task_reservation(desk: Desk) -> None:
    [found] = desk.ws.tasks(desk.task).reservations.list(reservation_status="accepted")
    assert found.sid == desk.reservation


def fetch_task_reservation(desk: Desk) -> None:
    fetched = desk.ws.tasks(desk.task).reservations(desk.reservation).fetch()
    assert (fetched.worker_name, fetched.reservation_status) == ("Nina", "accepted")


def list_worker_reservation(desk: Desk) -> None:
    [found] = desk.ws.workers(desk.worker).reservations.list(reservation_status="wrapping")
    assert found.sid == desk.reservation


def fetch_worker_reservation(desk: Desk) -> None:
    fetched = desk.ws.workers(desk.worker).reservations(desk.reservation).fetch()
    assert (fetched.task_sid, fetched.worker_sid) == (desk.task, desk.worker)


def list_event(desk: Desk) -> None:
    events = desk.ws.events.list(task_sid=desk.task, worker_sid=desk.worker)
    assert [event.event_type for event in events] == [
        "reservation.wrapup",
        "reservation.accepted",
        "reservation.created",
    ]
    desk.sids["event"] = events[0].sid
    assert events[0].event_data["reservation_sid"] == desk.reservation
    assert isinstance(events[0].event_date, dt.datetime)


def fetch_event(desk: Desk) -> None:
    [listed] = desk.ws.events.list(sid=desk.event)
    same(desk.ws.events(desk.event), listed)


def workspace_statistics(desk: Desk) -> None:
    both = desk.ws.statistics().fetch(minutes=5, split_by_wait_time="5,30")
    assert both.realtime["total_tasks"] == 1
    assert both.cumulative["tasks_created"] == 1
    assert both.cumulative["split_by_wait_time"]["30"]["below"]["reservations_accepted"] == 1
    assert both.cumulative["avg_task_acceptance_time"] >= 0


def workspace_real_time_statistics(desk: Desk) -> None:
    numbers = desk.ws.real_time_statistics().fetch(task_channel="chat")
    assert numbers.tasks_by_status == {"pending": 0, "reserved": 0, "assigned": 0, "wrapping": 1}
    assert (numbers.total_tasks, numbers.total_workers, numbers.tasks_by_priority) == (1, 1, {"3": 1})
    assert (numbers.longest_task_waiting_age, numbers.longest_task_waiting_sid) == (0, None)


def workspace_cumulative_statistics(desk: Desk) -> None:
    numbers = desk.ws.cumulative_statistics().fetch()
    assert (numbers.tasks_created, numbers.reservations_accepted, numbers.tasks_completed) == (1, 1, 0)
    assert numbers.end_time - numbers.start_time == dt.timedelta(minutes=15)


def workflow_statistics(desk: Desk) -> None:
    both = desk.ws.workflows(desk.workflow).statistics().fetch(start_date=LONG_AGO)
    assert (both.realtime["total_tasks"], both.cumulative["tasks_entered"]) == (1, 1)


def workflow_real_time_statistics(desk: Desk) -> None:
    numbers = desk.ws.workflows(desk.workflow).real_time_statistics().fetch()
    assert (numbers.workflow_sid, numbers.total_tasks) == (desk.workflow, 1)


def workflow_cumulative_statistics(desk: Desk) -> None:
    numbers = desk.ws.workflows(desk.workflow).cumulative_statistics().fetch(end_date=LONG_AGO)
    assert (numbers.end_time, numbers.tasks_entered) == (LONG_AGO, 0)


def task_queue_statistics(desk: Desk) -> None:
    both = desk.ws.task_queues(desk.task_queue).statistics().fetch()
    assert (both.realtime["total_tasks"], both.cumulative["tasks_entered"]) == (1, 1)


def task_queue_real_time_statistics(desk: Desk) -> None:
    numbers = desk.ws.task_queues(desk.task_queue).real_time_statistics().fetch()
    assert (numbers.total_eligible_workers, numbers.total_available_workers) == (1, 1)
    shown = {entry["friendly_name"]: entry["workers"] for entry in numbers.activity_statistics}
    assert shown == {"Offline": 0, "Available": 1, "Unavailable": 0, "Break": 0}


def task_queue_cumulative_statistics(desk: Desk) -> None:
    numbers = desk.ws.task_queues(desk.task_queue).cumulative_statistics().fetch(task_channel="chat")
    assert (numbers.reservations_created, numbers.reservations_accepted) == (1, 1)
    assert numbers.wait_duration_in_queue_until_accepted["max"] <= 60


def task_queues_statistics(desk: Desk) -> None:
    found = desk.ws.task_queues.statistics.list(friendly_name="Card questions")
    assert [item.task_queue_sid for item in found] == [desk.task_queue]
    assert found[0].realtime["total_tasks"] == 1


def bulk_real_time_statistics(desk: Desk) -> None:
    bulk = desk.ws.task_queues.bulk_real_time_statistics.create(Bulk(desk.task_queue, "WQ" + "0" * 32))
    assert bulk.task_queue_response_count == 1
    assert bulk.task_queue_data[0]["task_queue_sid"] == desk.task_queue
    assert bulk.task_queue_data[0]["total_tasks"] == 1


def workers_statistics(desk: Desk) -> None:
    both = desk.ws.workers.statistics().fetch(task_queue_sid=desk.task_queue, friendly_name="Nina")
    assert both.realtime["total_workers"] == 1
    assert both.cumulative["reservations_accepted"] == 1
    assert desk.ws.workers.statistics().fetch(friendly_name="omar").realtime["total_workers"] == 0


def workers_real_time_statistics(desk: Desk) -> None:
    assert desk.ws.workers.real_time_statistics().fetch().total_workers == 1


def workers_cumulative_statistics(desk: Desk) -> None:
    numbers = desk.ws.workers.cumulative_statistics().fetch()
    assert (numbers.reservations_created, numbers.reservations_rejected) == (1, 0)
    assert [entry["friendly_name"] for entry in numbers.activity_durations] == [
        "Offline",
        "Available",
        "Unavailable",
        "Break",
    ]


def worker_statistics(desk: Desk) -> None:
    numbers = desk.ws.workers(desk.worker).statistics().fetch()
    assert (numbers.worker_sid, numbers.cumulative["reservations_accepted"]) == (desk.worker, 1)


def delete_worker(desk: Desk) -> None:
    desk.ws.tasks(desk.task).update(assignment_status="completed", reason="solved")
    delete("workers", "worker")(desk)


def delete_workspace(desk: Desk) -> None:
    assert desk.ws.delete()
    assert desk.workspace not in [workspace.sid for workspace in desk.workspaces.list()]


DRIVES: dict[str, Callable[[Desk], None]] = {
    "CreateWorkspace": create_workspace,
    "UpdateWorkspace": update_workspace,
    "FetchWorkspace": fetch_workspace,
    "ListWorkspace": list_workspace,
    "CreateActivity": create_activity,
    "UpdateActivity": update_activity,
    "FetchActivity": fetch("activities", "activity"),
    "ListActivity": listing("activities", "activity", friendly_name="Break", available="false"),
    "CreateTaskChannel": create_task_channel,
    "UpdateTaskChannel": update_task_channel,
    "FetchTaskChannel": fetch("task_channels", "task_channel"),
    "ListTaskChannel": listing("task_channels", "task_channel"),
    "CreateTaskQueue": create_task_queue,
    "UpdateTaskQueue": update_task_queue,
    "FetchTaskQueue": fetch("task_queues", "task_queue"),
    "ListTaskQueue": listing("task_queues", "task_queue", friendly_name="Card questions"),
    "CreateWorkflow": create_workflow,
    "UpdateWorkflow": update_workflow,
    "FetchWorkflow": fetch("workflows", "workflow"),
    "ListWorkflow": listing("workflows", "workflow", friendly_name="Reception"),
    "CreateTask": create_task,
    "UpdateTask": update_task,
    "FetchTask": fetch("tasks", "task"),
    "ListTask": listing("tasks", "task", workflow_sid="{workflow}", assignment_status=["pending"]),
    "CreateWorker": create_worker,
    "UpdateWorkerChannel": update_worker_channel,
    "FetchWorkerChannel": fetch_worker_channel,
    "ListWorkerChannel": list_worker_channel,
    "UpdateWorker": update_worker,
    "FetchWorker": fetch("workers", "worker"),
    "ListWorker": listing("workers", "worker", task_queue_sid="{task_queue}", friendly_name="Nina"),
    "UpdateTaskReservation": update_task_reservation,
    "FetchTaskReservation": fetch_task_reservation,
    "ListTaskReservation": list_task_reservation,
    "UpdateWorkerReservation": update_worker_reservation,
    "FetchWorkerReservation": fetch_worker_reservation,
    "ListWorkerReservation": list_worker_reservation,
    "ListEvent": list_event,
    "FetchEvent": fetch_event,
    "FetchWorkspaceStatistics": workspace_statistics,
    "FetchWorkspaceRealTimeStatistics": workspace_real_time_statistics,
    "FetchWorkspaceCumulativeStatistics": workspace_cumulative_statistics,
    "FetchWorkflowStatistics": workflow_statistics,
    "FetchWorkflowRealTimeStatistics": workflow_real_time_statistics,
    "FetchWorkflowCumulativeStatistics": workflow_cumulative_statistics,
    "FetchTaskQueueStatistics": task_queue_statistics,
    "FetchTaskQueueRealTimeStatistics": task_queue_real_time_statistics,
    "FetchTaskQueueCumulativeStatistics": task_queue_cumulative_statistics,
    "ListTaskQueuesStatistics": task_queues_statistics,
    "CreateTaskQueueBulkRealTimeStatistics": bulk_real_time_statistics,
    "FetchWorkerStatistics": workers_statistics,
    "FetchWorkersRealTimeStatistics": workers_real_time_statistics,
    "FetchWorkersCumulativeStatistics": workers_cumulative_statistics,
    "FetchWorkerInstanceStatistics": worker_statistics,
    "DeleteWorker": delete_worker,
    "DeleteTask": delete("tasks", "task"),
    "DeleteWorkflow": delete("workflows", "workflow"),
    "DeleteTaskQueue": delete("task_queues", "task_queue"),
    "DeleteTaskChannel": delete("task_channels", "task_channel"),
    "DeleteActivity": delete("activities", "activity"),
    "DeleteWorkspace": delete_workspace,
}
"""How each operation is driven, in the order in which they build on each other."""


# --- The tests ----------------------------------------------------------------------------------


@pytest.fixture
def recorded() -> Iterator[tuple[Desk, Recorder]]:
    """A server, and a client whose requests are noted."""
    with ServerInThread(Settings(port=0)) as server:
        client = rest_client(server)
        client.http_client.session.close()
        client.http_client = Recorder()
        yield Desk(client, server), client.http_client
        close_client(client)


def test_table_holds_every_operation_that_the_library_and_the_document_have() -> None:
    assert set(DRIVES) == set(offered()) == set(openapi.operations())
    assert len(DRIVES) == 61


def test_library_drives_every_operation(
    recorded: tuple[Desk, Recorder], record_testsuite_property: Callable[[str, object], None]
) -> None:
    desk, recorder = recorded
    carried_out = offered()
    for operation_id, drive in DRIVES.items():
        recorder.seen.clear()
        drive(desk)
        statuses = {
            status for method, path, status in recorder.seen if openapi.find(method, path).id == operation_id
        }
        operation = openapi.operations()[operation_id]
        assert statuses == {operation.status}, operation_id
        row = f"{operation.method} {operation.path} -> {operation.status} by {carried_out[operation_id]}"
        record_testsuite_property(operation_id, row)
        print(f"{operation_id}: {row}")  # noqa: T201 - the table, shown by `pytest -s`
