"""Why a task is where it is, and why it did not reach a worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.domain.errors import NotFound
from server_stub.domain.explain import Explanation, Hindrance, WorkerReport
from server_stub.domain.expression import parse
from server_stub.domain.model import Task, Worker
from server_stub.domain.routing import worker_resolver
from taskrouter_worker.terms import QueueOrder, WorkspaceTemplate
from tests.domain.desk import Desk, pending, rule, target


@pytest.fixture
def desk() -> Desk:
    return Desk(template=WorkspaceTemplate.NONE)


def report(desk: Desk, task: Task, worker: Worker) -> WorkerReport:
    [found] = desk.ws.explain(task.sid, worker.sid).workers
    return found


def kinds(found: WorkerReport) -> list[str]:
    return [hindrance.kind for hindrance in found.hindrances]


def only(found: WorkerReport) -> Hindrance:
    [hindrance] = found.hindrances
    return hindrance


# --- Workers ------------------------------------------------------------------------------------


def test_worker_outside_the_queue_is_told_which_parts_of_the_expression_fail(desk: Desk) -> None:
    queue = desk.queue(target_workers='lang HAS "pt" AND (level > 3 OR vip == true) AND NOT trainee')
    task = desk.task(desk.workflow(default=queue))
    nina = desk.worker("nina", lang=["es"], level=2, trainee=True)
    hindrance = only(report(desk, task, nina))
    assert hindrance.kind == "not_in_queue"
    assert [(part.text, part.values) for part in hindrance.failed] == [
        ('lang HAS "pt"', {"lang": ["es"]}),
        ("level > 3", {"level": 2}),
        ("vip == TRUE", {"vip": None}),
        ("NOT trainee", {"trainee": True}),
    ]


def test_explanation_is_a_copy_of_its_moment(desk: Desk) -> None:
    task = desk.task(desk.workflow(default=desk.queue(target_workers='lang HAS "pt"')))
    nina = desk.worker("nina", lang=["es"])
    [part] = only(report(desk, task, nina)).failed
    langs = part.values["lang"]
    assert isinstance(langs, list)
    langs.append("pt")
    assert nina.parsed_attributes == {"lang": ["es"]}
    desk.ws.update_worker(nina.sid, attributes='{"lang": []}')
    assert part.values == {"lang": ["es", "pt"]}


def test_worker_whom_the_target_does_not_want_is_told_both_sides_of_the_expression(desk: Desk) -> None:
    workflow = desk.workflow(rule(target(desk.queue(), expression="task.lang IN worker.langs")))
    nina = desk.worker("nina", langs=["es"])
    task = desk.task(workflow, lang="pt")
    hindrance = only(report(desk, task, nina))
    assert (hindrance.kind, hindrance.failed[0].text) == ("expression", "task.lang IN worker.langs")
    assert hindrance.failed[0].values == {"task.lang": "pt", "worker.langs": ["es"]}


def test_everything_in_the_way_is_told_and_the_routers_own_reason_first(desk: Desk) -> None:
    queue = desk.queue(target_workers="cards == true")
    workflow = desk.workflow(
        rule(target(queue, known_worker_sid="task.expert", expression="worker.level >= task.level"))
    )
    nina = desk.worker("nina", activity=desk.offline, capacity=0, level=1)
    for channel in nina.channels.values():
        channel.available = False
    task = desk.task(workflow, level=2, expert="WK" + "f" * 32)
    found = report(desk, task, nina)
    assert kinds(found) == [
        "not_in_queue",
        "activity",
        "channel",
        "capacity",
        "not_the_known_worker",
        "expression",
    ]
    assert [h.text for h in found.hindrances] == [
        "the worker does not match the task queue's expression (cards == true)",
        "the worker's activity is not available (Offline)",
        "the worker's channel is switched off (default)",
        "the worker's channel is at its capacity (0 of 0 on default)",
        "the workflow target asks for another worker (task.expert is 'WK" + "f" * 32 + "')",
        "the workflow target's expression is false for the worker (worker.level >= task.level)",
    ]
    assert found.verdict == found.hindrances[0].text
    assert desk.ws.obstacle(task.sid, nina.sid) == "the worker does not match the task queue's expression"


def test_busy_worker_is_told_its_load(desk: Desk) -> None:
    workflow = desk.workflow(default=desk.queue())
    nina = desk.worker("nina", capacity=2)
    first, second, third = desk.task(workflow), desk.task(workflow), desk.task(workflow)
    found = report(desk, third, nina)
    assert kinds(found) == ["capacity"]
    assert (found.channel, found.channel_active, found.channel_capacity) == ("default", 2, 2)
    assert kinds(report(desk, first, nina)) == ["not_waiting", "already_reserved", "capacity"]
    assert second.live_reservations


def test_worker_who_rejected_is_told_so_and_that_nothing_else_is_in_the_way(desk: Desk) -> None:
    queue = desk.queue()
    nina = desk.worker("nina")
    task = desk.task(desk.workflow(default=queue))
    desk.answer(pending(task), "rejected", activity=desk.unavailable)
    found = report(desk, task, nina)
    assert [(r.status, r.worker_name) for r in found.reservations] == [("rejected", "nina")]
    assert kinds(found) == ["activity"]
    assert (found.activity_name, found.is_available) == ("Unavailable", False)


def test_worker_in_a_single_tasking_workspace_holds_one_reservation() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE, multi_task_enabled=False)
    workflow = desk.workflow(default=desk.queue())
    nina = desk.worker("nina", capacity=9)
    desk.task(workflow)
    assert kinds(report(desk, desk.task(workflow), nina)) == ["single_tasking"]


def test_task_routed_to_a_worker_waits_for_that_one_only(desk: Desk) -> None:
    desk.workflow(default=desk.queue())
    nina, omar = desk.worker("nina"), desk.worker("omar", activity=desk.offline)
    task = desk.task(routing_target=omar.sid, ignore_capacity=False)
    assert kinds(report(desk, task, nina)) == ["not_the_routing_target"]
    assert kinds(report(desk, task, omar)) == ["activity"]


def test_those_who_could_be_reserved_come_first_in_the_order_of_choice(desk: Desk) -> None:
    queue = desk.queue(max_reserved_workers=2)
    workflow = desk.workflow(rule(target(queue, order_by="worker.level DESC")))
    for name, level in (("low", 1), ("high", 9), ("middle", 5)):
        desk.worker(name, level=level)
    desk.worker("off", activity=desk.offline, level=10)
    task = desk.ws.create_task(workflow_sid=workflow.sid)
    found = desk.ws.explain(task.sid)
    assert [(w.name, w.place, w.would_be_reserved) for w in found.workers] == [
        ("high", 1, True),
        ("middle", 2, True),
        ("low", 3, False),
        ("off", None, False),
    ]
    assert found.workers[2].verdict == (
        "only 2 reserved at once, and this is number 3 in the order of choice"
    )
    assert found.summary == "The next round reserves high, middle for the task."
    assert found.next_move == "reserve"
    assert (found.worker_count, found.held_back) == (4, {"activity": 1})
    first = desk.ws.explain(task.sid, limit=1)
    assert [w.name for w in first.workers] == ["high"]
    assert (first.worker_count, first.held_back) == (4, {"activity": 1})


def test_task_behind_another_one_is_told_which(desk: Desk) -> None:
    workflow = desk.workflow(default=desk.queue())
    nina = desk.worker("nina")
    later = desk.ws.create_task(workflow_sid=workflow.sid)
    first = desk.ws.create_task(workflow_sid=workflow.sid, priority=5)
    found = desk.ws.explain(later.sid)
    assert found.workers[0].verdict == f"nothing is in the way, but task {first.sid} is served first"
    assert found.queue is not None
    assert (found.queue.ahead, found.next_move) == (1, None)
    desk.settle()
    assert pending(first).worker is nina


# --- Tasks --------------------------------------------------------------------------------------


def test_each_filter_tells_whether_it_takes_the_task_and_why_not(desk: Desk) -> None:
    cards, rest = desk.queue("Cards"), desk.queue("Rest")
    workflow = desk.workflow(
        rule(target(cards), expression='topic == "cards" AND vip == true', name="VIP cards"),
        rule(
            target(cards, timeout=30, priority=7, expression="worker.level > 2"),
            target(rest, order_by="worker.level DESC, worker.age"),
            expression='topic == "cards"',
            name="Cards",
        ),
        default=rest,
    )
    desk.wait(5)
    task = desk.task(workflow, topic="cards")
    vip, ordinary, default = desk.ws.explain(task.sid).filters
    assert (vip.name, vip.takes, vip.is_current) == ("VIP cards", False, False)
    assert vip.condition is not None
    assert [(part.text, part.values) for part in vip.condition.failed] == [("vip == TRUE", {"vip": None})]
    assert (ordinary.takes, ordinary.is_current) == (True, True)
    first, second = ordinary.targets
    assert (first.queue_name, first.is_current, first.priority, first.timeout) == ("Cards", True, 7, 30)
    assert (first.expression, first.deadline) == ("worker.level > 2", desk.time + 30)
    assert (second.queue_name, second.is_current, second.deadline) == ("Rest", False, None)
    assert second.order_by == "worker.level DESC, worker.age ASC"
    assert (default.index, default.takes, default.is_current) == (None, True, False)
    assert default.targets[0].queue_name == "Rest"


def test_next_deadline_is_the_engines_own(desk: Desk) -> None:
    workflow = desk.workflow(
        rule(target(desk.queue(), timeout=30), target(desk.queue("Rest"))), reservation_timeout=20
    )
    task = desk.task(workflow, timeout=600)
    waiting = desk.ws.explain(task.sid)
    assert [(d.kind, d.seconds) for d in waiting.deadlines] == [("step", 30), ("time_to_live", 600)]
    assert waiting.next_deadline is not None
    assert waiting.next_deadline.at == desk.ws.next_deadline()
    desk.worker("nina")
    offered = desk.ws.explain(task.sid)
    assert [(d.kind, d.seconds) for d in offered.deadlines] == [("reservation", 20), ("time_to_live", 600)]
    assert offered.deadlines[0].text == "the reservation times out for nina"


def test_known_worker_is_found_by_the_attribute_that_names_it(desk: Desk) -> None:
    queue = desk.queue(target_workers="cards == true")
    workflow = desk.workflow(rule(target(queue, known_worker_friendly_name="task.expert"), target()))
    nina = desk.worker("nina")
    task = desk.task(workflow, expert="NINA")
    known = desk.ws.explain(task.sid).filters[0].targets[0].known_worker
    assert known is not None
    assert (known.key, known.reference, known.value) == ("known_worker_friendly_name", "task.expert", "NINA")
    assert (known.worker_sid, known.is_in_queue) == (nina.sid, False)


def test_skip_is_foretold_and_asking_does_not_answer_it(desk: Desk) -> None:
    queue, rest = desk.queue(), desk.queue("Rest")
    workflow = desk.workflow(rule(target(queue, skip_if="workers.available == 0"), target(rest)))
    task = desk.ws.create_task(workflow_sid=workflow.sid)
    for _ in range(2):
        found = desk.ws.explain(task.sid)
        assert (found.next_move, found.queue and found.queue.name) == ("skip", "Cards")
        assert found.filters[0].targets[0].skips is not None
        assert found.filters[0].targets[0].skips.holds
    desk.settle()
    assert task.queue is rest


def test_task_that_no_filter_takes_is_told_that_it_will_be_canceled(desk: Desk) -> None:
    workflow = desk.workflow(rule(target(desk.queue()), expression="vip == true"))
    task = desk.ws.create_task(workflow_sid=workflow.sid)
    found = desk.ws.explain(task.sid)
    assert (found.next_move, found.queue) == ("cancel", None)
    assert not found.filters[0].takes
    desk.settle()
    assert desk.ws.explain(task.sid).summary == "The task is canceled: Task canceled on Workflow skipped."


def test_assigned_task_waits_for_nobody(desk: Desk) -> None:
    nina = desk.worker("nina")
    task = desk.task(desk.workflow(default=desk.queue()))
    desk.answer(pending(task), "accepted")
    found = desk.ws.explain(task.sid)
    assert found.summary == "The task is assigned, with nina (accepted): it does not wait for a worker."
    assert (found.is_waiting, kinds(found.workers[0])[0]) == (False, "not_waiting")
    assert found.workers[0].sid == nina.sid


def test_task_that_outlived_its_queue_and_channel_is_still_explained(desk: Desk) -> None:
    desk.ws.create_task_channel(friendly_name="Fax", unique_name="fax")
    queue = desk.queue()
    workflow = desk.workflow(default=queue)
    desk.worker("nina", activity=desk.offline)
    task = desk.task(workflow, channel="fax")
    desk.set_status(task, "canceled", "enough")
    desk.ws.delete_workflow(workflow.sid)
    desk.ws.delete_task_queue(queue.sid)
    desk.ws.delete_task_channel("fax")
    desk.settle()
    found = desk.ws.explain(task.sid)
    assert (found.queue, found.summary) == (None, "The task is canceled: enough.")
    assert kinds(found.workers[0]) == ["not_waiting"]


def test_unknown_task_or_worker_is_refused(desk: Desk) -> None:
    task = desk.task(desk.workflow(default=desk.queue()))
    with pytest.raises(NotFound, match="Tasks"):
        desk.ws.explain("WT" + "0" * 32)
    with pytest.raises(NotFound, match="Workers"):
        desk.ws.explain(task.sid, "WK" + "0" * 32)


# --- Explanations and the router agree ----------------------------------------------------------

Choose = Callable[[Sequence[Any]], Any]


def build(choose: Choose) -> Desk:
    """A desk to which tasks and workers of many kinds have come, and the router has not acted on all."""
    desk = Desk(
        template=WorkspaceTemplate.NONE,
        multi_task_enabled=choose([True, True, False]),
        prioritize_queue_order=choose(list(QueueOrder)),
    )
    queues = [
        desk.queue(
            f"queue {number}",
            choose(["1==1", "level > 1", 'level < 2 AND team == "a"', ""]),
            max_reserved_workers=choose([1, 2, 3]),
            task_order=choose(list(QueueOrder)),
        )
        for number in range(choose([1, 2]))
    ]

    def one_target(*, is_first: bool) -> dict[str, object]:
        keys = {
            "expression": choose([None, None, "worker.level >= task.level", "worker.sid != null"]),
            "known_worker_friendly_name": choose([None, None, None, "task.expert"]),
            "order_by": choose([None, "worker.level DESC"]),
            "skip_if": choose([None, "1==1", "workers.available == 0"]),
            "timeout": choose([None, 10]),
        }
        queue = choose(queues if is_first else [None, *queues])
        return target(queue, **{key: value for key, value in keys.items() if value is not None})

    rules = [
        rule(
            *(one_target(is_first=index == 0) for index in range(choose([1, 2, 3]))),
            expression=choose(["", "level > 1", "level < 1"]),
        )
        for _ in range(choose(range(4)))
    ]
    workflow = desk.workflow(*rules, default=choose([None, queues[0]]) if rules else queues[0])
    for number in range(choose(range(5))):
        desk.worker(
            f"w{number}",
            activity=choose([desk.available, desk.available, desk.offline]),
            capacity=choose([0, 1, 2]),
            level=choose(range(4)),
            team=choose("ab"),
        )
    for _ in range(choose(range(1, 6))):
        desk.ws.create_task(
            workflow_sid=workflow.sid,
            priority=choose([0, 1, 2]),
            routing_target=choose([None, None, None, queues[0].sid, *list(desk.ws.workers)[:1]]),
            ignore_capacity=choose([None, False]),
            attributes=json.dumps({"level": choose(range(4)), "expert": choose(["w0", "w9"])}),
        )
        if choose([True, False]):
            desk.settle()
    return desk


@st.composite
def twins(draw: st.DrawFn) -> tuple[Desk, Desk]:
    """Two desks that are alike in everything, down to the SIDs."""
    chosen: list[int] = []

    def choose(options: Sequence[Any]) -> Any:
        chosen.append(draw(st.integers(0, len(options) - 1)))
        return options[chosen[-1]]

    first = build(choose)
    again = iter(chosen)
    return first, build(lambda options: options[next(again)])


def foretold(found: dict[str, Explanation]) -> set[tuple[str, str]]:
    return {
        (task_sid, worker.sid)
        for task_sid, explanation in found.items()
        for worker in explanation.workers
        if worker.would_be_reserved
    }


@given(twins())
def test_explanation_foretells_exactly_what_the_router_then_does(desks: tuple[Desk, Desk]) -> None:
    ws = desks[0].ws
    ws.take_events()
    for _ in range(200):
        found = {sid: ws.explain(sid) for sid in ws.tasks}
        before = set(ws.reservations)
        statuses = {sid: (task.step, task.status) for sid, task in ws.tasks.items()}
        went_on = ws.route()
        made = {(r.task.sid, r.worker.sid) for sid, r in ws.reservations.items() if sid not in before}
        assert foretold(found) == made
        moves = {sid: e.next_move for sid, e in found.items() if e.next_move is not None}
        assert bool(moves) == went_on
        for sid, move in moves.items():
            task = ws.tasks[sid]
            assert (task.step, task.status) != statuses[sid]
            assert (move == "reserve") == (sid in {task_sid for task_sid, _ in made})
        ws.take_events()
        if not went_on:
            break
    else:
        pytest.fail("the engine goes round in circles")
    for sid, task in ws.tasks.items():
        explanation = ws.explain(sid)
        for worker in explanation.workers:
            blocked = ws.obstacle(sid, worker.sid)
            first = worker.hindrances[0].kind if worker.hindrances else None
            if explanation.is_waiting:
                # Where nothing is in the way the router would not have stopped.
                assert blocked is not None
                assert first == blocked.name.lower()
            else:
                assert first == "not_waiting"
        assert explanation.is_waiting == (task.status == "pending")


@given(twins())
def test_asking_changes_nothing_that_the_router_does(desks: tuple[Desk, Desk]) -> None:
    asked, left_alone = desks
    for _ in range(200):
        for sid in asked.ws.tasks:
            asked.ws.explain(sid)
        went_on = asked.ws.route()
        assert left_alone.ws.route() == went_on
        ends = [
            [
                (event.type, event.resource and getattr(event.resource, "sid", ""))
                for event in ws.take_events()
            ]
            for ws in (asked.ws, left_alone.ws)
        ]
        assert ends[0] == ends[1]
        if not went_on:
            break
    states = [[(t.status, t.queue and t.queue.sid, t.priority) for t in d.ws.tasks.values()] for d in desks]
    assert states[0] == states[1]


# --- Shortfalls ---------------------------------------------------------------------------------

ATOMS = st.sampled_from(["level > 1", 'team == "a"', "level IN [1, 2]", "trainee", "team != NULL", "TRUE"])
TEXTS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) AND ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) OR ({pair[1]})"),
        inner.map(lambda text: f"NOT ({text})"),
    ),
    max_leaves=8,
)
WORKERS = st.fixed_dictionaries(
    {"level": st.integers(0, 3)}, optional={"team": st.sampled_from("ab"), "trainee": st.booleans()}
)


@given(TEXTS, WORKERS)
def test_expression_that_holds_has_no_shortfall_and_one_that_does_not_has_true_ones(
    text: str, attributes: dict[str, Any]
) -> None:
    worker = Desk().worker("nina", **attributes)
    resolve = worker_resolver(worker)
    expression = parse(text)
    parts = expression.shortfalls(resolve)
    assert bool(parts) != expression.evaluate(resolve)
    for part in parts:
        assert part.text in str(expression)
        assert not parse(part.text).evaluate(resolve)
        assert all(resolve(tuple(name.split("."))) == value for name, value in part.values)
