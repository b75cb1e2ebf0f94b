"""What fuzzing has found, each with its input."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from server_stub.domain.instruction_options import InstructionOptions
from server_stub.domain.memento import dump, restore
from server_stub.domain.model import Limits
from server_stub.domain.records import DamagedDocument, encode
from server_stub.domain.records import decode as decode_document
from server_stub.domain.workflow import parse_configuration
from server_stub.faults import FaultRecord, FaultRule
from server_stub.seeding import SeedError, read_source
from server_stub.seeding.source import source_of
from server_stub.seeding.trial import try_out
from taskrouter_worker._transport import _retry_after
from taskrouter_worker.errors import InvalidMessageError
from taskrouter_worker.events import decode
from taskrouter_worker.recording import Frame, Recorder, RecordingError, read_recording
from tests.fuzz.offices import office

HUGE = 10**400
"""JSON allows integers that no float holds."""


@pytest.mark.parametrize("character", ["\x00", "\x19", "\ufffe"])
def test_yaml_with_a_character_that_is_not_allowed_is_refused_with_its_place(character: str) -> None:
    with pytest.raises(SeedError, match=r"seed\.yaml:2:4: no YAML: this character is not allowed"):
        read_source(f"a: b\nc: {character}".encode(), name="seed.yaml")


@pytest.mark.parametrize("piece", ["{", "[", "- ", "[{", "? ", "- ["])
def test_yaml_that_nests_too_deeply_is_refused_at_once(piece: str) -> None:
    started = time.thread_time()
    with pytest.raises(SeedError, match="too large"):
        read_source((piece * 20_000).encode(), name="seed.yaml")
    assert (
        time.thread_time() - started < 1
    )  # it took as many seconds as it had thousands of brackets, squared


@pytest.mark.parametrize("word", [None, 5, "\ud800"])
def test_seed_whose_events_filter_holds_what_is_no_text_is_refused_with_its_place(word: Any) -> None:
    document = {"workspaces": [{"friendly_name": "a", "events_filter": ["task.created", word]}]}
    with pytest.raises(SeedError, match=r"^seed: workspaces\[0\]\.events_filter\[1\]: ") as refused:
        try_out(source_of(document), limits=Limits())
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize("seconds", [HUGE, -HUGE])
def test_fault_with_a_delay_beyond_all_numbers_is_refused_by_its_name(seconds: int) -> None:
    with pytest.raises(ValueError, match="delay must be a number of seconds"):
        FaultRule.from_dict({"fault": "delay", "delay": seconds})


def _recorded(*frames: bytes) -> list[Frame]:
    lines: list[str] = []
    recorder = Recorder(lines.append)
    connection = recorder.opened("token", "")
    for frame in frames:
        recorder.frame(connection, frame)
    assert not recorder.closed
    recorder.close()
    return [line for _, line in read_recording("\n".join(lines)).lines if isinstance(line, Frame)]


def test_recording_goes_on_after_a_number_that_no_float_holds() -> None:
    event = {"event_type": "worker.activity.update", "payload": {"version": HUGE, "date_created": 7}}
    [first, second] = _recorded(json.dumps(event).encode(), b"{}")
    assert first.payload == {"version": None, "date_created": 7}
    assert second.payload is None


def test_recording_holds_no_number_that_would_be_read_as_infinity() -> None:
    [frame, later] = _recorded(b'{"event_type": "x", "payload": {"attributes": [1e400]}}', b"{}")
    assert frame.not_json is not None
    assert later.not_json is None
    with pytest.raises(RecordingError, match="line 1: not JSON"):
        read_recording('{"format": 1e400}')


@pytest.mark.parametrize("channel_id", [0.0, None, "nobody", ["WK"], {"a": 1}])
def test_recording_can_be_read_after_an_init_that_names_no_worker(channel_id: Any) -> None:
    event = {"event_type": "init", "payload": {"channel_id": channel_id}}
    [frame, later] = _recorded(json.dumps(event).encode(), b" ")
    assert frame.worker is None
    assert later.worker is None


@pytest.mark.parametrize(
    "text",
    ["Wed, 21 Oct 99999999999999999999 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:99999999999999999999 GMT"],
)
def test_retry_after_with_a_date_that_there_is_not_tells_nothing(text: str) -> None:
    assert _retry_after(text, None) is None
    assert _retry_after("3", text) == 3.0


SPACE_TO_STRIP_ONLY = "\x1d"
"""White space to `str.strip`, and not to `int`."""


def test_number_of_an_instruction_may_stand_between_any_white_space() -> None:
    given = {"CallTimeout": f"30{SPACE_TO_STRIP_ONLY}"}
    assert InstructionOptions.read(given).call.timeout == 30


def test_number_of_a_workflow_may_stand_between_any_white_space() -> None:
    target = {"queue": "WQ" + "0" * 32, "timeout": f"30{SPACE_TO_STRIP_ONLY}"}
    found = parse_configuration(json.dumps({"task_routing": {"filters": [{"targets": [target]}]}}))
    assert found.filters[0].targets[0].timeout == 30


@pytest.mark.parametrize("frame", ["99x", "[1", '"open', '{"event_type": 5, "payload"', "[]\n1", "1e"])
def test_frame_that_begins_like_a_json_value_of_no_event_but_is_no_json_is_told(frame: str) -> None:
    with pytest.raises(InvalidMessageError, match="not JSON"):
        decode(frame)


def _damaged(change: Callable[[list[dict[str, Any]]], object]) -> bytes:
    document = json.loads(encode(dump(office().ws)))
    change(document["records"])
    return json.dumps(document).encode()


def _put_back(document: bytes) -> None:
    restore(decode_document(document), now=lambda: 1_000_000.0, sids=lambda prefix: prefix, limits=Limits())


def _of(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(record for record in records if record["kind"] == kind)


@pytest.mark.parametrize("number", [HUGE, -HUGE, 1e300])
@pytest.mark.parametrize(
    ("kind", "name"), [("task", "timeout"), ("worker", "date_created"), ("task", "ended_at")]
)
def test_state_with_a_number_beyond_all_dates_is_refused(kind: str, name: str, number: float) -> None:
    damaged = _damaged(lambda records: _of(records, kind).update({name: number}))
    with pytest.raises(DamagedDocument, match=r"is not valid|not what it must be"):
        _put_back(damaged)


def test_state_with_a_worker_that_lacks_a_channel_is_refused() -> None:
    damaged = _damaged(lambda records: records.remove(_of(records, "worker_channel")))
    with pytest.raises(DamagedDocument, match="does not have a worker channel"):
        _put_back(damaged)


@pytest.mark.parametrize("kind", ["activity", "task_channel", "workflow", "task_queue", "worker", "task"])
def test_state_in_which_open_work_needs_what_is_gone_is_refused(kind: str) -> None:
    damaged = _damaged(lambda records: [one.update(gone=True) for one in records if one["kind"] == kind])
    with pytest.raises(DamagedDocument, match=r"gone|not there|does not have"):
        _put_back(damaged)


@pytest.mark.parametrize(
    ("kind", "status", "other"),
    [
        ("task", "reserved", "pending"),
        ("task", "reserved", "completed"),
        ("reservation", "pending", "accepted"),
        ("reservation", "accepted", "wrapping"),
        ("reservation", "accepted", "completed"),
        ("transfer", "initiated", "complete"),
    ],
)
def test_state_with_statuses_that_do_not_agree_is_refused(kind: str, status: str, other: str) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        found = [one for one in records if one["kind"] == kind and one["status"] == status]
        assert found
        for one in found:
            one["status"] = other

    with pytest.raises(DamagedDocument, match=r"contradict|is under way"):
        _put_back(_damaged(change))


@pytest.mark.parametrize("kind", ["worker", "task", "reservation"])
def test_state_in_which_two_have_the_same_number_is_refused(kind: str) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        first, *others = [one for one in records if one["kind"] == kind]
        for other in others:
            other["number"] = first["number"]

    with pytest.raises(DamagedDocument, match="have the same number"):
        _put_back(_damaged(change))


@pytest.mark.parametrize("number", [0, -1, 1_000_000])
def test_state_with_a_number_that_was_never_given_is_refused(number: int) -> None:
    damaged = _damaged(lambda records: _of(records, "task").update(number=number))
    with pytest.raises(DamagedDocument, match="not given yet"):
        _put_back(damaged)


def test_state_in_which_open_work_has_a_deadline_without_a_step_is_refused() -> None:
    damaged = _damaged(
        lambda records: _of(records, "task").update(status="pending", step=None, step_deadline=1_000_060.0)
    )
    with pytest.raises(DamagedDocument, match="deadline that its step does not have"):
        _put_back(damaged)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", "h"),
        ("at", {}),
        ("nth", -0.0),
        ("hit", None),
        ("rule_id", 0),
        ("door", 5),
        ("session", True),
    ],
)
def test_record_of_faults_with_a_value_of_another_type_is_refused_by_its_name(name: str, value: Any) -> None:
    good = {"number": 1, "at": 1.5, "rule_id": 1, "nth": 2, "hit": 1, "door": "rest", "session": 1}
    FaultRecord.from_dict(good)
    with pytest.raises(ValueError, match=f"^{name} must be"):
        FaultRecord.from_dict({**good, name: value})


def test_record_of_faults_with_numbers_beyond_all_is_read_or_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        FaultRecord.from_dict(
            {"number": 1, "at": 1, "rule_id": 1, "nth": 1, "hit": 1, "rule": {"fault": "drop", "share": HUGE}}
        )
