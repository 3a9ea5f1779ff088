"""Self-attention over maps (Zhang et al. 2018, https://arxiv.org/abs/1805.08318, section 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.layers import precise


def projection(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution without a bias, as in the authors' code."""
    layer = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer


class SelfAttention(nn.Module):
    """y = gamma o + x, where o_j mixes what is at all places i by how well they match place j: [N, C, H, W] -> the same.

    beta_ji, the softmax over i of f(x_i) . g(x_j) (eq. 1), says how much j attends to i, and o_j = v(sum_i beta_ji h(x_i))
    (eq. 2). f and g have C / 8 channels, at least one. As in the authors' code h has C / 2, and places i are those of f and h
    after a 2x2 max-pooling: a quarter of the memory. gamma starts at 0 (eq. 3): the layer begins as the identity, and a
    network learns of near things before far ones.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        matched, mixed = max(1, channels // 8), max(1, channels // 2)
        self.f = projection(channels, matched)
        self.g = projection(channels, matched)
        self.h = projection(channels, mixed)
        self.v = projection(mixed, channels)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        f = F.max_pool2d(self.f(x), 2).flatten(2)  # [N, C / 8, HW / 4]
        h = F.max_pool2d(self.h(x), 2).flatten(2)  # [N, C / 2, HW / 4]
        g = self.g(x).flatten(2)  # [N, C / 8, HW]
        # torch's fused attention has no gradient of a gradient, which penalties need.
        scores = g.transpose(1, 2) @ f  # [N, HW, HW / 4]
        beta = precise(scores).softmax(2)
        o = self.v((h @ beta.transpose(1, 2).to(h.dtype)).unflatten(2, x.shape[2:]))
        return (self.gamma * o + x).to(x.dtype)
