"""Training techniques: each against values worked by hand or slow references, and all of them through the shared loop."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from conftest import TINY, fp16
from test_models import SLOWLY, apart, positions, tolerance
from torch import nn

import ganzoo
from ganzoo import losses
from ganzoo.__main__ import main
from ganzoo.game import Game
from ganzoo.networks.layers import REFERENCE, spectrally_normalised
from ganzoo.optimizers import learn

GENERATOR = partial(ganzoo.DCGANGenerator, width=8)
DISCRIMINATOR = partial(ganzoo.DCGANDiscriminator, width=8)
TECHNIQUES = {
    "spectral": (ganzoo.DCGAN, {"discriminator": partial(DISCRIMINATOR, norm="spectral")}),
    "spectral with a gradient penalty": (ganzoo.WGANGP, {"discriminator": partial(DISCRIMINATOR, norm="spectral")}),
    "minibatch discrimination": (ganzoo.DCGAN, {"discriminator": partial(DISCRIMINATOR, minibatch_kernels=7)}),
    "feature matching": (ganzoo.DCGAN, {"generator_cost": "feature_matching"}),
    "historical averaging": (ganzoo.WGAN, {"historical_averaging": 0.5}),
    "virtual batch normalisation": (ganzoo.DCGAN, {"generator": partial(GENERATOR, norm="virtual")}),
    "instance noise": (ganzoo.LSGAN, {"instance_noise": (0.5, 6)}),
    "top-k": (ganzoo.DCGAN, {"top_k": (0.5, 6)}),
    "augmentation": (ganzoo.DCGAN, {"augment": ganzoo.DiffAugment}),
    "adaptive augmentation": (ganzoo.DCGAN, {"augment": partial(ganzoo.AdaptiveAugment, p=0.5, kimg=1)}),
    "LeCam": (ganzoo.DCGAN, {"lecam": 0.3}),
    "augmentation, noise and LeCam with a gradient penalty": (
        ganzoo.WGANGP,
        {
            "augment": ganzoo.DiffAugment,
            "instance_noise": (0.5, 6),
            "lecam": 0.3,
            "discriminator": partial(DISCRIMINATOR, norm="none"),
        },
    ),
}
MLP = {"generator": partial(ganzoo.MLPGenerator, width=4), "discriminator": partial(ganzoo.MLPDiscriminator, width=4)}
NETWORKS = {
    "mlp": (partial(ganzoo.MLPDiscriminator, width=8), (1, 16, 16)),
    "dcgan": (DISCRIMINATOR, (1, 16, 16)),
    "resnet": (partial(ganzoo.ResNetDiscriminator, width=4), (3, 32, 32)),
}
techniques = pytest.mark.parametrize("technique", TECHNIQUES)
discriminators = pytest.mark.parametrize("network", NETWORKS)


def new(technique: str, seed: int = 0, **arguments) -> Game:
    torch.manual_seed(seed)
    variant, switched_on = TECHNIQUES[technique]
    return variant(shape=TINY, **({"generator": GENERATOR, "discriminator": DISCRIMINATOR} | switched_on | arguments))


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


# --- what holds for each


@techniques
def test_every_weight_moves_and_the_game_reloads(technique, fit, tmp_path):
    game = new(technique)
    before = copy.deepcopy(game.state_dict())
    fit(game).save_checkpoint(tmp_path / "x.ckpt")
    assert all(term.isfinite() for term in game.terms.values())
    for name, weight in game.named_parameters():
        assert not torch.equal(weight, before[name]), name
    assert same(game, ganzoo.load(tmp_path / "x.ckpt"))


@techniques
def test_resumes_exactly(technique, fit, tmp_path):
    straight, first, second = (new(technique, seed) for seed in (0, 0, 1))
    fit(straight, max_steps=4)
    fit(first, max_steps=2).save_checkpoint(tmp_path / "x.ckpt")
    fit(second, max_steps=4, ckpt_path=tmp_path / "x.ckpt")
    assert same(straight, second)


@techniques
def test_compiled_rounds_are_the_eager_ones(technique, fit, aot_eager):
    eager, compiled = (new(technique, compile=how, average_decay=0.9) for how in (False, True))
    fit(eager, max_steps=10)
    fit(compiled, max_steps=10)
    assert same(eager, compiled)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@techniques
@pytest.mark.parametrize("how", [True, "graphs"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_rounds_on_cuda_are_the_eager_ones(technique, fit, how, precision, no_tf32):
    """Compiled or recorded, what a technique keeps in buffers moves on as it does uncompiled."""
    torch._dynamo.reset()
    eager, compiled = (new(technique, compile=way, average_decay=0.9, **SLOWLY) for way in (False, how))
    start = positions(eager)
    for game in (eager, compiled):
        fit(game, max_steps=20, accelerator="cuda", devices=1, precision=precision)
    assert apart(eager, compiled, start) < (tolerance(eager) if precision == "32-true" else 0.5)


@techniques
@pytest.mark.parametrize("precision", [{"precision": "bf16-mixed"}, fp16()], ids=["bf16", "fp16"])
def test_half_precision(technique, precision, fit):
    game = new(technique)
    fit(game, **precision)
    assert all(term.dtype == torch.float32 and term.isfinite() for term in game.terms.values())


@techniques
def test_evaluation_mode_changes_nothing(technique):
    game = new(technique).eval()
    before = copy.deepcopy(game.state_dict())
    for loss in (game.discriminator_loss, game.generator_loss):
        loss(torch.rand(4, *TINY, requires_grad=True))
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items())


def test_they_are_switched_on_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    networks = ["--model.generator", "DCGANGenerator", "--model.discriminator", "DCGANDiscriminator"]
    on = ["--model.generator.norm", "virtual", "--model.discriminator.norm", "spectral"]
    on += ["--model.discriminator.minibatch_kernels", "9", "--model.historical_averaging", "0.1"]
    quick = ["--trainer.accelerator", "cpu", "--trainer.max_steps", "2", "--evaluation.every_steps", "null"]
    on += ["--model.top_k", "[0.5, 50]", "--model.instance_noise", "[0.1, 100]"]
    main(["fit", "--config", "dcgan_digits.yaml", *networks, *on, *quick])
    given = yaml.safe_load((tmp_path / "runs/dcgan_digits/version_0/config.yaml").read_text())["model"]["init_args"]
    assert (given["top_k"], given["instance_noise"], given["historical_averaging"]) == ([0.5, 50], [0.1, 100], 0.1)
    game = ganzoo.load(tmp_path / "runs/dcgan_digits/version_0/checkpoints/last.ckpt")
    kinds = {type(module) for module in game.modules()}
    assert {ganzoo.VirtualBatchNorm, ganzoo.MinibatchDiscrimination, ganzoo.HistoricalAverage, ganzoo.InstanceNoise} <= kinds
    assert game.sample(3).shape == (3, *game.shape)


def test_a_networks_argument_needs_the_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["fit", "--model", "DCGAN", "--data", "Digits", "--model.discriminator.norm", "spectral"])
    assert "norm is an option of a network: name it first" in capsys.readouterr().err


# --- spectral normalisation


def test_a_pass_is_one_power_iteration():
    """Algorithm 1, in numpy: u = W v / ||W v||, v = W^T u / ||W^T u||, sigma = u^T W v."""
    torch.manual_seed(0)
    layer = spectrally_normalised(nn.Linear(5, 4, dtype=torch.float64))
    state = layer.parametrizations.weight[0]
    weight = layer.parametrizations.weight.original.detach().numpy()
    v = torch.nn.functional.normalize(torch.randn(5, dtype=torch.float64), dim=0)
    state._v.copy_(v)
    x = torch.randn(3, 5, dtype=torch.float64)
    u = weight @ v.numpy()
    u /= np.linalg.norm(u)
    v = weight.T @ u
    v /= np.linalg.norm(v)
    normalised = weight / (u @ weight @ v)
    expected = x.numpy() @ normalised.T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(state._u.numpy(), u, rtol=1e-12)
    layer.eval()
    for _ in range(3):
        np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12)


@discriminators
def test_the_largest_singular_value_of_every_weight_is_one(network):
    make, shape = NETWORKS[network]
    torch.manual_seed(0)
    discriminator = make(shape, norm="spectral")
    for _ in range(300):
        discriminator(torch.randn(1, *shape))
    weights = [layer.weight for layer in discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    largest = [np.linalg.svd(weight.detach().numpy().reshape(len(weight), -1), compute_uv=False)[0] for weight in weights]
    assert len(largest) >= 3
    np.testing.assert_allclose(largest, 1, atol=0.01)


def test_a_copy_goes_its_own_way():
    torch.manual_seed(0)
    discriminator = DISCRIMINATOR(TINY, norm="spectral")
    before, twin = copy.deepcopy(discriminator.state_dict()), copy.deepcopy(discriminator)
    x = torch.randn(2, *TINY)
    torch.testing.assert_close(twin(x), discriminator(x))
    for _ in range(3):
        twin(x)
    assert not same(twin, discriminator)
    discriminator.load_state_dict(before)
    assert torch.equal(discriminator.eval()(x), discriminator(x)), "evaluation moves nothing"


def test_the_gradient_goes_through_sigma():
    """Eq. 12: the normalised weight's gradient loses what would only make W larger, so that W . dL/dW = 0."""
    torch.manual_seed(0)
    layer = spectrally_normalised(nn.Linear(6, 4, dtype=torch.float64))
    weight = layer.parametrizations.weight.original
    (gradient,) = torch.autograd.grad(layer(torch.randn(3, 6, dtype=torch.float64)).square().sum(), weight)
    assert gradient.norm() > 0.1
    assert (weight * gradient).sum().item() == pytest.approx(0, abs=1e-10)


