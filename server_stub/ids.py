"""Where new SIDs come from."""

from __future__ import annotations

import random
import secrets
from typing import Protocol

__all__ = ["RandomSids", "SeededSids", "SidSource"]


class SidSource(Protocol):
    """Makes SIDs: two capital letters and 32 lower-case hexadecimal digits."""

    def __call__(self, prefix: str) -> str:
        """A SID that begins with `prefix` and that it never gave before."""
        ...


class RandomSids:
    """SIDs that nobody can guess."""

    def __call__(self, prefix: str) -> str:
        """A SID that begins with `prefix`."""
        return prefix + secrets.token_hex(16)


class SeededSids:
    """The same SIDs in the same order for the same seed, so that a failure can be repeated."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - names, not secrets

    def __call__(self, prefix: str) -> str:
        """A SID that begins with `prefix`."""
        return f"{prefix}{self._random.getrandbits(128):032x}"
