"""Writes ``docs/authority.md``: who may do what, for every route and every kind of credential.

``python -m docs.authority`` from the root of the repository. Every cell is declared here, by the kind of
route; ``tests/server/test_authority.py`` plays each one against a real server, and fails for a route
that no row names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("authority.md")


class Door(StrEnum):
    """Where a request comes in."""

    REST = "REST API"
    BRIDGE = "event bridge"
    WEBSOCKET = "websocket"
    STUB = "/stub"
    HEALTH = "health"
    CONSOLE = "console"


class Cell(StrEnum):
    """What becomes of a request. A websocket says 401 as 4401 (4408 if expired) and 403 as 4403."""

    YES = "yes"
    NOBODY = "401"  # code 20003: the credentials prove nothing
    FORBIDDEN = "403"  # code 20006: proven, and not allowed
    UNKNOWN = "404"  # code 20404: allowed to ask, but it is not there for them
    INVALID = "400"  # code 20001: allowed to ask, but a parameter names nothing below that path


YES, NOBODY, FORBIDDEN, UNKNOWN, INVALID = Cell


class Holder(StrEnum):
    """Who asks, with what, for whose resource: the table's columns."""

    ACCOUNT = "account"
    SIGNING_KEY = "signing key"
    WORKER = "worker: own"
    WORKER_ANOTHER = "worker: another's"
    WORKER_UNHELD = "worker: unheld"
    SUPERVISOR = "supervisor: own"
    SUPERVISOR_ANOTHER = "supervisor: another's"
    SUPERVISOR_UNHELD = "supervisor: unheld"
    SUPERVISOR_NOBODY = "supervisor without worker"
    ADMIN = "admin: own"
    ADMIN_ANOTHER = "admin: another's"
    ADMIN_UNHELD = "admin: unheld"
    ADMIN_NOBODY = "admin without worker"
    CAPABILITY = "capability: read"
    CAPABILITY_CHANGE = "capability: change"
    CAPABILITY_ANOTHER = "capability: another's"
    CAPABILITY_NONE = "capability: no policies"
    ELSEWHERE = "elsewhere"
    FOREIGN_PAGE = "foreign page"
    FOREIGN_HOST = "foreign host"
    WRONG_PASSWORD = "wrong password"  # noqa: S105 - a column's name
    NONE = "nothing"
    EXPIRED = "expired"
    NOT_YET = "not yet valid"
    OTHER_ACCOUNT = "other account"
    OTHER_WORKSPACE = "other workspace"
    REVOKED = "revoked"
    OTHER_KEY = "other key"
    ALG_NONE = "alg none"
    CONFUSED = "key confusion"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"


H = Holder

