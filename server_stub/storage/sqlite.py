"""A store in an SQLite file."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from .contract import StorageError
from .migrations import MIGRATIONS, Migration
from .sql import SqlStore

__all__ = ["SqliteStore"]

APPLICATION_ID: Final = 0x7461_736B
"""Marks the file as ours ("task" in ASCII), so that another program's data are never touched."""

T = TypeVar("T")

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
        self._thread: ThreadPoolExecutor | None = None
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._file = (path, 0)  # where the open one is, wherever the process goes, and its number

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    async def _connect(self) -> None:
        self._prepare_file()
        # One thread for everything, so that a transaction is one errand and not one for each statement.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        await self._errand(self._begin)

    async def _carry_out(self, work: Callable[[Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise StorageError(f"{self.name} is closed")

        def transaction() -> T:
            with connection.begin():
                done = work(connection)
            self._check_place()
            return done

        return await self._errand(transaction)

    async def _disconnect(self) -> None:
        thread = self._thread
        if thread is None:
            return
        try:
            await self._errand(self._end)
        finally:
            self._thread = None
            thread.shutdown(wait=False)

    async def _errand(self, work: Callable[[], T]) -> T:
        """Do it in the store's own thread."""
        if self._thread is None:
            raise StorageError(f"{self.name} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _begin(self) -> None:
        self._engine = engine = create_engine(
            # Not the text of a URL, in which some paths would mean another file, or none.
            URL.create("sqlite", database=str(self._file[0])),
            # Whoever has the file keeps it: there is nothing to wait for. One thread at a time uses it.
            connect_args={"timeout": 0, "check_same_thread": False},
            poolclass=StaticPool,
        )

        @event.listens_for(engine, "connect")
        def connected(connection: Any, _: object) -> None:
            connection.isolation_level = None  # transactions begin where `began` says so, DDL included

        @event.listens_for(engine, "begin")
        def began(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        del connected, began  # they are registered
        self._connection = connection = engine.connect()
        self._take(connection)

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        engine, self._engine = self._engine, None
        try:
            if connection is not None:
                connection.close()
        finally:
            if engine is not None:
                engine.dispose()

    def _prepare_file(self) -> None:
        """Make the file if there is none. It will hold credentials: nobody else may read it."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            found = self._path.stat()
            self._file, mode = (self._path.absolute(), found.st_ino), stat.S_IMODE(found.st_mode)
        except OSError as error:
            raise StorageError(f"{self.name} cannot be opened: {error.strerror}") from None
        if os.name == "posix" and mode & 0o077:
            log.warning("%s holds credentials, and others may read it: chmod 600 it", self.name)

    def _check_place(self) -> None:
        """See that the next start will find what was written. With a write-ahead log SQLite does not look."""
        place, number = self._file
        try:
            found = place.stat().st_ino
        except FileNotFoundError:
            found = None
        if found != number:
            raise StorageError(
                f"{self.name} was moved or deleted while it was in use: nothing can be stored there any more"
            )

    def _take(self, connection: Connection) -> None:
        driver = connection.connection.driver_connection
        if driver is None:
            raise StorageError(f"{self.name} cannot be opened")

        def ask(statement: str) -> Any:
            row = driver.execute(statement).fetchone()
            return None if row is None else row[0]

        try:
            ask("PRAGMA locking_mode = EXCLUSIVE")
            # This takes the lock: from here on nobody else can have the file.
            ask("BEGIN IMMEDIATE")
            mark = ask("PRAGMA application_id")
            tables = ask("SELECT count(*) FROM sqlite_master")
            ask("ROLLBACK")
            verdict = ask("PRAGMA quick_check(1)")
        except Exception as error:  # noqa: BLE001 - the driver's own errors, told apart by their text
            raise StorageError(self._refused(error)) from None
        if mark != APPLICATION_ID and (mark or tables):
            raise StorageError(f"{self.name} is another program's file: choose another path")
        if verdict != "ok":
            raise StorageError(f"{self.name} is damaged. Nothing was changed; restore a copy of it")
        try:
            ask("PRAGMA journal_mode = WAL")
            ask("PRAGMA synchronous = FULL")
            if mark != APPLICATION_ID:
                ask(f"PRAGMA application_id = {APPLICATION_ID}")
        except Exception as error:  # noqa: BLE001 - as above: these write, and the disk may be full
            raise StorageError(self._refused(error)) from None

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
