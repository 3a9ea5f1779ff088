"""The loop itself: rounds, logs, seeds, several devices, and what is written into checkpoints."""

import copy
import csv
import json
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from conftest import TINY, fp16, of_digits, trainer
from lightning.pytorch.loggers import CSVLogger
from torch._dynamo.utils import counters

import ganzoo
from ganzoo.game import Game, draw_from
from ganzoo.optimizers import Optimizers, learn
from ganzoo.precision import LossScaler
from ganzoo.recipe import recipe


def small(variant=ganzoo.WGAN, **arguments) -> Game:
    torch.manual_seed(0)
    networks = {"generator": partial(ganzoo.DCGANGenerator, width=4)}
    if variant is not ganzoo.WGANGP:
        networks["discriminator"] = partial(ganzoo.DCGANDiscriminator, width=4)
    return variant(shape=TINY, **(networks | arguments))


@pytest.mark.parametrize("discriminator_steps", [1, 2, 5])
def test_steps_count_rounds(fit, discriminator_steps, tmp_path):
    saved = ganzoo.Checkpoints(every_steps=4, keep_every_steps=3)
    game = small(discriminator_steps=discriminator_steps)
    of = fit(game, max_steps=7, enable_checkpointing=True, callbacks=[saved], default_root_dir=tmp_path)
    assert of.global_step == 7
    assert game.images_seen == 7 * 8 * discriminator_steps
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["last.ckpt", "previous.ckpt", "step-00000003.ckpt", "step-00000006.ckpt"]
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 7, "the end is saved too"


def test_terms_are_logged_by_name_at_log_steps_only(fit, tmp_path):
    game = small(ganzoo.WGANGP)
    fit(game, max_steps=7, log_every_n_steps=3, logger=CSVLogger(tmp_path, name="", version="", flush_logs_every_n_steps=1))
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["3", "6"]
    assert [float(row["images_seen"]) for row in rows] == [3 * 5 * 8, 6 * 5 * 8]
    critic = [float(rows[0][f"discriminator/{term}"]) for term in ("real", "fake", "penalty")]
    assert sum(critic) == pytest.approx(float(rows[0]["discriminator/loss"]), rel=1e-4)
    assert float(rows[0]["generator/gradient_norm"]) > 0
    assert float(rows[1]["images_per_second"]) > 0
    assert "generator/adversarial" in rows[0]


def test_the_rate_is_on_every_learning_rate(fit):
    class Halved(ganzoo.DCGAN):
        def rate(self, step: int) -> float:
            return 0.5**step

    game = Halved(shape=TINY, lr=0.1)
    of = fit(game, max_steps=3)
    assert [group["lr"] for group in of.optimizers[0].param_groups] == [pytest.approx(0.1 / 4)] * 2


def test_learning_rates_decay_linearly():
    game = small(decay=(4, 8))
    assert [game.rate(step) for step in (0, 4, 5, 6, 7, 8, 9)] == [1, 1, 0.75, 0.5, 0.25, 0, 0]
    assert small().rate(10**6) == 1


@pytest.mark.parametrize("decay", [(8, 5), (-1, 5)])
def test_a_decay_that_ends_before_it_begins_is_refused(decay):
    for game in (small, partial(of_digits, ganzoo.Pix2Pix)):
        with pytest.raises(ValueError, match=r"^decay is the round in which the learning rates begin to fall"):
            game(decay=decay)


def test_training_on_after_the_decay_is_refused(fit, tmp_path):
    fit(
        small(decay=(1, 2)), max_steps=2, enable_checkpointing=True, callbacks=[ganzoo.Checkpoints()], default_root_dir=tmp_path
    )
    with pytest.raises(ValueError, match="fallen to zero by round 2"):
        fit(small(decay=(1, 2)), tmp_path / "checkpoints/last.ckpt", max_steps=4)
    fit(small(decay=(1, 8)), tmp_path / "checkpoints/last.ckpt", max_steps=4)


