"""Targets of the server's documents: seeds and stored state."""

from __future__ import annotations

import functools
import itertools
import json
import math
import tomllib
from collections.abc import Callable
from typing import Any, Final

from server_stub.domain.memento import dump, restore
from server_stub.domain.model import Limits
from server_stub.domain.records import DamagedDocument, decode, decode_record, encode
from server_stub.domain.workspace import Workspace
from server_stub.seeding.check import check
from server_stub.seeding.problems import SeedError
from server_stub.seeding.source import Source, read_source, source_of
from server_stub.seeding.trial import try_out
from server_stub.state.documents import decode_state
from taskrouter_worker.clock import ManualClock

from .rules import json_object
from .target import Broken

__all__ = ["seed_documents", "seed_text", "state", "stored_records"]

# --- Seeds --------------------------------------------------------------------------------------

_DEEPEST: Final = 100


def seed_text(kind: str) -> Callable[[bytes], str]:
    """`read_source` of that format: the value is the one that Python's own reader finds."""
    return functools.partial(_seed_text, kind)


def _seed_text(kind: str, data: bytes) -> str:
    try:
        source = read_source(data, name=f"seed.{kind}")
    except SeedError as error:
        _check_places(data, error)
        raise
    if kind in ("json", "toml"):
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        known: Any = json.loads(text) if kind == "json" else tomllib.loads(text)
        if not _is_same(source.document, known):
            raise Broken("it reads differently than by Python's own reader")
    _check_positions(source)
    return f"{type(source.document).__name__} {'dict' if isinstance(source.document, dict) else ''}"


def _check_places(data: bytes, error: SeedError) -> None:
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    for problem in error.problems:
        if problem.line is not None and problem.column is not None:
            inside = problem.line <= len(lines) and problem.column <= len(lines[problem.line - 1]) + 1
            if not (problem.line >= 1 and problem.column >= 1 and inside):
                raise Broken(f"a problem is at {problem.line}:{problem.column}, outside the text") from error


def _check_positions(source: Source) -> None:
    positions = source.positions
    if positions is None:
        raise Broken("a text has no positions")
    # An empty YAML document holds None, and nowhere.
    places: list[tuple[str | int, ...]] = [()] if source.document is not None else []
    for place in places[:200]:
        if place not in positions:
            raise Broken(f"the value at {place} has no position")
        if not 0 <= positions.offset(place) <= len(source.text):
            raise Broken(f"the value at {place} is outside the text")
        match source.value_at(place):
            case dict() as members:
                places += [(*place, key) for key in members]
            case list() as items:
                places += [(*place, index) for index in range(len(items))]
            case _:
                pass


def _is_same(one: Any, other: Any) -> bool:  # Any: values of JSON or TOML
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(_is_same, one, other))
        case float(), float() if math.isnan(one):
            return math.isnan(other)
        case str(), _ if not isinstance(other, str):
            return hasattr(other, "isoformat") and one == other.isoformat()
        case _:
            return type(one) is type(other) and bool(one == other)


def seed_documents(data: bytes) -> str:
    """A seed's document, checked and built: what the check alone tells, building tells, too."""
    document = json_object(data)
    checked = source_of(document)
    check(checked)
    try:
        try_out(source_of(document), limits=LIMITS)
    except SeedError as error:
        if not {str(problem) for problem in checked.problems} <= {str(problem) for problem in error.problems}:
            raise Broken("building keeps quiet about a problem that the check has found") from error
        raise
    if checked.problems:
        raise Broken("a seed with a problem was built")
    return "built"


# --- State --------------------------------------------------------------------------------------

LIMITS: Final = Limits()


def state(data: bytes) -> str:
    """`decode_state` and `restore`: what comes back is the same, and can go on."""
    documents = decode_state(data).workspaces if b"scope" in data else (decode(data),)
    kinds: set[str] = set()
    for document in documents:
        numbers, clock = itertools.count(1), ManualClock(1_000_000.0)

        def sid(prefix: str, numbers: Any = numbers) -> str:  # Any: a counter
            return f"{prefix}{next(numbers):030x}ff"

        restored = restore(document, now=clock.now, sids=sid, limits=LIMITS)
        again = decode(encode(dump(restored)))
        twin = restore(again, now=clock.now, sids=sid, limits=LIMITS)
        if dump(twin) != dump(restored):
            raise Broken("a restored workspace that is stored again is another one")
        _goes_on(restored, clock)
        kinds |= {type(record).__name__ for record in document.records}
    return f"{len(documents)} {len(kinds)}"


def _goes_on(workspace: Workspace, clock: ManualClock) -> None:
    """Deadlines and routing of a restored workspace break nothing, also when it is stored again."""
    for _ in range(10):
        if not workspace.route():
            at = workspace.next_deadline()
            if at is None:
                break
            clock.set(max(at, clock.now()))
            workspace.advance()
        workspace.take_events()
    dump(workspace)


def stored_records(data: bytes) -> str:
    """A row of a database, decoded."""
    try:
        return type(decode_record(data)).__name__
    except DamagedDocument as error:
        if len(str(error)) > 1_000:
            raise Broken("the refusal of a record quotes it") from error
        raise
