"""Class-conditional games: where the labels go, what the losses make of them, and samples of a class."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image
from test_papers import sigmoid
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo.__main__ import main
from ganzoo.conditional import ConditionalDuel
from ganzoo.game import draw_from
from ganzoo.listing import variants
from ganzoo.networks.conditional import conditionally_normalised
from ganzoo.one_hot import one_hot

CONDITIONAL = [variant for variant in variants() if issubclass(variant, ConditionalDuel) and len(variant.usual_shape) == 3]
NEEDY = [variant for variant in CONDITIONAL if variant is not ganzoo.R3GAN]  # which plays without classes too: test_r3gan.py
EACH = pytest.mark.parametrize("variant", CONDITIONAL, ids=lambda variant: variant.__name__)
NARROW = {
    "generator": partial(ganzoo.DCGANGenerator, width=8),
    "discriminator": partial(ganzoo.DCGANDiscriminator, width=8, norm="spectral"),
}
SMALL = {"channel_base": 128, "channel_max": 8, "mapping_layers": 2}
OWN = {
    ganzoo.BigGAN: {
        "generator": partial(ganzoo.BigGANGenerator, width=4),
        "discriminator": partial(ganzoo.BigGANDiscriminator, width=4),
    },
    ganzoo.StyleGAN2: {
        "generator": partial(ganzoo.StyleGAN2Generator, w_dim=16, **SMALL),
        "discriminator": partial(ganzoo.StyleGAN2Discriminator, **SMALL),
        "latent_dim": 16,
    },
}
LABEL = torch.arange(6) % 3


def tiny(variant, **arguments) -> ConditionalDuel:
    torch.manual_seed(0)
    return variant(shape=TINY, classes=3, **(OWN.get(variant, NARROW) | arguments))


def seeded(call, *given):
    torch.manual_seed(1)
    return call(*given)


# --- every conditional variant ---


@EACH
def test_samples_are_of_their_labels(variant):
    game = tiny(variant, average_decay=0.9)
    for layer in game.modules():
        if isinstance(layer, ganzoo.ConditionalBatchNorm):  # all classes' are the same at first
            torch.nn.init.normal_(layer.weight)
    one, other = (seeded(game.sample, 4, torch.full((4,), label)) for label in (0, 2))
    assert not torch.isclose(one, other).flatten(1).all(1).any(), "another label, another image"
    mixed = seeded(game.sample, 4, torch.tensor([0, 2, 0, 2]))
    assert torch.allclose(mixed[::2], one[::2], atol=1e-6), "the noise does not depend on the labels"
    assert torch.allclose(mixed[1::2], other[1::2], atol=1e-6)


@EACH
def test_labels_are_drawn_if_none_are_given(variant):
    game = tiny(variant)
    torch.manual_seed(1)
    game.latent(300)
    label = game.labels(300)
    assert label.dtype == torch.int64
    assert label.unique().tolist() == [0, 1, 2]
    assert torch.equal(seeded(game.sample, 300), seeded(game.sample, 300, label)), "after the noise, and in chunks too"


@EACH
def test_labels_out_of_range_are_refused(variant):
    game = tiny(variant)
    for label in (-1, 3):
        with pytest.raises(ValueError, match=f"3 classes, 0 to 2: {label} is none"):
            game.sample(2, torch.tensor([0, label]))
    with pytest.raises(ValueError, match="2 samples need 2 labels"):
        game.sample(2, torch.tensor([0]))


@pytest.mark.parametrize("variant", [variant for variant in CONDITIONAL if variant.needs_classes])
def test_data_without_classes_is_refused(variant):
    with pytest.raises(ValueError, match=f"{variant.__name__} needs data with classes"):
        variant(shape=TINY)


@pytest.mark.parametrize("variant", [ganzoo.SAGAN, ganzoo.R3GAN])  # and BigGAN, whose networks are always its own
def test_a_game_that_can_do_without_classes(variant, fit):
    """Its networks are plain ones, which see no label even of data that has some."""
    game = variant(shape=TINY, **NARROW, average_decay=0.9)
    assert not any(isinstance(layer, ganzoo.ConditionalBatchNorm) for layer in game.modules())
    assert game.kinds == 0
    fit(game, max_steps=2, callbacks=[ganzoo.CollapseWatch(every_steps=1, n=6)])
    assert all(term.isfinite() for term in game.terms.values())
    assert game.sample(3).shape == (3, *TINY)
    unlabelled = game.discriminator_loss(torch.rand(6, *TINY))
    assert all(term.isfinite() for term in unlabelled.values())
    with pytest.raises(ValueError, match="without classes: ask for no labels"):
        game.sample(2, torch.tensor([0, 1]))


@EACH
def test_losses_follow_the_labels(variant):
    """Of the same images and the same noise, other labels give other losses."""
    game = tiny(variant)
    real = torch.rand(6, *TINY) * 2 - 1
    terms, permuted = (seeded(game.discriminator_loss, real, label) for label in (LABEL, LABEL.roll(1)))
    assert any(terms[name] != permuted[name] for name in terms)
    fakes = []
    label_of = game.labels
    for shift in (0, 1):
        game.labels = lambda n, shift=shift: (label_of(n) + shift) % 3
        fakes.append(seeded(game.generator_loss, real, (LABEL + shift) % 3))
    assert any(fakes[0][name] != fakes[1][name] for name in fakes[0])


@EACH
def test_techniques_and_points_work(variant):
    game = tiny(variant, instance_noise=(0.1, 100), historical_averaging=0.1)
    game.configure_optimizers()
    batches = [(torch.rand(6, *TINY).requires_grad_(), LABEL)] * game.minibatches
    for player, loss, batch in game.turns(0, batches):
        terms, _ = game.move(player, loss, batch)
        assert "history" in terms
        assert all(term.isfinite() and term.dtype == torch.float32 for term in terms.values())
    if not issubclass(variant, ganzoo.ProjectionGAN | ganzoo.BigGAN | ganzoo.StyleGAN2):
        points = variant(shape=(2,), classes=3, generator=ganzoo.MLPGenerator, discriminator=ganzoo.MLPDiscriminator)
        assert points.sample(5).shape == (5, 2)
        assert all(term.isfinite() for term in points.discriminator_loss(torch.randn(6, 2), LABEL).values())


# --- losses by hand ---


def answering(variant, *answers, **arguments) -> tuple[ConditionalDuel, list]:
    """A game whose discriminator gives these answers in turn, and what it is asked."""
    game = tiny(variant, **arguments)
    asked: list = []
    given = iter(answers)
    game.discriminator.forward = lambda *x: asked.append(x) or next(given)
    return game, asked


REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
X, Y = torch.zeros(2, *TINY), torch.tensor([2, 0])


def test_cgan_losses():
    game, asked = answering(ganzoo.CGAN, REAL, FAKE, FAKE)
    terms = game.discriminator_loss(X, Y)
    assert terms["real"].item() == pytest.approx(-0.5 * (math.log(sigmoid(2)) + math.log(sigmoid(-1))) / 2)
    assert terms["fake"].item() == pytest.approx(-0.5 * (math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(-3))) / 2)
    cost = game.generator_loss(X, Y)["adversarial"].item()
    assert cost == pytest.approx(-(math.log(sigmoid(0.5)) + math.log(sigmoid(-3))) / 2)
    assert all(torch.equal(label, Y) for _, label in asked), "fakes are made and judged for the batch's labels"


def test_acgan_losses(monkeypatch):
    drawn = torch.tensor([1, 1])
    real_class, fake_class = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 0.0]]), torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    game, _ = answering(ganzoo.ACGAN, (REAL, real_class), (FAKE, fake_class), (FAKE, fake_class))
    monkeypatch.setattr(game, "labels", lambda n: drawn)
    terms = game.discriminator_loss(X, Y)
    assert terms["source_real"].item() == pytest.approx(-(math.log(sigmoid(2)) + math.log(sigmoid(-1))) / 2)
    assert terms["source_fake"].item() == pytest.approx(-(math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(-3))) / 2)
    e = math.e
    assert terms["class_real"].item() == pytest.approx(-(math.log(e / (e + 2)) + math.log(e**2 / (e**2 + 2))) / 2)
    recognised = -(math.log(e**3 / (e**3 + 2)) + math.log(1 / 3)) / 2
    assert terms["class_fake"].item() == pytest.approx(recognised), "by the drawn labels, not the batch's"
    terms = game.generator_loss(X, Y)
    assert terms["source"].item() == pytest.approx(-(math.log(sigmoid(0.5)) + math.log(sigmoid(-3))) / 2)
    assert terms["class"].item() == pytest.approx(recognised), "G wants the class recognised too"


def test_projection_gan_losses(monkeypatch):
    drawn = torch.tensor([1, 1])
    game, asked = answering(ganzoo.ProjectionGAN, REAL, FAKE, FAKE)
    monkeypatch.setattr(game, "labels", lambda n: drawn)
    terms = game.discriminator_loss(X, Y)
    assert terms["real"].item() == pytest.approx((0 + 2) / 2)  # max(0, 1 - 2), max(0, 1 + 1)
    assert terms["fake"].item() == pytest.approx((1.5 + 0) / 2)  # max(0, 1 + 0.5), max(0, 1 - 3)
    assert game.generator_loss(X, Y)["adversarial"].item() == pytest.approx(-(0.5 - 3) / 2)
    assert [label.tolist() for _, label in asked] == [[2, 0], [1, 1], [1, 1]]


# --- networks ---


def test_a_label_stands_beside_a_series():
    game = ganzoo.CGAN(shape=(7, 2), classes=3)
    real = torch.randn(6, 7, 2)
    assert all(term.isfinite() for term in (game.discriminator_loss(real, LABEL) | game.generator_loss(real, LABEL)).values())


def test_one_hot():
    assert one_hot(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_projection_is_an_inner_product():
    network = ganzoo.ProjectionDiscriminator(partial(ganzoo.MLPDiscriminator, width=8), 3, (2,))
    x = torch.randn(6, 2)
    phi = network.network.features(x)
    by_hand = [network.network(x)[i] + network.project.weight[label] @ phi[i] for i, label in enumerate(LABEL)]
    assert torch.allclose(network(x, LABEL), torch.stack(by_hand), atol=1e-6)


def test_the_projection_is_normalised_with_the_network():
    for norm in ("none", "spectral"):
        network = ganzoo.ProjectionDiscriminator(partial(ganzoo.DCGANDiscriminator, width=4, norm=norm), 3, TINY)
        assert is_parametrized(network.project) == (norm == "spectral")


def test_conditional_batch_norm():
    """With one class it is batch normalisation; with several each sample has its class's gain and bias."""
    plain = torch.nn.BatchNorm2d(4)
    torch.nn.init.normal_(plain.weight)
    conditional = ganzoo.ConditionalBatchNorm(plain, 3)
    x = torch.randn(6, 4, 5, 5)
    assert torch.allclose(conditional(x, LABEL), plain(x), atol=1e-6), "at first all classes are alike"
    with torch.no_grad():
        conditional.weight[1], conditional.bias[1] = 0.0, 7.0
    out = conditional(x, LABEL)
    assert (out[LABEL == 1] == 7).all()
    assert torch.allclose(out[LABEL != 1], plain(x)[LABEL != 1], atol=1e-6)


