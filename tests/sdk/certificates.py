"""A CA of the test's own, what it signs, and a door of TLS before a server that has none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

__all__ = ["HOST", "Authority", "tls_door"]

HOST = "127.0.0.1"


class Authority:
    """A CA that nobody but the test knows."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def trusted(self) -> ssl.SSLContext:
        """What a client needs that shall trust it."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context

    def trusted_with_certificate(self) -> ssl.SSLContext:
        """The same, with a certificate of the client's own."""
        context = self.trusted()
        self._ca.issue_cert("nina@example.com").configure_cert(context)
        return context

    def server_side(self, *, asks_for_certificates: bool = False) -> ssl.SSLContext:
        """What a server at `HOST` needs.

        Args:
            asks_for_certificates: refuse clients without one of this CA.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.certify(context)
        if asks_for_certificates:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def certify(self, context: ssl.SSLContext, *, expired: bool = False) -> None:
        """Give a server at `HOST` a certificate, or its next one."""
        self._issue(HOST, expired=expired).configure_cert(context)

    def write(self, folder: Path) -> Path:
        """The CA's own certificate as a file."""
        path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(path)
        return path

    def settings(self, folder: Path, *names: str, expired: bool = False) -> dict[str, Any]:
        """A certificate and its key as settings of the local server.

        Args:
            folder: where to write them.
            names: whom it certifies, `HOST` unless given.
            expired: whether it was valid until yesterday.
        """
        certificate = self._issue(*(names or (HOST,)), expired=expired)
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        return {"tls_cert": chain, "tls_key": key}

    def _issue(self, *names: str, expired: bool) -> trustme.LeafCert:
        day = timedelta(days=1)
        end = datetime.now(UTC) + (-day if expired else day)
        return self._ca.issue_cert(*names, not_before=end - 7 * day, not_after=end)


@asynccontextmanager
async def tls_door(context: ssl.SSLContext, port: int) -> AsyncGenerator[str, None]:
    """Speaks TLS, and passes on what it hears to `port` of this machine; its host:port."""
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            behind = await asyncio.open_connection(HOST, port)
            await asyncio.gather(copy(reader, behind[1]), copy(behind[0], writer))
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await server.wait_closed()
