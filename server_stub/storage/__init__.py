"""Durable state: what was acknowledged is still there after the process or the machine has died.

The server writes what each command changed, in one transaction with whatever came while the last one
was written, and lets no answer, frame or callback go before. See `docs/storage.md` for what is
promised.

Nothing here is imported unless data are asked for; `sql` needs the extra ``storage``.
"""

from __future__ import annotations

from .contract import Batch, Contents, StorageError, Store, StoredWorkspace, WorkspaceBatch
from .durability import Data, Durability
from .opening import open_store

__all__ = [
    "Batch",
    "Contents",
    "Data",
    "Durability",
    "StorageError",
    "Store",
    "StoredWorkspace",
    "WorkspaceBatch",
    "open_store",
]
