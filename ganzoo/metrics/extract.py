"""One pass of samples through an extractor: what every score is computed from."""

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import NamedTuple, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from ganzoo.metrics.features import Extractor
from ganzoo.metrics.frechet import Moments

BLOCK = 250  # samples read or generated at once; generated ones depend on it


class Blocks(Protocol):
    """Samples that can be read in blocks, from any block on, in any process."""

    def __len__(self) -> int: ...

    def batches(self, size: int, indices: Iterable[int]) -> Iterator[Tensor]:
        """Batch i holds samples i * size .. (i + 1) * size - 1: uint8 images [size or fewer, 1 or 3, H, W], or float32."""
        ...


class Extracted(NamedTuple):
    """Of n samples, in their order, all ranks' together."""

    moments: Moments
    features: Tensor  # float32 [n, d]
    logits: Tensor | None  # float32 [n, K]


def extract(extractor: Extractor, images: Blocks, n: int, track: Callable[[range], Iterable[int]] = iter) -> Extracted:
    """Features of the first n samples. With several ranks each does every world-th block, and all get the same result.

    Args:
        track: wraps the block numbers, to show progress.
    """
    blocks = range(rank(), ceil(n / BLOCK), world())
    moments = Moments(extractor.dim, extractor.device)
    parts: list[tuple[int, Tensor, Tensor | None]] = []
    for block, batch in zip(blocks, images.batches(BLOCK, track(blocks)), strict=True):
        features, logits = extractor(batch[: n - block * BLOCK])
        moments.update(features)
        parts.append((block, features.cpu(), None if logits is None else logits.cpu()))
    moments.reduce()
    if world() > 1:
        shares: list[list[tuple[int, Tensor, Tensor | None]]] = [[] for _ in range(world())]
        dist.all_gather_object(shares, parts)
        parts = sorted((part for share in shares for part in share), key=lambda part: part[0])
    features = torch.cat([features for _, features, _ in parts]).to(extractor.device)
    classes = [logits for _, _, logits in parts if logits is not None]
    return Extracted(moments, features, torch.cat(classes).to(extractor.device) if classes else None)


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1
