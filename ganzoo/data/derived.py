"""Pairs made of any images, where the game is played: the images are targets, their sources made of them as they come."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.data.base import DataModule
from ganzoo.data.pairs import drawn
from ganzoo.data.stream import Samples

LUMA = (0.299, 0.587, 0.114)  # of R, G and B (ITU-R BT.601)


class Derived(DataModule):
    """Parent of pairs whose source is made of the target: a round's batches are `(source, target)`, [N, *shape] each.

    What is random in sources is a function of (seed, round, rank), and on held-out data always the same. Labels are passed
    over. `--data Colourisation --data.of ImageFolder --data.of.root PHOTOS` makes them of any folder.

    Args:
        of: the data whose images are the targets. Batches and what else is said of loading are this module's own.

    Raises:
        ValueError: data that are not images, are pairs, or are read from shards; `labelled`, of either.
    """

    def __init__(self, *, of: DataModule, **loading: Any) -> None:
        super().__init__(**loading)
        refuse_no_images(of, type(self).__name__)
        if self.labelled is not None:
            raise ValueError(f"{type(self).__name__} passes over labels: leave out --data.labelled")
        self.of, self.shape, self.flip, self.measured = of, of.shape, of.flip, of.measured
        self.held_out_hint = of.held_out_hint

    def source_of(self, target: Tensor, rng: torch.Generator) -> Tensor:
        """What the game is to make the targets of, [N, *shape] in [-1, 1] -> the same.

        Args:
            rng: on the target's device, for all that is random.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what a source is")

    def prepare_data(self) -> None:
        self.of.prepare_data()

    def splits(self) -> tuple[Samples, Samples | None]:
        self.of.setup()
        return self.of.train, self.of.held_out

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int = 0) -> list[tuple[Tensor, ...]]:
        targets = super().on_after_batch_transfer(batch[:1], dataloader_idx)
        rng = drawn(self, batch[0].device)
        return [(self.source_of(target, rng), target) for (target,) in targets]


class Colourisation(Derived):
    """Grey images, as many channels as colour has, and the colour images that they were.

    Raises:
        ValueError: grey data.
    """

    def __init__(self, *, of: DataModule, **loading: Any) -> None:
        super().__init__(of=of, **loading)
        if self.shape[0] != 3:
            raise ValueError("Colourisation is of colour images, and this data's are grey: choose other data for --data.of")

    def source_of(self, target: Tensor, rng: torch.Generator) -> Tensor:
        return grey(target).expand_as(target).contiguous(memory_format=torch.channels_last)


class EdgesToPhotos(Derived):
    """Edges, dark on white, and the images that they are of.

    Args:
        gain: how dark a step of brightness is: 1 / gain of the whole range, or more, is black.
    """

    def __init__(self, *, of: DataModule, gain: float = 4.0, **loading: Any) -> None:
        super().__init__(of=of, **loading)
        self.gain = gain

    def source_of(self, target: Tensor, rng: torch.Generator) -> Tensor:
        dark = (self.gain * steps(grey(target) / 2)).clamp(max=1)
        return (1 - 2 * dark).expand_as(target).contiguous(memory_format=torch.channels_last)


class Inpainting(Derived):
    """Images with a grey square hole, and whole ones.

    Args:
        hole: the hole's side as a share of the image's.
        anywhere: the hole is anywhere in the image, not in its centre.

    Raises:
        ValueError: a share outside 0 .. 1.
    """

    def __init__(self, *, of: DataModule, hole: float = 0.5, anywhere: bool = False, **loading: Any) -> None:
        super().__init__(of=of, **loading)
        if not 0 < hole <= 1:
            raise ValueError(f"hole is a share of the image's side, above 0 and at most 1, not {hole:g}")
        self.hole, self.anywhere = hole, anywhere

    def source_of(self, target: Tensor, rng: torch.Generator) -> Tensor:
        inside = []
        for side in target.shape[2:]:
            length = max(1, round(side * self.hole))
            if self.anywhere:
                start = torch.randint(side - length + 1, (len(target), 1), generator=rng, device=target.device)
            else:
                start = torch.full((len(target), 1), (side - length) // 2, device=target.device)
            place = torch.arange(side, device=target.device) - start
            inside.append((place >= 0) & (place < length))  # [N, side]
        return target * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


class Denoising(Derived):
    """Images with Gaussian noise, and without.

    Args:
        std: of the noise; the images' range is 2.

    Raises:
        ValueError: std below 0.
    """

    def __init__(self, *, of: DataModule, std: float = 0.3, **loading: Any) -> None:
        super().__init__(of=of, **loading)
        if std < 0:
            raise ValueError(f"std must be at least 0, not {std:g}")
        self.std = std

    def source_of(self, target: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(target.shape, generator=rng, device=target.device)
        return (target + self.std * noise).clamp(-1, 1)


def grey(images: Tensor) -> Tensor:
    """Brightness: [N, 1 or 3, H, W] -> [N, 1, H, W], in the same range."""
    if images.shape[1] == 1:
        return images
    return (images * torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)).sum(1, keepdim=True)


def steps(brightness: Tensor) -> Tensor:
    """Sobel's gradient: how much brightness changes from a pixel to the next, [N, 1, H, W] -> the same; the border's pixels
    are repeated outwards."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=brightness.device) / 8
    both = F.conv2d(F.pad(brightness, (1, 1, 1, 1), "replicate"), torch.stack([across, across.T])[:, None])
    return both.square().sum(1, keepdim=True).sqrt()


def refuse_no_images(data: DataModule, to: str) -> None:
    """Raise ValueError if pairs cannot be made of the data."""
    if len(data.shape) != 3 or data.shape[0] not in (1, 3):
        raise ValueError(f"{to} is of images, not of samples of shape {data.shape}: choose other data for --data.of")
    if type(data).stream is not DataModule.stream or type(data).targets_of is not DataModule.targets_of:
        name = type(data).__name__
        raise ValueError(f"{to} takes single images by their index, which {name} does not give so: choose ImageFolder")
    if data.labelled is not None:
        raise ValueError(f"{to} takes images alone, and beside each lies a labelled one: leave out --data.of.labelled")
