"""Do what the Dockerfile does, without an engine: ``python -m tests.ways_to_run.container``, in `make check`.

The build's commands are run as they stand, on what `.dockerignore` lets through, with the paths of the image
below a scratch directory. Then the image's command is started with the image's environment and nothing else,
as its user (where this runs as root), in a network of its own, and on a file system that is read-only but for
the volume (where Linux lets us make one). What this cannot show: the base image, the layers, the engine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict

from tests.ways_to_run.dockerfile import Stage, kept_by, read_stages

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0
SECRETS: Final = {
    "TASKROUTER_STUB_AUTH_TOKEN": "an-auth-token-of-this-check",
    "TASKROUTER_STUB_SIGNING_KEY_SECRET": "a-signing-secret-of-this-check-32-bytes",
}
IN_IMAGE: Final = ("/src", "/wheels", "/opt/taskrouter", "/data")
"""The directories that the Dockerfile makes."""


class Image:
    """A directory that stands for the file system of the image."""

    def __init__(self, place: Path, base: Path) -> None:
        self.place = place
        self._base = base

    def here(self, text: str) -> str:
        """A text of the Dockerfile with the image's paths as they are here."""
        for path in IN_IMAGE:
            text = text.replace(path, f"{self.place}{path}")
        return text

    def environment(self, stage: Stage) -> dict[str, str]:
        """The environment of a command of a stage."""
        base = f"{self._base / 'bin'}:/usr/bin:/bin"
        values = {name: self.here(value).replace("$PATH", base) for name, value in stage.environment.items()}
        return {"PATH": base, "HOME": "/nonexistent", "TMPDIR": "/nonexistent", **values}

    def build(self, stage: Stage) -> None:
        """Carry out a stage of the build."""
        for path in IN_IMAGE:
            Path(self.here(path)).mkdir(parents=True)
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        environment = {**pip, **self.environment(stage), "TMPDIR": str(self.place), "HOME": str(self.place)}
        cwd = self.place
        for name, text in stage.instructions:
            match name:
                case "WORKDIR":
                    cwd = Path(self.here(text))
                case "COPY":
                    check(text == ". .", f"COPY {text} is not known here")
                    for kept in kept_by(ROOT / ".dockerignore"):
                        copy(ROOT / kept, cwd / kept)
                case "RUN":
                    print(f"RUN {text}", flush=True)
                    subprocess.run(
                        ["/bin/sh", "-c", self.here(text)], cwd=cwd, env=environment, check=True, timeout=600
                    )
                case _:
                    raise SystemExit(f"{name} is not known here")


def copy(source: Path, to: Path) -> None:
    """What COPY does, with the line of `.dockerignore` about caches."""
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, to)


def check(holds: object, otherwise: str) -> None:
    """End with a sentence unless something holds."""
    if not holds:
        raise SystemExit(f"the container: {otherwise}")


# --- Before: what is built ----------------------------------------------------------------------


class User(TypedDict, total=False):
    """Arguments of `subprocess` that choose who a process is."""

    user: int
    group: int
    extra_groups: list[int]


def as_user(uid: int) -> User:
    """The image's user; us, unless we are root."""
    return User(user=uid, group=uid, extra_groups=[]) if os.geteuid() == 0 else User()


def usable_python(uid: int) -> str:
    """An interpreter that the image's user may start: one below /root often is not."""
    mine = str(Path(sys.executable).resolve())
    for python in (mine, "/usr/bin/python3", "/usr/local/bin/python3"):
        if Path(python).exists() and can_start(python, uid):
            return python
    raise SystemExit(
        "the container: everybody needs to be able to start a Python 3.11 with venv: install python3-venv"
    )


def can_start(python: str, uid: int) -> bool:
    """Whether a user can run an interpreter, and it is good enough."""
    needs = "import ensurepip, sqlite3, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run(
            [python, "-c", needs], cwd="/", check=False, stderr=subprocess.DEVNULL, **as_user(uid)
        )
    except PermissionError:
        return False
    return done.returncode == 0


