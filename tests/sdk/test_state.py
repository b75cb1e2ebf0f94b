"""One test per rule of the model. No I/O, no event loop."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable

import pytest

from taskrouter_worker.resources import TransferFields, WorkerChannelFields, WorkerFields
from tests.sdk.bench import Bench, fields, number
from tests.sdk.world import AVAILABLE, BREAK, CHANNEL, OFFLINE, Frame, World, sid, transfer

ONE, TWO, THREE = sid("WR", 1), sid("WR", 2), sid("WR", 3)
ENDS = ("rejected", "timeout", "canceled", "rescinded")


@pytest.fixture
def bench() -> Bench:
    """A model after its first, empty snapshot."""
    bench = Bench()
    assert bench.start() == []
    return bench


@pytest.fixture
def offered(bench: Bench) -> Bench:
    """A model with one pending reservation."""
    assert bench.apply(bench.world.create_reservation()) == ["created 1"]
    return bench


# Events


def test_a_reservation_tells_its_whole_life_in_order(offered: Bench) -> None:
    world = offered.world
    assert offered.apply(world.accept(ONE)) == ["accepted 1"]
    assert offered.apply(world.update_task(ONE, priority=5)) == ["task updated 1"]
    assert offered.apply(world.wrap(ONE)) == ["wrapup 1", "task wrapup 1"]
    assert offered.apply(world.complete(ONE)) == ["task completed 1", "completed 1", "ended 1"]
    assert offered.model.reservations == {}


@pytest.mark.parametrize("how", ENDS)
def test_an_offer_ends_with_its_own_event_and_with_ended(offered: Bench, how: str) -> None:
    reservation = offered.reservation(ONE)
    told = offered.apply(offered.world.end(ONE, how))
    assert [event for event in told if not event.startswith("task")] == [f"{how} 1", "ended 1"]
    assert (reservation.status, reservation.outcome) == (how, how)
    assert offered.model.reservations == {}


def test_the_model_is_up_to_date_before_an_event_is_told(offered: Bench) -> None:
    reservation = offered.reservation(ONE)
    offered.apply(offered.world.accept(ONE))
    assert (reservation.status, reservation.version, reservation.task.status) == ("accepted", "1", "assigned")


def test_every_frame_twice_tells_everything_once(bench: Bench) -> None:
    world = bench.world
    steps: list[Callable[[], list[Frame]]] = [
        world.create_reservation,
        lambda: world.accept(ONE),
        lambda: world.update_task(ONE, priority=1),
        lambda: [("task.transfer-initiated", transfer(ONE))],
        lambda: [("task.transfer-completed", transfer(ONE, transfer_status="complete"))],
        lambda: world.wrap(ONE),
        lambda: world.set_activity(BREAK),
        lambda: world.set_attributes({"a": 1}),
        lambda: world.set_channel(capacity=3, available=False),
        lambda: world.complete(ONE),
        lambda: [("reservation.failed", {"sid": sid("WT", 9)})],
    ]
    for step in steps:
        for frame in step():
            bench.apply([frame, frame])
    assert sorted(bench.log) == sorted(set(bench.log))
    assert bench.log == [
        "created 1",
        "accepted 1",
        "task updated 1",
        "task transferInitiated 1",
        "transfer completed 1",
        "transfer ended 1",
        "wrapup 1",
        "task wrapup 1",
        "activityUpdated",
        "attributesUpdated",
        "capacityUpdated",
        "availabilityUpdated",
        "task completed 1",
        "completed 1",
        "ended 1",
        "reservationFailed",
    ]


def test_a_lost_created_frame_is_made_up_for_by_the_accepted_one(bench: Bench) -> None:
    bench.world.create_reservation()
    assert bench.apply(bench.world.accept(ONE)) == ["created 1 (resync)", "accepted 1"]


def test_a_lost_accepted_frame_is_told_as_inferred_before_the_next_step(offered: Bench) -> None:
    offered.world.accept(ONE)
    wrapup, _ = offered.world.wrap(ONE)
    assert offered.apply([wrapup]) == ["accepted 1 (resync)", "wrapup 1"]


def test_a_reservation_of_which_only_the_end_arrives_is_told_as_missed(bench: Bench) -> None:
    bench.world.create_reservation()
    assert bench.apply(bench.world.end(ONE, "timeout")) == ["missed 1 (resync)"]
    assert bench.model.reservations == {}


def test_reordered_frames_are_told_in_the_true_order(offered: Bench) -> None:
    accepted = offered.world.accept(ONE)
    wrapup, task_wrapup = offered.world.wrap(ONE)
    task_completed, completed = offered.world.complete(ONE)
    offered.apply([wrapup, *accepted, completed, task_completed, task_wrapup])
    assert [event for event in offered.log if not event.startswith("task")] == [
        "created 1",
        "accepted 1 (resync)",
        "wrapup 1",
        "completed 1",
        "ended 1",
    ]


def test_a_duplicate_after_the_end_brings_nothing_back(offered: Bench) -> None:
    created = offered.world.create_reservation()
    offered.apply(created)
    rejected = offered.world.end(TWO, "rejected")
    offered.apply(rejected)
    assert offered.apply(created) == []
    assert offered.apply(rejected) == []
    assert list(offered.model.reservations) == [ONE]


def test_events_of_another_type_for_unknown_objects_are_no_news(bench: Bench) -> None:
    stranger = World()
    stranger.create_reservation()
    assert bench.apply(stranger.update_task(ONE, priority=1)) == []
    assert bench.apply([("task.transfer-completed", transfer(THREE))]) == []


# Versions


def test_older_frames_never_rewind_reservation_or_task(offered: Bench) -> None:
    pending = offered.world.create_reservation()
    offered.apply(pending)
    offered.apply(offered.world.accept(TWO))
    old_task = offered.world.update_task(TWO, priority=1)
    offered.apply(offered.world.update_task(TWO, priority=2))
    offered.apply(pending + old_task)
    reservation = offered.reservation(TWO)
    assert (reservation.status, reservation.task.priority, reservation.task.status) == (
        "accepted",
        2,
        "assigned",
    )


def test_older_worker_frames_never_rewind_the_worker(bench: Bench) -> None:
    older = bench.world.set_activity(BREAK)
    newer = bench.world.set_activity(AVAILABLE)
    assert bench.apply(newer) == ["activityUpdated"]
    assert bench.apply(older) == []
    assert bench.model.activity is not None
    assert bench.model.activity.name == "Available"


def test_older_channel_frames_never_rewind_the_channel(bench: Bench) -> None:
    older = bench.world.set_channel(capacity=2)
    newer = bench.world.set_channel(capacity=3)
    assert bench.apply(newer + older) == ["capacityUpdated"]
    assert bench.model.channels[CHANNEL].capacity == 3


def test_an_answer_before_its_frame_and_after_it_tell_the_same(bench: Bench) -> None:
    logs: list[list[str]] = []
    for answer_first in (True, False):
        bench = Bench()
        bench.start()
        bench.apply(bench.world.create_reservation())
        for command in (bench.world.accept, bench.world.wrap):
            frames = command(ONE)
            answer = bench.answer(ONE)
            if answer_first:
                bench.take_answer(answer)
                bench.apply(frames)
            else:
                bench.apply(frames)
                bench.take_answer(answer)
        logs.append(bench.log)
    assert logs[0] == logs[1] == ["created 1", "accepted 1", "wrapup 1", "task wrapup 1"]


def test_an_answer_updates_the_object_and_tells_nothing(offered: Bench) -> None:
    offered.world.accept(ONE)
    offered.take_answer(offered.answer(ONE))
    assert offered.reservation(ONE).status == "accepted"
    assert offered.log == ["created 1"]


def test_a_late_answer_never_rewinds(offered: Bench) -> None:
    frames = offered.world.accept(ONE)
    late = offered.answer(ONE)
    late_task = offered.task_answer(ONE)
    offered.apply(frames)
    offered.apply(offered.world.wrap(ONE))
    offered.take_answer(late)
    offered.reservation(ONE).task._merge(late_task)
    assert (offered.reservation(ONE).status, offered.reservation(ONE).task.status) == ("wrapping", "wrapping")


def test_an_answer_without_timeout_keeps_the_timeout(offered: Bench) -> None:
    offered.world.accept(ONE)
    answer = offered.world.short(ONE)
    del answer["reservation_timeout"]
    reservation = offered.reservation(ONE)
    reservation._merge_short(fields(type(offered.answer(ONE)), answer))
    assert reservation.timeout == 120


def test_a_late_worker_answer_never_rewinds(bench: Bench) -> None:
    late = fields(WorkerFields, bench.world.worker)
    bench.apply(bench.world.set_activity(BREAK))
    bench.model.worker_answered(late)
    assert bench.model.activity is bench.model.activities[BREAK]


def test_the_workers_version_counts_what_the_service_raises_without_telling(bench: Bench) -> None:
    bench.apply(bench.world.create_reservation())
    bench.apply(bench.world.set_channel(capacity=3, available=False))
    assert bench.model.version == bench.world.worker["version"] == 3
    bench.apply(bench.world.set_activity(BREAK))
    assert bench.model.version == bench.world.worker["version"] == 4


# Two objects, one task


def test_two_reservations_of_a_task_have_a_task_object_each(offered: Bench) -> None:
    frames = offered.world.create_reservation(sid=sid("WT", 1))
    offered.apply(frames)
    first, second = offered.reservation(ONE).task, offered.reservation(TWO).task
    assert first is not second
    _, task = offered.world.update_task(ONE, priority=9)[0]
    assert offered.apply([("task.updated", task)]) == ["task updated 1", "task updated 2"]
    assert (first.priority, second.priority) == (9, 9)


def test_a_frame_that_names_another_task_leaves_the_task_alone(offered: Bench) -> None:
    frames = offered.world.accept(ONE)
    frames[0][1]["task"]["sid"] = sid("WT", 77)
    offered.apply(frames)
    assert offered.reservation(ONE).task.sid == sid("WT", 1)
    offered.world.reservations[ONE]["task"]["sid"] = sid("WT", 1)
    offered.apply(offered.world.complete(ONE))
    offered.now = 10.0
    offered.apply(offered.world.create_reservation())  # the afterlife of the first one ends here
    offered.apply(offered.world.end(TWO, "rejected"))


# After the end


def test_task_events_reach_an_ended_reservation_for_five_seconds(offered: Bench) -> None:
    task = offered.reservation(ONE).task
    offered.apply(offered.world.end(ONE, "rejected"))
    offered.now = 4.9
    assert offered.apply(offered.world.update_task(ONE, priority=1)) == ["task updated 1"]
    offered.now = 5.1
    assert offered.apply(offered.world.update_task(ONE, priority=2)) == []
    assert task.priority == 1


def test_an_ended_reservation_that_nobody_holds_is_freed_at_once(offered: Bench) -> None:
    task = weakref.ref(offered.reservation(ONE).task)
    offered.apply(offered.world.end(ONE, "rejected"))
    assert task() is None
    assert offered.apply(offered.world.update_task(ONE, priority=1)) == []
    assert len(offered.model._tasks) == 0


def test_a_handler_is_enough_to_hear_of_a_task_after_its_reservation_ended(offered: Bench) -> None:
    offered.reservation(ONE).task.on("updated", lambda _: None)
    offered.apply(offered.world.end(ONE, "rejected"))
    assert offered.apply(offered.world.update_task(ONE, priority=1)) == ["task updated 1"]
    offered.now = 5.1
    assert offered.apply(offered.world.update_task(ONE, priority=2)) == []
    assert len(offered.model._tasks) == 0


def test_a_handler_that_comes_after_the_end_is_enough_as_well(offered: Bench) -> None:
    reservation = offered.reservation(ONE)
    offered.apply(offered.world.end(ONE, "rejected"))
    reservation.task.on("updated", lambda _: None)
    del reservation
    assert offered.apply(offered.world.update_task(ONE, priority=1)) == ["task updated 1"]


def test_a_transfer_tells_its_end_after_its_reservation_ended_although_nobody_holds_the_task(
    offered: Bench,
) -> None:
    offered.apply(offered.world.accept(ONE))
    offered.apply(offered.world.start_transfer(ONE))
    offered.apply(offered.world.complete(ONE))
    told = offered.apply(offered.world.end_transfer(ONE, "completed"))
    assert [event.rpartition(" ")[0] for event in told] == ["transfer completed", "transfer ended"]


def test_an_event_finds_the_task_that_is_held_among_ended_ones_that_are_not(bench: Bench) -> None:
    held = []
    for count in (1, 2, 3):
        bench.apply(bench.world.create_reservation())
        if count == 2:
            held.append(bench.reservation(TWO))
        bench.apply(bench.world.end(sid("WR", count), "rejected"))
    assert bench.apply(bench.world.update_task(TWO, priority=1)) == ["task updated 2"]
    assert bench.apply(bench.world.update_task(ONE, priority=1)) == []
    assert bench.apply(bench.world.update_task(THREE, priority=1)) == []
    bench.now = 5.1
    assert bench.apply(bench.world.update_task(TWO, priority=2)) == []
    assert len(bench.model._tasks) == 0


def test_the_model_does_not_grow_with_the_reservations_it_has_seen(bench: Bench) -> None:
    for count in range(1, 10_001):
        bench.now += 1.0
        bench.apply(bench.world.create_reservation())
        bench.apply(bench.world.accept(sid("WR", count)))
        bench.apply(bench.world.complete(sid("WR", count)))
        bench.world.purge(sid("WR", count))
    model = bench.model
    assert len(bench.log) == 10_000 * 5
    assert model.reservations == {}
    assert len(model._tasks) <= 1
    assert len(model._ended) <= 1_000


# The first snapshot


def test_pending_reservations_of_the_first_snapshot_are_told_and_others_are_simply_there() -> None:
    bench = Bench()
    bench.world.create_reservation()
    bench.world.create_reservation()
    bench.world.accept(TWO)
    assert bench.start() == ["created 1 (snapshot)"]
    assert sorted(bench.model.reservations) == [ONE, TWO]
    assert bench.apply(bench.world.complete(TWO)) == ["task completed 2", "completed 2", "ended 2"]


def test_held_frames_that_the_snapshot_contains_tell_nothing_and_later_ones_do() -> None:
    bench = Bench()
    held = bench.world.create_reservation()
    held += bench.world.set_activity(BREAK)
    held += bench.world.update_task(ONE, priority=1)
    snapshot = bench.snapshot()
    held += bench.world.update_task(ONE, priority=2)
    held += bench.world.accept(ONE)
    held += bench.world.set_activity(AVAILABLE)
    assert bench.synchronise(snapshot, first=True) == ["created 1 (snapshot)"]
    assert bench.apply(held) == ["task updated 1", "accepted 1", "activityUpdated"]


def test_a_reservation_that_a_snapshot_lists_twice_is_one() -> None:
    bench = Bench()
    bench.world.create_reservation()
    bench.world.accept(ONE)
    snapshot = bench.snapshot()
    snapshot.reservations += snapshot.reservations
    assert bench.synchronise(snapshot, first=True) == []
    assert len(bench.model._tasks) == 1


# After a gap


@pytest.mark.parametrize("how", ENDS)
def test_an_end_in_a_gap_is_told_with_how_it_ended(offered: Bench, how: str) -> None:
    reservation = offered.reservation(ONE)
    offered.world.end(ONE, how)
    told = offered.synchronise()
    assert [event for event in told if not event.startswith("task")] == [
        f"{how} 1 (resync)",
        "ended 1 (resync)",
    ]
    assert (reservation.outcome, offered.model.reservations) == (how, {})


def test_a_reservation_that_a_restarted_service_took_back_is_told_again(offered: Bench) -> None:
    shown = copy.deepcopy(offered.world.reservations[ONE])
    offered.apply(offered.world.end(ONE, "rejected"))
    offered.world.reservations[ONE] = shown
    back = offered.snapshot()
    back.known_before = frozenset()
    assert offered.synchronise(back) == []
    offered.model.doubt_ends()
    assert offered.synchronise(back) == ["created 1 (resync)"]
    assert offered.apply(offered.world.accept(ONE)) == ["accepted 1"]
    offered.apply(offered.world.complete(ONE))
    offered.now += 60
    assert offered.model.reservations == {}
    assert offered.apply(offered.world.create_reservation()) == ["created 2"]
    offered.apply(offered.world.end(TWO, "rejected"))
    assert len(offered.model._tasks) == 1


def test_a_list_asked_for_before_an_end_takes_nothing_back(offered: Bench) -> None:
    asked = offered.snapshot()
    asked.known_before = frozenset({ONE})
    offered.apply(offered.world.end(ONE, "rejected"))
    offered.model.doubt_ends()
    assert offered.model.reconcile(asked, first=False) == []
    assert offered.model.reservations == {}


def test_a_late_frame_alone_takes_no_end_back(offered: Bench) -> None:
    ended = offered.world.end(ONE, "rejected")
    offered.apply(ended)
    offered.model.doubt_ends()
    assert offered.apply(ended) == []


def test_a_completion_in_a_gap_tells_the_acceptance_it_implies(offered: Bench) -> None:
    offered.world.accept(ONE)
    offered.world.complete(ONE)
    assert offered.synchronise() == [
        "task completed 1 (resync)",
        "accepted 1 (resync)",
        "completed 1 (resync)",
        "ended 1 (resync)",
    ]


def test_an_end_that_the_service_forgot_is_told_as_unknown(offered: Bench) -> None:
    reservation = offered.reservation(ONE)
    offered.world.end(ONE, "rejected")
    offered.world.purge(ONE)
    assert offered.synchronise() == ["ended 1 (resync)"]
    assert reservation.outcome == "unknown"


def test_an_end_known_from_an_answer_is_told_after_the_gap_without_asking(offered: Bench) -> None:
    offered.world.end(ONE, "rejected")
    offered.take_answer(offered.answer(ONE))
    offered.world.purge(ONE)
    assert offered.snapshot().ends == {}
    assert offered.synchronise() == ["rejected 1 (resync)", "ended 1 (resync)"]


def test_a_reservation_that_the_list_lacks_and_the_fetch_shows_alive_lives_on(offered: Bench) -> None:
    offered.world.accept(ONE)
    snapshot = offered.snapshot()
    snapshot.reservations.clear()
    offered.find_ends(snapshot)
    assert offered.synchronise(snapshot) == ["accepted 1 (resync)"]
    assert list(offered.model.reservations) == [ONE]
    assert offered.apply(offered.world.complete(ONE))[-2:] == ["completed 1", "ended 1"]


def test_an_older_list_does_not_bring_an_answered_end_back(offered: Bench) -> None:
    snapshot = offered.snapshot()
    frames = offered.world.end(ONE, "rejected")
    offered.take_answer(offered.answer(ONE))
    offered.synchronise(snapshot)
    offered.apply(frames)
    assert [event.removesuffix(" (resync)") for event in offered.log] == [
        "created 1",
        "rejected 1",
        "ended 1",
    ]
    assert offered.model.reservations == {}


def test_what_was_offered_in_a_gap_is_told_whatever_became_of_it(bench: Bench) -> None:
    world = bench.world
    for _ in range(3):
        world.create_reservation()
    world.accept(TWO)
    world.end(THREE, "timeout")
    assert bench.synchronise(missed=[THREE]) == [
        "missed 3 (resync)",
        "created 1 (resync)",
        "created 2 (resync)",
        "accepted 2 (resync)",
    ]
    assert sorted(bench.model.reservations) == [ONE, TWO]
    assert bench.synchronise(missed=[THREE]) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda world: world.update_task(ONE, attributes='{"a":1}'), ["task updated 1 (resync)"]),
        (lambda world: world.update_task(ONE, priority=7), ["task updated 1 (resync)"]),
        (lambda world: world.wrap(ONE), ["task wrapup 1 (resync)", "wrapup 1 (resync)"]),
        (
            lambda world: world.complete(ONE),
            ["task completed 1 (resync)", "completed 1 (resync)", "ended 1 (resync)"],
        ),
        (lambda world: world.set_activity(BREAK), ["activityUpdated (resync)"]),
        (lambda world: world.set_attributes({"b": 2}), ["attributesUpdated (resync)"]),
        (lambda world: world.set_channel(capacity=1), ["capacityUpdated (resync)"]),
        (lambda world: world.set_channel(available=False), ["availabilityUpdated (resync)"]),
        (lambda _: None, []),
    ],
)
def test_what_changed_in_a_gap_is_told_once(
    offered: Bench, change: Callable[[World], object], told: list[str]
) -> None:
    offered.apply(offered.world.accept(ONE))
    change(offered.world)
    assert offered.synchronise() == told
    assert offered.synchronise() == []


def test_a_task_canceled_in_a_gap_is_told(offered: Bench) -> None:
    offered.world.end(ONE, "canceled")
    assert offered.synchronise() == ["task canceled 1 (resync)", "canceled 1 (resync)", "ended 1 (resync)"]


def test_what_an_answer_showed_and_no_event_told_is_told_after_the_gap(offered: Bench) -> None:
    offered.apply(offered.world.accept(ONE))
    offered.world.update_task(ONE, priority=3)
    offered.reservation(ONE).task._merge(offered.task_answer(ONE))
    offered.world.set_attributes({"c": 3})
    offered.model.worker_answered(fields(WorkerFields, offered.world.worker))
    assert offered.synchronise() == ["attributesUpdated (resync)", "task updated 1 (resync)"]


def test_frames_held_after_a_gap_tell_only_what_the_snapshot_did_not(offered: Bench) -> None:
    held = offered.world.accept(ONE)
    held += offered.world.create_reservation()
    held += offered.world.set_attributes({"d": 4})
    snapshot = offered.snapshot()
    held += offered.world.wrap(ONE)
    assert offered.synchronise(snapshot) == [
        "attributesUpdated (resync)",
        "accepted 1 (resync)",
        "created 2 (resync)",
    ]
    assert offered.apply(held) == ["wrapup 1", "task wrapup 1"]


def test_objects_keep_their_identity_across_snapshots(offered: Bench) -> None:
    model = offered.model
    before = (
        offered.reservation(ONE),
        offered.reservation(ONE).task,
        model.channels[CHANNEL],
        model.activities[BREAK],
    )
    offered.world.accept(ONE)
    offered.world.activities[BREAK]["friendly_name"] = "Lunch"
    offered.world.set_channel(capacity=7)
    offered.synchronise()
    after = (
        offered.reservation(ONE),
        offered.reservation(ONE).task,
        model.channels[CHANNEL],
        model.activities[BREAK],
    )
    assert all(old is new for old, new in zip(before, after, strict=True))
    assert (after[0].status, after[2].capacity, after[3].name) == ("accepted", 7, "Lunch")


# Activities and channels


def test_a_snapshot_replaces_the_sets_of_activities_and_channels(bench: Bench) -> None:
    lunch = {**bench.world.activities.pop(BREAK), "sid": sid("WA", 9), "friendly_name": "Lunch"}
    bench.world.activities[sid("WA", 9)] = lunch
    bench.world.channels[sid("WC", 2)] = {**bench.world.channels.pop(CHANNEL), "sid": sid("WC", 2)}
    bench.synchronise()
    assert sorted(bench.model.activities) == [OFFLINE, AVAILABLE, sid("WA", 9)]
    assert list(bench.model.channels) == [sid("WC", 2)]


def test_an_event_may_name_an_activity_that_no_snapshot_showed(bench: Bench) -> None:
    bench.world.activities[sid("WA", 9)] = {
        **bench.world.activities[BREAK],
        "sid": sid("WA", 9),
        "friendly_name": "Training",
    }
    assert bench.apply(bench.world.set_activity(sid("WA", 9))) == ["activityUpdated"]
    activity = bench.model.activity
    assert activity is not None
    assert (activity.name, activity.available, activity.is_current) == ("Training", False, True)
    assert activity.date_created is None
    bench.synchronise()
    assert bench.model.activity is activity
    assert activity.date_created is not None


def test_a_deleted_activity_that_the_worker_is_still_in_stays(bench: Bench) -> None:
    bench.apply(bench.world.set_activity(BREAK))
    current = bench.model.activity
    del bench.world.activities[BREAK]
    bench.synchronise()
    assert bench.model.activity is current


def test_an_event_may_name_a_channel_that_no_snapshot_showed(bench: Bench) -> None:
    ((name, shown),) = bench.world.set_channel(capacity=9)
    assert bench.apply([(name, {**shown, "sid": sid("WC", 2)})]) == []
    assert bench.model.channels[sid("WC", 2)].capacity == 9


def test_a_channels_own_frame_updates_what_no_other_event_carries(bench: Bench) -> None:
    ((name, shown),) = bench.world.set_channel(capacity=4)
    bench.apply([(name, {**shown, "assigned_tasks": 2, "last_reserved_time": 1_760_000_000_500})])
    channel = bench.model.channels[CHANNEL]
    assert (channel.capacity, channel.assigned_tasks) == (4, 2)
    assert channel.last_reserved_time is not None
    assert channel.last_reserved_time.timestamp() == 1_760_000_000.5


def test_a_channel_frame_older_than_the_snapshot_is_dropped(bench: Bench) -> None:
    old = bench.world.set_channel(capacity=4)
    bench.world.now += 10
    bench.world.set_channel(capacity=5)
    bench.synchronise()
    assert bench.apply(old) == []
    assert bench.model.channels[CHANNEL].capacity == 5


# Transfers


@pytest.mark.parametrize(
    ("event", "status"), [("completed", "complete"), ("failed", "failed"), ("canceled", "canceled")]
)
def test_a_transfer_tells_its_start_attempts_and_end(offered: Bench, event: str, status: str) -> None:
    told = offered.apply(
        [
            ("task.transfer-initiated", transfer(ONE)),
            ("task.transfer-attempt-failed", transfer(ONE, transfer_failed_reason="declined")),
            (f"task.transfer-{event}", transfer(ONE, transfer_status=status)),
        ]
    )
    assert told == [
        "task transferInitiated 1",
        "transfer attemptFailed 1",
        f"transfer {event} 1",
        "transfer ended 1",
    ]
    outgoing = offered.reservation(ONE).task.transfers.outgoing
    assert outgoing is not None
    assert (outgoing.status, outgoing.outcome) == (status, status)


def test_a_transfer_is_one_object_whether_its_answer_or_its_event_comes_first(offered: Bench) -> None:
    task = offered.reservation(ONE).task
    offered.apply([("task.transfer-initiated", transfer(ONE))])
    by_event = task.transfers.outgoing
    by_answer = task._outgoing(fields(TransferFields, transfer(ONE)))
    assert by_answer is by_event
    second = task._outgoing(fields(TransferFields, transfer(ONE, 2)))
    told = offered.apply([("task.transfer-initiated", transfer(ONE, 2))])
    assert told == ["task transferInitiated 1"]
    assert task.transfers.outgoing is second


def test_a_late_frame_of_an_ended_transfer_leaves_the_next_one_alone(offered: Bench) -> None:
    end = ("task.transfer-failed", transfer(ONE, transfer_status="failed"))
    offered.apply([("task.transfer-initiated", transfer(ONE)), end])
    offered.apply([("task.transfer-initiated", transfer(ONE, 2))])
    second = offered.reservation(ONE).task.transfers.outgoing
    assert offered.apply([end, ("task.transfer-initiated", transfer(ONE))]) == []
    assert offered.reservation(ONE).task.transfers.outgoing is second


def test_a_reservation_may_bring_its_transfer_with_a_later_event(offered: Bench) -> None:
    ((name, shown),) = offered.world.end(ONE, "rescinded")
    reservation = offered.reservation(ONE)
    assert reservation.transfer is None
    incoming = transfer(TWO, transfer_status="canceled")
    del incoming["task_sid"]
    offered.apply([(name, {**shown, "task_transfer": incoming, "canceled_reason_code": 1234})])
    assert reservation.transfer is reservation.task.transfers.incoming
    assert reservation.transfer is not None
    assert (reservation.transfer.status, reservation.canceled_reason_code) == ("canceled", 1234)


def test_null_transfers_are_as_good_as_none(bench: Bench) -> None:
    ((name, shown),) = bench.world.create_reservation()
    bench.apply([(name, {**shown, "task_transfer": None, "active_outgoing_task_transfer": None})])
    reservation = bench.reservation(ONE)
    assert reservation.transfer is None
    assert reservation.task.transfers.outgoing is None


# Failed reservations


def test_failed_reservations_without_a_sid_are_told_each(bench: Bench) -> None:
    failed = ("reservation.failed", {"assignment_status": "canceled"})
    assert bench.apply([failed, failed]) == ["reservationFailed", "reservationFailed"]


def test_a_channel_compares_by_what_was_told_not_by_the_event_type(bench: Bench) -> None:
    ((_, shown),) = bench.world.set_channel(capacity=4)
    assert bench.apply([("worker.channel.availability.update", shown)]) == ["capacityUpdated"]
    assert fields(WorkerChannelFields, shown).configured_capacity == 4


# Transfers and gaps


@pytest.fixture
def accepted(offered: Bench) -> Bench:
    offered.apply(offered.world.accept(ONE))
    return offered


def test_a_transfer_that_began_in_a_gap_is_told_and_its_late_frame_is_not(accepted: Bench) -> None:
    late = accepted.world.start_transfer(ONE)
    assert accepted.synchronise() == ["task transferInitiated 1 (resync)"]
    assert accepted.apply(late) == []
    assert accepted.synchronise() == []
    ended = accepted.world.end_transfer(ONE, "completed")
    assert accepted.apply(ended) == ["transfer completed 1002", "transfer ended 1002"]


def test_a_transfer_that_ended_in_a_gap_ends_unknown_once(accepted: Bench) -> None:
    accepted.apply(accepted.world.start_transfer(ONE))
    outgoing = accepted.reservation(ONE).task.transfers.outgoing
    assert outgoing is not None
    assert (outgoing.status, outgoing.outcome) == ("initiated", None)
    late = accepted.world.end_transfer(ONE, "failed")
    assert accepted.synchronise() == ["transfer ended 1002 (resync)"]
    assert (outgoing.status, outgoing.outcome) == ("unknown", "unknown")
    assert accepted.apply(late) == []
    assert accepted.synchronise() == []


def test_transfers_and_the_steps_of_their_reservation_are_told_in_order_after_a_gap(offered: Bench) -> None:
    world = offered.world
    world.accept(ONE)
    world.start_transfer(ONE)
    assert offered.synchronise() == ["accepted 1 (resync)", "task transferInitiated 1 (resync)"]
    world.end_transfer(ONE, "completed")
    world.wrap(ONE)
    assert offered.synchronise() == [
        "task wrapup 1 (resync)",
        "transfer ended 1002 (resync)",
        "wrapup 1 (resync)",
    ]


def test_the_transfer_of_a_reservation_that_ended_in_the_gap_ends_before_it(accepted: Bench) -> None:
    world = accepted.world
    accepted.apply(world.start_transfer(ONE))
    late = world.end_transfer(ONE, "completed") + world.complete(ONE)
    assert accepted.synchronise() == [
        "task completed 1 (resync)",
        "transfer ended 1002 (resync)",
        "completed 1 (resync)",
        "ended 1 (resync)",
    ]
    assert accepted.apply(late) == []


def test_the_transfer_of_a_reservation_whose_end_an_answer_showed_while_a_list_did_not(
    accepted: Bench,
) -> None:
    world = accepted.world
    accepted.apply(world.start_transfer(ONE))
    before = accepted.snapshot()
    before.transfers_before = accepted.model.open_transfers()
    late = world.end_transfer(ONE, "canceled") + world.complete(ONE)
    accepted.take_answer(accepted.answer(ONE))
    assert accepted.synchronise(before) == ["completed 1 (resync)", "ended 1 (resync)"]
    accepted.now = 60  # its end was pushed, and lost with the connection
    assert accepted.synchronise() == ["transfer ended 1002 (resync)"]
    assert accepted.apply(late) == []
    assert accepted.synchronise() == []


def test_the_end_of_a_transfer_that_comes_long_after_its_reservation_ended_is_told(accepted: Bench) -> None:
    world = accepted.world
    accepted.apply(world.start_transfer(ONE))
    before = accepted.snapshot()
    before.transfers_before = accepted.model.open_transfers()
    late = world.end_transfer(ONE, "canceled") + world.complete(ONE)
    accepted.take_answer(accepted.answer(ONE))
    accepted.synchronise(before)
    accepted.now = 60
    assert accepted.apply(late)[:2] == ["transfer canceled 1002", "transfer ended 1002"]
    assert accepted.synchronise() == []


def test_a_transfer_that_took_the_place_of_another_in_the_gap(accepted: Bench) -> None:
    world = accepted.world
    accepted.apply(world.start_transfer(ONE))
    world.end_transfer(ONE, "failed")
    world.start_transfer(ONE)
    assert accepted.synchronise() == ["transfer ended 1002 (resync)", "task transferInitiated 1 (resync)"]
    outgoing = accepted.reservation(ONE).task.transfers.outgoing
    assert outgoing is not None
    assert number(outgoing.sid) == 1003


def test_a_new_reservation_found_after_a_gap_brings_its_transfer(bench: Bench) -> None:
    world = bench.world
    world.create_reservation()
    world.accept(ONE)
    world.start_transfer(ONE)
    assert bench.synchronise() == [
        "created 1 (resync)",
        "accepted 1 (resync)",
        "task transferInitiated 1 (resync)",
    ]


def test_a_transfer_that_was_there_before_the_program_is_simply_there() -> None:
    bench = Bench()
    world = bench.world
    world.create_reservation()
    world.accept(ONE)
    begun = world.start_transfer(ONE)
    failed = world.fail_attempt(ONE)
    assert bench.start() == []
    assert bench.apply(begun + failed) == []
    assert bench.apply(world.end_transfer(ONE, "canceled")) == [
        "transfer canceled 1002",
        "transfer ended 1002",
    ]


def test_an_answer_that_showed_the_end_makes_it_known_after_a_gap(accepted: Bench) -> None:
    accepted.apply(accepted.world.start_transfer(ONE))
    ((_, shown),) = accepted.world.end_transfer(ONE, "canceled")
    task = accepted.reservation(ONE).task
    task._outgoing(fields(TransferFields, shown))
    assert accepted.synchronise() == ["transfer canceled 1002 (resync)", "transfer ended 1002 (resync)"]


def test_a_transfer_that_began_after_the_list_was_made_is_not_taken_for_ended(accepted: Bench) -> None:
    snapshot = accepted.snapshot()
    snapshot.transfers_before = accepted.model.open_transfers()
    begun = accepted.world.start_transfer(ONE)
    answered = accepted.reservation(ONE).task._outgoing(fields(TransferFields, begun[0][1]))
    assert accepted.synchronise(snapshot) == []
    assert accepted.apply(begun) == ["task transferInitiated 1"]
    assert (answered.status, answered.outcome) == ("initiated", None)


def test_an_older_list_does_not_bring_the_transfer_before_back(accepted: Bench) -> None:
    world = accepted.world
    accepted.apply(world.start_transfer(ONE))
    snapshot = accepted.snapshot()
    snapshot.transfers_before = accepted.model.open_transfers()
    accepted.apply(world.end_transfer(ONE, "failed") + world.start_transfer(ONE))
    assert accepted.synchronise(snapshot) == []
    outgoing = accepted.reservation(ONE).task.transfers.outgoing
    assert outgoing is not None
    assert number(outgoing.sid) == 1003


def test_an_attempt_that_failed_in_a_gap_is_told_once(accepted: Bench) -> None:
    world = accepted.world
    accepted.apply(world.start_transfer(ONE))
    world.now += 5
    late = world.fail_attempt(ONE)
    assert accepted.synchronise() == ["transfer attemptFailed 1002 (resync)"]
    assert accepted.apply(late) == []
    assert accepted.synchronise() == []


def test_a_failed_attempt_is_told_once_however_often_its_frame_comes(accepted: Bench) -> None:
    world = accepted.world
    accepted.apply(world.start_transfer(ONE))
    first = world.fail_attempt(ONE)
    assert accepted.apply(first * 2) == ["transfer attemptFailed 1002"]
    other = world.fail_attempt(ONE, "timed out")  # in the same second
    world.now += 1
    later = world.fail_attempt(ONE)
    assert accepted.apply(other + later) == ["transfer attemptFailed 1002"] * 2
    assert accepted.apply(first + other + later) == []


def test_a_second_transfer_whose_answer_overtakes_the_firsts_end_stays_the_latest(accepted: Bench) -> None:
    world = accepted.world
    accepted.apply(world.start_transfer(ONE))
    task = accepted.reservation(ONE).task
    first = task.transfers.outgoing
    canceled = world.end_transfer(ONE, "canceled")
    world.now += 1
    begun = world.start_transfer(ONE)
    second = task._outgoing(fields(TransferFields, begun[0][1]))
    assert accepted.apply(canceled + begun) == [
        "transfer canceled 1002",
        "transfer ended 1002",
        "task transferInitiated 1",
    ]
    assert task.transfers.outgoing is second
    assert first is not None
    assert first.outcome == "canceled"


def test_the_end_of_a_transfer_whose_start_never_came_tells_the_start_first(accepted: Bench) -> None:
    accepted.world.start_transfer(ONE)
    assert accepted.apply(accepted.world.end_transfer(ONE, "failed")) == [
        "task transferInitiated 1 (resync)",
        "transfer failed 1002",
        "transfer ended 1002",
    ]
