"""SRGAN: Ledig, Theis, Huszar, Caballero, Cunningham, Acosta, Aitken, Tejani, Totz, Wang, Shi, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", 2016, https://arxiv.org/abs/1609.04802"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.duel import DiscriminatorClass
from ganzoo.game import Batch, Terms, Turn
from ganzoo.losses import cross_entropy, non_saturating
from ganzoo.metrics.content import VGG54, Content, ContentClass
from ganzoo.networks.srresnet import SRGANDiscriminator, SRResNet
from ganzoo.upscaling import Upscaler, UpscalerClass


class SRGAN(Upscaler):
    """Small images enlarged: first SRResNet, on the mean squared error alone, then against a discriminator.

    As long as `max_steps` is not above `pretrain_steps`, a run is SRResNet's.

    Args:
        scale: how many times; the data's.
        generator: class of the network that enlarges, called with (shape, scale).
        discriminator: as in `Duel`.
        content: class of the network whose features' distance is the content loss; None: VGG19's (`VGG54`) or, with a warning,
            where its weights cannot be had, `EffNetLite0Maps`. The checkpoint's `game` says which it was.
        pretrain_steps: rounds of mean squared error (section 3.2: 10^6).
        drop_steps: rounds against the discriminator until the learning rates are a tenth (section 3.2: 10^5, and as many more).
        adversarial: weight of the adversarial loss, eq. 3.

    Differences from the paper: small images too are in [-1, 1], not [0, 1]; VGG19's weights are torchvision's; Adam's state is
    not begun anew when the discriminator comes.
    """

    default_generator = SRResNet  # type: ignore[assignment]
    default_discriminator: DiscriminatorClass = SRGANDiscriminator
    papers_content: ContentClass = VGG54

    def __init__(
        self,
        *,
        scale: int = 4,
        generator: UpscalerClass | None = None,
        content: ContentClass | None = None,
        pretrain_steps: int = 1_000_000,
        drop_steps: int = 100_000,
        adversarial: float = 1e-3,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        **duel: Any,
    ) -> None:
        super().__init__(scale=scale, generator=generator, lr=lr, betas=betas, **duel)
        self.content = Content(content, self.papers_content)
        self.pretrain_steps, self.drop_steps, self.adversarial = pretrain_steps, drop_steps, adversarial

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        super().before_round(batches, optimizers)
        if self.global_step == self.pretrain_steps:
            self.terms = {}  # the first phase's are over

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        if step < self.pretrain_steps:
            yield "generator", self.pretraining_loss, batches[-1]
        else:
            yield from super().turns(step, batches)

    def content_matters(self, step: int) -> bool:
        return step >= self.pretrain_steps

    def rate(self, step: int) -> float:
        return super().rate(step) * (1.0 if step < self.pretrain_steps + self.drop_steps else 0.1)

    def pretraining_loss(self, source: Tensor, target: Tensor) -> Terms:
        """Mean squared error, eq. 4."""
        return {"pixels": F.mse_loss(self.generator(source), target)}

    def discriminator_loss(self, source: Tensor, target: Tensor) -> Terms:  # type: ignore[override] # eq. 2
        with torch.no_grad():
            fake = self.generator(source)
        return {
            "real": cross_entropy(self.discriminator(target), 1.0),
            "fake": cross_entropy(self.discriminator(fake), 0.0),
        }

    def generator_loss(self, source: Tensor, target: Tensor) -> Terms:  # type: ignore[override] # eq. 3
        fake = self.generator(source)
        with torch.no_grad():
            true = self.content(target)
        return {
            "content": F.mse_loss(self.content(fake), true),  # eq. 5
            "adversarial": self.adversarial * non_saturating(self.discriminator(fake)),  # eq. 6
        }
