"""Tasks and workers that are kept by the values they must share are found as if all were looked at."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.domain.expression import keys_of, parse
from server_stub.domain.routing import worker_matches
from taskrouter_worker.terms import TaskStatus, WorkspaceTemplate
from tests.domain.desk import Desk, pending, rule, target
from tests.domain.test_invariants import NaiveDesk

CONDITIONS = [
    "worker.region == task.region",
    "task.region == worker.region",
    "worker.skills HAS task.skill",
    "task.skill IN worker.skills AND worker.region >= task.region",
    "worker.region == task.region AND task.skill IN worker.skills",
    "worker.region == 1",
    "worker.region == NULL",
    "worker.skills HAS 'b' AND worker.region == task.region",
    "worker.region IN [0, 2]",
    "worker.region == task.region OR worker.skills HAS task.skill",
    "NOT worker.region == task.region",
    "worker.region == worker.level",
    "worker.channel.chat.assigned_tasks == task.region",
]

BELONGING = [
    "1==1",
    "region == 1",
    "2 == region",
    "skills HAS 'b'",
    "'a' IN worker.skills",
    "region IN [0, 1] AND skills HAS 'a'",
    "region == NULL",
    "activity_name == 'Available' AND region != 2",
    "activity_name IN ['Available', 'Unavailable']",
    "region == 1 OR region == 2",
]

regions = st.sampled_from([0, 1, 2, 1.0, True, "1", None, [1]])
skills = st.sampled_from([[], ["a"], ["b", "a", "b"], ["a", 1, None, ["b"]], "ab", None])
skill = st.sampled_from(["a", "b", 1, None, ["a"]])
index = st.integers(0, 20)

Move: TypeAlias = tuple[str, int, object, object]

moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["hire", "teach"]), index, regions, skills),
        st.tuples(st.sampled_from(["enqueue", "change"]), index, regions, skill),
        st.tuples(st.sampled_from(["accept", "complete", "leave", "return"]), index, st.none(), st.none()),
    ),
    min_size=5,
    max_size=30,
)


@given(
    conditions=st.tuples(st.sampled_from(CONDITIONS), st.sampled_from(CONDITIONS)),
    belonging=st.tuples(st.sampled_from(BELONGING), st.sampled_from(BELONGING)),
    ordered=st.booleans(),
    moves=moves,
)
def test_every_round_is_the_one_that_looking_at_all_workers_and_tasks_gives(
    conditions: tuple[str, str], belonging: tuple[str, str], ordered: bool, moves: list[Move]
) -> None:
    desk = NaiveDesk(template=WorkspaceTemplate.NONE)
    extra = {"order_by": "worker.region DESC"} if ordered else {}
    queues = [desk.queue(f"queue {number}", belonging[number]) for number in range(2)]
    rules = [
        rule(target(queues[number], expression=conditions[number], **extra), expression=f"number == {number}")
        for number in range(2)
    ]
    workflow = desk.workflow(*rules)
    for number in range(2):
        desk.worker(f"first {number}", region=number, skills=["a", "b"], level=1)
    for move in moves:
        carry_out(desk, workflow.sid, move)
        for queue in queues:
            expected = [w for w in desk.ws.workers.values() if worker_matches(queue.expression, w)]
            assert desk.ws.workers_in(queue.sid) == expected
        for task in desk.ws.tasks.values():
            if task.status is TaskStatus.PENDING:
                assert not any(desk.suits(task, worker) for worker in desk.ws.workers.values())


def carry_out(desk: Desk, workflow_sid: str, move: Move) -> None:
    """One change; those that pick something do nothing where there is nothing to pick."""
    kind, number, region, other = move
    ws = desk.ws
    workers = list(ws.workers.values())
    worker = workers[number % len(workers)]
    match kind:
        case "hire":
            desk.worker(f"worker {len(workers)}", region=region, skills=other, level=number % 3)
        case "teach":
            attributes = json.dumps({"region": region, "skills": other, "level": number % 3})
            ws.update_worker(worker.sid, attributes=attributes)
        case "enqueue":
            attributes = json.dumps({"number": number % 2, "region": region, "skill": other})
            ws.create_task(workflow_sid=workflow_sid, attributes=attributes, task_channel="chat")
        case "change":
            waiting = [task for task in ws.tasks.values() if task.status is TaskStatus.PENDING]
            if waiting:
                attributes = json.dumps({"number": number % 2, "region": region, "skill": other})
                ws.update_task(waiting[number % len(waiting)].sid, attributes=attributes)
        case "leave" | "return":
            ws.update_worker(
                worker.sid, activity_sid=(desk.available if kind == "return" else desk.unavailable).sid
            )
        case _:
            before = "pending" if kind == "accept" else "accepted"
            found = [r for r in ws.reservations.values() if r.status == before]
            if found:
                status = "accepted" if kind == "accept" else "completed"
                ws.update_reservation(found[number % len(found)].sid, status=status)
    desk.settle()


@pytest.mark.parametrize(
    ("condition", "attributes"),
    [
        ("worker.region == task.region", {"region": 7}),
        ("task.region == worker.region", {"region": 7.0}),
        ("worker.skills HAS task.skill", {"skill": "b"}),
        ("task.skill IN worker.skills", {"skill": "b"}),
        ("worker.region == 7", {}),
        ("worker.language == NULL", {}),
        ("worker.language == task.language", {}),
    ],
)
def test_a_freed_worker_takes_the_task_that_waits_for_one_of_its_values(
    condition: str, attributes: dict[str, Any]
) -> None:
    desk = Desk()
    queue = desk.queue()
    workflow = desk.workflow(
        rule(target(queue), expression="any == 1"), rule(target(queue, expression=condition))
    )
    nina = desk.worker("Nina", capacity=1, region=7, skills=["a", "b"])
    first = desk.task(workflow, any=1)
    desk.answer(pending(first), "accepted")
    waiting = desk.task(workflow, **attributes)
    assert waiting.status is TaskStatus.PENDING
    desk.answer(pending(first), "completed")
    assert pending(waiting).worker is nina


def test_a_worker_that_learns_takes_the_tasks_of_its_new_value_and_no_more_of_the_old() -> None:
    desk = Desk()
    queue = desk.queue()
    workflow = desk.workflow(rule(target(queue, expression="worker.region == task.region")))
    nina = desk.worker("Nina", region=1)
    south = desk.task(workflow, region=2)
    assert south.status is TaskStatus.PENDING
    desk.ws.update_worker(nina.sid, attributes='{"region": 2}')
    desk.settle()
    assert pending(south).worker is nina
    desk.answer(pending(south), "rejected", activity=desk.unavailable)
    desk.ws.update_task(south.sid, attributes='{"region": 3}')
    desk.move(nina, desk.available)
    assert desk.task(workflow, region=1).status is TaskStatus.PENDING
    assert desk.task(workflow, region=2).status is TaskStatus.RESERVED


def test_a_worker_that_comes_back_joins_the_queues_that_ask_for_its_activity_and_skill() -> None:
    desk = Desk()
    queue = desk.queue(target_workers="skill == 'a' AND activity_name == 'Available'")
    nina = desk.worker("Nina", skill="a")
    desk.move(nina, desk.unavailable)
    assert desk.ws.workers_in(queue.sid) == []
    desk.move(nina, desk.available)
    assert desk.ws.workers_in(queue.sid) == [nina]


def test_needs_are_the_parts_without_which_the_whole_cannot_hold() -> None:
    found = parse(
        "a == 1 AND (b HAS c AND d IN ['x']) AND (e == 1 OR f == 2) AND NOT g == 1 AND 'y' IN h"
    ).needs
    assert [(need.path, need.is_array, str(need.key)) for need in found] == [
        (("a",), False, "1"),
        (("b",), True, "c"),
        (("d",), False, '["x"]'),
        (("h",), True, '"y"'),
    ]


def test_keys_of_a_value_are_itself_or_the_items_of_an_array_that_can_be_compared() -> None:
    assert keys_of("a", is_array=False) == ("a",)
    assert keys_of(["a"], is_array=False) == ()
    assert keys_of(["a", {"b": 1}, None, "a"], is_array=True) == ("a", None)
    assert keys_of("a", is_array=True) == ()
