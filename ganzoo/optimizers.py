"""All players' optimizers as one, and one player's step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.precision import LossScaler, step_unscaled


class Optimizers(torch.optim.Optimizer):
    """All players' optimizers as one, so that Lightning counts a round as one step and saves them together."""

    def __init__(self, of: dict[str, torch.optim.Optimizer]) -> None:
        self.of = of
        for name, optimizer in of.items():
            for group in optimizer.param_groups:
                group.update(name=name, initial_lr=group["lr"])
        super().__init__([group for optimizer in of.values() for group in optimizer.param_groups], {})

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Play the round: the players' optimizers step inside it."""
        return closure()

    def state_dict(self) -> dict[str, Any]:
        return {name: optimizer.state_dict() for name, optimizer in self.of.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the optimizers' moments and how far rates have fallen; rates and other settings stay this command line's."""
        for name, optimizer in self.of.items():
            settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
            groups = [saved | given for saved, given in zip(state_dict[name]["param_groups"], settings, strict=True)]
            for group, saved in zip(groups, state_dict[name]["param_groups"], strict=True):
                group["lr"] = group["initial_lr"] * (saved["lr"] / saved["initial_lr"] if saved["initial_lr"] else 1.0)
            optimizer.load_state_dict(state_dict[name] | {"param_groups": groups})
            for weight, moments in optimizer.state.items():
                optimizer.state[weight] = {key: laid_out_like(weight, value) for key, value in moments.items()}
        self.param_groups = [group for optimizer in self.of.values() for group in optimizer.param_groups]


class SkippingAdam(torch.optim.Adam):
    """Adam, fused, that leaves weights and moments as they are if `skip` says so: a scalar on the device, 0.0 or 1.0, which the
    host need not read."""

    def __init__(self, parameters: list[nn.Parameter], skip: Callable[[], Tensor], **adam: Any) -> None:
        super().__init__(parameters, **adam)
        self.skip = skip

    def step(self, closure: Any = None) -> Any:
        overflown = getattr(self, "found_inf", None)  # what fused optimizers are told by fp16's loss scaler
        skip = self.skip()
        self.found_inf = skip if overflown is None else torch.maximum(skip, overflown.to(skip.device))
        try:
            return super().step(closure)
        finally:
            if overflown is None:
                del self.found_inf
            else:
                self.found_inf = overflown


def learn(
    optimizer: torch.optim.Optimizer,
    weights: list[nn.Parameter],
    gradients: list[Tensor | None],
    rate: float,
    scaler: LossScaler | None = None,
) -> None:
    """One step of one player's optimizer along the gradients. A weight without a gradient stays where it is.

    Args:
        scaler: of the loss whose gradients these are. If they have overflown no weight moves.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * rate
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = None if gradient is None else laid_out_like(weight, gradient)
    if scaler is None:
        optimizer.step()
    else:
        step_unscaled(optimizer, scaler)
    for weight in weights:
        weight.grad = None


def laid_out_like(weight: Tensor, tensor: Any) -> Any:
    """A tensor of the weight's shape in the weight's order in memory, which fused optimizers insist on; all else as it is."""
    if not isinstance(tensor, Tensor) or tensor.shape != weight.shape or tensor.stride() == weight.stride():
        return tensor
    return torch.empty_like(weight).copy_(tensor)
