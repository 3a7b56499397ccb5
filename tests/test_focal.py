"""Focal loss against closed-form values, torch's cross entropy and plain arithmetic; class weights from counts."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from src.errors import UserError
from src.focal import FocalLoss, focal_loss, inverse_frequency, resolve_alpha
from src.labels import IGNORE

CASES = json.loads((Path(__file__).parent / "golden_losses.json").read_text())["cases"]
CASES = {case["name"]: case for case in CASES if case["kind"].startswith("softmax")}
HALVES = ["g16_float16", "g16_bfloat16"]
VALUES = [
    (name, key)
    for name in CASES
    for key in ("none", "sum", "mean_valid", "mean_weight")
    if name not in HALVES and key in CASES[name]["expected"]
]
GRADIENTS = [(name, key) for name in CASES for key in CASES[name].get("grad_logits", ())]
VIEWS = {"": lambda g: g, "_b0": lambda g: g[0], "_sum": lambda g: g.sum(), "_abs_sum": lambda g: g.abs().sum()}
TOLERANCE = {torch.float64: {"rtol": 1e-8, "atol": 1e-10}, torch.float32: {"rtol": 1e-5, "atol": 1e-6}}
BY_CLASS, BY_ASPECT = [0.5, 1.0, 3.0], [[0.5, 1.0, 3.0], [2.0, 0.8, 1.5]]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """A few numbers per tensor: waking a second thread costs 100 times the work, on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inputs_of(case, dtype):
    """Logits, targets and settings of a golden case."""
    alpha = None if case["alpha"] is None else torch.tensor(case["alpha"], dtype=dtype)
    settings = {"gamma": case["gamma"], "alpha": alpha, "label_smoothing": case.get("label_smoothing", 0.0)}
    return torch.tensor(case["logits"], dtype=dtype, requires_grad=True), torch.tensor(case["targets"]), settings


def random_batch(*shape, classes=3, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(*shape, classes, generator=generator, dtype=dtype)
    return logits, torch.randint(0, classes, shape, generator=generator)


def gradient(logits, targets, **settings):
    leaf = logits.clone().requires_grad_()
    focal_loss(leaf, targets, **settings).backward()
    return leaf.grad


# closed-form values


def test_all_golden_cases_are_used():
    assert (len(CASES), len(VALUES), len(GRADIENTS)) == (15, 48, 25)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "key"), VALUES)
def test_golden_values(name, key, dtype):
    logits, targets, settings = inputs_of(CASES[name], dtype)
    reduction, _, normalization = key.partition("_")
    loss = focal_loss(logits, targets, reduction=reduction, normalization=normalization or "valid", **settings)
    torch.testing.assert_close(loss, torch.tensor(CASES[name]["expected"][key], dtype=dtype), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "key"), GRADIENTS)
def test_golden_gradients(name, key, dtype):
    logits, targets, settings = inputs_of(CASES[name], dtype)
    normalization = "weight" if "weight" in key else "valid"
    found = VIEWS[key.removeprefix(f"mean_{normalization}")](
        gradient(logits.detach(), targets, normalization=normalization, **settings)
    )
    expected = torch.tensor(CASES[name]["grad_logits"][key], dtype=dtype)
    torch.testing.assert_close(found, expected, **TOLERANCE[dtype])


@pytest.mark.parametrize("name", HALVES)
def test_halves_are_computed_in_float32(name):
    case = CASES[name]
    logits, targets, settings = inputs_of(case, getattr(torch, case["dtype"]))
    loss = focal_loss(logits, targets, reduction="none", **settings)
    torch.testing.assert_close(loss, torch.tensor(case["expected"]["none"]), rtol=1e-4, atol=0)
    assert torch.equal(loss, focal_loss(logits.float(), targets, reduction="none", **settings))
    mean = focal_loss(logits, targets, **settings)
    torch.testing.assert_close(mean, torch.tensor(case["expected"]["mean_valid"]), rtol=1e-4, atol=0)
    mean.backward()
    assert logits.grad.dtype == logits.dtype


