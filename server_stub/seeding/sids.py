"""The SIDs of what a seed makes: the same for the same names, so that they outlive a reset."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager

from server_stub.ids import RandomSids, SeededSids

__all__ = ["SeedSids"]

_NO_SIDS: Mapping[str, Sequence[str | None]] = {}


class SeedSids:
    """The SIDs of one seeded workspace.

    While it is seeded they follow from the names of what they are for: a workspace that is reset, or
    seeded anew from a changed document, keeps the SIDs of all that keeps its name. Later ones are random,
    or repeat themselves after each seeding if the server's SIDs are to be repeatable.

    Args:
        base: what makes them differ from another server's.
        workspace: the workspace's name.
        repeatable: whether later ones repeat themselves.
    """

    def __init__(self, base: str, workspace: str, *, repeatable: bool) -> None:
        self._base = f"{base}/{workspace}"
        self._context: str | None = None
        self._fixed: Mapping[str, Sequence[str | None]] = _NO_SIDS
        self._given: Counter[tuple[str, str]] = Counter()
        self._later: Callable[[str], str] = RandomSids()
        if repeatable:
            self._later = SeededSids(int.from_bytes(hashlib.sha256(self._base.encode()).digest(), "big"))

    def __call__(self, prefix: str) -> str:
        """A SID that begins with `prefix`."""
        if self._context is None:
            return self._later(prefix)
        number = self._given[self._context, prefix]
        self._given[self._context, prefix] += 1
        fixed = self._fixed.get(prefix, ())
        chosen = fixed[number] if number < len(fixed) else None
        if chosen is not None:
            return chosen
        # A JSON text of surrogates is possible: names are taken as they are.
        name = f"{self._base}/{self._context}/{prefix}/{number}".encode(errors="surrogatepass")
        return prefix + hashlib.sha256(name).hexdigest()[:32]

    @contextmanager
    def naming(self, context: str, fixed: Mapping[str, Sequence[str | None]] = _NO_SIDS) -> Generator[None]:
        """Until it is left, SIDs follow from `context`, the n-th of a prefix being the n-th of `fixed`."""
        self._context, self._fixed = context, fixed
        try:
            yield
        finally:
            self._context, self._fixed = None, _NO_SIDS
