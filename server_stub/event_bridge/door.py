"""The worker's HTTP door: one address takes an envelope with the real request inside.

Envelope, answers and errors are the event bridge's, as the JavaScript SDK uses them. Whoever calls
is known by the token in the envelope. `routes.py` holds the inner requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import msgspec
from aiohttp import web

from server_stub.commits import CommitFailed
from server_stub.domain.errors import DomainError, NotFound
from server_stub.faults import Faults
from server_stub.limits import RateLimit
from server_stub.replies import (
    CORS,
    ApiError,
    commit_failed,
    cut,
    error_response,
    json_response,
    method_not_allowed,
    read_body,
    version_of,
)
from server_stub.runtime import InternalError, Runtime
from server_stub.tokens import Caller, TokenRefused, Tokens, token_digest
from taskrouter_worker.terms import Role

from .call import Call, Gate, HeldFrames
from .routes import Path, Route, arguments, find, not_found

__all__ = ["EventBridge"]

log = logging.getLogger(__name__)


class _Envelope(msgspec.Struct):
    """The body of every request."""

    url: str
    method: str
    token: object = None  # whatever it is, it proves nothing unless it is a sound text
    params: dict[str, object] | None = None


_decode = msgspec.json.Decoder(_Envelope).decode


class EventBridge:
    """Answers ``POST /v1/wschannels``.

    Args:
        runtime: carries out the commands.
        tokens: tells who calls.
        gate: the sessions, which have to know about answers.
        faults: a test's switches.
        settle: seconds between an answer and the frames that its command caused.
        acting: marks, while it is entered, whose command is carried out.
        rate: how many requests the bearer of a token may make.
        max_body: longest envelope, in bytes.
    """

    def __init__(
        self,
        runtime: Runtime,
        tokens: Tokens,
        gate: Gate,
        *,
        faults: Faults,
        settle: float,
        acting: Callable[[str | None], AbstractContextManager[None]],
        rate: RateLimit,
        max_body: int,
    ) -> None:
        self._runtime = runtime
        self._tokens = tokens
        self._gate = gate
        self._faults = faults
        self._settle = settle
        self._acting = acting
        self._rate = rate
        self._max_body = max_body
        self._settling: dict[object, tuple[asyncio.TimerHandle, list[Callable[[], None]]]] = {}

    def close(self) -> None:
        """Do at once what waits for the settle time."""
        for key, (timer, _) in list(self._settling.items()):
            timer.cancel()
            self._settled(key)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. Every answer, refusals included, may be read by pages of any origin."""
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=CORS)
        try:
            return await self._handle(request)
        except ApiError as error:
            return error_response(error, headers=CORS)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            raise method_not_allowed(request.method, "POST", "OPTIONS")
        body = await read_body(request, self._max_body)
        if request.headers.get("apiVersion", "v1") not in ("v1", "v2"):
            raise ApiError(400, "The header apiVersion must be v1 or v2")
        try:
            envelope = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # Not the decoder's text: it may quote what it could not read.
            raise ApiError(
                400,
                "The body must be a JSON object with the strings url, method and token and the object params",
            ) from None
        caller, headers = self._caller(envelope.token)
        path = tuple(envelope.url.replace("\\", "/").removeprefix("/").split("/"))
        fault = None
        if self._faults.watches_requests:
            fault = await self._faults.on_request(
                "bridge",
                envelope.method,
                "/".join(path),
                workspace_sid=caller.workspace_sid,
                worker_sid=caller.worker_sid,
            )
        if fault is not None and fault.status is not None:
            raise ApiError(fault.status, "refused by a fault that a test asked for", headers=fault.headers)
        if fault is not None and fault.cut == "before":
            return cut(request)

        route, sids = find(envelope.method, path)
        call = self._prepared(
            route,
            sids,
            caller,
            params=envelope.params or {},
            path=path,
            if_match=request.headers.get("If-Match"),
        )
        # What is due already is nobody's answer: it must not wait behind the hold.
        self._runtime.settle(call.workspace)
        frames = self._gate.hold(caller.worker_sid if route.method == "POST" else None)
        try:
            with self._acting(caller.worker_sid if route.method == "POST" else None):
                payload = _carried_out(route, call, path)
            if self._runtime.commits is not None:
                await self._runtime.commits.committed()
        except CommitFailed:
            raise commit_failed() from None  # the frames are not stored either: they never go
        except BaseException:
            frames.release()
            raise
        if not frames.holds_something:
            frames.release()
        if fault is not None and fault.cut == "after":
            frames.release()
            return cut(request)
        response = json_response({"payload": payload}, headers=headers)
        if not frames.holds_something and not call.on_settled:
            return response
        return await self._written(request, response, frames, call.on_settled)

    def _caller(self, token: object) -> tuple[Caller, Mapping[str, str]]:
        """Who calls, and the headers of the answer."""
        if not isinstance(token, str):
            raise ApiError(401, "The body has no token: expected a JSON string")
        try:
            caller = self._tokens.caller(token)
        except TokenRefused as refused:
            raise ApiError(refused.status, str(refused)) from None
        account_sid = self._runtime.account.sid
        if not caller.may("POST", ("wschannels", account_sid, caller.worker_sid or ""), {}):
            raise ApiError(403, "The token's policies do not allow the event bridge")
        if not self._rate.is_on:
            return caller, CORS
        return caller, {**CORS, **self._rate.take(token_digest(token))}

    def _prepared(
        self,
        route: Route,
        sids: dict[str, str],
        caller: Caller,
        *,
        params: Mapping[str, object],
        path: Path,
        if_match: str | None,
    ) -> Call:
        """The call, once it is known that its caller may make it."""
        if sids.pop("workspace") != caller.workspace_sid:
            raise ApiError(403, "The token is for another workspace")
        try:
            workspace = self._runtime.workspace(caller.workspace_sid)
            if caller.worker_sid is not None:
                workspace.worker(caller.worker_sid)
        except NotFound:
            raise ApiError(403, "The token's workspace or worker does not exist") from None
        if not caller.may(route.method, path, params):
            raise ApiError(403, "The token's policies do not allow this request")
        call = Call(
            runtime=self._runtime,
            gate=self._gate,
            caller=caller,
            workspace=workspace,
            sids=sids,
            args=arguments(route, params),
            if_match=version_of(if_match) if route.versioned else None,
        )
        try:
            refusal = None if caller.role is Role.ADMIN else route.rule(call)
        except NotFound:
            raise not_found(path) from None
        if refusal is not None:
            raise ApiError(403, f"Not allowed: {refusal}")
        return call

    async def _written(
        self,
        request: web.Request,
        response: web.Response,
        frames: HeldFrames,
        on_settled: list[Callable[[], None]],
    ) -> web.StreamResponse:
        """Write the answer here, where it can be known when it was written, and let the frames follow it."""
        loop = asyncio.get_running_loop()
        # A slow reader of the answer delays the frames by the settle time at most.
        timer = loop.call_later(self._settle, frames.release)
        written = False
        try:
            await response.prepare(request)
            await response.write_eof()
            written = True
        except ConnectionError:
            log.info("the client of %s was gone before its answer", request.path)
        finally:
            timer.cancel()
            if written:
                self._after_settling([frames.release, *on_settled])
            else:
                frames.release()
        return response

    def _after_settling(self, actions: list[Callable[[], None]]) -> None:
        if self._settle > 0:
            # A key and no closure: a timer that reaches itself would be garbage for the collector to find.
            key = object()
            timer = asyncio.get_running_loop().call_later(self._settle, self._settled, key)
            self._settling[key] = timer, actions
        else:
            _all(actions)

    def _settled(self, key: object) -> None:
        _all(self._settling.pop(key)[1])


def _all(actions: list[Callable[[], None]]) -> None:
    for action in actions:
        action()


def _carried_out(route: Route, call: Call, path: Path) -> object:
    try:
        return route.handle(call)
    except NotFound:
        raise not_found(path) from None
    except DomainError as error:
        raise ApiError.of(error) from None
    except InternalError as error:
        raise ApiError(500, str(error)) from None