def test_a_run_stopped_after_its_decay_goes_on(fit, tmp_path):
    straight, again = small(decay=(1, 2)), small(decay=(1, 2))
    kept = ganzoo.Checkpoints(keep_every_steps=3)
    fit(straight, max_steps=4, enable_checkpointing=True, callbacks=[kept], default_root_dir=tmp_path)
    fit(again, max_steps=4, ckpt_path=tmp_path / "checkpoints/step-00000003.ckpt")
    assert again.global_step == 4
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in straight.state_dict().items())


@pytest.mark.parametrize("variant", [ganzoo.DCGAN, ganzoo.WGAN])
def test_the_discriminator_can_have_its_own_rate(variant):
    made = small(variant, lr=0.1, discriminator_lr=0.4).configure_optimizers().of
    assert {name: of.param_groups[0]["lr"] for name, of in made.items()} == {"discriminator": 0.4, "generator": 0.1}


def test_training_does_not_depend_on_who_else_draws(fit):
    class Noisy(L.Callback):
        def on_train_batch_end(self, trainer, game, *_):
            torch.randn(trainer.global_step)
            game.sample(3)

    quiet, watched = small(), small()
    fit(quiet)
    fit(watched, callbacks=[Noisy()])
    assert all(torch.equal(value, watched.state_dict()[name]) for name, value in quiet.state_dict().items())


def test_other_seeds_other_runs(fit):
    first, second = small(), small()
    fit(first)
    second.seed = 1
    fit(second)
    assert not torch.equal(first.generator.project.weight, second.generator.project.weight)


def test_noise_is_a_function_of_seed_round_and_rank():
    def draw(*key: int) -> torch.Tensor:
        draw_from(torch.device("cpu"), *key)
        return torch.randn(8)

    assert torch.equal(draw(0, 5, 1), draw(0, 5, 1))
    keys = [(0, 5, 1), (0, 5, 0), (0, 6, 1), (1, 5, 1), (5, 0, 1)]
    assert len({tuple(draw(*key).tolist()) for key in keys}) == len(keys)


def test_weight_average(fit):
    class Follow(L.Callback):
        def on_train_start(self, trainer, game):
            self.expected = game.generator.project.weight.detach().clone()

        def on_train_batch_end(self, trainer, game, *_):
            step = trainer.global_step - 1
            decay = min(0.3, (1 + step) / (10 + step))  # 0.1, 0.18, 0.25, 0.3, 0.3
            self.expected.lerp_(game.generator.project.weight.detach(), 1 - decay)

    follow = Follow()
    game = small(average_decay=0.3)
    fit(game, max_steps=5, callbacks=[follow])
    torch.testing.assert_close(game.average.project.weight, follow.expected)
    assert not torch.equal(game.average.project.weight, game.generator.project.weight)
    assert all(not weight.requires_grad for weight in game.average.parameters())
    z = torch.randn(3, 100)
    draw = game.average.eval()(z)
    game.latent = lambda n: z
    assert torch.equal(game.sample(3), draw), "samples come from the average"


def test_bf16_sees_the_discriminators_new_weights(fit):
    """Autocast must not hand the generator's turn the discriminator's weights from before its own turn."""
    seen = []

    class Watched(ganzoo.GAN):
        def generator_loss(self, real, label=None):
            logit = self.discriminator(real)
            with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
                seen.append((logit, self.discriminator(real)))
            return super().generator_loss(real, label)

    torch.manual_seed(0)
    fit(Watched(shape=TINY, lr=0.01), precision="bf16-mixed")
    assert len(seen) == 3
    assert all(torch.equal(cached, fresh) for cached, fresh in seen)


class Overflowing(ganzoo.DCGAN):
    """The generator's gradient, but not its loss, is too large in round 2, and only then."""

    def generator_loss(self, real, label=None):
        terms = super().generator_loss(real, label)
        steep = 1e38 if self.global_step == 2 else 0.0
        return {name: term + steep * (term - term.detach()) for name, term in terms.items()}


class OverflowingRMSprop(Overflowing):
    """Of an optimizer that cannot leave its weights alone on the device."""

    def optimizer(self, player, parameters):
        return torch.optim.RMSprop(parameters, lr=1e-4)


