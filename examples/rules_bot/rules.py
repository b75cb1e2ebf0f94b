"""The rules of a bot: a YAML or JSON file, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

__all__ = ["Rule", "Rulebook", "RulesError", "read_rules"]

Name = Annotated[str, msgspec.Meta(min_length=1)]


class RulesError(Exception):
    """The file cannot be used; the text says what is wrong, and where."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done with the offers that it fits.

    Attributes:
        name: for people, and the reason with which its tasks are completed.
        do: accept, or reject, so that somebody else is asked: the task gets the attributes `needs_person`,
            true, and `refused`, the rule's name.
        when: attributes of the task, each with its value or a list of possible ones. A dot leads into an
            object: `order.shipped`. A rule without any fits every task.
        seconds: how long the work takes; of accepted tasks.
        set: attributes that the finished task gets; of accepted tasks.
    """

    name: Name
    do: Literal["accept", "reject"]
    when: dict[Name, Any] = {}
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    set: dict[str, Any] = {}

    def fits(self, attributes: Mapping[str, Any]) -> bool:
        """Whether it is for a task with these attributes."""
        return all(
            any(_same(_found(attributes, path), value) for value in (wanted if _many(wanted) else [wanted]))
            for path, wanted in self.when.items()
        )


class Rulebook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules.

    Attributes:
        rules: the first one that fits counts.
        otherwise: what is done where none fits.
        parallel: how many tasks the bot has at once.
        ready: the name of the activity in which it takes work.
        full: the name of the one, not available, that it is in while it has `parallel` tasks.
    """

    rules: list[Rule]
    otherwise: Literal["accept", "reject"] = "reject"
    parallel: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    ready: Name = "Available"
    full: Name = "Unavailable"

    def rule_for(self, attributes: Mapping[str, Any]) -> Rule:
        """The rule for a task with these attributes."""
        return next(
            (rule for rule in self.rules if rule.fits(attributes)), Rule("no rule fits", self.otherwise)
        )


def read_rules(file: Path) -> Rulebook:
    """The rules in a file.

    Raises:
        RulesError: it cannot be read, or says something that it cannot say.
    """
    try:
        return msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), Rulebook)  # JSON is YAML
    except OSError as error:
        raise RulesError(f"{file} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RulesError(f"{file} is neither YAML nor JSON: {error}") from None
    except msgspec.ValidationError as error:
        raise RulesError(f"{file}: {error}") from None


def _found(attributes: Any, path: str) -> Any:
    for key in path.split("."):
        attributes = attributes.get(key) if isinstance(attributes, Mapping) else None
    return attributes


def _many(wanted: object) -> bool:
    return isinstance(wanted, list)


def _same(found: object, wanted: object) -> bool:
    """Equal as JSON: true is not 1."""
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
