"""Random commands and clock advances against what must hold after each of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from server_stub.domain.errors import DomainError
from server_stub.domain.events import Event
from server_stub.domain.model import Limits, Reservation, Task, TaskQueue, Transfer, Worker, Workflow
from server_stub.domain.routing import (
    ServingKey,
    demand_of,
    meets_target,
    obstacle,
    serving_key,
    skips,
    worker_key,
    worker_matches,
)
from taskrouter_worker.terms import (
    TASK_ENDED,
    EventType,
    QueueOrder,
    ReservationStatus,
    TaskStatus,
    TransferMode,
    TransferStatus,
    TransferType,
    WorkspaceTemplate,
)
from tests.budget import examples, steps
from tests.domain.desk import Desk, configuration, snapshot, target
from tests.domain.desk import rule as filter_

EXPRESSIONS = [
    "1==1",
    "skills HAS 'a'",
    "level > 1",
    "activity_name != 'x' AND level <= 2",
    "worker.channel.chat.assigned_tasks == 0",
    "activity_name == 'Available' AND level IN [1, 2]",
    "",
]
EXTRA = [
    {},
    {"expression": "worker.level >= task.level"},
    {"expression": "worker.level == task.level"},
    {"expression": "task.skill IN worker.skills AND worker.level <= task.level"},
    {"expression": "worker.level == 2", "order_by": "worker.level DESC"},
    {"known_worker_sid": "task.agent"},
    {"order_by": "worker.level DESC"},
    {"expression": "worker.channel.chat.assigned_tasks == 0"},
]
SKIPS = [None, "1==1", "workers.available == 0", "workers.unavailable > 0 AND task.level == 1"]

index = st.integers(0, 30)
levels = st.integers(0, 3)


class NaiveDesk(Desk):
    """A desk that foretells each round by looking at every task and every worker."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.task_versions: dict[str, int] = {}

    def settle(self) -> None:
        self.take(self.ws.take_events())
        for _ in range(500):
            expected = self.foretell()
            if not self.ws.route():
                assert expected is None
                return
            events = self.ws.take_events()
            self.take(events)
            reserved = [e.resource for e in events if e.type is EventType.RESERVATION_CREATED]
            made = [(r.task.sid, r.worker.sid) for r in reserved if isinstance(r, Reservation)]
            assert expected is not None
            task, workers = expected
            assert made == [(task.sid, worker.sid) for worker in workers]
            if not workers:
                types = {event.type for event in events if event.resource is task}
                assert types & {EventType.TASK_CANCELED, EventType.WORKFLOW_TARGET_MATCHED}
        raise AssertionError("the engine goes round in circles")

    def take(self, events: list[Event]) -> None:
        """One command is over: whoever works on a task it changed was told, and its version rose once."""
        self.commands.append(events)
        for task in self.ws.tasks.values():
            before = self.task_versions.get(task.sid, 0)
            self.task_versions[task.sid] = task.version
            assert task.version in (before, before + 1)
            if task.version == before:
                continue
            about = [
                event
                for event in events
                if event.resource is task
                or (isinstance(event.resource, Reservation) and event.resource.task is task)
            ]
            for reservation in task.live_reservations:
                assert any(reservation.worker.sid in event.worker_sids for event in about), reservation
        for event in events:
            resource = event.resource
            if isinstance(resource, Reservation) and event.type is EventType.RESERVATION_CREATED:
                # The JavaScript SDK breaks if a later event is the first to carry the transfer.
                assert resource.transfer is resource.task.transfer
            if isinstance(resource, Transfer):
                assert event.worker_sids == (resource.initiating_reservation.worker.sid,)

    def foretell(self) -> tuple[Task, list[Worker]] | None:
        """The task of the next round and its workers; with none, it skips a step or leaves."""
        waiting = [task for task in self.ws.tasks.values() if task.status is TaskStatus.PENDING]
        for task in waiting:
            if task.is_unrouted:
                return task, []
        for task in sorted(waiting, key=self._turn):
            demand = demand_of(task)
            limit = 1 if demand.routing_target or task.queue is None else task.queue.max_reserved_workers
            able = [worker for worker in self.ws.workers.values() if self.suits(task, worker)]
            able.sort(key=lambda worker: worker_key(worker, task.task_channel, demand.order_by))
            if able:
                return task, able[:limit]
            if self.fresh(task) and task.step is not None and task.step.target.skip_if is not None:
                counts = Counter(w.activity for w in self.ws.workers.values() if self._of_step(task, w))
                if skips(task.step.target.skip_if, task, counts.copy):
                    return task, []
        return None

    def suits(self, task: Task, worker: Worker) -> bool:
        multi_task = self.ws.multi_task_enabled
        is_member = self._is_member(task, worker)
        return obstacle(demand_of(task), worker, is_member=is_member, multi_task=multi_task) is None

    def fresh(self, task: Task) -> bool:
        return self.ws._dispatcher.is_fresh(task)

    def _turn(self, task: Task) -> tuple[bool, ServingKey]:
        order = task.queue.task_order if task.queue else QueueOrder.FIFO
        return order is not self.ws.prioritize_queue_order, serving_key(task)

    def _is_member(self, task: Task, worker: Worker) -> bool:
        return task.queue is not None and worker_matches(task.queue.expression, worker)

    def _of_step(self, task: Task, worker: Worker) -> bool:
        return self._is_member(task, worker) and meets_target(demand_of(task), worker) is None


