"""Databases that a test starts for itself and ends again."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["POSTGRESQL", "another_database", "postgresql", "why_no_postgresql"]

POSTGRESQL = next(
    (
        found
        for found in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        if (found / "initdb").exists()
    ),
    None,
)
"""The programs of Debian's package, if it is installed."""


def why_no_postgresql() -> str | None:
    """Why PostgreSQL cannot be started here; None if it can."""
    if POSTGRESQL is None:
        return "PostgreSQL is not installed (on Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL refuses to run as root, and there is no setpriv to become somebody else"
    return None


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


@contextmanager
def postgresql(directory: Path) -> Iterator[str]:
    """A cluster in a new directory below `directory`, reached by a Unix socket; the URL of its database."""
    if POSTGRESQL is None:
        raise RuntimeError(why_no_postgresql())
    home = directory / "postgresql"
    home.mkdir()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        for parent in home.parents:  # nobody has to get there
            if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    data, log = home / "data", home / "log"
    run = _as_somebody()
    initdb = [
        POSTGRESQL / "initdb",
        "-D",
        data,
        "-U",
        "stub",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "-N",
    ]
    subprocess.run([*run, *map(str, initdb)], check=True, capture_output=True, cwd=home)
    options = f"-c listen_addresses='' -c unix_socket_directories='{home}' -c shared_buffers=16MB"
    control = [*run, str(POSTGRESQL / "pg_ctl"), "-D", str(data), "-w", "-t", "120", "-l", str(log)]
    _carry_out([*control, "-o", options, "start"], home)
    try:
        yield f"postgresql://stub@/postgres?host={home}"
    finally:
        _carry_out([*control, "-m", "immediate", "stop"], home)


def another_database(url: str, name: str) -> str:
    """A new, empty database beside the one of `url`; its URL."""
    if POSTGRESQL is None:
        raise RuntimeError(why_no_postgresql())
    home = url.partition("?host=")[2]
    _carry_out([str(POSTGRESQL / "createdb"), "-h", home, "-U", "stub", name], Path(home))
    return url.replace("/postgres?", f"/{name}?")


def _carry_out(command: list[str], home: Path) -> None:
    # A file, not a pipe: the server that pg_ctl starts keeps what it inherits open.
    with (home / "commands.log").open("a+") as told:
        done = subprocess.run(command, stdout=told, stderr=told, cwd=home, check=False)
    if done.returncode:
        told_by = (home / "commands.log").read_text()[-2_000:]
        raise RuntimeError(f"{Path(command[-1]).name} ended with {done.returncode}: {told_by}")
