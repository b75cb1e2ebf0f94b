"""Writes what is made of the definition of seeds: the JSON schema for editors, and the page's table.

``python -m server_stub.seeding.schema`` from the root of the repository writes ``docs/seed.schema.json`` and
the table in ``docs/state.md``; a test fails when they are out of date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import EnumMeta
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from msgspec import NODEFAULT, inspect

from .document import Seed

__all__ = ["PAGE", "SCHEMA_FILE", "schema_text", "table_text"]

_DOCS: Final = Path(__file__).parent.parent.parent / "docs"
SCHEMA_FILE: Final = _DOCS / "seed.schema.json"
PAGE: Final = _DOCS / "state.md"

_BEGIN: Final = "<!-- fields: made by python -m server_stub.seeding.schema -->\n"
_END: Final = "<!-- end of fields -->\n"


def schema_text() -> str:
    """The JSON schema of seed documents."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Seed of a local TaskRouter",
        **msgspec.json.schema(Seed),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def table_text() -> str:
    """Every part of a seed with its fields, as Markdown."""
    return _BEGIN + "".join(_sections()) + _END


def _sections() -> Iterator[str]:
    waiting: list[inspect.Type] = [inspect.type_info(Seed)]
    told: set[type] = set()
    while waiting:
        kind = waiting.pop(0)
        if not isinstance(kind, inspect.StructType) or kind.cls in told:
            continue
        told.add(kind.cls)
        yield f"\n### {kind.cls.__name__}\n\n{kind.cls.__doc__}\n\n"
        yield "| Field | Type | Unless given | Meaning |\n|---|---|---|---|\n"
        for field in kind.fields:
            waiting += _structs(field.type)
            words = (f"`{field.encode_name}`", _named(field.type), _default(field), _meaning(field.type))
            yield f"| {' | '.join(words)} |\n"
    yield "\n"


def _structs(kind: inspect.Type) -> list[inspect.Type]:
    match kind:
        case inspect.Metadata():
            return _structs(kind.type)
        case inspect.UnionType():
            return [found for member in kind.types for found in _structs(member)]
        case inspect.ListType():
            return _structs(kind.item_type)
        case inspect.DictType():
            return _structs(kind.value_type)
        case inspect.StructType():
            return [kind]
        case _:
            return []


def _named(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _named(kind.type)
        case inspect.UnionType():
            return " or ".join(_named(m) for m in kind.types if not isinstance(m, inspect.NoneType))
        case inspect.ListType():
            return f"list of {_named(kind.item_type)}"
        case inspect.DictType():
            value = kind.value_type
            return "object" if isinstance(value, inspect.AnyType) else f"object of {_named(value)}"
        case inspect.StructType():
            return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
        case inspect.EnumType():
            return " or ".join(f"`{member.value}`" for member in _members(kind.cls))
        case inspect.IntType():
            low, high = kind.ge, kind.le
            return "integer" + (f" from {low}" if low is not None else "") + (f" to {high}" if high else "")
        case inspect.BoolType():
            return "boolean"
        case _:
            return "text"


def _members(kind: EnumMeta) -> list[Any]:
    return list(kind)


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default is NODEFAULT or field.default is None:
        return ""
    return f"`{json.dumps(field.default)}`"


def _meaning(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            extra = cast("dict[str, object]", kind.extra_json_schema or {})
            return str(extra.get("description") or "") or _meaning(kind.type)
        case inspect.UnionType():
            return next((text for member in kind.types if (text := _meaning(member))), "")
        case _:
            return ""


def _main() -> None:
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(_BEGIN) + ".*?" + re.escape(_END), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: table_text(), page), encoding="utf-8")


if __name__ == "__main__":
    _main()
