"""The same frames for our SDK and for the official one: what each makes of them, and where they differ.

    python -m tests.fuzz.official --frames 100000

Both must agree about what is an event, what is ignored and what is an error, except for `DIFFERENCES`.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import re
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from server_stub import Settings, StubServer, views
from server_stub.domain.workspace import Workspace
from taskrouter_worker.errors import InvalidMessageError
from taskrouter_worker.events import _PAYLOADS, decode

from . import seeds
from .mutation import mutated, mutated_text
from .targets import TARGETS

__all__ = ["DIFFERENCES", "Difference", "Handler", "Verdict", "compare", "frames_of", "our_verdict"]

PATIENCE: Final = 60.0
BATCH: Final = 200

Json = Any
"""JSON as Python shows it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one SDK makes of a frame.

    Attributes:
        outcome: ignored, event, error (told to the application, and it goes on) or dies.
        type: of the event, where one was recognised.
        why: of an error.
    """

    outcome: str
    type: str | None = None
    why: str = ""


def our_verdict(frame: str) -> Verdict:
    """What our SDK makes of a frame."""
    try:
        event = decode(frame)
    except InvalidMessageError as error:
        return Verdict("error", error.event_type, str(error))
    return Verdict("ignored") if event is None else Verdict("event", event.type)


# --- Where they differ --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that is meant.

    Attributes:
        name: of the difference.
        why: what each side does, and why ours does it.
        ours, theirs: the outcomes.
        applies: whether a frame is a case of it, by its text, its value (None where it is no JSON for
            Python) and the two verdicts.
    """

    name: str
    why: str
    ours: str
    theirs: str
    applies: Callable[[str, Json, Verdict, Verdict], bool]


SIGNALS: Final = frozenset({"connected", "disconnected", "error", "tokenExpired", "lifetime"})
"""Names that the official SDK uses for signals of its own, on the same emitter as the service's events."""


def _type_of(value: Json) -> Json:
    return value.get("event_type") if isinstance(value, dict) else None


def _names_a_stranger(_text: str, _value: Json, _ours: Verdict, theirs: Verdict) -> bool:
    return bool(
        re.search(r"Failed to (update Worker|update Reservation|create a Reservation|emit event)", theirs.why)
    )


DIFFERENCES: Final = (
    Difference(
        "a field is missing or of another type",
        "ours tells the application by `error`, once, and goes on; theirs throws out of its handler",
        "error",
        "dies",
        lambda _t, _v, ours, _th: ours.type is not None,
    ),
    Difference(
        "a field that theirs does not look at is missing or of another type",
        "ours checks all fields of an event; theirs checks few, and hands out what is there",
        "error",
        "event",
        lambda _t, _v, ours, _th: ours.type is not None,
    ),
    Difference(
        "a reservation without reservation_timeout",
        "answers to updates may lack it: ours does without it everywhere; theirs throws",
        "event",
        "dies",
        lambda _t, _v, _o, theirs: theirs.why.endswith("Missing: reservation_timeout"),
    ),
    Difference(
        "attributes or addons that are no JSON text",
        "ours reads them when the application does, and shows what is there; theirs throws at once",
        "event",
        "dies",
        lambda _t, _v, _o, theirs: "JSON" in theirs.why,
    ),
    Difference(
        "the event is about something that is not there",
        "ours finds out in its model, after decoding, and ignores it; theirs throws",
        "event",
        "dies",
        _names_a_stranger,
    ),
    Difference(
        "JSON, but no object",
        "theirs reads a property of null and throws; ours ignores it, as both ignore numbers and arrays",
        "ignored",
        "dies",
        lambda _t, value, _o, _th: value is None,
    ),
    Difference(
        "a signal of its own",
        "theirs takes a frame of such a type for its own signal, and may stop listening; ours ignores it",
        "ignored",
        "event",
        lambda _t, value, _o, _th: str(_type_of(value)) in SIGNALS,
    ),
    Difference(
        "a signal of its own, named error",
        "theirs hands the frame's payload to the application as an error; ours ignores it",
        "ignored",
        "error",
        lambda _t, value, _o, _th: _coerced(_type_of(value)) == "error",
    ),
    Difference(
        "a type that is no text",
        "JavaScript makes a text of it: an array of one name is that name; ours ignores it",
        "ignored",
        "event",
        lambda _t, value, _o, _th: isinstance(_type_of(value), list),
    ),
    Difference(
        "a type that is no text, of an event that theirs refuses",
        "the same",
        "ignored",
        "dies",
        lambda _t, value, _o, _th: isinstance(_type_of(value), list | dict),
    ),
    Difference(
        "half a surrogate pair",
        "it is no Unicode text and could not be sent on: ours refuses it; JavaScript's strings hold it",
        "error",
        "*",
        lambda text, _v, ours, _th: ours.type is None and re.search(r"\\u[dD][89a-fA-F]", text) is not None,
    ),
    Difference(
        "a number that no double holds",
        "ours refuses the frame; JavaScript makes it Infinity",
        "error",
        "*",
        lambda _t, _v, ours, _th: ours.type is None and "out of range" in ours.why.lower(),
    ),
    Difference(
        "white space that only one of them knows",
        "JavaScript's trim() and Python's isspace() differ in a few control characters",
        "*",
        "*",
        lambda text, _v, _o, _th: (
            not text.strip(" \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0\ufeff\u2028\u2029\u3000")
        ),
    ),
)
"""In order: the first one that applies counts."""


