"""How much work of one kind a worker takes at once."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ._context import Context, moment
from ._emitter import Emitter
from .resources import WorkerChannelFields

__all__ = ["Channel", "ChannelEvent"]

ChannelEvent = Literal["capacityUpdated", "availabilityUpdated"]


class Channel(Emitter[ChannelEvent]):
    """A worker's channel. The object stays the same across reconnects.

    Events, each with the channel: `capacityUpdated`, `availabilityUpdated`.
    """

    __slots__ = ("_fields", "_told_available", "_told_capacity")

    EVENTS = frozenset({"capacityUpdated", "availabilityUpdated"})

    def __init__(self, context: Context, fields: WorkerChannelFields) -> None:
        super().__init__(context.dispatcher)
        self._fields = fields
        self._told_capacity = fields.configured_capacity
        self._told_available = bool(fields.available)

    @property
    def sid(self) -> str:
        """``WC...``"""
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
    def worker_sid(self) -> str:
        """``WK...``"""
        return self._fields.worker_sid

    @property
    def task_channel_sid(self) -> str:
        """``TC...``"""
        return self._fields.task_channel_sid

    @property
    def task_channel_unique_name(self) -> str:
        """Such as ``default`` or ``voice``."""
        return self._fields.task_channel_unique_name

    @property
    def capacity(self) -> int:
        """How many reservations the worker may hold on this channel; 0 means none."""
        return self._fields.configured_capacity

    @property
    def available(self) -> bool:
        """The switch: False stops new reservations on this channel."""
        return bool(self._fields.available)

    @property
    def assigned_tasks(self) -> int:
        """Accepted reservations, as of the latest snapshot or channel event: no other event tells it."""
        return self._fields.assigned_tasks

    @property
    def available_capacity_percentage(self) -> float:
        """Free share of the capacity, 0 to 100, as of the latest snapshot or channel event."""
        return self._fields.available_capacity_percentage

    @property
    def last_reserved_time(self) -> datetime | None:
        """When a task was last reserved, as of the latest snapshot or channel event; None for never."""
        milliseconds = self._fields.last_reserved_time
        return None if not milliseconds else moment(milliseconds / 1000)

    @property
    def date_created(self) -> datetime | None:
        """When it was made."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed."""
        return moment(self._fields.date_updated)

    def _replace(self, fields: WorkerChannelFields) -> None:
        self._fields = fields

    def _merge(self, fields: WorkerChannelFields) -> bool:
        """Take newer fields; False for ones that are older than what is held."""
        old, new = self._fields.version, fields.version
        if isinstance(old, int) and isinstance(new, int) and new < old:
            return False
        # A snapshot carries no version. Whole seconds tell at least the clearly older ones apart.
        if (fields.date_updated or 0) < (self._fields.date_updated or 0):
            return False
        self._fields = fields
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
