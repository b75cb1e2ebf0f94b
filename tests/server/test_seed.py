"""Seed documents: what they make, and how each of their problems is told."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server_stub.domain.model import Limits
from server_stub.domain.workspace import Workspace
from server_stub.seeding import Problem, SeedDocument, SeedError, Source, read_source, source_for
from server_stub.seeding.build import build
from server_stub.seeding.schema import SCHEMA_FILE, schema_text, table_text
from server_stub.seeding.sids import SeedSids

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "seeds" / "contact_center.yaml"

YAML = """\
workspaces:
  - friendly_name: Desk
    activities:
      - friendly_name: Lunch
    queues:
      - friendly_name: Cards
        target_workers: skills HAS "cards"
    workflows:
      - friendly_name: Main
        configuration:
          task_routing:
            default_filter: {queue: Cards}
    workers:
      - friendly_name: nina
        activity: Available
        attributes: {skills: [cards]}
        channels: {voice: 2, chat: {available: false}}
    tasks:
      - attributes: {topic: cards}
        virtual_start_time: 2025-03-01T09:15:30Z
"""

TOML = """\
[[workspaces]]
friendly_name = "Desk"

[[workspaces.activities]]
friendly_name = "Lunch"

[[workspaces.queues]]
friendly_name = "Cards"
target_workers = 'skills HAS "cards"'

[[workspaces.workflows]]
friendly_name = "Main"
configuration.task_routing.default_filter.queue = "Cards"

[[workspaces.workers]]
friendly_name = "nina"
activity = "Available"
attributes = { skills = ["cards"] }
channels = { voice = 2, chat.available = false }

