"""SemiSupervisedGAN: its losses by hand, its networks, and that it learns to tell classes apart."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from conftest import TINY, data_for, of_digits, trainer
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo.networks.conditional import classifier

REAL = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
FAKE = torch.tensor([[-3.0, 1.0, 0.0], [-2.0, -2.0, -4.0]])
LABELLED = torch.tensor([[1.0, 2.0, 0.0], [0.5, 0.0, -1.0]])
LABEL = torch.tensor([1, 2])
X = torch.zeros(2, 2)


def game(*answers: torch.Tensor, **arguments) -> ganzoo.SemiSupervisedGAN:
    """Of points of three classes, whose discriminator answers so, one after the other."""
    mlp = {"generator": partial(ganzoo.MLPGenerator, width=4), "discriminator": partial(ganzoo.MLPDiscriminator, width=4)}
    of = ganzoo.SemiSupervisedGAN(shape=(2,), classes=3, **(mlp | arguments))
    given = iter(answers)
    of.discriminator.forward = lambda x: next(given)
    return of


# --- losses ---


def by_hand() -> dict[str, float]:
    def d(logits: torch.Tensor) -> list[float]:
        z = [sum(math.exp(logit) for logit in row) for row in logits.tolist()]
        return [one / (one + 1) for one in z]

    def log_softmax(row: list[float], k: int) -> float:
        return row[k] - math.log(sum(math.exp(logit) for logit in row))

    return {
        "class": -sum(log_softmax(row, k) for row, k in zip(LABELLED.tolist(), LABEL.tolist(), strict=True)) / 2,
        "real": -sum(math.log(one) for one in d(REAL)) / 2,
        "fake": -sum(math.log(1 - one) for one in d(FAKE)) / 2,
    }


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_discriminator_loss(weight):
    terms = game(REAL, FAKE, LABELLED, unlabelled_weight=weight).discriminator_loss(X, X, LABEL)
    expected = by_hand()
    assert terms["class"].item() == pytest.approx(expected["class"], rel=1e-5)
    assert terms["real"].item() == pytest.approx(weight * expected["real"], rel=1e-5)
    assert terms["fake"].item() == pytest.approx(weight * expected["fake"], rel=1e-5)


def test_the_fake_class_is_one_more_logit_fixed_to_zero():
    """-log p(y = K + 1 | x) of the softmax over K + 1 logits, and -log(1 - that) for real samples (section 5)."""
    terms = game(REAL, FAKE, LABELLED).discriminator_loss(X, X, LABEL)
    fake = [torch.cat([logits, torch.zeros(2, 1)], 1).softmax(1)[:, 3] for logits in (REAL, FAKE)]
    assert terms["real"].item() == pytest.approx(-(1 - fake[0]).log().mean().item(), rel=1e-5)
    assert terms["fake"].item() == pytest.approx(-fake[1].log().mean().item(), rel=1e-5)


def test_large_logits_do_not_overflow():
    terms = game(100 * REAL, 100 * FAKE, 100 * LABELLED).discriminator_loss(X, X, LABEL)
    assert all(torch.isfinite(term) for term in terms.values())
    assert terms["fake"].item() == pytest.approx(100 / 2), "log Z of the first fake is 100, of the second far below 0"


def test_discriminator_loss_differentiates():
    logits = [logits.double().requires_grad_() for logits in (REAL, FAKE, LABELLED)]
    loss = lambda *answers: sum(game(*answers).discriminator_loss(X, X, LABEL).values())  # noqa: E731
    assert torch.autograd.gradcheck(loss, logits)


def test_generator_loss_matches_mean_features():
    of = game()
    answers = iter([torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 4.0]])])
    of.discriminator.features = lambda x: next(answers)
    terms = of.generator_loss(X, X, LABEL)
    assert terms["features"].item() == pytest.approx(((2 - 0.5) ** 2 + (1 - 2) ** 2) / 2)


# --- the classifier ---


@pytest.mark.parametrize(
    "kind",
    [
        ganzoo.MLPDiscriminator,
        partial(ganzoo.MLPDiscriminator, norm="spectral"),
        partial(ganzoo.DCGANDiscriminator, width=8),
        partial(ganzoo.DCGANDiscriminator, width=8, norm="spectral"),
        partial(ganzoo.ResNetDiscriminator, width=8),
        ganzoo.NoisyMLPDiscriminator,
    ],
)
def test_any_discriminator_becomes_a_classifier(kind):
    plain, network = kind((3, 32, 32)), classifier(kind, 10, (3, 32, 32)).eval()
    x = torch.randn(4, 3, 32, 32)
    logits = network(x)
    assert logits.shape == (4, 10) and logits.dtype == torch.float32
    torch.testing.assert_close(logits, network.last(network.features(x)))
    names = [name for name, _ in plain.named_parameters()]
    assert set(names) <= {name for name, _ in network.named_parameters()}, "its last layer is replaced, no layer is added"
    assert is_parametrized(network.last) == is_parametrized(plain.last), "spectral normalisation stays"


def test_other_discriminators_are_refused():
    with pytest.raises(ValueError, match=r"features\(x\) and a linear layer `last`"):
        game(discriminator=ganzoo.MLPAutoencoder)
    with pytest.raises(ValueError, match="two classes or more, not 1"):
        classifier(ganzoo.MLPDiscriminator, 1, (2,))


def test_data_without_classes_is_refused():
    with pytest.raises(ValueError, match="needs data with classes"):
        ganzoo.SemiSupervisedGAN(shape=(2,))


def test_classify_is_without_noise_and_leaves_the_mode():
    of = of_digits(ganzoo.SemiSupervisedGAN)
    x = torch.rand(300, *TINY)
    logits = of.classify(x)
    assert torch.equal(logits, of.classify(x))
    assert logits.shape == (300, 10) and not logits.requires_grad
    assert of.discriminator.training and not torch.equal(of.discriminator(x), logits)
    of.eval()
    assert torch.equal(of.classify(x), logits) and not of.discriminator.training


def test_validation_logs_the_error_on_all_held_out_data():
    of, data = of_digits(ganzoo.SemiSupervisedGAN), data_for(ganzoo.SemiSupervisedGAN)
    [metrics] = trainer().validate(of, data, verbose=False)
    _, real, label = data.held_out.__getitems__(range(297))  # 37 batches of 8, and one
    wrong = of.classify(real / 127.5 - 1).argmax(1) != label
    assert metrics["val/error"] == pytest.approx(wrong.float().mean().item())
    [metrics] = trainer().test(of, data, verbose=False)
    assert metrics["test/error"] == pytest.approx(wrong.float().mean().item())


def test_it_learns_to_tell_digits_apart(fit):
    torch.manual_seed(0)
    small = partial(ganzoo.NoisyMLPDiscriminator, widths=(128, 64))
    of = ganzoo.SemiSupervisedGAN(shape=TINY, classes=10, discriminator=small)
    data = ganzoo.Digits(labelled=100)
    fit(of, data=data, max_steps=150)
    [metrics] = trainer().validate(of, data, verbose=False)
    assert metrics["val/error"] < 0.25


def test_it_plays_with_other_networks(fit):
    of = ganzoo.SemiSupervisedGAN(
        shape=TINY,
        classes=10,
        generator=partial(ganzoo.DCGANGenerator, width=4),
        discriminator=partial(ganzoo.DCGANDiscriminator, width=4),
        instance_noise=(0.1, 10),
    )
    fit(of)
    assert of.classify(torch.rand(2, *TINY)).shape == (2, 10)


# --- the paper's networks ---


def test_weights():
    sizes = [784, 1000, 500, 250, 250, 250, 10]
    network = classifier(ganzoo.NoisyMLPDiscriminator, 10, (1, 28, 28))
    expected = sum(a * b + b for a, b in pairwise(sizes))
    assert sum(weight.numel() for weight in network.parameters()) == expected
    generator = ganzoo.SoftplusMLPGenerator(100, (1, 28, 28))
    hidden = 100 * 500 + 2 * 500 + 500 * 500 + 2 * 500  # batch normalisation's gain and bias
    assert sum(weight.numel() for weight in generator.parameters()) == hidden + 500 * 784 + 784 + 784  # and a scale a pixel


def test_noise_is_of_its_size_and_of_training_only():
    noise = ganzoo.GaussianNoise(0.3)
    x = torch.ones(100_000)
    added = noise(x) - x
    assert added.std().item() == pytest.approx(0.3, rel=0.02) and abs(added.mean().item()) < 0.01
    assert not torch.equal(noise(x), noise(x))
    assert torch.equal(noise.eval()(x), x)


def test_rows_of_weights_are_directions():
    layer = ganzoo.WeightNormLinear(3, 2, scale=2.0)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.0, 4.0], [0.0, -7.0, 0.0]]))
        layer.bias.copy_(torch.tensor([0.5, 0.0]))
    x = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(layer(x), torch.tensor([[2 * (3 + 12) / 5 + 0.5, -4.0]]))


def test_layers_keep_the_size_of_their_features():
    torch.manual_seed(0)
    x = torch.randn(2000, 100)
    layer = nn.Sequential(ganzoo.WeightNormLinear(100, 400), nn.ReLU())
    assert layer(x).square().mean().item() == pytest.approx(x.square().mean().item(), rel=0.1)


def test_generated_images_are_in_range():
    generator = ganzoo.SoftplusMLPGenerator(8, (1, 5, 5), width=16)
    images = generator(10 * torch.randn(50, 8))
    assert images.shape == (50, 1, 5, 5) and images.dtype == torch.float32
    assert images.min() >= -1 and images.max() <= 1 and images.min() < 0 < images.max()


def test_the_defaults_are_the_papers():
    of = of_digits(ganzoo.SemiSupervisedGAN)
    assert of.latent_dim == 100 and of.betas == (0.5, 0.999)
    assert of.lr == {"generator": 3e-3, "discriminator": 3e-3}
    assert isinstance(of.generator, ganzoo.SoftplusMLPGenerator) and isinstance(of.discriminator, ganzoo.NoisyMLPDiscriminator)
