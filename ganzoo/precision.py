"""How exactly CUDA multiplies float32, and fp16's loss scales."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let CUDA round to 10-bit mantissas inside, or not; outside all is as it was."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


class LossScaler(GradScaler):
    """fp16's loss scale. Gradients below 6e-8, fp16's smallest number, would be lost: they are taken of the loss times the
    scale, and then divided by it. It begins at 65,536; gradients that are not finite halve it, 2,000 finite ones in a row
    double it.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__(device.type)
        self.scale(torch.ones((), device=device))  # torch makes the tensor when it is first asked to scale

    @property
    def factor(self) -> Tensor:
        """The scale, which later changes in place: a compiled move may read it, but cannot call `scale`."""
        assert self._scale is not None
        return self._scale


def loss_scalers(plugin: Any, players: Iterable[str], device: torch.device) -> dict[str, LossScaler]:
    """In fp16 each player's own, because each overflows by itself; in another precision none.

    Args:
        plugin: Lightning's, of precision. It loses its own scaler, which knows nothing of players.
    """
    if plugin.precision != "16-mixed":
        return {}
    plugin.scaler = None
    return {player: LossScaler(device) for player in players}


def step_unscaled(optimizer: torch.optim.Optimizer, scaler: LossScaler) -> None:
    """Step along the weights' gradients, which are those of the scaled loss, or not at all if one is not finite.

    A fused optimizer leaves its weights alone on the device; others have the host wait to be told whether to step.
    """
    # In place a gradient that two weights share, as those of a sum may, would be divided twice.
    seen: set[int] = set()
    for weight in (weight for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None):
        if weight.grad.data_ptr() in seen:
            weight.grad = weight.grad.clone()
        seen.add(weight.grad.data_ptr())
    scaler.unscale_(optimizer)  # before the step, whose hooks are then shown true gradients
    scaler.step(optimizer)
    scaler.update()
