"""``taskrouter-stub replay``: play the server's side of a recording to whatever client connects."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taskrouter_worker.recording import RecordingError, read_recording

from .showing import show_json, show_text

if TYPE_CHECKING:
    from server_stub.replay import ReplayServer

__all__ = ["add_replay", "run_replay"]

PLAYED, MISMATCH, MISUSED = range(3)
"""Exit statuses, as the help explains them."""

_EPILOG: Final = """\
Examples:
  taskrouter-stub replay session.jsonl
  taskrouter-stub replay session.jsonl --port 0 --pace fast --json

Exit status: 0 everything was played and the client did what the recorded one did; 1 it did something
else; 2 wrong use, or the file is no recording.
"""


def add_replay(commands: Any) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "replay",
        help="play the server's side of a recorded session to a client",
        description="Play the server's side of a recorded session to the client that connects.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the recording")
    add("--port", type=int, default=8300, help="port, 0 picks a free one (default %(default)s)")
    add(
        "--pace",
        choices=("recorded", "fast"),
        default="recorded",
        help="keep the times between what was recorded, or leave them out (default %(default)s)",
    )
    add(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for the client's next act (default %(default)g)",
    )
    add("--json", action="store_true", help="print how to reach it as one line of JSON")


def run_replay(options: argparse.Namespace) -> int:
    """Carry out the command; its exit status."""
    from server_stub.replay import (  # noqa: PLC0415 - it loads a server, which the others do without
        ReplayMismatchError,
        ReplayServer,
    )

    if not 0 <= options.port <= 65_535:
        return _misused(f"--port must be 0 to 65535, got {options.port}")
    if not 0 < options.patience < float("inf"):
        return _misused(f"--patience must be more than 0 seconds, got {options.patience:g}")
    try:
        recording = read_recording(options.file.read_bytes())
        server = ReplayServer(recording, port=options.port, pace=options.pace, patience=options.patience)
    except OSError as error:
        return _misused(f"cannot read {options.file}: {error.strerror or error}")
    except RecordingError as error:
        return _misused(f"{options.file}: {error}")
    except ValueError as error:
        return _misused(f"{options.file}: {error}")
    try:
        asyncio.run(_replay(server, as_json=options.json))
    except ReplayMismatchError as error:
        print(f"taskrouter-stub: {error}", file=sys.stderr)
        return MISMATCH
    except OSError as error:
        return _misused(f"cannot listen on port {options.port}: {error.strerror or error}")
    except KeyboardInterrupt:
        return MISMATCH
    print("The recording was played to its end.", file=sys.stderr)
    return PLAYED


async def _replay(server: ReplayServer, *, as_json: bool) -> None:
    async with server:
        # One token for each that was recorded: those after the first are for when the client renews it.
        tokens = {sid: server.tokens(sid) for sid in server.workers}
        if as_json:
            show_json({"eb_server": server.eb_server, "ws_server": server.ws_server, "tokens": tokens})
        else:
            lines = [f"Event bridge  {server.eb_server}", f"Websocket     {server.ws_server}"]
            for sid, own in tokens.items():
                for number, token in enumerate(own, 1):
                    lines += [f"Token {number} of {sid}", f"  {token}"]
            show_text("\n".join(lines))
        await server.finished()


def _misused(message: str) -> int:
    print(f"taskrouter-stub: {message}", file=sys.stderr)
    return MISUSED
