"""What the targets of a seed's document begin with: every field of the definition, well and badly used."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any, Final

import msgspec

from server_stub.seeding import document

from .corpus import kept
from .rules import VALUES
from .seeds import expressions, workflows

__all__ = ["SEED_WORDS", "seed_documents"]

_QUEUE, _OTHER = "WQ" + "0" * 32, "WQ" + "1" * 32
_FIELDS: Final = tuple(
    dict.fromkeys(
        name
        for part in vars(document).values()
        if isinstance(part, type) and issubclass(part, msgspec.Struct)
        for name in part.__struct_encode_fields__
    )
)
_NAMES: Final = ("a", "q", "n", "w", "Lunch", "Offline", "Available", "fax", "voice", "chat", "default")
SEED_WORDS: Final = (
    *(*_FIELDS, *_NAMES),
    *("FIFO", "LIFO", "NONE", "1==1", "x HAS 'y'", "workers.available == 0", "worker.n DESC, worker.x"),
    *("task.last", "task.o.x", "auth_token", "http://a.example/", "http://[", "2025-03-01T09:15:30+01:00"),
    *("9999-99-99", "{}", '{"a": 1}', "reservation.created", "task.*"),
    *(prefix + "0" * 32 for prefix in ("WS", "WA", "TC", "WQ", "WW", "WK", "WT")),
)
"""Names of fields, of what the seeds make, and values of each kind."""

_RULES: Final[dict[str, Any]] = {  # Any: JSON, here and below
    "filters": [
        {
            "filter_friendly_name": "f",
            "expression": "n == 5",
            "targets": [
                {"queue": "q", "priority": 3, "timeout": 30, "expression": "worker.n >= task.n"},
                {"order_by": "worker.n DESC", "skip_if": "workers.available == 0"},
                {"queue": "r", "known_worker_sid": "task.last"},
            ],
        },
        {"friendly_name": "g", "targets": [{"queue": "r", "known_worker_friendly_name": "task.o.x"}]},
    ],
    "default_filter": {"queue": "q"},
}
_ODD_NUMBERS: Final[tuple[Any, ...]] = (math.nan, [math.inf], {"b": -math.inf}, [None, {"b": []}])
_NEEDS: Final = (
    *("worker.n == task.n", "task.tag IN worker.tags", "worker.n IN [1, 5]", "worker.tags HAS task.tag"),
    *("worker.n == 5", "worker.tags HAS 'a'", "task.n == 5", "worker.n == task.none", "worker.n == worker.n"),
    *("5 == worker.n AND 1==1", "worker.n == task.o", "NOT worker.n == 5", "'a' IN worker.tags"),
)
_PLAIN: Final[dict[str, Any]] = {
    "friendly_name": "a",
    "queues": [{"friendly_name": "q"}, {"friendly_name": "r", "target_workers": ""}],
    "workers": [{"friendly_name": "n", "attributes": {"n": 5, "tags": ["a"], "o": {"x": "y"}}}],
    "workflows": [
        {"friendly_name": "w", "configuration": {"task_routing": {"default_filter": {"queue": "q"}}}}
    ],
}


def seed_documents() -> list[bytes]:
    """Seeds; small ones, as each input is built to whole workspaces."""
    found: list[dict[str, Any]] = [{"workspaces": some} for some in _workspaces()]
    found += [{"workspaces": []}, {}, {"$schema": "x", "workspaces": [_PLAIN], "account_sid": "x"}]
    return [json.dumps(one).encode() for one in found]


def _workspaces() -> list[list[Any]]:
    one: dict[str, Any] = {"friendly_name": "a", "sid": "WS" + "0" * 32}
    return [
        [_small()],
        [_PLAIN, {**_PLAIN, "friendly_name": "b"}, _PLAIN],
        [one, {**one, "friendly_name": "b"}, {"friendly_name": ""}, None],
        *([{**_PLAIN, **more}] for more in (*_settings(), *_things(), *_routing(), *_tasks())),
        *_wrong_types(),
        *_texts(),
    ]


def _small() -> dict[str, Any]:
    return {
        "friendly_name": "a",
        "template": "FIFO",
        "default_activity": "Offline",
        "activities": [{"friendly_name": "Lunch", "available": False, "sid": "WA" + "0" * 32}],
        "queues": [{"friendly_name": "q", "target_workers": "x HAS 'y'", "task_order": "LIFO"}],
        "workers": [{"friendly_name": "n", "attributes": "{}", "channels": {"chat": 2}}],
        "workflows": [
            {
                "friendly_name": "w",
                "configuration": {"task_routing": {"filters": [], "default_filter": {"queue": "q"}}},
            }
        ],
        "tasks": [{"workflow": "w", "attributes": {"a": 1}, "virtual_start_time": "2020-01-01"}],
    }


def _settings() -> list[dict[str, Any]]:
    return [
        {"multi_task_enabled": False, "prioritize_queue_order": "LIFO", "event_callback_url": "https://a"},
        {"events_filter": ["reservation.created", "task.created"], "event_callback_url": "http://["},
        *({"event_callback_url": url} for url in ("ftp://a:b@[::1]:5/", "ftp:", "http://a:99999/", "x")),
        {"events_filter": ["x", ","], "event_callback_url": "ftp://a:b@c/", "template": "LIFO"},
        {
            "events_filter": ["reservation.created", "task.created"],
            "event_callback_url": "https://a.example/",
        },
        {"events_filter": [], "friendly_name": " "},
        {"default_activity": "Lunch", "timeout_activity": "Available", "activities": [{}]},
        {"default_activity": "Nobody", "timeout_activity": "WA" + "0" * 32},
        {"auth_token": "x", "frendly_name": "x", "\n": 1, "x" * 70: 1},
        {"friendly_name": "\ud800"},
        {"friendly_name": "a" * 65},
    ]


def _things() -> list[dict[str, Any]]:
    lunch, phone = {"friendly_name": "Lunch"}, {"unique_name": "fax"}
    capacity = {"capacity": 3, "available": False}
    return [
        {"activities": [{**lunch, "available": True}, lunch, {"friendly_name": "Offline"}]},
        {"activities": [{"friendly_name": "Offline", "available": True, "sid": "WA" + "0" * 32}, 5, None]},
        {"activities": [{"friendly_name": "Available", "available": True, "sid": "WA1"}]},
        {"task_channels": [phone, phone, {"unique_name": "1 x", "channel_optimized_routing": True}]},
        {
            "task_channels": [
                {"unique_name": "voice", "friendly_name": "Phone", "channel_optimized_routing": True},
                {"unique_name": "chat", "sid": "TC" + "0" * 32},
                {**phone, "friendly_name": "Fax", "sid": "TC" + "1" * 32},
            ],
            "workers": [
                {
                    "friendly_name": "n",
                    "activity": "Available",
                    "channels": {"fax": 3, "voice": capacity, "sms": {"capacity": 0}, "x": 1, "chat": {}},
                    "sid": "WK" + "0" * 32,
                },
                {"friendly_name": "n", "activity": "Nobody", "attributes": "[]"},
                {"friendly_name": "o", "attributes": {"a": "b" * 99}, "channels": {"chat": -1, "fax": 99999}},
            ],
        },
        {
            "queues": [
                {
                    "friendly_name": "q",
                    "reservation_activity": "Unavailable",
                    "assignment_activity": "Available",
                    "max_reserved_workers": 50,
                    "sid": _QUEUE,
                },
                {"friendly_name": "q", "target_workers": "1=="},
                {"friendly_name": "r", "reservation_activity": "x", "max_reserved_workers": 51, "sid": "x"},
                {"friendly_name": "s", "target_workers": "a" * 300},
                {"friendly_name": "WQ", "sid": _QUEUE},
            ]
        },
        {
            "workers": [
                {"friendly_name": f"w{number}", "attributes": text}
                for number, text in enumerate(
                    (
                        "",
                        "{",
                        "[]",
                        "null",
                        '{"a": 1e999}',
                        '{"a":' * 130 + "1" + "}" * 130,
                        '{"a": "\\ud800"}',
                    )
                )
            ]
        },
        {"workers": [{"friendly_name": "x", "attributes": {"a": "\ud800", "contact_uri": "client:a"}}]},
        *({"workers": [{"friendly_name": "x", "attributes": {"a": one}}]} for one in _ODD_NUMBERS),
    ]


def _routing() -> list[dict[str, Any]]:
    def flows(*given: Any, **more: Any) -> dict[str, Any]:
        return {
            "workflows": [
                {"friendly_name": f"w{number}", "configuration": one, **more}
                for number, one in enumerate(given)
            ]
        }

    def target(**keys: Any) -> dict[str, Any]:
        return {"task_routing": {"filters": [{"targets": [keys]}]}}

    return [
        flows({"task_routing": _RULES}, task_reservation_timeout=30, sid="WW" + "0" * 32),
        flows(json.dumps({"task_routing": _RULES}), assignment_callback_url="http://a.example/"),
        flows("[" * 1_200),
        {**flows(5, {}), "queues": [5, {}], "tasks": [{"workflow": "w0", "task_queue": "x"}]},
        flows("", "{", "[1]", "{}", '"x"', fallback_assignment_callback_url="http://["),
        flows({"task_routing": {}}, {"task_routing": []}, {"task_routing": {"filters": [None]}}, {}),
        flows(target(queue="nope"), json.dumps(target(queue="nope")), target(), target(order_by="worker.")),
        flows(target(queue="q", expression="("), target(queue="q", skip_if="1"), target(queue="q", x=1)),
        flows(target(queue="q", order_by="task.n, x y"), target(queue="q", known_worker_sid="worker.x")),
        flows(target(queue="q", known_worker_sid="task.a", known_worker_friendly_name="task.b")),
        flows(json.dumps(target(queue="q", order_by="x y z", timeout="x")), assignment_callback_url="x"),
        flows(json.dumps(target(queue="q", timeout="30", priority=-1)), task_reservation_timeout=0),
        flows(target(queue="q", friendly_name="x", target_friendly_name="y", expression=" ")),
        {"workflows": [{"friendly_name": "w", "configuration": target(queue="q")}] * 2},
        {"template": "FIFO", "workflows": [], "tasks": [{}]},
    ]


def _tasks() -> list[dict[str, Any]]:
    dates = ("2020-01-01", "2025-03-01T09:15:30+01:00", "0001-01-01", "9999-12-31T23:59:59-12:00", "x")
    aims: list[Any] = [
        {"worker": "n"},
        {"queue": "q"},
        {"workflow": "w"},
        {"worker": "x"},
        {"queue": "x"},
        {"workflow": "x"},
        {"worker": "n", "queue": "q"},
        {},
    ]
    return [
        {"tasks": [{"virtual_start_time": date} for date in dates]},
        *({"tasks": [{"routing_target": aim, "task_queue": queue}]} for aim in aims for queue in (None, "r")),
        {"tasks": [{"routing_target": {"worker": "n"}, "workflow": "w", "ignore_capacity": True}]},
        {"tasks": [{"routing_target": {"workflow": "w"}, "workflow": "w", "ignore_capacity": False}]},
        {"tasks": [{"task_channel": "fax"}, {"priority": 9, "timeout": 60, "task_channel": "chat"}]},
        {"tasks": [{"workflow": "x"}, {"task_queue": "q"}, {"priority": -1}, {"timeout": 0}]},
        {
            "tasks": [
                {"attributes": text} for text in ("{", "[]", "", '{"n": 5}', '{"a": "%s"}' % ("x" * 900))
            ]
        },
        {"tasks": [{"attributes": {"n": 5}, "sid": "WT" + "0" * 32}], "workflows": []},
        {
            "workflows": [
                {"friendly_name": "w", "configuration": {"task_routing": _RULES}},
                {"friendly_name": "v", "configuration": {"task_routing": {"filters": []}}},
            ],
            "tasks": [{}, *({"workflow": "w", "attributes": {"n": 5, "last": last}} for last in ("n", 5))],
        },
        *(
            {
                "workflows": [
                    {
                        "friendly_name": "w",
                        "configuration": {
                            "task_routing": {
                                "filters": [
                                    {"targets": [{"queue": "q", "timeout": 30, "priority": 5, **keys}]}
                                ]
                            }
                        },
                    }
                ],
                "tasks": [{"attributes": {"n": 5, "tag": "a", "o": {"x": "N"}}}, {}],
            }
            for keys in (
                *({"expression": text} for text in _NEEDS),
                {"known_worker_sid": "task.tag"},
                {"known_worker_friendly_name": "task.o.x"},
                {"skip_if": "1==1"},
                {"skip_if": "workers.available == 0", "order_by": "worker.n"},
            )
        ),
    ]


def _wrong_types() -> list[list[Any]]:
    """Every field with a value of a type that is not its own."""
    odd: tuple[Any, ...] = (None, True, 5, "x", [], {}, [5], 1.5, -1)
    lists = ("activities", "task_channels", "queues", "workflows", "workers", "tasks")
    found: list[list[Any]] = []
    for value in odd:
        everything = dict.fromkeys(_FIELDS, value)
        found += [[{**_PLAIN, **dict.fromkeys(lists, value)}], [{**everything, "friendly_name": "a"}]]
        found += [[{**_PLAIN, name: [{**everything, "friendly_name": "n"}]}] for name in lists]
        rules = {"task_routing": {"filters": [{"targets": [everything], "expression": value}]}}
        found.append([{**_PLAIN, "workflows": [{"friendly_name": "w", "configuration": rules}]}])
    return found


def _texts() -> list[list[Any]]:
    """What the fuzzers of expressions and of workflows begin with, each in its place in a seed."""
    texts = [data.decode("utf-8", "replace") for data in [*expressions(), *kept("expressions")]]
    worker = {"friendly_name": "n", "attributes": VALUES}
    found: list[list[Any]] = []
    for some in (texts[start : start + 5] for start in range(0, len(texts), 5)):
        queues = [{"friendly_name": f"q{n}", "target_workers": text} for n, text in enumerate(some)]
        found.append([{"friendly_name": "a", "queues": queues, "workers": [worker]}])
        filters = [{"targets": [{"queue": "q"}], "expression": text} for text in some]
        flows = [
            {"friendly_name": f"w{n}", "configuration": {"task_routing": {"filters": [one]}}}
            for n, one in enumerate(filters)
        ]
        tasks = [{"workflow": flow["friendly_name"], "attributes": VALUES} for flow in flows]
        found.append([{"friendly_name": "a", "queues": _PLAIN["queues"], "workflows": flows, "tasks": tasks}])
    queues = [{"friendly_name": "q", "sid": _QUEUE}, {"friendly_name": "r", "sid": _OTHER}]
    for data in [*workflows(), *kept("workflows")]:
        text = data.decode("utf-8", "replace")
        given: list[Any] = [text]
        if text.startswith("{"):
            with contextlib.suppress(ValueError):
                given.append(json.loads(text))
        else:
            order = {"queue": "q", "order_by": text, "expression": text, "known_worker_sid": text}
            given = [{"task_routing": {"filters": [{"targets": [order]}]}}]
        for one in given:
            flow = {"friendly_name": "w", "configuration": one}
            made = {"friendly_name": "a", "queues": queues, "workflows": [flow], "tasks": [{}]}
            found.append([made])
    return found
