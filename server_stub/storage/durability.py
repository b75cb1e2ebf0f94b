"""What a server keeps in a store, and takes up from it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from server_stub.account import Account
from server_stub.chronicle import Chronicle
from server_stub.domain.changes import Changes, Tracker
from server_stub.domain.records import DamagedDocument
from server_stub.domain.workspace import Workspace

from .committer import Committer, Round
from .contract import Batch, Contents, StorageError, Store, WorkspaceBatch

__all__ = ["Data", "Durability"]

_NOTHING: Final = Changes(workspace=None, written=(), removed=())


class Data:
    """An open store and what was found in it.

    Use it as an async context manager around the server's life.

    Args:
        store: where the data are.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._contents: Contents | None = None

    @property
    def contents(self) -> Contents:
        """What was found; only while it is open."""
        if self._contents is None:
            raise RuntimeError("the data are not open")
        return self._contents

    async def __aenter__(self) -> Self:
        self._contents = await self.store.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._contents = None
        await self.store.close()


class Durability:
    """Keeps the workspaces of an account, and their records, in a store. It is the server's `Commits`.

    Args:
        data: the open store.
        account: the workspaces; those of the store are added to it.
        chronicle: their events and statistics.
        settings: the server's own, which are stored beside them.
        failed: told once that something could not be written.

    Raises:
        StorageError: what was found is damaged.
    """

    def __init__(
        self,
        data: Data,
        account: Account,
        chronicle: Chronicle,
        *,
        settings: Callable[[], Mapping[str, str]],
        failed: Callable[[StorageError], None],
    ) -> None:
        self._store = data.store
        self._account = account
        self._chronicle = chronicle
        self._failed = failed
        self._trackers: dict[str, Tracker] = {}
        self._dirty: dict[str, None] = {}  # workspaces, by SID
        self._settings = settings
        self._written = dict(data.contents.settings)
        self._kept: dict[str, tuple[int, int]] = {}  # from which event and fact on, by workspace
        self._committer: Committer | None = None
        owner = data.contents.settings.get("account_sid", account.sid)
        if owner != account.sid:
            raise StorageError(
                f"{self._store.name} is of account {owner}, not of {account.sid}: give that one, or none"
            )
        chronicle.keep_new()
        for found in data.contents.workspaces:
            sid = found.document.workspace.sid
            try:
                workspace = account.restore_workspace(found.document)
            except DamagedDocument as error:
                raise StorageError(
                    f"{self._store.name} is damaged: {error}. Nothing was changed; restore a copy"
                ) from None
            chronicle.resume(workspace, found.events, found.facts)
            self._trackers[sid] = Tracker(workspace, is_stored=True)

    # --- Life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to write, first of all what there is already."""
        if self._committer is None:
            self._committer = Committer(self._store, self._collect, failed=self._failed)
        self._committer.open()
        self._committer.note()

    async def close(self) -> None:
        """Write what is left. Idempotent."""
        committer, self._committer = self._committer, None
        if committer is not None:
            await committer.close()

    # --- What commands do ---------------------------------------------------------------------

    def changed(self, workspace: Workspace) -> None:
        """See `Commits`."""
        self._dirty[workspace.sid] = None
        if self._committer is not None:
            self._committer.note()

    @property
    def round(self) -> Round | None:
        """See `Commits`."""
        return None if self._committer is None else self._committer.round

    def when_committed(self, action: Callable[[], None]) -> None:
        """See `Commits`."""
        if self._committer is None:
            action()
        else:
            self._committer.when_committed(action)

    async def committed(self) -> None:
        """See `Commits`."""
        if self._committer is not None:
            await self._committer.committed()

    # --- What is to be written ----------------------------------------------------------------

    def _collect(self) -> Batch:
        dirty, self._dirty = self._dirty, {}
        wanted = self._settings()
        settings = {name: value for name, value in wanted.items() if self._written.get(name) != value}
        self._written.update(settings)
        parts = [part for sid in dirty if (part := self._part(sid)) is not None]
        return Batch(workspaces=tuple(parts), settings=settings)

    def _part(self, sid: str) -> WorkspaceBatch | None:
        workspace = self._account.workspaces.get(sid)
        if workspace is None:
            self._kept.pop(sid, None)
            known = self._trackers.pop(sid, None)
            return None if known is None else WorkspaceBatch(sid=sid, changes=None, replaces=True)
        tracker = self._trackers.get(sid)
        replaces = tracker is None or tracker.workspace is not workspace  # it was set to another state
        if tracker is None or replaces:
            tracker = self._trackers[sid] = Tracker(workspace, is_stored=False)
            self._kept.pop(sid, None)
        changes = tracker.take()
        events, facts = self._chronicle.take_new(sid)
        records = self._chronicle.of(sid)
        kept = (records.history.kept_from, records.statistics.kept_from)
        before, self._kept[sid] = self._kept.get(sid, (0, 0)), kept
        if not changes and not events and not facts and kept == before:
            return None
        return WorkspaceBatch(
            sid=sid,
            changes=changes or _NOTHING,
            replaces=replaces,
            # What is forgotten already need not be written.
            events=tuple(event for event in events if event.seq >= kept[0]),
            facts=tuple(fact for fact in facts if fact.number >= kept[1]),
            events_from=kept[0] if kept[0] != before[0] else 0,
            facts_from=kept[1] if kept[1] != before[1] else 0,
        )
