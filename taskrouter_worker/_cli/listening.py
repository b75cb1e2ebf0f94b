"""``taskrouter-worker listen``: a worker in the terminal, or in a pipe."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal

from taskrouter_worker import (
    InvalidTokenError,
    NotConnectedError,
    RequestError,
    SessionState,
    TaskRouterError,
    Worker,
)

from .access import add_token_options, first_token
from .feed import Face, JsonLines, Lines, follow, reason
from .leaving import FAILED, LEFT, MISUSED, REFUSED, UNREACHABLE, Stop

if TYPE_CHECKING:
    from taskrouter_worker import Reservation

__all__ = ["add_listen", "listen"]

_EPILOG: Final = """\
The token comes from a file, a command, the environment (TASKROUTER_TOKEN) or the standard input, never
from an argument, which other users of the machine could see. Without --eb-server and --ws-server the worker
is Twilio's.

On a terminal a screen shows offers and tasks, and keys answer them. Where the output is no terminal, or with
--plain, events are lines of text; with --json they are JSON, one a line. A connection that breaks is made
again.

Examples:
  eval "$(taskrouter-stub token nina --env)" && taskrouter-worker listen
  taskrouter-worker listen --token-command "taskrouter-stub token nina" --activity Available
  taskrouter-worker listen --token-file nina.token --json --auto accept --complete-after 5

Exit status: 0 left, by q or Ctrl-C, or because nobody reads the output any more; 1 the service ended the
session, or the activity could not be set; 2 wrong use, or no token; 3 not connected in --connect-timeout;
5 the token was refused, or has expired and no command makes another.
"""


def add_listen(commands: Any) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "listen",
        help="be a worker: see offers, answer them",
        description="Be a worker: see what is offered, and answer it by key or by rule.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_token_options(parser)
    for name, what in (("eb", "HTTP"), ("ws", "websocket")):
        variable = f"TASKROUTER_{name.upper()}_SERVER"
        add(
            f"--{name}-server",
            metavar="URL",
            default=os.environ.get(variable),
            help=f"{what} URL of the event bridge, if not Twilio's ({variable})",
        )
    add("--region", metavar="NAME", help="Twilio region, such as ie1")
    add("--activity", metavar="NAME", help="go to this activity, by name or SID, when connected")
    add("--auto", choices=("accept", "reject"), help="answer every offer so")
    add(
        "--complete-after",
        type=float,
        metavar="SECONDS",
        help="complete what was accepted so much later",
    )
    add(
        "--connect-timeout",
        type=float,
        metavar="SECONDS",
        help="give up if not connected after so long at the start (default: try for ever)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--plain", action="store_true", help="lines of text instead of a screen")
    form.add_argument("--json", action="store_true", help="JSON lines, for programs")


async def listen(options: argparse.Namespace, given: str | None) -> int:
    """Carry out the command with the token that is given, or a command's; its exit status.

    Raises:
        Stop: it cannot begin, or has ended by other than the user's wish.
    """
    _check(options)
    on_screen = _wants_screen(options)
    if on_screen:
        _require_screen()
    token, provider = await first_token(given, options)
    try:
        worker = Worker(
            token,
            token_provider=provider,
            eb_server=options.eb_server,
            ws_server=options.ws_server,
            region=options.region,
            log_level="silent",  # what is worth telling comes as events
        )
    except ValueError as error:
        raise Stop(MISUSED, _as_options(str(error))) from None
    left = asyncio.Event()
    with _Signals(left.set):
        async with _shown(worker, options, left, on_screen=on_screen) as face:
            await _work(worker, options, face, left, renews=provider is not None)
    return LEFT


def _check(options: argparse.Namespace) -> None:
    for name in ("complete_after", "connect_timeout"):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise Stop(MISUSED, f"--{name.replace('_', '-')} must be more than 0 seconds, got {value:g}")


def _wants_screen(options: argparse.Namespace) -> bool:
    if options.json or options.plain or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


def _require_screen() -> None:
    if find_spec("rich") is None:
        raise Stop(
            MISUSED, 'the screen needs rich: pip install "taskrouter-worker[cli]", or use --plain or --json'
        )
    if find_spec("termios") is None:
        raise Stop(MISUSED, "the screen needs a POSIX terminal: use --plain or --json here")


def _as_options(message: str) -> str:
    for name in ("eb_server", "ws_server", "region"):
        message = message.replace(name, f"--{name.replace('_', '-')}")
    return message


# --- Running ------------------------------------------------------------------------------------


class _Signals:
    """Has Ctrl-C and its like end the program in good order while it is entered.

    Where the loop cannot handle signals (Windows), Ctrl-C stays a KeyboardInterrupt.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        self._numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]

    def __enter__(self) -> None:
        for number in self._numbers:
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, self._leave)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._numbers:
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_signal_handler(number)


