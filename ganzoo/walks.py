"""Walks through a game's latent space: noises, what lies between them, and the frames of an animation."""

from collections.abc import Callable, Iterable
from math import ceil
from typing import Any, BinaryIO, Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ganzoo.conditional import ConditionalDuel, OfKinds
from ganzoo.duel import Duel
from ganzoo.game import Game, draw_from
from ganzoo.pictures import grid
from ganzoo.styles import Styled

SpaceName = Literal["z", "w"]


def spherical(a: Tensor, b: Tensor, t: float) -> Tensor:
    """From noises a to noises b, [..., d], on the great circle through their directions, t = 0 to 1; the norm goes straight.

    Gaussian noise in many dimensions has nearly always the same norm, and straight lines would leave it: arXiv:1609.04468,
    section 2.1. Between opposite directions it takes some great circle, always the same.
    """
    if t in (0, 1):
        return b if t else a
    p, q = a.cpu().double(), b.cpu().double()  # steps may be small, and not all devices have float64
    u, v = F.normalize(p, dim=-1), F.normalize(q, dim=-1)
    along = (u * v).sum(-1, keepdim=True)
    away = v - along * u
    far = away.norm(dim=-1, keepdim=True)
    angle = torch.atan2(far, along)  # unlike arccos, with all digits near 0 and pi
    side = F.normalize(torch.where(far > 1e-12, away, across(u)), dim=-1)
    norm = torch.lerp(p.norm(dim=-1, keepdim=True), q.norm(dim=-1, keepdim=True), t)
    return (norm * (torch.cos(t * angle) * u + torch.sin(t * angle) * side)).to(a)


def across(u: Tensor) -> Tensor:
    """What is perpendicular to each direction [..., d] of the axis that it has least of."""
    axis = F.one_hot(u.abs().argmin(-1), u.shape[-1]).to(u)
    return axis - (axis * u).sum(-1, keepdim=True) * u


class Space:
    """A game's latent space, as points that can be drawn, joined, and made images of.

    `z` is that of the noise, where ways are great circles; `w`, of a `Styled` game, has straight ones.

    Args:
        name: None for w where there is one, else z.

    Raises:
        ValueError: the noise is not Gaussian, or there is no w.
    """

    def __init__(self, game: Game, name: SpaceName | None = None) -> None:
        if not (isinstance(game, Duel) and game.gaussian):
            raise ValueError(f"{type(game).__name__} has no Gaussian noise to walk through")
        if name == "w" and not isinstance(game, Styled):
            raise ValueError(f"{type(game).__name__}'s generator has no w: walk through z")
        self.game = game
        self.name: SpaceName = name or ("w" if isinstance(game, Styled) else "z")

    def draw(self, n: int, label: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Noise z [n, latent_dim] and what the generator takes beside it, [n, ...]: classes, codes (InfoGAN), or nothing.

        The same that `sample` draws. A label fixes the class, or the first code's category.

        Raises:
            ValueError: a label where there are no classes, or one that is none of them.
        """
        z, codes = self.game.latent(n).tensor_split([self.game.latent_dim], dim=1)
        kinds = self.game.kinds if isinstance(self.game, OfKinds) else 0
        if label is not None and not kinds:
            raise ValueError(f"{type(self.game).__name__} is not class-conditional: leave out --class")
        if label is not None and not 0 <= label < kinds:
            raise ValueError(f"there are {kinds} classes, 0 to {kinds - 1}: {label} is none of them")
        if isinstance(self.game, ConditionalDuel):
            if label is not None:
                return z, torch.full((n,), label, device=self.game.device)
            return z, next(iter(self.game.drawn(n)), None)
        if label is not None:
            codes[:, :kinds] = F.one_hot(torch.tensor(label), kinds).to(codes)
        return z, codes if codes.shape[1] else None

    def points(self, z: Tensor, beside: Tensor | None) -> Tensor:
        """z itself, [n, latent_dim], or w, [n, styles, w_dim]."""
        if self.name == "z":
            return z
        assert isinstance(self.game, Styled)
        return self.game.styles_of(z, *([] if beside is None else [beside]))

    def between(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        return spherical(a, b, t) if self.name == "z" else torch.lerp(a, b, t)

    def images(self, points: Tensor, beside: Tensor | None) -> Tensor:
        """float32 [n, *shape]."""
        if self.name == "w":
            assert isinstance(self.game, Styled)
            return self.game.images_of(points)
        if beside is None:
            return self.game.samples_of(points)
        if isinstance(self.game, ConditionalDuel):
            return self.game.samples_of(points, beside)
        return self.game.samples_of(torch.cat([points, beside], dim=1))


class Walk:
    """Frames [walks, *shape] of a way from sample to sample that ends where it began: frame i * frames shows the i-th key.

    The keys are the samples of the same seed. Along a walk nothing but the point changes: its class and codes are those of
    its first key, and what noise the generator's layers draw stays.

    Args:
        keys: samples that a walk passes, at least 2.
        frames: from one to the next.
        walks: so many walks side by side, each past keys of its own.
        space: None for w where there is one, else z.
        label: the class of all; None: one for each walk is drawn.
        seed: of the noise.

    Raises:
        ValueError: a game without Gaussian noise, or whose samples are not images; no w or classes where some are asked for.
    """

    def __init__(
        self,
        game: Game,
        *,
        keys: int = 8,
        frames: int = 30,
        walks: int = 1,
        space: SpaceName | None = None,
        label: int | None = None,
        seed: int = 0,
    ) -> None:
        if keys < 2 or frames < 1 or walks < 1:
            raise ValueError("a walk needs at least 2 keys, and 1 frame from one to the next")
        if len(game.shape) != 3 or game.shape[0] not in (1, 3):
            raise ValueError(f"only grey and colour images can be walked through, not samples of shape {game.shape}")
        self.space, self.frames, self.seed = Space(game, space), frames, seed
        draw_from(game.device, seed)
        z, beside = self.space.draw(walks * keys, label)
        self.beside = None if beside is None else beside[::keys]
        at = None if self.beside is None else self.beside.repeat_interleave(keys, 0)
        self.keys = self.space.points(z, at).unflatten(0, (walks, keys))

    def __len__(self) -> int:
        return self.keys.shape[1] * self.frames

    def __getitem__(self, i: int) -> Tensor:
        if not 0 <= i < len(self):
            raise IndexError(f"there are {len(self)} frames")
        key, step = divmod(i, self.frames)
        point = self.space.between(self.keys[:, key], self.keys[:, (key + 1) % self.keys.shape[1]], step / self.frames)
        draw_from(self.space.game.device, self.seed, 1)
        return self.space.images(point, self.beside)


def film(
    walk: Walk,
    file: BinaryIO,
    kind: str = "gif",
    *,
    milliseconds: int = 40,
    track: Callable[[range], Iterable[int]] = iter,
) -> None:
    """Write the walk as an animation without end. Frames are made one after the other, as they are written.

    Args:
        kind: gif, of 256 colours a frame, or webp, of all.
        milliseconds: that each frame is shown.
        track: wraps the frames' numbers, to show progress.
    """
    frames = (tiles(walk[i]) for i in track(range(len(walk))))
    how: dict[str, Any] = {"lossless": True} if kind == "webp" else {}
    next(frames).save(file, kind, save_all=True, append_images=frames, duration=milliseconds, loop=0, **how)


def tiles(images: Tensor) -> Image.Image:
    """[walks, C, H, W] in [-1, 1] beside one another; grey ones as grey, which a GIF holds exactly."""
    frame = grid(images, ceil(len(images) ** 0.5))
    return frame.convert("L") if images.shape[1] == 1 else frame
