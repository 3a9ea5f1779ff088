"""ACGAN: Odena, Olah, Shlens, "Conditional Image Synthesis With Auxiliary Classifier GANs", 2016, https://arxiv.org/abs/1610.09585"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.conditional import ConditionalDuel
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy, non_saturating
from ganzoo.networks.conditional import ClassifyingDiscriminator


class ACGAN(ConditionalDuel):
    """D says of a sample whether it is real, P(S|x), and without being told of which class, P(C|x).

    D maximises L_S + L_C and G maximises L_C - L_S: both want the class to be recognised. A fake's label is drawn, c ~ p_c.

    Raises:
        ValueError: a discriminator without `features(x)` and `last`.

    Differences from the paper: DCGAN's networks, which are like the paper's; G's cost on the source is the non-saturating
    one; p_c is uniform.
    """

    conditional_discriminator = ClassifyingDiscriminator

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        """The source's logit: D is told of no class."""
        return self.discriminator(x)[0]

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        assert label is not None
        drawn = self.labels(len(real))
        with torch.no_grad():
            fake = self.fake(len(real), drawn)
        (real_source, real_class), (fake_source, fake_class) = self.discriminator(real), self.discriminator(fake)
        return {
            "source_real": cross_entropy(real_source, 1.0),  # -L_S, eq. 2
            "source_fake": cross_entropy(fake_source, 0.0),
            "class_real": F.cross_entropy(real_class, label),  # -L_C, eq. 3
            "class_fake": F.cross_entropy(fake_class, drawn),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        drawn = self.labels(len(real))
        fake_source, fake_class = self.discriminator(self.fake(len(real), drawn))
        return {"source": non_saturating(fake_source), "class": F.cross_entropy(fake_class, drawn)}
