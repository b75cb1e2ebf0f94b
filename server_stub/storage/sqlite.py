"""A store in an SQLite file."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from .contract import StorageError
from .migrations import MIGRATIONS, Migration
from .sql import SqlStore

__all__ = ["SqliteStore"]

APPLICATION_ID: Final = 0x7461_736B
"""Marks the file as ours ("task" in ASCII), so that another program's data are never touched."""

log = logging.getLogger(__name__)


class SqliteStore(SqlStore):
    """A file that this process has for itself.

    Write-ahead log, and a flush to the disk with every commit: what was committed survives the end of
    the process and, as far as the disk tells the truth about flushing, of the machine's power.

    Args:
        path: the file; it is made if it is missing, readable by its owner only.
        migrations: see `SqlStore`.
    """

    _upsert = staticmethod(insert)

    def __init__(self, path: Path, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        super().__init__(migrations=migrations)
        self._path = path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    def _make_engine(self) -> AsyncEngine:
        self._prepare_file()
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{self._path}",
            connect_args={"timeout": 0},  # whoever has the file keeps it: there is nothing to wait for
            poolclass=StaticPool,
        )

        @event.listens_for(engine.sync_engine, "connect")
        def connected(connection: Any, _: object) -> None:
            connection.isolation_level = None  # transactions begin where `began` says so, DDL included

        @event.listens_for(engine.sync_engine, "begin")
        def began(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        del connected, began  # they are registered
        return engine

    def _prepare_file(self) -> None:
        """Make the file if there is none. It will hold credentials: nobody else may read it."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            mode = stat.S_IMODE(self._path.stat().st_mode)
        except OSError as error:
            raise StorageError(f"{self.name} cannot be opened: {error.strerror}") from None
        if os.name == "posix" and mode & 0o077:
            log.warning("%s holds credentials, and others may read it: chmod 600 it", self.name)

    async def _take(self, connection: AsyncConnection) -> None:
        driver = await connection.get_raw_connection()
        cursor = driver.driver_connection
        if cursor is None:
            raise StorageError(f"{self.name} cannot be opened")

        async def ask(statement: str) -> Any:
            async with cursor.execute(statement) as answer:
                row = await answer.fetchone()
                return None if row is None else row[0]

        try:
            await ask("PRAGMA locking_mode = EXCLUSIVE")
            # This takes the lock: from here on nobody else can have the file.
            await ask("BEGIN IMMEDIATE")
            mark = await ask("PRAGMA application_id")
            tables = await ask("SELECT count(*) FROM sqlite_master")
            await ask("ROLLBACK")
            verdict = await ask("PRAGMA quick_check(1)")
        except Exception as error:  # noqa: BLE001 - the driver's own errors, told apart by their text
            raise StorageError(self._refused(error)) from None
        if mark != APPLICATION_ID and (mark or tables):
            raise StorageError(f"{self.name} is another program's file: choose another path")
        if verdict != "ok":
            raise StorageError(f"{self.name} is damaged. Nothing was changed; restore a copy of it")
        await ask("PRAGMA journal_mode = WAL")
        await ask("PRAGMA synchronous = FULL")
        if mark != APPLICATION_ID:
            await ask(f"PRAGMA application_id = {APPLICATION_ID}")

    def _refused(self, error: Exception) -> str:
        words = str(error).lower()
        if "locked" in words or "busy" in words:
            return f"{self.name} is in use by another server: stop that one, or choose another path"
        if "not a database" in words or "malformed" in words or "corrupt" in words:
            return f"{self.name} is damaged, or no SQLite file. Nothing was changed; restore a copy"
        return f"{self.name} cannot be opened: {self._explained(error)}"

    def _explained(self, error: Exception) -> str:
        # Not SQLAlchemy's own text: it quotes statements with their values.
        match error:
            case DBAPIError() if error.orig is not None:
                return str(error.orig)
            case SQLAlchemyError():
                return type(error).__name__
            case _:
                return str(error)
