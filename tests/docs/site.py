"""Build the documentation site, strictly: ``python -m tests.docs.site``.

Zensical refuses broken links, anchors and references. What it lets pass is checked here: warnings about
docstrings, pages that the navigation lacks, images and other files that are not there, and whatever a browser
would fetch from elsewhere.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import yaml

from tests.docs.snippets import ROOT

__all__ = ["navigation_problems", "site_problems"]

SITE: Final = ROOT / "build" / "docs"
DOCS: Final = ROOT / "docs"

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_WARNING: Final = re.compile(r"^(?:griffe|mkdocstrings): .*", re.MULTILINE)
_IMPORTED: Final = re.compile(r"""(?:url\(\s*|@import\s+)['"]?((?:https?:)?//[^)'"]+)""")
_FETCHED: Final = {
    **dict.fromkeys(("audio", "embed", "iframe", "img", "script", "source", "video"), "src"),
    "link": "href",
}
_NOT_FETCHED: Final = {"canonical", "next", "prev", "author", "license"}


@dataclass
class Page(HTMLParser):
    """What one page of the site holds."""

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses and anchors of a tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in _FETCHED and _FETCHED[tag] in given and given.get("rel", "") not in _NOT_FETCHED:
            self.fetched.append(given[_FETCHED[tag]])


def navigation_problems(config: Path = ROOT / "mkdocs.yml") -> list[str]:
    """Pages that the navigation names and that are not there, and the other way around."""
    named = set(_pages(yaml.safe_load(config.read_text(encoding="utf-8"))["nav"]))
    there = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    return [
        *(f"mkdocs.yml names {page}, which is not there" for page in sorted(named - there)),
        *(f"docs/{page} is not in the navigation of mkdocs.yml" for page in sorted(there - named)),
    ]


def _pages(nav: object) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case list():
            for entry in nav:
                yield from _pages(entry)
        case dict():
            for entry in nav.values():
                yield from _pages(entry)
        case _:
            raise TypeError(f"mkdocs.yml: what is {nav!r} in the navigation?")


def site_problems(site: Path) -> list[str]:
    """What is wrong with a site that was built."""
    pages: dict[Path, Page] = {}
    problems: list[str] = []
    for path in sorted(set(site.rglob("*.html")) - {site / "404.html"}):  # its links begin at the root
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    for path, page in pages.items():
        found = (
            _problem(path, address, pages, fetched=address in page.fetched)
            for address in [*page.links, *page.fetched]
        )
        problems += [f"{path.relative_to(site)}: {problem}" for problem in found if problem]
    for path in sorted(site.rglob("*.css")):
        imported: list[str] = _IMPORTED.findall(path.read_text(encoding="utf-8"))
        problems += [f"{path.relative_to(site)}: fetches {address}" for address in imported]
    return problems


def _problem(path: Path, address: str, pages: dict[Path, Page], *, fetched: bool) -> str | None:
    parts = urlsplit(address)
    if parts.scheme in ("data", "mailto", "javascript"):
        return None
    if parts.scheme or parts.netloc:
        return f"fetches {address}" if fetched else None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"leads to {address}, which is not there"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors and not anchor.startswith("__"):
        return f"leads to {address}, which has no such place"
    return None


def main() -> int:
    """Build and check; 1 if something is wrong."""
    built = subprocess.run(
        [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--clean"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    printed = _COLOUR.sub("", built.stdout + built.stderr)
    problems = [*_WARNING.findall(printed), *navigation_problems()]
    if built.returncode:
        print(printed)
        problems.append("the site could not be built")
    else:
        problems += site_problems(SITE)
    for problem in problems:
        print(problem)
    if not problems:
        pages = len(list(SITE.rglob("*.html")))
        print(
            f"{SITE.relative_to(ROOT)}: {pages} pages, nothing is wrong with them. They open from the disk;"
        )
        print(f"for the search serve them: python -m http.server --directory {SITE.relative_to(ROOT)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
