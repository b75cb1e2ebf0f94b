"""What can go wrong, for whom and when: the rules, actions and records of fault injection, as plain data.

Nothing like it exists in TaskRouter; names and limits are our choice. Everything here is checked when it
is made, and becomes JSON and comes back by `as_dict` and `from_dict`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, Final, Literal, Self, cast

from taskrouter_worker.terms import EventType, SidPrefix, is_sid

__all__ = [
    "ActionKind",
    "Door",
    "FaultAction",
    "FaultKind",
    "FaultPlan",
    "FaultRecord",
    "FaultRule",
    "Target",
]

Door = Literal["bridge", "rest"]

INIT: Final = "init"
"""The first frame of a session; not among the domain's events."""


class Target(StrEnum):
    """What a rule looks at."""

    FRAMES = "frames"  # `init` and events, about to be written to a websocket
    HEARTBEATS = "heartbeats"
    WEBSOCKETS = "websockets"  # requests for a new one
    REQUESTS = "requests"  # with sound credentials, over the event bridge or REST


class FaultKind(StrEnum):
    """What a standing rule does to what it matches."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    REORDER = "reorder"  # it comes after the next one of its session
    DELAY = "delay"  # and the session's later ones wait behind it
    CUT_BEFORE = "cut_before"
    CUT_AFTER = "cut_after"
    HALF_OPEN = "half_open"  # from this frame on the session reads and writes nothing, but stays connected
    SLOW_INIT = "slow_init"
    MUTE_HEARTBEATS = "mute_heartbeats"
    REFUSE_WEBSOCKET = "refuse_websocket"  # with an HTTP status
    RESET_WEBSOCKET = "reset_websocket"  # by a TCP reset, without an answer
    REFUSE_REQUEST = "refuse_request"  # with an HTTP status; nothing is carried out
    CUT_REQUEST_BEFORE = "cut_request_before"  # it is not carried out
    CUT_REQUEST_AFTER = "cut_request_after"  # it is carried out, its answer lost
    DELAY_REQUEST = "delay_request"  # then it is carried out

    @property
    def target(self) -> Target:
        """What it happens to."""
        match self:
            case FaultKind.MUTE_HEARTBEATS:
                return Target.HEARTBEATS
            case FaultKind.REFUSE_WEBSOCKET | FaultKind.RESET_WEBSOCKET:
                return Target.WEBSOCKETS
            case (
                FaultKind.REFUSE_REQUEST
                | FaultKind.CUT_REQUEST_BEFORE
                | FaultKind.CUT_REQUEST_AFTER
                | FaultKind.DELAY_REQUEST
            ):
                return Target.REQUESTS
            case _:
                return Target.FRAMES


class ActionKind(StrEnum):
    """What is done at once to the sessions that are there."""

    CUT = "cut"  # their TCP connections, without a close frame
    HALF_OPEN = "half_open"
    EXPIRE_TOKEN = "expire_token"  # noqa: S105 - no secret; their tokens count as expired from now on
    DISPLACE = "displace"  # as if another session of the worker had asked to be the only one
    RESTART = "restart"  # close code 1012, as a server says it that restarts


# --- Checks -------------------------------------------------------------------------------------


def _is_whole(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_seconds(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value <= MAX_SECONDS  # neither NaN nor an integer that no float holds
    )


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _is_event_pattern(value: object) -> bool:
    names = (INIT, *(event for event in EventType if event.is_pushed))
    return isinstance(value, str) and any(fnmatchcase(name, value) for name in names)


def _is_status(value: object) -> bool:
    return _is_whole(value, 400) and value in set(HTTPStatus)


def _are_positions(value: object) -> bool:
    return isinstance(value, list | tuple) and all(_is_whole(n, 1) for n in cast("list[object]", value))


MAX_SECONDS: Final = 86_400.0
"""Longest delay or duration, in seconds."""

_CHECKS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "workspace_sid": (
        lambda v: isinstance(v, str) and is_sid(v, SidPrefix.WORKSPACE),
        "WS and 32 hexadecimal digits",
    ),
    "worker_sid": (
        lambda v: isinstance(v, str) and is_sid(v, SidPrefix.WORKER),
        "WK and 32 hexadecimal digits",
    ),
    "session": (lambda v: _is_whole(v, 1), "a session's number, from 1"),
    "event_type": (
        _is_event_pattern,
        "init or the type of a pushed event, or a pattern such as reservation.*",
    ),
    "door": (lambda v: v in ("bridge", "rest"), "bridge or rest"),
    "method": (lambda v: v in ("GET", "POST", "PUT", "DELETE"), "GET, POST, PUT or DELETE"),
    "path": (
        lambda v: isinstance(v, str) and v.startswith(("Workspaces", "*", "?", "[")),
        "a path or a pattern from Workspaces on, such as */Reservations/*",
    ),
    "times": (lambda v: _is_whole(v, 1), "a whole number from 1"),
    "share": (_is_share, "a number above 0 and up to 1"),
    "seed": (lambda v: _is_whole(v, 0), "a whole number from 0"),
    "after": (lambda v: _is_whole(v, 0), "a whole number from 0"),
    "for_seconds": (_is_seconds, f"a number of seconds above 0 and up to {MAX_SECONDS:g}"),
    "only": (_are_positions, "a list of whole numbers from 1"),
    "status": (_is_status, "an HTTP status from 400 to 599"),
    "retry_after": (lambda v: _is_whole(v, 0), "a whole number of seconds from 0"),
    "delay": (_is_seconds, f"a number of seconds above 0 and up to {MAX_SECONDS:g}"),
}
"""By field: whether a value will do, and what is expected."""

_WHOM: Final = {
    Target.FRAMES: frozenset({"workspace_sid", "worker_sid", "session", "event_type"}),
    Target.HEARTBEATS: frozenset({"workspace_sid", "worker_sid", "session"}),
    Target.WEBSOCKETS: frozenset({"workspace_sid", "worker_sid"}),
    Target.REQUESTS: frozenset({"workspace_sid", "worker_sid", "door", "method", "path"}),
}
_WHEN: Final = frozenset({"times", "share", "seed", "after", "for_seconds", "only"})
_REQUIRED: Final = {
    FaultKind.DELAY: "delay",
    FaultKind.SLOW_INIT: "delay",
    FaultKind.DELAY_REQUEST: "delay",
    FaultKind.REFUSE_WEBSOCKET: "status",
    FaultKind.REFUSE_REQUEST: "status",
}
_OPTIONAL: Final = {
    FaultKind.REORDER: frozenset({"delay"}),
    FaultKind.REFUSE_WEBSOCKET: frozenset({"retry_after"}),
    FaultKind.REFUSE_REQUEST: frozenset({"retry_after"}),
}


def _allowed(kind: FaultKind) -> frozenset[str]:
    allowed = _WHOM[kind.target] | _WHEN | _OPTIONAL.get(kind, frozenset())
    if kind is FaultKind.SLOW_INIT:
        allowed -= {"event_type"}  # it is about `init` and nothing else
    return allowed | {_REQUIRED[kind]} if kind in _REQUIRED else allowed


def _check(name: str, value: object) -> None:
    good, expected = _CHECKS[name]
    if not good(value):
        shown = repr(value)
        shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
        raise ValueError(f"{name} must be {expected}, got {shown}")


def _word(name: str, value: object, kind: type[StrEnum]) -> StrEnum:
    try:
        return kind(cast("str", value))  # the enumeration refuses everything else
    except ValueError:
        raise ValueError(f"{name} must be one of {', '.join(kind)}, got {value!r}") from None


def _known(body: object, kind: type[Any], what: str) -> dict[str, Any]:
    """The JSON object `body`, which has no names but the fields of `kind`."""
    if not isinstance(body, dict):
        raise ValueError(f"{what} must be a JSON object")  # noqa: TRY004 - it is about data, not about types
    given = cast("dict[str, Any]", body)  # JSON: each field checks its own value
    names = [field.name for field in fields(kind)]
    for name in given:
        if name not in names:
            raise ValueError(f"{name} is not known, expected one of {', '.join(names)}")
    return given


def _given(data: Any) -> dict[str, Any]:  # Any: a dataclass of this module
    """The fields that have a value."""
    return {
        field.name: getattr(data, field.name)
        for field in fields(data)
        if getattr(data, field.name) not in (None, field.default)
    }


# --- Rules --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """A standing rule: what happens, to whom, and when. What is None does not narrow it down.

    Attributes:
        fault: what happens.
        workspace_sid: only in this workspace; None for the whole server.
        worker_sid: only to this worker's sessions, to requests with this worker's tokens, and to REST
            requests whose path names it.
        session: only to the session of this number; the server counts its sessions from 1.
        event_type: only to frames of this type; a pattern such as ``reservation.*`` is allowed.
        door: only to requests over the event bridge, or over REST.
        method: only to requests with this method; on the event bridge it is the inner request's.
        path: only to requests on this path, from ``Workspaces/`` on; ``*`` in it stands for anything.
        times: it ends after this many hits.
        share: the share of the matching ones that it hits, drawn with dice of its own.
        seed: of these dice. Made up, and then shown, where there is a share and no seed.
        after: so many matching ones pass first.
        for_seconds: it ends this many seconds after it was added, by the event loop's clock.
        only: the numbers of the matching ones that it hits, counted from 1: a replay.
        status: of the refusal.
        retry_after: seconds, the refusal's header `Retry-After`.
        delay: in seconds. For `reorder`: how long it waits for a next frame at most, 1 unless given.

    Raises:
        ValueError: a value is out of its range, or a field does not go with the fault. Names the field.
    """

    fault: FaultKind
    workspace_sid: str | None = None
    worker_sid: str | None = None
    session: int | None = None
    event_type: str | None = None
    door: Door | None = None
    method: str | None = None
    path: str | None = None
    times: int | None = None
    share: float | None = None
    seed: int | None = None
    after: int = 0
    for_seconds: float | None = None
    only: tuple[int, ...] | None = None
    status: int | None = None
    retry_after: int | None = None
    delay: float | None = None

    def __post_init__(self) -> None:
        kind = FaultKind(_word("fault", self.fault, FaultKind))
        object.__setattr__(self, "fault", kind)
        given = _given(self)
        del given["fault"]
        allowed = _allowed(kind)
        for name, value in given.items():
            if name not in allowed:
                raise ValueError(f"{name} does not go with {kind}, which is about {kind.target}")
            _check(name, value)
        required = _REQUIRED.get(kind)
        if required is not None and required not in given:
            raise ValueError(f"{required} is required for {kind}: {_CHECKS[required][1]}")
        if self.seed is not None and self.share is None:
            raise ValueError("seed goes with share only")
        if self.only is not None:
            clash = {"times", "share", "after", "for_seconds"} & given.keys()
            if clash:
                raise ValueError(f"only does not go with {', '.join(sorted(clash))}")
            object.__setattr__(self, "only", tuple(self.only))
        if self.share is not None and self.seed is None:
            object.__setattr__(self, "seed", secrets.randbits(32))

    @classmethod
    def from_dict(cls, body: object) -> Self:
        """A rule from its JSON.

        Raises:
            ValueError: it is none; names the field.
        """
        given = _known(body, cls, "a rule")
        if "fault" not in given:
            raise ValueError(f"fault is required: one of {', '.join(FaultKind)}")
        if given.get("after", 0) is None:
            given = {name: value for name, value in given.items() if name != "after"}
        return cls(**given)

    def as_dict(self) -> dict[str, Any]:
        """Its JSON: the fields that say something."""
        shown = _given(self)
        if self.only is not None:
            shown["only"] = list(self.only)
        return {**shown, "fault": str(self.fault)}

    def within(self, workspace_sid: str) -> Self:
        """The same rule, for this workspace.

        Raises:
            ValueError: it is for another one.
        """
        if self.workspace_sid not in (None, workspace_sid):
            raise ValueError(f"workspace_sid must be {workspace_sid} here, got {self.workspace_sid!r}")
        return self.moved_to(workspace_sid)

    def moved_to(self, workspace_sid: str) -> Self:
        """The same rule, for this workspace instead of its own."""
        return replace(self, workspace_sid=workspace_sid)

    def concerns(self, workspace_sid: str | None, worker_sid: str | None) -> bool:
        """Whether it is about somebody in this workspace."""
        return self.workspace_sid in (None, workspace_sid) and self.worker_sid in (None, worker_sid)

    def matches_frame(self, session: int, event_type: str) -> bool:
        """Whether it is about this frame of a session that it concerns."""
        wanted = INIT if self.fault is FaultKind.SLOW_INIT else self.event_type
        return self.session in (None, session) and (wanted is None or fnmatchcase(event_type, wanted))

    def matches_request(self, door: Door, method: str, path: str) -> bool:
        """Whether it is about this request of somebody whom it concerns."""
        return (
            self.door in (None, door)
            and self.method in (None, method)
            and (self.path is None or fnmatchcase(path, self.path))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAction:
    """Something that is done at once to the sessions that are there, and leaves nothing standing.

    Attributes:
        action: what is done.
        workspace_sid, worker_sid, session: to whose sessions; None does not narrow it down.

    Raises:
        ValueError: a value is out of its range. Names the field.
    """

    action: ActionKind
    workspace_sid: str | None = None
    worker_sid: str | None = None
    session: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "action", ActionKind(_word("action", self.action, ActionKind)))
        for name, value in _given(self).items():
            if name != "action":
                _check(name, value)

    @classmethod
    def from_dict(cls, body: object) -> Self:
        """An action from its JSON.

        Raises:
            ValueError: it is none; names the field.
        """
        given = _known(body, cls, "an action")
        if "action" not in given:
            raise ValueError(f"action is required: one of {', '.join(ActionKind)}")
        return cls(**given)

    def as_dict(self) -> dict[str, Any]:
        """Its JSON: the fields that say something."""
        return {**_given(self), "action": str(self.action)}

    def within(self, workspace_sid: str) -> Self:
        """The same action, for this workspace.

        Raises:
            ValueError: it is for another one.
        """
        if self.workspace_sid not in (None, workspace_sid):
            raise ValueError(f"workspace_sid must be {workspace_sid} here, got {self.workspace_sid!r}")
        return replace(self, workspace_sid=workspace_sid)

    def concerns(self, workspace_sid: str, worker_sid: str, session: int) -> bool:
        """Whether it is about this session."""
        return (
            self.workspace_sid in (None, workspace_sid)
            and self.worker_sid in (None, worker_sid)
            and self.session in (None, session)
        )


# --- What was injected --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """One fault that was injected.

    Attributes:
        number: counts the server's injected faults from 1.
        at: when, in seconds since 1970, by the clock on the wall.
        rule_id, rule: the rule that hit; None for an action.
        nth: which of the rule's matching ones it was, counted from 1; 0 for an action.
        hit: which of the rule's hits it was, counted from 1; 0 for an action.
        action: what was done at once; None for a rule's hit.
        workspace_sid, worker_sid, session: whom it hit, as far as that was known.
        event_type: of the frame; empty for a heartbeat.
        door, method, path: of the request.
    """

    number: int
    at: float
    rule_id: int | None = None
    rule: FaultRule | None = None
    nth: int = 0
    hit: int = 0
    action: FaultAction | None = None
    workspace_sid: str | None = None
    worker_sid: str | None = None
    session: int | None = None
    event_type: str | None = None
    door: Door | None = None
    method: str | None = None
    path: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Its JSON: the fields that say something."""
        shown = _given(self)
        if self.rule is not None:
            shown["rule"] = self.rule.as_dict()
        if self.action is not None:
            shown["action"] = self.action.as_dict()
        return shown

    @classmethod
    def from_dict(cls, body: object) -> Self:
        """A record from its JSON.

        Raises:
            ValueError: it is none.
        """
        given = dict(_known(body, cls, "a record"))
        for name in ("number", "at"):
            if name not in given:
                raise ValueError(f"{name} is required in a record")
        for name, value in given.items():
            _check_recorded(name, value)
        if "rule" in given:
            given["rule"] = FaultRule.from_dict(given["rule"])
            for name in ("rule_id", "nth", "hit"):
                if not _is_whole(given.get(name), 1):
                    raise ValueError(f"{name} must be a whole number from 1, got {given.get(name)!r}")
        if "action" in given:
            given["action"] = FaultAction.from_dict(given["action"])
        return cls(**given)