@asynccontextmanager
async def _shown(
    worker: Worker, options: argparse.Namespace, left: asyncio.Event, *, on_screen: bool
) -> AsyncGenerator[Face]:
    """Show the worker in the form that was asked for."""
    if not on_screen:
        face = JsonLines(left.set) if options.json else Lines(left.set)
        follow(worker, face)
        yield face
        if face.failure is not None:
            raise face.failure
        return
    from .screen import Screen  # noqa: PLC0415 - needs rich, and a POSIX terminal

    with Screen(worker, left.set) as screen:
        follow(worker, screen)
        drawing = asyncio.create_task(screen.run(), name="screen")
        drawing.add_done_callback(lambda _: left.set())  # a terminal that is gone
        try:
            yield screen
        finally:
            drawing.cancel()
            await asyncio.wait({drawing})
    if not drawing.cancelled():
        drawing.result()


async def _work(
    worker: Worker, options: argparse.Namespace, face: Face, left: asyncio.Event, *, renews: bool
) -> None:
    """Be the worker until the user leaves, or the session ends.

    Raises:
        Stop: the session has ended by itself.
    """
    bot = _Bot(worker, face, answer=options.auto, complete_after=options.complete_after)
    session = asyncio.create_task(_session(worker, options), name="session")
    leaving = asyncio.create_task(left.wait(), name="leaving")
    expiry = asyncio.create_task(_expiry(worker, renews=renews), name="expiry")
    ends = session, leaving, expiry
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*ends, *bot.tasks):
            task.cancel()
        await asyncio.gather(*ends, *bot.tasks, return_exceptions=True)
        await worker.disconnect()
    for task in (session, expiry):
        if not task.cancelled():
            task.result()


async def _expiry(worker: Worker, *, renews: bool) -> None:
    """Wait until a token without a successor has expired, be it before the worker was ever connected.

    Raises:
        Stop: it has. If the session ends otherwise this waits on: `_session` tells how.
    """
    with contextlib.suppress(NotConnectedError):
        if not renews:
            await worker.wait_for_state(SessionState.TOKEN_EXPIRED)
            raise Stop(REFUSED, "the token has expired: --token-command gets the next one in time")
    await asyncio.get_running_loop().create_future()


async def _session(worker: Worker, options: argparse.Namespace) -> None:
    last = ""

    def failed(error: TaskRouterError) -> None:
        nonlocal last
        last = f": {reason(error)}"

    worker.on("error", failed)
    try:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(options.connect_timeout):
                await stack.enter_async_context(worker)
            if options.activity is not None:
                await _go_to(worker, options.activity)
            await worker.wait_closed()
    except TimeoutError:
        raise Stop(UNREACHABLE, f"not connected after {options.connect_timeout:g} s{last}") from None
    except InvalidTokenError as error:
        raise Stop(REFUSED, str(error)) from None
    except TaskRouterError as error:
        raise Stop(FAILED, str(error)) from None


async def _go_to(worker: Worker, named: str) -> None:
    for activity in worker.activities.values():
        if named in (activity.sid, activity.name):
            if not activity.is_current:
                await activity.set_as_current()
            return
    known = ", ".join(sorted(activity.name for activity in worker.activities.values()))
    raise Stop(MISUSED, f"there is no activity {named!r}: there are {known}")


class _Bot:
    """Answers offers and completes tasks by rule.

    Args:
        worker: for whom.
        face: is told what fails.
        answer: ``accept`` or ``reject``, None to leave offers alone.
        complete_after: seconds from acceptance to completion, None to leave tasks alone.

    Attributes:
        tasks: what waits to be done.
    """

    def __init__(
        self,
        worker: Worker,
        face: Face,
        *,
        answer: Literal["accept", "reject"] | None,
        complete_after: float | None,
    ) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._face = face
        self._answer = answer
        self._seconds = complete_after
        self._completing: set[str] = set()
        if answer is not None or complete_after is not None:
            worker.on("reservationCreated", self._created)
        if complete_after is not None:
            worker.on("ready", self._ready)

    def _ready(self, worker: Worker) -> None:
        for reservation in worker.reservations.values():
            if reservation.status != "pending":
                self._accepted(reservation)

    def _created(self, reservation: Reservation) -> None:
        reservation.on("accepted", self._accepted)
        if self._answer == "accept":
            self._start(reservation.accept)
        elif self._answer == "reject":
            self._start(reservation.reject)

    def _accepted(self, reservation: Reservation) -> None:
        if self._seconds is None or reservation.sid in self._completing:
            return
        self._completing.add(reservation.sid)
        reservation.on("ended", lambda r: self._completing.discard(r.sid))
        self._start(reservation.complete, after=self._seconds)

    def _start(self, command: Callable[[], Awaitable[object]], *, after: float = 0.0) -> None:
        async def run() -> None:
            await asyncio.sleep(after)
            try:
                await command()
            except RequestError as error:
                self._face.failed(error)

        task = asyncio.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