# --- minibatch discrimination


def test_minibatch_discrimination_against_its_definition():
    torch.manual_seed(0)
    layer = ganzoo.MinibatchDiscrimination(4, kernels=3, size=2)
    features = torch.randn(5, 4)
    f, tensor = features.double().numpy(), layer.transform.detach().double().numpy()
    out = np.zeros((5, 3))
    for i in range(5):
        for b in range(3):
            for j in range(5):
                m_i, m_j = ([sum(x[a] * tensor[a, b, c] for a in range(4)) for c in range(2)] for x in (f[i], f[j]))
                out[i, b] += math.exp(-sum(abs(p - q) for p, q in zip(m_i, m_j, strict=True)))
    np.testing.assert_allclose(layer(features).detach().numpy(), np.concatenate([f, out], 1), rtol=1e-5)


def test_a_collapsed_batch_is_closest():
    layer = ganzoo.MinibatchDiscrimination(4, kernels=3)
    assert torch.equal(layer(torch.randn(1, 4).expand(6, 4))[:, 4:], torch.full((6, 3), 6.0))
    assert (layer(torch.randn(6, 4))[:, 4:] < 6).all()


@discriminators
def test_the_last_layer_sees_features_and_closeness(network):
    make, shape = NETWORKS[network]
    plain, close = make(shape), make(shape, minibatch_kernels=7)
    x = torch.randn(3, *shape)
    assert close(x).shape == (3,)
    assert close.features(x).shape[1] == plain.features(x).shape[1] + 7
    last = plain.last if network == "resnet" else plain.layers[-1]
    torch.testing.assert_close(last(plain.features(x)).squeeze(1), plain(x))


