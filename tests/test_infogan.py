"""InfoGAN: its codes, its losses by hand, and samples of chosen codes."""

import math
import sys
from functools import partial

import pytest
import torch
from conftest import REPOSITORY, TINY
from PIL import Image
from test_papers import count, sigmoid
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo.__main__ import main
from ganzoo.networks.codes import chosen_codes, random_codes

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import infogan_codes

NARROW = {"generator": partial(ganzoo.DCGANGenerator, width=8), "discriminator": partial(ganzoo.DCGANDiscriminator, width=8)}
MLPS = {"generator": partial(ganzoo.MLPGenerator, width=8), "discriminator": partial(ganzoo.MLPDiscriminator, width=8)}


def tiny(**arguments) -> ganzoo.InfoGAN:
    torch.manual_seed(0)
    return ganzoo.InfoGAN(shape=TINY, **(NARROW | arguments))


def seeded(call, *given, **named):
    torch.manual_seed(1)
    return call(*given, **named)


# --- codes ---


def test_codes_are_drawn_uniformly():
    codes = random_codes(6000, (3, 4), 2, torch.device("cpu"))
    for one_hots, size in ((codes[:, :3], 3), (codes[:, 3:7], 4)):
        assert torch.equal(one_hots.sum(1), torch.ones(6000))
        assert one_hots.mean(0).sub(1 / size).abs().max() < 0.03
    continuous = codes[:, 7:]
    assert continuous.abs().max() <= 1
    assert continuous.mean(0).abs().max() < 0.03
    assert continuous.square().mean(0).sub(1 / 3).abs().max() < 0.02


def test_the_papers_latent_of_mnist():
    game = tiny(**MLPS)
    assert game.latent(5).shape == (5, 74)  # appendix C.1: one ten-dimensional code, two continuous, 62 noise variables
    assert (game.lr["generator"], game.lr["discriminator"]) == (1e-3, 2e-4)


def test_the_papers_networks_of_mnist():
    """Table 1: fully connected 1,024 in both, maps of 128 and 64 channels, 128 units of Q's own; no biases before norms."""
    game = ganzoo.InfoGAN(shape=(1, 28, 28))
    convolutions = 1 * 64 * 16 + 64 * 128 * 16
    norms = 2 * (1024 + 128)
    q = 1024 * 128 + 2 * 128 + 128 * 12 + 12
    assert count(game.discriminator) == convolutions + 49 * 128 * 1024 + norms + 1024 + q
    assert count(game.generator) == 74 * 1024 + 1024 * 49 * 128 + convolutions + norms + 2 * 64


def test_the_reference_batch_has_codes():
    game = tiny(generator=partial(ganzoo.DCGANGenerator, width=4, norm="virtual"), average_decay=0.9)
    for generator in (game.generator, game.average):
        assert torch.equal(generator.reference[:, 62:72].sum(1), torch.ones(64))
        assert generator.reference[:, 72:].abs().max() <= 1


# --- losses by hand ---


def answering(*answers, **arguments) -> ganzoo.InfoGAN:
    """A game whose latents are z = (9), categories 1 and 0 of three, continuous codes 0.5 and -1, and whose D answers so."""
    game = tiny(latent_dim=1, categories=(3,), continuous=1, **arguments)
    game.latent = lambda n: torch.tensor([[9, 0, 1, 0, 0.5], [9, 1, 0, 0, -1]])
    given = iter(answers)
    game.discriminator.forward = lambda x: next(given)
    return game


REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
READ = torch.tensor([[0, 3, 0, 0.25], [2, 0, 0, 1]])
CATEGORICAL = -(math.log(math.e**3 / (math.e**3 + 2)) + math.log(math.e**2 / (math.e**2 + 2))) / 2
CONTINUOUS = 0.5 * (0.25**2 + 2**2) / 2


