"""How docstrings become pages: a Griffe extension that `mkdocs.yml` names.

The docstrings are written for readers of the source. Two things of theirs mean nothing in Markdown: ``::``
before an indented example, and public names in backticks, which become links
here. Values of enumerations are listed.
"""

from __future__ import annotations

import functools
import itertools
import re
import textwrap
from pathlib import Path
from typing import Any, Final

import griffe

__all__ = ["Docstrings"]

_PAGES: Final = Path(__file__).parent / "reference"
_EXAMPLE: Final = re.compile(r"^( *)(.*)::$")
_NAME: Final = re.compile(r"(?<![`\[\w])`([A-Z]\w+(?:\.\w+)?|worker_token)`(?!`)")

_MEMBER: Final = re.compile(r"^    [A-Z_]+ = \"([^\"]*)\"(?:  # (.*))?$", re.MULTILINE)
_KEY: Final = re.compile(r"^    (\w+): (.*?)(?:  # (.*))?$", re.MULTILINE)
_CONFESSION: Final = re.compile(r"noqa: \w+ - [^;]*;? ?")

_PRIVATE: Final = frozenset({"context", "fields", "thread", "desk"})
"""What only the package passes to a class."""


@functools.cache
def shown() -> dict[str, str]:
    """What the pages of the reference show: short names, and the full ones that are their anchors."""
    found: dict[str, str] = {}
    for page in sorted(_PAGES.glob("*.md")):
        for full in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(full.rpartition(".")[2], full)
    return found


def as_markdown(text: str) -> str:
    """A docstring with fenced examples and with links."""
    lines = text.splitlines()
    done: list[str] = []
    at = 0
    while at < len(lines):
        introduced = _EXAMPLE.match(lines[at])
        if introduced is None:
            done.append(_NAME.sub(_link, lines[at]))
            at += 1
            continue
        indent, words = introduced.groups()
        belongs = functools.partial(_belongs, indent=f"{indent}    ")
        example = list(itertools.takewhile(belongs, lines[at + 1 :]))
        at += 1 + len(example)
        language = "text" if any("──" in line for line in example) else "python"
        code = textwrap.dedent("\n".join(example)).strip("\n")
        fenced = f"```{language}\n{code}\n```"
        done += [f"{indent}{_NAME.sub(_link, words)}:" if words else "", ""]
        done += [*textwrap.indent(fenced, indent).splitlines(), ""]
    return "\n".join(done)


def _belongs(line: str, *, indent: str) -> bool:
    return not line.strip() or line.startswith(indent)


def _link(found: re.Match[str]) -> str:
    name, _, member = found[1].partition(".")
    full = shown().get(name)
    return found[0] if full is None else f"[`{found[1]}`][{full}{'.' if member else ''}{member}]"


def values(source: str) -> str:
    """The members of an enumeration, as a list, with what the comments beside them say."""
    lines: list[str] = []
    for value, comment in _MEMBER.findall(source):
        said = _CONFESSION.sub("", comment)
        lines.append(f"* `{value}`: {said}" if said else f"* `{value}`")
    return "\n".join(lines)


def keys(source: str) -> str:
    """The keys of a dict with types, as a list, with what the comments beside them say."""
    return "\n".join(
        f"* `{name}` (`{kind}`){': ' if comment else ''}{comment}"
        for name, kind, comment in _KEY.findall(source)
    )


class Docstrings(griffe.Extension):
    """Changes docstrings as they are read from the source."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:  # Any: as Griffe calls it
        """One module, class, function or attribute."""
        if obj.docstring is None:
            return
        obj.docstring.value = as_markdown(obj.docstring.value)
        bases = [str(base) for base in obj.bases] if isinstance(obj, griffe.Class) else []
        if any(base.endswith("Enum") for base in bases):
            obj.docstring.value += f"\n\nValues:\n\n{values(obj.source)}"
        if "TypedDict" in bases:
            obj.docstring.value += f"\n\nOptions:\n\n{keys(obj.source)}"

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:  # Any: as Griffe calls it
        """Nobody but the package makes some objects: how that is done is no reader's business."""
        made = cls.members.get("__init__")
        if isinstance(made, griffe.Function) and _PRIVATE & {one.name for one in made.parameters}:
            del cls.members["__init__"]
