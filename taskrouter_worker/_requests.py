"""What each action sends: pure builders of the event bridge's requests. All routes live here.

Names, routes and parameters are the event bridge's, as the JavaScript SDK sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from .terms import ReservationStatus, SidPrefix, TaskStatus, TransferStatus, is_sid

__all__ = ["Json", "Request", "Routes", "WorkspaceRoutes", "check_sid", "pascal_case", "present"]

Json = object
"""A value that JSON can show."""

PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One inner request; the transport wraps it into the envelope and adds the token."""

    method: Literal["GET", "POST"]
    path: str
    params: Mapping[str, Json] = field(default_factory=dict[str, Json])
    version: str | None = None  # sent as If-Match
    api_version: Literal["v1", "v2"] = "v1"

    @property
    def is_read(self) -> bool:
        """Whether repeating it changes nothing."""
        return self.method == "GET"


def check_sid(value: object, name: str, *prefixes: SidPrefix) -> str:
    """Return `value` if it is a SID of one of these kinds.

    Raises:
        TypeError: not text.
        ValueError: another shape, or another prefix.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {type(value).__name__}: {value!r}")
    if not is_sid(value, *prefixes):
        kinds = " or ".join(prefixes)
        raise ValueError(f"{name} must be {kinds} and 32 hexadecimal digits, got {value!r}")
    return value


def present(params: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters that were given: None means "not given", falsy values are kept."""
    return {name: value for name, value in params.items() if value is not None}


def utc_seconds(moment: datetime) -> str:
    """`moment` in UTC as the event bridge takes dates: whole seconds and a Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Routes:
    """The requests of one worker in its workspace, whose SIDs `init` told."""

    __slots__ = ("_worker", "_workspace", "worker_sid", "workspace_sid")

    def __init__(self, workspace_sid: str, worker_sid: str) -> None:
        self.workspace_sid = workspace_sid
        self.worker_sid = worker_sid
        self._workspace = f"Workspaces/{workspace_sid}"
        self._worker = f"{self._workspace}/Workers/{worker_sid}"

    # Snapshot and lists

    def worker(self) -> Request:
        """The worker itself."""
        return Request(method="GET", path=self._worker)

    def activities(self, after_sid: str | None = None) -> Request:
        """One page of the workspace's activities."""
        return _page(f"{self._workspace}/Activities", after_sid)

    def channels(self, after_sid: str | None = None) -> Request:
        """One page of the worker's channels."""
        return _page(f"{self._worker}/WorkerChannels", after_sid)

    def active_reservations(self, after_sid: str | None = None) -> Request:
        """One page of the reservations that are pending, accepted or wrapping, with their tasks."""
        # "true" is text on the wire, not a boolean: so sends the JavaScript SDK.
        return _page(f"{self._worker}/Reservations", after_sid, {"Active": "true"}, "v2")

    def all_reservations(self, after_sid: str | None = None) -> Request:
        """One page of all the reservations that the service still keeps."""
        return _page(f"{self._worker}/Reservations", after_sid, {}, "v2")

    # Worker

    def set_worker_attributes(self, attributes: Mapping[str, Json], version: str | None) -> Request:
        """Replace the worker's attributes."""
        return Request(method="POST", path=self._worker, params={"Attributes": attributes}, version=version)

    def set_activity(
        self, activity_sid: str, version: str | None, *, reject_pending_reservations: bool | None = None
    ) -> Request:
        """Move the worker to an activity."""
        params = present(
            {"ActivitySid": activity_sid, "RejectPendingReservations": reject_pending_reservations}
        )
        return Request(method="POST", path=self._worker, params=params, version=version)

    def create_task(
        self,
        *,
        to: str,
        from_: str,
        workflow_sid: str,
        task_queue_sid: str,
        attributes: Mapping[str, Json],
        task_channel_unique_name: str | None,
        task_channel_sid: str | None,
        virtual_start_time: datetime | None,
    ) -> Request:
        """A task for this worker itself; `to` and `from_` win over attributes of those names."""
        params = present(
            {
                "WorkflowSid": workflow_sid,
                "TaskQueueSid": task_queue_sid,
                "RoutingTarget": self.worker_sid,
                "Attributes": {**attributes, "outbound_to": to, "from": from_},
                "VirtualStartTime": utc_seconds(virtual_start_time) if virtual_start_time else None,
                "TaskChannelUniqueName": task_channel_unique_name,
                "TaskChannelSid": task_channel_sid,
            }
        )
        return Request(method="POST", path=f"{self._workspace}/Tasks", params=params)

    # Reservation

    def reservation(self, sid: str) -> Request:
        """One reservation, complete."""
        return Request(method="GET", path=f"{self._worker}/Reservations/{sid}")

    def update_reservation(
        self,
        sid: str,
        status: ReservationStatus,
        version: str | None,
        *,
        worker_activity_sid: str | None = None,
    ) -> Request:
        """Move a reservation on."""
        params = present({"ReservationStatus": status.value, "WorkerActivitySid": worker_activity_sid})
        return Request(
            method="POST", path=f"{self._worker}/Reservations/{sid}", params=params, version=version
        )

    def instruct_reservation(self, sid: str, params: Mapping[str, Json]) -> Request:
        """Carry out an instruction on a reservation; `params` holds it and its options."""
        return Request(method="POST", path=f"{self._worker}/Reservations/{sid}", params=params)

    def update_worker_participant(self, reservation_sid: str, params: Mapping[str, Json]) -> Request:
        """Change the worker's own leg of the conference."""
        return Request(
            method="POST",
            path=f"{self._worker}/WorkerParticipant",
            params={"ReservationSid": reservation_sid, **params},
            api_version="v2",
        )

    # Task

    def task(self, sid: str) -> Request:
        """One task."""
        return Request(method="GET", path=f"{self._workspace}/Tasks/{sid}")

    def update_task_status(
        self, sid: str, status: TaskStatus, version: str | None, *, reason: str | None
    ) -> Request:
        """Wrap up or complete a task."""
        params = present({"AssignmentStatus": status.value, "Reason": reason})
        return Request(method="POST", path=f"{self._workspace}/Tasks/{sid}", params=params, version=version)

    def set_task_attributes(self, sid: str, attributes: Mapping[str, Json], version: str | None) -> Request:
        """Replace a task's attributes."""
        return Request(
            method="POST",
            path=f"{self._workspace}/Tasks/{sid}",
            params={"Attributes": attributes},
            version=version,
        )

    def set_virtual_start_time(self, sid: str, moment: datetime, version: str | None) -> Request:
        """Move a task in its queue."""
        return Request(
            method="POST",
            path=f"{self._workspace}/Tasks/{sid}",
            params={"VirtualStartTime": utc_seconds(moment)},
            version=version,
        )

    def update_customer_participant(self, task_sid: str, params: Mapping[str, Json]) -> Request:
        """Change the customer's leg of the conference."""
        return self._participant("CustomerParticipant", task_sid, params)

    def hold_worker_participant(self, task_sid: str, params: Mapping[str, Json]) -> Request:
        """Put another worker of the conference on hold, or take it off."""
        return self._participant("HoldWorkerParticipant", task_sid, params)

    def kick_worker_participant(self, task_sid: str, worker_sid: str) -> Request:
        """Remove another worker from the conference."""
        return self._participant("KickWorkerParticipant", task_sid, {"TargetWorkerSid": worker_sid})

    def _participant(self, route: str, task_sid: str, params: Mapping[str, Json]) -> Request:
        return Request(
            method="POST",
            path=f"{self._worker}/{route}",
            params={"TaskSid": task_sid, **params},
            api_version="v2",
        )

    # Transfers

    def transfer(
        self,
        *,
        reservation_sid: str,
        task_sid: str,
        to: str,
        attributes: Mapping[str, Json] | None,
        mode: str | None,
        priority: int | None,
    ) -> Request:
        """Hand a task to another worker or to a queue."""
        params = present(
            {
                "ReservationSid": reservation_sid,
                "TaskSid": task_sid,
                "To": to,
                "Attributes": attributes,
                "Mode": mode,
                "Priority": priority,
            }
        )
        return Request(method="POST", path=f"{self._worker}/Transfers", params=params, api_version="v2")

    def cancel_transfer(self, sid: str, task_sid: str) -> Request:
        """Take a transfer back."""
        return Request(
            method="POST",
            path=f"{self._worker}/Transfers/{sid}",
            params={"TaskSid": task_sid, "TransferStatus": TransferStatus.CANCELED.value},
            api_version="v2",
        )


