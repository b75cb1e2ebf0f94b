"""Plays a plan: starts everything, does what the plan says, lets all heal, collects the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from server_stub.proxy import TcpProxy
from tests.soak.desk import ALIVE, Door, EventReader, Feed, RefusedError
from tests.soak.evidence import Evidence
from tests.soak.journal import read_journal
from tests.soak.plan import Act
from tests.soak.processes import CrewProcess, ProcessError, ServerProcess

__all__ = ["Run", "Setting", "play"]

RESERVATION_TIMEOUT: Final = 8
TOKEN_SECONDS: Final = 45
HEAL_SECONDS: Final = 240.0
"""How long the last tasks may take after everything works again, on a busy machine."""

QUIET: Final = 5.0
"""Seconds after the last task's end in which the workers hear of it."""

ACT_SECONDS: Final = 240.0
RETRIES: Final = 20
SAMPLE_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run is made of.

    Attributes:
        rate: tasks per second.
        retention, event_retention: seconds for which the server keeps ended tasks, and events.
        data: a path or a PostgreSQL address.
    """

    seconds: float
    workers: int
    processes: int
    rate: float
    seed: int
    retention: float
    event_retention: float
    data: str
    directory: Path


@dataclass(slots=True)
class Run:
    """What came of it.

    Attributes:
        done: how often each kind of act was done.
        failures: what broke the run itself.
        chaos_ended: epoch seconds.
    """

    setting: Setting
    evidence: Evidence
    done: Counter[str] = field(default_factory=Counter[str])
    skipped: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    story: list[str] = field(default_factory=list[str])
    memory: list[list[tuple[float, int]]] = field(default_factory=list[list[tuple[float, int]]])
    server_exits: list[int] = field(default_factory=list[int])
    refusals: Counter[int] = field(default_factory=Counter[int])
    chaos_ended: float = 0.0
    drained: float = 0.0
    slowest_start: float = 0.0
    longest_silence: float = 0.0
    connections: int = 0
    torn_lines: int = 0
    cut_off: int = 0


async def play(setting: Setting, plan: Sequence[Act]) -> Run:
    """Play a plan. Whatever goes wrong is in the result; no process is left."""
    run = Run(setting, Evidence(retention=setting.retention, event_retention=setting.event_retention))
    me = asyncio.current_task()
    if me is not None:  # it always is; SIGTERM ends the processes too
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    async with aiohttp.ClientSession() as http:
        driver = _Driver(setting, run, http)
        try:
            await driver.play(plan)
        except* (ProcessError, RefusedError, aiohttp.ClientError, TimeoutError, OSError) as group:
            run.failures += [f"{type(error).__name__}: {error}" for error in _leaves(group)]
        finally:
            await driver.close()
    for name, sid in driver.workers.items():
        path = setting.directory / f"{name}.jsonl"
        lines, torn = read_journal(path) if path.exists() else ([], 0)
        run.evidence.journals[sid] = lines
        run.torn_lines += torn
    return run


class _Driver:
    def __init__(self, setting: Setting, run: Run, http: aiohttp.ClientSession) -> None:
        self.setting = setting
        self.run = run
        self.http = http
        self.workers: dict[str, str] = {}  # SIDs by name
        self.port = _free_port()
        self.proxy = TcpProxy(self.port)
        self.server = ServerProcess(self._arguments(), setting.directory / "server.log")
        self.crews: list[CrewProcess] = []
        self.dice = random.Random(f"driver {setting.seed}")
        self.server_lock = asyncio.Lock()
        self.proxy_lock = asyncio.Lock()
        self.crew_locks = [asyncio.Lock() for _ in range(setting.processes)]
        self.began = 0.0

    def _arguments(self) -> list[str]:
        setting = self.setting
        seed = setting.directory / "seed.json"
        seed.write_text(json.dumps(_seed_document(setting.workers)), encoding="utf-8")
        self.account = "AC" + secrets.token_hex(16)
        self.auth_token = secrets.token_hex(16)
        self.key, self.key_secret = "SK" + secrets.token_hex(16), secrets.token_hex(32)
        return [
            *("--port", str(self.port), "--seed", str(seed)),
            *("--account-sid", self.account, "--auth-token", self.auth_token),
            *("--signing-key-sid", self.key, "--signing-key-secret", self.key_secret),
            *("--retention", str(setting.retention), "--event-retention", str(setting.event_retention)),
            *("--offline-grace-ms", "3000", "--data", setting.data),
        ]

    # --- The run ------------------------------------------------------------------------------

    async def play(self, plan: Sequence[Act]) -> None:
        """All of it."""
        loop = asyncio.get_running_loop()
        reach = await self.server.start()
        self.door = Door(self.http, reach["rest_url"], self.account, self.auth_token, reach["workspace_sid"])
        await self.proxy.accept()
        await self._hire(reach)
        reader = self.reader = EventReader(self.door, self.run.evidence)
        feed = Feed(self.door, self.run.evidence, rate=self.setting.rate, seed=self.setting.seed)
        self.began = loop.time()
        reading = asyncio.create_task(reader.run(), name="events")
        sampling = asyncio.create_task(self._sample(), name="memory")
        try:
            feeding = asyncio.create_task(feed.run(self.began + self.setting.seconds), name="feed")
            try:
                await self._chaos(plan, feeding)
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])
            await self._heal()
            await self._drain()
            await reader.last_look(list(self.workers.values()))
            await asyncio.sleep(QUIET)
            await reader.look_at_load(list(self.workers.values()))
            for crew in self.crews:
                await crew.end()
            await reader.read()
            sampling.cancel()
            await self.server.stop()
        finally:
            for task in (reading, sampling):
                task.cancel()
            await asyncio.wait([reading, sampling])
            self.run.longest_silence = reader.longest_silence
            self.run.cut_off = feed.cut_off
            self.run.refusals = self.door.refusals
        for task in (reading, sampling, feeding):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _hire(self, reach: dict[str, str]) -> None:
        """Start the workers that the seed has made."""
        found = await self.door.everything("Workers", "workers")
        self.workers = {worker["friendly_name"]: worker["sid"] for worker in found}
        activities = await self.door.everything("Activities", "activities")
        available = next(item["sid"] for item in activities if item["friendly_name"] == "Available")
        path = reach["eb_server"].removeprefix(reach["rest_url"])
        names = sorted(self.workers)
        for number in range(self.setting.processes):
            spec: dict[str, Any] = {
                "eb_server": self.proxy.url("http", path),
                "ws_server": self.proxy.url("ws", path),
                "account_sid": self.account,
                "signing_key_sid": self.key,
                "signing_key_secret": self.key_secret,
                "workspace_sid": reach["workspace_sid"],
                "available_sid": available,
                "names": {self.workers[name]: name for name in names[number :: self.setting.processes]},
                "journals": str(self.setting.directory),
                "seed": self.setting.seed,
                "token_seconds": TOKEN_SECONDS,
            }
            self.crews.append(CrewProcess(number, spec, self.setting.directory))
        async with asyncio.TaskGroup() as group:
            for crew in self.crews:
                group.create_task(crew.start())

    async def _chaos(self, plan: Sequence[Act], feeding: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for act in plan:
                await asyncio.sleep(max(0.0, self.began + act.at - loop.time()))
                group.create_task(self._act(act), name=act.kind)
            await asyncio.sleep(max(0.0, self.began + self.setting.seconds - loop.time()))
        self.run.chaos_ended = time.time()
        await asyncio.wait([feeding], timeout=ACT_SECONDS)
        if not feeding.done():
            raise ProcessError("the feed did not end")

    async def _sample(self) -> None:
        while True:
            self.server.sample()
            await asyncio.sleep(SAMPLE_EVERY)

    # --- Acts ---------------------------------------------------------------------------------

    async def _act(self, act: Act) -> None:
        async with asyncio.timeout(ACT_SECONDS):
            note = await self._by_kind(act)
        counter = self.run.done if note is not None else self.run.skipped
        counter[act.kind] += 1
        at = asyncio.get_running_loop().time() - self.began
        self.run.story.append(f"{act.at:6.1f} to {at:6.1f} s  {act.kind:15} {note or 'skipped'}")

    async def _by_kind(self, act: Act) -> str | None:
        """Do it; what was done, None if it could not be."""
        match act.kind:
            case "cut" | "half-open":
                return self._on_connections(act)
            case "stall" | "refuse":
                async with self.proxy_lock:
                    return await self._on_proxy(act)
            case "pause-workers" | "kill-workers" | "skew-workers":
                async with self.crew_locks[act.target]:
                    return await self._on_crew(act, self.crews[act.target])
            case "expire-tokens" | "fault-frames" | "fault-requests":
                async with self.server_lock:  # while it is there
                    return await self._on_faults(act)
            case _:
                async with self.server_lock:
                    return await self._on_server(act)

    def _on_connections(self, act: Act) -> str:
        there = self.proxy.open
        chosen = self.dice.sample(there, max(1, int(len(there) * act.amount))) if there else []
        for connection in chosen:
            if act.kind == "cut":
                connection.reset()
            else:
                connection.half_open()
        return f"{len(chosen)} of {len(there)} connections"

    async def _on_proxy(self, act: Act) -> str:
        undo: Callable[[], Awaitable[None] | None]
        if act.kind == "stall":
            held = self.proxy.open
            for connection in held:
                connection.pause()

            def undo() -> None:
                for connection in held:
                    if not connection.is_half_open:
                        connection.resume()
        else:
            await self.proxy.refuse()
            undo = self.proxy.accept
        await asyncio.sleep(act.seconds)
        result = undo()
        if result is not None:
            await result
        return f"{act.seconds:.1f} s"

    async def _on_crew(self, act: Act, crew: CrewProcess) -> str:
        match act.kind:
            case "kill-workers":
                await crew.kill()
                await asyncio.sleep(act.seconds)
                await crew.start()
            case "pause-workers":
                crew.signal(signal.SIGSTOP)
                try:
                    await asyncio.sleep(act.seconds)
                finally:
                    crew.signal(signal.SIGCONT)
            case _:
                crew.say(f"skew {act.amount}")
                return f"process {act.target}, by {act.amount:+.0f} s"
        return f"process {act.target}, {act.seconds:.1f} s"

    async def _on_faults(self, act: Act) -> str | None:
        body: dict[str, Any] = {"action": "expire_token"}
        if act.kind == "fault-frames":
            body = {"fault": act.choice, "event_type": "reservation.*"}
        elif act.kind == "fault-requests":
            body = {"fault": act.choice, "door": "bridge"}
            if act.choice == "refuse_request":
                body["status"] = 503
        if "fault" in body:
            body |= {"share": round(act.amount, 2), "for_seconds": round(act.seconds, 1), "seed": 1}
        try:
            answer = await self.door.stub("faults", body)
            for _ in range(RETRIES):
                if "fault" in body or answer["sessions"]:
                    break
                await asyncio.sleep(0.5)  # the server is new, nobody has come back yet
                answer = await self.door.stub("faults", body)
        except (aiohttp.ClientError, TimeoutError):
            return None  # the server is away
        except RefusedError as error:
            if error.status != 503:
                raise
            return None
        if act.kind == "expire-tokens":
            return f"{len(answer['sessions'])} sessions"
        return f"{act.choice}, {act.amount:.0%}, {act.seconds:.1f} s"

    async def _on_server(self, act: Act) -> str | None:
        server = self.server
        if act.kind == "pause-server":
            server.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(act.seconds)
            finally:
                server.signal(signal.SIGCONT)
            return f"{act.seconds:.1f} s"
        server.check()
        # What the log had before is read, or it may be purged meanwhile.
        await self.reader.read()
        await asyncio.sleep(self.dice.uniform(0.0, 0.3))
        note = f"away for {act.seconds:.1f} s"
        match act.kind:
            case "kill-server":
                await server.kill()
            case "stop-server":
                await server.stop()
            case "fill-disk":
                if "://" in self.setting.data:
                    return None  # the files are another process's
                note = await server.fill_disk()
            case _:
                await server.kill()
                server.offset = act.amount
                note = f"{act.amount:+.1f} s"
        await asyncio.sleep(act.seconds)
        await server.start()
        await self.reader.read()
        return note

    # --- The end ------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """Nothing goes wrong any more, and everybody connects anew."""
        self.server.check()
        await self.door.clear_faults()
        for crew in self.crews:
            crew.say("skew 0")
        self.proxy.reset()

    async def _drain(self) -> None:
        """Until no task is left; what is left after a long time is for the auditor."""
        began = time.monotonic()
        while time.monotonic() - began < HEAL_SECONDS:
            self.server.check()
            alive = [
                task
                for task in await self.door.everything("Tasks", "tasks")
                if task["assignment_status"] in ALIVE
            ]
            if not alive:
                break
            await asyncio.sleep(1.0)
        self.run.drained = time.monotonic() - began

    async def close(self) -> None:
        """End every process that is left, and the proxy."""
        for crew in self.crews:
            crew.signal(signal.SIGCONT)
            await crew.kill()
        self.server.signal(signal.SIGCONT)
        with contextlib.suppress(ProcessError):
            await self.server.kill()
        await self.proxy.__aexit__(None, None, None)
        self.run.evidence.runs = self.server.runs
        self.run.memory = self.server.memory
        self.run.server_exits = self.server.exits
        self.run.slowest_start = self.server.slowest_start
        self.run.connections = len(self.proxy.connections)


def _seed_document(workers: int) -> dict[str, Any]:
    return {
        "workspaces": [
            {
                "friendly_name": "Soak",
                "queues": [{"friendly_name": "Everybody"}],
                "workflows": [
                    {
                        "friendly_name": "Soak",
                        "configuration": {"task_routing": {"default_filter": {"queue": "Everybody"}}},
                        "task_reservation_timeout": RESERVATION_TIMEOUT,
                    }
                ],
                "workers": [
                    {
                        "friendly_name": f"worker-{number:03}",
                        "activity": "Offline",
                        "channels": {"default": 2},
                    }
                    for number in range(workers)
                ],
            }
        ]
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if sys.platform == "win32":
    raise ImportError("soak runs need signals and limits of POSIX")
