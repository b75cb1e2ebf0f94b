"""A store in SQL: what SQLite and PostgreSQL have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server_stub.domain.changes import key_of
from server_stub.domain.records import (
    DamagedDocument,
    WorkspaceDocument,
    decode_record,
    decode_workspace,
    to_json,
)

from .contract import Batch, Contents, StorageError, StoredWorkspace, WorkspaceBatch
from .migrations import MIGRATIONS, Migration
from .rows import event_row, fact_row, read_event, read_fact

__all__ = ["SqlStore"]

_metadata = MetaData()

_taken = Table("migration", _metadata, Column("number", BigInteger, primary_key=True))
_setting = Table(
    "setting", _metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False)
)
_workspace = Table(
    "workspace",
    _metadata,
    Column("sid", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
_entity = Table(
    "entity",
    _metadata,
    Column("workspace_sid", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("sid", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
_event = Table(
    "event",
    _metadata,
    Column("workspace_sid", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("body", Text, nullable=False),
)
_fact = Table(
    "fact",
    _metadata,
    Column("workspace_sid", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("body", Text, nullable=False),
)

_DROP_ENTITY = delete(_entity).where(
    _entity.c.workspace_sid == bindparam("of"),
    _entity.c.kind == bindparam("of_kind"),
    _entity.c.sid == bindparam("of_sid"),
)


class SqlStore(ABC):
    """Tables of rows, over one connection that lasts as long as the server.

    Args:
        migrations: the steps to take; all of them unless a test makes an older store.
    """

    _upsert: ClassVar[Any]  # the dialect's own `insert`, which knows what to do about rows that are there

    def __init__(self, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._migrations = tuple(migrations)
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        self._position = 0

    @property
    @abstractmethod
    def name(self) -> str:
        """What to call it in messages."""

    @abstractmethod
    def _make_engine(self) -> AsyncEngine:
        """How to connect."""

    @abstractmethod
    async def _take(self, connection: AsyncConnection) -> None:
        """Take the store for this process alone, and see that it is sound and ours; raises StorageError."""

    @abstractmethod
    def _explained(self, error: Exception) -> str:
        """What went wrong, in words that hold no secret."""

    async def open(self) -> Contents:
        """See `contract.Store`."""
        try:
            self._engine = self._make_engine()
            self._connection = connection = await self._engine.connect()
            await self._take(connection)
            async with connection.begin():
                await self._migrate(connection)
            async with connection.begin():
                return await self._read(connection)
        except DamagedDocument as error:
            await self.close()
            raise StorageError(
                f"{self.name} is damaged: {error}. Nothing was changed; restore a copy, or start without it"
            ) from None
        except StorageError:
            await self.close()
            raise
        except (SQLAlchemyError, OSError) as error:
            await self.close()
            raise StorageError(f"{self.name} cannot be opened: {self._explained(error)}") from None
        except BaseException:
            await self.close()
            raise

    async def write(self, batch: Batch) -> None:
        """See `contract.Store`."""
        try:
            async with self._transaction() as connection:
                await self._many(
                    connection,
                    self._replacing(_setting, "value"),
                    ({"name": name, "value": value} for name, value in batch.settings.items()),
                )
                for part in batch.workspaces:
                    await self._write_workspace(connection, part)
        except (SQLAlchemyError, OSError) as error:
            raise StorageError(f"{self.name} could not be written: {self._explained(error)}") from None

    async def close(self) -> None:
        """See `contract.Store`."""
        connection, self._connection = self._connection, None
        engine, self._engine = self._engine, None
        try:
            if connection is not None:
                await connection.close()
        except (SQLAlchemyError, OSError):
            pass  # it is lost: there is nothing to give back
        finally:
            if engine is not None:
                await engine.dispose()

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncConnection]:
        if self._connection is None:
            raise StorageError(f"{self.name} is closed")
        async with self._connection.begin():
            yield self._connection

    # -------------------------------------------------------- versions

    async def _migrate(self, connection: AsyncConnection) -> None:
        await connection.execute(
            text("CREATE TABLE IF NOT EXISTS migration (number BIGINT NOT NULL PRIMARY KEY)")
        )
        taken = sorted((await connection.execute(select(_taken.c.number))).scalars())
        known = [migration.number for migration in self._migrations]
        if taken and taken[-1] > known[-1]:
            raise StorageError(
                f"{self.name} was written by a newer server: it has version {taken[-1]}, "
                f"this server knows {known[-1]}. Install that one; nothing was changed"
            )
        if taken != known[: len(taken)]:
            raise StorageError(f"{self.name} is damaged: of the versions up to {taken[-1]} some are missing")
        for migration in self._migrations[len(taken) :]:
            for statement in migration.statements:
                await connection.execute(text(statement))
            await connection.execute(insert(_taken).values(number=migration.number))

    # -------------------------------------------------------- reading

    async def _read(self, connection: AsyncConnection) -> Contents:
        settings = {row.name: row.value for row in await connection.execute(select(_setting))}
        if len(self._migrations) < len(MIGRATIONS):
            return Contents(
                settings=settings, workspaces=()
            )  # a test's older store is not read by this server
        highest = [
            (await connection.execute(select(func.max(table.c.position)))).scalar()
            for table in (_workspace, _entity)
        ]
        self._position = max(found or 0 for found in highest)
        found = (await connection.execute(select(_workspace).order_by(_workspace.c.position))).all()
        return Contents(
            settings=settings,
            workspaces=tuple([await self._read_workspace(connection, row.sid, row.body) for row in found]),
        )

    async def _read_workspace(self, connection: AsyncConnection, sid: str, body: str) -> StoredWorkspace:
        records = await connection.execute(
            select(_entity.c.body).where(_entity.c.workspace_sid == sid).order_by(_entity.c.position)
        )
        events = await connection.execute(
            select(_event.c.seq, _event.c.body).where(_event.c.workspace_sid == sid).order_by(_event.c.seq)
        )
        facts = await connection.execute(
            select(_fact.c.number, _fact.c.body).where(_fact.c.workspace_sid == sid).order_by(_fact.c.number)
        )
        head = decode_workspace(body)
        if head.sid != sid:
            raise DamagedDocument(f"workspace {sid} has another SID")
        return StoredWorkspace(
            document=WorkspaceDocument(
                workspace=head, records=tuple(decode_record(found) for found in records.scalars())
            ),
            events=tuple(read_event(sid, row.seq, row.body) for row in events),
            facts=tuple(read_fact(row.number, row.body) for row in facts),
        )

    # -------------------------------------------------------- writing

    async def _write_workspace(self, connection: AsyncConnection, part: WorkspaceBatch) -> None:
        of = part.sid
        if part.replaces:
            for table in (_entity, _event, _fact):
                await connection.execute(delete(table).where(table.c.workspace_sid == of))
        if part.changes is None:
            await connection.execute(delete(_workspace).where(_workspace.c.sid == of))
            return
        changes = part.changes
        if changes.workspace is not None:
            row = {"sid": of, "position": self._next(), "body": to_json(changes.workspace).decode()}
            await self._many(connection, self._replacing(_workspace, "body"), [row])
        keys = [(key_of(record), record) for record in changes.written]
        await self._many(
            connection,
            self._replacing(_entity, "body"),
            (
                {
                    "workspace_sid": of,
                    "kind": kind,
                    "sid": sid,
                    "position": self._next(),
                    "body": to_json(record).decode(),
                }
                for (kind, sid), record in keys
            ),
        )
        await self._many(
            connection,
            _DROP_ENTITY,
            ({"of": of, "of_kind": kind, "of_sid": sid} for kind, sid in changes.removed),
        )
        await self._many(
            connection,
            insert(_event),
            ({"workspace_sid": of, "seq": event.seq, "body": event_row(event)} for event in part.events),
        )
        await self._many(
            connection,
            insert(_fact),
            ({"workspace_sid": of, "number": fact.number, "body": fact_row(fact)} for fact in part.facts),
        )
        if part.events_from:
            old = (_event.c.workspace_sid == of) & (_event.c.seq < part.events_from)
            await connection.execute(delete(_event).where(old))
        if part.facts_from:
            old = (_fact.c.workspace_sid == of) & (_fact.c.number < part.facts_from)
            await connection.execute(delete(_fact).where(old))

    async def _many(
        self, connection: AsyncConnection, statement: Any, rows: Iterable[dict[str, Any]]
    ) -> None:
        given = list(rows)
        if given:
            await connection.execute(statement, given)

    def _replacing(self, table: Table, column: str) -> Any:
        """Write a row, or replace one of its columns if it is there: its position stays."""
        statement = self._upsert(table)
        return statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={column: statement.excluded[column]}
        )

    def _next(self) -> int:
        self._position += 1
        return self._position
