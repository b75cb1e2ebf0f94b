"""The parts that the table of REST operations is made of: calls, operations, paged lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from server_stub import queries
from server_stub.chronicle import Chronicle, Records
from server_stub.domain.workspace import Workspace
from server_stub.parameters import Param, integer, text
from server_stub.replies import ApiError
from server_stub.runtime import Runtime
from server_stub.views import RestView

from .record_views import RecordView

__all__ = ["PAGING", "SID_LENGTH", "Call", "Listing", "Operation", "Reply", "crud", "named"]

PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1000
SID_LENGTH: Final = 34

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through an operation."""

    runtime: Runtime
    chronicle: Chronicle
    view: RestView
    now: float  # epoch seconds
    base: str  # scheme, host and /v1/Workspaces as the client used them
    path: str  # below /v1
    sids: tuple[str, ...]  # the path's variables, from left to right
    query: list[tuple[str, str]]
    args: dict[str, Any]  # Any: each operation knows the types of its own parameters
    if_match: int | None

    @property
    def workspace(self) -> Workspace:
        """The workspace that the path names."""
        return self.runtime.workspace(self.sids[0])

    @property
    def records(self) -> Records:
        """What happened in that workspace."""
        records = self.chronicle.of(self.workspace.sid)
        records.forget(self.now)
        return records

    @property
    def record_view(self) -> RecordView:
        """How the client sees those records."""
        return RecordView(self.base, self.now)

    def run(self, command: Callable[[Workspace], T]) -> T:
        """Carry out a command in the path's workspace."""
        return self.runtime.run(self.workspace, command)


