"""What routing looks at: few of many workers for a task, few of many tasks for a worker."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from server_stub.domain import dispatch
from server_stub.domain.expression import Expression
from server_stub.domain.model import Task, TaskChannel, Worker
from server_stub.domain.routing import (
    Demand,
    Obstacle,
    WorkerKey,
    demand_of,
    is_free,
    obstacle,
    worker_key,
    worker_matches,
)
from server_stub.domain.workflow import OrderKey
from taskrouter_worker.terms import TaskStatus
from tests.domain.desk import Desk, pending, rule, target

WORKERS = 2_000
QUEUES = 20
REGIONS = 10


@dataclass
class Looked:
    """Whom the router has looked at, through any of the functions by which it judges."""

    workers: set[str] = field(default_factory=set[str])
    tasks: set[str] = field(default_factory=set[str])
    judgements: int = 0

    def clear(self) -> None:
        self.workers.clear()
        self.tasks.clear()
        self.judgements = 0

    def at(self, worker: Worker | None = None, task: Task | None = None) -> None:
        self.judgements += 1
        if worker is not None:
            self.workers.add(worker.sid)
        if task is not None:
            self.tasks.add(task.sid)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Looked:
    """Counts while the test runs; the judgements themselves are the router's."""
    seen = Looked()

    def counted_obstacle(
        demand: Demand, worker: Worker, *, is_member: bool, multi_task: bool
    ) -> Obstacle | None:
        seen.at(worker, demand.task)
        return obstacle(demand, worker, is_member=is_member, multi_task=multi_task)

    def counted_demand(task: Task) -> Demand:
        seen.at(task=task)
        return demand_of(task)

    def counted_free(channel: TaskChannel, worker: Worker, *, multi_task: bool) -> bool:
        seen.at(worker)
        return is_free(channel, worker, multi_task=multi_task)

    def counted_match(expression: Expression | None, worker: Worker) -> bool:
        seen.at(worker)
        return worker_matches(expression, worker)

    def counted_key(worker: Worker, channel: TaskChannel, order_by: tuple[OrderKey, ...]) -> WorkerKey:
        seen.at(worker)
        return worker_key(worker, channel, order_by)

    monkeypatch.setattr(dispatch, "obstacle", counted_obstacle)
    monkeypatch.setattr(dispatch, "demand_of", counted_demand)
    monkeypatch.setattr(dispatch, "is_free", counted_free)
    monkeypatch.setattr(dispatch, "worker_matches", counted_match)
    monkeypatch.setattr(dispatch, "worker_key", counted_key)
    return seen


def staffed(desk: Desk) -> list[Worker]:
    """Workers with one skill and one region each, spread evenly."""
    return [
        desk.worker(f"worker {number}", skill=f"s{number % QUEUES}", region=number // QUEUES % REGIONS)
        for number in range(WORKERS)
    ]


def test_a_task_that_anybody_can_take_is_routed_by_looking_at_a_few_workers(looked: Looked) -> None:
    desk = Desk()
    queue = desk.queue(target_workers="1==1")
    workflow = desk.workflow(rule(target(queue)))
    staffed(desk)
    desk.task(workflow)
    looked.clear()
    task = desk.task(workflow)
    assert task.status is TaskStatus.RESERVED
    assert 0 < len(looked.workers) <= 3


def test_a_task_that_asks_for_a_rare_worker_is_routed_without_looking_at_the_others(looked: Looked) -> None:
    desk = Desk()
    queue = desk.queue(target_workers="1==1")
    workflow = desk.workflow(rule(target(queue, expression="worker.region == task.region")))
    workers = staffed(desk)
    rare = desk.worker("the only one", region=REGIONS)
    desk.task(workflow, region=0)
    looked.clear()
    task = desk.task(workflow, region=REGIONS)
    assert pending(task).worker is rare
    assert 0 < len(looked.workers) <= 3
    looked.clear()
    nobody = desk.task(workflow, region=REGIONS + 1)
    assert nobody.status is TaskStatus.PENDING
    assert looked.workers.isdisjoint(worker.sid for worker in workers[1:])


def test_a_new_worker_is_asked_only_by_the_queues_that_it_may_suit(looked: Looked) -> None:
    desk = Desk()
    queues = [desk.queue(f"queue {number}", f"skill == 's{number}'") for number in range(200)]
    looked.clear()
    worker = desk.worker("Nina", skill="s7")
    assert [queue for queue in queues if desk.ws.workers_in(queue.sid) == [worker]] == [queues[7]]
    assert 0 < looked.judgements <= 10


def test_a_freed_worker_is_given_the_next_task_without_looking_at_all_that_wait(looked: Looked) -> None:
    desk = Desk()
    queues = [desk.queue(f"queue {number}", f"skill == 's{number}'") for number in range(QUEUES)]
    workflow = desk.workflow(
        *[
            rule(
                target(queue, expression="worker.region == task.region AND worker.level >= task.level"),
                expression=f"skill == 's{number}'",
            )
            for number, queue in enumerate(queues)
        ]
    )
    nina = desk.worker("Nina", skill="s3", region=4, level=2, capacity=1)
    first = desk.task(workflow, skill="s3", region=4, level=0)
    desk.answer(pending(first), "accepted")
    waiting = [
        desk.task(workflow, skill=f"s{number % QUEUES}", region=number // QUEUES % 20, level=number % 3)
        for number in range(WORKERS)
    ]
    looked.clear()
    desk.answer(first.live_reservations[0], "completed")
    (taken,) = [task for task in waiting if task.status is TaskStatus.RESERVED]
    assert pending(taken).worker is nina
    assert looked.workers == {nina.sid}
    assert 0 < len(looked.tasks) <= 10


def test_of_tasks_that_ask_the_same_a_freed_worker_is_compared_with_the_first_only(looked: Looked) -> None:
    desk = Desk()
    queue = desk.queue(target_workers="1==1")
    workflow = desk.workflow(rule(target(queue)))
    nina = desk.worker("Nina", capacity=1)
    first = desk.task(workflow)
    desk.answer(pending(first), "accepted")
    waiting = [desk.task(workflow, number=number) for number in range(WORKERS)]
    looked.clear()
    desk.answer(first.live_reservations[0], "completed")
    assert pending(nina).task is waiting[0]
    assert len(looked.tasks) <= 3
