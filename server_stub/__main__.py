"""The command line: ``python -m server_stub serve``, ``seed`` and so on, installed as ``taskrouter-stub``."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import math
import os
import signal
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path
from typing import Final, TypeVar

from .app import Settings, StubServer
from .completion_command import add_completion, run_completion
from .domain.model import Limits
from .env_file import write_env_file
from .events_command import add_events, run_events
from .explain_command import add_explain, run_explain
from .hand_clock import HandClock
from .health_command import add_health, run_health
from .limits import ServerLimits, add_limit_options, limits_from
from .offset_clock import OffsetClock
from .process import FILES_BESIDE, GarbageKeeper, allow_files
from .remote import carry_out
from .replay_command import add_replay, run_replay
from .seeding import SeedError
from .state_command import COMMANDS, add_state_commands, run_state_command, show_problems
from .storage import Data, StorageError, open_store
from .task_command import add_task, run_task
from .token_command import add_token, run_token
from .worker_command import add_worker, run_worker

__all__ = ["main"]

T = TypeVar("T")

ENVIRONMENT: Final = "TASKROUTER_STUB_"

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

_CREDENTIALS: Final = {
    "account_sid": "the account, AC and 32 hexadecimal digits",
    "auth_token": "the account's secret",
    "signing_key_sid": "the API key, SK and 32 hexadecimal digits",
    "signing_key_secret": "the API key's secret, which signs workers' tokens",
}


_REMOTE: Final = {"task": run_task, "worker": run_worker, "token": run_token}
"""The commands that ask a running server and end."""


class _DataLost(Exception):
    """The server stopped because the data could not be written."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Of `serve`: 0 stopped, 1 could not listen, 2 bad arguments, seed or data, 3 stopped because the data
    could not be written; of the others see there.
    """
    parser = _parser()
    options = _parsed(parser, argv)
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
    try:
        settings = _settings(options)
    except ValueError as error:
        parser.error(_as_options(str(error)))
    try:
        asyncio.run(_serve(settings, options))
    except KeyboardInterrupt:
        return 0  # where signals cannot be handled by the loop
    except _DataLost as error:
        print(f"taskrouter-stub: {error}; stopped", file=sys.stderr)
        return 3
    except StorageError as error:
        print(f"taskrouter-stub: {error}", file=sys.stderr)
        return 2
    except ssl.SSLError as error:
        print(f"taskrouter-stub: cannot use the TLS certificate or key: {error.reason}", file=sys.stderr)
        return 2
    except SeedError as error:
        show_problems(error.problems)
        return 2
    except OSError as error:
        print(f"taskrouter-stub: {_explained(error, settings)}", file=sys.stderr)
        return 2 if isinstance(error, FileNotFoundError | PermissionError) and error.filename else 1
    return 0


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
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run the server until SIGINT or SIGTERM",
        description="Run a local TaskRouter with one workspace: REST API, event bridge, worker websockets.",
        epilog=_SERVE.format(ENVIRONMENT),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = serve.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=_port, default=8300, help="port, 0 picks a free one (default %(default)s)")
    for name, meaning in _CREDENTIALS.items():
        variable = ENVIRONMENT + name.upper()
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
        help="what the workspaces are set up with: YAML, TOML or JSON (default: one empty workspace)",
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
    add_state_commands(commands, ENVIRONMENT)
    add("--record", metavar="FILE", help="record all sessions, without tokens, for `replay`")
    add(
        "--redact-attributes",
        action="store_true",
        help="replace customers' attributes and all names in the recording by placeholders",
    )
    add_explain(commands, ENVIRONMENT)
    add_health(commands, ENVIRONMENT)
    add_replay(commands)
    add_task(commands, ENVIRONMENT)
    add_worker(commands, ENVIRONMENT)
    add_token(commands, ENVIRONMENT)
    add_events(commands, ENVIRONMENT)
    add_completion(commands)
    return parser


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


def _settings(options: argparse.Namespace) -> Settings:
    credentials = {name: getattr(options, name) for name in _CREDENTIALS}
    return Settings(
        host=options.host,
        port=options.port,
        seed_document=options.seed,
        settle_ms=options.settle_ms,
        offline_grace_ms=options.offline_grace_ms,
        allowed_hosts=tuple(options.allowed_host),
        callback_hosts=tuple(options.allow_callbacks_to),
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        limits=Limits(
            retention_seconds=options.retention,
            event_retention_seconds=options.event_retention,
            max_events=options.max_events,
            max_attributes_length=options.max_attributes,
        ),
        server_limits=limits_from(options),
        **credentials,
    )


def _as_options(message: str) -> str:
    """Name the options as the command line spells them."""
    for name in ("tls_cert", "tls_key", *_CREDENTIALS, *(item.name for item in fields(ServerLimits))):
        message = message.replace(name, f"--{name.replace('_', '-')}")
    if "reachable from other machines" in message:
        message += f" (or in the environment: {ENVIRONMENT}AUTH_TOKEN and {ENVIRONMENT}SIGNING_KEY_SECRET)"
    return message


async def _serve(settings: Settings, options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
            continue
    async with AsyncExitStack() as stack:
        data = None
        if options.data is not None:
            data = await stack.enter_async_context(Data(open_store(options.data)))
        clock = OffsetClock(options.clock_offset)
        server = await stack.enter_async_context(
            StubServer(settings, clock=HandClock(clock), token_clock=clock, data=data)
        )
        if options.record is not None:
            server.record(options.record, redact_attributes=options.redact_attributes)
        allow_files(settings.server_limits.max_connections + FILES_BESIDE)
        stack.enter_context(GarbageKeeper())  # the process is this command's own
        if options.env_file is not None:
            write_env_file(options.env_file, _reach(server))
        if options.json:
            print(json.dumps(_reach(server)), flush=True)
        else:
            _banner(server)
        if (error := await _end_of(server, stopped)) is not None:
            raise _DataLost(str(error))


async def _end_of(server: StubServer, stopped: asyncio.Event) -> StorageError | None:
    """Wait until somebody stops the server, or until it cannot store anything any more: then why."""
    waiting: list[asyncio.Task[object]] = [
        asyncio.create_task(stopped.wait()),
        asyncio.create_task(server.failed()),
    ]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return server.failure


def _reach(server: StubServer) -> dict[str, str]:
    """Everything that a client needs."""
    return {
        "rest_url": server.rest_url,
        "eb_server": server.eb_server,
        "ws_server": server.ws_server,
        "account_sid": server.account_sid,
        "auth_token": server.auth_token,
        "signing_key_sid": server.signing_key_sid,
        "signing_key_secret": server.signing_key_secret,
        "workspace_sid": server.workspace_sid,
        "console_url": server.console_url,
    }


def _banner(server: StubServer) -> None:
    labels = {
        "rest_url": "REST API",
        "eb_server": "Event bridge",
        "ws_server": "Websocket",
        "account_sid": "Account SID",
        "auth_token": "Auth token",
        "signing_key_sid": "Signing key SID",
        "signing_key_secret": "Signing key secret",
        "workspace_sid": "Workspace SID",
        "console_url": "Console",
    }
    # The banner of a container goes to a log, which need not have secrets that somebody else keeps already.
    given = [name for name in ("auth_token", "signing_key_secret") if getattr(server.settings, name)]
    shown = {**_reach(server), **dict.fromkeys(given, "as given")}
    rows = [(labels[name], value) for name, value in shown.items()]
    try:
        from rich.box import ROUNDED  # noqa: PLC0415 - part of the extra "server"
        from rich.console import Console  # noqa: PLC0415 - the same
        from rich.panel import Panel  # noqa: PLC0415 - the same
        from rich.table import Table  # noqa: PLC0415 - the same
        from rich.text import Text  # noqa: PLC0415 - the same
    except ImportError:
        _plain_banner(rows)
        return
    console = Console(highlight=False)
    # What is folded within a frame cannot be copied: secrets, and the console's address.
    if console.width < 30 + max(len(value) for _, value in rows):
        _plain_banner(rows)
        return
    table = Table.grid(padding=(0, 2))
    for label, value in rows:
        table.add_row(Text(label, style="bold cyan"), Text(value, overflow="fold"))
    console.print(
        Panel(
            table,
            title="[bold]A local TaskRouter is running",
            subtitle="Ctrl-C stops it",
            box=ROUNDED,
            expand=False,
            padding=(1, 2),
        )
    )
    sys.stdout.flush()


def _plain_banner(rows: list[tuple[str, str]]) -> None:
    print("A local TaskRouter is running. Ctrl-C stops it.")
    for label, value in rows:
        print(f"  {label:<19} {value}")
    sys.stdout.flush()


def _explained(error: OSError, settings: Settings) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {settings.port} of {settings.host} is in use: choose another with --port, or --port 0"
    if error.filename:
        return f"cannot open {error.filename}: {error.strerror}"
    return f"cannot listen on port {settings.port} of {settings.host}: {error.strerror or error}"


if __name__ == "__main__":
    sys.exit(main())
