"""A discriminator's memory of earlier fakes (Shrivastava et al. 2016, https://arxiv.org/abs/1612.07828, section 2.3), by the
rule of CycleGAN's code."""

import torch
from torch import Tensor, nn


class HistoryPool(nn.Module):
    """What a discriminator is shown instead of the latest fakes: [N, *shape] -> the same, float32.

    The first `size` images pass through and are stored. From then on each image passes through with probability 1/2; else a
    random one of the stored ones comes out, whose place it takes. The images of a batch come one after the other: a later
    one may get what an earlier one has left. In evaluation mode all pass through.

    Each of several devices has a pool of its own; a checkpoint holds the first one's.

    Args:
        shape: of one image.
        size: images that are stored; 0: none, and all pass through.
    """

    bits: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...], size: int = 50) -> None:
        super().__init__()
        self.size = size
        # Float32 under the name of integers: several devices average all buffers that are floats, and images are no statistics.
        self.register_buffer("bits", torch.zeros(size, *shape, dtype=torch.int32))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        if not self.training or not self.size:
            return images
        index = torch.arange(len(images), device=images.device)  # [N]
        full = self.count + index >= self.size  # when image i comes
        slot = torch.where(full, torch.randint(self.size, index.shape, device=images.device), self.count + index)
        swapped = full & (torch.rand(index.shape, device=images.device) < 0.5)
        stays = swapped | ~full
        stored = self.bits.view(torch.float32)
        before = (slot == slot[:, None]) & stays & (index < index[:, None])  # [N, N]: image j lies where i would go
        left = latest(before, index, images, stored[slot])
        place = torch.arange(self.size, device=images.device)
        self.bits.copy_(latest((slot == place[:, None]) & stays, index, images, stored).view(torch.int32))
        self.count.add_(len(images)).clamp_(max=self.size)
        return torch.where(along(swapped, images), left, images)


def latest(there: Tensor, index: Tensor, images: Tensor, otherwise: Tensor) -> Tensor:
    """Of each row the last image that is there, [M, N] and [N, ...] -> [M, ...], or `otherwise` [M, ...] where none is."""
    last = torch.where(there, index, -1).amax(1)
    return torch.where(along(last >= 0, images), images[last.clamp(min=0)], otherwise)


def along(which: Tensor, images: Tensor) -> Tensor:
    """[M] -> [M, 1, ...], to be seen beside [M, ...]."""
    return which.view(-1, *[1] * (images.ndim - 1))
