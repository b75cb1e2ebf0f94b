"""What the Dockerfile, compose.yaml and the command line say; `make check` does what they do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from server_stub import Settings, StubServer
from server_stub.__main__ import main
from server_stub.commands.serve import show_banner
from tests.ways_to_run.dockerfile import kept_by, read_stages

ROOT = Path(__file__).parent.parent
SECRETS = {"AUTH_TOKEN": "hush-hush", "SIGNING_KEY_SECRET": "keep-this-to-yourself-for-32-bytes"}


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_server_that_others_can_reach_asks_for_secrets_by_their_variables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.delenv(f"TASKROUTER_STUB_{name}", raising=False)
    command = read_stages(ROOT / "Dockerfile")[-1].command("CMD")
    with pytest.raises(SystemExit, match="2"):
        main(command)
    told = capsys.readouterr().err
    assert "TASKROUTER_STUB_AUTH_TOKEN and TASKROUTER_STUB_SIGNING_KEY_SECRET" in told
    assert "'0.0.0.0' is reachable from other machines" in told


async def test_banner_does_not_repeat_secrets_that_were_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    token, secret = SECRETS.values()
    async with StubServer(Settings(port=0, auth_token=token, signing_key_secret=secret)) as server:
        show_banner(server)
    shown = capsys.readouterr().out
    assert server.workspace_sid in shown
    assert not [value for value in SECRETS.values() if value in shown]


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_banner_shows_what_was_generated_in_one_piece(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that folds them would cut them into pieces that nobody can copy."""
    monkeypatch.setenv("COLUMNS", str(columns))
    async with StubServer(Settings(port=0)) as server:
        show_banner(server)
    shown = capsys.readouterr().out
    assert server.auth_token in shown
    assert server.signing_key_secret in shown
    assert server.console_url in shown


def test_image_runs_as_somebody_without_rights_and_is_asked_for_its_health() -> None:
    build, final = read_stages(ROOT / "Dockerfile")
    assert re.fullmatch(r"python:\$\{PYTHON\}-slim", build.image)
    assert final.image == build.image
    assert final.all("USER") == ["10001:10001"]
    assert final.command("HEALTHCHECK") == ["taskrouter-stub", "health"]
    assert final.command("ENTRYPOINT") == ["taskrouter-stub"]


def test_build_gets_what_the_wheel_is_made_of_and_no_more() -> None:
    kept = set(kept_by(ROOT / ".dockerignore"))
    assert kept == {
        "LICENSE",
        "README.md",
        "constraints.txt",
        "pyproject.toml",
        "server_stub",
        "taskrouter_worker",
    }
    assert all((ROOT / name).exists() for name in kept)


def test_compose_tells_the_bot_the_sids_that_the_seed_fixes(compose: Any) -> None:
    seed = ROOT / "examples" / "seeds" / "bot_desk.yaml"
    [desk] = yaml.safe_load(seed.read_text())["workspaces"]
    bot = compose["services"]["bot"]["environment"]
    assert bot["TASKROUTER_WORKSPACE_SID"] == desk["sid"]
    assert bot["TASKROUTER_WORKER_SID"] in [worker.get("sid") for worker in desk["workers"]]
    command = compose["services"]["taskrouter"]["command"]
    assert f"--seed=/seeds/{seed.name}" in command
    assert compose["services"]["seed"]["command"] == ["seed", f"/seeds/{seed.name}"]
    program = compose["services"]["bot"]["entrypoint"]
    assert (ROOT / program[-1]).is_file()


def test_compose_starts_nothing_without_secrets_and_publishes_to_this_machine_only(compose: Any) -> None:
    server = compose["services"]["taskrouter"]
    for name in ("ACCOUNT_SID", "AUTH_TOKEN", "SIGNING_KEY_SID", "SIGNING_KEY_SECRET"):
        value = server["environment"].get(f"TASKROUTER_STUB_{name}")
        assert value.startswith(f"${{TASKROUTER_STUB_{name}:?"), name
    assert server["ports"] == ["127.0.0.1:8300:8300"]
    assert [name for name, it in compose["services"].items() if "ports" in it] == ["taskrouter"]
    for name in ("taskrouter", "bot", "seed"):
        assert compose["services"][name]["read_only"] is True
        assert compose["services"][name]["cap_drop"] == ["ALL"]


def test_dockerignore_that_leaves_out_too_little_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".dockerignore"
    file.write_text(".git\n")
    with pytest.raises(ValueError, match="does not begin with"):
        kept_by(file)
