"""Whatever happens, statistics equal a recount over the whole history of events."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant

from server_stub.domain.history import Window
from server_stub.domain.statistics import Totals
from tests.budget import examples, steps
from tests.domain import recount
from tests.domain.desk import Desk
from tests.domain.records import Recorder
from tests.domain.test_invariants import Commands, NaiveDesk

THRESHOLDS = (0, 4_000, 30_000)


class RecordedDesk(NaiveDesk):
    """A desk whose rounds nobody foretells, but everybody writes down."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.recorder = Recorder(self)

    def settle(self) -> None:
        Desk.settle(self)


class StatisticsMachine(Commands):
    """The commands of the invariants' machine, and the numbers after each of them."""

    desk: RecordedDesk
    desk_class = RecordedDesk

    def _windows(self) -> list[Window]:
        now = self.desk.time
        return [Window(0, now), Window(now - 30, now), Window(now - 130, now - 5)]

    @invariant()
    def open_tasks_equal_a_recount(self) -> None:
        ws, statistics = self.desk.ws, self.desk.recorder.records.statistics
        for channel_sid in (None, *ws.task_channels):
            assert recount.shown(statistics.open_tasks(ws.sid, channel_sid=channel_sid)) == (
                recount.open_tasks(ws, channel_sid=channel_sid)
            )
            for sid in ws.task_queues:
                assert recount.shown(statistics.open_tasks(sid, channel_sid=channel_sid)) == (
                    recount.open_tasks(ws, queue_sid=sid, channel_sid=channel_sid)
                )
            for sid in ws.workflows:
                assert recount.shown(statistics.open_tasks(sid, channel_sid=channel_sid)) == (
                    recount.open_tasks(ws, workflow_sid=sid, channel_sid=channel_sid)
                )

    def check_totals(self, window: Window) -> None:
        ws, recorder = self.desk.ws, self.desk.recorder
        history, statistics = recorder.everything(), recorder.records.statistics
        chat = ws.task_channel("chat").sid

        def compare(kept: Totals, *picks: recount.Pick) -> None:
            assert kept == recount.totals(history, window, *picks, thresholds=THRESHOLDS)

        compare(statistics.totals(window, thresholds=THRESHOLDS))
        compare(statistics.totals(window, channel_sid=chat, thresholds=THRESHOLDS), recount.of_channel(chat))
        for sid in ws.task_queues:
            compare(statistics.totals(window, scope_sid=sid, thresholds=THRESHOLDS), recount.of_queue(sid))
        for sid in ws.workflows:
            compare(statistics.totals(window, scope_sid=sid, thresholds=THRESHOLDS), recount.of_workflow(sid))
        for sid in ws.workers:
            compare(statistics.totals(window, scope_sid=sid, thresholds=THRESHOLDS), recount.of_worker(sid))
            assert statistics.activity_durations(window, self.desk.time, worker_sids=(sid,)) == (
                recount.stays(history, window, self.desk.time, sid)
            )
        assert statistics.activity_durations(window, self.desk.time) == (
            recount.stays(history, window, self.desk.time)
        )

    def teardown(self) -> None:
        if hasattr(self, "desk"):  # else not even the beginning came about
            for window in self._windows():
                self.check_totals(window)


StatisticsMachine.TestCase.settings = settings(
    max_examples=examples(40),
    stateful_step_count=steps(40),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestStatistics = StatisticsMachine.TestCase
