"""`taskrouter-stub serve`: its options. What it does is in `serve`, which loads the whole server."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from server_stub.domain.model import Limits
from server_stub.limits import add_limit_options

__all__ = ["CREDENTIALS", "add_serve"]

T = TypeVar("T")

_SERVE: Final = """\
Credentials may also come from the environment, as {0}ACCOUNT_SID and so on. Those that are given
nowhere are generated at each start.

Examples:
  taskrouter-stub serve
  taskrouter-stub serve --env-file desk.env        # elsewhere: set -a; . ./desk.env; set +a
  taskrouter-stub serve --seed desk.yaml --data desk.sqlite
  taskrouter-stub serve --port 0 --json

Exit status: 0 stopped; 1 it could not listen; 2 bad arguments, seed or data; 3 stopped because the data
could not be written.
"""

CREDENTIALS: Final = {
    "account_sid": "the account, AC and 32 hexadecimal digits",
    "auth_token": "the account's secret",
    "signing_key_sid": "the API key, SK and 32 hexadecimal digits",
    "signing_key_secret": "the API key's secret, which signs workers' tokens",
}


def add_serve(commands: Any, environment: str) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    serve: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="run the server until SIGINT or SIGTERM",
        description="Run a local TaskRouter with one workspace: REST API, event bridge, worker websockets.",
        epilog=_SERVE.format(environment),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = serve.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=_port, default=8300, help="port, 0 picks a free one (default %(default)s)")
    for name, meaning in CREDENTIALS.items():
        variable = environment + name.upper()
        add(f"--{name.replace('_', '-')}", default=os.environ.get(variable), metavar="TEXT", help=meaning)
    add("--json", action="store_true", help="print how to reach the server as one line of JSON")
    add(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="write how to reach the server, secrets included, to this file for the environment of the other "
        "commands and of taskrouter-worker; only you may read it",
    )
    add(
        "--seed",
        type=Path,
        metavar="FILE",
        help="what the workspaces are set up with: YAML, TOML or JSON (default: a workspace with one queue)",
    )
    add(
        "--data",
        metavar="PATH",
        help="keep the state, credentials included, in this SQLite file or in postgresql://... "
        "(default: in memory; see docs/storage.md)",
    )
    add(
        "--settle-ms",
        type=_number,
        default=20.0,
        metavar="MS",
        help="milliseconds between an answer and the events that its command caused (default 20)",
    )
    add(
        "--offline-grace-ms",
        type=_number,
        default=0.0,
        metavar="MS",
        help="milliseconds before a worker without a connection goes offline (default 0)",
    )
    add(
        "--retention",
        type=_number,
        default=Limits().retention_seconds,
        metavar="SECONDS",
        help="how long completed and canceled tasks are kept (default %(default)s)",
    )
    add(
        "--event-retention",
        type=_number,
        default=Limits().event_retention_seconds,
        metavar="SECONDS",
        help="how long events are kept, and counted by statistics (default %(default)s)",
    )
    add(
        "--max-events",
        type=_count,
        default=Limits().max_events,
        metavar="NUMBER",
        help="how many events of a workspace are kept, the latest ones (default %(default)s)",
    )
    add(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further host name under which /stub may be reached; may be repeated",
    )
    add(
        "--allow-callbacks-to",
        action="append",
        default=[],
        metavar="HOST",
        help="a host beside this machine that callbacks may be sent to; may be repeated",
    )
    add(
        "--max-attributes",
        type=_count,
        default=Limits().max_attributes_length,
        metavar="NUMBER",
        help="characters of the attributes of a task or worker (default %(default)s)",
    )
    add(
        "--clock-offset",
        type=_offset,
        default=0.0,
        metavar="SECONDS",
        help="how far the server's clock is ahead of the machine's; negative: behind (default 0)",
    )
    add("--tls-cert", metavar="FILE", help="PEM file with the certificate chain: serve https and wss")
    add("--tls-key", metavar="FILE", help="PEM file with its private key")
    add_limit_options(serve)
    add("--record", metavar="FILE", help="record all sessions, without tokens, for `replay`")
    add(
        "--redact-attributes",
        action="store_true",
        help="replace customers' attributes and all names in the recording by placeholders",
    )


def _port(text: str) -> int:
    return _checked(text, int, lambda value: 0 <= value <= 65_535, "a port from 0 to 65535")


def _number(text: str) -> float:
    return _checked(text, float, lambda value: 0 <= value < float("inf"), "a number from 0")


def _offset(text: str) -> float:
    return _checked(text, float, math.isfinite, "a number of seconds")


def _count(text: str) -> int:
    return _checked(text, int, lambda value: value >= 0, "a whole number from 0")


def _checked(text: str, kind: Callable[[str], T], is_good: Callable[[T], bool], expected: str) -> T:
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None
    if not is_good(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return value
