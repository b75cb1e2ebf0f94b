"""The agent desktop's window, used as a person uses it, against a local server."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from examples.agent_desktop.aim import Aim
from server_stub import StubServer
from server_stub.faults import RequestFault
from taskrouter_worker import SyncWorker
from tests.desktop.centre import PATIENCE, Centre, open_centre
from tests.running_examples import ROOT

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from tests.desktop.agent_desk import AgentDesk

pytestmark = pytest.mark.desktop

Open = Callable[..., "AgentDesk"]

SMALL, LARGE = (420, 640), (1600, 1000)


@pytest.fixture
def centre() -> Iterator[Centre]:
    with open_centre() as opened:
        yield opened


@pytest.fixture
def open_desk(qt_application: QApplication) -> Iterator[Open]:
    """Opens windows, and closes them."""
    from tests.desktop.agent_desk import AgentDesk

    opened: list[AgentDesk] = []

    def open_it(*args: Any, **options: Any) -> AgentDesk:
        opened.append(AgentDesk(qt_application, *args, **options))
        return opened[-1]

    yield open_it
    for desk in opened:
        if hasattr(desk, "window"):
            desk.close()


@pytest.fixture
def desk(open_desk: Open, centre: Centre) -> AgentDesk:
    """Nina's window, logged in."""
    opened = open_desk(centre.login())
    opened.until(lambda: opened.view.agent)
    return opened


def with_task(desk: AgentDesk, centre: Centre, **attributes: Any) -> str:
    """Offer a task and accept it; its SID."""
    there = len(desk.works)
    task = centre.task(**attributes or {"title": "Lost card"})
    desk.until(lambda: desk.offers)
    desk.press(desk.offers[0].accept_button)
    desk.until(lambda: len(desk.works) == there + 1 and not any(work.busy for work in desk.view.works))
    return task


# --- Logging in ---------------------------------------------------------------------------------


