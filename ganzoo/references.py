"""Features of real samples, which fakes are measured against: extracted once, and kept in the cache."""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning.pytorch.utilities import rank_zero_warn
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ganzoo.data.cache import default_cache, replacing
from ganzoo.data.native import FileImages, SplitSamples
from ganzoo.metrics.extract import extract, rank, world
from ganzoo.metrics.features import Extractor
from ganzoo.metrics.frechet import Reference
from ganzoo.metrics.scores import Real
from ganzoo.progress import progress

RealSamples = SplitSamples | FileImages
REFERENCE_VERSION = 1  # raise it when cached statistics would differ


def prepare(extractor: Extractor, images: RealSamples, content: str, console: Console) -> Real:
    """The reference's features, from the cache or into it. The cache goes by what the images hold, never by a name.

    Raises:
        ValueError: an image cannot be read, or the cache cannot be written.
    """
    path, key = place_of(extractor, images, content)
    # The first rank looks for all: on several machines some might find what others do not, and wait for them in vain.
    tensors = shared(cached(path, key, (len(images), extractor.dim)) if rank() == 0 else None)
    if tensors is None:
        real = extract(
            extractor, images, len(images), partial(progress, console, f"features of {len(images):,} real images, once")
        )
        gaussian = Reference.of(real.moments, real.features)
        tensors = {"mean": gaussian.mean.cpu(), "root": gaussian.root.cpu(), "features": real.features.cpu()}
        if rank() == 0:
            store(path, key, tensors)
    root, mean = (tensors[name].to(extractor.device) for name in ("root", "mean"))
    return Real(Reference(len(images), mean, root), tensors["features"].to(extractor.device))


def place_of(extractor: Extractor, images: RealSamples, content: str) -> tuple[Path, str]:
    """Where the reference's features are kept, and the key that they are kept under."""
    key = json.dumps(
        [REFERENCE_VERSION, content, len(images), extractor.name, extractor.weights, extractor.resize, extractor.precision]
    )
    return default_cache() / f"reference-{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors", key


def cached(path: Path, key: str, shape: tuple[int, int]) -> dict[str, Tensor] | None:
    """What `store` wrote there; None, with a line if it is anything else. The format cannot hold code."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("key") != key:
                raise ValueError("it is of other images")
            tensors = {name: file.get_tensor(name) for name in ("mean", "root", "features")}
        of = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if of != {"mean": shape[1:], "root": (shape[1], min(shape[1], of["root"][-1])), "features": shape}:
            raise ValueError(f"its shapes are wrong: {of}")
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise ValueError("it holds NaN or infinity")
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        rank_zero_warn(f"the cached statistics {path} cannot be used ({error}): computed anew")
        return None
    return tensors


def shared(found: Any) -> Any:
    """The first rank's."""
    box = [found]
    if world() > 1:
        dist.broadcast_object_list(box)
    return box[0]


def store(path: Path, key: str, tensors: dict[str, Tensor]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"key": key}))
    except OSError as error:
        rank_zero_warn(f"the statistics of the real images cannot be kept in {path.parent} ({error}): GANZOO_CACHE moves it")
