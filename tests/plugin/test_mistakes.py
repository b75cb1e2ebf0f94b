"""What the fixture tells a test that asks for something wrong."""

from __future__ import annotations

import asyncio
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from server_stub.domain.errors import DomainError
from server_stub.testing import BackgroundServer, TaskRouter
from taskrouter_worker import Reservation


def test_handles_of_what_is_gone_all_raise_the_same(taskrouter: TaskRouter) -> None:
    alice, queue = taskrouter.worker("Alice"), taskrouter.queue("Cards")
    task = taskrouter.task()
    reservation = taskrouter.assert_reserved(task, alice)
    reservation.accept()
    task.complete("solved")
    taskrouter.clock.advance_sync(301)
    taskrouter.run(lambda ws: ws.delete_task_queue(queue.sid))
    for look, told in (
        (lambda: task.queue, "five minutes"),
        (lambda: reservation.status, "five minutes"),
        (lambda: reservation.task, "five minutes"),
        (lambda: queue.name, "it was deleted"),
        (lambda: taskrouter.task(queue=queue), "there is no task queue"),
    ):
        with pytest.raises(LookupError, match=told):
            look()
    for command in (reservation.accept, task.cancel):
        with pytest.raises(DomainError):
            command()


def test_end_of_a_forgotten_task_is_known_by_its_sid_and_with_its_reason(taskrouter: TaskRouter) -> None:
    task = taskrouter.task()
    task.cancel("nobody wants it")
    taskrouter.clock.advance_sync(301)
    taskrouter.assert_canceled(task.sid, reason="nobody wants it")
    assert (task.status, task.reason) == ("canceled", "nobody wants it")
    with pytest.raises(AssertionError, match="was canceled, for the reason 'nobody wants it'"):
        taskrouter.assert_completed(task.sid)
    with pytest.raises(AssertionError, match="five minutes"):
        taskrouter.assert_accepted(task)


def test_task_of_another_workspace_is_refused(
    taskrouter: TaskRouter, taskrouter_server: BackgroundServer
) -> None:
    with taskrouter_server.workspace() as neighbour:
        task = taskrouter.task(worker=taskrouter.worker("Alice"))
        with pytest.raises(LookupError, match=f"is of workspace {taskrouter.workspace_sid}"):
            neighbour.assert_not_reserved(task)


@pytest.mark.parametrize("wrong", [None, "WT123"])
def test_what_is_no_task_is_refused(taskrouter: TaskRouter, wrong: Any) -> None:
    with pytest.raises(LookupError, match=f"no task {wrong!r} in this workspace"):
        taskrouter.assert_not_reserved(wrong)


def test_handle_of_the_wrong_kind_is_refused(taskrouter: TaskRouter) -> None:
    wrong: Any = taskrouter.task()
    with pytest.raises(LookupError, match=r"no worker <TaskHandle WT\w+> in this workspace"):
        taskrouter.token(wrong)
    with pytest.raises(LookupError, match=r"no task <WorkerHandle WK\w+>"):
        taskrouter.assert_reserved(taskrouter.worker())  # type: ignore[arg-type]


def test_task_without_a_workflow_among_several_is_refused(taskrouter: TaskRouter) -> None:
    taskrouter.workflow("Calls", queue="Sample Queue")
    with pytest.raises(TypeError, match="there are the workflows 'Default Fifo Workflow', 'Calls'"):
        taskrouter.task()


def test_attributes_that_are_text_are_refused(taskrouter: TaskRouter) -> None:
    text: Any = '{"topic": "cards"}'
    for given in (
        taskrouter.worker("Alice").set_attributes,
        taskrouter.task().set_attributes,
        taskrouter.task,
    ):
        with pytest.raises(TypeError, match=r"attributes must be a dict, such as .*, got '\{"):
            given(text)


def test_workspace_of_a_test_that_is_over_says_so(taskrouter_server: BackgroundServer) -> None:
    with taskrouter_server.workspace() as taskrouter:
        task = taskrouter.task()
    for use in (taskrouter.task, lambda: taskrouter.clock.advance_sync(1), lambda: task.status, task.cancel):
        with pytest.raises(RuntimeError, match=r"is closed.*taskrouter_server"):
            use()


async def test_condition_may_be_about_anything(taskrouter: TaskRouter) -> None:
    heard: list[str] = []  # it changes without a command of the workspace
    asyncio.get_running_loop().call_later(0.05, heard.append, "something")
    await taskrouter.wait_until(lambda: heard, timeout=30)


