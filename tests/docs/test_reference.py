"""The reference names everything that there is, and the site's checks find what they are there to find."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

import taskrouter_worker
from docs.docstrings import as_markdown
from server_stub import Settings
from server_stub.__main__ import main
from taskrouter_worker import errors, options
from tests.docs import site
from tests.docs.snippets import ROOT

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def shown() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md"))


def test_every_public_name_is_shown() -> None:
    everything = set(re.findall(r"^::: [\w.]*?(\w+)$", shown(), re.MULTILINE))
    own = set(taskrouter_worker.__all__) - {"__version__"} - set(errors.__all__)
    enums = {"ReservationStatus", "Role", "SupervisorMode", "TaskStatus"}  # of `terms`, shown as a whole
    enums |= {"TransferMode", "TransferStatus", "TransferType"}
    assert own - enums - everything == set()


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Of a worker", "Worker"),
        ("Of a reservation", "Reservation"),
        ("Of a task", "Task"),
        ("Of an outgoing transfer", "OutgoingTransfer"),
        ("Of a channel", "Channel"),
    ],
)
def test_every_event_is_in_its_table(heading: str, kind: str) -> None:
    section = page("events").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert (
        set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == getattr(taskrouter_worker, kind).EVENTS
    )


def test_every_error_is_in_the_table() -> None:
    assert re.findall(r"^\| \[`(\w+)`\]", page("errors"), re.MULTILINE) == [
        name for name in re.findall(r"(\w+Error)\b", errors.__doc__ or "") if name in errors.__all__
    ]


def test_every_option_of_a_worker_is_in_the_table() -> None:
    table = re.findall(r"^\| `(\w+)` \|", page("options"), re.MULTILINE)
    assert sorted(table) == sorted(options.WorkerOptions.__annotations__)


def test_every_setting_of_the_server_is_on_the_page() -> None:
    named = set(re.findall(r"`(\w+)`", page("configuration")))
    assert {field.name for field in fields(Settings)} - {"limits", "server_limits"} - named == set()


def test_every_option_of_serve_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    offered = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert len(offered) > 30
    limits = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert offered - set(re.findall(r"`(--[a-z-]+)", page("configuration") + limits)) == set()


@pytest.mark.docs  # pages come and go together: `make docs` sees them all
@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    ],
)
def test_links_of_pages_lead_somewhere_in_the_repository_too(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http:", "https:", "mailto:"))]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_files_and_modules_that_pages_name_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    tops = "benchmarks|docs|examples|server_stub|taskrouter_worker|tests"
    named = set(re.findall(rf"(?<![\w./])(?:{tops})/[\w./-]*\w/?", text)) - {"server_stub/commands/NAME.py"}
    named |= {name.replace(".", "/") for name in re.findall(rf"python -m ((?:{tops})(?:\.\w+)+)", text)}
    assert len(named) > 100
    assert [
        it for it in sorted(named) if not any((ROOT / f"{it}{end}").exists() for end in ("", ".py"))
    ] == []


def test_docstrings_examples_are_fenced_and_public_names_are_links() -> None:
    text = "See `Worker` and `worker_token`::\n\n    worker = Worker(token)\n\nand `no_such` ``Worker``."
    assert as_markdown(text) == (
        "See [`Worker`][taskrouter_worker.Worker] and [`worker_token`][taskrouter_worker.worker_token]:\n"
        "\n```python\nworker = Worker(token)\n```\n\nand `no_such` ``Worker``."
    )


def test_site_with_faults_is_told_of_each(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text('<h1 id="here">x</h1>')
    (tmp_path / "index.html").write_text(
        '<a href="other.html#here">ok</a><a href="other.html#gone">no</a><a href="none.html">no</a>'
        '<a href="https://example.org/">ok</a><img src="none.png"><script src="https://example.org/x.js"></script>'
        '<link rel="canonical" href="https://example.org/">'
    )
    (tmp_path / "x.css").write_text("@import '//example.org/x.css'; a { b: url(https://example.org/y.woff) }")
    assert site.site_problems(tmp_path) == [
        "index.html: leads to other.html#gone, which has no such place",
        "index.html: leads to none.html, which is not there",
        "index.html: leads to none.png, which is not there",
        "index.html: fetches https://example.org/x.js",
        "x.css: fetches //example.org/x.css",
        "x.css: fetches https://example.org/y.woff",
    ]
