"""Historical averaging (Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 3.3)."""

import torch
from torch import Tensor, nn


class HistoricalAverage(nn.Module):
    """||theta - 1/t sum_i theta_i||^2: how far a network's weights are from the mean of all that they have been.

    The sum runs over the weights at each call so far, this one's included; the mean is a running one, in buffers, and its
    gradient is not followed. Two players who circle around an equilibrium are drawn into it.
    """

    t: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("t", torch.zeros(()))
        for i, weight in enumerate(network.parameters()):
            self.register_buffer(f"mean_{i}", weight.detach().clone())

    def forward(self, network: nn.Module) -> Tensor:
        weights = list(network.parameters())
        means = [getattr(self, f"mean_{i}") for i in range(len(weights))]
        with torch.no_grad():
            self.t.add_(1)
            for mean, weight in zip(means, weights, strict=True):
                mean.lerp_(weight, 1 / self.t)
        return torch.stack([(weight - mean).square().sum() for mean, weight in zip(means, weights, strict=True)]).sum()