[[workspaces.tasks]]
attributes.topic = "cards"
virtual_start_time = 2025-03-01T09:15:30Z
"""


def made(
    document: SeedDocument | Source, *, base: str = "base", limits: Limits | None = None
) -> list[Workspace]:
    source = document if isinstance(document, Source) else source_for(document)
    return build(
        source,
        account_sid="AC" + "0" * 32,
        now=lambda _: time.time,
        sids=lambda name: SeedSids(base, name, repeatable=True),
        limits=limits or Limits(),
    )


def read(text: str, name: str = "seed.yaml") -> Source:
    return read_source(text.encode(), name=name)


def problems(text: str, name: str = "seed.yaml") -> list[Problem]:
    with pytest.raises(SeedError) as caught:
        made(read(text, name))
    return list(caught.value.problems)


def place_of(text: str, marked: str, *, plus: int = 0) -> tuple[int, int]:
    """The line and column at which `marked`, which is there once, begins."""
    assert text.count(marked) == 1, marked
    before = text[: text.index(marked) + plus]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def shape(workspace: Workspace) -> dict[str, Any]:
    [worker] = workspace.workers.values()
    [task] = workspace.tasks.values()
    [queue] = workspace.task_queues.values()
    [workflow] = workspace.workflows.values()
    channels = {c.task_channel.unique_name: c for c in worker.channels.values()}
    return {
        "name": workspace.friendly_name,
        "activities": [(a.friendly_name, a.available) for a in workspace.activities.values()],
        "queue": (queue.friendly_name, queue.target_workers),
        "leads to": workflow.parsed_configuration.queue_sids == {queue.sid},
        "worker": (worker.friendly_name, worker.activity.friendly_name, worker.parsed_attributes),
        "voice": (channels["voice"].configured_capacity, channels["voice"].available),
        "chat": (channels["chat"].configured_capacity, channels["chat"].available),
        "task": (task.parsed_attributes, task.virtual_start_time, task.queue is queue),
    }


# --- What a seed makes --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["yaml", "toml", "json", "objects"])
def test_every_format_makes_the_same(kind: str) -> None:
    document = read(YAML).document
    assert isinstance(document, dict)
    match kind:
        case "yaml":
            source = read(YAML)
        case "toml":
            source = read(TOML, "seed.toml")
        case "json":
            source = read(json.dumps(document), "seed.json")
        case _:
            source = source_for(document)
    [workspace] = made(source)
    assert shape(workspace) == {
        "name": "Desk",
        "activities": [("Offline", False), ("Available", True), ("Unavailable", False), ("Lunch", False)],
        "queue": ("Cards", 'skills HAS "cards"'),
        "leads to": True,
        "worker": ("nina", "Available", {"skills": ["cards"]}),
        "voice": (2, True),
        "chat": (1, False),
        "task": ({"topic": "cards"}, datetime(2025, 3, 1, 9, 15, 30, tzinfo=UTC).timestamp(), True),
    }


def test_example_is_routed_as_its_names_say() -> None:
    [workspace] = made(EXAMPLE)
    workspace.take_events()
    while workspace.route():
        workspace.take_events()
    found = {task.parsed_attributes["topic"]: task for task in workspace.tasks.values()}
    assert workspace.friendly_name == "Contact Center"
    assert (workspace.default_activity.friendly_name, workspace.timeout_activity.friendly_name) == (
        "Offline",
        "Unavailable",
    )
    assert found["cards"].priority == 100
    assert [r.worker.friendly_name for r in found["loans"].live_reservations] == ["nina"]
    # Whoever looks around in it first must not find everybody timed out and away.
    assert [workflow.task_reservation_timeout for workflow in workspace.workflows.values()] == [600]
    complaint = found["complaint"]
    assert complaint.queue is not None
    assert complaint.queue.friendly_name == "Supervisors"
    assert complaint.routing_target in workspace.workers


def test_configuration_as_json_text_may_name_queues_too() -> None:
    rules = {"task_routing": {"filters": [], "default_filter": {"queue": "Cards"}}}
    text = YAML.replace(
        "        configuration:\n          task_routing:\n            default_filter: {queue: Cards}\n",
        f"        configuration: '{json.dumps(rules)}'\n",
    )
    [workspace] = made(read(text))
    assert shape(workspace)["leads to"]


def test_names_give_the_same_sids_again_wherever_they_stand() -> None:
    [first] = made(read(YAML))
    changed = YAML.replace(
        "      - friendly_name: nina", "      - friendly_name: omar\n      - friendly_name: nina"
    )
    [second] = made(read(changed))
    assert first.sid == second.sid
    assert set(first.workers) < set(second.workers)
    assert list(first.task_queues) == list(second.task_queues)
    assert (
        list(first.worker_channels)[:5]
        == [c.sid for w in second.workers.values() if w.friendly_name == "nina" for c in w.channels.values()][
            :5
        ]
    )
    [other] = made(read(YAML), base="another server")
    assert {other.sid, *other.workers}.isdisjoint({first.sid, *first.workers})


def test_fixed_sids_are_taken_also_for_what_every_workspace_has() -> None:
    sid = "0123456789abcdef" * 2
    document = {
        "workspaces": [
            {
                "friendly_name": "Desk",
                "sid": f"WS{sid}",
                "activities": [{"friendly_name": "Available", "sid": f"WA{sid}"}],
                "task_channels": [{"unique_name": "chat", "sid": f"TC{sid}"}],
                "queues": [{"friendly_name": "Q", "sid": f"WQ{sid}"}],
                "workflows": [
                    {
                        "friendly_name": "F",
                        "sid": f"WW{sid}",
                        "configuration": {"task_routing": {"default_filter": {"queue": f"WQ{sid}"}}},
                    }
                ],
                "workers": [{"friendly_name": "nina", "sid": f"WK{sid}"}],
                "tasks": [{"sid": f"WT{sid}"}],
            }
        ]
    }
    [workspace] = made(document)
    assert workspace.sid == f"WS{sid}"
    assert workspace.activities[f"WA{sid}"].friendly_name == "Available"
    assert workspace.task_channels[f"TC{sid}"].unique_name == "chat"
    assert [list(found) for found in (workspace.task_queues, workspace.workflows, workspace.workers)] == [
        [f"WQ{sid}"],
        [f"WW{sid}"],
        [f"WK{sid}"],
    ]
    assert list(workspace.tasks) == [f"WT{sid}"]


def test_template_brings_its_queue_and_workflow() -> None:
    [workspace] = made({"workspaces": [{"friendly_name": "Desk", "template": "FIFO", "tasks": [{}]}]})
    [task] = workspace.tasks.values()
    assert task.queue is not None
    assert task.queue.friendly_name == "Sample Queue"


# --- Problems -----------------------------------------------------------------------------------

BAD = """\
workspaces:
  - friendly_name: Desk
    queues:
      - friendly_name: Sales
        target_workers: skills HAS
      - friendly_name: Cards
        reservation_activity: Availble
        task_order: FIFOO
        max_reserved_workers: 51
    workflows:
      - friendly_name: Main
        configuration:
          task_routing:
            filters:
              - expression: 'topic == "x" AND AND'
                targets:
                  - {queue: Crads, timeout: -1, prioritty: 3}
                  - {order_by: level UPWARDS, known_worker_sid: worker.sid}
            default_filter: {queue: Sales}
    workers:
      - friendly_name: nina
        activity: Available
        attributes: {skills: [a], weight: .nan}
        channels: {voice: 2, chta: 3, sms: 900}
      - friendly_name: Nina
        attributes: '[1]'
      - {}
    tasks:
      - {routing_target: {worker: omar}, virtual_start_time: soon}
    auth_token: s3cret
  - friendly_name: Other
    event_callback_url: 'ftp://me:passw0rd@host'
    sid: WS12