@pytest.mark.parametrize("name", ["g07_gamma_half_saturated", "g08_confident_wrong"])
def test_tiny_values_are_right_in_relative_terms(name):
    logits, targets, settings = inputs_of(CASES[name], torch.float64)
    loss = focal_loss(logits, targets, reduction="none", **settings)
    expected = torch.tensor(CASES[name]["expected"]["none"], dtype=torch.float64)
    torch.testing.assert_close(loss, expected, rtol=1e-8, atol=0)
    expected = torch.tensor(CASES[name]["grad_logits"]["mean_valid"], dtype=torch.float64)
    torch.testing.assert_close(gradient(logits.detach(), targets, **settings), expected, rtol=1e-8, atol=0)


# independent references


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_equals_the_formula_in_plain_arithmetic(classes, gamma):
    alpha = [0.3, 1.0, 2.5, 0.7][:classes]
    rows = list(itertools.product((-1.5, 0.0, 2.0), repeat=classes))  # every combination, for every target
    cases = [(row, target) for row in rows for target in range(classes)]
    expected = []
    for row, target in cases:
        p = math.exp(row[target]) / sum(map(math.exp, row))
        expected.append(-alpha[target] * (1 - p) ** gamma * math.log(p))
    logits = torch.tensor([row for row, _ in cases], dtype=torch.float64)
    targets = torch.tensor([target for _, target in cases])
    weights = torch.tensor(alpha, dtype=torch.float64)
    loss = focal_loss(logits, targets, gamma=gamma, alpha=weights, reduction="none")
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rows", [1, 4, 9, 33, 100, 1000])
def test_gamma_0_is_cross_entropy_to_the_last_bit(rows):
    for seed in range(5):
        logits, targets = random_batch(rows, seed=seed)
        for reduction in ("none", "sum", "mean"):
            found = focal_loss(logits, targets, gamma=0.0, reduction=reduction)
            assert torch.equal(found, F.cross_entropy(logits, targets, reduction=reduction))


def test_gamma_0_is_cross_entropy_with_some_ignored():
    logits, targets = random_batch(40, 11)
    targets[::3, ::2] = IGNORE
    found = focal_loss(logits, targets, gamma=0.0)
    assert torch.equal(found, F.cross_entropy(logits.reshape(-1, 3), targets.reshape(-1)))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_gamma_0_by_weight_is_weighted_cross_entropy(label_smoothing):
    logits, targets = random_batch(50, dtype=torch.float64)
    targets[::4] = IGNORE
    alpha = torch.tensor(BY_CLASS, dtype=torch.float64)
    settings = {"label_smoothing": label_smoothing}
    found = focal_loss(logits, targets, gamma=0.0, alpha=alpha, normalization="weight", **settings)
    torch.testing.assert_close(found, F.cross_entropy(logits, targets, weight=alpha, **settings))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, BY_CLASS, BY_ASPECT])
@pytest.mark.parametrize(("normalization", "label_smoothing"), [("valid", 0.0), ("weight", 0.2)])
def test_gradcheck(gamma, alpha, normalization, label_smoothing):
    logits, targets = random_batch(3, 2, dtype=torch.float64)
    targets[0, 1] = IGNORE
    settings = {"gamma": gamma, "normalization": normalization, "label_smoothing": label_smoothing}
    settings["alpha"] = None if alpha is None else torch.tensor(alpha, dtype=torch.float64)
    assert gradcheck(lambda z: focal_loss(z, targets, **settings), logits.requires_grad_(), fast_mode=True)


