"""Workflow configurations: filters, targets, and the steps a task goes through.

Pure reading and lookup. Which queue a SID means, what time it is and who is free is known elsewhere.

A task that is taken by a filter goes through that filter's targets as *steps*. All deadlines of a
filter count from the moment it took the task: the deadline of a step is the sum of the timeouts up
to and including its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar, cast

from taskrouter_worker.terms import SidPrefix, is_sid

from .errors import InvalidArgument
from .expression import (
    Array,
    Expression,
    ExpressionError,
    Literal,
    Need,
    Path,
    Reference,
    Resolve,
    parse,
    parse_reference,
)

__all__ = [
    "MAX_BYTES",
    "Filter",
    "KnownBy",
    "KnownWorker",
    "OrderKey",
    "Step",
    "Target",
    "WorkflowConfiguration",
    "parse_configuration",
    "parse_order_by",
]

MAX_BYTES: Final = 1_038_576
"""TaskRouter's limit of a configuration, in bytes of UTF-8."""

_MAX_PRIORITY: Final = 2_147_483_647
_MAX_TIMEOUT: Final = 1_209_600  # seconds: no task lives longer


class KnownBy(StrEnum):
    """By which of its fields a target names a worker."""

    SID = "known_worker_sid"
    FRIENDLY_NAME = "known_worker_friendly_name"


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """The task attribute that holds the SID or name of the one worker that a target wants."""

    by: KnownBy
    path: Path  # without the leading "task"


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One clause of `order_by`: an integer field of the worker, and the direction."""

    path: Path  # without the leading "worker"
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target as configured; `queue_sid` None keeps the previous target's queue."""

    queue_sid: str | None
    name: str | None = None
    priority: int | None = None  # None keeps the task's present one
    timeout: int | None = None  # seconds; None: until the task's time to live ends
    expression: Expression | None = None  # None: no further condition
    order_by: tuple[OrderKey, ...] = ()
    skip_if: Expression | None = None  # None: never
    known_worker: KnownWorker | None = None
    need: Need | None = field(init=False, repr=False, compare=False)
    task_paths: tuple[Path, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        references = self.expression.references if self.expression else frozenset[Path]()
        paths = sorted((path for path in references if path[0] == "task"), key=repr)
        object.__setattr__(self, "task_paths", tuple(paths))
        object.__setattr__(self, "need", _worker_need(self.expression) if self.expression else None)

    @property
    def is_plain(self) -> bool:
        """Whether any worker of the queue will do, in the ordinary order."""
        return self.expression is None and self.known_worker is None and not self.order_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter as configured."""

    name: str | None
    expression: Expression | None  # None: matches every task
    expression_text: str
    targets: tuple[Target, ...]
    steps: tuple[Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(_steps(self)))

    def matches(self, resolve: Resolve) -> bool:
        """Whether it takes a task whose references `resolve` finds."""
        return self.expression is None or self.expression.evaluate(resolve)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """Where a task stands: a target of a filter, or the default filter (`filter` is None)."""

    filter: Filter | None
    index: int  # of the target within its filter
    target: Target
    queue_sid: str  # its own, or the one it keeps
    deadline: int | None  # seconds after the filter took the task; None: no deadline


def _worker_need(expression: Expression) -> Need | None:
    """The need by which to look for the worker: what the task tells comes before what is fixed."""
    needs = [
        need
        for need in expression.needs
        if need.path[0] == "worker" and len(need.path) > 1 and not isinstance(need.key, Array)
    ]
    by_task = [need for need in needs if isinstance(need.key, Reference) and need.key.path[0] == "task"]
    fixed = [need for need in needs if isinstance(need.key, Literal)]
    return next(iter([*by_task, *fixed]), None)


def _steps(owner: Filter) -> Iterator[Step]:
    queue_sid, total = "", 0
    for index, target in enumerate(owner.targets):
        queue_sid = target.queue_sid or queue_sid
        # A target without timeout adds nothing: later ones are reached by skipping only.
        total += target.timeout or 0
        yield Step(
            filter=owner,
            index=index,
            target=target,
            queue_sid=queue_sid,
            deadline=None if target.timeout is None else total,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowConfiguration:
    """All filters in order, and the step of the default filter, if there is one."""

    filters: tuple[Filter, ...]
    default: Step | None

    @property
    def queue_sids(self) -> frozenset[str]:
        """Every task queue that it names."""
        named = {target.queue_sid for owner in self.filters for target in owner.targets if target.queue_sid}
        return frozenset(named | ({self.default.queue_sid} if self.default else set()))

    def next_filter(self, resolve: Resolve, after: Filter | None = None) -> Filter | None:
        """The first filter below `after` (None: of all) that takes the task."""
        start = 0
        if after is not None:
            start = next(i for i, owner in enumerate(self.filters) if owner is after) + 1
        return next((owner for owner in self.filters[start:] if owner.matches(resolve)), None)

    def counterpart(self, step: Step) -> Step | None:
        """The step that takes the place of one of an earlier configuration (our choice: undocumented).

        It is the target at the same place of the filter with the same name and expression, or the
        default filter, provided that the queue is the same.
        """
        if step.filter is None:
            candidates = [self.default] if self.default else []
        else:
            candidates = [
                owner.steps[step.index]
                for owner in self.filters
                if owner.name == step.filter.name
                and owner.expression_text == step.filter.expression_text
                and step.index < len(owner.steps)
            ]
        return next((found for found in candidates if found.queue_sid == step.queue_sid), None)


# ---------------------------------------------------------------- reading

_JsonMap: TypeAlias = dict[str, object]
T = TypeVar("T")


def _refusal(place: str, problem: str) -> InvalidArgument:
    return InvalidArgument(f"Configuration is not valid: {place}: {problem}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def parse_configuration(text: str) -> WorkflowConfiguration:
    """Read a workflow's `Configuration`. Queues are not looked up: see `queue_sids`.

    Raises:
        InvalidArgument: it is too large, no JSON, lacks a required key, or a value is malformed; the
            message gives the place, such as ``task_routing.filters[0].targets[1].timeout``.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"Configuration is not valid Unicode text: {error.reason}") from error
    if size > MAX_BYTES:
        raise InvalidArgument(f"Configuration has {size} bytes, expected at most {MAX_BYTES}")
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"Configuration is not valid JSON: {error}") from error
    root = _object(document, "the document")
    if "task_routing" not in root:
        raise _refusal("the document", "expected the key 'task_routing'")
    routing = _object(root["task_routing"], "task_routing")
    listed = _list(routing.get("filters"), "task_routing.filters")
    filters = tuple(_filter(item, f"task_routing.filters[{index}]") for index, item in enumerate(listed))
    return WorkflowConfiguration(filters=filters, default=_default(routing.get("default_filter")))


