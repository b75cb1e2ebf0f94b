"""The language of worker and task expressions: parse, print, evaluate.

Grammar (TaskRouter, "Expression syntax"; what it leaves open is marked as our choice)::

    expression = or ;
    or         = and , { OR , and } ;
    and        = not , { AND , not } ;                       AND binds tighter: our choice
    not        = { NOT } , primary ;                         prefix NOT: our choice
    primary    = "(" , or , ")" | comparison | reference | TRUE | FALSE ;
    comparison = operand , operator , operand ;
    operator   = "==" | "=" | "!=" | "<>" | "<=" | ">=" | "<" | ">" | CONTAINS
               | IN | "<-" | NOT IN | HAS | ">-" ;
    operand    = reference | constant | "[" , [ constant , { "," , constant } ] , "]" ;
    reference  = name , { "." , name | "[" , integer , "]" } ;

Keywords are case-insensitive, names and values are not. A hyphen is never part of a name.
Types are checked nowhere: a comparison of things that do not compare is false.

Hostile text neither hangs the parser (it is linear) nor overflows the stack: length and nesting
are limited.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias, cast

from .errors import InvalidArgument

__all__ = [
    "MAX_LENGTH",
    "MAX_NESTING",
    "And",
    "Array",
    "Comparison",
    "Constant",
    "Expression",
    "ExpressionError",
    "Literal",
    "Need",
    "Node",
    "Not",
    "Operator",
    "Or",
    "Path",
    "Reference",
    "Resolve",
    "Shortfall",
    "follow",
    "keys_of",
    "parse",
    "parse_reference",
]

MAX_LENGTH: Final = 65_536
"""Longest accepted text, in characters (our choice: undocumented)."""

MAX_NESTING: Final = 50
"""Deepest accepted nesting of parentheses and NOT (our choice: undocumented)."""

_MAX_DIGITS: Final = 400
"""Longest number or index: any float's plain decimal fits, and conversions stay cheap (our choice)."""

Constant: TypeAlias = str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]
"""A reference's steps: names, and integers for array indexes. The first one is a name."""

Resolve: TypeAlias = Callable[[Path], object]
"""Finds a reference's value; None where it leads nowhere."""


class ExpressionError(InvalidArgument):
    """The text is no expression. `position` counts characters from 0."""

    def __init__(self, message: str, *, position: int) -> None:
        super().__init__(message)
        self.position = position


class Operator(StrEnum):
    """The operators of comparisons, in the spelling that is printed."""

    EQ = "=="
    NE = "!="
    LE = "<="
    GE = ">="
    LT = "<"
    GT = ">"
    CONTAINS = "CONTAINS"
    IN = "IN"
    NOT_IN = "NOT IN"
    HAS = "HAS"


# ---------------------------------------------------------------- the tree


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, number, boolean or null."""

    value: Constant

    def __str__(self) -> str:
        match self.value:
            case None:
                return "NULL"
            case bool():
                return "TRUE" if self.value else "FALSE"
            case str():
                escaped = self.value.replace("\\", "\\\\").replace('"', '\\"')
                return f'"{escaped}"'
            case int():
                return str(self.value)
            case float():
                # The grammar knows no exponent, and "5." or "-0" must stay a float.
                text = format(Decimal(repr(self.value)), "f")
                return text if "." in text else f"{text}.0"

    def __eq__(self, other: object) -> bool:
        # 1, 1.0 and TRUE are three different literals, though Python calls them equal.
        return (
            isinstance(other, Literal) and type(self.value) is type(other.value) and self.value == other.value
        )

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


_Key: TypeAlias = tuple[bool, object]


def _key(value: object) -> _Key:
    """Equal for scalars that an expression takes for equal: Python takes 1 and TRUE for it, too."""
    return isinstance(value, bool), value


@dataclass(frozen=True, slots=True)
class Array:
    """An array of constants."""

    items: tuple[Literal, ...]
    keys: frozenset[_Key] = field(init=False, repr=False, compare=False)  # to look a value up among thousands

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", frozenset(_key(item.value) for item in self.items))

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.items))}]"


@dataclass(frozen=True, slots=True)
class Reference:
    """A value of the worker or the task, by its path."""

    path: Path

    def __str__(self) -> str:
        first, *rest = self.path
        return str(first) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)


Operand: TypeAlias = Literal | Array | Reference


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and what is asked of them."""

    left: Operand
    operator: Operator
    right: Operand

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


