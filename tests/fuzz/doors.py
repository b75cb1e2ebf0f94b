"""Targets of the doors: tokens, envelopes, and whole requests that meet a workspace.

A request that is refused leaves the workspace as it was. That is judged after each of them, against a
workspace that is made anew whenever a request has changed it.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import itertools
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import jwt
import msgspec
from multidict import CIMultiDict, MultiDict

from server_stub.account import Account
from server_stub.chronicle import Chronicle
from server_stub.domain.history import PastEvent
from server_stub.domain.memento import dump, restore
from server_stub.domain.model import Limits
from server_stub.domain.records import WorkspaceDocument
from server_stub.domain.statistics import Fact
from server_stub.domain.workspace import Workspace
from server_stub.event_bridge.door import EventBridge, _decode
from server_stub.event_bridge.routes import arguments, find
from server_stub.faults import Faults
from server_stub.limits import RateLimit
from server_stub.replies import ApiError
from server_stub.rest.door import Rest
from server_stub.runtime import Runtime
from server_stub.tokens import Credentials, TokenRefused, Tokens
from taskrouter_worker.clock import ManualClock
from tests.domain.desk import ACCOUNT, WORKSPACE

from .offices import OFFICES, office
from .target import Broken

__all__ = [
    "bridge_requests",
    "claims_token",
    "close_doors",
    "envelopes",
    "office_sids",
    "rest_requests",
    "server_tokens",
]

CREDENTIALS: Final = Credentials(
    account_sid=ACCOUNT,
    auth_token="0123456789abcdef0123456789abcdef",
    signing_key_sid="SK" + "0" * 31 + "b",
    signing_key_secret="k" * 64,
)
NOW: Final = 1_000_000.0
_KEYS: Final = {
    b"s": (CREDENTIALS.signing_key_secret, "HS256"),
    b"S": (CREDENTIALS.signing_key_secret, "HS512"),
    b"a": (CREDENTIALS.auth_token, "HS256"),
    b"o": ("other" * 10, "HS256"),
    b"n": ("", "none"),
}
_tokens: Final = Tokens(CREDENTIALS, ManualClock(NOW))


class _Defects(logging.Handler):
    """Keeps what the runtime says of defects, which it survives."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the server's loggers, alone."""
        logger = logging.getLogger("server_stub")
        logger.addHandler(self)
        logger.propagate = False
        try:
            yield
        finally:
            logger.propagate = True
            logger.removeHandler(self)


