"""DRAGAN: Kodali, Abernethy, Hays, Kira, "On Convergence and Stability of GANs", 2017, https://arxiv.org/abs/1705.07215"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganzoo.duel import Duel
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy, gradient_norm, non_saturating, refuse_tied_samples
from ganzoo.networks.dcgan import DCGANDiscriminator


class DRAGAN(Duel):
    """The GAN whose discriminator has gradients of norm 1 around real data: sharp ones there go with collapsed modes.

    Unlike WGAN-GP's, the penalty looks at real data and its neighbourhood alone, wherever the fakes are.

    Args:
        penalty: lambda of section 2.3; k, the norm aimed at, is 1.
        perturbation: size of the neighbourhood, in standard deviations of the batch.
        discriminator: class of the discriminator, without batch normalisation: each sample has its own gradient.
        lr, betas: the authors' code's.

    Differences from the paper: it writes delta ~ N(0, c I) with c about 10 in pixel values that it does not name. The authors'
    code, followed here, has delta = 0.5 std(batch) U[0, 1] in each pixel, and penalises somewhere between x and x + delta.
    DCGAN's discriminator is used without its batch normalisation.

    Raises:
        ValueError: the discriminator has batch normalisation.
    """

    default_discriminator = staticmethod(partial(DCGANDiscriminator, norm="none"))
    probabilistic = True

    def __init__(
        self,
        *,
        penalty: float = 10.0,
        perturbation: float = 0.5,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.9),
        **duel: Any,
    ) -> None:
        super().__init__(lr=lr, betas=betas, **duel)
        self.penalty, self.perturbation = penalty, perturbation
        refuse_tied_samples(self.discriminator, "DRAGAN")

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-E log D(x) - E log(1 - D(G(z))) + lambda E (||grad D(x + delta)||_2 - 1)^2, the gradient being the logit's."""
        with torch.no_grad():
            fake = self.fake(len(real))
        delta = self.perturbation * real.detach().std() * torch.rand_like(real)  # in each pixel
        epsilon = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)  # one for each sample
        return {
            "real": cross_entropy(self.discriminator(real), 1.0),
            "fake": cross_entropy(self.discriminator(fake), 0.0),
            "penalty": self.penalty * (gradient_norm(self.discriminator, real + epsilon * delta) - 1).square().mean(),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": non_saturating(self.discriminator(self.fake(len(real))))}
