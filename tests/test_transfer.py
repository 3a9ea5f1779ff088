"""Runs that begin with another's weights, and discriminators whose lower layers do not learn."""

import copy
import logging
from functools import partial

import pytest
import torch
from conftest import TINY, of_digits
from torch import nn

import ganzoo
from ganzoo.__main__ import main
from ganzoo.duel import Duel
from ganzoo.growing import GrowingDuel
from ganzoo.listing import variants
from ganzoo.transfer import take

GENERATOR = partial(ganzoo.DCGANGenerator, width=8)
DISCRIMINATOR = partial(ganzoo.DCGANDiscriminator, width=8)
DUELS = [
    variant
    for variant in variants()
    if issubclass(variant, Duel) and len(variant.usual_shape) == 3 and variant is not ganzoo.BEGAN
]
NETWORKS = {"generator": GENERATOR, "discriminator": DISCRIMINATOR}


def new(variant=ganzoo.DCGAN, seed: int = 0, **arguments) -> Duel:
    torch.manual_seed(seed)
    return variant(shape=TINY, **(NETWORKS | arguments))


@pytest.fixture
def source(fit, tmp_path):
    """A checkpoint, and the game in it."""
    game = new()
    fit(game).save_checkpoint(tmp_path / "source.ckpt")
    return tmp_path / "source.ckpt", game


def begun(game: Duel, fit) -> dict[str, torch.Tensor]:
    """The weights with which the game's first round begins."""
    state = {}
    first = game.on_train_start
    game.on_train_start = lambda: (first(), state.update(copy.deepcopy(game.state_dict())))[0]
    fit(game, max_steps=1)
    return state


def test_a_new_run_begins_with_the_weights(source, fit):
    path, of = source
    game = new(seed=1, init_from=str(path))
    assert not torch.equal(game.generator.project.weight, of.generator.project.weight), "not before the run"
    state = begun(game, fit)
    assert all(torch.equal(value, state[name]) for name, value in of.state_dict().items())
    assert not torch.equal(game.generator.project.weight, of.generator.project.weight), "and learns"


def test_exported_weights_will_do(source, fit, tmp_path):
    path, of = source
    main(["export", "--checkpoint", str(path), "--out", str(tmp_path / "weights.safetensors")])
    state = begun(new(seed=1, init_from=str(tmp_path / "weights.safetensors")), fit)
    assert all(torch.equal(value, state[name]) for name, value in of.state_dict().items())


def test_weights_on_the_way_to_another_run(source, fit, tmp_path, capsys):
    """0.75 of these and 0.25 of those, of an averaged generator too; nothing else changes."""
    path, of = source
    averaged = new(seed=1, average_decay=0.9)
    fit(averaged).save_checkpoint(tmp_path / "averaged.ckpt")
    out = tmp_path / "between.safetensors"
    main(
        [
            "export",
            "--checkpoint",
            str(tmp_path / "averaged.ckpt"),
            "--towards",
            str(path),
            "--share",
            "0.25",
            "--out",
            str(out),
        ]
    )
    between = ganzoo.load(out)
    for name, weight in between.average.state_dict().items():
        ours, theirs = averaged.average.state_dict()[name], of.generator.state_dict()[name]
        torch.testing.assert_close(weight, 0.75 * ours + 0.25 * theirs if weight.is_floating_point() else ours)
    assert torch.equal(between.generator.project.weight, averaged.generator.project.weight)
    fit(new(generator=partial(ganzoo.DCGANGenerator, width=4))).save_checkpoint(tmp_path / "narrow.ckpt")
    for refused in (["--towards", str(tmp_path / "narrow.ckpt")], ["--towards", str(path), "--share", "2"]):
        with pytest.raises(SystemExit):
            main(["export", "--checkpoint", str(path), *refused, "--out", str(out)])
    said = capsys.readouterr().err
    assert "--towards has another generator" in said and "--share is a number from 0 to 1, not 2" in said


