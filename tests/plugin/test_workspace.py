"""What a test sets up, looks at and expects, with the fixture."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from server_stub import Settings
from server_stub.domain.errors import DomainError
from server_stub.ids import SeededSids
from server_stub.testing import BackgroundServer, TaskRouter, WorkspaceOptions
from server_stub.testing.options import seed_of
from taskrouter_worker import NotFoundError, Reservation
from taskrouter_worker.sync import SyncReservation


def test_handles_show_what_is_now(taskrouter: TaskRouter) -> None:
    cards = taskrouter.queue("Cards", workers="skills HAS 'cards'")
    workflow = taskrouter.workflow("To cards", queue=cards, reservation_timeout=30)
    lunch = taskrouter.activity("Lunch")
    alice = taskrouter.worker(
        "Alice", attributes={"skills": ["cards"]}, activity=lunch, capacities={"chat": 3}
    )
    task = taskrouter.task({"topic": "cards"}, workflow=workflow, channel="chat", priority=5)
    assert (alice.name, alice.activity, alice.available) == ("Alice", "Lunch", False)
    assert alice.capacities["chat"] == 3
    assert (cards.workers, cards.tasks, task.queue) == ([alice], [task], cards)
    taskrouter.assert_queued(task, "Cards")
    alice.set_activity("Available")
    [reservation] = alice.reservations
    assert (task.status, reservation.status, reservation.task) == ("reserved", "pending", task)
    reservation.accept()
    assert (task.status, task.worker) == ("assigned", alice)
    task.complete("solved")
    taskrouter.assert_completed(task, reason="solved")
    assert workflow.configuration["task_routing"]["default_filter"] == {"queue": cards.sid}


def test_ended_task_tells_its_end_after_it_is_deleted(taskrouter: TaskRouter) -> None:
    task = taskrouter.task()
    task.cancel("nobody wants it")
    taskrouter.clock.advance_sync(301)
    assert task.status == "canceled"
    taskrouter.assert_canceled(task)
    with pytest.raises(LookupError, match="five minutes"):
        _ = task.attributes


def test_unknown_name_is_told_with_those_there_are(taskrouter: TaskRouter) -> None:
    taskrouter.worker("Alice")
    with pytest.raises(LookupError, match=r"no worker 'Bob'.* 'Alice'"):
        taskrouter.token("Bob")
    with pytest.raises(LookupError, match=r"no activity 'Nap'.*'Offline'"):
        taskrouter.worker(activity="Nap")
    with pytest.raises(LookupError, match=r"no task channel 'fax'.*'chat'"):
        taskrouter.worker("Carol", capacities={"fax": 1})
    with pytest.raises(LookupError, match="Carol"):
        taskrouter.token("Carol")  # nothing was made


def test_what_taskrouter_refuses_is_refused_with_its_words(taskrouter: TaskRouter) -> None:
    taskrouter.worker("Alice")
    with pytest.raises(DomainError, match="same friendly name"):
        taskrouter.worker("Alice")
    with pytest.raises(DomainError, match="Capacity"):
        taskrouter.worker("Bob", capacities={"chat": 51})
    with pytest.raises(TypeError, match="one of workflow, queue and worker"):
        taskrouter.task(queue="Sample Queue", worker="Alice")
    with pytest.raises(TypeError, match="either its configuration or a queue"):
        taskrouter.workflow("Rules")


def test_failed_assertion_tells_why_and_what_happened(taskrouter: TaskRouter) -> None:
    cards = taskrouter.queue("Cards", workers="skills HAS 'cards'")
    alice = taskrouter.worker("Alice", attributes={"skills": ["cars"]})
    task = taskrouter.task(queue=cards)
    with pytest.raises(AssertionError) as failure:
        taskrouter.assert_reserved(task, alice)
    told = str(failure.value)
    assert f"expected that task {task.sid} is reserved for Alice ({alice.sid})" in told
    assert 'skills HAS "cards"' in told.replace("'", '"')
    assert re.search(r"\+0\.000 s +task-queue\.entered .*queue Cards", told)


def test_each_assertion_fails_where_it_does_not_hold(taskrouter: TaskRouter) -> None:
    alice, bob = taskrouter.worker("Alice"), taskrouter.worker("Bob", activity="Offline")
    task = taskrouter.task()
    for expectation in (
        lambda: taskrouter.assert_not_reserved(task),
        lambda: taskrouter.assert_not_reserved(task, alice),
        lambda: taskrouter.assert_reserved(task, bob),
        lambda: taskrouter.assert_accepted(task),
        lambda: taskrouter.assert_rejected(task, alice),
        lambda: taskrouter.assert_timed_out(task),
        lambda: taskrouter.assert_queued(task),
        lambda: taskrouter.assert_completed(task),
        lambda: taskrouter.assert_canceled(task),
        lambda: taskrouter.assert_activity(alice, "Offline"),
    ):
        with pytest.raises(AssertionError, match="it is not so"):
            expectation()
    alice.set_activity("Offline", reject_pending=True)
    taskrouter.assert_rejected(task, alice)
    taskrouter.assert_not_reserved(task)
    with pytest.raises(AssertionError, match="waits in queue Other"):
        taskrouter.assert_queued(task, taskrouter.queue("Other"))
    task.cancel("no")
    with pytest.raises(AssertionError, match="for the reason 'yes'"):
        taskrouter.assert_canceled(task, reason="yes")


async def test_waiting_sees_what_lasts_for_one_command_only(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    async with taskrouter.connect(alice) as worker:

        @worker.on("reservationCreated")
        async def serve(reservation: Reservation) -> None:
            await reservation.accept()
            await reservation.task.complete("served")

        task = taskrouter.task(timeout=60)
        reservation = await taskrouter.wait_until_accepted(task, alice)
        await taskrouter.wait_until_completed(task, reason="served")
        assert reservation.worker == alice
    await taskrouter.wait_until_activity(alice, "Offline")
    await taskrouter.wait_until(lambda: task.status == "completed")


async def test_waiting_in_vain_fails_like_the_assertion(taskrouter: TaskRouter) -> None:
    with pytest.raises(AssertionError, match=r"is reserved within 0\.01 s: it is not so"):
        await taskrouter.wait_until_reserved(taskrouter.task(), timeout=0.01)
    with pytest.raises(ZeroDivisionError):
        await taskrouter.wait_until(lambda: 1 // 0)


def test_plain_test_waits_with_within(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    with taskrouter.connect_sync(alice, reconnect_activity="keep") as worker:
        stream = worker.stream("reservationCreated")
        task = taskrouter.task()
        future = worker.submit(next(stream).accept)
        taskrouter.assert_accepted(task, alice, within=10)
        future.result(10)
    with pytest.raises(AssertionError, match="within"):
        taskrouter.assert_completed(task, within=0.01)


async def test_error_events_are_there_to_be_taken(taskrouter: TaskRouter) -> None:
    async with taskrouter.connect(taskrouter.worker("Alice")) as worker:

        @worker.on("reservationCreated")
        def clumsy(_: Reservation) -> None:
            raise ValueError("butter fingers")

        taskrouter.task()
        await taskrouter.clock.advance(0)
    [error] = taskrouter.take_errors()
    assert "clumsy" in str(error)
    assert taskrouter.take_errors() == []


def test_sync_worker_answers_what_it_is_offered(taskrouter: TaskRouter) -> None:
    with taskrouter.connect_sync(taskrouter.worker("Alice")) as worker:

        @worker.on("reservationCreated")
        def serve(reservation: SyncReservation) -> None:
            reservation.accept()
            reservation.task.complete()

        task = taskrouter.task()
        taskrouter.clock.advance_sync(0)
        taskrouter.assert_completed(task)


async def test_worker_left_connected_is_disconnected_at_the_end(taskrouter: TaskRouter) -> None:
    worker = taskrouter.sdk_worker(taskrouter.worker("Alice"))
    await worker.__aenter__()
    assert worker.state == "ready"  # `nothing_is_left` looks after the test


def test_sync_worker_left_connected_is_disconnected_at_the_end(taskrouter: TaskRouter) -> None:
    worker = taskrouter.sync_worker(taskrouter.worker("Alice"))
    worker.start()
    worker.wait_ready()


async def test_worker_left_connected_does_not_block_the_loop_that_has_to_disconnect_it(
    taskrouter_server: BackgroundServer,
) -> None:
    with taskrouter_server.workspace() as taskrouter:
        worker = taskrouter.sdk_worker(taskrouter.worker("Alice"))
        await worker.__aenter__()
    await worker.wait_closed()


def test_errors_of_a_sync_worker_are_there_once_time_has_moved(taskrouter: TaskRouter) -> None:
    with taskrouter.connect_sync(taskrouter.worker("Alice")) as worker:

        @worker.on("reservationCreated")
        def clumsy(_: SyncReservation) -> None:
            raise ValueError("butter fingers")

        for _ in range(5):
            task = taskrouter.task()
            taskrouter.clock.advance_sync(0)
            [error] = taskrouter.take_errors()
            assert "clumsy" in str(error)
            task.cancel()


def test_activity_is_expected_by_its_sid_or_handle_as_well(taskrouter: TaskRouter) -> None:
    lunch = taskrouter.activity("Lunch")
    taskrouter.worker("Alice", activity=lunch)
    taskrouter.assert_activity("Alice", lunch.sid)
    taskrouter.assert_activity("Alice", lunch)
    with pytest.raises(AssertionError, match=r"Alice .* is in activity Available: it is not so"):
        taskrouter.assert_activity("Alice", "Available")


async def test_condition_may_end_the_test_itself(taskrouter: TaskRouter) -> None:
    looks: list[int] = []

    def condition() -> bool:
        looks.append(len(looks))
        if len(looks) > 1:
            pytest.fail("seen enough")
        return False

    waiting = asyncio.create_task(taskrouter.wait_until(condition, timeout=30))
    while not looks:
        await asyncio.sleep(0)
    alice = taskrouter.worker("Alice")
    task = taskrouter.task()  # what the condition raised keeps nobody from being routed
    with pytest.raises(pytest.fail.Exception, match="seen enough"):
        await waiting
    taskrouter.assert_reserved(task, alice)


async def test_condition_that_looks_for_what_is_not_there_says_so(taskrouter: TaskRouter) -> None:
    nobody: list[str] = []
    with pytest.raises(RuntimeError, match="StopIteration"):
        await taskrouter.wait_until(lambda: next(iter(nobody)), timeout=30)


def test_events_are_told_however_much_time_has_passed(taskrouter: TaskRouter) -> None:
    taskrouter.worker("Alice")
    taskrouter.clock.advance_sync(40 * 86_400)  # the history forgets what is older than 30 days
    taskrouter.worker("Bob")
    assert [line for line in taskrouter.events() if "worker.created" in line and "Bob" in line]
    assert "(Bob," in taskrouter.report()


def test_twilio_library_is_pointed_here(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    workspace = taskrouter.client.taskrouter.v1.workspaces(taskrouter.workspace_sid)
    assert [worker.sid for worker in workspace.workers.list()] == [alice.sid]
    task = workspace.tasks.create(attributes="{}")
    taskrouter.assert_reserved(str(task.sid), "Alice")


def test_missing_twilio_library_is_told_with_its_extra(
    taskrouter: TaskRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "twilio.rest", None)
    with pytest.raises(ImportError, match=r"taskrouter-worker\[twilio\]"):
        _ = taskrouter.client


def test_default_seed_follows_from_the_name_of_the_test(
    taskrouter: TaskRouter, request: pytest.FixtureRequest
) -> None:
    node: pytest.Item = request.node
    chosen = request.config.getoption("--taskrouter-seed")
    assert taskrouter.random_seed == (seed_of(node.nodeid) if chosen is None else chosen)
    assert taskrouter.workspace_sid == SeededSids(taskrouter.random_seed or 0)("WS")


@pytest.mark.taskrouter(template="NONE", multi_task_enabled=False)
def test_marker_chooses_the_kind_of_workspace(taskrouter: TaskRouter) -> None:
    assert taskrouter.run(lambda ws: (ws.multi_task_enabled, len(ws.task_queues))) == (False, 0)


async def test_faults_concern_this_workspace_alone(
    taskrouter: TaskRouter, taskrouter_server: BackgroundServer
) -> None:
    taskrouter.worker("Alice")
    with taskrouter_server.workspace() as neighbour:
        neighbour.worker("Bob")
        rule = taskrouter.faults.refuse_requests(404, path="*/Workers/*", method="POST", times=1)
        async with taskrouter.connect("Alice") as alice, neighbour.connect("Bob") as bob:
            await bob.set_attributes({"a": 1})
            with pytest.raises(NotFoundError):
                await alice.set_attributes({"a": 1})
            await alice.set_attributes({"a": 2})
    await rule.wait_for_hits(1)
    assert (rule.hits, rule.finished) == (1, True)
    assert len(taskrouter.faults.log()) == 1
    taskrouter.faults.drop_frames().remove()


async def test_snapshot_is_restored_with_the_time_of_then(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    task = taskrouter.task()
    await taskrouter.clock.advance(60)
    before = taskrouter.snapshot()
    await taskrouter.clock.advance(100)
    taskrouter.assert_timed_out(task, alice)
    taskrouter.restore(before)
    assert taskrouter.clock.elapsed == 60
    taskrouter.assert_reserved(task, alice)
    async with taskrouter.connect(alice) as worker:
        await taskrouter.clock.advance(59)
        assert [r.status for r in worker.reservations.values()] == ["pending"]
        await taskrouter.clock.advance(1)
        taskrouter.assert_timed_out(task, alice)


def test_snapshot_of_another_workspace_is_refused(
    taskrouter: TaskRouter, taskrouter_server: BackgroundServer
) -> None:
    with taskrouter_server.workspace() as neighbour, pytest.raises(ValueError, match="snapshot is of"):
        taskrouter.restore(neighbour.snapshot())


DESK = """
workspaces:
  - friendly_name: Card Desk
    queues: [{friendly_name: Cards, target_workers: 'skills HAS "cards"'}]
    workflows:
      - friendly_name: Incoming
        configuration: {task_routing: {filters: [], default_filter: {queue: Cards}}}
    workers:
      - {friendly_name: Nina, activity: Available, attributes: {skills: [cards]}}