# what must not matter


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_order_of_reviews_and_shift_of_logits_do_not_matter(gamma):
    logits, targets = random_batch(8, 2, dtype=torch.float64)
    alpha = torch.tensor(BY_ASPECT, dtype=torch.float64)
    loss = focal_loss(logits, targets, gamma=gamma, alpha=alpha)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(focal_loss(logits[order], targets[order], gamma=gamma, alpha=alpha), loss)
    shift = torch.linspace(-1000, 1000, 16, dtype=torch.float64).reshape(8, 2, 1)
    torch.testing.assert_close(focal_loss(logits + shift, targets, gamma=gamma, alpha=alpha), loss)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e38])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, BY_CLASS, BY_ASPECT])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_ignored_logits_change_nothing(poison, gamma, alpha, label_smoothing):
    logits, targets = random_batch(6, 2)
    ignored = torch.zeros(6, 2, dtype=torch.bool)
    ignored[1], ignored[4, 0] = True, True
    targets[ignored] = IGNORE
    settings = {"gamma": gamma, "label_smoothing": label_smoothing, "normalization": "weight"}
    settings["alpha"] = None if alpha is None else torch.tensor(alpha)
    poisoned = logits.masked_fill(ignored.unsqueeze(-1), poison)
    assert torch.equal(focal_loss(poisoned, targets, **settings), focal_loss(logits, targets, **settings))
    grad = gradient(poisoned, targets, **settings)
    assert torch.equal(grad, gradient(logits, targets, **settings))
    assert (grad[ignored] == 0).all()
    assert (grad[~ignored] != 0).any()
    each = focal_loss(poisoned, targets, reduction="none", **settings)
    assert (each[ignored] == 0).all()
    assert each[~ignored].isfinite().all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_mean_is_over_what_is_counted(gamma):
    logits, targets = random_batch(5, dtype=torch.float64)
    padded = torch.cat([logits, logits + 1])
    masked = torch.cat([targets, torch.full_like(targets, IGNORE)])
    for alpha, normalization in itertools.product((None, torch.tensor(BY_CLASS)), ("valid", "weight")):
        settings = {"gamma": gamma, "alpha": alpha, "normalization": normalization}
        torch.testing.assert_close(focal_loss(padded, masked, **settings), focal_loss(logits, targets, **settings))


def test_ignore_index_is_a_setting():
    logits, targets = random_batch(5)
    targets[2] = 1
    kept = targets != 1
    found = focal_loss(logits, targets, ignore_index=1)
    torch.testing.assert_close(found, focal_loss(logits[kept], targets[kept]))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, BY_CLASS])
@pytest.mark.parametrize("normalization", ["valid", "weight"])
@pytest.mark.parametrize("shape", [(4,), (2, 3), (0,)])
def test_all_ignored_is_0_on_the_graph(gamma, alpha, normalization, shape):
    logits = torch.full((*shape, 3), math.nan, requires_grad=True)
    targets = torch.full(shape, IGNORE)
    settings = {"gamma": gamma, "alpha": None if alpha is None else torch.tensor(alpha)}
    loss = focal_loss(logits, targets, normalization=normalization, **settings)
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_targets_that_weigh_nothing_are_0_and_not_nan():
    logits, targets = random_batch(4)
    alpha = torch.tensor([0.0, 1.0, 1.0])
    assert focal_loss(logits, torch.zeros_like(targets), alpha=alpha, normalization="weight") == 0


# stability


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 0.9, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_saturated_logits_have_finite_gradients(gamma, label_smoothing, dtype):
    margins = torch.tensor([-200.0, -50, -17, -1, 0, 1, 17, 50, 200])
    logits = torch.stack([margins, torch.zeros(9), torch.zeros(9)], -1).to(dtype)
    targets = torch.zeros(9, dtype=torch.int64)
    loss = focal_loss(logits, targets, gamma=gamma, label_smoothing=label_smoothing, reduction="none")
    assert loss.isfinite().all()
    assert (loss >= 0).all()
    grad = gradient(logits, targets, gamma=gamma, label_smoothing=label_smoothing, reduction="sum")
    assert grad.isfinite().all()
    if not label_smoothing:
        assert loss[0].item() == pytest.approx(200 + math.log(2))
        assert grad[0, 0].item() == pytest.approx(-1)
        if gamma:
            assert loss[-1].item() < 1e-8
            assert grad[-1].abs().max().item() < 1e-8


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_an_impossible_other_class_is_allowed(gamma):
    logits = torch.tensor([[1.0, -math.inf, 0.0]])
    pair = torch.tensor([[1.0, 0.0]])
    target = torch.tensor([0])
    torch.testing.assert_close(focal_loss(logits, target, gamma=gamma), focal_loss(pair, target, gamma=gamma))
    assert gradient(logits, target, gamma=gamma).isfinite().all()


