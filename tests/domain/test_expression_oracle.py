"""The expression language against an oracle that shares nothing with it.

The grammar of the published language is written again, for lark, and evaluated by a few lines of its
own. Texts are put together from words, not printed from our trees, so most of them are odd and some
are no expressions at all: both sides must agree on that as well.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from lark import Lark, Transformer
from lark.exceptions import LarkError, VisitError

from server_stub.domain.expression import ExpressionError, follow, parse

ATTRIBUTES: dict[str, Any] = {  # Any: JSON
    "n": 5,
    "f": 5.0,
    "s": "5",
    "t": "Ana",
    "b": True,
    "z": None,
    "tags": ["a", "b"],
    "nums": [1, 2],
    "o": {"x": {"y": 7}},
    "list": [{"k": 1}],
}

GRAMMAR = r"""
start: or_
or_: and_ (_OR and_)*
and_: not_ (_AND not_)*
not_: NOT* primary
?primary: "(" or_ ")" -> group
    | operand OPERATOR operand -> compare
    | operand NOT IN operand -> not_in
    | operand IN operand -> in_
    | reference -> flag
    | BOOLEAN -> constant_flag
?operand: reference | array | constant
array: "[" [constant ("," constant)*] "]"
constant: STRING | NUMBER | BOOLEAN | NULL
reference: NAME ("." NAME | "[" NUMBER "]")*

_OR.3: /or\b/i
_AND.3: /and\b/i
NOT.3: /not\b/i
IN.3: /in\b/i | "<-"
OPERATOR.2: "==" | "!=" | "<>" | "<=" | ">=" | ">-" | /has\b/i | /contains\b/i | "=" | "<" | ">"
BOOLEAN.3: /true\b/i | /false\b/i
NULL.3: /null\b/i
STRING: /'[^']*'/ | /"[^"]*"/
NUMBER.1: /-?[0-9]+(\.[0-9]+)?/
NAME: /(?!(or|and|not|in|has|contains|true|false|null)\b)[A-Za-z_$][A-Za-z0-9_$]*/i
%ignore /\s+/
"""


class NoExpressionError(Exception):
    """What the grammar cannot say: an index is a whole number."""


class Oracle(Transformer[Any, Any]):
    """Computes the value while the tree is built."""

    def start(self, parts: list[Any]) -> bool:
        return bool(parts[0])

    def group(self, parts: list[Any]) -> bool:
        return bool(parts[0])

    def or_(self, parts: list[Any]) -> bool:
        return any(parts)

    def and_(self, parts: list[Any]) -> bool:
        return all(parts)

    def not_(self, parts: list[Any]) -> bool:
        return bool(parts[-1]) != (len(parts) % 2 == 0)

    def flag(self, parts: list[Any]) -> bool:
        return parts[0][1] is True

    def constant_flag(self, parts: list[Any]) -> bool:
        return str(parts[0]).lower() == "true"

    def reference(self, parts: list[Any]) -> tuple[str, Any]:
        value: Any = ATTRIBUTES
        for part in parts:
            if part.type == "NUMBER":
                if not str(part).isdecimal():
                    raise NoExpressionError
                known = isinstance(value, list) and int(part) < len(value)
                value = value[int(part)] if known else None
            else:
                value = value.get(str(part)) if isinstance(value, dict) else None
        return "reference", value

    def array(self, parts: list[Any]) -> tuple[str, Any]:
        return "array", [part[1] for part in parts if part is not None]

    def constant(self, parts: list[Any]) -> tuple[str, Any]:
        (token,) = parts
        text = str(token)
        match token.type:
            case "STRING":
                return "constant", text[1:-1]
            case "NUMBER":
                return "constant", float(text)
            case "BOOLEAN":
                return "constant", text.lower() == "true"
            case _:
                return "null", None

    def in_(self, parts: list[Any]) -> bool:
        (_, left), _, (_, right) = parts
        return isinstance(right, list) and not isinstance(left, list | dict) and _has(right, left)

    def not_in(self, parts: list[Any]) -> bool:
        (_, left), _, _, (_, right) = parts
        return isinstance(right, list) and not isinstance(left, list | dict) and not _has(right, left)

    def compare(self, parts: list[Any]) -> bool:
        (left_kind, left), operator, (right_kind, right) = parts
        symbol = {"=": "==", "<>": "!=", ">-": "has"}.get(str(operator).lower(), str(operator).lower())
        if symbol == "has":
            return isinstance(left, list) and not isinstance(right, list | dict) and _has(left, right)
        if "null" in (left_kind, right_kind) and symbol in ("==", "!="):
            return (left is None and right is None) == (symbol == "==")
        if isinstance(left, list | dict) or isinstance(right, list | dict):
            return False
        if symbol in ("==", "!="):
            return _same(left, right) == (symbol == "==")
        if symbol == "contains":
            return isinstance(left, str) and isinstance(right, str) and right in left
        if _kind(left) != _kind(right) or _kind(left) not in ("number", "text"):
            return False
        return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[symbol])


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__


def _same(a: object, b: object) -> bool:
    return _kind(a) == _kind(b) and a == b


def _has(items: list[Any], value: object) -> bool:
    return any(_same(item, value) for item in items)


oracle = Lark(GRAMMAR, parser="earley", lexer="basic", maybe_placeholders=False)

references = st.sampled_from(
    [*ATTRIBUTES, "missing", "o.x.y", "o.q.y", "tags[0]", "tags[9]", "list[0].k", "t.a", "n[0]"]
)
constants = st.sampled_from(
    ["5", "5.0", "-1", "1", "7", "'5'", '"Ana"', "'a'", "'na'", "true", "FALSE", "null", "Null"]
)
arrays = st.lists(constants, max_size=3).map(lambda items: f"[{', '.join(items)}]")
operators = st.sampled_from(
    ["==", "=", "!=", "<>", "<=", ">=", "<", ">", "IN", "in", "NOT IN", "HAS", ">-", "CONTAINS", "<-"]
)
operands = references | constants | arrays
comparisons = st.tuples(operands, operators, operands).map(" ".join)
leaves = comparisons | references | st.sampled_from(["true", "False"])
expressions = st.recursive(
    leaves,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["AND", "or", "OR", "and"]), inner).map(" ".join)
        | inner.map("NOT {}".format)
        | inner.map("({})".format)
    ),
    max_leaves=8,
)
scraps = st.lists(
    operands
    | operators
    | st.sampled_from(["AND", "OR", "NOT", "(", ")", "[", "]", ",", ".", "==", "-", "@"]),
    max_size=7,
).map(" ".join)


def ours(text: str) -> bool | None:
    try:
        return parse(text).evaluate(lambda path: follow(ATTRIBUTES, path))
    except ExpressionError:
        return None


def theirs(text: str) -> bool | None:
    try:
        return bool(Oracle().transform(oracle.parse(text)))
    except VisitError as error:
        if isinstance(error.orig_exc, NoExpressionError):
            return None
        raise
    except LarkError:
        return None


@given(expressions)
def test_the_oracle_finds_the_same_value(text: str) -> None:
    expected = theirs(text)
    assert expected is not None, text
    assert ours(text) is expected


@given(scraps)
def test_the_oracle_accepts_the_same_texts(text: str) -> None:
    assert ours(text) is theirs(text)
