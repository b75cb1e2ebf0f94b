"""The session: one loop that connects, synchronises, reads, and decides what comes after the end.

Everything that runs for a worker runs below `Session.run`. Others only signal to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Generator
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.abc

from ._backoff import Backoff, bounded
from ._commands import Commands
from ._context import Context
from ._disconnect import Disconnect, DisconnectCause
from ._emitter import Dispatcher
from ._flags import Flag, first
from ._handler_tasks import HandlerTasks
from ._reading import Reader, SessionEvents
from ._snapshot import SnapshotTaker
from ._state import Model, Snapshot
from ._token import Token
from ._token_keeper import TokenKeeper
from .clock import Clock
from .errors import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidMessageError,
    InvalidTokenError,
    NotConnectedError,
    SessionDisplacedError,
    SignalingError,
    TaskRouterError,
    TokenProviderError,
)
from .events import INIT, decode
from .resources import InitFields
from .terms import SidPrefix, is_sid

if TYPE_CHECKING:
    from ._signaling import Connection

__all__ = [
    "Opener",
    "Session",
    "SessionState",
]

logger = logging.getLogger(__name__)

INIT_SECONDS: Final = 10.0
STABLE_SECONDS: Final = 10.0
"""A session that was ready for so long resets the backoff; a shorter one does not."""

MAX_BARREN_HANDSHAKES: Final = 5
CLOCK_CHECK_SECONDS: Final = 5.0
JUMP_SECONDS: Final = 10.0
"""What the clock on the wall may gain or lose on the monotonic one between two looks."""

MAX_LIFETIME: Final = 1e15
"""Milliseconds: a token that lives longer is measured as one that lives so long, 30,000 years."""

IN_FLIGHT_SECONDS: Final = 120.0
"""Frames this old may still have been on their way when a connection broke."""

MAX_REFUSED_TOKENS: Final = 1
"""A refused token is replaced once, if somebody makes another; then the refusal is believed."""

HANDLER_GRACE_SECONDS: Final = 5.0


class SessionState(StrEnum):
    """Where a worker's session stands."""

    NEW = "new"  # not started
    CONNECTING = "connecting"  # opening the websocket, waiting for `init`
    INITIALIZING = "initializing"  # fetching the snapshot
    READY = "ready"
    WAITING = "waiting"  # between two attempts
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - no secret; waits for update_token()
    CLOSED = "closed"  # for good


class Opener(Protocol):
    """The seam to the websocket; `_signaling.Signaling` is the real one."""

    async def open(self, token: Token, *, close_existing_sessions: bool) -> Connection:
        """Open a websocket, or raise `ConnectionFailedError`."""
        ...


class _Attempt:
    """One connection: how far it came, and how it ended."""

    __slots__ = (
        "announced",
        "connection",
        "disconnect",
        "ended",
        "error",
        "live",
        "opened",
        "reached_init",
        "reader",
        "ready_at",
        "scope",
        "token",
        "told",
    )

    def __init__(self, token: Token, *, announced: bool) -> None:
        self.token = token
        self.announced = announced  # False for the successor of a session that is still there
        self.opened = False
        self.reached_init = False
        self.ready_at: float | None = None
        self.connection: Connection | None = None
        self.reader: Reader | None = None  # from `init` on
        self.error: TaskRouterError | None = None
        self.disconnect: Disconnect | None = None
        self.scope = anyio.CancelScope()
        self.live = Flag()
        self.ended = Flag()
        self.told = False  # whether the application heard of its end

    def silent_for(self) -> float:
        """Seconds since the last frame."""
        return 0.0 if self.connection is None else self.connection.silent_for()

    async def caught_up(self) -> bool:
        """Wait until what the peer sent up to now is applied; False if the connection is no good for it."""
        if self.connection is None or self.reader is None or not self.live.is_set():
            return False
        if not await self.connection.round_trip():
            return False
        if not self.reader.synchronised.is_set():
            await first(self.reader.synchronised, self.ended)
        return self.reader.synchronised.is_set()


