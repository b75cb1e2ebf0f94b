"""Stores in files of their own, and servers on them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server_stub import Settings, StubServer
from server_stub.storage import Data, open_store
from tests.server.raw import Desk
from tests.storage.databases import another_database, postgresql, why_no_postgresql

_numbers = itertools.count(1)

Serve = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.sqlite"


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """A PostgreSQL database of this run."""
    reason = why_no_postgresql()
    if reason is not None:
        pytest.skip(reason)
    # Not below pytest's own directory: each pytest that starts closes that to others, and PostgreSQL
    # runs as somebody else.
    with tempfile.TemporaryDirectory(prefix="cluster-") as directory, postgresql(Path(directory)) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest) -> str:
    """Where the data are, nobody's yet: one of each kind."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("path"))
    return another_database(request.getfixturevalue("database"), f"of_test_{next(_numbers)}")


@pytest.fixture
def serve() -> Serve:
    """Start a server on data, with a desk to arrange it; leaving it stops the server."""

    @asynccontextmanager
    async def served(data: str | Path, **settings: Any) -> AsyncIterator[Desk]:
        async with (
            Data(open_store(data)) as opened,
            StubServer(Settings(port=0, settle_ms=0, **settings), data=opened) as server,
            aiohttp.ClientSession() as http,
        ):
            yield Desk(server, http)

    return served
