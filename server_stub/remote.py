"""How the command line talks to a server that runs: address, credentials, and what can go wrong.

Nothing here shows a secret: the credentials come from the environment, not from options that others see.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

__all__ = [
    "EPILOG",
    "MISUSED",
    "REFUSED",
    "UNKNOWN",
    "UNREACHABLE",
    "Json",
    "Stop",
    "add_url",
    "connection",
    "credentials",
    "default_workspace",
    "fetch",
    "plain",
]

Json = dict[str, Any]  # Any: the server's answer, whose shape the caller knows

SECONDS: Final = 30.0
"""How long the server may take."""

MISUSED, UNREACHABLE, UNKNOWN, REFUSED = range(2, 6)
"""Exit statuses, as the help explains them."""

EPILOG: Final = """\
Credentials come from the environment: {0}ACCOUNT_SID and {0}AUTH_TOKEN, or {0}SIGNING_KEY_SID and
{0}SIGNING_KEY_SECRET.
"""


class Stop(Exception):
    """There is nothing to show: `status` is the exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def add_url(parser: Any, environment: str) -> None:  # Any: argparse does not name the type of a group
    """Add the option that names the server."""
    parser.add_argument(
        "--url",
        default=os.environ.get(f"{environment}URL", "http://127.0.0.1:8300"),
        help="the server (default %(default)s)",
    )


def default_workspace(environment: str) -> str | None:
    """The workspace that the environment names."""
    return os.environ.get(f"{environment}WORKSPACE_SID")


def credentials(environment: str) -> tuple[str, str]:
    """User name and password; raises Stop."""
    for name, secret in (("ACCOUNT_SID", "AUTH_TOKEN"), ("SIGNING_KEY_SID", "SIGNING_KEY_SECRET")):
        given = os.environ.get(environment + name), os.environ.get(environment + secret)
        if given[0] and given[1]:
            return given[0], given[1]
    raise Stop(
        MISUSED,
        f"set {environment}ACCOUNT_SID and {environment}AUTH_TOKEN to what the server was started with, "
        "or printed when it started",
    )


@asynccontextmanager
async def connection(
    url: str, known: tuple[str, str], *, seconds: float = SECONDS
) -> AsyncGenerator[aiohttp.ClientSession]:
    """A client of the server at `url`; what fails in its block is a Stop that says so."""
    headers = {"Authorization": aiohttp.encode_basic_auth(*known)}
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
            yield http
    except aiohttp.InvalidURL:
        raise Stop(MISUSED, f"--url {url!r} is not an address such as http://127.0.0.1:8300") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise Stop(UNREACHABLE, f"no server answers at {url}: {reason}") from None


async def fetch(
    http: aiohttp.ClientSession, url: str, *, method: str = "GET", body: bytes | None = None
) -> Json | None:
    """The answer's JSON; None for 404. A refusal that tells `details` is returned as well.

    Raises:
        Stop: the server refused or failed.
    """
    async with http.request(method, url, data=body, allow_redirects=False) as response:
        try:
            answer: Json = json.loads(await response.read())
        except ValueError:
            answer = {}
        match response.status:
            case 200 if answer:
                return answer
            case 404:
                return None
            case 400 if "problems" in answer.get("details", ()):
                return answer
            case 401 | 403:
                raise Stop(REFUSED, f"the server refused: {answer.get('message', response.status)}")
            case 400 | 413:
                raise Stop(MISUSED, f"the server refused: {answer.get('message', response.status)}")
            case status:
                raise Stop(UNREACHABLE, f"the server failed with status {status}")


def plain(text: str) -> str:
    """Text that does nothing to a terminal: names and attributes are other people's."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
