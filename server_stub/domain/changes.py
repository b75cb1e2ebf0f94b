"""What has to be written after commands so that the rows kept elsewhere are always a whole `dump`.

A row is kept for every entity of the workspace, and for one that is gone as long as the row of another
one names it. Rows never name each other in a circle, so counting who is named tells when to drop one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .entities import Entity, Journal, Registry, watch
from .recording import log_records, named_by, record_of, workspace_record
from .records import EntityRecord, LogRecord, Record, WorkspaceRecord
from .telephony import KEPT
from .workspace import Workspace

__all__ = ["Changes", "RowKey", "Tracker", "key_of"]

RowKey = tuple[str, str]
"""The kind of a record, and the SID or number by which it is found among those of its kind."""


def key_of(record: Record) -> RowKey:
    """Where a record is kept."""
    name = record.sid if isinstance(record, EntityRecord) else str(record.number)
    return str(record.__struct_config__.tag), name


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to write.

    Attributes:
        workspace: the workspace's own record, if it changed.
        written: records that are new or changed. New ones of one kind are in the order in which they came.
        removed: the rows to drop.
    """

    workspace: WorkspaceRecord | None
    written: tuple[Record, ...]
    removed: tuple[RowKey, ...]

    def __bool__(self) -> bool:
        return self.workspace is not None or bool(self.written) or bool(self.removed)


class Tracker:
    """Watches a workspace from now on.

    Args:
        workspace: the workspace; also an attribute.
        is_stored: whether all of it is written already; otherwise the first `take` tells everything.
    """

    def __init__(self, workspace: Workspace, *, is_stored: bool) -> None:
        self.workspace = workspace
        self._journal: Journal = {}
        self._kinds: dict[str, str] = {}  # of each row, by SID
        self._names: dict[str, tuple[str, ...]] = {}  # whom each row names, by SID
        self._named: dict[str, int] = {}  # how many rows name it, by SID
        self._gone: set[str] = set()  # rows of entities that are not there any more
        self._head: WorkspaceRecord | None = None
        self._redirects = self._status_callbacks = 0  # how many of them are written
        self._homes: dict[type[Entity], Registry[Any]] = {}  # which registry holds such entities
        for registry in workspace.registries:
            registry.watch(self._journal)
            self._journal.update(dict.fromkeys(registry.values()))
        left = list(self._journal)
        while left:  # those that went before this watched, and are named still
            for named in named_by(left.pop()):
                if named not in self._journal:
                    self._journal[named] = None
                    left.append(named)
        if is_stored:
            self.take()

    def take(self) -> Changes:
        """What changed since the last call. To be called between two commands."""
        touched = list(self._journal)
        self._journal.clear()
        written: dict[str, EntityRecord] = {}
        fresh: set[str] = set()
        unnamed: list[str] = []
        for entity in touched:
            for part in entity.parts():
                watch(part, self._journal)
            record = record_of(entity, gone=not self._is_present(entity))
            written[entity.sid] = record
            if entity.sid not in self._kinds:
                fresh.add(entity.sid)
                self._kinds[entity.sid] = key_of(record)[0]
            if record.gone:
                self._gone.add(entity.sid)
                unnamed.append(entity.sid)
            unnamed += self._rename(entity.sid, tuple(named.sid for named in named_by(entity)))
        removed: list[RowKey] = []
        while unnamed:
            sid = unnamed.pop()
            if sid not in self._gone or sid in self._named:
                continue
            unnamed += self._rename(sid, ())
            self._gone.remove(sid)
            written.pop(sid, None)
            kind = self._kinds.pop(sid)
            if sid not in fresh:
                removed.append((kind, sid))
        lines, outdated = self._new_lines()
        head = workspace_record(self.workspace)
        changed, self._head = head != self._head, head
        return Changes(
            workspace=head if changed else None,
            written=(*written.values(), *lines),
            removed=(*removed, *outdated),
        )

    def _is_present(self, entity: Entity) -> bool:
        home = self._homes.get(type(entity))
        if home is not None:
            return home.get(entity.sid) is entity
        for registry in self.workspace.registries:
            if registry.get(entity.sid) is entity:
                self._homes[type(entity)] = registry
                return True
        return False

    def _rename(self, sid: str, names: tuple[str, ...]) -> list[str]:
        """Note whom a row names now; returns those that it does not name any more."""
        before = self._names.get(sid, ())
        if names:
            self._names[sid] = names
        else:
            self._names.pop(sid, None)
        if names == before:
            return []
        named = self._named
        for name in names:
            named[name] = named.get(name, 0) + 1
        unnamed: list[str] = []
        for name in before:
            named[name] -= 1
            if not named[name]:
                del named[name]
                unnamed.append(name)
        return unnamed

    def _new_lines(self) -> tuple[list[LogRecord], list[RowKey]]:
        telephony, outdated = self.workspace.telephony, list[RowKey]()
        lines = log_records(telephony, redirects=self._redirects, status_callbacks=self._status_callbacks)
        for kind, before, total in (
            ("redirect", self._redirects, telephony.redirects.total),
            ("status_callback", self._status_callbacks, telephony.status_callbacks.total),
        ):
            first, last = max(1, before - KEPT + 1), min(before, total - KEPT)
            outdated += [(kind, str(number)) for number in range(first, last + 1)]
        self._redirects = telephony.redirects.total
        self._status_callbacks = telephony.status_callbacks.total
        return lines, outdated
