"""The commands of each page, typed in order as a newcomer would, in a directory of their own: `make docs`.

What stays running (``serve``) runs until the page is done. Two things differ from what is printed: the port
is a free one instead of 8300, and credentials that a page leaves to the server are in the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from threading import Thread

import pytest

from server_stub.testing import BackgroundServer, WorkspaceOptions
from tests.docs.snippets import PAGES, ROOT, SHELLS, Snippet, all_snippets, snippets_of
from tests.docs.stage import Given, Stage

pytestmark = pytest.mark.docs

PATIENCE = 60.0
PORT = "8300"
BASH = shutil.which("bash") or "/bin/bash"


def has_commands(page: str) -> bool:
    return any(one.language in SHELLS and one.kind in ("run", "serve") for one in snippets_of(page))


class Session:
    """A newcomer's terminals."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._port = str(free_port())
        self._running: list[Program] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONUNBUFFERED": "1",
            "TASKROUTER_STUB_URL": f"http://127.0.0.1:{self._port}",
            "TASKROUTER_STUB_ACCOUNT_SID": "AC" + "0" * 32,
            "TASKROUTER_STUB_AUTH_TOKEN": "made-up-for-this-test",
            "TASKROUTER_STUB_SIGNING_KEY_SID": "SK" + "0" * 32,
            "TASKROUTER_STUB_SIGNING_KEY_SECRET": "made-up-for-this-test-as-well",
        }

    def step(self, snippet: Snippet) -> None:
        """Do what a block says."""
        match snippet.options.get("with"):
            case "server":
                self._serve()
            case "recording":
                with BackgroundServer() as server, server.workspace(WorkspaceOptions(clock="real")) as desk:
                    asyncio.run(Stage(desk).record(self._place / "session.jsonl"))
            case _:
                pass
        match snippet.kind:
            case "file" if snippet.title is not None:
                (self._place / snippet.title).write_text(snippet.text.replace(PORT, self._port))
            case "run":
                done = self._start(snippet.commands)
                assert done.wait() == 0, f"{snippet.name}: {done.printed}"
                if "prints" in snippet.options:
                    done.wait_for(lambda: done.printed == snippet.output)
            case "serve":
                program = self._start(snippet.commands)
                self._running.append(program)
                if "prints" in snippet.options:
                    program.wait_for(lambda: program.printed == snippet.output)
                else:
                    program.wait_for(lambda: "127.0.0.1" in program.printed)
            case _:
                pass

    def end(self) -> None:
        """Ctrl-C in every terminal."""
        for program in reversed(self._running):
            program.end()

    def _serve(self) -> None:
        program = self._start("taskrouter-stub serve --json")
        self._running.append(program)
        program.wait_for(lambda: "\n" in program.printed)
        reach = json.loads(program.printed)
        self.environment |= {
            "ACCOUNT_SID": reach["account_sid"],
            "AUTH_TOKEN": reach["auth_token"],
            "WS": reach["workspace_sid"],
        }

    def _start(self, commands: str) -> Program:
        text = re.sub(r"taskrouter-stub (serve|replay)\b", rf"taskrouter-stub \1 --port {PORT}", commands)
        *before, last = text.replace(PORT, self._port).replace("\\\n", " ").strip().splitlines()
        script = "\n".join([*before, f"exec {last}"])
        return Program(script, self._place, self.environment)


class Program:
    """A command that was started, and what it has printed so far."""

    def __init__(self, script: str, place: Path, environment: dict[str, str]) -> None:
        self.printed = ""
        self.process = subprocess.Popen(
            [BASH, "-euo", "pipefail", "-c", script],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until it has printed that."""
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, self.printed
            time.sleep(0.05)

    def wait(self) -> int:
        """Wait for its end."""
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()  # if it takes too long
            self._reader.join(PATIENCE)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def end(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.wait()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.end()


@pytest.mark.parametrize("page", [page for page in PAGES if has_commands(page)])
def test_page_works_from_top_to_bottom(page: str, session: Session) -> None:
    for snippet in snippets_of(page):
        session.step(snippet)


def shown(*languages: str) -> list[Snippet]:
    return [one for one in all_snippets() if one.kind == "shown" and one.language in languages]


def why(given: object) -> str | None:
    return f"{given.name}, only shown because {given.reason}" if isinstance(given, Snippet) else None


@pytest.mark.parametrize("snippet", shown(*SHELLS), ids=why)
def test_commands_that_are_only_shown_can_be_read_by_a_shell(snippet: Snippet) -> None:
    done = subprocess.run(
        [BASH, "-n", "-c", snippet.commands], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def type_checked(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a type checker says about all Python that is only shown, of files named by their numbers."""
    place = tmp_path_factory.mktemp("shown")
    given = "".join(f"{field.name}: Any\n" for field in fields(Given))
    for number, snippet in enumerate(shown("python")):
        (place / f"shown_{number}.py").write_text(f"from typing import Any\n{given}{snippet.text}")
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "mypy",
                "--config-file=",
                "--ignore-missing-imports",
                "--check-untyped-defs",
            ),
            *sorted(place.glob("*.py")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("number", "snippet"), list(enumerate(shown("python"))), ids=why)
def test_python_that_is_only_shown_is_sound_for_a_type_checker(
    number: int, snippet: Snippet, type_checked: str
) -> None:
    assert [line for line in type_checked.splitlines() if f"shown_{number}.py" in line] == [], snippet.name
