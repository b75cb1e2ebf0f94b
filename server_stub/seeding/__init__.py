"""Seeds: documents that say what a local TaskRouter begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from .document import Seed
from .problems import Problem, SeedError
from .source import Source, read_source, source_of

__all__ = ["Problem", "Seed", "SeedDocument", "SeedError", "Source", "read_source", "source_for"]

SeedDocument: TypeAlias = Seed | Mapping[str, object] | Path
"""A seed: a file (YAML, TOML or JSON by its name), or what is in one, or the same as objects."""


def source_for(document: SeedDocument) -> Source:
    """Read whatever a seed was given as.

    Raises:
        SeedError: the file is no document of its format.
        OSError: the file cannot be read.
    """
    match document:
        case Path():
            return read_source(document.read_bytes(), name=str(document))
        case Seed():
            return source_of(msgspec.to_builtins(document))
        case _:
            return source_of(document)
