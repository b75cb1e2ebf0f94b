"""The agent desktop's model: what there is to see and to do, without any window."""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from examples.agent_desktop import sentences
from examples.agent_desktop.__main__ import main
from examples.agent_desktop.countdown import Countdown
from examples.agent_desktop.desk import Desk
from examples.agent_desktop.directory import Found, Target, matching
from examples.agent_desktop.login import Login, LoginError, read_token
from examples.agent_desktop.notices import Notices
from examples.agent_desktop.view import Attribute, Link, Severity, View, customer_of, flattened, title_of
from server_stub.faults import RequestFault
from taskrouter_worker import (
    AuthenticationError,
    EndedOtherwiseError,
    InvalidTokenError,
    NetworkError,
    NotConnectedError,
    TaskRouterError,
)
from tests.desktop.centre import PATIENCE, Centre, open_centre
from tests.running_examples import ROOT


class Model:
    """A desk whose thread is the test's."""

    def __init__(self, **options: Any) -> None:
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self.desk = Desk(self._calls.put, self._changed, reconnect_backoff=lambda _: 0.05, **options)
        self.views: list[View] = []

    def _changed(self) -> None:
        self.views.append(self.desk.view)

    @property
    def view(self) -> View:
        return self.desk.view

    def until(self, done: Callable[[View], object]) -> View:
        end = time.monotonic() + PATIENCE
        while not done(self.view):
            assert time.monotonic() < end, self.view
            try:
                self._calls.get(timeout=0.05)()
            except queue.Empty:
                self.desk.tick()
        return self.view

    def choose(self, name: str) -> None:
        self.desk.choose_activity(next(a.sid for a in self.view.activities if a.name == name))


@pytest.fixture
def centre() -> Iterator[Centre]:
    with open_centre() as opened:
        yield opened


@contextmanager
def logged_in(centre: Centre, **options: Any) -> Iterator[Model]:
    model = Model(**options)
    try:
        model.desk.log_in(centre.login())
        model.until(lambda view: view.agent == "Nina")
        yield model
    finally:
        model.desk.log_out()


# --- The session --------------------------------------------------------------------------------


def test_an_offer_is_accepted_wrapped_up_and_completed(centre: Centre) -> None:
    with logged_in(centre) as model:
        task = centre.task(title="Lost card", customer={"name": "Ana"})
        [offer] = model.until(lambda view: view.offers).offers
        assert (offer.title, offer.customer, offer.seconds) == ("Lost card", "Ana", 120)
        assert offer.deadline is not None
        assert 0 < offer.deadline - time.monotonic() <= 120
        model.desk.accept(offer.sid)
        model.until(lambda view: view.works and not view.works[0].busy)
        model.desk.wrap_up(offer.sid)
        model.until(lambda view: view.works[0].wrapping and not view.works[0].busy)
        model.desk.complete(offer.sid)
        model.until(lambda view: not view.works)
        assert centre.status(task) == "completed"
        assert model.view.notices == ()


def test_a_second_press_while_a_command_is_under_way_does_nothing(centre: Centre) -> None:
    with logged_in(centre) as model:
        centre.task(title="Lost card")
        [offer] = model.until(lambda view: view.offers).offers
        model.desk.accept(offer.sid)
        model.desk.reject(offer.sid)
        model.until(lambda view: view.works and not view.works[0].busy)
        assert model.view.notices == ()


def test_a_command_that_fails_says_what_to_do(centre: Centre) -> None:
    with logged_in(centre) as model:
        centre.task(title="Lost card")
        [offer] = model.until(lambda view: view.offers).offers
        centre.call(lambda server: server.faults.refuse_requests(403, method="POST", times=1))
        model.desk.accept(offer.sid)
        [notice] = model.until(lambda view: view.notices).notices
        assert notice.severity is Severity.ERROR
        assert notice.text == (
            "Could not accept “Lost card”. Your token does not allow it. Ask a supervisor, or log in with "
            "another token."
        )
        assert model.view.offers[0].busy == ""
        model.desk.dismiss(notice.number)
        assert model.view.notices == ()


def test_an_activity_shows_at_once_and_goes_back_when_it_is_refused(centre: Centre) -> None:
    with logged_in(centre) as model:
        centre.call(lambda server: server.faults.refuse_requests(500, method="POST", times=1))
        model.choose("Offline")
        assert model.view.activity is not None
        assert (model.view.activity.name, model.view.changing_activity) == ("Offline", True)
        view = model.until(lambda view: not view.changing_activity)
        assert view.activity is not None
        assert view.activity.name == "Available" == centre.activity()
        assert view.notices[0].text.startswith("Could not go to Offline. ")


