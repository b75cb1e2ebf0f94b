"""Reading one connection: what comes before its snapshot is held, what comes after it is applied."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.abc

from ._backoff import Backoff
from ._disconnect import Disconnect, DisconnectCause
from ._flags import Flag
from ._notes import Notification, Snapshot
from ._state import TRANSFER_ENDS, Model
from .errors import InvalidMessageError, TaskRouterError
from .events import Event, decode
from .resources import InitFields, ReservationFields, TransferFields

if TYPE_CHECKING:
    from ._signaling import Connection

__all__ = ["Reader", "SessionEvents"]

logger = logging.getLogger(__name__)

MAX_HELD: Final = 10_000
"""Events held while a snapshot is taken; more means that it will never be."""


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

    def token_updated(self) -> None:
        """Another token is in force."""
        ...


class Reader:
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
        announced: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._model = model
        self._events = events
        self._backoff = backoff
        self._take = take  # whether it is the connection's first -> a snapshot
        self._live = live  # told at each snapshot; whether it is the worker's first
        self._announced = announced  # whether the application is to hear of this connection
        self._held: list[Event] | None = []  # None: events are applied as they come
        self.synchronised = Flag()  # set while nothing is held
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

    def unheard(self) -> list[Event]:
        """The events that are still held: once the connection has ended, no snapshot will tell them."""
        return self._held or []

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
            self.synchronised.clear()
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
        pushed = frozenset(e.payload.sid for e in held if isinstance(e.payload, ReservationFields))
        snapshot.pushed = pushed
        snapshot.missed = [fields for fields in snapshot.missed if fields.sid not in pushed]
        snapshot.pushed_ends = {
            e.payload.sid: e.payload
            for e in held
            if isinstance(e.payload, TransferFields) and e.type in TRANSFER_ENDS
        }
        first = self._live()
        notifications = self._model.reconcile(snapshot, first=first)
        if not self._told_ready:
            self._told_ready = True
            if self._announced():
                self._events.ready()
        for notification in notifications:
            self._events.notify(notification)
        for event in held:
            self._apply(event)
        self.synchronised.set()
