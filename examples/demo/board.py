"""What the demo shows: one line for each worker, one for each task, live or as plain text."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LANGUAGES = {"en": "English", "es": "Spanish", "pt": "Portuguese"}
COLORS = {"en": "bright_blue", "es": "bright_magenta", "pt": "bright_yellow"}


@dataclass(eq=False)
class Ticket:
    """One task on its way. Moments are seconds since the demo began; None = not yet."""

    number: int
    subject: str
    language: str
    urgent: bool
    created: float
    reserved: float | None = None
    accepted: float | None = None
    completed: float | None = None
    worker: str | None = None

    @property
    def wait(self) -> float | None:
        """Seconds from the task's creation until a worker had a reservation of it."""
        return None if self.reserved is None else self.reserved - self.created


@dataclass(eq=False)
class Colleague:
    """One worker as the board shows it."""

    name: str
    languages: tuple[str, ...]
    capacity: int
    activity: str = "Offline"
    handling: list[Ticket] = field(default_factory=list)
    completed: int = 0


@dataclass(eq=False)
class Board:
    """The state of the demo. `tell` gets each step as one line of text."""

    planned: int
    colleagues: list[Colleague]
    tell: Callable[[str], None]
    tickets: dict[int, Ticket] = field(default_factory=dict)  # by number
    started: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.started

    def created(self, ticket: Ticket) -> None:
        """A task is created over REST."""
        self.tickets[ticket.number] = ticket
        self._say(ticket, f"created: {LANGUAGES[ticket.language]}, {ticket.subject!r}", ticket.created)

    def reserved(self, ticket: Ticket, colleague: Colleague) -> None:
        """A worker was offered the task."""
        ticket.reserved, ticket.worker = self.now(), colleague.name
        colleague.handling.append(ticket)
        self._say(ticket, f"reserved for {colleague.name} after {span(ticket.wait)}", ticket.reserved)

    def accepted(self, ticket: Ticket) -> None:
        """The worker accepted it."""
        ticket.accepted = self.now()
        self._say(ticket, f"accepted by {ticket.worker}", ticket.accepted)

    def completed(self, ticket: Ticket, colleague: Colleague) -> None:
        """The worker completed it."""
        ticket.completed = self.now()
        colleague.handling.remove(ticket)
        colleague.completed += 1
        self._say(ticket, f"completed by {ticket.worker}", ticket.completed)

    def _say(self, ticket: Ticket, words: str, moment: float) -> None:
        self.tell(f"{moment:6.2f} s  task {ticket.number:>2}  {words}")

    def render(self, width: int, height: int) -> RenderableType:
        """The board for a terminal of that many columns and lines."""
        done = sum(ticket.completed is not None for ticket in self.tickets.values())
        head = Table.grid(expand=True)
        head.add_column()
        head.add_column(justify="right")
        head.add_row(
            Text.assemble(("TaskRouter on this machine", "bold"), f"  {self.now():4.1f} s"),
            Text(f"{len(self.tickets)} of {self.planned} tasks created, {done} completed"),
        )
        bar = Table.grid()  # a bar by itself ends no line
        bar.add_row(ProgressBar(total=self.planned, completed=done, width=width, complete_style="green"))
        fixed = 5 + len(self.colleagues) + 3  # heading, bar, two frames and their headings
        rows = max(3, height - fixed - 2)
        return Group(
            head,
            bar,
            self._workers(),
            self._tasks(rows, wide=width >= 100),
        )

    def _workers(self) -> RenderableType:
        table = Table(box=None, expand=True, show_header=False, padding=(0, 1))
        table.add_column(width=6, style="bold")
        table.add_column(width=10)
        table.add_column(width=10)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", width=8)
        for colleague in self.colleagues:
            load = len(colleague.handling)
            dots = Text("●" * load, "green") + Text("○" * max(0, colleague.capacity - load), "dim")
            languages = Text(" ").join(Text(code, COLORS[code]) for code in colleague.languages)
            available = colleague.activity == "Available"
            table.add_row(
                colleague.name,
                Text(colleague.activity, "green" if available else "dim"),
                languages + Text("  ") + dots,
                Text(", ".join(f"#{t.number} {t.subject}" for t in colleague.handling), "dim"),
                Text(f"{colleague.completed} done"),
            )
        return Panel(table, box=ROUNDED, border_style="dim", padding=0, title="workers", title_align="left")

    def _tasks(self, rows: int, *, wide: bool) -> RenderableType:
        table = Table(box=SIMPLE_HEAD, expand=True, padding=(0, 1), header_style="bold", pad_edge=False)
        table.add_column("#", justify="right", width=3)
        table.add_column("Task", ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column("Lang", width=4)
        if wide:
            table.add_column("Created", justify="right", width=8)
        table.add_column("Worker", width=7)
        table.add_column("Reserved", justify="right", width=8)
        table.add_column("Accepted", justify="right", width=8)
        table.add_column("Done", justify="right", width=7)
        for ticket in list(self.tickets.values())[-rows:]:
            created = [Text(f"{ticket.created:.1f} s", "dim")] if wide else []
            table.add_row(
                str(ticket.number),
                Text.assemble(("urgent ", "bold red") if ticket.urgent else "", ticket.subject),
                Text(ticket.language, COLORS[ticket.language]),
                *created,
                Text(ticket.worker or "waiting", "" if ticket.worker else "yellow"),
                step(ticket.created, ticket.reserved, "cyan"),
                step(ticket.reserved, ticket.accepted, "bright_blue"),
                step(ticket.accepted, ticket.completed, "green"),
            )
        return table

    def summary(self) -> Summary:
        """What became of all tasks so far."""
        tickets = list(self.tickets.values())
        waits = [ticket.wait for ticket in tickets if ticket.wait is not None]
        return Summary(
            created=len(tickets),
            accepted=sum(ticket.accepted is not None for ticket in tickets),
            completed=sum(ticket.completed is not None for ticket in tickets),
            median_wait=statistics.median(waits) if waits else None,
            longest_wait=max(waits, default=None),
            took=self.now(),
        )

    def save_svg(self, path: Path, width: int = 100, height: int = 30) -> None:
        """Save the board as it is now as a picture that needs no font from elsewhere."""
        console = Console(record=True, width=width, height=height, file=StringIO(), color_system="truecolor")
        console.print(Padding(self.render(width - 2, height), (0, 1)))
        svg = _without_web_fonts(console.export_svg(title="make demo", unique_id="demo"))
        path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Summary:
    """The demo's result. Times are seconds."""

    created: int
    accepted: int
    completed: int
    median_wait: float | None
    longest_wait: float | None
    took: float

    @property
    def lost(self) -> int:
        """Tasks that no worker completed."""
        return self.created - self.completed

    def __str__(self) -> str:
        return (
            f"tasks created {self.created}, reservations accepted {self.accepted}, "
            f"completed {self.completed}, lost: {self.lost}\n"
            f"from task to reservation: median {span(self.median_wait)}, longest {span(self.longest_wait)}; "
            f"all in {self.took:.1f} s"
        )


def span(seconds: float | None) -> str:
    """A duration as people read it: milliseconds below one second."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def step(since: float | None, until: float | None, color: str) -> Text:
    """How long one step took, or that it is under way, or nothing if it has not begun."""
    if since is None:
        return Text("")
    return Text("…", "dim") if until is None else Text(span(until - since), color)


def _without_web_fonts(svg: str) -> str:
    """The picture with the viewer's own monospace font: it should load nothing from elsewhere."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace(
        "Fira Code, monospace", "monospace"
    )
