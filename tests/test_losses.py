"""Cross entropy and the detection losses against closed-form values, torch and plain arithmetic."""

import inspect
import itertools
import json
import logging
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from src.focal import FocalLoss
from src.labels import IGNORE
from src.losses import (
    DETECTION_LOSSES,
    CrossEntropyLoss,
    asymmetric_loss,
    binary_cross_entropy,
    binary_focal_loss,
    distillation,
    divergence,
    rare_weights,
)

CASES = json.loads((Path(__file__).parent / "golden_losses.json").read_text())["cases"]
SIGMOID = {case["name"]: case for case in CASES if case["kind"] == "sigmoid"}
ASYMMETRIC = {case["name"]: case for case in CASES if case["kind"] == "asymmetric"}
SOFTMAX = {case["name"]: case for case in CASES if case["kind"] == "softmax"}
TOLERANCE = {torch.float64: {"rtol": 1e-8, "atol": 1e-10}, torch.float32: {"rtol": 1e-5, "atol": 1e-6}}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """A few numbers per tensor: waking a second thread costs 100 times the work, on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_golden(loss_of, case, value, grad, dtype):
    logits = torch.tensor(case["logits"], dtype=dtype, requires_grad=True)
    loss = loss_of(logits, torch.tensor(case["targets"], dtype=dtype))
    torch.testing.assert_close(loss, torch.tensor(value, dtype=dtype), **TOLERANCE[dtype])
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.tensor(grad, dtype=dtype), **TOLERANCE[dtype])


def random_batch(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(*shape, generator=generator, dtype=dtype)
    return logits, torch.randint(0, 2, shape, generator=generator).to(dtype)


# cross entropy over the sentiments


@pytest.mark.parametrize("name", ["g01_ce_equivalence", "g04_weighted_ce"])
@pytest.mark.parametrize("normalization", ["valid", "weight"])
def test_cross_entropy_golden(name, normalization):
    case = SOFTMAX[name]
    loss = CrossEntropyLoss(alpha=case["alpha"], normalization=normalization)
    logits = torch.tensor(case["logits"], requires_grad=True)
    found = loss(logits, torch.tensor(case["targets"]))
    torch.testing.assert_close(found, torch.tensor(case["expected"][f"mean_{normalization}"]), rtol=1e-5, atol=1e-6)
    found.backward()
    expected = torch.tensor(case["grad_logits"][f"mean_{normalization}"])
    torch.testing.assert_close(logits.grad, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", [None, [0.5, 1.0, 3.0]])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_is_that_of_torch(alpha, label_smoothing):
    logits = random_batch(20, 3)[0]
    targets = torch.arange(20) % 3
    targets[::7] = IGNORE
    weight = None if alpha is None else torch.tensor(alpha)
    ours = CrossEntropyLoss(alpha=alpha, normalization="weight", label_smoothing=label_smoothing)
    torches = torch.nn.CrossEntropyLoss(weight=weight, ignore_index=IGNORE, label_smoothing=label_smoothing)
    torch.testing.assert_close(ours(logits, targets), torches(logits, targets))
    assert ours(logits, torch.full_like(targets, IGNORE)) == 0


def test_cross_entropy_is_plain_torch_to_the_last_bit_by_default():
    logits, targets = random_batch(50, 3)[0], torch.arange(50) % 3
    assert torch.equal(CrossEntropyLoss()(logits, targets), F.cross_entropy(logits, targets))


def test_both_losses_take_the_same_settings():
    names = [set(inspect.signature(loss).parameters) for loss in (CrossEntropyLoss, FocalLoss)]
    assert names[0] == names[1] == {"gamma", "alpha", "normalization", "label_smoothing", "ignore_index"}
    logits, targets = random_batch(4, 2, 3)[0], torch.tensor([[0, 1], [2, 0], [1, 1], [0, 2]])
    settings = {"alpha": [[1.0, 2.0, 3.0], [3.0, 1.0, 0.5]], "label_smoothing": 0.1, "ignore_index": 2}
    assert torch.equal(CrossEntropyLoss(**settings)(logits, targets), FocalLoss(gamma=0.0, **settings)(logits, targets))
    assert CrossEntropyLoss(**settings).state_dict() == {}
    assert repr(CrossEntropyLoss()) == "CrossEntropyLoss(alpha=None)"


def test_cross_entropy_ignores_gamma_with_a_warning(caplog):
    logits, targets = random_batch(5, 3)[0], torch.arange(5) % 3
    with caplog.at_level(logging.WARNING):
        plain = CrossEntropyLoss(gamma=0)(logits, targets)
        assert caplog.records == []
        assert torch.equal(CrossEntropyLoss(gamma=2.0)(logits, targets), plain)
    assert [r.getMessage() for r in caplog.records] == ["Cross entropy has no gamma: loss.gamma=2.0 is ignored"]


def test_cross_entropy_refuses_wrong_settings():
    with pytest.raises(ValueError, match=r"alpha=\[1.0, -1.0\]: expected finite numbers, none below 0"):
        CrossEntropyLoss(alpha=[1.0, -1.0])
    with pytest.raises(ValueError, match="label_smoothing=1: expected"):
        CrossEntropyLoss(label_smoothing=1)


# detection: closed-form values


def test_all_golden_cases_are_used():
    assert (len(SIGMOID), len(ASYMMETRIC)) == (3, 2)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", SIGMOID)
def test_golden_focal(name, dtype):
    case = SIGMOID[name]

    def loss(logits, targets):
        return binary_focal_loss(logits, targets, gamma=case["gamma"], alpha=case["alpha"])

    assert_golden(loss, case, case["expected"]["mean"], case["grad_logits"]["mean"], dtype)
    for row in range(2):  # one number at a time, so that no error hides in the mean
        for column, value in enumerate(case["expected"]["none"][row]):
            one = [torch.tensor([[case[key][row][column]]], dtype=torch.float64) for key in ("logits", "targets")]
            assert loss(*one).item() == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_golden_binary_cross_entropy(dtype):
    case = SIGMOID["g14_aspect_bce"]
    assert_golden(binary_cross_entropy, case, case["expected"]["mean"], case["grad_logits"]["mean"], dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ASYMMETRIC)
def test_golden_asymmetric(name, dtype):
    case = ASYMMETRIC[name]
    settings = {key: case[key] for key in ("gamma_positive", "gamma_negative", "margin")}
    assert_golden(lambda z, y: asymmetric_loss(z, y, **settings), case, case["loss"], case["grad"], dtype)


# detection: independent references


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.3, 1.0])
def test_asymmetric_is_the_formula_in_plain_arithmetic(gamma, margin):
    for z, y in itertools.product((-6.0, -2.0, -0.5, 0.0, 1.0, 5.0), (0.0, 1.0)):
        p = 1 / (1 + math.exp(-z))
        shifted = max(p - margin, 0)
        expected = -((1 - p) ** gamma) * math.log(p) if y else -(shifted**gamma) * math.log(1 - shifted)
        one = [torch.tensor([[x]], dtype=torch.float64) for x in (z, y)]
        found = asymmetric_loss(*one, gamma_positive=gamma, gamma_negative=gamma, margin=margin)
        assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-300), (z, y)


def test_special_cases_agree():
    logits, targets = random_batch(8, 11, dtype=torch.float64)
    plain = F.binary_cross_entropy_with_logits(logits, targets)
    for found in (
        binary_cross_entropy(logits, targets),
        binary_focal_loss(logits, targets, gamma=0.0),
        2 * binary_focal_loss(logits, targets, gamma=0.0, alpha=0.5),
        asymmetric_loss(logits, targets, gamma_positive=0.0, gamma_negative=0.0, margin=0.0),
    ):
        torch.testing.assert_close(found, plain)
    focal = asymmetric_loss(logits, targets, gamma_positive=2.0, gamma_negative=2.0, margin=0.0)
    torch.testing.assert_close(focal, binary_focal_loss(logits, targets, gamma=2.0))


def test_alpha_weighs_positives_and_the_rest_negatives():
    logits, targets = random_batch(8, 11, dtype=torch.float64)
    mean = targets.mean()
    positives = binary_focal_loss(logits[targets == 1], targets[targets == 1]) * mean
    negatives = binary_focal_loss(logits[targets == 0], targets[targets == 0]) * (1 - mean)
    found = binary_focal_loss(logits, targets, alpha=0.3)
    torch.testing.assert_close(found, 0.3 * positives + 0.7 * negatives)


@pytest.mark.parametrize("name", DETECTION_LOSSES)
def test_a_weight_multiplies_its_term(name):
    logits, targets = random_batch(8, 11, dtype=torch.float64)
    loss, weight = DETECTION_LOSSES[name], torch.arange(88.0).view(8, 11)
    terms = torch.stack([loss(z, y) for z, y in zip(logits.flatten(), targets.flatten(), strict=True)]).view(8, 11)
    torch.testing.assert_close(loss(logits, targets, weight=weight), (weight * terms).mean())


def test_rare_aspects_weigh_more_by_the_root_of_their_rarity():
    shares = torch.tensor([0.5, 0.1, 0.05, 0.0001, 0.0, 0.55], dtype=torch.float64)
    mean = float(shares.mean())
    expected = [1, (mean / 0.1) ** 0.5, (mean / 0.05) ** 0.5, 10, 1, 1]
    found = rare_weights(shares, 0.5)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(expected)
    assert rare_weights(shares, 1.0).tolist()[:3] == pytest.approx([1, mean / 0.1, mean / 0.05])
    assert rare_weights(torch.zeros(3), 0.5).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("bce", {}),
        ("focal", {"gamma": 0.5}),
        ("focal", {"gamma": 2.0, "alpha": 0.3}),
        ("asymmetric", {}),
        ("asymmetric", {"gamma_positive": 0.5, "gamma_negative": 0.5, "margin": 0.0}),
        ("asymmetric", {"gamma_positive": 0.0, "gamma_negative": 0.5, "margin": 0.2}),
    ],
)
def test_gradcheck(name, settings):
    logits, targets = random_batch(3, 4, dtype=torch.float64)
    loss = DETECTION_LOSSES[name]
    assert gradcheck(lambda z: loss(z, targets, **settings), logits.requires_grad_(), fast_mode=True)


# detection: what holds for all three

SETTINGS = [("bce", {}), ("focal", {}), ("focal", {"gamma": 0.5, "alpha": 0.25}), ("asymmetric", {})]
SETTINGS += [
    ("asymmetric", {"gamma_positive": 0.5, "gamma_negative": g, "margin": m}) for g in (0, 0.5) for m in (0, 0.05)
]


def test_asymmetric_at_the_margin_itself_has_a_finite_gradient():
    logits = torch.zeros(1, 1, requires_grad=True)  # p = 0.5 is the margin: p_m is 0, where p_m ** 0.5 is vertical
    asymmetric_loss(logits, torch.zeros(1, 1), gamma_negative=0.5, margin=0.5).backward()
    assert logits.grad.isfinite().all()


def test_the_three_by_name():
    expected = {"bce": binary_cross_entropy, "focal": binary_focal_loss, "asymmetric": asymmetric_loss}
    assert expected == DETECTION_LOSSES


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_saturated_logits_have_finite_gradients(name, settings, dtype):
    logits = torch.tensor([-200.0, -50, -17, 0, 17, 50, 200], dtype=dtype).repeat(2, 1).requires_grad_()
    targets = torch.tensor([0.0, 1.0], dtype=dtype).unsqueeze(-1).expand(2, 7)
    loss = DETECTION_LOSSES[name](logits, targets, **settings)
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert loss.isfinite()
    loss.backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.dtype == dtype
    assert logits.grad[1, 0] < 0  # far too low: push it up


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_halves_are_computed_in_float32(name, settings, dtype):
    logits, targets = random_batch(8, 11)
    loss = DETECTION_LOSSES[name]
    logits = logits.to(dtype)
    assert torch.equal(loss(logits, targets, **settings), loss(logits.float(), targets, **settings))


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_order_of_reviews_does_not_matter(name, settings):
    logits, targets = random_batch(8, 11, dtype=torch.float64)
    loss = DETECTION_LOSSES[name]
    torch.testing.assert_close(loss(logits.flip(0), targets.flip(0), **settings), loss(logits, targets, **settings))


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_no_step_waits_for_the_device(name, settings):
    """Tensors without data: whatever looks at a value raises."""
    logits = torch.empty(4, 11, device="meta", requires_grad=True)
    DETECTION_LOSSES[name](logits, torch.empty(4, 11, device="meta"), **settings).backward()


@pytest.mark.parametrize("loss", DETECTION_LOSSES.values())
def test_wrong_tensors_are_refused(loss):
    with pytest.raises(ValueError, match=r"\(2, 3\), targets have shape \(2, 4\): expected floats and equal shapes"):
        loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"logits are torch.int64 \(2, 3\), .*: expected floats and equal shapes"):
        loss(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        (binary_focal_loss, {"gamma": -1.0}, "gamma=-1.0: expected a finite number from 0 to inf"),
        (binary_focal_loss, {"gamma": math.inf}, "gamma=inf: expected a finite number from 0 to inf"),
        (binary_focal_loss, {"alpha": 1.5}, "alpha=1.5: expected a finite number from 0 to 1"),
        (asymmetric_loss, {"gamma_positive": math.nan}, "gamma_positive=nan: expected"),
        (asymmetric_loss, {"gamma_negative": -4.0}, "gamma_negative=-4.0: expected"),
        (asymmetric_loss, {"margin": -0.05}, "margin=-0.05: expected a finite number from 0 to 1"),
    ],
)
def test_wrong_settings_are_quoted(loss, settings, message):
    with pytest.raises(ValueError, match=message):
        loss(torch.zeros(2, 3), torch.zeros(2, 3), **settings)


def test_divergence_is_the_symmetric_kullback_leibler_divergence() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (
        {
            "sentiment": torch.randn(5, 4, 3, generator=generator),
            "mentioned": torch.randn(5, 4, generator=generator),
        }
        for _ in range(2)
    )
    labelled = torch.rand(5, 4, generator=generator) < 0.5
    p, q = (x["sentiment"][labelled].log_softmax(-1) for x in (one, other))
    want = sum(F.kl_div(a, b, reduction="batchmean", log_target=True) for a, b in ((p, q), (q, p))) / 2
    both = [torch.stack([x["mentioned"], -x["mentioned"]], -1).flatten(0, 1) for x in (one, other)]
    p, q = (F.logsigmoid(x) for x in both)
    want += sum(F.kl_div(a, b, reduction="batchmean", log_target=True) for a, b in ((p, q), (q, p))) / 2
    torch.testing.assert_close(divergence(one, other, labelled), want)
    assert divergence(one, one, labelled) == 0
    nothing = divergence(one, other, torch.zeros_like(labelled))
    assert torch.isfinite(nothing) and nothing > 0  # what is said of mentions still differs


def test_distillation_by_hand() -> None:
    """Teacher 1/4 and 3/4, student 1/2 each: 1/4 ln 1/2 + 3/4 ln 3/2 nats. The second pair has no difference."""
    apart, logit = 0.25 * math.log(0.5) + 0.75 * math.log(1.5), math.log(3)
    student = {"sentiment": torch.zeros(1, 2, 2), "mentioned": torch.zeros(1, 2)}
    for t in (1.0, 2.0):
        teacher = {"sentiment": t * torch.tensor([[[0, logit], [0, 0]]]), "mentioned": t * torch.tensor([[logit, 0]])}
        for weights, share in (([1.0, 0.0], 1), ([1.0, 0.5], 1 / 1.5), ([0.25, 0.25], 0.25), ([0.0, 1.0], 0)):
            got = distillation(student, teacher, torch.tensor([weights]), t)
            assert float(got["sentiment"]) == pytest.approx(t**2 * apart * share, abs=1e-6)
            assert float(got["mentioned"]) == pytest.approx(t**2 * apart / 2, abs=1e-6)
    assert set(distillation({"sentiment": student["sentiment"]}, teacher, torch.ones(1, 2))) == {"sentiment"}


def test_distillation_has_the_gradients_of_its_values_and_none_for_the_teacher() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = torch.tensor([[1.0, 0.0, 0.3], [0.7, 0.2, 1.0]], dtype=torch.float64)
    shapes = {"sentiment": (2, 3, 4), "mentioned": (2, 3)}
    teacher = {k: torch.randn(s, generator=generator, dtype=torch.float64) for k, s in shapes.items()}
    student = [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes.values()]

    def total(sentiment: torch.Tensor, mentioned: torch.Tensor) -> torch.Tensor:
        got = distillation({"sentiment": sentiment, "mentioned": mentioned}, teacher, pairs, 2.0)
        return got["sentiment"] + got["mentioned"]

    # the loss is computed in float32: differences of a step that float32 still sees
    torch.autograd.gradcheck(total, student, eps=1e-2, atol=1e-3, rtol=1e-2)
    taught = {k: v.clone().requires_grad_() for k, v in teacher.items()}
    same = distillation({k: v.detach().requires_grad_() for k, v in teacher.items()}, taught, pairs)
    (same["sentiment"] + same["mentioned"]).backward()
    assert abs(same["sentiment"].item()) < 1e-6 and all(v.grad is None for v in taught.values())


def test_distillation_is_finite_whatever_the_logits() -> None:
    """Logits of 1e4, weights of 0, and a NaN where no pair counts."""
    far = torch.tensor([[[1e4, -1e4], [float("nan"), 0.0]]], requires_grad=True)
    mentioned = torch.tensor([[1e4, -1e4]], requires_grad=True)
    teacher = {"sentiment": torch.tensor([[[-1e4, 1e4], [0.0, 0.0]]]), "mentioned": -mentioned.detach()}
    got = distillation({"sentiment": far, "mentioned": mentioned}, teacher, torch.tensor([[1.0, 0.0]]))
    (got["sentiment"] + got["mentioned"]).backward()
    assert torch.isfinite(got["sentiment"]) and torch.isfinite(got["mentioned"])
    assert torch.isfinite(far.grad).all() and torch.isfinite(mentioned.grad).all()
    nothing = distillation({"sentiment": far}, teacher, torch.zeros(1, 2))["sentiment"]
    assert nothing == 0 and nothing.requires_grad
