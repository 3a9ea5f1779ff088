"""The device that a command is asked for."""

import torch


def device_called(name: str) -> torch.device:
    """cpu, cuda, cuda:1, ...; of `auto` a GPU if there is one.

    Raises:
        ValueError: there is no such device here.
    """
    device = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for the device
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {name} cannot be used ({reason}): give cpu, or leave it out") from error