MEANING: Final[Mapping[Holder, str]] = {
    H.ACCOUNT: "HTTP Basic: account SID and auth token. Where a token is asked for, the same in its place.",
    H.SIGNING_KEY: "HTTP Basic: signing key SID and its secret. Where a token is asked for, the same.",
    H.WORKER: "Access token, role worker; itself, its reservation, a task of which it holds a live one.",
    H.WORKER_ANOTHER: "The same token; another worker, its reservation, a task that it holds.",
    H.WORKER_UNHELD: "The same token; under its own path what another holds, or a task that nobody holds.",
    H.SUPERVISOR: "Access token, role supervisor; as in `worker: own`.",
    H.SUPERVISOR_ANOTHER: "The same token; as in `worker: another's`.",
    H.SUPERVISOR_UNHELD: "The same token; as in `worker: unheld`.",
    H.SUPERVISOR_NOBODY: "Access token, role supervisor, without `worker_sid`; another's resource.",
    H.ADMIN: "Access token, role admin; as in `worker: own`.",
    H.ADMIN_ANOTHER: "The same token; as in `worker: another's`.",
    H.ADMIN_UNHELD: "The same token; as in `worker: unheld`.",
    H.ADMIN_NOBODY: "Access token, role admin, without `worker_sid`; another's resource.",
    H.CAPABILITY: "WorkerCapabilityToken with the policies that its library always adds; own resource.",
    H.CAPABILITY_CHANGE: "The same with `allow_update_activities` and `allow_update_reservations`; own.",
    H.CAPABILITY_ANOTHER: "A WorkerCapabilityToken that allows every path; another's resource.",
    H.CAPABILITY_NONE: "A WorkerCapabilityToken without policies, or whose policies refuse.",
    H.ELSEWHERE: "The door's best credentials (token: admin); what the path names is another workspace's.",
    H.FOREIGN_PAGE: "The door's best credentials, with the Origin of another site.",
    H.FOREIGN_HOST: "The door's best credentials, under a host name that was not allowed (DNS rebinding).",
    H.WRONG_PASSWORD: "HTTP Basic: wrong, crossed and empty pairs, unknown users, unreadable headers.",
    H.NONE: "No credentials at all, or an empty token.",
    H.EXPIRED: "An admin's token and a capability token whose time is over.",
    H.NOT_YET: "An admin's token and a capability token whose `nbf` has not come.",
    H.OTHER_ACCOUNT: "Tokens for another account, signed with this server's secrets.",
    H.OTHER_WORKSPACE: "A token for another workspace of the account, on a path in this one.",
    H.REVOKED: "A token of a worker, or for a workspace, that was deleted.",
    H.OTHER_KEY: "Tokens signed with another secret, with the other of the two, or issued by another key.",
    H.ALG_NONE: "A token without a signature, `alg` none in several spellings.",
    H.CONFUSED: "HS256 with a public value as its key; RS256 and ES256; a key that the token brings along.",
    H.OVERSIZED: "A sound token that is longer than 16,384 characters.",
    H.MALFORMED: "Texts that are no token, and signed tokens whose claims are missing or of a wrong type.",
}

TOKENS: Final = tuple(H)[tuple(H).index(H.WORKER) : tuple(H).index(H.CAPABILITY_NONE) + 1]
"""Credentials that are sound tokens."""

BROKEN: Final = (
    *(H.EXPIRED, H.NOT_YET, H.OTHER_ACCOUNT, H.OTHER_WORKSPACE, H.REVOKED, H.OTHER_KEY),
    *(H.ALG_NONE, H.CONFUSED, H.OVERSIZED, H.MALFORMED),
)
"""Credentials that are no sound token, or not for this place."""

Cells = Mapping[Holder, Cell]


def _all(cell: Cell, holders: Iterable[Holder]) -> dict[Holder, Cell]:
    return dict.fromkeys(holders, cell)


# --- Doors that take HTTP Basic -----------------------------------------------------------------

_BASIC: Final[Cells] = {
    **_all(YES, (H.ACCOUNT, H.SIGNING_KEY)),
    **_all(NOBODY, (H.WRONG_PASSWORD, H.NONE, *TOKENS, *BROKEN)),
}
_REST: Final[Cells] = {**_BASIC, H.FOREIGN_PAGE: YES, H.FOREIGN_HOST: YES, H.ELSEWHERE: UNKNOWN}
_ACCOUNTWIDE: Final[Cells] = {**_REST, H.ELSEWHERE: YES}  # its path names no workspace
_STUB: Final[Cells] = {
    **_BASIC,
    H.FOREIGN_PAGE: FORBIDDEN,
    H.FOREIGN_HOST: FORBIDDEN,
    H.ELSEWHERE: UNKNOWN,
}
_STUB_WHOLE: Final[Cells] = {**_STUB, H.ELSEWHERE: YES}  # its path names no workspace
_CONSOLE: Final[Cells] = {**_STUB_WHOLE}
_PAGE: Final[Cells] = {**_all(YES, H), H.FOREIGN_PAGE: FORBIDDEN, H.FOREIGN_HOST: FORBIDDEN}  # holds nothing
_HEALTH: Final[Cells] = {**_all(YES, H), H.FOREIGN_PAGE: FORBIDDEN, H.FOREIGN_HOST: FORBIDDEN}

# --- Doors that take tokens ---------------------------------------------------------------------

