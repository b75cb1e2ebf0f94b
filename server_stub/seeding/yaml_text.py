"""Reads YAML with the positions of its values. Needs PyYAML, which the extra "server" brings.

Of PyYAML only the parser is used. What a plain word means follows YAML 1.2, of which JSON is a part: `no`
and `on` are texts, as are dates, and `010` is ten.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import yaml

from .positions import MAX_DEPTH, Positions, TooLarge, Unreadable
from .problems import Place

__all__ = ["read_yaml"]

_TAG: Final = "tag:yaml.org,2002:"
_DIGITS: Final = 400  # longest number: conversions stay cheap


class _Loader(yaml.SafeLoader):
    """The parser, with YAML 1.2's core schema for plain words."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way of declaring it
    _depth = 0

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 - PyYAML's name
        """Begin a list or an object in brackets; PyYAML looks at all open ones for each further token."""
        if self.flow_level >= MAX_DEPTH:
            raise TooLarge
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Make a node and those in it: as deep as they may nest, and no deeper."""
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise TooLarge
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), list(_first))


def read_yaml(text: str, positions: Positions) -> object:
    """The value in a YAML text of one document; an empty one holds None.

    Raises:
        Unreadable: it is none, or has a tag or a key that no JSON document could have.
        TooLarge: it holds too much, or nests too deeply.
    """
    try:
        loader = _Loader(text)  # looks for characters that are not allowed
        try:
            node = loader.get_single_node()
        except (OverflowError, ValueError):  # which PyYAML lets out of `chr`
            raise Unreadable("the escape stands for no character", loader.index) from None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(message, len(text) if mark is None else mark.index) from None
    except yaml.reader.ReaderError as error:
        raise Unreadable(f"this character is not allowed: {error.character!r}", error.position) from None
    except RecursionError:
        raise TooLarge from None
    return None if node is None else _value(node, (), positions)


def _value(node: yaml.Node, place: Place, positions: Positions) -> object:
    if len(place) > MAX_DEPTH:
        raise TooLarge  # also an alias within what it stands for
    start = node.start_mark.index
    positions.mark(place, start)
    match node:
        case yaml.MappingNode() if node.tag == _TAG + "map":
            found: dict[str, object] = {}
            for key, value in node.value:
                name = _key(key)
                below = (*place, name)
                if name in found:
                    positions.duplicates.append((below, key.start_mark.index))
                positions.mark_key(below, key.start_mark.index)
                found[name] = _value(value, below, positions)
            return found
        case yaml.SequenceNode() if node.tag == _TAG + "seq":
            return [_value(item, (*place, index), positions) for index, item in enumerate(node.value)]
        case yaml.ScalarNode() if node.tag.startswith(_TAG):
            return _scalar(node.tag.removeprefix(_TAG), node.value, start)
        case _:
            raise _bad_tag(node)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag != _TAG + "str":
        raise Unreadable("expected a text as key: put it in quotes", node.start_mark.index)
    return _paired(node.value)


def _paired(text: str) -> str:
    """Join the halves of surrogate pairs, as which JSON writes characters and PyYAML leaves them."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _bad_tag(node: yaml.Node) -> Unreadable:
    return Unreadable(f"the tag {node.tag} is not known here", node.start_mark.index)


def _scalar(kind: str, text: str, start: int) -> object:
    if len(text) > _DIGITS and kind in ("int", "float"):
        raise Unreadable("the number is too long", start)
    try:
        match kind:
            case "str":
                return _paired(text)
            case "null":
                return None
            case "bool":
                return {"true": True, "false": False}[text.lower()]
            case "int":
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            case "float":
                return _float(text)
            case _:
                raise Unreadable(f"the tag !!{kind} is not known here", start)
    except (KeyError, ValueError):
        raise Unreadable(f"{text!r} is no {kind}", start) from None


def _float(text: str) -> float:
    bare = text.lower().lstrip("+-")
    if bare == ".inf":
        return -math.inf if text.startswith("-") else math.inf
    return math.nan if bare == ".nan" else float(text)
