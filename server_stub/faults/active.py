"""The faults of one server: which rules stand, whom they strike, and what was struck."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Literal, Protocol

from .helpers import FaultHelpers
from .rules import Door, FaultAction, FaultKind, FaultPlan, FaultRecord, FaultRule, Target

__all__ = [
    "FaultHandle",
    "Faults",
    "FaultyFrame",
    "FaultyRequest",
    "FrameFault",
    "RequestFault",
    "Struck",
    "WebsocketFault",
]

MAX_LOG: Final = 10_000
"""Records kept for each workspace; the oldest go first."""

REORDER_SECONDS: Final = 1.0
"""How long a frame that shall be overtaken waits for the next one, unless its rule says."""


@dataclass(frozen=True, slots=True)
class FaultyFrame:
    """A frame about to be written to one session's websocket."""

    worker_sid: str
    session: int  # counts the server's sessions from 1
    event_type: str  # "" for a heartbeat
    data: bytes
    workspace_sid: str = ""


@dataclass(frozen=True, slots=True)
class FrameFault:
    """What happens to a frame: `delay` seconds first, then the action.

    For `reorder` the delay is how long it waits for the session's next frame at most.
    """

    action: Literal["send", "duplicate", "drop", "cut_before", "cut_after", "reorder", "half_open"] = "send"
    delay: float = 0.0
    replace: bytes | None = None  # sent in its place, garbage included


@dataclass(frozen=True, slots=True)
class FaultyRequest:
    """An HTTP request that passed authentication. On the event bridge, the inner request."""

    door: Door
    method: str
    path: str  # as in the REST API, from `Workspaces/` on


@dataclass(frozen=True, slots=True)
class RequestFault:
    """What happens to a request: `delay` seconds first, then at most one of the others.

    `cut` ends the TCP connection: before the request is carried out, or after it but before the answer.
    """

    status: int | None = None  # refuse with this status, carry nothing out
    cut: Literal["before", "after"] | None = None
    delay: float = 0.0
    retry_after: int | None = None  # seconds, the refusal's header

    @property
    def headers(self) -> dict[str, str]:
        """Of the refusal."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


@dataclass(frozen=True, slots=True)
class WebsocketFault:
    """What happens to a request for a websocket: refused with a status, or by a TCP reset."""

    status: int | None = None
    retry_after: int | None = None  # seconds, the refusal's header

    @property
    def headers(self) -> dict[str, str]:
        """Of the refusal."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


@dataclass(frozen=True, slots=True)
class Struck:
    """A session that an action hit."""

    workspace_sid: str
    worker_sid: str
    session: int


class Victims(Protocol):
    """Whoever holds the sessions."""

    def inflict(self, action: FaultAction) -> list[Struck]:
        """Do it; whom it hit."""
        ...


_FRAME_ACTIONS: Final[Mapping[FaultKind, FrameFault]] = {
    FaultKind.DROP: FrameFault("drop"),
    FaultKind.MUTE_HEARTBEATS: FrameFault("drop"),
    FaultKind.DUPLICATE: FrameFault("duplicate"),
    FaultKind.CUT_BEFORE: FrameFault("cut_before"),
    FaultKind.CUT_AFTER: FrameFault("cut_after"),
    FaultKind.HALF_OPEN: FrameFault("half_open"),
}


class FaultHandle:
    """A rule that was added.

    Attributes:
        id: counts the server's rules from 1.
        rule: what was added.
        matched: how many frames, requests or websockets it was about.
        hits: how many of them it hit.
        finished: whether it hits nothing any more: used up, over, or removed.
    """

    def __init__(self, number: int, rule: FaultRule, remove: Callable[[FaultHandle], None]) -> None:
        self.id = number
        self.rule = rule
        self.matched = 0
        self.hits = 0
        self.finished = False
        self._remove = remove
        self._only = None if rule.only is None else frozenset(rule.only)
        self._dice = None if rule.share is None else random.Random(rule.seed)  # noqa: S311 - guards nothing
        self._ends_at = None if rule.for_seconds is None else _loop_time() + rule.for_seconds
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"<FaultHandle {self.id} {self.rule.fault} matched={self.matched} hits={self.hits}>"

    def remove(self) -> None:
        """End it. Does nothing the second time."""
        self._remove(self)

    async def wait_for_hits(self, hits: int = 1, *, timeout: float | None = None) -> None:
        """Wait until it hit that often, counted from when it was added.

        Args:
            hits: how often.
            timeout: seconds to wait at most; None for as long as it takes.

        Raises:
            TimeoutError: it did not.
        """
        if self.hits >= hits:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((hits, waiter))
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            raise TimeoutError(f"{self!r}: {hits} hits were expected within {timeout:g} s") from None
        finally:
            self._waiting = [entry for entry in self._waiting if entry[1] is not waiter]

    def fires(self) -> bool:
        """Whether it hits what it was just found to match. Counts both."""
        if self._is_over():
            return False
        self.matched += 1
        rule = self.rule
        if self._only is not None:
            hit = self.matched in self._only
        elif self.matched <= rule.after:
            hit = False
        else:
            hit = rule.share is None or self._dice is None or self._dice.random() < rule.share
        if hit:
            self.hits += 1
            self.finished = rule.times is not None and self.hits >= rule.times
            for hits, waiter in self._waiting:
                if self.hits >= hits and not waiter.done():
                    waiter.set_result(None)
        if self._only is not None and self.matched >= max(self._only, default=0):
            self.finished = True
        return hit

    def as_dict(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "id": self.id,
            "rule": self.rule.as_dict(),
            "matched": self.matched,
            "hits": self.hits,
            "finished": self._is_over(),
        }

    def _is_over(self) -> bool:
        if self._ends_at is not None and _loop_time() >= self._ends_at:
            self.finished = True
        return self.finished


