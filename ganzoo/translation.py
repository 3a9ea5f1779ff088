"""Games whose generator makes images of images."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


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
