"""The tasks of coroutine handlers: none outlives its owner, and each is canceled as anyio would do it."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from taskrouter_worker._handler_tasks import HandlerTasks
from tests.sdk.virtual import settle, virtual_time


class Unexpected(BaseException):
    """What no handler may raise, and one may all the same."""


@virtual_time
async def test_the_end_cancels_what_runs_and_waits_for_it() -> None:
    log: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(1_000)
        finally:
            log.append("canceled")

    async with HandlerTasks() as tasks:
        tasks.start(handler, "one")
        tasks.start(handler, "two")
        await settle()
    assert log == ["canceled", "canceled"]
    assert len(asyncio.all_tasks()) == 1


@virtual_time
async def test_who_swallows_a_cancellation_is_canceled_again() -> None:
    swallowed = 0

    async def handler() -> None:
        nonlocal swallowed
        while swallowed < 3:
            try:
                await asyncio.sleep(1_000)
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.sleep(1_000)

    async with HandlerTasks() as tasks:
        tasks.start(handler, "stubborn")
        await settle()
    assert swallowed == 3
    assert asyncio.get_running_loop().time() < 1_000


@virtual_time
async def test_what_is_shielded_is_finished_first() -> None:
    log: list[str] = []

    async def handler() -> None:
        with anyio.CancelScope(shield=True):
            await asyncio.sleep(5)
            log.append("saved")
        await asyncio.sleep(1_000)
        log.append("never")

    async with HandlerTasks() as tasks:
        tasks.start(handler, "saving")
        await settle()
    assert log == ["saved"]
    assert asyncio.get_running_loop().time() == 5


@virtual_time
async def test_one_that_has_not_begun_begins_and_is_canceled_at_its_first_wait() -> None:
    log: list[str] = []

    async def handler() -> None:
        log.append("begun")
        await asyncio.sleep(1_000)
        log.append("never")

    async with HandlerTasks() as tasks:
        tasks.start(handler, "late")
    assert log == ["begun"]


@virtual_time
async def test_an_owner_that_is_canceled_by_asyncio_itself_waits_for_all_and_stays_canceled() -> None:
    log: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(1_000)
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(5)
                log.append("saved")

    async def own() -> None:
        async with HandlerTasks() as tasks:
            tasks.start(handler, "one")
            await asyncio.sleep(1_000)

    owning = asyncio.create_task(own())
    await settle()
    owning.cancel()
    await settle()
    owning.cancel()  # while it waits for the handler
    with pytest.raises(asyncio.CancelledError):
        await owning
    assert log == ["saved"]
    assert len(asyncio.all_tasks()) == 1


@virtual_time
async def test_what_is_no_exception_fails_the_owner_and_ends_the_others() -> None:
    log: list[str] = []

    async def broken() -> None:
        raise Unexpected

    async def handler() -> None:
        try:
            await asyncio.sleep(1_000)
        finally:
            log.append("canceled")

    async def own() -> None:
        async with HandlerTasks() as tasks:
            tasks.start(handler, "other")
            tasks.start(broken, "broken")
            await asyncio.sleep(1_000)

    with pytest.raises(BaseExceptionGroup) as caught:
        await own()
    assert caught.group_contains(Unexpected)
    assert log == ["canceled"]
    assert asyncio.get_running_loop().time() < 1_000


@virtual_time
async def test_a_task_is_named_and_begins_in_the_order_of_the_starts() -> None:
    log: list[str] = []

    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        log.append(task.get_name())

    async with HandlerTasks() as tasks:
        for name in ("one", "two", "three"):
            tasks.start(handler, name)
        await settle()
    assert log == ["one", "two", "three"]