def _coerced(value: Json) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def compare(frame: str, ours: Verdict, theirs: Verdict) -> str | None:
    """Nothing where both say the same, or the name of the difference.

    Raises:
        AssertionError: they differ in a way that nobody meant.
    """
    if ours.outcome == theirs.outcome and (ours.outcome != "event" or ours.type == theirs.type):
        return None
    try:
        value = json.loads(frame)
    except (ValueError, RecursionError):
        value = None
    for difference in DIFFERENCES:
        if (
            difference.ours in ("*", ours.outcome)
            and difference.theirs in ("*", theirs.outcome)
            and difference.applies(frame, value, ours, theirs)
        ):
            return difference.name
    raise AssertionError(f"ours: {ours}\ntheirs: {theirs}\nframe: {frame!r}")


# --- The official SDK ---------------------------------------------------------------------------


@dataclass(eq=False)
class Handler:
    """A Node process with a ready worker of the official SDK, whose handler takes frames.

    Use it as an async context manager.
    """

    server: StubServer
    process: Process | None = None
    payloads: list[tuple[str, Json]] = None  # type: ignore[assignment]  # made when it is entered
    signals: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        node = shutil.which("node")
        assert node is not None, "needs Node 18 or newer: install nodejs and npm, then run `make setup`"
        workspace = self.server.account.workspaces[self.server.workspace_sid]
        token, self.payloads = _prepared(self.server, workspace)
        script = Path(__file__).parent / "frames.cjs"
        self.process = await asyncio.create_subprocess_exec(
            node, str(script), stdin=PIPE, stdout=PIPE, limit=2**26
        )
        options = {"ebServer": self.server.eb_server, "wsServer": self.server.ws_server}
        reservation = next(payload for name, payload in self.payloads if name == "reservation.created")
        ready = await self._ask({"token": token, "options": options, "reservation": reservation})
        self.signals = frozenset(ready["internal"])
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()

    async def verdicts(self, frames: Sequence[str]) -> list[Verdict]:
        """What the official SDK makes of each frame."""
        return [
            Verdict(found["outcome"], found["type"], found.get("why", ""))
            for found in await self._ask(frames)
        ]

    async def _ask(self, message: Json) -> Json:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        # Escaped: half a surrogate pair travels no other way.
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            await self.process.stdin.drain()
            line = await self.process.stdout.readline()
        assert line, "Node ended"
        return json.loads(line)


