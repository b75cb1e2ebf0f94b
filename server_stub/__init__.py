"""A local Twilio TaskRouter: REST API, event bridge and worker websockets, in one process.

The names below are loaded when they are first used, so that importing the package, or its pure
domain, loads no network library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import Settings, StubServer

__all__ = ["Settings", "StubServer"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from . import app  # noqa: PLC0415 - lazily, see above

        value: object = getattr(app, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
