"""Examples as a reader runs them: programs of their own, against a server of the test."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from server_stub import StubServer

__all__ = ["PATIENCE", "ROOT", "Example", "running"]

ROOT = Path(__file__).parent.parent
PATIENCE = 30.0


class Example:
    """A running example, and what it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """The next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def lines(self, count: int) -> list[str]:
        """The next lines."""
        return [await self.line() for _ in range(count)]

    async def end(self, number: signal.Signals | None = signal.SIGINT) -> list[str]:
        """Stop it, and return what it still printed."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            out, _ = await self.process.communicate()
        assert self.process.returncode == 0
        return (out or b"").decode().splitlines()


@asynccontextmanager
async def running(
    server: StubServer,
    name: str,
    worker_sid: str,
    *arguments: str,
    stdout: int = PIPE,
    **environment: str,
) -> AsyncIterator[Example]:
    """An example as a reader would run it, against `server`: a file, or a module of a package."""
    program = [f"examples/{name}"] if name.endswith(".py") else ["-m", f"examples.{name}"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", *program, *arguments),
        cwd=ROOT,
        stdout=stdout,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TWILIO_ACCOUNT_SID": server.account_sid,
            "TWILIO_API_KEY": server.signing_key_sid,
            "TWILIO_API_SECRET": server.signing_key_secret,
            "TASKROUTER_WORKSPACE_SID": server.workspace_sid,
            "TASKROUTER_WORKER_SID": worker_sid,
            "TASKROUTER_EB_SERVER": server.eb_server,
            "TASKROUTER_WS_SERVER": server.ws_server,
            **environment,
        },
    )
    try:
        yield Example(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
