"""The page of ``absa summary``, and what the command prints."""

from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from ..data.dates import PERIODS
from ..data.files import check_output
from ..errors import Faults, UserError
from ..judge import charts
from ..judge.html import printable
from ..judge.languages import SAID_VALUES, Said, number_said, page_in_both, say
from ..runs.machine import expanded, told_as, write_whole
from ..spelling import table
from .answers_file import EMPTY_CELL, NO_DATE
from .shares import Group, Summarised, error_table, figures_of, read_shares, table_of

NEGATIVE = "negative"
TRANSLATED_NAMES = (*SAID_VALUES, NO_DATE, EMPTY_CELL)


def summarise(
    answers: str,
    model: str | None = None,
    by: str | None = None,
    every: str | None = None,
    out: str | None = None,
    overwrite: bool = False,
) -> str:
    """Write the table (CSV) and the page (HTML) of the shares in a file of ``absa predict``; returns what to print.

    ``model`` is the run or the bundle that gave the answers: its errors on validation correct the shares. ``by`` names
    a column, whose values are the groups, or with ``every`` the dates that are grouped; ``by="month"`` (week, year)
    without such a column takes the only column of dates. Raises UserError with all that is wrong.
    """
    path = expanded(out or f"{answers.removesuffix('.gz')}.summary.html")
    if path.suffix.lower() != ".html":
        raise UserError(f"{path}: expected a name that ends in .html; the table is written beside it as .csv")
    faults = Faults()
    for written in (path, path.with_suffix(".csv")):
        check_output(written, [answers], overwrite, faults)
    faults.raise_if_any()
    table = None if model is None else error_table(model)
    found = read_shares(answers, table, by, every)
    with told_as(path, "give the command again"):
        write_whole(path.with_suffix(".csv"), "\ufeff" + table_of(found))
        write_whole(path, page(found, Path(answers).name))
    return "\n".join([printed(found), f"{path.with_suffix('.csv')}", f"{path}"])


def shown_sentiment(found: Summarised) -> str:
    """The sentiment that the page draws: ``negative`` where there is one, else the last."""
    names = found.labels.sentiments
    return NEGATIVE if NEGATIVE in names else names[-1]


def printed(found: Summarised) -> str:
    """The shares of all reviews as a table for a terminal, and the notes."""
    head = ["aspect", "mentions"]
    corrected = found.groups[0].corrected is not None
    for name in found.labels.sentiments:
        head += [name, "corrected"] if corrected else [name]
    rows = [head]
    for a, aspect in enumerate(found.labels.aspects):
        *each, mentions = figures_of(found.groups[0], a, found.labels)
        cells = [aspect, f"{mentions['count']:,}"]
        for row in each:
            cells.append(percent(row["share"]))
            if corrected:
                between = f" ({percent(row['low'])} to {percent(row['high'])})" * (row["corrected"] is not None)
                cells.append(percent(row["corrected"]) + between)
        rows.append(cells + [""] * (len(head) - len(cells)))
    by = [f"{len(found.groups) - 1} groups by {found.by}: in the table and on the page"] * bool(found.by)
    return "\n".join([table(rows), *found.notes, *by])


def page(found: Summarised, name: str) -> str:
    """One self-contained page, in both languages: a chart for each aspect over the groups, the table of all reviews."""
    sentiment = shown_sentiment(found)
    number = found.labels.sentiments.index(sentiment)
    aspects = []
    for a, aspect in enumerate(found.labels.aspects):
        carries = found.labels.carries_sentiment[a]
        groups = found.groups[1:] if carries else []
        points = [(g.name, figures_of(g, a, found.labels)[number]) for g in groups]
        title = say("Share of {sentiment}: {aspect}", sentiment=named(sentiment), aspect=aspect)
        aspects.append(
            {
                "name": aspect,
                "chart": chart([(n, row) for n, row in points if row["share"] is not None], title),
                "rows": figures_of(found.groups[0], a, found.labels),
            }
        )
    column, _, every = found.by.rpartition(" by ")
    by = say("{column} by {every}", column=column, every=say(every)) if every in PERIODS and column else found.by
    context: dict[str, object] = {
        "found": found,
        "name": name,
        "aspects": aspects,
        "sentiment": named(sentiment),
        "by": by,
    }
    context |= {"reviews": reviews_of(found.groups[0]), "corrected": found.groups[0].corrected is not None}
    return page_in_both("shares.html.j2", context | {"named": named, "share": said_share})


def chart(points: list[tuple[str, dict[str, Any]]], title: Said) -> Markup:
    """Shares over groups: plain as a hollow point, corrected as a full one with its interval. Empty without groups."""
    if not points:
        return Markup("")
    height = 200
    x = charts.scale(-0.5, len(points) - 0.5, charts.LEFT, charts.WIDTH - charts.RIGHT)
    y = charts.scale(0, 1, height - charts.BOTTOM, charts.TOP)
    every = -(-len(points) // 5)
    ticks = [(float(i), named(points[i][0], most=12)) for i in range(0, len(points), every)]
    body = charts.frame(x, y, height, named(""), say("share of mentions"), ticks)
    told = []
    for i, (name, row) in enumerate(points):
        at, low, high = charts.px(x(i)), row["low"], row["high"]
        said = {"group": named(name), "n": row["count"], "share": said_share(row["share"])}
        body.append(f'<circle class="half" cx="{at}" cy="{charts.px(y(row["share"]))}" r="3"/>')
        if row["corrected"] is None:
            told.append(say("{group}: {n} said, {share}", **said))
            continue
        body.append(f'<line class="best" x1="{at}" x2="{at}" y1="{charts.px(y(low))}" y2="{charts.px(y(high))}"/>')
        body.append(f'<circle class="dot" cx="{at}" cy="{charts.px(y(row["corrected"]))}" r="4"/>')
        said |= {key: said_share(row[key]) for key in ("corrected", "low", "high")}
        told.append(say("{group}: {n} said, {share}, corrected {corrected} ({low} to {high})", **said))
    return charts.svg(charts.WIDTH, height, title, charts.joined(told), body, "lines")


def reviews_of(group: Group) -> int:
    """How many reviews a group has."""
    return int(group.counts[0].sum())


def percent(share: float | None) -> str:
    """A share as a reader writes it; a dash for none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def said_share(share: float | None) -> Said:
    """A share in both languages."""
    return number_said(percent(share))


def named(name: str, most: int | None = None) -> Said:
    """A sentiment or a group of ours in both languages; other names are the user's and stay. ``most`` letters of it."""
    if name in TRANSLATED_NAMES:
        return say(name)
    return Said(escape(printable(name[:most])), escape(printable(name[:most])))
