"""What of a session may be written down: an allow list. Pure, but for the random key of each recording.

Everything that is not named here is left out: unknown keys of payloads, unknown parameters, headers,
query strings. What is named is kept only if it looks as it should: a SID as a SID, a status as one of
TaskRouter's words, a number as a number. Free text (names, attributes, reasons) is kept unless the
recording is to be without it, and never where a token or a known secret is in it.

What must not be kept but has to be there is replaced by a placeholder such as ``name-1f0c2a9b44``. The
same text gets the same placeholder within a recording. The key behind it is random and never written,
so that nobody can try names until one fits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import secrets as randomness
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, cast
from urllib.parse import quote, unquote_plus

import msgspec

from ._requests import pascal_case
from .options import ConferenceOptions
from .resources import (
    ActivityFields,
    AnyReservationFields,
    InitFields,
    Page,
    PageMeta,
    ReservationFields,
    TaskFields,
    TaskQueueFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)
from .terms import (
    EventType,
    Instruction,
    QueueOrder,
    ReservationStatus,
    SupervisorMode,
    TaskStatus,
    TransferMode,
    TransferStatus,
    TransferType,
    is_sid,
)

__all__ = ["Json", "Redactor", "strict_json"]

Json = Any
"""JSON as Python shows it: whatever a stranger sent."""

MIN_SECRET: Final = 8
"""Shorter known secrets are not searched for: they would be found in everything."""

_STRUCTS: Final[tuple[type[msgspec.Struct], ...]] = (
    ActivityFields,
    AnyReservationFields,
    InitFields,
    Page,
    PageMeta,
    ReservationFields,
    TaskFields,
    TaskQueueFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)

_TEXT_KEYS: Final = frozenset(
    {
        "activity_name",
        "assignment_activity_name",
        "friendly_name",
        "message",
        "queue_name",
        "reason",
        "reservation_activity_name",
        "routing_target",
        "target_workers",
        "task_channel_unique_name",
        "transfer_failed_reason",
        "transfer_to",
        "worker_name",
        "workflow_name",
    }
)
_JSON_KEYS: Final = frozenset({"attributes", "addons", "Attributes"})
_WORD_KEYS: Final = frozenset(
    {
        "assignment_status",
        "list_key",
        "reservation_status",
        "task_order",
        "transfer_mode",
        "transfer_status",
        "transfer_type",
        "Active",
        "AssignmentStatus",
        "Instruction",
        "Mode",
        "ReservationStatus",
        "SupervisorMode",
        "TransferStatus",
    }
)
_NEVER_KEYS: Final = frozenset({"next_token", "SipAuthUsername", "SipAuthPassword"})
"""Always replaced, whatever they hold. (A page's token is opaque: nobody knows what is in it.)"""

_INNER_KEYS: Final = frozenset(
    {"active_outgoing_task_transfer", "contents", "details", "meta", "payload", "task", "task_transfer"}
)
_ERROR_KEYS: Final = frozenset({"code", "log_code", "message", "status"})
_FIELDS: Final = frozenset(field.name for struct in _STRUCTS for field in msgspec.structs.fields(struct))

_PARAMS: Final = frozenset(
    {
        *pascal_case((name, True) for name in ConferenceOptions.__annotations__),
        *[
            "Active",
            "ActivityName",
            "ActivitySid",
            "AfterSid",
            "AssignmentStatus",
            "Attributes",
            "Available",
            "CallAccept",
            "CallFrom",
            "CallRecord",
            "CallStatusCallbackUrl",
            "CallTimeout",
            "CallTo",
            "CallUrl",
            "ConferenceSid",
            "DequeueFrom",
            "DequeuePostWorkActivitySid",
            "DequeueRecord",
            "DequeueStatusCallbackEvents",
            "DequeueStatusCallbackUrl",
            "DequeueTimeout",
            "DequeueTo",
            "EndConferenceOnExit",
            "FriendlyName",
            "Hold",
            "HoldMethod",
            "HoldUrl",
            "Instruction",
            "IsEnabled",
            "Mode",
            "Muted",
            "Ordering",
            "PageSize",
            "Priority",
            "Reason",
            "RedirectAccept",
            "RedirectCallSid",
            "RedirectUrl",
            "RejectPendingReservations",
            "ReservationSid",
            "ReservationStatus",
            "RoutingTarget",
            "Supervisor",
            "SupervisorMode",
            "TargetWorkerSid",
            "TargetWorkersExpression",
            "TaskChannelSid",
            "TaskChannelUniqueName",
            "TaskQueueName",
            "TaskQueueSid",
            "TaskSid",
            "Timeout",
            "To",
            "TransferStatus",
            "VirtualStartTime",
            "WorkerActivitySid",
            "WorkerSid",
            "WorkflowSid",
        ],
    }
)
"""The parameters of requests that may be named. Their texts, but for SIDs and words, are replaced."""

_WORDS: Final = frozenset(
    {
        *EventType,
        *Instruction,
        *QueueOrder,
        *ReservationStatus,
        *SupervisorMode,
        *TaskStatus,
        *TransferMode,
        *TransferStatus,
        *TransferType,
        "contents",
        "init",
        "true",
        "false",
    }
)
_COMMON_NAMES: Final = frozenset(
    {
        *[
            "Available",
            "Break",
            "Busy",
            "Idle",
            "Offline",
            "Reserved",
            "Unavailable",
            "WrapUp",
            "default",
            "voice",
            "sms",
            "chat",
            "video",
        ],
        "Default Workspace",
        "Task TTL Exceeded",
    }
)
"""TaskRouter's own names, nobody's secret. Clients decide by some of them (`Offline`)."""

_SEGMENTS: Final = frozenset(
    [
        "Activities",
        "CustomerParticipant",
        "HoldWorkerParticipant",
        "KickWorkerParticipant",
        "Reservations",
        "TaskQueues",
        "Tasks",
        "Transfers",
        "WorkerChannels",
        "WorkerParticipant",
        "Workers",
        "Workflows",
        "Workspaces",
    ]
)
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})

