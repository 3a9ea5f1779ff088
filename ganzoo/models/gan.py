"""GAN: Goodfellow, Pouget-Abadie, Mirza, Xu, et al., "Generative Adversarial Nets", 2014, https://arxiv.org/abs/1406.2661"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ganzoo import losses
from ganzoo.duel import DiscriminatorClass, Duel, GeneratorClass
from ganzoo.game import Terms
from ganzoo.networks.front import Front
from ganzoo.networks.mlp import MLPDiscriminator, MLPGenerator

COSTS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "minimax": losses.minimax,
    "non_saturating": losses.non_saturating,
    "maximum_likelihood": losses.maximum_likelihood,
    "feature_matching": None,  # has no logits
}


class GAN(Duel):
    """D learns to tell real from fake, G to make D take fake for real (Algorithm 1; k is `discriminator_steps`).

    Args:
        generator_cost: what G minimises: `minimax` (eq. 1), `non_saturating` (section 3), `maximum_likelihood`
            (arXiv:1701.00160, section 3.2.4), or `feature_matching`, the distance between the mean features of real and
            fake in D's last layer but one (arXiv:1606.03498, section 3.1).
        real_target: D's target for real data; 0.9 is one-sided label smoothing (arXiv:1606.03498, section 3.4).
        top_k: G learns of the share of each batch that D takes most for real (arXiv:2002.06224). The share falls from 1
            geometrically to the first number, in the round that is the second; None: of all. The paper's share falls by
            1 % an epoch: to 0.5 in 69 epochs.

    Raises:
        ValueError: feature matching with top_k, which needs logits, or with a discriminator that has no `features(x)`; a share
            that is not in (0, 1], or a round below 1.

    Differences from the paper: Adam instead of momentum, LeakyReLU instead of maxout, no dropout; D's cost has the factor
    1/2 of arXiv:1701.00160, eq. 8.
    """

    default_generator: GeneratorClass = MLPGenerator
    default_discriminator: DiscriminatorClass = MLPDiscriminator
    share: Tensor | None

    def __init__(
        self,
        *,
        generator_cost: Literal["minimax", "non_saturating", "maximum_likelihood", "feature_matching"] = "non_saturating",
        real_target: float = 1.0,
        top_k: tuple[float, int] | None = None,
        **duel: Any,
    ) -> None:
        super().__init__(**duel)
        self.cost = COSTS[generator_cost]
        self.real_target = real_target
        self.probabilistic = real_target == 1.0
        self.top_k = top_k
        self.register_buffer("share", None if top_k is None else torch.ones(()))
        if top_k is not None and not (0 < top_k[0] <= 1 <= top_k[1]):
            raise ValueError(
                f"top_k is a share in (0, 1] and the round that reaches it, such as [0.5, 50000], not {list(top_k)}"
            )
        if self.cost is None and top_k is not None:
            raise ValueError("feature matching has no logits to choose the top k by: leave out top_k")
        judge = next(layer for layer in self.discriminator.modules() if not isinstance(layer, Front))
        if self.cost is None and not hasattr(judge, "features"):
            raise ValueError("feature matching needs a discriminator with a method features(x)")

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
        fake = self.fake(len(real))
        if self.cost is None:
            features: Any = self.discriminator.features  # f(x)
            with torch.no_grad():
                target = features(real)
            return {"features": losses.feature_matching(target, features(fake))}
        logit = self.discriminator(fake)
        return {"adversarial": self.cost(logit if self.share is None else losses.top_k(logit, self.share))}

    @torch.no_grad()
    def after_round(self) -> None:
        super().after_round()
        if self.share is not None and self.top_k is not None:
            least, steps = self.top_k
            self.share.fill_(max(least, least ** ((self.global_step + 1) / steps)))  # for the next round
