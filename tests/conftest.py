"""Fixtures that most tests need, and the rule that CI skips nothing.

The fixtures import what they need when they are used: the pure tests stay quick to load.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from pytest_asyncio import is_async_test

from tests.budget import NORMAL
from tests.leftovers import Belongings, leftovers

if TYPE_CHECKING:
    from twilio.rest import Client

    from server_stub import StubServer

settings.register_profile("normal", deadline=None, max_examples=NORMAL)
settings.register_profile("long", deadline=None, max_examples=5 * NORMAL)
settings.load_profile("normal")


@pytest.fixture
async def loop_of_the_test() -> asyncio.AbstractEventLoop:
    """The event loop of the test and its fixtures."""
    return asyncio.get_running_loop()


def has_a_loop(test: Any) -> bool:  # Any: which fixtures a test has, only pytest's insides tell
    """Whether a test, or a fixture of it, is a coroutine function."""
    if is_async_test(test):
        return True
    functions = [found[-1].func for found in test._fixtureinfo.name2fixturedefs.values()]
    return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in functions)


def pytest_configure() -> None:
    """Let SIGINT end the programs that tests start: who was started in a shell's background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a task, timer, thread, socket or child process; see `tests/leftovers.py`.

    Set up before a test's other fixtures, and so ended after them, but before its loop is closed.
    """
    loop = request.getfixturevalue("loop_of_the_test") if has_a_loop(request.node) else None
    before = Belongings.now()
    yield
    left = leftovers(before, loop)
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture
def logger_of_the_sdk() -> Iterator[None]:
    """For programs that may set its level, which they do for their own process."""
    yield
    logging.getLogger("taskrouter_worker").setLevel(logging.NOTSET)


@pytest.fixture
async def server() -> AsyncIterator[StubServer]:
    """A local TaskRouter on a free port, in the test's own event loop."""
    from server_stub import Settings, StubServer

    async with StubServer(Settings(port=0)) as server:
        yield server


@pytest.fixture
def threaded_server() -> Iterator[StubServer]:
    """A local TaskRouter on a free port, in a thread of its own: for tests that block."""
    from server_stub import Settings
    from tests.support import ServerInThread

    with ServerInThread(Settings(port=0)) as server:
        yield server


@pytest.fixture
def twilio_client(threaded_server: StubServer) -> Iterator[Client]:
    """The `twilio` library's client for `threaded_server`. It blocks: use it in plain tests."""
    from tests.support import close_client, rest_client

    client = rest_client(threaded_server)
    yield client
    close_client(client)


def skipped_in_ci(config: pytest.Config) -> int:
    """How many tests were skipped although this is CI, where everything that they may need is installed."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")  # a worker of pytest-xdist has none
    return len(reporter.stats.get("skipped", [])) if reporter is not None and os.environ.get("CI") else 0


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test fails the run."""
    if skipped_in_ci(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say so."""
    if skipped := skipped_in_ci(config):
        terminalreporter.write_line(f"CI: {skipped} skipped, which counts as failed", red=True)
