"""Samples as pictures: images in a grid, points in a scatter plot, numbers in a histogram, series as paths, strings as text."""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from ganzoo.pictures_of_rows import distributions
from ganzoo.pictures_of_series import panels
from ganzoo.pictures_of_strings import page
from ganzoo.texts import texts_of


def picture(
    samples: Tensor,
    real: Tensor | None = None,
    columns: int | None = None,
    units: dict[str, Any] | None = None,
    valid: Tensor | None = None,
) -> Image.Image:
    """One picture of all samples.

    Args:
        samples: images [N, 1 or 3, H, W] in [-1, 1], points [N, 1] or [N, 2], series [N, length, features] or strings.
        real: real samples of the same kind, to be compared with; images ignore it.
        columns: images in a row; as many as make the grid square if None.
        units: what samples mean that are neither images nor points (`ganzoo.tables`).
        valid: which strings are, bool [N], if that is known.

    Raises:
        ValueError: samples of another shape, which no picture shows.
    """
    if samples.ndim == 4 and samples.shape[1] in (1, 3):
        return grid(samples, columns or ceil(len(samples) ** 0.5))
    if samples.ndim == 2 and samples.shape[1] == 2:
        return scatter(samples, real)
    if samples.ndim == 2 and samples.shape[1] == 1:
        return histogram(samples, real)
    if units and units["kind"] == "rows":
        return drawn(distributions(samples, real, units["columns"]))
    if units and units["kind"] == "series":
        return drawn(panels(samples, real, units["columns"]))
    if units and units["kind"] == "strings":
        return page(texts_of(samples, units["vocabulary"]), None if valid is None else valid.tolist())
    raise ValueError(
        f"samples of shape {tuple(samples.shape[1:])} cannot be drawn: only images, points in 1-D or 2-D, series, strings can"
    )


def to_bytes(images: Tensor) -> Tensor:
    """[..., H, W] in [-1, 1] -> uint8, rounded to the nearest level."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def grid(images: Tensor, columns: int) -> Image.Image:
    """[N, C, H, W] in [-1, 1] -> a grid whose tiles are enlarged, by a whole factor, to 64 pixels or more."""
    factor = max(1, ceil(64 / images.shape[-1]))
    tiles = F.interpolate(to_bytes(images.cpu()), scale_factor=float(factor))  # nearest: pixels stay pixels
    return Image.fromarray(make_grid(tiles, nrow=columns, padding=2, pad_value=255).permute(1, 2, 0).numpy())


def scatter(points: Tensor, real: Tensor | None) -> Image.Image:
    """[N, 2] over [M, 2], on equal axes that leave the real data's frame only as far as a third of its width."""
    figure = Figure(figsize=(5, 5), dpi=128, layout="constrained")
    axes = figure.subplots()
    if real is not None:
        axes.scatter(real[:, 0].cpu(), real[:, 1].cpu(), s=6, color="0.75", label="data", linewidths=0)
        low, high = real.min().item(), real.max().item()
        margin = (high - low) / 3 or 1.0
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    axes.scatter(points[:, 0].cpu(), points[:, 1].cpu(), s=4, color="tab:red", label="samples", linewidths=0)
    axes.set_aspect("equal")
    axes.legend(loc="upper right")
    return drawn(figure)


def histogram(numbers: Tensor, real: Tensor | None) -> Image.Image:
    """[N, 1] over [M, 1], in bins over the real data's frame, or the samples' where there is none, and a third around it."""
    figure = Figure(figsize=(5, 5), dpi=128, layout="constrained")
    axes = figure.subplots()
    frame = numbers if real is None else real
    low, high = frame.min().item(), frame.max().item()
    margin = (high - low) / 3 or 1.0
    bins = np.linspace(low - margin, high + margin, 101).tolist()
    if real is not None:
        axes.hist(real[:, 0].cpu().numpy(), bins, density=True, color="0.8", label="data")
    axes.hist(numbers[:, 0].cpu().numpy(), bins, density=True, histtype="step", color="tab:red", label="samples")
    axes.legend(loc="upper right")
    return drawn(figure)


def drawn(figure: Figure) -> Image.Image:
    """The figure as an RGB picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def save_each(images: Tensor, folder: Path) -> None:
    """One PNG for each image [N, C, H, W] in [-1, 1], numbered from 000000.

    Raises:
        ValueError: the samples are not images.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"samples of shape {tuple(images.shape[1:])} are not images: give --out a .png for one picture of all")
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(to_bytes(images.cpu())):
        Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy()).save(folder / f"{index:06d}.png")