def test_an_agent_logs_in_with_a_token_that_nobody_sees(
    open_desk: Open, centre: Centre, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    desk = open_desk()
    page, token = desk.window.login_page, centre.token()
    desk.write(page.token, token)
    desk.write(page.server, centre.url)
    assert page.token.displayText() == "●" * len(token)
    desk.press(page.enter)
    assert page.token.text() == ""
    desk.until_read("Nina")
    desk.until_read("● Connected")
    assert token not in desk.texts + caplog.text
    assert "Waiting for tasks" in desk.texts
    assert "No task in hand" in desk.texts


def test_a_wrong_token_is_explained_where_the_agent_can_try_again(open_desk: Open, centre: Centre) -> None:
    token = centre.token(secret="wrong" * 10)
    desk = open_desk()
    page = desk.window.login_page
    desk.write(page.token, token)
    desk.write(page.server, centre.url)
    desk.press(page.enter)
    desk.until_read("Your token was not accepted.")
    assert page.enter.isEnabled()
    assert token not in desk.texts
    desk.write(page.token, centre.token())
    desk.press(page.enter)
    desk.until_read("● Connected")


def test_a_server_that_cannot_be_reached_is_said_so_and_can_be_given_up(
    open_desk: Open, centre: Centre
) -> None:
    desk = open_desk()
    page = desk.window.login_page
    desk.write(page.token, centre.token())
    desk.write(page.server, "http://127.0.0.1:9")
    desk.press(page.enter)
    desk.until_read("The server cannot be reached.")
    desk.press_text("Cancel")
    assert page.enter.isEnabled()
    assert "cannot be reached" not in desk.texts


def test_nothing_is_sent_without_a_token(open_desk: Open) -> None:
    desk = open_desk()
    desk.press(desk.window.login_page.enter)
    assert "Paste your token, or enter the address of your sign-in service." in desk.texts
    assert not desk.view.is_logged_in


# --- Offers -------------------------------------------------------------------------------------


def test_an_offer_is_accepted_before_its_countdown_ends(desk: AgentDesk, centre: Centre) -> None:
    task = centre.task(title="Lost card", customer="Ana")
    desk.until(lambda: desk.offers)
    [card] = desk.offers
    shown = card.ring.text
    assert re.fullmatch(r"2:00|1:\d\d", shown)
    desk.until(lambda: card.ring.text != shown)
    assert desk.told == ["New task: Lost card"]
    assert desk.window.windowTitle().startswith("(1) Nina")
    answering = threading.Event()

    def hold(_: object) -> None:
        answering.wait(PATIENCE)

    centre.call(lambda server: setattr(server.faults, "request", hold))
    desk.press(card.accept_button)
    assert card.accept_button.text() == "Accepting …"
    assert not card.reject_button.isEnabled()
    answering.set()
    desk.until(lambda: desk.works)
    assert desk.offers == []
    desk.until_read("Working · ")
    assert centre.status(task) == "assigned"


def test_second_click_does_not_accept_the_offer_that_takes_the_place(desk: AgentDesk, centre: Centre) -> None:
    desk.window._aim = Aim(lambda: 100.0)
    tasks = [centre.task(title="Lost card"), centre.task(title="Loan")]
    desk.until(lambda: len(desk.offers) == 2)
    first, second = desk.offers
    desk.press(first.accept_button)
    desk.press(second.accept_button)
    desk.until(lambda: desk.works)
    assert [card.sid for card in desk.offers] == [second.sid]
    assert sorted(map(centre.status, tasks)) == ["assigned", "reserved"]


def test_second_click_on_wrap_up_does_not_complete_the_task_whose_button_takes_the_place(
    desk: AgentDesk, centre: Centre
) -> None:
    task = with_task(desk, centre)
    desk.window._aim = Aim(lambda: 100.0)
    [card] = desk.works
    desk.press(card.wrap_button)
    desk.until(lambda: not card.wrap_button.isVisible())
    desk.press(card.complete_button)
    assert card.complete_button.text() == "Complete"
    assert centre.status(task) == "wrapping"


def test_an_offer_is_rejected_and_goes_to_others(desk: AgentDesk, centre: Centre) -> None:
    centre.call(
        lambda server: server.run(
            server.workspace_sid, lambda ws: ws.update_worker(centre.omar, activity_sid=_offline(ws))
        )
    )
    task = centre.run(lambda ws: ws.create_task(attributes='{"title": "Lost card"}').sid)
    desk.until(lambda: desk.offers)
    rejected = desk.offers[0].sid
    desk.press(desk.offers[0].reject_button)
    # Nobody else is there: it is offered to Nina again, as something new.
    desk.until(lambda: desk.offers and desk.offers[0].sid != rejected)
    assert centre.status(task) == "reserved"


def test_an_offer_whose_time_is_over_leaves_the_window_and_is_told(desk: AgentDesk, centre: Centre) -> None:
    centre.hasty()
    centre.task(title="Lost card")
    desk.until(lambda: desk.offers)
    desk.until(lambda: not desk.offers)
    desk.until_read("“Lost card” was not answered in time.")
    desk.until_read("You were moved to")
    desk.until_read("You get no tasks in this activity.")


# --- Tasks --------------------------------------------------------------------------------------


def test_a_task_is_worked_on_with_keys_alone(desk: AgentDesk, centre: Centre) -> None:
    from PySide6.QtCore import Qt

    task = centre.task(title="Lost card")
    desk.until(lambda: desk.offers)
    desk.key(Qt.Key.Key_Return, ctrl=True)
    desk.until(lambda: desk.works and not desk.view.works[0].busy)
    desk.key(Qt.Key.Key_U, ctrl=True)
    desk.until(lambda: desk.view.works[0].wrapping and not desk.view.works[0].busy)
    assert not desk.works[0].transfer_button.isVisible()
    desk.key(Qt.Key.Key_D, ctrl=True)
    desk.until(lambda: not desk.works)
    assert centre.status(task) == "completed"
    centre.task(title="Another")
    desk.until(lambda: desk.offers)
    desk.key(Qt.Key.Key_Backspace, ctrl=True)
    desk.until(lambda: not desk.offers or desk.view.offers[0].busy == "Rejecting")
    desk.key(Qt.Key.Key_F1)
    assert "Accept the offer" in desk.texts


def test_keys_mean_the_card_with_the_focus(desk: AgentDesk, centre: Centre) -> None:
    from PySide6.QtCore import Qt

    with_task(desk, centre, title="First")
    second = with_task(desk, centre, title="Second")
    desk.until(desk.works[1].isVisible)  # a card takes the focus once it is laid out
    desk.works[1].setFocus()
    assert desk.works[1].hasFocus()
    desk.key(Qt.Key.Key_D, ctrl=True)
    desk.until(lambda: len(desk.works) == 1)
    assert centre.status(second) == "completed"


def test_a_task_is_handed_to_a_colleague_who_accepts_it(desk: AgentDesk, centre: Centre) -> None:
    from examples.agent_desktop.transfer_dialog import TransferDialog

    task = with_task(desk, centre)
    with SyncWorker(centre.token(centre.omar), **centre.login().endpoints()) as colleague:
        desk.press(desk.works[0].transfer_button)
        dialog = desk.window.dialog
        assert isinstance(dialog, TransferDialog)
        desk.until(lambda: dialog.list.count() == 2)
        desk.write(dialog.search, "omar")
        assert dialog.list.count() == 1
        desk.press(dialog.go)
        desk.until_read("Being handed to Omar: waiting for somebody to accept.")
        colleague.caught_up(timeout=PATIENCE)
        [offered] = colleague.reservations.values()
        offered.accept()
        desk.until_read("Omar has accepted.")
        desk.until(lambda: desk.view.works[0].wrapping)
        desk.press(desk.works[0].complete_button)
        desk.until(lambda: not desk.works)
        assert centre.status(task) == "assigned"  # to Omar
        assert [it.status for it in colleague.reservations.values()] == ["accepted"]


def test_a_task_is_handed_to_a_queue_and_taken_back(desk: AgentDesk, centre: Centre) -> None:
    with_task(desk, centre)
    desk.press(desk.works[0].transfer_button)
    dialog: Any = desk.window.dialog
    desk.until(lambda: dialog.list.count() == 2)
    desk.write(dialog.search, "queue")
    desk.press(dialog.go)
    desk.until_read("Being handed to Sample Queue")
    desk.until(desk.works[0].back_button.isEnabled)
    desk.press(desk.works[0].back_button)
    desk.until_read("You took the transfer back.")
    desk.until(desk.works[0].transfer_button.isEnabled)  # the answer may come before the event


def test_a_task_can_be_transferred_by_sid_where_the_token_does_not_show_the_workspace(
    desk: AgentDesk, centre: Centre
) -> None:
    with_task(desk, centre)
    centre.call(lambda server: server.faults.refuse_requests(403, method="GET"))
    desk.press(desk.works[0].transfer_button)
    dialog: Any = desk.window.dialog
    desk.until_read("Could not look up colleagues and queues. Your token does not allow it.")
    desk.write(dialog.search, centre.omar)
    desk.press(dialog.go)
    desk.until_read(f"Being handed to {centre.omar}")


def test_the_activity_is_chosen_and_the_empty_desk_says_what_it_means(
    desk: AgentDesk, centre: Centre
) -> None:
    box = desk.window.desk_page.activity
    box.setFocus()
    box.setCurrentIndex(box.findText("Unavailable"))
    box.activated.emit(box.currentIndex())
    desk.until(lambda: centre.activity() == "Unavailable" and not desk.view.changing_activity)
    assert "You are Unavailable" in desk.texts
    assert box.currentText() == "Unavailable"


# --- The connection -----------------------------------------------------------------------------


def test_a_cut_connection_is_shown_until_it_is_back(desk: AgentDesk, centre: Centre) -> None:
    with_task(desk, centre)
    refusal = centre.call(lambda server: server.faults.refuse_websockets(503))
    centre.call(cut)
    desk.until_read("Reconnecting · ")
    assert "What you see may be out of date" in desk.texts
    assert len(desk.works) == 1
    centre.task(title="Came meanwhile")
    centre.call(lambda _: refusal.remove())
    desk.until_read("● Connected")
    assert "out of date" not in desk.texts
    desk.until_read("Came meanwhile")
    assert len(desk.works) == 1


def test_an_expired_token_is_replaced_in_the_window(desk: AgentDesk, centre: Centre) -> None:
    with_task(desk, centre)
    centre.call(expire)
    desk.until_read("Your token has run out. Paste a new one: your tasks stay yours meanwhile.")
    page = desk.window.desk_page
    desk.write(page.new_token, "not a token")
    desk.press_text("Go on")
    assert "Token is not a JWT" in desk.texts
    token = centre.token(ttl=7_200)
    desk.write(page.new_token, token)
    desk.press_text("Go on")
    assert page.new_token.text() == ""
    desk.until_read("● Connected")
    assert token not in desk.texts
    assert len(desk.works) == 1


# --- Closing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["at once", "while connecting", "connected", "busy", "in a dialog"])
def test_closing_leaves_nothing_at_any_moment(open_desk: Open, centre: Centre, moment: str) -> None:
    before = set(threading.enumerate())
    login = centre.login()
    desk = open_desk(None if moment == "at once" else login)
    if moment not in {"at once", "while connecting"}:
        desk.until(lambda: desk.view.agent)
    if moment == "busy":
        under_way = threading.Event()

        def slow(_: object) -> RequestFault:
            under_way.set()
            return RequestFault(delay=0.5)

        centre.task(title="Lost card")
        desk.until(lambda: desk.offers)
        centre.call(lambda server: setattr(server.faults, "request", slow))
        desk.press(desk.offers[0].accept_button)
        desk.until(under_way.is_set)
    if moment == "in a dialog":
        with_task(desk, centre)
        centre.call(lambda server: setattr(server.faults, "request", lambda _: RequestFault(delay=0.5)))
        desk.press(desk.works[0].transfer_button)
    desk.close()
    assert set(threading.enumerate()) == before
    # Sockets are looked at after every test.


def test_closing_with_a_task_in_hand_asks(desk: AgentDesk, centre: Centre) -> None:
    task = with_task(desk, centre)
    desk.window.close()
    assert desk.window.isVisible()
    assert "Leave with a task in hand?" in desk.texts
    desk.press_text("Stay")
    desk.turn()
    assert desk.window.isVisible()
    assert desk.view.is_logged_in
    desk.window.close()
    desk.press_text("Leave anyway")
    desk.until(lambda: not desk.window.isVisible())
    assert not desk.view.is_logged_in
    assert centre.status(task) == "assigned"


def test_logging_out_with_a_task_in_hand_asks_and_leads_to_the_login(desk: AgentDesk, centre: Centre) -> None:
    with_task(desk, centre)
    desk.window._log_out()
    desk.press_text("Log out anyway")
    desk.until(desk.window.login_page.isVisible)
    assert desk.window.login_page.token.text() == ""
    assert desk.window.dialog is None


# --- Its look -----------------------------------------------------------------------------------

LONG: dict[str, Any] = {
    "title": "Charged twice for one purchase, and the second time in another currency than on the receipt",
    "customer": {"name": "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh, Hubert Blaine"},
    "url": "https://shop.example.com/" + "orders/2026/11/0005512-8871-33/" * 6,
    "note": "Wants to be called back before noon. " * 12,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "a.name.of.an.attribute.that.goes.on.and.on.and.on": 4,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_no_text_is_cut(open_desk: Open, centre: Centre, size: tuple[int, int], scheme: str) -> None:
    desk = open_desk()
    desk.theme.use(scheme)
    desk.window.resize(*size)
    assert desk.cut() == []
    desk.window.login_page.tabs.setCurrentIndex(1)
    desk.press(desk.window.login_page.enter)
    assert desk.cut() == []
    desk.window.desk.log_in(centre.login())
    desk.until(lambda: desk.view.agent)
    assert desk.cut() == []
    with_task(desk, centre, **LONG)
    with_task(desk, centre)
    desk.window.wrap_up(desk.works[1].sid)
    desk.until(lambda: desk.view.works[1].wrapping)
    desk.window.desk.transfer(desk.works[0].sid, centre.omar, "Omar", stay=True)
    centre.task(**LONG)
    desk.until(lambda: desk.offers and desk.view.works[0].handover)
    desk.press(desk.works[0].attributes.more)
    assert desk.cut() == []
    desk.window.hand_over(desk.works[0].sid)
    dialog: Any = desk.window.dialog
    desk.until(dialog.list.count)
    assert desk.cut() == []
    dialog.reject()
    centre.call(expire)
    desk.until_read("Your token has run out.")
    assert desk.cut() == []
    desk.window.close()
    assert "Leave with 2 tasks in hand?" in desk.texts
    assert desk.cut() == []


def test_a_text_that_is_cut_would_be_found(open_desk: Open) -> None:
    desk = open_desk()
    desk.window.login_page.enter.setFixedWidth(30)
    [found] = desk.cut()
    assert found.startswith("QPushButton 'Log in': 30x")


def test_a_card_that_was_moved_still_gets_the_height_it_needs(qt_application: QApplication) -> None:
    from examples.agent_desktop.widgets import Columns, label

    columns, text = Columns(narrowest=300), label("short")
    columns.arrange([text])
    columns.show()
    for width in (300, 700):  # one column, then two: the card is taken out and put back
        columns.resize(width, 100)
        qt_application.processEvents()
    before = columns.heightForWidth(700)
    text.setText("long " * 100)
    qt_application.processEvents()
    assert columns.heightForWidth(700) > before
    columns.close()
    columns.deleteLater()


def test_the_look_follows_the_system_until_the_agent_chooses(
    open_desk: Open, qt_application: QApplication
) -> None:
    from PySide6.QtCore import Qt

    desk = open_desk()
    desk.theme.use("system")
    before = desk.theme.colours
    qt_application.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert desk.theme.colours != before
    dark = desk.window.grab().toImage().pixelColor(2, 2)
    assert dark.lightness() < 60
    desk.theme.use("light")
    qt_application.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert desk.theme.colours == before
    assert desk.window.grab().toImage().pixelColor(2, 2).lightness() > 200


def test_contrast_of_text_is_that_of_wcag(qt_application: QApplication) -> None:  # noqa: ARG001 - Qt must be there
    from examples.agent_desktop.theme import DARK, LIGHT

    for colours in (LIGHT, DARK):
        for text, ground in (
            ("text", "ground"),
            ("text", "card"),
            ("muted", "card"),
            ("muted", "ground"),
            ("muted", "raised"),
            ("accent", "card"),
            ("accent", "accent_soft"),
            ("on_accent", "accent"),
            ("good", "card"),
            ("warn", "card"),
            ("warn", "warn_soft"),
            ("text", "warn_soft"),
            ("bad", "card"),
            ("bad", "bad_soft"),
        ):
            assert contrast(getattr(colours, text), getattr(colours, ground)) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2."""
    lights = sorted((luminance(one), luminance(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    """Of ``#rrggbb``, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# --- Away from this repository ------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path, qt_application: QApplication) -> Path:  # noqa: ARG001 - skips where Qt is missing
    """A directory that holds a copy of the program and nothing else."""
    shutil.copytree(ROOT / "examples" / "agent_desktop", tmp_path / "agent_desktop")
    return tmp_path


def test_a_copy_elsewhere_takes_its_pictures(elsewhere: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent_desktop.screenshots", "pictures"],
        cwd=elsewhere,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    pictures = sorted(path.name for path in (elsewhere / "pictures").iterdir())
    documented = sorted(path.name for path in (ROOT / "docs" / "images").glob("agent-desktop-*.png"))
    assert pictures == documented
    assert all((elsewhere / "pictures" / name).stat().st_size > 5_000 for name in pictures)


def test_the_demonstration_starts_with_one_command_and_ends_with_ctrl_c(elsewhere: Path) -> None:
    ends_well(elsewhere, ["--demo"], "Nina Alves is logged in")


def test_a_token_comes_through_standard_input_and_is_not_logged(elsewhere: Path, centre: Centre) -> None:
    token = centre.token()
    told = ends_well(elsewhere, ["--server", centre.url, "--token-file", "-"], "Nina is logged in", token)
    assert token not in told


def ends_well(directory: Path, options: list[str], until: str, typed: str = "") -> str:
    """Run the program until it logs a text, then press Ctrl-C; all that it logged."""
    program = subprocess.Popen(
        [sys.executable, "-m", "agent_desktop", "--verbose", *options],
        cwd=directory,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(PATIENCE, program.kill)
    limit.start()
    try:
        assert program.stderr is not None
        assert program.stdin is not None
        program.stdin.write(typed)
        program.stdin.close()
        told = ""
        while until not in told:
            line = program.stderr.readline()
            assert line, told
            told += line
        program.send_signal(signal.SIGINT)
        told += program.stderr.read()
        assert program.wait(timeout=PATIENCE) == 0, told
    finally:
        limit.cancel()
        program.kill()
        program.wait()
        if program.stderr is not None:
            program.stderr.close()
    return told


def cut(server: StubServer) -> None:
    """Break every connection."""
    server.faults.cut()


def expire(server: StubServer) -> None:
    """Let every token run out."""
    server.faults.expire_token()


def _offline(workspace: Any) -> str:
    return str(next(a.sid for a in workspace.activities.values() if a.friendly_name == "Offline"))