class Commands(RuleBasedStateMachine):
    """Three queues, two workflows, a few workers and tasks, and everyone doing anything."""

    desk_class = NaiveDesk

    @initialize(
        multi=st.sampled_from([True, True, True, False]),
        first=st.sampled_from(QueueOrder),
        orders=st.tuples(*[st.sampled_from(QueueOrder)] * 3),
        reserved=st.tuples(*[st.integers(1, 3)] * 3),
        expressions=st.tuples(*[st.sampled_from(EXPRESSIONS)] * 3),
        extras=st.tuples(*[st.sampled_from(EXTRA)] * 3),
        skips=st.tuples(*[st.sampled_from(SKIPS)] * 3),
        timeouts=st.tuples(*[st.sampled_from([None, 5, 60])] * 3),
        staff=st.integers(0, 3),
    )
    def open_desk(
        self,
        multi: bool,
        first: QueueOrder,
        orders: tuple[QueueOrder, ...],
        reserved: tuple[int, ...],
        expressions: tuple[str, ...],
        extras: tuple[dict[str, str], ...],
        skips: tuple[str | None, ...],
        timeouts: tuple[int | None, ...],
        staff: int,
    ) -> None:
        self.desk = self.desk_class(
            template=WorkspaceTemplate.NONE,
            multi_task_enabled=multi,
            prioritize_queue_order=first,
            limits=Limits(max_rejections=3, max_assignments=5, max_assigned_seconds=400),
        )
        self.versions: dict[str, int] = {}
        self.lowered: set[str] = set()
        self.events_seen = self.desk.ws.seq
        desk = self.desk
        away = desk.unavailable
        self.queues = [
            desk.queue(
                f"queue {number}",
                expressions[number],
                max_reserved_workers=reserved[number],
                task_order=orders[number],
                reservation_activity=away if number == 0 else None,
                assignment_activity=away if number == 1 else None,
            )
            for number in range(3)
        ]
        steps = [
            target(
                self.queues[number],
                priority=number,
                **extras[number],
                **({"timeout": timeouts[number]} if timeouts[number] else {}),
                **({"skip_if": skips[number]} if skips[number] else {}),
            )
            for number in range(3)
        ]
        self.configurations = [
            configuration(
                filter_(steps[0], steps[1], expression="level > 0", name="one"),
                filter_(steps[2], expression="level > 1", name="two"),
                default=self.queues[1],
            ),
            configuration(filter_(steps[2], steps[0], expression="level != 2", name="three")),
        ]
        self.workflows = [
            desk.ws.create_workflow(
                friendly_name=f"flow {number}",
                configuration=self.configurations[number],
                task_reservation_timeout=30,
            )
            for number in range(2)
        ]
        desk.settle()
        busy = desk.worker("first", level=2, skills=["a"])
        for number in range(staff):  # colleagues, and work that one of them may hand to another
            desk.worker(f"colleague {number}", level=number, skills=["a"], capacity=2)
            for channel in ("chat", "voice"):
                task = desk.task(self.workflows[0], routing_target=busy.sid, channel=channel)
                desk.answer(task.live_reservations[0], "accepted")

    # -- picking

    def _worker(self, number: int) -> Worker:
        workers = list(self.desk.ws.workers.values())
        return workers[number % len(workers)]

    def _task(self, number: int) -> Task | None:
        tasks = list(self.desk.ws.tasks.values())
        return tasks[number % len(tasks)] if tasks else None

    def _reservation(self, number: int) -> Reservation | None:
        live = [r for r in self.desk.ws.reservations.values() if r.is_live]
        every = live if number % 5 else list(self.desk.ws.reservations.values())
        return every[number % len(every)] if every else None

    def _queue(self, number: int) -> TaskQueue:
        return self.queues[number % 3]

    def _workflow(self, number: int) -> Workflow:
        return self.workflows[number % 2]

    def _try(self, command: str, *arguments: object, **options: object) -> None:
        """Give a command; a refused one must have changed nothing."""
        before = snapshot(self.desk.ws)
        try:
            getattr(self.desk.ws, command)(*arguments, **options)
        except DomainError:
            assert snapshot(self.desk.ws) == before
            assert self.desk.ws.take_events() == []
        self.desk.settle()

    # -- commands

    @rule(level=levels, skilled=st.booleans(), capacity=st.integers(1, 3), here=st.booleans())
    def hire(self, level: int, skilled: bool, capacity: int, here: bool) -> None:
        if len(self.desk.ws.workers) < 6:
            self.desk.worker(
                f"worker {self.desk.ws.seq}",
                activity=None if here else self.desk.offline,
                capacity=capacity,
                level=level,
                skills=["a", "b", "a"] if skilled else [],
            )

    @rule(
        flow=index,
        level=levels,
        agent=index,
        channel=st.sampled_from(["chat", "voice"]),
        priority=st.integers(0, 2),
        timeout=st.sampled_from([20, 100, 86_400]),
        age=st.sampled_from([0, 50]),
    )
    def enqueue(
        self, flow: int, level: int, agent: int, channel: str, priority: int, timeout: int, age: int
    ) -> None:
        self._try(
            "create_task",
            workflow_sid=self._workflow(flow).sid,
            attributes=json.dumps(
                {"level": level, "agent": self._worker(agent).sid, "skill": "ab"[level % 2]}
            ),
            task_channel=channel,
            priority=priority,
            timeout=timeout,
            virtual_start_time=self.desk.time - age,
        )

    @rule(
        number=index,
        kind=st.sampled_from(["worker", "queue"]),
        ignore=st.sampled_from([None, False]),
        counted=st.none() | index,
    )
    def enqueue_directly(self, number: int, kind: str, ignore: bool | None, counted: int | None) -> None:
        aim, queue_sid = self._queue(number).sid, None
        if kind == "worker":
            aim, queue_sid = self._worker(number).sid, None if counted is None else self._queue(counted).sid
        self._try(
            "create_task",
            workflow_sid=self.workflows[0].sid,
            routing_target=aim,
            ignore_capacity=ignore,
            task_queue_sid=queue_sid,
        )

    @rule(number=index, status=st.sampled_from(["accepted", "rejected", "wrapping", "completed", "accepted"]))
    def answer(self, number: int, status: str) -> None:
        if (reservation := self._reservation(number)) is not None:
            self._try("update_reservation", reservation.sid, status=status)

    @rule(number=index, away=st.booleans())
    def reject_and_move(self, number: int, away: bool) -> None:
        if (reservation := self._reservation(number)) is not None:
            activity = self.desk.offline if away else self.desk.available
            self._try(
                "update_reservation", reservation.sid, status="rejected", worker_activity_sid=activity.sid
            )

    @rule(number=index)
    def lose_callback(self, number: int) -> None:
        if (reservation := self._reservation(number)) is not None:
            self._try("cancel_reservation", reservation.sid)

    @rule(number=index, status=st.sampled_from(["canceled", "wrapping", "completed"]))
    def end_task(self, number: int, status: str) -> None:
        if (task := self._task(number)) is not None:
            self._try("update_task", task.sid, assignment_status=status, reason="because")

    @rule(
        number=index,
        to=index,
        kind=st.sampled_from(["worker", "queue"]),
        mode=st.none() | st.sampled_from(TransferMode),
        level=st.none() | levels,
        priority=st.none() | st.integers(0, 3),
    )
    def transfer(
        self, number: int, to: int, kind: str, mode: str | None, level: int | None, priority: int | None
    ) -> None:
        reservation = self._reservation(number)
        if reservation is None:
            return
        if reservation.status is ReservationStatus.PENDING:  # or transfers would be rare
            self._try("update_reservation", reservation.sid, status="accepted")
        others = [w for w in self.desk.ws.workers.values() if w is not reservation.worker]
        aim: Worker | TaskQueue = self._queue(to)
        if kind == "worker" and others:
            aim = others[to % len(others)]
        self._try(
            "create_transfer",
            reservation.worker.sid,
            reservation_sid=reservation.sid,
            task_sid=reservation.task.sid,
            to=aim.sid,
            mode=mode,
            attributes=None if level is None else json.dumps({"level": level}),
            priority=priority,
        )

    @rule(number=index, status=st.sampled_from(["accepted", "accepted", "rejected"]))
    def answer_transfer(self, number: int, status: str) -> None:
        offers = [
            r
            for r in self.desk.ws.reservations.values()
            if r.transfer is not None and r.status is ReservationStatus.PENDING
        ]
        if offers:
            self._try("update_reservation", offers[number % len(offers)].sid, status=status)

    @rule(number=index, initiated=st.booleans())
    def take_back(self, number: int, initiated: bool) -> None:
        transfers = [
            t
            for t in self.desk.ws.transfers.values()
            if not initiated or t.status is TransferStatus.INITIATED
        ]
        if transfers:
            transfer = transfers[number % len(transfers)]
            worker_sid = transfer.initiating_reservation.worker.sid
            self._try(
                "cancel_transfer", worker_sid, transfer.sid, task_sid=transfer.task.sid, status="canceled"
            )

    @rule(
        number=index,
        level=st.none() | levels,
        priority=st.none() | st.integers(0, 3),
        channel=st.sampled_from([None, "chat", "sms"]),
    )
    def change_task(self, number: int, level: int | None, priority: int | None, channel: str | None) -> None:
        if (task := self._task(number)) is not None:
            attributes = None if level is None else json.dumps({"level": level})
            self._try("update_task", task.sid, attributes=attributes, priority=priority, task_channel=channel)

    @rule(number=index)
    def delete_task(self, number: int) -> None:
        if (task := self._task(number)) is not None:
            self._try("delete_task", task.sid)

    @rule(number=index, there=st.integers(0, 2), reject=st.booleans())
    def move_worker(self, number: int, there: int, reject: bool) -> None:
        activity = [self.desk.offline, self.desk.available, self.desk.unavailable][there]
        self._try(
            "update_worker",
            self._worker(number).sid,
            activity_sid=activity.sid,
            reject_pending_reservations=reject,
        )

    @rule(number=index, level=levels, skilled=st.booleans())
    def teach(self, number: int, level: int, skilled: bool) -> None:
        text = json.dumps({"level": level, "skills": ["a", "b", "a"] if skilled else []})
        self._try("update_worker", self._worker(number).sid, attributes=text)

    @rule(
        number=index,
        channel=st.sampled_from(["chat", "voice"]),
        capacity=st.none() | st.integers(0, 3),
        available=st.none() | st.booleans(),
    )
    def change_channel(
        self,
        number: int,
        channel: str,
        capacity: int | None,
        available: bool | None,
    ) -> None:
        worker = self._worker(number)
        held = self.desk.ws.worker_channel(worker.sid, channel)
        if capacity is not None and capacity < held.active:
            self.lowered.add(held.sid)
        self._try("update_worker_channel", worker.sid, channel, capacity=capacity, available=available)

    @rule(number=index)
    def fire(self, number: int) -> None:
        if len(self.desk.ws.workers) > 1:
            self._try("delete_worker", self._worker(number).sid)

    @rule(
        number=index,
        text=st.none() | st.sampled_from(EXPRESSIONS),
        order=st.none() | st.sampled_from(QueueOrder),
        reserved=st.none() | st.integers(1, 3),
    )
    def change_queue(
        self, number: int, text: str | None, order: QueueOrder | None, reserved: int | None
    ) -> None:
        self._try(
            "update_task_queue",
            self._queue(number).sid,
            target_workers=text,
            task_order=order,
            max_reserved_workers=reserved,
        )

    @rule(number=index, other=index, again=st.booleans())
    def change_workflow(self, number: int, other: int, again: bool) -> None:
        self._try(
            "update_workflow",
            self._workflow(number).sid,
            configuration=self.configurations[other % 2],
            re_evaluate_tasks=again,
        )

    @rule(order=st.sampled_from(QueueOrder))
    def change_first(self, order: QueueOrder) -> None:
        self._try("update", prioritize_queue_order=order)

    @rule(optimized=st.booleans())
    def change_optimization(self, optimized: bool) -> None:
        self._try("update_task_channel", "chat", channel_optimized_routing=optimized)

    @rule(seconds=st.sampled_from([1, 4, 5, 29, 30, 120, 500]), smooth=st.booleans())
    def let_time_pass(self, seconds: float, smooth: bool) -> None:
        if smooth:
            self.desk.wait(seconds)
        else:
            self.desk.jump(seconds)


