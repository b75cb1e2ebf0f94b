"""One websocket of a worker and its queue, and the order in which a worker's sessions get their frames."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from aiohttp import WSMsgType, web

from .commits import Commits
from .domain.workspace import Workspace
from .limits import Connection
from .views import Frame, SnapshotPart

__all__ = ["CloseCode", "Hold", "Mark", "Outbox", "Session"]

_EMPTY: Final[deque[Frame]] = deque(maxlen=0)
"""The queue of every session for which nothing waits: a deque of its own takes 760 bytes."""


class CloseCode(IntEnum):
    """Why this server ends a session (our choice: the service's codes are not documented)."""

    GOING_AWAY = 1001  # the server shuts down
    RESTART = 1012  # come back for a fresh snapshot
    BAD_TOKEN = 4401
    NOT_ALLOWED = 4403
    TOKEN_EXPIRED = 4408
    DISPLACED = 4409  # another session asked to be the only one
    TOO_SLOW = 4413
    TOO_MANY = 4429


class Session:
    """One websocket of one worker."""

    __slots__ = (
        "closer",
        "closing",
        "expiry_tick",
        "half_open",
        "held",
        "late",
        "late_timer",
        "number",
        "offline_if_disconnected",
        "open",
        "poke",
        "protocol",
        "queue",
        "seen",
        "since",
        "slot",
        "token_digest",
        "transport",
        "waiting",
        "worker_sid",
        "workspace",
        "writer",
        "ws",
    )

    def __init__(
        self,
        number: int,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        protocol: Connection,
        workspace: Workspace,
        worker_sid: str,
        *,
        offline: bool,
        token_digest: bytes,
        poke: Callable[[Session], None],
    ) -> None:
        self.number = number
        self.ws = ws
        self.transport = transport
        self.protocol = protocol
        self.workspace = workspace
        self.worker_sid = worker_sid
        self.offline_if_disconnected = offline
        self.token_digest = token_digest  # the token itself is kept nowhere
        self.open = True
        self.closing: CloseCode | None = None
        self.closer: asyncio.Task[None] | None = None  # carries out the closing handshake
        self.writer: asyncio.Task[None] | None = None  # while frames have to be written one by one
        self.queue: deque[Frame] = _EMPTY
        self.poke = poke  # told that something waits in the queue
        self.waiting = 0  # bytes in the queue, or held
        self.held: deque[Frame] | None = deque()  # None once the snapshot is complete
        self.since = workspace.seq  # the event sequence at `init`
        self.seen: dict[SnapshotPart, int] = {}  # the sequence that the first answer of each kind showed
        self.slot = 0  # this and the next one are the wheel's
        self.expiry_tick = 0
        self.half_open = False
        self.late: Frame | None = None  # waits to be overtaken, a fault that a test asked for
        self.late_timer: asyncio.TimerHandle | None = None

    def append(self, frame: Frame) -> None:
        """Put a frame into the queue, unless nothing gets through any more."""
        if self.half_open:
            return
        if self.queue is _EMPTY:
            self.queue = deque()
        self.waiting += len(frame.data)
        self.queue.append(frame)
        self.poke(self)

    def take(self) -> deque[Frame]:
        """Take all that waits in the queue. What is held for the snapshot is another matter."""
        queue, self.queue = self.queue, _EMPTY
        self.waiting = max(0, self.waiting - sum([len(frame.data) for frame in queue]))
        return queue

    @property
    def is_behind(self) -> bool:
        """Whether its client leaves so much unread that nothing more should be written now."""
        return self.protocol.writing_paused

    def popleft(self) -> Frame:
        """Take the next frame out of the queue."""
        frame = self.queue.popleft()
        self.waiting = max(0, self.waiting - len(frame.data))
        return frame

    def already_shows(self, frame: Frame) -> bool:
        """Whether the snapshot holds the event's effect."""
        return frame.part is not None and frame.seq <= self.seen.get(frame.part, -1)

    def cannot_know(self, frame: Frame) -> bool:
        """Whether the event names something newer than the session's snapshot."""
        return frame.names is not None and frame.since > self.seen.get(frame.names, self.since)


class Mark(Frame):
    """A ping in the place of a frame: a client that answers it has read everything before it."""

    __slots__ = ("everyone", "waiting")

    opcode = WSMsgType.PING

    def __init__(self, number: int, *, seq: int) -> None:
        super().__init__(b"%d" % number, seq=seq)
        self.waiting: dict[int, str] = {}  # sessions that have not answered, with their workers
        self.everyone = asyncio.Event()

    def answered(self, session: Session) -> None:
        """That session has read it, or is gone."""
        self.waiting.pop(session.number, None)
        if not self.waiting:
            self.everyone.set()


class Hold:
    """Frames of one worker wait for it. Released exactly once; further calls do nothing."""

    __slots__ = ("_outbox", "is_firm", "released")

    def __init__(self, outbox: Outbox | None, *, is_firm: bool = False) -> None:
        self._outbox = outbox
        self.released = outbox is None
        self.is_firm = is_firm  # however much waits for it

    @property
    def holds_something(self) -> bool:
        """Whether a frame waits for it."""
        return self._outbox is not None and self._outbox.waits_for(self)

    def release(self) -> None:
        """Let the frames go, as far as no earlier hold is in their way."""
        if not self.released and self._outbox is not None:
            self.released = True
            self._outbox.flush()


class Outbox:
    """What goes to the sessions of one worker, in order."""

    __slots__ = ("_deliver", "_most", "_round", "pending", "sessions")

    def __init__(self, deliver: Callable[[Session, Frame], None], most: int) -> None:
        self._deliver = deliver
        self._most = most
        self.sessions: dict[int, Session] = {}
        self.pending: deque[Frame | Hold] | None = None  # None as long as nobody holds anything
        self._round: object | None = None  # the transaction that the last frames waited for

    def hold_until_committed(self, commits: Commits) -> None:
        """What is pushed from now on waits until all that changed so far is stored."""
        under_way = commits.round
        if under_way is None or under_way is self._round:
            return
        self._round = under_way
        hold = Hold(self, is_firm=True)
        self._wait_for(hold)
        commits.when_committed(hold.release)

    def push(self, frame: Frame) -> None:
        """Send a frame to all sessions, after everything that was pushed or held before it."""
        if self.pending:
            self.pending.append(frame)
            if len(self.pending) > self._most:
                # Whoever reads the answers is too slow for the order of answer and frames to matter.
                for hold in self.pending:
                    if isinstance(hold, Hold) and not hold.is_firm:
                        hold.released = True
                self.flush()
        else:
            self._send(frame)

    def hold(self) -> Hold:
        """Keep back what is pushed from now on, until the hold is released."""
        hold = Hold(self)
        self._wait_for(hold)
        return hold

    def _wait_for(self, hold: Hold) -> None:
        if self.pending is None:
            self.pending = deque()
        self.pending.append(hold)

    def waits_for(self, hold: Hold) -> bool:
        """Whether something was pushed or held after `hold`."""
        return self.pending is not None and len(self.pending) > 0 and self.pending[-1] is not hold

    def flush(self) -> None:
        """Send what no hold keeps back any more."""
        pending = self.pending
        while pending:
            first = pending[0]
            if isinstance(first, Hold):
                if not first.released:
                    return
                pending.popleft()
            else:
                pending.popleft()
                self._send(first)
        if self.pending is pending:
            self.pending = None

    def _send(self, frame: Frame) -> None:
        for session in list(self.sessions.values()):
            # A session that began after the event fetches a snapshot that shows it.
            if session.open and frame.seq > session.since:
                self._deliver(session, frame)

    @property
    def is_initialising(self) -> bool:
        """Whether a session is still fetching its snapshot."""
        return any(session.held is not None for session in self.sessions.values())
