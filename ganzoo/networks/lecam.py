"""LeCam's regularisation (Tseng et al. 2021, https://arxiv.org/abs/2104.03310)."""

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.networks.front import Front

Terms = dict[str, Tensor]


class LeCam(Front):
    """weight R with R = E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2 (eq. 5), on the passes that D's loss makes anyway.

    a_R and a_F are exponential moving averages of D's logits on real and fake, in buffers. A logit is held to where the
    other kind's has been, so that a D that has learnt few samples by heart cannot drive the two apart.

    A loss passes real samples first and then as many fakes, and whatever else, penalties say, afterwards: a test holds every
    variant to it. Of several outputs the first is the logit.

    Args:
        discriminator: [N, *shape] and whatever else it takes -> logits [N], alone or first of several.
        weight: lambda; 0.3 in the authors' code for BigGAN on CIFAR.
        decay: of the averages, one step a discriminator's turn.

    Differences from the authors' code, which has (D(x) - a_F)_+ and (a_R - D(G(z)))_+ where the paper has the differences
    themselves: the same as long as D is right on average. There BigGAN's averages have a decay of 0.9, and the term comes in
    after 1,000 iterations; here, as in the code for StyleGAN2, the decay is 0.99 and the averages have no bias from the first.
    """

    t: Tensor
    real: Tensor
    fake: Tensor

    def __init__(self, discriminator: nn.Module, weight: float, decay: float = 0.99) -> None:
        super().__init__(discriminator)
        self.weight, self.decay = weight, decay
        self.heard: list[Tensor] | None = None  # logits, while a loss is listened to
        for name in ("t", "real", "fake"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, x: Tensor, *more: Any) -> Any:
        out = super().forward(x, *more)
        if self.heard is not None:
            self.heard.append(out[0] if isinstance(out, tuple) else out)
        return out

    def regularised(self, loss: Callable[..., Terms]) -> Callable[..., Terms]:
        """The discriminator's loss with one more term, `lecam`."""

        def both(*batch: Tensor) -> Terms:
            self.heard = []
            terms = loss(*batch)
            real, fake = self.heard[:2]
            self.heard = None
            return terms | {"lecam": self.weight * self.penalty(real, fake)}

        return both

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """R, of logits [N] and [N], which first move the averages."""
        with torch.no_grad():
            self.t.add_(1)
            share = (1 - self.decay) / -torch.expm1(self.t * log(self.decay))  # 1 - decay over 1 - decay^t
            self.real.lerp_(real.mean(), share)
            self.fake.lerp_(fake.mean(), share)
        return (real - self.fake).square().mean() + (fake - self.real).square().mean()
