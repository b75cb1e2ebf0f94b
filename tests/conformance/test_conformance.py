"""The scenarios hold for the local server, and the command that plays them is careful with accounts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from twilio.rest import Client

from server_stub import Settings
from tests.conformance import __main__ as command
from tests.conformance.desk import Desk, Refuted, desk_of, expect
from tests.conformance.scenarios import SCENARIOS
from tests.support import ServerInThread, close_client, rest_client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with ServerInThread(Settings(port=0)) as server:
        client = rest_client(server)
        yield client
        close_client(client)


@pytest.fixture(scope="module")
def desk(client: Client) -> Iterator[Desk]:
    with desk_of(client) as desk:
        yield desk


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_local_server_does_what_the_scenario_says(desk: Desk, scenario: Callable[[Desk], None]) -> None:
    scenario(desk)


def test_every_scenario_has_a_title_of_one_line() -> None:
    for scenario in SCENARIOS:
        assert scenario.__doc__
        assert "\n" not in scenario.__doc__


class Account:
    """A local server in the place of a real account."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.credentials: tuple[str, ...] = ()

    def connect(self, *credentials: str, **_: object) -> Client:
        self.credentials = credentials
        return self.client

    def workspaces(self) -> list[str]:
        return [workspace.friendly_name for workspace in self.client.taskrouter.v1.workspaces.list()]


@pytest.fixture
def account() -> Iterator[Account]:
    with ServerInThread(Settings(port=0)) as server:
        client = rest_client(server)
        yield Account(client)
        close_client(client)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TWILIO_ACCOUNT_SID": "AC1"},
        {"TWILIO_AUTH_TOKEN": "x"},
        {"TWILIO_API_KEY": "SK1", "TWILIO_API_SECRET": "x"},
        {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_API_KEY": "SK1"},
    ],
)
def test_real_account_is_not_touched_without_its_credentials(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: str, **__: object) -> Client:
        raise AssertionError("it connects")

    status = command.main(["--target=twilio"], environment=environment, connect=refuse)
    assert status == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN" in err


@pytest.mark.parametrize(
    ("environment", "credentials"),
    [
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}, ("AC1", "t")),
        (
            {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_API_KEY": "SK1", "TWILIO_API_SECRET": "s"},
            ("SK1", "s", "AC1"),
        ),
    ],
)
def test_run_leaves_the_account_as_it_was(
    account: Account,
    environment: dict[str, str],
    credentials: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = account.workspaces()
    status = command.main(
        ["--target=twilio", "--json", "versions", "template"],
        environment=environment,
        connect=account.connect,
    )
    assert status == 0
    assert account.credentials == credentials
    assert account.workspaces() == before
    told = json.loads(capsys.readouterr().out)
    assert told["results"] == {"template": None, "versions": None}
    assert told["notes"]["form of an ETag"] == '"\\"1\\""'


def test_scenario_that_fails_is_told_and_its_workspace_goes_all_the_same(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuted(_: Desk) -> None:
        """Two is one."""
        expect(len(account.workspaces()), 1, "the number of workspaces")

    def broken(_: Desk) -> None:
        """Nothing works."""
        raise KeyError("x")

    monkeypatch.setattr(command, "SCENARIOS", (refuted, broken))
    before = account.workspaces()
    environment = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}
    assert command.main(["--target=twilio"], environment=environment, connect=account.connect) == 1
    assert account.workspaces() == before
    out = capsys.readouterr().out
    assert "FAIL  refuted: the number of workspaces: expected 1, got 2" in out
    assert "FAIL  broken: KeyError: 'x'" in out
    assert "0 of 2 scenarios hold against twilio" in out


def test_fact_that_never_comes_is_refuted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.conformance.desk.PATIENCE", 0)
    with pytest.raises(Refuted, match="a miracle"):
        desk.eventually(lambda: 1, lambda found: found == 2, "a miracle")