class Scales(L.Callback):
    """After each round: each player's scale, weights, and optimizer's state."""

    def __init__(self) -> None:
        self.scales, self.weights, self.states = [], [], []

    def on_train_batch_end(self, trainer, game, *_):
        self.scales.append({player: scaler.get_scale() for player, scaler in game.scalers.items()})
        weights = {player: list(networks.parameters()) for player, networks in game.players().items()}
        self.weights.append({player: torch.cat([w.detach().flatten() for w in of]) for player, of in weights.items()})
        optimizers = trainer.optimizers[0].of
        self.states.append({player: copy.deepcopy(of.state_dict()["state"]) for player, of in optimizers.items()})


@pytest.mark.parametrize("variant", [Overflowing, OverflowingRMSprop])
def test_fp16_an_overflow_costs_one_step_of_one_player(variant, fit):
    seen = Scales()
    game = small(variant)
    fit(game, max_steps=5, callbacks=[seen], **fp16())
    assert game.scalers["generator"] is not game.scalers["discriminator"]
    before = seen.scales[1]  # the generator's first gradient has overflown too
    assert before == {"discriminator": 2**16, "generator": 2**15}
    assert seen.scales[2:] == [before | {"generator": 2**14}] * 3
    for step in range(1, 5):
        before, after = seen.weights[step - 1], seen.weights[step]
        assert not torch.equal(before["discriminator"], after["discriminator"])
        assert torch.equal(before["generator"], after["generator"]) == (step == 2)
        assert torch.isfinite(after["generator"]).all()
    moments = [[value for weight in states["generator"].values() for value in weight.values()] for states in seen.states]
    assert all(torch.equal(before, after) for before, after in zip(moments[1], moments[2], strict=True)), "as if not played"


def test_fp16_gradients_are_those_of_float32(fit):
    """Small ones too, which unscaled would be zero; and the losses are not the scaled ones."""

    def first_round(**precision) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        gradients = {}

        class Catch(L.Callback):
            def on_train_start(self, trainer, game):
                for player, of in trainer.optimizers[0].of.items():
                    of.register_step_pre_hook(lambda of, *_, player=player: gradients.update({player: flat(of)}))

        def flat(of: torch.optim.Optimizer) -> torch.Tensor:
            return torch.cat([weight.grad.flatten() for weight in of.param_groups[0]["params"]])

        class Quiet(ganzoo.GAN):  # gradients below fp16's smallest number
            def discriminator_loss(self, real, label=None):
                return {name: 1e-6 * term for name, term in super().discriminator_loss(real, label).items()}

        torch.manual_seed(0)
        game = Quiet(shape=TINY)
        fit(game, max_steps=1, callbacks=[Catch()], **precision)
        return gradients, game.terms

    (exact, losses), (gradients, scaled) = first_round(), first_round(**fp16())
    assert exact["discriminator"].abs().median() < 6e-8
    for player, gradient in gradients.items():
        assert (gradient - exact[player]).norm() < 0.05 * exact[player].norm(), player
        assert scaled.pop(f"{player}/loss_scale") == 2**16
    losses = {name: loss for name, loss in losses.items() if not name.endswith("gradient_norm")}  # which overflow
    assert scaled.keys() == losses.keys()
    for name, loss in losses.items():
        torch.testing.assert_close(scaled[name], loss, rtol=1e-2, atol=0)


def test_fp16_a_gradient_that_two_weights_share_is_unscaled_once():
    weights = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    total = ((weights[0] + weights[1]) * torch.arange(3)).sum()
    scaler = LossScaler(torch.device("cpu"))
    gradients = list(torch.autograd.grad(total * scaler.factor, weights))
    assert gradients[0].data_ptr() == gradients[1].data_ptr()
    optimizers = Optimizers({"player": torch.optim.SGD(weights, lr=1.0)})
    learn(optimizers.of["player"], weights, gradients, 1.0, scaler)
    assert all(weight.tolist() == [0, -1, -2] for weight in weights)


