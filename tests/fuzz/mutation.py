"""Mutations of JSON that keep it JSON, and of text that keep its words."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

__all__ = ["mutated", "mutated_json", "mutated_request", "mutated_text"]

Parts: TypeAlias = Mapping[str, Sequence[Any]]  # Any: JSON
"""The values of a document, by the names they have there."""

Place: TypeAlias = tuple[Any, Any, str]
"""What holds a value, its key there, and its name; an item of a list has its list's."""

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
    other = _parts(dice.choice(others)) if others else {}
    changed = mutated_json(value, dice, words, other)
    try:
        text = json.dumps(changed, ensure_ascii=dice.random() < 0.8, separators=(",", ":"))
        return data[:start] + text.encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return data


def mutated_json(
    value: Any,  # Any: JSON
    dice: random.Random,
    words: Sequence[str],
    other: Parts | None = None,
) -> Any:
    """A JSON value with one to four of its parts changed, some to what `other` has by the same name."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        place = _somewhere(value, dice)
        if place is None:
            return _copied(dice.choice(ODD))
        holder, key, name = place
        match dice.randrange(9):
            case 0:
                holder[key] = _copied(dice.choice(ODD))
            case 1:
                del holder[key]
            case 2 if words:
                holder[key] = dice.choice(words)
            case 3:
                donor, donor_key, _ = _somewhere(value, dice) or place
                if donor is not holder:
                    holder[key] = _copied(donor[donor_key])
            case 4 if isinstance(holder, dict) and words:
                holder[dice.choice(words)] = _copied(holder[key])
            case 5 if isinstance(holder, list):
                holder.insert(key, _copied(holder[key]))
            case 6 | 7 if other and name in other:
                _graft(holder, key, _copied(dice.choice(other[name])), dice)
            case _:
                holder[key] = _nudged(holder[key], dice)
    return value


def _graft(holder: Any, key: Any, value: Any, dice: random.Random) -> None:  # Any: JSON
    """Put in what another document has by that name: instead of what is there, or beside it."""
    here = holder[key]
    if isinstance(here, dict) and isinstance(value, dict) and value and dice.random() < 0.7:
        member = dice.choice(list(value))
        here[member] = value[member]
    elif isinstance(holder, list) and dice.random() < 0.5:
        holder.insert(key, value)
    else:
        holder[key] = value


@functools.lru_cache(maxsize=1_024)
def _parts(data: bytes) -> Parts:
    try:
        value = json.loads(data[max(0, data.find(b"{")) :])
    except (ValueError, RecursionError):
        return {}
    holders: list[Place] = []
    _collect(value, holders)
    parts: dict[str, list[Any]] = {}
    for holder, key, name in holders:
        parts.setdefault(name, []).append(holder[key])
    return parts


def _somewhere(value: Any, dice: random.Random) -> Place | None:
    """A place in a JSON value; each of its levels is as likely, however much there is below."""
    place: Place | None = None
    name = ""
    while isinstance(value, dict | list) and value and (place is None or dice.random() < 0.8):
        if isinstance(value, dict):
            key: Any = dice.choice(list(value))
            name = key
        else:
            key = dice.randrange(len(value))
            name = f"{name}[]"
        place = value, key, name
        value = value[key]
    return place


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value


def _collect(value: Any, holders: list[Place]) -> None:
    """Every place in a JSON value."""
    waiting: list[tuple[Any, str]] = [(value, "")]
    while waiting:
        match waiting.pop():
            case dict() as members, _:
                holders += [(members, key, key) for key in members]
                waiting += [(item, key) for key, item in members.items()]
            case list() as items, name:
                holders += [(items, index, f"{name}[]") for index in range(len(items))]
                waiting += [(item, f"{name}[]") for item in items]
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


def mutated_request(data: bytes, dice: random.Random, words: Sequence[str], others: Sequence[bytes]) -> bytes:
    """A request, its first line method and path, the rest a form: one to four parameters changed."""
    head, _, body = data.partition(b"\n")
    path, mark, query = head.partition(b"?")
    is_form = not mark
    pairs = _pairs(body if is_form else query)
    for _ in range(dice.choice((1, 1, 2, 4))):
        known = _pairs(_form_of(dice.choice(others))) if others else []
        at = dice.randrange(len(pairs) + 1)
        match dice.randrange(7):
            case 0 if pairs:
                del pairs[at - 1]
            case 1 | 2 if known:
                pairs.insert(at, dice.choice(known))
            case 3 if pairs and known:
                pairs[at - 1] = (pairs[at - 1][0], dice.choice(known)[1])
            case 4 if words:
                pairs.insert(at, (dice.choice(words), str(dice.choice(ODD))))
            case 5 if others:
                path = dice.choice(others).partition(b"\n")[0].partition(b"?")[0]
            case _ if pairs:
                name, value = pairs[at - 1]
                text = mutated_text(value.encode("utf-8", "surrogatepass"), dice, words, ())
                pairs[at - 1] = (name, text.decode("utf-8", "replace"))
            case _:
                path = mutated_text(path, dice, words, others)
    text = urlencode(pairs, quote_via=quote, errors="surrogatepass").encode()
    return path + b"\n" + text if is_form else path + b"?" + text + b"\n"


def _form_of(data: bytes) -> bytes:
    head, _, body = data.partition(b"\n")
    return body or head.partition(b"?")[2]


def _pairs(form: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(form.decode("latin-1"), keep_blank_values=True)
    except ValueError:
        return []