class Faults(FaultHelpers):
    """The faults of one server.

    Attributes:
        watches_frames, watches_requests, watches_websockets: whether any hook or rule is about them:
            the one question that they cost where there is none.
    """

    def __init__(self) -> None:
        self.watches_frames = False
        self.watches_requests = False
        self.watches_websockets = False
        self._frame: Callable[[FaultyFrame], FrameFault | None] | None = None
        self._request: Callable[[FaultyRequest], RequestFault | None] | None = None
        self._victims: Victims | None = None
        self._handles: dict[int, FaultHandle] = {}
        self._standing: dict[Target, list[FaultHandle]] = {target: [] for target in Target}
        self._rule_numbers = count(1)
        self._record_numbers = count(1)
        self._log: dict[str | None, deque[FaultRecord]] = {}  # by workspace

    # --- Hooks --------------------------------------------------------------------------------

    @property
    def frame(self) -> Callable[[FaultyFrame], FrameFault | None] | None:
        """Asked for each frame and heartbeat, before the rules."""
        return self._frame

    @frame.setter
    def frame(self, hook: Callable[[FaultyFrame], FrameFault | None] | None) -> None:
        self._frame = hook
        self._look()

    @property
    def request(self) -> Callable[[FaultyRequest], RequestFault | None] | None:
        """Asked for each request, before the rules."""
        return self._request

    @request.setter
    def request(self, hook: Callable[[FaultyRequest], RequestFault | None] | None) -> None:
        self._request = hook
        self._look()

    # --- Rules and actions --------------------------------------------------------------------

    def attach(self, victims: Victims) -> None:
        """Do actions to these sessions from now on."""
        self._victims = victims

    def add(self, rule: FaultRule) -> FaultHandle:
        """Let a rule stand. Where several match the first one that hits decides, in the order of adding."""
        handle = FaultHandle(next(self._rule_numbers), rule, self._remove)
        self._handles[handle.id] = handle
        self._look()
        return handle

    def do(self, action: FaultAction) -> list[int]:
        """Do something at once; the numbers of the sessions that it hit, none included."""
        struck = [] if self._victims is None else self._victims.inflict(action)
        for one in struck:
            self._write_down(
                action=action,
                workspace_sid=one.workspace_sid,
                worker_sid=one.worker_sid,
                session=one.session,
            )
        return [one.session for one in struck]

    def handles(self, workspace_sid: str | None = None) -> list[FaultHandle]:
        """The rules that were added and not removed: all, or those for one workspace."""
        return [h for h in self._handles.values() if workspace_sid in (None, h.rule.workspace_sid)]

    def handle(self, number: int) -> FaultHandle | None:
        """The rule of that number, if it was not removed."""
        return self._handles.get(number)

    def clear(self, workspace_sid: str | None = None) -> None:
        """Remove every rule, or those for one workspace. Hooks and the log stay."""
        for handle in self.handles(workspace_sid):
            handle.finished = True
            del self._handles[handle.id]
        self._look()

    def forget(self, workspace_sid: str) -> None:
        """A workspace was deleted: its rules and its log go with it."""
        self.clear(workspace_sid)
        self._log.pop(workspace_sid, None)

    def _remove(self, handle: FaultHandle) -> None:
        handle.finished = True
        self._handles.pop(handle.id, None)
        self._look()

    def _look(self) -> None:
        """Which rules are worth asking."""
        standing: dict[Target, list[FaultHandle]] = {target: [] for target in Target}
        for handle in self._handles.values():
            if not handle.finished:
                standing[handle.rule.fault.target].append(handle)
        self._standing = standing
        self.watches_frames = bool(
            self._frame or standing[Target.FRAMES] or standing[Target.HEARTBEATS],
        )
        self.watches_requests = bool(self._request or standing[Target.REQUESTS])
        self.watches_websockets = bool(standing[Target.WEBSOCKETS])

    # --- What was injected --------------------------------------------------------------------

    @property
    def log(self) -> list[FaultRecord]:
        """What rules and actions did, oldest first; the last 10,000 of each workspace."""
        return self.log_of(None)

    def log_of(self, workspace_sid: str | None) -> list[FaultRecord]:
        """The log, or what of it happened in one workspace."""
        if workspace_sid is not None:
            return list(self._log.get(workspace_sid, ()))
        return sorted((r for records in self._log.values() for r in records), key=lambda r: r.number)

    def replay(self, log: Iterable[FaultRecord], *, workspace_sid: str | None = None) -> list[FaultHandle]:
        """Let the same happen again: the n-th matching one of each rule gets the fault that it got then.

        What matches is counted from now on, so that it takes the same rules on the same run. Actions are
        left out: nothing but the clock says when they were done.

        Args:
            log: what was recorded.
            workspace_sid: for this workspace, whatever workspace the rules were for.

        Raises:
            ValueError: the beginning of the log is missing.
        """
        rules: Sequence[FaultRule] = FaultPlan.replaying(log).rules
        if workspace_sid is not None:
            rules = [rule.moved_to(workspace_sid) for rule in rules]
        return [self.add(rule) for rule in rules]

    def _write_down(self, *, workspace_sid: str | None, **details: Any) -> None:
        record = FaultRecord(
            number=next(self._record_numbers), at=time.time(), workspace_sid=workspace_sid, **details
        )
        self._log.setdefault(workspace_sid, deque(maxlen=MAX_LOG)).append(record)

    def _hit(self, handle: FaultHandle, *, workspace_sid: str | None, **details: Any) -> FaultRule:
        self._write_down(
            workspace_sid=workspace_sid,
            rule_id=handle.id,
            rule=handle.rule,
            nth=handle.matched,
            hit=handle.hits,
            **details,
        )
        return handle.rule

    def _first(
        self, target: Target, matches: Callable[[FaultRule], bool], **details: Any
    ) -> FaultRule | None:
        """The first rule that hits."""
        for handle in self._standing[target]:
            fired = not handle.finished and matches(handle.rule) and handle.fires()
            if handle.finished:
                self._look()  # makes new lists: this loop goes on over the old one
            if fired:
                return self._hit(handle, **details)
        return None

    # --- What the adapters ask ----------------------------------------------------------------

    def on_frame(self, frame: FaultyFrame) -> FrameFault | None:
        """What happens to a frame."""
        fault = None if self._frame is None else self._frame(frame)
        if fault is not None:
            return fault
        rule = self._first(
            Target.FRAMES if frame.event_type else Target.HEARTBEATS,
            lambda rule: (
                rule.concerns(frame.workspace_sid, frame.worker_sid)
                and rule.matches_frame(frame.session, frame.event_type)
            ),
            workspace_sid=frame.workspace_sid,
            worker_sid=frame.worker_sid,
            session=frame.session,
            event_type=frame.event_type,
        )
        if rule is None:
            return None
        if rule.fault is FaultKind.REORDER:
            return FrameFault("reorder", delay=rule.delay or REORDER_SECONDS)
        return _FRAME_ACTIONS.get(rule.fault) or FrameFault(delay=rule.delay or 0.0)

    def on_websocket(self, workspace_sid: str | None, worker_sid: str | None) -> WebsocketFault | None:
        """What happens to a request for a websocket; None for what its token did not tell."""
        rule = self._first(
            Target.WEBSOCKETS,
            lambda rule: rule.concerns(workspace_sid, worker_sid),
            workspace_sid=workspace_sid,
            worker_sid=worker_sid,
        )
        return None if rule is None else WebsocketFault(status=rule.status, retry_after=rule.retry_after)

    async def on_request(
        self,
        door: Door,
        method: str,
        path: str,
        *,
        workspace_sid: str | None = None,
        worker_sid: str | None = None,
    ) -> RequestFault | None:
        """What happens to a request, after its delay.

        Args:
            door: the one it came by.
            method: of the inner request on the event bridge.
            path: from ``Workspaces/`` on.
            workspace_sid: whose token it is; over REST the path tells.
            worker_sid: likewise.
        """
        fault = None
        if self._request is not None:
            fault = self._request(FaultyRequest(door, method, path))
        if fault is None:
            if door == "rest":
                workspace_sid, worker_sid = _named_in(path)
            rule = self._first(
                Target.REQUESTS,
                lambda rule: (
                    rule.concerns(workspace_sid, worker_sid) and rule.matches_request(door, method, path)
                ),
                workspace_sid=workspace_sid,
                worker_sid=worker_sid,
                door=door,
                method=method,
                path=path,
            )
            fault = None if rule is None else _request_fault(rule)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        return fault


def _request_fault(rule: FaultRule) -> RequestFault:
    match rule.fault:
        case FaultKind.REFUSE_REQUEST:
            return RequestFault(status=rule.status, retry_after=rule.retry_after)
        case FaultKind.CUT_REQUEST_BEFORE:
            return RequestFault(cut="before")
        case FaultKind.CUT_REQUEST_AFTER:
            return RequestFault(cut="after")
        case _:
            return RequestFault(delay=rule.delay or 0.0)


def _named_in(path: str) -> tuple[str | None, str | None]:
    """The workspace and the worker that a REST path names."""
    segments = path.split("/")
    workspace_sid = segments[1] if len(segments) > 1 else None
    worker_sid = segments[3] if len(segments) > 3 and segments[2] == "Workers" else None
    return workspace_sid, worker_sid


def _loop_time() -> float:
    """Seconds by the running loop, which may be a virtual one; the system's where none runs yet."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
