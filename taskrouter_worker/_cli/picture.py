"""What the screen of `listen` shows, as a value and as rich draws it. Knows no terminal and no worker.

Colours are the terminal's own, and mean something together with a word or a sign only: the screen reads the
same on light and dark backgrounds, and without colours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

__all__ = ["BAR", "NOTES", "Picture", "Row"]

NOTES: Final = 5
"""Messages that are shown."""

BAR: Final = 10
"""Characters of a countdown's bar."""

LOW: Final = 0.25
"""From this share of its time on an offer is shown as urgent."""


_FIXED: Final = "\u00a0"
"""A blank at which no line is broken."""


@dataclass(frozen=True, slots=True)
class Row:
    """One reservation.

    Attributes:
        sid: ``WR...``
        status: ``pending``, ``accepted`` or ``wrapping``.
        text: what the task is about.
        queue: where it comes from.
        channel: its task channel.
        left: seconds to answer it, None if that is not known, or over.
        whole: seconds that there were at first.
        since: seconds since it was accepted, or first seen so.
        busy: a command is on its way.
    """

    sid: str
    status: str
    text: str
    queue: str = ""
    channel: str = ""
    left: float | None = None
    whole: float | None = None
    since: float = 0.0
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything on the screen.

    Attributes:
        name: the worker's, empty while it is not known.
        activity: the present one's name.
        available: whether it takes offers.
        connection: a sentence about the connection.
        connected: whether it is there.
        rows: offers first, then what was accepted.
        selected: SID of the row that keys are about.
        settled: whether it has been that for so long that keys are meant for it.
        notes: what happened, oldest first: time and text.
        choices: activities to choose from, while that is asked.
    """

    name: str
    activity: str
    available: bool
    connection: str
    connected: bool
    rows: tuple[Row, ...] = ()
    selected: str | None = None
    settled: bool = True
    notes: tuple[tuple[str, str], ...] = ()
    choices: tuple[str, ...] = field(default=())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fill the height: the keys stay at the bottom, and what does not fit in the middle is left out."""
        height = options.height or console.height
        top = console.render_lines(self._header(), options.update(height=None), pad=True)
        bottom = console.render_lines(Group(*self._footer()), options.update(height=None), pad=True)
        middle = console.render_lines(Group(*self._middle()), options.update(height=None), pad=True)
        room = max(0, height - len(top) - len(bottom))
        blank = [[Segment(" " * options.max_width)]] * max(0, room - len(middle))
        for number, line in enumerate([*top, *middle[:room], *blank, *bottom][:height]):
            if number:
                yield Segment.line()
            yield from line

    def _header(self) -> RenderableType:
        line = Table.grid(expand=True, padding=(0, 1), pad_edge=True)
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        line.add_column(no_wrap=True, overflow="ellipsis", justify="right")
        who = Text.assemble((f"{self.name or 'taskrouter-worker'}", "bold"))
        if self.activity:
            mark, style = ("●", "bold green") if self.available else ("○", "bold red")
            who.append(f"  {mark} {self.activity}", style)
        line.add_row(who, Text(self.connection, "green" if self.connected else "bold red"))
        return Group(line, Rule(style="dim", characters="─"))

    def _middle(self) -> list[RenderableType]:
        offers = [row for row in self.rows if row.status == "pending"]
        work = [row for row in self.rows if row.status != "pending"]
        return [
            self._offers(offers) if offers else _nothing("Offers", self._nothing_offered()),
            Text(""),
            self._work(work) if work else _nothing("At work on", "Nothing. What you accept appears here."),
        ]

    def _nothing_offered(self) -> str:
        if not self.connected:
            return "None are known while there is no connection."
        if not self.available:
            return f"None: nobody is offered tasks while {self.activity}. Press s to change that."
        return "None at the moment. Tasks that are reserved for you appear here."

    def _offers(self, rows: list[Row]) -> RenderableType:
        table = _table("Offers", "Queue", "Channel", "Time left")
        for row in rows:
            table.add_row(self._mark(row), self._text(row), row.queue, row.channel, _countdown(row))
        return table

    def _work(self, rows: list[Row]) -> RenderableType:
        table = _table("At work on", "Queue", "Status", "For")
        for row in rows:
            status = Text(row.status, "magenta" if row.status == "wrapping" else "green")
            table.add_row(self._mark(row), self._text(row), row.queue, status, _clock(row.since))
        return table

    def _mark(self, row: Row) -> Text:
        selected = "▶" if self.settled else "▷"
        return Text("…" if row.busy else selected if row.sid == self.selected else " ", "bold")

    def _text(self, row: Row) -> Text:
        return Text(row.text, "bold" if row.sid == self.selected else "")

    def _footer(self) -> list[RenderableType]:
        parts: list[RenderableType] = [Rule(style="dim", characters="─")]
        for at, text in self.notes[-NOTES:]:
            parts.append(Text.assemble((f" {at}  ", "dim"), text, overflow="ellipsis", no_wrap=True))
        parts += [Text("")] * (NOTES - len(self.notes[-NOTES:]))
        if self.choices:
            keys = [(str(number), name) for number, name in enumerate(self.choices, 1)] + [("esc", "back")]
        else:
            keys = list(_KEYS)
        parts.append(Rule(style="dim", characters="─"))
        line = Text(" ")
        for key, meaning in keys:
            line.append(key, "bold reverse")
            line.append(f" {meaning}  ".replace(" ", _FIXED, 1 + meaning.count(" ")))
        parts.append(line)
        return parts


_KEYS: Final = (
    ("a", "accept"),
    ("r", "reject"),
    ("w", "wrap up"),
    ("c", "complete"),
    ("s", "activity"),
    ("↑↓", "select"),
    ("q", "quit"),
)


def _nothing(heading: str, why: str) -> RenderableType:
    return Group(Text(f"  {heading}", "bold"), Padding(Text(why, "dim"), (0, 1, 0, 2)))


def _table(first: str, second: str, third: str, last: str) -> Table:
    """Columns of the same widths for both tables: only texts that differ in length give way."""
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", width=1, no_wrap=True)
    table.add_column(Text(first, "not dim bold"), ratio=5, no_wrap=True, overflow="ellipsis")
    table.add_column(second, ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(third, width=9, no_wrap=True, overflow="ellipsis")
    table.add_column(last, width=BAR + 6, no_wrap=True, justify="right")
    return table


def _countdown(row: Row) -> Text:
    if row.left is None:
        return Text("")
    left = max(0.0, row.left)
    share = min(1.0, left / row.whole) if row.whole else 0.0
    full = round(share * BAR)
    style = "bold red" if share <= LOW else "green"
    return Text.assemble(("█" * full, style), ("░" * (BAR - full), "dim"), (f" {_clock(left)}", style))


def _clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are some."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
