"""Which queue a task goes to, which workers it gets, and who is served first."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from server_stub.domain.expression import parse
from server_stub.domain.model import Limits, Task
from server_stub.domain.routing import Obstacle, attributes_match, task_matches, worker_matches
from taskrouter_worker.terms import EventType, QueueOrder, TaskStatus, WorkspaceTemplate
from tests.domain.desk import Desk, configuration, pending, reserved_names, rule, target

E = EventType
NONE = WorkspaceTemplate.NONE


def names(tasks: Iterable[Task]) -> list[str]:
    return [str(task.parsed_attributes["name"]) for task in tasks]


# ---------------------------------------------------------------- what expressions see


def test_a_queue_expression_sees_attributes_fields_and_load() -> None:
    desk = Desk(template=NONE)
    nina = desk.worker("nina", level=4, sid="mine", languages=["pt"])
    for text, expected in {
        "level == 4": True,
        "worker.level == 4": True,
        f"sid == '{nina.sid}'": True,  # the field wins over the attribute
        "friendly_name == 'nina' AND activity_name == 'Available'": True,
        f"activity_sid == '{desk.available.sid}'": True,
        "worker.channel.chat.configured_capacity == 1": True,
        "worker.channel.chat.assigned_tasks == 0": True,
        "worker.channel.chat.available_capacity_percentage == 100": True,
        "worker.channel.none.assigned_tasks == null": True,
        "channel.chat.assigned_tasks == 0": False,
        "languages HAS 'pt'": True,
    }.items():
        assert worker_matches(parse(text), nina) is expected, text
    assert not worker_matches(None, nina)


def test_an_attribute_that_is_called_like_a_prefix_is_an_attribute() -> None:
    desk = Desk()
    nina = desk.worker("nina", worker={"level": 9}, level=1)
    task = desk.task(task={"topic": "x"})
    assert worker_matches(parse("worker.level == 9 AND level == 1"), nina)
    assert task_matches(parse("task.topic == 'x'"), task)


def test_list_filters_see_bare_attributes() -> None:
    desk = Desk()
    task = desk.task(lang="pt")
    assert task_matches(parse('lang == "pt" AND task.lang == "pt"'), task)
    assert task_matches(None, task)
    assert attributes_match(parse("skills HAS 'a'"), {"skills": ["a"]})
    assert not attributes_match(None, {})


# ---------------------------------------------------------------- filters and steps


def test_the_first_matching_filter_takes_the_task_and_sets_queue_and_priority() -> None:
    desk = Desk(template=NONE)
    cards, other = desk.queue("Cards"), desk.queue("Other")
    flow = desk.workflow(
        rule(target(cards, priority=20), expression="topic == 'cards'", name="Card questions"),
        rule(target(other), expression="1==1", name="Rest"),
        default=other,
    )
    desk.heard()
    task = desk.task(flow, topic="cards", priority=5)
    assert (task.queue, task.priority) == (cards, 20)
    matched = desk.events()[2]
    assert matched.data == {
        "workflow_filter_name": "Card questions",
        "workflow_filter_expression": "topic == 'cards'",
        "previous_task_priority": "5",
    }
    assert (desk.task(flow, priority=5).queue, task.filter_entered_at) == (other, desk.time)


def test_the_default_filter_takes_what_no_filter_takes() -> None:
    desk = Desk(template=NONE)
    queue, default = desk.queue("A"), desk.queue("B")
    flow = desk.workflow(rule(target(queue), expression="lang == 'pt'"), default=default)
    assert desk.task(flow).queue is default


def test_step_deadlines_add_up_from_the_moment_the_filter_took_the_task() -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    flow = desk.workflow(
        rule(target(one, timeout=10), target(two, timeout=10, priority=3), target(timeout=10))
    )
    task = desk.task(flow)
    version = task.version
    desk.heard()
    desk.wait(10)
    events = desk.events()
    assert [event.type for event in events] == [
        E.TASK_QUEUE_TIMEOUT,
        E.TASK_QUEUE_MOVED,
        E.WORKFLOW_TARGET_MATCHED,
        E.TASK_QUEUE_ENTERED,
    ]
    assert events[0].data["task_queue_sid"] == one.sid
    assert events[1].data == {
        "previous_task_queue_sid": one.sid,
        "previous_task_queue_name": "One",
        "target_changed_reason": "timeout",
    }
    assert (task.queue, task.priority, task.version) == (two, 3, version + 1)
    assert task.queue_entered_at == desk.time
    desk.wait(10)
    assert desk.heard() == [E.WORKFLOW_TARGET_MATCHED]  # the third target keeps the queue
    assert (task.queue, task.priority) == (two, 3)
    desk.wait(9)
    assert task.status == "pending"
    desk.wait(1)
    assert task.status == "canceled"


def test_a_skipped_step_does_not_shorten_the_next_one() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue()
    flow = desk.workflow(
        rule(
            target(queue, timeout=10, skip_if="1==1"),
            target(timeout=10, name="second"),
            target(timeout=10),
        )
    )
    task = desk.task(flow)
    assert task.step is not None
    assert task.step.index == 1
    desk.wait(19)
    assert task.step.index == 1
    desk.wait(1)
    assert task.step.index == 2


def test_steps_whose_deadline_has_passed_are_dropped_at_once() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue()
    flow = desk.workflow(
        rule(target(queue, timeout=10), target(timeout=10), target(priority=9)), reservation_timeout=100
    )
    nina = desk.worker("nina")
    task = desk.task(flow)
    desk.heard()
    desk.wait(50)
    assert task.status == "reserved"  # a step's deadline is not enforced while the task is reserved
    desk.move(nina, desk.offline)
    desk.heard()
    desk.answer(pending(task), "rejected")
    assert desk.heard() == [E.RESERVATION_REJECTED, E.WORKFLOW_TARGET_MATCHED]
    assert task.step is not None
    assert (task.step.index, task.priority) == (2, 9)


def test_leaving_the_last_step_by_timeout_goes_to_the_next_matching_filter_with_a_new_clock() -> None:
    desk = Desk(template=NONE)
    one, two, three = desk.queue("One"), desk.queue("Two"), desk.queue("Three")
    flow = desk.workflow(
        rule(target(one, timeout=10), name="a"),
        rule(target(two), expression="lang == 'pt'", name="b"),
        rule(target(three, timeout=10), name="c"),
        default=one,
    )
    task = desk.task(flow)
    desk.wait(10)
    assert task.queue is three
    desk.wait(9)
    assert task.status == "pending"
    desk.wait(1)
    assert task.status == "canceled"  # the default filter is not part of this


def test_a_late_clock_still_leads_through_every_filter() -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    flow = desk.workflow(rule(target(one, timeout=10), name="a"), rule(target(two, timeout=10), name="b"))
    task = desk.task(flow)
    desk.jump(500)
    assert (task.queue, task.status) == (two, "pending")
    desk.jump(10)
    assert task.status == "canceled"


@pytest.mark.parametrize(
    ("condition", "here", "skipped"),
    [
        ("1==1", False, True),
        ("workers.available == 0", False, True),
        ("workers.available == 0", True, False),
        ("workers.unavailable > 0", False, True),
        ("workers.available > 0", True, True),
        ("task.urgent AND workers.available == 0", False, True),
        ("task.lang == 'pt'", False, False),
        ("1==2", False, False),
    ],
)
def test_skip_if_counts_the_workers_of_the_queue(
    condition: str,
    here: bool,
    skipped: bool,
) -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One", "level == 1"), desk.queue("Two", "level == 2")
    flow = desk.workflow(rule(target(one, skip_if=condition, timeout=99), target(two)))
    desk.worker("nina", activity=desk.available if here else desk.offline, level=1, capacity=0)
    desk.worker("outsider", level=3, capacity=0)
    task = desk.task(flow, urgent=True)
    assert task.queue is (two if skipped else one)


def test_skip_if_counts_an_activity_by_its_sid_and_only_workers_that_meet_the_step() -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    flow = desk.workflow(
        rule(
            target(
                one,
                expression="worker.level >= task.level",
                skip_if=f"workers.{desk.unavailable.sid} == 1 AND workers.available == 0",
            ),
            target(two),
        )
    )
    desk.worker("low", level=1)
    desk.worker("high", level=5, activity=desk.unavailable)
    assert desk.task(flow, level=3).queue is two


def test_skip_if_is_asked_only_when_nobody_can_be_reserved_and_only_on_entry() -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    flow = desk.workflow(rule(target(one, skip_if="workers.unavailable > 0"), target(two)))
    nina = desk.worker("nina")
    desk.worker("gone", activity=desk.offline)
    first = desk.task(flow)
    assert (first.queue, first.status) == (one, "reserved")
    desk.answer(pending(first), "rejected")
    assert (first.queue, first.status) == (one, "reserved")
    desk.move(nina, desk.offline)
    desk.answer(pending(first), "rejected")
    assert (first.queue, first.status) == (one, "pending")  # it has not just entered the step


@pytest.mark.parametrize("change", ["queue", "task"])
def test_a_step_is_still_asked_to_skip_when_something_changes_before_the_round(change: str) -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    flow = desk.workflow(rule(target(one, skip_if="1==1"), target(two)))
    task = desk.ws.create_task(workflow_sid=flow.sid)
    desk.ws.take_events()
    if change == "queue":
        desk.ws.update_task_queue(one.sid, task_order="LIFO")
    else:
        desk.ws.update_task(task.sid, virtual_start_time=desk.time - 1)
    desk.settle()
    assert task.queue is two


def test_a_step_deadline_that_passes_by_while_reserved_is_still_kept_afterwards() -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    flow = desk.workflow(rule(target(one, timeout=60), target(two)))
    nina = desk.worker("nina")
    task = desk.task(flow)
    desk.wait(30)
    desk.move(nina, desk.offline)
    desk.answer(pending(task), "rejected")
    desk.wait(29)
    assert task.queue is one
    desk.wait(1)
    assert task.queue is two


def test_skipping_the_last_step_counts_as_though_the_filter_had_not_matched() -> None:
    desk = Desk(template=NONE)
    one, two, default = desk.queue("One"), desk.queue("Two"), desk.queue("Default")
    skipping = target(one, skip_if="1==1")
    second = rule(target(two, skip_if="1==1"), name="second")
    flow = desk.workflow(rule(skipping), rule(target(two), expression="1==2"), default=default)
    assert desk.task(flow).queue is default
    flow = desk.workflow(rule(skipping), second, rule(target(default), name="third"))
    assert desk.task(flow).queue is default
    flow = desk.workflow(rule(skipping), second)
    desk.heard()
    task = desk.task(flow)
    assert task.status == "canceled"
    assert desk.heard()[-2:] == [E.WORKFLOW_SKIPPED, E.TASK_CANCELED]


def test_the_default_filter_is_not_for_tasks_that_a_filter_timed_out() -> None:
    desk = Desk(template=NONE)
    queue, default = desk.queue("One"), desk.queue("Default")
    flow = desk.workflow(
        rule(target(queue, timeout=10), name="waits"),
        rule(target(queue, skip_if="1==1"), name="skips"),
        default=default,
    )
    task = desk.task(flow)
    desk.wait(10)
    assert (task.status, task.reason) == ("canceled", "Task canceled on Workflow skipped")


def test_an_update_of_a_pending_task_leads_it_through_the_workflow_again() -> None:
    desk = Desk(template=NONE)
    english, spanish = desk.queue("English"), desk.queue("Spanish")
    flow = desk.workflow(
        rule(target(spanish, timeout=60), expression="lang == 'es'", name="es"), default=english
    )
    task = desk.task(flow, lang="en")
    desk.wait(30)
    desk.heard()
    desk.ws.update_task(task.sid, attributes='{"lang": "es"}')
    desk.settle()
    events = desk.events()
    assert [event.type for event in events] == [
        E.TASK_UPDATED,
        E.TASK_QUEUE_MOVED,
        E.WORKFLOW_TARGET_MATCHED,
        E.TASK_QUEUE_ENTERED,
    ]
    assert events[2].data["task_re_evaluated_reason"] == "task updated"
    assert (task.queue, task.step_deadline) == (spanish, desk.time + 60)


def test_a_priority_that_was_just_given_stands_until_a_later_target_sets_one() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue()
    flow = desk.workflow(rule(target(queue, priority=20, timeout=10), target(priority=30)))
    task = desk.task(flow)
    desk.ws.update_task(task.sid, priority=7)
    desk.settle()
    assert task.priority == 7
    desk.wait(10)
    assert task.priority == 30


def test_an_update_of_a_reserved_task_leaves_its_queue() -> None:
    desk = Desk(template=NONE)
    english, spanish = desk.queue("English"), desk.queue("Spanish")
    flow = desk.workflow(rule(target(spanish), expression="lang == 'es'"), default=english)
    desk.worker("nina")
    task = desk.task(flow, lang="en")
    desk.heard()
    desk.ws.update_task(task.sid, attributes='{"lang": "es"}')
    desk.settle()
    (event,) = desk.events()
    assert (event.type, event.worker_sids) == (E.TASK_UPDATED, (pending(task).worker.sid,))
    assert task.queue is english


def test_a_changed_workflow_keeps_tasks_where_they_are_unless_they_are_to_be_evaluated_again() -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    flow = desk.workflow(rule(target(one, timeout=30), target(two), name="old"))
    kept, lost = desk.task(flow), desk.task(flow)
    desk.wait(20)
    desk.ws.update_workflow(
        flow.sid, configuration=configuration(rule(target(one, timeout=25), target(two), name="old"))
    )
    desk.settle()
    assert kept.step_deadline == desk.time + 5
    desk.ws.update_workflow(flow.sid, configuration=configuration(rule(target(two), name="new")))
    desk.settle()
    assert (kept.step is None, kept.step_deadline is None) == (True, True)
    assert kept.queue is one
    desk.wait(100)
    assert lost.queue is one
    desk.heard()
    desk.ws.update_workflow(flow.sid, re_evaluate_tasks=True)
    desk.settle()
    assert (kept.queue, lost.queue) == (two, two)
    assert desk.heard() == [E.TASK_QUEUE_MOVED, E.WORKFLOW_TARGET_MATCHED, E.TASK_QUEUE_ENTERED] * 2


def test_a_task_whose_step_is_gone_still_gets_a_worker_of_its_queue() -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    flow = desk.workflow(rule(target(one, expression="worker.level > 5"), name="old"))
    nina = desk.worker("nina", level=1)
    task = desk.task(flow)
    assert desk.ws.obstacle(task.sid, nina.sid) is Obstacle.EXPRESSION
    desk.ws.update_workflow(flow.sid, configuration=configuration(rule(target(two), name="new")))
    desk.settle()
    assert reserved_names(task) == ["nina"]


# ---------------------------------------------------------------- which workers


def test_the_router_can_say_why_a_worker_was_not_chosen() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue("Cards", "cards")
    flow = desk.workflow(
        rule(target(queue, known_worker_sid="task.agent"), expression="agent != null", name="known"),
        rule(target(queue, expression="worker.level >= task.level")),
    )
    nina = desk.worker("nina", cards=False, level=1)
    task = desk.task(flow, level=2)

    def why() -> Obstacle | None:
        return desk.ws.obstacle(task.sid, nina.sid)

    assert why() is Obstacle.NOT_IN_QUEUE
    desk.ws.update_worker(nina.sid, attributes='{"cards": true, "level": 1}')
    desk.settle()
    assert why() is Obstacle.EXPRESSION
    desk.ws.update_worker_channel(nina.sid, "default", capacity=0)
    assert why() is Obstacle.CAPACITY
    desk.ws.update_worker_channel(nina.sid, "default", available=False)
    assert why() is Obstacle.CHANNEL
    desk.move(nina, desk.offline)
    assert why() is Obstacle.ACTIVITY
    desk.move(nina, desk.available)
    desk.ws.update_worker_channel(nina.sid, "default", available=True, capacity=1)
    desk.ws.update_task(task.sid, attributes='{"agent": "WK0"}')
    desk.settle()
    assert why() is Obstacle.NOT_THE_KNOWN_WORKER
    desk.ws.update_task(task.sid, attributes=json.dumps({"agent": nina.sid}))
    assert why() is None
    desk.settle()
    assert why() is Obstacle.ALREADY_RESERVED
    otto = desk.worker("otto")
    direct = desk.task(flow, routing_target=otto.sid, ignore_capacity=False, channel="sms")
    assert desk.ws.obstacle(direct.sid, nina.sid) is Obstacle.NOT_THE_ROUTING_TARGET


@pytest.mark.parametrize("by", ["known_worker_sid", "known_worker_friendly_name"])
def test_a_known_worker_is_the_only_one_for_its_step(by: str) -> None:
    desk = Desk(template=NONE)
    queue = desk.queue(max_reserved_workers=5)
    flow = desk.workflow(rule(target(queue, timeout=10, **{by: "task.agent"}), target()))
    desk.worker("otto")
    nina = desk.worker("nina", activity=desk.offline)
    desk.heard()
    task = desk.task(flow, agent=nina.sid if by == "known_worker_sid" else "NINA")
    assert task.status == "pending"
    assert desk.events()[2].data["known_worker_sid"] == nina.sid
    desk.move(nina, desk.available)
    assert reserved_names(task) == ["nina"]
    nobody = desk.task(flow, agent=5)
    assert nobody.status == "pending"
    desk.wait(10)
    assert reserved_names(nobody) == ["otto"]


def test_renaming_a_worker_makes_it_the_known_one() -> None:
    desk = Desk(template=NONE)
    flow = desk.workflow(rule(target(desk.queue(), known_worker_friendly_name="task.agent")))
    nina = desk.worker("nina")
    task = desk.task(flow, agent="maria")
    desk.ws.update_worker(nina.sid, friendly_name="Maria")
    desk.settle()
    assert reserved_names(task) == ["Maria"]


def test_a_known_worker_outside_the_queue_is_nobody() -> None:
    desk = Desk(template=NONE)
    flow = desk.workflow(rule(target(desk.queue("Cards", "level > 3"), known_worker_sid="task.agent")))
    nina = desk.worker("nina", level=1)
    task = desk.task(flow, agent=nina.sid)
    assert desk.ws.obstacle(task.sid, nina.sid) is Obstacle.NOT_IN_QUEUE
    desk.ws.update_worker(nina.sid, attributes='{"level": 4}')
    desk.settle()
    assert task.status == "reserved"


def test_the_worker_who_has_waited_longest_is_chosen() -> None:
    desk = Desk()
    workers = [desk.worker(name) for name in ("ann", "bob", "cem")]
    order: list[str] = []
    for _ in range(6):
        task = desk.task()
        order += reserved_names(task)
        desk.answer(pending(task), "accepted")
        desk.answer(pending(task), "completed")
    assert order == ["ann", "bob", "cem"] * 2
    assert [worker.last_reserved_at for worker in workers] == [desk.time] * 3


def test_order_by_compares_integers_and_puts_workers_without_them_last() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue(max_reserved_workers=10)
    desk.worker("none")
    desk.worker("text", level="9")
    desk.worker("junior", level=1, age=30)
    desk.worker("senior", level=3, age=50)
    desk.worker("expert", level=3, age=40)
    best = desk.workflow(rule(target(queue, order_by="worker.level DESC, worker.age")), name="best")
    worst = desk.workflow(rule(target(queue, order_by="worker.level")), name="worst")
    task = desk.task(best)
    assert reserved_names(task) == ["expert", "senior", "junior", "none", "text"]
    desk.set_status(task, "canceled")
    assert reserved_names(desk.task(worst))[:3] == ["junior", "expert", "senior"]


def test_channel_optimized_routing_counts_idle_time_on_the_channel() -> None:
    desk = Desk()
    desk.worker("ann", capacity=9)
    desk.worker("bob", capacity=9)
    ann_chat = desk.task(channel="chat")
    bob_sms = desk.task(channel="sms")
    ann_sms = desk.task(channel="sms")
    assert [reserved_names(t) for t in (ann_chat, bob_sms, ann_sms)] == [["ann"], ["bob"], ["ann"]]
    # By worker it would be bob's turn; on chat bob has never been reserved; on sms it is bob's turn too.
    desk.ws.update_task_channel("sms", channel_optimized_routing=True)
    desk.settle()
    assert reserved_names(desk.task(channel="sms")) == ["bob"]
    assert reserved_names(desk.task(channel="sms")) == ["ann"]
    assert reserved_names(desk.task(channel="voice")) == ["bob"]
    assert reserved_names(desk.task(channel="sms")) == ["bob"]


def test_switching_channel_optimized_routing_on_loses_no_worker() -> None:
    desk = Desk()
    desk.worker("ann", capacity=9)
    desk.worker("bob", capacity=9)
    for channel, name in (("sms", "ann"), ("chat", "bob"), ("chat", "ann"), ("sms", "bob")):
        assert reserved_names(desk.task(channel=channel)) == [name]
    desk.ws.update_task_channel("sms", channel_optimized_routing=True)
    desk.settle()
    assert [reserved_names(desk.task(channel="sms")) for _ in range(3)] == [["ann"], ["bob"], ["ann"]]


def test_up_to_max_reserved_workers_get_the_task() -> None:
    desk = Desk(template=NONE)
    flow = desk.workflow(default=desk.queue(max_reserved_workers=2))
    for name in ("ann", "bob", "cem"):
        desk.worker(name)
    assert reserved_names(desk.task(flow)) == ["ann", "bob"]


def test_capacity_is_by_channel() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    chat, voice, more = (desk.task(channel=name) for name in ("chat", "voice", "chat"))
    assert [task.status for task in (chat, voice, more)] == ["reserved", "reserved", "pending"]
    desk.ws.update_worker_channel(nina.sid, "chat", capacity=2)
    desk.settle()
    assert more.status == "reserved"


def test_a_channel_that_is_switched_off_takes_nothing_until_it_is_on_again() -> None:
    desk = Desk()
    nina = desk.worker("nina")
    desk.ws.update_worker_channel(nina.sid, "chat", available=False)
    desk.settle()
    task = desk.task(channel="chat")
    assert task.status == "pending"
    desk.ws.update_worker_channel(nina.sid, "chat", available=True)
    desk.settle()
    assert task.status == "reserved"


def test_an_empty_queue_expression_matches_nobody_until_it_changes() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue("Cards", "")
    desk.worker("nina")
    task = desk.task(desk.workflow(default=queue))
    assert task.status == "pending"
    desk.heard()
    desk.ws.update_task_queue(queue.sid, target_workers="1==1")
    desk.settle()
    assert desk.heard() == [E.TASK_QUEUE_EXPRESSION_UPDATED, E.RESERVATION_CREATED]


def test_membership_follows_the_activity_when_the_expression_looks_at_it() -> None:
    desk = Desk(template=NONE)
    lunch = desk.ws.create_activity(friendly_name="Lunch", available=True)
    queue = desk.queue("Diners", "activity_name == 'Lunch'")
    nina = desk.worker("nina")
    task = desk.task(desk.workflow(default=queue))
    assert desk.ws.workers_in(queue.sid) == []
    desk.move(nina, lunch)
    assert (desk.ws.workers_in(queue.sid), task.status) == ([nina], "reserved")
    desk.ws.update_activity(lunch.sid, friendly_name="Supper")
    assert desk.ws.workers_in(queue.sid) == []


def test_membership_follows_the_load_when_the_expression_looks_at_it() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue("Chatting", "worker.channel.chat.assigned_tasks == 1")
    other = desk.queue("Other")
    nina = desk.worker("nina")
    waiting = desk.task(desk.workflow(default=queue), channel="sms")
    chat = desk.task(desk.workflow(default=other, name="other"), channel="chat")
    assert (desk.ws.workers_in(queue.sid), waiting.status) == ([], "pending")
    desk.answer(pending(chat), "accepted")
    assert (desk.ws.workers_in(queue.sid), waiting.status) == ([nina], "reserved")


def test_a_step_that_looks_at_load_sees_it_change() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue()
    flow = desk.workflow(rule(target(queue, expression="worker.channel.chat.assigned_tasks == 1")))
    plain = desk.workflow(default=queue, name="plain")
    desk.worker("nina")
    waiting = desk.task(flow, channel="sms")
    assert waiting.status == "pending"
    chat = desk.task(plain, channel="chat")
    assert waiting.status == "pending"
    desk.answer(pending(chat), "accepted")
    assert waiting.status == "reserved"


def test_activities_of_a_queue_are_counted() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue("Cards", "cards")
    desk.worker("nina", cards=True)
    otto = desk.worker("otto", cards=True, activity=desk.offline)
    desk.worker("pia")
    assert desk.ws.activity_counts(queue.sid) == {desk.available: 1, desk.offline: 1}
    desk.ws.delete_worker(otto.sid)
    assert desk.ws.activity_counts(queue.sid)[desk.offline] == 0


# ---------------------------------------------------------------- which task


def serve_all(desk: Desk) -> list[Task]:
    """Let one worker take everything that waits; the tasks in the order in which it got them."""
    solo = desk.worker("solo")
    served: list[Task] = []
    while solo.live_reservations:
        held = pending(solo)
        served.append(held.task)
        desk.answer(held, "accepted")
        desk.answer(held, "completed")
    return served


def test_fifo_serves_by_priority_then_start_time_then_creation_across_queues() -> None:
    desk = Desk(template=NONE)
    one = desk.workflow(default=desk.queue("One"), name="one")
    two = desk.workflow(default=desk.queue("Two"), name="two")
    desk.task(one, name="plain")
    desk.task(two, name="urgent", priority=5)
    desk.task(one, name="older", virtual_start_time=desk.time - 100)
    desk.task(two, name="plain too")
    desk.task(two, name="urgent and older", priority=5, virtual_start_time=desk.time - 100)
    assert names(serve_all(desk)) == ["urgent and older", "urgent", "older", "plain", "plain too"]


def test_lifo_serves_the_newest_first_and_ignores_priority() -> None:
    desk = Desk(template=NONE)
    flow = desk.workflow(default=desk.queue(task_order=QueueOrder.LIFO))
    desk.task(flow, name="first", priority=9)
    desk.wait(1)
    desk.task(flow, name="second")
    desk.task(flow, name="third")
    assert names(serve_all(desk)) == ["third", "second", "first"]


@pytest.mark.parametrize("first", QueueOrder)
def test_the_workspace_says_which_kind_of_queue_is_served_first(first: QueueOrder) -> None:
    desk = Desk(template=NONE)
    old = desk.workflow(default=desk.queue("Fifo"), name="fifo")
    new = desk.workflow(default=desk.queue("Lifo", task_order=QueueOrder.LIFO), name="lifo")
    for flow, name in ((new, "l1"), (old, "f1"), (new, "l2"), (old, "f2")):
        desk.task(flow, name=name)
    desk.ws.update(prioritize_queue_order=first)
    desk.settle()
    fifo, lifo = ["f1", "f2"], ["l2", "l1"]
    assert names(serve_all(desk)) == (fifo + lifo if first is QueueOrder.FIFO else lifo + fifo)


def test_changing_the_order_of_a_queue_reorders_what_waits_in_it() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue()
    flow = desk.workflow(default=queue)
    for name in ("a", "b", "c"):
        desk.task(flow, name=name)
    desk.ws.update_task_queue(queue.sid, task_order="LIFO")
    desk.settle()
    assert names(serve_all(desk)) == ["c", "b", "a"]


def test_changed_priority_and_start_time_reorder_waiting_tasks() -> None:
    desk = Desk()
    first, second, third = (desk.task(name=name) for name in ("a", "b", "c"))
    desk.ws.update_task(third.sid, priority=1)
    desk.ws.update_task(second.sid, virtual_start_time=desk.time - 60)
    desk.settle()
    assert serve_all(desk) == [third, second, first]


def test_a_task_that_nobody_can_take_does_not_block_those_behind_it() -> None:
    desk = Desk(template=NONE)
    queue = desk.queue()
    flow = desk.workflow(
        rule(target(queue, expression="worker.level > 5"), expression="hard", name="hard"), default=queue
    )
    desk.task(flow, name="hard", hard=True, priority=9)
    desk.task(flow, name="easy")
    assert names(serve_all(desk)) == ["easy"]


# ---------------------------------------------------------------- routing targets


def test_a_task_routed_to_a_worker_ignores_capacity_switch_and_activity() -> None:
    desk = Desk()
    nina = desk.worker("nina", activity=desk.offline, capacity=0)
    desk.heard()
    task = desk.task(routing_target=nina.sid)
    assert desk.heard() == [E.TASK_CREATED, E.RESERVATION_CREATED]
    assert (task.ignore_capacity, reserved_names(task)) == (True, ["nina"])


def test_a_task_routed_to_a_worker_counts_for_the_queue_that_is_given() -> None:
    desk = Desk()
    queue = desk.queue("Outbound", "")
    nina = desk.worker("nina")
    desk.heard()
    task = desk.task(routing_target=nina.sid, task_queue=queue)
    assert desk.heard() == [E.TASK_CREATED, E.TASK_QUEUE_ENTERED, E.RESERVATION_CREATED]
    assert (task.queue, task.status) == (queue, "reserved")


def test_without_ignore_capacity_the_task_waits_for_its_worker() -> None:
    desk = Desk()
    nina = desk.worker("nina", activity=desk.offline)
    desk.worker("otto")
    task = desk.task(routing_target=nina.sid, ignore_capacity=False)
    assert task.status == "pending"
    desk.wait(4)
    desk.move(nina, desk.available)
    assert reserved_names(task) == ["nina"]
    desk.wait(60)
    assert task.status == "reserved"  # the limit was for making the reservation


def test_tasks_for_one_worker_that_count_for_different_queues_wait_side_by_side() -> None:
    desk = Desk(template=NONE)
    queues = [desk.queue("Cards"), desk.queue("Loans", task_order=QueueOrder.LIFO), None]
    desk.workflow(default=queues[0])
    nina = desk.worker("nina", capacity=0)
    tasks = [
        desk.task(None, routing_target=nina.sid, ignore_capacity=False, task_queue=queue) for queue in queues
    ]
    desk.ws.delete_task(tasks[1].sid)
    desk.settle()
    for capacity, task in ((1, tasks[0]), (2, tasks[2])):
        desk.ws.update_worker_channel(nina.sid, "default", capacity=capacity)
        desk.settle()
        assert reserved_names(task) == ["nina"]


def test_a_routing_target_that_cannot_be_reserved_in_time_fails() -> None:
    desk = Desk(limits=Limits(routing_target_seconds=5))
    nina = desk.worker("nina", activity=desk.offline)
    task = desk.task(routing_target=nina.sid, ignore_capacity=False)
    desk.heard()
    desk.wait(5)
    failed, canceled = desk.events()
    assert (failed.type, failed.resource, failed.worker_sids) == (E.RESERVATION_FAILED, task, (nina.sid,))
    assert (canceled.type, task.status) == (E.TASK_CANCELED, "canceled")
    assert task.reason


@pytest.mark.parametrize("how", ["rejected", "timeout"])
def test_a_task_whose_routing_target_declines_is_canceled(how: str) -> None:
    desk = Desk()
    nina = desk.worker("nina")
    task = desk.task(routing_target=nina.sid)
    if how == "rejected":
        desk.answer(pending(task), "rejected")
    else:
        desk.wait(120)
    assert task.status == "canceled"


def test_a_task_routed_to_a_queue_goes_past_all_filters() -> None:
    desk = Desk(template=NONE)
    queue, other = desk.queue("One"), desk.queue("Two")
    desk.workflow(default=other)
    desk.heard()
    task = desk.task(routing_target=queue.sid)
    assert desk.heard() == [E.TASK_CREATED, E.TASK_QUEUE_ENTERED]
    assert (task.queue, task.ignore_capacity) == (queue, False)
    desk.ws.update_task(task.sid, priority=3)
    desk.settle()
    assert task.queue is queue
    desk.worker("nina")
    assert reserved_names(task) == ["nina"]


def test_a_task_routed_to_a_workflow_goes_through_it() -> None:
    desk = Desk(template=NONE)
    one, two = desk.queue("One"), desk.queue("Two")
    desk.workflow(default=one, name="one")
    second = desk.workflow(default=two, name="two")
    task = desk.task(routing_target=second.sid)
    assert (task.workflow, task.queue, task.routing_target) == (second, two, second.sid)


def test_switching_to_single_tasking_and_back_reconsiders_what_waits() -> None:
    desk = Desk(limits=Limits(allow_single_tasking=True))
    desk.worker("nina")
    desk.ws.update(multi_task_enabled=False)
    desk.settle()
    chat, sms = desk.task(channel="chat"), desk.task(channel="sms")
    assert (chat.status, sms.status) == ("reserved", "pending")
    desk.ws.update(multi_task_enabled=True)
    desk.settle()
    assert sms.status is TaskStatus.RESERVED