def _prepared(server: StubServer, workspace: Workspace) -> tuple[str, list[tuple[str, Json]]]:
    """A token of a worker that has a reservation, and a payload for each event, about what is there."""
    run = server._runtime.run
    available = next(activity for activity in workspace.activities.values() if activity.available)
    worker = run(workspace, lambda ws: ws.create_worker(friendly_name="nina", activity_sid=available.sid))
    run(workspace, lambda ws: ws.create_task(attributes='{"topic": "cards"}'))
    (reservation,) = worker.live_reservations
    now = workspace.now()
    channel = next(iter(worker.channels.values()))
    made: dict[str, Json] = {
        "worker": views.worker_fields(workspace, worker),
        "channel": views.channel_fields(workspace, channel),
        "reservation": views.reservation_fields(workspace, reservation, now),
    }
    plain = {name: msgspec.json.decode(msgspec.json.encode(fields)) for name, fields in made.items()}
    transfer = {
        **seeds.TRANSFER,
        "initiating_reservation_sid": reservation.sid,
        "task_sid": reservation.task.sid,
        "initiating_worker_sid": worker.sid,
    }
    payloads: list[tuple[str, Json]] = []
    for data in seeds.frames():
        try:
            frame = json.loads(data)
        except ValueError:
            continue
        if not isinstance(frame, dict) or "payload" not in frame:
            continue
        name = str(frame["event_type"])
        if name not in _PAYLOADS:
            continue
        payload = frame["payload"]
        if name.startswith("task.transfer"):
            payload = transfer
        elif name.startswith("task."):
            payload = plain["reservation"]["task"]
        elif name.startswith("reservation."):
            payload = plain["reservation"]
        elif "capacity" in name or "channel" in name:
            payload = {**plain["channel"], "version": 3}
        elif name.startswith("worker."):
            payload = plain["worker"]
        payloads.append((name, payload))
    token = server.worker_token(worker.sid)
    return token, payloads


def frames_of(payloads: Sequence[tuple[str, Json]], number: int, dice: random.Random) -> list[str]:
    """Frames about what is there, and mutations of them. None makes the official SDK end its session."""
    good = [json.dumps({"event_type": name, "payload": payload}) for name, payload in payloads]
    words = TARGETS["frames"].words
    texts = [
        *good,
        "",
        " ",
        "\n",
        "null",
        "1",
        "[]",
        "{}",
        '"x"',
        "{",
        '{"event_type": "x"}',
        '{"payload": {}}',
    ]
    while len(texts) < number:
        data = dice.choice(texts[:60]).encode("utf-8", "surrogatepass")
        change = mutated if dice.random() < 0.85 else mutated_text
        texts.append(change(data, dice, words, []).decode("utf-8", "replace"))
    return [text for text in texts[:number] if not any(f'"{signal}"' in text for signal in SIGNALS)]


async def _run(number: int, seed: int) -> int:
    counts: collections.Counter[str] = collections.Counter()
    wrong = 0
    async with StubServer(Settings(port=0)) as server, Handler(server) as handler:
        frames = frames_of(handler.payloads, number, random.Random(seed))
        for start in range(0, len(frames), BATCH):
            batch = frames[start : start + BATCH]
            for frame, theirs in zip(batch, await handler.verdicts(batch), strict=True):
                ours = our_verdict(frame)
                try:
                    counts[compare(frame, ours, theirs) or f"the same: {ours.outcome}"] += 1
                except AssertionError as error:
                    wrong += 1
                    if wrong <= 20:
                        print(error)
    for name, count in counts.most_common():
        print(f"{count:>9,}  {name}")
    print(f"{len(frames):,} frames, {wrong} differences that nobody meant")
    return int(bool(wrong))


def main() -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.official")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    return asyncio.run(_run(arguments.frames, arguments.seed))


if __name__ == "__main__":
    sys.exit(main())
