"""Pictures that compare samples row by row: truncations of the same noise, and mixed styles."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ganzoo.conditional import OfKinds
from ganzoo.duel import truncated
from ganzoo.game import Game, draw_from
from ganzoo.styles import Styled
from ganzoo.walks import Space

STYLES = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, None)}  # 4x4 and 8x8; 16x16 and 32x32; the rest: arXiv:1812.04948


def asked_for(game: Game, n: int, label: int | None) -> Tensor:
    """n samples, of one class if a label is given: float32 [n, *shape].

    Raises:
        ValueError: a label, where there are no classes.
    """
    if label is None:
        return game.sample(n)
    if not isinstance(game, OfKinds) or not game.kinds:
        raise ValueError(f"{type(game).__name__} is not class-conditional: leave out --class")
    return game.sample(n, torch.full((n,), label))


def truncations(
    game: Game, thresholds: Sequence[float | None], *, n: int = 8, seed: int = 0, label: int | None = None
) -> Tensor:
    """A row of n samples for each threshold, of the same noise: [thresholds * n, *shape]. Raises as `truncated`."""
    rows = []
    for threshold in thresholds:
        draw_from(game.device, seed)
        with truncated(game, threshold):
            rows.append(asked_for(game, n, label))
    return torch.cat(rows)


def mixing(game: Game, styles: str, *, n: int = 8, seed: int = 0, label: int | None = None) -> Tensor:
    """Mixed styles of n sources (figure 3 of arXiv:1812.04948): [(n + 1)^2, *shape], in rows of n + 1.

    The first row and the first column are the sources, the other images those of their row's source, but for these styles,
    which are the column's. On the diagonal both are the same.

    Args:
        styles: coarse, middle, fine, or two numbers such as 0-3, of the first and the last layer.

    Raises:
        ValueError: a game without styles, or with fewer; a label where there are no classes.
    """
    if not isinstance(game, Styled):
        raise ValueError(f"{type(game).__name__}'s generator has no styles that could be mixed: leave out --mix")
    space = Space(game, "w")
    draw_from(game.device, seed)
    w = space.points(*space.draw(n, label))  # [n, styles, w_dim]
    copied = layers(styles, w.shape[1])

    def row(w: Tensor) -> Tensor:
        draw_from(game.device, seed, 1)  # each column the same noise in the layers
        return game.images_of(w)

    sources = row(w)
    rows = [torch.ones_like(sources[:1]), sources]
    for i in range(n):
        mixed = w[i].repeat(n, 1, 1)
        mixed[:, copied] = w[:, copied]
        rows += [sources[i : i + 1], row(mixed)]
    return torch.cat(rows)


def layers(styles: str, count: int) -> slice:
    """The layers of `mixing`'s styles, of so many; raises as it does."""
    if numbers := re.fullmatch(r"(\d+)-(\d+)", styles):
        first, end = int(numbers[1]), int(numbers[2]) + 1
    elif styles in STYLES:
        first, end = STYLES[styles][0], min(STYLES[styles][1] or count, count)
    else:
        raise ValueError(f"--mix is coarse, middle, fine, or the first and the last style, such as 0-3, not {styles}")
    if not first < end <= count:
        raise ValueError(f"the generator has {count} styles, 0 to {count - 1}: --mix {styles} asks for others")
    return slice(first, end)
