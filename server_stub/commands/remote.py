"""How the command line talks to a server that runs: address, credentials, and what can go wrong.

Nothing here shows a secret: the credentials come from the environment, not from options that others see.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp

from taskrouter_worker.terms import SidPrefix, is_sid

__all__ = [
    "DONE",
    "EPILOG",
    "MISUSED",
    "REFUSED",
    "STATUSES",
    "UNKNOWN",
    "UNREACHABLE",
    "Desk",
    "Json",
    "Stop",
    "add_url",
    "add_workspace",
    "carry_out",
    "complain",
    "connection",
    "credentials",
    "default_workspace",
    "failure",
    "fetch",
    "guarded",
    "pages",
    "plain",
    "the_desk",
]

Json = dict[str, Any]  # Any: the server's answer, whose shape the caller knows

SECONDS: Final = 30.0
"""How long the server may take."""

DONE: Final = 0
MISUSED, UNREACHABLE, UNKNOWN, REFUSED = range(2, 6)
"""Exit statuses, as the help explains them."""

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells expect it."""

STATUSES: Final = """\
Exit status: 0 done; 2 wrong use; 3 the server cannot be reached or failed; 4 no such thing on it; 5 the
credentials were refused.
"""
"""The exit statuses of the commands that cannot fail in another way."""

EPILOG: Final = """\
Credentials come from the environment: {0}ACCOUNT_SID and {0}AUTH_TOKEN,
or {0}SIGNING_KEY_SID and {0}SIGNING_KEY_SECRET.
"""


class Stop(Exception):
    """There is nothing to show: `status` is the exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def carry_out(command: Coroutine[Any, Any, int], *, interrupted: int = INTERRUPTED) -> int:
    """Run a command that asks a server, and tell in one line what went wrong; its exit status.

    `interrupted` is the status after Ctrl-C.
    """
    return guarded(lambda: asyncio.run(command), interrupted=interrupted)


def guarded(command: Callable[[], int], *, interrupted: int = INTERRUPTED) -> int:
    """Run a command, and tell in one line what went wrong; its exit status.

    `interrupted` is the status after Ctrl-C.
    """
    try:
        return command()
    except KeyboardInterrupt:
        return interrupted
    except Stop as stop:
        if str(stop):
            complain(str(stop))
        return stop.status


def complain(text: str) -> None:
    """One line on the standard error, under the program's name."""
    sys.stderr.write(f"taskrouter-stub: {plain(text)}\n")
    sys.stderr.flush()


def add_url(parser: Any, environment: str) -> None:  # Any: argparse does not name the type of a group
    """Add the option that names the server."""
    parser.add_argument(
        "--url",
        default=os.environ.get(f"{environment}URL") or "http://127.0.0.1:8300",
        help="the server (default %(default)s)",
    )


def add_workspace(parser: Any, environment: str) -> None:  # Any: argparse does not name the type of a group
    """Add the option that names the workspace."""
    parser.add_argument(
        "--workspace",
        metavar="NAME",
        default=default_workspace(environment),
        help="the workspace, by name or SID; needed only if the server has several",
    )


def default_workspace(environment: str) -> str | None:
    """The workspace that the environment names."""
    return os.environ.get(f"{environment}WORKSPACE_SID") or None


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
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):  # 127.0.0.1:8300 has no http://
        raise Stop(MISUSED, f"--url {url!r} is not an address such as http://127.0.0.1:8300") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Stop(
            UNREACHABLE,
            f"no server answers at {url}: {failure(error)}; start one with `taskrouter-stub serve`, or name "
            "yours with --url",
        ) from None


def failure(error: Exception) -> str:
    """Why nothing could be asked, in a few words."""
    if isinstance(error, OSError) and error.errno:
        # A name that is not known has a negative number, which is none of the system's.
        return os.strerror(error.errno) if error.errno > 0 else error.strerror or str(error)
    return str(error) or type(error).__name__


async def fetch(
    http: aiohttp.ClientSession,
    url: str,
    *,
    method: str = "GET",
    body: bytes | Mapping[str, str] | None = None,
) -> Json | None:
    """The answer's JSON; None for 404. A refusal that tells `details` is returned as well.

    A `body` of names and values is sent as a form.

    Raises:
        Stop: the server refused or failed.
    """
    async with http.request(method, url, data=body, allow_redirects=False) as response:
        try:
            answer: Json = json.loads(await response.read())
        except ValueError:
            answer = {}
        match response.status:
            case 200 | 201 if answer:
                return answer
            case 404:
                return None
            case 400 if "problems" in answer.get("details", ()):
                return answer
            case 401:
                raise Stop(
                    REFUSED,
                    "the server refused the credentials of the environment: set those that it printed when "
                    "it started, or read the file of its --env-file again",
                )
            case 403:
                raise Stop(REFUSED, f"the server refused: {answer.get('message', response.status)}")
            case 400 | 413:
                raise Stop(MISUSED, f"the server refused: {answer.get('message', response.status)}")
            case status:
                raise Stop(UNREACHABLE, f"the server failed with status {status}")


