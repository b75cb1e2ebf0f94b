"""A store in a PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from .contract import StorageError
from .migrations import MIGRATIONS, Migration
from .sql import SqlStore

__all__ = ["PostgresqlStore"]

T = TypeVar("T")

LOCK: Final = 0x7461_736B
"""Of the advisory lock that a server holds; its second part is the schema's."""

PATIENCE: Final = 3.0
"""Seconds to wait for the lock: PostgreSQL may not have noticed yet that the server before was killed."""


class PostgresqlStore(SqlStore):
    """Tables in the first schema of the connection's search path, which this process has for itself.

    The lock and the writing are one connection's: who loses the lock cannot write either.

    Args:
        url: ``postgresql://user:password@host/database``; ``?host=/directory`` for a Unix socket.
        migrations: see `SqlStore`.

    Raises:
        StorageError: the URL cannot be read.
    """

    _upsert = staticmethod(insert)

    def __init__(self, url: str, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        super().__init__(migrations=migrations)
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        try:
            self._url = make_url(url).set(drivername="postgresql+asyncpg")
        except (ArgumentError, ValueError):
            raise StorageError("--data is not a URL as postgresql://user:password@host/database") from None

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)

    async def _connect(self) -> None:
        try:
            self._engine = create_async_engine(self._url, poolclass=StaticPool)
            self._connection = connection = await self._engine.connect()
        except (TypeError, ValueError, OverflowError):
            # The driver's words for what it does not know, or cannot read: they may quote a password.
            options = ", ".join(self._url.query) or "none"
            raise StorageError(
                f"{self.name} cannot be opened: its port or one of its options ({options}) is not what the "
                "driver asyncpg takes; it takes for instance ssl=require where psql takes sslmode=require"
            ) from None
        async with connection.begin():
            await connection.execute(text("SET SESSION synchronous_commit = on"))
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not await self._locked(connection):
            if asyncio.get_running_loop().time() > deadline:
                raise StorageError(
                    f"{self.name} is in use by another server: stop that one, or choose another database"
                )
            await asyncio.sleep(0.1)

    async def _carry_out(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            raise StorageError(f"{self.name} is closed")
        async with self._connection.begin():
            return await self._connection.run_sync(work)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        engine, self._engine = self._engine, None
        try:
            if connection is not None:
                await connection.close()
        finally:
            if engine is not None:
                await engine.dispose()

    async def _locked(self, connection: AsyncConnection) -> bool:
        async with connection.begin():
            taken = await connection.execute(
                text("SELECT pg_try_advisory_lock(:lock, hashtext(coalesce(current_schema(), '')))"),
                {"lock": LOCK},
            )
            return bool(taken.scalar())

    def _explained(self, error: Exception) -> str:
        # Not SQLAlchemy's own text: it quotes statements with their values. asyncpg's may quote them
        # as well where a value is refused, so of those only the kind is told.
        match error:
            case DBAPIError() if error.orig is not None:
                cause = error.orig.__cause__ or error.orig
                if error.connection_invalidated or isinstance(cause, OSError):
                    return "the connection was lost"
                return type(cause).__name__
            case SQLAlchemyError():
                return type(error).__name__
            case OSError():
                return error.strerror or type(error).__name__
            case _:
                return type(error).__name__
