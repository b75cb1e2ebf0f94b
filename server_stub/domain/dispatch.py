"""Who waits and who is free, kept so that the next reservation is found without looking at everyone.

Workers are grouped in *pools*: all workers that match one `target_workers` text, shared by the queues
that have it. Waiting tasks are grouped in *buckets*: tasks that ask exactly the same, so that one
worker will do for all of them or for none. A bucket is *blocked* while nobody will do. Only a change
of a worker can open it, so each change looks at the blocked buckets of that worker's pools and at
nothing else. The free workers of a pool stand in *rosters*, heaps in the order of choice.

Where an expression cannot hold unless two values are equal, such as ``worker.region == task.region``,
that value is a *mark*: rosters and buckets are kept by it, and pools by the value that their
expression fixes, as in ``skills HAS "cards"``. So what cannot match is never looked at.

All heaps are lazy: entries that no longer tell the truth are dropped when they reach the top.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import TypeAlias

from taskrouter_worker.terms import QueueOrder

from .expression import Array, Constant, Expression, Literal, Need, Path, keys_of
from .model import Activity, Task, TaskChannel, TaskQueue, Worker
from .routing import (
    Demand,
    KnownKey,
    Mark,
    Obstacle,
    ServingKey,
    WorkerKey,
    demand_of,
    is_free,
    known_keys,
    marks_of,
    meets_target,
    obstacle,
    serving_key,
    skips,
    worker_key,
    worker_matches,
    worker_resolver,
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


_Place: TypeAlias = tuple[Path, bool]
"""Where a value is, and whether it is one of an array's."""

_Entry: TypeAlias = tuple[WorkerKey, Worker]


@dataclass(slots=True, eq=False)
class _Roster:
    """A pool's free workers for one channel, in one order; if it has a place, one heap for each mark."""

    channel: TaskChannel
    order_by: tuple[OrderKey, ...]
    place: _Place | None
    # Keys of different workers differ: they end in the worker's number.
    heaps: dict[Mark | None, list[_Entry]] = field(default_factory=dict[Mark | None, list[_Entry]])
    pushed: int = 0  # since it was filled

    def marks(self, worker: Worker) -> tuple[Mark | None, ...]:
        """The heaps in which the worker belongs."""
        if self.place is None:
            return (None,)
        path, is_array = self.place
        return marks_of(worker, path, is_array=is_array)

    def push(self, worker: Worker) -> None:
        entry = (worker_key(worker, self.channel, self.order_by), worker)
        for mark in self.marks(worker):
            heapq.heappush(self.heaps.setdefault(mark, []), entry)
            self.pushed += 1


_BucketKey: TypeAlias = tuple[str, str, int, KnownKey | None, tuple[str, ...], frozenset[str]]
_Rank: TypeAlias = tuple[int, ServingKey]


@dataclass(slots=True, eq=False)
class _Bucket:
    """Waiting tasks that ask the same, in serving order."""

    key: _BucketKey
    sample: Demand  # keeps the target alive whose identity is in the key
    shelf: _ShelfKey | None  # None: it waits for its routing target
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


_RosterKey: TypeAlias = tuple[str, tuple[OrderKey, ...], _Place | None]
_ShelfKey: TypeAlias = tuple[str, KnownKey | Mark | None]
_Shelf: TypeAlias = dict[_BucketKey, _Bucket]


@dataclass(slots=True, eq=False)
class _Pool:
    """The workers that match one expression."""

    expression: Expression | None
    looks_at: Fact
    need: Need | None  # what it is kept by
    members: dict[str, Worker] = field(default_factory=dict[str, Worker])
    counted: dict[str, Activity] = field(
        default_factory=dict[str, Activity]
    )  # by worker: the activity it is counted in
    activities: Counter[Activity] = field(default_factory=Counter[Activity])
    rosters: dict[_RosterKey, _Roster] = field(default_factory=dict[_RosterKey, _Roster])
    buckets: dict[_ShelfKey, _Shelf] = field(default_factory=dict[_ShelfKey, _Shelf])
    places: Counter[_Place] = field(default_factory=Counter[_Place])  # of the marks of its shelves
    queue_sids: set[str] = field(default_factory=set[str])

    @property
    def is_restless(self) -> bool:
        """Whether workers come and go as they work."""
        return bool(self.looks_at & (Fact.LOAD | Fact.ACTIVITY))

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


