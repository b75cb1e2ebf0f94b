"""One inner request on its way, and what the sessions have to know about its answer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from server_stub import queries
from server_stub.domain.workspace import Workspace
from server_stub.replies import ApiError
from server_stub.runtime import Runtime
from server_stub.tokens import Caller
from server_stub.views import SnapshotPart
from taskrouter_worker.resources import Page, PageMeta

from .parameters import Param

__all__ = ["PAGE_SIZE", "Call", "Gate", "HeldFrames", "page_of"]

PAGE_SIZE: Final = 50

T = TypeVar("T")


class HeldFrames(Protocol):
    """Frames that are kept back."""

    @property
    def holds_something(self) -> bool:
        """Whether there is a frame at all."""
        ...

    def release(self) -> None:
        """Let them go. Further calls do nothing."""
        ...


class Gate(Protocol):
    """What the sessions have to know about answers."""

    def hold(self, worker_sid: str | None) -> HeldFrames:
        """Keep back the worker's frames from now on."""
        ...

    def show(self, worker_sid: str, part: SnapshotPart, seq: int) -> Callable[[], None]:
        """An answer shows `part` as of `seq`. Call the result when the snapshot's last answer has settled."""
        ...


@dataclass(slots=True, kw_only=True)
class Call:
    """One inner request on its way through a route."""

    runtime: Runtime
    gate: Gate
    caller: Caller
    workspace: Workspace
    sids: dict[str, str]
    args: dict[str, Any]  # Any: each route knows the types of its own parameters
    if_match: int | None
    on_settled: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def run(self, command: Callable[[Workspace], T]) -> T:
        """Carry out the caller's command, in front of whatever falls due since the request was let in.

        The frames of the next command are held back, and its events name the caller as their actor: they
        must not be those of a deadline.
        """
        return self.runtime.run_next(self.workspace, command)

    def taken(self, *params: Param) -> dict[str, object]:
        """Those of the parameters that were given, by their names on the wire; no arguments any more."""
        return {param.name: self.args.pop(param.key) for param in params if param.key in self.args}

    def is_own(self, worker_sid: str) -> bool:
        """Whether the caller is that worker."""
        return self.caller.worker_sid == worker_sid

    def show(self, part: SnapshotPart, worker_sid: str | None = None) -> Callable[[], None]:
        """Stamp the answer, if it is part of what the calling worker's sessions start from."""
        own = self.caller.worker_sid
        if own is None or worker_sid not in (None, own):
            return _nothing
        return self.gate.show(own, part, self.workspace.seq)

    def page(
        self,
        items: Sequence[T],
        render: Callable[[T], object],
        sid: Callable[[T], str],
        matches: Callable[[T], bool] = lambda _: True,
    ) -> Page[object]:
        """The page of the matching items that `AfterSid` and `PageSize` ask for.

        The item that it follows is looked up among all, as over REST: it may match no longer.
        """
        after = self.args.get("after_sid")
        index = -1
        if after:
            found = queries.index_of(items, lambda item: sid(item) == after)
            if found is None:
                raise ApiError(
                    400, f"AfterSid '{after}' is not in the list any more: begin again", code=21481
                )
            index = found
        places = [place for place, item in enumerate(items) if matches(item)]
        start = bisect_right(places, index)
        end = start + self.args.get("page_size", PAGE_SIZE)
        shown = [items[place] for place in places[start:end]]
        last = sid(shown[-1]) if end < len(places) else None
        return page_of([render(item) for item in shown], start, len(places), after_sid=last)


def page_of(
    contents: list[object],
    start: int,
    total: int,
    *,
    after_sid: str | None = None,
    next_token: str | None = None,
) -> Page[object]:
    """A page as the event bridge shows it."""
    return Page(
        contents=contents,
        after_sid=after_sid,
        total=total,
        start=start,
        end=start + len(contents),
        meta=PageMeta(next_token=next_token),
    )


def _nothing() -> None:
    pass