_JWT: Final = re.compile(r"eyJ[\w-]{4,}(\.|%2E|$)", re.IGNORECASE | re.ASCII)
_NUMBER: Final = re.compile(r'(?:W/)?"?(\d{1,9})"?')
_VERSION: Final = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)")


def strict_json(text: bytes | str) -> Json:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, holds NaN, infinity or what would be read as that, or is nested too deep.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("it holds a number that no float holds")
    return number


class Redactor:
    """Lets through what may be written down, for one recording.

    Args:
        redact_attributes: replace attributes, names, reasons and messages too.
        known: secrets that must not appear in any text, however it is encoded.
    """

    def __init__(self, *, redact_attributes: bool, known: Iterable[str] = ()) -> None:
        self.redact_attributes = redact_attributes
        self.left_out = 0  # keys, since the owner last set it to 0
        self._key = randomness.token_bytes(32)
        self._forms: set[str] = set()
        self._known: set[str] = set()
        self._tokens: dict[str, str] = {}
        for secret in known:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Remember a secret: no text that holds it will be kept."""
        if len(secret) >= MIN_SECRET and secret not in self._known:
            self._known.add(secret)
            self._forms.update(_encodings(secret))

    def token(self, text: str) -> str:
        """The name of a token: ``token-1`` for the first one. The token and its parts count as secrets."""
        digest = self._digest(text)
        if digest not in self._tokens:
            self._tokens[digest] = f"token-{len(self._tokens) + 1}"
            for part in (text, *text.split(".")):
                self.learn(part)
        return self._tokens[digest]

    # --- Requests -----------------------------------------------------------------------------

    def method(self, text: str) -> str:
        """One of HTTP's methods."""
        return text if text in _METHODS else self._placeholder("method", text)

    def path(self, text: str) -> str:
        """A path of the event bridge: words of its routes and SIDs."""
        segments = text.replace("\\", "/").removeprefix("/").split("/")
        return "/".join(
            segment
            if segment in _SEGMENTS or (is_sid(segment) and not self._is_secret(segment))
            else self._placeholder("segment", segment)
            for segment in segments
        )

    def api_version(self, text: str) -> str:
        """``v1`` or ``v2``."""
        return text if text in ("v1", "v2") else self._placeholder("version", text)

    def if_match(self, text: str | None) -> str | None:
        """A version number."""
        if text is None:
            return None
        found = _NUMBER.fullmatch(text)
        return found[1] if found else self._placeholder("version", text)

    def client_version(self, text: str) -> str:
        """The number in front."""
        found = _VERSION.match(text)
        return found[0] if found and not self._is_secret(text) else self._placeholder("version", text)

    def params(self, params: Mapping[str, Json]) -> dict[str, Json]:
        """The parameters of a request."""
        kept: dict[str, Json] = {}
        for name, value in params.items():
            if name not in _PARAMS:
                self.left_out += 1
            elif name in _NEVER_KEYS:
                kept[name] = self._placeholder("text", json.dumps(value))
            elif name in _JSON_KEYS:
                kept[name] = self._attributes(value)
            elif isinstance(value, str):
                kept[name] = self._param(name, value)
            elif isinstance(value, list | dict | tuple):
                kept[name] = self._placeholder("text", json.dumps(value, default=str))
            else:
                kept[name] = _number(value)
        return kept

    def _param(self, name: str, value: str) -> str:
        if self._is_secret(value):
            return self._placeholder("text", value)
        if (
            is_sid(value)
            or (name in _WORD_KEYS and value in _WORDS)
            or value in ("true", "false")
            or (name in ("Priority", "PageSize") and _NUMBER.fullmatch(value))
            or (name == "VirtualStartTime" and _DATE.fullmatch(value))
        ):
            return value
        return self._placeholder("text", value)

    # --- Answers and frames -------------------------------------------------------------------

    def body(self, value: Json) -> Json:
        """An answer's body, or a frame's payload, from JSON."""
        return self._value("payload", value)

    def event_type(self, text: str) -> str:
        """One of TaskRouter's event types."""
        return text if text in _WORDS else self._placeholder("event", text)

    def text(self, text: str, kind: str = "text") -> str:
        """Free text."""
        if text in _COMMON_NAMES or not text:
            return text
        if self.redact_attributes or self._is_secret(text):
            return self._placeholder(kind, text)
        return text

    def _value(self, key: str, value: Json) -> Json:
        match value:
            case dict() if key in _INNER_KEYS:
                return self._object(cast("dict[str, Json]", value))
            case list() if key in _INNER_KEYS:
                return [self._value(key, item) for item in cast("list[object]", value)]
            case _ if key in _NEVER_KEYS and value is not None:
                return self._placeholder("text", json.dumps(value))
            case _ if key in _JSON_KEYS and value is not None:
                return self._attributes(value)
            case str():
                return self._text_of(key, value)
            case int() | float() | None:
                return _number(value)
            case _:  # an object or a list where none belongs
                self.left_out += 1
                return None

    def _object(self, value: dict[str, Json]) -> dict[str, Json]:
        kept: dict[str, Json] = {}
        for key, item in value.items():
            if key in _FIELDS or key in _ERROR_KEYS or key in _INNER_KEYS:
                kept[key] = self._value(key, item)
            else:
                self.left_out += 1
        return kept

    def _text_of(self, key: str, value: str) -> str:
        if (key.endswith("sid") or key in ("channel_id", "routing_target", "transfer_to")) and is_sid(value):
            return self._placeholder("sid", value) if self._is_secret(value) else value
        if key in _TEXT_KEYS:
            return self.text(value, "name" if key.endswith("name") else "text")
        if key in _WORD_KEYS and value in _WORDS:
            return value
        return value and self._placeholder("text", value)

    def _attributes(self, value: Json) -> Json:
        """Attributes, as JSON text or as an object: whole or replaced, but always an object in JSON."""
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        if text.strip() in ("", "{}"):
            return value
        if not (self.redact_attributes or self._is_secret(text) or self._is_secret(_unescaped(text))):
            return value
        replaced = {"redacted": self._placeholder("attributes", text)}
        return json.dumps(replaced) if isinstance(value, str) else replaced

    # --- Secrets ------------------------------------------------------------------------------

    def _is_secret(self, text: str) -> bool:
        """Whether a token or a known secret is in it, as it is or encoded."""
        for form in {text, unquote_plus(text), unquote_plus(unquote_plus(text))}:
            if _JWT.search(form) or any(secret in form for secret in self._forms):
                return True
            if _holds_encoded_token(form):
                return True
        return False

    def _placeholder(self, kind: str, text: str) -> str:
        return f"{kind}-{self._digest(text)}"

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:10]


