"""The official TaskRouter SDK for JavaScript, driven from Python through `driver.cjs`."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

HERE = Path(__file__).parent
PATIENCE = 15.0
"""Seconds after which something that should have happened counts as missing."""


class Endpoints(Protocol):
    """Where a local TaskRouter is reached: a `StubServer`, or the fixture `taskrouter`."""

    @property
    def eb_server(self) -> str: ...
    @property
    def ws_server(self) -> str: ...


class OfficialSdkError(Exception):
    """A call of the official SDK was rejected. `name` is the JavaScript error's name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


@dataclass(frozen=True)
class JsEvent:
    """One event of one object of the official SDK."""

    event: str
    worker: str  # the worker's name in the driver
    kind: str  # worker, channel, reservation, task, transfer
    sid: str
    data: Any  # the first argument its listener got


@dataclass(eq=False)
class OfficialSdk:
    """One Node process with the official SDK in it. Use it as an async context manager.

    Leaving it fails if anything in that process went uncaught.

    Attributes:
        clock_speed: how fast the clock of that process runs; the event loop's here at most as fast.
    """

    server: Endpoints
    clock_speed: float = 1.0
    uncaught: list[str] = field(default_factory=list)
    _process: Process | None = None
    _reader: asyncio.Task[None] | None = None
    _answers: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    _workers: dict[str, JsWorker] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    async def __aenter__(self) -> Self:
        node = shutil.which("node")
        if node is None:
            raise AssertionError("needs Node 18 or newer: install nodejs and npm, then run `make setup`")
        if not (HERE / "node_modules" / "twilio-taskrouter").is_dir():
            raise AssertionError("the official JavaScript SDK is not installed: run `make setup`")
        self._process = await asyncio.create_subprocess_exec(
            node,
            *([] if self.clock_speed == 1 else ["--require", str(HERE / "fast_clock.cjs")]),
            str(HERE / "driver.cjs"),
            stdin=PIPE,
            stdout=PIPE,
            cwd=HERE,
            env={**os.environ, "CLOCK_SPEED": str(self.clock_speed)},
            limit=2**24,
        )
        self._reader = asyncio.create_task(self._read(), name="official SDK reader")
        return self

    async def __aexit__(self, exc_type: object, exc: object, traceback: object) -> None:
        assert self._process is not None
        assert self._reader is not None
        if self._process.returncode is None:
            self._write({"id": next(self._ids), "do": "exit"})
        try:
            async with asyncio.timeout(PATIENCE * self.clock_speed):
                await self._process.wait()
                await self._reader
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
        if exc is None:
            assert self._process.returncode == 0, f"Node ended with status {self._process.returncode}"
            assert not self.uncaught, "uncaught in the official SDK:\n" + "\n".join(self.uncaught)

    async def worker(
        self,
        token: str,
        options: Mapping[str, object] | None = None,
        *,
        supervisor: bool = False,
        ready: bool = True,
    ) -> JsWorker:
        """A new Worker (or Supervisor) of the official SDK, ready unless told not to wait for it."""
        name = f"worker-{len(self._workers) + 1}"
        worker = self._workers[name] = JsWorker(self, name)
        await self._command(
            "worker",
            name=name,
            token=token,
            supervisor=supervisor,
            options=self._with_endpoints(options or {}),
        )
        if ready:
            await worker.event("ready")
        return worker

    async def workspace(self, token: str, **options: object) -> JsWorkspace:
        """A new Workspace object of the official SDK; it opens no connection."""
        name = f"workspace-{next(self._ids)}"
        await self._command("workspace", name=name, token=token, options=self._with_endpoints(options))
        return JsWorkspace(self, name)

    def _with_endpoints(self, options: Mapping[str, object]) -> dict[str, object]:
        return {"ebServer": self.server.eb_server, "wsServer": self.server.ws_server, **options}

    async def _command(self, action: str, **arguments: object) -> Any:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._write({"id": number, "do": action, **arguments})
        async with asyncio.timeout(PATIENCE * self.clock_speed):
            return await answer

    def _write(self, command: dict[str, object]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            match message:
                case {"id": number, "error": error}:
                    if future := self._answers.pop(number, None):
                        future.set_exception(OfficialSdkError(error["name"], error["message"]))
                case {"id": number, "result": result}:
                    if future := self._answers.pop(number, None):
                        future.set_result(result)
                case {"uncaught": kind, "stack": stack}:
                    self.uncaught.append(f"{kind}: {stack}")
                case _:
                    self._workers[message["worker"]].heard(JsEvent(**message))
        for future in self._answers.values():
            if not future.done():
                future.set_exception(AssertionError("Node ended before it answered"))


@dataclass(eq=False)
class JsWorkspace:
    """A Workspace of the official SDK."""

    sdk: OfficialSdk
    name: str

    async def call(self, method: str, *args: object) -> Any:
        """Call one of its methods and return the resolved value as plain data."""
        return await self.sdk._command("call", path=[self.name], method=method, args=args)


@dataclass(eq=False)
class JsWorker:
    """A Worker of the official SDK: reach its objects by path, await its events."""

    sdk: OfficialSdk
    name: str
    log: list[JsEvent] = field(default_factory=list)
    _unread: list[JsEvent] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, event: JsEvent) -> None:
        """Called by the reader for each event of this worker and its objects."""
        self.log.append(event)
        self._unread.append(event)
        self._arrived.set()

    async def event(self, event: str, *, kind: str | None = None, sid: str | None = None) -> JsEvent:
        """The first unread event of that name (and kind, and object); waits for it, then it is read."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            for candidate in self._unread:
                wanted = (event, kind or candidate.kind, sid or candidate.sid)
                if (candidate.event, candidate.kind, candidate.sid) == wanted:
                    self._unread.remove(candidate)
                    return candidate
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._arrived.wait()
            except TimeoutError:
                raise AssertionError(
                    f"{self.name} never heard {kind or ''} {event} {sid or ''}; it heard {self.names()}"
                ) from None

    def names(self, kind: str | None = None) -> list[str]:
        """The names of all its events so far, in order."""
        return [event.event for event in self.log if kind in {None, event.kind}]

    async def get(self, *path: str) -> Any:
        """What stands at `path` below the worker, as plain data (dates as epoch milliseconds)."""
        return await self.sdk._command("get", path=[self.name, *path])

    async def call(self, method: str, *args: object, on: tuple[str, ...] = ()) -> Any:
        """Call a method of the worker, or of the object at path `on`, and await what it returns.

        Raises:
            OfficialSdkError: its promise was rejected, or the call itself threw.
        """
        return await self.sdk._command("call", path=[self.name, *on], method=method, args=args)

    async def call_then_listen(self, method: str, *args: object, on: tuple[str, ...], event: str) -> bool:
        """Call a method and attach a listener only when it returned; whether the listener heard `event`."""
        heard = await self.sdk._command(
            "callThenListen", path=[self.name, *on], method=method, args=args, event=event, within=5_000
        )
        assert isinstance(heard, bool)
        return heard

    async def call_at_once(self, *calls: tuple[str, tuple[object, ...]]) -> list[Any]:
        """Start several calls before any is answered; each result or error, in order."""
        settled = await self.sdk._command(
            "all", calls=[{"path": [self.name], "method": method, "args": args} for method, args in calls]
        )
        return [
            OfficialSdkError(**outcome["error"]) if "error" in outcome else outcome["result"]
            for outcome in settled
        ]
