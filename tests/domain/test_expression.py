"""The expression language: the documented edge cases, its errors, its limits, its printing."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.domain.errors import InvalidArgument
from server_stub.domain.expression import (
    MAX_LENGTH,
    MAX_NESTING,
    And,
    Array,
    Comparison,
    Expression,
    ExpressionError,
    Literal,
    Node,
    Not,
    Operator,
    Or,
    Path,
    Reference,
    follow,
    parse,
    parse_reference,
)

ATTRIBUTES = {
    "n": 5,
    "s": "5",
    "t": "Ana",
    "b": True,
    "z": None,
    "tags": ["a", "b"],
    "nums": [1, 2],
    "o": {"x": {"y": 7}},
    "list": [{"k": 1}],
}


def holds(text: str) -> bool:
    return parse(text).evaluate(lambda path: follow(ATTRIBUTES, path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1==1", True),
        ("1 = 1", True),
        ("n == 5", True),
        ("n = 5.0", True),
        ('n == "5"', False),
        ("s == 5", False),
        ('s == "5"', True),
        ("s == '5'", True),
        ('t == "ana"', False),
        ('t CONTAINS "na"', True),
        ('t CONTAINS "NA"', False),
        ('n CONTAINS "5"', False),
        ('tags CONTAINS "a"', False),
        ('tags HAS "a"', True),
        ('tags >- "a"', True),
        ('tags HAS "A"', False),
        ("nums HAS 2", True),
        ('nums HAS "2"', False),
        ('t HAS "Ana"', False),
        ('t IN ["Ana","Bo"]', True),
        ('t <- ["Ana"]', True),
        ("t in ['Ana']", True),
        ("t IN []", False),
        ('t NOT IN ["Bo"]', True),
        ("t NOT IN []", True),
        ('missing IN ["a"]', False),
        ('missing NOT IN ["a"]', True),
        ('t IN "Ana"', False),
        ('t NOT IN "Ana"', False),
        ('"a" IN tags', True),
        ('tags == ["a","b"]', False),
        ('tags != "a"', False),
        ("n > 4 AND n <= 5", True),
        ('t > "Alz"', True),
        ("t > 3", False),
        ("b == true", True),
        ('b == "true"', False),
        ("b", True),
        ("z == null", True),
        ("missing == null", True),
        ("t != null", True),
        ("tags != null", True),
        ('missing != "x"', True),
        ('missing == "x"', False),
        ("missing > 1", False),
        ("missing < 1", False),
        ("n <> 4", True),
        ("NOT (n == 4)", True),
        ("NOT n == 4", True),
        ("n == 4 OR n == 5 AND b == false", False),
        ("(n == 4 OR n == 5) AND b == true", True),
        ("o.x.y == 7", True),
        ("o.q.y == null", True),
        ("list[0].k == 1", True),
        ('tags[0] == "a"', True),
        ("tags[9] == null", True),
        ('"language" == "spanish"', False),
    ],
)
def test_documented_edge_case_evaluates_as_documented(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tags == null", False),
        ("missing IN [null]", True),
        ("tags IN [1]", False),
        ("tags NOT IN [1]", False),
        ("nums HAS tags", False),
        ("b == 1", False),  # a boolean is no number
        ("1 IN [true]", False),
        ("true > false", False),
        ("o == 1", False),
        ("o != 1", False),
        ("o != null", True),
        ("n", False),  # only a boolean stands alone
        ("NOT n", True),
        ("missing", False),
        ("TRUE AND not FALSE", True),
        ("a<-1", False),  # reads as IN: write a < -1
        ("n < -1 OR n >= 5", True),
        ("'it''s' == 1 OR b", None),
        (r"'it\'s' CONTAINS 't\'s'", True),
        ("o.x.y.z == null", True),
        ("tags.x == null", True),
        ("t[0] == null", True),
    ],
)
def test_what_the_documentation_leaves_open(text: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(ExpressionError):
            parse(text)
    else:
        assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ('tags IN [["a","b"]]', 9, "extraneous input '[' at position 9 expecting {a constant, ']'}"),
        ("no-pe == 1", 2, "a name in an expression cannot hold a hyphen"),
        ("n ==", 4, "mismatched input '<EOF>' at position 4 expecting {a name, a constant, '['}"),
        ("AND n == 5", 0, "extraneous input 'AND' at position 0"),
        ("n == 5 n == 6", 7, "extraneous input 'n' at position 7 expecting {AND, OR, <EOF>}"),
        ("", 0, "mismatched input '<EOF>' at position 0"),
        ("(n == 5", 7, "expecting {AND, OR, ')'}"),
        ("n == 5)", 6, "extraneous input ')'"),
        ("n NOT 5", 6, "expecting {IN}"),
        ("'open", 0, "does not end"),
        ("n == #", 5, "'#' belongs to no expression"),
        ("5", 1, "expecting {'=='"),
        ("o.5 == 1", 2, "extraneous input '5' at position 2 expecting {a name}"),
        ("o. == 1", 3, "expecting {a name}"),
        ("tags[x] == 1", 5, "expecting {an integer}"),
        ("tags[-1] == 1", 5, "expecting {an integer}"),
        ("t IN ['a' 'b']", 10, "expecting {',', ']'}"),
        ("t IN ['a',]", 10, "expecting {a constant}"),
        ("é == 1", 0, "belongs to no expression"),
        ("(n) == 5", 4, "expecting {AND, OR, <EOF>}"),
    ],
)
def test_error_names_position_and_what_was_expected(text: str, position: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.position == position
    assert message in str(caught.value)
    assert isinstance(caught.value, InvalidArgument)
    assert caught.value.code == 20001


def test_nesting_is_limited_without_touching_the_stack() -> None:
    for opening, closing in (("(", ")"), ("NOT ", "")):
        parse(opening * MAX_NESTING + "b" + closing * MAX_NESTING)
        for depth in (MAX_NESTING + 1, MAX_LENGTH // 8):
            with pytest.raises(ExpressionError, match="nested too deeply"):
                parse(opening * depth + "b" + closing * depth)


@pytest.mark.parametrize(
    "text",
    [
        "b AND " * 10_000 + "b",
        "n == 1 OR " * 6_000 + "b",
        "t IN [" + "'a', " * 13_000 + "'a']",
        "o" + ".x" * 30_000,
        "'" + "\\'" * 30_000 + "'=='x'",
        "'" + "\\'" * 30_000,
        "(" * 60_000,
        " " * 60_000,
        "-" * 60_000,
        "x" * MAX_LENGTH + "y",
        "9" * 60_000 + "==1",
    ],
)
def test_long_text_is_read_or_refused_quickly(text: str) -> None:
    start = time.perf_counter()
    with contextlib.suppress(ExpressionError):
        holds(text)
    assert time.perf_counter() - start < 2


@given(st.text(alphabet=" ()[].,<>=!-'\"\\aN1$_\té", max_size=60) | st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionError as error:
        position = error.position
    else:
        position = 0
        assert parse(str(expression)) == expression
    assert 0 <= position <= len(text)


keywords = {"AND", "OR", "NOT", "IN", "HAS", "CONTAINS", "TRUE", "FALSE", "NULL"}
names = st.from_regex(r"[A-Za-z_$][A-Za-z0-9_$]{0,5}", fullmatch=True)
paths: st.SearchStrategy[Path] = st.builds(
    lambda first, rest: (first, *rest),
    names.filter(lambda name: name.upper() not in keywords),
    st.lists(names | st.integers(0, 99), max_size=3),
)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
literals = st.builds(Literal, st.none() | st.booleans() | numbers | st.text(max_size=8))
references = st.builds(Reference, paths)
operands = literals | references | st.builds(Array, st.lists(literals, max_size=3).map(tuple))
leaves: st.SearchStrategy[Node] = (
    references
    | st.builds(Literal, st.booleans())
    | st.builds(Comparison, operands, st.sampled_from(Operator), operands)
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=12,
)


@given(trees)
def test_printing_parses_back_to_the_same_expression(root: Node) -> None:
    expression = Expression(root)
    again = parse(str(expression))
    assert again == expression
    assert repr(again) == repr(expression)
    assert again.references == expression.references


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(trees, json_values)
def test_evaluation_never_fails_and_negation_is_exact(root: Node, value: object) -> None:
    result = Expression(root).evaluate(lambda _: value)
    assert Expression(Not(root)).evaluate(lambda _: value) is (not result)


def test_and_and_or_stop_at_the_first_operand_that_decides() -> None:
    asked: list[Path] = []

    def resolve(path: Path) -> object:
        asked.append(path)
        return path == ("yes",)

    assert parse("yes OR no").evaluate(resolve)
    assert not parse("no AND yes").evaluate(resolve)
    assert asked == [("yes",), ("no",)]


def test_a_reference_is_read_alone() -> None:
    assert parse_reference("task.last_agent") == ("task", "last_agent")
    assert parse_reference("task.agents[0].sid") == ("task", "agents", 0, "sid")
    for text in ("", "task.", "task.a == 1", "'x'", "task.a task.b"):
        with pytest.raises(ExpressionError):
            parse_reference(text)
