"""Charts as inline SVG: pure functions from numbers to markup, coloured by class names only.

Every chart is an image with a title and a description for those who do not see it. Charts are some 340 units wide, the
width of a telephone, so that their letters stay readable there.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape

from .languages import Said, number_said, say

Scale = Callable[[float], float]  # a value -> its place
Ticks = Sequence[tuple[float, str | Said]]
WIDTH = 340
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 8, 36  # margins of a plot


def svg(width: float, height: float, title: Said, desc: Said, body: Sequence[str], kind: str) -> Markup:
    """The image around some markup, ``body``."""
    return Markup(
        f'<svg class="chart {kind}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img">'
        f"{title.element('title')}{desc.element('desc')}{''.join(body)}</svg>"
    )


def bar(value: float, title: Said) -> Markup:
    """A figure between 0 and 1 as a bar for a table's cell."""
    body = [
        '<rect class="track" x="0" y="1" width="60" height="8" rx="2"/>',
        f'<rect class="fill" x="0" y="1" width="{px(60 * value)}" height="8" rx="2"/>',
    ]
    return svg(60, 10, title, say("{value} of 1", value=value), body, "bar")


def interval_bar(value: float, interval: Sequence[float], others: Mapping[str, float], title: Said) -> Markup:
    """A figure with its interval on a scale from 0 to 1, and other answers' figures as numbered ticks."""
    x = scale(0, 1, 8, 292)
    low, high = interval
    body = ['<line class="axis" x1="8" x2="292" y1="26" y2="26"/>']
    for at in (0, 0.25, 0.5, 0.75, 1):
        body.append(f'<line class="axis" x1="{px(x(at))}" x2="{px(x(at))}" y1="26" y2="30"/>')
        body.append(words_at(x(at), 42, f"{at:g}", "middle"))
    for name, other in others.items():
        body.append(
            f'<line class="rival" x1="{px(x(other))}" x2="{px(x(other))}" y1="14" y2="26">'
            f"{_named(name, other).element('title')}</line>"
        )
    body.append(
        f'<rect class="interval" x="{px(x(low))}" y="17" width="{px(max(1, x(high) - x(low)))}" height="6" rx="3"/>'
    )
    body.append(f'<circle class="dot" cx="{px(x(value))}" cy="20" r="5"/>')
    told = say("{value}, interval {low} to {high}", value=value, low=low, high=high)
    return svg(300, 46, title, joined([told, *(_named(*other) for other in others.items())]), body, "intervals")


def reliability_chart(bins: Sequence[Mapping[str, float]], title: Said, across: Said, up: Said) -> Markup:
    """Reliability diagram: share right over confidence, one bar a bin, its number of cases below."""
    height, strip = 310, 40
    x, y = scale(0, 1, LEFT, WIDTH - RIGHT), scale(0, 1, height - BOTTOM - strip, TOP)
    body = frame(x, y, height - strip, across, up, below=strip)
    body.append(f'<line class="ideal" x1="{px(x(0))}" y1="{px(y(0))}" x2="{px(x(1))}" y2="{px(y(1))}"/>')
    most = max((b["n"] for b in bins), default=1)
    floor = height - 22
    for b in bins:
        left, wide = x(b["low"]), x(b["high"]) - x(b["low"]) - 1
        told = say(
            "confidence {confidence}, right {right}, {n} cases", **{k: b[k] for k in ("confidence", "right", "n")}
        )
        tall = max(1.0, 24 * b["n"] / most)
        body.append(
            f'<g>{told.element("title")}<rect class="fill" x="{px(left)}" y="{px(y(b["right"]))}" width="{px(wide)}" '
            f'height="{px(y(0) - y(b["right"]))}"/><rect class="count" x="{px(left)}" y="{px(floor - tall)}" '
            f'width="{px(wide)}" height="{px(tall)}"/>'
            f'<circle class="dot" cx="{px(x(b["confidence"]))}" cy="{px(y(b["right"]))}" r="3"/></g>'
        )
    points = [say("{confidence}: {right} of {n}", **{k: b[k] for k in ("confidence", "right", "n")}) for b in bins]
    told = say("{up} by {across}: {points}", up=up, across=across, points=joined(points))
    return svg(WIDTH, height, title, told, body, "reliability")


def precision_recall_chart(
    precision: np.ndarray,
    recall: np.ndarray,
    chosen: tuple[float, float] | None,
    half: tuple[float, float] | None,
    title: Said,
) -> Markup:
    """Precision over recall, float [K] each; ``chosen`` and ``half``: (precision, recall) at the threshold, at 0.5."""
    height = 230
    x, y = scale(0, 1, LEFT, WIDTH - RIGHT), scale(0, 1, height - BOTTOM, TOP)
    body = frame(x, y, height, say("recall"), say("precision"))
    path = " ".join(f"{px(x(r))},{px(y(p))}" for p, r in zip(precision, recall, strict=True))
    body.append(f'<polyline class="line l0" points="{path}"/>')
    told: list[Said] = []
    if half is not None:
        body.append(f'<circle class="half" cx="{px(x(half[1]))}" cy="{px(y(half[0]))}" r="4"/>')
        told.append(say("at 0.5: precision {precision}, recall {recall}", precision=half[0], recall=half[1]))
    if chosen is not None:
        body.append(f'<circle class="dot" cx="{px(x(chosen[1]))}" cy="{px(y(chosen[0]))}" r="5"/>')
        at = say(
            "at the chosen threshold: precision {precision}, recall {recall}", precision=chosen[0], recall=chosen[1]
        )
        told.append(at)
    return svg(WIDTH, height, title, joined(told or [say("precision over recall")]), body, "curve")


