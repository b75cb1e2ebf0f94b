"""The fenced blocks of the documentation, and what is to be done with each.

A comment right above a block says what it needs; readers do not see it::

    <!-- snippet: await offer=1 until=completed -->

* ``program`` (Python's default): a complete program, run as it is. With `prints` the block of ``text`` that
  follows is what it prints.
* ``test`` (the default of Python with tests in it): run by pytest with the plugin.
* ``await``: statements that may await, with the names of `stage.Given`.
* ``blocking``: the same without an event loop.
* ``file`` (the default of blocks with a title): a file that later commands of the page use.
* ``run`` (the default of shells): commands, run in order, in one directory for the page.
* ``serve``: a command that stays until the page is done.
* ``install`` (the default of commands that only install): names and extras are looked up.
* ``shown because ...``: cannot be run here, for this reason.

`with=recording` puts a recorded session there as `session.jsonl`; `with=server` gives a page's commands a
server of their own, in the environment.

`offer` is how many tasks wait for the worker (with `to=bots`: for each of three), `until` what becomes of
them before its session is ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["PAGES", "ROOT", "Snippet", "all_snippets", "read", "snippets_of"]

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ("README.md", *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/**/*.md"))))

SHELLS: Final = ("sh", "console")
NOT_RUN: Final = ("text", "js", "yaml", "toml", "json", "ini")
"""Languages of what nobody runs. A block in any other one is `WRONG`: it might be meant to be run."""

ALSO: Final = {"bash": "sh", "shell": "sh", "py": "python", "yml": "yaml"}
KINDS: Final = {
    "python": ("program", "test", "await", "blocking", "file", "shown"),
    "sh": ("run", "serve", "install", "file", "shown"),
    "console": ("run", "serve", "install", "shown"),
}
WRONG: Final = "wrong"
"""The kind of a block whose comment makes no sense; a test names them."""

OPTIONS: Final = ("offer", "to", "until", "prints", "with")

_FENCE: Final = re.compile(r"( *)```([\w-]*)(.*)")
_TITLE: Final = re.compile(r'title="([^"]+)"')
_COMMENT: Final = re.compile(r" *<!-- snippet: (\S+) ?(.*?) *-->")
_TEST: Final = re.compile(r"^(?:async )?def test_", re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A fenced block.

    Attributes:
        page: its file, from the repository's root.
        line: of its first line of text, from 1.
        language: as the fence says; empty without.
        kind: what is to be done with it.
        options: the comment's options; those without a value are empty.
        reason: why it is only shown.
        title: the file's name, None if it is none.
        text: without the fence's indentation.
        output: the block of ``text`` that follows it.
    """

    page: str
    line: int
    language: str
    kind: str
    options: dict[str, str]
    reason: str
    title: str | None
    text: str
    output: str

    @property
    def name(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> str:
        """A shell's block without prompts and without what was printed."""
        if self.language != "console":
            return self.text
        return "".join(line[2:] for line in self.text.splitlines(keepends=True) if line.startswith("$ "))


@cache
def snippets_of(page: str) -> tuple[Snippet, ...]:
    """The blocks of a page, in order."""
    return tuple(read(page, (ROOT / page).read_text(encoding="utf-8")))


def all_snippets() -> list[Snippet]:
    """The blocks of all pages."""
    return [snippet for page in PAGES for snippet in snippets_of(page)]


def read(page: str, text: str) -> Iterator[Snippet]:
    """The blocks of a page's text."""
    lines = text.splitlines()
    found: list[tuple[int, str, str, str, str]] = []  # line, language, rest of the fence, comment, text
    number = 0
    while number < len(lines):
        opened = _FENCE.fullmatch(lines[number])
        if opened is None:
            number += 1
            continue
        indent, language, rest = opened.groups()
        above = lines[number - 1] if number else ""
        end = next(n for n in range(number + 1, len(lines)) if lines[n] == f"{indent}```")
        body = "".join(line.removeprefix(indent) + "\n" for line in lines[number + 1 : end])
        found.append((number + 2, language, rest, above, body))
        number = end + 1
    following = [*found, (0, "", "", "", "")][1:]
    for (line, language, rest, above, body), after in zip(found, following, strict=True):
        yield _snippet(page, line, language, rest, above, body, after[4] if after[1] == "text" else "")


def _snippet(page: str, line: int, language: str, rest: str, above: str, body: str, output: str) -> Snippet:
    language = ALSO.get(language, language)
    titled = _TITLE.search(rest)
    title = titled[1] if titled else None
    comment = _COMMENT.fullmatch(above)
    options: dict[str, str] = {}
    reason = ""
    if comment is None:
        kind = _default(language, title, body)
    else:
        kind = comment[1]
        if kind == "shown":
            reason = comment[2].removeprefix("because ")
            if reason == comment[2] or not reason:
                kind = WRONG
        else:
            options = {name: value for name, _, value in (o.partition("=") for o in comment[2].split())}
    allowed = KINDS.get(language, ("file", "data"))
    if kind not in allowed or not options.keys() <= set(OPTIONS) or language not in (*KINDS, *NOT_RUN):
        kind = WRONG
    return Snippet(page, line, language, kind, options, reason, title, body, output)


def _default(language: str, title: str | None, body: str) -> str:
    if title is not None:
        return "file"
    if language == "python":
        return "test" if _TEST.search(body) else "program"
    if language in SHELLS:
        commands = [line.removeprefix("$ ") for line in body.splitlines() if line.strip(" $")]
        return "install" if all(_installs(line) for line in commands) else "run"
    return "data"


def _installs(command: str) -> bool:
    return command.startswith(("pip install", "python -m pip install"))
