"""The figures of a run or a bundle, as ``absa evaluate`` prints them."""

from pathlib import Path
from typing import Any

from ..data.files import is_there
from ..errors import Faults, UserError
from ..spelling import setting
from .bundle import INFO


def evaluate_folder(folder: str, file: str | None, protocol: str | None, given: dict[str, Any]) -> str:
    """The tables for a run's test split, or for a run's or a bundle's answers to a labelled ``file``.

    ``given`` are fields of :class:`src.data.reviews.Columns`. Raises UserError for them without a file, and as what is
    called here does.
    """
    if file is None and given:
        raise UserError(f"{setting(next(iter(given)))} says how FILE is read, and there is no FILE")
    if file is not None:  # before what takes seconds to import
        faults = Faults()
        is_there(file, faults)
        faults.raise_if_any()
    if (Path(folder) / INFO).is_file():
        from .judged import evaluate_bundle

        return evaluate_bundle(folder, file, protocol, **given)
    if file is None:
        from ..judge.evaluation import evaluate_run

        return evaluate_run(folder, protocol=protocol)
    from ..runs.run import Run

    run = Run(folder)
    run.read_summary()
    from ..judge.evaluation import evaluate_predictions
    from ..judge.inference import predict_labelled

    predictions, findings = predict_labelled(run, file, **given)
    return "\n\n".join(["\n".join(findings), evaluate_predictions(run, predictions, file, protocol)])
