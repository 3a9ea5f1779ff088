"""DCGAN's networks (Radford et al. 2015, https://arxiv.org/abs/1511.06434): any channel count, square sizes 16 to 256."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from ganzoo.networks.layers import (
    REFERENCE,
    DiscriminatorNorm,
    GeneratorNorm,
    Layers,
    MinibatchDiscrimination,
    VirtualBatchNorm,
    behind,
    normalisation,
    precise,
    spectrally_normalised,
    square_size,
)

# The smallest map is 4 to 7 wide and doubles up to the image: 64 = 4 * 2^4 is the paper's, 28 = 7 * 2^2 is MNIST's.
SIZES = sorted(base * 2**doublings for base in (4, 5, 6, 7) for doublings in range(2, 7) if base * 2**doublings <= 256)


def pyramid(size: int, width: int) -> tuple[int, list[int]]:
    """Side of the smallest map, and the channels of each map from the smallest to the widest: at most 8 widths."""
    doublings = 0
    while size > 7:
        size, doublings = size // 2, doublings + 1
    return size, [width * min(2**level, 8) for level in reversed(range(doublings))]


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02) (section 4); normalisation's gains around 1, as in the authors' code. Biases start at 0: beside
    such weights torch's own would decide alone which units are on."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | VirtualBatchNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)


class _ToImage(nn.ConvTranspose2d):
    """In float32, whatever autocast does: in half precision grey images' gradient cannot be compiled on CUDA (torch 2.11),
    for of a lone channel cuDNN and inductor do not agree whether it comes last."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(precise(x), output_size)


class DCGANGenerator(nn.Module):
    """z projected to a small map, then one fractionally-strided convolution per doubling: [N, latent_dim] -> [N, *shape].

    Args:
        width: channels of the largest map but the image.
        hidden: units of a fully connected layer between z and the smallest map (InfoGAN 1,024); 0: none, as in DCGAN.
        norm: of the maps; `virtual` by a reference batch, of noise drawn here, which is passed along each time.

    Raises:
        ValueError: a size that doubling does not reach.
    """

    reference: Tensor | None

    def __init__(
        self, latent_dim: int, shape: tuple[int, ...], *, width: int = 64, hidden: int = 0, norm: GeneratorNorm = "batch"
    ) -> None:
        super().__init__()
        base, channels = pyramid(square_size("DCGANGenerator", shape, SIZES), width)
        # A linear layer is the paper's projection, and unlike a transposed convolution from 1x1 it compiles channels-last.
        smallest = (channels[0], base, base)
        self.map = (hidden, 1, 1) if hidden else smallest
        self.project = nn.Linear(latent_dim, prod(self.map), bias=False)
        layers: list[nn.Module] = [normalisation(norm, self.map[0]), nn.ReLU(True)]
        if hidden:
            layers += [nn.Flatten(), nn.Linear(hidden, prod(smallest), bias=False), nn.Unflatten(1, smallest)]
            layers += [normalisation(norm, channels[0]), nn.ReLU(True)]
        for before, after in pairwise(channels):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), normalisation(norm, after), nn.ReLU(True)]
        self.layers = Layers(*layers, _ToImage(channels[-1], shape[0], 4, 2, 1, bias=False))
        self.apply(initialise)
        self.register_buffer("reference", torch.randn(REFERENCE, latent_dim) if norm == "virtual" else None)

    def forward(self, z: Tensor, *label: Tensor) -> Tensor:
        return behind(self.reference, self.images, z, *label)

    def images(self, z: Tensor, *label: Tensor) -> Tensor:
        return torch.tanh(self.layers(self.project(z).unflatten(1, self.map), *label).float())


class DCGANDiscriminator(nn.Module):
    """One strided convolution per halving, then a linear layer: [N, *shape] -> logits [N], float32.

    Args:
        width: channels of the largest map.
        hidden: units of a fully connected layer behind the smallest map (InfoGAN 1,024); 0: none, as in DCGAN.
        norm: of the maps; or `spectral`, of the weights.
        minibatch_kernels: closeness of the samples to each other, by so many measures, seen by the last layer; 0: not seen.

    Raises:
        ValueError: a size that halving does not bring down to 4 to 7.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 64,
        hidden: int = 0,
        norm: DiscriminatorNorm = "batch",
        minibatch_kernels: int = 0,
    ) -> None:
        super().__init__()
        base, channels = pyramid(square_size("DCGANDiscriminator", shape, SIZES), width)
        channels = channels[::-1]
        # Normalisation of maps brings biases. With no bias at all D(a x) = a D(x), and a generator hides in grey, where D is 0.
        bias = norm in ("spectral", "none")
        layers: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 4, 2, 1, bias=bias), nn.LeakyReLU(0.2, True)]
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=bias), normalisation(norm, after), nn.LeakyReLU(0.2, True)]
        features = channels[-1] * base**2
        layers.append(nn.Flatten())
        if hidden:
            layers += [nn.Linear(features, hidden, bias=False), nn.Unflatten(1, (hidden, 1, 1)), normalisation(norm, hidden)]
            layers += [nn.LeakyReLU(0.2, True), nn.Flatten()]
            features = hidden
        if minibatch_kernels:
            layers.append(MinibatchDiscrimination(features, minibatch_kernels))
        self.layers = nn.Sequential(*layers, nn.Linear(features + minibatch_kernels, 1, bias=False))
        self.apply(initialise)
        if norm == "spectral":
            spectrally_normalised(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).float().squeeze(1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, features]."""
        return self.layers[:-1](x)

    @property
    def stages(self) -> list[list[nn.Module]]:
        """Each convolution with the layers up to the next, from the image on: what can be frozen."""
        found: list[list[nn.Module]] = []
        for layer in self.layers:
            if isinstance(layer, nn.Flatten):
                break
            if isinstance(layer, nn.Conv2d):
                found.append([])
            found[-1].append(layer)
        return found

    @property
    def last(self) -> nn.Module:
        return self.layers[-1]
