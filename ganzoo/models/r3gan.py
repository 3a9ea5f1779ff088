"""R3GAN: Huang, Gokaslan, Kuleshov, Tompkin, "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2025, https://arxiv.org/abs/2501.05441"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.conditional import ConditionalDuel
from ganzoo.game import Batch, Terms, Turn
from ganzoo.losses import refuse_tied_samples
from ganzoo.networks.equalised import MinibatchStddev
from ganzoo.networks.r3gan import EmbeddingDiscriminator, EmbeddingGenerator, R3GANDiscriminator, R3GANGenerator
from ganzoo.schedules import cosine


class R3GAN(ConditionalDuel):
    """The relativistic pairing GAN with R1 and R2: each fake is compared with a real sample, so that dropped modes cost G
    something, and both penalties together make training converge locally (section 2). Networks without normalisation;
    class-conditional where the data has classes. Rates, beta2, gamma and the average's half-life follow half a cosine wave
    over the burn-in.

    Args:
        conditional: whether the networks are told the classes, where the data has any (the authors' --cond).
        generator, discriminator: their classes; the discriminator's without batch normalisation.
        lr, final_lr: Adam's at first, and from the end of the burn-in on; of D too, unless it has a `discriminator_lr`,
            which falls to the same fraction.
        betas, final_beta2: likewise.
        penalty, final_penalty: gamma of R1 and R2, likewise; to be chosen for the data (FFHQ-64: 2 to 0.2,
            FFHQ-256: 150 to 15, ImageNet-32: 0.5 to 0.05, ImageNet-64: 1 to 0.1).
        average_half_life_images: images of D after which half of the weight average is new, from zero at first.
        average_decay: at most this share of the average is kept in a round; None: no average.
        burn_in_images: images that D sees in the burn-in.

    Defaults are the authors' code's for CIFAR-10 (its batches are of 512). Each of G's turns has a minibatch of its own too.

    Differences from the authors' code: no adaptive augmentation (there up to p = 0.55, along the same wave); the last linear
    layer of the class-conditional D begins uniform, of the same variance; mixed precision is of all layers, also at 4x4.

    Raises:
        ValueError: the discriminator has batch normalisation, or compares the samples of a pass.
    """

    default_generator = R3GANGenerator
    default_discriminator = R3GANDiscriminator
    needs_classes = False
    one_logit = False  # that would say anything: only differences do, and LeCam pulls at the logits themselves
    conditional_generator = EmbeddingGenerator
    conditional_discriminator = EmbeddingDiscriminator
    gamma: Tensor

    def __init__(
        self,
        *,
        classes: int | None = None,
        conditional: bool = True,
        latent_dim: int = 64,
        lr: float = 2e-4,
        final_lr: float = 5e-5,
        betas: tuple[float, float] = (0.0, 0.9),
        final_beta2: float = 0.99,
        penalty: float = 0.05,
        final_penalty: float = 0.005,
        average_half_life_images: int = 5_000_000,
        average_decay: float | None = 1.0,
        burn_in_images: int = 20_000_000,
        **duel: Any,
    ) -> None:
        known = classes if conditional else None
        super().__init__(classes=known, latent_dim=latent_dim, lr=lr, betas=betas, average_decay=average_decay, **duel)
        self.minibatches = self.discriminator_steps + 1
        self.final_rate, self.final_beta2 = final_lr / lr, final_beta2
        self.penalty, self.final_penalty = penalty, final_penalty
        self.average_half_life_images, self.burn_in_images = average_half_life_images, burn_in_images
        self.register_buffer("gamma", torch.tensor(float(penalty)))
        refuse_tied_samples(self.discriminator, "R3GAN")
        if any(isinstance(layer, MinibatchStddev) for layer in self.discriminator.modules()):
            raise ValueError(
                "R3GAN's discriminator sees real and fake samples in one pass, and must not compare them: choose R3GANDiscriminator"
            )

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """E softplus(D(G(z)) - D(x)) + gamma/2 E ||grad D(x)||^2 + gamma/2 E ||grad D(G(z))||^2, section 2."""
        given = self.known(label)
        with torch.no_grad():
            fake = self.fake(len(real), *given)
        both = torch.cat([real, fake])  # in one pass: no layer lets samples see each other
        both = both if both.requires_grad else both.requires_grad_()
        logit = self.realness(both, *(label.repeat(2) for label in given))
        (gradient,) = torch.autograd.grad(logit.sum(), both, create_graph=True)
        r1, r2 = gradient.square().flatten(1).sum(1).chunk(2)
        real_logit, fake_logit = logit.chunk(2)
        return {
            "adversarial": F.softplus(fake_logit - real_logit).mean(),
            "penalty": self.gamma / 2 * r1.mean(),
            "fake_penalty": self.gamma / 2 * r2.mean(),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """E softplus(D(x) - D(G(z))), x and G(z) of the same class."""
        given = self.known(label)
        fake_logit = self.realness(self.fake(len(real), *given), *given)
        with torch.no_grad():
            real_logit = self.realness(real, *given)
        return {"adversarial": F.softplus(real_logit - fake_logit).mean()}

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        *own, last = batches
        for batch in own:
            yield "discriminator", self.discriminator_loss, batch
        yield "generator", self.generator_loss, last

    def scheduled(self, first: float, last: float) -> float:
        seen = self.images_seen * self.discriminator_steps / self.minibatches  # by D
        return cosine(seen, first, last, 0, self.burn_in_images)

    def rate(self, step: int) -> float:
        return super().rate(step) * self.scheduled(1.0, self.final_rate)

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        self.gamma.fill_(self.scheduled(self.penalty, self.final_penalty))
        for group in (group for optimizer in optimizers.values() for group in optimizer.param_groups):
            group["betas"] = (self.betas[0], self.scheduled(self.betas[1], self.final_beta2))
        self.set_memory(batches[:-1], self.scheduled(0, self.average_half_life_images))  # of images that D sees
