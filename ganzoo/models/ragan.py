"""RaGAN: Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", 2018, https://arxiv.org/abs/1807.00734"""

import torch
from torch import Tensor

from ganzoo.duel import Duel
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy


class RaGAN(Duel):
    """The relativistic average GAN with the standard GAN's cross-entropy, RaSGAN (Algorithm 2).

    D(x) = sigmoid(C(x) - E C(the other kind)): is this more real than the others are on average? Real data takes part in
    the generator's loss too, so that D(real) falls as D(fake) rises.
    """

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        with torch.no_grad():
            fake = self.fake(len(real))
        real_logit, fake_logit = self.discriminator(real), self.discriminator(fake)  # C(x_r), C(x_f)
        return {
            "real": cross_entropy(real_logit - fake_logit.mean(), 1.0),
            "fake": cross_entropy(fake_logit - real_logit.mean(), 0.0),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        real_logit, fake_logit = self.discriminator(real), self.discriminator(self.fake(len(real)))
        return {
            "real": cross_entropy(real_logit - fake_logit.mean(), 0.0),
            "fake": cross_entropy(fake_logit - real_logit.mean(), 1.0),
        }
