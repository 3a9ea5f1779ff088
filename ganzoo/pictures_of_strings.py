"""Strings as a page of text."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

SHOWN = 120  # strings at most
WIDTH = 120  # characters of a line, about, that columns are beside one another in
SIZE = 14  # of the type, in pixels
INK, RED, GREY = (20, 20, 20), (200, 30, 30), (140, 140, 140)


def page(texts: Sequence[str], valid: Sequence[bool] | None = None) -> Image.Image:
    """The first strings in columns, those that are not valid in red; below them how many of all are distinct and valid."""
    shown = [text or " " for text in texts[:SHOWN]]
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf", SIZE)
    widest = max(map(len, shown)) + 3
    columns = max(1, min(WIDTH // widest, ceil(len(shown) / 20)))
    rows = ceil(len(shown) / columns)
    across, down = font.getlength("x"), SIZE + 6
    told = f"{len(texts):,} samples, {len(set(texts)):,} distinct" + ("" if valid is None else f", {sum(valid):,} valid")
    width = max(columns * widest * across, len(told) * across) + 2 * down
    image = Image.new("RGB", (ceil(width), (rows + 2) * down + down), "white")
    draw = ImageDraw.Draw(image)
    for i, text in enumerate(shown):
        column, row = divmod(i, rows)
        colour = INK if valid is None or valid[i] else RED
        draw.text((down + column * widest * across, down / 2 + row * down), text, colour, font)
    draw.text((down, down / 2 + (rows + 1) * down), told, GREY, font)
    return image
