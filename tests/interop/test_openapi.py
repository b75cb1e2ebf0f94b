"""Twilio's OpenAPI document against the server: schemathesis makes the requests and reads the answers.

Each operation is called once as it is meant to be called, and then with whatever the document allows
and forbids; SIDs and names that exist are filled in, or nothing but 404 would come back. Every answer
must have a status of the document's or of the API's general ones, and the shape that goes with it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests.auth import HTTPBasicAuth
from schemathesis.core import NotSet
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)

from server_stub import Settings, StubServer
from tests.budget import examples
from tests.interop import openapi
from tests.support import ServerInThread

WITHOUT_ETAG = {
    "ListTask": "its header would name the version of one object, and a list shows many",
    "ListWorker": "the same",
    "ListTaskReservation": "the same",
    "ListWorkerReservation": "the same",
}
"""Operations whose answer has no ETag, though the document declares one, and why."""

VERSIONED = {
    operation_id for operation_id in openapi.operations() if openapi.declares_header(operation_id, "etag")
} - WITHOUT_ETAG.keys()

REFUSALS = {400, 404, 409, 410, 412}
"""What any operation may answer beside the one status of the document (REST API, status codes).

401, 403, 405 and 429 are not among them: nothing here asks without credentials, for what is
forbidden, with another method, or too often.
"""

CONFORM = [content_type_conformance, response_headers_conformance, response_schema_conformance]

EXCEPTIONS: dict[tuple[str, str, str], str] = {
    ("taskrouter.v1.workspace", "event_callback_url", "format"): (
        "an address that is not set is an empty text, which is no URI: the live service answers so too"
    ),
}
"""What of the document does not hold: schema, property and the keyword that is left out, and why."""


def corrected() -> openapi.Json:
    """The document without the keywords that do not hold."""
    document = copy.deepcopy(openapi.document())
    for schema, name, keyword in EXCEPTIONS:
        del document["components"]["schemas"][schema]["properties"][name][keyword]
    return document


SCHEMA = schemathesis.openapi.from_dict(corrected())


class Desk:
    """A workspace over REST, with something of everything in it."""

    def __init__(self, server: StubServer, session: requests.Session) -> None:
        self.server = server
        self.session = session
        self.sids: dict[str, str] = {}
        self.configuration = ""

    def post(self, path: str, **form: object) -> dict[str, Any]:
        """A request that must succeed."""
        response = self.session.post(f"{self.server.rest_url}/v1/Workspaces{path}", data=form)
        assert response.ok, response.text
        body: dict[str, Any] = response.json()
        return body

    def get(self, path: str) -> dict[str, Any]:
        body: dict[str, Any] = self.session.get(f"{self.server.rest_url}/v1/Workspaces{path}").json()
        return body

    def arrange(self) -> None:
        """Everything anew."""
        ws = self.post("", FriendlyName="desk", Template="FIFO")["sid"]
        activities = self.get(f"/{ws}/Activities")["activities"]
        available = next(a["sid"] for a in activities if a["available"])
        lunch = self.post(f"/{ws}/Activities", FriendlyName="Lunch")["sid"]
        queue = self.post(f"/{ws}/TaskQueues", FriendlyName="Unused")["sid"]
        routing = {
            "task_routing": {
                "default_filter": {"queue": self.get(f"/{ws}/TaskQueues")["task_queues"][0]["sid"]}
            }
        }
        workflow = self.post(f"/{ws}/Workflows", FriendlyName="Unused", Configuration=json.dumps(routing))[
            "sid"
        ]
        channel = self.post(f"/{ws}/TaskChannels", FriendlyName="Fax", UniqueName="fax")["sid"]
        busy = self.post(f"/{ws}/Workers", FriendlyName="nina", ActivitySid=available)["sid"]
        idle = self.post(f"/{ws}/Workers", FriendlyName="omar")["sid"]
        task = self.post(f"/{ws}/Tasks", RoutingTarget=busy)["sid"]
        reservation = self.get(f"/{ws}/Tasks/{task}/Reservations")["reservations"][0]["sid"]
        worker_channel = self.get(f"/{ws}/Workers/{busy}/Channels")["channels"][0]["sid"]
        event = self.get(f"/{ws}/Events")["events"][0]["sid"]
        self.configuration = json.dumps(routing)
        self.sids = {
            "Workspaces": ws,
            "Activities": lunch,
            "TaskQueues": queue,
            "Workflows": workflow,
            "TaskChannels": channel,
            "Workers": busy,
            "Tasks": task,
            "Reservations": reservation,
            "Channels": worker_channel,
            "Events": event,
            "Idle": idle,
            "Available": available,
        }

    def path_parameters(self, operation: openapi.Operation) -> dict[str, str]:
        """Existing SIDs for the variables of the operation's path."""
        parts = operation.path.split("/")
        named = {
            part.strip("{}"): self.sids[parts[place - 1]]
            for place, part in enumerate(parts)
            if part.startswith("{")
        }
        if operation.id == "DeleteWorker":
            named["Sid"] = self.sids["Idle"]  # one with a reservation is not deleted
        return named

    def known(self, name: str) -> list[object]:
        """Values that mean something for a parameter of that name."""
        sids, kind = self.sids, name.removesuffix("Sid")
        activities: list[object] = [sids["Activities"], sids["Available"]]
        known: dict[str, list[object]] = {
            "Worker": [sids["Workers"], sids["Idle"]],
            "TaskQueue": [sids["TaskQueues"]],
            "Workflow": [sids["Workflows"]],
            "Task": [sids["Tasks"]],
            "Reservation": [sids["Reservations"]],
            "": [sids["Events"]],
            "Attributes": ["{}", '{"skills": ["a"]}', "[]"],
            "Configuration": [self.configuration, "{}"],
            "RoutingTarget": [sids["Workers"], sids["TaskQueues"], sids["Workflows"]],
            "TaskChannel": ["chat", sids["TaskChannels"]],
            "TargetWorkers": ["1==1", 'skills HAS "a"', ""],
            "TargetWorkersExpression": ["1==1", "skills HAS"],
            "EvaluateTaskAttributes": ['lang == "pt"', "lang =="],
            "EvaluateWorkerAttributes": ["{}", "[]"],
            "Ordering": ["DateCreated:asc", "Priority:desc,DateCreated:asc", "DateStatusChanged:desc"],
            "AssignmentStatus": ["completed", "canceled", "wrapping"],
            "ReservationStatus": ["accepted", "rejected", "wrapping", "completed"],
            "Instruction": ["accept", "reject"],
            "SplitByWaitTime": ["5,30", "5,x"],
            "StartDate": ["2025-03-01T09:15:30Z"],
            "Template": ["FIFO", "NONE"],
            "EventsFilter": ["task.created, reservation.created", "nothing"],
            "PageToken": ["PA" + sids["Events"], "PB"],
            "Page": [0],
            "PageSize": [1, 1000],
            "Priority": [0, 5],
            "Timeout": [60],
            "UniqueName": ["letter"],
            "FriendlyName": ["Letters", "nina"],
        }
        return known.get(kind, activities if kind.endswith("Activity") else [])


