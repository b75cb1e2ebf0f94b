"""The command line: ``python -m server_stub serve``, ``seed`` and so on, installed as ``taskrouter-stub``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from taskrouter_worker._version import __version__

from .commands.completion import add_completion, run_completion
from .commands.events import add_events, run_events
from .commands.explain import add_explain, run_explain
from .commands.health import add_health, run_health
from .commands.remote import carry_out, guarded
from .commands.replay import add_replay, run_replay
from .commands.serve_options import add_serve
from .commands.showing import show_anything
from .commands.state import COMMANDS, add_state_commands, run_state_command
from .commands.task import add_task, run_task
from .commands.token import add_token, run_token
from .commands.worker import add_worker, run_worker

__all__ = ["main"]

ENVIRONMENT: Final = "TASKROUTER_STUB_"

_REMOTE: Final = {"task": run_task, "worker": run_worker, "token": run_token}
"""The commands that ask a running server and end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Of `serve`: 0 stopped, 1 could not listen, 2 bad arguments, seed or data, 3 stopped because the data
    could not be written; of the others see there.
    """
    show_anything()
    parser = _parser()
    options = _parsed(parser, argv)
    return guarded(lambda: _run(options, parser))


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if options.command in _REMOTE:
        return carry_out(_REMOTE[options.command](options, ENVIRONMENT))
    if options.command == "events":  # Ctrl-C is how it ends
        return carry_out(run_events(options, ENVIRONMENT), interrupted=0)
    if options.command == "completion":
        return run_completion(options, parser)
    if options.command == "explain":
        return run_explain(options, ENVIRONMENT)
    if options.command == "health":
        return run_health(options)
    if options.command == "replay":
        return run_replay(options)
    if options.command in COMMANDS:
        return run_state_command(options, ENVIRONMENT)
    from .commands.serve import run_serve  # noqa: PLC0415 - it loads the server, which the others do without

    return run_serve(options, parser, ENVIRONMENT)


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; attributes may stand behind options, which argparse does not let lists do."""
    options, rest = parser.parse_known_args(argv)
    if rest and (not hasattr(options, "attributes") or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.attributes += rest
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="taskrouter-stub", description="A local Twilio TaskRouter.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_serve(commands, ENVIRONMENT)
    add_state_commands(commands, ENVIRONMENT)
    add_explain(commands, ENVIRONMENT)
    add_health(commands, ENVIRONMENT)
    add_replay(commands)
    add_task(commands, ENVIRONMENT)
    add_worker(commands, ENVIRONMENT)
    add_token(commands, ENVIRONMENT)
    add_events(commands, ENVIRONMENT)
    add_completion(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
