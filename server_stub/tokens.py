"""Who is calling the event bridge, and what may they touch.

Two kinds of token are accepted, told apart by the key that verifies them:

* an access token with a `task_router` grant: issued and signed by the signing key, roles worker,
  supervisor and admin;
* the older worker capability token: issued by the account, signed with its auth token. Its bearer
  is the worker that it names, and its policies are honoured.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

import jwt

from taskrouter_worker.clock import Clock
from taskrouter_worker.terms import Role, SidPrefix, is_sid

__all__ = ["LEEWAY", "MAX_TOKEN", "Caller", "Credentials", "Policy", "TokenRefused", "Tokens", "token_digest"]

LEEWAY: Final = 3.0
"""Seconds by which the clocks of issuer and server may differ (our choice)."""

MAX_TOKEN: Final = 16_384
"""Longest accepted token in characters: one with hundreds of policies still fits (our choice)."""

REMEMBERED_TOKENS: Final = 20_000
"""Good tokens whose signature is not checked again; the oldest one goes first."""

_ALGORITHMS: Final = ["HS256", "HS384", "HS512"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The account, and the two secrets that clients are known by."""

    account_sid: str
    auth_token: str = field(repr=False)
    signing_key_sid: str
    signing_key_secret: str = field(repr=False)


class TokenRefused(Exception):
    """The token lets nobody in.

    Attributes:
        status: 401 for a token that proves nothing, 403 for a sound one of another account.
        expired: whether it was good once; a fresh one will do.
    """

    def __init__(self, message: str, *, status: int = 401, expired: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.expired = expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One line of a capability token. The host of its URL does not matter."""

    method: str
    path: tuple[str, ...]  # below /v1; a final "**" stands for anything, "*" for one segment
    allow: bool
    filters: Mapping[str, object]  # by parameter: the value it must have, or {"required": bool}

    def covers(self, method: str, path: Sequence[str]) -> bool:
        """Whether it speaks about this request at all."""
        if method != self.method:
            return False
        pattern = self.path
        if pattern and pattern[-1] == "**":
            pattern = pattern[:-1]
            path = path[: len(pattern)]
        return len(pattern) == len(path) and all(p in ("*", s) for p, s in zip(pattern, path, strict=True))

    def accepts(self, params: Mapping[str, object]) -> bool:
        """Whether the request has what the filters ask for."""
        return all(
            params.get(name) is not None or not cast("dict[str, object]", wanted).get("required")
            if isinstance(wanted, dict)
            else params.get(name) == wanted
            for name, wanted in self.filters.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Someone with a sound token."""

    workspace_sid: str
    worker_sid: str | None
    role: Role
    expires_at: float  # epoch seconds
    policies: tuple[Policy, ...] | None = None  # None: an access token, the role alone decides

    def may(self, method: str, path: Sequence[str], params: Mapping[str, object]) -> bool:
        """Whether the policies, if there are any, allow a request below /v1. A refusing line wins."""
        if self.policies is None:
            return True
        covering = [p for p in self.policies if p.covers(method, path) and p.accepts(params)]
        return bool(covering) and all(p.allow for p in covering)


class Tokens:
    """Verifies tokens against the server's own secrets. `clock` is the wall clock of their times.

    A good token's signature is checked once, its times always: a worker sends the same one for an hour.
    """

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self._expired: set[bytes] = set()
        self._known: OrderedDict[bytes, tuple[Caller, float | None]] = OrderedDict()  # who, not before when

    def expire(self, digest: bytes) -> None:
        """The token with this digest counts as expired from now on (a fault that a test asked for)."""
        self._expired.add(digest)

    def caller(self, token: str) -> Caller:
        """Whoever the token was made for.

        Raises:
            TokenRefused: it is malformed, forged, expired, of another account, or grants nothing here.
        """
        if len(token) > MAX_TOKEN:
            raise TokenRefused(f"The token is too long: at most {MAX_TOKEN} characters are accepted")
        if self._expired and token_digest(token) in self._expired:
            raise TokenRefused("Token expired", expired=True)
        digest = token_digest(token)
        known = self._known.get(digest)
        if known is not None:
            caller, not_before = known
            self._check_now(caller.expires_at, not_before)
            return caller
        caller, claims = self._verify(token)
        begins = claims.get("nbf")
        # Not the claims themselves: they take ten times as much memory.
        self._known[digest] = caller, None if begins is None else float(cast("float", begins))
        self._forget()
        return caller

    def _forget(self) -> None:
        """Let go of the oldest tokens that are of no more use, or too many."""
        now = self._clock.now()
        while self._known:
            oldest, _ = next(iter(self._known.values()))
            if oldest.expires_at + LEEWAY > now and len(self._known) <= REMEMBERED_TOKENS:
                break
            self._known.popitem(last=False)

    def _verify(self, token: str) -> tuple[Caller, Mapping[str, object]]:
        ours = self._credentials
        claims = _verified(token, ours.signing_key_secret)
        if claims is not None and claims.get("iss") == ours.signing_key_sid:
            return self._with_grant(claims), claims
        claims = _verified(token, ours.auth_token)
        if claims is not None and claims.get("iss") == ours.account_sid:
            return self._with_capabilities(claims), claims
        raise TokenRefused("The token is not valid: unknown issuer or wrong signature")

    def _with_grant(self, claims: Mapping[str, object]) -> Caller:
        expires_at = self._checked_times(claims)
        self._check_account(claims.get("sub"))
        grants = claims.get("grants")
        grant = cast("dict[str, object]", grants).get("task_router") if isinstance(grants, dict) else None
        if not isinstance(grant, dict):
            raise TokenRefused("The token has no task_router grant")
        fields = cast("dict[str, object]", grant)
        workspace_sid, worker_sid = fields.get("workspace_sid"), fields.get("worker_sid")
        try:
            role = Role(cast("str", fields.get("role")))  # the enumeration refuses everything else
        except ValueError:
            allowed = ", ".join(Role)
            raise TokenRefused(f"The token's grant has no known role, expected one of {allowed}") from None
        if not isinstance(workspace_sid, str) or not is_sid(workspace_sid, SidPrefix.WORKSPACE):
            raise TokenRefused("The token's grant names no workspace_sid")
        if worker_sid is None and role is not Role.WORKER:
            return Caller(workspace_sid=workspace_sid, worker_sid=None, role=role, expires_at=expires_at)
        if not isinstance(worker_sid, str) or not is_sid(worker_sid, SidPrefix.WORKER):
            raise TokenRefused("The token's grant names no worker_sid")
        return Caller(workspace_sid=workspace_sid, worker_sid=worker_sid, role=role, expires_at=expires_at)

    def _with_capabilities(self, claims: Mapping[str, object]) -> Caller:
        expires_at = self._checked_times(claims)
        self._check_account(claims.get("account_sid"))
        workspace_sid, worker_sid = claims.get("workspace_sid"), claims.get("worker_sid")
        if not isinstance(workspace_sid, str) or not is_sid(workspace_sid, SidPrefix.WORKSPACE):
            raise TokenRefused("The token names no workspace_sid")
        if not isinstance(worker_sid, str) or not is_sid(worker_sid, SidPrefix.WORKER):
            raise TokenRefused(
                "The token names no worker_sid: only capability tokens of workers are accepted"
            )
        policies = claims.get("policies")
        return Caller(
            workspace_sid=workspace_sid,
            worker_sid=worker_sid,
            role=Role.WORKER,
            expires_at=expires_at,
            policies=_policies(policies),
        )

    def _check_account(self, account_sid: object) -> None:
        if not isinstance(account_sid, str) or not is_sid(account_sid, SidPrefix.ACCOUNT):
            raise TokenRefused("The token names no account")
        if account_sid != self._credentials.account_sid:
            raise TokenRefused("The token belongs to another account", status=403)

    def _checked_times(self, claims: Mapping[str, object]) -> float:
        """`exp` in epoch seconds, after the check that now is before it and not before `nbf`."""
        expiry, begins = claims.get("exp"), claims.get("nbf")
        if not _is_moment(expiry):
            raise TokenRefused("The token has no expiry")
        expires_at = float(cast("float", expiry))  # _is_moment has checked it
        not_before: float | None = None
        if begins is not None:  # what is no moment never comes
            not_before = float(cast("float", begins)) if _is_moment(begins) else math.inf
        self._check_now(expires_at, not_before)
        return expires_at

    def _check_now(self, expires_at: float, not_before: float | None) -> None:
        now = self._clock.now()
        if expires_at + LEEWAY <= now:
            raise TokenRefused("Token expired", expired=True)
        if not_before is not None and not_before - LEEWAY > now:
            raise TokenRefused("The token is not valid yet")


def token_digest(token: str) -> bytes:
    """What a token is known by where the token itself must not be kept."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _verified(token: str, key: str) -> dict[str, Any] | None:  # Any: a JWT's claims are free-form JSON
    """The claims, if `key` made the signature. We check the times: PyJWT reads the system's clock."""
    try:
        return jwt.decode(
            token,
            key,
            algorithms=_ALGORITHMS,
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None


def _is_moment(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON allows integers that no float holds
        return False


def _policies(value: object) -> tuple[Policy, ...]:
    """The lines that can be understood. One that cannot allows nothing, so it is left out."""
    if not isinstance(value, list):
        return ()
    return tuple(p for p in map(_policy, cast("list[object]", value)) if p is not None)


def _policy(value: object) -> Policy | None:
    if not isinstance(value, dict):
        return None
    line = cast("dict[str, object]", value)
    url, method, allow = line.get("url"), line.get("method"), line.get("allow")
    if not isinstance(url, str) or not isinstance(method, str) or not isinstance(allow, bool):
        return None
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    filters: dict[str, object] = {}
    given = line.get("query_filter" if method == "GET" else "post_filter")
    if isinstance(given, dict):
        filters = cast("dict[str, object]", given)
    segments = tuple(segment for segment in path.split("/") if segment)
    return Policy(method=method, path=segments[1:], allow=allow, filters=filters)