def test_a_nan_that_counts_is_not_hidden():
    logits, targets = random_batch(3)
    logits[1, 2] = math.nan
    assert focal_loss(logits, targets).isnan()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("normalization", ["valid", "weight"])
def test_no_step_waits_for_the_device(gamma, normalization):
    """Tensors without data: whatever looks at a value raises."""
    logits = torch.empty(4, 2, 3, device="meta", requires_grad=True)
    targets = torch.empty(4, 2, dtype=torch.int64, device="meta")
    alpha = torch.empty(2, 3, device="meta")
    for weights in (None, alpha):
        settings = {"gamma": gamma, "alpha": weights, "normalization": normalization, "label_smoothing": 0.1}
        focal_loss(logits, targets, **settings).backward()


# arguments


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"logits": torch.zeros(4, 1)}, r"logits have shape \(4, 1\): expected \[..., C\] with C of at least 2"),
        ({"logits": torch.tensor(1.0)}, r"logits have shape \(\): expected"),
        ({"logits": torch.zeros(5, 3)}, r"targets have shape \(4,\): expected \(5,\) for logits \(5, 3\)"),
        (
            {"logits": torch.zeros(4, 3, dtype=torch.int64)},
            "logits are torch.int64, targets torch.int64: expected floats",
        ),
        ({"targets": torch.zeros(4)}, "targets torch.float32: expected floats and torch.int64"),
        ({"targets": torch.zeros(4, 3, dtype=torch.int64)}, r"targets have shape \(4, 3\): expected \(4,\)"),
        ({"alpha": torch.ones(2)}, r"alpha has shape \(2,\): expected \(3,\) or \(4, 3\)"),
        ({"alpha": torch.ones(2, 3)}, r"alpha has shape \(2, 3\): expected \(3,\) or \(4, 3\)"),
        ({"gamma": -1.0}, "gamma=-1.0: expected a finite number, at least 0"),
        ({"gamma": math.nan}, "gamma=nan: expected a finite number"),
        ({"gamma": math.inf}, "gamma=inf: expected a finite number"),
        ({"gamma": "2"}, "gamma='2': expected a finite number"),
        ({"label_smoothing": 1.0}, r"label_smoothing=1.0: expected a number in \[0, 1\)"),
        ({"label_smoothing": -0.1}, r"label_smoothing=-0.1: expected"),
        ({"normalization": "batch"}, "normalization='batch': expected valid or weight"),
        ({"reduction": "avg"}, "reduction='avg': expected none, sum or mean"),
    ],
)
def test_wrong_arguments_are_quoted(changed, message):
    arguments = {"logits": torch.zeros(4, 3), "targets": torch.zeros(4, dtype=torch.int64)} | changed
    with pytest.raises(ValueError, match=message):
        focal_loss(**arguments)


def test_two_classes_and_a_single_target_work():
    assert focal_loss(torch.zeros(5, 2), torch.zeros(5, dtype=torch.int64), gamma=1.0) == pytest.approx(math.log(2) / 2)
    for gamma in (0.0, 2.0):
        alone = focal_loss(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(1), gamma=gamma)
        assert alone == focal_loss(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1]), gamma=gamma)


# the module


@pytest.mark.parametrize("alpha", [None, BY_CLASS, BY_ASPECT])
def test_module_is_the_function_with_its_settings(alpha):
    logits, targets = random_batch(6, 2)
    targets[0], targets[1, 1] = 1, IGNORE
    settings = {"gamma": 1.5, "normalization": "weight", "label_smoothing": 0.1, "ignore_index": 1}
    loss = FocalLoss(alpha=alpha, **settings)
    targets[targets == IGNORE] = 2
    weights = None if alpha is None else torch.tensor(alpha)
    assert torch.equal(loss(logits, targets), focal_loss(logits, targets, alpha=weights, **settings))
    assert torch.equal(loss(logits, targets), focal_loss(logits, targets, alpha=alpha, **settings).float())
    assert loss.state_dict() == {}
    assert list(loss.parameters()) == []


