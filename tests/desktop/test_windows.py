"""`SyncWorker` in the windows of Qt and Tk: each promise is kept in both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from twilio.rest import Client

from server_stub import StubServer
from server_stub.faults import FaultyFrame, FaultyRequest, FrameFault, RequestFault
from taskrouter_worker import NetworkError, SessionState, SyncWorker
from tests.desktop.window import PATIENCE, Window
from tests.sdk.office import RestOffice

if TYPE_CHECKING:
    from tests.desktop.qt_window import QtWindow
    from tests.desktop.tk_window import TkWindow

pytestmark = pytest.mark.desktop


@pytest.fixture
def office(threaded_server: StubServer, twilio_client: Client) -> RestOffice:
    return RestOffice(threaded_server, twilio_client)


@pytest.fixture
def window(open_window: Callable[[], QtWindow | TkWindow]) -> Iterator[QtWindow | TkWindow]:
    """An open window of either toolkit, without a worker."""
    made = open_window()
    yield made
    if not made.gone:
        made.close()
        made.forget()


def employ(window: QtWindow | TkWindow, office: RestOffice, **options: Any) -> None:
    """Give the window a worker of its own, and wait until it is connected."""
    worker_sid = office.hire()
    token = office.token(worker_sid)
    window.new_token = office.token(worker_sid, ttl=7_200)
    options = office.options(reconnect_backoff=lambda _: 0.05, **options)
    window.embed(SyncWorker(token, deliver=window.deliver, **options))
    window.run_until(lambda: window.heard["ready"])


def offer(window: Window, office: RestOffice) -> str:
    """Create a task, and wait until the window shows its offer; the task's SID."""
    task_sid = office.task(topic="cards")
    window.run_until(lambda: window.reservation)
    assert window.text("offer") == "cards: pending"
    return task_sid


def test_an_offer_is_accepted_wrapped_up_and_completed_with_buttons(
    window: QtWindow | TkWindow, office: RestOffice
) -> None:
    employ(window, office)
    task_sid = offer(window, office)
    for number, (button, status) in enumerate(
        [("accept", "accepted"), ("wrap up", "wrapping"), ("complete", "completed")], 1
    ):
        window.press(button)
        window.run_until(lambda n=number: window.heard["answer"] == n)  # type: ignore[misc]
        assert window.text("answer") == f"{button}: done"
        window.run_until(lambda s=status: window.heard[s])  # type: ignore[misc]
        assert window.text("offer") == f"cards: {status}"
    assert office.status(task_sid) == "completed"
    assert window.worker.reservations == {}


def test_handlers_and_answers_come_in_the_windows_thread(
    window: QtWindow | TkWindow, office: RestOffice
) -> None:
    employ(window, office)
    offer(window, office)
    window.press("accept")
    window.run_until(lambda: window.heard["answer"] and window.heard["accepted"])
    window.press("use new token")
    window.run_until(lambda: window.heard["has a new token"])
    assert window.threads == {threading.current_thread()}


def test_the_countdown_runs_until_the_offer_is_answered(
    window: QtWindow | TkWindow, office: RestOffice
) -> None:
    employ(window, office)
    offer(window, office)
    window.run_until(lambda: window.text("countdown"))
    shown = window.text("countdown")
    window.run_until(lambda: window.text("countdown") != shown)
    assert 0 < float(window.text("countdown").removesuffix(" s")) < float(shown.removesuffix(" s")) <= 120
    window.press("accept")
    window.run_until(lambda: window.heard["accepted"])
    stopped, ticks = window.text("countdown"), window.ticks
    window.run_until(lambda: window.ticks > ticks + 20)
    assert window.text("countdown") == stopped


def test_a_slow_request_does_not_stop_the_window(window: QtWindow | TkWindow, office: RestOffice) -> None:
    employ(window, office)
    offer(window, office)
    office.server.faults.request = lambda _: RequestFault(delay=1.0)
    ticks = window.ticks
    window.press("accept")
    assert window.text("answer") == "accept ..."
    window.run_until(lambda: window.heard["answer"])
    assert window.text("answer") == "accept: done"
    # A hundred fit into the second; none does in a window that waits.
    assert window.ticks - ticks >= 10


