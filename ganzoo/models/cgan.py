"""CGAN: Mirza, Osindero, "Conditional Generative Adversarial Nets", 2014, https://arxiv.org/abs/1411.1784"""

import torch
from torch import Tensor

from ganzoo.conditional import ConditionalDuel
from ganzoo.duel import DiscriminatorClass, GeneratorClass
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy, non_saturating
from ganzoo.networks.mlp import MLPDiscriminator, MLPGenerator


class CGAN(ConditionalDuel):
    """The GAN whose players both see the class: V(D, G) = E log D(x|y) + E log(1 - D(G(z|y)|y)), eq. 2.

    y stands beside z and beside x, in any networks. Fakes are made for the labels of the real batch, so D can tell them
    from real data by nothing but x given y.

    Differences from the paper: y enters the first layer beside z and x, where the paper gives each a hidden layer of its own
    first; LeakyReLU instead of maxout, no dropout; Adam instead of momentum; G's cost is the non-saturating one, D's has
    the factor 1/2 of arXiv:1701.00160, eq. 8; z is Gaussian instead of uniform.
    """

    default_generator: GeneratorClass = MLPGenerator
    default_discriminator: DiscriminatorClass = MLPDiscriminator

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        with torch.no_grad():
            fake = self.fake(len(real), label)
        return {
            "real": 0.5 * cross_entropy(self.discriminator(real, label), 1.0),
            "fake": 0.5 * cross_entropy(self.discriminator(fake, label), 0.0),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": non_saturating(self.discriminator(self.fake(len(real), label), label))}
