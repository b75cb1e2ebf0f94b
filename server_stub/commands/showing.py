"""What commands print: rich on a terminal, plain and unfolded where a program reads it.

Without `rich`, which comes with the extra "server", terminals get the plain form as well. `NO_COLOR` is
respected: rich does that.
"""

from __future__ import annotations

import io
import json
import os
import select
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, cast

from .remote import DONE, MISUSED, Stop, plain

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "brief",
    "console",
    "is_read",
    "read_input",
    "show_anything",
    "show_json",
    "show_line",
    "show_table",
    "show_text",
    "stop_writing",
]


def show_anything() -> None:
    """Have characters that the output's encoding lacks written as escapes: names are other people's."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def read_input() -> bytes:
    """All of the standard input. It blocks: call it before there is an event loop, or Ctrl-C waits for it.

    Raises:
        Stop: there is none.
    """
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise Stop(MISUSED, "there is no standard input to read")
    return cast("bytes", stream.read())


def stop_writing() -> None:
    """Leave the output: what is still buffered must not fail again when the program ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_read() -> bool:
    """Whether anybody may still read the output: a pipe's reader can leave while nothing is written."""
    try:
        watch = select.poll()
        watch.register(sys.stdout, 0)
        return not any(state & select.POLLERR for _, state in watch.poll(0))
    except (AttributeError, OSError, ValueError):  # Windows has no poll; or the output is no file
        return True


def console(*, soft_wrap: bool = False) -> Console:
    """Rich's console for the output, which ends the program where nobody reads it any more.

    Raises:
        ImportError: rich, which comes with the extra "server", is not installed.
    """
    from rich.console import Console  # noqa: PLC0415 - part of the extra "server"

    class Output(Console):
        def on_broken_pipe(self) -> NoReturn:
            stop_writing()
            raise Stop(DONE, "")

    return Output(highlight=False, soft_wrap=soft_wrap)


def show_text(text: str) -> None:
    """Text as it is, and at once: somebody may wait for the line.

    Raises:
        Stop: nobody reads it any more, as after `| head`, which is no error; or it cannot be written.
    """
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        stop_writing()
        raise Stop(DONE, "") from None
    except OSError as error:
        stop_writing()
        raise Stop(MISUSED, f"cannot write the output: {error.strerror}") from None


def show_json(document: object) -> None:
    """One JSON document, on one line, so that documents of a stream can be told apart."""
    show_text(json.dumps(document))


def brief(attributes: str) -> str:
    """Attributes on one line as people read them: ``topic=cards  vip=true``. JSON that is no object stays."""
    try:
        values: object = json.loads(attributes)
    except (ValueError, RecursionError):
        return attributes
    if not isinstance(values, dict):
        return attributes
    pairs = cast("dict[str, object]", values).items()
    return "  ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in pairs
    )


def show_line(*parts: tuple[str, str]) -> None:
    """One line for people: texts with their styles."""
    text = "".join(plain(part) for part, _ in parts)
    if not sys.stdout.isatty():
        show_text(text)
        return
    try:
        from rich.text import Text  # noqa: PLC0415 - part of the extra "server"
    except ImportError:
        show_text(text)
        return
    line = Text.assemble(*((plain(part), style) for part, style in parts))
    console(soft_wrap=True).print(line)


def show_table(heading: Sequence[str], rows: Sequence[Sequence[str]], *, styles: Sequence[str]) -> None:
    """A table, whose rows have these styles.

    Each row is one line where a program reads it. On a terminal that is too narrow for that, what is in the
    last column comes below the others: nothing is cut, and SIDs can be copied.
    """
    cells = [[plain(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        try:
            _show_rich(heading, cells, styles)
        except ImportError:
            _show_plain(heading, cells)
    else:
        _show_plain(heading, cells)


def _widths(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(heading, *rows, strict=True)]


def _show_plain(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = _widths(heading, rows)
    for row in (heading, *rows):
        show_text("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _show_rich(heading: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
    from rich.padding import Padding  # noqa: PLC0415 - part of the extra "server"
    from rich.text import Text  # noqa: PLC0415 - the same

    output = console()
    widths = _widths(heading, rows)
    is_wide = sum(widths) + 2 * len(widths) <= output.width
    if not is_wide:
        widths[-1] = 0
    shown = len(widths) if is_wide else len(widths) - 1

    def line(row: Sequence[str], style: str) -> Text:
        return Text("  ".join(map(str.ljust, row[:shown], widths)).rstrip(), style=style, overflow="fold")

    output.print(line(heading, "bold"))
    for row, style in zip(rows, styles, strict=True):
        output.print(line(row, style))
        if not is_wide and row[-1]:
            output.print(Padding(Text(row[-1], overflow="fold"), (0, 0, 0, 2)))
