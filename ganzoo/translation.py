"""What games whose generator makes images of images have in common."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

MOST, MOST_BYTES = 256, 1 << 24  # sources that a game remembers


@runtime_checkable
class Translator(Protocol):
    """A game that can be given images instead of noise."""

    @property
    def device(self) -> torch.device: ...

    def translate(self, source: Tensor) -> Tensor:
        """What the generator makes of images in [-1, 1], in evaluation mode, of the averaged one if there is one.

        Args:
            source: [N, C, H, W]; a fully convolutional generator takes any size.

        Returns: float32 [N, C', H', W'].
        """


class SourceMemory(nn.Module):
    """Mixin of games that remember sources of their latest rounds, in their checkpoints too, so that grids, the watch and
    evaluation need no data to draw from."""

    sources: Tensor

    def begin_memory(self, shape: tuple[int, ...]) -> None:
        """Of sources (C, H, W): up to 256 or 16 MB of them."""
        most = max(1, min(MOST, MOST_BYTES // torch.Size(shape).numel()))
        # In bytes, also because several devices average all that are floats. Before the first round they are noise.
        self.register_buffer("sources", torch.randint(256, (most, *shape), dtype=torch.uint8))

    def remember(self, source: Tensor, step: int) -> None:
        """Round `step`'s sources, [N, C, H, W] in [-1, 1], in place of the oldest."""
        new = self.stored(source)
        if step == 0:  # as often as there is room: none is noise from here on
            self.sources.copy_(torch.cat([new] * -(-len(self.sources) // len(new)))[: len(self.sources)])
            return
        at = step * len(new) % len(self.sources)
        fit = new[: len(self.sources) - at]
        self.sources[at : at + len(fit)] = fit

    def recalled(self, n: int) -> Tensor:
        """n of them in an order drawn at random, each of which comes again only when all have: float32 [n, C, H, W]."""
        order = torch.randperm(len(self.sources), device=self.sources.device)
        return self.restored(self.sources[order.repeat(-(-n // len(order)))[:n]])

    def stored(self, source: Tensor) -> Tensor:
        """As integers, as which they are remembered."""
        return source.detach().add(1).mul(127.5).round().to(torch.uint8)

    def restored(self, stored: Tensor) -> Tensor:
        """Integers that were `stored` as float32."""
        return stored.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