def test_losses():
    game = answering((REAL, torch.full((2, 4), 7.0)), (FAKE, READ), (FAKE, READ), information=0.1)
    terms = game.discriminator_loss(torch.zeros(2, *TINY))
    assert terms["real"].item() == pytest.approx(-(math.log(sigmoid(2)) + math.log(sigmoid(-1))) / 2)
    assert terms["fake"].item() == pytest.approx(-(math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(-3))) / 2)
    assert terms["categorical"].item() == pytest.approx(0.1 * CATEGORICAL)
    assert terms["continuous"].item() == pytest.approx(0.1 * CONTINUOUS)
    terms = game.generator_loss(torch.zeros(2, *TINY))
    assert terms["adversarial"].item() == pytest.approx(-(math.log(sigmoid(0.5)) + math.log(sigmoid(-3))) / 2)
    assert terms["categorical"].item() == pytest.approx(0.1 * CATEGORICAL), "G wants its codes read, too"
    assert terms["continuous"].item() == pytest.approx(0.1 * CONTINUOUS)


def test_several_codes_add_up():
    game = tiny(latent_dim=1, categories=(2, 2), continuous=2)
    latent = torch.tensor([[9.0, 1, 0, 0, 1, 0.5, -1]])
    read = torch.tensor([[0.0, 0, 1, 0, 0.5, 1]])
    terms = game.uninformed(latent, read)
    assert terms["categorical"].item() == pytest.approx(math.log(2) + math.log(1 + math.e))
    assert terms["continuous"].item() == pytest.approx(0.5 * (0 + 4))


@pytest.mark.parametrize(("codes", "term"), [({"continuous": 0}, "categorical"), ({"categories": ()}, "continuous")])
def test_one_kind_of_code_is_enough(codes, term):
    game = tiny(**codes)
    assert set(game.generator_loss(torch.zeros(4, *TINY))) == {"adversarial", term}
    assert seeded(game.sample, 4, *game.codes_of(game.sample(4))).shape == (4, *TINY)


@pytest.mark.parametrize("codes", [{"categories": (), "continuous": 0}, {"categories": (1,)}, {"continuous": -1}])
def test_no_code_is_refused(codes):
    with pytest.raises(ValueError, match="needs a code"):
        tiny(**codes)


def test_information_moves_both_players():
    """Its gradient reaches Q and the features in D's turn, and G in G's."""
    game = tiny()
    for loss, weights in (
        (game.discriminator_loss, [*game.discriminator.read.parameters(), game.discriminator.network.layers[0].weight]),
        (game.generator_loss, game.generator.parameters()),
    ):
        terms = loss(torch.zeros(4, *TINY))
        gradients = torch.autograd.grad(terms["categorical"] + terms["continuous"], list(weights))
        assert all(gradient.abs().sum() > 0 for gradient in gradients)


# --- samples of chosen codes, and codes of samples ---


def test_chosen_codes_change_nothing_else():
    game = tiny(categories=(4, 3))
    given: list = []
    game.samples_of = lambda latent: given.append(latent) or latent
    plain = seeded(game.sample, 3)
    first, both = (seeded(game.sample, 3, torch.tensor(category)) for category in ([2, 0, 3], [[2, 1], [0, 0], [3, 2]]))
    continuous = seeded(game.sample, 3, continuous=torch.full((3, 2), 2.0))
    assert first[:, 62:66].argmax(1).tolist() == [2, 0, 3]
    assert torch.equal(first[:, 66:], plain[:, 66:]) and torch.equal(first[:, :62], plain[:, :62])
    assert torch.equal(both[:, 62:66], first[:, 62:66]) and both[:, 66:69].argmax(1).tolist() == [1, 0, 2]
    assert torch.equal(continuous[:, :69], plain[:, :69]) and (continuous[:, 69:] == 2).all()


def test_codes_that_there_are_not():
    game = tiny()
    for category in (-1, 10):
        with pytest.raises(ValueError, match=f"10 categories, 0 to 9: {category} is none"):
            game.sample(2, torch.tensor([0, category]))
    for category in (torch.tensor([0]), torch.zeros(2, 2, dtype=torch.int64)):
        with pytest.raises(ValueError, match="2 samples need categories"):
            game.sample(2, category)
    with pytest.raises(ValueError, match=r"2 samples need continuous codes \[2, 2\]"):
        game.sample(2, continuous=torch.zeros(2))


