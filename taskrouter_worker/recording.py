"""Recordings of sessions: JSON lines without secrets, for bug reports and for replaying.

The one definition of the format. `Worker(record=...)` writes it from the client's side, the local
server from its own; `taskrouter-stub replay` plays the server's part of either.

The first line is a `Header`, each other one of `Line`'s kinds, in the order in which things happened;
``t`` counts seconds from the start on a monotonic clock. What may be in a line is an allow list, see
the fields below: tokens, query strings and headers are never there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Protocol, Self, TypeAlias, cast
from urllib.parse import parse_qsl

import jwt
import msgspec

from ._redaction import Json, Redactor, strict_json
from ._version import __version__
from .terms import SidPrefix, is_sid

__all__ = [
    "FORMAT",
    "VERSION",
    "Answer",
    "Bearer",
    "Closed",
    "End",
    "Exchange",
    "Frame",
    "Header",
    "Line",
    "Opened",
    "Recorder",
    "Recording",
    "RecordingError",
    "Redactor",
    "Refused",
    "Request",
    "bearer_of",
    "read_recording",
]

FORMAT: Final = "taskrouter-recording"
VERSION: Final = 1

MAX_LINES: Final = 200_000
"""A recorder stops after so many lines: a forgotten one must not fill the disk."""

MAX_LINE: Final = 8 * 1024 * 1024
"""Longest line that is read, in characters."""

logger = logging.getLogger(__name__)


# --- The format -----------------------------------------------------------------------------------


class Header(msgspec.Struct, kw_only=True, frozen=True):
    """The first line."""

    format: str
    version: int
    started_at: str  # the wall clock at t = 0: ISO 8601, UTC
    recorder: str  # the program and its version
    side: Literal["client", "server"]
    redacted: list[str]  # what was replaced or left out


class _Line(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag=str.lower, omit_defaults=True):
    t: float  # seconds since the start
    worker: str | None = None  # the worker's SID, where it is known
    left_out: int = 0  # how many keys the allow list does not know


class Request(_Line, kw_only=True, frozen=True):
    """A client asked the event bridge."""

    id: int  # its answer has the same
    method: str
    path: str
    params: dict[str, Json] = {}
    api_version: str = "v1"
    if_match: str | None = None


class Answer(_Line, kw_only=True, frozen=True):
    """What it was answered, or that it got no answer."""

    id: int
    status: int | None = None
    body: Json = None
    retry_after: float | None = None  # seconds
    not_json: int | None = None  # the length in bytes of a body that is no JSON and was left out
    failed: Literal["timeout", "network", "given up"] | None = None


class Opened(_Line, kw_only=True, frozen=True):
    """A websocket was opened."""

    connection: int
    token: str | None = None  # token-1 is the first one, token-2 the next
    token_expires_at: float | None = None  # epoch seconds
    close_existing_sessions: bool = False
    set_worker_offline_if_disconnected: bool | None = None
    client_version: str | None = None


class Refused(_Line, kw_only=True, frozen=True):
    """A websocket could not be opened."""

    connection: int
    status: int | None = None  # of the HTTP answer, where there was one
    token: str | None = None
    token_expires_at: float | None = None


class Frame(_Line, kw_only=True, frozen=True):
    """A text frame."""

    connection: int
    direction: Literal["to client", "to server"] = "to client"
    event_type: str | None = None
    payload: Json = None
    heartbeat: bool = False  # nothing but white space
    not_json: int | None = None  # the length in bytes of a text that is no JSON and was left out


class Closed(_Line, kw_only=True, frozen=True):
    """A websocket ended."""

    connection: int
    by: Literal["server", "client"] | None = None  # None: the connection was lost
    code: int | None = None
    reason: str = ""


class End(_Line, kw_only=True, frozen=True):
    """The recording was ended. A recording without this line was cut off."""

    reason: Literal["stopped", "limit"] = "stopped"


Line: TypeAlias = Request | Answer | Opened | Refused | Frame | Closed | End


class RecordingError(ValueError):
    """A text is not a recording; the message names the line."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was read.

    Attributes:
        header: its first line.
        lines: the others, and their numbers in the text, from 2.
    """

    header: Header
    lines: tuple[tuple[int, Line], ...]


def read_recording(text: str | bytes) -> Recording:
    """Read a recording.

    Raises:
        RecordingError: it is none, is damaged, or is of a later version of the format.
    """
    # Not splitlines(): that also splits at characters that JSON allows within texts.
    rows = [(number, row) for number, row in enumerate(_decoded(text).split("\n"), 1) if row.strip()]
    if not rows:
        raise RecordingError("line 1: the recording is empty")
    first = rows[0]
    header = _header(*first)
    lines = tuple((number, _parsed(number, row)) for number, row in rows[1:])
    _check_references(lines)
    return Recording(header, lines)


def _decoded(data: str | bytes) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise RecordingError(f"line {number}: not UTF-8 at byte {error.start} of the file") from None


def _header(number: int, row: str) -> Header:
    value = _object(number, row)
    if value.get("format") != FORMAT:
        raise RecordingError(
            f'line {number}: not a recording: it must begin with {{"format": "{FORMAT}", ...}}'
        )
    if value.get("version") != VERSION:
        raise RecordingError(
            f"line {number}: version {json.dumps(value.get('version'))[:40]} of the format is unknown here: "
            f"this program reads version {VERSION}"
        )
    header: Header = _converted(number, value, Header)
    try:
        datetime.fromisoformat(header.started_at)
    except ValueError:
        raise RecordingError(f"line {number}: started_at is not a date: {header.started_at[:40]!r}") from None
    return header


def _object(number: int, row: str) -> dict[str, Json]:
    if len(row) > MAX_LINE:
        raise RecordingError(f"line {number}: longer than {MAX_LINE} characters")
    try:
        value = strict_json(row)
    except ValueError as error:
        raise RecordingError(f"line {number}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RecordingError(f"line {number}: expected a JSON object, got {type(value).__name__}")
    return cast("dict[str, Json]", value)


def _parsed(number: int, row: str) -> Line:
    line: Line = _converted(number, _object(number, row), Line)
    if not 0 <= line.t < float("inf"):
        raise RecordingError(f"line {number}: t must be 0 or more seconds, got {line.t}")
    return line


def _converted(number: int, value: dict[str, Json], kind: Json) -> Json:
    try:
        return msgspec.convert(value, type=kind)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise RecordingError(f"line {number}: {error}") from None


def _check_references(lines: Iterable[tuple[int, Line]]) -> None:
    """Answers belong to requests, frames to connections."""
    requests: set[int] = set()
    connections: dict[int, bool] = {}  # whether it is open
    for number, line in lines:
        match line:
            case Request(id=id_):
                if id_ in requests:
                    raise RecordingError(
                        f"line {number}: request {id_} was there before and has no answer yet"
                    )
                requests.add(id_)
            case Answer(id=id_):
                if id_ not in requests:
                    raise RecordingError(f"line {number}: an answer to request {id_}, which is not open")
                if line.status is None and line.failed is None:
                    raise RecordingError(f"line {number}: an answer needs a status, or failed")
                if line.status is not None and not 200 <= line.status <= 599:
                    raise RecordingError(f"line {number}: status must be 200 to 599, got {line.status}")
                requests.remove(id_)
            case Opened(connection=connection) | Refused(connection=connection):
                if connection in connections:
                    raise RecordingError(f"line {number}: connection {connection} was there before")
                connections[connection] = isinstance(line, Opened)
            case Frame(connection=connection) | Closed(connection=connection):
                if not connections.get(connection):
                    raise RecordingError(f"line {number}: connection {connection} is not open")
                connections[connection] = isinstance(line, Frame)
            case End():
                pass


# --- Who a token is for ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a token says, unverified. None where it does not say it."""

    workspace_sid: str | None = None
    worker_sid: str | None = None
    expires_at: float | None = None  # epoch seconds