@pytest.mark.parametrize("size", [32, 64])
def test_every_batch_norm_of_the_resnet_is_conditional(size):
    generator = conditionally_normalised(partial(ganzoo.ResNetGenerator, width=4), 3, 8, (3, size, size))
    norms = [layer for layer in generator.modules() if isinstance(layer, ganzoo.ConditionalBatchNorm)]
    assert len(norms) == {32: 7, 64: 9}[size]
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) and layer.affine for layer in generator.modules())
    generator(torch.randn(3, 8), torch.arange(3)).square().sum().backward()
    assert all(norm.weight.grad.abs().sum() > 0 for norm in norms[:-1])


def test_a_generator_without_batch_norm_is_refused():
    for generator in (ganzoo.MLPGenerator, partial(ganzoo.DCGANGenerator, norm="layer")):
        with pytest.raises(ValueError, match="batch normalisation"):
            tiny(ganzoo.ProjectionGAN, generator=generator)


@pytest.mark.parametrize("variant", [ganzoo.ACGAN, ganzoo.ProjectionGAN])
def test_a_discriminator_without_features_is_refused(variant):
    with pytest.raises(ValueError, match="features"):
        tiny(variant, discriminator=ganzoo.MLPAutoencoder)


def test_the_reference_batch_is_labelled():
    generator = ganzoo.LabelledGenerator(partial(ganzoo.DCGANGenerator, width=4, norm="virtual"), 3, 8, TINY)
    assert torch.equal(generator.network.reference[:, 8:].argmax(1), torch.arange(64) % 3)
    assert torch.equal(generator.network.reference[:, 8:].sum(1), torch.ones(64))
    assert generator(torch.randn(2, 8), torch.tensor([0, 1])).shape == (2, *TINY)


