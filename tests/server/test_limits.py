"""What the server bears: each limit is reached over a real socket, and answered as documented."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server_stub import __main__ as command_line
from server_stub import queries
from server_stub.app import MAX_HEADER
from server_stub.callbacks import MAX_ANSWER, WAITING
from server_stub.commands.serve import settings_from
from server_stub.console.feed import MAX_FEEDS, MAX_FRAME
from server_stub.deliveries import KEPT
from server_stub.domain import expression, workflow
from server_stub.domain.model import Limits
from server_stub.faults.active import MAX_LOG
from server_stub.limits import MAX_KEYS, ConnectionWatch, Doorkeeper, RateLimit, ServerLimits
from server_stub.replies import ApiError
from server_stub.rest.door import MAX_FIELDS
from server_stub.rest.operation import MAX_PAGE_SIZE
from server_stub.tokens import MAX_TOKEN
from tests.server.conftest import Open
from tests.server.place import basic
from tests.server.raw import PATIENCE, Client, Desk, until

DOCS = Path(__file__).parents[2] / "docs" / "security.md"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def plugged(desk: Desk, **options: Any) -> AsyncIterator[Streams]:
    """A bare TCP connection to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.server.port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server closes the connection."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


# --- Sizes --------------------------------------------------------------------------------------


async def test_each_door_has_its_longest_body(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(max_body=1_000, max_envelope=2_000))
    nina = desk.client("nina")
    fits = await desk.rest("POST", f"{desk.path}/Workers", data={"FriendlyName": "a", "x": "y" * 900})
    assert fits.status == 201
    form = await desk.rest("POST", f"{desk.path}/Workers", data={"FriendlyName": "b", "x": "y" * 1_000})
    assert (form.status, form.body["code"]) == (413, 20413)
    assert "1000 bytes" in form.body["message"]
    small = await nina.send(nina.me, params={"x": "y" * 900})
    assert small.status == 200
    envelope = await nina.send(nina.me, params={"x": "y" * 2_000})
    assert (envelope.status, envelope.body["code"]) == (413, 20413)
    assert envelope.headers["Access-Control-Allow-Origin"] == "*"


async def test_body_without_a_length_is_limited_as_well(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(max_envelope=2_000))
    nina = desk.client("nina")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1_000

    async with desk.http.post(desk.server.eb_server, data=chunks()) as response:
        assert response.status == 413
    assert (await nina.send(nina.me)).status == 200


@pytest.mark.parametrize("path", ["/v1/wschannels", "/v1/Workspaces"])
async def test_compressed_body_is_refused_and_never_unpacked(desk: Desk, path: str) -> None:
    packer = zlib.compressobj()
    packed = b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(40)), packer.flush()])
    assert len(packed) < desk.server.settings.server_limits.max_envelope
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: deflate\r\n"
    async with plugged(desk) as (reader, writer):
        tracemalloc.start()
        try:
            writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)
            async with asyncio.timeout(PATIENCE):
                assert (await reader.readline()).split()[1] == b"415"
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 10_000_000


async def test_messages_from_clients_have_a_longest_size(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(max_message=100))
    nina = desk.client("nina")
    worker = await nina.ready()
    await worker.ws.send_str("x" * 100)
    assert await worker.quiet()
    await worker.ws.send_str("x" * 101)
    assert await worker.closed() == 1009


