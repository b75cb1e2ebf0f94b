"""What the fixtures of `conftest` give."""

from __future__ import annotations

from dataclasses import dataclass

from examples.contact_center_app.service import EventStore
from server_stub.testing import WorkerHandle, WorkflowHandle

PASSWORD = "open sesame"  # noqa: S105 - of a service that lives for one test


@dataclass(frozen=True)
class Desk:
    """The contact centre: a bot, a person, and the workflow between them."""

    robo: WorkerHandle
    nina: WorkerHandle
    workflow: WorkflowHandle


@dataclass(frozen=True)
class Service:
    """The service, listening."""

    url: str
    events: EventStore
