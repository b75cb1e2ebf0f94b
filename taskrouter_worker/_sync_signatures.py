"""The bases of synchronous classes that emit; `_sync_signatures.pyi` tells type checkers what handlers take.

At run time each of them is the one implementation; their last parameter only matters to type checkers.
"""

from __future__ import annotations

from ._facade import ListenableFacade

__all__ = ["OwnFacade", "TaskFacade", "WorkerFacade"]

OwnFacade = TaskFacade = WorkerFacade = ListenableFacade
