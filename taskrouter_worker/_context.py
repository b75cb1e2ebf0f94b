"""What the live objects of one worker share, and small helpers for their properties."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ._commands import Commands
from ._emitter import Dispatcher
from ._requests import Routes
from .errors import NotConnectedError
from .resources import DECODE_ERRORS, WorkerFields

if TYPE_CHECKING:
    from .task import Task

__all__ = ["Attributes", "Context", "check_attributes", "moment", "parse_attributes"]

Attributes = dict[str, Any]
"""JSON attributes: their shape is the application's own."""


class Context:
    """The worker behind its activities, channels, reservations and tasks.

    Attributes:
        fetch: sends a request and decodes the answer's payload.
        dispatcher: starts the handlers.
        enable_version_check: whether commands carry the version they were decided on.
        keep_task: told of a task that somebody listens to from now on.
        worker_answered: takes the worker that an answer showed.
        current_activity_sid: tells the activity the worker is in.
    """

    __slots__ = (
        "_routes",
        "current_activity_sid",
        "dispatcher",
        "enable_version_check",
        "fetch",
        "keep_task",
        "worker_answered",
        "worker_version",
    )

    def __init__(
        self,
        *,
        commands: Commands,
        dispatcher: Dispatcher,
        enable_version_check: bool = False,
    ) -> None:
        self.fetch = commands.fetch
        self.dispatcher = dispatcher
        self.enable_version_check = enable_version_check
        self._routes: Routes | None = None
        self.keep_task: Callable[[Task], None] = _ignore
        self.worker_answered: Callable[[WorkerFields], None] = _ignore
        self.current_activity_sid: Callable[[], str | None] = lambda: None
        self.worker_version: Callable[[], int | None] = lambda: None

    @property
    def routes(self) -> Routes:
        """The routes of this worker.

        Raises:
            NotConnectedError: no session has told yet which worker this is.
        """
        if self._routes is None:
            raise NotConnectedError(
                "the worker is not known yet: enter `async with worker` and wait for `ready` first"
            )
        return self._routes

    @property
    def known_routes(self) -> Routes | None:
        """The routes, None before the first session."""
        return self._routes

    def identify(self, workspace_sid: str, worker_sid: str) -> None:
        """Take over who `init` says that this is."""
        self._routes = Routes(workspace_sid, worker_sid)

    def if_match(self, version: int | None) -> str | None:
        """The version to send along, None when version checks are off."""
        return str(version) if self.enable_version_check and version is not None else None


def moment(epoch: float | None) -> datetime | None:
    """An aware UTC datetime of epoch seconds; None stays None."""
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)


def parse_attributes(text: str | None) -> Attributes:
    """A fresh copy of JSON attributes, so that changing it changes nothing else.

    Text that is no JSON object reads as empty: the service accepts only objects, and an unreadable
    attribute must not make the reservation that carries it unusable.
    """
    if not text:
        return {}
    try:
        value = msgspec.json.decode(text)
    except DECODE_ERRORS:
        return {}
    return cast("Attributes", value) if isinstance(value, dict) else {}


def check_attributes(value: object, name: str = "attributes") -> Mapping[str, object]:
    """Return `value` if it can travel as a JSON object.

    Raises:
        TypeError: not a mapping with text keys, or it holds something that JSON cannot show.
        ValueError: it refers to itself, or holds a number that JSON cannot show.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {type(value).__name__}: {value!r}")
    mapping = cast("Mapping[object, object]", value)
    if not all(isinstance(key, str) for key in mapping):
        raise TypeError(f"{name} must have str keys, got {list(mapping)!r}")
    try:
        json.dumps(mapping, allow_nan=False)  # which refuses what msgspec changes silently: NaN, dates
        msgspec.json.encode(mapping)  # as it will travel
    except TypeError as error:
        raise TypeError(f"{name} cannot be shown as JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} cannot be shown as JSON: {error}") from None
    return cast("Mapping[str, object]", mapping)


def _ignore(_: object) -> None:
    return None