@dataclass(slots=True)
class Reply:
    """What an operation answers."""

    body: object
    version: int | None = None  # becomes the ETag


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row of the API: a method on a path, its parameters, and what it does."""

    method: str
    path: str  # below /v1/Workspaces; names in braces are variables
    status: int
    handle: Callable[[Call], Reply]
    params: tuple[Param, ...] = ()
    read_body: Callable[[bytes], dict[str, Any]] | None = None  # of JSON; the others take a form
    versioned: bool = False  # takes If-Match


@dataclass(frozen=True, kw_only=True)
class Listing(Generic[T]):
    """How a list operation finds, filters, orders and shows its items."""

    key: str
    items: Callable[[Call], Sequence[T]]  # all of them, in default order
    view: Callable[[Call, T], object]
    sid: Callable[[T], str]
    filters: Mapping[str, Callable[[Call, Any], Callable[[T], bool]]]  # Any: the parameter's value
    order: Mapping[str, queries.SortKey[T]] = field(default_factory=dict[str, "queries.SortKey[T]"])
    created: queries.SortKey[T] = lambda _: ()  # oldest first; for those that an order leaves equal

    def __call__(self, call: Call) -> Reply:
        """Answer one page."""
        args = call.args
        tests = [make(call, args[name]) for name, make in self.filters.items() if name in args]
        items = self.items(call)
        order = self._order(args["ordering"]) if "ordering" in args else None
        if order is not None:
            items = order.sorted(items)
        size = min(args.get("page_size", PAGE_SIZE), MAX_PAGE_SIZE)
        number = args.get("page", 0)
        token = args.get("page_token")
        matches = queries.matches_all(tests)
        if token is None:
            if number > 0:
                raise ApiError(400, "Absolute paging is not supported: follow next_page_url", code=40153)
            page = queries.page_after(items, -1, size, matches)
        else:
            page = self._page_at(items, order, token, size, matches)

        def turn_at(item: T, neighbour: T) -> str:
            return f"{self.sid(item)}{self.sid(neighbour)}" if order is None else order.token(item)

        links = _Links(call, size)
        first, last = (page.items[0], page.items[-1]) if page.items else (None, None)
        return Reply(
            {
                "meta": {
                    "key": self.key,
                    "page": number,
                    "page_size": size,
                    "url": links.page(number, token),
                    "first_page_url": links.page(0, None),
                    "previous_page_url": (
                        links.page(max(number - 1, 0), f"PB{turn_at(first, page.previous)}")
                        if page.previous is not None and first is not None
                        else None
                    ),
                    "next_page_url": (
                        links.page(number + 1, f"PA{turn_at(last, page.next)}")
                        if page.next is not None and last is not None
                        else None
                    ),
                },
                self.key: [self.view(call, item) for item in page.items],
            }
        )

    def _order(self, text: str) -> queries.Order[T]:
        clauses = queries.ordering(text, self.order)
        if {"DateCreated", "VirtualStartTime"} <= {name for name, _ in clauses}:
            raise ApiError(400, "Ordering by DateCreated and VirtualStartTime together is not supported")
        return queries.Order(clauses, self.order, created=self.created, sid=self.sid)

    def _page_at(
        self,
        items: Sequence[T],
        order: queries.Order[T] | None,
        token: str,
        size: int,
        matches: Callable[[T], bool],
    ) -> queries.Page[T]:
        """The page that a token asks for: behind its first item (PA), or in front of it (PB).

        The second item is the one with which that page began when the token was given out: it tells the
        place if the first is gone. A token without it is taken, too, as TaskRouter's have one item only.
        In an ordered list the token holds the place instead.
        """

        def place(sid: str) -> int | None:
            return queries.index_of(items, lambda item: self.sid(item) == sid)

        way, end, neighbour = token[:2], token[2 : 2 + SID_LENGTH], token[2 + SID_LENGTH :]
        if way in ("PA", "PB"):
            onward = way == "PA"
            known = None if order is None else order.place_in(token[2:], items)
            if order is not None and known is not None:
                return (order.after if onward else order.before)(items, known, size, matches)
            turn = queries.page_after if onward else queries.page_before
            for sid, offset in ((end, 0), (neighbour, -1 if onward else 1)):
                index = place(sid)
                if index is not None:
                    return turn(items, index + offset, size, matches)
        raise ApiError(400, "PageToken is not one that this list gave out", code=21481)


class _Links:
    """Addresses of the other pages of a list, with all its filters."""

    def __init__(self, call: Call, size: int) -> None:
        kept = [(k, v) for k, v in call.query if k not in ("Page", "PageSize", "PageToken")]
        self._query = [*kept, ("PageSize", str(size))]
        self._url = call.base + call.path.removeprefix("/Workspaces")

    def page(self, number: int, token: str | None) -> str:
        query = [*self._query, ("Page", str(number))]
        if token is not None:
            query.append(("PageToken", token))
        return f"{self._url}?{urlencode(query)}"


PAGING: Final = (
    Param("PageSize", integer(low=1)),
    Param("Page", integer()),
    Param("PageToken", text),
)


def crud(
    collection: str,
    *,
    listing: Listing[Any],  # Any: the kind of item is the listing's own business
    filters: tuple[Param, ...],
    handlers: Sequence[Callable[[Call], Reply]],
    create: tuple[Param, ...],
    update: tuple[Param, ...],
    versioned: bool = False,
) -> tuple[Operation, ...]:
    """The five operations of a collection: create, list, fetch, update, delete."""
    creates, fetches, updates, deletes = handlers
    one = f"{collection}/{{sid}}"
    return (
        Operation(method="POST", path=collection, status=201, handle=creates, params=create),
        Operation(method="GET", path=collection, status=200, handle=listing, params=(*filters, *PAGING)),
        Operation(method="GET", path=one, status=200, handle=fetches),
        Operation(method="POST", path=one, status=200, handle=updates, params=update, versioned=versioned),
        Operation(method="DELETE", path=one, status=204, handle=deletes, versioned=versioned),
    )


def named(name: str) -> Callable[[Any], bool]:  # Any: whatever has a friendly name
    """True for what has that friendly name."""
    return lambda item: item.friendly_name == name
