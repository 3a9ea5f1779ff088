"""R1GAN: Mescheder, Geiger, Nowozin, "Which Training Methods for GANs do actually Converge?", 2018, https://arxiv.org/abs/1801.04406"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.duel import DiscriminatorClass, Duel
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy, gradient_norm, non_saturating, refuse_tied_samples
from ganzoo.networks.dcgan import DCGANDiscriminator


class R1GAN(Duel):
    """The GAN with a penalty on D's gradient that is centred at zero: near the equilibrium training then converges, even
    where data and fakes lie on manifolds of fewer dimensions and WGAN-GP circles for ever.

    At the equilibrium D is constant on the data, so nothing is lost by asking for a gradient of zero there.

    Args:
        penalty: gamma of R1, on real data (eq. 9).
        fake_penalty: gamma of R2, on fakes (eq. 10).
        discriminator: class of the discriminator, without batch normalisation: each sample has its own gradient.
        lr: RMSprop's.
        average_decay: of the generator's weight average.

    Differences from the paper: DCGAN's networks, without batch normalisation in D, instead of ResNets. The authors' code
    leaves out the 1/2 of eq. 9: its gamma of 10 is 20 here.

    Raises:
        ValueError: the discriminator has batch normalisation.
    """

    default_discriminator: DiscriminatorClass = staticmethod(partial(DCGANDiscriminator, norm="none"))
    probabilistic = True

    def __init__(
        self,
        *,
        penalty: float = 10.0,
        fake_penalty: float = 0.0,
        latent_dim: int = 256,
        lr: float = 1e-4,
        average_decay: float | None = 0.999,
        **duel: Any,
    ) -> None:
        super().__init__(latent_dim=latent_dim, lr=lr, betas=(0.0, 0.0), average_decay=average_decay, **duel)  # RMSprop
        self.penalty, self.fake_penalty = penalty, fake_penalty
        refuse_tied_samples(self.discriminator, "R1GAN")

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        with torch.set_grad_enabled(self.fake_penalty > 0):  # R2 differentiates by the fakes
            fake = self.fake(len(real))
        terms = {
            "real": cross_entropy(self.discriminator(real), 1.0),
            "fake": cross_entropy(self.discriminator(fake), 0.0),
            "penalty": 0.5 * self.penalty * gradient_norm(self.discriminator, real).square().mean(),  # eq. 9
        }
        if self.fake_penalty > 0:  # eq. 10
            terms["fake_penalty"] = 0.5 * self.fake_penalty * gradient_norm(self.discriminator, fake).square().mean()
        return terms

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": non_saturating(self.discriminator(self.fake(len(real))))}

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=self.lr[player])
