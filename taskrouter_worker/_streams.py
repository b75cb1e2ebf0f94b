"""Events as an asynchronous iterator, for code that would rather pull than be called."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Literal, Self, TypeVar

from .errors import StreamOverflowError

__all__ = ["EventStream", "Overflow"]

Overflow = Literal["raise", "drop_oldest", "drop_newest"]
"""What happens to an event that finds the buffer full: see `EventStream`."""

OVERFLOWS: Final = ("raise", "drop_oldest", "drop_newest")

T = TypeVar("T")


class EventStream(Generic[T]):
    """The arguments of one event, in order, from the moment it is made.

    Iterate it (`async for`), as often and as slowly as you like: up to `max_buffer` events wait. It ends
    when the worker does, and with `aclose`; ``async with`` closes it for you.

    What happens when the buffer is full is the stream's `overflow`:

    * ``raise`` (default): nothing is dropped silently. The events that wait are still delivered, then
      `StreamOverflowError` is raised and the stream is over;
    * ``drop_oldest``: the longest waiting event is dropped;
    * ``drop_newest``: the new event is dropped.

    Attributes:
        dropped: events dropped so far.
    """

    def __init__(self, *, event: str, max_buffer: int, overflow: Overflow) -> None:
        self._event = event
        self._max_buffer = max_buffer
        self._overflow: Overflow = overflow
        self._buffer: deque[T] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False
        self._error: StreamOverflowError | None = None
        self._detach: Callable[[], None] | None = None
        self._finalizer: weakref.finalize[..., EventStream[T]] | None = None
        self.dropped = 0

    def attach(
        self,
        register: Callable[[Callable[[T], None]], Callable[[], None]],
        leave_behind: Callable[[Callable[[], None]], object],
    ) -> None:
        """Listen from now on. The listener does not keep the stream alive.

        Args:
            register: takes the listener and returns how to take it back.
            leave_behind: gets that when nobody holds the stream any more. That may be at any moment and in
                any thread, in the middle of what taking back would change: it must only note it.
        """
        me = weakref.ref(self)

        def arrived(item: T) -> None:
            stream = me()
            if stream is not None:
                stream._push(item)

        self._detach = register(arrived)
        self._finalizer = weakref.finalize(self, leave_behind, self._detach)
        self._finalizer.atexit = False

    def end(self) -> None:
        """No more events will come; those that wait are still delivered."""
        if self._detach is not None:
            self._detach()
        if self._finalizer is not None:
            self._finalizer.detach()
        self._ended = True
        self._wake()

    @property
    def ended(self) -> bool:
        """Whether no more events will come; some may still wait."""
        return self._ended

    async def aclose(self) -> None:
        """Stop listening and forget what waits."""
        self.close()

    def close(self) -> None:
        """Stop listening and forget what waits."""
        self._buffer.clear()
        self._error = None
        self.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next event.

        Raises:
            StreamOverflowError: the buffer was full, and the rule is ``raise``.
            RuntimeError: somebody else waits for the same stream.
        """
        while not self._buffer:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended:
                raise StopAsyncIteration
            if self._waiting is not None:
                raise RuntimeError("two tasks iterate over one stream: give each its own")
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self._buffer.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _push(self, item: T) -> None:
        if self._ended:
            return
        if len(self._buffer) >= self._max_buffer:
            self.dropped += 1
            match self._overflow:
                case "raise":
                    self._error = StreamOverflowError(
                        f"{self._max_buffer} events of {self._event!r} wait to be read and one more came: "
                        "read faster, or choose a larger max_buffer or another overflow rule"
                    )
                    self.end()
                    return
                case "drop_oldest":
                    self._buffer.popleft()
                case "drop_newest":
                    return
        self._buffer.append(item)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
