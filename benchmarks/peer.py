"""The event bridge that every client is measured against: the same bytes for all of them.

It speaks HTTP and websocket on one port with as little work as possible, so that what is measured is
the client's: frames are cut out of ready templates, requests are read without a framework. It routes
nothing and checks nothing. What it pushes is asked for by the client, over ``POST /control``:

* ``{"do": "lives", "lives": N, "rate": R}``: N reservations to each session, in four events each
  (created, accepted, wrapped up, completed), as fast as the sockets take them, or R lives a second;
* ``{"do": "mark", "after": S}``: one more reservation to each session, after S seconds;
* ``{"do": "loop", "in_flight": K, "total": N}``: N reservations to each session, K at a time: the
  next one comes when one is completed.

A frame is 1,200 bytes long. The task's attributes hold the moment of sending, in nanoseconds of the
machine's monotonic clock, which Python and Node read alike.

    python -m benchmarks.peer [--seconds S]     prints its port, ends by itself, at the latest after S
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import hashlib
import json
import sys
import threading
import time
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from taskrouter_worker.resources import (
    ActivityFields,
    InitFields,
    Page,
    ReservationFields,
    ShortReservationFields,
    TaskFields,
    WorkerChannelFields,
    WorkerFields,
)

__all__ = ["FRAME_BYTES", "fake_token", "worker_sid"]

FRAME_BYTES: Final = 1_200

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ACCOUNT: Final = "AC" + "a" * 32
_WORKSPACE: Final = "WS" + "b" * 32
_ACTIVITY: Final = "WA" + "c" * 32
_CHANNEL: Final = "TC" + "d" * 32
_WORKER: Final = "WK" + "e" * 32
_RESERVATION: Final = "WR" + "f" * 32
_TASK: Final = "WT" + "0" * 32
_SENT: Final = "9" * 19
_EPOCH: Final = 1_760_000_000

_encode: Final = msgspec.json.encode


def worker_sid(number: int) -> str:
    """The SID of the n-th worker."""
    return f"WK{number:032x}"


def fake_token(number: int) -> str:
    """A token of the n-th worker: readable as one, signed by nobody."""
    claims = {
        "exp": int(time.time()) + 86_400,
        "grants": {"task_router": {"workspace_sid": _WORKSPACE, "worker_sid": worker_sid(number)}},
    }
    parts = ({"typ": "JWT", "alg": "HS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def _worker_of(token: str) -> str:
    claims = token.split(".")[1]
    grants = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["grants"]
    return str(grants["task_router"]["worker_sid"])


# --- What it says -------------------------------------------------------------------------------


def _reservation(status: str, task_status: str, version: int, padding: int) -> ReservationFields:
    return ReservationFields(
        sid=_RESERVATION,
        account_sid=_ACCOUNT,
        workspace_sid=_WORKSPACE,
        worker_sid=_WORKER,
        reservation_status=status,
        reservation_timeout=120,
        date_created=_EPOCH,
        date_updated=_EPOCH + version,
        version=version,
        worker_previous_activity_sid=_ACTIVITY,
        task=TaskFields(
            sid=_TASK,
            workflow_sid="WW" + "1" * 32,
            workflow_name="Support",
            queue_sid="WQ" + "2" * 32,
            queue_name="English",
            task_channel_sid=_CHANNEL,
            task_channel_unique_name="default",
            attributes=json.dumps({"from": "+15550100", "sent": _SENT, "note": "x" * padding}),
            addons="{}",
            assignment_status=task_status,
            priority=0,
            age=4,
            timeout=86_400,
            reason=None,
            routing_target=None,
            date_created=_EPOCH,
            date_updated=_EPOCH + version,
            virtual_start_time=_EPOCH,
            version=version + 1,
        ),
    )


def _event(event_type: str, status: str, task_status: str, version: int) -> bytes:
    """One event as a websocket frame, padded to its length."""

    def body(padding: int) -> bytes:
        fields = _reservation(status, task_status, version, padding)
        return _encode({"event_type": event_type, "payload": fields})

    return _frame(body(FRAME_BYTES - len(body(0))))


def _frame(body: bytes, opcode: int = 1) -> bytes:
    size = len(body)
    if size < 126:
        return bytes((0x80 | opcode, size)) + body
    return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + body


_LIFE: Final = (
    _event("reservation.created", "pending", "reserved", 0),
    _event("reservation.accepted", "accepted", "assigned", 1),
    _event("reservation.wrapup", "wrapping", "wrapping", 2),
    _event("reservation.completed", "completed", "completed", 3),
)
_CREATED, _ACCEPTED, _WRAPUP, _COMPLETED = _LIFE
_COMPLETED_AT_ONCE: Final = _event("reservation.completed", "completed", "completed", 2)

_SHORT: Final = {
    status: _encode(
        {
            "payload": ShortReservationFields(
                sid=_RESERVATION,
                account_sid=_ACCOUNT,
                workspace_sid=_WORKSPACE,
                worker_sid=_WORKER,
                reservation_status=status,
                date_created=_EPOCH,
                date_updated=_EPOCH + version,
                version=version,
                task_sid=_TASK,
                worker_name="Ann",
                worker_previous_activity_sid=_ACTIVITY,
                task_channel_sid=_CHANNEL,
            )
        }
    )
    for status, version in (("accepted", 1), ("completed", 2))
}


def _page(*contents: object) -> bytes:
    return _encode({"payload": Page(contents=list(contents), total=len(contents))})


_WORKER_ANSWER: Final = _encode(
    {
        "payload": WorkerFields(
            sid=_WORKER,
            account_sid=_ACCOUNT,
            workspace_sid=_WORKSPACE,
            friendly_name="Ann",
            attributes='{"languages":["en"]}',
            available=True,
            activity_sid=_ACTIVITY,
            activity_name="Available",
            date_created=_EPOCH,
            date_updated=_EPOCH,
            date_status_changed=_EPOCH,
            version=0,
        )
    }
)
_ACTIVITIES: Final = _page(
    *(
        ActivityFields(
            sid=sid,
            account_sid=_ACCOUNT,
            workspace_sid=_WORKSPACE,
            friendly_name=name,
            available=name == "Available",
            date_created=_EPOCH,
            date_updated=_EPOCH,
        )
        for sid, name in ((_ACTIVITY, "Available"), ("WA" + "3" * 32, "Offline"), ("WA" + "4" * 32, "Break"))
    )
)
_CHANNELS: Final = _page(
    *(
        WorkerChannelFields(
            sid=f"WC{number:032x}",
            account_sid=_ACCOUNT,
            workspace_sid=_WORKSPACE,
            worker_sid=_WORKER,
            task_channel_sid=f"TC{number:032x}",
            task_channel_unique_name=name,
            configured_capacity=50,
            assigned_tasks=0,
            available=True,
            available_capacity_percentage=100,
            date_created=_EPOCH,
            date_updated=_EPOCH,
            last_reserved_time=None,
        )
        for number, name in enumerate(("default", "voice", "chat"))
    )
)
_NOTHING: Final = _page()


# --- Connections --------------------------------------------------------------------------------


class _Envelope(msgspec.Struct):
    url: str
    method: str
    params: dict[str, Any]  # Any: of any route
    token: str


_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode


class _Bridge:
    """All connections of one client."""

    def __init__(self) -> None:
        self.sessions: dict[str, _Connection] = {}
        self.last = 0
        self.over = asyncio.Event()
        self.feeding: set[asyncio.Task[None]] = set()

    def next_sids(self) -> tuple[bytes, bytes]:
        """A reservation's SID and its task's."""
        self.last += 1
        digits = b"%032x" % self.last
        return b"WR" + digits, b"WT" + digits

    def control(self, command: dict[str, Any]) -> None:
        """Begin what a client asked for."""
        match command["do"]:
            case "lives":
                task = asyncio.get_running_loop().create_task(
                    self._feed(command["lives"], command.get("rate"))
                )
                self.feeding.add(task)
                task.add_done_callback(self.feeding.discard)
            case "mark":
                asyncio.get_running_loop().call_later(command.get("after", 0), self._mark)
            case "loop":
                for session in self.sessions.values():
                    session.left = command["total"]
                    for _ in range(command["in_flight"]):
                        session.send_next()
            case other:
                raise ValueError(f"the peer cannot {other!r}")

    def _mark(self) -> None:
        for session in self.sessions.values():
            session.send_life((_CREATED,))

    async def _feed(self, lives: int, rate: float | None) -> None:
        began = time.monotonic()
        for number in range(lives):
            for session in list(self.sessions.values()):
                await session.writable.wait()
                session.send_life(_LIFE)
            if rate is not None:
                await asyncio.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
            elif number % 4 == 3:
                await asyncio.sleep(0)  # what came in is read as well
        for session in list(self.sessions.values()):
            await session.writable.wait()
            session.send_life((_CREATED,))


class _Connection(asyncio.Protocol):
    """An HTTP connection, or a websocket once it was asked to be one."""

    transport: asyncio.Transport

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge
        self._buffer = b""
        self._sid: str | None = None  # the worker's, of a websocket
        self._frames: dict[bytes, bytes] = {}  # the events' templates with the worker's SID
        self._tasks: dict[bytes, bytes] = {}
        self.writable = asyncio.Event()
        self.writable.set()
        self.left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        """Forget it."""
        self.writable.set()
        if self._sid is not None:
            self._bridge.sessions.pop(self._sid, None)

    def pause_writing(self) -> None:
        """The client is slower than the feed."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        """Read requests, or the few frames that a client sends."""
        self._buffer += data
        if self._sid is not None:
            self._read_frames()
            return
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            size = int(headers.get("content-length", "0"))
            if len(self._buffer) < end + 4 + size:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + size], self._buffer[end + 4 + size :]
            self._answer(lines[0].split(" ")[1], lines[1:], headers, body)
            if self._sid is not None:
                return

    def _answer(self, target: str, lines: list[str], headers: dict[str, str], body: bytes) -> None:
        if "upgrade" in headers:
            key = next(
                line.partition(": ")[2] for line in lines if line.lower().startswith("sec-websocket-key")
            )
            self._greet(target, key)
        elif target == "/control":
            self._reply(b"{}")
            self._bridge.control(json.loads(body))
        else:
            self._carry_out(_decode_envelope(body))

    def _greet(self, target: str, key: str) -> None:
        self._sid = _worker_of(parse_qs(urlsplit(target).query)["token"][0])
        accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - RFC 6455
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        own = self._sid.encode()
        every = (*_LIFE, _COMPLETED_AT_ONCE)
        self._frames = {frame: frame.replace(_WORKER.encode(), own) for frame in every}
        init = InitFields(
            channel_id=self._sid, account_sid=_ACCOUNT, workspace_sid=_WORKSPACE, token_lifetime=86_400_000
        )
        self.transport.write(_frame(_encode({"event_type": "init", "payload": init})))
        self._bridge.sessions[self._sid] = self

    def _carry_out(self, request: _Envelope) -> None:
        segments = request.url.split("/")
        match segments[2:]:
            case ["Workers", sid]:
                self._reply(_WORKER_ANSWER.replace(_WORKER.encode(), sid.encode()))
            case ["Activities"]:
                self._reply(_ACTIVITIES)
            case ["Workers", sid, "WorkerChannels"]:
                self._reply(_CHANNELS.replace(_WORKER.encode(), sid.encode()))
            case ["Workers", _, "Reservations"]:
                self._reply(_NOTHING)
            case ["Workers", sid, "Reservations", reservation_sid]:
                self._move(sid, reservation_sid.encode(), request.params["ReservationStatus"])
            case _:
                self._reply(b'{"message": "not part of this peer"}', b"404 Not Found")

    def _move(self, sid: str, reservation_sid: bytes, status: str) -> None:
        task_sid = b"WT" + reservation_sid[2:]
        answer = _SHORT[status].replace(_WORKER.encode(), sid.encode())
        self._reply(answer.replace(_RESERVATION.encode(), reservation_sid).replace(_TASK.encode(), task_sid))
        session = self._bridge.sessions.get(sid)
        if session is None:
            return
        session.send(_ACCEPTED if status == "accepted" else _COMPLETED_AT_ONCE, reservation_sid, task_sid)
        if status == "completed":
            session.send_next()

    def _reply(self, body: bytes, status: bytes = b"200 OK") -> None:
        self.transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )

    # Websocket

    def send(self, event: bytes, reservation_sid: bytes, task_sid: bytes) -> None:
        """Push one event."""
        frame = self._frames[event].replace(_RESERVATION.encode(), reservation_sid)
        frame = frame.replace(_TASK.encode(), task_sid)
        self.transport.write(frame.replace(_SENT.encode(), b"%019d" % time.monotonic_ns()))

    def send_life(self, events: tuple[bytes, ...]) -> None:
        """Push the events of a new reservation."""
        sids = self._bridge.next_sids()
        for event in events:
            self.send(event, *sids)

    def send_next(self) -> None:
        """Push the next reservation of a loop, if there is one."""
        if self.left > 0:
            self.left -= 1
            self.send_life((_CREATED,))

    def _read_frames(self) -> None:
        # Clients send pings and a close, all shorter than 126 bytes, masked.
        while len(self._buffer) >= 6:
            opcode, size = self._buffer[0] & 0x0F, self._buffer[1] & 0x7F
            if len(self._buffer) < 6 + size:
                return
            mask, masked = self._buffer[2:6], self._buffer[6 : 6 + size]
            self._buffer = self._buffer[6 + size :]
            body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
            if opcode == 9:
                self.transport.write(_frame(body, 10))
            elif opcode == 8:
                self.transport.write(_frame(body, 8))
                self.transport.close()
                return


async def _serve(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    bridge = _Bridge()
    server = await loop.create_server(lambda: _Connection(bridge), "127.0.0.1", 0, backlog=4_096)
    gc.freeze()
    print(server.sockets[0].getsockname()[1], flush=True)
    over = asyncio.Event()

    def wait_for_end() -> None:  # whoever started it closes stdin, or dies
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        print(f"the peer ended after {seconds:g} s", file=sys.stderr)
    finally:
        server.close()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, metavar="S", help="limit, default %(default)s")
    asyncio.run(_serve(parser.parse_args().seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
