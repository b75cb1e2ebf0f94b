"""The parameters of instructions: both spellings of every documented value, refusals by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.domain.errors import InvalidArgument
from server_stub.domain.instruction_options import (
    PARAMETERS,
    REPEATED,
    SUPERVISE_PARAMETERS,
    Callback,
    InstructionOptions,
    from_answer,
)

read = InstructionOptions.read

URL = "http://127.0.0.1:9000/told"
ACTIVITY = "WA" + "0" * 32
CALL = "CA" + "0" * 32

FLAGS = (
    *("CallAccept", "RedirectAccept", "Muted", "StartConferenceOnEnter", "EndConferenceOnExit", "EarlyMedia"),
    *("EndConferenceOnCustomerExit", "BeepOnCustomerEntrance", "Transcribe"),
)
URLS = (
    *("DequeueStatusCallbackUrl", "CallUrl", "CallStatusCallbackUrl", "RedirectUrl", "StatusCallback"),
    *("WaitUrl", "ConferenceStatusCallback", "RecordingStatusCallback", "ConferenceRecordingStatusCallback"),
)
WORDS: dict[str, tuple[str, ...]] = {
    "DequeueRecord": ("do-not-record", "record-from-answer"),
    "CallRecord": ("do-not-record", "record-from-answer"),
    "Record": ("true", "false", "do-not-record", "record-from-start", "record-from-answer"),
    "Beep": ("true", "false", "onEnter", "onExit"),
    "StatusCallbackMethod": ("GET", "POST"),
    "WaitMethod": ("GET", "POST"),
    "ConferenceStatusCallbackMethod": ("GET", "POST"),
    "RecordingStatusCallbackMethod": ("GET", "POST"),
    "ConferenceRecordingStatusCallbackMethod": ("GET", "POST"),
    "ConferenceRecord": ("true", "false", "record-from-start", "do-not-record"),
    "ConferenceTrim": ("trim-silence", "do-not-trim"),
    "RecordingChannels": ("mono", "dual"),
    "Region": ("us1", "ie1", "de1", "sg1", "br1", "au1", "jp1"),
    "JitterBufferSize": ("small", "medium", "large", "off"),
    "SupervisorMode": ("monitor", "whisper", "barge"),
    "DequeueStatusCallbackEvent": ("initiated", "ringing", "answered", "completed"),
    "DequeueStatusCallbackEvents": ("initiated", "ringing", "answered", "completed"),
    "StatusCallbackEvent": ("initiated", "ringing", "answered", "completed"),
    "ConferenceStatusCallbackEvent": ("start", "end", "join", "leave", "mute", "hold", "speaker"),
}
NUMBERS = {
    "DequeueTimeout": (1, 999),
    "CallTimeout": (1, 999),
    "Timeout": (1, 999),
    "MaxParticipants": (2, 250),
}
ADDRESSES = ("DequeueTo", "CallTo", "To", "Supervisor")
SIDS = {
    "DequeuePostWorkActivitySid": ACTIVITY,
    "PostWorkActivitySid": ACTIVITY,
    "RedirectCallSid": CALL,
    "Supervisor": "WK" + "0" * 32,
}
TEXTS = (
    *("DequeueFrom", "CallFrom", "From", "SipAuthUsername", "SipAuthPassword", "TranscriptionConfiguration"),
)

GOOD: list[tuple[str, object]] = [
    *((name, value) for name in FLAGS for value in (True, False, "true", "False", "1", "no")),
    *((name, URL) for name in URLS),
    *((name, word) for name, words in WORDS.items() for word in words),
    *((name, number) for name, (low, high) in NUMBERS.items() for number in (low, high, str(low), str(high))),
    *((name, to) for name in ADDRESSES for to in ("client:nina", "sip:nina@example.com", "+15005550006")),
    *SIDS.items(),
    *((name, "any text") for name in TEXTS),
    *(("Beep", flag) for flag in (True, False)),
    *(("ConferenceRecord", flag) for flag in (True, False)),
    *(("Record", flag) for flag in (True, False)),
    *((name, list(WORDS[name][:2])) for name in sorted(REPEATED)),
    *((name, ", ".join(WORDS[name][:2])) for name in sorted(REPEATED)),
]
NO_FLAGS: tuple[object, ...] = ("maybe", 1, [True], {})
NO_WORDS: tuple[object, ...] = ("nonsense", 5, {})
BAD: list[tuple[str, object]] = [
    *((name, value) for name in FLAGS for value in NO_FLAGS),
    *((name, value) for name in URLS for value in ("nowhere", "ftp://example.com", "http://", 5)),
    *((name, value) for name in WORDS for value in NO_WORDS),
    *((name, WORDS[name][0].swapcase()) for name in WORDS if name != "Record"),  # TRUE is a boolean
    *((name, low - 1) for name, (low, _) in NUMBERS.items()),
    *((name, str(high + 1)) for name, (_, high) in NUMBERS.items()),
    *((name, value) for name in NUMBERS for value in (True, 60.5, "60.5", "soon", [60])),
    *((name, value) for name in ADDRESSES for value in ("nina", "client:", "+1", "0049 89", 5)),
    *((name, value) for name in SIDS for value in ("WA", "WX" + "0" * 32, 5)),
    *((name, value) for name in TEXTS for value in (5, True, "half \ud800")),
    *((name, value) for name in sorted(REPEATED) for value in ([], ["nonsense"], [5], "join,nonsense", ",")),
]  # fmt: skip


def test_the_tables_of_this_test_know_every_parameter() -> None:
    known = {*FLAGS, *URLS, *WORDS, *NUMBERS, *ADDRESSES, *SIDS, *TEXTS}
    assert known == {*PARAMETERS, *SUPERVISE_PARAMETERS}


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_documented_value_is_taken_in_each_spelling(name: str, value: object) -> None:
    read({name: value})


@pytest.mark.parametrize(("name", "value"), BAD)
def test_any_other_value_is_refused_by_the_parameters_name(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} is not valid") as caught:
        read({name: value})
    assert (caught.value.status, caught.value.code) == (400, 20001)


@pytest.mark.parametrize("name", [*PARAMETERS, *SUPERVISE_PARAMETERS])
@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_empty_text_are_not_given(name: str, nothing: object) -> None:
    assert read({name: nothing}) == read({})


def test_defaults_are_the_documented_ones() -> None:
    options = read({})
    assert (options.dequeue.timeout, options.call.timeout, options.conference.timeout) == (60, 60, 60)
    assert (options.dequeue.record, options.call.record) == ("do-not-record", "do-not-record")
    assert (options.call.accept, options.redirect.accept) == (False, False)
    assert options.supervise.mode == "monitor"
    conference = options.conference
    assert (conference.muted, conference.beep, conference.early_media) == (False, "true", True)
    assert (conference.start_conference_on_enter, conference.end_conference_on_exit) == (True, False)
    assert (conference.max_participants, conference.conference_record) == (250, "false")
    assert (conference.conference_trim, conference.recording_channels) == ("trim-silence", "mono")


def test_callbacks_have_their_documented_methods_and_events() -> None:
    names = [name for name in URLS if name not in ("CallUrl", "RedirectUrl", "WaitUrl")]
    options = read(dict.fromkeys(names, URL))
    done = ("completed",)
    assert options.dequeue.status_callback == Callback(url=URL, method="GET", events=done)
    assert options.call.status_callback == Callback(url=URL, method="GET", events=done)
    conference = options.conference
    posted = Callback(url=URL, method="POST", events=done)
    assert conference.status_callback == posted
    assert conference.recording_status_callback == posted
    assert conference.conference_recording_status_callback == posted
    everything = ("start", "end", "join", "leave", "mute", "hold", "speaker")
    assert conference.conference_status_callback == Callback(url=URL, method="POST", events=everything)


@pytest.mark.parametrize("name", ["DequeueStatusCallbackEvent", "DequeueStatusCallbackEvents"])
def test_dequeue_events_are_read_under_both_of_their_names(name: str) -> None:
    options = read({"DequeueStatusCallbackUrl": URL, name: "answered,initiated"})
    assert options.dequeue.status_callback is not None
    assert options.dequeue.status_callback.events == ("initiated", "answered")


def test_a_sip_phone_rings_ten_minutes_at_most() -> None:
    assert read({"DequeueTo": "sip:nina@example.com", "DequeueTimeout": 600}).dequeue.timeout == 600
    with pytest.raises(
        InvalidArgument, match=r"^DequeueTimeout is not valid: expected an integer from 1 to 600"
    ):
        read({"DequeueTo": "sip:nina@example.com", "DequeueTimeout": 601})


@pytest.mark.parametrize(
    ("name", "value", "log_code"),
    [
        ("CallTo", "nina", 40110),
        ("CallUrl", "nowhere", 40112),
        ("RedirectUrl", "nowhere", 40120),
        ("DequeuePostWorkActivitySid", "WA", 40130),
    ],
)
def test_refusals_carry_the_code_that_taskrouter_logs(name: str, value: str, log_code: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read({name: value})
    assert caught.value.log_code == log_code


def test_a_password_is_shown_nowhere() -> None:
    options = read({"SipAuthPassword": "s3cret"})
    assert options.conference.sip_auth_password == "s3cret"
    assert "s3cret" not in repr(options)
    with pytest.raises(InvalidArgument) as caught:
        read({"SipAuthPassword": ["s3cret"]})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"instruction": "accept"}, {}),
        ({"instruction": "reject", "activity_sid": ACTIVITY}, {"WorkerActivitySid": ACTIVITY}),
        (
            {
                "instruction": "dequeue",
                "from": "+15005550006",
                "post_work_activity_sid": ACTIVITY,
                "status_callback_events": ["initiated"],
            },
            {
                "DequeueFrom": "+15005550006",
                "DequeuePostWorkActivitySid": ACTIVITY,
                "DequeueStatusCallbackEvents": ["initiated"],
            },
        ),
        (
            {"instruction": "Call", "url": URL, "accept": True, "timeout": 20},
            {"CallUrl": URL, "CallAccept": True, "CallTimeout": 20},
        ),
        (
            {"instruction": "redirect", "call_sid": CALL, "url": URL},
            {"RedirectCallSid": CALL, "RedirectUrl": URL},
        ),
        (
            {"instruction": "conference", "end_conference_on_exit": True, "conference_record": "true"},
            {"EndConferenceOnExit": True, "ConferenceRecord": "true"},
        ),
        ({"instruction": "dance", "with": "nina"}, {}),
        ({"instruction": 5}, {}),
        ({}, {}),
    ],
)
def test_answer_of_a_callback_is_read_as_parameters(
    answer: dict[str, object], expected: dict[str, object]
) -> None:
    assert from_answer(answer) == expected


anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*PARAMETERS, *SUPERVISE_PARAMETERS]), anything, max_size=4))
def test_whatever_comes_is_read_or_refused(parameters: dict[str, object]) -> None:
    refusal = None
    try:
        read(parameters)
    except InvalidArgument as error:
        refusal = str(error)
    assert refusal is None or any(refusal.startswith(f"{name} ") for name in parameters)
