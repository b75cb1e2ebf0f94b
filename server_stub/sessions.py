"""Websocket sessions: who is connected, what each one is sent and when, and how it ends.

The order of what a worker's sessions see (our choice where the service's is not documented):

* Frames caused by a command of the worker itself wait until a settle time after its HTTP answer was
  written (`Sessions.hold`); later frames of that worker queue behind. Nobody else waits.
* A new session starts by fetching a snapshot: worker, activities, channels, reservations. Until
  its reservations were answered its frames are held, then those that the answers already showed
  are dropped and the others follow in order (`Sessions.show`).
* An event that names an activity or a channel that the session's snapshot cannot know is never
  sent: the session is closed instead and comes back with a fresh snapshot.

Each event is encoded once and handed only to the sessions of the workers it concerns. What a session
is sent during one turn of the event loop is written at the turn's end with one call, without a task: only
where a client is behind with reading, or somebody watches or disturbs the frames, a task writes them one by
one. One wheel serves the heartbeats, expiries and snapshot deadlines of all sessions. So a session
that rests owns no timer and no task but its reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Final, Literal
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

from taskrouter_worker.clock import Clock
from taskrouter_worker.terms import EventType

from .domain.errors import DomainError
from .domain.events import Event
from .domain.model import Activity, Worker
from .domain.workspace import Workspace
from .faults import ActionKind, FaultAction, Faults, Struck
from .faults.wire import HALF_OPEN_SECONDS, abort, fall_silent, forget_late, reset, write_frame
from .front import check_handshake
from .limits import ServerLimits
from .outbox import CloseCode, Hold, Mark, Outbox, Session
from .replies import ApiError, error_response
from .runtime import InternalError, Runtime
from .tokens import LEEWAY, Caller, TokenRefused, Tokens, token_digest
from .turns import Displaced, Turns
from .views import HEARTBEAT, Frame, SnapshotPart, event_frame, init_frame
from .wheel import Wheel

__all__ = ["Sessions"]

TURN_SECONDS: Final = 0.5
"""How long `init` waits at most for another session of the same worker that is fetching its snapshot.