def bearer_of(token: str) -> Bearer:
    """For whom a token is. Nothing of this was verified: good for notes, not for decisions."""
    try:
        claims: dict[str, Json] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return Bearer()
    grants = claims.get("grants")
    inner = cast("dict[str, Json]", grants).get("task_router") if isinstance(grants, dict) else None
    named = cast("dict[str, Json]", inner) if isinstance(inner, dict) else claims
    workspace, worker, expires = named.get("workspace_sid"), named.get("worker_sid"), claims.get("exp")
    return Bearer(
        workspace if is_sid(workspace, SidPrefix.WORKSPACE) else None,
        worker if is_sid(worker, SidPrefix.WORKER) else None,
        float(expires) if isinstance(expires, int | float) and abs(expires) < 1e12 else None,
    )


# --- Writing --------------------------------------------------------------------------------------


class _Clock(Protocol):
    def __call__(self) -> float: ...


class Recorder:
    """Writes a recording. One for each session that is to be replayed.

    Nothing of it raises once it was made: what cannot be written is logged once, and the recording ends.

    Args:
        sink: a file's path, or a function that gets each line (without its line feed).
        redact_attributes: replace customers' attributes and all names, reasons and messages by
            placeholders, the same text by the same one.
        side: who records.
        recorder: the program and its version.
        known: secrets that must not appear, beside the tokens that come by.
        max_lines: it stops after so many.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(
        self,
        sink: str | os.PathLike[str] | Callable[[str], object],
        *,
        redact_attributes: bool = False,
        side: Literal["client", "server"] = "client",
        recorder: str = f"taskrouter-worker {__version__}",
        known: Iterable[str] = (),
        max_lines: int = MAX_LINES,
        monotonic: _Clock = time.monotonic,
        wall: _Clock = time.time,
    ) -> None:
        self._file = None if callable(sink) else Path(sink).open("w", encoding="ascii", newline="\n")  # noqa: SIM115 - closed by close()
        self._sink = sink if callable(sink) else None
        self._redactor = Redactor(redact_attributes=redact_attributes, known=known)
        self._monotonic = monotonic
        self._started = monotonic()
        self._left = max_lines
        self._requests = 0
        self._connections = 0
        self.worker: str | None = None  # of lines that do not say it themselves
        self.closed = False
        names = ["attributes", "names", "reasons", "messages"] if redact_attributes else []
        header = Header(
            format=FORMAT,
            version=VERSION,
            started_at=datetime.fromtimestamp(wall(), UTC).isoformat(timespec="milliseconds"),
            recorder=recorder,
            side=side,
            redacted=["tokens", "headers", "query strings", "unknown keys", "texts in requests", *names],
        )
        self._put(json.dumps(msgspec.to_builtins(header)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the recording. Later lines are ignored; safe to call twice."""
        if not self.closed:
            self._end("stopped")

    # --- What happens -------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Json],
        *,
        token: str,
        api_version: str = "v1",
        if_match: str | None = None,
        worker: str | None = None,
    ) -> Exchange:
        """A request is on its way. Enter what it returns until its answer is there."""
        redactor = self._redactor
        redactor.token(token)
        self._requests += 1
        self._write(
            lambda t: Request(
                t=t,
                worker=worker or self.worker,
                id=self._requests,
                method=redactor.method(method),
                path=redactor.path(path),
                params=redactor.params(params),
                api_version=redactor.api_version(api_version),
                if_match=redactor.if_match(if_match),
                left_out=redactor.left_out,
            )
        )
        return Exchange(self, self._requests, worker or self.worker)

    def answer(
        self,
        number: int,
        worker: str | None,
        *,
        status: int | None = None,
        body: bytes = b"",
        retry_after: str | None = None,
        failed: Literal["timeout", "network", "given up"] | None = None,
    ) -> None:
        """The answer to request `number`, or why there is none."""

        def line(t: float) -> Line:
            not_json = None
            try:
                shown = self._redactor.body(strict_json(body)) if body.strip() else None
            except ValueError:
                shown, not_json = None, len(body)
            return Answer(
                t=t,
                worker=worker,
                id=number,
                status=status,
                body=shown,
                retry_after=_seconds(retry_after),
                not_json=not_json,
                failed=failed,
                left_out=self._redactor.left_out,
            )

        self._write(line)

    def opened(self, token: str, query: str, *, worker: str | None = None) -> int:
        """A websocket was opened with this query string; the number of the connection."""
        self._connections += 1
        options = dict(parse_qsl(query))
        offline = options.get("setWorkerOfflineIfDisconnected")
        version = options.get("clientVersion")
        bearer = bearer_of(token)
        if self.worker is None and worker is None:
            self.worker = bearer.worker_sid
        self._write(
            lambda t: Opened(
                t=t,
                worker=worker or self.worker,
                connection=self._connections,
                token=self._redactor.token(token),
                token_expires_at=bearer.expires_at,
                close_existing_sessions=options.get("closeExistingSessions") == "true",
                set_worker_offline_if_disconnected=None if offline is None else offline == "true",
                client_version=None if version is None else self._redactor.client_version(version),
            )
        )
        return self._connections

    def refused(self, token: str, *, status: int | None, worker: str | None = None) -> None:
        """A websocket could not be opened."""
        self._connections += 1
        bearer = bearer_of(token)
        self._write(
            lambda t: Refused(
                t=t,
                worker=worker or self.worker or bearer.worker_sid,
                connection=self._connections,
                status=status,
                token=self._redactor.token(token),
                token_expires_at=bearer.expires_at,
            )
        )

    def frame(
        self,
        connection: int,
        data: bytes,
        *,
        to: Literal["client", "server"] = "client",
        worker: str | None = None,
    ) -> None:
        """A text frame came by."""
        self._write(lambda t: self._frame(t, connection, data, to, worker))

    def _frame(
        self, t: float, connection: int, data: bytes, to: Literal["client", "server"], worker: str | None
    ) -> Line:
        direction: Literal["to client", "to server"] = "to client" if to == "client" else "to server"
        who = worker or self.worker
        if not data.strip():
            return Frame(t=t, worker=who, connection=connection, direction=direction, heartbeat=True)
        try:
            value = strict_json(data)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            return Frame(t=t, worker=who, connection=connection, direction=direction, not_json=len(data))
        event = cast("dict[str, Json]", value)
        event_type, payload = event.get("event_type"), event.get("payload")
        shown = self._redactor.body(payload)
        if event_type == "init" and isinstance(shown, dict) and self.worker is None and worker is None:
            named = cast("dict[str, Json]", shown).get("channel_id")
            if is_sid(named, SidPrefix.WORKER):  # anybody may have sent it
                who = self.worker = named
        self._redactor.left_out += len(event.keys() - {"event_type", "payload"})
        return Frame(
            t=t,
            worker=who,
            connection=connection,
            direction=direction,
            event_type=self._redactor.event_type(event_type) if isinstance(event_type, str) else None,
            payload=shown,
            left_out=self._redactor.left_out,
        )

    def closed_connection(
        self,
        connection: int,
        *,
        by: Literal["server", "client"] | None,
        code: int | None,
        reason: str,
        worker: str | None = None,
    ) -> None:
        """A websocket ended; `by` nobody if it was lost."""
        self._write(
            lambda t: Closed(
                t=t,
                worker=worker or self.worker,
                connection=connection,
                by=by,
                code=code,
                reason=self._redactor.text(reason),
            )
        )

    # --- Lines --------------------------------------------------------------------------------

    def _write(self, make: Callable[[float], Line]) -> None:
        if self.closed:
            return
        if self._left <= 1:
            self._end("limit")
            return
        self._redactor.left_out = 0
        try:
            line = make(self._now())
            self._put(json.dumps(msgspec.to_builtins(line)))
        except Exception as error:  # noqa: BLE001 - a recorder must not break what it watches; its text may quote
            self.closed = True
            logger.error("the recording ended early: %s", type(error).__name__)  # noqa: TRY400 - the same
            self._release()

    def _end(self, reason: Literal["stopped", "limit"]) -> None:
        self.closed = True
        try:
            self._put(json.dumps(msgspec.to_builtins(End(t=self._now(), reason=reason))))
        except Exception as error:  # noqa: BLE001 - as in _write
            logger.error("the recording could not be ended: %s", type(error).__name__)  # noqa: TRY400 - the same
        finally:
            self._release()

    def _now(self) -> float:
        return round(max(0.0, self._monotonic() - self._started), 6)

    def _put(self, text: str) -> None:
        self._left -= 1
        if self._sink is not None:
            self._sink(text)
        elif self._file is not None:
            self._file.write(text + "\n")
            self._file.flush()  # what happened before a crash is what a bug report needs

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()


class Exchange:
    """One request until its answer. Left without one, it says why."""

    __slots__ = ("_number", "_recorder", "_worker")

    def __init__(self, recorder: Recorder, number: int, worker: str | None) -> None:
        self._recorder: Recorder | None = recorder
        self._number = number
        self._worker = worker

    def answered(self, status: int, body: bytes, retry_after: str | None) -> None:
        """Its answer."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.answer(self._number, self._worker, status=status, body=body, retry_after=retry_after)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        if isinstance(exc, asyncio.CancelledError):
            recorder.answer(self._number, self._worker, failed="given up")
        elif exc is not None and isinstance(exc.__cause__, TimeoutError):
            recorder.answer(self._number, self._worker, failed="timeout")
        else:
            recorder.answer(self._number, self._worker, failed="network")


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, min(float(text), 1e6))
    except ValueError:
        return None
