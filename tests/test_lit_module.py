"""Training steps, figures, schedules and what a checkpoint holds."""

import json

import lightning.pytorch as L
import numpy as np
import pytest
import torch

from src.answers.figures import FIGURES, evaluate, figures
from src.answers.predictions import Predictions
from src.focal import FocalLoss
from src.labels import IGNORE, SENTIMENTS
from src.lit_module import AspectSentimentModule
from src.losses import CrossEntropyLoss, distillation
from src.model.optim import learning_rate_factor
from src.tokens.batching import Batches, BatchPlan
from src.training.checkpoint import AtomicCheckpointIO
from tests.tiny import ASPECTS, CONFIG, tiny_module, tiny_split


def loader(split, size=8, mode="bucketed", **settings) -> Batches:
    return Batches(split, BatchPlan(split.lengths, batch_size=size, mode=mode, **settings))


def trainer(tmp_path, **settings) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    given = {"accelerator": "cpu", "max_epochs": 1, "default_root_dir": tmp_path, "enable_checkpointing": False}
    return L.Trainer(**(quiet | given | settings))


@pytest.mark.parametrize("task", ["absa", "sentiment"])
def test_it_learns_what_the_tokens_say(tmp_path, task) -> None:
    module = tiny_module(task=task, pooling="mean", dropout=0.0, total_steps=300)
    split = tiny_split(96)
    run = trainer(tmp_path, max_epochs=25)
    run.fit(module, loader(split))
    got = run.validate(module, loader(split, mode="sequential"), verbose=False)[0]
    assert got["val/sentiment_f1"] > 0.9
    assert task == "sentiment" or got["val/pair_f1"] > 0.9


@pytest.mark.parametrize("task", ["absa", "sentiment"])
def test_r_drop_asks_twice_and_counts_what_differs(task, monkeypatch) -> None:
    """Without dropout the two answers are one, and the loss is what it is without it."""
    batch = next(iter(loader(tiny_split(), 8)))
    still, moving = (tiny_module(task=task, dropout=rate, r_drop=3.0) for rate in (0.0, 0.5))
    for module in (still, moving):
        monkeypatch.setattr(module, "log", lambda *_, **__: None)
        for part in module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = module.hparams["dropout"]
    plain = still._total(still._losses(still(batch["input_ids"], batch["attention_mask"]), batch))
    torch.testing.assert_close(still.training_step(batch, 0), plain)
    torch.manual_seed(1)
    once = moving.training_step(batch, 0)
    moving.r_drop = 1e-9
    torch.manual_seed(1)
    assert once > moving.training_step(batch, 0) > 0


@pytest.mark.parametrize("task", ["absa", "sentiment"])
@pytest.mark.parametrize("loss", [FocalLoss(gamma=2.0, alpha=[1.0, 2.0, 3.0]), CrossEntropyLoss()])
@pytest.mark.parametrize("r_drop", [0.0, 3.0])
def test_a_share_of_the_loss_is_the_distance_from_the_teacher(task, loss, r_drop, monkeypatch) -> None:
    """Without dropout R-Drop adds nothing. Of the third aspect no sentiment is learned."""
    plan = BatchPlan(tiny_split().lengths, batch_size=8)
    logits = np.random.default_rng(0).normal(size=(40, 3, 4)).astype(np.float16)
    batch = next(iter(Batches(tiny_split(), plan, teacher=logits)))
    assert torch.equal(batch["teacher"], torch.from_numpy(logits)[batch["row"]].float())
    module = tiny_module(task=task, loss=loss, r_drop=r_drop, dropout=0.0, teacher_weight=0.3, teacher_temperature=3.0)
    module.eval()
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    said = module(batch["input_ids"], batch["attention_mask"])
    plain = module._total(module._losses(said, batch))
    teacher = {"sentiment": batch["teacher"][..., :3], "mentioned": batch["teacher"][..., 3]}
    pairs = teacher["mentioned"].sigmoid() * torch.tensor([1.0, 1.0, 0.0])
    if task == "sentiment":
        pairs = (batch["sentiment"] != IGNORE).float()
    taught = sum(distillation(said, teacher, pairs, 3.0).values())
    torch.testing.assert_close(module.training_step(batch, 0), 0.7 * plain + 0.3 * taught)
    del batch["teacher"]
    torch.testing.assert_close(module.training_step(batch, 0), plain)


