"""What keeps the records of a desk's workspace, as the server does."""

from __future__ import annotations

from server_stub.chronicle import Chronicle
from server_stub.domain.events import Event
from server_stub.domain.history import History, PastEvent, Window
from server_stub.domain.model import Limits
from server_stub.domain.statistics import Statistics
from tests.domain.desk import Desk


class Recorder:
    """Records every command of a desk from its first one on."""

    def __init__(self, desk: Desk, *, limits: Limits | None = None) -> None:
        self.desk = desk
        self.chronicle = Chronicle(limits or Limits())
        self.records = self.chronicle.of(desk.ws.sid)
        self.chronicle.publish(desk.ws, desk.created)
        take = desk.ws.take_events

        def take_events() -> list[Event]:
            events = take()
            self.chronicle.publish(desk.ws, events)
            return events

        desk.ws.take_events = take_events  # type: ignore[method-assign] # the runtime's place in a desk

    @property
    def statistics(self) -> Statistics:
        return self.records.statistics

    @property
    def history(self) -> History:
        return self.records.history

    def everything(self) -> list[PastEvent]:
        """The whole history, oldest first."""
        return self.records.history.newest_first(Window(0, self.desk.time))[::-1]

    def last(self, seconds: float) -> Window:
        """The window of that many seconds up to now."""
        return Window(self.desk.time - seconds, self.desk.time)