def lines(
    series: Mapping[str, Mapping[int, float]],
    title: Said,
    up: Said,
    best: int | None,
    resumed: Sequence[int] = (),
    unit: bool = True,
) -> Markup:
    """Values over epochs, one line a name; ``best`` and ``resumed`` epochs are marked. ``unit``: scale from 0 to 1."""
    height = 250
    epochs = sorted({e for values in series.values() for e in values})
    numbers = [v for values in series.values() for v in values.values()]
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)
    top = 1.0 if unit else _round_up(max(numbers))
    x, y = scale(first, last, LEFT, WIDTH - RIGHT), scale(0, top, height - BOTTOM, TOP)
    every = max(1, math.ceil((last - first) / 8))
    ticks = [(float(e), str(e)) for e in range(first, epochs[-1] + 1, every)]
    body = frame(x, y, height, say("epoch"), up, ticks, [(top * i / 4, f"{top * i / 4:.3g}") for i in range(5)])
    for epoch in resumed:
        body.append(
            f'<line class="resumed" x1="{px(x(epoch))}" x2="{px(x(epoch))}" y1="{TOP}" y2="{height - BOTTOM}"/>'
        )
    if best is not None:
        body.append(f'<line class="best" x1="{px(x(best))}" x2="{px(x(best))}" y1="{TOP}" y2="{height - BOTTOM}"/>')
    told = []
    for i, (name, values) in enumerate(series.items()):
        points = [(x(e), y(v)) for e, v in sorted(values.items())]
        path = " ".join(f"{px(a)},{px(b)}" for a, b in points)
        body.append(f'<polyline class="line l{i}" points="{path}"/>')
        if len(points) <= 30:
            body += [f'<circle class="point l{i}" cx="{px(a)}" cy="{px(b)}" r="2.5"/>' for a, b in points]
        few = " ".join(f"{v:.3f}" for _, v in sorted(values.items())[:60])
        told.append(say("{name}: {values}", name=say(name), values=number_said(few)))
    return svg(WIDTH, height, title, joined(told), body, "lines")


def frame(
    x: Scale,
    y: Scale,
    height: float,
    across: Said,
    up: Said,
    x_ticks: Ticks = (),
    y_ticks: Ticks = (),
    below: float = 0,
) -> list[str]:
    """Grid, ticks and the names of both axes."""
    quarters = [(q, f"{q:g}") for q in (0, 0.25, 0.5, 0.75, 1)]
    bottom = height - BOTTOM
    body = []
    for at, name in y_ticks or quarters:
        body.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{px(y(at))}" y2="{px(y(at))}"/>')
        body.append(words_at(LEFT - 4, y(at) + 4, name, "end"))
    for at, name in x_ticks or quarters:
        body.append(f'<line class="axis" x1="{px(x(at))}" x2="{px(x(at))}" y1="{px(bottom)}" y2="{px(bottom + 4)}"/>')
        body.append(words_at(x(at), bottom + 15, name, "middle"))
    body.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{px(bottom)}" y2="{px(bottom)}"/>')
    body.append(words_at((LEFT + WIDTH - RIGHT) / 2, height + below - 4, across, "middle"))
    middle = (TOP + bottom) / 2
    turned = f'transform="translate(10 {px(middle)}) rotate(-90)" text-anchor="middle"'
    body.append(f"<text {turned} {up.both}>{up.en}</text>")
    return body


def words_at(x: float, y: float, words: str | Said, anchor: str) -> str:
    """Some words at a point, or a number; ``anchor``: start, middle or end."""
    both, text = (words.both, words.en) if isinstance(words, Said) else ("", escape(words))
    return f'<text x="{px(x)}" y="{px(y)}" text-anchor="{anchor}" {both}>{text}</text>'


def joined(parts: Sequence[Said]) -> Said:
    """Some texts with semicolons between them."""
    between = Markup("; ")
    return Said(between.join(p.en for p in parts), between.join(p.en if p.vi is None else p.vi for p in parts))


def _named(name: str, value: float) -> Said:
    return say("{name}: {value}", name=say(name), value=value)


def scale(low: float, high: float, start: float, end: float) -> Scale:
    """Values from ``low`` to ``high`` as places from ``start`` to ``end``."""
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)


def px(value: float) -> str:
    """A coordinate with one digit after the point at most."""
    return f"{value:.1f}".removesuffix(".0")
