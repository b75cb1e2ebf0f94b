"""Raw clients: frames and envelopes as they are on the wire, without any SDK."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp

from server_stub import StubServer
from tests.support import access_token

PATIENCE = 5.0
"""Seconds until something that must come counts as missing."""

Json = dict[str, Any]  # what the wire says: every test knows what it expects


@dataclass
class Answer:
    """What came back over HTTP."""

    status: int
    body: Any
    headers: Any

    @property
    def payload(self) -> Any:
        """The event bridge's result."""
        assert self.status == 200, self.body
        return self.body["payload"]


class Socket:
    """A worker's websocket. Heartbeats are counted and otherwise skipped."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.heartbeats = 0

    async def message(self) -> Json | None:
        """The next message; None when the connection is closed."""
        async with asyncio.timeout(PATIENCE):
            while True:
                raw = await self.ws.receive()
                if raw.type is not aiohttp.WSMsgType.TEXT:
                    assert raw.type in (
                        aiohttp.WSMsgType.CLOSE,
                        aiohttp.WSMsgType.CLOSED,
                        aiohttp.WSMsgType.CLOSING,
                    ), raw
                    return None
                if raw.data.strip():
                    decoded: Json = json.loads(raw.data)
                    return decoded
                self.heartbeats += 1

    async def event(self, event_type: str | None = None) -> Json:
        """The next message, which must be of that type; its payload."""
        message = await self.message()
        assert message is not None, f"closed instead of {event_type}: {self.ws.close_code}"
        assert event_type in (None, message["event_type"]), message
        return {"event_type": message["event_type"], **message["payload"]}

    async def closed(self) -> int | None:
        """The close code, after whatever was still to come."""
        while await self.message() is not None:
            pass
        return self.ws.close_code

    async def quiet(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes within that time."""
        try:
            raw = await self.ws.receive(timeout=seconds)
        except TimeoutError:
            return True
        return raw.type is aiohttp.WSMsgType.TEXT and not raw.data.strip()


@dataclass
class Client:
    """One worker's doors: the event bridge and the websocket."""

    server: StubServer
    http: aiohttp.ClientSession
    worker_sid: str
    token: str
    sockets: list[Socket] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The worker's workspace, as inner requests name it."""
        return f"Workspaces/{self.server.workspace_sid}"

    @property
    def me(self) -> str:
        """The worker itself, as inner requests name it."""
        return f"{self.base}/Workers/{self.worker_sid}"

    async def send(
        self,
        url: str,
        method: str = "GET",
        params: Json | None = None,
        *,
        api: str = "v1",
        headers: dict[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """One inner request."""
        envelope = {"url": url, "method": method, "params": params or {}, "token": token or self.token}
        return await self.raw(json.dumps(envelope), headers={"apiVersion": api, **(headers or {})})

    async def raw(
        self, body: str | bytes, *, method: str = "POST", headers: dict[str, str] | None = None
    ) -> Answer:
        """Any body, sent as the JavaScript SDK labels it."""
        wanted = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        async with self.http.request(method, self.server.eb_server, data=body, headers=wanted) as response:
            text = await response.text()
            return Answer(response.status, json.loads(text) if text else None, response.headers)

    async def connect(self, *, token: str | None = None, **query: str) -> Socket:
        """Open a websocket with the query that the JavaScript SDK sends."""
        given = {
            "token": token or self.token,
            "closeExistingSessions": "false",
            "clientVersion": "2.1.1",
            **query,
        }
        ws = await self.http.ws_connect(f"{self.server.ws_server}?{urlencode(given)}", autoping=True)
        socket = Socket(ws)
        self.sockets.append(socket)
        return socket

    async def snapshot(self) -> dict[str, Json]:
        """The four requests of a client that becomes ready, in the JavaScript SDK's order."""
        worker = await self.send(self.me)
        activities = await self.send(f"{self.base}/Activities", params={"PageSize": 1000})
        channels = await self.send(f"{self.me}/WorkerChannels", params={"PageSize": 1000})
        reservations = await self.reservations()
        return {
            "worker": worker.payload,
            "activities": activities.payload,
            "channels": channels.payload,
            "reservations": reservations.payload,
        }

    async def reservations(self) -> Answer:
        """The last request of the snapshot."""
        return await self.send(
            f"{self.me}/Reservations", params={"Active": "true", "PageSize": 1000}, api="v2"
        )

    async def ready(self, **query: str) -> Socket:
        """A websocket whose client has fetched its snapshot."""
        socket = await self.connect(**query)
        await socket.event("init")
        await self.snapshot()
        return socket

    async def answer_reservation(self, sid: str, status: str, **params: object) -> Answer:
        """Accept, reject, wrap or complete."""
        return await self.send(
            f"{self.me}/Reservations/{sid}", "POST", {"ReservationStatus": status, **params}
        )

    async def close(self) -> None:
        """Close every websocket."""
        for socket in self.sockets:
            await socket.ws.close()


class Desk:
    """Arranges the default workspace in-process and lets workers in."""

    def __init__(self, server: StubServer, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http
        self.clients: list[Client] = []

    @property
    def workspace(self) -> Any:
        """The domain's workspace, to look at."""
        return self.server.account.workspaces[self.server.workspace_sid]

    def run(self, command: Any) -> Any:
        """A command that no worker caused."""
        return self.server.run(self.server.workspace_sid, command)

    def activity(self, name: str) -> str:
        """The SID of the activity of that name."""
        return str(next(a.sid for a in self.workspace.activities.values() if a.friendly_name == name))

    def hire(self, name: str, activity: str = "Available", **attributes: object) -> str:
        """A new worker; its SID."""
        sid = self.activity(activity)
        worker = self.run(
            lambda ws: ws.create_worker(
                friendly_name=name, activity_sid=sid, attributes=json.dumps(attributes)
            )
        )
        return str(worker.sid)

    def let_in(self, worker_sid: str, *, role: str = "worker", ttl: int = 3600) -> Client:
        """A client with a token for that worker."""
        token = access_token(self.server, worker_sid, role=role, ttl=ttl)
        client = Client(self.server, self.http, worker_sid, token)
        self.clients.append(client)
        return client

    def client(self, name: str, activity: str = "Available", *, role: str = "worker") -> Client:
        """A new worker with a client."""
        return self.let_in(self.hire(name, activity), role=role)

    def task(self, **attributes: object) -> Any:
        """A new task, routed at once."""
        return self.run(lambda ws: ws.create_task(attributes=json.dumps(attributes)))

    def activity_of(self, worker_sid: str) -> str:
        """The name of the activity that the worker is in."""
        return str(self.workspace.workers[worker_sid].activity.friendly_name)

    async def rest(
        self,
        method: str,
        path: str,
        *,
        auth: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """A REST request below the server's /v1, or to an absolute URL."""
        pair = ":".join(auth or (self.server.account_sid, self.server.auth_token))
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}", **(headers or {})}
        url = path if path.startswith("http") else f"{self.server.rest_url}/v1{path}"
        async with self.http.request(method, url, headers=headers, **options) as response:
            text = await response.text()
            return Answer(response.status, json.loads(text) if text else None, response.headers)

    @property
    def path(self) -> str:
        """The default workspace in REST paths."""
        return f"/Workspaces/{self.server.workspace_sid}"


async def until(condition: Any) -> None:
    """Wait for a fact of the server that no frame announces."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
