"""Build the wheel, install it into a fresh environment, and use it from there. `make check` runs this.

What it proves and an editable install cannot: every module and `py.typed` is in the wheel, the
declared dependencies are enough, and the console script works away from the source tree.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from base64 import b64encode
from pathlib import Path

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


def serve(stub: Path, cwd: Path) -> None:
    """Start the installed server, read its line, ask its REST API one question, and stop it."""
    process = subprocess.Popen(
        [stub, "serve", "--port", "0", "--json"], cwd=cwd, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        local = json.loads(process.stdout.readline())
        credentials = b64encode(f"{local['account_sid']}:{local['auth_token']}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - the address is our own server's
            f"{local['rest_url']}/v1/Workspaces/{local['workspace_sid']}",
            headers={"Authorization": f"Basic {credentials}"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            assert json.load(response)["sid"] == local["workspace_sid"]
    finally:
        process.terminate()
        status = process.wait(timeout=20)
    assert status == 0, f"the server ended with status {status} after SIGTERM"


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
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", here, ROOT, cwd=here)
        [wheel] = here.glob("taskrouter_worker-*.whl")
        run(sys.executable, "-m", "venv", here / "venv", cwd=here)
        scripts = here / "venv" / ("Scripts" if os.name == "nt" else "bin")
        run(scripts / "python", "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS, wheel, cwd=here)
        run(scripts / "python", "-c", "import taskrouter_worker; taskrouter_worker.Worker", cwd=here)
        run(
            scripts / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "-c",
            CONSTRAINTS,
            f"{wheel}[server]",
            cwd=here,
        )
        run(scripts / "python", "-W", "error", "-c", USE, cwd=here)
        example = here / "readme_example.py"
        example.write_text(readme_example())
        run(scripts / "python", "-W", "error", example, cwd=here)
        serve(scripts / "taskrouter-stub", here)
        use_the_plugin(scripts / "python", here)
        print(f"{wheel.name}: installed, imported, ran the README's example, served, was used in tests")


if __name__ == "__main__":
    main()
