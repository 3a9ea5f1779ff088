"""Instance noise (Sonderby et al. 2016, https://arxiv.org/abs/1610.04490; Arjovsky and Bottou 2017, https://arxiv.org/abs/1701.04862)."""

import torch
from torch import Tensor, nn

from ganzoo.networks.front import Front


class InstanceNoise(Front):
    """D(x + e) with e ~ N(0, sigma^2 I) drawn for each pass, in front of any discriminator, in training mode.

    Real and generated samples lie on thin sets that hardly meet; noise on both makes them overlap, so that their divergence
    says how far apart they are. sigma falls linearly with the rounds: it is a buffer, set by `anneal`.

    Args:
        discriminator: [N, *shape] and whatever else it takes -> what it returns.
        std: sigma at first, in units of the samples (images span -1 to 1).
        steps: round in which sigma reaches zero.

    Raises:
        ValueError: a negative standard deviation, or steps below 1.
    """

    sigma: Tensor

    def __init__(self, discriminator: nn.Module, std: float, steps: int) -> None:
        super().__init__(discriminator)
        if std < 0 or steps < 1:
            raise ValueError(
                "instance noise is a standard deviation and the round in which it reaches zero, such as [0.1, 50000], not "
                f"[{std:g}, {steps}]"
            )
        self.std, self.steps = std, steps
        self.register_buffer("sigma", torch.tensor(float(std)))

    def seen(self, x: Tensor) -> Tensor:
        return x + self.sigma * torch.randn_like(x) if self.training else x

    def anneal(self, step: int) -> None:
        super().anneal(step)
        self.sigma.fill_(self.std * max(0.0, 1 - step / self.steps))
