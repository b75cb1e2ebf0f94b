"""The document that holds the state of a server, or of one workspace, to be put back here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from server_stub.domain.errors import InvalidArgument
from server_stub.domain.records import DamagedDocument, EntityRecord, WorkspaceDocument

__all__ = [
    "VERSION",
    "FreshSids",
    "StateDocument",
    "StateInput",
    "damaged",
    "decode_state",
    "encode_state",
    "sids_of",
]

VERSION: Final = 1
"""The version of the document around the workspaces; they have one of their own."""

Sids: TypeAlias = Callable[[str], str]

StateInput: TypeAlias = Mapping[str, object] | bytes | str
"""A state document as objects or as JSON text."""


class StateDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of a server, or of one of its workspaces.

    Attributes:
        kind: tells it from other JSON documents.
        version: of this frame.
        scope: `server` replaces everything when it is put back, `workspace` only that one.
        at: when it was written, in epoch seconds.
        workspaces: the first one is the default workspace.
    """

    kind: Literal["taskrouter-stub state"] = "taskrouter-stub state"
    version: int = VERSION
    scope: Literal["server", "workspace"]
    at: float
    workspaces: tuple[WorkspaceDocument, ...]


class FreshSids:
    """A source of SIDs that never gives one that a restored workspace has already."""

    def __init__(self, source: Sids, taken: Collection[str]) -> None:
        self.source: Sids = source.source if isinstance(source, FreshSids) else source
        self._taken = frozenset(taken)

    def __call__(self, prefix: str) -> str:
        """A SID that begins with `prefix`."""
        while True:
            sid = self.source(prefix)
            if sid not in self._taken:
                return sid


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(StateDocument)


def encode_state(document: StateDocument) -> bytes:
    """The document as JSON in UTF-8."""
    return _encode(document)


def decode_state(given: StateInput) -> StateDocument:
    """The document that was given.

    Raises:
        InvalidArgument: it is none of this version, or it contradicts itself. The text quotes no values.
    """
    try:
        if isinstance(given, bytes | str):
            document = _decoder.decode(given)
        else:
            document = msgspec.convert(given, StateDocument)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidArgument(f"The state document cannot be read: {_where(error)}") from None
    if document.version != VERSION:
        raise InvalidArgument(f"The state document has version {document.version}, expected {VERSION}")
    if not document.workspaces or (document.scope == "workspace" and len(document.workspaces) != 1):
        raise InvalidArgument(
            f"The state document holds {len(document.workspaces)} workspaces, which its scope forbids"
        )
    seen: set[str] = set()
    for workspace in document.workspaces:
        for sid in (workspace.workspace.sid, *sids_of(workspace)):
            if sid in seen:
                raise InvalidArgument("The state document holds a SID twice")
            seen.add(sid)
    return document


def sids_of(document: WorkspaceDocument) -> list[str]:
    """The SIDs of all entities in a workspace's document."""
    return [record.sid for record in document.records if isinstance(record, EntityRecord)]


def damaged(error: DamagedDocument) -> InvalidArgument:
    """The refusal of a workspace's document that contradicts itself."""
    return InvalidArgument(f"The state document cannot be put back: {error}")


def _where(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        _, found, place = str(error).rpartition(" - at `")
        return f"a value is not what it must be, at {place.rstrip('`')}" if found else "it is none"
    return "it is no JSON"
