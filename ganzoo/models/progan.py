"""ProGAN: Karras, Aila, Laine, Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2017, https://arxiv.org/abs/1710.10196"""

from typing import Any

import torch
from torch import Tensor

from ganzoo.game import Terms
from ganzoo.growing import GrowingDuel
from ganzoo.losses import gradient_norm
from ganzoo.networks.progressive import ProGANDiscriminator, ProGANGenerator

RATES = {1024: 1.5}


class ProGAN(GrowingDuel):
    """WGAN-GP of networks that begin with 4x4 images; layers for larger ones are faded in one after another. Equalised
    learning rate, pixel norm in G, minibatch standard deviation in D.

    Args:
        generator, discriminator: their classes, which grow.
        penalty: lambda of WGAN-GP.
        drift: weight of E D(x)^2, which keeps D's scores near zero (appendix A.1).
        lr, betas: Adam's.
        average_decay: of the generator's weight average, which the paper evaluates, for each turn of G.
        stabilise_kimg, fade_kimg, batch_sizes, rates: as in the authors' later code, its preset for one device. The paper
            has 800 and 800, batches of 16, from 256x256 on 14, 6 and 3, and one learning rate.

    Differences from the paper: no classes; the norm of D's gradient aims at 1 always, not at 750 as for CIFAR-10. Level, share
    and rates change between rounds, not within one, and the average moves once a round, by as much as in all its turns; in
    round t its decay for a turn is at most (1 + t) / (10 + t).

    Raises:
        ValueError: as `GrowingDuel`.
    """

    default_generator = ProGANGenerator
    default_discriminator = ProGANDiscriminator
    gaussian = False  # but on the hypersphere: all z of a direction are one

    def __init__(
        self,
        *,
        penalty: float = 10.0,
        drift: float = 1e-3,
        latent_dim: int = 512,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.0, 0.99),
        average_decay: float | None = 0.999,
        rates: dict[int, float] = RATES,
        **duel: Any,
    ) -> None:
        super().__init__(latent_dim=latent_dim, lr=lr, betas=betas, average_decay=average_decay, rates=rates, **duel)
        self.penalty, self.drift = penalty, drift

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """E D(G(z)) - E D(x) + lambda E (||grad D(x_hat)||_2 - 1)^2 + drift E D(x)^2, appendix A.1."""
        real = self.faded(real)
        with torch.no_grad():
            fake = self.fake(len(real))
        real_score, fake_score = self.discriminator(real), self.discriminator(fake)  # apart: D compares samples of a pass
        # x_hat, of the full size at all levels, as in the authors' code: a pixel of 4x4 is many, and its gradient's norm less.
        between = torch.lerp(real, fake, torch.rand(len(real), 1, 1, 1, device=real.device))
        return {
            "real": -real_score.mean(),
            "fake": fake_score.mean(),
            "penalty": self.penalty * (gradient_norm(self.discriminator, between) - 1).square().mean(),
            "drift": self.drift * real_score.square().mean(),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": -self.discriminator(self.fake(len(real))).mean()}

    def memory(self) -> float:
        return super().memory() ** self.pairs
