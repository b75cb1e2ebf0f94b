"""What docs/testing.md and the README show is run as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plugin.test_plugin import run_pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_each_snippet_passes(tmp_path: Path) -> None:
    snippets = BLOCK.findall((ROOT / "docs" / "testing.md").read_text())
    tests = sum(len(re.findall(r"^(?:async )?def test_", snippet, re.MULTILINE)) for snippet in snippets)
    assert tests >= 10
    # The first snippet goes without imports: the README's reader has nothing else.
    status, printed = run_pytest(
        tmp_path,
        "--asyncio-mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        plugins=("pytest_asyncio.plugin",),
        test_first=snippets[0],
        test_documentation="import pytest\n" + "\n\n".join(snippets[1:]),
        test_readme=readme_test(),
    )
    assert status == 0, printed
    assert f"{tests + 1} passed" in printed


def readme_test() -> str:
    """The README's test."""
    [snippet] = [one for one in BLOCK.findall((ROOT / "README.md").read_text()) if "def test_" in one]
    return str(snippet)


def test_every_expectation_is_in_the_table() -> None:
    from server_stub.testing import TaskRouter  # noqa: PLC0415 - only this test needs it

    page = (ROOT / "docs" / "testing.md").read_text()
    names = [name for name in dir(TaskRouter) if name.startswith(("assert_", "wait_until"))]
    assert len(names) > 15
    assert [name for name in names if f"`{name}" not in page] == []


def test_every_option_of_the_marker_is_shown(pytestconfig: pytest.Config) -> None:
    from server_stub.testing import WorkspaceOptions  # noqa: PLC0415 - only this test needs it

    page = (ROOT / "docs" / "testing.md").read_text()
    marker = next(line for line in pytestconfig.getini("markers") if line.startswith("taskrouter("))
    for name in WorkspaceOptions.__dataclass_fields__:
        assert f"    {name}=" in page
        assert f"{name}=" in marker
