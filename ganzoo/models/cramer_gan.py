"""CramerGAN: Bellemare, Danihelka, Dabney, Mohamed, Lakshminarayanan, Hoyer, Munos, "The Cramer Distance as a Solution to Biased Wasserstein Gradients", 2017, https://arxiv.org/abs/1705.10743"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganzoo.duel import DiscriminatorClass, Duel
from ganzoo.game import Terms
from ganzoo.losses import gradient_norm, refuse_tied_samples
from ganzoo.networks.conditional import ending_in
from ganzoo.networks.dcgan import DCGANDiscriminator


class CramerGAN(Duel):
    """G minimises the energy distance between real and fake samples, 2 E|x - y| - E|x - x'| - E|y - y'|, in a space h that the
    critic learns: unlike the Wasserstein distance's, its gradient on minibatches is unbiased (section 4).

    Args:
        penalty: lambda of Algorithm 1.
        features: d, the size of h(x).
        discriminator: class of h, as in `Duel`: its last layer gets d outputs. Without batch normalisation or minibatch
            discrimination, which tie samples together.
        discriminator_steps, lr, betas: as in WGAN-GP's authors' code; which the paper had was not checked.

    Raises:
        ValueError: a discriminator without `features(x)` and a linear `last`, or with batch normalisation.
    """

    default_discriminator: DiscriminatorClass = staticmethod(partial(DCGANDiscriminator, norm="none"))
    one_logit = False

    def __init__(
        self,
        *,
        penalty: float = 10.0,
        features: int = 256,
        latent_dim: int = 128,
        discriminator: DiscriminatorClass | None = None,
        discriminator_steps: int = 5,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.9),
        **duel: Any,
    ) -> None:
        kind = discriminator or self.default_discriminator
        duel |= {"discriminator_steps": discriminator_steps, "lr": lr, "betas": betas}
        super().__init__(latent_dim=latent_dim, discriminator=lambda shape: ending_in(features, kind(shape)), **duel)
        self.penalty = penalty
        refuse_tied_samples(self.discriminator, "CramerGAN")

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """E f(x_g) - E f(x_r) + lambda E (|grad f(x_hat)| - 1)^2, Algorithm 1."""
        with torch.no_grad():
            fake, other = self.fake(2 * len(real)).chunk(2)
        h_real, h_fake, h_other = self.discriminator(torch.cat([real, fake, other])).chunk(3)
        epsilon = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)  # one for each sample
        norm = gradient_norm(lambda x: critic(self.discriminator(x), h_other), torch.lerp(fake, real, epsilon))
        return {
            "real": -critic(h_real, h_other).mean(),
            "fake": critic(h_fake, h_other).mean(),
            "penalty": self.penalty * (norm - 1).square().mean(),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """E |h(x_r) - h(x_g)| + E |h(x_r) - h(x'_g)| - E |h(x_g) - h(x'_g)|: the energy distance but for E |h(x_r) - h(x'_r)|."""
        h_real, h_fake, h_other = self.discriminator(torch.cat([real, self.fake(2 * len(real))])).chunk(3)
        to_real = (h_real - h_fake).norm(dim=1) + (h_real - h_other).norm(dim=1)
        return {"to_real": to_real.mean(), "to_fake": -(h_fake - h_other).norm(dim=1).mean()}

    def opinions(self, real: Tensor, *label: Tensor) -> tuple[Tensor, Tensor]:
        h_real, h_fake, h_other = self.discriminator(torch.cat([real, self.fake(2 * len(real))])).chunk(3)
        return critic(h_real, h_other), critic(h_fake, h_other)


def critic(h: Tensor, other: Tensor) -> Tensor:
    """f(x) = |h(x) - h(x'_g)| - |h(x)|, of h(x) and h(x'_g), [N, features] each: [N]."""
    return (h - other).norm(dim=1) - h.norm(dim=1)
