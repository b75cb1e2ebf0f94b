"""Build sdist and wheel, install the wheel into a fresh environment, use it from there: part of `make check`.

What it proves and an editable install cannot: every file of both packages is in the wheel, with `py.typed`
and the console's page, and nothing else is; the declared dependencies are enough; commands, console and
plugin work away from the source tree. The wheel is built from the sdist, as ``python -m build`` does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("server_stub", "taskrouter_worker")
SCRIPTS = ("taskrouter-stub", "taskrouter-worker")

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"

USE = """
import importlib.metadata, importlib.resources
import server_stub, taskrouter_worker
for package in (server_stub, taskrouter_worker):
    assert "site-packages" in package.__file__, package.__file__
    assert importlib.resources.files(package).joinpath("py.typed").is_file()
    for name in package.__all__:
        getattr(package, name)
for stub in ("_signatures.pyi", "_sync_signatures.pyi"):
    assert importlib.resources.files(taskrouter_worker).joinpath(stub).is_file()
ours = {
    script.name
    for script in importlib.metadata.entry_points(group="console_scripts")
    if script.module.split(".")[0] in ("server_stub", "taskrouter_worker")
}
assert ours == {"taskrouter-stub", "taskrouter-worker"}, ours
print("imported", importlib.metadata.version("taskrouter-worker"))
"""


PLAIN_TEST = """
def test_task_reaches_alice(taskrouter):
    alice = taskrouter.worker("Alice")
    taskrouter.assert_reserved(taskrouter.task(), alice)
"""

ASYNC_TEST = """
import pytest

@pytest.mark.{plugin}
async def test_alice_hears_of_her_task(taskrouter):
    async with taskrouter.connect(taskrouter.worker("Alice")) as worker:
        offered = []
        worker.on("reservationCreated", offered.append)
        taskrouter.task()
        await taskrouter.clock.advance(1)
        assert len(offered) == 1
"""

ANYIO_BACKEND = """
@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def run(*command: str | Path, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, timeout=300)


