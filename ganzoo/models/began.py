"""BEGAN: Berthelot, Schumm, Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", 2017, https://arxiv.org/abs/1703.10717"""

from typing import Any

import torch
from torch import Tensor

from ganzoo.duel import DiscriminatorClass, Duel, GeneratorClass
from ganzoo.game import Terms
from ganzoo.networks.began import BEGANAutoencoder, BEGANGenerator


class BEGAN(Duel):
    """D is an autoencoder that reconstructs real data well and fakes badly; a controller keeps the two errors in proportion.

    L(v) = E |v - D(v)| (eq. 1). D minimises L(x) - k L(G(z)), G minimises L(G(z)), and after each round k follows
    gamma L(x) - L(G(z)) (section 3.4). Logged beside the losses: `balance/k` and the measure of convergence,
    `balance/convergence`, L(x) + |gamma L(x) - L(G(z))| (section 3.4.1), which falls as training gets on.

    Args:
        diversity_ratio: gamma, L(G(z)) / L(x) at the equilibrium: small values give few but good images. The paper shows
            0.3, 0.5 and 0.7.
        k_rate: lambda_k, how fast k moves.
        latent_dim: size of z, uniform in [-1, 1].
        discriminator: class of the autoencoder, called with (shape): [N, *shape] -> [N, *shape].
        lr: Adam's; the paper halves it when the measure of convergence stalls.

    Differences from the paper: tanh at G's end; no skip connections or vanishing residuals, which are options there.

    Raises:
        ValueError: the discriminator is no autoencoder; augmentation, before which it reconstructs.
    """

    default_generator: GeneratorClass = BEGANGenerator
    default_discriminator: DiscriminatorClass = BEGANAutoencoder
    one_logit = False
    gaussian = False
    k: Tensor
    real_error: Tensor
    fake_error: Tensor

    def __init__(
        self, *, diversity_ratio: float = 0.5, k_rate: float = 0.001, latent_dim: int = 64, lr: float = 1e-4, **duel: Any
    ) -> None:
        if duel.get("augment") is not None:
            raise ValueError("BEGAN compares each image with D's reconstruction of that very image: leave out --model.augment")
        super().__init__(latent_dim=latent_dim, lr=lr, **duel)
        self.diversity_ratio, self.k_rate = diversity_ratio, k_rate
        self.register_buffer("k", torch.zeros(()))
        # Of the latest turns. Buffers are averaged over devices with a turn's gradients, so that k is the same on all.
        self.register_buffer("real_error", torch.zeros(()), persistent=False)
        self.register_buffer("fake_error", torch.zeros(()), persistent=False)

    def latent(self, n: int) -> Tensor:
        """z ~ U[-1, 1], [n, latent_dim]."""
        return 2 * torch.rand(n, self.latent_dim, device=self.device) - 1

    def error(self, v: Tensor) -> Tensor:
        """L(v), eq. 1, the mean over samples and pixels."""
        reconstruction = self.discriminator(v)
        if reconstruction.shape != v.shape:
            raise ValueError("BEGAN's discriminator is an autoencoder: choose BEGANAutoencoder or MLPAutoencoder")
        return (v - reconstruction).abs().mean()

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        """-L(v) of each sample, [N]: what is reconstructed well looks real."""
        return -(x - self.discriminator(x)).abs().flatten(1).mean(1)

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        with torch.no_grad():
            fake = self.fake(len(real))
        error = self.error(real)
        self.real_error.copy_(error.detach())
        return {"real": error, "fake": -self.k * self.error(fake)}

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        error = self.error(self.fake(len(real)))
        self.fake_error.copy_(error.detach())
        return {"adversarial": error}

    @torch.no_grad()
    def after_turn(self, player: str) -> None:
        super().after_turn(player)
        if player == "generator":
            balance = self.diversity_ratio * self.real_error - self.fake_error
            self.k.add_(self.k_rate * balance).clamp_(0, 1)
            self.terms |= {"balance/k": self.k, "balance/convergence": self.real_error + balance.abs()}
