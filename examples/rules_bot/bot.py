"""A bot for a container: rules from a file, so many tasks at once, a health line, and a drain at SIGTERM.

    python -m examples.rules_bot.bot examples/rules_bot/rules.yaml

Needs the environment of accept_reservations.py. ``--check`` only reads the rules.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

from taskrouter_worker import RequestError, Reservation, TaskRouterError, Worker, worker_token

from .rules import Rule, Rulebook, RulesError, read_rules

NEEDED = (
    "TWILIO_ACCOUNT_SID",
    "TWILIO_API_KEY",
    "TWILIO_API_SECRET",
    "TASKROUTER_WORKSPACE_SID",
    "TASKROUTER_WORKER_SID",
)


class Bot(Worker):
    """A worker that follows rules.

    Args:
        rulebook: what it follows.
        token, eb_server, ws_server: see `Worker`.
    """

    def __init__(
        self, rulebook: Rulebook, token: str, *, eb_server: str | None = None, ws_server: str | None = None
    ) -> None:
        super().__init__(token, eb_server=eb_server, ws_server=ws_server)
        self.rulebook = rulebook
        self.busy: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.leaving = False
        self._was_here = False
        self._door = asyncio.Lock()
        self.on("ready", self._begin)
        self.on("reservationCreated", self._decide)
        self.on("activityUpdated", lambda _: self.tell())
        self.on("error", self._failed)

    async def drain(self, *, activity_sid: str | None = None, timeout: float = 300.0) -> list[Reservation]:
        """As `Worker.drain`, which `Worker.run` calls at SIGTERM: from now on the door stays closed."""
        self.leaving = True
        async with self._door:  # a move that is under way ends first, else it could undo this one
            pass
        return await super().drain(activity_sid=activity_sid, timeout=timeout)

    @property
    def health(self) -> str:
        """One line for people and for log collectors: ``health: ready, Available, 1 of 2 tasks, ...``"""
        counts = ", ".join(f"{self.counts[name]} {name}" for name in ("done", "rejected", "failed"))
        return (
            f"health: {self.state}, {self.activity_name}, "
            f"{len(self.busy)} of {self.rulebook.parallel} tasks, {counts}"
        )

    @property
    def _is_full(self) -> bool:
        return len(self.busy) >= self.rulebook.parallel

    def tell(self) -> None:
        """Print the health line."""
        print(self.health, flush=True)

    async def tell_for_ever(self, seconds: float) -> None:
        """Print the health line again and again: if none comes for long, something is wrong."""
        while True:
            await asyncio.sleep(seconds)
            self.tell()

    async def _begin(self, _: Worker) -> None:
        """Go on with what an earlier run of this bot accepted, then take more.

        This is called after each gap in the connection as well: what it works on goes on by itself then.
        """
        there = {activity.name for activity in self.activities.values()}
        if missing := {self.rulebook.ready, self.rulebook.full} - there:
            self._say_wrong(f"the workspace has no activity {missing.pop()!r}; it has {sorted(there)}")
            await self.disconnect()
            return
        print(f"{self.name} is ready, with {len(self.rulebook.rules)} rules", flush=True)
        accepted = [r for r in self.reservations.values() if r.status in ("accepted", "wrapping")]
        left_over = [reservation for reservation in accepted if reservation.sid not in self.busy]
        self.busy.update(reservation.sid for reservation in left_over)
        await self._open_or_close(from_anywhere=not self._was_here)
        self._was_here = True
        rules = [self.rulebook.rule_for(reservation.task.attributes) for reservation in left_over]
        await asyncio.gather(*map(self._work, left_over, rules))

    async def _decide(self, reservation: Reservation) -> None:
        rule = self.rulebook.rule_for(reservation.task.attributes)
        try:
            async with self._door:
                if self.leaving or self._is_full:
                    return  # came while the door was being closed, which rejects it
                if rule.do == "reject":
                    await self._refuse(reservation, rule)
                    return
                await reservation.accept()
                self.busy.add(reservation.sid)
        except RequestError as error:
            self._failed(error)  # an offer without an answer times out, and the router asks the next one
            return
        await self._open_or_close()
        await self._work(reservation, rule)

    async def _refuse(self, reservation: Reservation, rule: Rule) -> None:
        task = reservation.task
        # The workflow looks at the mark: else the router would offer it to the bot again.
        await task.set_attributes({**task.attributes, "needs_person": True, "refused": rule.name})
        await reservation.reject()
        self.counts["rejected"] += 1
        print(f"rejected {task.sid}: {rule.name}", flush=True)

    async def _work(self, reservation: Reservation, rule: Rule) -> None:
        task = reservation.task
        print(f"working on {task.sid}: {rule.name}", flush=True)
        try:
            await asyncio.sleep(rule.seconds)  # the work
            await task.set_attributes({**task.attributes, **rule.set})
            await task.complete(rule.name)
            self.counts["done"] += 1
        except RequestError as error:
            self._failed(error)
        finally:
            self.busy.discard(reservation.sid)
        await self._open_or_close()

    async def _open_or_close(self, *, from_anywhere: bool = False) -> None:
        """Be where offers come while there is room for one, and away from them while there is none.

        Another activity is left alone: a supervisor has chosen it.
        """
        async with self._door:
            ready, full = (
                next(a for a in self.activities.values() if a.name == name)
                for name in (self.rulebook.ready, self.rulebook.full)
            )
            here, there = (ready, full) if self._is_full else (full, ready)
            if self.leaving or there.is_current or not (here.is_current or from_anywhere):
                return
            try:
                # What else was offered meanwhile is rejected with it, so that others get it.
                await there.set_as_current(reject_pending_reservations=True if there is full else None)
            except RequestError as error:
                self._failed(error)

    def _failed(self, error: TaskRouterError) -> None:
        self._say_wrong(str(error))

    def _say_wrong(self, what: str) -> None:
        self.counts["failed"] += 1
        print(f"failed: {what}", file=sys.stderr, flush=True)


async def main(rulebook: Rulebook, *, health_seconds: float) -> int:
    """Work until a signal comes; the exit status."""
    token = worker_token(
        account_sid=os.environ["TWILIO_ACCOUNT_SID"],
        signing_key_sid=os.environ["TWILIO_API_KEY"],
        signing_key_secret=os.environ["TWILIO_API_SECRET"],
        workspace_sid=os.environ["TASKROUTER_WORKSPACE_SID"],
        worker_sid=os.environ["TASKROUTER_WORKER_SID"],
    )
    bot = Bot(
        rulebook,
        token,
        eb_server=os.environ.get("TASKROUTER_EB_SERVER"),
        ws_server=os.environ.get("TASKROUTER_WS_SERVER"),
    )
    telling = asyncio.create_task(bot.tell_for_ever(health_seconds))
    try:
        await bot.run(drain_timeout=60)
    except TaskRouterError as error:
        print(f"ended: {error}", file=sys.stderr)
        return 1
    finally:
        telling.cancel()
    print(f"left: {bot.health.removeprefix('health: ')}", flush=True)
    return 0 if bot.leaving else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A bot that follows rules.")
    parser.add_argument("rules", type=Path, metavar="RULES", help="YAML or JSON: see rules.yaml")
    parser.add_argument("--check", action="store_true", help="only read the rules")
    parser.add_argument(
        "--health-seconds", type=float, default=15.0, metavar="SECONDS", help="between two health lines"
    )
    options = parser.parse_args()
    try:
        known = read_rules(options.rules)
    except RulesError as wrong:
        parser.error(str(wrong))
    if options.check:
        print(f"{options.rules}: {len(known.rules)} rules, up to {known.parallel} tasks at once")
        sys.exit(0)
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        parser.error(f"set {', '.join(missing)} in the environment")
    sys.exit(asyncio.run(main(known, health_seconds=options.health_seconds)))
