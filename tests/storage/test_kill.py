"""A short run of `python -m tests.storage.kill`; `make check` has a longer one."""

from __future__ import annotations

from pathlib import Path

from tests.storage.kill import kills
from tests.storage.ledger import Ledger, Shown, Worker


async def test_what_was_acknowledged_survives_sigkill(path: Path) -> None:
    figures = await kills(str(path), 2, seed=5, log=path.parent / "server.log")
    assert figures.kills == 2
    assert figures.acknowledged > 0
    assert figures.problems == []


def _reservation(sid: str, status: str, version: int = 1, task: str = "WT1") -> dict[str, object]:
    return {
        "sid": sid,
        "reservation_status": status,
        "version": version,
        "worker_sid": "WK1",
        "task_sid": task,
    }


def _shown(*reservations: dict[str, object], mood: int = 3) -> Shown:
    task = {"attributes": "{}", "assignment_status": "assigned"}
    worker = {"sid": "WK1", "mood": mood, "version": 5}
    return Shown({"WT1": task}, list(reservations), {"WK1": worker}, {}, 0)


def test_the_auditor_notices_what_is_lost_doubled_or_made_up() -> None:
    def audit(shown: Shown) -> list[str]:
        ledger = Ledger(kept=10, asked_tasks={"{}"}, tasks={"WT1": "{}"})
        ledger.workers["WK1"] = Worker(mood=3, asked=4, version=5)
        known = ledger.reservation(_reservation("WR1", "accepted", 2))
        known.asked = "accepted"
        return [problem.partition(":")[0] for problem in ledger.audit(shown, now=0.0)]

    fine = _reservation("WR1", "accepted", 2)
    assert audit(_shown(fine)) == []
    assert audit(_shown()) == ["lost"]
    assert audit(_shown(_reservation("WR1", "pending", 2))) == ["lost"]
    assert audit(_shown(_reservation("WR1", "accepted", 1))) == ["went back"]
    assert audit(_shown(_reservation("WR1", "completed", 3))) == ["made up"]
    assert audit(_shown(fine, _reservation("WR2", "pending"))) == ["doubled"]
    assert audit(_shown(fine, mood=2)) == ["lost"]
    assert audit(_shown(fine, mood=5)) == ["lost"]
