"""WGAN-GP: Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, "Improved Training of Wasserstein GANs", 2017, https://arxiv.org/abs/1704.00028"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganzoo.duel import Duel
from ganzoo.game import Terms
from ganzoo.losses import gradient_norm, refuse_tied_samples
from ganzoo.networks.dcgan import DCGANDiscriminator


class WGANGP(Duel):
    """The Wasserstein critic, kept Lipschitz by a penalty on its gradient between real and fake samples.

    Args:
        penalty: lambda of eq. 3.
        discriminator: class of the critic, without batch normalisation (section 4) or minibatch discrimination, which tie
            samples together.
        discriminator_steps, lr, betas: n_critic, alpha, beta_1 and beta_2 of Algorithm 1.

    Raises:
        ValueError: the critic has batch normalisation or minibatch discrimination.
    """

    default_discriminator = staticmethod(partial(DCGANDiscriminator, norm="none"))

    def __init__(
        self,
        *,
        penalty: float = 10.0,
        latent_dim: int = 128,
        discriminator_steps: int = 5,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        **duel: Any,
    ) -> None:
        super().__init__(latent_dim=latent_dim, discriminator_steps=discriminator_steps, lr=lr, betas=betas, **duel)
        self.penalty = penalty
        refuse_tied_samples(self.discriminator, "WGAN-GP")

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """E f(G(z)) - E f(x) + lambda E (||grad f(x_hat)||_2 - 1)^2, eq. 3."""
        with torch.no_grad():
            fake = self.fake(len(real))
        epsilon = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)  # one for each sample
        between = torch.lerp(fake, real, epsilon)  # x_hat, line 6
        return {
            "real": -self.discriminator(real).mean(),
            "fake": self.discriminator(fake).mean(),
            "penalty": self.penalty * (gradient_norm(self.discriminator, between) - 1).square().mean(),  # line 7
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": -self.discriminator(self.fake(len(real))).mean()}
