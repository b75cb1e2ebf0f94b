"""The fragments of the changelog are well-formed, and join into an entry."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHANGES = ROOT / "changes"
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
BESIDE = {"README.md", "template.md.jinja"}


def problems(name: str, text: str) -> list[str]:
    """What is wrong with a fragment."""
    told = []
    if not re.fullmatch(rf"\+[a-z0-9]+(-[a-z0-9]+)*\.({'|'.join(KINDS)})\.md", name):
        told.append(f"{name}: its name is not +what-it-is-about.KIND.md, with KIND one of {', '.join(KINDS)}")
    if not text.strip() or text != text.strip() + "\n":
        told.append(f"{name}: is empty, or has blank lines or no line's end around its text")
    if re.match(r"[-*#]", text):
        told.append(f"{name}: begins with a bullet or heading, which the release adds")
    if not text.rstrip().endswith("."):
        told.append(f"{name}: does not end as a sentence")
    if re.search(r"#\d+", text):
        told.append(f"{name}: names an issue by its number, which readers cannot look up")
    if any(len(line) > 120 for line in text.splitlines()):
        told.append(f"{name}: has a line longer than 120 characters")
    return told


def test_fragments_are_well_formed() -> None:
    fragments = [file for file in CHANGES.iterdir() if file.name not in BESIDE]
    assert [told for file in fragments for told in problems(file.name, file.read_text())] == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("12.added.md", "It is new.\n", "its name is not"),
        ("+thing.feature.md", "It is new.\n", "KIND one of added, changed"),
        ("+thing.added.md", "It is new.", "is empty, or has blank"),
        ("+thing.added.md", "- It is new.\n", "begins with a bullet"),
        ("+thing.added.md", "It is new\n", "does not end as a sentence"),
        ("+thing.added.md", "It is new (#12).\n", "names an issue by its number"),
        ("+thing.added.md", f"{'a' * 120}.\n", "longer than 120"),
    ],
)
def test_lint_of_fragments_finds_what_is_wrong(name: str, text: str, said: str) -> None:
    [told] = problems(name, text)
    assert said in told


def test_release_joins_fragments_below_unreleased(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "changes").mkdir()
    shutil.copy(CHANGES / "template.md.jinja", tmp_path / "changes")
    (tmp_path / "changes" / "+second.fixed.md").write_text("Something broken\nworks.\n")
    (tmp_path / "changes" / "+first.added.md").write_text("Something is new.\n")
    before = (tmp_path / "CHANGELOG.md").read_text()
    subprocess.run(
        [
            sys.executable,
            "-m",
            "towncrier",
            "build",
            "--keep",
            "--version",
            "9.8.7",
            "--date",
            "2030-01-02",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    above, mark, below = before.partition("## [Unreleased]\n")
    entry = (
        "\n## [9.8.7] - 2030-01-02\n\n### Added\n\n- Something is new.\n\n"
        "### Fixed\n\n- Something broken\n  works.\n"
    )
    assert (tmp_path / "CHANGELOG.md").read_text() == above + mark + entry + below
