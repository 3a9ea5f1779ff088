"""What games that fill gaps in rows of a table have in common."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ganzoo.data.table import GIVEN as GIVEN
from ganzoo.data.table import HIDDEN as HIDDEN
from ganzoo.data.table import MISSING as MISSING
from ganzoo.game import Terms
from ganzoo.metrics.imputation import falsely_classified, root_mean_square
from ganzoo.one_hot import one_hot
from ganzoo.translation import MOST_BYTES, SourceMemory


@runtime_checkable
class Imputer(Protocol):
    """A game that can be given rows with gaps."""

    @property
    def device(self) -> torch.device: ...

    def impute(self, row: Tensor, mask: Tensor) -> Tensor:
        """Rows whose cells are all there: the given ones as they are, the others as the generator has them.

        Args:
            row: [N, width], numbers in [0, 1] and one-hot categories.
            mask: [N, columns], above zero where a cell is given.

        Returns: float32 [N, width].
        """


class RowMemory(SourceMemory):
    """Mixin of games that remember rows of their latest rounds, with what was given of them: as `SourceMemory`."""

    def begin_row_memory(self, width: int, columns: int) -> None:
        """Up to 4,096 rows; before the first round nothing is given in any."""
        most = max(1, min(4096, MOST_BYTES // (4 * (width + columns))))
        self.register_buffer("sources", self.stored(torch.zeros(most, width + columns)))

    def stored(self, source: Tensor) -> Tensor:
        return source.detach().float().contiguous().view(torch.int32)  # the same bits: several devices average all floats

    def restored(self, stored: Tensor) -> Tensor:
        return stored.view(torch.float32)


class Row(nn.Module):
    """How the columns of a table lie in a row that networks see.

    Args:
        widths: of each column: 1 for numbers, or as many as it has categories.
    """

    of: Tensor
    is_category: Tensor

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths
        self.numbers = [at for at, width in enumerate(widths) if width == 1]  # columns
        self.categories = [at for at, width in enumerate(widths) if width > 1]
        of = torch.cat([torch.full((width,), column) for column, width in enumerate(widths)])
        self.register_buffer("of", of, persistent=False)  # of each place in a row [width]: its column
        self.register_buffer("is_category", torch.tensor(widths)[of] > 1, persistent=False)  # bool [width]

    def spread(self, cells: Tensor) -> Tensor:
        """A number for each column -> the same at all its places in a row: [N, columns] -> [N, width]."""
        return cells[:, self.of]

    def parts(self, row: Tensor) -> tuple[Tensor, ...]:
        """[N, width] -> of each column [N, its width]."""
        return row.split(self.widths, 1)

    def decided(self, row: Tensor) -> Tensor:
        """Probabilities of categories -> the likeliest, one-hot: [N, width] -> the same."""
        parts = zip(self.parts(row), self.widths, strict=True)
        return torch.cat([one_hot(part.argmax(1), width) if width > 1 else part for part, width in parts], 1)

    def errors(self, made: Tensor, real: Tensor, cells: Tensor) -> Terms:
        """Of the cells, bool [N, columns]: `rmse` of numbers on their [0, 1] scale, `pfc`, the share of false categories; each
        where there are any."""
        imputed, true = self.parts(made), self.parts(real)
        found = {}
        if cells[:, self.numbers].any():
            one, other = (torch.cat([parts[at] for at in self.numbers], 1) for parts in (imputed, true))
            found["rmse"] = root_mean_square(one, other, cells[:, self.numbers])
        if cells[:, self.categories].any():
            here, there = ([parts[at] for at in self.categories] for parts in (imputed, true))
            found["pfc"] = falsely_classified(here, there, cells[:, self.categories])
        return found
