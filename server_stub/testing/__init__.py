"""TaskRouter for tests: a workspace of its own for each test, on one local server, with a time of its own.

With pytest the fixture `taskrouter` hands it out (see `plugin`). Elsewhere::

    with BackgroundServer() as server, server.workspace() as taskrouter:
        alice = taskrouter.worker("Alice")
        taskrouter.assert_reserved(taskrouter.task(), alice)

The names below are loaded when they are first used: pytest loads this package at every start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .background import BackgroundServer
    from .clock import WorkspaceClock
    from .handles import (
        ActivityHandle,
        QueueHandle,
        ReservationHandle,
        TaskHandle,
        WorkerHandle,
        WorkflowHandle,
    )
    from .options import WorkspaceOptions
    from .taskrouter import TaskRouter

__all__ = [
    "ActivityHandle",
    "BackgroundServer",
    "QueueHandle",
    "ReservationHandle",
    "TaskHandle",
    "TaskRouter",
    "WorkerHandle",
    "WorkflowHandle",
    "WorkspaceClock",
    "WorkspaceOptions",
]

_MODULES = {
    "BackgroundServer": "background",
    "TaskRouter": "taskrouter",
    "WorkspaceClock": "clock",
    "WorkspaceOptions": "options",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_MODULES.get(name, 'handles')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