def test_alpha_is_a_buffer_that_moves_with_the_module():
    loss = FocalLoss(alpha=BY_CLASS)
    assert [name for name, _ in loss.named_buffers()] == ["alpha"]
    assert loss.to("meta").alpha.device.type == "meta"


def test_settings_can_be_read_from_the_printed_module():
    assert repr(FocalLoss()) == "FocalLoss(gamma=2, alpha=None)"
    printed = repr(FocalLoss(gamma=1, alpha=[1, 2, 0.5], normalization="weight", label_smoothing=0.1))
    assert printed == "FocalLoss(gamma=1, alpha=[1.0000, 2.0000, 0.5000], normalization=weight, label_smoothing=0.1)"
    assert (
        repr(FocalLoss(alpha=[[1, 2, 3], [0.5, 1, 1]]))
        == "FocalLoss(gamma=2, alpha=2 x 3 weights from 0.5000 to 3.0000)"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": -1}, "gamma=-1: expected a finite number, at least 0"),
        ({"gamma": None}, "gamma=None: expected"),
        ({"label_smoothing": 1}, "label_smoothing=1: expected"),
        ({"normalization": "mean"}, "normalization='mean': expected valid or weight"),
        ({"alpha": "auto"}, "alpha=auto: expected numbers, one per sentiment, or such a list per aspect"),
        ({"alpha": []}, r"alpha=\[\]: expected numbers"),
        ({"alpha": 1.0}, "alpha=1.0: expected numbers"),
        ({"alpha": [[1.0, 2.0], [1.0]]}, r"alpha=\[\[1.0, 2.0\], \[1.0\]\]: expected numbers"),
        ({"alpha": [1.0, -1.0, 1.0]}, r"alpha=\[1.0, -1.0, 1.0\]: expected finite numbers, none below 0"),
        ({"alpha": [1.0, math.nan, 1.0]}, "expected finite numbers"),
        ({"alpha": [1.0, math.inf, 1.0]}, "expected finite numbers"),
        ({"alpha": [0, 0, 0]}, r"alpha=\[0, 0, 0\]: expected finite numbers, none below 0 and at least one above"),
    ],
)
def test_module_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        FocalLoss(**settings)


# class weights


def test_inverse_frequency_of_uit_visfd():
    assert [round(w, 4) for w in inverse_frequency([9880, 9734, 9427])] == [0.9798, 0.9945, 1.0269]


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_inverse_frequency_takes_any_kind_of_counts_and_gives_plain_floats(kind):
    weights = inverse_frequency(kind([6, 3, 1]))
    assert weights == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert all(type(w) is float for w in weights)
    table = inverse_frequency(kind([[6, 3, 1], [2, 2, 2]]))
    assert table == [pytest.approx([10 / 18, 10 / 9, 10 / 3]), [1.0, 1.0, 1.0]]
    assert all(type(w) is float for row in table for w in row)


def test_a_sentiment_that_one_aspect_lacks_gets_its_weight_over_all():
    weights = inverse_frequency([[6, 3, 0], [2, 1, 4]])  # 8, 4, 4 of 16 over all
    assert weights[0] == pytest.approx([9 / 18, 9 / 9, 16 / 12])
    assert weights[1] == pytest.approx([7 / 6, 7 / 3, 7 / 12])


def test_an_aspect_without_sentiments_weighs_1():
    assert inverse_frequency([[0, 0, 0], [5, 5, 5]]) == [[1.0] * 3, [1.0] * 3]


def test_a_sentiment_that_the_split_lacks_weighs_1():
    assert inverse_frequency([30, 10, 0]) == [40 / 60, 40 / 20, 1.0]  # the others as where there is no third
    assert inverse_frequency([30, 10]) == [40 / 60, 40 / 20]
    table = inverse_frequency([[20, 5, 0], [10, 0, 0], [0, 5, 0], [0, 0, 0]])  # 30, 10 of 40 over all
    assert table == [[25 / 40, 25 / 10, 1.0], [10 / 20, 2.0, 1.0], [40 / 60, 5 / 10, 1.0], [1.0, 1.0, 1.0]]
    assert inverse_frequency([0, 0, 0]) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("counts", [[1], [[1], [2]], 3, [[[1, 2, 3]]]])
