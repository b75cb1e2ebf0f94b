"""The other side of the SDK's two seams, in memory: it opens websockets and answers requests.

What a test bends, from most to least used: `push` and the commands of `world`; `close`; `fail` and
`refuse`; `hold`; `greeting`. Everything that was asked for is kept in `requests` and `openings`.
"""

from __future__ import annotations

import asyncio
import collections
import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import jwt
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError

from taskrouter_worker import Disconnect, NotFoundError, Reservation, ServerError, Task, Worker
from taskrouter_worker._requests import Request
from taskrouter_worker._signaling import Connection
from taskrouter_worker._token import Token
from tests.sdk.world import ACCOUNT, EPOCH, WORKER, WORKSPACE, Fields, Frame, World, text

__all__ = ["FakeWebSocket", "LoopClock", "Opening", "Peer", "server_error", "token", "virtual_worker"]

HEARTBEAT_SECONDS = 15.0


class LoopClock:
    """Wall-clock time that goes with the running loop's.

    Args:
        ahead: seconds by which this clock is wrong.
    """

    def __init__(self, ahead: float = 0.0) -> None:
        self._ahead = ahead

    def now(self) -> float:
        """Epoch seconds."""
        return EPOCH + asyncio.get_running_loop().time() + self._ahead


def token(number: int = 1, *, expires_in: float | None = None, now: float = 0.0) -> str:
    """A token.

    Args:
        number: tells tokens apart.
        expires_in: seconds from `now`; None for a token that cannot be decoded.
        now: loop time.
    """
    if expires_in is None:
        return f"opaque-token-{number}"
    return jwt.encode({"exp": int(EPOCH + now + expires_in), "jti": str(number)}, "k" * 32)


class FakeWebSocket:
    """What `_signaling.Connection` uses of a websocket. `transport` is the socket itself."""

    def __init__(self) -> None:
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.transport = self
        self.aborted = False
        self.closed_by_client = False
        self.pongs = True  # whether pings are answered at once
        self.pings: list[asyncio.Future[float]] = []  # those that wait for an answer
        self._frames: collections.deque[bytes] = collections.deque()
        self._news = asyncio.Event()
        self._over = False

    @property
    def is_open(self) -> bool:
        return not self._over

    def put(self, frame: str | bytes) -> None:
        """The client receives this frame."""
        if not self._over:
            self._frames.append(frame.encode() if isinstance(frame, str) else frame)
            self._news.set()

    def finish(self, code: int, reason: str = "") -> None:
        """The peer closes; frames that were put before are still received."""
        if not self._over:
            self._over = True
            self.close_code, self.close_reason = code, reason
            self._news.set()
            for ping in self.pings:
                if not ping.done():
                    ping.set_exception(ConnectionClosedError(None, None))
            self.pings.clear()

    def pong(self) -> None:
        """The peer answers the pings so far; what was put before is received before."""
        for ping in self.pings:
            if not ping.done():
                ping.set_result(0.0)
        self.pings.clear()

    async def recv(self, *, decode: bool) -> bytes:
        assert decode is False
        while not self._frames:
            if self._over:
                raise ConnectionClosedError(None, None)
            self._news.clear()
            await self._news.wait()
        return self._frames.popleft()

    async def ping(self) -> asyncio.Future[float]:
        if self._over:
            raise ConnectionClosedError(None, None)
        ping: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.pings.append(ping)
        if self.pongs:
            self.pong()
        return ping

    async def close(self) -> None:
        await asyncio.sleep(0)
        if not self._over:
            self.closed_by_client = True
            self.finish(1000)

    def abort(self) -> None:
        self.aborted = True
        self._frames.clear()
        self.finish(1006)


@dataclass(frozen=True)
class Opening:
    """One attempt to open a websocket."""

    at: float
    token: str
    close_existing_sessions: bool


def server_error(status: int = 503) -> ServerError:
    """The service is in trouble."""
    return ServerError("out of order", method="GET", path="somewhere", status=status)


@dataclass
class _Hold:
    until: asyncio.Event
    late: bool  # whether the answer is made before the wait: it is then late, not slow


