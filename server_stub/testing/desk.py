"""One workspace as tests reach it: questions and commands, by handle, SID or name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from server_stub.domain.errors import DomainError
from server_stub.domain.history import PastEvent
from server_stub.domain.workspace import Workspace

if TYPE_CHECKING:
    from server_stub.app import StubServer

    from .background import BackgroundServer

__all__ = ["Desk", "HasSid", "as_json", "find"]

__tracebackhide__ = True  # pytest shows the test's line instead

T = TypeVar("T")


class HasSid(Protocol):
    """A handle."""

    @property
    def sid(self) -> str:
        """The SID of what it stands for."""
        ...


class Desk:
    """A workspace on a server in another thread.

    Args:
        server: where it is.
        sid: which one.
        start: the moment by which its events are shown, in epoch seconds.

    Attributes:
        is_open: False once it is closed.
        set_up: the number of the last event of its making.
    """

    def __init__(self, server: BackgroundServer, sid: str, start: float) -> None:
        self.server = server
        self.sid = sid
        self.start = start
        self.is_open = True
        self.set_up = 0

    def reach(self, function: Callable[[StubServer], T]) -> T:
        """What `function` returns or raises, as `BackgroundServer.call`.

        Raises:
            RuntimeError: the workspace is closed.
        """
        if not self.is_open:
            raise RuntimeError(
                f"workspace {self.sid} is closed, since its test is over: for several tests, make one with "
                "`taskrouter_server.workspace()`"
            )
        try:
            return self.server.call(function)
        except Exception as error:
            if isinstance(error, DomainError) or type(error) is LookupError:
                # Its text says it all, and the way through the server nothing.
                raise error.with_traceback(_outside(error.__traceback__)) from None
            raise

    def ask(self, question: Callable[[Workspace], T]) -> T:
        """What `question` returns about the workspace as it is now. It must change nothing."""
        return self.reach(lambda server: question(server.account.workspace(self.sid)))

    def do(self, command: Callable[[Workspace], T]) -> T:
        """Carry out a command, as if it had come over REST, with all that follows from it.

        Raises:
            DomainError: it was refused, and has changed nothing.
        """
        failures: list[Exception] = []

        def guarded(workspace: Workspace) -> T | None:
            try:
                return command(workspace)
            except DomainError:
                raise
            except Exception as error:  # noqa: BLE001 - the test's mistake, not a defect of the server
                failures.append(error)
                return None

        answer = self.reach(lambda server: server.run(self.sid, guarded))
        for failure in failures:
            raise failure
        return cast("T", answer)

    def history(self) -> Sequence[PastEvent]:
        """What happened, oldest first."""
        return self.reach(lambda server: server.history(self.sid))

    def since_set_up(self) -> list[PastEvent]:
        """What happened since it was made, as far as it is kept: what is too old is forgotten."""
        return [event for event in self.history() if event.seq > self.set_up]


def find(things: Mapping[str, T], wanted: HasSid | str, kind: str, name: Callable[[T], str]) -> T:
    """The one that is meant by a handle, a SID or a name.

    Raises:
        LookupError: there is none, or no longer; the text says which there are.
    """
    found = things.get(wanted if isinstance(wanted, str) else getattr(wanted, "sid", ""))
    if found is None:
        found = next((thing for thing in things.values() if name(thing) == wanted), None)
    if found is None:
        known = ", ".join(repr(name(thing)) for thing in list(things.values())[:20]) or "none"
        raise LookupError(f"there is no {kind} {wanted!r} in this workspace; there are: {known}")
    return found


def as_json(attributes: Mapping[str, object] | None) -> str:
    """Attributes as the REST API takes them.

    Raises:
        TypeError: they are no dict, or JSON cannot show them.
    """
    given: object = attributes  # whatever the annotation says: the REST API takes text
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"attributes must be a dict, such as {{'topic': 'cards'}}, got {given!r}")
    return json.dumps(dict(attributes or {}))


def _outside(entry: TracebackType | None) -> TracebackType | None:
    """The traceback without the server's own frames."""
    if entry is None:
        return None
    rest = _outside(entry.tb_next)
    if str(entry.tb_frame.f_globals.get("__name__")).startswith("server_stub."):
        return rest
    return TracebackType(rest, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