@pytest.mark.parametrize("task", ["absa", "sentiment"])
@pytest.mark.parametrize("loss", [FocalLoss(gamma=2.0, alpha=[1.0, 2.0, 3.0]), CrossEntropyLoss(normalization="weight", alpha=[1.0, 2.0, 3.0])])  # fmt: skip
def test_figures_and_loss_do_not_depend_on_batches(tmp_path, task, loss) -> None:
    module, split = tiny_module(task=task, loss=loss, threshold=0.45), tiny_split(53)
    results = []
    for size, mode in ((53, "sequential"), (7, "sequential"), (1, "random")):
        results.append(trainer(tmp_path).test(module, loader(split, size, mode), verbose=False)[0])
    assert set(results[0]) == {f"test/{n}" for n in FIGURES[task]} | {"test/loss"}
    for other in results[1:]:
        assert other == pytest.approx(results[0], rel=1e-5)


def test_logged_figures_are_those_of_the_predictions(tmp_path) -> None:
    module, split = tiny_module(threshold=0.45), tiny_split(53)
    logged = trainer(tmp_path).test(module, loader(split, 9, "sequential"), verbose=False)[0]
    batches = trainer(tmp_path).predict(module, loader(split, 13, "random"))
    rows = np.concatenate([b["row"].numpy() for b in batches])
    logits = {k: np.concatenate([b[k].numpy() for b in batches])[np.argsort(rows)] for k in ("sentiment", "mentioned")}
    ids = [str(i) for i in range(53)]
    p = Predictions(ids, ids, split.mentioned, split.sentiment.astype(int), logits["sentiment"], logits["mentioned"])
    computed = {name: float(value) for name, value in figures(evaluate(p, 0.45), module.labels, "absa").items()}
    assert {n: logged[f"test/{n}"] for n in computed} == pytest.approx(computed, rel=1e-6)


def test_total_is_sentiment_plus_weighted_detection() -> None:
    module, split = tiny_module(detection_weight=3.0, dropout=0.0).eval(), tiny_split(20)
    batch = split.batch(np.arange(20))
    logits = module(batch["input_ids"], batch["attention_mask"])
    sentiment = FocalLoss(gamma=2.0)(logits["sentiment"], batch["sentiment"])
    detection = torch.nn.functional.binary_cross_entropy_with_logits(logits["mentioned"], batch["mentioned"])
    module.log = lambda *_, **__: None
    torch.testing.assert_close(module.training_step(batch, 0), sentiment + 3 * detection)


@pytest.mark.parametrize("name", ["bce", "focal", "asymmetric"])
def test_detection_losses_train_the_detection_head(name) -> None:
    module, split = tiny_module(detection_loss=name), tiny_split(20)
    module.log = lambda *_, **__: None
    module.training_step(split.batch(np.arange(20)), 0).backward()
    assert module.classifier.mentioned.weight.grad.abs().sum() > 0


RARE = {"rare_aspects": 0.5, "mention_shares": [0.9, 0.5, 0.01]}


def test_with_rare_aspects_the_best_logits_are_still_those_of_the_true_shares() -> None:
    """A hundred reviews alike, of which 90, 50 and 1 mention the aspects: no gradient at the log odds of these."""
    module = tiny_module(**RARE)
    shares = torch.tensor(RARE["mention_shares"])
    targets = (torch.arange(100).unsqueeze(-1) < 100 * shares).float()
    logits = torch.logit(shares).expand(100, 3).clone().requires_grad_()
    module._detection(logits, targets).backward()
    torch.testing.assert_close(logits.grad.sum(0), torch.zeros(3), atol=1e-7, rtol=0)
    torch.testing.assert_close(module.classifier.mentioned.bias.detach(), torch.logit(shares))  # where it begins
    weights = torch.tensor([1.0, 1.0, (1.41 / 3 / 0.01) ** 0.5])
    torch.testing.assert_close(module.mention_weights, weights)
    one, zero = logits.detach().sigmoid(), targets[:1] * 0
    raised = (one * weights) / (1 - one + one * weights)
    torch.testing.assert_close(module._detection(logits[:1], zero + 1), (-weights * raised.log())[0].mean())


def test_a_checkpoint_brings_the_weights_of_rare_aspects(tmp_path) -> None:
    """Others have none, as those from before there were any."""
    for settings, names in ((RARE, {"mention_weights"}), ({}, set())):
        module, path = tiny_module(**settings), tmp_path / f"{len(settings)}.ckpt"
        run = trainer(tmp_path, plugins=[AtomicCheckpointIO()])
        run.fit(module, loader(tiny_split()))
        run.save_checkpoint(path)
        loaded = AspectSentimentModule.load_from_checkpoint(path, weights_only=True)
        assert {name for name in loaded.state_dict() if "weights" in name} == names
        assert torch.equal(loaded.mention_weights, module.mention_weights) if names else loaded.mention_weights is None
    assert tiny_module(task="sentiment", **RARE).mention_weights is None


