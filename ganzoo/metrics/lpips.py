"""LPIPS (Zhang et al. 2018, https://arxiv.org/abs/1801.03924): a distance of images as people see it, by VGG16."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (64, 128, 256, 512, 512)
ENDS = (4, 9, 16, 23, 30)  # of the layers up to relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]


class LPIPS(nn.Module):
    """Images [N, 3, H, W] of 0 to 255, 16 pixels a side or more -> features [N, d] whose squared distance is LPIPS (eq. 1).

    Args:
        vgg16: torchvision's weights, trained on ImageNet.
        heads: LPIPS's own, of each of its five layers and channels: `lin0.model.1.weight` to `lin4.model.1.weight`.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, vgg16: dict[str, Tensor], heads: dict[str, Tensor]) -> None:
        from torchvision.models import vgg16 as architecture

        super().__init__()
        with torch.device("meta"):
            layers: nn.Sequential = architecture().features
        layers = layers[: ENDS[-1]]  # without the last pooling
        of = {name.removeprefix("features."): weight for name, weight in vgg16.items() if name.startswith("features.")}
        layers.load_state_dict(of, assign=True)
        self.stages = nn.ModuleList([layers[a:b] for a, b in zip((0, *ENDS[:-1]), ENDS, strict=True)])
        for i, channels in enumerate(CHANNELS):
            self.register_buffer(f"head{i}", heads[f"lin{i}.model.1.weight"].reshape(1, channels, 1, 1))
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])

    def forward(self, images: Tensor) -> tuple[Tensor]:
        x = (images.float() / 127.5 - 1 - self.shift) / self.scale
        features = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            head: Any = getattr(self, f"head{i}")  # not negative
            features.append((F.normalize(x, dim=1, eps=1e-10) * (head / x[0, 0].numel()).sqrt()).flatten(1))
        return (torch.cat(features, dim=1),)


def heads() -> dict[str, Tensor]:
    """LPIPS's own weights, version 0.1, which come with torchmetrics."""
    from torchmetrics.functional.image import lpips

    path = Path(lpips.__file__).parent / "lpips_models" / "vgg.pth"
    return torch.load(path, map_location="cpu", weights_only=True)
