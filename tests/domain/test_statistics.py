"""Statistics of scenarios whose numbers were worked out by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from server_stub.domain.history import Window
from server_stub.domain.model import Limits
from server_stub.domain.statistics import Durations, Split, Totals
from taskrouter_worker.terms import EventType, TaskStatus
from tests.domain.desk import Desk, pending, rule, target
from tests.domain.records import Recorder

START = 1_000_000.0


class Office(Desk):
    """A desk whose records are kept."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        super().__init__(limits=limits)
        self.recorder = Recorder(self, limits=limits)
        self.statistics = self.recorder.statistics

    def at(self, second: int) -> None:
        """Let the time come that is so many seconds after the start."""
        self.wait(START + second - self.time)

    def totals(self, scope_sid: str | None = None, *, channel_sid: str | None = None) -> Totals:
        """What happened until now, split at 10 and 25 seconds."""
        return self.statistics.totals(
            Window(START, self.time),
            scope_sid=scope_sid,
            channel_sid=channel_sid,
            thresholds=(10_000, 25_000),
        )


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_morning_at_the_front_desk(office: Office) -> None:
    """Two queues; a task is answered late, one is answered at once, one times out of its first queue.

    second  what happens
    0       A (chat) enters Cards; nobody is there
    20      Nina comes: A is reserved
    25      she accepts A, after 25 s
    30      B (chat) enters Cards and waits
    40      A completes; B is reserved for Nina
    52      she rejects B and goes offline, so that B waits on
    60      B leaves Cards for General after its 30 s there
    70      B is canceled, 40 s old
    75      C (voice) is created; Nina comes back and is reserved
    76      she accepts C, after 1 s
    """
    cards = office.queue("Cards")
    general = office.queue("General", "1==2")
    flow = office.workflow(rule(target(cards, timeout=30), target(general)))
    a = office.task(flow, channel="chat")
    office.at(20)
    nina = office.worker("nina")
    office.at(25)
    office.answer(pending(a), "accepted")
    office.at(30)
    b = office.task(flow, channel="chat", priority=5)
    office.at(40)
    office.set_status(a, "completed", "done")
    office.at(52)
    office.answer(pending(b), "rejected", activity=office.offline)
    office.at(70)
    office.set_status(b, "canceled", "hung up")
    office.at(75)
    c = office.task(flow, channel="voice")
    office.move(nina, office.available)
    office.at(76)
    office.answer(pending(c), "accepted")

    everything = office.totals()
    assert everything.events == {
        EventType.TASK_CREATED: 3,
        EventType.WORKFLOW_ENTERED: 3,
        EventType.TASK_QUEUE_ENTERED: 4,
        EventType.TASK_QUEUE_MOVED: 1,
        EventType.RESERVATION_CREATED: 3,
        EventType.RESERVATION_ACCEPTED: 2,
        EventType.RESERVATION_REJECTED: 1,
        EventType.TASK_COMPLETED: 1,
        EventType.TASK_CANCELED: 1,
    }
    assert everything.until_accepted == Durations(count=2, total=26_000, min=1_000, max=25_000)
    assert everything.until_canceled == Durations(count=1, total=40_000, min=40_000, max=40_000)
    assert everything.splits == {
        10_000: Split(accepted_below=1, accepted_above=1, canceled_below=0, canceled_above=1),
        25_000: Split(accepted_below=2, accepted_above=0, canceled_below=0, canceled_above=1),
    }
    assert office.totals(flow.sid) == everything

    of_cards = office.totals(cards.sid)
    assert of_cards.events[EventType.TASK_QUEUE_ENTERED] == 3
    assert of_cards.events[EventType.TASK_QUEUE_MOVED] == 1  # B left it
    assert of_cards.events[EventType.RESERVATION_REJECTED] == 1
    assert of_cards.events[EventType.TASK_CANCELED] == 0
    assert of_cards.in_queue_until_accepted == Durations(count=2, total=26_000, min=1_000, max=25_000)
    of_general = office.totals(general.sid)
    assert of_general.events == {EventType.TASK_QUEUE_ENTERED: 1, EventType.TASK_CANCELED: 1}

    voice = office.ws.task_channel("voice").sid
    assert office.totals(channel_sid=voice).events == {
        EventType.TASK_CREATED: 1,
        EventType.WORKFLOW_ENTERED: 1,
        EventType.TASK_QUEUE_ENTERED: 1,
        EventType.RESERVATION_CREATED: 1,
        EventType.RESERVATION_ACCEPTED: 1,
    }
    assert office.totals(nina.sid).events == {
        EventType.RESERVATION_CREATED: 3,
        EventType.RESERVATION_ACCEPTED: 2,
        EventType.RESERVATION_REJECTED: 1,
    }
    assert office.statistics.activity_durations(Window(START, office.time), office.time) == {
        office.available.sid: Durations(count=2, total=33_000, min=1_000, max=32_000),
        office.offline.sid: Durations(count=1, total=23_000, min=23_000, max=23_000),
    }


