"""Why a session ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Disconnect", "DisconnectCause"]


class DisconnectCause(StrEnum):
    """Why a session ended."""

    CLIENT = "client"  # disconnect() was called
    CONNECTION_LOST = "connection_lost"  # without a closing handshake, or by a code without a meaning here
    SILENCE = "silence"  # no frame for 30 s
    SHUTDOWN = "shutdown"  # 1001: the server goes away
    RESYNCHRONISE = "resynchronise"  # 1012: the server restarts, or wants a fresh snapshot
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - no secret; close code 4401
    FORBIDDEN = "forbidden"  # 4403
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - no secret; close code 4408
    DISPLACED = "displaced"  # 4409: another session took its place
    TOO_SLOW = "too_slow"  # 4413: frames were not read fast enough
    TOO_MANY_SESSIONS = "too_many_sessions"  # 4429
    INITIALIZATION_FAILED = "initialization_failed"  # no init, or no snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """The argument of `disconnected`.

    Attributes:
        message: the reason as text, as in Worker.js.
        cause: the reason as a value.
        code: the websocket's close code; None if it ended without one.
        will_reconnect: whether the SDK connects again by itself. False when it ended for good, and when its
            token has run out and nobody has made another yet. See `TaskRouterError.ends_session`.
    """

    message: str
    cause: DisconnectCause
    code: int | None = None
    will_reconnect: bool = False
