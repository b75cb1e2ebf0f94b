"""What commands print: rich on a terminal, plain and unfolded where a program reads it.

Without `rich`, which comes with the extra "server", terminals get the plain form as well. `NO_COLOR` is
respected: rich does that.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import cast

from server_stub.remote import DONE, Stop, plain

__all__ = ["brief", "show_json", "show_line", "show_table", "show_text"]


def show_text(text: str) -> None:
    """Text as it is, and at once: somebody may wait for the line.

    Raises:
        Stop: nobody reads it any more, as after `| head`; not an error.
    """
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered must not fail again when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Stop(DONE, "") from None


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
        from rich.console import Console  # noqa: PLC0415 - part of the extra "server"
        from rich.text import Text  # noqa: PLC0415 - the same
    except ImportError:
        show_text(text)
        return
    line = Text.assemble(*((plain(part), style) for part, style in parts))
    Console(highlight=False, soft_wrap=True).print(line)


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
    from rich.console import Console  # noqa: PLC0415 - part of the extra "server"
    from rich.padding import Padding  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(highlight=False)
    widths = _widths(heading, rows)
    is_wide = sum(widths) + 2 * len(widths) <= console.width
    if not is_wide:
        widths[-1] = 0
    shown = len(widths) if is_wide else len(widths) - 1

    def line(row: Sequence[str], style: str) -> Text:
        return Text("  ".join(map(str.ljust, row[:shown], widths)).rstrip(), style=style, overflow="fold")

    console.print(line(heading, "bold"))
    for row, style in zip(rows, styles, strict=True):
        console.print(line(row, style))
        if not is_wide and row[-1]:
            console.print(Padding(Text(row[-1], overflow="fold"), (0, 0, 0, 2)))