_REFUSED_TOKENS: Final[Cells] = {
    **_all(NOBODY, (H.ACCOUNT, H.SIGNING_KEY, H.WRONG_PASSWORD, H.NONE)),
    **_all(NOBODY, BROKEN),
    **_all(FORBIDDEN, (H.OTHER_ACCOUNT, H.OTHER_WORKSPACE, H.REVOKED, H.CAPABILITY_NONE)),
    **_all(YES, (H.FOREIGN_PAGE, H.FOREIGN_HOST)),
}

_ADMIN: Final = (H.ADMIN, H.ADMIN_ANOTHER, H.ADMIN_UNHELD, H.ADMIN_NOBODY)
_CAPABLE: Final = (H.CAPABILITY, H.CAPABILITY_CHANGE)
_EVERY_ROLE: Final = TOKENS[: TOKENS.index(H.CAPABILITY)]
_UNHELD: Final = (H.WORKER_UNHELD, H.SUPERVISOR_UNHELD, H.ADMIN_UNHELD)


def _bridge(
    yes: Iterable[Holder],
    *,
    forbidden: Iterable[Holder] = (),
    unknown: Iterable[Holder] = (),
    invalid: Iterable[Holder] = (),
    elsewhere: Cell = UNKNOWN,
) -> Cells:
    """A route of the event bridge: `yes` may use it, but for those named after; nobody else may."""
    return {
        **_REFUSED_TOKENS,
        **_all(FORBIDDEN, TOKENS),
        **_all(YES, yes),
        **_all(FORBIDDEN, forbidden),
        **_all(UNKNOWN, unknown),
        **_all(INVALID, invalid),
        H.ELSEWHERE: elsewhere,
    }


_SELF: Final = (H.WORKER, H.SUPERVISOR, *_ADMIN)
"""Who changes what is a worker's own; an admin does so for anybody."""

_READ: Final = (*_EVERY_ROLE, H.CAPABILITY_ANOTHER)
_READ_BY_POLICY: Final = (*_READ, *_CAPABLE)
_WHOLE: Final = FORBIDDEN
"""Elsewhere, for a path that names the workspace only: the token is for another one."""

_WEBSOCKET: Final[Cells] = {
    **_REFUSED_TOKENS,
    **_all(YES, TOKENS),
    # It acts as the token's worker: there must be one, and its policies must say so.
    **_all(FORBIDDEN, (H.ADMIN_NOBODY, H.SUPERVISOR_NOBODY, H.CAPABILITY_NONE)),
    H.ELSEWHERE: YES,  # it names nothing
}


@dataclass(frozen=True, slots=True)
class Row:
    """One route and what each holder gets there."""

    door: Door
    method: str
    path: str  # as in the server's own table
    cells: Cells

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"{self.method} {self.path}".strip()


def _rest(*routes: str, cells: Cells = _REST) -> tuple[Row, ...]:
    """Rows of the REST API: methods, a colon and the path that takes them."""
    return tuple(
        Row(Door.REST, method, path.strip(), cells)
        for methods, _, path in (route.partition(":") for route in routes)
        for method in methods.split()
    )


def _stub(base: str, *routes: str, cells: Cells = _STUB) -> tuple[Row, ...]:
    """Rows of `/stub`: methods, a colon and what follows the base."""
    return tuple(
        Row(Door.STUB, method, base + path.strip(), cells)
        for methods, _, path in (route.partition(":") for route in routes)
        for method in methods.split()
    )


def _bridge_rows(*rows: tuple[str, str, Cells]) -> tuple[Row, ...]:
    return tuple(Row(Door.BRIDGE, method, path, cells) for method, path, cells in rows)


_IN: Final = "{workspace}"
_B: Final = "Workspaces/{workspace}"
_ME: Final = f"{_B}/Workers/{{worker}}"
_S: Final = "/stub/workspaces/{workspace}"
_STATE: Final = ("POST: /reset", "GET POST DELETE: /snapshots/{name}")
_FAULTS: Final = (
    "GET POST DELETE: /faults",
    "GET: /faults/log",
    "POST: /faults/replay",
    "GET DELETE: /faults/{number}",
)

