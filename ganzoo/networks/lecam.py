"""LeCam's regularisation (Tseng et al. 2021, https://arxiv.org/abs/2104.03310)."""

from math import log

import torch
from torch import Tensor, nn

from ganzoo.networks.front import Listener, Terms


class LeCam(Listener):
    """weight R with R = E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2 (eq. 5), on the passes that D's loss makes anyway.

    a_R and a_F are exponential moving averages of D's logits on real and fake, in buffers. A logit is held to where the
    other kind's has been, so that a D that has learnt few samples by heart cannot drive the two apart.

    Args:
        discriminator: [N, *shape] and whatever else it takes -> logits [N], alone or first of several.
        weight: lambda; 0.3 in the authors' code for BigGAN on CIFAR.
        decay: of the averages, one step a discriminator's turn.

    Differences from the authors' code, which has (D(x) - a_F)_+ and (a_R - D(G(z)))_+ where the paper has the differences
    themselves: the same as long as D is right on average. There BigGAN's averages have a decay of 0.9, and the term comes in
    after 1,000 iterations; here, as in the code for StyleGAN2, the decay is 0.99 and the averages have no bias from the first.
    """

    remedy = "leave out --model.lecam"
    t: Tensor
    real: Tensor
    fake: Tensor

    def __init__(self, discriminator: nn.Module, weight: float, decay: float = 0.99) -> None:
        super().__init__(discriminator)
        self.weight, self.decay = weight, decay
        for name in ("t", "real", "fake"):
            self.register_buffer(name, torch.zeros(()))

    def told(self, real: Tensor, fake: Tensor, images: int) -> Terms:
        return {"lecam": self.weight * self.penalty(real, fake)}

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """R, of logits [N] and [N], which first move the averages."""
        with torch.no_grad():
            self.t.add_(1)
            share = (1 - self.decay) / -torch.expm1(self.t * log(self.decay))  # 1 - decay over 1 - decay^t
            self.real.lerp_(real.mean(), share)
            self.fake.lerp_(fake.mean(), share)
        return (real - self.fake).square().mean() + (fake - self.real).square().mean()
