"""What the snippets of the how-to guides take for granted, made of a workspace on a local server."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import types
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypedDict

from server_stub.testing import TaskHandle, TaskRouter
from taskrouter_worker import SyncWorker, Worker, WorkerPool
from tests.docs.snippets import ROOT, Snippet

__all__ = ["Given", "Stage"]

PATIENCE = 30.0


class Local(TypedDict):
    """Where the local server is."""

    eb_server: str
    ws_server: str


@dataclass(frozen=True)
class Given:
    """The names that a snippet finds. `docs/how-to/index.md` lists them for readers."""

    token: str
    local: Local
    nina: str
    otto: str
    otto_token: str
    supervisor_token: str
    bot_tokens: list[str]
    workspace_sid: str
    queue_sid: str
    workflow_sid: str
    account_sid: str
    signing_key_sid: str
    signing_key_secret: str


class Stage:
    """Nina and Otto are available and take five tasks at once; three bots have not started."""

    def __init__(self, desk: TaskRouter) -> None:
        self.desk = desk
        capacities = {"default": 5}
        self.nina = desk.worker("Nina", capacities=capacities, attributes={"contact_uri": "client:nina"})
        self.otto = desk.worker("Otto", capacities=capacities)
        self.bots = [desk.worker(f"Bot {n}", attributes={"bot": True}, activity="Offline") for n in (1, 2, 3)]
        queue_sid, workflow_sid = desk.run(lambda ws: (next(iter(ws.task_queues)), next(iter(ws.workflows))))
        self.given = Given(
            token=desk.token(self.nina),
            local={"eb_server": desk.eb_server, "ws_server": desk.ws_server},
            nina=self.nina.sid,
            otto=self.otto.sid,
            otto_token=desk.token(self.otto),
            supervisor_token=desk.token(self.nina, role="supervisor"),
            bot_tokens=[desk.token(bot) for bot in self.bots],
            workspace_sid=desk.workspace_sid,
            queue_sid=queue_sid,
            workflow_sid=workflow_sid,
            account_sid=desk.account_sid,
            signing_key_sid=desk.signing_key_sid,
            signing_key_secret=desk.signing_key_secret,
        )

    async def play(self, snippet: Snippet) -> None:
        """Run statements that may await."""
        if snippet.options.get("with") == "recording":
            await self.record(Path("session.jsonl"))
        names = self._names()
        tasks = self._offer(snippet)
        running = asyncio.ensure_future(_coroutine(snippet, names))
        try:
            async with asyncio.timeout(PATIENCE):
                if until := snippet.options.get("until"):
                    await self._until(tasks, until, running)
                    await _end(names)
                await running
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await _end(names)

    async def record(self, file: Path) -> None:
        """Record a session in which Nina does nothing."""
        async with Worker(self.given.token, record=file, **self.given.local):
            pass

    def play_blocking(self, snippet: Snippet) -> None:
        """Run statements that block."""
        names = self._names()
        tasks = self._offer(snippet)
        until = snippet.options.get("until")

        def watch() -> None:
            try:
                for task in tasks:
                    getattr(self.desk, f"assert_{until}")(task, within=PATIENCE)
            finally:
                names["worker"].disconnect()

        watching = Thread(target=watch) if until else None
        if watching is not None:
            watching.start()
        try:
            exec(_code(snippet), names)  # noqa: S102 - the page is ours
        finally:
            if watching is not None:
                watching.join(PATIENCE)
            for value in names.values():
                if isinstance(value, SyncWorker):
                    value.disconnect()

    def _names(self) -> dict[str, Any]:
        return {"__name__": "__main__", **vars(self.given)}

    def _offer(self, snippet: Snippet) -> list[TaskHandle]:
        count = int(snippet.options.get("offer", "0"))
        workers = self.bots if snippet.options.get("to") == "bots" else [self.nina]
        return [self.desk.task({"topic": "cards"}, worker=worker) for worker in workers * count]

    async def _until(self, tasks: list[TaskHandle], until: str, running: asyncio.Future[None]) -> None:
        async def reached() -> None:
            for task in tasks:
                await getattr(self.desk, f"wait_until_{until}")(task)

        reaching = asyncio.ensure_future(reached())
        await asyncio.wait({reaching, running}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running  # why it ended
        await reaching


def _code(snippet: Snippet, flags: int = 0) -> types.CodeType:
    """The snippet, with the page's own line numbers."""
    text = "\n" * (snippet.line - 1) + snippet.text
    code: types.CodeType = compile(text, str(ROOT / snippet.page), "exec", flags=flags, dont_inherit=True)
    return code


def _coroutine(snippet: Snippet, names: dict[str, Any]) -> Coroutine[Any, Any, None]:
    code = _code(snippet, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert code.co_flags & inspect.CO_COROUTINE, "it awaits nothing: call it `blocking` or `program`"
    coroutine: Coroutine[Any, Any, None] = types.FunctionType(code, names)()
    return coroutine


async def _end(names: dict[str, Any]) -> None:
    for value in list(names.values()):
        if isinstance(value, Worker | WorkerPool):
            await value.disconnect()
