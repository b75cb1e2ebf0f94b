"""The page of promises names tests and pages that exist, and every parser that is fuzzed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")


def test_every_named_test_file_and_page_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.(?:py|cjs))`", PAGE))
    linked = set(re.findall(r"\]\(([\w./-]+\.md)\)", PAGE))
    assert len(named) > 40
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
    assert [name for name in sorted(linked) if not (ROOT / "docs" / name).is_file()] == []


def test_every_named_command_exists() -> None:
    modules = set(re.findall(r"python -m (tests[\w.]*)", PAGE))
    assert len(modules) >= 4
    for name in modules:
        found = importlib.util.find_spec(name)
        assert found is not None, name
        path = ROOT.joinpath(*name.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name


def test_every_fuzz_target_is_named() -> None:
    table = PAGE.split("| what comes in |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", table)) == set(TARGETS)


def test_each_section_says_what_is_not_promised() -> None:
    sections = PAGE.split("\n## ")[1:]
    assert len(sections) == 5
    assert [section.splitlines()[0] for section in sections if "**Not promised.**" not in section] == []
