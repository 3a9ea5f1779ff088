"""Multi-layer perceptrons, for points and small images."""

from itertools import pairwise
from math import prod
from typing import Literal

from torch import Tensor, nn

from ganzoo.networks.layers import MinibatchDiscrimination, spectrally_normalised


def perceptron(inputs: int, outputs: int, width: int, layers: int) -> nn.Sequential:
    """`layers` hidden layers of `width` LeakyReLU units: [N, inputs] -> [N, outputs]."""
    sizes = [inputs] + [width] * layers
    hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))


class MLPGenerator(nn.Module):
    """[N, latent_dim] -> [N, *shape], float32; images go through tanh, points do not.

    Args:
        width: units of a hidden layer.
        layers: hidden layers.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, width: int = 512, layers: int = 3) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.layers = perceptron(latent_dim, prod(shape), width, layers)
        self.last = nn.Tanh() if len(shape) == 3 else nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        return self.last(self.layers(z).float()).unflatten(1, self.shape)


class MLPDiscriminator(nn.Module):
    """[N, *shape] -> logits [N], float32.

    Args:
        width: units of a hidden layer.
        layers: hidden layers.
        norm: `spectral`, of the weights, or none.
        minibatch_kernels: closeness of the samples to each other, by so many measures, seen by the last layer; 0: not seen.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 512,
        layers: int = 3,
        norm: Literal["spectral", "none"] = "none",
        minibatch_kernels: int = 0,
    ) -> None:
        super().__init__()
        self.layers = perceptron(prod(shape), 1, width, layers)
        if minibatch_kernels:
            features = width if layers else prod(shape)
            closeness = MinibatchDiscrimination(features, minibatch_kernels)
            self.layers = nn.Sequential(*self.layers[:-1], closeness, nn.Linear(features + minibatch_kernels, 1))
        if norm == "spectral":
            spectrally_normalised(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1)).float().squeeze(1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, features]."""
        return self.layers[:-1](x.flatten(1))

    @property
    def last(self) -> nn.Module:
        return self.layers[-1]


class MLPAutoencoder(nn.Module):
    """[N, *shape] -> its reconstruction [N, *shape] from an embedding of `hidden` numbers, float32.

    Args:
        width: units of a hidden layer.
        layers: hidden layers of the encoder, and of the decoder.
        hidden: size of the embedding.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 512, layers: int = 1, hidden: int = 64) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.encoder = perceptron(prod(shape), hidden, width, layers)
        self.decoder = perceptron(hidden, prod(shape), width, layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x.flatten(1))).float().unflatten(1, self.shape)
