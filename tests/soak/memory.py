"""Whether the server's memory is flat once what it keeps has reached its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Verdict", "judge", "series"]

SHORTEST: Final = 60.0
"""Seconds of samples below which nothing can be said."""

ALLOWED_SHARE: Final = 0.03
ALLOWED_BYTES: Final = 2 * 1024 * 1024
"""The last third may lie above the middle third by this share and so many bytes: what allocators do."""

MIB: Final = 1024 * 1024

Sample = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Attributes:
        flat: None: it was too short to tell.
        middle, last: mean bytes of the thirds that are compared.
        slope: bytes per minute, a least-squares line through all samples that count.
    """

    flat: bool | None
    seconds: float = 0.0
    middle: float = 0.0
    last: float = 0.0
    slope: float = 0.0

    def __str__(self) -> str:
        if self.flat is None:
            return f"not judged: {self.seconds:.0f} s after twice the retention, {SHORTEST:.0f} s are needed"
        return (
            f"{'flat' if self.flat else 'NOT FLAT'}: middle third {self.middle / MIB:.1f} MiB, "
            f"last third {self.last / MIB:.1f} MiB, slope {self.slope / MIB:+.2f} MiB a minute "
            f"over {self.seconds:.0f} s"
        )


def judge(samples: Sequence[Sample], *, after: float) -> Verdict:
    """Compare the last third with the middle third of what comes `after` seconds after the first sample.

    Args:
        samples: epoch seconds and bytes of one process, in order.
        after: twice the retention: then as much is purged as is made.
    """
    counted = [(at, size) for at, size in samples if at >= samples[0][0] + after]
    length = counted[-1][0] - counted[0][0] if counted else 0.0
    if length < SHORTEST:
        return Verdict(None, length)
    begin = counted[0][0]
    middle = _mean([size for at, size in counted if length / 3 <= at - begin < 2 * length / 3])
    last = _mean([size for at, size in counted if 2 * length / 3 <= at - begin])
    centre, height = _mean([at for at, _ in counted]), _mean([size for _, size in counted])
    spread = sum((at - centre) ** 2 for at, _ in counted)
    slope = 60 * sum((at - centre) * (size - height) for at, size in counted) / spread
    flat = last <= middle * (1 + ALLOWED_SHARE) + ALLOWED_BYTES
    return Verdict(flat, length, middle, last, slope)


def series(samples: Sequence[Sample], *, every: float) -> str:
    """The sizes in MiB, one for each stretch of `every` seconds."""
    words: list[str] = []
    following = 0.0
    for at, size in samples:
        if at - samples[0][0] >= following:
            words.append(f"{size / MIB:.0f}")
            following += every
    return " ".join(words)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
