"""Making tokens, and reading what can be read of them without a key."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import TaskRouterGrant

from taskrouter_worker import Role, worker_token
from taskrouter_worker._token import Token
from tests.sdk.world import sid

SECRET = "0123456789abcdef0123456789abcdef"
WHO: dict[str, Any] = {
    "account_sid": sid("AC", 1),
    "signing_key_sid": sid("SK", 1),
    "signing_key_secret": SECRET,
    "workspace_sid": sid("WS", 1),
    "worker_sid": sid("WK", 1),
}


def claims(**options: Any) -> dict[str, Any]:
    return jwt.decode(worker_token(**{**WHO, **options}), SECRET, algorithms=["HS256"])


def test_the_token_is_signed_and_says_who_and_how_long() -> None:
    before = int(time.time())
    shown = claims(lifetime=600, identity="ann@example.com")
    assert before <= shown["iat"] <= time.time()
    assert shown["exp"] - shown["iat"] == 600
    assert (shown["iss"], shown["sub"]) == (sid("SK", 1), sid("AC", 1))
    assert shown["jti"] == f"{sid('SK', 1)}-{shown['iat']}"
    assert shown["grants"] == {
        "identity": "ann@example.com",
        "task_router": {"workspace_sid": sid("WS", 1), "worker_sid": sid("WK", 1), "role": "worker"},
    }
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(worker_token(**WHO), "x" * 32, algorithms=["HS256"])


@pytest.mark.parametrize("role", ["worker", "supervisor", "admin", Role.SUPERVISOR])
def test_the_token_is_what_twilios_own_library_makes(role: str) -> None:
    grant = TaskRouterGrant(workspace_sid=sid("WS", 1), worker_sid=sid("WK", 1), role=str(role))
    theirs = AccessToken(sid("AC", 1), sid("SK", 1), SECRET, grants=[grant], identity="ann", ttl=900).to_jwt()
    ours = worker_token(**WHO, role=role, lifetime=900, identity="ann")
    assert jwt.get_unverified_header(ours) == jwt.get_unverified_header(theirs)
    expected = jwt.decode(theirs, SECRET, algorithms=["HS256"])
    shown = jwt.decode(ours, SECRET, algorithms=["HS256"])
    for varying in ("exp", "jti"):
        assert type(shown.pop(varying)) is type(expected.pop(varying))
    del shown["iat"]  # optional, as is `nbf`
    expected.pop("nbf", None)
    assert shown == expected


def test_only_a_worker_needs_a_worker_sid() -> None:
    shown = claims(worker_sid=None, role="admin")
    assert shown["grants"]["task_router"] == {"workspace_sid": sid("WS", 1), "role": "admin"}
    with pytest.raises(TypeError, match="worker_sid"):
        worker_token(**{**WHO, "worker_sid": None})


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("account_sid", "AC1", ValueError),
        ("account_sid", None, TypeError),
        ("signing_key_sid", sid("AC", 1), ValueError),
        ("workspace_sid", 5, TypeError),
        ("worker_sid", sid("WS", 1), ValueError),
        ("signing_key_secret", "", ValueError),
        ("signing_key_secret", b"x" * 32, TypeError),
        ("role", "boss", ValueError),
        ("lifetime", 0, ValueError),
        ("lifetime", 86_401, ValueError),
        ("lifetime", 60.0, TypeError),
        ("lifetime", True, TypeError),
        ("identity", 5, TypeError),
    ],
)
def test_wrong_arguments_are_named_and_the_secret_is_not_shown(
    option: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=option) as caught:
        worker_token(**{**WHO, option: value})
    assert SECRET not in str(caught.value)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="ttl"):
        worker_token(**{**WHO, "ttl": 5})


@pytest.mark.parametrize(
    ("exp", "read"),
    [
        (1_760_000_000, 1_760_000_000.0),
        (1.5, 1.5),
        (None, None),
        ("soon", None),
        ([], None),
        (10**400, None),
        (float("inf"), None),
    ],
)
def test_the_expiry_is_read_without_a_key(exp: Any, read: float | None) -> None:
    text = jwt.encode({"exp": exp} if exp is not None else {}, SECRET)
    assert Token.parse(text).expires_at == read


@given(
    st.text(alphabet="abcXYZ019-_.=~", min_size=1)
    | st.lists(st.text(alphabet="abeyJ019-_"), min_size=3, max_size=5).map(".".join)
)
def test_a_token_that_cannot_be_decoded_is_a_token(text: str) -> None:
    parsed = Token.parse(text)
    assert parsed.reveal() == text
    assert parsed.expires_at is None
