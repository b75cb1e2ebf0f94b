"""A token that cannot be printed by accident, and what can be read of it without its key."""

from __future__ import annotations

import binascii
import math
import re
from base64 import urlsafe_b64decode
from typing import Any, Final, cast

import msgspec

from .resources import DECODE_ERRORS
from .terms import SidPrefix, is_sid

__all__ = ["Token"]

_SHAPE: Final = re.compile(r"[A-Za-z0-9\-_.=~]+")


class Token:
    """A JWT. `str` and `repr` are masked; `reveal` is called where it goes on the wire.

    Attributes:
        expires_at: `exp` in epoch seconds, None where the token cannot be read (encrypted tokens).
        workspace_sid: the workspace it is for, None where that cannot be read.
    """

    __slots__ = ("_text", "expires_at", "workspace_sid")

    def __init__(self, text: str) -> None:
        self._text = text
        claims = _claims(text)
        self.expires_at = _epoch(claims.get("exp"))
        # An access token names it in its grant, a capability token at the top.
        sid = _inner(_inner(claims, "grants"), "task_router").get(
            "workspace_sid", claims.get("workspace_sid")
        )
        self.workspace_sid: str | None = sid if is_sid(sid, SidPrefix.WORKSPACE) else None

    @classmethod
    def parse(cls, value: object, name: str = "token") -> Token:
        """Check an argument.

        Raises:
            TypeError: it is not text.
            ValueError: it is empty, or holds characters that no token has.
        """
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, got {type(value).__name__}")
        if not value:
            raise ValueError(f"{name} must not be empty")
        # It travels in a URL as it is: anything outside base64url and dots would change the query.
        if not _SHAPE.fullmatch(value):
            raise ValueError(f"{name} is not a JWT: it holds characters that no token has (value not shown)")
        return cls(value)

    def reveal(self) -> str:
        """The token itself."""
        return self._text

    def __repr__(self) -> str:
        return "Token('***')"

    __str__ = __repr__


def _claims(text: str) -> dict[str, Any]:  # Any: a JWT's claims are free-form JSON
    """The middle one of the three parts; nothing where it cannot be read, as in encrypted tokens, of five.

    Who signed it is the service's business. PyJWT would look at all parts, which takes ten times as long.
    """
    parts = text.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims: object = msgspec.json.decode(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (*DECODE_ERRORS, binascii.Error, ValueError):
        return {}
    return cast("dict[str, Any]", claims) if isinstance(claims, dict) else {}


def _epoch(value: object) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def _inner(claims: dict[str, Any], name: str) -> dict[str, Any]:
    value = claims.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
