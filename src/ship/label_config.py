"""``absa label-config``: the labelling configuration for the labels of a model, or of labelled files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.files import FORMATS, named_format
from ..data.reviews import Columns
from ..data.rows import clean_name
from ..data.splits import labels_of, load_files
from ..data.tasks import label_config, told_names
from ..errors import UserError
from ..labels import IGNORE, Labels
from ..runs.run import Run
from .bundle import INFO, declared_labels, read_whole
from .fetch import fetch, is_hub_name


def label_config_of(files: Sequence[str], **columns: Any) -> tuple[str, str]:
    """The configuration (XML), and a warning or an empty text.

    ``files`` are one bundle (also by its name on the model hub) or run, or labelled files, which ``columns`` describe
    (:class:`src.data.reviews.Columns`); without any, ``columns`` must name the aspects. Raises UserError.
    """
    also: list[str] = []
    is_file = len(files) == 1 and named_format(files[0])[0] in FORMATS  # also one that is not there
    if len(files) == 1 and (Path(files[0]).is_dir() or (is_hub_name(files[0]) and not is_file)):
        if columns:
            raise UserError(f"{files[0]}: a model has its own aspects and sentiments; leave the options out")
        folder, commit = fetch(files[0])
        is_bundle = (folder / INFO).is_file()
        labels = declared_labels(read_whole(folder, card=commit is None)[0]) if is_bundle else Run(folder).labels
    elif files:
        splits, aspects = load_files({"train": list(files)}, Columns(**columns))
        reviews = splits["train"]
        labels = labels_of(aspects, reviews)
        bare = (reviews.mentioned & (reviews.sentiment == IGNORE)).any(0) & np.array(labels.carries_sentiment)
        also = [aspect for aspect, there in zip(aspects, bare, strict=True) if there]
    elif columns.get("aspects"):
        names = tuple(clean_name(name) for name in columns["aspects"])
        try:
            labels = Labels(names, sentiments=Columns(**columns).meanings().sentiments)
        except ValueError as error:
            raise UserError(f"--aspects: {error}") from None
    else:
        raise UserError("name a bundle, a run or a labelled file; or the aspects: --aspects Pin Camera")
    return label_config(labels, also), told_names(labels)