def test_wgan_gp_refuses_it():
    with pytest.raises(ValueError, match="minibatch discrimination"):
        ganzoo.WGANGP(shape=TINY, discriminator=partial(DISCRIMINATOR, norm="none", minibatch_kernels=7))


# --- feature matching


def test_feature_matching_by_hand():
    real, fake = torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.tensor([[0.0, 1.0], [2.0, 1.0]])
    assert losses.feature_matching(real, fake).item() == (2 - 1) ** 2 + (4 - 1) ** 2


def test_the_generator_matches_the_means_of_features():
    game = ganzoo.GAN(shape=(2,), generator_cost="feature_matching")
    game.discriminator.features = lambda x: torch.stack([x[:, 0], x[:, 1].square()], 1)
    game.fake = lambda n: torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    real = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert game.generator_loss(real)["features"].item() == (1 - 2) ** 2 + (5 - 2) ** 2


class Featureless(nn.Linear):
    def __init__(self, shape):
        super().__init__(*shape, 1)


def test_feature_matching_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="leave out top_k"):
        ganzoo.GAN(shape=(2,), generator_cost="feature_matching", top_k=(0.5, 10))
    for front in ({}, {"instance_noise": (0.1, 10), "lecam": 0.3}):
        with pytest.raises(ValueError, match=r"method features\(x\)"):
            ganzoo.GAN(shape=(2,), generator_cost="feature_matching", discriminator=Featureless, **front)


