"""An agent's window, as an application would write it around `SyncWorker`: the part that no toolkit knows.

`QtWindow` and `TkWindow` add the widgets, and bring the calls of handlers into the window's thread.
"""

from __future__ import annotations

import gc
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from taskrouter_worker import SyncWorker
from taskrouter_worker.sync import SyncReservation

__all__ = ["BUTTONS", "LABELS", "PATIENCE", "TICK_MS", "Window"]

PATIENCE: Final = 30.0
"""Seconds until something that must come counts as missing."""

TICK_MS: Final = 10
"""How often the window's timer ticks."""

LABELS: Final = ("session", "offer", "countdown", "answer")
BUTTONS: Final = ("accept", "wrap up", "complete", "use new token")


class Window(ABC):
    """A window that shows one offer at a time.

    Attributes:
        threads: those that handlers and answers were seen in.
        heard: how often each event came.
        ticks: of a timer of the window's.
        new_token: what the button "use new token" takes.
        gone: its widgets are no more, see `forget`.
    """

    def __init__(self) -> None:
        self._worker: SyncWorker | None = None
        self.reservation: SyncReservation | None = None
        self.threads: set[threading.Thread] = set()
        self.heard: Counter[str] = Counter()
        self.ticks = 0
        self.new_token = ""
        self.gone = False

    @property
    def worker(self) -> SyncWorker:
        """The one given to `embed`."""
        assert self._worker is not None
        return self._worker

    # What a toolkit brings

    @abstractmethod
    def text(self, label: str) -> str:
        """What a label shows."""

    @abstractmethod
    def show(self, label: str, text: str) -> None:
        """Let a label show something."""

    @abstractmethod
    def press(self, button: str) -> None:
        """Do as if a person pressed it; its handler runs, and returns."""

    @abstractmethod
    def run_until(self, done: Callable[[], object]) -> None:
        """Run the toolkit's own main loop until something is true.

        Raises:
            AssertionError: it never was.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the window as a person does. Once more does nothing."""

    def forget(self) -> None:
        """Let go of the widgets, in their own thread.

        They are parts of cycles. The garbage collector would otherwise take them down in whichever thread
        it happens to run, a worker's too: Tk aborts the process then, Qt may.
        """
        kept = {"_worker", "reservation", "threads", "heard", "ticks", "new_token", "gone"}
        for name in vars(self).keys() - kept:
            delattr(self, name)
        self.gone = True
        gc.collect()

    # The application

    def embed(self, worker: SyncWorker) -> None:
        """Listen to the worker, and let it connect."""
        self._worker = worker
        worker.on("ready", lambda _: self.session("ready"))
        worker.on("disconnected", lambda _: self.session("disconnected"))
        worker.on("tokenUpdated", lambda: self.session("has a new token"))
        worker.on("error", lambda error: self.session(f"failed: {error}"))
        worker.on("reservationCreated", self.offered)
        worker.start()

    def session(self, what: str) -> None:
        self.note(what)
        self.show("session", what)

    def offered(self, reservation: SyncReservation) -> None:
        self.note(f"offered by {reservation.origin}")
        self.reservation = reservation
        self.show("offer", f"{reservation.task.attributes['topic']}: {reservation.status}")
        for event in ("accepted", "wrapup", "completed", "timeout"):
            reservation.on(event, self.changed)

    def changed(self, reservation: SyncReservation) -> None:
        self.note(reservation.status)
        self.show("offer", f"{reservation.task.attributes['topic']}: {reservation.status}")

    def pressed(self, button: str) -> None:
        """The handler of every button: it starts something, and does not wait for it."""
        if button == "use new token":
            self.worker.update_token(self.new_token)
            return
        assert self.reservation is not None
        self.show("answer", f"{button} ...")
        started: Future[Any]  # Any: the reservation or the task
        if button == "accept":
            started = self.worker.submit(self.reservation.accept)
        elif button == "wrap up":
            started = self.worker.submit(self.reservation.wrap)
        else:
            started = self.worker.submit(self.reservation.task.complete, "done")
        self.worker.when_done(started, lambda done: self.answered(button, done))

    def answered(self, button: str, done: Future[Any]) -> None:
        self.note("answer")
        error = done.exception()
        self.show("answer", f"{button}: {'done' if error is None else error}")

    def tick(self) -> None:
        """The timer's handler: it counts, and counts down."""
        self.ticks += 1
        offer = self.reservation
        if offer is not None and offer.status == "pending" and offer.timeout and offer.date_created:
            left = offer.date_created.timestamp() + offer.timeout - time.time()
            self.show("countdown", f"{left:.1f} s")

    def closed(self) -> None:
        """The handler of the window's end."""
        if self._worker is not None:
            self._worker.disconnect()

    def note(self, what: str) -> None:
        self.heard[what] += 1
        self.threads.add(threading.current_thread())
