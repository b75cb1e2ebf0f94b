"""The event history: what an event says, how it is found, and how long it is kept."""

from __future__ import annotations

import pytest

from server_stub.domain.errors import InvalidArgument, NotFound
from server_stub.domain.history import Window, event_sid
from server_stub.domain.model import Limits
from taskrouter_worker.terms import EventType, is_sid
from tests.domain.desk import Desk, pending
from tests.domain.records import Recorder

START = 1_000_000.0


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def recorder(desk: Desk) -> Recorder:
    return Recorder(desk)


def test_every_logged_event_is_kept_in_order(desk: Desk, recorder: Recorder) -> None:
    desk.worker("nina")
    desk.answer(pending(desk.task()), "accepted")
    kept = [event.type for event in recorder.everything()]
    assert kept == [event.type for event in desk.created] + desk.heard()
    assert kept[-1] is EventType.RESERVATION_ACCEPTED


def test_event_shows_its_resource_as_it_was(desk: Desk, recorder: Recorder) -> None:
    nina = desk.worker("nina", lang="pt")
    task = desk.task(topic="cards")
    reservation = pending(task)
    desk.wait(5)
    desk.answer(reservation, "accepted")
    desk.set_status(task, "completed", "solved")
    event = next(e for e in recorder.everything() if e.type is EventType.RESERVATION_ACCEPTED)
    assert event.data["task_assignment_status"] == "assigned"
    assert event.data["task_age"] == "5"
    assert event.data["worker_attributes"] == '{"lang": "pt"}'
    assert event.data["reservation_version"] == "1"
    assert (event.resource_type, event.resource_sid) == ("reservation", reservation.sid)
    assert event.path == ("Tasks", task.sid, "Reservations", reservation.sid)
    assert (event.actor_type, event.actor_sid) == ("workspace", desk.ws.sid)
    assert event.description == f"Reservation {reservation.sid} accepted"
    assert all(isinstance(value, str) for value in event.data.values())
    last = recorder.everything()[-2]
    assert (last.type, last.data["task_completed_reason"]) == (EventType.TASK_COMPLETED, "solved")
    assert event.names(nina.sid, "worker_sid")
    assert not event.names(nina.sid, "task_sid")


def test_sid_of_an_event_is_the_same_for_whoever_asks(desk: Desk, recorder: Recorder) -> None:
    desk.task()
    for event in recorder.everything():
        assert is_sid(event.sid, "EV")
        assert event.sid == event_sid(desk.ws.sid, event.seq)
        assert recorder.history.event(event.sid) is event
    assert len({event.sid for event in recorder.everything()}) == len(recorder.history)


def test_unknown_event_is_not_found(recorder: Recorder) -> None:
    with pytest.raises(NotFound):
        recorder.history.event(event_sid("WS" + "0" * 32, 1))


def test_window_is_found_newest_first(desk: Desk, recorder: Recorder) -> None:
    desk.wait(100)
    first = desk.task()
    desk.wait(10)
    second = desk.task()
    found = recorder.history.newest_first(Window(START + 100, START + 110))
    assert found == sorted(found, key=lambda event: -event.seq)
    assert {event.resource_sid for event in found} == {first.sid, second.sid}
    assert {e.resource_sid for e in recorder.history.newest_first(Window(START + 101, START + 200))} == {
        second.sid
    }


def test_event_at_which_a_page_ended_keeps_its_place_outside_the_window(
    desk: Desk, recorder: Recorder
) -> None:
    desk.task()
    old = recorder.everything()[-1]
    desk.wait(1_000)
    desk.task()
    window = Window(START + 500, START + 1_000)
    inside = recorder.history.newest_first(window)
    assert old not in inside
    assert recorder.history.newest_first(window, beside=old.sid) == [*inside, old]
    assert recorder.history.newest_first(window, beside=inside[1].sid) == inside
    before = Window(START - 1, START)
    newest = inside[0]
    assert recorder.history.newest_first(before, beside=newest.sid)[0] is newest


def test_old_events_are_forgotten(desk: Desk) -> None:
    recorder = Recorder(desk, limits=Limits(event_retention_seconds=100))
    desk.task()
    old = recorder.everything()[-1]
    desk.wait(100)
    recorder.history.forget(desk.time)
    assert recorder.history.event(old.sid) is old
    desk.wait(1)
    recorder.history.forget(desk.time)
    assert len(recorder.history) == 0
    with pytest.raises(NotFound):
        recorder.history.event(old.sid)


def test_of_too_many_events_the_oldest_are_forgotten(desk: Desk) -> None:
    recorder = Recorder(desk, limits=Limits(max_events=50))
    for _ in range(200):
        desk.task()
    assert len(recorder.history) == 50
    kept = recorder.everything()
    assert [event.seq for event in kept] == list(range(desk.ws.seq - 49, desk.ws.seq + 1))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, Window(START - 900, START)),
        ({"minutes": 1}, Window(START - 60, START)),
        ({"end_date": START - 5}, Window(START - 905, START - 5)),
        ({"start_date": START - 5}, Window(START - 5, START)),
        ({"start_date": START - 5, "end_date": START - 4, "minutes": 9}, Window(START - 5, START - 4)),
        ({"minutes": 2_147_483_647}, Window(0, START)),
    ],
)
def test_window_follows_dates_and_minutes(asked: dict[str, float], expected: Window) -> None:
    assert Window.of(START, **asked) == expected  # type: ignore[arg-type] # of mixed types


def test_window_cannot_end_before_it_starts() -> None:
    with pytest.raises(InvalidArgument, match="StartDate"):
        Window.of(START, start_date=START, end_date=START - 1)
