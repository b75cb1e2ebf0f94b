"""The screen of `listen`: what it shows is `picture`'s, what keys do is here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.live import Live

from taskrouter_worker import DisconnectCause, RequestError, SessionState

from .aim import Aim, Command
from .feed import brief, in_words, reason
from .keyboard import Keyboard
from .leaving import plain
from .picture import NOTES, Picture, Row

if TYPE_CHECKING:
    from taskrouter_worker import Activity, Disconnect, Reservation, TaskRouterError, Worker

__all__ = ["Screen"]

TICK_SECONDS: Final = 0.25
"""Between two pictures while nothing happens: countdowns go on, and the window may have another size."""

_STATES: Final = {
    SessionState.NEW: "connecting",
    SessionState.CONNECTING: "connecting",
    SessionState.INITIALIZING: "connecting",
    SessionState.READY: "connected",
    SessionState.WAITING: "no connection, trying again",
    SessionState.TOKEN_EXPIRED: "the token has expired",
    SessionState.CLOSED: "left",
}

_COMMANDS: Final[dict[str, Command]] = {"a": "accept", "r": "reject", "w": "wrap", "c": "complete"}


class Screen:
    """A worker on a terminal. Enter it: then the terminal is the screen's, and afterwards as it was.

    Args:
        worker: whom it shows, and what keys are for.
        leave: ends the program.
    """

    def __init__(self, worker: Worker, leave: Callable[[], None]) -> None:
        self._worker = worker
        self._leave = leave
        self._news = asyncio.Event()
        self._notes: deque[tuple[str, str]] = deque(maxlen=NOTES)
        self._told = ""  # why the connection ended
        self._moments: dict[str, float] = {}  # by SID: when an offer ends, or work began; loop time
        self._selected: str | None = None
        self._aim = Aim(asyncio.get_running_loop().time)
        self._choices: tuple[Activity, ...] = ()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._open = ExitStack()
        self._keyboard = Keyboard(self._pressed, leave)
        self._live = Live(self._picture(), console=Console(highlight=False), auto_refresh=False, screen=True)

    # --- The terminal ---------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._keyboard)
            stack.enter_context(self._live)
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTSTP, self._suspend)
            stack.callback(loop.remove_signal_handler, signal.SIGTSTP)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._busy.values():
            task.cancel()
        self._open.close()

    def _suspend(self) -> None:
        """Ctrl-Z: the shell gets its terminal as it was, and this one comes back after `fg`."""
        self._live.stop()
        self._keyboard.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._keyboard.grab()
        self._live.start(refresh=True)

    async def run(self) -> None:
        """Draw, until canceled."""
        while True:
            picture = self._picture()
            self._live.update(picture, refresh=True)
            self._aim.look(picture.rows, picture.selected)
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue
            self._news.clear()

    # --- What it is told ------------------------------------------------------------------------

    def ready(self, worker: Worker) -> None:
        """See `feed.Face`."""
        self._note(f"connected as {worker.name}")

    def activity(self, worker: Worker) -> None:
        """See `feed.Face`."""
        self._note(f"you are {worker.activity_name} now")

    def reservation(self, event: str, reservation: Reservation) -> None:
        """See `feed.Face`."""
        now = asyncio.get_running_loop().time()
        if event == "created":
            self._moments[reservation.sid] = now + self._seconds_left(reservation)
        elif event == "accepted":
            self._moments[reservation.sid] = now
        elif event != "wrapup":
            self._moments.pop(reservation.sid, None)
        self._note(f"{_WORDS.get(event, event)}: {brief(reservation)}")

    def disconnected(self, disconnect: Disconnect) -> None:
        """See `feed.Face`."""
        is_ours = disconnect.cause is DisconnectCause.CLIENT
        self._told = in_words(disconnect.message)
        self._note("disconnected" if is_ours else f"connection lost: {self._told}")

    def token(self, event: str) -> None:
        """See `feed.Face`."""
        self._note("the token is about to expire" if event == "tokenExpired" else "the token was renewed")

    def failed(self, error: TaskRouterError) -> None:
        """See `feed.Face`."""
        why, told, self._told = reason(error), self._told, ""
        if why != told:  # the error that ended the connection comes right after its end
            self._note(why)

    def _note(self, text: str) -> None:
        if self._notes and self._notes[-1][1] == plain(text):  # each try to connect says the same
            self._notes.pop()
        self._notes.append((f"{datetime.now().astimezone():%H:%M:%S}", plain(text)))
        self._news.set()

    def _seconds_left(self, reservation: Reservation) -> float:
        """To answer it. What was offered while nobody was connected began with its date, on another clock."""
        if reservation.timeout is None:
            return 0.0
        if reservation.origin == "event" or reservation.date_created is None:
            return reservation.timeout
        age = self._worker._tokens.server_now() - reservation.date_created.timestamp()
        return max(0.0, min(reservation.timeout, reservation.timeout - age))

    # --- What it shows --------------------------------------------------------------------------

    def _picture(self) -> Picture:
        worker = self._worker
        known = worker.activity is not None
        rows = tuple(self._rows())
        if self._selected not in {row.sid for row in rows}:
            self._selected = rows[0].sid if rows else None
        return Picture(
            name=plain(worker.name) if known else "",
            activity=plain(worker.activity_name) if known else "",
            available=known and worker.available,
            connection=_STATES[worker.state],
            connected=worker.state is SessionState.READY,
            rows=rows,
            selected=self._selected,
            settled=self._aim.is_settled(self._selected),
            notes=tuple(self._notes),
            choices=tuple(plain(activity.name) for activity in self._choices),
        )

    def _rows(self) -> list[Row]:
        now = asyncio.get_running_loop().time()
        rows: list[Row] = []
        for reservation in self._worker.reservations.values():
            sid, task, pending = reservation.sid, reservation.task, reservation.status == "pending"
            moment = self._moments.setdefault(sid, now)
            rows.append(
                Row(
                    sid=sid,
                    status=reservation.status,
                    text=plain(brief(reservation)),
                    queue=plain(task.queue_name or ""),
                    channel=plain(task.task_channel_unique_name or ""),
                    left=max(0.0, moment - now) if pending and reservation.timeout else None,
                    whole=reservation.timeout,
                    since=0.0 if pending else max(0.0, now - moment),
                    busy=sid in self._busy,
                )
            )
        return sorted(rows, key=lambda row: row.status != "pending")

    # --- What keys do ---------------------------------------------------------------------------

    def _pressed(self, key: str) -> None:
        self._news.set()
        repeated = self._aim.is_repeated(key)
        if self._choices:
            self._choose(key)
            return
        match key:
            case "up" | "k":
                self._move(-1)
            case "down" | "j":
                self._move(1)
            case "a" | "r" | "w" | "c":
                self._do(_COMMANDS[key], key, repeated=repeated)
            case "s":
                self._ask_activity()
            case "q":
                self._leave()
            case _:
                return

    def _move(self, by: int) -> None:
        rows = self._rows()
        sids = [row.sid for row in rows]
        if sids:
            at = sids.index(self._selected) if self._selected in sids else 0
            self._selected = sids[(at + by) % len(sids)]
            self._aim.look(rows, self._selected, by_hand=True)

    def _do(self, command: Command, key: str, *, repeated: bool) -> None:
        """Carry out a command for the row that the worker means; for none where that is in doubt."""
        sid, is_settled = self._aim.of(self._rows(), command)
        if sid is None:
            if not repeated:
                under_way = "the command before is still under way"
                self._note(under_way if self._selected in self._busy else f"nothing to {command}")
            return
        reservation = self._worker.reservations[sid]
        if repeated or not is_settled:
            self._note(f"press {key} again to {command} this one: {brief(reservation)}")
            return
        self._start(sid, f"could not {command}", getattr(reservation, command))

    def _ask_activity(self) -> None:
        if self._worker.state is not SessionState.READY:
            self._note("not connected: the activity cannot be changed")
            return
        self._choices = tuple(self._worker.activities.values())[:9]

    def _choose(self, key: str) -> None:
        choices, self._choices = self._choices, ()
        if key.isascii() and key.isdigit() and 1 <= int(key) <= len(choices):
            chosen = choices[int(key) - 1]
            self._start("activity", f"could not go to {chosen.name}", chosen.set_as_current)

    def _start(self, name: str, failure: str, command: Callable[[], Awaitable[object]]) -> None:
        async def run() -> None:
            try:
                await command()
            except RequestError as error:
                self._note(f"{failure}: {error}")
            finally:
                self._busy.pop(name, None)
                self._news.set()

        if name not in self._busy:
            self._busy[name] = asyncio.create_task(run(), name=f"command for {name}")


_WORDS: Final = {
    "created": "offered",
    "wrapup": "wrapping up",
    "timeout": "not answered in time",
    "rescinded": "taken back",
    "lost": "ended while there was no connection",
    "missed": "offered and ended while there was no connection",
}