def test_of_several_choices_of_an_activity_the_last_one_counts(centre: Centre) -> None:
    with logged_in(centre) as model:
        asked: list[str] = []

        def note(request: Any) -> None:
            if request.method == "POST" and "/Workers/" in request.path:
                asked.append(request.path)

        centre.call(lambda server: setattr(server.faults, "request", note))
        for name in ("Offline", "Available", "Unavailable"):
            model.choose(name)
        shown = [view.activity.name for view in model.views if view.activity]
        model.until(lambda view: not view.changing_activity)
        assert centre.activity() == "Unavailable"
        assert len(asked) == 2  # the first, which was on its way, and the last
        later = [view.activity.name for view in model.views if view.activity][len(shown) :]
        assert set(later) == {"Unavailable"}  # nothing flickers on the way
        assert model.view.notices == ()  # the agent knows


def test_being_moved_to_another_activity_is_told(centre: Centre) -> None:
    with logged_in(centre) as model:

        def move(workspace: Any) -> None:
            away = next(a.sid for a in workspace.activities.values() if a.friendly_name == "Unavailable")
            workspace.update_worker(centre.nina, activity_sid=away)

        centre.run(move)
        [notice] = model.until(lambda view: view.notices).notices
        assert notice.text.startswith("You were moved to Unavailable and get no tasks.")


@pytest.mark.parametrize("by", ["option", "attribute"])
def test_only_allowed_activities_can_be_chosen(centre: Centre, by: str) -> None:
    allowed = None
    if by == "option":
        allowed = frozenset({"Available", "Offline"})
    else:
        attributes = '{"allowed_activities": ["Available", "Offline"]}'
        centre.run(lambda ws: ws.update_worker(centre.nina, attributes=attributes))
    with logged_in(centre, allowed=allowed) as model:
        assert [choice.name for choice in model.view.activities] == ["Available", "Offline"]


def test_a_lost_connection_is_shown_and_what_was_missed_is_told(centre: Centre) -> None:
    with logged_in(centre) as model:
        handle = centre.call(lambda server: server.faults.refuse_websockets(503))
        centre.call(lambda server: server.faults.cut())
        lost = model.until(lambda view: view.connection.link is Link.LOST)
        assert lost.connection.headline == "Reconnecting"
        assert lost.agent == "Nina"
        centre.task(title="Came meanwhile")
        centre.call(lambda _: handle.remove())
        model.until(lambda view: view.connection.link is Link.CONNECTED and view.offers)
        assert model.view.offers[0].title == "Came meanwhile"


def test_a_token_is_asked_for_before_the_old_one_ends(centre: Centre) -> None:
    model = Model()
    try:
        # The SDK tells five seconds before the end. Nothing depends on when exactly the window hears it.
        model.desk.log_in(centre.login(ttl=10))
        model.until(lambda view: view.connection.link is Link.NEEDS_TOKEN)
        model.desk.renew(centre.token())
        model.until(lambda view: view.connection.link is Link.CONNECTED)
    finally:
        model.desk.log_out()


def test_a_displaced_session_ends_with_a_sentence(centre: Centre) -> None:
    with logged_in(centre) as model:
        centre.call(lambda server: server.faults.displace())
        model.until(lambda view: not view.is_logged_in and view.notices)
        assert model.view.notices[0].text.startswith("You have logged in somewhere else")


def test_a_task_that_ends_by_other_hands_is_told(centre: Centre) -> None:
    with logged_in(centre) as model:
        task = centre.task(title="Lost card")
        model.until(lambda view: view.offers)
        centre.run(lambda ws: ws.update_task(task, assignment_status="canceled", reason="gone"))
        model.until(lambda view: not view.offers)
        assert [notice.text for notice in model.view.notices] == ["“Lost card” was canceled."]


def test_colleagues_and_queues_are_found_without_blocking(centre: Centre) -> None:
    with logged_in(centre) as model:
        found: list[Found] = []
        centre.call(lambda server: setattr(server.faults, "request", lambda _: RequestFault(delay=0.05)))
        model.desk.find_targets(found.append)
        assert found == []
        model.until(lambda _: found)
        assert [(target.name, target.is_queue) for target in found[0].targets] == [
            ("Omar", False),
            ("Sample Queue", True),
        ]


def test_a_second_look_for_colleagues_gives_up_the_first(centre: Centre) -> None:
    with logged_in(centre) as model:
        found: list[Found] = []
        model.desk.find_targets(lambda _: pytest.fail("this was given up"))
        model.desk.find_targets(found.append)
        model.until(lambda _: found)
        assert [target.name for target in found[0].targets] == ["Omar", "Sample Queue"]


def test_a_token_that_may_not_list_colleagues_is_told(centre: Centre) -> None:
    with logged_in(centre) as model:
        found: list[Found] = []
        centre.call(lambda server: setattr(server.faults, "request", lambda _: RequestFault(status=403)))
        model.desk.find_targets(found.append)
        model.until(lambda _: found)
        assert found[0].targets == ()
        assert isinstance(found[0].error, AuthenticationError)


