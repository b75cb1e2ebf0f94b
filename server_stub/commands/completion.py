"""``taskrouter-stub completion``: what a shell needs to complete the program's commands and options."""

from __future__ import annotations

import argparse
from typing import Any, Final

from .remote import DONE, complain
from .showing import show_json, show_text

__all__ = ["add_completion", "run_completion"]

NOT_INSTALLED: Final = 1
"""Exit status."""

SHELLS: Final = ("bash", "zsh", "fish")

_EPILOG: Final = """\
Examples:
  eval "$(taskrouter-stub completion bash)"                                       # this shell only
  taskrouter-stub completion bash > ~/.local/share/bash-completion/completions/taskrouter-stub
  taskrouter-stub completion zsh > "${fpath[1]}/_taskrouter-stub"
  taskrouter-stub completion fish > ~/.config/fish/completions/taskrouter-stub.fish

Exit status: 0 done; 1 shtab, which comes with the extra "server", is not installed; 2 wrong use.
"""


def add_completion(commands: Any) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "completion",
        help="print a script with which a shell completes commands and options",
        description="Print a script with which a shell completes this program's commands and options.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell")
    parser.add_argument("--json", action="store_true", help='print {"shell": ..., "script": ...}')


def run_completion(options: argparse.Namespace, program: argparse.ArgumentParser) -> int:
    """Carry out the command for the parser of the whole program; its exit status."""
    try:
        import shtab  # noqa: PLC0415 - part of the extra "server"
    except ImportError:
        complain('pip install "taskrouter-worker[server]" brings shtab')
        return NOT_INSTALLED
    script = shtab.complete(program, shell=options.shell)
    if options.json:
        show_json({"shell": options.shell, "script": script})
    else:
        show_text(script)
    return DONE