_LEAST: Final = {"number": 1, "rule_id": 1, "session": 1, "nth": 0, "hit": 0}
"""Whole numbers of a record, and the least that each may be."""


def _check_recorded(name: str, value: object) -> None:
    match name:
        case "rule" | "action":  # have checks of their own
            return
        case "at":
            good, expected = isinstance(value, float) or _is_whole(value, 0), "a number"
        case "number" | "rule_id" | "session" | "nth" | "hit":
            good, expected = _is_whole(value, _LEAST[name]), f"a whole number from {_LEAST[name]}"
        case _:
            good, expected = isinstance(value, str), "text"
    if not good:
        shown = repr(value)
        raise ValueError(f"{name} must be {expected} in a record, got {shown[:100]}")


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Rules that belong together, in the order in which they are asked."""

    rules: tuple[FaultRule, ...]

    @classmethod
    def replaying(cls, log: Iterable[FaultRecord]) -> Self:
        """Rules that hit again exactly what the log tells: the n-th matching one of each rule.

        Actions are left out: nothing but the clock says when they were done.

        Raises:
            ValueError: the beginning of a rule's hits is missing.
        """
        rules: dict[int, FaultRule] = {}
        hits: dict[int, list[int]] = {}
        for record in log:
            if record.rule is None or record.rule_id is None:
                continue
            rules[record.rule_id] = record.rule
            positions = hits.setdefault(record.rule_id, [])
            positions.append(record.nth)
            if record.hit != len(positions):
                raise ValueError(
                    f"the log is incomplete: it shows hit {record.hit} of rule {record.rule_id} "
                    f"where hit {len(positions)} belongs"
                )
        return cls(
            tuple(
                replace(
                    rules[number],
                    times=None,
                    share=None,
                    seed=None,
                    after=0,
                    for_seconds=None,
                    only=tuple(hits[number]),
                )
                for number in sorted(rules)
            )
        )
