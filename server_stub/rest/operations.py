"""Every operation of the REST API that this server offers: one table.

Paths, parameters and statuses are the TaskRouter REST API's.
"""

from __future__ import annotations

from typing import Final

from .configuration import ACTIVITIES, TASK_CHANNELS, TASK_QUEUES, WORKFLOWS, WORKSPACES
from .records import EVENTS, STATISTICS
from .tasks import RESERVATIONS, TASKS
from .workers import WORKER_CHANNELS, WORKERS

__all__ = ["OPERATIONS"]

OPERATIONS: Final = (
    *WORKSPACES,
    *ACTIVITIES,
    *WORKERS,
    *WORKER_CHANNELS,
    *TASK_CHANNELS,
    *TASK_QUEUES,
    *WORKFLOWS,
    *TASKS,
    *RESERVATIONS,
    *EVENTS,
    *STATISTICS,
)
