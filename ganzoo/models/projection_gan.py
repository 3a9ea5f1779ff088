"""ProjectionGAN: Miyato, Koyama, "cGANs with Projection Discriminator", 2018, https://arxiv.org/abs/1802.05637"""

from typing import Any

import torch
from torch import Tensor

from ganzoo.conditional import ConditionalDuel
from ganzoo.duel import DiscriminatorClass, GeneratorClass
from ganzoo.game import Terms
from ganzoo.losses import hinge
from ganzoo.networks.conditional import ProjectionDiscriminator, conditionally_normalised
from ganzoo.networks.resnet import sngan_discriminator, sngan_generator


class ProjectionGAN(ConditionalDuel):
    """D's logit is y^T V phi(x) + psi(phi(x)), the form of log q(y|x) / p(y|x) + log q(x) / p(x) if both p(y|x) and q(y|x)
    are log-linear in phi (section 3); G's labels go into its batch normalisation. Hinge loss, spectral normalisation.

    Args:
        generator: class of the generator, with batch normalisation.
        discriminator: class of the discriminator; V is spectrally normalised if it is.
        latent_dim, discriminator_steps, lr, betas: the paper's (section 5, with those of arXiv:1802.05957).

    Raises:
        ValueError: a generator without batch normalisation, or a discriminator without `features(x)` and `last`.

    Differences from the paper: the ResNets of arXiv:1802.05957 for 32 and 64 too, where the paper's images are of 128; G's last
    batch normalisation is conditional too, which in the authors' code is plain; fakes' labels are drawn uniformly, as there.
    """

    default_generator: GeneratorClass = staticmethod(sngan_generator)
    default_discriminator: DiscriminatorClass = staticmethod(sngan_discriminator)
    conditional_generator = staticmethod(conditionally_normalised)
    conditional_discriminator = ProjectionDiscriminator

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
        """E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))."""
        drawn = self.drawn(len(real))
        with torch.no_grad():
            fake = self.fake(len(real), *drawn)
        return hinge(self.discriminator(real, *self.known(label)), self.discriminator(fake, *drawn))

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-E D(G(z, y), y)."""
        drawn = self.drawn(len(real))
        return {"adversarial": -self.discriminator(self.fake(len(real), *drawn), *drawn).mean()}