@dataclass
class Peer:
    """TaskRouter's event bridge, as the seams see it.

    Attributes:
        greeting: what a new websocket gets first; None for silence.
        echo: when the frames that an SDK's command causes are pushed: before its answer, after it,
            or never (they are lost).
        token_lifetime: milliseconds that opaque tokens live.
        beats: whether it sends heartbeats.
        door: openings wait until it is set; None for none.
    """

    world: World = field(default_factory=World)
    greeting: str | None = "init"
    token_lifetime: object = 3_600_000  # of tokens that do not say it themselves
    echo: Literal["before", "after", "never"] = "after"
    beats: bool = True
    door: asyncio.Event | None = None
    openings: list[Opening] = field(default_factory=list)
    websockets: list[FakeWebSocket] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    tokens_of_requests: list[str] = field(default_factory=list)
    after_init: list[Frame | str] = field(default_factory=list)  # pushed right behind `init`, once
    _refusals: collections.deque[Exception] = field(default_factory=collections.deque)
    _failures: list[tuple[str, Exception]] = field(default_factory=list)
    _holds: dict[str, _Hold] = field(default_factory=dict)
    _beating: dict[FakeWebSocket, asyncio.TimerHandle] = field(default_factory=dict)
    closed: bool = False

    # What tests do with it

    def push(self, frames: Iterable[Frame | str]) -> None:
        """All open sessions receive these frames."""
        for frame in frames:
            shown = frame if isinstance(frame, str) else text(frame)
            for websocket in self.websockets:
                websocket.put(shown)

    def close(self, code: int = 1006, reason: str = "") -> None:
        """The open websockets end."""
        for websocket in self.websockets:
            self._stop_beating(websocket)
            websocket.finish(code, reason)

    def refuse(self, *errors: Exception) -> None:
        """The next openings fail with these."""
        self._refusals.extend(errors)

    def fail(self, path: str, *errors: Exception) -> None:
        """The next requests whose method and path match this pattern fail with these, one each."""
        self._failures += [(path, error) for error in errors]

    def hold(self, path: str, *, late: bool = True) -> asyncio.Event:
        """Answers to requests that match wait until the returned event is set."""
        until = asyncio.Event()
        self._holds[path] = _Hold(until, late)
        return until

    def asked(self, path: str) -> list[Request]:
        """The requests that match this pattern."""
        return [request for request in self.requests if _matches(path, request)]

    @property
    def live(self) -> list[FakeWebSocket]:
        """The websockets that are open."""
        return [websocket for websocket in self.websockets if websocket.is_open]

    # The seams

    async def open(self, token: Token, *, close_existing_sessions: bool) -> Connection:
        """As `Signaling.open`."""
        loop = asyncio.get_running_loop()
        self.openings.append(Opening(loop.time(), token.reveal(), close_existing_sessions))
        await asyncio.sleep(0)
        if self.door is not None:
            await self.door.wait()
        if self._refusals:
            raise self._refusals.popleft()
        websocket = FakeWebSocket()
        self.websockets.append(websocket)
        if self.greeting is not None:
            life = self._life_of(token)
            told = {} if life is None else {"token_lifetime": life}
            websocket.put(self.init(**told) if self.greeting == "init" else self.greeting)
        for frame in self.after_init:
            websocket.put(frame if isinstance(frame, str) else text(frame))
        self.after_init.clear()
        if self.beats:
            self._beat(websocket)
        # The fake has what Connection uses of the library's class, and nothing else.
        return Connection(cast("ClientConnection", websocket))

    def init(self, **changes: object) -> str:
        """The first frame."""
        payload: dict[str, object] = {
            "channel_id": WORKER,
            "account_sid": ACCOUNT,
            "workspace_sid": WORKSPACE,
            "token_lifetime": self.token_lifetime,
            **changes,
        }
        if payload["token_lifetime"] == "missing":
            del payload["token_lifetime"]
        return json.dumps({"event_type": "init", "payload": payload})

    def _life_of(self, token: Token) -> float | None:
        """Milliseconds that a token has, if it says so and nothing else was asked for."""
        if token.expires_at is None or not isinstance(self.token_lifetime, int):
            return None
        return (token.expires_at - EPOCH - asyncio.get_running_loop().time()) * 1000

    async def send(self, request: Request, token: Token) -> bytes:
        """As `Transport.send`."""
        self.requests.append(request)
        self.tokens_of_requests.append(token.reveal())
        await asyncio.sleep(0)
        for index, (path, error) in enumerate(self._failures):
            if _matches(path, request):
                del self._failures[index]
                raise error
        held = next((hold for path, hold in self._holds.items() if _matches(path, request)), None)
        if held is None:
            payload, frames = self._answer(request)
        elif held.late:
            payload, frames = self._answer(request)
            await held.until.wait()
        else:
            await held.until.wait()
            payload, frames = self._answer(request)
        if self.echo == "before":
            self.push(frames)
        elif self.echo == "after":
            asyncio.get_running_loop().call_soon(self.push, frames)
        return json.dumps(payload).encode()

    def _answer(self, request: Request) -> tuple[object, list[Frame]]:
        world, params = self.world, cast("dict[str, Any]", request.params)
        path = request.path.removeprefix(f"Workspaces/{WORKSPACE}/").removeprefix(f"Workers/{WORKER}/")
        kind, _, key = path.partition("/")
        match request.method, kind:
            case "GET", "Workers":
                return copy.deepcopy(world.worker), []
            case "POST", "Workers":
                return self._change_worker(params)
            case "GET", "Activities":
                return _page(list(world.activities.values()))
            case "GET", "WorkerChannels":
                return _page(list(world.channels.values()))
            case "GET", "Reservations" if not key:
                listed = (
                    world.active() if params.get("Active") == "true" else list(world.reservations.values())
                )
                return _page(listed)
            case "GET", "Reservations":
                if key not in world.reservations:
                    raise NotFoundError("no such reservation", method="GET", path=request.path, status=404)
                return copy.deepcopy(world.reservations[key]), []
            case "POST", "Reservations":
                return self._change_reservation(key, params)
            case "POST", "Tasks":
                return self._change_task(key, params)
            case _:
                raise AssertionError(f"the fake peer has no {request.method} {request.path}")

    def _change_worker(self, params: dict[str, Any]) -> tuple[object, list[Frame]]:
        if "ActivitySid" in params:
            frames = self.world.set_activity(params["ActivitySid"])
        else:
            frames = self.world.set_attributes(params["Attributes"])
        return copy.deepcopy(self.world.worker), frames

    def _change_reservation(self, key: str, params: dict[str, Any]) -> tuple[object, list[Frame]]:
        match params["ReservationStatus"]:
            case "accepted":
                frames = self.world.accept(key)
            case "wrapping":
                frames = self.world.wrap(key)
            case "completed":
                frames = self.world.complete(key)
            case how:
                frames = self.world.end(key, how)
        return self.world.short(key), frames

    def _change_task(self, key: str, params: dict[str, Any]) -> tuple[object, list[Frame]]:
        reservation = f"WR{key[2:]}"
        frames = self.world.update_task(reservation, attributes=json.dumps(params["Attributes"]))
        return copy.deepcopy(self.world.reservations[reservation]["task"]), frames

    def _beat(self, websocket: FakeWebSocket) -> None:
        websocket.put(" ")
        if websocket.is_open:
            self._beating[websocket] = asyncio.get_running_loop().call_later(
                HEARTBEAT_SECONDS, self._beat, websocket
            )

    def _stop_beating(self, websocket: FakeWebSocket) -> None:
        timer = self._beating.pop(websocket, None)
        if timer is not None:
            timer.cancel()

    def stop(self) -> None:
        """Send no heartbeat any more."""
        for websocket in list(self._beating):
            self._stop_beating(websocket)


