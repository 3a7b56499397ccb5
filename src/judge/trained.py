"""Training and judging from other people's programs: ``train`` and ``Run`` of the package (docs/python.md)."""

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..runs.run import Run

if TYPE_CHECKING:
    from .contracts import Evaluation

CHECKOUT = Path(__file__).resolve().parents[2]
NEEDED = ("train.py", "conf/config.yaml", "src/__init__.py")  # what of a checkout a training needs


class TrainedRun(Run):
    """A training's folder that can be judged from Python; the package calls it ``Run``."""

    def evaluate(
        self, file: str | Path | None = None, *, protocol: str | None = None, robustness: bool = False, **columns: Any
    ) -> "Evaluation":
        """The figures that ``absa evaluate`` prints, as plain data: :class:`src.judge.contracts.Evaluation`.

        They are those of the test split (of validation where there is none), or of a labelled ``file``, which
        ``columns`` describe where it is other than the training files (:class:`src.data.reviews.Columns`).
        ``protocol``: also a published protocol of UIT-ViSFD. ``robustness``: the same reviews in noise, too. Raises
        UserError as :func:`src.judge.evaluation.evaluate_run`, and for faults of ``file``.
        """
        from .evaluation import judge_predictions, judge_run  # scikit-learn

        if file is None:
            if columns:
                raise UserError(f"{next(iter(columns))} says how a file is read, and there is no file")
            return judge_run(self, protocol=protocol, in_noise=robustness)
        self.read_summary()  # a folder that is no run is told before torch is imported
        from .inference import predict_labelled

        predictions, _ = predict_labelled(self, file, **columns)
        return judge_predictions(self, predictions, str(file), protocol, columns, robustness)


def train(overrides: Sequence[str]) -> TrainedRun:
    """Train as ``python train.py`` does with ``overrides``; the finished run.

    It takes the program and the settings of the checkout that this package lies in. Raises UserError for a user's
    mistake and where the package is no checkout's, and :class:`src.training.from_python.Stopped` if an interrupt left a
    checkpoint to go on from.
    """
    if lacking := [part for part in NEEDED if not (CHECKOUT / part).is_file()]:
        raise UserError(
            f"train takes the programs and settings of a checkout, and {CHECKOUT} holds no {lacking[0]}: an installed "
            "wheel answers and judges alone. In the project's folder: pip install -e '.[train]'"
        )
    from ..training.from_python import call

    program = CHECKOUT / NEEDED[0]
    return TrainedRun(call(_loaded(program).run_training, overrides, program))


def _loaded(program: Path) -> Any:
    """The module of ``train.py``, once a process; another module called ``train`` is left alone."""
    there = sys.modules.get("train")
    if there is not None and Path(getattr(there, "__file__", None) or "").resolve() == program:
        return there
    name = "visobert_absa_train"
    if name not in sys.modules:
        spec = spec_from_file_location(name, program)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
