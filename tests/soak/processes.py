"""The processes of a run: the server and the workers, and what is done to them from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.soak.crew import CrewSpec
from tests.soak.evidence import ServerRun

__all__ = ["CrewProcess", "ProcessError", "ServerProcess"]

START_SECONDS: Final = 90.0
END_SECONDS: Final = 60.0
"""How long things may take on a busy machine before the run is given up."""

FULL: Final = 8_192
"""Bytes: with a full disk no file can be written beyond here."""

LAST_LINES: Final = 40


class ProcessError(Exception):
    """A process did not do what it has to: start, end, or say why."""


class ServerProcess:
    """The server. It is started again and again at the same port, on the same data.

    Args:
        arguments: of ``taskrouter-stub serve``, without the clock.
        log: a file for what it prints.

    Attributes:
        runs: the processes that have ended.
        exits: their exit statuses.
        memory: seconds since the epoch and resident bytes, of each process.
    """

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._arguments = arguments
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._began = 0.0
        self._reader: asyncio.Task[None] | None = None
        self._said: list[str] = []
        self.offset = 0.0
        self.runs: list[ServerRun] = []
        self.exits: list[int] = []
        self.memory: list[list[tuple[float, int]]] = []
        self.slowest_start = 0.0

    async def start(self) -> dict[str, str]:
        """Start it and wait until it listens; how to reach it.

        Raises:
            ProcessError: it did not start.
        """
        self._began = time.time()
        self._said = []
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "server_stub", "serve", "--json", "--clock-offset", str(self.offset)),
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,  # not a file: a full disk must not keep it from saying so
        )
        self.memory.append([])
        self._reader = asyncio.create_task(self._read(process), name="server's log")
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline() if process.stdout else b""
        if not line:
            await self.kill()
            raise ProcessError(f"the server did not start: {' '.join(self._said[-LAST_LINES:])}")
        self.slowest_start = max(self.slowest_start, time.time() - self._began)
        reach: dict[str, str] = json.loads(line)
        return reach

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            while process.stderr is not None and (line := await process.stderr.readline()):
                text = line.decode(errors="replace")
                self._said = [*self._said[-LAST_LINES:], text.rstrip()]
                log.write(text)
                log.flush()

    @property
    def pid(self) -> int:
        """The process id; raises ProcessError if it does not run."""
        if self._process is None or self._process.returncode is not None:
            raise ProcessError(f"the server does not run any more: {' '.join(self._said)}")
        return self._process.pid

    def check(self) -> None:
        """Raise ProcessError if it has ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise ProcessError(f"the server ended by itself: {' '.join(self._said)}")

    async def kill(self) -> None:
        """SIGKILL. Idempotent."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM; raises ProcessError if it does not end in time and in order."""
        await self._end(signal.SIGTERM)
        if self.exits[-1] != 0:
            raise ProcessError(f"the server ended with {self.exits[-1]}: {' '.join(self._said)}")

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ProcessError(f"the server did not end after {number.name}") from None
        finally:
            await self._ended(process)

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        self._process = None
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=END_SECONDS)
            self._reader.cancel()
        self.runs.append(ServerRun(began=self._began, ended=time.time(), offset=self.offset))
        self.exits.append(-1 if process.returncode is None else process.returncode)

    async def fill_disk(self) -> str:
        """Let its files grow no more; what it said when it stopped.

        Raises:
            ProcessError: it did not stop, or without saying why.
        """
        process = self._process
        if process is None:
            raise ProcessError("the server does not run")
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FULL, hard))
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            await self.kill()
            raise ProcessError("the server went on although it could not write") from None
        await self._ended(process)
        last = self._said[-1] if self._said else ""
        if self.exits[-1] != 3 or "could not be written" not in last:
            raise ProcessError(f"with a full disk the server ended with {self.exits[-1]}: {last!r}")
        return last

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        _signal(self._process, number)

    def sample(self) -> None:
        """Note how much memory it has, if it runs."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmRSS:"):
                    self.memory[-1].append((time.time(), int(line.split()[1]) * 1024))


class CrewProcess:
    """A process of workers; it is started again with the same workers.

    Args:
        spec: for its first life.
        directory: for its specification and its log.
    """

    def __init__(self, number: int, spec: dict[str, Any], directory: Path) -> None:
        self._number = number
        self._spec = spec
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self.lives = 0

    async def start(self) -> None:
        """Start it; raises ProcessError if it does not come up."""
        self.lives += 1
        path = self._directory / f"workers-{self._number}.json"
        CrewSpec(**self._spec, life=self.lives).save(path)
        with (self._directory / f"workers-{self._number}.log").open("a", encoding="utf-8") as log:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.soak.crew", str(path)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline() if process.stdout else b""
        if not line:
            await self.kill()
            raise ProcessError(f"process {self._number} of workers did not start, see its log")

    def say(self, command: str) -> None:
        """Give it a command."""
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            process.stdin.write(f"{command}\n".encode())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        _signal(self._process, number)

    async def kill(self) -> None:
        """SIGKILL. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def end(self) -> None:
        """Let it end in order; raises ProcessError if it does not."""
        self.say("end")
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                status = await process.wait()
        except TimeoutError:
            await self.kill()
            raise ProcessError(f"process {self._number} of workers did not end") from None
        if status != 0:
            raise ProcessError(f"process {self._number} of workers ended with {status}, see its log")


def _signal(process: asyncio.subprocess.Process | None, number: signal.Signals) -> None:
    if process is not None and process.returncode is None:
        process.send_signal(number)
