"""What the console's pages are told as it happens: differences, together, and never more than they can take.

A page gets everything once, in pieces, and from then on whatever changed: every object that did so once, in
its present state, however often it changed, at most ten times a second. So what waits for a slow page is
bounded by what there is. Where even that is much, or the workspace was replaced, the page gets everything
again. While no page looks, nobody here is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Container, Sequence
from itertools import count, islice
from typing import Final, Literal

from server_stub.chronicle import Chronicle
from server_stub.commits import CommitFailed
from server_stub.domain.errors import NotFound
from server_stub.domain.events import Event
from server_stub.domain.history import event_sid
from server_stub.domain.model import Reservation, Task, Transfer, Worker, WorkerChannel
from server_stub.domain.workspace import Workspace
from server_stub.runtime import Runtime
from taskrouter_worker.terms import TASK_ENDED, SidPrefix

from .records import config, event_record, reservation_record, task_record, worker_record

__all__ = ["MAX_FEEDS", "Direction", "Feed", "Feeds", "Frame"]

INTERVAL: Final = 0.1
"""Seconds between two messages to one page."""

SELDOM: Final = 1.0
"""Seconds between two looks at what seldom changes: queues count their workers for it."""

HEARTBEAT: Final = 4.0
"""Seconds after which a page is told the time, if nothing else."""

MAX_FEEDS: Final = 32
"""Pages at a time."""

MAX_CHANGED: Final = 20_000
"""Objects that may wait for a page. With more it gets everything again."""

MAX_SNAPSHOT: Final = 20_000
"""Tasks, and live reservations, that a page gets at first: the latest ones."""

PIECE: Final = 1_000
"""Records in one message."""

MAX_LINES: Final = 200
"""Events, and frames, in one message; of more than that the latest."""

MAX_FRAME: Final = 2_000
"""Characters of a frame that a page is shown."""

MAX_TITLE: Final = 200
"""Characters of its title, which clients choose as well."""

Direction = Literal["sent", "request", "answer", "connected", "disconnected"]


class Frame:
    """Something that went over the event bridge or a websocket, for the timeline."""

    __slots__ = ("at", "data", "direction", "number", "session", "title", "worker_sid", "workspace_sid")

    def __init__(
        self,
        number: int,
        at: float,
        direction: Direction,
        workspace_sid: str,
        worker_sid: str | None,
        session: int | None,
        title: str,
        data: str,
    ) -> None:
        self.number = number
        self.at = at
        self.direction = direction
        self.workspace_sid = workspace_sid
        self.worker_sid = worker_sid
        self.session = session
        self.title = _cut(title, MAX_TITLE)
        self.data = _cut(data, MAX_FRAME)

    def record(self) -> list[object]:
        """As a page gets it."""
        return [
            self.number,
            round(self.at, 3),
            self.direction,
            self.worker_sid,
            self.session,
            self.title,
            self.data,
        ]


class Feed:
    """One page that looks at one workspace."""

    def __init__(self, workspace_sid: str) -> None:
        self.workspace_sid = workspace_sid
        self.wake = asyncio.Event()
        self.is_stale = True  # needs everything
        self.changed: dict[str, None] = {}
        self.ended: dict[str, None] = {}  # tasks that have ended; they are forgotten unsaid
        self.events: deque[int] = deque(maxlen=MAX_LINES)
        self.frames: deque[Frame] = deque(maxlen=MAX_LINES)
        self.skipped = 0  # events and frames that found no room
        self.config_changed = False
        self.resynchronised = -1  # how often it got everything again

    @property
    def has_something(self) -> bool:
        """Whether something waits to be told."""
        return bool(
            self.changed or self.events or self.frames or self.is_stale or self.config_changed or self.skipped
        )

    def note(self, *sids: str) -> None:
        """These objects changed, came or went."""
        if self.is_stale:
            return
        for sid in sids:
            self.changed[sid] = None
        if len(self.changed) > MAX_CHANGED:
            self.start_anew()
        self.wake.set()

    def start_anew(self) -> None:
        """Tell everything again."""
        self.is_stale = True
        self.changed.clear()
        self.wake.set()

    def forget(self, tasks: Container[str]) -> None:
        """Tell of tasks that have ended and are not among `tasks` any more."""
        for sid in [sid for sid in self.ended if sid not in tasks]:
            del self.ended[sid]
            self.note(sid)

    def add_event(self, seq: int) -> None:
        """Something happened."""
        self.skipped += len(self.events) == MAX_LINES
        self.events.append(seq)
        self.wake.set()

    def add_frame(self, frame: Frame) -> None:
        """Something went over a wire."""
        self.skipped += len(self.frames) == MAX_LINES
        self.frames.append(frame)
        self.wake.set()


class Feeds:
    """All pages that look.

    Args:
        runtime: the workspaces.
        chronicle: what happened in them.
        sessions: how many websockets a worker has.
        about: what a page is told about the server and a workspace's clock.
        watch: called with True when the first page comes, and with False when the last one has gone.
    """

    def __init__(
        self,
        runtime: Runtime,
        chronicle: Chronicle,
        *,
        sessions: Callable[[str], int],
        about: Callable[[str], dict[str, object]],
        watch: Callable[[bool], None],
    ) -> None:
        self._runtime = runtime
        self._chronicle = chronicle
        self._sessions = sessions
        self._about = about
        self._watch = watch
        self._feeds: list[Feed] = []
        self._frame_numbers = count(1)
        self._closed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._feeds)

    # --- What happens -------------------------------------------------------------------------

    def publish(self, workspace: Workspace, events: Sequence[Event]) -> None:
        """Note what the events of one command changed."""
        for feed in self._feeds:
            if feed.workspace_sid == workspace.sid:
                for event in events:
                    _note(feed, event)

    def replaced(self, workspace_sid: str) -> None:
        """A workspace was replaced, or deleted."""
        for feed in self._feeds:
            if feed.workspace_sid == workspace_sid:
                feed.start_anew()
            else:
                feed.config_changed = True
                feed.wake.set()

    def time_moved(self) -> None:
        """Somebody stopped, moved or started a clock."""
        for feed in self._feeds:
            feed.config_changed = True
            feed.wake.set()

    def frame(
        self, direction: Direction, workspace_sid: str, worker_sid: str, session: int, data: bytes
    ) -> None:
        """Something went over a worker's websocket."""
        text = data.decode(errors="replace")
        title = "heartbeat" if text.isspace() else direction
        if direction == "sent" and title != "heartbeat":
            with contextlib.suppress(ValueError, KeyError):
                title = json.loads(text)["event_type"]
        if title == "heartbeat":
            return  # one of each session every few seconds says nothing
        self.add(direction, workspace_sid, worker_sid, session, title, text)
        if direction in ("connected", "disconnected"):
            for feed in self._feeds:
                if feed.workspace_sid == workspace_sid:
                    feed.note(worker_sid)

    def add(
        self,
        direction: Direction,
        workspace_sid: str,
        worker_sid: str | None,
        session: int | None,
        title: str,
        text: str,
    ) -> None:
        """Show a frame to the pages of its workspace."""
        frame = Frame(
            next(self._frame_numbers),
            self._runtime.now(workspace_sid),
            direction,
            workspace_sid,
            worker_sid,
            session,
            title,
            text,
        )
        for feed in self._feeds:
            if feed.workspace_sid == workspace_sid and not feed.is_stale:
                feed.add_frame(frame)

    # --- One page -----------------------------------------------------------------------------

    def open(self) -> None:
        """Let pages in."""
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End all of them: the server stops."""
        self._closed.set()
        for feed in self._feeds:
            feed.wake.set()

    async def serve(
        self, workspace_sid: str, write: Callable[[bytes], Awaitable[None]], *, once: bool = False
    ) -> None:
        """Tell one page everything, then what changes, until it goes away, the workspace does, or we stop.

        Args:
            workspace_sid: what it looks at.
            write: sends bytes; returns when there is room for more.
            once: end when everything was told.

        Raises:
            ConnectionError: the page is gone.
        """
        feed = Feed(workspace_sid)
        self._feeds.append(feed)
        if len(self._feeds) == 1:
            self._watch(True)
        try:
            with contextlib.suppress(CommitFailed):
                await self._tell(feed, write, once=once)
        finally:
            self._feeds.remove(feed)
            if not self._feeds:
                self._watch(False)

    async def _tell(self, feed: Feed, write: Callable[[bytes], Awaitable[None]], *, once: bool) -> None:
        loop = asyncio.get_running_loop()
        told: dict[str, object] = {}
        beat_at = seldom_at = looked_at = 0.0

        async def send(message: dict[str, object]) -> None:
            # Not msgspec: customers' attributes may hold numbers and characters that it refuses to write.
            data = f"data: {json.dumps(message, separators=(',', ':'))}\n\n".encode()
            if self._runtime.commits is not None:
                await self._runtime.commits.committed()  # nothing is shown that could be taken back
            await write(data)

        while not self._closed.is_set():
            workspace = self._workspace(feed)
            if workspace is None:
                await send({"t": "gone"})
                return
            if feed.is_stale:
                await self._tell_everything(feed, workspace, send)
                told = self._seldom(workspace)
                if once:
                    return
                continue
            if loop.time() >= looked_at + SELDOM:
                looked_at = loop.time()
                feed.forget(workspace.tasks)
            message = self._difference(feed, workspace)
            if (feed.config_changed or not message) and loop.time() >= seldom_at:
                feed.config_changed = False
                seldom_at = loop.time() + SELDOM
                seldom = self._seldom(workspace)
                message.update((key, value) for key, value in seldom.items() if told.get(key) != value)
                told = seldom
            if message or loop.time() >= beat_at:
                beat_at = loop.time() + HEARTBEAT
                await send({"t": "diff", "now": workspace.now(), **message})
            await asyncio.sleep(INTERVAL)
            feed.wake.clear()
            if not feed.has_something and not self._closed.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT):
                        await feed.wake.wait()

    def _workspace(self, feed: Feed) -> Workspace | None:
        try:
            return self._runtime.workspace(feed.workspace_sid)
        except NotFound:
            return None

    def _seldom(self, workspace: Workspace) -> dict[str, object]:
        return {"config": config(workspace), **self._about(workspace.sid)}

    async def _tell_everything(
        self, feed: Feed, workspace: Workspace, send: Callable[[dict[str, object]], Awaitable[None]]
    ) -> None:
        # From here on changes are noted: what is told too early is told again.
        feed.is_stale = feed.config_changed = False
        feed.resynchronised += 1
        feed.changed.clear()
        feed.ended.clear()
        feed.events.clear()
        feed.frames.clear()
        live = [r.sid for r in workspace.reservations.values() if r.is_live]
        sids = [*workspace.workers, *list(workspace.tasks)[-MAX_SNAPSHOT:], *live[-MAX_SNAPSHOT:]]
        history = self._chronicle.of(workspace.sid).history
        latest = [
            seq
            for seq in range(max(workspace.seq - MAX_LINES, history.kept_from - 1), workspace.seq + 1)
            if seq > 0
        ]
        await send(
            {
                "t": "begin",
                "now": workspace.now(),
                "again": feed.resynchronised,
                "objects": len(sids),
                "unseen": max(0, len(workspace.tasks) - MAX_SNAPSHOT),
                **self._seldom(workspace),
                "events": self._past(workspace, latest),
            }
        )
        for start in range(0, len(sids), PIECE):
            present = self._workspace(feed)
            if present is None or feed.is_stale:
                return  # it was replaced meanwhile
            await send({"t": "piece", **self._records(feed, present, sids[start : start + PIECE])})
            await asyncio.sleep(0)  # a page that takes everything at once must not hold up the others
        await send({"t": "ready", "now": workspace.now()})

    def _difference(self, feed: Feed, workspace: Workspace) -> dict[str, object]:
        message: dict[str, object] = {}
        if feed.changed:
            sids = list(islice(feed.changed, 2 * PIECE))
            for sid in sids:
                del feed.changed[sid]
            message.update(self._records(feed, workspace, sids))
        if feed.events:
            message["events"] = self._past(workspace, feed.events)
            feed.events.clear()
        if feed.frames:
            message["frames"] = [frame.record() for frame in feed.frames]
            feed.frames.clear()
        if feed.skipped:
            message["skipped"], feed.skipped = feed.skipped, 0
        return message

    def _records(self, feed: Feed, workspace: Workspace, sids: Sequence[str]) -> dict[str, object]:
        """The objects as they are now; those that are no more are named."""
        found: dict[str, list[object]] = {}
        for sid in sids:
            kind, record = self._record(workspace, sid)
            if (task := workspace.tasks.get(sid)) is not None and task.status in TASK_ENDED:
                feed.ended[sid] = None
            found.setdefault(kind, []).append(sid if record is None else record)
        return dict(found)

    def _record(self, workspace: Workspace, sid: str) -> tuple[str, list[object] | None]:
        match sid[:2]:
            case SidPrefix.TASK:
                task = workspace.tasks.get(sid)
                return ("gone", None) if task is None else ("tasks", task_record(task))
            case SidPrefix.WORKER:
                worker = workspace.workers.get(sid)
                if worker is None:
                    return "gone", None
                return "workers", worker_record(worker, self._sessions(sid))
            case _:
                held = workspace.reservations.get(sid)
                return ("gone", None) if held is None else ("reservations", reservation_record(held))

    def _past(self, workspace: Workspace, seqs: Sequence[int]) -> list[list[object]]:
        history = self._chronicle.of(workspace.sid).history
        found: list[list[object]] = []
        for seq in seqs:
            with contextlib.suppress(NotFound):  # forgotten, or a push that is no fact of the history
                found.append(event_record(history.event(event_sid(workspace.sid, seq))))
        return found


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _note(feed: Feed, event: Event) -> None:
    match event.resource:
        case Task() | Worker() as thing:
            feed.note(thing.sid)
        case Reservation() as reservation:
            feed.note(reservation.sid, reservation.task.sid, reservation.worker.sid)
        case WorkerChannel() as channel:
            feed.note(channel.worker.sid)
        case Transfer() as transfer:
            feed.note(transfer.task.sid)
        case _:
            pass
    # A worker's activity and attributes count for the queues, too.
    if not isinstance(event.resource, Task | Reservation | Transfer | WorkerChannel):
        feed.config_changed = True
    if event.logged and not feed.is_stale:
        feed.add_event(event.seq)
