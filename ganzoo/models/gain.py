"""GAIN: Yoon, Jordon, van der Schaar, "GAIN: Missing Data Imputation using Generative Adversarial Nets", 2018, https://arxiv.org/abs/1806.02920"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganzoo.duel import Duel
from ganzoo.game import Batch, Terms
from ganzoo.imputation import GIVEN, HIDDEN, Row, RowMemory
from ganzoo.networks.gain import GAINDiscriminator, GAINGenerator, Widths

GeneratorClass = Callable[[Widths], nn.Module]  # (widths of the columns): row [N, width], mask [N, columns] -> row [N, width]
DiscriminatorClass = Callable[[Widths], nn.Module]  # (widths): row [N, width], hint [N, columns] -> logits [N, columns]


class GAIN(RowMemory, Duel):
    """G fills the gaps of a row, and D says of each cell whether it was given; a hint tells D of most given cells that they were.

    Batches are `(real, mask)`: rows [N, width] of numbers in [0, 1] and one-hot categories, and what is known of each cell,
    [N, columns] (`ganzoo.imputation`). Of `real` the losses see given cells alone. `sample(n)` fills the gaps of remembered rows.

    Args:
        widths: of the columns in a row, the data's: 1 for numbers, or as many as there are categories; None: all are numbers.
        generator, discriminator: classes of the networks, called with (widths of the columns).
        hint_rate: probability with which a given cell is hinted at.
        alpha: weight of the reconstruction of given cells.
        noise_scale: missing cells hold noise from U(0, noise_scale) before they are filled.
        lr, betas: as in `Duel`. The authors' code takes minibatches of 128 and 10,000 rounds.

    Raises:
        ValueError: samples that are no rows of such columns.

    Differences from the paper: what its authors' later code does (github.com/jsyoon0823/GAIN): hints H = B M are 0 where nothing
    is said, not 0.5; B is drawn for each cell by itself; both losses are of all cells, not of those without a hint; the
    activations, widths and alpha are that code's. A column of any number of categories is one-hot behind a softmax, and its
    reconstruction, for which the paper has the cross-entropy of binary columns, that of its categories.
    """

    default_generator = GAINGenerator  # type: ignore[assignment]
    default_discriminator = GAINDiscriminator  # type: ignore[assignment]
    usual_shape = (30,)  # the paper's "Breast"
    one_logit = False  # but one for each cell
    gaussian = False

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        widths: tuple[int, ...] | None = None,
        generator: GeneratorClass | None = None,
        discriminator: DiscriminatorClass | None = None,
        hint_rate: float = 0.9,
        alpha: float = 100.0,
        noise_scale: float = 0.01,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **duel: Any,
    ) -> None:
        widths = (1,) * shape[0] if widths is None else tuple(widths)
        if tuple(shape) != (sum(widths),):
            raise ValueError(f"GAIN fills gaps in rows of tables, not in samples of shape {tuple(shape)}: choose --data Table")
        networks: dict[str, Any] = {
            "generator": partial(of_rows, generator or self.default_generator, widths),
            "discriminator": partial(of_rows, discriminator or self.default_discriminator, widths),
        }
        super().__init__(shape=shape, latent_dim=0, lr=lr, betas=betas, **networks, **duel)
        self.row = Row(widths)
        self.hint_rate, self.alpha, self.noise_scale = hint_rate, alpha, noise_scale
        self.begin_row_memory(sum(widths), len(widths))

    def discriminator_loss(self, real: Tensor, mask: Tensor) -> Terms:  # type: ignore[override]
        """L_D = -E [m log D(x_hat, h) + (1 - m) log(1 - D(x_hat, h))], eq. 4 and Algorithm 1."""
        given = (mask == GIVEN).float()  # m
        with torch.no_grad():
            _, filled = self.filled(real, given)
        logit = self.discriminator(filled, self.hint(given))  # [N, columns]
        return {"real": (given * softplus(-logit)).mean(), "fake": ((1 - given) * softplus(logit)).mean()}

    def generator_loss(self, real: Tensor, mask: Tensor) -> Terms:  # type: ignore[override]
        """L_G = -E (1 - m) log D(x_hat, h), and alpha times L_M, how far G is from cells that it was given."""
        given = (mask == GIVEN).float()
        made, filled = self.filled(real, given)
        logit = self.discriminator(filled, self.hint(given))
        squares, nats = (made - real).square(), -real * (made + 1e-8).log()
        distance = self.row.spread(given) * torch.where(self.row.is_category, nats, squares)  # [N, width]
        return {
            "adversarial": ((1 - given) * softplus(-logit)).mean(),
            "reconstruction": self.alpha * distance.sum() / given.sum().clamp(min=1),
        }

    def filled(self, real: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """x_bar, what G makes of rows, and x_hat, the rows with that in their gaps (eq. 2 and 3)."""
        there = self.row.spread(given)
        made = self.generator(self.with_noise(real, there), given)
        return made, there * real + (1 - there) * made

    def with_noise(self, real: Tensor, there: Tensor) -> Tensor:
        """x_tilde: z ~ U(0, noise_scale) in all gaps."""
        return there * real + (1 - there) * self.noise_scale * torch.rand_like(real)

    def hint(self, given: Tensor) -> Tensor:
        """H = B M: [N, columns]."""
        return given * (torch.rand_like(given) < self.hint_rate)

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        real, mask = batches[0]
        given = (mask == GIVEN).float()
        self.remember(torch.cat([real * self.row.spread(given), given], 1), self.global_step)

    def opinions(self, real: Tensor, *label: Tensor) -> tuple[Tensor, Tensor]:
        """D's of given cells and of imputed ones, without hints: means over each row's, 0 in a row without any, [N] each."""
        given = (label[0] == GIVEN).float()
        logit = self.discriminator(self.filled(real, given)[1], torch.zeros_like(given))
        return tuple((logit * cells).sum(1) / cells.sum(1).clamp(min=1) for cells in (given, 1 - given))  # type: ignore[return-value]

    def impute(self, row: Tensor, mask: Tensor) -> Tensor:
        """As `Imputer`: each gap is filled by G, of the averaged one if there is one, with a number or its likeliest category."""
        given = (mask == GIVEN).float()
        there = self.row.spread(given)
        made = self.row.decided(self.samples_of(self.with_noise(row, there), given))
        return torch.where(there > 0, row, made)

    def sample(self, n: int) -> Tensor:
        """n remembered rows whose gaps are filled: float32 [n, *shape]."""
        row, given = self.recalled(n).split([self.shape[0], len(self.row.widths)], 1)
        return self.impute(row, given)

    def held_out_terms(self, real: Tensor, mask: Tensor) -> Terms:  # type: ignore[override]
        """RMSE of numbers and PFC of categories in hidden cells, whose values are known."""
        return self.row.errors(self.impute(real, mask), real, mask == HIDDEN)


def of_rows(network: Callable[[Widths], nn.Module], widths: Widths, *_: Any) -> nn.Module:
    """A network made as `Duel` makes one; it knows the columns instead of noise and shape."""
    return network(widths)