@dataclass(frozen=True, slots=True)
class Not:
    """True when the operand is not."""

    operand: Node

    def __str__(self) -> str:
        return f"NOT {_print_in(self.operand, And, Or)}"


@dataclass(frozen=True, slots=True)
class And:
    """True when all of two or more operands are."""

    operands: tuple[Node, ...]

    def __str__(self) -> str:
        return " AND ".join(_print_in(operand, And, Or) for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Or:
    """True when any of two or more operands is."""

    operands: tuple[Node, ...]

    def __str__(self) -> str:
        return " OR ".join(_print_in(operand, Or) for operand in self.operands)


Node: TypeAlias = Comparison | Reference | Literal | Not | And | Or


def _print_in(node: Node, *weaker: type[And | Or]) -> str:
    return f"({node})" if isinstance(node, weaker) else str(node)


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. Printing it gives a text that parses to an equal one."""

    root: Node
    references: frozenset[Path] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "references", frozenset(_references(self.root)))

    def __str__(self) -> str:
        return str(self.root)

    @property
    def comparisons(self) -> int:
        """How many there are: what it takes to evaluate it."""
        return _comparisons(self.root)

    @property
    def needs(self) -> tuple[Need, ...]:
        """The comparisons that must hold for the whole to hold, of those that compare for equality."""
        return tuple(_needs(self.root))

    def evaluate(self, resolve: Resolve) -> bool:
        """Whether it holds for the values that `resolve` finds. Never fails on a type."""
        return _holds(self.root, resolve)

    def shortfalls(self, resolve: Resolve) -> tuple[Shortfall, ...]:
        """The parts that are to blame where it does not hold; empty where it does.

        It is `evaluate`'s own judgement, asked part by part: what makes a whole false is each false
        part of an AND, every part of an OR, and of a NOT the whole.
        """
        return tuple(_shortfalls(self.root, resolve))


def _comparisons(root: Node) -> int:
    found, waiting = 0, [root]
    while waiting:
        match waiting.pop():
            case And(operands) | Or(operands):
                waiting += operands
            case Not(operand):
                waiting.append(operand)
            case _:
                found += 1
    return found


@dataclass(frozen=True, slots=True)
class Need:
    """A comparison without which the whole expression cannot hold.

    It says that a reference's value, or, of an array, one of its items, equals `key`; of an array as
    key, one of its items. So whoever keeps things by their values looks at few of them.
    """

    path: Path
    is_array: bool
    key: Operand


def _needs(root: Node) -> Iterator[Need]:
    match root:
        case And(operands):
            for operand in operands:
                yield from _needs(operand)
        case Comparison(Reference(path), Operator.IN, Array() as key):
            yield Need(path, False, key)
        case Comparison(Reference(path), Operator.HAS, (Literal() | Reference()) as key):
            yield Need(path, True, key)
        case Comparison((Literal() | Reference()) as key, Operator.IN, Reference(path)):
            yield Need(path, True, key)
        case Comparison((Literal() | Reference()) as left, Operator.EQ, (Literal() | Reference()) as right):
            if isinstance(left, Reference):
                yield Need(left.path, False, right)
            if isinstance(right, Reference):
                yield Need(right.path, False, left)
        case _:
            pass


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A part of an expression that does not hold, and the values that its references have."""

    text: str
    values: tuple[tuple[str, object], ...]  # by reference, in alphabetical order


def _shortfalls(node: Node, resolve: Resolve) -> Iterator[Shortfall]:
    if _holds(node, resolve):
        return
    match node:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _shortfalls(operand, resolve)
        case _:
            paths = sorted(set(_references(node)), key=lambda path: str(Reference(path)))
            yield Shortfall(str(node), tuple((str(Reference(path)), resolve(path)) for path in paths))


def _references(root: Node) -> Iterator[Path]:
    waiting: list[Node | Operand] = [root]
    while waiting:
        match waiting.pop():
            case Reference(path):
                yield path
            case Comparison(left, _, right):
                waiting += left, right
            case Not(operand):
                waiting.append(operand)
            case And(operands) | Or(operands):
                waiting += operands
            case Literal() | Array():
                pass


# ---------------------------------------------------------------- evaluation


def follow(value: object, path: Path) -> object:
    """Walk into a JSON value; None where the path leaves it."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list):
                return None
            items = cast("list[object]", value)  # isinstance cannot tell the type of the items
            if step >= len(items):
                return None
            value = items[step]
        else:
            if not isinstance(value, dict):
                return None
            value = cast("dict[str, object]", value).get(step)  # JSON objects have text keys only
    return value


def keys_of(value: object, *, is_array: bool) -> tuple[Constant, ...]:
    """The keys that a `Need` may have if it holds for this value; one of them promises nothing."""
    if not is_array:
        return (cast("Constant", value),) if _is_scalar(value) else ()  # JSON has no other scalars
    if not isinstance(value, list):
        return ()
    items = cast("list[object]", value)  # isinstance cannot tell the type of the items
    return tuple(dict.fromkeys(cast("Constant", item) for item in items if _is_scalar(item)))


def _holds(node: Node, resolve: Resolve) -> bool:
    match node:
        case Comparison(left, operator, right):
            return _compare(left, operator, right, resolve)
        case And(operands):
            return all(_holds(operand, resolve) for operand in operands)
        case Or(operands):
            return any(_holds(operand, resolve) for operand in operands)
        case Not(operand):
            return not _holds(operand, resolve)
        case Reference(path):
            return resolve(path) is True
        case Literal(value):
            return value is True


_NULL: Final = Literal(None)


def _compare(left: Operand, operator: Operator, right: Operand, resolve: Resolve) -> bool:
    a = _value(left, resolve)
    if isinstance(right, Array) and operator in (Operator.IN, Operator.NOT_IN):
        return _is_scalar(a) and (_key(a) in right.keys) == (operator is Operator.IN)
    b = _value(right, resolve)
    match operator:
        case Operator.IN:
            return isinstance(b, list) and _is_scalar(a) and _is_among(a, cast("list[object]", b))
        case Operator.NOT_IN:
            return isinstance(b, list) and _is_scalar(a) and not _is_among(a, cast("list[object]", b))
        case Operator.HAS:
            return isinstance(a, list) and _is_scalar(b) and _is_among(b, cast("list[object]", a))
        case _:
            pass
    if operator in (Operator.EQ, Operator.NE) and _NULL in (left, right):
        # An existence test: the one scalar comparison that an array may pass (our choice).
        return (a is b) == (operator is Operator.EQ)
    if not (_is_scalar(a) and _is_scalar(b)):
        return False  # documented for arrays, `!=` included; objects are held to the same rule
    match operator:
        case Operator.EQ:
            return _equal(a, b)
        case Operator.NE:
            return not _equal(a, b)
        case Operator.CONTAINS:
            return isinstance(a, str) and isinstance(b, str) and b in a
        case _:
            return _ordered(a, operator, b)


def _value(operand: Operand, resolve: Resolve) -> object:
    match operand:
        case Reference(path):
            return resolve(path)
        case Literal(value):
            return value
        case Array(items):
            return [item.value for item in items]


def _is_scalar(value: object) -> bool:
    return not isinstance(value, list | dict)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(a: object, b: object) -> bool:
    if _is_number(a):
        return _is_number(b) and a == b
    return type(a) is type(b) and _is_scalar(a) and a == b


def _is_among(value: object, items: list[object]) -> bool:
    return any(_equal(value, item) for item in items)


def _ordered(a: object, operator: Operator, b: object) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        difference = (a > b) - (a < b)  # by code point
    elif isinstance(a, int | float) and isinstance(b, int | float) and _is_number(a) and _is_number(b):
        difference = (a > b) - (a < b)
    else:
        return False
    match operator:
        case Operator.LT:
            return difference < 0
        case Operator.LE:
            return difference <= 0
        case Operator.GT:
            return difference > 0
        case _:
            return difference >= 0


# ---------------------------------------------------------------- tokens

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<number>-?[0-9]+(?:\.[0-9]+)?)
  | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
  | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<symbol><-|>-|==|!=|<>|<=|>=|=|<|>|\(|\)|\[|\]|,|\.)
    """,
    re.VERBOSE | re.DOTALL,
)

_KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "IN", "HAS", "CONTAINS", "TRUE", "FALSE", "NULL"})

_OPERATORS: Final = {
    "==": Operator.EQ,
    "=": Operator.EQ,
    "!=": Operator.NE,
    "<>": Operator.NE,
    "<=": Operator.LE,
    ">=": Operator.GE,
    "<": Operator.LT,
    ">": Operator.GT,
    "<-": Operator.IN,
    ">-": Operator.HAS,
    "IN": Operator.IN,
    "HAS": Operator.HAS,
    "CONTAINS": Operator.CONTAINS,
}

_CONSTANTS: Final[dict[str, Constant]] = {"TRUE": True, "FALSE": False, "NULL": None}

_END: Final = "<EOF>"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, string, symbol, keyword or end
    text: str  # as written
    word: str  # what the parser compares: keywords in upper case
    position: int


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(text, position)
        kind, found = str(match.lastgroup), match.group()
        if kind == "number" and len(found) > _MAX_DIGITS:
            raise ExpressionError(
                f"number at position {position} has {len(found)} characters, expecting at most {_MAX_DIGITS}",
                position=position,
            )
        if kind == "name" and found.upper() in _KEYWORDS:
            yield _Token("keyword", found, found.upper(), position)
        elif kind != "space":
            yield _Token(kind, found, found, position)
        position = match.end()
    yield _Token("end", _END, _END, len(text))


