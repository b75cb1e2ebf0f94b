"""Lists: which items match, in what order, and which of them make up a page.

A page is found by the item that it follows, not by counting, so that items which come or go
between two requests neither hide others nor show them twice. The item is looked up among all, also
those that no longer match: someone who pages through the pending tasks may accept them meanwhile.
If it is gone, the page begins with the item that was the next one: someone may delete what is listed.

Where an order is asked for, items move in the list as they change, and the one that a page ended with may
be anywhere by then. So its place is remembered instead (`Order`): whatever did not change since is on
exactly one page. What did change may be on two pages or, if it moved to the part that was shown already, on
none; its own event tells of it. Our choice: TaskRouter does not say.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar, cast

from .domain import expression
from .domain.errors import InvalidArgument
from .domain.expression import Expression
from .domain.model import TaskQueue, Worker
from .domain.routing import attributes_match, worker_matches
from .domain.workspace import Workspace

__all__ = [
    "MAX_COMPARISONS",
    "Order",
    "Page",
    "Place",
    "SortKey",
    "evaluates_attributes",
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
"""What items are ordered by."""

MAX_COMPARISONS: Final = 2_000_000
"""By an expression that filters a list, in all: each takes some microseconds (our choice)."""

Place = tuple[tuple[float, ...], str]
"""Where an item stands in an ordered list, and its SID, which tells apart those that are otherwise equal."""


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
        InvalidArgument: a key or direction is unknown, or a key comes twice; the message names `name`.
    """
    pairs: list[tuple[str, bool]] = []
    for clause in text.split(","):
        key, _, direction = clause.strip().partition(":")
        if key not in keys or direction.lower() not in ("asc", "desc", ""):
            choices = ", ".join(f"{k}:asc|desc" for k in keys)
            raise InvalidArgument(f"{name} '{clause.strip()}' is not understood, expected {choices}")
        if any(key == known for known, _ in pairs):
            raise InvalidArgument(f"{name} names {key} twice: once is enough, and each one sorts the list")
        pairs.append((key, direction.lower() == "desc"))
    return pairs


class Order(Generic[T]):
    """An order that was asked for: each item has a place in it, which depends on that item alone.

    Args:
        clauses: keys, and whether each is descending.
        keys: what each key of a clause means.
        created: an order of creation; of items that are equal the older one comes first.
        sid: the item's SID.
    """

    def __init__(
        self,
        clauses: Sequence[tuple[str, bool]],
        keys: Mapping[str, SortKey[T]],
        *,
        created: SortKey[T],
        sid: Callable[[T], str],
    ) -> None:
        self._clauses = [(keys[name], descending) for name, descending in clauses]
        self._created = created
        self._sid = sid

    def place(self, item: T) -> Place:
        """Where the item stands now."""
        numbers = [-n if descending else n for key, descending in self._clauses for n in key(item)]
        return (*numbers, *self._created(item)), self._sid(item)

    def sorted(self, items: Iterable[T]) -> list[T]:
        """All items, each in its place."""
        created, sid = self._created, self._sid
        result = sorted(items, key=lambda item: (*created(item), sid(item)))
        for key, descending in reversed(self._clauses):  # which takes a third of the time of sorting by place
            result.sort(key=key, reverse=descending)
        return result

    def after(self, items: Sequence[T], place: Place, size: int, matches: Predicate[T]) -> Page[T]:
        """The first `size` matching items behind a place, of those that `sorted` gave."""
        return page_after(items, bisect_right(items, place, key=self.place) - 1, size, matches)

    def before(self, items: Sequence[T], place: Place, size: int, matches: Predicate[T]) -> Page[T]:
        """The last `size` matching items in front of a place."""
        return page_before(items, bisect_left(items, place, key=self.place), size, matches)

    def token(self, item: T) -> str:
        """The item's present place as text: its SID, then the numbers."""
        numbers, sid = self.place(item)
        return "~".join([sid, *map(repr, numbers)])

    def place_in(self, token: str, items: Sequence[T]) -> Place | None:
        """The place of which that text was made; None if it is of no such place as `items` have."""
        sid, *texts = token.split("~")
        try:
            numbers = tuple(float(text) for text in texts)
        except ValueError:
            return None
        usual = len(self.place(items[0])[0]) if items else len(numbers)
        return (numbers, sid) if len(numbers) == usual and all(map(math.isfinite, numbers)) else None


def parsed_expression(text: str, name: str, *, over: int) -> Expression:
    """The expression that filters a list of `over` items.

    Nobody else is served while a list is filtered, so what would take longer than some seconds is refused.

    Raises:
        InvalidArgument: it does not parse, or compares too often; the message names the parameter.
    """
    try:
        found = expression.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"{name}: {error}") from None
    if found.comparisons > 1 and found.comparisons * over > MAX_COMPARISONS:
        raise InvalidArgument(
            f"{name} has {found.comparisons} comparisons, which is too much for a list of {over}: "
            f"expected at most {MAX_COMPARISONS} in all; compare with many values at once by IN"
        )
    return found


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
