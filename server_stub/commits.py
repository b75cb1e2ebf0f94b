"""The seam between commands and what makes them last.

Without a store nothing here exists: commands are done when they return, and nobody waits. With one,
what a command changed is written soon after it, together with whatever comes until then. What the
server tells anybody meanwhile (answers, frames, callbacks) waits for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .domain.workspace import Workspace

__all__ = ["CommitFailed", "Commits"]


class CommitFailed(Exception):
    """What was changed is not known to be stored; the server is about to stop."""


class Commits(Protocol):
    """Stores what commands change, in the order of the commands."""

    def changed(self, workspace: Workspace) -> None:
        """A command may have changed the workspace, or it is no more. To be called before anybody is told."""
        ...

    @property
    def round(self) -> object | None:
        """The transaction that what changed last will be part of; None if all of it is stored."""
        ...

    def when_committed(self, action: Callable[[], None]) -> None:
        """Call `action` once all that changed so far is stored: now, if it is. Never if that fails."""
        ...

    async def committed(self) -> None:
        """Wait until all that changed so far is stored.

        Raises:
            CommitFailed: it cannot be.
        """
        ...
