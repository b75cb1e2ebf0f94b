"""What both programs' help and `docs/command-line.md` say is what the programs take."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

import server_stub
from docs import command_line

CONSOLE = Path(server_stub.__file__).parent / "console" / "web"
PROGRAMS = command_line.parsers()
COMMANDS = [command for program in PROGRAMS.values() for command in command_line.commands(program)]


def name_of(command: argparse.ArgumentParser) -> str:
    return command.prog


def examples_of(command: argparse.ArgumentParser) -> list[str]:
    """The lines below `Examples:` in its help."""
    _, _, after = (command.epilog or "").partition("Examples:\n")
    return [line.strip() for line in re.match(r"(?:  .*\n)*", after)[0].splitlines()]  # type: ignore[index]


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_every_command_has_json_and_tells_its_statuses(command: argparse.ArgumentParser) -> None:
    [json] = [action for action in command._actions if "--json" in action.option_strings]
    assert json.help
    assert re.search(r"^Exit status: 0 ", command.epilog or "", re.MULTILINE)
    assert all(action.help for action in command._actions)
    assert max(map(len, (command.epilog or "").splitlines())) <= 110


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_every_command_has_examples_that_it_takes(
    command: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("fpath", "/f")
    examples = examples_of(command)
    assert examples
    assert any(command.prog in example for example in examples)
    for example in examples:
        # What a shell would take away: comments, redirections, what is exported, a second command.
        text = re.sub(r'^eval "\$\((.*)\)"', r"\1", example.partition("   #")[0])
        for part in re.split(r" && |; ", re.sub(r" > \S+| \S*<\S+", "", text)):
            words = shlex.split(part, comments=True)
            PROGRAMS[words[0]].parse_args(words[1:])


def test_console_shows_commands_that_the_programs_take() -> None:
    shown = [
        command
        for script in sorted(CONSOLE.glob("*.js"))
        for _, command in re.findall(
            r"""(["'`])((?:eval .*?)?taskrouter-(?:stub|worker) .*?)\1[,)\s]""",
            script.read_text(encoding="utf-8"),
        )
    ]
    assert len(shown) >= 6
    for command in shown:
        for part in re.sub(r'^eval "\$\((.*?)\)"', r"\1", command).split("; "):
            words = shlex.split(part)
            PROGRAMS[words[0]].parse_args(words[1:])


def test_page_is_what_the_parsers_say() -> None:
    written = command_line.PAGE.read_text(encoding="utf-8")
    assert written == command_line.page(), "run: python -m docs.command_line"
    for command in COMMANDS:
        assert f"### {command.prog}\n" in written
    assert (command_line.PAGE.parent / "listen.svg").is_file()


def test_picture_is_drawn() -> None:
    drawn = command_line.picture()
    for text in ("nina", "Available", "Cards", "wrapping", "accept"):
        assert text in drawn


def test_pages_own_statuses_are_the_programs() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (.*) \|$", command_line.PAGE.read_text(), re.MULTILINE))
    told = {status for command in COMMANDS for status in re.findall(r"\b(\d) [a-z]", _statuses(command))}
    assert told <= set(table)
    assert set(table) - told == {"130"}


def _statuses(command: argparse.ArgumentParser) -> str:
    return (command.epilog or "").rpartition("Exit status:")[2]
