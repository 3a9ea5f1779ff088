"""Pictures of how a game fills gaps in rows: imputed cells beside true ones."""

from typing import Any

import torch
from PIL import Image

from ganzoo.imputation import HIDDEN, Imputer
from ganzoo.pictures import drawn
from ganzoo.pictures_of_rows import agreement


def imputed_and_true(game: Imputer, data: Any) -> Image.Image | None:
    """Hidden cells of the first 2,000 training rows as the game imputes them, over what they are; None where none are hidden.

    Args:
        data: a data module whose batches are `(real, mask)`.
    """
    real, mask = (part.to(game.device) for part in data.train.__getitems__(range(min(2000, len(data.train)))))
    hidden = mask == HIDDEN
    if not torch.any(hidden):
        return None
    return drawn(agreement(game.impute(real, mask), real, hidden, data.units()["columns"]))