An HTTP request does not tell which session its client holds, so two snapshots at once could not be
told apart. A snapshot takes some ten milliseconds: clients hardly notice."""

RESYNC_SECONDS: Final = 5.0
"""Grace for a session that this server sent away to come back, before its worker counts as gone."""

CLOSE_SECONDS: Final = 1.0
"""How long a client may take over its half of the closing handshake."""

UNACKNOWLEDGED_MS: Final = 45_000
"""After this long without a TCP acknowledgement a peer is gone: three heartbeats."""

MIN_LIFETIME_MS: Final = 5_001
MAX_LIFETIME_MS: Final = 2_147_488_647
"""Outside of these the timers of the JavaScript SDK fire at once."""

_DISPLACED: Final = "displaced by another session of the worker"

TapDirection = Literal["sent", "connected", "disconnected"]

log = logging.getLogger(__name__)


class _Refusal(Exception):
    """The session is not let in."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Sessions:
    """All sessions of the server.

    Args:
        runtime: carries out the activity change of workers that disconnected.
        tokens: tells who connects.
        clock: the wall clock of the tokens.
        faults: a test's switches.
        heartbeat_seconds: each session gets a text frame at least this often.
        offline_grace: seconds before a worker without a session is moved to the offline activity.
        limits: how many sessions there may be, and how much may wait for a slow one.
        websocket: makes the answer to a request for a websocket, from the request and aiohttp's options.
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
        limits: ServerLimits,
        websocket: Callable[..., web.WebSocketResponse],
    ) -> None:
        self._runtime = runtime
        self._tokens = tokens
        self._clock = clock
        self._faults = faults
        self._offline_grace = offline_grace
        self._limits = limits
        self._websocket = websocket
        self._numbers = count(1)
        self._mark_numbers = count(1)
        self._marks: dict[bytes, Mark] = {}  # by their payload, until everyone answered
        self._outboxes: dict[str, Outbox] = {}  # by worker SID
        self._turns = Turns(self._must_wait)
        self._leaving: dict[str, asyncio.TimerHandle] = {}  # workers about to go offline, by SID
        self._wheel = Wheel(heartbeat_seconds, beat=self._beat, expire=self._expire, complete=self._complete)
        self._registered = 0  # sessions
        self._running = 0  # websocket handlers
        self._half_open: dict[Session, asyncio.TimerHandle] = {}
        self._unwritten: list[Session] = []  # whose queues are written at the end of this turn of the loop
        self._all_ended: asyncio.Event | None = None  # set once closing and no handler runs any more
        self.tap: Callable[[TapDirection, str, str, int, bytes], None] | None = None  # sees what goes on here

    def count_of(self, worker_sid: str) -> int:
        """How many sessions a worker has."""
        outbox = self._outboxes.get(worker_sid)
        return 0 if outbox is None else len(outbox.sessions)

    def __len__(self) -> int:
        return self._registered

    # --- What the other adapters call ---------------------------------------------------------

    def publish(self, workspace: Workspace, events: Sequence[Event]) -> None:
        """Hand the events of one command to the sessions they concern."""
        commits = self._runtime.commits
        for event in events:
            if event.type is EventType.WORKER_DELETED and isinstance(event.resource, Worker):
                self._worker_deleted(event.resource.sid)
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
                if commits is not None:
                    outbox.hold_until_committed(commits)
                outbox.push(frame)

    def _worker_deleted(self, worker_sid: str) -> None:
        def end() -> None:
            self._end_all(worker_sid, CloseCode.NOT_ALLOWED, "the worker was deleted")

        if self._runtime.commits is None:
            end()
        else:
            self._runtime.commits.when_committed(end)

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

    async def delivered(self, workspace: Workspace, *, timeout: float) -> None:
        """Wait until the clients of a workspace have read all that was pushed to them until now.

        Behind those frames each session gets a ping, whose answer proves it (RFC 6455: a pong carries
        the ping's payload, and messages are read in order). Frames that are held for a snapshot or
        for an answer are waited for too. A session that ends meanwhile is waited for no longer.

        Raises:
            TimeoutError: a client did not answer within `timeout` seconds; the text names its worker.
        """
        mark = Mark(next(self._mark_numbers), seq=workspace.seq + 1)  # no snapshot holds it
        outboxes = [box for sid, box in self._outboxes.items() if sid in workspace.workers]
        for outbox in outboxes:
            mark.waiting.update(
                (n, s.worker_sid) for n, s in outbox.sessions.items() if s.open and not s.half_open
            )
        if not mark.waiting:
            return
        self._marks[mark.data] = mark
        for outbox in outboxes:
            outbox.push(mark)
        try:
            async with asyncio.timeout(timeout):
                await mark.everyone.wait()
        except TimeoutError:
            silent = ", ".join(sorted(set(mark.waiting.values())))
            raise TimeoutError(
                f"no answer to a ping within {timeout:g} s from the client of {silent}"
            ) from None
        finally:
            del self._marks[mark.data]

    def send_away(self, workspace: Workspace, staying: Collection[str]) -> None:
        """End the sessions of a workspace that is about to be replaced by one with these workers.

        Whoever stays is asked to come back; nobody is taken offline for what was before.
        """
        for worker_sid in workspace.workers:
            leaving = self._leaving.pop(worker_sid, None)
            if leaving is not None:
                leaving.cancel()
            if worker_sid in staying:
                self._end_all(worker_sid, CloseCode.RESTART, "resynchronise: the workspace was set back")
            else:
                self._end_all(worker_sid, CloseCode.NOT_ALLOWED, "the worker is gone")

    def close_workspace(self, workspace: Workspace) -> None:
        """End the sessions of a workspace that was deleted."""
        for outbox in list(self._outboxes.values()):
            for session in list(outbox.sessions.values()):
                if session.workspace is workspace:
                    self._end(session, CloseCode.NOT_ALLOWED, "the workspace was deleted")

    def inflict(self, action: FaultAction) -> list[Struck]:
        """Do to the sessions that it is about what a test asked for; whom it hit."""
        # A half-open one may have ended as far as the server is concerned: its connection is still there.
        known = [s for outbox in self._outboxes.values() for s in outbox.sessions.values()]
        known.extend(session for session in self._half_open if not session.open)
        hit = [s for s in known if action.concerns(s.workspace.sid, s.worker_sid, s.number)]
        for session in hit:
            match action.action:
                case ActionKind.CUT:
                    reset(session.transport)
                case ActionKind.HALF_OPEN:
                    self._fall_silent(session)
                case ActionKind.EXPIRE_TOKEN:
                    self._tokens.expire(session.token_digest)
                    self._expire(session)
                case ActionKind.DISPLACE:
                    self._end(session, CloseCode.DISPLACED, "displaced by a fault that a test asked for")
                case ActionKind.RESTART:
                    self._end(session, CloseCode.RESTART, "the server restarts")
        return [Struck(s.workspace.sid, s.worker_sid, s.number) for s in hit]

    def _fall_silent(self, session: Session) -> None:
        if session.half_open:
            return
        fall_silent(session)
        for mark in list(self._marks.values()):
            mark.answered(session)  # it never will be
        self._half_open[session] = asyncio.get_running_loop().call_later(
            HALF_OPEN_SECONDS, abort, session.transport
        )

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
        self._turns.wake_all()
        for session in self._half_open:
            abort(session.transport)
        self._wheel.stop()
        if self._running:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._all_ended.wait()
            except TimeoutError:
                log.info("some clients did not finish the closing handshake; their connections are cut")

    # --- One connection -----------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one websocket from its upgrade to its end.

        A client with a bad token is let in and then told why it must go: a refused upgrade would
        reach the JavaScript SDK as an anonymous failure.

        Raises:
            ApiError: 400, it is no handshake.
        """
        check_handshake(request)
        if self._faults.watches_websockets:
            refused = self._refused_by_fault(request)
            if refused is not None:
                return refused
        ws = self._websocket(
            request,
            timeout=CLOSE_SECONDS,
            compress=False,
            max_msg_size=self._limits.max_message + 1,  # aiohttp refuses what is as long as that
            autoping=False,  # it would keep the pongs to itself, see `_listen`
            writer_limit=0,  # a client that is behind is waited for before anything more is written
        )
        await ws.prepare(request)
        self._running += 1
        try:
            try:
                query = _query(request)
                caller = self._caller(query)
                session = await self._admit(request, ws, caller, query)
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

    def _refused_by_fault(self, request: web.Request) -> web.Response | None:
        workspace_sid = worker_sid = None
        with contextlib.suppress(TokenRefused):  # nobody's: then only rules for the whole server match
            caller = self._tokens.caller(request.query.get("token", ""))
            workspace_sid, worker_sid = caller.workspace_sid, caller.worker_sid
        fault = self._faults.on_websocket(workspace_sid, worker_sid)
        if fault is None:
            return None
        if fault.status is None:
            reset(request.transport)
        return error_response(
            ApiError(fault.status or 503, "refused by a fault that a test asked for", headers=fault.headers)
        )

    def _check_open(self) -> None:
        if self._all_ended is not None:
            raise _Refusal(CloseCode.GOING_AWAY, "the server is shutting down")

    def _caller(self, query: Mapping[str, str]) -> Caller:
        self._check_open()
        try:
            caller = self._tokens.caller(query.get("token", ""))
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

    async def _admit(
        self, request: web.Request, ws: web.WebSocketResponse, caller: Caller, query: Mapping[str, str]
    ) -> Session:
        """Register the session and queue its `init`."""
        workspace, worker_sid = self._worker(caller)
        if query.get("closeExistingSessions") == "true":
            self._end_all(worker_sid, CloseCode.DISPLACED, _DISPLACED)
            self._turns.displace(worker_sid)
        self._check_room(worker_sid, waiting=len(self._turns.waiting(worker_sid)))
        try:
            await self._turns.wait(worker_sid, TURN_SECONDS)
            self._check_open()
            workspace, worker_sid = self._worker(caller)  # the world may have moved while it waited
            self._check_room(worker_sid)
        except Displaced:
            raise _Refusal(CloseCode.DISPLACED, _DISPLACED) from None
        except BaseException:
            self._turns.next(worker_sid)  # this one does not use it
            raise
        outbox = self._outboxes.get(worker_sid)
        offline = query.get("setWorkerOfflineIfDisconnected") != "false"
        session = Session(
            next(self._numbers),
            ws,
            request.transport,
            request.protocol,
            workspace,
            worker_sid,
            offline=offline,
            token_digest=token_digest(query.get("token", "")),
            poke=self._poke,
        )
        if outbox is None:
            outbox = self._outboxes[worker_sid] = Outbox(self._deliver, self._limits.max_waiting_frames)
        outbox.sessions[session.number] = session
        self._registered += 1
        leaving = self._leaving.pop(worker_sid, None)
        if leaving is not None:
            leaving.cancel()

        remaining = caller.expires_at - self._clock.now()
        lifetime = min(max(math.floor(remaining * 1000), MIN_LIFETIME_MS), MAX_LIFETIME_MS)
        self._wheel.add(session, expires_in=remaining if remaining > 0 else remaining + LEEWAY)
        session.append(init_frame(workspace, worker_sid, lifetime))
        log.info("session %d of %s connected", session.number, worker_sid)
        self._tell("connected", session, b"")
        return session

    def _check_room(self, worker_sid: str, *, waiting: int = 0) -> None:
        """Refuse a session that is one too many, behind so many of the worker that wait for their turn.

        Raises:
            _Refusal: it is.
        """
        limits = self._limits
        if self.count_of(worker_sid) + waiting >= limits.max_sessions_per_worker:
            raise _Refusal(
                CloseCode.TOO_MANY,
                f"the worker has {limits.max_sessions_per_worker} sessions, which is the limit",
            )
        if self._registered >= limits.max_sessions:
            raise _Refusal(
                CloseCode.TOO_MANY, f"the account has {limits.max_sessions} sessions, which is the limit"
            )

    def _must_wait(self, worker_sid: str) -> bool:
        """Whether a session of the worker is fetching its snapshot."""
        outbox = self._outboxes.get(worker_sid)
        return outbox is not None and outbox.is_initialising and self._all_ended is None

    async def _serve(self, session: Session, request: web.Request) -> None:
        _notice_dead_peers(request)
        code: int | None = None
        try:
            try:
                await self._listen(session)
            finally:
                code = session.ws.close_code
                self._unregister(session)
                await self._end_tasks(session)
        finally:
            self._unregister(session)
            forget_late(session)
            silence = self._half_open.pop(session, None)
            if silence is not None:
                silence.cancel()
            log.info("session %d of %s disconnected (%s)", session.number, session.worker_sid, code)
            self._tell("disconnected", session, b"" if code is None else b"%d" % code)

    def _tell(self, direction: TapDirection, session: Session, data: bytes) -> None:
        if self.tap is not None:
            self.tap(direction, session.workspace.sid, session.worker_sid, session.number, data)

    async def _listen(self, session: Session) -> None:
        """Read until the connection ends: answer pings, note pongs, ignore the rest. Its size is limited."""
        async for message in session.ws:
            if message.type is WSMsgType.PING:
                await session.ws.pong(message.data)
            elif message.type is WSMsgType.PONG and (mark := self._marks.get(bytes(message.data))):
                mark.answered(session)

    async def _end_tasks(self, session: Session) -> None:
        """See the closing handshake through if there is one; otherwise there is nobody to write to."""
        if session.closer is not None:
            await asyncio.gather(session.closer, return_exceptions=True)
        if (writer := session.writer) is not None:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    # --- Writing ------------------------------------------------------------------------------

    def _poke(self, session: Session) -> None:
        """Something waits in the session's queue: write it when this turn of the loop is over."""
        if session.writer is None:
            self._unwritten.append(session)
            if len(self._unwritten) == 1:
                asyncio.get_running_loop().call_soon(self._write_all)

    def _write_all(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        for session in unwritten:
            self._write_now(session)

    def _write_now(self, session: Session) -> None:
        """Write what waits, with one call if nothing is in the way, else by a task of the session."""
        queue, transport = session.queue, session.transport
        if not queue or session.writer is not None:
            return
        if transport is None or transport.is_closing():
            session.take()  # the reader notices it, or has
        elif self._is_plain(session):
            # A frame is one piece of bytes for all who get it; aiohttp's own frames are written whole too.
            session.take()
            if len(queue) == 1:
                transport.write(queue[0].wire)
            else:
                transport.write(b"".join([frame.wire for frame in queue]))
        else:
            session.writer = asyncio.create_task(self._write(session))

    def _is_plain(self, session: Session) -> bool:
        """Whether nothing watches or disturbs the session's frames, and its client keeps up."""
        return (
            self.tap is None
            and not self._faults.watches_frames
            and session.late is None
            and not session.is_behind
            and type(session.ws) is web.WebSocketResponse  # not one that is recorded
            and session.ws.close_code is None
        )

    async def _write(self, session: Session) -> None:
        """Write frame after frame, as fast as the client reads, until none is left."""
        ws, faults = session.ws, self._faults
        try:
            while session.queue:
                frame = session.popleft()
                if self.tap is not None and not isinstance(frame, Mark):
                    self._tell("sent", session, frame.data)
                if isinstance(frame, Mark):
                    await ws.ping(frame.data)
                elif faults.watches_frames or session.late is not None:
                    await write_frame(session, frame, faults, self._fall_silent)
                else:
                    await ws.send_frame(frame.data, WSMsgType.TEXT)
        except ConnectionError:
            session.take()  # the reader has noticed it, or will at once
        except Exception as error:  # noqa: BLE001 - a defect in one session must not pass unseen
            log.error("writing to session %d broke: %s", session.number, type(error).__name__)  # noqa: TRY400 - its text may quote a frame
            abort(session.transport)
        finally:
            session.writer = None

    # --- Frames -------------------------------------------------------------------------------

    def _deliver(self, session: Session, frame: Frame) -> None:
        if session.held is None:
            self._send(session, frame)
        elif self._is_too_much(session, len(session.held), frame):
            self._end(session, CloseCode.TOO_SLOW, "too many events while the snapshot was fetched")
        else:
            session.waiting += len(frame.data)
            session.held.append(frame)

    def _is_too_much(self, session: Session, waiting: int, frame: Frame) -> bool:
        """Whether the session cannot bear one more frame behind so many that wait."""
        limits = self._limits
        return waiting >= limits.max_waiting_frames or (
            # A single frame is never too much, however long.
            waiting > 0 and session.waiting + len(frame.data) > limits.max_waiting_bytes
        )

    def _send(self, session: Session, frame: Frame) -> None:
        if session.cannot_know(frame):
            self._end(session, CloseCode.RESTART, "resynchronise: there is a new activity or channel")
        elif self._is_too_much(session, len(session.queue), frame):
            waiting = len(session.queue)
            session.take()
            self._end(session, CloseCode.TOO_SLOW, f"too slow a reader: {waiting} frames are waiting")
        else:
            session.append(frame)

    def _complete(self, session: Session) -> None:
        """The session's snapshot is complete, or took too long: send what it does not show."""
        held, session.held = session.held, None
        if held is None:
            return
        session.waiting = max(0, session.waiting - sum(len(frame.data) for frame in held))
        for frame in held:
            if not session.open:
                break
            if not session.already_shows(frame):
                self._send(session, frame)
        self._turns.next(session.worker_sid)

    def _beat(self, session: Session) -> None:
        # Frames that wait to be written are a sign of life themselves.
        if not session.queue:
            session.append(HEARTBEAT)

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
        if session.half_open:
            return  # nothing gets through to its client: not even that
        session.closer = asyncio.create_task(self._close(session, code, reason))

    async def _close(self, session: Session, code: CloseCode, reason: str) -> None:
        """Write what is queued, then the closing handshake, and cut the connection if that takes too long."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                self._write_now(session)
                if code is not CloseCode.TOO_SLOW and session.writer is not None:
                    await asyncio.wait({session.writer}, timeout=CLOSE_SECONDS / 2)
                await session.ws.close(code=code, message=reason.encode())
        except TimeoutError:
            pass
        finally:
            if session.writer is not None:
                session.writer.cancel()
            abort(session.transport)

    def _unregister(self, session: Session) -> None:
        """Take the session off every list; the last one of a worker may take the worker offline."""
        if not session.open:
            return
        session.open = False
        session.held = None
        for mark in list(self._marks.values()):
            mark.answered(session)
        self._wheel.remove(session)
        outbox = self._outboxes[session.worker_sid]
        del outbox.sessions[session.number]
        self._registered -= 1
        if not outbox.sessions:
            del self._outboxes[session.worker_sid]
        self._turns.next(session.worker_sid)
        if outbox.sessions:
            return
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
        present = self._runtime.account.workspaces.get(workspace.sid)  # it may have been replaced meanwhile
        target = None if present is None else _offline_activity(present)
        if present is None or target is None or worker_sid not in present.workers:
            return
        workspace = present
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


def _query(request: web.Request) -> Mapping[str, str]:
    """The parameters of the address, not kept with the request: the token alone is half a kilobyte."""
    pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    return dict(reversed(pairs))  # of several the first counts, as everywhere in aiohttp


def _notice_dead_peers(request: web.Request) -> None:
    """Let the kernel end connections whose peer acknowledges nothing, where it can."""
    if request.transport is None or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    connection = request.transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
