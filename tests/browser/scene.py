"""A contact centre on an ordinary morning: what the pictures of the documentation show."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Final

from server_stub import Settings, StubServer
from server_stub.clocks import HandClock
from server_stub.domain.model import Reservation
from server_stub.domain.workspace import Workspace
from taskrouter_worker.clock import ManualClock
from taskrouter_worker.terms import ReservationStatus
from tests.browser.conftest import SEED

MORNING: Final = 1_790_000_000.0
"""Epoch seconds: every picture is of the same moment."""

AGENTS: Final = (
    *("Amara", "Bruno", "Chidi", "Dana", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Luca"),
    *("Mei", "Noor", "Olga", "Pablo", "Quinn", "Rosa"),
)
CUSTOMERS: Final = (
    *(
        "Ada Lovelace",
        "Grace Hopper",
        "Alan Turing",
        "Katherine Johnson",
        "Edsger Dijkstra",
        "Barbara Liskov",
    ),
    *("Donald Knuth", "Radia Perlman", "Ken Thompson", "Frances Allen", "Tony Hoare", "Margaret Hamilton"),
)
SUBJECTS: Final = {
    "cards": ("lost abroad", "PIN forgotten", "limit raised", "charged twice"),
    "loans": ("mortgage", "car", "early repayment"),
    "complaint": ("waited too long", "branch closed"),
}


class Scene:
    """The server, and what happens in it.

    Attributes:
        server: to be started by the caller.
        clock: moved by hand, so that nothing depends on how fast the machine is.
    """

    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.server = StubServer(
            Settings(port=0, settle_ms=0, seed=7, seed_document=SEED), clock=HandClock(self.clock)
        )
        self._dice = random.Random(11)  # noqa: S311 - dice for a picture guard nothing

    @property
    def workspace(self) -> Workspace:
        """The one that is shown."""
        return self.server.account.workspaces[self.server.workspace_sid]

    def run(self, command: Callable[[Workspace], object]) -> None:
        """Carry out a command."""
        self.server.run(self.server.workspace_sid, command)

    def wait(self, seconds: float) -> None:
        """Let time go by, and whatever is due happen."""
        self.clock.advance(seconds)
        self.server.tick()

    def play(self) -> None:
        """A morning: people come to work, customers call, some are helped."""
        activities = {a.friendly_name: a.sid for a in self.workspace.activities.values()}
        for number, name in enumerate(AGENTS):
            skills = [["cards"], ["loans"], ["cards", "loans"]][number % 3]
            person = {"skills": skills, "languages": ["en"], "level": 1 + number % 4, "team": "North"}
            activity = "Available" if number % 6 else ("Unavailable", "On a call", "Offline")[number // 6]
            self.hire(name, json.dumps(person), activities[activity])
            self.wait(self._dice.uniform(5, 40))
        for number in range(46):
            topic = ("cards", "loans", "cards", "complaint")[number % 4]
            attributes: dict[str, object] = {"topic": topic, "subject": self._dice.choice(SUBJECTS[topic])}
            attributes |= {"customer": self._dice.choice(CUSTOMERS), "level": 1 + number % 3}
            channel = ("voice", "chat", "email")[number % 3]
            self.call(attributes, channel, priority=self._dice.choice((0, 0, 0, 5, 10)))
            self.wait(self._dice.uniform(1, 6))
            self.answer()
        for number in range(9):
            self.offer(number)
            self.wait(self._dice.uniform(0.5, 2))

    def hire(self, name: str, attributes: str, activity_sid: str) -> None:
        """Somebody comes to work."""
        self.run(
            lambda ws: ws.create_worker(friendly_name=name, attributes=attributes, activity_sid=activity_sid)
        )

    def change(self, reservation_sid: str, status: str) -> None:
        """A worker answers."""
        self.run(lambda ws: ws.change_reservation(reservation_sid, status=status))

    def offer(self, number: int) -> None:
        """Another customer calls."""
        topic = ("cards", "loans")[number % 2]
        attributes: dict[str, object] = {"topic": topic, "subject": self._dice.choice(SUBJECTS[topic])}
        attributes |= {"customer": self._dice.choice(CUSTOMERS), "level": 1}
        self.call(attributes, "chat", priority=0)

    def call(self, attributes: dict[str, object], channel: str, *, priority: int) -> None:
        """A task comes in."""
        text = json.dumps(attributes)
        self.run(lambda ws: ws.create_task(attributes=text, task_channel=channel, priority=priority))

    def finish(self, reservation: Reservation) -> None:
        """Its worker is done with it, whatever it was doing."""
        steps = {"pending": ("accepted", "completed"), "accepted": ("completed",), "wrapping": ("completed",)}
        for step in steps[reservation.status]:
            self.change(reservation.sid, step)

    def answer(self) -> None:
        """Some of those who are offered a task take it, some finish one."""
        for reservation in list(self.workspace.reservations.values()):
            chance = self._dice.random()
            step = {
                ReservationStatus.PENDING: "accepted"
                if chance < 0.6
                else "rejected"
                if chance < 0.63
                else "",
                ReservationStatus.ACCEPTED: "wrapping" if chance < 0.06 else "",
                ReservationStatus.WRAPPING: "completed" if chance < 0.5 else "",
            }.get(reservation.status)
            if step:
                self.change(reservation.sid, step)
