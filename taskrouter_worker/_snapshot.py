"""Taking a snapshot: what the service shows of the worker, and what became of what it no longer shows."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

import anyio
import anyio.abc
import msgspec

from ._commands import Commands
from ._context import Context
from ._requests import Request
from ._state import Model, Snapshot
from .errors import (
    AuthenticationError,
    NotFoundError,
    RequestError,
    RequestInvalidError,
    ServerError,
    TaskRouterError,
)
from .resources import (
    ActivityFields,
    AnyReservationFields,
    Page,
    ReservationFields,
    WorkerChannelFields,
    WorkerFields,
)
from .terms import RESERVATION_ENDED

__all__ = ["ReconnectActivity", "SnapshotTaker"]

logger = logging.getLogger(__name__)

SNAPSHOT_SECONDS: Final = 60.0
MISSED_PAGES: Final = 3

ReconnectActivity = Literal["restore", "connect", "keep"]

T = TypeVar("T")

_WORKER: Final = msgspec.json.Decoder(WorkerFields)
_ACTIVITIES: Final = msgspec.json.Decoder(Page[ActivityFields])
_CHANNELS: Final = msgspec.json.Decoder(Page[WorkerChannelFields])
_RESERVATIONS: Final = msgspec.json.Decoder(Page[ReservationFields])
_RESERVATION: Final = msgspec.json.Decoder(AnyReservationFields)


class SnapshotTaker:
    """Takes snapshots for one worker.

    Args:
        context, model, commands: the worker's.
        report: takes the error of an activity that could not be set; the session goes on.
        connect_activity_sid, reconnect_activity: see `Worker`.
    """

    def __init__(
        self,
        *,
        context: Context,
        model: Model,
        commands: Commands,
        report: Callable[[TaskRouterError], None],
        connect_activity_sid: str | None,
        reconnect_activity: ReconnectActivity,
    ) -> None:
        self._context = context
        self._model = model
        self._commands = commands
        self._report = report
        self.connect_activity_sid = connect_activity_sid
        self._reconnect_activity: ReconnectActivity = reconnect_activity

    async def take(
        self, *, first: bool, connecting: Callable[[], bool], gap_began: Callable[[], float | None]
    ) -> Snapshot:
        """Fetch everything that a session starts from.

        Args:
            first: nothing was fetched before for this worker.
            connecting: whether this is the first snapshot of a new session: the activity is put right.
            gap_began: epoch seconds at which the connection before was last known good, None if there
                was no gap. Both are asked late: a gap may begin while the snapshot is being taken.

        Raises:
            RequestError: a part could not be fetched.
        """
        routes = self._context.routes
        try:
            with anyio.fail_after(SNAPSHOT_SECONDS):
                snapshot = Snapshot(worker=await self._commands.fetch(routes.worker(), _WORKER))

                async def activities() -> None:
                    snapshot.activities = await self._all_pages(routes.activities, _ACTIVITIES)

                async def channels() -> None:
                    snapshot.channels = await self._all_pages(routes.channels, _CHANNELS)

                async def reservations() -> None:
                    snapshot.known_before = frozenset(self._model.reservations)
                    snapshot.transfers_before = self._model.open_transfers()
                    snapshot.reservations = await self._all_pages(routes.active_reservations, _RESERVATIONS)

                await _together(activities, channels, reservations)
                if connecting():
                    await self._put_activity(snapshot, first=first)
                if not first:
                    await self._find_out_ends(snapshot)
                since = gap_began()
                if since is not None:
                    await self._find_missed(snapshot, since)
                return snapshot
        except TimeoutError:
            raise ServerError(
                f"no snapshot within {SNAPSHOT_SECONDS:g} s", method="GET", path=routes.worker().path
            ) from None

    async def _all_pages(
        self, page: Callable[[str | None], Request], decoder: msgspec.json.Decoder[Page[T]]
    ) -> list[T]:
        contents: list[T] = []
        after: str | None = None
        while True:
            answer = await self._commands.fetch(page(after), decoder)
            contents += answer.contents
            if not answer.after_sid or answer.after_sid == after:
                return contents
            after = answer.after_sid

    async def _put_activity(self, snapshot: Snapshot, *, first: bool) -> None:
        """Go to the connect activity, or back to the one that a gap took away."""
        target: str | None = None
        known = self._model.worker
        if first or self._reconnect_activity == "connect":
            target = self.connect_activity_sid
        elif self._reconnect_activity == "restore" and known is not None:
            moved_offline = (
                snapshot.worker.activity_sid != known.activity_sid
                and snapshot.worker.activity_name.casefold() == "offline"
            )
            if moved_offline:
                target = known.activity_sid
        if target is None or target == snapshot.worker.activity_sid:
            return
        try:
            snapshot.worker = await self._commands.fetch(
                self._context.routes.set_activity(target, None), _WORKER, repeatable=True
            )
        except RequestError as error:
            if isinstance(error, AuthenticationError):
                raise
            self._report(error)  # and the session goes on in the activity it has

    async def _find_out_ends(self, snapshot: Snapshot) -> None:
        async def look_up(sid: str) -> None:
            request = self._context.routes.reservation(sid)
            try:
                end: AnyReservationFields | None = await self._commands.fetch(request, _RESERVATION)
            except NotFoundError:
                end = None
            except ServerError as error:
                if not error.status or error.status >= 500:
                    raise
                # An answer, but not one that says how it ended. Asking again will not help.
                logger.warning("the end of %s cannot be known: %s", sid, error)
                end = None
            snapshot.ends[sid] = end

        gone = self._model.untold_ends(snapshot)
        await _together(*(functools.partial(look_up, sid) for sid in gone))

    async def _find_missed(self, snapshot: Snapshot, since: float) -> None:
        """Reservations that came and went within the gap. Best effort: the service may not list them."""
        after: str | None = None
        try:
            for _ in range(MISSED_PAGES):
                page = await self._commands.fetch(self._context.routes.all_reservations(after), _RESERVATIONS)
                snapshot.missed += [
                    fields
                    for fields in page.contents
                    if fields.reservation_status in RESERVATION_ENDED
                    and (fields.date_created or 0) >= since
                    and not self._model.knows(fields.sid)
                ]
                after = page.after_sid
                if not after:
                    return
        except (RequestInvalidError, ServerError) as error:
            if isinstance(error, AuthenticationError):
                raise
            logger.info("reservations that came and went within the gap cannot be listed: %s", error)


async def _together(*parts: Callable[[], Awaitable[None]]) -> None:
    """Run `parts` at once. The first `TaskRouterError` cancels the others and is raised as it is.

    The parts of a snapshot fail for one reason as a rule, and that one decides what happens next.
    """
    failures: list[TaskRouterError] = []

    async def run(part: Callable[[], Awaitable[None]], tasks: anyio.abc.TaskGroup) -> None:
        try:
            await part()
        except TaskRouterError as error:
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for part in parts[1:]:
            tasks.start_soon(run, part, tasks)
        for part in parts[:1]:
            await run(part, tasks)  # by this task, which has nothing else to do
    if failures:
        raise failures[0]
