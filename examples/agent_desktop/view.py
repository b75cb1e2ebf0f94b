"""What there is to see, as plain values: a front end shows them and knows nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = [
    "ActivityChoice",
    "Attribute",
    "Connection",
    "Handover",
    "Link",
    "Notice",
    "Offer",
    "Severity",
    "View",
    "Work",
    "customer_of",
    "flattened",
    "title_of",
]

TITLES = ("title", "subject", "topic", "name", "type")
CUSTOMERS = ("customer", "customer_name", "caller", "from", "outbound_to")


class Severity(StrEnum):
    """How much a message matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Link(StrEnum):
    """How the session stands, as an agent would put it."""

    OUT = "out"  # not logged in
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    NEEDS_TOKEN = "needs_token"  # noqa: S105 - no secret


@dataclass(frozen=True)
class Connection:
    """The state of the connection.

    Attributes:
        link: how it stands.
        headline: in a word or two.
        detail: a sentence; empty while all is well.
        since: when it came to be so, on the monotonic clock.
    """

    link: Link
    headline: str
    detail: str = ""
    since: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class ActivityChoice:
    """An activity that the agent may choose.

    Attributes:
        takes_work: whether tasks are offered in it.
    """

    sid: str
    name: str
    takes_work: bool


@dataclass(frozen=True)
class Attribute:
    """One of a task's attributes, its value as text."""

    name: str
    value: str


@dataclass(frozen=True)
class Offer:
    """A reservation that waits for an answer.

    Attributes:
        sid: the reservation's.
        deadline: on the monotonic clock; None if it does not end by itself.
        seconds: how long it waits in all.
        busy: what is under way, such as ``Accepting``; empty if nothing is.
        sender: the colleague who hands it over; empty if it comes from a queue.
    """

    sid: str
    title: str
    customer: str
    queue: str
    channel: str
    priority: int
    attributes: tuple[Attribute, ...]
    deadline: float | None
    seconds: float
    busy: str = ""
    sender: str = ""


@dataclass(frozen=True)
class Handover:
    """A transfer that the agent started."""

    sid: str
    target: str
    status: str

    @property
    def is_open(self) -> bool:
        """Whether nobody has taken it yet."""
        return self.status == "initiated"

    @property
    def sentence(self) -> str:
        """How it stands."""
        match self.status:
            case "initiated":
                return f"Being handed to {self.target}: waiting for somebody to accept."
            case "complete":
                return (
                    f"{self.target} has accepted. You are still on the task: wrap up or complete your part."
                )
            case "failed":
                return f"Nobody at {self.target} accepted. The task is still yours."
            case "canceled":
                return "You took the transfer back. The task is still yours."
            case _:
                return "The transfer ended while you were disconnected; nobody knows how."


@dataclass(frozen=True)
class Work:
    """A task that the agent has accepted.

    Attributes:
        sid: the reservation's.
        wrapping: whether it is being wrapped up.
        since: when it was accepted, on the monotonic clock, as far as this program saw it.
        busy: what is under way; empty if nothing is.
        handover: the latest transfer away from here, None if there was none.
    """

    sid: str
    title: str
    customer: str
    queue: str
    channel: str
    priority: int
    attributes: tuple[Attribute, ...]
    wrapping: bool
    since: float
    busy: str = ""
    handover: Handover | None = None


@dataclass(frozen=True)
class Notice:
    """A message to the agent.

    Attributes:
        until: when it goes away by itself, on the monotonic clock; None: when it is dismissed.
    """

    number: int
    severity: Severity
    text: str
    until: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class View:
    """Everything that a front end shows. Two that are equal look the same."""

    connection: Connection
    agent: str = ""
    activities: tuple[ActivityChoice, ...] = ()
    activity: ActivityChoice | None = None
    changing_activity: bool = False
    offers: tuple[Offer, ...] = ()
    works: tuple[Work, ...] = ()
    notices: tuple[Notice, ...] = ()
    renews_itself: bool = False

    @property
    def is_logged_in(self) -> bool:
        """Whether there is a session, however it stands."""
        return self.connection.link is not Link.OUT


def title_of(attributes: Mapping[str, Any], channel: str) -> str:  # Any: JSON
    """What a task is called: its first telling attribute, or its channel."""
    for name in TITLES:
        value = attributes.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return f"A task on {channel}" if channel else "A task"


def customer_of(attributes: Mapping[str, Any]) -> str:  # Any: JSON
    """Who it is about; empty if no attribute says so."""
    for name in CUSTOMERS:
        value = attributes.get(name)
        if isinstance(value, Mapping):
            value = value.get("name")
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def flattened(attributes: Mapping[str, Any], *, below: str = "") -> tuple[Attribute, ...]:  # Any: JSON
    """Attributes in their order, nested ones with a dotted name."""
    found: list[Attribute] = []
    for name, value in attributes.items():
        path = f"{below}.{name}" if below else str(name)
        if isinstance(value, Mapping) and value:
            found += flattened(value, below=path)
        else:
            found.append(Attribute(path, _shown(value)))
    return tuple(found)


def _shown(value: object) -> str:
    match value:
        case None | "" | [] | {}:
            return "–"  # noqa: RUF001 - a dash, as a person would write it
        case True:
            return "yes"
        case False:
            return "no"
        case list():
            return ", ".join(_shown(item) for item in value)
        case dict():
            return ", ".join(f"{name}: {_shown(item)}" for name, item in value.items())
        case _:
            return str(value)
