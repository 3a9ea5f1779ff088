"""Self-attention in convolutional networks (Zhang et al. 2018, https://arxiv.org/abs/1805.08318)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Each place of a map looks at all others (arXiv:1805.08318, section 3): [N, C, H, W] -> the same, H and W even.

    x + gamma o(g(x) beta^T) with beta = softmax(theta(x)^T phi(x)) over the places looked at, in float32. As in the authors'
    code phi and g are max-pooled, so that a quarter of the places is looked at, and g has half the channels. gamma starts at
    zero: the layer is learned from nothing.

    Args:
        channels: C; theta and phi have C / 8, at least one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        keys, values = max(1, channels // 8), max(1, channels // 2)
        self.theta = nn.Conv2d(channels, keys, 1, bias=False)
        self.phi = nn.Conv2d(channels, keys, 1, bias=False)
        self.g = nn.Conv2d(channels, values, 1, bias=False)
        self.out = nn.Conv2d(values, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        theta = self.theta(x).flatten(2)  # [N, C / 8, HW]
        phi = F.max_pool2d(self.phi(x), 2).flatten(2)  # [N, C / 8, HW / 4]
        g = F.max_pool2d(self.g(x), 2).flatten(2)  # [N, C / 2, HW / 4]
        scores = theta.transpose(1, 2) @ phi  # [N, HW, HW / 4]
        beta = (scores if scores.dtype == torch.float64 else scores.float()).softmax(2)
        seen = (g @ beta.to(g.dtype).transpose(1, 2)).unflatten(2, x.shape[2:])  # [N, C / 2, H, W]
        return (x + self.gamma * self.out(seen)).to(x.dtype)
