"""StyleGAN2: Karras, Laine, Aittala, Hellsten, Lehtinen, Aila, "Analyzing and Improving the Image Quality of StyleGAN", 2020, https://arxiv.org/abs/1912.04958"""

from collections.abc import Iterator
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.conditional import ConditionalDuel
from ganzoo.game import Batch, Terms, Turn
from ganzoo.losses import cross_entropy, gradient_norm, non_saturating, refuse_tied_samples
from ganzoo.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator, knowing_classes, told_classes
from ganzoo.styles import Styled


class StyleGAN2(Styled, ConditionalDuel):
    """Styles scale a convolution's weights, and demodulation takes their size away again (section 2.2): no normalisation looks
    at a map. Besides, the path length regularisation (3.2), and regularisers in turns of their own, every few rounds (3.1).

    Args:
        conditional: whether the networks are told the classes, where the data has any.
        lr, betas: Adam's, corrected as in appendix B for the turns between: lr c and beta^c, c = every / (every + 1).
        penalty, penalty_every: gamma of R1, and rounds between two of its turns. To be chosen for the data: ADA's code begins
            with 0.0002 side^2 / batch.
        path_penalty, path_every: gamma_pl of the path length, 0 for none, and rounds between two of its turns.
        path_decay: how far a turn moves the mean of the lengths, a.
        path_shrink: the path length is of so many times fewer samples than a batch has.
        average_half_life_kimg: thousands of images after which half of the weight average is new.
        average_rampup: the half-life is at most this share of the images seen (ADA: 0.05); None: from the first what it is.
        average_decay: at most this share of the average is kept in a round; None: no average.

    Settings of ADA's code for other data are in the configs. A round has G's turns first, as there.

    Differences from the authors' code: no part in half precision of its own (`--trainer.precision`); classes of fakes are drawn
    uniformly; in evaluation mode the noise is always the same.

    Raises:
        ValueError: a generator without styles; a discriminator with batch normalisation; turns every 0 rounds.
    """

    needs_classes = False
    default_generator = StyleGAN2Generator
    default_discriminator = StyleGAN2Discriminator
    conditional_generator = staticmethod(knowing_classes)
    conditional_discriminator = staticmethod(told_classes)
    mean_length: Tensor

    def __init__(
        self,
        *,
        classes: int | None = None,
        conditional: bool = True,
        latent_dim: int = 512,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.0, 0.99),
        penalty: float = 10.0,
        penalty_every: int = 16,
        path_penalty: float = 2.0,
        path_every: int = 4,
        path_decay: float = 0.01,
        path_shrink: int = 2,
        average_half_life_kimg: float = 10.0,
        average_rampup: float | None = None,
        average_decay: float | None = 1.0,
        **duel: Any,
    ) -> None:
        if min(penalty_every, path_every) < 1:
            raise ValueError("penalty_every and path_every are rounds, 1 or more: for no turns set path_penalty to 0")
        known = classes if conditional else None
        super().__init__(classes=known, latent_dim=latent_dim, lr=lr, betas=betas, average_decay=average_decay, **duel)
        self.every = {"discriminator": penalty_every, "generator": path_every}
        self.penalty, self.path_penalty, self.path_decay, self.path_shrink = penalty, path_penalty, path_decay, path_shrink
        self.average_half_life_kimg, self.average_rampup = average_half_life_kimg, average_rampup
        self.register_buffer("mean_length", torch.zeros(()))
        if not hasattr(self.generator, "synthesis"):
            raise ValueError(f"{type(self.generator).__name__} knows no styles: choose StyleGAN2Generator")
        refuse_tied_samples(self.discriminator, "StyleGAN2")

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        yield "generator", self.generator_loss, batches[-1]
        if self.path_penalty > 0 and step % self.every["generator"] == 0:
            yield "generator", self.path_loss, batches[-1]
        for batch in batches:
            yield "discriminator", self.discriminator_loss, batch
        if step % self.every["discriminator"] == 0:
            yield "discriminator", self.penalty_loss, batches[-1]

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-E log D(x) - E log(1 - D(G(z)))."""
        drawn = self.drawn(len(real))
        with torch.no_grad():
            fake = self.fake(len(real), *drawn)
        real_logit = self.realness(real, *self.known(label))
        return {"real": cross_entropy(real_logit, 1.0), "fake": cross_entropy(self.realness(fake, *drawn), 0.0)}

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-E log D(G(z))."""
        drawn = self.drawn(len(real))
        return {"adversarial": non_saturating(self.realness(self.fake(len(real), *drawn), *drawn))}

    def penalty_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """gamma / 2 E ||grad D(x)||^2 (arXiv:1801.04406, eq. 9), times the rounds that it stands for."""
        norm = gradient_norm(lambda x: self.realness(x, *self.known(label)), real)
        return {"penalty": self.every["discriminator"] * self.penalty / 2 * norm.square().mean()}

    def path_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """gamma_pl E (||J_w^T y||_2 - a)^2 with y ~ N(0, I) over the root of an image's pixels (eq. 4), times rounds."""
        n = max(1, len(real) // self.path_shrink)
        w = self.generator.styles_for(self.latent(n), *self.drawn(n))  # type: ignore[operator]
        fake = self.generator.synthesis(w)  # type: ignore[operator]
        y = torch.randn_like(fake) / sqrt(fake[0, 0].numel())
        (gradient,) = torch.autograd.grad((fake * y).sum(), w, create_graph=True)  # J_w^T y, [n, styles, w_dim]
        lengths = gradient.square().sum(2).mean(1).sqrt()
        mean = self.mean_length.lerp(lengths.mean(), self.path_decay)
        if self.training:
            self.mean_length.copy_(mean.detach())
        return {"path_penalty": self.every["generator"] * self.path_penalty * (lengths - mean).square().mean()}

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        c = self.every[player] / (self.every[player] + 1)
        betas = (self.betas[0] ** c, self.betas[1] ** c)
        return torch.optim.Adam(parameters, lr=c * self.lr[player], betas=betas, fused=True)

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        super().before_round(batches, optimizers)
        half_life = 1000 * self.average_half_life_kimg
        if self.average_rampup is not None:
            half_life = min(half_life, self.average_rampup * self.images_seen)
        self.set_memory(batches, half_life)
