"""What the parameters of instructions may be: one typed, checked reading for every door.

Names, words and ranges are those of the Reservation resource (TaskRouter REST API). Each value is
taken in both of its spellings: as a form has it (text, ``true``, words between commas) and as JSON
has it (numbers, booleans, arrays). A value that is not one of the documented ones is refused by its
parameter's name. Null and empty text mean "not given".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from taskrouter_worker.terms import Instruction, SidPrefix, SupervisorMode, is_sid

from . import arguments
from .errors import InvalidArgument

__all__ = [
    "CALL_EVENTS",
    "CONFERENCE_EVENTS",
    "PARAMETERS",
    "REPEATED",
    "SUPERVISE_PARAMETERS",
    "CallOptions",
    "Callback",
    "ConferenceOptions",
    "DequeueOptions",
    "Given",
    "InstructionOptions",
    "RedirectOptions",
    "SuperviseOptions",
    "check_ringing",
    "from_answer",
    "is_address",
]

CALL_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
"""The steps of a call."""

CONFERENCE_EVENTS: Final = ("start", "end", "join", "leave", "mute", "hold", "speaker")
"""What can be told of a conference. `speaker` never happens here: nobody speaks."""

_COMPLETED: Final = ("completed",)
_METHODS: Final = ("GET", "POST")
_TIMEOUT: Final = 60  # seconds that a phone rings
_MAX_TIMEOUT: Final = 999
_MAX_SIP_TIMEOUT: Final = 600
_MAX_PARTICIPANTS: Final = 250
_LEG_RECORDS: Final = ("do-not-record", "record-from-answer")
_REGIONS: Final = ("us1", "ie1", "de1", "sg1", "br1", "au1", "jp1")

_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})

_SECRET: Final = frozenset({"SipAuthPassword"})

_ADDRESS: Final = re.compile(r"\+[1-9][0-9]{1,14}|client:\S+|sips?:\S+", re.IGNORECASE)

PARAMETERS: Final = (
    *("DequeuePostWorkActivitySid", "DequeueFrom", "DequeueRecord", "DequeueTimeout", "DequeueTo"),
    *("DequeueStatusCallbackUrl", "DequeueStatusCallbackEvent", "DequeueStatusCallbackEvents"),
    *("CallFrom", "CallRecord", "CallTimeout", "CallTo", "CallUrl", "CallStatusCallbackUrl", "CallAccept"),
    *("RedirectCallSid", "RedirectAccept", "RedirectUrl"),
    *("To", "From", "StatusCallback", "StatusCallbackMethod", "StatusCallbackEvent", "Timeout", "Record"),
    *("Muted", "Beep", "StartConferenceOnEnter", "EndConferenceOnExit", "WaitUrl", "WaitMethod"),
    *("EarlyMedia", "MaxParticipants", "ConferenceStatusCallback", "ConferenceStatusCallbackMethod"),
    *("ConferenceStatusCallbackEvent", "ConferenceRecord", "ConferenceTrim", "RecordingChannels"),
    *("RecordingStatusCallback", "RecordingStatusCallbackMethod", "ConferenceRecordingStatusCallback"),
    *("ConferenceRecordingStatusCallbackMethod", "Region", "SipAuthUsername", "SipAuthPassword"),
    *("PostWorkActivitySid", "EndConferenceOnCustomerExit", "BeepOnCustomerEntrance", "JitterBufferSize"),
    *("Transcribe", "TranscriptionConfiguration"),
)
"""The parameters of all instructions but `supervise`.

`DequeueStatusCallbackEvents` is the JavaScript SDK's spelling of `DequeueStatusCallbackEvent`; the last two
are options of its `conference` that the REST API does not list.
"""

SUPERVISE_PARAMETERS: Final = ("Supervisor", "SupervisorMode")
"""Those of `supervise`. Only the task's view of a reservation has them."""

