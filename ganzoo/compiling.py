"""How moves are played: as one PyTorch call after another, compiled into one graph, or that recorded as CUDA graphs."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.torch_version import TorchVersion

Compile = bool | Literal["auto", "graphs"]  # in YAML and on the command line also on and off
Loss = Callable[..., dict[str, Tensor]]
Played = tuple[dict[str, Tensor], list[Tensor | None]]  # terms, gradients
Move = Callable[[str, Loss, tuple[Tensor, ...]], Played]  # player, loss, batch


def played(move: Move, how: Compile, device: torch.device) -> Move:
    """The move as it will be played on this device. One line tells the user how, and why.

    Args:
        move: a pure function of tensors.
        how: False; True: compiled by inductor; "graphs": that, and recorded as CUDA graphs; "auto": the best that works
            here, and should it not work after all, uncompiled moves and a warning.

    Raises:
        ValueError: "graphs" on a device that has none; or, when a loss is first played, it cannot be compiled.
    """
    chosen, why = best(device) if how == "auto" else (how, "as asked for")
    if chosen == "graphs" and device.type != "cuda":
        raise ValueError(f"there are no CUDA graphs on {device.type}: set --model.compile auto")
    names = {False: "are not compiled", True: "are compiled", "graphs": "are compiled and recorded as CUDA graphs"}
    rank_zero_info(f"moves {names[chosen]} ({why})")
    return Compiled(move, graphs=chosen == "graphs", fall_back=how == "auto") if chosen else move


def best(device: torch.device) -> tuple[Compile, str]:
    """The fastest way that works on the device without asking, and why it is this one."""
    if device.type == "cuda":
        if find_spec("triton") is None or torch.cuda.get_device_capability(device) < (7, 0):
            return False, "that takes Triton and a GPU of compute capability 7.0"
        return "graphs", "the fastest on CUDA, after a minute or more of compiling"
    return False, f"on {device.type} that takes half a minute and seldom pays: --model.compile true tries it"


class Compiled:
    """A move compiled as a whole, once for each loss. Noise is the same as uncompiled, values are but for rounding.

    Args:
        graphs: record CUDA graphs, so that the host launches one graph instead of many kernels.
        fall_back: if a loss cannot be compiled, warn and compile no more.
    """

    def __init__(self, move: Move, *, graphs: bool, fall_back: bool) -> None:
        self.move, self.graphs, self.fall_back = move, graphs, fall_back
        self._worked: set[str] = set()
        config = torch._dynamo.config
        config.trace_autograd_ops = True  # the gradient is taken inside the move, penalties' gradients of gradients too
        config.optimize_ddp = False  # DDP would have the graph cut up for hooks that see none of these gradients
        config.recompile_limit = max(config.recompile_limit, 64)  # all losses are compiled through one code object
        options: dict[str, Any] = {"fallback_random": True, "triton.cudagraphs": graphs}
        if TorchVersion(torch.__version__) < "2.14":
            from ganzoo.drawing import InOrder  # inductor is slow to import

            options |= {"reorder_for_locality": False, "post_grad_custom_post_pass": InOrder()}
        # fullgraph, because a graph break would silently drop gradients
        self._compiled = torch.compile(self._packed, fullgraph=True, dynamic=False, options=options)

    def __call__(self, player: str, loss: Loss, batch: tuple[Tensor, ...]) -> Played:
        """As `move`. Recorded gradients live only until the next call: step the optimizer first."""
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()
        try:
            names, terms, gradients = self._compiled(loss.__name__, player, loss, batch)
        except Exception as error:
            if loss.__name__ in self._worked:
                raise
            reason = str(error).strip().partition("\n")[0]
            if not self.fall_back:
                raise ValueError(f"{loss.__name__} cannot be compiled ({reason}): set --model.compile false") from error
            rank_zero_warn(f"{loss.__name__} cannot be compiled ({reason}): moves are not compiled from here on")
            self.graphs, self._compiled = False, self._packed
            return self(player, loss, batch)
        self._worked.add(loss.__name__)
        return dict(zip(names, terms.clone().unbind(), strict=True)), gradients

    def _packed(
        self, name: str, player: str, loss: Loss, batch: tuple[Tensor, ...]
    ) -> tuple[tuple[str, ...], Tensor, list[Tensor | None]]:
        """The terms as one tensor [terms], which one copy takes out of the graph's memory."""
        # Of two losses of one player torch 2.11 plays the one compiled first: it tells apart strings it reads, but not methods.
        if not name:
            raise ValueError("a loss needs a name")
        terms, gradients = self.move(player, loss, batch)
        return tuple(terms), torch.stack(list(terms.values())), gradients
