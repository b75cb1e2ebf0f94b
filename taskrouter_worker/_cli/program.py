"""The program ``taskrouter-worker``: its commands, and what becomes of their failures."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from taskrouter_worker._version import __version__

from .access import given_token
from .inspecting import add_token_command, inspect_token
from .leaving import FAILED, LEFT, Stop, complain, tell, tell_anything
from .listening import add_listen, listen

__all__ = ["main", "parser"]

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C where that is no way to end, as shells expect it."""

SHELLS: Final = ("bash", "zsh", "fish")

_COMPLETION: Final = """\
Examples:
  eval "$(taskrouter-worker completion bash)"                                       # this shell only
  taskrouter-worker completion bash > ~/.local/share/bash-completion/completions/taskrouter-worker
  taskrouter-worker completion zsh > "${fpath[1]}/_taskrouter-worker"
  taskrouter-worker completion fish > ~/.config/fish/completions/taskrouter-worker.fish

Exit status: 0 done; 1 shtab, which comes with the extra "cli", is not installed; 2 wrong use.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status, as each command's help explains it."""
    tell_anything()
    program = parser()
    options = program.parse_args(argv)
    try:
        if options.command == "completion":
            return _complete(program, options)
        given = given_token(options)
        run = listen if options.command == "listen" else inspect_token
        return asyncio.run(run(options, given))
    except Stop as stop:
        if str(stop):
            complain(str(stop))
        return stop.status
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    program = argparse.ArgumentParser(
        prog="taskrouter-worker", description="A TaskRouter worker in the terminal: Twilio's, or a local one."
    )
    program.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = program.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_listen(commands)
    add_token_command(commands)
    _add_completion(commands)
    return program


def _add_completion(commands: Any) -> None:  # Any: argparse does not name the type
    completion: argparse.ArgumentParser = commands.add_parser(
        "completion",
        help="print a script with which a shell completes commands and options",
        description="Print a script with which a shell completes this program's commands and options.",
        epilog=_COMPLETION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=SHELLS, help="which shell")
    completion.add_argument("--json", action="store_true", help='print {"shell": ..., "script": ...}')


def _complete(program: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    try:
        import shtab  # noqa: PLC0415 - part of the extra "cli"
    except ImportError:
        raise Stop(FAILED, 'pip install "taskrouter-worker[cli]" brings shtab') from None
    script = shtab.complete(program, shell=options.shell)
    tell(json.dumps({"shell": options.shell, "script": script}) if options.json else script)
    return LEFT
