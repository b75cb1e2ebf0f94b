"""The event bridge's routes: one table of inner requests with their parameters, rules and actions.

Routes, parameters and answers are the event bridge's, as the JavaScript SDK uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server_stub.domain.workspace import Workspace
from server_stub.replies import ApiError, method_not_allowed

from . import actions, rules
from .call import Call
from .parameters import (
    HOLD,
    INSTRUCTION,
    PAGING,
    SUPERVISE,
    TARGET_WORKER_SID,
    TASK_SID,
    WORKER_PARTICIPANT,
    Param,
    flag,
    integer,
    json_text,
    moment,
    text,
    text_flag,
)

__all__ = ["Path", "Route", "arguments", "find", "not_found"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One inner request that is offered."""

    method: str
    path: str  # names in braces are SIDs
    handle: Callable[[Call], object]
    params: tuple[Param, ...] = ()
    rule: rules.Rule = rules.anyone
    versioned: bool = False  # takes If-Match


_W: Final = "Workspaces/{workspace}"

_ROUTES: Final = (
    Route(method="GET", path=f"{_W}/Workers/{{worker}}", handle=actions.fetch_worker),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}",
        handle=actions.update_worker,
        rule=rules.self_or_supervisor,
        versioned=True,
        params=(
            Param("Attributes", json_text, "attributes"),
            Param("ActivitySid", text, "activity_sid"),
            Param("RejectPendingReservations", flag, "reject_pending_reservations"),
        ),
    ),
    Route(method="GET", path=f"{_W}/Activities", handle=actions.list_activities, params=PAGING),
    Route(
        method="GET",
        path=f"{_W}/Workers/{{worker}}/WorkerChannels",
        handle=actions.list_channels,
        params=PAGING,
    ),
    Route(
        method="GET",
        path=f"{_W}/Workers/{{worker}}/Reservations",
        handle=actions.list_reservations,
        params=(*PAGING, Param("Active", text_flag, "active")),
    ),
    Route(
        method="GET",
        path=f"{_W}/Workers/{{worker}}/Reservations/{{reservation}}",
        handle=actions.fetch_reservation,
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/Reservations/{{reservation}}",
        handle=actions.update_reservation,
        rule=rules.own_reservation,
        versioned=True,
        params=(
            Param("ReservationStatus", text, "status"),
            Param("WorkerActivitySid", text, "worker_activity_sid"),
            Param("Instruction", text, "instruction"),
            *INSTRUCTION,
        ),
    ),
    Route(
        method="POST",
        path=f"{_W}/Tasks/{{task}}/Reservations/{{reservation}}",
        handle=actions.update_reservation,
        rule=rules.supervises,
        versioned=True,
        params=(
            Param("ReservationStatus", text, "status"),
            Param("WorkerActivitySid", text, "worker_activity_sid"),
            Param("Instruction", text, "instruction"),
            *INSTRUCTION,
            *SUPERVISE,
        ),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/WorkerParticipant",
        handle=actions.update_worker_participant,
        rule=rules.own_participants,
        params=(
            Param("ReservationSid", text, "reservation_sid", required=True),
            *WORKER_PARTICIPANT,
        ),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/CustomerParticipant",
        handle=actions.participant_of_task(Workspace.update_customer_participant),
        rule=rules.own_participants,
        params=(TASK_SID, *HOLD),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/HoldWorkerParticipant",
        handle=actions.participant_of_task(Workspace.hold_worker_participant),
        rule=rules.own_participants,
        params=(TASK_SID, TARGET_WORKER_SID, *HOLD),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/KickWorkerParticipant",
        handle=actions.participant_of_task(Workspace.kick_worker_participant),
        rule=rules.own_participants,
        params=(TASK_SID, TARGET_WORKER_SID),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/Transfers",
        handle=actions.create_transfer,
        rule=rules.own_transfer,
        params=(
            Param("ReservationSid", text, "reservation_sid", required=True),
            TASK_SID,
            Param("To", text, "to", required=True),
            Param("Attributes", json_text, "attributes"),
            Param("Mode", text, "mode"),
            Param("Priority", integer, "priority"),
        ),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/Transfers/{{transfer}}",
        handle=actions.update_transfer,
        rule=rules.own_transfer,
        params=(TASK_SID, Param("TransferStatus", text, "status", required=True)),
    ),
    Route(
        method="POST",
        path=f"{_W}/Tasks",
        handle=actions.create_task,
        rule=rules.routed_to_itself,
        params=(
            Param("WorkflowSid", text, "workflow_sid"),
            Param("TaskQueueSid", text, "task_queue_sid"),
            Param("RoutingTarget", text, "routing_target"),
            Param("Attributes", json_text, "attributes"),
            Param("VirtualStartTime", moment, "virtual_start_time"),
            Param("TaskChannelUniqueName", text, "task_channel_name"),
            Param("TaskChannelSid", text, "task_channel_sid"),
        ),
    ),
    Route(method="GET", path=f"{_W}/Tasks/{{task}}", handle=actions.fetch_task),
    Route(
        method="POST",
        path=f"{_W}/Tasks/{{task}}",
        handle=actions.update_task,
        rule=rules.own_task,
        versioned=True,
        params=(
            Param("AssignmentStatus", text, "assignment_status"),
            Param("Reason", text, "reason"),
            Param("Attributes", json_text, "attributes"),
            Param("VirtualStartTime", moment, "virtual_start_time"),
        ),
    ),
    Route(
        method="GET",
        path=f"{_W}/Workers",
        handle=actions.list_workers,
        params=(
            *PAGING,
            Param("FriendlyName", text, "friendly_name"),
            Param("ActivitySid", text, "activity_sid"),
            Param("ActivityName", text, "activity_name"),
            Param("TargetWorkersExpression", text, "expression"),
            Param("Ordering", text, "ordering"),
            Param("NextToken", text, "next_token"),
        ),
    ),
    Route(method="GET", path=f"{_W}/TaskQueues/{{queue}}", handle=actions.fetch_task_queue),
    Route(
        method="GET",
        path=f"{_W}/TaskQueues",
        handle=actions.list_task_queues,
        params=(
            *PAGING,
            Param("FriendlyName", text, "friendly_name"),
            Param("WorkerSid", text, "worker_sid"),
            Param("Ordering", text, "ordering"),
            Param("NextToken", text, "next_token"),
        ),
    ),
)

