"""What the server asks of a store, in terms of neither SQL nor files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from server_stub.domain.changes import Changes
from server_stub.domain.history import PastEvent
from server_stub.domain.records import WorkspaceDocument
from server_stub.domain.statistics import Fact

__all__ = ["Batch", "Contents", "StorageError", "Store", "StoredWorkspace", "WorkspaceBatch"]


class StorageError(Exception):
    """The data cannot be opened, read or written. Its text says which, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWorkspace:
    """A workspace as it was found.

    Attributes:
        events: its history, oldest first.
        facts: what its statistics count, oldest first.
    """

    document: WorkspaceDocument
    events: tuple[PastEvent, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that a store holds.

    Attributes:
        settings: the server's own, by name: credentials among them.
        workspaces: in the order in which they were created.
    """

    settings: Mapping[str, str] = field(repr=False)
    workspaces: tuple[StoredWorkspace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceBatch:
    """What to write of one workspace.

    Attributes:
        changes: None: the workspace was deleted.
        replaces: whatever is kept of it goes first.
        events, facts: the new ones.
        events_from, facts_from: what is older than this sequence number, or number, goes.
    """

    sid: str
    changes: Changes | None
    replaces: bool = False
    events: tuple[PastEvent, ...] = ()
    facts: tuple[Fact, ...] = ()
    events_from: int = 0
    facts_from: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What to write in one transaction."""

    workspaces: tuple[WorkspaceBatch, ...]
    settings: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def __bool__(self) -> bool:
        return bool(self.workspaces) or bool(self.settings)


class Store(Protocol):
    """Where the state is kept. One server at a time has it."""

    @property
    def name(self) -> str:
        """What to call it in messages. No secret is in it."""
        ...

    async def open(self) -> Contents:
        """Take the store for this process alone, bring it up to date, and read all of it.

        Raises:
            StorageError: it is in use, damaged, newer than this server, or cannot be reached. It is
                as it was.
        """
        ...

    async def write(self, batch: Batch) -> None:
        """Write all of it or nothing; it is on the disk when this returns.

        Raises:
            StorageError: it is not known to be there.
        """
        ...

    async def close(self) -> None:
        """Give the store back. Idempotent."""
        ...
