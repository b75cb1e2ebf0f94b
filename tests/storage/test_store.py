"""Which data a server takes, and that it leaves all others as they are."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from server_stub.storage import Batch, StorageError, open_store
from server_stub.storage.migrations import MIGRATIONS, Migration
from server_stub.storage.sqlite import SqliteStore
from tests.storage.conftest import Serve


async def test_two_servers_on_the_same_data_are_refused(serve: Serve, address: str) -> None:
    async with serve(address) as desk:
        with pytest.raises(StorageError, match="in use by another server"):
            await open_store(address).open()
        assert (await desk.rest("GET", desk.path)).status == 200  # the first one is not disturbed
        desk.hire("ann")
        assert (await desk.rest("GET", desk.path)).status == 200
    async with serve(address) as desk:
        assert [worker.friendly_name for worker in desk.workspace.workers.values()] == ["ann"]


@pytest.mark.parametrize("steps", range(1, len(MIGRATIONS)))
async def test_data_of_an_older_version_are_migrated(serve: Serve, path: Path, steps: int) -> None:
    old = SqliteStore(path, migrations=MIGRATIONS[:steps])
    await old.open()
    await old.write(Batch(workspaces=(), settings={"auth_token": "from before"}))
    await old.close()
    async with serve(path) as desk:
        assert desk.server.auth_token == "from before"
        desk.hire("ann")
    connection = sqlite3.connect(path)
    taken = [number for (number,) in connection.execute("SELECT number FROM migration ORDER BY number")]
    connection.close()
    assert taken == [migration.number for migration in MIGRATIONS]


async def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()
    broken = Migration(
        len(MIGRATIONS) + 1, ("CREATE TABLE more (name TEXT)", "INSERT INTO nowhere VALUES (1)")
    )
    with pytest.raises(StorageError, match="cannot be opened"):
        await SqliteStore(path, migrations=[*MIGRATIONS, broken]).open()
    connection = sqlite3.connect(path)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "more" not in tables


async def test_data_of_a_newer_version_are_refused_and_left_alone(path: Path) -> None:
    later = Migration(len(MIGRATIONS) + 1, ("CREATE TABLE more (name TEXT)",))
    newer = SqliteStore(path, migrations=[*MIGRATIONS, later])
    await newer.open()
    await newer.close()
    before = path.read_bytes()
    with pytest.raises(
        StorageError, match=r"written by a newer server: it has version 3, this server knows 2"
    ):
        await SqliteStore(path).open()
    assert path.read_bytes() == before


def _first_page(content: bytes) -> bytes:
    return b"\0" * 4096 + content[4096:]


def _middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + b"\xff" * 8192 + content[middle + 8192 :]


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize("damage", [_first_page, _middle, _half])
async def test_damaged_data_are_reported_and_left_alone(serve: Serve, path: Path, damage: object) -> None:
    assert callable(damage)
    async with serve(path) as desk:
        for number in range(50):
            desk.task(number=number, text="x" * 500)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(StorageError, match="damaged"):
        async with serve(path):
            pass
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entity SET body = '{' WHERE kind = 'task'",
        "UPDATE entity SET body = replace(body, '\"status\"', '\"state\"') WHERE kind = 'task'",
        "DELETE FROM entity WHERE kind = 'task_channel'",
        "DELETE FROM entity WHERE kind = 'task_queue'",
        "UPDATE workspace SET body = '{}'",
        "UPDATE event SET body = '[]' WHERE seq = 3",
        "UPDATE fact SET body = '[]'",
        "UPDATE entity SET body = replace(body, '{}', '[') WHERE kind = 'task'",
    ],
)
async def test_rows_that_make_no_sense_are_reported(serve: Serve, path: Path, statement: str) -> None:
    async with serve(path) as desk:
        desk.hire("ann")
        desk.run(lambda ws: ws.create_task(attributes="{}"))
    connection = sqlite3.connect(path)
    assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="is damaged"):
        async with serve(path):
            pass


async def test_another_programs_file_is_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (name TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="another program's file"):
        await open_store(path).open()
    assert path.read_bytes() == before
    path.write_text("no database, but more than a hundred bytes of somebody's text " * 10)
    with pytest.raises(StorageError, match="damaged, or no SQLite file"):
        await open_store(path).open()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "is empty"),
        ("mysql://localhost/x", "does not know mysql://"),
        ("sqlite:///x", "without sqlite://"),
        ("postgresql://host:port/x", "is not a URL"),
    ],
)
def test_an_address_that_means_no_store_is_refused(data: str, reason: str) -> None:
    with pytest.raises(StorageError, match=reason):
        open_store(data)


async def test_a_place_that_cannot_be_reached_is_told_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened: No such file or directory"):
        await open_store(tmp_path / "nowhere" / "data").open()
    with pytest.raises(StorageError) as caught:
        await open_store(f"postgresql://user:hunter2@/x?host={tmp_path}").open()
    assert "hunter2" not in str(caught.value)
    assert "cannot be opened" in str(caught.value)


@pytest.mark.parametrize("wrong", ["[::1]:99999/x", "[::1]:1/x?sslmode=require", "[::1]:1/x?timeout=soon"])
async def test_what_the_driver_does_not_take_is_told_without_the_password(wrong: str) -> None:
    with pytest.raises(
        StorageError, match=r"its port or one of its options \((none|sslmode|timeout)\)"
    ) as caught:
        await open_store(f"postgresql://user:hunter2@{wrong}").open()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["what?.db", ":memory:", "100%41.db", "file:x"])
async def test_any_name_of_a_file_means_that_file(
    serve: Serve, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (name, tmp_path / name):
        monkeypatch.chdir(tmp_path)
        async with serve(path) as desk:
            monkeypatch.chdir("/")  # where the program goes later does not matter
            desk.task(topic="cards")
            assert (await desk.rest("GET", desk.path)).status == 200
            token = desk.server.auth_token
        monkeypatch.chdir(tmp_path)
        async with serve(path) as desk:
            assert desk.server.auth_token == token
    assert [found.name for found in tmp_path.iterdir()] == [name]


OPENING = """
import asyncio, resource, sys
from server_stub.storage import StorageError, open_store
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))  # as a disk with as little room
try:
    asyncio.run(open_store(sys.argv[1]).open())
except StorageError as error:
    print(error)
"""


def test_a_disk_that_is_full_from_the_beginning_is_told(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", OPENING, str(tmp_path / "x.db")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert re.fullmatch(rf"{tmp_path}/x\.db cannot be opened: .*\n", told.stdout), told.stderr


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_file_that_is_gone_ends_the_server(serve: Serve, path: Path, is_replaced: bool) -> None:
    async with serve(path) as desk:
        desk.hire("ann")
        await desk.rest("GET", desk.path)
        path.rename(path.with_suffix(".moved"))
        if is_replaced:
            await open_store(path).open()  # another server's, which finds nothing there
        assert (await desk.rest("POST", f"{desk.path}/Tasks", data={"Attributes": "{}"})).status == 503
        assert "was moved or deleted" in str(await desk.server.failed())
