"""Websocket sessions: who is connected, what each one is sent and when, and how it ends.

The order of what a worker's sessions see (our choice where the service's is not documented):

* Frames caused by a command of the worker itself wait until a settle time after its HTTP answer was
  written (`Sessions.hold`); later frames of that worker queue behind. Nobody else waits.
* A new session starts by fetching a snapshot: worker, activities, channels, reservations. Until
  its reservations were answered its frames are held, then those that the answers already showed
  are dropped and the others follow in order (`Sessions.show`).
* An event that names an activity or a channel that the session's snapshot cannot know is never
  sent: the session is closed instead and comes back with a fresh snapshot.

Each event is encoded once and handed only to the sessions of the workers it concerns. One wheel
serves the heartbeats, expiries and snapshot deadlines of all sessions.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import count
from typing import Final

from aiohttp import WSMsgType, web

from taskrouter_worker.clock import Clock
from taskrouter_worker.terms import EventType

from .domain.errors import DomainError
from .domain.events import Event
from .domain.model import Activity, Worker
from .domain.workspace import Workspace
from .faults import Faults, FaultyFrame
from .runtime import InternalError, Runtime
from .tokens import LEEWAY, Caller, TokenRefused, Tokens
from .views import HEARTBEAT, Frame, SnapshotPart, event_frame, init_frame
from .wheel import Wheel

__all__ = ["CloseCode", "Hold", "Sessions"]

TURN_SECONDS: Final = 0.5
"""How long `init` waits at most for another session of the same worker that is fetching its snapshot.

An HTTP request does not tell which session its client holds, so two snapshots at once could not be
told apart. A snapshot takes some ten milliseconds: clients hardly notice."""

RESYNC_SECONDS: Final = 5.0
"""Grace for a session that this server sent away to come back, before its worker counts as gone."""

CLOSE_SECONDS: Final = 1.0
"""How long a client may take over its half of the closing handshake."""

MAX_INCOMING: Final = 16_384
"""Longest message taken from a client, in bytes. Nothing a client says on the websocket has a meaning."""

UNACKNOWLEDGED_MS: Final = 45_000
"""After this long without a TCP acknowledgement a peer is gone: three heartbeats."""

MIN_LIFETIME_MS: Final = 5_001
MAX_LIFETIME_MS: Final = 2_147_488_647
"""Outside of these the timers of the JavaScript SDK fire at once."""

log = logging.getLogger(__name__)


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


class _Refusal(Exception):
    """The session is not let in."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Session:
    """One websocket of one worker."""

    __slots__ = (
        "closing",
        "expiry_tick",
        "group",
        "held",
        "number",
        "offline_if_disconnected",
        "open",
        "queue",
        "seen",
        "since",
        "slot",
        "transport",
        "wake",
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
        workspace: Workspace,
        worker_sid: str,
        *,
        offline: bool,
    ) -> None:
        self.number = number
        self.ws = ws
        self.transport = transport
        self.workspace = workspace
        self.worker_sid = worker_sid
        self.offline_if_disconnected = offline
        self.open = True
        self.closing: CloseCode | None = None
        self.group: asyncio.TaskGroup | None = None
        self.writer: asyncio.Task[None] | None = None
        self.queue: deque[Frame] = deque()
        self.wake = asyncio.Event()
        self.held: deque[Frame] | None = deque()  # None once the snapshot is complete
        self.since = workspace.seq  # the event sequence at `init`
        self.seen: dict[SnapshotPart, int] = {}  # the sequence that the first answer of each kind showed
        self.slot = 0  # this and the next one are the wheel's
        self.expiry_tick = 0

    def already_shows(self, frame: Frame) -> bool:
        """Whether the snapshot holds the event's effect."""
        return frame.part is not None and frame.seq <= self.seen.get(frame.part, -1)

    def cannot_know(self, frame: Frame) -> bool:
        """Whether the event names something newer than the session's snapshot."""
        return frame.names is not None and frame.since > self.seen.get(frame.names, self.since)


