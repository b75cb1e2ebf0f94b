"""Each kind of leftover is found and named, and what only takes its time to end is not."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from server_stub import Settings, StubServer
from tests import leftovers as looked_for
from tests.leftovers import Belongings, leftovers

ROOT = Path(__file__).parent.parent


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that does not run, like that of a test that is over."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left here stays until the test says otherwise: no use to wait."""
    monkeypatch.setattr(looked_for, "MOMENT", 0.0)


async def nothing() -> None: ...


def test_a_test_that_leaves_nothing_passes(loop: asyncio.AbstractEventLoop) -> None:
    before = Belongings.now()
    loop.run_until_complete(nothing())
    assert leftovers(before, loop) == []
    assert leftovers(before, None) == []


def test_a_logger_that_stays_set_is_found() -> None:
    before = Belongings.now()
    logger = logging.getLogger("taskrouter_worker")
    logger.setLevel(logging.ERROR)
    try:
        assert "logger taskrouter_worker is set" in Belongings.now().loggers - before.loggers
    finally:
        logger.setLevel(logging.NOTSET)
    assert Belongings.now().loggers == before.loggers


def test_a_running_task_is_found(loop: asyncio.AbstractEventLoop) -> None:
    before = Belongings.now()
    task = loop.create_task(asyncio.Event().wait(), name="the forgotten one")
    [left] = leftovers(before, loop)
    assert left.startswith("task the forgotten one of <coroutine object Event.wait")
    task.cancel()
    assert leftovers(before, loop) == []  # what was canceled gets the turns that it needs


def test_a_timer_of_the_server_or_the_sdk_is_found(loop: asyncio.AbstractEventLoop) -> None:
    before = Belongings.now()
    server = StubServer(Settings(port=0))
    method = loop.call_later(3_600, server._runtime.tick)
    partial = loop.call_later(3_600, functools.partial(server.run, "WS1", print))
    foreign = loop.call_later(3_600, print)
    assert leftovers(before, loop) == [
        "timer of server_stub.runtime.Runtime.tick",
        "timer of server_stub.app.StubServer.run",
    ]
    for timer in (method, partial, foreign):
        timer.cancel()
    assert leftovers(before, loop) == []


@pytest.mark.usefixtures("impatient")
def test_a_living_thread_is_found() -> None:
    before = Belongings.now()
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="one that waits")
    thread.start()
    assert leftovers(before, None) == ["thread one that waits"]
    go.set()
    thread.join()
    assert leftovers(before, None) == []


def test_threads_that_end_with_the_loop_are_left_to_it(loop: asyncio.AbstractEventLoop) -> None:
    before = Belongings.now()
    loop.run_until_complete(asyncio.to_thread(print))
    assert threading.active_count() > len(before.threads)
    assert leftovers(before, loop) == []


@pytest.mark.usefixtures("impatient")
def test_an_open_socket_is_found() -> None:
    before = Belongings.now()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        [left] = leftovers(before, None)
        assert left == f"socket {listener.fileno()} at {listener.getsockname()}, not connected"
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0]:
            assert (
                f"socket {client.fileno()} at {client.getsockname()} to {listener.getsockname()}"
                in leftovers(before, None)
            )
    ends = socket.socketpair()
    assert len(leftovers(before, None)) == 2
    for end in ends:
        end.close()
    assert leftovers(before, None) == []


@pytest.mark.usefixtures("impatient")
def test_a_socket_in_the_place_of_another_file_is_found() -> None:
    with socket.socket() as one:
        number = one.fileno()
        inner = os.dup(number)
        before = Belongings.now()
        with socket.socket() as two:
            os.dup2(two.fileno(), inner)
            assert len(leftovers(before, None)) == 1
        os.close(inner)
    assert leftovers(before, None) == []


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system does not tell of child processes")
@pytest.mark.usefixtures("impatient")
def test_a_child_process_is_found_running_or_ended() -> None:
    before = Belongings.now()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert leftovers(before, None) == [f"child process {child.pid} ({sys.executable} -c input())"]
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert leftovers(before, None) == [f"child process {child.pid} (ended, and nobody waited for it)"]
    finally:
        child.kill()
        child.communicate()
    assert leftovers(before, None) == []


def test_what_was_there_before_is_not_counted() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    with socket.socket():
        assert leftovers(Belongings.now(), None) == []
    go.set()
    thread.join()


def test_what_ends_in_a_moment_is_waited_for() -> None:
    before = Belongings.now()
    with contextlib.ExitStack() as later:
        later.enter_context(socket.socket())
        asked = threading.Event()

        def close() -> None:
            asked.wait()
            later.close()

        thread = threading.Thread(target=close)
        thread.start()
        asked.set()
        assert leftovers(before, None) == []
    thread.join()


LEAVES = """
import asyncio, socket, threading
import pytest
pytest_plugins = ["tests.conftest"]

kept = []

async def test_task():
    kept.append(asyncio.create_task(asyncio.Event().wait(), name="mine"))

def test_socket():
    kept.append(socket.socket())

def test_after():
    kept.pop().close()

@pytest.fixture
async def slow():
    task = asyncio.create_task(asyncio.sleep(3600))
    yield
    task.cancel()

async def test_fixtures_end_first(slow):
    pass

@pytest.fixture
async def careless():
    kept.append(asyncio.create_task(asyncio.Event().wait(), name="the fixture's"))

def test_plain(careless):
    pass
"""


def test_the_fixture_fails_the_test_that_left_something_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(LEAVES)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            "-c",
            ROOT / "pyproject.toml",
            "--rootdir",
            ROOT,
            tmp_path / "test_it.py",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    assert "5 passed, 3 errors" in done.stdout
    for test, left in (("task", "task mine of"), ("socket", "socket "), ("plain", "task the fixture's of")):
        assert f"ERROR at teardown of test_{test} " in done.stdout
        assert f"left behind: {left}" in done.stdout
