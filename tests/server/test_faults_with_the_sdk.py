"""Under each fault this SDK loses nothing, says the typed reason, and is back afterwards: on real sockets."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from server_stub import Settings, StubServer
from server_stub.faults import ActionKind, FaultKind, FaultRule
from taskrouter_worker import (
    ConnectionFailedError,
    RateLimitedError,
    RequestError,
    SessionDisplacedError,
    TaskRouterError,
    Worker,
    worker_token,
)
from tests.scenarios.journal import Journal
from tests.server.fast_loop import FastLoop, LoopClock
from tests.server.fault_table import ROWS, Played, Row, Seat, play


def _shown(error: TaskRouterError) -> str:
    match error:
        case ConnectionFailedError(status=status):
            return f"ConnectionFailedError ({status})"
        case RateLimitedError(carried_out=carried_out, retry_after=retry_after):
            return f"RateLimitedError, carried_out={carried_out}, retry_after={retry_after}"
        case RequestError(carried_out=carried_out):
            return f"{type(error).__name__}, carried_out={carried_out}"
        case _:
            return type(error).__name__


class OurSeat(Seat):
    """A worker in this SDK, whose application gives it a new token whenever it asks."""

    def __init__(self, server: StubServer, row: Row, stack: AsyncExitStack) -> None:
        super().__init__(server, row)
        self._stack = stack
        self._lifetimes = itertools.count(3_600)  # tokens of one second would be the same otherwise
        self._worker = Worker(
            token_provider=self._token,
            eb_server=server.eb_server,
            ws_server=server.ws_server,
            set_worker_offline_if_disconnected=False,
            clock=LoopClock(),
        )
        self._journal = Journal(self._worker)
        self._life: list[str] = []
        self._worker.on("ready", lambda _: self._life.append("ready"))
        self._worker.on("disconnected", lambda d: self._life.append(f"disconnected: {d.cause} ({d.code})"))
        self._worker.on("error", lambda e: self._life.append(f"error: {_shown(e)}"))
        self._worker.on("tokenExpired", lambda: self._life.append("tokenExpired"))

    @property
    def life(self) -> list[str]:
        return self._life

    def _token(self) -> str:
        server = self.server
        return worker_token(
            account_sid=server.account_sid,
            signing_key_sid=server.signing_key_sid,
            signing_key_secret=server.signing_key_secret,
            workspace_sid=self.workspace_sid,
            worker_sid=self.worker_sid,
            lifetime=next(self._lifetimes),
        )

    async def connect(self) -> None:
        await self._stack.enter_async_context(self._entered())

    @asynccontextmanager
    async def _entered(self) -> AsyncIterator[None]:
        try:
            async with self._worker:
                if self.row.kind is ActionKind.DISPLACE:
                    watch = asyncio.create_task(self._watch())
                    yield
                    await watch
                else:
                    yield
        except SessionDisplacedError:
            assert self.row.kind is ActionKind.DISPLACE

    async def _watch(self) -> None:
        try:
            await self._worker.wait_closed()
        except SessionDisplacedError as error:
            self._life += [f"error: {type(error).__name__}", "over"]

    def told(self) -> dict[str, list[str]]:
        return {sid: [s for s in steps if s != "ended"] for sid, steps in self._journal.told.items()}

    async def accept(self, reservation_sid: str) -> str:
        try:
            await self._journal.objects[reservation_sid].accept()
        except TaskRouterError as error:
            return _shown(error)
        return "returned"

    async def new_token(self) -> None:
        """It asks by itself."""


@pytest.fixture(scope="module")
def played() -> dict[str, Played | BaseException]:
    """Every row, all at once on one server whose clock runs fast, as it does for the workers."""

    async def all_of_them() -> dict[str, Played | BaseException]:
        server = StubServer(Settings(port=0), token_clock=LoopClock())
        async with server, AsyncExitStack() as stack:
            seats = [OurSeat(server, row, stack) for row in ROWS]
            results = await asyncio.gather(*(play(seat) for seat in seats), return_exceptions=True)
        return dict(zip((row.name for row in ROWS), results, strict=True))

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(all_of_them())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_this_sdk_under_each_fault(row: Row, played: dict[str, Played | BaseException]) -> None:
    result = played[row.name]
    if isinstance(result, BaseException):
        raise result
    assert result == row.ours


def test_no_fault_lacks_a_row() -> None:
    assert {row.kind for row in ROWS} == {*FaultKind, *ActionKind}
    statuses = {row.body.get("status") for row in ROWS if row.kind is FaultKind.REFUSE_REQUEST}
    assert statuses == {401, 412, 429, 500, 503}
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_helper_says_what_the_body_says(row: Row, server: StubServer) -> None:
    workspace_sid = server.workspace_sid
    result = row.strike(server.faults, workspace_sid)
    if isinstance(result, list):
        assert result == []  # nobody is there
    else:
        assert result.rule == FaultRule.from_dict({**row.body, "workspace_sid": workspace_sid})


def test_docs_show_every_row() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "faults.md").read_text()
    missing = [row.markdown for row in ROWS if row.markdown not in docs]
    assert not missing, "docs/faults.md lacks:\n" + "\n".join(missing)
