"""Every block of Python in the documentation runs as it is printed; data in it can be read.

What starts commands is in `test_pages.py`. `pytest tests/docs -rs -m docs` lists what cannot be run, and why.
"""

from __future__ import annotations

import json
import logging
import re
import tomllib
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from server_stub.testing import BackgroundServer, WorkspaceOptions
from tests.docs.snippets import PAGES, ROOT, SHELLS, WRONG, Snippet, all_snippets, read, snippets_of
from tests.docs.stage import Given, Stage
from tests.plugin.test_plugin import run_pytest

pytestmark = pytest.mark.usefixtures("logger_of_the_sdk")

READERS: dict[str, Callable[[str], object]] = {
    "ini": lambda text: ConfigParser().read_string(text),
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
}


def of_kind(*kinds: str) -> list[Snippet]:
    return [snippet for snippet in all_snippets() if snippet.kind in kinds]


def python(*kinds: str) -> list[Snippet]:
    return [snippet for snippet in of_kind(*kinds) if snippet.language == "python"]


def name_of(snippet: Snippet) -> str:
    return snippet.name


@pytest.fixture(scope="module")
def desks() -> Iterator[BackgroundServer]:
    with BackgroundServer() as server:
        yield server


@pytest.fixture
def stage(desks: BackgroundServer) -> Iterator[Stage]:
    with desks.workspace(WorkspaceOptions(clock="real", allow_errors=True)) as desk:
        yield Stage(desk)


@pytest.mark.parametrize("snippet", python("program"), ids=name_of)
def test_program_runs(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in snippets_of(snippet.page):
        if file.kind == "file" and file.title is not None:
            (tmp_path / file.title).write_text(file.text)
    monkeypatch.chdir(tmp_path)
    text = "\n" * (snippet.line - 1) + snippet.text
    exec(compile(text, str(ROOT / snippet.page), "exec", dont_inherit=True), {"__name__": "__main__"})  # noqa: S102 - the page is ours
    if "prints" in snippet.options:
        assert capsys.readouterr().out == snippet.output


@pytest.mark.parametrize("snippet", python("await"), ids=name_of)
async def test_statements_run(
    snippet: Snippet,
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    await stage.play(snippet)
    assert errors(caplog) == []


@pytest.mark.parametrize("snippet", python("blocking"), ids=name_of)
def test_blocking_statements_run(
    snippet: Snippet,
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    stage.play_blocking(snippet)
    assert errors(caplog) == []


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a handler raised, say: nothing else tells of it."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_tests_pass(tmp_path: Path) -> None:
    snippets = python("test")
    files: dict[str, str] = {}
    for snippet in snippets:
        name = "test_" + re.sub(r"\W+", "_", snippet.page.removesuffix(".md"))
        # The first one of a page goes without an import: a newcomer has nothing else.
        if name not in files:
            files[f"{name}_first"] = snippet.text
            files[name] = "import pytest\n"
        else:
            files[name] += "\n\n" + snippet.text
    tests = sum(len(re.findall(r"^(?:async )?def test_", text, re.MULTILINE)) for text in files.values())
    assert tests >= 12
    status, printed = run_pytest(
        tmp_path,
        "--asyncio-mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        plugins=("pytest_asyncio.plugin",),
        **files,
    )
    assert status == 0, printed
    assert f"{tests} passed" in printed


@pytest.mark.parametrize("snippet", python("file", "shown"), ids=name_of)
def test_other_python_compiles(snippet: Snippet) -> None:
    compile(snippet.text, snippet.name, "exec", dont_inherit=True)


def test_data_can_be_read() -> None:
    for snippet in of_kind("file", "data"):
        if snippet.language in READERS:
            READERS[snippet.language](snippet.text)


def test_installs_name_this_package_and_extras_that_it_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installs = of_kind("install")
    assert len(installs) >= 3
    for snippet in installs:
        for extras in re.findall(r"(?:taskrouter-worker|\.)\[([^]]+)\]", snippet.text):
            assert set(extras.split(",")) <= project["optional-dependencies"].keys(), snippet.name


def test_each_block_has_a_known_language_and_a_comment_that_makes_sense() -> None:
    assert [snippet.name for snippet in of_kind(WRONG)] == [], "see tests/docs/snippets.py"


def test_guides_list_the_names_that_their_snippets_find() -> None:
    page = (ROOT / "docs" / "how-to" / "index.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [field.name for field in fields(Given)]


def test_most_of_the_documentation_runs() -> None:
    snippets = [snippet for snippet in all_snippets() if snippet.language in ("python", *SHELLS)]
    shown = [snippet for snippet in snippets if snippet.kind == "shown"]
    assert len(PAGES) > 20
    assert len(shown) * 4 < len(snippets), [snippet.name for snippet in shown]


# --- The mechanism itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "comment", ["perform", "shown", "shown because", "program offers=1", "run", "shown for no reason"]
)
def test_comment_that_makes_no_sense_is_told(comment: str) -> None:
    [snippet] = read("page.md", f"<!-- snippet: {comment} -->\n```python\npass\n```\n")
    assert snippet.kind == WRONG


@pytest.mark.parametrize("language", ["", "perl", "zsh"])
def test_block_in_an_unknown_language_is_told(language: str) -> None:
    [snippet] = read("page.md", f"```{language}\npass\n```\n")
    assert snippet.kind == WRONG


def test_block_is_read_with_its_comment_title_and_output() -> None:
    text = (
        "```sh\npip install x\n```\n\n<!-- snippet: program prints -->\n```python\nprint(1)\n```\n\n"
        '```text\n1\n```\n\n- x\n\n    ```yaml title="a.yaml"\n    a: 1\n    ```\n'
    )
    install, program, output, file = read("page.md", text)
    assert (install.kind, install.name) == ("install", "page.md:2")
    assert (program.kind, program.options, program.output) == ("program", {"prints": ""}, "1\n")
    assert output.kind == "data"
    assert (file.kind, file.title, file.text) == ("file", "a.yaml", "a: 1\n")


async def test_handler_that_raises_and_statement_that_fails_are_noticed(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        "from taskrouter_worker import Worker",
        "worker = Worker(token, **local)",
        "@worker.on('reservationCreated')",
        "async def handle(reservation):",
        "    await reservation.accept()",
        "    assert reservation.status == 'nonsense'",
        "async with worker:",
        "    await worker.wait_closed()",
    ]
    text = "<!-- snippet: await offer=1 until=accepted -->\n```python\n" + "\n".join(lines) + "\n```\n"
    [snippet] = read("docs/index.md", text)
    await stage.play(snippet)
    assert "AssertionError" in " ".join(errors(caplog))
    [snippet] = read("docs/index.md", "<!-- snippet: await -->\n```python\nawait token\n```\n")
    with pytest.raises(TypeError):
        await stage.play(snippet)
