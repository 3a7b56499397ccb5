"""Export a run's best checkpoint as a bundle, unless the bundle's decisions differ from the checkpoint's."""

import math
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..answers.figures import evaluate, figures, judged_by
from ..answers.predictions import Predictions, read_predictions
from ..answers.predictor import Predictor
from ..answers.shares import validation_table
from ..errors import UserError
from ..judge.inference import load_best, over_torch, tokenizer_of
from ..judge.leaks import keys_of
from ..judge.places import without_places
from ..labels import Labels
from ..lit_module import AspectSentimentModule
from ..model.encoder import pad_id_of
from ..runs.machine import sha256
from ..runs.run import Run, environment
from ..runs.summary import Summary
from .bundle import CARD, ONNX, SEEN, TOKENIZER, refuse_other, write_info, written_whole
from .graph import quantise, to_onnx
from .judged import READ_BY
from .predictor import load_bundle, over_onnx

COMPARED = 64  # number of texts on which bundle and checkpoint must agree
TOLERANCE = 1e-4  # largest difference of a logit
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export_run(
    run_folder: str | Path, out: str | Path, int8: bool = False, max_drop: float = 0.5, overwrite: bool = False
) -> Path:
    """Write the bundle ``out``, whole or not at all, and return its path.

    ``int8`` quantises the weights and measures the figures on the validation split again. If the monitored figure falls
    by more than ``max_drop`` points (hundredths), it is tried once more with a scale for each token
    (:func:`~src.ship.graph.quantise`). Raises UserError if it then still does, if the run is not finished, if ``out``
    exists and is no bundle, or without ``overwrite`` that of another run, and if ONNX and torch disagree.
    """
    if not 0 <= max_drop < math.inf:
        raise UserError(f"--max-drop {max_drop}: expected a number of points, 0 or more")
    run, out = Run(run_folder), Path(out)
    summary, labels = run.read_summary(), run.labels
    checkpoint = sha256(run.best) if run.best.is_file() else None
    if not overwrite:
        refuse_other(out, {"checkpoint": checkpoint, "figures": {"monitor": summary["monitor"], **summary["figures"]}})
    measured = read_predictions(run.predictions("val"), labels) if int8 else None  # first: exporting takes a minute
    keys, _ = keys_of(run, summary, labels)
    module = load_best(run)
    tokenizer = tokenizer_of(run, module, summary["config"]["data"]["max_length"])
    texts = sample(tokenizer, _texts(run, labels))
    info = describe(summary, module) | {"checkpoint": checkpoint}
    if module.task == "absa" and run.predictions("val").exists():
        thresholds = np.array(summary["thresholds"]["per_aspect"])
        found = read_predictions(run.predictions("val"), labels)
        info["validation"] = validation_table(found, labels, thresholds).tolist()  # absa summary corrects shares by it
    with written_whole(out) as folder:
        (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
        if keys is not None:
            np.save(folder / SEEN, keys, allow_pickle=False)
        expected = references(module, tokenizer, texts, info["pad_id"])
        to_onnx(module, folder / ONNX)
        info["agreement"] = agreement(
            over_onnx(info, tokenizer, (folder / ONNX).read_bytes()), tokenizer, texts, expected
        )
        if measured is not None:
            info["precision"] = "int8"
            monitor = judged_by(summary["task"], summary["monitor"])
            info["figures"]["int8"] = quantised(folder / ONNX, info, tokenizer, measured, monitor, max_drop)
        (folder / CARD).write_text(card(run, info), encoding="utf-8")
        write_info(folder, info)
        load_bundle(folder)  # a last check: it can be read back
    return out


def describe(summary: Summary, module: AspectSentimentModule) -> dict[str, Any]:
    """The content of a run's ``bundle.json``; ``agreement`` is still empty, and write_info adds the hashes."""
    config = module.classifier.encoder.config
    known = environment()
    return {
        "task": module.task,
        "labels": summary["labels"],
        "sentiments": list(module.labels.sentiments),
        "thresholds": summary["thresholds"],
        "calibration": summary["calibration"],
        "max_length": summary["config"]["data"]["max_length"],
        "reading": {key: summary["config"]["data"][key] for key in READ_BY if key in summary["config"]["data"]},
        "class_counts": summary["class_counts"],
        "pad_id": pad_id_of(config),
        "normalisation": "NFC",
        "precision": "fp32",
        "encoder": {
            "name": without_places()(summary["encoder"]["name"]),
            "pretrained": summary["encoder"]["pretrained"],
        }
        | {"type": config.model_type, "hidden_size": config.hidden_size, "pooling": module.classifier.pooling},
        "figures": {"monitor": summary["monitor"], **summary["figures"]},
        "agreement": {},
        "versions": {"python": known["python"], "commit": known["commit"]}
        | known["packages"]
        | {name: version(name) for name in ONNX_PACKAGES},
    }


def sample(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """:data:`COMPARED` texts: a single word of one token, then texts from the shortest to the longest in tokens."""
    by_length = sorted(set(texts), key=lambda text: (len(tokenizer.encode(text)), text))
    chosen = [by_length[round(i)] for i in np.linspace(0, len(by_length) - 1, COMPARED - 1)]
    words = (word for text in by_length for word in text.split())
    one = next((word for word in words if len(tokenizer.encode(word)) == 3), by_length[0])  # <s> word </s>
    return [one, *chosen]


def references(
    module: AspectSentimentModule, tokenizer: Tokenizer, texts: Sequence[str], pad_id: int
) -> list[dict[str, np.ndarray]]:
    """The checkpoint's logits for each of :func:`token_batches`, by head.

    ``sentiment`` is float32 [B, A, C]; for task ``absa`` there is ``mentioned``, float32 [B, A].
    """
    model = over_torch(module)
    return [model(*batch) for batch in token_batches(tokenizer, texts, pad_id)]


def agreement(
    predictor: Predictor, tokenizer: Tokenizer, texts: Sequence[str], expected: Sequence[dict[str, np.ndarray]]
) -> dict[str, Any]:
    """The largest difference between the bundle's logits and ``expected``, which :func:`references` made.

    Raises UserError if it exceeds :data:`TOLERANCE`, or if any decision differs.
    """
    furthest, other = 0.0, 0
    for batch, want in zip(token_batches(tokenizer, texts, predictor.info["pad_id"]), expected, strict=True):
        got = predictor.model(*batch)
        # numpy's max returns NaN if there is one; Python's max may not
        furthest = float(np.max([furthest, *(np.abs(got[head] - want[head]).max() for head in want)]))
        a, b = (predictor.decisions.predictions(out.get("mentioned"), out["sentiment"]) for out in (got, want))
        thresholds = predictor.decisions.thresholds
        other += int((a.detected(thresholds) != b.detected(thresholds)).sum())
        other += int((a.sentiment_said() != b.sentiment_said()).sum())
    if other or not furthest <= TOLERANCE:  # so that NaN is refused too
        raise UserError(
            f"ONNX and torch disagree on {len(texts)} texts: logits differ by up to {furthest:.2g} (allowed: "
            f"{TOLERANCE:g}), {other} decisions differ (allowed: none). No bundle was written; the versions of torch, "
            "onnx and onnxruntime that are known to work together are in constraints.txt."
        )
    return {"texts": len(texts), "largest_difference": furthest, "allowed": TOLERANCE, "decisions_that_differ": other}


def token_batches(tokenizer: Tokenizer, texts: Sequence[str], pad_id: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Token ids and mask, int64 [B, T] each: every text alone, then two padded batches of every second text."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    groups = [[row] for row in rows] + [rows[start::2] for start in range(2)]
    for group in groups:
        ids = np.full((len(group), max(map(len, group))), pad_id, np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(group):
            ids[i, : len(row)], mask[i, : len(row)] = row, 1
        yield ids, mask


def quantised(
    path: Path, info: dict[str, Any], tokenizer: Tokenizer, measured: Predictions, monitor: str, max_drop: float
) -> dict[str, Any]:
    """Quantise the model at ``path``, with a scale for each token only if it must be; return :func:`change`.

    Raises UserError if the figure ``monitor`` falls by more than ``max_drop`` points (hundredths) both ways.
    """
    whole, fallen = path.read_bytes(), []
    for by_token in (False, True):
        path.write_bytes(whole)
        quantise(path, by_token)
        found = change(over_onnx(info, tokenizer, path.read_bytes()), measured)
        fallen.append(-100 * found["change"][monitor])
        if fallen[-1] <= max_drop:  # NaN is not
            return found | {"max_drop_points": max_drop, "by_token": by_token, "drops": fallen}
    before, after = (100 * found[precision][monitor] for precision in ("fp32", "int8"))
    raise UserError(
        f"int8 lowers {monitor} on the validation split by {fallen[-1]:.2f} points, from {before:.2f} to {after:.2f} "
        f"(with one scale for all tokens by {fallen[0]:.2f}); --max-drop allows {max_drop:g}. No bundle was written. "
        "Export without --int8, or allow more."
    )


def change(predictor: Predictor, measured: Predictions) -> dict[str, Any]:
    """The validation split's figures with and without int8; ``measured`` holds the float32 predictions."""
    mentioned, sentiment = predictor.logits(measured.texts)
    again = Predictions(measured.ids, measured.texts, measured.mentioned, measured.sentiment, sentiment, mentioned)
    before, after = (
        {name: float(value) for name, value in values.items()}
        for values in (
            figures(evaluate(p, predictor.decisions.thresholds), predictor.labels, predictor.task)
            for p in (measured, again)
        )
    )
    return {
        "split": "val",
        "reviews": len(measured.texts),
        "fp32": before,
        "int8": after,
        "change": {name: after[name] - before[name] for name in before},
    }


def card(run: Run, info: dict[str, Any]) -> str:
    """The run's model card in Markdown, followed by a section about this bundle. Raises UserError as ``card_of``."""
    from ..judge.card import card_of

    path = run.folder / CARD
    fresh = path.is_file() and path.stat().st_mtime >= (run.folder / "summary.json").stat().st_mtime
    text = path.read_text(encoding="utf-8") if fresh else card_of(run)
    agreed = info["agreement"]
    lines = [
        "## This bundle",
        "",
        f"`{ONNX}` ({info['precision']}), `{TOKENIZER}` and `bundle.json`, which says what the logits mean. "
        f"On {agreed['texts']} texts of the validation and test splits its float32 logits differ from the checkpoint's "
        f"by at most {agreed['largest_difference']:.1g}, and no decision differs.",
    ]
    if measured := info["figures"].get("int8"):
        lines += [
            "",
            f"Its weights are int8.{_scales(measured)} On the {measured['reviews']} reviews of the validation split:",
            "",
            "| figure | float32 | int8 | change, points |",
            "|---|---:|---:|---:|",
        ]
        for name, before in measured["fp32"].items():
            after = measured["int8"][name]
            lines.append(f"| {name} | {before:.4f} | {after:.4f} | {100 * (after - before):+.2f} |")
    return text.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n"


def _scales(measured: dict[str, Any]) -> str:
    if not measured["by_token"]:
        return ""
    return (
        " In the feed-forward blocks each token has a scale of its own: with one for all tokens of a review the "
        f"monitored figure fell by {measured['drops'][0]:.2f} points, and {measured['max_drop_points']:g} were allowed."
    )


def _texts(run: Run, labels: Labels) -> list[str]:
    splits = [split for split in ("val", "test") if run.predictions(split).is_file()]
    return [text for split in splits or ["val"] for text in read_predictions(run.predictions(split), labels).texts]
