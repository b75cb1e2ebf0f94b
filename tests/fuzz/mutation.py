"""Mutations of JSON that keep it JSON, and of text that keep its words."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["mutated", "mutated_json", "mutated_text"]

ODD: Final[tuple[Any, ...]] = (  # Any: JSON
    *(None, True, False, 0, 1, -1, 0.0, 1.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, 10**30, -(10**400)),
    *("", " ", "0", "1", "true", "null", "\x00", "\ud800", "\U0001f600", "a" * 300, "é", ",", "{}", "[]"),
    *([], {}, [[]], [None], {"": None}, [1, "a"], {"sid": "x"}),
)
"""Values at which readers stumble."""


def mutated(data: bytes, dice: random.Random, words: Sequence[str], others: Sequence[bytes]) -> bytes:
    """`data`, changed a little: as JSON where it is JSON behind its first bytes, else as text."""
    start = max(0, data.find(b"{"))
    try:
        value = json.loads(data[start:])
    except (ValueError, RecursionError):
        return mutated_text(data, dice, words, others)
    changed = mutated_json(value, dice, words)
    try:
        text = json.dumps(changed, ensure_ascii=dice.random() < 0.8)
        return data[:start] + text.encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return data


def mutated_json(value: Any, dice: random.Random, words: Sequence[str]) -> Any:  # Any: JSON
    """A JSON value with one to four of its parts changed."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        holders: list[tuple[Any, Any]] = []
        _collect(value, holders)
        if not holders:
            return _copied(dice.choice(ODD))
        holder, key = dice.choice(holders)
        match dice.randrange(7):
            case 0:
                holder[key] = _copied(dice.choice(ODD))
            case 1:
                del holder[key]
            case 2 if words:
                holder[key] = dice.choice(words)
            case 3:
                other, name = dice.choice(holders)
                if other is not holder:
                    holder[key] = _copied(other.get(name) if isinstance(other, dict) else _at(other, name))
            case 4 if isinstance(holder, dict) and words:
                holder[dice.choice(words)] = _copied(holder[key])
            case 5 if isinstance(holder, list):
                holder.insert(key, _copied(holder[key]))
            case _:
                holder[key] = _nudged(holder[key], dice)
    return value


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else None


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value


def _collect(value: Any, holders: list[tuple[Any, Any]]) -> None:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as members:
                holders += [(members, key) for key in members]
                waiting += members.values()
            case list() as items:
                holders += [(items, index) for index in range(len(items))]
                waiting += items
            case _:
                pass


def _nudged(value: Any, dice: random.Random) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return dice.choice((value + 1, value - 1, -value, str(value), value * 1000))
        case str():
            text = mutated_text(value.encode("utf-8", "surrogatepass"), dice, (), ())
            return text.decode("utf-8", "replace")
        case _:
            return dice.choice((str(value), [value], None))


def mutated_text(data: bytes, dice: random.Random, words: Sequence[str], others: Sequence[bytes]) -> bytes:
    """Text with one to four pieces removed, doubled, replaced or put in."""
    for _ in range(dice.choice((1, 1, 2, 4))):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice((0, 1, 1, 2, 4, 16)))
        match dice.randrange(6):
            case 0:
                piece = b""
            case 1 if words:
                piece = dice.choice(words).encode("utf-8", "surrogatepass")
            case 2 if others:
                other = dice.choice(others)
                first = dice.randrange(len(other) + 1)
                piece = other[first : first + dice.choice((1, 4, 16, 64))]
            case 3:
                piece = data[start:end] * 2
            case 4:
                piece = bytes([dice.randrange(256)])
            case _:
                piece = dice.choice(
                    (b"\x00", b"\xff", b"\n", b'"', b"'", b"\\", b"-", b"9" * 20, b"\xc3\xa9")
                )
        data = data[:start] + piece + data[end:]
    return data
