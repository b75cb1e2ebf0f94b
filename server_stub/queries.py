"""Lists: which items match, in what order, and which of them make up a page.

A page is found by the item that it follows, not by counting, so that items which come or go
between two requests neither hide others nor show them twice. The item is looked up among all, also
those that no longer match: someone who pages through the pending tasks may accept them meanwhile.
If it is gone, the page begins with the item that was the next one: someone may delete what is listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar, cast

from .domain import expression
from .domain.errors import InvalidArgument
from .domain.expression import Expression
from .domain.model import TaskQueue, Worker
from .domain.routing import attributes_match, worker_matches
from .domain.workspace import Workspace

__all__ = [
    "Page",
    "SortKey",
    "evaluates_attributes",
    "in_order",
    "index_of",
    "matches_all",
    "ordering",
    "page_after",
    "page_before",
    "parsed_expression",
    "queue_accepts",
]

T = TypeVar("T")

Predicate = Callable[[T], bool]
SortKey = Callable[[T], tuple[float, ...]]
"""What items are ordered by; those that are equal stay in the order in which they came."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and the matching ones right before and after them, None at an end."""

    items: list[T]
    previous: T | None
    next: T | None


def matches_all(predicates: Sequence[Predicate[T]]) -> Predicate[T]:
    """True for what fulfils every one of them."""
    return lambda item: all(predicate(item) for predicate in predicates)


def index_of(items: Sequence[T], is_it: Predicate[T]) -> int | None:
    """Where the item stands, None if it is gone."""
    return next((i for i, item in enumerate(items) if is_it(item)), None)


def page_after(items: Sequence[T], index: int, size: int, matches: Predicate[T]) -> Page[T]:
    """The first `size` matching items behind position `index` (-1 for the beginning)."""
    found = list(islice(_matching(items, range(index + 1, len(items)), matches), size + 1))
    before = next(_matching(items, range(index, -1, -1), matches), None)
    return Page(found[:size], previous=before, next=found[size] if len(found) > size else None)


def page_before(items: Sequence[T], index: int, size: int, matches: Predicate[T]) -> Page[T]:
    """The last `size` matching items in front of position `index`, in list order."""
    found = list(islice(_matching(items, range(index - 1, -1, -1), matches), size + 1))
    after = next(_matching(items, range(index, len(items)), matches), None)
    return Page(found[:size][::-1], previous=found[size] if len(found) > size else None, next=after)


def _matching(items: Sequence[T], positions: Iterable[int], matches: Predicate[T]) -> Iterator[T]:
    return (items[i] for i in positions if matches(items[i]))


def ordering(text: str, keys: Collection[str], *, name: str = "Ordering") -> list[tuple[str, bool]]:
    """Read ``Key:asc,Key:desc`` into pairs of key and "descending".

    Raises:
        InvalidArgument: a key or direction is unknown; the message names `name` and the choices.
    """
    pairs: list[tuple[str, bool]] = []
    for clause in text.split(","):
        key, _, direction = clause.strip().partition(":")
        if key not in keys or direction.lower() not in ("asc", "desc", ""):
            choices = ", ".join(f"{k}:asc|desc" for k in keys)
            raise InvalidArgument(f"{name} '{clause.strip()}' is not understood, expected {choices}")
        pairs.append((key, direction.lower() == "desc"))
    return pairs


def in_order(
    items: Iterable[T], order: Sequence[tuple[str, bool]], keys: Mapping[str, SortKey[T]]
) -> list[T]:
    """`items` sorted; those that are equal stay in the order in which they came."""
    result = list(items)
    for key, descending in reversed(order):
        result.sort(key=keys[key], reverse=descending)
    return result


def parsed_expression(text: str, name: str) -> Expression:
    """A filter's expression.

    Raises:
        InvalidArgument: it does not parse; the message names the parameter.
    """
    try:
        return expression.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"{name}: {error}") from None


def queue_accepts(workspace: Workspace, worker_sid: str) -> Predicate[TaskQueue]:
    """True for the queues whose expression that worker fulfils; an unknown worker fulfils none."""
    worker: Worker | None = workspace.workers.get(worker_sid)
    return lambda queue: worker is not None and worker_matches(queue.expression, worker)


def evaluates_attributes(text: str) -> Predicate[TaskQueue]:
    """True for the queues that a worker with these attributes (a JSON object) would belong to.

    Raises:
        InvalidArgument: the text is no JSON object.
    """
    try:
        attributes = json.loads(text)
    except (ValueError, RecursionError):
        attributes = None
    if not isinstance(attributes, dict):
        raise InvalidArgument("EvaluateWorkerAttributes must be a JSON object")
    values = cast("dict[str, object]", attributes)

    return lambda queue: attributes_match(queue.expression, values)
