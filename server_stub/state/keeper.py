"""What the server's state is set to: a seed, a snapshot, an exported document. And back to it.

Everything is made first and put in its place afterwards, within one command: whoever listens sees the old
state or the new one, and a document with something wrong in it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final, cast

import msgspec

from server_stub.domain.errors import InvalidArgument, NotFound
from server_stub.domain.memento import dump, restore
from server_stub.domain.model import Limits
from server_stub.domain.records import DamagedDocument, WorkspaceDocument
from server_stub.domain.workspace import Workspace
from server_stub.runtime import Runtime
from server_stub.seeding import Seed, SeedDocument, Source, source_for
from server_stub.seeding.build import build
from server_stub.seeding.document import WorkspaceSeed
from server_stub.seeding.sids import SeedSids
from taskrouter_worker.terms import WorkspaceTemplate

from .documents import (
    FreshSids,
    StateDocument,
    StateInput,
    damaged,
    decode_state,
    encode_state,
    sids_of,
)
from .names import check_snapshot_name
from .versions import raise_versions

__all__ = ["DEFAULT_SEED", "MAX_SNAPSHOTS", "Leave", "StateKeeper", "TakeUp"]

MAX_SNAPSHOTS: Final = 100
"""How many snapshots are kept: they live in memory. Those of deleted workspaces make room for others."""

DEFAULT_SEED: Final = Seed(
    workspaces=[WorkspaceSeed(friendly_name="Default Workspace", template=WorkspaceTemplate.FIFO)]
)
"""What a server begins with that is given no seed."""

Leave = Callable[[Workspace, Collection[str]], None]
"""Called with a workspace that is about to be replaced, and the SIDs of the workers that stay."""

TakeUp = Callable[[Workspace], None]
"""Called with a workspace that is about to be put in its place, before its events are told."""


class StateKeeper:
    """Sets the state of a server.

    Args:
        runtime: the workspaces.
        limits: TaskRouter's numbers.
        base: what makes this server's SIDs differ from another's.
        repeatable: whether its SIDs repeat themselves.
        leave: ends whatever belongs to a state of a workspace that is about to be replaced.
        take_up: begins whatever follows from what the new state holds.
        begin_anew: ends whatever belongs to no workspace, once all of them are about to be replaced.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        limits: Limits,
        base: str,
        repeatable: bool,
        leave: Leave,
        take_up: TakeUp,
        begin_anew: Callable[[], None],
    ) -> None:
        self._runtime = runtime
        self._account = runtime.account
        self._limits = limits
        self._base = base
        self._repeatable = repeatable
        self._leave = leave
        self._take_up = take_up
        self._begin_anew = begin_anew
        self._source: Source = source_for(DEFAULT_SEED)
        self._snapshots: dict[tuple[str | None, str], bytes] = {}  # by workspace, None for all, and name
        self._default_sid = ""

    @property
    def default_sid(self) -> str:
        """The default workspace; if that was deleted, the oldest one that is there; "" if there is none."""
        found = self._account.workspaces
        return self._default_sid if self._default_sid in found else next(iter(found), "")

    # --- The seed -----------------------------------------------------------------------------

    def begin(self, document: SeedDocument | None) -> None:
        """Set up the first state. Its events are told once the server starts.

        Raises:
            SeedError: something is wrong with the document; every problem is told.
            OSError: its file cannot be read.
        """
        source = source_for(DEFAULT_SEED if document is None else document)
        made = self._made(source)
        self._source = source
        self._account.workspaces.update((workspace.sid, workspace) for workspace in made)
        self._default_sid = made[0].sid

    def resume(self, document: SeedDocument | None, *, default_sid: str) -> None:
        """Leave everything as it was found, be it nothing, and know the seed to which a reset goes back.

        Raises:
            SeedError: something is wrong with the seed; every problem is told.
            OSError: its file cannot be read.
        """
        source = source_for(DEFAULT_SEED if document is None else document)
        self.check(source)
        self._source = source
        self._default_sid = default_sid

    def check(self, source: Source) -> None:
        """Try whether the seed could be loaded; raises SeedError."""
        self._made(source)

    def seed(self, source: Source) -> list[str]:
        """Set everything to a seed, which from now on is what a reset goes back to.

        Returns:
            The SIDs of its workspaces.

        Raises:
            SeedError: something is wrong with it; nothing was changed.
        """
        made = self._made(source)
        self._source = source
        return self._replace_all(made)

    def reset(self, workspace_sid: str | None = None) -> list[str]:
        """Go back to the seed: one workspace, or everything.

        Returns:
            The SIDs of the workspaces that were set back.

        Raises:
            NotFound: there is no such workspace.
            InvalidArgument: the workspace was not made by the seed.
        """
        if workspace_sid is None:
            return self._replace_all(self._made(self._source))
        self._account.workspace(workspace_sid)
        made = next((found for found in self._made(self._source) if found.sid == workspace_sid), None)
        if made is None:
            raise InvalidArgument(
                f"Workspace {workspace_sid} cannot be reset because the seed does not describe it: "
                "restore a snapshot of it, delete it, or reset everything"
            )
        self._replace([made])
        return [workspace_sid]

    def seed_workspace(self, workspace_sid: str, source: Source) -> None:
        """Set one workspace to the only one of a seed. It keeps its SID and clock; `reset` does not know it.

        The SIDs in it follow from its own and from the names in the seed.

        Raises:
            NotFound: there is no such workspace.
            SeedError: something is wrong with the seed; nothing was changed.
            InvalidArgument: the seed describes several workspaces, or none.
        """
        known = self._account.workspace(workspace_sid)
        # Whatever does not look like that is for `build` to refuse.
        document = cast("dict[str, object]", source.document if isinstance(source.document, dict) else {})
        workspaces: object = document.get("workspaces")
        for described in cast("list[object]", workspaces if isinstance(workspaces, list) else [])[:1]:
            if isinstance(described, dict):
                cast("dict[str, object]", described)["sid"] = workspace_sid
        source.problems.clear()
        made = build(
            source,
            account_sid=self._account.sid,
            now=lambda _: known.now,
            sids=lambda name: SeedSids(workspace_sid, name, repeatable=True),
            limits=self._limits,
        )
        if len(made) != 1:
            raise InvalidArgument(f"A seed for one workspace describes just one, this one {len(made)}")
        self._replace(made)

    def _made(self, source: Source) -> list[Workspace]:
        source.problems.clear()
        return build(
            source,
            account_sid=self._account.sid,
            now=self._clock_of,
            sids=lambda name: SeedSids(self._base, name, repeatable=self._repeatable),
            limits=self._limits,
        )

    def _clock_of(self, workspace_sid: str) -> Callable[[], float]:
        """A workspace that is replaced keeps its clock."""
        known = self._account.workspaces.get(workspace_sid)
        return self._account.now if known is None else known.now

    # --- Documents ----------------------------------------------------------------------------

    def export(self, workspace_sid: str | None = None) -> StateDocument:
        """The state of a workspace, or of all of them.

        Raises:
            NotFound: there is no such workspace.
        """
        if workspace_sid is None:
            default = self._account.workspaces.get(self.default_sid)
            others = [w for w in self._account.workspaces.values() if w is not default]
            chosen = [*([] if default is None else [default]), *others]
        else:
            chosen = [self._account.workspace(workspace_sid)]
        for workspace in chosen:
            self._runtime.settle(workspace)
        return StateDocument(
            scope="server" if workspace_sid is None else "workspace",
            at=self._account.now(),
            workspaces=tuple(dump(workspace) for workspace in chosen),
        )

    def put_back(self, given: StateInput, workspace_sid: str | None = None) -> list[str]:
        """Replace everything, or the one workspace that the document is about, by what it holds.

        Args:
            given: what `export` made, here or in another process.
            workspace_sid: the only workspace that it may be about.

        Returns:
            The SIDs of the workspaces that were put back.

        Raises:
            InvalidArgument: the document cannot be used; nothing was changed.
        """
        document = decode_state(given)
        if workspace_sid is not None and (
            document.scope != "workspace" or document.workspaces[0].workspace.sid != workspace_sid
        ):
            raise InvalidArgument(f"The state document is not about workspace {workspace_sid}")
        made = [self._restored(stored) for stored in document.workspaces]
        if document.scope == "server":
            return self._replace_all(made)
        for other in self._account.workspaces.values():
            if other.sid != made[0].sid and not other.workers.keys().isdisjoint(made[0].workers):
                raise InvalidArgument(f"A worker of the state document is there already, in {other.sid}")
        self._replace(made)
        return [made[0].sid]

    def _restored(self, stored: WorkspaceDocument) -> Workspace:
        head = msgspec.structs.replace(stored.workspace, account_sid=self._account.sid)
        known = self._account.workspaces.get(head.sid)
        if known is None:
            source: Callable[[str], str] = SeedSids(self._base, head.sid, repeatable=self._repeatable)
        else:
            source = known.new_sid
        try:
            return restore(
                msgspec.structs.replace(stored, workspace=head),
                now=self._clock_of(head.sid),
                sids=FreshSids(source, sids_of(stored)),
                limits=self._limits,
            )
        except DamagedDocument as error:
            raise damaged(error) from None

    # --- Snapshots ----------------------------------------------------------------------------

    def save(self, name: str, workspace_sid: str | None = None) -> None:
        """Keep the present state of a workspace, or of all, under a name; an older one of it goes.

        Raises:
            NotFound: there is no such workspace.
            InvalidArgument: the name is not valid, or there are too many snapshots.
        """
        check_snapshot_name(name)
        key, document = (workspace_sid, name), self.export(workspace_sid)
        if not document.workspaces:
            raise InvalidArgument("There is no workspace, so there is nothing that a snapshot could keep")
        if key not in self._snapshots and len(self._snapshots) >= MAX_SNAPSHOTS:
            self._make_room()
        self._snapshots[key] = encode_state(document)

    def _make_room(self) -> None:
        """Drop the oldest snapshot of a deleted workspace: until now it could be brought back by it."""
        there = (None, *self._account.workspaces)
        gone = next((key for key in self._snapshots if key[0] not in there), None)
        if gone is None:
            raise InvalidArgument(
                f"There are {MAX_SNAPSHOTS} snapshots, which is the limit: forget one first"
            )
        del self._snapshots[gone]

    def snapshot(self, name: str, workspace_sid: str | None = None) -> bytes:
        """The document of a snapshot, as JSON; raises NotFound."""
        try:
            return self._snapshots[workspace_sid, name]
        except KeyError:
            raise NotFound("Snapshots", name) from None

    def snapshots(self, workspace_sid: str | None = None) -> list[str]:
        """The names of the snapshots of a workspace, or of everything, oldest first."""
        return [name for owner, name in self._snapshots if owner == workspace_sid]

    def forget(self, name: str, workspace_sid: str | None = None) -> None:
        """Drop a snapshot; raises NotFound."""
        self.snapshot(name, workspace_sid)
        del self._snapshots[workspace_sid, name]

    # --- Putting workspaces in their place ----------------------------------------------------

    def _replace_all(self, made: list[Workspace]) -> list[str]:
        self._begin_anew()
        wanted = {workspace.sid for workspace in made}
        for workspace in list(self._account.workspaces.values()):
            if workspace.sid not in wanted:
                self._runtime.delete_workspace(workspace)
        self._replace(made)
        self._default_sid = made[0].sid
        return [workspace.sid for workspace in made]

    def _replace(self, made: Iterable[Workspace]) -> None:
        for workspace in made:
            known = self._account.workspaces.get(workspace.sid)
            if known is not None:
                known.take_events()  # of a server that was never started
                workspace.count_on(known.seq)  # an event's SID follows from its number: none comes twice
                self._leave(known, workspace.workers.keys())
            self._take_up(workspace)
            self._runtime.replace(workspace)
            if known is not None:
                raise_versions(workspace, known)
