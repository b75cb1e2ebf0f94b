"""The agent desktop in a terminal, used with keys, against a local server."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from examples.agent_desktop.aim import REPEAT_SECONDS, SEEN_SECONDS, Aim
from examples.agent_desktop.login import Login
from server_stub.faults import RequestFault
from tests.desktop.centre import PATIENCE, Centre, open_centre

pytestmark = pytest.mark.desktop


@pytest.fixture
def centre() -> Iterator[Centre]:
    with open_centre() as opened:
        yield opened


class Time:
    """For an `Aim`."""

    now = 100.0


def patient() -> Aim:
    """Whoever presses keys takes a minute for each."""
    return Aim(partial(next, itertools.count(0, 60)))


async def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.01)


async def test_keys_reach_what_the_agent_saw_and_nothing_that_takes_its_place(centre: Centre) -> None:
    from textual.widgets import OptionList

    from examples.agent_desktop.terminal import TerminalDesk

    application, clock = TerminalDesk(centre.login()), Time()
    desk, application._aim = application.desk, Aim(lambda: clock.now)

    async def shown(*titles: str) -> None:
        def is_there() -> bool:
            view = desk.view
            return [*(it.title for it in view.offers), *(it.title for it in view.works)] == [*titles]

        await until(is_there)
        await until(lambda: application.query_one(OptionList).option_count == len(titles))
        await pilot.pause()

    async with application.run_test() as pilot:
        await until(lambda: desk.view.agent)
        centre.task(title="First")
        await shown("First")
        await pilot.press("r")  # it has just come
        assert not desk.view.offers[0].busy
        assert [toast.message for toast in application._notifications] == [
            "Press r again if you mean “First”."
        ]
        clock.now += SEEN_SECONDS
        centre.task(title="Second")
        await shown("First", "Second")
        centre.task(title="Third")
        await shown("First", "Second", "Third")
        clock.now += REPEAT_SECONDS
        await pilot.press("a", "a")
        await shown("Second", "Third", "First")
        for _ in range(3):  # a held key
            clock.now += REPEAT_SECONDS - 0.01
            await pilot.press("a")
        await pilot.press("w")  # the highlighted one was seen, as an offer
        await until(lambda: desk.view.works[0].wrapping)
        await pilot.press("up", "a")  # chosen by hand
        await until(lambda: [it.title for it in desk.view.works] == ["First", "Third"])
        assert [it.busy for it in desk.view.offers] == [""]


async def test_an_agent_works_in_a_terminal(centre: Centre) -> None:
    from textual.widgets import Input, OptionList

    from examples.agent_desktop.terminal import Choice, LoginScreen, TerminalDesk

    application = TerminalDesk(Login(server=centre.url), reconnect_backoff=lambda _: 0.05)
    desk, application._aim = application.desk, patient()
    async with application.run_test(size=(60, 24)) as pilot:
        assert isinstance(application.screen, LoginScreen)
        await pilot.press("enter")
        assert "Paste your token" in str(application.screen.query_one("#status").render())
        token = centre.token()
        application.screen.query_one("#token", Input).value = token  # pasted
        await pilot.pause()
        assert token not in application.export_screenshot()
        await pilot.press("enter")
        await until(lambda: desk.view.agent == "Nina")
        task = centre.task(title="Lost card", card="ends in 4417")
        await until(lambda: desk.view.offers)
        await pilot.pause()
        shown = application.export_screenshot(simplify=True).replace("&#160;", " ")
        assert "Lost" in shown
        assert "4417" in shown
        await pilot.press("a")
        await until(lambda: desk.view.works and not desk.view.works[0].busy)
        await pilot.press("t")
        await until(lambda: isinstance(application.screen, Choice))
        await until(lambda: application.screen.query_one(OptionList).option_count == 2)
        await pilot.press(*"omar", "enter")
        await until(lambda: desk.view.works[0].handover)
        await until(lambda: not desk.view.works[0].busy)
        await pilot.press("w")
        await until(lambda: desk.view.works[0].wrapping and not desk.view.works[0].busy)
        await pilot.press("ctrl+q")
        await until(lambda: isinstance(application.screen, Choice))
        await pilot.press("enter")  # stays
        await pilot.press("c")
        await until(lambda: not desk.view.works)
        assert centre.status(task) == "completed"
        await pilot.press("ctrl+q")
    assert not desk.view.is_logged_in


async def test_a_session_that_ends_leads_back_to_the_login(centre: Centre) -> None:
    from examples.agent_desktop.terminal import LoginScreen, TerminalDesk

    application = TerminalDesk(centre.login())
    async with application.run_test() as pilot:
        await until(lambda: application.desk.view.agent)
        await until(lambda: not isinstance(application.screen, LoginScreen))
        centre.call(lambda server: server.faults.displace())
        await until(lambda: isinstance(application.screen, LoginScreen))
        await pilot.pause()
        assert "logged in somewhere else" in str(application.screen.query_one("#status").render())


async def test_a_token_that_runs_out_is_asked_for_and_the_session_goes_on(centre: Centre) -> None:
    from textual.widgets import Input

    from examples.agent_desktop.terminal import LoginScreen, TerminalDesk

    application = TerminalDesk(centre.login(), reconnect_backoff=lambda _: 0.05)
    async with application.run_test() as pilot:
        await until(lambda: application.desk.view.agent)
        await until(lambda: not isinstance(application.screen, LoginScreen))
        centre.call(lambda server: server.faults.expire_token())
        await until(lambda: isinstance(application.screen, LoginScreen))
        await until(lambda: application.screen.query("Input"))
        application.screen.query_one(Input).value = centre.token(ttl=7_200)
        await pilot.press("enter")
        await until(lambda: not isinstance(application.screen, LoginScreen))
        assert application.desk.view.agent == "Nina"


async def test_why_there_is_nobody_to_hand_over_to_is_told(centre: Centre) -> None:
    from examples.agent_desktop.terminal import Choice, TerminalDesk

    application = TerminalDesk(centre.login())
    desk, application._aim = application.desk, patient()
    async with application.run_test() as pilot:
        await until(lambda: desk.view.agent)
        centre.task(title="Lost card")
        await until(lambda: desk.view.offers)
        await pilot.press("a")
        await until(lambda: desk.view.works and not desk.view.works[0].busy)
        centre.call(lambda server: setattr(server.faults, "request", lambda _: RequestFault(status=403)))
        await pilot.press("t")
        await until(lambda: isinstance(application.screen, Choice) and application.screen.query("#why"))
        why = application.screen.query_one("#why")
        await until(lambda: "Could not look up colleagues and queues" in str(why.render()))
