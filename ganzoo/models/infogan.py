"""InfoGAN: Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel, "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets", 2016, https://arxiv.org/abs/1606.03657"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.duel import DiscriminatorClass, Duel, GeneratorClass, evaluating
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy, non_saturating
from ganzoo.networks.codes import CodeReadingDiscriminator, chosen_codes, coded_generator, random_codes
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator


class InfoGAN(Duel):
    """G is given codes c beside its noise z, and must make samples from which Q can read them: without a label, the codes
    come to mean what the data differ in.

    min over G and Q, max over D of V(D, G) - lambda L_I(G, Q) (eq. 6), where L_I = E log Q(c|G(z, c)) + H(c) (eq. 5) is a
    lower bound of the mutual information I(c; G(z, c)) (eq. 4). Q says of a categorical code how likely each category is,
    and of a continuous one the mean of a Gaussian of variance 1. H(c) and the Gaussian's norm are constants, left out.

    Args:
        categories: number of categories of each categorical code.
        continuous: number of continuous codes, from U[-1, 1].
        information: lambda.
        latent_dim: size of z, to which the codes come.
        lr: of the generator's Adam.
        discriminator_lr: of the discriminator's and Q's.

    Raises:
        ValueError: no codes at all, or a discriminator without `features(x)` and `last`.

    Differences from the paper: z is Gaussian. As in the authors' code Q's weights move in D's turn, with the features they
    share, G's cost is the non-saturating one, and continuous codes have a fixed variance. The networks are those of MNIST
    (table 1), with DCGAN's slope of LeakyReLU.
    """

    default_generator = staticmethod(partial(DCGANGenerator, hidden=1024))
    default_discriminator = staticmethod(partial(DCGANDiscriminator, hidden=1024))

    def __init__(
        self,
        *,
        categories: tuple[int, ...] = (10,),
        continuous: int = 2,
        information: float = 1.0,
        latent_dim: int = 62,
        generator: GeneratorClass | None = None,
        discriminator: DiscriminatorClass | None = None,
        lr: float = 1e-3,
        discriminator_lr: float | None = 2e-4,
        **duel: Any,
    ) -> None:
        if (not categories and not continuous) or continuous < 0 or min(categories, default=2) < 2:
            raise ValueError("InfoGAN needs a code: give --model.categories, of at least 2 each, or --model.continuous")
        super().__init__(
            latent_dim=latent_dim,
            generator=partial(coded_generator, generator or self.default_generator, tuple(categories), continuous),
            discriminator=partial(
                CodeReadingDiscriminator, discriminator or self.default_discriminator, sum(categories) + continuous
            ),
            lr=lr,
            discriminator_lr=discriminator_lr,
            **duel,
        )
        self.categories, self.continuous, self.information = tuple(categories), continuous, information
        self.sizes = [*categories, continuous]  # of the codes in the latent, and of what Q says of them

    @property
    def kinds(self) -> int:
        """Samples can be asked for by the categories of the first code."""
        return self.categories[0] if self.categories else 0

    def latent(self, n: int) -> Tensor:
        """[z, c], [n, latent_dim + codes], each categorical code a one-hot vector."""
        return torch.cat([super().latent(n), random_codes(n, self.categories, self.continuous, self.device)], dim=1)

    def uninformed(self, latent: Tensor, read: Tensor) -> Terms:
        """-lambda L_I(G, Q), eq. 5, but for constants: how badly the codes in `latent` are read."""
        codes, reads = (values.split(self.sizes, dim=1) for values in (latent[:, self.latent_dim :], read))
        terms = {}
        if self.categories:
            costs = [F.cross_entropy(q, code) for q, code in zip(reads[:-1], codes[:-1], strict=True)]
            terms["categorical"] = self.information * torch.stack(costs).sum()
        if self.continuous:
            terms["continuous"] = self.information * 0.5 * (codes[-1] - reads[-1]).square().sum(1).mean()
        return terms

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        latent = self.latent(len(real))
        with torch.no_grad():
            fake = self.generator(latent)
        (real_logit, _), (fake_logit, read) = self.discriminator(real), self.discriminator(fake)
        terms = {"real": cross_entropy(real_logit, 1.0), "fake": cross_entropy(fake_logit, 0.0)}
        return terms | self.uninformed(latent, read)

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        latent = self.latent(len(real))
        logit, read = self.discriminator(self.generator(latent))
        return {"adversarial": non_saturating(logit)} | self.uninformed(latent, read)

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        return self.discriminator(x)[0]

    def sample(self, n: int, category: Tensor | None = None, continuous: Tensor | None = None) -> Tensor:
        """n samples as `Duel`'s, of drawn codes or of these. The noise is the same, whatever the codes.

        Args:
            category: of the first code, int64 [n], or of the first k codes, [n, k].
            continuous: all continuous codes, [n, continuous]; they may leave [-1, 1].

        Raises:
            ValueError: codes of another shape, or a category that there is not.
        """
        latent = self.latent(n)
        if category is not None:
            chosen = chosen_codes(n, category.to(self.device), self.categories)
            latent[:, self.latent_dim :][:, : chosen.shape[1]] = chosen
        if continuous is not None:
            if continuous.shape != (n, self.continuous):
                raise ValueError(f"{n} samples need continuous codes [{n}, {self.continuous}], not {list(continuous.shape)}")
            latent[:, self.latent_dim + sum(self.categories) :] = continuous
        return self.samples_of(latent)

    def codes_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Q's reading of samples, in evaluation mode, as `sample` takes it: the likeliest category of each categorical code,
        int64 [N, codes], and the means of the continuous ones, [N, continuous]."""
        with evaluating(self.discriminator):
            read = torch.cat([self.discriminator(chunk)[1] for chunk in x.to(self.device).split(256)])
        *categorical, means = read.split(self.sizes, dim=1)
        likeliest = [q.argmax(1) for q in categorical]
        return torch.stack(likeliest, dim=1) if likeliest else means.new_zeros(len(x), 0, dtype=torch.int64), means