def test_whatever_stands_in_front_and_whatever_it_keeps(source, fit, tmp_path):
    """A finished run's noise has fallen to zero: the new run's begins anew. Its average begins as the weights."""
    path, of = source
    fronts = {"augment": ganzoo.DiffAugment, "instance_noise": (0.5, 6), "lecam": 0.3, "historical_averaging": 0.1}
    there = new(seed=1, init_from=str(path), average_decay=0.9, **fronts)
    state = begun(there, fit)
    inner = "discriminator." * 3
    for name, value in of.discriminator.state_dict().items():
        assert torch.equal(state[f"{inner}discriminator.{name}"], value), name
    for name, value in of.generator.state_dict().items():
        assert torch.equal(state[f"average.{name}"], value), name
    assert state[f"{inner}sigma"].item() == 0.5
    fit(there, max_steps=9).save_checkpoint(tmp_path / "fronts.ckpt")
    assert there.discriminator.discriminator.discriminator.sigma == 0
    again = begun(new(seed=2, init_from=str(tmp_path / "fronts.ckpt"), **fronts), fit)
    assert again[f"{inner}sigma"].item() == 0.5
    assert again["discriminator.t"] == again["history.generator.t"] == 0
    assert torch.equal(again["generator.project.weight"], there.generator.project.weight)


def test_averages_of_what_has_none_begin_as_it(fit, tmp_path):
    torch.manual_seed(0)
    of = ganzoo.BiGAN(shape=TINY, **NETWORKS)
    fit(of).save_checkpoint(tmp_path / "x.ckpt")
    state = begun(ganzoo.BiGAN(shape=TINY, average_decay=0.9, init_from=str(tmp_path / "x.ckpt"), **NETWORKS), fit)
    for name, value in of.encoder.state_dict().items():
        assert torch.equal(state[f"encoder_average.{name}"], value)


def test_what_does_not_fit_is_named(source, fit, caplog):
    path, of = source
    game = new(ganzoo.CGAN, seed=1, classes=10, init_from=str(path))
    with caplog.at_level(logging.INFO, "lightning.pytorch.utilities.rank_zero"), pytest.raises(ValueError, match="none of the"):
        fit(game, data=ganzoo.Digits(batch_size=8))  # of CGAN's networks each lies inside another
    longer = new(seed=1, latent_dim=20, init_from=str(path))
    with caplog.at_level(logging.INFO, "lightning.pytorch.utilities.rank_zero"):
        state = begun(longer, fit)
    [line] = [record.message for record in caplog.records if str(path) in record.message]
    assert line.endswith("; left as they were: generator.project.weight ([256, 100] there, [256, 20] here)")
    assert torch.equal(state["generator.layers.0.weight"], of.generator.layers[0].weight)


def test_other_classes(fit, tmp_path, caplog):
    """All but the tables of classes come along."""
    make = {"generator": GENERATOR, "discriminator": DISCRIMINATOR}
    ten, five = (ganzoo.ProjectionGAN(shape=TINY, classes=n, **make) for n in (10, 5))
    fit(ten, data=ganzoo.Digits(batch_size=8)).save_checkpoint(tmp_path / "ten.ckpt")
    with caplog.at_level(logging.INFO, "lightning.pytorch.utilities.rank_zero"):
        take(five, tmp_path / "ten.ckpt")
    assert "discriminator.project.weight ([10, 256] there, [5, 256] here)" in caplog.records[-1].message
    for name, value in five.state_dict().items():
        same = value.shape == ten.state_dict()[name].shape
        assert not same or torch.equal(value, ten.state_dict()[name]), name


def test_nothing_fits(source, fit):
    path, _ = source
    game = ganzoo.GAN(shape=TINY, init_from=str(path))
    with pytest.raises(ValueError, match=r"^none of the weights in .*source\.ckpt fits this GAN: generator\.layers\.0\.weight"):
        fit(game)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        fit(new(init_from="nowhere.ckpt"))


def test_neither_reloading_nor_resuming_needs_the_file(source, fit, tmp_path):
    path, _ = source
    straight, first, second = (new(seed=seed, init_from=str(path), freeze_discriminator=1) for seed in (1, 1, 2))
    fit(straight, max_steps=4)
    fit(first, max_steps=2).save_checkpoint(tmp_path / "x.ckpt")
    path.unlink()
    again = ganzoo.load(tmp_path / "x.ckpt")
    assert (again.hparams["init_from"], again.hparams["freeze_discriminator"]) == (str(path), 1)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    fit(second, max_steps=4, ckpt_path=tmp_path / "x.ckpt")
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in straight.state_dict().items())


