"""Wrong arguments: refused before any I/O, with the argument's name and the value (never a token)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrouter_worker import NotConnectedError, RequestInvalidError, Supervisor, Worker, Workspace
from taskrouter_worker._context import check_attributes, parse_attributes
from taskrouter_worker._endpoints import event_bridge_urls, shown_url
from taskrouter_worker._requests import check_sid
from taskrouter_worker.terms import SidPrefix
from tests.sdk.peer import Peer, token, virtual_worker
from tests.sdk.virtual import virtual_time
from tests.sdk.world import AVAILABLE, BREAK, sid

Wrong = tuple[dict[str, Any], type[Exception], str]

WK, WQ, WW, WR, WT = sid("WK", 2), sid("WQ", 2), sid("WW", 2), sid("WR", 1), sid("WT", 1)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - that is what is wrong with it

URLS: list[Wrong] = [
    ({"eb_server": 7}, TypeError, "7"),
    ({"eb_server": "127.0.0.1:80"}, ValueError, "127.0.0.1:80"),
    ({"eb_server": "ws://h/"}, ValueError, "ws://h/"),
    ({"eb_server": ""}, ValueError, "''"),
    ({"eb_server": "http://h:99999/"}, ValueError, "http://h:99999/"),
    ({"eb_server": "http://h:port/"}, ValueError, "http://h:port/"),
    ({"eb_server": "http://[::1/"}, ValueError, r"http://\[::1/"),
    ({"region": 1}, TypeError, "1"),
    ({"region": "ie1.evil.example/"}, ValueError, "ie1.evil.example/"),
    ({"region": "IE1"}, ValueError, "IE1"),
    ({"edge": 1}, TypeError, "1"),
    ({"request_timeout": "15"}, TypeError, "'15'"),
    ({"request_timeout": True}, TypeError, "True"),
    ({"request_timeout": 0}, ValueError, "0"),
    ({"request_timeout": -1.5}, ValueError, "-1.5"),
    ({"request_timeout": float("nan")}, ValueError, "nan"),
    ({"ssl_context": True}, TypeError, "bool"),
    ({"proxy": False}, TypeError, "False"),
    ({"proxy": "proxy:8080"}, ValueError, "proxy:8080"),
    ({"proxy": "socks5://proxy:1080"}, ValueError, "socks5://proxy:1080"),
]

WORKER_OPTIONS: list[Wrong] = [
    *URLS,
    ({"ws_server": "http://h/"}, ValueError, "http://h/"),
    ({"ws_server": "ws://h/#part"}, ValueError, "ws://h/#part"),
    ({"connect_activity_sid": 1}, TypeError, "1"),
    ({"connect_activity_sid": "Available"}, ValueError, "'Available'"),
    ({"connect_activity_sid": sid("WK", 1)}, ValueError, sid("WK", 1)),
    ({"close_existing_sessions": "yes"}, TypeError, "'yes'"),
    ({"close_existing_sessions": None}, TypeError, "None"),
    ({"set_worker_offline_if_disconnected": 1}, TypeError, "1"),
    ({"enable_version_check": 0}, TypeError, "0"),
    ({"emit_existing": "no"}, TypeError, "'no'"),
    ({"log_level": 10}, TypeError, "10"),
    ({"log_level": "warning"}, ValueError, "'warning'"),
    ({"reconnect_activity": "stay"}, ValueError, "'stay'"),
    ({"reconnect_activity": None}, ValueError, "None"),
    ({"reconnect_backoff": 3}, TypeError, "int"),
]


@pytest.mark.parametrize(("options", "error", "shown"), WORKER_OPTIONS)
def test_worker_options(options: dict[str, Any], error: type[Exception], shown: str) -> None:
    [name] = options
    with pytest.raises(error, match=rf"{name} .*{shown}") as caught:
        Worker(token(), **options)
    assert token() not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "shown"),
    [
        *URLS,
        ({"page_size": 0}, ValueError, "0"),
        ({"page_size": 1001}, ValueError, "1001"),
        ({"page_size": "10"}, TypeError, "'10'"),
        ({"workspace_sid": "WS1"}, ValueError, "'WS1'"),
    ],
)
def test_workspace_options(options: dict[str, Any], error: type[Exception], shown: str) -> None:
    [name] = options
    with pytest.raises(error, match=rf"{name} .*{shown}"):
        Workspace(token(), **{"workspace_sid": sid("WS", 1), **options})


@pytest.mark.parametrize("kind", [Worker, Supervisor, Workspace])
@pytest.mark.parametrize("option", ["ebServer", "connectActivitySid", "useGraphQL", "nonsense"])
def test_unknown_options(kind: Any, option: str) -> None:
    with pytest.raises(TypeError, match=option):
        kind(token(), **{option: "x"})


@pytest.mark.parametrize("wrong", [None, 5, b"abc", ["a"]])
def test_a_token_that_is_no_text(wrong: Any) -> None:
    for make in (
        lambda: Worker(wrong),
        lambda: Workspace(wrong),
        lambda: Worker(token()).update_token(wrong),
    ):
        with pytest.raises(TypeError, match="token must be a str"):
            make()


def test_a_token_that_cannot_be_one() -> None:
    for wrong in ("", "with space", "a\nb", "tök", "a&b", "a%20"):
        with pytest.raises(ValueError, match="token"):
            Worker(wrong)


def test_edge_warns_and_names_the_callers_line() -> None:
    with pytest.warns(DeprecationWarning, match="edge has no effect") as caught:
        Worker(token(), edge="ashburn")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "level"),
    [("trace", 10), ("debug", 10), ("info", 20), ("warn", 30), ("error", 40), ("silent", 51)],
)
def test_log_level_takes_the_javascript_sdks_names(name: str, level: int) -> None:
    logger = logging.getLogger("taskrouter_worker")
    before = logger.level
    try:
        Worker(token(), log_level=name)  # type: ignore[arg-type]
        assert logger.level == level
        logger.setLevel(before)
        Worker(token())
        assert logger.level == before
    finally:
        logger.setLevel(before)


@pytest.mark.parametrize(
    ("region", "host"),
    [(None, "event-bridge"), ("", "event-bridge"), ("us1", "event-bridge"), ("ie1", "event-bridge.ie1")],
)
def test_the_region_chooses_the_urls(region: str | None, host: str) -> None:
    assert event_bridge_urls(region, None, None) == (
        f"https://{host}.twilio.com/v1/wschannels",
        f"wss://{host}.twilio.com/v1/wschannels",
    )
    mine = "http://127.0.0.1:1/x"
    assert event_bridge_urls(region, mine, None) == (mine, f"wss://{host}.twilio.com/v1/wschannels")
    assert event_bridge_urls(region, None, "ws://h/?a=b")[1] == "ws://h/?a=b"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://h/p?token=x", "ws://h/p"),
        ("http://user:pass@h/p", "http://***@h/p"),
        ("http://user:p@ss@h/", "http://***@h/"),
        ("http://h/a@b", "http://h/a@b"),
        ("user:pass@h:3128", "***@h:3128"),  # not a URL: then all before an @ may be credentials
        ("http://user:pa/ss@h/", "***@h/"),
        ("http://user:pa?ss@h/", "***"),  # what follows a question mark may be a query's
        ("http://user:12?34@h/", "***"),
        ("ws://h/p?token=a@b", "***"),
    ],
)
def test_urls_are_shown_without_query_and_credentials(url: str, shown: str) -> None:
    assert shown_url(url) == shown


# Methods

Method = tuple[Callable[[Any], Awaitable[object]], type[Exception], str]
REJECT = "reject_pending_reservations"


class Objects:
    """The live objects that methods are called on."""

    def __init__(self, worker: Worker) -> None:
        self.worker: Any = worker
        self.reservation: Any = worker.reservations[WR]
        self.task: Any = self.reservation.task
        self.available: Any = worker.activities[AVAILABLE]


METHODS: list[Method] = [
    (lambda o: o.worker.set_attributes([1]), TypeError, r"attributes .*\[1\]"),
    (lambda o: o.worker.set_attributes("{}"), TypeError, "attributes .*'{}'"),
    (lambda o: o.worker.set_attributes({1: 2}), TypeError, r"attributes .*\[1\]"),
    (lambda o: o.worker.set_attributes({"a": {1, 2}}), TypeError, "attributes .*set"),
    (lambda o: o.worker.set_attributes({"a": float("nan")}), ValueError, "attributes"),
    (lambda o: o.worker.set_attributes({"a": {None: 1}}), TypeError, "attributes"),
    (lambda o: o.worker.set_attributes({"a": {True: 1}}), TypeError, "attributes"),
    (lambda o: o.worker.set_attributes({"a": "\ud800"}), ValueError, "attributes"),
    (lambda o: o.worker.set_attributes({"a": datetime.now(UTC)}), TypeError, "attributes .*datetime"),
    (lambda o: o.worker.drain(timeout="60"), TypeError, "timeout .*'60'"),
    (lambda o: o.worker.drain(timeout=-1), ValueError, "timeout .*-1"),
    (lambda o: o.worker.create_task(1, "b", WW, WQ), TypeError, "to .*1"),
    (lambda o: o.worker.create_task("a", None, WW, WQ), TypeError, "from_ .*None"),
    (lambda o: o.worker.create_task("a", "b", "WW1", WQ), ValueError, "workflow_sid .*'WW1'"),
    (lambda o: o.worker.create_task("a", "b", WW, WW), ValueError, f"task_queue_sid .*{WW}"),
    (lambda o: o.worker.create_task("a", "b", WW, WQ, attributes=[]), TypeError, r"attributes .*\[\]"),
    (
        lambda o: o.worker.create_task("a", "b", WW, WQ, task_channel_unique_name=1),
        TypeError,
        "task_channel_unique_name .*1",
    ),
    (
        lambda o: o.worker.create_task("a", "b", WW, WQ, task_channel_sid="x"),
        ValueError,
        "task_channel_sid .*'x'",
    ),
    (
        lambda o: o.worker.create_task("a", "b", WW, WQ, virtual_start_time=5),
        TypeError,
        "virtual_start_time .*5",
    ),
    (
        lambda o: o.worker.create_task("a", "b", WW, WQ, virtual_start_time=NAIVE),
        ValueError,
        "virtual_start_time .*time zone",
    ),
    (lambda o: o.worker.create_task("a", "b", WW, WQ, taskChannelSid="x"), TypeError, "taskChannelSid"),
    (lambda o: o.available.set_as_current(reject_pending_reservations="yes"), TypeError, f"{REJECT} .*'yes'"),
    (
        lambda o: o.available.set_as_current(reject_pending_reservations=True),
        ValueError,
        f"{REJECT} .*'Available'",
    ),
    (lambda o: o.reservation.reject(activity_sid=1), TypeError, "activity_sid .*1"),
    (lambda o: o.reservation.reject(activity_sid="Break"), ValueError, "activity_sid .*'Break'"),
    (lambda o: o.reservation.reject(activitySid=BREAK), TypeError, "activitySid"),
    (lambda o: o.reservation.call(None, "u"), TypeError, "from_ .*None"),
    (lambda o: o.reservation.call("a", 5), TypeError, "url .*5"),
    (lambda o: o.reservation.call("a", "u", accept="yes"), TypeError, "accept .*'yes'"),
    (lambda o: o.reservation.call("a", "u", timeout=True), TypeError, "timeout .*True"),
    (lambda o: o.reservation.dequeue(post_work_activity_sid="x"), ValueError, "post_work_activity_sid .*'x'"),
    (lambda o: o.reservation.dequeue(timeout="5"), TypeError, "timeout .*'5'"),
    (lambda o: o.reservation.dequeue(callerId="5"), TypeError, "callerId"),
    (lambda o: o.reservation.redirect("CA1", "u"), ValueError, "call_sid .*'CA1'"),
    (lambda o: o.reservation.redirect(sid("CA", 1), None), TypeError, "url .*None"),
    (lambda o: o.reservation.conference(muted="yes"), TypeError, "muted .*'yes'"),
    (
        lambda o: o.reservation.conference(status_callback_event=[1]),
        TypeError,
        r"status_callback_event .*\[1\]",
    ),
    (lambda o: o.reservation.update_participant(mute=1), TypeError, "mute .*1"),
    (lambda o: o.task.complete(5), TypeError, "reason .*5"),
    (lambda o: o.task.wrap_up(["x"]), TypeError, r"reason .*\['x'\]"),
    (lambda o: o.task.set_attributes(None), TypeError, "attributes .*None"),
    (lambda o: o.task.set_virtual_start_time("now"), TypeError, "moment .*'now'"),
    (lambda o: o.task.set_virtual_start_time(NAIVE), ValueError, "moment .*time zone"),
    (lambda o: o.task.update_participant(hold="yes"), TypeError, "hold .*'yes'"),
    (lambda o: o.task.update_participant(hold=True, hold_url=5), TypeError, "hold_url .*5"),
    (lambda o: o.task.update_participant(hold=True, hold_method="PUT"), ValueError, "hold_method .*'PUT'"),
    (lambda o: o.task.hold("WK1", True), ValueError, "worker_sid .*'WK1'"),
    (lambda o: o.task.hold(WK, 1), TypeError, "on_hold .*1"),
    (lambda o: o.task.kick(None), TypeError, "worker_sid .*None"),
    (lambda o: o.task.transfer("someone"), ValueError, "to .*'someone'"),
    (lambda o: o.task.transfer(WK, mode="HOT"), ValueError, "mode .*'HOT'"),
    (lambda o: o.task.transfer(WK, mode="warm"), ValueError, "mode .*'warm'"),
    (lambda o: o.task.transfer(WK, priority="1"), TypeError, "priority .*'1'"),
    (lambda o: o.task.transfer(WK, priority=True), TypeError, "priority .*True"),
    (lambda o: o.task.transfer(WK, attributes="{}"), TypeError, "attributes .*'{}'"),
    (lambda o: o.worker.monitor("WT1", WR), ValueError, "task_sid .*'WT1'"),
    (lambda o: o.worker.monitor(WT, None), TypeError, "reservation_sid .*None"),
    (lambda o: o.worker.monitor(WT, WR, mode="spy"), ValueError, "mode .*'spy'"),
    (lambda o: o.worker.monitor(WT, WR, extra=[1]), TypeError, r"extra .*\[1\]"),
    (lambda o: o.worker.set_worker_attributes("WK1", {}), ValueError, "worker_sid .*'WK1'"),
    (lambda o: o.worker.set_worker_attributes(WK, []), TypeError, r"attributes .*\[\]"),
    (lambda o: o.worker.set_worker_attributes(WK, {}, version=7), TypeError, "version .*7"),
    (lambda o: o.worker.set_worker_attributes(WK, {}, version="x"), ValueError, "version .*'x'"),
    (lambda o: o.worker.set_worker_activity(WK, WK), ValueError, f"activity_sid .*{WK}"),
    (
        lambda o: o.worker.set_worker_activity(WK, BREAK, reject_pending_reservations=1),
        TypeError,
        f"{REJECT} .*1",
    ),
]


@virtual_time
async def test_methods_refuse_wrong_arguments_before_they_send_anything() -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer, kind=Supervisor)
    async with worker:
        objects = Objects(worker)
        sent = len(peer.requests)
        for number, (call, error, shown) in enumerate(METHODS):
            with pytest.raises(error, match=shown):  # names the call by its number if it does not
                await call(objects)
            assert len(peer.requests) == sent, f"call {number} sent something"


async def test_workspace_methods_refuse_wrong_arguments_before_they_send_anything() -> None:
    workspace: Any = Workspace(token(), sid("WS", 1), eb_server="http://127.0.0.1:1/", proxy=None)
    calls: list[Method] = [
        (lambda w: w.fetch_worker("WK1"), ValueError, "worker_sid .*'WK1'"),
        (lambda w: w.fetch_task_queue(None), TypeError, "task_queue_sid .*None"),
        (lambda w: w.fetch_task(WK), ValueError, f"task_sid .*{WK}"),
        (lambda w: w.fetch_workers(friendly_name=1), TypeError, "friendly_name .*1"),
        (lambda w: w.fetch_workers(activity_sid="x"), ValueError, "activity_sid .*'x'"),
        (lambda w: w.fetch_workers(ordering="Name:asc"), ValueError, "ordering .*'Name:asc'"),
        (lambda w: w.fetch_workers(limit=0), ValueError, "limit .*0"),
        (lambda w: w.fetch_task_queues(ordering="DateStatusChanged:asc"), ValueError, "ordering"),
        (lambda w: w.fetch_workers(FriendlyName="x"), TypeError, "FriendlyName"),
    ]
    for call, error, shown in calls:
        with pytest.raises(error, match=shown):
            await call(workspace)
    await workspace.close()


@virtual_time
async def test_calls_before_the_first_ready_say_what_to_do() -> None:
    worker = virtual_worker(Peer())
    for call in (
        lambda: worker.set_attributes({}),
        lambda: worker.create_task("a", "b", WW, WQ),
        worker.fetch_latest_version,
        worker.drain,
    ):
        with pytest.raises(NotConnectedError, match="async with worker"):
            await call()
    with pytest.raises(NotConnectedError):
        _ = worker.name
    assert (worker.sid, worker.workspace_sid, worker.account_sid, worker.version) == ("", "", "", "")
    assert (worker.activity, worker.reservations, worker.channels, worker.activities) == (None, {}, {}, {})


@virtual_time
async def test_attributes_and_maps_are_copies() -> None:
    peer = Peer()
    peer.world.set_attributes({"list": [1]})
    peer.world.create_reservation(attributes='{"a":{"b":1}}')
    async with virtual_worker(peer) as worker:
        worker.attributes["list"].append(2)
        assert worker.attributes == {"list": [1]}
        task = worker.reservations[WR].task
        task.attributes["a"]["b"] = 2
        assert task.attributes == {"a": {"b": 1}}
        worker.reservations.clear()
        worker.activities.clear()
        worker.channels.clear()
        assert worker.reservations
        assert worker.activities
        assert worker.channels


@virtual_time
async def test_the_javascript_sdks_duplicate_properties_follow_the_current_state() -> None:
    peer = Peer()
    async with virtual_worker(peer) as worker:
        await worker.activities[BREAK].set_as_current()
        assert worker.worker_sid == worker.sid
        assert worker.friendly_name == worker.name == "Ann"
        assert worker.worker_activity_sid == worker.activity_sid == BREAK
        assert worker.activity_name == "Break"
        assert worker.date_activity_changed == worker.date_status_changed
        assert worker.available is False
        assert worker.activities[BREAK].is_current
        assert not worker.activities[AVAILABLE].is_current
        with pytest.raises(AttributeError):
            worker.worker_sid = "x"  # type: ignore[misc]


def test_sids_are_checked_by_shape_and_kind() -> None:
    assert check_sid(WK, "x", SidPrefix.WORKER) == WK
    assert check_sid(WK.upper(), "x", SidPrefix.WORKER) == WK.upper()
    for wrong in ("", WK[:-1], WK + "0", WK + "\n", "wk" + WK[2:], WK[:-1] + "g", "../" + WK, WQ):
        with pytest.raises(ValueError, match="x must be WK and 32"):
            check_sid(wrong, "x", SidPrefix.WORKER)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values))
def test_every_json_object_is_accepted_as_attributes(attributes: dict[str, Any]) -> None:
    assert check_attributes(attributes) is attributes


@given(st.text() | st.binary().map(lambda b: b.decode(errors="surrogateescape")) | st.just("[" * 100_000))
def test_unreadable_attributes_read_as_empty(text: str) -> None:
    assert isinstance(parse_attributes(text), dict)


@virtual_time
async def test_errors_of_the_service_are_no_argument_errors() -> None:
    peer = Peer()
    peer.world.create_reservation()
    async with virtual_worker(peer) as worker:
        peer.fail("POST", RequestInvalidError("not pending", method="POST", path="x", status=400, code=20001))
        with pytest.raises(RequestInvalidError) as caught:
            await worker.reservations[WR].accept()
        assert (caught.value.status, caught.value.code) == (400, 20001)
