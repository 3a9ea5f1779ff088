"""How far imputed cells of a table are from the true ones."""

from collections.abc import Sequence

import torch
from torch import Tensor


def root_mean_square(made: Tensor, real: Tensor, cells: Tensor) -> Tensor:
    """Root of the mean squared error of the cells, all [N, columns], `cells` bool; NaN if there are none. Scalar."""
    return (made - real).square()[cells].mean().sqrt()


def falsely_classified(made: Sequence[Tensor], real: Sequence[Tensor], cells: Tensor) -> Tensor:
    """The share of the cells whose likeliest category is not the true one (PFC, as missForest names it); NaN if there are none.

    Args:
        made, real: of each column its categories, [N, categories].
        cells: bool [N, columns].
    """
    wrong = [a.argmax(1) != b.argmax(1) for a, b in zip(made, real, strict=True)]
    return torch.stack(wrong, 1)[cells].float().mean()