def _filter(value: object, place: str) -> Filter:
    given = _object(value, place)
    listed = _list(given.get("targets"), f"{place}.targets")
    if not listed:
        raise _refusal(f"{place}.targets", "expected at least one target")
    targets = tuple(_target(item, f"{place}.targets[{index}]") for index, item in enumerate(listed))
    if targets[0].queue_sid is None:
        raise _refusal(f"{place}.targets[0]", "expected the key 'queue' with a task queue SID")
    text = _text(given, "expression", place) or ""
    return Filter(
        name=_text(given, "filter_friendly_name", place) or _text(given, "friendly_name", place),
        expression=_expression(text, f"{place}.expression"),
        expression_text=text.strip(),
        targets=targets,
    )


def _target(value: object, place: str) -> Target:
    given = _object(value, place)
    return Target(
        queue_sid=_queue(given, "queue", place),
        name=_text(given, "target_friendly_name", place) or _text(given, "friendly_name", place),
        priority=_integer(given, "priority", place, 0, _MAX_PRIORITY),
        timeout=_integer(given, "timeout", place, 1, _MAX_TIMEOUT),
        expression=_expression(_text(given, "expression", place), f"{place}.expression"),
        order_by=_at(f"{place}.order_by", parse_order_by, _text(given, "order_by", place) or ""),
        skip_if=_expression(_text(given, "skip_if", place), f"{place}.skip_if"),
        known_worker=_known_worker(given, place),
    )


