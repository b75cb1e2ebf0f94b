"""The account and its workspaces."""

from __future__ import annotations

from collections.abc import Callable

from taskrouter_worker.terms import QueueOrder, SidPrefix, WorkspaceTemplate

from .domain.errors import NotFound
from .domain.memento import restore
from .domain.model import Limits
from .domain.records import WorkspaceDocument
from .domain.workspace import Workspace

__all__ = ["Account"]


class Account:
    """The one account of this server: its workspaces by SID, in order of creation."""

    def __init__(
        self, *, sid: str, now: Callable[[], float], sids: Callable[[str], str], limits: Limits
    ) -> None:
        self.sid = sid
        self.workspaces: dict[str, Workspace] = {}
        self.now = now
        self._sids = sids
        self._limits = limits

    def workspace(self, sid: str) -> Workspace:
        """The workspace of that SID.

        Raises:
            NotFound: there is none, or it was deleted.
        """
        try:
            return self.workspaces[sid]
        except KeyError:
            raise NotFound("Workspaces", sid) from None

    def create_workspace(
        self,
        *,
        friendly_name: str,
        event_callback_url: str = "",
        events_filter: str | None = None,
        multi_task_enabled: bool = True,
        template: WorkspaceTemplate = WorkspaceTemplate.NONE,
        prioritize_queue_order: QueueOrder = QueueOrder.FIFO,
        now: Callable[[], float] | None = None,
        sids: Callable[[str], str] | None = None,
    ) -> Workspace:
        """A new workspace with what its template holds.

        `now` and `sids` give it a time and SIDs of its own, in place of the account's.

        Raises:
            InvalidArgument: a value is out of its range; nothing was made.
            ValueError: `sids` gave the SID of a workspace that is there already.
        """
        sids = sids or self._sids
        sid = sids(SidPrefix.WORKSPACE)
        if sid in self.workspaces:
            raise ValueError(f"there is a workspace {sid} already: give each one a seed of its own")
        workspace = Workspace(
            sid=sid,
            account_sid=self.sid,
            friendly_name=friendly_name,
            now=now or self.now,
            sids=sids,
            limits=self._limits,
            template=template,
            multi_task_enabled=multi_task_enabled,
            event_callback_url=event_callback_url,
            events_filter=events_filter,
            prioritize_queue_order=prioritize_queue_order,
        )
        self.workspaces[workspace.sid] = workspace
        return workspace

    def restore_workspace(self, document: WorkspaceDocument) -> Workspace:
        """A workspace as it was stored.

        Raises:
            DamagedDocument: the document cannot be read.
        """
        workspace = restore(document, now=self.now, sids=self._sids, limits=self._limits)
        self.workspaces[workspace.sid] = workspace
        return workspace

    def delete_workspace(self, sid: str) -> None:
        """Forget the workspace and everything in it.

        Raises:
            NotFound: there is none.
        """
        self.workspace(sid)
        del self.workspaces[sid]
