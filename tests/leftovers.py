"""What a test leaves behind: tasks, timers, threads, sockets, child processes, and loggers that it set.

Looked for after each.

A test that ends with something still running may break another one, much later; here it fails itself,
with the name of what it left. `tests/conftest.py` has the fixture. Fixtures of a module or a session are
set up before the first look, so that what they keep open is theirs, not the test's.

Closing takes its time, some of it in the kernel or in another thread. What looks left is therefore given
turns of the loop (tasks and timers) or a moment (the others) before it counts.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Belongings", "leftovers"]

TURNS: Final = 50
"""Turns of the loop in which what was canceled or closed may come to its end."""

MOMENT: Final = 5.0
"""Seconds for threads, sockets and processes to end that nobody here can wait for. Generous: nothing waits
so long but what is left indeed."""

OURS: Final = ("taskrouter_worker", "server_stub")
"""Whose timers count; a library's own, such as those of a connection pool, come and go."""

FILES: Final = "/dev/fd"
"""The open files of this process: Linux, macOS and the BSDs have it. Elsewhere sockets are not looked at."""


@dataclass(frozen=True, slots=True)
class Belongings:
    """What this process has at one moment, outside of event loops.

    Attributes:
        threads: those of Python.
        sockets: the inodes of open sockets; a number of a file may have been used again meanwhile.
        children: process ids.
        loggers: those of this project that are set: a test that expects a line would never see it.
    """

    threads: frozenset[threading.Thread]
    sockets: Mapping[int, int]  # inode: number of the file
    children: frozenset[int]
    loggers: frozenset[str]

    @classmethod
    def now(cls) -> Belongings:
        """Look."""
        return cls(
            frozenset(threading.enumerate()), _sockets(), frozenset(_children()), frozenset(_set_loggers())
        )


def leftovers(before: Belongings, loop: asyncio.AbstractEventLoop | None) -> list[str]:
    """What is here and was not before, named; empty if there is nothing.

    Args:
        before: what there was when the test began.
        loop: the test's event loop, which does not run at the moment; None if it had none.
    """
    left: list[str] = []
    if loop is not None:
        left += _settled(lambda: _unfinished(loop), functools.partial(_turn, loop))
    return left + _in_a_moment(lambda: _more(before, Belongings.now(), loop), loop)


def _settled(look: Callable[[], list[str]], turn: Callable[[], None]) -> list[str]:
    for _ in range(TURNS):
        left = look()
        if not left:
            return []
        turn()
    return look()


def _in_a_moment(look: Callable[[], list[str]], loop: asyncio.AbstractEventLoop | None) -> list[str]:
    left = look()
    end = time.monotonic() + MOMENT
    while left and time.monotonic() < end:
        time.sleep(0.002)  # no event tells that the kernel or another thread is done
        if loop is not None:
            _turn(loop)
        left = look()
    return left


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0))


def _unfinished(loop: asyncio.AbstractEventLoop) -> list[str]:
    tasks = [f"task {task.get_name()} of {task.get_coro()!r}" for task in asyncio.all_tasks(loop)]
    return tasks + [f"timer of {name}" for name in _timers(loop)]


def _timers(loop: Any) -> Iterator[str]:
    # Any: a loop's schedule is asyncio's own, and loops of other makers have none.
    for handle in getattr(loop, "_scheduled", ()):
        if not handle.cancelled():
            callback = handle._callback
            while isinstance(callback, functools.partial):
                callback = callback.func
            owner = getattr(callback, "__self__", None)
            module = getattr(callback, "__module__", None) or type(owner or callback).__module__
            if module.partition(".")[0] in OURS:
                yield f"{module}.{getattr(callback, '__qualname__', callback)}"


def _more(before: Belongings, now: Belongings, loop: asyncio.AbstractEventLoop | None) -> list[str]:
    # Threads of the loop's own executor end with the loop, which is closed after this.
    executor: Any = getattr(loop, "_default_executor", None)
    pool = executor._threads if executor is not None else frozenset()
    return [
        *(f"thread {thread.name}" for thread in now.threads - before.threads if thread not in pool),
        *(_name(number) for inode, number in now.sockets.items() if inode not in before.sockets),
        *(f"child process {pid} ({_command(pid)})" for pid in now.children - before.children),
        *now.loggers - before.loggers,
    ]


# Loggers


def _set_loggers() -> Iterator[str]:
    if logging.root.manager.disable:
        yield f"logging is disabled to level {logging.root.manager.disable}"
    for name, logger in logging.root.manager.loggerDict.items():
        if not name.startswith(OURS) or not isinstance(logger, logging.Logger):
            continue
        if logger.level or logger.disabled or not logger.propagate or logger.handlers:
            yield f"logger {name} is set"


# Sockets


def _sockets() -> dict[int, int]:
    found: dict[int, int] = {}
    for name in os.listdir(FILES) if os.path.isdir(FILES) else ():  # noqa: PTH112, PTH208 - after every test: quick
        number = int(name)
        try:
            status = os.fstat(number)
        except OSError:  # the directory's own, or closed by a thread meanwhile
            continue
        if stat.S_ISSOCK(status.st_mode):
            found[status.st_ino] = number
    return found


def _name(number: int) -> str:
    """A socket as a person may recognize it."""
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            return f"socket {number} at {copy.getsockname() or 'no address'}{_other_end(copy)}"
    except OSError as error:
        return f"socket {number} ({error.strerror})"


def _other_end(copy: socket.socket) -> str:
    try:
        return f" to {copy.getpeername() or 'another of this kind'}"
    except OSError:
        return ", not connected"


# Child processes


def _children() -> Iterator[int]:
    """Those that run, and those that ended and were not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return  # the usual case, told by one call
    except AttributeError:  # a system without it
        return
    me = str(os.getpid())
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if fields[1] == me:
            yield int(status.parent.name)


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"
    return words.strip()[:100] or "ended, and nobody waited for it"
