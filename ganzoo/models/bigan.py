"""BiGAN: Donahue, Kraehenbuehl, Darrell, "Adversarial Feature Learning", 2016, https://arxiv.org/abs/1605.09782"""

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.duel import DiscriminatorClass, Duel, evaluating
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy, non_saturating
from ganzoo.networks.history import HistoricalAverage
from ganzoo.networks.joint import Encoder, JointDiscriminator


class BiGAN(Duel):
    """An encoder E beside G, and a D that judges pairs: real images with their codes, (x, E(x)), against (G(z), z).

    V(D, E, G) = E log D(x, E(x)) + E log(1 - D(G(z), z)), which D maximises and E and G minimise together (eq. 2 and 3): at
    the optimum each is the other's inverse (theorem 2). No loss compares an image with its reconstruction. ALI (Dumoulin et
    al. 2016, https://arxiv.org/abs/1606.00704) is the same game, found at the same time, with a Gaussian for E(x).

    Args:
        encoder: class of the encoder: any discriminator's, whose last layer gets latent_dim outputs; None for the
            discriminator's.
        latent_dim: size of z, uniform in [-1, 1].

    Raises:
        ValueError: an encoder or a discriminator without `features(x)` and `last`.

    Differences from the paper: DCGAN's networks instead of perceptrons on MNIST; D sees z once, as in ALI, not at each layer;
    players take turns; no weight decay.
    """

    gaussian = False

    def __init__(
        self,
        *,
        encoder: DiscriminatorClass | None = None,
        latent_dim: int = 50,
        discriminator: DiscriminatorClass | None = None,
        **duel: Any,
    ) -> None:
        judge = discriminator or self.default_discriminator
        super().__init__(latent_dim=latent_dim, discriminator=partial(JointDiscriminator, judge, latent_dim), **duel)
        self.encoder = Encoder(encoder or judge, latent_dim, self.shape)
        self.encoder_average = None if self.average is None else copy.deepcopy(self.encoder).requires_grad_(False)
        if self.historical_averaging:  # of E's weights too
            self.history["generator"] = HistoricalAverage(self.players()["generator"])

    def players(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": nn.ModuleList([self.generator, self.encoder])}

    def latent(self, n: int) -> Tensor:
        """z ~ U[-1, 1], [n, latent_dim]."""
        return 2 * torch.rand(n, self.latent_dim, device=self.device) - 1

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        z = self.latent(len(real))
        with torch.no_grad():
            fake, code = self.generator(z), self.encoder(real)
        return {
            "real": cross_entropy(self.discriminator(real, code), 1.0),  # eq. 3
            "fake": cross_entropy(self.discriminator(fake, z), 0.0),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """The "inverse" objective of section 3.4: D's with the labels swapped."""
        z = self.latent(len(real))
        return {
            "generator": non_saturating(self.discriminator(self.generator(z), z)),
            "encoder": cross_entropy(self.discriminator(real, self.encoder(real)), 0.0),
        }

    def opinions(self, real: Tensor, *label: Tensor) -> tuple[Tensor, Tensor]:
        z = self.latent(len(real))
        return self.discriminator(real, self.encoder(real)), self.discriminator(self.generator(z), z)

    def encode(self, x: Tensor) -> Tensor:
        """E(x) of the averaged encoder, if there is one, in evaluation mode: [N, *shape] -> [N, latent_dim]."""
        encoder = self.encoder if self.encoder_average is None else self.encoder_average
        with evaluating(encoder):
            return torch.cat([encoder(chunk) for chunk in x.to(self.device).split(256)])

    def reconstruct(self, x: Tensor) -> Tensor:
        """G(E(x)), [N, *shape] -> [N, *shape]."""
        return self.samples_of(self.encode(x))

    @torch.no_grad()
    def after_round(self) -> None:
        super().after_round()
        if self.encoder_average is not None:
            self.follow(self.encoder_average, self.encoder)
