"""From the SDK's objects to what an agent sees."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from taskrouter_worker import ConnectionFailedError, SessionState, TaskRouterError
from taskrouter_worker.sync import SyncReservation

from .countdown import Countdown
from .view import Attribute, Connection, Handover, Link, Offer, Work, customer_of, flattened, title_of

__all__ = ["Memory", "connection_of", "offer_of", "work_of"]


@dataclass
class Memory:
    """What the SDK does not keep: when things were seen here, and what is under way.

    Attributes:
        countdown: the deadlines of offers.
        busy: by reservation, the command that is under way.
        target_names: whom tasks were handed to, by SID.
    """

    countdown: Countdown
    busy: dict[str, str] = field(default_factory=dict)
    target_names: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _places: Iterator[int] = field(default_factory=itertools.count)
    _accepted: dict[str, float] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _link: Connection | None = None

    def is_new(self, sid: str) -> bool:
        """Whether this is seen for the first time; it counts as seen from now on."""
        new = sid not in self._known
        self._known.add(sid)
        return new

    def begin(self, reservation: SyncReservation, *, just_made: bool) -> None:
        """An offer was told of."""
        made = reservation.date_created
        self.countdown.begin(
            reservation.sid,
            just_made=just_made,
            made_at=made.timestamp() if made else None,
            seconds=reservation.timeout,
            wall=time.time(),
            now=time.monotonic(),
        )

    def place(self, sid: str) -> int:
        """In which order things were seen: dates have whole seconds only."""
        if sid not in self._seen:
            self._seen[sid] = next(self._places)
        return self._seen[sid]

    def accepted_at(self, sid: str, now: float) -> float:
        """Since when it is worked on, as far as was seen here."""
        return self._accepted.setdefault(sid, now)

    def since(self, link: Connection, now: float) -> Connection:
        """The connection, with the moment since when it is so."""
        if self._link is None or self._link.link is not link.link:
            link = replace(link, since=now)
        else:
            link = replace(link, since=self._link.since)
        self._link = link
        return link

    def title(self, reservation: SyncReservation) -> str:
        """What its task is called."""
        task = reservation.task
        return title_of(task.attributes, task.task_channel_unique_name or "")

    def forget(self, sid: str) -> None:
        """A reservation has ended."""
        self.countdown.forget(sid)
        self.busy.pop(sid, None)
        self._accepted.pop(sid, None)
        self._seen.pop(sid, None)
        self._known.discard(sid)


def offer_of(reservation: SyncReservation, memory: Memory) -> Offer:
    """The offer that a pending reservation is."""
    task, attributes = reservation.task, reservation.task.attributes
    transfer = reservation.transfer
    return Offer(
        sid=reservation.sid,
        title=memory.title(reservation),
        customer=customer_of(attributes),
        queue=task.queue_name or "",
        channel=_channel(reservation),
        priority=task.priority,
        attributes=_further(reservation, memory),
        deadline=memory.countdown.deadline(reservation.sid),
        seconds=reservation.timeout or 0.0,
        busy=memory.busy.get(reservation.sid, ""),
        sender="a colleague" if transfer is not None else "",
    )


def work_of(reservation: SyncReservation, memory: Memory, now: float) -> Work:
    """The work that an accepted reservation is."""
    task, attributes = reservation.task, reservation.task.attributes
    outgoing = task.transfers.outgoing
    return Work(
        sid=reservation.sid,
        title=memory.title(reservation),
        customer=customer_of(attributes),
        queue=task.queue_name or "",
        channel=_channel(reservation),
        priority=task.priority,
        attributes=_further(reservation, memory),
        wrapping=reservation.status == "wrapping",
        since=memory.accepted_at(reservation.sid, now),
        busy=memory.busy.get(reservation.sid, ""),
        handover=None
        if outgoing is None
        else Handover(outgoing.sid, memory.target_names.get(outgoing.to, outgoing.to), outgoing.status),
    )


def _channel(reservation: SyncReservation) -> str:
    """The channel, where there is something to tell about it."""
    name = reservation.task.task_channel_unique_name or ""
    return "" if name == "default" else name


def _further(reservation: SyncReservation, memory: Memory) -> tuple[Attribute, ...]:
    """The attributes that the card's head does not show already."""
    attributes = reservation.task.attributes
    head = (memory.title(reservation), customer_of(attributes))
    return tuple(item for item in flattened(attributes) if item.value not in head)


def connection_of(
    state: SessionState | None,
    *,
    entered: bool,
    token_over: bool,
    renews_itself: bool,
    trouble: TaskRouterError | None,
) -> Connection:
    """The session's state in the agent's words.

    Args:
        state: the session's; None without one.
        entered: whether it was ever ready.
        token_over: whether the token has run out and the agent must give another.
        renews_itself: whether a service gives the next token.
        trouble: the latest failure of the connection, None since it was last ready.
    """
    if state is None:
        return Connection(Link.OUT, "Not logged in")
    if state is SessionState.TOKEN_EXPIRED or token_over:
        if renews_itself:
            return Connection(Link.LOST, "Renewing", "Your token has run out; the next one is being fetched.")
        return Connection(
            Link.NEEDS_TOKEN,
            "Token expired",
            "Your token has run out. Paste a new one: your tasks stay yours meanwhile.",
        )
    if state is SessionState.READY:
        return Connection(Link.CONNECTED, "Connected")
    if not entered:
        if isinstance(trouble, ConnectionFailedError):
            return Connection(
                Link.CONNECTING,
                "Connecting",
                "The server cannot be reached. It is tried again by itself; check the address and your "
                "network.",
            )
        return Connection(Link.CONNECTING, "Connecting", "Logging in …")
    return Connection(
        Link.LOST,
        "Reconnecting",
        "The connection is lost and being restored by itself. What you see may be out of date, and no new "
        "tasks arrive meanwhile.",
    )
