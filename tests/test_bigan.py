"""BiGAN: its networks, its losses by hand, and what goes through both directions."""

import copy
import math
import sys
from functools import partial

import pytest
import torch
from conftest import REPOSITORY, TINY
from test_papers import sigmoid
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo.optimizers import learn

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import bigan_codes

NARROW = {"generator": partial(ganzoo.DCGANGenerator, width=8), "discriminator": partial(ganzoo.DCGANDiscriminator, width=8)}


def tiny(**arguments) -> ganzoo.BiGAN:
    torch.manual_seed(0)
    return ganzoo.BiGAN(shape=TINY, **(NARROW | arguments))


REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
X = torch.linspace(-1, 1, 2)[:, None, None, None].expand(2, *TINY)


def judged(game: ganzoo.BiGAN) -> list:
    """What D is asked from here on; it answers by REAL where x is X, and by FAKE elsewhere."""
    asked: list = []
    game.discriminator.forward = lambda x, z: asked.append((x, z)) or (REAL if torch.equal(x, X) else FAKE)
    return asked


def test_losses():
    game = tiny()
    asked = judged(game)
    terms = game.discriminator_loss(X)
    assert terms["real"].item() == pytest.approx(-(math.log(sigmoid(2)) + math.log(sigmoid(-1))) / 2)
    assert terms["fake"].item() == pytest.approx(-(math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(-3))) / 2)
    terms = game.generator_loss(X)
    assert terms["encoder"].item() == pytest.approx(-(math.log(1 - sigmoid(2)) + math.log(1 - sigmoid(-1))) / 2)
    assert terms["generator"].item() == pytest.approx(-(math.log(sigmoid(0.5)) + math.log(sigmoid(-3))) / 2)
    assert all(z.shape == (2, 50) for _, z in asked)
    assert all(z.abs().max() <= 1 for x, z in asked if not torch.equal(x, X)), "z is uniform"


def test_pairs_go_together():
    """D sees (x, E(x)) and (G(z), z), of the same x and the same z."""
    game = tiny()
    game.encoder.forward = lambda x: x.mean((1, 2, 3))[:, None].expand(-1, 50)
    game.generator.forward = lambda z: z[:, :1, None, None].expand(-1, *TINY)
    asked = judged(game)
    game.discriminator_loss(X)
    game.generator_loss(X)
    assert len(asked) == 4
    assert all(torch.allclose(x.mean((1, 2, 3)), z[:, 0]) for x, z in asked)


def test_encoder_and_generator_move_together():
    game = tiny()
    optimizers = game.configure_optimizers().of
    for player, loss, batch in game.turns(0, [(torch.rand(4, *TINY).requires_grad_(),)]):
        before = copy.deepcopy(game.state_dict())
        _, gradients = game.move(player, loss, batch)
        learn(optimizers[player], game._weights[player], gradients, 1.0)
        moved = {name.split(".")[0] for name, weight in game.named_parameters() if not torch.equal(weight, before[name])}
        assert moved == ({"discriminator"} if player == "discriminator" else {"generator", "encoder"})


# --- networks ---


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (partial(ganzoo.MLPDiscriminator, width=8), (2,)),
        (partial(ganzoo.MLPDiscriminator, width=8, minibatch_kernels=3), TINY),
        (partial(ganzoo.DCGANDiscriminator, width=8), TINY),
        (partial(ganzoo.ResNetDiscriminator, width=4), (3, 32, 32)),
    ],
)
def test_any_discriminator_becomes_an_encoder(kind, shape):
    for outputs in (1, 7):
        encoder = ganzoo.Encoder(kind, outputs, shape)
        codes = encoder(torch.randn(4, *shape))
        assert codes.shape == (4, outputs)
        assert all(gradient is not None for gradient in torch.autograd.grad(codes.sum(), list(encoder.parameters())))


def test_the_joint_discriminator_sees_both():
    network = ganzoo.JointDiscriminator(partial(ganzoo.DCGANDiscriminator, width=8, norm="none"), 5, TINY)
    x, z = torch.randn(4, *TINY), torch.randn(4, 5)
    logits = network(x, z)
    assert logits.shape == (4,) and logits.dtype == torch.float32
    assert not torch.isclose(network(x.roll(1, 0), z), logits).any()
    assert not torch.isclose(network(x, z.roll(1, 0)), logits).any()


