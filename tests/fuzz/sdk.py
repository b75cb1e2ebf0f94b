"""Targets of the SDK: what the service, or somebody in its place, may send."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from server_stub.replay.script import scripts_of
from taskrouter_worker._requests import Request
from taskrouter_worker._snapshot import _ACTIVITIES, _CHANNELS, _RESERVATION, _RESERVATIONS, _WORKER
from taskrouter_worker._token import Token
from taskrouter_worker._transport import MAX_RETRY_AFTER, Transport, _retry_after
from taskrouter_worker.errors import ServerError
from taskrouter_worker.events import _PAYLOADS, decode
from taskrouter_worker.recording import Recorder, RecordingError, bearer_of, read_recording
from taskrouter_worker.resources import (
    DECODE_ERRORS,
    InitFields,
    ReservationFields,
    TaskFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)

from .target import Broken

__all__ = ["answers", "frames", "recorder", "recordings", "sdk_tokens", "texts_in"]

MIN_CANARY: Final = 8
"""Shorter texts of an input may well be part of a message by chance."""


_RESOURCES: Final = (
    TaskFields, ReservationFields, TransferFields, WorkerFields, WorkerChannelFields, InitFields,
)  # fmt: skip
VOCABULARY: Final = " ".join(
    [
        *_PAYLOADS,
        *(name for kind in _RESOURCES for name in kind.__struct_fields__),
        *("Object missing required field", "a frame of", "Expected", "payload"),
    ]
)
"""What a message may say, whatever the input holds."""


def texts_in(value: Any) -> set[str]:  # Any: JSON
    """The texts of a JSON value that a message could only have from there."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text) if len(text) >= MIN_CANARY:
                found.add(text)
            case dict() as members:
                waiting += members.values()
            case list() as items:
                waiting += items
            case _:
                pass
    return found


def _loaded(data: bytes | str) -> Any:  # Any: JSON
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def frames(data: bytes) -> str:
    """`events.decode`: what it accepts reads the same again; what it refuses is not quoted."""
    try:
        event = decode(data)
    except Exception as error:
        payload = _loaded(data)
        inner = payload.get("payload") if isinstance(payload, dict) else None
        if any(text in str(error) for text in texts_in(inner) if text not in VOCABULARY):
            raise Broken(f"the refusal of a frame quotes a value of it: {error}") from error
        raise
    if event is None:
        return "ignored"
    again = decode(msgspec.json.encode({"event_type": event.type, "payload": event.payload}))
    if again != event:
        raise Broken("an event that is written down reads differently")
    if (text := _as_text(data)) is not None and decode(text) != event:
        raise Broken("a frame as text means another thing than as bytes")
    return str(event.type)


def _as_text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


_TRANSPORT: Final = Transport.__new__(Transport)  # the methods below use nothing of it
_REQUEST: Final = Request(method="GET", path="Workspaces")
_STATUSES: Final = (200, 204, 301, 400, 401, 403, 404, 412, 429, 500, 503, 599)
_DECODERS: Final = (_WORKER, _ACTIVITIES, _CHANNELS, _RESERVATIONS, _RESERVATION)


def answers(data: bytes) -> str:
    """An answer of the event bridge. Its first line is status and `Retry-After`, the rest the body."""
    head, _, body = data.partition(b"\n")
    status = _STATUSES[head[0] % len(_STATUSES)] if head else 200
    text = head[1:].decode("latin-1")
    if not 200 <= status < 300:
        wait = _retry_after(text, text if status == 503 else None)
        if wait is not None and not 0 <= wait <= MAX_RETRY_AFTER:
            raise Broken(f"Retry-After became {wait}")
        error = _TRANSPORT._refusal(body, _REQUEST, status, wait)
        if error.status != status:
            raise Broken("a refusal has another status")
        return f"{type(error).__name__} {wait is None} {error.code is None} {error.retryable}"
    payload = _TRANSPORT._payload(body, _REQUEST, status)
    outcomes: list[str] = []
    for decoder in _DECODERS:
        try:
            found = decoder.decode(payload)
        except DECODE_ERRORS:
            continue  # a ServerError, see `Commands.fetch`
        if decoder.decode(msgspec.json.encode(found)) != found:
            raise Broken("an answer that is written down reads differently")
        outcomes.append(type(found).__name__)
    if not outcomes:
        raise ServerError("cannot be understood", method="GET", path="Workspaces", status=status)
    return " ".join(outcomes)


def sdk_tokens(data: bytes) -> str:
    """`Token.parse` and `bearer_of`: neither shows the token, whatever is in it."""
    text = data.decode("utf-8", "surrogateescape")
    bearer = bearer_of(text)
    if bearer.expires_at is not None and not math.isfinite(bearer.expires_at):
        raise Broken("a bearer's end is no number")
    try:
        token = Token.parse(text)
    except ValueError as error:
        if len(text) >= MIN_CANARY and text in str(error):
            raise Broken("the refusal shows the token") from error
        raise
    if token.expires_at is not None and not math.isfinite(token.expires_at):
        raise Broken("a token's end is no number")
    if token.reveal() != text or (len(text) >= MIN_CANARY and text in f"{token} {token!r}"):
        raise Broken("a token changed, or can be read in its repr")
    return f"{token.expires_at is None} {token.workspace_sid is None} {bearer.worker_sid is None}"


def recordings(data: bytes) -> str:
    """`read_recording` and `scripts_of`: what is read is the same when it is written down."""
    recording = read_recording(data)
    rows = [recording.header, *(line for _, line in recording.lines)]
    written = b"\n".join(msgspec.json.encode(row) for row in rows)
    again = read_recording(written)
    if [line for _, line in again.lines] != rows[1:] or again.header != recording.header:
        raise Broken("a recording that is written down reads differently")
    scripts = scripts_of(recording)
    for script in scripts.values():
        script.tokens()
        [str(act) for act in script.acts]
        str(script.mismatch(""))
    kinds = sorted({type(line).__name__ for _, line in recording.lines})
    return f"{len(scripts)} {' '.join(kinds)}"


SECRET: Final = "s3cret-T0ken.abcdefghijklmnop.XYZ-0123456789"


def recorder(data: bytes) -> str:
    """`Recorder`: whatever comes by, it writes a recording that can be read and holds no token."""
    lines: list[str] = []
    body = data[1:].replace(b"TOKEN", SECRET.encode())
    text = body.decode("utf-8", "replace")
    value = _loaded(body)
    made = Recorder(lines.append, redact_attributes=data[:1] == b"r", known=[SECRET])
    connection = made.opened(SECRET, text[:200])
    made.frame(connection, body)
    params = value if isinstance(value, dict) else {"Text": text}
    with made.request("POST", text[:200], params, token=SECRET, if_match=text[:20]) as exchange:
        exchange.answered(200, body, text[:20])
    made.closed_connection(connection, by="server", code=1000, reason=text[:120])
    if made.closed:
        raise Broken("the recorder gave up")
    made.close()
    whole = "\n".join(lines)
    if SECRET in whole:
        raise Broken("a recording holds the token")
    try:
        recording = read_recording(whole)
    except RecordingError as error:
        raise Broken(f"a recording cannot be read: {error}") from error
    frame, answer = recording.lines[1][1], recording.lines[3][1]
    return f"{getattr(frame, 'not_json', None) is None} {getattr(answer, 'not_json', None) is None}"
