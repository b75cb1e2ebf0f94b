"""``taskrouter-stub health``: whether a server answers. Containers and scripts that wait for one ask it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any, Final

import aiohttp
import msgspec

from .remote import Json, add_url, failure, plain
from .showing import show_json, show_text

__all__ = ["add_health", "run_health"]

HEALTHY, UNHEALTHY = range(2)
"""Exit statuses: the two that a container's health check may have."""

BETWEEN: Final = 0.25
"""Seconds between two questions while it waits."""


_EPILOG: Final = """\
Examples:
  taskrouter-stub health
  taskrouter-stub health --wait 30 --json

Exit status: 0 it is well; 1 it is not, or nothing answers; 2 wrong use.
"""


def add_health(commands: Any, environment: str) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "health",
        help="whether a server answers, for containers and scripts",
        description="Ask a running server whether it is well. Needs no credentials.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_url(parser, environment)
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="ask again until it is well, at most this long (default: ask once)",
    )
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=5.0,
        metavar="SECONDS",
        help="how long one answer may take (default %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run_health(options: argparse.Namespace) -> int:
    """Ask, tell, and return the exit status. Raises Stop."""
    try:
        answer = asyncio.run(_ask(options))
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        print(
            f"taskrouter-stub: --url {plain(options.url)!r} is not an address such as http://127.0.0.1:8300",
            file=sys.stderr,
        )
        return 2
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = plain(failure(error))
        print(f"taskrouter-stub: no server answers at {plain(options.url)}: {reason}", file=sys.stderr)
        return UNHEALTHY
    if answer.get("status") != "ok":
        reason = plain(str(answer.get("message") or "it is no local TaskRouter"))
        print(f"taskrouter-stub: what answers at {plain(options.url)} is not well: {reason}", file=sys.stderr)
        return UNHEALTHY
    if options.json:
        show_json(answer)
    else:
        show_text(
            plain(
                f"ok: version {answer.get('version')}, {answer.get('workspaces')} workspaces, "
                f"{answer.get('sessions')} sessions"
            )
        )
    return HEALTHY


async def _ask(options: argparse.Namespace) -> Json:
    """The answer; waits for a good one as long as it may."""
    loop = asyncio.get_running_loop()
    end = loop.time() + options.wait
    timeout = aiohttp.ClientTimeout(total=options.timeout)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        while True:
            try:
                answer = await _once(http, options.url)
                if answer.get("status") == "ok" or loop.time() >= end:
                    return answer
            except (aiohttp.ClientConnectionError, TimeoutError):
                if loop.time() >= end:
                    raise
            await asyncio.sleep(BETWEEN)


async def _once(http: aiohttp.ClientSession, url: str) -> Json:
    """What the server says of itself, a refusal too; nothing if what answers is something else."""
    async with http.get(f"{url.rstrip('/')}/stub/health", allow_redirects=False) as response:
        try:
            return msgspec.json.decode(await response.read(), type=dict[str, Any])
        except msgspec.DecodeError:
            return {}


def _positive(text: str) -> float:
    if (value := _seconds(text)) == 0:
        raise argparse.ArgumentTypeError("0 seconds are too few for an answer")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0")
    return value
