"""`serve --data`: what the command line says and how it ends."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import aiohttp
import pytest

from server_stub.__main__ import main
from tests.storage.kill import PATIENCE, Door, served


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "--data is empty"),
        ("mysql://localhost/x", "does not know mysql://"),
        ("/nowhere/at/all", "/nowhere/at/all cannot be opened: No such file or directory"),
    ],
)
def test_data_that_cannot_be_used_are_bad_arguments(
    data: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", "--data", data]) == 2
    assert reason in capsys.readouterr().err


async def test_a_full_disk_is_answered_503_and_ends_the_server_and_loses_nothing(path: Path) -> None:
    log, made = path.parent / "log", list[str]()
    async with served(str(path), log) as (process, reach), aiohttp.ClientSession() as http:
        door = Door(reach, http)
        used = max(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (used + 500_000, used + 500_000))

        async def fill() -> None:
            while len(made) < 1_000:
                task = await door.rest("POST", "Tasks", Attributes='{"text": "' + 3_000 * "x" + '"}')
                made.append(task["sid"])

        with pytest.raises(RuntimeError, match=r"503 .*could not store"):
            await fill()
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 3
    assert f"{path} could not be written" in log.read_text()
    async with served(str(path), log) as (_, reach), aiohttp.ClientSession() as http:
        there = {task["sid"] for task in await Door(reach, http).pages("Tasks", "tasks")}
    assert made
    assert set(made) <= there
    assert len(there) <= len(made) + 1  # the last one was answered 503: it may be there or not
