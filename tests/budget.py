"""How many examples a property test tries."""

from __future__ import annotations

from hypothesis import settings

NORMAL = 100
"""`max_examples` of the default profile, which Hypothesis itself uses."""


def examples(normal: int) -> int:
    """`normal` in an ordinary run, and as many times more as the loaded profile is longer.

    For tests whose examples are dear or cheap; the others follow the profile by themselves.
    """
    return max(1, normal * settings().max_examples // NORMAL)
