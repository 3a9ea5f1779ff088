"""How fast is an evaluation? Features and the Frechet distance, by ganzoo, torch-fidelity, torchmetrics and pytorch-fid.

    pip install pytorch-fid
    python benchmarks/evaluation.py --n 256                       # on a CPU
    python benchmarks/evaluation.py --n 50000 --device cuda       # on a GPU

All take the same random images of 32 x 32 through an Inception v3 of the same random weights (its speed does not depend on
them), and the same features of 2048 dimensions through their distances. Rounds are interleaved, so that a busy machine slows
all alike; the median is printed.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch_fidelity.feature_extractor_inceptionv3 as fidelity_inception
from torch import Tensor, nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import NoTrainInceptionV3, _compute_fid

from ganzoo.metrics.extract import BLOCK
from ganzoo.metrics.features import extractor
from ganzoo.metrics.frechet import Reference, frechet_distance, moments_of


def random_weights(path: Path) -> Path:
    """Inception's weights as torch-fidelity names them, random, but such that features vary from image to image."""
    load, download = fidelity_inception.FeatureExtractorInceptionV3.load_state_dict, fidelity_inception.load_state_dict_from_url
    fidelity_inception.FeatureExtractorInceptionV3.load_state_dict = lambda self, state: None
    fidelity_inception.load_state_dict_from_url = lambda *_, **__: None
    torch.manual_seed(0)
    network = fidelity_inception.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    fidelity_inception.FeatureExtractorInceptionV3.load_state_dict = load
    fidelity_inception.load_state_dict_from_url = download
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    torch.save(network.state_dict(), path)
    return path


def extractors(weights: Path, device: torch.device) -> dict[str, Callable[[Tensor], Tensor]]:
    """uint8 images [N, 3, H, W] -> features [N, 2048], by each package at its default settings and batch size."""
    import pytorch_fid.inception

    pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: torch.load(weights)
    theirs = pytorch_fid.inception.InceptionV3([3]).to(device).eval()
    fidelity = fidelity_inception.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights)).to(device)
    metrics = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights)).to(device)
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    for precision in ("float32", "tf32") if device.type == "cuda" else ("float32",):
        ours = extractor("inception", weights).to(device, precision)
        found[f"ganzoo, {precision}"] = lambda images, ours=ours: torch.cat([ours(x)[0] for x in images.split(BLOCK)])
    found["torch-fidelity"] = lambda images: torch.cat([fidelity(x.to(device))[0] for x in images.split(64)])
    found["torchmetrics"] = lambda images: torch.cat([metrics(x.to(device)) for x in images.split(64)])
    found["pytorch-fid"] = lambda images: torch.cat(
        [theirs(x.to(device).float() / 255)[0].flatten(1) for x in images.split(50)]
    )
    return found


def distances(n: int) -> dict[str, Callable[[], float]]:
    """The distance of two sets of n features of 2048 dimensions from their means and covariances, by each package."""
    import pytorch_fid.fid_score

    torch.manual_seed(0)
    mixing = torch.randn(2048, 2048).div_(45)
    real, fake = (torch.randn(n, 2048) @ mixing + shift for shift in (0.0, 0.1))
    of_real, of_fake = (moments_of(features) for features in (real, fake))
    reference = Reference.of(of_real)  # the cache keeps it
    statistics = [fid_features_to_statistics(features) for features in (fake, real)]
    means, covariances = [of.mean for of in (of_real, of_fake)], [of.covariance for of in (of_real, of_fake)]
    as_numpy = [x.numpy() for x in (means[0], covariances[0], means[1], covariances[1])]
    return {
        "ganzoo": lambda: frechet_distance(reference, of_fake),
        "ganzoo, reference not cached": lambda: frechet_distance(Reference.of(of_real), of_fake),
        "torch-fidelity": lambda: fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"],
        "torchmetrics": lambda: _compute_fid(means[0], covariances[0], means[1], covariances[1]).item(),
        "pytorch-fid": lambda: float(pytorch_fid.fid_score.calculate_frechet_distance(*as_numpy)),
    }


def timed(work: Callable[[], object]) -> tuple[object, float]:
    started = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - started


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=256, help="images (256)")
    parser.add_argument("--distance-n", type=int, default=10_000, help="features of the distance (10000)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    device = torch.device(given.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.processor() or platform.machine()} CPU"
    print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, n {given.n}, median of {given.rounds}")
    images = torch.randint(0, 256, (given.n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        features = extractors(random_weights(Path(folder) / "random.pth"), device)
    seconds: dict[str, list[float]] = {package: [] for package in features}
    found: dict[str, Tensor] = {}
    for work in features.values():
        work(images[: 2 * BLOCK])  # compiles and warms up
    for _ in range(given.rounds):
        for package, work in features.items():
            found[package], taken = timed(lambda work=work: work(images))  # type: ignore[misc, assignment]
            seconds[package].append(taken)
    exact = found["ganzoo, float32"]
    print("features        images/s  seconds  largest difference from ganzoo's float32, relative to the largest feature")
    for package, taken in seconds.items():
        off = ((found[package] - exact).abs().max() / exact.abs().max()).item()
        print(f"{package:16}{given.n / median(taken):8.1f} {median(taken):8.2f}  {off:.1e}")
    works, of = distances(given.distance_n), {}
    taken = {package: [] for package in works}
    for _ in range(given.rounds):
        for package, work in works.items():
            of[package], once = timed(work)
            taken[package].append(once)
    print(
        f"distance of {given.distance_n} features of 2048 dimensions, on the CPU\n                              seconds  value"
    )
    for package in works:
        print(f"{package:30}{median(taken[package]):7.2f}  {of[package]:.9g}")


if __name__ == "__main__":
    main()
