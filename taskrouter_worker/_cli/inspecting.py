"""``taskrouter-worker token inspect``: what a token says. Its signature is neither checked nor shown."""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from typing import Any, Final, cast

import jwt

from .access import add_token_options, first_token
from .leaving import EXPIRED, LEFT, MISUSED, Stop, plain, tell

__all__ = ["add_token_command", "inspect_token"]

_EPILOG: Final = """\
Without an option, the token is taken from TASKROUTER_TOKEN or from the standard input. Whether its
signature is right only the service can tell; nothing of it is shown.

Examples:
  taskrouter-worker token inspect --token-file nina.token
  taskrouter-worker token inspect --token-command "taskrouter-stub token nina" --json

Exit status: 0 it can be read, and its time is not over; 1 its time is over; 2 wrong use, or no token that can
be read.
"""


def add_token_command(commands: Any) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    token: argparse.ArgumentParser = commands.add_parser(
        "token", help="look at a token", description="Look at a token."
    )
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    parser: argparse.ArgumentParser = actions.add_parser(
        "inspect",
        help="tell what a token says: worker, workspace, expiry",
        description="Tell what a token says: worker, workspace, role, expiry.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_token_options(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


async def inspect_token(options: argparse.Namespace, given: str | None) -> int:
    """Carry out the command for the token that is given; its exit status.

    Raises:
        Stop: there is no token, or it cannot be read.
    """
    text, _ = await first_token(given, options)
    try:
        claims: dict[str, Any] = jwt.decode(text, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Stop(MISUSED, "the token cannot be read: it is no JSON Web Token, or it is encrypted") from None
    told = _told(claims)
    expires = told["expires_at"]
    expired = isinstance(expires, int | float) and expires <= time.time()
    if options.json:
        tell(json.dumps({**told, "expired": expired}))
        return EXPIRED if expired else LEFT
    for name, value in told.items():
        if value is not None:
            shown = _moment(value) if name.endswith("_at") else str(value)
            tell(f"{_LABELS[name]:<11}  {plain(shown)}")
    return EXPIRED if expired else LEFT


_LABELS: Final = {
    "kind": "Kind",
    "worker_sid": "Worker",
    "workspace_sid": "Workspace",
    "account_sid": "Account",
    "role": "Role",
    "identity": "Identity",
    "issuer": "Signed with",
    "issued_at": "Issued",
    "expires_at": "Expires",
}


def _told(claims: dict[str, Any]) -> dict[str, object]:
    """What a token of either kind says, None where it does not."""
    grants = _object(claims.get("grants"))
    grant = _object(grants.get("task_router"))
    is_access_token = "grants" in claims
    found = grant if is_access_token else claims
    return {
        "kind": "access token" if is_access_token else "capability token",
        "worker_sid": found.get("worker_sid"),
        "workspace_sid": found.get("workspace_sid"),
        "account_sid": claims.get("sub") if is_access_token else claims.get("account_sid"),
        "role": grant.get("role"),
        "identity": grants.get("identity"),
        "issuer": claims.get("iss"),
        "issued_at": claims.get("iat"),
        "expires_at": claims.get("exp"),
    }


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _moment(value: object) -> str:
    """A date, and how far it is away."""
    if not isinstance(value, int | float):
        return str(value)
    try:
        date = datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return str(value)
    seconds = round(value - time.time())
    return f"{date} ({_long(seconds)} {'from now' if seconds >= 0 else 'ago'})"


def _long(seconds: int) -> str:
    seconds = abs(seconds)
    for name, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"
