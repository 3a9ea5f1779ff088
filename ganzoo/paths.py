"""How long the paths through a game's latent space are to who looks at its images: PPL, with its stamp."""

from math import ceil

import torch
from rich.console import Console
from torch import Tensor

from ganzoo.evaluation import origin
from ganzoo.game import Diverged, Game, draw_from
from ganzoo.metrics import path_length, scores
from ganzoo.metrics.features import Extractor, are_images
from ganzoo.metrics.stamp import Protocol, Stamped
from ganzoo.precision import tf32
from ganzoo.progress import progress
from ganzoo.walks import Space

PAIRS = 32  # of images made and measured at once; their noise depends on it


@tf32(False)
def evaluate_paths(
    by: Extractor, game: Game, n: int, seed: int, source: str, step: int, console: Console | None = None
) -> Stamped:
    """The perceptual path length of a game (`ganzoo.metrics.path_length`), over n ways: in w if it has one, else in z.

    What noise the generator's layers draw is the same at both ends of a step, and so is the class.

    Raises:
        ValueError: a game without Gaussian noise; samples that are not images; a precision that is too low.
        Diverged: samples that are not finite.
    """
    refuse_paths(game, by.name, by.precision)
    space = Space(game)
    blocks = progress(console or Console(stderr=True), f"{n:,} steps in {space.name}", range(ceil(n / PAIRS)))
    values = torch.cat([changes_of(space, by, min(PAIRS, n - b * PAIRS), (seed, b)) for b in blocks])
    score = path_length.path_length(values)
    name = scores.called(f"ppl_{space.name}", by.name)
    protocol = Protocol(
        metric=name,
        version=scores.VERSION,
        settings=path_length.SETTINGS,
        extractor=by.name,
        weights=by.weights,
        resize=by.resize,
        precision=by.precision,
        n_fake=n,
        n_real=0,
        split="none",
        reference="none",
        average=game.averaged,
        truncation=game.truncation,
        seed=seed,
    )
    of = origin(type(game).__name__, source, by.device, step, game.images_seen)
    return Stamped(score.value, score.error, protocol, of)


def refuse_paths(game: Game, extractor: str, precision: str | None) -> None:
    """Raise ValueError where `evaluate_paths` does."""
    scores.refuse_coarse(extractor, precision)
    if not are_images(game.shape):
        raise ValueError(f"only grey and colour images can be walked through for ppl, not samples of shape {game.shape}")
    Space(game)


def changes_of(space: Space, by: Extractor, n: int, key: tuple[int, int]) -> Tensor:
    """How much n steps change the image, [n]: a function of the key."""
    draw_from(space.game.device, *key)
    z, beside = space.draw(2 * n)
    beside = None if beside is None else beside[:n]
    start, end = space.points(z, None if beside is None else torch.cat([beside, beside])).chunk(2)
    images = []
    for points in (start, space.between(start, end, path_length.EPSILON)):
        draw_from(space.game.device, *key, 1)
        images.append(space.images(points, beside))
    values = path_length.changes(by, *images)
    if not values.isfinite().all():
        raise Diverged("the generator makes NaN or infinity: an earlier checkpoint may be sound")
    return values
