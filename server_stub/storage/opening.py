"""Which store an address means."""

from __future__ import annotations

from pathlib import Path

from .contract import StorageError, Store

__all__ = ["open_store"]


def open_store(data: str | Path) -> Store:
    """The store at `data`: a path is an SQLite file, ``postgresql://...`` a PostgreSQL database.

    Nothing is touched before its `open`.

    Raises:
        StorageError: the address is not understood, or the extra ``storage`` is not installed.
    """
    try:
        from .postgresql import PostgresqlStore  # noqa: PLC0415 - an extra, asked for only where it is used
        from .sqlite import SqliteStore  # noqa: PLC0415 - the same
    except ImportError as error:
        raise StorageError(
            f"--data needs the module {error.name}: pip install 'taskrouter-worker[storage]'"
        ) from None
    text = str(data)
    scheme, separator, _ = text.partition("://")
    if not separator:
        if not text:
            raise StorageError("--data is empty: give the path of a file, or postgresql://...")
        return SqliteStore(Path(text))
    if scheme in ("postgresql", "postgres"):
        return PostgresqlStore(text)
    if scheme == "sqlite":
        raise StorageError("--data takes the path of an SQLite file, without sqlite://")
    raise StorageError(f"--data does not know {scheme}://: give the path of a file, or postgresql://...")