async def test_longest_request_line_is_refused_without_the_token_in_the_log(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async with plugged(desk) as (reader, writer):
        writer.write(b"GET /v1/wschannels?token=" + b"z" * (MAX_HEADER + 1) + b" HTTP/1.1\r\n\r\n")
        assert (await ended(reader)).startswith(b"HTTP/1.0 400")
    assert "zzzz" not in caplog.text


async def test_list_is_not_filtered_by_more_comparisons_than_others_can_wait_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_COMPARISONS", 5)
    nina = desk.client("nina")
    desk.hire("omar")
    desk.task()
    desk.task()

    async def asked(text: str) -> list[tuple[int, str]]:
        params = {"TargetWorkersExpression": text}
        answers = [
            await nina.send(f"{nina.base}/Workers", params=params),
            await desk.rest("GET", f"{desk.path}/Workers", params=params),
            await desk.rest("GET", f"{desk.path}/Tasks", params={"EvaluateTaskAttributes": text}),
        ]
        return [(answer.status, answer.body.get("message", "")) for answer in answers]

    assert [status for status, _ in await asked("a == 1 OR NOT (b == 1)")] == [200] * 3
    refused = await asked("a == 1 OR (b == 1 AND c)")
    assert [status for status, _ in refused] == [400] * 3
    assert all("has 3 comparisons, which is too much for a list of 2" in message for _, message in refused)


# --- Requests per second ------------------------------------------------------------------------


def test_budget_refills_as_time_goes_by() -> None:
    now = 0.0
    limit = RateLimit(2, now=lambda: now)
    shown = [limit.take("a")["X-Rate-Limit-Remaining"] for _ in range(2)]
    assert shown == ["1", "0"]
    with pytest.raises(ApiError) as refused:
        limit.take("a")
    assert (refused.value.status, refused.value.code) == (429, 20429)
    assert refused.value.headers == {
        "X-Rate-Limit-Limit": "2",
        "X-Rate-Limit-Remaining": "0",
        "X-Rate-Limit-Reset": "1",
        "Retry-After": "1",
    }
    assert limit.take("b")["X-Rate-Limit-Remaining"] == "1"  # another caller's budget
    now = 0.5
    assert limit.take("a")["X-Rate-Limit-Remaining"] == "0"
    now = 100.0
    assert limit.take("a")["X-Rate-Limit-Remaining"] == "1"  # no more than a second's worth is saved


def test_refused_requests_cost_nothing() -> None:
    now = 0.0
    limit = RateLimit(1, now=lambda: now)
    limit.take("a")
    for _ in range(100):
        with pytest.raises(ApiError):
            limit.take("a")
    now = 1.0
    limit.take("a")


def test_only_so_many_callers_are_remembered() -> None:
    limit = RateLimit(1, now=lambda: 0.0)
    for number in range(MAX_KEYS + 10):
        limit.take(str(number))
    assert len(limit) == MAX_KEYS
    limit.take("0")  # forgotten, hence allowed again
    with pytest.raises(ApiError):
        limit.take(str(MAX_KEYS))


def test_a_caller_whose_budget_is_full_again_is_forgotten() -> None:
    now = 0.0
    limit = RateLimit(2, now=lambda: now)
    for caller in "abc":
        limit.take(caller)
    now = 0.4
    limit.take("c")
    assert len(limit) == 3
    now = 0.6
    limit.take("d")
    assert len(limit) == 2  # c and d


async def test_requests_of_an_account_and_of_each_token_are_limited(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(max_requests_per_second=0.01))
    nina, omar = desk.client("nina"), desk.client("omar")
    key = (desk.server.signing_key_sid, desk.server.signing_key_secret)
    assert (await desk.rest("GET", f"{desk.path}/Workers", auth=("nobody", "x"))).status == 401
    first = await desk.rest("GET", f"{desk.path}/Workers")
    assert (first.status, first.headers["X-Rate-Limit-Remaining"]) == (200, "0")
    second = await desk.rest("GET", f"{desk.path}/Workers", auth=key)  # the same account
    assert (second.status, second.body["code"]) == (429, 20429)
    assert second.headers["X-Rate-Limit-Limit"] == "1"
    assert 90 <= int(second.headers["Retry-After"]) <= 100
    before = desk.workspace.seq
    assert (await nina.send(nina.me)).status == 200
    refused = await nina.send(nina.me, "POST", {"Attributes": {"a": 1}})
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (429, "*")
    assert int(refused.headers["Retry-After"]) > 1
    assert desk.workspace.seq == before
    assert (await omar.send(omar.me)).status == 200  # another token


async def test_nobody_is_limited_unless_asked_for(desk: Desk) -> None:
    answer = await desk.rest("GET", f"{desk.path}/Workers")
    assert not [name for name in answer.headers if name.startswith("X-Rate")]


# --- Connections --------------------------------------------------------------------------------


async def test_sessions_of_the_account_are_limited_and_make_room_when_they_end(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(max_sessions=2))
    nina, omar, otto = desk.client("nina"), desk.client("omar"), desk.client("otto")
    first = await nina.ready()
    await omar.ready()
    refused = await otto.connect()
    assert await refused.closed() == 4429
    await first.ws.close()
    await until(lambda: len(desk.server._sessions) == 1)
    assert (await (await otto.connect()).event("init"))["channel_id"] == otto.worker_sid


async def test_connections_are_limited_and_make_room_when_they_end(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(max_connections=2))
    health = f"{desk.server.rest_url}/stub/health"
    async with plugged(desk), plugged(desk) as (_, second):
        await until(lambda: len(desk.server._open_connections()) == 2)
        async with plugged(desk) as (reader, _):
            assert await ended(reader) == b""
        second.close()
        await until(lambda: len(desk.server._open_connections()) == 1)
        assert (await desk.rest("GET", health)).status == 200


def test_full_house_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    count = 1
    doorkeeper = Doorkeeper(asyncio.Protocol, count=lambda: count, most=1)
    refused = [doorkeeper(), doorkeeper()]
    assert caplog.text.count("further ones are closed") == 1
    count = 0
    assert type(doorkeeper()) is asyncio.Protocol is not type(refused[0])


# --- Time ---------------------------------------------------------------------------------------

SHORT = 0.05
"""A time limit that a test waits for."""


@pytest.mark.parametrize(
    "sent", [b"", b"GET /stub/health HTTP/1.1\r\n", b"GET /stub/health HTTP/1.1\r\nHost: x\r\nX: y"]
)
async def test_connection_without_a_whole_request_is_closed(open_desk: Open, sent: bytes) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(idle_timeout=SHORT))
    async with plugged(desk) as (reader, writer):
        writer.write(sent)
        assert await ended(reader) == b""