def test_a_refused_command_is_told(window: QtWindow | TkWindow, office: RestOffice) -> None:
    employ(window, office)
    offer(window, office)
    window.press("complete")  # not accepted yet
    window.run_until(lambda: window.heard["answer"])
    assert window.text("answer").startswith("complete: ")
    assert "done" not in window.text("answer")


def test_the_token_is_replaced_in_time(window: QtWindow | TkWindow, office: RestOffice) -> None:
    worker_sid = office.hire()
    asked: list[threading.Thread] = []

    def token() -> str:
        asked.append(threading.current_thread())
        return office.token(worker_sid, ttl=6 if len(asked) == 1 else 3_600)

    worker = SyncWorker(deliver=window.deliver, token_provider=token, **office.options())
    window.embed(worker)
    window.run_until(lambda: window.heard["has a new token"] == 2)  # the first one was new too
    assert len(asked) == 2
    assert threading.current_thread() not in asked
    offer(window, office)
    window.press("accept")
    window.run_until(lambda: window.heard["accepted"])


def test_an_offer_that_was_lost_with_the_connection_is_shown_after_it(
    window: QtWindow | TkWindow, office: RestOffice
) -> None:
    employ(window, office)

    def cut(frame: FaultyFrame) -> FrameFault | None:
        if frame.event_type != "reservation.created":
            return None
        office.server.faults.frame = None
        return FrameFault("cut_before")

    office.server.faults.frame = cut
    offer(window, office)
    assert window.heard["offered by resync"] == 1
    assert window.heard["offered by event"] == 0
    window.run_until(lambda: window.heard["ready"] == 2)
    assert window.heard["disconnected"] == 1
    window.press("accept")
    window.run_until(lambda: window.heard["accepted"])


def test_closing_the_window_leaves_nothing(window: QtWindow | TkWindow, office: RestOffice) -> None:
    before = set(threading.enumerate())
    employ(window, office)
    assert "taskrouter worker" in {thread.name for thread in threading.enumerate()}
    under_way = threading.Event()

    def slow(_: FaultyRequest) -> RequestFault:
        under_way.set()
        return RequestFault(delay=1.0)

    offer(window, office)
    office.server.faults.request = slow
    assert window.reservation is not None
    accepting = window.worker.submit(window.reservation.accept)
    window.run_until(under_way.is_set)
    window.close()  # connected, and with a request under way
    assert window.worker.state is SessionState.CLOSED
    assert set(threading.enumerate()) == before
    assert isinstance(accepting.exception(timeout=0), NetworkError)
    # Sockets are looked at after every test.


def test_a_window_that_closes_itself_in_a_handler_leaves_nothing(
    window: QtWindow | TkWindow, office: RestOffice
) -> None:
    before = set(threading.enumerate())
    employ(window, office)
    closed: list[bool] = []

    @window.worker.on("reservationCreated")
    def _(_: object) -> None:
        window.close()
        closed.append(True)

    office.task(topic="cards")
    window.run_until(lambda: closed)
    assert set(threading.enumerate()) == before


def test_a_window_that_is_gone_does_not_disturb_the_session(
    window: QtWindow | TkWindow, office: RestOffice, caplog: pytest.LogCaptureFixture
) -> None:
    employ(window, office)
    window.forget()  # and nobody disconnected
    office.task(topic="cards")
    office.task(topic="cards")
    worker = window.worker
    while len(worker.reservations) < 2:
        worker.caught_up(timeout=PATIENCE)
    assert worker.disconnect(PATIENCE)
    # Qt's signal is gone, and every call says so, once. Tk's calls wait for a window that never asks.
    assert caplog.text.count("deliver raised: a handler of 'reservationCreated'") in {0, 2}
    assert "'error'" not in caplog.text
