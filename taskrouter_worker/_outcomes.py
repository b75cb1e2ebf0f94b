"""Finding out what became of a command whose answer did not come.

A command is never sent twice: it may have been carried out, and the second time it might hit something
else. Instead the SDK looks at what the command was about.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import anyio

from .errors import EndedOtherwiseError, NotConnectedError, NotFoundError, RequestError
from .terms import RESERVATION_ENDED, TASK_ENDED, ReservationStatus, TaskStatus

__all__ = ["RESERVATION_REACHED", "TASK_REACHED", "carry_out"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 20.0
"""How long looking may take, its repetitions included."""

RESERVATION_REACHED: Final = {
    ReservationStatus.ACCEPTED: frozenset(
        {ReservationStatus.ACCEPTED, ReservationStatus.WRAPPING, ReservationStatus.COMPLETED}
    ),
    ReservationStatus.WRAPPING: frozenset({ReservationStatus.WRAPPING, ReservationStatus.COMPLETED}),
    ReservationStatus.COMPLETED: frozenset({ReservationStatus.COMPLETED}),
    ReservationStatus.REJECTED: frozenset({ReservationStatus.REJECTED}),
}
"""By the status asked for: where a reservation stands if the command was carried out, or more came after."""

TASK_REACHED: Final = {
    TaskStatus.WRAPPING: frozenset({TaskStatus.WRAPPING, TaskStatus.COMPLETED}),
    TaskStatus.COMPLETED: frozenset({TaskStatus.COMPLETED}),
}

_ENDED: Final[frozenset[str]] = frozenset({*RESERVATION_ENDED, *TASK_ENDED})


async def carry_out(
    send: Callable[[], Awaitable[object]],
    *,
    sid: str,
    reached: Collection[str],
    status: Callable[[], str],
    look: Callable[[], Awaitable[object]],
) -> None:
    """Send a command, and if it stays unknown whether it was carried out, look.

    Args:
        send: sends it, once, and takes the answer over.
        sid: the reservation or task.
        reached: the statuses that show that it was carried out.
        status: what is known now; events may move it while the answer is awaited.
        look: fetches the present state.

    Raises:
        EndedOtherwiseError: it was not, and never can be.
        RequestError: the command's own failure. Its `carried_out` is False if it was refused, or if the
            look showed that nothing had happened: then it may be repeated.
    """
    try:
        await send()
    except RequestError as error:
        if error.carried_out is not None:
            raise
        if status() not in reached:
            await _look(look, error, sid)
        now = status()
        if now in reached:
            logger.info("%s is %s, as it should be, though the answer did not come: %s", sid, now, error)
            return
        if now in _ENDED:
            raise _ended_otherwise(error, sid, now) from error
        error.carried_out = False
        error.add_note(f"{sid} was looked at: it is still {now!r}. The command may be repeated.")
        raise


async def _look(look: Callable[[], Awaitable[object]], error: RequestError, sid: str) -> None:
    try:
        with anyio.fail_after(LOOK_SECONDS):
            await look()
    except NotFoundError:
        raise _ended_otherwise(error, sid, "unknown") from error
    except (RequestError, NotConnectedError, TimeoutError) as second:
        error.add_note(
            f"What became of {sid} could not be looked up either: {str(second) or type(second).__name__}"
        )
        raise error from None


def _ended_otherwise(error: RequestError, sid: str, outcome: str) -> EndedOtherwiseError:
    how = "the service no longer knows it" if outcome == "unknown" else f"it is {outcome!r}"
    return EndedOtherwiseError(
        f"{sid} ended before the command reached it: {how}; there is nothing left to do with it",
        method=error.method,
        path=error.path,
        sid=sid,
        outcome=outcome,
    )
