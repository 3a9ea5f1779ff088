"""Are generated MNIST digits digits? A small CNN, trained on real MNIST, says so.

    python benchmarks/mnist_quality.py --data.root data runs/dcgan_mnist/version_0/checkpoints/last.ckpt ...

Prints, for each checkpoint, the share of its samples that the classifier calls some digit with more than 0.9 confidence,
the share that it reads as the digit that a class-conditional variant was asked for (as many of each), and how many samples
of each class there are; the same for the real test images, which is the most one can hope for. A confident classifier is a
weak judge (it may be sure of nonsense): look at the samples too. Trains in two minutes on two CPU cores; the weights are
kept in `--classifier` for the next call.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor, nn

import ganzoo
from ganzoo.conditional import ConditionalDuel
from ganzoo.data.stream import Samples
from ganzoo.game import draw_from

CONFIDENT = 0.9


def network() -> nn.Sequential:
    """[N, 1, 32, 32] in [-1, 1] -> logits [N, 10]."""
    layers: list[nn.Module] = []
    for inputs, outputs in [(1, 16), (16, 32), (32, 64)]:
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 10))


def train(images: Tensor, labels: Tensor, epochs: int) -> nn.Sequential:
    """Cross-entropy on batches of 128 uint8 images [M, 1, 32, 32] drawn at random; the same for the same seed."""
    rounds = epochs * len(images) // 128
    draw_from(torch.device("cpu"), 0)
    classifier = network()
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=rounds)
    for _ in track(range(rounds), "training the classifier"):
        picked = torch.randint(len(images), (128,))
        loss = F.cross_entropy(classifier(normalised(images[picked])), labels[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return classifier.eval()


def judge(root: str, epochs: int, weights: Path) -> tuple[nn.Sequential, Samples]:
    """The classifier, from its file of weights or trained and put there, and MNIST's test images."""
    data = ganzoo.MNIST(root=root)
    data.prepare_data()
    real, held_out = data.splits()
    if weights.is_file():
        classifier = network().eval()
        classifier.load_state_dict(torch.load(weights, weights_only=True))
    else:
        classifier = train(torch.from_numpy(real.data), real.labels, epochs)
        weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save(classifier.state_dict(), weights)
    return classifier, held_out


def normalised(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


@torch.no_grad()
def probabilities(classifier: nn.Module, images: Tensor) -> Tensor:
    """[N, 1, 28 or 32, 28 or 32] -> [N, 10]."""
    border = (32 - images.shape[-1]) // 2  # black, as ganzoo.MNIST has it at 32
    images = F.pad(images, [border] * 4, value=-1.0)
    return torch.cat([classifier(batch).softmax(1) for batch in images.split(500)])


def row(name: str, probability: Tensor, asked: Tensor | None = None) -> str:
    """One line about the samples' class probabilities [N, 10] and, if they were asked for, their classes [N]."""
    confidence, digit = probability.max(1)
    share = (confidence > CONFIDENT).float().mean().item()
    right = "" if asked is None else f"{(digit == asked).float().mean().item():.1%}"
    counts = digit.bincount(minlength=10)
    return f"{share:7.1%}  {right:>8}  {(counts > 0).sum()}/10  {counts.tolist()}  {name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data.root", dest="root", default="data", help="folder of MNIST/raw")
    parser.add_argument("--n", type=int, default=1000, help="samples of each checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5, help="to train the classifier for")
    parser.add_argument("--classifier", type=Path, default=Path("runs/mnist_classifier.pt"), help="where its weights are kept")
    given = parser.parse_args()

    classifier, held_out = judge(given.root, given.epochs, given.classifier)
    probability = probabilities(classifier, normalised(torch.from_numpy(held_out.data)))
    print(f"test accuracy {(probability.argmax(1) == held_out.labels).float().mean():.2%}")
    print("confident  as asked  classes  samples of 0, 1, ... 9")
    print(row("real test images", probability, held_out.labels))
    for checkpoint in given.checkpoints:
        game = ganzoo.load(checkpoint)
        asked = torch.arange(given.n) % 10 if isinstance(game, ConditionalDuel) and game.kinds else None
        draw_from(torch.device("cpu"), given.seed)
        samples = game.sample(given.n) if asked is None else game.sample(given.n, asked)
        print(row(str(checkpoint), probabilities(classifier, samples), asked))


if __name__ == "__main__":
    main()
