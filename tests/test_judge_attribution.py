"""Integrated gradients: complete, exact for linear models, on words as they were written."""

import numpy as np
import pytest
import torch

from src.judge.attribution import STEPS, TOLERANCE, Explainer, Target, explain, target_of, to_words
from src.judge.mistakes import INVENTED, MISSED, WRONG, Mistake
from src.judge.writing import pieces
from src.tokenizer import train_tokenizer
from tests.tiny import CONFIG, tiny_module

TEXTS = ["pin tốt, camera kém", "màn hình đẹp 😍😍", "shop giao hàng nhanh lắm"]
TARGET = Target("sentiment", (0, 1), (0, 2))


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    module = tiny_module(dropout=0.3)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.5)  # far from linear
    module.tokenizer_json = train_tokenizer(TEXTS, 320, 32).to_str()
    module.classifier.encoder.resize_token_embeddings(320)
    return Explainer(module, 32)


def encoded(explainer: Explainer, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    encoding = explainer.tokenizer.encode(text)
    return torch.tensor(encoding.ids), torch.tensor(encoding.special_tokens_mask).bool()


@pytest.mark.parametrize("text", [*TEXTS, "", "x" * 300, "\u202eabc\u202c def"])
@pytest.mark.parametrize("target", [TARGET, Target("mentioned", (1,), None), Target("mentioned", None, (0,))])
def test_attributions_add_up_to_what_they_explain(explainer, text, target) -> None:
    words, gap = explainer(text, target)
    assert gap <= TOLERANCE and len(words) == len(pieces(text)) and np.isfinite(words).all()
    ids, special = encoded(explainer, text)
    baseline = torch.where(special, ids, torch.full_like(ids, CONFIG["pad_token_id"]))
    embedding = explainer.classifier.encoder.get_input_embeddings()
    ends = [float(explainer._value(ids, embedding(x)[None], target)) for x in (ids, baseline)]
    assert words.sum() == pytest.approx(ends[0] - ends[1], abs=TOLERANCE * max(np.abs(words).sum(), 1e-6) + 1e-6)


def test_the_value_is_the_models_own(explainer) -> None:
    ids, _ = encoded(explainer, TEXTS[0])
    points = explainer.classifier.encoder.get_input_embeddings()(ids)[None]
    logits = explainer.classifier(ids[None], torch.ones_like(ids)[None])
    expected = logits["sentiment"][0, 0, 1] - logits["sentiment"][0, 0, 2]
    assert float(explainer._value(ids, points, TARGET)) == pytest.approx(float(expected), rel=1e-5)
    assert not explainer.classifier.encoder.get_input_embeddings()._forward_hooks


def test_more_steps_leave_a_smaller_gap_and_special_tokens_count_nothing(explainer) -> None:
    ids, special = encoded(explainer, TEXTS[0])
    few, coarse = explainer.attribute(ids, special, TARGET, 2)
    many, fine = explainer.attribute(ids, special, TARGET, STEPS[-1])
    assert fine < 0.01 and fine <= coarse
    assert (many[special.numpy()] == 0).all() and not np.allclose(few, many)


def test_a_riemann_sum_gives_the_same(explainer) -> None:
    """The integral of the definition, as a plain midpoint sum, one point at a time."""
    ids, special = encoded(explainer, TEXTS[1])
    embedding = explainer.classifier.encoder.get_input_embeddings()
    there = embedding(ids)
    start = torch.where(special[:, None], there, embedding(torch.full_like(ids, 1)))
    total = torch.zeros_like(there)
    for k in range(400):
        point = (start + (k + 0.5) / 400 * (there - start)).requires_grad_()
        total += torch.autograd.grad(explainer._value(ids, point[None], TARGET).sum(), point)[0] / 400
    expected = ((there - start) * total).sum(-1).numpy()
    got, _ = explainer.attribute(ids, special, TARGET, STEPS[-1])
    assert np.allclose(got, expected, atol=0.01 * np.abs(expected).sum())


def test_tokens_count_for_the_word_in_which_they_end() -> None:
    text = "pin  tốt, 😍x"
    offsets = [(0, 0), (0, 3), (3, 6), (6, 8), (8, 9), (9, 11), (11, 12), (0, 0)]
    words = to_words(text, offsets, np.array([0, 1, 2, 4, 8, 16, 32, 0], float))
    assert pieces(text) == ["pin  ", "tốt, ", "😍x"]
    assert words.tolist() == [1, 14, 48]


def test_what_is_explained_speaks_for_the_models_answer() -> None:
    def mistake(kind: str, gold: str, said: str) -> Mistake:
        return Mistake(0, 2, kind, gold, said, 0.9, 0.1, False)

    assert target_of(mistake(MISSED, "negative", "not mentioned")) == Target("mentioned", None, (2,))
    assert target_of(mistake(INVENTED, "not mentioned", "neutral")) == Target("mentioned", (2,), None)
    assert target_of(mistake(WRONG, "negative", "positive")) == Target("sentiment", (2, 0), (2, 1))
    logits = {"mentioned": torch.tensor([[1.0, 2.0, 5.0]]), "sentiment": torch.arange(9.0).reshape(1, 3, 3)}
    targets = [Target("mentioned", None, (2,)), Target("mentioned", (2,), None), Target("sentiment", (2, 0), (2, 1))]
    assert [float(t.of(logits)) for t in targets] == [-5, 5, -1]


def test_a_gap_is_not_made_smaller_after_the_end(explainer, monkeypatch) -> None:
    tried = []
    monkeypatch.setattr(explainer, "attribute", lambda *a: (tried.append(a[-1]), (np.zeros(len(a[0])), 1.0))[1])
    assert explainer(TEXTS[0], TARGET, 0.0)[1] == 1.0 and tried == [STEPS[0]]
    explainer(TEXTS[0], TARGET)
    assert tried[1:] == list(STEPS)


def test_no_mistakes_need_no_checkpoint(tmp_path) -> None:
    from src.runs import Run

    assert explain(Run(tmp_path), 32, [], [], 1.0).words == {}