Path = tuple[str, ...]


def _pattern(path: str) -> Path:
    return tuple(path.split("/"))


def _sids(pattern: Path, path: Path) -> dict[str, str] | None:
    """The SIDs in `path`, which is as long, by their names; None if it does not match."""
    found: dict[str, str] = {}
    for name, segment in zip(pattern, path, strict=True):
        if name.startswith("{") and segment:
            found[name[1:-1]] = segment
        elif name != segment:
            return None
    return found


_TABLE: Final[Mapping[int, Mapping[Path, Mapping[str, Route]]]] = {
    length: {
        pattern: {route.method: route for route in _ROUTES if _pattern(route.path) == pattern}
        for pattern in {_pattern(route.path) for route in _ROUTES}
        if len(pattern) == length
    }
    for length in {len(_pattern(route.path)) for route in _ROUTES}
}
"""By the length of the path, which rules most of them out."""


def find(method: str, path: Path) -> tuple[Route, dict[str, str]]:
    """The route of an inner request, and the SIDs in its path by their names.

    Raises:
        ApiError: 404 or 405.
    """
    for pattern, methods in _TABLE.get(len(path), {}).items():
        sids = _sids(pattern, path)
        if sids is None:
            continue
        if method not in methods:
            raise method_not_allowed(method, *methods)
        return methods[method], sids
    raise not_found(path)


def not_found(path: Path) -> ApiError:
    """404, in TaskRouter's words."""
    return ApiError(404, f"The requested resource /{'/'.join(path)} was not found")


def arguments(route: Route, params: Mapping[str, object]) -> dict[str, Any]:
    """The parameters of the route by their argument names. Null means not given; unknown ones are ignored."""
    args: dict[str, Any] = {}
    for param in route.params:
        value = params.get(param.name)
        if value is None:
            if param.required:
                raise ApiError(400, f"{param.name} field is required")
            continue
        try:
            args[param.key] = param.read(value)
        except TypeError as expected:
            raise ApiError(400, f"{param.name} must be {expected}") from None
    return args
