"""Pictures of what a game makes of images: source, output and target."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ganzoo.pictures import picture
from ganzoo.translation import Translator

TILES = ("source", "output", "target")
LARGEST = 256  # pixels a side of what is shown of one image


def shown(game: Translator, data: Any, rows: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Source, what the game makes of it, and target of the first images held out, or, where none are, that train.

    Args:
        data: a data module whose batches begin with sources and end with targets.
        rows: images at most.

    Returns: for each image, three tiles of the same size, [1, 3, side, side] in [-1, 1].
    """
    samples = data.train if data.held_out is None else data.held_out
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for index in range(min(rows, len(samples))):
        parts = [part.to(game.device) for part in samples.__getitems__([index])]
        with data.at_rest():
            [batch] = data.on_after_batch_transfer(parts)
        source, target = batch[0], batch[-1]
        found.append((source, game.translate(source), target))
    side = min(LARGEST, *(size for _, made, target in found for size in (*made.shape[-2:], *target.shape[-2:])))
    return [(tile(source, made, side), tile(made, made, side), tile(target, made, side)) for source, made, target in found]


def side_by_side(tiles: Sequence[tuple[Tensor, ...]]) -> Image.Image:
    """One picture of all, an image's tiles in each row."""
    return picture(torch.cat([part for row in tiles for part in row]), columns=len(tiles[0]))


def tile(image: Tensor, made: Tensor, side: int) -> Tensor:
    """The middle of an image, enlarged to the size of what was made, in colour: [1, C, H, W] -> [1, 3, side, side]."""
    whole = F.interpolate(image.float(), size=made.shape[-2:])  # nearest: pixels stay pixels
    top, left = ((length - side) // 2 for length in whole.shape[-2:])
    return whole[..., top : top + side, left : left + side].expand(-1, 3, -1, -1).cpu()