async def test_headers_that_dribble_do_not_keep_a_connection(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(idle_timeout=SHORT))
    async with plugged(desk) as (reader, writer):
        end = asyncio.create_task(ended(reader))
        with contextlib.suppress(OSError):
            writer.write(b"GET /stub/health HTTP/1.1\r\n")
            while not end.done():  # a byte each time the loop comes round: it never is idle
                writer.write(b"X")
                await writer.drain()
                await asyncio.wait({end}, timeout=SHORT / 10)
        assert await end == b""


@pytest.mark.parametrize("door", ["rest", "bridge"])
async def test_body_that_dribbles_is_answered_408(open_desk: Open, door: str) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(request_timeout=SHORT))
    auth = basic(desk.server.account_sid, desk.server.auth_token)
    path = f"/v1{desk.path}/Workers" if door == "rest" else "/v1/wschannels"
    before = desk.workspace.seq
    async with plugged(desk) as (reader, writer):
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {auth}\r\nContent-Length: 900\r\n\r\n"
        )
        writer.write(head.encode() + b"FriendlyName=b")
        async with asyncio.timeout(PATIENCE):
            answer = await reader.readuntil(b"}")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"code":20408' in answer
    assert desk.workspace.seq == before


class Behind:
    """A connection as the watch sees it."""

    def __init__(self) -> None:
        self.writing_paused = True
        self.aborted = False
        self.transport: Any = self

    def abort(self) -> None:
        self.aborted = True
        self.transport = None


def test_only_who_is_behind_all_the_time_is_cut() -> None:
    stuck, catches_up, quick = Behind(), Behind(), Behind()
    quick.writing_paused = False
    watch = ConnectionWatch(lambda: [stuck, catches_up, quick], silent=1_000, stalled=60)
    for now in (0.0, 15.0, 30.0):
        watch.look(now)
    catches_up.writing_paused = False
    watch.look(45.0)
    catches_up.writing_paused = True
    watch.look(59.9)
    assert not stuck.aborted
    watch.look(60.0)
    assert (stuck.aborted, catches_up.aborted, quick.aborted) == (True, False, False)
    watch.look(119.0)
    assert not catches_up.aborted
    watch.look(120.0)
    assert catches_up.aborted


def test_only_who_never_makes_a_request_is_cut() -> None:
    silent, late, gone = Behind(), Behind(), Behind()
    for connection in (silent, late, gone):
        connection.writing_paused = False
    there = [silent, late, gone]
    watch = ConnectionWatch(lambda: there, silent=60, stalled=1_000)
    watch.look(0.0)
    watch.heard(late)
    watch.heard(gone)
    there.remove(gone)
    watch.look(30.0)
    assert watch._heard == {late}  # who is gone is not remembered
    watch.look(60.0)
    assert (silent.aborted, late.aborted) == (True, False)
    watch.look(600.0)
    assert not late.aborted


