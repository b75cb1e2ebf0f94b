"""Inputs that fuzzing found worth keeping: small texts, a list of them for each target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

__all__ = ["CORPUS", "is_small_text", "kept"]

CORPUS: Final = 60
"""Most inputs of one target."""

_SMALL: Final = 600  # bytes


def kept(name: str) -> list[bytes]:
    """The inputs that are kept for a target."""
    path = Path(__file__).parent / "corpus" / f"{name}.json"
    if not path.exists():
        return []
    texts: list[str] = json.loads(path.read_text(encoding="ascii"))
    return [text.encode() for text in texts]


def is_small_text(data: bytes) -> bool:
    """Whether an input can be kept: what is no text cannot be reviewed."""
    if len(data) > _SMALL:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