class Session:
    """Keeps one worker connected.

    Args:
        context: the live objects' side; `identify` is called at the first `init`.
        model: takes snapshots and events.
        snapshots, signaling, commands, tokens, dispatcher: what it works with.
        events: whom it tells.
        close_existing_sessions: close the worker's other sessions, with the first connection only:
            two programs that both insisted would displace each other for ever.
        backoff: seconds to wait before each attempt.
        clock: the clock on the wall, which goes on while a machine sleeps.
    """

    def __init__(
        self,
        *,
        context: Context,
        model: Model,
        snapshots: SnapshotTaker,
        signaling: Opener,
        commands: Commands,
        tokens: TokenKeeper,
        dispatcher: Dispatcher,
        events: SessionEvents,
        close_existing_sessions: bool,
        backoff: Backoff,
        clock: Clock,
    ) -> None:
        self._context = context
        self._model = model
        self._snapshots = snapshots
        self._signaling = signaling
        self._commands = commands
        self._tokens = tokens
        self._dispatcher = dispatcher
        self._events = events
        self._close_existing_sessions = close_existing_sessions
        self._backoff = bounded(backoff)
        self._clock = clock
        tokens.events = events

        self.state = SessionState.NEW
        self.failure: TaskRouterError | None = None
        self.live_at: float | None = None  # loop time of the latest snapshot
        self.changed = Flag()  # replaced at each change of state
        self._scope: anyio.CancelScope | None = None
        self._closing = False
        self._synchronised = False  # whether there was ever a snapshot
        self._first_connection = True
        self._gap_began: float | None = None  # by the server's clock
        self._first_seen = 0.0  # the first snapshot, by the server's clock
        self._current: _Attempt | None = None
        self._doubt = Flag()  # whether the connection may be dead without having ended

    # From outside

    def set_state(self, state: SessionState) -> None:
        """Change the state and wake those who wait for it."""
        if state is not self.state:
            logger.debug("session: %s -> %s", self.state, state)
            self.state = state
            changed, self.changed = self.changed, Flag()
            changed.set()

    async def state_change(self) -> None:
        """Wait until the state is another."""
        await self.changed.wait()

    async def caught_up(self) -> None:
        """Wait until a live connection has applied all that its peer had sent when it was asked.

        If the connection ends meanwhile, the next one is asked: its snapshot tells what was missed.

        Raises:
            NotConnectedError: the session has ended.
        """
        while self.state is not SessionState.CLOSED:
            attempt = self._current
            if attempt is None or not attempt.live.is_set():
                await self.state_change()
            elif await attempt.caught_up():
                return
            else:
                await attempt.ended.wait()
                await asyncio.sleep(0)  # the loop of connections sees to it next
        raise NotConnectedError("the session has ended")

    def close(self) -> None:
        """End the session soon; nothing comes after it."""
        self._closing = True
        if self._scope is not None:
            self._scope.cancel()

    # The loop

    async def run(self) -> None:
        """Stay connected until `close`, or until it makes no sense any more (see `failure`)."""
        try:
            async with HandlerTasks() as handlers:
                self._dispatcher.open(handlers)
                with anyio.CancelScope() as self._scope:
                    if not self._closing:
                        await self._stay_connected()
                if self.failure is not None:
                    self.failure.ends_session = True
                    self._events.failed(self.failure)
                # Handlers may finish what they began, for a while.
                with anyio.move_on_after(HANDLER_GRACE_SECONDS):
                    await self._dispatcher.idle()
        finally:
            self._tokens.close()
            self._dispatcher.close()
            self._commands.closed = True
            self.set_state(SessionState.CLOSED)

    async def _stay_connected(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                if self._tokens.refreshes:
                    tasks.start_soon(self._tokens.run, name="token provider")
                with self._watched_clock():
                    await self._follow(tasks)
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            current = self._current
            if self._closing and current is not None and current.opened:
                # It may have ended by itself a moment ago, untold.
                ours = Disconnect(message="SDK Disconnect", cause=DisconnectCause.CLIENT)
                self._left(current, current.disconnect or ours)
            self._current = None
            raise

    async def _follow(self, tasks: anyio.abc.TaskGroup) -> None:
        """One connection after the other."""
        attempts = 0
        barren = 0
        refused = 0
        while True:
            await self._token_in_force()
            self._current = self._begin(tasks, announced=True)
            attempt = await self._until_the_end(tasks)
            self._current = None
            barren = 0 if attempt.reached_init or not attempt.opened else barren + 1
            if attempt.ready_at is not None:
                refused = 0
                if asyncio.get_running_loop().time() - attempt.ready_at >= STABLE_SECONDS:
                    attempts = 0
            self.failure = self._final(attempt, barren)
            if self._is_refusal(self.failure) and self._tokens.refreshes and refused < MAX_REFUSED_TOKENS:
                refused += 1
                self.failure = None
                self.set_state(SessionState.WAITING)
                if attempt.ready_at is not None and attempt.disconnect is not None:
                    self._left(attempt, attempt.disconnect, will_reconnect=True)
                await self._replace(attempt.token)
                continue
            expired = self._expired_with(attempt)
            if self.failure is None:
                self.set_state(SessionState.TOKEN_EXPIRED if expired else SessionState.WAITING)
            if attempt.disconnect is not None:
                will_reconnect = self.failure is None and not expired and not self._closing
                self._left(attempt, attempt.disconnect, will_reconnect=will_reconnect)
            if self.failure is not None:
                return
            if attempt.error is not None:
                self._events.failed(attempt.error)
            if expired and self._tokens.is_current(attempt.token):
                self._tokens.ran_out()
            await self._pause(attempts, expired=expired)
            attempts += 1

    async def _until_the_end(self, tasks: anyio.abc.TaskGroup) -> _Attempt:
        """Wait until the session has ended; meanwhile each new token gets a connection of its own.

        The new connection is complete before the old one is closed: make before break. The
        application notices nothing; what both push is told once.
        """
        current = self._present()
        failures = 0
        while not current.ended.is_set():
            if not current.live.is_set():
                await first(current.ended, current.live)
                continue
            change = self._tokens.change
            if self._tokens.is_current(current.token) and not self._doubt.is_set():
                await first(current.ended, change, self._doubt)
                continue
            successor = self._begin(tasks, announced=False)
            # The old connection may be dead without anybody knowing it yet.
            self._note_gap(current)
            await first(successor.live, successor.ended, current.ended)
            if self._displaced(current):
                successor.scope.cancel()
            elif successor.live.is_set():
                logger.debug("a new connection takes over")
                self._doubt.clear()
                self._current = successor
                current.scope.cancel()
                current = successor
                failures = 0
            elif current.ended.is_set():
                # The old one did not live to see it. From here on it is an ordinary reconnect.
                self._left(current, self._end_of(current), will_reconnect=True)
                self.set_state(
                    SessionState.INITIALIZING if successor.reached_init else SessionState.CONNECTING
                )
                successor.announced = True
                self._current = current = successor
            else:
                if self._final(successor, 0) is not None or self._expired_with(successor):
                    current.scope.cancel()  # the token in force is no good: the old connection cannot stay
                    await current.ended.wait()
                    successor.disconnect = successor.disconnect or self._end_of(successor)
                    successor.ready_at = current.ready_at
                    return successor
                if successor.error is not None:
                    self._events.failed(successor.error)
                failures += 1
                with anyio.move_on_after(self._backoff(failures)):
                    await current.ended.wait()
        self._doubt.clear()
        return current

    @contextlib.contextmanager
    def _watched_clock(self) -> Generator[None]:
        """Doubt the connection when the clock on the wall jumps: the machine slept, or was set.

        The monotonic clock stands still while a machine sleeps, so the usual silence would be noticed
        only half a minute after it woke up.
        """
        loop = asyncio.get_running_loop()
        wall, monotonic = self._clock.now(), loop.time()
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal wall, monotonic, timer
            jump = (self._clock.now() - wall) - (loop.time() - monotonic)
            wall, monotonic = self._clock.now(), loop.time()
            if abs(jump) > JUMP_SECONDS:
                logger.info("the clock jumped by %+.0f s: the connection is made anew to be sure of it", jump)
                self._doubt.set()
            timer = loop.call_later(CLOCK_CHECK_SECONDS, look)

        timer = loop.call_later(CLOCK_CHECK_SECONDS, look)
        try:
            yield
        finally:
            timer.cancel()

    def _present(self) -> _Attempt:
        if self._current is None:
            raise RuntimeError("there is no connection")
        return self._current

    @staticmethod
    def _end_of(attempt: _Attempt) -> Disconnect:
        if attempt.disconnect is not None:
            return attempt.disconnect
        message = str(attempt.error) if attempt.error else "the connection ended"
        return Disconnect(message=message, cause=DisconnectCause.CONNECTION_LOST)

    def _begin(self, tasks: anyio.abc.TaskGroup, *, announced: bool) -> _Attempt:
        attempt = _Attempt(self._tokens.token, announced=announced)
        tasks.start_soon(self._run_attempt, attempt, name="connection")
        return attempt

    async def _run_attempt(self, attempt: _Attempt) -> None:
        try:
            with attempt.scope:
                await self._one_connection(attempt)
        finally:
            if attempt.reader is not None and self._synchronised:
                self._model.learn(attempt.reader.unheard())
            attempt.ended.set()

    async def _replace(self, token: Token) -> None:
        try:
            await self._tokens.replace(token)
        except TokenProviderError as error:
            self._events.failed(error)
            if self._tokens.is_current(token):
                self._tokens.ran_out()  # nothing can be done with it; the keeper goes on asking

    @staticmethod
    def _is_refusal(error: TaskRouterError | None) -> bool:
        return isinstance(error, InvalidTokenError)

    async def _pause(self, attempts: int, *, expired: bool) -> None:
        """Wait until it is time for another connection."""
        delay = self._backoff(attempts)
        if not expired:
            logger.info("connecting again in %.1f s", delay)
            with anyio.move_on_after(delay):
                await self._tokens.changed()  # a new token is a reason to try at once
            return
        await self._token_in_force()
        if attempts:
            # The regular end of a token is no reason to wait; one whose successors expire as well is.
            self.set_state(SessionState.WAITING)
            await anyio.sleep(delay)

    def _left(self, attempt: _Attempt, disconnect: Disconnect, *, will_reconnect: bool = False) -> None:
        attempt.told = True
        if disconnect.cause is DisconnectCause.RESYNCHRONISE:
            self._model.doubt_ends()
        self._note_gap(attempt)
        logger.info(
            "disconnected: %s (%s%s)",
            disconnect.message,
            disconnect.cause,
            "" if disconnect.code is None else f", code {disconnect.code}",
        )
        self._events.disconnected(
            Disconnect(
                message=disconnect.message,
                cause=disconnect.cause,
                code=disconnect.code,
                will_reconnect=will_reconnect,
            )
        )

    def _note_gap(self, attempt: _Attempt) -> None:
        """Remember since when something may have been missed on this connection."""
        if attempt.ready_at is not None and self._gap_began is None:
            # Frames of a while before may have been lost on the way as well. What is known is told apart.
            heard = self._tokens.server_now() - attempt.silent_for()
            self._gap_began = max(heard - IN_FLIGHT_SECONDS, self._first_seen)

    def _final(self, attempt: _Attempt, barren: int) -> TaskRouterError | None:
        """The reason not to connect again, None if there is none."""
        if attempt.disconnect is not None and self._displaced(attempt):
            return SessionDisplacedError(attempt.disconnect.message)
        if not self._tokens.is_current(attempt.token):
            return None  # it was another token that failed
        error = attempt.error
        if isinstance(error, InvalidTokenError):
            return error
        expired = self._expired_with(attempt)  # then a refusal says no more than that
        if isinstance(error, AuthenticationError) and not expired:
            refused = InvalidTokenError(f"the token was refused: {error}")
            refused.__cause__ = error
            return refused
        if isinstance(error, ConnectionFailedError) and not error.retryable and not expired:
            return InvalidTokenError(f"the websocket was refused: {error}")
        if attempt.disconnect is not None:
            match attempt.disconnect.cause:
                case DisconnectCause.INVALID_TOKEN if not expired:
                    return InvalidTokenError(f"the token was refused: {attempt.disconnect.message}")
                case DisconnectCause.FORBIDDEN:
                    return InvalidTokenError(f"the token does not allow this: {attempt.disconnect.message}")
                case _:
                    pass
        # Once there was a snapshot, the address and the token were right: then it is the network.
        if barren >= MAX_BARREN_HANDSHAKES and not self._synchronised:
            ended = attempt.disconnect.message if attempt.disconnect else "no reason given"
            return SignalingError(
                f"{barren} connections in a row were opened and ended before `init` ({ended}): "
                "is this the event bridge, and does the token fit it?"
            )
        return None

    @staticmethod
    def _displaced(attempt: _Attempt) -> bool:
        end = attempt.disconnect
        return end is not None and end.cause is DisconnectCause.DISPLACED

    def _expired_with(self, attempt: _Attempt) -> bool:
        """Whether the attempt ended because its token's life did."""
        if not self._tokens.is_current(attempt.token):
            return False
        end = attempt.disconnect
        return self._tokens.expired or (end is not None and end.cause is DisconnectCause.TOKEN_EXPIRED)

    async def _token_in_force(self) -> None:
        while self._tokens.expired or not self._tokens.has_one:
            self.set_state(SessionState.TOKEN_EXPIRED if self._tokens.expired else SessionState.CONNECTING)
            await self._tokens.changed()

    # One connection

    async def _one_connection(self, attempt: _Attempt) -> None:
        if attempt.announced:
            self.set_state(SessionState.CONNECTING)
        try:
            connection = await self._signaling.open(
                attempt.token,
                close_existing_sessions=self._close_existing_sessions and self._first_connection,
            )
        except ConnectionFailedError as error:
            attempt.error = error
            return
        attempt.opened = True
        attempt.connection = connection
        async with connection:
            try:
                init: InitFields | None = None
                with anyio.move_on_after(INIT_SECONDS) as waiting:
                    init = await self._await_init(connection)
                if waiting.cancelled_caught:
                    connection.abandon(
                        DisconnectCause.INITIALIZATION_FAILED, f"no init within {INIT_SECONDS:g} s"
                    )
                elif init is not None:
                    attempt.reached_init = True
                    self._first_connection = False
                    self._identify(init, attempt.token)
                    await self._read(connection, attempt)
            except TaskRouterError as error:
                attempt.error = error
                connection.abandon(DisconnectCause.INITIALIZATION_FAILED, str(error))
        cause, message, code = connection.end()
        attempt.disconnect = Disconnect(message=message, cause=cause, code=code)

    async def _read(self, connection: Connection, attempt: _Attempt) -> None:
        async def take(connecting: bool) -> Snapshot:
            if attempt.announced:
                self.set_state(SessionState.INITIALIZING)
            return await self._snapshots.take(
                first=not self._synchronised,
                connecting=lambda: connecting and attempt.announced,
                gap_began=lambda: self._gap_began,
            )

        def live() -> bool:
            first, self._synchronised = not self._synchronised, True
            if first:
                # Reservations carry whole seconds: one made later in this second must not look older.
                self._first_seen = math.floor(self._tokens.server_now())
            self._gap_began = None
            self.live_at = asyncio.get_running_loop().time()
            if attempt.ready_at is None:
                attempt.ready_at = self.live_at
            attempt.live.set()
            self.set_state(SessionState.READY)
            return first

        attempt.reader = Reader(
            connection,
            model=self._model,
            events=self._events,
            backoff=self._backoff,
            take=take,
            live=live,
            announced=lambda: attempt.announced,
        )
        await attempt.reader.run()

    async def _await_init(self, connection: Connection) -> InitFields | None:
        while (frame := await connection.receive()) is not None:
            try:
                event = decode(frame)
            except InvalidMessageError as error:
                if error.event_type == INIT:
                    raise
                self._events.failed(error)
                continue
            if event is not None and isinstance(event.payload, InitFields):
                return event.payload
            if event is not None:
                logger.warning("%s came before init and was ignored: the snapshot will show it", event.type)
        return None

    def _identify(self, init: InitFields, token: Token) -> None:
        # Both go into the path of every request.
        if not is_sid(init.channel_id, SidPrefix.WORKER) or not is_sid(
            init.workspace_sid, SidPrefix.WORKSPACE
        ):
            raise InvalidMessageError("init names no worker or no workspace", event_type="init")
        known = self._context.known_routes
        if known is None:
            self._context.identify(init.workspace_sid, init.channel_id)
        elif (known.workspace_sid, known.worker_sid) != (init.workspace_sid, init.channel_id):
            raise InvalidTokenError(
                f"the new token is for worker {init.channel_id}, this object is worker {known.worker_sid}: "
                "make a new Worker for it"
            )
        lifetime = init.token_lifetime
        if lifetime is not None:
            # What no float can show must not end the session.
            lifetime = max(-MAX_LIFETIME, min(lifetime, MAX_LIFETIME)) / 1000
        self._tokens.learned(token, lifetime)
