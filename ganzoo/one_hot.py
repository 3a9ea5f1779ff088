"""Labels and symbols as networks are given them."""

import torch
from torch import Tensor


def one_hot(numbers: Tensor, kinds: int) -> Tensor:
    """int64 [...] -> float32 [..., kinds]. Unlike torch's own it asks for no value on the host."""
    return (numbers[..., None] == torch.arange(kinds, device=numbers.device)).float()
