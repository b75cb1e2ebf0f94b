"""Who may use the console: whoever has the server's credentials, or the link that the server printed.

The link's key is in the fragment of its address, which no browser sends: the page hands it over once, in a
request's body, and gets a session for it. The session is a cookie that no script can read, that is sent to
the console alone and never from another site. Browsers send it to every port of the host, though: so it is
worth nothing without its other half, which the page keeps for its own origin and sends as a header. Both are
signed statements and nothing is kept of them, so that a session outlives a restart of a server whose
credentials stay the same. All of this is our choice: nothing like it exists in TaskRouter.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit

from aiohttp import web

from server_stub.replies import ApiError, json_response, method_not_allowed, read_body
from server_stub.tokens import Credentials

__all__ = ["HEADER", "PRIVATE", "Access"]

LIFETIME: Final = 12 * 3600
"""How long a session lasts, in seconds of the machine's time."""

HEADER: Final = "X-TaskRouter-Console"
"""Carries the session's other half. Pages of other origins cannot set it without asking first."""

PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of whatever needs a session: no browser keeps it, or takes it for something else."""

MAX_BODY: Final = 4_096
"""Longest body of a login, in bytes."""

PATH: Final = "/console"


class Access:
    """Lets people in, and knows them again.

    Args:
        credentials: the account's and the API key's.
        check_origin: refuses other host names and pages of other sites, with an ApiError.
        authenticate: refuses a header `Authorization` that does not hold the server's credentials.
        port: where the server listens: cookies of one host name do not know ports.
        secure: whether the server speaks TLS.
        now: the machine's time in epoch seconds.

    Attributes:
        key: what the printed link carries. It is good as long as this process runs.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        check_origin: Callable[[web.Request], None],
        authenticate: Callable[[str], None],
        port: Callable[[], int],
        secure: bool,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key = secrets.token_urlsafe(24)
        self._signs = f"{credentials.auth_token}\n{credentials.signing_key_secret}".encode()
        self._check_origin = check_origin
        self._authenticate = authenticate
        self._port = port
        self._secure = secure
        self._now = now

    @property
    def cookie(self) -> str:
        """The name of the session's cookie."""
        return f"taskrouter_console_{self._port()}"

    def admit(self, request: web.Request) -> None:
        """Refuse who has neither a session nor the server's credentials.

        Raises:
            ApiError: 401, or 403 for pages of another origin.
        """
        self.check_page(request)
        header = request.headers.get("Authorization")
        if header is not None:
            self._authenticate(header)
            return
        session = request.cookies.get(self.cookie, "")
        if not self._is_sound(session):
            raise ApiError(
                401, "The console needs the link that the server printed, or the server's credentials"
            )
        half = request.headers.get(HEADER, "")
        if not hmac.compare_digest(half.encode(errors="replace"), self._other_half(session).encode()):
            raise ApiError(
                401, f"The session's cookie needs its other half, in the header {HEADER}: enter once more"
            )

    def check_page(self, request: web.Request) -> None:
        """Refuse host names that are not this server's, and whatever a page of another origin asks for.

        Raises:
            ApiError: 403.
        """
        self._check_origin(request)
        origin = request.headers.get("Origin")
        # Another port of this machine is another origin, though browsers call it the same site.
        if origin is not None and _place(origin) != request.host.lower():
            raise ApiError(403, "Pages of this origin are not allowed here")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise ApiError(403, "Pages of this origin are not allowed here")

    def check_host(self, request: web.Request) -> None:
        """Refuse host names that are not this server's.

        Raises:
            ApiError: 403.
        """
        self._check_origin(request)

    async def session(self, request: web.Request) -> web.StreamResponse:
        """POST begins a session, with the key or with user and password; GET tells of it; DELETE ends it."""
        self.check_page(request)
        match request.method:
            case "POST":
                self._check_proof(request, await read_body(request, MAX_BODY))
                session = self._new()
                half = self._other_half(session)
                response = json_response({"expires_in": LIFETIME, "page": half}, status=201)
                self._set(response, session, LIFETIME)
            case "GET" | "HEAD":
                self.admit(request)
                response = json_response({"status": "ok"})
            case "DELETE":
                self.admit(request)
                response = web.Response(status=204)
                self._set(response, "", 0)
            case _:
                raise method_not_allowed(request.method, "GET", "POST", "DELETE")
        response.headers.update(PRIVATE)
        return response

    def _set(self, response: web.StreamResponse, value: str, seconds: int) -> None:
        response.set_cookie(
            self.cookie,
            value,
            max_age=seconds,
            path=PATH,
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )

    def _check_proof(self, request: web.Request, body: bytes) -> None:
        header = request.headers.get("Authorization")
        if not body:
            self._authenticate(header or "")
            return
        if HEADER not in request.headers:
            raise ApiError(403, f"A login needs the header {HEADER}: no page of another origin can send it")
        try:
            given: object = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise ApiError(400, "The body must be a JSON object with key, or with user and password")
        fields = cast("dict[str, object]", given)
        key, user, password = fields.get("key"), fields.get("user"), fields.get("password")
        if isinstance(key, str):
            if not hmac.compare_digest(key.encode(errors="replace"), self.key.encode()):
                raise ApiError(401, "This link is not of this server, or of an earlier run of it")
        elif isinstance(user, str) and isinstance(password, str):
            pair = base64.b64encode(f"{user}:{password}".encode(errors="replace")).decode()
            try:
                self._authenticate(f"Basic {pair}")
            except ApiError as refused:  # without its header: the browser would ask for a password itself
                raise ApiError(refused.status, "The account SID or the auth token is wrong") from None
        else:
            raise ApiError(400, "The body must be a JSON object with key, or with user and password")

    def _new(self) -> str:
        says = f"1.{int(self._now()) + LIFETIME}.{secrets.token_urlsafe(12)}"
        return f"{says}.{self._signature('session', says)}"

    def _is_sound(self, session: str) -> bool:
        says, _, signature = session.rpartition(".")
        if not hmac.compare_digest(
            signature.encode(errors="replace"), self._signature("session", says).encode()
        ):
            return False
        return self._now() < int(says.split(".")[1])

    def _other_half(self, session: str) -> str:
        """What the page of this session keeps."""
        return self._signature("page", session.rpartition(".")[0])

    def _signature(self, what: str, says: str) -> str:
        return hmac.new(self._signs, f"console {what} {says}".encode(), hashlib.sha256).hexdigest()


def _place(origin: str) -> str | None:
    """The host and port of an origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
