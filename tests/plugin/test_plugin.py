"""The plugin as pytest runs it: in processes of its own, with each plugin for coroutines, under xdist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from server_stub.ids import SeededSids
from server_stub.testing.options import seed_of

ROOT = Path(__file__).parents[2]

BOT = """
from taskrouter_worker import Reservation
from server_stub.testing import TaskRouter


async def bot_serves(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    async with taskrouter.connect(alice) as worker:

        @worker.on("reservationCreated")
        async def serve(reservation: Reservation) -> None:
            await reservation.accept()
            await reservation.task.complete()

        task = taskrouter.task()
        await taskrouter.wait_until_completed(task)
        late = taskrouter.queue("Nobody's", workers="1==2")
        unserved = taskrouter.task(queue=late, timeout=60)
        await taskrouter.clock.advance(60)
        taskrouter.assert_canceled(unserved)


def check_plain(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    task = taskrouter.task()
    with taskrouter.connect_sync(alice):
        taskrouter.clock.advance_sync(120)
    taskrouter.assert_timed_out(task, alice)
"""


def run_pytest(place: Path, *arguments: str, plugins: tuple[str, ...] = (), **files: str) -> tuple[int, str]:
    """Run pytest on these files with these plugins and no others: its exit status, what it printed."""
    (place / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
    (place / "bot.py").write_text(BOT)
    for name, text in files.items():
        (place / f"{name}.py").write_text(text)
    loaded = [part for plugin in ("server_stub.testing.plugin", *plugins) for part in ("-p", plugin)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *loaded, *arguments],
        cwd=place,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(place)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    return done.returncode, done.stdout + done.stderr


PLAIN = "from bot import check_plain\n\ndef test_plain(taskrouter):\n    check_plain(taskrouter)\n"


def test_fixture_serves_pytest_asyncio_in_strict_mode_and_the_plugin_of_anyio(tmp_path: Path) -> None:
    status, printed = run_pytest(
        tmp_path,
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        "--asyncio-mode=strict",  # it leaves room for the other one; tests/wheel_check.py parts them
        plugins=("pytest_asyncio.plugin", "anyio"),
        test_strict="import pytest\nfrom bot import bot_serves\n\n"
        "@pytest.mark.asyncio\nasync def test_marked(taskrouter):\n    await bot_serves(taskrouter)\n",
        test_plain=PLAIN,
        test_anyio="""
            import pytest
            from bot import bot_serves

            pytestmark = pytest.mark.anyio

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            @pytest.fixture
            async def worker(taskrouter):
                async with taskrouter.connect(taskrouter.worker("Bob", activity="Offline")) as worker:
                    yield worker

            async def test_anyio(taskrouter):
                await bot_serves(taskrouter)

            async def test_anyio_with_a_fixture(taskrouter, worker):
                await bot_serves(taskrouter)
                assert worker.state == "ready"
        """.replace("\n            ", "\n"),
    )
    assert status == 0, printed
    assert "4 passed" in printed


def test_fixture_serves_pytest_asyncio_in_auto_mode(tmp_path: Path) -> None:
    status, printed = run_pytest(
        tmp_path,
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        "--asyncio-mode=auto",
        plugins=("pytest_asyncio.plugin",),
        test_plain=PLAIN,
        test_auto="""
            import pytest
            from bot import bot_serves

            @pytest.fixture
            async def worker(taskrouter):
                async with taskrouter.connect(taskrouter.worker("Bob", activity="Offline")) as worker:
                    yield worker

            async def test_unmarked(taskrouter, worker):
                await bot_serves(taskrouter)
                assert worker.state == "ready"
        """.replace("\n            ", "\n"),
    )
    assert status == 0, printed
    assert "2 passed" in printed


MANY = """
import json, os, pathlib, pytest

@pytest.mark.parametrize("number", range(200))
def test_alone(taskrouter, number, request):
    assert taskrouter.run(lambda ws: (len(ws.workers), len(ws.tasks))) == (0, 0)
    alice = taskrouter.worker("Alice", attributes={"number": number})
    task = taskrouter.task({"number": number})
    reservation = taskrouter.assert_reserved(task, alice)
    if number % 20 == 0:
        with taskrouter.connect_sync(alice) as worker:
            [offered] = worker.reservations.values()
            assert offered.task.attributes == {"number": number}
    taskrouter.clock.advance_sync(number)
    assert reservation.status == ("pending" if number < 120 else "timeout")
    assert [r.sid for r in alice.reservations] == [reservation.sid]
    sids = [taskrouter.workspace_sid, alice.sid, task.sid, reservation.sid]
    line = json.dumps([request.node.nodeid, os.environ["PYTEST_XDIST_WORKER"], sids])
    with pathlib.Path(f"sids-{os.getpid()}").open("a") as file:
        file.write(line + "\\n")
"""


def test_two_hundred_tests_are_isolated_and_repeat_themselves_in_any_order(tmp_path: Path) -> None:
    status, printed = run_pytest(
        tmp_path, "-n", "2", "-q", plugins=("xdist", "pytest_randomly"), test_many=MANY
    )
    assert status == 0, printed
    assert "200 passed" in printed
    told = [json.loads(line) for file in tmp_path.glob("sids-*") for line in file.read_text().splitlines()]
    assert len(told) == 200
    assert {process for _, process, _ in told} == {"gw0", "gw1"}
    for nodeid, _, sids in told:
        # What this process would make of the same name: no order, process or neighbour has a say in it.
        source = SeededSids(seed_of(nodeid))
        expected = {source(prefix)[2:] for prefix in ["WS"] * 60}
        assert {sid[2:] for sid in sids} <= expected, nodeid
    numbers = [int(re.findall(r"\d+", nodeid)[-1]) for nodeid, _, _ in told]
    assert numbers != sorted(numbers)


FAILING = """
import pytest

def test_fails(taskrouter):
    taskrouter.worker("Alice", attributes={"pin": "secret-7"})
    token = taskrouter.token("Alice")
    taskrouter.assert_completed(taskrouter.task())

def test_leaves_an_error(taskrouter):
    with taskrouter.connect_sync(taskrouter.worker("Alice")) as worker:
        @worker.on("reservationCreated")
        def clumsy(reservation):
            raise ValueError("butter fingers")
        taskrouter.task()
        taskrouter.clock.advance_sync(0)
        taskrouter.clock.advance_sync(0)

@pytest.mark.taskrouter(allow_errors=True)
def test_may_leave_errors(taskrouter):
    with taskrouter.connect_sync(taskrouter.worker("Alice")) as worker:
        @worker.on("reservationCreated")
        def clumsy(reservation):
            raise ValueError("butter fingers")
        taskrouter.task()
        taskrouter.clock.advance_sync(0)
        taskrouter.clock.advance_sync(0)

@pytest.mark.taskrouter(clock="sundial")
def test_wrong_value(taskrouter): ...

@pytest.mark.taskrouter(clok="real")
def test_wrong_name(taskrouter): ...

@pytest.mark.taskrouter("real")
def test_by_position(taskrouter): ...

@pytest.mark.taskrouter(start="2025-01-01")
def test_wrong_start(taskrouter): ...

@pytest.mark.taskrouter(seed=-1)
def test_wrong_seed(taskrouter): ...

@pytest.mark.taskrouter(template="FIFO", multi_task_enabled=False)
class TestMerged:
    @pytest.mark.taskrouter(template="NONE")
    def test_markers_add_up(self, taskrouter):
        assert taskrouter.run(lambda ws: (ws.multi_task_enabled, len(ws.task_queues))) == (False, 0)
        assert taskrouter.random_seed == 7

def test_without_the_fixture():
    assert False
"""


def test_failures_are_reported_with_all_that_one_needs(tmp_path: Path) -> None:
    status, printed = run_pytest(tmp_path, "--taskrouter-seed=7", test_failing=FAILING)
    assert status == 1
    assert "3 failed, 2 passed, 5 errors" in printed, printed
    [failed, left, without] = re.split(r"^_{5,} test_.* _{5,}$", printed, flags=re.MULTILINE)[-3:]
    assert "The router says:" in failed
    assert "seed 7 (again with --taskrouter-seed=7)" in failed
    assert re.search(r"\+0\.000 s +reservation\.created .*\(Alice, queue Sample Queue", failed)
    assert "eyJ" not in failed.partition("Captured")[0].partition("- TaskRouter -")[2]
    assert "butter fingers" in left
    assert "take_errors" in left
    assert "TaskRouter -" not in without
    for told in (
        "clock must be 'virtual' or 'real', got 'sundial'",
        "there is no option 'clok'; there are seed, clock, start",
        "options are given by name, such as clock='real', got 'real'",
        "start must be a datetime, epoch seconds or 'now', got '2025-01-01'",
        "seed must be 0 or more, got -1",
    ):
        assert told in printed


ENDED_OTHERWISE = """
import asyncio
import urllib.request

import pytest
from server_stub.testing import TaskRouter


async def clumsy(taskrouter: TaskRouter) -> None:
    async with taskrouter.connect(taskrouter.worker("Alice")) as worker:

        @worker.on("reservationCreated")
        def drop(_: object) -> None:
            raise ValueError("butter fingers")

        taskrouter.task()
        await taskrouter.clock.advance(0)


def test_fails(taskrouter: TaskRouter) -> None:
    asyncio.run(clumsy(taskrouter))
    raise AssertionError("it was dropped")


@pytest.mark.xfail(strict=True)
def test_has_to_fail(taskrouter: TaskRouter) -> None:
    test_fails(taskrouter)


def test_skips(taskrouter: TaskRouter) -> None:
    asyncio.run(clumsy(taskrouter))
    pytest.skip("enough")


def test_deletes_its_workspace(taskrouter: TaskRouter) -> None:
    url = f"{taskrouter.rest_url}/v1/Workspaces/{taskrouter.workspace_sid}"
    keys = urllib.request.HTTPPasswordMgrWithPriorAuth()
    keys.add_password(None, url, taskrouter.account_sid, taskrouter.auth_token, is_authenticated=True)
    door = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(keys))
    door.open(urllib.request.Request(url, method="DELETE"), timeout=30).close()


def test_deletes_its_workspace_and_fails(taskrouter: TaskRouter) -> None:
    test_deletes_its_workspace(taskrouter)
    raise AssertionError
"""


def test_each_failure_is_told_once_whatever_becomes_of_the_workspace(tmp_path: Path) -> None:
    status, printed = run_pytest(tmp_path, "-vv", test_ended=ENDED_OTHERWISE)
    assert status == 1
    assert "2 failed, 1 passed, 1 skipped, 1 xfailed in" in printed, printed
    assert "butter fingers" in printed  # of the one that fails
    assert "it was deleted" in printed


def test_loading_the_plugin_loads_nothing_but_itself() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import server_stub.testing.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert loaded == ["server_stub", "server_stub.testing", "server_stub.testing.plugin"]


def test_marker_and_option_are_documented(pytestconfig: pytest.Config) -> None:
    assert any(line.startswith("taskrouter(") for line in pytestconfig.getini("markers"))
    assert pytestconfig.pluginmanager.has_plugin("taskrouter")