def test_colleagues_are_not_looked_for_after_the_end(centre: Centre) -> None:
    with logged_in(centre) as model:
        found: list[Found] = []
        worker = model.desk._worker
        assert worker is not None
        worker.disconnect()
        model.desk.find_targets(found.append)
        assert isinstance(found[0].error, NotConnectedError)


def test_logging_out_in_the_middle_of_everything_leaves_nothing(centre: Centre) -> None:
    before = set(threading.enumerate())
    with logged_in(centre) as model:
        centre.task(title="Lost card")
        [offer] = model.until(lambda view: view.offers).offers
        reached = threading.Event()

        def slow(_: object) -> RequestFault:
            reached.set()
            return RequestFault(delay=0.3)

        centre.call(lambda server: setattr(server.faults, "request", slow))
        model.desk.accept(offer.sid)
        model.desk.find_targets(lambda _: pytest.fail("the answer came to nobody"))
        assert reached.wait(PATIENCE)
        model.desk.log_out()
        assert "Accepting" in [shown.busy for view in model.views for shown in view.offers]
        assert set(threading.enumerate()) == before
        assert not model.view.is_logged_in
        model.desk.tick()


def test_a_token_is_in_no_text_that_can_be_seen_or_logged(
    centre: Centre, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    login = centre.login()
    assert login.token not in repr(login)
    with logged_in(centre) as model:
        assert login.token.split(".")[1][:40] not in repr(model.views) + caplog.text


# --- The sign-in service ------------------------------------------------------------------------


class _Service(BaseHTTPRequestHandler):
    """Answers with the next of `answers`; what is left over is asked for no more."""

    answers: ClassVar[list[tuple[int, str]]] = []
    authorizations: ClassVar[list[str]] = []
    pause: ClassVar = threading.Event()

    def do_POST(self) -> None:
        self.authorizations.append(self.headers.get("Authorization", ""))
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half].encode())
        self.wfile.flush()
        self.pause.wait(0.05)  # what comes after it is another piece, wherever it is read
        self.wfile.write(body[half:].encode())

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def service() -> Iterator[str]:
    """The URL of a sign-in service that answers as `_Service.answers` says."""
    _Service.answers, _Service.authorizations = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/token"
        server.shutdown()
        thread.join()


def test_a_sign_in_service_gives_tokens_and_the_next_one_in_time(centre: Centre, service: str) -> None:
    _Service.answers = [(200, f'{{"token": "{centre.token(ttl=6)}"}}'), (200, centre.token())]
    model = Model()
    try:
        model.desk.log_in(Login(service=service, user="nina", password="pw", server=centre.url))
        model.until(lambda view: view.agent == "Nina")
        assert model.view.renews_itself
        model.until(lambda _: not _Service.answers)
        assert _Service.authorizations == ["Basic bmluYTpwdw=="] * 2
        assert {view.connection.link for view in model.views} == {Link.CONNECTING, Link.CONNECTED}
    finally:
        model.desk.log_out()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, ""), "The sign-in service did not accept your name or password."),
        ((404, ""), "The sign-in service gave no token (HTTP 404). Check its address."),
        ((200, '{"jwt": "x"}'), 'The sign-in service answered, but with no token. It should answer {"token"'),
    ],
)
def test_a_sign_in_service_that_refuses_ends_the_attempt(
    service: str, answer: tuple[int, str], sentence: str
) -> None:
    _Service.answers = [answer]
    model = Model()
    model.desk.log_in(Login(service=service, user="nina", password="pw", server="http://127.0.0.1:9"))
    model.until(lambda view: not view.is_logged_in and view.notices)
    assert model.view.notices[0].text.startswith(sentence)


# --- Pieces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        (Login(), "Paste your token"),
        (Login(token="a b"), "A token has no blanks"),
        (Login(token="a", server="localhost:8300"), "The server's address must look like"),
        (Login(token="a", server="http://example.com"), "The server's address must begin with https"),
        (
            Login(service="http://desk.example.com/token"),
            "The sign-in service's address must begin with https",
        ),
        (Login(service="https://me:secret@example.com"), "The sign-in service's address must not hold"),
        (Login(service="https://example.com", user="a:b"), "A name cannot hold a colon"),
        (Login(token="a", server="http://[::1"), "The server's address must look like"),
    ],
)
def test_a_login_that_cannot_be_right_is_refused_with_a_sentence(login: Login, sentence: str) -> None:
    with pytest.raises(LoginError, match=sentence.replace("(", r"\(")):
        login.checked()


def test_a_token_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(LoginError, match="Token is not a JWT") as refused:
        Model().desk.log_in(Login(token="not;a;token"))
    assert "not;a;token" not in str(refused.value)


