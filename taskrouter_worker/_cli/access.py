"""Where the program's token comes from. Never from an argument: other users of a machine see those."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Final, TextIO, cast

from taskrouter_worker._token import Token

from .leaving import MISUSED, Stop

__all__ = ["TOKEN_VARIABLE", "TokenCommand", "add_token_options", "first_token", "given_token"]

TOKEN_VARIABLE: Final = "TASKROUTER_TOKEN"  # noqa: S105 - a variable's name

COMMAND_SECONDS: Final = 30.0
"""How long a token command may take."""


def add_token_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the token is."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--token-file", type=Path, metavar="FILE", help="read the token from this file")
    group.add_argument(
        "--token-command",
        metavar="COMMAND",
        help="run this command, which prints a token; again for each later one; no shell is involved",
    )


class TokenCommand:
    """Asks a command for tokens.

    Args:
        command: words as in a shell, which is not involved.

    Raises:
        Stop: there are no words in it.
    """

    def __init__(self, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise Stop(MISUSED, f"--token-command cannot be read: {error}") from None
        if not self._words:
            raise Stop(MISUSED, "--token-command is empty")

    async def __call__(self) -> str:
        """The next token.

        Raises:
            Stop: the command failed. What it printed is not told: that might be a token.
        """
        program = self._words[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
            )
        except OSError as error:
            raise Stop(MISUSED, f"the token command {program!r} cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                out, _ = await process.communicate()
        except TimeoutError:
            raise Stop(MISUSED, f"the token command {program!r} took over {COMMAND_SECONDS:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise Stop(
                MISUSED,
                f"the token command {program!r} ended with status {process.returncode}: run it by itself to "
                "see why",
            )
        return out.decode("ascii", "replace").strip()


def given_token(options: argparse.Namespace) -> str | None:
    """The token to begin with; None where a command makes it.

    It may ask the user, and blocks meanwhile: call it before there is an event loop.

    Raises:
        Stop: there is none, or what is there is no token.
    """
    if options.token_command is not None:
        return None
    if options.token_file is not None:
        return _checked(_file(options.token_file), str(options.token_file))
    if given := os.environ.get(TOKEN_VARIABLE):
        return _checked(given, TOKEN_VARIABLE)
    return _checked(_standard_input(), "the standard input")


async def first_token(given: str | None, options: argparse.Namespace) -> tuple[str, TokenCommand | None]:
    """The token to begin with, and what makes the later ones, if anything does.

    Raises:
        Stop: the command makes none.
    """
    if given is not None:
        return given, None
    command = TokenCommand(options.token_command)
    return _checked(await command(), "what the token command printed"), command


def _checked(text: str, source: str) -> str:
    try:
        Token.parse(text.strip())
    except ValueError:  # its text is not shown: part of a token may be in it
        raise Stop(MISUSED, f"{source} is no token: expected one line with a JSON Web Token") from None
    return text.strip()


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise Stop(MISUSED, f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Stop(MISUSED, f"{path} is no token: expected one line with a JSON Web Token") from None


def _standard_input() -> str:
    stream = cast("TextIO | None", sys.stdin)  # None where the caller has closed it
    if stream is None or not stream.isatty():
        text = "" if stream is None else stream.readline()
        if not text.strip():
            raise Stop(
                MISUSED,
                f"no token: set {TOKEN_VARIABLE}, name a file with --token-file or a command with "
                "--token-command, or write it to the standard input",
            )
        return text
    try:
        return getpass.getpass("Token (not shown): ")
    except EOFError:
        raise Stop(MISUSED, "no token was given") from None
