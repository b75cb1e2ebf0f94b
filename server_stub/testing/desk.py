"""One workspace as tests reach it: questions and commands, by handle, SID or name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from server_stub.domain.errors import DomainError, NotFound
from server_stub.domain.history import PastEvent
from server_stub.domain.workspace import Workspace

if TYPE_CHECKING:
    from .background import BackgroundServer

__all__ = ["Desk", "HasSid", "find"]

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
    """

    def __init__(self, server: BackgroundServer, sid: str, start: float) -> None:
        self.server = server
        self.sid = sid
        self.start = start

    def ask(self, question: Callable[[Workspace], T]) -> T:
        """What `question` returns about the workspace as it is now. It must change nothing."""
        return self.server.call(lambda server: question(server.account.workspace(self.sid)))

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

        answer = self.server.call(lambda server: server.run(self.sid, guarded))
        for failure in failures:
            raise failure
        return cast("T", answer)

    def history(self) -> Sequence[PastEvent]:
        """What happened, oldest first."""
        return self.server.call(lambda server: server.history(self.sid))


def find(things: Mapping[str, T], wanted: HasSid | str, kind: str, name: Callable[[T], str]) -> T:
    """The one that is meant by a handle, a SID or a name.

    Raises:
        NotFound: a handle or SID of something that is not there (any more).
        LookupError: there is none of that name; the text says which there are.
    """
    sid = wanted if isinstance(wanted, str) else wanted.sid
    found = things.get(sid)
    if found is not None:
        return found
    if not isinstance(wanted, str):
        raise NotFound(f"{kind}s", sid)
    found = next((thing for thing in things.values() if name(thing) == wanted), None)
    if found is None:
        known = ", ".join(repr(name(thing)) for thing in list(things.values())[:20]) or "none"
        raise LookupError(f"there is no {kind} {wanted!r} in this workspace; there are: {known}")
    return found