def _number(value: Json) -> Json:
    # Compared, not converted: JSON allows integers that no float holds.
    return value if isinstance(value, int | float) and abs(value) <= sys.float_info.max else None


def _unescaped(text: str) -> str:
    """The texts within a JSON text without their escapes."""
    try:
        return json.dumps(strict_json(text), ensure_ascii=False).replace('\\"', '"').replace("\\\\", "\\")
    except ValueError:
        return text


def _encodings(secret: str) -> set[str]:
    """A text as it shows within other texts."""
    raw = secret.encode(errors="surrogatepass")
    forms = {
        secret,
        quote(secret, safe="", errors="surrogatepass"),
        raw.hex(),
        raw.hex().upper(),
        json.dumps(secret)[1:-1],
    }
    # In base64 a text looks three ways, by where it begins. The first and last characters depend on
    # what is around it.
    for lead in range(3):
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * lead + raw).decode().rstrip("=")
            start = (0, 2, 3)[lead]
            whole = (lead + len(raw)) % 3 == 0
            forms.add(text[start:] if whole else text[start:-1])
    return {form for form in forms if len(form) >= MIN_SECRET - 2}


_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}", re.ASCII)


def _holds_encoded_token(text: str) -> bool:
    for found in _BASE64.findall(text):
        plain = found.rstrip("=").replace("-", "+").replace("_", "/")
        for lead in range(4):
            part = plain[lead:]
            part = part[: len(part) - len(part) % 4]
            if _JWT.search(base64.b64decode(part, validate=False).decode("latin-1")):
                return True
    return False