async def test_connection_that_made_a_request_is_not_cut(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(idle_timeout=0.2))
    nina = desk.client("nina")
    worker = await nina.ready()
    [connection] = [c for c in desk.server._open_connections() if c.transport is not None][:1]
    for moment in (0.0, 1e6, 2e6, 3e6):
        desk.server._watch.look(moment)
    assert connection.transport is not None
    desk.task()
    await worker.event("reservation.created")


def deaf(port: int) -> socket.socket:
    """A connection whose kernel takes little and whose owner reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    return connection


async def test_answer_that_nobody_reads_ends_the_connection(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(stall_timeout=SHORT))
    for number in range(300):
        desk.run(
            lambda ws, n=number: ws.create_worker(
                friendly_name=f"w{n}", attributes=json.dumps({"a": "x" * 4_000})
            )
        )
    auth = basic(desk.server.account_sid, desk.server.auth_token)
    path = f"/v1{desk.path}/Workers?PageSize=1000"
    with deaf(desk.server.port) as connection:
        # Enough answers to fill the kernel's buffers on both sides, however large they are.
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {auth}\r\n\r\n".encode()
        connection.sendall(request * 20)
        await until(lambda: any(c.writing_paused for c in desk.server._open_connections()))
        await until(lambda: not desk.server._open_connections())


def wire(client: Client) -> Any:
    """The client's end of the TCP connection that its first websocket uses."""
    connection: Any = client.sockets[0].ws._response.connection
    return connection.transport


async def slow_session(desk: Desk) -> tuple[Any, Any]:
    """A worker's session whose client stops reading once it is ready; the server's end of it."""
    nina = desk.client("nina")
    await nina.ready()
    [session] = desk.server._sessions._outboxes[nina.worker_sid].sessions.values()
    wire(nina).pause_reading()
    return nina, session


async def flood(desk: Desk, worker_sid: str, session: Any, *, frames: int) -> list[int]:
    """Many large events for that worker, each one written before the next; the buffer's sizes meanwhile."""
    sizes: list[int] = []
    for number in range(frames):
        if session.closing is not None:
            break
        text = json.dumps({"n": number, "a": "x" * 4_000})
        desk.run(lambda ws, text=text: ws.update_worker(worker_sid, attributes=text))
        await asyncio.sleep(0)  # the writer's turn
        await asyncio.sleep(0)
        if session.transport is not None:
            sizes.append(session.transport.get_write_buffer_size())
    return sizes


async def test_reader_that_is_too_far_behind_is_cut_by_bytes_before_frames(open_desk: Open) -> None:
    limits = ServerLimits(max_waiting_bytes=100_000, max_waiting_frames=100_000)
    desk: Desk = await open_desk(server_limits=limits)
    nina, session = await slow_session(desk)
    sizes = await flood(desk, nina.worker_sid, session, frames=20_000)
    assert session.closing == 4413
    # aiohttp's own buffer stays at its mark: 64 kB, and what was written until it was asked to wait.
    assert max(sizes) < 256 * 1024
    await until(lambda: not desk.server._open_connections() or len(desk.server._sessions) == 0)
    wire(nina).abort()  # it would wait for the rest of the handshake


async def test_one_frame_larger_than_the_limit_is_still_sent(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(max_waiting_bytes=100))
    nina = desk.client("nina")
    worker = await nina.ready()
    text = json.dumps({"a": "x" * 4_000})
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes=text))
    assert (await worker.event("worker.attributes.update"))["attributes"] == text


async def test_count_of_waiting_bytes_returns_to_nothing(desk: Desk) -> None:
    nina = desk.client("nina")
    connected = await nina.connect()
    await connected.event("init")
    [session] = desk.server._sessions._outboxes[nina.worker_sid].sessions.values()
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"a":1}'))
    assert session.waiting > 0  # held until the snapshot is complete
    await nina.snapshot()
    desk.run(lambda ws: ws.update_worker(nina.worker_sid, attributes='{"a":2}'))
    assert json.loads((await connected.event("worker.attributes.update"))["attributes"]) == {"a": 2}
    await until(lambda: session.waiting == 0)


