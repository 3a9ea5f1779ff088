"""WGAN: Arjovsky, Chintala, Bottou, "Wasserstein GAN", 2017, https://arxiv.org/abs/1701.07875"""

from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.duel import Duel
from ganzoo.game import Terms


class WGAN(Duel):
    """The critic f estimates the Wasserstein distance as E f(x) - E f(G(z)), kept Lipschitz by clipping its weights.

    The critic's loss is minus that estimate, whose size follows the samples' quality: watch `discriminator/loss`.

    Args:
        clip: c of Algorithm 1; after each step the critic's weights are put back into [-c, c].
        discriminator_steps: n_critic of Algorithm 1.
        lr: RMSprop's alpha; with momentum, Adam's included, the paper found training unstable (section 4.3).
    """

    def __init__(self, *, clip: float = 0.01, discriminator_steps: int = 5, lr: float = 5e-5, **duel: Any) -> None:
        super().__init__(discriminator_steps=discriminator_steps, lr=lr, betas=(0.0, 0.0), **duel)  # no betas: RMSprop
        self.clip = clip

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        with torch.no_grad():
            fake = self.fake(len(real))
        return {"real": -self.discriminator(real).mean(), "fake": self.discriminator(fake).mean()}  # line 5

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": -self.discriminator(self.fake(len(real))).mean()}  # line 10

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=self.lr[player])

    @torch.no_grad()
    def after_turn(self, player: str) -> None:
        super().after_turn(player)
        if player == "discriminator":  # line 7
            weights: list[Tensor] = [weight for weight in self.discriminator.parameters() if weight.requires_grad]
            torch._foreach_clamp_min_(weights, -self.clip)
            torch._foreach_clamp_max_(weights, self.clip)
