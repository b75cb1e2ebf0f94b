"""Our SDK and the official one make the same of the same frames, but for the differences written down."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from server_stub import Settings, StubServer
from tests.budget import examples
from tests.fuzz.official import DIFFERENCES, SIGNALS, Handler, compare, frames_of, our_verdict


@pytest.fixture
async def server() -> AsyncIterator[StubServer]:
    """One with the same SIDs each time: the frames are the same, and so are their mutations."""
    async with StubServer(Settings(port=0, seed=6)) as server:
        yield server


async def test_both_sdks_agree_about_mutated_frames(server: StubServer) -> None:
    async with Handler(server) as handler:
        frames = frames_of(handler.payloads, examples(600), random.Random(6))
        verdicts = await handler.verdicts(frames)
    outcomes = [
        compare(frame, our_verdict(frame), theirs) for frame, theirs in zip(frames, verdicts, strict=True)
    ]
    assert {verdict.outcome for verdict in verdicts} == {"ignored", "event", "error", "dies"}
    assert outcomes.count(None) > len(outcomes) / 3
    assert set(outcomes) - {None} <= {difference.name for difference in DIFFERENCES}


async def test_each_event_is_an_event_to_both(server: StubServer) -> None:
    async with Handler(server) as handler:
        frames = frames_of(handler.payloads, len(handler.payloads), random.Random(1))
        verdicts = await handler.verdicts(frames)
    assert len(frames) > 20
    for frame, theirs in zip(frames, verdicts, strict=True):
        ours = our_verdict(frame)
        assert (ours.outcome, ours.type) == ("event", theirs.type) == (theirs.outcome, theirs.type)


def cases(payloads: Mapping[str, Any]) -> dict[str, str]:
    """For each difference a frame that shows it."""
    reservation = payloads["reservation.created"]

    def frame(event_type: Any, payload: Any) -> str:
        return json.dumps({"event_type": event_type, "payload": payload})

    def without(name: str) -> dict[str, Any]:
        return {key: value for key, value in reservation.items() if key != name}

    task = {**reservation["task"], "attributes": "no JSON"}
    shown = (
        frame("reservation.created", without("sid")),
        frame("worker.attributes.update", {**payloads["worker.attributes.update"], "friendly_name": 5}),
        frame("reservation.accepted", without("reservation_timeout")),
        frame("reservation.created", {**reservation, "task": task}),
        frame("reservation.accepted", {**reservation, "sid": "WR" + "f" * 32}),
        "null",
        frame("tokenExpired", {}),
        frame("error", {}),
        frame(["reservation.failed"], {"sid": "x"}),
        frame(["reservation.created"], {}),
        '{"event_type": "reservation.failed", "payload": {"a": "\\ud800"}}',
        "[1e400]",
        "\ufeff",
    )
    return dict(zip((difference.name for difference in DIFFERENCES), shown, strict=True))


async def test_each_difference_is_one(server: StubServer) -> None:
    async with Handler(server) as handler:
        shown = cases(dict(handler.payloads))
        verdicts = await handler.verdicts(list(shown.values()))
    found = [
        compare(frame, our_verdict(frame), theirs)
        for frame, theirs in zip(shown.values(), verdicts, strict=True)
    ]
    assert found == list(shown)


async def test_signals_of_the_official_sdk_share_its_emitter_with_frames(server: StubServer) -> None:
    async with Handler(server) as handler:
        assert {"connected", "disconnected", "error", "tokenExpired"} <= handler.signals <= SIGNALS
    for name in handler.signals:
        assert our_verdict(f'{{"event_type": "{name}", "payload": {{}}}}').outcome == "ignored"