def claims_token(kind: bytes, claims: dict[str, Any]) -> str | None:
    """A token with these claims, signed as `kind` says; None where they cannot be signed."""
    key, algorithm = _KEYS[kind]
    try:
        # PyJWT checks some claims' types on the way out; a stranger's library does not.
        body = _part(json.dumps(claims).encode())
    except (ValueError, RecursionError):
        return None
    head = _part(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    signed = f"{head}.{body}".encode()
    made = jwt.get_algorithm_by_name(algorithm)
    signature = made.sign(signed, made.prepare_key(key))
    return f"{head}.{body}.{_part(signature)}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def server_tokens(data: bytes) -> str:
    """`Tokens.caller`: nobody gets in without our signature, and no refusal shows the token.

    The first byte says who signs the claims that follow; any other makes the whole input the token.
    """
    kind, rest = data[:1], data[1:]
    token: str | None = None
    if kind in _KEYS:
        try:
            claims = json.loads(rest)
        except (ValueError, RecursionError):
            claims = None
        if isinstance(claims, dict):
            token = claims_token(kind, claims)
    if token is None:
        token, kind = data.decode("utf-8", "surrogateescape"), b""
    try:
        caller = _tokens.caller(token)
    except TokenRefused as refused:
        if len(token) > 8 and any(part in str(refused) for part in token.split(".") if len(part) > 8):
            raise Broken("the refusal shows the token") from refused
        if refused.status not in (401, 403):
            raise Broken(f"a token is refused with status {refused.status}") from refused
        raise
    if kind in (b"o", b"n"):
        raise Broken("somebody got in without our signature")
    for method, path in (("GET", ("Workspaces", caller.workspace_sid)), ("POST", ("wschannels", "x", ""))):
        caller.may(method, path, {"ActivitySid": "x", "A": 1})
    return f"{caller.role} {caller.worker_sid is None} {min(len(caller.policies or ()), 2)}"


def envelopes(data: bytes) -> str:
    """An envelope, its route and its parameters: whatever is accepted, is accepted as `arguments` says."""
    try:
        envelope = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(400, "no envelope") from None  # as `EventBridge` answers it
    path = tuple(envelope.url.replace("\\", "/").removeprefix("/").split("/"))
    route, sids = find(envelope.method, path)
    given = envelope.params or {}
    args = arguments(route, given)
    if arguments(route, {**given, "Unknown": 1}) != args:
        raise Broken("an unknown parameter counts")
    return f"{route.method} {route.path} {len(sids)} {min(len(args), 3)}"


# --- Whole requests -----------------------------------------------------------------------------


class _Gone:
    """A request as the doors see it. Its client is gone when the answer is to be written."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        parts = urlsplit(f"http://a.example{path}")
        self.method, self.path = method, parts.path
        self.scheme, self.host = "http", "127.0.0.1"
        self.headers = CIMultiDict(headers)
        self.query = MultiDict(parse_qsl(parts.query, keep_blank_values=True))
        self.content_type = headers.get("Content-Type", "application/octet-stream")
        self.content_length = len(body)
        self.content = SimpleNamespace(is_eof=lambda: True)
        self.app: dict[object, object] = {}
        self.transport = None
        self._body = body

    async def read(self) -> bytes:
        return self._body

    @property
    def _payload_writer(self) -> object:
        raise ConnectionResetError


class _NoGate:
    def hold(self, worker_sid: str | None) -> Any:
        del worker_sid
        return SimpleNamespace(holds_something=False, release=lambda: None)

    def show(self, worker_sid: str, part: object, seq: int) -> Callable[[], None]:
        del worker_sid, part, seq
        return lambda: None


@dataclass(frozen=True)
class _Plan:
    """What a house is made of: its workspace, its records, and the time there."""

    document: WorkspaceDocument
    events: tuple[PastEvent, ...]
    facts: tuple[Fact, ...]
    at: float


@functools.cache
def _plan(sid: str) -> _Plan:
    desk, chronicle = OFFICES[sid](sid), Chronicle(Limits())
    chronicle.keep_new()
    for told in (desk.created, *desk.commands):
        chronicle.publish(desk.ws, told)
    events, facts = chronicle.take_new(sid)
    return _Plan(dump(desk.ws), tuple(events), tuple(facts), desk.time)


class _House:
    """The doors of a server that serves one workspace."""

    def __init__(self, sid: str) -> None:
        plan = _plan(sid)
        numbers = itertools.count(1)

        def sids(prefix: str) -> str:
            return f"{prefix}{next(numbers):030x}ff"

        self.account = Account(sid=ACCOUNT, now=lambda: plan.at, sids=sids, limits=Limits())
        workspace = restore(plan.document, now=lambda: plan.at, sids=sids, limits=Limits())
        self.account.workspaces[sid] = workspace
        self.chronicle = Chronicle(Limits())
        self.chronicle.resume(workspace, plan.events, plan.facts)
        self.runtime = Runtime(self.account, publish=self.chronicle.publish, deleted=self.chronicle.forget)
        rate = RateLimit(0)
        self.rest = Rest(
            self.runtime, CREDENTIALS, faults=Faults(), chronicle=self.chronicle, rate=rate, max_body=1 << 20
        )
        self.bridge = EventBridge(
            self.runtime,
            Tokens(CREDENTIALS, ManualClock(NOW)),
            _NoGate(),
            faults=Faults(),
            settle=0,
            acting=lambda _: nullcontext(),
            rate=rate,
            max_body=1 << 18,
        )
        self.before = {sid: plan.document}

    def state(self) -> dict[str, WorkspaceDocument]:
        """Everything."""
        return {sid: dump(workspace) for sid, workspace in self.account.workspaces.items()}


class _Street:
    """A house for each office, and another one where a request has changed it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._houses: dict[str, _House] = {}
        self._defects = _Defects()

    def close(self) -> None:
        """End its event loop."""
        for house in self._houses.values():
            house.runtime.close()
        self._loop.close()

    def ask(self, door: Callable[[_House], Awaitable[Any]], *, reads: bool, sid: str = WORKSPACE) -> str:
        """What became of a request to the office of that SID: the status of its answer."""
        house = self._houses.pop(sid, None) or self._loop.run_until_complete(_made(sid))
        with self._defects.listening():
            response = self._loop.run_until_complete(door(house))
        status = int(response.status)
        if self._defects.told:
            told = "\n".join(self._defects.told)
            self._defects.told.clear()
            raise Broken(f"status {status}, and a defect: {told}")
        if house.state() != house.before:
            house.runtime.close()
            if status >= 400:
                raise Broken(f"a request that was refused with status {status} changed the workspace")
            if reads:
                raise Broken("a request that reads changed the workspace")
        else:
            self._houses[sid] = house
        if status >= 400:
            text = json.loads(response.body)
            if not isinstance(text["message"], str) or text["status"] != status:
                raise Broken("the body of a refusal is no error of the API")
        return str(status)


async def _made(sid: str) -> _House:
    return _House(sid)


_streets: list[_Street] = []


def _street() -> _Street:
    if not _streets:
        _streets.append(_Street())
    return _streets[0]


def close_doors() -> None:
    """End what whole requests needed, until the next one."""
    while _streets:
        _streets.pop().close()


@functools.cache
def office_sids() -> dict[str, str]:
    """SIDs of the office, by what they are for; they are the same each time."""
    ws: Workspace = office().ws
    return {
        "workspace": ws.sid,
        **{
            name: next(iter(found))
            for name, found in (
                ("worker", ws.workers),
                ("task", ws.tasks),
                ("reservation", ws.reservations),
                ("transfer", ws.transfers),
                ("task_queue", ws.task_queues),
                ("queue", ws.task_queues),
                ("workflow", ws.workflows),
                ("activity", ws.activities),
                ("task_channel", ws.task_channels),
                ("channel", ws.task_channels),
                ("worker_channel", ws.worker_channels),
            )
        },
    }


_AUTHORIZATION: Final = "Basic " + base64.b64encode(
    f"{CREDENTIALS.account_sid}:{CREDENTIALS.auth_token}".encode()
).decode("ascii")


_WORKSPACE: Final = "|".join(OFFICES)


def rest_requests(data: bytes) -> str:
    """A REST request: its first line is method, path and If-Match, the rest is the form.

    It is sent to the office whose workspace it names.
    """
    head, _, body = data.partition(b"\n")
    method, _, path = head.decode("latin-1").partition(" ")
    headers = {"Authorization": _AUTHORIZATION}
    path, _, if_match = path.partition(" ")
    if if_match:
        headers["If-Match"] = if_match
    headers["Content-Type"] = (
        "application/json" if body.startswith(b"{") else "application/x-www-form-urlencoded"
    )
    try:
        request: Any = _Gone(method, path, headers, body)  # Any: what the door needs of a request
    except ValueError:
        return "no address"
    asked = re.search(_WORKSPACE, path)
    sid = asked[0] if asked else WORKSPACE
    return _street().ask(lambda house: house.rest.handle(request), reads=method == "GET", sid=sid)


@functools.cache
def _caller_tokens() -> tuple[str, ...]:
    sids = office_sids()
    made: list[str] = []
    for role in ("worker", "supervisor", "admin"):
        grant = {"workspace_sid": sids["workspace"], "worker_sid": sids["worker"], "role": role}
        claims = {
            "iss": CREDENTIALS.signing_key_sid,
            "sub": ACCOUNT,
            "exp": NOW + 3600,
            "grants": {"task_router": grant},
        }
        token = claims_token(b"s", claims)
        assert token is not None
        made.append(token)
    return tuple(made)


def bridge_requests(data: bytes) -> str:
    """An envelope of the event bridge; `TOKEN0` to `TOKEN2` in it stand for sound tokens."""
    body = data
    for number, token in enumerate(_caller_tokens()):
        body = body.replace(b"TOKEN%d" % number, token.encode())
    headers = {"Content-Type": "application/json"}
    if body[-1:] == b"\n":
        headers["If-Match"] = "1"
    request: Any = _Gone("POST", "/v1/wschannels", headers, body)  # Any: see above
    return _street().ask(lambda house: house.bridge.handle(request), reads=False)
