"""`taskrouter-stub task`, `worker`, `token` and `completion`, against a server that runs."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import pytest

from server_stub import StubServer
from server_stub.__main__ import main
from server_stub.commands import task as task_command
from server_stub.commands.env_file import write_env_file
from server_stub.commands.remote import DONE, MISUSED, REFUSED, UNKNOWN, UNREACHABLE, Stop
from server_stub.commands.showing import show_text
from taskrouter_worker.__main__ import main as worker_main
from taskrouter_worker._version import __version__
from tests.cli.programs import PATIENCE, known_to

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    threaded_server: StubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command: status, output, errors. The server has one worker, nina, who is available."""
    known_to(threaded_server, monkeypatch)

    def run_it(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as error:
            status = int(str(error.code))
        told = capsys.readouterr()
        return status, told.out, told.err

    assert run_it("worker", "create", "nina", "--activity", "Available")[0] == DONE
    return run_it


def answer(run: Run, *arguments: str) -> Any:
    status, out, err = run(*arguments, "--json")
    assert (status, err) == (DONE, "")
    assert out.count("\n") == 1
    return json.loads(out)


def test_task_is_made_of_pairs_and_objects(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "more.json"
    file.write_text('{"city": "Köln"}')
    [task] = answer(
        run, "task", "create", "topic=a=b", "vip:=true", '{"n": 1}', f"@{file}", "--priority", "7",
        "--timeout", "60", "--channel", "voice", "--workflow", "Default Fifo Workflow",
    )["tasks"]  # fmt: skip
    assert json.loads(task["attributes"]) == {"topic": "a=b", "vip": True, "n": 1, "city": "Köln"}
    assert (task["priority"], task["timeout"], task["task_channel_unique_name"]) == (7, 60, "voice")
    assert task["workflow_friendly_name"] == "Default Fifo Workflow"


def test_attributes_may_stand_anywhere(run: Run) -> None:
    [task] = answer(run, "task", "create", "a=1", "--priority", "2", "b=2", "--timeout", "60", "c=3")["tasks"]
    assert json.loads(task["attributes"]) == {"a": "1", "b": "2", "c": "3"}
    wu = answer(run, "worker", "create", "wu", "--activity", "Offline", "languages:=[]")
    assert json.loads(wu["attributes"]) == {"languages": []}
    assert "unrecognized arguments: --nonsense" in run("task", "create", "a=1", "--nonsense", "b=2")[2]
    assert "unrecognized arguments: x" in run("worker", "list", "x")[2]


def test_several_tasks_are_made_and_listed(run: Run) -> None:
    status, out, _ = run("task", "create", "topic=cards", "--count", "3")
    sids = out.split()
    assert (status, len(set(sids))) == (DONE, 3)
    listed = answer(run, "task", "list", "--status", "pending,reserved")["tasks"]
    assert [task["sid"] for task in listed] == sids
    rows = run("task", "list")[1].splitlines()
    assert rows[0].split() == ["SID", "Status", "Age", "Priority", "Queue", "Attributes"]
    assert [row.split()[0] for row in rows[1:]] == sids  # a row is a line, however long
    assert rows[1].endswith("  topic=cards")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_age_is_told_in_a_unit_that_reads_well(seconds: int, shown: str) -> None:
    assert task_command._age(seconds) == shown


@pytest.mark.parametrize("program", [main, worker_main], ids=["taskrouter-stub", "taskrouter-worker"])
def test_both_programs_tell_their_version(
    program: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        program(["--version"])
    assert capsys.readouterr().out.endswith(f" {__version__}\n")


@pytest.mark.parametrize("wrong", ["topic", "=x", "{", "[1]", "n:=x", "@/nowhere.json", '{"a": "b"', ":=1"])
def test_attribute_that_cannot_be_read_is_refused(run: Run, wrong: str) -> None:
    status, out, err = run("task", "create", wrong)
    assert (status, out, err.count("\n")) == (MISUSED, "", 1)
    assert wrong.lstrip("@") in err


def test_worker_is_moved_to_an_activity_by_name(run: Run) -> None:
    assert run("worker", "activity", "nina", "Offline")[:2] == (DONE, "nina is Offline\n")
    assert answer(run, "worker", "activity", "nina", "Available")["activity_name"] == "Available"
    assert [
        w["friendly_name"] for w in answer(run, "worker", "list", "--activity", "Available")["workers"]
    ] == ["nina"]
    assert answer(run, "worker", "list", "--activity", "Offline") == {"workers": []}
    assert "worker create" in run("worker", "list", "--activity", "Offline")[1]
    assert "nina" in run("worker", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (("worker", "activity", "nina", "Lunch"), "Offline, Available, Unavailable"),
        (("worker", "activity", "omar", "Offline"), "nina"),
        (("worker", "activity", "WK" + "0" * 32, "Offline"), "nina"),
        (("token", "omar"), "nina"),
        (("task", "create", "--workflow", "Nope"), "Default Fifo Workflow"),
        (("task", "list", "--workspace", "Nowhere"), "no workspace Nowhere"),
    ],
)
def test_unknown_name_is_answered_with_those_that_there_are(
    run: Run, arguments: tuple[str, ...], known: str
) -> None:
    status, out, err = run(*arguments)
    assert (status, out, err.count("\n")) == (UNKNOWN, "", 1)
    assert known in err


def test_failures_are_one_line_and_a_status(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = run("task", "list", "--url", "http://127.0.0.1:1")
    assert (status, out, err.count("\n")) == (UNREACHABLE, "", 1)
    assert "Connection refused; start one with `taskrouter-stub serve`" in err
    err = run("task", "list", "--url", "http://no.such.host.invalid")[2]
    assert "Unknown error" not in err
    status, out, err = run("task", "list", "--status", "pending,assinged")
    assert (status, out) == (MISUSED, "")
    assert "no task is 'assinged': --status is one of pending, reserved, " in err
    status, out, err = run("task", "list", "--url", "127.0.0.1:8300")
    assert (status, out) == (MISUSED, "")
    assert "--url '127.0.0.1:8300' is not an address such as http://127.0.0.1:8300" in err
    assert "text is NAME=TEXT, without the colon" in run("task", "create", "vip:=tru")[2]
    assert run("task", "create", "--count", "0")[0] == MISUSED
    assert "Priority" in run("task", "create", "--priority", "-1")[2]
    assert run("events", "tail", "--last", "-1")[0] == MISUSED
    assert "task.*" in run("events", "tail", "--type", "tasks")[2]
    monkeypatch.setenv("TASKROUTER_STUB_AUTH_TOKEN", "guess")
    status, _, err = run("worker", "list")
    assert status == REFUSED
    assert "credentials of the environment" in err
    assert "guess" not in err
    monkeypatch.delenv("TASKROUTER_STUB_AUTH_TOKEN")
    monkeypatch.delenv("TASKROUTER_STUB_SIGNING_KEY_SECRET")
    assert "TASKROUTER_STUB_AUTH_TOKEN" in run("worker", "list")[2]


def test_workspace_must_be_named_where_there_are_several(run: Run, tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    west = {"friendly_name": "West", "workers": [{"friendly_name": "wu"}]}
    seed.write_text(json.dumps({"workspaces": [{"friendly_name": "East"}, west]}))
    assert run("seed", str(seed))[0] == DONE
    status, _, err = run("worker", "list")
    assert status == MISUSED
    assert "East" in err
    workers = answer(run, "worker", "list", "--workspace", "West")["workers"]
    assert [worker["friendly_name"] for worker in workers] == ["wu"]


# --- Tokens -------------------------------------------------------------------------------------


def test_token_is_printed_plain_as_environment_and_as_json(run: Run, threaded_server: StubServer) -> None:
    server = threaded_server
    [nina] = answer(run, "worker", "list")["workers"]
    plain = run("token", "nina")[1].strip()
    printed = run("token", nina["sid"], "--env")[1].splitlines()
    lines = dict(line.removeprefix("export ").split("=", 1) for line in printed)
    assert all(line.startswith("export ") for line in printed)
    told = answer(run, "token", "nina", "--lifetime", "60")
    assert list(lines) == ["TASKROUTER_TOKEN", "TASKROUTER_EB_SERVER", "TASKROUTER_WS_SERVER"]
    assert (lines["TASKROUTER_EB_SERVER"], told["ws_server"]) == (server.eb_server, server.ws_server)
    read = [
        jwt.decode(token, server.signing_key_secret, algorithms=["HS256"])
        for token in (plain, lines["TASKROUTER_TOKEN"], told["token"])
    ]
    grant = {"workspace_sid": nina["workspace_sid"], "worker_sid": nina["sid"], "role": "worker"}
    assert [claims["grants"]["task_router"] for claims in read] == [grant] * 3
    assert read[-1]["exp"] - read[-1]["iat"] == 60


def test_admins_token_needs_no_worker_and_a_workers_does(run: Run) -> None:
    told = answer(run, "token", "--role", "admin")
    assert (told["role"], told["worker_sid"]) == ("admin", None)
    assert run("token")[0] == MISUSED


def test_secret_is_never_shown(
    run: Run, threaded_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = threaded_server.signing_key_secret
    told = "".join("".join(run("token", "nina", *more)[1:]) for more in ((), ("--env",), ("--json",)))
    told += "".join(run("token", "nina", "--lifetime", "0")[1:])
    monkeypatch.setenv("TASKROUTER_STUB_SIGNING_KEY_SID", "SK1")
    status, out, err = run("token", "nina")
    assert (status, out) == (MISUSED, "")
    monkeypatch.delenv("TASKROUTER_STUB_SIGNING_KEY_SID")
    told += err + "".join(run("token", "nina")[1:])
    assert "TASKROUTER_STUB_SIGNING_KEY_SID" in told
    assert secret not in told
    assert threaded_server.auth_token not in told


def test_environment_file_is_its_owners_and_read_by_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "desk.env"
    file.touch(mode=0o644)
    reach = {
        **dict.fromkeys(("rest_url", "account_sid", "eb_server", "ws_server", "workspace_sid"), "x"),
        **dict.fromkeys(("auth_token", "signing_key_sid", "signing_key_secret"), "it's $secret"),
    }
    write_env_file(file, reach)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    printed = subprocess.run(
        ["/bin/sh", "-c", f'. {file}; printf %s "$TASKROUTER_STUB_AUTH_TOKEN"'],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert printed.stdout == "it's $secret"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_env_file(tmp_path / "nowhere" / "x.env", reach)


# --- Terminals, pipes and shells ----------------------------------------------------------------


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("colours", [True, False])
def test_terminals_get_colours_unless_they_want_none(
    monkeypatch: pytest.MonkeyPatch, *, colours: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    assert main(["task", "create", "topic=cards", "text=" + "z" * 200]) == DONE
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:  # noqa: PTH123 - a number
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["worker", "list"]) == main(["task", "list"]) == DONE
        monkeypatch.undo()
    shown = ""
    with suppress(OSError):  # how Linux says that the other end was closed, after all that was written
        while data := os.read(ours, 65_536):
            shown += data.decode()
    os.close(ours)
    assert ("\x1b[32m" in shown) is colours
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[1:] == ["nina", "Available"] for line in lines)  # fits on one line
    assert "  topic=cards" in map(str.rstrip, lines)  # does not, and so comes below, folded
    assert "".join(lines).count("z") == 200


def test_reader_that_went_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w") as pipe:  # noqa: PTH123 - a pipe has no path
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(Stop) as stop:
            show_text("hello")
        monkeypatch.undo()
    assert (stop.value.status, str(stop.value)) == (DONE, "")


@pytest.mark.parametrize(
    ("program", "words", "expected"),
    [
        ("taskrouter-stub", "ta", {"task"}),
        ("taskrouter-stub", "task create --wo", {"--workflow", "--workspace"}),
        ("taskrouter-stub", "token --role ", {"worker", "supervisor", "admin"}),
        ("taskrouter-worker", "listen --auto ", {"accept", "reject"}),
    ],
)
def test_bash_completes_commands_options_and_choices(
    capsys: pytest.CaptureFixture[str], program: str, words: str, expected: set[str]
) -> None:
    from taskrouter_worker._cli.program import main as worker_main  # noqa: PLC0415 - beside the other

    run_it = main if program == "taskrouter-stub" else worker_main
    assert run_it(["completion", "bash"]) == DONE
    script = capsys.readouterr().out
    typed = [program, *words.split(" ")]
    last = len(typed) - 1
    line = " ".join(f"'{word}'" for word in typed)
    ask = (
        f"COMP_WORDS=({line}); COMP_CWORD={last}; _shtab_{program.replace('-', '_')}; echo ${{COMPREPLY[@]}}"
    )
    found = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"],  # noqa: S607 - found as users find it
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert expected <= set(found.stdout.split())
    assert found.stderr == ""


# --- Whatever comes in, and wherever it goes ----------------------------------------------------


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("worker", "activity", "", "Offline"), "worker"),
        (("worker", "activity", "nina", ""), "activity"),
        (("worker", "create", "omar", "--activity", ""), "activity"),
        (("task", "create", "--workflow", ""), "workflow"),
        (("task", "list", "--workspace", ""), "workspace"),
        (("events", "tail", "--no-follow", "--worker", ""), "worker"),
        (("token", ""), "worker"),
    ],
)
def test_empty_name_means_nobody_rather_than_the_first_one(
    run: Run, words: tuple[str, ...], what: str
) -> None:
    status, out, err = run(*words)
    assert (status, out, err) == (MISUSED, "", f"taskrouter-stub: the name of the {what} is empty\n")
    workers = answer(run, "worker", "list")["workers"]
    assert [(w["friendly_name"], w["activity_name"]) for w in workers] == [("nina", "Available")]


def test_variables_that_are_set_to_nothing_are_not_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKROUTER_STUB_WORKSPACE_SID", "")
    assert run("worker", "list")[0] == DONE
    monkeypatch.setenv("TASKROUTER_STUB_URL", "")
    assert "http://127.0.0.1:8300" in run("worker", "list", "--help")[1]


ASKING = [
    ("completion", "bash"),
    ("events", "tail", "--no-follow", "--last", "9"),
    ("export", "-"),
    ("health",),
    ("health", "--json"),
    ("snapshot", "list"),
    ("snapshot", "list", "--json"),
    ("task", "list"),
    ("token", "nina"),
    ("worker", "list"),
]
"""Commands that print to the standard output."""


@contextmanager
def output_to(monkeypatch: pytest.MonkeyPatch, file: int) -> Iterator[None]:
    """Have the standard output there."""
    with open(file, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        yield
        monkeypatch.undo()


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_every_command_bears_that_nobody_reads_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with output_to(monkeypatch, theirs):
        assert run(*words) == (DONE, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_output_that_cannot_be_written_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    with output_to(monkeypatch, os.open("/dev/full", os.O_WRONLY)):
        status, _, err = run(*words)
    assert status == MISUSED
    assert err == "taskrouter-stub: cannot write the output: No space left on device\n"


def test_names_that_the_output_cannot_hold_are_written_as_escapes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("worker", "create", "jörg→")[0] == DONE
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["worker", "list"]) == DONE
    assert b"j\\xf6rg\\u2192" in written.getvalue()


@pytest.mark.parametrize(
    "words",
    [("explain", "WT1"), ("export", "-"), ("health",), ("reset",), ("seed", "desk.yaml"), ("worker", "list")],
    ids=" ".join,
)
def test_ctrl_c_ends_a_command_that_waits_for_the_server(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    def interrupted(command: Coroutine[Any, Any, int]) -> int:
        command.close()
        raise KeyboardInterrupt

    (tmp_path / "desk.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("asyncio.run", interrupted)
    assert run(*words) == (130, "", "")


@pytest.mark.parametrize(
    "words", [("task", "create", "-"), ("worker", "create", "omar", "-"), ("import", "-")]
)
def test_ctrl_c_ends_a_command_that_reads(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    class Typing(io.BytesIO):
        def read(self, _: int | None = None) -> bytes:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()  # which would take the first Ctrl-C, and go on reading
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Typing()))
    assert run(*words) == (130, "", "")


def test_standard_input_that_is_none_or_no_text_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run("task", "create", "-") == (
        MISUSED,
        "",
        "taskrouter-stub: there is no standard input to read\n",
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert "it is not UTF-8" in run("task", "create", "-")[2]


async def test_server_goes_on_where_nobody_reads_how_to_reach_it(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    file = tmp_path / "desk.env"
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server_stub", "serve", "--port", "0", "--env-file", str(file)),
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(PATIENCE):
            while not file.exists():
                assert server.returncode is None
                await asyncio.sleep(0.02)
            url = re.search(r"TASKROUTER_STUB_URL=(\S+)", file.read_text())
            assert url is not None
            assert await asyncio.to_thread(main, ["health", "--url", url[1], "--wait", "10"]) == DONE
            server.terminate()
            assert (await server.communicate())[1] == b""
            assert server.returncode == 0
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
