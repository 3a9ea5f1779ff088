"""What stands in front of a discriminator: no loss mentions it."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Terms = dict[str, Tensor]


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
        """The discriminator's, of what it is shown."""
        return self.discriminator.features(self.seen(x))  # type: ignore[operator]

    def seen(self, x: Tensor) -> Tensor:
        """What the discriminator is shown instead of x, [N, *shape] -> the same."""
        return x

    def anneal(self, step: int) -> None:
        """Set, in place, what follows a schedule, for round `step`; here what the next one has."""
        if isinstance(self.discriminator, Front):
            self.discriminator.anneal(step)

    def overheard(self, loss: Callable[..., Terms]) -> Callable[..., Terms]:
        """The discriminator's loss, to which all that listen have listened; it has their terms too."""
        return self.discriminator.overheard(loss) if isinstance(self.discriminator, Front) else loss

    def logged(self) -> Terms:
        """What is logged beside the discriminator's terms, and is none of its loss: scalars without gradients."""
        return self.discriminator.logged() if isinstance(self.discriminator, Front) else {}

    def refuse_no_logit(self, variant: str) -> None:
        """Called where the discriminator has no one logit for each sample: raise ValueError, in one line, if one is needed."""
        if isinstance(self.discriminator, Front):
            self.discriminator.refuse_no_logit(variant)


class Listener(Front):
    """Parent of all that hear what the discriminator says of real and fake samples in the passes that its loss makes anyway.

    A loss passes real samples first and then as many fakes, and whatever else, penalties say, afterwards: a test holds every
    variant to it. Of several outputs the first is the logit.

    Args:
        discriminator: [N, *shape] and whatever else it takes -> logits [N], alone or first of several.
    """

    remedy = "leave it out"  # where there is no logit to listen to

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__(discriminator)
        self.heard: list[Tensor] | None = None  # logits, while a loss is listened to

    def forward(self, x: Tensor, *more: Any) -> Any:
        out = super().forward(x, *more)
        if self.heard is not None:
            self.heard.append(out[0] if isinstance(out, tuple) else out)
        return out

    def overheard(self, loss: Callable[..., Terms]) -> Callable[..., Terms]:
        inner = super().overheard(loss)

        def both(*batch: Tensor) -> Terms:
            self.heard = []
            terms = inner(*batch)
            heard, self.heard = self.heard, None
            if len(heard) < 2:  # the turn of a penalty alone
                return terms
            real, fake = heard[:2]
            return terms | self.told(real, fake, images=len(batch[0]))

        return both

    def told(self, real: Tensor, fake: Tensor, images: int) -> Terms:
        """Terms that join the discriminator's loss, of its logits [N] and [N] on so many real samples and as many fakes (more
        than N where a logit is of a pack). Buffers may change."""
        raise NotImplementedError(f"{type(self).__name__} must say what it makes of the logits")

    def refuse_no_logit(self, variant: str) -> None:
        raise ValueError(f"{variant}'s discriminator has no one logit for each sample: {self.remedy}")