REPEATED: Final = frozenset(
    {
        "DequeueStatusCallbackEvent",
        "DequeueStatusCallbackEvents",
        "StatusCallbackEvent",
        "ConferenceStatusCallbackEvent",
    }
)
"""Parameters that hold several words: all of a form's values of that name count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """An address that wants to hear of a call, a conference or a recording, and of which steps."""

    url: str
    method: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DequeueOptions:
    """Connect the caller that waits in the queue with the worker."""

    to: str | None
    from_: str | None
    record: str
    timeout: int  # seconds
    post_work_activity_sid: str | None
    status_callback: Callback | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """Call the worker and run a document."""

    to: str | None
    from_: str | None
    url: str | None
    accept: bool
    record: str
    timeout: int  # seconds
    status_callback: Callback | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectOptions:
    """Send a running call to another document."""

    call_sid: str | None
    url: str | None
    accept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConferenceOptions:
    """Bring worker and customer together in a conference."""

    to: str | None
    from_: str | None
    timeout: int  # seconds
    status_callback: Callback | None
    record: bool
    muted: bool
    beep: str
    start_conference_on_enter: bool
    end_conference_on_exit: bool
    end_conference_on_customer_exit: bool
    beep_on_customer_entrance: bool
    wait_url: str | None
    wait_method: str
    early_media: bool
    max_participants: int
    conference_status_callback: Callback | None
    conference_record: str
    conference_trim: str
    recording_channels: str
    recording_status_callback: Callback | None
    conference_recording_status_callback: Callback | None
    region: str | None
    sip_auth_username: str | None
    sip_auth_password: str | None = field(repr=False)
    post_work_activity_sid: str | None
    jitter_buffer_size: str | None
    transcribe: bool
    transcription_configuration: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperviseOptions:
    """Let a supervisor into a running conference."""

    supervisor: str | None  # a worker's SID or an address
    mode: SupervisorMode


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionOptions:
    """The options of every instruction: all that was given is checked, whichever instruction is asked for."""

    dequeue: DequeueOptions
    call: CallOptions
    redirect: RedirectOptions
    conference: ConferenceOptions
    supervise: SuperviseOptions

    @classmethod
    def read(cls, parameters: Mapping[str, object]) -> InstructionOptions:
        """Read parameters by their names in the REST API. Unknown ones are ignored.

        Raises:
            InvalidArgument: a value is none of the documented ones.
        """
        # Most updates of a reservation give no option: reading nothing takes longer than accepting.
        return _read(Given(parameters)) if parameters else _nothing_given()


def _read(given: Given) -> InstructionOptions:
    return InstructionOptions(
        dequeue=_dequeue(given),
        call=_call(given),
        redirect=_redirect(given),
        conference=_conference(given),
        supervise=SuperviseOptions(
            supervisor=_supervisor(given),
            mode=SupervisorMode(given.word("SupervisorMode", tuple(SupervisorMode), "monitor")),
        ),
    )


@functools.cache
def _nothing_given() -> InstructionOptions:
    return _read(Given({}))


def is_address(value: object) -> bool:
    """Whether a worker can be reached there: a client, a SIP address or an E.164 number (REST API)."""
    return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None


class Given:
    """Parameters as they came, read one by one. Every method refuses what it cannot read by name."""

    __slots__ = ("_values",)

    def __init__(self, parameters: Mapping[str, object]) -> None:
        self._values = {name: value for name, value in parameters.items() if value not in (None, "")}

    def text(self, name: str) -> str | None:
        """Any text; None if it was not given."""
        if name not in self._values:
            return None
        try:
            return arguments.text(name, self._values[name])
        except InvalidArgument:
            if name in _SECRET:  # the refusal would show it
                raise InvalidArgument(f"{name} is not valid: expected Unicode text") from None
            raise

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        found = self.optional_flag(name)
        return default if found is None else found

    def optional_flag(self, name: str) -> bool | None:
        """True or false, None if it was not given."""
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return value
        word = value.strip().lower() if isinstance(value, str) else ""
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise arguments.refusal(name, value, "true or false")

    def number(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number in a range."""
        value = self._values.get(name, default)
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,12}", value.strip()):
            value = int(value.strip())  # which takes more for white space than int() does
        return arguments.integer(name, value, low=low, high=high)

    def word(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of some words, in that spelling; JSON's true and false are words too."""
        value = self._values.get(name, default)
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, str) or value not in allowed:
            raise arguments.refusal(name, value, f"one of {', '.join(allowed)}")
        return value

    def words(self, name: str, allowed: tuple[str, ...]) -> tuple[str, ...] | None:
        """Some of the words, each once and in the allowed ones' order; None if none was given."""
        value = self._values.get(name)
        if value is None:
            return None
        given = {word.strip() if isinstance(word, str) else "" for word in _listed(value)}
        if not given or not given.issubset(allowed):
            raise arguments.refusal(name, value, f"some of {', '.join(allowed)}")
        return tuple(word for word in allowed if word in given)

    def url(self, name: str, *, log_code: int | None = None) -> str | None:
        """An absolute http or https URL."""
        if name not in self._values:
            return None
        try:
            return arguments.optional_url(name, self._values[name])
        except InvalidArgument as error:
            raise InvalidArgument(str(error), log_code=log_code) from None

    def sid(self, name: str, prefix: SidPrefix, *, log_code: int | None = None) -> str | None:
        """A SID of that kind; whether it exists is asked elsewhere."""
        if name not in self._values:
            return None
        try:
            return arguments.sid(name, self._values[name], prefix)
        except InvalidArgument as error:
            raise InvalidArgument(str(error), log_code=log_code) from None

    def address(self, name: str, *, log_code: int | None = None) -> str | None:
        """Where a worker can be reached."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not is_address(value):
            expected = "client:NAME, sip:ADDRESS or an E.164 number such as +15005550006"
            raise InvalidArgument(str(arguments.refusal(name, value, expected)), log_code=log_code)
        return value

    def callback(
        self,
        url: str,
        *,
        method: str | None = None,
        default_method: str = "POST",
        events: tuple[str, ...],
    ) -> Callback | None:
        """The address in the parameter `url` with the method in the parameter `method`."""
        chosen = self.word(method, _METHODS, default_method) if method else default_method
        address = self.url(url)
        return Callback(url=address, method=chosen, events=events) if address else None

    def timeout(self, name: str, to: str | None) -> int:
        """Seconds that a phone rings."""
        return self.number(name, 1, _longest_ringing(to), _TIMEOUT)


def check_ringing(name: str, seconds: int, to: str) -> None:
    """Whether the phone at an address that was found elsewhere may ring so long; raises InvalidArgument."""
    arguments.integer(name, seconds, low=1, high=_longest_ringing(to))


def _longest_ringing(to: str | None) -> int:
    """In seconds. SIP phones ring no longer than ten minutes (REST API)."""
    is_sip = to is not None and to.lower().startswith("sip")
    return _MAX_SIP_TIMEOUT if is_sip else _MAX_TIMEOUT


def _listed(value: object) -> Iterable[object]:
    """What stands between commas, or in an array; nothing for any other value."""
    if isinstance(value, str):
        return value.split(",")
    return cast("Iterable[object]", value) if isinstance(value, list | tuple) else ()


def _dequeue(given: Given) -> DequeueOptions:
    to = given.address("DequeueTo")
    events = given.words("DequeueStatusCallbackEvent", CALL_EVENTS)
    also = given.words("DequeueStatusCallbackEvents", CALL_EVENTS)
    return DequeueOptions(
        to=to,
        from_=given.text("DequeueFrom"),
        record=given.word("DequeueRecord", _LEG_RECORDS, "do-not-record"),
        timeout=given.timeout("DequeueTimeout", to),
        post_work_activity_sid=given.sid("DequeuePostWorkActivitySid", SidPrefix.ACTIVITY, log_code=40130),
        status_callback=given.callback(
            "DequeueStatusCallbackUrl", default_method="GET", events=events or also or _COMPLETED
        ),
    )


def _call(given: Given) -> CallOptions:
    to = given.address("CallTo", log_code=40110)
    return CallOptions(
        to=to,
        from_=given.text("CallFrom"),
        url=given.url("CallUrl", log_code=40112),
        accept=given.flag("CallAccept", default=False),
        record=given.word("CallRecord", _LEG_RECORDS, "do-not-record"),
        timeout=given.timeout("CallTimeout", to),
        status_callback=given.callback("CallStatusCallbackUrl", default_method="GET", events=_COMPLETED),
    )


def _redirect(given: Given) -> RedirectOptions:
    return RedirectOptions(
        call_sid=given.sid("RedirectCallSid", SidPrefix.CALL),
        url=given.url("RedirectUrl", log_code=40120),
        accept=given.flag("RedirectAccept", default=False),
    )


def _conference(given: Given) -> ConferenceOptions:
    to = given.address("To")
    return ConferenceOptions(
        to=to,
        from_=given.text("From"),
        timeout=given.timeout("Timeout", to),
        status_callback=given.callback(
            "StatusCallback",
            method="StatusCallbackMethod",
            events=given.words("StatusCallbackEvent", CALL_EVENTS) or _COMPLETED,
        ),
        record=_records_leg(given),
        muted=given.flag("Muted", default=False),
        beep=given.word("Beep", ("true", "false", "onEnter", "onExit"), "true"),
        start_conference_on_enter=given.flag("StartConferenceOnEnter", default=True),
        end_conference_on_exit=given.flag("EndConferenceOnExit", default=False),
        end_conference_on_customer_exit=given.flag("EndConferenceOnCustomerExit", default=False),
        beep_on_customer_entrance=given.flag("BeepOnCustomerEntrance", default=False),
        wait_url=given.url("WaitUrl"),
        wait_method=given.word("WaitMethod", _METHODS, "POST"),
        early_media=given.flag("EarlyMedia", default=True),
        max_participants=given.number("MaxParticipants", 2, _MAX_PARTICIPANTS, _MAX_PARTICIPANTS),
        conference_status_callback=given.callback(
            "ConferenceStatusCallback",
            method="ConferenceStatusCallbackMethod",
            # No default is published for its events: all of them.
            events=given.words("ConferenceStatusCallbackEvent", CONFERENCE_EVENTS) or CONFERENCE_EVENTS,
        ),
        conference_record=given.word(
            "ConferenceRecord", ("true", "false", "record-from-start", "do-not-record"), "false"
        ),
        conference_trim=given.word("ConferenceTrim", ("trim-silence", "do-not-trim"), "trim-silence"),
        recording_channels=given.word("RecordingChannels", ("mono", "dual"), "mono"),
        recording_status_callback=given.callback(
            "RecordingStatusCallback", method="RecordingStatusCallbackMethod", events=_COMPLETED
        ),
        conference_recording_status_callback=given.callback(
            "ConferenceRecordingStatusCallback",
            method="ConferenceRecordingStatusCallbackMethod",
            events=_COMPLETED,
        ),
        region=given.word("Region", _REGIONS, _REGIONS[0]) if given.text("Region") else None,
        sip_auth_username=given.text("SipAuthUsername"),
        sip_auth_password=given.text("SipAuthPassword"),
        post_work_activity_sid=given.sid("PostWorkActivitySid", SidPrefix.ACTIVITY),
        jitter_buffer_size=(
            given.word("JitterBufferSize", ("small", "medium", "large", "off"), "large")
            if given.text("JitterBufferSize")
            else None
        ),
        transcribe=given.flag("Transcribe", default=False),
        transcription_configuration=given.text("TranscriptionConfiguration"),
    )


def _records_leg(given: Given) -> bool:
    # A boolean in the REST API, a word in the JavaScript SDK.
    words = ("true", "false", "record-from-start", "record-from-answer", "do-not-record")
    try:
        return given.flag("Record", default=False)
    except InvalidArgument:
        return given.word("Record", words, "false") != "do-not-record"


def _supervisor(given: Given) -> str | None:
    value = given.text("Supervisor")
    if value is not None and not is_sid(value, SidPrefix.WORKER) and not is_address(value):
        raise arguments.refusal("Supervisor", value, "a SID that begins with WK, or an address")
    return value


_PREFIXES: Final = {
    Instruction.DEQUEUE: "Dequeue",
    Instruction.CALL: "Call",
    Instruction.REDIRECT: "Redirect",
    Instruction.CONFERENCE: "",
}


def from_answer(answer: Mapping[str, object]) -> dict[str, object]:
    """The parameters in the JSON answer of an assignment callback, by their names in the REST API.

    ``{"instruction": "call", "to": ...}`` has `CallTo`; the `activity_sid` of a rejection is
    `WorkerActivitySid`. An unknown instruction has none.
    """
    word = answer.get("instruction")
    if not isinstance(word, str):
        return {}
    rest = {key: value for key, value in answer.items() if key != "instruction"}
    if word.lower() == Instruction.REJECT:
        return {"WorkerActivitySid": rest["activity_sid"]} if "activity_sid" in rest else {}
    prefix = next((prefix for name, prefix in _PREFIXES.items() if name == word.lower()), None)
    if prefix is None:
        return {}
    return {
        prefix + "".join(part[:1].upper() + part[1:] for part in key.split("_")): value
        for key, value in rest.items()
    }
