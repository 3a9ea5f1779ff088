"""GAN: Goodfellow, Pouget-Abadie, Mirza, Xu, et al., "Generative Adversarial Nets", 2014, https://arxiv.org/abs/1406.2661"""

from typing import Any, Literal

import torch
from torch import Tensor

from ganzoo import losses
from ganzoo.duel import DiscriminatorClass, Duel, GeneratorClass
from ganzoo.game import Terms
from ganzoo.networks.mlp import MLPDiscriminator, MLPGenerator

COSTS = {
    "minimax": losses.minimax,
    "non_saturating": losses.non_saturating,
    "maximum_likelihood": losses.maximum_likelihood,
}


class GAN(Duel):
    """D learns to tell real from fake, G to make D take fake for real (Algorithm 1; k is `discriminator_steps`).

    Args:
        generator_cost: what G minimises: `minimax` (eq. 1), `non_saturating` (section 3), or `maximum_likelihood`
            (arXiv:1701.00160, section 3.2.4).
        real_target: D's target for real data; 0.9 is one-sided label smoothing (arXiv:1606.03498, section 3.4).

    Differences from the paper: Adam instead of momentum, LeakyReLU instead of maxout, no dropout; D's cost has the factor
    1/2 of arXiv:1701.00160, eq. 8.
    """

    default_generator: GeneratorClass = MLPGenerator
    default_discriminator: DiscriminatorClass = MLPDiscriminator

    def __init__(
        self,
        *,
        generator_cost: Literal["minimax", "non_saturating", "maximum_likelihood"] = "non_saturating",
        real_target: float = 1.0,
        **duel: Any,
    ) -> None:
        super().__init__(**duel)
        self.cost = COSTS[generator_cost]
        self.real_target = real_target

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-1/2 E log D(x) - 1/2 E log(1 - D(G(z)))."""
        with torch.no_grad():
            fake = self.fake(len(real))
        # Two passes, so that batch normalisation never mixes real and fake.
        return {
            "real": 0.5 * losses.cross_entropy(self.discriminator(real), self.real_target),
            "fake": 0.5 * losses.cross_entropy(self.discriminator(fake), 0.0),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": self.cost(self.discriminator(self.fake(len(real))))}
