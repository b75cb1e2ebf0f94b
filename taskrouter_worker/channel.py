"""How much work of one kind a worker takes at once."""

from __future__ import annotations

from typing import Literal

from ._context import Context
from ._signatures import OwnEmitter
from ._views import ChannelView
from .resources import WorkerChannelFields

__all__ = ["Channel", "ChannelEvent"]

ChannelEvent = Literal["capacityUpdated", "availabilityUpdated"]


class Channel(ChannelView, OwnEmitter[ChannelEvent]):
    """A worker's channel. The object stays the same across reconnects.

    Events, each with the channel: `capacityUpdated`, `availabilityUpdated`.
    """

    __slots__ = ("_held", "_told_available", "_told_capacity")

    EVENTS = frozenset({"capacityUpdated", "availabilityUpdated"})

    def __init__(self, context: Context, fields: WorkerChannelFields) -> None:
        super().__init__(context.dispatcher)
        self._held = fields
        self._told_capacity = fields.configured_capacity
        self._told_available = bool(fields.available)

    @property
    def _fields(self) -> WorkerChannelFields:
        return self._held

    def _merge_snapshot(self, fields: WorkerChannelFields) -> None:
        """Take a snapshot's fields, unless they are clearly older than what an event showed."""
        if (fields.date_updated or 0) >= (self._fields.date_updated or 0):
            self._held = fields

    def _merge(self, fields: WorkerChannelFields) -> bool:
        """Take newer fields; False for ones that are older than what is held."""
        old, new = self._fields.version, fields.version
        if isinstance(old, int) and isinstance(new, int) and new < old:
            return False
        # A snapshot carries no version. Whole seconds tell at least the clearly older ones apart.
        if (fields.date_updated or 0) < (self._fields.date_updated or 0):
            return False
        self._held = fields
        return True

    def _untold(self) -> list[ChannelEvent]:
        """What the application has not been told of the present fields; it counts as told now."""
        events: list[ChannelEvent] = []
        if self._told_capacity != self._fields.configured_capacity:
            self._told_capacity = self._fields.configured_capacity
            events.append("capacityUpdated")
        if self._told_available != bool(self._fields.available):
            self._told_available = bool(self._fields.available)
            events.append("availabilityUpdated")
        return events

    def __repr__(self) -> str:
        return f"<Channel {self.task_channel_unique_name!r} {self.sid} capacity {self.capacity}>"
