"""ESRGAN: Wang, Yu, Wu, Gu, Liu, Dong, Loy, Qiao, Tang, "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", 2018, https://arxiv.org/abs/1809.00219"""

from bisect import bisect_right
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.game import Terms
from ganzoo.losses import cross_entropy
from ganzoo.metrics.content import VGG54, ContentClass
from ganzoo.models.srgan import SRGAN
from ganzoo.networks.rrdb import RRDBNet


class ESRGAN(SRGAN):
    """SRGAN with dense blocks without normalisation, a relativistic average discriminator, and features before the rectifier.

    Args:
        content: as in `SRGAN`; None: `VGG54` before its last rectifier (section 3.3).
        pretrain_steps: rounds of mean absolute error, whose learning rate is 2 `lr`, and halves every 200,000.
        halve: rounds after these in which the learning rates halve (section 4.1).
        adversarial, pixels: lambda and eta of eq. 3, of images in [0, 1].

    Differences from the paper: images are in [-1, 1] (their absolute error is halved, so that eta means the same); VGG19's weights
    are torchvision's; D is SRGAN's, as the paper says, where the authors' code has a smaller last layer and convolutions of
    4 x 4; eq. 1 and 2 are not halved, as they are in that code; Adam's state is not begun anew when the discriminator comes.
    `crop` is the data's: 128 in the paper.
    """

    default_generator = RRDBNet  # type: ignore[assignment]
    papers_content: ContentClass = staticmethod(partial(VGG54, activated=False))

    def __init__(
        self,
        *,
        pretrain_steps: int = 1_000_000,
        halve: tuple[int, ...] = (50_000, 100_000, 200_000, 300_000),
        adversarial: float = 5e-3,
        pixels: float = 1e-2,
        **srgan: Any,
    ) -> None:
        super().__init__(pretrain_steps=pretrain_steps, drop_steps=0, adversarial=adversarial, **srgan)
        self.halve, self.pixels = halve, pixels

    def rate(self, step: int) -> float:
        usual = super(SRGAN, self).rate(step)
        if step < self.pretrain_steps:
            return usual * 2 * 0.5 ** (step // 200_000)
        return usual * 0.5 ** bisect_right(self.halve, step - self.pretrain_steps)

    def pretraining_loss(self, source: Tensor, target: Tensor) -> Terms:
        return {"pixels": 0.5 * F.l1_loss(self.generator(source), target)}

    def discriminator_loss(self, source: Tensor, target: Tensor) -> Terms:  # type: ignore[override] # eq. 1
        with torch.no_grad():
            fake = self.generator(source)
        real_logit, fake_logit = self.discriminator(target), self.discriminator(fake)  # C(x_r), C(x_f)
        return {
            "real": cross_entropy(real_logit - fake_logit.mean(), 1.0),
            "fake": cross_entropy(fake_logit - real_logit.mean(), 0.0),
        }

    def generator_loss(self, source: Tensor, target: Tensor) -> Terms:  # type: ignore[override] # eq. 3
        fake = self.generator(source)
        with torch.no_grad():
            true = self.content(target)
        real_logit, fake_logit = self.discriminator(target), self.discriminator(fake)
        return {
            "content": F.l1_loss(self.content(fake), true),
            "real": self.adversarial * cross_entropy(real_logit - fake_logit.mean(), 0.0),  # eq. 2
            "fake": self.adversarial * cross_entropy(fake_logit - real_logit.mean(), 1.0),
            "pixels": 0.5 * self.pixels * F.l1_loss(fake, target),
        }
