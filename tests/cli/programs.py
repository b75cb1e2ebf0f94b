"""The two programs as tests run them: in the test's own process where that is enough, else as processes."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server_stub import StubServer

__all__ = ["PATIENCE", "ROOT", "commands_of", "environment", "known_to", "started"]

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0


def environment(server: StubServer) -> dict[str, str]:
    """What the other commands need to find a server."""
    return {
        "TASKROUTER_STUB_URL": server.rest_url,
        "TASKROUTER_STUB_ACCOUNT_SID": server.account_sid,
        "TASKROUTER_STUB_AUTH_TOKEN": server.auth_token,
        "TASKROUTER_STUB_SIGNING_KEY_SID": server.signing_key_sid,
        "TASKROUTER_STUB_SIGNING_KEY_SECRET": server.signing_key_secret,
        "TASKROUTER_EB_SERVER": server.eb_server,
        "TASKROUTER_WS_SERVER": server.ws_server,
    }


def known_to(server: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the server into the environment of this process, and nothing else of the kind."""
    for name in list(os.environ):
        if name.startswith(("TASKROUTER_", "TWILIO_")):
            monkeypatch.delenv(name)
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def started(*arguments: str, **extra: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m` with these arguments, killed at the end if it still runs."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TASKROUTER_", "TWILIO_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", *arguments),
        cwd=ROOT,
        env={**kept, **extra},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def commands_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of a program's commands, without those that only group others."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for command in group.choices.values():
            yield from commands_of(command)
