"""A workflow asks an application what shall become of each reservation."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from server_stub import Settings, StubServer
from server_stub import callbacks as callbacks_module
from server_stub.deliveries import Delivery, DeliveryKind
from server_stub.domain.model import Activity, Limits, Reservation, Task, Worker
from tests.receiver import Answer, Receiver, json_answer, never


class Desk:
    """A server whose workflow calls a receiver, with one available worker."""

    def __init__(self, server: StubServer, receiver: Receiver, fallback: Receiver) -> None:
        self.server = server
        self.receiver = receiver
        self.fallback = fallback
        self.ws = server.account.workspaces[server.workspace_sid]
        self.workflow = next(iter(self.ws.workflows.values()))
        self.nina = self.worker("nina", lang="pt")

    def run(self, command: Callable[[Any], Any]) -> Any:
        return self.server.run(self.ws.sid, command)

    def worker(self, name: str, **attributes: object) -> Worker:
        worker: Worker = self.run(
            lambda ws: ws.create_worker(
                friendly_name=name,
                activity_sid=self.activity("Available").sid,
                attributes=json.dumps(attributes),
            )
        )
        return worker

    def widen(self, worker: Worker, capacity: int) -> None:
        """Let the worker take so many tasks at once."""
        self.run(lambda ws: ws.update_worker_channel(worker.sid, "default", capacity=capacity))

    def activity(self, name: str) -> Activity:
        return next(a for a in self.ws.activities.values() if a.friendly_name == name)

    def call(self, url: str, fallback: str | None = None) -> None:
        """Let the workflow call these addresses."""
        self.run(
            lambda ws: ws.update_workflow(
                self.workflow.sid, assignment_callback_url=url, fallback_assignment_callback_url=fallback
            )
        )

    def task(self, **attributes: object) -> Task:
        task: Task = self.run(lambda ws: ws.create_task(attributes=json.dumps(attributes)))
        return task

    async def answered(self, answer: Answer, *, path: str = "/assign", **attributes: object) -> Reservation:
        """The first reservation of a new task, once the receiver's answer was carried out."""
        self.receiver.answer = answer
        self.call(self.receiver.url(path))
        task = self.task(**attributes)
        await self.settled()
        return next(iter(task.reservations.values()))

    async def settled(self) -> None:
        async with asyncio.timeout(20):
            await self.server.deliveries.settled()

    @property
    def deliveries(self) -> list[Delivery]:
        return self.server.deliveries.of(self.ws.sid)


Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def open_desk() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_it(**settings: Any) -> Desk:
            server = await stack.enter_async_context(StubServer(Settings(port=0, **settings)))
            receiver = await stack.enter_async_context(Receiver(server))
            fallback = await stack.enter_async_context(Receiver(server))
            return Desk(server, receiver, fallback)

        yield open_it


@pytest.fixture
async def desk(open_desk: Open) -> Desk:
    return await open_desk()


