"""How an agent logs in: with a token, or with a service that makes tokens. Plain Python, no window."""

from __future__ import annotations

import base64
import ipaddress
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from taskrouter_worker.options import WorkerOptions

__all__ = ["Login", "LoginError", "ServiceRefusedError", "TokenService", "read_token"]

BRIDGE_PATH = "/v1/wschannels"
ANSWER_SECONDS = 15.0
MAX_ANSWER = 100_000


class LoginError(ValueError):
    """What was typed in cannot be right; the text is a sentence for the agent. It never holds a secret."""


class ServiceRefusedError(Exception):
    """The token service said no: another try with the same name and password will not help."""


@dataclass(frozen=True)
class Login:
    """What an agent gives to get in: a token, or the address of a service that makes tokens.

    Attributes:
        token: a worker's access token.
        service: URL of a token service, which is asked again before each token ends.
        user, password: who asks there (HTTP Basic); both empty if it does not want to know.
        server: where TaskRouter is, such as ``http://127.0.0.1:8300``; empty for Twilio.
        region: Twilio's region, such as ``ie1``; empty for the default.
    """

    token: str = field(default="", repr=False)
    service: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    server: str = ""
    region: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Login:
        """What the variables say, by the names that the README has."""
        bridge = environment.get("TASKROUTER_EB_SERVER", "").strip().removesuffix(BRIDGE_PATH)
        return cls(
            token=environment.get("TASKROUTER_TOKEN", "").strip(),
            service=environment.get("TASKROUTER_TOKEN_URL", "").strip(),
            user=environment.get("TASKROUTER_USER", "").strip(),
            password=environment.get("TASKROUTER_PASSWORD", ""),
            server=environment.get("TASKROUTER_SERVER", "").strip() or bridge,
            region=environment.get("TASKROUTER_REGION", "").strip(),
        )

    @property
    def is_complete(self) -> bool:
        """Whether there is enough to try."""
        return bool(self.token or self.service)

    def checked(self) -> Login:
        """The same without blanks at the ends.

        Raises:
            LoginError: something is missing, or cannot be right.
        """
        tidy = replace(
            self,
            token=self.token.strip(),
            service=self.service.strip(),
            server=self.server.strip().rstrip("/"),
            region=self.region.strip(),
        )
        if not tidy.is_complete:
            raise LoginError("Paste your token, or enter the address of your sign-in service.")
        if tidy.server:
            _check_url(tidy.server, "The server's address", "http://127.0.0.1:8300")
        if tidy.service:
            _check_url(tidy.service, "The sign-in service's address", "https://desk.example.com/token")
            if ":" in tidy.user:
                raise LoginError("A name cannot hold a colon.")
        elif any(character.isspace() for character in tidy.token):
            raise LoginError(
                "A token has no blanks or line breaks. Copy it again, from its start to its end."
            )
        return tidy

    def endpoints(self) -> WorkerOptions:
        """The options that lead a `SyncWorker` to the server; none for Twilio."""
        if self.server:
            base = self.server + BRIDGE_PATH
            return {"eb_server": base, "ws_server": "ws" + base.removeprefix("http")}
        return {"region": self.region} if self.region else {}


class TokenService:
    """A token provider for `SyncWorker`: asks a URL with POST, and takes JSON ``{"token": ...}`` or text."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._headers: dict[str, str] = {}
        if user or password:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"

    async def __call__(self) -> str:
        """The next token. It runs in the SDK's thread, where nothing may block.

        Raises:
            ServiceRefusedError: it wants another name, password or address.
            ConnectionError: it could not be reached, or failed.
        """
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout, trust_env=True) as session,
                session.post(self._url, allow_redirects=False) as answer,
            ):
                body = b""
                async for chunk in answer.content.iter_any():  # an answer may come in pieces
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        break
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionError(f"the sign-in service cannot be reached ({type(error).__name__})") from None
        if status in (401, 403):
            raise ServiceRefusedError("The sign-in service did not accept your name or password.")
        if status >= 500 or status == 429:
            raise ConnectionError(f"the sign-in service failed (HTTP {status})")
        if status != 200:
            raise ServiceRefusedError(
                f"The sign-in service gave no token (HTTP {status}). Check its address."
            )
        return _token_in(body)

    def __repr__(self) -> str:
        return f"TokenService({self._url!r})"


def read_token(path: str) -> str:
    """The token in a file; ``-`` reads standard input.

    Raises:
        LoginError: the file cannot be read, or is empty.
    """
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise LoginError(f"The token file {path} cannot be read: {reason}.") from None
    if not text.strip():
        raise LoginError(f"There is no token in {'standard input' if path == '-' else path}.")
    return text.strip()


def _token_in(body: bytes) -> str:
    try:
        text = body.decode("ascii").strip()
        found = json.loads(text)["token"] if text.startswith("{") else text
    except (UnicodeDecodeError, ValueError, KeyError):
        found = ""
    if not isinstance(found, str) or not found:
        raise ServiceRefusedError(
            'The sign-in service answered, but with no token. It should answer {"token": "..."}.'
        )
    return found


def _check_url(url: str, what: str, example: str) -> None:
    """Refuse what is no address, and what would carry a token in the open."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host = ""
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not host:
        raise LoginError(f"{what} must look like {example}.")
    if parts.username or parts.password:
        raise LoginError(f"{what} must not hold a name or password: enter them in their own fields.")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise LoginError(f"{what} must begin with https: your token would travel in the open otherwise.")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
