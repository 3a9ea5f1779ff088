"""Temporal convolutional networks (Wiese et al. 2019, arXiv:1907.06673, appendix B): each output sees a window of the past."""

from math import ceil, log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.recurrent import refuse_no_series

SLOPE = 0.25  # of PReLU as it begins


class TemporalBlock(nn.Module):
    """Two dilated convolutions, each before a PReLU (definition B.1), without padding.

    [N, inputs, T] -> [N, outputs, T - 2 D (K - 1)], where D is the dilation and K the kernel.

    Args:
        kernel: steps that each convolution looks at.
        dilation: distance between two of them, in steps.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, kernel: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(inputs, hidden, kernel, dilation=dilation),
            nn.PReLU(),
            nn.Conv1d(hidden, outputs, kernel, dilation=dilation),
            nn.PReLU(),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight, a=SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class TCN(nn.Module):
    """A block of kernel 1, and blocks of kernel 2 and dilations 1, 2, 4 ...; the output is of the sum of all that they give.

    Each output is of the last `field` inputs alone: [N, inputs, T] -> [N, outputs, T - field + 1]. Weights begin as He et al.'s
    (2015, arXiv:1502.01852), so that fourteen layers give as much variance as they are given: with PyTorch's own it dies away,
    and a discriminator is blind to what several steps together tell, such as volatility in clusters.

    Args:
        width: channels of all blocks.
        blocks: of kernel 2; `field` is 2^(blocks + 1) - 1.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int = 80, blocks: int = 6) -> None:
        super().__init__()
        self.field = 2 ** (blocks + 1) - 1
        wide = [TemporalBlock(width, width, width, kernel=2, dilation=2**i) for i in range(blocks)]
        self.blocks = nn.ModuleList([TemporalBlock(inputs, width, width, kernel=1, dilation=1), *wide])
        self.last = nn.Conv1d(width, outputs, 1)
        nn.init.normal_(self.last.weight, std=(width * len(self.blocks)) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.shape[2] - self.field + 1
        given = []
        for block in self.blocks:
            x = block(x)
            given.append(x[:, :, -steps:])
        return self.last(torch.stack(given).sum(0))


class TCNGenerator(nn.Module):
    """Noise [N, length + field - 1, latent_dim] -> series [N, length, features] in [-1, 1], float32, stationary.

    Args:
        width: channels of all blocks.
        blocks: of kernel 2; `field` is 2^(blocks + 1) - 1.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, width: int = 80, blocks: int = 6) -> None:
        super().__init__()
        self.tcn = TCN(latent_dim, shape[1], width=width, blocks=blocks)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.tcn(z.transpose(1, 2)).float()).transpose(1, 2)


class TCNDiscriminator(nn.Module):
    """Series [N, length, features] -> logits [N], float32: one output, whose field is the whole series, or little more.

    Where it is more there are zeros before the series.

    Args:
        width: channels of all blocks.

    Raises:
        ValueError: samples that are no series.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 80) -> None:
        super().__init__()
        refuse_no_series(shape, "TCNDiscriminator")
        length, features = shape
        self.tcn = TCN(features, 1, width=width, blocks=max(1, ceil(log2(length + 1)) - 1))
        self.before = self.tcn.field - length

    def forward(self, x: Tensor) -> Tensor:
        return self.tcn(F.pad(x.transpose(1, 2), (self.before, 0))).float().flatten()