def test_the_environment_and_a_file_tell_the_login(tmp_path: Path) -> None:
    login = Login.from_environment({"TASKROUTER_TOKEN": " abc ", "TASKROUTER_SERVER": "http://[::1]:83/"})
    assert login.checked().endpoints() == {
        "eb_server": "http://[::1]:83/v1/wschannels",
        "ws_server": "ws://[::1]:83/v1/wschannels",
    }
    assert Login.from_environment({"TASKROUTER_EB_SERVER": "http://[::1]:83/v1/wschannels"}).server == (
        "http://[::1]:83"
    )
    file = tmp_path / "token"
    file.write_text("abc\n")
    assert read_token(str(file)) == login.token == "abc"
    with pytest.raises(LoginError, match="cannot be read: No such file"):
        read_token(str(tmp_path / "none"))


def test_the_readme_has_the_options_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    there = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)) - {"--help"}
    table = (ROOT / "examples" / "agent_desktop" / "README.md").read_text()
    assert set(re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE)) | {"--demo"} == there


def test_the_readme_names_every_file() -> None:
    here = ROOT / "examples" / "agent_desktop"
    there = {path.name for path in here.glob("*.py")} - {"__main__.py"}
    assert set(re.findall(r"\]\((\w+\.py)\)", (here / "README.md").read_text())) == there


def test_a_token_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--token", "secret"])
    assert "secret" not in capsys.readouterr().err


def test_a_countdown_of_a_new_offer_ignores_the_wall_clock() -> None:
    countdown = Countdown()
    countdown.begin("WR1", just_made=True, made_at=5_000.0, seconds=30, wall=1_000.0, now=7.0)
    assert countdown.deadline("WR1") == 37.0
    # Ten seconds later another is found that is as old: the clocks differ by 4,000 s, which is known now.
    countdown.begin("WR2", just_made=False, made_at=5_000.0, seconds=30, wall=1_010.0, now=17.0)
    assert countdown.deadline("WR2") == 37.0


@pytest.mark.parametrize(
    ("made_at", "deadline"), [(900.0, 0.0), (970.0, 0.0), (990.0, 20.0), (2_000.0, 30.0)]
)
def test_a_countdown_is_never_longer_than_the_offer_and_never_negative(
    made_at: float, deadline: float
) -> None:
    countdown = Countdown()
    countdown.begin("WR1", just_made=False, made_at=made_at, seconds=30, wall=1_000.0, now=0.0)
    assert countdown.deadline("WR1") == deadline


def test_attributes_are_flat_and_readable() -> None:
    assert flattened({"customer": {"name": "Ana", "vip": True}, "tags": ["a", 2], "note": None}) == (
        Attribute("customer.name", "Ana"),
        Attribute("customer.vip", "yes"),
        Attribute("tags", "a, 2"),
        Attribute("note", "–"),  # noqa: RUF001 - a dash, as a person would write it
    )


def test_a_task_is_called_by_its_first_telling_attribute() -> None:
    assert title_of({"topic": "cards", "title": " Lost card "}, "voice") == "Lost card"
    assert title_of({"title": 5}, "voice") == "A task on voice"
    assert customer_of({"customer": {"id": 1}, "from": "+100"}) == "+100"
    assert customer_of({}) == ""


def test_targets_are_found_by_each_of_the_words() -> None:
    targets = [
        Target("WK1", "Omar Haddad", is_queue=False, note="Available"),
        Target("WQ1", "Cards", is_queue=True),
    ]
    assert matching(targets, "avail OMAR") == [targets[0]]
    assert matching(targets, "wq1") == [targets[1]]
    assert matching(targets, "nobody") == []


def test_notices_are_few_and_each_is_there_once() -> None:
    notices = Notices()
    for text in ("one", "two", "three", "four", "four"):
        notices.add(Severity.INFO, text)
    assert [notice.text for notice in notices.shown] == ["two", "three", "four"]
    notices.add(Severity.ERROR, "five")
    notices.expire(time.monotonic() + 1_000)
    assert [notice.text for notice in notices.shown] == ["five"]


ANY: dict[str, Any] = {"method": "POST", "path": "x"}


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("x", status=401, **ANY),
        EndedOtherwiseError("x", sid="WR1", outcome="canceled", **ANY),
        NetworkError("x", **ANY),
        InvalidTokenError("x"),
        TaskRouterError("x"),
        TimeoutError(),
        ValueError("to must be a str"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_becomes_sentences_that_say_what_to_do(error: Exception) -> None:
    told = sentences.failed("accept “Lost card”", error)
    assert told.startswith("Could not accept “Lost card”. ")
    assert told.endswith(".")
    assert all(sentence[0].isupper() for sentence in told.split(". "))
