"""Several devices without DDP's wrapper."""

import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry


class UnwrappedDDP(DDPStrategy):
    """One process a device, as DDP, but the game is not wrapped: it averages gradients itself, by one all-reduce a move.

    The wrapper's hooks never see those gradients; what it would do is send every buffer anew each round and cut compiled
    graphs up. The command line trains by this strategy wherever Lightning would take `ddp`.
    """

    def configure_ddp(self) -> None:
        """Start all processes from the first one's weights."""
        assert self.model is not None
        for tensor in self.model.state_dict().values():
            dist.broadcast(tensor, 0)


def replace_ddp() -> None:
    """Have Lightning find this strategy under the name `ddp`, which is also its automatic choice for several devices."""
    StrategyRegistry.register("ddp", UnwrappedDDP, "DDP without the wrapper", override=True, start_method="popen")
