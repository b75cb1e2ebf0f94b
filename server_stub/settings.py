"""How the server is set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taskrouter_worker.terms import SidPrefix, is_sid

from .domain.model import Limits
from .limits import ServerLimits

if TYPE_CHECKING:
    from .seeding import SeedDocument

__all__ = ["BRIDGE_PATH", "Settings", "is_loopback"]

BRIDGE_PATH: Final = "/v1/wschannels"
"""Of the event bridge and of the websockets, as on Twilio."""


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its very name: no name is looked up."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the server is set up. Every default suits a test; credentials are made where None.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        account_sid, auth_token: the account; the token signs capability tokens too.
        signing_key_sid, signing_key_secret: the API key, which signs access tokens.
        settle_ms: milliseconds between an answer and the events that its command caused.
        heartbeat_seconds: each websocket gets a text frame at least this often.
        offline_grace_ms: milliseconds before a worker without a session goes offline.
        allowed_hosts: further host names under which `/stub` may be reached.
        callback_hosts: hosts beside this machine that callbacks may be sent to.
        tls_cert, tls_key: PEM files; both or neither.
        limits: TaskRouter's limits and timers.
        seed: makes SIDs repeatable.
        seed_document: what the workspaces are set up with, as a file (YAML, TOML or JSON) or as objects; a
            workspace with one queue unless given. See `docs/state.md`.
        server_limits: how much this server bears: sizes, connections, requests, times.

    Raises:
        ValueError: a value is out of its range, or would expose the server with generated credentials.
    """

    host: str = "127.0.0.1"
    port: int = 8300
    account_sid: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    signing_key_sid: str | None = None
    signing_key_secret: str | None = field(default=None, repr=False)
    settle_ms: float = 20
    heartbeat_seconds: float = 15
    offline_grace_ms: float = 0
    allowed_hosts: Sequence[str] = ()
    callback_hosts: Sequence[str] = ()
    tls_cert: str | Path | None = None
    tls_key: str | Path | None = None
    limits: Limits = field(default_factory=Limits)
    seed: int | None = None
    seed_document: SeedDocument | None = None
    server_limits: ServerLimits = field(default_factory=ServerLimits)

    def __post_init__(self) -> None:
        for name, value, prefix in (
            ("account_sid", self.account_sid, SidPrefix.ACCOUNT),
            ("signing_key_sid", self.signing_key_sid, SidPrefix.API_KEY),
        ):
            if value is not None and not is_sid(value, prefix):
                raise ValueError(f"{name} must be {prefix} and 32 hexadecimal digits, got {value!r}")
        for name, secret in (
            ("auth_token", self.auth_token),
            ("signing_key_secret", self.signing_key_secret),
        ):
            if secret is not None and not secret:
                raise ValueError(f"{name} must not be empty")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must be 0 to 65535, got {self.port}")
        if self.settle_ms < 0 or self.offline_grace_ms < 0:
            raise ValueError("settle_ms and offline_grace_ms must be 0 or more")
        if self.heartbeat_seconds <= 0:
            raise ValueError(f"heartbeat_seconds must be more than 0, got {self.heartbeat_seconds}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both or neither")
        if not is_loopback(self.host) and (self.auth_token is None or self.signing_key_secret is None):
            raise ValueError(
                f"host {self.host!r} is reachable from other machines: give auth_token and "
                "signing_key_secret explicitly, or listen on 127.0.0.1"
            )