@pytest.fixture(scope="module")
def server() -> Iterator[StubServer]:
    with ServerInThread(Settings(port=0)) as running:
        yield running


@pytest.fixture
def desk(server: StubServer) -> Iterator[Desk]:
    with requests.Session() as session:
        # Not as a pair: schemathesis would take that away now and then, to try without credentials.
        session.auth = HTTPBasicAuth(server.account_sid, server.auth_token)
        desk = Desk(server, session)
        desk.arrange()
        yield desk


REGULAR: dict[str, Callable[[Desk], dict[str, object]]] = {
    "CreateWorkspace": lambda _: {"FriendlyName": "night desk"},
    "CreateActivity": lambda _: {"FriendlyName": "Tea"},
    "CreateTaskChannel": lambda _: {"FriendlyName": "Letter", "UniqueName": "letter"},
    "CreateTaskQueue": lambda _: {"FriendlyName": "Loans"},
    "CreateWorkflow": lambda desk: {"FriendlyName": "Loans", "Configuration": desk.configuration},
    "CreateWorker": lambda _: {"FriendlyName": "pia"},
    "CreateTask": lambda desk: {"WorkflowSid": desk.sids["Workflows"]},
    "CreateTaskQueueBulkRealTimeStatistics": lambda desk: {"QueueSids": [desk.sids["TaskQueues"]]},
    "UpdateTask": lambda _: {"Attributes": '{"lang": "pt"}'},
    "UpdateTaskReservation": lambda _: {"ReservationStatus": "accepted"},
    "UpdateWorkerReservation": lambda _: {"ReservationStatus": "accepted"},
}
"""A request as it is meant, where it needs a body; operations that are not here need none."""

