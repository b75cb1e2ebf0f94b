"""The rules of a workflow in a seed: their expressions, and the queues that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

from server_stub.domain.errors import InvalidArgument
from server_stub.domain.expression import ExpressionError, parse, parse_reference
from server_stub.domain.workflow import parse_order_by

from .problems import Place, shown
from .source import copied

__all__ = ["named_queues", "unreadable_rules"]

_Map: TypeAlias = dict[str, object]

_READERS: dict[str, Callable[[str], object]] = {
    "expression": parse,
    "skip_if": parse,
    "order_by": parse_order_by,
    "known_worker_sid": parse_reference,
    "known_worker_friendly_name": parse_reference,
}


def unreadable_rules(configuration: object) -> Iterator[tuple[Place, str, int | None]]:
    """The texts in a configuration that cannot be read: place, problem, and where in the text it is."""
    for place, part in _parts(configuration):
        for key, read in _READERS.items():
            text = part.get(key)
            if not isinstance(text, str) or not text.strip():
                continue
            try:
                read(text)
            except ExpressionError as error:
                # Of a clause of `order_by` the position is not the whole text's.
                within = error.position if read is not parse_order_by else None
                yield (*place, key), f"{error} in {shown(text)}", within
            except InvalidArgument as error:
                yield (*place, key), str(error), None


def named_queues(configuration: object, sid_of: Callable[[str, Place], str | None]) -> object:
    """The same configuration with `sid_of` each name of a queue in its place, where it knows one."""
    replaced = copied(configuration)
    for place, part in _parts(replaced):
        for key in ("queue", "task_queue_sid"):
            name = part.get(key)
            if isinstance(name, str):
                part[key] = sid_of(name, (*place, key)) or name
    return replaced


def _parts(configuration: object) -> Iterator[tuple[Place, _Map]]:
    """The filters, targets and default filter, as far as they have the right shape."""
    routing = _map(_map(configuration).get("task_routing"))
    for number, owner in enumerate(_list(routing.get("filters"))):
        place: Place = ("task_routing", "filters", number)
        yield place, _map(owner)
        for index, target in enumerate(_list(_map(owner).get("targets"))):
            yield (*place, "targets", index), _map(target)
    yield ("task_routing", "default_filter"), _map(routing.get("default_filter"))


def _map(value: object) -> _Map:
    return cast("_Map", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