class Hold:
    """Frames of one worker wait for it. Released exactly once; further calls do nothing."""

    __slots__ = ("_outbox", "released")

    def __init__(self, outbox: _Outbox | None) -> None:
        self._outbox = outbox
        self.released = outbox is None

    @property
    def holds_something(self) -> bool:
        """Whether a frame waits for it."""
        return self._outbox is not None and self._outbox.waits_for(self)

    def release(self) -> None:
        """Let the frames go, as far as no earlier hold is in their way."""
        if not self.released and self._outbox is not None:
            self.released = True
            self._outbox.flush()


class _Outbox:
    """What goes to the sessions of one worker, in order."""

    __slots__ = ("_deliver", "pending", "sessions", "waiters")

    def __init__(self, deliver: Callable[[Session, Frame], None]) -> None:
        self._deliver = deliver
        self.sessions: dict[int, Session] = {}
        self.pending: deque[Frame | Hold] = deque()
        self.waiters: list[asyncio.Future[None]] = []  # new sessions that wait for their turn

    def push(self, frame: Frame) -> None:
        if self.pending:
            self.pending.append(frame)
        else:
            self._send(frame)

    def hold(self) -> Hold:
        hold = Hold(self)
        self.pending.append(hold)
        return hold

    def waits_for(self, hold: Hold) -> bool:
        return bool(self.pending) and self.pending[-1] is not hold

    def flush(self) -> None:
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

    def _send(self, frame: Frame) -> None:
        for session in list(self.sessions.values()):
            # A session that began after the event fetches a snapshot that shows it.
            if session.open and frame.seq > session.since:
                self._deliver(session, frame)

    @property
    def is_initialising(self) -> bool:
        return any(session.held is not None for session in self.sessions.values())

    def next_turn(self) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()


