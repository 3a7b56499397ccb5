"""Charts of a study, as those of :mod:`src.judge.charts`: how it went, what mattered, where good values lie."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from src.judge.charts import BOTTOM, LEFT, RIGHT, TOP, WIDTH, frame, px, scale, svg, words_at

HEIGHT = 250
Ticks = list[tuple[float, str]]


class Point(NamedTuple):
    """A trial in a chart; ``value`` is the figure, that of its last epoch where it was pruned."""

    number: int
    at: Any
    value: float
    pruned: bool


def history(points: Sequence[Point], figure: str) -> Markup:
    """The figure of every trial in turn, and the best so far as a line."""
    low, high, ticks = _span([p.value for p in points])
    last = max(1, *(p.number for p in points))
    x, y = scale(0, last, LEFT + 6, WIDTH - RIGHT - 6), scale(low, high, HEIGHT - BOTTOM, TOP + 4)
    every = max(1, math.ceil(last / 8))
    body = frame(x, y, HEIGHT, "trial", figure, [(n, str(n)) for n in range(0, last + 1, every)], ticks)
    steps: list[str] = []
    best = -math.inf
    for p in points:
        if not p.pruned and p.value > best:
            steps += [f"{px(x(p.number))},{px(y(max(best, low)))}"] if steps else []
            best = p.value
            steps.append(f"{px(x(p.number))},{px(y(best))}")
    if steps:
        steps.append(f"{px(x(last))},{px(y(best))}")
        body.append(f'<polyline class="line l0" points="{" ".join(steps)}"/>')
    body += [_dot(x(p.number), y(p.value), p) for p in points]
    told = f"{len(points)} trials; best {best:.4f}" if steps else f"{len(points)} trials, none complete"
    return svg(WIDTH, HEIGHT, f"{figure} of every trial", told, body, "history")


def importance(shares: Mapping[str, float]) -> Markup:
    """How much of the figure's differences each setting accounts for, as bars from 0 to 1."""
    row = 40
    x = scale(0, 1, 0, WIDTH - 50)
    body = []
    for i, (key, share) in enumerate(shares.items()):
        top = i * row
        body.append(words_at(0, top + 13, key, "start"))
        body.append(f'<rect class="track" x="0" y="{top + 19}" width="{px(x(1))}" height="10" rx="2"/>')
        body.append(f'<rect class="fill" x="0" y="{top + 19}" width="{px(x(share))}" height="10" rx="2"/>')
        body.append(words_at(WIDTH, top + 28, f"{share:.2f}", "end"))
    told = "; ".join(f"{key} {share:.2f}" for key, share in shares.items())
    return svg(WIDTH, row * len(shares), "Importance of the settings", told, body, "importance")


def slice_of(key: str, points: Sequence[Point], figure: str, choices: Sequence[str] | None, log: bool) -> Markup:
    """The figure over one setting: a number, on a logarithmic axis with ``log``, or one of ``choices``."""
    low, high, ticks = _span([p.value for p in points])
    y = scale(low, high, HEIGHT - BOTTOM, TOP + 4)
    left, right = LEFT + 8, WIDTH - RIGHT - 8
    if choices is not None:
        x = scale(-0.5, len(choices) - 0.5, LEFT, WIDTH - RIGHT)
        room = int(300 / len(choices) / 6)  # letters, of 6 units
        across = [(float(i), c if len(c) <= room else c[: max(1, room - 1)] + "…") for i, c in enumerate(choices)]
        place = {c: float(i) for i, c in enumerate(choices)}
        dots = [_dot(x(place[p.at]) + 5 * (p.number % 5 - 2), y(p.value), p) for p in points]
    else:
        turn = math.log10 if log else float
        values = [turn(p.at) for p in points]
        first, last, across = _decades(min(values), max(values)) if log else _span(values)
        x = scale(first, last, left, right)
        dots = [_dot(x(v), y(p.value), p) for v, p in zip(values, points, strict=True)]
    body = frame(x, y, HEIGHT, key, figure, across, ticks) + dots
    told = "; ".join(f"{p.at}: {p.value:.3f}" for p in sorted(points, key=lambda p: -p.value)[:30])
    return svg(WIDTH, HEIGHT, f"{figure} over {key}", told, body, "slice")


def _dot(x: float, y: float, p: Point) -> str:
    told = f"trial {p.number}: {p.value:.4f}{', pruned' if p.pruned else ''}; {p.at}"
    kind, radius = ("half", 3) if p.pruned else ("dot", 4)
    return f'<circle class="{kind}" cx="{px(x)}" cy="{px(y)}" r="{radius}"><title>{escape(told)}</title></circle>'


def _span(values: Sequence[float]) -> tuple[float, float, Ticks]:
    """Round ends around some values, and three to seven round numbers between them."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    power = 10.0 ** math.floor(math.log10(high - low))
    step = next(s * power for s in (0.2, 0.5, 1, 2, 5) if (high - low) / (s * power) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, last * step, [(i * step, f"{i * step:.4g}") for i in range(first, last + 1)]


def _decades(low: float, high: float) -> tuple[float, float, Ticks]:
    """As :func:`_span` for logarithms to base 10: ticks at 1, 2 and 5 times powers of ten, or at the powers alone."""
    if high - low < 1e-9:
        low, high = low - 0.3, high + 0.3
    factors = (1, 2, 5) if high - low < 1.5 else (1,) if high - low > 3 else (1, 3)
    marks = [(math.log10(f) + p, f"{f}e{p}") for p in range(math.floor(low), math.ceil(high) + 1) for f in factors]
    return low, high, [(at, name) for at, name in marks if low - 1e-9 <= at <= high + 1e-9]