def test_counts_of_another_shape_are_refused(counts):
    with pytest.raises(ValueError, match=r"counts have shape .*: expected \[C\] or \[A, C\]"):
        inverse_frequency(counts)


COUNTS = torch.tensor([[6, 3, 1], [2, 5, 2]])


@pytest.mark.parametrize("alpha", [None, "null", "equal"])
def test_equal_weights(alpha):
    assert resolve_alpha(alpha, COUNTS) is None
    assert resolve_alpha(alpha, torch.zeros_like(COUNTS)) is None


def test_weights_are_told_by_the_names_of_the_sentiments():
    message = r"alpha=\[1, 1.2, 1.5\]: 3 numbers for 2 sentiments \(positive, negative\)"
    with pytest.raises(UserError, match=message):
        resolve_alpha([1, 1.2, 1.5], COUNTS[:, :2], ("positive", "negative"))
    assert resolve_alpha([1, 2, 3, 4], torch.ones(2, 4), ("a", "b", "c", "d")) == [1.0, 2.0, 3.0, 4.0]


def test_weights_from_the_counts():
    assert resolve_alpha("auto", COUNTS) == inverse_frequency([8, 8, 3])
    assert resolve_alpha("per_aspect", COUNTS.numpy()) == inverse_frequency(COUNTS)


@pytest.mark.parametrize("alpha", [[1, 1.2, 1.5], (1, 1.2, 1.5), BY_ASPECT])
def test_given_weights_stay_and_are_plain_floats(alpha):
    found = resolve_alpha(alpha, COUNTS)
    assert found == [list(x) if isinstance(x, list) else x for x in alpha]
    assert all(type(x) is float for x in np.ravel(found).tolist())
    assert json.loads(json.dumps(found)) == found
    assert FocalLoss(alpha=found).alpha.tolist() == torch.tensor(found).tolist()


@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        ([1.0, 1.2], "loss.alpha=[1.0, 1.2]: 2 numbers for 3 sentiments (positive, negative, neutral)"),
        (
            [[1], [2]],
            "loss.alpha=[[1], [2]]: 2 lists of 1 numbers for 2 aspects of 3 sentiments (positive, negative, neutral)",
        ),
        (
            [[1, 2, 3]],
            "loss.alpha=[[1, 2, 3]]: 1 lists of 3 numbers for 2 aspects of 3 sentiments (positive, negative, neutral)",
        ),
        (
            [[1, 2, 3], [1, 2]],
            "loss.alpha=[[1, 2, 3], [1, 2]]: expected numbers, one per sentiment, or such a list per aspect",
        ),
        (["a", 1, 2], "loss.alpha=['a', 1, 2]: expected numbers, one per sentiment, or such a list per aspect"),
        (1.5, "loss.alpha=1.5: expected numbers, one per sentiment, or such a list per aspect"),
        ({"positive": 1}, "loss.alpha={'positive': 1}: expected numbers, one per sentiment, or such a list per aspect"),
        ([1, -1, 1], "loss.alpha=[1, -1, 1]: expected finite numbers, none below 0 and at least one above"),
        ([0, 0, 0], "loss.alpha=[0, 0, 0]: expected finite numbers, none below 0 and at least one above"),
        (
            "atuo",
            'loss.alpha=atuo: not one of auto, per_aspect, equal, null, nor a list of 3 numbers; did you mean "auto"?',
        ),
        ("xyz", "loss.alpha=xyz: not one of auto, per_aspect, equal, null, nor a list of 3 numbers"),
    ],
)
def test_wrong_alpha_is_one_message(alpha, message):
    with pytest.raises(UserError) as e:
        resolve_alpha(alpha, COUNTS)
    assert str(e.value) == message
