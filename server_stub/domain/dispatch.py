"""Who waits and who is free, kept so that the next reservation is found without looking at everyone.

Workers are grouped in *pools*: all workers that match one `target_workers` text, shared by the queues
that have it. Waiting tasks are grouped in *buckets*: tasks that ask exactly the same, so that one
worker will do for all of them or for none. A bucket is *blocked* while nobody will do. Only a change
of a worker can open it, so each change looks at the blocked buckets of that worker's pools and at
nothing else. The free workers of a pool stand in *rosters*, heaps in the order of choice.

All heaps are lazy: entries that no longer tell the truth are dropped when they reach the top.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import TypeAlias

from taskrouter_worker.terms import QueueOrder

from .expression import Expression
from .model import Activity, Task, TaskChannel, TaskQueue, Worker
from .routing import (
    Demand,
    KnownKey,
    Obstacle,
    ServingKey,
    WorkerKey,
    demand_of,
    is_free,
    known_keys,
    meets_target,
    obstacle,
    serving_key,
    skips,
    worker_key,
    worker_matches,
)
from .workflow import KnownBy, OrderKey

__all__ = ["Decision", "Dispatcher", "Fact"]


class Fact(Flag):
    """What changed about a worker, or what an expression looks at."""

    LOAD = auto()  # reservations, capacity or switch of a channel
    ACTIVITY = auto()
    ATTRIBUTES = auto()  # the name as well


@dataclass(frozen=True, slots=True)
class Decision:
    """The next move for a waiting task: reserve these workers, or, with none, skip its step."""

    task: Task
    workers: tuple[Worker, ...]


@dataclass(slots=True, eq=False)
class _Roster:
    """A pool's free workers for one channel, in one order."""

    channel: TaskChannel
    order_by: tuple[OrderKey, ...]
    # Keys of different workers differ: they end in the worker's number.
    heap: list[tuple[WorkerKey, Worker]] = field(default_factory=list[tuple[WorkerKey, Worker]])

    def push(self, worker: Worker) -> None:
        heapq.heappush(self.heap, (worker_key(worker, self.channel, self.order_by), worker))


_BucketKey: TypeAlias = tuple[str, str, int, KnownKey | None, tuple[str, ...], frozenset[str]]
_Rank: TypeAlias = tuple[int, ServingKey]


@dataclass(slots=True, eq=False)
class _Bucket:
    """Waiting tasks that ask the same, in serving order."""

    key: _BucketKey
    sample: Demand  # keeps the target alive whose identity is in the key
    tasks: dict[str, ServingKey] = field(default_factory=dict[str, ServingKey])
    heap: list[tuple[ServingKey, Task]] = field(default_factory=list[tuple[ServingKey, Task]])
    is_blocked: bool = False
    entry: _Rank | None = None  # its one valid entry in the dispatcher's heap

    def head(self) -> Task:
        while True:
            key, task = self.heap[0]
            if self.tasks.get(task.sid) == key:
                return task
            heapq.heappop(self.heap)


_RosterKey: TypeAlias = tuple[str, tuple[OrderKey, ...]]
_ShelfKey: TypeAlias = tuple[str, KnownKey | None]
_Shelf: TypeAlias = dict[_BucketKey, _Bucket]


@dataclass(slots=True, eq=False)
class _Pool:
    """The workers that match one expression."""

    expression: Expression | None
    looks_at: Fact
    members: dict[str, Worker] = field(default_factory=dict[str, Worker])
    counted: dict[str, Activity] = field(
        default_factory=dict[str, Activity]
    )  # by worker: the activity it is counted in
    activities: Counter[Activity] = field(default_factory=Counter[Activity])
    rosters: dict[_RosterKey, _Roster] = field(default_factory=dict[_RosterKey, _Roster])
    buckets: dict[_ShelfKey, _Shelf] = field(default_factory=dict[_ShelfKey, _Shelf])
    queue_sids: set[str] = field(default_factory=set[str])

    def count(self, worker: Worker, activity: Activity | None) -> None:
        """Count the worker in `activity`, or nowhere, and no longer where it was."""
        previous = self.counted.pop(worker.sid, None)
        if previous is not None:
            self.activities[previous] -= 1
        if activity is not None:
            self.counted[worker.sid] = activity
            self.activities[activity] += 1


