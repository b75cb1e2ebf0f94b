"""The record of callbacks: what was sent where, how long it took, what came back.

Kept in memory for whoever wants to know why an application did not hear of something. It holds no
secrets of ours: passwords and query values of addresses are masked, signatures are not kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit, urlunsplit

__all__ = ["Deliveries", "Delivery", "DeliveryKind", "DeliveryOutcome", "masked"]

KEPT: Final = 1_000
"""How many deliveries are kept; older ones are forgotten."""

ANSWER_SHOWN: Final = 1_024
"""Characters of an answer that are kept."""


class DeliveryKind(StrEnum):
    """What a callback is for."""

    ASSIGNMENT = "assignment"  # a workflow's assignment callback
    EVENT = "event"  # a workspace's event callback
    STATUS = "status"  # the status callback of an instruction


class DeliveryOutcome(StrEnum):
    """How a delivery ended."""

    DELIVERED = "delivered"  # it was answered, and the answer could be used
    FAILED = "failed"  # no answer, or one that could not be used
    REFUSED = "refused"  # never sent: this server does not call that address


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request to an application's server.

    Attributes:
        number: rises by one with each delivery of the server.
        workspace_sid: where it comes from.
        kind: what it is for.
        sid: the reservation of an assignment, the event of an event callback, the call or conference
            of a status callback.
        event_type: of an event callback; of a status callback the call's status.
        method, url: the request, the address with password and query values masked.
        parameters: what was sent.
        at: when it was sent, in epoch seconds by the workspace's clock.
        seconds: how long it took, in real time.
        outcome: how it ended.
        status: HTTP status of the answer; None if there was none.
        answer: the beginning of the answer's body.
        code: TaskRouter's code of what was wrong with it, None if nothing was.
        reason: what was wrong, or what became of the answer; empty if there is nothing to say.
        is_fallback: whether it went to the fallback address.
    """

    number: int
    workspace_sid: str
    kind: DeliveryKind
    sid: str
    event_type: str
    method: str
    url: str
    parameters: Mapping[str, str] = field(repr=False)  # customers' attributes
    at: float
    seconds: float
    outcome: DeliveryOutcome
    status: int | None = None
    answer: str = field(default="", repr=False)
    code: int | None = None
    reason: str = ""
    is_fallback: bool = False


class Deliveries:
    """The last deliveries, oldest first. Iterable, with a length."""

    def __init__(self) -> None:
        self._kept: deque[Delivery] = deque(maxlen=KEPT)
        self._count = 0
        self._dropped: Counter[tuple[str, DeliveryKind]] = Counter()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __iter__(self) -> Iterator[Delivery]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> Delivery:
        return self._kept[index]

    def of(self, workspace_sid: str, *, kind: DeliveryKind | None = None) -> list[Delivery]:
        """The kept deliveries of one workspace, oldest first."""
        return [
            delivery
            for delivery in self._kept
            if delivery.workspace_sid == workspace_sid and kind in (None, delivery.kind)
        ]

    def dropped(self, workspace_sid: str) -> dict[DeliveryKind, int]:
        """How many callbacks of the workspace were never sent: too many waited, or the server stopped."""
        return {kind: self._dropped[workspace_sid, kind] for kind in DeliveryKind}

    async def settled(self) -> None:
        """Wait until no callback waits or is under way, and what was answered is carried out."""
        await self._idle.wait()

    # --- For the callbacks themselves ---------------------------------------------------------

    def next_number(self) -> int:
        """The number of the next delivery."""
        self._count += 1
        return self._count

    def add(self, delivery: Delivery) -> None:
        """Keep a delivery that has ended."""
        self._kept.append(delivery)

    def drop(self, workspace_sid: str, kind: DeliveryKind, number: int = 1) -> int:
        """Count what is never sent; the number of all drops of that kind so far."""
        self._dropped[workspace_sid, kind] += number
        return self._dropped[workspace_sid, kind]

    def forget(self, workspace_sid: str) -> None:
        """The workspace was deleted."""
        for kind in DeliveryKind:
            self._dropped.pop((workspace_sid, kind), None)
        kept = [delivery for delivery in self._kept if delivery.workspace_sid != workspace_sid]
        self._kept = deque(kept, maxlen=KEPT)

    def began(self) -> None:
        """One more callback waits or is under way."""
        self._under_way += 1
        self._idle.clear()

    def ended(self, number: int = 1) -> None:
        """So many fewer."""
        self._under_way -= number
        if not self._under_way:
            self._idle.set()


def masked(url: str) -> str:
    """The address without what may be secret in it: a password, and the values of its query."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "an address that cannot be read"
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    netloc = ("***@" if parts.username is not None else "") + shown + (f":{port}" if port is not None else "")
    query = "&".join(
        f"{name}{mark}***" if mark else "***"
        for name, mark, _ in (pair.partition("=") for pair in parts.query.split("&") if pair)
    )
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))