def test_the_papers_resnets_compile(aot_eager):
    """One round at 32 with the default networks, but narrow, in one graph for each loss."""
    torch.manual_seed(0)
    game = ganzoo.ProjectionGAN(
        shape=(3, 32, 32),
        classes=3,
        generator=partial(ganzoo.ResNetGenerator, width=4),
        discriminator=partial(ganzoo.ResNetDiscriminator, width=4, norm="spectral", pool="sum"),
    )
    game.configure_optimizers()
    move = torch.compile(game.move, options={}, fullgraph=True, dynamic=False)
    torch._dynamo.config.trace_autograd_ops = True
    game.eval()  # spectral normalisation's vectors stay, so that both see the same network
    batches = [(torch.rand(4, 3, 32, 32).requires_grad_(), torch.tensor([0, 1, 2, 0]))] * 5
    for player, loss, batch in list(game.turns(0, batches))[-2:]:
        eager, compiled = (seeded(play, player, loss, batch)[0]["loss"] for play in (game.move, move))
        assert torch.allclose(eager, compiled, atol=1e-5)


# --- grids and the command ---


def test_a_row_for_each_class(fit, tmp_path):
    game = tiny(ganzoo.CGAN)
    game.classes = 3
    fit(ganzoo.CGAN(shape=TINY, classes=12), callbacks=[ganzoo.SampleGrid(n=25)], default_root_dir=tmp_path)
    [path] = (tmp_path / "samples").iterdir()
    assert Image.open(path).size == (2 * 66 + 2, 10 * 66 + 2), "the first ten classes, two columns"
    image = ganzoo.SampleGrid(n=6, seed=5).kinds_of(game)
    pixels = np.asarray(image)
    for label in range(3):
        draw_from(game.device, 5)
        row = game.sample(2, torch.full((2,), label))
        tile = pixels[2 + 66 * label :: 4, 2 + 66 :: 4, 0][:16, :16]
        assert np.array_equal(tile, ((row[1, 0] + 1) * 127.5).round().to(torch.uint8).numpy())


