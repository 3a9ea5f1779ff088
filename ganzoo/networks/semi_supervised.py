"""The networks of semi-supervised MNIST (arXiv:1606.03498, section 5.1): perceptrons; noise in D, batch normalisation in G."""

from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class GaussianNoise(nn.Module):
    """x + e with e ~ N(0, std^2 I) drawn for each pass, in training mode."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x) if self.training else x


class WeightNormLinear(nn.Linear):
    """A linear layer whose every row of weights is a direction, of one fixed length: [N, inputs] -> [N, outputs].

    Weight normalisation (arXiv:1602.07868, eq. 2) with a scale that is not learnt, as in the authors' code: the noise
    before the layer cannot be outgrown.

    Args:
        scale: the length of each row; sqrt(2) keeps the mean square of features from one ReLU layer to the next.
    """

    def __init__(self, inputs: int, outputs: int, scale: float = 2**0.5) -> None:
        super().__init__(inputs, outputs)
        self.scale = scale
        nn.init.normal_(self.weight, std=0.1)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        # Not the weights but their products are divided: there are far fewer.
        return F.linear(x, self.weight) * (self.scale / self.weight.norm(dim=1)) + self.bias


class NoisyMLPDiscriminator(nn.Module):
    """ReLU layers, each of noisy inputs and normalised weights: [N, *shape] -> logits [N], float32.

    Args:
        widths: of the hidden layers.
        input_noise: standard deviation of the noise on the samples (the paper's 0.3, where images span 0 to 1).
        noise: of that on each hidden layer's output.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        widths: tuple[int, ...] = (1000, 500, 250, 250, 250),
        input_noise: float = 0.6,
        noise: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((prod(shape), *widths)):
            layers += [GaussianNoise(noise if layers else input_noise), WeightNormLinear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.noise = GaussianNoise(noise)
        self.last = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.noise(self.features(x))).float().squeeze(1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees but for its noise: [N, features]."""
        return self.layers(x.flatten(1) + 1)  # black is 0, as in the authors' code: a dark background says nothing


class SoftplusMLPGenerator(nn.Module):
    """Softplus layers with batch normalisation, then a sigmoid: [N, latent_dim] -> images [N, *shape], float32.

    Args:
        width, layers: of the hidden layers.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, width: int = 500, layers: int = 2) -> None:
        super().__init__()
        self.shape = tuple(shape)
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise([latent_dim] + [width] * layers):
            hidden += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.Softplus()]
        self.layers = nn.Sequential(*hidden, weight_norm(nn.Linear(width, prod(shape))))

    def forward(self, z: Tensor) -> Tensor:
        return 2 * torch.sigmoid(self.layers(z).float()).unflatten(1, self.shape) - 1