ROWS: Final[tuple[Row, ...]] = (
    *_rest("POST GET:", cells=_ACCOUNTWIDE),
    *_rest("GET POST DELETE: /{sid}"),
    *(
        row
        for collection in ("Activities", "Workers", "TaskChannels", "TaskQueues", "Workflows", "Tasks")
        for row in _rest(f"POST GET: {_IN}/{collection}", f"GET POST DELETE: {_IN}/{collection}/{{sid}}")
    ),
    *_rest(
        f"GET: {_IN}/Workers/{{worker}}/Channels",
        f"GET POST: {_IN}/Workers/{{worker}}/Channels/{{sid}}",
        f"GET: {_IN}/Tasks/{{task}}/Reservations",
        f"GET POST: {_IN}/Tasks/{{task}}/Reservations/{{sid}}",
        f"GET: {_IN}/Workers/{{worker}}/Reservations",
        f"GET POST: {_IN}/Workers/{{worker}}/Reservations/{{sid}}",
        f"GET: {_IN}/Events",
        f"GET: {_IN}/Events/{{sid}}",
        *(
            f"GET: {_IN}{place}/{kind}Statistics"
            for place in ("", "/Workflows/{workflow}", "/TaskQueues/{task_queue}", "/Workers")
            for kind in ("RealTime", "Cumulative", "")
        ),
        f"GET: {_IN}/Workers/{{worker}}/Statistics",
        f"GET: {_IN}/TaskQueues/Statistics",
        f"POST: {_IN}/TaskQueues/RealTimeStatistics",
    ),
    *_bridge_rows(
        ("GET", _ME, _bridge(_READ_BY_POLICY)),
        # A worker is not held by anybody: `unheld` is itself. A supervisor changes other workers too.
        (
            "POST",
            _ME,
            _bridge((*_EVERY_ROLE, H.CAPABILITY_CHANGE), forbidden=(H.WORKER_ANOTHER,)),
        ),
        ("GET", f"{_B}/Activities", _bridge(_READ_BY_POLICY, elsewhere=_WHOLE)),
        ("GET", f"{_ME}/WorkerChannels", _bridge(_READ)),
        ("GET", f"{_ME}/Reservations", _bridge(_READ_BY_POLICY)),
        ("GET", f"{_ME}/Reservations/{{reservation}}", _bridge(_READ_BY_POLICY, unknown=_UNHELD)),
        (
            "POST",
            f"{_ME}/Reservations/{{reservation}}",
            _bridge((*_SELF, H.CAPABILITY_CHANGE), unknown=_UNHELD),
        ),
        # A supervisor supervises, and only as itself: one that is no worker cannot.
        (
            "POST",
            f"{_B}/Tasks/{{task}}/Reservations/{{reservation}}",
            _bridge(
                (*_ADMIN, H.SUPERVISOR, H.SUPERVISOR_ANOTHER), unknown=(H.SUPERVISOR_UNHELD, H.ADMIN_UNHELD)
            ),
        ),
        ("POST", f"{_ME}/WorkerParticipant", _bridge(_SELF, invalid=(H.ADMIN_UNHELD,))),
        ("POST", f"{_ME}/CustomerParticipant", _bridge(_SELF)),
        ("POST", f"{_ME}/HoldWorkerParticipant", _bridge(_SELF)),
        ("POST", f"{_ME}/KickWorkerParticipant", _bridge(_SELF)),
        ("POST", f"{_ME}/Transfers", _bridge(_SELF, invalid=(H.ADMIN_UNHELD,))),
        ("POST", f"{_ME}/Transfers/{{transfer}}", _bridge(_SELF, unknown=_UNHELD)),
        # Its own is a task that is routed to itself. The policy for tasks covers their collection too.
        ("POST", f"{_B}/Tasks", _bridge((*_SELF, H.CAPABILITY_CHANGE), elsewhere=_WHOLE)),
        ("GET", f"{_B}/Tasks/{{task}}", _bridge(_READ_BY_POLICY)),
        ("POST", f"{_B}/Tasks/{{task}}", _bridge((*_SELF, H.CAPABILITY_CHANGE))),
        ("GET", f"{_B}/Workers", _bridge(_READ, elsewhere=_WHOLE)),
        ("GET", f"{_B}/TaskQueues/{{queue}}", _bridge(_READ)),
        ("GET", f"{_B}/TaskQueues", _bridge(_READ, elsewhere=_WHOLE)),
    ),
    Row(Door.WEBSOCKET, "GET", "/v1/wschannels", _WEBSOCKET),
    # A state names its workspace itself; snapshots outlive theirs, so that it can be put back.
    *_stub(_S, "POST: /state", cells={**_STUB, H.ELSEWHERE: INVALID}),
    *_stub(_S, "GET: /snapshots", cells={**_STUB, H.ELSEWHERE: YES}),
    *_stub(
        _S,
        "GET: /state",
        "GET: /deliveries",
        "GET: /tasks/{task}/explain",
        "GET: /telephony",
        "POST: /calls/{call}/end",
        "POST GET DELETE: /recording",
        *_STATE,
        *_FAULTS,
    ),
    *_stub(
        "/stub",
        "POST: /seed",
        "GET POST: /state",
        "GET: /snapshots",
        *_STATE,
        *_FAULTS,
        cells=_STUB_WHOLE,
    ),
    Row(Door.HEALTH, "GET", "/stub/health", _HEALTH),
    # Whoever has the console's session may do the same: tests/server/test_console.py.
    Row(Door.CONSOLE, "GET", "/console", _PAGE),
    Row(Door.CONSOLE, "GET", "/console/{file}", _PAGE),
    *(Row(Door.CONSOLE, method, "/console/session", _CONSOLE) for method in ("POST", "GET", "DELETE")),
    Row(Door.CONSOLE, "GET", "/console/live", _CONSOLE),
    *(Row(Door.CONSOLE, method, "/console/clock", _CONSOLE) for method in ("GET", "POST")),
)