def test_a_grid_of_fewer_samples_than_classes():
    assert ganzoo.SampleGrid(n=2).kinds_of(tiny(ganzoo.CGAN)).size == (66 + 2, 3 * 66 + 2)


@pytest.fixture
def checkpoint(fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(ganzoo.CGAN(shape=TINY, classes=10)).save_checkpoint(tmp_path / "x.ckpt")
    return str(tmp_path / "x.ckpt")


def test_sample_of_a_class(checkpoint, tmp_path):
    main(["sample", "--checkpoint", checkpoint, "--class", "3", "--n", "2", "--out", "threes"])
    game = ganzoo.load(checkpoint)
    draw_from(game.device, 0)
    image = np.asarray(Image.open(tmp_path / "threes" / "000001.png"))
    assert np.array_equal(image, ((game.sample(2, torch.tensor([3, 3]))[1, 0] + 1) * 127.5).round().to(torch.uint8).numpy())


@pytest.mark.parametrize("label", ["10", "-1"])
def test_a_class_that_there_is_not(checkpoint, capsys, label):
    with pytest.raises(SystemExit):
        main(["sample", "--checkpoint", checkpoint, "--class", label])
    line = capsys.readouterr().err.strip()
    assert "10 classes, 0 to 9" in line
    assert "\n" not in line


def test_fit_on_data_without_classes_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["fit", "--model", "CGAN", "--data", "Gaussians", "--trainer.accelerator", "cpu"])
    assert "CGAN needs data with classes" in capsys.readouterr().err.strip().splitlines()[-1]
