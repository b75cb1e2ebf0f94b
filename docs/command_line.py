"""Writes ``docs/command-line.md``, the reference of both programs, and ``docs/listen.svg``.

``python -m docs.command_line`` from the root of the repository. Everything about commands is asked of the
programs' own parsers; ``tests/cli/test_reference.py`` fails when the page and the programs disagree.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("command-line.md")
PICTURE: Final = Path(__file__).with_name("listen.svg")

_HEAD: Final = """\
# Command line

Two programs come with the package. `taskrouter-stub` is the local server, and asks one that runs; it needs
the extra `server`. `taskrouter-worker` is a worker in the terminal, Twilio's or a local one; its screen
needs the extra `cli`.

```sh
pip install 'taskrouter-worker[server,cli]'
```

## A first round

Start a server, and have it write down how to reach it. The file holds secrets: only you may read it.

<!-- snippet: serve -->
```sh
taskrouter-stub serve --env-file desk.env
```

In another terminal, take that over, make a worker and a task, and see why the task went where it went:

<!-- snippet: run -->
```sh
set -a; . ./desk.env; set +a
taskrouter-stub worker create nina --activity Available
taskrouter-stub explain "$(taskrouter-stub task create topic=cards vip:=true)"
taskrouter-stub task list
```

Be nina: keys accept, reject, wrap up and complete, and change her activity. They are for the row with `▶`,
or else the first one that they fit. `▷` marks a row that has just come up: for half a second no key is for
it, and a key that is held or pressed twice is one press, so that nobody accepts what they did not see.

<!-- snippet: shown because it needs a terminal; tests/cli/test_screen.py runs it in one -->
```sh
eval "$(taskrouter-stub token nina --env)"
taskrouter-worker listen
```

![A worker's screen: offers with their time left, tasks at work, what happened, and the keys](listen.svg)

Or leave it to a bot, which tells what it does as JSON lines:

<!-- snippet: run -->
```sh
eval "$(taskrouter-stub token nina --env)"
taskrouter-worker listen --json --auto accept --complete-after 0.5 | head -n 3
```

Then see what happened. Without `--no-follow` it goes on until Ctrl-C.

<!-- snippet: run -->
```sh
taskrouter-stub events tail --type 'reservation.*' --last 5 --no-follow
```

Against Twilio `taskrouter-worker` is the same: without `TASKROUTER_EB_SERVER` and `TASKROUTER_WS_SERVER`,
and with a token that a server of yours signs. `--token-command` runs a program of yours for each token, in
time before the last one ends.

## Rules for all commands

* `--json` prints one JSON document; streams (`events tail`, `listen`) print one on each line. Messages for
  people go to the standard error.
* Colours and tables come on a terminal; where the output is piped, each item is one plain line. `NO_COLOR`
  turns colours off.
* The server is found by `--url` or `TASKROUTER_STUB_URL`, its credentials by the environment alone:
  arguments are seen by other users of a machine. No message shows a token or a secret.
* `completion bash`, `zsh` or `fish` prints a script for the shell.

### Exit statuses

| status | meaning |
| --- | --- |
| 0 | done, or ended as the user wished |
| 1 | it did not succeed: each command's help says what that means for it |
| 2 | wrong use: arguments, files, missing credentials |
| 3 | the server or service cannot be reached, or failed; `serve`: its data could not be written |
| 4 | there is no such thing on the server |
| 5 | the credentials or the token were refused |
| 130 | Ctrl-C where that is no way to end |

"""

COLUMNS: Final = 100
"""Width of the picture, in characters."""


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Both programs' parsers, as they are without anything in the environment."""
    from server_stub.__main__ import _parser  # noqa: PLC0415 - defaults are read when it is called
    from taskrouter_worker._cli.program import parser  # noqa: PLC0415

    with _bare_environment():
        return {"taskrouter-stub": _parser(), "taskrouter-worker": parser()}


@contextmanager
def _bare_environment() -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("TASKROUTER_")}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The commands of a program, without those that only group others."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    if not groups:
        yield parser
    for group in groups:
        for command in group.choices.values():
            yield from commands(command)


def page() -> str:
    """The page's text."""
    parts = [_HEAD]
    for name, program in parsers().items():
        parts.append(f"## {name}\n\n")
        parts += [_section(command) for command in sorted(commands(program), key=lambda one: one.prog)]
    return "".join(parts).rstrip() + "\n"


def _section(command: argparse.ArgumentParser) -> str:
    rows = [
        f"| `{_spelled(action)}` | {_escaped(_help(action))} |\n"
        for action in command._actions  # noqa: SLF001 - argparse has no other list of them
        if not isinstance(action, argparse._HelpAction)  # noqa: SLF001
    ]
    table = "| argument | meaning |\n| --- | --- |\n" + "".join(rows)
    more = f"\n```text\n{(command.epilog or '').strip()}\n```\n"
    return f"### {command.prog}\n\n{_escaped(command.description or '')}\n\n{table}{more}\n"


def _spelled(action: argparse.Action) -> str:
    """An argument as it is typed."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    value = action.metavar or choices
    if not action.option_strings:
        return str(value)
    name = action.option_strings[-1]
    return name if action.nargs == 0 else f"{name} {value}"


def _help(action: argparse.Action) -> str:
    values: Mapping[str, object] = {**vars(action), "prog": ""}
    return (action.help or "") % values


def _escaped(text: str) -> str:
    for character in "*[]<|":
        text = text.replace(character, f"\\{character}")
    return text


def picture() -> str:
    """The screen of `listen`, as SVG."""
    from rich.console import Console  # noqa: PLC0415 - the page does without

    from taskrouter_worker._cli.picture import Picture, Row  # noqa: PLC0415 - the same

    shown = Picture(
        name="nina",
        activity="Available",
        available=True,
        connection="connected",
        connected=True,
        rows=(
            Row("WR1", "pending", "topic=cards  vip=true", "Cards and payments", "chat", left=94, whole=120),
            Row("WR2", "pending", "topic=loans  amount=25000", "Loans", "default", left=21, whole=120),
            Row("WR3", "accepted", "topic=mortgage  language=de", "Mortgages", "voice", since=754),
            Row("WR4", "wrapping", "topic=cards", "Cards and payments", "chat", since=31),
        ),
        selected="WR1",
        notes=(
            ("12:01:03", "connected as nina"),
            ("12:01:09", "offered: topic=loans  amount=25000"),
            ("12:02:22", "offered: topic=cards  vip=true"),
        ),
    )
    console = Console(record=True, width=COLUMNS, height=20, file=io.StringIO(), force_terminal=True)
    console.print(shown, end="")
    drawn = console.export_svg(title="taskrouter-worker listen")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # nothing is fetched from elsewhere


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")
    print(f"{PAGE.name} and {PICTURE.name} are written", file=sys.stderr)
