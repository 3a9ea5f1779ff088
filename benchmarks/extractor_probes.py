"""Does an extractor's distance see what is wrong with images? Damaged CIFAR-10 against CIFAR-10.

    python benchmarks/extractor_probes.py cifar10-jpeg/train.zip cifar10-jpeg/test.zip --n 2500 --references 10000

TRAIN and TEST are folders or .zips of images with one folder for each class. The references are training images; each
probe is n other images, harmed in one way. A score that can be trusted is small for the test images, falls with n for them
(the Frechet distance) or stays at 0 (the kernel distance), and grows with every harm.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image, ImageFilter

from ganzoo.data.native import FileImages, SplitSamples
from ganzoo.data.stream import Samples
from ganzoo.evaluation import Evaluator, origin
from ganzoo.metrics.extract import BLOCK
from ganzoo.metrics.features import Extractor, extractor

Images = np.ndarray  # uint8 [N, 3, H, W]


def read(root: str) -> tuple[Images, np.ndarray]:
    """All images, shuffled, and the names of their classes."""
    files = FileImages(root)
    order = np.random.default_rng(0).permutation(len(files))
    files.names = [files.names[i] for i in order]
    blocks = files.batches(BLOCK, range(-(-len(files) // BLOCK)))
    return torch.cat(list(blocks)).numpy(), np.array([name.split("/")[0] for name in files.names])


def each(change: Callable[[Image.Image], Image.Image], images: Images) -> Images:
    changed = [np.asarray(change(Image.fromarray(image.transpose(1, 2, 0)))) for image in images]
    return np.stack(changed).transpose(0, 3, 1, 2)


def blurred(sigma: float, images: Images) -> Images:
    return each(lambda image: image.filter(ImageFilter.GaussianBlur(sigma)), images)


def noisy(sigma: float, images: Images) -> Images:
    noise = np.random.default_rng(0).normal(0, sigma, images.shape)
    return (images + noise).round().clip(0, 255).astype(np.uint8)


def compressed(quality: int, images: Images) -> Images:
    def jpeg(image: Image.Image) -> Image.Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return each(jpeg, images)


def probes(train: Images, classes: np.ndarray, test: Images, references: int, n: int) -> dict[str, Images]:
    """Each n images; those of the training set are not among the references, but for the copies."""
    others, of = train[references:], classes[references:]
    names = np.unique(classes)
    harms = {f"blur {sigma} px": partial(blurred, sigma) for sigma in (0.5, 1, 2)}
    harms |= {f"noise sigma {sigma}": partial(noisy, sigma) for sigma in (5, 15, 40)}
    harms |= {f"JPEG q{quality}": partial(compressed, quality) for quality in (90, 50)}
    return {
        **{f"test images, n = {m}": test[:m] for m in (n // 10, n // 3) if m > 5},
        "test images": test[:n],
        "other training images": others[:n],
        **{name: harm(others[:n]) for name, harm in harms.items()},
        **{f"{kept} classes kept": others[np.isin(of, names[:kept])][:n] for kept in (8, 5)},
        f"{n // 10} images repeated": np.tile(others[: n // 10], (10, 1, 1, 1)),
        "copies of references": train[:n],
    }


def measured(train: str, test: str, references: int, n: int, by: Extractor) -> Iterator[tuple[str, dict[str, float]]]:
    """Every probe's name and its scores."""
    (train_images, classes), (test_images, _) = read(train), read(test)
    reference, held_out = (SplitSamples(Samples(images[:references])) for images in (train_images, test_images[n:]))
    metrics = ["fd", "kd", "prdc", "memorisation"]
    evaluator = Evaluator(metrics, by, reference, split="train", held_out=held_out)
    for name, images in probes(train_images, classes, test_images, references, n).items():
        scores = evaluator(SplitSamples(Samples(images)), origin(name, "", by.device))
        yield name, {score.protocol.metric.removesuffix("_effnet_lite0"): score.value for score in scores}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--n", type=int, default=2500)
    parser.add_argument("--references", type=int, default=10_000)
    parser.add_argument("--extractor", default="effnet-lite0")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    by = extractor(given.extractor).to(torch.device(given.device))
    print("| probe | FD | KD x 1000 | precision | recall | density | coverage | nearer to train |")
    for name, scores in measured(given.train, given.test, given.references, given.n, by):
        fd, kd, *others, _ = scores.values()
        print("|", " | ".join([name, f"{fd:.1f}", f"{1000 * kd:.1f}", *(f"{value:.2f}" for value in others)]), "|", flush=True)


if __name__ == "__main__":
    main()
