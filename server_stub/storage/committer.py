"""Group commit: what commands change while one transaction is written shares the next one."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from typing import Final

from server_stub.commits import CommitFailed

from .contract import Batch, StorageError, Store

__all__ = ["Committer", "Round"]

CLOSE_SECONDS: Final = 10.0
"""How long the last transaction may take when the server stops."""

log = logging.getLogger(__name__)


class Round:
    """One transaction, and who waits for it."""

    __slots__ = ("_waiters", "actions")

    def __init__(self) -> None:
        self.actions: list[Callable[[], None]] = []
        self._waiters: list[asyncio.Future[None]] = []

    async def written(self) -> None:
        """Wait for its end; raises what it failed with."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def end(self, error: Exception | None) -> None:
        """It is written, or it failed: then its actions are never called."""
        if error is not None:
            for waiter in self._waiters:
                if not waiter.done():  # canceled
                    waiter.set_exception(error)
                    waiter.exception()  # it may be that who waits is canceled before it hears of it
            return
        for action in self.actions:
            try:
                action()
            except Exception as defect:  # noqa: BLE001 - a defect in one must not keep the others from going out
                log.error("an action after a commit broke: %s", type(defect).__name__)  # noqa: TRY400 - its text may quote customers
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Committer:
    """Writes round after round. Open it before the first change, close it after the last.

    Args:
        store: where to write; it is open.
        collect: what has changed since the last call. It is called when a round begins to be written.
        failed: told once that a round could not be written. Nothing is written after that.
    """

    def __init__(
        self, store: Store, collect: Callable[[], Batch], *, failed: Callable[[StorageError], None]
    ) -> None:
        self._store = store
        self._collect = collect
        self._failed = failed
        self._wake = asyncio.Event()
        self._broken: Round | None = None  # once writing has failed
        self._next: Round | None = None  # takes in what changes now
        self._current: Round | None = None  # is being written
        self._error: CommitFailed | None = None
        self._writer: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to write."""
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="commits")

    async def close(self) -> None:
        """Write what is left, then end, even if the store does not answer. Idempotent."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.committed()
        except TimeoutError:
            log.critical("%s does not answer: the last changes may be lost", self._store.name)
        except CommitFailed:
            pass  # it was told already
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.cancel()
            await asyncio.wait([writer])

    @property
    def round(self) -> Round | None:
        """See `Commits.round`. After a failure it is one that never ends: nothing goes out any more."""
        return self._next or self._current or self._broken

    def note(self) -> None:
        """Something changed: it belongs to the next round."""
        if self._next is None and self._error is None:
            self._next = Round()
            self._wake.set()

    def when_committed(self, action: Callable[[], None]) -> None:
        """See `Commits`."""
        if self._error is not None:
            return
        last = self.round
        if last is None:
            action()
        else:
            last.actions.append(action)

    async def committed(self) -> None:
        """See `Commits`."""
        if self._error is not None:
            raise self._error
        last = self.round
        if last is not None:
            await last.written()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            current, self._next = self._next, None
            if current is None:
                continue
            self._current = current
            try:
                batch = self._collect()
                if batch:
                    await self._store.write(batch)
            except asyncio.CancelledError:
                self._fail(current, "the server stopped")
                raise
            except StorageError as error:
                self._fail(current, str(error))
                self._failed(error)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, what the disk has is not known any more
                where = "".join(traceback.format_tb(error.__traceback__))
                # Not its text: it may quote customers' data.
                reason = f"a defect kept the data from being written: {type(error).__name__}"
                log.error("%s\n%s", reason, where)  # noqa: TRY400
                self._fail(current, reason)
                self._failed(StorageError(reason))
                return
            self._current = None
            current.end(None)

    def _fail(self, current: Round, reason: str) -> None:
        self._error = CommitFailed(reason)
        self._broken = Round()
        following, self._next, self._current = self._next, None, None
        for broken in (current, following):
            if broken is not None:
                broken.end(self._error)