def _unreadable(text: str, position: int) -> ExpressionError:
    character = text[position]
    if character in "'\"":
        message = f"string that begins at position {position} does not end, expecting {character}"
    elif character == "-":
        message = (
            f"extraneous input '-' at position {position}, expecting an operator or a number; "
            "a name in an expression cannot hold a hyphen"
        )
    else:
        message = f"token recognition error at position {position}: {character!r} belongs to no expression"
    return ExpressionError(message, position=position)


# ---------------------------------------------------------------- parser

_A_VALUE: Final = ("a name", "a constant", "'['")
_AN_OPERATOR: Final = (
    "'=='", "'!='", "'<'", "'<='", "'>'", "'>='", "CONTAINS", "IN", "NOT IN", "HAS",
)  # fmt: skip


class _Parser:
    """Recursive descent, one method per rule; depth is bounded by `MAX_NESTING`."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(
                f"expression has {len(text)} characters, expecting at most {MAX_LENGTH}", position=MAX_LENGTH
            )
        self._tokens = _tokens(text)
        self._token = next(self._tokens)
        self._depth = 0

    def expression(self) -> Expression:
        root = self._or()
        self.end("AND", "OR")
        return Expression(root)

    def end(self, *others: str) -> None:
        if self._token.kind != "end":
            raise self._unexpected(*others, _END)

    def reference(self) -> Reference:
        path: list[str | int] = [self._expect("a name", "name").text]
        while True:
            if self._skip("."):
                # After a dot a keyword cannot be one, so any name is allowed (our choice).
                path.append(self._expect("a name", "name", "keyword").text)
            elif self._skip("["):
                if not self._token.text.isdigit():
                    raise self._unexpected("an integer")
                path.append(int(self._expect("an integer", "number").text))
                self._require("]")
            else:
                return Reference(tuple(path))

    def _or(self) -> Node:
        operands = [self._and()]
        while self._skip("OR"):
            operands.append(self._and())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _and(self) -> Node:
        operands = [self._not()]
        while self._skip("AND"):
            operands.append(self._not())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _not(self) -> Node:
        if self._token.word != "NOT" or self._token.kind != "keyword":
            return self._primary()
        self._enter()
        operand = self._not()
        self._depth -= 1
        return Not(operand)

    def _primary(self) -> Node:
        if self._is("("):
            self._enter()
            node = self._or()
            self._depth -= 1
            self._require(")", "AND", "OR")
            return node
        left = self._operand("NOT", "'('", *_A_VALUE)
        operator = self._operator()
        if operator is not None:
            return Comparison(left, operator, self._operand(*_A_VALUE))
        if isinstance(left, Reference) or (isinstance(left, Literal) and isinstance(left.value, bool)):
            return left
        raise self._unexpected(*_AN_OPERATOR)

    def _operator(self) -> Operator | None:
        if self._token.kind in ("symbol", "keyword") and self._token.word in _OPERATORS:
            return _OPERATORS[self._next().word]
        if self._is("NOT"):
            self._next()
            if not self._is("IN"):
                raise self._unexpected("IN")
            self._next()
            return Operator.NOT_IN
        return None

    def _operand(self, *expected: str) -> Operand:
        if self._token.kind == "name":
            return self.reference()
        if self._is("["):
            return self._array()
        constant = self._constant()
        if constant is None:
            raise self._unexpected(*expected)
        return constant

    def _array(self) -> Array:
        self._next()
        items: list[Literal] = []
        if self._skip("]"):
            return Array(())
        while True:
            constant = self._constant()
            if constant is None:
                raise self._unexpected("a constant", *(() if items else ("']'",)))
            items.append(constant)
            if not self._skip(","):
                self._require("]", "','")
                return Array(tuple(items))

    def _constant(self) -> Literal | None:
        token = self._token
        if token.kind == "number":
            number = float(token.text) if "." in token.text else int(token.text)
            if abs(number) == math.inf:
                raise ExpressionError(
                    f"number at position {token.position} is too large, expecting one that fits a double",
                    position=token.position,
                )
            self._next()
            return Literal(number)
        if token.kind == "string":
            self._next()
            return Literal(re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL))
        if token.kind == "keyword" and token.word in _CONSTANTS:
            self._next()
            return Literal(_CONSTANTS[token.word])
        return None

    def _enter(self) -> None:
        if self._depth == MAX_NESTING:
            raise ExpressionError(
                f"input '{self._token.text}' at position {self._token.position} is nested too deeply, "
                f"expecting at most {MAX_NESTING} levels",
                position=self._token.position,
            )
        self._depth += 1
        self._next()

    def _is(self, word: str) -> bool:
        return self._token.word == word and self._token.kind in ("symbol", "keyword")

    def _next(self) -> _Token:
        token = self._token
        if token.kind != "end":
            self._token = next(self._tokens)
        return token

    def _skip(self, word: str) -> bool:
        if self._is(word):
            self._next()
            return True
        return False

    def _expect(self, description: str, *kinds: str) -> _Token:
        if self._token.kind not in kinds:
            raise self._unexpected(description)
        return self._next()

    def _require(self, symbol: str, *others: str) -> None:
        if not self._skip(symbol):
            raise self._unexpected(*others, f"'{symbol}'")

    def _unexpected(self, *expected: str) -> ExpressionError:
        token = self._token
        shown = token.text if len(token.text) <= 40 else f"{token.text[:40]}…"
        kind = "mismatched" if token.kind == "end" else "extraneous"
        return ExpressionError(
            f"{kind} input '{shown}' at position {token.position} expecting {{{', '.join(expected)}}}",
            position=token.position,
        )


def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        ExpressionError: the text is none; the message tells the position (from 0), what was found
            there and what was expected.
    """
    return _Parser(text).expression()


def parse_reference(text: str) -> Path:
    """Read a lone reference such as ``task.last_agent``; raises ExpressionError."""
    parser = _Parser(text)
    reference = parser.reference()
    parser.end("'.'", "'['")
    return reference.path
