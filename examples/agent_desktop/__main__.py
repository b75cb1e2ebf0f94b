"""An agent's desktop for Twilio TaskRouter.

Without options it asks for a token. The token may also come from the environment (TASKROUTER_TOKEN) or
a file.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace

from .login import Login, LoginError, read_token

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run the application and return the exit status: 0 closed, 2 bad arguments or something is missing."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        login = _login(options)
    except LoginError as error:
        parser.error(str(error))
    allowed = (
        frozenset(name.strip() for name in options.activities.split(",")) if options.activities else None
    )
    with ExitStack() as stack:
        if options.demo:
            try:
                from .demo import Demo  # noqa: PLC0415 - needs the server
            except ImportError as error:
                print(f"The demonstration needs the local server ({error}). Install it:", file=sys.stderr)
                print("  pip install 'taskrouter-worker[server]'", file=sys.stderr)
                return 2
            login = stack.enter_context(Demo()).login
        return (_in_terminal if options.terminal else _in_window)(options, login, allowed)


def _in_terminal(_: argparse.Namespace, login: Login, allowed: frozenset[str] | None) -> int:
    try:
        from .terminal import TerminalDesk  # noqa: PLC0415 - say what is missing
    except ImportError as error:
        print(f"Textual is missing ({error}). Install it: pip install textual", file=sys.stderr)
        return 2
    TerminalDesk(login, allowed=allowed).run()
    return 0


def _in_window(options: argparse.Namespace, login: Login, allowed: frozenset[str] | None) -> int:
    try:
        from PySide6.QtWidgets import QApplication  # noqa: PLC0415 - say what is missing

        from .garbage import GarbageTimer  # noqa: PLC0415 - the same
        from .theme import Theme  # noqa: PLC0415 - the same
        from .window import AgentWindow  # noqa: PLC0415 - the same
    except ImportError as error:
        print(f"Qt is missing ({error}). Install it: pip install PySide6-Essentials", file=sys.stderr)
        return 2
    if options.verbose:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Agent desktop")
    GarbageTimer(application)
    # The window's timer lets Python's handlers run.
    signal.signal(signal.SIGINT, lambda *_: application.closeAllWindows())
    window = AgentWindow(Theme(application, options.theme), login, allowed=allowed)
    window.show()
    return int(application.exec())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent_desktop",
        description="An agent's desktop for Twilio TaskRouter.",
        epilog="A token is never taken from the command line, where other users of the machine would see it: "
        "use TASKROUTER_TOKEN, --token-file, or the window. The name and password of the sign-in service are "
        "TASKROUTER_USER and TASKROUTER_PASSWORD.",
    )
    add = parser.add_argument
    add(
        "--demo",
        action="store_true",
        help="start a local TaskRouter with colleagues and customers, and log in",
    )
    add("--terminal", action="store_true", help="in this terminal, without a window")
    add(
        "--server", metavar="URL", help="where TaskRouter is, such as http://127.0.0.1:8300 (default: Twilio)"
    )
    add("--region", metavar="NAME", help="Twilio's region, such as ie1")
    add("--token-file", metavar="FILE", help="read the token from a file; - reads standard input")
    add("--token-url", metavar="URL", help="ask this sign-in service for tokens, again before each one ends")
    add("--activities", metavar="NAMES", help="the activities that may be chosen, with commas between them")
    add(
        "--theme",
        choices=("system", "light", "dark"),
        default="system",
        help="its look (default %(default)s)",
    )
    add(
        "--verbose", action="store_true", help="log what happens; tokens and customers' data are never logged"
    )
    return parser


def _login(options: argparse.Namespace) -> Login:
    login = Login.from_environment(os.environ)
    if options.server:
        login = replace(login, server=options.server)
    if options.region:
        login = replace(login, region=options.region)
    if options.token_url:
        login = replace(login, service=options.token_url, token="")
    if options.token_file:
        login = replace(login, token=read_token(options.token_file), service="")
    return login.checked() if login.is_complete else login


if __name__ == "__main__":
    sys.exit(main())
