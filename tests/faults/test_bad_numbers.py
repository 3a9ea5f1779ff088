"""NaN and infinity: seen, named, gone back from, never saved."""

import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from command import TINY, at_call, forked
from conftest import data_for, of_digits, trainer

import ganzoo
from ganzoo import game
from ganzoo.game import Diverged

FIT = ["fit", *TINY, "--trainer.max_steps", "24", "--trainer.log_every_n_steps", "4", "--checkpoints.every_steps", "8"]
RUN = Path("runs/dcgan_digits/version_0")


class Spoilt(ganzoo.DCGAN):
    """From a round on a term, a gradient or a weight is not finite."""

    what, value, since = "term", math.nan, 6

    def generator_loss(self, real, label=None):
        terms = super().generator_loss(real, label)
        if self.what == "gradient" and self.spoilt:  # the loss is finite, its gradient is infinite
            weight = self.generator.project.weight
            terms["adversarial"] = terms["adversarial"] + (weight - weight.detach()).abs().sqrt().sum()
        if self.what == "term" and self.spoilt:
            terms["adversarial"] = terms["adversarial"] + self.value
        return terms

    def after_turn(self, player):
        if self.what == "weight" and player == "generator" and self.spoilt:
            with torch.no_grad():
                self.generator.project.weight[0, 0] = self.value

    @property
    def spoilt(self) -> bool:
        return self.global_step + 1 >= self.since


@pytest.mark.parametrize(
    "what, value, told",
    [
        ("term", math.nan, "round 6: the generator's adversarial is nan"),
        ("term", math.inf, "round 6: the generator's adversarial is inf"),
        ("gradient", math.nan, "round 6: the generator's gradient_norm is"),
        ("weight", math.inf, "round 7: the discriminator's fake is nan"),  # what it makes then
    ],
)
def test_named_within_one_log_interval(what, value, told, monkeypatch):
    for name, given in {"what": what, "value": value}.items():
        monkeypatch.setattr(Spoilt, name, given)
    of = trainer(max_steps=50, log_every_n_steps=4)
    with pytest.raises(Diverged, match=told):
        of.fit(of_digits(Spoilt), data_for(Spoilt))
    assert of.global_step == 8


def test_a_term_that_is_logged_no_more_has_its_own_name():
    class Torn(ganzoo.SRGAN):
        def pretraining_loss(self, source, target):
            spoilt = math.nan if self.global_step == 1 else 0.0
            return {name: term + spoilt for name, term in super().pretraining_loss(source, target).items()}

    game = of_digits(Torn, pretrain_steps=3)  # whose terms are dropped then
    with pytest.raises(Diverged, match="round 2: the generator's pixels is nan"):
        trainer(max_steps=6, log_every_n_steps=6).fit(game, data_for(Torn))


def test_a_weight_that_goes_bad_in_the_last_round_before_the_log(monkeypatch):
    monkeypatch.setattr(Spoilt, "what", "weight")
    monkeypatch.setattr(Spoilt, "since", 4)
    with pytest.raises(Diverged, match="round 4: the generator's weights are not finite"):
        trainer(max_steps=50, log_every_n_steps=4).fit(of_digits(Spoilt), data_for(Spoilt))


@pytest.mark.parametrize(
    "variant", [ganzoo.DCGAN, ganzoo.WGAN, ganzoo.WGANGP, ganzoo.SemiSupervisedGAN], ids=lambda v: v.__name__
)
def test_bad_data_is_seen_too(variant):
    """Whatever the optimizer and the number of turns."""

    class Poison(L.Callback):
        def on_train_batch_start(self, trainer, game, batches, batch_idx):
            if trainer.global_step == 2:
                batches[0][0][0] = math.nan

    with pytest.raises(Diverged, match="round 3: the discriminator's"):
        trainer(max_steps=9, log_every_n_steps=3, callbacks=[Poison()]).fit(of_digits(variant), data_for(variant))


