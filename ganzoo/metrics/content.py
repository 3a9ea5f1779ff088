"""Pretrained networks whose features' distance is a content loss: images [N, 1 or 3, H, W] in [-1, 1] -> maps [N, C, h, w].

They are frozen, in evaluation mode, and differentiable in their images.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.metrics.features import downloaded, extractor, hash_of_weights, loaded

ContentClass = Callable[[], nn.Module]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet in [0, 1], which torchvision's networks expect


class VGG54(nn.Module):
    """VGG19 (arXiv:1409.1556) up to its fourth convolution before the fifth pooling.

    Args:
        activated: after the rectifier and divided by 12.75, as SRGAN has it (arXiv:1609.04802, section 3.2); if not, before it
            and undivided (ESRGAN: arXiv:1809.00219, section 3.3).
        weights: a file of torchvision's VGG19's, trained on ImageNet; by default torch.hub's, downloaded once.

    Raises:
        ValueError: the weights cannot be had, or a file that does not hold them.
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, activated: bool = True, weights: str | None = None) -> None:
        from torchvision.models import VGG19_Weights, vgg19

        super().__init__()
        try:
            path = Path(weights) if weights else downloaded(VGG19_Weights.IMAGENET1K_V1.url, hash_prefix="dcbb9e9d")
        except ValueError as error:
            get = f"put vgg19-dcbb9e9d.pth into {Path(torch.hub.get_dir()) / 'checkpoints'}"
            raise ValueError(f"VGG19's weights cannot be had: {get}, or give --model.content VGG54 and its weights") from error
        with torch.device("meta"):
            layers: nn.Sequential = vgg19().features
        of = {name[9:]: tensor for name, tensor in loaded(path, "VGG19's").items() if name.startswith("features.")}
        try:
            layers.load_state_dict(of, assign=True)
        except RuntimeError as error:
            raise ValueError(f"{path} does not hold the weights of torchvision's VGG19") from error
        self.layers = layers[: 36 if activated else 35]
        self.divisor = 12.75 if activated else 1.0
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self.register_buffer("shift", (torch.tensor(MEAN) * 2 - 1)[:, None, None])
        self.register_buffer("factor", 0.5 / torch.tensor(STD)[:, None, None])
        frozen(self)

    def forward(self, images: Tensor) -> Tensor:
        x = (images.expand(-1, 3, -1, -1) - self.shift) * self.factor
        return self.layers(x) / self.divisor


class EffNetLite0Maps(nn.Module):
    """EfficientNet-Lite0 (arXiv:1905.11946), whose weights come with pip, up to its last layer of 1/16 of the image's size.

    The maps are scaled so that on Set5 x4 bicubic images differ from the true ones as much by them as by pixels in [-1, 1], in
    the mean square (`benchmarks/super_resolution.py` prints that of the maps).
    """

    SCALE = 0.0276

    def __init__(self) -> None:
        super().__init__()
        network: Any = extractor("effnet-lite0").network  # batch normalisation is in the convolutions' weights there
        self.stem = nn.Sequential(network.network.conv_stem, network.network.bn1)
        self.blocks = network.network.blocks[:5]
        frozen(self)

    def forward(self, images: Tensor) -> Tensor:
        x = (images.expand(-1, 3, -1, -1) * 127.5 + 0.5) / 128  # its own preprocessing of levels 0 to 255
        return self.blocks(self.stem(x)) * self.SCALE


def frozen(network: nn.Module) -> nn.Module:
    return network.eval().requires_grad_(False)


class Content:
    """A content loss's network, loaded when it is first asked for: it is none of the game's, whose checkpoints go without.

    Args:
        kind: class of the network; None: the paper's, or EfficientNet-Lite0's, said aloud, where its weights cannot be had.
        papers: class of the paper's.
    """

    def __init__(self, kind: ContentClass | None, papers: ContentClass) -> None:
        self.kind, self.papers = kind, papers
        self.network: nn.Module | None = None
        self.name: str | None = None  # of the network and its weights: what the loss is, or in a checkpoint was, computed by

    def __call__(self, images: Tensor) -> Tensor:
        """[N, 1 or 3, H, W] in [-1, 1] -> float32 maps [N, C, h, w]."""
        return self.on(images.device)(images).float()

    def on(self, device: torch.device) -> nn.Module:
        """The network; its first device stays its device.

        Raises:
            ValueError: its weights cannot be had, or are not those that the run began with.
        """
        if self.network is None:
            network = frozen(self._made())
            name = f"{type(network).__name__} {hash_of_weights(network)}"
            if self.name not in (None, name):
                raise ValueError(f"the run's content loss is by {self.name}, not {name}: get its weights, or begin a new run")
            self.name = name
            self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self.network

    def _made(self) -> nn.Module:
        if self.kind is not None:
            return self.kind()
        try:
            return self.papers()
        except ValueError as error:
            warnings.warn(f"content loss by EfficientNet-Lite0 instead of the paper's network: {error}", stacklevel=2)
            return EffNetLite0Maps()
