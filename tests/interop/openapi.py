"""TaskRouter's OpenAPI document, as Twilio ships it in the npm package `@twilio/cli-core`."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENT = (
    Path(__file__).parent / "node_modules/@twilio/cli-core/src/services/twilio-api/twilio_taskrouter_v1.json"
)

Json = dict[str, Any]  # the document's own shape is OpenAPI's business


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    id: str
    method: str
    path: str  # with names in braces, from /v1 on
    status: int  # the only one that the document names

    @property
    def shape(self) -> str:
        """The path with its names left out."""
        return shape_of(self.path)


def shape_of(path: str) -> str:
    """A path's fixed words, `{}` for each variable."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@functools.cache
def document() -> Json:
    """The document. Do not change it."""
    if not DOCUMENT.is_file():
        raise AssertionError("the OpenAPI document is not installed: run `make setup`")
    loaded: Json = json.loads(DOCUMENT.read_text())
    return loaded


@functools.cache
def operations() -> dict[str, Operation]:
    """Every operation by its id."""
    found = [
        Operation(described["operationId"], method.upper(), path, int(*described["responses"]))
        for path, item in document()["paths"].items()
        for method, described in item.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    by_id = {operation.id: operation for operation in found}
    assert len(by_id) == len(found), "two operations have one id"
    return by_id


def find(method: str, path: str) -> Operation:
    """The operation of a request; fixed words take precedence over variables."""
    parts = path.split("/")

    def fits(operation: Operation) -> bool:
        wanted = operation.path.split("/")
        return len(wanted) == len(parts) and all(
            expected.startswith("{") or expected == part for expected, part in zip(wanted, parts, strict=True)
        )

    candidates = [op for op in operations().values() if op.method == method and fits(op)]
    assert candidates, f"the document has no {method} {path}"
    return min(candidates, key=lambda operation: operation.path.count("{"))


def declares_header(operation_id: str, name: str) -> bool:
    """Whether the document says that the operation's answers have this header, whatever its case."""
    operation = operations()[operation_id]
    described = document()["paths"][operation.path][operation.method.lower()]
    headers = described["responses"][str(operation.status)].get("headers", {})
    return name.lower() in {header.lower() for header in headers}
