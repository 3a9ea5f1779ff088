"""DTN: Taigman, Polyak, Wolf, "Unsupervised Cross-Domain Image Generation", 2016, https://arxiv.org/abs/1611.02200"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.duel import DiscriminatorClass, GeneratorClass, evaluating
from ganzoo.game import Batch, Terms, Turn
from ganzoo.image_to_image import PORTION, ImageToImage
from ganzoo.losses import total_variation
from ganzoo.networks.conditional import ending_in
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganzoo.networks.feature_classifier import FeatureClassifier

OF_SOURCE, OF_TARGET, REAL = 0, 1, 2  # D's classes: G(x) of a source, G(x) of a target, a target


class DTN(ImageToImage):
    """G = g(f(x)) makes targets of sources: f, features of a classifier of sources, is the same before and after, and targets
    are left as they are. D tells three kinds apart: what G makes of sources, what it makes of targets, and targets.

    The first `pretrain_steps` rounds train the classifier alone, on the labels of the sources; then it is fixed. Batches are
    `(source, label, target)`: `--data.source_labels true` gives them.

    Args:
        classifier: class of the classifier, called with (classes, shape): with `features(x)` [N, F] and a linear `last`, and
            without batch normalisation or dropout, because f is to be the same for each image; None for `FeatureClassifier`.
        generator: class of g, called with (F, shape); None for `DCGANGenerator`.
        discriminator: class of D, called with (shape), whose last layer becomes one of three outputs; None for
            `DCGANDiscriminator`.
        constancy: alpha of eq. 4, weight of f's constancy; 15 for digits (100 for faces).
        identity: beta, weight of the distance of targets from what G makes of them; 15 for digits (1 for faces).
        variation: gamma, weight of the total variation of what G makes; 0 for digits (0.05 for faces).
        pretrain_steps: rounds that train the classifier.
        classifier_lr: its learning rate.

    Differences from the paper: distances are means over features and pixels, the variation over pixels; f ends in tanh,
    after a convolution over all that three halvings leave; Adam's rates, of which the paper says nothing, are DCGAN's.

    Raises:
        ValueError: data without labels of the sources.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        classes: int | None = None,
        classifier: Callable[[int, tuple[int, ...]], nn.Module] | None = None,
        generator: GeneratorClass | None = None,
        discriminator: DiscriminatorClass | None = None,
        constancy: float = 15.0,
        identity: float = 15.0,
        variation: float = 0.0,
        pretrain_steps: int = 1000,
        classifier_lr: float = 1e-3,
        **learning: Any,
    ) -> None:
        if classes is None:
            raise ValueError("DTN needs classes of the sources: set --data.source_labels true, of data that has them")
        known: Any = (classifier or FeatureClassifier)(classes, tuple(shape))
        super().__init__(
            shape=shape,
            classes=classes,
            generator=(generator or DCGANGenerator)(known.last.in_features, tuple(shape)),
            discriminator=ending_in(3, (discriminator or DCGANDiscriminator)(tuple(shape))),
            **learning,
        )
        self.classifier = known
        self.lr["classifier"] = classifier_lr
        self.constancy, self.identity, self.variation = constancy, identity, variation
        self.pretrain_steps = pretrain_steps

    def players(self) -> dict[str, nn.Module]:
        return {"classifier": self.classifier} | super().players()

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        [batch] = batches
        if step < self.pretrain_steps:
            yield "classifier", self.classifier_loss, batch
            return
        yield "discriminator", self.discriminator_loss, batch
        yield "generator", self.generator_loss, batch

    def classifier_loss(self, source: Tensor, label: Tensor, target: Tensor) -> Terms:
        return {"supervised": F.cross_entropy(self.classifier(source), label)}

    def discriminator_loss(self, source: Tensor, label: Tensor, target: Tensor) -> Terms:
        """-E log D_1(G(x_s)) - E log D_2(G(x_t)) - E log D_3(x_t), eq. 3."""
        with torch.no_grad():
            of_source, of_target = (self.generator(self.classifier.features(x)) for x in (source, target))
        return {
            "real": self.taken_for(target, REAL),
            "fake": self.taken_for(of_source, OF_SOURCE),
            "fake_of_target": self.taken_for(of_target, OF_TARGET),
        }

    def generator_loss(self, source: Tensor, label: Tensor, target: Tensor) -> Terms:
        """L_GANG + alpha L_CONST + beta L_TID + gamma L_TV, eq. 4 to 7."""
        with torch.no_grad():
            known, known_target = self.classifier.features(source), self.classifier.features(target)
        of_source, of_target = self.generator(known), self.generator(known_target)
        terms = {
            "adversarial": self.taken_for(of_source, REAL),
            "adversarial_of_target": self.taken_for(of_target, REAL),
            "constancy": self.constancy * F.mse_loss(self.classifier.features(of_source), known),
            "identity": self.identity * F.mse_loss(of_target, target),
        }
        if self.variation:
            terms["variation"] = self.variation * (total_variation(of_source) + total_variation(of_target))
        return terms

    def taken_for(self, images: Tensor, kind: int) -> Tensor:
        """-E log D_kind(x)."""
        return -self.verdicts(images)[:, kind].mean()

    def verdicts(self, images: Tensor) -> Tensor:
        """log D of each kind, [N, *shape] -> [N, 3]."""
        logits = self.discriminator.last(self.discriminator.features(images)).float()  # [N, 3]
        return logits.log_softmax(1)

    def opinions(self, source: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        fake = self.generator(self.classifier.features(source))
        return self.verdicts(others[-1])[:, REAL], self.verdicts(fake)[:, REAL]

    def translate(self, source: Tensor) -> Tensor:
        """As any `Translator`'s, of images [N, *shape] alone; raises ValueError for other sizes."""
        if source.shape[1:] != self.shape:
            raise ValueError(f"DTN translates images of {self.shape} alone, not of {tuple(source.shape[1:])}")
        with evaluating(self.sampler):
            return torch.cat([self.sampler(self.classifier.features(part)) for part in source.split(PORTION)])

    def held_out_terms(self, source: Tensor, label: Tensor, target: Tensor) -> Terms:  # type: ignore[override]
        """How many sources f's own classifier knows, and how many of their translations."""
        told = {"accuracy": source, "accuracy_translated": self.translate(source)}
        return {name: (self.classifier(images).argmax(1) == label).float().mean() for name, images in told.items()}