def main() -> None:
    """Build, then try in namespaces of its own."""
    build, final = read_stages(ROOT / "Dockerfile")
    check(
        all("/" not in stage.image and "." not in stage.image for stage in (build, final)), "names a registry"
    )
    uid = int(final.all("USER")[0].split(":")[0])
    check(uid > 0, "runs as root")
    check(f"--uid {uid} " in final.all("RUN")[0], "USER is not who is made")
    check(
        final.all("COPY") == ["--from=build /opt/taskrouter /opt/taskrouter"],
        "takes more than the environment",
    )
    check(final.all("STOPSIGNAL") == ["SIGTERM"] and final.command("VOLUME") == ["/data"], "signal or volume")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        place.chmod(0o755)
        base = place / "base"
        subprocess.run([usable_python(uid), "-m", "venv", base], check=True, timeout=300)
        image = Image(place / "image", base)
        image.build(build)
        shutil.rmtree(image.here("/src"))  # the second stage does not have it
        if os.geteuid() == 0:
            os.chown(image.here("/data"), uid, uid)
        inside = [sys.executable, "-m", __spec__.name, "--inside", str(image.place), str(base)]
        unshare = ["unshare", "--net", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        subprocess.run([*unshare, *inside], cwd=ROOT, check=True, timeout=600)
    print("the container: built, started as its user, well, stopped; no engine was involved")


# --- Inside: what runs --------------------------------------------------------------------------


def close_the_world(data: Path) -> None:
    """Loopback, and nothing to write to but the volume."""
    with socket.socket() as any_socket:
        up = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS
    subprocess.run(["mount", "--bind", data, data], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", "/"], check=True)
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=data.parent):
        check(holds=False, otherwise="the file system could not be made read-only")


class Running:
    """The image's commands, as its user, with its environment."""

    def __init__(self, image: Image, stage: Stage) -> None:
        self._image = image
        self._uid = int(stage.all("USER")[0].split(":")[0])
        self._environment = image.environment(stage)
        self._cwd = image.here(stage.all("WORKDIR")[0])
        self.server = [*stage.command("ENTRYPOINT"), *stage.command("CMD")]
        [healthcheck] = stage.all("HEALTHCHECK")
        check(" CMD [" in healthcheck, "its health check runs a shell")
        self.health = stage.command("HEALTHCHECK")

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start one; what it prints is kept."""
        path = self._environment["PATH"]
        program = shutil.which(command[0], path=path)
        check(program, f"{command[0]} is not in {path}")
        return subprocess.Popen(
            [str(program), *map(self._image.here, command[1:])],
            cwd=self._cwd,
            env={**self._environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **as_user(self._uid),
        )

    def healthy(self) -> bool:
        """What the engine learns from the health check; asks once."""
        process = self.start(self.health, {})
        process.communicate(timeout=PATIENCE)
        check(process.returncode in (0, 1), f"the health check ends with status {process.returncode}")
        return process.returncode == 0

    def whole_life(self) -> str:
        """Start the server, wait until it is well, stop it as an engine does; what it printed."""
        server = self.start(self.server, SECRETS)
        try:
            end = time.monotonic() + PATIENCE
            while not self.healthy():
                check(server.poll() is None and time.monotonic() < end, "does not become well")
                time.sleep(0.2)
            status = Path(f"/proc/{server.pid}/status").read_text()
            mine = self._uid if os.geteuid() == 0 else os.getuid()
            check(f"Uid:\t{mine}\t{mine}\t" in status, "is not the user that it should be")
            server.terminate()
            printed, _ = server.communicate(timeout=PATIENCE)
        finally:
            server.kill()
        check(server.returncode == 0, f"ends with status {server.returncode} at SIGTERM: {printed}")
        return printed


def inside(place: Path, base: Path) -> None:
    """What is tried."""
    image, [_, final] = Image(place, base), read_stages(ROOT / "Dockerfile")
    data = Path(image.here("/data"))
    close_the_world(data)
    running = Running(image, final)
    check(not running.healthy(), "is well before it has started")
    refused = running.start(running.server, {})
    printed, _ = refused.communicate(timeout=PATIENCE)
    check(refused.returncode == 2 and "Traceback" not in printed, f"starts without secrets: {printed}")
    for name in SECRETS:
        check(name in printed, f"does not say that {name} is missing: {printed}")
    first, again = running.whole_life(), running.whole_life()
    for secret in SECRETS.values():
        check(secret not in first, "prints a secret that it was given")
    workspaces = [word for printed in (first, again) for word in printed.split() if word.startswith("WS")]
    check(workspaces and len(set(workspaces)) == 1, "does not keep its data")
    check((data / "taskrouter.sqlite").stat().st_size, "keeps no data where the volume is")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
