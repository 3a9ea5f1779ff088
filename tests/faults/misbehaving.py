"""Callbacks for the command line, by which one rank of several does what it should not."""

import time

import lightning as L


class Fails(L.Callback):
    """An error in round 3 of one rank."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:  # type: ignore[override]
        if trainer.global_rank == self.rank and trainer.global_step == 3:
            raise KeyError("nobody expected this")


class Waits(L.Callback):
    """From round 3 on one rank waits for ever, deaf to any error, as a collective of NCCL waits for the dead."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:  # type: ignore[override]
        if trainer.global_rank == self.rank and trainer.global_step == 3:
            while True:
                time.sleep(1)
