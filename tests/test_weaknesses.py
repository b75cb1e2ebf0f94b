"""The documents that compare this SDK with the official one name tests and scenarios that exist."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from benchmarks.what_gets_lost import COLUMNS, SCENARIOS

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
TABLE = DOCS / "better-than-worker-js.md"
MEASURED = DOCS / "what-gets-lost.md"

WEAKNESSES = 48
"""How many are known of the official SDK 2.1.1."""

NO_TEST = "no test: "
"""Begins the reason where a weakness is of a kind that a Python client cannot have."""


@dataclass(frozen=True)
class Row:
    weakness: str
    official: str
    ours: str
    shown_by: str

    @property
    def tests(self) -> list[str]:
        return re.findall(r"`([\w/]+\.py::\w+)`", self.shown_by)


def cells(path: Path) -> list[list[str]]:
    """The cells of every table's rows, the headings left out."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line, after in pairwise([*lines, ""])
        if not (is_rule(line) or is_rule(after))
    ]


def is_rule(line: str) -> bool:
    """Whether it is the line below a table's headings."""
    return bool(line) and set(line) <= set("|- ")


def rows() -> list[Row]:
    return [Row(*row) for row in cells(TABLE)]


@cache
def cases_in(file: str) -> frozenset[str]:
    """The tests that a file below `tests/` defines and does not skip."""
    module = ast.parse((TESTS / file).read_text())
    return frozenset(
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(re.search(r"\b(skip|skipif|xfail)\b", ast.unparse(mark)) for mark in node.decorator_list)
    )


def test_every_known_weakness_has_its_row() -> None:
    names = [row.weakness for row in rows()]
    assert len(names) == len(set(names)) == WEAKNESSES
    assert all(cell for row in rows() for cell in (row.weakness, row.official, row.ours))


def test_every_row_has_a_test_or_a_reason_why_there_is_none() -> None:
    for row in rows():
        reason = row.shown_by.removeprefix(NO_TEST) if row.shown_by.startswith(NO_TEST) else ""
        assert bool(row.tests) != bool(reason), f"{row.weakness}: a test, or a reason"
        # A name that the pattern does not recognise would go unchecked.
        assert not row.tests or row.shown_by == ", ".join(f"`{test}`" for test in row.tests), row.weakness


def test_every_test_that_a_row_names_exists() -> None:
    assert "test_every_known_weakness_has_its_row" in cases_in("test_weaknesses.py")
    named = [test.split("::") for row in rows() for test in row.tests]
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).is_file() or name not in cases_in(file)
    ]
    assert not missing, f"{TABLE.name} names tests that do not exist"


def test_the_weaknesses_are_those_of_the_version_that_the_tests_run() -> None:
    package = json.loads((TESTS / "interop" / "package.json").read_text())
    assert f"`twilio-taskrouter` {package['dependencies']['twilio-taskrouter']}" in TABLE.read_text()


def test_what_was_measured_is_what_the_program_measures() -> None:
    measured = cells(MEASURED)
    assert [row[0] for row in measured if row[0]] == [scenario.title for scenario in SCENARIOS.values()]
    assert len(measured) == 2 * len(SCENARIOS)
    assert all(len(row) == 2 + len(COLUMNS) for row in measured)
