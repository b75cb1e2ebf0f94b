"""Faults by name: one method for each, which is short for a rule or an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from .rules import ActionKind, Door, FaultAction, FaultKind, FaultRule

if TYPE_CHECKING:
    from .active import FaultHandle

__all__ = ["FaultHelpers", "FrameOptions", "Options", "RequestOptions", "SessionOptions", "Sessions"]


class Options(TypedDict, total=False):
    """Who and when, of any rule: see `FaultRule`."""

    workspace_sid: str | None
    worker_sid: str | None
    times: int | None
    share: float | None
    seed: int | None
    after: int
    for_seconds: float | None


class SessionOptions(Options, total=False):
    """The same of rules about sessions."""

    session: int | None


class FrameOptions(SessionOptions, total=False):
    """The same of rules about frames."""

    event_type: str | None


class RequestOptions(Options, total=False):
    """The same of rules about requests."""

    door: Door | None
    method: str | None
    path: str | None


class Sessions(TypedDict, total=False):
    """To whose sessions something is done at once: see `FaultAction`."""

    workspace_sid: str | None
    worker_sid: str | None
    session: int | None


class FaultHelpers:
    """Rules return their handle, actions the numbers of the sessions that they hit."""

    def add(self, rule: FaultRule) -> FaultHandle:
        """Let a rule stand."""
        raise NotImplementedError

    def do(self, action: FaultAction) -> list[int]:
        """Do something at once."""
        raise NotImplementedError

    # --- Frames: `init` and events ------------------------------------------------------------

    def drop_frames(self, **options: Unpack[FrameOptions]) -> FaultHandle:
        """Frames are never sent. No client can notice: the protocol numbers no frames."""
        return self.add(FaultRule(fault=FaultKind.DROP, **options))

    def duplicate_frames(self, **options: Unpack[FrameOptions]) -> FaultHandle:
        """Frames are sent twice."""
        return self.add(FaultRule(fault=FaultKind.DUPLICATE, **options))

    def reorder_frames(self, *, delay: float | None = None, **options: Unpack[FrameOptions]) -> FaultHandle:
        """Frames come after the next one of their session, or after `delay` seconds if none comes."""
        return self.add(FaultRule(fault=FaultKind.REORDER, delay=delay, **options))

    def delay_frames(self, delay: float, **options: Unpack[FrameOptions]) -> FaultHandle:
        """Frames are sent `delay` seconds later, and the session's next ones behind them."""
        return self.add(FaultRule(fault=FaultKind.DELAY, delay=delay, **options))

    def cut_at_frames(self, when: Literal["before", "after"], **options: Unpack[FrameOptions]) -> FaultHandle:
        """The connection breaks before a frame is sent, or right after."""
        kinds = {"before": FaultKind.CUT_BEFORE, "after": FaultKind.CUT_AFTER}
        if when not in kinds:
            raise ValueError(f"when must be before or after, got {when!r}")
        return self.add(FaultRule(fault=kinds[when], **options))

    def half_open_at_frames(self, **options: Unpack[FrameOptions]) -> FaultHandle:
        """From a frame on the server reads and writes nothing, but keeps the TCP connection."""
        return self.add(FaultRule(fault=FaultKind.HALF_OPEN, **options))

    def slow_init(self, delay: float, **options: Unpack[SessionOptions]) -> FaultHandle:
        """A new session gets its `init` after `delay` seconds."""
        return self.add(FaultRule(fault=FaultKind.SLOW_INIT, delay=delay, **options))

    def mute_heartbeats(self, **options: Unpack[SessionOptions]) -> FaultHandle:
        """No heartbeats; events are sent."""
        return self.add(FaultRule(fault=FaultKind.MUTE_HEARTBEATS, **options))

    # --- New websockets -----------------------------------------------------------------------

    def refuse_websockets(
        self, status: int = 503, *, retry_after: int | None = None, **options: Unpack[Options]
    ) -> FaultHandle:
        """New websockets are refused with an HTTP status."""
        return self.add(
            FaultRule(fault=FaultKind.REFUSE_WEBSOCKET, status=status, retry_after=retry_after, **options)
        )

    def reset_websockets(self, **options: Unpack[Options]) -> FaultHandle:
        """New websockets are ended by a TCP reset, without an answer."""
        return self.add(FaultRule(fault=FaultKind.RESET_WEBSOCKET, **options))

    # --- Requests -----------------------------------------------------------------------------

    def refuse_requests(
        self, status: int, *, retry_after: int | None = None, **options: Unpack[RequestOptions]
    ) -> FaultHandle:
        """Requests are refused with an HTTP status; nothing is carried out."""
        return self.add(
            FaultRule(fault=FaultKind.REFUSE_REQUEST, status=status, retry_after=retry_after, **options)
        )

    def cut_requests(
        self, when: Literal["before", "after"], **options: Unpack[RequestOptions]
    ) -> FaultHandle:
        """The connection breaks before a request is carried out, or after it and before the answer."""
        kinds = {"before": FaultKind.CUT_REQUEST_BEFORE, "after": FaultKind.CUT_REQUEST_AFTER}
        if when not in kinds:
            raise ValueError(f"when must be before or after, got {when!r}")
        return self.add(FaultRule(fault=kinds[when], **options))

    def delay_requests(self, delay: float, **options: Unpack[RequestOptions]) -> FaultHandle:
        """Requests are carried out `delay` seconds later."""
        return self.add(FaultRule(fault=FaultKind.DELAY_REQUEST, delay=delay, **options))

    # --- At once ------------------------------------------------------------------------------

    def cut(self, **whom: Unpack[Sessions]) -> list[int]:
        """Break the connections of sessions now."""
        return self.do(FaultAction(action=ActionKind.CUT, **whom))

    def half_open(self, **whom: Unpack[Sessions]) -> list[int]:
        """From now on read nothing from sessions and write nothing, but keep their TCP connections."""
        return self.do(FaultAction(action=ActionKind.HALF_OPEN, **whom))

    def expire_token(self, **whom: Unpack[Sessions]) -> list[int]:
        """The tokens of sessions count as expired from now on; the sessions are closed with 4408."""
        return self.do(FaultAction(action=ActionKind.EXPIRE_TOKEN, **whom))

    def displace(self, **whom: Unpack[Sessions]) -> list[int]:
        """Close sessions with 4409, as if another one had asked to be the only one."""
        return self.do(FaultAction(action=ActionKind.DISPLACE, **whom))

    def restart(self, **whom: Unpack[Sessions]) -> list[int]:
        """Close sessions with 1012, as a server says it that restarts."""
        return self.do(FaultAction(action=ActionKind.RESTART, **whom))