# --- FreezeD


def test_stages():
    dcgan = ganzoo.DCGANDiscriminator((3, 32, 32), width=4, hidden=8)
    assert [type(stage[0]) for stage in dcgan.stages] == [nn.Conv2d] * 3
    assert [len(stage) for stage in dcgan.stages] == [2, 3, 3], "LeakyReLU, and batch normalisation from the second on"
    resnet = ganzoo.ResNetDiscriminator((3, 32, 32), width=4)
    assert [stage[0] for stage in resnet.stages] == list(resnet.blocks)
    biggan = ganzoo.BigGANDiscriminator((3, 64, 64), width=4)
    assert [type(stage[0]).__name__ for stage in biggan.stages] == [
        "Block",
        "SelfAttention",
        "Block",
        "Block",
        "Block",
        "Block",
    ]
    r3gan = ganzoo.R3GANDiscriminator((3, 16, 16), width=8)
    assert [len(stage) for stage in r3gan.stages] == [4, 3, 2], "the first layer, two blocks, and the way to the next size"
    assert [layer for stage in r3gan.stages for layer in stage] == list(r3gan.layers[:-1])


@pytest.mark.parametrize("variant", DUELS, ids=lambda variant: variant.__name__)
def test_frozen_layers_stay_and_all_others_learn(variant, fit):
    torch.manual_seed(0)
    norm = "spectral" if variant is ganzoo.ProjectionGAN else "none"
    kind = partial(ganzoo.DCGANDiscriminator, width=8, norm=norm)
    other = {} if issubclass(variant, GrowingDuel) else {"discriminator": kind}
    game = of_digits(variant, **other, freeze_discriminator=1, lecam=0.1 if variant.one_logit else 0.0)
    before = {name: weight.detach().clone() for name, weight in game.named_parameters()}
    frozen = {name for name, weight in game.named_parameters() if not weight.requires_grad and not name.startswith("average.")}
    network = next(module for module in game.discriminator.modules() if hasattr(module, "stages"))
    assert len(frozen) == len(list(network.stages[0][0].parameters())) == 2
    fit(game)
    for name, weight in game.named_parameters():
        if not name.startswith("average."):
            assert torch.equal(weight, before[name]) == (name in frozen), name


def test_the_generator_learns_through_frozen_layers():
    game = new(freeze_discriminator=2)
    game.configure_optimizers()
    _, gradients = game.move("generator", game.generator_loss, (torch.rand(4, *TINY),))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_what_cannot_be_frozen_is_refused():
    with pytest.raises(ValueError, match=r"^this DCGANDiscriminator has 2 layers below its last: freeze 0 to 2, not 3$"):
        new(freeze_discriminator=3)
    with pytest.raises(ValueError, match="not -1"):
        new(freeze_discriminator=-1)
    with pytest.raises(ValueError, match=r"^freeze_discriminator counts the lower layers of a convolutional network"):
        ganzoo.GAN(shape=TINY, freeze_discriminator=1)


def test_both_from_the_command_line(source, tmp_path, monkeypatch, caplog):
    path, of = source
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "lightning.pytorch.utilities.rank_zero")
    command = ["fit", "--model", "DCGAN", "--data", "Digits", "--trainer.accelerator", "cpu", "--trainer.max_steps", "2"]
    command += ["--model.generator", "DCGANGenerator", "--model.generator.width", "8", "--evaluation.every_steps", "null"]
    command += ["--model.discriminator", "DCGANDiscriminator", "--model.discriminator.width", "8"]
    main([*command, "--model.init_from", str(path), "--model.freeze_discriminator", "2"])
    assert f"21 tensors are those of {path}" in [record.message for record in caplog.records]
    game = ganzoo.load(tmp_path / "runs/dcgan_digits/version_0/checkpoints/last.ckpt")
    for i, layer in enumerate(of.discriminator.layers[:5]):
        for name, weight in layer.named_parameters():
            assert torch.equal(game.discriminator.layers[i].get_parameter(name), weight)
    assert not torch.equal(game.discriminator.last.weight, of.discriminator.last.weight)