def test_codes_of_samples_are_qs_reading():
    game = tiny(latent_dim=1, categories=(3, 2), continuous=1)
    game.discriminator.forward = lambda x: (x[:, 0, 0, 0], torch.tensor([[0.0, 5, 1, 2, 1, 0.3]]).expand(len(x), -1))
    category, continuous = game.codes_of(torch.zeros(300, *TINY))
    assert category.shape == (300, 2) and category.dtype == torch.int64
    assert (category == torch.tensor([1, 0])).all()
    assert torch.allclose(continuous, torch.tensor(0.3)) and continuous.shape == (300, 1)


def test_reading_leaves_the_mode():
    game = tiny(instance_noise=(0.5, 100))
    x = torch.rand(5, *TINY)
    assert torch.equal(game.codes_of(x)[1], game.codes_of(x)[1]), "no instance noise"
    assert game.discriminator.training and not game.codes_of(x)[1].requires_grad


def test_several_codes_by_the_batch():
    assert chosen_codes(2, torch.tensor([[1, 0], [0, 2]]), (2, 3)).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


# --- networks, grid and command ---


def test_only_a_discriminator_with_features_can_read():
    with pytest.raises(ValueError, match="features"):
        tiny(discriminator=ganzoo.MLPAutoencoder)
    for norm in ("none", "spectral"):
        game = tiny(discriminator=partial(ganzoo.DCGANDiscriminator, width=8, norm=norm))
        assert is_parametrized(game.discriminator.read[0]) == (norm == "spectral")


def test_a_row_for_each_category(fit, tmp_path):
    fit(tiny(categories=(3, 5)), callbacks=[ganzoo.SampleGrid(n=6)], default_root_dir=tmp_path)
    fit(tiny(categories=()), callbacks=[ganzoo.SampleGrid(n=4)], default_root_dir=tmp_path / "none")
    for folder, columns, rows in ((tmp_path, 2, 3), (tmp_path / "none", 2, 2)):
        [path] = (folder / "samples").iterdir()
        assert Image.open(path).size == (columns * 66 + 2, rows * 66 + 2)


def test_sample_of_a_category(fit, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit(tiny()).save_checkpoint(tmp_path / "x.ckpt")
    main(["sample", "--checkpoint", "x.ckpt", "--class", "3", "--n", "2"])
    assert (tmp_path / "samples.png").is_file()
    with pytest.raises(SystemExit):
        main(["sample", "--checkpoint", "x.ckpt", "--class", "10"])
    assert "10 categories, 0 to 9" in capsys.readouterr().err


def test_techniques_and_points():
    game = ganzoo.InfoGAN(shape=(2,), **MLPS, instance_noise=(0.1, 100), historical_averaging=0.1)
    game.configure_optimizers()
    for player, loss, batch in game.turns(0, [(torch.randn(6, 2).requires_grad_(),)]):
        terms, _ = game.move(player, loss, batch)
        assert "history" in terms and all(term.isfinite() for term in terms.values())


# --- the benchmark ---


def test_categories_get_the_digits_that_make_most_of_them_right():
    """Greedily, category 0 would get digit 3: 10 + 0 + 6; best is 9 + 9 + 6."""
    table = torch.zeros(11, 10, dtype=torch.int64)
    table[0, 3], table[0, 5] = 10, 9
    table[1, 3] = 9
    table[2, 0] = 6
    digit = infogan_codes.assignment(table)
    assert digit[:3].tolist() == [5, 3, 0]
    assert sorted(digit.tolist()) == [-1, *range(10)], "one to one, and one category too many"
    assert torch.equal(
        infogan_codes.counts(torch.tensor([1, 1, 0]), torch.tensor([7, 7, 2]), 2)[:, [2, 7]], torch.tensor([[1, 0], [0, 2]])
    )


def test_a_sweep_changes_one_code():
    game = tiny(categories=(3,))
    game.samples_of = lambda latent: latent
    latents = infogan_codes.sweep(game, 1, torch.tensor([2, 0, 1]), seed=0, rows=5).view(5, 3, -1)
    assert (latents[..., :62] == latents[0, 0, :62]).all()
    assert latents[..., 62:65].argmax(2).tolist() == [[2, 0, 1]] * 5
    assert (latents[..., 65] == 0).all()
    assert latents[:, 0, 66].tolist() == [-2, -1, 0, 1, 2]
