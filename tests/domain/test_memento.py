"""A workspace that is stored and restored goes on as if nothing had happened."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from server_stub.domain.changes import Tracker
from server_stub.domain.entities import Registry
from server_stub.domain.memento import dump, restore
from server_stub.domain.model import Limits
from server_stub.domain.records import (
    FORMAT,
    DamagedDocument,
    EntityRecord,
    WorkspaceDocument,
    decode,
    encode,
)
from server_stub.domain.telephony import KEPT
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import WorkspaceTemplate
from tests.budget import examples, steps
from tests.domain.desk import Desk, configuration, pending, target
from tests.domain.desk import rule as filter_
from tests.domain.test_invariants import Commands, index
from tests.domain.twins import Rows, TwinDesk, Twins

INSTRUCTIONS: list[dict[str, Any]] = [
    {"instruction": "dequeue", "parameters": {"DequeueTo": "client:a"}},
    {
        "instruction": "call",
        "parameters": {"CallFrom": "+15550100", "CallUrl": "http://a.example/", "CallTo": "client:a"},
    },
    {
        "instruction": "redirect",
        "parameters": {
            "RedirectCallSid": "CA" + "0" * 32,
            "RedirectUrl": "http://a.example/",
            "RedirectAccept": True,
        },
    },
    {
        "instruction": "conference",
        "parameters": {
            "To": "client:a",
            "ConferenceStatusCallback": "http://a.example/",
            "ConferenceStatusCallbackEvent": ["start", "join", "leave", "end", "mute"],
            "EndConferenceOnExit": True,
        },
    },
]


class Restarts(Commands):
    """Random commands, some more of those that make entities go, and restarts in between."""

    desk_class: Any = TwinDesk

    @property
    def twins(self) -> Twins:
        return cast("Twins", self.desk.ws)

    @rule(from_rows=st.booleans())
    def restart(self, from_rows: bool) -> None:
        self.twins.restart(from_rows=from_rows)

    @rule(number=index, kind=st.sampled_from(INSTRUCTIONS))
    def instruct(self, number: int, kind: dict[str, Any]) -> None:
        if (reservation := self._reservation(number)) is not None:
            self._try("change_reservation", reservation.sid, **kind)

    @precondition(lambda self: self.desk.ws.telephony.calls)
    @rule(number=index)
    def hang_up(self, number: int) -> None:
        calls = list(self.desk.ws.telephony.calls)
        self._try("end_call", calls[number % len(calls)])

    @precondition(lambda self: self.desk.ws.telephony.conferences)
    @rule(number=index, mute=st.booleans())
    def mute(self, number: int, mute: bool) -> None:
        conferences = list(self.desk.ws.telephony.conferences.values())
        call = conferences[number % len(conferences)].participants[0].call
        self._try(
            "update_worker_participant",
            call.worker_sid,
            reservation_sid=call.reservation.sid,
            parameters={"Mute": mute},
        )

    @rule(number=index)
    def replace_queue(self, number: int) -> None:
        old = self._queue(number)
        new = self.desk.queue(f"queue {self.desk.ws.seq}")
        self.queues[number % 3] = new
        self.configurations = [text.replace(old.sid, new.sid) for text in self.configurations]
        for flow, text in zip(self.workflows, self.configurations, strict=True):
            self._try("update_workflow", flow.sid, configuration=text, re_evaluate_tasks=True)
        self._try("delete_task_queue", old.sid)

    @rule(number=index)
    def replace_workflow(self, number: int) -> None:
        old = self._workflow(number)
        self.workflows[number % 2] = self.desk.ws.create_workflow(
            friendly_name="another",
            configuration=self.configurations[number % 2],
            task_reservation_timeout=30,
        )
        self.desk.settle()
        self._try("delete_workflow", old.sid)

    @rule()
    def open_channel(self) -> None:
        if "fax" not in {c.unique_name for c in self.desk.ws.task_channels.values()}:
            self._try("create_task_channel", friendly_name="Fax", unique_name="fax")
            self._try("create_task", workflow_sid=self.workflows[0].sid, task_channel="fax")

    @rule()
    def close_channel(self) -> None:
        self._try("delete_task_channel", "fax")

    @rule(number=index)
    def pass_through_an_activity(self, number: int) -> None:
        activity = self.desk.ws.create_activity(friendly_name=f"break {self.desk.ws.seq}", available=True)
        worker = self._worker(number)
        before = worker.activity.sid
        self._try("update_worker", worker.sid, activity_sid=activity.sid)
        self._try("update_worker", worker.sid, activity_sid=before)
        self._try("delete_activity", activity.sid)

    @invariant()
    def the_twins_are_the_same_and_their_rows_are_complete(self) -> None:
        if hasattr(self, "desk"):
            self.twins.check()


Restarts.TestCase.settings = settings(
    max_examples=examples(25),
    stateful_step_count=steps(40),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestRestarts = Restarts.TestCase


def _restored(desk: Desk) -> Workspace:
    document = decode(encode(dump(desk.ws)))
    return restore(
        document, now=lambda: desk.time, sids=lambda prefix: prefix + "f" * 32, limits=desk.ws.limits
    )


def test_every_registry_is_watched_and_every_entity_has_a_record() -> None:
    ws = Desk().ws
    found = [value for owner in (ws, ws.telephony) for value in vars(owner).values()]
    registries = [value for value in found if isinstance(value, Registry)]
    assert len(registries) == len(ws.registries)
    assert all(any(registry is watched for watched in ws.registries) for registry in registries)


def test_an_entity_that_nobody_names_any_more_is_dropped_with_those_that_only_it_named() -> None:
    desk = Desk(limits=Limits(retention_seconds=60))
    desk.worker("ann", contact_uri="client:ann")
    task = desk.task()
    reservation = pending(task)
    desk.ws.change_reservation(reservation.sid, instruction="dequeue")
    desk.settle()
    [call] = desk.ws.telephony.calls.values()
    tracker = Tracker(desk.ws, is_stored=True)
    desk.set_status(task, "completed")
    desk.wait(61)
    assert task.sid not in desk.ws.tasks
    changes = tracker.take()
    gone = {r.sid for r in changes.written if isinstance(r, EntityRecord) and r.gone}
    assert gone == {task.sid, reservation.sid}  # the call names them still
    assert changes.removed == ()
    assert _restored(desk).telephony.calls[call.sid].reservation.sid == reservation.sid
    desk.ws.telephony.calls.pop(call.sid)  # as when it is one of too many
    assert set(tracker.take().removed) == {
        ("call", call.sid),
        ("reservation", reservation.sid),
        ("task", task.sid),
    }


@pytest.mark.parametrize("is_stored_before", [True, False])
def test_a_task_that_is_gone_does_not_care_what_becomes_of_its_workflow(is_stored_before: bool) -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    queue = desk.queue()
    flow = desk.workflow(
        filter_(target(queue), expression="vip", name="first"), filter_(target(queue), name="second")
    )
    desk.worker("ann", contact_uri="client:ann")
    rows, tracker = Rows(), Tracker(desk.ws, is_stored=False)
    task = desk.task(flow)
    desk.ws.change_reservation(pending(task).sid, instruction="dequeue")
    desk.settle()
    desk.set_status(task, "completed")
    desk.wait(desk.ws.limits.retention_seconds)
    assert (task.sid in desk.ws.tasks, len(desk.ws.telephony.calls)) == (
        False,
        1,
    )  # whose call names it still
    if is_stored_before:
        rows.take(tracker)
    text = configuration(filter_(target(queue), name="another"))
    desk.ws.update_workflow(flow.sid, configuration=text)
    desk.settle()
    rows.take(tracker)
    assert rows.head is not None
    stored = WorkspaceDocument(workspace=rows.head, records=tuple(rows.rows.values()))
    for document in (dump(desk.ws), stored):
        again = restore(document, now=lambda: 0.0, sids=lambda prefix: prefix, limits=Limits())
        assert [call.task.sid for call in again.telephony.calls.values()] == [task.sid]


def test_logs_keep_their_last_lines_and_drop_the_rows_of_the_others() -> None:
    desk = Desk()
    rows, tracker = Rows(), Tracker(desk.ws, is_stored=False)
    rows.take(tracker)
    desk.worker("ann")
    reservation = pending(desk.task())
    parameters = {"RedirectCallSid": "CA" + "0" * 32, "RedirectUrl": "http://a.example/"}
    for number in range(KEPT + 20):
        desk.ws.change_reservation(reservation.sid, instruction="redirect", parameters=parameters)
        desk.settle()
        if number % 300 == 0:
            rows.take(tracker)
    rows.take(tracker)
    kept = sorted(int(name) for kind, name in rows.rows if kind == "redirect")
    assert kept == list(range(21, KEPT + 21))
    again = _restored(desk)
    assert again.telephony.redirects == desk.ws.telephony.redirects
    assert again.telephony.redirects.total == KEPT + 20


def test_a_workspace_is_not_dumped_within_a_command() -> None:
    desk = Desk()
    desk.ws.create_activity(friendly_name="a break")
    with pytest.raises(RuntimeError, match="under way"):
        dump(desk.ws)


def test_nothing_is_noted_unless_it_changed() -> None:
    desk = Desk()
    tracker = Tracker(desk.ws, is_stored=True)
    assert not tracker.take()
    worker = desk.worker("ann")
    assert {type(record).__name__ for record in tracker.take().written} == {
        "WorkerRecord",
        "WorkerChannelRecord",
    }
    desk.move(worker, desk.unavailable)
    changes = tracker.take()
    assert [record.sid for record in changes.written if isinstance(record, EntityRecord)] == [worker.sid]


def test_a_watched_registry_cannot_be_changed_unnoticed() -> None:
    ws = Desk().ws
    Tracker(ws, is_stored=True)
    with pytest.raises(TypeError, match="one entity at a time"):
        ws.tasks.clear()
    with pytest.raises(TypeError, match="one entity at a time"):
        ws.tasks.update({})


def _damaged(desk: Desk, kind: str, **fields: object) -> WorkspaceDocument:
    document = json.loads(encode(dump(desk.ws)))
    for record in document["records"]:
        if record["kind"] == kind:
            record.update(fields)
            break
    return decode(json.dumps(document))


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("task", {"step": [7, 0]}, "step of task"),
        ("task", {"queue_sid": "WQ" + "e" * 32}, "TaskQueue WQe+ is named by another record"),
        ("task", {"attributes": "[secret]"}, "a value of WT.* is not valid"),
        ("task", {"sid": "TC"}, "Task WT.* is named"),
        ("workflow", {"configuration": "{}"}, "a value of WW.* is not valid"),
        ("task_queue", {"target_workers": "secret =="}, "a value of WQ.* is not valid"),
        ("worker_channel", {"task_channel_sid": "TC"}, "TaskChannel TC is named"),
        ("reservation", {"version": "secret"}, "a value is not what it must be, at .*version"),
        ("reservation", {"statvs": "secret"}, "not what it must be"),
        ("activity", {"gone": True, "sid": "WA"}, "Activity WA.* is named"),
    ],
)
def test_records_that_make_no_sense_are_refused_without_quoting_them(
    kind: str, fields: dict[str, object], reason: str
) -> None:
    desk = Desk()
    desk.worker("ann")
    desk.task()
    with pytest.raises(DamagedDocument, match=reason) as caught:
        restore(_damaged(desk, kind, **fields), now=lambda: 0.0, sids=lambda prefix: prefix, limits=Limits())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("task", {"assigned_at": None}, "task WT.* contradict whether it was assigned"),
        ("conference", {"gone": True}, "call CA.* goes on, its conference is over"),
        ("conference", {"status": "completed"}, "call CA.* goes on, its conference is over"),
        ("call", {"status": "completed"}, "conference CF.* runs, call CA.* is over"),
        ("call", {"gone": True}, "conference CF.* runs, call CA.* is over"),
    ],
)
def test_open_work_that_contradicts_its_calls_or_its_reservations_is_refused(
    kind: str, fields: dict[str, object], reason: str
) -> None:
    desk = Desk()
    desk.worker("ann", contact_uri="client:ann")
    desk.ws.change_reservation(pending(desk.task()).sid, instruction="conference")
    desk.settle()
    with pytest.raises(DamagedDocument, match=reason):
        restore(_damaged(desk, kind, **fields), now=lambda: 0.0, sids=lambda prefix: prefix, limits=Limits())


@pytest.mark.parametrize("text", ["", "null", "{}", '{"format": 1}', '"\\ud800"', "[" * 100_000])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(DamagedDocument):
        decode(text)


def test_a_document_of_another_format_is_refused() -> None:
    document = json.loads(encode(dump(Desk().ws)))
    with pytest.raises(DamagedDocument, match=f"format {FORMAT + 1} was found, expected {FORMAT}"):
        decode(json.dumps({**document, "format": FORMAT + 1}))