def test_fp16_resumes_exactly(fit, tmp_path):
    straight, first, second = (small(Overflowing) for _ in range(3))
    fit(straight, max_steps=6, **fp16())
    fit(first, max_steps=4, **fp16()).save_checkpoint(tmp_path / "x.ckpt")
    fit(second, max_steps=6, ckpt_path=tmp_path / "x.ckpt", **fp16())
    for name, value in straight.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    states = [{player: scaler.state_dict() for player, scaler in game.scalers.items()} for game in (straight, second)]
    assert states[0] == states[1]
    assert [state["scale"] for state in states[1].values()] == [2**16, 2**14]
    assert [state["_growth_tracker"] for state in states[1].values()] == [6, 3], "rounds since the last overflow"
    ganzoo.load(tmp_path / "x.ckpt")


def test_a_run_may_go_on_in_fp16_and_back(fit, tmp_path):
    path = tmp_path / "x.ckpt"
    fit(small(), max_steps=1).save_checkpoint(path)
    old = torch.load(path, weights_only=True)
    assert old["game"].pop("scales") == {}
    torch.save(old, path)  # as before there were scales
    fit(small(), max_steps=2, ckpt_path=path, **fp16()).save_checkpoint(path)
    assert torch.load(path, weights_only=True)["game"]["scales"].keys() == {"discriminator", "generator"}
    game = small()
    fit(game, max_steps=3, ckpt_path=path)
    assert not game.scalers


@pytest.mark.parametrize("variant", [ganzoo.LSGAN, ganzoo.WGANGP, ganzoo.UnrolledGAN])
def test_fp16_compiled_rounds_are_the_eager_ones(variant, fit, aot_eager):
    """And a scale that changes compiles nothing anew."""
    eager, compiled = (of_digits(variant, compile=how) for how in (False, True))
    compiled.load_state_dict(eager.state_dict())
    counters.clear()
    for game in (eager, compiled):
        fit(game, max_steps=8, **fp16())
    assert counters["stats"]["unique_graphs"] == 2
    assert min(scaler.get_scale() for scaler in compiled.scalers.values()) < 2**16 or variant is not ganzoo.LSGAN
    assert all(torch.equal(value, compiled.state_dict()[name]) for name, value in eager.state_dict().items())


def test_fp16_keeps_the_host_from_waiting(fit, monkeypatch):
    """With a fused optimizer: it is the device that skips a step."""
    reads = []
    for name in ("item", "tolist", "__bool__", "__float__"):
        read = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda *given, name=name, read=read: (reads.append(name), read(*given))[1])

    def reads_of(**precision) -> list[str]:
        reads.clear()
        fit(small(Overflowing), max_steps=4, log_every_n_steps=9, **precision)
        return list(reads)

    assert reads_of(**fp16()) == reads_of(), "those of Lightning's start"


@pytest.mark.parametrize("scale, troubles", [(2**16, set()), (1, {"not finite"})])
def test_the_watch_takes_no_fp16_overflow_for_trouble(scale, troubles, fit):
    """Unless it is halved and halved again in vain."""

    class Scaled(L.Callback):
        def on_train_start(self, trainer, game):
            game.scalers["generator"].update(float(scale))

    watch = ganzoo.CollapseWatch(every_steps=3, n=4)
    fit(small(Overflowing), max_steps=3, callbacks=[Scaled(), watch], **fp16())
    assert not math.isfinite(watch.values["generator/gradient_norm"])
    assert watch.found.keys() & {"not finite"} == troubles


def test_refuses_what_a_checkpoint_cannot_hold():
    with pytest.raises(ValueError, match="cannot be written"):
        ganzoo.GAN(shape=TINY, lr=torch.tensor(1.0))
    with pytest.raises(ValueError, match="cannot be written"):
        ganzoo.GAN(shape=TINY, generator=lambda latent_dim, shape: ganzoo.MLPGenerator(latent_dim, shape))
    for no_recipe in (partial(lambda shape: ganzoo.MLPDiscriminator(shape)), partial(ganzoo.MLPDiscriminator, TINY)):
        with pytest.raises(ValueError, match="cannot be written"):
            recipe(no_recipe)


