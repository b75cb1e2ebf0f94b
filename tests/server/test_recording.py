"""Recordings: what is in them and what never is, damaged ones, and how the local server makes them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote_plus

import aiohttp
import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from server_stub import Settings, StubServer
from server_stub.domain.workspace import Workspace
from server_stub.replay import ReplayMismatchError, ReplayServer
from taskrouter_worker import RequestError, Reservation, Worker, WorkerPool, worker_token
from taskrouter_worker._redaction import _FIELDS, _INNER_KEYS, _JSON_KEYS, _NEVER_KEYS, _TEXT_KEYS, _WORD_KEYS
from taskrouter_worker.recording import (
    Answer,
    Closed,
    End,
    Frame,
    Header,
    Opened,
    Recorder,
    Recording,
    RecordingError,
    Refused,
    Request,
    read_recording,
)
from tests.budget import examples
from tests.server.test_command_line import serving

PATIENCE = 20.0
ACCOUNT, WORKSPACE, WORKER = "AC" + "1" * 32, "WS" + "2" * 32, "WK" + "3" * 32
KEY = "SK" + "4" * 32


def token(secret: str = "s" * 32) -> str:
    return worker_token(
        account_sid=ACCOUNT,
        signing_key_sid=KEY,
        signing_key_secret=secret,
        workspace_sid=WORKSPACE,
        worker_sid=WORKER,
    )


# --- Secrets --------------------------------------------------------------------------------------

SECRET = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=&%$ é", min_size=12, max_size=40
)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "within a text": lambda s: f"see {s}, please",
    "percent": lambda s: quote(s, safe=""),
    "percent twice": lambda s: quote(quote(s, safe=""), safe=""),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "basic auth": lambda s: "Basic " + base64.b64encode(f"user:{s}".encode()).decode(),
    "basic auth, longer user": lambda s: "Basic " + base64.b64encode(f"user1:{s}!".encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(f"{s}.".encode()).decode(),
    "hex": lambda s: s.encode().hex(),
    "JSON": lambda s: json.dumps({"password": s}),
    "JSON in JSON": lambda s: json.dumps({"a": json.dumps({"b": [s]})}),
}

KEYS = sorted({*_FIELDS, *_INNER_KEYS, "message", "code", "unknown", "Authorization", "token"})
PARAMS = [
    "Attributes",
    "ReservationStatus",
    "Instruction",
    "SipAuthPassword",
    "Url",
    "To",
    "From",
    "x",
    "token",
]


def payloads(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """JSON that holds `text` anywhere: as values, as keys, below any key of the event bridge."""
    leaves = text | st.integers() | st.booleans() | st.none()
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | text, inner, max_size=4)
        ),
        max_leaves=8,
    )


def shows(text: str, secret: str) -> bool:
    """Whether somebody who looks hard finds the secret in the text."""
    escaped = json.dumps(secret)[1:-1]
    seen = [text, unquote_plus(text), unquote_plus(unquote_plus(text)), text.replace("\\", "")]
    for run in re.findall(r"[A-Za-z0-9+/_-]{8,}", text):
        standard = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            part = standard[start:]
            decoded = base64.b64decode(part[: len(part) - len(part) % 4])
            seen.append(decoded.decode("utf-8", errors="ignore"))
    raw = secret.encode().hex()
    return any(form in one for one in seen for form in (secret, escaped)) or raw in text.lower()


@settings(max_examples=examples(40))
@given(st.data(), st.booleans())
def test_no_secret_is_ever_in_a_recording(data: st.DataObject, redact: bool) -> None:
    secret = data.draw(SECRET, label="secret")
    own: list[str] = []
    with Recorder(own.append, redact_attributes=redact):
        assume(not shows("".join(own), secret))  # a recording's own words hide nothing
    jwt = token(secret.encode().hex() * 2)
    encoded = st.sampled_from(sorted(ENCODINGS)).map(lambda name: ENCODINGS[name](secret))
    hidden = encoded | st.just(jwt) | st.just(f"Bearer {jwt}") | st.just(quote(jwt))
    values = payloads(hidden)
    lines: list[str] = []
    with Recorder(lines.append, redact_attributes=redact, known=[secret]) as recorder:
        number = recorder.opened(
            jwt, f"token={jwt}&clientVersion={quote(data.draw(hidden))}&x={quote(secret)}"
        )
        recorder.refused(jwt, status=401)
        recorder.frame(
            number, json.dumps({"event_type": data.draw(hidden), "payload": data.draw(values)}).encode()
        )
        recorder.frame(number, json.dumps({"event_type": "init", "payload": data.draw(values)}).encode())
        recorder.frame(number, data.draw(hidden).encode())
        with recorder.request(
            data.draw(st.sampled_from(["GET", "POST"]) | hidden),
            "Workspaces/" + data.draw(hidden),
            data.draw(st.dictionaries(st.sampled_from(PARAMS) | hidden, values, max_size=4)),
            token=jwt,
            api_version=data.draw(hidden),
            if_match=data.draw(hidden),
        ) as exchange:
            body = {"payload": data.draw(values)}
            answer = json.dumps(body) if data.draw(st.booleans()) else str(body)
            exchange.answered(200, answer.encode(errors="replace"), data.draw(hidden))
        recorder.closed_connection(number, by="server", code=1000, reason=data.draw(hidden))
    text = "\n".join(lines)
    assert not shows(text, secret)
    for part in jwt.split(".")[1:]:
        assert part not in text
    assert read_recording(text).header.side == "client"


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize("key", ["friendly_name", "reason", "message", "attributes"])
def test_a_known_secret_in_a_text_that_is_kept_is_replaced(key: str, encode: Callable[[str], str]) -> None:
    secret = 'pa/ss"w+ö rd%=\\&1234'
    lines: list[str] = []
    with Recorder(lines.append, known=[secret]) as recorder:
        number = recorder.opened(token(), "")
        payload = {key: encode(secret), "task": {"attributes": json.dumps({"note": encode(secret)})}}
        recorder.frame(number, json.dumps({"event_type": "task.updated", "payload": payload}).encode())
        with recorder.request("POST", "x", {"Attributes": {"note": encode(secret)}}, token=token()):
            pass
        recorder.closed_connection(number, by="server", code=1000, reason=encode(secret))
    assert not shows("\n".join(lines), secret)


@pytest.mark.parametrize("key", ["friendly_name", "attributes"])
def test_a_token_in_a_text_that_is_kept_is_replaced_though_nobody_knew_it(key: str) -> None:
    bearer = token("another secret, thirty-two bytes")
    for text in (bearer, f"Bearer {bearer}", base64.b64encode(f"x{bearer}".encode()).decode()):
        (frame,) = record({key: text}, redact=False)
        assert not shows(json.dumps(frame.payload), bearer.split(".")[1])


def test_every_field_of_every_resource_has_its_rule() -> None:
    """A new field must be classified: what no rule knows is kept only as a SID or a number."""
    known = _INNER_KEYS | _JSON_KEYS | _NEVER_KEYS | _TEXT_KEYS | _WORD_KEYS
    plain = {f for f in _FIELDS - known if not f.endswith("sid") and not f.startswith("date_")}
    assert plain == {
        *("age", "assigned_tasks", "available", "available_capacity_percentage", "canceled_reason_code"),
        *(
            "channel_id",
            "configured_capacity",
            "counter",
            "end",
            "last_reserved_time",
            "lastPage",
            "lifo_queue",
        ),
        *("max_reserved_workers", "nextPage", "page", "priority", "reservation_timeout", "start", "timeout"),
        *("token_lifetime", "total", "version", "virtual_start_time"),
    }


def record(*payloads: Mapping[str, object], redact: bool) -> list[Frame]:
    lines: list[str] = []
    with Recorder(lines.append, redact_attributes=redact) as recorder:
        number = recorder.opened(token(), "")
        for payload in payloads:
            recorder.frame(number, json.dumps({"event_type": "task.updated", "payload": payload}).encode())
    return [line for _, line in read_recording("\n".join(lines)).lines if isinstance(line, Frame)]


def test_customers_data_is_kept_unless_asked_otherwise() -> None:
    (frame,) = record({"attributes": '{"name": "Ann"}', "queue_name": "Sales"}, redact=False)
    assert frame.payload == {"attributes": '{"name": "Ann"}', "queue_name": "Sales"}


def test_customers_data_is_replaced_stably_and_attributes_stay_json() -> None:
    ann = {"attributes": '{"name": "Ann"}', "queue_name": "Sales", "activity_name": "Offline"}
    first, same, other = (
        frame.payload for frame in record(ann, ann, {**ann, "attributes": '{"name": "Bob"}'}, redact=True)
    )
    assert first == same
    assert first["attributes"] != other["attributes"]
    assert first["queue_name"] == other["queue_name"] != "Sales"
    assert isinstance(json.loads(first["attributes"]), dict)
    assert first["activity_name"] == "Offline"  # TaskRouter's own word, which clients decide by
    assert "Ann" not in json.dumps(first)


def test_two_recordings_call_the_same_name_differently() -> None:
    (one,), (two,) = (record({"queue_name": "Sales"}, redact=True) for _ in range(2))
    assert one.payload != two.payload


# --- The recorder ---------------------------------------------------------------------------------


def test_a_sink_that_fails_ends_the_recording_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []

    def sink(line: str) -> None:
        if lines:
            raise OSError("disk full")
        lines.append(line)

    recorder = Recorder(sink)
    recorder.opened(token(), "")
    recorder.opened(token(), "")
    assert recorder.closed
    assert caplog.messages == ["the recording ended early: OSError"]


def test_a_recording_ends_at_its_limit_and_says_so() -> None:
    lines: list[str] = []
    recorder = Recorder(lines.append, max_lines=4)
    for _ in range(10):
        recorder.opened(token(), "")
    kinds = [line for _, line in read_recording("\n".join(lines)).lines]
    assert [type(line) for line in kinds] == [Opened, Opened, End]
    assert kinds[-1] == End(t=kinds[-1].t, reason="limit")


def test_a_request_without_an_answer_says_why() -> None:
    lines: list[str] = []
    recorder = Recorder(lines.append)
    timeout = RequestError("late", method="GET", path="x")
    timeout.__cause__ = TimeoutError()
    for error in (asyncio.CancelledError(), timeout, ValueError()):
        with pytest.raises(type(error)), recorder.request("GET", "Workspaces", {}, token=token()):
            raise error
    answers = [line for _, line in read_recording("\n".join(lines)).lines if isinstance(line, Answer)]
    assert [answer.failed for answer in answers] == ["given up", "timeout", "network"]


# --- Damaged recordings ---------------------------------------------------------------------------


def session() -> list[str]:
    """A little recording: one connection, one request of each kind, an end."""
    lines: list[str] = []
    now = [0.0]

    def tick() -> float:
        now[0] += 0.1
        return now[0]

    init = {
        "channel_id": WORKER,
        "account_sid": ACCOUNT,
        "workspace_sid": WORKSPACE,
        "token_lifetime": 3_600_000,
    }
    with Recorder(lines.append, monotonic=tick, wall=lambda: 1_760_000_000.0) as recorder:
        recorder.refused(token(), status=503)
        number = recorder.opened(token(), "")
        recorder.frame(number, json.dumps({"event_type": "init", "payload": init}).encode())
        path = f"Workspaces/{WORKSPACE}/Workers/{WORKER}"
        with recorder.request("GET", path, {}, token=token()) as exchange:
            exchange.answered(429, b'{"code": 20429, "message": "slow down"}', "7")
        accept = {"ReservationStatus": "accepted"}
        with recorder.request("POST", f"{path}/Reservations/WR{5:032x}", accept, token=token()) as exchange:
            exchange.answered(200, b"<html>", None)
        recorder.frame(number, b" ")
        recorder.closed_connection(number, by="server", code=1012, reason="restart")
    return lines


def test_what_was_recorded_is_read_back() -> None:
    recording = read_recording("\n".join(session()))
    kinds = [type(line) for _, line in recording.lines]
    assert kinds == [Refused, Opened, Frame, Request, Answer, Request, Answer, Frame, Closed, End]
    assert [number for number, _ in recording.lines] == list(range(2, 12))
    assert recording.header.started_at == "2025-10-09T08:53:20.000+00:00"
    assert isinstance(recording.header, Header)


@pytest.mark.parametrize(
    ("number", "text", "message"),
    [
        (1, "", "line 2: not a recording"),
        (1, '{"format": "har"}', "line 1: not a recording: it must begin with"),
        (1, '{"format": "taskrouter-recording", "version": 2}', "line 1: version 2 of the format is unknown"),
        (1, '{"format": "taskrouter-recording", "version": 1}', "line 1: Object missing required field"),
        (3, "{", "line 3: not JSON"),
        (3, "[]", "line 3: expected a JSON object, got list"),
        (3, '{"type": "opened", "t": 1}', "line 3: Object missing required field `connection`"),
        (3, '{"type": "opened", "t": -1, "connection": 2}', "line 3: t must be 0 or more seconds, got -1"),
        (
            3,
            '{"type": "opened", "t": "1", "connection": 2}',
            r"line 3: Expected `float`, got `str` - at `\$.t`",
        ),
        (3, '{"type": "nonsense", "t": 1}', "line 3: Invalid value 'nonsense'"),
        (3, '{"type": "end", "t": NaN}', "line 3: not JSON: NaN is not JSON"),
        (3, '{"type": "opened", "t": 1, "connection": 1}', "line 3: connection 1 was there before"),
        (4, '{"type": "frame", "t": 1, "connection": 9}', "line 4: connection 9 is not open"),
        (6, '{"type": "answer", "t": 1, "id": 7, "status": 200}', "line 6: an answer to request 7"),
        (6, '{"type": "answer", "t": 1, "id": 1}', "line 6: an answer needs a status, or failed"),
        (6, '{"type": "answer", "t": 1, "id": 1, "status": 99}', "line 6: status must be 200 to 599, got 99"),
        (7, '{"type": "request", "t": 1, "id": 1}', "line 7: Object missing required field `method`"),
    ],
)
def test_a_damaged_recording_gets_an_error_with_its_line(number: int, text: str, message: str) -> None:
    lines = session()
    lines[number - 1] = text
    with pytest.raises(RecordingError, match=message):
        read_recording("\n".join(lines))


def test_what_is_not_text_gets_an_error_with_its_line() -> None:
    with pytest.raises(RecordingError, match="line 2: not UTF-8"):
        read_recording(b'{"format":\n"\xff"}')
    with pytest.raises(RecordingError, match="line 1: the recording is empty"):
        read_recording("\n")


@settings(max_examples=examples(40))
@given(st.data())
def test_no_damage_raises_anything_but_the_error_with_the_line(data: st.DataObject) -> None:
    lines = session()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "double", "cut", "value", "noise", "deep"])):
            case "drop":
                lines[at] = ""
            case "double":
                lines.insert(at, lines[at])
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "noise":
                lines[at] = data.draw(st.text(max_size=20))
            case "deep":
                lines[at] = '{"type": "frame", "payload": ' + "[" * 5_000
            case _:
                try:
                    value: Any = json.loads(lines[at])
                except (ValueError, RecursionError):
                    continue
                if isinstance(value, dict) and value:
                    key = data.draw(st.sampled_from(sorted(cast("dict[str, Any]", value))))
                    value[key] = data.draw(
                        st.none() | st.booleans() | st.integers() | st.text() | st.just([])
                    )
                    lines[at] = json.dumps(value)
    said = complaint_about("\n".join(lines))
    assert said is None or re.match(r"line \d+: |the recording holds no session", said)


def complaint_about(text: str) -> str | None:
    try:
        ReplayServer(read_recording(text))
    except ValueError as error:  # RecordingError is one
        return str(error)
    return None


# --- The local server -----------------------------------------------------------------------------


def task(server: StubServer) -> str:
    def create(workspace: Workspace) -> str:
        return workspace.create_task(
            attributes='{"customer": "Ann"}', workflow_sid=next(iter(workspace.workflows))
        ).sid

    return server.run(server.workspace_sid, create)


async def one_task(
    server: StubServer | ReplayServer, token: str, *, refuse: bool = False, feed: bool = True
) -> list[str]:
    """A worker that does one task, or refuses it; what it was told."""
    told: list[str] = []
    done = asyncio.Event()
    worker = Worker(token, eb_server=server.eb_server, ws_server=server.ws_server)

    @worker.on("reservationCreated")
    async def work(reservation: Reservation) -> None:
        told.append(f"created {reservation.sid}")
        for event in ("accepted", "completed", "rejected"):
            reservation.on(event, lambda r, event=event: told.append(f"{event} {r.sid}"))
        reservation.on("ended", lambda _: done.set())
        try:
            if refuse:
                await reservation.reject()
            else:
                await reservation.accept()
                await reservation.complete()
        except RequestError as error:
            told.append(str(error))
            done.set()

    async with asyncio.timeout(PATIENCE), worker:
        if feed and isinstance(server, StubServer):
            task(server)
        await done.wait()
    return told


async def recorded(*, redact: bool = False) -> tuple[Recording, list[str], str]:
    """What the server records of one task; what the worker was told; the text."""
    lines: list[str] = []
    async with StubServer(Settings(port=0)) as server:
        server.record(lines.append, redact_attributes=redact)
        _, bearer = server.hire("Ann")
        told = await one_task(server, bearer)
        secrets = (bearer, bearer.rpartition(".")[2], server.auth_token, server.signing_key_secret)
    text = "\n".join(lines)
    assert not [secret for secret in secrets if secret in text]
    return read_recording(text), told, text


@pytest.mark.parametrize("redact", [False, True])
async def test_the_servers_recording_replays_with_and_without_customers_data(redact: bool) -> None:
    recording, told, text = await recorded(redact=redact)
    assert ("Ann" in text) is not redact
    async with ReplayServer(recording) as replay:
        assert await one_task(replay, replay.token()) == told
        await asyncio.wait_for(replay.finished(), PATIENCE)


async def test_another_decision_is_an_error_that_shows_both() -> None:
    recording, _, _ = await recorded()
    async with ReplayServer(recording) as replay:
        told = await one_task(replay, replay.token(), refuse=True)
        with pytest.raises(ReplayMismatchError) as caught:
            await asyncio.wait_for(replay.finished(), PATIENCE)
    message = str(caught.value)
    assert '{"ReservationStatus": "rejected"}; expected from it, by the recording:' in message
    assert re.search(r'line \d+: POST Workspaces/.*{"ReservationStatus": "accepted"}', message)
    assert message in told[-1]  # the client is told as well


async def test_a_client_that_does_nothing_more_is_a_mismatch_as_well() -> None:
    recording, _, _ = await recorded()
    async with ReplayServer(recording, patience=0.05) as replay:
        with pytest.raises(
            ReplayMismatchError, match=r"the client did nothing more; expected .*\n  line 2: web"
        ):
            await asyncio.wait_for(replay.finished(), PATIENCE)


async def test_the_recorded_pace_keeps_the_times_and_the_fast_one_does_not() -> None:
    recording, _, _ = await recorded()
    slow = msgspec.structs.replace
    stretched = Recording(
        recording.header, tuple((number, slow(line, t=line.t * 8)) for number, line in recording.lines)
    )
    loop = asyncio.get_running_loop()
    took = []
    for pace in ("recorded", "fast"):
        began = loop.time()
        async with ReplayServer(stretched, pace="recorded" if pace == "recorded" else "fast") as replay:
            await one_task(replay, replay.token())
        took.append(loop.time() - began)
    frames = [line.t for _, line in stretched.lines if isinstance(line, Frame)]
    assert took[0] >= (frames[-1] - frames[-2]) > 0
    assert took[1] < took[0]


async def test_an_old_session_is_left_out_until_it_connects_anew() -> None:
    lines: list[str] = []
    async with StubServer(Settings(port=0)) as server:
        _, bearer = server.hire("Ann")
        worker = Worker(bearer, eb_server=server.eb_server, ws_server=server.ws_server)
        async with worker:
            recorder = server.record(lines.append)
            await one_task_of(worker, server)
            recorder.close()
    assert [type(line) for _, line in read_recording("\n".join(lines)).lines] == [End]


async def one_task_of(worker: Worker, server: StubServer) -> None:
    seen = asyncio.ensure_future(worker.wait_for("reservationCreated", timeout=PATIENCE))
    await asyncio.sleep(0)
    task(server)
    await (await seen).accept()


async def test_a_recording_is_started_fetched_and_stopped_over_rest() -> None:
    async with StubServer(Settings(port=0)) as server, aiohttp.ClientSession() as http:
        url = f"{server.rest_url}/stub/workspaces/{server.workspace_sid}/recording"
        auth = {"Authorization": aiohttp.encode_basic_auth(server.account_sid, server.auth_token)}

        async def ask(method: str, **options: Any) -> tuple[int, str]:
            async with http.request(method, url, headers=auth, **options) as response:
                return response.status, await response.text()

        async with http.post(url) as response:
            assert response.status == 401
        assert (await ask("GET"))[0] == (await ask("DELETE"))[0] == 404
        status, text = await ask("POST", data={"RedactAttributes": "true"})
        assert (status, json.loads(text)) == (201, {"status": "running", "lines": 1})
        assert (await ask("POST"))[0] == 409
        assert (await ask("PUT"))[0] == 405

        _, bearer = server.hire("Ann")
        await one_task(server, bearer)
        status, text = await ask("DELETE")
        assert json.loads(text)["status"] == "stopped"
        status, text = await ask("GET")
        recording = read_recording(text)
        assert json.loads((await ask("DELETE"))[1])["lines"] == len(recording.lines) + 1
        assert "Ann" not in text
        assert [line.reason for _, line in recording.lines if isinstance(line, End)] == ["stopped"]
        assert (await ask("POST"))[0] == 201  # anew


async def test_what_is_recorded_is_answered_as_if_nobody_recorded() -> None:
    requests = [
        ("application/json; charset=nonsense", b"{}"),
        ("application/json; charset=hex", b'{"a": 1}'),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"x" * 300_000),
    ]
    async with StubServer(Settings(port=0)) as server, aiohttp.ClientSession() as http:

        async def ask(kind: str, body: bytes) -> tuple[int, str | None, str]:
            async with http.post(server.eb_server, data=body, headers={"Content-Type": kind}) as response:
                allowed = response.headers.get("Access-Control-Allow-Origin")
                return response.status, allowed, await response.text()

        plain = [await ask(*request) for request in requests]
        server.record(list[str]().append)
        assert [await ask(*request) for request in requests] == plain
        assert {status for status, _, _ in plain} == {400, 413}


async def test_one_recording_at_a_time_is_started_and_only_by_a_form() -> None:
    async with StubServer(Settings(port=0)) as server, aiohttp.ClientSession() as http:
        url = f"{server.rest_url}/stub/workspaces/{server.workspace_sid}/recording"
        auth = {"Authorization": aiohttp.encode_basic_auth(server.account_sid, server.auth_token)}
        for kind in ("multipart/form-data", "text/plain; charset=nonsense"):
            async with http.post(url, data=b"x=y", headers={**auth, "Content-Type": kind}) as response:
                assert response.status == 400, await response.text()
        began, may_end = asyncio.Semaphore(0), asyncio.Event()

        async def slow_form() -> AsyncIterator[bytes]:
            yield b"RedactAttributes="
            began.release()
            await may_end.wait()
            yield b"true"

        async def start() -> int:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            async with http.post(url, data=slow_form(), headers={**auth, **form}) as response:
                return response.status

        starting = [asyncio.create_task(start()) for _ in range(2)]
        async with asyncio.timeout(PATIENCE):
            for _ in starting:
                await began.acquire()
            may_end.set()
            assert sorted(await asyncio.gather(*starting)) == [201, 409]


def test_a_token_that_is_no_text_does_not_break_what_is_recorded() -> None:
    lines: list[str] = []
    recorder = Recorder(lines.append)
    with recorder.request("GET", "Workspaces", {}, token="\ud800" * 10):
        pass
    assert not recorder.closed
    assert "ud800" not in "".join(lines)


@pytest.mark.parametrize(
    ("closing", "code", "reason"),
    [
        ({"code": 4408, "reason": "gone"}, 4408, "gone"),
        ({"code": 4408, "reason": "é" * 62}, 4408, "é" * 61),  # a close frame takes 123 bytes
        ({"code": 4408, "reason": "\ud800"}, 4408, "?"),
        ({"code": 1005}, None, ""),  # a close frame without a code
        ({"code": 70_000}, 1006, ""),  # no frame can have it: cut
    ],
)
async def test_any_recorded_closing_is_played(closing: dict[str, Any], code: int | None, reason: str) -> None:
    async with StubServer(Settings(port=0)) as server:
        _, bearer = server.hire("Ann")
        lines: list[str] = []
        server.record(lines.append)
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{server.ws_server}?token={bearer}") as socket,
        ):
            await socket.receive(timeout=PATIENCE)  # init
    kept = [line for line in lines if '"frame"' in line or '"opened"' in line or '"format"' in line]
    opened = json.loads(kept[1])
    end = {"type": "closed", "t": 9.0, "worker": opened["worker"], "connection": 1, "by": "server", **closing}
    recording = read_recording("\n".join([*kept, json.dumps(end)]))
    async with ReplayServer(recording) as player, aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
        async with http.ws_connect(f"{player.ws_server}?token={player.token()}") as socket:
            assert (await socket.receive()).type is aiohttp.WSMsgType.TEXT
            ended = await socket.receive()
            told = socket.close_code
            if ended.type is aiohttp.WSMsgType.CLOSE:
                told = ended.data or None
            assert (told, ended.extra or "") == (code, reason)
        await player.finished()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Encoding": "deflate"}, 415),
        (
            {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Protocol": "TOKEN",
            },
            400,
        ),
    ],
)
async def test_a_replay_refuses_what_the_server_refuses_at_the_door(
    caplog: pytest.LogCaptureFixture, headers: dict[str, str], status: int
) -> None:
    recording, _, _ = await recorded()
    caplog.clear()
    async with ReplayServer(recording) as player, aiohttp.ClientSession() as http:
        token = player.token()
        sent = {name: value.replace("TOKEN", token) for name, value in headers.items()}
        async with http.get(f"{player.eb_server}?token={token}", headers=sent) as response:
            assert response.status == status, await response.text()
    assert not caplog.records


# --- The command line -----------------------------------------------------------------------------


def replay(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server_stub", "replay", str(file), "--port", "0", "--pace", "fast", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_replaying_a_damaged_file_fails_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "damaged.jsonl"
    file.write_text(session()[0] + "\n{\n")
    failed = replay(file)
    assert failed.returncode == 2
    assert f"{file}: line 2: not JSON" in failed.stderr


def test_replaying_without_a_client_fails_with_what_was_expected(tmp_path: Path) -> None:
    file = tmp_path / "session.jsonl"
    file.write_text("\n".join(session()))
    failed = replay(file, "--patience", "0.1", "--json")
    assert failed.returncode == 1
    assert "the client did nothing more" in failed.stderr
    reach = json.loads(failed.stdout)
    assert [*reach["tokens"]] == [WORKER]
    assert reach["ws_server"].startswith("ws://127.0.0.1:")


async def test_serve_records_into_a_file_without_credentials(tmp_path: Path) -> None:
    file = tmp_path / "served.jsonl"
    async with serving("--record", str(file), "--redact-attributes") as (process, reach):
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    text = file.read_text()
    recording = read_recording(text)
    assert recording.header.side == "server"
    assert "attributes" in recording.header.redacted
    assert [type(line) for _, line in recording.lines] == [End]
    assert reach["auth_token"] not in text


def test_a_pool_takes_no_recording_for_all_its_workers() -> None:
    lines: list[str] = []
    with pytest.raises(TypeError, match=r"give `record` to add\(\)"):
        WorkerPool(record=lines.append)


async def test_the_sdk_closes_the_file_that_it_opened(tmp_path: Path) -> None:
    file = tmp_path / "unused.jsonl"
    await Worker(token(), record=file).disconnect()
    assert [type(line) for _, line in read_recording(file.read_bytes()).lines] == [End]
