"""Makes workspaces of a seed: the domain's own commands on workspaces that nobody sees yet.

What the domain refuses becomes a problem at the place of what it refuses, and the others are tried all the
same. Only if there is no problem at all are the workspaces handed out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar, cast

from server_stub.deliveries import masked
from server_stub.domain.errors import DomainError
from server_stub.domain.expression import ExpressionError, parse
from server_stub.domain.model import Limits, Workflow
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import SidPrefix

from .check import check
from .document import (
    Configuration,
    QueueSeed,
    TaskSeed,
    WorkerSeed,
    WorkflowSeed,
    WorkspaceSeed,
)
from .problems import Place, closest, shown
from .routing_rules import named_queues, unreadable_rules
from .sids import SeedSids
from .source import Source

__all__ = ["build"]

T = TypeVar("T")

_PLACE_IN_CONFIGURATION: Final = re.compile(
    r"Configuration is not valid: (task_routing[\w.\[\]]*): (.*)", re.DOTALL
)
_PARAMETER: Final = re.compile(r"([A-Z][A-Za-z]+) ")
_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_STEP: Final = re.compile(r"(\w+)|\[(\d+)\]")


def build(
    source: Source,
    *,
    account_sid: str,
    now: Callable[[str], Callable[[], float]],
    sids: Callable[[str], SeedSids],
    limits: Limits,
) -> list[Workspace]:
    """The workspaces of a seed document, in their order, their events not taken yet.

    Args:
        source: the document.
        account_sid: the account that they belong to.
        now: the clock of the workspace of that SID.
        sids: makes the SIDs of the workspace of that name.
        limits: TaskRouter's numbers.

    Raises:
        SeedError: something is wrong with it; every problem is told.
    """
    seed = check(source)
    workspaces: list[Workspace] = []
    if seed is not None:
        _refuse_repeated_sids(source)
        names: dict[str, int] = {}
        for index, described in _present(seed.workspaces):
            place: Place = ("workspaces", index)
            if described.friendly_name in names:
                source.report(
                    (*place, "friendly_name"),
                    f"{shown(described.friendly_name)} is the name of another workspace",
                    "give each a name of its own",
                )
                continue
            names[described.friendly_name] = index
            made = _Builder(source, place, described, sids(described.friendly_name), limits).build(
                account_sid, now
            )
            if made is not None:
                workspaces.append(made)
    source.refuse()
    return workspaces


def _present(items: Sequence[T | None]) -> Iterator[tuple[int, T]]:
    """The items that fit the definition, with their indexes: `check` left None for the others."""
    for index, item in enumerate(items):
        if item is not None:
            yield index, item


def _refuse_repeated_sids(source: Source) -> None:
    found: dict[str, Place] = {}

    def look(value: object, place: Place) -> None:
        match value:
            case list():
                for index, item in enumerate(cast("list[object]", value)):
                    look(item, (*place, index))
            case dict():
                for key, item in cast("dict[str, object]", value).items():
                    if key == "sid" and isinstance(item, str) and found.setdefault(item, place) != place:
                        source.report((*place, key), f"the SID {item} was there before")
                    if key not in ("attributes", "configuration"):
                        look(item, (*place, key))
            case _:
                pass

    look(source.document, ())


class _Builder:
    """Makes one workspace."""

    def __init__(
        self, source: Source, place: Place, seed: WorkspaceSeed, sids: SeedSids, limits: Limits
    ) -> None:
        self._source = source
        self._place = place
        self._seed = seed
        self._sids = sids
        self._limits = limits
        self._fits = True  # whether nothing is wrong with the item under way

    def build(self, account_sid: str, now: Callable[[str], Callable[[], float]]) -> Workspace | None:
        """The workspace; None if it could not even be begun."""
        made = self._begin(account_sid, now)
        if made is None:
            return None
        workspace, seed = made, self._seed
        self._activities(workspace)
        self._settings(workspace)
        self._task_channels(workspace)
        for index, queue in _present(seed.queues):
            self._queue(workspace, queue, (*self._place, "queues", index))
        for index, workflow in _present(seed.workflows):
            self._workflow(workspace, workflow, (*self._place, "workflows", index))
        for index, worker in _present(seed.workers):
            self._worker(workspace, worker, (*self._place, "workers", index))
        for index, task in _present(seed.tasks):
            self._task(workspace, task, (*self._place, "tasks", index), index)
        return workspace

    # --- The workspace itself -----------------------------------------------------------------

    def _begin(self, account_sid: str, now: Callable[[str], Callable[[], float]]) -> Workspace | None:
        seed, words = self._seed, self._seed.events_filter

        def make(sid: str, sids: Callable[[str], str], clock: Callable[[], float]) -> Workspace:
            return Workspace(
                sid=sid,
                account_sid=account_sid,
                friendly_name=seed.friendly_name,
                now=clock,
                sids=sids,
                limits=self._limits,
                template=seed.template,
                multi_task_enabled=seed.multi_task_enabled,
                event_callback_url=seed.event_callback_url or "",
                events_filter=None if words is None else ",".join(word for _, word in _present(words)),
                prioritize_queue_order=seed.prioritize_queue_order,
            )

        with self._sids.naming("workspace", {SidPrefix.WORKSPACE: [seed.sid]}):
            sid = self._sids(SidPrefix.WORKSPACE)
        activities, channels = _of_every_workspace()
        by_activity = {item.friendly_name: item.sid for _, item in _present(seed.activities)}
        by_channel = {item.unique_name: item.sid for _, item in _present(seed.task_channels)}
        fixed: dict[str, list[str | None]] = {
            SidPrefix.ACTIVITY: [by_activity.get(name) for name in activities],
            SidPrefix.TASK_CHANNEL: [by_channel.get(name) for name in channels],
        }
        clock = now(sid)
        with self._sids.naming("template", fixed):
            return self._try(self._place, lambda: make(sid, self._sids, clock))

    def _settings(self, workspace: Workspace) -> None:
        seed, place = self._seed, self._place
        self._fits = True
        default = self._activity(workspace, seed.default_activity, (*place, "default_activity"))
        timeout = self._activity(workspace, seed.timeout_activity, (*place, "timeout_activity"))
        self._try(
            place,
            lambda: workspace.update(default_activity_sid=default, timeout_activity_sid=timeout),
        )

    def _activities(self, workspace: Workspace) -> None:
        given = {activity.friendly_name: activity for activity in workspace.activities.values()}
        seen: set[str] = set()
        for index, item in _present(self._seed.activities):
            place = (*self._place, "activities", index)
            if not self._is_new(item.friendly_name, seen, (*place, "friendly_name")):
                continue
            known = given.get(item.friendly_name)
            if known is None:
                with self._sids.naming(f"activity {item.friendly_name}", {SidPrefix.ACTIVITY: [item.sid]}):
                    make = partial(
                        workspace.create_activity,
                        friendly_name=item.friendly_name,
                        available=item.available or False,
                    )
                    self._try(place, make)
            elif item.available not in (None, known.available):
                self._source.report(
                    (*place, "available"),
                    f"{item.available} is not valid here",
                    f"{item.friendly_name} has available: {str(known.available).lower()} everywhere",
                )

    def _task_channels(self, workspace: Workspace) -> None:
        given = {channel.unique_name for channel in workspace.task_channels.values()}
        seen: set[str] = set()
        for index, item in _present(self._seed.task_channels):
            place = (*self._place, "task_channels", index)
            if not self._is_new(item.unique_name, seen, (*place, "unique_name")):
                continue
            with self._sids.naming(f"task channel {item.unique_name}", {SidPrefix.TASK_CHANNEL: [item.sid]}):
                if item.unique_name in given:
                    command = partial(
                        workspace.update_task_channel,
                        item.unique_name,
                        friendly_name=item.friendly_name,
                        channel_optimized_routing=item.channel_optimized_routing,
                    )
                else:
                    command = partial(
                        workspace.create_task_channel,
                        friendly_name=item.friendly_name or item.unique_name,
                        unique_name=item.unique_name,
                        channel_optimized_routing=item.channel_optimized_routing or False,
                    )
                self._try(place, command)

    # --- Queues and workflows -----------------------------------------------------------------

    def _queue(self, workspace: Workspace, item: QueueSeed, place: Place) -> None:
        self._fits = True
        self._expression(item.target_workers, (*place, "target_workers"))
        reservation = self._activity(workspace, item.reservation_activity, (*place, "reservation_activity"))
        assignment = self._activity(workspace, item.assignment_activity, (*place, "assignment_activity"))
        text = item.target_workers if self._fits else ""  # made in any case, to find what else is wrong
        with self._sids.naming(f"queue {item.friendly_name}", {SidPrefix.TASK_QUEUE: [item.sid]}):
            self._try(
                place,
                lambda: workspace.create_task_queue(
                    friendly_name=item.friendly_name,
                    target_workers=text,
                    max_reserved_workers=item.max_reserved_workers,
                    task_order=item.task_order,
                    reservation_activity_sid=reservation,
                    assignment_activity_sid=assignment,
                ),
            )

    def _workflow(self, workspace: Workspace, item: WorkflowSeed, place: Place) -> None:
        self._fits = True
        names = {workflow.friendly_name for workflow in workspace.workflows.values()}
        self._is_new(item.friendly_name, names, (*place, "friendly_name"))
        text = self._configuration(workspace, item.configuration, (*place, "configuration"))
        if not self._fits or text is None:
            return
        with self._sids.naming(f"workflow {item.friendly_name}", {SidPrefix.WORKFLOW: [item.sid]}):
            self._try(
                place,
                lambda: workspace.create_workflow(
                    friendly_name=item.friendly_name,
                    configuration=text,
                    assignment_callback_url=item.assignment_callback_url,
                    fallback_assignment_callback_url=item.fallback_assignment_callback_url,
                    task_reservation_timeout=item.task_reservation_timeout,
                ),
            )

    def _configuration(self, workspace: Workspace, given: Configuration | str, place: Place) -> str | None:
        """The configuration's JSON text, with SIDs for the names of queues."""
        document = self._source.value_at(place)
        if isinstance(given, str):
            try:
                document = json.loads(given)
            except (ValueError, RecursionError) as error:
                within = error.pos if isinstance(error, json.JSONDecodeError) else None
                self._report(place, f"the text is no JSON: {error}", within=within)
                return None
        else:
            for below, message, within in unreadable_rules(document):
                self._report((*place, *below), message, within=within)
        queues = {queue.friendly_name: queue.sid for queue in workspace.task_queues.values()}

        def sid_of(name: str, below: Place) -> str | None:
            # Of a text only the whole has a place in the document.
            at = place if isinstance(given, str) else (*place, *below)
            return self._named("queue", name, queues, at, list_of="queues")

        replaced = named_queues(document, sid_of)
        return given if isinstance(given, str) and replaced == document else json.dumps(replaced)

    # --- Workers and tasks --------------------------------------------------------------------

    def _worker(self, workspace: Workspace, item: WorkerSeed, place: Place) -> None:
        self._fits = True
        activity = self._activity(workspace, item.activity, (*place, "activity"))
        channels = {channel.unique_name: channel.sid for channel in workspace.task_channels.values()}
        sids = {
            name: self._named(
                "task channel", name, channels, (*place, "channels", name), list_of="task_channels", key=True
            )
            for name in item.channels
        }
        with self._sids.naming(f"worker {item.friendly_name}", {SidPrefix.WORKER: [item.sid]}):
            worker = self._try(
                place,
                lambda: workspace.create_worker(
                    friendly_name=item.friendly_name,
                    activity_sid=activity,
                    attributes=_json_text(item.attributes),
                ),
            )
        if worker is None:
            return
        for name, wanted in item.channels.items():
            key = sids[name]
            if key is None:
                continue
            below = (*place, "channels", name)
            capacity, available = (
                (wanted, None) if isinstance(wanted, int) else (wanted.capacity, wanted.available)
            )
            command = partial(
                workspace.update_worker_channel, worker.sid, key, capacity=capacity, available=available
            )
            self._try(below, command)

    def _task(self, workspace: Workspace, item: TaskSeed, place: Place, index: int) -> None:
        self._fits = True
        channels = {channel.unique_name: channel.sid for channel in workspace.task_channels.values()}
        channel = self._named(
            "task channel", item.task_channel, channels, (*place, "task_channel"), list_of="task_channels"
        )
        workflow = self._workflow_named(workspace, item.workflow, (*place, "workflow"))
        queue = self._queue_named(workspace, item.task_queue, (*place, "task_queue"))
        target = self._target(workspace, item, (*place, "routing_target"))
        start = self._date(item.virtual_start_time, (*place, "virtual_start_time"))
        flows = list(dict.fromkeys([*self._declared("workflows"), *_names(workspace.workflows)]))
        if item.workflow is None and item.routing_target is None and len(flows) != 1:
            self._report(place, "the field 'workflow' is missing", closest("", flows, what="there are"))
        # A workflow that could not be made has told so.
        self._fits = self._fits and len(flows) == len(workspace.workflows)
        if not self._fits:
            return
        with self._sids.naming(f"task {index}", {SidPrefix.TASK: [item.sid]}):
            self._try(
                place,
                lambda: workspace.create_task(
                    workflow_sid=workflow,
                    attributes=_json_text(item.attributes),
                    priority=item.priority,
                    timeout=item.timeout,
                    task_channel=channel,
                    virtual_start_time=start,
                    routing_target=target,
                    ignore_capacity=item.ignore_capacity,
                    task_queue_sid=queue,
                ),
            )

    def _target(self, workspace: Workspace, item: TaskSeed, place: Place) -> str | None:
        aim = item.routing_target
        if aim is None:
            return None
        given = [name for name in (aim.worker, aim.queue, aim.workflow) if name is not None]
        if len(given) != 1:
            self._report(place, f"{len(given)} targets are given", "expected one of worker, queue, workflow")
            return None
        workers = {worker.friendly_name: worker.sid for worker in workspace.workers.values()}
        if aim.worker is not None:
            return self._named("worker", aim.worker, workers, (*place, "worker"), list_of="workers")
        return self._queue_named(workspace, aim.queue, (*place, "queue")) or self._workflow_named(
            workspace, aim.workflow, (*place, "workflow")
        )

    def _date(self, text: str | None, place: Place) -> float | None:
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self._report(place, f"{shown(text)} is no date", "expected one such as 2025-03-01T09:15:30Z")
            return None

    # --- Names and refusals -------------------------------------------------------------------

    def _activity(self, workspace: Workspace, name: str | None, place: Place) -> str | None:
        known = {activity.friendly_name: activity.sid for activity in workspace.activities.values()}
        return None if name is None else self._named("activity", name, known, place, list_of="activities")

    def _queue_named(self, workspace: Workspace, name: str | None, place: Place) -> str | None:
        known = {queue.friendly_name: queue.sid for queue in workspace.task_queues.values()}
        return None if name is None else self._named("queue", name, known, place, list_of="queues")

    def _workflow_named(self, workspace: Workspace, name: str | None, place: Place) -> str | None:
        known = {workflow.friendly_name: workflow.sid for workflow in workspace.workflows.values()}
        return None if name is None else self._named("workflow", name, known, place, list_of="workflows")

    def _named(
        self, what: str, name: str, known: Mapping[str, str], place: Place, *, list_of: str, key: bool = False
    ) -> str | None:
        """The SID of what is named so, or given by its SID."""
        if name in known:
            return known[name]
        if name in known.values():
            return name
        self._fits = False
        if name not in self._declared(list_of):  # else it has a problem of its own
            names = list(dict.fromkeys([*known, *self._declared(list_of)]))
            self._source.report(
                place, f"there is no {what} {shown(name)}", closest(name, names, what="there are"), key=key
            )
        return None

    def _declared(self, list_of: str) -> list[str]:
        """The names that the document gives to things of a kind, whether or not they can be made."""
        items = self._source.value_at((*self._place, list_of))
        key = "unique_name" if list_of == "task_channels" else "friendly_name"
        found: list[str] = []
        for item in cast("list[object]", items) if isinstance(items, list) else ():
            name = cast("dict[str, object]", item).get(key) if isinstance(item, dict) else None
            found += [name] if isinstance(name, str) else []
        return found

    def _is_new(self, name: str, seen: set[str], place: Place) -> bool:
        if name in seen:
            self._report(place, f"{shown(name)} was there before", "give each a name of its own")
            return False
        seen.add(name)
        return True

    def _expression(self, text: str, place: Place) -> None:
        if text.strip():
            try:
                parse(text)
            except ExpressionError as error:
                self._report(place, f"{error} in {shown(text)}", within=error.position)

    def _report(self, place: Place, message: str, hint: str = "", *, within: int | None = None) -> None:
        self._fits = False
        self._source.report(place, message, hint, within=within)

    def _try(self, place: Place, command: Callable[[], T]) -> T | None:
        """Carry out a command; its refusal is a problem of what lies at `place`."""
        try:
            return command()
        except DomainError as error:
            self._refused(place, str(error))
            return None

    def _refused(self, place: Place, message: str) -> None:
        inner = _PLACE_IN_CONFIGURATION.match(message)
        if inner is not None:
            steps = tuple(int(index) if index else word for word, index in _STEP.findall(inner[1]))
            if isinstance(self._source.value_at((*place, "configuration")), str):
                self._report((*place, "configuration"), f"{inner[1]}: {inner[2]}")
            else:
                self._report((*place, "configuration", *steps), inner[2])
            return
        parameter = _PARAMETER.match(message)
        name = "" if parameter is None else _CAPITAL.sub("_", parameter[1]).lower().removesuffix("_sid")
        if "same friendly name" in message:
            name = "friendly_name"
        value = self._source.value_at((*place, name)) if name else None
        if value is None:
            self._report(place, message)
        elif name.endswith("_url"):
            # The address may hold a password.
            self._report((*place, name), f"{masked(str(value))!r} is no http or https address")
        else:
            self._report((*place, name), message)


def _names(workflows: Mapping[str, Workflow]) -> list[str]:
    return [workflow.friendly_name for workflow in workflows.values()]


def _json_text(attributes: Mapping[str, object] | str) -> str:
    return attributes if isinstance(attributes, str) else json.dumps(attributes)


def _of_every_workspace() -> tuple[list[str], list[str]]:
    """The names of the activities and task channels that a new workspace has, in their order."""
    count = iter(range(1_000))
    made = Workspace(
        sid=f"{SidPrefix.WORKSPACE}{0:032x}",
        account_sid=f"{SidPrefix.ACCOUNT}{0:032x}",
        friendly_name="-",
        now=lambda: 0.0,
        sids=lambda prefix: f"{prefix}{next(count):032x}",
    )
    return (
        [activity.friendly_name for activity in made.activities.values()],
        [channel.unique_name for channel in made.task_channels.values()],
    )
