"""LSGAN: Mao, Li, Xie, Lau, Wang, Smolley, "Least Squares Generative Adversarial Networks", 2016, https://arxiv.org/abs/1611.04076"""

from typing import Any

import torch
from torch import Tensor

from ganzoo.duel import Duel
from ganzoo.game import Terms
from ganzoo.losses import least_squares


class LSGAN(Duel):
    """Least squares instead of the logistic loss: samples far on the right side of D's boundary are pulled to it too.

    Args:
        fake_code, real_code, generator_code: a, b and c of eq. 2. (0, 1, 1) is eq. 9; (-1, 1, 0), eq. 8, makes the game
            minimise a Pearson chi^2 divergence.

    Differences from the paper: DCGAN's networks instead of figure 1's, whose generator is deeper, its latent and its learning
    rate; the authors' code for LSUN has 1,024 uniform numbers for z, and 0.001.
    """

    def __init__(self, *, fake_code: float = 0.0, real_code: float = 1.0, generator_code: float = 1.0, **duel: Any) -> None:
        super().__init__(**duel)
        self.fake_code, self.real_code, self.generator_code = fake_code, real_code, generator_code

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2, eq. 2."""
        with torch.no_grad():
            fake = self.fake(len(real))
        return {
            "real": least_squares(self.discriminator(real), self.real_code),
            "fake": least_squares(self.discriminator(fake), self.fake_code),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": least_squares(self.discriminator(self.fake(len(real))), self.generator_code)}
