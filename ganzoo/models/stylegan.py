"""StyleGAN: Karras, Laine, Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks", 2018, https://arxiv.org/abs/1812.04948"""

from typing import Any

import torch
from torch import Tensor

from ganzoo.game import Batch, Terms
from ganzoo.growing import GrowingDuel
from ganzoo.losses import cross_entropy, non_saturating
from ganzoo.networks.stylegan import StyleGANDiscriminator, StyleGANGenerator
from ganzoo.styles import Styled

RATES = {128: 1.5, 256: 2.0, 512: 3.0}


class StyleGAN(Styled, GrowingDuel):
    """A mapping turns z into w, whose affine functions set the mean and deviation of every map (AdaIN) of a synthesis that
    begins with a learned constant; noise makes the details. Grown as ProGAN, with the non-saturating cost and R1.

    Args:
        generator, discriminator: their classes, which grow; the generator has a mapping and a synthesis.
        penalty: gamma of R1 (appendix C).
        first_size: of the images at first (appendix C).
        lr, betas: Adam's; `rates` multiply lr from 128x128 on.
        average_half_life_kimg: thousands of images after which half of the weight average is new.
        average_decay: at most this share of the average is kept in a round; None: no average.
        batch_sizes: the authors' code's on one device; the paper has more devices and batches of 256 down to 32.

    Defaults are the authors' code's for FFHQ, configuration F of table 1.

    Differences from the authors' code: no classes; truncation is of all layers, there of the lower eight; the weight average
    has the average of its mean of w too. Level, share and rates change between rounds, not within one.

    Raises:
        ValueError: as `GrowingDuel`; a generator without styles.
    """

    default_generator = StyleGANGenerator
    default_discriminator = StyleGANDiscriminator
    probabilistic = True

    def __init__(
        self,
        *,
        penalty: float = 10.0,
        latent_dim: int = 512,
        first_size: int = 8,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.0, 0.99),
        rates: dict[int, float] = RATES,
        average_half_life_kimg: float = 10.0,
        average_decay: float | None = 1.0,
        **duel: Any,
    ) -> None:
        super().__init__(
            first_size=first_size, rates=rates, latent_dim=latent_dim, lr=lr, betas=betas, average_decay=average_decay, **duel
        )
        self.penalty, self.average_half_life_kimg = penalty, average_half_life_kimg
        if not hasattr(self.generator, "synthesis"):
            raise ValueError(f"{type(self.generator).__name__} knows no styles: choose StyleGANGenerator")

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-E log D(x) - E log(1 - D(G(z))) + gamma/2 E ||grad D(x)||^2."""
        real = self.faded(real)
        real = real if real.requires_grad else real.requires_grad_()
        with torch.no_grad():
            fake = self.fake(len(real))
        real_logit, fake_logit = self.discriminator(real), self.discriminator(fake)  # apart: D compares samples of a pass
        (gradient,) = torch.autograd.grad(real_logit.sum(), real, create_graph=True)
        return {
            "real": cross_entropy(real_logit, 1.0),
            "fake": cross_entropy(fake_logit, 0.0),
            "penalty": self.penalty / 2 * gradient.square().flatten(1).sum(1).mean(),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": non_saturating(self.discriminator(self.fake(len(real))))}

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        super().before_round(batches, optimizers)
        self.set_memory(batches, 1000 * self.average_half_life_kimg)