class Machine(Commands):
    """What must hold after each of them."""

    @invariant()
    def versions_grow_by_one_per_command_and_events_are_in_sequence(self) -> None:
        ws = self.desk.ws
        for command in self.desk.commands:
            assert [e.seq for e in command] == list(
                range(self.events_seen + 1, self.events_seen + 1 + len(command))
            )
            self.events_seen += len(command)
        assert ws.seq == self.events_seen
        commands = len(self.desk.commands)
        self.desk.commands.clear()
        entities: list[Task | Reservation | Worker] = [
            *ws.tasks.values(),
            *ws.reservations.values(),
            *ws.workers.values(),
        ]
        for entity in entities:
            before = self.versions.get(entity.sid, 0)
            # A worker channel's two events in one command are the documented exception.
            limit = commands + 1 if isinstance(entity, Worker) else commands
            assert before <= entity.version <= before + limit
            self.versions[entity.sid] = entity.version

    @invariant()
    def load_equals_a_recount_and_stays_below_capacity(self) -> None:
        for worker in self.desk.ws.workers.values():
            live = worker.live_reservations
            for channel in worker.channels.values():
                mine = [r for r in live if r.worker_channel is channel]
                assert channel.active == len(mine)
                assert channel.assigned_tasks == sum(r.status is ReservationStatus.ACCEPTED for r in mine)
                excused = channel.sid in self.lowered or any(r.task.ignore_capacity for r in mine)
                if self.desk.ws.multi_task_enabled and not excused:
                    assert channel.active <= channel.configured_capacity
                if channel.active <= channel.configured_capacity:
                    self.lowered.discard(channel.sid)
            if not self.desk.ws.multi_task_enabled:
                assert len([r for r in live if not r.task.ignore_capacity]) <= 1

    @invariant()
    def statuses_of_tasks_and_reservations_agree(self) -> None:
        for task in self.desk.ws.tasks.values():
            live = [r.status for r in task.live_reservations]
            held = [status for status in live if status is not ReservationStatus.PENDING]
            accepted = held.count(ReservationStatus.ACCEPTED)
            transferred = sum(t.status is TransferStatus.COMPLETE for t in task.transfers.values())
            assert len(held) <= 1 + transferred
            match task.status:
                case TaskStatus.PENDING | TaskStatus.RESERVED:
                    assert (len(live) > len(held)) == (task.status is TaskStatus.RESERVED)
                    assert (accepted > 0) == (len(held) > 0) == (task.transfer is not None)
                case TaskStatus.ASSIGNED:
                    assert live == held
                    assert accepted
                case TaskStatus.WRAPPING:
                    assert live
                    assert set(live) == {ReservationStatus.WRAPPING}
                case _:
                    assert live == []
            assert (task.ended_at is not None) == (task.status in TASK_ENDED)
            assert all(self.desk.ws.reservations[sid] is r for sid, r in task.reservations.items())

    @invariant()
    def transfers_agree_with_their_tasks_and_reservations(self) -> None:
        ws = self.desk.ws
        for transfer in ws.transfers.values():
            task, initiating = transfer.task, transfer.initiating_reservation
            assert ws.tasks[task.sid] is task
            assert task.transfers[transfer.sid] is transfer
            under_way = transfer.status is TransferStatus.INITIATED
            assert under_way == (task.transfer is transfer) == (initiating.outgoing_transfer is transfer)
            if under_way:
                assert initiating.status is ReservationStatus.ACCEPTED
        for reservation in ws.reservations.values():
            if reservation.status is ReservationStatus.PENDING:
                assert reservation.transfer is reservation.task.transfer
            if reservation.outgoing_transfer is not None:
                assert reservation.task.transfer is reservation.outgoing_transfer

    @invariant()
    def nothing_that_could_be_reserved_is_left_waiting(self) -> None:
        assert self.desk.ws.take_events() == []
        for task in self.desk.ws.tasks.values():
            if task.status is TaskStatus.PENDING:
                assert not task.is_unrouted
                for worker in self.desk.ws.workers.values():
                    assert not self.desk.suits(task, worker), (task, worker)

    @invariant()
    def the_clock_is_set_for_every_deadline(self) -> None:
        ws, deadlines = self.desk.ws, list[float]()
        for task in ws.tasks.values():
            if task.status in TASK_ENDED and task.ended_at is not None:
                deadlines.append(task.ended_at + ws.limits.retention_seconds)
            if task.assigned_at is None and task.status not in TASK_ENDED:
                deadlines.append(task.date_created + task.timeout)
            waits, transfer = task.status is TaskStatus.PENDING, task.transfer
            if waits and task.step_deadline is not None and transfer is None:
                deadlines.append(task.step_deadline)
            if transfer is not None and (waits or transfer.type is TransferType.QUEUE):
                deadlines.append(transfer.deadline)
            if task.status is TaskStatus.ASSIGNED and task.assigned_at is not None:
                deadlines.append(task.assigned_at + ws.limits.max_assigned_seconds)
        deadlines += [r.deadline for r in ws.reservations.values() if r.status is ReservationStatus.PENDING]
        due = ws.next_deadline()
        if deadlines:
            assert due is not None
            assert due <= min(deadlines)
            assert min(deadlines) > self.desk.time

    @invariant()
    def queue_members_and_counts_equal_a_naive_evaluation(self) -> None:
        ws = self.desk.ws
        for queue in ws.task_queues.values():
            expected = [w for w in ws.workers.values() if worker_matches(queue.expression, w)]
            assert ws.workers_in(queue.sid) == expected
            counts = ws.activity_counts(queue.sid)
            for activity in ws.activities.values():
                assert counts.get(activity, 0) == sum(w.activity is activity for w in expected)


Machine.TestCase.settings = settings(
    max_examples=examples(60),
    stateful_step_count=steps(40),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestInvariants = Machine.TestCase
