"""Charts as SVG: where each bar and line stands. No library and no style attribute, so the strict CSP holds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 12, 28
GAP = 0.25  # of a column


@dataclass
class Bar:
    series: int
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass
class Line:
    series: int
    points: str
    dots: list[tuple[float, float, str]]


@dataclass
class Chart:
    """Texts are in the units of the picture, 720 × 260."""

    ticks: list[tuple[float, str]]
    labels: list[tuple[float, str]]
    bars: list[Bar] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def stacked(columns: Sequence[str], series: Sequence[Sequence[int]], names: Sequence[str]) -> Chart:
    """Bars upon each other: `series[s][c]` is how many of the series are in the column."""
    totals = [sum(values) for values in zip(*series, strict=True)]
    scale = Scale(max(totals, default=0), len(columns))
    chart = scale.chart(columns)
    for c, label in enumerate(columns):
        below = 0
        for s, values in enumerate(series):
            if values[c]:
                top, bottom = scale.y(below + values[c]), scale.y(below)
                x, width = scale.column(c)
                title = f"{label}: {names[s]} {values[c]}"
                chart.bars.append(Bar(s, x, top, width, round(bottom - top, 1), title))
                below += values[c]
    return chart


def lines(columns: Sequence[str], series: Sequence[Sequence[float | None]], names: Sequence[str]) -> Chart:
    """A line for each series; where there is no value it goes straight on to the next."""
    known = [value for values in series for value in values if value is not None]
    scale = Scale(max(known, default=0), len(columns))
    chart = scale.chart(columns)
    for s, values in enumerate(series):
        dots = [
            (scale.middle(c), scale.y(value), f"{columns[c]}: {names[s]} {value:.2f}")
            for c, value in enumerate(values)
            if value is not None
        ]
        chart.lines.append(Line(s, " ".join(f"{x:.1f},{y:.1f}" for x, y, _title in dots), dots))
    return chart


class Scale:
    def __init__(self, highest: float, columns: int) -> None:
        self.step = _nice(highest / 4)
        self.top = self.step * max(1, math.ceil(highest / self.step))
        self.columns = max(1, columns)
        self.column_width = (WIDTH - LEFT - RIGHT) / self.columns

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - value / self.top * (HEIGHT - BOTTOM - TOP), 1)

    def column(self, number: int) -> tuple[float, float]:
        """x and width."""
        x = LEFT + (number + GAP / 2) * self.column_width
        return round(x, 1), round(self.column_width * (1 - GAP), 1)

    def middle(self, number: int) -> float:
        return round(LEFT + (number + 0.5) * self.column_width, 1)

    def chart(self, columns: Sequence[str]) -> Chart:
        every = math.ceil(len(columns) / 13) or 1
        count = round(self.top / self.step)
        return Chart(
            ticks=[(self.y(n * self.step), f"{n * self.step:g}") for n in range(count + 1)],
            labels=[(self.middle(n), text) for n, text in enumerate(columns) if n % every == 0],
        )


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, at least the step."""
    if step <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * 0.999)