async def test_frames_behind_an_answer_that_is_not_read_are_limited(open_desk: Open) -> None:
    desk: Desk = await open_desk(server_limits=ServerLimits(max_waiting_frames=10))
    nina = desk.client("nina")
    worker = await nina.ready()
    hold = desk.server._sessions.hold(nina.worker_sid)
    for number in range(10):
        desk.run(lambda ws, n=number: ws.update_worker(nina.worker_sid, attributes=f'{{"n":{n}}}'))
    assert hold.released  # the tenth frame does not fit behind it
    for number in range(10):
        event = await worker.event("worker.attributes.update")
        assert json.loads(event["attributes"]) == {"n": number}
    hold.release()


# --- Options and documentation ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_body": 0}, "max_body must be 1 or more, got 0"),
        ({"max_body": 1.5}, "max_body must be a whole number, got 1.5"),
        ({"max_sessions": True}, "max_sessions must be a number, got True"),
        ({"max_requests_per_second": -1}, "max_requests_per_second must be 0 or more, got -1"),
        ({"idle_timeout": 0}, "idle_timeout must be more than 0, got 0"),
        ({"idle_timeout": float("nan")}, "idle_timeout must be a number, got nan"),
        ({"stall_timeout": float("inf")}, "stall_timeout must be a number, got inf"),
        ({"request_timeout": "5"}, "request_timeout must be a number, got '5'"),
    ],
)
def test_limit_out_of_its_range_is_named(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        ServerLimits(**given)


def test_command_line_sets_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "serve",
        "--max-body",
        "1",
        "--idle-timeout",
        "2.5",
        "--max-requests-per-second",
        "3",
        "--max-attributes",
        "9",
    ]
    settings = settings_from(command_line._parser().parse_args(options))
    assert settings.server_limits == ServerLimits(max_body=1, idle_timeout=2.5, max_requests_per_second=3)
    assert settings.limits.max_attributes_length == 9
    for wrong, told in (
        ("--max-body=0", "--max-body must be 1 or more"),
        ("--max-body=x", "not a whole number"),
    ):
        with pytest.raises(SystemExit):
            command_line.main(["serve", wrong])
        assert told in capsys.readouterr().err


FIXED = {
    "an access token": MAX_TOKEN,
    "a request line or header": MAX_HEADER,
    "fields of a form": MAX_FIELDS,
    "a page": MAX_PAGE_SIZE,
    "an expression": expression.MAX_LENGTH,
    "nesting of an expression": expression.MAX_NESTING,
    "comparisons by an expression that filters a list": queries.MAX_COMPARISONS,
    "a workflow configuration": workflow.MAX_BYTES,
    "callers whose rate is remembered": MAX_KEYS,
    "callbacks that wait": WAITING,
    "deliveries that are shown": KEPT,
    "an answer to a callback": MAX_ANSWER,
    "injected faults that are shown": MAX_LOG,
    "pages of the console": MAX_FEEDS,
    "a frame that they show": MAX_FRAME,
}


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading, by their first cell."""
    section = DOCS.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    assert section, heading
    lines = section.partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {first: rest for first, *rest in rows[2:]}


def number(text: str) -> float:
    """The first number of a cell."""
    found = re.match(r"[\d,.]+", text)
    assert found, text
    return float(found[0].replace(",", ""))


def test_documented_options_are_those_of_the_command_line_with_their_defaults() -> None:
    options = command_line._parser().parse_args(["serve"])
    documented = {
        name.strip("`"): number(cells[0]) for name, cells in table("Limits that are options").items()
    }
    kept = ("retention", "event_retention", "max_events", "max_attributes")
    names = [*ServerLimits.__dataclass_fields__, *kept]
    assert documented == {f"--{name.replace('_', '-')}": getattr(options, name) for name in names}
    assert Limits().max_attributes_length == options.max_attributes


def test_documented_fixed_limits_are_those_of_the_code() -> None:
    documented = {name: number(cells[0]) for name, cells in table("Limits that are fixed").items()}
    assert documented == FIXED
