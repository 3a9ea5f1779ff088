"""pix2pix's generator (https://arxiv.org/abs/1611.07004, section 6.1.1): an encoder, and a decoder that sees its maps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.layers import square_size
from ganzoo.networks.patch import MapNorm, has_bias, initialise, normalised_maps

SIZES = [2**i for i in range(4, 11)]
NOISY = 3  # blocks of the decoder that have dropout


class NoiseDropout(nn.Module):
    """Dropout in evaluation mode too, where it is the generator's noise (section 2): [N, ...] -> the same."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, training=True)


class UNet(nn.Module):
    """[N, *shape] -> [N, *shape] in [-1, 1], float32: halved down to one pixel, and doubled up again.

    For 256 x 256 images it is the paper's, of eight halvings; smaller ones have fewer. Images whose sides are other
    multiples of the size that it is made for can be translated too.

    Args:
        width: channels of the largest map; at most 8 times as many in the others.
        dropout: of the decoder's first three blocks, in evaluation mode too; 0 for none: then it has no noise at all.
        norm: of the maps but those of the first and the last layer and of one pixel. By each image's own statistics is what
            the paper has in batches of one; by the `batch`'s, running ones serve in evaluation mode.

    Raises:
        ValueError: sides that are not 16, 32, ..., 1024.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 64, dropout: float = 0.5, norm: MapNorm = "instance") -> None:
        super().__init__()
        depth = square_size("UNet", shape, SIZES).bit_length() - 1
        channels = [width * min(2**i, 8) for i in range(depth)]
        bias = has_bias(norm)
        self.multiple = 2**depth  # of which the sides of an image must be one
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, here in enumerate(channels):
            before = channels[i - 1] if i else shape[0]
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if i else []
            layers.append(nn.Conv2d(before, here, 4, 2, 1, bias=bias))
            layers += [normalised_maps(norm, here)] if 0 < i < depth - 1 else []
            self.down.append(nn.Sequential(*layers))
            deepest, last = i == depth - 1, i == 0
            twice = here if deepest else 2 * here  # beside what comes from below
            after = shape[0] if last else before
            layers = [nn.ReLU(), nn.ConvTranspose2d(twice, after, 4, 2, 1, bias=bias or last)]
            layers += [] if last else [normalised_maps(norm, after)]
            layers += [NoiseDropout(dropout)] if dropout and not last and depth - i <= NOISY else []
            self.up.insert(0, nn.Sequential(*layers))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for down in self.down:
            x = down(x)
            maps.append(x)
        x = self.up[0](maps.pop())
        for up in self.up[1:]:
            x = up(torch.cat([maps.pop(), x], dim=1))
        return torch.tanh(x.float())
