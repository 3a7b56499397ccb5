"""Gold against predicted sentiments as a picture, and what the loggers beside the CSV are told at the end of a run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from src.labels import SENTIMENTS, C
from src.loggers import beside_the_csv

CELL, MARGIN = 110, 80  # pixels


def picture(confusion: Any, title: str) -> Any:
    """int [C, C] (gold x predicted) -> a PIL image; a cell is the darker the larger its share of the gold sentiment.

    Pillow draws it for all loggers alike: every one of them takes pictures through it, and none shows the report's SVG.
    """
    from PIL import Image, ImageDraw, ImageFont

    counts = np.asarray(confusion)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    image = Image.new("RGB", (MARGIN + C * CELL + 10, MARGIN + C * CELL + 10), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    middle = MARGIN + C * CELL / 2
    draw.text((middle, 16), title, "black", font, anchor="mm")
    draw.text((middle, 40), "predicted", "dimgray", font, anchor="mm")
    draw.text((8, 62), "gold", "dimgray", font, anchor="lm")
    for i, name in enumerate(SENTIMENTS):
        at = MARGIN + i * CELL
        draw.text((at + CELL / 2, 62), name, "black", font, anchor="mm")
        draw.text((8, at + CELL / 2), name, "black", font, anchor="lm")
        for j in range(C):
            left, share = MARGIN + j * CELL, float(shares[i, j])
            shade = tuple(round(255 + share * (dark - 255)) for dark in (8, 69, 148))  # white to dark blue
            draw.rectangle((left, at, left + CELL - 2, at + CELL - 2), shade)
            words = f"{counts[i, j]:,}\n{100 * share:.0f} %"
            place = (left + CELL / 2, at + CELL / 2)
            draw.text(place, words, "white" if share > 0.5 else "black", font, anchor="mm", align="center")
    return image


def log_outcome(loggers: list[Logger], judged: Mapping[str, Any], step: int) -> None:
    """Figures of the best checkpoint as ``best/val/NAME`` and ``best/test/NAME``, and the confusion of each split.

    ``judged`` is what :func:`src.judge.best.judge_best` returned.
    """
    figures = judged["figures"]
    values = {f"best/{split}/{name}": value for split, of in figures.items() for name, value in of.items()}
    for logger in beside_the_csv(loggers):
        logger.log_metrics(values, step=step)
        for split, confusion in judged["confusion"].items():
            image = picture(confusion, f"sentiments, {split}")
            match logger:
                case TensorBoardLogger():
                    logger.experiment.add_image(f"confusion/{split}", np.asarray(image), step, dataformats="HWC")
                case WandbLogger():
                    logger.log_image(f"confusion/{split}", [image])
                case MLFlowLogger():
                    logger.experiment.log_image(logger.run_id, image, f"confusion/{split}.png")
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.close()
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()  # else the next job of this process would go on in it
