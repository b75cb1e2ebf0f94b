"""``taskrouter-stub token``: a token with which a worker, supervisor or admin gets in."""

from __future__ import annotations

import argparse
import os
import shlex
import warnings
from typing import Any, Final

from server_stub.settings import BRIDGE_PATH
from taskrouter_worker.terms import Role
from taskrouter_worker.tokens import MAX_LIFETIME, worker_token

from .remote import (
    DONE,
    EPILOG,
    MISUSED,
    STATUSES,
    Stop,
    add_url,
    add_workspace,
    connection,
    credentials,
    the_desk,
)
from .showing import show_json, show_text

__all__ = ["add_token", "run_token"]

_EPILOG: Final = f"""\
The token is signed here, with {{0}}SIGNING_KEY_SID and
{{0}}SIGNING_KEY_SECRET: these two must be set, and no other credentials are needed.
Only the token is printed, never what signs it.

Examples:
  taskrouter-stub token nina
  eval "$(taskrouter-stub token nina --env)"
  taskrouter-worker listen --token-command "taskrouter-stub token nina --lifetime 600"
  taskrouter-stub token --role admin --json

{EPILOG}{STATUSES}"""


def add_token(commands: Any, environment: str) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "token",
        help="print a token with which a worker gets in",
        description="Print a token with which a worker, a supervisor or an admin gets into a running server.",
        epilog=_EPILOG.format(environment),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "worker",
        nargs="?",
        metavar="WORKER",
        help="whom it is for, by name or SID; may be left out for supervisors and admins",
    )
    add("--role", choices=[str(role) for role in Role], default="worker", help="(default %(default)s)")
    add(
        "--lifetime",
        type=int,
        default=3600,
        metavar="SECONDS",
        help=f"how long it is good for, 1 to {MAX_LIFETIME} (default %(default)s)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--env",
        action="store_true",
        help="print lines for a shell's eval: TASKROUTER_TOKEN, TASKROUTER_EB_SERVER, TASKROUTER_WS_SERVER",
    )
    form.add_argument("--json", action="store_true", help="print token, addresses and SIDs as JSON")
    add_workspace(parser, environment)
    add_url(parser, environment)


async def run_token(options: argparse.Namespace, environment: str) -> int:
    """Carry out the command; its exit status. Raises Stop."""
    key, secret = (os.environ.get(f"{environment}SIGNING_KEY_{name}", "") for name in ("SID", "SECRET"))
    if not key or not secret:
        raise Stop(
            MISUSED,
            f"set {environment}SIGNING_KEY_SID and {environment}SIGNING_KEY_SECRET to what the server was "
            "started with, or printed when it started: they sign tokens",
        )
    if options.worker is None and options.role == Role.WORKER:
        raise Stop(MISUSED, "name a WORKER: only supervisors and admins do without")
    async with connection(options.url, credentials(environment)) as http:
        desk = await the_desk(http, options.url, options.workspace)
        worker = None if options.worker is None else await desk.one("Workers", options.worker)
    worker_sid = None if worker is None else str(worker["sid"])
    workspace = desk.workspace
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyJWT's, of short secrets: a local server's may be short
            token = worker_token(
                account_sid=workspace["account_sid"],
                signing_key_sid=key,
                signing_key_secret=secret,
                workspace_sid=workspace["sid"],
                worker_sid=worker_sid,
                role=options.role,
                lifetime=options.lifetime,
                identity=None if worker is None else worker["friendly_name"],
            )
    except ValueError as error:  # its texts name the argument and never show a secret
        raise Stop(MISUSED, str(error).replace("lifetime", "--lifetime")) from None
    eb_server = options.url.rstrip("/") + BRIDGE_PATH
    ws_server = "ws" + eb_server.removeprefix("http")  # https becomes wss
    if options.json:
        show_json(
            {
                "token": token,
                "eb_server": eb_server,
                "ws_server": ws_server,
                "workspace_sid": workspace["sid"],
                "worker_sid": worker_sid,
                "role": options.role,
                "lifetime": options.lifetime,
            }
        )
    elif options.env:
        show_text(f"export TASKROUTER_TOKEN={token}")
        show_text(f"export TASKROUTER_EB_SERVER={shlex.quote(eb_server)}")
        show_text(f"export TASKROUTER_WS_SERVER={shlex.quote(ws_server)}")
    else:
        show_text(token)
    return DONE
