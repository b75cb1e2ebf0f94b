"""Making the token that lets a worker in, without another library."""

from __future__ import annotations

import time
from collections.abc import Mapping

import jwt

from .terms import Role, SidPrefix, is_sid

__all__ = ["worker_token"]

MAX_LIFETIME = 86_400


def worker_token(
    *,
    account_sid: str,
    signing_key_sid: str,
    signing_key_secret: str,
    workspace_sid: str,
    worker_sid: str | None,
    role: Role | str = Role.WORKER,
    lifetime: int = 3600,
    identity: str | None = None,
) -> str:
    """Sign an access token with a TaskRouter grant (the format of Twilio's access tokens).

    Do this on a server of yours: whoever holds the signing key's secret can act as any worker.

    Args:
        account_sid: the account, ``AC...``.
        signing_key_sid: the API key, ``SK...``; it becomes the issuer.
        signing_key_secret: the API key's secret; the token is signed with it (HS256).
        workspace_sid: the workspace, ``WS...``.
        worker_sid: the worker that the token acts as, ``WK...``. None only for the roles
            `supervisor` and `admin`, and then only for `Workspace`, not for a session.
        role: `worker`, `supervisor` or `admin`.
        lifetime: seconds from now, 1 to 86,400 (Twilio's limit).
        identity: free-form user name.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of its range.
    """
    sids = {
        "account_sid": (account_sid, SidPrefix.ACCOUNT),
        "signing_key_sid": (signing_key_sid, SidPrefix.API_KEY),
        "workspace_sid": (workspace_sid, SidPrefix.WORKSPACE),
        "worker_sid": (worker_sid, SidPrefix.WORKER),
    }
    try:
        role = Role(role)
    except ValueError:
        allowed = ", ".join(Role)
        raise ValueError(f"role must be one of {allowed}, got {role!r}") from None
    if worker_sid is None and role is not Role.WORKER:
        del sids["worker_sid"]
    for name, (value, prefix) in sids.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, got {type(value).__name__}")
        if not is_sid(value, prefix):
            raise ValueError(f"{name} must be {prefix} and 32 hexadecimal digits, got {value!r}")
    if not isinstance(signing_key_secret, str):
        raise TypeError(f"signing_key_secret must be a str, got {type(signing_key_secret).__name__}")
    if not signing_key_secret:
        raise ValueError("signing_key_secret must not be empty")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int):
        raise TypeError(f"lifetime must be an int (seconds), got {type(lifetime).__name__}")
    if not 1 <= lifetime <= MAX_LIFETIME:
        raise ValueError(f"lifetime must be 1 to {MAX_LIFETIME} seconds, got {lifetime}")
    if identity is not None and not isinstance(identity, str):
        raise TypeError(f"identity must be a str, got {type(identity).__name__}")

    now = int(time.time())
    grant: Mapping[str, str] = {
        "workspace_sid": workspace_sid,
        **({"worker_sid": worker_sid} if worker_sid is not None else {}),
        "role": role.value,
    }
    grants = {**({"identity": identity} if identity is not None else {}), "task_router": grant}
    claims = {
        "jti": f"{signing_key_sid}-{now}",
        "iss": signing_key_sid,
        "sub": account_sid,
        "iat": now,
        "exp": now + lifetime,
        "grants": grants,
    }
    return jwt.encode(claims, signing_key_secret, algorithm="HS256", headers={"cty": "twilio-fpa;v=1"})
