"""Frames in, events out. Rows of the protocol's table of invalid input, and bytes that nobody meant."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrouter_worker import InvalidMessageError
from taskrouter_worker.events import decode
from taskrouter_worker.resources import InitFields, ReservationFields
from taskrouter_worker.terms import EventType
from tests.sdk.world import World, sid, text, transfer

WORLD = World()
[CREATED] = WORLD.create_reservation()
[CHANNEL] = WORLD.set_channel(capacity=1)
SAMPLES: dict[str, dict[str, Any]] = {
    "init": {"channel_id": "WK1", "account_sid": "AC1", "workspace_sid": "WS1", "token_lifetime": 1},
    "worker.activity.update": WORLD.worker,
    "worker.attributes.update": WORLD.worker,
    "worker.capacity.update": CHANNEL[1],
    "worker.channel.availability.update": CHANNEL[1],
    "reservation.failed": {"anything": 1},
    **{
        event.value: CREATED[1]
        for event in EventType
        if event.startswith("reservation.") and event != EventType.RESERVATION_FAILED
    },
    **{event.value: transfer(sid("WR", 1)) for event in EventType if event.startswith("task.transfer-")},
    "task.updated": CREATED[1]["task"],
    "task.wrapup": CREATED[1]["task"],
    "task.completed": CREATED[1]["task"],
    "task.canceled": CREATED[1]["task"],
}
KNOWN = sorted(SAMPLES)
WORKER_EVENTS = {name for name in KNOWN if name.startswith("worker.")}
OPTIONAL = {"token_lifetime", "task_sid", "reservation_timeout"}  # of a channel, version too


def test_every_pushed_event_type_and_init_is_decoded() -> None:
    assert {*KNOWN} == {"init", *(event.value for event in EventType if event.is_pushed)}
    for event_type in KNOWN:
        event = decode(text((event_type, SAMPLES[event_type])))
        assert event is not None
        assert event.type == event_type


@pytest.mark.parametrize("event_type", sorted({*KNOWN} - {"init", "reservation.failed"} - WORKER_EVENTS))
def test_an_event_of_something_without_a_name_is_an_error(event_type: str) -> None:
    with pytest.raises(InvalidMessageError, match=r"length >= 1 - at `\$\.sid`"):
        decode(text((event_type, {**SAMPLES[event_type], "sid": ""})))


@pytest.mark.parametrize("frame", ["", " ", "\n\t ", b"", b" ", b"\r\n"])
def test_blank_frames_are_heartbeats(frame: str | bytes) -> None:
    assert decode(frame) is None


@pytest.mark.parametrize(
    "frame", ["0", "-1.5", '"text"', "[]", "[{}]", "{}", "null", "true", '{"event_type":null}']
)
def test_json_that_is_no_event_is_ignored(frame: str) -> None:
    assert decode(frame) is None


@pytest.mark.parametrize(
    "event_type",
    ["connected", "disconnected", "error", "tokenExpired", "tokenUpdated", "ready", "worker.created", ""],
)
def test_event_types_that_the_service_does_not_push_are_ignored(event_type: str) -> None:
    assert decode(json.dumps({"event_type": event_type, "payload": {}})) is None


def test_an_event_type_that_is_no_text_is_ignored() -> None:
    assert decode('{"event_type":7,"payload":{}}') is None


@pytest.mark.parametrize("frame", ["{", "nonsense", '{"event_type":"init"', b"\xff\xfe", b"\x00"])
def test_what_is_not_json_is_invalid_and_names_no_event(frame: str | bytes) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        decode(frame)
    assert caught.value.event_type is None


@pytest.mark.parametrize("event_type", KNOWN)
@pytest.mark.parametrize("payload", ["", ',"payload":null', ',"payload":1', ',"payload":[]'])
def test_a_known_event_without_an_object_as_payload_is_invalid(event_type: str, payload: str) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        decode(f'{{"event_type":"{event_type}"{payload}}}')
    assert caught.value.event_type == event_type
    assert event_type in str(caught.value)


@pytest.mark.parametrize("event_type", [name for name in KNOWN if name != "reservation.failed"])
def test_a_missing_key_is_named_and_no_value_is_shown(event_type: str) -> None:
    sample = SAMPLES[event_type]
    channel = "configured_capacity" in sample
    required = [key for key in sample if key not in OPTIONAL and not (channel and key == "version")]
    for key in required:
        payload = {name: value for name, value in sample.items() if name != key}
        with pytest.raises(InvalidMessageError, match=f"`{key}`") as caught:
            decode(text((event_type, payload)))
        assert not any(isinstance(v, str) and len(v) > 20 and v in str(caught.value) for v in sample.values())


def test_a_missing_key_of_the_nested_task_is_named() -> None:
    payload = json.loads(json.dumps(CREATED[1]))
    del payload["task"]["assignment_status"]
    with pytest.raises(InvalidMessageError, match=r"assignment_status.*task"):
        decode(text(("reservation.created", payload)))


@pytest.mark.parametrize(
    ("change", "event_type"),
    [
        ({"version": "1"}, "reservation.created"),
        ({"task": None}, "reservation.created"),
        ({"version": None}, "task.updated"),
    ],
)
def test_a_value_of_the_wrong_type_is_invalid(change: dict[str, Any], event_type: str) -> None:
    with pytest.raises(InvalidMessageError):
        decode(text((event_type, {**SAMPLES[event_type], **change})))


def test_unknown_keys_and_binary_frames_are_accepted() -> None:
    event = decode(text(("reservation.created", {**CREATED[1], "new_field": {"a": 1}})).encode())
    assert event is not None
    assert isinstance(event.payload, ReservationFields)


@pytest.mark.parametrize(
    "lifetime", [{}, {"token_lifetime": None}, {"token_lifetime": 1.5}, {"token_lifetime": -1}]
)
def test_init_is_understood_with_any_token_lifetime(lifetime: dict[str, Any]) -> None:
    event = decode(
        text(("init", {"channel_id": "WK1", "account_sid": "AC1", "workspace_sid": "WS1", **lifetime}))
    )
    assert event is not None
    assert isinstance(event.payload, InitFields)
    assert event.payload.token_lifetime == lifetime.get("token_lifetime")


HOSTILE = [
    b'{"event_type":"init","payload":' + b"[" * 100_000,
    b'{"event_type":"reservation.failed","payload":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    b"[" * 100_000,
    b'{"event_type":"\xff"}',
    b'{"event_type":"init","payload":{"channel_id":"\xff"}}',
    b'{"event_type":"init","payload":{"token_lifetime":1e999}}',
    b'{"event_type":"task.updated","payload":{"priority":' + b"9" * 5000 + b"}}",
    b'{"event_type":"\\ud800"}',
]


@pytest.mark.parametrize("frame", HOSTILE)
def test_hostile_frames_are_invalid_or_ignored(frame: bytes) -> None:
    only_invalid(frame)


def test_text_that_cannot_be_encoded_is_invalid() -> None:
    with pytest.raises(InvalidMessageError):
        decode('{"event_type":"\ud800"}')


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_but_invalid_message(frame: bytes) -> None:
    only_invalid(frame)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10)


@given(st.data())
def test_known_events_with_changed_values_raise_nothing_but_invalid_message(data: st.DataObject) -> None:
    event_type = data.draw(st.sampled_from(KNOWN))
    keys = st.sampled_from(sorted(SAMPLES[event_type]))
    changes = data.draw(st.dictionaries(keys, scalars | st.lists(scalars, max_size=2), max_size=3))
    only_invalid(
        json.dumps({"event_type": event_type, "payload": {**SAMPLES[event_type], **changes}}).encode()
    )


@given(st.sampled_from(KNOWN), st.binary(max_size=20), st.integers(0, 400))
def test_damaged_frames_raise_nothing_but_invalid_message(event_type: str, damage: bytes, at: int) -> None:
    frame = text((event_type, SAMPLES[event_type])).encode()
    only_invalid(frame[:at] + damage + frame[at + len(damage) :])


def only_invalid(frame: bytes) -> None:
    with contextlib.suppress(InvalidMessageError):
        decode(frame)
