"""Nothing that lets anybody in is ever logged, whoever logs it."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from pathlib import Path

import aiohttp
import pytest

from server_stub import Settings, StubServer
from server_stub.faults import FrameFault
from tests.server.conftest import Open
from tests.server.raw import Desk


async def test_no_token_and_no_secret_is_logged_at_debug(
    open_desk: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("server_stub", "server_stub.http", "aiohttp", "aiohttp.access", "aiohttp.server", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    asyncio.get_running_loop().set_debug(True)
    desk: Desk = await open_desk()
    nina = desk.client("nina")
    socket = await nina.ready()
    await nina.send(nina.me, "POST", {"Attributes": {"secret": "customer"}})
    await socket.event("worker.attributes.update")
    await desk.rest("GET", f"{desk.path}/Workers")
    await desk.rest("GET", f"{desk.path}/Workers", auth=(desk.server.account_sid, "guess-of-a-secret"))
    # Refused, malformed, too long, and cut in the middle: each takes another way through the libraries.
    await (await nina.connect(token=nina.token + "x")).closed()
    await nina.send(nina.me, token=nina.token + "y")
    async with desk.http.get(f"{desk.server.eb_server}?token={nina.token}") as response:
        assert response.status == 405
    for line in (
        b"GET /v1/wschannels?token=%s%s HTTP/1.1\r\n\r\n" % (nina.token.encode(), b"z" * 40_000),
        b"GET /v1/wschannels?token=%s \x00 nonsense\r\n\r\n" % nina.token.encode(),
        b"POST /v1/wschannels HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n" + nina.token.encode(),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.server.port)
        writer.write(line)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    desk.server.faults.frame = lambda _: FrameFault("cut_before")
    desk.task()
    await socket.closed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(desk.workspace), "update_worker", lambda *_a, **_k: os.environ[nina.token])
        assert (await nina.send(nina.me, "POST", {"Attributes": {"secret": "customer"}})).status == 500
    await desk.server.stop()

    shown = "\n".join(
        f"{record.getMessage()} {record.exc_text} {record.exc_info}" for record in caplog.records
    )
    shown += caplog.text
    assert "broke: KeyError" in shown  # the log is there at all
    for secret in (
        nina.token,
        nina.token.rpartition(".")[2],
        desk.server.auth_token,
        desk.server.signing_key_secret,
        "guess-of-a-secret",
        "customer",
    ):
        assert secret not in shown


async def test_secrets_are_in_no_representation() -> None:
    settings = Settings(port=0, auth_token="very-secret", signing_key_secret="most-secret")
    server = StubServer(settings)
    shown = f"{settings!r} {server!r} {server._credentials!r}"
    assert "very-secret" not in shown
    assert "most-secret" not in shown


async def test_tls_serves_https_and_wss(open_desk: Open) -> None:
    here = Path(__file__).parent
    desk: Desk = await open_desk(tls_cert=here / "certificate.pem", tls_key=here / "key.pem")
    assert desk.server.eb_server.startswith("https://")
    assert desk.server.ws_server.startswith("wss://")
    context = ssl.create_default_context(cafile=here / "certificate.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # what the JavaScript SDK 2.x speaks
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
        desk.http = http
        nina = desk.client("nina")
        socket = await nina.ready()
        desk.task()
        await socket.event("reservation.created")
        worker = await desk.rest("GET", f"{desk.path}/Workers/{nina.worker_sid}")
        assert worker.body["url"].startswith(desk.server.rest_url + "/v1/")
        await nina.close()


@pytest.mark.parametrize("host", ["::", "192.0.2.1", "desk.example"])
def test_host_that_others_reach_needs_explicit_credentials(host: str) -> None:
    with pytest.raises(ValueError, match="signing_key_secret"):
        Settings(host=host, auth_token="x")
    assert Settings(host=host, auth_token="x", signing_key_secret="y").host == host
