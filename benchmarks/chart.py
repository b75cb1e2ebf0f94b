"""Draw what `benchmarks.suite` measured, as one SVG that reads well on light and on dark pages.

One panel for each goal: bars from zero, the spread of the repeats as a thin line, the goal as a dashed one.
Date, machine, command and settle time are written below. Nothing is measured here, and nothing left out:
a goal that was missed is drawn like one that was met.

    python -m benchmarks.suite --long --json bench.json
    python -m benchmarks.chart bench.json [--to docs/images/performance.svg]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent

WIDTH: Final = 880
LABEL: Final = 196  # where bars begin
RIGHT: Final = 110  # room for the figure behind a bar
BAR: Final = 16
STEP: Final = 22
MARGIN: Final = 24

STYLE: Final = """
  svg { color-scheme: light dark }
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .page { fill: #ffffff } .title { font-weight: 600; font-size: 14px }
  .head { font-weight: 600; font-size: 17px }
  .small { font-size: 11px; fill: #59636e } .axis { stroke: #d1d9e0; stroke-width: 1 }
  .ours { fill: #0969da } .other { fill: #8c959f } .spread { stroke: #1f2328; stroke-width: 1.5 }
  .goal { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 5 3 } .goals { fill: #bc4c00; font-size: 11px }
  .value { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round }
  .met { fill: #1a7f37 } .missed { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #0d1117 } .small { fill: #9198a1 } .axis { stroke: #3d444d }
    .ours { fill: #4493f8 } .other { fill: #656c76 } .spread { stroke: #e6edf3 }
    .value { stroke: #0d1117 }
    .goal { stroke: #f0883e } .goals { fill: #f0883e } .met { fill: #3fb950 } .missed { fill: #f85149 }
  }
"""

FIGURES: Final[Mapping[str, str]] = {
    "cpu_us": "CPU",
    "cpu_seconds": "CPU",
    "per_second": "reservations a second",
    "p50_ms": "half of them within",
    "p99_ms": "99 % of them within",
    "kib": "memory",
    "seconds": "time",
    "growth_kib": "growth",
    "ms": "time",
    "rss_mib": "memory of the whole process",
    "connect_seconds": "connected, snapshots served",
    "push_p99_ms": "task created to frame, 99 % within",
    "idle_cpu_percent": "heartbeats, of one core",
    "cycles_per_second": "cycles a second",
}
"""What a figure is called here; others keep the name that they have in the file."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One client's figure: each repeat's value."""

    name: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        """What the bar shows."""
        return statistics.median(self.values)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One figure of one row, with the goals that it has."""

    title: str
    unit: str
    bars: Sequence[Bar]
    goals: Sequence[tuple[float, str, bool]]  # where, in words, met or not

    @property
    def height(self) -> int:
        """In pixels."""
        return 40 + STEP * len(self.bars) + 34


def panels_of(report: Mapping[str, Any]) -> list[Panel]:
    """One for each figure that has a goal, in the order of the file."""
    panels: list[Panel] = []
    for result in report["results"]:
        by_figure: dict[str, list[Mapping[str, Any]]] = {}
        for goal in result["goals"]:
            by_figure.setdefault(goal["figure"], []).append(goal)
        for figure, goals in by_figure.items():
            bars = [
                Bar(name=name, values=figures[figure])
                for name, figures in result["figures"].items()
                if figures.get(figure)
            ]
            unit = result["units"].get(figure, "")
            ours = statistics.median(result["figures"]["ours"][figure])
            marks = [_mark(goal, ours, unit) for goal in goals]
            # Where a row says what it ran with, the foot of the picture says it for all.
            title = f"{result['title'].replace(' (settle_ms 0)', '')}: {FIGURES.get(figure, figure)}"
            panels.append(Panel(title=title, unit=unit, bars=bars, goals=marks))
    return panels


def _mark(goal: Mapping[str, Any], ours: float, unit: str) -> tuple[float, str, bool]:
    """Where the goal's line is. A goal that is a ratio gives the ratio that was reached: from that."""
    words = str(goal["goal"])
    limit = float(words.removeprefix("at least ").removeprefix("at most ").split(" ")[0])
    value = float(goal["value"])
    # A ratio: the other's figure is ours divided by it.
    where = limit if " x " not in words else (ours / value * limit if value else 0.0)
    if " x " not in words and unit:
        words += "" if unit.startswith("/") else f" {unit}"
    return where, words.replace(" x ", " × "), bool(goal["met"])  # noqa: RUF001 - the sign for times


def ticks(highest: float) -> list[float]:
    """Round numbers from zero to beyond the highest value: four to six of them."""
    if highest <= 0:
        return [0.0, 1.0]
    size = 10.0 ** math.floor(math.log10(highest))
    step = next(size * part for part in (0.2, 0.25, 0.5, 1, 2) if highest / (size * part) <= 5)
    return [step * number for number in range(math.ceil(highest / step) + 1)]


def shown(value: float) -> str:
    """With three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def draw(report: Mapping[str, Any], note: str = "") -> str:
    """The SVG, with a note below its heading.

    Raises:
        ValueError: the report holds no row with a goal.
    """
    panels = panels_of(report)
    if not panels:
        raise ValueError("the file holds no row with a goal: run benchmarks.suite without --only")
    facts = report["machine"]
    lines = [
        f"Measured on {facts['date']}: {facts['cpu']}, {facts['cores']} cores, {facts['system']}.",
        f"{facts['python']}, Node {facts['node'].removeprefix('v')}, {facts['libraries']}.",
        f"{report['command']}; settle_ms 0 in every row.",
        "Bars: medians. Thin lines: smallest to largest repeat. Dashed: goals. All axes begin at zero.",
    ]
    parts: list[str] = []
    top = 66
    for panel in panels:
        parts.append(_panel(panel, top))
        top += panel.height
    height = top + 18 * len(lines) + MARGIN
    foot = "".join(_text(MARGIN, top + 14 + 18 * number, line, "small") for number, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="Performance, measured on {escape(facts["date"])}">\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>\n'
        + _text(MARGIN, 34, "Measured side by side: ours, the official SDK, bare libraries", "head")
        + _text(MARGIN, 52, note, "small missed")
        + "".join(parts)
        + foot
        + "</svg>\n"
    )


def _panel(panel: Panel, top: int) -> str:
    scale = ticks(max([max(bar.values) for bar in panel.bars] + [where for where, _, _ in panel.goals]))
    room = WIDTH - LABEL - RIGHT - MARGIN

    def at(value: float) -> float:
        return LABEL + room * max(0.0, value) / scale[-1]

    parts = [_text(MARGIN, top + 14, panel.title, "title")]
    words = "; ".join(f"goal {words}: {'met' if met else 'missed'}" for _, words, met in panel.goals)
    kind = "met" if all(met for _, _, met in panel.goals) else "missed"
    parts.append(_text(LABEL, top + 31, words, f"small {kind}"))
    unit = panel.unit.replace("us", "µs")
    values: list[str] = []
    first, bottom = top + 40, top + 40 + STEP * len(panel.bars)
    for tick in scale:
        x = at(tick)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{first - 2}" x2="{x:.1f}" y2="{bottom}"/>\n')
        label = f"{shown(tick)}{'' if tick or not unit else ' ' + unit}"
        parts.append(_text(x, bottom + 13, label, "small", anchor="middle"))
    for number, bar in enumerate(panel.bars):
        y = first + STEP * number
        name = "taskrouter_worker" if bar.name == "ours" and len(panel.bars) > 1 else bar.name
        parts.append(_text(LABEL - 8, y + 13, name, anchor="end"))
        kind = "ours" if bar.name == "ours" else "other"
        size = max(1.0, at(bar.median) - LABEL)
        parts.append(f'<rect class="{kind}" x="{LABEL}" y="{y}" height="{BAR}" width="{size:.1f}"/>\n')
        low, high = at(min(bar.values)), at(max(bar.values))
        if high > low:
            middle = y + BAR / 2
            parts.append(
                f'<line class="spread" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>\n'
            )
        values.append(_text(max(high, at(bar.median)) + 6, y + 13, f"{shown(bar.median)} {unit}", "value"))
    for where, _, _ in panel.goals:
        x = at(where)
        parts.append(f'<line class="goal" x1="{x:.1f}" y1="{first - 4}" x2="{x:.1f}" y2="{bottom}"/>\n')
    return "".join(parts + values)  # the figures last: a goal's line must not hide one


def _text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>\n'


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chart", description=__doc__)
    parser.add_argument("report", type=Path, metavar="FILE", help="what benchmarks.suite --json wrote")
    default = ROOT / "docs" / "images" / "performance.svg"
    parser.add_argument(
        "--to", type=Path, metavar="FILE", default=default, help="default: the documentation's"
    )
    parser.add_argument(
        "--note", default="", metavar="TEXT", help="what a reader should know, below the heading"
    )
    options = parser.parse_args()
    try:
        picture = draw(json.loads(options.report.read_text()), options.note)
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"{options.report} cannot be drawn: {error}")
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_text(picture)
    print(options.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
