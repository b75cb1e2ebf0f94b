"""The pytest plugin: the fixture `taskrouter`, its marker and option.

pytest loads this module at every start, in every project that has the package installed. So it imports
pytest and the standard library alone; the server is loaded when a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .background import BackgroundServer
    from .options import WorkspaceOptions
    from .taskrouter import TaskRouter

_MARKER = """\
taskrouter(*, clock="virtual", start="now", seed=None, template="FIFO", multi_task_enabled=True, \
allow_errors=False): how the fixture `taskrouter` sets up the test's workspace. clock="real" lets its time \
pass by itself; start is what a virtual clock shows at first; SIDs follow from seed."""

_OPEN = pytest.StashKey["TaskRouter"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the seed."""
    parser.getgroup("taskrouter").addoption(
        "--taskrouter-seed",
        type=int,
        default=None,
        metavar="N",
        help="make the SIDs of each test's TaskRouter workspace from N; by default from the test's node id",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and refuse a seed that is none."""
    seed: int | None = config.getoption("--taskrouter-seed")
    if seed is not None and seed < 0:
        raise pytest.UsageError(f"--taskrouter-seed must be 0 or more, got {seed}")
    config.addinivalue_line("markers", _MARKER.replace("\n", " "))


@pytest.fixture(scope="session")
def taskrouter_server() -> Iterator[BackgroundServer]:
    """The local TaskRouter that all tests of this process share, in a thread of its own.

    Tests use `taskrouter`; this one is for fixtures of a wider scope:
    ``with taskrouter_server.workspace() as taskrouter: yield taskrouter``.
    """
    from .background import BackgroundServer  # noqa: PLC0415 - see above

    with BackgroundServer() as server:
        yield server


@pytest.fixture
def taskrouter(request: pytest.FixtureRequest, taskrouter_server: BackgroundServer) -> Iterator[TaskRouter]:
    """A TaskRouter workspace of the test's own, whose clock stands still until the test moves it."""
    node: pytest.Item = request.node
    opened = taskrouter_server.workspace(_options(node))
    node.stash[_OPEN] = opened
    try:
        yield opened
        # Told once: `pytest_runtest_call` has taken those of the test itself.
    finally:
        opened.close()
    if errors := opened.error_report():
        pytest.fail(_errors(errors), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that leaves errors of its workers behind has failed."""
    result = yield
    opened = item.stash.get(_OPEN, None)
    if opened is not None and (errors := opened.error_report()):
        opened.take_errors()
        pytest.fail(_errors(errors), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The report of a failed test tells what happened in its workspace."""
    report = yield
    opened = item.stash.get(_OPEN, None)
    if opened is not None:
        if report.failed:
            report.sections.append(("TaskRouter", _told(opened)))
        if report.when == "call" and not report.passed:
            opened.take_errors()  # told just now, or nobody's business: it was skipped, or had to fail
        if report.when == "teardown":
            del item.stash[_OPEN]
    return report


def _options(node: pytest.Item) -> WorkspaceOptions:
    """What the markers ask for; the one nearest to the test counts."""
    from .options import WorkspaceOptions, seed_of  # noqa: PLC0415 - see above

    given: dict[str, Any] = {}
    try:
        for marker in reversed(list(node.iter_markers("taskrouter"))):
            WorkspaceOptions.from_arguments(marker.args, marker.kwargs)
            given |= marker.kwargs
        seed = node.config.getoption("--taskrouter-seed")
        if seed is not None or given.get("seed") is None:
            given["seed"] = seed_of(node.nodeid) if seed is None else seed
        return WorkspaceOptions.from_arguments((), given)
    except (TypeError, ValueError) as error:
        pytest.fail(f"@pytest.mark.taskrouter of {node.nodeid}: {error}", pytrace=False)


def _told(opened: TaskRouter) -> str:
    try:
        return opened.report()
    except Exception as error:  # noqa: BLE001 - an error in this hook would end the whole run
        return f"what happened cannot be told: {type(error).__name__}: {error}"


def _errors(text: str) -> str:
    return (
        "workers of the SDK emitted errors that the test did not take "
        f"(taskrouter.take_errors(), or allow_errors=True in the marker):\n{text}"
    )
