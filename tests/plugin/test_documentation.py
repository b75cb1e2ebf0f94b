"""docs/testing.md names everything that there is. Its snippets are run by tests/docs."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
