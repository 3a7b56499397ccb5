#!/usr/bin/env python3
"""The peers' training benchmark with bfloat16 off, for machines that only emulate it: hf_float32.py SCRIPT ARGUMENTS"""

import runpy
import sys

import transformers

given = transformers.TrainingArguments


def in_float32(**settings: object) -> transformers.TrainingArguments:
    """The same settings, in float32."""
    return given(**settings | {"bf16": False})  # type: ignore[arg-type]


transformers.TrainingArguments = in_float32
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
