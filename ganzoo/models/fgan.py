"""f-GAN: Nowozin, Cseke, Tomioka, "f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization", 2016, https://arxiv.org/abs/1606.00709"""

from collections.abc import Callable
from math import log
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.duel import DiscriminatorClass, Duel, GeneratorClass
from ganzoo.game import Terms
from ganzoo.networks.mlp import MLPDiscriminator, MLPGenerator

Map = Callable[[Tensor], Tensor]
Name = Literal["kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan"]

# Tables 2 and 6: the output activation t = g_f(v), and the conjugate f*(t), here as a function of v: with t put in by hand
# no logarithm meets zero and no quotient 0 / 0.
DIVERGENCES: dict[str, tuple[Map, Map]] = {
    "kl": (lambda v: v, lambda v: (v - 1).exp()),
    "reverse_kl": (lambda v: -(-v).exp(), lambda v: v - 1),  # f* = -1 - log(-t)
    "pearson": (lambda v: v, lambda v: v.square() / 4 + v),
    "squared_hellinger": (lambda v: -torch.expm1(-v), lambda v: torch.expm1(v)),  # t = 1 - exp(-v), f* = t / (1 - t)
    "jensen_shannon": (lambda v: log(2) - F.softplus(-v), lambda v: F.softplus(v) - log(2)),  # f* = -log(2 - exp(t))
    "gan": (lambda v: -F.softplus(-v), lambda v: F.softplus(v)),  # f* = -log(1 - exp(t))
}


class FGAN(Duel):
    """Any f-divergence D_f(P || Q) = E_Q f(p / q) between data P and fakes Q can be learned from samples: it is the largest
    value of F = E_P T(x) - E_Q f*(T(x)) over all functions T (eq. 4), reached by T = f'(p / q) (eq. 5).

    T is g_f(V), V being the discriminator's logit. D's loss is minus the estimate of D_f: watch `discriminator/loss`.

    Args:
        divergence: D_f; `jensen_shannon` is twice the usual JSD, and `gan` that minus log 4 (table 1).
        generator_cost: what G minimises: `minimax`, -E f*(g_f(V)), as in Algorithm 1, or `non_saturating`, -E g_f(V), as in
            section 3.2, which points the same way but does not vanish where D is sure.

    Differences from the paper: Gaussian z; LeakyReLU and no batch normalisation in the networks.
    """

    default_generator: GeneratorClass = MLPGenerator
    default_discriminator: DiscriminatorClass = MLPDiscriminator

    def __init__(
        self,
        *,
        divergence: Name = "jensen_shannon",
        generator_cost: Literal["minimax", "non_saturating"] = "minimax",
        **duel: Any,
    ) -> None:
        super().__init__(**duel)
        self.activation, self.conjugate = DIVERGENCES[divergence]
        self.cost = {"minimax": self.conjugate, "non_saturating": self.activation}[generator_cost]

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-F, eq. 7."""
        with torch.no_grad():
            fake = self.fake(len(real))
        return {
            "real": -self.activation(self.discriminator(real)).mean(),
            "fake": self.conjugate(self.discriminator(fake)).mean(),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": -self.cost(self.discriminator(self.fake(len(real)))).mean()}