def _page(contents: list[Fields]) -> tuple[object, list[Frame]]:
    return {"contents": copy.deepcopy(contents), "after_sid": None}, []


def _matches(path: str, request: Request) -> bool:
    return re.search(path, f"{request.method} {request.path}") is not None


def virtual_worker(
    peer: Peer, first_token: str | None = None, *, kind: type[Worker] = Worker, **options: Any
) -> Worker:
    """A Worker whose two seams lead to `peer`. Everything above them is the real thing."""
    options.setdefault("reconnect_backoff", lambda _: 1.0)
    options.setdefault("clock", LoopClock())
    worker = kind(first_token or token(), **options)
    transport = _Transport(peer)
    worker._transport = worker._commands._transport = transport
    worker._session._signaling = peer
    return worker


class _Transport:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def send(self, request: Request, token: Token) -> bytes:
        return await self._peer.send(request, token)

    async def close(self) -> None:
        self._peer.stop()
        self._peer.closed = True


def heard(worker: Worker) -> list[str]:
    """Listen to everything that a worker and its reservations tell; the list grows as it comes."""
    log: list[str] = []

    def listen(reservation: Reservation) -> None:
        number = int(reservation.sid[2:], 16)
        for event in sorted(Reservation.EVENTS):
            reservation.on(event, lambda r, event=event: log.append(f"{event} {number}{_from(r)}"))  # type: ignore[call-overload]
        for event in sorted(Task.EVENTS):
            reservation.task.on(event, lambda t, event=event: log.append(f"task {event} {number}{_from(t)}"))  # type: ignore[call-overload]

    def created(reservation: Reservation) -> None:
        log.append(f"created {int(reservation.sid[2:], 16)}{_from(reservation)}")
        listen(reservation)

    def missed(reservation: Reservation) -> None:
        log.append(f"missed {int(reservation.sid[2:], 16)} {reservation.status}")

    def left(disconnect: Disconnect) -> None:
        log.append(
            f"disconnected {disconnect.cause}{' and stays away' if not disconnect.will_reconnect else ''}"
        )

    worker.on("ready", lambda _: log.append("ready"))
    worker.on("reservationCreated", created)
    worker.on("reservationMissed", missed)
    worker.on("reservationFailed", lambda _: log.append(f"failed{_from(worker)}"))
    worker.on("activityUpdated", lambda w: log.append(f"activity {w.activity_name}{_from(w)}"))
    worker.on("attributesUpdated", lambda w: log.append(f"attributes {w.attributes}{_from(w)}"))
    worker.on("disconnected", left)
    worker.on("tokenExpired", lambda: log.append("tokenExpired"))
    worker.on("tokenUpdated", lambda: log.append("tokenUpdated"))
    worker.on("error", lambda error: log.append(f"error {type(error).__name__}"))
    return log


def _from(emitter: Any) -> str:  # Any: whatever emits
    return "" if emitter.origin == "event" else f" ({emitter.origin})"