class WorkspaceRoutes:
    """The requests that read a workspace, and those of a supervisor in it."""

    __slots__ = ("_workspace", "workspace_sid")

    def __init__(self, workspace_sid: str) -> None:
        self.workspace_sid = workspace_sid
        self._workspace = f"Workspaces/{workspace_sid}"

    def worker(self, sid: str) -> Request:
        """One worker."""
        return Request(method="GET", path=f"{self._workspace}/Workers/{sid}")

    def workers(self, params: Mapping[str, Json]) -> Request:
        """One page of the workers."""
        return Request(method="GET", path=f"{self._workspace}/Workers", params=params)

    def task_queue(self, sid: str) -> Request:
        """One task queue."""
        return Request(method="GET", path=f"{self._workspace}/TaskQueues/{sid}")

    def task_queues(self, params: Mapping[str, Json]) -> Request:
        """One page of the task queues."""
        return Request(method="GET", path=f"{self._workspace}/TaskQueues", params=params)

    def task(self, sid: str) -> Request:
        """One task."""
        return Request(method="GET", path=f"{self._workspace}/Tasks/{sid}")

    def update_worker(self, sid: str, params: Mapping[str, Json], version: str | None) -> Request:
        """Change another worker."""
        return Request(method="POST", path=f"{self._workspace}/Workers/{sid}", params=params, version=version)

    def supervise(self, task_sid: str, reservation_sid: str, params: Mapping[str, Json]) -> Request:
        """Join the conference of a reservation."""
        return Request(
            method="POST",
            path=f"{self._workspace}/Tasks/{task_sid}/Reservations/{reservation_sid}",
            params=params,
        )


def pascal_case(options: Iterable[tuple[str, Json]]) -> dict[str, Json]:
    """snake_case option names as the wire's PascalCase; None is left out."""
    return {
        "".join(part[:1].upper() + part[1:] for part in name.strip("_").split("_")): value
        for name, value in options
        if value is not None
    }


def _page(
    path: str,
    after_sid: str | None,
    params: Mapping[str, Json] | None = None,
    api_version: Literal["v1", "v2"] = "v1",
) -> Request:
    return Request(
        method="GET",
        path=path,
        params=present({**(params or {}), "PageSize": PAGE_SIZE, "AfterSid": after_sid}),
        api_version=api_version,
    )
