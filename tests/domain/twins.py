"""A workspace and its twin, which is stored and restored again and again: nobody can tell them apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from server_stub.domain.changes import RowKey, Tracker, key_of
from server_stub.domain.errors import DomainError
from server_stub.domain.events import Event
from server_stub.domain.memento import dump, restore
from server_stub.domain.model import Limits, Worker
from server_stub.domain.records import (
    EntityRecord,
    Record,
    WorkspaceDocument,
    WorkspaceRecord,
    decode,
    encode,
)
from server_stub.domain.workspace import Workspace
from server_stub.event_data import description, event_data
from taskrouter_worker.terms import WorkspaceTemplate
from tests.domain.desk import ACCOUNT, WORKSPACE, Desk


class Rows:
    """What a store would hold: rows that are written, overwritten and dropped."""

    def __init__(self) -> None:
        self.head: WorkspaceRecord | None = None
        self.rows: dict[RowKey, Record] = {}

    def take(self, tracker: Tracker) -> None:
        changes = tracker.take()
        self.head = changes.workspace or self.head
        for key in changes.removed:
            del self.rows[key]
        for record in changes.written:
            self.rows[key_of(record)] = record  # a row that is there keeps its place


def by_kind(records: tuple[Record, ...]) -> dict[str, list[Record]]:
    """Records of one kind have an order, if they are not gone."""
    found: dict[str, list[Record]] = {}
    for record in records:
        kind, sid = key_of(record)
        gone = isinstance(record, EntityRecord) and record.gone
        found.setdefault(f"{kind} {sid}" if gone else kind, []).append(record)
    return found


class Twins:
    """Two workspaces to which the same is done; it looks like the one that is never restored."""

    def __init__(self, clock: Callable[[], float], **options: Any) -> None:
        self._clock = clock
        self._numbers = (itertools.count(1), itertools.count(1))
        first, second = (
            Workspace(
                sid=WORKSPACE,
                account_sid=ACCOUNT,
                friendly_name="desk",
                now=clock,
                sids=self._sids(number),
                **options,
            )
            for number in (0, 1)
        )
        self.original, self.twin = first, second
        self.limits: Limits = first.limits
        first.take_events()
        second.take_events()
        self.rows, self.twin_rows = Rows(), Rows()
        self.trackers = [Tracker(first, is_stored=False), Tracker(second, is_stored=False)]
        self.restarts = 0

    def _sids(self, number: int) -> Callable[[str], str]:
        return lambda prefix: f"{prefix}{next(self._numbers[number]):032x}"

    def restart(self, *, from_rows: bool) -> None:
        """Store the twin, and restore it from its dump, or from the rows that were written so far."""
        self.twin_rows.take(self.trackers[1])
        document = dump(self.twin)
        if from_rows:
            assert self.twin_rows.head is not None
            document = WorkspaceDocument(
                workspace=self.twin_rows.head, records=tuple(self.twin_rows.rows.values())
            )
        self.twin = restore(decode(encode(document)), now=self._clock, sids=self._sids(1), limits=self.limits)
        self.trackers[1] = Tracker(self.twin, is_stored=True)
        self.restarts += 1

    def check(self) -> None:
        """Both are the same, and what was written row by row is the whole of each."""
        document = dump(self.original)
        assert dump(self.twin) == document
        assert self.twin.next_deadline() == self.original.next_deadline()
        for rows, tracker in zip((self.rows, self.twin_rows), self.trackers, strict=True):
            rows.take(tracker)
            assert rows.head == document.workspace
            assert by_kind(tuple(rows.rows.values())) == by_kind(document.records)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.original, name)
        if not callable(value) or name == "now":
            return value

        def both(*arguments: object, **options: object) -> object:
            answers = [_outcome(getattr(ws, name), arguments, options) for ws in (self.original, self.twin)]
            shown = [
                _shown(ws, answer) for ws, answer in zip((self.original, self.twin), answers, strict=True)
            ]
            assert shown[0] == shown[1], name
            if isinstance(answers[0], DomainError):
                raise answers[0]
            return answers[0]

        return both


def _outcome(
    command: Callable[..., object], arguments: tuple[object, ...], options: dict[str, object]
) -> object:
    try:
        return command(*arguments, **options)
    except DomainError as error:
        return error


def _shown(ws: Workspace, answer: object) -> object:
    match answer:
        case list():
            return [_shown(ws, item) for item in answer]
        case Event():
            resource = getattr(answer.resource, "sid", None)
            told = (answer.seq, answer.type, answer.at, answer.worker_sids, answer.logged, dict(answer.data))
            return (*told, resource, event_data(ws, answer), description(ws, answer))
        case DomainError():
            return type(answer), str(answer)
        case _:
            return getattr(answer, "sid", answer)


class TwinDesk(Desk):
    """A desk at which everything is done to both."""

    ws: Any

    def __init__(self, **options: Any) -> None:
        super().__init__(template=WorkspaceTemplate.NONE)
        options.setdefault("limits", Limits())
        self.ws = Twins(lambda: self.time, **options)
        self.offline, self.available, self.unavailable = list(self.ws.activities.values())[:3]

    def worker(self, name: str, *, capacity: int | None = None, **options: Any) -> Worker:
        worker = super().worker(name, **options)
        if capacity is not None:
            for channel in worker.channels.values():
                self.ws.update_worker_channel(worker.sid, channel.sid, capacity=capacity)
        self.settle()
        return worker
