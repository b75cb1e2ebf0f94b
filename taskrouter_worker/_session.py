"""The session: one loop that connects, synchronises, reads, and decides what comes after the end.

Everything that runs for a worker runs below `Session.run`. Others only signal to it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import anyio
import anyio.abc

from ._commands import Commands
from ._context import Context
from ._emitter import Dispatcher
from ._signaling import Connection, Disconnect, DisconnectCause
from ._snapshot import SnapshotTaker
from ._state import Model, Notification, Snapshot
from ._token import Token
from .clock import Clock
from .errors import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidMessageError,
    InvalidTokenError,
    SessionDisplacedError,
    SignalingError,
    TaskRouterError,
)
from .events import INIT, Event, decode
from .resources import InitFields, ReservationFields

__all__ = [
    "Backoff",
    "Opener",
    "Session",
    "SessionEvents",
    "SessionState",
    "full_jitter",
]

logger = logging.getLogger(__name__)

INIT_SECONDS: Final = 10.0
MAX_HELD: Final = 10_000
"""Events held while a snapshot is taken; more means that it will never be."""

STABLE_SECONDS: Final = 10.0
"""A session that was ready for so long resets the backoff; a shorter one does not."""

MAX_BARREN_HANDSHAKES: Final = 5
IN_FLIGHT_SECONDS: Final = 120.0
"""Frames this old may still have been on their way when a connection broke."""

EXPIRY_MARGIN: Final = 5.0
"""`tokenExpired` comes this many seconds before the token's end, as in the JavaScript SDK."""

HANDLER_GRACE_SECONDS: Final = 5.0

Backoff = Callable[[int], float]
"""From the number of attempts since the last stable session, 0 for the first, to seconds to wait."""


def full_jitter(attempt: int) -> float:
    """A random delay below a bound that doubles with each attempt: 1 s at first, 30 s at most."""
    return random.uniform(0, min(30.0, 2.0 ** min(attempt, 5)))  # noqa: S311 - spreads load, guards nothing


class SessionState(StrEnum):
    """Where a worker's session stands."""

    NEW = "new"  # not started
    CONNECTING = "connecting"  # opening the websocket, waiting for `init`
    INITIALIZING = "initializing"  # fetching the snapshot
    READY = "ready"
    WAITING = "waiting"  # between two attempts
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - no secret; waits for update_token()
    CLOSED = "closed"  # for good


class SessionEvents(Protocol):
    """What the session tells the worker that owns it."""

    def ready(self) -> None:
        """A snapshot was taken; the model is complete."""
        ...

    def notify(self, notification: Notification) -> None:
        """The model has something to tell."""
        ...

    def disconnected(self, disconnect: Disconnect) -> None:
        """An open websocket ended."""
        ...

    def failed(self, error: TaskRouterError) -> None:
        """Something went wrong; unless the session ends, it goes on by itself."""
        ...

    def token_expired(self) -> None:
        """The token's life is about to end, or has ended."""
        ...


class Opener(Protocol):
    """The seam to the websocket; `_signaling.Signaling` is the real one."""

    async def open(self, token: Token, *, close_existing_sessions: bool) -> Connection:
        """Open a websocket, or raise `ConnectionFailedError`."""
        ...


@dataclass(slots=True)
class _Attempt:
    """How far one connection came, and how it ended."""

    token: Token
    opened: bool = False
    reached_init: bool = False
    ready_at: float | None = None
    silent_for: float = 0.0  # seconds from the last frame to the end
    error: TaskRouterError | None = None
    disconnect: Disconnect | None = None