async def pages(http: aiohttp.ClientSession, url: str, key: str) -> AsyncIterator[Json]:
    """The items of a list of the REST API, page after page. `key` is where its pages have them.

    Raises:
        Stop: what answers is no TaskRouter, or what it lists does not exist.
    """
    page: str | None = url
    while page:
        body = await fetch(http, page)
        if body is None or key not in body:
            raise Stop(UNREACHABLE, f"what answers at {url.partition('/v1/')[0]} is no TaskRouter")
        for item in body[key]:
            yield item
        page = body["meta"]["next_page_url"]


@dataclass(frozen=True)
class Desk:
    """One workspace of the server, over REST.

    Attributes:
        http: a client that carries the credentials.
        workspace: the workspace, as REST shows it.
        url: where it is, without a slash at the end.
    """

    http: aiohttp.ClientSession
    workspace: Json
    url: str

    async def all(self, collection: str, **filters: str | None) -> list[Json]:
        """Everything of a collection such as ``Workers`` that fits the filters that are given."""
        given = {"PageSize": "1000", **{name: value for name, value in filters.items() if value is not None}}
        key = _KEYS[collection]
        return [item async for item in pages(self.http, f"{self.url}/{collection}?{urlencode(given)}", key)]

    async def make(self, collection: str, values: Mapping[str, str | None]) -> Json:
        """Make one; values that are None are left to the server."""
        return await self._send(f"{self.url}/{collection}", values)

    async def change(self, collection: str, sid: str, values: Mapping[str, str | None]) -> Json:
        """Change one."""
        return await self._send(f"{self.url}/{collection}/{sid}", values)

    async def _send(self, url: str, values: Mapping[str, str | None]) -> Json:
        form = {name: value for name, value in values.items() if value is not None}
        answer = await fetch(self.http, url, method="POST", body=form)
        if answer is None:
            raise Stop(UNKNOWN, f"workspace {self.workspace['sid']} is gone")
        return answer

    async def one(self, collection: str, named: str) -> Json:
        """The one with this SID or this name.

        Raises:
            Stop: there is none; the text says which there are.
        """
        kind = _KINDS[collection]
        if not named:  # to REST an empty filter is none: anyone would be found
            raise Stop(MISUSED, f"the name of the {kind} is empty")
        if is_sid(named, _PREFIXES[collection]):
            found = await fetch(self.http, f"{self.url}/{collection}/{named}")
            if found is not None:
                return found
        else:
            for found in await self.all(collection, FriendlyName=named):
                return found
        names = [item["friendly_name"] for item in await self.all(collection)]
        known = ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")
        raise Stop(UNKNOWN, f"the workspace has no {kind} {named!r}; it has {known or 'none'}")


NAMES: Final = 10
"""Names that an error lists."""

_KEYS: Final = {"Activities": "activities", "Tasks": "tasks", "Workers": "workers", "Workflows": "workflows"}
_KINDS: Final = {"Activities": "activity", "Workers": "worker", "Workflows": "workflow"}
_PREFIXES: Final = {
    "Activities": SidPrefix.ACTIVITY,
    "Workers": SidPrefix.WORKER,
    "Workflows": SidPrefix.WORKFLOW,
}


_EMPTY: Final = "the server has no workspace: `taskrouter-stub reset` goes back to the seed"


async def the_desk(http: aiohttp.ClientSession, url: str, named: str | None) -> Desk:
    """The workspace with this SID or name; unless given, the only one there is.

    Raises:
        Stop: there is none, or there are several to choose from.
    """
    if named == "":
        raise Stop(MISUSED, "the name of the workspace is empty")
    base = f"{url.rstrip('/')}/v1/Workspaces"
    found: Json | None = None
    if named is not None and is_sid(named, SidPrefix.WORKSPACE):
        found = await fetch(http, f"{base}/{quote(named, safe='')}")
    else:
        all_ = [item async for item in pages(http, f"{base}?PageSize=1000", "workspaces")]
        fitting = [item for item in all_ if named in (None, item["friendly_name"])]
        if len(fitting) > 1:
            some = ", ".join(f"{item['friendly_name']} {item['sid']}" for item in fitting[:NAMES])
            raise Stop(MISUSED, f"name the workspace with --workspace: there are {len(fitting)}: {some}")
        found = fitting[0] if fitting else None
    if found is None:
        raise Stop(UNKNOWN, f"the server knows no workspace {named}" if named else _EMPTY)
    return Desk(http, found, f"{base}/{found['sid']}")


def plain(text: str) -> str:
    """Text that does nothing to a terminal: names and attributes are other people's."""
    # Joiners (U+200C, U+200D) do nothing either, and names in Persian or emoji are not themselves without.
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else f"\\x{ord(c):02x}" for c in text)
