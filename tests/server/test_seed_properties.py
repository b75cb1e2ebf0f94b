"""Any seed document either loads or is told what is wrong with it, where; and positions are exact."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from server_stub.domain.memento import dump, restore
from server_stub.domain.model import Limits
from server_stub.domain.workspace import Workspace
from server_stub.seeding import Problem, Seed, SeedError, Source, read_source, source_for
from server_stub.seeding.check import check
from server_stub.state.documents import FreshSids
from tests.server.test_seed import made

NAMES = st.sampled_from(
    ["Cards", "Loans", "Available", "Offline", "nina", "", "x" * 65, "voice", "ü\u2028'\"#"]
)
EXPRESSIONS = st.sampled_from(["1==1", "", "skills HAS 'a'", "worker.level > 3", "a ==", "(", "x" * 10])
NUMBERS = st.sampled_from([0, 1, 3, 51, -1, 2**40])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def part(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=2)


ATTRIBUTES = st.dictionaries(st.text(max_size=5), JSON, max_size=2) | st.sampled_from(
    ["{}", "[]", "{", '{"a": 1}']
)
TARGET = part(
    {}, queue=NAMES, expression=EXPRESSIONS, timeout=NUMBERS, priority=NUMBERS, order_by=EXPRESSIONS,
    skip_if=EXPRESSIONS, known_worker_sid=EXPRESSIONS, known_worker_friendly_name=st.just("task.agent"),
)  # fmt: skip
CONFIGURATION = part(
    {
        "task_routing": part(
            {},
            filters=some(part({"targets": some(TARGET)}, expression=EXPRESSIONS)),
            default_filter=part({}, queue=NAMES, task_queue_sid=NAMES),
        )
    }
)
WORKSPACE = part(
    {"friendly_name": NAMES},
    template=st.sampled_from(["NONE", "FIFO"]),
    multi_task_enabled=st.booleans(),
    event_callback_url=st.sampled_from(["", "http://localhost/", "nonsense"]),
    events_filter=st.lists(st.sampled_from(["task.created", "nothing"]), max_size=2),
    default_activity=NAMES,
    timeout_activity=NAMES,
    activities=some(part({"friendly_name": NAMES}, available=st.booleans())),
    task_channels=some(part({"unique_name": NAMES}, friendly_name=NAMES)),
    queues=some(
        part({"friendly_name": NAMES}, target_workers=EXPRESSIONS, max_reserved_workers=NUMBERS,
             task_order=st.sampled_from(["FIFO", "LIFO"]), reservation_activity=NAMES)
    ),
    workflows=some(
        part({"friendly_name": NAMES, "configuration": CONFIGURATION | CONFIGURATION.map(json.dumps)},
             task_reservation_timeout=NUMBERS, assignment_callback_url=st.just("http://localhost/"))
    ),
    workers=some(
        part({"friendly_name": NAMES}, attributes=ATTRIBUTES, activity=NAMES,
             channels=st.dictionaries(NAMES, NUMBERS | part({}, capacity=NUMBERS, available=st.booleans()),
                                      max_size=2))
    ),
    tasks=some(
        part({}, attributes=ATTRIBUTES, workflow=NAMES, priority=NUMBERS, timeout=NUMBERS, task_channel=NAMES,
             virtual_start_time=st.sampled_from(["2025-03-01", "9999-01-01", "soon"]),
             routing_target=part({}, worker=NAMES, queue=NAMES, workflow=NAMES),
             ignore_capacity=st.booleans(), task_queue=NAMES)
    ),
)  # fmt: skip
DOCUMENTS = part({"workspaces": some(WORKSPACE)})


@given(DOCUMENTS)
def test_document_loads_or_every_problem_has_its_place(document: dict[str, Any]) -> None:
    is_json = _is_json(document)
    source = read_source(json.dumps(document).encode(), name="seed.json") if is_json else source_for(document)
    problems: tuple[Problem, ...] = ()
    workspaces: list[Workspace] = []
    try:
        workspaces = made(source)
    except SeedError as error:
        problems = error.problems
    assert bool(problems) is not bool(workspaces)
    for problem in problems:
        assert problem.path.startswith("workspaces"), problem
        assert problem.message
        assert (problem.line is not None) is is_json
    if problems:
        return
    assert [w.friendly_name for w in workspaces] == [w["friendly_name"] for w in document["workspaces"]]
    for workspace in workspaces:
        workspace.take_events()
        while workspace.route():
            workspace.take_events()
        stored = dump(workspace)
        sids = FreshSids(workspace.new_sid, ())
        again = restore(stored, now=workspace.now, sids=sids, limits=Limits())
        assert dump(again) == stored


@given(JSON | DOCUMENTS)
def test_check_agrees_with_msgspec(document: Any) -> None:
    source = Source("seed", document)
    seed = check(source)
    try:
        expected = msgspec.convert(document, Seed)
    except msgspec.ValidationError:
        assert source.problems
        return
    if not source.problems:  # what is no JSON, or half a character, only `check` refuses
        assert seed == expected


def _is_json(document: Any) -> bool:
    try:
        json.dumps(document, allow_nan=False)
    except ValueError:
        return False
    return True


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
KEYS = st.text("ab.\"' é#", max_size=3)
TREES: st.SearchStrategy[Any] = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=4),
    st.recursive(
        st.booleans() | st.integers(-99, 99) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)  # fmt: skip


def places(value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    match value:
        case dict():
            return [place, *(p for key, item in value.items() for p in places(item, (*place, key)))]
        case list():
            return [place, *(p for index, item in enumerate(value) for p in places(item, (*place, index)))]
        case _:
            return [place]


def toml_value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{toml_value(k)} = {toml_value(v)}" for k, v in value.items()) + " }"
        case list():
            return "[ # (\n" + ",\n ".join(map(toml_value, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=True).replace("\\u007f", "\\u007F") if _plain(value) else (
                '"' + "".join(f"\\U{ord(c):08X}" for c in value) + '"'
            )  # fmt: skip
        case _:
            return str(value)


def _plain(text: str) -> bool:
    return all(" " <= c < "\x7f" for c in text)


def toml_text(tree: dict[str, Any]) -> str:
    """Tables and arrays of tables where there may be, inline ones in them."""
    lines = [f"{toml_value(k)} = {toml_value(v)}" for k, v in tree.items() if not _is_table(v)]
    for key, value in tree.items():
        if _is_table(value):
            tables = value if isinstance(value, list) else [value]
            head = "[[ {} ]]" if isinstance(value, list) else "[{}]"
            for table in tables:
                lines.append(head.format(toml_value(key)))
                lines += [f"{toml_value(k)}={toml_value(v)}" for k, v in table.items()]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
    )


def assert_places(source: Source, tree: Any) -> None:
    assert source.document == tree
    assert source.positions is not None
    for place in places(tree):
        assert place in source.positions, place
        value = source.value_at(place)
        rest = source.text[source.positions.offset(place) :]
        if isinstance(value, bool):
            assert rest.startswith(str(value).lower())
        elif isinstance(value, int):
            assert rest.startswith(str(value))
        elif isinstance(value, dict) and place and not rest.startswith("["):
            assert rest.startswith("{")
        elif isinstance(value, str):
            assert rest.startswith('"')


@given(TREES)
def test_positions_in_toml_are_exact(tree: dict[str, Any]) -> None:
    assert_places(read_source(toml_text(tree).encode(), name="x.toml"), tree)


@given(TREES, st.sampled_from([None, 1, "\t"]))
def test_positions_in_json_are_exact(tree: dict[str, Any], indent: Any) -> None:
    assert_places(read_source(json.dumps(tree, indent=indent).encode(), name="x.json"), tree)


@given(TREES)
def test_positions_in_yaml_are_exact_also_where_it_is_json(tree: dict[str, Any]) -> None:
    source = read_source(json.dumps(tree, indent=1).encode(), name="x.yaml")
    assert_places(source, tree)