class Sessions:
    """All sessions of the server.

    Args:
        runtime: carries out the activity change of workers that disconnected.
        tokens: tells who connects.
        clock: the wall clock of the tokens.
        faults: a test's switches.
        heartbeat_seconds: each session gets a text frame at least this often.
        offline_grace: seconds before a worker without a session is moved to the offline activity.
        max_frames: frames that may wait for a slow reader before its session is closed.
        max_per_worker: sessions of one worker at a time.
    """

    def __init__(
        self,
        runtime: Runtime,
        tokens: Tokens,
        *,
        clock: Clock,
        faults: Faults,
        heartbeat_seconds: float,
        offline_grace: float,
        max_frames: int,
        max_per_worker: int,
    ) -> None:
        self._runtime = runtime
        self._tokens = tokens
        self._clock = clock
        self._faults = faults
        self._offline_grace = offline_grace
        self._max_frames = max_frames
        self._max_per_worker = max_per_worker
        self._numbers = count(1)
        self._outboxes: dict[str, _Outbox] = {}  # by worker SID
        self._leaving: dict[str, asyncio.TimerHandle] = {}  # workers about to go offline, by SID
        self._wheel = Wheel(heartbeat_seconds, beat=self._beat, expire=self._expire, complete=self._complete)
        self._running = 0  # websocket handlers
        self._all_ended: asyncio.Event | None = None  # set once closing and no handler runs any more

    def __len__(self) -> int:
        return sum(len(outbox.sessions) for outbox in self._outboxes.values())

    # --- What the other adapters call ---------------------------------------------------------

    def publish(self, workspace: Workspace, events: Sequence[Event]) -> None:
        """Hand the events of one command to the sessions they concern."""
        for event in events:
            if event.type is EventType.WORKER_DELETED and isinstance(event.resource, Worker):
                self._end_all(event.resource.sid, CloseCode.NOT_ALLOWED, "the worker was deleted")
                continue
            if not event.type.is_pushed:
                continue
            frame: Frame | None = None
            for worker_sid in event.worker_sids:
                outbox = self._outboxes.get(worker_sid)
                if outbox is None:
                    continue
                if frame is None:
                    frame = event_frame(workspace, event, workspace.now())
                outbox.push(frame)

    def hold(self, worker_sid: str | None) -> Hold:
        """From now on, keep back this worker's frames until the hold is released."""
        outbox = None if worker_sid is None else self._outboxes.get(worker_sid)
        return Hold(None) if outbox is None else outbox.hold()

    def show(self, worker_sid: str, part: SnapshotPart, seq: int) -> Callable[[], None]:
        """Note that an answer to this worker shows `part` as of event sequence `seq`.

        Returns what to call once the last page of reservations was written and has settled: it
        completes the snapshot of the sessions that were fetching theirs.
        """
        outbox = self._outboxes.get(worker_sid)
        fetching: list[Session] = []
        if outbox is not None:
            for session in outbox.sessions.values():
                session.seen.setdefault(part, seq)
                if session.held is not None:
                    fetching.append(session)

        def complete() -> None:
            for session in fetching:
                self._complete(session)

        return complete

    def close_workspace(self, workspace: Workspace) -> None:
        """End the sessions of a workspace that was deleted."""
        for outbox in list(self._outboxes.values()):
            for session in list(outbox.sessions.values()):
                if session.workspace is workspace:
                    self._end(session, CloseCode.NOT_ALLOWED, "the workspace was deleted")

    def open(self) -> None:
        """Let sessions in."""
        self._all_ended = None

    async def close(self) -> None:
        """End every session because the server shuts down. Moves no worker. Takes about a second at most."""
        self._all_ended = asyncio.Event()
        for handle in self._leaving.values():
            handle.cancel()
        self._leaving.clear()
        for outbox in list(self._outboxes.values()):
            for session in list(outbox.sessions.values()):
                self._end(session, CloseCode.GOING_AWAY, "the server is shutting down")
            outbox.next_turn()
        self._wheel.stop()
        if self._running:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._all_ended.wait()
            except TimeoutError:
                log.info("some clients did not finish the closing handshake; their connections are cut")

    # --- One connection -----------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one websocket from its upgrade to its end.

        A client with a bad token is let in and then told why it must go: a refused upgrade would
        reach the JavaScript SDK as an anonymous failure.
        """
        ws = web.WebSocketResponse(timeout=CLOSE_SECONDS, compress=False, max_msg_size=MAX_INCOMING)
        await ws.prepare(request)
        self._running += 1
        try:
            try:
                caller = self._caller(request)
                session = await self._admit(request, ws, caller)
            except _Refusal as refusal:
                log.info("session refused: %s (%d)", refusal, refusal.code)
                await ws.close(code=refusal.code, message=str(refusal).encode())
                return ws
            await self._serve(session, request)
        finally:
            self._running -= 1
            if self._all_ended is not None and self._running == 0:
                self._all_ended.set()
        return ws

    def _caller(self, request: web.Request) -> Caller:
        if self._all_ended is not None:
            raise _Refusal(CloseCode.GOING_AWAY, "the server is shutting down")
        try:
            caller = self._tokens.caller(request.query.get("token", ""))
        except TokenRefused as refused:
            if refused.expired:
                raise _Refusal(CloseCode.TOKEN_EXPIRED, "the token has expired") from None
            code = CloseCode.BAD_TOKEN if refused.status == 401 else CloseCode.NOT_ALLOWED
            raise _Refusal(code, str(refused)) from None
        if caller.worker_sid is None:
            raise _Refusal(CloseCode.NOT_ALLOWED, "the token names no worker")
        account_sid = self._runtime.account.sid
        if not caller.may("GET", ("wschannels", account_sid, caller.worker_sid), {}):
            raise _Refusal(CloseCode.NOT_ALLOWED, "the token's policies allow no websocket")
        return caller

    def _worker(self, caller: Caller) -> tuple[Workspace, str]:
        try:
            workspace = self._runtime.workspace(caller.workspace_sid)
            return workspace, workspace.worker(caller.worker_sid or "").sid
        except DomainError:
            raise _Refusal(CloseCode.NOT_ALLOWED, "the token's workspace or worker does not exist") from None

    async def _admit(self, request: web.Request, ws: web.WebSocketResponse, caller: Caller) -> Session:
        """Register the session and queue its `init`."""
        workspace, worker_sid = self._worker(caller)
        if request.query.get("closeExistingSessions") == "true":
            self._end_all(worker_sid, CloseCode.DISPLACED, "displaced by another session of the worker")
        await self._turn(worker_sid)
        if self._all_ended is not None:
            raise _Refusal(CloseCode.GOING_AWAY, "the server is shutting down")
        workspace, worker_sid = self._worker(caller)  # the world may have moved while it waited
        outbox = self._outboxes.get(worker_sid)
        if outbox is not None and len(outbox.sessions) >= self._max_per_worker:
            raise _Refusal(
                CloseCode.TOO_MANY, f"the worker has {self._max_per_worker} sessions, which is the limit"
            )
        offline = request.query.get("setWorkerOfflineIfDisconnected") != "false"
        session = Session(next(self._numbers), ws, request.transport, workspace, worker_sid, offline=offline)
        if outbox is None:
            outbox = self._outboxes[worker_sid] = _Outbox(self._deliver)
        outbox.sessions[session.number] = session
        leaving = self._leaving.pop(worker_sid, None)
        if leaving is not None:
            leaving.cancel()

        remaining = caller.expires_at - self._clock.now()
        lifetime = min(max(math.floor(remaining * 1000), MIN_LIFETIME_MS), MAX_LIFETIME_MS)
        self._wheel.add(session, expires_in=remaining if remaining > 0 else remaining + LEEWAY)
        session.queue.append(init_frame(workspace, worker_sid, lifetime))
        log.info("session %d of %s connected", session.number, worker_sid)
        return session

    async def _turn(self, worker_sid: str) -> None:
        """Wait until no other session of the worker is fetching its snapshot, but not for long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TURN_SECONDS
        while True:
            outbox = self._outboxes.get(worker_sid)
            remaining = deadline - loop.time()
            if outbox is None or not outbox.is_initialising or remaining <= 0 or self._all_ended is not None:
                return
            waiter = loop.create_future()
            outbox.waiters.append(waiter)
            await asyncio.wait({waiter}, timeout=remaining)

    async def _serve(self, session: Session, request: web.Request) -> None:
        _notice_dead_peers(request)
        code: int | None = None
        try:
            async with asyncio.TaskGroup() as group:
                session.group = group
                writer = session.writer = group.create_task(self._write(session))
                try:
                    await _discard_incoming(session.ws)
                finally:
                    code = session.ws.close_code
                    self._unregister(session)
                    session.group = None
                    if session.closing is None:
                        writer.cancel()
        finally:
            self._unregister(session)
            log.info("session %d of %s disconnected (%s)", session.number, session.worker_sid, code)

    async def _write(self, session: Session) -> None:
        """The session's only writer: everything but the closing handshake passes here, in order."""
        queue, wake, ws, faults = session.queue, session.wake, session.ws, self._faults
        try:
            while True:
                while queue:
                    frame = queue.popleft()
                    if faults.frame is not None or faults.mute_heartbeats:
                        await self._write_faulty(session, frame)
                    else:
                        await ws.send_frame(frame.data, WSMsgType.TEXT)
                if session.closing is not None:
                    return
                wake.clear()
                await wake.wait()
        except ConnectionError:
            return  # the reader has noticed it, or will at once

    async def _write_faulty(self, session: Session, frame: Frame) -> None:
        if frame is HEARTBEAT and self._faults.mute_heartbeats:
            return
        hook = self._faults.frame
        fault = hook and hook(FaultyFrame(session.worker_sid, session.number, frame.event_type, frame.data))
        data = frame.data
        if fault is not None:
            if fault.delay:
                await asyncio.sleep(fault.delay)
            if fault.action == "drop":
                return
            if fault.action == "cut_before":
                _abort(session)
                return
            data = data if fault.replace is None else fault.replace
        await session.ws.send_frame(data, WSMsgType.TEXT)
        if fault is not None and fault.action == "duplicate":
            await session.ws.send_frame(data, WSMsgType.TEXT)
        if fault is not None and fault.action == "cut_after" and session.transport is not None:
            session.transport.close()  # sends what is buffered first; abort() would lose the frame

    # --- Frames -------------------------------------------------------------------------------

    def _deliver(self, session: Session, frame: Frame) -> None:
        if session.held is None:
            self._send(session, frame)
        elif len(session.held) >= self._max_frames:
            self._end(session, CloseCode.TOO_SLOW, "too many events while the snapshot was fetched")
        else:
            session.held.append(frame)

    def _send(self, session: Session, frame: Frame) -> None:
        if session.cannot_know(frame):
            self._end(session, CloseCode.RESTART, "resynchronise: there is a new activity or channel")
        elif len(session.queue) >= self._max_frames:
            session.queue.clear()
            self._end(
                session, CloseCode.TOO_SLOW, f"too slow a reader: {self._max_frames} frames are waiting"
            )
        else:
            session.queue.append(frame)
            session.wake.set()

    def _complete(self, session: Session) -> None:
        """The session's snapshot is complete, or took too long: send what it does not show."""
        held, session.held = session.held, None
        if held is None:
            return
        for frame in held:
            if not session.open:
                break
            if not session.already_shows(frame):
                self._send(session, frame)
        outbox = self._outboxes.get(session.worker_sid)
        if outbox is not None:
            outbox.next_turn()

    def _beat(self, session: Session) -> None:
        # Frames that wait to be written are a sign of life themselves.
        if not session.queue:
            session.queue.append(HEARTBEAT)
            session.wake.set()

    # --- Ends ---------------------------------------------------------------------------------

    def _expire(self, session: Session) -> None:
        self._end(session, CloseCode.TOKEN_EXPIRED, "the token has expired")

    def _end_all(self, worker_sid: str, code: CloseCode, reason: str) -> None:
        outbox = self._outboxes.get(worker_sid)
        if outbox is not None:
            for session in list(outbox.sessions.values()):
                self._end(session, code, reason)

    def _end(self, session: Session, code: CloseCode, reason: str) -> None:
        """Start the end of a session from our side. From now on it does not count any more."""
        if session.closing is not None:
            return
        session.closing = code
        log.info("session %d of %s is closed: %s (%d)", session.number, session.worker_sid, reason, code)
        self._unregister(session)
        session.wake.set()
        if session.group is not None:
            session.group.create_task(self._close(session, code, reason))

    async def _close(self, session: Session, code: CloseCode, reason: str) -> None:
        """Write what is queued, then the closing handshake, and cut the connection if that takes too long."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if code is not CloseCode.TOO_SLOW and session.writer is not None:
                    await asyncio.wait({session.writer}, timeout=CLOSE_SECONDS / 2)
                await session.ws.close(code=code, message=reason.encode())
        except TimeoutError:
            pass
        finally:
            if session.writer is not None:
                session.writer.cancel()
            _abort(session)

    def _unregister(self, session: Session) -> None:
        """Take the session off every list; the last one of a worker may take the worker offline."""
        if not session.open:
            return
        session.open = False
        session.held = None
        self._wheel.remove(session)
        outbox = self._outboxes[session.worker_sid]
        del outbox.sessions[session.number]
        outbox.next_turn()
        if outbox.sessions:
            return
        del self._outboxes[session.worker_sid]
        code = session.closing
        if (
            self._all_ended is not None
            or code is CloseCode.DISPLACED  # its successor is about to be registered
            or not session.offline_if_disconnected
        ):
            return
        grace = self._offline_grace
        if code is CloseCode.RESTART:
            grace = max(grace, RESYNC_SECONDS)  # it was sent away to come back
        # Never at once: this may run inside another command's publishing.
        self._leaving[session.worker_sid] = asyncio.get_running_loop().call_later(
            grace, self._take_offline, session.workspace, session.worker_sid
        )

    def _take_offline(self, workspace: Workspace, worker_sid: str) -> None:
        self._leaving.pop(worker_sid, None)
        target = _offline_activity(workspace)
        if target is None or worker_sid not in workspace.workers:
            return
        try:
            self._runtime.run(workspace, lambda ws: ws.update_worker(worker_sid, activity_sid=target.sid))
        except (DomainError, InternalError) as error:
            log.warning("%s could not be taken offline: %s", worker_sid, type(error).__name__)


def _offline_activity(workspace: Workspace) -> Activity | None:
    """Where a worker goes that nobody hears from (our choice: by name, else the default if unavailable)."""
    named = next((a for a in workspace.activities.values() if a.friendly_name == "Offline"), None)
    if named is not None:
        return named
    default = workspace.default_activity
    return None if default.available else default


async def _discard_incoming(ws: web.WebSocketResponse) -> None:
    """Read until the connection ends. aiohttp answers pings and limits the size on the way."""
    async for _ in ws:
        pass


def _abort(session: Session) -> None:
    if session.transport is not None:
        session.transport.abort()


def _notice_dead_peers(request: web.Request) -> None:
    """Let the kernel end connections whose peer acknowledges nothing, where it can."""
    if request.transport is None or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    connection = request.transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
