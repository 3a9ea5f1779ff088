"""What stands in front of a discriminator: no loss mentions it."""

from typing import Any

from torch import Tensor, nn


class Front(nn.Module):
    """Parent of all that changes what a discriminator sees, or listens to what it says.

    Args:
        discriminator: [N, *shape] and whatever else it takes (labels, codes) -> what it returns.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, x: Tensor, *more: Any) -> Any:
        return self.discriminator(self.seen(x), *more)

    def features(self, x: Tensor) -> Tensor:
        return self.discriminator.features(self.seen(x))  # type: ignore[operator]

    def seen(self, x: Tensor) -> Tensor:
        """What the discriminator is shown instead of x, [N, *shape] -> the same."""
        return x

    def anneal(self, step: int) -> None:
        """Set, in place, what follows a schedule, for round `step`; here what the next one has."""
        if isinstance(self.discriminator, Front):
            self.discriminator.anneal(step)