def _default(value: object) -> Step | None:
    if value is None:
        return None
    place = "task_routing.default_filter"
    given = _object(value, place)
    queue_sid = _queue(given, "queue", place) or _queue(given, "task_queue_sid", place)
    if queue_sid is None:
        raise _refusal(place, "expected the key 'queue' with a task queue SID")
    return Step(filter=None, index=0, target=Target(queue_sid=queue_sid), queue_sid=queue_sid, deadline=None)


def _known_worker(given: _JsonMap, place: str) -> KnownWorker | None:
    found = [by for by in KnownBy if _text(given, by, place)]
    if not found:
        return None
    if len(found) > 1:
        raise _refusal(place, f"expected only one of '{KnownBy.SID}' and '{KnownBy.FRIENDLY_NAME}'")
    by = found[0]
    text = _text(given, by, place) or ""
    path = _at(f"{place}.{by}", parse_reference, text)
    if path[0] != "task" or len(path) < 2:
        raise _refusal(f"{place}.{by}", f"expected a reference such as task.last_agent, got {_shown(text)}")
    return KnownWorker(by, path[1:])


def parse_order_by(text: str) -> tuple[OrderKey, ...]:
    """Read `order_by`: a comma list of ``worker.<attribute> [ASC|DESC]``; empty gives no clause.

    Raises:
        InvalidArgument: a clause is none.
    """
    if not text.strip():
        return ()
    return tuple(_order_key(clause.split(), clause) for clause in text.split(","))


def _order_key(words: list[str], clause: str) -> OrderKey:
    if len(words) not in (1, 2) or (len(words) == 2 and words[1].upper() not in ("ASC", "DESC")):
        raise InvalidArgument(f"expected 'worker.<attribute> [ASC|DESC]', got {_shown(clause.strip())}")
    path = parse_reference(words[0])
    if path[0] != "worker" or len(path) < 2:
        raise InvalidArgument(f"expected a worker attribute such as worker.level, got {_shown(words[0])}")
    return OrderKey(path[1:], descending=len(words) == 2 and words[1].upper() == "DESC")


def _at(place: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except InvalidArgument as error:
        raise _refusal(place, str(error)) from error


def _expression(text: str | None, place: str) -> Expression | None:
    if text is None or not text.strip():
        return None
    try:
        return parse(text)
    except ExpressionError as error:
        raise _refusal(place, f"{error} in {_shown(text)}") from error


def _object(value: object, place: str) -> _JsonMap:
    if not isinstance(value, dict):
        raise _refusal(place, f"expected an object, got {_shown(value)}")
    return cast("_JsonMap", value)  # JSON objects have text keys only


def _list(value: object, place: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _refusal(place, f"expected an array, got {_shown(value)}")
    return cast("list[object]", value)  # isinstance cannot tell the type of the items


def _text(given: _JsonMap, key: str, place: str) -> str | None:
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _refusal(f"{place}.{key}", f"expected a string, got {_shown(value)}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _refusal(f"{place}.{key}", "expected Unicode text, got half a surrogate pair")
    return value


def _queue(given: _JsonMap, key: str, place: str) -> str | None:
    value = given.get(key)
    if value is None:
        return None
    if not is_sid(value, SidPrefix.TASK_QUEUE):
        raise _refusal(f"{place}.{key}", f"expected a task queue SID (WQ…), got {_shown(value)}")
    return str(value)


def _integer(given: _JsonMap, key: str, place: str, low: int, high: int) -> int | None:
    """An integer or its decimal text, as published configurations hold both."""
    value = given.get(key)
    if value is None:
        return None
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) <= 12:
        number = int(value.strip())  # which takes more for white space than int() does
    if number is None or not low <= number <= high:
        raise _refusal(f"{place}.{key}", f"expected an integer from {low} to {high}, got {_shown(value)}")
    return number
