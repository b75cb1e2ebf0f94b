"""Fail if something that is installed with the SDK or the server has a licence that is not on the list.

``python -m tests.supply_chain.licenses``. `make check` runs it over the development environment: looked at
is what `taskrouter-worker` and the extras that users install require there, and what those require.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT: Final = "taskrouter-worker"

DEVELOPMENT: Final = (
    "browser-tests",
    "desktop-tests",
    "dev",
    "docs",
    "fuzz",
    "lint-containers",
    "supply-chain",
)
"""Extras that no user installs."""

ALLOWED: Final = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "PSF-2.0"}
)
"""SPDX names of licences that let this project's own, MIT, stand: none asks anything of who uses it."""

SAID_OTHERWISE: Final = {
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
"""How metadata older than SPDX expressions says the same."""


def needed(project: str = PROJECT) -> dict[str, Distribution]:
    """What a project and its extras for users require, directly or not, as far as it is installed here."""
    found: dict[str, Distribution] = {}
    root = distribution(project)
    extras = [name for name in root.metadata.get_all("Provides-Extra") or [] if name not in DEVELOPMENT]
    waiting = [(root, ("", *extras))]
    while waiting:
        made, wanted = waiting.pop()
        for line in made.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in wanted):
                continue
            name = canonicalize_name(requirement.name)
            if name in found or name == project:
                continue
            try:
                found[name] = distribution(requirement.name)
            except PackageNotFoundError:
                raise SystemExit(
                    f"{name} is required by {made.name} and not installed: run make setup"
                ) from None
            waiting.append((found[name], ("", *requirement.extras)))
    return found


def told(made: Distribution) -> str:
    """The licence that a distribution names: an SPDX expression if it has one."""
    metadata = made.metadata
    expressions: list[str] = metadata.get_all("License-Expression") or []
    if expressions:
        return expressions[0]
    texts: list[str] = metadata.get_all("License") or [""]
    short = texts[0].strip()
    if short and "\n" not in short and len(short) < 60:
        return SAID_OTHERWISE.get(short.lower(), short)
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    names = [c.rpartition(" :: ")[2] for c in classifiers]
    return " AND ".join(SAID_OTHERWISE.get(name.lower(), name) for name in names)


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be fulfilled with licences on the list. One that is broken cannot."""
    words = re.findall(r"[()]|[^\s()]+", expression)

    def either() -> bool:
        result = both()
        while words and words[0].upper() == "OR":
            words.pop(0)
            result = both() or result  # in this order: the words have to be read
        return result

    def both() -> bool:
        result = one()
        while words and words[0].upper() == "AND":
            words.pop(0)
            result = one() and result
        return result

    def one() -> bool:
        word = words.pop(0)
        if word != "(":
            return word in ALLOWED
        result = either()
        if words.pop(0) != ")":
            raise IndexError
        return result

    try:
        return either() and not words
    except IndexError:  # it ends too early
        return False


def refused(distributions: Iterable[Distribution]) -> Iterator[str]:
    """What is not allowed, a line each."""
    for made in distributions:
        licence = told(made)
        if not is_allowed(licence):
            yield f"{made.name} {made.version}: {licence or 'it names no licence'}"


def main() -> int:
    """Check, and say what was found."""
    found = needed()
    problems = sorted(refused(found.values()))
    for problem in problems:
        print(f"not on the list of licences: {problem}", file=sys.stderr)
    print(f"{len(found)} distributions, {len(problems)} with a licence that is not on the list")
    return 1 if problems or not found else 0


if __name__ == "__main__":
    sys.exit(main())
