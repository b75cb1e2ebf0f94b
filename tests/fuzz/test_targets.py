"""Every parser takes whatever comes: mutated examples, JSON made of its own words, and plain bytes.

The same targets run for long, guided by coverage, with `python -m tests.fuzz all`.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.budget import examples
from tests.fuzz.corpus import CORPUS, is_small_text, kept
from tests.fuzz.doors import close_doors
from tests.fuzz.mutation import mutated
from tests.fuzz.target import Broken, Target, judge, kind_of
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent

pytestmark = pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")


@pytest.fixture(autouse=True)
def doors_are_closed() -> Iterator[None]:
    """Whole requests run in an event loop of their own, which is kept from one to the next."""
    yield
    close_doors()


@functools.cache
def seeds_of(name: str) -> list[bytes]:
    return TARGETS[name].seeds()


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """What a target is tried with."""
    seeds = seeds_of(target.name)

    def changed(seed: bytes, number: int) -> bytes:
        return target.change(seed, random.Random(number), target.words, seeds)

    mutations = st.builds(changed, st.sampled_from(seeds), st.integers(0, 2**32))
    if target.change is not mutated:
        return mutations | st.binary(max_size=60) | st.text(max_size=60).map(str.encode)
    words = st.sampled_from(target.words)
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | words
    values: st.SearchStrategy[Any] = st.recursive(  # Any: JSON
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
        max_leaves=8,
    )
    return (
        mutations | mutations | st.dictionaries(words, values).map(lambda value: json.dumps(value).encode())
    )


@pytest.mark.parametrize("name", TARGETS)
def test_parser_accepts_or_refuses_whatever_comes(name: str) -> None:
    target = TARGETS[name]

    @settings(
        max_examples=examples(25), database=None, suppress_health_check=[HealthCheck.too_slow], deadline=None
    )
    @given(inputs(target))
    def run(data: bytes) -> None:
        judge(target, data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_examples_and_what_fuzzing_found_worth_keeping_are_judged_again(name: str) -> None:
    seeds = seeds_of(name)
    some = seeds[:: 1 + len(seeds) // examples(600)]  # all of them but where there are thousands
    for data in [*some, *kept(name)]:
        judge(TARGETS[name], data)


PIECES = (
    "[",
    "{",
    "(",
    '"',
    "'",
    "\\",
    "-",
    "9",
    "\n",
    " ",
    "[{",
    '{"a":',
    "- ",
    "? ",
    "[1,",
    "NOT ",
    "a.",
    "a[0].",
    "%41",
    "&a=",
    "&a ",
)


@pytest.mark.parametrize("name", TARGETS)
def test_no_piece_repeated_to_four_kilobytes_takes_long(name: str) -> None:
    target = TARGETS[name]
    for piece in (*PIECES, *target.words[::4]):
        judge(target, (piece.encode("utf-8", "surrogatepass") * 4_096)[:4_096])


@pytest.mark.parametrize("name", TARGETS)
def test_examples_reach_beyond_the_first_refusal(name: str) -> None:
    target = TARGETS[name]

    def is_accepted(data: bytes) -> bool:
        try:
            target.parse(data)
        except target.refusals:
            return False
        return True

    assert any(map(is_accepted, seeds_of(name)))


def test_kept_inputs_are_small_texts_of_targets_without_paths() -> None:
    for path in (HERE / "corpus").iterdir():
        assert path.stem in TARGETS
        found = kept(path.stem)
        assert 0 < len(found) <= CORPUS
        assert all(is_small_text(data) for data in found)
        assert not re.search(rb"/(home|root|tmp|usr)/", b"\n".join(found))


# --- The judge itself ---------------------------------------------------------------------------


def _target(parse: Any) -> Target:
    return Target(name="x", parse=parse, refusals=(ValueError,), seeds=lambda: [b""], packages=())


def _refuse(data: bytes) -> str:
    raise ValueError(data.decode())


def _break(data: bytes) -> str:
    raise KeyError(data)


def _spin(data: bytes) -> str:
    return str(sum(range(5_000_000 if data else 0)))


def test_documented_refusal_is_no_finding_and_any_other_exception_is() -> None:
    assert judge(_target(_refuse), b"x").startswith("ValueError _refuse:")
    with pytest.raises(KeyError):
        judge(_target(_break), b"x")


def test_input_that_costs_too_much_is_a_finding() -> None:
    assert judge(_target(_spin), b"", seconds=0.01) == "0"
    with pytest.raises(Broken, match="1 bytes took"):
        judge(_target(_spin), b"x", seconds=0.01)


def test_kind_of_a_refusal_does_not_depend_on_the_values_in_its_text() -> None:
    kinds = {judge(_target(_refuse), data) for data in (b"one", b"two 'quoted'")}
    assert len(kinds) == 1
    assert kind_of(ValueError("x")) == "ValueError "
