"""`taskrouter-stub serve`: run the whole server until somebody stops it."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import ssl
import sys
from contextlib import AsyncExitStack
from dataclasses import fields

from server_stub.app import StubServer
from server_stub.clocks import HandClock, OffsetClock
from server_stub.domain.model import Limits
from server_stub.limits import ServerLimits, limits_from
from server_stub.process import FILES_BESIDE, GarbageKeeper, allow_files
from server_stub.seeding import SeedError
from server_stub.settings import Settings
from server_stub.storage import Data, StorageError, open_store

from .env_file import write_env_file
from .remote import Stop, complain
from .serve_options import CREDENTIALS
from .showing import console, show_json, show_text
from .state import show_problems

__all__ = ["run_serve", "settings_from", "show_banner"]


class _DataLost(Exception):
    """The server stopped because the data could not be written."""


def run_serve(options: argparse.Namespace, parser: argparse.ArgumentParser, environment: str) -> int:
    """Serve until SIGINT or SIGTERM, and return the exit status.

    0 stopped, 1 could not listen, 2 bad arguments, seed or data, 3 stopped because the data could not be
    written.
    """
    try:
        settings = settings_from(options)
    except ValueError as error:
        parser.error(_as_options(str(error), environment))
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


def settings_from(options: argparse.Namespace) -> Settings:
    """What the options say.

    Raises:
        ValueError: a value is out of its range.
    """
    credentials = {name: getattr(options, name) for name in CREDENTIALS}
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


def _as_options(message: str, environment: str) -> str:
    """Name the options as the command line spells them."""
    for name in ("tls_cert", "tls_key", *CREDENTIALS, *(item.name for item in fields(ServerLimits))):
        message = message.replace(name, f"--{name.replace('_', '-')}")
    if "reachable from other machines" in message:
        message += f" (or in the environment: {environment}AUTH_TOKEN and {environment}SIGNING_KEY_SECRET)"
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
        try:
            if options.json:
                show_json(_reach(server))
            else:
                show_banner(server)
        except Stop as stop:  # nobody reads how to reach it: it serves all the same
            if str(stop):
                complain(str(stop))
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


def show_banner(server: StubServer) -> None:
    """Print how to reach the server, in a frame where it fits one."""
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
    if not server.workspace_sid:  # the data are of a server whose workspaces were all deleted
        shown["workspace_sid"] = "none; `taskrouter-stub reset` goes back to the seed"
    rows = [(labels[name], value) for name, value in shown.items()]
    try:
        from rich.box import ROUNDED  # noqa: PLC0415 - part of the extra "server"
        from rich.panel import Panel  # noqa: PLC0415 - the same
        from rich.table import Table  # noqa: PLC0415 - the same
        from rich.text import Text  # noqa: PLC0415 - the same
    except ImportError:
        _plain_banner(rows)
        return
    output = console()
    # What is folded within a frame cannot be copied: secrets, and the console's address.
    if output.width < 30 + max(len(value) for _, value in rows):
        _plain_banner(rows)
        return
    table = Table.grid(padding=(0, 2))
    for label, value in rows:
        table.add_row(Text(label, style="bold cyan"), Text(value, overflow="fold"))
    output.print(
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
    show_text("A local TaskRouter is running. Ctrl-C stops it.")
    for label, value in rows:
        show_text(f"  {label:<19} {value}")


def _explained(error: OSError, settings: Settings) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {settings.port} of {settings.host} is in use: choose another with --port, or --port 0"
    if error.filename:
        return f"cannot open {error.filename}: {error.strerror}"
    return f"cannot listen on port {settings.port} of {settings.host}: {error.strerror or error}"
