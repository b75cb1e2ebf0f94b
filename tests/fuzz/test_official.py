"""Our SDK and the official one make the same of the same frames, but for the differences written down."""

from __future__ import annotations

import random

from server_stub import StubServer
from tests.budget import examples
from tests.fuzz.official import DIFFERENCES, SIGNALS, Handler, compare, frames_of, our_verdict


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


async def test_signals_of_the_official_sdk_share_its_emitter_with_frames(server: StubServer) -> None:
    async with Handler(server) as handler:
        assert {"connected", "disconnected", "error", "tokenExpired"} <= handler.signals <= SIGNALS
    for name in handler.signals:
        assert our_verdict(f'{{"event_type": "{name}", "payload": {{}}}}').outcome == "ignored"