def test_nothing_bad_is_saved(tmp_path, monkeypatch):
    """Not even between two log steps."""
    monkeypatch.setattr(Spoilt, "what", "term")
    of = trainer(
        max_steps=50,
        log_every_n_steps=40,
        callbacks=[ganzoo.Checkpoints(every_steps=4)],
        enable_checkpointing=None,
        default_root_dir=tmp_path,
    )
    with pytest.raises(Diverged, match="round 6"):
        of.fit(of_digits(Spoilt), data_for(Spoilt))
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    assert all(weight.isfinite().all() for weight in saved["state_dict"].values())


def poison_round(number: int, *attempts: int) -> Callable[[], None]:
    """The generator's gradient is NaN in this round when it is played for the first time (1), the second (2) ..."""

    def sabotage() -> None:
        learn, played = game.learn, []

        def poisoned(optimizer, weights, gradients, *rest):
            if optimizer.param_groups[0]["name"] == "generator":
                done = optimizer.state[weights[0]].get("step", torch.tensor(0.0)).item()
                played.append(done + 1)
                if done + 1 == number and played.count(number) in attempts:
                    gradients = [gradient * math.nan for gradient in gradients]
            return learn(optimizer, weights, gradients, *rest)

        game.learn = poisoned

    return sabotage


def test_goes_back_to_the_last_good_checkpoint_with_other_noise(tmp_path):
    status, said = forked(tmp_path, *FIT, sabotage=poison_round(13, 1))
    assert status == 0, said
    [line] = [line for line in said.splitlines() if line.startswith("ganzoo: ")]
    assert "back to the latest checkpoint, and on with other noise (1 of 2 times)" in line
    assert "goes on after round 8" in said
    [run] = (tmp_path / "runs/dcgan_digits").iterdir()
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (saved["game"]["noise"], saved["global_step"]) == (1, 24)
    assert all(weight.isfinite().all() for weight in saved["state_dict"].values())
    assert json.loads((run / "cost.json").read_text())["state"] == "finished"
    assert "nan" not in (run / "metrics.csv").read_text()
    straight = tmp_path / "straight"
    straight.mkdir()
    assert forked(straight, *FIT)[0] == 0
    other = torch.load(straight / RUN / "checkpoints" / "last.ckpt", weights_only=True)
    assert other["game"]["noise"] == 0
    assert not torch.equal(other["state_dict"]["generator.project.weight"], saved["state_dict"]["generator.project.weight"])


def test_killed_after_going_back_it_keeps_the_other_noise(tmp_path):
    def both() -> None:
        poison_round(13, 1)()
        at_call("ganzoo.callbacks.checkpoints:keep_a_copy", 3, lambda: os.kill(os.getpid(), signal.SIGKILL))  # round 24

    assert forked(tmp_path, *FIT, sabotage=both)[0] == -9
    assert forked(tmp_path, *FIT)[0] == 0
    saved = torch.load(tmp_path / RUN / "checkpoints" / "last.ckpt", weights_only=True)
    straight = tmp_path / "straight"
    straight.mkdir()
    assert forked(straight, *FIT, sabotage=poison_round(13, 1))[0] == 0
    other = torch.load(straight / RUN / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["game"]["noise"] == other["game"]["noise"] == 1
    assert all(torch.equal(weight, other["state_dict"][name]) for name, weight in saved["state_dict"].items())


def test_stops_after_the_stated_number_of_times(tmp_path):
    status, said = forked(tmp_path, *FIT, "--rollbacks", "1", sabotage=poison_round(13, 1, 2))
    assert status == 2
    lines = [line for line in said.splitlines() if line.startswith("ganzoo: ")]
    assert len(lines) == 2
    assert "(1 of 1 times)" in lines[0]
    assert lines[1].startswith("ganzoo: round 14: the ")
    assert "also with other noise (1 times): try --model.lr" in lines[1]
    assert json.loads((tmp_path / RUN / "cost.json").read_text())["state"] == "diverged"
    assert torch.load(tmp_path / RUN / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 8
