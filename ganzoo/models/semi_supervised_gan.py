"""SemiSupervisedGAN: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for Training GANs", 2016, https://arxiv.org/abs/1606.03498"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.duel import DiscriminatorClass, Duel, GeneratorClass, evaluating
from ganzoo.game import Terms
from ganzoo.losses import feature_matching
from ganzoo.networks.conditional import classifier
from ganzoo.networks.semi_supervised import NoisyMLPDiscriminator, SoftplusMLPGenerator


class SemiSupervisedGAN(Duel):
    """A classifier of K classes that learns of few labels and, as a discriminator, of many samples without (section 5).

    Its logits l_1 .. l_K say the class, and D(x) = Z(x) / (Z(x) + 1) with Z(x) = sum_k exp l_k(x) whether x is real: fake is
    class K + 1, whose logit is fixed to 0. G matches the mean features of real and fake in the last hidden layer.

    Args:
        classes: K.
        discriminator: class of the discriminator, as in `Duel`: its last layer gets K outputs.
        unlabelled_weight: of the two terms without labels.

    Raises:
        ValueError: the data has no classes; a discriminator without `features(x)` and a linear `last`.

    Differences from the paper and the authors' code: z is Gaussian for uniform; D's weights are neither scaled by a first
    batch nor averaged for the test (let `decay` calm them). There `unlabelled_weight` is 1/2.
    """

    classes: int
    one_logit = False
    default_generator: GeneratorClass = SoftplusMLPGenerator
    default_discriminator: DiscriminatorClass = NoisyMLPDiscriminator

    def __init__(
        self,
        *,
        classes: int | None = None,
        discriminator: DiscriminatorClass | None = None,
        lr: float = 3e-3,
        unlabelled_weight: float = 1.0,
        **duel: Any,
    ) -> None:
        if not classes:
            raise ValueError(
                "SemiSupervisedGAN needs data with classes, of which few labels are used: --data.labelled 100, say"
            )
        kind = partial(classifier, discriminator or self.default_discriminator, classes)
        super().__init__(classes=classes, discriminator=kind, lr=lr, **duel)
        self.unlabelled_weight = unlabelled_weight

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        # The authors' Adam has its 1e-8 inside the root. With it outside, D's steps stay long when its gradients have become
        # small, and G loses all modes.
        return torch.optim.Adam(parameters, lr=self.lr[player], betas=self.betas, eps=1e-4, fused=True)

    # Its data gives more than Duel's: real and labelled [N, *shape], label [N].
    def discriminator_loss(self, real: Tensor, labelled: Tensor, label: Tensor) -> Terms:  # type: ignore[override]
        with torch.no_grad():
            fake = self.fake(len(real))
        real_logit, fake_logit = (self.realness(x) for x in (real, fake))
        return {
            "class": F.cross_entropy(self.discriminator(labelled), label),  # L_supervised
            "real": self.unlabelled_weight * F.softplus(-real_logit).mean(),  # -E log D(x)
            "fake": self.unlabelled_weight * F.softplus(fake_logit).mean(),  # -E log(1 - D(G(z)))
        }

    def generator_loss(self, real: Tensor, labelled: Tensor, label: Tensor) -> Terms:  # type: ignore[override]
        features: Any = self.discriminator.features  # f(x)
        with torch.no_grad():
            target = features(real)
        # Over the number of features, as the authors have it: beside Adam's epsilon a loss's size is not indifferent.
        return {"features": feature_matching(target, features(self.fake(len(real)))) / target.shape[1]}

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        """log Z(x), of which D(x) is the sigmoid."""
        return self.discriminator(x).logsumexp(1)

    def held_out_terms(self, real: Tensor, labelled: Tensor, label: Tensor) -> Terms:  # type: ignore[override]
        """The share of wrong answers."""
        return {"error": (self.classify(labelled).argmax(1) != label).float().mean()}

    def classify(self, x: Tensor) -> Tensor:
        """The classes' logits in evaluation mode: [N, *shape] -> float32 [N, classes]."""
        with evaluating(self.discriminator):
            return torch.cat([self.discriminator(chunk) for chunk in x.split(256)])