"""


def test_workspace_is_set_up_by_a_seed_file(
    taskrouter: TaskRouter, taskrouter_server: BackgroundServer, tmp_path: Path
) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(DESK)
    taskrouter.seed(file)
    with taskrouter_server.workspace() as neighbour:
        neighbour.seed(str(file))  # the same names, another workspace
        task = taskrouter.task()
        taskrouter.assert_reserved(task, "Nina")
        assert neighbour.run(lambda ws: len(ws.tasks)) == 0
    taskrouter.clock.advance_sync(120)
    taskrouter.assert_timed_out(task, "Nina")


def test_seed_of_several_workspaces_is_refused(taskrouter: TaskRouter) -> None:
    two = {"workspaces": [{"friendly_name": "One"}, {"friendly_name": "Two"}]}
    with pytest.raises(DomainError, match="just one"):
        taskrouter.seed(two)
    assert two == {"workspaces": [{"friendly_name": "One"}, {"friendly_name": "Two"}]}


@pytest.fixture(scope="module")
def shared(taskrouter_server: BackgroundServer) -> Iterator[TaskRouter]:
    with taskrouter_server.workspace(WorkspaceOptions(seed=7)) as workspace:
        yield workspace


def test_workspace_may_serve_a_whole_module(shared: TaskRouter, taskrouter: TaskRouter) -> None:
    assert shared.workspace_sid == SeededSids(7)("WS") != taskrouter.workspace_sid


def test_seed_of_an_open_workspace_is_refused(
    taskrouter_server: BackgroundServer, taskrouter: TaskRouter
) -> None:
    with pytest.raises(ValueError, match="a seed of its own"):
        taskrouter_server.workspace(WorkspaceOptions(seed=taskrouter.random_seed))


def test_closing_ends_the_sessions_and_forgets_the_workspace(taskrouter_server: BackgroundServer) -> None:
    workspace = taskrouter_server.workspace()
    address = f"{workspace.ws_server}?token={workspace.token(workspace.worker('Alice'))}"

    async def connect_and_close() -> int | None:
        async with aiohttp.ClientSession() as http, http.ws_connect(address) as socket:
            await socket.receive_str()
            end = asyncio.create_task(socket.receive())  # whoever reads later may find the transport closed
            await asyncio.to_thread(workspace.close)
            message = await end
            return message.data if message.type is aiohttp.WSMsgType.CLOSE else None

    assert asyncio.run(connect_and_close()) == 4403
    assert workspace.workspace_sid not in taskrouter_server.call(
        lambda server: list(server.account.workspaces)
    )
    assert workspace.workspace_sid in workspace.report()  # it is told after the end


def test_stopped_server_says_so() -> None:
    server = BackgroundServer()
    with pytest.raises(RuntimeError, match="does not run"):
        server.workspace()
    with server, pytest.raises(RuntimeError, match="runs already"):
        server.start()


def test_reports_hold_no_token(taskrouter: TaskRouter) -> None:
    token = taskrouter.token(taskrouter.worker("Alice", attributes={"secret": "attribute-7"}))
    assert token not in taskrouter.report()
    assert "attribute-7" not in taskrouter.report()


def test_server_that_cannot_be_made_says_why_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        BackgroundServer(Settings(port=0, seed_document=tmp_path / "missing.yaml")).start()


def test_workspace_that_was_deleted_is_closed_quietly(taskrouter_server: BackgroundServer) -> None:
    with taskrouter_server.workspace() as taskrouter:
        sid = taskrouter.workspace_sid
        taskrouter_server.call(lambda server: server.delete_workspace(sid))
        assert "it was deleted" in taskrouter.report()
