"""The tables, as the list of steps that made them.

A store says which steps it has taken. A step is never changed once it was released: what has to be
different is done by a further one. All of it is SQL that SQLite and PostgreSQL understand alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MIGRATIONS", "Migration"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step.

    Attributes:
        number: its place, from 1 on without gaps.
        statements: run in one transaction with the note that it was taken.
    """

    number: int
    statements: tuple[str, ...]


MIGRATIONS: Final = (
    Migration(
        1,
        (
            # What the server itself keeps: its credentials, its default workspace.
            "CREATE TABLE setting (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
            # Bodies are the JSON of `server_stub.domain.records`.
            """CREATE TABLE workspace (
                sid TEXT NOT NULL PRIMARY KEY, position BIGINT NOT NULL, body TEXT NOT NULL
            )""",
            """CREATE TABLE entity (
                workspace_sid TEXT NOT NULL, kind TEXT NOT NULL, sid TEXT NOT NULL,
                position BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (workspace_sid, kind, sid)
            )""",
        ),
    ),
    Migration(
        2,
        (
            # The history, and what statistics count. Numbers rise within a workspace.
            """CREATE TABLE event (
                workspace_sid TEXT NOT NULL, seq BIGINT NOT NULL, body TEXT NOT NULL,
                PRIMARY KEY (workspace_sid, seq)
            )""",
            """CREATE TABLE fact (
                workspace_sid TEXT NOT NULL, number BIGINT NOT NULL, body TEXT NOT NULL,
                PRIMARY KEY (workspace_sid, number)
            )""",
        ),
    ),
)
"""Every step, oldest first."""
