"""`taskrouter-stub events tail` as a process, across a restart of the server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from server_stub import Settings, StubServer
from server_stub.__main__ import ENVIRONMENT, _parser, main
from server_stub.clocks import OffsetClock
from server_stub.commands.events import run_events
from tests.cli.programs import PATIENCE, environment, known_to, started
from tests.sdk.office import Office


async def next_event(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        event: dict[str, Any] = json.loads(await process.stdout.readline())
    return event


async def test_events_are_followed_filtered_and_found_again_after_a_restart() -> None:
    async with StubServer(Settings(port=0)) as server:
        office = Office(server)
        nina, omar = office.hire("nina"), office.hire("omar", activity="Offline")
        variables = environment(server)
        again = Settings(
            port=server.port,
            account_sid=server.account_sid,
            auth_token=server.auth_token,
            signing_key_sid=server.signing_key_sid,
            signing_key_secret=server.signing_key_secret,
        )
        arguments = (
            "server_stub",
            "events",
            "tail",
            "--json",
            "--type",
            "worker.*",
            "--type",
            "task.created",
        )
        process = await (context := started(*arguments, "--last", "2", **variables)).__aenter__()
        earlier = [await next_event(process) for _ in range(2)]
        assert [event["event_data"]["worker_sid"] for event in earlier] == [nina, omar]
        task = office.task(topic="cards")
        event = await next_event(process)
        assert (event["event_type"], event["resource_sid"]) == ("task.created", task)
    # Everything is new on the new server, its workspace too; what happens there is told.
    async with StubServer(again) as server:
        created = Office(server).hire("wu")
        while (event := await next_event(process))["resource_sid"] != created:
            assert event["event_type"].startswith("worker.")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            _, err = await process.communicate()
    await context.__aexit__(None, None, None)
    assert process.returncode == 0
    told = err.decode().splitlines()
    assert told[-1] == "taskrouter-stub: connected again"
    assert told[0].startswith("taskrouter-stub: ")
    assert server.auth_token not in err.decode()


async def test_people_read_one_line_for_each_event(
    server: StubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known_to(server, monkeypatch)
    office = Office(server)
    nina = office.hire("nina\x1b[2J")
    office.task_for(nina)
    parsed = _parser().parse_args(["events", "tail", "--last", "9", "--worker", nina])
    tailing = asyncio.create_task(run_events(parsed, ENVIRONMENT))
    out = ""
    async with asyncio.timeout(PATIENCE):
        while "reservation.created" not in out:
            await asyncio.sleep(0.01)
            out += capsys.readouterr().out
    tailing.cancel()
    await asyncio.wait({tailing})
    lines = out.splitlines()
    assert "worker.created" in lines[0]
    assert lines[0].endswith("nina\\x1b[2J  Available")
    assert "  nina\\x1b[2J  WT" in lines[-1]


async def test_tail_ends_when_its_reader_is_gone_though_nothing_happens(
    server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_to(server, monkeypatch)
    ours, theirs = os.pipe()
    with io.TextIOWrapper(io.FileIO(theirs, "w")) as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        parsed = _parser().parse_args(["events", "tail"])
        tailing = asyncio.create_task(run_events(parsed, ENVIRONMENT))
        os.close(ours)
        async with asyncio.timeout(PATIENCE):
            assert await tailing == 0


def test_server_that_is_not_there_at_the_start_is_not_waited_for(
    threaded_server: StubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known_to(threaded_server, monkeypatch)
    assert main(["events", "tail", "--url", "http://127.0.0.1:1"]) == 3
    assert main(["events", "tail", "--worker", "nobody"]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 2


class _Tail:
    """`events tail --json` in the test's own process, and what it has told."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.told: list[dict[str, Any]] = []
        self._capsys = capsys
        parsed = _parser().parse_args(["events", "tail", "--json", *arguments])
        self._running = asyncio.create_task(run_events(parsed, ENVIRONMENT))

    async def until(self, resource_sid: str) -> None:
        """Wait until something was told of this resource."""
        async with asyncio.timeout(PATIENCE):
            while not any(event["resource_sid"] == resource_sid for event in self.told):
                await asyncio.sleep(0.01)
                self.told += map(json.loads, self._capsys.readouterr().out.splitlines())

    async def end(self) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})
        sids = [event["sid"] for event in self.told]
        assert len(sids) == len(set(sids)), "an event was told twice"


async def test_events_are_told_once_when_the_clock_of_the_server_is_set_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("server_stub.commands.events.LOOK_SECONDS", 0.01)
    clock = OffsetClock(0)
    async with StubServer(Settings(port=0), clock=clock) as server:
        known_to(server, monkeypatch)
        office = Office(server)
        earlier = office.hire("nina")
        tail = _Tail(capsys, "--last", "1")
        await tail.until(earlier)
        for back in (3600, 3600.5, 7200):
            before, clock.offset = office.task(), -back
            await tail.until(before)
            await tail.until(office.hire(f"hired {back} s ago"))
        clock.offset = 0
        await tail.until(office.task())
        await tail.end()


async def test_a_server_whose_clock_is_behind_that_of_its_predecessor_is_followed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("server_stub.commands.events.RETRY_SECONDS", (0.01, 0.01))
    settings = Settings(port=0, seed=7)  # SIDs, of events too, are those of its predecessor
    async with StubServer(settings) as server:
        known_to(server, monkeypatch)
        settings = replace(
            settings,
            port=server.port,
            account_sid=server.account_sid,
            auth_token=server.auth_token,
            signing_key_sid=server.signing_key_sid,
            signing_key_secret=server.signing_key_secret,
        )
        first, tail = Office(server).hire("nina"), _Tail(capsys, "--last", "1")
        await tail.until(first)
    seen, tail.told = tail.told, []
    async with StubServer(settings, clock=OffsetClock(-3600)) as server:
        await tail.until(Office(server).hire("nina"))
        await tail.end()
    assert {event["sid"] for event in seen} & {event["sid"] for event in tail.told}
