"""Commands, one at a time: run it, publish what happened, let the engine route, arm the next deadline.

A command is a plain function, so it is atomic within the event loop and needs no lock. The order
within it is fixed: the command and the rendering of its answer, then its events, then each round
of routing with its own events. So an answer never shows what its command set off, and whoever
listens reads each event's resource in the state at the end of that event's command.
"""

from __future__ import annotations

import asyncio
import logging
import math
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from .account import Account
from .clocks import HeldClock
from .commits import Commits
from .domain.errors import DomainError
from .domain.events import Event
from .domain.telephony import StatusCallback
from .domain.workspace import Workspace

__all__ = ["InternalError", "Publish", "PublishCallbacks", "Runtime"]

T = TypeVar("T")

Publish = Callable[[Workspace, Sequence[Event]], None]
"""Called with the events of each command, before the next one runs."""

PublishCallbacks = Callable[[Workspace, Sequence[StatusCallback]], None]
"""Called with the status callbacks that a command's instructions ask for, after its events."""

_MIN_DELAY: Final = 0.001
"""Seconds to wait again where a timer fired a little before the wall clock reached its deadline."""

_MAX_DELAY: Final = 60.0
"""Look at the wall clock at least this often, in seconds: it may have been set, or the machine slept."""

_AFTER_BUG_DELAY: Final = 1.0
"""Seconds before a deadline that broke is tried again."""

log = logging.getLogger(__name__)


class InternalError(Exception):
    """A defect of this server broke one command. The others go on."""


class _Timer:
    """The armed deadline of one workspace."""

    __slots__ = ("due", "handle")

    def __init__(self, due: float, handle: asyncio.TimerHandle) -> None:
        self.due = due
        self.handle = handle


