"""A store in SQL: what SQLite and PostgreSQL have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
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

T = TypeVar("T")

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
_DROP_EVENTS = delete(_event).where(
    _event.c.workspace_sid == bindparam("of"), _event.c.seq < bindparam("from_here")
)
_DROP_FACTS = delete(_fact).where(
    _fact.c.workspace_sid == bindparam("of"), _fact.c.number < bindparam("from_here")
)


class SqlStore(ABC):
    """Tables of rows, over one connection that lasts as long as the server.

    What is done in a transaction is one plain function of a connection. How it is carried out without
    keeping the event loop waiting is each database's own.

    Args:
        migrations: the steps to take; all of them unless a test makes an older store.
    """

    _upsert: ClassVar[Any]  # the dialect's own `insert`, which knows what to do about rows that are there

    def __init__(self, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._migrations = tuple(migrations)
        self._position = 0
        self._statements: dict[Table, str] = {}  # of `_put`

    @property
    @abstractmethod
    def name(self) -> str:
        """What to call it in messages."""

    @abstractmethod
    async def _connect(self) -> None:
        """Connect, take the store for this process alone, see that it is sound and ours; or StorageError."""

    @abstractmethod
    async def _carry_out(self, work: Callable[[Connection], T]) -> T:
        """Do the work in a transaction of its own; raises StorageError while there is no connection."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Give everything back. Idempotent, and of use after a failed `_connect` as well."""

    @abstractmethod
    def _explained(self, error: Exception) -> str:
        """What went wrong, in words that hold no secret."""

    async def open(self) -> Contents:
        """See `contract.Store`."""
        try:
            await self._connect()
            await self._carry_out(self._migrate)
            return await self._carry_out(self._read)
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
            await self._carry_out(lambda connection: self._write(connection, batch))
        except (SQLAlchemyError, OSError) as error:
            raise StorageError(f"{self.name} could not be written: {self._explained(error)}") from None

    async def close(self) -> None:
        """See `contract.Store`."""
        with suppress(SQLAlchemyError, OSError):  # it is lost: there is nothing to give back
            await self._disconnect()

    # -------------------------------------------------------- versions

    def _migrate(self, connection: Connection) -> None:
        connection.execute(text("CREATE TABLE IF NOT EXISTS migration (number BIGINT NOT NULL PRIMARY KEY)"))
        taken = sorted((connection.execute(select(_taken.c.number))).scalars())
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
                connection.execute(text(statement))
            connection.execute(insert(_taken).values(number=migration.number))

    # -------------------------------------------------------- reading

    def _read(self, connection: Connection) -> Contents:
        settings = {row.name: row.value for row in connection.execute(select(_setting))}
        if len(self._migrations) < len(MIGRATIONS):
            return Contents(
                settings=settings, workspaces=()
            )  # a test's older store is not read by this server
        highest = [
            (connection.execute(select(func.max(table.c.position)))).scalar()
            for table in (_workspace, _entity)
        ]
        self._position = max(found or 0 for found in highest)
        found = (connection.execute(select(_workspace).order_by(_workspace.c.position))).all()
        return Contents(
            settings=settings,
            workspaces=tuple(self._read_workspace(connection, row.sid, row.body) for row in found),
        )

    def _read_workspace(self, connection: Connection, sid: str, body: str) -> StoredWorkspace:
        records = connection.execute(
            select(_entity.c.body).where(_entity.c.workspace_sid == sid).order_by(_entity.c.position)
        )
        events = connection.execute(
            select(_event.c.seq, _event.c.body).where(_event.c.workspace_sid == sid).order_by(_event.c.seq)
        )
        facts = connection.execute(
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

    def _write(self, connection: Connection, batch: Batch) -> None:
        self._put(connection, _setting, list(batch.settings.items()), replacing="value")
        for part in batch.workspaces:
            self._write_workspace(connection, part)

    def _write_workspace(self, connection: Connection, part: WorkspaceBatch) -> None:
        of = part.sid
        if part.replaces:
            for table in (_entity, _event, _fact):
                connection.execute(delete(table).where(table.c.workspace_sid == of))
        if part.changes is None:
            connection.execute(delete(_workspace).where(_workspace.c.sid == of))
            return
        changes = part.changes
        if changes.workspace is not None:
            head = (of, self._next(), to_json(changes.workspace).decode())
            self._put(connection, _workspace, [head], replacing="body")
        records = [
            (of, *key_of(record), self._next(), to_json(record).decode()) for record in changes.written
        ]
        self._put(connection, _entity, records, replacing="body")
        dropped = [{"of": of, "of_kind": kind, "of_sid": sid} for kind, sid in changes.removed]
        if dropped:
            connection.execute(_DROP_ENTITY, dropped)
        self._put(connection, _event, [(of, event.seq, event_row(event)) for event in part.events])
        self._put(connection, _fact, [(of, fact.number, fact_row(fact)) for fact in part.facts])
        if part.events_from:
            connection.execute(_DROP_EVENTS, {"of": of, "from_here": part.events_from})
        if part.facts_from:
            connection.execute(_DROP_FACTS, {"of": of, "from_here": part.facts_from})

    def _put(
        self,
        connection: Connection,
        table: Table,
        rows: list[tuple[Any, ...]],
        *,
        replacing: str | None = None,
    ) -> None:
        """Write rows, each with a value for every column. Of one that is there, `replacing` is replaced.

        Its position stays. The rows go to the driver as they are: to have SQLAlchemy prepare each of
        them by the names of its columns took as long as to write it.
        """
        if not rows:
            return
        statement = self._statements.get(table)
        if statement is None:
            insertion = self._upsert(table)
            if replacing is not None:
                insertion = insertion.on_conflict_do_update(
                    index_elements=list(table.primary_key), set_={replacing: insertion.excluded[replacing]}
                )
            statement = self._statements[table] = str(insertion.compile(dialect=connection.dialect))
        connection.exec_driver_sql(statement, rows)

    def _next(self) -> int:
        self._position += 1
        return self._position
