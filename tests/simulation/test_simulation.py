"""300 simulated days, each with its own faults: nothing is lost, doubled or out of order.

Any number of others: ``python -m tests.simulation --seeds 20000 --from 1000``.
"""

from __future__ import annotations

import logging

import pytest

from tests.simulation.simulation import simulate

SEEDS = 300
CHUNK = 15


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_lost_whatever_happens(first: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # thousands of disconnects are no news here
    outcomes = [simulate(seed) for seed in range(first, first + CHUNK)]
    wrong = [
        f"python -m tests.simulation {outcome.seed}: {line}" for outcome in outcomes for line in outcome.wrong
    ]
    assert not wrong, "\n".join(wrong)
    assert sum(outcome.reservations for outcome in outcomes) > CHUNK * 10
    assert sum(outcome.connections for outcome in outcomes) > CHUNK * 2


def test_a_seed_plays_the_same_day_again() -> None:
    first, again = simulate(7), simulate(7)
    assert first.story == again.story
    assert first.reservations == again.reservations