"""

EXPECTED = [
    # path within its workspace, text that begins at its place, offset from there, part of the message
    ("[0].queues[0].target_workers", "skills HAS\n", 10, "position 10"),
    ("[0].queues[1].reservation_activity", "Availble", 0, "did you mean 'Available'?"),
    ("[0].queues[1].task_order", "FIFOO", 0, "did you mean 'FIFO'?"),
    ("[0].queues[1].max_reserved_workers", "51", 0, "a whole number from 1 to 50"),
    ("[0].workflows[0].configuration.task_routing.filters[0].expression", "AND'", 0, "position 17"),
    ("[0].workflows[0].configuration.task_routing.filters[0].targets[0].timeout", "-1,", 0, "from 1 to"),
    (
        "[0].workflows[0].configuration.task_routing.filters[0].targets[0].prioritty",
        "prioritty",
        0,
        "'priority'",
    ),
    ("[0].workers[0].attributes.weight", ".nan", 0, "nan is no JSON value"),
    ("[0].workers[0].channels.chta", "chta", 0, "did you mean 'chat'?"),
    ("[0].workers[0].channels.sms", "900", 0, "from 0 to 50, got 900"),
    ("[0].workers[1].friendly_name", "Nina", 0, "already exists"),
    ("[0].workers[2]", "{}\n", 0, "the field 'friendly_name' is missing"),
    ("[0].tasks[0].routing_target.worker", "omar", 0, "there is no worker 'omar'"),
    ("[0].tasks[0].virtual_start_time", "soon", 0, "2025-03-01T09:15:30Z"),
    ("[0].auth_token", "auth_token", 0, "never from a seed"),
    ("[1].sid", "WS12", 0, "WS and 32 hexadecimal digits"),
    ("[1].event_callback_url", "'ftp", 0, "http or https"),
]


def test_all_problems_are_told_at_once_each_at_its_place() -> None:
    found = {problem.path: problem for problem in problems(BAD)}
    for path, marked, plus, text in EXPECTED:
        problem = found[f"workspaces{path}"]
        assert text in str(problem)
        assert (problem.line, problem.column) == place_of(BAD, marked, plus=plus), path
    assert "passw0rd" not in str(list(found.values()))
    assert "s3cret" not in str(list(found.values()))


def test_what_is_wrong_in_one_thing_does_not_hide_the_names_of_others() -> None:
    text = YAML.replace('skills HAS "cards"', "skills HAS")
    [problem] = problems(text)
    assert problem.path == "workspaces[0].queues[0].target_workers"


@pytest.mark.parametrize(
    ("name", "text", "marked", "plus", "message"),
    [
        ("seed.yaml", "workspaces:\n - name: a\n   name: b\n", "name: b", 0, "was there before"),
        ("seed.json", '{"workspaces": [],\n "workspaces": 1}', '"workspaces": 1', 0, "was there before"),
        ("seed.toml", "a = 1\na = 2\n", "2\n", 0, "overwrite"),
        ("seed.json", '{"workspaces": [1, 2,]}', "]}", 0, "expected a JSON value"),
        ("seed.json", '{"a": NaN}', "NaN", 0, "expected a JSON value"),
        ("seed.json", '{"a": "\\q"}', "\\q", 0, "escape"),
        ("seed.yaml", "workspaces: [\n", "\n", 1, "flow node"),
        ("seed.yaml", "workspaces: !!python/name:os.system x\n", "!!python", 0, "tag"),
        ("seed.yaml", "workspaces: &a\n  - *a\n", "workspaces", 0, "too large"),
        ("seed.yaml", "1: x\n", "1: x", 0, "in quotes"),
        ("seed.yaml", 'a: "\\U00110000"\n', "00110000", 0, "no character"),
        ("seed.yaml", 'a: "\\UFFFFFFFF"\n', "FFFFFFFF", 0, "no character"),
        ("seed.toml", "workspaces = \n", " \n", 0, "Invalid value"),
    ],
)  # fmt: skip
def test_text_that_cannot_be_read_is_told_with_its_place(
    name: str, text: str, marked: str, plus: int, message: str
) -> None:
    problem = problems(text, name)[0]
    assert message in problem.message
    line, column = place_of(text, marked, plus=plus)
    assert problem.line == line
    assert problem.column is not None
    assert abs(problem.column - column) <= (2 if name == "seed.toml" else 0)  # `tomllib` may stand behind it


def test_aliases_that_stand_for_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_stub.seeding.positions.MAX_VALUES", 10_000)
    layers = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    [problem] = problems(f"a0: &a0 [x]\n{layers}")
    assert "too large" in problem.message


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"a: \xff", "seed.yaml", "no UTF-8"),
        (b"{}", "seed.txt", ".yaml, .yml, .toml or .json"),
        (b"", "seed.yaml", "expected an object with workspaces"),
        (b"[" * 100_000, "seed.json", "too large"),
        (b"a = " + b"[" * 100_000, "seed.toml", "nests too deeply"),
        (b"[" * 100_000, "seed.yaml", "too large"),
    ],
)
def test_what_is_no_seed_file_at_all_is_refused(data: bytes, name: str, message: str) -> None:
    with pytest.raises(SeedError) as caught:
        made(read_source(data, name=name))
    assert message in str(caught.value)


def test_repeated_names_and_sids_are_refused() -> None:
    sid = "WK" + "a" * 32
    worker = {"friendly_name": "nina", "sid": sid}
    flow = {"friendly_name": "F", "configuration": {"task_routing": {}}}
    desk = {"friendly_name": "Desk", "workers": [worker, {"friendly_name": "omar", "sid": sid}]}
    document = {"workspaces": [{**desk, "workflows": [flow, flow]}, {"friendly_name": "Desk"}]}
    with pytest.raises(SeedError) as caught:
        made(document)
    assert sorted(problem.path for problem in caught.value.problems) == [
        "workspaces[0].workers[1].sid",
        "workspaces[0].workflows[1].friendly_name",
        "workspaces[1].friendly_name",
    ]
    assert {problem.line for problem in caught.value.problems} == {None}


def test_plain_words_mean_what_yaml_1_2_says() -> None:
    text = "{a: no, b: 010, c: 0o10, d: 1e3, e: 2025-03-01, f: ~, g: True, h: 0x1F, i: 1:30, j: -.5}"
    assert read(text).document == {
        "a": "no", "b": 10, "c": 8, "d": 1000.0, "e": "2025-03-01",
        "f": None, "g": True, "h": 31, "i": "1:30", "j": -0.5,
    }  # fmt: skip


def test_schema_for_editors_is_that_of_the_definition() -> None:
    assert SCHEMA_FILE.read_text() == schema_text(), "run python -m server_stub.seeding.schema"


def test_page_shows_every_field() -> None:
    page = (ROOT / "docs" / "state.md").read_text()
    assert table_text() in page, "run python -m server_stub.seeding.schema"