def _looks_at(expression: Expression | None) -> Fact:
    facts = Fact(0)
    if expression is None:
        return facts
    for path in expression.references:
        if path[:2] == ("worker", "channel"):
            facts |= Fact.LOAD
        elif {"activity_sid", "activity_name"}.intersection(path[:2]):
            facts |= Fact.ACTIVITY
        # Always: an attribute called "worker" changes what the prefix means.
        facts |= Fact.ATTRIBUTES
    return facts


class Dispatcher:
    """The waiting tasks and the workers, indexed for `next_decision`."""

    def __init__(self, workers: Mapping[str, Worker], *, multi_task: bool, first: QueueOrder) -> None:
        self._workers = workers
        self._names: dict[str, Worker] = {}
        self._multi_task = multi_task
        self._first = first
        self._pools: dict[str | None, _Pool] = {}  # by the expression's canonical text
        self._pool_of: dict[str, _Pool] = {}  # by task queue SID
        self._pools_of: dict[str, dict[int, _Pool]] = {}  # by worker SID, then by identity
        self._changed: dict[str, Fact] = {}  # by worker SID: not yet looked at
        self._bucket_of: dict[str, _Bucket] = {}  # by task SID
        self._tasks_in: dict[str, dict[str, Task]] = {}  # by task queue SID
        self._buckets: dict[_BucketKey, _Bucket] = {}
        self._direct: dict[str, dict[_BucketKey, _Bucket]] = {}  # by the routing target's SID
        self._fresh: set[str] = set()  # tasks whose present step's skip_if is still to be asked
        self._ready: list[tuple[_Rank, int, _Bucket, Task | None]] = []
        self._pushes = 0  # makes the heap's entries comparable

    # -------------------------------------------------------- workers

    def worker_changed(self, worker: Worker, facts: Fact) -> None:
        """Note that something about the worker changed; it is looked at before the next decision."""
        self._changed[worker.sid] = self._changed.get(worker.sid, Fact(0)) | facts

    def add_worker(self, worker: Worker) -> None:
        """Take in a new worker."""
        self._names[worker.friendly_name.casefold()] = worker
        self._pools_of[worker.sid] = {}
        self.worker_changed(worker, Fact.ATTRIBUTES | Fact.ACTIVITY | Fact.LOAD)

    def rename_worker(self, worker: Worker, previous: str) -> None:
        """The worker has a new name: targets that know workers by name look for that one."""
        self._names.pop(previous.casefold(), None)
        self._names[worker.friendly_name.casefold()] = worker
        self.worker_changed(worker, Fact.ATTRIBUTES)

    def remove_worker(self, worker: Worker) -> None:
        """Forget a deleted worker."""
        self._names.pop(worker.friendly_name.casefold(), None)
        self._changed.pop(worker.sid, None)
        for pool in self._pools_of.pop(worker.sid).values():
            pool.members.pop(worker.sid, None)
            pool.count(worker, None)

    def worker_named(self, name: str) -> Worker | None:
        """The worker of that name, whatever the case of its letters."""
        return self._names.get(name.casefold())

    def is_member(self, queue: TaskQueue, worker: Worker) -> bool:
        """Whether the worker matches the queue's expression."""
        self._look_at_changes()
        return worker.sid in self._pool_of[queue.sid].members

    def members(self, queue: TaskQueue) -> list[Worker]:
        """The workers that match the queue's expression, whatever their activity."""
        self._look_at_changes()
        return sorted(self._pool_of[queue.sid].members.values(), key=lambda worker: worker.number)

    def activity_counts(self, queue: TaskQueue) -> Mapping[Activity, int]:
        """How many of the queue's members are in each activity."""
        self._look_at_changes()
        return self._pool_of[queue.sid].activities

    # -------------------------------------------------------- queues and switches

    def set_queue(self, queue: TaskQueue) -> None:
        """Take in a new queue, or a new expression or order of a known one."""
        waiting = list(self._tasks_in.get(queue.sid, {}).values())
        fresh = {task.sid for task in waiting if task.sid in self._fresh}
        for task in waiting:
            self.remove_task(task)
        self.remove_queue(queue)
        text = None if queue.expression is None else str(queue.expression)
        pool = self._pools.get(text)
        if pool is None:
            pool = self._pools[text] = _Pool(queue.expression, _looks_at(queue.expression))
            self._look_at_changes()
            for worker in self._workers.values():
                if worker.sid in self._pools_of:
                    self._update_membership(pool, worker)
        pool.queue_sids.add(queue.sid)
        self._pool_of[queue.sid] = pool
        for task in waiting:
            self.add_task(task, fresh=task.sid in fresh)

    def remove_queue(self, queue: TaskQueue) -> None:
        """Forget a queue in which no task waits."""
        pool = self._pool_of.pop(queue.sid, None)
        if pool is None:
            return
        pool.queue_sids.discard(queue.sid)
        if not pool.queue_sids:
            self._pools = {text: kept for text, kept in self._pools.items() if kept is not pool}
            for worker_sid in pool.members:
                del self._pools_of[worker_sid][id(pool)]

    def channel_changed(self, channel: TaskChannel) -> None:
        """The channel's rule for choosing workers changed, or the channel is gone."""
        for pool in self._pools.values():
            pool.rosters = {key: kept for key, kept in pool.rosters.items() if kept.channel is not channel}

    def set_multi_task(self, enabled: bool) -> None:
        """Switch between one reservation per worker and capacity by channel."""
        self._multi_task = enabled
        for pool in self._pools.values():
            pool.rosters.clear()
        for bucket in self._buckets.values():
            self._open(bucket)

    def set_first(self, first: QueueOrder) -> None:
        """Serve the queues of this task order before the others."""
        self._first = first
        self._ready.clear()
        for bucket in self._buckets.values():
            bucket.entry = None
            if not bucket.is_blocked:
                self._enqueue(bucket)
        for task_sid in self._fresh:
            bucket = self._bucket_of[task_sid]
            task = next(task for _, task in bucket.heap if task.sid == task_sid)
            self._push((self._group(bucket), bucket.tasks[task_sid]), bucket, task)

    # -------------------------------------------------------- tasks

    def add_task(self, task: Task, *, fresh: bool) -> None:
        """Let a task wait at its present place; `fresh` if it just entered its step."""
        demand = demand_of(task)
        bucket = self._bucket_for(demand)
        key = serving_key(task)
        bucket.tasks[task.sid] = key
        heapq.heappush(bucket.heap, (key, task))
        self._bucket_of[task.sid] = bucket
        if task.queue is not None:
            self._tasks_in.setdefault(task.queue.sid, {})[task.sid] = task
        if not bucket.is_blocked:
            self._enqueue(bucket)
        if fresh and demand.target is not None and demand.target.skip_if is not None:
            self._fresh.add(task.sid)
            self._push((self._group(bucket), key), bucket, task)

    def remove_task(self, task: Task) -> bool:
        """Let a task wait no longer; False if it did not wait."""
        bucket = self._bucket_of.pop(task.sid, None)
        if bucket is None:
            return False
        self._fresh.discard(task.sid)
        del bucket.tasks[task.sid]
        queue = bucket.sample.queue
        if queue is not None:
            del self._tasks_in[queue.sid][task.sid]
            if not self._tasks_in[queue.sid]:
                del self._tasks_in[queue.sid]
        if not bucket.tasks:
            self._drop(bucket)
        elif len(bucket.heap) > 2 * len(bucket.tasks) + 64:
            bucket.heap = [item for item in bucket.heap if bucket.tasks.get(item[1].sid) == item[0]]
            heapq.heapify(bucket.heap)
        return True

    def is_waiting(self, task: Task) -> bool:
        """Whether the task waits for a worker."""
        return task.sid in self._bucket_of

    def is_fresh(self, task: Task) -> bool:
        """Whether the task's present step is still to be asked whether it skips."""
        return task.sid in self._fresh

    # -------------------------------------------------------- decisions

    def next_decision(self) -> Decision | None:
        """The first waiting task, in serving order, that can be reserved or must skip its step.

        None when nothing can be done until something changes.
        """
        self._look_at_changes()
        while self._ready:
            rank, _, bucket, fresh_task = self._ready[0]
            if fresh_task is None:
                decision = self._decide(bucket, rank)
            else:
                decision = self._decide_fresh(bucket, rank, fresh_task)
            if decision is not None:
                return decision
        return None

    def peek(self) -> Decision | None:
        """What `next_decision` will say, without anything being settled by the question."""
        fresh = set(self._fresh)
        decision = self.next_decision()
        for task_sid in fresh - self._fresh:  # asked whether they skip: that question is still the router's
            bucket = self._bucket_of[task_sid]
            task = next(task for _, task in bucket.heap if task.sid == task_sid)
            self._fresh.add(task_sid)
            self._push((self._group(bucket), bucket.tasks[task_sid]), bucket, task)
        return decision

    def ahead_of(self, task: Task) -> int:
        """How many waiting tasks of its queue are served before it."""
        bucket = self._bucket_of.get(task.sid)
        if bucket is None or task.queue is None:
            return 0
        key = bucket.tasks[task.sid]
        return sum(self._bucket_of[sid].tasks[sid] < key for sid in self._tasks_in.get(task.queue.sid, ()))

    def known_worker(self, demand: Demand) -> Worker | None:
        """The one worker that a demand's target or routing target names; None if it names nobody."""
        return self._named_worker(demand)

    def step_counts(self, task: Task) -> Mapping[Activity, int]:
        """How many workers are in each activity, of those that `skip_if` of the task's step counts."""
        self._look_at_changes()
        return self._step_counts(demand_of(task))

    def obstacle(self, task: Task, worker: Worker) -> Obstacle | None:
        """Why the worker cannot be reserved for the task: the router's own judgement."""
        self._look_at_changes()
        return self._obstacle(demand_of(task), worker)

    def obstacles(self, task: Task) -> dict[str, Obstacle | None]:
        """The same for every worker, by SID."""
        self._look_at_changes()
        demand = demand_of(task)
        return {sid: self._obstacle(demand, worker) for sid, worker in self._workers.items()}

    def _decide(self, bucket: _Bucket, rank: _Rank) -> Decision | None:
        if bucket.entry != rank or bucket.is_blocked or not bucket.tasks:
            heapq.heappop(self._ready)
            return None
        head = bucket.head()
        if (self._group(bucket), bucket.tasks[head.sid]) != rank:
            heapq.heappop(self._ready)
            bucket.entry = None
            self._enqueue(bucket)
            return None
        workers = self._choose(demand_of(head))
        if workers:
            return Decision(head, workers)
        heapq.heappop(self._ready)
        self._block(bucket)
        return None

    def _decide_fresh(self, bucket: _Bucket, rank: _Rank, task: Task) -> Decision | None:
        if (
            task.sid not in self._fresh
            or self._bucket_of.get(task.sid) is not bucket
            or (self._group(bucket), bucket.tasks[task.sid]) != rank
        ):
            heapq.heappop(self._ready)
            return None
        demand = demand_of(task)
        workers = () if bucket.is_blocked else self._choose(demand)
        if workers:
            return Decision(task, workers)
        self._block(bucket)
        heapq.heappop(self._ready)
        self._fresh.discard(task.sid)
        condition = demand.target.skip_if if demand.target else None
        if condition is not None and skips(condition, task, lambda: self._step_counts(demand)):
            return Decision(task, ())
        return None

    def _choose(self, demand: Demand) -> tuple[Worker, ...]:
        """The workers to reserve, best first; empty when nobody will do."""
        if demand.routing_target is not None or demand.known is not None:
            only = self._named_worker(demand)
            return () if only is None or self._obstacle(demand, only) else (only,)
        if demand.queue is None:
            return ()
        pool = self._pool_of[demand.queue.sid]
        roster = self._roster(pool, demand.channel, demand.order_by)
        chosen: list[Worker] = []
        kept: list[tuple[WorkerKey, Worker]] = []
        while roster.heap and len(chosen) < demand.queue.max_reserved_workers:
            entry = heapq.heappop(roster.heap)
            worker = entry[1]
            if (kept and kept[-1] == entry) or not self._is_true(entry, pool, roster):
                continue
            kept.append(entry)
            if self._obstacle(demand, worker) is None:
                chosen.append(worker)
        for entry in kept:
            heapq.heappush(roster.heap, entry)
        return tuple(chosen)

    def _is_true(self, entry: tuple[WorkerKey, Worker], pool: _Pool, roster: _Roster) -> bool:
        key, worker = entry
        return (
            worker.sid in pool.members
            and key == worker_key(worker, roster.channel, roster.order_by)
            and is_free(roster.channel, worker, multi_task=self._multi_task)
        )

    def _named_worker(self, demand: Demand) -> Worker | None:
        if demand.routing_target is not None:
            return self._workers.get(demand.routing_target)
        by, value = demand.known or (KnownBy.SID, None)
        if value is None:
            return None
        return self._workers.get(value) if by is KnownBy.SID else self._names.get(value)

    def _obstacle(self, demand: Demand, worker: Worker) -> Obstacle | None:
        is_member = demand.queue is not None and worker.sid in self._pool_of[demand.queue.sid].members
        return obstacle(demand, worker, is_member=is_member, multi_task=self._multi_task)

    def _step_counts(self, demand: Demand) -> Mapping[Activity, int]:
        """How many workers of the step are in each activity: of the queue, and right for the target."""
        if demand.queue is None:
            return {}
        pool = self._pool_of[demand.queue.sid]
        if demand.known is None and (demand.target is None or demand.target.expression is None):
            return pool.activities
        candidates: Iterable[Worker] = pool.members.values()
        if demand.known is not None:
            only = self._named_worker(demand)
            candidates = [only] if only is not None and only.sid in pool.members else []
        return Counter(worker.activity for worker in candidates if meets_target(demand, worker) is None)

    # -------------------------------------------------------- upkeep

    def _look_at_changes(self) -> None:
        while self._changed:
            worker_sid = next(iter(self._changed))
            facts = self._changed.pop(worker_sid)
            worker = self._workers[worker_sid]
            for pool in self._pools.values():
                if facts & pool.looks_at or (Fact.ATTRIBUTES in facts and worker_sid not in pool.members):
                    self._update_membership(pool, worker)
            for pool in self._pools_of[worker_sid].values():
                if Fact.ACTIVITY in facts:
                    pool.count(worker, worker.activity)
                self._offer(pool, worker)
            for bucket in self._direct.get(worker_sid, {}).values():
                if bucket.is_blocked and self._obstacle(demand_of(bucket.head()), worker) is None:
                    self._open(bucket)

    def _update_membership(self, pool: _Pool, worker: Worker) -> None:
        belongs = worker_matches(pool.expression, worker)
        if belongs == (worker.sid in pool.members):
            return
        if belongs:
            pool.members[worker.sid] = worker
            pool.count(worker, worker.activity)
            self._pools_of[worker.sid][id(pool)] = pool
        else:
            del pool.members[worker.sid]
            pool.count(worker, None)
            del self._pools_of[worker.sid][id(pool)]

    def _offer(self, pool: _Pool, worker: Worker) -> None:
        """Put a changed worker into its pool's rosters and open the buckets that it suits."""
        for roster in pool.rosters.values():
            if is_free(roster.channel, worker, multi_task=self._multi_task):
                roster.push(worker)
                if len(roster.heap) > 2 * len(pool.members) + 64:
                    self._fill(roster, pool)
        if not pool.buckets:
            return
        keys: tuple[KnownKey | None, ...] = (None, *known_keys(worker))
        for held in worker.channels.values():
            if not is_free(held.task_channel, worker, multi_task=self._multi_task):
                continue
            for known in keys:
                for bucket in pool.buckets.get((held.task_channel.sid, known), {}).values():
                    if bucket.is_blocked and self._obstacle(demand_of(bucket.head()), worker) is None:
                        self._open(bucket)

    def _roster(self, pool: _Pool, channel: TaskChannel, order_by: tuple[OrderKey, ...]) -> _Roster:
        key = (channel.sid, order_by)
        roster = pool.rosters.get(key)
        if roster is None:
            roster = pool.rosters[key] = _Roster(channel, order_by)
            self._fill(roster, pool)
        return roster

    def _fill(self, roster: _Roster, pool: _Pool) -> None:
        roster.heap = [
            (worker_key(worker, roster.channel, roster.order_by), worker)
            for worker in pool.members.values()
            if is_free(roster.channel, worker, multi_task=self._multi_task)
        ]
        heapq.heapify(roster.heap)

    def _bucket_for(self, demand: Demand) -> _Bucket:
        holders = demand.holders
        if demand.routing_target is not None:
            switch = int(demand.ignore_capacity)
            key: _BucketKey = (demand.routing_target, demand.channel.sid, switch, None, (), holders)
        else:
            queue_sid = demand.queue.sid if demand.queue else ""
            place = 0 if demand.is_plain else id(demand.target)
            key = (queue_sid, demand.channel.sid, place, demand.known, demand.task_values, holders)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(key, demand)
            for shelf in self._shelves(bucket):
                shelf[key] = bucket
        return bucket

    def _shelves(self, bucket: _Bucket) -> Iterator[dict[_BucketKey, _Bucket]]:
        demand = bucket.sample
        if demand.routing_target is not None:
            yield self._direct.setdefault(demand.routing_target, {})
        elif demand.queue is not None:
            pool = self._pool_of[demand.queue.sid]
            yield pool.buckets.setdefault((demand.channel.sid, demand.known), {})

    def _drop(self, bucket: _Bucket) -> None:
        del self._buckets[bucket.key]
        demand = bucket.sample
        for shelf in self._shelves(bucket):
            del shelf[bucket.key]
            if not shelf and demand.routing_target is not None:
                del self._direct[demand.routing_target]
            elif not shelf and demand.queue is not None:
                del self._pool_of[demand.queue.sid].buckets[demand.channel.sid, demand.known]

    def _group(self, bucket: _Bucket) -> int:
        queue = bucket.sample.queue
        order = QueueOrder.FIFO if queue is None else queue.task_order
        return 0 if order is self._first else 1

    def _block(self, bucket: _Bucket) -> None:
        bucket.is_blocked = True
        bucket.entry = None

    def _open(self, bucket: _Bucket) -> None:
        bucket.is_blocked = False
        self._enqueue(bucket)

    def _enqueue(self, bucket: _Bucket) -> None:
        """Make sure that the bucket's head has its turn."""
        rank = (self._group(bucket), bucket.tasks[bucket.head().sid])
        if bucket.entry is None or rank < bucket.entry:
            bucket.entry = rank
            self._push(rank, bucket, None)

    def _push(self, rank: _Rank, bucket: _Bucket, task: Task | None) -> None:
        self._pushes += 1
        heapq.heappush(self._ready, (rank, self._pushes, bucket, task))
