#!/usr/bin/env python3
"""Write an encoder of ViSoBERT's shape, with random weights and the sample's tokenizer: random_encoder.py OUT"""

import csv
import sys
from pathlib import Path

import torch
from transformers import AutoModel, XLMRobertaConfig

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from src.tokens.tokenizer import train_tokenizer

SHAPE = {"vocab_size": 15004, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
SHAPE |= {"intermediate_size": 3072, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1}

out = Path(sys.argv[1])
torch.manual_seed(0)
AutoModel.from_config(XLMRobertaConfig(**SHAPE)).save_pretrained(out)
with (ROOT / "data" / "sample" / "train.csv").open(encoding="utf-8-sig", newline="") as file:
    texts = [row["data"] for row in csv.DictReader(file)]
train_tokenizer(texts, 8000, 256).save(str(out / "tokenizer.json"))