# --- historical averaging


def test_historical_averaging_by_hand():
    player = nn.Linear(2, 1, bias=False)
    history = ganzoo.HistoricalAverage(player)
    weights = [(4.0, 0.0), (0.0, 2.0), (2.0, 4.0)]
    means = [(4.0, 0.0), (2.0, 1.0), (2.0, 2.0)]
    for weight, mean in zip(weights, means, strict=True):
        with torch.no_grad():
            player.weight.copy_(torch.tensor([weight]))
        penalty = history(player)
        apart = [w - m for w, m in zip(weight, mean, strict=True)]
        assert penalty.item() == pytest.approx(sum(x**2 for x in apart))
        (gradient,) = torch.autograd.grad(penalty, player.weight)
        assert gradient[0].tolist() == pytest.approx([2 * x for x in apart])


def test_the_penalty_is_in_every_variants_loss():
    plain, penalised = (ganzoo.WGAN(shape=(2,), **MLP, historical_averaging=weight) for weight in (0.0, 3.0))
    penalised.load_state_dict(plain.state_dict(), strict=False)
    for game in (plain, penalised):
        game.optimizers_of = game.configure_optimizers().of
    batch = (torch.randn(5, 2),)
    for step in range(2):
        results = []
        for game in (plain, penalised):
            torch.manual_seed(step)
            results.append(game.move("discriminator", game.discriminator_loss, batch))
        (terms, gradients), (more, pulled) = results
        assert set(more) - set(terms) == {"history"}
        weights = list(penalised.discriminator.parameters())
        if step == 0:
            assert more["history"] == 0, "the first weights are their own mean"
            start = [weight.detach().clone() for weight in weights]
            for game in (plain, penalised):
                learn(game.optimizers_of["discriminator"], game._weights["discriminator"], gradients, 1.0)
        else:
            for weight, first, gradient, with_penalty in zip(weights, start, gradients, pulled, strict=True):
                mean = (first + weight.detach()) / 2
                torch.testing.assert_close(with_penalty - gradient, 3.0 * 2 * (weight.detach() - mean), atol=1e-6, rtol=1e-4)


# --- virtual batch normalisation


def test_virtual_batch_normalisation_against_its_definition():
    torch.manual_seed(0)
    layer = ganzoo.VirtualBatchNorm(3, reference=4).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
        layer.bias.copy_(torch.tensor([0.5, 0.0, 3.0]))
    x = torch.randn(6, 3, 5, 5, dtype=torch.float64) * 3 + 1
    out = layer(x).detach()
    for channel in range(3):
        gain, bias = layer.weight[channel].item(), layer.bias[channel].item()
        reference = x[:4, channel]
        for i in range(6):
            own = x[i, channel]
            mu, square = reference.mean(), reference.square().mean()
            if i >= 4:
                mu, square = (4 * mu + own.mean()) / 5, (4 * square + own.square().mean()) / 5
            expected = gain * (own - mu) / (square - mu**2 + 1e-5).sqrt() + bias
            torch.testing.assert_close(out[i, channel], expected)


