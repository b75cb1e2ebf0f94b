"""Reading workflow configurations, and every way in which one may be malformed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server_stub.domain.errors import InvalidArgument
from server_stub.domain.workflow import (
    MAX_BYTES,
    KnownBy,
    KnownWorker,
    OrderKey,
    parse_configuration,
    parse_order_by,
)

WQ1, WQ2, WQ3 = (f"WQ{number:032x}" for number in (1, 2, 3))

PUBLISHED: dict[str, Any] = {
    "task_routing": {
        "filters": [
            {
                "filter_friendly_name": "Card questions",
                "expression": 'topic == "cards" AND lang IN ["pt", "es"]',
                "targets": [
                    {"queue": WQ2, "known_worker_sid": "task.last_agent", "timeout": 15, "priority": 20},
                    {
                        "expression": "worker.level >= 3",
                        "order_by": "worker.level DESC, worker.age",
                        "timeout": "30",
                        "skip_if": "workers.available == 0",
                    },
                    {"queue": WQ3, "priority": "40", "unknown": {"kept": True}},
                ],
            },
            {"friendly_name": "Everything", "targets": [{"queue": WQ1}]},
        ],
        "default_filter": {"task_queue_sid": WQ1},
    }
}


def test_a_published_configuration_is_read_completely() -> None:
    found = parse_configuration(json.dumps(PUBLISHED))
    cards, everything = found.filters
    assert (cards.name, everything.name, everything.expression) == ("Card questions", "Everything", None)
    first, second, third = cards.steps
    assert [step.queue_sid for step in cards.steps] == [WQ2, WQ2, WQ3]
    assert [step.deadline for step in cards.steps] == [15, 45, None]
    assert (first.target.priority, second.target.priority, third.target.priority) == (20, None, 40)
    assert first.target.known_worker == KnownWorker(KnownBy.SID, ("last_agent",))
    assert second.target.order_by == (OrderKey(("level",), descending=True), OrderKey(("age",)))
    assert str(second.target.skip_if) == "workers.available == 0"
    assert found.default is not None
    assert found.default.queue_sid == WQ1
    assert found.queue_sids == {WQ1, WQ2, WQ3}


def test_filters_and_default_filter_may_be_missing() -> None:
    found = parse_configuration('{"task_routing": {}}')
    assert (found.filters, found.default, found.queue_sids) == ((), None, frozenset())


def test_filters_are_tried_from_the_top_and_then_further_down() -> None:
    found = parse_configuration(json.dumps(PUBLISHED))
    cards, everything = found.filters
    attributes = {"topic": "cards", "lang": "pt"}

    def resolve(path: tuple[str | int, ...]) -> object:
        return attributes.get(str(path[0]))

    assert found.next_filter(resolve) is cards
    assert found.next_filter(resolve, after=cards) is everything
    assert found.next_filter(resolve, after=everything) is None
    attributes["lang"] = "de"
    assert found.next_filter(resolve) is everything


def test_a_step_finds_its_counterpart_in_a_changed_configuration() -> None:
    before = parse_configuration(json.dumps(PUBLISHED))
    changed = json.loads(json.dumps(PUBLISHED))
    filters = changed["task_routing"]["filters"]
    filters.insert(0, {"expression": "1==2", "targets": [{"queue": WQ3}]})
    filters[1]["targets"][0]["timeout"] = 60
    filters[1]["targets"][2]["queue"] = WQ1
    after = parse_configuration(json.dumps(changed))
    first, second, third = before.filters[0].steps
    assert after.counterpart(first) is after.filters[1].steps[0]
    assert after.counterpart(second) is after.filters[1].steps[1]
    assert after.counterpart(third) is None  # another queue now
    assert before.default is not None
    assert after.counterpart(before.default) is after.default
    del changed["task_routing"]["default_filter"]
    assert parse_configuration(json.dumps(changed)).counterpart(before.default) is None


def one_target(**keys: object) -> str:
    return json.dumps({"task_routing": {"filters": [{"targets": [{"queue": WQ1, **keys}]}]}})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "the document: expected an object"),
        ("{}", "expected the key 'task_routing'"),
        ('{"task_routing": []}', "task_routing: expected an object"),
        ('{"task_routing": {"filters": {}}}', "task_routing.filters: expected an array"),
        ('{"task_routing": {"filters": [1]}}', "task_routing.filters[0]: expected an object"),
        ('{"task_routing": {"filters": [{}]}}', "task_routing.filters[0].targets: expected at least one"),
        ('{"task_routing": {"filters": [{"targets": [{}]}]}}', "targets[0]: expected the key 'queue'"),
        ('{"task_routing": {"default_filter": {}}}', "task_routing.default_filter: expected the key 'queue'"),
        ('{"task_routing": {"default_filter": {"queue": "WQ1"}}}', "default_filter.queue: expected a task"),
        (one_target(timeout=0), "filters[0].targets[0].timeout: expected an integer from 1"),
        (one_target(timeout="soon"), "timeout: expected an integer"),
        (one_target(timeout=1.5), "timeout: expected an integer"),
        (one_target(timeout=True), "timeout: expected an integer"),
        (one_target(timeout="9" * 50), "timeout: expected an integer"),
        (one_target(priority=-1), "priority: expected an integer from 0"),
        (one_target(priority=2**31), "priority: expected an integer from 0"),
        (one_target(expression="worker.level >="), "targets[0].expression: mismatched input '<EOF>'"),
        (one_target(expression=5), "targets[0].expression: expected a string"),
        (one_target(skip_if="workers-available"), "targets[0].skip_if: extraneous input '-'"),
        (one_target(order_by="level"), "targets[0].order_by: expected a worker attribute"),
        (one_target(order_by="worker.level UP"), "targets[0].order_by: expected 'worker.<attribute>"),
        (one_target(order_by="worker.level,,"), "targets[0].order_by: expected 'worker.<attribute>"),
        (one_target(known_worker_sid="agent"), "known_worker_sid: expected a reference such as task."),
        (one_target(known_worker_sid="task.a == 1"), "known_worker_sid: extraneous input '=='"),
        (
            one_target(known_worker_sid="task.a", known_worker_friendly_name="task.b"),
            "expected only one of 'known_worker_sid' and 'known_worker_friendly_name'",
        ),
        (one_target(target_friendly_name="\ud800"), "half a surrogate pair"),
    ],
)  # fmt: skip
def test_a_malformed_configuration_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_configuration(text)
    assert str(caught.value).startswith("Configuration")
    assert place in str(caught.value)


def test_size_is_limited_in_bytes() -> None:
    text = '{"task_routing": {}, "padding": "%s"}'
    room = MAX_BYTES - len(text % "")
    parse_configuration(text % ("x" * room))
    with pytest.raises(InvalidArgument, match=f"expected at most {MAX_BYTES}"):
        parse_configuration(text % ("é" * (room // 2 + 1)))


def test_order_by_reads_directions_in_any_case() -> None:
    assert parse_order_by(" ") == ()
    assert parse_order_by("worker.a asc,worker.b.c Desc") == (
        OrderKey(("a",)),
        OrderKey(("b", "c"), descending=True),
    )
