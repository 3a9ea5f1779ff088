"""Several devices without DDP's wrapper."""

import atexit
import os
import subprocess
from typing import Any

import lightning as L
import torch.distributed as dist
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.plugins import LayerSync, TorchSyncBatchNorm
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from torch.nn import Module

from ganzoo.lifeline import Lifeline
from ganzoo.networks.layers import SYNCHRONISED, synchronise

STARTED_BY = "GANZOO_STARTED_BY"  # in the environment of a node's other ranks: the process of its first one, dead or alive


class UnwrappedDDP(DDPStrategy):
    """One process a device, as DDP, but the game is not wrapped: it averages gradients itself, by one all-reduce a move.

    The wrapper's hooks never see those gradients; what it would do is send every buffer anew each round and cut compiled
    graphs up. The command line trains by this strategy wherever Lightning would take `ddp`. A rank that dies or fails ends the
    others within seconds (`Lifeline`).
    """

    lifeline: Lifeline | None = None

    def setup_distributed(self) -> None:
        if self.lifeline is not None:  # the command line had to know the others before training
            return
        self.set_world_ranks()
        if self.world_size == 1:
            return super().setup_distributed()
        self.lifeline = Lifeline(self.global_rank, self._parent())
        super().setup_distributed()
        # Left to the interpreter's end, gloo's threads aborted one process in ten, after all was done.
        atexit.register(leave_group)
        assert self.cluster_environment is not None
        host = "127.0.0.1" if self.num_nodes == 1 else self.cluster_environment.main_address
        self.lifeline.children = self._children()
        self.lifeline.tie(self.world_size, host, self.broadcast)

    def setup(self, trainer: L.Trainer) -> None:
        if isinstance(self._layer_sync, TorchSyncBatchNorm):  # --trainer.sync_batchnorm true
            self._layer_sync = SyncBatchNorm()
        super().setup(trainer)

    def configure_ddp(self) -> None:
        """Start all processes from the first one's weights."""
        assert self.model is not None
        for tensor in self.model.state_dict().values():
            dist.broadcast(tensor, 0)

    def on_exception(self, exception: BaseException) -> None:
        super().on_exception(exception)
        if self.lifeline is None or not isinstance(exception, Exception):  # an exit that was asked for is no failure
            return
        if getattr(exception, "everywhere", False):  # all ranks end by themselves
            return
        if not self.lifeline.cut(exception):
            return self.lifeline.failed(exception)
        assert self.lightning_module is not None
        for logger in self.lightning_module.trainer.loggers:  # Lightning would come to it next
            logger.finalize("failed")
        self.lifeline.end()

    def teardown(self) -> None:
        super().teardown()
        if self.lifeline is not None:
            self.lifeline.close()

    def _configure_launcher(self) -> None:
        super()._configure_launcher()
        assert self.cluster_environment is not None
        if not self.cluster_environment.creates_processes_externally:
            os.environ[STARTED_BY] = str(os.getpid())

    def _parent(self) -> int | None:
        """The process that started this one for its rank, if one did: the node's first rank, or torchrun."""
        if os.name != "posix":  # elsewhere a virtual environment's Python may run as its own child
            return None
        if isinstance(self.cluster_environment, TorchElasticEnvironment):
            return os.getppid()
        return int(os.environ[STARTED_BY]) if STARTED_BY in os.environ and self.local_rank > 0 else None

    def _children(self) -> list[subprocess.Popen[Any]]:
        """The processes that Lightning started here for the next ranks."""
        watched = getattr(self.launcher, "procs", [])
        children = [child for child in watched if isinstance(child, subprocess.Popen)]
        if children:
            self.launcher.procs = children  # type: ignore[union-attr]
            # Lightning's own observer would look at them every five seconds, and kill all, this process included, before
            # the rank that died is named: of an empty list it sees no one to wait for, and ends.
            watched.clear()
        return children


class SyncBatchNorm(LayerSync):
    """Batch normalisation over all devices while the game is trained."""

    def apply(self, model: Module) -> Module:
        return synchronise(model)

    def revert(self, model: Module) -> Module:
        return synchronise(model, {ours: plain for plain, ours in SYNCHRONISED.items()})


def leave_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def replace_ddp() -> None:
    """Have Lightning find this strategy under the name `ddp`, which is also its automatic choice for several devices."""
    StrategyRegistry.register("ddp", UnwrappedDDP, "DDP without the wrapper", override=True, start_method="popen")