def test_open_tasks_are_counted_by_scope_status_priority_and_channel(office: Office) -> None:
    [sample] = office.ws.task_queues.values()
    [flow] = office.ws.workflows.values()
    other = office.queue("Other", "1==2")
    first = office.task(flow, channel="chat", priority=5)
    office.at(7)
    second = office.task(flow, channel="voice")
    office.at(9)
    third = office.task(routing_target=other.sid)
    tasks = office.statistics.open_tasks(office.ws.sid)
    assert tasks.by_status == {TaskStatus.PENDING: 3}
    assert tasks.by_priority == {5: 1, 0: 2}
    assert tasks.longest_waiting is not None
    assert (tasks.longest_waiting.sid, tasks.longest_waiting.since) == (first.sid, START)

    nina = office.worker("nina")  # a task on each channel
    office.answer(pending(first), "accepted")
    tasks = office.statistics.open_tasks(sample.sid)
    assert tasks.by_status == Counter({TaskStatus.ASSIGNED: 1, TaskStatus.RESERVED: 1})
    assert tasks.longest_waiting is not None
    assert tasks.longest_waiting.sid == second.sid  # a reserved task waits as well; an assigned one does not
    chat = office.ws.task_channel("chat").sid
    only_chat = office.statistics.open_tasks(sample.sid, channel_sid=chat)
    assert (only_chat.total, only_chat.longest_waiting) == (1, None)
    assert office.statistics.open_tasks(other.sid).longest_in_queue == (START + 9, third.number, third.sid)

    office.set_status(first, "wrapping")
    assert office.statistics.open_tasks(flow.sid).by_status[TaskStatus.WRAPPING] == 1
    office.set_status(first, "completed")
    office.ws.delete_task(second.sid)
    office.settle()
    assert office.statistics.open_tasks(sample.sid).total == 0
    assert office.statistics.open_tasks(office.ws.sid).by_priority == {0: 1}
    assert nina.live_reservations == []


def test_time_in_a_queue_counts_from_the_entry_into_it(office: Office) -> None:
    cards, general = office.queue("Cards", "1==2"), office.queue("General", "skilled == true")
    flow = office.workflow(rule(target(cards, timeout=40), target(general)))
    task = office.task(flow)
    office.at(41)
    assert office.statistics.open_tasks(general.sid).longest_in_queue == (START + 40, task.number, task.sid)
    assert office.statistics.open_tasks(general.sid).longest_waiting == (START, task.number, task.sid)
    office.at(50)
    office.worker("nina", skilled=True)
    office.answer(pending(task), "accepted")
    totals = office.totals(general.sid)
    assert totals.until_accepted == Durations(count=1, total=50_000, min=50_000, max=50_000)
    assert totals.in_queue_until_accepted == Durations(count=1, total=10_000, min=10_000, max=10_000)


def test_reservation_counts_for_its_own_queue_though_its_end_moves_the_task(office: Office) -> None:
    """The step's time passes while the task is reserved: the rejection itself moves the task on."""
    cards, general = office.queue("Cards"), office.queue("General", "1==2")
    flow = office.workflow(rule(target(cards, timeout=10), target(general)))
    office.worker("nina")
    task = office.task(flow)
    office.at(15)
    office.answer(pending(task), "rejected")
    assert task.queue is general
    assert office.totals(cards.sid).events[EventType.RESERVATION_REJECTED] == 1
    assert office.totals(general.sid).events == {EventType.TASK_QUEUE_ENTERED: 1}


