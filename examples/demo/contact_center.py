"""A local TaskRouter as a subprocess, and a small contact centre in it, set up over REST."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp

from .board import LANGUAGES, Colleague


@asynccontextmanager
async def local_taskrouter(*options: str) -> AsyncIterator[dict[str, str]]:
    """Run `taskrouter-stub serve` and give its addresses and credentials, as `--json` prints them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server_stub", "serve", "--port", "0", "--json", *options),
        stdout=PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    stdout = cast("asyncio.StreamReader", process.stdout)  # it was asked for as a pipe
    try:
        async with asyncio.timeout(10):
            line = await stdout.readline()
        if not line:
            raise RuntimeError("the local TaskRouter did not start; its own message stands above")
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


class Rest:
    """TaskRouter's REST API, below one workspace."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def post(self, path: str, **form: str | int) -> dict[str, Any]:
        """Create or update what stands at `path`; form names are TaskRouter's own."""
        async with self._session.post(f"{self._base}/{path}", data=form) as response:
            return await self._json(response)

    async def list(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        """The first page of the list at `path`."""
        async with self._session.get(f"{self._base}/{path}", params=query) as response:
            page = await self._json(response)
        items: list[dict[str, Any]] = page[page["meta"]["key"]]
        return items

    async def pages(self, path: str, **query: str | int) -> AsyncIterator[dict[str, Any]]:
        """Each item of the list at `path`, page by page."""
        url: str | None = f"{self._base}/{path}"
        while url is not None:
            async with self._session.get(url, params=query) as response:
                page = await self._json(response)
            for item in page[page["meta"]["key"]]:
                yield item
            url, query = page["meta"]["next_page_url"], {}

    async def _json(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        body: dict[str, Any] = await response.json()
        if response.status >= 400:
            raise RuntimeError(
                f"{response.method} {response.url.path}: {response.status} {body.get('message')}"
            )
        return body


@asynccontextmanager
async def rest_api(local: dict[str, str]) -> AsyncIterator[Rest]:
    """The REST API of the local server's default workspace."""
    credentials = b64encode(f"{local['account_sid']}:{local['auth_token']}".encode()).decode()
    async with aiohttp.ClientSession(headers={"Authorization": f"Basic {credentials}"}) as session:
        yield Rest(session, f"{local['rest_url']}/v1/Workspaces/{local['workspace_sid']}")


async def open_for_business(rest: Rest, colleagues: Sequence[Colleague]) -> tuple[str, dict[str, str]]:
    """Create a queue for each language, the workflow that leads there, and the workers.

    Returns:
        The workflow's SID, and each worker's SID by name.
    """
    filters = []
    for code, name in LANGUAGES.items():
        queue = await rest.post("TaskQueues", FriendlyName=name, TargetWorkers=f'languages HAS "{code}"')
        filters.append(
            {
                "filter_friendly_name": name,
                "expression": f'language == "{code}"',
                "targets": [{"queue": queue["sid"]}],
            }
        )
    configuration = json.dumps({"task_routing": {"filters": filters}})
    workflow = await rest.post("Workflows", FriendlyName="By language", Configuration=configuration)
    sids = {}
    for colleague in colleagues:
        attributes = json.dumps({"languages": colleague.languages})
        worker = await rest.post("Workers", FriendlyName=colleague.name, Attributes=attributes)
        sids[colleague.name] = worker["sid"]
        await rest.post(f"Workers/{worker['sid']}/Channels/default", Capacity=colleague.capacity)
    return workflow["sid"], sids