def _fixed_need(expression: Expression | None) -> Need | None:
    """A need whose key is written in the expression, so that it is the same for every worker."""
    needs = expression.needs if expression else ()
    return next((need for need in needs if isinstance(need.key, Literal | Array)), None)


class _Pools:
    """All pools, and which of them a worker can belong to."""

    def __init__(self) -> None:
        self.by_text: dict[str | None, _Pool] = {}  # by the expression's canonical text
        self._anyone: dict[int, _Pool] = {}  # by identity: those that are kept by no value
        self._kept: dict[_Place, dict[Constant, dict[int, _Pool]]] = {}
        self._restless = 0  # how many look at more than attributes

    def add(self, text: str | None, pool: _Pool) -> None:
        self.by_text[text] = pool
        self._restless += pool.is_restless
        for shelf in self._shelves(pool):
            shelf[id(pool)] = pool

    def remove(self, pool: _Pool) -> None:
        self.by_text = {text: kept for text, kept in self.by_text.items() if kept is not pool}
        self._restless -= pool.is_restless
        for shelf in self._shelves(pool):
            del shelf[id(pool)]
        if pool.need is None:
            return
        place = (pool.need.path, pool.need.is_array)
        kept = {value: shelf for value, shelf in self._kept[place].items() if shelf}
        if kept:
            self._kept[place] = kept
        else:
            del self._kept[place]

    def to_ask(self, worker: Worker, facts: Fact) -> dict[int, _Pool]:
        """The pools that may have to take the worker in once these facts have changed, by identity."""
        if Fact.ATTRIBUTES not in facts and not self._restless:
            return {}
        found = dict(self._anyone)
        resolve = worker_resolver(worker)
        for (path, is_array), shelves in self._kept.items():
            for value in keys_of(resolve(path), is_array=is_array):
                found |= shelves.get(value, {})
        return found

    def _shelves(self, pool: _Pool) -> list[dict[int, _Pool]]:
        need = pool.need
        if need is None:
            return [self._anyone]
        values = need.key.items if isinstance(need.key, Array) else (need.key,)
        by_value = self._kept.setdefault((need.path, need.is_array), {})
        constants = {value.value for value in values if isinstance(value, Literal)}
        return [by_value.setdefault(constant, {}) for constant in constants]


