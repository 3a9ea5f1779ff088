"""Discriminators as encoders, and of pairs (x, z) (arXiv:1605.09782, arXiv:1606.00704)."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ganzoo.networks.conditional import DiscriminatorClass, ending_in
from ganzoo.networks.layers import spectrally_normalised
from ganzoo.networks.mlp import perceptron


class Encoder(nn.Module):
    """Any discriminator with `outputs` numbers at its end instead of one: [N, *shape] -> [N, outputs], float32."""

    def __init__(self, kind: DiscriminatorClass, outputs: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = ending_in(outputs, kind(shape))

    def forward(self, x: Tensor) -> Tensor:
        features = self.network.features(x)  # type: ignore[operator]
        return self.network.last(features).float()  # type: ignore[operator]


class JointDiscriminator(nn.Module):
    """D(x, z) of any discriminator: [N, *shape], [N, latent_dim] -> logits [N], float32.

    x and z are each embedded by a network of its own, the embeddings judged together (arXiv:1606.00704, table 6), without
    batch normalisation except where the discriminator brings it; spectrally normalised throughout if the discriminator is.

    Each embedding has as many units as the discriminator has features, but at most 512, and so has each of two layers that see
    both.
    """

    def __init__(self, kind: DiscriminatorClass, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        discriminator = kind(shape)
        width = min(512, getattr(getattr(discriminator, "last", None), "in_features", 512))
        self.embed_x = Encoder(lambda _: discriminator, width, shape)
        self.embed_z = perceptron(latent_dim, width, width, 1)
        self.judge = nn.Sequential(nn.LeakyReLU(0.2), perceptron(2 * width, 1, width, 2))
        if is_parametrized(self.embed_x.network.last):  # type: ignore[arg-type]
            spectrally_normalised(self.embed_z)
            spectrally_normalised(self.judge)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.judge(torch.cat([self.embed_x(x), self.embed_z(z).float()], dim=1)).float().squeeze(1)