def test_it_keeps_its_digits_far_from_zero():
    layer = ganzoo.VirtualBatchNorm(2, reference=8)
    x = torch.randn(12, 2, 4, 4)
    torch.testing.assert_close(layer(x + 3000), layer(x), atol=2e-3, rtol=0)


@pytest.mark.parametrize("network", [GENERATOR, partial(ganzoo.ResNetGenerator, width=4)])
def test_a_sample_does_not_depend_on_its_neighbours(network):
    torch.manual_seed(0)
    generator = network(6, (1, 32, 32), norm="virtual")
    assert generator.reference.shape == (REFERENCE, 6)
    z = torch.randn(5, 6)
    images = generator(z)
    assert images.shape == (5, 1, 32, 32)
    torch.testing.assert_close(generator(z[2:3]), images[2:3])
    torch.testing.assert_close(generator.eval()(z), images)
    other = copy.deepcopy(generator)
    other.reference.normal_()
    assert not torch.allclose(other(z), images, atol=1e-3), "but on the reference batch"


# --- instance noise


def test_instance_noise_by_hand():
    torch.manual_seed(0)
    seen = ganzoo.InstanceNoise(nn.Identity(), 0.3, 10)
    x = torch.rand(200, 500)
    noise = seen(x) - x
    assert noise.std().item() == pytest.approx(0.3, rel=0.01)
    assert noise.mean().item() == pytest.approx(0, abs=0.005)
    stds = []
    for step in (0, 5, 10, 20):
        seen.anneal(step)
        stds.append(seen.sigma.item())
    assert stds == pytest.approx([0.3, 0.15, 0, 0])
    seen.anneal(0)
    assert torch.equal(seen.eval()(x), x)


def test_sigma_falls_with_the_rounds(fit):
    game = new("instance noise")
    fit(game, max_steps=3)
    assert game.discriminator.sigma.item() == pytest.approx(0.5 * 3 / 6)
    fit(game, max_steps=7)
    assert game.discriminator.sigma.item() == 0


def test_instance_noise_is_in_the_features_too():
    noisy = ganzoo.InstanceNoise(ganzoo.MLPDiscriminator((2,), width=4), 1.0, 10)
    x = torch.randn(3, 2)
    assert not torch.equal(noisy.features(x), noisy.discriminator.features(x))
    assert torch.equal(noisy.eval().features(x), noisy.discriminator.features(x))


@pytest.mark.parametrize("noise", [(0.1, 0), (-0.1, 10)])
def test_noise_that_cannot_fall_is_refused(noise):
    with pytest.raises(ValueError, match=r"^instance noise is a standard deviation"):
        ganzoo.GAN(shape=(2,), instance_noise=noise)


# --- top-k


@pytest.mark.parametrize("top_k", [(0.5, 0), (0.0, 10), (2.0, 10)])
def test_shares_that_mean_nothing_are_refused(top_k):
    with pytest.raises(ValueError, match=r"^top_k is a share in \(0, 1\]"):
        ganzoo.GAN(shape=(2,), top_k=top_k)


def test_only_the_top_k_hand_a_gradient_on():
    logit = torch.tensor([0.3, -1.0, 2.0, 0.3, -4.0], requires_grad=True)
    for share, kept in [(0.2, {2}), (0.4, {2, 0}), (0.41, {2, 0, 3}), (1.0, {0, 1, 2, 3, 4}), (0.01, {2})]:
        chosen = losses.top_k(logit, torch.tensor(share))
        assert torch.equal(chosen, logit)
        (gradient,) = torch.autograd.grad(losses.non_saturating(chosen), logit)
        expected = [-(1 - 1 / (1 + math.exp(-x))) / 5 if i in kept else 0 for i, x in enumerate(logit.tolist())]
        assert gradient.tolist() == pytest.approx(expected)


def test_the_share_falls_geometrically(fit):
    game = new("top-k")
    assert game.share == 1
    fit(game, max_steps=3)
    assert game.share.item() == pytest.approx(math.sqrt(0.5))
    fit(game, max_steps=8)
    assert game.share == 0.5
