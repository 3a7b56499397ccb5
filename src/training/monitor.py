"""The figure by which the best epoch is chosen: ``monitor`` and ``mode``."""

from typing import Any

from ..answers.figures import FIGURES, LOSS
from ..errors import did_you_mean


def monitor_faults(config: dict[str, Any]) -> list[str]:
    """Faults of the settings ``task.name``, ``monitor`` and ``mode``."""
    task, monitor, mode = config["task"].get("name"), config["monitor"], config["mode"]
    if task not in FIGURES:
        return [f"task.name={task}: expected one of {', '.join(FIGURES)}"]
    choices = (*(f"val/{name}" for name in FIGURES[task]), LOSS)
    if monitor not in choices:
        hint = did_you_mean(str(monitor), choices)
        return [f"monitor={monitor}: task {task} logs {', '.join(choices)}{hint}"]
    if monitor == LOSS and mode != "min":
        return [f"monitor={LOSS} mode={mode}: the lowest loss is the best; set mode=min"]
    if monitor != LOSS and mode != "max":
        return [f"mode={mode}: a figure is better when higher; expected max, or monitor={LOSS} with mode=min"]
    return []