# --- The page -----------------------------------------------------------------------------------

_INTRODUCTION: Final = """\
# Who may do what

Every route of the local server, and what becomes of a request by who sends it. Written by
`python -m docs.authority`; each cell is played against a server by `tests/server/test_authority.py`, which
also compares everything that the account holds before and after each refusal: none leaves a trace.

| cell | meaning |
| --- | --- |
| yes | it is carried out |
| 401 | code 20003: the credentials prove nothing. On the websocket 4401, or 4408 if it expired |
| 403 | code 20006: the credentials are sound, but do not allow it. On the websocket 4403 |
| 404 | code 20404: there is no such thing for them |
| 400 | code 20001: allowed, but a parameter names something that does not belong to the path |

What an admin, a supervisor and a worker may do is our choice, as are the codes of the websocket; a
[WorkerCapabilityToken](https://www.twilio.com/docs/taskrouter/js-sdk-v1) is bound by its policies as well.
Host and Origin are checked for `/stub` and `/console` alone: the REST API asks for a password that no page
knows, and the event bridge, which pages of any origin may use, for a token. Below `/console/api` are the
doors of the REST API and of `/stub` once more, for the [console](console.md): whoever has its session, or the
same credentials, may do there what the account may do.
"""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    return "\n".join([_line(head), _line("---" for _ in head), *map(_line, rows)])


def _section(door: Door) -> str:
    """The rows of one door. Columns in which all its rows agree make a table of their own."""
    rows = [row for row in ROWS if row.door is door]
    differing = [holder for holder in H if len({row.cells[holder] for row in rows}) > 1]
    same = [holder for holder in H if holder not in differing]
    parts = [f"## {door[0].upper()}{door[1:]}"]
    if differing:
        names = [f"`{row.name}`" for row in rows]
        parts.append(
            _table(
                ("route", *differing),
                ([name, *(row.cells[h] for h in differing)] for name, row in zip(names, rows, strict=True)),
            )
        )
        parts.append("On each of these routes alike:")
    else:
        parts.append("On each of " + ", ".join(f"`{row.name}`" for row in rows) + ":")
    parts.append(_table(("who", "answer"), ((holder, rows[0].cells[holder]) for holder in same)))
    return "\n\n".join(parts)


def render() -> str:
    """The page."""
    meanings = _table(("column", "who asks, with what, for what"), MEANING.items())
    return "\n\n".join([_INTRODUCTION, f"## Columns\n\n{meanings}", *map(_section, Door)]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE}")
