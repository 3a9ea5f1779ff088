"""BEGAN's networks (Berthelot et al. 2017, https://arxiv.org/abs/1703.10717, section 3.5): any channel count, 10 to 256."""

import torch
from torch import Tensor, nn

from ganzoo.networks.layers import square_size

# The smallest map is 5 to 8 wide and doubles up to the image: 64 = 8 * 2^3 is the paper's, 28 = 7 * 2^2 is MNIST's.
SIZES = sorted(base * 2**doublings for base in (5, 6, 7, 8) for doublings in range(1, 6) if base * 2**doublings <= 256)


def smallest(size: int) -> tuple[int, int]:
    """Side of the smallest map, and how often it doubles."""
    doublings = 0
    while size > 8:
        size, doublings = size // 2, doublings + 1
    return size, doublings


class _Double(nn.Module):
    """Nearest-neighbour upsampling, [N, C, H, W] -> [N, C, 2 H, 2 W], whose gradient is the same compiled: nn.Upsample's is
    then summed in another order."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


def two_convolutions(inputs: int, outputs: int) -> list[nn.Module]:
    """[N, inputs, H, W] -> [N, outputs, H, W]."""
    channels = (inputs, outputs), (outputs, outputs)
    return [layer for a, b in channels for layer in (nn.Conv2d(a, b, 3, padding=1), nn.ELU(True))]


def decoder(inputs: int, shape: tuple[int, ...], width: int) -> nn.Sequential:
    """[N, inputs] -> [N, *shape], unbounded: two convolutions at each size, nearest-neighbour upsampling between them."""
    base, doublings = smallest(shape[-1])
    layers: list[nn.Module] = [nn.Linear(inputs, width * base**2), nn.Unflatten(1, (width, base, base))]
    for _ in range(doublings):
        layers += [*two_convolutions(width, width), _Double()]
    return nn.Sequential(*layers, *two_convolutions(width, width), nn.Conv2d(width, shape[0], 3, padding=1))


def encoder(shape: tuple[int, ...], outputs: int, width: int) -> nn.Sequential:
    """[N, *shape] -> [N, outputs]: at each halving `width` channels more."""
    base, doublings = smallest(shape[-1])
    layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1), nn.ELU(True)]
    for level in range(1, doublings + 1):
        channels = width * level
        layers += two_convolutions(width * max(level - 1, 1), channels)
        layers += [nn.Conv2d(channels, channels, 3, 2, padding=1), nn.ELU(True)]
    channels = width * (doublings + 1)
    layers += two_convolutions(width * doublings, channels)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * base**2, outputs))


class BEGANGenerator(nn.Module):
    """[N, latent_dim] -> [N, *shape]: the discriminator's decoder with weights of its own, and tanh.

    Args:
        width: channels of every map.

    Raises:
        ValueError: a size that doubling does not reach.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, width: int = 64) -> None:
        super().__init__()
        square_size("BEGANGenerator", shape, SIZES)
        self.decoder = decoder(latent_dim, shape, width)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.decoder(z).float())


class BEGANAutoencoder(nn.Module):
    """[N, *shape] -> its reconstruction [N, *shape] from an embedding of `hidden` numbers, float32.

    Args:
        width: channels of the decoder's maps, and of the encoder's largest; with each halving come as many more.
        hidden: size of the embedding.

    Raises:
        ValueError: a size that halving does not bring down to 5 to 8.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 64, hidden: int = 64) -> None:
        super().__init__()
        square_size("BEGANAutoencoder", shape, SIZES)
        self.layers = nn.Sequential(encoder(shape, hidden, width), decoder(hidden, shape, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).float()
