"""What does BiGAN's encoder know of MNIST's digits? Its codes as features, and pictures of what they say.

    python benchmarks/bigan_codes.py --data.root data runs/bigan_mnist/version_0/checkpoints/last.ckpt ...

Prints the share of test images whose nearest training image, by the codes E(x), is of the same digit (table 1 of the paper,
which has 97.39 %), the same by pixels, and the mean squared difference of test images and their reconstructions G(E(x)),
pixels being in [-1, 1], beside that of test images and reconstructions of others of the same digit. With --picture FILE,
test images of the first checkpoint's data, each above its reconstruction.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

import ganzoo
from ganzoo.data.base import normalised
from ganzoo.pictures import picture


def nearest_is_alike(codes: Tensor, digits: Tensor, references: Tensor, theirs: Tensor) -> float:
    """Share of codes [N, D] whose nearest reference [M, D], by the Euclidean distance, is of the same digit."""
    found = [theirs[torch.cdist(chunk, references).argmin(1)] for chunk in codes.split(500)]
    return (torch.cat(found) == digits).float().mean().item()


def errors(x: Tensor, reconstructed: Tensor, digits: Tensor) -> tuple[float, float]:
    """Mean squared difference of images and their reconstructions, and of images and another's of the same digit."""
    order = digits.argsort(stable=True)
    other = reconstructed[order].roll(1, 0)
    alike = digits[order] == digits[order].roll(1, 0)
    return (x - reconstructed).square().mean().item(), (x[order] - other)[alike].square().mean().item()


def pairs(x: Tensor, reconstructed: Tensor, columns: int) -> Tensor:
    """Rows of images, each above the row of its reconstructions."""
    rows = zip(x.split(columns), reconstructed.split(columns), strict=True)
    return torch.cat([image for pair in rows for image in pair])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data.root", dest="root", default="data", help="folder of MNIST/raw")
    parser.add_argument("--picture", type=Path, help="a .png of images and reconstructions; none if left out")
    given = parser.parse_args()

    for checkpoint in given.checkpoints:
        game = ganzoo.load(checkpoint)
        if not isinstance(game, ganzoo.BiGAN):
            raise SystemExit(f"{checkpoint} holds a {type(game).__name__}, not a BiGAN")
        data = ganzoo.MNIST(root=given.root, size=game.shape[-1])
        data.prepare_data()
        train, test = data.splits()
        known, x = (normalised(torch.from_numpy(part.data)) for part in (train, test))
        by_code = nearest_is_alike(game.encode(x), test.labels, game.encode(known), train.labels)
        by_pixel = nearest_is_alike(x.flatten(1), test.labels, known.flatten(1), train.labels)
        reconstructed = game.reconstruct(x)
        own, other = errors(x, reconstructed, test.labels)
        print(f"nearest neighbour by code {by_code:.2%}, by pixel {by_pixel:.2%}; error {own:.3f}, of others {other:.3f}")
        print(f"  {checkpoint}")
        if given.picture and checkpoint == given.checkpoints[0]:
            given.picture.parent.mkdir(parents=True, exist_ok=True)
            picture(pairs(x[:48], reconstructed[:48], 12), columns=12).save(given.picture)


if __name__ == "__main__":
    main()