@pytest.fixture
def short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications have a moment only, so that no test waits five seconds for their silence."""
    monkeypatch.setattr(callbacks_module, "ASSIGNMENT_SECONDS", 0.05)


# --- What is asked ------------------------------------------------------------------------------


async def test_callback_tells_worker_task_and_reservation(desk: Desk) -> None:
    reservation = await desk.answered(json_answer({}), topic="cards", name="Ana & Zoë = 100 %")
    [asked] = desk.receiver.received
    task, queue = reservation.task, reservation.task.queue
    assert asked.method == "POST"
    assert asked.parameters == {
        "AccountSid": desk.server.account_sid,
        "WorkspaceSid": desk.ws.sid,
        "WorkflowSid": desk.workflow.sid,
        "TaskQueueSid": queue.sid if queue else "",
        "WorkerSid": desk.nina.sid,
        "WorkerAttributes": '{"lang": "pt"}',
        "TaskSid": task.sid,
        "TaskAttributes": task.attributes,
        "TaskAge": "0",
        "TaskPriority": "0",
        "ReservationSid": reservation.sid,
        "Timestamp": str(int(reservation.date_created)),
    }


@pytest.mark.parametrize(
    "path", ["/assign", "/assign?team=a%20b&vip", "", "/?q=%7Eü", "/a//b/%2F?x=1&x=2#fragment"]
)
async def test_twilio_library_accepts_the_signature(desk: Desk, path: str) -> None:
    await desk.answered(json_answer({"instruction": "accept"}), path=path, text="ä\n&=")
    [asked] = desk.receiver.received
    assert asked.is_signed


async def test_credentials_in_the_address_travel_as_a_header_and_are_not_recorded(desk: Desk) -> None:
    desk.receiver.answer = json_answer({})
    desk.call(f"http://ann:p%40ss@127.0.0.1:{desk.receiver.port}/assign?key=s3cret")
    desk.task()
    await desk.settled()
    [asked] = desk.receiver.received
    assert asked.headers["Authorization"] == "Basic YW5uOnBAc3M="
    assert asked.is_signed
    [delivery] = desk.deliveries
    assert delivery.url == f"http://***@127.0.0.1:{desk.receiver.port}/assign?key=***"


async def test_each_of_several_reservations_is_asked_about(desk: Desk) -> None:
    desk.worker("omar")
    [queue] = desk.ws.task_queues.values()
    desk.run(lambda ws: ws.update_task_queue(queue.sid, max_reserved_workers=2))
    await desk.answered(json_answer({}))
    assert {asked.parameters["WorkerSid"] for asked in desk.receiver.received} == set(desk.ws.workers)


# --- What is answered ---------------------------------------------------------------------------


async def test_accept_gives_the_task_to_the_worker(desk: Desk) -> None:
    reservation = await desk.answered(json_answer({"instruction": "accept"}))
    assert (reservation.status, reservation.task.status) == ("accepted", "assigned")
    [delivery] = desk.deliveries
    assert (delivery.kind, delivery.sid, delivery.status) == ("assignment", reservation.sid, 200)
    assert (delivery.outcome, delivery.code, delivery.reason) == ("delivered", None, "accept was carried out")
    assert json.loads(delivery.answer) == {"instruction": "accept"}
    assert delivery.seconds > 0


async def test_reject_moves_the_worker_to_the_activity_it_names(desk: Desk) -> None:
    lunch = desk.activity("Unavailable")
    reservation = await desk.answered(json_answer({"instruction": "reject", "activity_sid": lunch.sid}))
    assert (reservation.status, reservation.task.status) == ("rejected", "pending")
    assert desk.nina.activity is lunch


@pytest.mark.parametrize("sid", ["WA" + "0" * 32, "nonsense", 5])
async def test_reject_with_an_unknown_activity_leaves_the_worker_where_it_is(
    open_desk: Open, sid: object
) -> None:
    desk = await open_desk(limits=Limits(max_rejections=1))  # or she would be asked again and again
    reservation = await desk.answered(json_answer({"instruction": "reject", "activity_sid": sid}))
    assert (reservation.status, desk.nina.activity.friendly_name) == ("rejected", "Available")
    assert [delivery.code for delivery in desk.deliveries] == [40100]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda _: web.Response(status=200), 40005),
        (json_answer({}), 40005),
        (json_answer({"instructions": "accept"}), 40005),
        (json_answer({"instruction": "dance"}), 55555),
        (json_answer({"instruction": ["accept"]}), 55555),
        (json_answer({"instruction": "supervise"}), 55555),
    ],
)
async def test_answer_that_asks_for_nothing_leaves_the_reservation_pending(
    desk: Desk, answer: Answer, code: int
) -> None:
    reservation = await desk.answered(answer)
    assert reservation.status == "pending"
    assert [(delivery.outcome, delivery.code) for delivery in desk.deliveries] == [("delivered", code)]
    desk.run(lambda ws: ws.update_reservation(reservation.sid, status="accepted"))


async def test_answer_to_a_reservation_that_ended_meanwhile_is_discarded(desk: Desk) -> None:
    def complete_first(_: object) -> web.Response:
        [reservation] = desk.ws.reservations.values()
        desk.run(lambda ws: ws.update_task(reservation.task.sid, assignment_status="canceled"))
        return web.json_response({"instruction": "accept"})

    reservation = await desk.answered(complete_first)
    assert reservation.status == "canceled"
    [delivery] = desk.deliveries
    assert delivery.reason == "the reservation is canceled; the answer was discarded"


async def test_answer_to_a_deleted_workspace_changes_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def delete_first(_: object) -> web.Response:
        desk.server._runtime.delete_workspace(desk.ws)
        return web.json_response({"instruction": "accept"})

    reservation = await desk.answered(delete_first)
    assert reservation.status == "pending"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# --- Answers that make calls --------------------------------------------------------------------


async def test_dequeue_calls_the_worker_and_reports_its_steps_in_order(desk: Desk) -> None:
    async with Receiver(desk.server) as switchboard:
        reservation = await desk.answered(
            json_answer(
                {
                    "instruction": "dequeue",
                    "from": "+15005550006",
                    "to": "client:nina",
                    "record": "record-from-answer",
                    "timeout": 30,
                    "status_callback_url": switchboard.url("/dq?line=1"),
                    "status_callback_events": ["initiated", "answered", "completed"],
                }
            ),
            call_sid="CA" + "1" * 32,
        )
        assert reservation.status == "accepted"
        [call] = desk.ws.telephony.calls.values()
        assert (call.to, call.from_, call.record, call.timeout) == (
            "client:nina",
            "+15005550006",
            "record-from-answer",
            30,
        )
        assert json.loads(reservation.task.attributes)["worker_call_sid"] == call.sid
        desk.run(lambda ws: ws.end_call(call.sid))
        await desk.settled()
        told = switchboard.received
        assert [step.method for step in told] == ["GET"] * 3  # as TaskRouter's
        assert all(step.is_signed for step in told)
        assert ["CallStatus=" + word in step.url for step, word in zip(told, STEPS, strict=True)] == [
            True
        ] * 3
        assert "line=1" in told[0].url
        assert "taskCallSid=CA" + "1" * 32 in told[0].url
    steps = [d for d in desk.deliveries if d.kind == "status"]
    assert [(d.sid, d.event_type, d.outcome) for d in steps] == [(call.sid, w, "delivered") for w in STEPS]


STEPS = ("initiated", "answered", "completed")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (
            {"instruction": "call", "from": "+15005550006", "to": "client:n", "url": "http://127.0.0.1/x"},
            "pending",
        ),
        (
            {
                "instruction": "call",
                "from": "+15005550006",
                "to": "client:n",
                "url": "http://127.0.0.1/x",
                "accept": True,
            },
            "accepted",
        ),
        ({"instruction": "redirect", "call_sid": "CA" + "1" * 32, "url": "http://127.0.0.1/x"}, "pending"),
        (
            {
                "instruction": "Redirect",
                "call_sid": "CA" + "1" * 32,
                "url": "http://127.0.0.1/x",
                "accept": "true",
            },
            "accepted",
        ),
        ({"instruction": "conference", "to": "client:n", "end_conference_on_exit": True}, "accepted"),
    ],
)
async def test_answer_does_what_the_same_instruction_by_rest_would_do(
    desk: Desk, answer: dict[str, object], status: str
) -> None:
    reservation = await desk.answered(json_answer(answer))
    assert reservation.status == status
    [delivery] = desk.deliveries
    assert (delivery.code, delivery.reason) == (None, f"{str(answer['instruction']).lower()} was carried out")
    telephony = desk.ws.telephony
    made = [*telephony.calls.values(), *telephony.redirects]
    assert made


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"instruction": "call", "to": "nobody", "from": "+15005550006", "url": "http://127.0.0.1/"}, 40110),
        ({"instruction": "call", "to": "client:n", "from": "+15005550006", "url": "ftp://x"}, 40112),
        ({"instruction": "redirect", "call_sid": "CA" + "1" * 32}, 40120),
        ({"instruction": "dequeue", "to": "client:n", "post_work_activity_sid": "WA" + "0" * 32}, 40130),
        ({"instruction": "conference", "to": "client:n", "max_participants": 1}, 20001),
    ],
)
async def test_instruction_that_cannot_be_carried_out_leaves_the_reservation_pending(
    desk: Desk, answer: dict[str, object], code: int
) -> None:
    reservation = await desk.answered(json_answer(answer))
    assert (reservation.status, [d.code for d in desk.deliveries]) == ("pending", [code])
    assert desk.ws.telephony.calls == {}


@pytest.mark.parametrize(
    ("instruction", "code"), [("call", 40114), ("redirect", 40123), ("dequeue", 40135), ("conference", 40136)]
)
async def test_instruction_that_comes_too_late_is_discarded_under_its_code(
    desk: Desk, instruction: str, code: int
) -> None:
    def cancel_first(_: object) -> web.Response:
        [reservation] = desk.ws.reservations.values()
        desk.run(lambda ws: ws.update_task(reservation.task.sid, assignment_status="canceled"))
        return web.json_response({"instruction": instruction})

    await desk.answered(cancel_first)
    [delivery] = desk.deliveries
    assert (delivery.code, delivery.reason) == (code, "the reservation is canceled; the answer was discarded")


# --- Receivers that fail ------------------------------------------------------------------------


UNUSABLE = {
    "status 500": json_answer({"instruction": "accept"}, status=500),
    "status 204": lambda _: web.Response(status=204),
    "redirect": lambda _: web.Response(status=302, headers={"Location": "/elsewhere"}),
    "no JSON type": lambda _: web.Response(text='{"instruction": "accept"}'),
    "bad JSON": lambda _: web.Response(body=b'{"instruction": ', content_type="application/json"),
    "an array": json_answer(["accept"]),
    "deep nesting": lambda _: web.Response(body=b"[" * 60_000, content_type="application/json"),
    "too long": lambda _: web.Response(body=b" " * 200_000, content_type="application/json"),
    "compressed": lambda _: web.Response(
        body=b"\x1f\x8b\x00", headers={"Content-Encoding": "gzip"}, content_type="application/json"
    ),
    "half a character": lambda _: web.Response(body=b'{"a": "\xff"}', content_type="application/json"),
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE)
async def test_unusable_answer_sends_the_same_to_the_fallback(desk: Desk, answer: Answer) -> None:
    desk.receiver.answer, desk.fallback.answer = answer, json_answer({"instruction": "accept"})
    desk.call(desk.receiver.url("/first"), desk.fallback.url("/second"))
    task = desk.task()
    await desk.settled()
    [reservation] = task.reservations.values()
    assert reservation.status == "accepted"
    [first], [second] = desk.receiver.received, desk.fallback.received
    assert first.parameters == second.parameters
    assert second.is_signed
    assert [(d.is_fallback, d.outcome, d.code) for d in desk.deliveries] == [
        (False, "failed", 40001),
        (True, "delivered", None),
    ]


async def test_redirect_is_not_followed(desk: Desk) -> None:
    elsewhere = desk.fallback.url("/secret")
    desk.receiver.answer = lambda _: web.Response(status=307, headers={"Location": elsewhere})
    desk.call(desk.receiver.url())
    desk.run(lambda ws: ws.update_worker(desk.nina.sid, activity_sid=desk.activity("Offline").sid))
    desk.task()
    desk.run(lambda ws: ws.update_worker(desk.nina.sid, activity_sid=desk.activity("Available").sid))
    await desk.receiver.wait_for(1)
    desk.run(lambda ws: ws.update_worker(desk.nina.sid, activity_sid=desk.activity("Offline").sid))
    await desk.settled()
    assert desk.fallback.received == []


LIES = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "less than promised": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
    "endless header": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000,
    "broken chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_what_is_no_answer_counts_as_none(desk: Desk, lie: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(lie)
        writer.close()

    liar = await asyncio.start_server(say, "127.0.0.1", 0)
    desk.fallback.answer = json_answer({"instruction": "accept"})
    async with liar:
        desk.call(f"http://127.0.0.1:{liar.sockets[0].getsockname()[1]}/", desk.fallback.url())
        task = desk.task()
        await desk.settled()
    assert task.status == "assigned"
    assert (desk.deliveries[0].outcome, desk.deliveries[0].code) == ("failed", 40001)
    assert desk.deliveries[0].reason


@pytest.mark.usefixtures("short_time")
async def test_silence_ends_after_the_time_limit(desk: Desk) -> None:
    desk.receiver.answer, desk.fallback.answer = never, json_answer({"instruction": "accept"})
    desk.call(desk.receiver.url(), desk.fallback.url())
    task = desk.task()
    await desk.settled()
    assert task.status == "assigned"
    assert desk.deliveries[0].reason == "no complete answer within 0.05 seconds"


def test_time_limit_is_task_routers() -> None:
    assert (callbacks_module.ASSIGNMENT_SECONDS, callbacks_module.EVENT_SECONDS) == (5.0, 15.0)


async def test_reservation_is_canceled_when_nobody_answers_and_the_task_returns_to_its_queue(
    open_desk: Open,
) -> None:
    desk = await open_desk(limits=Limits(max_assignments=3))
    desk.receiver.answer = desk.fallback.answer = json_answer({}, status=500)
    desk.call(desk.receiver.url(), desk.fallback.url())
    task = desk.task()
    await desk.settled()
    # Each time the worker is reserved again, until the limit of assignments ends it.
    assert [r.status for r in task.reservations.values()] == ["canceled"] * 3
    assert {r.canceled_reason_code for r in task.reservations.values()} == {40001}
    assert (task.status, task.reason) == ("canceled", "Max assignment count exceeded")
    assert len(desk.receiver.received) == len(desk.fallback.received) == 3


async def test_dead_receiver_is_named_in_the_record(open_desk: Open) -> None:
    desk = await open_desk(limits=Limits(max_assignments=1))
    async with Receiver(desk.server) as gone:
        url = gone.url()
    desk.call(url)
    desk.task()
    await desk.settled()
    [delivery] = desk.deliveries
    assert (delivery.outcome, delivery.status, delivery.code) == ("failed", None, 40001)
    assert delivery.reason.startswith("cannot connect: ")


# --- Receivers that are not this machine --------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["http://example.com/x", "http://10.0.0.1/", "http://2130706433/", "http://localhost.evil.example/"],
)
async def test_other_machines_are_not_called_unless_allowed(desk: Desk, url: str) -> None:
    desk.call(url)
    task = desk.task()
    await desk.settled()
    [delivery] = desk.deliveries
    assert (delivery.outcome, delivery.status) == ("refused", None)
    assert "--allow-callbacks-to" in delivery.reason
    [reservation] = task.reservations.values()
    assert reservation.status == "pending"  # as without an address: nobody failed to answer


async def test_allowed_hosts_are_called(open_desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks_module, "is_loopback", lambda _: False)
    desk = await open_desk(callback_hosts=("127.0.0.1",))
    reservation = await desk.answered(json_answer({"instruction": "accept"}))
    assert reservation.status == "accepted"


# --- Whatever receivers do ----------------------------------------------------------------------


async def test_silent_receiver_delays_no_routing(desk: Desk) -> None:
    desk.receiver.answer = never
    desk.call(desk.receiver.url())
    desk.widen(desk.nina, 50)
    tasks = [desk.task() for _ in range(50)]
    assert {task.status for task in tasks} == {"reserved"}
    await desk.receiver.wait_for(50)  # side by side: none waits for another
    async with asyncio.timeout(10):
        await desk.server.stop()
    assert {delivery.reason for delivery in desk.deliveries} == {"the server stopped"}
    await desk.settled()


async def test_what_waits_is_bounded_and_drops_are_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(callbacks_module, "WAITING", 2)
    monkeypatch.setitem(callbacks_module.WIDTH, DeliveryKind.ASSIGNMENT, 1)
    desk.receiver.answer = never
    desk.call(desk.receiver.url())
    desk.widen(desk.nina, 50)
    desk.task()
    await desk.receiver.wait_for(1)
    tasks = [desk.task() for _ in range(5)]
    assert desk.server.deliveries.dropped(desk.ws.sid) == {"assignment": 3, "event": 0, "status": 0}
    assert "dropping" in caplog.text
    assert {task.status for task in tasks} == {"reserved"}


async def test_no_secret_and_no_customers_word_is_logged(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    desk.receiver.answer = json_answer({"instruction": "customer"}, status=418)
    desk.call(f"http://ann:passw0rd@127.0.0.1:{desk.receiver.port}/a?key=s3cret")
    desk.run(lambda ws: ws.update_task_queue(next(iter(ws.task_queues)), max_reserved_workers=1))
    task = desk.task(who="customer")
    await desk.receiver.wait_for(1)
    desk.run(lambda ws: ws.update_task(task.sid, assignment_status="canceled"))
    await desk.settled()
    await desk.answered(
        json_answer({"instruction": "call", "to": "a customer", "from": "1", "url": "http://h"})
    )
    assert [d.code for d in desk.deliveries][-1] == 40110
    assert "418" in caplog.text
    assert "40110" in caplog.text
    for word in ("passw0rd", "s3cret", "customer", desk.server.auth_token):
        assert word not in caplog.text
