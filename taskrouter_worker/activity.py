"""What a worker can be doing."""

from __future__ import annotations

from typing import Final

import msgspec

from ._context import Context
from ._views import ActivityView
from .resources import ActivityFields, WorkerFields

__all__ = ["Activity"]

_WORKER: Final = msgspec.json.Decoder(WorkerFields)


class Activity(ActivityView):
    """An activity of the workspace. The object stays the same across reconnects."""

    __slots__ = ("_context", "_held")

    def __init__(self, context: Context, fields: ActivityFields) -> None:
        self._context = context
        self._held = fields

    @property
    def _fields(self) -> ActivityFields:
        return self._held

    @property
    def is_current(self) -> bool:
        """Whether the worker is in it."""
        return self._context.current_activity_sid() == self._fields.sid

    async def set_as_current(self, *, reject_pending_reservations: bool | None = None) -> Activity:
        """Move the worker to this activity and return it.

        Args:
            reject_pending_reservations: reject what the worker has not accepted yet; only for an
                activity that is not available.

        Raises:
            TypeError: the option is not a bool.
            ValueError: the option is true and this activity is available.
            RequestError: the service refused, or could not be reached.
        """
        if reject_pending_reservations is not None and not isinstance(reject_pending_reservations, bool):
            raise TypeError(
                f"reject_pending_reservations must be a bool, got {reject_pending_reservations!r}"
            )
        if reject_pending_reservations and self.available:
            raise ValueError(
                f"reject_pending_reservations is for activities that are not available; {self.name!r} is"
            )
        context = self._context
        request = context.routes.set_activity(
            self.sid,
            context.if_match(context.worker_version()),
            reject_pending_reservations=reject_pending_reservations,
        )
        context.worker_answered(await context.fetch(request, _WORKER))
        return self

    def _replace(self, fields: ActivityFields) -> None:
        self._held = fields

    def __repr__(self) -> str:
        return f"<Activity {self.name!r} {self.sid}>"
