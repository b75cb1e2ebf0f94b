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


def steps(normal: int) -> int:
    """How many steps a stateful test takes: three times as many in a longer profile.

    Some defects need a long history, whatever the number of short ones.
    """
    return normal if settings().max_examples <= NORMAL else 3 * normal
