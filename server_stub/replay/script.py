"""What a recording asks of a replay: who is expected to do what, and in which order. Pure.

A recording is cut into one script per worker. A script's acts are the recording's lines in order: those
of the client (requests, websockets that it opens and closes) are waited for, those of the server
(answers, frames, its closings) are played at their place.

Requests are matched by method, path and what they decide (statuses, instructions, activities, pages),
not by their order: clients ask for several things at once. Texts that the recording does not hold are
not compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from taskrouter_worker.recording import (
    Answer,
    Closed,
    Frame,
    Line,
    Opened,
    Recording,
    Redactor,
    Refused,
    Request,
)

__all__ = ["Act", "ReplayMismatchError", "Script", "scripts_of"]

SHOWN: Final = 5
"""Expected acts that an error shows."""

_DECISIVE: Final = frozenset(
    {
        "Active",
        "ActivitySid",
        "AfterSid",
        "AssignmentStatus",
        "Instruction",
        "ReservationStatus",
        "TransferStatus",
    }
)
"""Parameters that must be there on both sides or on neither."""

_NOT_COMPARED: Final = frozenset({"Attributes", "PageSize"})
_PLACEHOLDER: Final = re.compile(r"[a-z]+-[0-9a-f]{10}")

_redactor = Redactor(redact_attributes=True)


class ReplayMismatchError(Exception):
    """The client did something else than the recorded one, or did not do what it did.

    Attributes:
        actual: what it did, without texts; empty if it did nothing.
        expected: what the recording has next, each with its line.
    """

    def __init__(self, actual: str, expected: Sequence[str]) -> None:
        self.actual = actual
        self.expected = tuple(expected)
        wanted = "".join(f"\n  {one}" for one in expected) or "\n  nothing: the recording is at its end"
        what = f"the client sent {actual}" if actual else "the client did nothing more"
        super().__init__(f"{what}; expected from it, by the recording:{wanted}")


@dataclass(eq=False, slots=True)
class Act:
    """One line of the script.

    Attributes:
        number: of the line in the recording.
        done: a client's act has come, or a server's act was played.
    """

    number: int
    line: Line
    done: bool = False

    @property
    def is_the_clients(self) -> bool:
        """Whether it is waited for."""
        match self.line:
            case Request() | Opened() | Refused():
                return True
            case Closed(by=by):
                return by == "client"
            case _:
                return False

    def __str__(self) -> str:
        match self.line:
            case Request() as line:
                text = _request_text(line.method, line.path, line.params)
            case Closed() as line:
                text = f"the end of websocket {line.connection}"
            case Opened(connection=connection) | Refused(connection=connection):
                text = f"websocket {connection}"
            case _:
                text = type(self.line).__name__.lower()
        return f"line {self.number}: {text}"


class Script:
    """The acts of one worker's sessions.

    Args:
        worker_sid: whose; None where the recording does not say.
        acts: in recorded order.
    """

    def __init__(self, worker_sid: str | None, acts: Sequence[Act]) -> None:
        self.worker_sid = worker_sid
        self.acts = acts
        self.workspace_sid = next(
            (
                str(act.line.payload.get("workspace_sid"))
                for act in acts
                if isinstance(act.line, Frame) and act.line.event_type == "init" and act.line.payload
            ),
            None,
        )

    def request(self, method: str, path: str, params: Mapping[str, object]) -> Act:
        """The recorded request that this one is; it counts as come.

        Raises:
            ReplayMismatchError: there is none.
        """
        path = path.replace("\\", "/").removeprefix("/")
        for act in self._open():
            line = act.line
            if (
                isinstance(line, Request)
                and (line.method, line.path) == (method, path)
                and _is_same(line.params, params)
            ):
                act.done = True
                return act
        raise self.mismatch(_request_text(method, path, _redactor.params(params)))

    def opening(self) -> Act:
        """The recorded websocket that is opened now; it counts as come.

        Raises:
            ReplayMismatchError: there is none.
        """
        for act in self._open():
            if isinstance(act.line, Opened | Refused):
                act.done = True
                return act
        raise self.mismatch("a request for another websocket")

    def left(self, connection: int) -> None:
        """The client's side of a websocket has ended."""
        for act in self._open():
            if isinstance(act.line, Closed) and act.line.connection == connection:
                act.done = True

    def readable(self, after: Act) -> Act | None:
        """An answer to a read that has come, recorded later than `after`."""
        reads = {
            act.line.id
            for act in self.acts
            if isinstance(act.line, Request) and act.done and act.line.method == "GET"
        }
        for act in self.acts[self.acts.index(after) :]:
            if isinstance(act.line, Answer) and not act.done and act.line.id in reads:
                return act
        return None

    def mismatch(self, actual: str) -> ReplayMismatchError:
        """An error that tells what would have been expected."""
        expected = [str(act) for act in self._open()]
        more = len(expected) - SHOWN
        return ReplayMismatchError(
            actual, [*expected[:SHOWN], *([f"... and {more} more"] if more > 0 else [])]
        )

    def tokens(self) -> list[tuple[str | None, float | None]]:
        """Name and end of each token that opened a websocket, in the order of their first use."""
        found: dict[str | None, float | None] = {}
        for act in self.acts:
            if isinstance(act.line, Opened | Refused):
                found.setdefault(act.line.token, act.line.token_expires_at)
        return list(found.items())

    def _open(self) -> Iterator[Act]:
        return (act for act in self.acts if act.is_the_clients and not act.done)


def scripts_of(recording: Recording) -> dict[str | None, Script]:
    """The scripts of a recording by worker SID.

    Lines that name no worker belong to the only one there is.

    Raises:
        ValueError: there is nothing to play.
    """
    workers = {line.worker for _, line in recording.lines if line.worker is not None}
    only = next(iter(workers)) if len(workers) == 1 else None
    acts: dict[str | None, list[Act]] = {}
    for number, line in recording.lines:
        acts.setdefault(line.worker or only, []).append(Act(number, line))
    if len(workers) > 1:
        acts.pop(None, None)  # nobody knows in whose script they would stand
    scripts = {
        worker: Script(worker, own)
        for worker, own in acts.items()
        if any(isinstance(act.line, Opened | Refused | Request) for act in own)
    }
    if not scripts:
        raise ValueError("the recording holds no session: there is nothing to replay")
    return scripts


def _is_same(recorded: Mapping[str, object], actual: Mapping[str, object]) -> bool:
    for name in _DECISIVE:
        if (name in recorded) != (name in actual):
            return False
    return all(
        _text(value) == _text(actual.get(name))
        for name, value in recorded.items()
        if name not in _NOT_COMPARED and not _is_redacted(value)
    )


def _is_redacted(value: object) -> bool:
    return not isinstance(value, str | int | float) or bool(
        isinstance(value, str) and _PLACEHOLDER.fullmatch(value)
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _request_text(method: str, path: str, params: Mapping[str, object]) -> str:
    shown = {name: value for name, value in params.items() if name not in _NOT_COMPARED}
    return f"{_redactor.method(method)} {_redactor.path(path)}" + (f" {json.dumps(shown)}" if shown else "")
