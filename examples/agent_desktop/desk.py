"""The agent's desk: the session, and everything that can be done at it. No toolkit: plain Python.

All of it belongs to one thread, the window's. `deliver` brings what happens in the SDK's thread there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Unpack

from taskrouter_worker import (
    HandlerError,
    SyncWorker,
    TaskRouterError,
    TokenProviderError,
)
from taskrouter_worker.options import WorkerOptions
from taskrouter_worker.sync import SyncOutgoingTransfer, SyncReservation

from . import sentences
from .countdown import Countdown
from .directory import Directory, Found
from .login import Login, LoginError, ServiceRefusedError, TokenService
from .notices import Notices
from .pictures import Memory, connection_of, offer_of, work_of
from .view import ActivityChoice, Connection, Link, Severity, View

__all__ = ["Desk"]

logger = logging.getLogger(__name__)

CLOSING_SECONDS = 5.0
"""How long leaving may take; a few milliseconds as a rule."""


class Desk:
    """What a front end holds. Call `tick` a few times a second.

    Args:
        deliver: takes a function and has it called in the front end's thread, soon.
        changed: called there whenever `view` is another.
        allowed: names of the activities that may be chosen; None for what the worker's attribute
            ``allowed_activities`` lists, and without one for all.
        options: further options of `SyncWorker`.
    """

    def __init__(
        self,
        deliver: Callable[[Callable[[], object]], object],
        changed: Callable[[], object],
        *,
        allowed: frozenset[str] | None = None,
        **options: Unpack[WorkerOptions],
    ) -> None:
        self._deliver = deliver
        self._changed = changed
        self._allowed = allowed
        self._options = options
        self._worker: SyncWorker | None = None
        self._service: TokenService | None = None
        self._directory = Directory()
        self._notices = Notices()
        self._memory = Memory(Countdown())
        self._entered = False
        self._token_over = False
        self._trouble: TaskRouterError | None = None  # of the connection
        self._wanted: str | None = None  # the activity that was chosen last
        self._sent: str | None = None  # the one that the service was asked for
        self._asked: set[str] = set()  # activities that the agent asked for, whose event may still come
        self._activity_sid = ""
        self.view = View(Connection(Link.OUT, "Not logged in"))

    # Coming and going

    def log_in(self, login: Login) -> None:
        """Begin a session, and return at once.

        Raises:
            LoginError: what was given cannot be right.
        """
        login = login.checked()
        self.log_out()
        self._notices.clear()
        self._service = TokenService(login.service, login.user, login.password) if login.service else None
        options: WorkerOptions = {**self._options, **login.endpoints(), "token_provider": self._service}
        try:
            worker = SyncWorker(login.token or None, deliver=self._deliver, **options)
        except (TypeError, ValueError) as error:
            raise LoginError(_sentence(str(error))) from None
        self._worker = worker
        self._listen(worker)
        worker.start()
        self._refresh()

    def _listen(self, worker: SyncWorker) -> None:
        def here(handler: Callable[..., None]) -> Callable[..., None]:
            # A handler may still be on its way here when its session has ended: then it is not called.
            return partial(self._if_present, worker, handler)

        worker.on("ready", here(self._ready))
        worker.on("reservationCreated", here(self._offered))
        worker.on("reservationMissed", here(self._missed))
        worker.on("reservationFailed", here(self._not_offered))
        worker.on("activityUpdated", here(self._moved))
        worker.on("attributesUpdated", here(self._refresh_for))
        worker.on("disconnected", here(self._refresh_for))
        worker.on("tokenExpired", here(self._expired))
        worker.on("tokenUpdated", here(self._renewed))
        worker.on("error", here(self._failed))

    def log_out(self) -> None:
        """End the session; nothing of it is left when this returns."""
        worker, self._worker = self._worker, None
        self._directory.close()
        if worker is not None:
            worker.disconnect(CLOSING_SECONDS)
        self._memory = Memory(Countdown())
        self._entered = self._token_over = False
        self._trouble = self._wanted = self._sent = self._service = None
        self._activity_sid = ""
        self._asked.clear()
        self._refresh()

    def renew(self, token: str) -> None:
        """Go on with another token, after the old one has run out.

        Raises:
            LoginError: that is no token.
        """
        token = token.strip()
        try:
            self._here.update_token(token)
        except (ValueError, TaskRouterError) as error:
            raise LoginError(_sentence(str(error))) from None

    def tick(self) -> None:
        """Notice what no event tells: that time has passed, and how the session stands."""
        self._notices.expire(time.monotonic())
        self._refresh()

    # What an agent does

    def accept(self, sid: str) -> None:
        """Take the offer."""
        self._command(sid, "Accepting", "accept", lambda it: it.accept)

    def reject(self, sid: str) -> None:
        """Leave the offer to others."""
        self._command(sid, "Rejecting", "reject", lambda it: it.reject)

    def wrap_up(self, sid: str) -> None:
        """Go over to after-work."""
        self._command(sid, "Wrapping up", "wrap up", lambda it: it.wrap)

    def complete(self, sid: str) -> None:
        """Finish this agent's part; the task ends with its last part."""
        self._command(sid, "Completing", "complete", lambda it: it.complete)

    def transfer(self, sid: str, target_sid: str, target_name: str, *, stay: bool) -> None:
        """Hand the task to a colleague or queue.

        Args:
            sid: the reservation's.
            target_sid: ``WK...`` or ``WQ...``.
            target_name: as the agent knows it.
            stay: remain on the task beside the colleague (TaskRouter's mode WARM); otherwise this agent goes
                over to wrapping up once it is accepted (COLD).
        """
        self._memory.target_names[target_sid] = target_name
        self._command(
            sid,
            "Handing over",
            "hand over",
            lambda it: it.task.transfer,
            target_sid,
            mode="WARM" if stay else "COLD",
        )

    def cancel_transfer(self, sid: str) -> None:
        """Take a transfer back that nobody has accepted yet."""
        reservation = self._here.reservations.get(sid)
        outgoing = reservation.task.transfers.outgoing if reservation else None
        if outgoing is not None:
            self._command(sid, "Taking it back", "take back", lambda _: outgoing.cancel)

    def choose_activity(self, sid: str) -> None:
        """Go over to an activity. It shows at once, and goes back if the service refuses.

        While one choice is on its way, later ones wait, and only the last of them is sent.
        """
        if sid in self._here.activities:
            self._wanted = sid
            self._send_activity()
            self._refresh()

    def find_targets(self, told: Callable[[Found], object]) -> None:
        """Fetch whom a task can be handed to, and have `told` called with it."""
        self._directory.fetch(self._here, told)

    def dismiss(self, number: int) -> None:
        """The agent has read a notice."""
        self._notices.dismiss(number)
        self._refresh()

    # What happens

    @property
    def _here(self) -> SyncWorker:
        if self._worker is None:
            raise LoginError("You are not logged in.")
        return self._worker

    def _if_present(self, worker: SyncWorker, handler: Callable[..., None], *args: Any) -> None:
        if worker is self._worker:
            handler(*args)

    def _ready(self, worker: SyncWorker) -> None:
        if not self._entered:
            logger.info("%s is logged in", worker.name)
        self._entered = True
        self._trouble = None
        if not self._activity_sid:
            self._activity_sid = worker.activity_sid
        for reservation in worker.reservations.values():
            if reservation.status != "pending":
                self._follow(reservation)
        self._refresh()

    def _offered(self, reservation: SyncReservation) -> None:
        self._memory.begin(reservation, just_made=reservation.origin == "event")
        self._follow(reservation)
        self._refresh()

    def _follow(self, reservation: SyncReservation) -> None:
        """Listen to a reservation and its task, once."""
        if not self._memory.is_new(reservation.sid):
            return
        here = partial(self._if_present, self._here)
        for event in ("accepted", "wrapup"):
            reservation.on(event, partial(here, self._refresh_for))
        reservation.on("ended", partial(here, self._ended))
        reservation.task.on("updated", partial(here, self._refresh_for))
        reservation.task.on("transferInitiated", partial(here, self._handing_over))
        if (outgoing := reservation.task.transfers.outgoing) is not None:
            self._handing_over(outgoing)

    def _handing_over(self, outgoing: SyncOutgoingTransfer) -> None:
        if self._memory.is_new(outgoing.sid):
            outgoing.on("ended", partial(self._if_present, self._here, self._refresh_for))
        self._refresh()

    def _ended(self, reservation: SyncReservation) -> None:
        text = sentences.outcome(self._memory.title(reservation), reservation.outcome or "")
        if text is not None and reservation.sid not in self._memory.busy:
            self._notices.add(Severity.WARNING, text)
        self._memory.forget(reservation.sid)
        self._refresh()

    def _missed(self, reservation: SyncReservation) -> None:
        title = self._memory.title(reservation)
        self._notices.add(
            Severity.WARNING, f"“{title}” was offered while you were disconnected, and is gone."
        )
        self._refresh()

    def _not_offered(self, _: dict[str, object]) -> None:
        self._notices.add(
            Severity.WARNING, "A task that was made for you could not be offered: you have no room for it."
        )
        self._refresh()

    def _moved(self, worker: SyncWorker) -> None:
        before, now = self._activity_sid, worker.activity_sid
        self._activity_sid = now
        own = now in self._asked
        self._asked.discard(now)
        if not own and now != before and not worker.available:
            self._notices.add(
                Severity.WARNING,
                f"You were moved to {worker.activity_name} and get no tasks. "
                "Choose another activity when you are back.",
            )
        self._refresh()

    def _expired(self) -> None:
        self._token_over = self._service is None
        self._refresh()

    def _renewed(self) -> None:
        self._token_over = False
        self._refresh()

    def _failed(self, error: TaskRouterError) -> None:
        if isinstance(error.__cause__, ServiceRefusedError) and not self._entered:
            self._end(sentences.ending(error.__cause__))
            return
        if error.ends_session:
            self._end(sentences.ending(error))
            return
        if isinstance(error, TokenProviderError | HandlerError):
            self._notices.add(Severity.ERROR, sentences.trouble(error))
        else:
            self._trouble = error  # told by the connection's state
        self._refresh()

    def _refresh_for(self, _: object) -> None:
        self._refresh()

    def _end(self, why: str) -> None:
        """The session is over, and not because the agent wanted it."""
        self.log_out()
        self._notices.clear()
        self._notices.add(Severity.ERROR, why)
        self._refresh()

    # Commands

    def _command(
        self,
        sid: str,
        busy: str,
        verb: str,
        command: Callable[[SyncReservation], Any],  # Any: a command of the reservation or its task
        *args: Any,
        **options: Any,
    ) -> None:
        """Start a command for a reservation, one at a time, and tell what becomes of it."""
        worker = self._here
        reservation = worker.reservations.get(sid)
        if reservation is None or sid in self._memory.busy:
            return
        doing = f"{verb} “{self._memory.title(reservation)}”"
        self._submit(
            worker, doing, lambda _: self._memory.busy.pop(sid, None), command(reservation), *args, **options
        )
        self._memory.busy[sid] = busy
        self._refresh()

    def _submit(
        self,
        worker: SyncWorker,
        doing: str,
        over: Callable[[BaseException | None], object],
        command: Any,
        *args: Any,
        **options: Any,
    ) -> None:
        def answered(future: Future[Any]) -> None:
            if worker is not self._worker:
                return  # the agent has logged out meanwhile
            error = future.exception()
            over(error)
            if error is not None:
                self._notices.add(Severity.ERROR, sentences.failed(doing, error))
            self._refresh()

        try:
            future = worker.submit(command, *args, **options)
        except TaskRouterError as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            self._deliver(partial(answered, failed))
            return
        worker.when_done(future, answered)

    def _send_activity(self) -> None:
        worker = self._here
        if self._sent is not None or self._wanted is None:
            return
        activity = worker.activities.get(self._wanted)
        if activity is None or activity.is_current:
            self._wanted = None
            return
        self._sent = self._wanted
        self._asked.add(self._sent)
        self._submit(worker, f"go to {activity.name}", self._activity_answered, activity.set_as_current)

    def _activity_answered(self, error: BaseException | None) -> None:
        sent, self._sent = self._sent, None
        if error is not None:
            self._asked.discard(sent or "")
        if self._wanted == sent:
            self._wanted = None
        else:
            self._send_activity()

    # The picture

    def _refresh(self) -> None:
        view = self._picture()
        if view != self.view:
            self.view = view
            self._changed()

    def _picture(self) -> View:
        worker, now = self._worker, time.monotonic()
        notices = self._notices.shown
        link = connection_of(
            worker.state if worker is not None else None,
            entered=self._entered,
            token_over=self._token_over,
            renews_itself=self._service is not None,
            trouble=self._trouble,
        )
        link = self._memory.since(link, now)
        if worker is None or not self._entered:
            return View(link, notices=notices)
        choices = [ActivityChoice(a.sid, a.name, a.available) for a in worker.activities.values()]
        choices.sort(key=lambda choice: (not choice.takes_work, choice.name.casefold()))
        shown_sid = self._wanted or self._sent or worker.activity_sid
        current = next((choice for choice in choices if choice.sid == shown_sid), None)
        allowed = self._allowed_names(worker)
        reservations = sorted(worker.reservations.values(), key=_age)
        for it in reservations:
            self._memory.place(it.sid)
        reservations.sort(key=lambda it: self._memory.place(it.sid))
        return View(
            link,
            agent=worker.name,
            activities=tuple(c for c in choices if allowed is None or c.name in allowed),
            activity=current,
            changing_activity=self._wanted is not None or self._sent is not None,
            offers=tuple(offer_of(it, self._memory) for it in reservations if it.status == "pending"),
            works=tuple(
                work_of(it, self._memory, now) for it in reservations if it.status in ("accepted", "wrapping")
            ),
            notices=notices,
            renews_itself=self._service is not None,
        )

    def _allowed_names(self, worker: SyncWorker) -> frozenset[str] | None:
        if self._allowed is not None:
            return self._allowed
        listed = worker.attributes.get("allowed_activities")
        return frozenset(map(str, listed)) if isinstance(listed, list) else None


def _age(reservation: SyncReservation) -> tuple[float, str]:
    made = reservation.date_created
    return (made.timestamp() if made else 0.0, reservation.sid)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
