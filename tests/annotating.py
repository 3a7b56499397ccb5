"""Label Studio without Label Studio: the annotator's work on tasks, in the exact shape of its two JSON exports."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WHEN = "2026-11-29T03:12:44.250136Z"
Choices = Mapping[str, str]  # aspect: the button that is pressed


def predicted(task: Mapping[str, Any], which: int = 0) -> dict[str, str]:
    """The choices of one of a task's predictions."""
    return {r["from_name"]: r["value"]["choices"][0] for r in task["predictions"][which]["result"]}


def export(path: Path, tasks: Sequence[Mapping[str, Any]], said: Sequence[Choices | None], skip: Any = ()) -> Path:
    """The JSON export of tasks with these annotations, None for a task without one; ``skip`` were cancelled."""
    out = []
    for i, (task, choices) in enumerate(zip(tasks, said, strict=True)):
        results = [
            {"id": f"r{n}", "from_name": a, "to_name": "text", "type": "choices", "value": {"choices": [c]}}
            | {"origin": "manual"}
            for n, (a, c) in enumerate((choices or {}).items())
        ]
        annotation = {"id": 500 + i, "completed_by": 1, "result": results, "was_cancelled": i in skip}
        annotation |= {"ground_truth": False, "created_at": WHEN, "updated_at": WHEN, "lead_time": 7.5, "task": i + 1}
        out.append(
            {"id": i + 1, "annotations": [] if choices is None else [annotation], "file_upload": "1-tasks.json"}
            | {"drafts": [], "predictions": list(range(len(task["predictions"]))), "data": task["data"]}
            | {"meta": task["meta"], "created_at": WHEN, "updated_at": WHEN, "inner_id": i + 1, "project": 3}
            | {"total_annotations": int(choices is not None), "cancelled_annotations": int(i in skip)}
        )
    path.write_text(json.dumps(out, ensure_ascii=False, indent=2), encoding="utf-8")
    return path


def export_min(path: Path, tasks: Sequence[Mapping[str, Any]], said: Sequence[Choices | None]) -> Path:
    """The JSON-MIN export: the data, a key for each control with a choice, and the tool's own keys."""
    own = {"annotator": 1, "created_at": WHEN, "updated_at": WHEN, "lead_time": 7.5}
    out = []
    for i, (task, choices) in enumerate(zip(tasks, said, strict=True)):
        none = dict.fromkeys([*own, "annotation_id"])
        out.append(
            {
                **task["data"],
                "id": i + 1,
                **(choices or {}),
                **({**own, "annotation_id": 500 + i} if choices is not None else none),
            }
        )
    path.write_text(json.dumps(out, ensure_ascii=False, indent=2), encoding="utf-8")
    return path
