"""Data of which only a part trains, to see what becomes of a game when samples are few."""

import numpy as np
import torch

from ganzoo.data.stream import Samples


def limited(samples: Samples, limit: int) -> Samples:
    """So many of the samples, in memory and in their order, drawn at random once and for all: fewer are among more.

    Raises:
        ValueError: more than there are, or data that makes or fetches its samples as they are read.
    """
    if type(samples) is not Samples:
        raise ValueError("limit draws from samples that are stored one by one, and this data's are not: leave it out")
    if limit > len(samples):
        raise ValueError(f"there are {len(samples):,} training samples: set --data.limit to fewer, or leave it out")
    rows = np.sort(np.random.default_rng(0).permutation(len(samples))[:limit])
    return Samples(samples.data[rows], None if samples.labels is None else samples.labels[torch.from_numpy(rows)])
