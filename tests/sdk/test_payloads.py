"""Payloads of other hands (see `tests/payloads/README.md`), read with our codec, value by value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from taskrouter_worker import worker_token
from taskrouter_worker._token import Token
from taskrouter_worker.events import decode
from taskrouter_worker.resources import (
    UNSET,
    ActivityFields,
    AnyReservationFields,
    InitFields,
    Page,
    ReservationFields,
    ShortReservationFields,
    WorkerFields,
)
from tests.sdk.bench import Bench

PAYLOADS = Path(__file__).parent.parent / "payloads"
KINDS: dict[str, Any] = {
    "worker": WorkerFields,
    "reservation": ReservationFields,
    "reservation_short": ShortReservationFields,
    "page": Page[ActivityFields],
}


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def test_every_payload_is_listed_with_its_meaning() -> None:
    listed = (PAYLOADS / "README.md").read_text()
    for path in PAYLOADS.glob("*.json"):
        assert f"`{path.name}`" in listed


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_payload_is_read_and_written_back_without_a_change(name: str) -> None:
    decoded = msgspec.json.decode((PAYLOADS / f"{name}.json").read_bytes(), type=KINDS[name])
    written = json.loads(msgspec.json.encode(decoded))
    expected = payload(name)
    if name == "page":
        expected["meta"]["next_token"] = None  # we write it out
    assert written == expected


def test_init() -> None:
    event = decode((PAYLOADS / "init.json").read_bytes())
    assert event is not None
    assert event.payload == InitFields(
        channel_id="WK7d90b3f6c15e4a2b9f08e3d7a6c4b215",
        account_sid="AC5b1e0c9d7a3f42688e1f0d2c4b6a8097",
        workspace_sid="WS0f4c2a7be19d4d35a6c8e7f1b2039d54",
        token_lifetime=3_600_000,
    )


def test_a_reservation_becomes_what_the_application_sees() -> None:
    bench = Bench()
    bench.start()
    assert bench.apply([("reservation.created", payload("reservation"))])
    [reservation] = bench.model.reservations.values()
    assert reservation.sid == "WR4a8c2e6f0b1d43579e7a5c3f1d2b6808"
    assert (reservation.status, reservation.timeout, reservation.version) == ("pending", 120, "0")
    assert reservation.date_created == datetime(2025, 10, 9, 8, 55, tzinfo=UTC)
    assert (reservation.transfer, reservation.canceled_reason_code) == (None, None)
    task = reservation.task
    assert task.attributes == {"from": "+15550100"}
    assert (task.status, task.priority, task.age, task.timeout) == ("reserved", 0, 4, 86400)
    assert (task.queue_name, task.workflow_name, task.task_channel_unique_name) == (
        "English",
        "Support",
        "voice",
    )
    assert (task.reason, task.routing_target, task.addons) == (None, None, {})
    assert task.reservation_sid == reservation.sid


def test_a_short_answer_keeps_what_it_does_not_tell() -> None:
    bench = Bench()
    bench.start()
    bench.apply([("reservation.created", payload("reservation"))])
    [reservation] = bench.model.reservations.values()
    short = msgspec.json.decode((PAYLOADS / "reservation_short.json").read_bytes(), type=AnyReservationFields)
    assert (short.task, short.reservation_timeout) == (UNSET, UNSET)
    reservation._merge_any(short)
    assert (reservation.status, reservation.version, reservation.timeout) == ("accepted", "1", 120)
    assert reservation.task.status == "reserved"


def test_token_claims() -> None:
    claims = payload("token_claims")
    parsed = Token.parse(jwt.encode(claims, "k" * 32, headers={"cty": "twilio-fpa;v=1"}))
    assert (parsed.expires_at, parsed.workspace_sid) == (
        1_760_003_600.0,
        "WS0f4c2a7be19d4d35a6c8e7f1b2039d54",
    )
    grant = claims["grants"]["task_router"]
    ours = worker_token(
        account_sid=claims["sub"],
        signing_key_sid=claims["iss"],
        signing_key_secret="k" * 32,
        identity=claims["grants"]["identity"],
        **grant,
    )
    shown = jwt.decode(ours, "k" * 32, algorithms=["HS256"])
    assert shown.keys() == claims.keys()
    assert shown["grants"] == claims["grants"]
    assert shown["exp"] - shown["iat"] == claims["exp"] - claims["iat"]