def test_a_batch_without_any_sentiment_still_trains() -> None:
    module, split = tiny_module(), tiny_split(4)
    batch = split.batch(np.arange(4))
    batch["sentiment"] = torch.full_like(batch["sentiment"], IGNORE)
    module.log = lambda *_, **__: None
    loss = module.training_step(batch, 0)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


def test_dropout_is_on_while_training_and_off_while_judging(tmp_path) -> None:
    seen = {}

    class Look(L.Callback):
        def on_train_batch_start(self, trainer, module, *_):
            seen["train"] = {m.training for m in module.classifier.modules()}

        def on_validation_batch_start(self, trainer, module, *_):
            seen["val"] = {m.training for m in module.classifier.modules()}

    from transformers import XLMRobertaModel

    from src.model.encoder import from_config

    from_config(CONFIG, "cls").save_pretrained(tmp_path)
    encoder = XLMRobertaModel.from_pretrained(tmp_path, add_pooling_layer=False)  # comes in eval mode
    module = AspectSentimentModule(ASPECTS, CONFIG, encoder=encoder, loss=FocalLoss(), total_steps=2)
    trainer(tmp_path, callbacks=[Look()]).fit(module, loader(tiny_split()), loader(tiny_split(), mode="sequential"))
    assert seen == {"train": {True}, "val": {False}}


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    cosine = learning_rate_factor("cosine", 100, 0.1)
    assert [cosine(s) for s in (0, 5, 10)] == pytest.approx([1 / 11, 6 / 11, 1.0])
    assert cosine(55) == pytest.approx(0.5)
    assert cosine(100) == pytest.approx(0.0)
    linear = learning_rate_factor("linear", 100, 0.1)
    assert linear(55) == pytest.approx(0.5)
    assert linear(100) == linear(200) == 0.0
    assert [learning_rate_factor("constant", 100, 0.0)(s) for s in (0, 99)] == [1.0, 1.0]
    assert learning_rate_factor("cosine", 1, 0.06)(0) > 0, "a run of one step learns"
    values = [cosine(s) for s in range(10, 101)]
    assert values == sorted(values, reverse=True)


def test_the_schedule_ends_when_training_ends(tmp_path) -> None:
    split = tiny_split(40)
    module = tiny_module(total_steps=3 * -(-5 // 2))
    run = trainer(tmp_path, max_epochs=3, accumulate_grad_batches=2, gradient_clip_val=1.0)
    run.fit(module, loader(split))
    assert run.global_step == 9
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_gradients_are_clipped_although_the_optimizer_is_fused(tmp_path) -> None:
    norms = []

    class Look(L.Callback):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            norms.append(torch.nn.utils.get_total_norm([p.grad for p in module.parameters()]).item())

    module = tiny_module(loss=lambda z, t: 1e4 * FocalLoss()(z, t))
    trainer(tmp_path, gradient_clip_val=1.0, callbacks=[Look()]).fit(module, loader(tiny_split(20)))
    assert max(norms) > 1, "the callback sees them before clipping"
    clipped = tiny_module()
    for p in clipped.parameters():
        p.grad = torch.ones_like(p)
    clipped.configure_gradient_clipping(None, 1.0)
    assert torch.nn.utils.get_total_norm([p.grad for p in clipped.parameters()]).item() == pytest.approx(1.0, rel=1e-4)


def test_a_checkpoint_is_plain_values_and_gives_the_same_answers(tmp_path) -> None:
    module, split = tiny_module(), tiny_split()
    module.tokenizer_json = "{}"
    run = trainer(tmp_path, plugins=[AtomicCheckpointIO()])
    run.fit(module, loader(split))
    path = tmp_path / "x.ckpt"
    run.save_checkpoint(path)
    raw = torch.load(path, weights_only=True)
    assert json.loads(json.dumps(raw["hyper_parameters"]))["aspects"] == ASPECTS
    assert raw["labels"] == {
        "aspects": ASPECTS,
        "without_sentiment": ["OTHERS"],
        "sentiments": list(SENTIMENTS),
    }
    assert not [k for k in raw["state_dict"] if k.startswith("loss")], "the loss is not part of the model"
    loaded = AspectSentimentModule.load_from_checkpoint(path, weights_only=True).eval()
    assert loaded.tokenizer_json == "{}"
    batch = split.batch(np.arange(5))
    with torch.no_grad():
        mine, its = (m(batch["input_ids"], batch["attention_mask"]) for m in (module.eval(), loaded))
    assert all(torch.equal(mine[k], its[k]) for k in mine)
    assert trainer(tmp_path).test(loaded, loader(split, mode="sequential"), verbose=False)[0].keys() == {
        f"test/{n}" for n in FIGURES["absa"]
    }, "without a loss there are figures all the same"