class Dispatcher:
    """The waiting tasks and the workers, indexed for `next_decision`."""

    def __init__(self, workers: Mapping[str, Worker], *, multi_task: bool, first: QueueOrder) -> None:
        self._workers = workers
        self._names: dict[str, Worker] = {}
        self._multi_task = multi_task
        self._first = first
        self._pools = _Pools()
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
        pool = self._pools.by_text.get(text)
        if pool is None:
            pool = _Pool(queue.expression, _looks_at(queue.expression), _fixed_need(queue.expression))
            self._pools.add(text, pool)
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
            self._pools.remove(pool)
            for worker_sid in pool.members:
                del self._pools_of[worker_sid][id(pool)]

    def channel_changed(self, channel: TaskChannel) -> None:
        """The channel's rule for choosing workers changed, or the channel is gone."""
        for pool in self._pools.by_text.values():
            pool.rosters = {key: kept for key, kept in pool.rosters.items() if kept.channel is not channel}

    def set_multi_task(self, enabled: bool) -> None:
        """Switch between one reservation per worker and capacity by channel."""
        self._multi_task = enabled
        for pool in self._pools.by_text.values():
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

    @property
    def asking(self) -> tuple[str, ...]:
        """The tasks whose present step is still to be asked whether it skips."""
        return tuple(sorted(self._fresh))

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
        mark = demand.mark
        roster = self._roster(pool, demand.channel, demand.order_by, None if mark is None else mark[:2])
        heap = roster.heaps.get(mark, [])
        chosen: list[Worker] = []
        kept: list[_Entry] = []
        while heap and len(chosen) < demand.queue.max_reserved_workers:
            entry = heapq.heappop(heap)
            worker = entry[1]
            if (kept and kept[-1] == entry) or not self._is_true(entry, pool, roster, mark):
                continue
            kept.append(entry)
            if self._obstacle(demand, worker) is None:
                chosen.append(worker)
        for entry in kept:
            heapq.heappush(heap, entry)
        return tuple(chosen)

    def _is_true(self, entry: _Entry, pool: _Pool, roster: _Roster, mark: Mark | None) -> bool:
        key, worker = entry
        return (
            worker.sid in pool.members
            and key == worker_key(worker, roster.channel, roster.order_by)
            and is_free(roster.channel, worker, multi_task=self._multi_task)
            and (mark is None or mark in roster.marks(worker))
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
            present = self._pools_of[worker_sid]
            for pool in (present | self._pools.to_ask(worker, facts)).values():
                if facts & pool.looks_at or (Fact.ATTRIBUTES in facts and worker_sid not in pool.members):
                    self._update_membership(pool, worker)
            for pool in present.values():
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
                if roster.pushed > len(pool.members) + 64:
                    self._fill(roster, pool)
        if not pool.buckets:
            return
        marks = [mark for path, is_array in pool.places for mark in marks_of(worker, path, is_array=is_array)]
        keys = (None, *known_keys(worker), *marks)
        for held in worker.channels.values():
            if not is_free(held.task_channel, worker, multi_task=self._multi_task):
                continue
            for key in keys:
                for bucket in pool.buckets.get((held.task_channel.sid, key), {}).values():
                    if bucket.is_blocked and self._obstacle(demand_of(bucket.head()), worker) is None:
                        self._open(bucket)

    def _roster(
        self, pool: _Pool, channel: TaskChannel, order_by: tuple[OrderKey, ...], place: _Place | None
    ) -> _Roster:
        key = (channel.sid, order_by, place)
        roster = pool.rosters.get(key)
        if roster is None:
            roster = pool.rosters[key] = _Roster(channel, order_by, place)
            self._fill(roster, pool)
        return roster

    def _fill(self, roster: _Roster, pool: _Pool) -> None:
        roster.heaps.clear()
        for worker in pool.members.values():
            if is_free(roster.channel, worker, multi_task=self._multi_task):
                roster.push(worker)
        roster.pushed = 0

    def _bucket_for(self, demand: Demand) -> _Bucket:
        holders, queue_sid = demand.holders, demand.queue.sid if demand.queue else ""
        if demand.routing_target is not None:
            switch = int(demand.ignore_capacity)
            # The queue, too: it does not matter to the worker, but the tasks of one bucket are in one queue.
            key: _BucketKey = (
                demand.routing_target,
                demand.channel.sid,
                switch,
                None,
                (queue_sid,),
                holders,
            )
        else:
            place = 0 if demand.is_plain else id(demand.target)
            key = (queue_sid, demand.channel.sid, place, demand.known, demand.task_values, holders)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = self._new_bucket(key, demand)
        return bucket

    def _new_bucket(self, key: _BucketKey, demand: Demand) -> _Bucket:
        if demand.routing_target is not None or demand.queue is None:
            bucket = _Bucket(key, demand, None)
            if demand.routing_target is not None:
                self._direct.setdefault(demand.routing_target, {})[key] = bucket
            return bucket
        mark = demand.mark if demand.known is None else None
        # A mark has three parts and a known worker two: they are never taken for each other.
        shelf_key = (demand.channel.sid, demand.known or mark)
        bucket = _Bucket(key, demand, shelf_key)
        pool = self._pool_of[demand.queue.sid]
        if mark is not None and shelf_key not in pool.buckets:
            pool.places[mark[:2]] += 1
        pool.buckets.setdefault(shelf_key, {})[key] = bucket
        return bucket

    def _drop(self, bucket: _Bucket) -> None:
        del self._buckets[bucket.key]
        demand = bucket.sample
        if demand.routing_target is not None:
            waiting = self._direct[demand.routing_target]
            del waiting[bucket.key]
            if not waiting:
                del self._direct[demand.routing_target]
        elif demand.queue is not None and bucket.shelf is not None:
            pool = self._pool_of[demand.queue.sid]
            shelf = pool.buckets[bucket.shelf]
            del shelf[bucket.key]
            if shelf:
                return
            del pool.buckets[bucket.shelf]
            mark = bucket.shelf[1]
            if mark is not None and len(mark) == 3:
                place = mark[:2]
                pool.places[place] -= 1
                if not pool.places[place]:
                    del pool.places[place]

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