def test_pairs_are_judged_by_layers_as_wide_as_the_discriminators():
    small = ganzoo.JointDiscriminator(partial(ganzoo.MLPDiscriminator, width=24), 5, (2,))
    assert max(layer.out_features for layer in small.modules() if isinstance(layer, torch.nn.Linear)) == 24
    large = ganzoo.JointDiscriminator(ganzoo.DCGANDiscriminator, 5, (1, 16, 16))  # 2,048 features
    assert large.embed_z[0].out_features == 512


@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_it_is_spectrally_normalised_throughout_or_not_at_all(norm):
    network = ganzoo.JointDiscriminator(partial(ganzoo.DCGANDiscriminator, width=8, norm=norm), 5, TINY)
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)]
    assert {is_parametrized(layer) for layer in layers} == {norm == "spectral"}
    assert network(torch.randn(4, *TINY), torch.randn(4, 5)).isfinite().all()


def test_networks_without_features_are_refused():
    for network in ("discriminator", "encoder"):
        with pytest.raises(ValueError, match="features"):
            tiny(**{network: ganzoo.MLPAutoencoder})


def test_another_encoder():
    game = tiny(encoder=partial(ganzoo.MLPDiscriminator, width=8))
    assert isinstance(game.encoder.network, ganzoo.MLPDiscriminator)
    assert isinstance(tiny().encoder.network, ganzoo.DCGANDiscriminator), "the discriminator's kind if none is given"


# --- both directions ---


def test_codes_and_reconstructions():
    game = tiny()
    x = torch.rand(300, *TINY)
    codes = game.encode(x)
    assert codes.shape == (300, 50) and game.reconstruct(x).shape == x.shape
    assert torch.allclose(game.encode(x[290:]), codes[290:], atol=1e-5), "in evaluation mode, in chunks"
    assert game.encoder.training and game.generator.training and not codes.requires_grad


def test_both_directions_are_averaged(fit):
    game = tiny(average_decay=0.9)
    fit(game)
    x = torch.rand(4, *TINY)
    averaged = game.encode(x)
    assert not torch.allclose(averaged, copy.deepcopy(game.encoder).eval()(x))
    one, other = dict(game.encoder_average.named_parameters()), dict(game.encoder.named_parameters())
    assert all(not torch.equal(one[name], other[name]) for name in one)
    game.encoder_average = None
    assert not torch.allclose(averaged, game.encode(x))


def test_techniques():
    """Historical averaging remembers E's weights too; instance noise is on what D sees of x."""
    game = tiny(instance_noise=(0.1, 100), historical_averaging=0.1)
    game.configure_optimizers()
    weights = len(list(game.players()["generator"].parameters()))
    assert len(list(game.history["generator"].buffers())) == weights + 1
    for player, loss, batch in game.turns(0, [(torch.rand(4, *TINY).requires_grad_(),)] * game.minibatches):
        terms, _ = game.move(player, loss, batch)
        assert "history" in terms and all(term.isfinite() for term in terms.values())


def test_points():
    mlps = {"generator": partial(ganzoo.MLPGenerator, width=8), "discriminator": partial(ganzoo.MLPDiscriminator, width=8)}
    game = ganzoo.BiGAN(shape=(2,), latent_dim=3, **mlps)
    assert game.reconstruct(torch.randn(5, 2)).shape == (5, 2)
    assert all(term.isfinite() for term in game.generator_loss(torch.randn(6, 2)).values())


# --- the benchmark ---


def test_nearest_neighbours_and_errors():
    codes, digits = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([4, 4, 7])
    assert bigan_codes.nearest_is_alike(codes, digits, torch.tensor([[0.4], [8.0]]), torch.tensor([4, 1])) == pytest.approx(
        2 / 3
    )
    x = torch.tensor([1.0, 2.0, 5.0])
    assert bigan_codes.errors(x, x + 1, digits) == (1.0, 0.0), "2, the other 4, is just what 1 becomes"


def test_each_row_is_above_its_reconstructions():
    assert bigan_codes.pairs(torch.arange(4), torch.arange(4) + 10, 2).tolist() == [0, 1, 10, 11, 2, 3, 12, 13]
