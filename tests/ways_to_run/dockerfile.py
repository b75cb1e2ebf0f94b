"""A Dockerfile as data, as far as ours goes."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Stage", "kept_by", "read_stages"]


@dataclass
class Stage:
    """What stands between one FROM and the next.

    Attributes:
        image: the base image, with its arguments not filled in.
        environment: of all ENV instructions.
        instructions: the others, in order: name and text.
    """

    image: str
    environment: dict[str, str] = field(default_factory=dict)
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """The texts of every instruction of a name."""
        return [text for found, text in self.instructions if found == name]

    def command(self, name: str) -> list[str]:
        """The words of the only instruction of a name, which has to be in the JSON form.

        Raises:
            ValueError: it is not there once, or runs a shell.
        """
        [text] = self.all(name)
        words: list[str] = json.loads(text[text.index("[") :])
        return words


def read_stages(file: Path) -> list[Stage]:
    """The stages of a Dockerfile."""
    stages: list[Stage] = []
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, text = line.strip().partition(" ")
        match name.upper():
            case "" | "ARG":
                continue
            case "FROM":
                stages.append(Stage(text.split()[0]))
            case "ENV":
                for word in shlex.split(text):
                    key, _, value = word.partition("=")
                    stages[-1].environment[key] = value
            case _:
                stages[-1].instructions.append((name.upper(), text.strip()))
    return stages


def kept_by(dockerignore: Path) -> list[str]:
    """The names at the top of the tree that are sent to the engine.

    Raises:
        ValueError: the file does not begin by leaving out everything.
    """
    lines = [line for line in dockerignore.read_text().splitlines() if line and not line.startswith("#")]
    if lines[:1] != ["*"]:
        raise ValueError(f"{dockerignore} does not begin with *: it would send whatever lies around")
    return [line.removeprefix("!") for line in lines if line.startswith("!")]