def test_plain_test_waits_for_anything(taskrouter: TaskRouter) -> None:
    heard: list[str] = []
    timer = threading.Timer(0.05, heard.append, ["something"])
    timer.start()
    taskrouter.assert_that(lambda: heard, within=30)
    taskrouter.assert_that(lambda: heard)
    timer.join()
    with pytest.raises(AssertionError, match=r"the condition holds within 0\.01 s: it is not so"):
        taskrouter.assert_that(lambda: len(heard) == 2, within=0.01)


async def test_condition_that_is_a_coroutine_is_refused(taskrouter: TaskRouter) -> None:
    async def condition() -> bool:
        return False

    with pytest.raises(TypeError, match="must not be a coroutine"):
        await taskrouter.wait_until(condition)


async def test_what_a_condition_raises_is_raised_even_a_timeout(taskrouter: TaskRouter) -> None:
    def condition() -> bool:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await taskrouter.wait_until(condition)
    with pytest.raises(TimeoutError, match="mine"):
        taskrouter.assert_that(condition)


def test_failed_condition_leaves_out_how_the_workspace_was_made(taskrouter: TaskRouter) -> None:
    taskrouter.worker("Alice")
    with pytest.raises(AssertionError, match=r"worker\.created") as failure:
        taskrouter.assert_that(lambda: False)
    assert "activity.created" not in str(failure.value)


def test_handlers_of_a_plain_test_hear_of_an_offer_before_it_times_out(taskrouter: TaskRouter) -> None:
    heard: list[str] = []
    with taskrouter.connect_sync(taskrouter.worker("Alice")) as worker:
        worker.on("reservationCreated", lambda r: r.on("timeout", lambda _: heard.append(r.sid)))
        task = taskrouter.task()
        taskrouter.clock.advance_sync(120)
    assert heard == [taskrouter.assert_timed_out(task).sid]


async def test_handlers_of_plain_code_hear_of_it_in_an_async_test_as_well(taskrouter: TaskRouter) -> None:
    heard: list[str] = []
    with taskrouter.connect_sync(taskrouter.worker("Alice")) as worker:
        worker.on("reservationCreated", lambda r: r.on("timeout", lambda _: heard.append(r.sid)))
        task = taskrouter.task()
        await taskrouter.clock.advance(120)
        assert heard == [taskrouter.assert_timed_out(task).sid]


def test_client_whose_loop_does_not_run_is_told(taskrouter: TaskRouter) -> None:
    with asyncio.Runner() as elsewhere:
        worker = taskrouter.sdk_worker(taskrouter.worker("Alice"))
        elsewhere.run(worker.__aenter__())
        with pytest.raises(TimeoutError, match="event loop of Alice's worker does not run"):
            taskrouter.clock.advance_sync(1, timeout=0.1)
        elsewhere.run(worker.disconnect())


async def test_error_of_a_handler_is_told_without_the_ways_of_the_sdk(taskrouter: TaskRouter) -> None:
    async with taskrouter.connect(taskrouter.worker("Alice")) as worker:

        @worker.on("reservationCreated")
        async def clumsy(reservation: Reservation) -> None:
            await reservation.accept()

        taskrouter.faults.refuse_requests(503, method="POST", times=1)
        taskrouter.task()
        await taskrouter.wait_until(lambda: "clumsy" in taskrouter.report(), timeout=30)
    report = taskrouter.report()
    taskrouter.take_errors()
    assert "await reservation.accept()" in report
    assert "_transport.py" not in report


class _Failing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(500)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Nothing: the test's own output stays short."""


def test_failed_callback_is_told_once_with_its_reason(
    taskrouter: TaskRouter, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Failing) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{service.server_port}/assign"
        flow = taskrouter.workflow("Calls", queue="Sample Queue", assignment_callback_url=url)
        task = taskrouter.task(workflow=flow)
        alice = taskrouter.worker("Alice")
        taskrouter.assert_that(lambda: len(alice.reservations) > 20, within=30)
        with pytest.raises(AssertionError) as failure:
            taskrouter.assert_accepted(task, alice)
        task.cancel()
        service.shutdown()
        thread.join()
    told = str(failure.value)
    assert "assignment callback to" in told
    assert "status 500" in told
    assert len(told.splitlines()) < 70
    assert max(map(len, told.splitlines())) < 1_000
    warnings = [record for record in caplog.records if "status 500" in record.getMessage()]
    assert len(warnings) < 10


def test_refusal_leads_to_the_line_that_asked(taskrouter: TaskRouter) -> None:
    with pytest.raises(DomainError) as failure:
        taskrouter.task(timeout=0)
    entries = traceback.extract_tb(failure.tb)
    assert "taskrouter.task(timeout=0)" in (entries[0].line or "")
    assert not [entry for entry in entries if "/domain/" in entry.filename.replace("\\", "/")]
