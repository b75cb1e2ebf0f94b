"""Every class, method, property, event and option of the official SDK has its counterpart here, or a reason.

`javascript_surface.json` lists the names of twilio-taskrouter 2.1.1: `types` those of its type declarations,
`also` those that it has or documents beside them. `docs/javascript-to-python.md` is the table for readers.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import taskrouter_worker
from taskrouter_worker import options

ROOT = Path(__file__).parents[2]
SURFACE = json.loads((Path(__file__).parent / "javascript_surface.json").read_text())
PAGE = ROOT / "docs" / "javascript-to-python.md"
TYPES = ROOT / "tests" / "interop" / "node_modules" / "twilio-taskrouter" / "dist" / "types.d.ts"
NONE = "—"

Name = tuple[str, str, str]
"""Class, kind (property, method, event, option or class) and name."""


@dataclass(frozen=True)
class Row:
    """One row of the page."""

    name: Name
    python: str
    remark: str


def surface() -> Iterator[Name]:
    """Every name of the official SDK."""
    for part in ("types", "also"):
        for owner, kinds in SURFACE[part].items():
            if part == "types" and "options" not in kinds:
                yield owner, "class", owner
            for kind, names in kinds.items():
                for name in names:
                    yield owner, kind, name


@cache
def rows() -> list[Row]:
    """The page's tables."""
    found: list[Row] = []
    owner = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            owner = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not owner or not line.startswith("| `") or len(cells) != 3:
            continue
        shown = cells[0].strip("`")
        if shown == owner:
            name = (owner, "class", owner)
        elif shown.endswith("()"):
            name = (owner, "methods", shown.removesuffix("()"))
        elif shown.startswith('"'):
            name = (owner, "events", shown.strip('"'))
        else:
            name = (owner, "options" if "options" in SURFACE["types"][owner] else "properties", shown)
        found.append(Row(name, cells[1].strip("`"), cells[2]))
    return found


def keywords(function: object) -> set[str]:
    """The keyword arguments of a class or function, those of an unpacked TypedDict included."""
    names: set[str] = set()
    for parameter in inspect.signature(function).parameters.values():  # type: ignore[arg-type]  # callable, see `problem`
        if parameter.kind is parameter.VAR_KEYWORD:
            inner = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
            if inner:
                names |= set(getattr(options, inner[1]).__annotations__)
        else:
            names.add(parameter.name)
    return names


def problem(python: str) -> str | None:
    """What is wrong with a Python name of the page, None if it exists."""
    match = re.fullmatch(r'(\w+)(?:\.(\w+))?(?:\((?:"(\w+)"|(\w+)=)\))?', python)
    if match is None:
        return "cannot be read"
    owner, member, event, keyword = match.groups()
    here: object = getattr(taskrouter_worker, owner, None)
    if here is None:
        return f"taskrouter_worker has no {owner}"
    if event is not None:
        return (
            None
            if member == "on" and event in getattr(here, "EVENTS", ())
            else f"{owner} has no event {event}"
        )
    if member is not None:
        if not hasattr(here, member):
            return f"{owner} has no {member}"
        here = inspect.getattr_static(here, member)
    if keyword is not None and keyword not in keywords(here):
        return f"{owner}.{member or ''} takes no {keyword}"
    return None


def test_every_name_of_the_official_sdk_has_one_row() -> None:
    listed = [row.name for row in rows()]
    assert sorted(set(listed)) == sorted(set(surface()))
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("row", rows(), ids=lambda row: ".".join(row.name))
def test_every_row_names_something_that_exists_or_says_why_not(row: Row) -> None:
    if row.python == NONE:
        assert len(row.remark) > 20, "a name without a counterpart needs a reason"
    else:
        assert problem(row.python) is None


def test_a_name_that_does_not_exist_would_be_noticed() -> None:
    for wrong in (
        "Wörker",
        "Worker.fetch_everything",
        'Worker.on("reservationMade")',
        'Worker.once("ready")',
        "Worker(ebServer=)",
        "Reservation.conference(beepOnExit=)",
        "Activity.set_as_current(now=)",
        "Nobody.sid",
    ):
        assert problem(wrong) is not None, wrong
    for right in (
        "Worker(proxy=)",
        "Reservation.conference(beep=)",
        "Transfers.incoming",
        "Reservation.task",
    ):
        assert problem(right) is None, right


def test_the_list_is_what_the_installed_package_declares() -> None:
    if not TYPES.exists():
        pytest.skip("the official SDK is not installed: `make setup` does")
    package = json.loads((TYPES.parents[1] / "package.json").read_text())
    assert SURFACE["source"] == f"{package['name']} {package['version']}"
    assert SURFACE["types"] == declared(TYPES.read_text())


def declared(source: str) -> dict[str, dict[str, list[str]]]:
    """The names in a file of type declarations, as the list has them."""
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    found: dict[str, dict[str, list[str]]] = {}
    for owner, body in re.findall(
        r"(?:class|interface|type) (\w+)[^{;]*?\{(.*?)\n\}", source, flags=re.DOTALL
    ):
        lines = [line.strip() for line in body.splitlines()]
        properties = sorted(
            match[1] for line in lines if (match := re.match(r"(?:readonly )?(\w+)\??\s*:", line)) is not None
        )
        methods = sorted(
            match[1]
            for line in lines
            if (match := re.match(r"(\w+)\(", line)) is not None and match[1] != "constructor"
        )
        if owner.endswith("Events"):
            found.setdefault(owner.removesuffix("Events"), {})["events"] = properties
        elif owner.endswith(("Options", "Params")):
            found.setdefault(owner, {})["options"] = properties
        else:
            kinds = found.setdefault(owner, {})
            kinds |= {"properties": properties} if properties else {}
            kinds |= {"methods": methods} if methods else {}
    return found


def test_the_options_for_makers_of_workers_are_those_of_worker() -> None:
    parameters = inspect.signature(taskrouter_worker.Worker).parameters
    expected = {
        name: str(parameter.annotation)
        for name, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    shown = {
        name: typing.cast("typing.ForwardRef", annotation).__forward_arg__
        for name, annotation in options.WorkerOptions.__annotations__.items()
    }
    assert shown == expected
