"""Plans follow from their seed, and memory is judged by what is said in the documentation."""

from __future__ import annotations

import pytest

from tests.soak.memory import MIB, judge
from tests.soak.plan import ENDS_SERVER, KINDS, draw_plan, steady_from


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert draw_plan(1, 60, processes=4) == draw_plan(1, 60, processes=4)
    assert draw_plan(1, 60, processes=4) != draw_plan(2, 60, processes=4)


@pytest.mark.parametrize("seed", range(20))
def test_a_minute_is_enough_for_one_of_each_kind(seed: int) -> None:
    assert {act.kind for act in draw_plan(seed, 60, processes=4)} == set(KINDS)


@pytest.mark.parametrize("seed", range(20))
def test_a_long_run_leaves_the_server_alone_at_its_end_so_that_its_memory_can_be_watched(seed: int) -> None:
    late = [act for act in draw_plan(seed, 600, processes=4) if act.at >= steady_from(600)]
    assert late
    assert not {act.kind for act in late} & ENDS_SERVER


def test_kinds_can_be_left_out() -> None:
    assert "fill-disk" not in {act.kind for act in draw_plan(1, 60, processes=4, without=["fill-disk"])}
    assert draw_plan(1, 60, processes=4, without=list(KINDS)) == []
    with pytest.raises(ValueError, match="there is no flood"):
        draw_plan(1, 60, processes=4, without=["flood"])


def test_memory_that_stays_is_flat_and_memory_that_grows_is_not() -> None:
    steady = [(float(second), 100 * MIB + second % 3 * MIB) for second in range(240)]
    growing = [(float(second), 100 * MIB + second * MIB // 4) for second in range(240)]
    assert judge(steady, after=40).flat is True
    verdict = judge(growing, after=40)
    assert verdict.flat is False
    assert round(verdict.slope / MIB) == 15


def test_growth_before_twice_the_retention_does_not_count() -> None:
    filled = [(float(second), min(second, 40) * MIB) for second in range(240)]
    assert judge(filled, after=40).flat is True


def test_a_short_run_is_not_judged() -> None:
    assert judge([(float(second), MIB) for second in range(60)], after=40).flat is None
    assert judge([], after=40).flat is None
