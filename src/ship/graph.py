"""The classifier as an ONNX graph, and that graph with int8 weights."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import bidirectional_mask_function, eager_mask

from ..lit_module import AspectSentimentModule
from ..model.attention import plain_attention
from ..tokens.tokenizer import PAD_ID

# name of the attention for export: plain matrix products, which make the smallest graph, and :func:`row_mask`
EXPORTED = "exported"


def to_onnx(module: AspectSentimentModule, path: Path) -> None:
    """Write the classifier to ``path`` with torch's dynamo exporter.

    Inputs: ``input_ids`` and ``attention_mask``, int64 [B, T], both sizes dynamic. Outputs, float32: ``sentiment``
    [B, A, C]; for task ``absa`` also ``mentioned`` [B, A].
    """
    classifier = module.classifier
    plain = classifier.encoder._supports_attention_backend
    classifier.encoder.set_attn_implementation(EXPORTED if plain else "eager")
    example = torch.full((2, 7), PAD_ID + 3)
    sizes = {0: "batch", 1: "tokens"}
    with _quiet():
        program = torch.onnx.export(
            _Ordered(classifier, module.heads).eval(),
            (example, torch.ones_like(example)),
            input_names=["input_ids", "attention_mask"],
            output_names=list(module.heads),
            dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        _without_traces(program.model)
        program.save(path, external_data=False)


def quantise(path: Path, by_token: bool = False) -> None:
    """Replace the ONNX file by one with int8 weights (dynamic quantisation: activations scaled at run time).

    A product's input has one scale for all tokens of a review; ``by_token`` gives it one for each token where a matrix
    is not square, as in the feed-forward blocks (:func:`_scale_tokens`).
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    del model.graph.value_info[:]  # with the dynamo exporter's value_info quantize_dynamic refuses the graph
    if by_token:
        _scale_tokens(model.graph)
    with _quiet():
        # 7 bits, a scale per channel: with 8 bits processors without VNNI overflow and give other answers
        quantize_dynamic(model, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def _scale_tokens(graph: Any) -> None:
    """Divide each token's row of an input by the largest number in it, and multiply the product by that again.

    In deep encoders the first and the last token of a review have single numbers a hundred times as large as the others
    (Kovaleva et al. 2021, Bondarenko et al. 2021): with one scale, the other tokens' numbers keep two or three bits.
    """
    from onnx import NodeProto, helper, numpy_helper

    matrices = {w.name for w in graph.initializer if len(w.dims) == 2 and w.dims[0] != w.dims[1]}
    nodes: list[NodeProto] = []
    scaled: set[str] = set()
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in matrices:
            nodes.append(node)
            continue
        x, y = node.input[0], node.output[0]
        if x not in scaled:
            scaled.add(x)
            nodes += [
                helper.make_node("Abs", [x], [f"{x}_abs"], f"{x}_abs"),
                helper.make_node("ReduceMax", [f"{x}_abs", "last_axis"], [f"{x}_max"], f"{x}_max"),
                helper.make_node("Max", [f"{x}_max", "tiny"], [f"{x}_row"], f"{x}_row"),  # a row may be all 0
                helper.make_node("Div", [x, f"{x}_row"], [f"{x}_unit"], f"{x}_unit"),
            ]
        node.input[0], node.output[0] = f"{x}_unit", f"{y}_unit"
        nodes += [node, helper.make_node("Mul", [f"{y}_unit", f"{x}_row"], [y], f"{y}_scaled")]
    numbers = {"last_axis": np.array([-1]), "tiny": np.array(1e-20, np.float32)}
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in numbers.items())
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def row_mask(
    *, mask_function: Any, attention_mask: Tensor | None = None, dtype: torch.dtype = torch.float32, **settings: Any
) -> Tensor:
    """Additive mask for attention's logits: ``attention_mask`` int64 [B, T] (1 = token) -> ``dtype`` [B, 1, 1, T].

    It holds 0 for a token and the lowest float for padding. transformers' own function fills [B, 1, T, T], number by
    number, which takes a twentieth of a small int8 encoder's time.
    """
    if attention_mask is None or mask_function is not bidirectional_mask_function:
        settings |= {"mask_function": mask_function, "attention_mask": attention_mask, "dtype": dtype}
        return eager_mask(**settings)
    return (1 - attention_mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min


AttentionInterface.register(EXPORTED, plain_attention)
AttentionMaskInterface.register(EXPORTED, row_mask)


class _Ordered(nn.Module):
    """Returns the classifier's logits as a tuple in the order of ``heads``: the exporter names outputs by position."""

    def __init__(self, classifier: nn.Module, heads: Sequence[str]) -> None:
        super().__init__()
        self.classifier, self.heads = classifier, heads

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        logits = self.classifier(input_ids, attention_mask)
        return tuple(logits[head] for head in self.heads)


def _without_traces(model: Any) -> None:
    """Delete what the exporter notes of each step, from an ``onnx_ir.Model``: the lines of code, with their paths."""
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    for node in model.graph.all_nodes():
        node.doc_string = None
        values += node.outputs
        node.metadata_props.clear()
    for part in (model, model.graph, *values):
        part.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of torch's exporter and onnxruntime, which are about the libraries, not the model."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
