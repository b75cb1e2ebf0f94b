"""The comparison of both SDKs under faults works, and sees a loss where there is one."""

from __future__ import annotations

from benchmarks.what_gets_lost import play


async def test_an_end_within_a_gap_is_told_by_this_sdk_and_not_by_the_official_one() -> None:
    theirs, ours = await play("canceled")
    assert ours.nothing_lost, ours
    assert (ours.reservations, ours.ends, ours.disconnections, ours.uncaught) == (2, 1, 1, 0)
    # That it counts a loss at all shows that it would count one of ours.
    assert not theirs.nothing_lost
    assert (theirs.reservations, theirs.ends_untold, theirs.disconnections) == (2, 1, 1)
