"""Through a proxy: the websocket and the requests, by option and by environment."""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections.abc import AsyncIterator

import pytest
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from server_stub import StubServer
from taskrouter_worker import (
    ConnectionFailedError,
    NetworkError,
    RequestError,
    Worker,
    WorkerPool,
    Workspace,
)
from taskrouter_worker._proxies import Proxies
from taskrouter_worker._requests import Routes
from taskrouter_worker._token import Token
from taskrouter_worker._transport import Transport
from tests.sdk.loopback import closed_port
from tests.sdk.office import Office
from tests.sdk.proxy import Proxy, proxy_server
from tests.sdk.world import WORKER, WORKSPACE
from tests.support import access_token

VARIABLES = ("http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxy_server() as proxy:
        yield proxy


async def works(office: Office, worker: Worker) -> None:
    """A session with a push and a command."""
    async with worker:
        arrival = asyncio.ensure_future(worker.wait_for("reservationCreated", timeout=30))
        await asyncio.sleep(0)
        office.task()
        await (await arrival).accept()


async def test_a_given_proxy_carries_the_websocket_and_the_requests(server: StubServer, proxy: Proxy) -> None:
    office = Office(server)
    await works(office, office.worker(office.hire(), proxy=f"http://{proxy.address}"))
    place = server.rest_url.removeprefix("http://")
    assert proxy.tunnels == [place]
    assert set(proxy.forwarded) == {server.eb_server}


@pytest.mark.parametrize(
    "names", [("http_proxy", "https_proxy"), ("HTTP_PROXY", "HTTPS_PROXY"), ("http_proxy", "ws_proxy")]
)
async def test_the_environments_proxies_are_used_by_default(
    server: StubServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    for name in names:
        monkeypatch.setenv(name, f"http://{proxy.address}")
    office = Office(server)
    await works(office, office.worker(office.hire()))
    assert len(proxy.tunnels) == 1
    assert proxy.forwarded


@pytest.mark.parametrize("exemption", ["127.0.0.1", "*"])
async def test_exemptions_of_the_environment_are_kept(
    server: StubServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, exemption: str
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://{proxy.address}")
    monkeypatch.setenv("no_proxy", exemption)
    office = Office(server)
    await works(office, office.worker(office.hire()))
    assert proxy.tunnels == proxy.forwarded == []


async def test_proxy_none_ignores_the_environment(
    server: StubServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://{proxy.address}")
    office = Office(server)
    await works(office, office.worker(office.hire(), proxy=None))
    assert proxy.tunnels == proxy.forwarded == []


@pytest.mark.parametrize("exemption", ["", "far.example", "far.example:443", "far.example:80", "::1", "*"])
@pytest.mark.parametrize(
    "url",
    ["wss://far.example/v1", "ws://far.example/v1", "wss://far.example:8443/", "ws://[::1]:80/"],
)
def test_the_proxy_that_is_named_is_the_one_that_the_websocket_takes(
    monkeypatch: pytest.MonkeyPatch, url: str, exemption: str
) -> None:
    monkeypatch.setenv("https_proxy", "http://secure.example:3128")
    monkeypatch.setenv("http_proxy", "http://plain.example:3128")
    for scheme in ("https", "socks", "wss", None):
        monkeypatch.setenv("no_proxy", exemption)
        assert Proxies().for_websocket(url) == get_proxy(parse_uri(url))
        if scheme is not None:
            monkeypatch.setenv(f"{scheme}_proxy", f"socks5h://{scheme}.example:1080")


async def test_credentials_reach_the_proxy_on_both_ways(server: StubServer, proxy: Proxy) -> None:
    office = Office(server)
    await works(office, office.worker(office.hire(), proxy=f"http://ann:s3cret@{proxy.address}"))
    expected = "Basic " + base64.b64encode(b"ann:s3cret").decode()
    assert proxy.authorizations == {expected}
    assert proxy.tunnels
    assert proxy.forwarded


async def test_a_proxy_that_refuses_is_told_without_its_password(
    server: StubServer, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office(server)
    proxy.refuse = 407
    worker = office.worker(office.hire(), proxy=f"http://ann:s3cret@{proxy.address}")
    told: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    worker.once("error", told.set_result)
    entering = asyncio.create_task(worker.__aenter__())
    async with asyncio.timeout(30):
        error = await told
    assert isinstance(error, ConnectionFailedError)
    assert error.retryable
    await worker.disconnect()
    await asyncio.gather(entering, return_exceptions=True)
    async with Workspace(
        access_token(server, office.hire("w")),
        eb_server=server.eb_server,
        proxy=f"http://ann:s3cret@{proxy.address}",
    ) as workspace:
        with pytest.raises(RequestError) as caught:
            await workspace.fetch_task("WT" + "0" * 32)
    for text in (str(error), str(caught.value), caplog.text):
        assert "s3cret" not in text


@pytest.mark.parametrize("by", ["option", "environment"])
async def test_a_proxy_in_the_way_is_named_without_its_password(
    server: StubServer, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    place = await closed_port()
    proxy = f"http://ann:s3cret@{place}"
    if by == "environment":
        monkeypatch.setenv("http_proxy", proxy)
    office = Office(server)
    worker = office.worker(office.hire(), proxy=proxy if by == "option" else True)
    told: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    worker.once("error", told.set_result)
    entering = asyncio.create_task(worker.__aenter__())
    async with asyncio.timeout(30):
        error = await told
    await worker.disconnect()
    await asyncio.gather(entering, return_exceptions=True)
    assert f"{server.ws_server} through the proxy http://***@{place}: " in str(error)


async def test_a_pool_uses_the_environments_proxy_for_its_shared_connections(
    server: StubServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://{proxy.address}")
    office = Office(server)
    pool = WorkerPool(start_jitter=0, **office.options())
    for number in range(2):
        pool.add(access_token(server, office.hire(f"bot {number}")))
    async with pool:
        await pool.wait_ready()
    assert len(proxy.tunnels) == 2
    assert proxy.forwarded


@pytest.mark.parametrize(
    "wrong",
    ["http://ann:s3cret@proxy:port", "http://ann:s3cret@[::1", "http://ann:s3cret@", "//ann:s3cret@h"],
)
async def test_a_proxy_of_the_environment_that_is_no_url_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("http_proxy", wrong)
    transport = Transport("http://h.invalid/")
    with pytest.raises(NetworkError, match="not a URL") as caught:
        await transport.send(Routes(WORKSPACE, WORKER).worker(), Token("token"))
    await transport.close()
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("host", ["proxy..example", "p" * 70])
async def test_a_proxy_whose_name_cannot_be_looked_up_is_a_network_error(host: str) -> None:
    transport = Transport("http://h.invalid/", proxy=f"http://{host}:3128")
    with pytest.raises(NetworkError, match="Unicode"):
        await transport.send(Routes(WORKSPACE, WORKER).worker(), Token("token"))
    await transport.close()
