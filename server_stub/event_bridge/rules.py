"""Who may send an inner request (our choice: undocumented).

* Every role reads everything in its workspace.
* A worker changes itself, its reservations and the tasks of which it holds a live reservation, and
  creates tasks that are routed to itself.
* A supervisor does the same, and changes other workers; an admin changes anything.
"""

from __future__ import annotations

from collections.abc import Callable

from taskrouter_worker.terms import Instruction, Role

from .call import Call

Rule = Callable[[Call], str | None]
"""None if the caller may, otherwise what is not allowed."""


def anyone(_call: Call) -> str | None:
    """Who holds a token of the workspace."""
    return None


def self_or_supervisor(call: Call) -> str | None:
    """The worker itself, or a supervisor."""
    if call.is_own(call.sids["worker"]) or call.caller.role is Role.SUPERVISOR:
        return None
    return "a worker may change only itself"


def own_reservation(call: Call) -> str | None:
    """The reservation's worker."""
    return None if call.is_own(call.sids["worker"]) else "a worker may change only its own reservations"


def own_task(call: Call) -> str | None:
    """A worker with a live reservation of the task."""
    task = call.workspace.task(call.sids["task"])
    if any(call.is_own(reservation.worker.sid) for reservation in task.live_reservations):
        return None
    return "a worker may change only tasks of which it holds a live reservation"


def own_transfer(call: Call) -> str | None:
    """The worker whose reservation is transferred."""
    if call.is_own(call.sids["worker"]) and _names_own_reservation(call):
        return None
    return "a worker may transfer only its own tasks"


def _names_own_reservation(call: Call) -> bool:
    """Whether the reservation among the parameters is the caller's; an unknown one is not for a rule."""
    reservation = call.workspace.reservations.get(call.args.get("reservation_sid", ""))
    return reservation is None or call.is_own(reservation.worker.sid)


def own_participants(call: Call) -> str | None:
    """A worker of the conference, as itself."""
    if not call.is_own(call.sids["worker"]):
        return "a worker may act only as itself"
    if not _names_own_reservation(call):
        return "a worker may change only its own leg of a conference"
    task = call.workspace.tasks.get(call.args.get("task_sid", ""))
    if task is None or any(call.is_own(r.worker.sid) for r in task.live_reservations):
        return None  # a task that there is not is the command's to refuse
    return "a worker may change only conferences of tasks of which it holds a live reservation"


def supervises(call: Call) -> str | None:
    """A supervisor, as itself."""
    word = call.args.get("instruction", "").lower()
    own = call.caller.worker_sid  # a supervisor's token may name none: then it is nobody that could listen
    as_itself = own is not None and call.args.get("Supervisor") == own
    if call.caller.role is Role.SUPERVISOR and word == Instruction.SUPERVISE and as_itself:
        return None
    return "only a supervisor may supervise another worker's reservation, and only as itself"


def routed_to_itself(call: Call) -> str | None:
    """A worker, if the task can only be its own."""
    target = call.args.get("routing_target")
    if target is not None and target == call.caller.worker_sid:
        return None
    return "a worker may create only tasks whose RoutingTarget is itself"
