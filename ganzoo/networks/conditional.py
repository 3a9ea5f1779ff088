"""How a class label enters a network that knows none: beside z or x, in batch normalisation, or at the discriminator's end.

Each takes a network's class and the number of classes, and then what that class takes: `partial(LabelledGenerator,
MLPGenerator, 10)` is a generator's class like any other, but its networks are called with labels too, int64 [N].
"""

from collections.abc import Callable
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from ganzoo.one_hot import one_hot

GeneratorClass = Callable[[int, tuple[int, ...]], nn.Module]
DiscriminatorClass = Callable[[tuple[int, ...]], nn.Module]


class LabelledGenerator(nn.Module):
    """G(z, y) of any generator, which is given z and the one-hot y as one vector (arXiv:1411.1784, figure 1)."""

    def __init__(self, kind: GeneratorClass, classes: int, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.classes = classes
        self.network = kind(latent_dim + classes, shape)
        reference = getattr(self.network, "reference", None)
        if reference is not None:  # virtual batch normalisation's: noise of all classes in turn
            reference[:, latent_dim:] = one_hot(torch.arange(len(reference), device=reference.device) % classes, classes)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.network(torch.cat([z, one_hot(label, self.classes)], dim=1))


class LabelledDiscriminator(nn.Module):
    """D(x, y) of any discriminator, which is given y beside x (arXiv:1411.1784, figure 1): [N, *shape], [N] -> logits [N].

    To an image y is one more channel, a picture learned for each class; to a series, one more step; to a point, as many more
    features as classes.
    """

    def __init__(self, kind: DiscriminatorClass, classes: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.beside = (1, *shape[1:]) if len(shape) > 1 else (classes,)
        self.embed = nn.Embedding(classes, prod(self.beside))
        self.network = kind((shape[0] + self.beside[0], *shape[1:]))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return self.network(torch.cat([x, self.embed(label).unflatten(1, self.beside)], dim=1))


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation with a gain and a bias of each class (arXiv:1610.07629, eq. 5): [N, C, H, W], [N] -> the same.

    The statistics are those of the whole batch, whatever its classes; gains and biases begin as the given norm's.
    """

    takes_label = True

    def __init__(self, norm: nn.BatchNorm2d, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, affine=False)
        self.weight = nn.Parameter(norm.weight.detach().repeat(classes, 1))  # [classes, C]
        self.bias = nn.Parameter(norm.bias.detach().repeat(classes, 1))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        gain, bias = (F.embedding(label, table)[:, :, None, None] for table in (self.weight, self.bias))
        return (self.norm(x) * gain + bias).to(x.dtype)


def conditionally_normalised(kind: GeneratorClass, classes: int, latent_dim: int, shape: tuple[int, ...]) -> nn.Module:
    """G(z, y): a generator whose every batch normalisation is conditional (arXiv:1802.05637, section 5).

    Raises:
        ValueError: it has no batch normalisation.
    """
    generator = kind(latent_dim, shape)
    found = [
        (parent, name, child)
        for parent in generator.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.BatchNorm2d)
    ]
    if not found:
        raise ValueError(
            "this variant's labels go into its generator's batch normalisation: choose ResNetGenerator or DCGANGenerator, "
            "norm batch"
        )
    for parent, name, child in found:
        setattr(parent, name, ConditionalBatchNorm(child, classes))
    return generator


def beside_last(discriminator: nn.Module, outputs: int, *, bias: bool) -> nn.Module:
    """A linear layer of the same features that the discriminator's last one sees; spectrally normalised if that one is.

    Raises:
        ValueError: the discriminator does not say what these are.
    """
    last = getattr(discriminator, "last", None)
    if not isinstance(last, nn.Linear) or not hasattr(discriminator, "features"):
        raise ValueError("this variant needs a discriminator with a method features(x) and a linear layer `last`")
    layer = nn.Linear(last.in_features, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    return spectral_norm(layer) if is_parametrized(last) else layer


def ending_in(outputs: int, discriminator: nn.Module, *, bias: bool = True) -> nn.Module:
    """The discriminator, with so many outputs in place of its last layer's one.

    Raises:
        ValueError: it has no `features(x)` or no linear `last`.
    """
    last = beside_last(discriminator, outputs, bias=bias)
    name = next(name for name, layer in discriminator.named_modules() if layer is discriminator.last)
    discriminator.set_submodule(name, last)
    return discriminator


def classifier(kind: DiscriminatorClass, classes: int, shape: tuple[int, ...]) -> nn.Module:
    """Any discriminator with as many outputs as classes in place of its last layer: [N, *shape] -> logits [N, classes].

    Raises:
        ValueError: fewer than two classes, or a discriminator without `features(x)` and a linear `last`.
    """
    if classes < 2:
        raise ValueError(f"a classifier needs two classes or more, not {classes}")
    return ending_in(classes, kind(shape))


class ProjectionDiscriminator(nn.Module):
    """y^T V phi(x) + psi(phi(x)) (arXiv:1802.05637, section 3): [N, *shape], [N] -> logits [N], float32.

    phi are the features, psi the last layer of any discriminator; V has a row for each class.
    """

    def __init__(self, kind: DiscriminatorClass, classes: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = kind(shape)
        self.project = beside_last(self.network, classes, bias=False)  # V

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        phi = self.network.features(x)  # type: ignore[operator]
        psi: Tensor = self.network.last(phi)  # type: ignore[operator]
        return psi.float().squeeze(1) + self.project(phi).float().gather(1, label[:, None]).squeeze(1)


class ClassifyingDiscriminator(nn.Module):
    """Source and class (arXiv:1610.09585, section 3): [N, *shape] -> logits [N] and class logits [N, classes], float32."""

    def __init__(self, kind: DiscriminatorClass, classes: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = kind(shape)
        self.classify = beside_last(self.network, classes, bias=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.features(x)  # type: ignore[operator]
        source: Tensor = self.network.last(features)  # type: ignore[operator]
        return source.float().squeeze(1), self.classify(features).float()