class Runtime:
    """Runs the commands of every workspace of one account, on the running event loop.

    Args:
        account: the workspaces.
        publish: told of the events of each command.
        deleted: told of each workspace that was deleted.
        publish_callbacks: told of the status callbacks that instructions asked for.

    Attributes:
        commits: what stores the changes; None where nothing is stored.
    """

    def __init__(
        self,
        account: Account,
        *,
        publish: Publish,
        deleted: Callable[[Workspace], None],
        publish_callbacks: PublishCallbacks | None = None,
    ) -> None:
        self.account = account
        self._publish = publish
        self._deleted = deleted
        self._publish_callbacks = publish_callbacks
        self._timers: dict[str, _Timer] = {}
        self._standing: set[str] = set()  # workspaces whose time only `advance` moves
        self._closed = False
        self.commits: Commits | None = None

    def now(self, workspace_sid: str | None = None) -> float:
        """The present moment in epoch seconds: by that workspace's clock, or else by the account's."""
        workspace = None if workspace_sid is None else self.account.workspaces.get(workspace_sid)
        return (self.account if workspace is None else workspace).now()

    def workspace(self, sid: str) -> Workspace:
        """The workspace of that SID, with every deadline that is due carried out.

        Raises:
            NotFound: there is none.
        """
        workspace = self.account.workspace(sid)
        self.settle(workspace)
        return workspace

    def run(self, workspace: Workspace, command: Callable[[Workspace], T]) -> T:
        """Carry out every deadline that is due, then one command and everything that follows from it.

        `command` returns the rendered answer, or whatever the caller wants to know.

        Raises:
            DomainError: the command was refused and has changed nothing.
            InternalError: the command broke; its details are in the log.
        """
        self.settle(workspace)
        return self.run_next(workspace, command)

    def run_next(self, workspace: Workspace, command: Callable[[Workspace], T]) -> T:
        """As `run`, for who has just settled the workspace: what fell due since comes after the command."""
        try:
            answer = command(workspace)
        except DomainError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect in one command must not take the others down
            _log_defect("a command", workspace, error)
            self._follow_up(workspace)
            raise InternalError("The server failed to carry out the request") from None
        self._follow_up(workspace)
        return answer

    def adopt(self, workspace: Workspace) -> None:
        """Publish what the making of a workspace recorded, and look after its deadlines from now on."""
        self._follow_up(workspace)

    def stand_still(self, workspace: Workspace) -> None:
        """Arm no timer for a workspace: its clock stands still, and `advance` carries out its deadlines."""
        self._standing.add(workspace.sid)

    def go_on(self, workspace: Workspace) -> None:
        """Arm its timer again: its clock runs."""
        self._standing.discard(workspace.sid)
        self._arm(workspace, _MIN_DELAY)

    def advance(self, workspaces: Iterable[Workspace], clock: HeldClock, until: float) -> None:
        """Move a clock on, and carry out every deadline on the way at exactly its own moment.

        What a deadline sets off may be due on the way as well: then its turn comes too.

        Args:
            workspaces: whose time it is.
            clock: the clock they were made with; it stands still.
            until: what it shows at the end, in epoch seconds.

        Raises:
            ValueError: `until` lies in the past of the clock, which then has not moved.
            InternalError: a deadline broke; the clock stands at it.
        """
        if not until >= clock.now():
            clock.move_to(until)  # refuses
        moved = list(workspaces)
        while True:
            for workspace in moved:
                self.settle(workspace)
            deadlines = (workspace.next_deadline() for workspace in moved)
            due = min((at for at in deadlines if at is not None), default=math.inf)
            if due > until:
                break
            if due <= clock.now():  # it was carried out a moment ago, and still is there
                raise InternalError("The server failed to carry out a deadline; its log says where")
            clock.move_to(due)
        clock.move_to(until)

    def replace(self, workspace: Workspace) -> None:
        """Put a workspace where the one of the same SID was, if there was one, and look after it.

        Whatever else belonged to the former one has been ended before.
        """
        timer = self._timers.pop(workspace.sid, None)
        if timer is not None:
            timer.handle.cancel()
        self.account.workspaces[workspace.sid] = workspace
        self.adopt(workspace)

    def delete_workspace(self, workspace: Workspace) -> None:
        """Forget a workspace and everything in it.

        Raises:
            NotFound: it was deleted before.
        """
        self.account.delete_workspace(workspace.sid)
        if self.commits is not None:
            self.commits.changed(workspace)
        workspace.delete()
        self._tell(workspace)
        self._standing.discard(workspace.sid)
        timer = self._timers.pop(workspace.sid, None)
        if timer is not None:
            timer.handle.cancel()
        self._deleted(workspace)

    def settle(self, workspace: Workspace) -> None:
        """Carry out every deadline that is due by now, each as a command of its own."""
        due = workspace.next_deadline()
        if due is None or due > workspace.now():
            return
        delay = _MIN_DELAY
        while True:
            try:
                if not workspace.advance():
                    break
            except Exception as error:  # noqa: BLE001 - as in run(); a broken deadline stays due, hence the delay
                _log_defect("a deadline", workspace, error)
                delay = _AFTER_BUG_DELAY
                self._follow_up(workspace, delay)
                return
            self._follow_up(workspace, delay)

    def tick(self) -> None:
        """Carry out what is due in every workspace: for tests that turn the clock by hand."""
        for workspace in list(self.account.workspaces.values()):
            self.settle(workspace)

    def open(self) -> None:
        """Look after every workspace's deadlines from now on."""
        self._closed = False
        for workspace in self.account.workspaces.values():
            self._arm(workspace, _MIN_DELAY)

    def close(self) -> None:
        """Forget every deadline, until `open`."""
        self._closed = True
        for timer in self._timers.values():
            timer.handle.cancel()
        self._timers.clear()

    def _follow_up(self, workspace: Workspace, delay: float = _MIN_DELAY) -> None:
        if self.commits is not None:
            self.commits.changed(workspace)
        try:
            self._tell(workspace)
            while workspace.route():
                self._tell(workspace)
        except Exception as error:  # noqa: BLE001 - as in run()
            _log_defect("routing", workspace, error)
        self._arm(workspace, delay)

    def _tell(self, workspace: Workspace) -> None:
        events = workspace.take_events()
        if events:
            self._publish(workspace, events)
        callbacks = workspace.telephony.take_status_callbacks()
        if callbacks and self._publish_callbacks is not None:
            self._publish_callbacks(workspace, callbacks)

    def _arm(self, workspace: Workspace, delay: float) -> None:
        due = workspace.next_deadline()
        if due is None or self._closed or workspace.sid in self._standing:
            return
        timer = self._timers.get(workspace.sid)
        if timer is not None:
            if timer.due <= due:
                return  # it fires early, finds nothing, and is armed anew: cheaper than a new timer each time
            timer.handle.cancel()
        wait = min(max(due - workspace.now(), delay), _MAX_DELAY)
        handle = asyncio.get_running_loop().call_later(wait, self._fire, workspace)
        self._timers[workspace.sid] = _Timer(due, handle)

    def _fire(self, workspace: Workspace) -> None:
        self._timers.pop(workspace.sid, None)
        self.settle(workspace)
        self._arm(workspace, _MIN_DELAY)


def _log_defect(what: str, workspace: Workspace, error: Exception) -> None:
    """Log where it broke. Not the exception's text: it may quote a customer's attributes."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s of %s broke: %s\n%s", what, workspace.sid, type(error).__name__, where)