WEARS_OUT = {
    "UpdateTask",
    "UpdateTaskReservation",
    "UpdateWorkerReservation",
    *(operation_id for operation_id in openapi.operations() if operation_id.startswith("Delete")),
}
"""Operations after whose success the same request means nothing any more."""


def check(operation: openapi.Operation, case: Any, response: Any) -> None:
    """The answer is one that the document, or the API in general, provides for."""
    if response.status_code != operation.status:
        assert response.status_code in REFUSALS, case.as_curl_command()
        check_refusal(response)
        return
    case.validate_response(response, checks=CONFORM)
    if operation.id in VERSIONED:
        assert re.fullmatch(r'"\d+"', *response.headers["etag"])


def check_refusal(response: Any) -> None:
    assert response.headers["content-type"] == ["application/json; charset=utf-8"]
    body = response.json()
    assert body.keys() - {"details"} == {"code", "message", "more_info", "status"}
    assert isinstance(body.get("details", {}), dict)
    assert body["status"] == response.status_code
    assert isinstance(body["code"], int)
    assert body["message"]


def parameters_of(operation: openapi.Operation) -> tuple[set[str], set[str]]:
    """The names of the operation's parameters in the query, and in the body."""
    described = openapi.document()["paths"][operation.path][operation.method.lower()]
    query = {parameter["name"] for parameter in described.get("parameters", []) if parameter["in"] == "query"}
    content = described.get("requestBody", {}).get("content", {})
    body = {name for media in content.values() for name in media["schema"].get("properties", {})}
    return query, body


def sensible(desk: Desk, names: set[str]) -> st.SearchStrategy[dict[str, object]]:
    """Some of these parameters, with values that mean something here."""
    known = {name: desk.known(name) for name in sorted(names)}
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in known.items() if values}
    )


@pytest.mark.hypothesis
@pytest.mark.parametrize("operation", openapi.operations().values(), ids=lambda operation: operation.id)
def test_operation_answers_as_the_document_says(operation: openapi.Operation, desk: Desk) -> None:
    described = SCHEMA[operation.path][operation.method]
    query_names, body_names = parameters_of(operation)

    def send(case: Any) -> int:
        response = case.call(base_url=desk.server.rest_url, session=desk.session)
        check(operation, case, response)
        if response.status_code == operation.status and operation.id in WEARS_OUT:
            desk.arrange()
        return int(response.status_code)

    body: Any = REGULAR[operation.id](desk) if operation.id in REGULAR else NotSet()
    is_json = operation.id == "CreateTaskQueueBulkRealTimeStatistics"
    regular = described.Case(
        path_parameters=desk.path_parameters(operation),
        body=body,
        media_type="application/json" if is_json else "application/x-www-form-urlencoded",
    )
    assert send(regular) == operation.status

    @settings(
        max_examples=examples(8),
        deadline=None,
        phases=[Phase.generate],  # the desk changes with every request: nothing to repeat or to shrink
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=st.one_of([described.as_strategy(generation_mode=mode) for mode in GenerationMode]),
        data=st.data(),
    )
    def explore(case: Any, data: st.DataObject) -> None:
        if data.draw(st.integers(0, 7), label="an unknown path") > 0:
            case.path_parameters = desk.path_parameters(operation)
        case.headers = data.draw(
            st.fixed_dictionaries({}, optional={"If-Match": st.sampled_from(["0", '"1"', 'W/"2"', "*", "x"])})
        )
        case.query = {**(case.query or {}), **data.draw(sensible(desk, query_names))}
        if isinstance(case.body, dict):
            case.body = {**case.body, **data.draw(sensible(desk, body_names))}
        send(case)

    explore()


def test_what_is_made_an_exception_of_is_in_the_document() -> None:
    assert len(openapi.operations()) == 61
    assert all(openapi.declares_header(operation_id, "etag") for operation_id in WITHOUT_ETAG)
    assert len(VERSIONED) == 8
    assert corrected() != openapi.document()
