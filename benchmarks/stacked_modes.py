"""How many of stacked MNIST's thousand modes does a generator find, and how evenly?

    python benchmarks/stacked_modes.py --data.root data runs/dcgan_stacked_mnist/version_0/checkpoints/last.ckpt ...

mnist_quality.py's classifier reads the digit in each channel of 26,000 samples (as in PacGAN, https://arxiv.org/abs/1712.04086,
after VEEGAN; Unrolled GAN, https://arxiv.org/abs/1611.02163, draws 25,600: `--n`). A mode is found if one sample or more is
read as its three digits, and KL is that of the samples' modes from the uniform distribution, in nats. Both of the held-out
images come first, as the best one can hope for: by chance alone, and as MNIST's digits are not equally many, their KL is not
0. Whatever a sample is, it is read as some mode: a generator of noise finds many, so look at the samples too.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import torch
from mnist_quality import judge, normalised, probabilities
from torch import Tensor, nn

import ganzoo
from ganzoo.data.stacked import PLACES
from ganzoo.game import draw_from

BLOCK = 1000  # samples at a time


def modes(classifier: nn.Module, images: Tensor) -> Tensor:
    """The mode that each image [N, 3, 28 or 32, 28 or 32] is read as: int64 [N], 0 to 999."""
    digits = probabilities(classifier, images.flatten(0, 1)[:, None]).argmax(1)
    return (digits.view(-1, 3) * PLACES).sum(1)


def count(classifier: nn.Module, blocks: Iterable[Tensor]) -> Tensor:
    """Images read as each mode: int64 [1000]."""
    return torch.stack([modes(classifier, images).bincount(minlength=1000) for images in blocks]).sum(0)


def row(name: str, counts: Tensor) -> str:
    share = counts.double() / counts.sum()
    kl = torch.xlogy(share, 1000 * share).sum().item()
    return f"{(counts > 0).sum().item():4d}/1000  {kl:.3f}  {name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", type=Path)
    parser.add_argument("--data.root", dest="root", default="data", help="folder of MNIST/raw")
    parser.add_argument("--n", type=int, default=26_000, help="samples of each checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5, help="to train the classifier for")
    parser.add_argument("--classifier", type=Path, default=Path("runs/mnist_classifier.pt"), help="where its weights are kept")
    given = parser.parse_args()

    classifier, _ = judge(given.root, given.epochs, given.classifier)
    _, held_out = ganzoo.StackedMNIST(root=given.root).splits()
    assert held_out is not None
    sizes = [min(BLOCK, given.n - start) for start in range(0, given.n, BLOCK)]
    real = torch.arange(min(given.n, len(held_out))).split(BLOCK)
    print("modes      KL     of")
    print(row("real held-out images", count(classifier, (normalised(held_out.__getitems__(i.numpy())[0]) for i in real))))
    for checkpoint in given.checkpoints:
        game = ganzoo.load(checkpoint)
        draw_from(torch.device("cpu"), given.seed)
        print(row(str(checkpoint), count(classifier, (game.sample(n) for n in sizes))))


if __name__ == "__main__":
    main()