def test_transferred_task_counts_where_each_acceptance_was(office: Office) -> None:
    """Accepted by Nina in Cards after 0 s, given to the queue General at 20, accepted there by Omar at 30."""
    cards, general = office.queue("Cards", "team == 1"), office.queue("General", "team == 2")
    flow = office.workflow(default=cards)
    nina, omar = office.worker("nina", team=1), office.worker("omar", team=2)
    task = office.task(flow)
    first = pending(task)
    office.answer(first, "accepted")
    office.at(20)
    office.ws.create_transfer(
        nina.sid, reservation_sid=first.sid, task_sid=task.sid, to=general.sid, mode="COLD"
    )
    office.settle()
    assert office.statistics.open_tasks(cards.sid).total == 0
    assert office.statistics.open_tasks(general.sid).by_status == Counter({TaskStatus.RESERVED: 1})
    office.at(30)
    [second] = omar.live_reservations
    office.answer(second, "accepted")
    assert office.totals(cards.sid).until_accepted == Durations(count=1, total=0, min=0, max=0)
    of_general = office.totals(general.sid)
    assert of_general.until_accepted == Durations(count=1, total=30_000, min=30_000, max=30_000)
    assert of_general.in_queue_until_accepted == Durations(count=1, total=10_000, min=10_000, max=10_000)
    assert office.totals().until_accepted == Durations(count=2, total=30_000, min=0, max=30_000)
    assert office.statistics.open_tasks(office.ws.sid).longest_waiting is None


def test_window_holds_both_of_its_ends(office: Office) -> None:
    office.at(10)
    office.task()
    office.at(20)
    office.task()

    def created(start: float, end: float) -> int:
        window = Window(START + start, START + end)
        return office.statistics.totals(window).events[EventType.TASK_CREATED]

    assert created(10, 20) == 2
    assert created(10.001, 20) == 1
    assert created(10, 19.999) == 1
    assert created(20.001, 99) == 0


def test_stay_counts_with_the_part_that_lies_in_the_window(office: Office) -> None:
    """Nina is available from 0 to 60, away from 60 on; the window is 50 to 90."""
    nina = office.worker("nina")
    office.at(60)
    office.move(nina, office.unavailable)
    office.at(100)
    office.worker("omar", activity=office.offline)
    stays = office.statistics.activity_durations(Window(START + 50, START + 90), office.time)
    assert stays == {
        office.available.sid: Durations(count=1, total=10_000, min=10_000, max=10_000),
        office.unavailable.sid: Durations(count=1, total=30_000, min=30_000, max=30_000),
    }


def test_deleted_worker_still_counts_among_all_workers(office: Office) -> None:
    nina = office.worker("nina")
    office.at(30)
    office.ws.delete_worker(nina.sid)
    office.settle()
    office.at(40)
    stays = office.statistics.activity_durations(Window(START, office.time), office.time)
    assert stays[office.available.sid].total == 30_000
    assert office.totals(nina.sid) == Totals(splits={10_000: Split(), 25_000: Split()})


def test_what_is_too_old_does_not_count_any_more() -> None:
    office = Office(limits=Limits(event_retention_seconds=100))
    queue_sid = next(iter(office.ws.task_queues))
    office.task()
    office.at(60)
    office.task()
    assert office.totals(queue_sid).events[EventType.TASK_QUEUE_ENTERED] == 2
    office.at(101)
    office.statistics.forget(office.time)
    assert office.totals(queue_sid).events[EventType.TASK_QUEUE_ENTERED] == 1
    assert office.totals().events[EventType.TASK_CREATED] == 1
    assert office.statistics.open_tasks(queue_sid).total == 2  # they are open, however old


def test_only_so_many_events_count() -> None:
    office = Office(limits=Limits(max_counted_events=30))
    [flow] = office.ws.workflows.values()
    for _ in range(300):
        office.task()
    assert office.totals().events.total() == 30
    assert office.totals(flow.sid).events.total() == 30
    assert office.statistics.open_tasks(flow.sid).total == 300


def test_clock_that_was_set_back_hides_nothing(office: Office) -> None:
    office.at(100)
    office.task()
    office.time = START + 50
    office.task()

    def created(start: float, end: float) -> int:
        window = Window(START + start, START + end)
        return office.statistics.totals(window).events[EventType.TASK_CREATED]

    assert created(40, 60) == 1
    assert created(90, 110) == 1
    assert created(40, 110) == 2
