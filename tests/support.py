"""Helpers for tests: tokens as Twilio's own library makes them, and a server in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from types import TracebackType

from twilio.http.http_client import TwilioHttpClient
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import TaskRouterGrant
from twilio.rest import Client

from server_stub import Settings, StubServer


def access_token(
    server: StubServer,
    worker_sid: str,
    *,
    workspace_sid: str | None = None,
    role: str = "worker",
    ttl: int = 3600,
    secret: str | None = None,
) -> str:
    """A token made by the `twilio` library: an outside witness of the format.

    Args:
        server: whose signing key and account it carries.
        worker_sid: the worker that it acts as.
        workspace_sid: the server's default workspace unless given.
        role: worker, supervisor or admin.
        ttl: seconds that it lives; negative makes an expired one.
        secret: a signing secret other than the server's, for a token that must be refused.
    """
    grant = TaskRouterGrant(
        workspace_sid=workspace_sid or server.workspace_sid, worker_sid=worker_sid, role=role
    )
    token = AccessToken(
        server.account_sid,
        server.signing_key_sid,
        secret or server.signing_key_secret,
        grants=[grant],
        identity=worker_sid,
        ttl=ttl,
    )
    return str(token.to_jwt())


def rest_client(server: StubServer) -> Client:
    """A client of the `twilio` library, its base URL changed and nothing else. Close it: `close_client`."""
    client = Client(server.account_sid, server.auth_token, http_client=TwilioHttpClient(timeout=10))
    client.taskrouter.base_url = server.rest_url
    return client


def close_client(client: Client) -> None:
    """Close the pooled connections, which the library itself leaves to the garbage collector."""
    client.http_client.session.close()


class ServerInThread:
    """A server with an event loop of its own, for tests that block. Use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = threading.Thread(target=self._main, name="server in thread")
        self._started: Future[StubServer] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> StubServer:
        self._thread.start()
        return self._started.result(timeout=10)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)
        assert not self._thread.is_alive(), "the server did not stop within 10 seconds"

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with StubServer(self._settings) as server:
            self._started.set_result(server)
            await self._stop.wait()
