"""A small classifier whose features are worth keeping, as cross-domain transfer's f (https://arxiv.org/abs/1611.02200, section
5.1)."""

from itertools import pairwise

from torch import Tensor, nn


class FeatureClassifier(nn.Module):
    """Four convolutions, the first three halving by max pooling, the last over all that is left: [N, *shape] -> logits
    [N, classes], float32. Nothing in it depends on the other images of a batch.

    Args:
        widths: channels of the convolutions; the last one's are the features.

    Raises:
        ValueError: samples that are not images, sides below 8, or fewer than two classes.
    """

    def __init__(
        self, classes: int, shape: tuple[int, ...], *, widths: tuple[int, int, int, int] = (64, 128, 256, 128)
    ) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 8:
            raise ValueError(f"FeatureClassifier reads images of 8 x 8 and more, not samples of shape {tuple(shape)}")
        if classes < 2:
            raise ValueError(f"a classifier needs two classes or more, not {classes}")
        layers: list[nn.Module] = []
        for before, after in pairwise((shape[0], *widths[:3])):
            layers += [nn.Conv2d(before, after, 3, 1, 1), nn.ReLU(True), nn.MaxPool2d(2)]
        rest = nn.Conv2d(widths[2], widths[3], (shape[1] // 8, shape[2] // 8))
        self.layers = nn.Sequential(*layers, rest, nn.Tanh(), nn.Flatten())
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        self.last = nn.Linear(widths[3], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x)).float()

    def features(self, x: Tensor) -> Tensor:
        """f(x), each in [-1, 1]: [N, features], float32."""
        return self.layers(x).float()