def test_recipes_are_json():
    made = recipe({"a": partial(ganzoo.MLPGenerator, width=3), "b": (1, 2.0, None), "c": ganzoo.MLPDiscriminator})
    assert made["a"] == {"class_path": "ganzoo.networks.mlp.MLPGenerator", "init_args": {"width": 3}}
    assert json.loads(json.dumps(made)) == made
    assert [type(recipe(number)) for number in (np.float64(0.1), True, 3, 0.5, "x")] == [float, bool, int, float, str]


def test_reloads_networks_given_as_partials(fit, tmp_path):
    game = small(ganzoo.WGANGP, discriminator=partial(ganzoo.MLPDiscriminator, width=7))
    fit(game, max_steps=1).save_checkpoint(tmp_path / "x.ckpt")
    again = ganzoo.load(tmp_path / "x.ckpt")
    assert again.discriminator.layers[0].out_features == 7
    assert not again.training
    assert again.images_seen == game.images_seen


def test_load_refuses_foreign_checkpoints(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match="not written by ganzoo"):
        ganzoo.load(tmp_path / "x.ckpt")
    torch.save({"state_dict": {}, "game": {}, "hyper_parameters": {"_class_path": "os.path.Join"}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match="import its module"):
        ganzoo.load(tmp_path / "x.ckpt")


def test_a_checkpoint_of_another_variant_or_size_is_refused(fit, tmp_path):
    fit(small(), max_steps=1).save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match="holds a WGAN, not a DCGAN"):
        fit(small(ganzoo.DCGAN), ckpt_path=tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"generator.project.weight .* differ: latent_dim"):
        fit(small(latent_dim=7), ckpt_path=tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    "variant, strategy, precision",
    [
        ("WGAN", "UnwrappedDDP", []),
        ("WGANGP", "UnwrappedDDP", []),
        ("WGANGP", "ddp", []),
        ("BEGAN", "UnwrappedDDP", []),  # its k is a buffer
        ("UnrolledGAN", "UnwrappedDDP", []),  # its loss reads the optimizer
        ("StyleGAN", "UnwrappedDDP", []),  # it grows, and its mean of w is a buffer
        ("SemiSupervisedGAN", "UnwrappedDDP", []),  # its batches have three parts
        ("DCGAN", "UnwrappedDDP", ["fp16"]),  # one rank's gradient overflows
    ],
)
def test_two_processes(variant, strategy, precision, tmp_path):
    """Weights and statistics equal on both ranks, noise different, each rank its own images, gradients averaged."""
    script = Path(__file__).parent / "two_processes.py"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, script, variant, strategy, tmp_path, *precision]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["step"] == second["step"] == 3
    assert first["images_seen"] == 3 * 2 * 8 * of_digits(getattr(ganzoo, variant)).minibatches
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name
    assert not torch.equal(first["noise"], second["noise"])
    assert not torch.equal(first["real"], second["real"])
    assert torch.equal(first["logged"], second["logged"]), "the mean over devices"
    torch.testing.assert_close(first["mean"], (first["own"] + second["own"]) / 2)
    assert first["watched"] == second["watched"], "the mean over devices"
    assert first["scales"] == second["scales"] == ({"discriminator": 2**16, "generator": 2**15} if precision else {})
    assert {"generator/gradient_norm", "accuracy_real", "coverage"} <= first["watched"].keys()


def test_validation_and_test_are_loss_terms_of_held_out_data(tmp_path):
    of = trainer(logger=CSVLogger(tmp_path, name="", version=""), limit_test_batches=2)
    [metrics] = of.test(small(ganzoo.WGANGP), ganzoo.Digits(batch_size=8), verbose=False)
    assert set(metrics) == {
        "test/discriminator/real",
        "test/discriminator/fake",
        "test/discriminator/penalty",
        "test/generator/adversarial",
    }