class Session:
    """Keeps one worker connected.

    Args:
        context: the live objects' side; `identify` is called at the first `init`.
        model: takes snapshots and events.
        snapshots, signaling, commands, dispatcher: what it works with.
        events: whom it tells.
        close_existing_sessions: close the worker's other sessions, with the first connection only:
            two programs that both insisted would displace each other for ever.
        backoff: seconds to wait before each attempt.
        clock: wall-clock time, to read a new token's expiry.
    """

    def __init__(
        self,
        *,
        context: Context,
        model: Model,
        snapshots: SnapshotTaker,
        signaling: Opener,
        commands: Commands,
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
        self._dispatcher = dispatcher
        self._events = events
        self._close_existing_sessions = close_existing_sessions
        self._backoff = backoff
        self._clock = clock

        self.state = SessionState.NEW
        self.failure: TaskRouterError | None = None
        self._changed = anyio.Event()  # replaced at each change of state
        self._scope: anyio.CancelScope | None = None
        self._closing = False
        self._synchronised = False  # whether there was ever a snapshot
        self._first_connection = True
        self._gap_began: float | None = None  # by the server's clock
        self._first_seen = 0.0  # the first snapshot, by the server's clock
        self._token_changed = anyio.Event()
        self._expired = False
        self._expiry: asyncio.TimerHandle | None = None
        self._lifetime: float | None = None  # seconds, as the last `init` told
        self._server_skew: float | None = None  # server's epoch minus the loop's time

    # From outside

    def set_state(self, state: SessionState) -> None:
        """Change the state and wake those who wait for it."""
        if state is not self.state:
            logger.debug("session: %s -> %s", self.state, state)
            self.state = state
            changed, self._changed = self._changed, anyio.Event()
            changed.set()

    async def state_change(self) -> None:
        """Wait until the state is another."""
        await self._changed.wait()

    def close(self) -> None:
        """End the session soon; nothing comes after it."""
        self._closing = True
        if self._scope is not None:
            self._scope.cancel()

    def update_token(self, token: Token) -> None:
        """Use `token` from now on: for requests at once, for the websocket with the next connection."""
        self._commands.token = token
        self._expired = False
        changed, self._token_changed = self._token_changed, anyio.Event()
        changed.set()
        if self._context.known_routes is not None:
            # Also between two connections: the old token's end does not matter any more. Before the
            # first `init` nothing is known that a lifetime could be measured against.
            self._arm_expiry(self._life_of(token))

    # The loop

    async def run(self) -> None:
        """Stay connected until `close`, or until it makes no sense any more (see `failure`)."""
        try:
            async with anyio.create_task_group() as tasks:
                self._dispatcher.open(tasks)
                with anyio.CancelScope() as self._scope:
                    if not self._closing:
                        await self._stay_connected()
                if self.failure is not None:
                    self._events.failed(self.failure)
                # Handlers may finish what they began, for a while.
                with anyio.move_on_after(HANDLER_GRACE_SECONDS):
                    await self._dispatcher.idle()
                tasks.cancel_scope.cancel()
        finally:
            self._disarm_expiry()
            self._dispatcher.close()
            self._commands.closed = True
            self.set_state(SessionState.CLOSED)

    async def _stay_connected(self) -> None:
        attempts = 0
        barren = 0
        while True:
            await self._token_in_force()
            attempt = _Attempt(token=self._commands.token)
            try:
                await self._one_connection(attempt)
            except anyio.get_cancelled_exc_class():
                if attempt.opened and self._closing:
                    self._left(attempt, Disconnect(message="SDK Disconnect", cause=DisconnectCause.CLIENT))
                raise
            barren = 0 if attempt.reached_init or not attempt.opened else barren + 1
            loop = asyncio.get_running_loop()
            if attempt.ready_at is not None and loop.time() - attempt.ready_at >= STABLE_SECONDS:
                attempts = 0
            self.failure = self._final(attempt, barren)
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
            if expired and attempt.token is self._commands.token:
                self._token_ran_out()
            await self._pause(attempts, expired=expired)
            attempts += 1

    async def _pause(self, attempts: int, *, expired: bool) -> None:
        """Wait until it is time for another connection."""
        delay = self._backoff(attempts)
        if not expired:
            logger.info("connecting again in %.1f s", delay)
            with anyio.move_on_after(delay):
                await self._token_changed.wait()  # a new token is a reason to try at once
            return
        await self._token_in_force()
        if attempts:
            # The regular end of a token is no reason to wait; one whose successors expire as well is.
            self.set_state(SessionState.WAITING)
            await anyio.sleep(delay)

    def _left(self, attempt: _Attempt, disconnect: Disconnect, *, will_reconnect: bool = False) -> None:
        if attempt.ready_at is not None and self._gap_began is None:
            # Frames of a while before may have been lost on the way as well. What is known is told apart.
            self._gap_began = max(
                self._server_now() - attempt.silent_for - IN_FLIGHT_SECONDS, self._first_seen
            )
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

    def _final(self, attempt: _Attempt, barren: int) -> TaskRouterError | None:
        """The reason not to connect again, None if there is none."""
        if attempt.token is not self._commands.token:
            return None  # it was another token that failed
        error = attempt.error
        if isinstance(error, InvalidTokenError):
            return error
        if isinstance(error, AuthenticationError) and not self._expired_with(attempt):
            return error
        if isinstance(error, ConnectionFailedError) and not error.retryable:
            return InvalidTokenError(f"the websocket was refused: {error}")
        if attempt.disconnect is not None:
            match attempt.disconnect.cause:
                case DisconnectCause.INVALID_TOKEN:
                    return InvalidTokenError(f"the token was refused: {attempt.disconnect.message}")
                case DisconnectCause.FORBIDDEN:
                    return InvalidTokenError(f"the token does not allow this: {attempt.disconnect.message}")
                case DisconnectCause.DISPLACED:
                    return SessionDisplacedError(attempt.disconnect.message)
                case _:
                    pass
        if barren >= MAX_BARREN_HANDSHAKES:
            ended = attempt.disconnect.message if attempt.disconnect else "no reason given"
            return SignalingError(
                f"{barren} connections in a row were opened and ended before `init` ({ended}): "
                "is this the event bridge, and does the token fit it?"
            )
        return None

    def _expired_with(self, attempt: _Attempt) -> bool:
        """Whether the attempt ended because its token's life did."""
        if attempt.token is not self._commands.token:
            return False
        end = attempt.disconnect
        return self._expired or (end is not None and end.cause is DisconnectCause.TOKEN_EXPIRED)

    async def _token_in_force(self) -> None:
        while self._expired:
            self.set_state(SessionState.TOKEN_EXPIRED)
            await self._token_changed.wait()

    # One connection

    async def _one_connection(self, attempt: _Attempt) -> None:
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
            attempt.silent_for = connection.silent_for()
        cause, message, code = connection.end()
        attempt.disconnect = Disconnect(message=message, cause=cause, code=code)

    async def _read(self, connection: Connection, attempt: _Attempt) -> None:
        async def take(connecting: bool) -> Snapshot:
            self.set_state(SessionState.INITIALIZING)
            return await self._snapshots.take(
                first=not self._synchronised, connecting=connecting, gap_began=self._gap_began
            )

        def live() -> bool:
            first, self._synchronised = not self._synchronised, True
            if first:
                self._first_seen = self._server_now()
            self._gap_began = None
            if attempt.ready_at is None:
                attempt.ready_at = asyncio.get_running_loop().time()
            self.set_state(SessionState.READY)
            return first

        await _Reader(
            connection,
            model=self._model,
            events=self._events,
            backoff=self._backoff,
            take=take,
            live=live,
        ).run()

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
        if not init.channel_id or not init.workspace_sid:
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
        self._lifetime = None if lifetime is None else lifetime / 1000
        if self._lifetime is not None and token.expires_at is not None:
            # What the server's clock shows, so that a wrong clock here does not matter later.
            now = asyncio.get_running_loop().time()
            self._server_skew = token.expires_at - self._lifetime - now
        if token is self._commands.token:
            self._arm_expiry(self._lifetime)
        else:
            self._arm_expiry(self._life_of(self._commands.token))

    # The token's life

    def _server_now(self) -> float:
        """What the server's clock shows, in epoch seconds; our own where it never told."""
        if self._server_skew is not None:
            return self._server_skew + asyncio.get_running_loop().time()
        return self._clock.now()

    def _life_of(self, token: Token) -> float | None:
        """Seconds that a token given now has to live."""
        if token.expires_at is None:
            return self._lifetime
        return token.expires_at - self._server_now()

    def _arm_expiry(self, lifetime: float | None) -> None:
        self._disarm_expiry()
        if lifetime is not None:
            self._expiry = asyncio.get_running_loop().call_later(
                max(0.0, lifetime - EXPIRY_MARGIN), self._token_ran_out
            )

    def _disarm_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _token_ran_out(self) -> None:
        self._disarm_expiry()
        if not self._expired:
            self._expired = True
            logger.warning("the token expires: give a new one to update_token()")
            self._events.token_expired()


class _Reader:
    """Reads one connection from `init` to its end; frames are held while a snapshot is taken."""

    def __init__(
        self,
        connection: Connection,
        *,
        model: Model,
        events: SessionEvents,
        backoff: Backoff,
        take: Callable[[bool], Awaitable[Snapshot]],
        live: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._model = model
        self._events = events
        self._backoff = backoff
        self._take = take  # whether it is the connection's first -> a snapshot
        self._live = live  # told at each snapshot; whether it is the worker's first
        self._held: list[Event] | None = []  # None: events are applied as they come
        self._lost_one = False  # an event that could not be read while a snapshot was being taken
        self._resyncs = 0
        self._told_ready = False
        self._failure: TaskRouterError | None = None

    async def run(self) -> None:
        """Read until the connection ends.

        Raises:
            TaskRouterError: a snapshot could not be taken.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._synchronise, name="snapshot")
            await self._read(tasks)
            tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _read(self, tasks: anyio.abc.TaskGroup) -> None:
        while (frame := await self._connection.receive()) is not None:
            try:
                event = decode(frame)
            except InvalidMessageError as error:
                self._events.failed(error)
                if error.event_type is not None:
                    self._resynchronise(tasks)
                continue
            if event is None or isinstance(event.payload, InitFields):
                continue  # a heartbeat; a second `init` says nothing new
            logger.debug("received %s", event.type)
            if self._held is None:
                self._apply(event)
            elif len(self._held) < MAX_HELD:
                self._held.append(event)
            else:
                self._connection.abandon(
                    DisconnectCause.INITIALIZATION_FAILED, f"{MAX_HELD} events came before the snapshot"
                )

    def _apply(self, event: Event) -> None:
        for notification in self._model.apply(event):
            self._events.notify(notification)

    def _resynchronise(self, tasks: anyio.abc.TaskGroup) -> None:
        """An event of a known type could not be read: only a fresh snapshot tells what it said."""
        if self._held is None:
            self._held = []
            self._resyncs += 1
            tasks.start_soon(self._synchronise, name="snapshot")
        else:
            self._lost_one = True

    async def _synchronise(self) -> None:
        try:
            while True:
                if self._resyncs:
                    await anyio.sleep(self._backoff(self._resyncs - 1))
                self._lost_one = False
                snapshot = await self._take(self._resyncs == 0)
                if not self._lost_one:
                    break
                self._resyncs += 1
        except TaskRouterError as error:
            self._failure = error
            self._connection.abandon(DisconnectCause.INITIALIZATION_FAILED, str(error))
            return
        self._go_live(snapshot)

    def _go_live(self, snapshot: Snapshot) -> None:
        # No await in here: nothing may come between the snapshot, the held events and the next one.
        held, self._held = self._held or [], None
        # What was pushed on this connection is told as it came, not as something missed.
        pushed = {e.payload.sid for e in held if isinstance(e.payload, ReservationFields)}
        snapshot.missed = [fields for fields in snapshot.missed if fields.sid not in pushed]
        first = self._live()
        notifications = self._model.reconcile(snapshot, first=first)
        if not self._told_ready:
            self._told_ready = True
            self._events.ready()
        for notification in notifications:
            self._events.notify(notification)
        for event in held:
            self._apply(event)
