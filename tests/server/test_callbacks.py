"""Addresses of callbacks: which are called, how they are signed, what of them is shown."""

from __future__ import annotations

import pytest
from twilio.request_validator import RequestValidator

from server_stub.__main__ import _parser
from server_stub.callbacks import signature, wire_address
from server_stub.commands.serve import settings_from
from server_stub.deliveries import masked
from server_stub.settings import is_loopback

PARAMETERS = {"TaskSid": "WT1", "TaskAttributes": '{"name": "Zoë & co=1"}', "Empty": "", "a": "small"}


@pytest.mark.parametrize(
    ("configured", "seen"),
    [
        ("http://127.0.0.1:9000/assign", "http://127.0.0.1:9000/assign"),
        ("http://127.0.0.1:9000/assign?b=2&a=1&a=%20x", "http://127.0.0.1:9000/assign?b=2&a=1&a=%20x"),
        ("http://localhost/assign", "http://localhost/assign"),
        # Servers see no default port, and none at all where there is no path.
        ("http://localhost:80/assign?x", "http://localhost/assign?x"),
        ("https://localhost:443/assign", "https://localhost/assign"),
        ("https://localhost", "https://localhost/"),
        ("http://[::1]:9000/assign", "http://[::1]:9000/assign"),
        ("http://ann:secret@localhost:9000/assign#here", "http://localhost:9000/assign"),
        ("http://localhost:9000/a b?q=ü", "http://localhost:9000/a%20b?q=%C3%BC"),
    ],
)
def test_twilio_library_accepts_the_signature_of_what_a_server_sees(configured: str, seen: str) -> None:
    signed = signature("the token", wire_address(configured), PARAMETERS)
    assert RequestValidator("the token").validate(seen, PARAMETERS, signed)
    assert not RequestValidator("another").validate(seen, PARAMETERS, signed)
    assert not RequestValidator("the token").validate(seen, {**PARAMETERS, "a": "changed"}, signed)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "::1"])
def test_this_machine_is_called(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "::", "2130706433", "127.1", "localhost.example", "example.com", ""]
)
def test_other_machines_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:9/a?b=c&d=&e#f", "http://h:9/a?b=***&d=***&***"),
        ("https://ann:secret@h/a", "https://***@h/a"),
        ("http://[::1]:9/", "http://[::1]:9/"),
        ("http://h:secret/", "an address that cannot be read"),
    ],
)
def test_shown_address_holds_no_secret(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_command_line_allows_callbacks_to_hosts() -> None:
    options = _parser().parse_args(
        ["serve", "--allow-callbacks-to", "desk.example", "--allow-callbacks-to", "10.0.0.7"]
    )
    assert settings_from(options).callback_hosts == ("desk.example", "10.0.0.7")
