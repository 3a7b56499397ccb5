"""Which column of a table is what, and with that the layout of its labels: told from names and first rows, and said."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from ..errors import Faults, did_you_mean, listed, quoted
from ..spelling import set_list, set_to, setting
from .layouts import cells, doccano, flags, label_studio, lists, long
from .layouts.names import ID_COLUMNS, IGNORED_COLUMNS, LABEL_COLUMNS, LAYOUTS, MORE_IDS, OF_FILES, TITLES, TOOL_COLUMNS
from .rows import Source, clean_name, column_called, plain_name, text_candidates, text_column_of
from .values import MENTIONED, Values

Rows = Iterator[tuple[int, dict[str, Any]]]


class Layout(NamedTuple):
    """What the columns of a file are.

    ``label`` is the column of labels; None where columns are aspects: all but ``others``. ``pairs`` gives aspect and
    cell of all that a row says, and raises ValueError. ``gathered``, where a review has several rows, makes one of
    them. ``annotated`` says whether anybody labelled a row, where the layout tells that. ``told`` says it all in words.
    """

    name: str
    text: str
    id: str | None
    label: str | None
    others: frozenset[str]
    pairs: Callable[[Mapping[str, Any]], list[tuple[str, object]]]
    told: str
    gathered: Callable[[Rows], Rows] | None = None
    annotated: Callable[[Mapping[str, Any]], bool] | None = None


def layout_of(
    source: Source, given: Any, head: Sequence[Mapping[str, Any]], values: Values, faults: Faults
) -> Layout | None:
    """The layout of a file, of which ``head`` are the first rows; None, and a fault, where it cannot be told.

    ``given`` are the settings (:class:`src.data.reviews.Columns`).
    """
    before = len(faults)
    ignored = {clean_name(name) for name in given.ignore_columns}
    text = text_column_of(source, given.text_column, faults, ignored)
    label = None
    if given.label_column is not None:
        label = column_called(given.label_column, "label_column", source, faults)
    if given.layout is not None and given.layout not in LAYOUTS:
        hint = did_you_mean(str(given.layout), tuple(LAYOUTS))
        faults.add(
            source.name, f"{setting('layout')}={quoted(given.layout)} is not one of {listed(tuple(LAYOUTS))}{hint}"
        )
    if text is None or len(faults) > before:
        return None
    found = _Finder(source, given, head, values, text, label, ignored)
    layout = found.layout(faults)
    return layout if len(faults) == before else None


class _Finder:
    def __init__(
        self, source: Source, given: Any, head: Sequence[Mapping[str, Any]], values: Values, *found: Any
    ) -> None:
        self.source, self.given, self.values = source, given, values
        text, self.label, ignored = found
        self.text: str = text
        self.head = head
        self.exported = label_studio.is_table([plain_name(c).replace(" ", "_") for c in source.columns])
        names = [name for name in source.columns if name not in ignored and name != text]
        self.by_name = {plain_name(name): name for name in reversed(names)}
        self.id = self._called((*ID_COLUMNS, *MORE_IDS))
        known = {self.by_name[name] for name in (*ID_COLUMNS, *MORE_IDS, *IGNORED_COLUMNS) if name in self.by_name}
        named = [*text_candidates(source.columns), *(self.by_name[name] for name in TITLES if name in self.by_name)]
        texts = {name for name in named if not self._says_sentiments(name)}
        if self.exported and (note := self.by_name.get(label_studio.NOTE)) and not self._says_sentiments(note):
            known.add(note)
        self.others = frozenset({text, *ignored, *known, *(texts & set(names))})
        self.names = [name for name in names if name not in self.others]

    def layout(self, faults: Faults) -> Layout | None:
        wanted, fixed = self.given.layout, self.source.layout
        if wanted is not None and fixed is not None and wanted != fixed:
            faults.add(self.source.name, f"this is {LAYOUTS[fixed]}, and {setting('layout')} says {wanted}")
        elif fixed is not None:
            return self._labels(fixed, "labels", None)
        elif wanted in OF_FILES:
            faults.add(self.source.name, f"{setting('layout')}={wanted}: the file is not {LAYOUTS[wanted]}")
        elif wanted == "long" or (wanted is None and self._is_long()):
            return self._long(faults)
        elif wanted == "flags" or (wanted is None and self._is_flags()):
            return self._wide("flags", faults)
        elif wanted not in ("wide", "label-studio") and (label := self.label or self._label_column()):
            return self._one_column(label, wanted, faults)
        elif wanted in (None, "wide", "label-studio"):
            return self._wide(wanted or "wide", faults)
        else:
            remedy = f"name it with {setting('label_column')}"
            faults.add(self.source.name, f"no column of labels among {listed(self.source.columns)}; {remedy}")
        return None

    # --- one column of labels ----------------------------------------------------------------------------------------

    def _one_column(self, label: str, wanted: str | None, faults: Faults) -> Layout | None:
        aspects = [name for name in self.names if name != label and self._says_sentiments(name)]
        if wanted is None and self.label is None and aspects:
            held = f"s {listed(aspects)} hold" if len(aspects) > 1 else f" {quoted(aspects[0])} holds"
            ignoring = set_list("ignore_columns", [*self.given.ignore_columns, label])
            taking = set_to("label_column", label)
            said = f"the column{held} sentiments, and there is the column {quoted(label)}"
            faults.add(self.source.name, f"{said}; {ignoring} reads the first, {taking} the second")
            return None
        forms = [form for row in self.head if (form := cells.form(row.get(label)))]
        empty = all(cells.is_empty(row.get(label)) for row in self.head)
        if not forms and not empty and wanted is None and self._says_sentiments(label):
            wide = set_to("layout", "wide")
            said = f"the column {quoted(label)} holds one sentiment for a whole review"
            faults.add(self.source.name, f"{said}; {wide} takes it as an aspect of that name")
            return None
        name = wanted or (max(dict.fromkeys(forms), key=forms.count) if forms else "braces")
        form = wanted if wanted in cells.FORMS else None
        if name in ("pairs", "spans") and wanted is None and self._of_doccano():
            name = "doccano"
        return self._labels(name, label, form)

    def _labels(self, name: str, label: str, form: str | None) -> Layout:
        def pairs(row: Mapping[str, Any]) -> list[tuple[str, object]]:
            if form is None and (cell := row.get(label)).__class__ is dict and lists.is_plain(cell):
                return list(cell.items())  # the usual JSON lines, without further calls
            try:
                return cells.pairs(row.get(label), form)
            except ValueError as error:
                raise ValueError(f"{quoted(label)}: {error}" if "malformed" not in str(error) else str(error)) from None

        labels = f"labels in {quoted(label)}"
        return self._made(name, label, frozenset(), pairs, labels, {label})

    def _label_column(self) -> str | None:
        """A column with the usual name, else one in which every cell holds labels."""
        if label := self._called(LABEL_COLUMNS):
            return label
        for name in self.names:
            held = [row[name] for row in self.head if not cells.is_empty(row.get(name))]
            if held and all(cells.form(cell) for cell in held):
                return name
        return next((self.by_name[n] for n in doccano.DOCCANO_LABELS if n in self.by_name and self._of_doccano()), None)

    def _of_doccano(self) -> bool:
        return any(name in self.source.columns for name in doccano.OF_DOCCANO)

    # --- a row for each pair -----------------------------------------------------------------------------------------

    def _is_long(self) -> bool:
        aspect, sentiment = self._long_columns()
        if aspect is None or sentiment is None:
            return False
        if any(cells.form(row.get(name)) for row in self.head for name in (aspect, sentiment)):
            return False
        return not self._says_sentiments(aspect)

    def _long_columns(self) -> tuple[str | None, str | None]:
        aspect = self._called([name for name in long.ASPECT_NAMES if self.by_name.get(name) != self.label])
        sentiment = self.label or self._called(
            [name for name in long.SENTIMENT_NAMES if self.by_name.get(name) != aspect]
        )
        return aspect, sentiment

    def _long(self, faults: Faults) -> Layout | None:
        aspect, sentiment = self._long_columns()
        if aspect is None or sentiment is None:
            missing = "aspect" if aspect is None else "sentiment"
            faults.add(
                self.source.name,
                f"no column called {missing} among {listed(self.source.columns)}, as a long table has it",
            )
            return None
        others = [name for name in self.names if name not in (aspect, sentiment) and self._says_sentiments(name)]
        if others and self.given.layout is None:
            wide = set_to("layout", "wide")
            said = f"the columns {listed([aspect, sentiment])} are those of a long table"
            choice = f"{wide} reads these, {set_to('layout', 'long')} the first"
            faults.add(self.source.name, f"{said}, and {listed(others)} hold sentiments too; {choice}")
            return None
        said, pairs = f"aspects in {quoted(aspect)}, sentiments in {quoted(sentiment)}", itemgetter(long.PAIRS)
        gathered = partial(long.by_review, text=self.text, name=self.id, aspect=aspect, sentiment=sentiment)
        return self._made("long", sentiment, frozenset(), pairs, said, {aspect, sentiment}, gathered)

    # --- a column for each aspect ------------------------------------------------------------------------------------

    def _is_flags(self) -> bool:
        beside = flags.columns(self.names)
        held = [row.get(name) for name in beside for row in self.head]
        return bool(beside) and all(map(flags.is_flag, held))

    def _wide(self, name: str, faults: Faults) -> Layout | None:
        beside = flags.columns(self.names) if name == "flags" else {}
        tool = [name for name in self.names if plain_name(name) in TOOL_COLUMNS and not self._says_sentiments(name)]
        if name != "flags" and self.exported:
            name = "label-studio"
        declared = {clean_name(aspect) for aspect in self.given.aspects or ()}
        tool = [column for column in tool if column not in declared]
        others = self.others | frozenset(beside.values()) | (frozenset(tool) if name == "label-studio" else frozenset())
        if tool and name != "label-studio":
            remedy = set_list("ignore_columns", [*self.given.ignore_columns, *tool])
            they = "columns look" if len(tool) > 1 else "column looks"
            told = f"the {they} like an annotation tool's: {listed(tool)}; {remedy} leaves them out"
            faults.add(self.source.name, told)
        aspects = [column for column in self.names if column not in others]
        if not aspects:
            faults.add(self.source.name, f"no column of aspects nor of labels among {listed(self.source.columns)}")
            return None

        def pairs(row: Mapping[str, Any]) -> list[tuple[str, object]]:
            return [(name, cell) for name, cell in row.items() if cell not in ("", None) and name not in others]

        def flagged(row: Mapping[str, Any]) -> list[tuple[str, object]]:
            return [(a, flags.said(a, row, beside[a]) if a in beside else cell) for a, cell in pairs(row)]

        def chosen(row: Mapping[str, Any]) -> list[tuple[str, object]]:
            return [(a, label_studio.chosen(cell)) for a, cell in pairs(row)]

        reading = {"flags": flagged, "label-studio": chosen}.get(name, pairs)
        many = f"aspects in the columns {listed(aspects)}" if len(aspects) > 1 else f"the aspect {quoted(aspects[0])}"
        once = partial(label_studio.once, name=self.id, others=others) if name == "label-studio" else None
        return self._made(name, None, others, reading, many, {*aspects, *beside.values()}, once)

    # --- all ---------------------------------------------------------------------------------------------------------

    def _made(
        self,
        name: str,
        label: str | None,
        others: frozenset[str],
        pairs: Callable[[Mapping[str, Any]], list[tuple[str, object]]],
        said: str,
        used: Collection[str],
        gathered: Callable[[Rows], Rows] | None = None,
    ) -> Layout:
        known = {*used, self.text, self.id}
        left_out = [column for column in self.source.columns if column not in known]
        told = f"{LAYOUTS[name]}: texts in {quoted(self.text)}" + (
            f", ids in {quoted(self.id)}" if self.id is not None else ""
        )
        told += f", {said}" + (
            f"; left out: {listed([column or quoted('') for column in left_out])}" if left_out else ""
        )
        annotated = label_studio.is_annotated if name == "label-studio" else None
        return Layout(name, self.text, self.id, label, others, pairs, told, gathered, annotated)

    def _called(self, names: Sequence[str]) -> str | None:
        return next((self.by_name[name] for name in names if name in self.by_name), None)

    def _says_sentiments(self, column: str) -> bool:
        """Whether a column holds words for sentiments and nothing else, as far as the first rows show."""
        held = [row[column] for row in self.head if row.get(column)]
        words = [word for cell in held for word in label_studio.each_choice(cell)] if self.exported else held
        codes = {self.values(word) for word in words if isinstance(word, str)}
        said = {code for code in codes if code <= MENTIONED}
        return bool(said) and all(code <= MENTIONED + 1 for code in codes)
