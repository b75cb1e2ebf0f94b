"""What a worker can be doing."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from ._context import Context, moment
from .resources import ActivityFields, WorkerFields

__all__ = ["Activity"]

_WORKER: Final = msgspec.json.Decoder(WorkerFields)


class Activity:
    """An activity of the workspace. The object stays the same across reconnects."""

    __slots__ = ("_context", "_fields")

    def __init__(self, context: Context, fields: ActivityFields) -> None:
        self._context = context
        self._fields = fields

    @property
    def sid(self) -> str:
        """``WA...``"""
        return self._fields.sid

    @property
    def account_sid(self) -> str:
        """``AC...``"""
        return self._fields.account_sid

    @property
    def workspace_sid(self) -> str:
        """``WS...``"""
        return self._fields.workspace_sid

    @property
    def name(self) -> str:
        """The friendly name, unique in the workspace."""
        return self._fields.friendly_name

    @property
    def available(self) -> bool:
        """Whether a worker in this activity gets reservations. It never changes."""
        return self._fields.available

    @property
    def date_created(self) -> datetime | None:
        """When it was made; None for one that appeared after the latest snapshot."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed; None for one that appeared after the latest snapshot."""
        return moment(self._fields.date_updated)

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
        self._fields = fields

    def __repr__(self) -> str:
        return f"<Activity {self.name!r} {self.sid}>"