def build(here: Path) -> Path:
    """What `python -m build` makes: an sdist, and the wheel from it."""
    run(sys.executable, "-m", "venv", here / "tools", cwd=here)
    python = scripts_of(here / "tools") / "python"
    run(python, "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS, "build", cwd=here)
    environment = {**os.environ, "PIP_CONSTRAINT": str(CONSTRAINTS)}
    subprocess.run(
        [python, "-m", "build", "--outdir", here / "dist", ROOT],
        cwd=here,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=600,
    )
    [_] = (here / "dist").glob("taskrouter_worker-*.tar.gz")
    [wheel] = (here / "dist").glob("taskrouter_worker-*.whl")
    return wheel


def scripts_of(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin")


def check_contents(wheel: Path) -> None:
    """Every file of the packages is in the wheel, and nothing else but its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names == expected, f"not in the wheel: {expected - names}; in the wheel only: {names - expected}"
    needed = {"server_stub/console/web/index.html", "server_stub/py.typed", "taskrouter_worker/py.typed"}
    assert needed <= names, needed - names
    assert not [name for name in names if "test_" in name or name.startswith("tests/")]


@contextmanager
def served(stub: Path, cwd: Path) -> Iterator[dict[str, str]]:
    """The installed server, running; what it printed. It has to end well at SIGTERM."""
    process = subprocess.Popen(
        [stub, "serve", "--port", "0", "--json"], cwd=cwd, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        status = process.wait(timeout=60)
    assert status == 0, f"the server ended with status {status} after SIGTERM"


def fetch(url: str, **headers: str) -> tuple[str, bytes]:
    """Content type and body."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the address is our own server's
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return response.headers.get_content_type(), response.read()


def use_the_server(scripts: Path, here: Path) -> None:
    """REST, the console's page with all its files, and both command lines, against the installed server."""
    stub = scripts / "taskrouter-stub"
    with served(stub, here) as local:
        credentials = b64encode(f"{local['account_sid']}:{local['auth_token']}".encode()).decode()
        workspace = f"{local['rest_url']}/v1/Workspaces/{local['workspace_sid']}"
        _, answer = fetch(workspace, Authorization=f"Basic {credentials}")
        assert json.loads(answer)["sid"] == local["workspace_sid"]

        kind, page = fetch(f"{local['rest_url']}/console")
        assert (kind, b"<html" in page) == ("text/html", True)
        for file in sorted((ROOT / "server_stub" / "console" / "web").iterdir()):
            assert fetch(f"{local['rest_url']}/console/{file.name}")[1] == file.read_bytes(), file.name

        environment = {
            **os.environ,
            "TASKROUTER_STUB_URL": local["rest_url"],
            **{
                f"TASKROUTER_STUB_{name.upper()}": local[name]
                for name in ("account_sid", "auth_token", "signing_key_sid", "signing_key_secret")
            },
        }
        use_the_commands(scripts, here, environment)


def use_the_commands(scripts: Path, here: Path, environment: dict[str, str]) -> None:
    """A worker in the terminal gets a task that was made by command, and completes it."""

    def said(*command: str) -> str:
        return subprocess.run(
            [scripts / command[0], *command[1:]],
            cwd=here,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        ).stdout

    assert said("taskrouter-stub", "health").startswith("ok: ")
    said("taskrouter-stub", "worker", "create", "nina", "--activity", "Available")
    given = json.loads(said("taskrouter-stub", "token", "nina", "--json"))
    environment = {
        **environment,
        "TASKROUTER_TOKEN": given["token"],
        "TASKROUTER_EB_SERVER": given["eb_server"],
        "TASKROUTER_WS_SERVER": given["ws_server"],
    }
    said("taskrouter-stub", "task", "create", "topic=cards")
    listening = subprocess.Popen(
        [
            *(scripts / "taskrouter-worker", "listen", "--json"),
            *("--activity", "Available", "--auto", "accept", "--complete-after", "0.1"),
        ],
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert listening.stdout is not None
        told = ""
        while "reservationCompleted" not in told:
            line = listening.stdout.readline()
            assert line, f"the listener ended with status {listening.wait(60)}: {told}"
            json.loads(line)
            told += line
        listening.send_signal(signal.SIGINT)
        assert listening.wait(timeout=60) == 0
    finally:
        listening.kill()
        listening.communicate()
    assert json.loads(said("taskrouter-stub", "task", "list", "--json"))


def use_the_plugin(python: Path, here: Path) -> None:
    """Tests with the fixture: plain ones, with anyio's plugin, then with pytest-asyncio."""
    place = here / "project"
    place.mkdir()

    def install(*packages: str) -> None:
        run(python, "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS, *packages, cwd=here)

    def test(text: str) -> None:
        file = place / "test_it.py"
        file.write_text(text)
        run(python, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", file, cwd=place)

    install("pytest")
    test(PLAIN_TEST)
    test(ASYNC_TEST.format(plugin="anyio") + ANYIO_BACKEND)
    (place / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    install("pytest-asyncio")
    test(PLAIN_TEST)
    test(ASYNC_TEST.format(plugin="asyncio"))


def readme_example() -> str:
    """The first Python block of the README."""
    return (ROOT / "README.md").read_text().partition("```python\n")[2].partition("```")[0]


def main() -> None:
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background ignores it, and what is started too
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        wheel = build(here)
        check_contents(wheel)
        run(sys.executable, "-m", "venv", here / "venv", cwd=here)
        scripts = scripts_of(here / "venv")
        install = (scripts / "python", "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS)
        run(*install, wheel, cwd=here)
        run(scripts / "python", "-c", "import taskrouter_worker; taskrouter_worker.Worker", cwd=here)
        run(*install, f"{wheel}[server,cli]", cwd=here)
        run(scripts / "python", "-W", "error", "-c", USE, cwd=here)
        for script in SCRIPTS:
            run(scripts / script, "--help", cwd=here)
        example = here / "readme_example.py"
        example.write_text(readme_example())
        run(scripts / "python", "-W", "error", example, cwd=here)
        use_the_server(scripts, here)
        use_the_plugin(scripts / "python", here)
        print(
            f"{wheel.name}: built, installed, imported, ran the README's example, served, was used in tests"
        )


if __name__ == "__main__":
    main()
