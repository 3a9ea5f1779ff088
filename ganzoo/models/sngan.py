"""SNGAN: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative Adversarial Networks", 2018, https://arxiv.org/abs/1802.05957"""

from typing import Any

import torch
from torch import Tensor

from ganzoo.duel import Duel
from ganzoo.game import Terms
from ganzoo.losses import hinge
from ganzoo.networks.resnet import sngan_discriminator, sngan_generator


class SNGAN(Duel):
    """Each of D's weights is divided by its largest singular value (eq. 8: `spectrally_normalised` in networks/layers.py), so
    that D's slope is bounded everywhere, not only on the way from real to fake as WGAN-GP's. Hinge loss, ResNets.

    Without classes; with classes it is `ProjectionGAN`, the same authors' next paper.

    Args:
        discriminator: class of the discriminator; it is the network that normalises its weights (`norm: spectral`).
        discriminator_steps, lr, betas: n_dis, alpha, beta_1 and beta_2 of the paper's ResNets (section 4.1).
        decay: for CIFAR-10 the paper's rates fall linearly to zero in 50,000 rounds: (0, 50000).

    Differences from the paper:
        1. D's last layer has a bias, as in most later code; the authors' has none.
        2. G's turn sees as many fakes as D's, where the authors' code draws twice as many (128).
        3. Power iteration begins with 15 steps, then one a pass, where the authors' begins with a random u.
        4. Batch normalisation's epsilon is 1e-5, where the authors' library has 2e-5.
        5. The paper has no ResNet for 64: here it is that for 128 with one block less. The authors' later code for 64 keeps
           the 1,024 channels of that and halves once more.
    """

    default_generator = staticmethod(sngan_generator)
    default_discriminator = staticmethod(sngan_discriminator)

    def __init__(
        self,
        *,
        latent_dim: int = 128,
        discriminator_steps: int = 5,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        **duel: Any,
    ) -> None:
        super().__init__(latent_dim=latent_dim, discriminator_steps=discriminator_steps, lr=lr, betas=betas, **duel)

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), eq. 16."""
        with torch.no_grad():
            fake = self.fake(len(real))
        return hinge(self.discriminator(real), self.discriminator(fake))

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-E D(G(z)), eq. 17."""
        return {"adversarial": -self.discriminator(self.fake(len(real))).mean()}
